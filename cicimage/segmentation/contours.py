"""Outlines of round cells: rays from the centre out to where the signal has fallen to half, or to a valley.

A ray ends where the signal crosses the half level between the cell's core and its background. In a cluster it
meets a neighbour before that: it ends in the valley between the two. Each cell has its own levels, so bright
and dim ones are treated alike, and outlines of cells that lie over one another may overlap.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import numpy.typing as npt

from cicimage.masks import FloatArray
from cicimage.segmentation.kernels import compiled

N_RAYS: Final = 32
_ANGLES: Final = 2.0 * np.pi * np.arange(N_RAYS) / N_RAYS
_SIN: Final = np.sin(_ANGLES)
_COS: Final = np.cos(_ANGLES)

Float = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Contours:
    """Outlines of n candidates on the image's grid.

    Attributes
    ----------
    y, x : (n,) float64
        Centroid of the outline, pixels.
    radii : (n, 32) float64
        Distance from the centroid to the outline, counter-clockwise from +x, pixels.
    core, background : (n,) float64
        Signal within the cell and beside it.
    drop : (n,) float64
        How much of core - background is lost between core and the lowest point of a ray, mean over rays, 0-1:
        1 for a free cell, less where neighbours fill the surroundings, about 0 for texture inside a larger thing.
    closed : (n,) float64
        Share of rays along which at least a quarter is lost; rays that leave the image count as closed.
    axis_ratio : (n,) float64
        Short over long axis, from the outline's second harmonic.
    roughness : (n,) float64
        What circle, shift and ellipse leave of the outline: SD over the mean radius.
    cut : (n,) float64
        Share of rays that end at the image's border.
    """

    y: Float
    x: Float
    radii: Float
    core: Float
    background: Float
    drop: Float
    closed: Float
    axis_ratio: Float
    roughness: Float
    cut: Float

    @property
    def area_px(self) -> Float:
        """Area of every outline, pixels."""
        after = np.roll(self.radii, -1, axis=1)
        return np.asarray(0.5 * np.sin(2.0 * np.pi / N_RAYS) * (self.radii * after).sum(axis=1))

    def __len__(self) -> int:
        return int(self.y.size)

    @property
    def score(self) -> Float:
        """How much an outline looks like one whole round cell, 0-1."""
        return np.asarray(self.drop * self.axis_ratio * np.maximum(1.0 - 2.0 * self.roughness, 0.0))

    def also(self, other: Contours) -> Contours:
        """These and then the others."""
        return Contours(*(np.concatenate([getattr(self, f.name), getattr(other, f.name)]) for f in fields(self)))

    def pick(self, which: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> Contours:
        """Keep some of them."""
        return Contours(*(getattr(self, f.name)[which] for f in fields(self)))


def trace(
    volume: FloatArray,
    z: npt.NDArray[np.int64],
    y: Float,
    x: Float,
    radius_px: Float,
    *,
    reach_px: float,
    noise: float,
    dark: float,
    edge_fraction: float = 0.5,
    hollow: bool = False,
    climb: float = 0.08,
) -> Contours:
    """Draw the outline around every seed.

    Parameters
    ----------
    volume : (Z, Y, X) float32 array
        Smoothed image; each seed is traced in its own slice.
    z, y, x : (n,) arrays
        Seeds, slice index and pixels.
    radius_px : (n,) float64 array
        Expected radius.
    reach_px : float
        Longest ray.
    noise : float
        Noise SD of ``volume``: a rise by less than three of it is no neighbour.
    dark : float
        Level of the empty field, from which the first guess of a cell's height is taken.
    edge_fraction : float
        Level of the outline between background (0) and core (1).
    hollow : bool
        The stain is at the rim: levels are taken from each ray's highest point, and edges beyond it.
    climb : float
        A valley is where the signal rises again by this share of the cell's height.
    """
    n = y.size
    radii = np.zeros((n, N_RAYS))
    stats = np.zeros((n, 7))
    stats[:, 0], stats[:, 1] = np.clip(y, 0, volume.shape[1] - 1), np.clip(x, 0, volume.shape[2] - 1)
    _trace(
        volume, z.astype(np.int64), radius_px.astype(np.float64), float(reach_px), float(noise), float(dark),
        float(edge_fraction), float(climb), hollow, radii, stats, _SIN, _COS,
    )  # fmt: skip
    ratio, rough = _shape(radii)
    return Contours(
        stats[:, 0], stats[:, 1], radii, stats[:, 2], stats[:, 3], stats[:, 4], stats[:, 5], ratio, rough, stats[:, 6]
    )


def _shape(radii: Float) -> tuple[Float, Float]:
    """Axis ratio and roughness from the outline's harmonics."""
    mean = np.maximum(radii.mean(axis=1), 1e-9)
    waves = np.abs(np.fft.rfft(radii / mean[:, None], axis=1)) / N_RAYS * 2.0
    second = np.minimum(waves[:, 2], 0.95)
    rough = np.sqrt(0.5 * (waves[:, 3:-1] ** 2).sum(axis=1))
    return np.asarray((1.0 - second) / (1.0 + second)), np.asarray(rough)


@compiled
def _at(plane: npt.NDArray[np.float32], y: float, x: float) -> float:
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


@compiled
def _core(plane: npt.NDArray[np.float32], y: float, x: float, radius: float) -> float:
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


