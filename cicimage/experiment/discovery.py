"""From a folder to its recordings: files, exports of many files, fields within them, and what is left unread."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cicimage.errors import RecordingError, counted
from cicimage.experiment.schema import FilesSection
from cicimage.guard import ask
from cicimage.recording import series_names
from cicimage.recording.reader import Listing
from cicimage.recording.reader_registry import (
    broken_readers,
    file_suffixes,
    folder_suffixes,
    installed_readers,
)

_PICTURES: Final = (".avi", ".gif", ".jpeg", ".jpg", ".mov", ".mp4", ".mrc", ".png", ".stk", ".xdce")
"""Endings of pictures and movies that are no recordings by themselves: named, so that nobody misses them."""

_SHOWN: Final = 80
"""Most characters of a path in a sentence."""
_ROW_COLUMN: Final = re.compile(r"r(\d{1,2})c(\d{1,2})/(\w+)")
WELL_FIELD: Final = re.compile(r"[A-Z]{1,2}\d{2}_f\w+")
"""A field of a plate's well, as :func:`field_name` writes it."""
_WELL: Final = re.compile(r"([A-Za-z]{1,2})/?(\d{1,2})/(\w+)")


@dataclass(frozen=True)
class Found:
    """A recording whose place in the design is not known yet.

    Attributes
    ----------
    path : Path
        File or folder.
    stem : str
        Its path below the root without extensions; of a field within a file or an export, with the field behind.
    series : int or None
        Which one of the path's recordings; None where it holds one, or where none was chosen.
    """

    path: Path
    stem: str
    series: int | None = None


def find_recordings(root: Path, files: FilesSection) -> list[Found]:
    """Recordings below a folder, in the order of their names.

    With ``series = "all"`` each field of a plate, stage position, scene or image of a file is one of its own. A file
    that cannot be read is one recording, whose position will say why.

    Parameters
    ----------
    root : Path
        Folder.
    files : FilesSection
        Whether each recording within a file or export is one of its own.
    """
    found = []
    for path in sorted(_containers(root)):
        below = path.relative_to(root).as_posix()
        stem = "" if below == "." else strip_suffix(below)
        if files.series != "all":
            found.append(Found(path, stem or path.name))
            continue
        names = _fields(path)
        if len(names) == 1 and not WELL_FIELD.fullmatch(names[0]):
            found.append(Found(path, stem or names[0] or path.name))
        else:
            found += [Found(path, f"{stem}/{name}" if stem else name, i) for i, name in enumerate(names)]
    return found


def strip_suffix(name: str) -> str:
    """A name without the ending of a recording."""
    endings = (*file_suffixes(), *file_suffixes(installed=False), *folder_suffixes())
    lower = name.lower()
    return next((name[: -len(s)] for s in sorted(endings, key=len, reverse=True) if lower.endswith(s)), name)


def endings_said() -> str:
    """Endings of recordings that can be read, for messages."""
    return ", ".join((*file_suffixes(), *folder_suffixes()))


def field_name(series: str) -> str:
    """A recording within a file or export as part of a position's name; wells and fields as ``B02_f1``.

    Examples
    --------
    >>> field_name("r02c03/1"), field_name("B/2/0"), field_name("C07/2"), field_name("Series/left")
    ('B03_f1', 'B02_f0', 'C07_f2', 'Series-left')
    """
    if match := _ROW_COLUMN.fullmatch(series):
        return f"{_row(int(match[1]))}{int(match[2]):02d}_f{match[3]}"
    if match := _WELL.fullmatch(series):
        return f"{match[1].upper()}{int(match[2]):02d}_f{match[3]}"
    return re.sub(r"[/\\_]+", "-", series.strip()) or "unnamed"


