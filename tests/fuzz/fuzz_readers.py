"""Readers under structure-aware changes: each document, directory and header of a format, one value at a time.

Sound recordings of every format are written once; a case changes one place of one file and reads the recording as a run
does: names of its series, files, gate, first and last frame.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

import numpy as np
import tifffile

from cicimage.errors import CicimageError
from cicimage.experiment.plate_map import read_plate_map
from cicimage.pipeline.input_record import read_record
from cicimage.recording import open_recording, preflight, recording_files, series_names
from cicimage.store import PositionFolder
from tests.fuzz.fuzz_targets import ODD, Target, change
from tests.fuzz.lif_maker import lif_bytes, lif_xml
from tests.fuzz.mutation import change_header, change_json, change_tiff, change_xml, pick
from tests.recording import test_makers_formats, test_multi_file, test_zarr_recording
from tests.recording.tiff_maker import numbered, ome_xml, write_ome

BUDGET = 1 << 24


def read_all(path, series=0):
    """Read a recording as a run does."""
    series_names(path)
    recording_files(path, series)
    preflight(path, series=series, memory_budget_bytes=BUDGET)
    with open_recording(path, series=series, memory_budget_bytes=BUDGET) as recording:
        recording.frame(0)
        recording.frame(recording.sizes["T"] - 1)


class Structured(Target):
    """One changed value of one file of a recording."""

    def attempt(self, seed):
        rng = np.random.default_rng(seed)
        try:
            self.mutate(rng)
        except CicimageError as error:
            if "\n" in str(error):
                raise AssertionError(f"must be one line: {error}") from error
            return True
        return False

    def make(self):
        self.write()
        return ()

    def read(self, data):
        raise NotImplementedError

    def write(self):
        """Write the sound recording."""
        raise NotImplementedError

    def mutate(self, rng):
        """Change one place and read."""
        raise NotImplementedError


class OneFile(Structured):
    """A recording of one file of which the sound contents are known."""

    name = ""

    def changed(self, data, rng):
        """Contents with one change."""
        return change(data, rng)

    def mutate(self, rng):
        data = pick(rng, self.contents)
        path = self.folder / self.name
        path.write_bytes(change(data, rng) if rng.random() < 0.2 else self.changed(data, rng))
        read_all(path)


class TiffTags(OneFile):
    """Entries of TIFF and BigTIFF directories."""

    name = "a.tif"

    def write(self):
        movie = numbered(t=2, c=3, z=1, y=8, x=9)[:, :, 0]
        self.contents, path = [], self.folder / "s.tif"
        for options in ({}, {"bigtiff": True}, {"byteorder": ">"}, {"tile": (16, 16), "compression": "zlib"},
                        {"photometric": "rgb", "planarconfig": "separate"}):  # fmt: skip
            tifffile.imwrite(path, movie, metadata={"axes": "TCYX"}, **{"photometric": "minisblack"} | options)
            self.contents.append(path.read_bytes())

    def changed(self, data, rng):
        return change_tiff(data, rng)


class OmeXml(Structured):
    """OME-XML of a TIFF of one and of two files."""

    def write(self):
        self.movie = numbered(t=2, c=2, z=2, y=8, x=9)
        more = 'PhysicalSizeX="0.3" PhysicalSizeY="0.3" PhysicalSizeZ="1" TimeIncrement="60" SignificantBits="12"'
        inside = (
            '<Channel ID="C:0" Name="Host" SamplesPerPixel="1" EmissionWavelength="520"/><Channel ID="C:1" Name="G"/>'
            '<TiffData FirstT="0" IFD="0" PlaneCount="4"><UUID FileName="a.ome.tif">u:0</UUID></TiffData>'
            '<TiffData FirstT="1" IFD="4" PlaneCount="4"><UUID FileName="a.ome.tif">u:0</UUID></TiffData>'
            '<Plane TheT="0" TheC="0" TheZ="0" DeltaT="0"/><Plane TheT="1" TheC="0" TheZ="0" DeltaT="60"/>'
        )
        self.xml = ome_xml(self.movie, more, inside)

    def mutate(self, rng):
        xml = change_xml(self.xml, rng)
        text = xml.encode("ascii", "xmlcharrefreplace").decode().replace("ns0:", "").replace(":ns0", "")
        read_all(write_ome(self.folder / "a.ome.tif", self.movie, text))


class Lif(OneFile):
    """Header, XML and blocks of a LIF file."""

    name = "a.lif"

    def write(self):
        self.movie = numbered(t=2, c=2, z=1, y=8, x=9)[:, :, 0]
        self.contents = [lif_bytes(self.movie)]

    def changed(self, data, rng):
        if rng.random() < 0.7:
            return lif_bytes(self.movie, change_xml(lif_xml(self.movie), rng))
        end = len(data) - self.movie.nbytes
        return change_header(data, rng, (0, 4, 9, *range(end - 60, end)))


class Czi(OneFile):
    """Segments and XML of a CZI file."""

    name = "a.czi"

    def write(self):
        path = test_makers_formats.write_czi(self.folder / "s.czi", n_t=2)
        self.contents = [path.read_bytes()]
        data = self.contents[0]
        marks = [i for word in (b"ZISRAWFILE", b"ZISRAWDIRECTORY", b"ZISRAWSUBBLOCK", b"ZISRAWMETADATA", b"DV")
                 for i in _all(data, word)]  # fmt: skip
        self.places = tuple(i + k for i in marks for k in range(0, 200, 4))

    def changed(self, data, rng):
        if rng.random() < 0.5:
            return change_header(data, rng, self.places)
        start, end = data.index(b"<ImageDocument"), data.index(b"</ImageDocument>") + 16
        xml = change_xml(data[start:end].decode(), rng).encode()[: end - start]
        return data[:start] + xml.ljust(end - start) + data[end:]


class Nd2(OneFile):
    """Chunk map, headers and attributes of an ND2 file; a real one, and nothing where there is none."""

    name = "a.nd2"

    def write(self):
        folder = os.environ.get("CICIMAGE_TEST_DATA")
        found = sorted((Path(folder) / "nd2_arcadia").glob("example-*.nd2"))[:3] if folder else []
        self.contents = [p.read_bytes() for p in found]

    def mutate(self, rng):
        if self.contents:
            super().mutate(rng)

    def changed(self, data, rng):
        marks = _all(data, b"\xda\xce\xbe\x0a")[:200]
        places = (*(i + k for i in marks for k in (0, 4, 8, 12)), *range(len(data) - 60, len(data) - 8, 4))
        if rng.random() < 0.6:
            return change_header(data, rng, places)
        words = [i for word in (b"uiWidth", b"uiHeight", b"uiComp", b"uiBpc", b"dCal", b"uiSequenceCount") for i in
                 _all(data, word.decode().encode("utf-16-le"))]  # fmt: skip
        return change_header(data, rng, tuple(i + k for i in words for k in range(0, 60, 2)) or places)


class Zarr(Structured):
    """Metadata of OME-Zarr of both versions, and chunks."""

    def write(self):
        for version in (2, 3):
            test_zarr_recording.write_image(
                self.folder / f"s{version}.zarr", numbered(t=2, c=2, z=1, y=8, x=9), version
            )

    def mutate(self, rng):
        path = self.folder / "a.zarr"
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(self.folder / f"s{pick(rng, (2, 3))}.zarr", path)
        files = sorted(p for p in path.rglob("*") if p.is_file())
        documents = [p for p in files if p.name in (".zarray", ".zattrs", ".zgroup", "zarr.json")]
        if rng.random() < 0.85:
            file = pick(rng, documents)
            file.write_text(change_json(file.read_text(), rng))
        else:
            file = pick(rng, files)
            file.write_bytes(change(file.read_bytes(), rng))
        read_all(path)


class Tree(Structured):
    """A folder of planes with an index or names that describe them."""

    index = ""

    def mutate(self, rng):
        path = self.folder / "a"
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(self.folder / "sound", path)
        files = sorted(p for p in path.rglob("*") if p.is_file())
        kind = rng.random()
        if self.index and kind < 0.6:
            file = next(p for p in files if p.name == self.index)
            text = file.read_text()
            changed = change_xml(text, rng) if text.lstrip().startswith("<") else None
            file.write_bytes(changed.encode() if changed else change(file.read_bytes(), rng))
        elif kind < 0.75:
            with contextlib.suppress(OSError, ValueError):
                file = pick(rng, files)
                name = change(file.name.encode(), rng).decode("utf-8", "replace")
                file.rename(file.with_name("".join(c for c in name if c.isprintable() and c not in "/\\")[:100] or "x"))
        else:
            file = pick(rng, files)
            data = file.read_bytes()
            file.write_bytes(change_tiff(data, rng) if data[:2] in (b"II", b"MM") else change(data, rng))
        read_all(path / self.index if self.index.endswith(".nd") else path)


class Operetta(Tree):
    """Index of an Operetta export."""

    index = "Index.idx.xml"

    def write(self):
        test_multi_file.write_operetta(self.folder / "sound", numbered(t=2, c=2, z=1))


class ImageXpress(Tree):
    """Folders and properties of an ImageXpress plate."""

    def write(self):
        test_multi_file.write_imagexpress(self.folder / "sound", numbered(t=2, c=2, z=1))


class MetaMorph(Tree):
    """Text of a MetaMorph .nd file and its stacks."""

    index = "exp.nd"

    def write(self):
        test_multi_file.write_metamorph(self.folder / "sound", numbered(t=2, c=2, z=1))


class FileNames(Tree):
    """Names of planes read by a pattern."""

    def write(self):
        for t, c in np.ndindex(3, 2):
            (self.folder / "sound").mkdir(exist_ok=True)
            tifffile.imwrite(self.folder / "sound" / f"A1_t{t}_c{c}.tif", numbered(t=1, c=1, z=1)[0, 0, 0])

    def mutate(self, rng):
        with contextlib.suppress(CicimageError):  # the folder itself is no recording
            super().mutate(rng)
        read_all(self.folder / "a" / "A1_t{t}_c{c}.tif")


PLATE = b",1,2,3\nA,vehicle,vehicle,BTKi\nB,vehicle,BTKi,\nC,BTKi,,\n"


class PlateMap(Structured):
    """A plate map as spreadsheet programs save it."""

    def write(self):
        self.contents = [PLATE, PLATE.replace(b",", b";"), b"sep=;\n" + PLATE.replace(b",", b";"),
                         PLATE.decode().encode("utf-16")]  # fmt: skip

    def mutate(self, rng):
        path = self.folder / "map.csv"
        path.write_bytes(change(pick(rng, self.contents), rng))
        read_plate_map(path)


RECORD = (
    '{"schema_version": 1, "identity": {"size": 3, "sha256": "x"}, "members": [["a.tif", 3, 5, "ab"]], '
    '"folders": [["v", 7]]}'
)


class InputRecordFile(Structured):
    """The record of a recording's files: what cannot be read is no record."""

    def write(self):
        pass

    def mutate(self, rng):
        folder = PositionFolder(self.folder)
        text = change_json(RECORD, rng) if rng.random() < 0.7 else ""
        folder.input.write_bytes(text.encode() if text else change(RECORD.encode(), rng, ODD))
        read_record(folder)


def _all(data, word):
    found, at = [], data.find(word)
    while at >= 0:
        found.append(at)
        at = data.find(word, at + 1)
    return found


READERS = {
    "tiff tags": TiffTags, "ome-xml": OmeXml, "lif": Lif, "czi": Czi, "nd2": Nd2, "ome-zarr": Zarr,
    "operetta": Operetta, "imagexpress": ImageXpress, "metamorph": MetaMorph, "file names": FileNames,
    "plate map": PlateMap, "input record": InputRecordFile,
}  # fmt: skip
