"""What each kind of edit does to a small world, and what it refuses."""

import numpy as np
import pytest
from pydantic import ValidationError
from small_world import disc, place_of, world, write_results

from cicimage.errors import ResultsError
from cicimage.masks import Mask
from cicimage.review.anchor import cell_ref
from cicimage.review.base import load_base
from cicimage.review.corrected import Corrected
from cicimage.review.edits import (
    AddEvent,
    BreakTrack,
    DeleteTrack,
    EraseMask,
    ExcludeFrames,
    ExcludeHost,
    ExcludePosition,
    LinkTracks,
    MergeMasks,
    MergeTracks,
    Note,
    PaintMask,
    Patch,
    SetDeath,
    SetEnd,
    SetEntry,
    SetLocation,
    SetViability,
    SplitMask,
    SplitTrack,
    SwapTracks,
    Verdict,
    parse_edit,
)
from cicimage.review.edits.edit import plain
from cicimage.review.keys import Key, ReviewError
from cicimage.review.measure import mask_edit

LETTER = {"free": "f", "attached": "a", "entering": "e", "inside": "i", "unresolved": "?"}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return load_base(write_results(tmp_path_factory.mktemp("world"), {"a": world()}), "vehicle/a")


@pytest.fixture
def live(base):
    return Corrected(base)


def story(live, guest):
    rows = live.guest(guest).frames.sort_values("frame")
    return "".join(LETTER[x] for x in rows["location"])


def events(live, guest):
    return live.guest(guest).events


def guest(live, g, first, last):
    return {"position": live.base.position_id, "guest": cell_ref(live.draft, "guest", g, [first, last]), "first": first,
            "last": last}  # fmt: skip


def host(live, h):
    return cell_ref(live.draft, "host", h, [0])


def ref(live, g, frame=0):
    return cell_ref(live.draft, "guest", g, [frame])


def hours(live, g, column):
    return float(live.guest(g).guests[column].iloc[0])


def was_of(live, g):
    return {k: plain(v) for k, v in live.base.events[live.base.events["guest_id"] == g].iloc[0].items()}


# ---------------------------------------------------------------- verdicts and states


def test_the_world_is_as_drawn(live):
    assert story(live, 11) == "fffaaiiiiiiiifff"
    assert story(live, 14) == "i" * 16
    assert set(live.base.events["guest_id"]) == {11, 14, 16}


def test_accepting_an_event_settles_it(live):
    live.do(1, Verdict(**guest(live, 11, 5, 12), call="event", verdict="accept"))
    event = events(live, 11).iloc[0]
    assert event["reviewed"]
    assert event["p"] == 1.0
    assert story(live, 11) == "fffaaiiiiiiiifff"
    assert live.guest(11).frames["reviewed"].sum() == 8


def test_rejecting_an_event_takes_it_out_of_frames_and_hours_and_keeps_its_row(live):
    before = hours(live, 11, "hours_outside_alive")
    live.do(1, Verdict(**guest(live, 11, 5, 12), call="event", verdict="reject", was=was_of(live, 11)))
    assert story(live, 11) == "fffaaaaaaaaaafff"
    assert hours(live, 11, "hours_inside_alive") == 0
    assert hours(live, 11, "hours_outside_alive") == pytest.approx(before + 8 / 12)
    row = events(live, 11).iloc[0]
    assert (row["p"], row["excluded_reason"], row["reviewed"], row["score"]) == (0.0, "rejected", True, "")
    assert live.tables()["hosts"].set_index("host_id").at[1, "n_entries"] == 0


def test_rejecting_a_near_miss_makes_an_event(live):
    live.do(1, Verdict(**guest(live, 12, 6, 13), call="under", verdict="reject", host=host(live, 1)))
    assert story(live, 12) == "aaaaaaiiiiiiiiaa"
    event = events(live, 12).iloc[0]
    assert (event["host_id"], event["entry_frame"], event["p"], event["reviewed"]) == (1, 6, 1.0, True)
    assert live.tables()["hosts"].set_index("host_id").at[1, "n_entries"] == 2


