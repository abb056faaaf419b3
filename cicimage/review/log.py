"""The log of a review, a file that only grows: one JSON object a line, bound to the one before by its hash.

Every record is flushed to the disk before the call returns, so that a crash at any moment loses at most the record
in hand. Undo and redo are records too: what was undone stays readable, and undo survives a restart.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from cicimage.errors import ConfigurationError, ResultsError
from cicimage.locks import take
from cicimage.store import DiskFullError, atomic

LOG_VERSION: Final = 1
ADJUDICATED: Final = "adjudicated"
"""Name of the log that settles what reviewers saw differently."""
_BINARY: Final = getattr(os, "O_BINARY", 0)
"""Windows would write CR LF for LF without it: the log would be longer than what was written."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_FIRST: Final = "0" * 64


@dataclass(frozen=True)
class Record:
    """One line of a log.

    Attributes
    ----------
    n : int
        Running number, the header is 0.
    time : str
        When it was written, ISO 8601 in UTC.
    kind : str
        header | edit | undo | redo | shown | unblind | finish.
    body : mapping
        What the kind needs: ``edit`` (the edit's fields), ``of`` (number of the record undone or redone), ...
    hash : str
        SHA-256 of this line, the hash of the line before included.
    """

    n: int
    time: str
    kind: str
    body: Mapping[str, Any]
    hash: str


@dataclass(frozen=True)
class Reading:
    """A log as read: its records, the bytes that are whole, and what was dropped from the end."""

    records: tuple[Record, ...]
    whole_bytes: int = 0
    torn: bytes = b""
    notes: tuple[str, ...] = ()

    @property
    def header(self) -> Mapping[str, Any]:
        """Body of the header; empty where the log is empty."""
        return self.records[0].body if self.records else {}


def review_folder(root: Path) -> Path:
    """Folder of the logs in a results folder."""
    return Path(root) / "review"


def log_path(root: Path, reviewer: str) -> Path:
    """File of one reviewer's log in a results folder.

    Parameters
    ----------
    root : Path
        The results folder.
    reviewer : str
        Name of the reviewer.

    Returns
    -------
    Path
        ``review/NAME.jsonl`` in the folder.

    Raises
    ------
    ConfigurationError
        The name cannot be a file name on every system.

    Examples
    --------
    >>> log_path(Path("out"), "anna").as_posix()
    'out/review/anna.jsonl'
    """
    if not _NAME.fullmatch(reviewer):
        raise ConfigurationError(
            f"reviewer name {reviewer!r} must be 1 to 64 letters, digits, '_', '-' or '.', starting with a letter or "
            "digit; choose another one with --reviewer"
        )
    return review_folder(root) / f"{reviewer}.jsonl"


def reviewers(root: Path) -> list[str]:
    """Names of those who have a log in a results folder, sorted; the adjudicated one last."""
    found = sorted(p.stem for p in review_folder(root).glob("*.jsonl"))
    return [n for n in found if n != ADJUDICATED] + [n for n in found if n == ADJUDICATED]


# ---------------------------------------------------------------- lines


def _line(n: int, time: str, kind: str, body: Mapping[str, Any], previous: str) -> tuple[bytes, str]:
    """The line with its hash; the hash is over the line's own bytes, so that no number is ever written twice."""
    text = json.dumps(
        {"n": n, "time": time, "kind": kind, "body": body, "previous": previous},
        ensure_ascii=False, allow_nan=False, separators=(",", ":"),
    ).encode()  # fmt: skip
    code = hashlib.sha256(text).hexdigest()
    return text[:-1] + b',"hash":"' + code.encode() + b'"}\n', code


def _parse(line: bytes, n: int, previous: str) -> Record:
    """Read one line and check its place in the chain; a ValueError says what does not fit."""
    text, mark, tail = line.rstrip(b"\n").rpartition(b',"hash":"')
    if not mark:
        raise ValueError("it holds no hash")
    if hashlib.sha256(text + b"}").hexdigest().encode() != tail.removesuffix(b'"}'):
        raise ValueError("its hash does not fit its content")
    data = json.loads(text + b"}")
    if data["previous"] != previous or data["n"] != n:
        raise ValueError("it does not follow the line before")
    if not (isinstance(data["time"], str) and isinstance(data["kind"], str) and isinstance(data["body"], dict)):
        raise ValueError("it holds no record")
    if data["kind"] == "edit" and not isinstance(data["body"].get("edit"), dict):
        raise ValueError("it holds no edit")
    return Record(n, data["time"], data["kind"], data["body"], tail.removesuffix(b'"}').decode())


