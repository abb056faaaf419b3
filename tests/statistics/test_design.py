"""Who is n: every layout of donors and experiments has its case, and check and analysis say the same."""

import pandas as pd
import pytest
from experiments_drawn import replicate_rates

from cicimage.statistics.comparisons import compare
from cicimage.statistics.design import replication

# name: (donor, experiment) of each pair of wells (v and t), unit, n, sentence
CASES = {
    "cell line": ([("", "mon"), ("", "tue"), ("", "wed")], "experiment", 3,
                  "3 independent experiments (mon, tue, wed): the experiment is n"),
    "one donor in many experiments": (
        [("D1", "mon"), ("D1", "tue"), ("D1", "wed")], "experiment", 3,
        "one donor (D1) in 3 independent experiments (mon, tue, wed): the experiment is n, and what is found holds for "
        "this donor alone"),
    "many donors in one experiment": ([("D1", "mon"), ("D2", "mon"), ("D3", "mon")], "donor", 3,
                                      "3 donors (D1, D2, D3): the donor is n"),
    "each donor in several experiments": (
        [("D1", "mon"), ("D1", "tue"), ("D2", "mon"), ("D2", "wed")], "donor", 2,
        "2 donors (D1, D2): the donor is n; a donor's experiments are summed"),
    "donors partly missing": (
        [("D1", ""), ("D2", ""), ("", "")], "donor", 2,
        "2 donors (D1, D2): the donor is n; left out of estimates over donors, for want of a donor in layout.csv: "
        "v2, t2"),
    "one donor named for some, experiments for all": (
        [("D1", "mon"), ("", "tue"), ("", "wed")], "experiment", 3,
        "one donor (D1) in 3 independent experiments (mon, tue, wed): the experiment is n, and what is found holds for "
        "this donor alone"),
    "experiments partly missing": (
        [("", "mon"), ("", "tue"), ("", "")], "experiment", 2,
        "2 independent experiments (mon, tue): the experiment is n; left out of estimates over experiments, for "
        "want of an experiment in layout.csv: v2, t2"),
    "one donor, one experiment": (
        [("D1", "mon")], "donor", 1,
        "no test can be made: n of donors is 1; add a column donor (or experiment) with two or more names to "
        "layout.csv"),
    "one experiment": (
        [("", "mon")], "experiment", 1,
        "no test can be made: n of experiments is 1; add a column donor (or experiment) with two or more names to "
        "layout.csv"),
    "neither": (
        [("", ""), ("", "")], "none", 0,
        "no test can be made: n of donors is unknown; add a column donor (or experiment) with two or more names to "
        "layout.csv"),
}  # fmt: skip


def _layout(pairs, **columns):
    rows = [
        {
            "position": f"{c[0]}{i}",
            "condition": c,
            "replicate": f"{c}{i}",
            "donor": d,
            "experiment": e,
            "host_donor": "",
        }
        for i, (d, e) in enumerate(pairs)
        for c in ("v", "t")
    ]  # fmt: skip
    return pd.DataFrame(rows).assign(**columns)


@pytest.mark.parametrize("name", CASES)
def test_the_layout_alone_decides_and_the_analysis_follows(name):
    pairs, unit, n, sentence = CASES[name]
    layout = _layout(pairs)
    found = replication(layout, "v")
    assert (found.unit, found.n) == (unit, n)
    assert found.sentence == sentence
    wells = replicate_rates({c: {str(i): (9.0 + i + 4 * (c == "t"), 50.0) for i in range(len(pairs))} for c in "vt"})
    design = layout.assign(well=[f"{c}{p[1:]}" for c, p in zip(layout["condition"], layout["position"], strict=True)])
    design = design.set_index("well").loc[wells["replicate"]]
    wells = wells.assign(donor=design["donor"].to_numpy(), experiment=design["experiment"].to_numpy())
    row = compare(wells, "v", layout, estimands=["entry_rate_per_guest_h"]).iloc[0]
    assert row["unit_of_replication"] == unit
    assert pd.notna(row["p_value"]) == (n >= 2)
    if n >= 2:
        assert row["n_pairs"] == n


def test_one_host_donor_for_all_is_n_1_on_the_host_side():
    pairs = CASES["many donors in one experiment"][0]
    said = replication(_layout(pairs, host_donor="BM7")).sentence
    assert said.endswith("all 3 donors met hosts of one donor (BM7): n = 1 on the host side")
    lines = replication(_layout(CASES["cell line"][0], host_donor="BM7")).sentence
    assert lines.endswith("all 3 experiments met hosts of one donor (BM7): n = 1 on the host side")
    mixed = _layout(pairs).assign(host_donor=["BM7", "BM8"] * 3)
    assert "host side" not in replication(mixed).sentence


def test_a_condition_that_cannot_be_tested_is_named():
    layout = _layout([("D1", ""), ("D2", "")])
    alone = pd.concat([layout, pd.DataFrame([{"position": "x", "condition": "x", "donor": "D1"}])])
    assert "no test of x against v: 1 donor against 2 donors" in replication(alone, "v").sentence
    assert "no test of t" not in replication(alone, "v").sentence
    # a donor an arm: two donors, and still no test
    apart = pd.DataFrame({"position": ["a", "b"], "condition": ["v", "t"], "donor": ["D1", "D2"]})
    assert replication(apart, "v").sentence == (
        "2 donors (D1, D2): the donor is n; no test of t against v: 1 donor against 1 donor"
    )


def test_many_positions_without_a_donor_are_counted():
    layout = _layout([("D1", ""), ("D2", ""), *[("", "")] * 9])
    assert replication(layout).sentence.endswith("v2, t2, v3, t3, v4, t4 and 12 more")
    assert len(replication(layout).left_out) == 18
