"""How to set the microscope: accuracy against signal, focus step, aperture and frame interval.

    python benchmarks/campaigns/microscope.py [--work DIR] [--seeds 60 61]

From one setting (confocal 40x/0.95, 1 um steps, every 4 min, 150 electrons at the brightest) one thing is changed at a
time; each row is one field of about 40 guests, drawn anew. Point spread function by scalar diffraction, which no fit
has seen; the Markov scorer with its defaults. Entry F1 within 12 min or one interval, whichever is longer. Accuracy on
simulations is not accuracy on real cells: with 12 to 25 true entries a row, 0.05 up or down is chance; read the cliffs.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # benchmarks/, where lib lies

import argparse
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import cv2
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from lib.prose import hand_written
from lib.scorer_fields import KEPT, MECHANISMS, Experiment, make
from lib.scorer_sides import MARKOV, load_truths, score_all

from cicimage.evaluation.evaluate import Parameters, evaluate
from cicimage.simulation.scenarios import NULL_UNDER
from cicimage.simulation.spec import Condition, Scenario

SIDE_PX: Final = 400
HOURS: Final = 2.4
DEPTH_UM: Final = 11.0
AXES: Final[dict[str, tuple[str, tuple[float, ...], float]]] = {
    "brightest pixel, electrons": ("acquisition__peak_electrons", (20.0, 50.0, 150.0, 500.0), 150.0),
    "focus step, um": ("acquisition__um_per_z", (1.0, 2.0, 3.0), 1.0),
    "numerical aperture (dry)": ("acquisition__na", (0.5, 0.65, 0.8, 0.95), 0.95),
    "frame interval, min": ("acquisition__interval_min", (4.0, 8.0, 15.0), 4.0),
    "one slice, um above the glass": ("acquisition__first_slice_um", (1.5, 2.0, 2.5, 4.0), np.nan),
}
SHOWN: Final = {"inside F1": ("inside", "f1"), "entry F1": ("entry", "f1"), "escape F1": ("escape", "f1")}


def scenario(field: str, value: float) -> Scenario:
    """The setting with one field changed; slices and frames follow."""
    changes: dict[str, Any] = {
        "name": f"{field}-{value:g}", "conditions": [Condition(name="vehicle").model_dump()], "design__donors": 1,
        "design__donor_sd": 0.0, "design__donor_condition_sd": 0.0, "design__well_sd": 0.0,
        "acquisition__size_px": SIDE_PX, "guests__count": 42, "rates__entry_per_contact_h": 0.5,
        "acquisition__na": 0.95, "acquisition__um_per_z": 1.0, "acquisition__interval_min": 4.0,
        **MECHANISMS["psf"], field: value,
    }  # fmt: skip
    changes["acquisition__slices"] = round(DEPTH_UM / changes["acquisition__um_per_z"]) + 1
    if field == "acquisition__first_slice_um":
        changes |= {"acquisition__slices": 1, "acquisition__na": 0.8}
    changes["acquisition__frames"] = round(HOURS * 60.0 / changes["acquisition__interval_min"])
    return NULL_UNDER.replace(**changes)


def points() -> Iterator[tuple[str, str, float, bool]]:
    """Axis, field, value, and whether it is the common setting."""
    for axis, (field, values, usual) in AXES.items():
        for value in values:
            yield axis, field, value, value == usual


def out_of(field: str, value: float, usual: bool, seed: int, work: Path) -> Path:
    """Results of one point; the common setting is made once for all axes."""
    name = "usual" if usual else f"{field.split('__')[1]}-{value:g}"
    return make(Experiment("curve", "psf", name, seed), work, scenario(field, value), baselines=False)


def measure(seeds: list[int], work: Path) -> pd.DataFrame:
    """One row a point, seeds pooled."""
    rows = []
    for axis, field, value, usual in points():
        outs = [out_of(field, value, usual, seed, work) for seed in seeds]
        truth = load_truths(outs)
        interval = value if field.endswith("interval_min") else 4.0
        found = evaluate(score_all(outs, MARKOV), truth, Parameters(tolerance_min=max(12.0, interval)))
        decoys = found.tables["decoys"].query("condition == 'all'").set_index("decoy")["share"]
        rows.append({
            "axis": axis, "value": value, **{n: found.score(*key) for n, key in SHOWN.items()},
            "unresolved": found.score("inside", "unresolved_share"), "under called inside": decoys.get("under"),
            "true entries": int(found.score("entry", "found") + found.score("entry", "missed")),
        })  # fmt: skip
        print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def draw(table: pd.DataFrame, path: Path) -> None:
    """One panel per axis."""
    figure, panels = plt.subplots(1, len(AXES), figsize=(13, 3.2), sharey=True, layout="constrained")
    for panel, (axis, rows) in zip(panels, table.groupby("axis", sort=False), strict=True):
        for name in SHOWN:
            panel.plot(rows["value"], rows[name], marker="o", label=name)
        panel.plot(rows["value"], rows["unresolved"], marker="s", color="0.5", label="frames left unresolved")
        panel.set(xlabel=axis, ylim=(-0.02, 1.02))
        if "electrons" in str(axis):
            panel.set_xscale("log")
        panel.set_xticks(rows["value"], [f"{v:g}" for v in rows["value"]])
        panel.minorticks_off()
    panels[0].set_ylabel("score or share")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8)
    figure.savefig(path, dpi=110)


def page(table: pd.DataFrame, seeds: list[int]) -> str:
    """The results page."""
    text = (
        f"# How to set the microscope\n\n{__doc__}\nSeeds {', '.join(map(str, seeds))}. "
        f"Measured {datetime.now(UTC):%Y-%m-%d}.\n\n{hand_written('microscope')}\n![curves](microscope.png)\n"
    )
    for axis, rows in table.groupby("axis", sort=False):
        text += f"\n| {axis} | " + " | ".join(table.columns[2:]) + " |\n|---:|" + "---:|" * (table.shape[1] - 2) + "\n"
        for row in rows.itertuples(index=False):
            values = [f"{v:.3f}" if isinstance(v, float) else str(v) for v in row[2:]]
            text += f"| {row[1]:g} | " + " | ".join(values) + " |\n"
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=KEPT, help="folder in which fields are made and kept")
    parser.add_argument("--seeds", type=int, nargs="+", default=[60])
    args = parser.parse_args()
    cv2.setNumThreads(1)
    warnings.simplefilter("ignore")
    args.work.mkdir(parents=True, exist_ok=True)
    table = measure(args.seeds, args.work)
    results = Path(__file__).parents[1] / "results"
    draw(table, results / "microscope.png")
    (results / "microscope.md").write_text(page(table, args.seeds), encoding="utf-8")


if __name__ == "__main__":
    main()
