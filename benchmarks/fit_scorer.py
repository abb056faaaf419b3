"""Fit the Markov scorer's parameter file from simulation: ``python benchmarks/fit_scorer.py --work DIR``.

Emissions are learned from guests found by the pipeline in scenarios drawn from the ranges of life
(``scorer_data.py``), one set per kind of optics. The rates of the chain are not fitted but set from the literature's
ranges, for rare entries. Seeds from 1000 on are used, and only movies kept out of the fit choose how much
neighbouring frames repeat each other.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from lib.scorer_data import FIRST_SEED, REGIMES, collect, draw_scenario

from cicimage.events.chain import Chain
from cicimage.events.emissions import CLASSES, DEPTHS
from cicimage.events.fitting import fit_emissions
from cicimage.events.parameters import (
    PHASES,
    STATE_CLASSES,
    Regime,
    ScorerParameters,
    combined_blur_um,
    write_parameters,
)

OUT: Final = Path(__file__).parents[1] / "cicimage" / "events" / "parameters.toml"
LAYER: Final = (-0.4, 0.0, 0.1, 0.2, 0.35, 0.6, 1.0, 2.0, 4.0)
SHARE: Final = (0.0, 0.1, 0.2, 0.3, 0.45, 0.6, 0.75, 0.9, 1.0)
SPEED: Final = (-1.5, -1.0, -0.5, 0.0, 0.5, 1.0)
NEAR: Final = {"footprint_share": (0.0, 0.25, 0.5, 0.75, 0.95, 1.0), "gap_um": (0.0, 0.3, 0.8, 1.5, 3.0)}
DEEP: Final[Mapping[str, tuple[float, ...]]] = {
    "cap_um": LAYER, "floor_um": LAYER, "wall_lower": SHARE, "wall_upper": SHARE, "ring_coverage": SHARE,
    "void": (-0.3, 0.0, 0.2, 0.4, 0.6, 0.8, 1.0), "body": (-0.1, 0.0, 0.1, 0.25, 0.5, 1.0),
    "clearance_um": (-6.0, -3.0, -1.5, -0.5, 0.5, 1.5, 3.0), "z_in_host": (-0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0),
    "edge_lower": SHARE, "lining": (-0.6, -0.3, -0.15, 0.0, 0.15, 0.3), "log_speed": SPEED, **NEAR,
}  # fmt: skip
FLAT: Final[Mapping[str, tuple[float, ...]]] = {
    "void": (-0.6, -0.3, -0.1, 0.0, 0.1, 0.2, 0.35, 0.5, 0.7), "ring_coverage": SHARE,
    "wall": (0.4, 0.7, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0), "sharpness": (-0.3, -0.1, 0.0, 0.1, 0.2, 0.35, 0.6),
    "log_speed": SPEED, **NEAR,
}  # fmt: skip
NOMINAL_BLUR_UM: Final = {
    "fine": combined_blur_um(1.6, 1.0),
    "coarse": combined_blur_um(2.35, 1.8),
    "flat": None,
    "plane": None,
    "membrane": combined_blur_um(1.6, 1.0),
}
STAIN: Final = {"membrane": "membrane"}
HELD_MIN: Final = {"fine": 5.0, "coarse": 5.0, "flat": 5.0, "plane": 5.0, "membrane": 5.0}
"""Minutes within which frames repeat each other on whether a host is closed."""
REPEATS_MIN: Final = {"fine": 5.0, "coarse": 5.0, "flat": 5.0, "plane": 5.0, "membrane": 5.0}
"""The same for each piece of evidence; a guest's speed is its own for hours."""
SPEED_REPEATS_MIN: Final = 60.0
SEEDS: Final = {
    "fine": (*range(1100, 1112), *range(1200, 1209)), "coarse": (*range(1100, 1111), *range(1200, 1209)),
    "flat": (*range(1100, 1111), *range(1200, 1209)), "plane": (*range(1100, 1108), *range(1200, 1208)),
    "membrane": tuple(range(1200, 1214)),
}  # fmt: skip
"""One simulated movie each."""

