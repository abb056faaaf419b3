"""One ratio between two arms: which method, by counts and design and never by p."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from cicimage.arrays import Float64Array
from cicimage.statistics.count_model import profile_ratio
from cicimage.statistics.design import Unit, join_notes
from cicimage.statistics.intervals import t_interval, too_alike
from cicimage.statistics.unpaired import Arm, fit_unpaired

FEW_EVENTS = 4
"""Fewer events than this in a unit and arm are said in the note."""


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
    by_t : bool
        Whether the limits are Student's t on one log ratio per unit, with ``n_pairs - 1`` degrees of freedom.
    """

    ratio: float
    low: float
    high: float
    p_value: float
    unit: Unit
    n_pairs: int
    method: str
    note: str
    by_t: bool = False


def paired_ratio(
    events: Float64Array,
    denominator: Float64Array,
    reference_events: Float64Array,
    reference_denominator: Float64Array,
    unit: Unit = "donor",
    level: float = 0.95,
) -> Comparison:
    """Ratio within two or more units that have both arms.

    Parameters
    ----------
    events, denominator, reference_events, reference_denominator : (n_units,) float64
        Counts and exposures, exposures > 0.
    unit : {"donor", "experiment"}
        What the units are.
    level : float
        Coverage of the limits.

    Returns
    -------
    Comparison
        Student's t on the paired log ratios where every unit has events in both arms (and their ratios do not agree
        by the accident of small counts, :func:`cicimage.statistics.intervals.too_alike`); otherwise the
        donor-level count model with profile likelihood.
    """
    fewest = min(float(events.min()), float(reference_events.min()))
    few = f"fewest events per {unit}: {events.min():.3g} against {reference_events.min():.3g}"
    ratios = (events / denominator) / np.maximum(reference_events / reference_denominator, 1e-300)
    if fewest > 0 and not too_alike(np.log(ratios), 1 / events + 1 / reference_events):
        logs = np.log(ratios)
        mean, low, high, p = t_interval(logs, level)
        ratio, limits = float(np.exp(mean)), np.exp([low, high])
        return Comparison(
            ratio, float(limits[0]), float(limits[1]), p, unit, len(logs), f"t on {len(logs)} paired log ratios",
            join_notes(few if fewest < FEW_EVENTS else "", _unequal(denominator, reference_denominator)), by_t=True,
        )  # fmt: skip
    if events.sum() + reference_events.sum() == 0:
        return Comparison(np.nan, np.nan, np.nan, np.nan, unit, 0, "none", "no events in either condition")
    fit = profile_ratio(events, denominator, reference_events, reference_denominator, level)
    if fit.n < 2:
        note = f"no test: events in {fit.n} of {len(events)} {unit}s only"
        return Comparison(fit.estimate, np.nan, np.nan, np.nan, unit, fit.n, "ratio of rates", note)
    return Comparison(
        fit.estimate, fit.low, fit.high, fit.p_value, unit, fit.n,
        f"count model over {fit.n} pairs, profile likelihood",
        join_notes(few, fit.caution(unit)),
    )  # fmt: skip


def compare_counts(treated: pd.DataFrame, control: pd.DataFrame, unit: Unit, level: float = 0.95) -> Comparison:
    """Compare two arms given per unit.

    Parameters
    ----------
    treated, control : pandas.DataFrame
        Index: unit (empty text where unknown); columns ``events`` and ``denominator``.
    unit : {"donor", "experiment", "none"}
        What the index holds.
    level : float
        Coverage of the limits.

    Returns
    -------
    Comparison
        (1) Two or more units with both arms: :func:`paired_ratio`, units of one arm left out and named. (2) Otherwise,
        two or more units in each arm: :func:`unpaired_ratio`. (3) Otherwise the ratio of pooled rates and no test.
    """
    named = [t[(t.index != "") & (t["denominator"] > 0)] for t in (treated, control)]
    both = named[0].index.intersection(named[1].index)
    single = sorted({str(i) for t in named for i in t.index} - {str(i) for i in both})
    note = f"{unit}s in one arm only: {', '.join(single)}" if single and unit != "none" else ""
    if unit != "none" and len(both) >= 2:
        arms = [named[k].loc[both, c].to_numpy(np.float64) for k in (0, 1) for c in ("events", "denominator")]
        found = paired_ratio(arms[0], arms[1], arms[2], arms[3], unit, level)
        return _noted(found, note)
    if unit != "none" and min(len(t) for t in named) >= 2:
        return _unpaired(named[0], named[1], unit, note, level)
    return _pooled(treated, control, unit, len(both), note)


