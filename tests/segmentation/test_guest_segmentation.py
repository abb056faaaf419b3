"""Guests in a plane, drawn as text: clusters, bright beside dim, debris, borders, empty frames."""

import warnings

import numpy as np
import pytest
from drawn_cells import balls, found_um, guest_picture, matched, scene
from hypothesis import given, settings
from hypothesis import strategies as st

from cicimage.masks import Mask
from cicimage.methods import build
from cicimage.segmentation.guests import LogGuestSegmenter

SEGMENTER = LogGuestSegmenter()

APART = """
............
..O....O....
............
......O.....
..O.........
............
"""
PAIR = """
........
........
..O.O...
........
........
"""
CLUSTER_OF_SEVEN = """
...........
...O.O.....
...........
..O.O.O....
...........
...O.O.....
...........
"""
ROW_OF_TEN = """
........................
..O.O.O.O.O.O.O.O.O.O...
........................
"""
DIM_BESIDE_BRIGHT = """
.........
.........
..O..o...
.........
.........
"""
DEBRIS = """
..........
..*....O..
.....*....
..O.....*.
.*........
"""
DYING = """
.........
..d...O..
.........
.O...d...
.........
"""
SMEAR = """
................
................
......H.........
................
................
............O...
................
"""
CUT_BY_THE_BORDER = """
O.......
........
.......O
........
...O....
"""


@pytest.mark.parametrize(
    "drawing",
    [APART, PAIR, CLUSTER_OF_SEVEN, ROW_OF_TEN, DIM_BESIDE_BRIGHT, DEBRIS, DYING, SMEAR, CUT_BY_THE_BORDER],
    ids=["apart", "pair", "cluster of 7", "row of 10", "dim beside bright", "debris", "dying", "smear", "border"],
)
@pytest.mark.parametrize("um_per_px", [0.325, 0.65, 1.2])
def test_every_guest_drawn_is_found_and_nothing_else(drawing, um_per_px):
    image, truth = guest_picture(drawing, um_per_px=um_per_px)
    found = found_um(SEGMENTER.segment(scene(image, um_per_px=um_per_px)), um_per_px)
    assert matched(found, truth, 3.0) == len(truth) == len(found)


def test_the_mask_has_the_cells_size_and_place():
    image, truth = guest_picture(APART, um_per_px=0.325)
    objects = SEGMENTER.segment(scene(image, um_per_px=0.325))
    for mask in objects.masks:
        centre = np.array(mask.centroid_px()) * 0.325
        nearest = truth[np.argmin(np.linalg.norm(truth[:, :2] - centre, axis=1))]
        assert np.linalg.norm(nearest[:2] - centre) < 0.3
        assert 2 * np.sqrt(mask.area_px / np.pi) * 0.325 == pytest.approx(nearest[2], abs=0.8)


def test_touching_guests_share_no_pixel_in_a_plane():
    image, _ = guest_picture(CLUSTER_OF_SEVEN)
    assert SEGMENTER.segment(scene(image)).masks.coverage().max() == 1


def test_labels_count_from_one_down_the_frame_and_z_is_empty_in_2d():
    image, _ = guest_picture(CLUSTER_OF_SEVEN)
    objects = SEGMENTER.segment(scene(image))
    assert objects.masks.labels.tolist() == list(range(1, 8))
    assert np.all(np.diff(found_um(objects)[:, 0]) > -1.0)
    assert np.isnan(objects.z_um).all()
    assert np.isnan(objects.z_extent_um).all()


def test_a_hollow_stain_is_filled():
    image, truth = guest_picture(APART, um_per_px=0.325)
    yy, xx = np.mgrid[: image.shape[1], : image.shape[2]] * 0.325
    for y, x, _ in truth:
        image[0][np.hypot(yy - y, xx - x) < 2.5] = 150
    objects = SEGMENTER.segment(scene(image, um_per_px=0.325, stain="membrane"))
    assert matched(found_um(objects, 0.325), truth) == len(truth) == len(objects.masks)
    assert all(2 * np.sqrt(m.area_px / np.pi) * 0.325 > 6.5 for m in objects.masks)


