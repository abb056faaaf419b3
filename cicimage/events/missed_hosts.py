"""Pairs that have no row although the guest was over the host: the host was not detected in that frame.

A guest without a row in table ``pairs`` has no host near, as far as the masks show. Where the host was missed, the
masks show nothing, and the guest must not be taken for one that is free.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from cicimage.arrays import Float64Array
from cicimage.events.fates import fates_of, host_deaths
from cicimage.methods import Observations

KEYS: Final = ("guest_id", "host_id", "frame")
COVERED: Final = 0.5
"""Share of the footprint within a host's mask from which a guest lies over, under or in it."""
REACH_UM: Final = 4.0
"""Pairs further apart than this have no row: a guest gets there from over the host only by moving its own radius
and this."""


def with_missed_pairs(observations: Observations) -> Observations:
    """Add a row without evidence wherever a guest stays where a host covered it, but has no row with that host.

    Parameters
    ----------
    observations : Observations
        What the scorer sees.

    Returns
    -------
    Observations
        Rows are added to ``pairs`` from a frame in which the host covers the guest onwards, and backwards, frame by
        frame, for as long as the guest has not moved out of reach and one of these holds:

        ============================================ =========================================================
        the host                                     why the missing row tells nothing
        ============================================ =========================================================
        is seen before and after, not in this frame  it was missed here
        is not seen any more (or not yet)            its track was lost (found) while it covered the guest; a
                                                     host that died, divided or left the field is gone
        ============================================ =========================================================

        Where the host is seen and there is no row, the masks lie further apart than pairs are measured: the guest is
        not over it. Where another host covers the guest in that frame, its mask may have taken in the missed one:
        what was measured against it counts.
    """
    pairs, frames = observations.pairs, observations.frames
    if not len(pairs) or not len(frames) or "footprint_share" not in pairs:
        return observations
    added = _missed(pairs, _Guests(frames), _Hosts(observations))
    if not added:
        return observations
    rows = pd.DataFrame(added, columns=list(KEYS))
    rows["time_h"] = observations.time_h[rows["frame"].to_numpy()]
    if "position" in frames:
        rows["position"] = frames["position"].iloc[0]
    for name in pairs.columns.difference(rows.columns):
        rows[name] = 0 if pd.api.types.is_integer_dtype(pairs[name]) else np.nan
    rows = rows[pairs.columns].astype(pairs.dtypes)
    both = pd.concat([pairs, rows], ignore_index=True)
    both = both.sort_values(["frame", "guest_id", "host_id"], kind="stable", ignore_index=True)
    return Observations(**{**vars(observations), "pairs": both})


def may_cover(share: Float64Array, gap_um: Float64Array, least: float = COVERED) -> npt.NDArray[np.bool_]:
    """Whether a host covers a guest, or may cover it where the masks do not say.

    Parameters
    ----------
    share : (...) float64
        Share of the guest's footprint within the host; NaN where it is not known.
    gap_um : (...) float64
        Gap between both, um.
    least : float
        Share from which a host covers the guest.

    Examples
    --------
    >>> may_cover(np.array([1.0, 0.2, np.nan, np.nan]), np.array([0.0, 0.0, np.nan, 2.0])).tolist()
    [True, False, True, False]
    """
    out: npt.NDArray[np.bool_] = (share >= least) | (np.isnan(share) & ~(gap_um > 0))
    return out


class _Guests:
    """Places of the guests in the frames in which they are seen."""

    def __init__(self, frames: pd.DataFrame) -> None:
        seen = frames[frames["observed"].to_numpy(bool)]
        key = zip(seen["guest_id"].astype(int), seen["frame"].astype(int), strict=True)
        radius = np.sqrt(np.nan_to_num(seen["area_um2"].to_numpy(np.float64)) / np.pi)
        place = zip(seen["yd_um"].to_numpy(np.float64), seen["xd_um"].to_numpy(np.float64), radius, strict=True)
        self._at = dict(zip(key, place, strict=True))

    def stayed(self, guest: int, start: int, frame: int) -> bool:
        """Whether it is seen in ``frame``, within reach of where it was in ``start``."""
        before, now = self._at.get((guest, start)), self._at.get((guest, frame))
        if before is None or now is None:
            return False
        return bool(np.hypot(now[0] - before[0], now[1] - before[1]) <= REACH_UM + before[2])


class _Hosts:
    """Where hosts are seen, and how their tracks begin and end."""

    def __init__(self, observations: Observations) -> None:
        hosts = observations.hosts
        seen = hosts["observed"].to_numpy(bool) if "observed" in hosts else np.ones(len(hosts), bool)
        there = hosts[seen]
        self._seen = set(zip(there["host_id"].astype(int), there["frame"].astype(int), strict=True))
        self._fates = fates_of(hosts, "host_id", observations.n_frames, host_deaths(hosts))

    def missed(self, host: int, start: int, frame: int) -> bool:
        """Whether it may be there in ``frame`` though it is not seen, as it was in ``start``."""
        fate = self._fates.get(host)
        if fate is None:
            return False
        if frame > fate.last_frame:
            return fate.end_reason == "track_lost" and start == fate.last_frame
        if frame < fate.first_frame:
            return fate.start_reason == "appeared" and start == fate.first_frame
        return (host, frame) not in self._seen


def _missed(pairs: pd.DataFrame, guests: _Guests, hosts: _Hosts) -> list[tuple[int, int, int]]:
    """(guest, host, frame) of the rows that are missing."""
    covering = may_cover(pairs["footprint_share"].to_numpy(np.float64), pairs["gap_um"].to_numpy(np.float64))
    starts = list(zip(*(pairs[c].to_numpy(np.int64)[covering].tolist() for c in KEYS), strict=True))
    covered = {(guest, frame) for guest, _, frame in starts}
    added: set[tuple[int, int, int]] = set()
    for guest, host, start in starts:
        for step in (1, -1):
            frame = start + step
            while (
                (guest, frame) not in covered
                and guests.stayed(guest, start, frame)
                and hosts.missed(host, start, frame)
            ):
                added.add((guest, host, frame))
                frame += step
    return sorted(added)
