"""What opening a recording shows, without any plane decoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cicimage.guard import ask, guarded
from cicimage.pipeline.channel_check import look_at_channels
from cicimage.pipeline.job import Job, need_of
from cicimage.pipeline.setting import Setting, resolve
from cicimage.pipeline.spacing import guest_spacing
from cicimage.recording import Metadata, preflight

__all__ = ["Opened", "guest_spacing", "look_at_channels", "open_job", "try_opening"]


@dataclass(frozen=True)
class Opened:
    """A recording as it was found.

    Attributes
    ----------
    sizes : mapping of str to int
        Lengths of T, C, Z, Y, X.
    itemsize : int
        Bytes of a pixel.
    metadata : Metadata
        Units and names as the file says them.
    setting : Setting
        Scale, time and channels.
    need : int
        Memory that a position of it needs, bytes.
    """

    sizes: Mapping[str, int]
    itemsize: int
    metadata: Metadata
    setting: Setting
    need: int


def try_opening(path: Path, reading: Mapping[str, Any]) -> None:
    """Open a recording in a child process, within the limits, before a window opens it in its own.

    Parameters
    ----------
    path : Path
        The recording.
    reading : mapping
        What of it is read, as keywords of :func:`cicimage.recording.open_recording`.

    Raises
    ------
    RecordingError
        It is not sound, takes too long or too much memory, or ends the process.
    """
    with guarded():
        ask(path, _pass_gate, path, dict(reading))


def _pass_gate(path: Path, reading: Mapping[str, Any]) -> None:
    preflight(path, **reading)


def open_job(job: Job) -> Opened:
    """Open a position's recording and close it again.

    Parameters
    ----------
    job : Job
        The position.

    Raises
    ------
    CicimageError
        The recording is not sound, or does not fit the experiment file.
    """
    with job.open() as recording:
        setting = resolve(recording, job.file, job.position.path)
        need = need_of(recording.sizes)
        return Opened(dict(recording.sizes), recording.dtype.itemsize, recording.metadata, setting, need)
