"""Ratio between two arms of different units: Welch's t, or each arm's own limits put together.

With two or three units in an arm neither Student's pooled variance (17-30 % type I error where spreads and numbers
differ) nor Welch's degrees of freedom (up to 11 % with 2 against 8 units) holds. Limits of each arm with the degrees
of freedom of that arm alone, put together as distances from the estimate (method of variance estimates recovery;
Zou & Donner 2008, Stat Med 27:1693), hold for any ratio of the two spreads and are conservative where they are alike
(Mickey & Brown 1966, Ann Math Stat 37:639; by simulation, benchmarks/results/statistics.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from cicimage.arrays import Float64Array
from cicimage.statistics.count_model import profile_rate
from cicimage.statistics.intervals import t_interval, too_alike
from cicimage.statistics.quantiles import t_quantile, t_two_sided

WELCH_FROM: Final = 4
"""Welch's t holds from this many units in the smaller arm on (4.2-6.0 % of a 5 % test, spreads 1:1 to 10:1), and with
three in each arm (3.5-5.7 %)."""
_SMALLEST_P: Final = 1e-12
_TINY: Final = 1e-12
"""Stands for a rate of 0 on the log scale."""


@dataclass(frozen=True)
class Arm:
    """Counts and exposures of the units of one arm, each (n_units,) with exposures > 0."""

    events: Float64Array
    denominator: Float64Array

    def logs_usable(self) -> bool:
        """Every unit has events, and the rates do not agree by the accident of small counts."""
        return bool(self.events.min() > 0) and not too_alike(np.log(self.events / self.denominator), 1 / self.events)

    def limits(self, level: float) -> tuple[float, float, float]:
        """Median rate with its limits: t on log rates where usable, otherwise the count model."""
        if self.logs_usable():
            middle, low, high, _ = t_interval(np.log(self.events / self.denominator), level)
            return math.exp(middle), math.exp(low), math.exp(high)
        fit = profile_rate(self.events, self.denominator, level)
        return fit.estimate, fit.low, fit.high


@dataclass(frozen=True)
class UnpairedFit:
    """Ratio of the arms' median rates.

    Attributes
    ----------
    ratio, low, high, p_value : float
        With limits and the two-sided p that agrees with them at every level.
    how : {"welch", "combined"}
        Welch's t, or each arm's own limits put together.
    df : float
        Degrees of freedom of Welch's t; of the smaller arm where limits are put together.
    """

    ratio: float
    low: float
    high: float
    p_value: float
    how: Literal["welch", "combined"]
    df: float


def welch_holds(n: int, n_reference: int) -> bool:
    """Whether the design lets Welch's t hold its level whatever the two spreads.

    Examples
    --------
    >>> welch_holds(3, 3), welch_holds(3, 8), welch_holds(4, 12)
    (True, False, True)
    """
    return min(n, n_reference) >= WELCH_FROM or n == n_reference == WELCH_FROM - 1


def fit_unpaired(treated: Arm, reference: Arm, level: float = 0.95) -> UnpairedFit:
    """Ratio between arms of different units, two or more each, events in at least one arm.

    Parameters
    ----------
    treated, reference : Arm
        The arms.
    level : float
        Coverage of the limits.

    Returns
    -------
    UnpairedFit
        Welch's t where :func:`welch_holds` and both arms' log rates are usable, otherwise each arm's limits put
        together. An arm without events has a ratio of 0 or infinity, one finite limit, and a p from that limit.

    Examples
    --------
    >>> import numpy as np
    >>> few, many = Arm(np.zeros(3), np.full(3, 50.0)), Arm(np.array([9.0, 20.0, 6.0]), np.full(3, 60.0))
    >>> fit = fit_unpaired(few, many)
    >>> fit.ratio, fit.high < 1, fit.p_value < 0.05
    (0.0, True, True)
    """
    sizes = len(treated.events), len(reference.events)
    if welch_holds(*sizes) and treated.logs_usable() and reference.logs_usable():
        return _welch(treated, reference, level)
    df = min(sizes) - 1
    ratio, low, high = _combined(treated, reference, level)
    p = _p_value(lambda at: _combined(treated, reference, at), ratio, df)
    return UnpairedFit(ratio, low, high, p, "combined", df)


def _welch(treated: Arm, reference: Arm, level: float) -> UnpairedFit:
    logs = [np.log(a.events / a.denominator) for a in (treated, reference)]
    parts = [float(v.var(ddof=1)) / len(v) for v in logs]
    error = math.sqrt(sum(parts))
    df = sum(parts) ** 2 / sum(v**2 / (len(x) - 1) for v, x in zip(parts, logs, strict=True))
    difference = float(logs[0].mean() - logs[1].mean())
    half = t_quantile(0.5 + level / 2, df) * error
    ratio, low, high = (math.exp(v) for v in (difference, difference - half, difference + half))
    return UnpairedFit(ratio, low, high, t_two_sided(difference / error, df), "welch", df)


def _combined(treated: Arm, reference: Arm, level: float) -> tuple[float, float, float]:
    """Ratio and limits on logarithms; on the rates themselves where an arm has no events at all.

    Donner & Zou 2012, Stat Methods Med Res 21:347.
    """
    (m1, l1, h1), (m0, l0, h0) = treated.limits(level), reference.limits(level)
    if treated.events.sum() == 0:
        return 0.0, 0.0, h1 / math.sqrt(max(l0 * (2 * m0 - l0), 1e-300))
    if reference.events.sum() == 0:
        return math.inf, math.sqrt(max(l1 * (2 * m1 - l1), 1e-300)) / h0, math.inf
    b1, a1, c1, b0, a0, c0 = (math.log(max(v, _TINY)) for v in (l1, m1, h1, l0, m0, h0))
    down, up = math.hypot(a1 - b1, c0 - a0), math.hypot(c1 - a1, a0 - b0)
    return math.exp(a1 - a0), _exp(a1 - a0 - down), _exp(a1 - a0 + up)


def _p_value(limits: Callable[[float], tuple[float, float, float]], ratio: float, df: int) -> float:
    """Where, as the level grows, the limits take 1 in; sought over t of the smaller arm, on which limits are straight.

    Parameters
    ----------
    limits : callable
        Level to (ratio, low, high).
    ratio : float
        The estimate: which limit stands between it and 1.
    df : int
        Degrees of freedom of the scale sought on.
    """
    if ratio == 1.0:
        return 1.0

    def beyond(t: float) -> float:
        """Log distance of the limit from 1, positive while 1 is excluded."""
        _, low, high = limits(1.0 - t_two_sided(t, df))
        return -math.log(high) if ratio < 1 else math.log(max(low, 1e-300))

    from scipy import optimize  # slow to import, and few designs are unpaired

    near, far = 1e-3, t_quantile(0.975, df)
    if beyond(near) <= 0:
        return 1.0
    while beyond(far) > 0:
        near, far = far, 2 * far
        if t_two_sided(far, df) < _SMALLEST_P:
            return t_two_sided(near, df)
    return t_two_sided(float(optimize.brentq(beyond, near, far, rtol=1e-6)), df)


def _exp(x: float) -> float:
    return math.exp(x) if x < 700 else math.inf
