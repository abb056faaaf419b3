"""Alive, dying, dead or unknown, from the death marker over time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cicimage.events.timeline import Timeline, runs

F64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]


def judge_viability(
    line: Timeline,
    inside: Bool,
    *,
    marker: str | None,
    reaches_inside: bool,
    signal_sd: float,
    fill: float,
    frames: int,
) -> tuple[npt.NDArray[np.object_], F64]:
    """Judge one guest.

    Parameters
    ----------
    line : Timeline
        The guest.
    inside : (T,) bool
        Where it is (or may be) inside a host.
    marker : str or None
        Kind of marker; a caspase reporter tells dying, the others dead.
    reaches_inside : bool
        Whether the marker stains a guest inside a living host.
    signal_sd, fill : float
        Signal (noise SD) and share of the body from which a frame counts as stained.
    frames : int
        Stained observed frames in a row from which on it counts.

    Returns
    -------
    viability : (T,) object
        alive | dying | dead | unknown.
    p_dead : (T,) float64
        NaN where no marker could tell.
    """
    n = len(line)
    if marker is None:
        return np.full(n, "unknown", object), np.full(n, np.nan)
    measured = line.observed & np.isfinite(line.death_signal)
    positive = measured & (line.death_signal >= signal_sd) & (line.death_fill >= fill)
    since = _first_lasting(positive, measured, frames)
    blind = inside & (not reaches_inside)
    state = np.full(n, "unknown", object)
    state[measured & ~blind] = "alive"
    if since is not None:
        state[since:] = "dying" if marker == "caspase" else "dead"
    living = np.flatnonzero(state == "alive")
    if len(living):
        # Who is alive later was alive before.
        before = np.arange(n) < living[-1]
        state[before & (state == "unknown")] = "alive"
    p = np.full(n, np.nan)
    p[state == "alive"] = 0.02
    p[state == "dead"] = 0.98
    p[state == "dying"] = 0.5
    weak = positive & (state == "alive")
    p[weak] = 0.3
    return state, p


def _first_lasting(positive: Bool, measured: Bool, frames: int) -> int | None:
    """First stained frame of the first stretch of enough stained ones; gaps do not break a stretch."""
    seen = np.flatnonzero(measured)
    for a, b in runs(positive[seen]):
        if b - a + 1 >= frames or (b == len(seen) - 1 and b - a + 1 >= 1 and len(seen) == 1):
            return int(seen[a])
    return None
