"""Motion of cells, persistence of their velocity and steadiness of their features, measured from the recording.

No prior knowledge is needed: the same tracker serves 2 min and 15 min intervals, resting and activated cells, and any
pixel size.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from cicimage.arrays import Float64Array, Int64Array
from cicimage.tracking.linking import Points, Terms, link_frames
from cicimage.tracking.sightings import Sightings

_SAMPLE = 6_000
"""Objects used by the measurement; more would only take longer."""
_ROUNDS = 3
_PRIOR_LINKS = 5.0


@dataclass(frozen=True, eq=False)
class Motion:
    """Statistics of one step.

    Attributes
    ----------
    scale_um : float
        RMS displacement per axis in ``step_min`` that the velocity before did not predict, um.
    step_min : float
        Median time between frames, minutes.
    damping : float
        Share of the last velocity that carries over to the next step, 0-1.
    lost : float
        Share of objects without a successor in the next frame.
    log_chance : float
        Log of (density of new objects per um2 and frame, times odds of losing one).
    pair_sd, all_sd : (3,) float64
        SD of differences in features within one cell over a step, and between any two cells.
    jumps : (3,) float64
        Share of steps in which a feature changes by more than three of those.
    """

    scale_um: float
    step_min: float
    damping: float
    lost: float
    log_chance: float
    pair_sd: Float64Array
    all_sd: Float64Array
    jumps: Float64Array

    def feature_weights(self, weight: float) -> Float64Array:
        """Compute the weights of the features for :func:`~cicimage.tracking.linking.likeness`.

        Within a cell the differences are normal but for a share of jumps, which may be anything.

        Parameters
        ----------
        weight : float
            Factor on all of them, 0-1.

        Returns
        -------
        (3, k) float64 array
            Value of equal features, decrease with the squared difference, and least value.
        """
        known = self.all_sd > self.pair_sd
        pair, every = np.where(known, self.pair_sd, 1.0), np.where(known, self.all_sd, 1.0)
        worth = np.log(every / pair) + np.log1p(-self.jumps)
        least = np.log(self.jumps)
        return weight * np.where(known, np.stack([worth, 0.5 * (pair**-2 - every**-2), least]), 0.0)


class Limits(NamedTuple):
    """Limits of links, and the weight of features beside motion.

    Attributes
    ----------
    weight : float
        Factor on the features, 0-1; 0 links by motion alone.
    max_speed : float
        Hard limit, um/min; inf for none.
    max_gap_min : float
        Longest time unseen between two sightings that are linked, minutes.
    """

    weight: float = 0.5
    max_speed: float = np.inf
    max_gap_min: float = 15.0


def link(seen: Sightings, motion: Motion, limits: Limits) -> tuple[Int64Array, Float64Array]:
    """Link sightings by :func:`~cicimage.tracking.linking.link_frames`.

    Parameters
    ----------
    seen : Sightings
        All objects.
    motion : Motion
        Motion of the population.
    limits : Limits
        Limits of links.

    Returns
    -------
    previous : (n,) int64 array
        Index of the same cell's object in the frame before, -1 for none.
    residual : (n,) float64 array
        Distance from the expected place over the square root of the expected growth with time, um; NaN without a link.
    """
    links: tuple[Int64Array, Float64Array] = link_frames(*loop_arguments(seen, motion, limits), seen.skipped)
    return links


def loop_arguments(seen: Sightings, motion: Motion, limits: Limits) -> tuple[Points, Terms]:
    """Convert sightings, motion and limits to the arguments of the compiled loops.

    Parameters
    ----------
    seen, motion, limits
        As :func:`link` takes them.

    Returns
    -------
    Points, Terms
        All objects, and the value of their links.
    """
    points = Points(seen.offsets, seen.t_min, seen.y, seen.x, seen.features)
    return points, Terms(
        motion.scale_um, motion.step_min, motion.damping, motion.log_chance, motion.feature_weights(limits.weight),
        limits.max_speed, 0.5 * seen.diameter_um, limits.max_gap_min,
    )  # fmt: skip


def measure(seen: Sightings, limits: Limits) -> Motion:
    """Measure the motion of a movie from a window in its middle.

    A first guess comes from mutual nearest neighbours; linking with it gives links, whose displacements, losses
    and features give the next guess, three times over.

    Parameters
    ----------
    seen : Sightings
        At least one object.
    limits : Limits
        Limits of links.
    """
    part = _window(seen)
    motion = _first_guess(seen, part)
    for _ in range(_ROUNDS):
        previous, residual = link(part, motion, limits)
        linked = np.flatnonzero(previous >= 0)
        if linked.size == 0:
            break
        motion = _refine(part, motion, previous, residual, linked)
    return motion


def _window(seen: Sightings) -> Sightings:
    """Consecutive frames about the movie's middle that hold at most ``_SAMPLE`` objects, three at least."""
    n = seen.frames.size
    wide = int(np.clip(_SAMPLE * n // max(seen.size, 1), 3, n)) if n > 3 else n
    a = (n - wide) // 2
    first, last = int(seen.offsets[a]), int(seen.offsets[a + wide])
    return replace(
        seen,
        row=seen.row[first:last],
        frame=seen.frame[first:last],
        offsets=seen.offsets[a : a + wide + 1] - first,
        frames=seen.frames[a : a + wide],
        t_min=seen.t_min[a : a + wide],
        y=seen.y[first:last],
        x=seen.x[first:last],
        features=seen.features[first:last],
        area_um2=seen.area_um2[first:last],
    )


def _first_guess(seen: Sightings, part: Sightings) -> Motion:
    d2: list[Float64Array] = [np.empty(0)]
    size = seen.diameter_um
    points = np.stack([part.y, part.x], axis=1)
    for f in range(part.frames.size - 1):
        a = points[part.offsets[f] : part.offsets[f + 1]]
        b = points[part.offsets[f + 1] : part.offsets[f + 2]]
        distance, at = (np.asarray(v) for v in cKDTree(b).query(a))
        back = np.asarray(cKDTree(a).query(b)[1])
        d2.append(distance[back[at] == np.arange(len(a))] ** 2)
    found = np.concatenate(d2)
    # Half a diameter per axis is the prior for few pairs; the median is robust to wrong pairs.
    squares = np.append(found / 2, np.full(int(_PRIOR_LINKS), (0.5 * size) ** 2))
    scale = float(np.sqrt(max(np.median(squares) / 0.693, (0.02 * size) ** 2)))
    some = seen.features[:: max(seen.size // _SAMPLE, 1)]
    spread = np.array([_spread(column) for column in some.T])
    return Motion(
        scale_um=scale,
        step_min=seen.step_min,
        damping=0.0,
        lost=0.05,
        log_chance=_log_chance(seen, 0.05, 0.05),
        pair_sd=spread * np.sqrt(2.0),
        all_sd=spread * np.sqrt(2.0),
        jumps=np.full(spread.size, 0.1),
    )


def _refine(
    part: Sightings, motion: Motion, previous: Int64Array, residual: Float64Array, linked: Int64Array
) -> Motion:
    source = previous[linked]
    time = part.time_min
    r2 = residual[linked] ** 2 / 2
    top = np.quantile(r2, 0.98)
    size = part.diameter_um
    scale2 = (np.minimum(r2, top).sum() + _PRIOR_LINKS * motion.scale_um**2) / (linked.size + _PRIOR_LINKS)
    before = previous[source]
    both = before >= 0
    damping = 0.0
    if both.any():
        b, s, e = before[both], source[both], linked[both]
        v0 = np.stack([part.y[s] - part.y[b], part.x[s] - part.x[b]]) / (time[s] - time[b])
        v1 = np.stack([part.y[e] - part.y[s], part.x[e] - part.x[s]]) / (time[e] - time[s])
        damping = float((v0 * v1).sum() / max((v0 * v0).sum() + _PRIOR_LINKS * (v0 * v0).mean(), 1e-12))
    change = part.features[linked] - part.features[source]
    pair = np.maximum(np.array([_spread(d) for d in change.T]), 0.02 * motion.all_sd)
    with np.errstate(invalid="ignore"):
        jumps = np.clip(np.mean(np.abs(change) > 3 * pair, axis=0), 0.02, 0.5)
    known = linked.size >= 20
    lost = 1.0 - linked.size / max(part.offsets[-2], 1)
    new = 1.0 - linked.size / max(part.size - part.offsets[1], 1)
    shrink = linked.size / (linked.size + 50.0)  # a short movie says little about losses
    lost, new = (float(np.clip(shrink * p + (1 - shrink) * 0.05, 0.002, 0.5)) for p in (lost, new))
    return replace(
        motion,
        scale_um=float(max(np.sqrt(scale2), 0.02 * size)),
        damping=float(np.clip(damping, 0.0, 0.95)),
        lost=lost,
        log_chance=_log_chance(part, new, lost),
        pair_sd=pair if known else motion.pair_sd,
        jumps=jumps if known else motion.jumps,
    )


def _log_chance(seen: Sightings, new: float, lost: float) -> float:
    per_frame = seen.size / max(seen.frames.size, 1)
    field = max(seen.field_um2, (20 * seen.diameter_um) ** 2)  # one cell alone has no field of its own
    return float(np.log(new * per_frame / field * lost / (1 - lost)))


def _spread(values: Float64Array) -> float:
    """SD from the quartiles; 0 where fewer than four values are known."""
    known = values[np.isfinite(values)]
    if known.size < 4:
        return 0.0
    low, high = np.quantile(known, [0.25, 0.75])
    return float((high - low) / 1.349)
