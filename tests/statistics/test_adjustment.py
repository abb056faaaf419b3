import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from cicimage.statistics.adjustment import dunnett_blocks, dunnett_tail, holm

# R 4.2.2: p.adjust(..., "holm"); mvtnorm 1.1-3, pmvt with correlation 1/2; made by reference/survival.R
R = json.loads((Path(__file__).parent / "reference" / "values.json").read_text())


def test_holm_is_that_of_r_and_missing_ones_do_not_count():
    assert holm([0.01, 0.04, 0.03, 0.2]) == pytest.approx(R["holm"])
    found = holm([0.01, np.nan, 0.04, 0.03, 0.2])
    assert np.isnan(found[1])
    assert [found[0], *found[2:]] == pytest.approx(R["holm"])


@pytest.mark.parametrize(("t", "expected"), list(zip((2.1, 2.9, 0.7), R["dunnett_p"], strict=True)))
def test_dunnett_is_the_multivariate_t_of_r(t, expected):
    assert dunnett_tail(t, 3, 6) == pytest.approx(expected, abs=5e-4)


def test_one_contrast_is_the_paired_t_test():
    logs = np.random.default_rng(1).normal(size=(6, 2))
    p, df = dunnett_blocks(logs)
    assert df == 5
    assert p[0] == pytest.approx(stats.ttest_rel(logs[:, 1], logs[:, 0]).pvalue, abs=2e-3)
