"""Which channels of a recording are held against each other, and what the experiment file says on purpose."""

from __future__ import annotations

from typing import Final, cast

import numpy as np

from cicimage.findings import Finding
from cicimage.pipeline.frame_findings import sampled_findings
from cicimage.pipeline.job import Job
from cicimage.pipeline.setting import Setting, resolve
from cicimage.preprocessing.consistency import ConsistencyCheck, Watched
from cicimage.recording import PlaneError

FRAMES_LOOKED_AT: Final = 4
SEEN_IN_A_FEW: Final = ("channels_alike", "marker_channel_alike", "frames_repeated", "frames_turned")
"""Findings that the first two frames, the middle and the last one are enough for."""


def watch(setting: Setting) -> ConsistencyCheck:
    """Return the check that every frame of a recording is given.

    Roles that were given one channel on purpose (one population in both roles, or one channel named twice) are not
    held against each other.
    """
    host, guest = (_watched(setting, setting.with_role(role)) for role in ("host", "guest"))
    marker = _watched(setting, setting.death_marker) if setting.death_marker else None
    diameter = cast(tuple[float, float], setting.populations[setting.with_role("guest")].diameter_um)
    return ConsistencyCheck(
        host,
        guest if guest.slot != host.slot else None,
        marker if marker is not None and marker.slot not in (host.slot, guest.slot) else None,
        guest_um=float(np.mean(diameter)),
        um_per_px=setting.optics.um_per_px,
    )


def shared_channels(setting: Setting) -> tuple[Finding, ...]:
    """Return a note for every two roles that the experiment file gives one channel."""
    found = []
    uses = list(setting.channel_of.items())
    for i, (one, channel) in enumerate(uses):
        for other in (u for u, c in uses[i + 1 :] if c == channel):
            name = setting.channel_names[setting.slot(one)]
            value = (
                f"{_role(setting, one)} and {_role(setting, other)} are both read from it, as the experiment file says"
            )
            remedy = "name another channel for one of them if that is not meant"
            found.append(
                Finding("roles_share_channel", "note", f"channel {name!r}", value, remedy, _field(setting, other))
            )
    return tuple(found)


def _watched(setting: Setting, use: str) -> Watched:
    slot = setting.slot(use)
    return Watched(setting.channel_names[slot], slot, _field(setting, use))


def _field(setting: Setting, use: str) -> str:
    """Key of the experiment file that names the channel of a population, its nuclei or a marker."""
    name, _, part = use.partition("/")
    if setting.origins.get("channels") == "channels":
        return f"channels.{name}_{part}" if part else f"channels.{name}"
    return f"markers.{name}.channel" if name in setting.markers else f"populations.{name}.{part or 'channel'}"


def _role(setting: Setting, use: str) -> str:
    name, _, part = use.partition("/")
    if name in setting.markers:
        return f"marker {name!r}"
    return f"the nuclei of population {name!r}" if part else f"population {name!r}"


def look_at_channels(job: Job) -> tuple[Finding, ...]:
    """Check a few frames of a recording for what needs no more than them, before it is run.

    These are the frames that a run samples for its corrections, for channels that clip or hold nothing, and the first
    two, the middle and the last one for channels and frames that do not fit each other.

    Parameters
    ----------
    job : Job
        The recording.

    Raises
    ------
    CicimageError
        It cannot be read, or does not fit the experiment file.
    """
    with job.open() as recording:
        setting = resolve(recording, job.file, job.position.path)
        check, last = watch(setting), recording.sizes["T"] - 1
        for t in sorted({0, min(1, last), last // 2, last}):
            try:
                check.add(t, recording.frame(t, setting.channels))
            except PlaneError:
                continue
        seen = tuple(f for f in check.findings() if f.code in SEEN_IN_A_FEW)
        return (*sampled_findings(recording, setting), *seen)
