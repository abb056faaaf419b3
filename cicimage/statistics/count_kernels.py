"""Compiled likelihoods of the count model: one random term per unit, integrated out, its SD profiled out.

``kind`` 0 is Poisson with log mean ``offset + b + u``, 1 is binomial of ``n`` with log odds ``offset + b + u``; 2 is
the same binomial without offsets, ``b`` being the logit of the units' *mean* share instead of the median unit's logit.
"""

from __future__ import annotations

import math

import numpy as np

from cicimage.arrays import Float64Array, Int64Array
from cicimage.compiled import compiled

_MEAN_NODES, _MEAN_WEIGHTS = np.polynomial.hermite_e.hermegauss(21)
_MEAN_WEIGHTS = _MEAN_WEIGHTS / math.sqrt(2 * math.pi)


@compiled()
def _density(kind: int, eta: float, y: float, n: float) -> float:
    if kind == 0:
        return y * eta - math.exp(min(eta, 500.0))
    return y * eta - n * (eta + math.log1p(math.exp(-eta)) if eta > 0 else math.log1p(math.exp(eta)))


@compiled()
def _slope(kind: int, eta: float, y: float, n: float) -> tuple[float, float]:
    """First and minus second derivative of the density in eta."""
    if kind == 0:
        mu = math.exp(min(eta, 500.0))
        return y - mu, mu
    pi = 1.0 / (1.0 + math.exp(-eta)) if eta > -500.0 else 0.0
    return y - n * pi, n * pi * (1.0 - pi)


@compiled()
def unit_loglik(
    kind: int,
    b: float,
    tau: float,
    y: Float64Array,
    n: Float64Array,
    offset: Float64Array,
    nodes: Float64Array,
    w: Float64Array,
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


@compiled()
def mean_logit(c: float, tau: float) -> float:
    """Logit of the mean of ``expit(c + u)`` over ``u ~ N(0, tau^2)``."""
    inside, outside = 0.0, 0.0
    for i in range(len(_MEAN_NODES)):
        v = c + tau * _MEAN_NODES[i]
        if v > 0:
            low = math.exp(-v)
            inside += _MEAN_WEIGHTS[i] / (1.0 + low)
            outside += _MEAN_WEIGHTS[i] * low / (1.0 + low)
        else:
            low = math.exp(v)
            inside += _MEAN_WEIGHTS[i] * low / (1.0 + low)
            outside += _MEAN_WEIGHTS[i] / (1.0 + low)
    return math.log(inside / outside)


@compiled()
def median_logit(b: float, tau: float) -> float:
    """Logit of the median unit where the mean over units is ``expit(b)``: the inverse of :func:`mean_logit`.

    Secant steps from the usual approximation by a probit (Zeger, Liang & Albert 1988, Biometrics 44:1049).
    """
    if tau < 1e-6:
        return b
    c0 = b * math.sqrt(1.0 + 0.346 * tau * tau)
    f0 = mean_logit(c0, tau) - b
    c1 = c0 - f0
    for _ in range(30):
        f1 = mean_logit(c1, tau) - b
        if abs(f1) < 1e-7 or f1 == f0:
            break
        c0, c1, f0 = c1, c1 - f1 * (c1 - c0) / (f1 - f0), f1
    return c1


@compiled()
def _loglik(
    kind: int,
    b: float,
    tau: float,
    y: Float64Array,
    n: Float64Array,
    offset: Float64Array,
    ends: Int64Array,
    nodes: Float64Array,
    w: Float64Array,
) -> float:
    """Log-likelihood of all units."""
    if kind == 2:
        b = median_logit(b, tau)
    total, start = 0.0, 0
    for d in range(len(ends)):
        part = slice(start, ends[d])
        total += unit_loglik(kind, b, tau, y[part], n[part], offset[part], nodes, w)
        start = ends[d]
    return total


@compiled()
def _profile(
    kind: int,
    b: float,
    y: Float64Array,
    n: Float64Array,
    offset: Float64Array,
    ends: Int64Array,
    taus: Float64Array,
    nodes: Float64Array,
    w: Float64Array,
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


@compiled()
def _top(
    kind: int,
    low: float,
    high: float,
    y: Float64Array,
    n: Float64Array,
    offset: Float64Array,
    ends: Int64Array,
    taus: Float64Array,
    nodes: Float64Array,
    w: Float64Array,
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


@compiled()
def _guess(kind: int, y: Float64Array, n: Float64Array, offset: Float64Array) -> float:
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


@compiled()
def _limit(
    kind: int,
    start: float,
    edge: float,
    level: float,
    y: Float64Array,
    n: Float64Array,
    offset: Float64Array,
    ends: Int64Array,
    taus: Float64Array,
    nodes: Float64Array,
    w: Float64Array,
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


@compiled()
def fit_profile(
    kind: int,
    y: Float64Array,
    n: Float64Array,
    offset: Float64Array,
    ends: Int64Array,
    taus: Float64Array,
    nodes: Float64Array,
    w: Float64Array,
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
