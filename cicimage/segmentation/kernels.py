"""Compiled loops of the segmenters: few, cached, and without a cache where none can be written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile a loop with numba, caching the result on disk where the disk lets us."""
    try:
        return cast(F, numba.njit(cache=True)(function))
    except RuntimeError:  # no folder that can be written: compile anew in every process
        return cast(F, numba.njit(function))


@compiled
def _is_peak(response: npt.NDArray[np.float32], k: int, i: int, j: int) -> bool:
    """No neighbour is higher, and of equal ones none comes before in scanning order."""
    depth, height, width = response.shape
    value = response[k, i, j]
    for kk in range(max(k - 1, 0), min(k + 2, depth)):
        for ii in range(max(i - 1, 0), min(i + 2, height)):
            for jj in range(max(j - 1, 0), min(j + 2, width)):
                other = response[kk, ii, jj]
                if other > value:
                    return False
                if other == value and (kk, ii, jj) < (k, i, j):
                    return False
    return True


@compiled
def find_peaks(response: npt.NDArray[np.float32], threshold: float) -> npt.NDArray[np.int64]:
    """Voxels of a (Z, Y, X) response above ``threshold`` and not below any of their 26 neighbours, (n, 3) z, y, x.

    On a plateau the first voxel in scanning order is taken.
    """
    depth, height, width = response.shape
    found = np.empty((4096, 3), dtype=np.int64)
    n = 0
    for k in range(depth):
        for i in range(height):
            for j in range(width):
                if response[k, i, j] > threshold and _is_peak(response, k, i, j):
                    if n == found.shape[0]:
                        found = np.concatenate((found, np.empty_like(found)))
                    found[n, 0], found[n, 1], found[n, 2] = k, i, j
                    n += 1
    return found[:n].copy()


@compiled
def _root(parent: npt.NDArray[np.int32], b: int) -> int:
    """Follow a basin to the one it was merged into, shortening the way for the next."""
    while parent[b] != b:
        parent[b] = parent[parent[b]]
        b = parent[b]
    return b


@compiled
def _basins_around(
    basin: npt.NDArray[np.int32], parent: npt.NDArray[np.int32], p: int, height: int, width: int,
    touching: npt.NDArray[np.int64],
) -> int:  # fmt: skip
    """Write the different basins among the eight neighbours of flat pixel ``p`` to ``touching``; return how many."""
    i, j = p // width, p % width
    count = 0
    for ii in range(max(i - 1, 0), min(i + 2, height)):
        for jj in range(max(j - 1, 0), min(j + 2, width)):
            b = basin[ii * width + jj]
            if b == 0:
                continue
            b = _root(parent, b)
            known = False
            for c in range(count):
                known = known or touching[c] == b
            if not known:
                touching[count] = b
                count += 1
    return count


@compiled
def persistent_basins(
    relief: npt.NDArray[np.float32], inside: npt.NDArray[np.bool_], order: npt.NDArray[np.int64], min_depth: float
) -> npt.NDArray[np.int32]:
    """Split ``inside`` into one basin per hill of ``relief`` that stands out.

    Pixels are flooded from the highest down; where two hills meet, they become one if the lower top exceeds the
    saddle by less than ``min_depth`` of its own height, else the saddle is their border.

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
        count = _basins_around(basin, parent, p, height, width, touching)
        if count == 0:
            n += 1
            parent[n], top[n], basin[p] = n, flat[p], n
            continue
        best = touching[0]
        for c in range(1, count):
            if top[touching[c]] > top[best]:
                best = touching[c]
        basin[p] = best
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
