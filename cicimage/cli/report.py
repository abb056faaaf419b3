"""`cicimage report`: rebuild tables, rates and report from the base tables."""

from __future__ import annotations

from pathlib import Path

import click

from cicimage.cli.echo import echo
from cicimage.cli.summary import print_summary
from cicimage.pipeline.collect import NO_CORRECTIONS, Corrections
from cicimage.report.assemble import rebuild
from cicimage.store import Results, existing_results


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--reference", metavar="CONDITION", default=None, help="Condition the others are compared against.")
@click.option(
    "--corrections",
    metavar="WHOSE",
    default=None,
    help="Reviewer, 'adjudicated' or 'none' [default: the adjudicated ones, else the only reviewer's].",
)
def report(out: Path, reference: str | None, corrections: str | None) -> None:
    """Rebuild tables, rates, comparisons and report.html of results folder OUT from base tables and corrections.

    \f

    Parameters
    ----------
    out : Path
        Results folder.
    reference : str or None
        Condition the others are compared against; None takes the one of the run.
    corrections : str or None
        Reviewer, ``adjudicated`` or ``none``; None takes the adjudicated ones, else those of the only reviewer.

    Raises
    ------
    ConfigurationError
        There is no such reviewer or condition.
    ResultsError
        OUT is no results folder, or the log is damaged.
    """  # noqa: D301 - the form feed ends the text of --help
    results = existing_results(out)
    laid = _corrections(results, corrections)
    say_corrections(laid)
    print_summary(rebuild(results, reference=reference, corrections=laid), results)


def _corrections(results: Results, whose: str | None) -> Corrections:
    """Corrections to apply to the base tables; without a review folder no module of the review is loaded."""
    if whose is None and not (results.root / "review").exists():
        return NO_CORRECTIONS
    from cicimage.review.results import corrected

    return corrected(results, whose)


def say_corrections(laid: Corrections) -> None:
    """Print to stderr whose corrections the tables hold, and those that do not fit."""
    if laid.whose:
        echo(f"cicimage: with the corrections of {laid.whose}", err=True)
    for sentence in (*laid.notes, *laid.conflicts):
        echo(f"cicimage: {sentence}", err=True)
