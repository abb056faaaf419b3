"""Pixels and frames without a measurement are found, replaced where they are few, and never taken for darkness."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cicimage.preprocessing.absent_pixels import bad_pixels, fill, hot_pixels, lost_ground
from cicimage.preprocessing.frame_faults import ROUNDING_SD, Usual, fault_of, is_lit, look_at, usual_of
from cicimage.preprocessing.quality import frame_quality
from cicimage.preprocessing.saturation import full_scale, plateau


def picture(seed=0, size=96, light=200.0, depth=1):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    places = ((30, 30, 20), (70, 60, 15), (80, 12, 5))
    cells = sum(light / (1 + np.exp(np.hypot(y - a, x - b) - r)) for a, b, r in places)
    return np.stack([rng.poisson(cells + 20) + 100 + rng.normal(0, 2, cells.shape) for _ in range(depth)]).round()


def usual(stacks, **more):
    looks = [(t, look_at(s), frame_quality(s[len(s) // 2]).signal) for t, s in enumerate(stacks)]
    return usual_of(looks, **{"full_scale": None, "noise_sd": 5.0, "background": 120.0, "steady": True, **more})


USUAL = usual([picture(seed) for seed in range(6)])


def fault(stack, known=USUAL, t=9, signal=None):
    found = fault_of(look_at(stack, known.full_scale), known, t, signal)
    return found.why if found else None


def with_(value, where, stack=None, dtype=np.float32):
    out = (picture(9) if stack is None else stack).astype(dtype)
    out[where] = value
    return out


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_a_sound_frame_has_no_fault_and_no_bad_pixel(dtype):
    stack = picture(9).clip(0, 255).astype(dtype)
    assert fault(stack, usual([picture(s).clip(0, 255).astype(dtype) for s in range(6)])) is None
    assert bad_pixels(stack, look_at(stack), USUAL) is None


@pytest.mark.parametrize(
    ("value", "where", "why"),
    [
        (np.nan, np.s_[:], "not finite"),
        (np.inf, np.s_[:, :24], "not finite"),
        (-np.inf, np.s_[:, :, :24], "not finite"),
        (1e30, np.s_[:, 40:], "not finite"),
        (0, np.s_[:], "constant"),
        (120, np.s_[:], "constant"),
        (4095, np.s_[:], "constant"),
        (0, np.s_[:, 48:], "constant"),
        (0, np.s_[:, :, 70:], "constant"),
        (4095, np.s_[:, :30], "saturated"),
        (np.nan, np.s_[:, :15], None),
        (0, np.s_[:, :15], None),
    ],
)
def test_more_than_a_fifth_of_bad_pixels_is_a_fault(value, where, why):
    assert fault(with_(value, where)) == why


def test_one_bad_slice_of_a_stack_is_a_fault_of_the_frame():
    known = usual([picture(seed, depth=5) for seed in range(6)])
    for value, why in ((np.nan, "not finite"), (0, "constant")):
        assert fault(with_(value, np.s_[3], picture(9, depth=5)), known) == why
    empty_top = [np.concatenate([picture(s, depth=3), np.full((1, 96, 96), 100.0)]) for s in range(7)]
    assert fault(empty_top[6], usual(empty_top[:6])) is None, "a slice that is constant in every frame"


def test_a_frame_without_light_stands_out_and_a_fading_channel_does_not():
    rng = np.random.default_rng(1)
    dark = rng.poisson(20, (1, 96, 96)) + 100.0
    assert fault(dark, signal=frame_quality(dark[0]).signal) == "dark"
    fading = [picture(s, light=300 * 0.6**s) for s in range(10)]
    known = usual(fading, steady=False)
    assert [fault(s, known, t, frame_quality(s[0]).signal) for t, s in enumerate(fading)] == [None] * 10
    arriving = [picture(s, light=0 if s < 4 else 200) for s in range(10)]
    known = usual(arriving, steady=False)
    assert [fault(s, known, t, frame_quality(s[0]).signal) for t, s in enumerate(arriving)] == [None] * 10


def test_a_channel_whose_background_is_0_is_not_full_of_holes():
    def cut(seed):
        return (picture(seed) - 160).clip(0).astype(np.uint8)

    known = usual([cut(seed) for seed in range(6)], noise_sd=1.0, background=0.0)
    assert known.blank > 0.02
    assert fault(cut(9), known) is None
    assert bad_pixels(cut(9), look_at(cut(9)), known) is None


def test_few_grey_values_make_no_holes_by_chance():
    def few(seed):
        return (picture(seed) / 16).round().astype(np.uint8)

    known = usual([few(seed) for seed in range(6)], noise_sd=0.3, background=7.0)
    for seed in range(9, 30):
        assert fault(few(seed), known) is None
        assert bad_pixels(few(seed), look_at(few(seed)), known) is None


def test_dark_ground_of_coarse_counts_is_no_hole_though_few_blocks_of_it_were_flat_before():
    """An export of 8 bits whose noise is under half a count: as dyes bleach more of the ground is of one value."""

    def coarse(noise, seed):
        rng = np.random.default_rng(seed)
        light = rng.normal(2.2, noise, (1, 96, 96))
        light[0, 40:60, 40:60] += rng.normal(150, 5, (20, 20))
        return light.round().clip(0, 255).astype(np.uint8)

    first = [coarse(0.6, seed) for seed in range(6)]
    known = usual(first, noise_sd=0.35, background=2.0, rounding_sd=ROUNDING_SD)
    assert known.blank < 0.02
    bleached = coarse(0.1, 9)
    assert look_at(bleached).blank[0] > 0.2
    assert fault(bleached, known) is None
    assert bad_pixels(bleached, look_at(bleached), known) is None
    fine = usual(first, noise_sd=5.0, background=2.0, rounding_sd=ROUNDING_SD)
    assert fault(bleached, fine) == "constant", "where noise is known to be larger nothing was read out"


def test_a_few_cells_that_stay_show_that_there_is_light():
    """Where cells make up a hundredth of the field the signal, a percentile, falls to nothing when one leaves."""
    empty = picture(9, light=0)
    known = usual([picture(s) for s in range(6)], steady=False)
    cells = empty.copy()
    cells[0, 40:46, 40:46] += 150
    assert is_lit(cells, known)
    assert not is_lit(empty, known)
    assert not is_lit(with_(4000, np.s_[0, 50, 50], empty), known), "a hot pixel is no cell"
    glow = empty.copy()
    glow[0, 40:46, 40:46] += 0.05 * 200
    assert not is_lit(glow, known)


def test_dead_rows_and_tiles_are_bad_pixels_whole():
    for where in (np.s_[:, 41:53], np.s_[:, 10:30, 60:80], np.s_[:, 17], np.s_[:, :, 50:53], np.s_[:, 90:]):
        stack = with_(0, where, dtype=np.uint16)
        bad = bad_pixels(stack, look_at(stack), USUAL)
        wanted = np.zeros(stack.shape, bool)
        wanted[where] = True
        assert (bad == wanted).all()


def test_hot_pixels_are_lone_ones():
    plane = picture(3)[0]
    plane[5, 90], plane[50, 5] = 4000, 65535
    assert np.argwhere(hot_pixels(plane, 120.0, 1200.0)).tolist() == [[5, 90], [50, 5]]
    plane[5:7, 90:92] = 4000
    assert np.argwhere(hot_pixels(plane, 120.0, 1200.0)).tolist() == [[50, 5]], "a spot of several pixels is light"


@given(share=st.floats(0.0, 0.2), seed=st.integers(0, 50))
def test_replaced_pixels_lie_among_their_neighbours(share, seed):
    whole = picture(seed)
    bad = np.random.default_rng(seed).random(whole.shape) < share
    filled = fill(np.where(bad, np.nan, whole), bad)
    assert np.isfinite(filled).all()
    assert (filled[~bad] == whole[~bad].astype(np.float32)).all()
    assert whole[~bad].min() <= filled.min()
    assert filled.max() <= whole[~bad].max()
    assert np.abs(filled - whole)[bad].mean() < 40 if bad.any() else True
    assert not lost_ground(bad).any() or share > 0.15


def test_what_lies_deep_in_a_hole_is_lost_ground_and_its_rim_is_not():
    bad = np.zeros((1, 40, 40), bool)
    bad[0, 10:20, 10:20] = True
    ground = lost_ground(bad)
    assert ground[11:19, 11:19].all()
    assert ground.sum() == 64
    assert (fill(picture(1)[:, :40, :40], np.ones((1, 40, 40), bool)) == 0).all()


def test_the_camera_clips_where_the_pixels_or_the_file_say():
    light = picture(1, size=160, light=4000).ravel()
    for top in (255, 1023, 3000, 4095):
        assert full_scale(np.minimum(light, top).astype(np.uint16), np.dtype("u2"), 16) == top
    assert plateau(np.minimum(light / 4095, 1.0).astype(np.float32)) == 1.0
    dim = picture(1).ravel().astype(np.uint16)
    assert full_scale(dim, np.dtype("u2"), 12) == 4095
    assert full_scale(dim, np.dtype("u2")) == 65535
    assert full_scale((dim * 100).astype(np.uint16), np.dtype("u2"), 12) == 65535, "brighter than the file allows"
    assert full_scale(dim / 4095.0, np.dtype("f4"), 12) is None


@pytest.mark.parametrize(
    "values",
    [
        np.r_[picture(1, size=200).ravel(), np.full(15, 4095.0)],
        (picture(1, size=200) / 16).round().ravel(),
        np.r_[np.zeros(30_000), picture(1).ravel()],
        np.repeat([0.0, 1.0], 5000),
        np.zeros(100),
        np.zeros(0),
    ],
    ids=["few bright pixels", "few grey values", "background 0", "a mask", "constant", "nothing"],
)
def test_what_is_no_plateau(values):
    assert plateau(values) is None


def test_saturation_as_a_rule_is_no_fault_of_single_frames():
    over = [np.minimum(picture(s, light=9000), 4095).astype(np.uint16) for s in range(7)]
    known = usual(over[:6], full_scale=4095.0)
    assert known.saturated > 0.2
    assert fault(over[6], known) is None
    assert look_at(over[6], 4095.0).saturated > 0.2
    sound = usual([picture(s) for s in range(6)], full_scale=4095.0)
    assert fault(over[6], sound) == "saturated"


def test_saturation_is_that_of_the_worst_slice():
    stack = picture(1, depth=4)
    stack[0, :60] = 4095
    assert look_at(stack, 4095.0).saturated == pytest.approx(60 / 96)
    assert Usual().full_scale is None
