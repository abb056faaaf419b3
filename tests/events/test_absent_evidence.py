"""What was not measured says nothing: a guest that a host covers is then neither inside nor outside."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from absent import WAYS, as_flat, covered, resolved, without, without_columns
from drawn_evidence import HOST, letters, observed
from hypothesis import given, settings
from hypothesis import strategies as st

from cicimage.events.emissions import CLASSES, MOTION, derive
from cicimage.events.episodes import find_events
from cicimage.events.hmm import MarkovScorer
from cicimage.events.hysteresis import HysteresisScorer
from cicimage.events.missed_hosts import with_missed_pairs
from cicimage.events.parameters import load_parameters
from cicimage.events.person_time import guest_histories
from cicimage.methods import Observations, Scorer

SCORERS = [HysteresisScorer(), MarkovScorer()]
BOTH = pytest.mark.parametrize("scorer", SCORERS, ids=["hysteresis", "markov"])
KINDS = ("stack", "projection", "slice")
STORIES = st.lists(st.sampled_from(["ffff", "ll", "tttttt", "uuuuu", "bbbb", "ccc", "iiiiiii", "i", "t"]), min_size=1,
                   max_size=7).map("".join)  # fmt: skip
REACH = 2
"""Frames to which a call is carried at 5 min and more."""


def _seen(*texts: str, kind: str = "stack", interval_min: float = 5.0) -> Observations:
    seen = observed(*texts, interval_min=interval_min)
    return seen if kind == "stack" or not len(seen.pairs) else as_flat(seen, texts, sections=kind == "slice")


def _of(frames: pd.DataFrame, keys: pd.MultiIndex) -> pd.DataFrame:
    return frames.set_index(["guest_id", "frame"]).loc[keys]


@BOTH
@pytest.mark.parametrize("way", ["values", "errors"])
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=5)
@given(text=STORIES)
def test_a_guest_without_evidence_is_unresolved_wherever_a_host_covers_it(
    scorer: Scorer, way: str, kind: str, text: str
) -> None:
    seen = _seen("f" + text, kind=kind)
    over = covered(seen) if len(seen.pairs) else pd.MultiIndex.from_tuples([], names=["guest_id", "frame"])
    blind = without(seen, over, way) if len(over) else seen
    frames = scorer.score(blind)
    here = _of(frames, over)
    assert set(here["location"]) <= {"unresolved"}
    assert set(here["contact"]) <= {"unresolved"}
    assert set(here["p_inside"]) <= {0.5}
    assert (here["host_id"] == HOST).all()
    events = find_events(frames, blind)
    hours = guest_histories(frames, blind, events)
    assert not events["entry_frame"].notna().any()
    assert hours["hours_inside_alive"].sum() == 0
    assert (hours["hours_unresolved"].sum() > 0) == (len(over) > 0)


@BOTH
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=5)
@given(text=STORIES, seed=st.integers(0, 1000), share=st.floats(0.1, 0.9))
def test_a_call_is_carried_no_further_than_the_persistence(
    scorer: Scorer, way: str, kind: str, text: str, seed: int, share: float
) -> None:
    text = "t" + text
    seen = _seen(text, kind=kind)
    over = covered(seen)
    gone = over[np.random.default_rng(seed).random(len(over)) < share]
    frames = scorer.score(without(seen, gone, way)).set_index("frame")
    lost = np.array([f for _, f in gone], int)
    kept = np.setdiff1d(np.arange(len(text)) if way == "frames" else [f for _, f in over], lost)
    for frame in lost:
        if not len(kept) or np.abs(kept - frame).min() > REACH:
            assert frames.loc[frame, "location"] == "unresolved"
            assert frames.loc[frame, "p_inside"] == 0.5


@settings(max_examples=10)
@given(text=STORIES, seed=st.integers(0, 1000))
def test_a_frame_without_evidence_is_as_sure_as_one_in_which_the_guest_is_not_seen(text: str, seed: int) -> None:
    text = "tt" + text
    seen = _seen(text)
    over = covered(seen)
    gone = over[np.random.default_rng(seed).random(len(over)) < 0.3]
    blind, unseen = (_of(MarkovScorer().score(without(seen, gone, way)), gone) for way in ("values", "frames"))
    carried = (blind["location"] != "unresolved") & (unseen["location"] != "unresolved")
    # That a host is there speaks against free and beside; nothing else is known besides the neighbours.
    assert (blind["p_inside"] - unseen["p_inside"])[carried].abs().max() < 0.1 if carried.any() else True


def test_certainty_decays_within_a_gap() -> None:
    seen = _seen("i" * 12 + "tttttttt", interval_min=10.0)
    gap = pd.MultiIndex.from_tuples([(1, k) for k in range(4, 8)], names=["guest_id", "frame"])
    p = _of(MarkovScorer().score(without(seen, gap)), gap)["p_inside"].to_numpy()
    assert (p[1:3] < p[[0, 3]]).all()
    assert p.min() > 0.7


@BOTH
@pytest.mark.parametrize("gap", [3, 4, 5, 12])
def test_an_entry_during_a_silence_lies_in_an_interval(scorer: Scorer, gap: int) -> None:
    text = "t" * 8 + "~" * gap + "i" * 12
    seen = observed(text, interval_min=5.0)
    frames = scorer.score(seen)
    events = find_events(frames, seen)
    entry = events[events["entry_frame"].notna()]
    assert len(entry) == 1
    assert not entry["prevalent"].item()
    # True entry: anywhere between frames 7 and 8 + gap; what is carried narrows it by the persistence at most.
    assert entry["entry_after_frame"].item() <= 7 + REACH
    assert entry["entry_frame"].item() >= 8 + gap - REACH
    if gap > 2 * REACH:
        assert guest_histories(frames, seen, events)["hours_unresolved"].item() >= (gap - 2 * REACH) * 5 / 60 - 1e-9


@BOTH
@pytest.mark.parametrize("kind", KINDS)
def test_a_measured_host_does_not_speak_for_one_whose_evidence_is_empty(scorer: Scorer, kind: str) -> None:
    seen = _seen("t" * 10, kind=kind)
    empty = without(seen, covered(seen)).pairs.assign(host_id=HOST + 1)
    both = replace(seen, pairs=pd.concat([seen.pairs, empty], ignore_index=True))
    assert letters(scorer.score(both)) == "?" * 10


@BOTH
@pytest.mark.parametrize("column", ["footprint_share", "gap_um", "both"])
def test_a_place_that_is_not_known_is_no_place_outside(scorer: Scorer, column: str) -> None:
    seen = _seen("i" * 10)
    columns = ("footprint_share", "gap_um") if column == "both" else (column,)
    frames = scorer.score(without_columns(seen, columns))
    assert letters(frames) == "i" * 10
    nothing = without_columns(without(seen, covered(seen)), columns)
    assert letters(scorer.score(nothing)) == "?" * 10


@BOTH
def test_an_entry_that_falls_silent_half_way_is_one_event(scorer: Scorer) -> None:
    seen = observed("tttttt" + "cccc" + "~" * 6 + "i" * 12, interval_min=5.0)
    frames = scorer.score(seen)
    events = find_events(frames, seen)
    assert "?" in letters(frames)[10:16]
    assert len(events) == 1
    assert events["entry_frame"].notna().all()


# ---------------------------------------------------------------- hosts that were not detected


def _host_unseen(seen: Observations, frames: range, *, row: bool = True) -> Observations:
    """The host is not detected in some frames: no pair has a row, and the host's own row is a filled gap, or none."""
    hosts = seen.hosts.assign(observed=~seen.hosts["frame"].isin(list(frames)))
    pairs = seen.pairs[~seen.pairs["frame"].isin(list(frames))].reset_index(drop=True)
    return replace(seen, hosts=hosts if row else hosts[hosts["observed"]].reset_index(drop=True), pairs=pairs)


