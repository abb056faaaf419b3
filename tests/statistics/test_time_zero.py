"""A movie cut at time zero counts as a movie that begins there."""

import numpy as np
import pandas as pd
import pytest
from experiments_drawn import events_of, frames_of, guests_of, layout_of
from hypothesis import given, settings
from hypothesis import strategies as st

from cicimage import tables
from cicimage.errors import CicimageError
from cicimage.statistics.comparisons import compare
from cicimage.statistics.rates import compute_rates
from cicimage.statistics.tallies import death_left_out
from cicimage.statistics.time_zero import clock_of, first_frames, since_time_zero

ZERO = 4  # time zero lies at this frame of the movies drawn, an hour a frame
LAST = 10


def _hosts(**lives):
    """Table hosts: first, last and death frame by name, an hour a frame."""
    rows = []
    for i, (first, last, death) in enumerate(lives.values()):
        stop = last if death is None else death
        rows.append({
            "position": "p", "condition": "v", "replicate": "p", "donor": "", "host_id": 1 + i, "first_frame": first,
            "last_frame": last, "end_reason": "movie_end", "hours": float(stop - first), "n_guests_max": 0,
            "death_frame": np.nan if death is None else float(death), "n_entries": 0, "parent_id": 0,
        })  # fmt: skip
    return tables.conform(tables.HOSTS, pd.DataFrame(rows))


def _movie(lines, begins=-ZERO):
    frames = frames_of({"p": lines}, start_h=float(begins))
    frames["host_id"] = np.where(frames["location"] == "inside", 1, 0)
    return events_of(frames), guests_of(frames), frames


def _clock(n=LAST + 1, begins=-ZERO):
    return pd.DataFrame({"position": "p", "frame": np.arange(n), "time_h": begins + np.arange(n, dtype=float)})


def _rates(events, guests, hosts, frames, clock):
    return compute_rates(events, guests, hosts, frames, layout_of({"p": ("v", "")}), clock=clock)[0].set_index(
        "estimand"
    )


LIVES = {
    "dies before": (0, 10, 2), "dies at": (0, 10, 4), "dies after": (0, 10, 7), "gone before": (0, 3, None),
    "gone at": (0, 4, None), "comes after": (6, 10, None), "all along": (0, 10, None),
}  # fmt: skip


def test_hosts_by_hand():
    events, guests, frames = _movie(["..........."])
    names = [*LIVES]
    cut = since_time_zero(events, guests, _hosts(**LIVES), frames, _clock()).hosts
    found = cut.assign(name=[names[i - 1] for i in cut["host_id"]]).set_index("name")
    assert "gone before" not in found.index
    assert found["hours"].to_dict() == {
        "dies before": 0.0, "dies at": 0.0, "dies after": 3.0, "gone at": 0.0, "comes after": 4.0, "all along": 6.0,
    }  # fmt: skip
    assert found["first_frame"].to_dict() == dict.fromkeys(found.index, ZERO) | {"comes after": 6}
    watched = found["death_frame"] > found["first_frame"]
    assert found.index[watched].tolist() == ["dies after"]


def test_a_host_dead_before_time_zero_is_no_death_and_has_no_hours():
    events, guests, frames = _movie(["..........."])
    row = _rates(events, guests, _hosts(**LIVES), frames, _clock()).loc["host_death_rate_per_h"]
    assert (row["events"], row["exposure_h"], row["n_hosts"]) == (1, 13.0, 6)


def test_entries_per_host_hour_are_those_of_a_movie_that_begins_at_time_zero():
    lines = ["......aIII.", ".aIIII..IIa", "...aIIIII..", "aaIIIaaa...", "..IIIxx....", ".xxxxxxxxxx"]
    whole = _movie(lines)
    short = _movie([line[ZERO:] for line in lines], begins=0)
    hosts = _hosts(**LIVES)
    kept = {
        "dies before": (0, 6, 0), "dies at": (0, 6, 0), "dies after": (0, 6, 3), "gone at": (0, 0, None),
        "comes after": (2, 6, None), "all along": (0, 6, None),
    }  # fmt: skip
    late = _hosts(**kept)
    most = short[2][short[2]["host_id"] == 1].groupby("frame").size().max()
    late.loc[late["host_id"] == 1, "n_guests_max"] = most
    a = _rates(whole[0], whole[1], hosts, whole[2], _clock())
    b = _rates(short[0], short[1], late, short[2], _clock(LAST + 1 - ZERO, begins=0))
    assert a.loc["entry_rate_per_host_h", "exposure_h"] == 13.0
    assert a.loc["entry_rate_per_host_h", "events"] == 2
    pd.testing.assert_frame_equal(a, b)


