"""Measures of tracks: links, TRA, CHOTA, identity switches; on arrays, for any kind of object."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from cicimage.arrays import BoolArray, Int64Array

# Costs of repairing a graph by hand (Matula et al., PLoS ONE 10(12): e0144959, 2015, as the Cell Tracking Challenge
# uses them): split a node, add a node, delete a node, delete an edge, add an edge, change an edge's meaning.
SPLIT, ADD_NODE, DELETE_NODE, DELETE_EDGE, ADD_EDGE, CHANGE_EDGE = 5.0, 10.0, 1.0, 1.0, 1.5, 1.0


@dataclass(frozen=True, eq=False)
class Tracks:
    """Sightings of cells over time.

    Attributes
    ----------
    frame : (n,) int64
        Frame of each sighting.
    cell : (n,) int64
        Cell of each, 0 <= cell < n_cells.
    parent : (n_cells,) int64
        Cell each divided from, -1 for none.
    """

    frame: Int64Array
    cell: Int64Array
    parent: Int64Array

    @property
    def size(self) -> int:
        """Number of sightings."""
        return int(self.frame.size)

    def edges(self) -> tuple[Int64Array, BoolArray]:
        """(m, 2) sightings linked: each cell's consecutive ones, then mothers' last to daughters' first (True)."""
        order = np.lexsort((self.frame, self.cell))
        same = self.cell[order][1:] == self.cell[order][:-1]
        within = np.stack([order[:-1][same], order[1:][same]], axis=1)
        n_cells = self.parent.size
        first, last = np.full(n_cells, -1, np.int64), np.full(n_cells, -1, np.int64)
        last[self.cell[order]] = order
        first[self.cell[order][::-1]] = order[::-1]
        born = np.flatnonzero((self.parent >= 0) & (first >= 0))
        born = born[last[self.parent[born]] >= 0]
        births = np.stack([last[self.parent[born]], first[born]], axis=1)
        is_birth = np.arange(len(within) + len(births)) >= len(within)
        return np.concatenate([within, births]), is_birth


def tracks_of(frames: pd.DataFrame, cell: str = "guest_id", *, split_gaps: bool = False) -> Tracks:
    """Sightings of a table.

    Parameters
    ----------
    frames : pandas.DataFrame
        position, frame, a cell's id and, where known, parent_id; ids are per position.
    cell : str
        Column of the id.
    split_gaps : bool
        A cell that was away for a frame or more comes back as another one. For truths: nobody can know a guest again
        that left the field of view.
    """
    if not len(frames):
        return Tracks(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64))
    key = pd.MultiIndex.from_arrays([frames["position"], frames[cell]])
    codes, cells = pd.factorize(key)
    frame = frames["frame"].to_numpy(np.int64)
    parent = np.full(len(cells), -1, np.int64)
    if "parent_id" in frames:
        born = (frames["parent_id"].fillna(0) != 0).to_numpy()
        parents = pd.MultiIndex.from_arrays([frames["position"][born], frames["parent_id"][born].astype(np.int64)])
        parent[codes[born]] = pd.Index(cells).get_indexer(parents)
    tracks = Tracks(frame, codes.astype(np.int64), parent)
    return _split(tracks) if split_gaps else tracks


def _split(tracks: Tracks) -> Tracks:
    """Cut cells where they miss a frame; daughters descend from their mother's last part."""
    order = np.lexsort((tracks.frame, tracks.cell))
    frame, cell = tracks.frame[order], tracks.cell[order]
    begins = np.ones(order.size, np.bool_)
    begins[1:] = (cell[1:] != cell[:-1]) | (np.diff(frame) > 1)
    part = np.cumsum(begins) - 1
    owner = cell[begins]
    first, last = np.full(tracks.parent.size, -1, np.int64), np.full(tracks.parent.size, -1, np.int64)
    last[owner] = np.arange(owner.size)
    first[owner[::-1]] = np.arange(owner.size)[::-1]
    parent = np.full(owner.size, -1, np.int64)
    born = (tracks.parent >= 0) & (first >= 0)
    parent[first[born]] = last[tracks.parent[born]]
    cells = np.empty(order.size, np.int64)
    cells[order] = part
    return Tracks(tracks.frame, cells, parent)


@dataclass(frozen=True)
class LinkCounts:
    """Links found, missed and wrong."""

    found: int
    missed: int
    wrong: int

    @property
    def f1(self) -> float:
        """2 found / (2 found + missed + wrong); NaN without links."""
        total = 2 * self.found + self.missed + self.wrong
        return 2 * self.found / total if total else float("nan")


def count_links(truth: Tracks, result: Tracks, pairs: Int64Array) -> LinkCounts:
    """Compare links of two sets of tracks.

    Parameters
    ----------
    truth, result : Tracks
        Both sides.
    pairs : (k, 2) int64
        Matched sightings (of truth, of result), one to one.
    """
    to_result = np.full(truth.size, -1, np.int64)
    to_result[pairs[:, 0]] = pairs[:, 1]
    wanted, _ = truth.edges()
    made, _ = result.edges()
    found = int(_is_in(to_result[wanted], made, result.size).sum())
    return LinkCounts(found, len(wanted) - found, len(made) - found)


