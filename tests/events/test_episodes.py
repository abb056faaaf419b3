"""Timelines drawn as strings, and the events they hold."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from drawn import host_rows, rows_of, watched

from cicimage.events.episodes import find_events

# text, then per event: start, entry, after, end, reason, score, flags
CASES = {
    "never": ("ffaaaaff", []),
    "entry and escape": ("ffaaeeiiiiff", [(4, 6, 5, 10, "escape", "surviving", "")]),
    "entry to movie end": ("ffeeiiii", [(2, 4, 3, 7, "movie_end", "surviving", "")]),
    "no entering seen": ("ffaaiiii", [(4, 4, 3, 7, "movie_end", "surviving", "")]),
    "aborted": ("ffaaeeaaff", [(4, None, None, 6, "aborted", "entering", "")]),
    "entering at the end": ("ffaaeee", [(4, None, None, 6, "movie_end", "entering", "")]),
    "prevalent": ("iiiiff", [(0, 0, None, 4, "escape", "surviving", "prevalent")]),
    "brief": ("ffaaiaa", [(4, 4, 3, 5, "escape", "surviving", "brief")]),
    "gap inside": ("ffii..iiff", [(2, 2, 1, 8, "escape", "surviving", "")]),
    "unresolved inside": ("ffii??iiff", [(2, 2, 1, 8, "escape", "surviving", "")]),
    "shows through": ("ffiiiuiiff", [(2, 2, 1, 8, "escape", "surviving", "")]),
    "out for long": ("ffiiiuuuiiff", [
        (2, 2, 1, 5, "escape", "surviving", ""), (8, 8, 7, 10, "escape", "surviving", ""),
    ]),
    "unresolved before": ("ffa??iiiff", [(5, 5, 2, 8, "escape", "surviving", "")]),
    "died inside": ("ffeiiiIII", [(2, 3, 2, 6, "death", "dying", "")]),
    "died while entering": ("ffaeeAA", [(3, None, None, 5, "aborted", "entering", "")]),
    "eaten dead": ("ffAAIII", [(4, 4, 3, 6, "movie_end", "", "dead_before_entry")]),
    "re-entry": ("ffiiiffiii", [
        (2, 2, 1, 5, "escape", "surviving", ""), (7, 7, 6, 9, "movie_end", "surviving", ""),
    ]),
    "abort then entry": ("aeeaaeiiii", [
        (1, None, None, 3, "aborted", "entering", ""), (5, 6, 5, 9, "movie_end", "surviving", ""),
    ]),
    "one frame": ("i", [(0, 0, None, 0, "movie_end", "surviving", "prevalent")]),
}  # fmt: skip


def _seen(events: pd.DataFrame) -> list[tuple[object, ...]]:
    def whole(value: float) -> int | None:
        return None if np.isnan(value) else int(value)

    return [
        (
            r.start_frame, whole(r.entry_frame), whole(r.entry_after_frame), r.end_frame, r.end_reason, r.score,
            r.excluded_reason or ("prevalent" if r.prevalent else "brief" if r.brief else ""),
        )
        for r in events.itertuples()
    ]  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_drawn_timeline(name: str) -> None:
    text, expected = CASES[name]
    assert _seen(find_events(*watched(rows_of(text)))) == expected


def test_track_that_ends_inside_is_lost_and_its_outcome_not_known() -> None:
    events = find_events(*watched(rows_of("ffiiii"), n_frames=20))
    assert events["end_reason"].tolist() == ["track_lost"]
    assert not events["outcome_known"].item()


def test_track_that_ends_at_the_border_left_the_field() -> None:
    events = find_events(*watched(rows_of("ffiiii"), n_frames=20, border=True))
    assert events["end_reason"].tolist() == ["edge"]


def test_track_that_appears_inside_is_no_entry() -> None:
    events = find_events(*watched(rows_of("iiii", start=5), n_frames=12))
    assert events["prevalent"].tolist() == [True]
    assert events["onset"].tolist() == ["appeared"]


def test_daughters_inherit_the_stay() -> None:
    frames, observations = watched(
        rows_of("ffiii", 1), rows_of("iiii", 2, start=5), rows_of("iiff", 3, start=5), parents={2: 1, 3: 1}
    )
    events = find_events(frames, observations).set_index("guest_id")
    assert events["divided"].tolist() == [True, False, False]
    assert events["outcome_known"].all()
    assert events["onset"].tolist() == ["watched", "division", "division"]
    assert events["prevalent"].tolist() == [False, True, True]
    assert events.loc[3, "end_reason"] == "escape"


def test_host_death_ends_the_event_and_the_guest_lives_on() -> None:
    frames, observations = watched(rows_of("ffiiiiiiff"), hosts=host_rows(7, range(10), dead_from=6))
    event = find_events(frames, observations).iloc[0]
    assert (event.end_frame, event.end_reason, event.score) == (6, "host_death", "surviving")


def test_host_that_leaves_is_lost_not_escaped() -> None:
    frames, observations = watched(rows_of("ffiiiiff"), hosts=host_rows(7, range(6)))
    event = find_events(frames, observations).iloc[0]
    assert event.end_reason == "host_lost"
    frames, observations = watched(rows_of("ffiiiiaa"), hosts=host_rows(7, range(6)))
    event = find_events(frames, observations).iloc[0]
    assert event.end_reason == "escape", "it is seen beside another host, or the same one under another id"


def test_hosts_daughter_keeps_the_guest() -> None:
    rows = rows_of("ffiiiiii")
    rows.loc[rows["frame"] >= 5, "host_id"] = 8
    hosts = pd.concat([host_rows(7, range(5)), host_rows(8, range(5, 8), parent_id=7)])
    events = find_events(*watched(rows, hosts=hosts))
    assert len(events) == 1
    assert events["host_id"].item() == 7


def test_another_host_is_another_event() -> None:
    rows = rows_of("ffiiiiii")
    rows.loc[rows["frame"] >= 5, "host_id"] = 8
    hosts = pd.concat([host_rows(7, range(8)), host_rows(8, range(8))])
    assert find_events(*watched(rows, hosts=hosts))["host_id"].tolist() == [7, 8]


def test_brief_counts_minutes_not_frames() -> None:
    slow = find_events(*watched(rows_of("ffiiff"), interval_min=10.0))
    fast = find_events(*watched(rows_of("ffiiff"), interval_min=2.0))
    assert slow["brief"].tolist() == [False]
    assert fast["brief"].tolist() == [True]


def test_no_guests() -> None:
    frames, observations = watched(rows_of("ff"))
    assert len(find_events(frames.iloc[:0], observations)) == 0


@pytest.mark.parametrize("shift", [3.5, -12.0])
def test_events_do_not_depend_on_time_zero_or_ids(shift: float) -> None:
    text = "ffaaeeiiiiffeaaiii"
    frames, observations = watched(rows_of(text, 1), rows_of(text[::-1], 2))
    plain = find_events(frames, observations)
    moved = frames.assign(time_h=frames["time_h"] + shift, guest_id=frames["guest_id"] + 40)
    cells = observations.frames.assign(guest_id=observations.frames["guest_id"] + 40)
    other = type(observations)(**{**vars(observations), "frames": cells, "time_h": observations.time_h + shift})
    again = find_events(moved, other)
    again["guest_id"] -= 40
    pd.testing.assert_frame_equal(plain, again)


def test_an_entry_is_believed_as_far_as_its_time_is_told() -> None:
    frames, observations = watched(rows_of("aaaa" + "i" * 12))
    sharp = frames.assign(p_inside=np.where(frames["location"] == "inside", 0.99, 0.01))
    assert find_events(sharp, observations)["p"].tolist() == pytest.approx([0.98], abs=0.02)
    # an hour in which nobody could say whether the host had closed: inside from where it is more likely than not
    slow = frames.assign(p_inside=[0.2, 0.3, 0.38, 0.45, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1, 1, 1])
    events = find_events(slow, observations)
    assert events["entry_frame"].tolist() == [4]
    assert events["p"].tolist() == pytest.approx([0.65 - 0.3], abs=0.11)
    said = find_events(slow.assign(reviewed=frames["location"] == "inside"), observations)
    assert said["p"].iloc[0] > 0.9, "what a reviewer saw is not doubted for the frames before"
