import numpy as np
import pandas as pd
import pytest
from experiments_drawn import events_of, frames_of, guests_of, hosts_of, layout_of

from cicimage.statistics.inside_hazard import death_rows, inside_hazard
from cicimage.statistics.rates import compute_rates
from cicimage.statistics.unseen_deaths import had_all_died, had_none_died, hours_in_doubt, unknown_fates


def _blind(*lines):
    """Frames of one position under a marker that reads nothing inside."""
    return frames_of({"p": list(lines)}, unknown_inside=True)


@pytest.mark.parametrize(
    ("line", "from_frame", "seen_dead"),
    [
        ("..IIII", 2, False),  # inside at the end
        ("..III ", 2, False),  # lost inside
        ("..IIuu", 2, False),  # came out and was never read
        ("IIIIII", 0, False),  # inside from the start
        ("..II..II", 6, False),  # alive in between
        ("..IIxx", 2, True),  # stained at once: when it died is open
        ("..IIux", 2, True),  # stained later: so is where
        (".uIIIx", 2, True),
    ],
)
def test_fates_that_no_marker_told(line, from_frame, seen_dead):
    found = unknown_fates(_blind(line))
    assert found[["from_frame", "seen_dead"]].to_numpy().tolist() == [[from_frame, seen_dead]]


@pytest.mark.parametrize(
    "line",
    [
        "......",
        "..II..",  # alive when it came out
        "..IIu.",
        "..II.xx",  # alive when it came out, dead later
        "..Ixxx",  # stained in the next frame: it died in that step
        ".....I",  # no time inside
        "..xxxx",
        "..uuuu",  # nothing inside
    ],
)
def test_fates_that_are_known_or_were_never_inside(line):
    assert unknown_fates(_blind(line)).empty


def test_a_guest_that_reads_alive_inside_is_known():
    assert unknown_fates(frames_of({"p": ["..IIII"]})).empty


def test_unresolved_frames_count_where_asked():
    frames = _blind("..??").assign(viability=["alive", "alive", "unknown", "unknown"])
    assert unknown_fates(frames).empty
    assert len(unknown_fates(frames, unresolved_inside=True)) == 1


def _deaths(frames):
    rows = death_rows(frames)
    return rows.loc[rows["died"], ["guest_id", "stop_h", "inside"]].to_numpy().tolist()


def test_the_least_and_the_most_that_could_have_died():
    frames = _blind("..IIII", "..IIxx", "..IIux", "..II..")
    assert _deaths(had_none_died(frames)) == [[2, 4, 1], [3, 5, 0]]
    assert _deaths(had_all_died(frames)) == [[1, 3, 1], [2, 3, 1], [3, 3, 1]]
    hours = death_rows(had_all_died(frames))
    assert (hours["stop_h"] - hours["start_h"])[hours["inside"] == 1].sum() == 1 + 1 + 1 + 2


def test_unresolved_time_and_the_death_after_it_go_against_each_other():
    frames = frames_of({"p": ["..??xx", "..??.."]})
    assert _deaths(had_none_died(frames)) == [[1, 4, 0]]
    assert _deaths(had_all_died(frames)) == [[1, 4, 1]]
    rows = death_rows(had_none_died(frames))
    assert (rows["stop_h"] - rows["start_h"])[rows["inside"] == 1].sum() == 1 + 2


def test_hours_that_the_dead_would_not_have_lived():
    frames = _blind("..IIII", "..II..")
    # frame 2 keeps its hour; frames 3 and 4 an hour each, the last frame half of one
    assert hours_in_doubt(frames, unknown_fates(frames))["hours"].tolist() == [2.5]
    assert hours_in_doubt(frames, unknown_fates(frames.iloc[:0])).empty


