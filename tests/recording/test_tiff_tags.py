"""TIFF tags that change what pixels mean are obeyed or refused; stacks stored as samples are whole."""

import numpy as np
import pytest
import tifffile
from tiff_maker import numbered, ome_xml, write_ome

from cicimage.errors import RecordingError
from cicimage.recording import open_recording
from cicimage.recording.scale import SECONDS, UM, MetadataValidator, factor_of

MOVIE = numbered(t=6, c=3, z=1)[:, :, 0]  # (T, C, Y, X)
AS_COLOURS = {"photometric": "rgb", "planarconfig": "separate"}
"""How tifffile and others store stacks of 3 and 4 planes where nothing is said."""


def read(path, **options):
    with open_recording(path, **options) as recording:
        s = recording.sizes
        planes = [[recording.plane(t, c, 0) for c in range(s["C"])] for t in range(s["T"])]
        return np.array(planes), recording.metadata


def patch(path, tag, value):
    with tifffile.TiffFile(path, mode="r+") as file:
        for page in file.pages:
            page.tags[tag].overwrite(value)
    return path


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("channels", [3, 4])
def test_channels_that_a_writer_took_for_colours_are_read(tmp_path, compression, channels):
    movie = numbered(t=5, c=channels, z=1)[:, :, 0]
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, movie, metadata={"axes": "TCYX"}, compression=compression, **AS_COLOURS)
    assert np.array_equal(read(path)[0], movie)


@pytest.mark.parametrize("frames", [3, 4])
def test_frames_that_a_writer_took_for_colours_are_read(tmp_path, frames):
    movie = MOVIE[:frames, 0]
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, movie, metadata={"axes": "TYX"}, **AS_COLOURS)
    assert np.array_equal(read(path)[0][:, 0], movie)


@pytest.mark.parametrize("axes", ["TCYX", "TC3YX", "T6CYX", "TYX"])
def test_without_axes_the_experiment_file_says_what_the_samples_are(tmp_path, axes):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, MOVIE, **AS_COLOURS)
    with pytest.raises(RecordingError, match="give axes in"):
        read(path)
    assert np.array_equal(read(path, axes=axes)[0], MOVIE)


def test_slices_tiled_in_planes_of_samples_are_read(tmp_path):
    stack = np.pad(MOVIE, ((0, 0), (0, 0), (0, 12), (0, 8)))
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stack, metadata={"axes": "TCYX"}, tile=(16, 16), **AS_COLOURS)
    assert np.array_equal(read(path)[0], stack)


@pytest.mark.parametrize("axes", ["TYXS", "TYXC"])
@pytest.mark.parametrize("channels", [3, 4])
def test_channels_behind_the_pixels_are_read(tmp_path, axes, channels):
    movie = numbered(t=5, c=channels, z=1)[:, :, 0]
    path = tmp_path / "a.tif"
    behind = np.ascontiguousarray(np.moveaxis(movie, 1, -1))
    tifffile.imwrite(path, behind, photometric="rgb", metadata={"axes": axes})
    assert np.array_equal(read(path)[0], movie)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
def test_white_as_zero_is_read_inverted_and_said(tmp_path, dtype):
    movie = MOVIE[:, :2].astype(dtype)
    path = tmp_path / "a.tif"
    stored = np.iinfo(dtype).max - movie
    tifffile.imwrite(path, stored, photometric="miniswhite", metadata={"axes": "TCYX"})
    pixels, metadata = read(path)
    assert np.array_equal(pixels, movie)
    assert pixels.dtype == dtype
    assert metadata.notes == ("a.tif: is stored with white as 0; read inverted, with black as 0",)


def test_white_as_zero_of_imagej_is_its_display_and_pixels_stay(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, MOVIE[:, :2], imagej=True, metadata={"axes": "TCYX"})
    patch(path, "PhotometricInterpretation", 0)
    pixels, metadata = read(path)
    assert np.array_equal(pixels, MOVIE[:, :2])
    assert metadata.notes == ("a.tif: ImageJ shows it inverted; its values are read as stored",)


def test_white_as_zero_of_floats_is_refused(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, MOVIE[:, :2].astype(np.float32), photometric="miniswhite", metadata={"axes": "TCYX"})
    with pytest.raises(RecordingError, match=r"has white as 0 in signed or floating values.*save it as grey values"):
        read(path)


