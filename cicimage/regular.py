"""Kinds of files: only regular ones are read, since a pipe is waited for without end and a device never ends."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Final

from cicimage.errors import CicimageError

_KINDS: Final = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def special_kind(path: Path) -> str:
    """Kind of a path that is neither a regular file nor a folder, links followed; nothing is opened.

    Parameters
    ----------
    path : Path
        What to look at.

    Returns
    -------
    str
        Such as ``"a named pipe"``; empty for files, folders and paths that are not there.

    Examples
    --------
    >>> special_kind(Path("no such file"))
    ''
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return ""
    return next((kind for test, kind in _KINDS if test(mode)), "")


def require_regular(path: Path, error: type[CicimageError], *, most_bytes: int | None = None) -> None:
    """Refuse what is not a regular file before it is opened.

    Parameters
    ----------
    path : Path
        A file about to be read; that it is missing is left to whoever opens it.
    error : type of CicimageError
        Error to raise.
    most_bytes : int, optional
        Largest size of a file that is read as a whole, bytes.

    Raises
    ------
    CicimageError
        It is a pipe, socket or device, or too large.
    """
    kind = special_kind(path)
    if kind:
        raise error(f"{path}: must be a regular file, is {kind}; replace it by the file itself")
    if most_bytes is not None and path.is_file() and path.stat().st_size > most_bytes:
        raise error(
            f"{path}: must be at most {most_bytes / 2**20:.0f} MiB, is {path.stat().st_size / 2**20:.0f} MiB; "
            "check that it is the right file"
        )


def leads_outside(path: Path, folder: Path) -> bool:
    """Whether a path, links followed, lies outside a folder.

    Parameters
    ----------
    path : Path
        File or folder; it need not exist.
    folder : Path
        The folder that it should lie in.
    """
    try:
        return not path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # a circle of links
        return True
