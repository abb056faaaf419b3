"""Calibration of probabilities: how stated probabilities compare with observed outcomes."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cicimage.arrays import BoolArray, Float64Array


def reliability(p: Float64Array, is_so: BoolArray, bins: int = 10) -> pd.DataFrame:
    """Compute a reliability curve: mean probability and share of true outcomes within bins of equal width.

    Parameters
    ----------
    p : (n,) float64
        Probabilities, 0-1; NaN are left out.
    is_so : (n,) bool
        Outcomes.
    bins : int
        Number of bins.

    Returns
    -------
    pandas.DataFrame
        p_low, p_high, p_mean, share_true, n; empty bins are left out.

    Examples
    --------
    >>> import numpy as np
    >>> reliability(np.array([0.2, 0.2, 0.9]), np.array([True, False, True]))["share_true"].tolist()
    [0.5, 1.0]
    """
    known = np.isfinite(p)
    p, is_so = p[known], is_so[known]
    edges = np.linspace(0.0, 1.0, bins + 1)
    at = np.clip(np.searchsorted(edges, p, side="right") - 1, 0, bins - 1)
    n = np.bincount(at, minlength=bins)
    used = n > 0
    said, was = np.bincount(at, p, bins)[used] / n[used], np.bincount(at, is_so, bins)[used] / n[used]
    return pd.DataFrame(
        {"p_low": edges[:-1][used], "p_high": edges[1:][used], "p_mean": said, "share_true": was, "n": n[used]}
    )


def brier(p: Float64Array, is_so: BoolArray) -> float:
    """Compute the Brier score, the mean squared difference of probability and outcome.

    Parameters
    ----------
    p : (n,) float64
        Probabilities, 0-1; NaN are left out.
    is_so : (n,) bool
        Outcomes.

    Returns
    -------
    float
        0 is perfect, 0.25 is a constant one half; NaN without any probability.

    Examples
    --------
    >>> import numpy as np
    >>> brier(np.array([1.0, 0.0]), np.array([True, False]))
    0.0
    """
    known = np.isfinite(p)
    return float(np.mean((p[known] - is_so[known]) ** 2)) if known.any() else float("nan")


def expected_calibration_error(p: Float64Array, is_so: BoolArray, bins: int = 10) -> float:
    """Compute the expected calibration error over the bins of :func:`reliability`, weighted by their size.

    Parameters
    ----------
    p, is_so, bins
        As :func:`reliability` takes them.

    Returns
    -------
    float
        Mean absolute difference of mean probability and share of true outcomes; NaN without any probability.
    """
    curve = reliability(p, is_so, bins)
    if curve.empty:
        return float("nan")
    return float(np.average((curve["p_mean"] - curve["share_true"]).abs(), weights=curve["n"]))
