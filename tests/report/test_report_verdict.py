"""The first paragraph: one named case for every thing it can say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cicimage.report.verdict import verdict
from cicimage.tables import TABLES, conform, empty

PRIMARY = "entry_rate_per_guest_h"


def rates(*rows):
    base = {
        "estimand": PRIMARY,
        "estimate": 0.02,
        "ci_low": 0.01,
        "ci_high": 0.04,
        "unit": "1/h",
        "events": 20.0,
        "exposure_h": 1000.0,
        "n_guests": 50,
        "n_hosts": 9,
        "n_positions": 3,
        "n_replicates": 3,
        "n_donors": 3,
        "method": "m",
        "note": "",
    }
    return conform(TABLES["rates"], pd.DataFrame([{**base, **r} for r in rows]))


def comparisons(*rows):
    base = {
        "estimand": PRIMARY,
        "condition": "btki",
        "reference": "vehicle",
        "ratio": 2.4,
        "ci_low": 1.6,
        "ci_high": 3.5,
        "p_value": 0.004,
        "p_adjusted": 0.008,
        "unit_of_replication": "donor",
        "n_pairs": 4,
        "method": "m",
        "note": "",
    }
    return conform(TABLES["comparisons"], pd.DataFrame([alone({**base, **r}) for r in rows]))


def alone(row):
    """A row of one comparison only: its simultaneous limits are its own."""
    return {"ci_low_simultaneous": row["ci_low"], "ci_high_simultaneous": row["ci_high"], **row}


TWO = ({"condition": "vehicle"}, {"condition": "btki"})


def write(compared=None, rated=TWO, **kwargs):
    source = {"rates": rates(*rated) if rated else empty(TABLES["rates"])}
    if compared is not None:
        source["comparisons"] = comparisons(*compared)
    return verdict(source, PRIMARY, **kwargs)


CASES = {
    "higher": (
        ({},),
        "Entry rate higher under btki than in vehicle",
        "Under btki the entry rate was 2.4 times that of vehicle (95 % interval 1.60 to 3.5; 4 donors; "
        "adjusted p = 0.008).",
    ),
    "lower": (
        ({"ratio": 0.25, "ci_low": 0.1, "ci_high": 0.6},),
        "Entry rate lower under btki than in vehicle",
        "was 0.25 times that of vehicle (75 % lower; 95 % interval 0.10 to 0.60; 4 donors; adjusted p = 0.008).",
    ),
    "open": (
        ({"ratio": 1.3, "ci_low": 0.7, "ci_high": 2.4, "p_adjusted": 0.4},),
        "Entry rate: no difference can be claimed",
        "no difference can be claimed, and the data still allow a fall to 70 % as well as a rise to 2.4 times.",
    ),
    "significant p but interval over 1": (
        ({"ratio": 1.3, "ci_low": 0.98, "ci_high": 2.4, "p_adjusted": 0.04},),
        "Entry rate: no difference can be claimed",
        "no difference can be claimed",
    ),
    "none seen": (
        ({"ratio": 0.0, "ci_low": 0.0, "ci_high": 0.3},),
        "Entry rate lower under btki than in vehicle",
        "No entries were seen under btki; its entry rate is at most 0.30 times that of vehicle",
    ),
    "one donor": (
        (
            {
                "unit_of_replication": "none",
                "n_pairs": 0,
                "p_value": np.nan,
                "p_adjusted": np.nan,
                "note": "no test: one donor",
            },
        ),
        "Entry rate: estimates only, no test can be made",
        "no test can be made, so this describes these cultures only.",
    ),
    "not estimable": (
        ({"ratio": np.nan, "ci_low": np.nan, "ci_high": np.nan, "note": "vehicle had no entries"},),
        "Entry rate: nothing can be concluded",
        "btki could not be compared with vehicle: vehicle had no entries.",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_sentence(name):
    rows, headline, sentence = CASES[name]
    said = write(rows)
    assert said.headline == headline
    assert sentence in said.findings[0].sentence


NOTHING = {
    "no reference named": ({}, TWO, None, "no reference condition was named"),
    "reference without estimate": ({"reference": "vehicle"}, TWO, None, "the reference vehicle has no estimate"),
    "one condition": ({}, ({"condition": "vehicle"},), None, "there is one condition only"),
    "nobody at risk": (
        {},
        ({"condition": "a", "estimate": np.nan, "exposure_h": 0.0, "events": 0.0},),
        None,
        "nobody was at risk",
    ),
    "no rates at all": ({}, (), None, "Nothing can be concluded about the entry rate"),
}


@pytest.mark.parametrize("name", NOTHING)
def test_why_nothing_can_be_concluded(name):
    kwargs, rated, compared, why = NOTHING[name]
    said = write(compared, rated, **kwargs)
    assert why in said.findings[0].sentence
    assert "nothing can be concluded" in said.headline


def test_up_and_down_share_a_headline():
    said = write(({}, {"condition": "btki + plerixafor", "ratio": 0.1, "ci_low": 0.05, "ci_high": 0.3}))
    assert said.headline == "Entry rate higher under btki and lower under btki + plerixafor than in vehicle"


def test_a_donor_in_one_arm_only_is_told_where_no_test_could_be_made():
    note = "donors in one arm only: D2; no test: n of paired donors is 1"
    said = write(({"n_pairs": 1, "p_value": np.nan, "p_adjusted": np.nan, "ci_low": np.nan, "ci_high": np.nan,
                   "ci_low_simultaneous": np.nan, "ci_high_simultaneous": np.nan, "note": note},))  # fmt: skip
    assert any("Donors in one arm only: D2" in c for c in said.cautions)
    assert not any("its interval is wide" in c for c in said.cautions)


def test_denominators_that_disagree_are_told():
    said = write(({}, {"estimand": "entry_rate_per_contact_h", "ratio": 1.0, "ci_low": 0.6, "ci_high": 1.7}))
    assert any("2.4 per guest-hour and 1.00 per hour of contact" in c for c in said.cautions)
    agreeing = write(({}, {"estimand": "entry_rate_per_contact_h", "ratio": 2.2, "ci_low": 1.6, "ci_high": 3.1}))
    assert not any("depends on what entries are counted over" in c for c in agreeing.cautions)


def test_time_the_optics_left_open_is_told_where_it_matters():
    wide = ({"condition": "vehicle", "bound_low": 0.019, "bound_high": 0.05}, {"condition": "btki"})
    assert any("vehicle 1.90 to 5.0" in c for c in write(({},), wide).cautions)
    narrow = ({"condition": "vehicle", "bound_low": 0.0195, "bound_high": 0.021}, {"condition": "btki"})
    assert not any("left part open" in c for c in write(({},), narrow).cautions)


def test_failures_notes_and_few_donors_are_told():
    said = write(({"n_pairs": 2, "note": "all donors share one host donor"},), n_failed=2, n_recordings=9)
    assert "2 of 9 recordings failed" in " ".join(said.cautions)
    assert "All donors share one host donor." in said.cautions
    assert "Only 2 donors carried a comparison" in " ".join(said.cautions)


def test_death_inside_is_an_association():
    hazard = {
        "estimand": "death_hazard_inside_vs_outside",
        "reference": "outside",
        "ratio": 0.4,
        "ci_low": 0.2,
        "ci_high": 0.8,
    }
    said = " ".join(write(({}, hazard)).cautions)
    assert "death was rarer inside than outside" in said
    assert "association" in said
    assert "protect" not in said


def test_hostile_names_lose_their_control_characters():
    assert "\x1b" not in write(({"condition": "a\x1b[31m"},)).headline


def _row(**changes):
    row = {
        "estimand": "entry_rate_per_guest_h", "condition": "btki", "reference": "vehicle", "ratio": 3.0, "ci_low": 2.0,
        "ci_high": 4.5, "p_value": 0.002, "p_adjusted": 0.002, "unit_of_replication": "donor", "n_pairs": 4,
        "method": "t", "note": "",
    }  # fmt: skip
    return alone(row | changes)


def test_an_interaction_is_a_sentence_of_its_own_and_no_condition():
    pair = {"condition": "btki x blockade", "reference": "no interaction"}
    rows = [_row(), _row(ratio=0.2, ci_low=0.1, ci_high=0.5, **pair)]
    made = verdict({"comparisons": pd.DataFrame(rows), "rates": empty(TABLES["rates"])}, "entry_rate_per_guest_h")
    assert made.headline == "Entry rate higher under btki than in vehicle"
    assert (
        "Together, btki and blockade gave a lower entry rate than their separate effects" in made.findings[1].sentence
    )
    rows[1] |= {"ci_high_simultaneous": 2.0}
    made = verdict({"comparisons": pd.DataFrame(rows), "rates": empty(TABLES["rates"])}, "entry_rate_per_guest_h")
    assert "cannot be told from their separate effects" in made.findings[1].sentence


def test_doubt_that_takes_the_finding_away_is_said():
    rows = pd.DataFrame([_row(doubt_low=0.8, doubt_high=7.0)])
    made = verdict({"comparisons": rows, "rates": empty(TABLES["rates"])}, "entry_rate_per_guest_h")
    assert any("interval is 0.80 to 7.0 and holds 1" in c for c in made.cautions)
    sure = verdict({"comparisons": rows.assign(doubt_low=1.9), "rates": empty(TABLES["rates"])}, rows["estimand"][0])
    assert not any("doubt" in c for c in sure.cautions)


def test_the_ic50_is_in_the_verdict():
    fits = pd.DataFrame([{
        "estimand": "entry_rate_per_guest_h", "drug": "AMD3100", "dose_unit": "uM", "ic50": 2.0, "ci_low": 1.0,
        "ci_high": np.inf, "hill": 1.0, "n_doses": 5, "n_donors": 3, "method": "", "note": "",
    }])  # fmt: skip
    source = {"comparisons": pd.DataFrame([_row()]), "rates": empty(TABLES["rates"]), "dose_fits": fits}
    said = verdict(source, "entry_rate_per_guest_h").findings[1].sentence
    assert "Half of the effect of AMD3100 on the entry rate is reached at 2.0 uM" in said
    assert "from 1.00 up; 5 doses, 3 donors" in said
    source["dose_fits"] = fits.assign(ic50=np.nan, note="the dose of half the effect lies outside the doses tried")
    assert "No dose of half the effect can be given" in verdict(source, "entry_rate_per_guest_h").findings[1].sentence


def test_optics_that_cannot_tell_are_said_before_anything_is_quoted():
    assert write([{}], optics=["yes", "yes"]).cautions == write([{}]).cautions
    assert write([{}], optics=["yes", "no"]).cautions[0].startswith("These recordings cannot show a guest inside")
    assert write([{}], optics=["partly"]).cautions[0].startswith("Some of these recordings")


SEVERAL = {"ci_low_simultaneous": 0.9, "ci_high_simultaneous": 6.1, "p_value": 0.02, "p_adjusted": 0.08}


def test_no_sentence_claims_what_the_adjusted_decision_does_not():
    made = write(({}, {"condition": "x"} | SEVERAL))
    assert made.headline == "Entry rate higher under btki than in vehicle"
    assert (
        "(95 % interval 1.60 to 3.5, simultaneous 0.90 to 6.1; 4 donors; adjusted p = 0.080): no difference can be "
        "claimed, and the data still allow a fall to 90 % as well as a rise to 6.1 times."
    ) in made.findings[1].sentence
    none_seen = write(({"ratio": 0.0, "ci_low": 0.0, "ci_high": 0.6, "ci_low_simultaneous": 0.0, "ci_high_simultaneous":
                        1.3, "p_value": 0.02, "p_adjusted": 0.08},))  # fmt: skip
    assert none_seen.headline == "Entry rate: no difference can be claimed"
    assert "at most 1.30 times that of vehicle (simultaneous 95 % bound; 4 donors" in none_seen.findings[0].sentence
    hazard = {"estimand": "death_hazard_inside_vs_outside", "reference": "outside", "ratio": 2.4}
    assert not any("more frequent" in c for c in write(({}, hazard | SEVERAL)).cautions)
    pair = {"condition": "btki x blockade", "reference": "no interaction"}
    assert "cannot be told" in write(({}, pair | SEVERAL)).findings[1].sentence


def test_a_ratio_without_a_test_has_no_interval_to_speak_of():
    alone = {"unit_of_replication": "none", **dict.fromkeys(("ci_low", "ci_high", "p_value", "p_adjusted"), np.nan)}
    said = " ".join(f.sentence for f in write([alone]).findings)
    assert "2.4 times that of vehicle (no interval); no test can be made" in said
    none = " ".join(f.sentence for f in write([{**alone, "ratio": 0.0}]).findings)
    assert "No entries were seen under btki, some under vehicle (no interval)" in none
