"""`cicimage check`: preflight of an experiment before it is run."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from cicimage.cli.limits import limit_options, limits_of
from cicimage.forks import process_context
from cicimage.guard import guarded

OPENS: Final = ("cicimage.pipeline.opened", "cicimage.segmentation.guests")
"""Modules of the process that opens the recordings, loaded while this one loads its own."""


@click.command()
@click.argument("experiment", type=click.Path(path_type=Path))
@click.option("--host", metavar="CHANNEL", default=None, help="Host channel, name or 0-based index.")
@click.option("--guest", metavar="CHANNEL", default=None, help="Guest channel, name or 0-based index.")
@click.option("--death", metavar="CHANNEL", default=None, help="Death marker channel, name or 0-based index.")
@click.option("--series", type=click.IntRange(0), default=None, help="Series of files that hold several, 0-based.")
@limit_options
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON and nothing else.")
def check(experiment: Path, as_json: bool, **options: Any) -> int:
    """Say what fits and what does not in EXPERIMENT (a file or a folder), and what a run will need."""
    limits = limits_of(options)
    process_context(OPENS)
    from cicimage.cli.findings import check_experiment

    with guarded(limits):
        return check_experiment(experiment, as_json, options)
