"""The scorer's doubt carried through: events drawn by their probability, analysed each time, put together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from cicimage.arrays import Float64Array
from cicimage.errors import CicimageError
from cicimage.estimands import ENTRY_RATE, estimand_of
from cicimage.statistics.comparisons import unit_counts
from cicimage.statistics.design import Unit, complete_layout, unit_of_replication
from cicimage.statistics.intervals import mixed_limit
from cicimage.statistics.quantiles import t_quantile, t_two_sided
from cicimage.statistics.rate_doubt import drawn_counts
from cicimage.statistics.ratios import Comparison, compare_counts

DRAWN: Final = (ENTRY_RATE,)
"""Estimands whose ratios get limits over draws in the tables: 50 draws of each take a tenth of a second."""


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
        Rubin's rules on the log ratio with Satterthwaite's degrees of freedom, since the spread between draws is known
        well and only that between donors is not (Rubin 1987; Satterthwaite 1946, Biometrics Bull 2:110), where every
        draw has a finite ratio by t; otherwise the median ratio with the limits of the mean of the draws' confidence
        distributions (Xie & Singh 2013, Int Stat Rev 81:3), and no p.

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
    by_t = all(c.by_t and c.n_pairs == n for c in comparisons)
    if not (by_t and n > 1 and np.isfinite(np.log(ratio)).all()):
        alpha = (1 - level) / 2
        limits = mixed_limit(ratio, low, alpha, -1.0), mixed_limit(ratio, high, alpha, 1.0)
        method = f"mean confidence distribution of {m} draws"
        return PooledRatio(float(np.median(ratio)), *limits, np.nan, np.nan, m, method)
    t = t_quantile(0.5 + level / 2, n - 1)
    within = float(np.mean(((np.log(high) - np.log(low)) / (2 * t)) ** 2))
    between = float(np.var(np.log(ratio), ddof=1))
    extra = (1 + 1 / m) * between
    total = within + extra
    share = extra / total if total > 0 else 0.0
    df = 1 / ((1 - share) ** 2 / (n - 1) + share**2 / (m - 1)) if share > 0 else float(n - 1)
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
    estimand: str = ENTRY_RATE,
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
    mine = rates_by_replicate[rates_by_replicate["estimand"] == estimand]
    arms = {c: unit_counts(mine, c, unit) for c in dict.fromkeys(layout["condition"])}
    found: dict[str, list[Comparison]] = {c: [] for c in arms if c != reference}
    known: dict[tuple[str, bytes], Comparison] = {}
    for counts in _drawn_counts(
        events, layout, arms, unit, brief=estimand_of(estimand).with_brief_stays, n=n, seed=seed
    ):
        for c, results in found.items():
            # many draws count the same: each is analysed once
            key = (c, counts[c].tobytes() + counts[reference].tobytes())
            if key not in known:
                treated, control = (arms[k].assign(events=counts[k]) for k in (c, reference))
                known[key] = compare_counts(treated, control, unit, level)
            results.append(known[key])
    rows = []
    for c, results in found.items():
        pooled = pool_draws(results, level)
        rows.append({
            "estimand": estimand, "condition": c, "reference": reference, "ratio": pooled.ratio, "ci_low": pooled.low,
            "ci_high": pooled.high, "p_value": pooled.p_value, "share_of_doubt": pooled.share_of_doubt,
            "method": pooled.method,
        })  # fmt: skip
    return pd.DataFrame(rows)


def _drawn_counts(
    events: pd.DataFrame,
    layout: pd.DataFrame,
    arms: Mapping[str, pd.DataFrame],
    unit: Unit,
    *,
    brief: bool,
    n: int,
    seed: int,
) -> Iterator[dict[str, Float64Array]]:
    """Entries per unit of each condition in ``n`` draws, in the order of the arms' rows."""
    unit_of = layout[unit].astype(object) if unit != "none" else pd.Series("", index=layout.index)
    rows_of = {c: (layout["condition"] == c).to_numpy() for c in arms}
    place = {c: arm.index.get_indexer(pd.Index(unit_of[rows_of[c]])) for c, arm in arms.items()}
    for drawn in drawn_counts(events, pd.Index(layout["position"].astype(object)), brief=brief, n=n, seed=seed):
        yield {
            c: np.bincount(place[c], weights=drawn[rows_of[c]], minlength=len(arm)).astype(np.float64)
            for c, arm in arms.items()
        }


def with_doubt(
    comparisons: pd.DataFrame,
    events: pd.DataFrame,
    rates_by_replicate: pd.DataFrame,
    reference: str,
    layout: pd.DataFrame,
    *,
    n: int = 50,
) -> pd.DataFrame:
    """Put the limits that hold the scorer's doubt beside the counting limits of the entry-rate ratios.

    Parameters
    ----------
    comparisons : pandas.DataFrame
        Table ``comparisons``.
    events, rates_by_replicate, reference, layout
        As :func:`compare_over_draws` takes them.
    n : int
        Draws.

    Returns
    -------
    pandas.DataFrame
        With columns ``doubt_low``, ``doubt_high`` (limits over draws, never within the
        counting limits) and ``doubt_share`` (of the variance of the log
        ratio; empty where limits were taken by quantiles), empty for what is no entry rate.
    """
    out = comparisons.assign(doubt_low=np.nan, doubt_high=np.nan, doubt_share=np.nan)
    if events.empty or not events["p"].between(0.01, 0.99).any():
        return out
    for estimand in DRAWN:
        if not ((out["estimand"] == estimand) & (out["reference"] == reference)).any():
            continue
        found = compare_over_draws(events, rates_by_replicate, reference, layout, estimand=estimand, n=n)
        for row in found.to_dict("records"):
            at = (out["estimand"] == estimand) & (out["condition"] == row["condition"])
            # doubt can only widen: draws that happen to agree better than the calls themselves do not count
            out.loc[at, "doubt_low"] = np.fmin(out.loc[at, "ci_low"], row["ci_low"])
            out.loc[at, "doubt_high"] = np.fmax(out.loc[at, "ci_high"], row["ci_high"])
            out.loc[at, "doubt_share"] = row["share_of_doubt"]
    return out
