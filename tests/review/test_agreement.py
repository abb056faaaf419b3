"""Two reviewers: kappa, entry frames, what is disputed, and how it is settled."""

import math

import numpy as np
import pytest
from small_world import world, write_results
from statsmodels.stats.inter_rater import cohens_kappa

from cicimage.errors import ConfigurationError, ResultsError
from cicimage.review.accuracy import call_accuracy
from cicimage.review.agreement import adjudicate, compare, constancy, kappa
from cicimage.review.log import log_path, read_log
from cicimage.review.queue import build_queue, load_queue_tables, progress
from cicimage.review.response import entry_at, verdict_on
from cicimage.review.results import corrected
from cicimage.review.session import Session, position_names


@pytest.mark.parametrize(
    "table", [[[20, 5], [10, 15]], [[53, 5, 2], [11, 14, 5], [1, 6, 3]], [[9, 1, 0], [0, 5, 2], [1, 1, 7]]]
)
def test_kappa_and_its_interval_are_those_of_statsmodels(table):
    known = cohens_kappa(np.array(table))
    value, low, high = kappa(table)
    assert value == pytest.approx(known.kappa)
    assert (low, high) == (pytest.approx(known.kappa_low, abs=1e-6), pytest.approx(known.kappa_upp, abs=1e-6))


def test_kappa_without_variation_is_not_defined():
    assert math.isnan(kappa([[5, 0], [0, 0]])[0])
    assert math.isnan(kappa([[0, 0], [0, 0]])[0])


@pytest.fixture
def results(tmp_path):
    return write_results(tmp_path, {"a": world()})


def review(results, who, wrong=(), finish=True):
    """Accept all, but reject the events of some guests."""
    with Session.open(results, who) as session:
        for item in build_queue(load_queue_tables(results, position_names(results)), session.salt):
            reject = item.candidate.guest_id in wrong and item.candidate.call == "event"
            position = session.position(item.candidate.position)
            session.do(verdict_on(position, item, "reject" if reject else "accept"))
        if finish:
            session.finish()


def test_until_both_have_finished_neither_sees_the_other(results):
    review(results, "anna")
    review(results, "ben", finish=False)
    with pytest.raises(ConfigurationError, match="ben has not declared the review finished"):
        compare(results, "anna", "ben")
    with pytest.raises(ConfigurationError, match="reviewer 'bem': has no log .*did you mean 'ben'"):
        compare(results, "anna", "bem")
    assert compare(results, "anna", "ben", early=True).share == 1.0


def test_an_edit_after_finishing_opens_the_review_again(results):
    review(results, "anna")
    with Session.open(results, "anna") as session:
        assert session.finished
        session.undo()
        assert not session.finished


def test_disputes_are_found_and_settled(results):
    review(results, "anna")
    review(results, "ben", wrong=(11,))
    found = compare(results, "anna", "ben")
    (dispute,) = found.disputed
    assert dispute.candidate.guest_id == 11
    assert dispute.reason == "one says inside, the other outside"
    assert found.table.at["inside", "outside"] == 1
    assert 0 < found.kappa < 1
    assert corrected(results).whose == ""
    assert "are not adjudicated" in corrected(results).notes[0]
    session, open_items = adjudicate(results, "anna", "ben")
    with session:
        assert open_items == [dispute]
        session.do(verdict_on(session.position("p0001"), dispute, "reject"))
    session, open_items = adjudicate(results, "anna", "ben")
    with session:
        assert open_items == []
    laid = corrected(results)
    assert laid.whose == "adjudicated"
    events = laid.tables["vehicle/a"]["events"].set_index("guest_id")
    assert events.at[11, "p"] == 0.0
    assert events.at[14, "p"] == 1.0
    with pytest.raises(ResultsError, match="settles anna and ben, not ben and anna"):
        adjudicate(results, "ben", "anna")


def test_entries_further_apart_than_the_tolerance_are_disputed(results):
    review(results, "anna")
    with Session.open(results, "ben") as session:
        for item in build_queue(load_queue_tables(results, position_names(results)), session.salt):
            position = session.position("p0001")
            session.do(verdict_on(position, item, "accept"))
            if item.candidate.guest_id == 11 and item.candidate.call == "event" and item.drawn != "repeat":
                session.do(entry_at(position, item, (5, 12), 8))
        session.finish()
    found = compare(results, "anna", "ben", tolerance_frames=1)
    assert sorted(found.entry_errors) == [0.0] * (len(found.entry_errors) - 1) + [3.0]
    assert found.entries_within == pytest.approx(1 - 1 / len(found.entry_errors))
    assert found.disputed[0].reason == "both say inside, entries at frames 5 and 8"
    assert not compare(results, "anna", "ben", tolerance_frames=3).disputed


def test_constancy_counts_repeats(tmp_path):
    results = write_results(tmp_path, {name: world() for name in "abcd"})
    review(results, "anna")
    same, asked = constancy(read_log(log_path(results.root, "anna")).records)
    assert asked > 0
    assert same == asked


def test_accuracy_rests_on_random_items_alone(tmp_path):
    results = write_results(tmp_path, {name: world() for name in "abcdef"})
    review(results, "anna", wrong=(11, 14))
    with Session.open(results, "anna") as session:
        ground = load_queue_tables(results, position_names(results))
        queue = build_queue(ground, session.salt)
        judged = progress(queue, session.history.done).judged
        positions = {key: session.position(key) for key in session.position_ids}
        table = call_accuracy(queue, judged, positions, ground.condition).set_index(["estimand", "condition"])
    drawn = [i for i in queue if i.drawn == "random"]
    inside = [i for i in drawn if i.candidate.call == "event" for _ in i.draws]
    wrong = sum(i.candidate.guest_id in (11, 14) for i in inside)
    assert inside
    assert table.at[("ppv_inside", ""), "n"] == len(inside)
    assert table.at[("ppv_inside", ""), "estimate"] == pytest.approx(1 - wrong / len(inside))
    outside = sum(len(i.draws) for i in drawn if i.candidate.call not in ("event", "unresolved"))
    assert table.at[("specificity_inside", ""), "n"] == outside + wrong
