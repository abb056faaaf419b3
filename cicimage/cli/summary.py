"""Summary of a finished run on stdout: rates per condition, comparisons, and the path of the report."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from cicimage.cli.echo import echo
from cicimage.errors import counted
from cicimage.estimands import estimand_of, names_of
from cicimage.experiment.alike import alike_names
from cicimage.figures.decision import inhibition_in_words, is_wider, simultaneous
from cicimage.pipeline.collect import Collected
from cicimage.statistics.design import replication
from cicimage.store import Results


def print_summary(collected: Collected, results: Results) -> None:
    """Print rates, comparisons of the primary estimand and the path of the report.

    Parameters
    ----------
    collected : Collected
        Tables, receipts and configuration of the run.
    results : Results
        The folder.
    """
    rates, comparisons = collected.tables["rates"], collected.tables["comparisons"]
    events = collected.tables["events"]
    echo(
        f"{len(collected.done)} of {counted(len(collected.run['positions']), 'position')} done, "
        f"{counted(len(collected.tables['guests']), 'guest')}, {counted(len(events), 'cell-in-cell event')}"
    )
    for estimand in names_of("summary"):
        part = rates[rates["estimand"] == estimand]
        if not len(part):
            continue
        echo(f"\n{estimand_of(estimand).label} (95 % interval; events / hours; donors)")
        width = max(len(c) for c in part["condition"])
        for r in part.to_dict("records"):
            echo(
                f"  {r['condition']:<{width}}  {_interval(r, 'estimate')};  "
                f"{r['events']:.0f} / {_number(r['exposure_h'])} h;  {r['n_donors'] or 'unknown'}"
            )
    experiment = collected.run["configuration"]["experiment"]
    echo(f"\n{replication(collected.layout, experiment['reference']).sentence}")
    for finding in alike_names(collected.layout, experiment.get("distinct", ())):
        echo(f"warning: {finding.sentence}")
    primary = experiment["primary"]
    part = comparisons[comparisons["estimand"] == primary]
    if len(part):
        echo(f"\n{primary}, ratio to {part['reference'].iloc[0]}")
        for c in part.to_dict("records"):
            p = _p_value(c)
            said = [text for text in (inhibition_in_words(c), c["note"]) if text]
            echo(f"  {c['condition']}  {_number(c['ratio'])} ({_limits(c)}), {p}{';  ' * bool(said)}{'; '.join(said)}")
    echo(f"\nreport: {results.report}")


def _p_value(row: Mapping[Hashable, Any]) -> str:
    """The p-value of the report's verdict: adjusted for the number of comparisons, and then named so."""
    if math.isnan(row["p_value"]):
        return "no test"
    if math.isnan(row["p_adjusted"]) or row["p_adjusted"] == row["p_value"]:
        return f"p = {row['p_value']:.3g}"
    return f"adjusted p = {row['p_adjusted']:.3g}"


def _limits(row: Mapping[Hashable, Any]) -> str:
    """Limits of the ratio alone; where several were compared, those that hold for all at once stand behind."""
    alone = f"{_number(row['ci_low'])} to {_number(row['ci_high'])}"
    low, high = simultaneous(row)
    return f"{alone}; simultaneous {_number(low)} to {_number(high)}" if is_wider(row) else alone


def _number(value: float) -> str:
    return "-" if pd.isna(value) else f"{value:.3g}"


def _interval(row: Mapping[Hashable, Any], name: str) -> str:
    return f"{_number(row[name])} ({_number(row['ci_low'])} to {_number(row['ci_high'])})"
