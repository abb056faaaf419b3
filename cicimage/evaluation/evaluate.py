"""Evaluation of results against truth: match, classify, measure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from cicimage.arrays import Int64Array
from cicimage.evaluation.calibration import brier, expected_calibration_error, reliability
from cicimage.evaluation.estimates import compare_rates, compare_ratios, person_time, truth_tables
from cicimage.evaluation.events import event_scores, match_occurrences, ppv_at_rate
from cicimage.evaluation.faults import name_faults
from cicimage.evaluation.load import shared_positions
from cicimage.evaluation.matching import MAX_DISTANCE_UM, compare_frames
from cicimage.evaluation.occurrences import KINDS, measured_occurrences, sampled_events, true_occurrences
from cicimage.evaluation.sides import Measured, Truth, frame_hours
from cicimage.evaluation.states import (
    by_decoy,
    confusion,
    false_guests,
    inside_counts,
    label_states,
    precision_recall,
    reweighted_ppv,
    risk_coverage,
    unresolved,
)
from cicimage.evaluation.tracks import Tracks, chota, count_links, identity_switches, tra, tracks_of
from cicimage.version import __version__


@dataclass(frozen=True)
class Parameters:
    """Settings of an evaluation.

    Attributes
    ----------
    max_distance_um : float
        Largest distance between two centroids of one guest, um.
    tolerance_min : float
        Largest error in time of a matched event, minutes.
    prevalences : tuple of float
        Shares of guests inside for which precision is re-weighted.
    rates_per_h : tuple of float
        True entry rates for which the precision of entries is re-weighted.
    """

    max_distance_um: float = MAX_DISTANCE_UM
    tolerance_min: float = 12.0
    prevalences: tuple[float, ...] = (0.02,)
    rates_per_h: tuple[float, ...] = (0.01,)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Accuracy of a run.

    Attributes
    ----------
    tables : mapping of str to pandas.DataFrame
        scores (group, metric, condition, value, n, definition), faults, confusion, decoys, false_guests,
        unresolved, occurrences, reliability, risk_coverage, person_time, rates, ratios, prevalence, rarity.
    about : mapping
        Program version, what was compared with what, parameters, positions.
    """

    tables: Mapping[str, pd.DataFrame]
    about: Mapping[str, Any]

    def score(self, group: str, metric: str, condition: str = "all") -> float:
        """Look up one value of table ``scores``.

        Parameters
        ----------
        group, metric : str
            Row of the table.
        condition : str
            Condition, or all of them together.

        Returns
        -------
        float
            The value; NaN where it was not measured.
        """
        rows = self.tables["scores"]
        found = rows[(rows["group"] == group) & (rows["metric"] == metric) & (rows["condition"] == condition)]
        return float(found["value"].iloc[0]) if len(found) else float("nan")


def evaluate(measured: Measured, truth: Truth, parameters: Parameters | None = None) -> Evaluation:
    """Compare a run with the truth.

    Parameters
    ----------
    measured : Measured
        The run, as :func:`~cicimage.evaluation.load.load_results` reads it.
    truth : Truth
        What is true, as :func:`~cicimage.evaluation.load.load_truth` reads it.
    parameters : Parameters, optional
        The defaults where not given.

    Returns
    -------
    Evaluation
        All scores.

    Raises
    ------
    ResultsError
        The two sides share no position.
    """
    asked = parameters or Parameters()
    positions = shared_positions(truth, measured)
    truth, measured = _only(truth, measured, positions)
    states = _states(measured, truth, asked)
    switches = _switches(states)
    sampled = sampled_events(truth)
    matched = _occurrences(measured, truth, sampled, states, asked)
    true_tables = truth_tables(truth, measured.layout, sampled)
    hours = person_time(measured.tables["guests"], true_tables["guests"], measured.condition_of)
    rates = compare_rates(measured, true_tables)
    scores = pd.DataFrame(
        [*_frame_scores(states), *_event_scores(matched), *_calibration(states, matched)],
        columns=["group", "metric", "condition", "value", "n", "definition"],
    )
    entries = event_scores(matched[matched["kind"] == "entry"])
    at_risk = float(
        hours.loc[(hours["condition"] == "all") & (hours["state"] == "outside_alive"), "hours_true"].iloc[0]
    )
    tables = {
        "scores": scores, "faults": name_faults(states, switches, matched, hours, rates),
        "confusion": _per_condition(states, confusion), "decoys": _per_condition(states, by_decoy),
        "false_guests": false_guests(states, truth.decoys, asked.max_distance_um), "unresolved": unresolved(states),
        "occurrences": matched, "reliability": _reliability(states, matched), "risk_coverage": risk_coverage(states),
        "person_time": hours, "rates": rates, "ratios": compare_ratios(measured, true_tables),
        "prevalence": reweighted_ppv(inside_counts(states), asked.prevalences),
        "rarity": ppv_at_rate(entries, at_risk, asked.rates_per_h),
    }  # fmt: skip
    about = {
        "program": f"cicimage {__version__}", "results": measured.source, "truth": truth.source,
        "run": dict(measured.about), "parameters": asdict(asked), "positions": positions,
        "guest_matching": "per frame, most pairs within max_distance_um, then the closest",
        "event_matching": "same guest, within tolerance_min, most pairs, then the closest in time",
    }  # fmt: skip
    return Evaluation(tables, about)


