"""What is kept of a frame to compare it with others: small pictures, one window of pixels, the extreme counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, cast

import cv2
import numpy as np
import numpy.typing as npt

from cicimage.arrays import Float32Array

SIDE_PX: Final = 160
"""Longer side of the small pictures: a guest stays a few pixels wide, and Fourier transforms cost little."""
WINDOW_PX: Final = 96
"""Side of the window kept at full resolution: its noise tells one exposure from another."""


@dataclass(frozen=True)
class Extremes:
    """Lowest and highest count of one channel in one frame.

    Attributes
    ----------
    low, high : float
        Counts.
    at_high : float
        Pixels at the highest count, per slice that reaches it.
    place : tuple of int
        Slice, row and column of one of them.
    """

    low: float
    high: float
    at_high: float
    place: tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Glimpse:
    """One frame in small.

    Attributes
    ----------
    small : (C, y, x) float32
        Mean projections, averaged down.
    window : (C, n, m) float32
        Unchanged pixels of the middle slice, from the middle of the field.
    extremes : tuple of Extremes
        One per channel.
    usable : (C,) bool
        False where a channel is not finite or constant.
    """

    small: Float32Array
    window: Float32Array
    extremes: tuple[Extremes, ...]
    usable: npt.NDArray[np.bool_]


def glimpse(raw: npt.NDArray[Any]) -> Glimpse:
    """Reduce a frame to what the comparisons need.

    Parameters
    ----------
    raw : (C, Z, Y, X) array
        Raw counts.

    Examples
    --------
    >>> import numpy as np
    >>> glimpse(np.ones((2, 3, 400, 320), np.uint16)).small.shape
    (2, 160, 128)
    """
    small = np.stack([_averaged(np.mean(stack, axis=0, dtype=np.float32)) for stack in raw])
    extremes = tuple(_extremes(stack) for stack in raw)
    usable = np.isfinite(small).all(axis=(1, 2)) & np.array([e.low < e.high for e in extremes])
    return Glimpse(small, _window(raw[:, raw.shape[1] // 2]), extremes, usable)


def _known(plane: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return plane if plane.dtype in (np.uint8, np.uint16, np.float32) else plane.astype(np.float32)


def _averaged(plane: Float32Array) -> Float32Array:
    scale = SIDE_PX / max(plane.shape)
    if scale >= 1:
        return plane
    size = (max(1, round(plane.shape[1] * scale)), max(1, round(plane.shape[0] * scale)))
    return cast(Float32Array, cv2.resize(plane, size, interpolation=cv2.INTER_AREA))


def _extremes(stack: npt.NDArray[Any]) -> Extremes:
    found = [cv2.minMaxLoc(_known(plane)) for plane in stack]
    low, high = min(f[0] for f in found), max(f[1] for f in found)
    top = [z for z, f in enumerate(found) if f[1] == high]
    if not top:  # not a number
        return Extremes(low, high, np.nan, (0, 0, 0))
    x, y = found[top[0]][3]
    return Extremes(low, high, sum(int(np.count_nonzero(stack[z] == high)) for z in top) / len(top), (top[0], y, x))


def _window(planes: npt.NDArray[Any]) -> Float32Array:
    h, w = planes.shape[1:]
    y, x = max(0, (h - WINDOW_PX) // 2), max(0, (w - WINDOW_PX) // 2)
    return planes[:, y : y + WINDOW_PX, x : x + WINDOW_PX].astype(np.float32)


def banded(small: Float32Array, fine_px: float, coarse_px: float) -> Float32Array:
    """Return the structure between two scales: difference of Gaussians with these SDs, px."""
    fine = cv2.GaussianBlur(small, (0, 0), max(fine_px, 0.3))
    return cast(Float32Array, fine - cv2.GaussianBlur(small, (0, 0), max(coarse_px, 0.6)))


def grain(window: Float32Array) -> Float32Array:
    """Return differences of diagonal neighbours: the noise without what is smooth, (..., n - 1, m - 1)."""
    return window[..., 1:, 1:] - window[..., :-1, 1:] - window[..., 1:, :-1] + window[..., :-1, :-1]


def correlation(a: Float32Array, b: Float32Array) -> float:
    """Return Pearson's correlation; 0 where one of the two is constant.

    Examples
    --------
    >>> import numpy as np
    >>> correlation(np.arange(4.0), 3 - 2 * np.arange(4.0))
    -1.0
    """
    x, y = a - a.mean(dtype=np.float64), b - b.mean(dtype=np.float64)
    # No products of vectors here: they start the threads of the linear algebra library for next to nothing.
    size = float(np.sqrt(np.sum(x * x, dtype=np.float64) * np.sum(y * y, dtype=np.float64)))
    return float(np.sum(x * y, dtype=np.float64)) / size if size > 0 else 0.0
