"""Drugs that do not do what is asked about, and whether an effect is reported all the same.

    python benchmarks/campaigns/nulls.py [--experiments 8] [--side 160] [--work DIR] [--minutes 50]

Every null preset of the simulator is simulated again and again in small fields, three donors in both conditions, run as
a user would, and the table of comparisons the program itself writes is read: ratio, 95 % interval, p. Two truths stand
against it: the ratio of the simulator, which is 1, and the ratio of the true counts in the same movies, put through the
same statistics, since chance moves the true counts too. For the drugs that change anything but entry the ratio is that
of entry rates per guest-hour, drug over vehicle; for the two presets about death it is the hazard of death inside over
outside, in each condition. Beside it stand the same statistics on the *true counts*, the *naive* way (threshold,
``trackpy.locate``, overlap for three frames) and a *competent* one (this program's masks and tracks, guest centroid
between the host's bottom and top).

Finished experiments are kept in ``--work`` as one CSV each; what was cut off goes on from there.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # benchmarks/, where lib lies

import argparse
import shutil
import subprocess
import tempfile
import time
from datetime import date
from typing import Any, Final

import numpy as np
import pandas as pd
from lib.baselines import compare_methods
from lib.prose import hand_written
from scipy.stats import binomtest

from cicimage.evaluation.estimates import truth_tables
from cicimage.evaluation.load import load_results, load_truth
from cicimage.simulation.scenarios import PRESETS
from cicimage.simulation.write import write_experiment
from cicimage.statistics.comparisons import compare

ENTRY: Final = ("null-under", "null-death", "null-brightness", "null-density")
DEATH: Final = ("null-equal-hazards", "null-healthy-entrants")
ENTRY_RATE: Final = "entry_rate_per_guest_h"
HAZARD: Final = "death_hazard_inside_vs_outside"
WAYS: Final = {"truth": "true counts", "cicimage": "cicimage", "competent": "competent", "naive": "naive"}
FIRST_SEED: Final = 40
RESULTS: Final = Path(__file__).parents[1] / "results" / "nulls.md"
KEPT: Final = ("ratio", "ci_low", "ci_high", "p_value", "p_adjusted", "method")


def kept_at(work: Path, preset: str, side_px: int, seed: int) -> Path:
    """Where an experiment's rows are kept."""
    return work / f"{preset}-{side_px}-{seed}.csv"


def experiment(preset: str, seed: int, side_px: int, work: Path) -> pd.DataFrame:
    """Comparisons of one experiment, one row per way and comparison, with the events and hours behind them."""
    kept = kept_at(work, preset, side_px, seed)
    if kept.exists():
        return pd.read_csv(kept, keep_default_na=True)
    folder, out = work / f"{preset}-{seed}", work / f"{preset}-{seed}_out"
    write_experiment(_small(preset, side_px), folder, seed)
    command = [sys.executable, "-m", "cicimage", "run", str(folder), "-o", str(out), "--no-report", "--workers", "1"]
    subprocess.run(command, check=True, capture_output=True)
    truth_folder = folder.with_name(folder.name + "_truth")
    rows = _rows(preset, out, truth_folder).assign(preset=preset, seed=seed)
    rows.to_csv(kept.with_suffix(".part"), index=False)
    kept.with_suffix(".part").rename(kept)
    for used in (folder, out, truth_folder):
        shutil.rmtree(used)
    return rows


def _small(preset: str, side_px: int) -> Any:
    """The preset in fields of ``side_px``, guests per area kept."""
    scenario = PRESETS[preset]
    share = (side_px / scenario.acquisition.size_px) ** 2
    return scenario.replace(acquisition__size_px=side_px, guests__count=round(scenario.guests.count * share))


def _rows(preset: str, out: Path, truth_folder: Path) -> pd.DataFrame:
    measured, truth = load_results(out), load_truth(truth_folder)
    true = truth_tables(truth, measured.layout)
    true_ratios = compare(true["rates_by_replicate"], measured.reference, measured.layout)
    parts = _of_way("truth", preset, true_ratios, true["rates"])
    for way, evaluation in compare_methods(out, truth_folder).items():
        parts += _of_way(way, preset, evaluation.tables["ratios"], evaluation.tables["rates"])
    rows = pd.DataFrame(parts)
    of_truth = rows[rows["way"] == "truth"].set_index("condition")["ratio"]
    return rows.assign(true_ratio=rows["condition"].map(of_truth))


def _of_way(way: str, preset: str, ratios: pd.DataFrame, rates: pd.DataFrame) -> list[dict[str, Any]]:
    """Comparisons asked about, with events and hours above and below the line."""
    asked = ratios[ratios["estimand"] == (HAZARD if preset in DEATH else ENTRY_RATE)]
    by = rates.set_index(["estimand", "condition"])
    rows = []
    for row in asked.to_dict("records"):
        upper, lower = (
            (("death_rate_inside_per_h", row["condition"]), ("death_rate_outside_per_h", row["condition"]))
            if preset in DEATH
            else ((ENTRY_RATE, row["condition"]), (ENTRY_RATE, row["reference"]))
        )
        counted = {
            f"{name}_{side}": float(by.loc[key, name])
            for side, key in (("above", upper), ("below", lower))
            for name in ("events", "exposure_h")
        }
        rows.append({"way": way, "condition": row["condition"], **{k: row.get(k) for k in KEPT}, **counted})
    return rows


def of_share(hits: pd.Series) -> str:
    """Hits of all, the share, and its exact 95 % interval, per cent."""
    n, k = len(hits), int(hits.sum())
    if not n:
        return "none"
    interval = binomtest(k, n).proportion_ci(method="exact")
    return f"{k} of {n}: {100 * k / n:.0f} ({100 * interval.low:.0f}-{100 * interval.high:.0f})"


