"""Both scorers on evidence drawn as strings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from drawn_evidence import HOST, contacts, letters, observed
from hypothesis import given, settings
from hypothesis import strategies as st

from cicimage.events.episodes import find_events
from cicimage.events.hmm import MarkovScorer
from cicimage.events.hysteresis import HysteresisScorer
from cicimage.methods import USABLE, Observations, Scorer, build
from cicimage.tables import FRAMES, conform

SCORERS = [HysteresisScorer(), MarkovScorer()]
BOTH = pytest.mark.parametrize("scorer", SCORERS, ids=["hysteresis", "markov"])


@BOTH
@pytest.mark.parametrize(
    ("shown", "location", "contact"),
    [
        ("ffffff", "f", "none"),
        ("tttttt", "a", "on_top"),
        ("uuuuuu", "a", "under"),
        ("bbbbbb", "a", "between"),
        ("llllll", "a", "lateral"),
        ("iiiiii", "i", "none"),
    ],
)
def test_one_state_throughout(scorer: Scorer, shown: str, location: str, contact: str) -> None:
    frames = scorer.score(observed(shown))
    assert letters(frames) == location * 6
    assert contacts(frames) == [contact] * 6
    assert (frames["host_id"] == (0 if location == "f" else HOST)).all()


@BOTH
def test_a_table_frames_that_conforms(scorer: Scorer) -> None:
    frames = conform(FRAMES, scorer.score(observed("ffttcciiii", "uu..uu")))
    assert len(frames) == 16
    assert frames["p_inside"].between(0, 1).all()


@BOTH
def test_entry_and_escape(scorer: Scorer) -> None:
    observations = observed("fftttcccc" + "i" * 12 + "tttttttt")
    seen = letters(scorer.score(observations))
    assert seen[9:21].count("i") >= 10
    assert "e" in seen[4:10]
    assert set(seen[24:]) == {"a"}
    events = find_events(scorer.score(observations), observations)
    done = events[events["entry_frame"].notna()]
    assert len(done) == 1
    assert abs(done["entry_frame"].item() - 9) <= 2
    assert done["end_reason"].item() == "escape"
    assert done["p"].item() > 0.8


@BOTH
@pytest.mark.parametrize("kind", ["t", "u", "b"])
def test_crossing_a_host_without_entering_is_no_event(scorer: Scorer, kind: str) -> None:
    observations = observed("ffll" + kind * 20 + "llff")
    assert "i" not in letters(scorer.score(observations))
    assert not find_events(scorer.score(observations), observations)["entry_frame"].notna().any()


@BOTH
def test_gap_inside_is_bridged(scorer: Scorer) -> None:
    assert letters(scorer.score(observed("tttt" + "iiii..iiii")))[5:] == "i" * 9


@BOTH
def test_what_is_too_dim_to_tell_is_unresolved(scorer: Scorer) -> None:
    frames = scorer.score(observed("~" * 12))
    seen = letters(frames)
    assert seen.count("i") == 0
    assert frames["p_inside"].max() < 0.95


@BOTH
def test_dead_is_absorbing_and_needs_two_frames(scorer: Scorer) -> None:
    once = scorer.score(observed("ttttTttttt"))
    assert (once["viability"] == "alive").all()
    twice = scorer.score(observed("ttttTTtttt"))
    assert twice["viability"].tolist() == ["alive"] * 4 + ["dead"] * 6


@BOTH
def test_unstained_inside_is_unknown_where_the_dye_does_not_reach(scorer: Scorer) -> None:
    frames = scorer.score(observed("tttt" + "i" * 10, marker="pi", reaches_inside=False))
    assert frames["viability"].tolist()[:3] == ["alive"] * 3
    assert frames["viability"].tolist()[-1] == "unknown"
    out_again = scorer.score(observed("tttt" + "i" * 10 + "tttttt", marker="pi", reaches_inside=False))
    assert (out_again["viability"] == "alive").all(), "who is alive later was alive inside"


@BOTH
def test_without_a_marker_nothing_is_known(scorer: Scorer) -> None:
    frames = scorer.score(observed("ttttTTTT", marker=None))
    assert (frames["viability"] == "unknown").all()
    assert frames["p_dead"].isna().all()


@BOTH
def test_caspase_tells_dying(scorer: Scorer) -> None:
    assert scorer.score(observed("ttttTTTT", marker="caspase"))["viability"].tolist()[4:] == ["dying"] * 4


@BOTH
def test_eaten_dead_guest_is_excluded(scorer: Scorer) -> None:
    observations = observed("tttTTTTCCC" + "I" * 10)
    events = find_events(scorer.score(observations), observations)
    done = events[events["entry_frame"].notna()]
    assert done["excluded_reason"].tolist() == ["dead_before_entry"]
    assert done["score"].tolist() == [""]


@BOTH
def test_prevalent_guest_is_no_entry(scorer: Scorer) -> None:
    observations = observed("i" * 10 + "t" * 10)
    events = find_events(scorer.score(observations), observations)
    assert events["prevalent"].tolist() == [True]


@BOTH
def test_no_pairs_and_no_guests(scorer: Scorer) -> None:
    observations = observed("ffff")
    assert letters(scorer.score(observations)) == "ffff"
    none = Observations(**{**vars(observations), "frames": observations.frames.iloc[:0]})
    assert len(scorer.score(none)) == 0


@BOTH
@settings(deadline=None, max_examples=10)
@given(st.text(alphabet="ftuci.", min_size=1, max_size=30), st.integers(0, 1000), st.floats(-50, 50))
def test_score_knows_neither_ids_nor_time_zero(scorer: Scorer, text: str, offset: int, zero_h: float) -> None:
    text = "t" + text
    observations = observed(text)
    plain = scorer.score(observations)
    moved = Observations(**{
        **vars(observations),
        "frames": observations.frames.assign(
            guest_id=lambda d: d["guest_id"] + offset, time_h=lambda d: d["time_h"] + zero_h,
            yd_um=lambda d: d["yd_um"] + 7.0, y_um=lambda d: d["y_um"] + 7.0,
        ),
        "pairs": observations.pairs.assign(
            guest_id=lambda d: d["guest_id"] + offset, time_h=lambda d: d["time_h"] + zero_h
        ),
        "time_h": observations.time_h + zero_h,
    })  # fmt: skip
    other = scorer.score(moved)
    assert plain["location"].tolist() == other["location"].tolist()
    np.testing.assert_allclose(plain["p_inside"], other["p_inside"], atol=1e-6)


@BOTH
def test_guests_do_not_change_each_other(scorer: Scorer) -> None:
    texts = ("ffttcciiiiii", "uuuuuuuuuuuu", "iiiitttttttt")
    together = scorer.score(observed(*texts))
    for g, text in enumerate(texts, start=1):
        alone = scorer.score(observed(text))
        one = together[together["guest_id"] == g]
        assert letters(together, g) == letters(alone)
        np.testing.assert_allclose(one["p_inside"], alone["p_inside"], atol=1e-9)


@BOTH
def test_input_from_which_nothing_can_be_told_leaves_all_open(scorer: Scorer) -> None:
    seen = observed("fftttccciiiiii")
    blind = replace(seen, separable={**seen.separable, USABLE: False})
    frames = conform(FRAMES, scorer.score(blind))
    assert set(frames["location"]) == {"unresolved"}
    assert set(frames["p_inside"]) == {0.5}
    assert len(find_events(frames, blind)) == 0
    if isinstance(scorer, MarkovScorer):
        assert all(set(d["location"]) == {"unresolved"} for d in scorer.draw_locations(blind, 2, seed=1))


def test_markov_draws_agree_with_its_probabilities() -> None:
    observations = observed("ttttt" + "~~~~" + "iiiiii", "iiii~~~~tttt")
    scorer = MarkovScorer()
    p = scorer.score(observations)["p_inside"].to_numpy()
    draws = scorer.draw_locations(observations, 300, seed=1)
    share = np.mean([(d["location"] == "inside").to_numpy() for d in draws], axis=0)
    np.testing.assert_allclose(share, p, atol=0.12)
    again = scorer.draw_locations(observations, 3, seed=5)
    pd.testing.assert_frame_equal(again[2], scorer.draw_locations(observations, 3, seed=5)[2])


def test_both_are_found_by_their_names() -> None:
    assert isinstance(build("score", "hysteresis", {"enter_p": 0.7}), HysteresisScorer)
    assert isinstance(build("score", "markov", {"certainty": 0.8}), MarkovScorer)


def test_slices_thicker_than_any_learned_leave_open_what_shares_its_place() -> None:
    seen = observed("ffffttttttiiiiii")
    thick = replace(seen, pairs=seen.pairs.assign(axial_fwhm_um=6.0))
    frames = MarkovScorer().score(thick)
    over = thick.pairs.loc[thick.pairs["footprint_share"] >= 0.5, "frame"]
    assert set(frames.loc[frames["frame"].isin(over), "location"]) == {"unresolved"}
    assert not (frames["location"] == "inside").any()
    fine = MarkovScorer().score(replace(seen, pairs=seen.pairs.assign(axial_fwhm_um=1.6)))
    assert (fine["location"] == "inside").any()