def test_unsure_and_repeats_change_nothing(live):
    live.do(1, Verdict(**guest(live, 11, 5, 12), call="event", verdict="unsure"))
    live.do(2, Verdict(**guest(live, 11, 5, 12), call="event", verdict="reject", repeat=True))
    assert story(live, 11) == "fffaaiiiiiiiifff"
    assert not events(live, 11)["reviewed"].any()


def test_the_last_verdict_on_an_item_counts(live):
    for n, verdict in enumerate(("reject", "accept"), start=1):
        live.do(n, Verdict(**guest(live, 11, 5, 12), call="event", verdict=verdict, item="a"))
    assert story(live, 11) == "fffaaiiiiiiiifff"
    assert events(live, 11)["p"].tolist() == [1.0]


@pytest.mark.parametrize(
    ("frame", "expected"), [(7, "fffaaeeiiiiiifff"), (4, "fffaiiiiiiiiifff"), (12, "fffaaeeeeeeeifff")]
)
def test_an_entry_is_moved(live, frame, expected):
    live.do(1, SetEntry(**guest(live, 11, 5, 12), frame=frame))
    assert story(live, 11) == expected
    assert events(live, 11)["entry_frame"].iloc[0] == frame


@pytest.mark.parametrize(("frame", "expected"), [(9, "fffaaiiiiiffffff"), (14, "fffaaiiiiiiiiiif")])
def test_an_end_is_moved(live, frame, expected):
    live.do(1, SetEnd(**guest(live, 11, 5, 12), frame=frame))
    assert story(live, 11) == expected


def test_a_death_is_set_moved_and_taken_away(live):
    live.do(1, SetDeath(**guest(live, 11, 5, 12), frame=9))
    assert events(live, 11)[["end_reason", "score"]].iloc[0].tolist() == ["death", "dying"]
    assert live.guest(11).guests["death_frame"].iloc[0] == 9
    assert live.guest(11).guests["death_location"].iloc[0] == "inside"
    live.do(2, SetDeath(**guest(live, 11, 5, 12), frame=None))
    assert events(live, 11)["end_reason"].iloc[0] == "escape"
    assert np.isnan(live.guest(11).guests["death_frame"].iloc[0])


def test_a_location_is_painted(live):
    live.do(1, SetLocation(**guest(live, 12, 6, 13), location="unresolved"))
    assert story(live, 12) == "aaaaaa????????aa"
    assert hours(live, 12, "hours_unresolved") == pytest.approx(8 / 12)
    live.do(2, SetLocation(**guest(live, 12, 8, 11), location="inside", host=host(live, 1)))
    assert story(live, 12) == "aaaaaa??iiii??aa"


def test_dead_is_absorbing_and_alive_reaches_back(live):
    live.do(1, SetViability(**guest(live, 11, 6, 7), viability="dead"))
    assert (live.guest(11).frames.sort_values("frame")["viability"] == "dead").tolist() == [False] * 6 + [True] * 10
    live.do(2, SetViability(**guest(live, 11, 9, 10), viability="alive"))
    assert (live.guest(11).frames.sort_values("frame")["viability"] == "dead").tolist() == [False] * 11 + [True] * 5


def test_a_missed_event_is_added(live):
    live.do(1, AddEvent(**guest(live, 12, 4, 9), host=host(live, 1), entry_frame=6))
    assert story(live, 12) == "aaaaeeiiiiaaaaaa"
    event = events(live, 12).iloc[0]
    assert (event["start_frame"], event["entry_frame"], event["host_id"]) == (4, 6, 1)


# ---------------------------------------------------------------- exclusions


