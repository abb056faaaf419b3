"""Divisions of guests: rare, so all criteria must hold before a new track is called a daughter."""

from __future__ import annotations

import numpy as np

from cicimage.arrays import Float64Array, Int64Array
from cicimage.tracking.segments import near, number, successors
from cicimage.tracking.sightings import Sightings

_DAUGHTER_AREA = (0.35, 0.8)
"""A daughter's projected area over its mother's: half the volume of a ball is 0.63 of its disc."""
_ALIKE = 0.6
_DOUBLET = 1.7
_MIN_SIGHTINGS = 3


def find_divisions(seen: Sightings, previous: Int64Array, *, watch_min: float) -> tuple[Int64Array, Int64Array]:
    """Cut tracks where a guest divided.

    A division is called where a track starts beside the successor of a cell one frame before and

    - the two are alike in size (ratio 0.6 and more) and each has 0.35-0.8 of the mother's area;
    - their middle is where the mother was, within half her diameter, and they lie apart in opposite directions;
    - both are seen three times at least, and the mother was before;
    - the mother is not a doublet that separated: her usual area is below 1.7 times the population's median, and no
      other track ended within a diameter of her during ``watch_min``.

    Parameters
    ----------
    seen : Sightings
        All objects.
    previous : (n,) int64
        Links, gaps closed.
    watch_min : float
        How long before the division a track that ended beside the mother counts as having merged with her, minutes.

    Returns
    -------
    previous : (n,) int64
        Links with both daughters' first links cut.
    mother : (n,) int64
        For each daughter's first sighting the mother's last; -1 elsewhere.
    """
    mother = np.full(previous.size, -1, np.int64)
    if not np.isfinite(seen.area_um2).any():
        return previous, mother
    following = successors(previous)
    cell = number(previous)
    usual = float(np.nanmedian(seen.area_um2))
    starts = np.flatnonzero(
        (previous < 0) & (seen.frame > seen.frames[0]) & (np.bincount(cell)[cell] >= _MIN_SIGHTINGS)
    )
    m, j = _candidates(seen, following, starts)
    miss = _misfit(seen, m, j, following[m])
    pairs = sorted((float(miss[n]), int(m[n]), int(j[n]), int(following[m[n]])) for n in np.flatnonzero(miss < 1.0))
    cut = previous.copy()
    ends = np.flatnonzero(following < 0)
    for _, old, new, other in pairs:
        free = mother[new] < 0 and mother[other] < 0 and previous[old] >= 0
        lasting = free and _length(other, following) >= _MIN_SIGHTINGS
        if lasting and not _was_doublet(seen, old, previous, ends, usual, watch_min):
            mother[new] = mother[other] = old
            cut[other] = -1
    return cut, mother


def _candidates(seen: Sightings, following: Int64Array, starts: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Pairs (mother's last, daughter's first) one frame apart and near, where the mother's track went on smaller."""
    area = seen.area_um2
    with np.errstate(invalid="ignore"):
        smaller = area[following] <= _DAUGHTER_AREA[1] * area
    m = np.flatnonzero((following >= 0) & (seen.frame[following] == seen.frame + 1) & smaller)
    if not m.size:
        return m, starts[:0]
    reach = 4 * float(np.sqrt(np.nanmax(area[m]) / np.pi))
    apart = 4 * reach  # frames far apart along a third axis, so that one search serves all of them
    points = np.stack([seen.y, seen.x, seen.frame * apart], axis=1)
    j, k = near(points[starts], points[m] + [0, 0, apart], reach)
    return m[k], starts[j]


def _misfit(seen: Sightings, m: Int64Array, j: Int64Array, k: Int64Array) -> Float64Array:
    """Distance of daughters' middles from mothers over half her diameter; inf where another criterion fails."""
    a, b, c = seen.area_um2[m], seen.area_um2[j], seen.area_um2[k]
    with np.errstate(invalid="ignore"):
        fits = np.minimum(b, c) >= _ALIKE * np.maximum(b, c)
        for d in (b, c):
            fits &= (_DAUGHTER_AREA[0] * a <= d) & (d <= _DAUGHTER_AREA[1] * a)
        diameter = 2 * np.sqrt(a / np.pi)
    ay, ax = seen.y[j] - seen.y[m], seen.x[j] - seen.x[m]
    by, bx = seen.y[k] - seen.y[m], seen.x[k] - seen.x[m]
    fits &= (np.hypot(ay - by, ax - bx) <= 2 * diameter) & (ay * by + ax * bx < 0)
    return np.where(fits, np.hypot(ay + by, ax + bx) / diameter, np.inf)


def _length(at: int, towards: Int64Array) -> int:
    """Sightings from here on, three at most."""
    count = 1
    while count < _MIN_SIGHTINGS and towards[at] >= 0:
        at, count = int(towards[at]), count + 1
    return count


def _was_doublet(
    seen: Sightings, m: int, previous: Int64Array, ends: Int64Array, usual: float, watch_min: float
) -> bool:
    """Whether the mother was two cells in one mask: too large for long, or another track went into her."""
    areas: list[float] = []
    at = m
    while at >= 0 and len(areas) < 10:
        areas.append(float(seen.area_um2[at]))
        at = int(previous[at])
    if np.nanmedian(areas) > _DOUBLET * usual:
        return True
    time: Float64Array = seen.time_min
    diameter = 2 * np.sqrt(seen.area_um2[m] / np.pi)
    near = np.hypot(seen.y[ends] - seen.y[m], seen.x[ends] - seen.x[m]) <= diameter
    recent = (time[m] - time[ends] >= 0) & (time[m] - time[ends] <= watch_min)
    return bool((near & recent & (ends != m)).any())
