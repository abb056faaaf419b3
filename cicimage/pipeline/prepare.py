"""Before the frames: corrections estimated from a few of them, and the levels that the steps start from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

import cv2
import numpy as np
import numpy.typing as npt

from cicimage.errors import RecordingError
from cicimage.masks import FloatArray
from cicimage.methods import BleedThroughMethod, Choice, IlluminationMethod, build, noise_sd
from cicimage.pipeline.setting import Setting
from cicimage.preprocessing.correction import Corrections, sample_frames
from cicimage.recording import PlaneError, Recording

SAMPLED_FRAMES: Final = 10
SAMPLE_SIDE_PX: Final = 512
"""Sampled planes are averaged down to this: what is estimated from them is smooth, and memory stays small."""
GAIN_SIDE_PX: Final = 192
"""Illumination is a smooth surface: this suffices."""
NOISE_WINDOW_PX: Final = 320


@dataclass(frozen=True)
class Prepared:
    """What the sampled frames told.

    Attributes
    ----------
    corrections : Corrections
        Illumination and bleed-through.
    background, noise_sd : (C,) float64
        Level and noise SD per pixel of single slices, counts.
    arrays : dict
        The estimates, for the report.
    """

    corrections: Corrections
    background: npt.NDArray[np.float64]
    noise_sd: npt.NDArray[np.float64]
    arrays: dict[str, npt.NDArray[Any]] = field(default_factory=dict)


def prepare(recording: Recording, setting: Setting, choices: Mapping[str, Choice]) -> Prepared:
    """Estimate the corrections from frames spread over the movie."""
    sample, background, noise = _sample(recording, setting)
    arrays: dict[str, npt.NDArray[Any]] = {"background": background, "noise_sd": noise}
    coarse = np.stack([[_shrink(plane, GAIN_SIDE_PX) for plane in planes] for planes in sample])
    shrink = recording.sizes["X"] / coarse.shape[-1]
    gain = _illumination(coarse, setting.optics.um_per_px * shrink, choices["illumination"])
    full = None
    if gain is not None:
        arrays["gain"] = gain
        sample = sample / _resized(gain, sample.shape[2:])[None]
        full = _resized(gain, (recording.sizes["Y"], recording.sizes["X"]))
    matrix = None
    if choices["bleed_through"].method != "none":
        choice = choices["bleed_through"]
        matrix = cast(BleedThroughMethod, build("bleed_through", choice.method, choice.options)).estimate(sample)
        arrays["bleed_through"] = matrix
    corrections = Corrections(gain=full, bleed=matrix, background=background.astype(np.float32))
    return Prepared(corrections, background, noise, arrays)


def _resized(gain: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    return np.stack([cv2.resize(g, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR) for g in gain])


def _sample(
    recording: Recording, setting: Setting
) -> tuple[FloatArray, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Averaged-down mean projections (N, C, y, x), and background and noise of single slices per channel."""
    planes, backgrounds, noises = [], [], []
    for t in sample_frames(recording.sizes["T"], SAMPLED_FRAMES):
        try:
            raw = recording.frame(int(t), setting.channels)
        except PlaneError:
            continue
        small = [[_shrink(plane, SAMPLE_SIDE_PX) for plane in stack] for stack in raw]
        planes.append(np.stack([np.mean(stack, axis=0, dtype=np.float32) for stack in small]))
        # The darkest slice has least of the cells: its low percentile is the nearest there is to no light at all.
        backgrounds.append([min(float(np.percentile(p, 2)) for p in stack) for stack in small])
        noises.append([_noise(stack) for stack in raw])
    if not planes:
        raise RecordingError(f"{recording.path}: none of its sampled frames can be decoded; copy the file again")
    return np.stack(planes), np.median(backgrounds, axis=0), np.maximum(np.median(noises, axis=0), 1e-6)


def _shrink(plane: npt.NDArray[Any], side_px: int) -> FloatArray:
    """Average down so that the longer side has at most ``side_px`` pixels."""
    scale = side_px / max(plane.shape)
    small = plane.astype(np.float32)
    if scale >= 1:
        return small
    size = (max(1, round(plane.shape[1] * scale)), max(1, round(plane.shape[0] * scale)))
    return cast(FloatArray, cv2.resize(small, size, interpolation=cv2.INTER_AREA))


def _noise(stack: npt.NDArray[Any]) -> float:
    """Noise SD per pixel of the quietest slice, from a window in the middle."""
    h, w = stack.shape[1:]
    y0, x0 = max(0, (h - NOISE_WINDOW_PX) // 2), max(0, (w - NOISE_WINDOW_PX) // 2)
    window = stack[:, y0 : y0 + NOISE_WINDOW_PX, x0 : x0 + NOISE_WINDOW_PX]
    if min(window.shape[1:]) < 2:
        return 0.0
    return min(noise_sd(plane) for plane in window)


def _illumination(sample: FloatArray, um_per_px: float, choice: Choice) -> FloatArray | None:
    if choice.method == "none":
        return None
    method = cast(IlluminationMethod, build("illumination", choice.method, choice.options))
    return np.stack([method.estimate(sample[:, c], um_per_px) for c in range(sample.shape[1])])
