"""The desk: going about, what keys do, what is told to whom."""

import pytest
from small_world import world, write_results

from cicimage.review.desk import Desk
from cicimage.review.keys import ReviewError
from cicimage.review.log import ReviewLog
from cicimage.review.queue import AGAIN_AFTER
from cicimage.review.walk import FILTERS
from cicimage.store import DiskFullError


@pytest.fixture
def desk(tmp_path):
    made = Desk.open(write_results(tmp_path / "out", {"a": world(), "b": world(condition="btki")}), "anna")
    yield made
    made.close()


def item(desk, guest, call):
    return next(
        i.id for i in desk.queue
        if i.candidate.guest_id == guest and i.candidate.call == call and i.candidate.position == "p0001"
        and i.drawn != "repeat"
    )  # fmt: skip


def test_a_verdict_goes_on_to_the_next_open_item(desk):
    first = desk.item
    desk.judge("accept")
    assert desk.item.id == desk.queue[1].id
    desk.previous()
    assert desk.item.id == first.id
    assert desk.verdict() == "accept"
    desk.next()
    desk.next()
    assert desk.item.id == desk.queue[2].id


def test_filters_show_what_they_say(desk):
    desk.judge("unsure")
    counts = {}
    for name in FILTERS:
        desk.walk.shown = name
        counts[name] = len(desk.listed())
    assert counts["all"] == len(desk.queue)
    assert counts["open"] == counts["all"] - 1
    assert counts["unsure"] == 1
    assert counts["events"] + counts["near misses"] <= counts["all"]
    desk.walk.shown = "events"
    desk.next()
    assert desk.current.candidate.call == "event"


def test_words_tell_the_call_and_never_the_condition(desk):
    desk.go(item(desk, 11, "event"))
    assert desk.called == "inside, entry at frame 5, until frame 12"
    desk.go(item(desk, 14, "event"))
    assert desk.called == "inside, since it was first seen, until frame 15"
    desk.go(item(desk, 12, "under"))
    assert desk.called == "under a host, frames 6 to 13"
    for i in desk.queue:
        desk.go(i.id)
        assert "vehicle" not in desk.title + desk.called
        assert "btki" not in desk.title + desk.called


def test_the_film_holds_nine_frames_with_the_focus_among_them(desk):
    for i in desk.queue:
        desk.go(i.id)
        frames = desk.film()
        assert len(frames) == len(set(frames)) == 9
        assert desk.current.candidate.focus in frames


def test_states_count_as_judged_and_take_one_undo(desk):
    desk.go(item(desk, 12, "under"))
    desk.select(13, 6)
    assert desk.span == (6, 13)
    desk.locate("inside")
    assert desk.verdict() == "set"
    assert desk.stay() == (6, 13)
    desk.enter_here(8)
    assert desk.lines() == {"entry": 8, "end": 13}
    assert desk.undo() == "undone: entry at frame 8"
    assert desk.undo() == "undone: inside, frames 6-13"
    assert desk.verdict() == ""
    assert desk.redo() == "done again: inside, frames 6-13"
    assert desk.undo()
    assert desk.undo() == ""


def test_undo_goes_to_the_item_it_was_made_on(desk):
    first = desk.item.id
    desk.judge("accept")
    desk.next()
    desk.undo()
    assert desk.item.id == first


def test_the_host_clicked_is_the_host_meant(desk):
    desk.go(item(desk, 12, "under"))
    assert desk.host == 1
    desk.click("host", 2)
    assert desk.host == 2
    desk.judge("reject")
    events = desk.session.position("p0001").guest(12).events
    assert events["host_id"].tolist() == [2]


def test_listeners_are_told(desk):
    heard = []
    desk.listeners.append(heard.append)
    desk.look_at(3)
    desk.select(1, 2)
    desk.click("host", 1)
    desk.note("odd shape")
    desk.next()
    assert heard == ["frame", "span", "other", "edit", "item"]
    desk.previous()
    assert desk.notes() == ["odd shape"]


def test_frames_stay_in_the_movie(desk):
    desk.look_at(-5)
    assert desk.frame == 0
    desk.look_at(99)
    assert desk.frame == 15


def test_a_deleted_guest_cannot_be_judged(desk):
    from cicimage.review.anchor import cell_ref
    from cicimage.review.edits import DeleteTrack

    desk.go(item(desk, 11, "event"))
    ref = cell_ref(desk.corrected.draft, "guest", 11, [0])
    desk.do(DeleteTrack(position="p0001", cell=ref, first=0, last=15))
    assert desk.guest == 0
    assert len(desk.rows()) == 0
    with pytest.raises(ReviewError, match="the guest of this item was deleted"):
        desk.judge("accept")


def test_positions_leave_memory_and_come_back_with_their_edits(tmp_path, monkeypatch):
    from cicimage.review import desk as module

    monkeypatch.setattr(module, "KEPT_POSITIONS", 1)
    desk = Desk.open(write_results(tmp_path / "out", {"a": world(), "b": world(condition="btki")}), "anna")
    desk.go(item(desk, 12, "under"))
    desk.locate("unresolved")
    away = next(i.id for i in desk.queue if i.candidate.position == "p0002")
    desk.go(away)
    assert desk.guest
    assert set(desk.session.loaded) == {"p0002"}
    desk.undo()
    desk.redo()
    desk.go(item(desk, 12, "under"))
    assert (desk.rows()["location"] == "unresolved").sum() == 8
    desk.close()


def test_a_call_turned_round_is_asked_for_once_more(desk):
    """Some items later, without a word of what was said; agreeing settles it, disagreeing brings it a third time."""
    first = item(desk, 11, "event")
    desk.go(first)
    desk.judge("reject")
    assert desk.item.id != first
    said = 0
    while desk.item.id != first:
        desk.judge("accept")
        said += 1
    assert said == AGAIN_AFTER
    assert (desk.reason, desk.verdict()) == ("shown once more", "")
    desk.judge("accept")
    while desk.item.id != first:
        desk.judge("accept")
    desk.judge("reject")
    assert desk.walk.again == {}
    assert desk.judged[first] == "reject"
    position = desk.session.position("p0001")  # the next item may be of another one
    assert position.guest(11).events["excluded_reason"].tolist() == ["rejected"]
    desk.undo()
    assert desk.walk.again.keys() == {first}


def test_what_was_set_by_hand_does_not_come_back(desk):
    desk.go(item(desk, 11, "event"))
    desk.judge("reject")
    desk.go(item(desk, 11, "event"))
    desk.look_at(7)
    desk.enter_here()
    assert desk.walk.again == {}


def test_the_last_looks_come_at_the_end(desk):
    queue = desk.queue
    last = [i.id for i in queue if i.drawn != "repeat" and i.candidate.call == "event"][-1]
    for each in [i.id for i in queue if i.id != last]:
        desk.go(each)
        desk.judge("accept")
    desk.go(last)
    desk.judge("reject")
    desk.next()
    assert desk.progress.next == last


def test_a_full_disk_leaves_the_screen_in_step(desk, monkeypatch):
    def full(*_):
        raise DiskFullError("the disk is full")

    heard = []
    desk.listeners.append(heard.append)
    before = desk.session.history
    monkeypatch.setattr(ReviewLog, "append", full)
    with pytest.raises(DiskFullError):
        desk.judge("accept")
    assert (heard, desk.session.history) == ([], before)
    with pytest.raises(DiskFullError):
        desk.next()
    assert heard == ["item"]
