"""Whether probabilities mean what they say."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cicimage.arrays import BoolArray, Float64Array


def reliability(p: Float64Array, is_so: BoolArray, bins: int = 10) -> pd.DataFrame:
    """Reliability curve: within bins of equal width, the mean probability said and the share that was so.

    Parameters
    ----------
    p : (n,) float64
        Probabilities, 0-1; NaN are left out.
    is_so : (n,) bool
        What was true.
    bins : int
        Number of bins.

    Returns
    -------
    pandas.DataFrame
        p_low, p_high, p_mean, share_true, n; bins with nothing in them are left out.

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
    """Mean squared difference of probability and outcome: 0 is perfect, 0.25 is always saying one half.

    Examples
    --------
    >>> import numpy as np
    >>> brier(np.array([1.0, 0.0]), np.array([True, False]))
    0.0
    """
    known = np.isfinite(p)
    return float(np.mean((p[known] - is_so[known]) ** 2)) if known.any() else float("nan")


def expected_calibration_error(p: Float64Array, is_so: BoolArray, bins: int = 10) -> float:
    """Mean distance of what was said from what was so over the bins of :func:`reliability`, weighted by their size."""
    curve = reliability(p, is_so, bins)
    if curve.empty:
        return float("nan")
    return float(np.average((curve["p_mean"] - curve["share_true"]).abs(), weights=curve["n"]))
