"""Inside, under or on top: both scorers on fields kept out of every fit, in three kinds of optics.

    python benchmarks/campaigns/scorer.py [--work DIR] [--experiments 8 9 9]

Fields come from mechanisms that no fit has seen (point spread function by scalar diffraction, spindle-shaped hosts,
entry decided at encounters, and all three at once), with usual parameters and with parameters beyond the ranges of the
fits, seeds 20 and up (fits use 1100 and up). Of the two conditions one only cuts crawling under hosts: every
experiment is a null besides. Columns: *markov* and *hysteresis*, this program's scorers on what it finds; *oracle*,
markov on evidence measured on the true outlines and tracks (what the optics leave over); *competent* (this program's
masks and tracks, guest centroid between the host's bottom and top) and *naive* (threshold, ``trackpy``, overlap).
+- is the standard error over experiments. Accuracy on simulations is not accuracy on real cells.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # benchmarks/, where lib lies

import argparse
import platform
import time
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import cv2
import numpy as np
import pandas as pd
from lib.prose import hand_written
from lib.scorer_data import observations_of, position_folders
from lib.scorer_fields import FRAMES, GUESTS, KEPT, MODALITIES, SIDE_PX, Experiment, experiments, make
from lib.scorer_sides import (
    HYSTERESIS,
    MARKOV,
    baseline,
    by_floor,
    crawl_episodes,
    load_truths,
    null_errors,
    score_all,
)

from cicimage import __version__
from cicimage.evaluation.estimates import truth_tables
from cicimage.evaluation.evaluate import Evaluation, evaluate, judged_states
from cicimage.evaluation.sides import Measured, Truth
from cicimage.events.hmm import MarkovScorer

FIRST_SEED: Final = 20
COUNTS: Final = {"3D 40x/0.95": 8, "3D 20x/0.8": 9, "2D 20x/0.45": 9}
FLOOR_UM: Final = (0.0, 0.3, 0.5, 0.8, 1.2, 5.0)
TARGETS: Final[Mapping[str, tuple[str, str, str]]] = {
    "inside_unresolved_share": ("<= 10 %", "reported", "reported"),
    "inside_f1": (">= 0.93", ">= 0.85", "oracle - 0.05"),
    "under": ("<= 2 %", "<= 5 %", "<= 5 %"), "on_top": ("<= 1 %", "<= 3 %", "<= 3 %"),
    "between": ("<= 5 %", "<= 10 %", "<= 10 %"), "false_per_crawl": ("<= 3", "<= 8", "reported"),
    "entry_f1": (">= 0.9", ">= 0.8", "reported"), "entry_precision": ("", "", ">= 0.85"),
    "escape_f1": (">= 0.85", "reported", "reported"), "inside_death_f1": (">= 0.9", "reported", "reported"),
    "calibration_ece_p_inside": ("<= 0.05", "<= 0.05", "<= 0.05"), "null": ("0.93-1.07", "0.9-1.1", "bounds hold it"),
}  # fmt: skip
SCORES: Final = (
    ("detection", "f1", "guest detection F1"), ("tracks", "links_f1", "links F1"),
    ("inside", "unresolved_share", "frames left unresolved"), ("inside", "precision", "inside precision per frame"),
    ("inside", "recall", "inside recall per frame (unresolved = missed)"), ("inside", "f1", "inside F1 per frame"),
    ("entry", "precision", "entry precision (12 min)"), ("entry", "recall", "entry recall"),
    ("entry", "f1", "entry F1"), ("entry", "error_median_min", "entry time error, median, min"),
    ("escape", "f1", "escape F1"), ("abort", "precision", "aborted entry precision"),
    ("abort", "recall", "aborted entry recall"), ("death", "f1", "death F1"),
    ("calibration", "ece_p_inside", "calibration error of p_inside"), ("calibration", "ece_p_event", "the same of p"),
)  # fmt: skip


class Cell:
    """One kind of optics: everything scored and evaluated."""

    def __init__(self, modality: str, made: list[Experiment], work: Path) -> None:
        self.modality, self.made = modality, made
        self.cost = self.cost_ms(work)
        outs = [work / f"{e.name}_out" for e in made]
        self.truth: Truth = load_truths(outs)
        self.measured: dict[str, Measured] = {
            "markov": score_all(outs, MARKOV), "hysteresis": score_all(outs, HYSTERESIS),
            "oracle": score_all(outs, MARKOV, oracle=True),
        }  # fmt: skip
        for name in ("competent", "naive"):
            found = baseline(outs, name, self.measured["markov"], self.truth)
            if found is not None:
                self.measured[name] = found
        self.evaluated: dict[str, Evaluation] = {n: evaluate(m, self.truth) for n, m in self.measured.items()}
        self.episodes = crawl_episodes(self.truth)
        self.true_by_replicate = truth_tables(self.truth, self.measured["markov"].layout)["rates_by_replicate"]

    def cost_ms(self, work: Path) -> float:
        """Processor time of the default scorer per 100 guests and frame, ms, on the first field."""
        seen = observations_of(next(iter(position_folders(work / f"{self.made[0].name}_out").values())))
        scorer = MarkovScorer()
        scorer.score(seen)
        start = time.process_time()
        for _ in range(5):
            scorer.score(seen)
        return 1e5 * (time.process_time() - start) / 5 / len(seen.frames)

    @property
    def n_entries(self) -> int:
        """True entries that could be asked."""
        e = self.evaluated["markov"]
        return int(e.score("entry", "found") + e.score("entry", "missed"))

    def target(self, key: str) -> str:
        """What is asked of this kind of optics."""
        return TARGETS.get(key, ("", "", ""))[list(MODALITIES).index(self.modality)]

    def share(self, way: str, decoy: str) -> float:
        """Share of a decoy's frames called inside."""
        rows = self.evaluated[way].tables["decoys"]
        found = rows[(rows["condition"] == "all") & (rows["decoy"] == decoy)]
        return float(found["share"].iloc[0]) if len(found) else float("nan")

    def false_per_crawl(self, way: str) -> float:
        """False entries of guests that lay under a host, per 100 crawls under one."""
        rows = self.evaluated[way].tables["occurrences"]
        false = rows[(rows["kind"] == "entry") & rows["outcome"].isin(["false", "false_shifted"])]
        return 100.0 * float(false["reason"].isin(["under", "under_two"]).sum()) / max(self.episodes, 1)

    def deaths_inside(self, way: str) -> tuple[float, float]:
        """F1 of deaths that truly happened, or were called, inside; and how many there truly are."""
        rows = self.evaluated[way].tables["occurrences"]
        rows = rows[(rows["kind"] == "death") & (rows["outcome"] != "neutral")]
        true_in = {(p, int(g)) for p, g in self.truth_inside()}
        called = self.measured[way].tables["guests"]
        called = called[called["death_location"] == "inside"]
        called_in = set(zip(called["position"], called["guest_id"].astype(int), strict=True))
        is_true = [(p, int(g)) in true_in for p, g in zip(rows["position"], rows["guest_id_true"], strict=True)]
        is_called = [(p, int(g)) in called_in for p, g in zip(rows["position"], rows["guest_id"], strict=True)]
        yes, said = np.array(is_true, bool), np.array(is_called, bool)
        matched = (rows["outcome"] == "found").to_numpy()
        found = float((yes & said & matched).sum())
        total = float(yes.sum() + said.sum())
        return (2.0 * found / total if total else float("nan")), float(yes.sum())

    def truth_inside(self) -> set[tuple[str, int]]:
        """Guests that died inside a host."""
        frames = self.truth.frames.sort_values(["position", "guest_id", "frame"])
        dead = frames[frames["viability"] == "dead"].drop_duplicates(["position", "guest_id"])
        inside = dead[(dead["location"] == "inside") & (dead["decoy"] != "dead_eaten")]
        return set(zip(inside["position"], inside["guest_id"].astype(int), strict=True))

    def spread(self, group: str, metric: str) -> float:
        """Standard error of markov's F1 of entry or inside over experiments, by leaving each out."""
        if (group, metric) not in {("entry", "f1"), ("inside", "f1")}:
            return float("nan")
        parts = np.array(list(self.counts(group).values()), float)
        total = parts.sum(axis=0)
        left = np.array([_f1(*(total - part)) for part in parts])
        n = len(left)
        return float(np.sqrt((n - 1) / n * np.sum((left - left.mean()) ** 2)))

    def counts(self, group: str) -> dict[str, tuple[float, float, float]]:
        """Found, wrong, missed of markov by experiment."""
        out = {}
        states = judged_states(self.measured["markov"], self.truth)
        rows = self.evaluated["markov"].tables["occurrences"]
        rows = rows[rows["kind"] == "entry"]
        for e in self.made:
            if group == "entry":
                mine = rows[rows["position"].str.startswith(f"{e.name}|")]["outcome"]
                out[e.name] = tuple(
                    float(mine.isin(k).sum())
                    for k in (["found"], ["false", "false_shifted"], ["missed", "missed_shifted"])
                )
            else:
                part = states[states["position"].str.startswith(f"{e.name}|")]
                yes, said = part["inside_true"].to_numpy(bool), part["inside"].to_numpy(bool)
                out[e.name] = (float((yes & said).sum()), float((~yes & said).sum()), float((yes & ~said).sum()))
        return out


