"""The cells of the simulation of the statistics: experiments drawn from known rates, and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from scipy import stats

from cicimage.statistics.count_model import profile_rate
from cicimage.statistics.first_entry import loglog_limits
from cicimage.statistics.intervals import log_t_interval
from cicimage.statistics.misclassification import corrected_rate, error_rates
from cicimage.statistics.multistate import aalen_johansen
from cicimage.statistics.ratios import paired_ratio, unpaired_ratio
from cicimage.statistics.risk_tables import RiskTables, hazard_over_units

DONORS: Final = (3, 4, 6, 10)
SPREADS: Final = {"low": (0.4, 0.2, 0.1), "middle": (0.7, 0.4, 0.25), "high": (1.0, 0.6, 0.4)}
WELLS: Final = 2
Rows = list[list[str]]
Made = Callable[[np.random.Generator], list[str]]
Cell = Callable[[str, Made], list[str]]
"""Gives the cell of a name: from the store, or made with a generator of its own and stored."""


def share(hits: np.ndarray) -> str:
    """Percent with its Monte-Carlo standard error."""
    if len(hits) == 0:
        return "-"
    p = float(np.mean(hits))
    return f"{100 * p:.1f} ± {100 * np.sqrt(max(p * (1 - p), 1e-9) / len(hits)):.1f}"


def draw_counts(
    rng: np.random.Generator, sims: int, donors: int, spread: tuple[float, float, float], means: tuple[float, float]
) -> np.ndarray:
    """Counts (sims, donors, 2 arms) summed over wells; exposure 1 each."""
    sd_donor, sd_interaction, sd_well = spread
    log = rng.normal(0, sd_donor, (sims, donors, 1, 1)) + rng.normal(0, sd_interaction, (sims, donors, 2, 1))
    log = log + rng.normal(0, sd_well, (sims, donors, 2, WELLS))
    return rng.poisson(np.exp(log) * np.asarray(means).reshape(1, 1, 2, 1) / WELLS).sum(3).astype(np.float64)


def gee_closed(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log ratio and bias-reduced SE of GEE with independence for two arms of equal exposure per donor.

    With one column per arm the hat matrix of a donor is diagonal, so Mancl and DeRouen's correction is a division.
    """
    total = y.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = total / y.shape[1]
        leverage = 1.0 / y.shape[1]
        influence = (y - mean) / (1 - leverage) / total
        beta = np.log(total[:, 0, 1] / total[:, 0, 0])
        return beta, np.sqrt(((influence[:, :, 1] - influence[:, :, 0]) ** 2).sum(axis=1))


def ratios(sims: int, cell: Cell) -> Rows:
    """Paired arms: the program's rule against pooled cells and GEE."""
    scenarios = (
        ("null, plenty", 1.0, 60.0), ("null, moderate", 1.0, 15.0), ("null, few", 1.0, 3.0),
        ("halved, plenty", 0.5, 60.0), ("blockade, 0-3 left", 0.04, 40.0),
    )  # fmt: skip
    rows = []
    for donors in DONORS:
        for spread_name, spread in SPREADS.items():
            for name, ratio, mean in scenarios:

                def made(rng: np.random.Generator, g=donors, sd=spread, r=ratio, n=mean) -> list[str]:
                    return _ratio_cell(draw_counts(rng, sims, g, sd, (n, n * r)), r)

                rows.append([str(donors), spread_name, name, *cell(f"{donors} {spread_name} {name}", made)])
    return rows


def _ratio_cell(y: np.ndarray, ratio: float) -> list[str]:
    ones = np.ones(y.shape[1])
    found = [paired_ratio(e[:, 1], ones, e[:, 0], ones) for e in y]
    made = np.array([np.isfinite(c.high) or c.low > 0 for c in found])
    low, high, p = (np.array([getattr(c, k) for c in found]) for k in ("low", "high", "p_value"))
    by_t = y.min(axis=(1, 2)) > 0
    covered = (low <= ratio) & (ratio <= high)
    pooled = y.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = (pooled[:, 1] - pooled[:, 0]) / np.sqrt(pooled.sum(axis=1))
        beta, error = gee_closed(y)
        gee = np.abs(beta / error)
    known = np.isfinite(gee)
    null = ratio == 1.0
    g = y.shape[1]
    return [
        f"{100 * by_t.mean():.0f}", f"{100 * (1 - made.mean()):.1f}",
        share(p[made] < 0.05) if null else "", share(covered[made]), share(covered[made & ~by_t]),
        share(np.abs(z) > 1.96) if null else "",
        share(gee[known] > 1.96) if null else "",
        share(gee[known] > stats.t.ppf(0.975, g - 2)) if null and g > 2 else "",
    ]  # fmt: skip


