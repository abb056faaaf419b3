"""Power of the next experiment in donors, wells and hours, from the spread seen in this one; cells are not n."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pandas as pd

from cicimage.arrays import Float64Array
from cicimage.errors import CicimageError
from cicimage.estimands import ENTRY_RATE
from cicimage.statistics.comparisons import unit_counts
from cicimage.statistics.count_model import profile_ratio
from cicimage.statistics.design import complete_layout, join_notes, unit_of_replication
from cicimage.statistics.quantiles import chi2_quantile, t_quantile

DEFAULT_SD: Final = {"donor": 0.7, "interaction": 0.4, "well": 0.25}
"""SD of the log rate between donors, of donor x condition, between wells: middle of the ranges known of such cells."""
PRIOR_DF: Final = 3
"""Degrees of freedom that the default SDs count for: two donors that happen to agree do not make a spread of 0."""
MOST_COUNT_FITS: Final = 150
FEWEST_EVENTS: Final = 4
"""A donor with fewer events says little about spreads and is left out of their estimate."""


@dataclass(frozen=True)
class Variation:
    """What the power rests on.

    Attributes
    ----------
    rate_per_h : float
        Reference rate per hour at risk.
    hours_at_risk_per_well_h : float
        Guest-hours at risk that one well gives per hour of movie.
    sd_donor, sd_interaction, sd_well : float
        SD of the log rate between donors, of donor x condition (each condition), between wells.
    n_donors, n_pairs : int
        Donors seen, and donor pairs the interaction rests on; 0 where it is the default.
    note : str
        What was estimated and what is a default.
    """

    rate_per_h: float
    hours_at_risk_per_well_h: float
    sd_donor: float = DEFAULT_SD["donor"]
    sd_interaction: float = DEFAULT_SD["interaction"]
    sd_well: float = DEFAULT_SD["well"]
    n_donors: int = 0
    n_pairs: int = 0
    note: str = "SDs are defaults"

    def cautious(self, level: float = 0.8) -> Variation:
        """The interaction SD at its one-sided upper limit: few donors say little about a spread.

        Notes
        -----
        Browne RH (1995), Stat Med 14:1933: planning from a pilot's upper limit keeps the power promised.
        """
        df = max(self.n_pairs - 1, 0) + PRIOR_DF
        return replace(self, sd_interaction=self.sd_interaction * float(np.sqrt(df / chi2_quantile(1 - level, df))))


def estimate_variation(
    rates_by_replicate: pd.DataFrame,
    layout: pd.DataFrame,
    reference: str,
    movie_h: float,
    estimand: str = ENTRY_RATE,
) -> Variation:
    """Spread between donors and wells by the method of moments, counting error taken off, drawn towards the defaults.

    Parameters
    ----------
    rates_by_replicate : pandas.DataFrame
        As :func:`cicimage.statistics.rates.compute_rates` returns it.
    layout : pandas.DataFrame
        The design.
    reference : str
        Condition whose rate is the base.
    movie_h : float
        Length of the movies, hours.
    estimand : str
        A rate per hour.

    Raises
    ------
    CicimageError
        The reference has no person-time or no events of that estimand, or movies have no length.
    """
    layout = complete_layout(layout)
    rows = rates_by_replicate[rates_by_replicate["estimand"] == estimand]
    base = rows[rows["condition"] == reference]
    events, hours = float(base["events"].sum()), float(base["exposure_h"].sum())
    if not (events > 0 and hours > 0 and movie_h > 0):
        raise CicimageError(
            f"plan: condition {reference!r} has {events:g} events in {hours:g} h of {estimand}; a power needs a rate, "
            "name another reference or give --rates"
        )
    wells = len(base)
    unit = unit_of_replication(layout)
    sd_well, n_groups = _well_sd(rows, unit)
    sd_interaction, n_pairs = _interaction_sd(rows, layout, reference, sd_well)
    sd_donor, n_donors = _donor_sd(rows, layout, reference, sd_interaction, sd_well)
    said = [
        f"{name} SD {value:.2f} {'from ' + text + ' and the default' if ok else 'is a default'}"
        for name, value, text, ok in (
            ("donor", sd_donor, f"{n_donors} donors", n_donors > 1),
            ("donor x condition", sd_interaction, f"{n_pairs} donor pairs", n_pairs > 1),
            ("well", sd_well, f"{n_groups} sets of wells", n_groups > 0),
        )
    ]
    return Variation(
        events / hours, hours / wells / movie_h, sd_donor, sd_interaction, sd_well, n_donors, n_pairs,
        join_notes(*said),
    )  # fmt: skip


def _well_sd(rows: pd.DataFrame, unit: str) -> tuple[float, int]:
    """Between wells of one donor and condition: excess of squared Pearson residuals over the Poisson share."""
    keys = ["condition"] if unit == "none" else ["condition", unit]
    excess, weight, groups = 0.0, 0.0, 0
    for _, part in rows.groupby(keys):
        part = part[part["exposure_h"] > 0]
        if len(part) < 2 or part["events"].sum() < 4:
            continue
        y, t = part["events"].to_numpy(np.float64), part["exposure_h"].to_numpy(np.float64)
        mu = y.sum() / t.sum() * t
        n = len(y)
        excess += float(((y - mu) ** 2).sum()) * n / (n - 1) - float(mu.sum())
        weight += float((mu**2).sum())
        groups += 1
    if groups == 0 or weight == 0:
        return DEFAULT_SD["well"], 0
    return _drawn_in(float(np.log1p(max(excess / weight, 0.0))), groups, DEFAULT_SD["well"]), groups


def _units(rows: pd.DataFrame, layout: pd.DataFrame, condition: str) -> pd.DataFrame:
    unit = unit_of_replication(layout)
    table = unit_counts(rows, condition, unit)
    table["wells"] = rows[rows["condition"] == condition].groupby(unit).size() if unit != "none" else np.nan
    return table[(table.index != "") & (table["denominator"] > 0) & (table["events"] >= FEWEST_EVENTS)]


def _interaction_sd(rows: pd.DataFrame, layout: pd.DataFrame, reference: str, sd_well: float) -> tuple[float, int]:
    """From the spread of donors' log ratios: it holds two interactions, two wells' errors and two counting errors."""
    base = _units(rows, layout, reference)
    squares, df, pairs = 0.0, 0, 0
    for condition in dict.fromkeys(layout["condition"]):
        other = _units(rows, layout, condition)
        both = base.index.intersection(other.index)
        if condition == reference or len(both) < 2:
            continue
        a, b = other.loc[both], base.loc[both]
        logs = np.log((a["events"] / a["denominator"]) / (b["events"] / b["denominator"]))
        error = float((1 / a["events"] + 1 / b["events"] + sd_well**2 * (1 / a["wells"] + 1 / b["wells"])).mean())
        squares += (len(both) - 1) * (float(logs.var(ddof=1)) - error)
        df += len(both) - 1
        pairs = max(pairs, len(both))
    if df == 0:
        return DEFAULT_SD["interaction"], 0
    return _drawn_in(max(squares / df / 2, 0.0), df, DEFAULT_SD["interaction"]), pairs


def _donor_sd(
    rows: pd.DataFrame, layout: pd.DataFrame, reference: str, sd_interaction: float, sd_well: float
) -> tuple[float, int]:
    base = _units(rows, layout, reference)
    if len(base) < 2:
        return DEFAULT_SD["donor"], 0
    logs = np.log(base["events"] / base["denominator"])
    error = float((1 / base["events"] + sd_well**2 / base["wells"]).mean()) + sd_interaction**2
    return _drawn_in(max(float(logs.var(ddof=1)) - error, 0.0), len(base) - 1, DEFAULT_SD["donor"]), len(base)


def _drawn_in(variance: float, df: int, default: float) -> float:
    """SD of an estimated variance drawn towards the default's by their degrees of freedom.

    Notes
    -----
    Moderated variance of Smyth GK (2004), Stat Appl Genet Mol Biol 3:3, with the default as prior.
    """
    return float(np.sqrt((df * variance + PRIOR_DF * default**2) / (df + PRIOR_DF)))


def power_table(
    variation: Variation,
    ratio: float,
    *,
    donors: Sequence[int] = (3, 4, 6, 8, 10),
    wells: Sequence[int] = (1, 2, 4),
    hours: Sequence[float] = (24, 48),
    sims: int = 400,
    seed: int = 0,
    level: float = 0.95,
) -> pd.DataFrame:
    """Chance to find a ratio of a given size, by simulating the experiment and the test the program would make.

    Parameters
    ----------
    variation : Variation
        Rate and spreads.
    ratio : float
        Treated over reference to be found, not 1.
    donors, wells, hours : sequence
        Designs: donors (2 and more), wells per donor and condition, hours of movie.
    sims : int
        Simulated experiments per design.
    seed : int
        Of the random generator.
    level : float
        One less the significance level.

    Returns
    -------
    pandas.DataFrame
        donors, wells, hours, power, power_error (Monte-Carlo), power_cautious (donor x condition SD at its upper 80 %
        limit), events_reference, events_treated (expected per donor).

    Raises
    ------
    CicimageError
        A ratio that is no effect, or fewer than two donors.
    """
    if not (np.isfinite(ratio) and ratio >= 0) or ratio == 1:
        raise CicimageError(f"plan: ratio must be an effect, 0 or more and not 1, got {ratio}; e.g. 0.5 or 2")
    if min(donors) < 2 or min(wells) < 1 or min(hours) <= 0:
        raise CicimageError(
            f"plan: designs need 2 donors, 1 well and some hours, got {min(donors)}, {min(wells)}, {min(hours)}"
        )
    rows = []
    rng = np.random.default_rng(seed)
    careful = variation.cautious()
    for h in hours:
        for w in wells:
            for g in donors:
                power, error = _power(rng, variation, ratio, g, w, h, sims, level)
                low, _ = _power(rng, careful, ratio, g, w, h, sims, level)
                mean = variation.rate_per_h * variation.hours_at_risk_per_well_h * h * w
                rows.append({
                    "donors": g, "wells": w, "hours": float(h), "power": power, "power_error": error,
                    "power_cautious": low, "events_reference": mean, "events_treated": mean * ratio,
                })  # fmt: skip
    return pd.DataFrame(rows)


def _power(
    rng: np.random.Generator, v: Variation, ratio: float, g: int, w: int, h: float, sims: int, level: float
) -> tuple[float, float]:
    """Share of simulated experiments that find the effect, and its Monte-Carlo error."""
    mean = v.rate_per_h * v.hours_at_risk_per_well_h * h
    log = rng.normal(0, v.sd_donor, (sims, g, 1, 1)) + rng.normal(0, v.sd_interaction, (sims, g, 2, 1))
    log = log + rng.normal(0, v.sd_well, (sims, g, 2, w))
    arms = np.array([1.0, ratio]).reshape(1, 1, 2, 1)
    y = rng.poisson(np.exp(log) * mean * arms).sum(axis=3).astype(np.float64)
    by_t = y.min(axis=(1, 2)) > 0
    found = np.zeros(sims)
    logs = np.log(y[by_t, :, 1] / y[by_t, :, 0])
    if len(logs):
        error = logs.std(axis=1, ddof=1) / np.sqrt(g)
        found[by_t] = np.abs(logs.mean(axis=1)) > t_quantile(0.5 + level / 2, g - 1) * error
    few = np.flatnonzero(~by_t)
    fitted = few[:MOST_COUNT_FITS]
    hits = np.array([_count_test(y[i], level) for i in fitted], dtype=np.float64)
    if len(few):
        found[few] = hits.mean()
    power = float(found.mean())
    n = int(by_t.sum()) + len(fitted)
    return power, float(np.sqrt(max(power * (1 - power), 0.0) / n))


def _count_test(y: Float64Array, level: float) -> bool:
    ones = np.ones(len(y))
    return bool(profile_ratio(y[:, 1], ones, y[:, 0], ones, level).p_value < 1 - level)
