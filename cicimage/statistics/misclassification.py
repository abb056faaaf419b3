"""Error rates from a reviewed random sample, carried into the rate, and whether they differ between conditions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cicimage.errors import CicimageError
from cicimage.estimands import ENTRY_RATE
from cicimage.statistics.design import join_notes
from cicimage.statistics.intervals import Interval, binomial_interval, poisson_interval


@dataclass(frozen=True)
class ErrorRates:
    """What review of a random sample says about one condition's calls.

    Attributes
    ----------
    reviewed_events, real_events : int
        Called events looked at, and how many were real.
    reviewed_h, missed_events : float, int
        Person-time without a call looked at (under, on top, unresolved and free alike), hours, and real entries in it.
    ppv : Interval
        Share of calls that are real, exact binomial.
    missed_per_h : Interval
        Missed entries per hour not called, exact Poisson.
    """

    reviewed_events: int
    real_events: int
    reviewed_h: float
    missed_events: int
    ppv: Interval
    missed_per_h: Interval


def error_rates(real: int, reviewed: int, missed: int, reviewed_h: float, level: float = 0.95) -> ErrorRates:
    """Error rates of one condition.

    Parameters
    ----------
    real, reviewed : int
        Real ones among the called events reviewed.
    missed : int
        Real entries found in the person-time without calls reviewed.
    reviewed_h : float
        That person-time, hours.
    level : float
        Coverage of the limits.

    Raises
    ------
    CicimageError
        More real than reviewed events, or a negative count.
    """
    if not 0 <= real <= reviewed or missed < 0 or reviewed_h < 0:
        raise CicimageError(
            f"error rates: counts must be 0 <= real <= reviewed and not negative, got real {real} of {reviewed}, "
            f"missed {missed} in {reviewed_h} h; mend the review table"
        )
    return ErrorRates(
        reviewed, real, reviewed_h, missed, binomial_interval(real, reviewed, level),
        poisson_interval(missed, reviewed_h, level),
    )  # fmt: skip


@dataclass(frozen=True)
class CorrectedRate:
    """A rate with false calls taken out and missed entries put in.

    Attributes
    ----------
    raw : Interval
        As called.
    corrected : Interval
        Events x PPV / hours + missed per hour.
    factor : float
        Corrected over raw.
    note : str
        What a reader must know.
    """

    raw: Interval
    corrected: Interval
    factor: float
    note: str


def corrected_rate(events: float, hours: float, errors: ErrorRates, level: float = 0.95) -> CorrectedRate:
    """Carry error rates into a rate of one condition.

    Parameters
    ----------
    events, hours : float
        Called events and person-time of the whole condition.
    errors : ErrorRates
        From a random sample of the same condition.
    level : float
        Coverage.

    Notes
    -----
    Limits from the exact limits of the three parts (count, PPV, missed rate) by the method of variance estimates
    recovery, MOVER (Donner A, Zou GY 2012, Stat Methods Med Res 21:347), product and sum in turn. The counting error of
    one condition; the donor level is that of the comparison.
    """
    raw = poisson_interval(events, hours, level)
    if errors.reviewed_events == 0 and events > 0:
        return CorrectedRate(raw, Interval(np.nan, np.nan, np.nan, "none"), np.nan, "no called event was reviewed")
    real = _product(raw, errors.ppv if errors.reviewed_events else Interval(1.0, 1.0, 1.0, ""))
    note = ""
    if errors.reviewed_h > 0:
        total = _sum(real, errors.missed_per_h)
    else:
        total, note = real, "no person-time without calls was reviewed: missed entries are not corrected for"
    corrected = Interval(total[0], total[1], total[2], "MOVER of exact limits")
    factor = corrected.estimate / raw.estimate if raw.estimate > 0 else np.nan
    return CorrectedRate(raw, corrected, factor, note)


def _product(a: Interval, b: Interval) -> tuple[float, float, float]:
    """MOVER on the product of two non-negative quantities."""
    estimate = a.estimate * b.estimate
    low = estimate - np.sqrt(((a.estimate - a.low) * b.estimate) ** 2 + ((b.estimate - b.low) * a.estimate) ** 2)
    high = estimate + np.sqrt(((a.high - a.estimate) * b.estimate) ** 2 + ((b.high - b.estimate) * a.estimate) ** 2)
    return estimate, max(float(low), 0.0), float(high)


def _sum(a: tuple[float, float, float], b: Interval) -> tuple[float, float, float]:
    low = a[0] + b.estimate - np.hypot(a[0] - a[1], b.estimate - b.low)
    high = a[0] + b.estimate + np.hypot(a[2] - a[0], b.high - b.estimate)
    return a[0] + b.estimate, max(float(low), 0.0), float(high)


@dataclass(frozen=True)
class DifferentialError:
    """Whether error rates differ between conditions, so that they could fake an effect.

    Attributes
    ----------
    p_ppv, p_missed : float
        Exact tests of equal PPV and of equal missed rate against the reference.
    ratio_correction : float
        What the rate ratio is multiplied by when both conditions are corrected.
    differential : bool
        Either p below 0.05.
    note : str
        In words.
    """

    p_ppv: float
    p_missed: float
    ratio_correction: float
    differential: bool
    note: str


def differential_error(
    condition: ErrorRates, reference: ErrorRates, rate: float, reference_rate: float
) -> DifferentialError:
    """Test for error that differs between a condition and the reference.

    Parameters
    ----------
    condition, reference : ErrorRates
        Of the two conditions.
    rate, reference_rate : float
        Their called rates per hour.

    Notes
    -----
    Fisher's exact test for PPV; for missed entries the conditional binomial test of two Poisson rates (Przyborowski &
    Wilenski 1940, Biometrika 31:313). A test that finds nothing in a small sample proves nothing: the note has the
    numbers.
    """
    from scipy import stats  # slow to import, and few reports need it

    a, b = condition, reference
    table = np.array([[e.real_events, e.reviewed_events - e.real_events] for e in (a, b)])
    p_ppv = float(stats.fisher_exact(table)[1]) if min(a.reviewed_events, b.reviewed_events) else np.nan
    missed, hours = a.missed_events + b.missed_events, a.reviewed_h + b.reviewed_h
    if min(a.reviewed_h, b.reviewed_h) > 0:
        p_missed = float(stats.binomtest(a.missed_events, missed, a.reviewed_h / hours).pvalue) if missed else 1.0
    else:
        p_missed = np.nan
    factors = [_factor(e, r) for e, r in ((a, rate), (b, reference_rate))]
    correction = factors[0] / factors[1] if factors[1] > 0 else np.nan
    said = (
        f"real calls {a.real_events} of {a.reviewed_events} against {b.real_events} of {b.reviewed_events}, missed "
        f"{a.missed_events} in {a.reviewed_h:.3g} h against {b.missed_events} in {b.reviewed_h:.3g} h"
    )
    found = bool(p_ppv < 0.05) or bool(p_missed < 0.05)
    return DifferentialError(p_ppv, p_missed, correction, found, said)


def _factor(errors: ErrorRates, rate: float) -> float:
    ppv = errors.ppv.estimate if errors.reviewed_events else 1.0
    missed = errors.missed_per_h.estimate if errors.reviewed_h > 0 else 0.0
    return ppv + missed / rate if rate > 0 else np.nan


def errors_by_condition(reviewed: pd.DataFrame, level: float = 0.95) -> dict[str, ErrorRates]:
    """Error rates of each condition from the reviewed random sample.

    Parameters
    ----------
    reviewed : pandas.DataFrame
        One row per reviewed item: condition, sample (``event``: a called event, ``other``: person-time without a call),
        is_entry (bool: a real entry), hours (of ``other``).
    level : float
        Coverage.

    Raises
    ------
    CicimageError
        A column is missing or ``sample`` holds anything else.
    """
    for name in ("condition", "sample", "is_entry", "hours"):
        if name not in reviewed:
            raise CicimageError(f"reviewed sample: column {name!r} is missing; see errors_by_condition")
    foreign = set(reviewed["sample"]) - {"event", "other"}
    if foreign:
        raise CicimageError(f"reviewed sample: 'sample' must be event or other, got {sorted(foreign)[0]!r}; mend it")
    out = {}
    for condition, part in reviewed.groupby("condition", sort=False):
        calls, others = part[part["sample"] == "event"], part[part["sample"] == "other"]
        out[str(condition)] = error_rates(
            int(calls["is_entry"].sum()), len(calls), int(others["is_entry"].sum()), float(others["hours"].sum()), level
        )
    return out


def corrected_rates(
    rates: pd.DataFrame,
    reviewed: pd.DataFrame,
    reference: str,
    *,
    estimand: str = ENTRY_RATE,
    level: float = 0.95,
) -> pd.DataFrame:
    """Rates of every reviewed condition with error taken out, and whether error differs from the reference's.

    Parameters
    ----------
    rates : pandas.DataFrame
        Table ``rates``.
    reviewed : pandas.DataFrame
        As :func:`errors_by_condition` takes it; a random sample of each condition.
    reference : str
        Condition the errors are compared with.
    estimand : str
        An entry rate.
    level : float
        Coverage.

    Returns
    -------
    pandas.DataFrame
        condition, raw, corrected, ci_low, ci_high (counting error and error rates), factor, ratio_correction (what a
        ratio to the reference is multiplied by), p_ppv, p_missed, differential, note.
    """
    errors = errors_by_condition(reviewed, level)
    mine = rates[rates["estimand"] == estimand]
    counts = {
        str(c): (float(y), float(t))
        for c, y, t in zip(mine["condition"], mine["events"], mine["exposure_h"], strict=True)
    }
    rows = []
    for condition, error in errors.items():
        if condition not in counts:
            continue
        found = corrected_rate(*counts[condition], error, level)
        out: dict[str, object] = {
            "condition": condition, "raw": found.raw.estimate, "corrected": found.corrected.estimate,
            "ci_low": found.corrected.low, "ci_high": found.corrected.high, "factor": found.factor,
            "ratio_correction": 1.0, "p_ppv": np.nan, "p_missed": np.nan, "differential": False, "note": found.note,
        }  # fmt: skip
        if condition != reference and reference in errors and reference in counts:
            base = counts[reference]
            test = differential_error(error, errors[reference], found.raw.estimate, base[0] / base[1])
            out |= {
                "ratio_correction": test.ratio_correction, "p_ppv": test.p_ppv, "p_missed": test.p_missed,
                "differential": test.differential, "note": join_notes(found.note, test.note),
            }  # fmt: skip
        rows.append(out)
    return pd.DataFrame(rows)


def error_corrected(rates: pd.DataFrame, reviewed: pd.DataFrame, reference: str | None) -> pd.DataFrame:
    """Rows for table ``rates``: the entry rate of every reviewed condition with the program's error taken out.

    Parameters
    ----------
    rates : pandas.DataFrame
        Table ``rates`` of the calls as found.
    reviewed : pandas.DataFrame
        As :func:`errors_by_condition` takes it.
    reference : str, optional
        Condition the errors are compared with.

    Returns
    -------
    pandas.DataFrame
        Estimand ``entry_rate_error_corrected_per_guest_h``; the note has the counts behind it and says where error
        differs from the reference's, which could fake an effect.
    """
    base = rates[rates["estimand"] == ENTRY_RATE].set_index("condition", drop=False)
    rows = []
    for row in corrected_rates(rates, reviewed, reference or "").to_dict("records"):
        if not np.isfinite(row["corrected"]):
            continue
        part = reviewed[reviewed["condition"] == row["condition"]]
        calls, others = part[part["sample"] == "event"], part[part["sample"] == "other"]
        note = join_notes(
            "error differs from the reference's: it could fake an effect" if row["differential"] else "",
            f"reviewed at random: {int(calls['is_entry'].sum())} of {len(calls)} calls real, "
            f"{int(others['is_entry'].sum())} entries missed in {float(others['hours'].sum()):.3g} h",
            f"as called {row['raw']:.3g}", "counting and review error only",
        )  # fmt: skip
        rows.append(base.loc[row["condition"]].to_dict() | {
            "estimand": "entry_rate_error_corrected_per_guest_h", "estimate": row["corrected"],
            "ci_low": row["ci_low"], "ci_high": row["ci_high"], "bound_low": np.nan, "bound_high": np.nan,
            "method": "called rate x share real + missed per hour, MOVER of exact limits", "note": note,
        })  # fmt: skip
    return pd.DataFrame(rows)
