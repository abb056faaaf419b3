"""From locations over time to cell-in-cell events: one row per engulfment begun, completed or found under way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from cicimage.arrays import Float64Array, Int64Array
from cicimage.events.fates import Fate, fates_of, first_dead, host_deaths
from cicimage.events.timeline import lasts, runs
from cicimage.methods import Observations
from cicimage.states import TOUCHING

PERSISTENCE_MIN: Final = 10.0
PERSISTENCE_FRAMES: Final = 2
TIMED_WITHIN_H: Final = 12.0 / 60.0
"""A watched entry is believed as far as it lies within this of the time given, or within one frame where that is
longer."""
COLUMNS: Final = (
    "guest_id", "host_id", "start_frame", "entry_frame", "entry_after_frame", "end_frame", "end_reason", "score",
    "excluded_reason", "outcome_known", "p", "y_um", "x_um", "prevalent", "brief", "reviewed", "onset", "divided",
)  # fmt: skip

Text = npt.NDArray[np.object_]


@dataclass(frozen=True, eq=False)
class _Track:
    """One guest's scored rows in order of time."""

    frame: Int64Array
    time_h: Float64Array
    observed: npt.NDArray[np.bool_]
    location: Text
    viability: Text
    host: Int64Array
    p_inside: Float64Array
    p_entering: Float64Array
    y: Float64Array
    x: Float64Array
    reviewed: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class _World:
    """What an event's end may depend on besides its guest."""

    guests: dict[int, Fate]
    hosts: dict[int, Fate]
    persistence_min: float


def find_events(
    frames: pd.DataFrame, observations: Observations, *, persistence_min: float = PERSISTENCE_MIN
) -> pd.DataFrame:
    """Find the cell-in-cell events of one position.

    Parameters
    ----------
    frames : pandas.DataFrame
        Table ``frames`` as a scorer returned it.
    observations : Observations
        What the scorer saw: fates of guests and hosts come from it.
    persistence_min : float
        A stay must last max(2 frames, this) minutes to be a completed entry; shorter ones are ``brief``.

    Returns
    -------
    pandas.DataFrame
        Columns of table ``events`` but event_id and the design, and ``onset`` (how the event came into view:
        watched | movie_start | division | appeared) and ``divided`` (the guest divided inside: its daughters'
        events go on).

    Notes
    -----
    ========================== ============================================================================
    case                       row
    ========================== ============================================================================
    entering, then inside      one event, also over a silence; entry between ``entry_after_frame`` and ``entry_frame``
    entering, then out again   score entering, end aborted
    inside when first seen     prevalent: no entry was watched (movie start, daughter, track that appeared)
    inside again later         a further event
    shorter than persistence   brief, kept
    dead before it went in     excluded_reason dead_before_entry, no score
    unresolved or gap between  same host on both sides: part of the stay; at its rim: widens the entry interval
    outside for a moment       shorter than the persistence and touching the same host: part of the stay
    dead inside                end death, score dying
    host dies or is lost       end host_death or host_lost; the guest's later stays are events of their own
    track ends                 edge, track_lost (outcome not known) or movie_end
    ========================== ============================================================================
    """
    if not len(frames):
        return _empty()
    dead = first_dead(frames)
    world = _World(
        fates_of(observations.frames, "guest_id", observations.n_frames, dead),
        fates_of(observations.hosts, "host_id", observations.n_frames, host_deaths(observations.hosts)),
        persistence_min,
    )
    ordered = frames.sort_values(["guest_id", "frame"], kind="stable")
    begun = ordered["location"].isin(["inside", "entering"])
    rows: list[dict[str, Any]] = []
    for guest, part in ordered[ordered["guest_id"].isin(ordered.loc[begun, "guest_id"].unique())].groupby("guest_id"):
        rows += _events_of(int(str(guest)), _track(part), world)
    return pd.DataFrame(rows, columns=list(COLUMNS)) if rows else _empty()


def _empty() -> pd.DataFrame:
    return pd.DataFrame({c: pd.Series([], dtype=object) for c in COLUMNS}).astype(
        {
            "guest_id": "int64", "host_id": "int64", "start_frame": "int64", "end_frame": "int64",
            "entry_frame": "float64", "entry_after_frame": "float64", "p": "float64", "y_um": "float64",
            "x_um": "float64", "outcome_known": bool, "prevalent": bool, "brief": bool, "reviewed": bool,
            "divided": bool,
        }
    )  # fmt: skip