def read_log(path: Path) -> Reading:
    """Read a log and check every line against the one before.

    A last line that is not whole (the writer was killed) is left out, and ``notes`` say so.

    Raises
    ------
    ResultsError
        A line before the last was altered or damaged, or the log is of another version.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ResultsError(_missing(path)) from None
    records: list[Record] = []
    lines = data.splitlines(keepends=True)
    start, previous = 0, _FIRST
    for n, line in enumerate(lines):
        try:
            if not line.endswith(b"\n"):
                raise ValueError("it does not end")
            record = _parse(line, n, previous)
        except (ValueError, KeyError, TypeError) as error:
            if n == len(lines) - 1:
                return Reading(tuple(records), start, data[start:], (_torn_note(path, n, len(line)),))
            raise ResultsError(
                f"{path}: line {n + 1} of {len(lines)} must follow from the lines before, {error}: the log was "
                f"altered or damaged; put back a copy, or keep its first {n} lines with `cicimage review --salvage`"
            ) from None
        records.append(record)
        start, previous = start + len(line), record.hash
    if records:
        _check_header(path, records[0])
    return Reading(tuple(records), start)


def _torn_note(path: Path, n: int, size: int) -> str:
    return f"{path}: the last line ({n + 1}, {size} bytes) was not whole and is left out; the {n} lines before are kept"


def _check_header(path: Path, record: Record) -> None:
    version = record.body.get("schema_version")
    if record.kind != "header" or version != LOG_VERSION:
        raise ResultsError(
            f"{path}: schema_version must be {LOG_VERSION}, is {version}; "
            "open it with the version of cicimage that wrote it"
        )


def salvage(path: Path) -> tuple[int, Path]:
    """Keep the whole lines at the start of a damaged log; a copy of the damaged file is set aside first.

    The log is cut where it stands, so that the reviewer's lock is held throughout and a process killed at any moment
    leaves the damaged log or the whole lines of it, and nothing between.

    Parameters
    ----------
    path : Path
        From :func:`log_path`.

    Returns
    -------
    (int, Path)
        Lines kept, and where the copy of the damaged file is.

    Raises
    ------
    ResultsError
        There is no log, another window has it open, or it cannot be written.
    DiskFullError
        No room for the copy; the log is as before.
    """
    try:
        file = os.open(path, os.O_RDWR | _BINARY)
    except FileNotFoundError:
        raise ResultsError(_missing(path)) from None
    except OSError as error:
        raise _cannot_write(path, error) from None
    try:
        _hold(file, path)
        data = path.read_bytes()
        whole, n = _whole_lines(data)
        aside = path.with_name(f"{path.name}.damaged-{secrets.token_hex(3)}")
        with atomic(aside) as copy:
            copy.write(data)
        os.ftruncate(file, whole)
        os.fsync(file)
    finally:
        os.close(file)
    return n, aside


def _whole_lines(data: bytes) -> tuple[int, int]:
    """Bytes and number of the lines at the start that follow one from another."""
    size, n, previous = 0, 0, _FIRST
    for line in data.splitlines(keepends=True):
        try:
            if not line.endswith(b"\n"):
                break
            previous = _parse(line, n, previous).hash
        except (ValueError, KeyError, TypeError):
            break
        size, n = size + len(line), n + 1
    return size, n


def _missing(path: Path) -> str:
    return f"{path}: is missing; `cicimage review` makes it, or name another reviewer"


# ---------------------------------------------------------------- the open log


@dataclass
class ReviewLog:
    """A log open for writing; holds the reviewer's lock until closed.

    Open it with :meth:`open`. ``records`` grows with every :meth:`append`.
    """

    path: Path
    records: list[Record]
    notes: tuple[str, ...] = ()
    _file: int = field(default=-1, repr=False)
    _size: int = field(default=0, repr=False)

    @classmethod
    def open(cls, path: Path, reviewer: str, facts: Mapping[str, Any] | None = None) -> ReviewLog:
        """Open or begin a log.

        Parameters
        ----------
        path : Path
            From :func:`log_path`.
        reviewer : str
            Who writes; goes into the header of a new log.
        facts : mapping, optional
            Further facts for the header of a new log.

        Raises
        ------
        ResultsError
            Another window holds it, the folder cannot be written, or the log is damaged.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | _BINARY, 0o644)
        except OSError as error:
            raise _cannot_write(path, error) from None
        try:
            _hold(file, path)
            reading = read_log(path)
            log = cls(path, list(reading.records), reading.notes, file, reading.whole_bytes)
            if reading.torn:
                log._set_aside(reading.torn)
            if not log.records:
                header = {"schema_version": LOG_VERSION, "reviewer": reviewer, "salt": secrets.token_hex(16)}
                log.append("header", {**header, **(facts or {})})
        except BaseException:
            os.close(file)
            raise
        return log

    def _set_aside(self, torn: bytes) -> None:
        """Cut the torn end off; its bytes stay beside the log."""
        with self.path.with_name(self.path.name + ".torn").open("ab") as beside:
            beside.write(torn + b"\n")
        os.ftruncate(self._file, self._size)
        os.fsync(self._file)

    @property
    def header(self) -> Mapping[str, Any]:
        """Body of the first line."""
        return self.records[0].body

    def append(self, kind: str, body: Mapping[str, Any]) -> Record:
        """Write one record and flush it to the disk.

        Parameters
        ----------
        kind : str
            Kind of the record; see :class:`Record`.
        body : mapping
            What the kind needs, as JSON can hold it.

        Returns
        -------
        Record
            The record as written.

        Raises
        ------
        DiskFullError
            No room; the log is as before.
        ResultsError
            Closed, or another program wrote to it.
        """
        if self._file < 0:
            raise ResultsError(f"{self.path}: is closed; open the review again")
        if os.fstat(self._file).st_size != self._size:
            raise ResultsError(f"{self.path}: another program wrote to it; close this window and open the review again")
        previous = self.records[-1].hash if self.records else _FIRST
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line, code = _line(len(self.records), now, kind, body, previous)
        try:
            if os.write(self._file, line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file)
        except OSError as error:
            os.ftruncate(self._file, self._size)
            raise _cannot_write(self.path, error) from None
        self._size += len(line)
        record = Record(len(self.records), now, kind, json.loads(line)["body"], code)
        self.records.append(record)
        return record

    def close(self) -> None:
        """Release the lock."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> ReviewLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _hold(file: int, path: Path) -> None:
    if not take(file):
        raise ResultsError(
            f"{path}: another window has this reviewer's log open; close it, or review under another name (--reviewer)"
        )


def _cannot_write(path: Path, error: OSError) -> DiskFullError | ResultsError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFullError(f"{path}: the disk is full; everything before is kept, free some space and do it again")
    return ResultsError(
        f"{path}: must be writable to keep verdicts ({error.strerror}); ask for write access or copy the results folder"
    )


# ---------------------------------------------------------------- undo and redo


@dataclass(frozen=True)
class History:
    """What of a log is in force: edits done, in order, and edits undone, the next to redo last."""

    done: tuple[Record, ...] = ()
    undone: tuple[Record, ...] = ()


def history(records: Sequence[Record]) -> History:
    """Play undo and redo records.

    A new edit drops what was undone before it from redo, as everywhere.

    Raises
    ------
    ResultsError
        An undo or redo record names another edit than the one whose turn it is.
    """
    done: list[Record] = []
    undone: list[Record] = []
    for record in records:
        if record.kind == "edit":
            done.append(record)
            undone.clear()
        elif record.kind in {"undo", "redo"}:
            source, target = (done, undone) if record.kind == "undo" else (undone, done)
            if not source or source[-1].n != record.body.get("of"):
                raise ResultsError(
                    f"log line {record.n + 1}: {record.kind} must name the last edit, names {record.body.get('of')}; "
                    "the log was not written by this program, put back a copy"
                )
            target.append(source.pop())
    return History(tuple(done), tuple(undone))