def _f1(found: float, wrong: float, missed: float) -> float:
    return 2 * found / max(2 * found + wrong + missed, 1e-9)


# ---------------------------------------------------------------- the page


def main_table(cell: Cell) -> str:
    ways = list(cell.evaluated)
    lines = ["| | target | " + " | ".join(ways) + " |", "|---|---|" + "---:|" * len(ways)]
    for group, metric, title in SCORES:
        values = [f"{e.score(group, metric):.3f}" for e in cell.evaluated.values()]
        error = cell.spread(group, metric)
        values[0] += f" ± {error:.3f}" if np.isfinite(error) else ""
        key = f"{group}_{metric}"
        lines.append(f"| {title} | {cell.target(key)} | " + " | ".join(values) + " |")
    for decoy, title in (("under", "under"), ("on_top", "on-top"), ("between", "between")):
        values = [f"{100 * cell.share(w, decoy):.1f} %" for w in ways]
        lines.append(f"| {title} frames called inside | {cell.target(decoy)} | " + " | ".join(values) + " |")
    values = [f"{cell.false_per_crawl(w):.1f}" for w in ways]
    lines.append(f"| false entries per 100 crawls under a host | {cell.target('false_per_crawl')} | "
                 + " | ".join(values) + " |")  # fmt: skip
    deaths = [cell.deaths_inside(w) for w in ways]
    lines.append(f"| death inside F1 ({deaths[0][1]:.0f} true) | {cell.target('inside_death_f1')} | "
                 + " | ".join(f"{d[0]:.3f}" for d in deaths) + " |")  # fmt: skip
    nulls = {w: null_errors(cell.measured[w], cell.true_by_replicate) for w in ways}
    shown = [_null(t) for t in nulls.values()]
    lines.append(f"| under-crawl null: measured over true ratio, geometric mean of {len(cell.made)} | "
                 f"{cell.target('null')} | " + " | ".join(shown) + " |")  # fmt: skip
    within = [f"{t['within_bounds'].sum()} of {len(t)}" for t in nulls.values()]
    lines.append("| experiments whose bounds hold the true ratio | | " + " | ".join(within) + " |")
    return "\n".join(lines) + "\n"


