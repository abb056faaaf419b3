import numpy as np
import pandas as pd
import pytest
from experiments_drawn import events_of, frames_of, guests_of, hosts_of, layout_of
from hypothesis import given, settings
from hypothesis import strategies as st

from cicimage import tables
from cicimage.errors import CicimageError
from cicimage.estimands import ESTIMANDS
from cicimage.statistics.intervals import log_t_interval, poisson_interval
from cicimage.statistics.rates import compute_rates

CONTRACT = {
    "entry_rate_per_guest_h", "entry_rate_incl_brief_per_guest_h", "entry_rate_per_contact_h", "entry_rate_per_host_h",
    "contact_rate_per_guest_h", "escape_rate_per_h", "death_rate_inside_per_h", "death_rate_outside_per_h",
    "loss_rate_inside_per_h", "loss_rate_outside_per_h", "entry_cumulative_incidence", "inside_occupancy_end",
    "hosts_with_guest_fraction", "guests_per_host",
}  # fmt: skip


def _rates(pictures, design, *, hosts=(0, 1, 2), seeded=None, change=None):
    frames = frames_of(pictures)
    events, guests = events_of(frames), guests_of(frames)
    if change is not None:
        events, guests = change(events, guests)
    layout = layout_of(design)
    if seeded is not None:
        layout["seeded_cells"] = seeded
    found = hosts_of(list(design), list(hosts), 10.0)
    return compute_rates(events, guests, found, frames, layout)


def _row(rates, estimand, condition="v"):
    return rates[(rates["estimand"] == estimand) & (rates["condition"] == condition)].iloc[0]


ONE = {
    "p": [
        "..aIIII....",  # one entry, one escape, 4 h inside, 6 h outside (h 1 of 11 is the half steps at both ends)
        "...........",  # never enters
        "IIIIIIIIIII",  # prevalent
        "...I.......",  # brief
        "....xxxxxxx",  # dies outside at 4 h
    ]
}


def test_every_estimand_of_the_contract_is_there_with_its_unit():
    rates, wells = _rates(ONE, {"p": ("v", "")})
    assert set(rates["estimand"]) >= CONTRACT
    assert set(wells["estimand"]) == set(rates["estimand"])
    units = {e.name: e.unit for e in ESTIMANDS}
    assert all(units[row.estimand] == row.unit for row in rates.itertuples())


FOUR = {"p": ["..aIIII....", "...aIIIII..", "....aIIIII.", "..IIIIII..."]}


def _with_p(*p):
    return lambda events, guests: (events.assign(p=list(p)), guests)


def test_a_guest_that_may_have_entered_widens_the_interval_and_certain_ones_leave_it():
    sure, doubtful = (
        _row(_rates(FOUR, {"p": ("v", "")}, change=_with_p(*p))[0], "entry_rate_per_guest_h")
        for p in ((1.0, 1.0, 1.0, 1.0), (1.0, 1.0, 1.0, 0.5))
    )
    assert (sure["doubt_low"], sure["doubt_high"]) == (sure["ci_low"], sure["ci_high"])
    assert doubtful["events"] == 4
    assert (doubtful["ci_low"], doubtful["ci_high"]) == (sure["ci_low"], sure["ci_high"])
    # half of the draws count three entries: the limit lies between that of three and that of four
    hours = doubtful["exposure_h"]
    three, four = (poisson_interval(k, hours) for k in (3, 4))
    assert three.low < doubtful["doubt_low"] < four.low
    assert doubtful["doubt_high"] == doubtful["ci_high"] == pytest.approx(four.high)


def test_an_unlikely_entry_raises_the_upper_limit_alone():
    row = _row(_rates(FOUR, {"p": ("v", "")}, change=_with_p(1.0, 1.0, 1.0, 0.4))[0], "entry_rate_per_guest_h")
    assert row["events"] == 3
    assert row["doubt_low"] == row["ci_low"]
    assert row["doubt_high"] > row["ci_high"]


def test_doubt_over_donors_takes_the_donors_rule():
    pictures = dict.fromkeys(("p", "q", "r"), FOUR["p"])
    design = {"p": ("v", "D1"), "q": ("v", "D2"), "r": ("v", "D3")}
    sure = _row(_rates(pictures, design, change=_with_p(*[1.0] * 12))[0], "entry_rate_per_host_h")
    assert (sure["doubt_low"], sure["doubt_high"]) == (sure["ci_low"], sure["ci_high"])
    vague = _row(_rates(pictures, design, change=_with_p(*[1.0, 1.0, 0.6, 0.6] * 3))[0], "entry_rate_per_host_h")
    assert vague["doubt_low"] < vague["ci_low"]
    assert vague["doubt_high"] >= vague["ci_high"]


