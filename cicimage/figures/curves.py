"""Step curves over time with their intervals, and the table of numbers at risk."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cicimage.arrays import Float64Array
from cicimage.figures.style import INK, MUTED, Dash, plain, style_axes


def curve_rows(curves: pd.DataFrame, curve: str, state: str | None = None) -> pd.DataFrame:
    """Select one curve over all donors together.

    Parameters
    ----------
    curves : pandas.DataFrame
        Table ``curves``.
    curve : str
        Kind of curve, as the table names it.
    state : str, optional
        State of the curve; all states where not given.

    Returns
    -------
    pandas.DataFrame
        Rows in the order of time.
    """
    rows = curves[(curves["curve"] == curve) & (curves["donor"] == "")]
    if state is not None:
        rows = rows[rows["state"] == state]
    return rows.sort_values("time_h", kind="stable")


def thinned(rows: pd.DataFrame, most: int = 240) -> pd.DataFrame:
    """Reduce a curve to steps spread evenly over time, the first and the last among them.

    Parameters
    ----------
    rows : pandas.DataFrame
        Rows of one curve in the order of time.
    most : int
        About as many steps stay at most.

    Returns
    -------
    pandas.DataFrame
        The rows that stay.
    """
    if len(rows) <= most:
        return rows
    grid = np.linspace(rows["time_h"].iloc[0], rows["time_h"].iloc[-1], most)
    at = np.searchsorted(rows["time_h"].to_numpy(), grid, side="right") - 1
    return rows.iloc[np.unique(np.append(np.clip(at, 0, None), len(rows) - 1))]


def value_at(rows: pd.DataFrame, time_h: float, column: str = "estimate") -> float:
    """Read a step curve at a time.

    Parameters
    ----------
    rows : pandas.DataFrame
        Rows of one curve in the order of time.
    time_h : float
        Time, h.
    column : str
        Column to read.

    Returns
    -------
    float
        Value of the last step at or before the time; NaN before the first.
    """
    before = rows[rows["time_h"] <= time_h]
    return float(before[column].iloc[-1]) if len(before) else float("nan")


def steps(ax: Axes, rows: pd.DataFrame, *, colour: str, dash: Dash = "-", label: str = "", width: float = 2.0) -> None:
    """Draw one step curve in per cent with its interval as a band.

    Parameters
    ----------
    ax : Axes
        Axes to draw on.
    rows : pandas.DataFrame
        Rows of one curve: time_h, estimate, ci_low, ci_high (shares, 0-1).
    colour : str
        Colour of line and band.
    dash : str or tuple
        Line style of matplotlib.
    label : str
        Name for the legend; empty for none.
    width : float
        Line width, points.
    """
    rows = thinned(rows)
    x, y = rows["time_h"], rows["estimate"] * 100
    ax.fill_between(x, rows["ci_low"] * 100, rows["ci_high"] * 100, step="post", color=colour, alpha=0.13, linewidth=0)
    ax.plot(x, y, drawstyle="steps-post", color=colour, linestyle=dash, linewidth=width, label=label)


def risk_table(
    ax: Axes,
    rows_of: dict[str, pd.DataFrame],
    times_h: Float64Array,
    title: str = "Guests under observation",
) -> None:
    """Write the numbers at risk at each time, one line per condition, aligned with the axes above.

    Parameters
    ----------
    ax : Axes
        Axes to write on; they share x with the curves.
    rows_of : dict of str to pandas.DataFrame
        Rows of a curve (time_h, at_risk) by condition.
    times_h : (n,) float64 array
        Times, h; a time beyond the last step shows a dash.
    title : str
        Heading of the table.
    """
    style_axes(ax, grid="none")
    for side in ax.spines.values():
        side.set_visible(False)
    ax.tick_params(length=0, labelbottom=False, pad=18)
    ax.set_title(title, loc="left", fontsize=8.5, color=MUTED, pad=2)
    ax.set_yticks(range(len(rows_of)), [plain(c, 24) for c in rows_of])
    ax.set_ylim(len(rows_of) - 0.4, -0.6)
    for tick in ax.get_yticklabels():
        tick.set_fontsize(8.5)
    for y, rows in enumerate(rows_of.values()):
        for time_h in times_h:
            at_risk = _still_watched(rows, time_h)
            ax.text(time_h, y, "–" if np.isnan(at_risk) else f"{at_risk:,.0f}", ha="center", va="center",
                    fontsize=8.5, color=INK)  # fmt: skip


def _still_watched(rows: pd.DataFrame, time_h: float) -> float:
    """Number at risk at a time: the count just before the next step."""
    after = rows[rows["time_h"] >= time_h]
    if len(after):
        return float(after["at_risk"].iloc[0])
    return float("nan")


def whole_hours(end_h: float, most: int = 7) -> Float64Array:
    """Choose round times for ticks and the table, from 0.

    Parameters
    ----------
    end_h : float
        Latest time, h.
    most : int
        Largest number of times.

    Returns
    -------
    (n,) float64 array
        Times, h.

    Examples
    --------
    >>> whole_hours(24.0).tolist()
    [0.0, 4.0, 8.0, 12.0, 16.0, 20.0, 24.0]
    """
    for step in (0.25, 0.5, 1.0, 2.0, 4.0, 6.0, 12.0, 24.0, 48.0, 96.0):
        if end_h / step <= most - 1 + 1e-9:
            return np.arange(0.0, end_h + 1e-9, step)
    return np.linspace(0.0, end_h, most)


def legend_above(figure: Figure, colours: dict[str, str], dashes: dict[str, Dash]) -> None:
    """Add a legend of the curves above the panels.

    Parameters
    ----------
    figure : Figure
        The figure.
    colours : dict of str to str
        Colour by condition.
    dashes : dict of str to dash
        Line style by condition; its keys are what the legend names.
    """
    handles = [Line2D([], [], color=colours[c], linestyle=dashes[c], linewidth=2.2, label=plain(c)) for c in dashes]
    figure.legend(handles=handles, loc="outside upper left", ncols=min(len(handles), 4), frameon=False, fontsize=9.5,
                  handlelength=2.6, columnspacing=2.0)  # fmt: skip
