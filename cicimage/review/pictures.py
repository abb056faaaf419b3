"""Cuts of the recordings for the screen: decoded once, kept while there is room, the next item's made beforehand."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cicimage.errors import RecordingError
from cicimage.review.base import Base
from cicimage.review.footage import Footage, MovedError, open_footage, window
from cicimage.review.keys import Key
from cicimage.store import Results

KEPT_BYTES: Final = 128 << 20
OPEN_RECORDINGS: Final = 3


@dataclass(frozen=True)
class Box:
    """A square of the frame in pixels; it may reach beyond the border."""

    y0: int
    x0: int
    side: int

    @classmethod
    def around(cls, y_px: float, x_px: float, side: int) -> Box:
        """The square centred on a place.

        Parameters
        ----------
        y_px, x_px : float
            Centre, pixels.
        side : int
            Rows and columns.

        Returns
        -------
        Box
            Its corner is rounded to whole pixels.

        Examples
        --------
        >>> Box.around(50.2, 10.0, 20)
        Box(y0=40, x0=0, side=20)
        """
        return cls(round(y_px) - side // 2, round(x_px) - side // 2, side)


@dataclass(frozen=True)
class Cut:
    """What to cut: a frame, one slice of it (None = all), and where."""

    frame: int
    z: int | None
    box: Box


@dataclass(eq=False)
class Pictures:
    """Cuts of the positions' recordings; safe to ask from several threads.

    Attributes
    ----------
    results : Results
        The folder.
    missing : dict of str to str
        Why a position has no pictures, by position id.
    moved : set of str
        Those of them whose recording is not where it was.
    """

    results: Results
    missing: dict[str, str] = field(default_factory=dict)
    moved: set[str] = field(default_factory=set)
    _open: OrderedDict[str, Footage] = field(default_factory=OrderedDict, repr=False)
    _kept: OrderedDict[tuple[str, Cut], npt.NDArray[Any]] = field(default_factory=OrderedDict, repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False)
    _ahead: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "cicimage-ahead"), repr=False)
    _asked: list[Future[None]] = field(default_factory=list, repr=False)

    def footage(self, base: Base, place: Path | None = None) -> Footage | None:
        """The open recording of a position.

        Parameters
        ----------
        base : Base
            The position.
        place : Path, optional
            Where the recording lies now, if it was moved.

        Returns
        -------
        Footage or None
            None where it cannot be opened; ``missing`` says why.

        Raises
        ------
        RecordingError
            Another file lies at the place given.
        """
        with self._lock:
            return self._footage(base, place)

    def _footage(self, base: Base, place: Path | None = None) -> Footage | None:
        if place is not None:
            self.missing.pop(base.position_id, None)
            self.moved.discard(base.position_id)
        if base.position_id in self._open:
            self._open.move_to_end(base.position_id)
            return self._open[base.position_id]
        if base.position_id in self.missing:
            return None
        try:
            self._open[base.position_id] = open_footage(self.results, base, place)
        except MovedError as error:
            self.missing[base.position_id] = str(error)
            self.moved.add(base.position_id)
            return None
        except RecordingError as error:
            self.missing[base.position_id] = str(error)
            if place is not None:
                raise
            return None
        while len(self._open) > OPEN_RECORDINGS:
            self._open.popitem(last=False)[1].close()
        return self._open[base.position_id]

    def get(self, base: Base, cut: Cut) -> npt.NDArray[Any] | None:
        """One cut of a position's recording.

        Parameters
        ----------
        base : Base
            The position.
        cut : Cut
            Frame, slice and place.

        Returns
        -------
        (C, Z, side, side) or (C, side, side) array, or None
            All slices or one; None where the recording cannot be read.
        """
        key = (base.position_id, cut)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        picture = self._decode(base, cut)
        if picture is not None:
            with self._lock:
                self._kept[key] = picture
                while sum(p.nbytes for p in self._kept.values()) > KEPT_BYTES and len(self._kept) > 1:
                    self._kept.popitem(last=False)
        return picture

    def _decode(self, base: Base, cut: Cut) -> npt.NDArray[Any] | None:
        """Plane by plane, so that what is asked for on the screen need not wait for what is made beforehand."""
        planes = []
        for channel in base.setting.channels:
            stack = []
            for z in self._slices(base, cut):
                with self._lock:
                    footage = self._footage(base)
                    if footage is None:
                        return None
                    try:
                        plane = footage.recording.plane(cut.frame, channel, z)
                    except RecordingError:  # this plane cannot be decoded; the pipeline marked the frame missing
                        return None
                stack.append(window(plane, cut.box.y0, cut.box.x0, cut.box.side))
            planes.append(np.stack(stack) if cut.z is None else stack[0])
        return np.stack(planes)

    def _slices(self, base: Base, cut: Cut) -> Sequence[int]:
        footage = self.footage(base)
        depth = footage.recording.sizes["Z"] if footage is not None else 1
        return range(depth) if cut.z is None else [min(max(cut.z, 0), depth - 1)]

    def prepare(self, base: Base, cuts: Sequence[Cut], masks: Sequence[Key] = ()) -> None:
        """Make cuts and read masks in the background; what was asked for before and not begun is dropped.

        Parameters
        ----------
        base : Base
            The position.
        cuts : sequence of Cut
            Cuts to make.
        masks : sequence of Key
            Objects whose masks to read.
        """
        for future in self._asked:
            future.cancel()
        self._asked = [self._ahead.submit(self._make, base, cut) for cut in cuts]
        self._asked += [self._ahead.submit(self._read, base, key) for key in masks]

    def _make(self, base: Base, cut: Cut) -> None:
        self.get(base, cut)

    def _read(self, base: Base, key: Key) -> None:
        base.mask(key)

    def close(self) -> None:
        """Stop the background work and close the recordings."""
        for future in self._asked:
            future.cancel()
        self._ahead.shutdown(wait=True)
        with self._lock:
            for footage in self._open.values():
                footage.close()
            self._open.clear()
            self._kept.clear()
