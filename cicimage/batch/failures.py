"""Failures that the supervisor records for a position whose own process cannot."""

from __future__ import annotations

from pathlib import Path

from cicimage.errors import ResultsError
from cicimage.fingerprints import digest
from cicimage.guard import LimitError, ask
from cicimage.pipeline.job import Job, settings_key, write_failure
from cicimage.receipts import read_receipt
from cicimage.store import PositionFolder


def record_failure(job: Job, reason: str, kind: str, peak: int) -> None:
    """Write the receipt of a failed position without opening its recording in this process.

    Parameters
    ----------
    job : Job
        The position.
    reason : str
        Why it failed, in one sentence.
    kind : str
        Kind of failure, as receipts name it.
    peak : int
        Most memory that it held, bytes.

    Raises
    ------
    DiskFullError
        The disk is full.
    """
    try:
        key = ask(job.position.path, settings_key, job)
    except LimitError:
        key = unopened_key(job.position.path)
    write_failure(job, reason, kind, peak, key=key)


def unopened_key(path: Path) -> str:
    """Key of a recording that cannot be opened within the limits: its name, size and time, which open nothing.

    Parameters
    ----------
    path : Path
        The recording.
    """
    try:
        found = path.stat()
    except OSError:
        return f"unopened {digest(str(path))}"
    return f"unopened {digest([str(path), found.st_size, found.st_mtime_ns])}"


def broke_a_limit_before(job: Job) -> bool:
    """Whether a position failed since its recording broke a limit, and the file is the same; opens nothing."""
    try:
        receipt = read_receipt(PositionFolder(job.folder).receipt)
    except (ResultsError, OSError):
        return False
    return bool(receipt["outcome"] == "failed" and receipt.get("key") == unopened_key(job.position.path))
