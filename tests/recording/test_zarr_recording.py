from __future__ import annotations

import json
import struct

import google_crc32c
import numcodecs
import numpy as np
import pyarrow as pa
import pytest
import zarr
import zarr.codecs.numcodecs as zarr3
from tiff_maker import numbered
from zarr.codecs import BloscCodec, Crc32cCodec, GzipCodec, ZstdCodec

from cicimage.errors import RecordingError
from cicimage.recording import PlaneError, open_recording, preflight, series_names

AXES = [
    {"name": "t", "type": "time", "unit": "second"},
    {"name": "c", "type": "channel"},
    {"name": "z", "type": "space", "unit": "micrometer"},
    {"name": "y", "type": "space", "unit": "micrometer"},
    {"name": "x", "type": "space", "unit": "nanometer"},
]


def set_attributes(group, version, attributes):
    group.attrs.update({"ome": {"version": "0.5", **attributes}} if version == 3 else attributes)


def write_image(
    path, movie, version, *, axes=AXES, scale=(90, 1, 2.5, 0.325, 325), chunks=None, dataset="0", **options
):
    group = zarr.open_group(path, mode="w", zarr_format=version)
    array = group.create_array(
        "0", shape=movie.shape, chunks=chunks or (1, 1, 1, *movie.shape[-2:]), dtype=movie.dtype,
        config={"write_empty_chunks": True}, **options,
    )  # fmt: skip
    array[...] = movie
    multiscale = {
        "axes": axes,
        "datasets": [{"path": dataset, "coordinateTransformations": [{"type": "scale", "scale": list(scale)}]}],
    }
    omero = {"channels": [{"label": "Host"}, {"label": "Guest"}]}
    set_attributes(group, version, {"multiscales": [multiscale], "omero": omero})
    return path


def whole(recording):
    return np.stack([recording.frame(t) for t in range(recording.sizes["T"])])


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("chunks", [None, (2, 1, 3, 8, 10), (4, 2, 3, 20, 24)])
def test_images_of_both_versions(tmp_path, version, chunks):
    movie = numbered()
    path = write_image(tmp_path / "a.ome.zarr", movie, version, chunks=chunks)
    with open_recording(path) as recording:
        assert recording.sizes == {"T": 4, "C": 2, "Z": 3, "Y": 20, "X": 24}
        assert np.array_equal(whole(recording), movie)
        meta = recording.metadata
    assert meta.um_per_px == pytest.approx(0.325)
    assert (meta.um_per_z, meta.frame_interval_s) == (2.5, 90)
    assert meta.channel_names == ("Host", "Guest")


def test_sharded_arrays(tmp_path):
    movie = numbered()
    path = write_image(tmp_path / "a.zarr", movie, 3, chunks=(1, 1, 1, 10, 12), shards=(2, 1, 3, 20, 24))
    with open_recording(path) as recording:
        assert np.array_equal(whole(recording), movie)


def test_fewer_axes_and_other_order(tmp_path):
    movie = numbered()[:, :, 0]
    axes = [AXES[1], AXES[0], *AXES[3:]]
    path = write_image(
        tmp_path / "a.zarr", np.moveaxis(movie, 0, 1), 2, axes=axes, scale=(1, 90, 0.5, 500), chunks=(1, 1, 20, 24)
    )
    with open_recording(path) as recording:
        assert np.array_equal(whole(recording)[:, :, 0], movie)


def test_scale_without_units_is_noted_and_not_used(tmp_path):
    path = write_image(tmp_path / "a.zarr", numbered(), 2, axes=list("tczyx"), scale=(1, 1, 1, 0.3, 0.3))
    meta = preflight(path).metadata
    assert meta.um_per_px is None
    assert "without a unit" in meta.notes[0]


