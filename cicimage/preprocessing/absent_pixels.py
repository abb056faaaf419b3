"""Pixels that hold no measurement: found in a frame, and replaced by what lies around them."""

from __future__ import annotations

import math
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from cicimage.arrays import BoolArray, Float32Array
from cicimage.preprocessing.frame_faults import (
    BLANK_BY_NATURE,
    BLOCK_PX,
    DARK_FROM,
    FEW_BLOCKS,
    Look,
    Usual,
    ends_of,
    is_count,
)

HOT_TIMES: Final = 5.0
"""Light of a pixel over the channel's signal from which it is hot if the pixels around it do not share its light."""
HOT_NEIGHBOUR: Final = 0.25
"""Light of the brightest pixel beside a hot one over its own: no lens makes a spot of a single pixel."""
_OFF_NOISE: Final = 5.0  # noise SD from background from which a constant block is no piece of dark background
_OFF_SIGNAL: Final = 0.05  # the same in shares of the channel's signal
_MOST_HOT: Final = 0.02  # share of a plane's pixels up to which they are looked at one by one


def bad_pixels(stack: npt.NDArray[Any], look: Look, usual: Usual) -> BoolArray | None:
    """Pixels of one channel in one frame that hold no measurement; None where all do.

    Parameters
    ----------
    stack : (Z, Y, X) array
        Raw counts.
    look : Look
        Of this stack.
    usual : Usual
        The channel in other frames.

    Returns
    -------
    (Z, Y, X) bool or None
    """
    blank = usual.blank <= BLANK_BY_NATURE and any(look.blank)
    hot = hot_from(usual)
    if not blank and not any(look.absent) and not max(look.high) > hot:
        return None
    found: dict[int, BoolArray] = {}
    for z, plane in enumerate(stack):
        absent = ~is_count(plane) if look.absent[z] else None
        parts = [] if absent is None else [absent]
        if blank and look.blank[z]:
            parts.append(_blank_pixels(plane, absent, usual))
        if look.high[z] > hot:
            parts.append(hot_pixels(plane, usual.background, hot))
        if any(part.any() for part in parts):
            found[z] = np.asarray(np.any(parts, axis=0))
    if not found:
        return None
    out = np.zeros(stack.shape, bool)
    for z, bad in found.items():
        out[z] = bad
    return out


def hot_from(usual: Usual) -> float:
    """Count from which a lone pixel is hot; infinite where a channel shows no signal to compare with."""
    light = max(usual.signal, DARK_FROM * usual.noise_sd)
    return usual.background + HOT_TIMES * light if light > 0 else float("inf")


def hot_pixels(plane: npt.NDArray[Any], background: float, hot: float) -> BoolArray:
    """Pixels above a count whose neighbours do not share their light: hot ones, and hits by cosmic rays.

    Parameters
    ----------
    plane : (Y, X) array
        Raw counts.
    background, hot : float
        Level without cells, and count from which a pixel may be hot.

    Examples
    --------
    >>> picture = np.full((9, 9), 100.0)
    >>> picture[2, 2] = 4095
    >>> np.argwhere(hot_pixels(picture, 100.0, 600.0)).tolist()
    [[2, 2]]
    """
    out = np.zeros(plane.shape, bool)
    if plane.dtype.kind in "iu":  # the same pixels, without a copy of all of them as another type
        hot = min(math.floor(hot), int(np.iinfo(plane.dtype).max))
    with np.errstate(invalid="ignore"):
        rows, columns = np.divmod(np.flatnonzero(plane > hot), plane.shape[1])
    if not 0 < len(rows) <= _MOST_HOT * plane.size:
        return out
    around = np.full(len(rows), -np.inf)
    for dy, dx in ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)):
        y, x = rows + dy, columns + dx
        inside = (y >= 0) & (y < plane.shape[0]) & (x >= 0) & (x < plane.shape[1])
        around[inside] = np.maximum(around[inside], plane[y[inside], x[inside]])
    out[rows, columns] = around - background < HOT_NEIGHBOUR * (plane[rows, columns].astype(np.float64) - background)
    return out


def _blank_pixels(plane: npt.NDArray[Any], bad: BoolArray | None, usual: Usual) -> BoolArray:
    """Blocks, rows and columns of one value, and the pixels of that value around the blocks.

    Not the few that chance makes of dark ground where the counts are few.
    """
    ends = ends_of(plane, bad)
    blocks, lines = ends.blank("blocks"), ends.blank("lines")
    if usual.coarse or usual.blank > 0 or max(blocks.mean(), lines.mean()) < FEW_BLOCKS:
        off = max(_OFF_NOISE * usual.noise_sd, _OFF_SIGNAL * usual.signal)
        blocks = blocks & (np.abs(ends.blocks[0].astype(np.float64) - usual.background) > off)
        lines = lines & (np.abs(ends.lines[0].astype(np.float64) - usual.background) > off)
    out = np.zeros(plane.shape, bool)
    if blocks.any():
        for value in np.unique(ends.blocks[0][blocks]):
            grown = cv2.dilate((blocks & (ends.blocks[0] == value)).astype(np.uint8), np.ones((3, 3), np.uint8))
            near = np.kron(grown, np.ones((BLOCK_PX, BLOCK_PX), np.uint8)).astype(bool)
            near = np.pad(near, [(0, n - k) for n, k in zip(plane.shape, near.shape, strict=True)], mode="edge")
            out |= near & (plane == plane.dtype.type(value))
    if lines.any():
        out[lines[: plane.shape[0]]] = True
        out[:, lines[plane.shape[0] :]] = True
    return out


def fill(stack: npt.NDArray[Any], bad: BoolArray) -> Float32Array:
    """Replace pixels by the mean of the usable ones around them, in the nearest neighbourhood that holds any.

    Parameters
    ----------
    stack : (Z, Y, X) array
        Raw counts.
    bad : (Z, Y, X) bool
        Which pixels.

    Returns
    -------
    (Z, Y, X) float32
        A new array; slices without a usable pixel become 0.

    Examples
    --------
    >>> picture = np.array([[[1.0, 1.0, 1.0], [1.0, np.nan, 1.0], [1.0, 1.0, 1.0]]])
    >>> fill(picture, np.isnan(picture))[0].tolist()
    [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """
    out = np.where(bad, 0, stack).astype(np.float32)
    for plane, holes in zip(out, bad, strict=True):
        if not holes.any() or holes.all():
            continue
        weight, side, left = (~holes).astype(np.float32), 3, holes.copy()
        known = plane.copy()
        while left.any():
            size = (min(side, 2 * plane.shape[1] + 1), min(side, 2 * plane.shape[0] + 1))
            total = cv2.boxFilter(known, -1, size, normalize=False, borderType=cv2.BORDER_CONSTANT)
            count = cv2.boxFilter(weight, -1, size, normalize=False, borderType=cv2.BORDER_CONSTANT)
            found = left & (count > 0.5)
            plane[found] = total[found] / count[found]
            left &= ~found
            side = 2 * side + 1
    return out


def lost_ground(bad: BoolArray) -> BoolArray:
    """Where absent pixels lie so close that what is filled in is a guess: no usable pixel beside them.

    Parameters
    ----------
    bad : (Z, Y, X) bool
        Pixels without a measurement.

    Returns
    -------
    (Y, X) bool
        In any slice.
    """
    middle = np.ones((3, 3), np.uint8)
    return np.asarray(np.any([cv2.erode(plane.astype(np.uint8), middle) for plane in bad], axis=0), np.bool_)
