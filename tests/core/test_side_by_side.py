"""Two results folders compared: what counts as a difference, and what is only listed."""

import numpy as np
import pandas as pd
import pytest
from side_by_side import differences

from cicimage.tables import RATES, conform, empty


def rates(**changes):
    row = {
        "estimand": "entry_rate_per_guest_h", "condition": "BTKi", "estimate": 0.5, "ci_low": 0.1, "ci_high": np.nan,
        "unit": "1/h", "events": 4.0, "n_guests": 3, "n_hosts": 2, "n_positions": 1, "n_replicates": 1, "n_donors": 1,
        "method": "exact Poisson", "note": "",
    }  # fmt: skip
    return {"rates": conform(RATES, pd.DataFrame([{**row, **changes}]))}


@pytest.mark.parametrize(
    ("change", "tolerance", "differing"),
    [
        ({}, {}, []),
        ({"estimate": 0.5000001}, {}, ["estimate"]),
        ({"estimate": 0.5000001}, {"rates.estimate": 1e-6}, []),
        ({"estimate": 0.5000001}, {"estimate": 1e-6}, []),
        ({"estimate": 0.6}, {"rates": 1e-6}, ["estimate"]),
        ({"ci_high": 0.9}, {"rates": 1.0}, ["ci_high"]),  # empty on one side is never within tolerance
        ({"n_donors": 2}, {}, ["n_donors"]),
    ],
)
def test_numbers(change, tolerance, differing):
    assert [d.column for d in differences(rates(), rates(**change), tolerance=tolerance)] == differing


def test_text_is_listed_and_counts_only_where_asked_for():
    (listed,) = differences(rates(), rates(note="few events"))
    assert not listed.counts
    (counted,) = differences(rates(), rates(note="few events"), text_counts=True)
    assert counted.counts


def test_rows_columns_and_tables_on_one_side():
    other = rates(condition="vehicle")
    assert [(d.column, d.example[:11]) for d in differences(rates(), other)] == [
        ("", "only in old"),
        ("", "only in new"),
    ]
    grown = {"rates": rates()["rates"].assign(new_column=1.0)}
    assert differences(rates(), grown) == []
    assert [d.example for d in differences(grown, rates())] == ["column only in old"]
    assert [d.counts for d in differences(rates(), {})] == [True]
    assert [d.counts for d in differences({}, rates())] == [False]
    assert differences({"rates": empty(RATES)}, {"rates": empty(RATES)}) == []
