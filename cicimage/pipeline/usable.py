"""A raw frame before it is corrected: which of its channels can be used, and pixels without a measurement replaced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cicimage.arrays import BoolArray
from cicimage.masks import Mask, Masks
from cicimage.methods import Objects
from cicimage.pipeline.setting import Setting
from cicimage.preprocessing.absent_pixels import bad_pixels, fill, lost_ground
from cicimage.preprocessing.frame_faults import Fault, Look, Usual, fault_of, is_lit, look_at
from cicimage.preprocessing.quality import FrameQuality, frame_quality

MOST_LOST: Final = 0.05
"""Share of the ground under and around a cell that may be filled in by a guess."""
AROUND_PX: Final = 3
"""Pixels around a cell that its evidence is read from, at least."""
FLAGGED_FROM: Final = 0.01
"""Share of saturated pixels from which a frame is flagged in table ``qc``."""


@dataclass(frozen=True, eq=False)
class Usable:
    """One frame as far as it can be used.

    Attributes
    ----------
    pixels : (C, Z, Y, X) array
        Raw counts; absent pixels replaced, a channel that cannot be used as it came.
    looks : tuple of Look
        By channel.
    quality : tuple of FrameQuality
        By channel; numbers are NaN where the channel cannot be used.
    faults : mapping of int to Fault
        Channels that cannot be used, by slot.
    lost : mapping of int to (Y, X) bool
        By slot, where too many pixels are absent for what was filled in to be trusted.
    masked : mapping of int to float
        By slot, share of pixels replaced.
    """

    pixels: npt.NDArray[Any]
    looks: tuple[Look, ...]
    quality: tuple[FrameQuality, ...]
    faults: Mapping[int, Fault] = field(default_factory=dict)
    lost: Mapping[int, BoolArray] = field(default_factory=dict)
    masked: Mapping[int, float] = field(default_factory=dict)


def use(raw: npt.NDArray[Any], usual: Sequence[Usual], t: int) -> Usable:
    """Judge every channel of a frame and replace the pixels that hold no measurement.

    Parameters
    ----------
    raw : (C, Z, Y, X) array
        As read.
    usual : sequence of Usual
        What the channels look like in other frames.
    t : int
        Which frame.
    """
    pixels, looks, quality = raw, [], []
    faults: dict[int, Fault] = {}
    lost: dict[int, BoolArray] = {}
    masked: dict[int, float] = {}
    for c, stack in enumerate(raw):
        look = look_at(stack, usual[c].full_scale)
        looks.append(look)
        fault = fault_of(look, usual[c], t)
        bad = None if fault else bad_pixels(stack, look, usual[c])
        if bad is not None:
            if pixels is raw:
                pixels = raw.astype(np.float32)
            pixels[c] = fill(stack, bad)
            masked[c] = float(bad.mean())
            ground = lost_ground(bad)
            if ground.any():
                lost[c] = ground
        seen = _unknown(look) if fault else _quality(pixels[c], look, usual[c])
        fault = fault or fault_of(look, usual[c], t, seen.signal)
        if fault and fault.why == "dark" and not usual[c].steady and is_lit(pixels[c], usual[c]):
            fault = None
        if fault:
            faults[c] = fault
            seen = _unknown(look, fault)
        quality.append(seen)
    return Usable(pixels, tuple(looks), tuple(quality), faults, lost, masked)


def _quality(stack: npt.NDArray[Any], look: Look, usual: Usual) -> FrameQuality:
    """Quality of the middle slice, saturation of the slice that has most of it."""
    seen = frame_quality(stack[stack.shape[0] // 2], usual.full_scale)
    flag = "saturated" if look.saturated > FLAGGED_FROM else "not finite" if any(look.absent) else seen.flag
    return FrameQuality(seen.background, seen.noise_sd, seen.signal, look.saturated, seen.sharpness, flag)


def _unknown(look: Look, fault: Fault | None = None) -> FrameQuality:
    nan = float("nan")
    flag = "" if fault is None else "missing" if fault.why == "dark" else fault.why
    return FrameQuality(nan, nan, nan, look.saturated, nan, flag)


def marker_slots(setting: Setting) -> frozenset[int]:
    """Channels that only a marker is read from: a frame without one is no missing frame."""
    needed = {setting.channel_of[use] for use in setting.channel_of if use.split("/")[0] in setting.populations}
    return frozenset(setting.slot(m) for m in setting.markers if setting.channel_of[m] not in needed)


def missing_reason(seen: Usable, setting: Setting, t: int) -> str:
    """Why a frame cannot be used, as one sentence; empty where it can."""
    optional = marker_slots(setting)
    said = [f"{setting.channel_title(c)}: {fault.value}" for c, fault in seen.faults.items() if c not in optional]
    return f"frame {t} cannot be used and is left out ({'; '.join(said)})" if said else ""


def without_guesses(objects: Objects, grounds: Sequence[BoolArray], most: float = MOST_LOST) -> Objects:
    """Leave out cells of which too much lies where pixels were filled in by a guess: they were not seen there.

    Parameters
    ----------
    objects : Objects
        As segmented.
    grounds : sequence of (Y, X) bool
        Ground that is lost, of every channel that tells of these cells.
    most : float
        Share of the ground under and around a cell that may be lost.
    """
    if not grounds:
        return objects
    keep = np.array([max(_lost_share(m, g) for g in grounds) <= most for m in objects.masks], dtype=bool)
    if keep.all():
        return objects
    masks = [m for m, k in zip(objects.masks, keep, strict=True) if k]
    renamed = [Mask(i, m.y0, m.x0, m.pixels) for i, m in enumerate(masks, start=1)]
    return Objects(Masks(renamed, objects.masks.shape), objects.z_um[keep], objects.z_extent_um[keep])


def on_lost_ground(masks: Masks, ground: BoolArray) -> BoolArray:
    """Which cells lie where too many pixels of a channel are lost, (n,)."""
    return np.array([_lost_share(m, ground) > MOST_LOST for m in masks], dtype=bool)


def _lost_share(mask: Mask, ground: BoolArray) -> float:
    rows, columns = mask.window
    margin = max(AROUND_PX, round(0.5 * float(np.sqrt(mask.area_px / np.pi))))
    around = ground[
        max(0, rows.start - margin) : rows.stop + margin, max(0, columns.start - margin) : columns.stop + margin
    ]
    return float(around.mean()) if around.size else 0.0
