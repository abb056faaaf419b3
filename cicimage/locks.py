"""Locks on results folders and positions, released by the kernel however their holder ends."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cicimage.errors import ResultsError
from cicimage.regular import leads_outside, require_regular
from cicimage.store import disk_full_as_error

try:
    import fcntl
except ImportError:  # Windows
    import msvcrt

    fcntl = None  # type: ignore[assignment]

BYTE: Final = 0x7FFF0000
"""Offset of the byte that Windows locks: beyond every file's end, since a locked byte is unreadable to others."""


def take(file: int) -> bool:
    """Try to take the exclusive lock of an open file without waiting; closing the file releases it.

    Parameters
    ----------
    file : int
        Descriptor, open for writing.

    Returns
    -------
    bool
        Whether the lock was taken; False where another open descriptor holds it.
    """
    try:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            os.lseek(file, BYTE, os.SEEK_SET)
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
    except OSError:
        return False
    return True


@contextmanager
def lock(path: Path, what: str, *, patience_s: float = 0.0) -> Iterator[None]:
    """Hold an exclusive lock; the kernel releases it when the process dies, however it dies.

    Parameters
    ----------
    path : Path
        Lock file of the locked folder.
    what : str
        Name of the locked object in the error.
    patience_s : float
        Longest wait for the lock, s.

    Raises
    ------
    ResultsError
        Another live process holds it.
    """
    require_regular(path, ResultsError)
    if leads_outside(path, path.parent):
        raise ResultsError(f"{path}: must be a file of its own folder, is a link out of it; delete the link")
    with disk_full_as_error(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    with path.open("ab") as file:
        deadline = time.monotonic() + patience_s
        while not take(file.fileno()):
            if time.monotonic() < deadline:
                time.sleep(0.02)
                continue
            raise ResultsError(
                f"{path.parent}: another run holds {what}; wait for it to end or choose another folder with -o"
            )
        yield
