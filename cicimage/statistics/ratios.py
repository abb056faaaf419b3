"""One ratio between two arms: which method, by counts and design and never by p."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from cicimage.statistics.count_model import profile_rate, profile_ratio
from cicimage.statistics.design import Unit, join_notes
from cicimage.statistics.intervals import t_interval, too_alike
from cicimage.statistics.quantiles import t_quantile, t_two_sided

FloatArray = npt.NDArray[np.float64]

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
    """

    ratio: float
    low: float
    high: float
    p_value: float
    unit: Unit
    n_pairs: int
    method: str
    note: str


def paired_ratio(
    events: FloatArray,
    denominator: FloatArray,
    reference_events: FloatArray,
    reference_denominator: FloatArray,
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
            join_notes(
                few if fewest < FEW_EVENTS else "", _unequal(denominator, reference_denominator),
                inhibition(ratio, limits[0], limits[1]),
            ),
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
        join_notes(few, fit.caution(unit), inhibition(fit.estimate, fit.low, fit.high)),
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
    return Comparison(c.ratio, c.low, c.high, c.p_value, c.unit, c.n_pairs, c.method, join_notes(note, c.note))


def _unpaired(treated: pd.DataFrame, control: pd.DataFrame, unit: Unit, note: str, level: float) -> Comparison:
    arms = [(t["events"].to_numpy(np.float64), t["denominator"].to_numpy(np.float64)) for t in (treated, control)]
    found = unpaired_ratio(*arms[0], *arms[1], unit=unit, level=level)
    return _noted(found, join_notes("unpaired", note))


def unpaired_ratio(
    events: FloatArray,
    denominator: FloatArray,
    reference_events: FloatArray,
    reference_denominator: FloatArray,
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
        Student's two-sample t on log rates where every unit has events; otherwise the count model of each arm with
        t(G - 2), which holds where GEE with bias-reduced errors rejects a true null in up to 9 % (by simulation,
        benchmarks/results/statistics.md) and gives a bound where an arm has no events.
    """
    n = len(events) + len(reference_events)
    if min(events.min(), reference_events.min()) > 0:
        logs = [np.log(events / denominator), np.log(reference_events / reference_denominator)]
        difference = float(logs[0].mean() - logs[1].mean())
        variance = sum(float(((v - v.mean()) ** 2).sum()) for v in logs) / (n - 2)
        error = float(np.sqrt(variance * (1 / len(logs[0]) + 1 / len(logs[1]))))
        half = t_quantile(0.5 + level / 2, n - 2) * error
        p = t_two_sided(difference / error, n - 2) if error > 0 else np.nan
        ratio, low, high = (float(np.exp(v)) for v in (difference, difference - half, difference + half))
        return Comparison(
            ratio, low, high, p, unit, n, f"t({n - 2}) on unpaired log rates", inhibition(ratio, low, high)
        )
    return _unpaired_counts(events, denominator, reference_events, reference_denominator, unit, level)


def _unpaired_counts(
    y1: FloatArray, t1: FloatArray, y0: FloatArray, t0: FloatArray, unit: Unit, level: float
) -> Comparison:
    """Ratio of the two arms' median rates by the count model, their limits put together.

    On logarithms by the method of variance estimates recovery, and on the rates themselves (Donner & Zou 2012, Stat
    Methods Med Res 21:347) where an arm has no events at all.
    """
    n, df = len(y1) + len(y0), len(y1) + len(y0) - 2
    few = f"fewest events per {unit}: {y1.min():.3g} against {y0.min():.3g}"
    if y1.sum() + y0.sum() == 0:
        return Comparison(np.nan, np.nan, np.nan, np.nan, unit, n, "none", "no events in either condition")
    a, b = (profile_rate(y, t, level, df=df) for y, t in ((y1, t1), (y0, t0)))
    method, p = f"count model per condition, limits combined, t({df})", np.nan
    if y1.sum() == 0:
        ratio, low, high = 0.0, 0.0, a.high / float(np.sqrt(b.low * (2 * b.estimate - b.low)))
    elif y0.sum() == 0:
        ratio, low, high = np.inf, float(np.sqrt(a.low * (2 * a.estimate - a.low))) / b.high, np.inf
    else:
        (l1, m1, h1), (l0, m0, h0) = (np.log([max(r.low, 1e-12), r.estimate, r.high]) for r in (a, b))
        down, up = float(np.hypot(m1 - l1, h0 - m0)), float(np.hypot(h1 - m1, m0 - l0))
        log = float(m1 - m0)
        ratio, low, high = (float(np.exp(v)) for v in (log, log - down, log + up))
        towards_one = down if log > 0 else up
        p = t_two_sided(log / towards_one * t_quantile(0.5 + level / 2, df), df) if towards_one > 0 else np.nan
    # by simulation: 6.3 % where 5 % is asked, with four donors an arm, few events and a wide spread
    narrow = f"limits hold about 94 % where {unit}s differ widely" if n < 12 else ""
    return Comparison(ratio, low, high, p, unit, n, method, join_notes(few, narrow, inhibition(ratio, low, high)))


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


def inhibition(ratio: float, low: float, high: float) -> str:
    """Percent inhibition, 100 (1 - ratio), in words; empty where the ratio is not below 1."""
    if not ratio < 1:
        return ""
    if not (np.isfinite(low) and high < np.inf):
        return f"inhibition {100 * (1 - ratio):.0f} %, no bound"
    return f"inhibition {100 * (1 - ratio):.0f} % ({100 * (1 - high):.0f} to {100 * (1 - low):.0f})"


def _unequal(a: FloatArray, b: FloatArray) -> str:
    """Say so where units weigh alike though their exposures differ by more than a factor of five."""
    total = a + b
    if total.min() > 0 and total.max() / total.min() > 5:
        return f"exposure differs {total.max() / total.min():.0f}-fold between units, each counts once"
    return ""
