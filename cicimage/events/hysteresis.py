"""The transparent scorer: thresholds on cap, floor and ring with hysteresis and persistence."""

from __future__ import annotations

from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field
from scipy.special import expit, ndtr

from cicimage.arrays import BoolArray, Float64Array
from cicimage.events.missed_hosts import may_cover, with_missed_pairs
from cicimage.events.timeline import Timeline, carried_to, lasts, leave_open, runs, timelines
from cicimage.events.viability import dye_losses, judge_viability
from cicimage.methods import Observations, Scorer

FREE, ON_TOP, UNDER, BETWEEN, LATERAL, INSIDE = range(6)
CONTACT_OF: Final = ("none", "on_top", "under", "between", "lateral", "none")


class HysteresisScorer(Scorer):
    """Cap and floor of the same host make inside, cap alone under, floor alone on top.

    Probabilities come from how many standard errors cap and floor lie from their thresholds, are smoothed over
    the persistence time and switched with hysteresis. Where they leave it open, the frame is ``unresolved``; so it is
    where nothing was measured for longer than the persistence (and two frames) around it.
    """

    stage_version: ClassVar[int] = 2

    cap_threshold_um: float = Field(0.15, ge=0, le=5)
    """Host above the guest from which there is a cap, um."""
    floor_threshold_um: float = Field(0.2, ge=0, le=5)
    """Host below the guest from which there is a floor, um."""
    model_sd_um: float = Field(0.08, gt=0, le=2)
    """Spread of cap and floor besides photon noise (texture, height errors), um."""
    wall_threshold: float = Field(0.45, ge=0, le=1)
    """Share of host signal in the ring around the guest's lower half from which one host fills the pocket beside it;
    cap and floor without it are those of two hosts, or of a host the guest lies under and one it lies on."""
    clearance_um: float = Field(1.5, ge=0, le=10)
    """A guest whose lower pole lies this far over the host's local top floats free of it, um."""
    enter_p: float = Field(0.6, gt=0.5, lt=1)
    """Smoothed probability from which a guest becomes inside."""
    leave_p: float = Field(0.4, gt=0, lt=0.5)
    """Smoothed probability below which an inside guest is no longer inside."""
    persistence_min: float = Field(10.0, ge=0, le=120)
    """Evidence is smoothed over about this time, minutes."""
    contact_um: float = Field(1.0, ge=0, le=10)
    """Gap in projection up to which a guest touches a host, um."""
    min_share: float = Field(0.5, gt=0, le=1)
    """Share of the footprint within the host from which a guest lies over, under or in it."""
    max_error_um: float = Field(0.5, gt=0)
    """Standard error of cap or floor beyond which they tell nothing, um."""
    entering_max_min: float = Field(90.0, gt=0)
    """An entry takes at most this long, minutes."""
    abort_ring: float = Field(0.5, gt=0, le=1)
    """Ring coverage from which a guest on top has begun to enter even if it turns back."""
    death_sd: float = Field(5.0, gt=0)
    """Death signal over the body from which a frame is stained, noise SD."""
    death_fill: float = Field(0.3, gt=0, le=1)
    """Share of the body stained from which a frame is stained."""
    death_frames: int = Field(2, ge=1, le=20)
    """Stained frames in a row from which a guest is dead."""

    def score(self, observations: Observations) -> pd.DataFrame:
        """Return table ``frames``."""
        lines = list(timelines(with_missed_pairs(observations)))
        lysed = dye_losses(observations, lines)
        parts = [self._score_one(line, observations, lysed.get(line.guest_id)) for line in lines]
        frames = observations.frames.reset_index(drop=True)
        out = frames.drop(columns=[c for c in ("parent_id", "yd_um", "xd_um") if c in frames])
        filled: dict[str, Any] = {
            "location": np.full(len(frames), "free", object), "contact": np.full(len(frames), "none", object),
            "viability": np.full(len(frames), "unknown", object), "host_id": np.zeros(len(frames), np.int64),
            "p_inside": np.zeros(len(frames)), "p_dead": np.full(len(frames), np.nan),
            "p_entering": np.zeros(len(frames)),
        }  # fmt: skip
        for rows, values in parts:
            for name, column in values.items():
                filled[name][rows] = column
        return leave_open(out.assign(**filled), observations)

    def _score_one(
        self, line: Timeline, observations: Observations, lysed: int | None
    ) -> tuple[npt.NDArray[np.int64], dict[str, Any]]:
        deep = any(observations.separable.values())
        p, host, told, covered = self._probabilities(line, deep=deep)
        p = _smooth(p, line.time_h, told, self.persistence_min)
        inside = _switch(p[:, INSIDE], self.enter_p, self.leave_p)
        best = p.argmax(axis=1)
        outside = np.where(best == INSIDE, p[:, :INSIDE].argmax(axis=1), best)
        location = np.where(inside, "inside", np.where(outside == FREE, "free", "attached")).astype(object)
        contact = np.array(CONTACT_OF, object)[np.where(inside, INSIDE, outside)]
        silent = ~carried_to(line.time_h, told, covered, self.persistence_min)
        doubt = self._doubt(p, told, line) | silent
        location[doubt], contact[doubt] = "unresolved", "unresolved"
        host = _steady_host(host, location)
        self._mark_entering(location, contact, line, host)
        p_inside = np.where(silent, 0.5, np.clip(p[:, INSIDE], 0.0, 1.0))
        viability, p_dead = judge_viability(
            line, (location == "inside") | (location == "unresolved"), marker=observations.death_marker,
            reaches_inside=observations.death_reaches_inside, signal_sd=self.death_sd, fill=self.death_fill,
            frames=self.death_frames, lysed_from=lysed,
        )  # fmt: skip
        entering = np.where(location == "entering", 0.6, 0.0)
        return line.rows, {
            "location": location, "contact": contact, "host_id": host, "p_inside": p_inside,
            "viability": viability, "p_dead": p_dead, "p_entering": entering,
        }  # fmt: skip

    def _probabilities(
        self, line: Timeline, *, deep: bool
    ) -> tuple[Float64Array, npt.NDArray[np.int64], BoolArray, BoolArray]:
        """Class probabilities (T, 6) frame by frame, the most likely host, whether the frame tells, what is covered."""
        n, v = len(line), line.grid.values
        p = np.zeros((n, 6))
        if len(line.grid) == 0:
            p[:, FREE] = 1.0
            return p, np.zeros(n, np.int64), line.observed.copy(), np.zeros(n, bool)
        share = np.nan_to_num(v["footprint_share"])
        over = line.grid.near & may_cover(v["footprint_share"], v["gap_um"], self.min_share)
        touching = line.grid.near & ~(v["gap_um"] > self.contact_um)
        if deep:
            cap, floor, informed = self._layers(v)
            # A stack that ends below the cap still shows the host rising beside the guest's upper half.
            risen = expit(20.0 * (np.nan_to_num(v["wall_upper"]) - self.wall_threshold / 2.0))
            cap = np.where(v["cap_um_se"] <= self.max_error_um, cap, risen)
            wall = np.where(np.isfinite(v["wall_lower"]), v["wall_lower"], self.wall_threshold)
            walled = expit(15.0 * (wall - self.wall_threshold))
            each_in, each_between = cap * floor * walled, cap * floor * (1.0 - walled)
            # Without its wall, cap and floor may be those of one host or of two.
            informed &= np.isfinite(v["wall_lower"])
            each_under, each_top = cap * (1.0 - floor), (1.0 - cap) * floor
            floats = np.nan_to_num(v["guest_bottom_um"] - v["host_top_um"]) > self.clearance_um
            touching &= ~floats
            over &= ~floats
        else:
            each_in = self._flat_inside(v)
            informed = np.isfinite(v["void"]) & np.isfinite(v["void_se"]) & np.isfinite(v["ring_coverage"])
            each_under, each_top = 0.5 * (1.0 - each_in), 0.5 * (1.0 - each_in)
            each_between = np.zeros_like(each_in)
        weigh = np.where(over, 1.0, 0.0)
        each_in, each_under, each_top = each_in * weigh, each_under * weigh, each_top * weigh
        p[:, INSIDE] = each_in.max(axis=0)
        between = np.maximum(_between(each_under, each_top), (each_between * weigh).max(axis=0))
        p[:, BETWEEN] = (1.0 - p[:, INSIDE]) * between
        rest = 1.0 - p[:, INSIDE] - p[:, BETWEEN]
        under, top = each_under.max(axis=0), each_top.max(axis=0)
        side = np.where(touching.any(axis=0), np.maximum(1e-3, 1.0 - np.maximum(under, top)), 0.0)
        far = np.where(touching.any(axis=0), 0.0, 1.0)
        total = np.maximum(under + top + side + far, 1e-9)
        for state, value in ((UNDER, under), (ON_TOP, top), (LATERAL, side), (FREE, far)):
            p[:, state] = rest * value / total
        score = each_in + 0.1 * np.maximum(each_under, each_top) + 0.01 * share + np.where(touching, 1e-4, -1.0)
        host = np.where(touching.any(axis=0), line.grid.host_ids[score.argmax(axis=0)], 0)
        sure = (informed & (each_in >= self.enter_p)).any(axis=0)
        told = line.observed & ((informed | ~over).all(axis=0) | sure)
        covered = np.asarray(over.any(axis=0), dtype=bool)
        return p, host, told, covered

    def _layers(self, v: dict[str, Float64Array]) -> tuple[Float64Array, Float64Array, BoolArray]:
        """Probability of a cap and of a floor, per host and frame."""
        out = []
        informed = np.ones(v["cap"].shape, bool)
        # Where no host signal stands beside the guest's lower half, it is inside nothing, whatever the stack cut off.
        bare = v["wall_lower"] < 0.5 * self.wall_threshold
        for name, threshold in (("cap_um", self.cap_threshold_um), ("floor_um", self.floor_threshold_um)):
            se = np.where(np.isfinite(v[name + "_se"]), v[name + "_se"], 9.0)
            value = np.where(np.isfinite(v[name]), v[name], threshold)
            out.append(ndtr((value - threshold) / np.hypot(se, self.model_sd_um)))
            informed &= (np.isfinite(v[name]) & (se <= self.max_error_um)) | bare
        return out[0], out[1], informed

    def _flat_inside(self, v: dict[str, Float64Array]) -> Float64Array:
        """Projection: a void that is walled all around; never certain, since under looks much the same."""
        void, ring = np.nan_to_num(v["void"]), np.nan_to_num(v["ring_coverage"])
        return 0.02 + 0.8 * expit(12.0 * (void - 0.35)) * expit(10.0 * (ring - 0.7))

    def _doubt(self, p: Float64Array, told: BoolArray, line: Timeline) -> BoolArray:
        """Frames in which inside against outside is undecided or unmeasured for longer than a moment."""
        open_p = (p[:, INSIDE] > 1.0 - self.enter_p) & (p[:, INSIDE] < self.enter_p)
        doubt = open_p & ~told
        # What is seen between the frames of a long silence is what the silence left, not a sample of it.
        for stretch in (open_p, line.observed & ~told):
            for a, b in runs(stretch):
                if lasts(line.time_h, a, b, self.persistence_min):
                    doubt[a : b + 1] = True
        return doubt

    def _mark_entering(
        self, location: npt.NDArray[np.object_], contact: npt.NDArray[np.object_], line: Timeline,
        host: npt.NDArray[np.int64],
    ) -> None:  # fmt: skip
        """Name the frames in which a guest is on its way in, whether or not it got there."""
        if len(line.grid) == 0:
            return
        ring = _of_host(line, "ring_coverage", host)
        floor, cap = _of_host(line, "floor_um", host), _of_host(line, "cap_um", host)
        partial = (
            ((contact == "on_top") & (np.nan_to_num(ring) >= 0.2))
            | ((contact == "under") & (np.nan_to_num(floor) > 0.5 * self.floor_threshold_um))
            | ((contact == "on_top") & (np.nan_to_num(cap) > 0.5 * self.cap_threshold_um))
        ) & (location == "attached")
        limit_h = self.entering_max_min / 60.0
        for a, _ in runs(location == "inside"):
            k = a - 1
            while k >= 0 and partial[k] and line.time_h[a] - line.time_h[k] <= limit_h:
                location[k] = "entering"
                k -= 1
        begun = (location == "attached") & (contact == "on_top") & (np.nan_to_num(ring) >= self.abort_ring)
        for a, b in runs(begun):
            if lasts(line.time_h, a, b, self.persistence_min) and line.time_h[b] - line.time_h[a] <= limit_h:
                location[a : b + 1] = "entering"


