"""Cells over time as a graph: a node per row of ``cells``, an edge from each row to the next of the same cell."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from cicimage.arrays import Int64Array


def links(cells: pd.DataFrame) -> Int64Array:
    """List the edges between rows: along each cell, and from a parent's last row to its child's first.

    A parent that is still seen when its child begins is linked from its last row before that.

    Parameters
    ----------
    cells : pandas.DataFrame
        Rows sorted by cell and frame within each cell, index 0..n-1.

    Returns
    -------
    (E, 2) int64
        Source and target row.
    """
    cell, frame = cells["cell_id"].to_numpy(np.int64), cells["frame"].to_numpy(np.int64)
    row = np.arange(len(cells))
    along = np.column_stack([row[:-1], row[1:]])[cell[1:] == cell[:-1]] if len(row) else np.empty((0, 2), np.int64)
    births = []
    first = row[np.concatenate(([True], cell[1:] != cell[:-1]))] if len(row) else row
    parents = cells["parent_id"].to_numpy(np.int64)
    for child in first[parents[first] > 0]:
        before = row[(cell == parents[child]) & (frame < frame[child])]
        if len(before):
            births.append((int(before[-1]), int(child)))
    return np.concatenate([along, np.array(births, np.int64).reshape(-1, 2)]).astype(np.int64)


def lineages(n: int, edges: Int64Array) -> Int64Array:
    """Number the families (cells connected by links and divisions).

    Parameters
    ----------
    n : int
        Number of rows.
    edges : (m, 2) int64 array
        Rows (source, target) of the links.

    Returns
    -------
    (n,) int64 array
        Family of every row, from 1.
    """
    return _components(n, edges)


def tracklets(n: int, edges: Int64Array) -> Int64Array:
    """Number the unbranched pieces of tracks: families cut at divisions.

    Parameters
    ----------
    n, edges
        As :func:`lineages` takes them.

    Returns
    -------
    (n,) int64 array
        Piece of every row, from 1.
    """
    out, into = np.bincount(edges[:, 0], minlength=n), np.bincount(edges[:, 1], minlength=n)
    return _components(n, edges[(out[edges[:, 0]] == 1) & (into[edges[:, 1]] == 1)])


def _components(n: int, edges: Int64Array) -> Int64Array:
    if n == 0:
        return np.empty(0, np.int64)
    graph = coo_array((np.ones(len(edges), np.int8), (edges[:, 0], edges[:, 1])), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64) + 1
