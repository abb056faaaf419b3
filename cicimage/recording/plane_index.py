"""Recordings of many small files: one TIFF per plane or stack, placed at (t, c, z) by names or an index file.

:class:`PlaneIndex` serves every reader of such files (Operetta, ImageXpress, MetaMorph, file names): it turns the
numbers or words that files carry into indices, and refuses two files for one plane, missing planes, and frames that
are missing as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from cicimage.errors import RecordingError, counted
from cicimage.recording.arrangement import Arrangement
from cicimage.recording.ifd import Ifd
from cicimage.recording.recording import Metadata
from cicimage.recording.scale import MetadataValidator
from cicimage.recording.tiff_files import TiffFiles

Place = tuple[int, int, int]
Label = int | float | str | None
"""What a file carries of a time, channel or slice: a number, a word, or nothing."""
Entry = TypeVar("Entry")
EVEN: Final = 0.1
"""Largest difference between steps of a stage in z that counts as even, of the largest step."""
NAMED: Final = 6
"""Most missing time points that a note names."""


@dataclass(frozen=True)
class PlaneFile:
    """Location of one plane: a file, and which of its pages."""

    path: Path
    page: int = 0


@dataclass(frozen=True, eq=False)
class PlaneIndex(Generic[Entry]):
    """The planes of one field of view.

    Attributes
    ----------
    name : str
        Recording for messages.
    planes : mapping of (t, c, z) to entry
        Indices from 0, in the order of the labels; an entry is what the reader knows of the plane.
    times, channels, slices : tuple
        Label of each index.
    """

    name: str
    planes: Mapping[Place, Entry]
    times: tuple[Label, ...]
    channels: tuple[Label, ...]
    slices: tuple[Label, ...]

    @classmethod
    def of(
        cls,
        name: str,
        labelled: Iterable[tuple[tuple[Label, Label, Label], Entry]],
        twins: Callable[[Place, Entry, Entry], str],
    ) -> PlaneIndex[Entry]:
        """Place planes by their labels.

        Parameters
        ----------
        name : str
            Recording for messages.
        labelled : iterable of ((time, channel, slice), entry)
            Numbers are ordered by value, words by the alphabet behind them.
        twins : callable
            Sentence on two entries of one plane, given its indices and both.

        Raises
        ------
        RecordingError
            Two entries are the same plane.
        """
        given = list(labelled)
        times, channels, slices = (sorted({labels[k] for labels, _ in given}, key=_rank) for k in range(3))
        at = [{label: i for i, label in enumerate(axis)} for axis in (times, channels, slices)]
        planes: dict[Place, Entry] = {}
        for (t, c, z), entry in given:
            place = at[0][t], at[1][c], at[2][z]
            if place in planes:
                raise RecordingError(twins(place, planes[place], entry))
            planes[place] = entry
        return cls(name, planes, tuple(times), tuple(channels), tuple(slices))

    @property
    def lengths(self) -> Place:
        """Numbers of times, channels and slices."""
        return len(self.times), len(self.channels), len(self.slices)

    def clock(self, validator: MetadataValidator, seconds: Callable[[Entry], float]) -> npt.NDArray[np.float64] | None:
        """Times of the frames from the first on, s, by the first channel and slice; None where they are not known.

        Parameters
        ----------
        validator : MetadataValidator
            Takes notes on times that cannot be clock times.
        seconds : callable
            Time of a plane on any clock, s; NaN where it is not written.
        """
        firsts = [self.planes.get((t, 0, 0)) for t in range(len(self.times))]
        found = np.array([np.nan if entry is None else seconds(entry) for entry in firsts])
        return validator.times(found, len(self.times))

    def arrange(
        self,
        located: Callable[[Entry], PlaneFile],
        files: TiffFiles,
        metadata: Metadata,
        pages_of: Mapping[Path, tuple[Ifd, ...]] | None = None,
        heights_um: Sequence[float] | None = None,
    ) -> Arrangement:
        """Read the layouts of the files and refuse what is missing.

        A channel of one slice beside channels of many is allowed; reading its other slices raises. Where no clock times
        are known, the numbers of time points are values: one that is left out is a frame whose planes raise PlaneError.

        Parameters
        ----------
        located : callable
            File and page of an entry.
        files : TiffFiles
            Reads the layouts.
        metadata : Metadata
            Units, and the names of the channels for messages.
        pages_of : mapping, optional
            Pages of files whose layout was read before.
        heights_um : sequence of float, optional
            Heights of the slices as the files state them, NaN where they state none: where they are known they decide
            whether slices are missing, else the slices' numbers.

        Raises
        ------
        RecordingError
            A plane or a slice is missing, time points are not numbered in equal steps, or a file is not sound.
        """
        n_t, n_c, n_z = self.lengths
        if n_t * n_c * n_z > 4 * len(self.planes) * n_z:
            raise RecordingError(self._too_few(n_t * n_c * n_z, (0, 0, 0)))
        where = np.full((n_t, n_c, n_z), -1, np.int64)
        pages: list[tuple[Path, Ifd]] = []
        starts: dict[Path, tuple[int, int]] = {}
        for place, entry in sorted(self.planes.items(), key=lambda item: item[0]):
            plane = located(entry)
            if plane.path not in starts:
                known = pages_of.get(plane.path) if pages_of else None
                held = files.layout(plane.path).images if known is None else known
                starts[plane.path] = len(pages), len(held)
                pages.extend((plane.path, page) for page in held)
            start, count = starts[plane.path]
            if plane.page >= count:
                raise RecordingError(
                    f"{plane.path.name}: declares at least {plane.page + 1} planes, found {count}; not zero-filled: "
                    "copy or export the file again"
                )
            where[place] = start + plane.page
        self._refuse_gaps(where, metadata.channel_names)
        self._refuse_missing_slices(heights_um)
        if metadata.time_s is None:
            where, metadata = self._with_missing_frames(where, metadata)
        return Arrangement(tuple(pages), where, np.zeros(n_c, np.int64), metadata)

    def _refuse_gaps(self, where: npt.NDArray[np.int64], names: tuple[str, ...] | None) -> None:
        n_t, n_c, n_z = where.shape
        deep = [1 + max((z for _, c, z in self.planes if c == channel), default=-1) for channel in range(n_c)]
        for channel in range(n_c):
            if deep[channel] not in (1, n_z):
                name = names[channel] if names else f"channel {self.channels[channel] or 0}"
                raise RecordingError(
                    f"{self.name}: channel {name!r} has {deep[channel]} slices, others {n_z}; each must have "
                    "all slices or one: export them alike"
                )
            gaps = np.argwhere(where[:, channel, : deep[channel]] < 0)
            if len(gaps):
                raise RecordingError(self._too_few(n_t * sum(deep), (int(gaps[0][0]), channel, int(gaps[0][1]))))

    def _refuse_missing_slices(self, heights_um: Sequence[float] | None) -> None:
        """Slices must lie in equal steps by the heights that files state, by their numbers where they state none."""
        spacing = np.diff(heights_um if heights_um is not None else [])
        if len(spacing) and np.isfinite(spacing).all():
            k = int(np.argmax(abs(spacing)))
            if np.ptp(spacing) <= EVEN * abs(spacing[k]):
                return
            raise RecordingError(
                f"{self.name}: slices must lie in equal steps, those numbered {self.slices[k]} and "
                f"{self.slices[k + 1]} lie {abs(spacing[k]):.3g} um apart, others {abs(spacing).min():.3g} um; copy "
                "the slices that are missing, or export the stack again"
            )
        gap = _first_gap(self.slices)
        if gap is None:
            return
        before, behind = self.slices[gap], self.slices[gap + 1]
        raise RecordingError(
            f"{self.name}: slices must be numbered in equal steps, {before} is followed by {behind}, so slices in "
            "between are missing; copy them, or export the stack again"
        )

    def _with_missing_frames(
        self, where: npt.NDArray[np.int64], metadata: Metadata
    ) -> tuple[npt.NDArray[np.int64], Metadata]:
        """Frames for the numbers of time points that have no files, with no planes in them, and a note on them.

        Without clock times the number of a time point is its time: were a gap closed, all frames behind it would move.
        """
        gap = _first_gap(self.times)
        if gap is None:
            return where, metadata
        numbers = np.array([_rank(label)[0] for label in self.times])
        step = np.diff(numbers).min()
        at = (numbers - numbers[0]) / step
        if (at % 1).any() or at[-1] + 1 > 2 * len(at):
            raise RecordingError(
                f"{self.name}: has no clock times, and its time points must be numbered in equal steps, "
                f"{self.times[gap]} is followed by {self.times[gap + 1]}; copy the missing files, or take the time "
                "points behind the gap away"
            )
        whole = np.full((int(at[-1]) + 1, *where.shape[1:]), -1, np.int64)
        whole[at.astype(int)] = where
        absent = numbers[0] + step * np.setdiff1d(np.arange(len(whole)), at.astype(int))
        shown = ", ".join(f"{n:g}" for n in absent[:NAMED]) + (
            f" and {len(absent) - NAMED} more" * (len(absent) > NAMED)
        )
        note = f"{self.name}: no files for time points {shown}; these frames are missing, and the clock runs on"
        return whole, replace(metadata, notes=(*metadata.notes, note))

    def _too_few(self, declared: int, first: Place) -> str:
        t, c, z = first
        return (
            f"{self.name}: declares {counted(declared, 'plane')}, found {len(self.planes)} (first missing t={t}, "
            f"c={c}, z={z}); not zero-filled: copy the missing files, or take the unfinished last time point away"
        )


def _first_gap(labels: tuple[Label, ...]) -> int | None:
    """Index before the first step between numbers that is larger than the smallest one; None where there is none."""
    steps = np.diff([_rank(label)[0] for label in labels])
    uneven = np.flatnonzero(steps > steps.min()) if len(steps) else steps
    return int(uneven[0]) if len(uneven) else None


def _rank(label: Label) -> tuple[float, str]:
    """Order of a label: nothing and words first, by the alphabet, then numbers by value."""
    if isinstance(label, int | float):
        return float(label), ""
    return (float(label), label) if label is not None and label.isdecimal() else (-1.0, label or "")
