"""Position and thickness of round cells along z."""

from __future__ import annotations

from typing import Final, NamedTuple

import cv2
import numpy as np

from cicimage.arrays import BoolArray, Float32Array, Float64Array
from cicimage.compiled import compiled

CORE: Final = 0.5
CHORD: Final = 2.0 / 3.0 * (1.0 - (1.0 - CORE**2) ** 1.5) / CORE**2
"""Mean height of a ball over the disc of ``CORE`` of its radius, over its diameter."""


@compiled()
def axial_profiles(
    volume: Float32Array,
    y: Float64Array,
    x: Float64Array,
    radius: Float64Array,
    taken: BoolArray,
) -> Float64Array:
    """Measure each cell's signal over its surroundings, slice by slice.

    The core is a disc of ``CORE`` of the radius, the surroundings a ring of 1.3-1.9 radii without the pixels of any
    cell. Where fewer than eight ring pixels are left, the lowest level of the slice's crop takes their place.

    Parameters
    ----------
    volume : (Z, Y, X) float32 array
        Image.
    y, x, radius : (n,) float64 arrays
        Centres and radii of the cells, pixels of ``volume``.
    taken : (Y, X) bool array
        Pixels of any cell, which are not used as surroundings.

    Returns
    -------
    (n, Z) float64 array
        Mean of the core less that of the surroundings, in the image's counts.
    """
    depth, height, width = volume.shape
    out = np.zeros((y.size, depth))
    for s in range(y.size):
        r = radius[s]
        reach = int(np.ceil(1.9 * r))
        top, bottom = max(0, int(y[s]) - reach), min(height, int(y[s]) + reach + 2)
        left, right = max(0, int(x[s]) - reach), min(width, int(x[s]) + reach + 2)
        for k in range(depth):
            core, n_core, ring, n_ring, least = 0.0, 0, 0.0, 0, np.inf
            for i in range(top, bottom):
                for j in range(left, right):
                    d = ((i - y[s]) ** 2 + (j - x[s]) ** 2) / (r * r)
                    value = volume[k, i, j]
                    if d <= CORE * CORE:
                        core += value
                        n_core += 1
                    elif d >= 1.69 and d <= 3.61 and not taken[i, j]:
                        ring += value
                        n_ring += 1
                    least = min(least, value)
            if n_core == 0:
                core, n_core = (
                    volume[k, min(max(int(y[s] + 0.5), 0), height - 1), min(max(int(x[s] + 0.5), 0), width - 1)],
                    1,
                )
            out[s, k] = core / n_core - (ring / n_ring if n_ring >= 8 else least)
    return out


class Hump(NamedTuple):
    """Peak of an axial profile, in slices.

    ``low`` and ``high`` are where it crosses half its height: NaN on a side cut off by the stack's end, and on
    both sides of a shoulder.
    """

    centre: float
    low: float
    high: float


def locate(profile: Float64Array, near: float, reach: float, foot: float = 0.3) -> Hump:
    """Find the hump of a profile next to slice ``near``.

    The centroid is taken over the connected stretch above ``foot`` of the hump's height, with the profile linear
    between slices, so that haze and neighbours above or below carry no weight. Where the profile climbs on for more
    than ``reach`` slices, ``near`` lies on a neighbour's shoulder and is returned as it is.

    Parameters
    ----------
    profile : (Z,) float64 array
        Signal over the surroundings, one row of :func:`axial_profiles`.
    near : float
        Slice index to start from.
    reach : float
        Farthest distance between ``near`` and the peak, slices.
    foot : float
        Share of the peak's height below which the profile does not count.

    Returns
    -------
    Hump
        Centroid and half-height crossings, slices.
    """
    last = profile.size - 1
    k = int(np.clip(round(near), 0, last))
    while k < last and profile[k + 1] > profile[k]:
        k += 1
    while k > 0 and profile[k - 1] > profile[k]:
        k -= 1
    height = float(profile[k])
    if not height > 0 or abs(k - near) > reach:
        return Hump(float(near), np.nan, np.nan)
    ends = [_crossing(profile, k, step, 0.5 * height) for step in (-1, 1)]
    start, stop = (_crossing(profile, k, step, foot * height) for step in (-1, 1))
    fine = np.linspace(0.0 if np.isnan(start) else start, float(last) if np.isnan(stop) else stop, 33)
    weight = np.maximum(np.interp(fine, np.arange(profile.size), profile) - foot * height, 0.0)
    weight[[0, -1]] *= 0.5
    total = float(weight.sum())
    return Hump(float((fine * weight).sum() / total) if total > 0 else float(k), ends[0], ends[1])


