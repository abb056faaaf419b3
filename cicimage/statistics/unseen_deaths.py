"""Guests whose fate inside no marker told, and what tables look like had none or all of them died.

A marker that does not reach guests inside living hosts says nothing there. A guest that came out and reads alive was
alive all the while; one that comes out stained died somewhere in between. Of the others - inside at the end, lost
inside, their host lost - nobody knows: the least is that none died, the most that all did, as early as they could.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from cicimage.statistics.spells import in_order

KEY = ["position", "guest_id"]
ALIVE = ("alive", "dying")


def unknown_fates(frames: pd.DataFrame, *, unresolved_inside: bool = False) -> pd.DataFrame:
    """Guests that may have died unseen inside a host.

    Parameters
    ----------
    frames : pandas.DataFrame
        Table ``frames``.
    unresolved_inside : bool
        Whether unresolved frames count as inside.

    Returns
    -------
    pandas.DataFrame
        position, guest_id; ``from_frame``, the first frame inside that no marker told and after which the guest never
        reads alive; ``from_h`` its time; ``seen_dead``, whether it is stained later: then it died, and only when (and,
        with unread frames outside in between, where) is open. A guest of which that frame is the last, or that is
        stained in the very next, is left out: it leaves no time in which it could have died earlier.

    Examples
    --------
    >>> frames = pd.DataFrame({"position": "p", "guest_id": 1, "frame": range(4), "time_h": [0.0, 1.0, 2.0, 3.0],
    ...     "location": ["free", "inside", "inside", "inside"], "viability": ["alive"] + 3 * ["unknown"]})
    >>> unknown_fates(frames)[["from_frame", "from_h", "seen_dead"]].to_numpy().tolist()
    [[1, 1.0, False]]
    """
    rows = in_order(frames)
    guest = rows["first"].cumsum().to_numpy()
    order = np.arange(len(rows))
    last_alive = _by_guest(guest, order, rows["viability"].isin(ALIVE).to_numpy(), "max", -1)
    first_dead = _by_guest(guest, order, (rows["viability"] == "dead").to_numpy(), "min", len(rows))
    places = ("inside", "unresolved") if unresolved_inside else ("inside",)
    untold = (rows["viability"] == "unknown") & rows["location"].isin(places)
    open_ = untold.to_numpy() & (order > last_alive) & (order < first_dead)
    first = rows[open_].drop_duplicates(KEY)
    at = first.index.to_numpy()
    follows = at + 1 < len(rows)
    follows[follows] = guest[at[follows] + 1] == guest[at[follows]]
    seen = first_dead[at] < len(rows)
    keep = follows & (first_dead[at] != at + 1)
    out = first.assign(seen_dead=seen)[keep].rename(columns={"frame": "from_frame", "time_h": "from_h"})
    fates: pd.DataFrame = out[[*KEY, "from_frame", "from_h", "seen_dead"]].reset_index(drop=True)
    return fates


def _by_guest(
    guest: npt.NDArray[np.int64], order: npt.NDArray[np.int64], where: npt.NDArray[np.bool_], how: str, none: int
) -> npt.NDArray[np.int64]:
    """First or last row of each guest at which something holds, repeated over its rows; ``none`` where nowhere."""
    found = pd.Series(order[where]).groupby(guest[where]).agg(how)
    return found.reindex(guest).fillna(none).to_numpy(np.int64)


def had_none_died(frames: pd.DataFrame) -> pd.DataFrame:
    """Table ``frames`` as it would be had none of unknown fate died: the fewest deaths over the most hours inside.

    Parameters
    ----------
    frames : pandas.DataFrame
        Table ``frames``.

    Returns
    -------
    pandas.DataFrame
        Ordered by guest; unresolved frames are inside, but for one that a death follows: that death is outside.
    """
    return _resolved(frames, alive="inside", dying="free")


def had_all_died(frames: pd.DataFrame) -> pd.DataFrame:
    """Table ``frames`` as it would be had every guest of unknown fate died at the first chance.

    Parameters
    ----------
    frames : pandas.DataFrame
        Table ``frames``.

    Returns
    -------
    pandas.DataFrame
        Ordered by guest. Guests of unknown fate are inside in their first untold frame and dead from the next on;
        other unresolved frames are outside, but for one that a death follows: that death is inside.
    """
    fates = unknown_fates(frames, unresolved_inside=True)
    rows = _resolved(frames, alive="free", dying="inside")
    since = rows[KEY].merge(fates[[*KEY, "from_frame"]], on=KEY, how="left")["from_frame"].to_numpy(np.float64)
    frame = rows["frame"].to_numpy(np.float64)
    return rows.assign(
        location=rows["location"].mask(frame == since, "inside"),
        viability=rows["viability"].mask(frame > since, "dead"),
    )


def _resolved(frames: pd.DataFrame, *, alive: str, dying: str) -> pd.DataFrame:
    """Unresolved frames put in one place, those just before a death in another."""
    rows = in_order(frames)
    dies = (rows["viability"].shift(-1) == "dead") & ~rows["first"].shift(-1, fill_value=True)
    place = np.where(dies & (rows["viability"] != "dead"), dying, alive)
    location = rows["location"].astype(object)
    return rows.assign(location=location.mask(location == "unresolved", pd.Series(place, index=rows.index)))


def hours_in_doubt(frames: pd.DataFrame, fates: pd.DataFrame) -> pd.DataFrame:
    """Hours inside that guests of unknown fate would not have lived.

    Parameters
    ----------
    frames : pandas.DataFrame
        Table ``frames``.
    fates : pandas.DataFrame
        From :func:`unknown_fates`.

    Returns
    -------
    pandas.DataFrame
        position, guest_id, hours. A frame is credited with half of the time steps around it, as in table ``guests``.
    """
    if fates.empty:
        return pd.DataFrame({"position": pd.Series([], dtype=object), "guest_id": np.int64(0), "hours": 0.0})
    rows = in_order(frames.merge(fates[[*KEY, "from_frame"]], on=KEY))
    step = rows["time_h"].diff().mask(rows["first"], 0.0)
    hours = (step + step.shift(-1, fill_value=0.0)) / 2
    lost = (rows["frame"] > rows["from_frame"]) & (rows["location"] == "inside") & (rows["viability"] != "dead")
    return rows.assign(hours=hours)[lost].groupby(KEY)["hours"].sum().reset_index()
