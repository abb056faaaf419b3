"""Makes Python on Linux look like Python on Windows to cicimage, as far as that can be done from within.

``emulation_folder(folder, results)`` returns a folder for ``PYTHONPATH``: the ``sitecustomize`` there runs first in
every Python process, also in those that ``spawn`` starts. For all code, ``spawn`` is the only start method and
``multiprocessing.context.ForkServerContext`` does not exist. For modules of cicimage and of its plugin, and for nobody
else (the standard library and numpy of Linux need what Linux has):

- ``fcntl``, ``resource``, ``pwd``, ``grp``, ``termios`` and the like cannot be imported; ``os`` and ``signal`` have no
  name that only POSIX has; ``os.name`` is ``nt`` and ``sys.platform`` is ``win32``; ``os.open`` writes CR LF without
  ``O_BINARY``; there is a ``msvcrt`` whose lock keeps the rules of ``LockFile``;
- a text file opened without an encoding is an error.

Whoever does it, in the results folder no name is made that Windows refuses, no folder is opened as a file, and no file
that a process of this run has open is replaced, renamed or removed.
"""

from __future__ import annotations

from pathlib import Path

SITECUSTOMIZE = """
import sys
from pathlib import Path
sys.path.append({root!r})
from tests.house import windows_emulation
windows_emulation.begin(Path({watched!r}))
"""

POSIX_MODULES = {"fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog", "readline", "curses", "posix"}
POSIX_SIGNALS = {
    "SIGHUP", "SIGKILL", "SIGSTOP", "SIGCONT", "SIGTSTP", "SIGUSR1", "SIGUSR2", "SIGCHLD", "SIGPIPE", "SIGALRM",
    "SIGQUIT", "SIGWINCH", "alarm", "pause", "pthread_kill", "pthread_sigmask", "setitimer", "sigwait", "sigpending",
    "siginterrupt",
}  # fmt: skip
POSIX_OS = {
    "fork", "forkpty", "register_at_fork", "getuid", "geteuid", "getgid", "getegid", "getgroups", "getpgid", "getpgrp",
    "setpgid", "setsid", "setuid", "killpg", "nice", "getpriority", "uname", "wait", "wait3", "wait4", "waitid",
    "WNOHANG", "WIFEXITED", "sched_getaffinity", "sched_setaffinity", "statvfs", "fstatvfs", "mkfifo", "mknod",
    "chown", "fchown", "lchown", "fchmod", "chroot", "pread", "pwrite", "preadv", "pwritev", "readv", "writev",
    "sendfile", "posix_fadvise", "posix_fallocate", "posix_spawn", "fdatasync", "sync", "lockf", "pidfd_open",
    "memfd_create", "copy_file_range", "splice", "eventfd", "getloadavg", "sysconf", "confstr", "pathconf", "fchdir",
    "ctermid", "openpty", "ttyname", "getrandom", "O_DIRECTORY", "O_NOFOLLOW", "O_CLOEXEC", "O_NONBLOCK", "O_SYNC",
    "O_DSYNC", "environb", "getxattr", "setxattr", "listxattr",
}  # fmt: skip
REFUSED = set('<>:"|?*\\\\') | {chr(c) for c in range(32)}
RESERVED = {"con", "prn", "aux", "nul", *(f"com{n}" for n in range(1, 10)), *(f"lpt{n}" for n in range(1, 10))}
OURS = ("cicimage", "cicimage_napari")


def emulation_folder(folder: Path, watched: Path) -> Path:
    """Write the ``sitecustomize`` that begins the emulation in every process; ``watched`` is the results folder."""
    folder.mkdir(parents=True, exist_ok=True)
    root = str(Path(__file__).parents[2])
    text = SITECUSTOMIZE.format(root=root, watched=str(watched.resolve()))
    (folder / "sitecustomize.py").write_text(text, encoding="utf-8")
    return folder


def begin(watched: Path) -> None:
    """Begin the emulation in this process."""
    _only_spawn()
    _windows_for_ours()
    _windows_psutil()
    _watch(watched)


def _only_spawn() -> None:
    from multiprocessing import context

    del context.ForkServerContext
    for method in ("fork", "forkserver"):
        context._concrete_contexts.pop(method)
    context._default_context._default_context = context._concrete_contexts["spawn"]
    context._default_context.get_all_start_methods = lambda: ["spawn"]
    import multiprocessing

    multiprocessing.get_all_start_methods = context._default_context.get_all_start_methods