def test_a_guest_over_a_smooth_bright_background_is_found():
    image, truth = guest_picture(DIM_BESIDE_BRIGHT)
    yy, xx = np.mgrid[: image.shape[1], : image.shape[2]] * 0.65
    image[0] += 60 * np.exp(-((yy - 10) ** 2 + (xx - 20) ** 2) / (2 * 20.0**2))
    assert matched(found_um(SEGMENTER.segment(scene(image))), truth) == 2


EMPTY_FRAMES = {
    "noise only": np.random.default_rng(3).normal(100, 5, (1, 300, 300)).astype(np.float32),
    "noise only, stack": np.random.default_rng(4).normal(100, 5, (8, 150, 150)).astype(np.float32),
    "constant": np.full((1, 120, 120), 7, np.float32),
    "saturated": np.full((1, 120, 120), 65535, np.float32),
    "zero": np.zeros((4, 60, 60), np.float32),
    "not a number": np.full((1, 60, 60), np.nan, np.float32),
    "one pixel": np.ones((1, 1, 1), np.float32),
    "a line": np.random.default_rng(5).normal(100, 5, (1, 1, 200)).astype(np.float32),
    "a gradient": np.linspace(0, 500, 200, dtype=np.float32)[None, None].repeat(200, axis=1),
}


@pytest.mark.parametrize("name", EMPTY_FRAMES)
@pytest.mark.parametrize("stain", ["cytosol", "membrane", "nucleus", "none"])
def test_an_empty_frame_has_no_guests_and_gives_no_warning(name, stain):
    image = EMPTY_FRAMES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        objects = SEGMENTER.segment(scene(image, um_per_z=1.0 if image.shape[0] > 1 else None, stain=stain))
    assert len(objects.masks) == len(objects.z_um) == len(objects.z_extent_um) == 0
    assert objects.masks.shape == image.shape[1:]


def test_saturated_guests_are_found():
    image, truth = guest_picture(CLUSTER_OF_SEVEN)
    image = np.minimum(image, 350)
    assert matched(found_um(SEGMENTER.segment(scene(image))), truth) == 7


def test_pixels_that_are_not_finite_do_no_harm():
    image, truth = guest_picture(APART)
    image[0, 3, :5] = np.nan
    image[0, 4, 0] = np.inf
    assert matched(found_um(SEGMENTER.segment(scene(image))), truth) == len(truth)


def test_a_stack_of_one_slice_is_a_plane():
    image, _ = guest_picture(APART)
    plane, stack = SEGMENTER.segment(scene(image)), SEGMENTER.segment(scene(image, um_per_z=1.0))
    assert [m.area_px for m in plane.masks] == [m.area_px for m in stack.masks]


def test_the_input_is_left_as_it_was():
    image, _ = guest_picture(APART)
    before = image.copy()
    SEGMENTER.segment(scene(image))
    assert np.array_equal(image, before)


@settings(max_examples=8, deadline=None)
@given(dy=st.integers(-6, 6), dx=st.integers(-6, 6))
def test_moving_the_picture_moves_the_guests(dy, dx):
    margin = "\n".join("." * 20 for _ in range(5))
    image, _ = guest_picture(margin + CLUSTER_OF_SEVEN + margin, noise=0.0)
    here, there = (SEGMENTER.segment(scene(i)) for i in (image, np.roll(image, (dy, dx), axis=(1, 2))))
    moved = found_um(here) + np.array([dy, dx]) * 0.65
    assert matched(found_um(there), moved, 0.7) == len(here.masks) == len(there.masks)


