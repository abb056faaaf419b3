"""Links of greatest worth, held against scipy's dense solver."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from cicimage.tracking.matching import assign


def solve(gains: np.ndarray) -> np.ndarray:
    rows, cols = np.nonzero(np.isfinite(gains))
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=gains.shape[0]))]).astype(np.int64)
    return assign(indptr, cols.astype(np.int64), gains[rows, cols].astype(np.float64), gains.shape[1])


def worth(gains: np.ndarray, chosen: np.ndarray) -> float:
    return float(sum(gains[i, j] for i, j in enumerate(chosen) if j >= 0))


def test_row_yields_its_best_column_to_one_that_has_nothing_else():
    assert solve(np.array([[5.0, 4.0], [3.0, -np.inf]])).tolist() == [1, 0]


def test_links_worth_nothing_are_not_made():
    assert solve(np.array([[-1.0, 0.0]])).tolist() == [-1]


def test_a_row_stays_alone_where_that_is_worth_more():
    # 1.0 + nothing for row 1 is worse than 9.0 for row 1 and nothing for row 0
    assert solve(np.array([[1.0], [9.0]])).tolist() == [-1, 0]


def test_long_chain_shifts_by_one():
    n = 400
    gains = np.full((n + 1, n + 1), -np.inf)
    gains[np.arange(n), np.arange(n)] = 2.0
    gains[np.arange(n), np.arange(n) + 1] = 1.999
    gains[n, 0] = 50.0  # takes column 0: all must move up by one
    chosen = solve(gains)
    assert chosen.tolist() == [*range(1, n + 1), 0]


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 2**32 - 1), st.integers(1, 14), st.integers(1, 14), st.floats(0.05, 1), st.booleans())
def test_as_good_as_the_dense_solver(seed: int, rows: int, cols: int, density: float, with_ties: bool):
    rng = np.random.default_rng(seed)
    gains = np.where(rng.random((rows, cols)) < density, rng.normal(1, 2, (rows, cols)), -np.inf)
    gains = np.round(gains) if with_ties else gains
    chosen = solve(gains)
    taken = chosen[chosen >= 0]
    assert len(set(taken.tolist())) == taken.size
    a, b = linear_sum_assignment(-np.maximum(gains, 0))
    assert worth(gains, chosen) == np.float64(np.maximum(gains, 0)[a, b].sum()).round(12) or np.isclose(
        worth(gains, chosen), np.maximum(gains, 0)[a, b].sum()
    )
