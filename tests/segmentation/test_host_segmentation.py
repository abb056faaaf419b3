"""Hosts drawn as text: touching, overlapping, with a guest's hole, in a plane and in a stack; stains; empty frames."""

import warnings

import numpy as np
import pytest
from drawn_cells import host_picture, scene
from hypothesis import given, settings
from hypothesis import strategies as st

from cicimage.masks import Mask, Masks
from cicimage.methods import build
from cicimage.segmentation.hosts import ThresholdHostSegmenter

SEGMENTER = ThresholdHostSegmenter()
DIAMETER_UM = (40.0, 150.0)

ALONE = """
....................
.....----------.....
....--+++++++---....
....--++@@@@++--....
....--++@@@@++--....
....---++++++---....
......--------......
....................
"""
TOUCHING = """
............................
....--------...--------.....
...---++++---.---++++---....
...--++@@++-----++@@++--....
...--++@@++-----++@@++--....
...---++++---.---++++---....
.....-------...-------......
............................
"""
GUEST_IN_THE_MIDDLE = """
....................
.....----------.....
....---++++++---....
....--++++@@@@--....
....--+gg+@@@@--....
....--+gg+++++--....
....-----------.....
......--------......
....................
"""
GUEST_AT_THE_EDGE = """
....................
....-----------.....
....---++++++---....
....--++@@@@++--....
....--++@@@@++--gg..
....---++++++---gg..
......--------......
....................
"""
SPECK = """
....................
...-................
.........----------.
........---++++----.
........--++@@++---.
........---++++----.
.........---------..
....................
"""
OVERLAPPING = """
..................................
.....------------.................
....-------------....---------....
...--++++++------==-----------...
...-++@@@@++-----==---++++++--...
...-++@@@@++-----==--++@@@@++-...
...-++@@@@++-----==--++@@@@++-...
...--++++++------==--++@@@@++-...
....-------------==---++++++--...
.....------------....---------....
..................................
"""


def hosts_of(drawing, *, um_per_px=0.65, **more):
    image, letters = host_picture(drawing, um_per_px=um_per_px)
    return SEGMENTER.segment(scene(image, um_per_px=um_per_px, diameter_um=DIAMETER_UM, **more)), letters


def rendered(objects):
    return objects.masks.coverage() > 0


def guest_masks(letters):
    from scipy import ndimage

    return Masks.from_labels(ndimage.label(letters == "g")[0])


@pytest.mark.parametrize("um_per_px", [0.325, 0.65, 1.3])
def test_one_host_is_one_mask_with_its_thin_lamella(um_per_px):
    objects, letters = hosts_of(ALONE, um_per_px=um_per_px)
    assert len(objects.masks) == 1
    truth = letters != "."
    found = rendered(objects)
    assert (found & truth).sum() > 0.97 * truth.sum()
    assert (found & truth).sum() > 0.83 * found.sum()


def test_touching_hosts_are_split_between_their_thick_middles():
    objects, letters = hosts_of(TOUCHING)
    assert len(objects.masks) == 2
    labels = objects.masks.to_labels()
    _, x = np.nonzero(letters == "@")
    half = letters.shape[1] // 2
    for side in (x < half, x >= half):
        assert len(set(labels[letters == "@"][side].tolist())) == 1
    assert len(set(labels[letters == "@"].tolist())) == 2


def test_nuclei_split_where_thickness_does_not_show():
    image, letters = host_picture(TOUCHING.replace("@", "-").replace("+", "-"))
    nuclei = np.where(letters == "x", 0.0, 0.0)[None].astype(np.float32)
    drawn = host_picture(TOUCHING.replace("-", ".").replace("+", "."))[0]
    assert nuclei.shape == drawn.shape
    with_nuclei = SEGMENTER.segment(scene(image, diameter_um=DIAMETER_UM, nuclei=drawn))
    assert len(with_nuclei.masks) == 2


def test_the_nucleus_of_a_guest_makes_no_host():
    image, letters = host_picture(GUEST_IN_THE_MIDDLE)
    nuclei = host_picture(GUEST_IN_THE_MIDDLE.replace("g", "@").replace("-", ".").replace("+", "."))[0]
    guests = guest_masks(letters)
    found = SEGMENTER.segment(scene(image, diameter_um=DIAMETER_UM, nuclei=nuclei, inner=guests))
    assert len(found.masks) == 1


