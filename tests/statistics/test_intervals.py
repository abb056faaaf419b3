import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from cicimage.statistics.intervals import (
    binomial_interval,
    log_t_interval,
    poisson_interval,
    t_interval,
)

# R 4.2.2: poisson.test, binom.test; made by reference/survival.R
R = json.loads((Path(__file__).parent / "reference" / "values.json").read_text())


@pytest.mark.parametrize("events", [7, 0])
def test_poisson_limits_are_those_of_r(events):
    found = poisson_interval(events, 12.5)
    assert [found.low, found.high] == pytest.approx(R[f"poisson_{events}_of_12.5"], abs=1e-9)


def test_binomial_limits_are_those_of_r():
    found = binomial_interval(3, 17)
    assert [found.low, found.high] == pytest.approx(R["binomial_3_of_17"], abs=1e-9)


def test_shares_of_none_and_all_have_one_open_side():
    assert binomial_interval(0, 8).low == 0
    assert binomial_interval(8, 8).high == 1


def test_nothing_watched_is_nothing_estimated():
    assert np.isnan(poisson_interval(0, 0.0).estimate)
    assert np.isnan(binomial_interval(0, 0).high)


def test_dispersion_widens_and_leaves_the_estimate():
    narrow, wide = poisson_interval(20, 10.0), poisson_interval(20, 10.0, dispersion=3.0)
    assert wide.estimate == narrow.estimate
    assert wide.low < narrow.low < narrow.high < wide.high


def test_t_is_scipys():
    values = [0.2, 0.7, 1.1, -0.4]
    mean, low, high, p = t_interval(values)
    expected = stats.ttest_1samp(values, 0.0)
    assert p == pytest.approx(expected.pvalue)
    assert (low, high) == pytest.approx(tuple(expected.confidence_interval()))
    assert mean == pytest.approx(0.4)


@pytest.mark.parametrize("values", [[], [1.0]])
def test_fewer_than_two_values_have_no_limits(values):
    assert np.isnan(t_interval(values)[1])


def test_equal_values_have_no_p():
    assert np.isnan(t_interval([2.0, 2.0])[3])


def test_geometric_mean():
    assert log_t_interval([1.0, 4.0]).estimate == pytest.approx(2.0)
