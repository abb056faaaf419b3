"""Person-time, rates and ratios of a run compared with those of the truth of the same movies.

True events and hours are counted into tables of a run, so that the same estimators apply to both: the difference is the
error of detection and scoring, not of another formula. Pooled counts over pooled hours, which need no estimator, are
given as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from cicimage.arrays import Float64Array
from cicimage.evaluation.occurrences import sampled_events
from cicimage.evaluation.sides import Measured, Truth, credited_hours, frame_hours
from cicimage.statistics.comparisons import compare
from cicimage.statistics.rates import compute_rates
from cicimage.tables import EVENTS, FRAMES, GUESTS, HOSTS, conform, empty

OUTSIDE: Final = ("free", "attached", "entering")
CONTACT: Final = ("attached", "entering", "unresolved")
STATES: Final = ("outside_alive", "contact", "inside_alive", "unresolved")
BIAS: Final = 0.1
"""Relative error of person-time above which it is reported as a fault."""


def truth_tables(truth: Truth, layout: pd.DataFrame, sampled: pd.DataFrame | None = None) -> dict[str, pd.DataFrame]:
    """Tables ``frames``, ``events``, ``guests`` and ``hosts`` as a run without error would have written them.

    Parameters
    ----------
    truth : Truth
        Positions that are not in the layout are left out.
    layout : pandas.DataFrame
        position, condition, replicate, donor; ``time_zero_h`` where the runs have one.
    sampled : pandas.DataFrame, optional
        :func:`~cicimage.evaluation.occurrences.sampled_events` of the same truth, where it is at hand.

    Returns
    -------
    dict
        The four tables, and ``rates`` and ``rates_by_replicate`` computed from them.
    """
    design = layout.set_index("position")[["condition", "replicate", "donor"]]
    frames = truth.frames[truth.frames["position"].isin(design.index)].reset_index(drop=True)
    if "beyond" in frames:  # of what lies out of view nobody counts the hours
        frames = frames[frames["beyond"] != True].reset_index(drop=True)  # noqa: E712 - unknown where it is not asked
    if not len(frames):
        nothing = {"frames": empty(FRAMES), "events": empty(EVENTS), "guests": empty(GUESTS), "hosts": empty(HOSTS)}
        return _with_rates(nothing, layout, truth)
    hours = frame_hours(frames["position"], frames["frame"], truth.clock_h)
    inside = (frames["location"] == "inside").astype(float)
    frames = frames.assign(
        time_h=hours, label=frames["guest_id"], observed=True, p_inside=inside,
        p_dead=(frames["viability"] == "dead").astype(float),
    )  # fmt: skip
    guests = _guests(frames, truth.clock_h).join(design, on="position")
    events = _events(sampled_events(truth) if sampled is None else sampled, truth, frames).join(design, on="position")
    hosts = _hosts(truth, design.index).join(design, on="position")
    kept = frames.drop(columns=[c for c in frames.columns if c not in FRAMES.by_name])
    tables = {
        "frames": conform(FRAMES, kept), "events": conform(EVENTS, events) if len(events) else empty(EVENTS),
        "guests": conform(GUESTS, guests), "hosts": conform(HOSTS, hosts) if len(hosts) else empty(HOSTS),
    }  # fmt: skip
    return _with_rates(tables, layout, truth)


def _with_rates(tables: dict[str, pd.DataFrame], layout: pd.DataFrame, truth: Truth) -> dict[str, pd.DataFrame]:
    """The tables with rates of what lies from the layout's time zero on, as a run counts them."""
    clock = pd.concat(
        [
            pd.DataFrame({"position": p, "frame": np.arange(len(h)), "time_h": h}).astype({"position": object})
            for p, h in truth.clock_h.items()
        ]
        or [pd.DataFrame({"position": [], "frame": [], "time_h": []})]
    )
    frames = tables["frames"]
    if "time_zero_h" in layout and not truth.from_time_zero:
        zero_h = layout.set_index("position")["time_zero_h"]
        frames, clock = (
            t.assign(time_h=t["time_h"] - t["position"].map(zero_h).fillna(0.0).astype(np.float64))
            for t in (frames, clock)
        )
    tables = {**tables, "frames": frames}
    rates, by_replicate = compute_rates(
        tables["events"], tables["guests"], tables["hosts"], frames, layout, clock=clock
    )
    return {**tables, "rates": rates, "rates_by_replicate": by_replicate}


