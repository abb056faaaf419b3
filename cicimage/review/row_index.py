"""Rows of a table by the values of an integer column."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from cicimage.arrays import Int64Array


class RowIndex:
    """Index of an integer column.

    Examples
    --------
    >>> RowIndex(np.array([5, 7, 5, 9])).rows([5, 9]).tolist()
    [0, 2, 3]
    """

    def __init__(self, values: Int64Array) -> None:
        self._order = np.argsort(values, kind="stable")
        self._sorted = values[self._order]

    def rows(self, wanted: Iterable[int]) -> Int64Array:
        """Rows that hold one of these values, ascending."""
        values = np.fromiter(wanted, np.int64)
        first = np.searchsorted(self._sorted, values)
        last = np.searchsorted(self._sorted, values, side="right")
        found = [self._order[a:b] for a, b in zip(first, last, strict=True)]
        return np.sort(np.concatenate(found)).astype(np.int64) if found else np.zeros(0, np.int64)
