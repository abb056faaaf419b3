import json
from pathlib import Path

import numpy as np
import pytest

from cicimage.statistics.adjustment import adjust_family, simultaneous_level

# R 4.2.2: p.adjust(..., "bonferroni"); made by reference/survival.R
R = json.loads((Path(__file__).parent / "reference" / "values.json").read_text())


def _rows(*p_values):
    """Rows whose limits exclude 1 where the p value is below 1 - level."""

    def rows_at(level):
        return [
            {"p_value": p, "ci_low": np.nan if np.isnan(p) else (1.1 if p < 1 - level else 0.9), "ci_high": np.nan}
            for p in p_values
        ]

    return adjust_family(rows_at)


def test_bonferroni_is_that_of_r_and_missing_ones_do_not_count():
    assert [r["p_adjusted"] for r in _rows(0.01, 0.04, 0.03, 0.2)] == pytest.approx(R["bonferroni"])
    found = [r["p_adjusted"] for r in _rows(0.01, np.nan, 0.04, 0.03, 0.2)]
    assert np.isnan(found[1])
    assert [found[0], *found[2:]] == pytest.approx(R["bonferroni"])


def test_simultaneous_limits_and_adjusted_p_decide_alike():
    for row in _rows(0.01, 0.012, 0.0126, 0.04):
        assert (row["p_adjusted"] < 0.05) == (row["ci_low_simultaneous"] > 1)
        assert row["ci_low"] == 1.1


def test_one_comparison_is_left_as_it_is():
    (row,) = _rows(0.04)
    assert (row["p_adjusted"], row["ci_low_simultaneous"]) == (0.04, row["ci_low"])
    assert simultaneous_level(0.95, 1) == pytest.approx(0.95)
    assert adjust_family(lambda _: []) == []