def _guests(frames: pd.DataFrame, clock_h: Mapping[str, Float64Array]) -> pd.DataFrame:
    rows = frames.sort_values(["position", "guest_id", "frame"], kind="stable").reset_index(drop=True)
    credit = credited_hours(rows, clock_h)
    living = (rows["viability"] != "dead").to_numpy()
    location = rows["location"]
    for name, where in (
        ("hours_outside_alive", location.isin(OUTSIDE)), ("hours_contact", location.isin(CONTACT)),
        ("hours_inside_alive", location == "inside"), ("hours_unresolved", location == "unresolved"),
        ("hours_at_risk_entry", location.isin(OUTSIDE) & (rows["viability"] != "dying")),
    ):  # fmt: skip
        rows[name] = np.where(where.to_numpy() & living, credit, 0.0)
    rows["dead_frame"] = rows["frame"].where(~living)
    before = location.groupby([rows["position"], rows["guest_id"]]).shift()
    rows["died_at"] = before.where(~living & rows["dead_frame"].notna())
    names = [c for c in rows.columns if c.startswith("hours_")]
    out = rows.groupby(["position", "guest_id"], as_index=False).agg(
        first_frame=("frame", "min"), last_frame=("frame", "max"), death_frame=("dead_frame", "min"),
        died_at=("died_at", "first"), parent_id=("parent_id", "max"), **{n: (n, "sum") for n in names},
    )  # fmt: skip
    last = out["position"].map({p: len(c) - 1 for p, c in clock_h.items()})
    out["end_reason"] = np.where(
        out["death_frame"].notna(), "death", np.where(out["last_frame"] == last, "movie_end", "edge")
    )
    out["start_reason"] = np.where(out["first_frame"] == 0, "movie_start", "edge")
    where_died = out["died_at"].where(out["died_at"].isin(["inside", "unresolved"]), "outside")
    out["death_location"] = where_died.where(out["death_frame"].notna(), "")
    return out.assign(n_events=0)


def _events(events: pd.DataFrame, truth: Truth, frames: pd.DataFrame) -> pd.DataFrame:
    events = events[events["position"].isin(set(frames["position"])) & events["in_view"].astype(bool)]
    shown = events["first_inside"].notna() | (events["n_entering"] > 0)
    places = frames.set_index(["position", "guest_id", "frame"])[["y_um", "x_um"]]
    rows: list[dict[str, Any]] = []
    for event in events[shown].to_dict("records"):
        clock = truth.clock_h[str(event["position"])]
        start = int(np.clip(np.searchsorted(clock, event["start_h"]), 0, len(clock) - 1))
        end = int(np.clip(np.searchsorted(clock, event["end_h"] + 1e-9) - 1, 0, len(clock) - 1))
        entered = np.isfinite(event["first_inside"])
        first = int(event["first_inside"]) if entered else start
        at = places.index.isin([(event["position"], event["guest_id"], first)])
        place = places[at].iloc[0] if at.any() else pd.Series({"y_um": 0.0, "x_um": 0.0})
        rows.append(
            {
                "position": event["position"], "guest_id": int(event["guest_id"]), "host_id": int(event["host_id"]),
                "start_frame": min(start, first), "entry_frame": float(first) if entered else np.nan,
                "entry_after_frame": float(first - 1) if entered and event["watched"] else np.nan,
                "end_frame": max(end, first), "end_reason": event["end_reason"], "score": event["score"],
                "excluded_reason": event["excluded_reason"], "outcome_known": True, "p": 1.0,
                "y_um": float(place["y_um"]), "x_um": float(place["x_um"]),
                "prevalent": bool(entered and not event["watched"]), "brief": bool(entered and not event["lasting"]),
                "reviewed": False, "event_id": f"{event['position']}#{len(rows) + 1}",
            }
        )  # fmt: skip
    return pd.DataFrame(rows, columns=[c.name for c in EVENTS.columns if c.name not in _DESIGN])


_DESIGN: Final = ("condition", "replicate", "donor")


def _hosts(truth: Truth, positions: pd.Index) -> pd.DataFrame:
    rows = truth.hosts[truth.hosts["position"].isin(positions)].reset_index(drop=True)
    if not len(rows):
        return pd.DataFrame(columns=[c.name for c in HOSTS.columns if c.name not in _DESIGN])
    rows["credit"] = np.where(rows["viability"] != "dead", credited_hours(rows, truth.clock_h, "host_id"), 0.0)
    rows["dead_frame"] = rows["frame"].where(rows["viability"] == "dead")
    held = truth.frames[truth.frames["location"] == "inside"]
    most = held.groupby(["position", "host_id", "frame"]).size().groupby(["position", "host_id"]).max()
    out = rows.groupby(["position", "host_id"], as_index=False).agg(
        first_frame=("frame", "min"), last_frame=("frame", "max"), hours=("credit", "sum"),
        death_frame=("dead_frame", "min"),
    )  # fmt: skip
    key = pd.MultiIndex.from_frame(out[["position", "host_id"]])
    out["n_guests_max"] = most.reindex(key, fill_value=0).to_numpy()
    return out.assign(end_reason="movie_end", n_entries=0, parent_id=0)