@settings(max_examples=8, deadline=None)
@given(gain=st.floats(0.1, 30.0), offset=st.floats(0, 1000))
def test_the_cameras_gain_and_offset_change_nothing(gain, offset):
    image, _ = guest_picture(DIM_BESIDE_BRIGHT)
    here, there = (SEGMENTER.segment(scene(i.astype(np.float32))) for i in (image, image * gain + offset))
    assert matched(found_um(there), found_um(here), 0.3) == len(here.masks) == len(there.masks)


@settings(max_examples=6, deadline=None)
@given(factor=st.floats(0.5, 20.0))
def test_the_unit_of_length_changes_nothing(factor):
    image, _ = guest_picture(CLUSTER_OF_SEVEN)
    here = SEGMENTER.segment(scene(image))
    there = SEGMENTER.segment(scene(image, um_per_px=0.65 * factor, diameter_um=(6 * factor, 12 * factor)))
    assert [m.area_px for m in here.masks] == pytest.approx([m.area_px for m in there.masks], abs=3)


def test_guests_over_one_another_in_z_are_told_apart_and_may_overlap():
    image = balls([(7.0, 30.0, 30.0, 8.0, 300.0), (16.0, 31.0, 30.5, 8.0, 150.0), (11.0, 30.0, 45.0, 8.0, 200.0)])
    objects = SEGMENTER.segment(scene(image, um_per_z=1.0))
    assert len(objects.masks) == 3
    assert np.sort(objects.z_um) == pytest.approx([7.0, 11.0, 16.0], abs=0.5)
    assert objects.masks.coverage().max() == 2


@pytest.mark.parametrize("um_per_z", [1.0, 1.5, 2.0])
@pytest.mark.parametrize("depth", [6.0, 9.3, 12.7, 15.5])
def test_the_height_is_good_to_a_third_of_a_micrometre(um_per_z, depth):
    image = balls([(depth, 20.0, 20.0, 8.0, 300.0), (depth, 40.0, 40.0, 7.0, 100.0)], um_per_z=um_per_z)
    objects = SEGMENTER.segment(scene(image, um_per_z=um_per_z))
    assert objects.z_um == pytest.approx([depth, depth], abs=0.3)
    assert objects.z_extent_um == pytest.approx([8.0, 7.0], abs=2.0)


def test_the_height_does_not_follow_a_bright_layer_below():
    image = balls([(10.0, 30.0, 30.0, 8.0, 200.0)])
    image[:6] += 60.0
    objects = SEGMENTER.segment(scene(image, um_per_z=1.0))
    assert objects.z_um == pytest.approx([10.0], abs=0.3)


@pytest.mark.parametrize("depth", [0.5, 1.5, 22.0, 23.5])
def test_a_guest_cut_off_by_the_stacks_end_lies_where_its_seen_end_says(depth):
    image = balls([(depth, 30.0, 30.0, 8.0, 200.0)])
    objects = SEGMENTER.segment(scene(image, um_per_z=1.0))
    assert objects.z_um == pytest.approx([depth], abs=0.8)


def test_it_is_found_by_name_and_refuses_options_out_of_bounds():
    from cicimage.errors import ConfigurationError

    assert isinstance(build("segment_guest", "log", {"min_snr": 8}), LogGuestSegmenter)
    with pytest.raises(ConfigurationError, match="edge_fraction"):
        build("segment_guest", "log", {"edge_fraction": 2.0})
    with pytest.raises(ConfigurationError, match="did you mean 'min_snr'"):
        build("segment_guest", "log", {"min_snrr": 8})


def test_masks_fit_their_frame():
    image, _ = guest_picture(CUT_BY_THE_BORDER)
    for mask in SEGMENTER.segment(scene(image)).masks:
        assert isinstance(mask, Mask)
        rows, columns = mask.window
        assert 0 <= rows.start < rows.stop <= image.shape[1]
        assert 0 <= columns.start < columns.stop <= image.shape[2]
        assert mask.pixels.any(axis=1).all() or mask.pixels.any()
