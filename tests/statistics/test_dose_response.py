import numpy as np
import pytest
from experiments_drawn import layout_of_rates, replicate_rates
from scipy.optimize import curve_fit

from cicimage.errors import CicimageError
from cicimage.statistics.dose_response import dose_tables, fit_dose_response

DOSES = np.array([0, 1, 3, 10, 30, 100, 300.0])


def _points(ic50=10.0, hill=1.5, effect=-2.0, noise=0.0, shifts=(0.0, 0.5, -0.4), seed=1):
    rng = np.random.default_rng(seed)
    rows = [
        (d, s + np.log1p(np.expm1(effect) * (0 if d == 0 else 1 / (1 + (ic50 / d) ** hill))) + rng.normal(0, noise), i)
        for i, s in enumerate(shifts)
        for d in DOSES
    ]
    return np.array(rows).T


def test_the_curve_that_made_the_points_comes_back():
    fit = fit_dose_response(*_points())
    assert fit.ic50 == pytest.approx(10.0, rel=0.01)
    assert fit.hill == pytest.approx(1.5, rel=0.02)
    assert fit.effect == pytest.approx(-2.0, rel=0.01)
    assert fit.intercepts == pytest.approx([0.0, 0.5, -0.4], abs=0.01)


def test_least_squares_are_those_of_scipy():
    # one donor: the same four-parameter curve by scipy.optimize.curve_fit
    dose, y, unit = _points(noise=0.15, shifts=(0.3,))

    def curve(x, a, effect, log_ic50, hill):
        with np.errstate(divide="ignore"):
            return a + np.log1p(np.expm1(effect) / (1 + np.exp(-hill * (np.log(x) - log_ic50))))

    coef, _ = curve_fit(curve, dose, y, p0=(0.3, -2, np.log(10), 1.5))
    fit = fit_dose_response(dose, y, unit)
    assert fit.ic50 == pytest.approx(np.exp(coef[2]), rel=5e-3)
    assert fit.sse <= ((y - curve(dose, *coef)) ** 2).sum() * (1 + 1e-4)


def test_the_interval_holds_the_truth_as_often_as_it_says():
    held = [f.low <= 10 <= f.high for f in (fit_dose_response(*_points(noise=0.3, seed=s)) for s in range(20))]
    assert np.mean(held) >= 0.85


def test_flat_points_have_no_bound_and_far_ones_no_ic50():
    flat = fit_dose_response(*_points(effect=0.0, noise=0.2))
    assert flat.low == 0 or flat.high == np.inf
    assert "no bound on one side" in flat.note
    assert "outside the doses tried" in fit_dose_response(*_points(ic50=3000.0)).note


def test_three_doses_are_refused():
    with pytest.raises(CicimageError, match="needs 4 doses .0 counts., got 3"):
        fit_dose_response([0, 1, 10], [0, -1, -2], ["a"] * 3)


def _experiment(zero=False):
    counts = {
        f"{dose:g}": {d: (round(200 * s / (1 + dose / 10)), 100.0) for d, s in (("D1", 1), ("D2", 2), ("D3", 0.5))}
        for dose in DOSES
    }
    if zero:
        counts["300"]["D3"] = (0, 100.0)
    rates = replicate_rates(counts)
    layout = layout_of_rates(rates)
    return rates, layout.assign(dose=layout["condition"], dose_unit="nM", drug="AMD3100")


def test_tables_for_the_figure():
    points, fits = dose_tables(*_experiment())
    assert set(points["kind"]) == {"measured", "fit"}
    fit = fits.iloc[0]
    assert fit["ic50"] == pytest.approx(10.0, rel=0.1)  # the rate, not its logarithm, is at half
    assert (fit["drug"], fit["dose_unit"], fit["n_doses"], fit["n_donors"]) == ("AMD3100", "nM", 7, 3)
    assert fit["ci_low"] < fit["ic50"] < fit["ci_high"]
    over = points[(points["kind"] == "measured") & (points["donor"] == "")]
    assert len(over) == len(DOSES)
    assert (over["ci_low"] < over["estimate"]).all()


def test_points_without_events_are_left_out_and_said():
    assert "1 points without events left out" in dose_tables(*_experiment(zero=True))[1].loc[0, "note"]


def test_no_doses_no_tables():
    rates, layout = _experiment()
    points, fits = dose_tables(rates, layout.drop(columns="dose"))
    assert points.empty
    assert fits.empty
