"""Part of the fault campaign: kinds of bad input, each with the sentence it must get, sound recordings beside them."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import tifffile
import zarr
from lib.tiny_movies import EXPERIMENT, draw, write

sys.path.insert(0, str(Path(__file__).parents[2]))  # for tests.recording
from cicimage.cli import main
from cicimage.store import Results, read_json
from tests.recording.tiff_maker import numbered, ome_xml, sparse_big_tiff, write_ome, write_pages

SCALE: Final = 'PhysicalSizeX="1" PhysicalSizeY="1" TimeIncrement="300"'
CHANNELS: Final = '<Channel Name="Host"/><Channel Name="Guest"/><Channel Name="Death"/><TiffData/>'


@dataclass(frozen=True)
class Kind:
    """One kind of bad input: what it is, how it is made, and what must be said."""

    name: str
    make: Callable[[Path], Any]
    says: str
    ending: str = ".ome.tif"
    done: bool = False
    """True where the position is to be finished, with the fault told in its quality table or receipt."""


@dataclass
class Found:
    """What became of all kinds."""

    kinds: int = 0
    rows: list[tuple[str, str, str]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0


def movie5(frames: int = 6) -> np.ndarray:
    """A sound (T, C, Z, Y, X) movie."""
    return draw(5, frames=frames, size=64)[:, :, None]


def sound(path: Path, *, old: str = "", new: str = "", frames: int = 6, movie: Any = None, **options: Any) -> Path:
    """A sound OME-TIFF, but for one replacement in its XML."""
    made = movie5(frames) if movie is None else movie
    xml = ome_xml(made, SCALE, CHANNELS)
    assert old in xml, old
    return write_ome(path, made, xml.replace(old, new, 1) if old else xml, **options)


def cut(share: float, **options: Any) -> Callable[[Path], None]:
    """Only the first part of a file."""

    def make(path: Path) -> None:
        sound(path, **options)
        path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])

    return make


def content(data: bytes) -> Callable[[Path], Any]:
    """These bytes."""
    return lambda path: path.write_bytes(data)


def replaced(old: str, new: str) -> Callable[[Path], Any]:
    """XML with one replacement."""
    return lambda path: sound(path, old=old, new=new)


def tag(page: int, code: int, value: int, size: int = 4, **options: Any) -> Callable[[Path], None]:
    """One TIFF tag overwritten."""

    def make(path: Path) -> None:
        sound(path, **options)
        with tifffile.TiffFile(path) as file:
            place = file.pages[page].tags[code].valueoffset
        with path.open("r+b") as file:
            file.seek(place)
            file.write(value.to_bytes(size, "little"))

    return make


def tags(values: dict[int, int], **options: Any) -> Callable[[Path], None]:
    """Tags of the first page of an ImageJ stack overwritten."""

    def make(path: Path) -> None:
        write_pages(path, [np.zeros((16, 16), np.uint16)] * 2, "ImageJ=1.54f\nimages=2\nframes=2\n", **options)
        with tifffile.TiffFile(path) as file:
            places = {code: file.pages[0].tags[code].valueoffset for code in values}
        with path.open("r+b") as file:
            for code, value in values.items():
                file.seek(places[code])
                file.write(value.to_bytes(4, "little"))

    return make


def damaged_strip(path: Path) -> None:
    """The compressed bytes of guest frame 2 overwritten."""
    sound(path, compression="zlib")
    with tifffile.TiffFile(path) as file:
        start = file.pages[2 * 3 + 1].dataoffsets[0]
    with path.open("r+b") as file:
        file.seek(start + 20)
        file.write(b"\xff" * 40)


def looped(path: Path) -> None:
    """The last page points back to the first."""
    sound(path)
    with tifffile.TiffFile(path) as file:
        first, last = file.pages[0].offset, file.pages[-1]
        place = last.offset + 2 + 12 * len(last.tags)
    with path.open("r+b") as file:
        file.seek(place)
        file.write(struct.pack("<I", first))


def two_series(path: Path) -> None:
    with tifffile.TiffWriter(path, ome=True) as writer:
        for k in range(2):
            writer.write(
                np.zeros((2, 8, 8), np.uint16), metadata={"axes": "TYX", "Name": f"well {k}"}, photometric="minisblack"
            )


def companions(name: str) -> Callable[[Path], None]:
    """Half of the planes in another file."""

    def make(path: Path) -> None:
        movie = numbered(t=2, c=1, z=1)
        blocks = (
            f'<TiffData FirstT="0" PlaneCount="1"><UUID FileName="{path.name}">u0</UUID></TiffData>'
            f'<TiffData FirstT="1" PlaneCount="1"><UUID FileName="{name}">u1</UUID></TiffData>'
        )
        write_pages(path, [movie[0, 0, 0]], ome_xml(movie, inside=blocks))

    return make


def frames_set(channel: int, frames: slice, value: float) -> Callable[[Path], None]:
    """Some frames of a channel are one value throughout."""

    def make(path: Path) -> None:
        movie = movie5(8)
        movie[frames, channel] = value
        sound(path, movie=movie)

    return make


def not_finite(path: Path) -> None:
    movie = movie5(8).astype(np.float32)
    movie[3, 1] = np.nan
    sound(path, movie=movie)


def zarr_image(path: Path, *, drop: str = "", ask: Callable[[dict[str, Any]], None] | None = None) -> None:
    """An OME-Zarr image, version 0.4."""
    movie = movie5()
    group = zarr.create_group(path, zarr_format=2)
    group.create_array("0", data=movie, chunks=(1, 1, 1, 64, 64))
    axes = [{"name": "t", "type": "time", "unit": "second"}, {"name": "c", "type": "channel"}]
    axes += [{"name": n, "type": "space", "unit": "micrometer"} for n in "zyx"]
    scale = [{"type": "scale", "scale": [300.0, 1.0, 1.0, 1.0, 1.0]}]
    described = {
        "multiscales": [
            {"version": "0.4", "axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}
        ],
        "omero": {"channels": [{"label": n} for n in ("Host", "Guest", "Death")]},
    }
    if ask is not None:
        ask(described)
    group.attrs.update(described)
    if drop:
        (path / "0" / drop).unlink()


def elsewhere(described: dict[str, Any]) -> None:
    described["multiscales"][0]["datasets"][0]["path"] = "../../../etc"


def halved_zarr(path: Path) -> None:
    zarr_image(path)
    for chunk in sorted((path / "0").glob("[0-9]*"))[9:]:
        chunk.unlink()


FILES: Final[tuple[Kind, ...]] = (
    Kind("empty file", content(b""), r"empty \(0 bytes\)"),
    Kind("garbage", content(b"garbage " * 100), "not a TIFF file"),
    Kind("a picture under the name of a TIFF", content(b"\x89PNG\r\n\x1a\n" + b"0" * 50), "not a TIFF file"),
    Kind("a zip under the name of a TIFF", content(b"PK\3\4" + b"0" * 60), "not a TIFF file"),
    Kind("header cut", content(b"II*\0"), "header ends at byte"),
    Kind("no page", content(b"II*\0" + bytes(12)), "holds no image"),
    Kind("cut at 10 %", cut(0.1), "ends at byte|declares|leads to"),
    Kind("cut at 50 %", cut(0.5), "ends at byte|declares|leads to"),
    Kind("cut at 99 %", cut(0.99), "ends at byte|declares|leads to"),
    Kind("compressed, cut at 70 %", cut(0.7, compression="zlib"), "ends at byte|declares|leads to"),
    Kind(
        "ImageJ stack cut",
        lambda p: write_pages(p, [np.ones((20, 24), np.uint16)], "ImageJ=1.54f\nimages=30\nframes=30\n"),
        "declares 30 planes",
    ),
    Kind(
        "planes declared, not there",
        lambda p: write_pages(p, numbered(t=1, c=1, z=1)[:, 0, 0], ome_xml(numbered(t=30, c=1, z=1))),
        "declares 30 planes, found 1; not zero-filled",
    ),
    Kind("pages in a loop", looped, "leads back to byte"),
    Kind("a strip without data", tag(4, 279, 0), "has no data for one of its strips"),
    Kind(
        "pages of other sizes",
        lambda p: write_pages(
            p, [np.zeros((8, 8), np.uint16), np.zeros((9, 8), np.uint16)], "ImageJ=1.54f\nimages=2\nframes=2\n"
        ),
        "plane 1 is 9 x 8",
    ),
    Kind(
        "pages of other types",
        lambda p: write_pages(
            p, [np.zeros((8, 8), np.uint16), np.zeros((8, 8), np.uint8)], "ImageJ=1.54f\nimages=2\nframes=2\n"
        ),
        "plane 1 is 8 x 8 of uint8",
    ),
    Kind("several series", two_series, "holds 2 series .*choose --series"),
    Kind(
        "order of planes unknown",
        lambda p: write_pages(p, numbered(t=6, c=1, z=1)[:, 0, 0]),
        "does not say in which order",
        ".tif",
    ),
    Kind(
        "ImageJ counts that do not multiply",
        lambda p: write_pages(p, numbered(t=6, c=1, z=1)[:, 0, 0], "ImageJ=1.54f\nimages=6\nframes=4\nchannels=2\n"),
        "ImageJ says 6 images",
    ),
    Kind("companion missing", companions("gone.ome.tif"), "1 of them missing .*not zero-filled"),
    Kind("companion outside the folder", companions("../../../../etc/passwd"), "lies outside its folder"),
    Kind("companion at an absolute path", companions("/etc/passwd"), "lies outside its folder"),
    Kind(
        "metadata file missing",
        lambda p: write_ome(
            p,
            numbered(),
            ('<OME xmlns="http://www.openmicroscopy.org/"><BinaryOnly MetadataFile="a.companion.ome"/></OME>'),
        ),
        "a.companion.ome",
    ),
    Kind(
        "document type in the XML",
        replaced("?>", '?><!DOCTYPE OME SYSTEM "file:///etc/passwd">'),
        r"document type \(DTD\)",
    ),
    Kind(
        "entity bomb in the XML",
        replaced("?>", '?><!DOCTYPE OME [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]>'),
        r"document type \(DTD\)",
    ),
    Kind("XML cut", replaced("</OME>", ""), "not well-formed"),
    Kind(
        "XML without an image",
        lambda p: write_ome(p, numbered(), '<OME xmlns="http://www.openmicroscopy.org/"></OME>'),
        "holds no image",
    ),
    Kind("frames below zero", replaced('SizeT="6"', 'SizeT="-6"'), "SizeT is"),
    Kind("two thousand million frames", replaced('SizeT="6"', 'SizeT="2000000000"'), "declares .* planes, found 18"),
    Kind("unknown order of dimensions", replaced("XYCZT", "TCZYX"), "DimensionOrder"),
    Kind("XML of another type", replaced('Type="uint16"', 'Type="uint8"'), "declares planes of .*uint8"),
    Kind("XML of another width", replaced('SizeX="64"', 'SizeX="65"'), "declares planes of"),
    Kind(
        "a plane of 18 GiB",
        tags({256: 100_000, 257: 100_000, 278: 100_000}, compression="zlib"),
        "a plane needs 18.6 GiB, budget 2 GiB",
    ),
    Kind(
        "a tile of gigabytes",
        tags({322: 2_000_000_000, 323: 2_000_000_000}, tile=(16, 16), compression="zlib"),
        "a plane needs .* budget 2 GiB",
    ),
    Kind("12-bit packed", tag(0, 258, 12, 2), "12 bits"),
    Kind(
        "lossy JPEG",
        lambda p: write_pages(
            p, [np.zeros((16, 16), np.uint8)] * 2, "ImageJ=1.54f\nimages=2\nframes=2\n", compression="jpeg"
        ),
        r"compression 7 \(JPEG\)",
    ),
    Kind("no pixel size", replaced('PhysicalSizeX="1" PhysicalSizeY="1"', ""), "um_per_px must be known"),
    Kind(
        "pixel size 0", replaced('PhysicalSizeX="1"', 'PhysicalSizeX="0"'), "PhysicalSizeX = 0 must be a number above 0"
    ),
    Kind("pixel size not a number", replaced('PhysicalSizeX="1"', 'PhysicalSizeX="nan"'), "PhysicalSizeX = nan"),
    Kind("pixels not square", replaced('PhysicalSizeY="1"', 'PhysicalSizeY="2"'), "must be square"),
    Kind("no interval", replaced('TimeIncrement="300"', ""), "frame_interval_s must be known"),
    Kind("interval below zero", replaced('TimeIncrement="300"', 'TimeIncrement="-4"'), "TimeIncrement = -4"),
    Kind(
        "channels renamed",
        replaced('Name="Host"', 'Name="Red"'),
        "channel 'Host' for host is not there, the recording has 0: Red",
    ),
    Kind(
        "a channel less",
        lambda p: sound(p, movie=movie5()[:, :2], old='<Channel Name="Death"/>', new=""),
        "channel 'Death' for death is not there",
    ),
    Kind(
        "sparse file whose end is missing",
        lambda p: sparse_big_tiff(p, 3, 64, 64, ome_xml(np.broadcast_to(np.uint16(0), (6, 3, 1, 64, 64)), SCALE)),
        "declares 18 planes, found 3",
    ),
    Kind("OME-Zarr: a copy that stopped", halved_zarr, "declares 18 chunks, found .*not zero-filled", ".ome.zarr"),
    Kind(
        "OME-Zarr: array outside the folder",
        lambda p: zarr_image(p, ask=elsewhere),
        "lies outside its folder",
        ".ome.zarr",
    ),
    Kind(
        "OME-Zarr: two axes of one name",
        lambda p: zarr_image(p, ask=lambda d: d["multiscales"][0]["axes"].__setitem__(2, {"name": "y"})),
        "axes|axis",
        ".ome.zarr",
    ),
    Kind(
        "OME-Zarr: metadata are no JSON",
        lambda p: (zarr_image(p), (p / ".zattrs").write_text("{oops"))[0],
        "is not JSON",
        ".ome.zarr",
    ),
    Kind("ND2 cut", content(b"\xda\xce\xbe\x0a" + bytes(200)), "cut short|cannot be read|ND2", ".nd2"),
    Kind("LIF cut", content(b"\x70\x00\x00\x00" + bytes(200)), "cut short|cannot be read|LIF", ".lif"),
    Kind("CZI cut", content(b"ZISRAWFILE" + bytes(200)), "cut short|cannot be read|CZI", ".czi"),
    Kind("one frame undecodable", damaged_strip, "plane t=2, c=1", done=True),
    Kind("frames of one value", frames_set(1, slice(3, 5), 100), "constant", done=True),
    Kind("frames saturated", frames_set(1, slice(3, 5), 65535), "saturated|constant", done=True),
    Kind("a channel bleached to nothing", frames_set(1, slice(4, 8), 110), "constant", done=True),
    Kind("frames not finite", not_finite, "not finite", done=True),
)


@dataclass(frozen=True)
class Misuse:
    """A fault of the experiment file, the layout or the command line; nothing is run."""

    name: str
    toml: str = ""
    layout: str = ""
    arguments: tuple[str, ...] = ()
    says: str = ""
    code: int = 2
    prepare: Callable[[Path], Any] | None = None


def twin(root: Path) -> None:
    shutil.copy(root / "vehicle" / "A1_f1.ome.tif", root / "vehicle" / "a1_F1.ome.tif")


MISUSES: Final[tuple[Misuse, ...]] = (
    Misuse("unknown key", '[experiment]\nreferense = "vehicle"\n', says="reference"),
    Misuse("unknown section", "[chanels]\nhost = 0\n", says="channels"),
    Misuse("no TOML", "[experiment\n", says="experiment.toml"),
    Misuse("schema of a later version", "schema_version = 99\n", says="schema_version"),
    Misuse("reference that is no condition", EXPERIMENT.replace("vehicle", "vehicel"), says="did you mean 'vehicle'"),
    Misuse("a number that is text", '[optics]\num_per_px = "a third"\n', says="um_per_px"),
    Misuse("pixel size below zero", "[optics]\num_per_px = -1\n", says="um_per_px"),
    Misuse("unknown method", '[methods]\nscore = { method = "hysteresys" }\n', says="hysteresis"),
    Misuse(
        "unknown option of a method",
        '[methods]\nscore = { method = "hysteresis", persistance_min = 3 }\n',
        says="persistence_min",
    ),
    Misuse("host and guest one channel", '[channels]\nhost = "Host"\nguest = "Host"\n', says="host"),
    Misuse(
        "layout row without its file",
        EXPERIMENT,
        "position,condition\nvehicle/A1_f1,vehicle\nvehicle/A9_f1,vehicle\n",
        says="A9_f1",
    ),
    Misuse("layout row twice", EXPERIMENT, "position,donor\nvehicle/A1_f1,D1\nvehicle/A1_f1,D2\n", says="A1_f1"),
    Misuse("layout without its first column", EXPERIMENT, "pos,donor\nvehicle/A1_f1,D1\n", says="position"),
    Misuse("names that differ in case only", EXPERIMENT, says="are one position|upper case", prepare=twin),
    Misuse("folder that is not there", arguments=("{root}/nowhere", "-o", "{out}"), says="no such file or folder"),
    Misuse("folder without recordings", arguments=("{empty}", "-o", "{out}"), says="no recording"),
    Misuse("unknown option", arguments=("{root}", "-o", "{out}", "--worker", "2"), says="--workers"),
    Misuse(
        "position that is none",
        arguments=("{root}", "-o", "{out}", "--only", "vehicle/A1_f2"),
        says="did you mean 'vehicle/A1_f1'",
    ),
    Misuse(
        "task that is none",
        arguments=("{root}", "-o", "{out}", "--task-index", "99"),
        says="--task-index must lie in 0",
    ),
    Misuse(
        "results into a folder of something else",
        arguments=("{root}", "-o", "{full}"),
        says="must be empty or hold results",
        code=5,
    ),
    Misuse("results into a file", arguments=("{root}", "-o", "{full}/thesis.doc"), says="must be a folder", code=5),
    Misuse("results of a later version", arguments=("{root}", "-o", "{later}"), says="schema_version", code=5),
)


def call(*arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of the program."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(list(arguments))
        except SystemExit as end:
            return int(end.code or 0), out.getvalue(), err.getvalue()
    return 0, out.getvalue(), err.getvalue()


def sound_ones(root: Path) -> None:
    """Two recordings with nothing wrong, one a condition."""
    for i, condition in enumerate(("vehicle", "BTKi")):
        write(root / condition / "A1_f1.ome.tif", draw(i, frames=4, size=64))


def files(work: Path, found: Found) -> None:
    """All bad files and two sound ones in one run."""
    root, alone = work / "files", work / "alone"
    for folder in (root, alone):
        folder.mkdir(parents=True)
        sound_ones(folder)
        (folder / "experiment.toml").write_text(EXPERIMENT)
    names = {}
    for n, kind in enumerate(FILES):
        path = root / "bad" / f"K{n:02d}_f1{kind.ending}"
        path.parent.mkdir(exist_ok=True)
        kind.make(path)
        names[f"bad/K{n:02d}_f1"] = kind
    call("run", str(alone), "-o", str(work / "alone_out"))
    code, _, said = call("run", str(root), "-o", str(work / "out"))
    if code != 3 or "Traceback" in said:
        found.faults.append(f"the run ended with {code}: {said[-300:]}")
    results = Results(work / "out")
    for position, kind in names.items():
        told = what_is_told(results, position)
        if not re.search(kind.says, told["text"]) or told["done"] != kind.done or told["crash"]:
            found.faults.append(f"{kind.name}: {told}")
        found.rows.append((kind.name, "finished, frames flagged" if told["done"] else "failed", told["text"]))
    compare(work, found)


def what_is_told(results: Results, position: str) -> dict[str, Any]:
    """Outcome of a position, the sentence a user sees, and whether it was a fault of the program."""
    import pandas as pd

    folder = results.position(results.index()[position])
    receipt = read_json(folder.receipt)
    if receipt["outcome"] != "done":
        return {"done": False, "text": receipt["error"], "crash": receipt["kind"] == "crash"}
    flags = pd.read_parquet(folder.table("qc"))["flag"]
    text = "; ".join([*receipt["missing_frames"].values(), *sorted(set(flags[flags != ""]))])
    return {"done": True, "text": text, "crash": False}


def compare(work: Path, found: Found) -> None:
    """The sound recordings' tables are those they have without bad neighbours."""
    beside, alone = Results(work / "out"), Results(work / "alone_out")
    for position in ("vehicle/A1_f1", "BTKi/A1_f1"):
        for name in ("cells", "frames", "events", "guests"):
            a = alone.position(alone.index()[position]).table(name)
            b = beside.position(beside.index()[position]).table(name)
            if without_key(a) != without_key(b):
                found.faults.append(f"{position}: {name} differs beside bad files")


