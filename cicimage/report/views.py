"""Tables as the page shows them, with readable headings, units and rounded numbers; the CSV keeps full precision."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pandas as pd

from cicimage.estimands import DEATH_HAZARD_RATIO, estimand_of
from cicimage.figures.decision import is_wider, simultaneous
from cicimage.figures.quality import LIMITS, focus_share, quality_summary
from cicimage.figures.source import Source, condition_order, records, table_or_empty
from cicimage.figures.words import count, interval, number, p_value, plural


@dataclass(frozen=True)
class View:
    """A table to show: column headings, which of them hold numbers, rows of text."""

    caption: str
    columns: tuple[str, ...]
    numeric: tuple[bool, ...]
    rows: list[tuple[str, ...]] = field(default_factory=list)

    def without(self, *names: str) -> View:
        """The same table without the columns named and those that are empty in every row; the first one stays."""
        keep = [
            i for i, name in enumerate(self.columns)
            if name not in names and (not self.rows or i == 0 or any(row[i] for row in self.rows))
        ]  # fmt: skip
        return View(
            self.caption,
            tuple(self.columns[i] for i in keep),
            tuple(self.numeric[i] for i in keep),
            [tuple(row[i] for i in keep) for row in self.rows],
        )


def rates_views(source: Source, estimands: list[str]) -> list[View]:
    """Make one table per estimand.

    Parameters
    ----------
    source : Source
        Table ``rates``.
    estimands : list of str
        In the order of the tables; those without a rate are left out.

    Returns
    -------
    list of View
        Rows in the order of the conditions.
    """
    rates = table_or_empty(source, "rates")
    order = {c: i for i, c in enumerate(condition_order(source))}
    views = []
    for name in estimands:
        rows = rates[rates["estimand"] == name]
        if rows.empty:
            continue
        rows = rows.sort_values("condition", key=lambda s: s.map(order), kind="stable")
        words = estimand_of(name, str(rows["unit"].iloc[0]))
        view = View(
            f"{words.title}: {words.shown_unit}",
            ("Condition", "Estimate", "95 % interval", "With doubt about events", "Bounds", "Donors pooled",
             words.plural.capitalize(), f"Over ({words.exposure})", "Guests", "Wells", "Donors", "Remark"),
            (False, True, True, True, True, True, True, True, True, True, True, False),
            [_rate_row(r, words.scale) for r in records(rows)],
        )  # fmt: skip
        views.append(view.without())
    return views


def _rate_row(row: dict[str, Any], scale: float) -> tuple[str, ...]:
    scaled = {k: row[k] * scale for k in ("estimate", "ci_low", "ci_high", "bound_low", "bound_high")}
    doubt = {k: row.get(k, np.nan) * scale for k in ("doubt_low", "doubt_high")}
    pooled = row.get("pooled_estimate", np.nan) * scale
    bounds = (
        # with all unresolved time inside, the rate of death inside is the lower one; the smaller number comes first
        " … ".join(number(b) for b in sorted((scaled["bound_low"], scaled["bound_high"])))
        if np.isfinite([scaled["bound_low"], scaled["bound_high"]]).all() else "–"
    )  # fmt: skip
    return (
        row["condition"], number(scaled["estimate"]), interval(scaled["ci_low"], scaled["ci_high"]), _doubt(doubt),
        bounds, number(pooled) if np.isfinite(pooled) else "",
        count(row["events"]), count(np.floor(row["exposure_h"] + 0.5)), count(row["n_guests"]),
        count(row["n_replicates"]), count(row["n_donors"]) if row["n_donors"] else "unknown", row["note"],
    )  # fmt: skip


def comparisons_view(source: Source, *, hazards: bool = False) -> View:
    """Make the table of comparisons.

    Parameters
    ----------
    source : Source
        Table ``comparisons``.
    hazards : bool
        Show the hazard ratios of death inside against outside instead of all other comparisons.

    Returns
    -------
    View
    """
    rows = table_or_empty(source, "comparisons")
    rows = rows[(rows["estimand"] == DEATH_HAZARD_RATIO) == hazards]
    view = View(
        "Hazard ratio, inside against outside" if hazards else "Comparisons",
        (
            "What",
            "Condition",
            "Against",
            "Ratio",
            "95 % interval",
            "Simultaneous",
            "With doubt about events",
            "p",
            "p, adjusted",
            "n",
            "Method",
            "Remark",
        ),
        (False, False, False, True, True, True, True, True, True, True, False, False),
        [_comparison_row(r) for r in records(rows)],
    )
    return view.without("What", "Against") if hazards else view.without()


def _comparison_row(row: dict[str, Any]) -> tuple[str, ...]:
    unit = row["unit_of_replication"]
    return (
        estimand_of(row["estimand"]).title, row["condition"], row["reference"], number(row["ratio"]),
        interval(row["ci_low"], row["ci_high"]), interval(*simultaneous(row)) if is_wider(row) else "", _doubt(row),
        _p(row["p_value"]),
        _p(row["p_adjusted"]),
        plural(row["n_pairs"], unit) if unit != "none" else "–", row["method"], row["note"],
    )  # fmt: skip


def _doubt(row: dict[str, Any]) -> str:
    """Limits that include the scorer's doubt about single events; empty where there are none."""
    low, high = row.get("doubt_low", np.nan), row.get("doubt_high", np.nan)
    return "" if np.isnan(low) and np.isnan(high) else interval(low, high)


