"""Cox's partial likelihood on (start, stop] rows, maximised here alone: an independent check of the risk tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from cicimage.statistics.quantiles import chi2_quantile, normal_quantile

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Ties = Literal["efron", "breslow"]


@dataclass(frozen=True)
class CoxFit:
    """A fitted partial likelihood.

    Attributes
    ----------
    coef, std_error : (p,) float64
        Log hazard ratios and their standard errors from the information matrix.
    low, high : (p,) float64
        Limits of the log hazard ratios: Wald, or profile of the penalised likelihood under Firth's penalty.
    loglik, loglik_null : float
        Log partial likelihood (penalised where Firth) at the estimate and at zero.
    n, events : int
        Rows and events.
    method : str
        How it was fitted.
    warning : str
        Empty, or what is wrong, e.g. a coefficient that runs to infinity.
    """

    coef: FloatArray
    std_error: FloatArray
    low: FloatArray
    high: FloatArray
    loglik: float
    loglik_null: float
    n: int
    events: int
    method: str
    warning: str


def fit_cox(
    start_h: npt.ArrayLike,
    stop_h: npt.ArrayLike,
    event: npt.ArrayLike,
    covariates: npt.ArrayLike,
    *,
    strata: npt.ArrayLike | None = None,
    ties: Ties = "efron",
    firth: bool = False,
    level: float = 0.95,
) -> CoxFit:
    """Maximise the partial likelihood.

    Parameters
    ----------
    start_h, stop_h : (n,) array_like
        At risk in (start, stop].
    event : (n,) array_like of bool
        Died at ``stop_h``.
    covariates : (n,) or (n, p) array_like
        Values during the row; a guest that moves has several rows.
    strata : (n,) array_like, optional
        Own baseline hazard each (donor).
    ties : {"efron", "breslow"}
        How deaths at one time share their risk set.
    firth : bool
        Jeffreys' penalty: finite where a group has no deaths, limits by profile likelihood.
    level : float
        Coverage of the limits.

    Notes
    -----
    Cox DR (1972) J R Stat Soc B 34:187; Efron B (1977) JASA 72:557; Heinze G, Schemper M (2001) Biometrics 57:114.
    """
    x = np.asarray(covariates, np.float64)
    x = x[:, None] if x.ndim == 1 else x
    risk = _risk_sets(np.asarray(start_h), np.asarray(stop_h), np.asarray(event, bool), x, strata)
    p, died = x.shape[1], int(np.asarray(event, bool).sum())

    def at(beta: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        return _likelihood(beta, risk, ties)

    coef, loglik, info, warning = _maximise(at, p, firth)
    null = _penalised(*_value_info(at(np.zeros(p))), firth)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.sqrt(np.diag(np.linalg.pinv(info)))
    z = float(normal_quantile(0.5 + level / 2))
    low, high = coef - z * error, coef + z * error
    if firth:
        low, high = _profile_limits(at, coef, loglik, level)
    method = f"Cox, {ties} ties" + (", Firth, profile limits" if firth else ", Wald limits")
    return CoxFit(coef, error, low, high, loglik, null, len(x), died, method, warning)


@dataclass(frozen=True)
class _RiskSet:
    """Covariates of those at risk at one time of one stratum, and of those who died then."""

    at_risk: FloatArray
    died: FloatArray


def _risk_sets(
    start: npt.NDArray[np.generic],
    stop: npt.NDArray[np.generic],
    event: npt.NDArray[np.bool_],
    x: FloatArray,
    strata: npt.ArrayLike | None,
) -> list[_RiskSet]:
    a, b = start.astype(np.float64).round(9), stop.astype(np.float64).round(9)
    group = np.zeros(len(a), np.int64) if strata is None else np.unique(np.asarray(strata), return_inverse=True)[1]
    sets: list[_RiskSet] = []
    for g in np.unique(group):
        mine = group == g
        for t in np.unique(b[mine & event]):
            here = mine & (a < t) & (b >= t)
            sets.append(_RiskSet(x[here], x[mine & event & (b == t)]))
    return sets


def _likelihood(beta: FloatArray, sets: list[_RiskSet], ties: Ties) -> tuple[float, FloatArray, FloatArray]:
    """Log partial likelihood, score and information at beta."""
    p = len(beta)
    value, score, info = 0.0, np.zeros(p), np.zeros((p, p))
    for risk in sets:
        shift = float((risk.at_risk @ beta).max())
        w = np.exp(risk.at_risk @ beta - shift)
        dead_w = np.exp(risk.died @ beta - shift)
        s0, s1, s2 = _moments(w, risk.at_risk)
        d0, d1, d2 = _moments(dead_w, risk.died)
        d = len(risk.died)
        for k in range(d):
            share = k / d if ties == "efron" else 0.0
            total, first, second = s0 - share * d0, s1 - share * d1, s2 - share * d2
            mean = first / total
            value -= np.log(total) + shift
            score -= mean
            info += second / total - np.outer(mean, mean)
        value += float((risk.died @ beta).sum())
        score += risk.died.sum(axis=0)
    return value, score, info


def _moments(w: FloatArray, x: FloatArray) -> tuple[float, FloatArray, FloatArray]:
    weighted: FloatArray = w[:, None] * x
    return float(w.sum()), weighted.sum(axis=0), x.T @ weighted


def _value_info(result: tuple[float, FloatArray, FloatArray]) -> tuple[float, FloatArray]:
    return result[0], result[2]


def _penalised(value: float, info: FloatArray, firth: bool) -> float:
    if not firth:
        return value
    sign, logdet = np.linalg.slogdet(info)
    return value + 0.5 * float(logdet) if sign > 0 else -np.inf


def _maximise(
    at: Callable[[FloatArray], tuple[float, FloatArray, FloatArray]], p: int, firth: bool
) -> tuple[FloatArray, float, FloatArray, str]:
    """Newton's steps halved where they do not climb; under the penalty, Nelder-Mead on the penalised value."""
    beta = np.zeros(p)
    value, score, info = at(beta)
    if firth:
        best, lowest = _nelder_mead(lambda b: -_penalised(*_value_info(at(b)), True), beta)
        return best, -lowest, at(best)[2], ""
    for _ in range(60):
        step = np.linalg.pinv(info) @ score
        step *= min(1.0, 3.0 / max(float(np.abs(step).max(initial=0.0)), 1e-12))
        for _ in range(30):
            trial = at(beta + step)
            if trial[0] >= value - 1e-12:
                break
            step = step / 2
        beta = beta + step
        gained, (value, score, info) = trial[0] - value, trial
        if abs(gained) < 1e-12 and float(np.abs(step).max(initial=0.0)) < 1e-8:
            break
    warning = ""
    if float(np.abs(beta).max(initial=0.0)) > 12:
        warning = "a coefficient runs to infinity: one group has no events; use firth=True"
    return beta, value, info, warning


