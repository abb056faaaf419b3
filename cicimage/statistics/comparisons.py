"""Conditions against a reference, within donors where they are paired, as table ``comparisons``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from cicimage.errors import CicimageError, nearest
from cicimage.estimands import (
    DEATH_HAZARD_RATIO,
    DEATH_RATE_INSIDE,
    DEATH_RATE_OUTSIDE,
    NO_INTERACTION,
    per_denominator,
)
from cicimage.statistics.adjustment import adjust_family
from cicimage.statistics.design import Unit, complete_layout, join_notes, shared_host_note, unit_of_replication
from cicimage.statistics.inside_hazard import HazardRatio, inside_hazard, units_by_position
from cicimage.statistics.interactions import factor_pairs, interactions
from cicimage.statistics.ratios import Comparison, compare_counts
from cicimage.statistics.time_zero import frames_since_time_zero
from cicimage.tables import COMPARISONS, conform

Row = dict[str, Any]
DISAGREE: Final = 1.5
"""Entry ratios that differ by more than this factor between denominators are said."""


def compare(
    rates_by_replicate: pd.DataFrame,
    reference: str,
    layout: pd.DataFrame,
    *,
    frames: pd.DataFrame | None = None,
    estimands: Sequence[str] | None = None,
    primary: str | None = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Compare every condition with the reference, factors with each other, and death inside with outside.

    Parameters
    ----------
    rates_by_replicate : pandas.DataFrame
        As :func:`cicimage.statistics.rates.compute_rates` returns it.
    reference : str
        A condition of the layout.
    layout : pandas.DataFrame
        The design.
    frames : pandas.DataFrame, optional
        Table ``frames``: with it ``death_hazard_inside_vs_outside`` is a time-dependent Cox model, without it the ratio
        of death rates per state-hour. Frames from before time zero count nowhere.
    estimands : sequence of str, optional
        Which to compare; all where not given.
    primary : str, optional
        The endpoint named before the data were looked at: its rows are marked in column ``primary``; p values of the
        others are exploratory.
    level : float
        Coverage of the intervals; of the simultaneous ones together.

    Returns
    -------
    pandas.DataFrame
        Table ``comparisons`` with ``inhibition_percent`` (100 (1 - ratio)) and its limits behind it.

    Raises
    ------
    CicimageError
        The reference is no condition of the layout, or the primary endpoint no estimand.

    Notes
    -----
    The method of each ratio follows the rule of :func:`cicimage.statistics.ratios.compare_counts`: by design and
    counts, never by p. Nothing is added to zero counts.
    """
    layout = complete_layout(layout)
    conditions = list(dict.fromkeys(layout["condition"]))
    if reference not in conditions:
        raise CicimageError(f"reference {reference!r} is no condition of the layout; {nearest(reference, conditions)}")
    unit = unit_of_replication(layout)
    names = list(dict.fromkeys(rates_by_replicate["estimand"])) if estimands is None else list(estimands)
    if primary is not None and primary not in names:
        raise CicimageError(f"primary endpoint {primary!r} is no estimand; {nearest(primary, names)}")
    rows: list[Row] = []
    pairs = factor_pairs(layout, reference)
    for name in names:
        mine = rates_by_replicate[rates_by_replicate["estimand"] == name]
        arms = {c: unit_counts(mine, c, unit) for c in conditions}
        rows += _against_reference(name, arms, reference, unit, level)
        rows += _interactions(name, arms, layout, (reference, pairs), unit, level)
    if frames is not None:
        cut = frames_since_time_zero(frames)
        rows += adjust_family(lambda at: list(_hazards(cut, layout, conditions, unit, at)), level)
    else:
        rows += adjust_family(lambda at: list(_rate_hazards(rates_by_replicate, conditions, unit, at)), level)
    rows += adjust_family(lambda at: list(_host_deaths(rates_by_replicate, conditions, unit, at)), level)
    shared = shared_host_note(layout)
    for row in rows:
        row["note"] = join_notes(row["note"], shared)
        row["primary"] = row["estimand"] == primary
    return conform(COMPARISONS, pd.DataFrame(rows, columns=None if rows else [c.name for c in COMPARISONS.columns]))


def as_row(c: Comparison) -> Row:
    """Columns of table ``comparisons`` that a ratio fills."""
    return {
        "ratio": c.ratio, "ci_low": c.low, "ci_high": c.high, "p_value": c.p_value,
        "unit_of_replication": c.unit, "n_pairs": c.n_pairs, "method": c.method, "note": c.note,
        "inhibition_percent": 100 * (1 - c.ratio), "inhibition_low": 100 * (1 - c.high),
        "inhibition_high": 100 * (1 - c.low),
    }  # fmt: skip


