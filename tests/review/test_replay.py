"""Replay equals live, undo-all equals the original, whatever was done in between."""

from uuid import uuid4

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_edits import random_edit
from small_world import world, write_results

from cicimage.review.base import load_base
from cicimage.review.corrected import SORTED_BY, Corrected
from cicimage.review.edits import parse_edit
from cicimage.review.keys import ReviewError
from cicimage.review.session import Session


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return write_results(tmp_path_factory.mktemp("world"), {"a": world(parents={16: 15}), "b": world()})


def same(left, right):
    for name in SORTED_BY:
        a, b = left[name], right[name]
        a, b = (t.drop(columns="number", errors="ignore") for t in (a, b))
        pd.testing.assert_frame_equal(a, b, check_dtype=False, obj=name)


STEPS = st.lists(st.tuples(st.sampled_from("eeeeeur!"), st.integers(0, 2**32)), min_size=4, max_size=16)


@settings(max_examples=8, deadline=None)
@given(STEPS)
def test_replay_equals_live_and_undo_all_equals_the_original(results, steps):
    live_against_replay(results, steps)


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(STEPS)
def test_replay_equals_live_over_many_sequences(results, steps):
    live_against_replay(results, steps)


def live_against_replay(results, steps):
    """Letters: e edit, u undo, r redo, ! ask for the tables in between."""
    base = load_base(results, "vehicle/a")
    live, done, undone, seen = Corrected(base), [], [], {}
    for n, (what, seed) in enumerate(steps, start=1):
        if what == "e":
            try:
                edit = parse_edit(random_edit(live.draft, seed).model_dump(mode="json"))
                live.do(n, edit)
            except ReviewError:
                continue
            done.append((n, edit))
            undone.clear()
        elif what == "u" and done:
            done, step = done[:-1], done[-1]
            live.undo()
            undone.append(step)
        elif what == "r" and undone:
            done.append(undone.pop())
            live.replay(*done[-1])
        elif what == "!":
            seen[tuple(n for n, _ in done)] = (live.tables(), live.conflicts)
    fresh = Corrected(base)
    for step in done:
        fresh.replay(*step)
    same(live.tables(), fresh.tables())
    assert live.conflicts == fresh.conflicts
    assert live.excluded == fresh.excluded
    while done:
        live.undo()
        done.pop()
        tables, conflicts = seen.get(tuple(n for n, _ in done), (None, None))
        if tables is not None:
            same(live.tables(), tables)
            assert live.conflicts == conflicts
    same(live.tables(), {name: getattr(base, name) for name in SORTED_BY})
    assert live.untouched
    assert not live.conflicts


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(0, 2**32), min_size=1, max_size=6))
def test_an_edit_that_does_not_fit_changes_nothing(results, seeds):
    live, other = (Corrected(load_base(results, "vehicle/a")) for _ in range(2))
    for n, seed in enumerate(seeds, start=1):
        try:
            edit = random_edit(live.draft, seed)
            live.do(n, edit)
            other.do(n, edit)
        except ReviewError:
            for part in ("cells", "parents", "masks", "measured", "pairs"):
                assert getattr(live.draft.edited, part).keys() == getattr(other.draft.edited, part).keys()
            assert live.decisions.edits == other.decisions.edits
    same(live.tables(), other.tables())


@settings(max_examples=5, deadline=None)
@given(seeds=st.lists(st.integers(0, 2**32), min_size=2, max_size=8))
def test_a_session_reopened_is_where_it_was_undo_included(results, seeds):
    name = f"anna{uuid4().hex[:12]}"
    with Session.open(results, name) as session:
        for seed in seeds:
            try:
                session.do(random_edit(session.position("p0001").draft, seed))
            except ReviewError:
                session.undo()
        live, conflicts, history = session.position("p0001").tables(), session.conflicts(), session.history
    with Session.open(results, name) as again:
        assert again.history == history
        same(again.position("p0001").tables(), live)
        assert again.conflicts() == conflicts
        while again.undo():
            pass
        base = again.position("p0001").base
        same(again.position("p0001").tables(), {n: getattr(base, n) for n in SORTED_BY})
        while again.redo():
            pass
        if not history.undone:
            same(again.position("p0001").tables(), live)
