"""Reads truth folders, reviewed results and runs from disk."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from cicimage.arrays import Float64Array
from cicimage.errors import ResultsError
from cicimage.evaluation.both_roles import with_hosts_as_cells
from cicimage.evaluation.sides import EVENT_COLUMNS, Measured, Truth
from cicimage.pipeline.collect import collect, layout_of
from cicimage.store import existing_results, read_table

_TABLES: Final = ("frames", "events", "guests", "hosts", "rates", "rates_by_replicate", "comparisons")
_EMPTY_HOSTS: Final = ("position", "frame", "host_id", "viability")
_EMPTY_DECOYS: Final = ("position", "frame", "kind", "y_um", "x_um")


def load_results(folder: Path, positions: Iterable[str] | None = None) -> Measured:
    """Read a results folder: the top-level tables with their corrections, else the base tables joined.

    Parameters
    ----------
    folder : Path
        Folder written by ``cicimage run -o``.
    positions : iterable of str, optional
        Positions to read; all where not given.

    Raises
    ------
    ResultsError
        It is not a results folder, or no position in it is finished.
    """
    results = existing_results(Path(folder))
    made = collect(results)
    tables = {n: read_table(results.table(n), n) if results.table(n).exists() else made.tables[n] for n in _TABLES}
    done = set(made.layout["position"]) if len(made.layout) else set()
    if not done:
        raise ResultsError(f"{folder}: no position is finished; run `cicimage run` until `cicimage status` shows one")
    wanted = done if positions is None else done & set(positions)
    by_position = ("frames", "events", "guests", "hosts")
    tables |= {n: tables[n][tables[n]["position"].isin(wanted)].reset_index(drop=True) for n in by_position}
    layout = layout_of(made.run, sorted(wanted))
    about = {k: made.run[k] for k in ("version", "configuration_hash") if k in made.run}
    reference = str(made.run.get("configuration", {}).get("experiment", {}).get("reference") or "")
    return Measured(tables, layout, str(folder), reference, about)


def load_truth(folder: Path) -> Truth:
    """Read a truth folder written by ``cicimage simulate``, or a reviewed results folder.

    Raises
    ------
    ResultsError
        It is neither.
    """
    folder = Path(folder)
    if (folder / "run.json").exists():
        return _from_review(folder)
    found = sorted(folder.rglob("guests.parquet"))
    if not found:
        raise ResultsError(
            f"{folder}: must hold <position>/guests.parquet as `cicimage simulate` writes beside its recordings "
            "(FOLDER_truth), or run.json of a reviewed run; give one of those"
        )
    scenario = read_scenario(folder).get("scenario", {})
    frames, events, hosts, decoys, clock = [], [], [], [], {}
    for path in found:
        position = path.parent.relative_to(folder).as_posix()
        tables = {n: _named(path.parent / f"{n}.parquet", position) for n in ("guests", "hosts", "decoys", "drift")}
        clock[position] = _clock(path.parent, tables)
        if scenario.get("homotypic"):
            seen = scenario["acquisition"]
            tables["guests"] = with_hosts_as_cells(
                tables["guests"], tables["hosts"], seen["size_px"] * seen["um_per_px"]
            )
        frames.append(tables["guests"])
        hosts.append(tables["hosts"])
        decoys.append(tables["decoys"])
        events.append(_simulated_events(path.parent / "events.csv", position))
    return Truth(
        _together(frames, ("position", "frame", "guest_id")),
        _together(events, EVENT_COLUMNS),
        _together(hosts, _EMPTY_HOSTS),
        _together(decoys, _EMPTY_DECOYS),
        clock,
        str(folder),
    )


def shared_positions(truth: Truth, measured: Measured) -> list[str]:
    """List the positions that both sides have.

    Parameters
    ----------
    truth : Truth
        What is true.
    measured : Measured
        The run.

    Returns
    -------
    list of str
        Sorted by name.

    Raises
    ------
    ResultsError
        There are none.
    """
    both = sorted(set(truth.clock_h) & set(measured.layout["position"]))
    if not both:
        raise ResultsError(
            f"{measured.source} and {truth.source} share no position: the run has "
            f"{_some(measured.layout['position'])}, the truth {_some(truth.clock_h)}; give the truth of these"
        )
    return both


def _some(names: Iterable[Any]) -> str:
    listed = sorted(str(n) for n in names)
    return ", ".join(repr(n) for n in listed[:3]) + (" ..." if len(listed) > 3 else "") if listed else "none"


def _named(path: Path, position: str) -> pd.DataFrame:
    rows = pd.read_parquet(path) if path.exists() else pd.DataFrame()
    return rows.assign(position=position)


def _together(parts: list[pd.DataFrame], columns: tuple[str, ...]) -> pd.DataFrame:
    filled = [p for p in parts if len(p)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame({c: [] for c in columns})


def _clock(folder: Path, tables: dict[str, pd.DataFrame]) -> Float64Array:
    """Hours of every frame, from the frames that hold objects; even steps where none does."""
    known = pd.concat([t[["frame", "time_h"]] for t in tables.values() if "time_h" in t])
    by_frame = known.drop_duplicates("frame").sort_values("frame")
    n = int(max([*known["frame"], *tables["drift"].get("frame", [])])) + 1
    if not len(by_frame):
        raise ResultsError(f"{folder}: truth has no frame with anything in it, so no clock; simulate it again")
    hours: Float64Array = np.interp(np.arange(n), by_frame["frame"].to_numpy(), by_frame["time_h"].to_numpy(np.float64))
    last = by_frame["frame"].to_numpy()[-1]
    if last < n - 1 and len(by_frame) > 1:
        step = (hours[last] - hours[0]) / max(last, 1)
        hours[last + 1 :] = hours[last] + step * np.arange(1, n - last)
    return hours


def _simulated_events(path: Path, position: str) -> pd.DataFrame:
    rows = pd.read_csv(path, keep_default_na=True, dtype={"end_reason": str, "score": str, "excluded_reason": str})
    rows = rows.assign(position=position)
    for name in ("end_reason", "score", "excluded_reason"):
        rows[name] = rows[name].fillna("")
    return rows[list(EVENT_COLUMNS)]


def _from_review(folder: Path) -> Truth:
    """Reviewed results as truth: the reviewer's decisions, with the measured positions of guests."""
    side = load_results(folder)
    frames, events = side.tables["frames"], side.tables["events"]
    frames = frames[frames["observed"]].assign(decoy="", touches_border=False, parent_id=0)
    is_contact = (frames["location"] == "attached") & frames["contact"].isin(["on_top", "under", "between"])
    frames["decoy"] = frames["contact"].where(is_contact, "")
    clock = {}
    for position, rows in side.tables["frames"].groupby("position"):
        known = rows.drop_duplicates("frame").sort_values("frame")
        numbers = np.arange(int(known["frame"].max()) + 1)
        clock[str(position)] = np.interp(numbers, known["frame"].to_numpy(), known["time_h"].to_numpy(np.float64))
    return Truth(
        frames, events_in_hours(events, clock), pd.DataFrame({c: [] for c in _EMPTY_HOSTS}),
        pd.DataFrame({c: [] for c in _EMPTY_DECOYS}), clock, f"{folder} (reviewed results)", from_time_zero=True,
    )  # fmt: skip