@pytest.mark.parametrize("version", [2, 3])
def test_plate_gives_wells_and_fields(tmp_path, version):
    root = zarr.open_group(tmp_path / "plate.zarr", mode="w", zarr_format=version)
    wells = []
    for k, well in enumerate(["B/2", "C/3"]):
        row, column = well.split("/")
        group = root.require_group(row).require_group(column)
        for field in range(2):
            write_image(tmp_path / "plate.zarr" / well / str(field), numbered() + 100 * (2 * k + field), version)
        set_attributes(group, version, {"well": {"images": [{"path": "0"}, {"path": "1"}]}})
        wells.append({"path": well, "rowIndex": k, "columnIndex": k})
    set_attributes(root, version, {"plate": {"wells": wells}})
    path = tmp_path / "plate.zarr"
    assert series_names(path) == ("B/2/0", "B/2/1", "C/3/0", "C/3/1")
    with open_recording(path, series=2) as recording:
        assert np.array_equal(whole(recording), numbered() + 200)
    with pytest.raises(RecordingError, match=r"holds 4 series \(0 'B/2/0', .*\); choose --series 0 to 3"):
        open_recording(path)


def test_numbered_images_in_one_folder(tmp_path):
    zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    for k in range(2):
        write_image(tmp_path / "a.zarr" / str(k), numbered() + k, 2)
    assert series_names(tmp_path / "a.zarr") == ("0", "1")


# ---------------------------------------------------------------- unsound ones


@pytest.mark.parametrize("version", [2, 3])
def test_one_missing_chunk_names_its_planes_and_is_not_zeros(tmp_path, version):
    movie = numbered(t=20)
    path = write_image(tmp_path / "a.zarr", movie, version)
    gone = path / "0" / ("3.1.2.0.0" if version == 2 else "c/3/1/2/0/0")
    gone.unlink()
    with open_recording(path) as recording:
        assert "1 of 120 chunks are missing" in recording.metadata.notes[0]
        with pytest.raises(PlaneError, match=r"plane t=3, c=1, z=2 cannot be decoded \(chunk .* is missing; not zero"):
            recording.frame(3)
        assert np.array_equal(recording.frame(4), movie[4])


def test_a_copy_that_stopped(tmp_path):
    path = write_image(tmp_path / "a.zarr", numbered(), 2)
    for t in (2, 3):
        for chunk in (path / "0").glob(f"{t}.*"):
            chunk.unlink()
    with pytest.raises(
        RecordingError, match=r"declares 24 chunks, found 12 \(first missing 2\.0\.0\.0\.0\); not zero-filled"
    ):
        open_recording(path)


@pytest.mark.parametrize("version", [2, 3])
def test_a_damaged_chunk_is_its_plane(tmp_path, version):
    movie = numbered(t=20)
    path = write_image(tmp_path / "a.zarr", movie, version)
    chunk = path / "0" / ("3.1.2.0.0" if version == 2 else "c/3/1/2/0/0")
    chunk.write_bytes(chunk.read_bytes()[:7])
    with open_recording(path) as recording:
        with pytest.raises(PlaneError, match="plane t=3, c=1, z=2 cannot be decoded"):
            recording.plane(3, 1, 2)
        assert np.array_equal(recording.frame(2), movie[2])


def edit(path, change):
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def test_huge_shapes_and_chunks(tmp_path):
    path = write_image(tmp_path / "a.zarr", numbered(), 2)
    edit(path / "0" / ".zarray", lambda d: d.update(shape=[2_000_000_000, 2, 3, 20, 24]))
    with pytest.raises(RecordingError, match="declares 12000000000 chunks, found 24; not zero-filled"):
        open_recording(path)
    edit(path / "0" / ".zarray", lambda d: d.update(shape=[4, 2, 3, 100_000, 100_000]))
    with pytest.raises(RecordingError, match=r"a plane needs 18\.6 GiB, budget 2 GiB"):
        open_recording(path)
    edit(path / "0" / ".zarray", lambda d: d.update(shape=[4, 2, 3, 20, 24], chunks=[1, 1, 1, 100_000, 100_000]))
    with pytest.raises(RecordingError, match=r"a plane needs 18\.6 GiB, budget 2 GiB"):
        open_recording(path)