def test_excluded_frames_leave_person_time_and_scores(live):
    live.do(1, ExcludeFrames(position=live.base.position_id, first=6, last=8, reason="defocus"))
    assert hours(live, 11, "hours_inside_alive") == pytest.approx(5 / 12)
    assert len(live.guest(11).frames) == 13
    event = events(live, 11).iloc[0]
    assert (event["excluded_reason"], event["score"]) == ("excluded: defocus", "")


def test_an_excluded_host_takes_its_events_and_hours_along(live):
    live.do(1, ExcludeHost(position=live.base.position_id, host=host(live, 1), reason="dividing"))
    assert hours(live, 11, "hours_inside_alive") == 0
    assert live.tables()["hosts"]["host_id"].tolist() == [2]
    assert hours(live, 14, "hours_inside_alive") > 1


def test_an_excluded_position_says_why(live):
    live.do(1, ExcludePosition(position=live.base.position_id, reason="bubble"))
    assert live.excluded == "bubble"
    with pytest.raises(ValidationError):
        ExcludePosition(position=live.base.position_id, reason="")


# ---------------------------------------------------------------- tracks


def frames_of(live, g):
    return [k.frame for k in live.draft.objects_of("guest", g)]


def test_a_track_is_broken_and_linked_again(live):
    live.do(1, BreakTrack(position=live.base.position_id, cell=ref(live, 11), frame=8))
    new = live.base.max_id + 1
    assert (frames_of(live, 11), frames_of(live, new)) == (list(range(8)), list(range(8, 16)))
    assert events(live, new)["prevalent"].tolist() == [True]
    live.do(2, LinkTracks(position=live.base.position_id, first=ref(live, 11), second=ref(live, new, 8)))
    assert story(live, 11) == "fffaaiiiiiiiifff"
    assert len(live.guest(new).frames) == 0


def test_linked_tracks_get_their_gap_filled(live):
    live.do(1, LinkTracks(position=live.base.position_id, first=ref(live, 15), second=ref(live, 16, 8)))
    rows = live.guest(15).frames.sort_values("frame")
    assert rows["frame"].tolist() == list(range(16))
    assert rows.loc[~rows["observed"], "frame"].tolist() == [7]
    assert story(live, 15)[:8] + story(live, 15)[11:] == "ffffffffaaiii"


def test_a_division_makes_a_daughter(live):
    live.do(1, SplitTrack(position=live.base.position_id, cell=ref(live, 11), frame=8))
    daughter = live.guest(live.base.max_id + 1).guests.iloc[0]
    assert (daughter["parent_id"], daughter["start_reason"]) == (11, "division")
    assert live.guest(11).guests["end_reason"].iloc[0] == "division"


def test_tracks_are_swapped(live):
    live.do(1, SwapTracks(position=live.base.position_id, first=ref(live, 11), second=ref(live, 14), frame=8))
    assert live.draft.cell_of(live.draft.base.objects_of(11)[8]) == 14
    assert story(live, 11)[8:] == "i" * 8


def test_merged_tracks_keep_the_first_ones_objects(live):
    live.do(1, MergeTracks(position=live.base.position_id, first=ref(live, 15), second=ref(live, 11)))
    assert frames_of(live, 15) == list(range(16))
    assert live.draft.cell_of(live.base.objects_of(11)[3]) == 0


def test_a_deleted_track_leaves_no_row(live):
    live.do(1, DeleteTrack(position=live.base.position_id, cell=ref(live, 11), first=0, last=15))
    tables = live.tables()
    for name, column in (("cells", "cell_id"), ("frames", "guest_id"), ("guests", "guest_id"), ("events", "guest_id")):
        assert 11 not in set(tables[name][column])


def test_hosts_linked_carry_their_guests(live):
    live.do(1, BreakTrack(position=live.base.position_id, cell=host(live, 1), frame=8))
    new = live.base.max_id + 1
    assert set(live.guest(11).pairs["host_id"]) == {1, new}
    assert live.tables()["hosts"]["host_id"].tolist() == [1, 2, new]
    live.do(
        2,
        LinkTracks(position=live.base.position_id, first=host(live, 1), second=cell_ref(live.draft, "host", new, [8])),
    )
    assert set(live.guest(11).pairs["host_id"]) == {1}
    assert live.tables()["hosts"]["host_id"].tolist() == [1, 2]


