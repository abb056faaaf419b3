"""`cicimage run`: the main job."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, Final

import click
from tqdm import tqdm

from cicimage.cli.echo import echo
from cicimage.cli.limits import limit_options, limits_of
from cicimage.cli.progress import Progress
from cicimage.errors import ConfigurationError, counted
from cicimage.forks import has_fork_server, process_context
from cicimage.guard import guarded

if TYPE_CHECKING:
    from cicimage.batch import Batch, Outcome, Plan
    from cicimage.pipeline.job import Job

SHOWN: Final = 3
"""Most positions named in the message about those that are run again for one reason."""


@click.command()
@click.argument("experiment", type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", required=True, type=click.Path(path_type=Path), help="Results folder; resumed if it is there."
)
@click.option("--workers", type=click.IntRange(1), default=None, help="Positions at a time [default: usable cores].")
@click.option("--dask", metavar="ADDRESS", default=None, help="Run on the workers of this dask.distributed scheduler.")
@click.option("--only", multiple=True, metavar="POSITION", help="Run just this position; may be given again.")
@click.option(
    "--task-index", type=int, default=None, help="Run just the position of this 0-based index (cluster arrays)."
)
@click.option("--series", type=click.IntRange(0), default=None, help="Series of files that hold several, 0-based.")
@click.option("--host", metavar="CHANNEL", default=None, help="Host channel, name or 0-based index.")
@click.option("--guest", metavar="CHANNEL", default=None, help="Guest channel, name or 0-based index.")
@click.option("--death", metavar="CHANNEL", default=None, help="Death marker channel, name or 0-based index.")
@click.option("--reference", metavar="CONDITION", default=None, help="Condition the others are compared against.")
@click.option("--dry-run", is_flag=True, help="Say what would be run and stop.")
@click.option("--retry-failed", is_flag=True, help="Take up positions again that failed before.")
@click.option(
    "--verify",
    is_flag=True,
    help="Compare the hash of every file with that of the analysed recording, also where size and time are the same.",
)
@click.option("--force", is_flag=True, help="Use the folder though it holds something else.")
@click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), default=None, help="Longest time for one position, s."
)
@limit_options
@click.option("--strict", is_flag=True, help="Refuse names of donors or conditions that are almost the same.")
@click.option("--no-report", is_flag=True, help="Leave tables, rates and report to a later `cicimage report`.")
def run(experiment: Path, out: Path, **options: Any) -> int:
    """Find, track and score cell-in-cell events in every recording of EXPERIMENT (a file or a folder).

    \f

    Parameters
    ----------
    experiment : Path
        Experiment file, or folder of recordings.
    out : Path
        Results folder; positions that are finished in it are kept.
    **options
        All other options, by name, as ``cicimage run --help`` describes them.

    Returns
    -------
    int
        Exit code, a key of :data:`cicimage.cli.EXIT_CODES`.

    Raises
    ------
    ConfigurationError
        Experiment, layout or options do not fit.
    ResultsError
        The folder is held by another run, or belongs to other recordings.
    """  # noqa: D301 - the form feed ends the text of --help
    _check_engine(options)
    limits = limits_of(options)
    process_context()  # loads the image libraries in the background
    with guarded(limits):
        return _run_experiment(experiment, out, options)


def _run_experiment(experiment: Path, out: Path, options: Mapping[str, Any]) -> int:
    """Plan and run, and rebuild the report."""
    from cicimage.batch import open_batch
    from cicimage.batch.plan import plan, write_run
    from cicimage.batch.supervisor import folder_lock
    from cicimage.experiment import load_experiment
    from cicimage.experiment.alike import refuse_alike_names
    from cicimage.locks import lock
    from cicimage.store import remove_partial_files

    loaded = load_experiment(
        experiment,
        {
            "channels.host": options["host"], "channels.guest": options["guest"], "channels.death": options["death"],
            "experiment.reference": options["reference"], "files.series": options["series"],
        },
    )  # fmt: skip
    if options["strict"]:
        refuse_alike_names(loaded.layout(), loaded.file.experiment.distinct)
    batch = open_batch(loaded, out, force=options["force"], write=False)
    chosen = plan(
        batch, only=options["only"], retry_failed=options["retry_failed"], task_index=options["task_index"],
        verify=options["verify"], look=_shown if options["verify"] else iter,
    )  # fmt: skip
    if options["dry_run"]:
        _say_plan(batch, chosen)
        return 0
    for sentence in loaded.unread:
        echo(f"cicimage: warning: {sentence}", err=True)
    _say_why(chosen)
    whole_run = options["task_index"] is None
    held = lock(folder_lock(batch.results.root), "this folder") if whole_run else nullcontext()
    reported = whole_run and not options["no_report"]
    with held, Progress(len(chosen.todo)) as progress:
        write_run(batch)
        if whole_run:
            remove_partial_files(batch.results.root, deep=False)
        if reported and has_fork_server():
            # A spawned process copies this one's sys.path, which `import cv2` changes while it loads.
            Thread(target=_load_report, daemon=True).start()
        outcome = _run(batch, chosen, options, progress)
    return finish(batch, outcome, report=reported)


def _shown(jobs: Sequence[Job]) -> Iterable[Job]:
    """Go over jobs with a bar in a terminal and a sentence at the end: whole recordings are read."""
    yield from tqdm(jobs, desc="comparing hashes", unit="pos", leave=False, disable=None, file=sys.stderr)
    echo(f"cicimage: the hashes of {counted(len(jobs), 'position')} were compared", err=True)


def _run(batch: Batch, chosen: Plan, options: Mapping[str, Any], progress: Progress) -> Outcome:
    """Run on this machine, or with ``--dask`` on the workers of that scheduler."""
    if options["dask"] is None:
        from cicimage.batch.supervisor import run_batch, usable_cores

        workers = options["workers"] or usable_cores()
        return run_batch(batch, workers=workers, chosen=chosen, timeout_s=options["timeout"], report=progress)
    from cicimage.batch.cluster import exposure, run_on_dask

    if warning := exposure(options["dask"]):
        echo(f"cicimage: warning: {warning}", err=True)

    return run_on_dask(batch, options["dask"], chosen=chosen, report=progress)


def _check_engine(options: Mapping[str, Any]) -> None:
    """Refuse options of the local engine with ``--dask``: the scheduler alone starts and stops its workers."""
    for name in ("workers", "timeout", "task_index"):
        if options["dask"] is not None and options[name] is not None:
            raise ConfigurationError(
                f"--dask goes without --{name.replace('_', '-')}: the scheduler's workers are what they are; leave one"
            )


def _load_report() -> None:
    """Import the modules of the report while the positions run, since this process is idle then."""
    import cicimage.cli.report
    import cicimage.report.assemble  # noqa: F401


def finish(batch: Batch, outcome: Outcome, *, report: bool) -> int:
    """Rebuild tables and report, print rates and the reasons of failed positions.

    Parameters
    ----------
    batch : Batch
        The run.
    outcome : Outcome
        Positions done, failed and waiting.
    report : bool
        False leaves tables and report to a later ``cicimage report``.

    Returns
    -------
    int
        Exit code of the outcome, a key of :data:`cicimage.cli.EXIT_CODES`.
    """
    if report:
        from cicimage.cli.report import say_corrections
        from cicimage.cli.summary import print_summary
        from cicimage.report.assemble import rebuild
        from cicimage.review.results import corrected

        laid = corrected(batch.results)
        say_corrections(laid)
        collected = rebuild(batch.results, corrections=laid)
        print_summary(collected, batch.results)
    for position, reason in outcome.reasons.items():
        echo(f"cicimage: {position} failed: {reason}", err=True)
    return outcome.exit_code


def _say_plan(batch: Batch, chosen: Plan) -> None:
    from cicimage.batch.plan import state_of

    for job in chosen.todo:
        name = job.position.position
        echo(f"{name}\t{state_of(job)}\twould be run: {chosen.why[name]}")
    for job in chosen.left:
        echo(f"{job.position.position}\t{state_of(job)}\twould be left alone (--retry-failed takes it up)")
    for job in chosen.done:
        echo(f"{job.position.position}\tdone\twould be left as it is")
    echo(f"results in {batch.results.root}")


def _say_why(chosen: Plan) -> None:
    """Print to stderr which positions are run again, and why; new positions need no reason."""
    from cicimage.batch.plan import NEW

    again = Counter(w for w in chosen.why.values() if w != NEW)
    for why, n in again.items():
        names = [p for p, w in chosen.why.items() if w == why]
        shown = ", ".join(names[:SHOWN]) + (", ..." if n > SHOWN else "")
        echo(f"cicimage: {counted(n, 'position')} ({shown}) {'is' if n == 1 else 'are'} run again: {why}", err=True)
    if chosen.left:
        n = len(chosen.left)
        echo(
            f"cicimage: {counted(n, 'position')} failed before, left alone; --retry-failed takes up what failed",
            err=True,
        )
