"""Compiled loops that trace outlines: one ray, one cell, all cells."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from cicimage.arrays import Float32Array, Float64Array, Int64Array
from cicimage.compiled import compiled

RAN, LEFT, MET = 0, 1, 2  # how a ray ended: by itself, at the image's border, at a rival
N_RAYS: Final = 32
_ANGLES: Final = 2.0 * np.pi * np.arange(N_RAYS) / N_RAYS


class Rules(NamedTuple):
    """Parameters of outlines, the same for every seed of an image.

    Attributes
    ----------
    reach : float
        Longest ray, pixels.
    z_step_px : float
        Focus step in pixels, 0 in a plane.
    noise : float
        Noise SD of the image: a rise by less than three of it is no neighbour.
    dark : float
        Level of the empty field, from which the first guess of a cell's height is taken.
    edge_fraction : float
        Level of the outline between background (0) and core (1).
    climb : float
        A valley is where the signal rises again by this share of the cell's height.
    sin, cos : (n_rays,) float64
        Directions of the rays.
    """

    reach: float
    z_step_px: float
    noise: float
    dark: float
    edge_fraction: float
    climb: float
    sin: Float64Array = np.sin(_ANGLES)
    cos: Float64Array = np.cos(_ANGLES)


class Ray(NamedTuple):
    """A ray from a centre (y, x, z) in direction (dy, dx), pixels; ``radius`` is the cell's expected one."""

    y: float
    x: float
    z: float
    dy: float
    dx: float
    radius: float
    reach: float


class Rays(NamedTuple):
    """The sampled rays of one cell.

    Attributes
    ----------
    profiles : (n_rays, m) float64
        Samples every half pixel.
    length, lowest : (n_rays,) int64
        Number of samples, and index of the lowest one beyond half the radius.
    ended : (n_rays,) int64
        RAN, LEFT or MET.
    """

    profiles: Float64Array
    length: Int64Array
    lowest: Int64Array
    ended: Int64Array


@compiled()
def _at(plane: Float32Array, y: float, x: float) -> float:
    """Bilinear sample; the caller keeps 0 <= y <= Y - 1 and 0 <= x <= X - 1."""
    i, j = int(y), int(x)
    height, width = plane.shape
    if i > height - 2:
        i = max(height - 2, 0)
    if j > width - 2:
        j = max(width - 2, 0)
    i1, j1 = min(i + 1, height - 1), min(j + 1, width - 1)
    v, u = y - i, x - j
    upper = plane[i, j] * (1.0 - u) + plane[i, j1] * u
    lower = plane[i1, j] * (1.0 - u) + plane[i1, j1] * u
    return float(upper * (1.0 - v) + lower * v)


@compiled()
def _core(plane: Float32Array, y: float, x: float, radius: float) -> float:
    """Mean over a small disc, cut by the image's border."""
    height, width = plane.shape
    total, count = 0.0, 0
    for i in range(max(0, int(y - radius + 0.5)), min(height - 1, int(y + radius + 0.5)) + 1):
        for j in range(max(0, int(x - radius + 0.5)), min(width - 1, int(x + radius + 0.5)) + 1):
            if (i - y) ** 2 + (j - x) ** 2 <= radius * radius:
                total += plane[i, j]
                count += 1
    if count == 0:
        return float(_at(plane, min(max(y, 0.0), height - 1.0), min(max(x, 0.0), width - 1.0)))
    return total / count


@compiled()
def _deeper_in_rival(y: float, x: float, z: float, own: float, rivals: Float64Array, near: Int64Array) -> bool:
    """Whether a point lies deeper in the ball of a rival than in its own (``own``: distance over radius)."""
    for t in near:
        r = rivals[t, 2]
        far = (y - rivals[t, 0]) ** 2 + (x - rivals[t, 1]) ** 2 + (z - rivals[t, 3]) ** 2
        if far < r * r and far < own * own * r * r:
            return True
    return False


@compiled()
def _cast_ray(
    plane: Float32Array, ray: Ray, rise: float, rivals: Float64Array, near: Int64Array, profile: Float64Array
) -> tuple[int, int, int]:
    """Sample a ray every half pixel until it climbs out of a valley by ``rise``, meets a rival or ends.

    Returns the number of samples, the index of the lowest one beyond half the radius, and how it ended.
    """
    y, x, z, dy, dx, radius, reach = ray
    height, width = plane.shape
    n, lowest = 0, 0
    least = np.inf
    for s in range(min(profile.size, int(2.0 * reach) + 1)):
        r = 0.5 * s
        yy, xx = y + dy * r, x + dx * r
        if yy < 0.0 or xx < 0.0 or yy > height - 1 or xx > width - 1:
            return n, lowest, LEFT
        if near.size > 0 and s > 0 and _deeper_in_rival(yy, xx, z, r / radius, rivals, near):
            return n, lowest, MET
        value = _at(plane, yy, xx)
        profile[s] = value
        n = s + 1
        if r < 0.5 * radius or n == 1 or value < least:
            least, lowest = value, s
        elif value - least > rise:
            return n, lowest, RAN
    return n, lowest, RAN


