"""Run the benchmarks one after the other; each writes its page to benchmarks/results.

Everything that can be run is listed here: short benchmarks lie in benchmarks/, long ones in benchmarks/campaigns/, and
what they share in benchmarks/lib/, which is never run by itself.

    python benchmarks/run_all.py                 all but those only by name (some nights)
    python benchmarks/run_all.py speed linking   these
    python benchmarks/run_all.py --list          what each is and how long it takes
    python benchmarks/run_all.py --short         a small part of the long campaigns, pages left as they are

How long each took the last time on this machine is kept in benchmarks/work/times.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
TIMES: Final = HERE / "work" / "times.json"


@dataclass(frozen=True)
class Benchmark:
    """One of them: what it tells, roughly how long it takes on two cores, and the arguments of a small part.

    Those that are ``asked_for`` run by name alone: they need more than this machine, or change the program.
    """

    name: str
    about: str
    takes: str
    short: tuple[str, ...] = ()
    asked_for: bool = False

    @property
    def script(self) -> Path:
        """Its file, here or among the campaigns."""
        here = HERE / f"{self.name}.py"
        return here if here.exists() else HERE / "campaigns" / here.name


ORDER: Final = (
    Benchmark(
        "speed", "the whole job against decoding and one blur, four recordings, and peers", "half a day",
        ("--reduced", "--runs", "1"),
    ),
    Benchmark("memory", "peak memory of a 12.6 GB movie; needs 13 GB of disk", "ten minutes"),
    Benchmark("linking", "linking guests, against trackpy", "minutes"),
    Benchmark("segmentation", "hosts and guests against the simulator's outlines, and time a frame", "minutes"),
    Benchmark("accuracy", "whole runs against known truth, two seeds, beside today's usual ways", "hours"),
    Benchmark("scorer", "inside, under, on top on kept fields, three kinds of optics", "hours"),
    Benchmark("scorer_ablations", "the scorer without each piece of evidence, on the fields of scorer", "minutes"),
    Benchmark("microscope", "accuracy against signal, focus step, aperture, interval", "hours"),
    Benchmark("nulls", "drugs that do nothing, held against their own truth", "hours"),
    Benchmark("review_simulated", "what a simulated reviewer of the queue removes", "an hour"),
    Benchmark("statistics_simulation", "coverage and errors of the first kind, 5,000 experiments a cell", "hours"),
    Benchmark("fuzz", "100,000 damaged files: only sentences escape", "half an hour", ("--cases", "1200")),
    Benchmark(
        "input_alarms", "alarms of the input checks on sound movies and on faults of graded strength", "an hour",
        ("--movies", "4", "--parts", "sound"),
    ),
    Benchmark("input_price", "what the input checks cost of a run's CPU time", "minutes"),
    Benchmark(
        "scaling", "1,000 positions, and two workers against one; wants a quiet machine", "half an hour",
        ("--positions", "80", "--pairs", "2", "--rounds", "1"),
    ),
    Benchmark(
        "faults", "200 kills of local runs, 50 of dask workers, bad input, full disks; goes on where it stopped",
        "an hour and a half", ("--kills", "2", "--worker-kills", "1"),
    ),
    Benchmark("review_speed", "how fast a review is on a large field; needs a screen", "half an hour", asked_for=True),
    Benchmark("fit_scorer", "fits cicimage/events/parameters.toml anew", "hours", asked_for=True),
    Benchmark("fit_one_stain", "fits cicimage/events/one_stain.toml anew", "hours", asked_for=True),
    Benchmark("side_by_side", "compares the tables of two results folders, OLD and NEW", "seconds", asked_for=True),
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="Which ones [default: all].")
    parser.add_argument("--list", action="store_true", help="Say what each is and how long it takes, and stop.")
    parser.add_argument("--short", action="store_true", help="Small parts of the campaigns that have them.")
    args = parser.parse_args()
    known = {b.name: b for b in ORDER}
    names = [n.removesuffix(".py") for n in args.names]
    if wrong := [n for n in names if n not in known]:
        parser.error(f"no benchmark {wrong[0]!r}; there are {', '.join(known)}")
    chosen = [known[n] for n in names] or [
        b for b in ORDER if args.list or (not b.asked_for and (b.short or not args.short))
    ]
    if args.list:
        say(chosen)
        return 0
    failed = [b.name for b in chosen if run(b, short=args.short)]
    if failed:
        print("failed: " + ", ".join(failed))
    return bool(failed)


def times() -> dict[str, float]:
    """Seconds that each took the last time."""
    return dict(json.loads(TIMES.read_text())) if TIMES.exists() else {}


def say(chosen: list[Benchmark]) -> None:
    taken = times()
    for b in chosen:
        last = f"; {taken[b.name] / 60:.0f} min the last time" if b.name in taken else ""
        marks = " [--short]" * bool(b.short) + " [only by name]" * b.asked_for
        print(f"{b.name:22s} {b.about} ({b.takes}{last}){marks}")


def run(benchmark: Benchmark, *, short: bool) -> int:
    """Run one; a short part leaves no page behind."""
    print(f"== {benchmark.name}", flush=True)
    start, command = time.perf_counter(), [sys.executable, str(benchmark.script)]
    with tempfile.TemporaryDirectory() as folder:
        if short and benchmark.short:
            command += [*benchmark.short, "--out", f"{folder}/page.md"]
            command += [] if benchmark.name == "fuzz" else ["--work", f"{folder}/work"]
        code = subprocess.run(command, check=False).returncode
    seconds = time.perf_counter() - start
    print(f"== {benchmark.name}: {seconds:.0f} s", flush=True)
    if not code and not short:
        TIMES.parent.mkdir(exist_ok=True)
        TIMES.write_text(json.dumps(times() | {benchmark.name: round(seconds)}, indent=1))
    return code


if __name__ == "__main__":
    sys.exit(main())
