import math

import numpy as np
import pandas as pd
import pytest
from experiments_drawn import events_of, frames_of, guests_of, hosts_of, layout_of
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, special, stats

from cicimage.statistics.count_kernels import mean_logit, median_logit
from cicimage.statistics.first_entry import cumulative_incidence
from cicimage.statistics.intervals import binomial_interval
from cicimage.statistics.rates import compute_rates
from cicimage.statistics.share_model import TAU_MAX, mean_share, share_cutoff

Z = np.linspace(-9, 9, 6001)
WEIGHT = stats.norm.pdf(Z) / stats.norm.pdf(Z).sum()


def _mean_over_donors(c, tau):
    """Mean of expit(c + u) as a fine sum."""
    return float(WEIGHT @ special.expit(c + tau * Z))


@pytest.mark.parametrize(("c", "tau"), [(-4.0, 1.2), (-1.0, 0.4), (0.5, 2.0), (3.0, 0.8)])
def test_the_mean_on_the_logit_scale_and_its_inverse(c, tau):
    assert special.expit(mean_logit(c, tau)) == pytest.approx(_mean_over_donors(c, tau), rel=1e-5)
    assert median_logit(mean_logit(c, tau), tau) == pytest.approx(c, abs=1e-5)


def _brute_loglik(share, tau, y, n):
    """Log-likelihood of counts of n each at a mean share: root finding and fine sums."""
    c = optimize.brentq(lambda v: _mean_over_donors(v, tau) - share, -40, 40)
    odds = c + tau * Z
    return sum(special.logsumexp(k * special.log_expit(odds) + (n - k) * special.log_expit(-odds), b=WEIGHT) for k in y)


def _brute_profile(share, y, n):
    coarse = np.linspace(0, TAU_MAX, 9)
    best = coarse[np.argmax([_brute_loglik(share, tau, y, n) for tau in coarse])]
    near = (max(best - 0.25, 0), min(best + 0.25, TAU_MAX))
    return -optimize.minimize_scalar(lambda tau: -_brute_loglik(share, tau, y, n), bounds=near, method="bounded").fun


@pytest.mark.parametrize(("y", "n"), [([0, 3, 9], 30), ([0, 1], 12), ([2, 5, 3, 0, 60], 60)])
def test_limits_are_those_of_a_brute_force_profile_likelihood(y, n):
    found = mean_share(np.array(y) / n, [n] * len(y))
    top = -optimize.minimize_scalar(
        lambda x: -_brute_profile(special.expit(x), y, n), bounds=(-5, 1), method="bounded", options={"xatol": 1e-4}
    ).fun
    smoothed = (sum(y) + 0.5) / (len(y) * n + 1)
    drop = share_cutoff(len(y), n * smoothed * (1 - smoothed))
    for limit in (found.low, found.high):
        if limit > 0:
            assert 2 * (top - _brute_profile(limit, y, n)) == pytest.approx(drop, abs=0.02)


def test_with_cells_without_end_the_drop_is_that_of_students_t():
    t = stats.t.ppf(0.975, 3)
    assert share_cutoff(4, 1e12) == pytest.approx(4 * math.log1p(t * t / 3))


def test_each_donor_counts_once_whatever_its_cells():
    found = mean_share([0.5, 0.1], [4, 1000])
    assert found.estimate == pytest.approx(0.3)
    assert found.cells == pytest.approx(2 / (1 / 4 + 1 / 1000))
    assert found.low < 0.3 < found.high


def test_donors_at_nought_have_an_upper_limit_that_more_donors_bring_down():
    few, many = mean_share([0, 0, 0], [30] * 3), mean_share([0] * 8, [30] * 8)
    assert (few.estimate, few.low) == (0, 0)
    assert binomial_interval(0, 90).high < few.high < 0.5, "donors may differ: wider than cells alone would have it"
    assert binomial_interval(0, 240).high < many.high < few.high


@given(
    st.lists(st.tuples(st.integers(1, 60), st.floats(0, 1)), min_size=2, max_size=6).map(
        lambda rows: [(n, round(n * p) / n) for n, p in rows]
    )
)
def test_limits_hold_the_estimate_and_turn_round_with_the_share(rows):
    n, p = np.array([r[0] for r in rows], float), np.array([r[1] for r in rows])
    one, other = mean_share(p, n), mean_share(1 - p, n)
    assert 0 <= one.low <= one.estimate <= one.high <= 1
    assert other.estimate == pytest.approx(1 - one.estimate)
    assert (other.low, other.high) == pytest.approx((1 - one.high, 1 - one.low), abs=2e-3)