@pytest.mark.parametrize("name", ["../../outside", "/etc", "", None, 3])
def test_paths_outside_the_folder(tmp_path, name):
    path = write_image(tmp_path / "a.zarr", numbered(), 2, dataset=name)
    with pytest.raises(RecordingError, match="lies outside its folder; only paths within are opened"):
        open_recording(path)


def test_codecs_that_could_do_more_are_refused(tmp_path):
    path = write_image(tmp_path / "a.zarr", numbered(), 2)
    edit(path / "0" / ".zarray", lambda d: d.update(filters=[{"id": "pickle"}]))
    with pytest.raises(RecordingError, match="codec 'pickle' is not one that is read"):
        open_recording(path)
    path = write_image(tmp_path / "b.zarr", numbered(), 3)
    edit(path / "0" / "zarr.json", lambda d: d["codecs"].append({"name": "numcodecs.pickle"}))
    with pytest.raises(RecordingError, match="codec 'numcodecs.pickle' is not"):
        open_recording(path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda d: d["multiscales"].clear(), "multiscales are not as OME-Zarr says"),
        (lambda d: d["multiscales"][0].pop("datasets"), "multiscales are not as OME-Zarr says"),
        (lambda d: d.pop("multiscales"), "holds no OME-Zarr image"),
        (lambda d: d["multiscales"][0].update(axes=list("qczyx")), "axes QCZYX with 5 dimensions"),
        (lambda d: d["multiscales"][0].update(axes=list("czyx")), "multiscales are not as OME-Zarr says"),
        (
            lambda d: d["multiscales"][0]["datasets"][0]["coordinateTransformations"][0].update(
                scale=[90, 1, 2.5, 0, 325]
            ),
            r"scale of Y = 0\.0 must be a number above 0; give um_per_px",
        ),
    ],
)
def test_metadata_that_is_none(tmp_path, change, sentence):
    path = write_image(tmp_path / "a.zarr", numbered(), 2)
    edit(path / ".zattrs", change)
    with pytest.raises(RecordingError, match=sentence):
        open_recording(path)


def test_broken_json_and_missing_arrays(tmp_path):
    path = write_image(tmp_path / "a.zarr", numbered(), 2)
    (path / ".zattrs").write_text("{")
    with pytest.raises(RecordingError, match="is not JSON"):
        open_recording(path)
    path = write_image(tmp_path / "b.zarr", numbered(), 2)
    (path / "0" / ".zarray").unlink()
    with pytest.raises(RecordingError, match="cannot be read"):
        open_recording(path)


def test_a_plate_without_its_well(tmp_path):
    root = zarr.open_group(tmp_path / "plate.zarr", mode="w", zarr_format=2)
    set_attributes(root, 2, {"plate": {"wells": [{"path": "B/2"}]}})
    with pytest.raises(RecordingError, match="well 'B/2' is declared and not there"):
        series_names(tmp_path / "plate.zarr")


# ---------------------------------------------------------------- chunks that hold more than they declare

BOMB = 8 << 20


def packed_zeros(codec):
    """A stream of one codec that holds 8 MiB of zeros."""
    if codec in ("blosc", "lz4"):  # their headers are believed by their libraries, whatever follows
        head = struct.pack("<BBBBIII", 2, 1, 0x21, 2, BOMB, 2**20, 64) if codec == "blosc" else struct.pack("<I", BOMB)
        return head + bytes(48)
    if codec == "zstd without length":
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, "zstd") as stream:
            stream.write(bytes(BOMB))
        return sink.getvalue().to_pybytes()
    return bytes(numcodecs.get_codec({"id": codec}).encode(bytes(BOMB)))


