import numpy as np
import pandas as pd
import pytest
from experiments_drawn import events_of, frames_of, guests_of, hosts_of, layout_of

from cicimage.errors import CicimageError
from cicimage.statistics.comparisons import compare
from cicimage.statistics.posterior import compare_over_draws, pool_draws, with_doubt
from cicimage.statistics.rate_doubt import drawn_counts
from cicimage.statistics.rates import compute_rates
from cicimage.statistics.ratios import Comparison, paired_ratio


def _ratio(y1, y0=(20.0, 40, 30)):
    return paired_ratio(np.array(y1, float), np.full(3, 100.0), np.array(y0, float), np.full(3, 100.0))


def test_events_are_drawn_by_their_probability():
    events = events_of(frames_of({"p": ["..aIIII"] * 40})).assign(p=[0.25] * 20 + [1.0] * 20)
    drawn = [d.sum() for d in drawn_counts(events, pd.Index(["p"]), brief=False, n=300, seed=1)]
    assert np.mean(drawn) == pytest.approx(25, abs=0.5)
    assert min(drawn) >= 20


def test_the_same_seed_gives_the_same_draws():
    events = events_of(frames_of({"p": ["..aIIII"] * 9})).assign(p=0.5)
    a, b = ([list(d) for d in drawn_counts(events, pd.Index(["p"]), brief=False, n=5, seed=3)] for _ in range(2))
    assert a == b


def test_draws_that_agree_are_the_comparison_itself():
    one = _ratio((40, 90, 55))
    pooled = pool_draws([one] * 5)
    assert (pooled.ratio, pooled.low, pooled.high) == pytest.approx((one.ratio, one.low, one.high))
    assert pooled.share_of_doubt == 0


def test_doubt_widens_the_interval():
    draws = [_ratio((40 + k, 90 - k, 55 + 2 * k)) for k in (-6, -2, 0, 3, 8)]
    pooled = pool_draws(draws)
    assert 0 < pooled.share_of_doubt < 1
    assert pooled.high / pooled.low > draws[2].high / draws[2].low
    assert "Rubin's rules over 5 draws" in pooled.method


def test_rubins_rules_by_hand():
    # three donors: within variance from the t interval, between variance of the log ratios, total = W + (1 + 1/m) B
    draws = [
        Comparison(r, r / np.exp(4.302652729911275 * 0.2), r * np.exp(4.302652729911275 * 0.2), 0.5, "donor", 3,
                   "t on 3 paired log ratios", "", by_t=True)
        for r in (1.0, np.exp(0.1), np.exp(-0.1))
    ]  # fmt: skip
    pooled = pool_draws(draws)
    total = 0.04 + (4 / 3) * 0.01
    share = (4 / 3) * 0.01 / total
    df = 1 / ((1 - share) ** 2 / 2 + share**2 / 2)
    assert pooled.share_of_doubt == pytest.approx(share)
    assert f"t({df:.1f})" in pooled.method


def test_draws_with_zero_counts_mix_their_limits_and_have_no_p():
    draws = [_ratio((0, 0, 1)), _ratio((0, 0, 0)), _ratio((1, 0, 1))]
    pooled = pool_draws(draws)
    assert pooled.method == "mean confidence distribution of 3 draws"
    assert np.isnan(pooled.p_value)
    assert pooled.low == 0
    assert min(d.high for d in draws) < pooled.high < max(d.high for d in draws)


def test_equal_draws_of_zero_counts_give_their_own_limits():
    one = _ratio((0, 2, 1))
    pooled = pool_draws([one] * 4)
    assert (pooled.low, pooled.high) == pytest.approx((one.low, one.high), rel=1e-6)
    none = _ratio((0, 0, 0))
    assert pool_draws([none] * 4).high == pytest.approx(none.high, rel=1e-6)


def test_one_draw_is_refused():
    with pytest.raises(CicimageError, match="two or more are needed, got 1"):
        pool_draws([_ratio((4, 9, 5))])


def test_ratios_over_draws_hold_the_scorers_doubt():
    entered = {"v": 12, "b": 30}
    pictures = {f"{c}{d}": ["..aIIII"] * (n + 2 * d) + ["......."] * 20 for c, n in entered.items() for d in range(3)}
    frames = frames_of(pictures)
    layout = layout_of({p: (p[0], p[1]) for p in pictures})
    events = events_of(frames)
    _, wells = compute_rates(events, guests_of(frames), hosts_of([], [], 1.0), frames, layout)
    sure = compare_over_draws(events.assign(p=1.0), wells, "v", layout, n=5).iloc[0]
    doubtful = compare_over_draws(events.assign(p=0.8), wells, "v", layout, n=40).iloc[0]
    assert sure["share_of_doubt"] == 0
    assert doubtful["share_of_doubt"] > 0.2
    assert doubtful["ci_high"] / doubtful["ci_low"] > sure["ci_high"] / sure["ci_low"]


def test_doubt_stands_beside_the_counting_limits():
    layout = layout_of({f"{c}{d}": (c, f"D{d}") for c in "vb" for d in range(3)})
    frames = frames_of({p: [".aIIIIII", ".aIII...", "...aIIII", "........"] for p in layout["position"]})
    events, hosts = events_of(frames), hosts_of(list(layout["position"]), [0, 1], 8.0)
    by_replicate = compute_rates(events, guests_of(frames), hosts, frames, layout)[1]
    comparisons = compare(by_replicate, "v", layout)
    sure = with_doubt(comparisons, events.assign(p=1.0), by_replicate, "v", layout)
    assert sure["doubt_low"].isna().all()
    doubted = with_doubt(comparisons, events.assign(p=0.7), by_replicate, "v", layout).set_index("estimand")
    row = doubted.loc["entry_rate_per_guest_h"]
    assert row["doubt_low"] < row["ratio"] < row["doubt_high"]
    assert doubted.drop(index="entry_rate_per_guest_h")["doubt_low"].isna().all()
