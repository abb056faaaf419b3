"""A child process that opens recordings for its parent, with limits on time and memory.

A damaged or hostile file can make a reader wait without end, take all memory or end its process. Whoever plans, checks
or supervises many recordings therefore asks a child: within ``with guarded():`` every :func:`ask` runs in it. One child
serves many files; it is killed and replaced when a file breaks a limit, and that file is refused from then on.
Outside of such a block, and in a process that is a child itself, :func:`ask` simply calls.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Lock, Thread
from typing import Any, Final, TypeVar, cast

import psutil

from cicimage.errors import CicimageError, ConfigurationError, RecordingError
from cicimage.forks import ignore_interrupts, process_context

Answer = TypeVar("Answer")
POLL_S: Final = 0.05
"""Interval between two looks at the child's memory, s: at the speed of memory, some 100 MiB."""
MOST_COUNTED_S: Final = 1.0
"""Longest time that one look counts as, s: a machine that slept, or a stopped process, used up no time."""
SLOWEST_BYTES_PER_S: Final = float(1 << 20)
"""Speed below which a disk counts as not answering while whole files are read, bytes/s."""
FACTOR_OF_NEED: Final = 1.5
"""Memory that a position may take, relative to what it was admitted with."""


@dataclass(frozen=True)
class Limits:
    """Limits on what one recording may take; 0 is no limit.

    Attributes
    ----------
    opening_s : float
        Longest time for opening a recording and checking its structure, s.
    opening_bytes : int
        Most private memory that this may take, bytes; mapped files do not count.
    stall_s : float
        Longest time without progress while pixels are read and a position runs, s.
    """

    opening_s: float = 60.0
    opening_bytes: int = 2 << 30
    stall_s: float = 900.0

    @classmethod
    def of_environment(cls) -> Limits:
        """Limits as ``CICIMAGE_OPENING_SECONDS``, ``CICIMAGE_OPENING_MIB`` and ``CICIMAGE_STALL_SECONDS`` set them.

        Raises
        ------
        ConfigurationError
            A variable is not a number from 0 on.
        """
        default = cls()
        return cls(
            _number("CICIMAGE_OPENING_SECONDS", default.opening_s),
            int(_number("CICIMAGE_OPENING_MIB", default.opening_bytes / 2**20) * 2**20),
            _number("CICIMAGE_STALL_SECONDS", default.stall_s),
        )

    def position_bytes(self, need: int) -> int:
        """Most private memory that a position may take, bytes.

        Parameters
        ----------
        need : int
            What it was admitted with, bytes.

        Returns
        -------
        int
            Half as much again, and never less than opening a recording may take; 0 is no limit.
        """
        return max(int(FACTOR_OF_NEED * need), self.opening_bytes) if self.opening_bytes else 0


def _number(variable: str, default: float) -> float:
    text = os.environ.get(variable, "")
    try:
        value = float(text) if text else default
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise ConfigurationError(f"{variable} must be a number from 0 on, is {text!r}; 0 takes the limit away")
    return value


def require_memory(path: Path, need: int) -> None:
    """Refuse a recording that this machine cannot hold, before it is begun.

    Parameters
    ----------
    path : Path
        The recording.
    need : int
        Memory that a position of it needs, bytes.

    Raises
    ------
    LimitError
        The machine has less; not raised where opening has no limit on memory.
    """
    total = psutil.virtual_memory().total
    if need > total and current_limits().opening_bytes:
        raise LimitError(
            f"{path.name}: a position of it needs about {need / 2**30:.3g} GiB of memory, this machine has "
            f"{total / 2**30:.3g} GiB; crop it or cut it into fields, run it on a larger machine, or take the limits "
            "on memory away by --opening-memory 0"
        )


class LimitError(RecordingError):
    """Reading a recording broke a limit or ended the process that read it."""