def _null(table: pd.DataFrame) -> str:
    logs = np.log(table["error"].to_numpy(float))
    return f"{np.exp(logs.mean()):.2f} (x/ {np.exp(logs.std(ddof=1) / np.sqrt(len(logs))):.2f})"


def decoy_table(cell: Cell) -> str:
    lines = [
        "| decoy | frames | markov | left unresolved | hysteresis | left unresolved | oracle |",
        "|---|" + "---:|" * 6,
    ]
    tables = {
        w: cell.evaluated[w].tables["decoys"].query("condition == 'all'").set_index("decoy")
        for w in ("markov", "hysteresis", "oracle")
    }  # fmt: skip
    for decoy, row in tables["markov"].iterrows():
        other = tables["hysteresis"].loc[decoy]
        oracle = tables["oracle"]["share"].get(decoy, float("nan"))
        lines.append(
            f"| {str(decoy).replace('_', ' ')} | {row['frames']} | {100 * row['share']:.2f} % | "
            f"{100 * row['unresolved']:.1f} % | {100 * other['share']:.2f} % | {100 * other['unresolved']:.1f} % | "
            f"{100 * oracle:.2f} % |"
        )
    return "\n".join(lines) + "\n"


def condition_table(cell: Cell) -> str:
    lines = ["| frames left unresolved | " + " | ".join(("markov", "hysteresis")) + " |", "|---|---:|---:|"]
    for condition in ("vehicle", "drug"):
        values = [f"{100 * cell.evaluated[w].score('inside', 'unresolved_share', condition):.2f} %"
                  for w in ("markov", "hysteresis")]  # fmt: skip
        lines.append(f"| {condition} | " + " | ".join(values) + " |")
    return "\n".join(lines) + "\n"


