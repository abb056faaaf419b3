"""Figures of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from cicimage.estimands import names_of
from cicimage.evaluation.states import CLASSES
from cicimage.figures.picture import Picture
from cicimage.figures.style import GOOD, INK, MUTED, WARN, canvas, condition_colours, plain, style_axes, write_reason

_CALLED = (*CLASSES, "attached", "unresolved", "missed")


def draw(tables: Mapping[str, pd.DataFrame], reference: str = "") -> list[Picture]:
    """Draw all figures of an evaluation.

    Parameters
    ----------
    tables : mapping of str to pandas.DataFrame
        Tables of :class:`~cicimage.evaluation.evaluate.Evaluation`.
    reference : str
        Condition drawn in grey; empty for the first.

    Returns
    -------
    list of Picture
        In the order of the page.
    """
    return [
        confusion_picture(tables["confusion"]), decoy_picture(tables["decoys"]),
        reliability_picture(tables["reliability"]), risk_picture(tables["risk_coverage"]),
        entry_error_picture(tables["occurrences"]), rates_picture(tables["rates"], reference),
    ]  # fmt: skip


def confusion_picture(confusion: pd.DataFrame) -> Picture:
    """Draw the share of each true location's frames by called location."""
    rows = confusion[confusion["condition"] == "all"]
    share = rows.pivot(index="truth", columns="called", values="share")
    share = share.reindex(index=[c for c in (*CLASSES, "nothing") if c in share.index])
    share = share.reindex(columns=[c for c in _CALLED if c in share.columns]).fillna(0.0)
    n = rows.groupby("truth")["frames"].sum()
    figure = canvas(7.0, 0.9 + 0.36 * max(len(share), 1))
    ax = figure.add_subplot()
    values = share.to_numpy(np.float64)
    ax.pcolormesh(values, cmap="Blues", vmin=0, vmax=1)  # rectangles: a raster would be an image within the page
    for i, j in zip(*np.nonzero(values >= 0.005), strict=True):
        colour = "white" if values[i, j] > 0.5 else INK
        ax.text(j + 0.5, i + 0.5, f"{values[i, j]:.0%}", ha="center", va="center", fontsize=8, color=colour)
    columns = [str(c).replace("_", " ") for c in share.columns]
    ax.set_xticks(np.arange(len(columns)) + 0.5, columns, rotation=30, ha="right")
    ax.set_yticks(np.arange(len(share)) + 0.5, [f"{str(c).replace('_', ' ')} ({int(n[c])})" for c in share.index])
    ax.invert_yaxis()
    style_axes(ax, x_label="called", y_label="truly (guest-frames)", grid="none")
    return Picture(
        "confusion", figure, "What true locations were called",
        "A row adds up to 100 %. Off the diagonal are errors, but for unresolved, which is an honest answer.",
        "; ".join(f"{c}: {s:.0%}" for c, d, s in zip(rows["truth"], rows["called"], rows["share"], strict=True)
                  if c == d),
    )  # fmt: skip


def decoy_picture(decoys: pd.DataFrame) -> Picture:
    """Draw the share of each kind of decoy called inside."""
    rows = decoys[decoys["condition"] == "all"] if len(decoys) else decoys
    figure = canvas(7.0, 0.9 + 0.3 * max(len(rows), 1))
    ax = figure.add_subplot()
    if len(rows):
        y = np.arange(len(rows))
        ax.barh(y, rows["share"] * 100, color=WARN, label="called inside")
        ax.barh(y, rows["unresolved"] * 100, left=rows["share"] * 100, color=GOOD, edgecolor=MUTED, hatch="////",
                label="unresolved")  # fmt: skip
        names = rows["decoy"].str.replace("_", " ") + " (" + rows["frames"].astype(str) + ")"
        ax.set_yticks(y, names.tolist())
        ax.invert_yaxis()
        ax.legend(frameon=False, fontsize=8)
    else:
        write_reason(ax, "No guest-frame that is not inside.")
    style_axes(ax, x_label="% of guest-frames", grid="x")
    return Picture(
        "decoys", figure, "Guests that are not inside, called inside",
        "One bar a kind of guest that is easy to take for one inside; how many guest-frames there were in brackets.",
        "; ".join(f"{d}: {s:.1%}" for d, s in zip(rows["decoy"], rows["share"], strict=True)) if len(rows) else "none",
    )  # fmt: skip


