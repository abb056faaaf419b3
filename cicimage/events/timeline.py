"""One guest's evidence in order of time: its rows, its best host in each, and how it moves.

Scorers work on these plain arrays; nothing here decides anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from cicimage.arrays import BoolArray, Float64Array, Int64Array
from cicimage.methods import USABLE, Observations

EVIDENCE: Final = (
    "footprint_share", "gap_um", "ring_coverage", "cap", "cap_se", "floor", "floor_se", "void", "void_se",
    "z_in_host", "host_signal", "wall", "body", "sharpness", "shared_share", "cap_um", "cap_um_se", "floor_um",
    "floor_um_se", "beside_um", "wall_lower", "wall_upper", "ring_lower", "ring_upper",
    "guest_bottom_um", "host_top_um",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class PairGrid:
    """Evidence of one guest against each host it ever came near: (H, T) arrays, NaN where there is none.

    ``near`` (H, T) says where there is a row, whatever was measured in it.
    """

    host_ids: Int64Array
    values: dict[str, Float64Array]
    near: BoolArray

    def __len__(self) -> int:
        return len(self.host_ids)


@dataclass(frozen=True, eq=False)
class Timeline:
    """One guest over time; every array has its T rows.

    Attributes
    ----------
    guest_id : int
        Cell id.
    rows : (T,) int64
        Positions of its rows in ``Observations.frames``.
    frame : (T,) int64
        Frames, ascending.
    time_h : (T,) float64
        Hours.
    observed : (T,) bool
        False in a filled gap.
    death_signal, death_fill, snr, area_um2 : (T,) float64
        As in table ``cells``; NaN where there is none.
    speed_um_per_min : (T,) float64
        Speed over the neighbouring frames, drift removed; NaN where it cannot be told.
    grid : PairGrid
        Evidence by host.
    """

    guest_id: int
    rows: Int64Array
    frame: Int64Array
    time_h: Float64Array
    observed: BoolArray
    death_signal: Float64Array
    death_fill: Float64Array
    snr: Float64Array
    area_um2: Float64Array
    speed_um_per_min: Float64Array
    grid: PairGrid

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def step_h(self) -> float:
        """Median time between its frames; 0 with a single frame."""
        return float(np.median(np.diff(self.time_h))) if len(self) > 1 else 0.0


def timelines(observations: Observations, *, grids: bool = True) -> Iterator[Timeline]:
    """Yield every guest's timeline, ascending by id; without ``grids`` the evidence by host is left empty."""
    frames = observations.frames.reset_index(drop=True)
    if not len(frames):
        return
    order = np.lexsort((frames["frame"].to_numpy(), frames["guest_id"].to_numpy()))
    guest_of = frames["guest_id"].to_numpy()[order]
    columns = {
        name: _column(frames, name)[order]
        for name in ("time_h", "death_signal", "death_fill", "snr", "area_um2", "yd_um", "xd_um")
    }
    frame = frames["frame"].to_numpy(np.int64)[order]
    observed = frames["observed"].to_numpy(bool)[order]
    pairs = observations.pairs
    pair_order = np.argsort(pairs["guest_id"].to_numpy(), kind="stable")
    pair_guest = pairs["guest_id"].to_numpy()[pair_order]
    pair_values = {name: _column(pairs, name)[pair_order] for name in EVIDENCE} if grids else {}
    pair_frame = pairs["frame"].to_numpy(np.int64)[pair_order]
    pair_host = pairs["host_id"].to_numpy(np.int64)[pair_order]
    for guest in np.unique(guest_of):
        a, b = np.searchsorted(guest_of, [guest, guest + 1])
        pa, pb = np.searchsorted(pair_guest, [guest, guest + 1]) if grids else (0, 0)
        one = slice(a, b)
        grid = _grid(
            frame[one], pair_frame[pa:pb], pair_host[pa:pb], {name: v[pa:pb] for name, v in pair_values.items()}
        )
        speed = _speed(columns["time_h"][one], columns["yd_um"][one], columns["xd_um"][one], observed[one])
        yield Timeline(
            int(guest), order[one], frame[one], columns["time_h"][one], observed[one], columns["death_signal"][one],
            columns["death_fill"][one], columns["snr"][one], columns["area_um2"][one], speed, grid,
        )  # fmt: skip


def leave_open(frames: pd.DataFrame, observations: Observations) -> pd.DataFrame:
    """Where the input lets nothing be told, every frame stays ``unresolved``, inside or not as likely as not."""
    if observations.separable.get(USABLE, True):
        return frames
    return frames.assign(location="unresolved", contact="unresolved", p_inside=0.5, p_entering=0.0, host_id=0)


