"""Truth of one population in both roles: what holds others is a cell too."""

import numpy as np
import pandas as pd
import pytest
from stories import perfect, planted, truth_of

from cicimage.evaluation.both_roles import with_hosts_as_cells
from cicimage.evaluation.evaluate import evaluate
from cicimage.evaluation.matching import match_guests

GUESTS = pd.DataFrame(
    {"frame": [0, 0], "guest_id": [5, 6], "host_id": [1, 0], "y_um": [50.0, 20.0], "x_um": [52.0, 20.0],
     "z_um": [8.0, 6.0], "location": ["inside", "free"], "contact": ["none", "none"], "viability": ["alive", "alive"],
     "decoy": ["", ""], "touches_border": [False, False], "parent_id": [0, 0]}
)  # fmt: skip


def hosts(**places):
    rows = [
        {
            "frame": 0, "host_id": i, "y_um": y, "x_um": x, "nucleus_y_um": y - 4.0, "nucleus_x_um": x,
            "area_um2": np.pi * 15.0**2, "viability": "alive", "parent_id": 0,
        }
        for i, (y, x) in enumerate(places.values(), start=1)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_every_host_becomes_a_cell_of_its_own():
    both = with_hosts_as_cells(GUESTS, hosts(holder=(50.0, 50.0), alone=(90.0, 150.0), cut=(5.0, 190.0)), 200.0)
    assert both["guest_id"].tolist() == [5, 6, 1, 2, 3]
    cells = both.set_index("guest_id")
    assert cells.loc[[1, 2, 3], "location"].eq("free").all()  # no guest could hold what holds it
    assert cells.loc[[1, 2, 3], "decoy"].eq("host").all()
    assert cells["touches_border"].tolist() == [False, False, False, False, True]
    assert cells["reach_um"].isna().tolist() == [True, True, False, False, False]


def test_nobody_can_tell_the_death_of_a_cell_whose_nucleus_is_out_of_view():
    dead = hosts(seen=(50.0, 50.0), cut=(5.0, 120.0)).assign(viability="dead")
    both = with_hosts_as_cells(GUESTS.iloc[:0], dead, 200.0)
    assert both["viability"].tolist() == ["dead", "unknown"]


def test_a_host_is_attached_where_it_touches_a_larger_one():
    places = hosts(a=(50.0, 50.0), b=(50.0, 74.0), c=(50.0, 120.0))
    places.loc[1, "area_um2"] = np.pi * 18.0**2
    both = with_hosts_as_cells(GUESTS.iloc[:0], places, 200.0)
    assert both["location"].tolist() == ["attached", "free", "free"]


def test_what_lies_out_of_view_need_not_be_seen():
    both = with_hosts_as_cells(GUESTS, hosts(out=(-3.0, 90.0), cut=(3.0, 150.0)), 200.0)
    assert both["beyond"].tolist() == [False, False, True, False]


def test_without_hosts_nothing_changes():
    pd.testing.assert_frame_equal(with_hosts_as_cells(GUESTS, hosts(), 200.0), GUESTS)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([(50.0, 52.0)], {0: 0}),  # the nested cell, although its holder's centre is near too
        ([(50.0, 52.0), (50.0, 45.0)], {0: 0, 1: 2}),  # and its holder by what is left, as far off as its size allows
        ([(50.0, 38.0)], {}),  # too far off even for a large one
        ([(90.0, 140.0)], {0: 3}),
    ],
)
def test_large_cells_take_what_the_small_ones_leave(found, expected):
    truth = with_hosts_as_cells(GUESTS, hosts(holder=(50.0, 50.0), alone=(90.0, 150.0)), 200.0).assign(position="p")
    result = pd.DataFrame(found, columns=["y_um", "x_um"]).assign(position="p", frame=0)
    pairs = match_guests(result, truth)
    assert dict(zip(pairs["row_result"], pairs["row_truth"], strict=True)) == expected


@pytest.mark.parametrize(("dying_from", "outcome"), [(7, "found"), (14, "missed_shifted")])
def test_a_hosts_death_lasts_from_its_first_sign_to_its_end(dying_from, outcome):
    """The guest is let go at frame 15; the results end the stay at frame 8, when the stain first shows."""
    truth = truth_of({"p": {"released": "ffoeeiiiiiiiiiioooooo"}})
    truth.events["end_reason"] = "host_death"
    truth.hosts.loc[truth.hosts["frame"] >= dying_from, "viability"] = "dying"
    measured = perfect(truth)
    events = measured.tables["events"].assign(end_frame=8)
    found = evaluate(planted(measured, events=events), truth).tables["occurrences"]
    deaths = found[found["kind"] == "host_death"]
    assert outcome in deaths["outcome"].tolist()
