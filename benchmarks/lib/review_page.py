"""The page ``results/review.md``: two sections, each written by the benchmark that measures it."""

from __future__ import annotations

import platform
from datetime import date
from pathlib import Path
from typing import Final

import matplotlib as mpl
import numpy as np
import pandas as pd

mpl.use("Agg")
import matplotlib.pyplot as plt

RESULTS: Final = Path(__file__).parents[1] / "results"
PAGE: Final = RESULTS / "review.md"
FIGURE: Final = "review_simulated.png"
ORDER: Final = ("Speed", "A simulated reviewer")
TENTH: Final = 0.10
TITLES: Final = {
    "entry_rate_per_guest_h": "entries per guest-hour", "entry_rate_per_contact_h": "entries per contact-hour",
    "escape_rate_per_h": "escapes per hour inside", "inside_occupancy_end": "share inside at the end",
}  # fmt: skip


def write_section(title: str, text: str) -> None:
    """Put a section into the page in the place of its last version."""
    parts = {}
    if PAGE.exists():
        for part in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]:
            name, _, body = part.partition("\n")
            parts[name] = body.strip()
    parts[title] = text.strip()
    body = "\n\n".join(f"## {name}\n\n{parts[name]}" for name in ORDER if name in parts)
    PAGE.write_text(f"# Review\n\n{body}\n", encoding="utf-8")


def measured_on() -> str:
    """Date and machine."""
    return f"{date.today().isoformat()}, {platform.machine()}, Python {platform.python_version()}"


# ---------------------------------------------------------------- the simulated reviewer


def errors(curves: pd.DataFrame, against: str) -> pd.DataFrame:
    """Sum over conditions of the distance of each rate from ``perfect`` or ``truth``.

    Returns
    -------
    pandas.DataFrame
        trial, order, who, estimand, share, error.
    """
    by = ["trial", "estimand", "condition"]
    wanted = curves.loc[curves["order"] == against, [*by, "estimate"]].rename(columns={"estimate": "is"})
    rows = curves[curves["order"].isin(["queue", "random"])].merge(wanted, on=by)
    rows["error"] = (rows["estimate"] - rows["is"]).abs()
    return rows.groupby(["trial", "order", "who", "estimand", "share"], as_index=False)["error"].sum()


def removed(rows: pd.DataFrame, share: float) -> float:
    """Share of the error that is gone, over all experiments and reviewers together."""
    at = rows.groupby("share")["error"].sum()
    return float(1.0 - at[share] / at[0.0])


def removed_with_interval(rows: pd.DataFrame, share: float, draws: int = 2000) -> tuple[float, float, float]:
    """The same with a 95 % interval from resampling experiments."""
    by = rows.pivot_table(index="trial", columns="share", values="error", aggfunc="sum")
    rng = np.random.default_rng(1)
    picks = rng.integers(len(by), size=(draws, len(by)))
    now, before = by[share].to_numpy(), by[0.0].to_numpy()
    shares = 1.0 - now[picks].sum(axis=1) / before[picks].sum(axis=1)
    low, high = np.percentile(shares, [2.5, 97.5])
    return removed(rows, share), float(low), float(high)


