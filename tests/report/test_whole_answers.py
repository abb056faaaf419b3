"""From tables to the page: every poor experiment is answered with a valid page or one clear sentence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from experiments_drawn import events_of, frames_of, guests_of, hosts_of
from made_up_report import make_report_data

from cicimage.pipeline.collect import answers
from cicimage.report import render_report, verdict
from cicimage.tables import TABLES, conform, empty

PRIMARY = "entry_rate_per_guest_h"
BUSY = ["..aIIII...", "...aIIIIII", "..........", ".aIII.....", ".....xxxxx"]
QUIET = ["..........", "....a.....", "...aIIIIII", "..........", ".....xxxxx"]


def made(pictures, design, reference="vehicle", factors=None):
    """All tables of an experiment drawn as pictures: design is position -> (condition, donor)."""
    frames = frames_of(pictures)
    layout = pd.DataFrame(
        {
            "position": p, "condition": c, "replicate": "w1", "donor": d, "host_donor": "", "experiment": "",
            "plate": "", "time_zero_h": 0.0, **(factors(c) if factors else {}),
        }
        for p, (c, d) in design.items()
    )  # fmt: skip
    named = layout.set_index("position")

    def designed(rows):
        return rows.assign(
            condition=rows["position"].map(named["condition"]), replicate="w1",
            donor=rows["position"].map(named["donor"]),
        )  # fmt: skip

    base = {
        "events": designed(events_of(frames)), "guests": designed(guests_of(frames)),
        "hosts": designed(hosts_of(list(design), [0, 1, 2], 9.0)), "frames": frames,
    }  # fmt: skip
    base = {n: conform(TABLES[n], t) if len(t) else empty(TABLES[n]) for n, t in base.items()}
    return base | answers(base, layout, reference, PRIMARY)


def page_of(tables, reference="vehicle"):
    data = replace(make_report_data(), tables=tables, reference=reference, crops=lambda _: None, name="drawn")
    return render_report(data)["report"], verdict(tables, PRIMARY, reference=reference)


def arms(donors, conditions=("vehicle", "btki"), pictures=(QUIET, BUSY)):
    design = {f"{c}/{d or i}": (c, d) for c in conditions for i, d in enumerate(donors)}
    return {p: list(pictures[conditions.index(c)]) for p, (c, _) in design.items()}, design


CASES = {
    "one donor": (arms(["D1"]), "estimates only, no test can be made"),
    "no donor named": (arms([""]), "estimates only, no test can be made"),
    "one well": (({"v": BUSY}, {"v": ("vehicle", "D1")}), "nothing can be concluded"),
    "no events": (arms(["D1", "D2", "D3"], pictures=(["....."], [".a..."])), "nothing can be concluded"),
    "no deaths": (arms(["D1", "D2", "D3"], pictures=(["..aIII"], [".aIIII"])), "Entry rate"),
    "all censored at the first frame": (arms(["D1", "D2"], pictures=(["."] * 4, ["a"] * 4)), "nothing can be"),
    "all dead": (arms(["D1", "D2"], pictures=(["xxxx"] * 3, ["XXXX"] * 3)), "nothing can be concluded"),
    "donors missing in one arm": (
        ({"v1": QUIET, "v2": QUIET, "b2": BUSY, "b3": BUSY},
         {"v1": ("vehicle", "D1"), "v2": ("vehicle", "D2"), "b2": ("btki", "D2"), "b3": ("btki", "D3")}),
        "Entry rate",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_poor_experiments_are_answered(name):
    (pictures, design), headline = CASES[name]
    tables = made(pictures, design)
    said = verdict(tables, PRIMARY, reference="vehicle")
    assert headline in said.headline
    assert not any("nan" in f.sentence for f in said.findings)
    if name in ("one well", "all dead"):
        page, _ = page_of(tables)
        assert page.count("<section") == 9
        assert ">nan<" not in page


@pytest.mark.parametrize("reference", ["DMSO", None])
def test_a_reference_without_positions_leaves_estimates(reference):
    said = verdict(made(*arms(["D1", "D2"]), reference=reference), PRIMARY, reference=reference)
    assert said.findings[0].strength == "none"
    assert "No comparison can be made" in said.findings[0].sentence


def test_no_position_finished():
    tables = {n: empty(TABLES[n]) for n in ("events", "guests", "hosts", "frames")}
    layout = pd.DataFrame(columns=["position", "condition", "replicate", "donor", "experiment"])
    page, said = page_of(tables | answers(tables, layout, "vehicle", PRIMARY))
    assert "nothing can be concluded" in said.headline
    assert page.count("<section") == 9


def test_doses_give_an_ic50_and_its_picture():
    doses, rng = (0.0, 0.1, 1.0, 10.0, 100.0), np.random.default_rng(3)

    def wells(dose):
        n = round(24 / (1 + dose / 2) + 1)
        return ["." * int(rng.integers(1, 9)) + "aIII......"[: 12 - 1] for _ in range(n)] + ["." * 12] * 30

    design = {f"{x:g}/{d}": ("vehicle" if x == 0 else f"{x:g} uM", d) for x in doses for d in ("D1", "D2", "D3")}
    pictures = {p: [line.ljust(16, ".") for line in wells(float(p.split("/")[0]))] for p in design}
    tables = made(
        pictures,
        design,
        factors=lambda c: {"dose": c.split()[0].replace("vehicle", "0"), "dose_unit": "uM", "drug": "X"},
    )
    assert 0.2 < tables["dose_fits"].loc[0, "ic50"] < 20
    page, said = page_of(tables)
    assert "Dose and response" in page
    assert any("Half of the effect of X on the entry rate" in f.sentence for f in said.findings)


def test_two_factors_give_their_interaction():
    conditions = ("vehicle", "btki", "amd", "btki + amd")
    drawn = arms(["D1", "D2", "D3"], conditions, (QUIET * 2, BUSY * 3, QUIET * 2, QUIET * 2))
    drawn[0]["btki/D2"].append("..aIII....")
    drawn[0]["amd/D3"].append("..aIII....")
    tables = made(*drawn, factors=lambda c: {"btki": str("btki" in c), "amd": str("amd" in c)})
    row = (
        tables["comparisons"][tables["comparisons"]["reference"] == "no interaction"].set_index("estimand").loc[PRIMARY]
    )
    assert 0 < row["ratio"] < 1
    page, said = page_of(tables)
    assert "interaction: btki x amd" in page
    assert any(f.sentence.startswith("Together, btki and amd") for f in said.findings)
    assert "interaction" not in said.headline
