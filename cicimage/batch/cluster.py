"""Runs positions on an existing dask.distributed scheduler, one task per position.

Tasks take the same locks and leave the same receipts as the local engine, so that each engine can resume the other's
run. The outcome is the receipt on disk: a lost result of a task costs nothing.
"""

from __future__ import annotations

import ipaddress
import secrets
import socket
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from cicimage.batch.failures import record_failure
from cicimage.batch.plan import Batch, Plan, plan, state_of
from cicimage.batch.supervisor import HELD, Outcome, Report, outcome_of
from cicimage.errors import CicimageError, ConfigurationError, ResultsError
from cicimage.guard import LimitError, Limits, ask, current_limits, guarded, require_memory
from cicimage.locks import lock
from cicimage.pipeline.job import Job, memory_need
from cicimage.regular import refuse_links_outside
from cicimage.store import DiskFullError, read_json
from cicimage.version import __version__

if TYPE_CHECKING:
    from distributed import Client

INSTALL: Final = 'pip install "cicimage[dask]"'
SCHEDULER_TIMEOUT_S: Final = 15
PATIENCE_S: Final = 10.0
"""Longest wait for a killed worker's lock, s: a file server may release it late."""
_ONE_AT_A_TIME: Final = Lock()
"""Held while a position runs: a worker with several threads runs one at a time, to save memory."""


class ClusterError(CicimageError):
    """The scheduler went away; finished positions are kept."""

    exit_code = 3


def run_on_dask(batch: Batch, address: str, *, chosen: Plan | None = None, report: Report = lambda *_: None) -> Outcome:
    """Run the planned positions on the workers of a scheduler.

    Parameters
    ----------
    batch : Batch
        The experiment on its results folder; workers must see recordings and results under the same paths.
    address : str
        The scheduler's address, such as ``tcp://node17:8786``, or its scheduler file.
    chosen : Plan, optional
        Positions to run; all but those that failed before where not given.
    report : callable
        Called at each position's end.

    Raises
    ------
    ConfigurationError
        dask.distributed is not installed, or no scheduler responds.
    ClusterError
        The scheduler went away.
    """
    chosen = chosen or plan(batch)
    held: dict[str, str] = {}
    disk_full = False
    with connect(address) as client:
        for job, result in _task_results(client, chosen.todo):
            name = job.position.position
            if result["outcome"] == "refused":
                held[name] = result["error"]
            elif result["outcome"] == "lost":
                _record_crash(job, result["error"], held)
            disk_full |= result.get("kind") == "disk_full"
            report(name, state_of(job), 1, 1)
            if disk_full:
                break
    return outcome_of(chosen, held, disk_full)


def exposure(address: str) -> str:
    """Warning about a scheduler that lets anybody who reaches its port run code; empty for TLS and for this machine.

    Parameters
    ----------
    address : str
        The scheduler's address, or its scheduler file.

    Examples
    --------
    >>> exposure("tls://node17:8786"), exposure("tcp://127.0.0.1:8786")
    ('', '')
    """
    address = _named_address(address)
    scheme, _, rest = address.rpartition("://")
    host = rest.rpartition(":")[0].strip("[]") or rest
    if scheme not in ("", "tcp", "ws") or host == "localhost":
        return ""
    try:
        if ipaddress.ip_address(host).is_loopback:
            return ""
    except ValueError:  # a name
        pass
    return (
        f"the scheduler {address} has no TLS: whoever reaches its port can run code as you; use tls:// with "
        "certificates (docs/cluster.md), or a network that nobody else reaches"
    )


def _named_address(address: str) -> str:
    """The address itself, or the one that a scheduler file names."""
    if not Path(address).is_file():
        return address
    found = read_json(Path(address))
    return str(found.get("address", "")) if isinstance(found, dict) else ""


def connect(address: str) -> Client:
    """Connect to the scheduler at an address, or to the one that a scheduler file names."""
    try:
        from distributed import Client
        from distributed.security import Security
    except ImportError as error:
        raise ConfigurationError(f"--dask needs dask.distributed, {error.name} is not installed; {INSTALL}") from None
    where = {"scheduler_file": address} if Path(address).is_file() else {"address": address}
    try:
        # looked at here: a client that fails half way waits for itself at its end
        secured = Security().get_connection_args("client").get("ssl_context") is not None
        if _named_address(address).startswith("tls://") and not secured:
            raise ValueError("dask names no certificates")
        return Client(**where, timeout=SCHEDULER_TIMEOUT_S, set_as_default=False)
    except (OSError, TimeoutError, ValueError, TypeError, RuntimeError) as error:  # the last two: settings of TLS
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        remedy = "start one with `dask scheduler`, or name its address such as tcp://host:8786"
        if "tls://" in address or isinstance(error, TypeError | RuntimeError):
            remedy = "check that it runs, and the certificates in distributed.comm.tls of dask (docs/cluster.md)"
        raise ConfigurationError(
            f"--dask {address!r}: must be the address of a running scheduler, none answered ({said}); {remedy}"
        ) from None


