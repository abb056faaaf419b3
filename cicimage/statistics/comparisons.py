"""Conditions against a reference, within donors where they are paired; the method chosen by a stated rule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cicimage.errors import CicimageError, nearest
from cicimage.statistics.count_model import profile_ratio
from cicimage.statistics.design import Unit, complete_layout, join_notes, shared_host_note, unit_of_replication
from cicimage.statistics.intervals import t_interval
from cicimage.tables import COMPARISONS, conform

MIN_EVENTS_FOR_T = 1


@dataclass(frozen=True)
class Comparison:
    """A ratio with how it was made.

    Attributes
    ----------
    ratio, low, high, p_value : float
        Ratio with its limits and two-sided p; NaN where none can be given.
    unit : {"donor", "experiment", "none"}
        What counted as n.
    n_pairs : int
        Units that carried the comparison.
    method, note : str
        How, and what a reader must know.
    """

    ratio: float
    low: float
    high: float
    p_value: float
    unit: Unit
    n_pairs: int
    method: str
    note: str


def compare(
    rates_by_replicate: pd.DataFrame,
    reference: str,
    layout: pd.DataFrame,
    *,
    estimands: Sequence[str] | None = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Compare every condition with the reference, and death inside with outside in every condition.

    Parameters
    ----------
    rates_by_replicate : pandas.DataFrame
        As :func:`cicimage.statistics.rates.compute_rates` returns it.
    reference : str
        A condition of the layout.
    layout : pandas.DataFrame
        The design.
    estimands : sequence of str, optional
        Which to compare; all where not given.
    level : float
        Coverage of the intervals.

    Returns
    -------
    pandas.DataFrame
        Table ``comparisons`` with ``inhibition_percent`` (100 (1 - ratio)) and its limits behind it.

    Raises
    ------
    CicimageError
        The reference is no condition of the layout.

    Notes
    -----
    The rule, by counts and design and never by p: (1) fewer than two units with both conditions: the ratio of pooled
    rates and no test; (2) every pair has events in both: Student's t on the paired log ratios; (3) otherwise the
    donor-level count model with profile likelihood (:mod:`cicimage.statistics.count_model`). Nothing is added to zero
    counts. p values are adjusted over conditions within an estimand (Holm 1979, Scand J Stat 6:65).
    """
    layout = complete_layout(layout)
    conditions = list(dict.fromkeys(layout["condition"]))
    if reference not in conditions:
        raise CicimageError(f"reference {reference!r} is no condition of the layout; {nearest(reference, conditions)}")
    unit = unit_of_replication(layout)
    names = list(dict.fromkeys(rates_by_replicate["estimand"])) if estimands is None else list(estimands)
    rows: list[dict[str, object]] = []
    for name in names:
        mine = rates_by_replicate[rates_by_replicate["estimand"] == name]
        block = [
            {"estimand": name, "condition": c, "reference": reference}
            | _row(compare_counts(_counts(mine, c, unit), _counts(mine, reference, unit), unit, level))
            for c in conditions
            if c != reference
        ]
        rows += _adjusted(block)
    rows += list(_inside_against_outside(rates_by_replicate, conditions, unit, level))
    shared = shared_host_note(layout)
    for row in rows:
        row["note"] = join_notes(str(row["note"]), shared)
    return conform(COMPARISONS, pd.DataFrame(rows, columns=None if rows else [c.name for c in COMPARISONS.columns]))


def _row(c: Comparison) -> dict[str, object]:
    return {
        "ratio": c.ratio, "ci_low": c.low, "ci_high": c.high, "p_value": c.p_value, "p_adjusted": np.nan,
        "unit_of_replication": c.unit, "n_pairs": c.n_pairs, "method": c.method, "note": c.note,
        "inhibition_percent": 100 * (1 - c.ratio), "inhibition_low": 100 * (1 - c.high),
        "inhibition_high": 100 * (1 - c.low),
    }  # fmt: skip


def _counts(rows: pd.DataFrame, condition: str, unit: Unit) -> pd.DataFrame:
    """Events and denominators per unit of one condition; the index is empty text where the unit is unknown."""
    mine = rows[rows["condition"] == condition]
    size = mine["denominator"] if "denominator" in mine else mine["exposure_h"]
    by = mine[unit] if unit != "none" else pd.Series("", index=mine.index)
    incidence = mine["estimand"] == "entry_cumulative_incidence"
    # an incidence is compared by the guests that would have entered, deaths and losses allowed for
    events = mine["events"].mask(incidence, mine["estimate"] * size)
    table = pd.DataFrame({"events": events, "denominator": size})
    return table.groupby(by.astype(object)).sum()


