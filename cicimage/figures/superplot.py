"""SuperPlot: wells small, donors as shapes joined by lines, the estimate with its interval beside them.

After Lord et al. 2020 (J Cell Biol 219:e202001064): the donor is what counts as n, wells only show the spread
within one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from cicimage.estimands import ENTRY_RATE, Estimand, estimand_of
from cicimage.figures.picture import Picture
from cicimage.figures.source import Source, colours_of, condition_order, records, table_of, table_or_empty
from cicimage.figures.style import (
    INK,
    MUTED,
    canvas,
    donor_shapes,
    draw_interval,
    plain,
    style_axes,
    wrapped,
    write_reason,
    y_top,
)
from cicimage.figures.words import count, interval, listed, number, plural, printable

_SPREAD = 0.42  # width over which donors stand side by side within one condition


def superplot(
    source: Source,
    estimands: str | Sequence[str] = ENTRY_RATE,
    *,
    width_in: float | None = None,
    key: str = "superplot",
) -> Picture:
    """Draw rates per condition with the wells and donors behind them.

    Parameters
    ----------
    source : Source
        Tables ``rates``, ``rates_by_replicate``, optionally ``comparisons`` (for the reference).
    estimands : str or sequence of str
        One panel each.
    width_in : float, optional
        Width of the figure, inches; by default what the panels need.
    key : str
        Name of the picture on the page.

    Returns
    -------
    Picture
        With one panel per estimand that has rates.

    Raises
    ------
    CicimageError
        A table is missing or does not conform.
    """
    rates, wells = table_of(source, "rates"), table_or_empty(source, "rates_by_replicate")
    names = [estimands] if isinstance(estimands, str) else list(estimands)
    colours = colours_of(source, condition_order(source))
    donors = sorted({d for d in wells["donor"] if d})
    most = 3 if len(colours) <= 3 else 2 if len(colours) <= 5 else 1
    n_columns = min(len(names), most) or 1
    n_rows = -(-len(names) // n_columns) or 1
    usual = 10.0 if len(names) > 1 else min(max(5.2, 2.3 * len(colours)), 10.0)
    figure = canvas(width_in or usual, (3.9 if n_rows == 1 else 3.1) * n_rows + (0.3 if donors else 0))
    axes = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for ax, name in zip(axes, names, strict=False):
        _panel(ax, rates[rates["estimand"] == name], wells[wells["estimand"] == name], name, colours, donors,
               alone=len(names) == 1)  # fmt: skip
    for ax in axes[len(names) :]:
        ax.set_axis_off()
    handles = _legend(donors)
    figure.legend(handles=handles, loc="outside lower left", ncols=min(len(handles), 9), frameon=False, fontsize=8.5,
                  handletextpad=0.4, columnspacing=1.4)  # fmt: skip
    first = estimand_of(names[0]) if names else estimand_of("Rates")
    return Picture(
        key,
        figure,
        f"{first.title} per condition" if len(names) == 1 else "Rates per condition",
        "Each large shape is one donor (the same shape in every condition, joined by a line), each dot one well. "
        "The bar is the estimate over all donors with its 95 % interval; a pale band shows where it would lie if "
        "everything left open or in doubt were taken one way or the other.",
        superplot_alt(source, names),
    )


def donor_estimates(wells: pd.DataFrame) -> pd.DataFrame:
    """Compute one estimate per condition and donor from rows per well: events over exposure where both are known.

    Parameters
    ----------
    wells : pandas.DataFrame
        Rows of ``rates_by_replicate`` of one estimand.

    Returns
    -------
    pandas.DataFrame
        condition, donor, estimate, n_wells.
    """
    known = wells[wells["donor"] != ""]
    rows = []
    for (condition, donor), of_donor in known.groupby(["condition", "donor"], sort=False):
        counted = of_donor[of_donor["exposure_h"].gt(0) & of_donor["events"].notna()]
        if len(counted) and _is_rate(counted):
            estimate = counted["events"].sum() / counted["exposure_h"].sum()
        else:
            estimate = of_donor["estimate"].mean()
        rows.append((condition, donor, float(estimate), int(of_donor["replicate"].nunique())))
    return pd.DataFrame(rows, columns=["condition", "donor", "estimate", "n_wells"])


def _is_rate(rows: pd.DataFrame) -> bool:
    """Whether the estimates are events over exposure, and not a share or a mean that merely carries both."""
    return bool(np.allclose(rows["estimate"], rows["events"] / rows["exposure_h"], rtol=1e-3, equal_nan=True))


def _panel(
    ax: Axes,
    rates: pd.DataFrame,
    wells: pd.DataFrame,
    name: str,
    colours: dict[str, str],
    donors: list[str],
    *,
    alone: bool,
) -> None:
    words = estimand_of(name, str(rates["unit"].iloc[0]) if len(rates) else "")
    if rates.empty:
        write_reason(ax, f"{words.title}: nothing to show")
        return
    style_axes(ax, y_label=words.shown_unit, title="" if alone else words.title)
    shapes = donor_shapes(donors)
    by_donor, conditions = donor_estimates(wells), list(colours)
    offsets = _offsets(donors)
    points = np.concatenate([t["estimate"].to_numpy(dtype=float) for t in (wells, rates, by_donor)]) * words.scale
    top = y_top(list(points), list(rates["ci_high"] * words.scale))
    for donor in donors:
        line = by_donor[by_donor["donor"] == donor].set_index("condition")["estimate"].reindex(conditions)
        xs = np.arange(len(conditions)) + offsets[donor]
        ax.plot(xs, line * words.scale, color="#b3bbc2", linewidth=0.9, zorder=1)
        for x, condition, value in zip(xs, conditions, line, strict=True):
            of_donor = wells[(wells["condition"] == condition) & (wells["donor"] == donor)]
            if np.isnan(value):
                continue
            _dots(ax, x, of_donor["estimate"] * words.scale, colours[condition])
            ax.plot(x, value * words.scale, shapes[donor], color=colours[condition], markersize=8, zorder=3,
                    markeredgecolor="white", markeredgewidth=0.8, clip_on=False)  # fmt: skip
    for x, condition in enumerate(conditions):
        nameless = wells[(wells["condition"] == condition) & (wells["donor"] == "")]
        _dots(ax, x - 0.1, nameless["estimate"] * words.scale, colours[condition])
        _estimate(ax, x + 0.34, rates[rates["condition"] == condition], words.scale, colours[condition], top)
    ax.set_xticks(range(len(conditions)), [wrapped(c, max(8, 44 // len(conditions))) for c in conditions])
    ax.tick_params(axis="x", length=0, pad=6)
    ax.set_xlim(-0.5, len(conditions) - 0.4)
    ax.set_ylim(0, top)


def _offsets(donors: list[str]) -> dict[str, float]:
    if len(donors) < 2:
        return dict.fromkeys(donors, -0.1)
    return {d: -0.1 + _SPREAD * (i / (len(donors) - 1) - 0.5) for i, d in enumerate(donors)}


def _dots(ax: Axes, x: float, values: pd.Series, colour: str) -> None:
    values = values.dropna()
    if values.empty:
        return
    beside = np.linspace(-0.035, 0.035, len(values)) if len(values) > 1 else np.zeros(len(values))
    ax.plot(x + beside, values, ".", color=colour, alpha=0.45, markersize=5, zorder=2, clip_on=False)


def _estimate(ax: Axes, x: float, row: pd.DataFrame, scale: float, colour: str, top: float) -> None:
    if row.empty or pd.isna(row["estimate"].iloc[0]):
        return
    r = row.iloc[0]
    estimate, low, high = r["estimate"] * scale, r["ci_low"] * scale, r["ci_high"] * scale
    bounds = r["bound_low"] * scale, r["bound_high"] * scale
    if not np.isnan(bounds).any() and bounds[1] != bounds[0]:
        ax.fill_between([x - 0.08, x + 0.08], min(bounds), max(bounds), color=colour, alpha=0.18, linewidth=0, zorder=2)
    end = draw_interval(ax, x, low, high, top) if np.isfinite(high) else estimate
    ax.plot([x - 0.08, x + 0.08], [estimate, estimate], color=INK, linewidth=2.4, zorder=4, solid_capstyle="butt",
            clip_on=False)  # fmt: skip
    # beside an arrow that leaves the axis, where the title is, above an interval that ends
    leaves = end == top
    ax.annotate(
        number(estimate), (x, end), textcoords="offset points", xytext=(6, -4) if leaves else (0, 3),
        ha="left" if leaves else "center", va="top" if leaves else "bottom", fontsize=8.5, color=INK,
        annotation_clip=False,
    )  # fmt: skip


def _legend(donors: list[str]) -> list[Line2D]:
    handles = [
        Line2D([], [], linestyle="", marker=shape, color=MUTED, markersize=7, label=plain(donor, 18))
        for donor, shape in list(donor_shapes(donors).items())[:12]
    ]
    handles.append(Line2D([], [], linestyle="", marker=".", color=MUTED, alpha=0.6, markersize=6, label="well"))
    handles.append(Line2D([], [], color=INK, linewidth=2.4, label="estimate, 95 % interval"))
    return handles


def superplot_alt(source: Source, estimands: Sequence[str]) -> str:
    """Describe the SuperPlot in words, with the numbers.

    Parameters
    ----------
    source : Source
        Tables ``rates``, and ``rates_by_replicate`` where there are any.
    estimands : sequence of str
        Estimands of the figure.

    Returns
    -------
    str
        Alternative text of the figure.
    """
    rates, wells = table_of(source, "rates"), table_or_empty(source, "rates_by_replicate")
    sentences = []
    for name in estimands:
        words = estimand_of(name)
        rows = {r["condition"]: r for r in records(rates[rates["estimand"] == name])}
        donors = donor_estimates(wells[wells["estimand"] == name])
        told = [_told(c, rows[c], donors[donors["condition"] == c], words) for c in condition_order(source, list(rows))]
        sentences.append(f"{words.title}, {words.shown_unit}: " + ("; ".join(told) if told else "no data") + ".")
    return " ".join(sentences)


def _told(condition: str, row: dict[str, Any], donors: pd.DataFrame, words: Estimand) -> str:
    text = (
        f"{printable(condition)} {number(row['estimate'] * words.scale)} "
        f"(95 % interval {interval(row['ci_low'] * words.scale, row['ci_high'] * words.scale)}, "
        f"{count(row['events'])} {words.plural}, "
        + (plural(row["n_donors"], "donor") if row["n_donors"] else "donors unknown")
        + ")"
    )
    if len(donors):
        each = [
            f"{printable(d)} {number(v * words.scale)}"
            for d, v in zip(donors["donor"], donors["estimate"], strict=True)
        ]
        text += f", by donor {listed(each)}"
    return text
