"""Power of the next experiment over its number of donors."""

from __future__ import annotations

import pandas as pd

from cicimage.figures.picture import Picture
from cicimage.figures.style import MUTED, canvas, style_axes, write_reason
from cicimage.figures.words import exact, number, plural

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#B4589A", "#C98A00")
_SHAPES = ("o", "s", "^", "D", "v")


def power(table: pd.DataFrame, ratio: float, *, width_in: float = 10.0, key: str = "power") -> Picture:
    """One panel per movie length, one line per number of wells.

    Parameters
    ----------
    table : pandas.DataFrame
        As :func:`cicimage.statistics.planning.power_table` returns it: donors, wells, hours, power, power_cautious.
    ratio : float
        The effect to be found.
    width_in : float
        Width of the figure, inches.
    key : str
        Name of the picture on the page.
    """
    lengths = sorted(table["hours"].unique())
    figure = canvas(width_in, 3.6)
    axes = figure.subplots(1, max(len(lengths), 1), squeeze=False, sharey=True)[0]
    if not lengths:
        write_reason(axes[0], "No designs were asked for.")
    for ax, hours in zip(axes, lengths, strict=False):
        style_axes(
            ax, title=f"{exact(hours)} h of movie", x_label="donors", y_label="power, %" if ax is axes[0] else ""
        )
        for i, (wells, of) in enumerate(table[table["hours"] == hours].groupby("wells")):
            rows = of.sort_values("donors")
            colour, shape = _COLOURS[i % len(_COLOURS)], _SHAPES[i % len(_SHAPES)]
            ax.plot(
                rows["donors"], 100 * rows["power"], color=colour, marker=shape, label=plural(float(str(wells)), "well")
            )
            ax.plot(rows["donors"], 100 * rows["power_cautious"], color=colour, linestyle=(0, (2, 2)), linewidth=1.1)
        ax.axhline(80, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
        ax.set_ylim(0, 102)
        ax.set_xticks(sorted(table["donors"].unique()))
    if lengths:
        axes[-1].legend(frameon=False, fontsize=9, loc="lower right")
    return Picture(
        key,
        figure,
        f"Chance to find a ratio of {number(ratio)}",
        "Solid lines take the spread between donors as seen, dotted lines its upper 80 % limit; the dashed line is "
        "80 %. More wells or hours help only until the spread between donors is all that is left.",
        power_alt(table, ratio),
    )


def power_alt(table: pd.DataFrame, ratio: float) -> str:
    """Describe the figure in words: the smallest design that reaches 80 %.

    Parameters
    ----------
    table : pandas.DataFrame
        donors, wells, hours, power (0-1), one row per design.
    ratio : float
        Ratio of rates to be detected.

    Returns
    -------
    str
        Alternative text of the figure.
    """
    enough = table[table["power"] >= 0.8].sort_values(["donors", "wells", "hours"])
    if enough.empty:
        best = table["power"].max() if len(table) else 0.0
        return f"No design reaches 80 % power for a ratio of {number(ratio)}; the best has {number(100 * best)} %."
    first = enough.iloc[0]
    return (
        f"80 % power for a ratio of {number(ratio)} is first reached with {int(first['donors'])} donors, "
        f"{plural(first['wells'], 'well')} each and {exact(first['hours'])} h ({number(100 * first['power'])} %)."
    )
