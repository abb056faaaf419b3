"""Does one factor's effect depend on another: ratio of ratios within donors, from the layout's factor columns."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from cicimage.estimands import NO_INTERACTION
from cicimage.statistics.design import Unit, factor_columns
from cicimage.statistics.intervals import t_interval, too_alike


def interactions(
    arms: dict[str, pd.DataFrame],
    layout: pd.DataFrame,
    reference: str,
    unit: Unit,
    level: float = 0.95,
    pairs: Sequence[tuple[str, list[str]]] | None = None,
) -> list[dict[str, Any]]:
    """Interaction of every pair of two-level factors of one estimand.

    Parameters
    ----------
    arms : dict of str to pandas.DataFrame
        Per condition: index unit, columns ``events`` and ``denominator``.
    layout : pandas.DataFrame
        The design; factor columns are those that are no design columns, constant within a condition.
    reference : str
        Its levels are the factors' zero.
    unit : {"donor", "experiment", "none"}
        What counts as n.
    level : float
        Coverage of the limits.
    pairs : sequence of (str, list of str), optional
        From :func:`factor_pairs`, for somebody who asks for many estimands.

    Returns
    -------
    list of dict
        Rows of table ``comparisons``: condition ``a x b``, ratio = (r11 / r01) / (r10 / r00). Student's t on the units'
        log interactions where all four cells of two or more units have events; elsewhere no interval and the reason.
    """
    known = factor_pairs(layout, reference) if pairs is None else pairs
    return [_row(name, [arms[c] for c in cells], unit, level) for name, cells in known]


def factor_pairs(layout: pd.DataFrame, reference: str) -> list[tuple[str, list[str]]]:
    """Pairs of two-level factors whose four cells are all there: ``a x b``, and the conditions off, a, b, both."""
    cells_of = _factor_levels(layout)
    found = ((f"{a} x {b}", _four_cells(cells_of, a, b, reference)) for a, b in combinations(cells_of.columns, 2))
    return [(name, cells) for name, cells in found if cells is not None]


def _factor_levels(layout: pd.DataFrame) -> pd.DataFrame:
    """Level of each factor in each condition; factors that vary within a condition or have one level are left out."""
    names = factor_columns(layout)
    grouped = layout.groupby("condition", sort=False)[names]
    constant = grouped.nunique(dropna=False).max() if names else pd.Series(dtype=int)
    first = grouped.first() if names else pd.DataFrame(index=pd.unique(layout["condition"]))
    keep = [n for n in names if constant[n] == 1 and first[n].nunique() == 2]
    return first[keep]


def _four_cells(levels: pd.DataFrame, a: str, b: str, reference: str) -> list[str] | None:
    """Conditions with neither factor on, a, b, both (off is the reference's level); None if not all there."""
    others = [c for c in levels.columns if c not in (a, b)]
    off_a, off_b = levels.loc[reference, a], levels.loc[reference, b]
    same = (levels[others] == levels.loc[reference, others]).all(axis=1)
    found = []
    for on_a, on_b in ((False, False), (True, False), (False, True), (True, True)):
        here = same & ((levels[a] != off_a) == on_a) & ((levels[b] != off_b) == on_b)
        if int(here.sum()) != 1:
            return None
        found.append(str(levels.index[here][0]))
    return found


def _row(name: str, cells: list[pd.DataFrame], unit: Unit, level: float) -> dict[str, Any]:
    row: dict[str, Any] = {
        "condition": name, "reference": NO_INTERACTION, "ratio": np.nan, "ci_low": np.nan, "ci_high": np.nan,
        "p_value": np.nan, "unit_of_replication": unit, "n_pairs": 0, "method": "none",
    }  # fmt: skip
    named = [c[(c.index != "") & (c["denominator"] > 0)] for c in cells]
    both = named[0].index
    for cell in named[1:]:
        both = both.intersection(cell.index)
    if unit == "none" or len(both) < 2:
        said = "donors is unknown" if unit == "none" else f"{unit}s with all four cells is {len(both)}"
        return row | {"note": f"no test: n of {said}"}
    rates = [(c.loc[both, "events"] / c.loc[both, "denominator"]).to_numpy(np.float64) for c in named]
    if min(r.min() for r in rates) <= 0:
        empty = sum(int((r == 0).sum()) for r in rates)
        total = [float(c.loc[both, "events"].sum() / c.loc[both, "denominator"].sum()) for c in named]
        ratio = (total[3] / total[2]) / (total[1] / total[0]) if min(total[:3]) > 0 else np.nan
        note = f"no test: {empty} of {4 * len(both)} {unit} cells without events"
        return row | {"ratio": ratio, "n_pairs": len(both), "method": "ratio of pooled ratios", "note": note}
    logs = np.log(rates[3] / rates[2]) - np.log(rates[1] / rates[0])
    counting = sum((1 / c.loc[both, "events"] for c in named), start=pd.Series(0.0, index=both))
    if too_alike(logs, counting):
        note = f"no test: the {unit}s' interactions agree closer than their counts allow"
        return row | {"ratio": float(np.exp(logs.mean())), "n_pairs": len(both), "note": note}
    mean, low, high, p = t_interval(logs, level)
    fewest = int(min(c.loc[both, "events"].min() for c in named))
    return row | {
        "ratio": float(np.exp(mean)), "ci_low": float(np.exp(low)), "ci_high": float(np.exp(high)), "p_value": p,
        "n_pairs": len(both), "method": f"t on {len(both)} log interactions",
        "note": f"as few as {fewest} events in a cell" if fewest < 4 else "",
    }  # fmt: skip
