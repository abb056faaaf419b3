"""Frame-to-frame links between objects.

The value of a link is its log likelihood ratio against the alternative, "this cell was lost and a new one appeared
there". All links of two frames are chosen together.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cicimage.arrays import Float64Array, Int64Array
from cicimage.compiled import compiled
from cicimage.tracking.matching import assign

TAIL = 5.0
"""Degrees of freedom of Student's t distribution of displacements: most guests crawl a little, some run."""
_MEMORY = 0.8
"""Weight per step of a track's own past displacements in the estimate of its motility."""
_PRIOR_STEPS = 2.0
"""Weight of the population's motility in that estimate, in steps of the track."""


class Points(NamedTuple):
    """Objects of a movie, by frame, for the compiled loops.

    Attributes
    ----------
    offsets : (n_frames + 1,) int64
        Objects of frame f are ``offsets[f]:offsets[f + 1]``; only frames that have objects.
    t_min : (n_frames,) float64
        Time of each, minutes.
    y, x : (n,) float64
        Centroids, um, drift removed.
    features : (n, k) float64
        What else identifies a cell (z in um, log area, log intensity); NaN where unknown.
    """

    offsets: Int64Array
    t_min: Float64Array
    y: Float64Array
    x: Float64Array
    features: Float64Array


class Terms(NamedTuple):
    """Parameters of the log likelihood ratio of a link, and the limits beyond which none is made.

    Attributes
    ----------
    scale_um : float
        Typical displacement per axis in ``step_min``, um.
    step_min : float
        Typical time between frames, minutes.
    damping : float
        Share of the last velocity that persists in the next step, 0-1.
    log_chance : float
        Log of (density of new objects per um2 times odds of losing one).
    feature_weights : (3, k) float64
        Weights of the features, see :func:`likeness`.
    max_speed : float
        Hard limit, um/min; inf for none.
    slack_um : float
        Allowed jump of a centroid beyond that, um: masks fluctuate.
    max_gap_min : float
        Longest time between two frames that are linked across frames without objects, minutes.
    """

    scale_um: float
    step_min: float
    damping: float
    log_chance: float
    feature_weights: Float64Array
    max_speed: float
    slack_um: float
    max_gap_min: float


@compiled(error_model="numpy")
def _grid(
    y: Float64Array, x: Float64Array, first: int, last: int, edge: float
) -> tuple[float, float, float, int, int, Int64Array, Int64Array]:
    """Sort objects first..last into squares, about one square per object.

    Returns origin (y, x), edge, squares along y and x, where each square's members start, and the members.
    """
    y0, x0, y1, x1 = y[first], x[first], y[first], x[first]
    for j in range(first, last):
        y0, y1 = min(y0, y[j]), max(y1, y[j])
        x0, x1 = min(x0, x[j]), max(x1, x[j])
    edge = max(edge, np.sqrt((y1 - y0) * (x1 - x0) / (last - first)), max(y1 - y0, x1 - x0) / 2000.0, 1e-9)
    ny, nx = int((y1 - y0) / edge) + 1, int((x1 - x0) / edge) + 1
    start = np.zeros(ny * nx + 1, np.int64)
    square = np.empty(last - first, np.int64)
    for j in range(first, last):
        square[j - first] = int((y[j] - y0) / edge) * nx + int((x[j] - x0) / edge)
        start[square[j - first] + 1] += 1
    for c in range(ny * nx):
        start[c + 1] += start[c]
    fill = start[:-1].copy()
    member = np.empty(last - first, np.int64)
    for j in range(first, last):
        member[fill[square[j - first]]] = j
        fill[square[j - first]] += 1
    return y0, x0, edge, ny, nx, start, member


@compiled(error_model="numpy")
def likeness(features: Float64Array, i: int, j: int, feature_weights: Float64Array) -> float:
    """Compute the log likelihood ratio that two appearances belong to one cell and not to two.

    Parameters
    ----------
    features : (n, k) float64 array
        Features of all objects; NaN where unknown, which counts as 0.
    i, j : int
        Objects to compare.
    feature_weights : (3, k) float64 array
        Per feature: value of equal ones, decrease with the squared difference, and least value (cells jump in size or
        height now and then).

    Returns
    -------
    float
        Sum over the features.
    """
    total = 0.0
    for k in range(feature_weights.shape[1]):
        d = features[j, k] - features[i, k]
        if d == d:  # a missing value does not count
            total += max(feature_weights[0, k] - feature_weights[1, k] * d * d, feature_weights[2, k])
    return total


