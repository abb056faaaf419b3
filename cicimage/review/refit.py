"""What reviewers decided, as labelled evidence, and the scorer's parameters corrected from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from cicimage.errors import ResultsError
from cicimage.events.emissions import derive
from cicimage.events.fitting import FEWEST_GUESTS, Refit, refit
from cicimage.events.hmm import loudness, recording_blur_um
from cicimage.events.parameters import Regime, ScorerParameters
from cicimage.events.timeline import timelines
from cicimage.methods import Observations
from cicimage.pipeline.collect import Corrections
from cicimage.pipeline.judge import observe
from cicimage.pipeline.setting import read_setting
from cicimage.store import Results, read_json, read_table

DECIDED: Final = ("free", "attached", "entering", "inside")


@dataclass(frozen=True)
class ReviewedFit:
    """Parameters after all that was reviewed, and what each kind of optics gained."""

    parameters: ScorerParameters
    steps: Mapping[str, Refit]

    @property
    def accepted(self) -> bool:
        """Whether anything changed."""
        return any(step.accepted for step in self.steps.values())


def fit_reviewed(results: Results, corrections: Corrections, parameters: ScorerParameters) -> ReviewedFit:
    """Correct the scorer's parameters from the frames that a reviewer decided.

    Parameters
    ----------
    results : Results
        The folder.
    corrections : Corrections
        Corrected tables (:func:`cicimage.review.results.corrected`).
    parameters : ScorerParameters
        Where to start from.

    Returns
    -------
    ReviewedFit
        One step per kind of optics that was reviewed.

    Raises
    ------
    ResultsError
        Nobody has reviewed, or nothing that tells where a guest was.
    CicimageError
        Too few guests, or only one answer.
    """
    if not corrections.whose:
        raise ResultsError(
            f"{results.root}: has no corrections to learn from; review at least {FEWEST_GUESTS} guests, inside and not "
            "inside, with `cicimage review`"
        )
    rows = reviewed_frames(results, corrections, parameters)
    if not len(rows):
        raise ResultsError(
            f"{results.root}: {corrections.whose} decided on 0 frames that lie near a host, at least {FEWEST_GUESTS} "
            "guests are needed; review more events and non-events with `cicimage review`"
        )
    steps = {}
    for regime, part in rows.groupby("regime"):
        name = str(regime)
        steps[name] = refit(
            parameters, name, part, part["inside"].to_numpy(bool), part["guest"].to_numpy(object)
        )  # fmt: skip
        parameters = steps[name].parameters
    return ReviewedFit(parameters, steps)


def reviewed_frames(results: Results, corrections: Corrections, parameters: ScorerParameters) -> pd.DataFrame:
    """Evidence of every frame that a reviewer decided, against the host that matters.

    Parameters
    ----------
    results : Results
        The folder.
    corrections : Corrections
        Corrected tables.
    parameters : ScorerParameters
        Emissions that choose the host with the clearest evidence where none was named.

    Returns
    -------
    pandas.DataFrame
        Columns of table ``pairs``, speed_um_per_min, and ``inside`` (the answer), ``guest`` (which one, over all
        positions), ``regime`` (kind of optics).
    """
    keys = read_json(results.run)["positions"]
    parts = []
    for position, tables in corrections.tables.items():
        if position in corrections.excluded:
            continue
        decided = _decided(tables["frames"])
        if len(decided):
            folder = results.position(keys[position])
            setting = read_setting(folder)
            seen = observe(
                tables["cells"], tables["pairs"], read_table(folder.table("drift")), setting, setting.time_s / 3600.0
            )
            parts.append(_evidence(seen, decided, parameters).assign(position=position))
    if not parts:
        return pd.DataFrame()
    rows = pd.concat(parts, ignore_index=True)
    return rows.assign(guest=[f"{p}#{g}" for p, g in zip(rows["position"], rows["guest_id"], strict=True)])


def _decided(frames: pd.DataFrame) -> pd.DataFrame:
    """Frames in which a reviewer decided on the location."""
    if "reviewed" not in frames:
        return frames.iloc[:0]
    keep = frames["reviewed"].eq(True) & frames["observed"].astype(bool) & frames["location"].isin(DECIDED)
    rows = frames.loc[keep, ["frame", "guest_id", "host_id", "location"]]
    return rows.assign(inside=rows["location"].eq("inside")).rename(columns={"host_id": "named_host"})


def _evidence(seen: Observations, decided: pd.DataFrame, parameters: ScorerParameters) -> pd.DataFrame:
    """One pair per decided frame: the host that was named for a guest inside, else the one that speaks loudest."""
    regime: Regime = parameters.regime_for(recording_blur_um(seen), seen.host_stain, sections=seen.optics.sections)
    speeds: list[Any] = [
        pd.DataFrame({"frame": line.frame, "guest_id": line.guest_id, "speed_um_per_min": line.speed_um_per_min})
        for line in timelines(seen)
    ]
    pairs = seen.pairs.merge(decided, on=["frame", "guest_id"])
    if not len(pairs):
        return pairs.assign(regime=regime.name)
    pairs = pairs.merge(pd.concat(speeds, ignore_index=True), on=["frame", "guest_id"], how="left")
    loud = loudness(regime.emissions.log_likelihood(derive(pairs)), pairs)
    named = (pairs["inside"] & (pairs["host_id"] == pairs["named_host"])).to_numpy(np.float64)
    order = np.argsort(loud + 10.0 * named, kind="stable")
    rows = pairs.iloc[order].drop_duplicates(["frame", "guest_id"], keep="last")
    return rows.sort_values(["guest_id", "frame"], ignore_index=True).assign(regime=regime.name)
