"""Rates, shares and incidences per condition and per well, with the donor as n."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from cicimage.arrays import Float64Array
from cicimage.errors import counted
from cicimage.estimands import BY_NAME, DEATH_RATE_INSIDE, ESTIMANDS, Estimand, names_of
from cicimage.states import OUTSIDE
from cicimage.statistics.design import (
    Unit,
    complete_layout,
    join_notes,
    unit_of_replication,
)
from cicimage.statistics.first_entry import Incidence, cumulative_incidence, first_entry_records
from cicimage.statistics.intervals import (
    Interval,
    binomial_interval,
    poisson_interval,
)
from cicimage.statistics.rate_doubt import doubt_limits, drawn_counts, in_doubt, rate_over_units
from cicimage.statistics.share_model import mean_share
from cicimage.statistics.tallies import COLUMNS, common_end_h, counted_events, tally
from cicimage.statistics.time_zero import since_time_zero
from cicimage.tables import RATES, RATES_BY_REPLICATE, conform

UNSEEN = DEATH_RATE_INSIDE
_REPLICATE_KEY = ["condition", "donor", "experiment", "replicate"]


def compute_rates(
    events: pd.DataFrame,
    guests: pd.DataFrame,
    hosts: pd.DataFrame,
    frames: pd.DataFrame,
    layout: pd.DataFrame,
    level: float = 0.95,
    *,
    clock: pd.DataFrame | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Estimate every estimand of :data:`~cicimage.estimands.ESTIMANDS`.

    Parameters
    ----------
    events, guests, hosts, frames : pandas.DataFrame
        Tables of those names (all positions together).
    layout : pandas.DataFrame
        One row a position: position, condition, replicate, donor, experiment, ...; ``seeded_cells`` where known.
        Conditions come from here; leave failed positions out of it.
    level : float
        Coverage of the intervals.
    clock : pandas.DataFrame, optional
        Hours of every frame, as :func:`cicimage.statistics.time_zero.clock_of` makes them; those of ``frames`` where
        not given. Nothing from before time zero counts.

    Returns
    -------
    rates : pandas.DataFrame
        Table ``rates``: one row per estimand and condition. The rule of the interval, in this order: fewer than two
        units (donors, or experiments where no donor is named) - exact Poisson or binomial on the pooled counts, which
        is counting error only; shares and the incidence - mean over units, donor-level binomial model with profile
        likelihood (:mod:`cicimage.statistics.share_model`); rates, every unit has events - Student's t on the units'
        log rates; rates else - the donor-level count model with profile likelihood. ``pooled_estimate`` is of all cells
        whatever their unit.
    rates_by_replicate : pandas.DataFrame
        Table ``rates_by_replicate``: one row per estimand and well with exact intervals, and ``denominator`` (hours, or
        the number that shares are of).
    """
    layout = complete_layout(layout)
    events, guests, hosts, frames = since_time_zero(events, guests, hosts, frames, clock)
    counts = pd.concat([tally(events, guests, hosts, frames, layout), _seeded(events, layout)], ignore_index=True)
    first = first_entry_records(events, guests, frames)
    first_bound = first_entry_records(events, guests, frames, unresolved_enters=True)
    horizon = common_end_h(frames[frames["position"].isin(layout["position"])])
    counts = pd.concat([counts, _first_entries(first, first_bound, layout)], ignore_index=True)
    study = _Study(layout, counts, first, first_bound, horizon, level)
    warnings = marker_notes(frames, guests, layout)
    by_replicate = pd.DataFrame(list(study.replicates()))
    rates = study.with_doubt(pd.DataFrame(list(study.conditions(warnings))), events)
    return conform(RATES, rates), conform(RATES_BY_REPLICATE, by_replicate)


def _seeded(events: pd.DataFrame, layout: pd.DataFrame) -> pd.DataFrame:
    """Entries per seeded cell where the layout says how many were seeded in the field's share of the well."""
    entries = tally_entries(events, layout)
    if "seeded_cells" not in layout:
        seeded = pd.Series(np.nan, index=layout.index)
    else:
        seeded = pd.to_numeric(layout["seeded_cells"], errors="coerce")
    known = seeded.notna() & (seeded > 0)
    n = entries.reindex(layout["position"], fill_value=0).to_numpy(np.float64)
    rows = pd.DataFrame({"position": layout["position"], "events": n, "denominator": seeded.to_numpy(np.float64)})[
        known
    ]
    return _simple_tally("entries_per_seeded_cell", rows)


