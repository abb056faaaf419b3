"""Hours and deaths of hosts with and without a guest inside."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cicimage.person_time import adjacent_steps


def host_time(hosts: pd.DataFrame, frames: pd.DataFrame) -> pd.DataFrame:
    """Split each host's watched hours by whether a guest was inside, and say whether one was when it died.

    Parameters
    ----------
    hosts, frames : pandas.DataFrame
        Tables of those names.

    Returns
    -------
    pandas.DataFrame
        position, host_id, hours_with, hours_without (of the living host), died_with, died_without (bool). A guest
        counts in whatever state it is. Ever having held a guest is no group: a host must live long enough to hold one.
    """
    key = ["position", "host_id"]
    out = hosts[[*key, "hours", "first_frame", "death_frame"]].copy()
    inside = frames.loc[(frames["location"] == "inside") & (frames["host_id"] > 0), [*key, "frame"]].drop_duplicates()
    clock = frames[["position", "frame", "time_h"]].drop_duplicates(["position", "frame"])
    clock = clock.sort_values(["position", "frame"], kind="stable")
    clock = adjacent_steps(clock)
    clock = clock.assign(step=(clock["before_h"] + clock["after_h"]) / 2)
    held = inside.merge(clock[["position", "frame", "step"]], on=["position", "frame"], how="left")
    held = held.merge(out[[*key, "death_frame"]], on=key, how="inner")
    living = held[held["death_frame"].isna() | (held["frame"] < held["death_frame"])]
    with_guest = living.groupby(key)["step"].sum()
    index = pd.MultiIndex.from_frame(out[key])
    hours = np.minimum(with_guest.reindex(index).fillna(0.0).to_numpy(np.float64), out["hours"].to_numpy(np.float64))
    at_death = held[(held["death_frame"] - held["frame"]).isin((0.0, 1.0))]
    with_at_death = index.isin(pd.MultiIndex.from_frame(at_death[key]))
    died = (out["death_frame"] > out["first_frame"]).to_numpy(bool)  # dead when first seen is no death watched
    return pd.DataFrame({
        "position": out["position"], "host_id": out["host_id"], "hours_with": hours,
        "hours_without": out["hours"].to_numpy(np.float64) - hours, "died_with": died & with_at_death,
        "died_without": died & ~with_at_death,
    })  # fmt: skip
