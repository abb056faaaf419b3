"""Runs positions in parallel, one subprocess each, and survives the crash of any of them.

A pool of long-lived workers loses its other tasks with one dead worker; a process per position loses only that
one. A forkserver with the libraries loaded starts a position in milliseconds.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil

from cicimage.batch.failures import record_failure
from cicimage.batch.plan import Batch, Plan, plan, state_of
from cicimage.errors import ResultsError
from cicimage.forks import MOST_WAITED_FOR, ignore_interrupts, process_context
from cicimage.guard import (
    MOST_COUNTED_S,
    LimitError,
    Limits,
    ask,
    current_limits,
    end_with_parent,
    guarded,
    private_bytes,
    require_memory,
)
from cicimage.locks import lock
from cicimage.pipeline.job import Job, memory_need
from cicimage.receipts import read_receipt
from cicimage.regular import refuse_links_outside
from cicimage.store import DiskFullError

if TYPE_CHECKING:  # CPython defines it only where there is fork
    from multiprocessing.context import ForkServerContext

Report = Callable[[str, str, int, int], None]
"""Called with position, stage, done, total while a position runs; stage ``done`` or ``failed`` at its end."""


_ORPHANS_END_WITHIN_S: Final = 5.0
"""Longest time the process of a killed run may hold its position, s; it ends between two compiled calls."""
HELD: Final = "another run holds it; wait for that one to end or choose another folder with -o"
_HELD_BY_ANOTHER: Final = 75
"""Exit code (EX_TEMPFAIL) of a process whose position another run holds; that run writes the outcome."""


@dataclass(frozen=True)
class Outcome:
    """Outcome of a run: positions by state, and ``reasons`` for those that failed."""

    done: tuple[str, ...]
    failed: tuple[str, ...]
    waiting: tuple[str, ...]
    reasons: dict[str, str] = field(default_factory=dict)
    disk_full: bool = False

    @property
    def exit_code(self) -> int:
        """Exit code of the command line."""
        if self.disk_full:
            return 6
        if self.failed and not self.done:
            return 4
        return 3 if self.failed else 0


@dataclass
class _Running:
    job: Job
    process: BaseProcess
    messages: Connection
    need: int
    spent_s: float = 0.0
    quiet_s: float = 0.0
    peak: int = 0
    disk_full: bool = False


def run_batch(
    batch: Batch,
    *,
    workers: int = 1,
    chosen: Plan | None = None,
    timeout_s: float | None = None,
    report: Report = lambda *_: None,
) -> Outcome:
    """Run the planned positions.

    Parameters
    ----------
    batch : Batch
        The experiment on its results folder.
    workers : int
        Positions run at a time; fewer where memory does not suffice.
    chosen : Plan, optional
        Positions to run; all but those that failed before where not given.
    timeout_s : float, optional
        Longest time for one position, s.
    report : callable
        Called with progress.

    Returns
    -------
    Outcome
        Of all positions of the plan, those done before included.
    """
    chosen = chosen or plan(batch)
    waiting, running, held = deque(chosen.todo), list[_Running](), set[str]()
    context = process_context()
    disk_full = False
    needs: dict[str, int] = {}
    try:
        with guarded():
            limits = current_limits()
            while (waiting and not disk_full) or running:
                while waiting and not disk_full and len(running) < workers:
                    need = _admit(waiting[0], needs, held, report)
                    if need is None:
                        waiting.popleft()
                        continue
                    if not _fits(need, running):
                        break
                    at_a_time = min(workers, len(running) + len(waiting))
                    # reading ahead needs a second core
                    ahead = usable_cores() >= 2 * at_a_time
                    running.append(_start(context, waiting.popleft(), need, look_ahead=ahead))
                if running:
                    disk_full |= _wait(running, held, report, timeout_s, limits)
    except BaseException:
        for r in running:
            r.process.terminate()
        for r in running:
            r.process.join(5)
        raise
    return outcome_of(chosen, dict.fromkeys(held, HELD), disk_full)


def _admit(job: Job, needs: dict[str, int], held: set[str], report: Report) -> int | None:
    """Memory that a position needs, bytes; None where its recording breaks a limit, which fails it."""
    if job.key in needs:
        return needs[job.key]
    name = job.position.position
    try:
        refuse_links_outside(job.folder)
        needs[job.key] = ask(job.position.path, memory_need, job)
        require_memory(job.position.path, needs[job.key])
        return needs[job.key]
    except LimitError as error:
        reason = str(error)
    except ResultsError as error:  # its lock may be such a link; the receipt replaces whatever is there
        record_failure(job, str(error), "configuration", 0)
        report(name, state_of(job), 1, 1)
        return None
    try:
        with lock(job.folder / ".lock", f"position {name!r}"):
            record_failure(job, reason, "input", 0)
    except ResultsError:
        held.add(name)
    report(name, state_of(job), 1, 1)
    return None


def _fits(need: int, running: list[_Running]) -> bool:
    """Whether memory suffices for one more; the first one always runs."""
    if not running:
        return True
    promised = sum(max(r.need - r.peak, 0) for r in running)
    return bool(need + promised < 0.9 * psutil.virtual_memory().available)


def _start(context: ForkServerContext | SpawnContext, job: Job, need: int, *, look_ahead: bool) -> _Running:
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(job, theirs, look_ahead), name=job.key, daemon=True)
    process.start()
    theirs.close()
    return _Running(job, process, ours, need)


def _work(job: Job, messages: Connection, look_ahead: bool) -> None:
    """Body of a position's process: run, and leave the outcome in the receipt."""
    ignore_interrupts()
    import cicimage.batch.preloaded  # noqa: F401 - a fork of the server has it; a fresh process loads it here
    from cicimage.pipeline.position import run_position

    end_with_parent()  # as after any kill, complete files are left, and no receipt

    def send_progress(stage: str, done: int, total: int) -> None:
        messages.send((stage, done, total))

    held = ExitStack()
    try:
        held.enter_context(
            lock(job.folder / ".lock", f"position {job.position.position!r}", patience_s=_ORPHANS_END_WITHIN_S)
        )
    except ResultsError:
        sys.exit(_HELD_BY_ANOTHER)
    except DiskFullError:
        messages.send(("end", "failed", "disk_full"))
        return
    with held:
        receipt = run_position(job, send_progress, look_ahead=look_ahead)
    messages.send(("end", receipt["outcome"], receipt.get("kind", "")))
    messages.close()


