import numpy as np
import pandas as pd
import pytest
from experiments_drawn import layout_of_rates, replicate_rates
from scipy import stats

from cicimage.errors import CicimageError
from cicimage.figures.power import power, power_alt
from cicimage.statistics.planning import DEFAULT_SD, Variation, estimate_variation, power_table


def test_power_is_the_noncentral_t_where_events_are_plenty():
    # paired t: sd of a donor's log ratio sqrt(2 (interaction^2 + well^2 / wells) + 1 / events + 1 / events)
    v = Variation(1.0, 1000.0, sd_donor=0.3, sd_interaction=0.3, sd_well=0.1)
    table = power_table(v, 0.6, donors=[5], wells=[2], hours=[24], sims=4000)
    sd = np.sqrt(2 * (0.3**2 + 0.1**2 / 2) + 1 / 48000 + 1 / 28800)
    shift, cut = abs(np.log(0.6)) / sd * np.sqrt(5), stats.t.ppf(0.975, 4)
    expected = stats.nct.sf(cut, 4, shift) + stats.nct.cdf(-cut, 4, shift)
    row = table.iloc[0]
    assert row["power"] == pytest.approx(expected, abs=3 * row["power_error"])
    assert row["power_cautious"] < row["power"]


def test_more_donors_help_more_wells_do_little_once_donors_are_the_spread():
    v = Variation(0.5, 200.0)
    table = power_table(v, 0.5, donors=[3, 8], wells=[1, 4], hours=[24], sims=400).set_index(["donors", "wells"])
    assert table.loc[(8, 1), "power"] > table.loc[(3, 4), "power"] + 0.2


def test_expected_events_stand_beside():
    row = power_table(Variation(0.01, 100.0), 0.1, donors=[3], wells=[2], hours=[24], sims=50).iloc[0]
    assert (row["events_reference"], row["events_treated"]) == pytest.approx((48, 4.8))


def _pilot(sd_donor, sd_interaction, sd_well, donors=40, wells=4, mean=400.0, seed=1):
    rng = np.random.default_rng(seed)
    donor = rng.normal(0, sd_donor, donors)
    counts = {}
    for condition in ("vehicle", "btki"):
        interaction = rng.normal(0, sd_interaction, donors)
        counts[condition] = [
            (f"D{d}", w, rng.poisson(mean * np.exp(donor[d] + interaction[d] + rng.normal(0, sd_well))))
            for d in range(donors) for w in range(wells)
        ]  # fmt: skip
    rows = pd.concat([
        replicate_rates({c: {f"{d}": (y, 100.0)}}).assign(replicate=f"{c}{d}{w}", donor=d)
        for c, wells_of in counts.items() for d, w, y in wells_of
    ], ignore_index=True)  # fmt: skip
    return rows, layout_of_rates(rows)


def test_the_spreads_that_made_a_pilot_come_back():
    rates, layout = _pilot(0.7, 0.4, 0.25, donors=30, wells=3)
    v = estimate_variation(rates, layout, "vehicle", 24.0)
    assert v.sd_well == pytest.approx(0.25, abs=0.05)
    assert v.sd_interaction == pytest.approx(0.4, abs=0.12)
    assert v.sd_donor == pytest.approx(0.7, abs=0.25)
    assert v.n_pairs == 30
    assert "donor x condition SD" in v.note


def test_what_cannot_be_estimated_is_a_default_and_said():
    rates = replicate_rates({"vehicle": {"D1": (20, 100.0)}, "btki": {"D1": (40, 100.0)}})
    v = estimate_variation(rates, layout_of_rates(rates), "vehicle", 24.0)
    assert (v.sd_donor, v.sd_interaction, v.sd_well) == tuple(DEFAULT_SD.values())
    assert v.note.count("is a default") == 3
    assert v.rate_per_h == pytest.approx(0.2)


def test_two_donors_that_agree_make_no_spread_of_zero():
    counts = {"vehicle": {"D1": (40, 100.0), "D2": (40, 100.0)}, "btki": {"D1": (80, 100.0), "D2": (80, 100.0)}}
    rates = replicate_rates(counts)
    v = estimate_variation(rates, layout_of_rates(rates), "vehicle", 24.0)
    assert v.sd_interaction == pytest.approx(DEFAULT_SD["interaction"] * np.sqrt(3 / 4))
    assert v.cautious().sd_interaction > v.sd_interaction


def test_a_reference_without_events_gives_no_plan():
    rates = replicate_rates({"vehicle": {"D1": (0, 100.0)}})
    with pytest.raises(CicimageError, match="'vehicle' has 0 events in 100 h.*give --rates"):
        estimate_variation(rates, layout_of_rates(rates), "vehicle", 24.0)


@pytest.mark.parametrize("ratio", [1.0, -0.5, np.nan])
def test_no_effect_is_no_plan(ratio):
    with pytest.raises(CicimageError, match="ratio must be an effect"):
        power_table(Variation(0.1, 100), ratio)


def test_one_donor_is_no_design():
    with pytest.raises(CicimageError, match="designs need 2 donors"):
        power_table(Variation(0.1, 100), 0.5, donors=[1])


def test_figure_and_its_words():
    table = power_table(Variation(0.5, 200.0), 0.3, donors=[3, 6], wells=[1, 2], hours=[24, 48], sims=60)
    picture = power(table, 0.3)
    assert len(picture.figure.axes) == 2
    assert "<svg" in picture.svg()
    assert "80 % power" in power_alt(table, 0.3)
    assert "No design reaches" in power_alt(table.assign(power=0.1), 0.3)
