"""Corrections find their cells again after the pipeline was run anew, and say so where they cannot."""

import pytest
from small_world import STORIES, world, write_position, write_results

from cicimage.review.anchor import cell_now, cell_ref, mask_hash
from cicimage.review.base import load_base
from cicimage.review.corrected import Corrected
from cicimage.review.edits import BreakTrack, SetLocation, Verdict
from cicimage.review.keys import ReviewError
from cicimage.review.queue import build_queue, load_queue_tables
from cicimage.review.response import verdict_on
from cicimage.review.results import corrected
from cicimage.review.session import Session, position_names


@pytest.fixture
def results(tmp_path):
    return write_results(tmp_path, {"a": world()})


def paint(session, guest, first, last, location="unresolved"):
    draft = session.position("p0001").draft
    ref = cell_ref(draft, "guest", guest, [first, last])
    session.do(SetLocation(position="p0001", guest=ref, first=first, last=last, location=location))


def renamed():
    """The same movie, other cell ids and labels."""
    return world(guests={g + 100: (s, h + 200) for g, (s, h) in STORIES.items()}, hosts=(201, 202), labels_from=5)


def test_other_ids_and_other_labels_are_no_obstacle(results):
    with Session.open(results, "anna") as session:
        paint(session, 12, 6, 13)
    write_position(results, "p0001", renamed(), detected="d2")
    laid = corrected(results, "anna")
    assert laid.conflicts == ()
    frames = laid.tables["vehicle/a"]["frames"]
    painted = frames[frames["reviewed"]]
    assert set(painted["guest_id"]) == {112}
    assert painted["frame"].tolist() == list(range(6, 14))


def test_a_guest_that_is_gone_is_a_conflict_and_the_rest_goes_on(results):
    with Session.open(results, "anna") as session:
        paint(session, 12, 6, 13)
        paint(session, 14, 2, 5)
    fewer = {g: s if g != 12 else ("ttt", 1) for g, s in STORIES.items()}
    write_position(results, "p0001", world(guests=fewer, labels_from=5), detected="d2")
    laid = corrected(results, "anna")
    assert len(laid.conflicts) == 1
    assert "p0001, unresolved, frames 6-13: guest at frame 6" in laid.conflicts[0]
    assert "no object lies there after the new run" in laid.conflicts[0]
    frames = laid.tables["vehicle/a"]["frames"]
    assert set(frames.loc[frames["reviewed"], "guest_id"]) == {14}


def test_a_track_cut_within_a_decision_is_a_conflict_until_it_is_mended(results):
    live = Corrected(load_base(results, "vehicle/a"))
    ref = cell_ref(live.draft, "guest", 12, [6, 13])
    live.do(1, SetLocation(position="p0001", guest=ref, first=6, last=13, location="unresolved"))
    cut = BreakTrack(position="p0001", cell=cell_ref(live.draft, "guest", 12, [0]), frame=9)
    live.do(2, cut)
    live.refresh()
    assert "its track is cut before frame 13 now" in live.conflicts[1]
    assert not live.guest(12).frames["location"].eq("unresolved").any()
    live.undo()
    live.refresh()
    assert not live.conflicts
    assert live.guest(12).frames["location"].eq("unresolved").sum() == 8


def test_a_place_where_two_might_be_meant_is_not_guessed(results):
    draft = Corrected(load_base(results, "vehicle/a")).draft
    ref = cell_ref(draft, "guest", 12, [6])
    (anchor,) = ref.anchors
    between = anchor.model_copy(update={"y_um": anchor.y_um + 3.5, "area_um2": 300.0, "mask": "other"})
    with pytest.raises(ReviewError, match="2 objects lie there after the new run"):
        cell_now(draft, ref.model_copy(update={"anchors": (between,), "made_on": "older"}))


def test_a_mask_is_known_by_its_pixels_alone(results):
    base = load_base(results, "vehicle/a")
    a, b = (base.mask(k) for k in base.keys_in("guest", 0)[:2])
    assert mask_hash(a) != mask_hash(b)


def test_a_queue_made_anew_knows_what_was_judged(results):
    names = position_names(results)
    with Session.open(results, "anna") as session:
        queue = build_queue(load_queue_tables(results, names), session.salt)
        item = next(i for i in queue if i.candidate.call == "event")
        session.do(verdict_on(session.position("p0001"), item, "accept"))
        salt = session.salt
    write_position(results, "p0001", renamed(), detected="d2")
    again = build_queue(load_queue_tables(results, names), salt)
    assert item.id in {i.id for i in again}
    with Session.open(results, "anna") as session:
        (edit,) = [e for _, e in session.edits()]
        assert isinstance(edit, Verdict)
        assert edit.item == item.id
        session.position("p0001").refresh()
        assert session.conflicts() == []
