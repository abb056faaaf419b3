"""The server that positions' processes are forked from: started first, so that it loads while others do."""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, SpawnContext
from typing import Final

ONE_THREAD: Final = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "BLOSC_NTHREADS"), "1"
)
"""Environment of a position's process."""


def process_context() -> ForkServerContext | SpawnContext:
    """How processes start: forks of a server that has everything loaded, or fresh ones where there is no fork.

    The first call starts the server and does not wait for it. BLAS and its like read their number of threads when
    they are loaded, so it must stand in the environment that the server inherits: one each, since the positions
    themselves run side by side.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        os.environ |= ONE_THREAD
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["cicimage.batch.preloaded"])
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ |= ONE_THREAD
    try:
        forkserver.ensure_running()
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    return context
