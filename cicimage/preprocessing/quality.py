"""What each frame is worth, per channel: background, noise, signal, saturation, sharpness, and a flag."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

_TILE: Final = 16  # rows and columns of the sample for percentiles


@dataclass(frozen=True)
class FrameQuality:
    """Numbers of one plane (columns of table ``qc``).

    Attributes
    ----------
    background : float
        Mode of the darker half, counts.
    noise_sd : float
        Noise SD per pixel in the darker half, counts.
    signal : float
        99th percentile above background, counts.
    saturated_share : float
        Share of pixels at the maximum, 0-1.
    sharpness : float
        Gradient energy above noise over the squared signal; falls with defocus.
    flag : str
        Empty, or constant | saturated | not finite.
    """

    background: float
    noise_sd: float
    signal: float
    saturated_share: float
    sharpness: float
    flag: str = ""


def frame_quality(
    plane: npt.NDArray[Any], full_scale: float | None = None, max_saturated_share: float = 0.01
) -> FrameQuality:
    """Judge one raw plane.

    Parameters
    ----------
    plane : (Y, X) array
        Raw counts.
    full_scale : float, optional
        Largest count that the camera gives (4095 for 12 bit in 16); the dtype's maximum by default, and none
        for floats.
    max_saturated_share : float
        Share of saturated pixels from which the plane is flagged.

    Returns
    -------
    FrameQuality
        NaN in all numbers where the plane is not finite.
    """
    if plane.dtype.kind == "f" and not np.isfinite(plane).all():
        nan = float("nan")
        return FrameQuality(nan, nan, nan, nan, nan, "not finite")
    top = full_scale if full_scale is not None else _dtype_maximum(plane.dtype)
    low, high = _extremes(plane)
    saturated = 0.0
    if top is not None and high >= top:
        saturated = float(np.count_nonzero(plane >= top)) / plane.size
    if low == high:
        return FrameQuality(float(low), 0.0, 0.0, saturated, 0.0, "saturated" if saturated else "constant")
    background, noise_sd, signal, sharpness = _levels(plane)
    flag = "saturated" if saturated > max_saturated_share else ""
    return FrameQuality(background, noise_sd, signal, saturated, sharpness, flag)


def _extremes(plane: npt.NDArray[Any]) -> tuple[float, float]:
    return float(plane.min()), float(plane.max())


def _dtype_maximum(dtype: np.dtype[Any]) -> float | None:
    return float(np.iinfo(dtype).max) if dtype.kind in "iu" else None


def _levels(plane: npt.NDArray[Any]) -> tuple[float, float, float, float]:
    """Background, noise SD, signal and sharpness from strips of rows spread over the plane.

    Noise is read from second differences along x between pixels of the darker half; the same differences at a
    distance, above what noise makes, are what focus brings.
    """
    rows = _rows(plane)
    values = np.sort(rows[:, ::2], axis=None)
    half = values[: max(2, values.size // 2)]
    background = _mode_of_sorted(half)
    signal = max(float(values[int(0.99 * (values.size - 1))]) - background, 0.0)
    second = rows[:, 2:] - 2 * rows[:, 1:-1] + rows[:, :-2]
    # Darkness is judged over nine pixels: judged by the pixel itself it would pick the noise it then measures.
    dark = cv2.blur(rows, (9, 1))[:, 1:-1] <= half[-1]
    quiet = second[dark]
    noise_sd = _sd_of_differences(np.abs(quiet)) / math.sqrt(6.0) if quiet.size else 0.0
    smooth = cv2.blur(rows, (3, 1))
    step = smooth[:, 3:] - smooth[:, :-3]
    energy = (float(np.mean(np.square(step))) if step.size else 0.0) - 2 * noise_sd**2 / 3
    sharpness = max(energy, 0.0) / signal**2 if signal > 3 * noise_sd and signal > 0 else 0.0
    return background, noise_sd, signal, float(sharpness)


def _sd_of_differences(sizes: npt.NDArray[np.float32]) -> float:
    """SD of normal differences from the mean of their smaller four fifths: whole counts do not make it jump."""
    few = np.sort(sizes[:: max(1, sizes.size // 20000)])
    few = few[: max(1, int(0.8 * few.size))]
    return float(few.mean()) / 0.5586  # mean of |N(0, 1)| below its 80th percentile


def _rows(plane: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Every eighth row (all rows of small planes)."""
    stride = max(1, min(8, plane.shape[0] // 32))
    return np.ascontiguousarray(plane[::stride], np.float32)


def _mode_of_sorted(values: npt.NDArray[np.float32]) -> float:
    """Mode of sorted values as the middle of the shortest run that holds a fifth of them."""
    width = max(1, values.size // 5)
    spans = values[width:] - values[:-width]
    if not spans.size:
        return float(values[values.size // 2])
    tight = np.flatnonzero(spans <= spans.min() * 1.0001)
    start = int(tight[tight.size // 2])
    return float(values[start : start + width].mean())


def flag_defocus(sharpness: npt.NDArray[np.float64], drop: float = 0.35) -> npt.NDArray[np.bool_]:
    """Frames that are out of focus against their neighbours in time.

    Parameters
    ----------
    sharpness : (T,) float64
        Of one channel; NaN where a frame is missing.
    drop : float
        Share of the neighbours' median below which a frame is flagged.

    Returns
    -------
    (T,) bool
        False throughout for movies of fewer than 5 frames.
    """
    n = len(sharpness)
    out = np.zeros(n, np.bool_)
    if n < 5:
        return out
    for t in range(n):
        lo, hi = max(0, t - 5), min(n, t + 6)
        near = np.delete(sharpness[lo:hi], t - lo)
        near = near[np.isfinite(near)]
        if near.size and np.isfinite(sharpness[t]):
            out[t] = sharpness[t] < drop * float(np.median(near))
    return out
