"""What a comparison lets one claim: one rule for the report, the figures, the command line and the viewer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from cicimage.figures.words import interval

Strength = Literal["differs", "open", "untested"]


def strength(row: Mapping[Any, Any]) -> Strength:
    """How firmly a row of table ``comparisons`` stands.

    Parameters
    ----------
    row : mapping
        The row by column.

    Returns
    -------
    {"differs", "open", "untested"}
        A difference is claimed where the simultaneous limits, which hold for all comparisons of the estimand at once,
        lie on one side of 1; that is where the adjusted p is below 0.05.

    Examples
    --------
    >>> row = {"unit_of_replication": "donor", "ci_low": 1.1, "ci_high": 3.0,
    ...        "ci_low_simultaneous": 0.9, "ci_high_simultaneous": 3.7}
    >>> strength(row), strength(row | {"ci_low_simultaneous": 1.05})
    ('open', 'differs')
    """
    low, high = simultaneous(row)
    if row["unit_of_replication"] == "none" or (np.isnan(low) and np.isnan(high)):
        return "untested"
    return "differs" if (low > 1 or high < 1) else "open"


def simultaneous(row: Mapping[Any, Any]) -> tuple[float, float]:
    """The limits that decide."""
    return float(row["ci_low_simultaneous"]), float(row["ci_high_simultaneous"])


def is_wider(row: Mapping[Any, Any]) -> bool:
    """Whether the simultaneous limits differ from those of the comparison alone: several were made."""
    alone = (float(row["ci_low"]), float(row["ci_high"]))
    return strength(row) != "untested" and not np.array_equal(simultaneous(row), alone, equal_nan=True)


def inhibition_in_words(row: Mapping[Any, Any]) -> str:
    """Per cent inhibition, 100 (1 - ratio), with the limits that decide; empty where the ratio is not below 1.

    Parameters
    ----------
    row : mapping
        Row of table ``comparisons`` by column.

    Examples
    --------
    >>> inhibition_in_words({"ratio": 0.4, "ci_low_simultaneous": 0.2, "ci_high_simultaneous": 0.9})
    'inhibition 60 % (10 to 80)'
    """
    ratio, (low, high) = float(row["ratio"]), simultaneous(row)
    if not ratio < 1 or (np.isnan(low) and np.isnan(high)):
        return ""
    if not (np.isfinite(low) and high < np.inf):
        return f"inhibition {100 * (1 - ratio):.0f} %, no bound"
    return f"inhibition {100 * (1 - ratio):.0f} % ({100 * (1 - high):.0f} to {100 * (1 - low):.0f})"


def limits_in_words(row: Mapping[Any, Any]) -> str:
    """Limits of the comparison alone, and those that decide where they differ.

    Examples
    --------
    >>> limits_in_words({"unit_of_replication": "donor", "ci_low": 1.1, "ci_high": 3.0,
    ...                  "ci_low_simultaneous": 0.9, "ci_high_simultaneous": 3.7})
    '95 % interval 1.10 to 3.0, simultaneous 0.90 to 3.7'
    """
    alone = f"95 % interval {interval(float(row['ci_low']), float(row['ci_high']))}"
    return f"{alone}, simultaneous {interval(*simultaneous(row))}" if is_wider(row) else alone