# per hour; entry and durations from the ranges of live recordings, entries rare
OUTSIDE: Final[Mapping[str, Mapping[str, float]]] = {
    "free": {"lateral": 0.5, "on_top": 0.5, "under": 0.15},
    "lateral": {"free": 0.5, "on_top": 0.6, "under": 0.4},
    "on_top": {"free": 0.2, "lateral": 0.4, "between": 0.05, "under": 0.02},
    "under": {"free": 0.05, "lateral": 0.3, "between": 0.15, "on_top": 0.02},
    "between": {"on_top": 0.15, "under": 0.2, "lateral": 0.1},
    "inside_short": {"leaving_2": 5.0},
    "inside_long": {"leaving_2": 0.1},
    "leaving_2": {"leaving_1": 12.0},
    "leaving_1": {"on_top": 4.9, "under": 4.9, "free": 0.85, "lateral": 0.85, "between": 0.5},
}
ENTRIES: Final[Mapping[str, Mapping[str, float]]] = {
    "lateral": {"top": 0.02, "under": 0.02}, "on_top": {"top": 0.12}, "under": {"under": 0.12},
    "between": {"top": 0.06, "under": 0.06},
}  # fmt: skip
"""Entries begun per hour, from where and by which way."""
ENTRY_MIN: Final = 21.0
"""Time in which a host closes around a guest that passes every phase: the mean over the scenarios of the fits."""
QUICK, QUICK_FROM = 0.3, 3
"""Share of entries that are quick, and the phase they begin with."""
ABORTED: Final = 0.15
"""Share of the begun entries that ebb, in the phases about 0.3 to 0.85 of the way."""
EBBS_FROM: Final = (2, 3, 4, 5, 6)
SHORT_STAYS: Final = 0.3
START: Final = {
    "free": 0.2, "lateral": 0.12, "on_top": 0.3, "under": 0.25, "between": 0.04, "inside_short": 0.01,
    "inside_long": 0.05,
}  # fmt: skip
START_ELSEWHERE: Final = 0.04
"""Share of guests first seen entering, ebbing or leaving."""


def rates_per_h() -> dict[str, dict[str, float]]:
    """All rates of the chain: those above, and an entry's phases in a row."""
    rates = {origin: dict(targets) for origin, targets in OUTSIDE.items()}
    pace = 60.0 * PHASES / ENTRY_MIN
    ebbs = 1.0 - (1.0 - ABORTED) ** (1.0 / len(EBBS_FROM))
    for origin, ways in ENTRIES.items():
        for route, rate in ways.items():
            rates[origin] |= {f"entering_{route}_1": rate * (1.0 - QUICK)}
            rates[origin] |= {f"entering_{route}_{QUICK_FROM}": rate * QUICK}
    for route, home in (("top", "on_top"), ("under", "under")):
        for k in range(1, PHASES + 1):
            turns = ebbs if k in EBBS_FROM else 0.0
            done = {"inside_short": SHORT_STAYS, "inside_long": 1.0 - SHORT_STAYS}
            onward = {f"entering_{route}_{k + 1}": 1.0} if k < PHASES else done
            rates[f"entering_{route}_{k}"] = {s: pace * (1.0 - turns) * share for s, share in onward.items()}
            if turns:
                rates[f"entering_{route}_{k}"][f"ebbing_{route}_{min(k, PHASES - 1)}"] = pace * turns
        for k in range(2, PHASES):
            rates[f"ebbing_{route}_{k}"] = {f"ebbing_{route}_{k - 1}": pace}
        rates[f"ebbing_{route}_1"] = {home: 0.85 * pace, "between": 0.1 * pace, "lateral": 0.05 * pace}
    return rates


