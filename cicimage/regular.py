"""Kinds of files: only regular ones are read, since a pipe is waited for without end and a device never ends."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cicimage.errors import CicimageError, ResultsError

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


def refuse_foreign_folders(run: Path, keys: Mapping[str, str]) -> None:
    """Refuse results whose positions share a folder, or have one elsewhere: a folder from others may say so.

    Parameters
    ----------
    run : Path
        run.json of the results folder.
    keys : mapping of str to str
        Name of the folder by position.

    Raises
    ------
    ResultsError
        Names the two positions, or the folder.
    """
    root, first = run.parent, dict[str, str]()
    for position, key in keys.items():
        if key in first:
            raise ResultsError(
                f"{run}: each position must have a folder of its own, {position!r} and {first[key]!r} share {key}; "
                "re-run into a new folder"
            )
        first[key] = position
        _refuse_link(root / "positions" / key, root)
    _refuse_link(root / "positions", root)


def refuse_links_outside(folder: Path) -> None:
    """Refuse a position's folder in which something is a pipe or device, or leads out of it: it would be written to.

    Parameters
    ----------
    folder : Path
        The folder; it need not exist.

    Raises
    ------
    ResultsError
        Names the file or folder.
    """
    if not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.is_file(follow_symlinks=False) and not entry.is_dir(follow_symlinks=False):
                require_regular(Path(entry.path), ResultsError)
                _refuse_link(Path(entry.path), folder)


def _refuse_link(path: Path, folder: Path) -> None:
    if path.is_symlink() and leads_outside(path, folder):
        raise ResultsError(f"{path}: must lie within {folder}, is a link out of it; delete the link")
