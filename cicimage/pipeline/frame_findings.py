"""Frames and channels that hold no measurement, as findings for the receipt and the report."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pandas as pd

from cicimage.errors import counted
from cicimage.findings import Finding, Severity
from cicimage.pipeline.prepare import Prepared
from cicimage.pipeline.sample import take_sample
from cicimage.pipeline.setting import Setting
from cicimage.pipeline.usable import Usable, marker_slots
from cicimage.preprocessing.frame_faults import MOST_BAD, USUALLY_SATURATED, Usual
from cicimage.recording import Recording

FEW_FRAMES: Final = 0.05
"""Share of a movie's frames up to which missing ones are worth knowing and move no rate."""
LEAST_MASKED: Final = 1e-3
"""Share of a frame's pixels from which it is said that they were replaced."""
EVEN: Final = 0.8
"""Share of the gaps between a marker's frames that must be alike for it to be imaged on a schedule."""
_MENDS: Final[Mapping[str, str]] = {
    "not finite": "export the recording without cropping or filling, or crop it to the field that all frames show",
    "saturated": "lower exposure or gain",
    "constant": "check shutter, lamp and export of these frames",
    "dark": "check shutter and lamp",
}


@dataclass
class FrameLog:
    """What happened to the frames of one movie, noted one after the other.

    Attributes
    ----------
    missing : dict of int to str
        Reason by frame that was left out.
    undecoded : list of int
        Frames that could not be decoded.
    faults : dict of (int, str) to list of (int, str)
        Frames and what was measured, by channel slot and kind of fault.
    masked : dict of int to dict of int to float
        Share of pixels replaced, 0-1, by channel slot and frame.
    """

    missing: dict[int, str] = field(default_factory=dict)
    undecoded: list[int] = field(default_factory=list)
    faults: dict[tuple[int, str], list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))
    masked: dict[int, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))

    def note(self, t: int, seen: Usable | None, reason: str) -> None:
        """Note one frame.

        Parameters
        ----------
        t : int
            0-based frame.
        seen : Usable or None
            The frame as far as it can be used; None where it could not be decoded.
        reason : str
            Why the frame is left out; empty where it is not.
        """
        if reason:
            self.missing[t] = reason
        if seen is None:
            self.undecoded.append(t)
            return
        for c, fault in seen.faults.items():
            self.faults[c, fault.why].append((t, fault.value))
        if not reason:
            for c, share in seen.masked.items():
                self.masked[c][t] = share


def frame_findings(log: FrameLog, setting: Setting, n_frames: int, prepared: Prepared) -> tuple[Finding, ...]:
    """Say what of a movie holds no measurement.

    Parameters
    ----------
    log : FrameLog
        Of all frames.
    setting : Setting
        Channels.
    n_frames : int
        Length of the movie.
    prepared : Prepared
        What the sampled frames told.
    """
    optional = marker_slots(setting)
    severity: Severity = "warning" if len(log.missing) > FEW_FRAMES * n_frames else "note"
    found: list[Finding] = []
    if log.undecoded:
        value = f"{_of(log.undecoded, n_frames)} could not be decoded and are left out"
        found.append(Finding("frame_undecodable", severity, "", value, "copy the file again"))
    for (c, why), frames in log.faults.items():
        if c in optional:
            continue
        value = f"{_of([t for t, _ in frames], n_frames)} cannot be used and are left out: {frames[0][1]}"
        found.append(Finding("frame_missing_pixels", severity, setting.channel_title(c), value, _MENDS[why]))
    for c in sorted(optional):
        found += _of_marker(log, setting, c, n_frames, prepared.never)
    found += _of_all_slices(setting, prepared.usual, prepared.never)
    for c, shares in log.masked.items():
        if max(shares.values()) < LEAST_MASKED:
            continue
        value = f"up to {100 * max(shares.values()):.2g} % of pixels in {_of(list(shares), n_frames)} are not finite, "
        value += "hot or not read out; they are replaced by their surroundings, guests among many of them are left out"
        remedy = "export the recording again if it should be whole"
        found.append(Finding("pixels_masked", "note", setting.channel_title(c), value, remedy))
    return tuple(found)


def sampled_findings(recording: Recording, setting: Setting) -> tuple[Finding, ...]:
    """Say before a run what the sampled frames show: channels that clip, slices and markers that hold nothing.

    Parameters
    ----------
    recording : Recording
        A few frames are read.
    setting : Setting
        Channels.

    Raises
    ------
    RecordingError
        No frame can be used, or a channel of a population shows nothing in any.
    """
    sample = take_sample(recording, setting)
    shares = pd.DataFrame(
        {"channel": list(setting.channel_names), "saturated_share": [usual.saturated for usual in sample.usual]}
    )
    silent = [f for c in sorted(sample.never) for f in _of_marker(FrameLog(), setting, c, 0, sample.never)]
    return (*silent, *_of_all_slices(setting, sample.usual, sample.never), *saturation_findings(shares, setting))


