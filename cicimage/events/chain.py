"""A chain of hidden states in continuous time, seen at the movie's frames.

States change at rates per hour, so the frame interval, pauses and irregular steps enter as they are. Durations that
are not exponential are made of several states in a row or side by side. Everything runs over all guests at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import expm

from cicimage.arrays import Float64Array, Int64Array


@dataclass(frozen=True, eq=False)
class Chain:
    """States with their rates.

    Attributes
    ----------
    states : tuple of str
        S names.
    generator : (S, S) float64
        Rates per hour from row to column; rows sum to 0.
    start : (S,) float64
        Probability of each state when a guest is first seen.
    """

    states: tuple[str, ...]
    generator: Float64Array
    start: Float64Array

    def transition(self, hours: float) -> Float64Array:
        """Probability of each state after a time, (S, S), rows sum to 1."""
        moved: Float64Array = np.clip(expm(self.generator * hours), 1e-12, None)
        out: Float64Array = moved / moved.sum(axis=1, keepdims=True)
        return out


@dataclass(frozen=True, eq=False)
class Smoothed:
    """Posterior of every guest and frame, and what sampling paths needs.

    ``posterior`` and ``filtered`` are (G, T, S); rows of frames in which a guest is not there are 0.
    """

    posterior: Float64Array
    filtered: Float64Array
    steps: list[Float64Array]
    first: Int64Array
    last: Int64Array


def smooth(
    log_likelihood: Float64Array,
    first: Int64Array,
    last: Int64Array,
    time_h: Float64Array,
    chain: Chain,
    parent: Int64Array | None = None,
) -> Smoothed:
    """Run forward and backward over all guests.

    Parameters
    ----------
    log_likelihood : (G, T, S) float64
        Evidence of each guest and frame; 0 for all states where nothing was seen.
    first, last : (G,) int64
        First and last frame of each guest.
    time_h : (T,) float64
        Time of each frame, hours.
    chain : Chain
        States and rates.
    parent : (G,) int64, optional
        Row of the guest it divided from, -1 = none: a daughter starts where its parent ended.

    Returns
    -------
    Smoothed
    """
    n, n_t, _ = log_likelihood.shape
    likelihood = np.exp(log_likelihood - log_likelihood.max(axis=2, keepdims=True))
    likelihood = np.maximum(likelihood, 1e-30)
    hours = [max(float(h), 1e-6) for h in np.diff(time_h)]
    moved = {h: chain.transition(h) for h in set(hours)}  # most steps of a movie are equally long
    steps = [moved[h] for h in hours]
    forward = np.zeros_like(likelihood)
    for t in range(n_t):
        starting = first == t
        if starting.any():
            forward[starting, t] = _start(starting, t, forward, chain, parent, last) * likelihood[starting, t]
        going = (first < t) & (last >= t)
        if going.any():
            forward[going, t] = (forward[going, t - 1] @ steps[t - 1]) * likelihood[going, t]
        here = starting | going
        forward[here, t] /= forward[here, t].sum(axis=1, keepdims=True)
    posterior = np.zeros_like(forward)
    backward = np.ones((n, likelihood.shape[2]))
    for t in range(n_t - 1, -1, -1):
        going = (first <= t) & (last > t)
        if going.any():
            backward[going] = (backward[going] * likelihood[going, t + 1]) @ steps[t].T
            backward[going] /= backward[going].sum(axis=1, keepdims=True)
        here = (first <= t) & (last >= t)
        both = forward[here, t] * np.where((last[here] == t)[:, None], 1.0, backward[here])
        posterior[here, t] = both / both.sum(axis=1, keepdims=True)
    return Smoothed(posterior, forward, steps, first, last)


def _start(
    starting: npt.NDArray[np.bool_],
    t: int,
    forward: Float64Array,
    chain: Chain,
    parent: Int64Array | None,
    last: Int64Array,
) -> Float64Array:
    """State probabilities of guests first seen at frame t."""
    rows = np.flatnonzero(starting)
    out = np.tile(chain.start, (len(rows), 1))
    if parent is not None:
        for k, row in enumerate(rows):
            mother = int(parent[row])
            if mother >= 0 and last[mother] < t:
                out[k] = np.maximum(forward[mother, last[mother]], 1e-6)
    return out


def sample_paths(smoothed: Smoothed, n: int, rng: np.random.Generator) -> npt.NDArray[np.int8]:
    """Draw whole paths from the posterior.

    Returns
    -------
    (n, G, T) int8
        State of each draw, guest and frame; -1 where the guest is not there.
    """
    n_guests, n_t, n_s = smoothed.filtered.shape
    out = np.full((n, n_guests, n_t), -1, dtype=np.int8)
    for t in range(n_t - 1, -1, -1):
        here = np.flatnonzero((smoothed.first <= t) & (smoothed.last >= t))
        if len(here) == 0:
            continue
        weight = np.tile(smoothed.filtered[here, t], (n, 1, 1))
        going = smoothed.last[here] > t
        if going.any():
            after = out[:, here[going], t + 1]
            weight[:, going] *= smoothed.steps[t].T[after]
        total = np.cumsum(weight, axis=2)
        draw = rng.random((n, len(here), 1)) * total[:, :, -1:]
        out[:, here, t] = np.minimum((draw > total).sum(axis=2), n_s - 1)
    return out