def reliability_picture(curves: pd.DataFrame) -> Picture:
    """Draw stated probabilities against observed shares."""
    figure = canvas(4.6, 3.8)
    ax = figure.add_subplot()
    ax.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 2)))
    for what, colour, marker in (("p_inside", "#0072B2", "o"), ("p_event", "#D55E00", "s")):
        rows = curves[(curves["what"] == what) & (curves["condition"] == "all")]
        if len(rows):
            name = "inside, frames" if what == "p_inside" else "entry, events"
            ax.plot(
                rows["p_mean"], rows["share_true"], color=colour, marker=marker, label=f"{name} ({rows['n'].sum()})"
            )
    ax.legend(frameon=False, fontsize=8, loc="upper left")
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1)
    style_axes(ax, x_label="probability said", y_label="share that was so")
    return Picture(
        "reliability", figure, "Whether probabilities mean what they say",
        "On the dashed line they do; below it the program is surer than it should be.",
        "; ".join(f"said {a:.2f}, was {b:.2f}" for a, b in zip(curves["p_mean"], curves["share_true"], strict=True)),
    )  # fmt: skip


def risk_picture(curve: pd.DataFrame) -> Picture:
    """Draw precision and recall of inside against the share of frames judged, most certain first."""
    figure = canvas(4.6, 3.8)
    ax = figure.add_subplot()
    if len(curve):
        x = curve["coverage"] * 100
        for name, colour, style in (("precision", "#0072B2", "-"), ("recall", "#D55E00", "--"),
                                    ("recall_of_all", "#009E73", ":")):  # fmt: skip
            ax.plot(x, curve[name], color=colour, linestyle=style, label=name.replace("_", " "))
        ax.legend(frameon=False, fontsize=8, loc="lower right")
    else:
        write_reason(ax, "No frame with a probability.")
    ax.set_ylim(0, 1)
    style_axes(ax, x_label="% of guest-frames judged, the most certain first")
    alt = f"precision {curve['precision'].iloc[-1]:.2f} with all frames judged" if len(curve) else "no curve"
    return Picture(
        "risk", figure, "What abstaining buys",
        "To the left only the most certain frames are judged. Recall of all counts what was abstained from as missed.",
        alt,
    )  # fmt: skip


def entry_error_picture(occurrences: pd.DataFrame) -> Picture:
    """Draw the errors in time of the entries found."""
    rows = occurrences[(occurrences["kind"] == "entry") & (occurrences["outcome"] == "found")]
    error = rows["error_min"].to_numpy(np.float64)
    figure = canvas(4.6, 3.2)
    ax = figure.add_subplot()
    if error.size:
        edge = max(2.0, float(np.ceil(np.abs(error).max())))
        ax.hist(error, bins=np.linspace(-edge, edge, 25).tolist(), color="#0072B2")
        ax.axvline(0, color=INK, linewidth=1)
        ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    else:
        write_reason(ax, "No entry was found.")
    style_axes(ax, x_label="found later by, min", y_label="entries")
    alt = f"median {np.median(error):+.1f} min over {error.size} entries" if error.size else "no entry was found"
    return Picture("entry-error", figure, "Time of entries", "Left of the line they were found too early.", alt)


def rates_picture(rates: pd.DataFrame, reference: str = "") -> Picture:
    """Draw entry and death rates with their intervals beside the true ones of the same movies.

    Parameters
    ----------
    rates : pandas.DataFrame
        Table of :func:`cicimage.evaluation.estimates.compare_rates`.
    reference : str
        Condition drawn in grey; empty for the first.

    Returns
    -------
    Picture
        The figure.
    """
    rows = rates[rates["estimand"].isin(names_of("evaluation")) & rates["estimate"].notna()]
    conditions = list(dict.fromkeys(rows["condition"]))
    colours = condition_colours(conditions, reference or None)
    figure = canvas(7.0, 1.0 + 0.34 * max(len(rows), 1))
    ax = figure.add_subplot()
    if len(rows):
        y = np.arange(len(rows))
        for i, row in enumerate(rows.to_dict("records")):
            ax.plot([row["ci_low"], row["ci_high"]], [i, i], color=colours[row["condition"]], linewidth=2)
            ax.plot(row["estimate"], i, "o", color=colours[row["condition"]])
            ax.plot(row["truth"], i, "|", color=INK, markersize=13, markeredgewidth=2)
        names = rows["estimand"].str.replace("_", " ").str.replace(" rate per ", ", per ")
        ax.set_yticks(y, [f"{plain(c)}: {n}" for c, n in zip(rows["condition"], names, strict=True)])
        ax.invert_yaxis()
        top = float(np.nanmax(rows[["estimate", "truth"]].to_numpy(np.float64)))
        ax.set_xlim(0, max(top * 2.0, 1e-3))
    else:
        write_reason(ax, "No rate.")
    style_axes(ax, x_label="per hour", grid="x")
    parts = zip(rows["condition"], rows["estimand"], rows["estimate"], rows["truth"], strict=True)
    return Picture(
        "rates", figure, "Rates against those of the truth",
        "Dot and line: estimate with its 95 % interval. Black bar: what the same estimator gives on the truth.",
        "; ".join(f"{c} {e}: {m:.3g}, truly {t:.3g}" for c, e, m, t in parts),
    )  # fmt: skip
