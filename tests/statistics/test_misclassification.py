import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cicimage.errors import CicimageError
from cicimage.statistics.misclassification import (
    corrected_rate,
    corrected_rates,
    differential_error,
    error_corrected,
    error_rates,
    errors_by_condition,
)


def test_a_perfect_reviewer_finding_nothing_wrong_leaves_the_rate():
    found = corrected_rate(40, 1000.0, error_rates(5000, 5000, 0, 1e7))
    assert found.corrected.estimate == pytest.approx(found.raw.estimate)
    assert (found.corrected.low, found.corrected.high) == pytest.approx((found.raw.low, found.raw.high), rel=0.01)


def test_false_calls_come_out_and_missed_entries_go_in():
    # 100 calls in 1000 h, 80 % real; one missed in 100 h: 0.1 x 0.8 + 0.01
    found = corrected_rate(100, 1000.0, error_rates(40, 50, 1, 100.0))
    assert found.corrected.estimate == pytest.approx(0.09)
    assert found.factor == pytest.approx(0.9)
    assert found.corrected.low < 0.09 < found.corrected.high


def test_the_corrected_interval_covers():
    rng = np.random.default_rng(1)
    true, ppv, missed = 0.05, 0.8, 0.01
    hits = []
    for _ in range(1500):
        calls = rng.poisson((true - missed) / ppv * 2000)
        errors = error_rates(rng.binomial(60, ppv), 60, rng.poisson(missed * 300), 300.0)
        found = corrected_rate(calls, 2000.0, errors).corrected
        hits.append(found.low <= true <= found.high)
    assert 0.94 <= np.mean(hits) <= 0.995


def test_nothing_reviewed_is_said():
    assert "no called event was reviewed" in corrected_rate(9, 10.0, error_rates(0, 0, 1, 5.0)).note
    assert "missed entries are not corrected for" in corrected_rate(9, 10.0, error_rates(8, 9, 0, 0.0)).note


def test_error_that_differs_between_conditions():
    bad, good = error_rates(10, 40, 8, 100.0), error_rates(36, 40, 1, 100.0)
    found = differential_error(bad, good, 0.1, 0.1)
    assert found.differential
    assert found.p_ppv == pytest.approx(stats.fisher_exact([[10, 30], [36, 4]])[1])
    assert found.p_missed == pytest.approx(stats.binomtest(8, 9, 0.5).pvalue)
    assert found.ratio_correction == pytest.approx((0.25 + 0.8) / (0.9 + 0.1))
    assert "real calls 10 of 40 against 36 of 40" in found.note
    assert not differential_error(good, good, 0.1, 0.1).differential


def test_from_the_table_of_reviewed_items():
    rows = pd.DataFrame({
        "condition": ["v"] * 5, "sample": ["event", "event", "other", "other", "other"],
        "is_entry": [True, False, False, True, False], "hours": [0, 0, 2.0, 2.0, 2.0],
    })  # fmt: skip
    found = errors_by_condition(rows)["v"]
    assert (found.real_events, found.reviewed_events, found.missed_events, found.reviewed_h) == (1, 2, 1, 6.0)


@pytest.mark.parametrize(
    ("change", "said"),
    [({"sample": "frame"}, "must be event or other, got 'frame'"), ({"hours": None}, "'hours' is missing")],
)
def test_a_review_table_that_does_not_fit(change, said):
    rows = pd.DataFrame({"condition": ["v"], "sample": ["event"], "is_entry": [True], "hours": [1.0]})
    rows = rows.drop(columns="hours") if change.get("hours", 1) is None else rows.assign(**change)
    with pytest.raises(CicimageError, match=said):
        errors_by_condition(rows)


def test_more_real_than_reviewed_is_refused():
    with pytest.raises(CicimageError, match="got real 5 of 4"):
        error_rates(5, 4, 0, 1.0)


def test_table_of_corrected_rates():
    rates = pd.DataFrame({
        "estimand": "entry_rate_per_guest_h", "condition": ["v", "b"], "events": [100.0, 50.0],
        "exposure_h": [1000.0, 1000.0],
    })  # fmt: skip
    reviewed = pd.concat([
        pd.DataFrame({"condition": c, "sample": "event", "is_entry": [i < real for i in range(20)], "hours": 0.0})
        for c, real in (("v", 20), ("b", 8))
    ] + [pd.DataFrame({"condition": ["v", "b"], "sample": "other", "is_entry": False, "hours": 50.0})])  # fmt: skip
    found = corrected_rates(rates, reviewed, "v").set_index("condition")
    assert found.loc["v", "corrected"] == pytest.approx(0.1)
    assert found.loc["b", "corrected"] == pytest.approx(0.05 * 0.4)
    assert found.loc["b", "ratio_correction"] == pytest.approx(0.4)
    assert found.loc["b", "differential"]
    assert not found.loc["v", "differential"]


def test_corrected_rates_stand_as_rows_of_the_rates():
    rates = pd.DataFrame([
        {"estimand": "entry_rate_per_guest_h", "condition": c, "events": 50.0, "exposure_h": 1000.0, "note": "as found"}
        for c in ("vehicle", "btki", "not reviewed")
    ])  # fmt: skip
    reviewed = pd.DataFrame(
        [("vehicle", "event", i < 38, 1.0) for i in range(40)] + [("btki", "event", i < 12, 1.0) for i in range(40)]
        + [(c, "other", i < 1, 5.0) for c in ("vehicle", "btki") for i in range(40)],
        columns=["condition", "sample", "is_entry", "hours"],
    )  # fmt: skip
    rows = error_corrected(rates, reviewed, "vehicle").set_index("condition")
    assert list(rows.index) == ["vehicle", "btki"]
    assert rows.loc["vehicle", "estimate"] == pytest.approx(0.05 * 38 / 40 + 1 / 200)
    assert rows.loc["btki", "estimate"] == pytest.approx(0.05 * 12 / 40 + 1 / 200)
    assert rows.loc["btki", "ci_low"] < rows.loc["btki", "estimate"] < rows.loc["btki", "ci_high"]
    assert "error differs from the reference's" in rows.loc["btki", "note"]
    assert "differs" not in rows.loc["vehicle", "note"]
    assert "12 of 40 calls real, 1 entries missed in 200 h" in rows.loc["btki", "note"]
    assert error_corrected(rates, reviewed.iloc[:0], "vehicle").empty
