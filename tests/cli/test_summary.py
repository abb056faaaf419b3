"""What a finished run prints says what the report says."""

from types import SimpleNamespace

import pandas as pd

from cicimage.cli.summary import print_summary
from cicimage.statistics.design import replication
from cicimage.tables import COMPARISONS, EVENTS, GUESTS, RATES, conform, empty

PRIMARY = "entry_rate_per_guest_h"


def _printed(capsys, **changes):
    row = {
        "estimand": PRIMARY, "condition": "btki", "reference": "vehicle", "ratio": 2.4, "ci_low": 1.1, "ci_high": 5.2,
        "p_value": 0.03, "p_adjusted": 0.09, "ci_low_simultaneous": 0.8, "ci_high_simultaneous": 7.1,
        "unit_of_replication": "experiment", "n_pairs": 3, "method": "t", "note": "",
    } | changes  # fmt: skip
    layout = pd.DataFrame({
        "position": ["v1", "v2", "v3", "b1", "b2", "b3"], "condition": ["vehicle"] * 3 + ["btki"] * 3, "donor": "D1",
        "experiment": ["mon", "tue", "wed"] * 2,
    })  # fmt: skip
    tables = {n: empty(t) for n, t in (("rates", RATES), ("guests", GUESTS), ("events", EVENTS))}
    tables["comparisons"] = conform(COMPARISONS, pd.DataFrame([row]))
    run = {"positions": {}, "configuration": {"experiment": {"primary": PRIMARY, "reference": "vehicle"}}}
    print_summary(SimpleNamespace(tables=tables, layout=layout, done={}, run=run), SimpleNamespace(report="r.html"))
    return capsys.readouterr().out, layout


def test_the_limits_that_decide_stand_beside_those_of_one_comparison(capsys):
    said, _ = _printed(capsys)
    assert "btki  2.4 (1.1 to 5.2; simultaneous 0.8 to 7.1), adjusted p = 0.09" in said
    alone = {"ci_low_simultaneous": 1.1, "ci_high_simultaneous": 5.2, "p_adjusted": 0.03}
    assert "btki  2.4 (1.1 to 5.2), p = 0.03" in _printed(capsys, **alone)[0]


def test_who_is_n_is_said_as_check_says_it(capsys):
    said, layout = _printed(capsys)
    assert replication(layout, "vehicle").sentence in said.splitlines()
    assert "the experiment is n" in said
