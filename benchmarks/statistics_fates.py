"""Cells of the simulation of the statistics: deaths inside that a marker does not reach, and the bounds given then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from statistics_cells import Cell, Rows, share

from cicimage.statistics.inside_hazard import MAX_UNKNOWN_SHARE, inside_hazard, unknown_share

OUT, IN, DEAD_IN, DEAD_OUT, GONE = range(5)
PLACE: Final = np.array(["free", "inside", "inside", "free", "free"], dtype=object)


@dataclass(frozen=True)
class Lives:
    """Rates per hour of guests under a marker that is blind inside, one frame an hour for a day.

    Attributes
    ----------
    ratio : float
        Median donor's hazard of death inside over outside.
    escape, host_death, lost : float
        Living guests come out; hosts die and let go of living and dead; guests inside are lost from view.
    unread : float
        Chance that a frame outside cannot be read.
    death, enter : float
        Hazard outside; entries.
    """

    ratio: float
    escape: float = 0.05
    host_death: float = 0.0
    lost: float = 0.0
    unread: float = 0.0
    death: float = 0.02
    enter: float = 0.06


SCENARIOS: Final = {
    "stays to the end": Lives(1.0, escape=0.01),
    "some come out": Lives(1.0),
    "nearly all come out": Lives(1.0, escape=0.5, enter=0.15),
    "hosts die": Lives(1.0, escape=0.1, host_death=0.1),
    "lost inside": Lives(1.0, lost=0.05),
    "unread outside": Lives(1.0, escape=0.2, host_death=0.05, unread=0.05),
    "few deaths": Lives(1.0, death=0.003),
    "ratio 0.3, hosts die": Lives(0.3, escape=0.1, host_death=0.1),
    "ratio 3, nearly all come out": Lives(3.0, escape=0.5, enter=0.15),
}
CELLS: Final = (
    *((3, name) for name in SCENARIOS), (2, "hosts die"), (6, "hosts die"), (6, "nearly all come out"),
)  # fmt: skip


def draw_fates(
    rng: np.random.Generator, lives: Lives, donors: int, guests: int, spread: tuple[float, float]
) -> pd.DataFrame:
    """Table ``frames`` of one condition, a position a donor; SD of the donors' log hazard, and of their log ratio."""
    base = lives.death * np.exp(rng.normal(0, spread[0], donors))
    ratio = lives.ratio * np.exp(rng.normal(0, spread[1], donors))
    donor = np.repeat(np.arange(donors), guests)
    state = np.full(len(donor), OUT)
    states = [state]
    for _ in range(24):
        state = _step(rng, state, base[donor], ratio[donor], lives)
        states.append(state)
    grid = np.stack(states, axis=1)
    seen = grid != GONE
    read = seen & np.isin(grid, (OUT, DEAD_OUT)) & (rng.random(grid.shape) >= lives.unread)
    viability = np.where(read, np.where(grid == DEAD_OUT, "dead", "alive"), "unknown").astype(object)
    _by_later_readings(viability)
    at, frame = np.nonzero(seen)
    return pd.DataFrame({
        "position": [f"p{d}" for d in donor[at]], "guest_id": at + 1, "frame": frame, "time_h": frame.astype(float),
        "location": PLACE[grid[at, frame]], "viability": viability[at, frame], "contact": "none", "host_id": 0,
        "p_inside": np.nan,
    })  # fmt: skip


def _step(rng: np.random.Generator, state: np.ndarray, base: np.ndarray, ratio: np.ndarray, lives: Lives) -> np.ndarray:
    """Where each guest is an hour later: of the competing hazards the first to strike."""
    n = len(state)
    when = lambda rate: rng.exponential(1.0, n) / np.maximum(rate, 1e-12)  # noqa: E731
    die = when(np.where(state == IN, base * ratio, base))
    enter, escape, host, lost = (when(np.full(n, r)) for r in (lives.enter, lives.escape, lives.host_death, lives.lost))
    out = state.copy()
    first = np.minimum(die, enter)
    out[(state == OUT) & (first < 1)] = np.where(die < enter, DEAD_OUT, IN)[(state == OUT) & (first < 1)]
    inside = (state == IN) & (np.minimum.reduce([die, escape, host, lost]) < 1)
    which = np.stack([die, escape, host, lost]).argmin(axis=0)
    out[inside] = np.array([DEAD_IN, OUT, OUT, GONE])[which[inside]]
    body = (state == DEAD_IN) & (np.minimum(host, lost) < 1)
    out[body] = np.where(host < lost, DEAD_OUT, GONE)[body]
    return out


def _by_later_readings(viability: np.ndarray) -> None:
    """As the program judges: who reads alive later was alive before; who reads dead is dead from then on."""
    alive, dead = viability == "alive", viability == "dead"
    later = np.flip(np.maximum.accumulate(np.flip(alive, 1), 1), 1)
    viability[later & (viability == "unknown")] = "alive"
    viability[np.maximum.accumulate(dead, 1)] = "dead"


def fates(sims: int, cell: Cell) -> Rows:
    """Bounds of the hazard ratio and of the rate inside: how often they hold the truth, and how far apart they are."""
    rows = []
    for donors, name in CELLS:

        def made(rng: np.random.Generator, g=donors, what=SCENARIOS[name]) -> list[str]:
            return _fates_cell(rng, sims, g, what)

        rows.append([str(donors), name, *cell(f"{donors} {name}", made)])
    return rows


def _fates_cell(rng: np.random.Generator, sims: int, donors: int, lives: Lives) -> list[str]:
    low, high, none_given, not_blind = [], [], 0, 0
    unit_of = pd.Series({f"p{d}": f"D{d}" for d in range(donors)})
    for _ in range(sims):
        frames = draw_fates(rng, lives, donors, 80, (0.5, 0.3))
        if unknown_share(frames, "inside") <= MAX_UNKNOWN_SHARE:
            not_blind += 1
            continue
        found = inside_hazard(frames, unit_of, "donor")
        if np.isnan(found.bound_high):
            none_given += 1
            continue
        low.append(found.bound_low)
        high.append(found.bound_high)
    a, b = np.array(low), np.array(high)
    held = (a <= lives.ratio) & (lives.ratio <= b)
    return [
        f"{100 * not_blind / sims:.0f}", f"{100 * none_given / sims:.0f}", share(held),
        f"{np.median(a):.2g} to {np.median(b):.2g}" if len(a) else "-",
    ]  # fmt: skip
