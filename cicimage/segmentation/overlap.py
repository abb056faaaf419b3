"""Overlap of hosts: where the summed signal shows that two lie over one another, both keep the area.

A partition gives every pixel to one host. Two lamellae over one another make a lens about as bright as both
together, with a sharp step down to the one lamella on either side. Such a lens at a border belongs to both.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from cicimage.arrays import BoolArray, Float32Array, Float64Array, Int32Array
from cicimage.masks import Masks
from cicimage.segmentation.grid import dilated, disc
from cicimage.segmentation.host_split import nearest

Piece = tuple[slice, slice, BoolArray]

_CROSS: Final = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
STEP_UM: Final = 2.6  # width of a host's edge; the flank of its thick middle is wider
MIN_AREA_UM2: Final = 30.0


def shared_ground(
    labels: Int32Array, signal: Float32Array, um_per_px: float, *, reach_um: float, added: float, sharpness: float
) -> dict[int, list[Piece]]:
    """Find the lenses that two hosts share.

    For two hosts in touch, the *lamella level* of each is the lower 30th percentile of its signal within
    ``reach_um`` of the other. Candidates are connected patches within that reach where the signal exceeds the
    higher level by at least ``added`` of the lower one: what a second lamella adds. A patch is a lens if it
    touches the border, covers at least 30 um2, and along at least half of its rim in either host the signal falls
    by ``sharpness`` of the lower level within 2.6 um: the thick middle of a single host rises more gently, and a
    bright host beside a dim one falls on one side only.

    Parameters
    ----------
    labels : (Y, X) int32 array
        Partition.
    signal : (Y, X) float32 array
        Signal summed over z, over background.
    um_per_px : float
        Pixel size, um.
    reach_um : float
        Farthest that a lens reaches from the border, um.
    added, sharpness : float
        Shares of the lower lamella level, see above.

    Returns
    -------
    dict
        Per label the pieces it gains: window (Y, X slices) and (h, w) bool pixels, which lie in a neighbour.
    """
    gained: dict[int, list[Piece]] = {}
    if int(labels.max(initial=0)) < 2:
        return gained
    smooth = cv2.GaussianBlur(signal, (0, 0), max(0.5, 1.0 / um_per_px))
    reach = max(2, round(reach_um / um_per_px))
    step = disc(STEP_UM / um_per_px)
    level = _levels(labels, smooth)
    for a, b, (y0, y1, x0, x1), top in _borders(labels, smooth):
        if top < 0.9 * (max(level[a], level[b]) + added * min(level[a], level[b])):
            continue  # a dark seam
        window = (slice(max(0, y0 - reach - 2), y1 + reach + 3), slice(max(0, x0 - reach - 2), x1 + reach + 3))
        in_a, in_b = labels[window] == a, labels[window] == b
        lens = _lens(in_a, in_b, smooth[window], reach, step, added, sharpness, MIN_AREA_UM2 / um_per_px**2)
        for own, other in ((a, in_b), (b, in_a)):
            piece = lens & other
            if piece.any():
                gained.setdefault(own, []).append((*window, piece))
    return gained


def without_lenses(labels: Int32Array, signal: Float32Array, um_per_px: float, *, reach_um: float) -> Int32Array:
    """Give lenses that a partition took for hosts back to the two hosts that make them.

    A label is a lens between its two longest neighbours where the bright patch about its top is flat (its highest
    part within a fifth of its median), no brighter than 1.6 times both neighbours' lamellae together, and falls by
    0.3 of the dimmer lamella within 2.6 um along at least 0.6 of its rim. Its pixels go to the nearer of the two.

    Parameters
    ----------
    labels : (Y, X) int32 array
        Partition, 0 for background.
    signal : (Y, X) float32 array
        Signal summed over z, over background.
    um_per_px : float
        Pixel size, um.
    reach_um : float
        Farthest that a lens reaches into a neighbour, um.

    Returns
    -------
    (Y, X) int32 array
        Labels without those of lenses.
    """
    smooth = cv2.GaussianBlur(signal, (0, 0), max(0.5, 1.0 / um_per_px))
    neighbours: dict[int, list[int]] = {}
    for a, b, _, _ in _borders(labels, smooth):
        neighbours.setdefault(a, []).append(b)
        neighbours.setdefault(b, []).append(a)
    reach = max(2, round(reach_um / um_per_px))
    step = disc(STEP_UM / um_per_px)
    out = labels.copy()
    for mask in Masks.from_labels(labels):
        beside = neighbours.get(mask.label, [])
        if len(beside) < 2:
            continue
        y0, x0 = max(0, mask.y0 - reach - 2), max(0, mask.x0 - reach - 2)
        window = (slice(y0, mask.window[0].stop + reach + 2), slice(x0, mask.window[1].stop + reach + 2))
        makers = _makers(out[window], smooth[window], mask.label, beside, reach, step)
        if makers is not None:
            cut = out[window]
            own, pair = cut == mask.label, (cut == makers[0]) | (cut == makers[1])
            cut[own] = nearest(np.where(pair, cut, 0))[own]
    return out


def _makers(
    labels: Int32Array, signal: Float32Array, label: int, beside: list[int], reach: int, step: npt.NDArray[np.uint8]
) -> tuple[int, int] | None:
    """The two hosts that make ``label`` a lens, or None where it is a host."""
    inside = labels == label
    if not inside.any():
        return None
    near = _within(inside, reach)
    zones = sorted(((int(np.count_nonzero(near & (labels == b))), b) for b in beside), reverse=True)[:2]
    if zones[1][0] < 20:
        return None
    levels = [_quantile(signal[near & (labels == b)], 0.3) for _, b in zones]
    lower, higher = min(levels), max(levels)
    bright = ((labels > 0) & (signal > higher + 0.3 * lower)).astype(np.uint8)
    _, patches = cv2.connectedComponents(bright, connectivity=4)
    top = patches.ravel()[np.argmax(np.where(inside, signal, -1.0))]
    if top == 0:
        return None
    patch = patches == top
    middle = float(np.median(signal[patch]))
    if _quantile(signal[patch], 0.97) > 1.2 * middle or middle > 1.6 * (lower + higher):
        return None
    inner = cv2.dilate(np.where(patch, signal, np.float32(0.0)), step)
    ring = dilated(patch, step) & ~dilated(patch, _CROSS) & (labels > 0)
    if np.count_nonzero(ring) < 10 or np.mean((inner - signal)[ring] > 0.3 * lower) < 0.6:
        return None
    return zones[0][1], zones[1][1]


def _borders(labels: Int32Array, signal: Float32Array) -> list[tuple[int, int, tuple[int, int, int, int], float]]:
    """Every pair of labels in touch, the box (y0, y1, x0, x1) of their border, and the highest signal on it."""
    found: list[Float64Array] = []
    for one, other, dy, dx in ((labels[:-1], labels[1:], 1, 0), (labels[:, :-1], labels[:, 1:], 0, 1)):
        y, x = np.nonzero(one != other)
        p, q = one[y, x], other[y, x]
        both = (p > 0) & (q > 0)
        y, x, p, q = y[both], x[both], p[both], q[both]
        high = np.maximum(signal[y, x], signal[y + dy, x + dx])
        found.append(np.column_stack([np.minimum(p, q), np.maximum(p, q), y, y + dy, x, x + dx, high]))
    rows = np.concatenate(found)
    if not rows.size:
        return []
    rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
    new = np.r_[True, np.any(rows[1:, :2] != rows[:-1, :2], axis=1)]
    start = np.flatnonzero(new)
    low = np.minimum.reduceat(rows[:, [2, 4]], start, axis=0).astype(int)
    high_ends = np.maximum.reduceat(rows[:, [3, 5, 6]], start, axis=0)
    return [
        (int(a), int(b), (int(y0), int(y1), int(x0), int(x1)), float(top))
        for (a, b), (y0, x0), (y1, x1, top) in zip(rows[start, :2], low, high_ends, strict=True)
    ]


def _levels(labels: Int32Array, signal: Float32Array) -> Float64Array:
    """Lower 30th percentile of the signal within each label, (n + 1,)."""
    level = np.zeros(int(labels.max(initial=0)) + 1)
    for mask in Masks.from_labels(labels):
        level[mask.label] = _quantile(signal[mask.window][mask.pixels], 0.3)
    return level


def _quantile(values: Float32Array, share: float) -> float:
    """The value below which a share of the values lies, without interpolation."""
    k = min(values.size - 1, int(share * values.size))
    return float(np.partition(values, k)[k])


def _within(pixels: BoolArray, radius: float) -> BoolArray:
    """Everything within a distance of ``pixels``."""
    return np.asarray(cv2.distanceTransform((~pixels).astype(np.uint8), cv2.DIST_L2, 3) <= radius)


def _lens(
    in_a: BoolArray,
    in_b: BoolArray,
    signal: Float32Array,
    reach: int,
    step: npt.NDArray[np.uint8],
    added: float,
    sharpness: float,
    least_px: float,
) -> BoolArray:
    """Pixels of the lenses at the border of a and b."""
    lens = np.zeros(in_a.shape, dtype=np.bool_)
    zone_a, zone_b = in_a & _within(in_b, reach), in_b & _within(in_a, reach)
    both = in_a | in_b
    deep = cv2.erode(both.astype(np.uint8), step, borderValue=1) > 0
    if np.count_nonzero(zone_a & deep) < 20 or np.count_nonzero(zone_b & deep) < 20:
        return lens
    levels = [_quantile(signal[zone & deep], 0.3) for zone in (zone_a, zone_b)]
    lower, higher = min(levels), max(levels)
    bright = ((zone_a | zone_b) & (signal > higher + added * lower)).astype(np.uint8)
    bright = cv2.morphologyEx(bright, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    at_border = (in_a & dilated(in_b, step)) | (in_b & dilated(in_a, step))
    _, patches = cv2.connectedComponents(bright, connectivity=4)
    for patch in np.unique(patches[at_border & (bright > 0)]):
        own = patches == patch
        if np.count_nonzero(own) < least_px:
            continue
        inner = cv2.dilate(np.where(own, signal, np.float32(0.0)), step)
        ring = dilated(own, step) & ~dilated(own, _CROSS) & deep
        falls = inner - signal > sharpness * lower
        if all(np.count_nonzero(ring & side) >= 5 and falls[ring & side].mean() >= 0.5 for side in (in_a, in_b)):
            lens |= own
    return lens