def test_bounds_leave_out_and_take_in_what_is_in_doubt():
    row = _row(_rates(FOUR, {"p": ("v", "")}, change=_with_p(1.0, 0.7, 0.3, 0.05))[0], "entry_rate_per_guest_h")
    assert row["events"] == 2
    assert row["bound_low"] == pytest.approx(1 / row["exposure_h"])
    assert row["bound_high"] == pytest.approx(3 / row["exposure_h"]), "what is ruled out (p < 0.1) is in no bound"


def test_entries_and_hours_by_hand():
    rates, _ = _rates(ONE, {"p": ("v", "")})
    row = _row(rates, "entry_rate_per_guest_h")
    # outside and alive: 6 + 10 + 0 + 9 + 3.5 hours
    assert (row["events"], row["exposure_h"]) == (1, 28.5)
    exact = poisson_interval(1, 28.5)
    assert (row["estimate"], row["ci_low"], row["ci_high"]) == pytest.approx((exact.estimate, exact.low, exact.high))
    assert row["events_p"] == pytest.approx(0.9)
    assert _row(rates, "entry_rate_incl_brief_per_guest_h")["events"] == 2
    assert _row(rates, "entry_rate_per_contact_h")["exposure_h"] == pytest.approx(1.0)
    assert _row(rates, "entry_rate_per_host_h")["exposure_h"] == pytest.approx(30.0)
    assert _row(rates, "escape_rate_per_h")["events"] == 2  # the brief stay's hours and its end both count
    assert _row(rates, "escape_rate_per_h")["exposure_h"] == pytest.approx(4 + 10 + 1)
    assert _row(rates, "death_rate_outside_per_h")["events"] == 1
    assert _row(rates, "death_rate_inside_per_h")["events"] == 0
    assert _row(rates, "contact_rate_per_guest_h")["events"] == 2
    assert _row(rates, "hosts_with_guest_fraction")["estimate"] == pytest.approx(2 / 3)
    assert _row(rates, "guests_per_host")["estimate"] == pytest.approx(1.0)
    assert _row(rates, "inside_occupancy_end")["estimate"] == pytest.approx(1 / 4)


def test_cumulative_incidence_by_hand():
    # at risk of a first entry: guests 1, 2, 4, 5; guest 1 enters at 3 h of four at risk, guest 5 dies at 4 h; the brief
    # stay is none, the prevalent guest was never at risk
    rates, _ = _rates(ONE, {"p": ("v", "")})
    row = _row(rates, "entry_cumulative_incidence")
    assert row["estimate"] == pytest.approx(1 / 4)
    assert row["n_guests"] == 4
    assert "by 10 h" in row["note"]


@pytest.mark.parametrize(
    ("column", "value"),
    [("p", 0.4), ("excluded_reason", "dead_before_entry"), ("entry_frame", np.nan), ("prevalent", True)],
)
def test_events_that_do_not_count(column, value):
    def change(events, guests):
        events = events.copy()
        events.loc[events["guest_id"] == 1, column] = value
        return events, guests

    rates, _ = _rates(ONE, {"p": ("v", "")}, change=change)
    assert _row(rates, "entry_rate_per_guest_h")["events"] == 0


def test_dying_guests_are_not_at_risk_of_entry_where_the_events_step_tells():
    rates, _ = _rates(ONE, {"p": ("v", "")}, change=lambda e, g: (e, g.assign(hours_at_risk_entry=1.0)))
    assert _row(rates, "entry_rate_per_guest_h")["exposure_h"] == pytest.approx(5.0)
    assert _row(rates, "death_rate_outside_per_h")["exposure_h"] == pytest.approx(28.5)


def test_bounds_hold_unresolved_time_on_either_side():
    rates, _ = _rates({"p": ["..??????..", "..aIIIIIII"]}, {"p": ("v", "")})
    row = _row(rates, "entry_rate_per_guest_h")
    outside = 3 + 2.5  # guest 1: 2.5 before and 1.5 after less the half steps at the ends; guest 2: 2.5
    assert row["exposure_h"] == pytest.approx(outside)
    assert row["bound_low"] == pytest.approx(1 / (outside + 6))
    assert row["bound_high"] == pytest.approx(2 / outside)
    assert row["bound_low"] < row["estimate"] <= row["bound_high"]
    assert "what stayed open or in doubt moves the estimate" in row["note"]
    share = _row(rates, "inside_occupancy_end")
    assert (share["bound_low"], share["bound_high"]) == (0.5, 0.5)


def test_unresolved_for_a_moment_is_no_possible_entry():
    rates, _ = _rates({"p": ["..?.......", "..aIIIIIII"]}, {"p": ("v", "")})
    row = _row(rates, "entry_rate_per_guest_h")
    assert row["bound_high"] == pytest.approx(row["estimate"])


