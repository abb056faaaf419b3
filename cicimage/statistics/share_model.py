"""Shares with the donor as n: the mean over donors of the donor's share, donors at 0 or 1 allowed.

The estimand is the mean over donors, each donor counting once. Its estimate is the plain mean of the donors' shares,
which is right whatever the numbers of cells are and however they go with the shares. The pooled share weighs donors by
their cells and is another quantity.

The limits are those of a model: ``y_d ~ Binomial(n, expit(c + u_d))`` with ``u_d ~ N(0, tau^2)``, integrated out by
adaptive Gauss-Hermite quadrature, ``tau`` profiled out over 0..``TAU_MAX``, on the scale of the *mean* share
``E expit(c + u)``. Every donor stands in it with its own share and one number of cells, the harmonic mean ``n`` of
all: the mean of the donors' shares has the variance ``pi (1 - pi) (rho + (1 - rho) mean(1 / n_d)) / G``, which depends
on the numbers of cells through their harmonic mean alone. Where all donors have the same number of cells this is the
usual binomial model with normal donor effects.

Twice the drop of the profile likelihood is compared with ``(v + 1) log(1 + t_v^2 / v)``, Student's t on that scale.
Its degrees of freedom ``v`` are those of Satterthwaite (1946, Biometrics Bulletin 2:110): the spread between donors is
known from G - 1 differences, the spread of counting beforehand. They are taken at the largest ``tau``: few cells make
them grow a little, many cells leave G - 1. By simulation the limits hold 93-97 % from five donors on, more with fewer
donors or few cells, and :meth:`ShareFit.caution` says so (benchmarks/results/statistics_shares.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from cicimage.statistics.count_kernels import fit_profile
from cicimage.statistics.count_model import NODES, WEIGHTS
from cicimage.statistics.quantiles import t_quantile

TAU_MAX = 2.0
"""Largest donor SD of the logit thought possible; limits are made to hold up to 1.2."""
FEW_UNITS = 5
FEW_CELLS = 3.0
"""Below so many units, or so many cells a unit on the rarer side, limits are wider than asked."""
_LEAST_INFORMATION = 1.0
"""Counts of few cells come in jumps: below this the degrees of freedom grow no more (found by experiment)."""
_EDGE = 14.0


@dataclass(frozen=True)
class ShareFit:
    """A mean share over units.

    Attributes
    ----------
    estimate, low, high : float
        Mean of the units' shares, and its limits; NaN limits with fewer than two units.
    tau : float
        Fitted SD of the units' logits, within 0..TAU_MAX.
    cells : float
        Harmonic mean of the units' numbers of cells.
    n : int
        Units.
    """

    estimate: float
    low: float
    high: float
    tau: float
    cells: float
    n: int

    def caution(self, unit: str = "donor") -> str:
        """What simulation says of limits like these (benchmarks/results/statistics_shares.md); empty where they hold.

        Wider than asked with few units, and where the units' cells hold few on the rarer side.
        """
        rare = min(self.estimate, 1.0 - self.estimate) * self.cells
        if self.n < FEW_UNITS:
            return f"conservative with {self.n} {unit}s"
        if rare < FEW_CELLS:
            return f"conservative with {rare:.2g} cells per {unit} on the rarer side of the share"
        return ""


def share_cutoff(n: int, information: float, level: float = 0.95) -> float:
    """Drop of twice the profile log-likelihood at the limits.

    Parameters
    ----------
    n : int
        Units.
    information : float
        Cells of a unit times share times one minus share: what counting knows of a unit's logit.
    level : float
        Coverage.

    Examples
    --------
    >>> round(share_cutoff(3, 1e9), 2)  # cells without end: Student's t with 2 degrees of freedom
    6.98
    >>> round(share_cutoff(3, 1.0), 2)  # few cells: counting is part of the spread, and is known
    5.82
    """
    spread = TAU_MAX**2 * max(information, _LEAST_INFORMATION)
    df = min((n - 1) * ((1.0 + spread) / spread) ** 2, 1e6)
    return (df + 1.0) * math.log1p(t_quantile(0.5 + level / 2, df) ** 2 / df)


def mean_share(shares: npt.ArrayLike, cells: npt.ArrayLike, level: float = 0.95) -> ShareFit:
    """Mean over units of the unit's share.

    Parameters
    ----------
    shares : (n,) array_like
        Share of each unit, 0-1.
    cells : (n,) array_like
        What each share is of, > 0; an effective number where shares are estimated otherwise than by counting.
    level : float
        Coverage of the limits.

    Examples
    --------
    >>> fit = mean_share([0.0, 0.1, 0.2], [30, 30, 30])
    >>> round(fit.estimate, 3), round(fit.low, 3), round(fit.high, 3)
    (0.1, 0.014, 0.518)
    """
    p, n = np.asarray(shares, np.float64), np.asarray(cells, np.float64)
    g = len(p)
    if g == 0:
        return ShareFit(np.nan, np.nan, np.nan, np.nan, np.nan, 0)
    estimate, size = float(p.mean()), float(1.0 / np.mean(1.0 / n))
    if g < 2:
        return ShareFit(estimate, np.nan, np.nan, np.nan, size, g)
    y, total = p * size, g * size
    smoothed = (float(y.sum()) + 0.5) / (total + 1.0)
    drop = share_cutoff(g, size * smoothed * (1.0 - smoothed), level)
    _, low, high, _, tau = fit_profile(
        2, y, np.full(g, size), np.zeros(g), np.arange(1, g + 1), np.linspace(0.0, TAU_MAX, 7), NODES, WEIGHTS, drop,
        0.0, -_EDGE, _EDGE,
    )  # fmt: skip
    # the model's own top is not quite the plain mean: the limits hold both
    low, high = min(float(special.expit(low)), estimate), max(float(special.expit(high)), estimate)
    return ShareFit(estimate, low, high, tau, size, g)