@BOTH
@pytest.mark.parametrize("shown", ["i", "t", "u"])
@pytest.mark.parametrize("n", [1, 3, 9])
def test_a_guest_whose_host_is_missed_is_not_free(scorer: Scorer, shown: str, n: int) -> None:
    seen = _host_unseen(_seen(shown * 20), range(8, 8 + n))
    found = letters(scorer.score(seen))
    called = {"i": "i", "t": "a", "u": "a"}[shown]
    assert set(found[:8] + found[8 + n :]) == {called}
    assert set(found[8 : 8 + n]) <= {called, "?"}
    assert found[8 + REACH : 8 + n - REACH] == "?" * max(n - 2 * REACH, 0)
    assert find_events(scorer.score(seen), seen)["end_reason"].tolist() == (["movie_end"] if shown == "i" else [])


@BOTH
def test_a_guest_whose_host_is_lost_for_good_stays_open_until_it_moves_away(scorer: Scorer) -> None:
    seen = _host_unseen(_seen("i" * 20), range(8, 20), row=False)
    found = letters(scorer.score(seen))
    assert found[:8] == "i" * 8
    assert set(found[8:10]) <= {"i", "?"}
    assert found[10:] == "?" * 10
    walked = seen.frames.assign(xd_um=seen.frames["xd_um"] + np.where(seen.frames["frame"] >= 14, 30.0, 0.0))
    assert letters(scorer.score(replace(seen, frames=walked)))[14:] == "f" * 6


