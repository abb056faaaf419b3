"""The evaluation as one self-contained page."""

from __future__ import annotations

import math
from typing import Any, Final

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cicimage.evaluation.evaluate import Evaluation
from cicimage.evaluation.pictures import draw
from cicimage.figures.picture import Picture

HEADLINE: Final = (
    ("detection", "f1"), ("tracks", "links_f1"), ("tracks", "tra"), ("tracks", "chota"), ("tracks", "id_switches"),
    ("inside", "precision"), ("inside", "recall"), ("inside", "f1"), ("inside", "precision_with_false_guests"),
    ("inside", "unresolved_share"), ("entry", "precision"), ("entry", "recall"), ("entry", "f1"),
    ("entry", "error_median_min"), ("escape", "f1"), ("abort", "f1"), ("death", "f1"), ("host_death", "f1"),
    ("calibration", "brier_p_inside"), ("calibration", "ece_p_inside"), ("calibration", "ece_p_event"),
)  # fmt: skip


def render(evaluation: Evaluation, reference: str = "") -> str:
    """Return the page as HTML: no script, no network, names escaped.

    Parameters
    ----------
    evaluation : Evaluation
        What to show.
    reference : str
        Condition drawn in grey.
    """
    environment = Environment(
        loader=PackageLoader("cicimage.evaluation"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"shown": shown, "percent": lambda v: "-" if _missing(v) else f"{v:.1%}"}
    tables = {name: _records(rows) for name, rows in evaluation.tables.items()}
    conditions = [c for c in dict.fromkeys(evaluation.tables["scores"]["condition"]) if c != "all"]
    page = environment.get_template("evaluation.html.jinja").render(
        **(tables | {"scores": headline_rows(evaluation, conditions)}),
        score_columns=["what", "all", *conditions, "n"],
        pictures=draw(evaluation.tables, reference),
        about=dict(evaluation.about),
        figure=_figure,
    )
    return page.strip() + "\n"


def headline_rows(evaluation: Evaluation, conditions: list[str]) -> list[dict[str, Any]]:
    """Select the main scores, one row each with a column per condition.

    Parameters
    ----------
    evaluation : Evaluation
        All scores.
    conditions : list of str
        Conditions beside ``all``.

    Returns
    -------
    list of dict
        ``what``, ``all`` and each condition (NaN where not scored), and ``n`` of all.
    """
    table = evaluation.tables["scores"].set_index(["group", "metric", "condition"])
    rows = []
    for group, metric in HEADLINE:
        row: dict[str, Any] = {"what": f"{group} {metric.replace('_', ' ')}"}
        for condition in ("all", *conditions):
            row[condition] = evaluation.score(group, metric, condition)
        row["n"] = float(table["n"].get((group, metric, "all"), float("nan")))
        rows.append(row)
    return rows


def shown(value: Any) -> str:
    """Format a cell for a reader: three significant figures, a dash for a missing value."""
    if _missing(value):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.0f}" if value == int(value) and abs(value) >= 10 else f"{value:.3g}"
    return str(value)


def _missing(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and not math.isfinite(value))


def _figure(picture: Picture) -> Markup:
    caption = Markup("<b>{}.</b> {}").format(picture.title, picture.how_to_read)
    return Markup("<figure>{}<figcaption>{}</figcaption></figure>").format(Markup(picture.svg()), caption)  # noqa: S704


def _records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(k): v for k, v in row.items()} for row in rows.to_dict("records")]
