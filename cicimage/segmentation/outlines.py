"""Outlines to masks on the frame's pixels."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from cicimage.masks import BoolArray, Mask, Masks
from cicimage.segmentation.contours import N_RAYS, Contours
from cicimage.segmentation.grid import Grid

Float = npt.NDArray[np.float64]
_SUBPIXEL = 4  # binary digits of a vertex' fraction


def draw(found: Contours, z_um: Float, grid: Grid, shape: tuple[int, int]) -> tuple[Masks, npt.NDArray[np.int64]]:
    """Fill every outline.

    Where two outlines at like height overlap, a pixel goes to the one in which it lies deeper (distance from
    the centre over the outline's radius in its direction); outlines more than half a diameter apart in z keep
    their overlap.

    Returns
    -------
    Masks
        Labels 1..k in the order given; outlines without a pixel in the frame are left out.
    (k,) int64 array
        Index of the outline of each mask.
    """
    angles = 2.0 * np.pi * np.arange(N_RAYS) / N_RAYS
    ys = grid.to_frame(found.y[:, None] + found.radii * np.sin(angles))
    xs = grid.to_frame(found.x[:, None] + found.radii * np.cos(angles))
    cy, cx = grid.to_frame(found.y), grid.to_frame(found.x)
    radius = np.sqrt(np.maximum(found.area_px, 0.0) / np.pi) * grid.factor
    masks: list[Mask] = []
    kept: list[int] = []
    for i in range(len(found)):
        y0, x0 = max(0, int(np.floor(ys[i].min()))), max(0, int(np.floor(xs[i].min())))
        y1, x1 = min(shape[0], int(np.ceil(ys[i].max())) + 1), min(shape[1], int(np.ceil(xs[i].max())) + 1)
        if y1 <= y0 or x1 <= x0:
            continue
        crop = np.zeros((y1 - y0, x1 - x0), dtype=np.uint8)
        corners = np.stack([xs[i] - x0, ys[i] - y0], axis=1) * 2**_SUBPIXEL
        cv2.fillPoly(crop, [np.rint(corners).astype(np.int32)], 1, shift=_SUBPIXEL)
        pixels = crop.astype(np.bool_)
        close = np.hypot(cy - cy[i], cx - cx[i]) < 1.5 * (radius + radius[i])
        close &= np.abs(z_um - z_um[i]) <= 0.5 * (radius + radius[i]) * grid.um_per_px / grid.factor
        close[i] = False
        for j in np.flatnonzero(close):
            _give(
                pixels,
                y0,
                x0,
                (cy[i], cx[i], found.radii[i] * grid.factor),
                (cy[j], cx[j], found.radii[j] * grid.factor),
            )
        if pixels.any():
            masks.append(Mask(len(masks) + 1, y0, x0, pixels))
            kept.append(i)
    return Masks(masks, shape), np.array(kept, dtype=np.int64)


def _give(
    pixels: BoolArray, y0: int, x0: int, own: tuple[float, float, Float], other: tuple[float, float, Float]
) -> None:
    """Take those pixels away that lie deeper within the other outline."""
    py, px = np.nonzero(pixels)
    theirs = _depth(py + y0, px + x0, other)
    inside = theirs < 1.0
    if inside.any():
        py, px, theirs = py[inside], px[inside], theirs[inside]
        mine = _depth(py + y0, px + x0, own)
        lost = theirs < mine
        pixels[py[lost], px[lost]] = False


def _depth(y: npt.NDArray[np.int64], x: npt.NDArray[np.int64], outline: tuple[float, float, Float]) -> Float:
    """Distance from the centre over the outline's radius in that direction: 0 at the centre, 1 on the outline."""
    cy, cx, radii = outline
    turn = np.arctan2(y - cy, x - cx) * (N_RAYS / (2.0 * np.pi)) % N_RAYS
    a = turn.astype(np.int64)
    share = turn - a
    reach = radii[a % N_RAYS] * (1.0 - share) + radii[(a + 1) % N_RAYS] * share
    return np.asarray(np.hypot(y - cy, x - cx) / np.maximum(reach, 1e-9))
