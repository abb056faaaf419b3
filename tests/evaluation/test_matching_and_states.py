"""Guests paired frame by frame, locations compared, probabilities weighed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cicimage.evaluation.calibration import brier, expected_calibration_error, reliability
from cicimage.evaluation.events import ppv_at_rate
from cicimage.evaluation.matching import compare_frames, match_guests
from cicimage.evaluation.sides import credited_hours
from cicimage.evaluation.states import reweighted_ppv, risk_coverage


def guests(*yx: tuple[float, float], frame: int = 0, z: list[float] | None = None) -> pd.DataFrame:
    rows = pd.DataFrame(yx, columns=["y_um", "x_um"], dtype=float)
    return rows.assign(position="p", frame=frame, guest_id=range(1, len(rows) + 1), z_um=z or np.nan)


def pairs(result: pd.DataFrame, truth: pd.DataFrame, max_um: float = 5.0) -> list[tuple[int, int]]:
    found = match_guests(result, truth, max_um)
    return sorted(zip(found["row_result"], found["row_truth"], strict=True))


def test_nearest_is_not_always_the_answer():
    # result 0 lies nearest truth 1, but then result 1 had none: both are paired
    assert pairs(guests((0, 4), (0, 8)), guests((0, 0), (0, 5))) == [(0, 0), (1, 1)]


def test_too_far_is_not_paired():
    assert pairs(guests((0, 0)), guests((0, 5.1))) == []
    assert pairs(guests((0, 0)), guests((0, 5.0))) == [(0, 0)]


def test_stacked_guests_are_told_apart_by_height():
    truth = guests((0, 0), (0, 0.5), z=[2.0, 9.0])
    assert pairs(guests((0, 0.1), (0, 0.3), z=[9.0, 2.0]), truth) == [(0, 1), (1, 0)]
    assert pairs(guests((0, 0.1), (0, 0.3)), truth) == [(0, 0), (1, 1)]


def test_frames_and_positions_do_not_mix():
    elsewhere = guests((0, 0)).assign(position="q")
    assert pairs(guests((0, 0)), elsewhere) == []
    assert pairs(guests((0, 0)), guests((0, 0), frame=1)) == []
    assert match_guests(guests(), guests((0, 0))).empty


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 9999), st.integers(1, 12), st.integers(1, 12))
def test_pairs_are_one_to_one_and_do_not_depend_on_order(seed: int, n: int, m: int):
    rng = np.random.default_rng(seed)
    a, b = guests(*rng.uniform(0, 20, (n, 2))), guests(*rng.uniform(0, 20, (m, 2)))
    found = pairs(a, b)
    assert len({i for i, _ in found}) == len({j for _, j in found}) == len(found)
    order = rng.permutation(n)
    shuffled = pairs(a.iloc[order].reset_index(drop=True), b)
    assert sorted((int(order[i]), j) for i, j in shuffled) == found


def test_compare_keeps_every_row_of_both_sides():
    truth = guests((0, 0), (50, 50)).assign(location="free", contact="none", viability="alive", decoy="")
    result = guests((0, 1), (90, 90)).assign(location="inside", contact="none", viability="alive", observed=True)
    table = compare_frames(result, truth)
    assert sorted(zip(table["guest_id"], table["guest_id_true"], strict=True)) == [(0, 2), (1, 1), (2, 0)]
    assert table["distance_um"].dropna().tolist() == [1.0]
    assert compare_frames(result.iloc[:0], truth)["guest_id_true"].tolist() == [1, 2]
    assert compare_frames(result, truth.iloc[:0])["guest_id"].tolist() == [1, 2]


def test_hours_are_credited_by_time_not_frames():
    rows = pd.DataFrame({"position": "p", "frame": [0, 1, 2, 5, 6], "guest_id": 1})
    clock = {"p": np.array([0.0, 0.1, 0.3, 0.4, 0.5, 0.6, 1.6])}
    assert credited_hours(rows, clock).tolist() == pytest.approx([0.05, 0.15, 0.1, 0.5, 0.5])


def test_calibration_of_known_probabilities():
    rng = np.random.default_rng(0)
    p = rng.uniform(0, 1, 40_000)
    honest = rng.random(p.size) < p
    assert expected_calibration_error(p, honest) < 0.02
    assert brier(p, honest) == pytest.approx(1 / 6, abs=0.01)  # the mean of p (1 - p) over uniform p
    bold = np.where(p > 0.5, 1.0, 0.0)
    assert expected_calibration_error(bold, honest) == pytest.approx(0.25, abs=0.02)
    assert reliability(p, honest)["n"].sum() == p.size
    assert np.isnan(brier(np.array([np.nan]), np.array([True])))


@pytest.mark.parametrize(("specificity", "expected"), [(0.95, 0.27), (0.99, 0.65), (0.995, 0.79)])
def test_precision_at_two_per_cent_prevalence(specificity: float, expected: float):
    counts = {"found": 900, "missed": 100, "wrong": 1000 * (1 - specificity), "right_no": 1000 * specificity}
    assert reweighted_ppv(counts, (0.02,))["ppv"].iloc[0] == pytest.approx(expected, abs=0.005)


def test_precision_of_events_falls_as_they_get_rare():
    table = ppv_at_rate({"recall": 0.8, "false": 5.0}, exposure_h=500.0, rates_per_h=(0.1, 0.01))
    assert table["ppv"].tolist() == pytest.approx([0.08 / 0.09, 0.008 / 0.018])


def test_risk_coverage_of_frames_that_know_their_doubt():
    p = np.array([0.99, 0.95, 0.02, 0.6, 0.55, 0.45])
    true = np.array([True, True, False, False, True, True])
    curve = risk_coverage(pd.DataFrame({"judged": True, "p_inside": p, "inside_true": true}), points=2)
    assert curve["coverage"].tolist() == [0.5, 1.0]
    assert curve["precision"].tolist() == pytest.approx([1.0, 0.75])
    assert curve["recall_of_all"].tolist() == pytest.approx([0.5, 0.75])
