"""Residence: duration of guests' stays inside."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cicimage.figures.curves import curve_rows, legend_above, risk_table, steps, value_at, whole_hours
from cicimage.figures.picture import Picture
from cicimage.figures.source import Source, colours_of, condition_order, table_of
from cicimage.figures.style import canvas, condition_dashes, style_axes, write_reason
from cicimage.figures.words import exact, number, plural, printable

CURVE = "residence"


def residence(
    source: Source, *, interval_h: float | None = None, width_in: float = 10.0, key: str = "residence"
) -> Picture:
    """Draw the share of stays that still last, and how the others ended.

    Parameters
    ----------
    source : Source
        Table ``curves`` with the curve ``residence`` in the states ``inside``, ``escape``, ``death``.
    interval_h : float, optional
        Time between frames, hours: stays shorter than two of them are mostly missed, which the figure says.
    width_in : float
        Width of the figure, inches.
    key : str
        Name of the picture on the page.
    """
    curves = table_of(source, "curves")
    staying = curve_rows(curves, CURVE, "inside")
    conditions = condition_order(source, list(dict.fromkeys(staying["condition"])))
    figure = canvas(width_in, 3.6 + 0.22 * max(len(conditions), 1))
    if not conditions:
        write_reason(figure.subplots(), "No completed entry was watched, so no stay could be timed.")
    else:
        colours, dashes = colours_of(source, conditions), condition_dashes(conditions)
        grid = figure.subplots(2, 3, sharex=True, width_ratios=(2, 1.4, 1.4),
                               height_ratios=(3.0, 0.24 * len(conditions) + 0.12))  # fmt: skip
        legend_above(figure, colours, dashes)
        times = whole_hours(float(staying["time_h"].max()))
        panels = (("inside", "Still inside"), ("escape", "Came out"), ("death", "Died inside"))
        for column, (state, title) in enumerate(panels):
            ax, table = grid[:, column]
            rows = curve_rows(curves, CURVE, state)
            of = {c: rows[rows["condition"] == c] for c in conditions}
            style_axes(ax, y_label="% of stays" if column == 0 else "", x_label="hours since entry", title=title)
            for c in conditions:
                steps(ax, of[c], colour=colours[c], dash=dashes[c])
            ax.set_xlim(0, times[-1] if len(times) > 1 else None)
            ax.set_xticks(times if column == 0 else times[:: max(1, len(times) // 3)])
            ax.set_ylim(0, 102)
            ax.tick_params(labelbottom=True)
            if column == 0:
                risk_table(table, of, times, "Stays under observation")
            else:
                table.set_axis_off()
    missed = (
        f" Pictures were taken every {exact(interval_h * 60)} min: stays shorter than about "
        f"{exact(interval_h * 120)} min are mostly missed." if interval_h else ""
    )  # fmt: skip
    return Picture(
        key,
        figure,
        "How long guests stay inside",
        "The clock starts at each completed entry. A stay ends when the guest comes out or dies; stays that outlast "
        "the recording leave the count without an end. Bands are 95 % intervals, from when stays of two donors have "
        "ended." + missed,
        residence_alt(source),
    )


def median_stay_h(rows: pd.DataFrame) -> float:
    """Time at which half of the stays have ended; NaN where fewer did."""
    ended = rows[rows["estimate"] <= 0.5]
    return float(ended["time_h"].iloc[0]) if len(ended) else float("nan")


def residence_alt(source: Source) -> str:
    """Describe the curves in words: median stay and how stays ended."""
    curves = table_of(source, "curves")
    staying = curve_rows(curves, CURVE, "inside")
    told = []
    for condition in condition_order(source, list(dict.fromkeys(staying["condition"]))):
        rows = staying[staying["condition"] == condition]
        median, end = median_stay_h(rows), float(rows["time_h"].iloc[-1])
        stay = (
            f"median stay {number(median)} h" if np.isfinite(median) else f"more than half last beyond {exact(end)} h"
        )
        ends = {
            s: value_at(r[r["condition"] == condition], end)
            for s in ("escape", "death")
            if len(r := curve_rows(curves, CURVE, s))
        }
        told.append(
            f"{printable(condition)}: {plural(rows['at_risk'].max(), 'stay')}, {stay}"
            + (f", {number(ends['escape'] * 100)} % came out" if "escape" in ends else "")
            + (f", {number(ends['death'] * 100)} % died inside" if "death" in ends else "")
            + f" within {exact(end)} h"
        )
    return "; ".join(told) + "." if told else "No completed entry was watched, so no stay could be timed."
