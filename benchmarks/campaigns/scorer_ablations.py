"""What carries the answer: the Markov scorer without each piece of evidence, and without memory.

    python benchmarks/campaigns/scorer_ablations.py [--work DIR]

On the kept fields of ``scorer.py``; nothing is simulated or run here. *Without X* leaves the table of that evidence out
of the parameters as they are (not fitted anew); *without memory* lets the states change so fast that each frame stands
alone. Accuracy on simulations is not accuracy on real cells.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # benchmarks/, where lib lies

import argparse
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from lib.prose import hand_written
from lib.scorer_fields import KEPT, MODALITIES
from lib.scorer_sides import load_truths, score_all

from cicimage.evaluation.evaluate import evaluate
from cicimage.events.chain import Chain
from cicimage.events.emissions import EmissionModel
from cicimage.events.parameters import ScorerParameters, load_parameters, write_parameters
from cicimage.methods import Choice

GROUPS: Final = {
    "cap": ("cap_um",), "floor": ("floor_um",), "cap and floor": ("cap_um", "floor_um"),
    "walls beside it": ("wall_lower", "wall_upper", "edge_lower", "lining", "wall"), "ring": ("ring_coverage",),
    "void and body": ("void", "body"), "heights": ("clearance_um", "z_in_host"), "sharpness": ("sharpness",),
    "speed": ("log_speed",), "footprint and gap": ("footprint_share", "gap_um"),
}  # fmt: skip
FAST: Final = 1e4
"""Factor on all rates at which a state is forgotten between two frames."""
SHOWN: Final = (
    ("inside", "f1"), ("inside", "unresolved_share"), ("entry", "precision"), ("entry", "recall"), ("entry", "f1"),
    ("escape", "f1"), ("calibration", "ece_p_inside"),
)  # fmt: skip


def variants() -> Iterator[tuple[str, ScorerParameters]]:
    """Parameters with something taken away, by name."""
    whole = load_parameters()
    yield "everything", whole
    chain = Chain(whole.chain.states, whole.chain.generator * FAST, whole.chain.start)
    yield "without memory (each frame alone)", replace(whole, chain=chain)
    for title, names in GROUPS.items():
        regimes = tuple(
            replace(
                r, emissions=EmissionModel(
                    r.emissions.offset, tuple(t for t in r.emissions.tables if t.name not in names)
                )
            )
            for r in whole.regimes
        )  # fmt: skip
        yield f"without {title}", replace(whole, regimes=regimes)


def has(title: str, flat: bool) -> bool:
    """Whether a variant takes anything away in 2D or in 3D."""
    regime = next(r for r in load_parameters().regimes if (r.blur_um is None) == flat)
    names = GROUPS.get(title.removeprefix("without "))
    return names is None or any(t.name in names for t in regime.emissions.tables)


def table(outs: list[Path], *, flat: bool) -> str:
    """One row a variant, as Markdown."""
    truth = load_truths(outs)
    lines = ["| | " + " | ".join(f"{g} {m.replace('_', ' ')}" for g, m in SHOWN) + " |", "|---|" + "---:|" * len(SHOWN)]
    with tempfile.TemporaryDirectory() as folder:
        for k, (title, parameters) in enumerate(variants()):
            if not has(title, flat):
                continue
            file = Path(folder) / f"{k}.toml"
            file.write_text(write_parameters(parameters), encoding="utf-8")
            found = evaluate(score_all(outs, Choice("markov", {"parameters": str(file)})), truth)
            values = " | ".join(f"{found.score(g, m):.3f}" for g, m in SHOWN)
            lines.append(f"| {title} | {values} |")
            print(lines[-1], flush=True)
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=KEPT, help="where scorer.py keeps its fields")
    parser.add_argument("--experiments", type=int, default=4, help="experiments per kind of optics")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    measured = f"Measured {datetime.now(UTC):%Y-%m-%d}, the first experiments of each kind (two fields each).\n"
    page = [f"# What carries the answer\n\n{__doc__}\n{measured}", hand_written("scorer_ablations")]
    for modality in MODALITIES:
        start = modality.replace(" ", "-").replace("/", "-")
        kept = sorted(p.parent for p in args.work.glob(f"{start}-*_out/kept.json"))
        outs = sorted(kept, key=lambda p: int(p.name.removesuffix("_out").rsplit("-", 1)[1]))[: args.experiments]
        page.append(f"## {modality}, {len(outs)} experiments\n\n{table(outs, flat=modality.startswith('2D'))}")
    (Path(__file__).parents[1] / "results" / "scorer_ablations.md").write_text("\n".join(page), encoding="utf-8")


if __name__ == "__main__":
    main()
