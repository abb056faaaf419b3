"""Drugs that do not do what is asked about, and whether an effect is reported all the same.

    python benchmarks/nulls.py [--experiments 3] [--scale 0.6] [--work DIR]

Every null preset of the simulator is simulated a few times in small fields, run as a user would, and held against the
truth of the same movies: chance moves the true counts too, so the true ratio of the movies, not 1, is what a measured
ratio must meet. Events and hours are pooled over the experiments of a preset. For the drugs that change anything but
entry the ratio is that of entry rates, drug over vehicle; for the two presets about death it is that of the death rates
per hour alive inside over outside. Beside it the naive way (threshold, ``trackpy.locate``, overlap for three frames)
and a competent one (this program's masks and tracks, guest centroid between the host's bottom and top).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from baselines import compare_methods

ENTRY: Final = ("null-under", "null-death", "null-brightness", "null-density")
DEATH: Final = ("null-equal-hazards", "null-healthy-entrants")
FIRST_SEED: Final = 40
RESULTS: Final = Path(__file__).parent / "results" / "nulls.md"


def counts(preset: str, seed: int, scale: float, work: Path) -> dict[str, pd.DataFrame]:
    """Rates of one experiment beside those of its truth, per way of scoring."""
    folder, out = work / f"{preset}-{seed}", work / f"{preset}-{seed}_out"
    cli = [sys.executable, "-m", "cicimage"]
    if not folder.with_name(folder.name + "_truth").exists():
        command = [*cli, "simulate", preset, "-o", str(folder), "--seed", str(seed), "--scale", str(scale)]
        subprocess.run(command, check=True, capture_output=True)
    subprocess.run([*cli, "run", str(folder), "-o", str(out), "--no-report"], check=True, capture_output=True)
    subprocess.run([*cli, "report", str(out)], check=True, capture_output=True)
    found = compare_methods(out, folder.with_name(folder.name + "_truth"))
    return {way: e.tables["rates"].assign(seed=seed) for way, e in found.items()}


def ratios(preset: str, rates: pd.DataFrame) -> pd.DataFrame:
    """Measured and true ratio of every experiment and, in the last row, of all together; half an event added."""
    rows = []
    for part in [p for _, p in rates.groupby("seed")] + [rates]:
        found = [_ratio(preset, part, events, hours) for events, hours in
                 (("events", "exposure_h"), ("events_true", "exposure_true_h"))]  # fmt: skip
        rows.append({"measured": found[0], "true": found[1], "error": found[0] / found[1]})
    return pd.DataFrame(rows)


def _ratio(preset: str, rates: pd.DataFrame, events: str, hours: str) -> float:
    def rate(estimand: str, condition: str | None) -> float:
        rows = rates[rates["estimand"] == estimand]
        rows = rows[rows["condition"] == condition] if condition else rows
        return float((rows[events].sum() + 0.5) / rows[hours].sum())

    if preset in DEATH:
        return rate("death_rate_inside_per_h", None) / rate("death_rate_outside_per_h", None)
    return rate("entry_rate_per_guest_h", "drug") / rate("entry_rate_per_guest_h", "vehicle")


def line(preset: str, ways: dict[str, pd.DataFrame]) -> str:
    """One row of the table."""
    own = next(iter(ways.values()))
    asked = ["death_rate_inside_per_h", "death_rate_outside_per_h"] if preset in DEATH else ["entry_rate_per_guest_h"]
    seen = own[own["estimand"].isin(asked)]
    cells = [preset, "inside / outside" if preset in DEATH else "drug / vehicle",
             f"{seen['events_true'].sum():.0f}", f"{ratios(preset, own)['true'].iloc[-1]:.2f}"]  # fmt: skip
    for rates in ways.values():
        table = ratios(preset, rates)
        each = np.log(table["error"].iloc[:-1])
        spread = np.exp(each.std(ddof=1) / np.sqrt(len(each))) if len(each) > 1 else np.nan
        cells.append(f"{table['measured'].iloc[-1]:.2f} ({table['error'].iloc[-1]:.2f}, x/ {spread:.2f})")
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=3)
    parser.add_argument("--scale", type=float, default=0.6)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--presets", nargs="+", default=[*ENTRY, *DEATH])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        lines: list[str] = []
        for preset in asked.presets:
            made: dict[str, list[pd.DataFrame]] = {}
            for seed in range(FIRST_SEED, FIRST_SEED + asked.experiments):
                for way, rates in counts(preset, seed, asked.scale, asked.work or Path(scratch)).items():
                    made.setdefault(way, []).append(rates)
            ways = {way: pd.concat(parts, ignore_index=True) for way, parts in made.items()}
            if not lines:
                names = " | ".join(ways)
                lines = [f"| preset | ratio of | true events | true ratio | {names} |", "|---" * (4 + len(ways)) + "|"]
            lines.append(line(preset, ways))
            print(lines[-1], flush=True)
    text = "\n".join(lines)
    seeds = f"{FIRST_SEED}-{FIRST_SEED + asked.experiments - 1}"
    about = (
        f"Measured {date.today()}: {asked.experiments} experiments a preset (seeds {seeds}), fields scaled by "
        f"{asked.scale:g}. In brackets: measured over true ratio, and its standard error over experiments as a factor."
    )
    RESULTS.write_text(f"# Nulls\n\n{__doc__}\n{about}\n\n{text}\n")


if __name__ == "__main__":
    main()