def _track(part: pd.DataFrame) -> _Track:
    reviewed = part["reviewed"].eq(True).to_numpy(bool) if "reviewed" in part else np.zeros(len(part), bool)
    entering = part["p_entering"] if "p_entering" in part else part["location"].eq("entering").astype(float) * 0.6
    return _Track(
        part["frame"].to_numpy(np.int64), part["time_h"].to_numpy(np.float64), part["observed"].to_numpy(bool),
        part["location"].to_numpy(object), part["viability"].to_numpy(object), part["host_id"].to_numpy(np.int64),
        part["p_inside"].to_numpy(np.float64), np.asarray(entering, dtype=np.float64),
        part["y_um"].to_numpy(np.float64), part["x_um"].to_numpy(np.float64), reviewed,
    )  # fmt: skip


def _events_of(guest: int, track: _Track, world: _World) -> list[dict[str, Any]]:
    """Events of one guest in order of time."""
    out = []
    claimed = np.zeros(len(track.frame), bool)
    for a, b in _stays(track, world):
        start = _begin_of(track, a, claimed)
        claimed[start : b + 1] = True
        out.append(_completed(guest, track, start, a, b, world))
    for a, b in runs((track.location == "entering") & ~claimed):
        out.append(_begun(guest, track, a, b, world))
    return sorted(out, key=lambda row: row["start_frame"])


def _begin_of(track: _Track, a: int, claimed: npt.NDArray[np.bool_]) -> int:
    """First row entering before a stay from row ``a``; rows of a silence in between are part of the entry."""
    start = a
    while start > 0:
        k = start - 1
        while k > 0 and (track.location[k] == "unresolved" or not track.observed[k]):
            k -= 1
        near = k == start - 1 or track.host[k] == track.host[a]
        if track.location[k] != "entering" or claimed[k:start].any() or not near:
            break
        start = k
    return start


def _stays(track: _Track, world: _World) -> list[tuple[int, int]]:
    """Stretches inside one host.

    Gaps and unresolved frames between two stretches in the same host join them, and so does a moment outside that
    is shorter than the persistence and never leaves the host: a guest that shows through is not one that left.
    """
    stays: list[tuple[int, int]] = []
    for a, b in _split_at_host_end(track, runs(track.location == "inside"), world):
        if stays:
            last = stays[-1][1]
            between = slice(last + 1, a)
            silent = np.isin(track.location[between], ["unresolved"]) | ~track.observed[between]
            near = np.isin(track.location[between], TOUCHING) & (track.host[between] == track.host[a])
            moment = bool(np.all(near | silent)) and not lasts(track.time_h, last + 1, a - 1, world.persistence_min)
            joined = a > last + 1 and (bool(np.all(silent)) or moment)
            if joined and _same_host(track.host[last], track.host[a], world):
                stays[-1] = (stays[-1][0], b)
                continue
        stays.append((a, b))
    return stays


def _split_at_host_end(track: _Track, stretches: list[tuple[int, int]], world: _World) -> list[tuple[int, int]]:
    """A stretch in which the host changes lastingly is two stays, unless the new host is the old one's daughter."""
    out = []
    for a, b in stretches:
        begin = a
        for k in range(a + 1, b + 1):
            if track.host[k] != track.host[k - 1] and not _same_host(track.host[k - 1], track.host[k], world):
                out.append((begin, k - 1))
                begin = k
        out.append((begin, b))
    return out


def _same_host(before: int, after: int, world: _World) -> bool:
    if before == after:
        return True
    fate = world.hosts.get(int(after))
    return fate is not None and fate.parent_id == before


def _completed(guest: int, track: _Track, start: int, a: int, b: int, world: _World) -> dict[str, Any]:
    """An event that got inside."""
    host = int(track.host[a])
    end, reason, known = _end_of(guest, track, a, b, world)
    onset = _onset(guest, track, start, a, world)
    watched = onset == "watched"
    outside = [k for k in range(a) if track.observed[k] and track.location[k] not in ("inside", "unresolved")]
    after = float(track.frame[outside[-1]]) if watched and outside else np.nan
    viability = track.viability[: a + 1]
    dead_before = watched and bool(np.any(viability == "dead"))
    last = int(np.searchsorted(track.frame, end))
    short = not lasts(track.time_h, a, b, world.persistence_min, PERSISTENCE_FRAMES)
    divided = reason == "division"
    score = "" if dead_before else "dying" if reason == "death" else "surviving"
    inside = (track.location[a : b + 1] == "inside") & (np.arange(a, b + 1) <= last)
    p = _presence(track.p_inside[a : b + 1][inside])
    return _row(
        guest, host, track, start, a, entry_frame=float(track.frame[a]), entry_after_frame=after, end_frame=end,
        end_reason="track_lost" if divided else reason, score=score, outcome_known=known, divided=divided,
        excluded_reason="dead_before_entry" if dead_before else "", onset=onset, prevalent=not watched,
        brief=short and watched, p=min(p, _timed(track, a)) if watched and not track.reviewed[a] else p,
    )  # fmt: skip


