import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from experiments_drawn import events_of, frames_of, guests_of, hosts_of, layout_of, layout_of_rates, replicate_rates
from scipy import stats
from statistics_cells import gee_unpaired

from cicimage.errors import CicimageError
from cicimage.figures.decision import inhibition_in_words
from cicimage.statistics.comparisons import compare, disagreeing_denominators
from cicimage.statistics.interactions import interactions
from cicimage.statistics.rates import compute_rates
from cicimage.statistics.ratios import paired_ratio

PLENTY = {
    "vehicle": {"D1": (20, 100.0), "D2": (40, 110.0), "D3": (9, 90.0)},
    "btki": {"D1": (50, 100.0), "D2": (85, 100.0), "D3": (30, 100.0)},
    "blockade": {"D1": (0, 100.0), "D2": (1, 120.0), "D3": (0, 95.0)},
}


def _compare(counts, **options):
    rates = replicate_rates(counts)
    return compare(rates, "vehicle", layout_of_rates(rates), **options).set_index("condition")


def test_enough_events_in_every_pair_give_the_paired_t_test_on_log_rates():
    row = _compare(PLENTY).loc["btki"]
    treated = np.log([50 / 100, 85 / 100, 30 / 100])
    control = np.log([20 / 100, 40 / 110, 9 / 90])
    expected = stats.ttest_rel(treated, control)
    assert row["ratio"] == pytest.approx(np.exp(np.mean(treated - control)))
    assert (row["ci_low"], row["ci_high"]) == pytest.approx(tuple(np.exp(expected.confidence_interval())))
    assert row["p_value"] == pytest.approx(expected.pvalue)
    assert (row["unit_of_replication"], row["n_pairs"]) == ("donor", 3)
    assert row["method"] == "t on 3 paired log ratios"


def test_few_events_give_the_count_model_and_percent_inhibition():
    row = _compare(PLENTY).loc["blockade"]
    assert row["method"] == "count model over 3 pairs, profile likelihood"
    assert 0 < row["ci_low"] < row["ratio"] < row["ci_high"] < 0.3
    assert row["inhibition_percent"] == pytest.approx(100 * (1 - row["ratio"]))
    assert inhibition_in_words(row).startswith(("inhibition 99 % (", "inhibition 98 % ("))
    assert "conservative with 3 donors" in row["note"]


def test_zero_events_give_an_upper_bound_never_just_zero():
    row = _compare(PLENTY | {"blockade": dict.fromkeys(("D1", "D2", "D3"), (0, 100.0))}).loc["blockade"]
    assert (row["ratio"], row["ci_low"]) == (0, 0)
    assert 0 < row["ci_high"] < 0.3
    assert inhibition_in_words(row).startswith("inhibition 100 % (")


def test_the_rule_looks_at_counts_never_at_p():
    # one donor without events moves the whole comparison to the count model, whatever either p would be
    none = PLENTY | {"btki": {"D1": (50, 100.0), "D2": (85, 100.0), "D3": (0, 100.0)}}
    assert "count model" in _compare(none).loc["btki"]["method"]
    one = _compare(PLENTY | {"btki": {"D1": (50, 100.0), "D2": (85, 100.0), "D3": (1, 100.0)}}).loc["btki"]
    assert "t on" in one["method"]
    assert "fewest events per donor: 1 against 9" in one["note"]


def test_small_counts_that_agree_by_accident_get_no_narrow_interval():
    same = {
        "vehicle": dict.fromkeys(("D1", "D2", "D3"), (2, 100.0)),
        "btki": dict.fromkeys(("D1", "D2", "D3"), (1, 100.0)),
    }
    row = _compare(same).loc["btki"]
    assert "count model" in row["method"]
    assert row["ci_low"] < 0.2 < 1 < row["ci_high"]


@pytest.mark.parametrize(
    ("donors", "said"), [(("D1",), "no test: n of paired donors is 1"), (("",), "no test: n of donors is unknown")]
)
def test_one_donor_or_none_named_gives_an_estimate_and_no_test(donors, said):
    counts = {c: dict.fromkeys(donors, (y, 100.0)) for c, y in (("vehicle", 20), ("btki", 50))}
    row = _compare(counts).loc["btki"]
    assert row["ratio"] == pytest.approx(2.5)
    assert np.isnan(row[["p_value", "p_adjusted", "ci_low", "ci_high"]].astype(float)).all()
    assert said in row["note"]


