"""Image registration: displacement of the content of one image against another, to a fraction of a pixel.

Both are band-passed. A shift is refined by least squares from a coarse level to a fine one; where none is known, phase
correlation proposes shifts.
"""

from __future__ import annotations

import math
from functools import cached_property, lru_cache
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
import scipy.fft

from cicimage.arrays import Float32Array

Shift = tuple[float, float]

_LEVELS: Final = (4, 2, 1)  # coarse to fine: a coarse level tolerates the error of phase correlation
_ROUNDS: Final = {4: 20, 2: 8, 1: 4}
_TOLERANCE: Final = {4: 1.0, 2: 0.5, 1: 0.5}
_SEARCH_LEVEL: Final = 2
_MOST_PEAKS: Final = 8
_FEWEST_PX: Final = 4
"""Pixels along a side that the coarsest level needs."""


class Pyramid:
    """A frame ready for registration: band-passed, at several levels; gradients where it serves as key."""

    def __init__(self, image: Float32Array) -> None:
        self.empty = not image.any()
        self.levels = {1: image}
        height, width = image.shape
        for level in (2, 4):
            size = width // level, height // level
            self.levels[level] = cv2.resize(self.levels[level // 2], size, interpolation=cv2.INTER_AREA)

    @cached_property
    def spectrum(self) -> npt.NDArray[np.complex64]:
        """Fourier transform at the level of the search for jumps."""
        image = self.levels[_SEARCH_LEVEL]
        return np.asarray(scipy.fft.rfft2(image * _taper(image.shape)), np.complex64)

    @cached_property
    def gradients(self) -> dict[int, tuple[Float32Array, Float32Array]]:
        """Slopes along y and x by level, per pixel of the level."""
        return {
            level: (
                cv2.Sobel(image, cv2.CV_32F, 0, 1, ksize=3, scale=0.125),
                cv2.Sobel(image, cv2.CV_32F, 1, 0, ksize=3, scale=0.125),
            )
            for level, image in self.levels.items()
        }


def prepare(
    image: Float32Array, max_side_px: int, structure_px: float, brightest_percentile: float
) -> tuple[Pyramid, Shift]:
    """Average down, stabilise the variance of the noise, clip the brightest pixels and remove large structures.

    Parameters
    ----------
    image : (Y, X) float32
        Counts; pixels that are not finite count as 0.
    max_side_px, structure_px, brightest_percentile
        See :class:`cicimage.preprocessing.drift.PhaseDrift`.

    Returns
    -------
    Pyramid
        The prepared image.
    (float, float)
        Pixels of the image per pixel of the pyramid along y and x.
    """
    height, width = image.shape
    factors = 1.0, 1.0
    shrink = max(1.0, max(height, width) / max_side_px)
    small = np.asarray(image, np.float32)
    if shrink > 1:
        size = max(1, round(width / shrink)), max(1, round(height / shrink))
        small = cv2.resize(small, size, interpolation=cv2.INTER_AREA)
        factors = height / size[1], width / size[0]
    few = small[::4, ::4]
    if not math.isfinite(float(few.sum())) or not np.isfinite(small).all():
        small = np.nan_to_num(small, nan=0.0, posinf=0.0, neginf=0.0)
        few = small[::4, ::4]
    # Small bright cells move on their own: clipped at a percentile they weigh no more than spread ones. The square
    # root makes the variance of photon noise constant.
    low, middle, high = (float(v) for v in np.percentile(few, (1, 50, brightest_percentile)))
    small = cv2.sqrt(np.clip(small, low, high) + (middle - 2 * low + 1e-6))
    small = cv2.GaussianBlur(small, (0, 0), 1.0) - _coarse(small, structure_px)
    small = _inner(small, round(structure_px))
    if min(small.shape) < _FEWEST_PX:  # a strip that narrow shows no drift
        return Pyramid(np.zeros((_FEWEST_PX, _FEWEST_PX), np.float32)), factors
    sd = float(np.sqrt(np.mean(np.square(small))))
    return Pyramid(small / sd if sd > 1e-6 * (abs(middle) + 1) else np.zeros_like(small)), factors


def _coarse(image: Float32Array, structure_px: float) -> Float32Array:
    """The image without structures smaller than ``structure_px``; at a quarter of the resolution, for speed."""
    height, width = image.shape
    small = cv2.resize(image, (max(1, width // 4), max(1, height // 4)), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), structure_px / 4)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def _inner(image: Float32Array, margin: int) -> Float32Array:
    """Cut the margin affected by the border (which does not move), to multiples of four pixels."""
    cut = [min(margin, n // 16) for n in image.shape]
    rows, columns = (max(4, (n - 2 * c) // 4 * 4) for n, c in zip(image.shape, cut, strict=True))
    return np.ascontiguousarray(image[cut[0] : cut[0] + rows, cut[1] : cut[1] + columns])


@lru_cache(maxsize=4)
def _taper(shape: tuple[int, ...]) -> Float32Array:
    """A window that falls to 0 over the outer eighth only: large jumps need the rest of the field."""

    def side(n: int) -> npt.NDArray[np.float64]:
        ramp = max(1, n // 8)
        edge = 0.5 - 0.5 * np.cos(np.pi * (np.arange(ramp) + 0.5) / ramp)
        out = np.ones(n)
        out[:ramp] *= edge
        out[n - ramp :] *= edge[::-1]
        return out

    return np.outer(side(shape[0]), side(shape[1])).astype(np.float32)


def settle(key: Pyramid, frame: Pyramid, start: Shift) -> tuple[Shift, float]:
    """Refine a shift that is known within a dozen pixels.

    Parameters
    ----------
    key, frame : Pyramid
        Images to register.
    start : (float, float)
        Shift (dy, dx) of the content from key to frame to start from, pixels.

    Returns
    -------
    (float, float)
        Refined shift, pixels.
    float
        Correlation there, at most 1; lower where little ground is shared.
    """
    at = start
    for level in _LEVELS:
        found = _refine(key, frame, level, (at[0] / level, at[1] / level), _ROUNDS[level])
        at = found[0] * level, found[1] * level
    return at, _correlation(key.levels[2], frame.levels[2], (at[0] / 2, at[1] / 2))


def search(key: Pyramid, frame: Pyramid) -> tuple[Shift, float]:
    """Find the best shift of the content from key to frame, however large.

    Parameters
    ----------
    key, frame : Pyramid
        Images to register.

    Returns
    -------
    (float, float)
        Shift (dy, dx), pixels.
    float
        Correlation there, as :func:`settle` gives it.
    """
    coarse = _LEVELS[0]
    a, b = key.levels[coarse], frame.levels[coarse]
    return settle(key, frame, max(_peaks(key, frame), key=lambda p: _correlation(a, b, (p[0] / coarse, p[1] / coarse))))


def _peaks(key: Pyramid, frame: Pyramid) -> list[Shift]:
    """Shifts at which the two may agree: the highest peaks of the phase correlation, each with its wrapped twins."""
    cross = frame.spectrum * key.spectrum.conj()
    # Partial whitening sharpens the peaks, while frequencies with noise alone do not dominate.
    magnitude = np.sqrt(np.sqrt(np.abs(cross)))
    cross /= magnitude + 1e-3 * float(magnitude.mean()) + 1e-12
    height, width = key.levels[_SEARCH_LEVEL].shape
    surface = np.asarray(scipy.fft.irfft2(cross, s=(height, width)), np.float32)
    found: list[Shift] = []
    for _ in range(_MOST_PEAKS):
        _, _, _, (x, y) = cv2.minMaxLoc(surface)
        found += [
            (float(a * _SEARCH_LEVEL), float(b * _SEARCH_LEVEL))
            for a in {y, y - height}
            for b in {x, x - width}
            if abs(a) < 0.85 * height and abs(b) < 0.85 * width
        ]
        surface[np.ix_(np.arange(y - 3, y + 4) % height, np.arange(x - 3, x + 4) % width)] = -np.inf
    return found


def _windows(shape: tuple[int, ...], shift: tuple[int, int]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Windows of the common area: (in the key, in the frame)."""

    def along(n: int, d: int) -> tuple[slice, slice]:
        return slice(max(0, -d), max(0, min(n, n - d))), slice(max(0, d), max(0, min(n, n + d)))

    (key_y, frame_y), (key_x, frame_x) = along(shape[0], shift[0]), along(shape[1], shift[1])
    return (key_y, key_x), (frame_y, frame_x)


def _correlation(key: Float32Array, frame: Float32Array, shift: Shift) -> float:
    """Correlation over the common area, reduced where that is small and chance correlation is larger."""
    in_key, in_frame = _windows(key.shape, (round(shift[0]), round(shift[1])))
    a, b = key[in_key], frame[in_frame]
    if a.size < 0.02 * key.size or a.size < 16:
        return 0.0
    norm = math.sqrt(_dot(a, a) * _dot(b, b))
    return _dot(a, b) / norm * math.sqrt(a.size / key.size) if norm > 0 else 0.0


_Ground = tuple[Float32Array, Float32Array, Float32Array, Float32Array]


def _common_ground(key: Pyramid, frame: Pyramid, level: int, whole: tuple[int, int]) -> _Ground | None:
    """Key, its slopes along y and x, and frame over the common area; None where that is too small."""
    in_key, in_frame = _windows(key.levels[level].shape, whole)
    a, b = key.levels[level][in_key], frame.levels[level][in_frame]
    if a.size < 64 or min(a.shape) < 4:
        return None
    gy, gx = (g[in_key] for g in key.gradients[level])
    return a, gy, gx, b * math.sqrt(_dot(a, a) / max(_dot(b, b), 1e-12))  # dyes bleach and lamps flicker


def _moved(image: Float32Array, dy: float, dx: float) -> Float32Array:
    """Sample the image at positions shifted by a fraction of a pixel."""
    matrix = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = image.shape[1], image.shape[0]
    return np.asarray(cv2.warpAffine(image, matrix, size, flags=flags, borderMode=cv2.BORDER_REFLECT), np.float32)


def _weights(residual: Float32Array, tolerance: float) -> Float32Array:
    """Near 0 where pixels disagree by more than noise, and by more than ``tolerance`` times the residual's RMS."""
    noise = 1.4826 * float(np.median(np.abs(residual[::4, ::4]))) + 1e-6
    scale = max(3 * noise, tolerance * math.sqrt(_dot(residual, residual) / residual.size))
    weight = 1 + np.square(residual * (1 / scale))
    return np.asarray(1 / np.square(weight), np.float32)


def _refine(key: Pyramid, frame: Pyramid, level: int, start: Shift, rounds: int) -> Shift:
    """Fraction of a pixel by Gauss-Newton on the common ground at one level (shifts in its pixels)."""
    whole = round(start[0]), round(start[1])
    ground = _common_ground(key, frame, level, whole)
    if ground is None:
        return start
    a, gy, gx, b = ground
    dy, dx = start[0] - whole[0], start[1] - whole[1]
    for turn in range(rounds):
        step = _step(a, gy, gx, _moved(b, dy, dx), _TOLERANCE[level] * (0.5**turn if level == 1 else 1.0))
        dy, dx = float(np.clip(dy + step[0], -3, 3)), float(np.clip(dx + step[1], -3, 3))
        if max(abs(step[0]), abs(step[1])) < 0.01:
            break
    return whole[0] + dy, whole[1] + dx


def _step(
    key: Float32Array, gradient_y: Float32Array, gradient_x: Float32Array, moved: Float32Array, tolerance: float
) -> Shift:
    """One Gauss-Newton step of the shift, pixels that disagree weighed less."""
    residual = moved - key
    weight = _weights(residual, tolerance)
    wy, wx = weight * gradient_y, weight * gradient_x
    yy, yx, xx = _dot(wy, gradient_y), _dot(wy, gradient_x), _dot(wx, gradient_x)
    by, bx = _dot(wy, residual), _dot(wx, residual)
    det = yy * xx - yx * yx
    if det <= 1e-12 * yy * xx or det <= 0:
        return 0.0, 0.0
    return -(xx * by - yx * bx) / det, -(yy * bx - yx * by) / det


def disagreement(key: Pyramid, frame: Pyramid, shift: Shift, parts: int = 4) -> float:
    """Standard error of a shift from the differences between parts of the field.

    Each part takes one Gauss-Newton step of its own; parts with more structure weigh more.

    Parameters
    ----------
    key, frame : Pyramid
        As registered.
    shift : (float, float)
        Their shift, px.
    parts : int
        Parts along each side.

    Returns
    -------
    float
        Standard error per axis, px; infinite where the two share no ground.
    """
    level = 2
    at = shift[0] / level, shift[1] / level
    whole = round(at[0]), round(at[1])
    ground = _common_ground(key, frame, level, whole)
    if ground is None:
        return math.inf
    a, gy, gx, b = ground
    residual = _moved(b, at[0] - whole[0], at[1] - whole[1]) - a
    weight = _weights(residual, 1.0)

    def of_parts(product: Float32Array) -> npt.NDArray[np.float64]:
        return np.asarray(cv2.resize(product, (parts, parts), interpolation=cv2.INTER_AREA), np.float64)

    wy, wx = weight * gy, weight * gx
    yy, yx, xx = of_parts(wy * gy), of_parts(wy * gx), of_parts(wx * gx)
    by, bx = of_parts(wy * residual), of_parts(wx * residual)
    little = 0.025 * float(yy.mean() + xx.mean()) + 1e-12  # keeps an empty part from weighing in
    yy, xx = yy + little, xx + little
    det = yy * xx - yx * yx
    dy, dx = -(xx * by - yx * bx) / det, -(yy * bx - yx * by) / det
    say = (yy + xx) / float((yy + xx).sum())
    spread = float((say * ((dy - (say * dy).sum()) ** 2 + (dx - (say * dx).sum()) ** 2)).sum()) / 2
    freedom = max(1 / float(np.square(say).sum()) - 1, 0.5)
    return level * math.sqrt(spread / freedom)


def _dot(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    return float(np.einsum("ij,ij->", a, b))