def _begun(guest: int, track: _Track, a: int, b: int, world: _World) -> dict[str, Any]:
    """An event that did not get inside."""
    dead_before = bool(np.any(track.viability[: a + 1] == "dead"))
    n = len(track.frame)
    died = [k for k in range(a, b + 1) if track.viability[k] == "dead"]
    fate = world.guests[guest]
    if died and not dead_before:
        end, reason, known = int(track.frame[died[0]]), "death", True
    elif b < n - 1:
        end, reason, known = int(track.frame[b + 1]), "aborted", True
    else:
        end, reason, known = int(track.frame[b]), _loss(fate), fate.end_reason != "track_lost"
    return _row(
        guest, int(track.host[a]), track, a, a, entry_frame=np.nan, entry_after_frame=np.nan, end_frame=end,
        end_reason="track_lost" if reason == "division" else reason, score="" if dead_before else "entering",
        outcome_known=known, divided=reason == "division",
        excluded_reason="dead_before_entry" if dead_before else "", onset="watched", prevalent=False, brief=False,
        p=_presence(track.p_entering[a : b + 1]),
    )  # fmt: skip


def _row(guest: int, host: int, track: _Track, start: int, at: int, **rest: Any) -> dict[str, Any]:
    return {
        "guest_id": guest, "host_id": host, "start_frame": int(track.frame[start]), "y_um": float(track.y[at]),
        "x_um": float(track.x[at]), "reviewed": False, **rest,
    }  # fmt: skip


def _end_of(guest: int, track: _Track, a: int, b: int, world: _World) -> tuple[int, str, bool]:
    """Frame and reason of a stay's end, and whether the outcome is known."""
    fate, host = world.guests[guest], world.hosts.get(int(track.host[b]))
    dead = [k for k in range(a, b + 1) if track.viability[k] == "dead"]
    if track.viability[a] == "dead":
        dead = []
    host_died = host.death_frame if host is not None else -1
    if dead and not (0 <= host_died < track.frame[dead[0]]):
        return int(track.frame[dead[0]]), "death", True
    if 0 <= host_died <= track.frame[min(b + 1, len(track.frame) - 1)] and host_died >= track.frame[a]:
        return host_died, "host_death", True
    if b == len(track.frame) - 1:
        return int(track.frame[b]), _loss(fate), fate.end_reason not in ("track_lost", "death")
    # A guest that stays where it was while its host's track ends was not seen to leave, unless another host (or the
    # same one found anew) is there and it is seen to lie outside of that.
    gone = host is not None and host.end_reason in ("track_lost", "edge") and host.last_frame <= track.frame[b]
    seen_out = track.location[b + 1] in TOUCHING
    return int(track.frame[b + 1]), "host_lost" if gone and not seen_out else "escape", True


def _loss(fate: Fate) -> str:
    """Why a track's end ended the event."""
    return {"movie_end": "movie_end", "edge": "edge", "division": "division"}.get(fate.end_reason, "track_lost")


def _onset(guest: int, track: _Track, start: int, a: int, world: _World) -> str:
    if start < a or np.any(track.observed[:a] & (track.location[:a] != "unresolved")):
        return "watched"
    reason = world.guests[guest].start_reason
    return {"movie_start": "movie_start", "division": "division"}.get(reason, "appeared")


def _timed(track: _Track, a: int) -> float:
    """Probability that a guest went in about where row ``a`` is the first inside: what p_inside rises by around it.

    Where the optics cannot tell a closing host from a closed one, the rise is slow.
    """
    before = track.time_h[max(a - 1, 0)]
    at, reach = 0.5 * (before + track.time_h[a]), max(TIMED_WITHIN_H, track.time_h[a] - before) + 1e-9
    after = track.p_inside[(track.time_h >= at) & (track.time_h <= at + reach)]
    earlier = track.p_inside[track.time_h < at - reach]
    return float(max(np.max(after, initial=0.0) - (earlier[-1] if len(earlier) else 0.0), 0.0))


def _presence(p: Float64Array) -> float:
    """Probability that a stretch is real: the mean of its better half, since its rims are doubtful by nature."""
    known = np.sort(p[np.isfinite(p)])
    return float(np.clip(known[len(known) // 2 :].mean(), 0.0, 1.0)) if len(known) else 0.0
