"""ND2, LIF and CZI: real files where there are some, files made or damaged here for the rest."""

from __future__ import annotations

import builtins
import os
import re
import resource
import shutil
import struct
import zlib
from types import MappingProxyType, SimpleNamespace

import numpy as np
import pytest
import tifffile

from cicimage.errors import RecordingError
from cicimage.recording import PlaneError, open_recording, preflight, series_names
from cicimage.recording.czi_directory import read_directory
from cicimage.recording.nd2_recording import Nd2Recording
from cicimage.recording.reader import ReadOptions

pytest.importorskip("nd2", reason="extra nd2 is not installed")
pytest.importorskip("liffile", reason="extra lif is not installed")
pytest.importorskip("pylibCZIrw", reason="extra czi is not installed")


# ---------------------------------------------------------------- ND2


@pytest.mark.parametrize(
    ("name", "sizes", "um_per_px", "um_per_z", "na", "pixel_sum"),
    [  # scale and NA as NIS-Elements showed them (known-metadata.yml beside the files)
        ("example-multichannel.nd2", (1, 4, 1, 256, 256), 0.323390342594048, None, 0.75, 988679988),
        ("example-timelapse.nd2", (53, 1, 1, 64, 64), 0.325, None, 0.95, None),
        ("example-zstack.nd2", (1, 1, 11, 128, 128), 0.323390342594048, 6.0, 0.75, 95146474),
        ("pims_cluster.nd2", (3, 2, 10, 31, 38), 0.16780898, 0.5, 0.95, None),
    ],
)
def test_real_nd2(real_data, name, sizes, um_per_px, um_per_z, na, pixel_sum):
    with open_recording(real_data / "nd2_arcadia" / name) as recording:
        assert tuple(recording.sizes.values()) == sizes
        meta = recording.metadata
        assert meta.um_per_px == pytest.approx(um_per_px)
        assert meta.um_per_z == um_per_z
        assert meta.na == pytest.approx(na)
        movie = np.stack([recording.frame(t) for t in range(sizes[0])])
        if pixel_sum is not None:
            assert movie.sum() == pixel_sum
        if sizes[0] == 53:
            assert meta.frame_interval_s == pytest.approx(0.5, abs=0.01)  # 500 ms exposures without pause
            assert meta.time_s.shape == (53,)


def test_real_nd2_agrees_with_its_library_plane_by_plane(real_data):
    import nd2

    path = real_data / "nd2_arcadia" / "pims_cluster.nd2"
    other = nd2.imread(path)
    with open_recording(path) as recording:
        mine = np.stack([recording.frame(t) for t in range(3)])
        assert recording.metadata.modality == "confocal"
        assert recording.metadata.channel_names == ("5-FAM/pH 9.0", "FM 4-64/2% CHAPS")
    assert np.array_equal(mine, np.moveaxis(other, 1, 2))


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("example-cerevisiae.nd2", ("DIC", "FITC BP")),
        ("example-multichannel.nd2", ("Mono", "DAPI", "FITC BP", "TRITC BP")),
        ("example-pbmc.nd2", ("Mono", "DAPI", "FITC BP", "TRITC BP")),
        ("example-timelapse.nd2", ("GFP 488 nm",)),
        ("example-zstack.nd2", ("FITC BP",)),
        ("pims_cluster.nd2", ("5-FAM/pH 9.0", "FM 4-64/2% CHAPS")),
    ],
)
def test_names_and_pixel_sums_of_every_real_nd2(real_data, name, channels):
    import nd2

    path = real_data / "nd2_arcadia" / name
    with open_recording(path) as recording:
        assert recording.metadata.channel_names == channels
        total = sum(int(recording.frame(t).sum()) for t in range(recording.sizes["T"]))
    assert total == int(nd2.imread(path).astype(np.uint64).sum())


def test_cut_nd2(real_data, tmp_path):
    sound = (real_data / "nd2_arcadia" / "example-zstack.nd2").read_bytes()
    for share in (0.1, 0.5, 0.99):
        path = tmp_path / "a.nd2"
        path.write_bytes(sound[: int(share * len(sound))])
        with pytest.raises(RecordingError, match="has no chunk map at its end .*: cut short"):
            preflight(path)


