"""Locks on results folders and positions, freed by the kernel however their holder ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from cicimage.errors import ResultsError
from cicimage.store import telling_full_disk

try:
    import fcntl
except ImportError:  # Windows has no flock; one run at a time is then the user's care
    fcntl = None  # type: ignore[assignment]


def _taken(file: IO[str]) -> bool:
    """Whether the lock is ours now; without ``fcntl`` (Windows) there is none to take."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextmanager
def lock(path: Path, what: str, *, patience_s: float = 0.0) -> Iterator[None]:
    """Hold an exclusive lock; the kernel releases it when the process dies, however it dies.

    Parameters
    ----------
    path : Path
        File that stands for what is locked.
    what : str
        Its name in the error.
    patience_s : float
        Seconds to wait for a process that is about to let go.

    Raises
    ------
    ResultsError
        Another live process holds it.
    """
    with telling_full_disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    with path.open("a") as file:
        if fcntl is not None:
            deadline = time.monotonic() + patience_s
            while not _taken(file):
                if time.monotonic() < deadline:
                    time.sleep(0.02)
                    continue
                raise ResultsError(
                    f"{path.parent}: another run holds {what}; wait for it to end or choose another folder with -o"
                )
        yield
