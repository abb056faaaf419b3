"""Person-time and events from before time zero (drug or co-culture start) count nowhere.

The clock of a position
-----------------------
Hosts carry frame numbers, no hours, and a host may be filmed before the first guest is added. The hours of frames
therefore come from table ``qc``, which has every frame that was read whether or not it shows a cell, joined with
``cells`` and ``frames``, which fill gaps of what could not be read.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from cicimage.arrays import Float64Array
from cicimage.errors import CicimageError
from cicimage.person_time import adjacent_steps, counted_in
from cicimage.statistics.tallies import counted_events

EPS_H: Final = 1e-9
"""A frame this close before time zero is at time zero: hours are differences of floating-point numbers."""
_GUEST: Final = ["position", "guest_id"]
_HOST: Final = ["position", "host_id"]


class Watched(NamedTuple):
    """The tables of those names from time zero on."""

    events: pd.DataFrame
    guests: pd.DataFrame
    hosts: pd.DataFrame
    frames: pd.DataFrame


def clock_of(*tables: pd.DataFrame) -> pd.DataFrame:
    """Hours of every frame that one of the tables knows.

    Parameters
    ----------
    *tables : pandas.DataFrame
        Tables with position, frame and time_h (hours since time zero), such as ``qc``, ``cells`` and ``frames``.

    Returns
    -------
    pandas.DataFrame
        position, frame, time_h, one row a frame, in order.
    """
    key = ["position", "frame"]
    parts = [t[[*key, "time_h"]].drop_duplicates(key) for t in tables if len(t)]
    if not parts:
        return pd.DataFrame({"position": pd.Series([], dtype=object), "frame": np.int64(), "time_h": np.float64()})
    return pd.concat(parts, ignore_index=True).drop_duplicates(key).sort_values(key, kind="stable", ignore_index=True)


def first_frames(clock: pd.DataFrame) -> pd.Series:
    """First frame from time zero on, of the positions that were filmed before it.

    Parameters
    ----------
    clock : pandas.DataFrame
        position, frame, time_h.

    Returns
    -------
    pandas.Series of float
        By position; infinite where the movie ended before time zero. Positions filmed from time zero on are not in it.
    """
    early = clock["time_h"] < -EPS_H
    since = clock[~early].groupby("position")["frame"].min()
    return (
        since.reindex(pd.Index(clock.loc[early, "position"].unique(), name="position"))
        .astype(np.float64)
        .fillna(np.inf)
    )


def since_time_zero(
    events: pd.DataFrame,
    guests: pd.DataFrame,
    hosts: pd.DataFrame,
    frames: pd.DataFrame,
    clock: pd.DataFrame | None = None,
) -> Watched:
    """Cut everything at time zero where a movie began before it, as if it had begun at time zero.

    Parameters
    ----------
    events, guests, hosts, frames : pandas.DataFrame
        Tables of those names.
    clock : pandas.DataFrame, optional
        position, frame, time_h of every frame, from :func:`clock_of`. Where it is not given the hours of ``frames``
        are used, which must then reach back to the first frame of every host.

    Returns
    -------
    Watched
        Positions filmed from time zero on are unchanged. In the others:

        - ``frames`` from time zero on;
        - guests and hosts first seen before time zero begin with the first frame from time zero on, and their hours
          count from there (a frame stands for half of the step before it and half of the step after it); those gone
          before it are left out; those dead by then are dead when first seen, which is no death watched;
        - ``n_guests_max`` and ``n_entries`` of these hosts count what was seen from time zero on;
        - events that ended before time zero are left out; entries not watched from time zero on are prevalent.

    Raises
    ------
    CicimageError
        A host was seen in frames whose hours nobody knows.
    """
    clock = clock_of(frames) if clock is None else clock
    _require_clock_of_hosts(hosts, clock)
    begins = first_frames(clock)
    if begins.empty:
        return Watched(events, guests, hosts, frames)
    kept = frames_since_time_zero(frames)
    new_events = _events(events, kept, begins)
    return Watched(
        new_events, _guests(guests, kept, clock, begins), _hosts(hosts, new_events, kept, clock, begins), kept
    )


def frames_since_time_zero(frames: pd.DataFrame) -> pd.DataFrame:
    """Rows of table ``frames`` from time zero on; the table itself where there are no others."""
    early = frames["time_h"] < -EPS_H
    return frames[~early].reset_index(drop=True) if early.any() else frames


def _require_clock_of_hosts(hosts: pd.DataFrame, clock: pd.DataFrame) -> None:
    """Refuse hosts that were seen before the clock begins: whether that was before time zero nobody could say."""
    known_from = hosts["position"].map(clock.groupby("position")["frame"].min())
    unknown = hosts[known_from.isna() | (hosts["first_frame"] < known_from)]
    if len(unknown):
        _refuse(unknown.iloc[0], int(unknown["first_frame"].iloc[0]))


def _refuse(host: pd.Series, frame: int) -> None:
    raise CicimageError(
        f"host {host['host_id']} of position {host['position']!r}: the hours of its frames must be known to cut them "
        f"at time zero, and those of frame {frame} are not; give the clock of all frames (tables qc and cells)"
    )


def _events(events: pd.DataFrame, frames: pd.DataFrame, begins: pd.Series) -> pd.DataFrame:
    begin = events["position"].map(begins)
    alive = events[begin.isna() | (events["end_frame"] >= begin)]
    begin = begin[alive.index]
    entered = alive["entry_frame"].notna() & begin.notna() & ~alive["prevalent"].astype(bool)
    now_prevalent = entered & ~_entry_watched(alive, frames, begin)
    return alive.assign(
        prevalent=alive["prevalent"].astype(bool) | now_prevalent, brief=alive["brief"].astype(bool) & ~now_prevalent
    )


def _entry_watched(events: pd.DataFrame, frames: pd.DataFrame, begin: pd.Series) -> pd.Series:
    """Whether the guest was seen from time zero on before it went in: the rule of :mod:`cicimage.events`.

    It was seen outside (``entry_after_frame``), entering, or where it was before in any resolved frame.
    """
    entry = events["entry_frame"]
    entering = (events["start_frame"] < entry) & (entry - 1 >= begin)
    resolved = frames[frames["observed"].astype(bool) & (frames["location"] != "unresolved")]
    first = resolved.groupby(_GUEST)["frame"].min().reindex(pd.MultiIndex.from_frame(events[_GUEST]))
    return (events["entry_after_frame"] >= begin) | entering | (first.to_numpy(np.float64) < entry)


def _guests(guests: pd.DataFrame, frames: pd.DataFrame, clock: pd.DataFrame, begins: pd.Series) -> pd.DataFrame:
    begin = guests["position"].map(begins)
    still_there = pd.MultiIndex.from_frame(guests[_GUEST]).isin(pd.MultiIndex.from_frame(frames[_GUEST]))
    out = guests[begin.isna() | still_there]
    early = out["first_frame"] < begin[out.index]
    cut = out[early]
    if cut.empty:
        return out.reset_index(drop=True)
    first = begin[cut.index].astype(np.int64)
    hours = _hours_by_state(frames, cut.assign(first_frame=first), clock)
    changed: dict[str, Any] = {
        **{str(name): hours[name].to_numpy(np.float64) for name in hours if name in out}, "first_frame": first,
        "death_frame": cut["death_frame"].clip(lower=first),
    }  # fmt: skip
    return _with(out, early, changed)


def _hours_by_state(frames: pd.DataFrame, guests: pd.DataFrame, clock: pd.DataFrame) -> pd.DataFrame:
    """Hours of some guests by state from their first frame on, one row a guest in their order.

    A step counts for the frames at its ends whether or not the next frame is in the table: rows that a reviewer
    excluded are not, and their hours must not fall to the rows around them.
    """
    clock = adjacent_steps(clock)
    rows = frames.merge(guests[[*_GUEST, "first_frame", "last_frame"]], on=_GUEST)
    rows = rows.merge(clock[["position", "frame", "before_h", "after_h"]], on=["position", "frame"], how="left")
    hours = rows["before_h"].where(rows["frame"] > rows["first_frame"], 0.0)
    hours = (hours + rows["after_h"].where(rows["frame"] < rows["last_frame"], 0.0)) / 2
    counted = counted_in(rows["location"], rows["viability"])
    parts = pd.DataFrame({name: np.where(where, hours, 0.0) for name, where in counted.items()})
    sums = parts.groupby([rows["position"], rows["guest_id"]]).sum()
    return sums.reindex(pd.MultiIndex.from_frame(guests[_GUEST]))


def _hosts(
    hosts: pd.DataFrame, events: pd.DataFrame, frames: pd.DataFrame, clock: pd.DataFrame, begins: pd.Series
) -> pd.DataFrame:
    begin = hosts["position"].map(begins)
    out = hosts[begin.isna() | (hosts["last_frame"] >= begin)]
    early = out["first_frame"] < begin[out.index]
    cut = out[early]
    if cut.empty:
        return out.reset_index(drop=True)
    first = begin[cut.index].astype(np.int64)
    stop = cut["death_frame"].fillna(cut["last_frame"]).clip(lower=first).astype(np.int64)
    hours = _times(cut, stop, clock) - _times(cut, first, clock)
    key = pd.MultiIndex.from_frame(cut[_HOST])
    inside = frames[frames["location"] == "inside"]
    most = inside.groupby([*_HOST, "frame"]).size().groupby(_HOST).max()
    entries = counted_events(events, min_p=0.0).groupby(_HOST).size()
    changed: dict[str, Any] = {
        "first_frame": first, "hours": hours, "death_frame": cut["death_frame"].clip(lower=first),
        "n_guests_max": most.reindex(key, fill_value=0).to_numpy(np.int64),
        "n_entries": entries.reindex(key, fill_value=0).to_numpy(np.int64),
    }  # fmt: skip
    return _with(out, early, changed)


def _times(hosts: pd.DataFrame, frame: pd.Series, clock: pd.DataFrame) -> Float64Array:
    times = clock.set_index(["position", "frame"])["time_h"]
    hours = times.reindex(pd.MultiIndex.from_arrays([hosts["position"], frame])).to_numpy(np.float64)
    if np.isnan(hours).any():
        at = int(np.flatnonzero(np.isnan(hours))[0])
        _refuse(hosts.iloc[at], int(frame.iloc[at]))
    return hours


def _with(table: pd.DataFrame, rows: pd.Series, values: dict[str, Any]) -> pd.DataFrame:
    """The table with other values in some rows, dtypes kept."""
    out = table.copy()
    for name, value in values.items():
        out.loc[rows, name] = value
    return out.reset_index(drop=True)
