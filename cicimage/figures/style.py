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

# Okabe and Ito's colours, which stay apart for colour-blind eyes; the reference is always the grey one.
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
    """One colour per condition; the reference, else the first, is grey."""
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
    """A hostile name as matplotlib text: cut to length, and its dollars stay dollars (no mathtext)."""
    return short(name, most).replace("$", r"\$")


def wrapped(name: object, room: int) -> str:
    """A name in two lines where one of ``room`` letters does not hold it, broken at a blank, plus or hyphen."""
    text = plain(name, 2 * max(room, 20))
    cuts = [i for i, letter in enumerate(text) if letter in " +_-/" and i]
    if len(text) <= room or not cuts:
        return text
    middle = min(cuts, key=lambda i: abs(i - len(text) / 2))
    return f"{text[:middle].rstrip()}\n{text[middle:].lstrip()}"


def canvas(width_in: float, height_in: float) -> Figure:
    """An empty figure; 10 in is the width of the report's page."""
    return Figure(figsize=(width_in, height_in), layout=GridLayout(), facecolor=PAPER)


def dress(ax: Axes, *, x_label: str = "", y_label: str = "", title: str = "", grid: str = "y") -> None:
    """Give axes the report's look: two thin spines, quiet grid, left-aligned title."""
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color("#9aa4ad")
        ax.spines[side].set_linewidth(0.8)
    ax.tick_params(colors=MUTED, labelcolor=INK, labelsize=9, length=3, width=0.8)
    ax.set_xlabel(x_label, fontsize=9.5, color=MUTED, labelpad=5)
    ax.set_ylabel(y_label, fontsize=9.5, color=MUTED, labelpad=6)
    if title:
        # `y` given: matplotlib need not look for ticks on top to put the title over
        ax.set_title(title, loc="left", y=1.0, fontsize=10.5, color=INK, fontweight="bold", pad=8)
    ax.set_axisbelow(True)
    if grid in ("x", "y"):
        ax.grid(axis="x" if grid == "x" else "y", color=RULE, linewidth=0.7)


def y_top(points: Sequence[float], highs: Sequence[float]) -> float:
    """Upper end of an axis from 0: holds all points, and intervals up to twice and a half the highest point.

    One interval without events must not flatten what was measured; it leaves the axis with an arrow.

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


def upright(ax: Axes, x: float, low: float, high: float, top: float) -> float:
    """Draw an upright interval; where it leaves the axis it ends in an arrow. Returns where it ends."""
    end = min(high, top)
    ax.plot([x, x], [low if np.isfinite(low) else 0.0, end], color=INK, linewidth=1.4, zorder=4)
    if high > top:
        ax.plot(x, top, marker="^", color=INK, markersize=6, clip_on=False, zorder=4)
    return end


def say_empty(ax: Axes, sentence: str) -> None:
    """Say in place of data why there is none."""
    ax.set_axis_off()
    ax.text(0.5, 0.5, sentence, ha="center", va="center", fontsize=10, color=MUTED, transform=ax.transAxes, wrap=True)
