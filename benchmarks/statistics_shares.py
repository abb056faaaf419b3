"""Cells of the simulation of the statistics: shares and incidences over donors that differ."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from scipy import special
from statistics_cells import Cell, Rows, share

from cicimage.statistics.count_kernels import median_logit
from cicimage.statistics.first_entry import cumulative_incidence
from cicimage.statistics.intervals import binomial_interval
from cicimage.statistics.share_model import mean_share

SHARES: Final = (
    # donors, SD of the logit, mean share, cells a donor (0: 5 to 100, drawn)
    (2, 0.4, 0.1, 30), (2, 1.2, 0.3, 100), (3, 0.4, 0.02, 100), (3, 1.2, 0.5, 100), (3, 0.8, 0.1, 0), (4, 1.2, 0.1, 20),
    (4, 0.8, 0.3, 100), (6, 1.2, 0.1, 5), (6, 1.2, 0.02, 100), (6, 0.8, 0.1, 100), (6, 0.4, 0.5, 20),
    (10, 0.4, 0.1, 100),
    (10, 0.8, 0.5, 5), (10, 1.2, 0.3, 100), (10, 1.2, 0.1, 0), (10, 0.8, 0.02, 20),
)  # fmt: skip
INCIDENCES: Final = ((3, 0.7, 0.002), (3, 0.7, 0.02), (6, 1.0, 0.002), (6, 0.7, 0.02), (10, 1.0, 0.005))
HOURS: Final = 24.0


def shares(sims: int, cell: Cell) -> Rows:
    """Interval of the mean over donors of the donor's share."""
    rows = []
    for donors, sd, mean, cells in SHARES:

        def made(rng: np.random.Generator, g=donors, s=sd, m=mean, n=cells) -> list[str]:
            return _share_cell(rng, sims, g, s, m, n)

        of = f"{cells}" if cells else "5 to 100"
        rows.append([str(donors), f"{sd:g}", f"{mean:g}", of, *cell(f"{donors} {sd:g} {mean:g} {of}", made)])
    return rows


def _share_cell(rng: np.random.Generator, sims: int, donors: int, sd: float, mean: float, cells: int) -> list[str]:
    centre = median_logit(float(special.logit(mean)), sd)
    size = (donors,)
    held, pooled, said, at_end, width = [], [], [], [], []
    for _ in range(sims):
        n = np.full(size, cells) if cells else np.round(5 * 20 ** rng.random(size))
        y = rng.binomial(n.astype(int), special.expit(centre + sd * rng.normal(size=size)))
        fit = mean_share(y / n, n)
        exact = binomial_interval(float(y.sum()), float(n.sum()))
        held.append(fit.low <= mean <= fit.high)
        pooled.append(exact.low <= mean <= exact.high)
        said.append(bool(fit.caution()))
        at_end.append(bool(((y == 0) | (y == n)).any()))
        width.append(fit.high - fit.low)
    return [
        f"{100 * np.mean(at_end):.0f}", share(np.array(held)), f"{100 * np.mean(said):.0f}", f"{np.median(width):.2f}",
        share(np.array(pooled)),
    ]  # fmt: skip


def donor_incidence(sims: int, cell: Cell) -> Rows:
    """Interval of the mean over donors of the incidence by 24 h, death competing, a tenth of guests lost a day."""
    rows = []
    for donors, sd, entry in INCIDENCES:

        def made(rng: np.random.Generator, g=donors, s=sd, e=entry) -> list[str]:
            return _incidence_cell(rng, sims, g, s, e)

        rows.append([str(donors), f"{sd:g}", f"{entry:g}", *cell(f"{donors} {sd:g} {entry:g}", made)])
    return rows


def _incidence_cell(rng: np.random.Generator, sims: int, donors: int, sd: float, entry: float) -> list[str]:
    death, lost, guests = 0.01, 0.005, 40
    many = entry * np.exp(rng.normal(0, sd, 400_000))
    true = float((many / (many + death) * -np.expm1(-(many + death) * HOURS)).mean())
    held, pooled, estimate = [], [], []
    for _ in range(sims):
        each = [_donor(rng, r, death, lost, guests) for r in entry * np.exp(rng.normal(0, sd, donors))]
        found = [cumulative_incidence(records, HOURS) for records in each]
        fit = mean_share([f.estimate for f in found], [f.cells for f in found])
        whole = cumulative_incidence(pd.concat(each), HOURS)
        held.append(fit.low <= true <= fit.high)
        pooled.append(whole.low <= true <= whole.high)
        estimate.append(fit.estimate)
    return [f"{true:.3f}", f"{np.mean(estimate):.3f}", share(np.array(held)), share(np.array(pooled))]


def _donor(rng: np.random.Generator, entry: float, death: float, lost: float, guests: int) -> pd.DataFrame:
    """Records of first entry, seen every half hour."""
    when = np.stack([rng.exponential(1 / rate, guests) for rate in (entry, death, lost)])
    seen = np.ceil(when.min(axis=0) * 2) / 2
    cause = np.where(seen <= HOURS, np.array([1, 2, 0])[when.argmin(axis=0)], 0)
    return pd.DataFrame({"start_h": 0.0, "stop_h": np.minimum(seen, HOURS), "cause": cause})