@given(
    st.lists(st.text("..aeI?xX", min_size=LAST + 1, max_size=LAST + 1), min_size=1, max_size=4),
    st.integers(1, LAST - 1),
)
@settings(max_examples=15, deadline=None)
def test_every_rate_is_that_of_a_movie_that_begins_at_time_zero(lines, zero):
    lines = [_dead_for_good(line) for line in lines]
    whole, short = _movie(lines, begins=-zero), _movie([line[zero:] for line in lines], begins=0)
    hosts, late = _hosts(a=(0, LAST, None)), _hosts(a=(0, LAST - zero, None))
    most = short[2][short[2]["host_id"] == 1].groupby("frame").size().max()
    late["n_guests_max"] = 0 if np.isnan(most) else most
    a = _rates(whole[0], whole[1], hosts, whole[2], _clock(begins=-zero))
    b = _rates(short[0], short[1], late, short[2], _clock(LAST + 1 - zero, begins=0))
    pd.testing.assert_frame_equal(a, b)


def _dead_for_good(line):
    at = min((i for i, letter in enumerate(line) if letter in "xX"), default=len(line))
    return line[:at] + line[at : at + 1] * (len(line) - at)


def test_guests_by_hand():
    lines = [
        "..aaaaaII..",  # contact 4, 5, 6 (2.5 h from zero), inside 2 h, free 1.5 h
        "..xxxxxxxxx",  # dead before time zero
        "......xxxxx",  # dies at 2 h outside
        "...        ",  # gone before time zero
        "       ....",  # comes at 3 h
    ]
    events, guests, frames = _movie(lines)
    found = since_time_zero(events, guests, _hosts(a=(0, 10, None)), frames, _clock()).guests.set_index("guest_id")
    assert found.index.tolist() == [1, 2, 3, 5]
    assert found["hours_contact"].tolist() == [2.5, 0.0, 0.0, 0.0]
    assert found["hours_inside_alive"].tolist() == [2.0, 0.0, 0.0, 0.0]
    assert found["hours_outside_alive"].tolist() == [4.0, 0.0, 1.5, 3.0]
    assert found["first_frame"].tolist() == [4, 4, 4, 7]
    assert (found["death_frame"] > found["first_frame"]).tolist() == [False, False, True, False]
    rates = _rates(events, guests, _hosts(a=(0, 10, None)), frames, _clock())
    assert rates.loc["death_rate_outside_per_h", "events"] == 1


def test_hours_of_rows_a_reviewer_excluded_do_not_fall_to_the_rows_around_them():
    events, guests, frames = _movie(["..........."])
    frames = frames[~frames["frame"].isin([6, 7, 8])]  # 4, 5, 9 and 10 are left: 0.5 + 1 + 1 + 0.5 h
    found = since_time_zero(events, guests, _hosts(a=(0, 10, None)), frames, _clock()).guests
    assert found["hours_outside_alive"].tolist() == [3.0]


def test_a_guest_inside_in_the_first_frame_from_time_zero_on_was_not_seen_to_enter():
    """It went in between the frame before time zero and this one; there is no time at risk before that entry."""
    events, guests, frames = _movie(["...aIIII..."])
    cut = since_time_zero(events, guests, _hosts(a=(0, 10, None)), frames, _clock())
    assert cut.events["prevalent"].tolist() == [True]
    row = _rates(events, guests, _hosts(a=(0, 10, None)), frames, _clock()).loc["entry_rate_per_guest_h"]
    assert row["events"] == 0


