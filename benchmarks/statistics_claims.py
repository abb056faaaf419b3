"""Cells of the simulation that ask what is claimed: by the verdict's sentences, and by arms of different donors."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from scipy import stats
from statistics_cells import Cell, Rows, share

from cicimage.figures.decision import strength
from cicimage.report.verdict import verdict
from cicimage.statistics.adjustment import adjust_family
from cicimage.statistics.comparisons import as_row, compare
from cicimage.statistics.design import complete_layout
from cicimage.statistics.interactions import interactions
from cicimage.statistics.ratios import paired_ratio
from cicimage.statistics.unpaired import Arm, fit_unpaired, welch_holds
from cicimage.tables import EVENTS, GUESTS, RATES, RATES_BY_REPLICATE, conform, empty

SIZES: Final = ((2, 2), (2, 8), (3, 3), (3, 8), (3, 10), (4, 4), (4, 8))
SD_OF_ARMS: Final = ((0.7, 0.7), (1.2, 0.4), (0.4, 1.2))
FAMILIES: Final = ((1, 3), (1, 5), (3, 3), (3, 5), (6, 3), (6, 5), (8, 3))
"""Drugs and donors."""
PRIMARY: Final = {
    "plenty of entries": ("entry_rate_per_guest_h", 20.0),
    "few entries": ("entry_rate_per_guest_h", 2.0),
    "share of hosts": ("hosts_with_guest_fraction", 0.3),
}
HOSTS: Final = 40
DEATHS: Final = 12.0
PAIR: Final = [("first x second", ["vehicle", "drug 1", "drug 2", "drug 3"])]
"""The factors of three drugs, as ``factor_pairs`` finds them; :func:`_as_said` holds it against that."""
READ: Final = 8
"""Experiments of each cell whose verdict is written and read."""


def designs(sims: int, cell: Cell) -> Rows:
    """Arms of different donors, ratio 1, numbers of donors and spreads alike or not."""
    rows = []
    for n, m in SIZES:
        for sd in SD_OF_ARMS if n != m else SD_OF_ARMS[:2]:
            for name, mean in (("plenty", 60.0), ("moderate", 15.0), ("few", 3.0)):

                def made(rng: np.random.Generator, a=n, b=m, s=sd, events=mean) -> list[str]:
                    y1, y0 = (
                        rng.poisson(events * np.exp(rng.normal(0, spread, (sims, k)))).astype(np.float64)
                        for spread, k in zip(s, (a, b), strict=True)
                    )
                    return _design_cell(y1, y0)

                label = f"{n} against {m}", f"{sd[0]:g} and {sd[1]:g}", name
                rows.append([*label, *cell(" ".join(label), made)])
    return rows


def _design_cell(y1: np.ndarray, y0: np.ndarray) -> list[str]:
    seen = (y1.sum(axis=1) + y0.sum(axis=1)) > 0
    arms = [(Arm(a, np.ones(len(a))), Arm(b, np.ones(len(b)))) for a, b in zip(y1[seen], y0[seen], strict=True)]
    fits = [fit_unpaired(a, b) for a, b in arms]
    p = np.zeros(len(y1)) + 1.0
    p[seen] = [f.p_value for f in fits]
    excluded = np.zeros(len(y1), bool)
    excluded[seen] = [f.low > 1 or f.high < 1 for f in fits]
    full = (y1.min(axis=1) > 0) & (y0.min(axis=1) > 0)
    logs = np.log(y1[full]), np.log(y0[full])
    with np.errstate(invalid="ignore", divide="ignore"):
        rivals = [stats.ttest_ind(*logs, axis=1, equal_var=same).pvalue < 0.05 for same in (True, False)]
    how = f"{100 * np.mean([f.how == 'welch' for f in fits]):.0f}"
    return [
        "Welch" if welch_holds(y1.shape[1], y0.shape[1]) else "limits put together", how, share(p < 0.05),
        share(excluded), *(share(r) for r in rivals),
    ]  # fmt: skip


def claims(sims: int, cell: Cell) -> Rows:
    """What the verdict claims of experiments in which nothing has any effect."""
    rows = []
    for name, (primary, level) in PRIMARY.items():
        for drugs, donors in FAMILIES if name == "plenty of entries" else FAMILIES[2:6]:

            def made(rng: np.random.Generator, family=(drugs, donors), what=primary, mean=level) -> list[str]:
                return _claims_cell(rng, sims, family, what, mean)

            rows.append([name, str(drugs), str(donors), *cell(f"{name} {drugs} {donors}", made)])
    return rows


Counts = dict[str, tuple[np.ndarray, float]]
"""By estimand: events (donors, 1 + drugs), the reference first, and the exposure of each."""


def _experiment(rng: np.random.Generator, drugs: int, donors: int, primary: str, level: float) -> Counts:
    own = np.exp(rng.normal(0, 0.7, donors))[:, None] * np.exp(rng.normal(0, 0.4, (donors, drugs + 1)))
    odds = level / (1 - level) * own
    share_of = primary.endswith("fraction")
    events = rng.binomial(HOSTS, odds / (1 + odds)) if share_of else rng.poisson(level * own)
    counts = {primary: (events, float(HOSTS) if share_of else 1.0)}
    hazard = np.exp(rng.normal(0, 0.5, donors))[:, None]
    for place in ("inside", "outside"):
        spread = np.exp(rng.normal(0, 0.3, (donors, drugs + 1)))
        counts[f"death_rate_{place}_per_h"] = (rng.poisson(DEATHS * hazard * spread), 1.0)
    return {k: (y.astype(np.float64), n) for k, (y, n) in counts.items()}


def _conditions(drugs: int) -> list[str]:
    return ["vehicle", *(f"drug {i + 1}" for i in range(drugs))]


def _layout(drugs: int, donors: int) -> pd.DataFrame:
    """Wells of one donor and condition each; three drugs are two factors and both together."""
    layout = pd.DataFrame(
        {"position": f"{c} D{d}", "condition": c, "donor": f"D{d}", "at": i}
        for i, c in enumerate(_conditions(drugs))
        for d in range(donors)
    )
    at = layout.pop("at")
    if drugs == 3:
        layout = layout.assign(first=(at % 2).astype(str), second=(at // 2).astype(str))
    return complete_layout(layout)


def _claims(counts: Counts, primary: str, layout: pd.DataFrame) -> tuple[bool, ...]:
    """Whether the headline, an interaction and a sentence on deaths claim anything; what unadjusted limits would.

    The decision of :func:`cicimage.figures.decision.strength` on the rows that ``compare`` makes, without its tables;
    :func:`_as_said` holds it against the whole way.
    """
    events, size = counts[primary]
    ones = np.full(len(events), size)
    conditions = _conditions(events.shape[1] - 1)

    def drugs(level: float) -> list[dict[str, object]]:
        return [as_row(paired_ratio(y, ones, events[:, 0], ones, level=level)) for y in events.T[1:]]

    inside, outside = (counts[f"death_rate_{p}_per_h"][0] for p in ("inside", "outside"))
    unit = np.ones(len(events))

    def deaths(level: float) -> list[dict[str, object]]:
        return [as_row(paired_ratio(a, unit, b, unit, level=level)) for a, b in zip(inside.T, outside.T, strict=True)]

    def both(level: float) -> list[dict[str, object]]:
        arms = {
            c: pd.DataFrame({"events": y, "denominator": ones}, index=[f"D{d}" for d in range(len(y))])
            for c, y in zip(conditions, events.T, strict=True)
        }
        return interactions(arms, layout, "vehicle", "donor", level, PAIR)

    rows = adjust_family(drugs)
    together = adjust_family(both) if events.shape[1] == 4 else []
    firm = [any(strength(r) == "differs" for r in of) for of in (rows, together, adjust_family(deaths))]
    none_seen = any(strength(r) == "differs" and r["ratio"] == 0 for r in rows)
    return firm[0], none_seen, firm[1], firm[2], any(r["ci_low"] > 1 or r["ci_high"] < 1 for r in rows)


def _as_said(counts: Counts, primary: str, layout: pd.DataFrame) -> tuple[bool, ...]:
    """The same read from the sentences of the verdict, by tables."""
    donors = list(dict.fromkeys(layout["donor"]))
    rows = [
        {
            "estimand": estimand, "condition": c, "donor": donor, "experiment": "", "replicate": f"{c} {donor}",
            "estimate": y / n, "unit": "", "events": y, "exposure_h": n, "denominator": n,
            "n_guests": 10, "n_hosts": HOSTS, "n_positions": 1, "n_replicates": 1, "n_donors": 1, "method": "",
            "note": "",
        }
        for estimand, (events, n) in counts.items()
        for c, of in zip(_conditions(events.shape[1] - 1), events.T, strict=True)
        for donor, y in zip(donors, of, strict=True)
    ]  # fmt: skip
    wells = conform(RATES_BY_REPLICATE, pd.DataFrame(rows))
    found = compare(wells, "vehicle", layout, estimands=[primary], primary=primary)
    tables = {"rates": empty(RATES), "guests": empty(GUESTS), "events": empty(EVENTS), "comparisons": found}
    said = verdict(tables, primary, reference="vehicle")
    of = found[(found["estimand"] == primary) & (found["reference"] == "vehicle")]
    sentences = [f.sentence for f in said.findings]
    headline = "than in vehicle" in said.headline
    none_seen = any(s.startswith("No ") and "no difference" not in s for s in sentences)
    together = any(s.startswith("Together") and " gave a " in s for s in sentences)
    deaths = any("death was rarer" in c or "death was more frequent" in c for c in said.cautions)
    return headline, none_seen, together, deaths, bool(((of["ci_low"] > 1) | (of["ci_high"] < 1)).any())


def _claims_cell(rng: np.random.Generator, sims: int, family: tuple[int, int], primary: str, level: float) -> list[str]:
    drugs, donors = family
    layout, said = _layout(drugs, donors), []
    for i in range(sims):
        counts = _experiment(rng, drugs, donors, primary, level)
        said.append(_claims(counts, primary, layout))
        if i < READ and _as_said(counts, primary, layout) != said[-1]:
            raise AssertionError(f"the verdict says {_as_said(counts, primary, layout)}, the decision is {said[-1]}")
    return [share(np.array(c)) for c in zip(*said, strict=True)]