# ---------------------------------------------------------------- masks


def test_a_mask_is_painted_erased_split_and_merged(live):
    key = live.base.objects_of(15)[2]
    mask = live.draft.mask(key)
    grown = disc(key.label, *mask.centroid_px(), radius=6)
    live.do(1, mask_edit(live.draft, None, "paint", "guest", 2, {key.label: grown}))
    area = live.guest(15).frames.set_index("frame").at[2, "area_um2"]
    assert area == pytest.approx(grown.area_px * 0.25)
    half = Mask(key.label, grown.y0, grown.x0, np.tril(grown.pixels))
    other = live.draft.next_label("guest", 2)
    rest = Mask(other, grown.y0, grown.x0, grown.pixels & ~half.pixels)
    live.do(2, mask_edit(live.draft, None, "split_mask", "guest", 2, {key.label: half, other: rest}))
    assert live.draft.cell_of(Key("guest", 2, other)) == live.base.max_id + 1
    live.do(3, mask_edit(live.draft, None, "merge_masks", "guest", 2, {key.label: grown, other: None}))
    assert not live.draft.exists(Key("guest", 2, other))
    live.do(4, mask_edit(live.draft, None, "erase", "guest", 2, {key.label: None}))
    assert not live.guest(15).frames.set_index("frame").at[2, "observed"]


def test_a_cell_missed_in_one_frame_is_painted(live):
    assert not live.guest(13).frames.set_index("frame").at[2, "observed"]
    label = live.draft.next_label("guest", 2)
    edit = mask_edit(
        live.draft, None, "paint", "guest", 2, {label: disc(label, *place_of(2, 2))}, {label: ref(live, 13)}
    )
    live.do(1, edit)
    assert live.guest(13).frames.set_index("frame").at[2, "observed"]
    assert live.draft.cell_of(Key("guest", 2, label)) == 13


# ---------------------------------------------------------------- what is refused


def _refusals(live):
    key, p = live.base.objects_of(11)[0], live.base.position_id
    mask = live.draft.mask(key)
    about = {"position": p, "population": "guest", "frame": 0, "made_on": "d1"}
    bigger, far = disc(key.label, *mask.centroid_px(), radius=6), disc(key.label, 96, 50)
    other = live.base.objects_of(15)[0]
    gone = Patch.of(other.label, live.draft.mask(other), None)
    return [
        (Verdict(**guest(live, 11, 5, 12), call="unresolved", verdict="reject"), "leaves open what it is"),
        (Verdict(**guest(live, 12, 6, 13), call="under", verdict="reject"), "no host is near; click the host"),
        (Verdict(**{**guest(live, 11, 5, 12), "last": 99}, call="event", verdict="accept"), "lie in 0..15"),
        (Verdict(**{**guest(live, 11, 5, 12), "guest": host(live, 1)}, call="event", verdict="accept"), "the guests'"),
        (AddEvent(**guest(live, 12, 4, 9), host=host(live, 1), entry_frame=12), "must lie in the event's frames"),
        (AddEvent(**guest(live, 12, 4, 9), host=ref(live, 11), entry_frame=5), "must be the hosts'"),
        (SetEntry(**guest(live, 11, 5, 12), frame=13), "must not lie after the event's end"),
        (SetEnd(**guest(live, 11, 5, 12), frame=4), "must not lie before the event's start"),
        (Note(position=p, text="x", frame=77), "must rise and lie in 0..15"),
        (LinkTracks(position=p, first=ref(live, 11), second=ref(live, 14)), "must begin after frame 15"),
        (LinkTracks(position=p, first=ref(live, 11), second=ref(live, 11)), "two different tracks"),
        (LinkTracks(position=p, first=ref(live, 11), second=host(live, 1)), "must be of one population"),
        (BreakTrack(position=p, cell=ref(live, 11), frame=0), "must lie behind the track's first frame 0"),
        (SplitTrack(position=p, cell=ref(live, 15), frame=9), "up to its last 6"),
        (SwapTracks(position=p, first=ref(live, 15), second=ref(live, 15), frame=1), "two different tracks"),
        (DeleteTrack(position=p, cell=ref(live, 15), first=9, last=12), "must have an object in frames 9 to 12"),
        (PaintMask(**about, patches=(Patch.of(key.label, mask, mask),)), "no pixel was added"),
        (EraseMask(**about, patches=(Patch.of(key.label, mask, bigger),)), "erasing must not add"),
        (PaintMask(**about, patches=(Patch.of(key.label, bigger, bigger),)), "its mask is not what it was"),
        (PaintMask(**about, patches=(Patch.of(key.label, None, bigger),)), "must be free for a new object"),
        (PaintMask(**about, patches=(Patch.of(50, None, far),)), "must lie within the frame of 96 x 96"),
        (PaintMask(**about, patches=(Patch.of(50, None, bigger, cell=ref(live, 11)),)), "has an object in frame 0"),
        (SplitMask(**about, patches=(Patch.of(key.label, mask, bigger),)), "one object must become two"),
        (MergeMasks(**about, patches=(Patch.of(key.label, mask, mask), gone)), "must cover both"),
        (EraseMask(**{**about, "population": "ghost"}, patches=(Patch.of(1, mask, None),)), "one of host, guest"),
    ]  # fmt: skip


