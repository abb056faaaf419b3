"""Stretches of a guest's track to review: called events, and near misses (under, on top, between, unresolved)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from cicimage.review.edits.verdicts import CALLED_INSIDE, Call

NEAR: Final = ("under", "on_top", "between")
MIN_FRAMES: Final = 2
UNRESOLVED_DOUBT: Final = 0.15
"""What was left open is looked at as if the call were wrong at least this often."""
NEAR_DOUBT: Final = 0.02
"""The same of a guest called under, on top or between: where the program sees no reason for doubt it may yet err."""
EVENT_ODDS: Final = 5.0
"""Odds that a called event is none, over those its probability gives: measured on simulations kept for tuning (seeds
1000 and above), where of the events called with p 0.9 to 0.8 every other one was none."""
AROUND: Final = 6
"""Frames shown on either side of one drawn at random in an uneventful stretch."""


@dataclass(frozen=True)
class Candidate:
    """A stretch of frames of one guest with what the program called it.

    Attributes
    ----------
    position : str
        Position id, such as p0001.
    guest_id, host_id : int
        Guest and likely host (0 = none) in the base results.
    first, last : int
        Frames.
    call : str
        event, or how the guest lay.
    p_wrong : float
        Probability that the call is wrong.
    counts : bool
        The entry rate would move by one entry if the call is wrong.
    hours : float
        Length.
    focus : int
        Frame to show first: the entry of an event, else the likeliest frame.
    y_um, x_um : float
        Guest in the first frame, raw.
    event : int
        Number of the event in the position's base table, 0 = none.
    """

    position: str
    guest_id: int
    host_id: int
    first: int
    last: int
    call: Call
    p_wrong: float
    counts: bool
    hours: float
    focus: int
    y_um: float
    x_um: float
    event: int = 0

    @property
    def called_inside(self) -> bool:
        """Whether the program says the guest was inside."""
        return self.call in CALLED_INSIDE


@dataclass(frozen=True, eq=False)
class _Rows:
    """Columns of ``frames`` by guest and frame, as arrays: a large field has half a million rows."""

    guest: npt.NDArray[np.int64]
    frame: npt.NDArray[np.int64]
    time_h: npt.NDArray[np.float64]
    location: npt.NDArray[np.object_]
    contact: npt.NDArray[np.object_]
    dead: npt.NDArray[np.bool_]
    host: npt.NDArray[np.int64]
    p_inside: npt.NDArray[np.float64]
    y_um: npt.NDArray[np.float64]
    x_um: npt.NDArray[np.float64]

    @classmethod
    def of(cls, frames: pd.DataFrame) -> _Rows:
        order = np.lexsort((frames["frame"].to_numpy(), frames["guest_id"].to_numpy()))

        def column(name: str, dtype: type) -> npt.NDArray[Any]:
            return frames[name].to_numpy(dtype)[order]

        return cls(
            column("guest_id", np.int64), column("frame", np.int64), column("time_h", np.float64),
            column("location", object), column("contact", object), column("viability", object) == "dead",
            column("host_id", np.int64), column("p_inside", np.float64), column("y_um", np.float64),
            column("x_um", np.float64),
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.guest)

    def of_guest(self, guest_id: int) -> tuple[int, int]:
        """First row of a guest, and one past its last."""
        a, b = np.searchsorted(self.guest, [guest_id, guest_id + 1])
        return int(a), int(b)

    def states(self) -> npt.NDArray[np.object_]:
        """Contact where attached to a host in depth, else the location."""
        deep = (self.location == "attached") & np.isin(self.contact, NEAR)
        return np.where(deep, self.contact, self.location)

    def hours(self, a: int, b: int) -> float:
        return float(self.time_h[b - 1] - self.time_h[a])


def candidates(position: str, frames: pd.DataFrame, events: pd.DataFrame) -> list[Candidate]:
    """All candidates of one position.

    Parameters
    ----------
    position : str
        Position id.
    frames, events : pandas.DataFrame
        Base tables of the position.

    Returns
    -------
    list of Candidate
        Ascending by guest and first frame.
    """
    if not len(frames):
        return []
    rows = _Rows.of(frames)
    taken = np.zeros(len(rows), np.bool_)
    found: list[Candidate] = []
    for number, event in enumerate(events.to_dict("records"), start=1):
        a, b = rows.of_guest(int(event["guest_id"]))
        first, last = np.searchsorted(rows.frame[a:b], [event["start_frame"], event["end_frame"] + 1])
        found.append(_of_event(position, number, event, rows, a + int(first), a + int(last)))
        taken[a + int(first) : a + int(last)] = True
    state = rows.states()
    worth = np.isin(state, [*NEAR, "unresolved"]) & ~taken & ~rows.dead
    runs = _runs(rows.guest, np.where(worth, state, ""))
    found += [_of_run(position, rows, a, b, str(state[a])) for a, b in runs if b - a >= MIN_FRAMES]
    return sorted(found, key=lambda c: (c.guest_id, c.first))


def _of_event(position: str, number: int, event: dict[Any, Any], rows: _Rows, a: int, b: int) -> Candidate:
    within = a + np.flatnonzero(np.isin(rows.location[a:b], ["inside", "entering"]))
    first, last = (int(within[0]), int(within[-1])) if len(within) else (a, b - 1)
    p, entered = float(event["p"]), not np.isnan(event["entry_frame"])
    counts = entered and not event["prevalent"] and not event["brief"]
    return Candidate(
        position, int(event["guest_id"]), int(event["host_id"]), int(rows.frame[first]), int(rows.frame[last]),
        "event", p_wrong=_doubt_of_event(1.0 - p), counts=bool(counts), hours=rows.hours(first, last + 1),
        focus=int(event["entry_frame"]) if entered else int(event["start_frame"]), y_um=float(rows.y_um[first]),
        x_um=float(rows.x_um[first]), event=number,
    )  # fmt: skip


def _doubt_of_event(p: float) -> float:
    """Probability that a called event is none, from what the program gives for it."""
    return EVENT_ODDS * p / (1.0 + (EVENT_ODDS - 1.0) * p)


def _runs(guest: npt.NDArray[np.int64], state: npt.NDArray[np.object_]) -> list[tuple[int, int]]:
    """Stretches of one guest and one state that is not empty, as half-open ranges of rows."""
    cut = np.flatnonzero((guest[1:] != guest[:-1]) | (state[1:] != state[:-1])) + 1
    bounds = np.concatenate(([0], cut, [len(guest)]))
    return [(int(a), int(b)) for a, b in pairwise(bounds) if state[a]]


def _of_run(position: str, rows: _Rows, a: int, b: int, call: str) -> Candidate:
    p = rows.p_inside[a:b]
    # an entry needs two frames inside: the likeliest pair
    pair = float((p[1:] * p[:-1]).max()) if b - a >= MIN_FRAMES else float(p.max()) ** 2
    if call in ("inside", "entering"):
        wrong = _doubt_of_event(1.0 - float(p.mean()))
    else:
        wrong = max(pair, UNRESOLVED_DOUBT if call == "unresolved" else NEAR_DOUBT)
    hosts = rows.host[a:b][rows.host[a:b] > 0]
    host = int(np.bincount(hosts).argmax()) if len(hosts) else 0
    return Candidate(
        position, int(rows.guest[a]), host, int(rows.frame[a]), int(rows.frame[b - 1]), cast(Call, call),
        p_wrong=wrong, counts=b - a >= MIN_FRAMES, hours=rows.hours(a, b), focus=int(rows.frame[a + int(p.argmax())]),
        y_um=float(rows.y_um[a]), x_um=float(rows.x_um[a]),
    )  # fmt: skip


def stretch_around(position: str, frames: pd.DataFrame, guest_id: int, frame: int) -> Candidate:
    """The stretch of one state around a frame, cut to ``AROUND`` frames on either side.

    Parameters
    ----------
    position : str
        Position id.
    frames : pandas.DataFrame
        Base table of the position.
    guest_id : int
        A guest of the table.
    frame : int
        A frame it is seen in.

    Returns
    -------
    Candidate
        The stretch.
    """
    rows = _Rows.of(frames[frames["guest_id"] == guest_id])
    at = int(np.searchsorted(rows.frame, frame))
    state = rows.states()
    a, b = next((a, b) for a, b in _runs(rows.guest, state) if a <= at < b)
    return _of_run(position, rows, max(a, at - AROUND), min(b, at + AROUND + 1), str(state[at]))
