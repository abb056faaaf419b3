"""A position's recording while it is reviewed: opened where it lies now, frames kept for a moment."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cicimage.errors import RecordingError
from cicimage.experiment import ExperimentFile
from cicimage.guard import ask, guarded
from cicimage.pipeline.job import input_fingerprint
from cicimage.pipeline.opened import try_opening
from cicimage.pipeline.prepare import Prepared, prepare
from cicimage.recording import Recording, open_recording
from cicimage.review.base import Base
from cicimage.review.log import review_folder
from cicimage.store import Results, read_json, write_json

KEPT_BYTES: Final = 256 << 20
"""Decoded frames kept for stepping back and forth."""


class MovedError(RecordingError):
    """The recording is not where it was; the person at the screen may know where it is."""


@dataclass(eq=False)
class Footage:
    """Raw frames of one position.

    Open it with :func:`open_footage`; close it when the position leaves the screen.

    Attributes
    ----------
    recording : Recording
        The open file.
    base : Base
        Scale and channels.
    """

    recording: Recording
    base: Base
    _kept: OrderedDict[int, npt.NDArray[Any]] = field(default_factory=OrderedDict, repr=False)

    def frame(self, t: int) -> npt.NDArray[Any]:
        """One raw (C, Z, Y, X) frame with the channels the pipeline read."""
        if t in self._kept:
            self._kept.move_to_end(t)
            return self._kept[t]
        picture = self.recording.frame(t, self.base.setting.channels)
        self._kept[t] = picture
        while sum(p.nbytes for p in self._kept.values()) > KEPT_BYTES and len(self._kept) > 1:
            self._kept.popitem(last=False)
        return picture

    @cached_property
    def prepared(self) -> Prepared:
        """Corrections as the pipeline estimated them; the same frames give the same estimates."""
        return prepare(self.recording, self.base.setting, self.base.choices)

    def close(self) -> None:
        """Release the file and the frames."""
        self._kept.clear()
        self.recording.close()


def open_footage(results: Results, base: Base, place: Path | None = None) -> Footage:
    """Open a position's recording.

    Parameters
    ----------
    results : Results
        The folder.
    base : Base
        The position.
    place : Path, optional
        Where the recording lies now; it is checked to be the same one, and remembered.

    Raises
    ------
    MovedError
        It is not where it was.
    RecordingError
        Another file lies at the place given.
    """
    run = read_json(results.run)
    path = place or recording_path(results, base)
    series = run["design"][base.position].get("series")
    read = ExperimentFile.model_validate(run["configuration"]).reading(series)
    made_from = read_json(results.position(base.position_id).receipt).get("input")
    with guarded():  # a damaged file must not take the window with it
        found = ask(path, input_fingerprint, path, read["series"])
        if found is None:
            raise MovedError(f"{path}: the recording is not there any more; say where it is now")
        if made_from and found["sha256"] != made_from["sha256"]:
            raise RecordingError(
                f"{path}: must be the recording these results were made from, holds other bytes; choose the right file"
            )
        try_opening(path, read)
    recording = open_recording(path, **read)
    if place is not None:
        known = _moved(results)
        write_json(review_folder(results.root) / "moved.json", {**known, base.position: str(place)})
    return Footage(recording, base)


def recording_path(results: Results, base: Base) -> Path:
    """Where a position's recording lies as far as known.

    Parameters
    ----------
    results : Results
        The folder.
    base : Base
        The position.

    Returns
    -------
    Path
        Where a reviewer last found it, else where it was when it was run.
    """
    run = read_json(results.run)
    return Path(_moved(results).get(base.position, run["design"][base.position]["path"]))


def _moved(results: Results) -> dict[str, str]:
    path = review_folder(results.root) / "moved.json"
    return dict(read_json(path)) if path.exists() else {}


def window(picture: npt.NDArray[Any], y0: int, x0: int, side: int) -> npt.NDArray[Any]:
    """A square cut of a picture; beyond the frame's border it is 0.

    Parameters
    ----------
    picture : (..., Y, X) array
        The picture.
    y0, x0 : int
        First row and column; may lie outside.
    side : int
        Rows and columns of the cut.

    Returns
    -------
    (..., side, side) array
        Of the picture's dtype.

    Examples
    --------
    >>> window(np.arange(9).reshape(3, 3), -1, 1, 2).tolist()
    [[0, 0], [1, 2]]
    """
    cut = np.zeros((*picture.shape[:-2], side, side), picture.dtype)
    height, width = picture.shape[-2:]
    top, left = max(y0, 0), max(x0, 0)
    bottom, right = min(y0 + side, height), min(x0 + side, width)
    if top < bottom and left < right:
        cut[..., top - y0 : bottom - y0, left - x0 : right - x0] = picture[..., top:bottom, left:right]
    return cut
