"""Base tables of all positions, joined with the design, become the tables and rates of the experiment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pandas as pd

from cicimage.errors import ConfigurationError, nearest
from cicimage.estimands import ENTRY_RATE, names_of
from cicimage.experiment import ExperimentFile
from cicimage.masks import Mask
from cicimage.receipts import read_receipt, succeeded
from cicimage.statistics.comparisons import compare
from cicimage.statistics.curves import compute_curves
from cicimage.statistics.dose_response import dose_tables
from cicimage.statistics.misclassification import error_corrected
from cicimage.statistics.posterior import with_doubt
from cicimage.statistics.rates import compute_rates
from cicimage.statistics.tallies import death_left_out
from cicimage.statistics.time_zero import Watched, clock_of, first_frames, since_time_zero
from cicimage.store import Results, read_table
from cicimage.tables import TABLES, conform, empty

BASE: Final = ("cells", "pairs", "frames", "events", "guests", "hosts", "drift", "qc")
DESIGNED: Final = ("events", "guests", "hosts")
CLOCKED: Final = ("qc", "cells", "frames")
"""Tables that know the hours of frames: what was read, and what lies in gaps of it."""


@dataclass(frozen=True)
class Corrections:
    """What humans decided, as far as the tables of the experiment are made from it.

    Attributes
    ----------
    whose : str
        The reviewer, ``adjudicated``, or empty for none.
    tables : mapping of str to mapping of str to pandas.DataFrame
        Corrected base tables by position and name; positions and tables that are not in it are as found.
    excluded : mapping of str to str
        Reason by position that does not count.
    conflicts : tuple of str
        Corrections that do not fit these results, one sentence each.
    notes : tuple of str
        What a reader must know besides.
    masks : mapping of str to mapping of (population, frame, label) to Mask or None
        Masks by position that were drawn anew; None = erased.
    sample : pandas.DataFrame, optional
        The reviewed random sample, as :func:`cicimage.statistics.misclassification.errors_by_condition` takes it.
    """

    whose: str = ""
    tables: Mapping[str, Mapping[str, pd.DataFrame]] = field(default_factory=dict)
    excluded: Mapping[str, str] = field(default_factory=dict)
    conflicts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    masks: Mapping[str, Mapping[tuple[str, int, int], Mask | None]] = field(default_factory=dict)
    sample: pd.DataFrame | None = None


NO_CORRECTIONS: Final = Corrections()


@dataclass(frozen=True)
class Collected:
    """Tables of a whole experiment by name, its design, and what failed.

    Attributes
    ----------
    tables : mapping of str to pandas.DataFrame
        Every table of :data:`cicimage.tables.TABLES`.
    layout : pandas.DataFrame
        The design, one row a position that finished.
    receipts : mapping of str to dict
        Receipt by position; positions that never ran have none.
    run : dict
        run.json.
    corrections : Corrections
        Those the tables were made with.
    """

    tables: Mapping[str, pd.DataFrame]
    layout: pd.DataFrame
    receipts: Mapping[str, Mapping[str, Any]]
    run: Mapping[str, Any]
    corrections: Corrections = NO_CORRECTIONS

    @property
    def done(self) -> dict[str, Mapping[str, Any]]:
        """Receipt by position that was run to the end."""
        return {p: r for p, r in self.receipts.items() if succeeded(r)}

    @property
    def failed(self) -> dict[str, str]:
        """Reason by failed position."""
        return {p: str(r["error"]) for p, r in self.receipts.items() if not succeeded(r)}


def collect(results: Results, *, reference: str | None = None, corrections: Corrections = NO_CORRECTIONS) -> Collected:
    """Join the finished positions' base tables with the design and compute rates and comparisons.

    Parameters
    ----------
    results : Results
        The folder.
    reference : str, optional
        Condition to compare against; run.json's if not given.
    corrections : Corrections
        Laid over the base tables.

    Raises
    ------
    ConfigurationError
        The reference is no condition of the experiment.
    """
    run = results.read_run()
    receipts = _receipts(results, run)
    finished = [p for p, r in receipts.items() if succeeded(r) and p not in corrections.excluded]
    layout = layout_of(run, finished)
    _require_condition(reference, run)
    base = {name: _joined(results, run, finished, layout, name, corrections) for name in BASE}
    base |= _deaths_before_time_zero(base)
    reference = reference or run["configuration"]["experiment"]["reference"]
    tables = {
        **base,
        **answers(base, layout, reference, run["configuration"]["experiment"].get("primary")),
        "counts": _counts(base["cells"], _of_seen_frames(base["qc"], receipts), _populations(run)),
    }
    tables["rates"] = _with_corrected(tables["rates"], results, run, layout, corrections, reference)
    return Collected(tables, layout, receipts, run, corrections)


def _deaths_before_time_zero(base: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Guests and hosts with column ``death_left_out`` as it is with time zero; none where nothing lies before it."""
    begins = first_frames(clock_of(*(base[n] for n in CLOCKED)))
    if begins.empty:
        return {}
    return {n: base[n].assign(death_left_out=death_left_out(base[n], begins)) for n in ("guests", "hosts")}