def tally_entries(events: pd.DataFrame, layout: pd.DataFrame) -> pd.Series:
    """Counted entries per position."""
    return counted_events(events[events["position"].isin(layout["position"])]).groupby("position").size()


def _first_entries(first: pd.DataFrame, bound: pd.DataFrame, layout: pd.DataFrame) -> pd.DataFrame:
    def sums(records: pd.DataFrame) -> pd.DataFrame:
        rows = records.assign(hours=records["stop_h"] - records["start_h"], entered=records["cause"] == 1)
        grouped = rows.groupby("position").agg(
            events=("entered", "sum"), denominator=("hours", "sum"), n_guests=("hours", "size")
        )
        return grouped.reindex(layout["position"], fill_value=0).astype(np.float64)

    low, high = sums(first), sums(bound)
    rows = low.reset_index()
    rows["events_inside"], rows["denominator_inside"] = high["events"].to_numpy(), high["denominator"].to_numpy()
    return _simple_tally("first_entry_rate_per_guest_h", rows)


def _simple_tally(name: str, rows: pd.DataFrame) -> pd.DataFrame:
    full = rows.copy()
    for column, source in (
        ("events_outside", "events"), ("denominator_outside", "denominator"), ("events_inside", "events"),
        ("denominator_inside", "denominator"), ("events_sq", "events"),
    ):  # fmt: skip
        if column not in full:
            full[column] = full[source]
    for column in ("n_guests", "n_hosts"):
        if column not in full:
            full[column] = 0.0
    full["events_p"] = np.nan
    full.insert(0, "estimand", name)
    return full