def ramp(*channels):
    """A colour map of 256 entries, a ramp in some of red, green, blue."""
    return np.array([np.arange(256) * 257 if c else np.zeros(256) for c in channels], np.uint16)


@pytest.mark.parametrize("colour_map", [ramp(1, 1, 1), ramp(0, 1, 0)], ids=["grey", "green"])
def test_a_palette_that_only_colours_brightness_keeps_its_values(tmp_path, colour_map):
    path = tmp_path / "a.tif"
    movie = MOVIE[:, 0].astype(np.uint8)
    tifffile.imwrite(path, movie, photometric="palette", colormap=colour_map, metadata={"axes": "TYX"})
    assert np.array_equal(read(path)[0][:, 0], movie)


@pytest.mark.parametrize("colour_map", [ramp(1, 1, 1)[:, ::-1], np.roll(ramp(1, 0, 0), 9, axis=1), ramp(0, 0, 0)])
def test_a_palette_of_colours_without_order_is_refused(tmp_path, colour_map):
    path = tmp_path / "a.tif"
    movie = MOVIE[:, 0].astype(np.uint8)
    tifffile.imwrite(path, movie, photometric="palette", colormap=colour_map, metadata={"axes": "TYX"})
    with pytest.raises(RecordingError, match="numbers of colours"):
        read(path)


@pytest.mark.parametrize(
    ("orientation", "flip"), [(1, np.s_[:, :]), (2, np.s_[:, ::-1]), (3, np.s_[::-1, ::-1]), (4, np.s_[::-1, :])]
)
def test_mirrored_pages_are_read_from_the_top_left(tmp_path, orientation, flip):
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path,
        MOVIE[:, 0],
        metadata={"axes": "TYX"},
        photometric="minisblack",
        extratags=[(274, 3, 1, orientation, False)],
    )
    assert np.array_equal(read(path)[0][:, 0], np.array([frame[flip] for frame in MOVIE[:, 0]]))


@pytest.mark.parametrize("orientation", [5, 6, 7, 8, 0, 99])
def test_turned_pages_are_refused(tmp_path, orientation):
    path = tmp_path / "a.tif"
    tags = [(274, 3, 1, orientation, False)]
    tifffile.imwrite(path, MOVIE[:, 0], metadata={"axes": "TYX"}, photometric="minisblack", extratags=tags)
    with pytest.raises(RecordingError, match=f"is turned .Orientation = {orientation}., must be 1 to 4"):
        read(path)


def test_bits_in_reverse_order_are_refused(tmp_path):
    path = tmp_path / "a.tif"
    tags = [(65000, 3, 1, 2, False)]  # tifffile writes no FillOrder: a private tag is renamed
    tifffile.imwrite(path, MOVIE[:, 0], metadata={"axes": "TYX"}, photometric="minisblack", extratags=tags)
    path.write_bytes(path.read_bytes().replace(b"\xe8\xfd\x03\x00", b"\x0a\x01\x03\x00"))
    with pytest.raises(RecordingError, match="FillOrder = 2, must be 1"):
        read(path)


def test_other_colour_spaces_are_refused(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, MOVIE[:, 0], metadata={"axes": "TYX"}, photometric="minisblack")
    patch(path, "PhotometricInterpretation", 6)
    with pytest.raises(RecordingError, match="has values of YCbCr, must be grey or RGB"):
        read(path)


def test_two_planes_at_one_place_and_one_plane_at_two_places_are_refused(tmp_path):
    stack = numbered(t=3, c=1, z=1)
    twice = "".join(f'<TiffData FirstT="{t}" IFD="{i}" PlaneCount="1"/>' for i, t in enumerate((0, 1, 1)))
    path = write_ome(tmp_path / "a.ome.tif", stack, ome_xml(stack, "", twice))
    with pytest.raises(RecordingError, match="places two planes at t=1, c=0, z=0"):
        read(path)
    same = "".join(f'<TiffData FirstT="{t}" IFD="{i}" PlaneCount="1"/>' for t, i in enumerate((0, 1, 1)))
    path = write_ome(tmp_path / "b.ome.tif", stack, ome_xml(stack, "", same))
    with pytest.raises(RecordingError, match=r"places one plane of the file at 2 places \(again at t=2, c=0, z=0\)"):
        read(path)
    again = "".join(f'<TiffData FirstT="{t}" IFD="{t}" PlaneCount="1"/>' for t in (0, 1, 2, 2))
    path = write_ome(tmp_path / "c.ome.tif", stack, ome_xml(stack, "", again))  # said twice, and the same
    assert np.array_equal(read(path)[0], stack[:, :, 0])


