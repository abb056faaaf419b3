"""How much of the error in the rates a reviewer removes, look by look: the queue's order against a random one.

    python benchmarks/campaigns/review_simulated.py [--work DIR] [--only NAME ...]

Simulated experiments with mechanisms held out of every fit are run as a user would run them; a reviewer who answers
from their truth, and errs, works through the queue. After each share of it the rates are computed as the report does.
Accuracy on simulations is not accuracy on real cells.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # benchmarks/, where lib lies

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pandas as pd
from lib.review_page import write_simulated
from lib.scorer_fields import Experiment, experiments, make
from lib.truthful_reviewer import ERRS, ERRS_BLIND, Seen, answer, true_sight

from cicimage.evaluation.estimates import truth_tables
from cicimage.evaluation.load import load_truth
from cicimage.evaluation.sides import Truth
from cicimage.pipeline.collect import layout_of
from cicimage.review.base import Base, load_base
from cicimage.review.corrected import Corrected
from cicimage.review.edits import Edit, Verdict
from cicimage.review.keys import ReviewError
from cicimage.review.queue import AGAIN_AFTER, Item, build_queue, load_queue_tables, needs_another_look
from cicimage.review.session import position_names
from cicimage.statistics.rates import compute_rates
from cicimage.store import Results, read_json

MODALITIES: Final = ("3D 40x/0.95", "3D 20x/0.8")
SEEDS: Final = range(20, 24)
RATES: Final = ("entry_rate_per_guest_h", "entry_rate_per_contact_h", "escape_rate_per_h", "inside_occupancy_end")
SHARES: Final = (0.0, 0.02, 0.05, 0.10, 0.15, 0.20, 0.30, 0.50, 1.0)
REVIEWERS: Final = 3
PERFECT: Final = -1
"""Number of the reviewer who never errs: what he finds in the whole queue is what review can establish."""


@dataclass(frozen=True, eq=False)
class Trial:
    """One simulated experiment with its results and truth."""

    results: Results
    names: Mapping[str, str]
    bases: Mapping[str, Base]
    layout: pd.DataFrame
    truth: Truth
    true_rates: Mapping[str, pd.DataFrame]
    sight: Mapping[tuple[str, int], Seen]

    @classmethod
    def open(cls, out: Path, truth_folder: Path) -> Trial:
        """Read results and truth."""
        results = Results(out)
        names = position_names(results)
        bases = {key: load_base(results, name) for key, name in names.items()}
        layout = layout_of(read_json(results.run), list(names.values()))
        truth = load_truth(truth_folder)
        true = truth_tables(truth, layout)
        separable = {key: bool(base.separable.get("inside", False)) for key, base in bases.items()}
        frames = {key: base.frames for key, base in bases.items()}
        return cls(results, names, bases, layout, truth, true, true_sight(frames, names, truth, separable))


def rates_now(trial: Trial, corrected: Mapping[str, Corrected]) -> dict[str, pd.DataFrame]:
    """Rates per condition and per well as the report computes them."""
    design = trial.layout.set_index("position")[["condition", "replicate", "donor"]]
    parts: dict[str, list[pd.DataFrame]] = {"events": [], "guests": [], "hosts": [], "frames": []}
    for key, position in corrected.items():
        tables = position.tables()
        for name, rows in parts.items():
            rows.append(tables[name].assign(position=trial.names[key]))
    joined = {}
    for name, rows in parts.items():
        kept = [r for r in rows if len(r)] or rows[:1]
        whole = pd.concat(kept, ignore_index=True)
        joined[name] = whole.drop(columns=[c for c in design if c in whole]).join(design, on="position")
    rates, wells = compute_rates(joined["events"], joined["guests"], joined["hosts"], joined["frames"], trial.layout)
    return {"rates": rates, "rates_by_replicate": wells}


def estimates(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The rates looked at, one row per condition."""
    rates = tables["rates"]
    return rates.loc[rates["estimand"].isin(RATES), ["estimand", "condition", "estimate"]]


