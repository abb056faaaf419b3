"""Frames and channels held against each other: each fault is said by its code, sound movies and near misses are not."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import pytest

from cicimage.preprocessing.consistency import ConsistencyCheck, Watched
from cicimage.preprocessing.frame_order import Orientation
from cicimage.preprocessing.glimpse import correlation, glimpse

FRAMES, SIDE = 14, 160


def compare_frames(frames, **channels):
    """Findings of a whole (T, C, Z, Y, X) movie."""
    check = ConsistencyCheck(**channels)
    for t, frame in enumerate(frames):
        check.add(t, frame)
    return check.findings()


@cache
def light(seed: int = 1, slices: int = 1, void: float = 0.6, bleed: float = 0.0) -> np.ndarray:
    """Expected counts (T, 3, Z, Y, X) of textured hosts, guests that walk over them, and a marker that shows little."""
    rng = np.random.default_rng(seed)
    texture = cv2.GaussianBlur(rng.normal(size=(SIDE, SIDE)), (0, 0), 4)
    texture = 90 + 30 * np.clip(texture / texture.std(), -2.5, 2.5)
    yy, xx = np.mgrid[:SIDE, :SIDE]
    at = rng.uniform(8, SIDE - 8, (24, 2))
    out = np.zeros((FRAMES, 3, slices, SIDE, SIDE))
    for t in range(FRAMES):
        at = np.clip(at + rng.normal(0, 3.0, at.shape), 6, SIDE - 6)
        guests = sum(1 / (1 + np.exp((np.hypot(yy - y, xx - x) - 4) * 2)) for y, x in at)
        for z in range(slices):
            out[t, 0, z] = texture * (1 - void * np.clip(guests, 0, 1)) + bleed * 250 * guests
            out[t, 1, z] = 250 * guests
    return out


def expose(expected: np.ndarray, seed: int = 5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (
        (rng.poisson(np.clip(expected, 0, None) + 10) + rng.normal(100, 1.5, expected.shape)).clip(0).astype(np.uint16)
    )


def sound(seed: int = 1, slices: int = 1) -> np.ndarray:
    return expose(light(seed, slices))


def check(movie: np.ndarray):
    host, guest, death = (Watched(n, i, f"channels.{n.lower()}") for i, n in enumerate(("Host", "Guest", "Death")))
    return compare_frames(movie, host=host, guest=guest, marker=death, guest_um=8.0, um_per_px=1.0)


def codes(movie: np.ndarray) -> set[tuple[str, str]]:
    return {(f.code, f.severity) for f in check(movie)}


def changed(movie: np.ndarray, channel: int, values: np.ndarray) -> np.ndarray:
    out = movie.astype(np.promote_types(movie.dtype, values.dtype) if values.dtype.kind == "f" else movie.dtype)
    out[:, channel] = values
    return out


# ---------------------------------------------------------------- channels alike


@pytest.mark.parametrize("slices", [1, 3])
@pytest.mark.parametrize(
    "copy",
    [
        lambda host: host, lambda host: (host * 0.37 + 50).astype(np.uint16), lambda host: 65535 - host,
        lambda host: np.maximum(host, 101),
    ],
    ids=["same", "times a factor", "inverted", "clipped"],
)  # fmt: skip
def test_one_picture_in_two_channels_leaves_nothing_to_be_told(copy, slices):
    movie = sound(slices=slices)
    found = check(changed(movie, 1, copy(movie[:, 0])))
    assert ("channels_alike", "unresolved") in {(f.code, f.severity) for f in found}
    alike = next(f for f in found if f.code == "channels_alike")
    assert alike.field == "channels.guest"
    assert "'Host'" in alike.value


def test_one_dye_through_two_detectors_is_one_picture_though_the_noise_differs():
    expected = light().copy()
    expected[:, 1] = 0.5 * expected[:, 0]
    assert ("channels_alike", "unresolved") in codes(expose(expected))


def test_a_filter_that_sticks_for_a_few_frames_is_a_warning():
    movie = sound()
    movie[5:7, 1], movie[9, 1] = movie[5:7, 0], movie[9, 0]
    assert ("channels_alike", "unresolved") in codes(movie), "3 of 14 frames are more than a fifth"
    movie = np.concatenate([sound(), sound(2)])
    movie[5:8, 1] = movie[5:8, 0]
    assert ("channels_alike", "warning") in codes(movie)


def test_a_guest_channel_in_place_of_the_marker_is_said_of_the_marker():
    movie = sound()
    assert ("marker_channel_alike", "warning") in codes(changed(movie, 2, movie[:, 1]))
    expected = light().copy()
    expected[:, 2] = 0.6 * expected[:, 1]
    assert codes(expose(expected)) == set(), "a marker that all guests carry is no fault: they may be dead"


def test_strong_bleed_through_and_a_camera_s_fixed_pattern_are_not_one_picture():
    expected = light(bleed=0.5)
    assert not {c for c, _ in codes(expose(expected))} & {"channels_alike", "frames_repeated"}
    pattern = np.random.default_rng(9).normal(0, 2.5, (SIDE, SIDE))
    assert codes((sound() + pattern).clip(0).astype(np.uint16)) == set()


def test_bright_cells_that_bleed_through_share_structures_and_no_noise():
    """Edges of bright cells stand far above the noise of ten thousand photons and are no noise of two channels."""
    expected = 40 * light().copy()
    expected[:, 2] = 0.075 * expected[:, 1]
    assert codes(expose(expected)) == set()
    copy = expose(expected)
    copy[:, 2] = 0.5 * copy[:, 1]
    assert codes(copy) == {("marker_channel_alike", "warning")}


@pytest.mark.parametrize("share", [0.01, 0.05, 0.15])
def test_a_guest_channel_that_holds_bleed_through_of_hosts_alone_is_no_copy(share):
    expected = 20 * light().copy()
    expected[:, 1] = share * expected[:, 0]
    assert "channels_alike" not in {c for c, _ in codes(expose(expected))}, "a field without guests is a sound one"


# ---------------------------------------------------------------- repeated frames


def test_frozen_frames_are_said_with_the_frame_they_repeat():
    movie = sound()[[0, 1, 2, 3, 3, 3, 6, 7, 8, 9, 10, 11, 12, 13]]
    found = [f for f in check(movie) if f.code == "frames_repeated"]
    assert {f.where for f in found} == {"channel 'Host'", "channel 'Guest'"}
    assert "2 of 14 frames repeat an earlier exposure" in found[0].value
    assert "frame 4 is frame 3" in found[0].value


def test_frames_repeated_out_of_order_or_dimmed_are_repeats_too():
    movie = sound()
    assert ("frames_repeated", "unresolved") in codes(np.concatenate([movie[:6], movie[:6], movie[:6]]))
    dimmed = movie.copy()
    dimmed[7, :2] = (0.8 * movie[6, :2]).astype(np.uint16)
    assert {c for c, _ in codes(dimmed)} >= {"frames_repeated"}


def test_a_still_culture_with_fresh_noise_is_no_repeat():
    still = np.repeat(light()[:1], FRAMES, axis=0)
    assert codes(expose(still)) == set()


def test_a_still_culture_of_bright_cells_is_no_repeat():
    """Texture of pixels, a hundred times above the noise, correlates over 0.97 from frame to frame."""
    texture = np.random.default_rng(3).uniform(2_000, 20_000, (SIDE, SIDE))
    expected = np.repeat(light()[:1], FRAMES, axis=0)
    expected[:, 0] = texture
    still = expose(expected)
    assert "frames_repeated" not in {c for c, _ in codes(still)}
    still[6, 0] = np.rint(0.7 * still[5, 0])
    assert "frames_repeated" in {c for c, _ in codes(still)}, "but a copy of it, dimmed, is"


@pytest.mark.parametrize("factor", [1.0, 1 / 65535], ids=["counts", "0 to 1"])
def test_repeats_of_float_movies_are_found(factor):
    movie = (sound() * factor).astype(np.float32)
    movie[7, :2] = 0.8 * movie[6, :2]
    assert "frames_repeated" in {c for c, _ in codes(movie)}


def test_one_repeat_in_a_long_movie_is_a_note():
    movie = np.concatenate([sound(), sound(2)])
    movie[20, 0] = movie[19, 0]
    assert codes(movie) == {("frames_repeated", "note")}


def test_constant_frames_are_not_compared():
    movie = sound()
    movie[3:6] = 100
    movie[:, 2] = 0
    assert codes(movie) == set()


# ---------------------------------------------------------------- channels out of step or aside


@pytest.mark.parametrize("trace", [{"void": 0.6}, {"void": 0.0, "bleed": 0.1}], ids=["void", "bleed-through"])
@pytest.mark.parametrize("frames", [1, -1, 2])
def test_a_guest_channel_late_or_early_is_found(frames, trace):
    expected = light(**trace)
    late = expected[2 - frames : FRAMES - 2 - frames, 1]
    found = check(expose(np.stack([expected[2:-2, 0], late, expected[2:-2, 2]], axis=1)))
    assert [f.code for f in found] == ["channel_lag"]
    assert found[0].severity == "unresolved"
    assert f"{abs(frames)} frame" in found[0].value
    assert ("late" in found[0].value) == (frames > 0)


@pytest.mark.parametrize(
    ("dy", "dx", "said"), [(0, 20, "20 px to the right"), (-30, 0, "30 px up"), (12, -15, "15 px to the left")]
)
def test_a_guest_channel_aside_is_found_with_its_shift(dy, dx, said):
    expected = light().copy()
    expected[:, 1] = np.roll(expected[:, 1], (dy, dx), axis=(-2, -1))
    found = check(expose(expected))
    assert [(f.code, f.severity) for f in found] == [("channel_offset", "unresolved")]
    assert said in found[0].value


@pytest.mark.parametrize("turned", [np.s_[..., ::-1], np.s_[..., ::-1, :], np.s_[..., ::-1, ::-1]])
def test_one_mirrored_camera_of_two_is_found(turned):
    expected = light().copy()
    expected[:, 1] = light()[:, 1][turned]
    assert codes(expose(expected)) == {("channel_mirrored", "unresolved")}


def test_channels_that_show_nothing_of_each_other_say_nothing():
    expected = light(void=0.0, bleed=0.0).copy()
    expected[:, 1] = np.roll(expected[:, 1], 20, axis=-1)
    assert codes(expose(expected)) == set(), "nothing in the pixels tells where guests lie on hosts"


# ---------------------------------------------------------------- orientation and field


@pytest.mark.parametrize(
    ("turn", "said"),
    [
        (lambda a: a[..., ::-1], "mirrored left to right"), (lambda a: a[..., ::-1, :], "mirrored top to bottom"),
        (lambda a: a[..., ::-1, ::-1], "turned by 180 degrees"), (lambda a: np.rot90(a, axes=(-2, -1)), "turned by 90"),
        (lambda a: np.swapaxes(a, -1, -2), "mirrored and turned by 90"),
    ],
)  # fmt: skip
def test_frames_in_another_orientation_are_found(turn, said):
    movie = sound()
    movie[7:] = turn(movie[7:])
    found = [f for f in check(movie) if f.code == "frames_turned"]
    assert [f.severity for f in found] == ["unresolved"]
    assert f"frame 7 is {said}" in found[0].value
    assert "50 % of the frames" in found[0].value


@pytest.mark.parametrize("lost", [[6], [6, 7], [3, 8, 9]])
def test_stage_jumps_and_frames_out_of_focus_are_not_turned(lost):
    expected = light().copy()
    for t in lost:
        expected[t, :, 0] = [cv2.GaussianBlur(plane, (0, 0), 15) for plane in expected[t, :, 0]]
    expected[7:] = np.roll(expected[7:], (22, -30), axis=(-2, -1))
    assert not {c for c, _ in codes(expose(expected))} & {"frames_turned", "frames_repeated"}


def test_turned_share_counts_frames_that_are_not_as_most_are():
    orientation = Orientation(turns=[(2, "x"), (3, "x"), (10, "x")])
    assert orientation.turned_share(20) == pytest.approx(9 / 20)


# ---------------------------------------------------------------- counts that mean other light in every frame


def stretched(movie: np.ndarray, *, top: float, per_slice: bool = False) -> np.ndarray:
    axes = (-2, -1) if per_slice else (-3, -2, -1)
    low, high = movie.min(axes, keepdims=True).astype(float), movie.max(axes, keepdims=True).astype(float)
    return (movie - low) / np.maximum(high - low, 1) * top


@pytest.mark.parametrize(
    "rescale",
    [
        lambda m: stretched(m, top=65535).astype(np.uint16), lambda m: np.rint(stretched(m, top=255)).astype(np.uint8),
        lambda m: stretched(m, top=1.0).astype(np.float32),
        lambda m: stretched(m, top=65535, per_slice=True).astype(np.uint16),
        lambda m: ((m - m.mean((-3, -2, -1), keepdims=True)) / m.std((-3, -2, -1), keepdims=True)).astype(np.float32),
    ],
    ids=["16 bit", "8 bit", "0 to 1", "slice by slice", "z-scores"],
)  # fmt: skip
def test_frames_stretched_one_by_one_are_found(rescale):
    assert ("frames_rescaled", "warning") in codes(rescale(sound(slices=3)))


def test_hot_and_dead_pixels_and_one_stretch_for_all_are_no_rescaling():
    movie = sound()
    movie[..., 4, 4], movie[..., 9, 9] = 65535, 0
    assert codes(movie) == set()
    whole = np.clip((sound() - 105.0) / 150 * 255, 0, 255).astype(np.uint8)
    assert not {c for c, _ in codes(whole)} & {"frames_rescaled"}


def test_flicker_is_said_from_a_level_on():
    factors = np.exp(np.random.default_rng(3).normal(0, 1, FRAMES))[:, None, None, None, None]
    assert ("flicker", "note") in codes(expose(light() * factors**0.6))
    assert codes(expose(light() * factors**0.05)) == set()
    rng = np.random.default_rng(4)
    fast = light().copy()
    yy, xx = np.mgrid[:SIDE, :SIDE]
    for t in range(FRAMES):
        at = rng.uniform(8, SIDE - 8, (12, 2))
        fast[t, 1, 0] = 250 * sum(1 / (1 + np.exp((np.hypot(yy - y, xx - x) - 4) * 2)) for y, x in at)
    assert "flicker" not in {c for c, _ in codes(expose(fast))}, "guests that no two frames show at one place"
    bleached = light() * np.linspace(1, 0.4, FRAMES)[:, None, None, None, None]
    assert codes(expose(bleached)) == set(), "bleaching is no flicker"


# ---------------------------------------------------------------- sound movies


@pytest.mark.parametrize("seed", range(1, 9))
def test_sound_movies_say_nothing(seed):
    assert codes(sound(seed)) == set()


def test_tiny_and_single_frames_are_taken():
    assert codes(sound()[:1]) == set()
    assert codes(sound()[..., :20, :12]) == set()
    assert not glimpse(np.full((1, 8, 8), np.nan)).usable
    assert correlation(np.ones((2, 2), np.float32), np.arange(4, dtype=np.float32).reshape(2, 2)) == 0.0


# ---------------------------------------------------------------- mistaken for faults before


def test_a_drifting_stage_over_resting_cells_shows_no_offset():
    """Texture and guests that rest come back in every difference when the stage drifts, and fit somewhere by chance."""
    rng = np.random.default_rng(7)
    still = light(4, void=0.0)[0]
    at = np.cumsum(rng.normal(0, 0.5, (30, 2)), axis=0)
    moved = []
    for dy, dx in at:
        matrix = np.array([[1, 0, dx], [0, 1, dy]])
        moved.append([[cv2.warpAffine(c[0], matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT)] for c in still])
    assert codes(expose(4 * np.array(moved))) == set()


def test_a_few_frames_in_which_only_bleed_through_is_left_are_no_copy():
    expected = 3 * np.concatenate([light(), light(2)])
    expected[4:9, 0] = 0.25 * expected[4:9, 1]
    assert "channels_alike" not in {c for c, _ in codes(expose(expected))}
