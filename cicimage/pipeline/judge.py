"""Third stage: evidence over time becomes locations, viability and cell-in-cell events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, cast

import numpy as np
import pandas as pd

from cicimage.containment.input_faults import PLANE_UM, InputQuality, input_faults
from cicimage.containment.optics import OpticsVerdict, judge_optics
from cicimage.events.episodes import find_events
from cicimage.events.fates import host_deaths
from cicimage.events.histories import guest_histories, host_histories
from cicimage.findings import Finding
from cicimage.methods import USABLE, Choice, Observations, Scorer, build
from cicimage.pipeline.setting import Setting
from cicimage.tables import FRAMES, PAIRS, conform, empty

P_DEAD_AS_HOST: Final = 0.95
"""Probability given to a death that two stained frames of a host tell."""


@dataclass(frozen=True)
class Judgement:
    """Base tables of one position, without ids of events and without the design."""

    cells: pd.DataFrame
    pairs: pd.DataFrame
    frames: pd.DataFrame
    events: pd.DataFrame
    guests: pd.DataFrame
    hosts: pd.DataFrame
    optics: OpticsVerdict


def judge(
    cells: pd.DataFrame,
    evidence: pd.DataFrame,
    drift: pd.DataFrame,
    setting: Setting,
    scorer: Scorer,
    time_zero_h: float,
    key: str,
    quality: InputQuality = InputQuality(),  # noqa: B008 - frozen
) -> Judgement:
    """Score one position.

    Parameters
    ----------
    cells : pandas.DataFrame
        Table ``cells`` on the movie's clock.
    evidence : pandas.DataFrame
        Evidence per pair of labels and frame.
    drift : pandas.DataFrame
        frame, dy_um, dx_um.
    setting : Setting
        Scale, times and roles.
    scorer : Scorer
        The method that scores.
    time_zero_h : float
        Drug or co-culture start on the movie's clock, hours.
    key : str
        Opaque name of the position.
    quality : InputQuality
        What is known of the recording's pixels.
    """
    cells = cells.assign(time_h=cells["time_h"] - time_zero_h)
    time_h = setting.time_s / 3600.0 - time_zero_h
    guest, host = setting.with_role("guest"), setting.with_role("host")
    pairs = _with_ids(evidence, cells, guest, host, time_h, key)
    observations = observe(cells, pairs, drift, setting, time_h)
    verdict = _verdict(observations, evidence, setting, quality)
    del evidence  # a long movie's fills a good part of the memory
    observations = replace(observations, separable=verdict.separable)
    frames = conform(FRAMES, scorer.score(observations)) if len(observations.frames) else empty(FRAMES)
    if guest == host and len(frames):
        frames = _dead_as_hosts(frames, observations, setting.spread_from_um2.get(host, np.inf))
    events = find_events(frames, observations)
    return Judgement(
        cells=cells,
        pairs=pairs,
        frames=frames,
        events=events,
        guests=guest_histories(frames, observations, events),
        hosts=host_histories(frames, observations, events),
        optics=verdict,
    )


def scorer_of(choices: Mapping[str, Choice]) -> Scorer:
    """Build the scorer that an experiment file chooses.

    Raises
    ------
    ConfigurationError
        No such method or option.
    """
    return cast(Scorer, build("score", choices["score"].method, choices["score"].options))


def _verdict(seen: Observations, evidence: pd.DataFrame, setting: Setting, quality: InputQuality) -> OpticsVerdict:
    """What the optics can tell, and what of the input stands against telling anything."""
    slices = setting.n_slices or None
    verdict = judge_optics(setting.optics, evidence, n_slices=slices)
    if not any(verdict.separable.values()):
        verdict = replace(
            verdict, sentences=(*verdict.sentences, *_one_slice_instead(seen.pairs, seen.frames, setting))
        )
    faults = input_faults(
        seen.frames, seen.hosts, seen.pairs, setting.optics, n_slices=slices, quality=quality,
        same_population=setting.with_role("guest") == setting.with_role("host"),
    )  # fmt: skip
    if not faults:
        return verdict
    separable = {**dict.fromkeys(verdict.separable, False), USABLE: False}
    sentences = (*map(_as_sentence, faults), *verdict.sentences)
    return replace(verdict, separable=separable, sentences=sentences, findings=faults)


def _as_sentence(fault: Finding) -> str:
    """A finding among the sentences of the optics, which end with a full stop each."""
    return f"{fault.sentence[:1].upper()}{fault.sentence[1:]}."


def _one_slice_instead(pairs: pd.DataFrame, guests: pd.DataFrame, setting: Setting) -> tuple[str, ...]:
    """Which slice could be judged as a 2D recording is where a stack cannot tell depth.

    In widefield one through the guests; in confocal stacks a low one, whose height must be said besides.
    """
    optics = setting.optics
    if optics.um_per_z is None or "guest_bottom_um" not in pairs:
        return ()
    bottom, middle = pairs["guest_bottom_um"].dropna(), guests["z_um"].dropna()
    if not len(bottom) or not len(middle):
        return ()
    glass = max(float(np.quantile(bottom, 0.1)), 0.0)
    wanted = glass + float(np.mean(PLANE_UM)) if optics.sections else float(middle.median())
    z = int(np.clip(round(wanted / optics.um_per_z), 0, max(setting.n_slices - 1, 0)))
    height = z * optics.um_per_z - glass
    if optics.sections and not PLANE_UM[0] <= height <= PLANE_UM[1]:
        return ()
    also = f" and optics.plane_um = {height:.1f}" if optics.sections else ""
    return (
        f"Where that leaves frames unresolved, one slice can be judged as a 2D recording is, with probabilities and "
        f"bounds: set files.slice = {z}{also} and run again.",
    )


def _with_ids(
    evidence: pd.DataFrame, cells: pd.DataFrame, guest: str, host: str, time_h: np.ndarray, key: str
) -> pd.DataFrame:
    """Pairs by label get the ids of the tracked cells."""
    if not len(evidence):
        return empty(PAIRS)
    seen = cells[cells["observed"]]
    columns = ["frame", "label", "cell_id"]
    guests = seen.loc[seen["population"] == guest, columns].rename(
        columns={"label": "guest_label", "cell_id": "guest_id"}
    )
    hosts = seen.loc[seen["population"] == host, columns].rename(columns={"label": "host_label", "cell_id": "host_id"})
    pairs = evidence.merge(guests, on=["frame", "guest_label"]).merge(hosts, on=["frame", "host_label"])
    pairs = pairs.assign(position=key, time_h=time_h[pairs["frame"].to_numpy()])
    return conform(PAIRS, pairs.sort_values(["frame", "guest_id", "host_id"], kind="stable"))


def observe(
    cells: pd.DataFrame, pairs: pd.DataFrame, drift: pd.DataFrame, setting: Setting, time_h: np.ndarray
) -> Observations:
    """Put together what the scorer sees."""
    by_frame = drift.set_index("frame")
    frames = cells["frame"].to_numpy()
    cells = cells.assign(
        yd_um=cells["y_um"] - by_frame["dy_um"].reindex(frames).to_numpy(),
        xd_um=cells["x_um"] - by_frame["dx_um"].reindex(frames).to_numpy(),
    )
    guest, host = setting.with_role("guest"), setting.with_role("host")
    guests = cells[cells["population"] == guest].rename(columns={"cell_id": "guest_id"})
    hosts = cells[cells["population"] == host].rename(columns={"cell_id": "host_id"})
    marker = setting.markers[setting.death_marker] if setting.death_marker else None
    return Observations(
        frames=guests.drop(columns="population").reset_index(drop=True),
        pairs=pairs,
        hosts=hosts.drop(columns="population").reset_index(drop=True),
        optics=setting.optics,
        separable=judge_optics(setting.optics, pairs).separable,
        n_frames=len(time_h),
        time_h=time_h,
        death_marker=marker.kind if marker else None,
        death_reaches_inside=marker.reaches_inside if marker else False,
        host_stain=_stain(setting, guest, host),
    )


def _dead_as_hosts(frames: pd.DataFrame, seen: Observations, spread_um2: float) -> pd.DataFrame:
    """Spread cells of a population in both roles are dead as guests where they are dead as hosts.

    Stain fills the nucleus, a small share of a spread body: the rule for hosts tells, not that for round cells.
    """
    widest = seen.hosts.groupby("host_id")["area_um2"].max()
    died = {c: f for c, f in host_deaths(seen.hosts).items() if widest[c] >= spread_um2}
    since = frames["guest_id"].map(died)
    dead = (frames["frame"] >= since) & (frames["viability"] != "dead")
    return frames.assign(
        viability=frames["viability"].mask(dead, "dead"), p_dead=frames["p_dead"].mask(dead, P_DEAD_AS_HOST)
    )


def _stain(setting: Setting, guest: str, host: str) -> str:
    """What of the hosts their channel shows; a membrane that guests wear as well is told apart."""
    stain = setting.populations[host].stain
    return f"shared {stain}" if guest == host and stain == "membrane" else stain
