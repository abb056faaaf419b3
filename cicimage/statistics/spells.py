"""Runs of one location in a guest's life, read from the frames table."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from cicimage.states import OUTSIDE

MIN_FRAMES: Final = 2
MIN_HOURS: Final = 10.0 / 60.0


def in_order(frames: pd.DataFrame) -> pd.DataFrame:
    """Rows by position, guest and frame, with ``first`` true where a guest begins."""
    out = frames.sort_values(["position", "guest_id", "frame"], kind="stable").reset_index(drop=True)
    same = (out["position"] == out["position"].shift()) & (out["guest_id"] == out["guest_id"].shift())
    return out.assign(first=~same)


def last_states(frames: pd.DataFrame) -> pd.DataFrame:
    """Where each guest was last: position, guest_id, location."""
    rows = frames.sort_values("frame", kind="stable").drop_duplicates(["position", "guest_id"], keep="last")
    return rows[["position", "guest_id", "location"]]


def contact_onsets(frames: pd.DataFrame) -> pd.DataFrame:
    """Frames in which a living guest that was free is free no longer."""
    rows = in_order(frames)
    was_free = (rows["location"].shift() == "free") & ~rows["first"]
    return rows[was_free & (rows["location"] != "free") & (rows["viability"] != "dead")]


def spells(frames: pd.DataFrame) -> pd.DataFrame:
    """Runs of one location of living guests.

    Returns
    -------
    pandas.DataFrame
        position, guest_id, location, before and after (locations of the neighbouring runs, empty at the ends or at
        death), start_h, end_h, start_frame, n_frames.
    """
    rows = in_order(frames)
    rows = rows[rows["viability"] != "dead"]
    rows = in_order(rows)
    new = rows["first"] | (rows["location"] != rows["location"].shift())
    run = new.cumsum()
    grouped = rows.groupby(run, sort=True)
    out = grouped.agg(
        position=("position", "first"), guest_id=("guest_id", "first"), location=("location", "first"),
        start_h=("time_h", "first"), end_h=("time_h", "last"), start_frame=("frame", "first"),
        n_frames=("frame", "size"),
    ).reset_index(drop=True)  # fmt: skip
    same_before = (out["position"] == out["position"].shift()) & (out["guest_id"] == out["guest_id"].shift())
    same_after = (out["position"] == out["position"].shift(-1)) & (out["guest_id"] == out["guest_id"].shift(-1))
    out["before"] = out["location"].shift().where(same_before, "")
    out["after"] = out["location"].shift(-1).where(same_after, "")
    return out


def possible_entries(frames: pd.DataFrame, entries: pd.DataFrame) -> pd.DataFrame:
    """Unresolved runs that would be completed entries were they inside.

    They begin after an outside state, last at least two frames and ten minutes, and are not followed by an inside run
    that is an entry of its own.
    """
    unresolved = frames["location"] == "unresolved"
    if not unresolved.any():
        none = {"position": object, "guest_id": np.int64, "start_h": np.float64}
        return pd.DataFrame({name: pd.Series([], dtype=dtype) for name, dtype in none.items()})
    mine = frames.loc[unresolved, ["position", "guest_id"]].drop_duplicates()
    runs = spells(frames.merge(mine, on=["position", "guest_id"]))
    long = (runs["n_frames"] >= MIN_FRAMES) & (runs["end_h"] - runs["start_h"] >= MIN_HOURS - 1e-9)
    found = runs[(runs["location"] == "unresolved") & runs["before"].isin(OUTSIDE) & long & (runs["after"] != "inside")]
    followed = runs[(runs["location"] == "unresolved") & runs["before"].isin(OUTSIDE) & (runs["after"] == "inside")]
    columns = ["position", "guest_id", "start_h"]
    if followed.empty:
        return found[columns]
    # the inside run behind may be no counted entry (brief, p < 0.5): then the whole stay is a possible one
    ends = followed.assign(entry_frame=(followed["start_frame"] + followed["n_frames"]).astype(np.float64))
    known = entries[["position", "guest_id", "entry_frame"]].drop_duplicates()
    ends = ends.merge(known, on=["position", "guest_id", "entry_frame"], how="left", indicator=True)
    missing = ends[ends["_merge"] == "left_only"]
    return pd.concat([found[columns], missing[columns]], ignore_index=True)
