"""Death inside against outside: rates and hazard ratios."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from cicimage.estimands import DEATH_HAZARD_RATIO, DEATH_RATE_INSIDE, DEATH_RATE_OUTSIDE, estimand_of
from cicimage.figures.decision import limits_in_words
from cicimage.figures.forest import interval_bar, ratio_axis, ratio_limits
from cicimage.figures.picture import Picture
from cicimage.figures.source import Source, colours_of, condition_order, records, table_of, table_or_empty
from cicimage.figures.style import (
    INK,
    canvas,
    donor_shapes,
    draw_interval,
    plain,
    style_axes,
    wrapped,
    write_reason,
    y_top,
)
from cicimage.figures.superplot import donor_estimates
from cicimage.figures.words import count, interval, number, printable

OUTSIDE, INSIDE, HAZARD = DEATH_RATE_OUTSIDE, DEATH_RATE_INSIDE, DEATH_HAZARD_RATIO
_SCALE = 100


def death_inside_outside(source: Source, *, width_in: float = 10.0, key: str = "death") -> Picture:
    """Death rate outside and inside per condition, each donor joined, and the hazard ratio.

    Parameters
    ----------
    source : Source
        Tables ``rates`` and ``rates_by_replicate`` with both death rates, ``comparisons`` with
        ``death_hazard_inside_vs_outside``.
    width_in : float
        Width of the figure, inches.
    key : str
        Name of the picture on the page.
    """
    rates, wells = table_of(source, "rates"), table_or_empty(source, "rates_by_replicate")
    comparisons = table_or_empty(source, "comparisons")
    hazards = comparisons[comparisons["estimand"] == HAZARD].set_index("condition")
    rates = rates[rates["estimand"].isin((INSIDE, OUTSIDE))]
    conditions = condition_order(source, list(dict.fromkeys([*rates["condition"], *hazards.index])))
    colours = colours_of(source, conditions)
    colours = {c: colours[c] for c in conditions}
    figure = canvas(width_in, 3.9)
    left, right = figure.subplots(1, 2, width_ratios=(1.7, 1))
    if rates["estimate"].notna().any():
        _paired(left, rates, wells, colours)
    else:
        write_reason(left, "No death could be placed inside or outside.")
    if hazards["ratio"].notna().any() or hazards["ci_high"].notna().any():
        _ratios(right, hazards, colours)
    else:
        write_reason(right, "No hazard ratio could be estimated.")
    return Picture(
        key,
        figure,
        "Death inside against outside",
        "Left: deaths over the time guests spent in each place, so that time before entry counts as outside. One line "
        "per donor; bars are estimates with 95 % intervals. Right: below 1, dying was rarer inside than outside. This "
        "is an association: healthier guests may be the ones that enter.",
        death_alt(source),
    )


def _paired(ax: Axes, rates: pd.DataFrame, wells: pd.DataFrame, colours: dict[str, str]) -> None:
    style_axes(ax, y_label=f"deaths per {_SCALE} guest-hours", title="Death rate")
    conditions = list(colours)
    shapes = donor_shapes(sorted({d for d in wells["donor"] if d}))
    of_place = {p: donor_estimates(wells[wells["estimand"] == p]) for p in (OUTSIDE, INSIDE)}
    points = np.concatenate([t["estimate"].to_numpy(dtype=float) for t in (rates, *of_place.values())]) * _SCALE
    top = y_top(list(points), list(rates["ci_high"] * _SCALE))
    for i, condition in enumerate(conditions):
        x = (i - 0.2, i + 0.2)
        pair = pd.concat(
            [
                of_place[p][of_place[p]["condition"] == condition].set_index("donor")["estimate"]
                for p in (OUTSIDE, INSIDE)
            ],
            axis=1,
        )
        for donor, values in zip(pair.index, pair.to_numpy() * _SCALE, strict=True):
            ax.plot(x, values, color="#b3bbc2", linewidth=0.9, zorder=1)
            ax.plot(x, values, shapes[donor], linestyle="", color=colours[condition], markersize=6.5, zorder=2,
                    markeredgecolor="white", alpha=0.85, clip_on=False)  # fmt: skip
        for at, place in zip((x[0] - 0.12, x[1] + 0.12), (OUTSIDE, INSIDE), strict=True):
            row = rates[(rates["condition"] == condition) & (rates["estimand"] == place)]
            if len(row) and pd.notna(row["estimate"].iloc[0]):
                r = row.iloc[0]
                draw_interval(ax, at, r["ci_low"] * _SCALE, r["ci_high"] * _SCALE, top)
                ax.plot([at - 0.06, at + 0.06], [r["estimate"] * _SCALE] * 2, color=INK, linewidth=2.4, clip_on=False)
    ticks = [i + d for i in range(len(conditions)) for d in (-0.2, 0.2)]
    ax.set_xticks(ticks, ["outside", "inside"] * len(conditions))
    ax.tick_params(axis="x", length=0, labelsize=8.5)
    for i, condition in enumerate(conditions):
        ax.annotate(wrapped(condition, 20), (i, 0), xycoords=("data", "axes fraction"), xytext=(0, -24),
                    textcoords="offset points", ha="center", va="top", fontsize=9.5, color=INK, fontweight="bold",
                    annotation_clip=False)  # fmt: skip
    ax.set_xlim(-0.55, len(conditions) - 0.45)
    ax.set_ylim(0, top)


def _ratios(ax: Axes, hazards: pd.DataFrame, colours: dict[str, str]) -> None:
    style_axes(ax, x_label="hazard ratio, inside / outside (log scale)", title="Hazard ratio", grid="x")
    limits = ratio_limits(hazards)
    ratio_axis(ax, *limits)
    of_condition = {str(h["condition"]): h for h in records(hazards.reset_index())}
    for y, condition in enumerate(colours):
        if condition not in of_condition:
            continue
        h = of_condition[condition]
        interval_bar(ax, y, (h["ratio"], h["ci_low"], h["ci_high"]), limits, colours[condition], "o")
        text = f"{plain(condition, 24)}  {number(h['ratio'])} ({interval(h['ci_low'], h['ci_high'])})"
        ax.text(0.0, y - 0.22, text, fontsize=8.5, color=INK, va="bottom", transform=ax.get_yaxis_transform())
    ax.set_ylim(len(colours) - 0.5, -0.8)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)


def death_alt(source: Source) -> str:
    """Describe the figure in words, with the numbers."""
    rates, comparisons = table_of(source, "rates"), table_or_empty(source, "comparisons")
    told = []
    for condition in condition_order(source):
        parts = []
        for place in (OUTSIDE, INSIDE):
            row = rates[(rates["estimand"] == place) & (rates["condition"] == condition)]
            if len(row):
                r = row.iloc[0]
                parts.append(
                    f"{estimand_of(place).title.lower()} {number(r['estimate'] * _SCALE)} per {_SCALE} h (95 % "
                    f"interval {interval(r['ci_low'] * _SCALE, r['ci_high'] * _SCALE)}, {count(r['events'])} deaths)"
                )
        ratio = comparisons[(comparisons["estimand"] == HAZARD) & (comparisons["condition"] == condition)]
        if len(ratio):
            h = records(ratio)[0]
            parts.append(f"hazard ratio {number(h['ratio'])} ({limits_in_words(h)})")
        if parts:
            told.append(f"{printable(condition)}: " + ", ".join(parts))
    return "; ".join(told) + "." if told else "No death could be placed inside or outside."