def write_simulated(curves: pd.DataFrame) -> None:
    """Table and figure of the simulated reviewer."""
    rows, true = errors(curves, "perfect"), errors(curves, "truth")
    draw(rows)
    n, who = curves["trial"].nunique(), curves.loc[curves["who"] >= 0, "who"].nunique()
    items = curves.drop_duplicates("trial")["items"]
    lines = [
        "A reviewer who knows the truth works through the queue with the keys a person has. Where the optics can tell "
        "he sees the opposite in 5 % of his looks, each time anew; where they cannot (left unresolved by the program, "
        "or host above or below the guest thinner than 0.3 um) in 30 % of the items, at every look alike. What is "
        "asked for once more counts as a look. *Error* is the distance of a rate from what a reviewer who never errs "
        "finds in the whole queue, summed over conditions: what no review of calls can remove (guests missed, tracks "
        "lost) is listed apart.",
        "",
        "    python benchmarks/campaigns/review_simulated.py",
        "",
        f"{n} experiments of two fields with mechanisms held out of every fit (`benchmarks/lib/scorer_fields.py`), "
        f"{items.min()} to {items.max()} items each, {who} reviewers in each order; {measured_on()}. Intervals: 95 %, "
        "resampling experiments.",
        "",
        f"![Error left over the share reviewed]({FIGURE})",
        "",
        "Error removed by the first tenth of the queue (target: at least 50 % against 10 % in random order):",
        "",
        "| rate | queue | random order |",
        "|---|---|---|",
    ]
    for name, title in TITLES.items():
        cells = []
        for order in ("queue", "random"):
            part = rows[(rows["estimand"] == name) & (rows["order"] == order)]
            cells.append("{:.0%} ({:.0%} to {:.0%})".format(*removed_with_interval(part, TENTH)))
        lines.append(f"| {title} | {cells[0]} | {cells[1]} |")
    entries = true[true["estimand"] == "entry_rate_per_guest_h"]
    whole = [f"{removed(entries[entries['order'] == order], TENTH):.0%}" for order in ("queue", "random")]
    lines += [
        "",
        f"Of the whole distance of entries per guest-hour from the truth, guests missed and tracks lost included: "
        f"{whole[0]} in the queue's order, {whole[1]} in random order.",
        "",
        "The priority is that of entries and of time inside, so entries gain first; escapes and the share inside at "
        "the end hang on how each stay ends too, which one sees only by looking at every stay. Beyond a fifth of the "
        "queue the reviewer's own slips weigh as much as what he mends.",
        "",
        *_by_experiment(rows, true),
    ]
    write_section("A simulated reviewer", "\n".join(lines))


def _by_experiment(rows: pd.DataFrame, true: pd.DataFrame) -> list[str]:
    """Entries per guest-hour, experiment by experiment, and the distance from the truth beside."""
    name = "entry_rate_per_guest_h"
    lines = [
        "Entries per guest-hour, 1/h, error as found, after a tenth of the queue, after a tenth in random order and "
        "after all of it (mean over reviewers); in brackets the distance from the truth of the movies:",
        "",
        "| experiment | as found | queue 10 % | random 10 % | all |",
        "|---|---|---|---|---|",
    ]

    def mean(table: pd.DataFrame, trial: str, order: str, share: float) -> float:
        at = (table["trial"] == trial) & (table["order"] == order) & (table["estimand"] == name)
        return float(table.loc[at & (table["share"] == share), "error"].mean())

    for trial in sorted(rows["trial"].unique()):
        wanted = (("queue", 0.0), ("queue", TENTH), ("random", TENTH), ("queue", 1.0))
        cells = [f"{mean(rows, trial, o, s):.3f} ({mean(true, trial, o, s):.3f})" for o, s in wanted]
        lines.append(f"| {trial} | " + " | ".join(cells) + " |")
    return lines


def draw(rows: pd.DataFrame) -> None:
    """Error left over the share reviewed, one panel a rate."""
    figure, axes = plt.subplots(1, len(TITLES), figsize=(13, 3.4), sharey=True, layout="constrained")
    for axis, (name, title) in zip(axes, TITLES.items(), strict=True):
        for order, colour in (("random", "#9a9a9a"), ("queue", "#1f77b4")):
            part = rows[(rows["estimand"] == name) & (rows["order"] == order)]
            left = part.groupby("share")["error"].sum()
            axis.plot(100 * left.index, 100 * left / left[0.0], "o-", ms=3, color=colour, label=f"{order} order")
        axis.axvline(100 * TENTH, color="#cccccc", lw=0.8, zorder=0)
        axis.axhline(50, color="#cccccc", lw=0.8, zorder=0)
        axis.set(title=title, xlabel="share of the queue reviewed, %", ylim=(0, None), xlim=(0, 110))
        axis.set_xscale("symlog", linthresh=2.0)
        axis.set_xticks([0, 2, 5, 10, 20, 40, 100], ["0", "2", "5", "10", "20", "40", "100"], minor=False)
        axis.minorticks_off()
    axes[0].set_ylabel("error left, %")
    axes[0].legend(frameon=False)
    figure.savefig(RESULTS / FIGURE, dpi=110)
    plt.close(figure)