def _row(number: int) -> str:
    """Letters of a plate's row, 1-based: A to Z, then AA."""
    number = max(number, 1)
    return chr(64 + number) if number <= 26 else chr(64 + (number - 1) // 26) + chr(65 + (number - 1) % 26)


def _fields(path: Path) -> list[str]:
    """Name of each recording of a path, each once."""
    try:
        names = [field_name(s) for s in ask(path, series_names, path)]
    except RecordingError:
        return [""]
    return [n if names.count(n) == 1 else f"{n}-{i}" for i, n in enumerate(names)]


def _containers(root: Path) -> Iterator[Path]:
    """Files and folders that hold recordings; what belongs to one of them is not looked at by itself."""
    for folder, below, names in os.walk(root):
        here = Path(folder)
        listing = Listing(here, True, True, tuple(names), tuple(below))
        export, parts = _ask_readers(listing, {})  # what fails is said by `unread`
        if export:
            below.clear()
            yield here
            continue
        if _is_results(here):
            below.clear()
            continue
        stacks = [d for d in below if d.lower().endswith(folder_suffixes())]
        yield from (here / d for d in stacks)
        below[:] = [d for d in below if d not in stacks and not d.startswith(".")]
        for name in names:
            sought = name.lower().endswith(file_suffixes()) and not name.startswith(".")
            if sought and name not in parts and _is_file(here / name):
                yield here / name


def _is_file(path: Path) -> bool:
    """A file, or a link that leads nowhere, which its position will say; a pipe would be waited for for ever."""
    try:
        return path.is_file() or not path.exists()
    except OSError:  # its path is too long, which its position will say
        return True


def _ask_readers(listing: Listing, failed: dict[str, str]) -> tuple[bool, frozenset[str]]:
    """Whether a folder is a recording as a whole (the export of a plate), and which files belong to others in it.

    A reader of another package that fails is left out, and its sentence kept in ``failed``.
    """
    parts = frozenset[str]()
    for one in installed_readers():
        try:
            if one.reader.exports and one.recognises(listing, b""):
                return True, frozenset()
            parts |= one.parts(listing)
        except RecordingError as error:
            failed.setdefault(one.source, str(error))
    return False, parts


def _is_results(folder: Path) -> bool:
    try:
        return (folder / "run.json").is_file() and (folder / "positions").is_dir()
    except OSError:  # nested deeper than paths may be long; what lies below cannot be listed, which is said
        return False


def unread(root: Path, files: FilesSection, found: list[Found], read: set[str]) -> tuple[str, ...]:
    """Sentences on what looks like a recording below a folder and is not read, each kind once.

    Parameters
    ----------
    root : Path
        Folder.
    files : FilesSection
        Its pattern is named.
    found : list of Found
        All recordings.
    read : set of str
        Stems of those that became positions.
    """
    said = []
    astray = [f.stem for f in found if f.stem not in read]
    if astray:
        said.append(
            f"not read: {counted(len(astray), 'recording')} that {'does' if len(astray) == 1 else 'do'} not fit "
            f"{files.pattern!r} ({_few(astray)}); move them, or set files.pattern"
        )
    failed = dict[str, str]()
    foreign, links, closed = _strangers(root, failed)
    said += [f"not read: what one reader would take; {sentence}" for sentence in (*broken_readers(), *failed.values())]
    if foreign:
        said.append(
            f"not read: {counted(len(foreign), 'file or folder', 'files and folders')} of a kind that is no recording "
            f"({_few(foreign)}); export them as OME-TIFF if they are meant, or install bioio with the plugin for them"
        )
    if links:
        said.append(
            f"not read: {counted(len(links), 'link')} to another folder ({_few(links)}); links to folders are not "
            "followed: move or mount the folder itself"
        )
    if closed:
        said.append(
            f"not read: {counted(len(closed), 'folder')} that cannot be listed ({_few(closed)}); ask for the right to "
            "read them, or take them out of the folder"
        )
    return tuple(said)


def _strangers(root: Path, failed: dict[str, str]) -> tuple[list[str], list[str], list[str]]:
    """Pictures without a reader, links to folders, and folders that cannot be listed, below a folder."""
    foreign, links, closed = list[str](), list[str](), list[str]()

    def note(error: OSError) -> None:
        closed.append(f"{_brief_path(os.path.relpath(error.filename, root))}: {error.strerror}")

    read = file_suffixes()
    strange = tuple({*_PICTURES, *file_suffixes(installed=False)} - set(read))
    for folder, below, names in os.walk(root, onerror=note):
        here = Path(folder)
        export, parts = _ask_readers(Listing(here, True, True, tuple(names), tuple(below)), failed)
        if export or _is_results(here):
            below.clear()
            continue
        foreign += [(here / d).relative_to(root).as_posix() + "/" for d in below if d.lower().endswith(read)]
        foreign += [(here / n).relative_to(root).as_posix() for n in names if not _is_file(here / n)]
        links += [(here / d).relative_to(root).as_posix() for d in below if os.path.islink(here / d)]
        below[:] = [d for d in below if not d.startswith(".") and not d.lower().endswith(folder_suffixes())]
        foreign += [
            (here / n).relative_to(root).as_posix()
            for n in names
            if n.lower().endswith(strange) and not n.startswith(".") and n not in parts
        ]
    return sorted(foreign), sorted(links), sorted(closed)


def _brief_path(path: str) -> str:
    """A path as sentences show it: of a long one the start alone."""
    return path if len(path) <= _SHOWN else path[:_SHOWN] + "..."


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
