"""Forest plot of ratios: every comparison on one logarithmic axis, with its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from cicimage.estimands import NO_INTERACTION, estimand_of
from cicimage.figures.decision import is_wider, limits_in_words, simultaneous
from cicimage.figures.picture import Picture
from cicimage.figures.source import Source, colours_of, records, table_of
from cicimage.figures.style import INK, MUTED, RULE, SHAPES, canvas, plain, style_axes, write_reason
from cicimage.figures.words import against, interval, number, p_value, plural

_ROW_IN = 0.3


def forest(
    source: Source,
    estimands: Sequence[str] | None = None,
    *,
    width_in: float = 10.0,
    key: str = "forest",
) -> Picture:
    """Ratios to the reference with their 95 % intervals.

    Parameters
    ----------
    source : Source
        Table ``comparisons``; ``rates`` gives the order of the conditions.
    estimands : sequence of str, optional
        Which, in this order; by default all.
    width_in : float
        Width of the figure, inches.
    key : str
        Name of the picture on the page.
    """
    rows = _chosen(source, estimands)
    n_lines = len(rows) + rows["estimand"].nunique()
    figure = canvas(width_in, 0.95 + _ROW_IN * max(n_lines, 2))
    left, ax, right = figure.subplots(1, 3, width_ratios=(2.6, 5.0, 2.9), sharey=True)
    if rows.empty:
        for other in (left, right):
            other.set_axis_off()
        write_reason(ax, "No comparison could be made.")
    else:
        _draw(left, ax, right, rows, colours_of(source, list(dict.fromkeys(rows["condition"]))), n_lines)
    return Picture(
        key,
        figure,
        "Ratios to the reference",
        "A point at 1 means no difference. The thick line is the 95 % interval of one comparison; where several were "
        "made, a thin line goes on to the limits that hold for all of the same kind at once. A difference is claimed "
        "only where these lie on one side of 1. An arrow means that the interval goes on. n is the number of donors "
        "(or independent experiments), never of cells." + _interaction_words(rows),
        forest_alt(source, estimands),
    )


def _interaction_words(rows: pd.DataFrame) -> str:
    if not (rows["reference"] == NO_INTERACTION).any():
        return ""
    return (
        " An interaction is a ratio of ratios: 1 where two treatments together do what their separate effects "
        "multiplied would do."
    )


def _chosen(source: Source, estimands: Sequence[str] | None) -> pd.DataFrame:
    rows = table_of(source, "comparisons")
    rows = rows[rows["ratio"].notna() | rows["ci_high"].notna()]
    if estimands is None:
        return rows
    rank = {name: i for i, name in enumerate(estimands)}
    rows = rows[rows["estimand"].isin(rank)]
    return rows.sort_values("estimand", key=lambda s: s.map(rank), kind="stable")


def ratio_limits(rows: pd.DataFrame) -> tuple[float, float]:
    """Limits of a logarithmic axis that holds the ratios and intervals, and at least 0.5 to 2."""
    values = rows[["ratio", "ci_low", "ci_high"]].to_numpy().ravel()
    values = values[np.isfinite(values) & (values > 0)]
    low, high = (values.min(), values.max()) if values.size else (0.5, 2.0)
    return max(min(low / 1.3, 0.45), 0.01), min(max(high * 1.3, 2.2), 100.0)


def ratio_axis(ax: Axes, low: float, high: float) -> None:
    """Make x a logarithmic axis of ratios with a line at 1.

    Parameters
    ----------
    ax : Axes
        Axes to change.
    low, high : float
        Limits, ratios above 0.
    """
    ax.set_xscale("log")
    ax.set_xlim(low, high)
    marks = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if high / low < 400 else (0.01, 0.1, 1, 10, 100)
    ticks = [t for t in marks if low <= t <= high]
    ax.set_xticks(ticks, [f"{t:g}" for t in ticks])
    ax.minorticks_off()
    ax.axvline(1.0, color=MUTED, linewidth=1.1, zorder=1)


def _draw(left: Axes, ax: Axes, right: Axes, rows: pd.DataFrame, colours: dict[str, str], n_lines: int) -> None:
    low, high = ratio_limits(rows)
    style_axes(ax, x_label="ratio to the reference (log scale)", grid="x")
    ratio_axis(ax, low, high)
    ax.set_ylim(n_lines - 0.4, -0.6)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    for side in (left, right):
        side.set_axis_off()
    _header(right, -0.6)
    references = [r for r in rows["reference"].unique() if r != NO_INTERACTION]
    alone = len(references) <= 1
    if len(references) == 1:
        left.text(
            0.04,
            1.0,
            f"against {plain(references[0], 30)}",
            transform=left.transAxes,
            fontsize=8.5,
            color=MUTED,
            va="bottom",
        )
    shapes = {c: SHAPES[i % len(SHAPES)] for i, c in enumerate(colours)}
    y = 0
    for estimand, group in rows.groupby("estimand", sort=False):
        title = plain(estimand_of(str(estimand)).title, 40)
        left.text(0.0, y, title, transform=left.get_yaxis_transform(), fontsize=9.5,
                  fontweight="bold", color=INK, va="center")  # fmt: skip
        if y:
            for axes in (left, ax, right):
                axes.axhline(y - 0.55, color=RULE, linewidth=0.8)
        for row in records(group):
            y += 1
            condition = str(row["condition"])
            name = plain(condition, 38) if alone else f"{plain(condition, 22)} / {plain(row['reference'], 14)}"
            if row["reference"] == NO_INTERACTION:
                name = f"interaction: {plain(condition, 26)}"
            left.text(0.04, y, name, transform=left.get_yaxis_transform(), fontsize=9, color=INK, va="center")
            if is_wider(row):
                ax.plot(
                    _within(simultaneous(row), low, high), [y, y], color=colours[condition], linewidth=0.7, zorder=2
                )
            bar = (row["ratio"], row["ci_low"], row["ci_high"])
            interval_bar(ax, y, bar, (low, high), colours[condition], shapes[condition])
            _numbers(right, y, row)
        y += 1


def _within(limits: tuple[float, float], low: float, high: float) -> list[float]:
    """Limits cut at the ends of the axis; an open side reaches its end."""
    start, end = limits
    return [low if np.isnan(start) else float(np.clip(start, low, high)), min(end, high) if end > low else high]


def interval_bar(
    ax: Axes, y: float, bar: tuple[float, float, float], limits: tuple[float, float], colour: str, shape: str
) -> None:
    """Draw one row: a shape on a line, with an arrow where the interval leaves the axis.

    Parameters
    ----------
    ax : Axes
        Axes to draw on.
    y : float
        Row, in data coordinates.
    bar : (float, float, float)
        Ratio and its interval (ratio, low, high); NaN where a bound or the ratio is unknown.
    limits : (float, float)
        Limits of the axis.
    colour, shape : str
        Colour and marker.
    """
    ratio, low, high = bar
    left, right = limits
    start = left if np.isnan(low) or low < left else low
    end = right if np.isnan(high) or high > right else high
    if not (np.isnan(low) and np.isnan(high)):
        ax.plot([start, end], [y, y], color=colour, linewidth=1.8, zorder=2, solid_capstyle="butt")
        if start == left:
            ax.plot(left, y, marker="<", color=colour, markersize=6, clip_on=False, zorder=3)
        if end == right:
            ax.plot(right, y, marker=">", color=colour, markersize=6, clip_on=False, zorder=3)
    if np.isfinite(ratio) and left <= ratio <= right:
        ax.plot(ratio, y, marker=shape, color=colour, markersize=8, markeredgecolor="white", zorder=4)


_COLUMNS = (0.02, 0.58, 0.80)


def _header(ax: Axes, y: float) -> None:
    for x, text in zip(_COLUMNS, ("ratio (95 % interval)", "n", "p, adjusted"), strict=True):
        ax.text(x, 1.0, text, transform=ax.transAxes, fontsize=8.5, color=MUTED, va="bottom")


def _numbers(ax: Axes, y: float, row: dict[str, Any]) -> None:
    tested = row["unit_of_replication"] != "none"
    p = row["p_adjusted"] if pd.notna(row["p_adjusted"]) else row["p_value"]
    texts = (
        f"{number(row['ratio'])}  ({interval(row['ci_low'], row['ci_high'])})",
        f"{int(row['n_pairs'])}" if tested else "–",
        p_value(p if tested else float("nan")).removeprefix("p = ").removeprefix("p "),
    )
    for x, text in zip(_COLUMNS, texts, strict=True):
        ax.text(x, y, text, transform=ax.get_yaxis_transform(), fontsize=9, color=INK, va="center")


def forest_alt(source: Source, estimands: Sequence[str] | None = None) -> str:
    """Describe the forest plot in words, with the numbers.

    Parameters
    ----------
    source : Source
        Table ``comparisons``.
    estimands : sequence of str, optional
        Estimands to describe; those of the forest plot where not given.

    Returns
    -------
    str
        Alternative text of the figure.
    """
    rows = _chosen(source, estimands)
    told = []
    for row in records(rows):
        unit = row["unit_of_replication"]
        n = plural(row["n_pairs"], unit) if unit != "none" else "no test"
        told.append(
            f"{estimand_of(row['estimand']).title}, {against(row['condition'], row['reference'])}: "
            f"{number(row['ratio'])} ({limits_in_words(row)}, {n})"
        )
    return "; ".join(told) + "." if told else "No comparison could be made."
