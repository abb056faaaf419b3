import numpy as np
import pandas as pd
import pytest
from experiments_drawn import events_of, frames_of, guests_of, hosts_of, layout_of

from cicimage import tables
from cicimage.statistics.curves import compute_curves
from cicimage.statistics.rates import compute_rates
from cicimage.statistics.residence import stay_mixture, stays

GUESTS = ["..aIIII....", "....IIIIIIX", ".....xxxxxx", "...........", ".?????....."]


def _curves(pictures, donors):
    frames = frames_of(pictures)
    layout = layout_of({p: ("v", d) for p, d in donors.items()})
    return compute_curves(events_of(frames), guests_of(frames), frames, layout)


def _at(curves, curve, state, time_h, donor=""):
    rows = curves[(curves["curve"] == curve) & (curves["state"] == state) & (curves["donor"] == donor)]
    return rows[rows["time_h"] <= time_h].iloc[-1]


def test_incidence_of_first_entry_and_of_death_before_it():
    curves = _curves({"p": GUESTS}, {"p": ""})
    assert _at(curves, "entry_cumulative_incidence", "entry", 3)["estimate"] == pytest.approx(1 / 5)
    assert _at(curves, "entry_cumulative_incidence", "entry", 10)["estimate"] == pytest.approx(2 / 5)
    assert _at(curves, "entry_cumulative_incidence", "death_outside", 10)["estimate"] == pytest.approx(1 / 5)
    assert _at(curves, "entry_cumulative_incidence", "entry", 3)["at_risk"] == 5


def test_occupancy_is_the_share_in_each_place_while_all_are_seen():
    curves = _curves({"p": GUESTS}, {"p": ""})
    at_5 = {s: _at(curves, "occupancy", s, 5)["estimate"] for s in ("free", "inside", "unresolved", "dead")}
    assert at_5 == pytest.approx({"free": 1 / 5, "inside": 2 / 5, "unresolved": 1 / 5, "dead": 1 / 5})
    shares = curves[curves["curve"] == "occupancy"].groupby("time_h")["estimate"].sum()
    np.testing.assert_allclose(shares, 1.0)


def test_donors_carry_the_limits_and_have_curves_of_their_own():
    curves = _curves({"p": GUESTS, "q": GUESTS[:2] * 2, "r": GUESTS[2:]}, {"p": "D1", "q": "D2", "r": "D3"})
    row = _at(curves, "entry_cumulative_incidence", "entry", 10)
    assert 0 <= row["ci_low"] < row["estimate"] < row["ci_high"] <= 1
    assert row["band_low"] <= row["ci_low"]
    assert row["band_high"] >= row["ci_high"]
    assert row["note"] == ""
    assert _at(curves, "entry_cumulative_incidence", "entry", 10, "D2")["estimate"] == 1.0


def test_one_donor_is_said():
    curves = _curves({"p": GUESTS}, {"p": "D1"})
    assert "n of donors is 1" in curves["note"].iloc[0]


def test_the_table_conforms_and_nothing_gives_an_empty_one():
    curves = _curves({"p": GUESTS}, {"p": "D1"})
    tables.conform(tables.CURVES, curves)
    empty = [tables.empty(t) for t in (tables.EVENTS, tables.GUESTS, tables.FRAMES)]
    assert compute_curves(*empty, layout_of({"p": ("v", "")})).empty


def test_stays_run_from_the_middle_of_the_entry_to_the_middle_of_the_exit():
    frames = frames_of({"p": GUESTS})
    rows = stays(events_of(frames), frames)
    # guest 1: entry between 2 and 3 h, out between 6 and 7 h; guest 2: in between 3 and 4 h, dead after 9 h
    assert rows[["guest_id", "stop_h", "to"]].to_numpy().tolist() == [[1, 4.0, 1], [2, 5.5, 2]]
    assert (rows["persistence_h"] == 1.0).all()  # a stay counts once it has lasted two frames


