"""Several comparisons of one endpoint: p values and limits adjusted together, so that both tell the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

Row = dict[str, Any]
SIMULTANEOUS: Final = ("ci_low_simultaneous", "ci_high_simultaneous")
"""Columns with the limits that hold for all comparisons of a family at once."""


def simultaneous_level(level: float, n: int) -> float:
    """Coverage each of ``n`` intervals needs so that all hold together with ``level`` (Bonferroni).

    Examples
    --------
    >>> round(simultaneous_level(0.95, 5), 4)
    0.99
    """
    return 1.0 - (1.0 - level) / max(n, 1)


def adjust_family(rows_at: Callable[[float], list[Row]], level: float = 0.95) -> list[Row]:
    """Rows of one family of comparisons with adjusted p and simultaneous limits.

    Parameters
    ----------
    rows_at : callable
        Coverage to the rows of table ``comparisons``, in the same order for every coverage.
    level : float
        Coverage of single limits, and of the simultaneous ones together.

    Returns
    -------
    list of dict
        The rows at ``level`` with ``p_adjusted``, ``ci_low_simultaneous`` and ``ci_high_simultaneous``.

    Notes
    -----
    Bonferroni's single step: an adjusted p below 1 - level and simultaneous limits without 1 are the same event. Holm's
    steps reject more, but no limits of finite width belong to them for the hypotheses left standing (Strassburger &
    Bretz 2008, Stat Med 27:4914); Dunnett's common residual does not hold where spreads differ (10.6 % family-wise
    error by simulation). Rows without a test do not count.

    Examples
    --------
    >>> def rows_at(level):  # a ratio whose limit depends on the coverage
    ...     return [{"p_value": p, "ci_low": level, "ci_high": 2.0} for p in (0.01, 0.04)]
    >>> [(r["p_adjusted"], round(r["ci_low_simultaneous"], 3)) for r in adjust_family(rows_at)]
    [(0.02, 0.975), (0.08, 0.975)]
    """
    rows = rows_at(level)
    n = sum(_tested(row) for row in rows)
    together = rows_at(simultaneous_level(level, n)) if n > 1 else rows
    for row, wide in zip(rows, together, strict=True):
        row["p_adjusted"] = min(1.0, n * row["p_value"]) if np.isfinite(row["p_value"]) else np.nan
        row[SIMULTANEOUS[0]], row[SIMULTANEOUS[1]] = wide["ci_low"], wide["ci_high"]
    return rows


def _tested(row: Row) -> bool:
    return bool(np.isfinite(row["p_value"]) or np.isfinite(row["ci_high"]) or row["ci_low"] > 0)
