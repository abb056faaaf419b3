"""Hosts that lie over one another: where the summed signal shows it, both keep the ground.

A partition gives every pixel to one host. Two lamellae over one another make a lens about as bright as both
together, with a step down to the one lamella on either side. Such a lens across a border belongs to both.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from cicimage.masks import BoolArray, FloatArray

Labels = npt.NDArray[np.int32]


def shared_ground(
    labels: Labels, signal: FloatArray, um_per_px: float, *, reach_um: float, sum_share: float
) -> dict[int, list[tuple[slice, slice, BoolArray]]]:
    """Find the lenses each host shares with a neighbour.

    For two hosts in touch, the *lamella level* of each is the median signal within 6 um of its own free rim (its
    lower quartile where it has no free rim). The lens is the connected ground within ``reach_um`` of their
    common border, on both sides, where the signal is at least ``sum_share`` of the sum of both levels. It counts
    where it is flat (its signal on the border at least nine tenths of its median, none of it over twice the level)
    and where at least seven tenths of its rim within the two cells fall below that level before ``reach_um`` is
    spent: else it is a seam, or the one cell's own thick middle.

    Parameters
    ----------
    labels : (Y, X) int32 array
        Partition.
    signal : (Y, X) float32 array
        Signal over background.
    um_per_px : float
        Pixel size, um.
    reach_um : float
        Farthest that a lens reaches from the border, um.
    sum_share : float
        Share of the summed lamella levels that makes a lens.

    Returns
    -------
    dict
        Per label the pieces it gains: window (Y, X slices) and (h, w) bool pixels, which lie in a neighbour.
    """
    n = int(labels.max(initial=0))
    gained: dict[int, list[tuple[slice, slice, BoolArray]]] = {}
    if n < 2:
        return gained
    level = _lamella_levels(labels, signal, um_per_px)
    reach = max(2, round(reach_um / um_per_px))
    for (a, b), (y0, y1, x0, x1) in _borders(labels).items():
        window = (
            slice(max(0, y0 - reach - 1), y1 + reach + 2),
            slice(max(0, x0 - reach - 1), x1 + reach + 2),
        )
        lens = _lens(labels[window], signal[window], a, b, sum_share * (level[a] + level[b]), reach)
        if lens is None:
            continue
        for own, other in ((a, b), (b, a)):
            piece = lens & (labels[window] == other)
            if piece.any():
                gained.setdefault(own, []).append((*window, piece))
    return gained


def _lamella_levels(labels: Labels, signal: FloatArray, um_per_px: float) -> npt.NDArray[np.float64]:
    """Signal of each host's thin rim, (n + 1,)."""
    inside = np.pad(labels > 0, 1, mode="edge").astype(np.uint8)
    free = cv2.distanceTransform(inside, cv2.DIST_L2, 3)[1:-1, 1:-1] * um_per_px
    rim = (free > 1.5) & (free < 6.0)
    level = np.zeros(int(labels.max()) + 1)
    short = labels.astype(np.uint16) if labels.max() < 2**16 else labels  # sixteen bits are sorted by counting
    order = np.argsort(short, axis=None, kind="stable")
    names, start = np.unique(labels.ravel()[order], return_index=True)
    stop = np.append(start[1:], order.size)
    flat, flat_rim = signal.ravel(), rim.ravel()
    for name, first, last in zip(names, start, stop, strict=True):
        if name == 0:
            continue
        own = order[first:last]
        thin = own[flat_rim[own]]
        enough = thin.size >= max(10, own.size // 50)
        level[name] = np.median(flat[thin]) if enough else np.percentile(flat[own], 25.0)
    return level


def _borders(labels: Labels) -> dict[tuple[int, int], tuple[int, int, int, int]]:
    """Every pair of labels in touch, with the box (y0, y1, x0, x1) of the border between them."""
    found: list[npt.NDArray[np.int64]] = []
    for one, other, dy, dx in (
        (labels[:-1], labels[1:], 1, 0),
        (labels[:, :-1], labels[:, 1:], 0, 1),
    ):
        y, x = np.nonzero((one != other) & (one > 0) & (other > 0))
        pair = np.sort(np.stack([one[y, x], other[y, x]], axis=1), axis=1).astype(np.int64)
        found.append(np.column_stack([pair, y, y + dy, x, x + dx]))
    rows = np.concatenate(found)
    boxes: dict[tuple[int, int], tuple[int, int, int, int]] = {}
    pairs, index = np.unique(rows[:, :2], axis=0, return_inverse=True)
    for k, (a, b) in enumerate(pairs.tolist()):
        own = rows[index.ravel() == k]
        boxes[a, b] = (int(own[:, 2].min()), int(own[:, 3].max()), int(own[:, 4].min()), int(own[:, 5].max()))
    return boxes


def _lens(labels: Labels, signal: FloatArray, a: int, b: int, least: float, reach: int) -> BoolArray | None:
    """The lens across the border of a and b, or None."""
    in_a, in_b = labels == a, labels == b
    if not ((signal >= least) & (in_a | in_b)).any():
        return None
    near_a = cv2.distanceTransform((~in_a).astype(np.uint8), cv2.DIST_L2, 3) <= reach + 0.5
    near_b = cv2.distanceTransform((~in_b).astype(np.uint8), cv2.DIST_L2, 3) <= reach + 0.5
    zone = (in_a & near_b) | (in_b & near_a)
    bright = zone & (signal >= least)
    if not bright.any():
        return None
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    border = (in_a & (cv2.dilate(in_b.astype(np.uint8), cross) > 0)) | (
        in_b & (cv2.dilate(in_a.astype(np.uint8), cross) > 0)
    )
    _, patches = cv2.connectedComponents(bright.astype(np.uint8), connectivity=4)
    lens = np.zeros(labels.shape, dtype=np.bool_)
    for patch in np.unique(patches[border & bright]):
        own = patches == patch
        rim = (cv2.dilate(own.astype(np.uint8), cross) > 0) & ~own & (in_a | in_b)
        spent = rim & ~zone
        seam, plateau = np.median(signal[own & border]), np.median(signal[own])
        flat = seam >= 0.9 * plateau and np.percentile(signal[own], 95.0) <= 2.0 * least
        if flat and np.count_nonzero(spent) <= 0.3 * np.count_nonzero(rim):
            lens |= own
    return lens if lens.any() else None