@dataclass(eq=False)
class Desk:
    """The order in which items come up, those to be looked at once more among them, as the program has it."""

    queue: Sequence[Item]
    said: dict[str, list[str]] = field(default_factory=dict)
    _next: int = 0
    _again: dict[str, tuple[int, Item]] = field(default_factory=dict)
    _looks: int = 0

    def item(self) -> Item | None:
        """What comes up now."""
        for n, item in self._again.values():
            if self._looks - n >= AGAIN_AFTER or self._next >= len(self.queue):
                del self._again[item.id]
                return item
        if self._next >= len(self.queue):
            return None
        self._next += 1
        return self.queue[self._next - 1]

    def heard(self, item: Item, edits: Sequence[Edit]) -> None:
        """Take note of the answer."""
        self._looks += 1
        alone = len(edits) == 1 and isinstance(edits[0], Verdict)
        self.said.setdefault(item.id, []).append(getattr(edits[0], "verdict", "set") if alone else "set")
        if needs_another_look(self.said[item.id]):
            self._again[item.id] = (self._looks, item)


def review(trial: Trial, queue: Sequence[Item], who: int, shares: Sequence[float]) -> pd.DataFrame:
    """Rates after a reviewer has taken as many looks as each share of the queue has items."""
    rng = np.random.default_rng(abs(who))
    slips, misled = (0.0, 0.0) if who == PERFECT else (ERRS, ERRS_BLIND)
    corrected = {key: Corrected(base) for key, base in trial.bases.items()}
    desk, looks, edits = Desk(queue), 0, 0
    parts: list[pd.DataFrame] = []
    for share in shares:
        while looks < round(share * len(queue)) and (item := desk.item()) is not None:
            c = item.candidate
            seen = trial.sight[c.position, c.guest_id]
            answers = answer(corrected[c.position], item, seen, rng, who, slips=slips, misled=misled)
            for edit in answers:
                edits += 1
                with suppress(ReviewError):  # an earlier answer on the same guest stands in its way
                    corrected[c.position].do(edits, edit)
            desk.listeners(item, answers)
            looks += 1
        parts.append(estimates(rates_now(trial, corrected)).assign(share=share, looks=looks))
    return pd.concat(parts, ignore_index=True)


def curves(trial: Trial) -> pd.DataFrame:
    """Rates over the share reviewed, of every reviewer in both orders, beside what is true and what a review can find.

    Returns
    -------
    pandas.DataFrame
        estimand, condition, estimate, share, looks, order (queue | random | perfect | truth), who, items.
    """
    ground = load_queue_tables(trial.results, trial.names)
    parts = [estimates(trial.true_rates).assign(order="truth", share=1.0, looks=0, who=PERFECT)]
    for who in (PERFECT, *range(REVIEWERS)):
        queue = build_queue(ground, f"reviewer {who}")
        if who == PERFECT:
            parts.append(review(trial, queue, who, (1.0,)).assign(order="perfect", who=who))
            continue
        mixed = [queue[i] for i in np.random.default_rng(who).permutation(len(queue))]
        for order, items in (("queue", queue), ("random", mixed)):
            parts.append(review(trial, items, who, SHARES).assign(order=order, who=who))
    return pd.concat(parts, ignore_index=True).assign(items=len(queue))


def chosen(only: Sequence[str]) -> list[Experiment]:
    """Experiments asked for; all by default."""
    known = [e for m in MODALITIES for e in experiments(m, SEEDS)]
    return [e for e in known if not only or e.name in only]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, help="keep experiments and curves here; what is there is not made again")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these experiments")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        work = args.work or Path(scratch)
        for experiment in chosen(args.only):
            kept = work / f"{experiment.name}_review.parquet"
            if not kept.exists():
                out = make(experiment, work, baselines=False)
                made = curves(Trial.open(out, work / f"{experiment.name}_truth"))
                made.assign(trial=experiment.name).to_parquet(kept, index=False)
            print(experiment.name, flush=True)
        found = [p for e in chosen([]) if (p := work / f"{e.name}_review.parquet").exists()]
        write_simulated(pd.concat([pd.read_parquet(p) for p in found], ignore_index=True))


if __name__ == "__main__":
    main()