def test_nd2_frame_outside_the_file_or_unlisted_is_not_zeros(real_data, tmp_path):
    sound = bytearray((real_data / "nd2_arcadia" / "example-zstack.nd2").read_bytes())
    start = struct.unpack("<Q", sound[-8:])[0]
    key = sound.index(b"ImageDataSeq|5!", start)
    path = tmp_path / "a.nd2"
    moved = bytearray(sound)
    moved[key + 15 : key + 23] = struct.pack("<Q", 10**9)
    path.write_bytes(bytes(moved))
    with pytest.raises(RecordingError, match=r"plane 5 ends at byte \d+, file has \d+: cut short"):
        preflight(path)
    unlisted = bytearray(sound)
    unlisted[key : key + 15] = b"ImageDataSex|5!"
    path.write_bytes(bytes(unlisted))
    with pytest.raises(RecordingError, match="declares 11 planes per channel, found 10; not zero-filled"):
        preflight(path)


def test_old_nd2(tmp_path):
    path = tmp_path / "a.nd2"
    path.write_bytes(b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(100))
    with pytest.raises(RecordingError, match=r"ND2 of before 2010 \(JPEG 2000\); save it as TIFF"):
        preflight(path)


# ---------------------------------------------------------------- LIF


def test_real_lif(real_data):
    folder = real_data / "lif_readlif" / "xz-example"
    path = folder / "xz-example.lif"
    assert series_names(path) == ("xzt", "xzy", "xz")
    with open_recording(path, series=0) as recording:
        assert recording.sizes == {"T": 20, "C": 2, "Z": 1, "Y": 128, "X": 128}
        for name, c, t in (("c0t0.tif", 0, 0), ("c1t8.tif", 1, 8)):
            assert np.array_equal(recording.plane(t, c, 0), tifffile.imread(folder / "expected-outputs" / name))
        meta = recording.metadata
    assert meta.um_per_px == pytest.approx(17.81554 / 127, rel=1e-4)  # length in the header over its steps
    assert meta.frame_interval_s == pytest.approx(10.07 / 19, rel=1e-3)
    assert (meta.na, meta.immersion, meta.modality) == (1.3, "glycerol", "confocal")
    assert "Z is read as Y" in meta.notes[0]
    with open_recording(path, series=1) as recording:
        assert recording.sizes["Z"] == 23
    with pytest.raises(RecordingError, match=r"holds 3 series \(0 'xzt', 1 'xzy', 2 'xz'\); choose --series 0 to 2"):
        preflight(path)


def test_cut_lif(real_data, tmp_path):
    path = tmp_path / "a.lif"
    sound = (real_data / "lif_readlif" / "xz-example" / "xz-example.lif").read_bytes()
    path.write_bytes(sound[:1_900_000])  # the last image's pixels end later
    with pytest.raises(RecordingError, match="cut short|cannot be read as LIF"):
        preflight(path, series=2)
    path.write_bytes(sound[:5000])
    with pytest.raises(RecordingError, match=r"header ends at byte \d+, file has 5000: cut short"):
        preflight(path, series=0)


def test_document_type_in_lif(real_data, tmp_path):
    sound = (real_data / "lif_readlif" / "xz-example" / "xz-example.lif").read_bytes()
    (n,) = struct.unpack("<I", sound[9:13])
    text = '<!DOCTYPE a [<!ENTITY b "c">]>' + sound[13 : 13 + 2 * n].decode("utf-16-le")
    path = tmp_path / "a.lif"
    path.write_bytes(
        sound[:4] + struct.pack("<I", 5 + 2 * len(text)) + b"\x2a" + struct.pack("<I", len(text))
        + text.encode("utf-16-le") + sound[13 + 2 * n :]
    )  # fmt: skip
    with pytest.raises(RecordingError, match=r"document type \(DTD\)"):
        preflight(path, series=0)


# ---------------------------------------------------------------- CZI


def write_czi(path, leave_out=(), n_t=3, packing=None):
    from pylibCZIrw import czi

    with czi.create_czi(str(path), compression_options=packing) as document:
        for t, c, z in np.ndindex(n_t, 2, 2):
            if (t, c, z) not in leave_out:
                pixels = np.full((20, 24, 1), t * 100 + c * 10 + z, np.uint16)
                document.write(pixels, plane={"T": t, "C": c, "Z": z})
        document.write_metadata(
            document_name="a", channel_names={0: "Host", 1: "Guest"}, scale_x=3e-7, scale_y=3e-7, scale_z=1e-6
        )
    return path