def classes_of(rows: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Class of each labelled row, -1 where it must not be learned from: on its way out, or in a fold."""
    location, contact = rows["t_location"].to_numpy(object), rows["t_contact"].to_numpy(object)
    named = np.where(location == "free", "free", np.where(location == "inside", "inside", contact))
    cup = {"on_top": "cup_top", "under": "cup_under"}
    deep = np.array(DEPTHS)[np.minimum((rows["t_engulfed"].to_numpy(float) * len(DEPTHS)).astype(int), len(DEPTHS) - 1)]
    named = np.array(
        [f"{cup.get(c, '')}_{d}" if a == "entering" else c for a, c, d in zip(location, named, deep, strict=True)],
        object,
    )
    out = np.array([CLASSES.index(c) if c in CLASSES else -1 for c in named])
    leaving = (location == "attached") & (rows["t_engulfed"].to_numpy(float) > 0)
    fold = rows["t_decoy"].to_numpy(object) == "fold"
    out[leaving | fold] = -1
    return out


def one_row_per_guest(pairs: pd.DataFrame) -> pd.DataFrame:
    """The host each guest lies most within, as the scorer would listen to."""
    loud = pairs["footprint_share"] - 0.01 * pairs["gap_um"]
    order = pairs.assign(loud=loud).sort_values("loud", kind="stable")
    return order.drop_duplicates(["movie", "seed", "frame", "guest_id"], keep="last")


def default_chain() -> Chain:
    """Rates and starts from the tables above."""
    states = tuple(STATE_CLASSES)
    generator = np.zeros((len(states), len(states)))
    for origin, targets in rates_per_h().items():
        for target, rate in targets.items():
            generator[states.index(origin), states.index(target)] = rate
    np.fill_diagonal(generator, -generator.sum(axis=1))
    start = np.array([START.get(s, START_ELSEWHERE / (len(states) - len(START))) for s in states])
    return Chain(states, generator, start / start.sum())


def gather(regime: str, seeds: Iterable[int], work: Path) -> pd.DataFrame:
    """Labelled evidence of a regime over seeds."""
    parts = [collect(draw_scenario(regime, s), s, work).assign(seed=s) for s in seeds]
    return pd.concat(parts, ignore_index=True)


def fit_regime(name: str, rows: pd.DataFrame) -> Regime:
    """Fit the tables of one kind of optics."""
    model = fit_emissions(rows, classes_of(rows), FLAT if NOMINAL_BLUR_UM[name] is None else DEEP)
    tables = tuple(
        replace(t, repeats_min=SPEED_REPEATS_MIN if "speed" in t.name else REPEATS_MIN[name]) for t in model.tables
    )
    stain = STAIN.get(name, "cytosol")
    return Regime(name, NOMINAL_BLUR_UM[name], stain, replace(model, tables=tables), HELD_MIN[name], name == "plane")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder for simulated movies and kept evidence")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    regimes, counted = [], {}
    for name in REGIMES:
        seeds = SEEDS[name]
        assert min(seeds) >= FIRST_SEED
        rows = one_row_per_guest(gather(name, seeds, args.work))
        regimes.append(fit_regime(name, rows))
        label = classes_of(rows)
        counted[name] = [f"{c}: {int((label == k).sum())}" for k, c in enumerate(CLASSES)]
        print(name, len(rows), counted[name])
    provenance = {
        "made_by": "benchmarks/fit_scorer.py",
        "emissions": "simulated scenarios, parameters drawn from the ranges in benchmarks/lib/scorer_data.py, objects "
        "found by the pipeline",
        **{f"seeds_{name}": _ranges(SEEDS[name]) for name in REGIMES},
        "chain": "rates set from published ranges of entry, residence and contact; not fitted",
        **{f"guest_frames_{name}": values for name, values in counted.items()},
    }
    text = write_parameters(ScorerParameters(default_chain(), tuple(regimes), provenance))
    OUT.write_text("# Written by benchmarks/fit_scorer.py; a re-fit replaces it.\n" + text, encoding="utf-8")
    print(f"written: {OUT}")


def _ranges(seeds: tuple[int, ...]) -> str:
    """Name seeds as ranges.

    Examples
    --------
    >>> _ranges((1100, 1101, 1102, 1200))
    '1100-1102, 1200'
    """
    cuts = [0, *(k for k in range(1, len(seeds)) if seeds[k] != seeds[k - 1] + 1), len(seeds)]
    parts = [seeds[a:b] for a, b in pairwise(cuts)]
    return ", ".join(f"{p[0]}-{p[-1]}" if len(p) > 1 else str(p[0]) for p in parts)


if __name__ == "__main__":
    main()