@compiled(error_model="numpy")
def link_frames(  # noqa: C901 - nested loops over frames, objects, squares and their members
    points: Points, terms: Terms, skipped: Int64Array
) -> tuple[Int64Array, Float64Array]:
    """Link every frame's objects to those of the frame before.

    Parameters
    ----------
    points : Points
        All objects.
    terms : Terms
        Values and limits of links.
    skipped : (n_frames,) int64
        1 where the frame number before this one had no objects.

    Returns
    -------
    previous : (n,) int64
        Index of the same cell's object in the frame before, -1 for none.
    residual : (n,) float64
        Distance from the predicted position over the square root of the expected growth with time, um; NaN
        without a link.
    """
    offsets, t_min, y, x, features = points
    scale_um, step_min, damping, log_chance, feature_weights, max_speed, slack_um, max_gap_min = terms
    n = y.size
    previous = np.full(n, -1, np.int64)
    residual = np.full(n, np.nan)
    vy, vx = np.zeros(n), np.zeros(n)
    own_ss, own_n = np.zeros(n), np.zeros(n)
    bonus = feature_weights[0].sum()
    edges_to = np.empty(1024, np.int64)
    edges_gain = np.empty(1024)
    for f in range(1, offsets.size - 1):
        first, mid, last = offsets[f - 1], offsets[f], offsets[f + 1]
        dt = t_min[f] - t_min[f - 1]
        if skipped[f] == 1 and dt > max_gap_min:
            continue
        growth = (dt / step_min) ** (1.0 + damping)
        carry = damping ** (dt / step_min) * dt
        y0, x0, edge, ny, nx, start, member = _grid(y, x, mid, last, 2.0 * scale_um * np.sqrt(growth))
        near_y, near_x = y[member], x[member]
        indptr = np.zeros(mid - first + 1, np.int64)
        count = 0
        for i in range(first, mid):
            var = (_PRIOR_STEPS * scale_um**2 + own_ss[i]) / (_PRIOR_STEPS + own_n[i]) * growth
            at_zero = -np.log(2.0 * np.pi * var) - log_chance
            reach2 = TAIL * var * (np.exp(2.0 * max(at_zero + bonus, 0.0) / (TAIL + 2.0)) - 1.0)
            reach = min(np.sqrt(reach2), (max_speed * dt + slack_um) * (1.0 + damping))
            py, px = y[i] + carry * vy[i], x[i] + carry * vx[i]
            cy0, cy1 = int(max((py - reach - y0) / edge, 0.0)), int(min((py + reach - y0) / edge, ny - 1.0))
            cx0, cx1 = int(max((px - reach - x0) / edge, 0.0)), int(min((px + reach - x0) / edge, nx - 1.0))
            for cy in range(cy0, cy1 + 1):
                for cx in range(cx0, cx1 + 1):
                    for m in range(start[cy * nx + cx], start[cy * nx + cx + 1]):
                        r2 = (near_y[m] - py) ** 2 + (near_x[m] - px) ** 2
                        if r2 > reach * reach:
                            continue
                        j = member[m]
                        if (y[j] - y[i]) ** 2 + (x[j] - x[i]) ** 2 > (max_speed * dt + slack_um) ** 2:
                            continue
                        gain = at_zero - 0.5 * (TAIL + 2.0) * np.log(1.0 + r2 / (TAIL * var))
                        gain += likeness(features, i, j, feature_weights)
                        if gain <= 0.0:
                            continue
                        if count == edges_to.size:
                            edges_to = np.concatenate((edges_to, np.empty(count, np.int64)))
                            edges_gain = np.concatenate((edges_gain, np.empty(count)))
                        edges_to[count], edges_gain[count] = j - mid, gain
                        count += 1
            indptr[i - first + 1] = count
        chosen = assign(indptr, edges_to[:count], edges_gain[:count], last - mid)
        for i in range(first, mid):
            if chosen[i - first] < 0:
                continue
            j = mid + chosen[i - first]
            previous[j] = i
            r2 = (y[j] - y[i] - carry * vy[i]) ** 2 + (x[j] - x[i] - carry * vx[i]) ** 2
            residual[j] = np.sqrt(r2 / growth)
            vy[j], vx[j] = (y[j] - y[i]) / dt, (x[j] - x[i]) / dt
            own_ss[j] = _MEMORY * own_ss[i] + 0.5 * r2 / growth
            own_n[j] = _MEMORY * own_n[i] + 1.0
    return previous, residual
