"""Checks on readers of other packages: their exceptions name the package, and what they return is validated."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cicimage.errors import RecordingError
from cicimage.recording.foreign import brief
from cicimage.recording.recording import Metadata, PlaneError, Recording
from cicimage.recording.tiff_files import check_budget

SHOWN: Final = 60
"""Most characters of a file's name in a message."""
_SIZES: Final = ("um_per_px", "um_per_z", "frame_interval_s", "na", "medium_index")

_WORDS: Final = {
    "immersion": ("air", "water", "oil", "glycerol"),
    "modality": ("confocal", "spinning_disk", "widefield", "brightfield"),
}


@contextmanager
def named_faults(path: Path, source: str, doing: str, *, own: bool = False) -> Iterator[None]:
    """Turn whatever a reader raises into a RecordingError that names it.

    Parameters
    ----------
    path : Path
        The recording.
    source : str
        Reader and package, e.g. ``"reader 'Foo' of package foo-reader"``.
    doing : str
        What it was asked for, e.g. ``"open"``.
    own : bool
        Whether it is a built-in one, whose own sentences about a file need no name of a reader.

    Raises
    ------
    RecordingError
        The block failed. A PlaneError, which costs one frame, and a lack of memory pass as they are.
    """
    try:
        yield
    except (PlaneError, MemoryError):
        raise
    except RecordingError as error:
        if own:
            raise
        said = str(error)
        raise RecordingError(said if source in said else f"{said} ({source})") from error
    except (Exception, SystemExit) as error:
        if own and doing == "files" and isinstance(error, IndexError):
            raise  # there is no such series, as the contract has it
        if own and isinstance(error, OSError) and error.strerror:
            named = Path(str(error.filename or path)).name
            raise RecordingError(
                f"{path.name}: cannot be read, {named if len(named) <= SHOWN else named[:SHOWN] + '...'}: "
                f"{error.strerror}; check the file, its name and the disk it lies on"
            ) from error
        if own:
            raise RecordingError(
                f"{path.name}: {source} failed at {doing} ({brief(error)}); check that the file was copied whole, and "
                "report it to the authors of cicimage if it was"
            ) from error
        raise RecordingError(
            f"{path.name}: {source} failed at {doing} ({brief(error)}); report it to the authors of the package, or "
            "uninstall it"
        ) from error


class CheckedRecording(Recording):
    """A recording of another package's reader whose shapes, dtype and metadata are what the contract says.

    Parameters
    ----------
    path : Path
        What was asked for.
    inner : Recording
        What the reader returned; closed with this one.
    source : str
        Reader and package, for messages.
    memory_budget_bytes : int
        Most bytes that one plane may need.

    Raises
    ------
    RecordingError
        It is not a recording as the contract says.
    """

    def __init__(self, path: Path, inner: Any, source: str, memory_budget_bytes: int) -> None:
        self.path = path
        self._inner, self._source = inner, source
        if not isinstance(inner, Recording):
            raise self._wrong("what it opened", "must be a Recording", type(inner).__name__)
        try:
            with named_faults(path, source, "open"):
                sizes, self.dtype, self.metadata = dict(inner.sizes), np.dtype(inner.dtype), inner.metadata
                self._files = tuple(Path(f) for f in inner.files)
                self._check(sizes)
                self.sizes = {axis: int(sizes[axis]) for axis in "TCZYX"}
                self._check_metadata()
            check_budget(self.plane_bytes, path.name, memory_budget_bytes)
        except BaseException:
            with suppress(RecordingError):  # the first fault is the one to be told
                self.close()
            raise

    def _wrong(self, what: str, rule: str, value: object) -> RecordingError:
        return RecordingError(
            f"{self.path.name}: {self._source} returned a wrong recording: {what} {rule}, got {value}; report it to "
            "the authors of the package, or uninstall it"
        )

    def _check(self, sizes: dict[Any, Any]) -> None:
        whole = all(isinstance(n, int | np.integer) and not isinstance(n, bool) and n > 0 for n in sizes.values())
        if set(sizes) != set("TCZYX") or not whole:
            raise self._wrong("sizes", "must be whole numbers above 0 for T, C, Z, Y and X", sizes)
        if self.dtype.kind not in "uif" or not self.dtype.isnative:
            raise self._wrong("dtype", "must be of whole or floating numbers in native byte order", self.dtype)

    def _check_metadata(self) -> None:
        if not isinstance(self.metadata, Metadata):
            raise self._wrong("metadata", "must be a Metadata", type(self.metadata).__name__)
        for field, rule in _wrong_fields(self.metadata, self.sizes["T"], self.sizes["C"]):
            raise self._wrong(f"metadata.{field}", rule, repr(getattr(self.metadata, field)))

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file or folder that pixels are read from."""
        return self._files

    def plane(self, t: int, c: int, z: int) -> npt.NDArray[Any]:
        """Decode one (Y, X) plane and check its shape and dtype."""
        self._check_index(t, c, z)
        with named_faults(self.path, self._source, f"plane t={t}, c={c}, z={z}"):
            plane = np.asarray(self._inner.plane(t, c, z))
        if plane.shape != (self.sizes["Y"], self.sizes["X"]):
            rule = f"must have {self.sizes['Y']} x {self.sizes['X']} pixels"
            raise self._wrong(f"plane t={t}, c={c}, z={z}", rule, " x ".join(map(str, plane.shape)) or "one number")
        if plane.dtype != self.dtype:
            raise self._wrong(f"plane t={t}, c={c}, z={z}", f"must be of {self.dtype}", plane.dtype)
        return plane

    def close(self) -> None:
        """Release the file."""
        with named_faults(self.path, self._source, "close"):
            self._inner.close()


def _wrong_fields(meta: Metadata, n_t: int, n_c: int) -> Iterator[tuple[str, str]]:
    """Fields of metadata that are not as the contract says, with the rule that they break."""
    for field in _SIZES:
        value = getattr(meta, field)
        if value is not None and not (isinstance(value, int | float | np.number) and 0 < value < math.inf):
            yield field, "must be a number above 0 or None"
    for field, known in _WORDS.items():
        if getattr(meta, field) not in (None, *known):
            yield field, f"must be {' | '.join(known)} or None"
    for field in ("channel_names", "emission_um"):
        value = getattr(meta, field)
        if value is not None and (isinstance(value, str) or len(value) != n_c):
            yield field, f"must have {n_c} entries"
    for field in ("channel_names", "notes"):
        if not all(isinstance(text, str) for text in getattr(meta, field) or ()):
            yield field, "must be texts"
    if meta.time_s is not None and not _rising(np.asarray(meta.time_s), n_t):
        yield "time_s", f"must be {n_t} rising times"


def _rising(time_s: npt.NDArray[Any], n_t: int) -> bool:
    numbers = time_s.shape == (n_t,) and time_s.dtype.kind in "uif"
    return bool(numbers and np.isfinite(time_s).all() and (np.diff(time_s) > 0).all())