CODECS = ["zlib", "gzip", "bz2", "lzma", "zstd", "zstd without length", "blosc", "lz4"]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("version", [2, 3])
def test_a_chunk_unpacks_into_no_more_than_it_declares(tmp_path, codec, version):
    movie = numbered()
    name = codec.split()[0]
    compressor = (
        numcodecs.get_codec({"id": name})
        if version == 2
        else {"blosc": BloscCodec(), "gzip": GzipCodec(), "zstd": ZstdCodec()}.get(name)
        or {"zlib": zarr3.Zlib, "bz2": zarr3.BZ2, "lzma": zarr3.LZMA, "lz4": zarr3.LZ4}.get(name, zarr3.Zlib)()
    )
    path = write_image(tmp_path / "a.ome.zarr", movie, version, compressors=compressor)
    chunk = path / "0" / ("1.0.2.0.0" if version == 2 else "c/1/0/2/0/0")
    chunk.write_bytes(packed_zeros(codec))
    with open_recording(path) as recording:
        assert np.array_equal(recording.plane(1, 0, 1), movie[1, 0, 1])
        found = rf"({BOMB}|at least 961) bytes where 960 are declared"
        with pytest.raises(PlaneError, match=rf"a\.ome\.zarr: plane t=1, c=0, z=2 .*a chunk of it holds {found}"):
            recording.plane(1, 0, 2)


def test_a_chunk_of_a_shard_unpacks_into_no_more_than_it_declares(tmp_path):
    movie = numbered()
    path = write_image(
        tmp_path / "a.zarr", movie, 3, compressors=GzipCodec(), chunks=(1, 1, 1, 20, 24), shards=(1, 1, 3, 20, 24)
    )
    shard = path / "0/c/1/0/0/0/0"
    bomb = packed_zeros("gzip")
    index = struct.pack("<6Q", *(0, len(bomb)) * 3)
    shard.write_bytes(bomb + index + struct.pack("<I", google_crc32c.value(index)))
    with open_recording(path) as recording, pytest.raises(PlaneError, match="holds at least 961 bytes where 960"):
        recording.plane(1, 0, 2)


def test_a_chunk_whose_file_is_too_long_is_not_read(tmp_path):
    path = write_image(tmp_path / "a.zarr", numbered(), 2, compressors=None)
    with (path / "0" / "1.0.2.0.0").open("r+b") as file:
        file.truncate(10**12)
    with open_recording(path) as recording, pytest.raises(PlaneError, match="holds 1000000000000 bytes where"):
        recording.plane(1, 0, 2)


@pytest.mark.parametrize("filters", [[numcodecs.Delta("<u2")], [numcodecs.Delta("<u2", "<i8")], [numcodecs.Zlib()]])
def test_filters_may_store_more_than_the_pixels(tmp_path, filters):
    movie = numbered()
    path = write_image(tmp_path / "a.zarr", movie, 2, filters=filters, compressors=numcodecs.GZip())
    with open_recording(path) as recording:
        assert np.array_equal(whole(recording), movie)


@pytest.mark.parametrize(
    "codecs", [[GzipCodec(), Crc32cCodec()], [Crc32cCodec(), ZstdCodec()], [GzipCodec(), ZstdCodec()]]
)
def test_codecs_one_behind_the_other(tmp_path, codecs):
    movie = numbered()
    path = write_image(tmp_path / "a.zarr", movie, 3, compressors=codecs)
    with open_recording(path) as recording:
        assert np.array_equal(whole(recording), movie)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("kept", [0.5, 0.95])
def test_a_blosc_chunk_cut_short_is_its_plane(tmp_path, version, kept):
    """The library reads on in memory where the header states more bytes than there are."""
    path = write_image(tmp_path / "a.zarr", numbered(), version)  # Zarr 2 packs by Blosc
    if version == 3:
        path = write_image(tmp_path / "b.zarr", numbered(), 3, compressors=BloscCodec())
    chunk = path / "0" / ("0.0.0.0.0" if version == 2 else "c/0/0/0/0/0")
    data = chunk.read_bytes()
    chunk.write_bytes(data[: int(kept * len(data))])
    with open_recording(path) as recording:
        with pytest.raises(PlaneError, match=rf"Blosc chunk of \d+ bytes where its header states {len(data)}"):
            whole(recording)
