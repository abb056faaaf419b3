"""Compiled loops of the segmenters."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cicimage.arrays import BoolArray, Float32Array, Float64Array, Int32Array, Int64Array
from cicimage.compiled import compiled


@compiled()
def strongest(
    order: Int64Array,
    z: Float64Array,
    y: Float64Array,
    x: Float64Array,
    size: Float64Array,
    near: float,
) -> Int64Array:
    """Select points that have no better point of similar size close by.

    Parameters
    ----------
    order : (n,) int64 array
        Indices of the points, best first.
    z : (n,) float64 array
        Slice index; points within one slice are close.
    y, x : (n,) float64 arrays
        Position, pixels.
    size : (n,) float64 array
        Diameter, pixels; sizes up to a factor of 1.5 are similar.
    near : float
        Points are close within this share of the smaller size, in the plane.

    Returns
    -------
    (k,) int64 array
        Indices of the selected points, best first.
    """
    kept = np.empty(order.size, dtype=np.int64)
    n = 0
    for a in order:
        alone = True
        for c in range(n):
            b = kept[c]
            if size[a] > 1.5 * size[b] or size[b] > 1.5 * size[a]:
                continue
            reach = near * min(size[a], size[b])
            dy, dx = y[a] - y[b], x[a] - x[b]
            if dy * dy + dx * dx < reach * reach and abs(z[a] - z[b]) <= 1.0:
                alone = False
                break
        if alone:
            kept[n] = a
            n += 1
    return kept[:n].copy()


@compiled()
def _root(parent: Int32Array, b: int) -> int:
    """Follow a basin to the one it was merged into, with path halving."""
    while parent[b] != b:
        parent[b] = parent[parent[b]]
        b = parent[b]
    return b


@compiled()
def _basins_around(
    basin: Int32Array,
    parent: Int32Array,
    flat: Float32Array,
    p: int,
    height: int,
    width: int,
    touching: Int64Array,
) -> int:
    """Write the different basins among the eight neighbours of flat pixel ``p`` to ``touching``; return how many.

    The basin of the highest neighbour comes first: it is there that the way up from ``p`` leads.
    """
    i, j = p // width, p % width
    count, steepest = 0, -np.inf
    for ii in range(max(i - 1, 0), min(i + 2, height)):
        for jj in range(max(j - 1, 0), min(j + 2, width)):
            q = ii * width + jj
            if basin[q] == 0:
                continue
            b = _root(parent, basin[q])
            place = count
            for c in range(count):
                if touching[c] == b:
                    place = c
            touching[place] = b
            count = max(count, place + 1)
            if flat[q] > steepest:
                steepest = flat[q]
                touching[0], touching[place] = touching[place], touching[0]
    return count


@compiled()
def persistent_basins(relief: Float32Array, inside: BoolArray, order: Int64Array, min_depth: float) -> Int32Array:
    """Split ``inside`` into one basin per hill of ``relief`` that stands out.

    Pixels are flooded from the highest down, each joining the hill of its highest neighbour. Where two hills meet,
    they become one if the lower top exceeds the saddle by less than ``min_depth`` of its own height, else the saddle
    is their border.

    Parameters
    ----------
    relief : (Y, X) float32 array
        Heights, >= 0.
    inside : (Y, X) bool array
        Where there is something to split.
    order : (n,) int64 array
        Flat indices of the pixels inside, highest first.
    min_depth : float
        Share of a hill's height by which it must rise over its saddle to stand on its own, 0-1.

    Returns
    -------
    (Y, X) int32 array
        Basins 1..k, 0 outside.
    """
    height, width = relief.shape
    basin = np.zeros(height * width, dtype=np.int32)
    parent = np.zeros(order.size + 1, dtype=np.int32)
    top = np.zeros(order.size + 1, dtype=np.float32)
    flat = relief.ravel()
    n = 0
    touching = np.zeros(9, dtype=np.int64)
    for p in order:
        count = _basins_around(basin, parent, flat, p, height, width, touching)
        if count == 0:
            n += 1
            parent[n], top[n], basin[p] = n, flat[p], n
            continue
        basin[p] = best = touching[0]
        for c in range(1, count):
            if top[touching[c]] > top[best]:
                best = touching[c]
        for c in range(count):
            other = touching[c]
            if other != best and top[other] - flat[p] < min_depth * top[other]:
                parent[other] = best
    names = np.zeros(n + 1, dtype=np.int32)
    k = 0
    for p in order:
        b = _root(parent, basin[p])
        if names[b] == 0:
            k += 1
            names[b] = k
        basin[p] = names[b]
    return basin.reshape(height, width)


class _Front(NamedTuple):
    """State of the search of :func:`spread`.

    Attributes
    ----------
    labels, best : (n,) int32
        Label of every flat pixel, and the least cost at which it was reached.
    first : (ring,) int32
        First entry of every bucket, -1 for none.
    entries : (m, 3) int32
        Pixel, cost, and next entry in the same bucket.
    """

    labels: Int32Array
    best: Int32Array
    first: Int32Array
    entries: Int32Array


@compiled()
def _relax(
    p: int, now: int, cost: npt.NDArray[np.uint8], inside: BoolArray, front: _Front, used: int, waiting: int
) -> tuple[int, int]:
    """Offer flat pixel ``p``'s label to its eight neighbours and queue those that take it."""
    labels, best, first, entries = front
    height, width = cost.shape
    i, j = p // width, p % width
    for ii in range(max(i - 1, 0), min(i + 2, height)):
        for jj in range(max(j - 1, 0), min(j + 2, width)):
            q = ii * width + jj
            price = now + cost[ii, jj] * (3 if ii != i and jj != j else 2)
            if inside[ii, jj] and price < best[q]:
                best[q], labels[q] = price, labels[p]
                bucket = price % first.size
                entries[used, 0], entries[used, 1], entries[used, 2] = q, price, first[bucket]
                first[bucket] = used
                used, waiting = used + 1, waiting + 1
    return used, waiting