class _Study:
    """The counts of an experiment with its design, estimated at each level.

    Counts stand in one array (estimand, position, column), so that a well, a donor or a condition is a sum over
    positions.
    """

    def __init__(
        self,
        layout: pd.DataFrame,
        counts: pd.DataFrame,
        first: pd.DataFrame,
        first_bound: pd.DataFrame,
        horizon_h: float,
        level: float,
    ) -> None:
        self.layout, self.level, self.horizon_h = layout, level, horizon_h
        self.unit: Unit = unit_of_replication(layout)
        self.unit_of = np.full(len(layout), "", object) if self.unit == "none" else layout[self.unit].to_numpy(object)
        place = {p: i for i, p in enumerate(layout["position"])}
        self.counts: dict[str, Float64Array] = {}
        for name, part in counts.groupby("estimand", sort=False):
            values = np.zeros((len(layout), len(COLUMNS)))
            values[[place[p] for p in part["position"]]] = part[list(COLUMNS)].to_numpy(np.float64)
            self.counts[str(name)] = values
        self.first, self.first_bound = first, first_bound
        self.place_of = first["position"].map(place), first_bound["position"].map(place)

    def replicates(self) -> Iterator[dict[str, object]]:
        for key, wells in self.layout.groupby(_REPLICATE_KEY, sort=True):
            design, sizes = dict(zip(_REPLICATE_KEY, key, strict=True)), _sizes(wells)
            at = wells.index.to_numpy(np.int64)
            for estimand in ESTIMANDS:
                if estimand.kind == "incidence":
                    row = self._incidence_row(at)
                elif estimand.name in self.counts:
                    part = _Part(self.counts[estimand.name][at])
                    row = _summed(estimand, part) | _limits(_exact(estimand, part, self.level))
                else:
                    continue
                yield {"estimand": estimand.name, **design, **row, **sizes, "unit": estimand.unit, "note": ""}

    def conditions(self, warnings: dict[tuple[str, str], str]) -> Iterator[dict[str, object]]:
        for condition in dict.fromkeys(self.layout["condition"]):
            wells = self.layout[self.layout["condition"] == condition]
            at, sizes = wells.index.to_numpy(np.int64), _sizes(wells)
            for estimand in ESTIMANDS:
                if estimand.kind == "incidence":
                    row, note = self._incidence_condition(at)
                elif estimand.name in self.counts:
                    part = _Part(self.counts[estimand.name][at])
                    limits, note = self._donor_level(estimand, part, self.unit_of[at])
                    row = _summed(estimand, part) | _limits(limits)
                    row |= {"pooled_estimate": _ratio(part["events"], part["denominator"])}
                    row = (
                        self._with_share_bounds(row, at, estimand.name) if estimand.kind == "share" else _rescaled(row)
                    )
                else:
                    continue
                warning = warnings.get((estimand.name, condition), "")
                if warning and estimand.name == UNSEEN:
                    row["ci_high"] = self._had_all_died(at, float(str(row["ci_high"])))
                note = join_notes(note, _bounds_note(row), warning)
                yield {
                    "estimand": estimand.name, "condition": condition, **row, **sizes, "unit": estimand.unit,
                    "note": note,
                }  # fmt: skip

    def _with_share_bounds(self, row: dict[str, object], at: npt.NDArray[np.int64], name: str) -> dict[str, object]:
        """Bounds of a share as means over units, like the share itself; of pooled cells where units are too few."""
        units = self.unit_of[at]
        sums = [_Part(self.counts[name][at][units == u]) for u in dict.fromkeys(units) if u != ""]
        if sum(p["denominator"] > 0 for p in sums) < 2:
            return row
        sides = {"bound_low": "outside", "bound_high": "inside"}
        each = {k: [_ratio(p[f"events_{s}"], p[f"denominator_{s}"]) for p in sums] for k, s in sides.items()}
        return row | {k: float(np.nanmean(v)) for k, v in each.items()}

    def _had_all_died(self, at: npt.NDArray[np.int64], high: float) -> float:
        """Upper limit of death inside where deaths go unseen: that of the rate had all of unknown fate died."""
        part = self.counts[UNSEEN][at].copy()
        for column in ("events", "denominator"):
            part[:, COLUMNS.index(column)] = part[:, COLUMNS.index(f"{column}_inside")]
        worst, _ = self._donor_level(BY_NAME[UNSEEN], _Part(part), self.unit_of[at])
        return float(np.fmax(high, worst.high))

    def with_doubt(self, rates: pd.DataFrame, events: pd.DataFrame) -> pd.DataFrame:
        """Entry rates with limits that hold the doubt about single events: never within those of the counts."""
        out = rates.assign(doubt_low=np.nan, doubt_high=np.nan)
        positions, doubtful = pd.Index(self.layout["position"].astype(object)), in_doubt(events)
        drawn = {b: list(drawn_counts(events, positions, brief=b)) for b in (False, True)} if doubtful else {}
        drawn_names = names_of("drawn")
        for i, row in out.iterrows():
            name = str(row["estimand"])
            if name not in drawn_names or name not in self.counts or not np.isfinite(row["ci_low"]):
                continue
            low, high = float(row["ci_low"]), float(row["ci_high"])
            if doubtful:
                at = self.layout.index[self.layout["condition"] == row["condition"]].to_numpy(np.int64)
                size = self.counts[name][at, COLUMNS.index("denominator")]
                counts = [d[at] for d in drawn[BY_NAME[name].with_brief_stays]]
                found = doubt_limits(counts, size, self.unit_of[at], self.level)
                low, high = float(np.fmin(low, found.low)), float(np.fmax(high, found.high))
            out.loc[i, ["doubt_low", "doubt_high"]] = low, high
        return out

    def _donor_level(self, estimand: Estimand, part: _Part, units: npt.NDArray[np.object_]) -> tuple[Interval, str]:
        """Estimate over independent units by the stated rule, or pooled counts where there are none."""
        if not part["denominator"] > 0:
            nothing = "no person-time" if estimand.kind == "rate" else "none seen"
            return Interval(np.nan, np.nan, np.nan, "none"), nothing
        named = [u for u in dict.fromkeys(units) if u != ""]
        sums = [_Part(part.values[units == u]) for u in named]
        sums = [p for p in sums if p["denominator"] > 0]
        blank = int((units == "").sum()) if self.unit != "none" else 0
        left_out = (
            f"{counted(blank, 'position')} without {self.unit} left out of estimate and interval, "
            "but not of events and hours"
            if blank
            else ""
        )
        note = join_notes(self._too_few(len(sums)), left_out)
        if len(sums) < 2:
            return _exact(estimand, part, self.level), join_notes(note, "interval holds counting error only")
        events, size = np.array([p["events"] for p in sums]), np.array([p["denominator"] for p in sums])
        n, of = len(sums), f"{self.unit}s"
        if estimand.kind == "share":
            found, caution = self._mean_share(events / size, size)
            return found, join_notes(note, caution)
        found, rule = rate_over_units(events, size, self.level)
        if rule == "t":
            return replace(found, method=f"geometric mean of {n} {of}, t on logs"), note
        zero = f"{int((events == 0).sum())} of {len(events)} {self.unit}s without events"
        return replace(found, method=f"count model over {n} {of}, profile likelihood"), join_notes(note, zero)

    def _mean_share(self, shares: Float64Array, cells: Float64Array) -> tuple[Interval, str]:
        """Mean over units of the unit's share, and what simulation says of such limits."""
        fit = mean_share(shares, cells, self.level)
        method = f"mean of {fit.n} {self.unit}s, {self.unit}-level binomial model, profile likelihood"
        return Interval(fit.estimate, fit.low, fit.high, method), fit.caution(self.unit)

    def _too_few(self, n: int) -> str:
        if self.unit == "none":
            return "n of donors is unknown"
        return f"n of {self.unit}s is {n}" if n < 2 else ""

    def _incidence(self, at: npt.NDArray[np.int64], *, bound: bool = False) -> Incidence:
        records, place = (self.first_bound, self.place_of[1]) if bound else (self.first, self.place_of[0])
        return cumulative_incidence(records[place.isin(at)], self.horizon_h, level=self.level)

    def _incidence_row(self, at: npt.NDArray[np.int64]) -> dict[str, object]:
        one, most = self._incidence(at), self._incidence(at, bound=True)
        return {
            "estimate": one.estimate, "ci_low": one.low, "ci_high": one.high, "bound_low": one.estimate,
            "bound_high": most.estimate, "method": "Aalen-Johansen, death competing", "events": one.events,
            "events_p": np.nan, "exposure_h": one.exposure_h, "denominator": float(one.n), "n_guests": one.n,
            "n_hosts": 0,
        }  # fmt: skip

    def _incidence_condition(self, at: npt.NDArray[np.int64]) -> tuple[dict[str, object], str]:
        row = self._incidence_row(at)
        row |= {"pooled_estimate": row["estimate"]}
        note = f"by {self.horizon_h:.3g} h, the end all positions share" if np.isfinite(self.horizon_h) else "no frames"
        units = self.unit_of[at]
        named = [u for u in dict.fromkeys(units) if u != ""]
        if len(named) < 2:
            return row, join_notes(note, self._too_few(len(named)), "interval holds counting error only")
        each = [self._incidence(at[units == u]) for u in named]
        told = [one for one in each if np.isfinite(one.estimate) and one.cells > 0]
        left_out = len(named) - len(told)
        if left_out:
            unfollowed = f"{counted(left_out, self.unit)} with no guest followed to then left out of the estimate"
            note = join_notes(note, unfollowed)
        if len(told) < 2:
            return row, join_notes(note, self._too_few(len(told)), "interval holds counting error only")
        found, caution = self._mean_share(
            np.array([one.estimate for one in told]), np.array([one.cells for one in told])
        )
        found = replace(found, method=f"Aalen-Johansen per {self.unit}, {found.method}")
        most = [self._incidence(at[units == u], bound=True).estimate for u in named]
        bounds = {"bound_low": found.estimate, "bound_high": max(float(np.nanmean(most)), found.estimate)}
        return row | bounds | _limits(found), join_notes(note, caution)


