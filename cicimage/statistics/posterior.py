"""The scorer's doubt carried through: events drawn by their probability, analysed each time, put together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cicimage.errors import CicimageError
from cicimage.statistics.comparisons import unit_counts
from cicimage.statistics.design import complete_layout, unit_of_replication
from cicimage.statistics.quantiles import t_quantile, t_two_sided
from cicimage.statistics.ratios import Comparison, compare_counts
from cicimage.statistics.tallies import counted_events


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
    t = t_quantile(0.5 + level / 2, n - 1)
    within = float(np.mean(((np.log(high) - np.log(low)) / (2 * t)) ** 2))
    between = float(np.var(np.log(ratio), ddof=1))
    extra = (1 + 1 / m) * between
    total = within + extra
    share = extra / total if total > 0 else 0.0
    df_old = (m - 1) / share**2 if share > 0 else np.inf
    df_obs = n / (n + 2) * (n - 1) * (1 - share)
    df = 1 / (1 / df_old + 1 / df_obs) if share > 0 else float(n - 1)
    centre, error = float(np.mean(np.log(ratio))), float(np.sqrt(total))
    half = t_quantile(0.5 + level / 2, df) * error
    p = t_two_sided(centre / error, df) if error > 0 else np.nan
    return PooledRatio(
        float(np.exp(centre)), float(np.exp(centre - half)), float(np.exp(centre + half)), p, share, m,
        f"Rubin's rules over {m} draws, t({df:.1f})",
    )  # fmt: skip


def compare_over_draws(
    events: pd.DataFrame,
    rates_by_replicate: pd.DataFrame,
    reference: str,
    layout: pd.DataFrame,
    *,
    estimand: str = "entry_rate_per_guest_h",
    n: int = 100,
    seed: int = 0,
    level: float = 0.95,
) -> pd.DataFrame:
    """Entry-rate ratios with the scorer's doubt in their intervals.

    Parameters
    ----------
    events : pandas.DataFrame
        Table ``events`` with all events, doubtful ones too.
    rates_by_replicate : pandas.DataFrame
        Where the person-time comes from.
    reference : str
        Condition compared with.
    layout : pandas.DataFrame
        The design.
    estimand : str
        An entry rate.
    n, seed : int
        Draws and their seed.
    level : float
        Coverage.

    Returns
    -------
    pandas.DataFrame
        One row per condition: estimand, condition, reference, ratio, ci_low, ci_high, p_value, share_of_doubt, method.
    """
    layout = complete_layout(layout)
    unit = unit_of_replication(layout)
    design = layout.set_index("position")
    mine = rates_by_replicate[rates_by_replicate["estimand"] == estimand]
    arms = {c: unit_counts(mine, c, unit) for c in dict.fromkeys(layout["condition"])}
    found: dict[str, list[Comparison]] = {c: [] for c in arms if c != reference}
    brief = estimand == "entry_rate_incl_brief_per_guest_h"
    for drawn in draw_events(events, n, seed):
        kept = counted_events(drawn, brief=brief)
        condition = kept["position"].map(design["condition"])
        who = kept["position"].map(design[unit]) if unit != "none" else pd.Series("", index=kept.index)
        counts = {
            c: arm.assign(events=who[condition == c].value_counts().reindex(arm.index, fill_value=0).astype(np.float64))
            for c, arm in arms.items()
        }
        for c, results in found.items():
            results.append(compare_counts(counts[c], counts[reference], unit, level))
    rows = []
    for c, results in found.items():
        pooled = pool_draws(results, level)
        rows.append({
            "estimand": estimand, "condition": c, "reference": reference, "ratio": pooled.ratio, "ci_low": pooled.low,
            "ci_high": pooled.high, "p_value": pooled.p_value, "share_of_doubt": pooled.share_of_doubt,
            "method": pooled.method,
        })  # fmt: skip
    return pd.DataFrame(rows)
