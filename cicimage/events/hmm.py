"""The probabilistic scorer: a hidden chain of locations in continuous time, smoothed over whole tracks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from cicimage.arrays import Float64Array, Int64Array
from cicimage.events.chain import Chain, Smoothed, sample_paths, smooth
from cicimage.events.emissions import CLASSES, TOLD, derive, for_inside
from cicimage.events.missed_hosts import COVERED, may_cover, with_missed_pairs
from cicimage.events.parameters import HELD, STATE_CLASSES, Regime, ScorerParameters, combined_blur_um, load_parameters
from cicimage.events.timeline import Timeline, carried_to, lasts, leave_open, runs, timelines
from cicimage.events.viability import dye_losses, judge_viability
from cicimage.methods import Observations, Scorer

Text = npt.NDArray[np.object_]

STATES: Final = tuple(STATE_CLASSES)
INSIDE: Final = tuple(i for i, s in enumerate(STATES) if s.startswith("inside"))
ENTERING: Final = tuple(i for i, s in enumerate(STATES) if s.startswith(("entering", "ebbing")))
ATTACHED: Final = tuple(
    i for i, s in enumerate(STATES) if s in ("lateral", "on_top", "under", "between") or s.startswith("leaving")
)
FREE: Final = STATES.index("free")
ALONE: Final = np.array([{"free": 0.0, "lateral": -2.0, "inside": -9.0}.get(c, -7.0) for c in CLASSES])
"""Log-likelihood of each class where no host is near."""
BATCH_CELLS: Final = 30_000
"""Guests times frames that are judged at a time: a long crowded movie must not be held whole for every state."""
BEYOND: Final = 1.6
"""Axial blur over that of the coarsest optics learned, from which the tables say nothing."""
SILENT: Final = 3.0
"""Silence of this many times the persistence leaves frames unresolved."""


@dataclass(frozen=True, eq=False)
class LocationPosterior:
    """What the evidence says about every guest's location.

    Attributes
    ----------
    lines : list of Timeline
        The guests, G of them.
    smoothed : Smoothed
        Posterior over states, (G, T, S) with the states of :data:`STATES`.
    host : (G, T) int64
        The host each frame's evidence speaks of, 0 = none.
    told : (G, T) bool
        Frames whose evidence speaks for or against inside at all; elsewhere only the prior and the neighbours do.
    measured : (G, T) bool
        Frames in which the masks show that no host covers the guest, or enough of the pixel evidence was measured.
    covered : (G, T) bool
        Frames in which a host covers the guest, or may cover it.
    """

    lines: list[Timeline]
    smoothed: Smoothed
    host: Int64Array
    told: npt.NDArray[np.bool_]
    measured: npt.NDArray[np.bool_]
    covered: npt.NDArray[np.bool_]


class MarkovScorer(Scorer):
    """Hidden states for location with their durations, evidence learned from simulation, probabilities calibrated.

    The most probable location is named; where inside against outside stays open for longer than the persistence,
    the frames are ``unresolved``. Frames in which nothing was measured take the call of measured ones within the
    persistence (and two frames); further away they are ``unresolved``, inside as likely as not.
    """

    stage_version: ClassVar[int] = 6

    parameters: Path | None = None
    """A re-fitted parameter file (`cicimage fit`), beside the experiment file or by its full path; empty for the
    built-in one."""
    certainty: float = Field(0.7, ge=0.5, lt=1)
    """Probability of inside or of not inside from which a frame is resolved."""
    persistence_min: float = Field(10.0, ge=0, le=120)
    """Doubt that lasts less than this is a transition, not an unresolved stretch, minutes; a call is carried as far
    (or two frames) into frames in which nothing was measured."""
    entry_odds: float = Field(1.0, gt=0, le=100)
    """Entries are this many times as frequent as in the parameter file (its rate is meant for rare entries)."""
    death_sd: float = Field(5.0, gt=0)
    """Death signal over the body from which a frame is stained, noise SD."""
    death_fill: float = Field(0.3, gt=0, le=1)
    """Share of the body stained from which a frame is stained."""
    death_frames: int = Field(2, ge=1, le=20)
    """Stained frames in a row from which a guest is dead."""

    def require_files(self) -> None:
        """Read the parameter file, where one is named."""
        if self.parameters is not None:
            load_parameters(str(self.parameters))

    def score(self, observations: Observations) -> pd.DataFrame:
        """Return table ``frames``."""
        frames = observations.frames.reset_index(drop=True)
        out = frames.drop(columns=[c for c in ("parent_id", "yd_um", "xd_um") if c in frames])
        filled: dict[str, Any] = {
            "location": np.full(len(frames), "free", object), "contact": np.full(len(frames), "none", object),
            "viability": np.full(len(frames), "unknown", object), "host_id": np.zeros(len(frames), np.int64),
            "p_inside": np.zeros(len(frames)), "p_dead": np.full(len(frames), np.nan),
            "p_entering": np.zeros(len(frames)),
        }  # fmt: skip
        self._fill(filled, observations)
        return leave_open(self._within_reach(out.assign(**filled), observations), observations)

    def _fill(self, filled: dict[str, Any], observations: Observations) -> None:
        """Judge all guests, some at a time; what is needed on the way is let go before the table is made."""
        observations = with_missed_pairs(observations)
        lines = list(timelines(observations, grids=False))
        lysed, parent_of = dye_losses(observations, lines), _parents(observations)
        learned = self._learned(observations)
        for batch in _batches(lines, parent_of, observations.n_frames):
            posterior = _locate(observations, batch, parent_of, learned)
            for g, line in enumerate(batch):
                for name, column in self._judge(g, line, posterior, observations, lysed.get(line.guest_id)).items():
                    filled[name][line.rows] = column

    def _within_reach(self, frames: pd.DataFrame, observations: Observations) -> pd.DataFrame:
        """Leave open what lies over, under or in a host where slices are thicker than any the tables were learned at.

        Beyond them the evidence looks like nothing that was learned, and the answer would be wrong and sure.
        """
        blur = recording_blur_um(observations)
        learned = [r.blur_um for r in load_parameters(str(self.parameters or "")).regimes if r.blur_um is not None]
        if blur is None or not learned or blur <= BEYOND * max(learned) or not len(observations.pairs):
            return frames
        over = observations.pairs.loc[observations.pairs["footprint_share"] >= COVERED, ["frame", "guest_id"]]
        key = pd.MultiIndex.from_frame(frames[["frame", "guest_id"]])
        open_ = key.isin(pd.MultiIndex.from_frame(over))
        left: dict[str, Any] = {"location": "unresolved", "contact": "unresolved", "p_inside": 0.5, "p_entering": 0.0}
        return frames.assign(**{name: np.where(open_, value, frames[name]) for name, value in left.items()})

    def locate(self, observations: Observations) -> LocationPosterior:
        """Posterior over the hidden states of every guest and frame."""
        observations = with_missed_pairs(observations)
        lines = list(timelines(observations, grids=False))
        return _locate(observations, lines, _parents(observations), self._learned(observations))

    def _learned(self, observations: Observations) -> tuple[Regime, Chain]:
        """Tables for this recording's optics, and the chain."""
        loaded = load_parameters(str(self.parameters or ""))
        blur, optics = recording_blur_um(observations), observations.optics
        return loaded.regime_for(blur, observations.host_stain, sections=optics.sections), self._chain(loaded)

    def _chain(self, loaded: ScorerParameters) -> Chain:
        if self.entry_odds == 1.0:
            return loaded.chain
        generator = loaded.chain.generator.copy()
        np.fill_diagonal(generator, 0.0)
        outside = [i for i in range(len(STATES)) if i not in (*ENTERING, *INSIDE)]
        generator[np.ix_(outside, ENTERING)] *= self.entry_odds
        np.fill_diagonal(generator, -generator.sum(axis=1))
        return Chain(loaded.chain.states, generator, loaded.chain.start)

    def _judge(
        self, g: int, line: Timeline, posterior: LocationPosterior, observations: Observations, lysed: int | None
    ) -> dict[str, Any]:
        p = posterior.smoothed.posterior[g, line.frame]
        p_inside, p_entering = p[:, INSIDE].sum(axis=1), p[:, ENTERING].sum(axis=1)
        grouped = np.column_stack([p[:, FREE], p[:, ATTACHED].sum(axis=1), p_entering, p_inside])
        location = np.array(["free", "attached", "entering", "inside"], object)[grouped.argmax(axis=1)]
        contact = _contacts(p, location, told=any(observations.separable.values()))
        measured = posterior.measured[g, line.frame]
        silent = self._silent(posterior, g, line)
        # Where the calls carried from both sides differ, the change lies anywhere between them.
        open_ = ~measured & (p_inside > 1.0 - self.certainty) & (p_inside < self.certainty)
        for a, b in runs(location == "entering"):
            open_[a : b + 1] |= not measured[a : b + 1].any()
        doubt = self._doubt(p_inside, posterior.told[g, line.frame], line) | open_ | silent
        location[doubt], contact[doubt] = "unresolved", "unresolved"
        host = _steady_host(posterior.host[g, line.frame], location, p_inside)
        p_inside, p_entering = np.where(silent, 0.5, p_inside), np.where(silent, 0.0, p_entering)
        hidden = (location == "inside") | (location == "unresolved")
        viability, p_dead = judge_viability(
            line, hidden, marker=observations.death_marker, reaches_inside=observations.death_reaches_inside,
            signal_sd=self.death_sd, fill=self.death_fill, frames=self.death_frames, lysed_from=lysed,
        )  # fmt: skip
        return {
            "location": location, "contact": contact, "host_id": host, "p_inside": p_inside,
            "p_entering": p_entering, "viability": viability, "p_dead": p_dead,
        }  # fmt: skip

    def _silent(self, posterior: LocationPosterior, g: int, line: Timeline) -> npt.NDArray[np.bool_]:
        """Frames too far from any measured one for a call to be carried to them."""
        measured, covered = posterior.measured[g, line.frame], posterior.covered[g, line.frame]
        return ~carried_to(line.time_h, measured, covered, self.persistence_min)

    def _doubt(self, p_inside: Float64Array, told: npt.NDArray[np.bool_], line: Timeline) -> npt.NDArray[np.bool_]:
        """Frames in which inside against outside stays open for longer than a transition lasts, or nothing is seen.

        Where no frame speaks for long, the prior would: that is no answer about this guest.
        """
        doubt = np.zeros(len(line), bool)
        for a, b in runs(~told):
            if lasts(line.time_h, a, b, SILENT * self.persistence_min) or (a == 0 and b == len(line) - 1):
                doubt[a : b + 1] = True
        for a, b in runs((p_inside > 1.0 - self.certainty) & (p_inside < self.certainty)):
            if lasts(line.time_h, a, b, self.persistence_min) or (a == 0 and b == len(line) - 1):
                doubt[a : b + 1] = True
        return doubt

    def draw_locations(self, observations: Observations, n: int, seed: int) -> list[pd.DataFrame]:
        """Draw whole histories from the posterior: ``n`` tables ``frames``, for intervals with classification doubt.

        Contacts, viability and hosts are those of :meth:`score`; only locations differ between draws.
        """
        posterior, base = self.locate(observations), self.score(observations)
        paths = sample_paths(posterior.smoothed, n, np.random.default_rng(seed))
        name = np.array([_location_of(s) for s in STATES], object)
        silent = [self._silent(posterior, g, line) for g, line in enumerate(posterior.lines)]
        out = []
        for k in range(n):
            location = base["location"].to_numpy(object).copy()
            host = base["host_id"].to_numpy(np.int64).copy()
            inside = np.zeros(len(base))
            for g, line in enumerate(posterior.lines):
                drawn = np.where(silent[g], "unresolved", name[paths[k, g, line.frame]])
                location[line.rows] = drawn
                host[line.rows] = _steady_host(
                    posterior.host[g, line.frame], drawn, (drawn == "inside").astype(np.float64)
                )
                inside[line.rows] = np.where(silent[g], 0.5, drawn == "inside")
            drawn_frames = base.assign(
                location=location, host_id=host, p_inside=inside, p_entering=(location == "entering").astype(float)
            )
            out.append(leave_open(drawn_frames, observations))
        return out