THREE = {f"v{i}": [".aIIIIII", ".aIIIIII", "........", ".aIII..."] for i in range(3)}
DONORS = {f"v{i}": ("v", f"D{i}") for i in range(3)}


def test_donors_with_events_give_t_on_log_rates():
    rates, wells = _rates(THREE | {"v1": [".aIIIIII", "........", "........", "........"]}, DONORS)
    row = _row(rates, "entry_rate_per_guest_h")
    each = wells[wells["estimand"] == "entry_rate_per_guest_h"]
    expected = log_t_interval(each["estimate"])
    assert (row["estimate"], row["ci_low"]) == pytest.approx((expected.estimate, expected.low))
    assert row["method"] == "geometric mean of 3 donors, t on logs"
    assert row["n_donors"] == 3


def test_a_donor_without_events_gives_the_count_model():
    rates, _ = _rates(THREE | {"v1": ["........"] * 4}, DONORS)
    row = _row(rates, "entry_rate_per_guest_h")
    assert "count model over 3 donors" in row["method"]
    assert "1 of 3 donors without events" in row["note"]
    assert 0 < row["ci_low"] < row["estimate"] < row["ci_high"] < np.inf


def test_no_events_at_all_have_an_upper_bound():
    rates, _ = _rates({p: ["........"] * 4 for p in DONORS}, DONORS)
    row = _row(rates, "entry_rate_per_guest_h")
    assert (row["estimate"], row["ci_low"]) == (0, 0)
    assert row["ci_high"] >= poisson_interval(0, row["exposure_h"]).high


@pytest.mark.parametrize(("donor", "said"), [("", "n of donors is unknown"), ("D1", "n of donors is 1")])
def test_one_donor_or_none_named(donor, said):
    rates, _ = _rates(THREE, dict.fromkeys(THREE, ("v", donor)))
    row = _row(rates, "entry_rate_per_guest_h")
    assert row["method"] == "exact Poisson"
    assert said in row["note"]
    assert "counting error only" in row["note"]


def test_experiments_are_n_where_no_donor_is_named():
    frames = frames_of(THREE)
    layout = layout_of(dict.fromkeys(THREE, ("v", "")), experiment=["e1", "e2", "e3"])
    rates, _ = compute_rates(events_of(frames), guests_of(frames), hosts_of([], [], 1.0), frames, layout)
    assert _row(rates, "entry_rate_per_guest_h")["method"] == "geometric mean of 3 experiments, t on logs"


def test_wells_of_a_donor_are_added_up_first():
    two = {"a": THREE["v0"], "b": THREE["v0"], "c": THREE["v1"]}
    rates, wells = _rates(two, {"a": ("v", "D0"), "b": ("v", "D0"), "c": ("v", "D1")})
    assert (wells["estimand"] == "entry_rate_per_guest_h").sum() == 3
    row = _row(rates, "entry_rate_per_guest_h")
    assert row["method"] == "geometric mean of 2 donors, t on logs"
    assert (row["n_positions"], row["n_replicates"], row["n_donors"]) == (3, 3, 2)


def test_a_marker_that_tells_nothing_inside_is_said():
    frames = frames_of(ONE, unknown_inside=True)
    layout = layout_of({"p": ("v", "")})
    rates, _ = compute_rates(events_of(frames), guests_of(frames), hosts_of([], [], 1.0), frames, layout)
    assert "a lower bound" in _row(rates, "death_rate_inside_per_h")["note"]
    assert "a lower bound" not in _row(rates, "death_rate_outside_per_h")["note"]


def test_lost_tracks_by_where_they_were_last():
    def change(events, guests):
        return events, guests.assign(end_reason=["track_lost", "track_lost", "movie_end"])

    rates, _ = _rates({"p": ["..aII", "..a", "....."]}, {"p": ("v", "")}, change=change)
    assert _row(rates, "loss_rate_inside_per_h")["events"] == 1
    assert _row(rates, "loss_rate_outside_per_h")["events"] == 1


def test_seeded_cells_where_the_layout_knows_them():
    rates, _ = _rates(ONE, {"p": ("v", "")}, seeded=["40"])
    assert _row(rates, "entries_per_seeded_cell")["estimate"] == pytest.approx(1 / 40)
    assert "entries_per_seeded_cell" not in set(_rates(ONE, {"p": ("v", "")})[0]["estimand"])


def test_movies_of_different_length_are_read_at_the_end_they_share():
    rates, _ = _rates({"p": ["..aII..."], "q": ["..aII"]}, {"p": ("v", ""), "q": ("v", "")})
    assert _row(rates, "inside_occupancy_end")["estimate"] == 1.0
    assert "by 4 h" in _row(rates, "entry_cumulative_incidence")["note"]