def unpaired(sims: int, cell: Cell) -> Rows:
    """Each donor in one arm only: GEE with bias-reduced errors and t(G - 2)."""
    rows = []
    for donors in DONORS:
        for spread_name, (sd_donor, sd_interaction, sd_well) in SPREADS.items():
            for name, mean in (("plenty", 60.0), ("moderate", 15.0), ("few", 3.0)):
                sd = float(np.sqrt(sd_donor**2 + sd_interaction**2 + sd_well**2 / WELLS))

                def made(rng: np.random.Generator, g=donors, s=sd, n=mean) -> list[str]:
                    return _unpaired_cell(rng.poisson(n * np.exp(rng.normal(0, s, (sims, 2 * g)))).astype(np.float64))

                found = cell(f"{donors} {spread_name} {name}", made)
                rows.append([f"{donors} + {donors}", spread_name, name, *found])
    return rows


def _unpaired_cell(y: np.ndarray) -> list[str]:
    donors = y.shape[1] // 2
    total = np.stack([y[:, :donors].sum(1), y[:, donors:].sum(1)], axis=1)
    keep = (total > 0).all(axis=1)
    by_t = (y.min(axis=1) > 0)[keep]
    stat, gee_p = gee_unpaired(y, total)
    ones = np.ones(donors)
    p = np.array([unpaired_ratio(e[:donors], ones, e[donors:], ones).p_value for e in y[keep]])
    pooled = np.abs(total[:, 1] - total[:, 0]) / np.sqrt(total.sum(1).clip(1))
    return [
        f"{100 * by_t.mean():.0f}", share(p < 0.05), share(gee_p[keep] < 0.05), share(stat[keep] > 1.96),
        share(pooled > 1.96),
    ]  # fmt: skip