def _wait(running: list[_Running], held: set[str], report: Report, timeout_s: float | None, limits: Limits) -> bool:
    """Wait for messages and remove finished processes from the list; return whether a disk is full."""
    disk_full, before = False, time.monotonic()
    sources: list[Any] = [r.messages for r in running] + [r.process.sentinel for r in running]
    multiprocessing.connection.wait(sources[:MOST_WAITED_FOR], timeout=1.0)  # all are looked at below in any case
    waited = min(time.monotonic() - before, 2 * MOST_COUNTED_S)  # a machine that slept used up no time
    for r in list(running):
        r.spent_s, r.quiet_s = r.spent_s + waited, r.quiet_s + waited
        _drain(r, report)
        broken = _broken_limit(r, timeout_s, limits) if r.process.is_alive() else None
        if broken is not None:
            r.process.kill()
            r.process.join()
            record_failure(r.job, broken[1], broken[0], r.peak)
        if not r.process.is_alive():
            r.process.join()
            _drain(r, report)
            running.remove(r)
            if r.process.exitcode == _HELD_BY_ANOTHER:
                held.add(r.job.position.position)
            else:
                _record_crash(r)
            disk_full |= r.disk_full
            report(r.job.position.position, state_of(r.job), 1, 1)
        else:
            r.peak = max(r.peak, _resident(r.process.pid))
    return disk_full


def _broken_limit(r: _Running, timeout_s: float | None, limits: Limits) -> tuple[str, str] | None:
    """Kind of failure and sentence of a position that took too long or too much; None for one that may go on."""
    if timeout_s is not None and r.spent_s > timeout_s:
        return "timeout", f"took longer than the {timeout_s:g} s allowed; raise --timeout"
    if limits.stall_s and r.quiet_s > limits.stall_s:
        return "timeout", (
            f"made no progress for {limits.stall_s:g} s; check the recording and the disk it lies on, or allow more "
            "by --stall-timeout"
        )
    most = limits.position_bytes(r.need)
    if most and private_bytes(r.process.pid) > most:
        return "memory", (
            f"took more than {most / 2**20:.0f} MiB of memory, where {r.need / 2**20:.0f} MiB were expected; check the "
            "recording, or allow more by --opening-memory"
        )
    return None


def _drain(r: _Running, report: Report) -> None:
    try:
        while r.messages.poll():
            stage, done, total = r.messages.recv()
            r.quiet_s = 0.0
            if stage == "end":
                r.disk_full = total == "disk_full"
            else:
                report(r.job.position.position, stage, done, total)
    except (EOFError, OSError):
        return


def _record_crash(r: _Running) -> None:
    """Write the receipt of a process that ended without one: killed, with its peak memory, or crashed."""
    code, state = r.process.exitcode, state_of(r.job)
    if code == 0 or state == "done" or (state == "failed" and code != 1):
        return
    try:
        _write_why(r, code)
    except DiskFullError:
        r.disk_full = True


def _write_why(r: _Running, code: int | None) -> None:
    if code is not None and code < 0:
        reason = (
            f"its process was killed by signal {-code}"
            + (f" at a peak memory of {r.peak / 2**20:.0f} MiB" if r.peak else "")
            + "; if memory ran out, use fewer --workers"
        )
        record_failure(r.job, reason, "killed", r.peak)
    else:
        record_failure(
            r.job, f"its process ended with exit code {code}; see {r.job.folder / 'log.jsonl'}", "crash", r.peak
        )


def _resident(pid: int | None) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def outcome_of(chosen: Plan, refused: Mapping[str, str], disk_full: bool) -> Outcome:
    """Collect the outcome of a run from the receipts.

    Parameters
    ----------
    chosen : Plan
        Positions it ran, left alone, or found done; of an array task its own alone.
    refused : mapping of str to str
        Reason by position that could not be run and has no receipt.
    disk_full : bool
        Whether a disk ran full.

    Returns
    -------
    Outcome
        By state on disk.
    """
    states, reasons = dict[str, str](), dict[str, str]()
    for j in sorted((*chosen.todo, *chosen.left, *chosen.done), key=lambda j: j.position.position):
        name = j.position.position
        states[name] = state_of(j)
        if states[name] != "done" and name in refused:
            states[name] = "failed"
            reasons[name] = refused[name]
        elif states[name] == "failed":
            reasons[name] = str(read_receipt(j.folder / "receipt.json")["error"])
    by = {s: tuple(n for n, v in states.items() if v == s) for s in ("done", "failed", "waiting")}
    return Outcome(by["done"], by["failed"], by["waiting"], reasons, disk_full)


def usable_cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def folder_lock(root: Path) -> Path:
    """Path of the lock of a whole local run; array tasks share the folder and take only positions' locks."""
    return root / ".run.lock"
