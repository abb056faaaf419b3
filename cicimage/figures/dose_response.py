"""Dose-response: donors as shapes, the fitted curve, the dose of half the effect."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from cicimage.arrays import Float64Array
from cicimage.estimands import Estimand, estimand_of
from cicimage.figures.picture import Picture
from cicimage.figures.source import Source, records, table_of, table_or_empty
from cicimage.figures.style import INK, MUTED, canvas, donor_shapes, plain, style_axes, write_reason
from cicimage.figures.words import exact, interval, number, plural, printable


def dose_response(source: Source, *, width_in: float = 10.0, key: str = "dose-response") -> Picture:
    """Estimates over dose, one panel per drug and estimand.

    Parameters
    ----------
    source : Source
        Table ``dose_response`` (measured points and points of the fit), optionally ``dose_fits``.
    width_in : float
        Width of the figure, inches.
    key : str
        Name of the picture on the page.
    """
    rows, fits = table_of(source, "dose_response"), table_or_empty(source, "dose_fits")
    panels = list(rows.groupby(["estimand", "drug"], sort=False))
    n_columns = min(len(panels), 2) or 1
    n_rows = -(-len(panels) // n_columns) or 1
    figure = canvas(width_in if n_columns > 1 else min(width_in, 6.4), 3.6 * n_rows)
    axes = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    if not panels:
        write_reason(axes[0], "No doses in the layout.")
    for ax, ((estimand, drug), of) in zip(axes, panels, strict=False):
        fit = fits[(fits["estimand"] == estimand) & (fits["drug"] == drug)]
        _panel(ax, of, fit, estimand_of(str(estimand), str(of["unit"].iloc[0])), str(drug))
    for ax in axes[max(len(panels), 1) :]:
        ax.set_axis_off()
    return Picture(
        key,
        figure,
        "Dose and response",
        "Shapes are donors, bars the estimate over donors with its 95 % interval, the curve a four-parameter logistic "
        "fit. The dashed line marks the dose of half the effect (IC50), its band the 95 % interval.",
        dose_response_alt(source),
    )


def _axis_doses(doses: pd.Series) -> tuple[Float64Array, float]:
    """Positive doses in order, and the position left of them at which dose 0 is drawn on the log axis."""
    positive = np.unique(doses[doses > 0].to_numpy(dtype=float))
    return positive, (float(positive[0]) / 4 if positive.size else 1.0)


def _panel(ax: Axes, rows: pd.DataFrame, fit: pd.DataFrame, words: Estimand, drug: str) -> None:
    unit = str(rows["dose_unit"].iloc[0])
    style_axes(
        ax,
        title=f"{words.title}, {plain(drug, 20)}",
        x_label=f"{plain(drug, 20)}, {plain(unit, 12)}",
        y_label=words.shown_unit,
    )
    doses, zero_at = _axis_doses(rows.loc[rows["kind"] == "measured", "dose"])
    measured = rows[rows["kind"] == "measured"]
    measured = measured.assign(
        x=measured["dose"].where(measured["dose"] > 0, zero_at), y=measured["estimate"] * words.scale
    )
    ax.set_xscale("log")
    donors = measured[measured["donor"] != ""]
    shapes = donor_shapes(sorted(donors["donor"].unique()))
    for donor, of in donors.groupby("donor"):
        ax.plot(
            of["x"], of["y"], shapes[str(donor)], color="#7fb2d6", markersize=6.5, markeredgecolor="white", linestyle=""
        )
    for row in records(measured[measured["donor"] == ""]):
        ax.plot([row["x"]] * 2, [row["ci_low"] * words.scale, row["ci_high"] * words.scale], color=INK, linewidth=1.3)
        ax.plot(row["x"], row["y"], "_", color=INK, markersize=13, markeredgewidth=2.4)
    curve = rows[(rows["kind"] == "fit") & (rows["dose"] > 0)].sort_values("dose")
    ax.plot(curve["dose"], curve["estimate"] * words.scale, color="#0072B2", linewidth=2)
    if len(fit) and np.isfinite(fit["ic50"].iloc[0]):
        f = fit.iloc[0]
        ax.axvspan(f["ci_low"], f["ci_high"], color="#0072B2", alpha=0.08, linewidth=0)
        ax.axvline(f["ic50"], color=MUTED, linestyle=(0, (4, 3)), linewidth=1.1)
        ax.annotate(f"IC50 {number(f['ic50'])}", (f["ic50"], 1), xycoords=("data", "axes fraction"), xytext=(5, -4),
                    textcoords="offset points", fontsize=9, color=INK, va="top")  # fmt: skip
    ticks = [*([zero_at] if (measured["dose"] == 0).any() else []), *doses]
    ax.set_xticks(ticks, ["0" if t == zero_at else f"{t:g}" for t in ticks])
    ax.minorticks_off()
    ax.set_ylim(bottom=0)


def dose_response_alt(source: Source) -> str:
    """Describe the curves in words, with the numbers."""
    rows, fits = table_of(source, "dose_response"), table_or_empty(source, "dose_fits")
    told = []
    for (estimand, drug), of in rows.groupby(["estimand", "drug"], sort=False):
        words = estimand_of(str(estimand))
        points = of[(of["kind"] == "measured") & (of["donor"] == "")].sort_values("dose")
        unit = printable(of["dose_unit"].iloc[0])
        each = ", ".join(
            f"{exact(d)} {unit}: {number(e * words.scale)}"
            for d, e in zip(points["dose"], points["estimate"], strict=True)
        )
        fit = fits[(fits["estimand"] == estimand) & (fits["drug"] == drug)]
        half = ""
        if len(fit):
            f = fit.iloc[0]
            half = (
                f". IC50 {number(f['ic50'])} {unit} (95 % interval {interval(f['ci_low'], f['ci_high'])}, "
                f"{plural(f['n_doses'], 'dose')}, {plural(f['n_donors'], 'donor')})"
            )
        told.append(f"{words.title} ({words.shown_unit}) under {printable(drug)}: {each}{half}")
    return "; ".join(told) + "." if told else "No doses in the layout."