def test_experiments_are_n_where_no_donor_is_named():
    rates = replicate_rates(PLENTY)
    rates = rates.assign(experiment=rates["donor"], donor="")
    row = compare(rates, "vehicle", layout_of_rates(rates)).set_index("condition").loc["btki"]
    assert (row["unit_of_replication"], row["n_pairs"]) == ("experiment", 3)


def test_a_donor_missing_in_one_arm_is_left_out_and_named():
    missing = PLENTY | {"btki": {d: PLENTY["btki"][d] for d in ("D1", "D2")}}
    row = _compare(missing).loc["btki"]
    assert row["n_pairs"] == 2
    assert "donors in one arm only: D3" in row["note"]


def test_arms_of_different_donors_are_unpaired():
    other = {"vehicle": PLENTY["vehicle"], "btki": {f"E{i}": v for i, v in enumerate(PLENTY["btki"].values())}}
    row = _compare(other).loc["btki"]
    expected = stats.ttest_ind(np.log([0.5, 0.85, 0.3]), np.log([0.2, 40 / 110, 0.1]), equal_var=False)
    assert row["p_value"] == pytest.approx(expected.pvalue)
    assert row["method"].startswith("Welch's t(")
    assert "unpaired" in row["note"]


def test_an_unpaired_arm_without_events_takes_part_in_the_adjustment():
    apart = {
        "vehicle": {f"A{i}": (20.0 + i, 100.0) for i in range(5)},
        "none": {f"B{i}": (0.0, 100.0) for i in range(5)},
        "same": {f"C{i}": (21.0 + i, 100.0) for i in range(5)},
    }
    found = _compare(apart)
    assert found.loc["none", "p_value"] < 0.025
    assert found.loc["none", "p_adjusted"] == pytest.approx(2 * found.loc["none", "p_value"])
    assert found.loc["none", "ci_high"] < found.loc["none", "ci_high_simultaneous"] < 1


def test_gee_in_closed_form_is_that_of_statsmodels():
    """One row per cluster and one column per arm, exposures alike, as in the benchmark of unpaired arms."""
    y1, y0 = np.array([5.0, 2, 8]), np.array([9.0, 20, 4])
    treated = np.repeat([1.0, 0.0], 3)
    model = sm.GEE(
        np.r_[y1, y0], np.column_stack([np.ones(6), treated]), groups=np.arange(6), family=sm.families.Poisson()
    )
    fit = model.fit(cov_type="bias_reduced")
    statistic, _ = gee_unpaired(np.concatenate([y0, y1])[None, :], np.array([[y0.sum(), y1.sum()]]))
    assert statistic[0] == pytest.approx(abs(fit.params[1]) / np.sqrt(fit.cov_params()[1, 1]), rel=1e-5)


def test_no_events_anywhere_and_no_events_in_the_reference():
    nothing = {"vehicle": {"D1": (0, 9.0), "D2": (0, 9.0)}, "btki": {"D1": (0, 9.0), "D2": (0, 9.0)}}
    row = _compare(nothing).loc["btki"]
    assert np.isnan(row["ratio"])
    assert "no events in either condition" in row["note"]
    only = nothing | {"btki": {"D1": (9, 9.0), "D2": (8, 9.0)}}
    row = _compare(only).loc["btki"]
    assert row["ratio"] == np.inf
    assert 1 < row["ci_low"] < np.inf


def test_no_person_time_in_a_condition():
    row = _compare({"vehicle": PLENTY["vehicle"], "btki": {"D1": (0, 0.0), "D2": (0, 0.0)}}).loc["btki"]
    assert "no person-time in one condition" in row["note"]


def test_conditions_of_an_estimand_are_adjusted_together_and_limits_agree():
    found = _compare(PLENTY)
    p = found.loc[["btki", "blockade"], "p_value"].to_numpy()
    assert found.loc[["btki", "blockade"], "p_adjusted"].to_numpy() == pytest.approx(2 * p)
    # t on the paired logs at 97.5 %
    logs = np.log([50 / 100, 85 / 100, 30 / 100]) - np.log([20 / 100, 40 / 110, 9 / 90])
    limits = np.exp(stats.ttest_1samp(logs, 0).confidence_interval(0.975))
    assert tuple(found.loc["btki", ["ci_low_simultaneous", "ci_high_simultaneous"]]) == pytest.approx(tuple(limits))
    decided = (found["ci_low_simultaneous"] > 1) | (found["ci_high_simultaneous"] < 1)
    assert (decided == (found["p_adjusted"] < 0.05)).all()


