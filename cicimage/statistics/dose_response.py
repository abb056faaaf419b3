"""Dose and response: a four-parameter logistic of the rate, fitted on the log scale with donor shifts, and its IC50."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cicimage.arrays import Float64Array
from cicimage.errors import CicimageError
from cicimage.estimands import ENTRY_RATE
from cicimage.statistics.design import Unit, complete_layout, join_notes, unit_of_replication
from cicimage.statistics.intervals import log_t_interval, poisson_interval
from cicimage.statistics.quantiles import t_quantile
from cicimage.tables import DOSE_FITS, DOSE_RESPONSE, conform

MIN_DOSES = 4
MAX_HILL = 8.0
LEAST_EFFECT = -8.0
"""Smallest log ratio between endless dose and none that is tried: a rate of a three-thousandth is none."""


@dataclass(frozen=True)
class DoseFit:
    """Fitted rate: ``top_donor (1 + (exp(effect) - 1) / (1 + (ic50 / dose) ** hill))``.

    Attributes
    ----------
    ic50, low, high : float
        Dose at which the rate is halfway between none and endless dose, with limits; limits may be 0 or infinite where
        the profile has no end; NaN for the estimate where it lies outside the doses tried.
    hill : float
        Slope, > 0.
    effect : float
        Log ratio between endless dose and none.
    intercepts : (n_units,) float64
        Log rate of each unit without drug.
    sse : float
        Residual sum of squares of the log rates.
    df : int
        Points less parameters.
    note : str
        Empty, or why there is no IC50.
    """

    ic50: float
    low: float
    high: float
    hill: float
    effect: float
    intercepts: Float64Array
    sse: float
    df: int
    note: str

    def log_rate(self, dose: npt.ArrayLike, intercept: float) -> Float64Array:
        """Fitted log rate at doses for a donor with this intercept."""
        return intercept + _fall(np.asarray(dose, np.float64), float(np.log(self.ic50)), self.hill, self.effect)


def _fall(dose: Float64Array, log_ic50: float, hill: float, effect: float) -> Float64Array:
    """Log of the rate at a dose over that at none."""
    with np.errstate(divide="ignore"):
        x = hill * (np.log(dose) - log_ic50)
    out: Float64Array = np.log1p(np.expm1(effect) * 0.5 * (1 + np.tanh(x / 2)))
    return out


def fit_dose_response(
    dose: npt.ArrayLike, log_rate: npt.ArrayLike, unit: npt.ArrayLike, level: float = 0.95
) -> DoseFit:
    """Fit the four-parameter curve of the rate by least squares of the log rate, a level of its own for each unit.

    Parameters
    ----------
    dose : (n,) array_like
        Doses, 0 for none; four or more different ones.
    log_rate : (n,) array_like
        Log rate of one unit at one dose.
    unit : (n,) array_like
        Donor of each point.
    level : float
        Coverage of the limits.

    Returns
    -------
    DoseFit
        Limits of the IC50 by profile: where the residual sum of squares exceeds its least by the factor 1 + t^2 / df
        (Bates & Watts 1988, Nonlinear Regression Analysis, section 6.1).

    Raises
    ------
    CicimageError
        Fewer than four doses.
    """
    x, y = np.asarray(dose, np.float64), np.asarray(log_rate, np.float64)
    n_doses = len(np.unique(x))
    if n_doses < MIN_DOSES:
        raise CicimageError(
            f"dose-response: a four-parameter curve needs {MIN_DOSES} doses (0 counts), got {n_doses}; add doses"
        )
    codes = np.unique(np.asarray(unit).astype(str), return_inverse=True)[1]
    points = _Points(x, y, codes)
    positive = np.log(np.unique(x[x > 0]))
    grid = np.linspace(positive[0] - 3, positive[-1] + 3, 61)
    values = np.array([points.profile(float(g))[0] for g in grid])
    k = int(np.argmin(values))
    centre = _lowest(lambda g: points.profile(g)[0], float(grid[max(k - 1, 0)]), float(grid[min(k + 1, len(grid) - 1)]))
    centre, sse, hill, effect = points.polished(centre)
    df = len(y) - (int(codes.max()) + 1) - 3
    low, high = _profile_limits(grid, values, centre, sse, df, level)
    inside = positive[0] <= centre <= positive[-1]
    note = "" if inside else "the dose of half the effect lies outside the doses tried"
    if df < 1:
        note = join_notes(note, "as many parameters as points: no interval")
    return DoseFit(
        float(np.exp(centre)), low, high, hill, effect, points.shifts(centre, hill, effect), sse, df,
        join_notes(note, "no bound on one side" if not (low > 0 and np.isfinite(high)) else ""),
    )  # fmt: skip


class _Points:
    """Points of several units; the units' own levels are solved for exactly given the curve."""

    hills = np.geomspace(0.3, MAX_HILL, 20)
    effects = np.linspace(LEAST_EFFECT, -LEAST_EFFECT / 2, 40)

    def __init__(self, dose: Float64Array, log_rate: Float64Array, unit: npt.NDArray[np.intp]) -> None:
        self.dose, self.log_rate = dose, log_rate
        means = (unit[:, None] == np.arange(unit.max() + 1)).astype(np.float64)
        self._means = means / means.sum(axis=0)
        self._back = (self._means > 0).astype(np.float64)

    def shifts(self, log_ic50: float, hill: float, effect: float) -> Float64Array:
        """Log rate of each unit without drug."""
        found: Float64Array = (self.log_rate - _fall(self.dose, log_ic50, hill, effect)) @ self._means
        return found

    def _sse(self, fall: Float64Array) -> Float64Array:
        residual = self.log_rate - fall
        residual = residual - (residual @ self._means) @ self._back.T
        total: Float64Array = (residual**2).sum(axis=-1)
        return total

    def profile(self, log_ic50: float) -> tuple[float, float, float]:
        """Least sum of squares at this IC50 with its slope and effect: best of a grid, then the two in turn."""
        with np.errstate(divide="ignore"):
            steps = np.log(self.dose) - log_ic50
        shape = 0.5 * (1 + np.tanh(self.hills[:, None, None] * steps / 2))
        sse = self._sse(np.log1p(np.expm1(self.effects)[:, None] * shape))
        i, j = (int(v) for v in np.unravel_index(int(sse.argmin()), sse.shape))
        best = float(sse[i, j]), float(self.hills[i]), float(self.effects[j])
        ends = [(v[max(k - 1, 0)], v[min(k + 1, len(v) - 1)]) for v, k in ((self.hills, i), (self.effects, j))]
        hill, effect = best[1:]
        for _ in range(4):
            effect = _lowest(partial(self._at, log_ic50, hill), *ends[1])
            hill = _lowest(partial(self._at_hill, log_ic50, effect), *ends[0])
        return min(best, (self._at(log_ic50, hill, effect), hill, effect))

    def _at(self, log_ic50: float, hill: float, effect: float) -> float:
        return float(self._sse(_fall(self.dose, log_ic50, hill, effect)))

    def _at_hill(self, log_ic50: float, effect: float, hill: float) -> float:
        return self._at(log_ic50, hill, effect)

    def polished(self, log_ic50: float) -> tuple[float, float, float, float]:
        """Log IC50, sum of squares, slope and effect, all free, from a start next to the best."""
        from scipy import optimize  # slow to import, and few experiments have doses

        sse, hill, effect = self.profile(log_ic50)
        options: Any = {"xatol": 1e-7, "fatol": 1e-12, "maxiter": 2000}

        def at(p: Float64Array) -> float:
            return self._at(float(p[0]), float(np.clip(p[1], 0.3, MAX_HILL)), float(max(p[2], LEAST_EFFECT)))

        found = optimize.minimize(at, np.array([log_ic50, hill, effect]), method="Nelder-Mead", options=options)
        if not found.fun < sse:
            return log_ic50, sse, hill, effect
        x = [float(v) for v in found.x]
        return x[0], float(found.fun), float(np.clip(x[1], 0.3, MAX_HILL)), max(x[2], LEAST_EFFECT)