class _Part:
    """Counts of one estimand over some positions, summed by column name; a column nobody filled sums to NaN."""

    def __init__(self, values: Float64Array) -> None:
        self.values = values
        known = np.isfinite(values).any(axis=0)
        self._sums = np.where(known, np.nansum(values, axis=0), np.nan)

    def __getitem__(self, column: str) -> float:
        return float(self._sums[COLUMNS.index(column)])


def _summed(estimand: Estimand, part: _Part) -> dict[str, object]:
    """Counts of a group of positions with the two bounds."""
    size = part["denominator"]
    return {
        "events": part["events"], "events_p": part["events_p"], "denominator": size,
        "exposure_h": size if estimand.unit == "1/h" else np.nan,
        "bound_low": _ratio(part["events_outside"], part["denominator_outside"]),
        "bound_high": _ratio(part["events_inside"], part["denominator_inside"]),
        "n_guests": int(part["n_guests"]), "n_hosts": int(part["n_hosts"]),
    }  # fmt: skip


def _rescaled(row: dict[str, object]) -> dict[str, object]:
    """Bounds on the scale of the estimate over donors, moved by the factor that moves pooled counts."""
    events, size, estimate = (float(str(row[k])) for k in ("events", "denominator", "estimate"))
    if not (events > 0 and size > 0 and np.isfinite(estimate)):
        return row
    factor = estimate / (events / size)
    return row | {name: float(str(row[name])) * factor for name in ("bound_low", "bound_high")}