def test_czi_planes_scale_and_names(tmp_path):
    with open_recording(write_czi(tmp_path / "a.czi")) as recording:
        assert recording.sizes == {"T": 3, "C": 2, "Z": 2, "Y": 20, "X": 24}
        for t, c, z in np.ndindex(3, 2, 2):
            assert (recording.plane(t, c, z) == t * 100 + c * 10 + z).all()
        meta = recording.metadata
    assert meta.um_per_px == pytest.approx(0.3)
    assert meta.um_per_z == pytest.approx(1.0)
    assert meta.channel_names == ("Host", "Guest")


def test_czi_gap_is_not_zeros(tmp_path):
    path = write_czi(tmp_path / "a.czi", leave_out=[(1, 0, 1)])
    with pytest.raises(RecordingError, match=r"declares 3 x 2 x 2 planes \(T, C, Z\), found 11; not zero-filled"):
        preflight(path)


def test_cut_czi(tmp_path):
    sound = write_czi(tmp_path / "a.czi").read_bytes()
    for share in (0.02, 0.3, 0.7, 0.98):
        path = tmp_path / "b.czi"
        path.write_bytes(sound[: int(share * len(sound))])
        with pytest.raises(RecordingError, match=r"b\.czi"):
            preflight(path)


@pytest.mark.parametrize("packing", ["zstd0:ExplicitLevel=1", "zstd1:ExplicitLevel=1;PreProcess=HiLoByteUnpack"])
def test_czi_plane_whose_packed_pixels_are_too_many(tmp_path, packing):
    path = write_czi(tmp_path / "a.czi", packing=packing)
    with open_recording(path) as recording:
        assert (recording.plane(2, 1, 1) == 211).all()
    data = bytearray(path.read_bytes())
    frames = [m.start() for m in re.finditer(rb"\x28\xb5\x2f\xfd", bytes(data))]
    assert len(frames) == 12
    # a frame of a single segment whose length takes eight bytes
    data[frames[5] + 4 : frames[5] + 13] = b"\xe0" + struct.pack("<Q", 3 << 30)
    path.write_bytes(bytes(data))
    with pytest.raises(RecordingError, match=r"a\.czi: plane \d+ holds 3221225472 bytes where 960 are declared; copy"):
        preflight(path)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a.lif", "its header declares 4294967280 bytes; at most 268435456 are read"),
        ("a.czi", "the ZISRAWDIRECTORY at byte 512 declares 100000000000 bytes; at most"),
        ("a.nd2", "its chunk map declares 100000000000 bytes; at most"),
    ],
)
def test_headers_without_end_are_refused_before_they_are_read(tmp_path, name, said):
    path = tmp_path / name
    if name.endswith("lif"):
        path.write_bytes(struct.pack("<IIBI", 0x70, 2**32 - 1, 0x2A, 2**31 - 8) + b"<\0a\0>\0")
    elif name.endswith("czi"):
        head = struct.pack("<16sqq", b"ZISRAWFILE", 480, 480) + struct.pack("<iiii", 1, 0, 0, 0) + bytes(32)
        head += struct.pack("<iqqiq", 0, 512, 0, 0, 0)
        path.write_bytes(head.ljust(512, b"\0") + struct.pack("<16sqq", b"ZISRAWDIRECTORY", 10**11, 10**11))
    else:
        path.write_bytes(struct.pack("<IIQ", 0x0ABECEDA, 32, 10**11) + bytes(100))
    os.truncate(path, 10**12)
    if name.endswith("nd2"):
        with path.open("r+b") as file:
            file.seek(10**12 - 40)
            file.write(b"ND2 CHUNK MAP SIGNATURE 0000001!" + struct.pack("<Q", 0))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(RecordingError, match=rf"{re.escape(name)}: {said}"):
        preflight(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


class _PackedFile:
    """As much of the library's file as the reader asks for: one frame of 4 x 6 pixels in two channels, packed."""

    sizes = MappingProxyType({"Y": 4, "X": 6, "C": 2})
    dtype = np.uint16
    loop_indices = ({},)
    experiment = ()
    attributes = SimpleNamespace(compressionType="lossless", widthBytes=24, bitsPerComponentSignificant=None)
    metadata = SimpleNamespace(channels=[])

    def voxel_size(self):
        return SimpleNamespace(x=1.0, y=1.0, z=1.0)

    def read_frame(self, number):
        return np.arange(48, dtype=np.uint16).reshape(2, 4, 6)

    def close(self):
        pass


@pytest.mark.parametrize(("n", "said"), [(96, ""), (97, "holds at least 97 bytes"), (3 << 24, "holds at least 97")])
def test_nd2_frame_whose_packed_pixels_are_too_many(tmp_path, n, said):
    packed = zlib.compress(bytes(n))
    name = b"ImageDataSeq|0!".ljust(32, b"\0")
    path = tmp_path / "a.nd2"
    path.write_bytes(struct.pack("<IIQ", 0x0ABECEDA, len(name), 8 + len(packed)) + name + bytes(8) + packed)
    spans = {0: (0, path.stat().st_size)}
    recording = Nd2Recording(path, _PackedFile(), spans, ReadOptions())
    if not said:
        assert recording.plane(0, 1, 0)[0, 0] == 24
        return
    with pytest.raises(PlaneError, match=rf"a\.nd2: plane t=0, c=1, z=0 .*its frame {said}"):
        recording.plane(0, 1, 0)


def test_czi_time_stamps(tmp_path):
    """Attachment and its directory appended as the microscope writes them."""
    path = write_czi(tmp_path / "a.czi")
    data = bytearray(path.read_bytes())
    stamps = struct.pack("<ii3d", 0, 3, 5.0, 65.0, 190.0)
    entry = (
        b"A1" + bytes(10) + struct.pack("<q", len(data)) + bytes(20) + b"CZTIMS\0\0" + b"TimeStamps".ljust(80, b"\0")
    )
    assert len(entry) == 128
    body = struct.pack("<i", len(stamps)) + bytes(12) + entry + bytes(112) + stamps
    attachment = b"ZISRAWATTACH".ljust(16, b"\0") + struct.pack("<qq", len(body), len(body)) + body
    listing = struct.pack("<i", 1) + bytes(252) + entry
    directory = b"ZISRAWATTDIR".ljust(16, b"\0") + struct.pack("<qq", len(listing), len(listing)) + listing
    data[32 + 72 : 32 + 80] = struct.pack("<q", len(data) + len(attachment))
    path.write_bytes(bytes(data) + attachment + directory)
    assert read_directory(path).time_s.tolist() == [5, 65, 190]
    meta = preflight(path).metadata
    assert meta.time_s.tolist() == [0, 60, 185]


def test_real_czi(real_data):
    path = real_data / "czi_permissive" / "xyz__multiple_images.czi"
    assert series_names(path) == ("scene 1", "scene 2")
    with open_recording(path, series=1) as recording:
        assert recording.sizes == {"T": 1, "C": 1, "Z": 2, "Y": 251, "X": 251}
        assert recording.frame(0).sum() == 1551195176
        meta = recording.metadata
    assert meta.um_per_px == pytest.approx(0.195644, abs=1e-6)
    assert (meta.um_per_z, meta.na, meta.immersion) == (pytest.approx(0.3), pytest.approx(1.4), "oil")
    colour = preflight(real_data / "czi_permissive" / "test_image.czi")
    assert colour.sizes == {"T": 1, "C": 3, "Z": 1, "Y": 513, "X": 639}
    assert colour.metadata.um_per_px is None


# ---------------------------------------------------------------- missing libraries, wrong names


@pytest.mark.parametrize(
    ("source", "module", "extra"),
    [
        ("nd2_arcadia/example-zstack.nd2", "nd2", "nd2"),
        ("lif_readlif/xz-example/xz-example.lif", "liffile", "lif"),
        ("czi_permissive/test_image.czi", "pylibCZIrw", "czi"),
    ],
)
def test_a_missing_library_names_its_extra(real_data, monkeypatch, source, module, extra):
    import sys

    for name in [n for n in sys.modules if n.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    genuine = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.split(".")[0] == module:
            raise ImportError(name)
        return genuine(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    monkeypatch.setattr("importlib.import_module", lambda name: refuse(name))
    with pytest.raises(RecordingError, match=rf"needs {module}.*not installed; run: pip install 'cicimage\[{extra}\]'"):
        preflight(real_data / source, series=0)


def test_content_decides_and_not_the_extension(real_data, tmp_path):
    path = tmp_path / "a.tif"
    shutil.copy(real_data / "nd2_arcadia" / "example-zstack.nd2", path)
    assert preflight(path).sizes["Z"] == 11