def test_the_hole_of_a_guest_belongs_to_the_host():
    image, letters = host_picture(GUEST_IN_THE_MIDDLE)
    image[0][letters == "g"] = 100.0  # as dark as the background
    guests = guest_masks(letters)
    objects = SEGMENTER.segment(scene(image, diameter_um=DIAMETER_UM, inner=guests))
    assert len(objects.masks) == 1
    assert rendered(objects)[letters == "g"].all()


def test_a_small_enclosed_hole_is_filled_without_a_guest_too_and_a_large_one_is_not():
    image, letters = host_picture(GUEST_IN_THE_MIDDLE)
    image[0][letters == "g"] = 100.0
    assert rendered(SEGMENTER.segment(scene(image, diameter_um=DIAMETER_UM)))[letters == "g"].all()
    strict = ThresholdHostSegmenter(max_hole_um2=20.0)
    assert not rendered(strict.segment(scene(image, diameter_um=DIAMETER_UM)))[letters == "g"].all()


def test_a_guest_beside_a_host_leaves_the_host_as_it_is():
    image, _ = host_picture(GUEST_AT_THE_EDGE.replace("g", "."))
    guests = guest_masks(host_picture(GUEST_AT_THE_EDGE)[1])
    alone = SEGMENTER.segment(scene(image, diameter_um=DIAMETER_UM))
    beside = SEGMENTER.segment(scene(image, diameter_um=DIAMETER_UM, inner=guests))
    assert np.array_equal(rendered(alone), rendered(beside))


def test_a_speck_is_no_host():
    assert len(hosts_of(SPECK)[0].masks) == 1


def test_hosts_over_one_another_share_the_ground_that_is_as_bright_as_both():
    objects, letters = hosts_of(OVERLAPPING)
    assert len(objects.masks) == 2
    shared = objects.masks.coverage() == 2
    truth = letters == "="
    assert (shared & truth).sum() > 0.6 * truth.sum()
    assert (shared & ~truth).sum() < 0.25 * truth.sum()


def test_sharing_can_be_switched_off():
    image, _ = host_picture(OVERLAPPING)
    objects = ThresholdHostSegmenter(overlap_um=0.0).segment(scene(image, diameter_um=DIAMETER_UM))
    assert objects.masks.coverage().max() == 1


def test_a_stack_gives_the_height_and_a_plane_does_not():
    image, _ = host_picture(ALONE)
    empty = host_picture(ALONE.translate(str.maketrans("-+@=", "....")))[0]
    stack = np.concatenate([empty, empty, image, image, empty, empty, empty])
    objects = SEGMENTER.segment(scene(stack, um_per_z=1.0, diameter_um=DIAMETER_UM))
    assert len(objects.masks) == 1
    assert objects.z_um[0] == pytest.approx(2.5, abs=0.3)
    assert objects.z_extent_um[0] == pytest.approx(2.0, abs=0.8)
    flat = SEGMENTER.segment(scene(image, diameter_um=DIAMETER_UM))
    assert np.isnan(flat.z_um).all()


def test_a_lamella_in_one_slice_of_many_is_not_lost():
    image, letters = host_picture(ALONE, noise=3.0)
    slices = [host_picture(ALONE.translate(str.maketrans("-+@=", "....")), seed=k)[0] for k in range(12)]
    slices[5] = image
    objects = SEGMENTER.segment(scene(np.concatenate(slices), um_per_z=1.0, diameter_um=DIAMETER_UM))
    found, truth = rendered(objects), letters != "."
    assert (found & truth).sum() / (found | truth).sum() > 0.85


def test_a_stained_rim_encloses_its_cell():
    image, letters = host_picture(ALONE, noise=1.0)
    from scipy import ndimage

    inner = ndimage.binary_erosion(letters != ".", iterations=4)
    image[0][inner] = 100.0 + np.random.default_rng(1).normal(0, 1, int(inner.sum()))
    objects = SEGMENTER.segment(scene(image, diameter_um=(60.0, 150.0), stain="membrane"))
    found, truth = rendered(objects), letters != "."
    assert len(objects.masks) == 1
    assert (found & truth).sum() / (found | truth).sum() > 0.85


def test_a_nuclear_stain_gives_bodies_around_nuclei():
    nuclei = host_picture(TOUCHING.replace("-", ".").replace("+", "."))[0]
    objects = SEGMENTER.segment(scene(nuclei, diameter_um=(15.0, 150.0), stain="nucleus"))
    assert len(objects.masks) == 2
    grown = ThresholdHostSegmenter(nucleus_rim_um=10.0).segment(
        scene(nuclei, diameter_um=(15.0, 150.0), stain="nucleus")
    )
    assert grown.masks[0].area_px > 1.3 * objects.masks[0].area_px


