"""p values adjusted for several conditions against one reference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from cicimage.statistics.quantiles import chi2_quantile, normal_below, normal_quantile

FloatArray = npt.NDArray[np.float64]


def holm(p_values: Sequence[float]) -> list[float]:
    """Step-down adjusted p values; missing ones stay missing and are not counted.

    Notes
    -----
    Holm S (1979), Scand J Stat 6:65.

    Examples
    --------
    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    out = np.full(len(p), np.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    highest = 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p[i]))
        out[i] = highest
    return [float(v) for v in out]


def dunnett_tail(t: float, contrasts: int, df: int) -> float:
    """Chance that the largest of several |t| against one control exceeds t.

    Parameters
    ----------
    t : float
        Observed |t|.
    contrasts : int
        Conditions compared with the control, in equal groups (correlation 1/2).
    df : int
        Degrees of freedom of the common variance.

    Notes
    -----
    Dunnett CW (1955), JASA 50:1096: given the control's mean and the SD, contrasts are independent, so the integral is
    over these two (Gauss-Hermite and Gauss-Laguerre quadrature in disguise: both by quantile midpoints, 400 x 200).
    """
    z = normal_quantile((np.arange(400) + 0.5) / 400)[:, None]
    s = np.sqrt(chi2_quantile((np.arange(200) + 0.5) / 200, df) / df)[None, :]
    reach = abs(t) * s * np.sqrt(2.0)
    inner = normal_below(z + reach) - normal_below(z - reach)
    return float(1.0 - (inner**contrasts).mean())


def dunnett_blocks(log_rates: FloatArray) -> tuple[FloatArray, int]:
    """Dunnett's adjusted p values of all columns against the first, donors as blocks.

    Parameters
    ----------
    log_rates : (n_units, 1 + contrasts) float64
        Log rate of every unit under the reference (first column) and each condition; no missing values.

    Returns
    -------
    p_adjusted : (contrasts,) float64
    df : int
        Degrees of freedom of the residual of the additive model units + conditions.
    """
    g, k = log_rates.shape
    residual = log_rates - log_rates.mean(axis=1, keepdims=True) - log_rates.mean(axis=0) + log_rates.mean()
    df = (g - 1) * (k - 1)
    variance = float((residual**2).sum() / df)
    if variance == 0:
        return np.full(k - 1, np.nan), df
    t = (log_rates[:, 1:] - log_rates[:, :1]).mean(axis=0) / np.sqrt(2 * variance / g)
    return np.array([dunnett_tail(float(v), k - 1, df) for v in t]), df
