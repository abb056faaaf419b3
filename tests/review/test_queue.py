"""The queue: every call worth a look, the doubtful first, random person-time and repeats among them."""

import numpy as np
import pytest
from small_world import world, write_results

from cicimage.review.candidates import candidates, stretch_around
from cicimage.review.queue import QueueTables, build_queue, frame_hours, load_queue_tables, prioritize, progress
from cicimage.review.response import verdict_on
from cicimage.review.session import Session, position_names
from cicimage.store import read_table


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return write_results(tmp_path_factory.mktemp("world"), {"a": world(), "b": world(condition="btki")})


@pytest.fixture(scope="module")
def ground(results):
    return load_queue_tables(results, position_names(results))


@pytest.fixture(scope="module")
def many(ground):
    """Twenty fields of each condition."""
    keys = [f"p{n:04d}" for n in range(1, 41)]
    source = {k: "p0001" if n % 2 else "p0002" for n, k in enumerate(keys)}
    return QueueTables(
        {k: ground.frames[s].assign(y_um=ground.frames[s]["y_um"] + n) for n, (k, s) in enumerate(source.items())},
        {k: ground.events[s] for k, s in source.items()}, {k: ground.condition[s] for k, s in source.items()},
    )  # fmt: skip


def test_candidates_are_events_and_near_misses(ground):
    found = {
        (c.guest_id, c.call, c.first, c.last) for c in candidates("p", ground.frames["p0001"], ground.events["p0001"])
    }
    assert {(11, "event", 5, 12), (14, "event", 0, 15), (16, "event", 13, 15)} <= found
    assert (12, "under", 6, 13) in found
    assert (12, "on_top", 0, 5) in found
    assert not any(g == 15 for g, *_ in found)


def test_frame_hours_add_up_to_the_time_watched(ground):
    frames = ground.frames["p0001"]
    total = frames.groupby("guest_id")["time_h"].agg(lambda t: t.max() - t.min()).sum()
    assert frame_hours(frames).sum() == pytest.approx(total)


def test_priority_is_doubt_times_effect(ground):
    found = candidates("p0001", ground.frames["p0001"], ground.events["p0001"])
    doubtful = next(c for c in found if c.call == "event" and c.guest_id == 11)
    sure, unsure = (type(doubtful)(**{**doubtful.__dict__, "p_wrong": p}) for p in (0.01, 0.5))
    weighed = prioritize([sure, unsure], ground)
    assert [c.p_wrong for c, _, _ in weighed] == [0.5, 0.01]
    assert weighed[0][1] == pytest.approx(50 * weighed[1][1])


def test_random_ones_and_repeats_have_their_share_and_reasons(many):
    queue = build_queue(many, "salt")
    drawn = [i.drawn for i in queue]
    assert drawn.count("random") / len(queue) == pytest.approx(0.10, abs=0.02)
    assert drawn.count("repeat") / len(queue) == pytest.approx(0.05, abs=0.01)
    assert len({i.id for i in queue}) == len(queue)
    ids = [i.id for i in queue]
    for n, item in enumerate(queue):
        assert item.reason
        if item.drawn == "repeat":
            assert ids.index(item.id.removesuffix("/2")) <= n - 8
    assert drawn[:30].count("random") == 3
    everything = {c for k in many.frames for c in candidates(k, many.frames[k], many.events[k])}
    assert everything <= {i.candidate for i in queue}


def test_random_ones_are_drawn_from_person_time(many):
    """Free guests, of whom nothing was called, are among them as often as their hours are."""
    frames = [i for salt in "abcdefgh" for i in build_queue(many, salt) if i.drawn == "random"]
    free = np.average([i.candidate.call == "free" for i in frames], weights=[len(i.draws) for i in frames])
    hours = {k: frame_hours(f) for k, f in many.frames.items()}
    share = np.mean([h[(f["location"] == "free").to_numpy()].sum() / h.sum() for h, f in
                     ((hours[k], many.frames[k]) for k in many.frames)])  # fmt: skip
    assert free == pytest.approx(share, abs=0.06)
    both = [many.condition[i.candidate.position] for i in frames]
    assert both.count("btki") / len(both) == pytest.approx(0.5, abs=0.08)


def test_the_same_salt_gives_the_same_queue_and_another_another(many):
    ids = [i.id for i in build_queue(many, "salt")]
    assert ids == [i.id for i in build_queue(many, "salt")]
    assert ids != [i.id for i in build_queue(many, "pepper")]


def test_reasons_do_not_tell_the_condition(many):
    for item in build_queue(many, "salt"):
        assert "btki" not in item.reason
        assert "vehicle" not in item.reason
    found = [c for k in many.frames for c in candidates(k, many.frames[k], many.events[k])]
    words = [(many.condition[c.position], word) for c, _, word in prioritize(found, many)]
    shares = [np.mean([w == "large" for k, w in words if k == condition]) for condition in ("btki", "vehicle")]
    assert shares[0] == pytest.approx(shares[1], abs=0.05)


def test_an_uneventful_stretch_is_cut_to_what_can_be_looked_at(ground):
    c = stretch_around("p0001", ground.frames["p0001"], 15, 3)
    assert (c.call, c.first, c.last) == ("free", 0, 6)


def test_progress_goes_on_where_one_was_and_unsure_comes_back_last(results, ground):
    with Session.open(results, "anna") as session:
        queue = build_queue(ground, session.salt)
        assert progress(queue, session.history.done, session.shown).next == queue[0].id
        for item, verdict in ((queue[0], "unsure"), (queue[1], "accept")):
            session.show(item.id)
            session.do(verdict_on(session.position(item.candidate.position), item, verdict))
        assert progress(queue, session.history.done, session.shown).next == queue[2].id
        session.show(queue[4].id)
    with Session.open(results, "anna") as session:
        assert progress(queue, session.history.done, session.shown).next == queue[4].id
        for item in queue[2:]:
            session.do(verdict_on(session.position(item.candidate.position), item, "accept"))
        assert progress(queue, session.history.done, queue[-1].id).next == queue[0].id
        session.do(verdict_on(session.position(queue[0].candidate.position), queue[0], "accept"))
        assert progress(queue, session.history.done).next == ""


def test_nothing_to_review_gives_an_empty_queue(tmp_path):
    results = write_results(tmp_path, {"a": world(guests={15: ("ff", 1)})})
    names = position_names(results)
    queue = build_queue(load_queue_tables(results, names), "salt")
    assert all(i.drawn == "random" for i in queue)
    assert read_table(results.position("p0001").table("events")).empty
