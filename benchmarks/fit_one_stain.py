"""Fit the Markov scorer's regime for one population in one stain: ``python benchmarks/fit_one_stain.py --work DIR``.

As ``fit_scorer.py`` does for hosts and guests that wear dyes of their own, here for tumour cells that are both: preset
``homotypic`` with more of what is rare, in small fields, cells as the pipeline finds them. Seeds 510 and on are used
for nothing else.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from fit_scorer import DEEP, SPEED_REPEATS_MIN, classes_of, default_chain, one_row_per_guest
from lib.scorer_data import label_run, run_positions

from cicimage.events.emissions import CLASSES
from cicimage.events.fitting import fit_emissions
from cicimage.events.parameters import ONE_STAIN, Regime, ScorerParameters, combined_blur_um, write_parameters
from cicimage.simulation.scenarios import HOMOTYPIC
from cicimage.simulation.spec import Scenario
from cicimage.simulation.write import write_experiment

OUT: Final = Path(__file__).parents[1] / "cicimage" / "events" / ONE_STAIN
SEEDS: Final = (510, 511, 512)
FACES: Final = (-0.4, -0.15, 0.0, 0.15, 0.3, 0.5, 0.8, 1.2, 2.0, 3.0)
KNOTS: Final = {**DEEP, "cap_um": FACES, "floor_um": FACES}
BLUR_UM: Final = combined_blur_um(2.35, 1.8)


def draw_scenario(seed: int) -> Scenario:
    """The preset in small fields, with more crawling under cells, more entries and more cells inside."""
    k = seed % 3
    return HOMOTYPIC.replace(
        acquisition__size_px=300, guests__count=16, effectors__count=10, acquisition__frames=12, design__donors=2,
        guests__under_share=(0.25, 0.4, 0.15)[k], guests__inside_share=(0.35, 0.25, 0.45)[k],
        rates__entry_per_contact_h=(0.5, 0.3, 0.8)[k], rates__stay_h=3.0, guests__floor_um=(0.4, 1.8),
        guests__cap_um=(0.4, 1.8), acquisition__um_per_z=(2.0, 1.6, 1.8)[k], acquisition__slices=(12, 14, 13)[k],
        acquisition__na=(0.8, 0.75, 0.9)[k], hosts__brightness_sd=0.35, guests__brightness_sd=0.35,
        hosts__lamella_um=(2.5, 5.0), hosts__coverage=0.7,
    )  # fmt: skip


def gather(seed: int, work: Path) -> pd.DataFrame:
    """Labelled evidence of one experiment; kept in ``work``."""
    kept = work / f"one-stain-{seed}.parquet"
    if not kept.exists():
        folder, out = work / f"one-stain-{seed}", work / f"one-stain-{seed}_out"
        _, truth = write_experiment(draw_scenario(seed), folder, seed)
        run_positions(folder, out)
        label_run(out, truth).assign(seed=seed).to_parquet(kept, index=False)
    return pd.read_parquet(kept)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder for simulated movies and kept evidence")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    rows = one_row_per_guest(pd.concat([gather(s, args.work) for s in SEEDS], ignore_index=True))
    rows = rows[rows["t_viability"] != "dead"]
    label = classes_of(rows)
    model = fit_emissions(rows, label, KNOTS)
    tables = tuple(replace(t, repeats_min=SPEED_REPEATS_MIN if "speed" in t.name else 5.0) for t in model.tables)
    regime = Regime("one_stain", BLUR_UM, "shared membrane", replace(model, tables=tables), 5.0)
    counted = [f"{c}: {int((label == k).sum())}" for k, c in enumerate(CLASSES)]
    provenance = {
        "one_stain_made_by": "benchmarks/fit_one_stain.py",
        "seeds_one_stain": f"{min(SEEDS)}-{max(SEEDS)}",
        "guest_frames_one_stain": counted,
    }
    text = write_parameters(ScorerParameters(default_chain(), (regime,), provenance))
    OUT.write_text("# Written by benchmarks/fit_one_stain.py; a re-fit replaces it.\n" + text, encoding="utf-8")
    print(len(rows), counted, np.round(BLUR_UM, 2))


if __name__ == "__main__":
    main()