def test_deaths_and_interactions_are_adjusted_too():
    four = FACTORS | {"third": FACTORS["btki"], "all": FACTORS["both"]}
    rates = replicate_rates(four)
    layout = layout_of_rates(rates)
    levels = LEVELS | {"third": ("0", "0"), "all": ("1", "0")}
    layout["btki"], layout["cxcr4_blockade"] = zip(*[levels[c] for c in layout["condition"]], strict=True)
    layout["c"] = layout["condition"].map(lambda c: "1" if c in ("third", "all") else "0")
    found = compare(rates, "vehicle", layout)
    together = found[found["reference"] == "no interaction"]
    assert len(together) == 2
    assert together["p_adjusted"].to_numpy() == pytest.approx(np.minimum(1, 2 * together["p_value"].to_numpy()))
    assert (together["ci_low_simultaneous"] < together["ci_low"]).all()
    deaths = pd.concat([
        replicate_rates({c: {d: (y * k, 100.0) for d, (y, _) in four[c].items()} for c in ("vehicle", "btki")}, name)
        for name, k in (("death_rate_inside_per_h", 2), ("death_rate_outside_per_h", 1))
    ])  # fmt: skip
    hazards = compare(deaths, "vehicle", layout_of_rates(deaths), estimands=[]).set_index("condition")
    assert (hazards["ci_high_simultaneous"] >= hazards["ci_high"]).all()


def test_interactions_that_agree_closer_than_their_counts_allow_are_not_tested():
    same = {c: dict.fromkeys(("D1", "D2", "D3"), v["D1"]) for c, v in FACTORS.items()}
    row = _factorial(same).loc["btki x cxcr4_blockade"]
    assert np.isnan([row["p_value"], row["ci_low"], row["ci_high_simultaneous"]]).all()
    assert "agree closer than their counts allow" in row["note"]


def test_an_unknown_reference_is_refused_with_the_nearest():
    rates = replicate_rates(PLENTY)
    with pytest.raises(CicimageError, match=r"'vehicel' is no condition of the layout; did you mean 'vehicle'\?"):
        compare(rates, "vehicel", layout_of_rates(rates))


def test_one_host_donor_for_all_is_said():
    rates = replicate_rates(PLENTY)
    layout = layout_of_rates(rates).assign(host_donor="BM7")
    assert "n = 1 on the host side" in compare(rates, "vehicle", layout)["note"].iloc[0]


def test_unequal_exposure_is_said():
    found = paired_ratio(np.array([9.0, 90]), np.array([10.0, 200]), np.array([8.0, 70]), np.array([10.0, 200]))
    assert "exposure differs 20-fold" in found.note


FACTORS = {
    "vehicle": {"D1": (20, 100.0), "D2": (40, 100.0), "D3": (9, 100.0)},
    "btki": {"D1": (60, 100.0), "D2": (80, 100.0), "D3": (36, 100.0)},
    "block": {"D1": (10, 100.0), "D2": (20, 100.0), "D3": (5, 100.0)},
    "both": {"D1": (15, 100.0), "D2": (10, 100.0), "D3": (10, 100.0)},
}
LEVELS = {"vehicle": ("0", "0"), "btki": ("1", "0"), "block": ("0", "1"), "both": ("1", "1")}


def _factorial(counts):
    rates = replicate_rates(counts)
    layout = layout_of_rates(rates)
    layout["btki"], layout["cxcr4_blockade"] = zip(*[LEVELS[c] for c in layout["condition"]], strict=True)
    return compare(rates, "vehicle", layout).set_index("condition")


def test_factors_give_their_interaction_per_donor():
    row = _factorial(FACTORS).loc["btki x cxcr4_blockade"]
    logs = [np.log((15 / 10) / (60 / 20)), np.log((10 / 20) / (80 / 40)), np.log((10 / 5) / (36 / 9))]
    expected = stats.ttest_1samp(logs, 0)
    assert row["ratio"] == pytest.approx(np.exp(np.mean(logs)))
    assert row["p_value"] == pytest.approx(expected.pvalue)
    assert row["reference"] == "no interaction"