def test_deaths_before_time_zero_do_not_enter_the_hazard_inside_against_outside():
    lines = ["..IIIII....", "xxxxxxxxxxx", "..xxxxxxxxx", ".....xxxxxx", "IIIIIIIXXXX", "..........."]
    whole, short = _movie(lines), _movie([line[ZERO:] for line in lines], begins=0)
    layout = layout_of({"p": ("v", "")})
    found = []
    for (events, guests, frames), n, begins in ((whole, LAST + 1, -ZERO), (short, LAST + 1 - ZERO, 0)):
        hosts = _hosts(a=(0, n - 1, None))
        wells = compute_rates(events, guests, hosts, frames, layout, clock=_clock(n, begins))[1]
        table = compare(wells, "v", layout, frames=frames).set_index("estimand")
        found.append(table.loc["death_hazard_inside_vs_outside"])
    pd.testing.assert_series_equal(*found)


def test_hosts_filmed_before_the_first_guest_are_cut_by_the_clock_of_the_position():
    """Guests added at time zero: no guest has a frame before it, but the hosts have."""
    events, guests, frames = _movie(["    ......."])
    hosts = _hosts(a=(0, 10, None))
    assert since_time_zero(events, guests, hosts, frames, _clock()).hosts["hours"].tolist() == [6.0]
    with pytest.raises(CicimageError, match="host 1 of position 'p': the hours of its frames must be known"):
        since_time_zero(events, guests, hosts, frames)


def test_a_movie_that_ends_before_time_zero_counts_nothing():
    events, guests, frames = _movie(["..aIIII...."], begins=-20)
    hosts = _hosts(a=(0, 10, None))
    cut = since_time_zero(events, guests, hosts, frames, _clock(begins=-20))
    assert [len(t) for t in cut] == [0, 0, 0, 0]
    rates = _rates(events, guests, hosts, frames, _clock(begins=-20))
    assert (rates["events"].fillna(0) == 0).all()


def test_without_time_before_zero_the_tables_are_the_very_same():
    events, guests, frames = _movie(["..aIIII....", ".....xxxxxx"], begins=0)
    hosts = _hosts(**LIVES)
    cut = since_time_zero(events, guests, hosts, frames, _clock(begins=0))
    assert all(a is b for a, b in zip(cut, (events, guests, hosts, frames), strict=True))


def test_positions_filmed_from_time_zero_on_stay_as_they_are_beside_others():
    lines = ["..aIIII....", ".....xxxxxx"]
    early = (*_movie(lines), _hosts(**LIVES))
    other = [t.assign(position="q") for t in (*_movie(lines, begins=0), _hosts(**LIVES))]
    both = [pd.concat(pair, ignore_index=True) for pair in zip(early, other, strict=True)]
    clock = pd.concat([_clock(), _clock(begins=0).assign(position="q")])
    cut = since_time_zero(both[0], both[1], both[3], both[2], clock)
    for mine, whole in ((cut.events, other[0]), (cut.guests, other[1]), (cut.hosts, other[3]), (cut.frames, other[2])):
        kept = mine[mine["position"] == "q"].reset_index(drop=True)
        pd.testing.assert_frame_equal(kept, whole, check_dtype=False)


def test_a_frame_a_rounding_error_before_time_zero_is_at_it():
    clock = _clock().assign(time_h=lambda t: t["time_h"] - 1e-13)
    assert first_frames(clock).to_dict() == {"p": float(ZERO)}
    assert first_frames(_clock(begins=0).assign(time_h=lambda t: t["time_h"] - 1e-13)).empty


def test_the_clock_joins_what_was_read_with_what_lies_in_gaps():
    read = pd.DataFrame({"position": "p", "frame": [0, 0, 2], "time_h": [-1.0, -1.0, 1.0], "channel": ["a", "b", "a"]})
    cells = pd.DataFrame({"position": "p", "frame": [1, 2], "time_h": [0.0, 1.0]})
    assert clock_of(read, cells)["time_h"].tolist() == [-1.0, 0.0, 1.0]
    assert clock_of().empty


def test_why_a_death_before_time_zero_is_in_no_rate():
    hosts = _hosts(**LIVES, born_dead=(2, 10, 2))
    why = dict(zip([*LIVES, "born_dead"], death_left_out(hosts, first_frames(_clock())), strict=True))
    assert {k: v for k, v in why.items() if v} == {
        "dies before": "before_time_zero", "dies at": "before_time_zero", "born_dead": "dead_when_first_seen",
    }  # fmt: skip
