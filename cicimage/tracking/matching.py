"""Sparse linear assignment: the best set of links between two sets of objects of which few can be linked.

Exact for connected groups of any size, by shortest augmenting paths on the sparse graph: a crowded frame costs time
and never ends in an error.
"""

from __future__ import annotations

import numpy as np

from cicimage.arrays import Float64Array, Int64Array
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


@compiled(error_model="numpy")
def _seed(
    indptr: Int64Array,
    indices: Int64Array,
    gains: Float64Array,
    u: Float64Array,
    row_of: Int64Array,
    col_of: Int64Array,
) -> None:
    """Give every row its best column where that is free; duals ``u`` become tight."""
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
def assign(  # noqa: C901 - one search, whose parts share every variable
    indptr: Int64Array, indices: Int64Array, gains: Float64Array, n_cols: int
) -> Int64Array:
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
    col_of = np.full(n_rows, -1, np.int64)
    row_of = np.full(n_cols, -1, np.int64)
    u = np.zeros(n_rows)
    v = np.zeros(n_cols)
    _seed(indptr, indices, gains, u, row_of, col_of)
    dist = np.full(n_cols, np.inf)
    via = np.full(n_cols, -1, np.int64)
    done = np.zeros(n_cols, np.bool_)
    seen = np.empty(n_cols, np.int64)
    keys = np.empty(indices.size + 1)
    items = np.empty(indices.size + 1, np.int64)
    for free in range(n_rows):
        if col_of[free] >= 0 or u[free] == 0.0:
            continue
        n_seen, size = 0, 0
        row, reached = free, 0.0
        alone_at, alone_row = np.inf, -1
        sink = -1
        while True:
            if reached - u[row] < alone_at:
                alone_at, alone_row = reached - u[row], row
            for k in range(indptr[row], indptr[row + 1]):
                col = indices[k]
                if done[col] or gains[k] <= 0.0:
                    continue
                near = reached - gains[k] - u[row] - v[col]
                if near < dist[col]:
                    if dist[col] == np.inf:
                        seen[n_seen] = col
                        n_seen += 1
                    dist[col] = near
                    via[col] = row
                    size = _push(keys, items, size, near, col)
            while size > 0 and done[items[0]]:
                size = _pop(keys, items, size)
            if size == 0 or alone_at <= keys[0]:
                break
            col, reached = items[0], keys[0]
            size = _pop(keys, items, size)
            done[col] = True
            if row_of[col] < 0:
                sink = col
                break
            row = row_of[col]
        length = reached if sink >= 0 else alone_at
        u[free] += length
        for s in range(n_seen):
            col = seen[s]
            if done[col] and row_of[col] >= 0:
                u[row_of[col]] += length - dist[col]
                v[col] -= length - dist[col]
            done[col] = False
            dist[col] = np.inf
        if sink < 0:
            # The row that stays alone hands its column back along the path.
            if alone_row == free:
                continue
            sink = col_of[alone_row]
            col_of[alone_row] = -1
        while True:
            row = via[sink]
            row_of[sink] = row
            sink, col_of[row] = col_of[row], sink
            if row == free:
                break
    return col_of
