"""Alive, dying, dead or unknown, over time, from whatever marker there is.

========================= =====================================================================================
marker                    what it tells
========================= =====================================================================================
pi, sytox, other          dead, where the stain fills the body for two observed frames or more
caspase, annexin_v        dying: committed, not yet dead
none                      ``unknown``; a guest that loses its own dye at once, beyond the population's bleaching,
                          has lysed and is dead
========================= =====================================================================================

A dye that does not pass membranes tells nothing of an unstained guest inside a living host: ``unknown`` there, unless
the guest is seen alive later. Death is absorbing.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from cicimage.arrays import BoolArray, Float64Array
from cicimage.events.timeline import Timeline, runs
from cicimage.methods import Observations

Text = npt.NDArray[np.object_]

DYING_MARKERS: Final = ("caspase", "annexin_v")
DEATH_PER_H: Final = 0.01
"""Prior hazard; only how fast doubt shrinks depends on it."""
FALSE_STAIN: Final = 0.01
"""Chance that a frame of a living cell looks stained."""
MISSED_STAIN: Final = 0.05
"""Chance that a frame of a dead cell does not."""


def judge_viability(
    line: Timeline,
    inside: BoolArray,
    *,
    marker: str | None,
    reaches_inside: bool,
    signal_sd: float,
    fill: float,
    frames: int,
    lysed_from: int | None = None,
) -> tuple[Text, Float64Array]:
    """Judge one guest.

    Parameters
    ----------
    line : Timeline
        The guest.
    inside : (T,) bool
        Where it is (or may be) inside a host.
    marker : str or None
        Kind of marker.
    reaches_inside : bool
        Whether the marker stains a guest inside a living host.
    signal_sd, fill : float
        Signal (noise SD) and share of the body from which a frame counts as stained.
    frames : int
        Stained observed frames in a row from which on it counts.
    lysed_from : int, optional
        Index from which on its own dye is gone (:func:`dye_losses`).

    Returns
    -------
    viability : (T,) object
        alive | dying | dead | unknown.
    p_dead : (T,) float64
        Probability of being dead (or dying, with a marker of dying); NaN where no marker could tell.
    """
    n = len(line)
    state, p = np.full(n, "unknown", object), np.full(n, np.nan)
    if marker is not None:
        measured = line.observed & np.isfinite(line.death_signal)
        positive = measured & (line.death_signal >= signal_sd) & (line.death_fill >= fill)
        told = measured & ~(inside & (not reaches_inside) & ~positive)
        p = _death_posterior(positive, told, line.time_h)
        # A stained last reading is not yet a death; with readings far apart it is no sign of life either.
        state[told & ~_unconfirmed(positive, measured, line.observed)] = "alive"
        since = _first_lasting(positive, measured, frames)
        if since is not None:
            state[since:] = "dying" if marker in DYING_MARKERS else "dead"
        living = np.flatnonzero(state == "alive")
        if len(living):
            # Who is alive later was alive before.
            state[(np.arange(n) < living[-1]) & (state == "unknown")] = "alive"
        p[state == "unknown"] = np.nan
    if lysed_from is not None:
        state[lysed_from:] = "dead"
        p[lysed_from:] = 0.9
    return state, p


def _death_posterior(positive: BoolArray, told: BoolArray, time_h: Float64Array) -> Float64Array:
    """Probability of being dead in each frame, over all moments at which it may have died, death being final."""
    alive = np.where(told, np.where(positive, np.log(FALSE_STAIN), np.log1p(-FALSE_STAIN)), 0.0)
    dead = np.where(told, np.where(positive, np.log1p(-MISSED_STAIN), np.log(MISSED_STAIN)), 0.0)
    n = len(time_h)
    # Died before frame k: alive in frames < k, dead from k on; k = n is alive to the end.
    score = np.concatenate(([0.0], np.cumsum(alive))) + np.concatenate((np.cumsum(dead[::-1])[::-1], [0.0]))
    step = np.diff(time_h) if n > 1 else np.zeros(0)
    hazard = np.concatenate(([0.02], 1.0 - np.exp(-DEATH_PER_H * step), [0.0]))
    survived = np.concatenate(([1.0], np.cumprod(1.0 - hazard[:-1])))
    prior = np.where(np.arange(n + 1) < n, hazard * survived, survived)
    weight = np.exp(score - score.max()) * prior
    out: Float64Array = np.cumsum(weight[:n]) / weight.sum()
    return out


def _first_lasting(positive: BoolArray, measured: BoolArray, frames: int) -> int | None:
    """First stained frame of the first stretch of enough stained ones; gaps do not break a stretch."""
    seen = np.flatnonzero(measured)
    for a, b in runs(positive[seen]):
        if b - a + 1 >= min(frames, len(seen)):
            return int(seen[a])
    return None


def _unconfirmed(positive: BoolArray, measured: BoolArray, observed: BoolArray) -> BoolArray:
    """Stained readings to which the end of the marker's readings leaves no second opinion, where it skips frames."""
    out = np.zeros(len(positive), bool)
    seen = np.flatnonzero(measured)
    if not len(seen) or not (observed & ~measured).any():
        return out
    for a, b in runs(positive[seen]):
        if b == len(seen) - 1:
            out[seen[a : b + 1]] = True
    return out


def dye_losses(
    observations: Observations, lines: list[Timeline], *, left: float = 0.25, frames: int = 2
) -> dict[int, int]:
    """Guests whose own dye is gone at once: lysed, from which index of their timeline on.

    The population's median signal over its own start is the bleaching curve; a guest has lysed where it falls
    from above half of its bleached expectation to under ``left`` of it within two frames and stays there.

    Parameters
    ----------
    observations : Observations
        ``snr`` of the guests' own channel is read.
    lines : list of Timeline
        The guests.
    left : float
        Share of the expected signal under which the dye is gone.
    frames : int
        Frames for which it must be gone, to the end of the track.

    Returns
    -------
    dict of int to int
        Index by guest id.
    """
    relative = np.full((len(lines), max(1, observations.n_frames)), np.nan)
    for g, line in enumerate(lines):
        known = line.snr[line.observed & np.isfinite(line.snr)]
        if len(known) >= 4:
            start = float(np.median(known[:3]))
            relative[g, line.frame] = np.where(line.observed, line.snr / max(start, 1e-9), np.nan)
    if np.isfinite(relative).sum() == 0:
        return {}
    counted = np.isfinite(relative).sum(axis=0)
    curve = np.array([np.nanmedian(c) if n >= 5 else 1.0 for c, n in zip(relative.T, counted, strict=True)])
    out = {}
    for g, line in enumerate(lines):
        share = relative[g, line.frame] / np.maximum(curve[line.frame], 0.05)
        seen = np.flatnonzero(np.isfinite(share))
        gone = share[seen] < left
        for a, b in runs(gone):
            to_the_end = b == len(seen) - 1 and b - a + 1 >= frames
            if a >= 1 and to_the_end and share[seen[max(0, a - 2) : a]].max() > 0.5:
                out[line.guest_id] = int(seen[a])
    return out
