from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cicimage.preprocessing.bleaching import MonotoneBleaching


def decay(n, lost, tau):
    curve = np.exp(-np.arange(n) / tau)
    return 1 - (1 - curve) / (1 - curve[-1]) * lost


@pytest.mark.parametrize(("lost", "tau"), [*itertools.product([0.0, 0.1, 0.4, 0.6], [10.0, 40.0, 400.0]), (0.9, 40.0)])
def test_finds_a_planted_decay_through_noise_and_outliers(lost, tau):
    rng = np.random.default_rng(2)
    truth = decay(100, lost, tau)
    signal = 300 * truth * (1 + rng.normal(0, 0.02, 100))
    signal[40] *= 0.3  # a defocused frame
    signal[60] = np.nan  # a missing one
    found = MonotoneBleaching().estimate(signal, np.arange(100) / 10)
    assert found[0] == 1
    assert np.abs(found - truth).max() < 0.06


def test_growing_signal_is_no_bleaching():
    found = MonotoneBleaching().estimate(np.linspace(100, 300, 50), np.arange(50.0))
    assert found.tolist() == [1.0] * 50


def test_a_pause_bleaches_by_time_or_by_exposures():
    exposures = np.arange(40)
    hours = np.where(exposures < 20, exposures, exposures + 60) / 10.0
    by_exposure = MonotoneBleaching(dose="exposures").estimate(100 * np.exp(-exposures / 30), hours)
    assert np.abs(by_exposure - np.exp(-exposures / 30)).max() < 0.02
    by_time = MonotoneBleaching(dose="time").estimate(100 * np.exp(-hours / 5), hours)
    assert np.abs(by_time - np.exp(-hours / 5)).max() < 0.03


@pytest.mark.parametrize("signal", [[5.0], [5.0, 4.0], [0.0, 0.0, 0.0, 0.0], [np.nan] * 5])
def test_too_little_to_see_gives_one(signal):
    found = MonotoneBleaching().estimate(np.array(signal), np.arange(float(len(signal))))
    assert found.tolist() == [1.0] * len(signal)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(0, 1e4) | st.just(float("nan")), min_size=1, max_size=60), st.floats(1e-3, 1e3))
def test_always_falls_from_one_and_ignores_the_unit_of_counts(signal, unit):
    values = np.array(signal)
    found = MonotoneBleaching().estimate(values, np.arange(float(len(values))))
    assert found[0] == 1
    assert (np.diff(found) <= 0).all()
    assert (found >= 0.02).all()
    again = MonotoneBleaching().estimate(values * unit, np.arange(float(len(values))))
    assert np.allclose(found, again, atol=1e-6)