def test_the_bound_of_the_rate_inside_holds_all_of_unknown_fate():
    frames = _blind("..IIII", "..IIII", "..IIxx", "..II..", "......")
    layout = layout_of({"p": ("v", "D1")})
    guests = guests_of(frames)
    rates, _ = compute_rates(events_of(frames), guests, hosts_of(["p"], [1], 5.0), frames, layout)
    row = rates.set_index("estimand").loc["death_rate_inside_per_h"]
    hours = guests["hours_inside_alive"].sum()
    assert row["bound_low"] == pytest.approx(1 / hours)
    assert row["bound_high"] == pytest.approx(3 / (hours - 2.5 - 2.5 - 1))
    assert row["ci_high"] > row["bound_high"]
    assert "the upper limit had all of unknown fate died" in row["note"]


def _hazard(pictures, unit="donor"):
    frames = frames_of(pictures, unknown_inside=True)
    return inside_hazard(frames, pd.Series({p: p if unit == "donor" else "" for p in pictures}), unit)


OUTSIDE_DEATHS = ["...xxxxx", ".....xxx", "........", "..III..."]


def test_bounds_of_one_donor_hold_counting_error_and_say_so():
    for unit in ("donor", "none"):
        found = _hazard({"p": [*OUTSIDE_DEATHS, "..IIIIII", "..IIIxxx"]}, unit)
        assert 0 < found.bound_low < found.bound_high < np.inf
        assert "limits that hold counting error only" in found.note


def test_no_bounds_where_nothing_bounds_them():
    found = _hazard({"D1": ["..IIII", "......"], "D2": ["..IIII", "......"]})
    assert np.isnan([found.bound_low, found.bound_high]).all()
    assert "no bounds: deaths seen outside are too few to bound the ratio" in found.note


def test_no_bounds_where_the_marker_tells_nothing_outside_either():
    found = _hazard({d: ["..IIII", "uuuuuu", "...xxx"] for d in ("D1", "D2")})
    assert np.isnan([found.bound_low, found.bound_high]).all()
    assert "no bounds: nor can it tell in 43% of guest frames outside" in found.note


def test_a_few_unknown_fates_widen_the_bounds_of_a_ratio_that_is_given():
    seen = ["..IIIIIX", "..IIIIII", "...xxxxx", "........", ".IIIIIII", "IIIIIIII"]
    frames = frames_of(dict.fromkeys(("D1", "D2"), seen))
    last = (frames["guest_id"] == 2) & (frames["frame"] > 5)
    frames = frames.assign(viability=frames["viability"].astype(object).mask(last, "unknown"))
    found = inside_hazard(frames, pd.Series({"D1": "D1", "D2": "D2"}), "donor")
    assert np.isfinite(found.ratio)
    assert found.bound_low == pytest.approx(found.ratio, rel=1e-4)
    assert found.bound_high > 1.5 * found.ratio
    assert "2 of unknown fate inside" in found.note


def _line(rng, ratio, frames=16):
    """One guest's life; what lies dead inside looks as what lives inside, and stains when its host dies."""
    out, state = "", "."
    for _ in range(frames):
        out += {"D": "I"}.get(state, state)
        die, move, host = rng.random(3)
        if state == ".":
            state = "x" if die < 0.03 else "I" if move < 0.12 else "."
        elif state == "I":
            state = "D" if die < 0.03 * ratio else "." if move < 0.15 or host < 0.08 else "I"
        elif state == "D":
            state = "x" if host < 0.08 else "D"
    return out


@pytest.mark.parametrize("ratio", [1.0, 0.3, 3.0])
def test_bounds_hold_the_truth_when_deaths_inside_go_unseen(ratio):
    rng = np.random.default_rng(4)
    held = []
    for _ in range(20):
        found = _hazard({f"D{d}": [_line(rng, ratio) for _ in range(30)] for d in range(3)})
        held.append(found.bound_low <= ratio <= found.bound_high)
        assert found.bound_low > 0 or found.bound_high < 1000, "bounds that bound nothing"
    assert np.mean(held) >= 0.95
