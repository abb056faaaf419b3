"""Doubt about single events in the limits of entry rates: events drawn by their probability, counted each time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from cicimage.arrays import Float64Array
from cicimage.statistics.count_model import profile_rate
from cicimage.statistics.intervals import Interval, log_t_interval, mixed_limit, poisson_interval
from cicimage.statistics.tallies import counted_events

N_DRAWS: Final = 50
CERTAIN: Final = 0.01


def rate_over_units(events: Float64Array, size: Float64Array, level: float) -> tuple[Interval, str]:
    """A rate over independent units, and the name of the rule that made its limits.

    Parameters
    ----------
    events, size : (n,) float64
        Events and person-time of each unit, size > 0.
    level : float
        Coverage.

    Returns
    -------
    Interval
        Under two units pooled counts, exact Poisson; by t on the units' log rates where every unit has events; else
        by the count model's profile likelihood.
    str
        ``poisson`` | ``t`` | ``profile``.
    """
    if len(events) < 2:
        return poisson_interval(float(events.sum()), float(size.sum()), level), "poisson"
    if (events > 0).all():
        return log_t_interval(events / size, level), "t"
    fit = profile_rate(events, size, level)
    return Interval(fit.estimate, fit.low, fit.high, "profile likelihood"), "profile"


def drawn_counts(
    events: pd.DataFrame, positions: pd.Index, *, brief: bool, n: int = N_DRAWS, seed: int = 0
) -> Iterator[Float64Array]:
    """Yield entries per position, (P,), in draws that keep each event with its probability.

    Parameters
    ----------
    events : pandas.DataFrame
        Table ``events``; those under p = 0.5 take part.
    positions : pandas.Index
        Names of the P positions.
    brief : bool
        Whether brief stays count.
    n, seed : int
        Draws and their seed.
    """
    kept = counted_events(events.assign(p=1.0), brief=brief)
    place = positions.get_indexer(pd.Index(kept["position"].astype(object)))
    p = events.loc[kept.index, "p"].to_numpy(np.float64)[place >= 0]
    place = place[place >= 0]
    rng = np.random.default_rng(seed)
    for _ in range(n):
        yield np.bincount(place[rng.random(len(p)) < p], minlength=len(positions)).astype(np.float64)


def doubt_limits(
    draws: list[Float64Array], size: Float64Array, unit: npt.NDArray[np.object_], level: float
) -> Interval:
    """Limits of the mean of the draws' confidence distributions.

    Parameters
    ----------
    draws : list of (P,) float64
        Entries per position of one condition, in each draw.
    size : (P,) float64
        Person-time of each position.
    unit : (P,) object
        Donor or experiment of each position; empty text where none is named.
    level : float
        Coverage.

    Returns
    -------
    Interval
        Median estimate and limits; those of the counts where all draws agree.
    """
    named = [u for u in dict.fromkeys(unit) if u != ""]
    groups = [unit == u for u in named if size[unit == u].sum() > 0]
    if len(groups) < 2:
        groups = [np.ones(len(unit), bool)]
    sums = np.array([size[g].sum() for g in groups])
    known: dict[bytes, Interval] = {}
    found = []
    for drawn in draws:
        events = np.array([drawn[g].sum() for g in groups])
        # many draws count the same: each is analysed once
        if events.tobytes() not in known:
            known[events.tobytes()] = rate_over_units(events, sums, level)[0]
        found.append(known[events.tobytes()])
    estimate, low, high = (np.array([getattr(f, k) for f in found]) for k in ("estimate", "low", "high"))
    alpha = (1.0 - level) / 2.0
    return Interval(
        float(np.median(estimate)), mixed_limit(estimate, low, alpha, -1.0), mixed_limit(estimate, high, alpha, 1.0),
        f"mean confidence distribution of {len(draws)} draws",
    )  # fmt: skip


def in_doubt(events: pd.DataFrame) -> bool:
    """Whether any event is neither certain nor ruled out."""
    return bool(len(events) and events["p"].between(CERTAIN, 1.0 - CERTAIN).any())