def _p(p: float) -> str:
    return "–" if np.isnan(p) else p_value(p).removeprefix("p ").removeprefix("= ")


def watched_view(source: Source) -> View:
    """Hours of living guests by location and condition, and the share that the optics leave unresolved."""
    guests = table_or_empty(source, "guests")
    hours = guests.groupby("condition", sort=False)[
        ["hours_outside_alive", "hours_contact", "hours_inside_alive", "hours_unresolved"]
    ].sum()
    rows = []
    for condition in condition_order(source, list(hours.index)):
        outside, contact, inside, left_open = hours.loc[condition].to_numpy(dtype=float)
        total = outside + inside + left_open
        share = f"{number(100 * left_open / total)} %" if total else "–"
        rows.append((condition, *(count(round(float(v))) for v in (outside, contact, inside, left_open)), share))
    return View(
        "Hours of living guests, by where they were",
        (
            "Condition",
            "Outside",
            "Outside or open, in contact with a host",
            "Inside",
            "Cannot be told",
            "Share that cannot be told",
        ),
        (False, True, True, True, True, True),
        rows,
    )


@dataclass(frozen=True)
class PositionQuality:
    """One row of the quality table; ``focus`` and ``counts`` are polylines, as :func:`spark` makes them."""

    position: str
    grade: str
    why: str
    cells: tuple[str, ...]
    focus: str
    counts: str


QUALITY_COLUMNS: Final = (
    ("Drift", "largest way from the start, µm"), ("Jump", LIMITS["jump_um"].good),
    ("Out of focus", LIMITS["focus_lost"].good),
    ("Signal left", LIMITS["signal_left"].good), ("Saturated", LIMITS["saturated"].good),
    ("Guests", "first to last frame"), ("Flagged", LIMITS["flagged"].good), ("Longest pause", LIMITS["pause"].good),
)  # fmt: skip


def quality_rows(source: Source, guests: str, hosts: str) -> list[PositionQuality]:
    """Make the quality table, positions with the worst grade first.

    Parameters
    ----------
    source : Source
        Tables ``qc``, ``drift`` and ``counts``.
    guests, hosts : str
        Populations of guests and of hosts in table ``counts``.

    Returns
    -------
    list of PositionQuality
        Empty where no quality was measured.
    """
    summary = quality_summary(source, guests, hosts)
    if summary.empty:
        return []
    order = {"bad": 0, "look": 1, "good": 2}
    summary = summary.sort_values("grade", key=lambda g: g.map(order), kind="stable")
    focus = dict(list(focus_share(table_or_empty(source, "qc")).groupby("position")))
    counts = table_or_empty(source, "counts")
    numbers = dict(list(counts[counts["population"] == guests].groupby("position")))
    return [
        PositionQuality(
            r["position"], r["grade"], r["why"], _quality_cells(r),
            spark(focus[r["position"]], "focus", 0.0, 1.6) if r["position"] in focus else "",
            spark(numbers[r["position"]], "n", 0.0, None) if r["position"] in numbers else "",
        )
        for r in records(summary)
    ]  # fmt: skip


def _percent(value: float) -> str:
    return "–" if np.isnan(value) else f"{number(value * 100)} %"


def _quality_cells(row: dict[str, Any]) -> tuple[str, ...]:
    seen = "–" if np.isnan(row["n_start"]) else f"{count(row['n_start'])} to {count(row['n_end'])}"
    return (
        f"{number(row['drift_um'])} µm", f"{number(row['jump_um'])} µm", _percent(row["focus_lost"]),
        _percent(row["signal_left"]), _percent(row["saturated"]), seen, _percent(row["flagged"]),
        "–" if np.isnan(row["pause"]) else f"{number(row['pause'])} ×",
    )  # fmt: skip


def spark(rows: pd.DataFrame, column: str, low: float, high: float | None, n: int = 48) -> str:
    """Points of a small polyline over time, 96 wide and 20 high, as attribute ``points`` of SVG.

    Parameters
    ----------
    rows : DataFrame
        Columns ``time_h`` and ``column``; values that are not finite are left out.
    column : str
        Column drawn.
    low : float
        Value at the lower edge.
    high : float or None
        Value at the upper edge; None takes the maximum plus 10 %. Values beyond the edges are drawn at them.
    n : int
        Largest number of points; each is the minimum of its frames, so that short dips stay visible.

    Returns
    -------
    str
        Empty where no value is finite.
    """
    values = rows.sort_values("time_h")[column].to_numpy(dtype=float)
    values = values[np.isfinite(values)]
    if values.size == 0:
        return ""
    blocks = [b.min() for b in np.array_split(values, min(n, values.size))]
    top = max(high if high is not None else float(max(blocks)) * 1.1, low + 1e-9)
    step = 96 / max(len(blocks) - 1, 1)
    return " ".join(
        f"{i * step:.0f},{20 - 18 * min(max((v - low) / (top - low), 0), 1):.1f}" for i, v in enumerate(blocks)
    )
