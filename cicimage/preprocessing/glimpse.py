"""What is kept of a frame to compare it with others: small pictures, one window of pixels, the extreme counts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, cast

import cv2
import numpy as np
import numpy.typing as npt

from cicimage.arrays import Float32Array

SIDE_PX: Final = 160
"""Longer side of the small pictures, about: a guest stays a few pixels wide, and Fourier transforms cost little."""
WINDOW_PX: Final = 64
"""Side of the window kept at full resolution: its noise tells one exposure from another."""
CLIP_SD: Final = 3.0
"""Noise is cut at this many robust SD: at the edges of bright cells its measure holds structure, not noise."""
FINE_PX, COARSE_PX = 1.5, 6.0
"""SD of the blurs between which structures of a small picture are compared."""
COARSE_FROM_PX: Final = 3.0
"""SD of a blur from which it is made at a quarter of the resolution."""


@dataclass(frozen=True, eq=False)
class Glimpse:
    """One channel of one frame in small; what costs time is made when it is asked for, and once.

    Attributes
    ----------
    stack : (Z, Y, X) array
        Raw counts.
    low, high : float
        Lowest and highest count.
    """

    stack: npt.NDArray[Any]
    low: float
    high: float

    @property
    def usable(self) -> bool:
        """False where the channel is not finite or constant."""
        return math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high

    @cached_property
    def small(self) -> Float32Array:
        """Mean projection, averaged down, (y, x)."""
        return _averaged(_mean_projection(self.stack), shrinks_by(self.stack.shape[1:]))

    @cached_property
    def bands(self) -> Float32Array:
        """Structures between :data:`FINE_PX` and :data:`COARSE_PX` of the small picture, at half its resolution."""
        return banded(_averaged(self.small, 2), FINE_PX / 2, COARSE_PX / 2)

    @cached_property
    def window(self) -> Float32Array:
        """Unchanged pixels of the middle slice, from the middle of the field, (n, m)."""
        plane = self.stack[self.stack.shape[0] // 2]
        h, w = plane.shape
        y, x = max(0, (h - WINDOW_PX) // 2), max(0, (w - WINDOW_PX) // 2)
        return np.asarray(plane[y : y + WINDOW_PX, x : x + WINDOW_PX], np.float32)

    @cached_property
    def grain(self) -> Float32Array:
        """Noise of the window: :func:`grain`."""
        return grain(self.window)

    @cached_property
    def noise(self) -> Float32Array:
        """Noise of the window without the edges of bright cells, of mean 0 and norm 1; 0 where it is constant."""
        cut = clipped(self.grain)
        cut = cut - cut.mean()
        size = float(np.sqrt(np.einsum("ij,ij->", cut, cut)))
        return cast(Float32Array, cut / size if size > 0 else cut)

    @cached_property
    def resolves_noise(self) -> bool:
        """Whether counts are fine enough for noise: where most differences are 0, the others lie on structures."""
        few = self.grain[::4, ::4]
        return bool(2 * np.count_nonzero(few) > few.size)

    def brightest(self) -> tuple[tuple[int, int, int], float]:
        """Slice, row and column of a pixel at the highest count, and how many there are per slice that reaches it."""
        tops = [z for z, plane in enumerate(self.stack) if plane.max() == self.high]
        z, at_high = tops[0], [np.flatnonzero(self.stack[z] == self.stack.dtype.type(self.high)) for z in tops]
        y, x = divmod(int(at_high[0][0]), self.stack.shape[2])
        return (z, y, x), sum(map(len, at_high)) / len(tops)


def glimpse(stack: npt.NDArray[Any]) -> Glimpse:
    """Look at one channel of a frame.

    Parameters
    ----------
    stack : (Z, Y, X) array
        Raw counts; they are not copied.

    Examples
    --------
    >>> import numpy as np
    >>> glimpse(np.ones((3, 400, 320), np.uint16)).small.shape
    (200, 160)
    """
    return Glimpse(stack, float(stack.min()), float(stack.max()))


def _mean_projection(stack: npt.NDArray[Any]) -> Float32Array:
    if len(stack) == 1:
        return np.asarray(stack[0], np.float32)
    if stack.dtype not in (np.uint8, np.uint16, np.float32):
        return np.asarray(np.mean(stack, axis=0, dtype=np.float32), np.float32)
    total = np.zeros(stack.shape[1:], np.float32)
    for plane in stack:
        cv2.accumulate(plane, total)
    return total / np.float32(len(stack))


def shrinks_by(shape: tuple[int, ...]) -> int:
    """Pixels of a frame per pixel of its small picture, along each side: a whole number, which is averaged fast."""
    return max(1, round(max(shape) / SIDE_PX))


def _averaged(plane: Float32Array, by: int) -> Float32Array:
    """Mean of squares of ``by`` pixels; what is left over at the far sides is left out."""
    h, w = (max(1, n // by) for n in plane.shape)
    if by == 1:
        return plane
    whole = plane[: h * by, : w * by]
    return cast(Float32Array, cv2.resize(whole, (w, h), interpolation=cv2.INTER_AREA))


def banded(small: Float32Array, fine_px: float, coarse_px: float) -> Float32Array:
    """Return the structure between two scales: difference of Gaussians with these SDs, px."""
    fine = cv2.GaussianBlur(small, (0, 0), max(fine_px, 0.3))
    return cast(Float32Array, fine - _blurred(small, max(coarse_px, 0.6)))


def _blurred(small: Float32Array, sd_px: float) -> Float32Array:
    """Gaussian blur; a wide one at a quarter of the resolution, where it looks the same and costs little."""
    h, w = small.shape
    if sd_px < COARSE_FROM_PX or min(h, w) < 16:
        return cast(Float32Array, cv2.GaussianBlur(small, (0, 0), sd_px))
    coarse = cv2.resize(small, (w // 4, h // 4), interpolation=cv2.INTER_AREA)
    coarse = cv2.GaussianBlur(coarse, (0, 0), sd_px / 4)
    return cast(Float32Array, cv2.resize(coarse, (w, h), interpolation=cv2.INTER_LINEAR))


def grain(window: Float32Array) -> Float32Array:
    """Return differences of diagonal neighbours: the noise without what is smooth, (n - 1, m - 1)."""
    rows = window[1:] - window[:-1]
    return rows[:, 1:] - rows[:, :-1]


def clipped(values: Float32Array) -> Float32Array:
    """Cut values at :data:`CLIP_SD` robust SD; where more than half of them are 0, the smallest step stands for it."""
    size = np.abs(values[::4, ::4]).ravel()
    middle = middle_of(size) if size.size else 0.0
    if not middle > 0:
        size = np.abs(values[values != 0])
        if not size.size:
            return values
        middle = float(size.min())
    most = CLIP_SD * middle / 0.6745
    return np.clip(values, -most, most)


def middle_of(values: Float32Array) -> float:
    """Median of a flat array, the upper one of two; several times as fast as with all that numpy sees to."""
    middle = len(values) // 2
    return float(np.partition(values, middle)[middle])


def correlation(a: Float32Array, b: Float32Array) -> float:
    """Return Pearson's correlation of two pictures, (n, m) each; 0 where one of the two is constant.

    Examples
    --------
    >>> import numpy as np
    >>> rising = np.arange(4.0).reshape(2, 2)
    >>> round(correlation(rising, 3 - 2 * rising), 6)
    -1.0
    """
    x, y = a - a.mean(), b - b.mean()
    # No products of vectors here: they start the threads of the linear algebra library for next to nothing.
    size = float(np.sqrt(np.einsum("ij,ij->", x, x)) * np.sqrt(np.einsum("ij,ij->", y, y)))
    return float(np.einsum("ij,ij->", x, y)) / size if size > 0 else 0.0
