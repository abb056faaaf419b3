"""What opening a recording shows, without any plane decoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cicimage.errors import RecordingError
from cicimage.guard import ask, guarded
from cicimage.pipeline.channel_check import look_at_channels
from cicimage.pipeline.job import Job, need_of
from cicimage.pipeline.setting import Setting, resolve
from cicimage.pipeline.spacing import guest_spacing
from cicimage.recording import Metadata, preflight

__all__ = ["Opened", "Unsettled", "guest_spacing", "look_at_channels", "open_job", "try_opening"]


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
    order : str
        Order of its planes, as :attr:`~cicimage.recording.Recording.order` gives it.
    """

    sizes: Mapping[str, int]
    itemsize: int
    metadata: Metadata
    setting: Setting
    need: int
    order: str


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


@dataclass(frozen=True)
class Unsettled:
    """A sound recording whose scale, time or channels do not come together.

    Attributes
    ----------
    sizes : mapping of str to int
        Lengths of T, C, Z, Y, X.
    order : str
        Order of its planes.
    fault : str
        What is missing or contradicts, one sentence.
    """

    sizes: Mapping[str, int]
    order: str
    fault: str


def open_job(job: Job) -> Opened | Unsettled:
    """Open a position's recording and close it again; one that does not fit the experiment file is no error.

    Parameters
    ----------
    job : Job
        The position.

    Raises
    ------
    CicimageError
        The recording is not sound.
    """
    with job.open() as recording:
        sizes, order = dict(recording.sizes), recording.order
        try:
            setting = resolve(recording, job.file, job.position.path)
        except RecordingError as error:
            return Unsettled(sizes, order, str(error))
        return Opened(sizes, recording.dtype.itemsize, recording.metadata, setting, need_of(sizes), order)