def test_what_does_not_fit_is_refused_in_one_sentence_and_changes_nothing(live):
    for n, (edit, sentence) in enumerate(_refusals(live), start=1):
        with pytest.raises(ReviewError, match=sentence):
            live.do(n, edit)
    assert live.untouched


def test_an_edit_of_another_version_is_said():
    with pytest.raises(ResultsError, match="edit 'verdict': .*written by another version"):
        parse_edit({"kind": "verdict", "position": "p0001"})
    with pytest.raises(ResultsError, match="edit 'dance'"):
        parse_edit({"kind": "dance"})


# ---------------------------------------------------------------- decisions and the objects they name


def test_a_decision_whose_host_is_gone_stays_listed_whatever_is_decided_on_others(live):
    live.do(1, SetLocation(**guest(live, 12, 6, 13), location="inside", host=host(live, 1)))
    live.do(2, DeleteTrack(position="p0001", cell=host(live, 1), first=0, last=15))
    live.tables()
    assert "its cell was deleted" in live.conflicts[1]
    live.do(3, Verdict(**guest(live, 14, 0, 15), call="event", verdict="accept"))
    live.tables()
    assert set(live.conflicts) == {1}
    live.undo()
    live.undo()
    assert not live.conflicts
    assert story(live, 12)[6:14] == "i" * 8


def test_a_decision_follows_a_host_that_no_guest_is_near(live):
    event = AddEvent(**guest(live, 15, 2, 5), host=host(live, 2), entry_frame=2)
    live.do(1, event)
    assert events(live, 15)["host_id"].tolist() == [2]
    live.do(2, SwapTracks(position="p0001", first=host(live, 1), second=host(live, 2), frame=0))
    assert events(live, 15)["host_id"].tolist() == [1]
    live.undo()
    assert events(live, 15)["host_id"].tolist() == [2]


def test_a_verdict_that_was_replaced_counts_again_after_undo(live):
    live.do(1, Verdict(**guest(live, 11, 5, 12), call="event", verdict="reject", item="a"))
    live.do(2, Verdict(**guest(live, 11, 5, 12), call="event", verdict="accept", item="a"))
    assert story(live, 11) == "fffaaiiiiiiiifff"
    live.undo()
    assert story(live, 11) == "fffaaaaaaaaaafff"
