"""Quality of a recording: what the rules of thumb call good, worth a look, bad."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cicimage import figures
from cicimage.figures.quality import LIMITS, quality_summary
from cicimage.tables import TABLES, conform

N = 50


def recording(**changes):
    """Tables of one faultless position, with changes to its columns."""
    frames = np.arange(N)
    common = {"position": "p", "frame": frames}
    drift = {**common, "dy_um": frames * 0.1, "dx_um": 0.0, "quality": 0.9}
    qc = {
        **common,
        "time_h": frames * 0.1,
        "channel": "Host",
        "background": 100.0,
        "noise_sd": 3.0,
        "signal": 300.0,
        "saturated_share": 0.0,
        "sharpness": 1.0,
        "bleach_factor": 1 - 0.2 * frames / N,
        "flag": "",
    }
    counts = {**common, "time_h": frames * 0.1, "population": "guest", "n": 40}
    rows = {"drift": drift, "qc": qc, "counts": counts}
    for name, value in changes.items():
        for r in rows.values():
            if name in r:
                r[name] = value
    return {name: conform(TABLES[name], pd.DataFrame(r)) for name, r in rows.items()}


def at(value, base, frames):
    out = np.full(N, base, dtype=object if isinstance(value, str) else float)
    out[frames] = value
    return out


CASES = {
    "faultless": ({}, "good", ""),
    "slow wander is corrected": ({"dy_um": np.arange(N) * 2.0}, "good", ""),
    "jump of 12 um": ({"dy_um": at(12.0, 0.0, slice(20, None))}, "look", "jumped by 12 µm"),
    "jump of 30 um": ({"dx_um": at(30.0, 0.0, slice(20, None))}, "bad", "jumped by 30 µm"),
    "two frames out of focus": ({"sharpness": at(0.3, 1.0, slice(5, 7))}, "look", "4.0 % of frames are out of focus"),
    "ten frames out of focus": ({"sharpness": at(0.3, 1.0, slice(5, 15))}, "bad", "20 % of frames are out of focus"),
    "bleached by half": ({"bleach_factor": np.linspace(1, 0.5, N)}, "look", "only 50 % of the signal"),
    "bleached to nothing": ({"bleach_factor": np.linspace(1, 0.05, N)}, "bad", "only 5.0 % of the signal"),
    "saturated": ({"saturated_share": 0.02}, "bad", "2.0 % of pixels are saturated"),
    "guests vanish for a frame": ({"n": at(18.0, 40, [30]).astype(int)}, "bad", "jumps by"),
    "no guests": ({"n": 0}, "look", "no guests were seen"),
    "a pause": (
        {"time_h": np.arange(N) * 0.1 + np.where(np.arange(N) > 20, 1.0, 0.0)},
        "look",
        "pauses for up to 11 times its usual interval",
    ),
    "flagged frames": ({"flag": at("missing", "", [3])}, "look", "2.0 % of frames are flagged"),
}


@pytest.mark.parametrize("name", CASES)
def test_grade_and_reason(name):
    changes, grade, why = CASES[name]
    row = quality_summary(recording(**changes)).iloc[0]
    assert row["grade"] == grade
    assert why in row["why"]
    assert (row["why"] == "") == (grade == "good")


def test_an_empty_field_is_named_and_one_that_was_not_counted_is_not():
    tables = recording(n=0)
    hosts = tables["counts"].assign(population="host")
    tables["counts"] = conform(TABLES["counts"], pd.concat([tables["counts"], hosts]))
    assert quality_summary(tables).iloc[0]["why"] == "no guests and no hosts were seen"
    both = tables["counts"][tables["counts"]["population"] == "guest"].assign(population="tumour")
    alone = {**tables, "counts": conform(TABLES["counts"], both)}
    assert quality_summary(alone, "tumour", "tumour").iloc[0]["why"] == "no cells were seen"
    assert quality_summary(alone).iloc[0]["why"] == ""


def test_a_frame_that_is_missing_is_no_pause():
    tables = recording()
    tables["qc"] = tables["qc"][tables["qc"]["frame"] != 20]
    assert quality_summary(tables).iloc[0]["pause"] == pytest.approx(1.0)


def test_two_of_five_guests_are_no_alarm():
    assert quality_summary(recording(n=at(3.0, 5, [30]).astype(int))).iloc[0]["grade"] == "good"


def test_what_was_not_measured_is_not_blamed():
    tables = recording()
    for name in ("drift", "counts"):
        tables[name] = tables[name].iloc[:0]
    row = quality_summary(tables).iloc[0]
    assert row["grade"] == "good"
    assert np.isnan(row["jump_um"])


def test_picture_says_what_is_wrong():
    alt = figures.quality(recording(sharpness=at(0.3, 1.0, slice(5, 15)))).alt
    assert alt.startswith("0 positions of 1 good")
    assert "p: 20 % of frames are out of focus" in alt


def test_a_channel_of_noise_tells_nothing_of_the_focus():
    tables = recording()
    noise = tables["qc"].assign(channel="Death", signal=8.0, sharpness=np.tile([0.1, 1.0], N // 2))
    tables["qc"] = conform(TABLES["qc"], pd.concat([tables["qc"], noise]))
    assert quality_summary(tables).iloc[0]["grade"] == "good"


def test_limits_grade_both_ways():
    assert [LIMITS["signal_left"].grade(v) for v in (0.9, 0.5, 0.1, float("nan"))] == [0, 1, 2, 0]
    assert [LIMITS["jump_um"].grade(v) for v in (1, 10, 30)] == [0, 1, 2]