def _task_results(client: Client, jobs: tuple[Job, ...]) -> Iterator[tuple[Job, Mapping[str, Any]]]:
    """Yield each job with the result of its task, as they come; futures are released at once.

    dask does not retry tasks: a position that killed its worker is recorded, and ``--retry-failed`` runs it again.
    """
    from distributed import as_completed

    run = secrets.token_hex(4)
    of = {
        client.submit(
            run_task, _absolute(j), __version__, current_limits(), key=f"cicimage-{run}-{j.key}", retries=0, pure=False
        ): j
        for j in jobs
    }
    try:
        for future in as_completed(list(of), loop=client.loop):
            job = of.pop(future)
            if future.status == "cancelled":
                raise ClusterError(
                    "the dask scheduler went away; finished positions are kept, start it again and run the same command"
                )
            result = future.result() if future.status == "finished" else _lost(future.exception())
            future.release()
            yield job, result
    finally:
        if of:
            client.cancel(list(of))


def _lost(error: BaseException) -> dict[str, Any]:
    """Result of a task that returned none."""
    from distributed import KilledWorker

    if isinstance(error, DiskFullError):
        return {"outcome": "lost", "error": str(error), "kind": "disk_full"}
    if isinstance(error, KilledWorker):
        why = (
            "the worker that ran it died; most likely memory ran out: give workers more memory or one thread each, "
            "then run again with --retry-failed"
        )
        return {"outcome": "lost", "error": why}
    return {"outcome": "lost", "error": f"a fault of the program: {type(error).__name__}: {error}"}


def _absolute(job: Job) -> Job:
    """Resolve the paths of a job: a worker's current folder is another one."""
    position = replace(job.position, path=job.position.path.resolve())
    return replace(job, position=position, folder=job.folder.resolve())


def _record_crash(job: Job, reason: str, held: dict[str, str]) -> None:
    """Write the receipt of a position whose worker died, unless another run holds the position now."""
    try:
        with lock(job.folder / ".lock", "the position"):
            if state_of(job) != "done":
                record_failure(job, reason, "killed", 0)
    except ResultsError:
        held[job.position.position] = HELD


def run_task(job: Job, version: str, limits: Limits | None = None) -> dict[str, Any]:
    """Run one position on a worker and return what its receipt does not say.

    Parameters
    ----------
    job : Job
        The position to run.
    version : str
        Version of the program that submitted the task.
    limits : Limits, optional
        Limits of that run on opening; those of the worker's environment where not given.

    Returns
    -------
    dict
        ``outcome``: done, failed (``kind`` is the kind of failure, the receipt says why), or refused, with ``error``,
        where nothing was written.
    """
    host = socket.gethostname()
    if version != __version__:
        return _refused(f"the worker on {host} has cicimage {__version__}, this run {version}; install the same on all")
    if not (job.folder.parent.parent / "run.json").exists():
        return _refused(
            f"the worker on {host} does not see {job.folder.parent.parent}; "
            "results and recordings must lie on a disk that all workers share, under the same path"
        )
    import cv2

    from cicimage.pipeline.position import run_position

    cv2.setNumThreads(1)
    with _ONE_AT_A_TIME:
        try:
            with lock(job.folder / ".lock", f"position {job.position.position!r}", patience_s=PATIENCE_S):
                if kind := _fails_at_opening(job, limits):
                    return {"outcome": "failed", "kind": kind}
                receipt = run_position(job, lambda *_: None, look_ahead=False)  # a task has one core
        except ResultsError:
            if state_of(job) == "done":
                return {"outcome": "done"}
            return _refused(HELD)
    return {"outcome": receipt["outcome"], "kind": receipt.get("kind", "")}


def _fails_at_opening(job: Job, limits: Limits | None) -> str:
    """Kind of failure of a position whose recording breaks a limit on opening, recorded here; empty for others.

    The recording is opened in a child process first: one that hangs or ends its process leaves the worker alone.
    """
    with guarded(limits, in_child=True):
        try:
            refuse_links_outside(job.folder)
            require_memory(job.position.path, ask(job.position.path, memory_need, job))
        except LimitError as error:
            record_failure(job, str(error), "input", 0)
            return "input"
        except ResultsError as error:
            record_failure(job, str(error), "configuration", 0)
            return "configuration"
    return ""


def _refused(why: str) -> dict[str, Any]:
    return {"outcome": "refused", "error": why}
