"""Recording quality per position: drift, focus, bleaching, counts over time, saturation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from cicimage.figures.picture import Picture
from cicimage.figures.source import Source, records, table_or_empty
from cicimage.figures.style import GOOD, MUTED, canvas, plain, style_axes, write_reason
from cicimage.figures.words import listed, number, plural, printable


@dataclass(frozen=True)
class Limit:
    """Limits of a quality measure: beyond ``look`` it needs a check, beyond ``bad`` the results are not reliable."""

    name: str
    look: float
    bad: float
    low_is_bad: bool
    good: str
    problem: str

    def grade(self, value: float) -> int:
        """0 good, 1 look, 2 bad; a value that is not known is good."""
        if np.isnan(value):
            return 0
        beyond = (value < self.look, value < self.bad) if self.low_is_bad else (value > self.look, value > self.bad)
        return sum(beyond)


LIMITS: Final = {
    "jump_um": Limit("Largest jump", 5, 20, False, "under 5 µm between frames", "the stage jumped by {} µm"),
    "focus_lost": Limit("Frames out of focus", 0.02, 0.1, False, "under 2 % of frames",
                        "{} % of frames are out of focus"),
    "signal_left": Limit("Signal left", 0.6, 0.3, True, "60 % or more", "only {} % of the signal is left at the end"),
    "saturated": Limit("Saturated pixels", 0.001, 0.01, False, "under 0.1 %", "{} % of pixels are saturated"),
    "count_jump": Limit("Largest jump in guests", 0.25, 0.5, False, "under 25 % between frames",
                        "the number of guests jumps by {} % between frames"),
    "flagged": Limit("Flagged frames", 0.0, 0.05, False, "none", "{} % of frames are flagged"),
    "pause": Limit("Longest pause", 2.0, np.inf, False, "under 2 intervals",
                   "it pauses for up to {} times its usual interval, and what happened then was not seen"),
}  # fmt: skip
GRADES: Final = ("good", "look", "bad")
_PERCENT: Final = frozenset({"focus_lost", "signal_left", "saturated", "count_jump", "flagged"})
_OUT_OF_FOCUS: Final = 0.6  # of the position's median sharpness
_SHOWS_CELLS: Final = 10.0  # signal over noise SD below which a channel does not show the focus
_FEW_GUESTS: Final = 10  # below this count, changes are not judged


def focus_share(qc: pd.DataFrame) -> pd.DataFrame:
    """Sharpness over the median of the same position and channel, median over the channels that show cells.

    Focus is lost in all channels at once; a channel that holds little more than noise, such as a death marker before
    any death, does not show it.

    Returns
    -------
    pandas.DataFrame
        position, frame, time_h, focus (1 = as sharp as usual).
    """
    rows = qc.dropna(subset=["sharpness"])
    snr = (rows["signal"] / rows["noise_sd"]).groupby([rows["position"], rows["channel"]]).transform("median")
    rows = rows[~(snr < _SHOWS_CELLS)]
    usual = rows.groupby(["position", "channel"])["sharpness"].transform("median")
    rows = rows.assign(focus=rows["sharpness"] / usual.where(usual > 0))
    return rows.groupby(["position", "frame", "time_h"])["focus"].median().reset_index()


def quality_summary(source: Source, guests: str = "guest", hosts: str = "host") -> pd.DataFrame:
    """Compute the quality measures that the limits apply to, one row per position.

    Parameters
    ----------
    source : Source
        Tables ``drift``, ``qc``, ``counts``; each may be missing.
    guests : str
        Population whose counts are judged.
    hosts : str
        Population of hosts; the same as ``guests`` where guests are hosts too.

    Returns
    -------
    pandas.DataFrame
        position, drift_um (largest displacement from the start), the columns named in :data:`LIMITS`, n_start, n_end,
        grade (good, look, bad) and why.
    """
    drift, qc, counts = (table_or_empty(source, n) for n in ("drift", "qc", "counts"))
    positions = list(dict.fromkeys([*qc["position"], *drift["position"], *counts["position"]]))
    focus = focus_share(qc)
    rows = [_summarise(p, drift, qc, focus, counts[counts["position"] == p], guests, hosts) for p in positions]
    columns = ["position", "drift_um", *LIMITS, "n_start", "n_end", "grade", "why"]
    return pd.DataFrame(rows, columns=columns)


def _summarise(
    position: str,
    drift: pd.DataFrame,
    qc: pd.DataFrame,
    focus: pd.DataFrame,
    counts: pd.DataFrame,
    guests: str,
    hosts: str,
) -> dict[str, object]:
    path = drift[drift["position"] == position].sort_values("frame")[["dy_um", "dx_um"]].to_numpy(dtype=float)
    of = qc[qc["position"] == position]
    sharp = focus.loc[focus["position"] == position, "focus"]
    n = counts[counts["population"] == guests].sort_values("frame")["n"].to_numpy(dtype=float)
    last = of[of["frame"] == of["frame"].max()]
    flagged = of[of["flag"] != ""]["frame"].nunique() / max(of["frame"].nunique(), 1)
    values: dict[str, float] = {
        "drift_um": float(np.hypot(*path.T).max()) if len(path) else float("nan"),
        "jump_um": float(np.hypot(*np.diff(path, axis=0).T).max()) if len(path) > 1 else float("nan"),
        "focus_lost": float((sharp < _OUT_OF_FOCUS).mean()) if len(sharp) else float("nan"),
        "signal_left": float(last["bleach_factor"].min()) if len(last) else float("nan"),
        "saturated": float(of["saturated_share"].max()) if len(of) else float("nan"),
        "count_jump": float((np.abs(np.diff(n)) / np.maximum(n[:-1], _FEW_GUESTS)).max())
        if len(n) > 1
        else float("nan"),
        "flagged": flagged,
        "pause": _longest_pause(of),
    }
    grades = {name: limit.grade(values[name]) for name, limit in LIMITS.items()}
    why = [
        LIMITS[name].problem.format(number(values[name] * (100 if name in _PERCENT else 1)))
        for name, grade in grades.items() if grade
    ]  # fmt: skip
    empty = _nobody(counts, guests, hosts)
    why += [empty] if empty else []
    worst = GRADES[max([*grades.values(), int(bool(empty))])]
    ends = {"n_start": n[0] if len(n) else np.nan, "n_end": n[-1] if len(n) else np.nan}
    return {"position": position, **values, **ends, "grade": worst, "why": "; ".join(why)}


def _longest_pause(qc: pd.DataFrame) -> float:
    """Longest time between two frames, in median intervals; NaN for fewer than three frames."""
    times = qc.groupby("frame")["time_h"].first().sort_index()
    if len(times) < 3:
        return float("nan")
    # a frame that could not be decoded is reported as such, and is not a pause of the clock
    steps = np.diff(times.to_numpy(float)) / np.diff(times.index.to_numpy(float))
    usual = float(np.median(steps))
    return float(steps.max()) / usual if usual > 0 else float("nan")


def _nobody(counts: pd.DataFrame, guests: str, hosts: str) -> str:
    """Populations without a cell in any frame; empty where all have cells, or nothing was counted."""
    seen = counts.groupby("population")["n"].sum()
    missing = [
        role for role, name in (("guests", guests), ("hosts", hosts)) if name in seen.index and not seen.loc[name]
    ]
    if not missing:
        return ""
    return f"no {'cells' if guests == hosts else ' and no '.join(missing)} were seen"


def quality(
    source: Source, *, guests: str = "guest", hosts: str = "host", width_in: float = 10.0, key: str = "quality"
) -> Picture:
    """Draw all positions over time, those that need a check in colour.

    Parameters
    ----------
    source : Source
        Tables ``drift``, ``qc``, ``counts``; each may be missing.
    guests, hosts : str
        Populations of the two roles; counts of the first are shown.
    width_in : float
        Width of the figure, inches.
    key : str
        Name of the picture on the page.
    """
    drift, qc, counts = (table_or_empty(source, n) for n in ("drift", "qc", "counts"))
    summary = quality_summary(source, guests, hosts)
    times = qc.groupby(["position", "frame"])["time_h"].first()
    way = drift.assign(
        way=np.hypot(drift["dy_um"], drift["dx_um"]),
        time_h=times.reindex(pd.MultiIndex.from_frame(drift[["position", "frame"]])).to_numpy(),
    )
    lows = qc.groupby(["position", "time_h"], as_index=False).agg(
        left=("bleach_factor", "min"), full=("saturated_share", "max")
    )
    panels = (
        ("Drift", "µm from the start", way, "way", 1.0, None),
        ("Focus", "sharpness, % of usual", focus_share(qc), "focus", 100.0, (60, 160)),
        ("Bleaching", "signal left, %", lows, "left", 100.0, (60, 105)),
        ("Guests seen", "guests", counts[counts["population"] == guests], "n", 1.0, None),
        ("Saturation", "% of pixels", lows, "full", 100.0, (0, 0.1)),
    )
    figure = canvas(width_in, 4.9)
    axes = figure.subplots(2, 3).ravel()
    worst = list(
        summary.sort_values("grade", key=lambda g: g.map(GRADES.index), ascending=False, kind="stable")["position"]
    )
    marked = [p for p in worst if summary.set_index("position").loc[p, "grade"] != "good"][:3]
    for ax, (title, unit, rows, column, scale, good) in zip(axes, panels, strict=False):
        _lines(ax, title, unit, rows.assign(value=rows[column] * scale), marked, good)
    _key(axes[-1], marked, summary)
    return Picture(
        key,
        figure,
        "Recording quality over time",
        "One line per position. The green area is where a good recording lies; positions that leave it somewhere are "
        "coloured. Drift is corrected for: a slow wander is harmless, a jump is not. A dip in focus, a fall in signal "
        "or a sudden change in the number of guests makes entries and deaths at that time doubtful.",
        quality_alt(source, guests, hosts),
    )


_MARKS: Final = (("#D55E00", "-"), ("#0072B2", (0, (5, 2))), ("#B4589A", (0, (1.5, 1.5))))


def _lines(
    ax: Axes, title: str, unit: str, rows: pd.DataFrame, marked: list[str], good: tuple[float, float] | None
) -> None:
    rows = rows.dropna(subset=["value", "time_h"])
    if rows.empty:
        write_reason(ax, f"{title}: not measured")
        return
    style_axes(ax, title=title, y_label=unit, x_label="hours since time zero", grid="none")
    if good is not None:
        ax.axhspan(*good, color=GOOD, linewidth=0, zorder=0)
    for position, line in rows.groupby("position", sort=False):
        if position not in marked:
            line = line.iloc[:: max(1, len(line) // 100)]
            ax.plot(line["time_h"], line["value"], color="#9aa4ad", linewidth=0.8, alpha=0.8)
    for position, (colour, dash) in zip(marked, _MARKS, strict=False):
        line = rows[rows["position"] == position]
        ax.plot(line["time_h"], line["value"], color=colour, linestyle=dash, linewidth=1.6)
    if good is not None:
        ax.set_ylim(min(0, ax.get_ylim()[0]) if title == "Saturation" else min(good[0] - 25, ax.get_ylim()[0]), None)
    else:
        ax.set_ylim(bottom=0)


def _key(ax: Axes, marked: list[str], summary: pd.DataFrame) -> None:
    ax.set_axis_off()
    lines = [(plain(p, 30), colour, dash) for p, (colour, dash) in zip(marked, _MARKS, strict=False)]
    n_rest = len(summary) - len(marked)
    lines.append((plural(n_rest, "other position") if marked else plural(n_rest, "position"), "#9aa4ad", "-"))
    for i, (text, colour, dash) in enumerate(lines):
        y = 0.85 - 0.14 * i
        ax.plot([0.02, 0.14], [y, y], transform=ax.transAxes, color=colour, linestyle=dash, linewidth=1.8)
        ax.text(0.18, y, text, transform=ax.transAxes, fontsize=9, va="center", color=MUTED)


def quality_alt(source: Source, guests: str = "guest", hosts: str = "host") -> str:
    """Describe the figure in words: how many positions are good, and what is wrong with the others.

    Parameters
    ----------
    source : Source
        Tables of a run.
    guests, hosts : str
        Names of the populations that are guests and hosts.

    Returns
    -------
    str
        Alternative text of the figure.
    """
    summary = quality_summary(source, guests, hosts)
    if summary.empty:
        return "No quality measures were made."
    wrong = [f"{printable(r['position'])}: {r['why']}" for r in records(summary) if r["grade"] != "good"]
    n_good = int((summary["grade"] == "good").sum())
    return f"{plural(n_good, 'position')} of {len(summary)} good in every respect. " + (
        listed(wrong) + "." if wrong else ""
    )