def _location_of(state: str) -> str:
    if state.startswith("inside"):
        return "inside"
    if state.startswith(("entering", "ebbing")):
        return "entering"
    return "free" if state == "free" else "attached"


def recording_blur_um(observations: Observations) -> float | None:
    """Axial resolution and focus step of a recording as one blur, um; None in 2D."""
    step = observations.optics.um_per_z
    if step is None:
        return None
    fwhm = observations.pairs["axial_fwhm_um"].median() if "axial_fwhm_um" in observations.pairs else np.nan
    return combined_blur_um(float(fwhm) if np.isfinite(fwhm) else 2.0, step)


def _locate(
    observations: Observations, lines: list[Timeline], parent_of: Mapping[int, int], learned: tuple[Regime, Chain]
) -> LocationPosterior:
    """Posterior of some guests; their parents must be among them."""
    regime, chain = learned
    seen = _evidence(observations, lines, regime, (len(lines), max(1, observations.n_frames)))
    told = seen.measured & (np.abs(for_inside(seen.log_class)) > TOLD)
    first = np.array([int(line.frame[0]) for line in lines], np.int64)
    last = np.array([int(line.frame[-1]) for line in lines], np.int64)
    row_of = {line.guest_id: g for g, line in enumerate(lines)}
    parent = np.array([row_of.get(parent_of.get(line.guest_id, 0), -1) for line in lines], np.int64)
    smoothed = smooth(_states_from_classes(seen.log_class), first, last, observations.time_h, chain, parent)
    return LocationPosterior(lines, smoothed, seen.host, told, seen.measured, seen.covered)