class _Guard:
    """Keeps the child and what it refused."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._child: _Child | None = None
        self._refused: dict[Path, str] = {}
        self._one_at_a_time = Lock()
        """Two threads of a window may ask at once; the pipe has one conversation."""

    def ask(
        self, path: Path, function: Callable[..., Any], arguments: tuple[object, ...], seconds: float, most: int
    ) -> Any:
        with self._one_at_a_time:
            return self._ask(path, function, arguments, seconds, most)

    def _ask(
        self, path: Path, function: Callable[..., Any], arguments: tuple[object, ...], seconds: float, most: int
    ) -> Any:
        if path in self._refused:
            raise LimitError(self._refused[path])
        if self._child is None:
            self._child = _Child()
        try:
            good, value = self._child.call(function, arguments, seconds, most)
        except _BrokenLimitError as error:
            self.end()
            self._refused[path] = f"{path.name}: {error}"
            raise LimitError(self._refused[path]) from None
        except BaseException:
            self.end()
            raise
        if self.limits.opening_bytes and self._child.grown() > self.limits.opening_bytes // 2:
            self.end()  # what it did not give back would count for the next file
        if good:
            return value
        if isinstance(value, CicimageError):
            raise value
        refused = LimitError(f"{path.name}: {value[0]}")
        refused.add_note(value[1])
        raise refused

    def end(self) -> None:
        if self._child is not None:
            self._child.end()
        self._child = None


@contextmanager
def _may_have_children() -> Iterator[None]:
    """Let a daemonic process start one, as workers of dask are: this child ends with its parent by itself."""
    config: dict[str, Any] = getattr(multiprocessing.current_process(), "_config")  # noqa: B009 - no public way
    daemon = config.pop("daemon", None)
    try:
        yield
    finally:
        if daemon is not None:
            config["daemon"] = daemon


class _BrokenLimitError(Exception):
    """A call broke a limit; the message is the rest of a sentence."""


class _Child:
    """The process, and the pipe to it."""

    def __init__(self) -> None:
        context = process_context()
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), name="reader", daemon=True)
        with _may_have_children():
            self._process.start()
        theirs.close()
        try:
            self._pipe.recv()
        except EOFError:
            raise ConfigurationError(
                "the process that opens recordings could not be started, see above for why; install cicimage again"
            ) from None
        self._base = private_bytes(self._process.pid)

    def grown(self) -> int:
        """Private memory beyond that at its start, bytes."""
        return private_bytes(self._process.pid) - self._base

    def call(
        self, function: Callable[..., Any], arguments: tuple[object, ...], seconds: float, most: int
    ) -> tuple[bool, Any]:
        self._pipe.send((function, arguments))
        before, spent, seen = self.grown(), 0.0, time.monotonic()
        while True:
            if multiprocessing.connection.wait([self._pipe, self._process.sentinel], timeout=POLL_S):
                try:
                    return cast(tuple[bool, Any], self._pipe.recv())
                except (EOFError, OSError):
                    self._process.join()
                    raise _BrokenLimitError(self._died()) from None
            now = time.monotonic()
            spent += min(now - seen, MOST_COUNTED_S)
            seen = now
            if seconds and spent > seconds:
                raise _BrokenLimitError(
                    f"reading it took longer than the {seconds:g} s allowed; check the file, or allow more by "
                    "--opening-timeout or --stall-timeout"
                )
            if most and self.grown() - before > most:
                raise _BrokenLimitError(
                    f"reading it took more than the {most / 2**20:.0f} MiB of memory allowed; check the file, or "
                    "allow more by --opening-memory"
                )

    def _died(self) -> str:
        code = self._process.exitcode or 0
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return f"the process that read it {how}; check the file, it may be damaged"

    def end(self) -> None:
        self._process.kill()
        self._process.join()
        self._pipe.close()


def _fault(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "reading it needs more memory than there is; check the file, it may declare more than it holds"
    said = " ".join(str(error).split())[:160]
    return f"reading it failed ({type(error).__name__}: {said}); check the file, and report it if it is sound"


def _serve(pipe: Connection) -> None:
    """Body of the child: answer until the parent is gone."""
    ignore_interrupts()
    end_with_parent()
    pipe.send(None)
    while True:
        try:
            function, arguments = pipe.recv()
        except (EOFError, OSError):
            return
        pipe.send(_answer(function, arguments))


def _answer(function: Callable[..., Any], arguments: tuple[object, ...]) -> tuple[bool, Any]:
    try:
        return True, function(*arguments)
    except CicimageError as error:
        kind = next(k for k in type(error).__mro__ if "__init__" not in vars(k))
        return False, kind(str(error))
    except Exception as error:  # noqa: BLE001 - a sentence about the file in the parent; as text, since some cannot travel
        return False, (_fault(error), traceback.format_exc())


def end_with_parent() -> None:
    """End this process when its parent is gone: nothing reads its answers any more."""
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    Thread(target=wait, daemon=True).start()


def private_bytes(pid: int | None) -> int:
    """Private memory of a process, bytes, without the pages of mapped files; 0 when it is gone."""
    try:
        process = psutil.Process(pid)
        info = process.memory_info()
        if hasattr(info, "shared"):  # Linux
            return int(info.rss - info.shared)
        if hasattr(info, "private"):  # Windows
            return int(info.private)
        return int(process.memory_full_info().uss)
    except psutil.Error:
        return 0


_ACTIVE: list[_Guard] = []


@contextmanager
def guarded(limits: Limits | None = None, *, in_child: bool = False) -> Iterator[None]:
    """Open recordings in a child process within the block; blocks within it share the child and the outer limits.

    Parameters
    ----------
    limits : Limits, optional
        Those of the environment where not given.
    in_child : bool
        Start one in a process that is itself a child, too: a worker of dask, which no supervisor watches.
    """
    if _ACTIVE or (multiprocessing.parent_process() is not None and not in_child):
        yield
        return
    guard = _Guard(limits or Limits.of_environment())
    _ACTIVE.append(guard)
    try:
        yield
    finally:
        _ACTIVE.remove(guard)
        guard.end()


def current_limits() -> Limits:
    """Limits of the block this is called in, of the environment outside of one."""
    return _ACTIVE[0].limits if _ACTIVE else Limits.of_environment()


def ask(path: Path, function: Callable[..., Answer], *arguments: object) -> Answer:
    """Call a function that opens a recording, in the child and within the limits on opening.

    Parameters
    ----------
    path : Path
        The recording; once it broke a limit it is refused without being opened again.
    function : callable
        A function of a module; its arguments and what it returns or raises are pickled.
    *arguments
        Its arguments.

    Raises
    ------
    LimitError
        It took too long or too much memory, or ended the process.
    """
    if not _ACTIVE:
        return function(*arguments)
    guard = _ACTIVE[0]
    limits = guard.limits
    return cast(Answer, guard.ask(path, function, arguments, limits.opening_s, limits.opening_bytes))


def ask_for_pixels(path: Path, need: int, function: Callable[..., Answer], *arguments: object) -> Answer:
    """Call a function that decodes some planes of a recording, in the child and within the limits of a position.

    Parameters
    ----------
    path : Path
        The recording.
    need : int
        Memory that a position of it is admitted with, bytes.
    function : callable
        A function of a module.
    *arguments
        Its arguments.

    Raises
    ------
    LimitError
        It took too long or too much memory, or ended the process.
    """
    if not _ACTIVE:
        return function(*arguments)
    guard = _ACTIVE[0]
    most = guard.limits.position_bytes(need)
    return cast(Answer, guard.ask(path, function, arguments, guard.limits.stall_s, most))


def ask_for_bytes(path: Path, n_bytes: int, function: Callable[..., Answer], *arguments: object) -> Answer:
    """Call a function that reads files of a recording to their end, in the child.

    Parameters
    ----------
    path : Path
        The recording.
    n_bytes : int
        Bytes that it reads: it is given a second for each 1 MiB besides the limit on progress.
    function : callable
        A function of a module.
    *arguments
        Its arguments.

    Raises
    ------
    LimitError
        It took too long or too much memory, or ended the process.
    """
    if not _ACTIVE:
        return function(*arguments)
    limits = _ACTIVE[0].limits
    seconds = limits.stall_s + n_bytes / SLOWEST_BYTES_PER_S if limits.stall_s else 0.0
    return cast(Answer, _ACTIVE[0].ask(path, function, arguments, seconds, limits.opening_bytes))
