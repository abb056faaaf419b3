"""Broken tracks joined again: across frames in which a cell went unseen, and where it dimmed for a while."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from cicimage.arrays import Float64Array, Int64Array
from cicimage.compiled import compiled
from cicimage.tracking.linking import TAIL, Points, Terms, likeness
from cicimage.tracking.matching import assign
from cicimage.tracking.motion import Limits, Motion, loop_arguments
from cicimage.tracking.sightings import Sightings

_VELOCITY_STEPS = 3
_LEVEL_STEPS = 3
_LOG_STILL = math.log(0.6)
"""Log probability that a guest unseen in one frame is unseen in the next."""


def successors(previous: Int64Array) -> Int64Array:
    """Index of each object's next sighting, -1 for none, from that of its previous one."""
    following = np.full(previous.size, -1, np.int64)
    linked = np.flatnonzero(previous >= 0)
    following[previous[linked]] = linked
    return following


@compiled(error_model="numpy")
def number(previous: Int64Array) -> Int64Array:
    """Cell of each object, 1 and up in the order of first sightings."""
    cell = np.zeros(previous.size, np.int64)
    count = 0
    for j in range(previous.size):
        if previous[j] < 0:
            count += 1
            cell[j] = count
        else:
            cell[j] = cell[previous[j]]
    return cell


@compiled(error_model="numpy")
def _velocity(
    at: int, towards: Int64Array, time: Float64Array, y: Float64Array, x: Float64Array
) -> tuple[float, float]:
    """Mean velocity over the last few sightings in one direction of time, um/min; 0 for a single sighting."""
    far = at
    for _ in range(_VELOCITY_STEPS):
        if towards[far] < 0:
            break
        far = towards[far]
    if far == at:
        return 0.0, 0.0
    dt = time[at] - time[far]
    return (y[at] - y[far]) / dt, (x[at] - x[far]) / dt


@compiled(error_model="numpy")
def _gap_links(  # noqa: C901 - nested loops over ends, frames and starts
    points: Points, terms: Terms, frames: Int64Array, previous: Int64Array, following: Int64Array, log_missed: float
) -> tuple[Int64Array, Int64Array, Float64Array]:
    """End, start and gain of every gap with a positive gain, in order of ends."""
    offsets, t_min, y, x, features = points
    scale_um, step_min, damping, log_chance, feature_weights, max_speed, slack_um, max_gap_min = terms
    time = np.repeat(t_min, offsets[1:] - offsets[:-1])
    of_start, of_end, of_gain = [0][:0], [0][:0], [0.0][:0]
    bonus = feature_weights[0].sum()
    for f in range(frames.size - 2):
        for i in range(offsets[f], offsets[f + 1]):
            if following[i] >= 0:
                continue
            vy, vx = _velocity(i, previous, time, y, x)
            for g in range(f + 1, frames.size):
                dt = t_min[g] - t_min[f]
                missed = frames[g] - frames[f] - 1
                if dt > max_gap_min:
                    break
                if missed == 0:
                    continue
                growth = (dt / step_min) ** (1.0 + damping)
                carry = step_min * damping * (1.0 - damping ** (dt / step_min)) / (1.0 - damping)
                var = scale_um**2 * growth
                unseen = log_missed + (missed - 1) * _LOG_STILL
                at_zero = unseen - np.log(2.0 * np.pi * var) - log_chance
                if at_zero + bonus <= 0.0:
                    break
                reach = np.sqrt(TAIL * var * (np.exp(2.0 * (at_zero + bonus) / (TAIL + 2.0)) - 1.0))
                reach = min(reach + carry * np.hypot(vy, vx), max_speed * dt + slack_um)
                low = offsets[g] + np.searchsorted(y[offsets[g] : offsets[g + 1]], y[i] - reach)
                for j in range(low, offsets[g + 1]):
                    if y[j] > y[i] + reach:
                        break
                    if previous[j] >= 0 or abs(x[j] - x[i]) > reach:
                        continue
                    if (y[j] - y[i]) ** 2 + (x[j] - x[i]) ** 2 > (max_speed * dt + slack_um) ** 2:
                        continue
                    wy, wx = _velocity(j, following, time, y, x)
                    dy = y[j] - y[i] - 0.5 * carry * (vy + wy)
                    dx = x[j] - x[i] - 0.5 * carry * (vx + wx)
                    gain = at_zero - 0.5 * (TAIL + 2.0) * np.log(1.0 + (dy * dy + dx * dx) / (TAIL * var))
                    gain += likeness(features, i, j, feature_weights)
                    if gain > 0.0:
                        of_end.append(i)
                        of_start.append(j)
                        of_gain.append(gain)
    return np.array(of_end), np.array(of_start), np.array(of_gain)


def close_gaps(seen: Sightings, previous: Int64Array, motion: Motion, limits: Limits) -> Int64Array:
    """Join tracks across frames in which a cell went unseen.

    The value of closing a gap is that of a link (:mod:`cicimage.tracking.linking`), with the expected displacement
    over the length of the gap, the velocities before and after it, and the odds of going unseen once per missed frame.
    All gaps of the movie are chosen together.

    Parameters
    ----------
    seen : Sightings
        All objects.
    previous : (n,) int64
        Links made so far.
    motion : Motion
        As measured.
    limits : Limits
        Limits of links; the longest gap is a time, not a number of frames.

    Returns
    -------
    (n,) int64
        ``previous`` with the gaps' links added.
    """
    missed = float(np.log(np.clip(0.5 * motion.lost, 0.005, 0.2)))
    points, terms = loop_arguments(seen, motion, limits)
    ends, starts, gains = _gap_links(points, terms, seen.frames, previous, successors(previous), missed)
    return _join(previous, ends, starts, gains)