def mechanism_table(cell: Cell) -> str:
    lines = [
        "| mechanism, parameters | experiments | inside F1 | entry F1 | true entries |",
        "|---|---:|---:|---:|---:|",
    ]
    inside, entry = cell.counts("inside"), cell.counts("entry")
    groups: dict[str, list[str]] = {}
    for e in cell.made:
        groups.setdefault(f"{e.mechanism}, {e.region}", []).append(e.name)
    for name, members in groups.items():
        a, b = (np.sum([counts[m] for m in members], axis=0) for counts in (inside, entry))
        lines.append(f"| {name} | {len(members)} | {_f1(*a):.3f} | {_f1(*b):.3f} | {b[0] + b[2]:.0f} |")
    return "\n".join(lines) + "\n"


def floor_table(cell: Cell) -> str:
    lines = ["| thinner of cap and floor, um | frames | markov recall | unresolved | hysteresis recall | oracle |",
             "|---|" + "---:|" * 5]  # fmt: skip
    tables = [by_floor(judged_states(cell.measured[w], cell.truth), cell.truth, FLOOR_UM)
              for w in ("markov", "hysteresis", "oracle")]  # fmt: skip
    for row, other, ideal in zip(*(t.itertuples() for t in tables), strict=True):
        lines.append(f"| {row.thinner.left:g}-{row.thinner.right:g} | {row.frames} | {row.recall:.3f} | "
                     f"{100 * row.unresolved:.1f} % | {other.recall:.3f} | {ideal.recall:.3f} |")  # fmt: skip
    return "\n".join(lines) + "\n"


def risk_table(cell: Cell) -> str:
    rows = cell.evaluated["markov"].tables["risk_coverage"]
    lines = ["| frames judged | precision | recall among them | recall of all |", "|---:|---:|---:|---:|"]
    lines += [
        f"| {100 * row.coverage:.0f} % | {row.precision:.3f} | {row.recall:.3f} | {row.recall_of_all:.3f} |"
        for row in rows[rows["coverage"].round(2).isin([0.8, 0.85, 0.9, 0.95, 1.0])].itertuples()
    ]
    return "\n".join(lines) + "\n"


def section(cell: Cell) -> str:
    """Everything about one kind of optics."""
    hours = cell.true_by_replicate.query("estimand == 'entry_rate_per_guest_h'")["denominator"].sum()
    head = (
        f"## {cell.modality}\n\n{len(cell.made)} experiments of two fields, {cell.n_entries} true entries watched from "
        f"before and not brief in {hours:.0f} guest-hours, {cell.episodes} crawls under a host. "
        f"Scoring (markov) takes {cell.cost:.1f} ms of one core per 100 guests and frame (target <= 2).\n\n"
    )
    parts = [
        main_table(cell), "Frames called inside, by what the guest truly was:\n", decoy_table(cell),
        "By condition (the drug cuts crawling under hosts and does nothing else):\n", condition_table(cell),
        "By thickness of the host's cytoplasm over and under the guest:\n", floor_table(cell),
        "By what was held out (markov):\n", mechanism_table(cell),
    ]  # fmt: skip
    if cell.modality.startswith("2D"):
        parts += ["Risk and coverage (markov): what abstaining from the least certain frames buys:\n", risk_table(cell)]
    return head + "\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=KEPT, help="folder in which fields are made and kept")
    parser.add_argument("--experiments", type=int, nargs=3, default=list(COUNTS.values()), metavar="N")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    warnings.simplefilter("ignore")
    args.work.mkdir(parents=True, exist_ok=True)
    page = [
        f"# Inside, under or on top\n\n{__doc__}\nMeasured {datetime.now(UTC):%Y-%m-%d} with cicimage {__version__} on "
        f"{platform.machine()} Linux; fields of {SIDE_PX} x {SIDE_PX} px of 0.65 um, {FRAMES} frames every 4 min, "
        f"about {GUESTS} guests (`--experiments {' '.join(map(str, args.experiments))}`).\n",
        hand_written("scorer"),
    ]
    for modality, n in zip(COUNTS, args.experiments, strict=True):
        made = experiments(modality, range(FIRST_SEED, FIRST_SEED + n))
        for experiment in made:
            make(experiment, args.work)
        page.append(section(Cell(modality, made, args.work)))
        print(page[-1], flush=True)
    results = Path(__file__).parents[1] / "results"
    (results / "scorer.md").write_text("\n".join(page), encoding="utf-8")


if __name__ == "__main__":
    main()
