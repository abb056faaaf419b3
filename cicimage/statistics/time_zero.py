"""Frames from before time zero (drug or co-culture start) count nowhere."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from cicimage.statistics.spells import in_order

_OUTSIDE: Final = ("free", "attached", "entering")


def since_time_zero(
    events: pd.DataFrame, guests: pd.DataFrame, frames: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Cut everything at time zero where a movie began before it.

    Parameters
    ----------
    events, guests, frames : pandas.DataFrame
        Tables of those names.

    Returns
    -------
    events, guests, frames : pandas.DataFrame
        Unchanged where no frame is earlier than time zero. Otherwise frames from time zero on; hours and first frames
        of the guests counted again over them (a frame stands for half the step before and half the step after it),
        guests without frames left out; entries before time zero marked prevalent, events ended before it left out.
    """
    if frames.empty or not (frames["time_h"] < 0).any():
        return events, guests, frames
    key = ["position", "guest_id"]
    kept = in_order(frames[frames["time_h"] >= 0]).drop(columns="first")
    hours = _hours(kept)
    new_guests = guests[pd.MultiIndex.from_frame(guests[key]).isin(hours.index)].reset_index(drop=True)
    new_hours = hours.loc[pd.MultiIndex.from_frame(new_guests[key])].reset_index(drop=True)
    new_guests = new_guests.assign(**{str(name): new_hours[name] for name in new_hours})
    # who died before time zero is then dead when first seen
    begun = kept.groupby(key)["frame"].min().loc[pd.MultiIndex.from_frame(new_guests[key])]
    new_guests = new_guests.assign(first_frame=begun.to_numpy(np.int64))
    first = kept.groupby("position")["frame"].min()
    begins = events["position"].map(first)
    alive = events[begins.notna() & (events["end_frame"] >= begins)]
    before = alive["entry_frame"] < alive["position"].map(first)
    return alive.assign(prevalent=alive["prevalent"].astype(bool) | before), new_guests, kept


def _hours(frames: pd.DataFrame) -> pd.DataFrame:
    grouped = frames.groupby(["position", "guest_id"], sort=False)["time_h"]
    hours = (grouped.diff().fillna(0.0) - grouped.diff(-1).fillna(0.0)) / 2
    living = frames["viability"] != "dead"
    outside, vague = frames["location"].isin(_OUTSIDE), frames["location"] == "unresolved"
    touching = frames["location"].isin(("attached", "entering")) | vague
    where = {
        "hours_outside_alive": outside, "hours_contact": touching,
        "hours_inside_alive": frames["location"] == "inside", "hours_unresolved": vague,
        "hours_at_risk_entry": outside & (frames["viability"] != "dying"),
    }  # fmt: skip
    parts = {name: np.where(living & mask, hours, 0.0) for name, mask in where.items()}
    table = pd.DataFrame(parts).assign(position=frames["position"].to_numpy(), guest_id=frames["guest_id"].to_numpy())
    return table.groupby(["position", "guest_id"]).sum()
