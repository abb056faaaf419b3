"""Outlines of round cells: rays from the centre to the half level of the signal, or to a valley.

A ray ends where the signal crosses the half level between the cell's core and its background. In a cluster it
meets a neighbour before that: it ends in the valley between the two. Each cell has its own levels, so bright
and dim ones are treated alike, and outlines of cells that lie over one another may overlap.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np

from cicimage.arrays import BoolArray, Float32Array, Float64Array, Int64Array
from cicimage.segmentation.rays import N_RAYS, Rules, trace_all


class Starts(NamedTuple):
    """Where outlines start: n seeds on the image's grid.

    Attributes
    ----------
    z : (n,) float64
        Slice index; traced in the nearest slice.
    y, x : (n,) float64
        Centre, pixels.
    radius_px : (n,) float64
        Expected radius, pixels.
    response : (n,) float64
        Response of the seed, counts.
    """

    z: Float64Array
    y: Float64Array
    x: Float64Array
    radius_px: Float64Array
    response: Float64Array


@dataclass(frozen=True)
class Contours:
    """Outlines of n candidates on the image's grid.

    Attributes
    ----------
    y, x, z : (n,) float64
        Centroid of the outline, pixels, and slice index.
    radii : (n, 32) float64
        Distance from the centroid to the outline, counter-clockwise from +x, pixels.
    core, background : (n,) float64
        Signal within the cell and beside it, counts.
    drop : (n,) float64
        Share of core - background that is lost between core and the lowest point of a ray, mean over rays, 0-1:
        1 for a free cell, less where neighbours fill the surroundings, about 0 for texture inside a larger thing.
    closed : (n,) float64
        Share of rays along which at least a quarter is lost. Rays that end at the image's border or at a rival
        before they reach the outline are left out here and in ``drop``.
    axis_ratio : (n,) float64
        Short over long axis, from the outline's second harmonic.
    roughness : (n,) float64
        Deviation of the outline from circle, shift and ellipse: SD over the mean radius.
    cut : (n,) float64
        Share of rays that end at the image's border.
    response : (n,) float64
        Response of the seed, counts.
    """

    y: Float64Array
    x: Float64Array
    z: Float64Array
    radii: Float64Array
    core: Float64Array
    background: Float64Array
    drop: Float64Array
    closed: Float64Array
    axis_ratio: Float64Array
    roughness: Float64Array
    cut: Float64Array
    response: Float64Array

    @property
    def area_px(self) -> Float64Array:
        """Area of every outline, pixels."""
        after = np.roll(self.radii, -1, axis=1)
        return np.asarray(0.5 * np.sin(2.0 * np.pi / N_RAYS) * (self.radii * after).sum(axis=1))

    def __len__(self) -> int:
        return int(self.y.size)

    @property
    def score(self) -> Float64Array:
        """Likeness to one whole round cell, 0-1: edge all around, times roundness, times smoothness."""
        return np.asarray(self.drop * self.axis_ratio * np.maximum(1.0 - 2.0 * self.roughness, 0.0))

    def concatenate(self, other: Contours) -> Contours:
        """These followed by the others."""
        return Contours(*(np.concatenate([getattr(self, f.name), getattr(other, f.name)]) for f in fields(self)))

    def pick(self, which: Int64Array | BoolArray) -> Contours:
        """Select some of them, by index or mask."""
        return Contours(*(getattr(self, f.name)[which] for f in fields(self)))


def trace(volume: Float32Array, starts: Starts, rules: Rules, rivals: Float64Array | None = None) -> Contours:
    """Trace the outline around every seed.

    Parameters
    ----------
    volume : (Z, Y, X) float32 array
        Smoothed image; each seed is traced in its own slice.
    starts : Starts
        Seeds.
    rules : Rules
        Parameters of outlines.
    rivals : (m, 4) float64 array, optional
        Cells known before, as centre y, x, radius and distance of their slice from slice 0, all in pixels. A ray
        ends where it comes deeper into one of them than it is into its own.

    Returns
    -------
    Contours
        One per seed, in their order.
    """
    depth, height, width = volume.shape
    n = starts.y.size
    radii = np.zeros((n, N_RAYS))
    stats = np.zeros((n, 7))
    stats[:, 0], stats[:, 1] = np.clip(starts.y, 0, height - 1), np.clip(starts.x, 0, width - 1)
    z = np.clip(np.rint(starts.z), 0, depth - 1).astype(np.int64)
    known = np.zeros((0, 4)) if rivals is None else np.ascontiguousarray(rivals, dtype=np.float64)
    trace_all(volume, z, starts.radius_px.astype(np.float64), known, rules, radii, stats)
    ratio, rough = _shape(radii)
    y, x, core, background, drop, closed, cut = stats.T
    return Contours(y, x, starts.z, radii, core, background, drop, closed, ratio, rough, cut, starts.response)


def _shape(radii: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Axis ratio and roughness from the outline's harmonics."""
    mean = np.maximum(radii.mean(axis=1), 1e-9)
    waves = np.abs(np.fft.rfft(radii / mean[:, None], axis=1)) / N_RAYS * 2.0
    second = np.minimum(waves[:, 2], 0.95)
    rough = np.sqrt(0.5 * (waves[:, 3:-1] ** 2).sum(axis=1))
    return np.asarray((1.0 - second) / (1.0 + second)), np.asarray(rough)