def holds(rows: pd.DataFrame, value: pd.Series | float) -> pd.Series:
    """Whether each interval holds a value; rows without an interval or a value are left out."""
    wanted = pd.Series(value, index=rows.index, dtype=float)
    known = rows["ci_low"].notna() & rows["ci_high"].notna() & wanted.notna()
    return ((rows["ci_low"] <= wanted + 1e-12) & (wanted <= rows["ci_high"] + 1e-12))[known]


def pooled(rows: pd.DataFrame) -> float:
    """Ratio of all events over all hours of some experiments, half an event added on either side."""
    above = (rows["events_above"].sum() + 0.5) / rows["exposure_h_above"].sum()
    return float(above / ((rows["events_below"].sum() + 0.5) / rows["exposure_h_below"].sum()))


def table(rows: pd.DataFrame) -> str:
    """One line per preset and way, and one per way over each kind of null."""
    lines = [
        "| preset | way | experiments | events | pooled ratio | over that of the true counts (x/) | interval holds 1 "
        "| interval holds the true counts' ratio | p < 0.05 |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    groups = [(p, rows[rows["preset"] == p]) for p in (*ENTRY, *DEATH)]
    groups += [("all four about entry", rows[rows["preset"].isin(ENTRY)]),
               ("both about death", rows[rows["preset"].isin(DEATH)])]  # fmt: skip
    for name, part in groups:
        for way, title in WAYS.items():
            mine = part[part["way"] == way]
            if len(mine):
                lines.append(_line(name, title, mine, part[part["way"] == "truth"]))
    return "\n".join(lines)


def _line(name: str, title: str, mine: pd.DataFrame, truth: pd.DataFrame) -> str:
    both = mine.merge(truth, on=["preset", "seed", "condition"], suffixes=("", "_of_truth"))
    error = np.log(both["ratio"] / both["ratio_of_truth"]).replace([np.inf, -np.inf], np.nan).dropna()
    spread = float(np.exp(error.std(ddof=1) / np.sqrt(len(error)))) if len(error) > 1 else float("nan")
    shift = f"{np.exp(error.mean()):.2f} ({spread:.2f})" if len(error) and title != "true counts" else ""
    p = mine["p_value"].dropna()
    of_true = holds(mine, mine["true_ratio"].replace([np.inf, 0.0], np.nan)) if title != "true counts" else None
    events = float(mine["events_above"].sum() + mine["events_below"].sum())
    cells = [
        name, title, str(mine["seed"].nunique() if mine["preset"].nunique() == 1 else
                         mine[["preset", "seed"]].drop_duplicates().shape[0]),
        f"{events:.0f}", f"{pooled(mine):.2f}" if events else "", shift,
        of_share(holds(mine, 1.0)), "" if of_true is None else of_share(of_true), of_share(p < 0.05),
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=8, help="of each preset")
    parser.add_argument("--side", type=int, default=160, help="of a field, px of 0.65 um")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no experiment after this")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--presets", nargs="+", default=[*ENTRY, *DEATH])
    asked = parser.parse_args()
    started = time.monotonic()
    made: list[pd.DataFrame] = []
    with tempfile.TemporaryDirectory() as scratch:
        work = asked.work or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        for seed in range(FIRST_SEED, FIRST_SEED + asked.experiments):
            for preset in asked.presets:
                late = time.monotonic() - started > 60 * asked.minutes
                if late and not kept_at(work, preset, asked.side, seed).exists():
                    continue
                made.append(experiment(preset, seed, asked.side, work))
                own = made[-1][made[-1]["way"] == "cicimage"].iloc[0]
                print(f"{(time.monotonic() - started) / 60:.1f} min: {preset}, seed {seed}: ratio {own['ratio']:.2f} "
                      f"({own['ci_low']:.2f} to {own['ci_high']:.2f}), p {own['p_value']:.2f}, "
                      f"true counts {own['true_ratio']:.2f}", flush=True)  # fmt: skip
    rows = pd.concat(made, ignore_index=True)
    per = rows.groupby("preset")["seed"].nunique()
    about = (
        f"Measured {date.today()}: {per.min()} to {per.max()} experiments a preset (seeds from {FIRST_SEED} on), each "
        f"of three donors in two conditions, one field of {asked.side} x {asked.side} px each. Shares in per cent with "
        "exact binomial 95 % intervals; experiments whose counts give no interval or no p are left out of them. *Over "
        "that of the true counts*: geometric mean of measured over true ratio, and its standard error as a factor."
    )
    RESULTS.write_text(f"# Nulls\n\n{__doc__}\n{about}\n\n{table(rows)}\n\n{hand_written('nulls')}\n{doubt(rows)}\n")


def doubt(rows: pd.DataFrame) -> str:
    """What so many experiments leave open."""
    own = rows[(rows["way"] == "cicimage") & rows["p_value"].notna()]
    least = 100 * (1 - 0.025 ** (1 / max(len(own), 1)))
    width = float(np.exp(np.log(own["ci_high"] / own["ci_low"].where(own["ci_low"] > 0)).median() / 2))
    return (
        f"What stays open: {len(own)} comparisons have a p value. Were none of them under 0.05, a type I error of up "
        f"to {least:.0f} % would still not be excluded. The experiments are small and their intervals wide (half of "
        f"them reach further than a factor of {width:.0f} to either side), so that holding 1 says little; what tells "
        "most is how near the measured ratios lie to those of the true counts. Type I error and coverage to the per "
        "cent are in [statistics.md](statistics.md), on tables drawn by the thousand."
    )


if __name__ == "__main__":
    main()