def _batches(lines: list[Timeline], parent_of: Mapping[int, int], n_frames: int) -> Iterator[list[Timeline]]:
    """Guests in groups whose posterior fits in little memory; families stay together."""
    known = {line.guest_id for line in lines}
    families: dict[int, list[Timeline]] = {}
    for line in lines:
        root = line.guest_id
        while parent_of.get(root, 0) in known and parent_of[root] != root:
            root = parent_of[root]
        families.setdefault(root, []).append(line)
    most = max(1, BATCH_CELLS // max(1, n_frames))
    batch: list[Timeline] = []
    for family in families.values():
        if batch and len(batch) + len(family) > most:
            yield batch
            batch = []
        batch += family
    if batch:
        yield batch


def _parents(observations: Observations) -> dict[int, int]:
    """Parent of each guest that has one."""
    if "parent_id" not in observations.frames:
        return {}
    rows = observations.frames.loc[observations.frames["parent_id"].to_numpy() > 0, ["guest_id", "parent_id"]]
    return {int(g): int(p) for g, p in zip(rows["guest_id"], rows["parent_id"], strict=True)}


@dataclass(frozen=True, eq=False)
class _Seen:
    """Evidence of guests and frames against the host that speaks loudest.

    ``log_class`` (G, T, C) log-likelihood of the classes; ``host`` (G, T), 0 = none; ``measured`` and ``covered`` as
    in :class:`LocationPosterior`.
    """

    log_class: Float64Array
    host: Int64Array
    measured: npt.NDArray[np.bool_]
    covered: npt.NDArray[np.bool_]


def _evidence(observations: Observations, lines: list[Timeline], regime: Regime, shape: tuple[int, int]) -> _Seen:
    """What is seen of G guests in T frames."""
    seen = _Seen(
        np.zeros((*shape, len(CLASSES))), np.zeros(shape, np.int64), np.zeros(shape, bool), np.zeros(shape, bool)
    )
    row_of = np.full(int(max((line.guest_id for line in lines), default=0)) + 1, -1)
    speed = np.full(shape, np.nan)
    for g, line in enumerate(lines):
        row_of[line.guest_id] = g
        speed[g, line.frame] = line.speed_um_per_min
        seen.log_class[g, line.frame[line.observed]] = ALONE
        seen.measured[g, line.frame] = line.observed
    pairs = observations.pairs
    if not len(pairs):
        return seen
    asked = pairs["guest_id"].to_numpy(np.int64)
    here = (asked < len(row_of)) & (row_of[np.minimum(asked, len(row_of) - 1)] >= 0)
    pairs = pairs if here.all() else pairs[here]
    if not len(pairs):
        return seen
    guest = row_of[pairs["guest_id"].to_numpy(np.int64)]
    frame = pairs["frame"].to_numpy(np.int64)
    interval_min = float(np.median(np.diff(observations.time_h))) * 60.0 if observations.n_frames > 1 else 1e9
    over = may_cover(pairs["footprint_share"].to_numpy(np.float64), pairs["gap_um"].to_numpy(np.float64))
    evidence = derive(pairs.assign(speed_um_per_min=speed[guest, frame]))
    found, known = _read(evidence, over, interval_min, regime)
    order = np.argsort(loudness(found, pairs), kind="stable")
    at = guest[order], frame[order]
    seen.log_class[at], seen.measured[at] = found[order], known[order]
    seen.host[at] = pairs["host_id"].to_numpy(np.int64)[order]
    seen.covered[guest[over], frame[over]] = True
    return seen


def _read(
    evidence: pd.DataFrame, over: npt.NDArray[np.bool_], interval_min: float, regime: Regime
) -> tuple[Float64Array, npt.NDArray[np.bool_]]:
    """Log-likelihood of the classes (N, C), and whether the row was measured; one beside a host always is."""
    found, measured = np.empty((len(evidence), len(CLASSES))), np.ones(len(evidence), bool)
    found[~over] = regime.emissions.log_likelihood(evidence[~over], interval_min)
    found[over], measured[over] = regime.emissions.read_covered(evidence[over], interval_min)
    return _tempered(found, interval_min, regime), measured


def loudness(log_class: Float64Array, pairs: pd.DataFrame) -> Float64Array:
    """How loud each pair speaks, (N,): of several hosts near a guest the loudest is listened to."""
    inside = np.exp(log_class[:, CLASSES.index("inside")])
    # A pair whose place is not known may cover the guest as well as any.
    share = np.nan_to_num(pairs["footprint_share"].to_numpy(np.float64), nan=1.0)
    out: Float64Array = inside + 0.3 * share - 0.01 * np.nan_to_num(pairs["gap_um"].to_numpy(np.float64))
    return out


def _tempered(log_class: Float64Array, interval_min: float, regime: Regime) -> Float64Array:
    """Take off what neighbouring frames repeat on whether a host that holds the guest is closed around it.

    An almost closed host and a closed one look much the same for as long as it lasts, frame after frame.
    """
    held = np.array([CLASSES.index(c) for c in HELD])
    together = np.logaddexp.reduce(log_class[:, held], axis=1, keepdims=True) - np.log(len(held))
    out = log_class.copy()
    out[:, held] = together + (log_class[:, held] - together) * min(1.0, interval_min / regime.held_min)
    return out


def _states_from_classes(log_class: Float64Array) -> Float64Array:
    """Log-likelihood of the states: a state that looks like several classes takes their mean likelihood."""
    out = np.empty((*log_class.shape[:2], len(STATES)))
    for s, names in enumerate(STATE_CLASSES.values()):
        columns = [CLASSES.index(c) for c in names]
        part = log_class[:, :, columns]
        out[:, :, s] = part[:, :, 0] if len(columns) == 1 else np.logaddexp.reduce(part, axis=2) - np.log(len(columns))
    return out


def _contacts(p: Float64Array, location: Text, *, told: bool) -> Text:
    """Name the contact of attached and entering guests; unresolved where the optics cannot tell under from on top."""
    kinds = ("lateral", "on_top", "under", "between")
    top = p[:, [STATES.index(k) for k in kinds]].copy()
    for column, route in ((1, "_top_"), (2, "_under_")):
        top[:, column] += p[:, [i for i in ENTERING if route in STATES[i]]].sum(axis=1)
    best = np.array(kinds, object)[top.argmax(axis=1)]
    share = top.max(axis=1) / np.maximum(top.sum(axis=1), 1e-9)
    out = np.full(len(p), "none", object)
    touching = (location == "attached") | (location == "entering")
    out[touching] = np.where(told | (share >= 0.8), best, "unresolved")[touching]
    return out


def _steady_host(host: Int64Array, location: Text, p_inside: Float64Array) -> Int64Array:
    """One host per stay: the one with most probability behind it."""
    out = host.copy()
    out[location == "free"] = 0
    for a, b in runs(np.isin(location, ["inside", "entering"])):
        named, weight = host[a : b + 1], p_inside[a : b + 1] + 1e-3
        ids = np.unique(named[named > 0])
        if len(ids):
            out[a : b + 1] = ids[np.argmax([weight[named == i].sum() for i in ids])]
    return out
