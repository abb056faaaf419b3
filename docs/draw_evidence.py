"""Draw the pictures of docs/evidence.md: ``python docs/draw_evidence.py --work DIR``.

DIR keeps the labelled evidence of ``benchmarks/fit_scorer.py``; what is missing is simulated and measured.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

HERE: Final = Path(__file__).parent
sys.path.append(str(HERE.parent / "benchmarks"))

from fit_scorer import SEEDS, classes_of, gather, one_row_per_guest  # noqa: E402

from cicimage.events.emissions import CLASSES, derive  # noqa: E402

SHOWN: Final = {"inside": "#d1495b", "under": "#00798c", "on_top": "#edae49", "between": "#66a182", "free": "#8d8d8d"}
DEEP: Final = {
    "cap_um": (-0.5, 4.0), "floor_um": (-0.5, 4.0), "wall_lower": (-0.2, 1.6), "wall_upper": (-0.2, 1.6),
    "ring_coverage": (0.0, 1.0), "void": (-0.4, 1.1), "body": (-0.3, 1.2), "z_in_host": (-1.0, 4.0),
    "clearance_um": (-7.0, 4.0), "lining": (-0.8, 0.6), "footprint_share": (0.0, 1.0), "log_speed": (-1.7, 1.2),
}  # fmt: skip
FLAT: Final = {
    "void": (-0.8, 0.9), "ring_coverage": (0.0, 1.0), "wall": (0.2, 2.0), "sharpness": (-0.4, 0.7),
    "footprint_share": (0.0, 1.0), "log_speed": (-1.7, 1.2),
}  # fmt: skip


def draw(rows: pd.DataFrame, shown: dict[str, tuple[float, float]], columns: int, path: Path) -> None:
    """One panel per piece of evidence: how often each value is seen in each state."""
    label = classes_of(rows)
    evidence = derive(rows)
    n = -(-len(shown) // columns)
    figure, panels = plt.subplots(n, columns, figsize=(11, 2.2 * n), layout="constrained")
    for panel, (name, (low, high)) in zip(panels.flat, shown.items(), strict=False):
        edges = np.linspace(low, high, 31)
        middle = 0.5 * (edges[1:] + edges[:-1])
        for state, colour in SHOWN.items():
            value = evidence.loc[label == CLASSES.index(state), name].dropna().to_numpy(np.float64)
            if len(value) < 30:
                continue
            seen = np.histogram(np.clip(value, low, high), edges)[0] / len(value)
            panel.plot(middle, seen, color=colour, label=state.replace("_", " "), drawstyle="steps-mid")
        panel.set(title=name, yticks=[])
    panels.flat[0].legend(fontsize=8)
    figure.savefig(path, dpi=100)


def main() -> None:
    """Draw both pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    work = parser.parse_args().work
    for regime, shown, columns, name in (
        ("fine", DEEP, 4, "evidence_3d.png"),
        ("flat", FLAT, 3, "evidence_2d.png"),
    ):
        rows = one_row_per_guest(gather(regime, SEEDS[regime], work))
        draw(rows, shown, columns, HERE / "images" / name)


if __name__ == "__main__":
    main()
