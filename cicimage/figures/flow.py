"""Flow diagram from recordings to counted entries: numbers at each step, and exclusions with reasons."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from cicimage.figures.picture import Picture
from cicimage.figures.source import Source, records, table_or_empty
from cicimage.figures.style import INK, MUTED, canvas, plain
from cicimage.figures.words import count, printable

_REASONS = {
    "dead_before_entry": "guest was dead before it went in (eaten, not cell-in-cell)",
    "prevalent": "inside when first seen: no entry was watched",
    "brief": "stay too short to count as completed",
    "not_completed": "entry begun, not completed",
    "unlikely": "less likely than not (p below 0.5)",
}


def flow_counts(source: Source, n_recordings: int, left_out: dict[str, int] | None = None) -> pd.DataFrame:
    """Count what remains at each step and what was left out before it.

    Parameters
    ----------
    source : Source
        Tables ``hosts``, ``guests``, ``events``.
    n_recordings : int
        Recordings found.
    left_out : dict of str to int, optional
        Recordings left out by reason, such as ``{"could not be read": 2}``.

    Returns
    -------
    pandas.DataFrame
        step, n, out (list of (count, reason) left out before the next step).
    """
    hosts, guests, events = (table_or_empty(source, n) for n in ("hosts", "guests", "events"))
    missing = dict(left_out or {})
    used = n_recordings - sum(missing.values())
    alive = guests[(guests["hours_outside_alive"] + guests["hours_inside_alive"] + guests["hours_unresolved"]) > 0]
    kept, fates = _sort_events(events)
    steps = [
        ("Recordings found", n_recordings, [(n, r) for r, n in missing.items()]),
        ("Recordings analysed", used, []),
        ("Hosts followed", len(hosts), []),
        (
            "Guests followed",
            len(guests),
            [(len(guests) - len(alive), "dead when first seen, or seen only once: no time at risk")],
        ),
        ("Guests that gave time at risk", len(alive), []),
        ("Candidate cell-in-cell events", len(events), fates),
        ("Completed entries counted", kept, []),
    ]
    rows = [(step, n, [(k, reason) for k, reason in out if k]) for step, n, out in steps]
    return pd.DataFrame(rows, columns=["step", "n", "out"])


def _sort_events(events: pd.DataFrame) -> tuple[int, list[tuple[int, str]]]:
    """Count completed entries, and the other events by reason; each event is counted once."""
    reason = events["excluded_reason"].where(events["excluded_reason"] != "", None)
    reason = reason.mask(reason.isna() & (events["p"] < 0.5), "unlikely")
    reason = reason.mask(reason.isna() & events["prevalent"].astype(bool), "prevalent")
    reason = reason.mask(reason.isna() & events["entry_frame"].isna(), "not_completed")
    reason = reason.mask(reason.isna() & events["brief"].astype(bool), "brief")
    counts = reason.dropna().value_counts()
    return int(reason.isna().sum()), [
        (int(n), _REASONS.get(str(name), printable(name).replace("_", " "))) for name, n in counts.items()
    ]


def flow(
    source: Source,
    n_recordings: int,
    left_out: dict[str, int] | None = None,
    *,
    width_in: float = 8.2,
    key: str = "flow",
) -> Picture:
    """Flow diagram from recordings to counted entries.

    Parameters
    ----------
    source : Source
        Tables ``hosts``, ``guests``, ``events``.
    n_recordings : int
        Recordings found.
    left_out : dict of str to int, optional
        Recordings left out by reason.
    width_in : float
        Width of the figure, inches.
    key : str
        Name of the picture on the page.
    """
    steps = flow_counts(source, n_recordings, left_out)
    heights = [max(0.62, 0.24 + 0.2 * len(out)) for out in steps["out"]]
    figure = canvas(width_in, sum(heights) + 0.25)
    ax = figure.subplots()
    ax.set_axis_off()
    ax.set_xlim(0, 10)
    ax.set_ylim(sum(heights) + 0.05, -0.2)
    top = 0.0
    for i, (row, height) in enumerate(zip(records(steps), heights, strict=True)):
        _box(ax, top, plain(row["step"], 40), count(float(row["n"])))
        if i + 1 < len(steps):
            arrow = {"arrowstyle": "-|>", "color": MUTED, "linewidth": 1.1, "shrinkA": 0, "shrinkB": 0}
            ax.annotate("", (2.1, top + height), (2.1, top + 0.42), arrowprops=arrow)
        _fallen(ax, top + 0.42, height - 0.42, row["out"])
        top += height
    return Picture(
        key,
        figure,
        "What was counted, and what fell out",
        "Downwards, what is left at each step; to the right, what was left out and why.",
        flow_alt(source, n_recordings, left_out),
    )


def _box(ax: Axes, top: float, text: str, n: str) -> None:
    ax.add_patch(
        FancyBboxPatch((0.1, top), 4.0, 0.42, boxstyle="round,pad=0,rounding_size=0.06", facecolor="#f3f6f8",
                       edgecolor="#9aa4ad", linewidth=0.9, mutation_aspect=0.6)
    )  # fmt: skip
    ax.text(0.28, top + 0.21, text, fontsize=9.5, color=INK, va="center")
    ax.text(3.95, top + 0.21, n, fontsize=10.5, color=INK, va="center", ha="right", fontweight="bold")


def _fallen(ax: Axes, top: float, room: float, out: list[tuple[int, str]]) -> None:
    if not out:
        return
    middle = top + room / 2
    ax.plot([2.1, 4.4], [middle, middle], color=MUTED, linewidth=1.1)
    for i, (n, reason) in enumerate(out):
        y = middle + 0.2 * (i - (len(out) - 1) / 2)
        ax.text(5.05, y, count(n), fontsize=9, color=INK, va="center", ha="right")
        ax.text(5.2, y, plain(reason, 70), fontsize=9, color=MUTED, va="center")


def flow_alt(source: Source, n_recordings: int, left_out: dict[str, int] | None = None) -> str:
    """Describe the flow diagram in words, with the numbers.

    Parameters
    ----------
    source, n_recordings, left_out
        As :func:`flow_counts` takes them.

    Returns
    -------
    str
        Alternative text of the figure.
    """
    told = []
    for row in records(flow_counts(source, n_recordings, left_out)):
        out = ", ".join(f"{count(n)} {printable(reason)}" for n, reason in row["out"])
        told.append(f"{row['step']}: {count(float(row['n']))}" + (f" (left out: {out})" if out else ""))
    return "; ".join(told) + "."