def gee_unpaired(y: np.ndarray, total: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """|t| of GEE with bias-reduced errors in closed form (tests hold it against statsmodels) and its p by t(G - 2)."""
    n = y.shape[1] // 2
    parts = (y[:, :n], y[:, n:])
    influence = [(v - v.mean(1, keepdims=True)) / (1 - 1 / n) / np.maximum(v.sum(1, keepdims=True), 1) for v in parts]
    error = np.sqrt(sum((v**2).sum(1) for v in influence))
    with np.errstate(divide="ignore", invalid="ignore"):
        stat = np.abs(np.log(total[:, 1] / total[:, 0])) / error
    return stat, 2 * stats.t.sf(stat, 2 * n - 2)


def draw_lives(
    rng: np.random.Generator,
    sims: int,
    donors: int,
    guests: int,
    death: float,
    hazard_ratio: float,
    spread: tuple[float, float, float],
) -> tuple[np.ndarray, ...]:
    """Counts of guests over 24 one-hour steps as binomial draws, the baseline hazard a donor's own.

    Returns
    -------
    tuple of (sims, donors, 24) arrays
        At risk never inside, inside, out again; deaths of each.
    """  # fmt: skip
    sd_donor, sd_interaction, sd_well = spread
    base = death * np.exp(rng.normal(0, sd_donor, (sims, donors)))
    ratio = hazard_ratio * np.exp(rng.normal(0, np.hypot(sd_interaction, sd_well), (sims, donors)))
    never = np.full((sims, donors), guests)
    inside = np.zeros_like(never)
    again = np.zeros_like(never)
    p_out, p_in = -np.expm1(-base), -np.expm1(-base * ratio)
    out: list[list[np.ndarray]] = [[] for _ in range(6)]
    for _ in range(24):
        dead = [rng.binomial(n, p) for n, p in ((never, p_out), (inside, p_in), (again, p_out))]
        for k, value in enumerate((never, inside, again, *dead)):
            out[k].append(value)
        never, inside, again = never - dead[0], inside - dead[1], again - dead[2]
        enter, escape, back = rng.binomial(never, 0.04), rng.binomial(inside, 0.06), rng.binomial(again, 0.04)
        never, inside, again = never - enter, inside + enter + back - escape, again + escape - back
    return tuple(np.stack(v, axis=2) for v in out)


def breslow_pooled(n1: np.ndarray, n0: np.ndarray, d1: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log hazard ratio and SE of one stratum per row (Breslow), by Newton's steps on all experiments at once."""
    beta = np.zeros(len(n1))
    for _ in range(40):
        ratio = np.exp(beta)[:, None]
        mean = n1 * ratio / np.maximum(n1 * ratio + n0, 1e-12)
        info = (d * mean * (1 - mean)).sum(1)
        beta = np.clip(beta + np.clip((d1 - d * mean).sum(1) / np.maximum(info, 1e-9), -1, 1), -8, 8)
    return beta, 1 / np.sqrt(np.maximum(info, 1e-9))


def hazard(sims: int, cell: Cell) -> Rows:
    """Death inside against outside: the program's rule against naive Cox."""
    rows = []
    for donors in DONORS:
        for spread_name, spread in SPREADS.items():
            for name, guests, death, ratio in (
                ("null, plenty", 300, 0.02, 1.0), ("null, few deaths", 100, 0.004, 1.0),
                ("HR 0.4, plenty", 300, 0.03, 0.4), ("HR 0.2, 0-3 inside", 100, 0.01, 0.2),
            ):  # fmt: skip

                def made(rng: np.random.Generator, g=donors, n=guests, d=death, r=ratio, sd=spread) -> list[str]:
                    return _hazard_cell(draw_lives(rng, sims, g, n, d, r, sd), r)

                rows.append([str(donors), spread_name, name, *cell(f"{donors} {spread_name} {name}", made)])
    return rows


def _hazard_cell(lives: tuple[np.ndarray, ...], ratio: float) -> list[str]:
    never, inside, again, d_never, d_inside, d_again = lives
    d = d_never + d_inside + d_again
    unit = np.repeat(np.arange(never.shape[1]), never.shape[2])
    found = [
        hazard_over_units(
            RiskTables(unit, *(v[i].ravel().astype(np.float64) for v in (inside, never + again, d_inside, d))), "donor"
        )
        for i in range(len(never))
    ]
    made = np.array([np.isfinite(h.high) or h.low > 0 for h in found])
    by_t = np.array([", t on" in h.method for h in found])
    covered = np.array([h.low <= ratio <= h.high for h in found])
    p = np.array([h.p_value for h in found])
    # naive: donors thrown together, z; and the same on who was ever inside, as if known from the start
    ever_total = (np.diff(never, axis=2, append=never[:, :, -1:]) * -1 - d_never).clip(0).sum(axis=2).sum(axis=1)
    dead_ever = (d_inside + d_again).sum(axis=1)
    at_risk_ever = ever_total[:, None] - np.cumsum(dead_ever, axis=1) + dead_ever
    alive = (never + inside + again).sum(axis=1)
    deaths = d.sum(axis=1)
    naive, naive_se = breslow_pooled(at_risk_ever, (alive - at_risk_ever).clip(0), dead_ever, deaths)
    pooled, pooled_se = breslow_pooled(inside.sum(1), (never + again).sum(1), d_inside.sum(1), deaths)
    null = ratio == 1.0
    return [
        f"{100 * by_t.mean():.0f}", f"{100 * (1 - made.mean()):.1f}", share(p[made] < 0.05) if null else "",
        share(covered[made]), share(covered[made & ~by_t]),
        share(np.abs(pooled / pooled_se) > 1.96) if null else "",
        f"{np.exp(np.median(naive)):.2f}", share(np.abs(naive / naive_se) > 1.96) if null else "",
    ]  # fmt: skip


def incidence(sims: int, cell: Cell) -> Rows:
    """Cumulative incidence of first entry with death competing, delayed entry and losses, seen every half hour."""
    rows = []
    for guests, entry, death, loss in ((60, 0.02, 0.05, 0.01), (200, 0.02, 0.05, 0.01), (200, 0.1, 0.1, 0.05)):

        def made(rng: np.random.Generator, n=guests, e=entry, d=death, o=loss) -> list[str]:
            return _incidence_cell(rng, sims, n, e, d, o)

        rows.append([str(guests), f"{entry}, {death}, {loss}", *cell(f"{guests} {entry}", made)])
    return rows


def _incidence_cell(
    rng: np.random.Generator, sims: int, guests: int, entry: float, death: float, loss: float
) -> list[str]:
    true = entry / (entry + death) * -np.expm1(-(entry + death) * 24)
    estimate, km, covered = np.zeros(sims), np.zeros(sims), np.zeros(sims, bool)
    for i in range(sims):
        when = np.stack([rng.exponential(1 / r, guests) for r in (entry, death, loss)])
        seen = np.ceil(when.min(axis=0) * 2) / 2
        cause = np.where(seen <= 24.0, np.array([1, 2, -1])[when.argmin(axis=0)], -1)
        stop = np.minimum(seen, 24.0)
        start = np.where(rng.random(guests) < 0.3, rng.integers(0, 24, guests) / 2, 0.0)
        keep = stop > start
        zero = np.zeros(int(keep.sum()), np.int64)
        fit = aalen_johansen(start[keep], stop[keep], zero, cause[keep], ("o", "e", "d"), initial=(1.0, 0.0, 0.0))
        p, se = (float(v[1]) for v in fit.at(24.0))
        low, high = loglog_limits(p, se)
        estimate[i], covered[i] = p, low <= true <= high
        hazard_e = fit.transitions[:, 0, 1] / np.maximum(fit.at_risk[:, 0], 1)
        km[i] = 1 - np.prod(1 - hazard_e)
    return [f"{true:.3f}", f"{estimate.mean():.3f}", share(covered), f"{km.mean():.3f}"]


def rates(sims: int, cell: Cell) -> Rows:
    """Interval of one condition's median donor rate: t on log rates, or the count model where a donor has none."""
    rows = []
    for donors in DONORS:
        for spread_name, (sd_donor, sd_interaction, sd_well) in SPREADS.items():
            sd = float(np.sqrt(sd_donor**2 + sd_interaction**2 + sd_well**2 / WELLS))
            for mean in (60.0, 5.0, 0.5):

                def made(rng: np.random.Generator, g=donors, s=sd, n=mean) -> list[str]:
                    return _rate_cell(rng.poisson(n * np.exp(rng.normal(0, s, (sims, g)))).astype(np.float64), n)

                found = cell(f"{donors} {spread_name} {mean}", made)
                rows.append([str(donors), spread_name, f"{mean:g}", *found])
    return rows


def _rate_cell(y: np.ndarray, mean: float) -> list[str]:
    donors = y.shape[1]
    hits = []
    for counts in y:
        fit = log_t_interval(counts) if counts.min() > 0 else profile_rate(counts, np.ones(donors))
        hits.append(fit.low <= mean <= fit.high)
    total = y.sum(axis=1)
    low, high = stats.gamma.ppf(0.025, total), stats.gamma.ppf(0.975, total + 1)
    pooled = (np.nan_to_num(low) / donors <= mean) & (mean <= high / donors)
    return [f"{100 * (y.min(1) > 0).mean():.0f}", share(np.array(hits)), share(pooled)]


def correction(sims: int, cell: Cell) -> Rows:
    """A rate of 0.05 per h in 2000 h, false calls and misses known from a reviewed random sample only."""
    rows = []
    true, hours = 0.05, 2000.0
    for ppv, missed in ((0.95, 0.002), (0.65, 0.01), (0.27, 0.02)):
        for reviewed, watched in ((30, 100.0), (100, 400.0)):

            def made(rng: np.random.Generator, v=ppv, m=missed, n=reviewed, h=watched) -> list[str]:
                return _corrected_cell(rng, sims, true, hours, v, m, n, h)

            found = cell(f"{ppv} {reviewed}", made)
            rows.append([f"{ppv:g}", f"{missed:g}", f"{reviewed} and {watched:g} h", *found])
    return rows


def _corrected_cell(
    rng: np.random.Generator, sims: int, true: float, hours: float, ppv: float, missed: float, reviewed: int,
    watched: float,
) -> list[str]:  # fmt: skip
    calls = rng.poisson((true - missed) / ppv * hours, sims)
    real, found = rng.binomial(reviewed, ppv, sims), rng.poisson(missed * watched, sims)
    made = [
        corrected_rate(float(c), hours, error_rates(int(r), reviewed, int(f), watched))
        for c, r, f in zip(calls, real, found, strict=True)
    ]
    raw = np.array([m.raw.low <= true <= m.raw.high for m in made])
    covered = np.array([m.corrected.low <= true <= m.corrected.high for m in made])
    mean = np.mean([m.corrected.estimate for m in made])
    return [f"{calls.mean() / hours:.3f}", share(raw), f"{mean:.3f}", share(covered)]