def person_time(guests: pd.DataFrame, guests_true: pd.DataFrame, condition_of: Mapping[str, str]) -> pd.DataFrame:
    """Compare the hours by state that a run counted with the true ones, per condition and over all.

    Parameters
    ----------
    guests, guests_true : pandas.DataFrame
        Table ``guests`` of the run, and of :func:`truth_tables`.
    condition_of : mapping of str to str
        Condition by position; other positions are left out.

    Returns
    -------
    pandas.DataFrame
        condition, state, hours_true, hours, ratio, biased (further off than ten per cent where the truth has an hour
        or more).
    """
    rows = []
    for condition in ["all", *dict.fromkeys(condition_of.values())]:
        here = [p for p, c in condition_of.items() if condition in ("all", c)]
        for state in STATES:
            name = f"hours_{state}"
            true = float(guests_true.loc[guests_true["position"].isin(here), name].sum())
            found = float(guests.loc[guests["position"].isin(here), name].sum())
            ratio = found / true if true else float("nan")
            biased = true >= 1.0 and abs(ratio - 1.0) > BIAS
            rows.append({"condition": condition, "state": state, "hours_true": true, "hours": found,
                         "ratio": ratio, "biased": biased})  # fmt: skip
    return pd.DataFrame(rows)


def compare_rates(measured: Measured, tables_true: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Compare the rates of a run with those that the same estimators give on the truth of the same movies.

    Parameters
    ----------
    measured : Measured
        The run.
    tables_true : mapping of str to pandas.DataFrame
        Result of :func:`truth_tables`.

    Returns
    -------
    pandas.DataFrame
        estimand, condition, estimate, ci_low, ci_high, truth, ratio (estimate over truth), covered (the truth lies
        within the interval), events, events_true, exposure_h, exposure_true_h, pooled and pooled_truth (events over
        exposure), method.
    """
    wanted = ["estimand", "condition", "estimate", "events", "exposure_h"]
    both = measured.tables["rates"].merge(
        tables_true["rates"][wanted].rename(columns={"estimate": "truth"}),
        on=["estimand", "condition"],
        suffixes=("", "_true"),
    )
    both["ratio"] = both["estimate"] / both["truth"].where(both["truth"] != 0)
    both["covered"] = (both["ci_low"] <= both["truth"] + 1e-12) & (both["truth"] <= both["ci_high"] + 1e-12)
    both["pooled"] = both["events"] / both["exposure_h"].where(both["exposure_h"] > 0)
    both["pooled_truth"] = both["events_true"] / both["exposure_h_true"].where(both["exposure_h_true"] > 0)
    both = both.rename(columns={"exposure_h_true": "exposure_true_h"})
    return both[[
        "estimand", "condition", "estimate", "ci_low", "ci_high", "truth", "ratio", "covered", "events", "events_true",
        "exposure_h", "exposure_true_h", "pooled", "pooled_truth", "method",
    ]]  # fmt: skip


def compare_ratios(measured: Measured, tables_true: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Compare a run's ratios to the reference with those of the truth of the same movies.

    In a null scenario this truth, not 1, is what a ratio is compared with: chance moves the true counts too.

    Parameters
    ----------
    measured : Measured
        The run.
    tables_true : mapping of str to pandas.DataFrame
        Result of :func:`truth_tables`.

    Returns
    -------
    pandas.DataFrame
        estimand, condition, reference, ratio, ci_low, ci_high, p_value, truth, error (ratio over truth), covered,
        method; empty where the reference was not evaluated.
    """
    columns = ["estimand", "condition", "reference", "ratio", "ci_low", "ci_high", "p_value", "truth", "error",
               "covered", "method"]  # fmt: skip
    found = measured.tables["comparisons"]
    if measured.reference not in set(measured.layout["condition"]) or not len(found):
        return pd.DataFrame({c: [] for c in columns})
    true = compare(tables_true["rates_by_replicate"], measured.reference, measured.layout)
    both = found.merge(
        true[["estimand", "condition", "ratio"]].rename(columns={"ratio": "truth"}), on=["estimand", "condition"]
    )
    both["error"] = both["ratio"] / both["truth"].where(both["truth"] != 0)
    both["covered"] = (both["ci_low"] <= both["truth"] + 1e-12) & (both["truth"] <= both["ci_high"] + 1e-12)
    return both[columns]
