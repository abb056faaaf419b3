from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cicimage.preprocessing import Corrections, sample_frames


def test_off_is_the_same_numbers_as_float():
    frame = np.arange(24, dtype=np.uint16).reshape(2, 1, 3, 4)
    out = Corrections().apply(frame)
    assert out.dtype == np.float32
    assert np.array_equal(out, frame)
    out[...] = 0
    assert frame.max() == 23  # the raw frame is not touched


def test_light_is_divided_out_above_the_pedestal():
    gain = np.ones((1, 4, 4), np.float32)
    gain[0, :2], gain[0, 2:] = 0.5, 1.5
    frame = (100 + 40 * gain[:, None]).astype(np.uint16)
    out = Corrections(gain=gain, pedestal=np.array([100.0], np.float32)).apply(frame)
    assert np.allclose(out, 140)


def test_known_mixing_is_undone():
    rng = np.random.default_rng(1)
    true = rng.uniform(50, 1000, (3, 2, 8, 8))
    bleed = np.array([[0, 0.1, 0], [0.05, 0, 0.02], [0, 0, 0]], np.float32)
    background = np.array([10, 20, 30], np.float32)
    seen = true + np.einsum("ij,jzyx->izyx", bleed, true - background[:, None, None, None])
    out = Corrections(bleed=bleed, background=background).apply(seen)
    assert np.allclose(out, true, atol=0.02)


def test_a_subset_of_channels_is_corrected_with_its_own_estimates():
    gain = np.stack([np.full((4, 4), g, np.float32) for g in (1, 2, 4)])
    frame = np.full((2, 1, 4, 4), 8, np.uint16)
    out = Corrections(gain=gain).apply(frame, channels=(2, 1))
    assert out[:, 0, 0, 0].tolist() == [2, 4]


def test_a_channel_that_bleeds_in_must_be_there():
    bleed = np.array([[0, 0.1], [0, 0]], np.float32)
    corrections = Corrections(bleed=bleed, background=np.zeros(2, np.float32))
    with pytest.raises(ValueError, match="bleed into"):
        corrections.apply(np.ones((1, 1, 4, 4), np.uint16), channels=(0,))
    with pytest.raises(ValueError, match="background"):
        Corrections(bleed=bleed).apply(np.ones((2, 1, 4, 4), np.uint16))


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 500), st.integers(1, 40))
def test_sampled_frames_rise_and_span_the_movie(n_frames, n):
    found = sample_frames(n_frames, n)
    assert len(found) == min(n, n_frames)
    assert (np.diff(found) > 0).all()
    assert found[0] == 0
    if n > 1:
        assert found[-1] == n_frames - 1
