"""Before the frames: corrections estimated from a few of them, and the levels that the steps start from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

import cv2
import numpy as np
import numpy.typing as npt

from cicimage.arrays import Float32Array
from cicimage.methods import BleedThroughMethod, Choice, IlluminationMethod, build
from cicimage.pipeline.sample import Sample, shrink, take_sample
from cicimage.pipeline.setting import Setting
from cicimage.pipeline.usable import Usable, use
from cicimage.preprocessing.correction import Corrections
from cicimage.preprocessing.frame_faults import Usual
from cicimage.recording import Recording

GAIN_SIDE_PX: Final = 192
"""Illumination is a smooth surface: this suffices."""


@dataclass(frozen=True)
class Prepared:
    """What the sampled frames told.

    Attributes
    ----------
    corrections : Corrections
        Illumination and bleed-through.
    background, noise_sd : (C,) float64
        Level and noise SD per pixel of single slices, counts.
    usual : tuple of Usual
        What each channel looks like in frames that can be used.
    never : mapping of int to str
        Markers that cannot be used in any frame, by slot, with the reason.
    arrays : dict
        The estimates, for the report.
    """

    corrections: Corrections
    background: npt.NDArray[np.float64]
    noise_sd: npt.NDArray[np.float64]
    usual: tuple[Usual, ...]
    never: Mapping[int, str] = field(default_factory=dict)
    arrays: dict[str, npt.NDArray[Any]] = field(default_factory=dict)

    def correct(self, raw: npt.NDArray[Any], t: int) -> tuple[Usable, Float32Array]:
        """Judge a raw (C, Z, Y, X) frame and correct it; a channel that cannot be used is as dark as its background."""
        seen = use(raw, self.usual, t)
        pixels = seen.pixels
        if seen.faults:
            pixels = pixels.astype(np.float32) if pixels is raw else pixels
            for c in seen.faults:
                gain = 1.0 if self.corrections.gain is None else self.corrections.gain[c]
                pixels[c] = float(self.background[c]) * gain
        return seen, self.corrections.apply(pixels)


def prepare(recording: Recording, setting: Setting, choices: Mapping[str, Choice]) -> Prepared:
    """Estimate the corrections from frames spread over the movie.

    Raises
    ------
    RecordingError
        No frame can be used, or a channel of a population shows nothing in any.
    """
    taken = take_sample(recording, setting)
    sample = taken.planes
    arrays: dict[str, npt.NDArray[Any]] = {"background": taken.background, "noise_sd": taken.noise_sd}
    coarse = np.stack([[shrink(plane, GAIN_SIDE_PX) for plane in planes] for planes in sample])
    scale = recording.sizes["X"] / coarse.shape[-1]
    gain = _illumination(coarse, taken, setting.optics.um_per_px * scale, choices["illumination"])
    full = None
    if gain is not None:
        arrays["gain"] = gain
        sample = sample / _resized(gain, sample.shape[2:])[None]
        full = _resized(gain, (recording.sizes["Y"], recording.sizes["X"]))
    matrix = None
    if choices["bleed_through"].method != "none":
        choice = choices["bleed_through"]
        matrix = _bleed_through(
            sample, taken, cast(BleedThroughMethod, build("bleed_through", choice.method, choice.options))
        )
        arrays["bleed_through"] = matrix
    corrections = Corrections(gain=full, bleed=matrix, background=taken.background.astype(np.float32))
    return Prepared(corrections, taken.background, taken.noise_sd, taken.usual, taken.never, arrays)


def _resized(gain: Float32Array, shape: tuple[int, ...]) -> Float32Array:
    return np.stack([cv2.resize(g, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR) for g in gain])


def _illumination(coarse: Float32Array, taken: Sample, um_per_px: float, choice: Choice) -> Float32Array | None:
    """Gain of every channel, from the frames in which it can be used."""
    if choice.method == "none":
        return None
    method = cast(IlluminationMethod, build("illumination", choice.method, choice.options))
    flat = np.ones(coarse.shape[2:], np.float32)
    some = [bool(column.any()) for column in taken.usable.T]
    return np.stack(
        [method.estimate(coarse[taken.usable[:, c], c], um_per_px) if some[c] else flat for c in range(coarse.shape[1])]
    )


def _bleed_through(sample: Float32Array, taken: Sample, method: BleedThroughMethod) -> Float32Array:
    """Shares between all channels; those of a marker that not every frame has, from the frames that have it."""
    always = np.flatnonzero(taken.usable.all(axis=0))
    if len(always) == sample.shape[1]:
        return method.estimate(sample)
    matrix = np.zeros((sample.shape[1],) * 2, np.float32)
    whole = taken.usable.all(axis=1)
    if whole.any():
        matrix = method.estimate(sample[whole]).astype(np.float32)
    matrix[np.ix_(always, always)] = method.estimate(sample[:, always])
    return matrix
