"""Donor-level models of few or no events: profile likelihood where logarithms of counts do not exist.

Two likelihoods share one random term ``u ~ N(0, tau^2)`` per donor:

- one condition: ``y_d ~ Poisson(T_d exp(b + u_d))``, ``exp(b)`` the median donor's rate;
- a pair of conditions: given its total ``n_d``, the treated count is ``y_d ~ Binomial(n_d, expit(o_d + b + u_d))``
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

import numba
import numpy as np
import numpy.typing as npt
from scipy import stats

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

TAU_MAX_RATIO = 1.25
TAU_MAX_RATE = 1.5
_B_LIMIT = 18.0


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _density(kind: int, eta: float, y: float, n: float) -> float:
    if kind == 0:
        return y * eta - math.exp(min(eta, 500.0))
    return y * eta - n * (eta + math.log1p(math.exp(-eta)) if eta > 0 else math.log1p(math.exp(eta)))


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _slope(kind: int, eta: float, y: float, n: float) -> tuple[float, float]:
    """First and minus second derivative of the density in eta."""
    if kind == 0:
        mu = math.exp(min(eta, 500.0))
        return y - mu, mu
    pi = 1.0 / (1.0 + math.exp(-eta)) if eta > -500.0 else 0.0
    return y - n * pi, n * pi * (1.0 - pi)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _unit_loglik(
    kind: int, b: float, tau: float, y: FloatArray, n: FloatArray, offset: FloatArray, nodes: FloatArray, w: FloatArray
) -> float:
    """Log-likelihood of one unit, u integrated out by adaptive Gauss-Hermite; constants left out."""
    if tau < 1e-6:
        flat = 0.0
        for r in range(len(y)):
            flat += _density(kind, offset[r] + b, y[r], n[r])
        return flat
    u, curve, hess = 0.0, 1.0 / (tau * tau), 0.0
    for _ in range(50):
        grad, hess = -u * curve, curve
        for r in range(len(y)):
            g, h = _slope(kind, offset[r] + b + u, y[r], n[r])
            grad += g
            hess += h
        step = min(max(grad / hess, -2.0), 2.0)
        u += step
        if abs(step) < 1e-8:
            break
    sd = 1.0 / math.sqrt(hess)
    best = -0.5 * u * u * curve
    for r in range(len(y)):
        best += _density(kind, offset[r] + b + u, y[r], n[r])
    total = 0.0
    for i in range(len(nodes)):
        v = u + sd * nodes[i]
        f = -0.5 * v * v * curve - best
        for r in range(len(y)):
            f += _density(kind, offset[r] + b + v, y[r], n[r])
        total += w[i] * math.exp(f + 0.5 * nodes[i] * nodes[i])
    value: float = best + math.log(total) + math.log(sd / tau)
    return value


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _loglik(
    kind: int,
    b: float,
    tau: float,
    y: FloatArray,
    n: FloatArray,
    offset: FloatArray,
    ends: IntArray,
    nodes: FloatArray,
    w: FloatArray,
) -> float:
    """Log-likelihood of all units."""
    total, start = 0.0, 0
    for d in range(len(ends)):
        part = slice(start, ends[d])
        total += _unit_loglik(kind, b, tau, y[part], n[part], offset[part], nodes, w)
        start = ends[d]
    return total


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _profile(
    kind: int,
    b: float,
    y: FloatArray,
    n: FloatArray,
    offset: FloatArray,
    ends: IntArray,
    taus: FloatArray,
    nodes: FloatArray,
    w: FloatArray,
) -> tuple[float, float]:
    """Highest log-likelihood over tau at this b: best of the grid, then parabolas through the best three points.

    Every value returned was evaluated; a parabola only says where to look.
    """
    values = np.empty(len(taus))
    for j in range(len(taus)):
        values[j] = _loglik(kind, b, taus[j], y, n, offset, ends, nodes, w)
    k = int(np.argmax(values))
    if k == 0 or k == len(taus) - 1:
        return values[k], taus[k]
    x0, x1, x2 = taus[k - 1], taus[k], taus[k + 1]
    f0, f1, f2 = values[k - 1], values[k], values[k + 1]
    for _ in range(4):
        below, above = (x1 - x0) * (f1 - f2), (x1 - x2) * (f1 - f0)
        if below == above:
            break
        x = x1 - 0.5 * ((x1 - x0) * below - (x1 - x2) * above) / (below - above)
        if abs(x - x1) < 0.05 * (x2 - x0):
            x = x1 + (0.1 * (x2 - x1) if x2 - x1 > x1 - x0 else -0.1 * (x1 - x0))
        f = _loglik(kind, b, x, y, n, offset, ends, nodes, w)
        if f > f1:
            if x > x1:
                x0, f0 = x1, f1
            else:
                x2, f2 = x1, f1
            gain = f - f1
            x1, f1 = x, f
            if gain < 1e-3:
                break
        elif x > x1:
            x2, f2 = x, f
        else:
            x0, f0 = x, f
    return f1, x1


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _top(
    kind: int,
    low: float,
    high: float,
    y: FloatArray,
    n: FloatArray,
    offset: FloatArray,
    ends: IntArray,
    taus: FloatArray,
    nodes: FloatArray,
    w: FloatArray,
) -> float:
    """Where the profile is highest, by golden-section search (Kiefer 1953)."""
    ratio = 0.5 * (math.sqrt(5.0) - 1.0)
    a, c = low, high
    x1, x2 = c - ratio * (c - a), a + ratio * (c - a)
    f1 = _profile(kind, x1, y, n, offset, ends, taus, nodes, w)[0]
    f2 = _profile(kind, x2, y, n, offset, ends, taus, nodes, w)[0]
    while c - a > 1e-4:
        if f1 < f2:
            a, x1, f1 = x1, x2, f2
            x2 = a + ratio * (c - a)
            f2 = _profile(kind, x2, y, n, offset, ends, taus, nodes, w)[0]
        else:
            c, x2, f2 = x2, x1, f1
            x1 = c - ratio * (c - a)
            f1 = _profile(kind, x1, y, n, offset, ends, taus, nodes, w)[0]
    middle: float = 0.5 * (a + c)
    return middle


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _guess(kind: int, y: FloatArray, n: FloatArray, offset: FloatArray) -> float:
    """Where the likelihood without random terms is about highest: a few Newton steps from the crude odds or rate."""
    b = 0.0
    for _ in range(12):
        score, info = 0.0, 1e-9
        for r in range(len(y)):
            g, h = _slope(kind, offset[r] + b, y[r], n[r])
            score += g
            info += h
        b += min(max(score / info, -3.0), 3.0)
    return b


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _limit(
    kind: int,
    start: float,
    edge: float,
    level: float,
    y: FloatArray,
    n: FloatArray,
    offset: FloatArray,
    ends: IntArray,
    taus: FloatArray,
    nodes: FloatArray,
    w: FloatArray,
) -> float:
    """Where the profile falls to a level between its top and an edge: steps outwards, then the Illinois rule.

    Infinite where it does not fall that far (Dowell & Jarratt 1971, BIT 11:168).
    """
    sign = 1.0 if edge > start else -1.0
    inner, f_inner, reach = start, 1.0, 0.5
    while True:
        outer = start + sign * min(reach, abs(edge - start))
        f_outer = _profile(kind, outer, y, n, offset, ends, taus, nodes, w)[0] - level
        if f_outer <= 0:
            break
        if reach >= abs(edge - start):
            return sign * np.inf
        inner, f_inner = outer, f_outer
        reach *= 2.0
    for _ in range(60):
        if abs(outer - inner) < 1e-4:
            break
        middle = (inner * f_outer - outer * f_inner) / (f_outer - f_inner)
        f = _profile(kind, middle, y, n, offset, ends, taus, nodes, w)[0] - level
        if abs(f) < 1e-5:
            return float(middle)
        if f < 0:
            outer, f_outer = middle, f
            f_inner *= 0.5
        else:
            inner, f_inner = middle, f
            f_outer *= 0.5
    return 0.5 * (inner + outer)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _fit(
    kind: int,
    y: FloatArray,
    n: FloatArray,
    offset: FloatArray,
    ends: IntArray,
    taus: FloatArray,
    nodes: FloatArray,
    w: FloatArray,
    cutoff: float,
    null: float,
    low_b: float,
    high_b: float,
) -> tuple[float, float, float, float, float]:
    """Return b_hat, low, high, twice the drop at ``null``, tau_hat; infinite where the likelihood has no end."""
    guess = _guess(kind, y, n, offset)
    top_b = _top(kind, max(guess - 3.0, low_b), min(guess + 3.0, high_b), y, n, offset, ends, taus, nodes, w)
    if abs(top_b - guess) > 2.9:
        top_b = _top(kind, low_b, high_b, y, n, offset, ends, taus, nodes, w)
    top, tau = _profile(kind, top_b, y, n, offset, ends, taus, nodes, w)
    for edge in (low_b, high_b):
        value, tau_edge = _profile(kind, edge, y, n, offset, ends, taus, nodes, w)
        if value >= top - 1e-6:
            top, top_b, tau = value, edge, tau_edge
    at_null = 2.0 * (top - _profile(kind, null, y, n, offset, ends, taus, nodes, w)[0])
    limits = np.array([-np.inf, np.inf])
    for side in range(2):
        edge = low_b if side == 0 else high_b
        if edge != top_b:
            limits[side] = _limit(kind, top_b, edge, top - 0.5 * cutoff, y, n, offset, ends, taus, nodes, w)
    if top_b == low_b:
        top_b = -np.inf
    elif top_b == high_b:
        top_b = np.inf
    return top_b, limits[0], limits[1], max(at_null, 0.0), tau


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


def cutoff(n: int, level: float = 0.95) -> float:
    """Drop of twice the profile log-likelihood at the limit of a t interval with n - 1 degrees of freedom.

    Examples
    --------
    >>> round(cutoff(100000), 2)  # chi-square(1) with many donors
    3.84
    """
    t = float(stats.t.ppf(0.5 + level / 2, n - 1))
    return n * math.log1p(t * t / (n - 1))


def _nodes() -> tuple[FloatArray, FloatArray]:
    nodes, weights = np.polynomial.hermite_e.hermegauss(9)
    return nodes, weights / math.sqrt(2 * math.pi)


_NODES, _WEIGHTS = _nodes()


def profile_rate(
    events: npt.ArrayLike, exposure: npt.ArrayLike, level: float = 0.95, tau_max: float = TAU_MAX_RATE
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
    """
    y, time = np.asarray(events, dtype=np.float64), np.asarray(exposure, dtype=np.float64)
    keep = time > 0
    y, time = y[keep], time[keep]
    g = len(y)
    if g < 2:
        return ProfileFit(float(y.sum() / time.sum()) if g else np.nan, np.nan, np.nan, np.nan, np.nan, g)
    centre = math.log((y.sum() + 0.5) / time.sum())
    b, low, high, _, tau = _fit(
        0, y, y, np.log(time), np.arange(1, g + 1), _taus(tau_max), _NODES, _WEIGHTS, cutoff(g, level), centre,
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
    return profile_log_odds(y1, y1 + y0, np.log(t1 / t0), np.arange(g), level, tau_max)


def profile_log_odds(
    successes: npt.ArrayLike,
    trials: npt.ArrayLike,
    offset: npt.ArrayLike,
    unit: npt.ArrayLike,
    level: float = 0.95,
    tau_max: float = TAU_MAX_RATIO,
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
    """
    order = np.argsort(np.asarray(unit), kind="stable")
    y, n, off = (np.asarray(v, dtype=np.float64)[order] for v in (successes, trials, offset))
    ends = np.cumsum(np.unique(np.asarray(unit)[order], return_counts=True)[1]).astype(np.int64)
    g = len(ends)
    b, low, high, drop, tau = _fit(
        1, y, n, off, ends, _taus(tau_max), _NODES, _WEIGHTS, cutoff(g, level), 0.0, -_B_LIMIT, _B_LIMIT
    )
    t = math.sqrt((g - 1) * math.expm1(min(drop / g, 700.0)))
    return ProfileFit(_exp(b), _exp(low), _exp(high), float(2 * stats.t.sf(t, g - 1)), tau, g)


def _taus(tau_max: float) -> FloatArray:
    return np.linspace(0.0, tau_max, 7)


def _exp(x: float) -> float:
    return math.exp(x) if x < 700 else math.inf