def without_key(path: Path) -> str:
    """A table as text without its opaque position name, which depends on how many positions there are."""
    import pandas as pd

    return str(
        pd.read_parquet(path).drop(columns=["position", "event_id"], errors="ignore").to_json(double_precision=15)
    )


def misuses(work: Path, found: Found) -> None:
    """Faults that must end before anything is run."""
    for n, one in enumerate(MISUSES):
        root = work / f"m{n:02d}"
        sound_ones(root)
        (root / "experiment.toml").write_text(one.toml or EXPERIMENT)
        if one.layout:
            (root / "layout.csv").write_text(one.layout)
        if one.prepare is not None:
            one.prepare(root)
        places = {k: str(root) + f"_{k}" for k in ("out", "empty", "full", "later")} | {"root": str(root)}
        for name in ("empty", "full", "later"):
            Path(places[name]).mkdir()
        (Path(places["full"]) / "thesis.doc").touch()
        (Path(places["later"]) / "run.json").write_text(
            json.dumps({"schema_version": 99, "positions": {"vehicle/A1_f1": "p0001"}})
        )
        arguments = one.arguments or ("{root}", "-o", "{out}")
        code, _, said = call("run", *(a.format(**places) for a in arguments))
        if code != one.code or not re.search(one.says, said) or "Traceback" in said:
            found.faults.append(f"{one.name}: exit {code}, {said[-300:]}")
        if list(Path(places["out"]).glob("positions/*/receipt.json")):
            found.faults.append(f"{one.name}: positions were run")
        found.rows.append((one.name, f"exit {code}", said.strip().splitlines()[-1] if said.strip() else ""))


def campaign(work: Path) -> Found:
    """Make and run all kinds."""
    shutil.rmtree(work, ignore_errors=True)
    found, start = Found(kinds=len(FILES) + len(MISUSES)), time.perf_counter()
    misuses(work, found)
    files(work, found)
    found.seconds = time.perf_counter() - start
    return found
