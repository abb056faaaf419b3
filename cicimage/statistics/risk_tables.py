"""Hazard ratio of a yes/no covariate from who was at risk at each death, with the donor as n.

For one covariate with two values the partial likelihood needs four numbers per death time, so that an experiment is a
small table whatever the number of cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cicimage.arrays import Float64Array, Int64Array
from cicimage.compiled import compiled
from cicimage.statistics.count_kernels import fit_profile
from cicimage.statistics.count_model import NODES, WEIGHTS, profile_log_odds
from cicimage.statistics.intervals import t_interval, too_alike
from cicimage.statistics.quantiles import chi2_quantile


@dataclass(frozen=True)
class RiskTables:
    """Rows, one per unit and death time.

    Attributes
    ----------
    unit : (n,) int64
        Unit of each row.
    n_inside, n_outside : (n,) float64
        At risk just before.
    d_inside, d : (n,) float64
        Deaths inside, and in all.
    """

    unit: Int64Array
    n_inside: Float64Array
    n_outside: Float64Array
    d_inside: Float64Array
    d: Float64Array

    def informative(self) -> RiskTables:
        """Rows with both states at risk: the others say nothing about the ratio."""
        return self._where((self.n_inside > 0) & (self.n_outside > 0) & (self.d > 0))

    def of(self, unit: int) -> RiskTables:
        """Rows of one unit."""
        return self._where(self.unit == unit)

    def _where(self, keep: npt.NDArray[np.bool_]) -> RiskTables:
        return RiskTables(self.unit[keep], self.n_inside[keep], self.n_outside[keep], self.d_inside[keep], self.d[keep])


@dataclass(frozen=True)
class TableHazard:
    """A hazard ratio over units.

    Attributes
    ----------
    ratio, low, high, p_value : float
        NaN where none can be given.
    n_units : int
        Units that carried it.
    method : str
        Which branch of the rule.
    note : str
        What simulation says of such limits; empty where they hold.
    """

    ratio: float
    low: float
    high: float
    p_value: float
    n_units: int
    method: str
    note: str = ""


@compiled()
def efron_log_ratio(n_inside: Float64Array, n_outside: Float64Array, d_inside: Float64Array, d: Float64Array) -> float:
    """Maximise Efron's partial likelihood of one stratum over the log hazard ratio by Newton's steps.

    Parameters
    ----------
    n_inside, n_outside, d_inside, d : (n,) float64
        At risk and deaths at each death time; some deaths in and some out of the state.

    Notes
    -----
    Efron B (1977), JASA 72:557.
    """
    beta = 0.0
    for _ in range(100):
        ratio = np.exp(beta)
        score, info = 0.0, 0.0
        for i in range(len(d)):
            score += d_inside[i]
            for k in range(int(d[i])):
                share = k / d[i]
                inside = (n_inside[i] - share * d_inside[i]) * ratio
                outside = n_outside[i] - share * (d[i] - d_inside[i])
                mean = inside / (inside + outside)
                score -= mean
                info += mean * (1.0 - mean)
        step = min(max(score / max(info, 1e-12), -2.0), 2.0)
        beta += step
        if abs(step) < 1e-10:
            break
    return beta


def firth_log_ratio(n_inside: Float64Array, n_outside: Float64Array, d_inside: Float64Array, d: Float64Array) -> float:
    """Like :func:`efron_log_ratio` with Jeffreys' penalty: finite where one state has no deaths.

    Notes
    -----
    Heinze G, Schemper M (2001), Biometrics 57:114. The penalised value has one top: a golden-section search finds it.
    """
    row = np.repeat(np.arange(len(d)), d.astype(np.int64))
    share = np.concatenate([np.arange(k) / k for k in d.astype(np.int64)]) if len(row) else np.zeros(0)
    inside = n_inside[row] - share * d_inside[row]
    outside = n_outside[row] - share * (d - d_inside)[row]
    dead = float(d_inside.sum())

    def penalised(beta: float) -> float:
        total = inside * np.exp(beta) + outside
        mean = inside * np.exp(beta) / total
        information = float((mean * (1.0 - mean)).sum())
        return beta * dead - float(np.log(total).sum()) + 0.5 * float(np.log(max(information, 1e-300)))

    golden = 0.5 * (np.sqrt(5.0) - 1.0)
    low, high = -20.0, 20.0
    while high - low > 1e-7:
        a, b = high - golden * (high - low), low + golden * (high - low)
        low, high = (low, b) if penalised(a) > penalised(b) else (a, high)
    return 0.5 * (low + high)


def limits_within(tables: RiskTables, level: float = 0.95) -> tuple[float, float]:
    """Limits of the hazard ratio that hold counting error only: the profile of the partial likelihood, chi-square(1).

    Parameters
    ----------
    tables : RiskTables
        One stratum per unit, one ratio for all.
    level : float
        Coverage.

    Returns
    -------
    low, high : float
        0 and infinite where the deaths seen give no limit.
    """
    rows = tables.informative()
    if not len(rows.d):
        return 0.0, np.inf
    ends = np.arange(1, len(rows.d) + 1)
    offset = np.log(rows.n_inside / rows.n_outside)
    drop = float(chi2_quantile(level, 1))
    found = fit_profile(1, rows.d_inside, rows.d, offset, ends, np.zeros(1), NODES, WEIGHTS, drop, 0.0, -18.0, 18.0)
    return float(np.exp(found[1])), float(np.exp(found[2]))


def _unit_logs(rows: RiskTables, units: Int64Array) -> list[float]:
    parts = [rows.of(int(u)) for u in units]
    return [efron_log_ratio(p.n_inside, p.n_outside, p.d_inside, p.d) for p in parts]


def hazard_over_units(tables: RiskTables, unit: str, level: float = 0.95) -> TableHazard:
    """Hazard ratio inside over outside with the unit as n, by a stated rule.

    Parameters
    ----------
    tables : RiskTables
        All units.
    unit : str
        What the units are, for the words.
    level : float
        Coverage of the limits.

    Returns
    -------
    TableHazard
        (1) Fewer than two units with informative deaths: no interval. (2) Every unit has deaths in both
        states: Student's t on the units' log hazard ratios (Efron's ties). (3) Otherwise Breslow's partial likelihood
        stratified by unit with a normal random log ratio per unit, profile likelihood with t limits: given the risk
        sets it is a binomial likelihood with offset log(n_inside / n_outside).
    """
    rows = tables.informative()
    units = np.unique(rows.unit)
    if len(units) < 2:
        return TableHazard(np.nan, np.nan, np.nan, np.nan, len(units), "none")
    inside = np.array([rows.of(u).d_inside.sum() for u in units])
    deaths = np.array([rows.of(u).d.sum() for u in units])
    logs = _unit_logs(rows, units) if min(inside.min(), (deaths - inside).min()) > 0 else []
    if logs and not too_alike(logs, 1 / inside + 1 / (deaths - inside)):
        mean, low, high, p_value = t_interval(logs, level)
        method = f"time-dependent Cox per {unit}, t on {len(logs)} log hazard ratios"
        return TableHazard(float(np.exp(mean)), float(np.exp(low)), float(np.exp(high)), p_value, len(logs), method)
    fit = profile_log_odds(rows.d_inside, rows.d, np.log(rows.n_inside / rows.n_outside), rows.unit, level)
    method = f"time-dependent Cox stratified by {unit}, random ratio per {unit}, profile likelihood"
    return TableHazard(fit.estimate, fit.low, fit.high, fit.p_value, fit.n, method, fit.caution(unit))