def counted_tables(base: Mapping[str, pd.DataFrame]) -> Watched:
    """Events, guests, hosts and frames as the rates count them: from time zero on.

    Parameters
    ----------
    base : mapping of str to pandas.DataFrame
        Tables ``events``, ``guests``, ``hosts``, ``frames``, and those of :data:`CLOCKED` that there are.
    """
    clock = clock_of(*(base[n] for n in CLOCKED if n in base))
    return since_time_zero(base["events"], base["guests"], base["hosts"], base["frames"], clock)


def _require_condition(reference: str | None, run: Mapping[str, Any]) -> None:
    """Refuse a reference that no recording of the experiment has, failed recordings included."""
    conditions = sorted({one["condition"] for one in run["design"].values()})
    if reference is not None and reference not in conditions:
        raise ConfigurationError(
            f"--reference {reference!r}: must be a condition of the experiment; {nearest(reference, conditions)}"
        )


def answers(
    base: Mapping[str, pd.DataFrame], layout: pd.DataFrame, reference: str | None, primary: str | None
) -> dict[str, pd.DataFrame]:
    """Rates, comparisons and curves of what was seen from time zero on; empty ones where no position finished."""
    if not len(layout):
        names = ("rates", "rates_by_replicate", "comparisons", "curves", "dose_response", "dose_fits")
        return {n: empty(TABLES[n]) for n in names}
    clock = clock_of(*(base[n] for n in CLOCKED if n in base))
    events, guests, hosts, frames = counted_tables(base)
    rates, by_replicate = compute_rates(events, guests, hosts, frames, layout, clock=clock)
    # a reference whose recordings all failed leaves nothing to compare with; the report lists them as failed
    primary = primary if primary in set(rates["estimand"]) else None
    known = reference is not None and reference in set(layout["condition"])
    comparisons = (
        compare(by_replicate, str(reference), layout, frames=frames, primary=primary)
        if known
        else empty(TABLES["comparisons"])
    )
    if known:
        comparisons = with_doubt(comparisons, events, by_replicate, str(reference), layout)
    dosed = dict.fromkeys((ENTRY_RATE, *((primary,) if primary in names_of("dose") else ())))
    points, fits = dose_tables(by_replicate, layout, estimands=tuple(dosed))
    return {
        "rates": rates, "rates_by_replicate": by_replicate, "comparisons": comparisons,
        "curves": compute_curves(events, guests, frames, layout), "dose_response": points, "dose_fits": fits,
    }  # fmt: skip


def _with_corrected(
    rates: pd.DataFrame,
    results: Results,
    run: Mapping[str, Any],
    layout: pd.DataFrame,
    corrections: Corrections,
    reference: str | None,
) -> pd.DataFrame:
    """The rates with entry rates corrected for error behind them, where a random sample was reviewed.

    The error is that of the calls as found, so it is their rate that is corrected: in the corrected tables the
    reviewed calls are mended already.
    """
    if corrections.sample is None or corrections.sample.empty or not len(layout):
        return rates
    finished = list(layout["position"])
    names = ("events", "guests", "hosts", *CLOCKED)
    found = {n: _joined(results, run, finished, layout, n, NO_CORRECTIONS) for n in names}
    clock = clock_of(*(found[n] for n in CLOCKED))
    as_called, _ = compute_rates(found["events"], found["guests"], found["hosts"], found["frames"], layout, clock=clock)
    added = error_corrected(as_called, corrections.sample, reference)
    return conform(TABLES["rates"], pd.concat([rates, added], ignore_index=True)) if len(added) else rates


