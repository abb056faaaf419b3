"""Libraries that read makers' formats: asked for by name where missing, their faults turned into one sentence."""

from __future__ import annotations

import importlib
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Final

from cicimage.errors import RecordingError
from cicimage.recording.recording import PlaneError

MOST_HEADER_BYTES: Final = 256 << 20
"""Longest part of a file beside its pixels; the XML of a day's recording takes some tens of MiB."""
# What such libraries were seen to raise on damaged files; anything else is a fault of ours and shall be seen.
FAULTS: Final = (
    OSError, ValueError, LookupError, RuntimeError, ArithmeticError, AttributeError, TypeError, AssertionError,
    EOFError, struct.error, zlib.error,
)  # fmt: skip


def require(module: str, extra: str, path: Path) -> ModuleType:
    """Import a reader's library.

    Parameters
    ----------
    module : str
        Name of the library.
    extra : str
        Extra of cicimage that installs it.
    path : Path
        Recording, for the message.

    Raises
    ------
    RecordingError
        It is not installed; says which extra brings it.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        raise RecordingError(
            f"{path.name}: reading this format needs {module}, which is not installed; "
            f"run: pip install 'cicimage[{extra}]'"
        ) from None


@contextmanager
def faults_of(path: Path, kind: str) -> Iterator[None]:
    """Turn what a reader's library raises into a RecordingError.

    Parameters
    ----------
    path : Path
        Recording, for the message.
    kind : str
        Name of the format.

    Raises
    ------
    RecordingError
        The library failed within the block.
    """
    try:
        yield
    except RecordingError:
        raise
    except (*FAULTS, MemoryError) as error:
        raise RecordingError(
            f"{path.name}: cannot be read as {kind} ({brief(error)}); copy the file again from the microscope"
        ) from error


@contextmanager
def faults_of_plane(path: Path, t: int, c: int, z: int) -> Iterator[None]:
    """Turn what a reader's library raises while it decodes a plane into a PlaneError.

    Parameters
    ----------
    path : Path
        Recording, for the message.
    t, c, z : int
        Which plane.

    Raises
    ------
    PlaneError
        The library failed within the block.
    RecordingError
        It asked for more memory than there is, which is no fault of one plane.
    """
    try:
        yield
    except MemoryError:
        raise RecordingError(
            f"{path.name}: plane t={t}, c={c}, z={z} asks for more memory than there is; copy the file again, or use "
            "fewer --workers"
        ) from None
    except FAULTS as error:
        raise PlaneError(path, t, c, z, brief(error)) from None


def require_short(name: str, what: str, length: int) -> None:
    """Refuse a part of a file that is read as a whole and says that it is longer than any such part is.

    Parameters
    ----------
    name : str
        File name for the message.
    what : str
        The part, such as ``"its header"``.
    length : int
        Bytes that it declares.

    Raises
    ------
    RecordingError
        It is too long.
    """
    if length > MOST_HEADER_BYTES:
        raise RecordingError(
            f"{name}: {what} declares {length} bytes; at most {MOST_HEADER_BYTES} are read: copy the file again from "
            "the microscope"
        )


def brief(error: BaseException) -> str:
    """First line of an error with its kind, short enough for a sentence."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:160]}" if text else type(error).__name__


def choose_series(path: Path, names: tuple[str, ...], series: int | None) -> int:
    """Index of the series to be read.

    Parameters
    ----------
    path : Path
        Recording, for the message.
    names : tuple of str
        Names of its series.
    series : int or None
        The one asked for, 0-based; None takes the only one.

    Raises
    ------
    RecordingError
        There are several and none was chosen, or not that one.
    """
    if series is None and len(names) == 1:
        return 0
    if series is not None and 0 <= series < len(names):
        return series
    listed = ", ".join(f"{i} {n!r}" for i, n in enumerate(names[:6])) + (", ..." if len(names) > 6 else "")
    asked = "" if series is None else f"; --series {series} is not one of them"
    raise RecordingError(
        f"{path.name}: holds {len(names)} series ({listed}){asked}; choose --series 0 to {len(names) - 1}, "
        'or take each as a recording by series = "all" in [files]'
    )
