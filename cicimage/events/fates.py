"""How every cell's watch began and ended: guests and hosts alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from cicimage.events.timeline import runs

DEATH_SD: Final = 5.0
DEATH_FILL: Final = 0.1
"""A host's stain fills its nucleus, a small share of its spread body."""
DEATH_FRAMES: Final = 2


@dataclass(frozen=True)
class Fate:
    """One cell's watch.

    ``start_reason``: movie_start | edge | division | appeared; ``end_reason``: movie_end | edge | division |
    track_lost | death; ``death_frame`` is -1 where it was not seen dead.
    """

    cell_id: int
    first_frame: int
    last_frame: int
    start_reason: str
    end_reason: str
    death_frame: int
    parent_id: int


def fates_of(cells: pd.DataFrame, id_column: str, n_frames: int, dead: dict[int, int] | None = None) -> dict[int, Fate]:
    """Fate of every cell of one population.

    Parameters
    ----------
    cells : pandas.DataFrame
        One row per cell and frame: frame, the id column, touches_border, parent_id where there is one.
    id_column : str
        ``guest_id`` or ``host_id``.
    n_frames : int
        Frames in the movie.
    dead : dict of int to int, optional
        First dead frame by cell.
    """
    if not len(cells):
        return {}
    ordered = cells.sort_values([id_column, "frame"], kind="stable")
    parents = _parents(ordered, id_column)
    divided = {p for p in parents.values() if p > 0}
    border = ordered["touches_border"].to_numpy(bool) if "touches_border" in ordered else np.zeros(len(ordered), bool)
    frame = ordered["frame"].to_numpy(np.int64)
    ids, first = np.unique(ordered[id_column].to_numpy(np.int64), return_index=True)
    last = np.concatenate((first[1:], [len(ordered)])) - 1
    out = {}
    for cell, a, b in zip(ids.tolist(), first, last, strict=True):
        parent = parents.get(cell, 0)
        start = "movie_start" if frame[a] == 0 else "division" if parent else "edge" if border[a] else "appeared"
        died = (dead or {}).get(cell, -1)
        if frame[b] >= n_frames - 1:
            end = "movie_end"
        elif cell in divided:
            end = "division"
        elif border[b]:
            end = "edge"
        elif died >= 0:
            end = "death"
        else:
            end = "track_lost"
        out[cell] = Fate(cell, int(frame[a]), int(frame[b]), start, end, died, parent)
    return out


def _parents(ordered: pd.DataFrame, id_column: str) -> dict[int, int]:
    if "parent_id" not in ordered:
        return {}
    some = ordered.loc[ordered["parent_id"] > 0, [id_column, "parent_id"]]
    return {int(c): int(p) for c, p in zip(some[id_column], some["parent_id"], strict=True)}


def host_deaths(hosts: pd.DataFrame, *, signal_sd: float = DEATH_SD, fill: float = DEATH_FILL) -> dict[int, int]:
    """First dead frame of every host that died: stained in two frames or more of those in which the marker was read."""
    if not len(hosts) or "death_signal" not in hosts:
        return {}
    ordered = hosts.sort_values(["host_id", "frame"], kind="stable")
    ordered = ordered[ordered[["death_signal", "death_fill"]].notna().all(axis=1)]
    signal, share = (ordered[c].to_numpy(np.float64) for c in ("death_signal", "death_fill"))
    stained = (signal >= signal_sd * fill) & (share >= fill)
    frame, ids = ordered["frame"].to_numpy(np.int64), ordered["host_id"].to_numpy(np.int64)
    out: dict[int, int] = {}
    for host in np.unique(ids[stained]):
        a, b = np.searchsorted(ids, [host, host + 1])
        for i, j in runs(stained[a:b]):
            if j - i + 1 >= DEATH_FRAMES:
                out[int(host)] = int(frame[a + i])
                break
    return out


def first_dead(frames: pd.DataFrame) -> dict[int, int]:
    """First dead frame by guest, from table ``frames``."""
    dead = frames[frames["viability"] == "dead"].sort_values("frame").drop_duplicates("guest_id")
    return dict(zip(dead["guest_id"].astype(int).tolist(), dead["frame"].astype(int).tolist(), strict=True))
