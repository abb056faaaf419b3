"""The look shared by all figures: canvas, colours, shapes. No pyplot, no global state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cicimage.figures.layout import GridLayout
from cicimage.figures.words import short

INK: Final = "#1d2730"
MUTED: Final = "#5c6873"
RULE: Final = "#d8dde1"
PAPER: Final = "#ffffff"
GOOD: Final = "#e8f1ec"
WARN: Final = "#b3261e"

# Colours of Okabe and Ito, distinguishable by colour-blind readers; the reference is always grey.
REFERENCE: Final = "#6b7580"
_CONDITIONS: Final = ("#0072B2", "#D55E00", "#009E73", "#B4589A", "#C98A00", "#3B9BD6", "#7A5C3E")
SHAPES: Final = ("o", "s", "^", "D", "v", "P", "X", "h", "<", ">")
Dash = Literal["-"] | tuple[float, Sequence[float]]
_DASHES: Final[tuple[Dash, ...]] = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))

LOCATION_COLOURS: Final[dict[str, str]] = {
    "free": "#e6e8e4",
    "attached": "#a6d3ee",
    "entering": "#E69F00",
    "inside": "#0072B2",
    "unresolved": "#ffffff",
    "dead": "#39424a",
    "lost": "#bfc5ca",
}
LOCATION_HATCHES: Final[dict[str, str]] = {"unresolved": "////", "lost": "xx"}


def condition_colours(conditions: Sequence[str], reference: str | None = None) -> dict[str, str]:
    """Assign a colour to each condition; the reference is grey.

    Parameters
    ----------
    conditions : sequence of str
        Conditions in the order of the figure; colours repeat after seven.
    reference : str, optional
        The grey one; the first where it is not among them.

    Returns
    -------
    dict
        Colour by condition.
    """
    base = reference if reference in conditions else (conditions[0] if conditions else None)
    others = [c for c in conditions if c != base]
    colours = {c: _CONDITIONS[i % len(_CONDITIONS)] for i, c in enumerate(others)}
    return {c: colours.get(c, REFERENCE) for c in conditions}


def condition_dashes(conditions: Sequence[str]) -> dict[str, Dash]:
    """One dash pattern per condition, so that lines differ without colour."""
    return {c: _DASHES[i % len(_DASHES)] for i, c in enumerate(conditions)}


def donor_shapes(donors: Sequence[str]) -> dict[str, str]:
    """One marker per donor, in the order given."""
    return {d: SHAPES[i % len(SHAPES)] for i, d in enumerate(donors)}


def plain(name: object, most: int = 28) -> str:
    """Make a name safe as matplotlib text: cut to length, and without mathtext.

    Parameters
    ----------
    name : object
        Any name that a user gave.
    most : int
        Largest number of characters.

    Returns
    -------
    str
        Text for a label.
    """
    return short(name, most).replace("$", r"\$")


def wrapped(name: object, room: int) -> str:
    """Break a long name into two lines, at a blank, plus, hyphen, underscore or slash.

    Parameters
    ----------
    name : object
        Any name that a user gave.
    room : int
        Characters that one line holds.

    Returns
    -------
    str
        One or two lines; one where there is no place to break.
    """
    text = plain(name, 2 * max(room, 20))
    cuts = [i for i, letter in enumerate(text) if letter in " +_-/" and i]
    if len(text) <= room or not cuts:
        return text
    middle = min(cuts, key=lambda i: abs(i - len(text) / 2))
    return f"{text[:middle].rstrip()}\n{text[middle:].lstrip()}"


def canvas(width_in: float, height_in: float) -> Figure:
    """Make an empty figure.

    Parameters
    ----------
    width_in, height_in : float
        Size, in; 10 in is the width of the report's page.

    Returns
    -------
    Figure
        Without axes, in the report's layout.
    """
    return Figure(figsize=(width_in, height_in), layout=GridLayout(), facecolor=PAPER)


def style_axes(ax: Axes, *, x_label: str = "", y_label: str = "", title: str = "", grid: str = "y") -> None:
    """Give axes the report's look: two thin spines, quiet grid, left-aligned title.

    Parameters
    ----------
    ax : Axes
        Axes to change.
    x_label, y_label, title : str
        Texts; empty for none.
    grid : str
        ``x``, ``y`` or ``none``: the axis whose ticks get grid lines.
    """
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color("#9aa4ad")
        ax.spines[side].set_linewidth(0.8)
    ax.tick_params(colors=MUTED, labelcolor=INK, labelsize=9, length=3, width=0.8)
    ax.set_xlabel(x_label, fontsize=9.5, color=MUTED, labelpad=5)
    ax.set_ylabel(y_label, fontsize=9.5, color=MUTED, labelpad=6)
    if title:
        # `y` is given so that matplotlib does not search for ticks at the top
        ax.set_title(title, loc="left", y=1.0, fontsize=10.5, color=INK, fontweight="bold", pad=8)
    ax.set_axisbelow(True)
    if grid in ("x", "y"):
        ax.grid(axis="x" if grid == "x" else "y", color=RULE, linewidth=0.7)


def y_top(points: Sequence[float], highs: Sequence[float]) -> float:
    """Choose the upper end of an axis from 0: it holds all points, and intervals up to 2.5 times the highest point.

    One interval without events must not flatten what was measured; it leaves the axis with an arrow.

    Parameters
    ----------
    points : sequence of float
        Estimates; NaN and inf are left out.
    highs : sequence of float
        Upper ends of the intervals; NaN and inf are left out.

    Returns
    -------
    float
        The upper end, with a margin of 10 %; 1 where nothing is above 0.

    Examples
    --------
    >>> [round(y_top(points, [high]), 3) for points, high in (([1, 4], 6.0), ([1, 4], 80.0), ([0.0], 3.0))]
    [6.6, 11.0, 3.3]
    """
    seen = [p for p in points if np.isfinite(p)]
    ends = [h for h in highs if np.isfinite(h)]
    point, end = max(seen, default=0.0), max(ends, default=0.0)
    top = max(point, min(end, 2.5 * point) if point > 0 else end)
    return top * 1.1 if top > 0 else 1.0


def draw_interval(ax: Axes, x: float, low: float, high: float, top: float) -> float:
    """Draw a vertical interval; where it leaves the axis it ends in an arrow.

    Parameters
    ----------
    ax : Axes
        Axes to draw on.
    x : float
        Place of the interval.
    low, high : float
        Its ends; a lower end that is not finite becomes 0.
    top : float
        Upper end of the axis.

    Returns
    -------
    float
        Where the line ends.
    """
    end = min(high, top)
    ax.plot([x, x], [low if np.isfinite(low) else 0.0, end], color=INK, linewidth=1.4, zorder=4)
    if high > top:
        ax.plot(x, top, marker="^", color=INK, markersize=6, clip_on=False, zorder=4)
    return end


def write_reason(ax: Axes, sentence: str) -> None:
    """Write on empty axes why there are no data.

    Parameters
    ----------
    ax : Axes
        Axes to write on; spines and ticks are hidden.
    sentence : str
        The reason.
    """
    ax.set_axis_off()
    ax.text(0.5, 0.5, sentence, ha="center", va="center", fontsize=10, color=MUTED, transform=ax.transAxes, wrap=True)
