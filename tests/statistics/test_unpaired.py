import numpy as np
import pytest
from scipy import stats

from cicimage.statistics.count_model import profile_rate
from cicimage.statistics.intervals import log_t_interval
from cicimage.statistics.ratios import unpaired_ratio
from cicimage.statistics.unpaired import Arm, fit_unpaired, welch_holds

FOUR = np.array([9.0, 20, 6, 31])


def _ratio(y1, y0, level=0.95):
    return unpaired_ratio(
        np.asarray(y1, float), np.full(len(y1), 50.0), np.asarray(y0, float), np.full(len(y0), 60.0), level=level
    )


def test_from_four_units_an_arm_it_is_welchs_test():
    found = _ratio([40, 11, 25, 30], FOUR)
    expected = stats.ttest_ind(np.log(np.array([40, 11, 25, 30]) / 50), np.log(FOUR / 60), equal_var=False)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(np.exp(expected.confidence_interval())))
    assert found.method.startswith("Welch's t(")


@pytest.mark.parametrize(("n", "m", "holds"), [(2, 2, False), (2, 8, False), (3, 3, True), (3, 4, False),
                                               (8, 3, False), (4, 4, True), (4, 12, True)])  # fmt: skip
def test_the_rule_looks_at_the_numbers_of_units_only(n, m, holds):
    assert welch_holds(n, m) is holds
    for shift in (0.0, 3.0):  # whatever the p
        found = _ratio(np.exp(shift) * np.linspace(20, 90, n), np.linspace(15, 70, m))
        assert found.method.startswith("Welch") is holds


def test_few_units_get_each_arms_own_limits_put_together():
    y1, y0 = np.array([40.0, 11]), np.array([9.0, 20, 6, 31, 12, 15, 4, 22])
    found = _ratio(y1, y0)
    a, b = log_t_interval(y1 / 50), log_t_interval(y0 / 60)
    half = np.hypot(np.log(a.high / a.estimate), np.log(b.high / b.estimate))
    assert np.log(found.high / found.ratio) == pytest.approx(half)
    assert np.log(found.ratio / found.low) == pytest.approx(half)
    assert "conservative with 2 and 8 donors" in found.note


def test_an_arm_with_a_unit_without_events_has_the_count_models_limits():
    y1 = [1.0, 0, 3]
    found = _ratio(y1, FOUR)
    a, b = profile_rate(y1, [50] * 3), log_t_interval(FOUR / 60)
    assert found.ratio == pytest.approx(a.estimate / b.estimate)
    up = np.hypot(np.log(a.high / a.estimate), np.log(b.estimate / b.low))
    assert np.log(found.high / found.ratio) == pytest.approx(up)


def test_an_arm_without_events_has_a_p_from_the_likelihood_of_its_limit():
    none = np.zeros(4)
    found, turned = _ratio(none, FOUR), unpaired_ratio(FOUR, np.full(4, 60.0), none, np.full(4, 50.0))
    assert found.ratio == found.low == 0
    assert 0 < found.high < 1
    assert found.p_value < 0.05
    assert _ratio(none, FOUR, level=1 - found.p_value).high == pytest.approx(1, abs=1e-3)
    assert (turned.ratio, turned.high) == (np.inf, np.inf)
    assert turned.low == pytest.approx(1 / found.high)
    assert turned.p_value == pytest.approx(found.p_value, rel=1e-3)
    # a reference with hardly any events lets nothing be said, and the p says so
    assert _ratio([0, 0, 0], [1, 0, 1]).p_value > 0.05
    assert unpaired_ratio(none, none + 1, none, none + 1).note == "no events in either condition"


def test_limits_and_p_decide_alike_at_every_level():
    rng = np.random.default_rng(4)
    for n, m, mean in ((2, 2, 9.0), (2, 8, 2.0), (3, 3, 1.0), (4, 4, 3.0), (3, 6, 20.0)):
        for _ in range(12):
            y = [rng.poisson(mean * np.exp(rng.normal(shift, 0.7, k))).astype(float) for shift, k in ((1.5, n), (0, m))]
            if sum(v.sum() for v in y) == 0:
                continue
            for level in (0.8, 0.95, 0.99):
                fit = fit_unpaired(Arm(y[0], np.ones(n)), Arm(y[1], np.ones(m)), level)
                assert (fit.low > 1 or fit.high < 1) == (fit.p_value < 1 - level)


def test_rates_that_agree_by_accident_get_no_narrow_interval():
    found = _ratio([3, 3, 3, 3], [4, 4, 4, 4])
    assert found.method == "limits of each condition put together"
    assert found.low < 1 < found.high


@pytest.mark.parametrize(("sizes", "spreads"), [((2, 8), (1.2, 0.4)), ((3, 8), (1.2, 0.4)), ((8, 3), (0.4, 1.2))])
def test_a_true_null_with_unequal_spreads_and_numbers_is_not_rejected_too_often(sizes, spreads):
    # Student's pooled variance rejects 17-30 % here, Welch's t 7-11 %
    rng = np.random.default_rng(3)
    y = [rng.poisson(60 * np.exp(rng.normal(0, s, (600, n)))) + 1.0 for n, s in zip(sizes, spreads, strict=True)]
    p = [fit_unpaired(Arm(a, np.ones(len(a))), Arm(b, np.ones(len(b)))).p_value for a, b in zip(*y, strict=True)]
    assert np.mean(np.array(p) < 0.05) < 0.068  # 5 % and two standard errors of 600