@compiled()
def _sample(plane: Float32Array, y: float, x: float, dy: float, dx: float, n: int, profile: Float64Array) -> None:
    """Sample a ray that stays clear of the image's border every half pixel: no branches, vector code."""
    flat, width = plane.ravel(), np.int32(plane.shape[1])
    right, down = np.uint32(1), np.uint32(width)
    y32, x32, dy32, dx32 = np.float32(y), np.float32(x), np.float32(0.5 * dy), np.float32(0.5 * dx)
    for s in range(n):
        yy, xx = y32 + dy32 * np.float32(s), x32 + dx32 * np.float32(s)
        i, j = np.int32(yy), np.int32(xx)
        v, u = yy - np.float32(i), xx - np.float32(j)
        k = np.uint32(i * width + j)
        upper = flat[k] + (flat[k + right] - flat[k]) * u
        lower = flat[k + down] + (flat[k + down + right] - flat[k + down]) * u
        profile[s] = upper + (lower - upper) * v


@compiled()
def _valley(profile: Float64Array, n: int, half: int, rise: float) -> tuple[int, int, int]:
    """Where a sampled ray ends, as :func:`_cast_ray` returns it; the first ``half`` samples are within the cell."""
    lowest = 0
    least = np.inf
    for s in range(n):
        value = profile[s]
        if s <= half or value < least:
            least, lowest = value, s
        elif value - least > rise:
            return s + 1, lowest, RAN
    return n, lowest, RAN


@compiled()
def _fall(profile: Float64Array, n: int, level: float) -> float:
    """Distance along a ray at which it first falls below ``level``, pixels; -1 where it never does."""
    for k in range(n - 1):
        if profile[k] >= level and profile[k + 1] < level:
            return float(0.5 * (k + (profile[k] - level) / (profile[k] - profile[k + 1])))
    return -1.0


@compiled()
def _median_of_five(edge: Float64Array, a: int) -> float:
    """Median of an element of a closed ring and its two neighbours on either side."""
    n = edge.size
    p, q, r, s, t = edge[a - 2], edge[a - 1], edge[a], edge[(a + 1) % n], edge[(a + 2) % n]
    p, q = min(p, q), max(p, q)
    r, s = min(r, s), max(r, s)
    low, high = max(p, r), min(q, s)  # the least and the greatest of four are out
    return float(max(min(low, high), min(max(low, high), t)))


@compiled()
def _ranked(values: Float64Array, n: int, rank: int) -> float:
    """The value of a rank among the first ``n``, which are put in order."""
    for a in range(1, n):
        value, b = values[a], a - 1
        while b >= 0 and values[b] > value:
            values[b + 1] = values[b]
            b -= 1
        values[b + 1] = value
    return float(values[rank])


@compiled()
def _centroid(radii: Float64Array, sin: Float64Array, cos: Float64Array) -> tuple[float, float, float]:
    """Area of a star-shaped polygon and its centroid (y, x) from the rays' common start."""
    area, my, mx = 0.0, 0.0, 0.0
    for a in range(radii.size):
        b = (a + 1) % radii.size
        piece = 0.5 * radii[a] * radii[b] * (cos[a] * sin[b] - sin[a] * cos[b])
        area += piece
        my += piece * (radii[a] * sin[a] + radii[b] * sin[b]) / 3.0
        mx += piece * (radii[a] * cos[a] + radii[b] * cos[b]) / 3.0
    if area <= 0.0:
        return 0.0, 0.0, 0.0
    return area, my / area, mx / area


@compiled()
def _outline(
    rays: Rays, core: float, background: float, edge_fraction: float, radii: Float64Array, stats: Float64Array
) -> None:
    """Radii of one cell from its rays' profiles, and measures of its edge."""
    profiles, length, lowest, ended = rays
    n_rays = length.size
    edge = np.zeros(n_rays)
    level = background + edge_fraction * (core - background)
    drop, closed, cut, n_known = 0.0, 0.0, 0.0, 0
    for a in range(n_rays):
        n = length[a]
        r = _fall(profiles[a], n, level)
        if r < 0.0 and ended[a] != RAN:  # ended by the border or a rival: the edge is unknown
            edge[a] = 0.5 * max(n - 1, 0)
            cut += 1.0 if ended[a] == LEFT else 0.0
            continue
        edge[a] = r if r >= 0.0 else 0.5 * lowest[a]
        lost = (core - profiles[a, lowest[a]]) / (core - background)
        drop += min(max(lost, 0.0), 1.0)
        closed += 1.0 if lost >= 0.25 else 0.0
        n_known += 1
    for a in range(n_rays):
        radii[a] = _median_of_five(edge, a)
    stats[2], stats[3], stats[6] = core, background, cut / n_rays
    if 4 * n_known >= n_rays:
        stats[4], stats[5] = drop / n_known, closed / n_known
    else:
        stats[4], stats[5] = 0.0, 0.0