def judged_states(measured: Measured, truth: Truth, parameters: Parameters | None = None) -> pd.DataFrame:
    """Compare the frames of positions that both sides have, and keep those that count in measures of inside.

    Parameters
    ----------
    measured : Measured
        The run.
    truth : Truth
        What is true.
    parameters : Parameters, optional
        Distances of matching; the defaults where not given.

    Returns
    -------
    pandas.DataFrame
        Columns of :func:`cicimage.evaluation.states.label_states`.

    Raises
    ------
    ResultsError
        The two sides share no position.
    """
    truth, measured = _only(truth, measured, shared_positions(truth, measured))
    states = _states(measured, truth, parameters or Parameters())
    return states[states["judged"]]


def side_by_side(evaluations: Mapping[str, Evaluation]) -> pd.DataFrame:
    """Scores of several runs next to each other: group, metric, condition, one column a run, n of each.

    ``difference`` is the second less the first where there are two.
    """
    out: pd.DataFrame | None = None
    keys = ["group", "metric", "condition"]
    for name, evaluation in evaluations.items():
        one = evaluation.tables["scores"][[*keys, "value", "n"]].rename(columns={"value": name, "n": f"n {name}"})
        out = one if out is None else out.merge(one, on=keys, how="outer", sort=False)
    if out is None:
        return pd.DataFrame(columns=keys)
    names = list(evaluations)
    if len(names) == 2:
        out["difference"] = out[names[1]] - out[names[0]]
    return out


def _only(truth: Truth, measured: Measured, positions: list[str]) -> tuple[Truth, Measured]:
    def keep(table: pd.DataFrame) -> pd.DataFrame:
        return table[table["position"].isin(positions)].reset_index(drop=True)

    tables = {n: keep(t) if "position" in t else t for n, t in measured.tables.items()}
    clock = {p: c for p, c in truth.clock_h.items() if p in positions}
    return (
        replace(
            truth, frames=keep(truth.frames), events=keep(truth.events), hosts=keep(truth.hosts),
            decoys=keep(truth.decoys), clock_h=clock,
        ),
        replace(measured, tables=tables, layout=keep(measured.layout)),
    )  # fmt: skip


def _states(measured: Measured, truth: Truth, asked: Parameters) -> pd.DataFrame:
    compared = compare_frames(measured.tables["frames"], truth.frames, asked.max_distance_um)
    compared = compared[~compared["beyond_true"] | (compared["guest_id"] > 0)].reset_index(drop=True)
    compared["condition"] = compared["position"].map(measured.condition_of)
    compared["hour"] = frame_hours(compared["position"], compared["frame"], truth.clock_h)
    return label_states(compared)


def _sides(states: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, Int64Array]:
    """Sightings of the truth, of the results, and the pairs of row numbers among them."""
    true, found = states["guest_id_true"] > 0, states["guest_id"] > 0
    row_true, row_found = true.cumsum() - 1, found.cumsum() - 1
    both = states["both"]
    pairs: Int64Array = np.stack([row_true[both].to_numpy(np.int64), row_found[both].to_numpy(np.int64)], axis=1)
    return states[true], states[found], pairs


def _switches(states: pd.DataFrame) -> pd.DataFrame:
    true, found, pairs = _sides(states)
    result = tracks_of(found)
    switches = identity_switches(tracks_of(true, "guest_id_true", split_gaps=True), result, pairs)
    rows = true.iloc[switches["sighting"]][["position", "frame", "guest_id_true", "guest_id"]].reset_index(drop=True)
    return rows.assign(swapped=switches["swapped"])