@BOTH
def test_a_guest_whose_host_died_or_left_is_free(scorer: Scorer) -> None:
    seen = _host_unseen(_seen("i" * 20), range(8, 20), row=False)
    dead = seen.hosts.assign(
        death_signal=np.where(seen.hosts["frame"] >= 5, 40.0, 0.0),
        death_fill=np.where(seen.hosts["frame"] >= 5, 0.3, 0.0),
    )
    left = seen.hosts.assign(touches_border=True)
    for hosts in (dead, left):
        assert letters(scorer.score(replace(seen, hosts=hosts)))[12:] == "f" * 8


def test_added_rows_do_not_touch_what_was_measured() -> None:
    seen = _host_unseen(_seen("i" * 12, "f" * 12), range(4, 7))
    more = with_missed_pairs(seen)
    assert len(more.pairs) == len(seen.pairs) + 3
    assert more.pairs.dtypes.equals(seen.pairs.dtypes)
    kept = more.pairs[more.pairs["footprint_share"].notna()].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, seen.pairs)
    assert with_missed_pairs(more) is more


# ---------------------------------------------------------------- single columns


DEEP = ("cap_um", "floor_um", "wall_lower", "wall_upper", "ring_coverage", "void", "body", "host_top_um", "z_in_host",
        "edge_lower", "cap_um_se", "floor_um_se", "void_se")  # fmt: skip
SHALLOW = ("void", "ring_coverage", "wall", "sharpness", "void_se")


@BOTH
@pytest.mark.parametrize(("kind", "columns"), [("stack", DEEP), ("projection", SHALLOW), ("slice", SHALLOW)])
@settings(max_examples=12)
@given(data=st.data())
def test_columns_that_are_missing_make_no_guest_inside_a_sure_outsider_nor_the_reverse(
    scorer: Scorer, kind: str, columns: tuple[str, ...], data: st.DataObject
) -> None:
    gone = tuple(sorted(data.draw(st.sets(st.sampled_from(columns), min_size=1))))
    texts = ("i" * 12, "t" * 12, "tttt" + "i" * 12, "u" * 12)
    seen = _seen(*texts, kind=kind)
    before, after = (scorer.score(o).set_index(["guest_id", "frame"]) for o in (seen, without_columns(seen, gone)))
    called = after["location"] != "unresolved"
    p, q = before["p_inside"], after["p_inside"].reindex(before.index)
    assert not ((p >= 0.5) & (q < 0.3) & called).any(), gone
    assert not ((p <= 0.3) & (q > 0.7) & called).any(), gone


def test_a_row_is_measured_only_where_no_missing_piece_could_turn_it() -> None:
    model = load_parameters("").regime_for(1.7).emissions
    rows = derive(observed("iiii", "tttt").pairs.assign(speed_um_per_min=np.nan))
    whole = model.log_likelihood(rows)
    read, measured = model.read_covered(rows)
    assert measured.all()
    np.testing.assert_allclose(read, whole)
    names = [t.name for t in model.tables if t.name not in (*MOTION, "footprint_share", "gap_um")]
    one = rows.assign(**dict.fromkeys(set(names) - {"wall_lower"}, np.nan))
    assert not model.read_covered(one)[1].any()
    nothing = rows.assign(**dict.fromkeys(names, np.nan))
    none, measured = model.read_covered(nothing)
    assert not measured.any()
    over = [c for c in range(len(CLASSES)) if CLASSES[c] not in ("free", "lateral")]
    assert np.ptp(none[:, over]) == pytest.approx(0.0, abs=1e-9)


# ---------------------------------------------------------------- a growing share


@BOTH
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_share_of_calls_falls_to_nothing_as_evidence_goes(scorer: Scorer, way: str, kind: str) -> None:
    rng = np.random.default_rng(4)
    parts = ("ffff", "ll", "tttttttt", "uuuuuuu", "iiiiiiiiii", "ccc", "tttt")
    texts = tuple("".join(rng.choice(parts, 6))[:30].ljust(30, "t") for _ in range(16))
    seen = _seen(*texts, kind=kind)
    over = covered(seen)
    # A frame that is lost is lost for guests outside as well.
    pool = pd.MultiIndex.from_frame(seen.frames[["guest_id", "frame"]]) if way == "frames" else over
    order = rng.permutation(len(pool))
    shares = [
        resolved(scorer.score(without(seen, pool[order[: round(k * len(pool))]], way)), over)
        for k in (0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
    ]
    assert max(np.diff(shares)) <= 0.01, shares
    assert shares[-1] == 0
    assert shares[0] > 0.5