def _crossing(profile: Float64Array, k: int, step: int, level: float) -> float:
    """Where the profile falls below ``level`` going from slice k by ``step``, linear between slices; NaN if never.

    It ends before that where the profile rises by 15 % of its height from its lowest point so far: there the next
    hump begins. Less is unevenness of the dye.
    """
    rise = 0.15 * float(profile[k])
    a = least = k
    while 0 <= a + step < profile.size:
        a += step
        if profile[a] < level:
            before = a - step
            return float(before + step * (profile[before] - level) / (profile[before] - profile[a]))
        if profile[a] > profile[least] + rise:
            return float(least)
        if profile[a] < profile[least]:
            least = a
    return float("nan")


class RoundCells(NamedTuple):
    """Round cells of one image, (n,) each: centres and radii in pixels, and the slice of each to start from."""

    y: Float64Array
    x: Float64Array
    radius: Float64Array
    z: Float64Array


def measure_heights(
    volume: Float32Array, cells: RoundCells, um_per_px: float, um_per_z: float
) -> tuple[Float64Array, Float64Array]:
    """Measure centroid and thickness along z of every cell.

    A cell cut off by the stack's end has its centre half a thickness from the visible end; the ratio of thickness to
    width is taken from the field's complete cells.

    Parameters
    ----------
    volume : (Z, Y, X) float32 array
        Image.
    cells : RoundCells
        Where they are.
    um_per_px, um_per_z : float
        Scale of the image, um.

    Returns
    -------
    z_um, z_extent_um : (n,) float64 arrays
        Centroid above the first slice and full axial width, um.
    """
    radius = cells.radius
    taken = np.zeros(volume.shape[1:], dtype=np.uint8)
    for y, x, r in zip(cells.y, cells.x, radius, strict=True):
        cv2.circle(taken, (round(x), round(y)), round(r), 1, -1)
    profiles = axial_profiles(volume, cells.y, cells.x, radius, taken.astype(np.bool_))
    reach = np.maximum(0.7 * radius * um_per_px / um_per_z, 1.0)
    humps = np.array([locate(p, k, r) for p, k, r in zip(profiles, cells.z, reach, strict=True)]).reshape(-1, 3)
    centre, low, high = humps.T * um_per_z
    # A profile is a mean over the cell's middle, where a ball is lower than at its centre.
    low, high = centre - (centre - low) / CHORD, centre + (high - centre) / CHORD
    width = 2.0 * radius * um_per_px
    whole = np.isfinite(low) & np.isfinite(high)
    flatness = float(np.median(((high - low) / width)[whole])) if np.count_nonzero(whole) >= 5 else 0.9
    thickness = np.where(whole, high - low, flatness * width)
    above, below = low + 0.5 * thickness, high - 0.5 * thickness
    centre = np.where(np.isnan(high) & np.isfinite(low), np.maximum(centre, above), centre)
    centre = np.where(np.isnan(low) & np.isfinite(high), np.minimum(centre, below), centre)
    return centre, thickness


def axial_kernels(depth: int, sigma_slices: float) -> tuple[Float32Array, Float32Array]:
    """Make the Gaussian smoothing and the negative scale-normalised second derivative along z as matrices.

    The stack is continued beyond its ends by its end slices, so that a cell cut by an end keeps its peak there.

    Parameters
    ----------
    depth : int
        Number of slices, Z.
    sigma_slices : float
        SD of the Gaussian, slices.

    Returns
    -------
    smooth, bend : (Z, Z) float32 arrays
        Operators for :func:`along_z`.
    """
    reach = int(np.ceil(4 * sigma_slices)) + 1
    t = np.arange(-reach, reach + 1)
    gauss = np.exp(-0.5 * (t / sigma_slices) ** 2)
    gauss /= gauss.sum()
    curve = (1.0 - (t / sigma_slices) ** 2) * gauss
    curve -= gauss * curve.sum()
    smooth, bend = np.zeros((2, depth, depth), dtype=np.float64)
    for k in range(depth):
        at = np.clip(k + t, 0, depth - 1)
        np.add.at(smooth[k], at, gauss)
        np.add.at(bend[k], at, curve)
    return smooth.astype(np.float32), bend.astype(np.float32)


def along_z(matrix: Float32Array, volume: Float32Array) -> Float32Array:
    """Apply a matrix along the first axis of a volume.

    Parameters
    ----------
    matrix : (Z, Z) float32 array
        Operator, as from :func:`axial_kernels`.
    volume : (Z, Y, X) float32 array
        Image.

    Returns
    -------
    (Z, Y, X) float32 array
        Filtered image.
    """
    depth = volume.shape[0]
    return np.asarray((matrix @ volume.reshape(depth, -1)).reshape(volume.shape))
