"""`cicimage export`: results in the formats of other programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import click

from cicimage.cli.echo import echo
from cicimage.cli.report import say_corrections
from cicimage.errors import ConfigurationError, ResultsError, counted, nearest
from cicimage.export.ctc import write_ctc
from cicimage.export.geff import write_geff
from cicimage.export.napari import write_napari
from cicimage.export.ro_crate import write_ro_crate
from cicimage.export.tracked import Tracked, file_names, finished_positions, load_tracked
from cicimage.export.trackmate import write_trackmate
from cicimage.review.results import corrected
from cicimage.store import Results, existing_results

WRITERS: Final[Mapping[str, Callable[[Tracked, Path], Any]]] = {
    "geff": write_geff, "ctc": write_ctc, "trackmate": write_trackmate, "napari": write_napari,
}  # fmt: skip


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--format", "--to", "kind", required=True, type=click.Choice([*WRITERS, "ro-crate"]), help="Format to write."
)
@click.option("-o", "--path", required=True, type=click.Path(path_type=Path), help="Folder to write into.")
@click.option("--only", multiple=True, metavar="POSITION", help="Export just this position; may be given again.")
@click.option(
    "--corrections",
    metavar="WHOSE",
    default=None,
    help="Reviewer, 'adjudicated' or 'none' [default: the adjudicated ones, else the only reviewer's].",
)
@click.option("--force", is_flag=True, help="Write into a folder that holds something already.")
def export(out: Path, kind: str, path: Path, only: tuple[str, ...], corrections: str | None, force: bool) -> None:
    """Write results folder OUT as GEFF, Cell Tracking Challenge, TrackMate XML, napari tracks or RO-Crate.

    \f

    Parameters
    ----------
    out : Path
        Results folder.
    kind : str
        A key of :data:`WRITERS`, or ``ro-crate`` for the folder as a whole.
    path : Path
        Folder to write into, one file or folder per position.
    only : tuple of str
        Names of positions; empty for all that are finished and not excluded.
    corrections : str or None
        Reviewer, ``adjudicated`` or ``none``; None takes the adjudicated ones, else those of the only reviewer.
    force : bool
        Write into a folder that is not empty.

    Raises
    ------
    ConfigurationError
        A position or reviewer does not exist, or the options do not go together.
    ResultsError
        Nothing is finished, or ``path`` cannot take the export.
    """  # noqa: D301 - the form feed ends the text of --help
    results = existing_results(out)
    _check_place(results, path, force=force)
    if kind == "ro-crate":
        if only or corrections:
            raise ConfigurationError(
                "--format ro-crate takes the folder as it stands, not --only or --corrections; "
                "rebuild the tables with `cicimage report --corrections` first"
            )
        echo(f"wrote {write_ro_crate(results, path)}")
        return
    laid = corrected(results, corrections)
    say_corrections(laid)
    known, names = results.index(), file_names(results.index())
    for position in only:
        if position not in known:
            raise ConfigurationError(f"--only: no position {position!r}; {nearest(position, known)}")
    finished = finished_positions(results, laid)
    chosen = [p for p in finished if not only or p in only]
    if not chosen:
        raise ResultsError(f"{out}: no position to export is finished; run `cicimage run` again")
    path.mkdir(parents=True, exist_ok=True)
    for position in chosen:
        WRITERS[kind](load_tracked(results, position, laid), path / names[position])
    left = [p for p in known if p not in finished and (not only or p in only)]
    if left:
        echo(f"cicimage: left out, not finished or excluded: {', '.join(left)}", err=True)
    echo(f"wrote {counted(len(chosen), 'position')} as {kind} into {path}")


def _check_place(results: Results, path: Path, *, force: bool) -> None:
    """Raise ResultsError where the export would mix with other files."""
    if path.exists() and not path.is_dir():
        raise ResultsError(f"{path}: must be a folder, is a file; choose another one with -o")
    root, place = results.root.resolve(), path.resolve()
    if place == root or root in place.parents:
        raise ResultsError(f"{path}: must lie outside the results folder {results.root}; choose another one with -o")
    if path.is_dir() and any(path.iterdir()) and not force:
        raise ResultsError(f"{path}: must be empty, holds other files; choose another folder with -o or --force")