def _of_all_slices(setting: Setting, usual: Sequence[Usual], never: Mapping[int, str]) -> tuple[Finding, ...]:
    return tuple(f for c, one in enumerate(usual) if c not in never for f in _of_slices(setting, c, one))


def _of_slices(setting: Setting, c: int, usual: Usual) -> tuple[Finding, ...]:
    """Slices of a stack that were never taken: that nothing is seen in them does not say that nothing is there."""
    empty = [z for z, flat in enumerate(usual.constant) if flat]
    if not empty:
        return ()
    value = f"all pixels are one value in {counted(len(empty), 'slice')} of {len(usual.constant)} (first {empty[0]})"
    return (
        Finding(
            "slice_constant", "warning", setting.channel_title(c), value, "crop the stack to slices with a picture"
        ),
    )


def _of_marker(log: FrameLog, setting: Setting, c: int, n_frames: int, never: Mapping[int, str]) -> tuple[Finding, ...]:
    """A marker that tells nothing, tells on a schedule, or does not tell in single frames."""
    field_name = "markers." + next(m for m in setting.markers if setting.slot(m) == c)
    if c in never:
        value = f"cannot be used in any frame ({never[c]}): whether cells are alive is unknown throughout"
        remedy = "name the channel of the death marker, or leave it out"
        title = setting.channel_title(c)
        return (Finding("channel_constant", "warning", title, value, remedy, f"{field_name}.channel"),)
    unread = sorted(t for (slot, _), frames in log.faults.items() if slot == c for t, _ in frames)
    if not unread:
        return ()
    skipped = {*unread, *log.missing}
    read = [t for t in range(n_frames) if t not in skipped]
    step = _schedule(read, n_frames)
    if step:
        value = f"is imaged in every {_ordinal(step)} frame only, in {len(read)} of {n_frames}"
        remedy = "whether cells are alive is known in these frames and carried between them where it can be"
        return (Finding("marker_schedule", "note", setting.channel_title(c), value, remedy),)
    why, first = next((why, frames[0][1]) for (slot, why), frames in log.faults.items() if slot == c)
    severity: Severity = "warning" if len(unread) > FEW_FRAMES * n_frames else "note"
    value = f"{_of(unread, n_frames)} cannot be used ({first}): whether cells are alive is unknown there"
    return (Finding("marker_frames_unreadable", severity, setting.channel_title(c), value, _MENDS[why]),)


def _schedule(read: Sequence[int], n_frames: int) -> int:
    """Frames from one reading of a marker to the next where that is regular and over 1; 0 otherwise."""
    steps = np.diff(read)
    if len(steps) < 2:
        return 0
    step = int(np.median(steps))
    regular = step > 1 and float(np.mean(steps % step == 0)) >= EVEN
    return step if regular and read[0] < 2 * step and n_frames - read[-1] <= 2 * step else 0


def saturation_findings(quality: pd.DataFrame, setting: Setting) -> tuple[Finding, ...]:
    """Say which channels are saturated as a rule.

    Parameters
    ----------
    quality : pandas.DataFrame
        channel, and saturated_share of the slice that has most of it, of every frame.
    setting : Setting
        Channels.
    """
    if not len(quality):
        return ()
    shares = quality.groupby("channel")["saturated_share"].median()
    found = []
    host, guest = (setting.slot(setting.with_role(role)) for role in ("host", "guest"))
    for c, name in enumerate(setting.channel_names):
        share = float(shares.get(name, 0.0))
        if not share > USUALLY_SATURATED:
            continue
        lost = c == host or (c == guest and share > MOST_BAD)
        value = f"{100 * share:.0f} % of pixels are saturated, at most {100 * USUALLY_SATURATED:.0f} % may be"
        severity: Severity = "unresolved" if lost else "warning"
        found.append(Finding("channel_saturated", severity, setting.channel_title(c), value, "lower exposure or gain"))
    return tuple(found)


def _of(frames: Sequence[int], n_frames: int) -> str:
    """How many of the frames, and which first."""
    return f"{len(frames)} of {counted(n_frames, 'frame')} (first {min(frames)})"


def _ordinal(n: int) -> str:
    ending = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"
