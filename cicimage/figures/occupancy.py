"""Occupancy: locations of guests over time, one stacked area plot per condition."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from cicimage.figures.curves import curve_rows, value_at, whole_hours
from cicimage.figures.picture import Picture
from cicimage.figures.source import Source, condition_order, table_of
from cicimage.figures.style import LOCATION_COLOURS, LOCATION_HATCHES, canvas, plain, style_axes, write_reason
from cicimage.figures.words import LOCATIONS, exact, number, printable

CURVE = "occupancy"
# Bottom up: the main state lies on the axis, where its share can be read.
_STACK = ("inside", "entering", "attached", "free", "unresolved", "dead", "lost")


def occupancy(source: Source, *, width_in: float = 10.0, key: str = "occupancy") -> Picture:
    """Draw the share of guests in each location over time, per condition.

    Parameters
    ----------
    source : Source
        Table ``curves`` with the curve ``occupancy``, its states the locations and ``dead``, ``lost``.
    width_in : float
        Width of the figure, inches.
    key : str
        Name of the picture on the page.
    """
    rows = curve_rows(table_of(source, "curves"), CURVE)
    conditions = condition_order(source, list(dict.fromkeys(rows["condition"])))
    n_columns = min(len(conditions), 4) or 1
    n_rows = -(-len(conditions) // n_columns) or 1
    figure = canvas(width_in, 2.9 * n_rows + 0.35)
    axes = figure.subplots(n_rows, n_columns, squeeze=False, sharex=True, sharey=True)
    if not conditions:
        write_reason(axes[0, 0], "No guests to place.")
    states = [s for s in _STACK if s in set(rows["state"])]
    for i, ax in enumerate(axes.ravel()[: len(conditions)]):
        _stack(ax, rows[rows["condition"] == conditions[i]], states, conditions[i], first=i % n_columns == 0)
    for ax in axes.ravel()[max(len(conditions), 1) :]:
        ax.set_axis_off()
    if states:
        handles = [
            Patch(facecolor=LOCATION_COLOURS[s], hatch=LOCATION_HATCHES.get(s, ""), edgecolor="#7b868f", linewidth=0.6,
                  label=LOCATIONS[s]) for s in reversed(states)
        ]  # fmt: skip
        figure.legend(handles=handles, loc="outside lower left", ncols=len(handles), frameon=False, fontsize=9,
                      handlelength=1.4, columnspacing=1.6)  # fmt: skip
    return Picture(
        key,
        figure,
        "Where guests are over time",
        "At each hour the bands add up to all guests seen so far. The hatched band is time in which the optics could "
        "not tell where a guest was. More guests inside can mean more entries, fewer escapes or fewer deaths: "
        "the rates tell which.",
        occupancy_alt(source),
    )


def _wide(rows: pd.DataFrame, states: list[str]) -> pd.DataFrame:
    """Shares by time (rows) and state (columns), steps carried forward."""
    wide = rows.pivot_table(index="time_h", columns="state", values="estimate", aggfunc="last").reindex(columns=states)
    wide = wide.sort_index().ffill().fillna(0.0)
    return wide.iloc[np.unique(np.linspace(0, len(wide) - 1, min(len(wide), 240)).astype(int))]


def _stack(ax: Axes, rows: pd.DataFrame, states: list[str], condition: str, *, first: bool) -> None:
    style_axes(ax, y_label="% of guests" if first else "", x_label="hours since time zero", title=plain(condition))
    wide = _wide(rows, states)
    times = wide.index.to_numpy(dtype=float)
    top = np.zeros(len(times))
    for state in states:
        low, top = top, top + wide[state].to_numpy() * 100
        ax.fill_between(times, low, top, step="post", facecolor=LOCATION_COLOURS[state], edgecolor="#7b868f",
                        hatch=LOCATION_HATCHES.get(state, ""), linewidth=0.35)  # fmt: skip
    ax.set_xlim(times[0], times[-1] if len(times) > 1 else times[0] + 1)
    ax.set_ylim(0, 100)
    ax.set_xticks([t for t in whole_hours(float(times[-1]), 6) if t >= times[0]])
    ax.tick_params(labelleft=first, labelbottom=True)
    ax.grid(visible=False)


def occupancy_alt(source: Source) -> str:
    """Describe the stacks in words: shares at the end."""
    rows = curve_rows(table_of(source, "curves"), CURVE)
    told = []
    for condition in condition_order(source, list(dict.fromkeys(rows["condition"]))):
        of = rows[rows["condition"] == condition]
        end = float(of["time_h"].max())
        shares = [
            f"{number(value_at(of[of['state'] == s], end) * 100)} % {LOCATIONS[s]}"
            for s in _STACK
            if s in set(of["state"])
        ]
        told.append(f"{printable(condition)} after {exact(end)} h: " + ", ".join(shares))
    return "; ".join(told) + "." if told else "No guests to place."