@compiled()
def _near_rivals(rivals: Float64Array, y: float, x: float, z: float, reach: float, near: Int64Array) -> int:
    """Write the rivals that a ray may meet to ``near``; return how many."""
    n = 0
    for t in range(rivals.shape[0]):
        far = (y - rivals[t, 0]) ** 2 + (x - rivals[t, 1]) ** 2 + (z - rivals[t, 3]) ** 2
        if far < (1.5 * reach + rivals[t, 2]) ** 2:
            near[n] = t
            n += 1
    return n


@compiled()
def _cast_all(
    plane: Float32Array, centre: Ray, rise: float, rivals: Float64Array, near: Int64Array, rules: Rules, rays: Rays
) -> float:
    """Sample all rays of a cell; return the lower quartile of their lowest points, NaN where there is none.

    ``centre`` holds the position, radius and reach that the rays share.
    """
    y, x, z, _, _, radius, reach = centre
    sin, cos = rules.sin, rules.cos
    profiles, length, lowest, ended = rays
    height, width = plane.shape
    n_samples = min(profiles.shape[1], int(2.0 * reach) + 1)
    clear = near.size == 0 and min(y, x) > reach + 1.0 and y < height - reach - 2.0 and x < width - reach - 2.0
    half = int(np.ceil(radius)) - 1
    floors, n_floor = np.zeros(length.size), 0
    for a in range(length.size):
        if clear:
            _sample(plane, y, x, sin[a], cos[a], n_samples, profiles[a])
            n, low, how = _valley(profiles[a], n_samples, half, rise)
        else:
            ray = Ray(y, x, z, sin[a], cos[a], radius, reach)
            n, low, how = _cast_ray(plane, ray, rise, rivals, near, profiles[a])
        length[a], lowest[a], ended[a] = n, low, how
        if n > 0 and (how == RAN or 0.5 * n >= 0.8 * radius):
            floors[n_floor] = profiles[a, low]
            n_floor += 1
    return _ranked(floors, n_floor, n_floor // 4) if n_floor else np.nan


@compiled()
def trace_all(
    volume: Float32Array,
    z: Int64Array,
    radius: Float64Array,
    rivals: Float64Array,
    rules: Rules,
    radii: Float64Array,
    stats: Float64Array,
) -> None:
    """Trace every seed, moving its centre to the outline's centroid up to twice.

    Parameters
    ----------
    volume : (Z, Y, X) float32 array
        Smoothed image.
    z : (n,) int64 array
        Slice of each seed.
    radius : (n,) float64 array
        Expected radius, pixels.
    rivals : (m, 4) float64 array
        Known cells: centre y, x, radius and distance from slice 0, pixels; (0, 4) for none.
    rules : Rules
        Parameters of outlines.
    radii : (n, n_rays) float64 array
        Filled with the distance from the centre to the outline along every ray, pixels.
    stats : (n, 7) float64 array
        Holds the seeds' y and x in its first two columns; filled with y, x, core, background, drop, closed, cut.
    """
    reach, z_step_px, noise, dark, edge_fraction, climb, sin, cos = rules
    n_rays = sin.size
    profiles = np.zeros((n_rays, int(2.0 * reach) + 2))
    length, lowest, ended = np.zeros((3, n_rays), dtype=np.int64)
    rays = Rays(profiles, length, lowest, ended)
    near = np.zeros(rivals.shape[0], dtype=np.int64)
    for s in range(z.size):
        plane = volume[z[s]]
        height, width = plane.shape
        y, x, zz, r0 = stats[s, 0], stats[s, 1], z[s] * z_step_px, radius[s]
        over = _core(plane, y, x, 0.4 * r0) - dark
        n_near = _near_rivals(rivals, y, x, zz, reach, near)
        for _ in range(3):
            core = _core(plane, y, x, 0.4 * r0)
            centre = Ray(y, x, zz, 0.0, 0.0, r0, reach)
            background = _cast_all(plane, centre, max(3.0 * noise, climb * over), rivals, near[:n_near], rules, rays)
            over = core - background
            stats[s, 0], stats[s, 1] = y, x
            if not over > 0.0:
                stats[s, 4] = 0.0
                break
            _outline(rays, core, background, edge_fraction, radii[s], stats[s])
            area, my, mx = _centroid(radii[s], sin, cos)
            if area < 1.0 or my * my + mx * mx < 0.04:
                break
            r0 = np.sqrt(area / np.pi)
            y = min(max(y + my, 0.0), height - 1.0)
            x = min(max(x + mx, 0.0), width - 1.0)
