"""Selection of cells among many overlapping outlines."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from cicimage.arrays import BoolArray, Float32Array, Float64Array, Int64Array
from cicimage.compiled import compiled
from cicimage.segmentation.contours import Contours


class End(NamedTuple):
    """A cell at one end of a line: centre (pixels, pixels, slice index) and background, counts."""

    y: float
    x: float
    z: float
    background: float


class _Candidates(NamedTuple):
    """Outlines as the compiled loop takes them, (n,) each: centre, slice index, radius in pixels, levels."""

    y: Float64Array
    x: Float64Array
    z: Float64Array
    radius: Float64Array
    background: Float64Array
    response: Float64Array


def choose(
    found: Contours,
    volume: Float32Array,
    z_step_px: float,
    *,
    most_overlap: float = 0.4,
    least_dip: float = 0.15,
    before: BoolArray | None = None,
) -> Int64Array:
    """Keep the best outline of every cell.

    From the best score down, an outline is kept unless it shares more than ``most_overlap`` of the smaller of two
    discs with one kept before. Two that lie over one another in projection are both kept where their centres are at
    least 0.6 of their mean diameter apart in z and the signal between them dips by at least ``least_dip`` of the
    lower one's height. A dim cell on the shoulder of a bright one makes no dip: from 0.8 of the mean diameter on, a
    response of a quarter of the other's suffices.

    Parameters
    ----------
    found : Contours
        Candidates, centres in pixels of ``volume``.
    volume : (Z, Y, X) float32 array
        Smoothed image.
    z_step_px : float
        Focus step in pixels, 0 in a plane.
    most_overlap, least_dip : float
        See above, 0-1.
    before : (n,) bool array, optional
        Outlines that come before all others, whatever their score.

    Returns
    -------
    (k,) int64 array
        Indices of those kept, best first.
    """
    if not len(found):
        return np.zeros(0, dtype=np.int64)
    score = found.score if before is None else found.score + before
    order = np.argsort(-score, kind="stable").astype(np.int64)
    radius = np.sqrt(np.maximum(found.area_px, 1e-9) / np.pi)
    candidates = _Candidates(found.y, found.x, found.z, radius, found.background, found.response)
    return np.asarray(_choose(order, candidates, volume, z_step_px, most_overlap, least_dip))


def pairs_in_touch(found: Contours, z_step_px: float) -> tuple[Int64Array, Int64Array]:
    """Find pairs of outlines at similar height whose discs touch or nearly do.

    Parameters
    ----------
    found : Contours
        Outlines.
    z_step_px : float
        Focus step in pixels, 0 in a plane.

    Returns
    -------
    i, j : (k,) int64 arrays
        Indices of the pairs, i < j, ascending.
    """
    radius = np.sqrt(np.maximum(found.area_px, 0.0) / np.pi)
    if len(found) < 2:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    tree = cKDTree(np.column_stack([found.y, found.x]))
    i, j = tree.query_pairs(2.2 * float(radius.max()), output_type="ndarray").T
    order = np.lexsort((j, i))
    i, j = i[order], j[order]
    reach = radius[i] + radius[j]
    near = np.hypot(found.y[i] - found.y[j], found.x[i] - found.x[j]) < 1.1 * reach
    near &= np.abs(found.z[i] - found.z[j]) * z_step_px <= 0.5 * reach
    return i[near].astype(np.int64), j[near].astype(np.int64)


def beside(points: Float64Array, balls: Float64Array, share: float = 0.6, reach: float = 2.5) -> BoolArray:
    """Find points that lie beside some ball and in none.

    Parameters
    ----------
    points : (n, 3) float64 array
        y, x, z, pixels.
    balls : (m, 4) float64 array
        y, x, radius, z, pixels.
    share : float
        A point is in a ball within this multiple of its radius.
    reach : float
        A point is beside a ball within this multiple of its radius.

    Returns
    -------
    (n,) bool array
        Whether each point is beside a ball and in none.
    """
    return np.asarray(_beside(points, balls, share, reach))


@compiled()
def _beside(points: Float64Array, balls: Float64Array, share: float, reach: float) -> BoolArray:
    out = np.zeros(points.shape[0], dtype=np.bool_)
    for p in range(points.shape[0]):
        y, x, z = points[p]
        near = False
        for b in range(balls.shape[0]):
            far = (y - balls[b, 0]) ** 2 + (x - balls[b, 1]) ** 2 + (z - balls[b, 3]) ** 2
            square = balls[b, 2] ** 2
            if far <= share * share * square:
                near = False
                break
            near = near or far < reach * reach * square
        out[p] = near
    return out


def dip_between(found: Contours, i: Int64Array, j: Int64Array, volume: Float32Array) -> Float64Array:
    """Measure how far the signal between two centres dips below both.

    Parameters
    ----------
    found : Contours
        Outlines, pixels of ``volume``.
    i, j : (k,) int64 arrays
        Pairs of outlines.
    volume : (Z, Y, X) float32 array
        Smoothed image.

    Returns
    -------
    (k,) float64 array
        Depth of the dip over the lower one's height: 0 without a dip, 1 down to the background.
    """
    ends = [End(*row) for row in np.column_stack([found.y, found.x, found.z, found.background]).tolist()]
    dips = [dip_on_line(volume, ends[a], ends[b]) for a, b in zip(i, j, strict=True)]
    return np.array(dips, dtype=np.float64)


@compiled()
def _shared(a: float, b: float, d: float) -> float:
    """Share of the smaller of two discs of radii a, b at distance d that lies in the other."""
    small, large = min(a, b), max(a, b)
    if d >= a + b:
        return 0.0
    if d <= large - small:
        return 1.0
    u = (d * d + small * small - large * large) / (2.0 * d * small)
    v = (d * d + large * large - small * small) / (2.0 * d * large)
    u, v = min(max(u, -1.0), 1.0), min(max(v, -1.0), 1.0)
    w = (-d + small + large) * (d + small - large) * (d - small + large) * (d + small + large)
    area = small * small * np.arccos(u) + large * large * np.arccos(v) - 0.5 * np.sqrt(max(w, 0.0))
    return float(area / (np.pi * small * small))


@compiled()
def dip_on_line(volume: Float32Array, first: End, second: End) -> float:
    """Measure the dip of the signal on the straight line between two centres, sampled at 17 points.

    Parameters
    ----------
    volume : (Z, Y, X) float32 array
        Smoothed image.
    first, second : End
        The two cells.

    Returns
    -------
    float
        Depth of the lowest point below the lower end, over the lower end's height above its background; 0 where a cell
        does not rise over its background.
    """
    depth, height, width = volume.shape
    n = 16
    start, end, low = 0.0, 0.0, np.inf
    for s in range(n + 1):
        t = s / n
        z = first.z + t * (second.z - first.z)
        y, x = first.y + t * (second.y - first.y), first.x + t * (second.x - first.x)
        k = min(max(int(z), 0), depth - 1)
        k1 = min(k + 1, depth - 1)
        i, j = min(max(int(y + 0.5), 0), height - 1), min(max(int(x + 0.5), 0), width - 1)
        value = volume[k, i, j] * (1.0 - (z - k)) + volume[k1, i, j] * (z - k)
        if s == 0:
            start = value
        if s == n:
            end = value
        low = min(low, value)
    weaker = min(start - first.background, end - second.background)
    if weaker <= 0.0:
        return 0.0
    return float((min(start, end) - low) / weaker)


@compiled()
def _choose(
    order: Int64Array,
    found: _Candidates,
    volume: Float32Array,
    z_step_px: float,
    most_overlap: float,
    least_dip: float,
) -> Int64Array:
    y, x, z, radius, background, response = found
    kept = np.empty(order.size, dtype=np.int64)
    n = 0
    for a in order:
        good = True
        for c in range(n):
            b = kept[c]
            dy, dx = y[a] - y[b], x[a] - x[b]
            reach = radius[a] + radius[b]
            flat = dy * dy + dx * dx
            if flat >= reach * reach:
                continue
            if _shared(radius[a], radius[b], np.sqrt(flat)) <= most_overlap:
                continue
            over = abs(z[a] - z[b]) * z_step_px
            if z_step_px > 0.0 and over >= 0.6 * reach:
                one, other = End(y[a], x[a], z[a], background[a]), End(y[b], x[b], z[b], background[b])
                dip = dip_on_line(volume, one, other)
                shoulder = over >= 0.8 * reach and min(response[a], response[b]) >= 0.25 * max(response[a], response[b])
                if dip >= least_dip or shoulder:
                    continue
            good = False
            break
        if good:
            kept[n] = a
            n += 1
    return kept[:n].copy()
