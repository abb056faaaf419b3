"""The hidden chain against exact enumeration and closed forms."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cicimage.events.chain import Chain, sample_paths, smooth

GENERATOR = np.array([[-1.0, 0.8, 0.2], [0.5, -0.6, 0.1], [0.0, 0.3, -0.3]])
CHAIN = Chain(("a", "b", "c"), GENERATOR, np.array([0.5, 0.3, 0.2]))


def _enumerated(log_likelihood: np.ndarray, time_h: np.ndarray) -> np.ndarray:
    """Posterior of one track by summing over every path."""
    n_t = len(time_h)
    steps = [CHAIN.transition(h) for h in np.diff(time_h)]
    posterior = np.zeros((n_t, 3))
    for path in itertools.product(range(3), repeat=n_t):
        weight = CHAIN.start[path[0]] * np.exp(sum(log_likelihood[t, s] for t, s in enumerate(path)))
        for t in range(1, n_t):
            weight *= steps[t - 1][path[t - 1], path[t]]
        for t, s in enumerate(path):
            posterior[t, s] += weight
    return posterior / posterior.sum(axis=1, keepdims=True)


def test_steps_of_one_length_share_their_matrix(monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(Chain, "transition", lambda self, h, found=Chain.transition: asked.append(h) or found(self, h))
    time_h = np.array([0.0, 0.25, 0.5, 1.0, 1.25, 1.75])
    found = smooth(np.zeros((1, 6, 3)), np.array([0]), np.array([5]), time_h, CHAIN)
    assert sorted(asked) == [0.25, 0.5]
    for step, hours in zip(found.steps, np.diff(time_h), strict=True):
        np.testing.assert_array_equal(step, CHAIN.transition(hours))


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 10_000))
def test_smoothing_is_exact(seed: int) -> None:
    rng = np.random.default_rng(seed)
    log_likelihood = rng.normal(0, 1.5, (1, 5, 3))
    time_h = np.concatenate(([0.0], np.cumsum(rng.uniform(0.05, 2.0, 4))))
    got = smooth(log_likelihood, np.array([0]), np.array([4]), time_h, CHAIN).posterior[0]
    np.testing.assert_allclose(got, _enumerated(log_likelihood[0], time_h), atol=1e-6)


def test_transition_of_two_states_has_its_closed_form() -> None:
    chain = Chain(("in", "out"), np.array([[-2.0, 2.0], [1.0, -1.0]]), np.array([1.0, 0.0]))
    p = chain.transition(0.4)
    assert p[0, 1] == pytest.approx(2 / 3 * (1 - np.exp(-3 * 0.4)))
    np.testing.assert_allclose(chain.transition(0.2) @ chain.transition(0.2), p, atol=1e-9)


def test_guests_of_different_spans_do_not_touch() -> None:
    rng = np.random.default_rng(3)
    log_likelihood = rng.normal(0, 1, (2, 6, 3))
    time_h = np.arange(6) / 2
    both = smooth(log_likelihood, np.array([0, 2]), np.array([5, 4]), time_h, CHAIN)
    alone = smooth(log_likelihood[1:], np.array([2]), np.array([4]), time_h, CHAIN)
    np.testing.assert_allclose(both.posterior[1], alone.posterior[0])
    assert (both.posterior[1, [0, 1, 5]] == 0).all()


def test_daughter_starts_where_its_mother_ended() -> None:
    log_likelihood = np.zeros((2, 4, 3))
    log_likelihood[0, :2, 2] = 9.0
    first, last, time_h = np.array([0, 2]), np.array([1, 3]), np.arange(4) / 10
    free = smooth(log_likelihood, first, last, time_h, CHAIN).posterior[1, 2]
    heir = smooth(log_likelihood, first, last, time_h, CHAIN, np.array([-1, 0])).posterior[1, 2]
    np.testing.assert_allclose(free, CHAIN.start, atol=1e-6)
    assert heir[2] > 0.99


def test_paths_are_drawn_from_the_posterior() -> None:
    rng = np.random.default_rng(0)
    log_likelihood = rng.normal(0, 1.5, (1, 5, 3))
    time_h = np.array([0.0, 0.3, 1.0, 1.2, 3.0])
    smoothed = smooth(log_likelihood, np.array([0]), np.array([4]), time_h, CHAIN)
    paths = sample_paths(smoothed, 4000, rng)
    share = np.stack([(paths[:, 0] == s).mean(axis=0) for s in range(3)], axis=1)
    np.testing.assert_allclose(share, smoothed.posterior[0], atol=0.04)
    pair = np.mean((paths[:, 0, 0] == 0) & (paths[:, 0, 1] == 0))
    exact = 0.0
    total = 0.0
    steps = [CHAIN.transition(h) for h in np.diff(time_h)]
    for path in itertools.product(range(3), repeat=5):
        weight = CHAIN.start[path[0]] * np.exp(sum(log_likelihood[0, t, s] for t, s in enumerate(path)))
        for t in range(1, 5):
            weight *= steps[t - 1][path[t - 1], path[t]]
        total += weight
        exact += weight * (path[0] == 0 and path[1] == 0)
    assert pair == pytest.approx(exact / total, abs=0.04)