def test_planes_that_the_document_places_nowhere_are_said(tmp_path):
    stack = numbered(t=5, c=1, z=1)
    first = '<TiffData IFD="0" PlaneCount="3"/>'
    path = write_ome(tmp_path / "a.ome.tif", stack, ome_xml(stack[:3], "", first))
    pixels, metadata = read(path)
    assert np.array_equal(pixels, stack[:3, :, 0])
    said = "a.ome.tif: holds 2 more planes like those of its image, which its OME-XML places nowhere; not read"
    assert metadata.notes == (said,)
    path = write_ome(tmp_path / "b.ome.tif", stack)
    assert read(path)[1].notes == ()


@pytest.mark.parametrize(
    ("unit", "um"),
    [("um", 1), ("µm", 1), ("μm", 1), ("Micrometers", 1), ("microns", 1), ("micrometre", 1), ("\\u00B5m", 1),
     ("Âµm", 1), ("nm", 1e-3), ("mm", 1e3), ("inches", 25400), ("Pixel", None), ("um/px", None), ("", None)],
)  # fmt: skip
def test_lengths_as_programs_write_them(unit, um):
    assert factor_of(unit, UM) == um


@pytest.mark.parametrize(
    ("unit", "seconds"),
    [("s", 1), ("secs", 1), ("sec.", 1), ("Seconds", 1), ("ms", 1e-3), ("min", 60), ("mins", 60), ("Minutes", 60),
     ("hrs", 3600), ("hours", 3600), ("days", 86400), ("Minuten", None), ("frame", None)],
)  # fmt: skip
def test_times_as_programs_write_them(unit, seconds):
    assert factor_of(unit, SECONDS) == seconds


def imagej(path, stack, axes, **metadata):
    tifffile.imwrite(path, stack, imagej=True, resolution=(1 / 0.65, 1 / 0.65), metadata={"axes": axes, **metadata})
    return path


def test_imagej_gives_each_axis_its_own_unit(tmp_path):
    stack = numbered(t=1, c=2, z=4)[0].transpose(1, 0, 2, 3)
    path = imagej(tmp_path / "a.tif", stack, "ZCYX", unit="um", zunit="nm", spacing=1500.0)
    with open_recording(path) as recording:
        assert (recording.metadata.um_per_px, recording.metadata.um_per_z) == pytest.approx((0.65, 1.5))
    path = imagej(tmp_path / "b.tif", stack, "ZCYX", unit="um", yunit="inch", spacing=1.5)
    with pytest.raises(RecordingError, match="they must be square"):
        read(path)
    path = imagej(tmp_path / "c.tif", stack, "ZCYX", unit="furlong", spacing=1.5)
    with open_recording(path) as recording:
        assert recording.metadata.um_per_px is None
        assert recording.metadata.notes == ("c.tif: ImageJ unit 'furlong' is not a length that is known; not used",)


def test_an_interval_that_no_step_agrees_with_is_refused_or_noted():
    clock = np.array([0.0, 60.0, 120.0])
    with pytest.raises(RecordingError, match="a says 300 s between frames, b says 60 s; they must agree: give"):
        MetadataValidator("x").compare_interval("a", 300.0, "b", clock)
    given = MetadataValidator("x", ("frame_interval_s",))
    given.compare_interval("a", 300.0, "b", clock)
    assert given.notes == [
        "x: a says 300 s between frames, b says 60 s; they must agree; the experiment file's frame_interval_s is used"
    ]
    for sound in (65.0, 60.0, None):
        MetadataValidator("x").compare_interval("a", sound, "b", clock)
    MetadataValidator("x").compare_interval("a", 60.0, "b", np.array([0.0, 60.0, 3600.0]))  # a pause is no fault
