"""Hosts linked by the overlap of their masks from frame to frame: large, slow cells in contact with others."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pydantic import Field

from cicimage.arrays import Int64Array
from cicimage.masks import Mask, Masks
from cicimage.methods import HostTracker
from cicimage.tracking.matching import assign
from cicimage.tracking.sightings import Sightings, arrange, labelled

_JUST_SEEN = 1.0
_LOST = 0.8
"""Weight of hosts lost for a while, against those seen in the frame before."""
_DAUGHTER_INSIDE = 0.6
_DAUGHTERS_ALIKE = 0.4
_DAUGHTERS_AREA = (0.6, 1.5)
_MIN_SIGHTINGS = 3


@dataclass(eq=False)
class _Body:
    """One object to be linked: its row among the sightings, its position and its mask (area in px) without drift."""

    index: int
    time_min: float
    y: float
    x: float
    area_um2: float
    mask: Mask | None
    mask_px: int = 0
    asked_again: bool = False
    """Whether its mask may decide about a division later on."""


@dataclass(eq=False)
class _Track:
    """Track of one host; ``parting`` is the track and index from which it may have divided."""

    bodies: list[_Body]
    mother: _Track | None = None
    parting: tuple[_Track, int] | None = None

    @property
    def last(self) -> _Body:
        return self.bodies[-1]

    def follow(self, body: _Body) -> None:
        """Append the next sighting, and drop masks no longer needed to save memory."""
        if not self.last.asked_again:
            self.last.mask = None
        self.bodies.append(body)


class OverlapTracker(HostTracker):
    """Links hosts by overlap of their masks with drift removed, and by the distance of their centroids.

    A host lost for a while keeps its last mask and is found again there. A new object that lies, with its
    sibling, in what was one host's mask and stays is a daughter.
    """

    min_overlap: float = Field(default=0.1, gt=0, lt=1)
    """Least intersection over union of a link, 0-1, unless the centroids are near."""
    max_shift_diameters: float = Field(default=0.35, gt=0)
    """Furthest a centroid may go where masks overlap less than that (or there are none), in host diameters."""
    max_gap_min: float | None = Field(default=None, ge=0)
    """Longest time a host may go unseen, minutes; none: 60 min, or three frames where they are further apart."""
    divisions: bool = True
    """Look for divisions."""
    min_daughter_min: float = Field(default=30.0, ge=0)
    """How long mother and daughters must be followed for a division, minutes (and three sightings at least)."""

    def track(
        self,
        cells: pd.DataFrame,
        masks_of: Callable[[int], Masks] | None = None,
        shift_px: Callable[[int], tuple[float, float]] | None = None,
    ) -> pd.DataFrame:
        """Link hosts over time by the overlap of their masks; without ``masks_of`` by centroids and areas alone.

        Parameters
        ----------
        cells, masks_of, shift_px
            As :meth:`cicimage.methods.Tracker.track` takes them.

        Returns
        -------
        pandas.DataFrame
            frame, label, cell_id, parent_id, one row per object.
        """
        if cells.empty:
            return labelled(cells, np.zeros(0, np.int64), np.zeros(0, np.int64))
        seen = arrange(cells)
        labels = cells["label"].to_numpy(dtype=np.int64)[seen.row]
        gap = self.max_gap_min if self.max_gap_min is not None else max(60.0, 3.01 * seen.step_min)
        tracks: list[_Track] = []
        for f in range(seen.frames.size):
            bodies = _bodies(seen, labels, f, masks_of, shift_px)
            since = float(seen.t_min[f] - gap)
            if f and not seen.skipped[f]:
                since = min(since, float(seen.t_min[f - 1]))  # neighbours in time are linked however far apart
            alive = [t for t in tracks if t.last.time_min >= since]
            tracks += self._extend(alive, bodies, float(seen.t_min[max(f - 1, 0)]))
        if self.divisions:
            tracks += self._divide(tracks, gap)
        return _result(cells, seen, tracks)

    def _extend(self, alive: list[_Track], bodies: list[_Body], last_min: float) -> list[_Track]:
        """Append each active track's next body; return the tracks that begin."""
        indptr, cols, gains = [0], [], []
        for track in alive:
            weight = _JUST_SEEN if track.last.time_min == last_min else _LOST
            for j, body in enumerate(bodies):
                gain = weight * self._likeness(track.last, body)
                if gain > 0:
                    cols.append(j)
                    gains.append(gain)
            indptr.append(len(cols))
        chosen = assign(np.array(indptr, np.int64), np.array(cols, np.int64), np.array(gains, np.float64), len(bodies))
        fresh = [_Track([body]) for j, body in enumerate(bodies) if j not in set(chosen.tolist())]
        if self.divisions:
            for new in fresh:
                new.parting = _parting(new.last, alive, [bodies[j] if j >= 0 else None for j in chosen], last_min)
                if new.parting:
                    new.parting[0].last.asked_again = True
        for track, j in zip(alive, chosen.tolist(), strict=True):
            if j >= 0:
                track.follow(bodies[j])
        return fresh

    def _likeness(self, a: _Body, b: _Body) -> float:
        """0 for no link, up to 2: intersection over union, and nearness of the centroids in diameters."""
        diameter = 2 * math.sqrt(max(a.area_um2, b.area_um2) / math.pi)
        near = 1.0 - math.hypot(a.y - b.y, a.x - b.x) / (self.max_shift_diameters * diameter)
        if a.mask is None or b.mask is None:
            alike = min(a.area_um2, b.area_um2) / max(a.area_um2, b.area_um2)
            return float(max(near, 0.0) * (0.5 + 0.5 * alike))
        shared = _shared_px(a.mask, b.mask)
        overlap = shared / (a.mask_px + b.mask_px - shared)
        if overlap < self.min_overlap and near <= 0:
            return 0.0
        return float(overlap + 0.5 * max(near, 0.0))

    def _divide(self, tracks: list[_Track], gap_min: float) -> list[_Track]:
        """Confirm suspected divisions; cut mothers there and return the daughters that had continued them."""
        sisters: list[_Track] = []
        for new in sorted((t for t in tracks if t.parting), key=lambda t: t.bodies[0].index):
            mother, at = new.parting or (new, 0)
            if len(mother.bodies) <= at:  # already cut at an earlier division
                continue
            before, sister = mother.bodies[:at], _Track(mother.bodies[at:], mother)
            if not all(self._lasts(bodies) for bodies in (before, sister.bodies, new.bodies)):
                continue
            parted = {id(t.mother) for t in (*tracks, *sisters)} | {id(mother)}  # these ended in a division
            if any(_merged_into(before[-1], t.last, gap_min) for t in tracks if id(t) not in parted):
                continue
            mother.bodies = before
            new.mother = mother
            sisters.append(sister)
            for other in tracks:
                if other is not new:
                    _pass_on(other, mother, sister, at)
        return sisters

    def _lasts(self, bodies: Sequence[_Body]) -> bool:
        return len(bodies) >= _MIN_SIGHTINGS and bodies[-1].time_min - bodies[0].time_min >= self.min_daughter_min