def unit_counts(rows: pd.DataFrame, condition: str, unit: Unit) -> pd.DataFrame:
    """Events and denominators per unit of one condition; the index is empty text where the unit is unknown.

    Parameters
    ----------
    rows : pandas.DataFrame
        ``rates_by_replicate`` of one estimand.
    condition : str
        Which to take.
    unit : {"donor", "experiment", "none"}
        What to sum over wells by.
    """
    mine = rows[rows["condition"] == condition]
    size = mine["denominator"] if "denominator" in mine else mine["exposure_h"]
    by = mine[unit] if unit != "none" else pd.Series("", index=mine.index)
    incidence = mine["estimand"] == "entry_cumulative_incidence"
    # an incidence is compared by the guests that would have entered, deaths and losses allowed for
    events = mine["events"].mask(incidence, mine["estimate"] * size)
    table = pd.DataFrame({"events": events.astype(np.float64), "denominator": size.astype(np.float64)})
    return table.groupby(by.astype(object)).sum()


def disagreeing_denominators(comparisons: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Entry ratios over different denominators, by condition, where they differ by more than :data:`DISAGREE`.

    A drug can change how many guests stay in view or touch a host, so each denominator answers its own question.

    Parameters
    ----------
    comparisons : pandas.DataFrame
        Table ``comparisons``; interactions of factors are left out.

    Returns
    -------
    dict of str to dict of str to float
        Ratio by unit of the denominator, such as ``guest-hour``, by condition.
    """
    per = per_denominator()
    entries = comparisons[comparisons["estimand"].isin(per) & (comparisons["reference"] != NO_INTERACTION)]
    entries = entries[(entries["ratio"] > 0) & np.isfinite(entries["ratio"])]
    ratios = {
        str(condition): dict(zip(rows["estimand"].map(per), rows["ratio"].astype(float), strict=True))
        for condition, rows in entries.groupby("condition", sort=False, observed=True)
    }
    return {c: r for c, r in ratios.items() if max(r.values()) > DISAGREE * min(r.values())}


def _against_reference(name: str, arms: dict[str, pd.DataFrame], reference: str, unit: Unit, level: float) -> list[Row]:
    def rows_at(coverage: float) -> list[Row]:
        return [
            {"estimand": name, "condition": c, "reference": reference}
            | as_row(compare_counts(arm, arms[reference], unit, coverage))
            for c, arm in arms.items()
            if c != reference
        ]

    return adjust_family(rows_at, level)


def _interactions(
    name: str, arms: dict[str, pd.DataFrame], layout: pd.DataFrame, of: tuple[str, list[tuple[str, list[str]]]],
    unit: Unit, level: float,
) -> list[Row]:  # fmt: skip
    reference, pairs = of
    rows = adjust_family(lambda at: interactions(arms, layout, reference, unit, at, pairs), level)
    return [{"estimand": name} | row for row in rows]


def _hazards(
    frames: pd.DataFrame, layout: pd.DataFrame, conditions: Sequence[str], unit: Unit, level: float
) -> Iterator[Row]:
    unit_of = units_by_position(layout, unit)
    for condition in conditions:
        positions = layout.loc[layout["condition"] == condition, "position"]
        found = inside_hazard(frames[frames["position"].isin(positions)], unit_of, unit, level=level)
        yield _hazard_row(condition, found, unit)


def _hazard_row(condition: str, h: HazardRatio, unit: Unit) -> Row:
    c = Comparison(h.ratio, h.low, h.high, h.p_value, unit, h.n_units, h.method, h.note)
    row = {"estimand": DEATH_HAZARD_RATIO, "condition": condition, "reference": "outside"} | as_row(c)
    return _association(row) | {
        "bound_low": h.bound_low, "bound_high": h.bound_high, "lost_low": h.lost_low, "lost_high": h.lost_high,
    }  # fmt: skip


def _rate_hazards(rates: pd.DataFrame, conditions: Sequence[str], unit: Unit, level: float) -> Iterator[Row]:
    inside = rates[rates["estimand"] == DEATH_RATE_INSIDE]
    outside = rates[rates["estimand"] == DEATH_RATE_OUTSIDE]
    if inside.empty or outside.empty:
        return
    for condition in conditions:
        c = compare_counts(unit_counts(inside, condition, unit), unit_counts(outside, condition, unit), unit, level)
        row = {"estimand": DEATH_HAZARD_RATIO, "condition": condition, "reference": "outside"} | as_row(c)
        row["method"] = f"rate ratio per state-hour, {row['method']}"
        yield _association(row)


def _host_deaths(rates: pd.DataFrame, conditions: Sequence[str], unit: Unit, level: float) -> Iterator[Row]:
    """Host death per hour with a guest inside over that per hour without, where any host died."""
    sides = [rates[rates["estimand"] == f"host_death_rate_{side}_guest_per_h"] for side in ("with", "without")]
    if sum(float(s["events"].sum()) for s in sides) == 0:
        return
    for condition in conditions:
        counts = [unit_counts(s, condition, unit) for s in sides]
        row = {"estimand": "host_death_rate_with_vs_without_guest", "condition": condition, "reference": "without"}
        row |= as_row(compare_counts(counts[0], counts[1], unit, level))
        yield _without_inhibition(row)


def _without_inhibition(row: Row) -> Row:
    return row | dict.fromkeys(("inhibition_percent", "inhibition_low", "inhibition_high"), np.nan)


def _association(row: Row) -> Row:
    row["note"] = join_notes(row["note"], "an association: fitter guests may be the ones that enter")
    return _without_inhibition(row)
