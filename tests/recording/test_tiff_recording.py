from __future__ import annotations

import itertools
import pickle

import numpy as np
import pytest
import tifffile
from tiff_maker import numbered, ome_xml, write_ome, write_pages

from cicimage.errors import RecordingError
from cicimage.recording import PlaneError, open_recording, preflight


def whole(recording):
    return np.stack([recording.frame(t) for t in range(recording.sizes["T"])])


@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "zstd", "packbits", "lzma"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
@pytest.mark.parametrize("layout", [{}, {"rowsperstrip": 7}, {"tile": (16, 16)}])
def test_every_packing_gives_the_pixels_back(tmp_path, compression, dtype, layout):
    if compression == "packbits" and dtype != np.uint8:
        pytest.skip("the writer packs bits of bytes only")
    movie = numbered(dtype=dtype)
    path = write_ome(tmp_path / "a.ome.tif", movie, compression=compression, **layout)
    with open_recording(path) as recording:
        assert recording.sizes == {"T": 4, "C": 2, "Z": 3, "Y": 20, "X": 24}
        assert recording.dtype == dtype
        assert np.array_equal(whole(recording), movie)


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize(("compression", "predictor"), [(None, None), ("zlib", True), ("lzw", True), ("zlib", None)])
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_byte_orders_and_predictors(tmp_path, byteorder, bigtiff, compression, predictor, dtype):
    movie = numbered(dtype=dtype)
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, movie, ome=True, metadata={"axes": "TCZYX"}, byteorder=byteorder, bigtiff=bigtiff,
        compression=compression, predictor=predictor, photometric="minisblack",
    )  # fmt: skip
    with open_recording(path) as recording:
        assert recording.dtype.isnative
        assert np.array_equal(whole(recording), movie)


@pytest.mark.parametrize("order", ["XY" + "".join(p) for p in itertools.permutations("ZCT")])
def test_each_order_of_dimensions(tmp_path, order):
    movie = numbered()
    stack = np.transpose(movie, ["TCZ".index(a) for a in reversed(order[2:])] + [3, 4])
    xml = ome_xml(movie).replace("XYCZT", order)
    path = write_pages(tmp_path / "a.ome.tif", stack.reshape(-1, 20, 24), xml)
    with open_recording(path) as recording:
        assert np.array_equal(whole(recording), movie)


def test_planes_listed_one_by_one_in_any_order(tmp_path):
    movie = numbered(t=2, c=1, z=2)
    places = [(1, 1), (0, 0), (1, 0), (0, 1)]  # t, z of the pages in the file
    blocks = "".join(f'<TiffData IFD="{i}" FirstT="{t}" FirstZ="{z}"/>' for i, (t, z) in enumerate(places))
    path = write_pages(tmp_path / "a.ome.tif", [movie[t, 0, z] for t, z in places], ome_xml(movie, inside=blocks))
    with open_recording(path) as recording:
        assert np.array_equal(whole(recording), movie)


def test_planes_in_companion_files(tmp_path):
    movie = numbered(t=3, c=1, z=1)
    blocks = "".join(
        f'<TiffData IFD="0" FirstT="{t}" PlaneCount="1"><UUID FileName="p{t}.ome.tif">urn:uuid:{t}</UUID></TiffData>'
        for t in range(3)
    )
    for t in range(3):
        write_pages(tmp_path / f"p{t}.ome.tif", [movie[t, 0, 0]], ome_xml(movie, inside=blocks))
    for t in range(3):
        with open_recording(tmp_path / f"p{t}.ome.tif") as recording:
            assert np.array_equal(whole(recording), movie)


def test_a_renamed_file_is_still_itself(tmp_path):
    movie = numbered(t=2, c=1, z=1)
    blocks = '<TiffData><UUID FileName="before.ome.tif">urn:uuid:1</UUID></TiffData>'
    path = write_ome(tmp_path / "after.ome.tif", movie, ome_xml(movie, inside=blocks))
    with open_recording(path) as recording:
        assert np.array_equal(whole(recording), movie)


def test_metadata_in_a_companion_document(tmp_path):
    movie = numbered(t=2, c=1, z=1)
    pointer = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        '<BinaryOnly MetadataFile="a.companion.ome" UUID="urn:uuid:1"/></OME>'
    )
    (tmp_path / "a.companion.ome").write_text(ome_xml(movie, more='PhysicalSizeX="0.5" PhysicalSizeY="0.5"'))
    path = write_ome(tmp_path / "a.ome.tif", movie, pointer)
    with open_recording(path) as recording:
        assert recording.metadata.um_per_px == 0.5
        assert np.array_equal(whole(recording), movie)


