"""Each kind of fault is planted into perfect results, found, and named; and nothing else is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from stories import ENTERS, STEP_H, VISITS, layout_of, perfect, planted, truth_of, with_rates

from cicimage.evaluation.estimates import truth_tables
from cicimage.evaluation.evaluate import Evaluation, Parameters, evaluate
from cicimage.evaluation.occurrences import sampled_events

WORLD = {"p1": {**ENTERS, **VISITS}, "p2": {**ENTERS, **VISITS}}
CONDITIONS = {"p1": "vehicle", "p2": "BTKi"}


@pytest.fixture(scope="module")
def truth():
    return truth_of(WORLD)


@pytest.fixture(scope="module")
def results(truth):
    return perfect(truth, CONDITIONS)


def faults(evaluation: Evaluation) -> dict[str, str]:
    table = evaluation.tables["faults"]
    return dict(zip(table["fault"], table["sentence"], strict=True))


def change(frames: pd.DataFrame, guest: int, at: range, position: str = "p1", **values: object) -> pd.DataFrame:
    out = frames.copy()
    here = (out["position"] == position) & (out["guest_id"] == guest) & out["frame"].isin(list(at))
    assert here.any()
    for name, value in values.items():
        out.loc[here, name] = value
    return out


def test_perfect_results_have_no_fault(truth, results):
    found = evaluate(results, truth)
    assert faults(found) == {}
    for group, metric in (
        ("detection", "f1"), ("tracks", "links_f1"), ("tracks", "tra"), ("tracks", "chota"), ("inside", "f1"),
        ("entry", "f1"), ("escape", "f1"), ("abort", "f1"), ("death", "f1"),
    ):  # fmt: skip
        assert found.score(group, metric) == pytest.approx(1.0), (group, metric)
        assert found.score(group, metric, "BTKi") == pytest.approx(1.0), (group, metric)
    assert found.score("tracks", "id_switches") == 0
    assert found.score("calibration", "brier_p_inside") == 0
    rates = found.tables["rates"]
    known = rates["truth"].notna()
    assert np.allclose(rates.loc[known, "estimate"], rates.loc[known, "truth"])


def test_missed_guest(truth, results):
    frames = results.tables["frames"]
    gone = (frames["position"] == "p1") & (frames["guest_id"] == 502) & frames["frame"].between(3, 7)
    found = evaluate(planted(results, frames=frames[~gone]), truth)
    assert set(faults(found)) == {"missed_guest"}
    assert "1 guests were not seen in 5 frames" in faults(found)["missed_guest"]
    assert found.score("detection", "recall") == pytest.approx(1 - 5 / 240)
    assert found.score("detection", "precision") == 1.0


def test_filled_gap_is_no_detection_but_keeps_the_link(truth, results):
    found = evaluate(planted(results, frames=change(results.tables["frames"], 502, range(3, 8), observed=False)), truth)
    assert set(faults(found)) == {"missed_guest"}
    assert found.score("tracks", "links_f1") == 1.0


def test_false_guest(truth, results):
    extra = results.tables["frames"].query("guest_id == 502 and position == 'p1'").assign(guest_id=900, x_um=150.0)
    found = evaluate(planted(results, frames=pd.concat([results.tables["frames"], extra])), truth)
    assert set(faults(found)) == {"false_guest"}
    assert found.score("detection", "recall") == 1.0
    assert found.score("detection", "precision") == pytest.approx(240 / 260)


def test_false_guest_is_told_by_what_lies_there(truth, results):
    extra = results.tables["frames"].query("guest_id == 502 and position == 'p1'").assign(guest_id=900, x_um=150.0)
    vacuole = pd.DataFrame({"position": "p1", "frame": range(10), "kind": "vacuole", "y_um": 40.0, "x_um": 152.0})
    world = truth_of(WORLD)
    with_decoy = type(world)(world.frames, world.events, world.hosts, vacuole, world.clock_h, world.source)
    found = evaluate(planted(results, frames=pd.concat([results.tables["frames"], extra])), with_decoy)
    kinds = found.tables["false_guests"].set_index("kind")["frames"]
    assert kinds.to_dict() == {"vacuole": 10, "nothing": 10}


def test_swapped_track(truth, results):
    frames = results.tables["frames"].copy()
    later = (frames["position"] == "p1") & (frames["frame"] >= 10)
    a, b = later & (frames["guest_id"] == 502), later & (frames["guest_id"] == 503)
    frames.loc[a, "guest_id"], frames.loc[b, "guest_id"] = 503, 502
    found = evaluate(planted(results, frames=frames), truth)
    assert set(faults(found)) == {"swapped_track"}
    assert found.tables["faults"].iloc[0][["position", "frame"]].tolist() == ["p1", 10]
    assert found.score("tracks", "id_switches") == found.score("tracks", "swaps") == 2
    assert found.score("detection", "f1") == 1.0


def test_broken_track(truth, results):
    found = evaluate(planted(results, frames=change(results.tables["frames"], 502, range(9, 20), guest_id=999)), truth)
    assert set(faults(found)) == {"broken_track"}
    assert found.score("tracks", "swaps") == 0


def test_leaving_the_field_and_coming_back_under_another_id_is_no_fault():
    world = truth_of({"p1": {**ENTERS, "wanders": "ffffff......ffffffff"}})
    results = perfect(world)
    frames = change(results.tables["frames"], 504, range(12, 20), guest_id=900)
    found = evaluate(planted(results, frames=frames), world)
    assert faults(found) == {}
    assert found.score("tracks", "links_f1") == found.score("tracks", "chota") == 1.0


@pytest.mark.parametrize(("guest", "kind"), [(503, "under"), (502, "on_top")])
def test_decoy_called_inside(truth, results, guest: int, kind: str):
    frames = change(results.tables["frames"], guest, range(8, 14), location="inside", contact="none", p_inside=0.9)
    found = evaluate(planted(results, frames=frames), truth)
    assert set(faults(found)) == {f"{kind}_called_inside"}
    decoys = found.tables["decoys"].query("condition == 'vehicle'").set_index("decoy")
    assert decoys.loc[kind, "called_inside"] == 6
    assert decoys.drop(index=kind)["called_inside"].sum() == 0
    assert found.score("inside", "recall") == 1.0
    assert found.score("inside", "precision") < 1.0
    confusion = found.tables["confusion"].query("condition == 'vehicle' and truth == @kind").set_index("called")
    assert confusion.loc["inside", "frames"] == 6


def test_unresolved_counts_as_missed(truth, results):
    frames = change(results.tables["frames"], 501, range(8, 14), location="unresolved", contact="unresolved")
    found = evaluate(planted(results, frames=frames), truth)
    assert set(faults(found)) == {"inside_unresolved"}
    inside = 14 * 2 + 9 * 2
    assert found.score("inside", "recall") == pytest.approx(1 - 6 / inside)
    assert found.score("inside", "precision") == 1.0
    row = found.tables["unresolved"].set_index("condition").loc["vehicle"]
    assert row["unresolved"] == 6
    assert row["truly_inside"] == 1.0


def test_guest_inside_called_outside(truth, results):
    frames = change(results.tables["frames"], 501, range(8, 14), location="attached", contact="on_top")
    assert set(faults(evaluate(planted(results, frames=frames), truth))) == {"inside_called_outside"}


def test_event_shifted_by_ten_frames(truth, results):
    events = results.tables["events"].copy()
    one = (events["position"] == "p1") & (events["guest_id"] == 501)
    events.loc[one, ["entry_frame", "entry_after_frame"]] += 10
    found = evaluate(planted(results, events=events), truth)
    assert set(faults(found)) == {"shifted_entry"}
    assert "+40 min" in faults(found)["shifted_entry"]
    assert found.score("entry", "missed") == found.score("entry", "false") == 1
    shifted = found.tables["occurrences"].query("outcome == 'missed_shifted'").iloc[0]
    assert shifted["error_min"] == pytest.approx(10 * STEP_H * 60)
    # a tolerance of an hour would let it pass, with its error on record
    patient = evaluate(planted(results, events=events), truth, Parameters(tolerance_min=60.0))
    assert faults(patient) == {}
    assert patient.score("entry", "error_p90_min") > 10


def test_event_shifted_within_the_tolerance_is_found(truth, results):
    events = results.tables["events"].copy()
    events["entry_frame"] += 2
    events["entry_after_frame"] += 2
    found = evaluate(planted(results, events=events), truth)
    assert found.score("entry", "f1") == 1.0
    assert found.score("entry", "error_median_min") == pytest.approx(8.0)


def test_missed_entry(truth, results):
    events = results.tables["events"]
    found = evaluate(
        planted(results, events=events[~((events["position"] == "p1") & (events["guest_id"] == 501))]), truth
    )
    assert set(faults(found)) == {"missed_entry"}
    assert found.score("entry", "recall") == pytest.approx(3 / 4)
    assert found.score("entry", "recall", "BTKi") == 1.0


def test_false_entry_says_what_it_was(truth, results):
    events = results.tables["events"]
    entry = events.query("guest_id == 501 and position == 'p1'").assign(guest_id=503, event_id="x", p=0.7)
    found = evaluate(planted(results, events=pd.concat([events, entry])), truth)
    assert set(faults(found)) == {"false_entry"}
    assert "1 under" in faults(found)["false_entry"]
    assert found.score("entry", "precision") == pytest.approx(4 / 5)


def test_improbable_and_brief_events_are_not_counted(truth, results):
    events = results.tables["events"]
    entry = events.query("guest_id == 501 and position == 'p1'").assign(guest_id=503)
    doubted = pd.concat([events, entry.assign(event_id="x", p=0.3), entry.assign(event_id="y", brief=True)])
    assert faults(evaluate(planted(results, events=doubted), truth)) == {}


def test_dead_guest_that_was_eaten_taken_for_an_entry():
    world = truth_of({"p1": {**ENTERS, "eaten": "fffffxxxEEEEEEEEEEEE"}})
    results = perfect(world)
    frames = change(results.tables["frames"], 504, range(8, 20), viability="alive")
    found = evaluate(planted(results, frames=frames), world)
    assert set(faults(found)) == {"dead_eaten_called_inside"}
    events = results.tables["events"].copy()
    events.loc[events["guest_id"] == 504, "excluded_reason"] = ""
    found = evaluate(planted(results, events=events), world)
    assert "1 dead_eaten" in faults(found)["false_entry"]


def test_missed_and_shifted_death(truth, results):
    guests = results.tables["guests"].copy()
    one = (guests["position"] == "p1") & (guests["guest_id"] == 506)
    found = evaluate(planted(results, guests=guests.assign(death_frame=guests["death_frame"].mask(one))), truth)
    assert set(faults(found)) == {"missed_death"}
    early = guests["death_frame"].mask(one, 4.0)
    assert set(faults(evaluate(planted(results, guests=guests.assign(death_frame=early)), truth))) == {"shifted_death"}


def test_missed_escape_and_abort(truth, results):
    events = results.tables["events"]
    stays = events.assign(end_reason=events["end_reason"].replace({"escape": "track_lost"}))
    assert set(faults(evaluate(planted(results, events=stays), truth))) == {"missed_escape"}
    bold = events[events["end_reason"] != "aborted"]
    assert set(faults(evaluate(planted(results, events=bold), truth))) == {"missed_abort"}


def test_wrong_denominator(truth, results):
    guests = results.tables["guests"].copy()
    guests["hours_outside_alive"] *= 2
    found = evaluate(planted(results, guests=guests), truth)
    assert set(faults(found)) == {"wrong_denominator"}
    assert "truly" in faults(found)["wrong_denominator"]
    assert "+100%" in faults(found)["wrong_denominator"]
    hours = found.tables["person_time"].query("state == 'outside_alive' and condition == 'all'")
    assert hours["ratio"].item() == pytest.approx(2.0)
    rates = with_rates(planted(results, guests=guests.drop(columns="hours_at_risk_entry", errors="ignore")))
    entry = evaluate(rates, truth).tables["rates"].query("estimand == 'entry_rate_per_guest_h'")
    assert entry["ratio"].tolist() == pytest.approx([0.5, 0.5], rel=0.02)


def test_wrong_rate(truth, results):
    rates = results.tables["rates"].copy()
    entry = rates["estimand"] == "entry_rate_per_guest_h"
    rates.loc[entry, ["estimate", "ci_low", "ci_high"]] = [9.0, 8.0, 10.0]
    found = evaluate(planted(results, rates=rates), truth)
    assert set(faults(found)) == {"wrong_rate"}
    assert "entry_rate_per_guest_h is 9" in faults(found)["wrong_rate"]


def test_overconfident_probabilities_are_seen(truth, results):
    frames = change(results.tables["frames"], 503, range(20), p_inside=0.95)
    found = evaluate(planted(results, frames=frames), truth)
    assert found.score("calibration", "ece_p_inside") > 0.05
    assert found.score("calibration", "ece_p_inside", "BTKi") == 0
    curve = found.tables["reliability"].query("what == 'p_inside' and condition == 'vehicle'")
    assert curve.loc[curve["p_low"].between(0.85, 0.95), "share_true"].iloc[0] < 1.0


def test_the_truth_is_cut_at_the_time_zero_of_the_run():
    """A movie of which the run counts the second half is held against the second half of its truth."""
    lives = {"p": {"early": "ffeeiiiiiiiiiiiiiiii", "late": "fffffffffffffeeiiiii", "out": "ffffffffffffffffffff"}}
    truth, layout = truth_of(lives), layout_of({"p": "vehicle"}).assign(time_zero_h=10 * STEP_H)
    rates = truth_tables(truth, layout)["rates"].set_index("estimand")
    assert rates.loc["entry_rate_per_host_h", ["events", "exposure_h"]].tolist() == pytest.approx([1, 9 * STEP_H])
    # 4.5 steps until the late guest is inside (its first frame from time zero on is half a step), 9 of that outside
    found = rates.loc["entry_rate_per_guest_h", ["events", "exposure_h"]].tolist()
    assert found == pytest.approx([1, (4.5 + 9) * STEP_H])
    whole = truth_tables(truth, layout.assign(time_zero_h=0.0))["rates"].set_index("estimand")
    assert whole.loc["entry_rate_per_host_h", ["events", "exposure_h"]].tolist() == pytest.approx([2, 19 * STEP_H])
    shifted = replace(truth, clock_h={"p": truth.clock_h["p"] - 10 * STEP_H}, from_time_zero=True)
    again = truth_tables(shifted, layout, sampled_events(truth))["rates"].set_index("estimand")
    assert again.loc["entry_rate_per_host_h", "exposure_h"] == pytest.approx(9 * STEP_H)
