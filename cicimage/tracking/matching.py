"""Sparse linear assignment: the best set of links between two sets of objects of which few can be linked.

Exact for connected groups of any size, by shortest augmenting paths on the sparse graph: a crowded frame costs time
and never ends in an error.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cicimage.arrays import BoolArray, Float64Array, Int64Array
from cicimage.compiled import compiled


@compiled(error_model="numpy")
def _push(keys: Float64Array, items: Int64Array, size: int, key: float, item: int) -> int:
    """Put one entry on the binary heap; returns its new size."""
    i = size
    while i > 0:
        up = (i - 1) >> 1
        if keys[up] <= key:
            break
        keys[i], items[i] = keys[up], items[up]
        i = up
    keys[i], items[i] = key, item
    return size + 1


@compiled(error_model="numpy")
def _pop(keys: Float64Array, items: Int64Array, size: int) -> int:
    """Remove the smallest entry (read it at index 0 before); returns the new size."""
    size -= 1
    key, item = keys[size], items[size]
    i = 0
    while True:
        child = 2 * i + 1
        if child >= size:
            break
        if child + 1 < size and keys[child + 1] < keys[child]:
            child += 1
        if keys[child] >= key:
            break
        keys[i], items[i] = keys[child], items[child]
        i = child
    keys[i], items[i] = key, item
    return size


class _Graph(NamedTuple):
    """Candidates of every row, as :func:`assign` takes them."""

    indptr: Int64Array
    indices: Int64Array
    gains: Float64Array


class _Matching(NamedTuple):
    """Column of every row and row of every column (-1 = none), with the potentials of rows and columns."""

    col_of: Int64Array
    row_of: Int64Array
    u: Float64Array
    v: Float64Array


class _Search(NamedTuple):
    """Work space of one search from a row: state of every column, columns reached, and the heap.

    ``dist`` and ``via`` are the length of the shortest path to a column and the row before it.
    """

    dist: Float64Array
    via: Int64Array
    done: BoolArray
    reached: Int64Array
    keys: Float64Array
    items: Int64Array


@compiled(error_model="numpy")
def _seed(graph: _Graph, matching: _Matching) -> None:
    """Give every row its best column where that is free; potentials of rows become tight."""
    indptr, indices, gains = graph
    col_of, row_of, u, _ = matching
    for i in range(u.size):
        best = 0.0
        at = -1
        for k in range(indptr[i], indptr[i + 1]):
            if gains[k] > best:
                best = gains[k]
                at = indices[k]
        u[i] = -best
        if at >= 0 and row_of[at] < 0:
            row_of[at] = i
            col_of[i] = at


@compiled(error_model="numpy")
def _shortest_path(graph: _Graph, matching: _Matching, search: _Search, free: int) -> tuple[float, int, int, int]:
    """Find the shortest augmenting path from a row without a column.

    Returns its length, the free column at its end (-1 where it ends with a row that stays alone), that row, and the
    number of columns reached.
    """
    indptr, indices, gains = graph
    _, row_of, u, v = matching
    dist, via, done, reached, keys, items = search
    n_reached, size = 0, 0
    row, length = free, 0.0
    alone_at, alone_row = np.inf, -1
    while True:
        if length - u[row] < alone_at:
            alone_at, alone_row = length - u[row], row
        for k in range(indptr[row], indptr[row + 1]):
            col = indices[k]
            if done[col] or gains[k] <= 0.0:
                continue
            near = length - gains[k] - u[row] - v[col]
            if near < dist[col]:
                if dist[col] == np.inf:
                    reached[n_reached] = col
                    n_reached += 1
                dist[col] = near
                via[col] = row
                size = _push(keys, items, size, near, col)
        while size > 0 and done[items[0]]:
            size = _pop(keys, items, size)
        if size == 0 or alone_at <= keys[0]:
            return alone_at, -1, alone_row, n_reached
        col, length = items[0], keys[0]
        size = _pop(keys, items, size)
        done[col] = True
        if row_of[col] < 0:
            return length, col, -1, n_reached
        row = row_of[col]


@compiled(error_model="numpy")
def _update_potentials(matching: _Matching, search: _Search, free: int, length: float, n_reached: int) -> None:
    """Keep the links of the path tight, and reset the columns reached for the next search."""
    _, row_of, u, v = matching
    dist, done, reached = search.dist, search.done, search.reached
    u[free] += length
    for s in range(n_reached):
        col = reached[s]
        if done[col] and row_of[col] >= 0:
            u[row_of[col]] += length - dist[col]
            v[col] -= length - dist[col]
        done[col] = False
        dist[col] = np.inf


@compiled(error_model="numpy")
def _augment(matching: _Matching, via: Int64Array, free: int, sink: int) -> None:
    """Swap the links along a path that ends at column ``sink``."""
    col_of, row_of, _, _ = matching
    row = -1
    while row != free:
        row = via[sink]
        row_of[sink] = row
        sink, col_of[row] = col_of[row], sink


@compiled(error_model="numpy")
def assign(indptr: Int64Array, indices: Int64Array, gains: Float64Array, n_cols: int) -> Int64Array:
    """Match rows to columns so that the sum of gains is greatest; no link is worth 0.

    Parameters
    ----------
    indptr : (n_rows + 1,) int64
        Row i's candidates are entries ``indptr[i]:indptr[i + 1]``.
    indices : (n,) int64
        Candidate columns.
    gains : (n,) float64
        What each link is worth; links worth nothing or less are never made.
    n_cols : int
        Number of columns.

    Returns
    -------
    (n_rows,) int64
        Column of each row, -1 where it has none.

    Notes
    -----
    Shortest augmenting paths with potentials (Jonker and Volgenant, Computing 38, 325-340, 1987), Dijkstra on a
    binary heap since the graph is sparse. Staying alone is a private column of cost 0 per row.

    Examples
    --------
    Row 0 would like column 0 best, but row 1 has nothing else:

    >>> import numpy as np
    >>> assign(np.array([0, 2, 3]), np.array([0, 1, 0]), np.array([5.0, 4.0, 3.0]), 2).tolist()
    [1, 0]
    """
    n_rows = indptr.size - 1
    graph = _Graph(indptr, indices, gains)
    col_of = np.full(n_rows, -1, np.int64)
    matching = _Matching(col_of, np.full(n_cols, -1, np.int64), np.zeros(n_rows), np.zeros(n_cols))
    _seed(graph, matching)
    search = _Search(
        np.full(n_cols, np.inf), np.full(n_cols, -1, np.int64), np.zeros(n_cols, np.bool_), np.empty(n_cols, np.int64),
        np.empty(indices.size + 1), np.empty(indices.size + 1, np.int64),
    )  # fmt: skip
    for free in range(n_rows):
        if col_of[free] >= 0 or matching.u[free] == 0.0:
            continue
        length, sink, alone, n_reached = _shortest_path(graph, matching, search, free)
        _update_potentials(matching, search, free, length, n_reached)
        if sink < 0 and alone != free:
            # The row that stays alone hands its column back along the path.
            sink = col_of[alone]
            col_of[alone] = -1
        if sink >= 0:
            _augment(matching, search.via, free, sink)
    return col_of