def test_one_series_of_several(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as writer:
        for k in range(2):
            writer.write(numbered(t=2, c=1, z=1)[:, 0, 0] + 100 * k, metadata={"axes": "TYX"}, photometric="minisblack")
    with open_recording(tmp_path / "a.ome.tif", series=1) as recording:
        assert recording.plane(1, 0, 0)[0, 0] == numbered(t=2, c=1, z=1)[1, 0, 0, 0, 0] + 100


@pytest.mark.parametrize("together", [True, False])
def test_imagej_hyperstack_contiguous_and_page_by_page(tmp_path, together):
    movie = np.moveaxis(numbered(), 1, 2)  # ImageJ: T, Z, C
    path = tmp_path / "a.tif"
    options = {"contiguous": True} if together else {"compression": "zlib"}
    tifffile.imwrite(
        path, movie, imagej=True, resolution=(1 / 0.5, 1 / 0.5), photometric="minisblack",
        metadata={"axes": "TZCYX", "unit": "um", "spacing": 2.0, "finterval": 90.0}, **options,
    )  # fmt: skip
    with open_recording(path) as recording:
        assert np.array_equal(whole(recording), np.moveaxis(movie, 1, 2))
        meta = recording.metadata
    assert (meta.um_per_px, meta.um_per_z, meta.frame_interval_s) == (pytest.approx(0.5), 2.0, 90.0)


def test_imagej_with_a_single_directory_for_all_planes(tmp_path):
    """ImageJ itself writes files over 4 GB with one directory only."""
    movie = numbered(t=5, c=1, z=1)
    text = "ImageJ=1.54f\nimages=5\nframes=5\nhyperstack=true\n"
    path = write_pages(tmp_path / "a.tif", [movie[0, 0, 0]], text)
    with path.open("ab") as file:
        start = tifffile.TiffFile(path).pages[0].dataoffsets[0]
        file.seek(0, 2)
    rest = movie[1:, 0, 0].tobytes()
    data = bytearray(path.read_bytes())
    end = start + movie[0, 0, 0].nbytes
    assert end == len(data)  # the plane lies last: the others follow it
    path.write_bytes(bytes(data) + rest)
    with open_recording(path) as recording:
        assert np.array_equal(whole(recording), movie)


def test_channel_names_from_slice_labels(tmp_path):
    movie = numbered(t=2, c=2, z=1)[:, :, 0]
    tifffile.imwrite(
        tmp_path / "a.tif", movie, imagej=True, photometric="minisblack",
        metadata={"axes": "TCYX", "Labels": ["Host", "Guest"] * 2},
    )  # fmt: skip
    with open_recording(tmp_path / "a.tif") as recording:
        assert recording.metadata.channel_names == ("Host", "Guest")


@pytest.mark.parametrize(
    ("axes", "sizes"), [("TYX", (12, 1, 1)), ("TC2YX", (6, 2, 1)), ("T2C3ZYX", (2, 3, 2)), ("ZYX", (1, 1, 12))]
)
def test_plain_stack_with_axes_given(tmp_path, axes, sizes):
    planes = numbered(t=12, c=1, z=1)[:, 0, 0]
    path = write_pages(tmp_path / "a.tif", planes)
    with open_recording(path, axes=axes) as recording:
        assert tuple(recording.sizes[a] for a in "TCZ") == sizes
        letters = [a for a in axes if a in "TCZ"]
        shape = [dict(zip("TCZ", sizes, strict=True))[a] for a in letters]
        for i, place in enumerate(np.ndindex(*shape)):
            at = {"t": 0, "c": 0, "z": 0} | dict(zip([a.lower() for a in letters], place, strict=True))
            assert np.array_equal(recording.plane(**at), planes[i])


def test_shape_in_the_description_is_used_with_axes(tmp_path):
    movie = numbered(t=3, c=2, z=1)[:, :, 0]
    tifffile.imwrite(tmp_path / "a.tif", movie, photometric="minisblack")  # shape, no axes
    with open_recording(tmp_path / "a.tif", axes="TCYX") as recording:
        assert np.array_equal(whole(recording)[:, :, 0], movie)


def test_colour_pixels_are_channels(tmp_path):
    movie = numbered(t=1, c=3, z=1, dtype=np.uint8)[0, :, 0]
    tifffile.imwrite(
        tmp_path / "inside.tif", np.moveaxis(movie, 0, -1), photometric="rgb", compression="zlib", predictor=True
    )
    tifffile.imwrite(tmp_path / "apart.tif", movie, photometric="rgb", planarconfig="separate", compression="lzw")
    for name in ("inside.tif", "apart.tif"):
        with open_recording(tmp_path / name) as recording:
            assert recording.sizes["C"] == 3
            assert np.array_equal(recording.frame(0)[:, 0], movie)


def test_thumbnails_are_left_out(tmp_path):
    planes = numbered(t=3, c=1, z=1)[:, 0, 0]
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for p in planes:
            writer.write(p, metadata=None, contiguous=False, photometric="minisblack")
        writer.write(planes[0, ::4, ::4], metadata=None, contiguous=False, subfiletype=1, photometric="minisblack")
    with open_recording(tmp_path / "a.tif", axes="TYX") as recording:
        assert recording.sizes["T"] == 3


def test_scale_times_and_optics_of_ome(tmp_path):
    movie = numbered(t=3, c=2, z=2)
    more = (
        'PhysicalSizeX="325" PhysicalSizeXUnit="nm" PhysicalSizeY="0.325" PhysicalSizeZ="1.5" '
        'TimeIncrement="2" TimeIncrementUnit="min"'
    )
    channels = (
        '<Channel Name="Host" AcquisitionMode="SpinningDiskConfocal" EmissionWavelength="600"/>'
        '<Channel Name="Guest" AcquisitionMode="SpinningDiskConfocal" EmissionWavelength="520"/><TiffData/>'
    )
    times = "".join(f'<Plane TheT="{t}" TheC="0" TheZ="0" DeltaT="{s}"/>' for t, s in enumerate((10, 130, 400)))
    xml = ome_xml(movie, more, channels + times)
    xml = xml.replace(
        '<Image ID="Image:0" Name="field">',
        '<Instrument ID="I:0"><Objective ID="O:0" LensNA="0.95" Immersion="Air" Model="Plan 40x"/></Instrument>'
        '<Image ID="Image:0" Name="field"><ObjectiveSettings ID="O:0" RefractiveIndex="1.33"/>',
    )
    meta = preflight(write_ome(tmp_path / "a.ome.tif", movie, xml)).metadata
    assert meta.um_per_px == pytest.approx(0.325)
    assert meta.um_per_z == 1.5
    assert meta.frame_interval_s == 120
    assert meta.time_s.tolist() == [0, 120, 390]
    assert meta.channel_names == ("Host", "Guest")
    assert (meta.na, meta.immersion, meta.medium_index) == (0.95, "air", 1.33)
    assert (meta.modality, meta.objective) == ("spinning_disk", "Plan 40x")
    assert meta.emission_um == pytest.approx((0.6, 0.52))


def test_zero_increment_with_times_is_read_from_the_times(tmp_path):
    movie = numbered(t=3, c=1, z=1)
    times = "<TiffData/>" + "".join(f'<Plane TheT="{t}" DeltaT="{60 * t}"/>' for t in range(3))
    xml = ome_xml(movie, 'TimeIncrement="0.0"', times)
    assert preflight(write_ome(tmp_path / "a.ome.tif", movie, xml)).metadata.frame_interval_s == 60


@pytest.mark.parametrize(
    ("written", "bits"), [('SignificantBits="12"', 12), ('SignificantBits="many"', None), ("", None)]
)
def test_bits_that_the_camera_fills(tmp_path, written, bits):
    stack = numbered()
    write_ome(tmp_path / "a.ome.tif", stack, ome_xml(stack, written, "<TiffData/>"))
    with open_recording(tmp_path / "a.ome.tif") as recording:
        assert recording.metadata.significant_bits == bits


def test_what_the_file_does_not_say_is_none(tmp_path):
    meta = preflight(write_ome(tmp_path / "a.ome.tif", numbered())).metadata
    said = {k: v for k, v in vars(meta).items() if v not in (None, ())}
    assert said == {}


def test_preflight_says_what_is_needed_and_decodes_nothing(tmp_path):
    movie = numbered()
    path = write_ome(tmp_path / "a.ome.tif", movie, compression="zlib")
    damaged = bytearray(path.read_bytes())
    start = tifffile.TiffFile(path).pages[3].dataoffsets[0]
    damaged[start : start + 8] = b"\xff" * 8
    path.write_bytes(bytes(damaged))
    found = preflight(path)
    assert found.plane_bytes == 20 * 24 * 2
    assert found.frame_bytes == movie[0].nbytes
    assert found.decoded_bytes == movie.nbytes


def test_one_bad_plane_is_named_and_shifts_no_time(tmp_path):
    movie = numbered()
    path = write_ome(tmp_path / "a.ome.tif", movie, compression="zlib")
    page = 1 * 6 + 2 * 2 + 1  # t=1, z=2, c=1 with C fastest
    damaged = bytearray(path.read_bytes())
    start = tifffile.TiffFile(path).pages[page].dataoffsets[0]
    damaged[start + 10] ^= 0x55
    path.write_bytes(bytes(damaged))
    with open_recording(path) as recording:
        with pytest.raises(PlaneError, match=r"a\.ome\.tif: plane t=1, c=1, z=2 cannot be decoded") as caught:
            recording.frame(1)
        assert (caught.value.t, caught.value.c, caught.value.z) == (1, 1, 2)
        for t in (0, 2, 3):
            assert np.array_equal(recording.frame(t), movie[t])
        assert np.array_equal(recording.frame(1, channels=[0]), movie[1, :1])
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - crosses to the batch's process
    assert (str(again), again.z) == (str(caught.value), 2)


def test_indices_outside_and_files_closed(tmp_path):
    with open_recording(write_ome(tmp_path / "a.ome.tif", numbered())) as recording:
        for at in [(4, 0, 0), (-1, 0, 0), (0, 2, 0), (0, 0, 3)]:
            with pytest.raises(IndexError, match="outside 0"):
                recording.plane(*at)


def test_real_tiffs_agree_with_another_reader(real_data):
    axes = {"cancer_cell_migration_crop.tif": "TYX", "img3d.tif": "ZYX", "mask3d.tif": "ZYX",
            "example_images.tif": "TYX", "example_label.tif": "TYX"}  # fmt: skip
    checked = 0
    for path in sorted(real_data.glob("**/*.tif*")):
        if path.suffix == ".labels":
            continue
        with tifffile.TiffFile(path) as file:
            coloured = file.pages[0].photometric == tifffile.PHOTOMETRIC.PALETTE
        if coloured and "labels" in path.name:  # labels in colours without order are no intensities
            with pytest.raises(RecordingError, match="numbers of colours"):
                open_recording(path)
            continue
        with open_recording(path, axes=axes.get(path.name)) as recording:
            mine = whole(recording)
        other = tifffile.imread(path)
        if other.ndim > 2 and other.shape[-1] in (3, 4) and other.shape[-1] == mine.shape[1]:
            other = np.moveaxis(other, -1, 0)
        assert np.array_equal(mine.squeeze(), other.squeeze()), path
        checked += 1
    assert checked >= 30


def test_scale_of_real_imagej_files(real_data):
    found = preflight(real_data / "neubias_small" / "xyc_16bit__cell_dna_mts_actin.tif")
    assert found.sizes["C"] == 3
    assert found.metadata.um_per_px == pytest.approx(0.1325, abs=1e-4)
    adcc = next((real_data / "celldetective_adcc" / "adcc" / "images").iterdir())
    assert preflight(adcc).sizes == {"T": 1, "C": 4, "Z": 1, "Y": 512, "X": 512}
    assert preflight(adcc).metadata.um_per_px is None


def test_a_series_that_is_not_there(tmp_path):
    path = write_ome(tmp_path / "a.ome.tif", numbered())
    with pytest.raises(RecordingError, match="--series 1"):
        open_recording(path, series=1)


def test_one_slice_of_a_stack_is_a_recording_of_one_plane(tmp_path):
    movie = numbered()
    path = write_ome(tmp_path / "a.ome.tif", movie)
    with open_recording(path, z_slice=2) as recording:
        assert recording.sizes == {"T": 4, "C": 2, "Z": 1, "Y": 20, "X": 24}
        assert recording.metadata.um_per_z is None
        assert np.array_equal(whole(recording), movie[:, :, 2:3])
        with pytest.raises(IndexError, match=r"z=1 is outside 0\.\.0"):
            recording.plane(0, 0, 1)
    with pytest.raises(RecordingError, match=r"slice must be one of the stack's, 0 to 2, and is 3; set files\.slice"):
        open_recording(path, z_slice=3)
