"""`cicimage demo`: the main job on the sample data."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import click

from cicimage.cli.echo import echo
from cicimage.cli.progress import Progress
from cicimage.cli.run import finish
from cicimage.forks import process_context

SAMPLE: Final = Path(__file__).resolve().parents[2] / "sample_data" / "cxcr4_blockade"
SEED: Final = 1
"""Seed of the sample data; where they are not installed the same data are simulated again."""


@click.command()
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("demo_results"), show_default=True, help="Results folder."
)
@click.option("--workers", type=click.IntRange(1), default=None, help="Positions at a time [default: usable cores].")
def demo(out: Path, workers: int | None) -> int:
    """Run the whole job on the sample experiment: vehicle, BTKi, BTKi + CXCR4 antagonist; three donors in 3D.

    \f

    Parameters
    ----------
    out : Path
        Results folder.
    workers : int or None
        Positions at a time; None takes all usable cores.

    Returns
    -------
    int
        Exit code, a key of :data:`cicimage.cli.EXIT_CODES`.
    """  # noqa: D301 - the form feed ends the text of --help
    started = time.monotonic()
    process_context()  # loads the image libraries in the background
    from cicimage.batch import open_batch, run_batch
    from cicimage.batch.supervisor import usable_cores
    from cicimage.experiment import load_experiment

    workers = workers or usable_cores()
    source = SAMPLE if (SAMPLE / "experiment.toml").exists() else _simulated(out, workers)
    echo(f"sample data: {source}", err=True)
    batch = open_batch(load_experiment(source), out)
    with Progress(len(batch.jobs)) as progress:
        outcome = run_batch(batch, workers=workers, report=progress)
    code = finish(batch, outcome, report=True)
    echo(f"took {time.monotonic() - started:.0f} s; run the same on your own folder: cicimage run FOLDER -o OUT")
    return code


def _simulated(out: Path, workers: int) -> Path:
    from cicimage.simulation.scenarios import PRESETS
    from cicimage.simulation.write import write_experiment

    folder = out.with_name(out.name + "_input")
    if not (folder / "experiment.toml").exists():
        echo(f"sample data are not installed; making them by simulation in {folder}", err=True)
        write_experiment(PRESETS["sample"], folder, SEED, workers=workers)
    return folder