def test_fewer_than_two_donors_have_no_limits():
    assert np.isnan(mean_share([], []).estimate)
    one = mean_share([0.2], [10])
    assert (one.estimate, one.n) == (0.2, 1)
    assert np.isnan(one.high)


def test_where_limits_are_wider_than_asked_is_said():
    assert mean_share([0.1, 0.2, 0.3], [50] * 3).caution() == "conservative with 3 donors"
    few = mean_share([0.0, 0.1, 0.1, 0.2, 0.1], [10] * 5).caution("experiment")
    assert few == "conservative with 1 cells per experiment on the rarer side of the share"
    assert mean_share([0.1, 0.2, 0.3, 0.3, 0.2], [50] * 5).caution() == ""


def _coverage(donors, mean, sd, cells, sims=150):
    """How often limits hold the mean over donors; the model's, and the exact ones of pooled cells."""
    rng = np.random.default_rng(3)
    c = median_logit(special.logit(mean), sd)
    held = np.zeros(2)
    for _ in range(sims):
        y = rng.binomial(cells, special.expit(c + sd * rng.normal(size=donors)))
        pooled = binomial_interval(float(y.sum()), float(donors * cells))
        fit = mean_share(y / cells, np.full(donors, cells))
        held += fit.low <= mean <= fit.high, pooled.low <= mean <= pooled.high
    return held / sims


def test_donors_that_differ_are_held_where_pooled_cells_are_not():
    model, pooled = _coverage(donors=6, mean=0.1, sd=1.2, cells=50)
    assert model > 0.9
    assert pooled < 0.8


# 6 of 8, 0 of 8 and 1 of 4 guests inside at the end: a third of a donor's guests, 35 % of all guests
INSIDE = {"p": 6 * ["..II"] + 2 * ["...."], "q": 8 * ["...."], "r": ["..II", *3 * ["...."]]}


def test_a_donor_at_nought_leaves_donors_as_n_in_shares_and_incidence():
    frames = frames_of(INSIDE)
    layout = layout_of({p: ("v", d) for p, d in zip(INSIDE, ("D1", "D2", "D3"), strict=True)})
    hosts = hosts_of([*INSIDE], [1, 0], 3.0)
    rates, _ = compute_rates(events_of(frames), guests_of(frames), hosts, frames, layout)
    rows = rates.set_index("estimand")
    for name in ("inside_occupancy_end", "entry_cumulative_incidence"):
        row = rows.loc[name]
        assert row["estimate"] == pytest.approx((6 / 8 + 0 + 1 / 4) / 3)
        assert row["pooled_estimate"] == pytest.approx(7 / 20)
        assert row["ci_high"] > binomial_interval(7, 20).high
        assert "mean of 3 donors, donor-level binomial model" in row["method"]
        assert "conservative with 3 donors" in row["note"]
        assert "pooled" not in row["note"]


def _records(*stop_and_cause):
    stop, cause = zip(*stop_and_cause, strict=True)
    return pd.DataFrame({"start_h": 0.0, "stop_h": np.array(stop, float), "cause": cause})


def test_the_effective_number_of_guests_of_an_incidence():
    watched = _records((1, 1), (2, 1), (3, 2), *7 * [(4, 0)])
    assert cumulative_incidence(watched, 4.0).cells == pytest.approx(10), "all watched to the end: their number"
    lost = _records((1, 1), *4 * [(1.5, 0)], (2, 1), (3, 2), *3 * [(4, 0)])
    assert 4 < cumulative_incidence(lost, 4.0).cells < 10
    none = _records(*3 * [(1.5, 0)], (3, 2), *5 * [(4, 0)])
    assert cumulative_incidence(none, 4.0).cells == 6, "where none entered, those whose fate is known"
    assert cumulative_incidence(_records(*3 * [(1, 0)]), 4.0).cells == 0


def test_a_donor_nobody_followed_to_the_end_is_left_out_of_the_incidence_and_said():
    pictures = {"p": ["..II", "...."], "q": ["....", "..II"], "r": ["..  ", ".   ", "xxxx"]}
    frames = frames_of(pictures)
    layout = layout_of({p: ("v", d) for p, d in zip(pictures, ("D1", "D2", "D3"), strict=True)})
    rates, _ = compute_rates(events_of(frames), guests_of(frames), hosts_of(["p"], [1], 3.0), frames, layout)
    row = rates.set_index("estimand").loc["entry_cumulative_incidence"]
    assert row["estimate"] == pytest.approx(0.5)
    assert "1 donor with no guest followed to then left out of the estimate" in row["note"]
