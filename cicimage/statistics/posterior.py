"""The scorer's doubt carried through: events drawn by their probability, analysed each time, put together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from cicimage.errors import CicimageError
from cicimage.statistics.ratios import Comparison


def draw_events(events: pd.DataFrame, n: int, seed: int = 0) -> Iterator[pd.DataFrame]:
    """Yield event tables in which each event is certain or left out, drawn by its ``p``.

    Parameters
    ----------
    events : pandas.DataFrame
        Table ``events``; those below p = 0.5 take part.
    n : int
        Tables to draw.
    seed : int
        Of the random generator.

    Notes
    -----
    Person-time is left as it is: an event moves minutes of it, a call moves a count.
    """
    rng = np.random.default_rng(seed)
    p = events["p"].to_numpy(np.float64)
    for _ in range(n):
        yield events[rng.random(len(p)) < p].assign(p=1.0)


@dataclass(frozen=True)
class PooledRatio:
    """A ratio over draws.

    Attributes
    ----------
    ratio, low, high, p_value : float
        Over all draws.
    share_of_doubt : float
        Share of the variance that is the scorer's doubt; NaN where limits were taken by quantiles.
    n_draws : int
        Draws put together.
    method : str
        How.
    """

    ratio: float
    low: float
    high: float
    p_value: float
    share_of_doubt: float
    n_draws: int
    method: str


def pool_draws(comparisons: Sequence[Comparison], level: float = 0.95) -> PooledRatio:
    """Put the ratios of several draws together.

    Parameters
    ----------
    comparisons : sequence of Comparison
        The same comparison of each draw, two or more.
    level : float
        Coverage.

    Returns
    -------
    PooledRatio
        Rubin's rules on the log ratio with Barnard and Rubin's degrees of freedom (Rubin 1987; Barnard & Rubin 1999,
        Biometrika 86:948) where every draw has a finite ratio by t; otherwise the median ratio with the outer quantiles
        of the draws' limits, which is cautious, and no p.

    Raises
    ------
    CicimageError
        Fewer than two draws.
    """
    if len(comparisons) < 2:
        raise CicimageError(f"posterior draws: two or more are needed, got {len(comparisons)}; draw more")
    ratio = np.array([c.ratio for c in comparisons])
    low, high = np.array([c.low for c in comparisons]), np.array([c.high for c in comparisons])
    n, m = comparisons[0].n_pairs, len(comparisons)
    by_t = all(c.method.startswith("t on") and c.n_pairs == n for c in comparisons)
    if not (by_t and n > 1 and np.isfinite(np.log(ratio)).all()):
        alpha = (1 - level) / 2
        limits = float(np.quantile(low, alpha, method="lower")), float(np.quantile(high, 1 - alpha, method="higher"))
        return PooledRatio(float(np.median(ratio)), *limits, np.nan, np.nan, m, "quantiles over draws")
    t = float(stats.t.ppf(0.5 + level / 2, n - 1))
    within = float(np.mean(((np.log(high) - np.log(low)) / (2 * t)) ** 2))
    between = float(np.var(np.log(ratio), ddof=1))
    extra = (1 + 1 / m) * between
    total = within + extra
    share = extra / total if total > 0 else 0.0
    df_old = (m - 1) / share**2 if share > 0 else np.inf
    df_obs = n / (n + 2) * (n - 1) * (1 - share)
    df = 1 / (1 / df_old + 1 / df_obs) if share > 0 else float(n - 1)
    centre, error = float(np.mean(np.log(ratio))), float(np.sqrt(total))
    half = float(stats.t.ppf(0.5 + level / 2, df)) * error
    p = float(2 * stats.t.sf(abs(centre) / error, df)) if error > 0 else np.nan
    return PooledRatio(
        float(np.exp(centre)), float(np.exp(centre - half)), float(np.exp(centre + half)), p, share, m,
        f"Rubin's rules over {m} draws, t({df:.1f})",
    )  # fmt: skip
