"""`cicimage review`: judge and correct the doubtful events in napari."""

from __future__ import annotations

import getpass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final

import click
import pandas as pd

from cicimage.cli.echo import echo
from cicimage.errors import CicimageError, ConfigurationError, counted
from cicimage.guard import guarded
from cicimage.review.accuracy import accuracy_of
from cicimage.review.agreement import Agreement, compare, constancy
from cicimage.review.log import history, log_path, read_log, reviewers, salvage
from cicimage.review.queue import build_queue, load_queue_tables, progress
from cicimage.review.session import is_finished, position_names
from cicimage.store import Results

GROUP: Final = "cicimage.review"
INSTALL: Final = 'pip install "cicimage[napari]"'


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--reviewer", metavar="NAME", default=None, help="Whose log to write [default: your login name].")
@click.option(
    "--adjudicate", nargs=2, metavar="A B", default=None, help="Settle what reviewers A and B saw differently."
)
@click.option("--compare", "pair", nargs=2, metavar="A B", default=None, help="Print how far reviewers A and B agree.")
@click.option("--status", is_flag=True, help="Print how far each reviewer is.")
@click.option(
    "--accuracy",
    "whose",
    metavar="NAME",
    default=None,
    help="Print how good the call inside is, per condition, from NAME's random items.",
)
@click.option("--salvage", "damaged", metavar="NAME", default=None, help="Keep the whole lines of a damaged log.")
@click.option("--tolerance", type=click.IntRange(min=0), default=1, show_default=True, help="Entry frames that agree.")
def review(
    out: Path,
    reviewer: str | None,
    adjudicate: tuple[str, str] | None,
    pair: tuple[str, str] | None,
    status: bool,
    whose: str | None,
    damaged: str | None,
    tolerance: int,
) -> None:
    """Open results folder OUT in napari with the review queue; goes on where it was left, undo included.

    \f

    One of ``damaged``, ``status``, ``whose`` and ``pair`` prints its result and opens no window.

    Parameters
    ----------
    out : Path
        Results folder.
    reviewer : str or None
        Whose log is written; None takes the login name.
    adjudicate : (str, str) or None
        Two reviewers whose disputed items are to be settled.
    pair : (str, str) or None
        Two reviewers whose agreement is printed.
    status : bool
        Print how many items each reviewer has judged.
    whose : str or None
        Reviewer from whose random items the accuracy of the program's calls is printed.
    damaged : str or None
        Reviewer whose damaged log is repaired: whole lines are kept, the damaged file is set aside.
    tolerance : int
        Largest difference between entry frames that agree, frames.

    Raises
    ------
    ConfigurationError
        napari is not installed, or there is no such reviewer.
    ResultsError
        OUT holds no results, or a log is damaged or open elsewhere.
    """  # noqa: D301 - the form feed ends the text of --help
    results = Results(out)
    position_names(results)
    if damaged is not None:
        kept, aside = salvage(log_path(out, damaged))
        echo(f"kept {kept} lines; the damaged log lies at {aside}")
    elif status:
        _say_status(results)
    elif whose is not None:
        _say_accuracy(accuracy_of(results, whose))
    elif pair is not None:
        _say_agreement(compare(results, *pair, tolerance_frames=tolerance))
    else:
        viewer = _viewer()
        with guarded():  # one process opens the recordings of the whole session
            viewer(results, reviewer=reviewer or login_name(), adjudicate=adjudicate, tolerance_frames=tolerance)


def _viewer() -> Any:
    """The function that opens the panel, from the plugin's entry point.

    Raises
    ------
    ConfigurationError
        The plugin or one of its dependencies is not installed.
    """
    found = list(entry_points(group=GROUP))
    if not found:
        raise ConfigurationError(f"review needs napari, which is not installed; {INSTALL}")
    try:
        return found[0].load()
    except ImportError as error:
        raise ConfigurationError(f"review needs napari and Qt, {error.name} is not installed; {INSTALL}") from None


def login_name() -> str:
    """The login name with characters that suit a file name; ``reviewer`` where there is none."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError, ImportError):  # Windows without USERNAME: Python asks for pwd
        return "reviewer"
    return "".join(c if c.isalnum() and c.isascii() else "_" for c in name).strip("_") or "reviewer"


def _say_status(results: Results) -> None:
    names = reviewers(results.root)
    if not names:
        echo("nobody has reviewed yet")
        return
    tables = load_queue_tables(results, position_names(results))
    for name in names:
        try:
            reading = read_log(log_path(results.root, name))
        except CicimageError as error:
            echo(f"{name}: {error}", err=True)
            continue
        done = history(reading.records).done
        queue = build_queue(tables, str(reading.header.get("salt", "")))
        judged = progress(queue, done).judged
        unsure = sum(v == "unsure" for v in judged.values())
        same, asked = constancy(reading.records)
        again = f", {same} of {asked} repeats the same" if asked else ""
        finished = ", finished" if is_finished(reading.records) else ""
        echo(
            f"{name}: {len(judged)} of {counted(len(queue), 'item')} judged, {unsure} unsure, "
            f"{counted(len(done), 'edit')}{again}{finished}"
        )


def _say_accuracy(table: pd.DataFrame) -> None:
    for row in table.to_dict("records"):
        name = f"{row['estimand']}, {row['condition'] or 'all conditions'}"
        if row["n"]:
            echo(f"{name}: {row['estimate']:.2f} ({row['ci_low']:.2f} to {row['ci_high']:.2f}, n {row['n']})")
        else:
            echo(f"{name}: {row['note']}")


def _say_agreement(found: Agreement) -> None:
    a, b = found.reviewers
    echo(f"{a} and {b} both judged {counted(found.n, 'item')}; {100 * found.share:.0f} % alike")
    echo(f"Cohen's kappa {found.kappa:.2f} ({found.ci_low:.2f} to {found.ci_high:.2f})")
    if len(found.entry_errors):
        share = 100 * found.entries_within
        echo(f"entries within {found.tolerance_frames} frames: {share:.0f} % of {len(found.entry_errors)}")
    echo(found.table.to_string())
    echo(f"{len(found.disputed)} disputed; settle them: cicimage review OUT --adjudicate {a} {b}")