def _ratio(a: float, b: float) -> float:
    return float(a / b) if b > 0 else np.nan


def _exact(estimand: Estimand, part: _Part, level: float) -> Interval:
    events, size = part["events"], part["denominator"]
    if estimand.kind == "share":
        return binomial_interval(events, size, level)
    if estimand.kind == "mean" and size > 1 and events > 0:
        mean = events / size
        variance = (part["events_sq"] - size * mean**2) / (size - 1)
        return poisson_interval(events, size, level, max(1.0, variance / mean))
    return poisson_interval(events, size, level)


def _limits(interval: Interval) -> dict[str, object]:
    return {
        "estimate": interval.estimate, "ci_low": interval.low, "ci_high": interval.high, "method": interval.method,
    }  # fmt: skip


def _sizes(wells: pd.DataFrame) -> dict[str, int]:
    replicates = wells[_REPLICATE_KEY].drop_duplicates()
    return {
        "n_positions": len(wells),
        "n_replicates": len(replicates),
        "n_donors": int(wells.loc[wells["donor"] != "", "donor"].nunique()),
    }


def _bounds_note(row: dict[str, object]) -> str:
    low, high, events = (float(str(row[k])) for k in ("bound_low", "bound_high", "events"))
    if events > 0 and np.isfinite(low) and np.isfinite(high) and low > 0 and not 0.8 < high / low < 1.25:
        return "what stayed open or in doubt moves the estimate by a factor of " + f"{max(high / low, low / high):.2g}"
    if np.isnan(high) and np.isfinite(low) and events > 0:
        return "no resolved person-time"
    return ""


def marker_notes(frames: pd.DataFrame, guests: pd.DataFrame, layout: pd.DataFrame) -> dict[tuple[str, str], str]:
    """What the death marker could not tell, per estimand and condition.

    ``unknown`` viability counts as alive; where most hours inside are unknown, deaths inside go unseen and the rate of
    death inside is a lower bound.
    """
    notes: dict[tuple[str, str], str] = {}
    if frames.empty:
        return notes
    where = frames["location"].astype(object).mask(frames["location"].isin(OUTSIDE), "outside")
    condition = frames["position"].map(layout.set_index("position")["condition"])
    tells = pd.DataFrame({"condition": condition, "place": where, "unknown": frames["viability"] == "unknown"})
    shares = tells.groupby(["condition", "place"])["unknown"].mean().reset_index()
    for row in shares.itertuples(index=False):
        share, place = float(str(row.unknown)), str(row.place)
        if place in ("inside", "outside") and share > 0.1:
            text = f"death marker cannot tell in {share:.0%} of guest frames {place}: deaths unseen, a lower bound"
            if place == "inside":
                text += "; the upper limit had all of unknown fate died"
            notes[f"death_rate_{place}_per_h", str(row.condition)] = text
    return notes