def _between(under: Float64Array, top: Float64Array) -> Float64Array:
    """Cap of one host and floor of another, (T,)."""
    if len(under) < 2:
        return np.zeros(under.shape[1])
    best = np.zeros(under.shape[1])
    for i in range(len(under)):
        others = np.delete(top, i, axis=0).max(axis=0)
        best = np.maximum(best, under[i] * others)
    return best


def _of_host(line: Timeline, name: str, host: npt.NDArray[np.int64]) -> Float64Array:
    """Evidence against the host named per frame, NaN where there is none."""
    at = np.searchsorted(line.grid.host_ids, host)
    ok = (at < len(line.grid)) & (line.grid.host_ids[np.minimum(at, len(line.grid) - 1)] == host)
    out = np.full(len(line), np.nan)
    out[ok] = line.grid.values[name][at[ok], np.flatnonzero(ok)]
    return out


def _smooth(p: Float64Array, time_h: Float64Array, told: BoolArray, window_min: float) -> Float64Array:
    """Mean over neighbours in time with a Gaussian of a third of the window; frames that tell nothing weigh nothing."""
    sd = max(window_min / 60.0 / 3.0, 1e-6)
    weight = np.exp(-0.5 * np.square((time_h[:, None] - time_h[None, :]) / sd)) * told[None, :]
    total = weight.sum(axis=1, keepdims=True)
    out: Float64Array = np.where(total > 1e-6, (weight @ p) / np.maximum(total, 1e-6), p)
    nearest = _nearest_told(time_h, told)
    lost = (total[:, 0] <= 1e-6) & (nearest >= 0)
    out[lost] = p[nearest[lost]]
    return out


def _nearest_told(time_h: Float64Array, told: BoolArray) -> npt.NDArray[np.int64]:
    known = np.flatnonzero(told)
    if len(known) == 0:
        return np.full(len(time_h), -1, np.int64)
    nearest: npt.NDArray[np.int64] = known[np.abs(time_h[:, None] - time_h[known][None, :]).argmin(axis=1)]
    return nearest


def _switch(p: Float64Array, on: float, off: float) -> BoolArray:
    """Hysteresis: on above ``on``, off below ``off``, else as before; the start takes the nearer side."""
    out = np.zeros(len(p), bool)
    state = bool(len(p) and p[0] >= 0.5)
    for i, value in enumerate(p):
        if value >= on:
            state = True
        elif value < off:
            state = False
        out[i] = state
    return out


def _steady_host(host: npt.NDArray[np.int64], location: npt.NDArray[np.object_]) -> npt.NDArray[np.int64]:
    """Within one stay the host is the one most frames name; gaps take the stay's host."""
    out = host.copy()
    for a, b in runs(location == "inside"):
        named = host[a : b + 1]
        named = named[named > 0]
        if len(named):
            ids, counts = np.unique(named, return_counts=True)
            out[a : b + 1] = ids[counts.argmax()]
    return out
