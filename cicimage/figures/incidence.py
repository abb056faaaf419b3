"""Cumulative incidence of the first entry, with death outside as the competing risk, and its risk table."""

from __future__ import annotations

import numpy as np

from cicimage.figures.curves import curve_rows, legend_above, risk_table, steps, value_at, whole_hours
from cicimage.figures.picture import Picture
from cicimage.figures.source import Source, colours_of, condition_order, table_of
from cicimage.figures.style import canvas, condition_dashes, style_axes, write_reason, y_top
from cicimage.figures.words import exact, interval, number, plural, printable

CURVE = "entry_cumulative_incidence"


def incidence(source: Source, *, width_in: float = 10.0, key: str = "incidence") -> Picture:
    """Share of guests that have entered by each time, and that died outside before they could.

    Parameters
    ----------
    source : Source
        Table ``curves`` with the curve ``entry_cumulative_incidence`` in the states ``entry`` and
        ``death_outside``; ``rates`` and ``comparisons`` give the order of the conditions.
    width_in : float
        Width of the figure, inches.
    key : str
        Name of the picture on the page.
    """
    curves = table_of(source, "curves")
    entered, died = curve_rows(curves, CURVE, "entry"), curve_rows(curves, CURVE, "death_outside")
    conditions = condition_order(source, list(dict.fromkeys(entered["condition"])))
    figure = canvas(width_in, 3.6 + 0.22 * max(len(conditions), 1))
    if not conditions:
        write_reason(figure.subplots(), "No entries could be followed over time.")
    else:
        colours, dashes = colours_of(source, conditions), condition_dashes(conditions)
        grid = figure.subplots(2, 2, sharex=True, height_ratios=(3.0, 0.24 * len(conditions) + 0.12))
        legend_above(figure, colours, dashes)
        times = whole_hours(float(entered["time_h"].max()))
        panels = ((entered, "First entry"), (died, "Death outside before any entry"))
        for column, (rows, title) in enumerate(panels):
            ax, table = grid[:, column]
            style_axes(ax, y_label="% of guests" if column == 0 else "", x_label="hours since time zero", title=title)
            of = {c: rows[rows["condition"] == c] for c in conditions}
            for c in conditions:
                steps(ax, of[c], colour=colours[c], dash=dashes[c])
            ax.set_xlim(0, times[-1] if len(times) > 1 else None)
            ax.set_xticks(times)
            ax.tick_params(labelbottom=True)
            ax.set_ylim(0, min(y_top(list(rows["estimate"] * 100), list(rows["ci_high"] * 100)), 102))
            if column == 0:
                risk_table(table, of, times)
            else:
                table.set_axis_off()
    return Picture(
        key,
        figure,
        "How many guests had entered by when",
        "A mean over donors. Each step is one guest's first entry (left), or its death outside before "
        "it could enter (right). A guest that "
        "dies outside can no longer enter, so the two are counted against each other; guests lost from view leave the "
        "count. Bands are 95 % intervals and begin when two donors have such an event: one donor says nothing of the "
        "spread between donors. A curve that stays at zero has its upper bound in the table of rates.",
        incidence_alt(source),
    )


def _limits(low: float, high: float) -> str:
    return "events in too few donors for an interval" if np.isnan(low) else f"95 % interval {interval(low, high)}"


def incidence_alt(source: Source) -> str:
    """Describe the curves in words: values at their ends."""
    curves = table_of(source, "curves")
    entered, died = curve_rows(curves, CURVE, "entry"), curve_rows(curves, CURVE, "death_outside")
    told = []
    for condition in condition_order(source, list(dict.fromkeys(entered["condition"]))):
        rows = entered[entered["condition"] == condition]
        last, end = rows.iloc[-1], float(rows["time_h"].iloc[-1])
        dead = value_at(died[died["condition"] == condition], end)
        told.append(
            f"{printable(condition)}: {number(last['estimate'] * 100)} % had entered after {exact(end)} h "
            f"({_limits(last['ci_low'] * 100, last['ci_high'] * 100)}), {number(dead * 100)} % had died "
            f"outside first; {plural(rows['at_risk'].max(), 'guest')} watched at most"
        )
    return "; ".join(told) + "." if told else "No entries could be followed over time."