def tra(truth: Tracks, result: Tracks, pairs: Int64Array) -> float:
    """Compute TRA: one minus the cost of repairing the result over that of making the truth; NaN without truth.

    Parameters
    ----------
    truth, result, pairs
        As in :func:`count_links`; one sighting of the result may stand for several of the truth (two cells in one
        mask), then it must be split.
    """
    per_result = np.bincount(pairs[:, 1], minlength=result.size)
    split = int(np.maximum(per_result - 1, 0).sum())
    missed, false = truth.size - len(pairs), int((per_result == 0).sum())
    wanted, wanted_birth = truth.edges()
    made, made_birth = result.edges()
    sole = pairs[per_result[pairs[:, 1]] == 1]
    to_result, to_truth = np.full(truth.size, -1, np.int64), np.full(result.size, -1, np.int64)
    to_result[sole[:, 0]], to_truth[sole[:, 1]] = sole[:, 1], sole[:, 0]
    known = (to_truth[made] >= 0).all(axis=1)
    made, made_birth = made[known], made_birth[known]
    delete = int((~_is_in(to_truth[made], wanted, truth.size)).sum())
    there = _is_in(to_result[wanted], made, result.size)
    meaning = dict(zip(map(tuple, made.tolist()), made_birth.tolist(), strict=True))
    kept = zip(map(tuple, to_result[wanted[there]].tolist()), wanted_birth[there].tolist(), strict=True)
    changed = sum(meaning[edge] != birth for edge, birth in kept)
    cost = SPLIT * split + ADD_NODE * missed + DELETE_NODE * false
    cost += DELETE_EDGE * delete + ADD_EDGE * int((~there).sum()) + CHANGE_EDGE * changed
    nothing = ADD_NODE * truth.size + ADD_EDGE * len(wanted)
    return 1.0 - min(cost, nothing) / nothing if nothing else float("nan")


def chota(truth: Tracks, result: Tracks, pairs: Int64Array) -> float:
    """Compute the cell higher-order tracking accuracy (CHOTA), agreement of matched sightings over their whole lineage.

    For a matched sighting, its cell with all ancestors and descendants on one side is compared with the same on the
    other: shared over joint sightings. The score is the root of the sum over matches, divided by the number of matches,
    misses and false sightings (Kaiser et al., arXiv:2408.11571, 2024, after Luiten et al., IJCV 129, 548-578, 2021).

    Parameters
    ----------
    truth, result : Tracks
        True tracks, and those of the run.
    pairs : (m, 2) int64 array
        Matched sightings: index in ``truth`` and in ``result``.

    Returns
    -------
    float
        0-1; NaN where neither side has a sighting.
    """
    n, m = truth.parent.size, result.parent.size
    if not (n and m and len(pairs)):
        return 0.0 if truth.size or result.size else float("nan")
    ones = np.ones(len(pairs))
    shared = sparse.csr_array((ones, (truth.cell[pairs[:, 0]], result.cell[pairs[:, 1]])), shape=(n, m))
    missed = np.bincount(np.delete(truth.cell, pairs[:, 0]), minlength=n)
    false = np.bincount(np.delete(result.cell, np.unique(pairs[:, 1])), minlength=m)
    kin_t, kin_r = _kin(truth.parent), _kin(result.parent)
    of_truth = kin_t @ (shared.sum(axis=1) + missed)
    of_result = kin_r @ (shared.sum(axis=0) + false)
    both = (kin_t @ shared @ kin_r.T).tocsr()
    cells = shared.tocoo()
    i, j = cells.coords
    together = np.asarray(both[i, j]).ravel()
    agreement = float((cells.data * together / (of_truth[i] + of_result[j] - together)).sum())
    return float(np.sqrt(agreement / (len(pairs) + missed.sum() + false.sum())))


def _kin(parent: Int64Array) -> sparse.csr_array:
    """(n, n) 1 where a cell is the other, an ancestor or a descendant of it."""
    rows, cols = list(range(parent.size)), list(range(parent.size))
    for cell in range(parent.size):
        up, steps = int(parent[cell]), 0
        while up >= 0 and steps <= parent.size:  # also ends where a table names a cell as its own ancestor
            rows += [cell, up]
            cols += [up, cell]
            up, steps = int(parent[up]), steps + 1
    kin = sparse.csr_array((np.ones(len(rows)), (rows, cols)), shape=(parent.size, parent.size))
    kin.data[:] = 1.0
    return kin


def identity_switches(truth: Tracks, result: Tracks, pairs: Int64Array) -> pd.DataFrame:
    """Find the sightings from which on a true cell is followed by another cell of the result.

    Parameters
    ----------
    truth, result : Tracks
        True tracks, and those of the run.
    pairs : (m, 2) int64 array
        Matched sightings: index in ``truth`` and in ``result``.

    Returns
    -------
    pandas.DataFrame
        One row per switch: ``sighting`` (of the truth, the first after it), ``before`` and ``after`` (cells of the
        result), ``swapped``: True where ``after`` had followed another cell of the truth until then, False where
        the track broke and continued under a new cell.
    """
    table = pd.DataFrame(
        {
            "sighting": pairs[:, 0], "cell": truth.cell[pairs[:, 0]], "frame": truth.frame[pairs[:, 0]],
            "after": result.cell[pairs[:, 1]],
        }
    ).sort_values(["frame", "cell"], kind="stable")  # fmt: skip
    table["before"] = table.groupby("cell")["after"].shift()
    table["owner"] = table.groupby("after")["cell"].shift()
    switch = table[table["before"].notna() & (table["before"] != table["after"])].copy()
    switch["before"] = switch["before"].astype(np.int64)
    switch["swapped"] = switch["owner"].notna() & (switch["owner"] != switch["cell"])
    return switch[["sighting", "before", "after", "swapped"]].reset_index(drop=True)


def _is_in(edges: Int64Array, among: Int64Array, size: int) -> BoolArray:
    """Which (m, 2) pairs occur among others; negative ends never do."""
    codes = edges[:, 0] * (size + 1) + edges[:, 1]
    known = (edges >= 0).all(axis=1)
    return known & np.isin(codes, among[:, 0] * (size + 1) + among[:, 1])
