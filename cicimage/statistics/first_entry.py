"""Time to first entry of each guest, and its cumulative incidence with death outside competing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from cicimage.statistics.multistate import Occupation, aalen_johansen
from cicimage.statistics.quantiles import normal_quantile
from cicimage.statistics.spells import possible_entries
from cicimage.statistics.tallies import counted_events

STATES = ("outside", "entered", "dead outside")


def first_entry_records(
    events: pd.DataFrame, guests: pd.DataFrame, frames: pd.DataFrame, *, unresolved_enters: bool = False
) -> pd.DataFrame:
    """One row per guest at risk of a first entry.

    Parameters
    ----------
    events, guests, frames : pandas.DataFrame
        Tables of those names.
    unresolved_enters : bool
        Let a guest enter when it is first unresolved for long enough to be an entry: the upper bound.

    Returns
    -------
    pandas.DataFrame
        position, guest_id, start_h (first seen: later than the movie's start is delayed entry), stop_h, cause
        (0 observation ended, 1 entered, 2 died before). Guests inside or dead when first seen are never at risk.
    """
    if frames.empty:
        columns = {"position": object, "guest_id": np.int64, "start_h": float, "stop_h": float, "cause": np.int64}
        return pd.DataFrame({name: pd.Series([], dtype=dtype) for name, dtype in columns.items()})
    key = ["position", "guest_id"]
    rows = frames.sort_values([*key, "frame"], kind="stable")
    first = rows.drop_duplicates(key).set_index(key)
    out = pd.DataFrame({"start_h": first["time_h"], "stop_h": rows.groupby(key)["time_h"].max()})
    entered = _first_time(counted_events(events), "entry_frame", rows, out.index)
    if unresolved_enters:
        vague = possible_entries(frames, counted_events(events))
        vague_h = vague.groupby(key)["start_h"].min().reindex(out.index)
        entered = pd.concat([entered, vague_h], axis=1).min(axis=1)
    died = _first_time(guests, "death_frame", rows, out.index)
    out["cause"] = 0
    dies = died <= out["stop_h"]
    out.loc[dies, "stop_h"], out.loc[dies, "cause"] = died[dies], 2
    enters = entered <= out["stop_h"]
    out.loc[enters, "stop_h"], out.loc[enters, "cause"] = entered[enters], 1
    started_inside = (first["location"] == "inside") | (first["viability"] == "dead")
    prevalent = events[events["prevalent"].astype(bool)].set_index(key).index
    out = out[~started_inside.reindex(out.index).to_numpy(bool) & ~out.index.isin(prevalent)]
    return out[out["stop_h"] > out["start_h"]].reset_index()


def _first_time(table: pd.DataFrame, column: str, rows: pd.DataFrame, index: pd.Index) -> pd.Series:
    """Hours of each guest's earliest ``column`` (a frame), NaN where it has none."""
    key = ["position", "guest_id"]
    times = rows[["position", "frame", "time_h"]].drop_duplicates(["position", "frame"])
    known = table.loc[table[column].notna(), [*key, column]]
    known = known.assign(frame=known[column].astype(np.int64)).merge(times, on=["position", "frame"], how="left")
    return known.groupby(key)["time_h"].min().reindex(index)


@dataclass(frozen=True)
class Incidence:
    """Cumulative incidence of first entry.

    Attributes
    ----------
    curve : Occupation
        States ``outside``, ``entered``, ``dead outside``.
    at_h : float
        The time of ``estimate``.
    estimate, low, high : float
        Share entered by ``at_h``; limits on the log(-log) scale.
    n, events : int
        Guests at risk and first entries by ``at_h``.
    exposure_h : float
        Hours watched before first entry, death or end, up to ``at_h``.
    cells : float
        Effective number of guests: with so many, all watched to the end, a share would have the same standard error.
        Where none or all entered, those of known fate by then; 0 where nobody was followed.
    warning : str
        Empty, or what weakens the estimate.
    """

    curve: Occupation
    at_h: float
    estimate: float
    low: float
    high: float
    n: int
    events: int
    exposure_h: float
    cells: float
    warning: str


def cumulative_incidence(
    records: pd.DataFrame, at_h: float, *, cluster: npt.ArrayLike | None = None, level: float = 0.95
) -> Incidence:
    """Aalen-Johansen estimate of the share of guests that entered by a time.

    Parameters
    ----------
    records : pandas.DataFrame
        From :func:`first_entry_records`.
    at_h : float
        Horizon, hours since time zero.
    cluster : (n,) array_like, optional
        Independent unit of each record for the standard error.
    level : float
        Coverage of the pointwise limits.

    Notes
    -----
    Limits on the complementary log-log scale (Choudhury 2002, Stat Med 21:1129). One minus Kaplan-Meier is not offered:
    with death censored it answers how many would enter if none died (0.59 where 0.28 is true).
    """
    curve = aalen_johansen(
        records["start_h"], records["stop_h"], np.zeros(len(records), np.int64),
        np.where(records["cause"] == 0, -1, records["cause"]), STATES, cluster=cluster, initial=(1.0, 0.0, 0.0),
    )  # fmt: skip
    p, se = (float(v[1]) for v in curve.at(at_h))
    low, high = loglog_limits(p, se, level)
    n = len(records)
    events = int(((records["cause"] == 1) & (records["stop_h"] <= at_h + 1e-9)).sum())
    if n == 0 or not np.isfinite(at_h):
        p, low, high = np.nan, np.nan, np.nan
    followed = int(((records["stop_h"] >= at_h - 1e-9) | (records["cause"] > 0)).sum())
    if n and events == 0 and np.isfinite(at_h):
        # no entry among those watched to the end: the exact binomial bound on an effective number of guests
        low, high = 0.0, 1.0 - ((1 - level) / 2) ** (1 / followed) if followed else 1.0
    exposure = float((records["stop_h"].clip(upper=at_h) - records["start_h"].clip(upper=at_h)).sum())
    cells = min(p * (1.0 - p) / se**2, float(n)) if 0.0 < p < 1.0 and se > 0 else float(followed)
    return Incidence(curve, at_h, p, low, high, n, events, exposure, cells, _thin_start(curve))


def loglog_limits(p: float, se: float, level: float = 0.95) -> tuple[float, float]:
    """Pointwise limits of a probability on the log(-log(1 - p)) scale, always within 0 and 1."""
    if not 0.0 < p < 1.0 or se <= 0:
        return p, p
    z = float(normal_quantile(0.5 + level / 2))
    q = 1.0 - p
    half = z * se / (q * abs(np.log(q)))
    centre = np.log(-np.log(q))
    return float(1 - np.exp(-np.exp(centre - half))), float(1 - np.exp(-np.exp(centre + half)))


def _thin_start(curve: Occupation) -> str:
    """Delayed entry makes early risk sets small; a single event there weighs heavily."""
    moves = curve.transitions[:, 0, 1:].sum(axis=1)
    thin = (curve.at_risk[:, 0] < 5) & (moves > 0) & (curve.time_h < np.median(curve.time_h) if len(moves) else False)
    if thin.any():
        return f"{int(moves[thin].sum())} early transitions with fewer than 5 guests at risk"
    return ""