def _windows_for_ours() -> None:
    """Give modules of cicimage other modules ``os``, ``sys``, ``signal`` and ``msvcrt`` than everybody else."""
    import builtins
    import os
    import signal
    import sys
    import warnings

    warnings.filterwarnings("error", category=EncodingWarning, module="cicimage")
    stand_ins = {
        "os": _stand_in(os, POSIX_OS, name="nt", O_BINARY=BINARY, open=_opened_as_on_windows, write=_written),
        "signal": _stand_in(signal, POSIX_SIGNALS),
        "sys": _stand_in(sys, set(), platform="win32"),
        "msvcrt": _msvcrt(),
    }
    true_import = builtins.__import__

    def windows_import(name, globals=None, locals=None, fromlist=(), level=0):  # noqa: A002 - names of the original
        importer = str((globals or {}).get("__name__", "")).split(".")[0]
        if importer in OURS and level == 0:
            if name in POSIX_MODULES:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
            if name in stand_ins:
                return stand_ins[name]
        return true_import(name, globals, locals, fromlist, level)

    builtins.__import__ = windows_import


def _stand_in(true, without, **changed):
    """A module like ``true`` that lacks some names and has others changed; what is set goes to the true one."""
    from types import ModuleType

    class StandIn(ModuleType):
        def __getattr__(self, name):
            if name in changed:
                return changed[name]
            if name in without:
                raise AttributeError(f"module {true.__name__!r} has no attribute {name!r}", name=name, obj=self)
            return getattr(true, name)

        def __setattr__(self, name, value):
            setattr(true, name, value)

    return StandIn.__new__(StandIn)  # without the names that every module has, which would hide the true ones


BINARY = 1 << 40
"""Stands for ``os.O_BINARY``; no flag of Linux."""
_TEXT: set[int] = set()


def _opened_as_on_windows(path, flags, mode=0o777, **more):
    import os

    if os.path.isdir(path):
        raise PermissionError(13, "Permission denied", str(path))
    file = os.open(path, flags & ~BINARY, mode, **more)
    (_TEXT.discard if flags & BINARY else _TEXT.add)(file)
    return file


def _written(file, data):
    import os

    if file not in _TEXT:
        return os.write(file, data)
    os.write(file, bytes(data).replace(b"\n", b"\r\n"))
    return len(data)


def _msvcrt():
    """Locks of one byte: held by an open file, seen by every other, and the byte must not be one that is read."""
    import fcntl
    import os
    from types import SimpleNamespace

    def locking(file, mode, nbytes):
        assert mode == 2, "LK_NBLCK"
        assert nbytes == 1
        assert os.lseek(file, 0, os.SEEK_CUR) > os.fstat(file).st_size, "Windows refuses to read a locked byte"
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PermissionError(13, "Permission denied") from None

    return SimpleNamespace(locking=locking, LK_NBLCK=2)


def _windows_psutil() -> None:
    """Windows tells a process's peak memory here; there is no ``resource``."""
    import psutil

    true = psutil.Process.memory_info

    def memory_info(self):
        from types import SimpleNamespace

        said = true(self)
        return SimpleNamespace(**said._asdict(), peak_wset=said.rss)

    psutil.Process.memory_info = memory_info


def _watch(watched: Path) -> None:
    import os
    import sys

    root = str(watched)
    checks = {
        "os.mkdir": (1, (_check_name,)), "open": (1, (_check_name, _check_no_folder)),
        "os.rename": (2, (_check_name, _check_not_open)), "os.remove": (1, (_check_not_open,)),
    }  # fmt: skip

    def hook(event, args):
        n_paths, tests = checks.get(event, (0, ()))
        for path in args[:n_paths]:
            whole = os.path.abspath(os.fsdecode(path)) if isinstance(path, str | bytes) else ""
            if whole.startswith(root + os.sep):
                for test in tests:
                    test(whole, root)

    sys.addaudithook(hook)


def _check_name(path: str, root: str) -> None:
    import os

    for part in path[len(root) + 1 :].split(os.sep):
        if REFUSED & set(part) or part.endswith((".", " ")) or part.split(".")[0].lower() in RESERVED:
            raise OSError(22, "Windows refuses this name", path)


def _check_no_folder(path: str, root: str) -> None:
    import os
    import sys

    if not os.path.isdir(path):
        return
    frame = sys._getframe()
    while frame is not None:
        if frame.f_globals.get("__name__") == "shutil":  # it removes trees by another way on Windows
            return
        frame = frame.f_back
    raise PermissionError(13, "Windows does not open a folder", path)


def _check_not_open(path: str, root: str) -> None:
    """Raise where any process, this one included, has the file open."""
    import glob
    import os

    for link in glob.glob("/proc/[0-9]*/fd/[0-9]*"):
        try:
            if os.readlink(link) == path:
                raise PermissionError(32, "Windows: the file is in use by another process", path)
        except (FileNotFoundError, ProcessLookupError):
            continue
        except PermissionError as error:
            if error.errno == 32:
                raise