def _populations(run: Mapping[str, Any]) -> list[str]:
    return list(ExperimentFile.model_validate(run["configuration"]).resolved_populations())


def _of_seen_frames(quality: pd.DataFrame, receipts: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Quality without frames that were left out: nothing is counted where nothing could be seen."""
    gone = {(p, int(t)) for p, receipt in receipts.items() for t in receipt.get("missing_frames") or ()}
    if not gone:
        return quality
    places = zip(quality["position"], quality["frame"], strict=True)
    return quality[[place not in gone for place in places]]


def _counts(cells: pd.DataFrame, quality: pd.DataFrame, populations: list[str]) -> pd.DataFrame:
    """Cells seen per population in every frame that was read; 0 where there were none, which is a finding too."""
    seen = cells[cells["observed"]]
    key = ["position", "frame", "time_h"]
    read = pd.concat([quality[key], seen[key]]).drop_duplicates(["position", "frame"])
    if not len(read):
        return empty(TABLES["counts"])
    counted = seen.groupby(["position", "frame", "population"], sort=False).size().rename("n").reset_index()
    every = read.merge(pd.DataFrame({"population": populations}), how="cross")
    every = every.merge(counted, on=["position", "frame", "population"], how="left").fillna({"n": 0})
    return conform(TABLES["counts"], every.sort_values(["position", "population", "frame"], kind="stable"))


def _receipts(results: Results, run: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    found = {}
    for position, key in run["positions"].items():
        path = results.position(key).receipt
        if path.exists():
            found[position] = read_receipt(path)
    return found


def layout_of(run: Mapping[str, Any], positions: list[str]) -> pd.DataFrame:
    """The design of some positions as run.json has it, factors as further columns."""
    rows = []
    for position in positions:
        entry = dict(run["design"][position])
        factors = entry.pop("factors")
        for name in ("path", "series"):
            entry.pop(name, None)
        rows.append({"position": position, **entry, **factors})
    columns = ["position", "condition", "replicate", "donor", "host_donor", "experiment", "plate", "time_zero_h"]
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=columns)


def _joined(
    results: Results,
    run: Mapping[str, Any],
    finished: list[str],
    layout: pd.DataFrame,
    name: str,
    corrections: Corrections,
) -> pd.DataFrame:
    design = layout.set_index("position") if len(layout) else layout
    parts = []
    for position in finished:
        rows = corrections.tables.get(position, {}).get(name)
        if rows is None:
            rows = read_table(results.position(run["positions"][position]).table(name))
        if not len(rows):
            continue
        parts.append(with_design(name, position, rows, design))
    return conform(TABLES[name], pd.concat(parts, ignore_index=True)) if parts else empty(TABLES[name])


def with_design(name: str, position: str, rows: pd.DataFrame, design: pd.DataFrame) -> pd.DataFrame:
    """Add to a base table of one position what the design says of it, and the ids of events.

    Parameters
    ----------
    name : str
        Name of the table.
    position : str
        Name of the position.
    rows : pandas.DataFrame
        The table.
    design : pandas.DataFrame
        condition, replicate and donor by position.
    """
    rows = rows.assign(position=position)
    if name in DESIGNED:
        entry = design.loc[position]
        rows = rows.assign(condition=entry["condition"], replicate=entry["replicate"], donor=entry["donor"])
    if name in ("guests", "hosts"):
        rows = rows.assign(death_left_out=death_left_out(rows))
    if name == "events":
        numbers = rows.pop("number") if "number" in rows else range(1, len(rows) + 1)
        rows = rows.assign(event_id=[f"{position}#{n}" for n in numbers])
    return rows
