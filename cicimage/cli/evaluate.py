"""`cicimage evaluate`: accuracy of results against truth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cicimage.cli.echo import echo
from cicimage.errors import counted

if TYPE_CHECKING:
    import pandas as pd

    from cicimage.evaluation.evaluate import Evaluation


@click.command()
@click.argument("out", required=False, type=click.Path(path_type=Path))
@click.option("--truth", type=click.Path(path_type=Path), help="FOLDER_truth of a simulation, or reviewed results.")
@click.option(
    "--between", nargs=2, metavar="A B", type=click.Path(path_type=Path),
    help="Compare two results folders side by side; without --truth, B is held against A.",
)  # fmt: skip
@click.option("-o", "--to", type=click.Path(path_type=Path), help="Where tables and page go [default: OUT/evaluation].")
@click.option(
    "--max-distance-um", type=click.FloatRange(0.1), default=5.0, show_default=True,
    help="Furthest centroids of one guest may lie apart.",
)  # fmt: skip
@click.option(
    "--tolerance-min", type=click.FloatRange(0), default=12.0, show_default=True, help="How far off an event may be."
)
@click.option(
    "--prevalence", multiple=True, type=click.FloatRange(0, 1, min_open=True, max_open=True), default=(0.02,),
    show_default=True, help="Share of guests inside to re-weight precision to; may be given again.",
)  # fmt: skip
@click.option(
    "--entry-rate", multiple=True, type=click.FloatRange(0, min_open=True), default=(0.01,), show_default=True,
    help="True entries per guest-hour to re-weight precision to; may be given again.",
)  # fmt: skip
def evaluate(
    out: Path | None, truth: Path | None, between: tuple[Path, Path] | None, to: Path | None, max_distance_um: float,
    tolerance_min: float, prevalence: tuple[float, ...], entry_rate: tuple[float, ...],
) -> None:  # fmt: skip
    """Hold the results in OUT against the truth: tables as CSV, a page with plots, and the faults by name.

    \f

    Parameters
    ----------
    out : Path or None
        Results folder; None with ``between``.
    truth : Path or None
        Truth folder of a simulation or a reviewed results folder; None takes the first folder of ``between``.
    between : (Path, Path) or None
        Two results folders to compare.
    to : Path or None
        Folder of the output; by default ``evaluation`` in the results folder, with ``between`` in the working one.
    max_distance_um : float
        Largest distance between the centroids of one guest, um.
    tolerance_min : float
        Largest difference between the times of one event, min.
    prevalence : tuple of float
        Shares of guests inside to which precision is re-weighted, each between 0 and 1.
    entry_rate : tuple of float
        True entries per guest-hour to which precision is re-weighted.

    Raises
    ------
    UsageError
        Both or neither of ``out`` and ``between``, or no truth.
    ResultsError
        A folder holds no finished results or no truth.
    """  # noqa: D301 - the form feed ends the text of --help
    from cicimage.evaluation.evaluate import Parameters, side_by_side
    from cicimage.evaluation.evaluate import evaluate as hold_against
    from cicimage.evaluation.load import load_results, load_truth

    if (out is None) == (between is None):
        raise click.UsageError("give either one results folder OUT, or --between A B")
    if truth is None and between is None:
        raise click.UsageError("give --truth: FOLDER_truth of a simulation, or a reviewed results folder")
    asked = Parameters(max_distance_um, tolerance_min, prevalence, entry_rate)
    folders = [out] if out is not None else list(between or ())
    stand_in = folders.pop(0) if truth is None else truth
    true = load_truth(stand_in)
    if truth is None:
        echo(f"{folders[0]} held against {stand_in}, whose calls stand for the truth")
    names = _names(folders)
    evaluations = {}
    for folder, name in zip(folders, names, strict=True):
        measured = load_results(folder)
        evaluations[name] = hold_against(measured, true, asked)
        target = (to or folder / "evaluation") if len(folders) == 1 else (to or Path("evaluation")) / name
        _write(evaluations[name], target, measured.reference)
        _say_scores(evaluations[name], name)
        echo(f"tables and page: {target / 'evaluation.html'}")
    if len(folders) > 1:
        _say_between(side_by_side(evaluations), (to or Path("evaluation")) / "between.csv", names)


def _names(folders: list[Path]) -> list[str]:
    """Folder names, with a number appended where two are the same."""
    names = [f.resolve().name for f in folders]
    return names if len(set(names)) == len(names) else [f"{n}-{i}" for i, n in enumerate(names, start=1)]


def _write(evaluation: Evaluation, target: Path, reference: str) -> None:
    from cicimage.evaluation.page import render
    from cicimage.report import csv_text
    from cicimage.store import write_json, write_text

    for name, rows in evaluation.tables.items():
        write_text(target / f"{name}.csv", csv_text(rows))
    write_json(target / "evaluation.json", dict(evaluation.about))
    write_text(target / "evaluation.html", render(evaluation, reference))


def _say_scores(evaluation: Evaluation, name: str) -> None:
    from cicimage.evaluation.page import headline_rows, shown

    conditions = [c for c in dict.fromkeys(evaluation.tables["scores"]["condition"]) if c != "all"]
    rows = headline_rows(evaluation, conditions)
    echo(f"{name}: {counted(len(evaluation.about['positions']), 'position')}")
    width = max(len(str(r["what"])) for r in rows)
    columns = ["all", *conditions]
    echo(" " * width + "".join(f"{c[:18]:>20}" for c in columns) + f"{'n':>10}")
    for row in rows:
        cells = "".join(f"{shown(row[c]):>20}" for c in columns)
        echo(f"{row['what']:<{width}}{cells}{shown(row['n']):>10}")
    faults = evaluation.tables["faults"]
    echo(f"{len(faults)} kinds of fault" + (":" if len(faults) else ""))
    for fault, sentence in zip(faults["fault"], faults["sentence"], strict=True):
        echo(f"  {fault}: {sentence}")


def _say_between(table: pd.DataFrame, path: Path, names: list[str]) -> None:
    from cicimage.evaluation.page import HEADLINE, shown
    from cicimage.report import csv_text
    from cicimage.store import write_text

    write_text(path, csv_text(table))
    all_ = table[table["condition"] == "all"].set_index(["group", "metric"])
    echo(f"{'':<36}" + "".join(f"{n[:18]:>20}" for n in [*names, "difference"]))
    for group, metric in HEADLINE:
        if (group, metric) in all_.index:
            values = [float(all_[n].loc[(group, metric)]) for n in [*names, "difference"]]
            cells = "".join(f"{shown(v):>20}" for v in values)
            echo(f"{group + ' ' + metric.replace('_', ' '):<36}{cells}")
    echo(f"all scores side by side: {path}")
