"""Donor-level models of few or no events: profile likelihood where logarithms of counts do not exist.

Two likelihoods share one random term ``u ~ N(0, tau^2)`` per donor:

- one condition: ``y_d ~ Poisson(T_d exp(b + u_d))``, ``exp(b)`` the median donor's rate;
- a pair of conditions: given its total n_d, the treated count is ``y_d ~ Binomial(n_d, expit(o_d + b + u_d))``
  with ``o_d = log(T_treated / T_reference)``. Conditioning on the total removes the donor's own level, whatever its
  distribution (Cox & Hinkley 1974, Theoretical Statistics, example 2.17), so that ``exp(b)`` is the rate ratio
  within a donor and ``tau`` the donor x condition SD.

``tau`` is profiled out over 0..tau_max. Twice the drop of the profile likelihood is compared not with chi-square(1)
but with ``G log(1 + t^2 / (G - 1))``, which is what Student's t with G - 1 degrees of freedom is on that scale (Cox &
Hinkley 1974, section 9.3): with many events the answer is that of the paired t test on log ratios, with few it is
conservative. An upper bound of ``tau`` is needed for zero counts: without one, "all donors at zero" is explained by an
endless spread as well as by a small ratio.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cicimage.arrays import Float64Array
from cicimage.statistics.count_kernels import fit_profile
from cicimage.statistics.quantiles import t_quantile, t_two_sided

TAU_MAX_RATIO = 1.25
TAU_MAX_RATE = 1.5
_B_LIMIT = 18.0


FEW_UNITS = 5
"""Below this many units the profile likelihood is conservative: 96-99.9 % where 95 % is asked."""
WIDENED = 1.12
"""From :data:`FEW_UNITS` on the drop asked for rates and their ratios is this many times larger: counts of 0-3 per unit
tell less of the spread between units than logarithms of large counts do, and without it limits held 92-94 % where
units differ widely (by simulation, benchmarks/results/statistics.md; as a Bartlett correction, found by experiment).
Hazard ratios hold without it."""


@dataclass(frozen=True)
class ProfileFit:
    """A rate or ratio from the donor-level count model.

    Attributes
    ----------
    estimate, low, high : float
        On the natural scale; 0 and infinity are possible where an arm has no events.
    p_value : float
        Two-sided against a ratio of 1; NaN for a single rate.
    tau : float
        Fitted donor (x condition) SD of the log, within 0..tau_max.
    n : int
        Donors that carried information.
    """

    estimate: float
    low: float
    high: float
    p_value: float
    tau: float
    n: int

    def caution(self, unit: str = "donor") -> str:
        """What simulation says of limits like these (benchmarks/results/statistics.md); empty where they hold."""
        if 2 <= self.n < FEW_UNITS:
            return f"conservative with {self.n} {unit}s"
        return ""


def cutoff(n: int, level: float = 0.95, df: int | None = None) -> float:
    """Drop of twice the profile log-likelihood at the limit of a t interval with n - 1 (or ``df``) degrees of freedom.

    Examples
    --------
    >>> round(cutoff(3), 2), round(cutoff(100000), 2)  # chi-square(1) with many donors
    (6.98, 3.84)
    """
    t = t_quantile(0.5 + level / 2, n - 1 if df is None else df)
    return n * math.log1p(t * t / (n - 1))


def widening(n: int) -> float:
    """Factor of the drop for this many units."""
    return WIDENED if n >= FEW_UNITS else 1.0


def _nodes() -> tuple[Float64Array, Float64Array]:
    nodes, weights = np.polynomial.hermite_e.hermegauss(9)
    return nodes, weights / math.sqrt(2 * math.pi)


NODES, WEIGHTS = _nodes()


def profile_rate(
    events: npt.ArrayLike,
    exposure: npt.ArrayLike,
    level: float = 0.95,
    tau_max: float = TAU_MAX_RATE,
    df: int | None = None,
) -> ProfileFit:
    """Median donor rate from counts and exposures of two or more donors, zeros allowed.

    Parameters
    ----------
    events, exposure : (n_donors,) array_like
        Events and person-time of each donor.
    level : float
        Coverage of the limits.
    tau_max : float
        Largest donor SD of the log rate thought possible.
    df : int, optional
        Degrees of freedom of the t limits where the spread is shared with another group; donors less one if not given.
    """
    y, time = np.asarray(events, dtype=np.float64), np.asarray(exposure, dtype=np.float64)
    keep = time > 0
    y, time = y[keep], time[keep]
    g = len(y)
    if g < 2:
        return ProfileFit(float(y.sum() / time.sum()) if g else np.nan, np.nan, np.nan, np.nan, np.nan, g)
    centre = math.log((y.sum() + 0.5) / time.sum())
    drop = widening(g) * cutoff(g, level, df)
    b, low, high, _, tau = fit_profile(
        0, y, y, np.log(time), np.arange(1, g + 1), _taus(tau_max), NODES, WEIGHTS, drop, centre,
        centre - _B_LIMIT, centre + _B_LIMIT,
    )  # fmt: skip
    return ProfileFit(_exp(b), _exp(low), _exp(high), np.nan, tau, g)


def profile_ratio(
    events: npt.ArrayLike,
    exposure: npt.ArrayLike,
    reference_events: npt.ArrayLike,
    reference_exposure: npt.ArrayLike,
    level: float = 0.95,
    tau_max: float = TAU_MAX_RATIO,
) -> ProfileFit:
    """Rate ratio within donors from paired counts, zeros allowed in either arm.

    Parameters
    ----------
    events, exposure, reference_events, reference_exposure : (n_donors,) array_like
        Counts and person-time of each donor under treatment and reference.
    level : float
        Coverage of the limits.
    tau_max : float
        Largest donor x condition SD of the log ratio thought possible.

    Returns
    -------
    ProfileFit
        Ratio 0 with an upper limit where no treated donor has an event; donors without any event in both arms carry
        no information on a ratio and are not counted in ``n``.
    """
    y1, t1, y0, t0 = (np.asarray(v, dtype=np.float64) for v in (events, exposure, reference_events, reference_exposure))
    keep = (y1 + y0 > 0) & (t1 > 0) & (t0 > 0)
    y1, t1, y0, t0 = y1[keep], t1[keep], y0[keep], t0[keep]
    g = len(y1)
    if g < 2:
        ratio = float((y1[0] / t1[0]) / (y0[0] / t0[0])) if g and y0[0] > 0 else np.nan
        return ProfileFit(ratio, np.nan, np.nan, np.nan, np.nan, g)
    return profile_log_odds(y1, y1 + y0, np.log(t1 / t0), np.arange(g), level, tau_max, widen=widening(g))


def profile_log_odds(
    successes: npt.ArrayLike,
    trials: npt.ArrayLike,
    offset: npt.ArrayLike,
    unit: npt.ArrayLike,
    level: float = 0.95,
    tau_max: float = TAU_MAX_RATIO,
    widen: float = 1.0,
) -> ProfileFit:
    """Common log odds of binomial rows with known offsets, one random term per unit.

    A rate ratio is one row per unit; a hazard ratio is one row per unit and death time (Breslow's partial likelihood).

    Parameters
    ----------
    successes, trials, offset : (n_rows,) array_like
        ``successes ~ Binomial(trials, expit(offset + b + u_unit))``.
    unit : (n_rows,) array_like of int
        Unit of each row.
    level, tau_max
        As in :func:`profile_ratio`.
    widen : float
        Factor of the drop asked; hazard ratios hold without (by simulation).
    """
    order = np.argsort(np.asarray(unit), kind="stable")
    y, n, off = (np.asarray(v, dtype=np.float64)[order] for v in (successes, trials, offset))
    ends = np.cumsum(np.unique(np.asarray(unit)[order], return_counts=True)[1]).astype(np.int64)
    g = len(ends)
    b, low, high, drop, tau = fit_profile(
        1, y, n, off, ends, _taus(tau_max), NODES, WEIGHTS, widen * cutoff(g, level), 0.0, -_B_LIMIT, _B_LIMIT
    )
    t = math.sqrt((g - 1) * math.expm1(min(drop / (g * widen), 700.0)))
    return ProfileFit(_exp(b), _exp(low), _exp(high), t_two_sided(t, g - 1), tau, g)


def _taus(tau_max: float) -> Float64Array:
    return np.linspace(0.0, tau_max, 7)


def _exp(x: float) -> float:
    return math.exp(x) if x < 700 else math.inf
