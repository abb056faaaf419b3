import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from cicimage.statistics.count_kernels import unit_loglik
from cicimage.statistics.count_model import (
    NODES,
    WEIGHTS,
    WIDENED,
    cutoff,
    profile_log_odds,
    profile_rate,
    profile_ratio,
    widening,
)


@pytest.mark.parametrize(("y", "n", "b", "tau"), [(0, 30, -3.0, 0.7), (3, 40, -1.5, 1.2), (12, 20, 0.4, 0.3)])
def test_the_random_term_is_integrated_right(y, n, b, tau):
    # adaptive quadrature of SciPy as the closed form's stand-in
    def f(u):
        pi = 1 / (1 + np.exp(-(b + u)))
        return pi**y * (1 - pi) ** (n - y) * stats.norm.pdf(u, 0, tau)

    expected = np.log(integrate.quad(f, -10, 10, epsabs=0, epsrel=1e-10, points=[0.0])[0])
    one = np.array([0.0])
    found = unit_loglik(1, b, tau, np.array([float(y)]), np.array([float(n)]), one, NODES, WEIGHTS)
    assert found == pytest.approx(expected, abs=2e-4)


def test_with_many_events_it_is_the_paired_t_test():
    y1, y0 = np.array([400.0, 900, 700, 1000]), np.array([1000.0, 1500, 1900, 1600])
    fit = profile_ratio(y1, np.ones(4), y0, np.ones(4))
    t = stats.ttest_rel(np.log(y1), np.log(y0))
    low, high = np.exp(t.confidence_interval())
    assert fit.estimate == pytest.approx(np.exp(np.mean(np.log(y1 / y0))), rel=0.01)
    assert (fit.low, fit.high) == pytest.approx((low, high), rel=0.03)
    assert fit.p_value == pytest.approx(t.pvalue, rel=0.1)


def test_zero_counts_get_an_upper_bound_and_no_half_event():
    fit = profile_ratio([0, 0, 0], [100] * 3, [20, 15, 30], [100] * 3)
    assert fit.estimate == 0
    assert fit.low == 0
    # closed form at tau = 0, where the profile of all-zero counts with this much evidence has its top:
    # 65 log(1 / (1 + r)) = -cutoff / 2
    assert fit.high == pytest.approx(np.expm1(cutoff(3) / 2 / 65), rel=0.3)
    assert fit.high > np.expm1(cutoff(3) / 2 / 65) - 1e-4
    assert fit.p_value < 0.001


def test_more_zero_evidence_gives_a_lower_bound():
    few = profile_ratio([0, 0, 0], [100] * 3, [4, 5, 6], [100] * 3)
    many = profile_ratio([0, 0, 0], [100] * 3, [40, 50, 60], [100] * 3)
    assert many.high < few.high < 1


def test_zero_in_the_reference_is_the_mirror_image():
    a = profile_ratio([0, 1, 2], [100] * 3, [9, 8, 7], [50] * 3)
    b = profile_ratio([9, 8, 7], [50] * 3, [0, 1, 2], [100] * 3)
    assert a.estimate == pytest.approx(1 / b.estimate, rel=1e-3)
    assert a.high == pytest.approx(1 / b.low, rel=1e-3)
    assert a.p_value == pytest.approx(b.p_value, rel=1e-3)


def test_donors_without_any_event_say_nothing():
    with_empty = profile_ratio([1, 0, 2], [100] * 3, [9, 0, 7], [50] * 3)
    without = profile_ratio([1, 2], [100] * 2, [9, 7], [50] * 2)
    assert with_empty.n == 2
    assert with_empty.high == pytest.approx(without.high)


def test_one_informative_donor_gives_no_interval():
    assert np.isnan(profile_ratio([1, 0], [1, 1], [4, 0], [1, 1]).high)


@settings(max_examples=12, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=3, max_size=3), st.floats(0.1, 10))
def test_a_change_of_the_unit_of_time_scales_the_rate_and_leaves_the_ratio(counts, unit):
    hours = np.array([10.0, 20.0, 15.0])
    if sum(counts):
        a, b = profile_rate(counts, hours), profile_rate(counts, hours * unit)
        assert a.high == pytest.approx(b.high * unit, rel=1e-2)
    r = profile_ratio(counts, hours, [5, 6, 7], hours)
    s = profile_ratio(counts, hours * unit, [5, 6, 7], hours * unit)
    assert r.high == pytest.approx(s.high, rel=1e-3)


def test_several_rows_of_a_unit_share_its_term():
    # two rows with one offset are one row with their sum
    split = profile_log_odds([1, 2, 3, 1], [5, 6, 9, 4], [0.1, 0.1, -0.2, -0.2], [0, 0, 1, 1])
    joined = profile_log_odds([3, 4], [11, 13], [0.1, -0.2], [0, 1])
    assert split.high == pytest.approx(joined.high, rel=1e-3)


def test_all_zero_donors_of_one_condition_have_an_upper_bound():
    fit = profile_rate([0, 0, 0], [100, 100, 100])
    assert fit.estimate == 0
    assert fit.high > 3.69 / 300


def test_cutoff_is_t_on_the_scale_of_the_likelihood():
    assert cutoff(3) == pytest.approx(3 * np.log1p(4.302652729911275**2 / 2))
    assert cutoff(6) == pytest.approx(6 * np.log1p(2.5705818366147395**2 / 5))
    assert (widening(4), widening(5)) == (1.0, WIDENED)


def test_limits_that_simulation_found_wanting_are_said():
    assert profile_ratio([0, 1, 2], [9] * 3, [5, 6, 7], [9] * 3).caution() == "conservative with 3 donors"
    assert profile_ratio([3] * 7, [9] * 7, [5] * 7, [9] * 7).caution() == ""
