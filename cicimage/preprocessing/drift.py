"""Stage drift, frame by frame: phase correlation finds the jump, least squares the fraction of a pixel."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import scipy.fft
from pydantic import Field

from cicimage.masks import FloatArray
from cicimage.methods import DriftMethod

Shift = tuple[float, float]


class PhaseDrift(DriftMethod):
    """Each frame against a key frame, and a new key frame only when the old one no longer fits.

    Errors do not add up from frame to frame, only from key frame to key frame. Cells move on their own: they are
    outliers to the least squares, and what stays put (hosts, debris, the well's bottom) decides.
    """

    max_side_px: int = Field(default=512, ge=64, le=4096)
    """Frames are averaged down until the longer side has at most this many pixels."""
    structure_px: float = Field(default=12.0, gt=1)
    """Structures larger than this, in pixels of the averaged frame, are illumination and left out."""
    rekey_below: float = Field(default=0.5, ge=0, le=1)
    """Correlation with the key frame below which the last good frame becomes the key frame."""
    lost_below: float = Field(default=0.1, ge=0, le=1)
    """Correlation below which a frame is not believed; it keeps the last good shift."""
    min_overlap: float = Field(default=0.5, gt=0, le=1)
    """Share of the key frame still in view below which a new key frame is taken."""

    def start(self) -> Callable[[FloatArray], tuple[float, float, float]]:
        """Begin a movie.

        Returns
        -------
        callable
            Fed one (Y, X) float32 frame after the other, returns (dy_px, dx_px, quality): how far the content lies
            down and right of where it lay in the first frame, and the correlation at that shift, 0-1.
        """
        return _Follower(self)


@dataclass(frozen=True, eq=False)
class _Prepared:
    """A frame ready for registration: band-passed, its gradients and its spectrum."""

    image: FloatArray
    spectrum: npt.NDArray[np.complex64]
    gradient_y: FloatArray
    gradient_x: FloatArray


@dataclass(frozen=True, eq=False)
class _Key:
    frame: _Prepared
    shift: Shift


class _Follower:
    def __init__(self, options: PhaseDrift) -> None:
        self._options = options
        self._key: _Key | None = None
        self._last: _Key | None = None
        self._window: FloatArray | None = None
        self._shrink = 1.0

    def __call__(self, image: FloatArray) -> tuple[float, float, float]:
        frame = self._prepare(image)
        if self._key is None or self._last is None:
            if not frame.image.any():
                return 0.0, 0.0, 0.0
            self._key = self._last = _Key(frame, (0.0, 0.0))
            return 0.0, 0.0, 1.0
        options = self._options
        shift, quality = _register(self._key, frame)
        if quality < options.rekey_below and self._last is not self._key:
            other, other_quality = _register(self._last, frame)
            if other_quality > quality:
                self._key = self._last
                shift, quality = other, other_quality
        if quality < options.lost_below:
            dy, dx = self._last.shift
            return dy * self._shrink, dx * self._shrink, max(quality, 0.0)
        self._last = _Key(frame, shift)
        if _overlap(frame.image.shape, self._key.shift, shift) < options.min_overlap:
            self._key = self._last
        return shift[0] * self._shrink, shift[1] * self._shrink, quality

    def _prepare(self, image: FloatArray) -> _Prepared:
        height, width = image.shape
        shrink = max(1.0, max(height, width) / self._options.max_side_px)
        small = np.asarray(image, np.float32)
        if shrink > 1:
            # The same factor on both axes, so that one number turns shifts back; the odd rest is cropped.
            size = round(width / shrink), round(height / shrink)
            small = cv2.resize(small, size, interpolation=cv2.INTER_AREA)
            shrink = width / size[0]
        self._shrink = shrink
        if self._window is None or self._window.shape != small.shape:
            self._window = _taper(small.shape)
        small = cv2.GaussianBlur(small, (0, 0), 1.0) - _coarse(small, self._options.structure_px)
        sample = small[::4, ::4]
        sd = 1.4826 * float(np.median(np.abs(sample)))
        limit = max(4 * sd, 1e-6)
        if not np.isfinite(limit) or sd <= 0:
            limit = max(float(np.abs(sample).max()), 1e-6) if np.isfinite(sample).all() else 1e-6
            small = np.nan_to_num(small, nan=0.0, posinf=0.0, neginf=0.0)
        small = np.clip(small, -limit, limit) / limit
        gradient_y = cv2.Sobel(small, cv2.CV_32F, 0, 1, ksize=3, scale=0.125)
        gradient_x = cv2.Sobel(small, cv2.CV_32F, 1, 0, ksize=3, scale=0.125)
        spectrum = scipy.fft.rfft2(small * self._window)
        return _Prepared(small, spectrum, gradient_y, gradient_x)


def _coarse(image: FloatArray, structure_px: float) -> FloatArray:
    """The image without structures smaller than ``structure_px``; at a quarter of the resolution, for speed."""
    height, width = image.shape
    small = cv2.resize(image, (max(1, width // 4), max(1, height // 4)), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), structure_px / 4)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def _taper(shape: tuple[int, int]) -> FloatArray:
    """A window that falls to 0 over the outer eighth only: large jumps need the rest of the field."""

    def side(n: int) -> npt.NDArray[np.float64]:
        ramp = max(1, n // 8)
        edge = 0.5 - 0.5 * np.cos(np.pi * (np.arange(ramp) + 0.5) / ramp)
        return np.concatenate([edge, np.ones(n - 2 * ramp), edge[::-1]])

    return np.outer(side(shape[0]), side(shape[1])).astype(np.float32)


def _register(key: _Key, frame: _Prepared) -> tuple[Shift, float]:
    """Shift of a frame against the movie's start, and the correlation there."""
    best, best_quality = (0.0, 0.0), -1.0
    for start in _candidates(key.frame, frame):
        quality = _correlation(key.frame.image, frame.image, start)
        if quality > best_quality:
            best, best_quality = (float(start[0]), float(start[1])), quality
    refined = _refine(key.frame, frame, best)
    return (key.shift[0] + refined[0], key.shift[1] + refined[1]), max(best_quality, 0.0)


def _candidates(key: _Prepared, frame: _Prepared) -> list[tuple[int, int]]:
    """Whole-pixel shifts at which the two may agree: the highest peaks, each with its wrapped twins, and none."""
    cross = frame.spectrum * key.spectrum.conj()
    # Half whitening: peaks are sharp, and frequencies that hold nothing but noise do not decide.
    magnitude = np.sqrt(np.abs(cross))
    cross /= magnitude + 1e-3 * float(magnitude.mean()) + 1e-12
    surface = np.asarray(scipy.fft.irfft2(cross, s=key.image.shape), np.float32)
    height, width = surface.shape
    found: list[tuple[int, int]] = [(0, 0)]
    for _ in range(2):
        _, _, _, (x, y) = cv2.minMaxLoc(surface)
        ys = {y, y - height}
        xs = {x, x - width}
        found += [(a, b) for a in ys for b in xs if abs(a) < 0.85 * height and abs(b) < 0.85 * width]
        surface[np.ix_(np.arange(y - 3, y + 4) % height, np.arange(x - 3, x + 4) % width)] = -np.inf
    return found


def _windows(shape: tuple[int, ...], shift: tuple[int, int]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where key and frame show the same ground: (in the key, in the frame)."""

    def along(n: int, d: int) -> tuple[slice, slice]:
        return slice(max(0, -d), min(n, n - d)), slice(max(0, d), min(n, n + d))

    (key_y, frame_y), (key_x, frame_x) = along(shape[0], shift[0]), along(shape[1], shift[1])
    return (key_y, key_x), (frame_y, frame_x)


def _correlation(key: FloatArray, frame: FloatArray, shift: tuple[int, int]) -> float:
    """Correlation over the common ground, weighed down where that is small and chance correlates more."""
    in_key, in_frame = _windows(key.shape, shift)
    a, b = key[in_key], frame[in_frame]
    if a.size < 64:
        return 0.0
    norm = float(cv2.norm(a)) * float(cv2.norm(b))
    if norm <= 0:
        return 0.0
    return _dot(a, b) / norm * math.pow(a.size / key.size, 0.25)


def _refine(key: _Prepared, frame: _Prepared, start: Shift) -> Shift:
    """Fraction of a pixel by Gauss-Newton on the common ground, pixels that disagree weighed less."""
    whole = round(start[0]), round(start[1])
    in_key, in_frame = _windows(key.image.shape, whole)
    a, gy, gx = key.image[in_key], key.gradient_y[in_key], key.gradient_x[in_key]
    b = frame.image[in_frame]
    if a.size < 64:
        return start
    dy = dx = 0.0
    for stride, rounds in ((2, 6), (1, 2)):  # every second pixel brings it near, all of them decide
        few, fy, fx = a[::stride, ::stride], gy[::stride, ::stride], gx[::stride, ::stride]
        size = few.shape[1], few.shape[0]
        for _ in range(rounds):
            matrix = np.array([[stride, 0, dx], [0, stride, dy]], np.float32)
            moved = cv2.warpAffine(
                b, matrix, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REFLECT
            )
            step = _step(few, fy, fx, moved)
            dy, dx = float(np.clip(dy + step[0], -1.5, 1.5)), float(np.clip(dx + step[1], -1.5, 1.5))
            if max(abs(step[0]), abs(step[1])) < 0.01:
                break
    return whole[0] + dy, whole[1] + dx


def _step(key: FloatArray, gradient_y: FloatArray, gradient_x: FloatArray, moved: FloatArray) -> Shift:
    """One robust Gauss-Newton step of the shift, px."""
    residual = moved - key
    scale = 1.4826 * float(np.median(np.abs(residual[::4, ::4]))) + 1e-6
    weight = 1 / (1 + (residual / (2 * scale)) ** 2) ** 2
    wy, wx = weight * gradient_y, weight * gradient_x
    yy, yx, xx = _dot(wy, gradient_y), _dot(wy, gradient_x), _dot(wx, gradient_x)
    by, bx = _dot(wy, residual), _dot(wx, residual)
    det = yy * xx - yx * yx
    if det <= 1e-12 * yy * xx or det <= 0:
        return 0.0, 0.0
    return -(xx * by - yx * bx) / det, -(yy * bx - yx * by) / det


def _dot(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    return float(np.einsum("ij,ij->", a, b))


def _overlap(shape: tuple[int, ...], key: Shift, shift: Shift) -> float:
    """Share of the key frame that is still in view."""
    share = [max(0.0, 1 - abs(s - k) / n) for n, k, s in zip(shape, key, shift, strict=True)]
    return share[0] * share[1]