def events_in_hours(events: pd.DataFrame, clock_h: dict[str, Float64Array]) -> pd.DataFrame:
    """Convert table ``events`` from frames to hours; events with p below 0.5 are left out.

    Parameters
    ----------
    events : pandas.DataFrame
        Table ``events``.
    clock_h : dict of str to (n_frames,) float64
        Hours of every frame by position; an unknown position counts from 0.

    Returns
    -------
    pandas.DataFrame
        :data:`~cicimage.evaluation.sides.EVENT_COLUMNS`; an entry lies midway between the frames that hold it.
    """
    rows = events[events["p"] >= 0.5].reset_index(drop=True)

    def hours(column: str) -> Float64Array:
        clock = [clock_h.get(str(p), np.zeros(1)) for p in rows["position"]]
        frames = rows[column].to_numpy(np.float64)
        return np.array(
            [c[min(int(f), len(c) - 1)] if np.isfinite(f) else np.nan for c, f in zip(clock, frames, strict=True)],
            dtype=np.float64,
        )

    entry, after = hours("entry_frame"), hours("entry_after_frame")
    return pd.DataFrame(
        {
            "position": rows["position"], "guest_id": rows["guest_id"], "host_id": rows["host_id"],
            "start_h": hours("start_frame"), "entry_h": np.where(np.isfinite(after), (entry + after) / 2, entry),
            "end_h": hours("end_frame"), "end_reason": rows["end_reason"], "score": rows["score"],
            "excluded_reason": rows["excluded_reason"], "prevalent": rows["prevalent"], "in_view": True,
        }
    )  # fmt: skip


def read_scenario(folder: Path) -> dict[str, Any]:
    """The scenario of a simulated truth folder; empty where there is none."""
    path = Path(folder) / "scenario.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}
