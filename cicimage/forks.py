"""Start of positions' processes: a fork server, started early so that it loads in parallel, or spawned processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.context import SpawnContext
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # CPython defines it only where there is fork
    from multiprocessing.context import ForkServerContext

ONE_THREAD: Final = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "BLOSC_NTHREADS"), "1"
)
"""Environment of a position's process."""
PRELOADED: Final = ("cicimage.batch.preloaded", "cicimage.batch.supervisor")
"""Modules that a position's process needs."""
MOST_WAITED_FOR: Final = 61 if os.name == "nt" else None
"""Number of processes or pipes that one process can wait for at once: 61 on Windows (limit of the standard library's
process pool), None where there is no limit."""


def has_fork_server() -> bool:
    """Whether processes start as forks of a server; elsewhere each is spawned and loads all it needs itself."""
    return "forkserver" in multiprocessing.get_all_start_methods()


def process_context(preload: Sequence[str] = PRELOADED) -> ForkServerContext | SpawnContext:
    """Return how processes start: as forks of a server with all libraries loaded, or fresh where there is no fork.

    The first call starts the server and does not wait for it. BLAS and its like read their number of threads when
    they are loaded, so it is set in the environment that the server inherits: one each, since the positions run in
    parallel.

    Parameters
    ----------
    preload : sequence of str
        Modules that the server loads; the first call decides.
    """
    if not has_fork_server():
        os.environ |= ONE_THREAD
        return multiprocessing.get_context("spawn")
    from multiprocessing import forkserver

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ |= ONE_THREAD
    try:
        with children_ignore_interrupts():
            forkserver.ensure_running()
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    return context


@contextmanager
def children_ignore_interrupts() -> Iterator[None]:
    """Make processes started within ignore Ctrl-C, which a terminal sends to all of them: the parent alone ends them.

    Otherwise each would end with a traceback on the screen.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def ignore_interrupts() -> None:
    """Ignore Ctrl-C in this process; a process started by ``spawn`` does not always inherit that from its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
