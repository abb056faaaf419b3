"""Stretches of a guest's life worth a look: called events, and near misses (under, on top, between, unresolved)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from cicimage.review.edits.verdicts import CALLED_INSIDE, Call

NEAR: Final = ("under", "on_top", "between")
MIN_FRAMES: Final = 2
UNRESOLVED_DOUBT: Final = 0.3
"""What was left open is looked at as if the call were wrong at least this often."""
AROUND: Final = 6
"""Frames shown on either side of one drawn at random in an uneventful stretch."""


@dataclass(frozen=True)
class Candidate:
    """A stretch of frames of one guest with what the program called it.

    Attributes
    ----------
    position : str
        Opaque name.
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


def candidates(position: str, frames: pd.DataFrame, events: pd.DataFrame) -> list[Candidate]:
    """All candidates of one position by guest and frame."""
    if not len(frames):
        return []
    ordered = frames.sort_values(["guest_id", "frame"], kind="stable").reset_index(drop=True)
    taken = np.zeros(len(ordered), np.bool_)
    found: list[Candidate] = []
    guest, frame = ordered["guest_id"].to_numpy(np.int64), ordered["frame"].to_numpy(np.int64)
    for number, event in enumerate(events.to_dict("records"), start=1):
        a = int(np.searchsorted(guest, event["guest_id"]))
        b = int(np.searchsorted(guest, event["guest_id"], side="right"))
        rows = slice(a + int(np.searchsorted(frame[a:b], event["start_frame"])),
                     a + int(np.searchsorted(frame[a:b], event["end_frame"], side="right")))  # fmt: skip
        found.append(_of_event(position, number, event, ordered.iloc[rows]))
        taken[rows] = True
    found += _near_misses(position, ordered, taken)
    return sorted(found, key=lambda c: (c.guest_id, c.first))


def _of_event(position: str, number: int, event: dict[Any, Any], rows: pd.DataFrame) -> Candidate:
    within = rows[rows["location"].isin(["inside", "entering"])]
    within = within if len(within) else rows
    p, entered = float(event["p"]), not np.isnan(event["entry_frame"])
    counts = entered and not event["prevalent"] and not event["brief"]
    first = within.iloc[0]
    return Candidate(
        position, int(event["guest_id"]), int(event["host_id"]), int(first["frame"]), int(within["frame"].iloc[-1]),
        "event", p_wrong=1.0 - p, counts=bool(counts), hours=_hours(within),
        focus=int(event["entry_frame"]) if entered else int(event["start_frame"]), y_um=float(first["y_um"]),
        x_um=float(first["x_um"]), event=number,
    )  # fmt: skip


def _near_misses(position: str, rows: pd.DataFrame, taken: npt.NDArray[np.bool_]) -> list[Candidate]:
    state = _states(rows)
    worth = np.isin(state, [*NEAR, "unresolved"]) & ~taken & (rows["viability"].to_numpy(object) != "dead")
    return [
        _of_run(position, rows.iloc[a:b], str(state[a]))
        for a, b in _runs(rows, np.where(worth, state, ""))
        if b - a >= MIN_FRAMES
    ]


def _states(rows: pd.DataFrame) -> npt.NDArray[np.object_]:
    """Contact where attached to a host in depth, else the location."""
    location, contact = rows["location"].to_numpy(object), rows["contact"].to_numpy(object)
    deep = (location == "attached") & np.isin(contact, NEAR)
    return np.where(deep, contact, location)


def _runs(rows: pd.DataFrame, state: npt.NDArray[np.object_]) -> list[tuple[int, int]]:
    """Stretches of one guest and one state that is not empty, as half-open ranges of rows."""
    guest = rows["guest_id"].to_numpy()
    cut = np.flatnonzero((guest[1:] != guest[:-1]) | (state[1:] != state[:-1])) + 1
    bounds = np.concatenate(([0], cut, [len(rows)]))
    return [(int(a), int(b)) for a, b in pairwise(bounds) if state[a]]


def _of_run(position: str, rows: pd.DataFrame, call: str) -> Candidate:
    p = rows["p_inside"].to_numpy(np.float64)
    better = np.sort(p)[len(p) // 2 :]
    wrong = float(better.mean()) if len(better) else 0.0
    if call == "unresolved":
        wrong = max(wrong, UNRESOLVED_DOUBT)
    elif call == "inside":
        wrong = 1.0 - wrong
    hosts = rows.loc[rows["host_id"] > 0, "host_id"]
    first = rows.iloc[0]
    return Candidate(
        position, int(first["guest_id"]), int(hosts.mode().iloc[0]) if len(hosts) else 0, int(first["frame"]),
        int(rows["frame"].iloc[-1]), call, p_wrong=wrong, counts=len(rows) >= MIN_FRAMES, hours=_hours(rows),  # type: ignore[arg-type]
        focus=int(rows["frame"].iloc[int(p.argmax())]), y_um=float(first["y_um"]), x_um=float(first["x_um"]),
    )  # fmt: skip


def _hours(rows: pd.DataFrame) -> float:
    time = rows["time_h"].to_numpy(np.float64)
    return float(time[-1] - time[0]) if len(time) > 1 else 0.0


def stretch_around(position: str, frames: pd.DataFrame, guest_id: int, frame: int) -> Candidate:
    """The stretch of one state around a frame, cut to a few frames on either side."""
    rows = frames[frames["guest_id"] == guest_id].sort_values("frame", kind="stable").reset_index(drop=True)
    at = int(np.searchsorted(rows["frame"].to_numpy(), frame))
    state = _states(rows)
    a, b = next((a, b) for a, b in _runs(rows, state) if a <= at < b)
    return _of_run(position, rows.iloc[max(a, at - AROUND) : min(b, at + AROUND + 1)], str(state[at]))
