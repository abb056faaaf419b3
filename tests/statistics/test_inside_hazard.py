import numpy as np
import pandas as pd
import pytest
from experiments_drawn import frames_of

from cicimage.errors import CicimageError
from cicimage.statistics.inside_hazard import (
    death_rows,
    death_tables,
    inside_hazard,
    landmark_ratio,
    unknown_share,
)


def _hazard(pictures, unit="donor", **options):
    frames = frames_of(pictures, **{k: options.pop(k) for k in ("unknown_inside",) if k in options})
    unit_of = pd.Series({p: (p if unit != "none" else "") for p in pictures})
    return inside_hazard(frames, unit_of, unit, **options)


def test_rows_change_with_the_guest_and_a_death_belongs_to_the_state_before_it():
    rows = death_rows(frames_of({"p": ["..IIX ", "  ..xx"]}))
    assert rows[["guest_id", "start_h", "stop_h", "inside", "died"]].to_numpy().tolist() == [
        [1, 0, 2, 0, False], [1, 2, 4, 1, True], [2, 2, 4, 0, True],
    ]  # fmt: skip


@pytest.mark.parametrize(("where", "inside_h"), [("left_out", 1.0), ("outside", 1.0), ("inside", 3.0)])
def test_unresolved_time_goes_where_it_is_told(where, inside_h):
    rows = death_rows(frames_of({"p": [".??I."]}), unresolved=where)
    hours = (rows["stop_h"] - rows["start_h"]) * rows["inside"]
    assert hours.sum() == inside_h
    assert (rows["stop_h"] - rows["start_h"]).sum() == (2.0 if where == "left_out" else 4.0)


def test_risk_tables_by_hand():
    rows = death_rows(frames_of({"p": ["..IIX", "...xx", "....."]})).assign(unit="D")
    t = death_tables(rows)
    # at 3 h one inside (guest 1), two outside, guest 2 dies; at 4 h guest 1 dies inside, guest 3 outside
    assert t.n_inside.tolist() == [1, 1]
    assert t.n_outside.tolist() == [2, 1]
    assert (t.d_inside.tolist(), t.d.tolist()) == ([0, 1], [1, 1])


DONOR = ["..IIIIIIX", ".IIIIIIII", "...xxxxxx", ".....xxxx", "........."]


def test_a_donor_without_deaths_inside():
    found = _hazard({"D1": DONOR, "D2": DONOR, "D3": [line.replace("X", "I") for line in DONOR]})
    assert (found.n_units, found.deaths_inside, found.deaths_outside) == (3, 2, 6)
    assert "profile likelihood" in found.method
    assert found.low < found.ratio < found.high
    assert "landmark at 4 h" in found.note
    assert "conservative with 3 donors" in found.note


def test_deaths_in_both_states_of_every_donor():
    other = ["...IIIIIX", ".IIIIIIIX", "....xxxxx", "......xxx", "........."]
    found = _hazard({"D1": DONOR, "D2": other})
    assert found.method == "time-dependent Cox per donor, t on 2 log hazard ratios"
    assert found.low < found.ratio < found.high


def test_no_death_inside_has_a_bound_and_firths_estimate():
    outside = [line.replace("X", "I") for line in DONOR]
    found = _hazard({"D1": outside, "D2": outside, "D3": outside})
    assert (found.ratio, found.low) == (0, 0)
    assert np.isfinite(found.firth)
    assert "no death inside; Firth's estimate" in found.note


def test_one_donor_gives_the_estimate_and_no_test():
    found = _hazard({"D1": DONOR})
    assert np.isfinite(found.ratio)
    assert np.isnan(found.p_value)
    assert "no test: n of donors with deaths and both states at risk is 1" in found.note


def test_no_donor_named():
    found = _hazard({"p": DONOR, "q": DONOR}, unit="none")
    assert np.isnan(found.p_value)
    assert "n of donors is unknown" in found.note


def test_no_deaths_at_all():
    found = _hazard({"D1": ["..III"], "D2": ["....."]})
    assert np.isnan(found.ratio)
    assert found.note == "no deaths"


def test_ever_inside_is_refused():
    with pytest.raises(CicimageError, match="ever_inside.*must live long enough to enter"):
        _hazard({"D1": DONOR}, covariate="ever_inside")


def test_a_marker_blind_inside_gives_bounds_and_no_ratio():
    lost = ["..IIII   ", ".IIIIIIII", "...xxxxxx", ".....xxxx", "........."]
    found = _hazard({"D1": lost, "D2": lost}, unknown_inside=True)
    assert np.isnan(found.ratio)
    assert found.method == "refused"
    assert "between 0 (none of the 4 of unknown fate died)" in found.note
    assert "limits that hold the spread between 2 donors" in found.note
    assert found.bound_low == 0 < found.bound_high


def test_unresolved_time_that_matters_is_said():
    vague = ["..??????x", "..??????x", "..IIIIIIX", ".........", "...xxxxxx"]
    found = _hazard({"D1": vague, "D2": vague})
    assert "unresolved time outside" in found.note
    assert found.bound_low != found.bound_high


def test_landmark_groups_by_where_guests_were_and_never_by_what_came_later():
    rows = death_rows(frames_of({"p": ["..IIIIIIX", "....IIIII", "......xxx", "........."]}))
    at, ratio = landmark_ratio(rows, 3.0)
    # inside at 3 h: guest 1 (5 h, dies); outside: guests 2, 3, 4 (5 + 3 + 5 h, one death)
    assert at == 3.0
    assert ratio == pytest.approx((1 / 5) / (1 / 13))


def test_share_of_frames_inside_that_no_marker_could_tell():
    assert unknown_share(frames_of({"p": ["..II"]}, unknown_inside=True), "inside") == 1.0
    assert unknown_share(frames_of({"p": ["...."]}), "inside") == 0.0


def test_best_and_worst_case_of_guests_that_were_lost():
    lost = [*DONOR, "..III    ", ".....    "]
    found = _hazard({"D1": lost, "D2": lost})
    assert "had all 2 lost outside died" in found.note
    assert found.lost_low < found.ratio < found.lost_high
    assert "lost" not in _hazard({"D1": DONOR, "D2": DONOR}).note