def _noted(c: Comparison, note: str) -> Comparison:
    return replace(c, note=join_notes(note, c.note))


def _unpaired(treated: pd.DataFrame, control: pd.DataFrame, unit: Unit, note: str, level: float) -> Comparison:
    arms = [(t["events"].to_numpy(np.float64), t["denominator"].to_numpy(np.float64)) for t in (treated, control)]
    found = unpaired_ratio(*arms[0], *arms[1], unit=unit, level=level)
    return _noted(found, join_notes("unpaired", note))


def unpaired_ratio(
    events: Float64Array,
    denominator: Float64Array,
    reference_events: Float64Array,
    reference_denominator: Float64Array,
    unit: Unit = "donor",
    level: float = 0.95,
) -> Comparison:
    """Ratio between arms of different units, two or more each.

    Parameters
    ----------
    events, denominator : (n_treated,) float64
        Counts and exposures of the treated units.
    reference_events, reference_denominator : (n_reference,) float64
        The same of the reference.
    unit : {"donor", "experiment"}
        What the units are.
    level : float
        Coverage of the limits.

    Returns
    -------
    Comparison
        By :func:`cicimage.statistics.unpaired.fit_unpaired`: Welch's t on log rates where the numbers of units let it
        hold its level and every unit has events, otherwise each arm's own limits put together. GEE with bias-reduced
        errors rejects a true null in up to 9 % (benchmarks/results/statistics.md) and is not taken.
    """
    treated, reference = Arm(events, denominator), Arm(reference_events, reference_denominator)
    n, sizes = len(events) + len(reference_events), f"{len(events)} and {len(reference_events)} {unit}s"
    if events.sum() + reference_events.sum() == 0:
        return Comparison(np.nan, np.nan, np.nan, np.nan, unit, n, "none", "no events in either condition")
    fit = fit_unpaired(treated, reference, level)
    if fit.how == "welch":
        method, note = f"Welch's t({fit.df:.3g}) on unpaired log rates", ""
    else:
        method = "limits of each condition put together"
        note = f"conservative with {sizes}, whose spreads cannot be assumed alike"
    fewest = min(float(events.min()), float(reference_events.min()))
    few = f"fewest events per {unit}: {events.min():.3g} against {reference_events.min():.3g}"
    return Comparison(
        fit.ratio, fit.low, fit.high, fit.p_value, unit, n, method,
        join_notes(few if fewest < FEW_EVENTS else "", note),
    )  # fmt: skip


def _pooled(treated: pd.DataFrame, control: pd.DataFrame, unit: Unit, n: int, note: str) -> Comparison:
    y1, t1 = float(treated["events"].sum()), float(treated["denominator"].sum())
    y0, t0 = float(control["events"].sum()), float(control["denominator"].sum())
    ratio = (y1 / t1) / (y0 / t0) if t1 > 0 and t0 > 0 and y0 > 0 else np.nan
    said = "no test: n of donors is unknown" if unit == "none" else f"no test: n of paired {unit}s is {n}"
    if not (t1 > 0 and t0 > 0):
        said = join_notes(said, "no person-time in one condition")
    elif y0 == 0:
        said = join_notes(said, "no events in the reference")
    return Comparison(ratio, np.nan, np.nan, np.nan, unit, n, "ratio of pooled rates", join_notes(note, said))


def _unequal(a: Float64Array, b: Float64Array) -> str:
    """Say so where units weigh alike though their exposures differ by more than a factor of five."""
    total = a + b
    if total.min() > 0 and total.max() / total.min() > 5:
        return f"exposure differs {total.max() / total.min():.0f}-fold between units, each counts once"
    return ""