@compiled()
def spread(cost: npt.NDArray[np.uint8], inside: BoolArray, markers: Int32Array) -> Int32Array:
    """Give every pixel inside to the marker it is reached from at the least cost (Dijkstra on a ring of buckets).

    Parameters
    ----------
    cost : (Y, X) uint8 array
        Cost of a step onto a pixel, >= 1; a diagonal step costs 1.5 times as much.
    inside : (Y, X) bool array
        Pixels that may be entered.
    markers : (Y, X) int32 array
        Labels to start from, 0 where there is none.

    Returns
    -------
    (Y, X) int32 array
        Labels; 0 outside and where no marker leads.
    """
    height, width = cost.shape
    n = height * width
    ring = 1024  # more than the dearest step, 3 * 255
    labels = markers.copy().ravel()
    best = np.full(n, np.iinfo(np.int32).max, dtype=np.int32)
    first = np.full(ring, -1, dtype=np.int32)
    entries = np.empty((4 * n + 16, 3), dtype=np.int32)  # pixel, cost, next entry in the same bucket
    used, waiting = 0, 0
    for p in range(n):
        if labels[p] > 0:
            best[p] = 0
            entries[used, 0], entries[used, 1], entries[used, 2] = p, 0, first[0]
            first[0] = used
            used, waiting = used + 1, waiting + 1
    now = 0
    while waiting > 0:
        entry = first[now % ring]
        if entry < 0:
            now += 1
            continue
        first[now % ring] = entries[entry, 2]
        waiting -= 1
        p = entries[entry, 0]
        if entries[entry, 1] > best[p]:
            continue
        if used + 8 > entries.shape[0]:
            entries = np.concatenate((entries, np.empty_like(entries)))
        used, waiting = _relax(p, now, cost, inside, _Front(labels, best, first, entries), used, waiting)
    return labels.reshape(height, width)


@compiled()
def fill_pits(levels: Int32Array, n_levels: int) -> Int32Array:
    """Raise every pit of a (Y, X) relief to its lowest way out to the border (flooding by buckets).

    Parameters
    ----------
    levels : (Y, X) int32 array
        Heights 0 .. n_levels - 1.
    n_levels : int
        Number of heights.

    Returns
    -------
    (Y, X) int32 array
        The filled relief, nowhere below the given one.
    """
    height, width = levels.shape
    first = np.full(n_levels, -1, dtype=np.int32)
    following = np.empty(height * width, dtype=np.int32)
    out = np.full((height, width), -1, dtype=np.int32)
    for i in range(height):
        for j in range(width):
            if i == 0 or j == 0 or i == height - 1 or j == width - 1:
                out[i, j] = levels[i, j]
                p = i * width + j
                following[p] = first[levels[i, j]]
                first[levels[i, j]] = p
    for level in range(n_levels):
        while first[level] >= 0:
            p = first[level]
            first[level] = following[p]
            i, j = p // width, p % width
            for ii in range(max(i - 1, 0), min(i + 2, height)):
                for jj in range(max(j - 1, 0), min(j + 2, width)):
                    if out[ii, jj] < 0:
                        raised = max(level, levels[ii, jj])
                        out[ii, jj] = raised
                        q = ii * width + jj
                        following[q] = first[raised]
                        first[raised] = q
    return out
