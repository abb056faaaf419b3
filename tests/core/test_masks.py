"""Masks overlap, render and survive encoding."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from cicimage.masks import Mask, Masks, decode_runs, encode_runs

PICTURE = np.array([list(row) for row in ("0110", "0112", "0002")]).astype(int)


def test_a_label_image_goes_to_masks_and_back():
    masks = Masks.from_labels(PICTURE)
    assert masks.labels.tolist() == [1, 2]
    assert [m.area_px for m in masks] == [4, 2]
    assert masks[1].centroid_px() == (1.5, 3.0)
    assert (masks.to_labels() == PICTURE).all()


def test_overlapping_masks_keep_all_their_pixels_and_the_later_one_shows():
    host = Mask(1, 0, 0, np.ones((3, 4), bool))
    guest = Mask(2, 1, 1, np.ones((1, 2), bool))
    masks = Masks([host, guest], (3, 4))
    assert masks[0].area_px == 12
    assert masks.to_labels().tolist() == [[1, 1, 1, 1], [1, 2, 2, 1], [1, 1, 1, 1]]
    assert masks.coverage().max() == 2
    assert len(masks[:1]) == 1


@settings(deadline=None, max_examples=50)
@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=9), elements=st.booleans()))
def test_run_lengths_lose_nothing(pixels):
    assert (decode_runs(encode_runs(pixels), pixels.shape) == pixels).all()


def test_pixels_are_cut_to_the_frame_and_to_their_box() -> None:
    pixels = np.zeros((5, 6), bool)
    pixels[1:4, 2:5] = True
    mask = Mask.cut(7, -2, 1, pixels, (10, 5))
    assert mask is not None
    assert (mask.label, mask.y0, mask.x0) == (7, 0, 3)
    assert mask.pixels.tolist() == [[True, True], [True, True]]
    assert Mask.cut(7, -5, 0, pixels, (10, 10)) is None


def test_centroid_is_the_mean_of_the_pixels() -> None:
    pixels = np.random.default_rng(0).random((13, 9)) < 0.4
    ys, xs = np.nonzero(pixels)
    assert Mask(1, 30, 40, pixels).centroid_px() == (float(ys.mean() + 30), float(xs.mean() + 40))
