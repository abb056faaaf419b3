"""The files that a position was made from, and whether they are still the same.

Sizes and times of all files of a recording, and of its folders, decide whether to look again; only another content
(SHA-256) is another input, so that a recording that was copied, moved or touched is not analysed again.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final, NamedTuple

from cicimage.errors import CicimageError, RecordingError, ResultsError
from cicimage.store import PositionFolder, read_json, write_json
from cicimage.tables import SCHEMA_VERSION

_BLOCK: Final = 1 << 20


class Member(NamedTuple):
    """One file of a recording.

    ``name`` relative to the folder the recording lies in, ``size`` in bytes, ``mtime_ns`` the time it was last written
    in ns, ``sha256`` of its content; empty where that was not read to the end.
    """

    name: str
    size: int
    mtime_ns: int
    sha256: str = ""


@dataclass(frozen=True)
class InputRecord:
    """Files of one recording as they were when it was analysed.

    Attributes
    ----------
    identity : mapping or None
        Short fingerprint of the input, as the keys of stages hold it.
    members : tuple of Member
        Its files, chunks and companions included, by name.
    folders : tuple of (str, int)
        Folders of a recording of several files and the time, ns, of their last change: a file may have been added.
    """

    identity: Mapping[str, Any] | None
    members: tuple[Member, ...]
    folders: tuple[tuple[str, int], ...] = ()

    @property
    def hashed(self) -> bool:
        """Whether the content of every file is known."""
        return all(m.sha256 for m in self.members)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(m.size for m in self.members)

    @property
    def content(self) -> str:
        """SHA-256 of the one file, or of the names and hashes of all; empty where it is not known."""
        if not self.hashed or len(self.members) == 1:
            return self.members[0].sha256 if self.hashed else ""
        return hashlib.sha256("".join(f"{m.sha256}  {m.name}\n" for m in self.members).encode()).hexdigest()


def read_record(folder: PositionFolder) -> InputRecord | None:
    """Read the record of a position; None where there is none, or it cannot be read.

    Parameters
    ----------
    folder : PositionFolder
        The position's results.
    """
    try:
        stored = read_json(folder.input) if folder.input.exists() else None
        if not isinstance(stored, dict) or stored.get("schema_version") != SCHEMA_VERSION:
            return None
        members = tuple(Member(str(n), int(s), int(t), str(h)) for n, s, t, h in stored["members"])
        return InputRecord(stored["identity"], members, tuple((str(n), int(t)) for n, t in stored["folders"]))
    except (ResultsError, KeyError, TypeError, ValueError, OverflowError):
        return None


def write_record(folder: PositionFolder, record: InputRecord) -> None:
    """Write the record of a position.

    Parameters
    ----------
    folder : PositionFolder
        The position's results.
    record : InputRecord
        What to write.

    Raises
    ------
    DiskFullError
        The disk is full.
    """
    write_json(
        folder.input,
        {
            "schema_version": SCHEMA_VERSION, "identity": record.identity,
            "members": [list(m) for m in record.members], "folders": [list(f) for f in record.folders],
        },
    )  # fmt: skip


def observe(path: Path, files: Iterable[Path], identity: Mapping[str, Any] | None) -> InputRecord:
    """List the files of a recording with sizes and times; opens none of them.

    Parameters
    ----------
    path : Path
        The recording.
    files : iterable of Path
        Files and folders that it is read from.
    identity : mapping or None
        Its short fingerprint.

    Raises
    ------
    RecordingError
        One of them is gone.
    """
    found: dict[str, os.stat_result] = {}
    several = list(files)
    for file in several:
        below = _files_below(file) if file.is_dir() else [file]
        found |= {_name(member, path): _stat(member) for member in below}
    members = tuple(Member(name, s.st_size, s.st_mtime_ns) for name, s in sorted(found.items()))
    folders: set[Path] = set()
    if len(members) > 1:
        folders = {_place(m.name, path).parent for m in members}
    for file in several:
        if file.is_dir():
            folders |= {file, *(Path(root) for root, _, _ in os.walk(file))}
    return InputRecord(identity, members, tuple(sorted((_name(f, path), _stat(f).st_mtime_ns) for f in folders)))


def looks_unchanged(record: InputRecord, path: Path) -> bool:
    """Whether all files and folders of a recording have the size and time they had; opens none of them.

    Parameters
    ----------
    record : InputRecord
        As it was.
    path : Path
        Where the recording lies now.
    """
    try:
        return all(_same_stat(m, _stat(_place(m.name, path))) for m in record.members) and all(
            _stat(_place(name, path)).st_mtime_ns == time for name, time in record.folders
        )
    except RecordingError:
        return False


def compare(record: InputRecord, now: InputRecord, path: Path, *, every: bool = False) -> InputRecord | None:
    """Compare the content of a recording with its record.

    Parameters
    ----------
    record : InputRecord
        As it was.
    now : InputRecord
        As :func:`observe` lists it now.
    path : Path
        Where the recording lies.
    every : bool
        Read also files of which size and time are the same.

    Returns
    -------
    InputRecord or None
        The record with the sizes and times of now; None where the content is another, or was not known.

    Raises
    ------
    RecordingError
        A file is gone or changes while it is read.
    """
    before = {m.name: m for m in record.members}
    if [m.name for m in now.members] != sorted(before) or any(m.size != before[m.name].size for m in now.members):
        return None
    members = []
    for member in now.members:
        known = before[member.name]
        look = every or member != known._replace(sha256="")
        if look and (not known.sha256 or _sha256(member, path) != known.sha256):
            return None
        members.append(member._replace(sha256=known.sha256))
    return replace(now, identity=record.identity, members=tuple(members))


def with_hashes(record: InputRecord, path: Path, tell: Callable[[int], None] = lambda _: None) -> InputRecord:
    """Read all files whose content is not known, and check that they do not change meanwhile.

    Parameters
    ----------
    record : InputRecord
        As listed before.
    path : Path
        Where the recording lies.
    tell : callable
        Told of bytes read so far.

    Raises
    ------
    RecordingError
        A file is gone or changed since it was listed.
    """
    read, members = 0, []
    for m in record.members:
        members.append(m if m.sha256 else m._replace(sha256=_sha256(m, path)))
        read += m.size
        tell(read)
    return replace(record, members=tuple(members))


class Hashing:
    """Reads the content of a recording in a thread beside its analysis, while its bytes are in memory anyway.

    Parameters
    ----------
    record : InputRecord
        As listed before the analysis.
    path : Path
        Where the recording lies.
    """

    def __init__(self, record: InputRecord, path: Path) -> None:
        self._record, self._path = record, path
        self._read, self._ended = 0, Event()
        self._result: InputRecord | None = None
        self._error: CicimageError | None = None
        Thread(target=self._work, daemon=True, name="hash of the input").start()

    def _work(self) -> None:
        try:
            self._result = with_hashes(self._record, self._path, self._note)
        except CicimageError as error:
            self._error = error
        except OSError as error:
            self._error = RecordingError(f"{self._path}: cannot be read any more ({error}); run again")
        finally:
            self._ended.set()

    def _note(self, read: int) -> None:
        self._read = read

    def finish(self, progress: Callable[[str, int, int], None]) -> InputRecord:
        """Wait for the end, and check that the recording is as it was when it was listed.

        Parameters
        ----------
        progress : callable
            Told ``("hash", MiB read, MiB in all)`` while it lasts.

        Raises
        ------
        RecordingError
            The recording changed while it was read.
        """
        while not self._ended.wait(1.0):
            progress("hash", self._read >> 20, max(self._record.size >> 20, 1))
        if self._error is not None:
            raise self._error
        for m in self._record.members:
            if not _same_stat(m, _stat(_place(m.name, self._path))):
                raise _changed_meanwhile(_place(m.name, self._path))
        if self._result is None:  # the thread ended by what is no error of the input
            raise RecordingError(f"{self._path}: its content could not be read; run again")
        return self._result


def _sha256(member: Member, path: Path) -> str:
    place = _place(member.name, path)
    if not _same_stat(member, _stat(place)):
        raise _changed_meanwhile(place)
    found = hashlib.sha256()
    try:
        with place.open("rb") as file:
            while block := file.read(_BLOCK):
                found.update(block)
    except OSError as error:
        raise RecordingError(f"{place}: cannot be read ({error.strerror or error}); copy the file again") from None
    if not _same_stat(member, _stat(place)):
        raise _changed_meanwhile(place)
    return found.hexdigest()


def _changed_meanwhile(place: Path) -> RecordingError:
    return RecordingError(
        f"{place}: must not change while it is analysed, and was written to meanwhile; run again once it is complete"
    )


def _same_stat(member: Member, found: os.stat_result) -> bool:
    return (member.size, member.mtime_ns) == (found.st_size, found.st_mtime_ns)


def _stat(place: Path) -> os.stat_result:
    try:
        found = place.stat()
    except OSError:
        raise RecordingError(f"{place}: is gone; put it back or take its row out of the layout") from None
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
        raise RecordingError(f"{place}: must be a regular file; take it out of the recording")
    return found


def _files_below(folder: Path) -> Sequence[Path]:
    return [Path(root) / name for root, _, names in os.walk(folder) for name in names]


def _name(file: Path, path: Path) -> str:
    """Name of a file relative to the recording's folder; absolute where they share none (drives of Windows)."""
    try:
        return os.path.relpath(file, path.parent).replace(os.sep, "/")
    except ValueError:
        return str(file)


def _place(name: str, path: Path) -> Path:
    return Path(os.path.normpath(os.path.join(path.parent, name)))
