"""Conversion of outlines to masks on the frame's pixels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cicimage.arrays import BoolArray, Float64Array, Int64Array
from cicimage.compiled import compiled
from cicimage.masks import Mask, Masks
from cicimage.segmentation.contours import Contours
from cicimage.segmentation.grid import Grid
from cicimage.segmentation.rays import N_RAYS


class _Shapes(NamedTuple):
    """Outlines on the frame, n each: centre, distance to the outline along every ray, and the longest of these."""

    y: Float64Array
    x: Float64Array
    radii: Float64Array
    longest: Float64Array


def draw(found: Contours, z_um: Float64Array, grid: Grid, shape: tuple[int, int]) -> tuple[Masks, Int64Array]:
    """Fill every outline.

    Where two outlines at similar height overlap, a pixel belongs to the one in which it lies deeper (distance from
    the centre over the outline's radius in its direction). Outlines more than half a diameter apart in z keep their
    overlap.

    Parameters
    ----------
    found : Contours
        Outlines, pixels of ``grid``.
    z_um : (n,) float64 array
        Height of each outline, um; zeros in a plane.
    grid : Grid
        Grid on which the outlines were traced.
    shape : (int, int)
        Height and width of the frame, pixels.

    Returns
    -------
    Masks
        Labels 1..k in the order given, on frame pixels; outlines without a pixel in the frame are left out.
    (k,) int64 array
        Index of the outline of each mask.
    """
    y, x = grid.to_frame(found.y), grid.to_frame(found.x)
    radii = np.maximum(found.radii, 1e-9) * grid.factor
    um_per_px = grid.um_per_px / grid.factor
    boxes, start = _boxes(y, x, radii, shape)
    pixels = np.zeros(int(start[-1]), dtype=np.bool_)
    _fill(y, x, z_um / um_per_px, radii, boxes, start, pixels)
    masks: list[Mask] = []
    kept: list[int] = []
    for i, (y0, x0, y1, x1) in enumerate(boxes.tolist()):
        crop = pixels[start[i] : start[i + 1]].reshape(y1 - y0, x1 - x0)
        if crop.any():
            masks.append(Mask(len(masks) + 1, y0, x0, crop))
            kept.append(i)
    return Masks(masks, shape), np.array(kept, dtype=np.int64)


def _boxes(
    y: Float64Array, x: Float64Array, radii: Float64Array, shape: tuple[int, int]
) -> tuple[Int64Array, Int64Array]:
    """Box (y0, x0, y1, x1) of every outline within the frame, and where its pixels start in a common buffer."""
    angles = 2.0 * np.pi * np.arange(N_RAYS) / N_RAYS
    ys, xs = y[:, None] + radii * np.sin(angles), x[:, None] + radii * np.cos(angles)
    low = np.stack([np.floor(ys.min(axis=1)), np.floor(xs.min(axis=1))], axis=1)
    high = np.stack([np.ceil(ys.max(axis=1)), np.ceil(xs.max(axis=1))], axis=1) + 1
    low = np.clip(low, 0, np.array(shape))
    high = np.maximum(np.clip(high, 0, np.array(shape)), low)
    sizes = np.prod(high - low, axis=1).astype(np.int64)
    return np.concatenate([low, high], axis=1).astype(np.int64), np.concatenate([[0], np.cumsum(sizes)]).astype(
        np.int64
    )


@compiled()
def _depth(dy: float, dx: float, radii: Float64Array) -> float:
    """Distance from the centre over the outline's radius in that direction: 0 at the centre, 1 on the outline."""
    turn = np.arctan2(dy, dx) * (radii.size / (2.0 * np.pi))
    if turn < 0.0:
        turn += radii.size
    a = int(turn)
    share = turn - a
    reach = radii[a % radii.size] * (1.0 - share) + radii[(a + 1) % radii.size] * share
    return float(np.sqrt(dy * dy + dx * dx) / reach)


@compiled()
def _lost(s: int, i: int, j: int, shapes: _Shapes, rivals: Int64Array) -> bool:
    """Whether pixel (i, j) of outline s lies deeper in one of its rivals."""
    y, x, radii, longest = shapes
    own = -1.0
    for t in rivals:
        dy, dx = i - y[t], j - x[t]
        if dy * dy + dx * dx < longest[t] * longest[t]:
            if own < 0.0:
                own = _depth(i - y[s], j - x[s], radii[s])
            if _depth(dy, dx, radii[t]) < own:
                return True
    return False


@compiled()
def _fill(
    y: Float64Array,
    x: Float64Array,
    z: Float64Array,
    radii: Float64Array,
    boxes: Int64Array,
    start: Int64Array,
    pixels: BoolArray,
) -> None:
    n = y.size
    longest = np.zeros(n)
    for s in range(n):
        longest[s] = radii[s].max()
    shapes = _Shapes(y, x, radii, longest)
    rivals = np.zeros(n, dtype=np.int64)
    for s in range(n):
        count = 0
        for t in range(n):
            reach = longest[s] + longest[t]
            if t != s and (y[s] - y[t]) ** 2 + (x[s] - x[t]) ** 2 < reach * reach and 2.0 * abs(z[s] - z[t]) <= reach:
                rivals[count] = t
                count += 1
        at, shortest = start[s], 0.95 * radii[s].min()  # chords of the outline come a little nearer than its corners
        for i in range(boxes[s, 0], boxes[s, 2]):
            for j in range(boxes[s, 1], boxes[s, 3]):
                far = (i - y[s]) ** 2 + (j - x[s]) ** 2
                inside = far < shortest * shortest
                if not inside and far < longest[s] * longest[s]:
                    inside = _depth(i - y[s], j - x[s], radii[s]) <= 1.0
                pixels[at] = inside and not _lost(s, i, j, shapes, rivals[:count])
                at += 1