def _nelder_mead(function: Callable[[FloatArray], float], start: FloatArray) -> tuple[FloatArray, float]:
    from scipy import optimize  # slow to import, and only several covariates need it

    options: Any = {"xatol": 1e-9, "fatol": 1e-11, "maxiter": 4000}
    found = optimize.minimize(function, start, method="Nelder-Mead", options=options)
    return np.asarray(found.x, np.float64), float(found.fun)


def _profile_limits(
    at: Callable[[FloatArray], tuple[float, FloatArray, FloatArray]], coef: FloatArray, top: float, level: float
) -> tuple[FloatArray, FloatArray]:
    """Limits where twice the penalised likelihood, maximal over the other coefficients, drops by chi-square(1)."""
    from scipy import optimize

    p, cut = len(coef), float(chi2_quantile(level, 1))
    low, high = np.full(p, -np.inf), np.full(p, np.inf)

    def drop(value: float, j: int) -> float:
        others = np.delete(np.arange(p), j)

        def full(rest: FloatArray) -> float:
            beta = coef.copy()
            beta[j], beta[others] = value, rest
            return -_penalised(*_value_info(at(beta)), True)

        best = full(np.array([])) if p == 1 else _nelder_mead(full, coef[others])[1]
        return 2 * (top + best) - cut

    for j in range(p):
        for sign, limits in ((-1.0, low), (1.0, high)):
            far = 1.0
            while far < 64 and drop(float(coef[j] + sign * far), j) < 0:
                far *= 2
            if far < 64:
                root = optimize.brentq(lambda v, s=sign, i=j: drop(float(coef[i] + s * v), i), 0.0, far, xtol=1e-9)
                limits[j] = coef[j] + sign * root
    return low, high