def compare_counts(treated: pd.DataFrame, control: pd.DataFrame, unit: Unit, level: float = 0.95) -> Comparison:
    """Compare two arms given per unit (index) ``events`` and ``denominator``, by the rule of :func:`compare`."""
    named = [t[(t.index != "") & (t["denominator"] > 0)] for t in (treated, control)]
    both = named[0].index.intersection(named[1].index)
    left_out = sorted({str(i) for t in named for i in t.index} - {str(i) for i in both})
    note = f"{unit}s in one arm only: {', '.join(left_out)}" if left_out and unit != "none" else ""
    if unit == "none" or len(both) < 2:
        return _pooled(treated, control, unit, len(both), note)
    y1, t1 = (named[0].loc[both, c].to_numpy(np.float64) for c in ("events", "denominator"))
    y0, t0 = (named[1].loc[both, c].to_numpy(np.float64) for c in ("events", "denominator"))
    if min(y1.min(), y0.min()) >= MIN_EVENTS_FOR_T:
        mean, low, high, p = t_interval(np.log((y1 / t1) / (y0 / t0)), level)
        ratio, limits = np.exp(mean), np.exp([low, high])
        return Comparison(
            float(ratio), float(limits[0]), float(limits[1]), p, unit, len(both),
            f"t on {len(both)} paired log ratios", join_notes(note, _inhibition(ratio, limits[0], limits[1])),
        )  # fmt: skip
    return _by_counts(y1, t1, y0, t0, unit, note, level)


def _by_counts(
    y1: np.ndarray, t1: np.ndarray, y0: np.ndarray, t0: np.ndarray, unit: Unit, note: str, level: float
) -> Comparison:
    if y1.sum() + y0.sum() == 0:
        return Comparison(
            np.nan, np.nan, np.nan, np.nan, unit, 0, "none", join_notes(note, "no events in either condition")
        )
    fit = profile_ratio(y1, t1, y0, t0, level)
    if fit.n < 2:
        said = f"no test: events in {fit.n} of {len(y1)} {unit}s only"
        return Comparison(fit.estimate, np.nan, np.nan, np.nan, unit, fit.n, "ratio of rates", join_notes(note, said))
    zeros = f"{int((y1 == 0).sum())} treated and {int((y0 == 0).sum())} reference {unit}s without events"
    return Comparison(
        fit.estimate, fit.low, fit.high, fit.p_value, unit, fit.n,
        f"count model over {fit.n} pairs, profile likelihood",
        join_notes(note, zeros, _inhibition(fit.estimate, fit.low, fit.high)),
    )  # fmt: skip


def _pooled(treated: pd.DataFrame, control: pd.DataFrame, unit: Unit, n: int, note: str) -> Comparison:
    y1, t1 = float(treated["events"].sum()), float(treated["denominator"].sum())
    y0, t0 = float(control["events"].sum()), float(control["denominator"].sum())
    ratio = (y1 / t1) / (y0 / t0) if t1 > 0 and t0 > 0 and y0 > 0 else np.nan
    said = "no test: n of donors is unknown" if unit == "none" else f"no test: n of {unit}s is {n}"
    if not (t1 > 0 and t0 > 0):
        said = join_notes(said, "no person-time in one condition")
    return Comparison(ratio, np.nan, np.nan, np.nan, unit, n, "ratio of pooled rates", join_notes(note, said))


def _inhibition(ratio: float, low: float, high: float) -> str:
    if not ratio < 1:
        return ""
    worst = f"{100 * (1 - high):.0f}" if np.isfinite(high) else "-inf"
    return f"inhibition {100 * (1 - ratio):.0f} % ({worst} to {100 * (1 - low):.0f})"


def holm(p_values: Sequence[float]) -> list[float]:
    """Step-down adjusted p values (Holm 1979); missing ones stay missing and are not counted.

    Examples
    --------
    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    out = np.full(len(p), np.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    highest = 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p[i]))
        out[i] = highest
    return [float(v) for v in out]


def _adjusted(block: list[dict[str, object]]) -> list[dict[str, object]]:
    for row, p in zip(block, holm([float(str(r["p_value"])) for r in block]), strict=True):
        row["p_adjusted"] = p
    return block


def _inside_against_outside(
    rates: pd.DataFrame, conditions: Sequence[str], unit: Unit, level: float
) -> Iterator[dict[str, object]]:
    inside = rates[rates["estimand"] == "death_rate_inside_per_h"]
    outside = rates[rates["estimand"] == "death_rate_outside_per_h"]
    if inside.empty or outside.empty:
        return
    for condition in conditions:
        c = compare_counts(_counts(inside, condition, unit), _counts(outside, condition, unit), unit, level)
        row = {"estimand": "death_hazard_inside_vs_outside", "condition": condition, "reference": "outside"} | _row(c)
        row["note"] = join_notes(
            str(row["note"]).split("; inhibition")[0], "association, not protection: fitter guests may enter"
        )
        row["method"] = f"rate ratio per state-hour, {row['method']}"
        row["p_adjusted"] = row["p_value"]
        yield row
