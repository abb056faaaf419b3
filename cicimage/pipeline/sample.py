"""Frames spread over a movie: what its corrections are estimated from, and what its channels usually look like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import cv2
import numpy as np
import numpy.typing as npt

from cicimage.arrays import BoolArray, Float32Array
from cicimage.errors import RecordingError
from cicimage.methods import noise_sd
from cicimage.pipeline.setting import Setting
from cicimage.pipeline.usable import marker_slots
from cicimage.preprocessing.absent_pixels import bad_pixels, fill
from cicimage.preprocessing.correction import sample_frames
from cicimage.preprocessing.frame_faults import MOST_BAD, ROUNDING_SD, Fault, Look, Usual, fault_of, look_at
from cicimage.preprocessing.frame_faults import usual_of as usual_of_channel
from cicimage.preprocessing.quality import frame_quality
from cicimage.preprocessing.saturation import full_scale
from cicimage.recording import PlaneError, Recording

SAMPLED_FRAMES: Final = 10
FEWEST_FRAMES: Final = 4
"""Usable frames below which more are looked for."""
MORE_FRAMES: Final = 40
SAMPLE_SIDE_PX: Final = 512
"""Sampled planes are averaged down to this: what is estimated from them is smooth, and memory stays small."""
NOISE_WINDOW_PX: Final = 320
_VALUES: Final = 20_000  # pixels of a channel and frame that its full scale is read from


@dataclass(frozen=True, eq=False)
class Sample:
    """Frames of one recording that can be used.

    Attributes
    ----------
    planes : (N, C, y, x) float32
        Averaged-down mean projections; 0 where ``usable`` is false.
    usable : (N, C) bool
        Whether a channel can be used in a frame; false for markers only.
    background, noise_sd : (C,) float64
        Level and noise SD per pixel of single slices, counts.
    usual : tuple of Usual
        By channel.
    never : mapping of int to str
        Markers that cannot be used in any frame, with the reason.
    """

    planes: Float32Array
    usable: BoolArray
    background: npt.NDArray[np.float64]
    noise_sd: npt.NDArray[np.float64]
    usual: tuple[Usual, ...]
    never: dict[int, str]


@dataclass(frozen=True, eq=False)
class _Seen:
    """One sampled frame."""

    t: int
    looks: tuple[Look, ...]
    signals: tuple[float, ...]
    planes: Float32Array
    background: tuple[float, ...]
    noise: tuple[float, ...]
    values: tuple[npt.NDArray[Any], ...]


def take_sample(recording: Recording, setting: Setting) -> Sample:
    """Read frames spread over the movie and leave out those that cannot be used.

    Raises
    ------
    RecordingError
        No frame can be used, or a channel of a population shows nothing in any.
    """
    first = sample_frames(recording.sizes["T"], SAMPLED_FRAMES)
    seen = _read(recording, setting, first)
    sample = _sorted_out(recording, setting, seen)
    if sample is None or len(sample.planes) < min(FEWEST_FRAMES, len(first)):
        seen += _read(recording, setting, np.setdiff1d(sample_frames(recording.sizes["T"], MORE_FRAMES), first))
        sample = _sorted_out(recording, setting, seen)
    if sample is None:
        raise RecordingError(_nothing_usable(recording, setting, seen))
    missed = [c for c in sorted(marker_slots(setting)) if not sample.usable[:, c].any()]
    found = sorted({t for c in missed for t in _frames_with(recording, setting.channels[c])} - {s.t for s in seen})
    if found:
        sample = _sorted_out(recording, setting, seen + _read(recording, setting, found)) or sample
    return sample


def _read(recording: Recording, setting: Setting, frames: Sequence[int] | npt.NDArray[np.int64]) -> list[_Seen]:
    seen = []
    for t in frames:
        try:
            raw = recording.frame(int(t), setting.channels)
        except PlaneError:
            continue
        seen.append(_see(int(t), raw))
    return seen


def _see(t: int, raw: npt.NDArray[Any]) -> _Seen:
    looks, signals, planes, backgrounds, noises, values = [], [], [], [], [], []
    for stack in raw:
        look = look_at(stack)
        looks.append(look)
        whole, bad, signal = _whole(stack, look)
        kept = _spread_pixels(stack)
        values.append(kept if bad is None else kept[~_spread_pixels(bad)])
        signals.append(signal)
        small = [shrink(plane, SAMPLE_SIDE_PX) for plane in whole]
        planes.append(np.mean(small, axis=0, dtype=np.float32))
        # A slice of one value was not taken: it tells neither background nor noise.
        taken = [z for z, flat in enumerate(look.constant) if not flat] or list(range(len(small)))
        backgrounds.append(_background([small[z] for z in taken]))
        noises.append(_noise(whole[taken] if len(taken) < len(small) else whole))
    return _Seen(t, tuple(looks), tuple(signals), np.stack(planes), tuple(backgrounds), tuple(noises), tuple(values))


def _whole(stack: npt.NDArray[Any], look: Look) -> tuple[npt.NDArray[Any], BoolArray | None, float]:
    """One channel with absent and hot pixels replaced, those pixels, and its signal, as far as one frame tells."""
    # Blocks of one value may be how the channel is: a single frame does not tell.
    absent = bad_pixels(stack, look, Usual(blank=1.0)) if any(look.absent) else None
    whole = stack if absent is None else fill(stack, absent)
    seen = frame_quality(whole[whole.shape[0] // 2])
    bad = bad_pixels(
        stack, look, Usual(blank=1.0, background=seen.background, signal=seen.signal, noise_sd=seen.noise_sd)
    )
    if bad is None:
        return whole, None, seen.signal
    whole = fill(stack, bad)
    return whole, bad, frame_quality(whole[whole.shape[0] // 2]).signal


def _spread_pixels(stack: npt.NDArray[Any]) -> npt.NDArray[Any]:
    step = max(1, int(np.ceil(np.sqrt(stack.size / _VALUES))))
    return np.asarray(stack[:, ::step, ::step].ravel())


def _sorted_out(recording: Recording, setting: Setting, seen: list[_Seen]) -> Sample | None:
    """Keep the frames that can be used; None where there is none."""
    seen = sorted(seen, key=lambda s: s.t)
    usual = [_usual(recording, setting, seen, c) for c in range(len(setting.channels))]
    optional = marker_slots(setting)
    good = np.array([[_fault(s, usual, c) is None for c in range(len(usual))] for s in seen], bool)
    good = good.reshape(len(seen), len(usual))
    kept = np.flatnonzero(good[:, [c for c in range(len(usual)) if c not in optional]].all(axis=1))
    if not len(kept):
        return None
    usable = good[kept]
    planes = np.stack([seen[k].planes for k in kept])
    planes[~usable] = 0.0
    levels, noises = np.array([seen[k].background for k in kept]), np.array([seen[k].noise for k in kept])
    background, noise = np.median(levels, axis=0), np.median(noises, axis=0)
    never = {}
    for c in np.flatnonzero(~usable.all(axis=0)).tolist():
        some = usable[:, c]
        background[c] = np.median(levels[some, c]) if some.any() else np.nan_to_num(seen[kept[0]].background[c])
        noise[c] = np.median(noises[some, c]) if some.any() else 0.0
        if not some.any():
            fault = _fault(seen[kept[0]], usual, c)
            never[c] = fault.value if fault else ""
    return Sample(planes, usable, background, np.maximum(noise, _rounding_sd(recording) or 1e-6), tuple(usual), never)


def _usual(recording: Recording, setting: Setting, seen: Sequence[_Seen], c: int) -> Usual:
    values = np.concatenate([s.values[c] for s in seen]) if seen else np.zeros(0)
    top = full_scale(values, recording.dtype, recording.metadata.significant_bits)
    lit = [s for s in seen if not all(s.looks[c].constant) and max(s.looks[c].absent) <= MOST_BAD]
    host = setting.with_role("host")
    steady = any(setting.channels[c] == channel for use, channel in setting.channel_of.items() if _is_of(use, host))
    return usual_of_channel(
        [(s.t, s.looks[c], s.signals[c]) for s in (lit or seen)],
        full_scale=top,
        noise_sd=max(float(np.median([s.noise[c] for s in lit])) if lit else 0.0, _rounding_sd(recording)),
        background=float(np.median([s.background[c] for s in lit])) if lit else 0.0,
        steady=steady,
        darkens=c not in marker_slots(setting),
        rounding_sd=_rounding_sd(recording),
    )


def _rounding_sd(recording: Recording) -> float:
    return ROUNDING_SD if recording.dtype.kind in "iu" else 0.0


def _is_of(use: str, population: str) -> bool:
    """Whether a channel shows a population or its nuclei."""
    return use.split("/")[0] == population


def _fault(seen: _Seen, usual: Sequence[Usual], c: int) -> Fault | None:
    return fault_of(seen.looks[c].at_scale(usual[c].full_scale), usual[c], seen.t, seen.signals[c])


def _why(recording: Recording, setting: Setting) -> str:
    """Why the first frame cannot be decoded, as part of a sentence."""
    try:
        recording.frame(0, setting.channels)
    except PlaneError as error:
        return f" (such as plane t={error.t}, c={error.c}, z={error.z}: {error.reason})"
    return ""


def _nothing_usable(recording: Recording, setting: Setting, seen: Sequence[_Seen]) -> str:
    if not seen:
        return f"{recording.path}: none of its sampled frames can be decoded{_why(recording, setting)}; copy it again"
    usual = [_usual(recording, setting, seen, c) for c in range(len(setting.channels))]
    for c in range(len(setting.channels)):
        faults = [_fault(s, usual, c) for s in seen]
        if c in marker_slots(setting) or None in faults:
            continue
        use = next(u for u, channel in setting.channel_of.items() if channel == setting.channels[c])
        return (
            f"{recording.path}: {setting.channel_title(c)} of {use} must show cells, it cannot be used in any of "
            f"{len(seen)} sampled frames ({cast(Fault, faults[0]).value}); name another channel or export the "
            "recording again"
        )
    return (
        f"{recording.path}: host and guest channels must be usable in the same frames, they are in none of {len(seen)} "
        "sampled ones; export the recording again"
    )


def _frames_with(recording: Recording, channel: int) -> list[int]:
    """Up to a few frames in which a channel is not constant, from its middle slice: a marker imaged now and then."""
    found: list[int] = []
    for t in range(recording.sizes["T"]):
        try:
            look = look_at(recording.plane(t, channel, recording.sizes["Z"] // 2)[None])
        except PlaneError:
            continue
        if not look.constant[0] and look.absent[0] <= MOST_BAD:
            found.append(t)
        if len(found) == FEWEST_FRAMES:
            break
    return found


def shrink(plane: npt.NDArray[Any], side_px: int) -> Float32Array:
    """Average down so that the longer side has at most ``side_px`` pixels."""
    scale = side_px / max(plane.shape)
    small = plane.astype(np.float32)
    if scale >= 1:
        return small
    size = (max(1, round(plane.shape[1] * scale)), max(1, round(plane.shape[0] * scale)))
    return cast(Float32Array, cv2.resize(small, size, interpolation=cv2.INTER_AREA))


def background_and_noise(stack: npt.NDArray[Any]) -> tuple[float, float]:
    """Level without light and noise SD per pixel of one channel of one frame.

    Parameters
    ----------
    stack : (Z, Y, X) array
        Image, counts.

    Returns
    -------
    background, noise_sd : float
        Of the darkest and of the quietest slice, counts.
    """
    return _background([shrink(plane, SAMPLE_SIDE_PX) for plane in stack]), _noise(stack)


def _background(small: Sequence[Float32Array]) -> float:
    """Level without light of averaged-down slices.

    The darkest slice has least of the cells: its low percentile is the nearest there is to no light at all.
    """
    return min(float(np.percentile(plane, 2)) for plane in small)


def _noise(stack: npt.NDArray[Any]) -> float:
    """Noise SD per pixel of the quietest slice, from a window in the middle."""
    h, w = stack.shape[1:]
    y0, x0 = max(0, (h - NOISE_WINDOW_PX) // 2), max(0, (w - NOISE_WINDOW_PX) // 2)
    window = stack[:, y0 : y0 + NOISE_WINDOW_PX, x0 : x0 + NOISE_WINDOW_PX]
    return min(noise_sd(plane) for plane in window)
