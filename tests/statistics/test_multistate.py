import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cicimage.errors import CicimageError
from cicimage.statistics.multistate import aalen_johansen, band_factor

HERE = Path(__file__).parent / "reference"
STATES = ["outside", "inside", "dead"]


@pytest.fixture(scope="module")
def r_values():
    """Values of R 4.2.2, survival 3.5-3, made by reference/survival.R."""
    return json.loads((HERE / "values.json").read_text())


@pytest.fixture(scope="module")
def r_guests():
    return pd.read_csv(HERE / "guests.csv", keep_default_na=False)


def _fit(d, **options):
    to = d["to"].map(lambda s: STATES.index(s) if s else -1)
    return aalen_johansen(
        d["start"], d["stop"], d["state"].map(STATES.index), to, STATES, subject=d["guest"], **options
    )


def test_occupancy_is_that_of_r_survfit(r_values, r_guests):
    fit = _fit(r_guests)
    np.testing.assert_allclose(fit.time_h, r_values["occupancy_time"])
    for k, state in enumerate(STATES):
        np.testing.assert_allclose(fit.estimate[:, k], r_values[f"occupancy_{state}"], atol=1e-12)


def test_standard_errors_are_those_of_r_when_the_start_is_known(r_values, r_guests):
    # with delayed entry R takes the first distribution as known; as estimated it has an error of its own
    fit = _fit(r_guests, initial=_fit(r_guests).initial)
    for k, state in enumerate(STATES):
        np.testing.assert_allclose(fit.std_error[:, k], r_values[f"occupancy_se_{state}"], atol=1e-12)
    assert (_fit(r_guests).std_error[0, :2] > fit.std_error[0, :2]).all()


def test_first_entry_with_death_competing_is_that_of_r(r_values, r_guests):
    first = r_guests.drop_duplicates("guest")
    first = first[first["state"] == "outside"]
    to = first["to"].map({"": -1, "inside": 1, "dead": 2})
    fit = aalen_johansen(
        first["start"], first["stop"], np.zeros(len(first), int), to, ["out", "in", "dead"], initial=(1, 0, 0)
    )
    np.testing.assert_allclose(fit.at_risk[:, 0], r_values["incidence_risk"])
    np.testing.assert_allclose(fit.estimate[:, 1], r_values["incidence_entry"], atol=1e-12)
    np.testing.assert_allclose(fit.estimate[:, 2], r_values["incidence_death"], atol=1e-12)
    np.testing.assert_allclose(fit.std_error[:, 1], r_values["incidence_se_entry"], atol=1e-12)


def test_incidence_is_that_of_scikit_survival():
    # scikit-survival 0.28.0, cumulative_incidence_competing_risks; made by reference/scikit_survival.py
    stored = json.loads((HERE / "scikit_survival.json").read_text())
    cause = np.array(stored["cause"])
    fit = aalen_johansen(
        np.zeros(len(cause)), stored["time"], np.zeros(len(cause), int), np.where(cause == 0, -1, cause), "oed",
        initial=(1, 0, 0),
    )  # fmt: skip
    np.testing.assert_allclose(fit.time_h, stored["at"])
    np.testing.assert_allclose(fit.estimate[:, 1], stored["incidence_1"], atol=1e-12)
    np.testing.assert_allclose(fit.estimate[:, 2], stored["incidence_2"], atol=1e-12)


def test_without_censoring_it_is_a_share_with_the_binomial_error():
    # closed form: p = k / n, SE = sqrt(p (1 - p) / n)
    fit = aalen_johansen([0] * 10, [1, 1, 2, 3, 3, 3, 4, 5, 5, 5], [0] * 10, [1, 2] * 5, "oed", initial=(1, 0, 0))
    assert fit.at(2.0)[0].tolist() == pytest.approx([0.7, 0.2, 0.1])
    p, se = (v[1] for v in fit.at(5.0))
    assert p == pytest.approx(0.5)
    assert se == pytest.approx(np.sqrt(0.5 * 0.5 / 10))


def test_censored_at_a_tie_is_at_risk_and_delayed_entry_at_a_tie_is_not():
    # at 2 h: one enters, one is censored (at risk), one starts (not at risk): hazard 1 / 3
    fit = aalen_johansen([0, 0, 0, 2], [2, 2, 4, 4], [0] * 4, [1, -1, -1, -1], "oe", initial=(1, 0))
    assert fit.at_risk[0, 0] == 3
    assert fit.at(2.0)[0][1] == pytest.approx(1 / 3)


@settings(max_examples=15, deadline=None)
@given(st.randoms(use_true_random=False), st.floats(0.01, 100))
def test_order_of_rows_and_unit_of_time_change_nothing(random, unit):
    d = pd.read_csv(HERE / "guests.csv", keep_default_na=False)
    order = list(range(len(d)))
    random.shuffle(order)
    other = d.iloc[order].assign(start=lambda t: t["start"] * unit, stop=lambda t: t["stop"] * unit)
    a, b = _fit(d), _fit(other)
    np.testing.assert_allclose(a.estimate, b.estimate, atol=1e-12)
    np.testing.assert_allclose(a.std_error, b.std_error, atol=1e-12)


def test_clusters_of_twins_have_the_error_of_single_guests(r_guests):
    alone = _fit(r_guests)
    twins = pd.concat([r_guests, r_guests.assign(guest=r_guests["guest"] + 1000)])
    fit = _fit(twins, cluster=twins["guest"] % 1000)
    np.testing.assert_allclose(fit.std_error, alone.std_error, atol=1e-12)
    assert fit.n_clusters == alone.n_clusters
    assert (_fit(twins).std_error[:, 2] < fit.std_error[:, 2]).all()


def test_states_add_up_to_one(r_guests):
    np.testing.assert_allclose(_fit(r_guests).estimate.sum(axis=1), 1.0)


def test_a_band_is_wider_than_limits_at_one_time(r_guests):
    factor = band_factor(_fit(r_guests, keep_influence=True), 1)
    assert 2.2 < factor < 3.5
    with pytest.raises(CicimageError, match="pass keep_influence=True"):
        band_factor(_fit(r_guests), 1)


def test_rows_that_end_before_they_start_and_lengths_that_differ_are_refused():
    with pytest.raises(CicimageError, match="row 0 runs 2.0 to 1.0"):
        aalen_johansen([2], [1], [0], [-1], "o")
    with pytest.raises(CicimageError, match="one length each"):
        aalen_johansen([0, 0], [1], [0], [-1], "o")


def test_nobody_at_all():
    fit = aalen_johansen([], [], [], [], "oe")
    assert fit.n == 0
    assert fit.at(3.0)[0].tolist() == [1, 0]
