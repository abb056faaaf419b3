"""Histories of guests and hosts: hours by state, fates and events, one row a cell."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from cicimage.events.fates import fates_of, first_dead, host_deaths
from cicimage.methods import Observations
from cicimage.person_time import counted_in, credited_hours

GUEST_COLUMNS: Final = (
    "guest_id", "first_frame", "last_frame", "start_reason", "end_reason", "death_frame", "death_location", "n_events",
    "hours_outside_alive", "hours_contact", "hours_inside_alive", "hours_unresolved", "parent_id",
    "hours_at_risk_entry", "hours_unknown_viability",
)  # fmt: skip
HOST_COLUMNS: Final = (
    "host_id", "first_frame", "last_frame", "end_reason", "hours", "death_frame", "n_guests_max", "n_entries",
    "parent_id",
)  # fmt: skip


def guest_histories(frames: pd.DataFrame, observations: Observations, events: pd.DataFrame) -> pd.DataFrame:
    """Hours of every guest by state.

    Parameters
    ----------
    frames : pandas.DataFrame
        Table ``frames`` as scored.
    observations : Observations
        Where the fates come from.
    events : pandas.DataFrame
        What :func:`cicimage.events.episodes.find_events` found.

    Returns
    -------
    pandas.DataFrame
        Columns of table ``guests`` but the design, and ``hours_at_risk_entry`` (outside, not dying, not dead) and
        ``hours_unknown_viability`` (counted as alive though no marker could tell).

    Notes
    -----
    Time after the first dead frame counts nowhere. A frame is credited with half of the true time steps around
    it, so irregular intervals and pauses are counted as they were.
    """
    if not len(frames):
        return pd.DataFrame(columns=list(GUEST_COLUMNS))
    ordered = frames.sort_values(["guest_id", "frame"], kind="stable")
    fates = fates_of(observations.frames, "guest_id", observations.n_frames, first_dead(ordered))
    counts = events["guest_id"].value_counts() if len(events) else pd.Series(dtype="int64")
    rows = []
    for guest, part in ordered.groupby("guest_id"):
        fate = fates[int(str(guest))]
        location = part["location"].to_numpy(object)
        died = np.searchsorted(part["frame"].to_numpy(), fate.death_frame) if fate.death_frame >= 0 else -1
        rows.append({
            "guest_id": fate.cell_id, "first_frame": fate.first_frame, "last_frame": fate.last_frame,
            "start_reason": fate.start_reason, "end_reason": fate.end_reason,
            "death_frame": float(fate.death_frame) if fate.death_frame >= 0 else np.nan,
            "death_location": _death_location(location, int(died)), "parent_id": fate.parent_id,
            "n_events": int(counts.get(fate.cell_id, 0)), **_hours(part),
        })  # fmt: skip
    return pd.DataFrame(rows, columns=list(GUEST_COLUMNS))


def _hours(part: pd.DataFrame) -> dict[str, float]:
    """Hours of one guest by state."""
    hours = credited_hours(part["time_h"].to_numpy(np.float64))
    counted = counted_in(part["location"], part["viability"])
    return {name: float(hours[where].sum()) for name, where in counted.items()}


def _death_location(location: npt.NDArray[np.object_], died: int) -> str:
    """Where it was in the last frame before the first dead one; a guest dead from the start where it is."""
    if died < 0:
        return ""
    at = str(location[max(0, died - 1)])
    return at if at in ("inside", "unresolved") else "outside"


def host_histories(frames: pd.DataFrame, observations: Observations, events: pd.DataFrame) -> pd.DataFrame:
    """Hours, deaths and guests of every host.

    Returns
    -------
    pandas.DataFrame
        Columns of table ``hosts`` but the design. ``n_entries`` counts completed entries that were watched, not
        brief, of guests alive when they went in.
    """
    hosts = observations.hosts
    if not len(hosts):
        return pd.DataFrame(columns=list(HOST_COLUMNS))
    fates = fates_of(hosts, "host_id", observations.n_frames, host_deaths(hosts))
    inside = frames[frames["location"] == "inside"] if len(frames) else frames
    most = inside.groupby(["host_id", "frame"]).size().groupby("host_id").max() if len(inside) else pd.Series(dtype=int)
    entries = pd.Series(dtype=int)
    if len(events):
        done = events[events["entry_frame"].notna() & ~events["prevalent"].astype(bool) & ~events["brief"].astype(bool)]
        entries = done[done["excluded_reason"] == ""]["host_id"].value_counts()
    rows: list[dict[str, Any]] = []
    for fate in fates.values():
        stop = fate.death_frame if fate.death_frame >= 0 else fate.last_frame
        hours = float(observations.time_h[stop] - observations.time_h[fate.first_frame])
        rows.append({
            "host_id": fate.cell_id, "first_frame": fate.first_frame, "last_frame": fate.last_frame,
            "end_reason": fate.end_reason, "hours": hours,
            "death_frame": float(fate.death_frame) if fate.death_frame >= 0 else np.nan,
            "n_guests_max": int(most.get(fate.cell_id, 0)), "n_entries": int(entries.get(fate.cell_id, 0)),
            "parent_id": fate.parent_id,
        })  # fmt: skip
    return pd.DataFrame(rows, columns=list(HOST_COLUMNS))