def test_residence_starts_full_and_falls_with_its_ends():
    curves = _curves({"p": GUESTS}, {"p": ""})
    assert _at(curves, "residence", "inside", 4.0)["estimate"] == pytest.approx(0.5)
    assert _at(curves, "residence", "escape", 5.5)["estimate"] == pytest.approx(0.5)
    assert _at(curves, "residence", "death", 5.5)["estimate"] == pytest.approx(0.5)


def _mixture(short_share, n=600, seed=1):
    rng = np.random.default_rng(seed)
    t = np.where(rng.random(n) < short_share, rng.exponential(0.2, n), rng.exponential(10.0, n))
    stop = np.minimum(t, 24.0)
    return stay_mixture(pd.DataFrame({"persistence_h": 0.0, "stop_h": stop, "to": np.where(t < 24, 1, -1)}))


def test_two_kinds_of_stay_are_told_from_one():
    two, one = _mixture(0.5), _mixture(0.0)
    assert two.two_kinds
    assert two.short_h == pytest.approx(0.2, rel=0.25)
    assert two.long_h == pytest.approx(10.0, rel=0.25)
    assert two.share_short == pytest.approx(0.5, abs=0.08)
    assert not one.two_kinds
    assert one.mean_h == pytest.approx(10.0, rel=0.15)


def test_limits_begin_when_two_donors_have_entries():
    pictures = {
        "p": ["..aIIII....", "..........."],
        "q": [".....aIIIII", "..........."],
        "r": ["...........", "....xxxxxxx"],
    }
    curves = _curves(pictures, {"p": "D1", "q": "D2", "r": "D3"})
    rows = curves[(curves["curve"] == "entry_cumulative_incidence") & (curves["state"] == "entry")]
    rows = rows[rows["donor"] == ""].set_index("time_h")
    assert rows.loc[3.0, "estimate"] > 0
    assert rows.loc[3.0, ["ci_low", "ci_high", "band_low", "band_high"]].isna().all()
    assert rows.loc[6.0, "ci_low"] < rows.loc[6.0, "estimate"] < rows.loc[6.0, "ci_high"]
    died = curves[(curves["state"] == "death_outside") & (curves["donor"] == "")]
    assert died["ci_high"].isna().all()  # one donor only


def test_the_incidence_is_the_mean_over_donors_at_every_time_and_the_table_of_rates_says_the_same():
    # 1 of 2 guests enters in D1, 1 of 8 in D2: 31 % of a donor's guests, 20 % of all guests
    pictures = {"p": ["..III", "....."], "q": ["...II", *7 * ["....."]]}
    donors = {"p": "D1", "q": "D2"}
    row = _at(_curves(pictures, donors), "entry_cumulative_incidence", "entry", 4)
    assert row["estimate"] == pytest.approx((1 / 2 + 1 / 8) / 2)
    frames = frames_of(pictures)
    layout = layout_of({p: ("v", d) for p, d in donors.items()})
    rates, _ = compute_rates(events_of(frames), guests_of(frames), hosts_of([*pictures], [1], 4.0), frames, layout)
    told = rates.set_index("estimand").loc["entry_cumulative_incidence"]
    assert told["estimate"] == pytest.approx(row["estimate"])
    assert told["pooled_estimate"] == pytest.approx(2 / 10)


def test_the_incidence_over_donors_ends_where_the_first_donors_movie_ends_and_says_so():
    pictures = {"p": ["..III", "....."], "q": ["...II....", "........I"]}
    curves = _curves(pictures, {"p": "D1", "q": "D2"})
    rows = curves[(curves["curve"] == "entry_cumulative_incidence") & (curves["donor"] == "")]
    assert rows["time_h"].max() == 4.0
    assert (rows["note"] == "to 4 h, the end that all donors share").all()
    assert _at(curves, "entry_cumulative_incidence", "entry", 8, "D2")["time_h"] == 8.0