def _column(table: pd.DataFrame, name: str) -> Float64Array:
    if name not in table:
        return np.full(len(table), np.nan)
    return table[name].to_numpy(np.float64)


def _grid(
    frame: Int64Array, pair_frame: Int64Array, pair_host: Int64Array, values: dict[str, Float64Array]
) -> PairGrid:
    hosts, which = np.unique(pair_host, return_inverse=True)
    at = np.searchsorted(frame, pair_frame)
    ok = (at < len(frame)) & (frame[np.minimum(at, len(frame) - 1)] == pair_frame)
    near = np.zeros((len(hosts), len(frame)), bool)
    near[which[ok], at[ok]] = True
    out = {}
    for name, column in values.items():
        table = np.full((len(hosts), len(frame)), np.nan)
        table[which[ok], at[ok]] = column[ok]
        out[name] = table
    return PairGrid(hosts.astype(np.int64), out, near)


def _speed(time_h: Float64Array, y: Float64Array, x: Float64Array, observed: BoolArray) -> Float64Array:
    """Speed in um/min from neighbouring observed frames."""
    out = np.full(len(time_h), np.nan)
    seen = np.flatnonzero(observed & np.isfinite(y) & np.isfinite(x))
    if len(seen) < 2:
        return out
    minutes = np.diff(time_h[seen]) * 60.0
    step = np.hypot(np.diff(y[seen]), np.diff(x[seen])) / np.maximum(minutes, 1e-9)
    before, after = np.concatenate(([np.nan], step)), np.concatenate((step, [np.nan]))
    out[seen] = np.where(np.isnan(before), after, np.where(np.isnan(after), before, 0.5 * (before + after)))
    return out


def runs(flags: BoolArray) -> list[tuple[int, int]]:
    """First and last index of every stretch of True.

    Examples
    --------
    >>> runs(np.array([0, 1, 1, 0, 1], bool))
    [(1, 2), (4, 4)]
    """
    padded = np.concatenate(([False], flags, [False])).astype(np.int8)
    edges = np.diff(padded)
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1
    return [(int(a), int(b)) for a, b in zip(starts, ends, strict=True)]


def carried_to(
    time_h: Float64Array, measured: BoolArray, covered: BoolArray, persistence_min: float, persistence_frames: int = 2
) -> BoolArray:
    """Rows that are measured, or to which a call can be carried from a measured row, (T,).

    Parameters
    ----------
    time_h : (T,) float64
        Hours, ascending.
    measured : (T,) bool
        Rows in which something was measured.
    covered : (T,) bool
        Rows in which a host covers the guest, or may cover it. A call from outside any host is not carried to them:
        the guest has changed its place since.
    persistence_min, persistence_frames : float, int
        A call is carried for max(this many minutes, this many frames), from before or after.

    Examples
    --------
    >>> measured = np.array([1, 0, 0, 0, 0, 0, 1], bool)
    >>> carried_to(np.arange(7) / 12.0, measured, np.ones(7, bool), 10.0).astype(int).tolist()
    [1, 1, 1, 0, 1, 1, 1]
    """
    return measured | np.where(
        covered,
        _near(time_h, measured & covered, persistence_min, persistence_frames),
        _near(time_h, measured, persistence_min, persistence_frames),
    )


def _near(time_h: Float64Array, known: BoolArray, minutes: float, frames: int) -> BoolArray:
    """Rows at most so many minutes or frames from a known one."""
    at, row = np.flatnonzero(known), np.arange(len(time_h))
    out = np.zeros(len(time_h), bool)
    if not len(at):
        return out
    after = np.searchsorted(at, row)
    for nearest in (at[np.maximum(after - 1, 0)], at[np.minimum(after, len(at) - 1)]):
        apart_min = np.abs(time_h - time_h[nearest]) * 60.0
        out |= (np.abs(row - nearest) <= frames) | (apart_min <= minutes + 1e-6)
    return out


def lasts(time_h: Float64Array, first: int, last: int, minimum_min: float, minimum_frames: int = 2) -> bool:
    """Whether frames ``first..last`` last at least ``minimum_min`` minutes and ``minimum_frames`` frames.

    A stay seen in n frames lasted about n steps: half a step before the first and half a step after the last.
    """
    if last - first + 1 < minimum_frames:
        return False
    before = time_h[first] - time_h[first - 1] if first > 0 else np.nan
    after = time_h[last + 1] - time_h[last] if last + 1 < len(time_h) else np.nan
    margins = [0.5 * m for m in (before, after) if np.isfinite(m)]
    edge = sum(margins) * 2.0 / len(margins) if margins else 0.0
    return bool((time_h[last] - time_h[first] + edge) * 60.0 >= minimum_min - 1e-6)
