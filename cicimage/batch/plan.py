"""Planning of a run: which positions are done, changed, failed or new."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Literal

from cicimage.batch.failures import broke_a_limit_before
from cicimage.batch.position_keys import assign_keys
from cicimage.errors import CicimageError, ConfigurationError, RecordingError, ResultsError, counted, nearest
from cicimage.estimands import ESTIMANDS
from cicimage.experiment import Experiment, ExperimentFile
from cicimage.experiment.spreadsheet import MOST_TEXT_BYTES
from cicimage.fingerprints import digest
from cicimage.guard import LimitError, ask, ask_for_bytes
from cicimage.methods import build
from cicimage.pipeline.input_record import (
    InputRecord,
    looks_unchanged,
    observe,
    read_record,
    with_hashes,
    write_record,
)
from cicimage.pipeline.job import STAGES, Job, input_fingerprint, members_of, stage_keys
from cicimage.pipeline.same_input import same_input
from cicimage.receipts import is_done, read_receipt, succeeded
from cicimage.recording import is_there
from cicimage.regular import require_regular
from cicimage.store import PositionFolder, Results, write_json
from cicimage.tables import SCHEMA_VERSION
from cicimage.version import __version__

State = Literal["done", "failed", "waiting"]
NEW: Final = "new"
FAILED_BEFORE: Final = "failed before, and nothing changed since"
PACKAGES: Final = (
    "numpy", "scipy", "scikit-image", "opencv-python-headless", "numba", "pandas", "pyarrow",
    "tifffile", "imagecodecs", "matplotlib",
)  # fmt: skip


@dataclass(frozen=True)
class Batch:
    """An experiment opened on a results folder.

    Attributes
    ----------
    results : Results
        The folder.
    experiment : Experiment
        What is to be run.
    jobs : tuple of Job
        One per position, in the experiment's order.
    """

    results: Results
    experiment: Experiment
    jobs: tuple[Job, ...]


@dataclass(frozen=True)
class Plan:
    """Jobs that a run executes and those it leaves, with reasons.

    Attributes
    ----------
    todo : tuple of Job
        Jobs to run.
    left : tuple of Job
        Jobs that failed before, with nothing changed since.
    done : tuple of Job
        Jobs whose results are up to date.
    why : mapping of str to str
        Reason by position of ``todo``, as half a sentence.
    """

    todo: tuple[Job, ...]
    left: tuple[Job, ...] = field(default=())
    done: tuple[Job, ...] = field(default=())
    why: Mapping[str, str] = field(default_factory=dict)


def open_batch(experiment: Experiment, out: Path, *, force: bool = False, write: bool = True) -> Batch:
    """Open an experiment on its results folder, and write run.json.

    Parameters
    ----------
    experiment : Experiment
        What is to be run.
    out : Path
        The results folder, new or one to go on with.
    force : bool
        Use the folder even where it holds other files.
    write : bool
        False to read only: another run may hold the folder.

    Raises
    ------
    ResultsError
        The folder holds other files, or results of other recordings.
    """
    check_methods(experiment.file)
    check_primary(experiment.file)
    results = Results(Path(out))
    names = [p.position for p in experiment.positions]
    known = _known_positions(results, names, force=force)
    if known and not force:
        _refuse_other_recordings(results, experiment, known)
    keys = assign_keys(known, names)
    jobs = tuple(
        Job(key=keys[p.position], position=p, file=experiment.file, folder=results.position(keys[p.position]).root)
        for p in experiment.positions
    )
    batch = Batch(results, experiment, jobs)
    if write:
        write_run(batch)
    return batch


def write_run(batch: Batch) -> None:
    """Write run.json: versions, the resolved configuration, the positions and their opaque keys."""
    keys = {j.position.position: j.key for j in batch.jobs}
    write_json(batch.results.run, _run_json(batch.experiment, keys))


def check_methods(file: ExperimentFile) -> None:
    """Build the methods that the file names, so that an error is raised once, before any position runs.

    Raises
    ------
    ConfigurationError
        A method is not installed, has no such option, or an option names a file that cannot be used.
    """
    chosen = file.choices()
    for step in file.methods:
        if chosen[step].method != "none":
            for option in chosen[step].options.values():
                if isinstance(option, str):  # perhaps the name of a file, which is then read as a whole
                    require_regular(Path(option), ConfigurationError, most_bytes=MOST_TEXT_BYTES)
            build(step, chosen[step].method, chosen[step].options).require_files()


def check_primary(file: ExperimentFile) -> None:
    """Refuse an unknown primary estimand.

    Raises
    ------
    ConfigurationError
        There is no such estimand; the message names the nearest one.
    """
    name = file.experiment.primary
    known = [estimand.name for estimand in ESTIMANDS if estimand.primary]
    if name not in known:
        raise ConfigurationError(f"experiment.primary: no estimand {name!r}; {nearest(name, known)}")


def _known_positions(results: Results, names: Sequence[str], *, force: bool) -> dict[str, str]:
    if results.root.exists() and not results.root.is_dir():
        raise ResultsError(f"{results.root}: must be a folder, is a file; choose another one with -o")
    if not results.run.exists():
        if results.root.exists() and any(results.root.iterdir()) and not force:
            raise ResultsError(
                f"{results.root}: must be empty or hold results, holds other files; choose another folder or --force"
            )
        return {}
    known = results.index()
    if known and not set(known) & set(names) and not force:
        raise ResultsError(
            f"{results.root}: belongs to other recordings (such as {next(iter(known))!r}, not {names[0]!r}); "
            "choose another folder or --force"
        )
    return known


def _refuse_other_recordings(results: Results, experiment: Experiment, known: Mapping[str, str]) -> None:
    """Refuse to overwrite results of other recordings with the same names (vehicle/w1_f1 recurs in every experiment).

    A recording changed in place, or an unchanged folder that was moved, is the same experiment; files elsewhere whose
    contents all differ are another one.
    """
    design = results.read_run().get("design", {})
    made = []
    for position in experiment.positions:
        receipt = results.position(known[position.position]).receipt if position.position in known else None
        before = design.get(position.position, {}).get("path")
        if receipt is None or before is None or not receipt.exists():
            continue
        try:
            content = read_receipt(receipt).get("input")
        except ResultsError:
            continue  # a receipt that cannot be read is replaced
        if not content:
            continue
        if not is_there(position.path):
            continue
        if Path(before) == position.path:
            return
        series = experiment.file.files.reading(position.series)["series"]
        if content == _input_of(position.path, series):
            return
        made.append((before, position.path))
    if made:
        raise ResultsError(
            f"{results.root}: belongs to other recordings (such as {str(made[0][0])!r}, not {str(made[0][1])!r}); "
            "choose another folder or --force"
        )


def _input_of(path: Path, series: int | None) -> dict[str, Any] | None:
    try:
        return ask(path, input_fingerprint, path, series)
    except LimitError:
        return None


def _run_json(experiment: Experiment, keys: Mapping[str, str]) -> dict[str, Any]:
    settings = experiment.file.model_dump(mode="json")
    return {
        "schema_version": SCHEMA_VERSION,
        "program": {"cicimage": __version__, "python": platform.python_version(), "platform": platform.platform()},
        "packages": {name: version(name) for name in PACKAGES},
        "source": str(experiment.source),
        "configuration": settings,
        "configuration_hash": digest(settings),
        "origins": dict(experiment.origins),
        "positions": {p.position: keys[p.position] for p in experiment.positions},
        "design": {
            p.position: {
                "path": str(p.path), "series": p.series, "condition": p.condition, "replicate": p.replicate,
                "donor": p.donor, "host_donor": p.host_donor, "experiment": p.experiment, "plate": p.plate,
                "time_zero_h": p.time_zero_h, "factors": dict(p.factors),
            }
            for p in experiment.positions
        },
    }  # fmt: skip


def state_of(job: Job) -> State:
    """State of a position by its receipt; without one it is waiting."""
    folder = Results(job.folder.parent.parent).position(job.key)
    if not folder.receipt.exists():
        return "waiting"
    try:
        return "done" if is_done(folder) else "failed"
    except ResultsError:
        return "waiting"  # a receipt that cannot be read is replaced


def plan(
    batch: Batch,
    *,
    only: Sequence[str] = (),
    retry_failed: bool = False,
    task_index: int | None = None,
    verify: bool = False,
    look: Callable[[Sequence[Job]], Iterable[Job]] = iter,
) -> Plan:
    """Choose the jobs to run.

    A failed position is left alone unless ``retry_failed`` is set or its input or settings changed (its receipt
    remembers both).

    Parameters
    ----------
    batch : Batch
        All positions of the experiment.
    only : sequence of str
        Names of the positions to consider; empty for all.
    retry_failed : bool
        Whether to run failed positions again.
    task_index : int, optional
        Consider only the position at this index, from 0, for array jobs of a scheduler.
    verify : bool
        Compare the content of all recordings with what was analysed, also where size and time are the same.
    look : callable
        Given the jobs, iterates over them; shows progress.

    Returns
    -------
    Plan
        What to run, what is done, and what is left alone.

    Raises
    ------
    ConfigurationError
        ``only`` names no position, or ``task_index`` is out of range.
    """
    chosen = _chosen_jobs(batch, only, task_index)
    jobs, why = list[Job](), dict[str, str]()
    for job in look(chosen):
        reason, changed = _reason(job, verify)
        jobs.append(replace(job, input_changed=changed))
        why[job.key] = reason
    failed = {j.key for j in jobs if why[j.key] == FAILED_BEFORE}
    left = failed if not retry_failed else set()
    return Plan(
        todo=tuple(j for j in jobs if why[j.key] and j.key not in left),
        left=tuple(j for j in jobs if j.key in left),
        done=tuple(j for j in jobs if not why[j.key]),
        why={j.position.position: why[j.key] for j in jobs if why[j.key] and j.key not in left},
    )


def _chosen_jobs(batch: Batch, only: Sequence[str], task_index: int | None) -> list[Job]:
    """Jobs named by ``only``, and of those the one at an index."""
    chosen = list(batch.jobs)
    if only:
        names = {j.position.position for j in chosen}
        for name in only:
            if name not in names:
                raise ConfigurationError(f"--only: no position {name!r}; {nearest(name, names)}")
        chosen = [j for j in chosen if j.position.position in set(only)]
    if task_index is not None:
        if not 0 <= task_index < len(chosen):
            raise ConfigurationError(
                f"--task-index must lie in 0..{len(chosen) - 1} for {counted(len(chosen), 'position')}, is {task_index}"
            )
        chosen = [chosen[task_index]]
    return chosen


def _reason(job: Job, verify: bool) -> tuple[str, bool]:
    """Reason to run a position, and whether its recording is another one than before.

    A recording of which all files look the same is not opened. One that breaks a limit is run, which fails it, and is
    then left alone.
    """
    if broke_a_limit_before(job):
        return FAILED_BEFORE, False
    folder = PositionFolder(job.folder)
    if not folder.receipt.exists() and not folder.stages.exists():
        return NEW, False
    path, record = job.position.path, read_record(folder)
    if not is_there(path):
        return reason_to_run(job), False
    if record is not None and not verify and looks_unchanged(record, path):
        return reason_to_run(job, record), False
    try:
        if record is None or not record.hashed:
            if not verify:
                return ask(path, reason_to_run, job), False
            return ask_for_bytes(path, _size_before(folder), reason_and_hash, job), False
        return ask_for_bytes(path, record.size, reason_after_look, job, record, verify)
    except LimitError:
        return FAILED_BEFORE if state_of(job) == "failed" else NEW, False


def reason_after_look(job: Job, record: InputRecord, verify: bool) -> tuple[str, bool]:
    """Compare a recording with its record, note new sizes and times, and say why to run it.

    Parameters
    ----------
    job : Job
        The position.
    record : InputRecord
        As its results keep it, with the hash of every file.
    verify : bool
        Compare the content of files, too, of which size and time are the same.

    Returns
    -------
    reason : str
        As :func:`reason_to_run` gives it.
    changed : bool
        Whether the recording is another one.
    """
    try:
        known = same_input(job, record, verify=verify)
    except RecordingError:  # it fails when it is run
        return "the recording changed", True
    if known is None:
        return "the recording changed", True
    if known != record:
        with suppress(OSError, CicimageError):  # results that cannot be written to are looked at again next time
            write_record(PositionFolder(job.folder), known)
    return reason_to_run(job, known), False


def reason_and_hash(job: Job) -> str:
    """Say why to run a position whose results keep no hashes, and store them where they are up to date."""
    reason = reason_to_run(job)
    if not reason:
        with job.open() as recording:
            listed = observe(job.position.path, members_of(job, recording), job.input())
        write_record(PositionFolder(job.folder), with_hashes(listed, job.position.path))
    return reason


def _size_before(folder: PositionFolder) -> int:
    """Bytes of the recording as the receipt says, 0 where it does not."""
    try:
        return int((read_receipt(folder.receipt).get("input") or {}).get("size", 0))
    except (ResultsError, OSError):
        return 0


def reason_to_run(job: Job, record: InputRecord | None = None) -> str:
    """Reason to run a position (again), as half a sentence; empty where its results are up to date.

    Parameters
    ----------
    job : Job
        The position.
    record : InputRecord, optional
        Record of its recording where that is known to be the same; it is opened otherwise.
    """
    folder = PositionFolder(job.folder)
    if not folder.receipt.exists():
        return NEW if not folder.stages.exists() else "was interrupted, goes on where it stopped"
    try:
        receipt = read_receipt(folder.receipt)
    except ResultsError:
        return "its receipt cannot be read"
    keys = stage_keys(job, record.identity if record else None)
    if not succeeded(receipt):
        return FAILED_BEFORE if receipt.get("key") == keys["judge"] else "failed, and its recording or settings changed"
    made = receipt.get("stages", {})
    stage = next((s for s in STAGES if made.get(s) != keys[s]), None)
    if stage is None:
        return ""
    if record is None and receipt.get("input") != job.input():
        return "the recording changed"
    return f"settings or version of {stage} ({', '.join(STAGES[stage])}) changed"