def relink_dimmed(
    seen: Sightings, previous: Int64Array, motion: Motion, *, max_gap_min: float, max_um: float, dimmed: float
) -> Int64Array:
    """Join tracks that ended because the cell dimmed, and began again nearby once it was visible.

    A guest inside a host is seen through it: its signal falls, the track ends, and would start again as a prevalent
    guest. Two tracks are joined where the end or the start is dim against the track's own level, the positions are
    close, the levels similar, and the match is ten times likelier than a new guest in that place and time.

    Parameters
    ----------
    seen, previous, motion
        As in :func:`close_gaps`.
    max_gap_min : float
        Longest time unseen, minutes.
    max_um : float
        Largest displacement meanwhile, um: the host holds the cell.
    dimmed : float
        Share of a track's median intensity below which its end counts as dim.
    """
    log_intensity = seen.features[:, 2]
    following = successors(previous)
    time, cell = seen.time_min, number(previous)
    ends = np.flatnonzero((following < 0) & (seen.frame < seen.frames[-1]))
    starts = np.flatnonzero((previous < 0) & (seen.frame > seen.frames[0]))
    if not (ends.size and starts.size and np.isfinite(log_intensity).any()):
        return previous
    points = np.stack([seen.y, seen.x], axis=1)
    i, j = near(points[ends], points[starts], max_um)
    i, j = ends[i], starts[j]
    fits = (time[j] > time[i]) & (time[j] - time[i] <= max_gap_min) & (cell[i] != cell[j])
    i, j = i[fits], j[fits]
    level = _levels(cell, log_intensity, np.union1d(cell[i], cell[j]))
    fell = _recent(i, previous, log_intensity) - level[cell[i]] < np.log(dimmed)
    rose = _recent(j, following, log_intensity) - level[cell[j]] < np.log(dimmed)
    dt = time[j] - time[i]
    change = level[cell[j]] - level[cell[i]]
    fits = (fell | rose) & (np.abs(change) <= -2 * np.log(dimmed))
    i, j, dt, change = i[fits], j[fits], dt[fits], change[fits]
    # New guests per um2 and minute: the alternative explanation of a start nearby, which must be ten times less likely.
    newcomers = np.exp(motion.log_chance) * (1 - motion.lost) / motion.lost / motion.step_min
    r2 = np.maximum((seen.y[j] - seen.y[i]) ** 2 + (seen.x[j] - seen.x[i]) ** 2, (0.25 * max_um) ** 2)
    gain = -np.log(10 * newcomers * np.pi * r2 * dt) - change**2
    return _join(previous, i[gain > 0], j[gain > 0], gain[gain > 0])


def near(points: Float64Array, others: Float64Array, reach_um: float) -> tuple[Int64Array, Int64Array]:
    """Find all pairs of a point and another one within reach.

    Parameters
    ----------
    points, others : (n, d), (m, d) float64
        Positions, um.
    reach_um : float
        Greatest distance, um.

    Returns
    -------
    (k,) int64, (k,) int64
        Index of the point and of the other one, both ascending.
    """
    if not (len(points) and len(others)):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    found: Any = cKDTree(others).query_ball_point(points, reach_um, return_sorted=True)
    counts = [len(f) for f in found]
    return np.repeat(np.arange(len(points)), counts), np.concatenate(found).astype(np.int64)


def _levels(cell: Int64Array, log_intensity: Float64Array, wanted: Int64Array) -> Float64Array:
    """Median log intensity by cell number, of the wanted cells; NaN elsewhere and where unknown."""
    level = np.full(int(cell.max()) + 1, np.nan)
    is_wanted = np.zeros(level.size, np.bool_)
    is_wanted[wanted] = True
    rows = np.flatnonzero(is_wanted[cell] & np.isfinite(log_intensity))
    by_cell = pd.Series(log_intensity[rows]).groupby(cell[rows]).median()
    level[by_cell.index.to_numpy()] = by_cell.to_numpy()
    return level


def _recent(at: Int64Array, towards: Int64Array, log_intensity: Float64Array) -> Float64Array:
    """Lowest log intensity among the last few sightings at a track's end (or first few at its start)."""
    lowest = log_intensity[at]
    here = at
    for _ in range(_LEVEL_STEPS - 1):
        here = np.where(towards[here] >= 0, towards[here], here)
        lowest = np.fmin(lowest, log_intensity[here])
    return lowest


def _join(previous: Int64Array, ends: Int64Array, starts: Int64Array, gains: Float64Array) -> Int64Array:
    """Choose the best set of (end, start) pairs and write it into a copy of ``previous``; ends ascend."""
    if not ends.size:
        return previous
    rows, row = np.unique(ends, return_inverse=True)
    cols, col = np.unique(starts, return_inverse=True)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=rows.size))]).astype(np.int64)
    chosen = assign(indptr, col.astype(np.int64), gains, cols.size)
    joined = previous.copy()
    made = chosen >= 0
    joined[cols[chosen[made]]] = rows[made]
    return joined
