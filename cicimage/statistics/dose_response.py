"""Dose and response: a four-parameter logistic on the log rate with donor shifts, and the dose of half the effect."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from cicimage.errors import CicimageError
from cicimage.statistics.design import Unit, complete_layout, join_notes, unit_of_replication
from cicimage.statistics.intervals import log_t_interval, poisson_interval
from cicimage.statistics.quantiles import t_quantile
from cicimage.tables import DOSE_FITS, DOSE_RESPONSE, conform

FloatArray = npt.NDArray[np.float64]
MIN_DOSES = 4
MAX_HILL = 8.0


@dataclass(frozen=True)
class DoseFit:
    """Fitted log rate: ``a_donor + effect / (1 + (ic50 / dose) ** hill)``.

    Attributes
    ----------
    ic50, low, high : float
        Dose of half the effect with limits; limits may be 0 or infinite where the profile has no end; NaN for the
        estimate where it lies outside the doses tried.
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
    intercepts: FloatArray
    sse: float
    df: int
    note: str

    def log_rate(self, dose: npt.ArrayLike, intercept: float) -> FloatArray:
        """Fitted log rate at doses for a donor with this intercept."""
        return intercept + self.effect * _shape(np.asarray(dose, np.float64), np.log(self.ic50), self.hill)


def _shape(dose: FloatArray, log_ic50: float, hill: float) -> FloatArray:
    with np.errstate(divide="ignore"):
        x = hill * (np.log(dose) - log_ic50)
    out: FloatArray = 0.5 * (1 + np.tanh(x / 2))
    return out


def fit_dose_response(
    dose: npt.ArrayLike, log_rate: npt.ArrayLike, unit: npt.ArrayLike, level: float = 0.95
) -> DoseFit:
    """Fit by least squares; the shifts and the effect are linear given IC50 and slope and are solved for exactly.

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
    from scipy import optimize  # slow to import, and few experiments have doses

    x, y = np.asarray(dose, np.float64), np.asarray(log_rate, np.float64)
    n_doses = len(np.unique(x))
    if n_doses < MIN_DOSES:
        raise CicimageError(
            f"dose-response: a four-parameter curve needs {MIN_DOSES} doses (0 counts), got {n_doses}; add doses"
        )
    codes = np.unique(np.asarray(unit).astype(str), return_inverse=True)[1]
    shifts = (codes[:, None] == np.arange(codes.max() + 1)).astype(np.float64)
    positive = np.log(np.unique(x[x > 0]))
    hills = np.geomspace(0.3, MAX_HILL, 24)

    def sse_at(log_ic50: float, hill: float) -> float:
        return _linear(shifts, _shape(x, log_ic50, hill), y)[1]

    def profile(log_ic50: float) -> tuple[float, float]:
        values = [sse_at(log_ic50, h) for h in hills]
        k = int(np.argmin(values))
        bracket = (hills[max(k - 1, 0)], hills[min(k + 1, len(hills) - 1)])
        found = optimize.minimize_scalar(lambda h: sse_at(log_ic50, float(h)), bounds=bracket, method="bounded")
        best = (float(found.fun), float(found.x))
        return min(best, (values[k], float(hills[k])))

    grid = np.linspace(positive[0] - 3, positive[-1] + 3, 61)
    values = np.array([profile(g)[0] for g in grid])
    k = int(np.argmin(values))
    inner = (grid[max(k - 1, 0)], grid[min(k + 1, len(grid) - 1)])
    found = optimize.minimize_scalar(lambda g: profile(float(g))[0], bounds=inner, method="bounded")
    centre = float(found.x)
    sse, hill = profile(centre)
    coef, _ = _linear(shifts, _shape(x, centre, hill), y)
    df = len(y) - shifts.shape[1] - 3
    low, high = _profile_limits(grid, values, centre, sse, df, level)
    inside = positive[0] <= centre <= positive[-1]
    note = "" if inside else "the dose of half the effect lies outside the doses tried"
    if df < 1:
        note = join_notes(note, "as many parameters as points: no interval")
    return DoseFit(
        float(np.exp(centre)), low, high, hill, float(coef[-1]), coef[:-1], sse, df,
        join_notes(note, "no bound on one side" if not (low > 0 and np.isfinite(high)) else ""),
    )  # fmt: skip


def _linear(shifts: FloatArray, shape: FloatArray, y: FloatArray) -> tuple[FloatArray, float]:
    design = np.column_stack([shifts, shape])
    coef: FloatArray = np.asarray(np.linalg.lstsq(design, y, rcond=None)[0], np.float64)
    return coef, float(((y - design @ coef) ** 2).sum())


def _profile_limits(
    grid: FloatArray, values: FloatArray, centre: float, sse: float, df: int, level: float
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
    estimands: tuple[str, ...] = ("entry_rate_per_guest_h",),
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
    unit = str(rows["dose_unit"].iloc[0]) if "dose_unit" in rows else ""
    names = rows["drug"].fillna("").astype(str) if "drug" in rows else pd.Series("drug", index=rows.index)
    out = []
    for drug in dict.fromkeys(names[(names != "") & (rows["dose"] > 0)]):
        keep = rows[(names == drug) | (rows["dose"] == 0)]
        out.append((str(drug), keep.groupby("condition")["dose"].first(), unit))
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
        "method": f"four-parameter logistic on the log rate, {len(found.intercepts)} donor shifts, profile limits",
        "note": join_notes(found.note, left_out, "donors give no spread: one unit" if n_units < 2 else ""),
    }  # fmt: skip
    return pd.concat([measured, curve], ignore_index=True), fit
