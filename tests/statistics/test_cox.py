import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from partial_likelihood import fit_cox
from statsmodels.duration.hazard_regression import PHReg

from cicimage.errors import CicimageError
from cicimage.statistics.count_model import profile_log_odds
from cicimage.statistics.refused_covariates import check_covariate
from cicimage.statistics.risk_tables import RiskTables, efron_log_ratio, hazard_over_units

HERE = Path(__file__).parent / "reference"


@pytest.fixture(scope="module")
def r_values():
    """Values of R 4.2.2, survival 3.5-3, made by reference/survival.R."""
    return json.loads((HERE / "values.json").read_text())


@pytest.fixture(scope="module")
def lives():
    d = pd.read_csv(HERE / "guests.csv", keep_default_na=False)
    return d.assign(inside=(d["state"] == "inside").astype(float), died=d["to"] == "dead")


@pytest.mark.parametrize("ties", ["efron", "breslow"])
@pytest.mark.parametrize("stratified", [True, False])
def test_coefficient_error_and_likelihood_are_those_of_r_coxph(lives, r_values, ties, stratified):
    fit = fit_cox(lives["start"], lives["stop"], lives["died"], lives["inside"], ties=ties,
                  strata=lives["donor"] if stratified else None)  # fmt: skip
    expected = r_values[f"cox_{ties}" if stratified else f"cox_pooled_{ties}"]
    found = [fit.coef[0], fit.std_error[0], fit.loglik_null, fit.loglik]
    np.testing.assert_allclose(found, expected, rtol=1e-7)


def test_two_covariates_as_in_r(lives, r_values):
    x = np.column_stack([lives["inside"], lives["start"] >= 4])
    fit = fit_cox(lives["start"], lives["stop"], lives["died"], x, strata=lives["donor"])
    np.testing.assert_allclose([*fit.coef, *fit.std_error], r_values["cox_two"], rtol=1e-7)


@pytest.mark.parametrize("case", ["some", "none"])
def test_firth_is_the_penalised_likelihood_of_r(lives, r_values, case):
    died = lives["died"] if case == "some" else lives["died"] & (lives["inside"] == 0)
    fit = fit_cox(
        lives["start"], lives["stop"], died, lives["inside"], strata=lives["donor"], ties="breslow", firth=True
    )
    assert fit.coef[0] == pytest.approx(r_values[f"firth_{case}"][0], abs=1e-5)
    assert [fit.low[0], fit.high[0]] == pytest.approx(r_values[f"firth_limits_{case}"], abs=1e-6)


def test_no_death_inside_without_firth_is_said(lives):
    died = lives["died"] & (lives["inside"] == 0)
    fit = fit_cox(lives["start"], lives["stop"], died, lives["inside"])
    assert fit.coef[0] < -5
    assert "use firth=True" in fit.warning


def test_as_statsmodels_with_entry(lives):
    # statsmodels counts who enters at a death's time as at risk, R and this module do not: entries a little later
    entry = lives["start"] + 0.01
    model = PHReg(lives["stop"], lives[["inside"]], status=lives["died"].astype(int), entry=entry, ties="efron")
    fit = fit_cox(entry, lives["stop"], lives["died"], lives["inside"])
    assert fit.coef[0] == pytest.approx(model.fit(disp=False).params[0], abs=1e-6)


@pytest.mark.parametrize("name", ["ever_inside", "protected"])
def test_covariates_that_fake_an_effect_are_refused(name):
    with pytest.raises(CicimageError, match=f"{name}' is refused.*use 'inside'"):
        check_covariate(name)


def _tables(lives):
    rows = []
    for donor, part in lives.groupby("donor"):
        for t in np.unique(part.loc[part["died"], "stop"]):
            risk = part[(part["start"] < t) & (part["stop"] >= t)]
            dead = part[part["died"] & (part["stop"] == t)]
            n_in = risk["inside"].sum()
            rows.append((donor, n_in, len(risk) - n_in, dead["inside"].sum(), len(dead)))
    unit, *rest = np.array(rows, float).T
    return RiskTables(unit.astype(int), *rest)


def test_efron_from_risk_tables_is_fit_cox(lives):
    t = _tables(lives).of(2)
    part = lives[lives["donor"] == 2]
    fit = fit_cox(part["start"], part["stop"], part["died"], part["inside"])
    assert efron_log_ratio(t.n_inside, t.n_outside, t.d_inside, t.d) == pytest.approx(fit.coef[0], abs=1e-7)


def test_profile_likelihood_of_risk_tables_has_its_top_at_breslow_where_donors_agree(lives):
    t = _tables(lives).informative()
    fit = profile_log_odds(t.d_inside, t.d, np.log(t.n_inside / t.n_outside), t.unit, tau_max=0.01)
    breslow = fit_cox(
        lives["start"], lives["stop"], lives["died"], lives["inside"], strata=lives["donor"], ties="breslow"
    )
    assert fit.estimate == pytest.approx(np.exp(breslow.coef[0]), rel=1e-3)


def test_a_donor_without_deaths_inside_goes_to_the_profile_likelihood(lives):
    died = lives["died"] & ~((lives["donor"] == 1) & (lives["inside"] == 1))
    found = hazard_over_units(_tables(lives.assign(died=died)), "donor")
    assert "profile likelihood" in found.method
    assert found.low < found.ratio < found.high


def test_deaths_everywhere_go_to_t_on_donors():
    # four donors, ten risk sets each, twice the hazard inside by construction: 10 of 15 deaths among equals
    unit = np.repeat([0, 1, 2, 3], 15)
    d_inside = np.tile([1.0] * 10 + [0.0] * 5, 4)
    d_inside[:2] = 0
    found = hazard_over_units(RiskTables(unit, np.full(60, 500.0), np.full(60, 500.0), d_inside, np.ones(60)), "donor")
    logs = [np.log(8 / 7), *[np.log(2)] * 3]
    assert found.method == "time-dependent Cox per donor, t on 4 log hazard ratios"
    assert found.ratio == pytest.approx(np.exp(np.mean(logs)))


def test_one_donor_gives_no_interval():
    found = hazard_over_units(RiskTables(np.zeros(3, int), *(np.ones(3) for _ in range(4))), "donor")
    assert found.n_units == 1
    assert np.isnan(found.p_value)
