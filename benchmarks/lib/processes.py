"""What a fresh process costs: wall and processor time, memory, and how much of the machine others used meanwhile."""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import pty
import resource
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import psutil

_LAUNCHER: Final = Path(__file__).with_name("launcher.py")


@dataclass(frozen=True)
class Spent:
    """What one process and all below it took.

    Attributes
    ----------
    wall_s, processor_s : float
        Seconds; processor time of all of them together.
    peak_bytes : int
        Most memory that a single one of them held.
    others : float
        Share of the machine's processor time that went to other processes, 0 to 1.
    load : float
        Load average of the last minute when it started.
    first_s : float
        Seconds until the awaited text was shown; NaN where none was awaited or shown.
    ended : float
        Wall clock at its end, seconds since the epoch; 0 where it was not asked for.
    """

    wall_s: float
    processor_s: float
    peak_bytes: int
    others: float
    load: float
    first_s: float = float("nan")
    ended: float = 0.0


def cores(n: int | None) -> list[int]:
    """The first ``n`` of the cores that this process may use; all of them for None."""
    return sorted(os.sched_getaffinity(0))[:n]


def cicimage(*arguments: str | Path, held_to: int | None = None, awaited: str = "") -> Spent:
    """Run a command of the program in a process of its own, its progress on a terminal as a user sees it.

    Parameters
    ----------
    *arguments : str or path
        Command and options.
    held_to : int, optional
        Number of cores it may use; all by default.
    awaited : str
        Text on stderr whose first appearance is timed.

    Raises
    ------
    RuntimeError
        It failed; the message holds the end of what it said.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 200, 0, 0))
    machine = _Machine()
    command = [sys.executable, "-m", "cicimage", *map(str, arguments)]
    launched = subprocess.Popen(
        [sys.executable, "-I", "-S", str(_LAUNCHER), json.dumps(cores(held_to)), *command],
        stdout=subprocess.PIPE, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    screen = _Screen(ours, awaited)
    found = json.loads(launched.communicate()[0])
    screen.join()
    if found["code"]:
        raise RuntimeError(f"cicimage {arguments[0]} ended with {found['code']}: {screen.text[-1000:]}")
    spent = found["processor_s"]
    first = screen.seen_at - found["started"] if screen.seen_at else float("nan")
    return Spent(
        found["wall_s"], spent, found["peak_bytes"], machine.others(spent), machine.load, first, found["ended"]
    )


def in_process(function: Callable[..., Any], *args: Any, held_to: int | None = None) -> tuple[Any, Spent]:
    """Call a function in a fresh process; imports are left out of the time, and so is what ``function`` warms up.

    Parameters
    ----------
    function : callable
        Of a module, given ``args`` and, as ``timer``, a context manager around what is to be timed.
    *args
        Picklable.
    held_to : int, optional
        Number of cores it may use; all by default.

    Returns
    -------
    (result, Spent)
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(theirs, function, args, cores(held_to)))
    process.start()
    theirs.close()
    with suppress(EOFError):
        result, spent = ours.recv()
    process.join()
    if process.exitcode:
        raise RuntimeError(f"{function.__name__} ended with {process.exitcode}")
    return result, spent


@dataclass
class Timer:
    """Times the block under it; the last one counts."""

    spent: Spent | None = None

    @contextmanager
    def __call__(self) -> Any:
        """Time what is done within."""
        machine, processor = _Machine(), time.process_time()
        yield
        wall, used = machine.wall_s, time.process_time() - processor
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        self.spent = Spent(wall, used, peak, machine.others(used), machine.load)


def _child(answer: Connection, function: Callable[..., Any], args: Sequence[Any], allowed: Sequence[int]) -> None:
    os.sched_setaffinity(0, allowed)
    timer = Timer()
    result = function(*args, timer=timer)
    answer.send((result, timer.spent))
    answer.close()


@dataclass
class _Machine:
    """The machine's processor time since this was made."""

    started: float = field(default_factory=time.perf_counter)
    load: float = field(default_factory=lambda: os.getloadavg()[0])
    busy: float = field(default_factory=lambda: _busy_s())

    @property
    def wall_s(self) -> float:
        return time.perf_counter() - self.started

    def others(self, own_s: float) -> float:
        """Share of all cores' time that was spent, but not by us."""
        share = (_busy_s() - self.busy - own_s) / (self.wall_s * (os.cpu_count() or 1))
        return min(max(share, 0.0), 1.0)


def _busy_s() -> float:
    t = psutil.cpu_times()
    return float(sum(t) - t.idle - getattr(t, "iowait", 0.0) - getattr(t, "guest", 0.0) - getattr(t, "guest_nice", 0.0))


class _Screen(threading.Thread):
    """Reads a terminal to its end and notes when a text first stood on it."""

    def __init__(self, terminal: int, awaited: str) -> None:
        super().__init__(daemon=True)
        self._terminal, self._awaited = terminal, awaited
        self.text, self.seen_at = "", 0.0
        self.start()

    def run(self) -> None:
        with suppress(OSError):  # the other end is closed
            while data := os.read(self._terminal, 65536):
                self.text = (self.text + data.decode(errors="replace"))[-20_000:]
                if self._awaited and not self.seen_at and self._awaited in self.text:
                    self.seen_at = time.perf_counter()
        os.close(self._terminal)
