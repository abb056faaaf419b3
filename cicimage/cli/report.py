"""`cicimage report`: rebuild what people read from base tables."""

from __future__ import annotations

from pathlib import Path

import click

from cicimage.cli.summary import print_summary
from cicimage.errors import ResultsError
from cicimage.report.assemble import rebuild
from cicimage.store import Results


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--reference", metavar="CONDITION", default=None, help="Condition the others are compared against.")
def report(out: Path, reference: str | None) -> None:
    """Rebuild tables, rates, comparisons and report.html of results folder OUT from its base tables."""
    results = Results(out)
    if not results.run.exists():
        raise ResultsError(
            f"{out}: must be a results folder, has no run.json; name the folder given to `cicimage run -o`"
        )
    print_summary(rebuild(results, reference=reference), results)
