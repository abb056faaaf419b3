"""Accuracy against known truth, with today's usual way and a competent one beside it.

    python benchmarks/campaigns/accuracy.py [--presets cxcr4-blockade] [--work DIR]
    python benchmarks/campaigns/accuracy.py --presets homotypic --seeds 30 31 32 33 --scale 0.6 --frames 30 --to OWN.md

Simulated experiments are run as a user would run them and held against their truth; the seed is used for nothing
else. Beside every figure stand *hysteresis* (thresholds instead of the default scorer, on the same objects), *naive*
(threshold, ``trackpy.locate``, link, overlap for three frames: what users do today) and *competent* (this program's
masks and tracks, and a guest centroid between the host's bottom and top). Accuracy on simulations is not accuracy on
real cells.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # benchmarks/, where lib lies

import argparse
import subprocess
import tempfile
from collections.abc import Sequence
from typing import Final

from lib.baselines import compare_methods
from lib.prose import hand_written
from lib.scorer_sides import HYSTERESIS, load_truths, score_all

from cicimage.evaluation.evaluate import Evaluation, evaluate

PRESETS: Final = ("cxcr4-blockade",)
SEEDS: Final = (11, 12)
ROWS: Final = (
    ("detection", "f1", "guest detection F1", ">= 0.95"),
    ("tracks", "links_f1", "links F1", ">= 0.93"),
    ("tracks", "tra", "TRA", ""),
    ("entry", "f1", "entry F1 within 12 min", ">= 0.7"),
    ("entry", "precision", "entry precision", ""),
    ("entry", "recall", "entry recall", ""),
    ("inside", "f1", "inside F1 per frame (unresolved = missed)", ""),
    ("inside", "unresolved_share", "frames left unresolved", "<= 0.15"),
    ("escape", "f1", "escape F1", ""),
    ("abort", "f1", "aborted entry F1", ""),
    ("death", "f1", "death F1", ""),
    ("calibration", "ece_p_inside", "calibration error of p_inside", ""),
)


def run(preset: str, seed: int, work: Path, smaller: Sequence[str] = ()) -> dict[str, Evaluation]:
    """Simulate (where it is not there yet), run as a user would, and evaluate beside the baselines."""
    folder, out = work / f"{preset}-{seed}", work / f"{preset}-{seed}_out"
    cli = [sys.executable, "-m", "cicimage"]
    if not (folder / "experiment.toml").exists():
        command = [*cli, "simulate", preset, "-o", str(folder), "--seed", str(seed), "--workers", "2", *smaller]
        subprocess.run(command, check=True)
    subprocess.run([*cli, "run", str(folder), "-o", str(out)], check=True, stdout=subprocess.DEVNULL)
    found = compare_methods(out, folder.with_name(folder.name + "_truth"))
    thresholds = evaluate(score_all([out], HYSTERESIS), load_truths([out]))
    return {"cicimage": found.pop("cicimage"), "hysteresis": thresholds, **found}


def table(evaluations: dict[str, Evaluation]) -> str:
    """The main figures as Markdown, one column a way."""
    lines = ["| figure | target | " + " | ".join(evaluations) + " |", "|---" * (2 + len(evaluations)) + "|"]
    for group, metric, title, target in ROWS:
        values = [f"{e.score(group, metric):.3f}" for e in evaluations.values()]
        lines.append(f"| {title} | {target} | " + " | ".join(values) + " |")
    return "\n".join(lines) + "\n"


def decoys(evaluation: Evaluation) -> str:
    """What each kind of guest that is not inside was called, as Markdown."""
    rows = evaluation.tables["decoys"]
    rows = rows[rows["condition"] == "all"] if "condition" in rows else rows
    header = "| " + " | ".join(rows.columns) + " |\n" + "|---" * rows.shape[1] + "|\n"
    body = [
        "| " + " | ".join(f"{v:.3f}" if isinstance(v, float) else str(v) for v in row) + " |"
        for row in rows.itertuples(index=False)
    ]
    return header + "\n".join(body) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=None, help="keep simulated experiments and results here")
    parser.add_argument("--presets", nargs="+", default=list(PRESETS))
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--scale", help="as of cicimage simulate: smaller fields")
    parser.add_argument("--frames", help="as of cicimage simulate: shorter movies")
    parser.add_argument("--to", type=Path, default=Path(__file__).parents[1] / "results" / "accuracy.md")
    args = parser.parse_args()
    smaller = [text for name in ("scale", "frames") if (v := getattr(args, name)) for text in (f"--{name}", v)]
    parts = []
    with tempfile.TemporaryDirectory() as scratch:
        work = args.work or Path(scratch)
        for preset in args.presets:
            total = 0
            for seed in args.seeds:
                evaluations = run(preset, seed, work, smaller)
                n = int(
                    evaluations["cicimage"].score("entry", "found") + evaluations["cicimage"].score("entry", "missed")
                )
                total += n
                parts.append(
                    f"## {preset}, seed {seed}\n\n{n} true entries watched from before in view and not brief.\n\n"
                    f"{table(evaluations)}\nPer decoy class (cicimage):\n\n{decoys(evaluations['cicimage'])}"
                )
                print(parts[-1], flush=True)
            parts.append(f"{preset}: {total} true entries over seeds {', '.join(map(str, args.seeds))}.\n")
    args.to.parent.mkdir(exist_ok=True)
    notes = hand_written("accuracy") if args.presets == list(PRESETS) else ""
    args.to.write_text(f"# Accuracy\n\n{__doc__}\n" + "\n".join(parts) + f"\n{notes}")


if __name__ == "__main__":
    main()
