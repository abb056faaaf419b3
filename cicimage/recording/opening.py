"""Opens recordings: the first installed reader that recognises a path reads it; nothing is decoded before checks."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from cicimage.errors import RecordingError
from cicimage.recording.axes import parse_axes
from cicimage.recording.name_pattern import is_pattern, pattern_files
from cicimage.recording.one_slice import OneSlice
from cicimage.recording.reader import Listing, ReadOptions
from cicimage.recording.reader_registry import (
    InstalledReader,
    broken_readers,
    installed_readers,
    read_head,
    reader_of,
)
from cicimage.recording.recording import DEFAULT_BUDGET_BYTES, Metadata, Recording


def open_recording(
    path: str | Path,
    *,
    axes: str | None = None,
    series: int | None = None,
    z_slice: int | None = None,
    memory_budget_bytes: int = DEFAULT_BUDGET_BYTES,
    given: Collection[str] = (),
) -> Recording:
    """Open a recording after it has passed the gate; nothing is decoded yet.

    Parameters
    ----------
    path : str or Path
        File or folder.
    axes : str, optional
        Order of planes where the file does not say, e.g. ``"TCYX"`` or ``"TC2YX"``; with ``"!"`` behind it goes
        before what the file says.
    series : int, optional
        Which image of the file, 0-based; needed where there are several.
    z_slice : int, optional
        Read this slice of a stack alone, 0-based, as a recording of one focal plane.
    memory_budget_bytes : int
        Most bytes that one plane may need.
    given : collection of str
        Fields of :class:`Metadata` that the experiment file supplies: a bad value of the file is then noted
        in ``metadata.notes`` and not refused.

    Returns
    -------
    Recording
        To be closed; a context manager.

    Raises
    ------
    RecordingError
        The file is not sound, or what it declares is not what it holds.
    """
    path = Path(path)
    reader = _reader(path)
    if axes is not None and not reader.reader.axes_overrule and parse_axes(axes).overrules:
        raise RecordingError(
            f"{path.name}: axes {axes!r} must be without '!', those of {reader.reader.name} cannot be overruled; mend "
            "axes in [files] of the experiment file, or save the recording as TIFF"
        )
    recording = reader.open(path, ReadOptions(axes, series, memory_budget_bytes, given))
    return recording if z_slice is None else OneSlice(recording, z_slice)


def series_names(path: str | Path) -> tuple[str, ...]:
    """Names of the recordings within a path, in the order of ``series``; one for most files.

    Plates give ``well/field``; stage positions, scenes and images their names.

    Raises
    ------
    RecordingError
        The file is not sound.
    """
    path = Path(path)
    return _reader(path).series(path)


def recording_files(path: str | Path, series: int | None = None) -> tuple[Path, ...]:
    """Files and folders that a recording is read from; of a plate those of one field only.

    Parameters
    ----------
    path : str or Path
        File, folder, or name with placeholders.
    series : int, optional
        Which of its recordings; the first by default.

    Raises
    ------
    RecordingError
        What names the files is not sound, or there is no such series.
    """
    path = Path(path)
    return tuple(f for f in _reader(path).files(path, series or 0) if f.exists())


def is_there(path: Path) -> bool:
    """Whether a recording's file or folder is there; of a name with placeholders, whether a file fits it."""
    return bool(pattern_files(path)) if is_pattern(path) else path.exists()


def _reader(path: Path) -> InstalledReader:
    listing = Listing.of(path)
    head = b"" if listing.is_folder or is_pattern(path) else read_head(path)
    found = reader_of(listing, head)
    if found is not None:
        return found
    names = ", ".join(r.reader.name for r in installed_readers())
    broken = "".join(f"; {sentence}" for sentence in broken_readers())
    if listing.is_folder:
        raise RecordingError(f"{path.name}: is a folder that holds no recording of its own; known are {names}{broken}")
    readers = [r.reader for r in installed_readers() if not r.reader.fallback]
    expected = next((r.name for r in readers if path.name.lower().endswith(r.suffixes)), None)
    what = "recording" if expected is None else f"{expected} file"
    raise RecordingError(
        f"{path.name}: not a {what} that can be read (starts with {head[:8]!r}); known are {names}: "
        f"check that the file was copied whole and has its true extension{broken}"
    )


@dataclass(frozen=True, eq=False)
class Preflight:
    """What a sound recording will need.

    Attributes
    ----------
    path : Path
        The recording.
    sizes : dict
        Lengths of T, C, Z, Y, X.
    dtype : str
        Pixel type.
    metadata : Metadata
        Units and names as the file says them.
    plane_bytes, frame_bytes, decoded_bytes : int
        Decoded bytes of one plane, one frame, the whole movie.
    """

    path: Path
    sizes: dict[str, int]
    dtype: str
    metadata: Metadata
    plane_bytes: int
    frame_bytes: int
    decoded_bytes: int


def preflight(
    path: str | Path,
    *,
    axes: str | None = None,
    series: int | None = None,
    z_slice: int | None = None,
    memory_budget_bytes: int = DEFAULT_BUDGET_BYTES,
    given: Collection[str] = (),
) -> Preflight:
    """Put a recording through the gate and say what it will need; no plane is decoded.

    Parameters
    ----------
    path : str or Path
        File or folder.
    axes : str, optional
        Order of planes where the file does not say.
    series : int, optional
        Which image of the file, 0-based.
    z_slice : int, optional
        Slice of a stack that is read alone, 0-based.
    memory_budget_bytes : int
        Most bytes that one plane may need.
    given : collection of str
        Fields of :class:`Metadata` that the experiment file supplies.

    Returns
    -------
    Preflight
        Sizes, units and bytes.

    Raises
    ------
    RecordingError
        The file is not sound, or what it declares is not what it holds.
    """
    with open_recording(
        path, axes=axes, series=series, z_slice=z_slice, memory_budget_bytes=memory_budget_bytes, given=given
    ) as recording:
        return Preflight(
            recording.path,
            dict(recording.sizes),
            str(recording.dtype),
            recording.metadata,
            recording.plane_bytes,
            recording.frame_bytes,
            recording.frame_bytes * recording.sizes["T"],
        )