def test_an_interaction_with_an_empty_cell_is_not_tested():
    row = _factorial(FACTORS | {"both": {"D1": (15, 100.0), "D2": (0, 100.0), "D3": (10, 100.0)}}).loc[
        "btki x cxcr4_blockade"
    ]
    assert np.isnan(row["p_value"])
    assert "1 of 12 donor cells without events" in row["note"]


def test_no_interaction_where_a_cell_is_missing_or_no_donor_is_named():
    three = {k: FACTORS[k] for k in ("vehicle", "btki", "block")}
    assert "btki x cxcr4_blockade" not in _factorial(three).index
    arms = {c: pd.DataFrame({"events": [5.0], "denominator": [9.0]}, index=[""]) for c in FACTORS}
    layout = pd.DataFrame({"position": list(FACTORS), "condition": list(FACTORS), "replicate": "", "donor": "",
                           "host_donor": "", "experiment": "", "plate": "",
                           "a": ["0", "1", "0", "1"], "b": ["0", "0", "1", "1"]})  # fmt: skip
    found = interactions(arms, layout, "vehicle", "none")
    assert "n of donors is unknown" in found[0]["note"]


def _watched(pictures, donors):
    frames = frames_of(pictures)
    layout = layout_of({p: ("vehicle", donors[p]) for p in pictures})
    found = compute_rates(events_of(frames), guests_of(frames), hosts_of([], [], 1.0), frames, layout)
    return frames, layout, found[1]


def test_death_inside_against_outside_stands_once_per_condition():
    pictures = {f"p{i}": ["..aIIIIIIIX", "...xxxxxxxx", "....xxxxxxx", "..........."] for i in range(3)}
    frames, layout, wells = _watched(pictures, {p: p for p in pictures})
    with_frames = compare(wells, "vehicle", layout, frames=frames)
    row = with_frames[with_frames["estimand"] == "death_hazard_inside_vs_outside"]
    assert len(row) == 1
    assert "time-dependent Cox" in row["method"].iloc[0]
    assert "association" in row["note"].iloc[0]
    assert row["inhibition_percent"].isna().all()
    without = compare(wells, "vehicle", layout)
    row = without[without["estimand"] == "death_hazard_inside_vs_outside"].iloc[0]
    assert row["method"].startswith("rate ratio per state-hour")
    assert "protect" not in row["note"]


def test_an_incidence_is_compared_by_its_own_estimate():
    pictures = {
        f"{c}{i}": ["..aIIIII"] * n + ["........"] * (10 - n) for i in range(2) for c, n in (("v", 8), ("b", 4))
    }
    frames = frames_of(pictures)
    layout = layout_of({p: ("vehicle" if p[0] == "v" else "block", p[1]) for p in pictures})
    _, wells = compute_rates(events_of(frames), guests_of(frames), hosts_of([], [], 1.0), frames, layout)
    found = compare(wells, "vehicle", layout, estimands=["entry_cumulative_incidence"])
    assert found.loc[0, "ratio"] == pytest.approx(0.5, rel=1e-3)


def test_the_primary_endpoint_is_marked_and_must_exist():
    assert _compare(PLENTY, primary="entry_rate_per_guest_h")["primary"].all()
    assert not _compare(PLENTY)["primary"].any()
    with pytest.raises(CicimageError, match="primary endpoint 'entry_rate' is no estimand"):
        _compare(PLENTY, primary="entry_rate")


def test_denominators_that_disagree_are_said():
    hosts = {
        c: {d: (y, h / 10 * (1 if c == "vehicle" else 2)) for d, (y, h) in PLENTY[c].items()}
        for c in ("vehicle", "btki")
    }
    both = pd.concat([replicate_rates(PLENTY), replicate_rates(hosts, "entry_rate_per_host_h")])
    found = compare(both, "vehicle", layout_of_rates(both))
    assert disagreeing_denominators(found) == {"btki": pytest.approx({"guest-hour": 2.6, "host-hour": 1.3}, abs=0.05)}
    same = pd.concat([replicate_rates(PLENTY), replicate_rates(PLENTY, "entry_rate_per_host_h")])
    assert disagreeing_denominators(compare(same, "vehicle", layout_of_rates(same))) == {}
