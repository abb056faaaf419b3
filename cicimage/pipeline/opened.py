"""What opening a recording shows, without any plane decoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cicimage.errors import RecordingError
from cicimage.pipeline.channel_check import look_at_channels
from cicimage.pipeline.job import Job, memory_need
from cicimage.pipeline.setting import Setting, resolve
from cicimage.pipeline.spacing import guest_spacing
from cicimage.recording import Metadata, open_recording, preflight

__all__ = ["Opened", "Unsettled", "guest_spacing", "look_at_channels", "open_job"]


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
    path = job.position.path
    preflight(path, **job.reading())
    with open_recording(path, **job.reading()) as recording:
        sizes, order = dict(recording.sizes), recording.order
        try:
            setting = resolve(recording, job.file, path)
        except RecordingError as error:
            return Unsettled(sizes, order, str(error))
        return Opened(sizes, recording.dtype.itemsize, recording.metadata, setting, memory_need(job), order)