@compiled
def _cast_ray(
    plane: npt.NDArray[np.float32],
    y: float,
    x: float,
    dy: float,
    dx: float,
    radius: float,
    reach: float,
    rise: float,
    profile: npt.NDArray[np.float64],
) -> tuple[int, int, bool]:
    """Sample a ray every half pixel until it climbs out of a valley by ``rise`` or ends.

    Returns the number of samples, the index of the lowest one beyond half the radius, and whether the ray left
    the image.
    """
    height, width = plane.shape
    n, lowest = 0, 0
    least = np.inf
    last = min(profile.size, int(2.0 * reach) + 1)
    for s in range(last):
        r = 0.5 * s
        yy, xx = y + dy * r, x + dx * r
        if yy < 0.0 or xx < 0.0 or yy > height - 1 or xx > width - 1:
            return n, lowest, True
        value = _at(plane, yy, xx)
        profile[s] = value
        n = s + 1
        if r < 0.5 * radius or n == 1 or value < least:
            least, lowest = value, s
        elif value - least > rise:
            return n, lowest, False
    return n, lowest, False


@compiled
def _median_of_five(edge: npt.NDArray[np.float64], a: int) -> float:
    """Median of an element of a closed ring and its two neighbours on either side."""
    n = edge.size
    middle = edge[a]
    for k in range(-2, 3):
        candidate = edge[(a + k) % n]
        below, equal = 0, 0
        for m in range(-2, 3):
            other = edge[(a + m) % n]
            below += other < candidate
            equal += other == candidate
        if below <= 2 and below + equal > 2:
            middle = candidate
            break
    return float(middle)


@compiled
def _trace(  # noqa: C901 - one pass over seeds, rays and samples
    volume: npt.NDArray[np.float32],
    z: npt.NDArray[np.int64],
    radius: npt.NDArray[np.float64],
    reach: float,
    noise: float,
    dark: float,
    edge_fraction: float,
    climb: float,
    hollow: bool,
    radii: npt.NDArray[np.float64],
    stats: npt.NDArray[np.float64],
    sin: npt.NDArray[np.float64],
    cos: npt.NDArray[np.float64],
) -> None:
    n_rays = sin.size
    samples = int(2.0 * reach) + 2
    profiles = np.zeros((n_rays, samples))
    length = np.zeros(n_rays, dtype=np.int64)
    lowest = np.zeros(n_rays, dtype=np.int64)
    out = np.zeros(n_rays, dtype=np.bool_)
    floors = np.zeros(n_rays)
    edge = np.zeros(n_rays)
    for s in range(z.size):
        plane = volume[z[s]]
        height, width = plane.shape
        y, x, r0 = stats[s, 0], stats[s, 1], radius[s]
        height_over = _core(plane, y, x, 0.4 * r0) - dark
        for _ in range(3):
            core = _core(plane, y, x, 0.4 * r0)
            rise = max(3.0 * noise, climb * height_over)
            top = core
            if hollow:
                top = 0.0
            n_floor = 0
            for a in range(n_rays):
                n, low, left = _cast_ray(plane, y, x, sin[a], cos[a], r0, reach, rise, profiles[a])
                length[a], lowest[a], out[a] = n, low, left
                if n > 0 and not (left and 0.5 * n < 0.8 * r0):
                    floors[n_floor] = profiles[a, low]
                    n_floor += 1
                if hollow:
                    high = core
                    for k in range(min(n, int(2.5 * r0) + 1)):
                        high = max(high, profiles[a, k])
                    top += high / n_rays
            if n_floor == 0:
                stats[s, 4] = 0.0
                break
            background = np.sort(floors[:n_floor])[n_floor // 4]
            height_over = top - background
            if height_over <= 0.0:
                stats[s, 4] = 0.0
                break
            level = background + edge_fraction * height_over
            drop, closed, cut = 0.0, 0.0, 0.0
            for a in range(n_rays):
                n = length[a]
                start = 0
                if hollow:
                    for k in range(min(n, int(2.5 * r0) + 1)):
                        if profiles[a, k] > profiles[a, start]:
                            start = k
                r = -1.0
                for k in range(start, n - 1):
                    if profiles[a, k] >= level and profiles[a, k + 1] < level:
                        r = 0.5 * (k + (profiles[a, k] - level) / (profiles[a, k] - profiles[a, k + 1]))
                        break
                if r < 0.0:
                    r = 0.5 * (n - 1) if out[a] else 0.5 * lowest[a]
                    cut += 1.0 if out[a] else 0.0
                edge[a] = max(r, 0.0)
                if out[a] and 0.5 * n < 0.8 * r0:
                    closed += 1.0
                    drop += 1.0
                else:
                    lost = (top - profiles[a, lowest[a]]) / height_over
                    drop += min(max(lost, 0.0), 1.0)
                    if lost >= 0.25:
                        closed += 1.0
            for a in range(n_rays):
                radii[s, a] = _median_of_five(edge, a)
            area, my, mx = 0.0, 0.0, 0.0
            for a in range(n_rays):
                b = (a + 1) % n_rays
                piece = 0.5 * radii[s, a] * radii[s, b] * (cos[a] * sin[b] - sin[a] * cos[b])
                area += piece
                my += piece * (radii[s, a] * sin[a] + radii[s, b] * sin[b]) / 3.0
                mx += piece * (radii[s, a] * cos[a] + radii[s, b] * cos[b]) / 3.0
            stats[s, 2], stats[s, 3] = top, background
            stats[s, 4], stats[s, 5], stats[s, 6] = drop / n_rays, closed / n_rays, cut / n_rays
            stats[s, 0], stats[s, 1] = y, x
            if area < 1.0:
                break
            my, mx = my / area, mx / area
            r0 = np.sqrt(area / np.pi)
            if my * my + mx * mx < 0.04:
                break
            y = min(max(y + my, 0.0), height - 1.0)
            x = min(max(x + mx, 0.0), width - 1.0)
