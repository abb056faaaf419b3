"""Starts a command for :mod:`lib.processes` and tells on stdout, as JSON, what it and all below it took.

A process inherits the peak memory of the one it was forked from, so this one is small: it runs with ``-I -S`` and
imports next to nothing.
"""

import ctypes
import json
import os
import sys
import time

SUBREAPER = 36
"""Of prctl: orphans below this process become its children, so that the server of the positions is counted too."""


def main() -> None:
    """Run ``argv[2:]`` on the cores of ``argv[1]``, without its stdout, and wait for all it leaves behind."""
    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    os.sched_setaffinity(0, json.loads(sys.argv[1]))
    command = sys.argv[2:]
    silent = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    started = time.perf_counter()
    first = os.posix_spawn(command[0], command, os.environ, file_actions=silent)
    found = {"started": started, "processor_s": 0.0, "peak_bytes": 0}
    while True:
        try:
            pid, status, used = os.wait4(-1, 0)
        except ChildProcessError:
            break
        if pid == first:
            now = time.perf_counter()
            found |= {"wall_s": now - started, "ended": time.time(), "code": os.waitstatus_to_exitcode(status)}
        found["processor_s"] += used.ru_utime + used.ru_stime
        found["peak_bytes"] = max(found["peak_bytes"], used.ru_maxrss * 1024)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