def _bodies(
    seen: Sightings,
    labels: Int64Array,
    f: int,
    masks_of: Callable[[int], Masks] | None,
    shift_px: Callable[[int], tuple[float, float]] | None,
) -> list[_Body]:
    frame = int(seen.frames[f])
    masks: dict[int, Mask] = {}
    if masks_of is not None:
        dy, dx = shift_px(frame) if shift_px is not None else (0.0, 0.0)
        for m in masks_of(frame):
            masks[m.label] = Mask(m.label, m.y0 - round(dy), m.x0 - round(dx), m.pixels)
    bodies = []
    for i in range(int(seen.offsets[f]), int(seen.offsets[f + 1])):
        mask = masks.get(int(labels[i]))
        area_um2 = float(seen.area_um2[i]) if seen.area_um2[i] > 0 else seen.diameter_um**2
        place = float(seen.y[i]), float(seen.x[i])
        bodies.append(_Body(i, float(seen.t_min[f]), *place, area_um2, mask, mask.area_px if mask is not None else 0))
    return bodies


def _shared_px(a: Mask, b: Mask) -> int:
    """Number of pixels in both masks."""
    y0, x0 = max(a.y0, b.y0), max(a.x0, b.x0)
    y1 = min(a.y0 + a.pixels.shape[0], b.y0 + b.pixels.shape[0])
    x1 = min(a.x0 + a.pixels.shape[1], b.x0 + b.pixels.shape[1])
    if y0 >= y1 or x0 >= x1:
        return 0
    part_a = a.pixels[y0 - a.y0 : y1 - a.y0, x0 - a.x0 : x1 - a.x0]
    part_b = b.pixels[y0 - b.y0 : y1 - b.y0, x0 - b.x0 : x1 - b.x0]
    return int(np.count_nonzero(part_a & part_b))


def _share_in(part: _Body, whole: _Body) -> float:
    """Share of one body that lies in another, 0-1; 0 where masks are unknown."""
    if part.mask is None or whole.mask is None:
        return 0.0
    return _shared_px(part.mask, whole.mask) / max(part.mask_px, 1)


def _parting(
    new: _Body, alive: list[_Track], siblings: list[_Body | None], last_min: float
) -> tuple[_Track, int] | None:
    """Track and index in it from which a new body and its sibling may have divided."""
    best: tuple[float, _Track] | None = None
    for track, sibling in zip(alive, siblings, strict=True):
        if sibling is None or track.last.time_min != last_min:
            continue
        inside = min(_share_in(new, track.last), _share_in(sibling, track.last))
        alike = min(new.area_um2, sibling.area_um2) / max(new.area_um2, sibling.area_um2)
        kept = (new.area_um2 + sibling.area_um2) / track.last.area_um2
        fits = alike >= _DAUGHTERS_ALIKE and _DAUGHTERS_AREA[0] <= kept <= _DAUGHTERS_AREA[1]
        if inside >= _DAUGHTER_INSIDE and fits and (best is None or inside > best[0]):
            best = (inside, track)
    return (best[1], len(best[1].bodies)) if best else None


def _pass_on(other: _Track, mother: _Track, sister: _Track, at: int) -> None:
    """Make the sister the mother in another track's division after her own."""
    if other.parting and other.parting[0] is mother and other.parting[1] > at:
        other.parting = (sister, other.parting[1] - at)
    if other.mother is mother and other.bodies[0].time_min > sister.bodies[0].time_min:
        other.mother = sister


def _merged_into(mother: _Body, ended: _Body, gap_min: float) -> bool:
    """Whether another host was lost in the mother's mask shortly before: then merged hosts separate again."""
    recent = 0 < mother.time_min - ended.time_min <= gap_min
    return recent and _share_in(ended, mother) >= 0.5


def _result(cells: pd.DataFrame, seen: Sightings, tracks: list[_Track]) -> pd.DataFrame:
    """Number tracks in the order of their first sightings and write them out."""
    order = sorted(tracks, key=lambda t: t.bodies[0].index)
    ids = {id(track): n for n, track in enumerate(order, start=1)}
    cell_id, parent_id = np.zeros(seen.size, np.int64), np.zeros(seen.size, np.int64)
    for track in order:
        rows = seen.row[[b.index for b in track.bodies]]
        cell_id[rows] = ids[id(track)]
        parent_id[rows] = ids[id(track.mother)] if track.mother is not None else 0
    return labelled(cells, cell_id, parent_id)