def test_texture_shows_hosts_without_a_dye():
    rng = np.random.default_rng(2)
    _, letters = host_picture(ALONE)
    image = 1000 + rng.normal(0, 2, letters.shape) + (letters != ".") * rng.normal(0, 60, letters.shape)
    objects = SEGMENTER.segment(scene(image.astype(np.float32)[None], diameter_um=DIAMETER_UM, stain="none"))
    found, truth = rendered(objects), letters != "."
    assert len(objects.masks) == 1
    assert (found & truth).sum() / (found | truth).sum() > 0.8


EMPTY_FRAMES = {
    "noise only": np.random.default_rng(3).normal(100, 5, (1, 300, 300)).astype(np.float32),
    "noise only, stack": np.random.default_rng(4).normal(100, 5, (8, 150, 150)).astype(np.float32),
    "constant": np.full((1, 120, 120), 7, np.float32),
    "saturated": np.full((1, 120, 120), 65535, np.float32),
    "zero": np.zeros((4, 60, 60), np.float32),
    "not a number": np.full((1, 60, 60), np.nan, np.float32),
    "one pixel": np.ones((1, 1, 1), np.float32),
    "a line": np.random.default_rng(5).normal(100, 5, (1, 1, 200)).astype(np.float32),
}


@pytest.mark.parametrize("name", EMPTY_FRAMES)
@pytest.mark.parametrize("stain", ["cytosol", "membrane", "nucleus", "none"])
@pytest.mark.parametrize("with_nuclei", [False, True])
def test_an_empty_frame_has_no_hosts_and_gives_no_warning(name, stain, with_nuclei):
    image = EMPTY_FRAMES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        objects = SEGMENTER.segment(
            scene(
                image,
                um_per_z=1.0 if image.shape[0] > 1 else None,
                diameter_um=DIAMETER_UM,
                stain=stain,
                nuclei=image if with_nuclei else None,
            )
        )
    assert len(objects.masks) == len(objects.z_um) == len(objects.z_extent_um) == 0
    assert objects.masks.shape == image.shape[1:]


def test_a_confluent_field_is_all_host():
    """No empty ground, no background to be seen: thin lamellae are dimmer than middles, not empty."""
    image, letters = host_picture("\n".join(["-++@@++-" * 4] * 20))
    assert letters.shape == image.shape[1:]
    image += np.float32(50)
    assert rendered(SEGMENTER.segment(scene(image, diameter_um=DIAMETER_UM))).mean() > 0.6


@settings(max_examples=6, deadline=None)
@given(dy=st.integers(-8, 8), dx=st.integers(-8, 8))
def test_moving_the_picture_moves_the_hosts(dy, dx):
    margin = "\n".join("." * 32 for _ in range(3))
    image, _ = host_picture(margin + TOUCHING.replace("\n", "....\n") + margin, um_per_px=1.3)
    here, there = (
        SEGMENTER.segment(scene(i, um_per_px=1.3, diameter_um=DIAMETER_UM))
        for i in (image, np.roll(image, (dy, dx), axis=(1, 2)))
    )
    moved = np.roll(rendered(here), (dy, dx), axis=(0, 1))
    assert len(here.masks) == len(there.masks)
    assert (moved & rendered(there)).sum() / (moved | rendered(there)).sum() > 0.9


def test_the_input_is_left_as_it_was():
    image, letters = host_picture(GUEST_IN_THE_MIDDLE)
    before = image.copy()
    SEGMENTER.segment(scene(image, diameter_um=DIAMETER_UM, inner=guest_masks(letters)))
    assert np.array_equal(image, before)


def test_it_is_found_by_name_and_describes_every_option():
    method = build("segment_host", "threshold", {"noise_factor": 4.0})
    assert isinstance(method, ThresholdHostSegmenter)
    assert all(f.description for f in type(method).model_fields.values())


def test_masks_fit_their_frame_and_labels_count_from_one():
    objects, _ = hosts_of(TOUCHING)
    assert objects.masks.labels.tolist() == [1, 2]
    for mask in objects.masks:
        assert isinstance(mask, Mask)
        rows, columns = mask.window
        assert 0 <= rows.start < rows.stop <= objects.masks.shape[0]
        assert 0 <= columns.start < columns.stop <= objects.masks.shape[1]