def test_time_before_time_zero_counts_nowhere():
    frames = frames_of({"p": [".aII.........aIIII..."]}, start_h=-8.0)
    layout = layout_of({"p": ("v", "")})
    rates, _ = compute_rates(events_of(frames), guests_of(frames), hosts_of([], [], 1.0), frames, layout)
    row = _row(rates, "entry_rate_per_guest_h")
    assert row["events"] == 1
    assert row["exposure_h"] == pytest.approx(12 - 4)


def test_nothing_at_all_is_a_valid_answer():
    empty = [tables.empty(t) for t in (tables.EVENTS, tables.GUESTS, tables.HOSTS, tables.FRAMES)]
    rates, wells = compute_rates(*empty, layout_of({"p": ("v", "D1"), "q": ("b", "D1")}))
    assert set(rates["condition"]) == {"v", "b"}
    assert rates["estimate"].isna().all()
    assert _row(rates, "entry_rate_per_guest_h")["note"] == "no person-time"
    assert len(wells)


def test_all_dead_from_the_start():
    rates, _ = _rates({"p": ["xxxx", "xxxx"]}, {"p": ("v", "")})
    assert _row(rates, "entry_rate_per_guest_h")["note"] == "no person-time"
    assert np.isnan(_row(rates, "entry_cumulative_incidence")["estimate"])


def test_positions_outside_the_layout_do_not_count():
    rates, _ = _rates(THREE, {"v0": ("v", "")})
    assert _row(rates, "entry_rate_per_guest_h")["events"] == 3


@pytest.mark.parametrize(
    ("layout", "said"),
    [
        (pd.DataFrame({"position": ["p"]}), "'condition' is missing"),
        (pd.DataFrame({"position": ["p", "p"], "condition": ["v", "v"]}), "'p' stands twice"),
    ],
)
def test_a_layout_that_does_not_fit_is_refused(layout, said):
    empty = [tables.empty(t) for t in (tables.EVENTS, tables.GUESTS, tables.HOSTS, tables.FRAMES)]
    with pytest.raises(CicimageError, match=said):
        compute_rates(*empty, layout)


def test_relabelled_guests_and_shuffled_rows_change_nothing():
    frames = frames_of(THREE)
    layout = layout_of(DONORS)
    a, _ = compute_rates(events_of(frames), guests_of(frames), hosts_of([], [], 1.0), frames, layout)
    other = frames.assign(guest_id=100 - frames["guest_id"]).sample(frac=1, random_state=1).reset_index(drop=True)
    ordered = other.sort_values(["position", "guest_id", "frame"])
    b, _ = compute_rates(events_of(ordered), guests_of(ordered), hosts_of([], [], 1.0), other, layout)
    pd.testing.assert_frame_equal(a, b)


@pytest.mark.parametrize("place", ["x", "X"])
def test_a_guest_dead_when_first_seen_is_no_death_watched(place):
    rates, _ = _rates({"p": [f"  {place * 8}", ".....xxxxx", "IIIIIIXXXX"]}, {"p": ("v", "")})
    assert _row(rates, "death_rate_outside_per_h")["events"] == 1
    assert _row(rates, "death_rate_inside_per_h")["events"] == 1


def test_a_death_before_time_zero_is_none():
    frames = frames_of({"p": ["..xxxxxxxx", ".......xxx"]}, start_h=-4.0)
    rates, _ = compute_rates(
        events_of(frames), guests_of(frames), hosts_of([], [], 1.0), frames, layout_of({"p": ("v", "")})
    )
    assert _row(rates, "death_rate_outside_per_h")["events"] == 1


_LETTER = st.sampled_from("..aeIIII?x")


@settings(max_examples=8, deadline=None)
@given(st.lists(st.lists(st.lists(_LETTER, min_size=8, max_size=8), min_size=3, max_size=6), min_size=3, max_size=3))
def test_an_estimate_never_lies_outside_what_was_left_open(drawn):
    lines = {f"v{d}": ["".join(line).partition("x")[0] for line in guests] for d, guests in enumerate(drawn)}
    lines = {p: [f"{line}{'x' * (8 - len(line))}" for line in guests] for p, guests in lines.items()}
    rates, _ = _rates(lines, DONORS)
    known = rates[(rates["events"] > 0) & rates[["estimate", "bound_low", "bound_high"]].notna().all(axis=1)]
    slack = 1e-9 + 1e-6 * known["estimate"]
    assert (known["estimate"] >= known[["bound_low", "bound_high"]].min(axis=1) - slack).all()
    assert (known["estimate"] <= known[["bound_low", "bound_high"]].max(axis=1) + slack).all()