def _conditions(states: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    yield "all", states
    for condition, part in states.groupby("condition"):
        yield str(condition), part


def _per_condition(states: pd.DataFrame, measure: Callable[[pd.DataFrame], pd.DataFrame]) -> pd.DataFrame:
    parts = []
    for condition, part in _conditions(states):
        table = measure(part)
        table.insert(0, "condition", condition)
        parts.append(table)
    return pd.concat(parts, ignore_index=True)


def _row(group: str, metric: str, condition: str, value: float, n: float, definition: str) -> dict[str, Any]:
    return {"group": group, "metric": metric, "condition": condition, "value": value, "n": n, "definition": definition}


def _frame_scores(states: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for condition, part in _conditions(states):
        true, found, pairs = _sides(part)
        seen = part["both"] & part["observed"]
        missed = (part["guest_id_true"] > 0) & ~seen & ~part["touches_border_true"]
        false = (part["guest_id_true"] == 0) & part["observed"]
        scores = precision_recall(float(seen.sum()), float(false.sum()), float(missed.sum()))
        for metric, value in scores.items():
            yield _row("detection", metric, condition, value, float(seen.sum() + missed.sum()),
                       "guests seen in their frames; those cut by the border may be left out")  # fmt: skip
        a, b = _true_tracks(true), tracks_of(found)
        links = count_links(a, b, pairs)
        n = float(links.found + links.missed)
        yield _row(
            "tracks", "links_f1", condition, links.f1, n, "consecutive sightings of one guest linked, and no others"
        )
        yield _row("tracks", "tra", condition, tra(a, b, pairs), float(a.size), "cost of repair, Matula et al. 2015")
        yield _row("tracks", "chota", condition, chota(a, b, pairs), float(a.size), "Kaiser et al. 2024")
        switches = identity_switches(a, b, pairs)
        yield _row(
            "tracks", "id_switches", condition, float(len(switches)), n, "a guest followed by another id than before"
        )
        yield _row("tracks", "swaps", condition, float(switches["swapped"].sum()), n,
                   "of these, by an id that had followed another guest")  # fmt: skip
        yield from _location_scores(condition, part)


def _location_scores(condition: str, part: pd.DataFrame) -> Iterator[dict[str, Any]]:
    counts = inside_counts(part)
    scores = precision_recall(counts["found"], counts["wrong"], counts["missed"])
    n = counts["found"] + counts["missed"]
    for metric, value in scores.items():
        yield _row("inside", metric, condition, value, n, "guest-frames; unresolved counts as missed")
    everywhere = part[(part["guest_id_true"] == 0) & part["inside"]]
    scores = precision_recall(counts["found"], counts["wrong"] + len(everywhere), counts["missed"])
    yield _row("inside", "precision_with_false_guests", condition, scores["precision"], n,
               "the same, where things taken for guests count as wrong too")  # fmt: skip
    open_ = unresolved(part).iloc[0]
    yield _row("inside", "unresolved_share", condition, float(open_["share"]), float(open_["frames"]),
               "living guests' frames called unresolved")  # fmt: skip


def _true_tracks(rows: pd.DataFrame) -> Tracks:
    return tracks_of(rows.assign(parent_id=rows["parent_id_true"]), "guest_id_true", split_gaps=True)


def _occurrences(
    measured: Measured, truth: Truth, sampled: pd.DataFrame, states: pd.DataFrame, asked: Parameters
) -> pd.DataFrame:
    parts = [
        match_occurrences(
            true_occurrences(truth, kind, sampled), measured_occurrences(measured, truth.clock_h, kind), states,
            kind=kind, tolerance_h=asked.tolerance_min / 60.0,
        )
        for kind in KINDS
    ]  # fmt: skip
    filled = [p for p in parts if len(p)]
    table = pd.concat(filled, ignore_index=True) if filled else parts[0]
    at = table["time_true_h"].fillna(table["time_h"])
    table["frame"] = [
        int(np.abs(truth.clock_h[str(p)] - h).argmin()) for p, h in zip(table["position"], at, strict=True)
    ]
    return table


def _event_scores(matched: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for condition in ["all", *sorted(set(matched["condition"]))]:
        here = matched if condition == "all" else matched[matched["condition"] == condition]
        for kind in KINDS:
            scores = event_scores(here[here["kind"] == kind])
            n = scores["found"] + scores["missed"]
            for metric, value in scores.items():
                yield _row(kind, metric, condition, value, n, "events that could be asked, within the time tolerance")


def _calibration(states: pd.DataFrame, matched: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for condition, part in _conditions(states):
        judged = part[part["judged"]]
        p, so = judged["p_inside"].to_numpy(np.float64), judged["inside_true"].to_numpy(bool)
        n = float(np.isfinite(p).sum())
        yield _row("calibration", "brier_p_inside", condition, brier(p, so), n, "mean squared error of p_inside")
        yield _row("calibration", "ece_p_inside", condition, expected_calibration_error(p, so), n,
                   "mean distance of p_inside from the share truly inside, ten bins")  # fmt: skip
        said = matched if condition == "all" else matched[matched["condition"] == condition]
        p, so = _event_p(said)
        yield _row("calibration", "brier_p_event", condition, brier(p, so), float(p.size), "the same of an entry's p")
        yield _row("calibration", "ece_p_event", condition, expected_calibration_error(p, so), float(p.size),
                   "the same of an entry's p")  # fmt: skip


def _event_p(matched: pd.DataFrame) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    rows = matched[(matched["kind"] == "entry") & matched["outcome"].isin(["found", "false", "false_shifted"])]
    return rows["p"].to_numpy(np.float64), (rows["outcome"] == "found").to_numpy(bool)


def _reliability(states: pd.DataFrame, matched: pd.DataFrame) -> pd.DataFrame:
    parts = []
    for condition, part in _conditions(states[states["judged"]]):
        curve = reliability(part["p_inside"].to_numpy(np.float64), part["inside_true"].to_numpy(bool))
        parts.append(curve.assign(what="p_inside", condition=condition))
    parts.append(reliability(*_event_p(matched)).assign(what="p_event", condition="all"))
    table = pd.concat(parts, ignore_index=True)
    return table[["what", "condition", "p_low", "p_high", "p_mean", "share_true", "n"]]
