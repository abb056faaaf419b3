"""The one door to recordings: which reader takes a file, and what is asked of it before anything is decoded."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from cicimage.errors import RecordingError
from cicimage.recording.bioio_recording import bioio_series, open_bioio, takes
from cicimage.recording.czi_directory import is_czi
from cicimage.recording.czi_recording import czi_series, open_czi
from cicimage.recording.ifd import is_tiff
from cicimage.recording.imagexpress import imagexpress_files, imagexpress_series, is_imagexpress, open_imagexpress
from cicimage.recording.lif_recording import is_lif, lif_series, open_lif
from cicimage.recording.metamorph import is_metamorph, metamorph_files, metamorph_series, open_metamorph
from cicimage.recording.name_pattern import is_pattern, open_pattern, pattern_files
from cicimage.recording.nd2_chunks import is_nd2
from cicimage.recording.nd2_recording import nd2_series, open_nd2
from cicimage.recording.one_slice import OneSlice
from cicimage.recording.operetta import find_index, open_operetta, operetta_files, operetta_series
from cicimage.recording.recording import DEFAULT_BUDGET_BYTES, Metadata, Recording
from cicimage.recording.tiff import open_tiff, tiff_series
from cicimage.recording.zarr_metadata import is_zarr
from cicimage.recording.zarr_recording import open_zarr, zarr_files, zarr_series


class Opener(Protocol):
    """Opens a path as one format."""

    def __call__(
        self,
        path: Path,
        *,
        axes: str | None,
        series: int | None,
        memory_budget_bytes: int,
        given: Collection[str],
    ) -> Recording:
        """Open, or raise RecordingError."""
        ...


@dataclass(frozen=True)
class Format:
    """A kind of recording. Another one is another row of :data:`FORMATS`.

    Attributes
    ----------
    name : str
        For people.
    matches : callable
        Whether a path with these first bytes (empty for folders) is of this kind.
    open : Opener
        Opens it.
    series : callable
        Names of the recordings within a path, in the order of ``--series``.
    files : callable
        Files and folders that one of them is read from, the one that names the others first.
    """

    name: str
    matches: Callable[[Path, bytes], bool]
    open: Opener
    series: Callable[[Path], tuple[str, ...]]
    files: Callable[[Path, int], tuple[Path, ...]] = lambda path, _: (path,)


FORMATS: Final[tuple[Format, ...]] = (
    Format(
        "files by name pattern",
        lambda path, _: is_pattern(path),
        open_pattern,
        lambda path: (path.name,),
        lambda path, _: pattern_files(path),
    ),
    Format("TIFF", lambda _, head: is_tiff(head), open_tiff, tiff_series),
    Format("ND2", lambda _, head: is_nd2(head), open_nd2, nd2_series),
    Format("CZI", lambda _, head: is_czi(head), open_czi, czi_series),
    Format("LIF", lambda _, head: is_lif(head), open_lif, lif_series),
    Format("OME-Zarr", lambda path, _: is_zarr(path), open_zarr, zarr_series, zarr_files),
    Format("Operetta", lambda path, _: find_index(path) is not None, open_operetta, operetta_series, operetta_files),
    Format("MetaMorph", is_metamorph, open_metamorph, metamorph_series, metamorph_files),
    Format(
        "ImageXpress", lambda path, _: is_imagexpress(path), open_imagexpress, imagexpress_series, imagexpress_files
    ),
    Format("whatever bioio reads, if installed", lambda path, _: takes(path), open_bioio, bioio_series),
)
_SUFFIXES: Final = (".tif", ".tiff", ".btf", ".tf8")


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
    opener = _format_of(path).open
    recording = opener(path, axes=axes, series=series, memory_budget_bytes=memory_budget_bytes, given=given)
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
    return _format_of(path).series(path)


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
    try:
        return tuple(f for f in _format_of(path).files(path, series or 0) if f.exists())
    except IndexError:
        raise RecordingError(f"{path.name}: has no series {series}; choose one that it has") from None


def is_there(path: Path) -> bool:
    """Whether a recording's file or folder is there; of a name with placeholders, whether a file fits it."""
    return bool(pattern_files(path)) if is_pattern(path) else path.exists()


def _format_of(path: Path) -> Format:
    head = _head(path)
    for kind in FORMATS:
        if kind.matches(path, head):
            return kind
    names = ", ".join(k.name for k in FORMATS)
    if path.is_dir():
        raise RecordingError(f"{path.name}: is a folder that holds no recording of its own; known are {names}")
    what = "TIFF file" if path.suffix.lower() in _SUFFIXES else "recording"
    raise RecordingError(
        f"{path.name}: not a {what} that can be read (starts with {head[:8]!r}); known are {names}: "
        "check that the file was copied whole and has its true extension"
    )


def _head(path: Path) -> bytes:
    if path.is_dir() or is_pattern(path):
        return b""
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise RecordingError(f"{path.name}: cannot be opened ({error.strerror}); check the path") from None
    if not head:
        raise RecordingError(f"{path.name}: empty (0 bytes); copy the file again from the microscope")
    return head


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

    Parameters are those of :func:`open_recording`.

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