def _lowest(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a function is lowest between two ends, by golden-section search."""
    golden = 0.5 * (np.sqrt(5.0) - 1.0)
    a, b = high - golden * (high - low), low + golden * (high - low)
    at_a, at_b = function(a), function(b)
    for _ in range(18):
        if at_a < at_b:
            high, b, at_b = b, a, at_a
            a = high - golden * (high - low)
            at_a = function(a)
        else:
            low, a, at_a = a, b, at_b
            b = low + golden * (high - low)
            at_b = function(b)
    return float(0.5 * (low + high))


def _profile_limits(
    grid: Float64Array, values: Float64Array, centre: float, sse: float, df: int, level: float
) -> tuple[float, float]:
    if df < 1:
        return np.nan, np.nan
    cut = sse * (1 + t_quantile(0.5 + level / 2, df) ** 2 / df)
    limits = []
    for side, edge in ((grid < centre, 0.0), (grid > centre, np.inf)):
        xs = np.r_[centre, grid[side][::-1] if edge == 0.0 else grid[side]]
        vs = np.r_[sse, values[side][::-1] if edge == 0.0 else values[side]]
        over = np.flatnonzero(vs > cut)
        if len(over) == 0:
            limits.append(edge)
            continue
        i = int(over[0])
        share = (cut - vs[i - 1]) / (vs[i] - vs[i - 1])
        limits.append(float(np.exp(xs[i - 1] + share * (xs[i] - xs[i - 1]))))
    return limits[0], limits[1]


def dose_tables(
    rates_by_replicate: pd.DataFrame,
    layout: pd.DataFrame,
    *,
    estimands: tuple[str, ...] = (ENTRY_RATE,),
    level: float = 0.95,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measured points, fitted curves and IC50s of every drug with doses in the layout.

    Parameters
    ----------
    rates_by_replicate : pandas.DataFrame
        As :func:`cicimage.statistics.rates.compute_rates` returns it.
    layout : pandas.DataFrame
        With ``dose``, ``dose_unit`` and optionally ``drug``; positions without a dose are left out, a dose of 0
        serves every drug.
    estimands : tuple of str
        Rates to take.
    level : float
        Coverage.

    Returns
    -------
    dose_response, dose_fits : pandas.DataFrame
        Tables of those names; empty where the layout has no doses.
    """
    layout = complete_layout(layout)
    points: list[pd.DataFrame] = []
    fits: list[dict[str, object]] = []
    for drug, doses, text in _drugs(layout):
        for estimand in estimands:
            mine = rates_by_replicate[rates_by_replicate["estimand"] == estimand]
            block, fit = _one(mine, doses, unit_of_replication(layout), level)
            labels = {"estimand": estimand, "drug": drug, "dose_unit": text, "unit": _unit_text(mine)}
            points.append(block.assign(**labels))
            fits.append(fit | {k: labels[k] for k in ("estimand", "drug", "dose_unit")})
    measured = pd.concat(points, ignore_index=True) if points else pd.DataFrame(columns=_names(DOSE_RESPONSE))
    fitted = pd.DataFrame(fits) if fits else pd.DataFrame(columns=_names(DOSE_FITS))
    return conform(DOSE_RESPONSE, measured), conform(DOSE_FITS, fitted)


def _names(table: object) -> list[str]:
    return list(DOSE_RESPONSE.by_name if table is DOSE_RESPONSE else DOSE_FITS.by_name)


def _unit_text(rows: pd.DataFrame) -> str:
    return str(rows["unit"].iloc[0]) if len(rows) else "1/h"


def _drugs(layout: pd.DataFrame) -> list[tuple[str, pd.Series, str]]:
    """Each drug with the dose of every condition that has one, and the unit."""
    if "dose" not in layout:
        return []
    dose = pd.to_numeric(layout["dose"], errors="coerce")
    rows = layout.assign(dose=dose)[dose.notna()]
    if rows["dose"].nunique() < 2:
        return []
    units = rows["dose_unit"].fillna("").astype(str) if "dose_unit" in rows else pd.Series("", index=rows.index)
    names = rows["drug"].fillna("").astype(str) if "drug" in rows else pd.Series("drug", index=rows.index)
    out = []
    for drug in dict.fromkeys(names[(names != "") & (rows["dose"] > 0)]):
        keep = rows[(names == drug) | (rows["dose"] == 0)]
        unit = units[(names == drug) & (rows["dose"] > 0)].iloc[0]
        out.append((str(drug), keep.groupby("condition")["dose"].first(), str(unit)))
    return out


def _one(rows: pd.DataFrame, doses: pd.Series, unit: Unit, level: float) -> tuple[pd.DataFrame, dict[str, object]]:
    """Points per unit and over units at each dose, and the fit with its curve."""
    mine = rows[rows["condition"].isin(doses.index)]
    table = pd.DataFrame({
        "dose": mine["condition"].map(doses).astype(np.float64),
        "donor": mine[unit].astype(object) if unit != "none" else "",
        "events": mine["events"], "size": mine["denominator"],
    })  # fmt: skip
    each = table.groupby(["dose", "donor"], as_index=False)[["events", "size"]].sum()
    each = each[each["size"] > 0].assign(estimate=lambda t: t["events"] / t["size"])
    n_units = int(each.loc[each["donor"] != "", "donor"].nunique())
    blocks = [each[each["donor"] != ""][["dose", "donor", "estimate"]]]
    summary = []
    for dose, part in each.groupby("dose"):
        if len(part) > 1 and (part["events"] > 0).all():
            at = log_t_interval(part["estimate"], level)
        else:
            at = poisson_interval(float(part["events"].sum()), float(part["size"].sum()), level)
        summary.append({"dose": dose, "donor": "", "estimate": at.estimate, "ci_low": at.low, "ci_high": at.high})
    blocks.append(pd.DataFrame(summary))
    measured = pd.concat(blocks, ignore_index=True).assign(kind="measured")
    fit: dict[str, object] = {
        "ic50": np.nan, "ci_low": np.nan, "ci_high": np.nan, "hill": np.nan, "n_doses": int(each["dose"].nunique()),
        "n_donors": n_units, "method": "none",
    }  # fmt: skip
    usable = each[each["events"] > 0]
    zeros = len(each) - len(usable)
    left_out = f"{zeros} points without events left out of the fit" if zeros else ""
    if usable["dose"].nunique() < MIN_DOSES:
        return measured, fit | {"note": join_notes(f"a curve needs {MIN_DOSES} doses with events", left_out)}
    found = fit_dose_response(usable["dose"], np.log(usable["estimate"]), usable["donor"], level)
    positive = np.unique(usable.loc[usable["dose"] > 0, "dose"])
    at_doses = np.geomspace(positive[0] / 4, positive[-1] * 2, 80)
    curve = pd.DataFrame(
        {"dose": at_doses, "donor": "", "estimate": np.exp(found.log_rate(at_doses, float(found.intercepts.mean())))}
    ).assign(kind="fit")
    inside = positive[0] <= found.ic50 <= positive[-1]
    fit |= {
        "ic50": found.ic50 if inside else np.nan, "ci_low": found.low, "ci_high": found.high, "hill": found.hill,
        "method": f"four-parameter logistic of the rate, log scale, {len(found.intercepts)} donor shifts, profile",
        "note": join_notes(found.note, left_out, "donors give no spread: one unit" if n_units < 2 else ""),
    }  # fmt: skip
    return pd.concat([measured, curve], ignore_index=True), fit
