"""Speed of the whole job as a ratio to the least any program must do: decode every plane and blur it once.

Every command is a fresh process with warm caches, as a user's second run is. The floor is decoding every plane and one
OpenCV Gaussian (sigma 2) per plane on one thread; ratios are taken within a repetition, in which everything is measured
once, one after the other; tables show medians, and ranges in parentheses. Steady state is the position's stages,
without start-up and report. Start to the first frame ends when the progress bar shows it.

Peers do less than the program (no depth, no states, no events, no doubt) on the same pixels and cores, and stand
beside the part that does the same; their imports and compilation are left out, those of the program count. Their
masks and spots are found on maximum projections, which in 3D spares them most of the pixels.

    python benchmarks/speed.py                            all of it, half a day
    python benchmarks/speed.py --recordings plain many    some of it; the rest of the page stays
    python benchmarks/speed.py --resume                   go on where it was stopped
    python benchmarks/speed.py --reduced --runs 1         miniatures, to see that everything goes through

Recordings are made once, and kept with what was measured in benchmarks/work/speed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import psutil
from lib.prose import hand_written
from lib.recordings import NAME, RECORDINGS, TimedRecording, make, reduced
from lib.speed_page import page
from lib.speed_parts import OF_A_RECORDING, OF_THE_PROGRAM, Runs, Site

HERE: Final = Path(__file__).parent
WORK: Final = HERE / "work" / "speed"
RESULTS: Final = HERE / "results" / "speed.md"
PROGRAM: Final = "program"
LIBRARIES: Final = (
    "cicimage",
    "numpy",
    "scipy",
    "pandas",
    "opencv-python-headless",
    "numba",
    "tifffile",
    "scikit-image",
    "trackpy",
)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--recordings", nargs="+", choices=[PROGRAM, *RECORDINGS], default=[PROGRAM, *RECORDINGS],
        help="Which ones; program is what depends on no recording.",
    )  # fmt: skip
    parser.add_argument("--parts", nargs="+", choices=list(OF_A_RECORDING), help="Parts of a recording [default: all].")
    parser.add_argument("--runs", type=int, default=3, help="Repetitions [default: %(default)s].")
    parser.add_argument("--resume", action="store_true", help="Keep what was measured of this commit, and go on.")
    parser.add_argument("--reduced", action="store_true", help="Miniatures of the recordings.")
    parser.add_argument("--work", type=Path, default=WORK, help="Recordings and measurements [default: %(default)s].")
    parser.add_argument("--out", type=Path, help="The page [default: benchmarks/results/speed.md; none of miniatures].")
    args = parser.parse_args(arguments)
    kept = Kept(args.work / ("reduced.json" if args.reduced else "measured.json"))
    chosen = {n: p for n, p in OF_A_RECORDING.items() if not args.parts or n in {"floor", "run", *args.parts}}
    for name in args.recordings:
        if name == PROGRAM:
            kept.begin(name, _facts("Commands whose time does not depend on pixels."), resume=args.resume)
            site, parts, warm_up = Site(Path(), Path(), Path(), args.work / "out" / name), OF_THE_PROGRAM, None
        else:
            recording = reduced(RECORDINGS[name]) if args.reduced else RECORDINGS[name]
            kept.begin(name, _facts(recording.about) | _shape(recording), resume=args.resume)
            print(f"{name}: {recording.shape}", flush=True)
            one, two = make(recording, args.work / "recordings")
            site = Site(one, two, one / "vehicle" / NAME, args.work / "out" / name)
            parts, warm_up = chosen, "run"
        measure(kept, name, site, parts, args.runs, warm_up)
    text = "\n".join([page(kept.sections, __doc__), hand_written("speed")])
    out = args.out or (None if args.reduced else RESULTS)
    if out is not None:
        out.write_text(text, encoding="utf-8")
    print(text)


class Kept:
    """What was measured, by section and repetition, written after every part.

    Attributes
    ----------
    sections : dict
        By name: what was measured where, and ``repetitions``, each with numbers by part.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.sections: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}

    def begin(self, name: str, facts: Mapping[str, Any], *, resume: bool) -> None:
        """Begin a section anew, or go on with it where it is of the same commit and shape."""
        before = self.sections.get(name, {})
        same = all(before.get(k) == facts[k] for k in ("commit", "about", "machine", "versions"))
        repetitions = before["repetitions"] if resume and same else []
        if resume and before and not same:
            print(f"{name}: measured of another commit or machine before; begun anew", flush=True)
        self.sections[name] = {**facts, "repetitions": repetitions}

    def repetition(self, name: str, i: int) -> dict[str, Any]:
        """Numbers by part of one repetition."""
        done: list[dict[str, Any]] = self.sections[name]["repetitions"]
        while len(done) <= i:
            done.append({})
        return done[i]

    def save(self) -> None:
        """Write everything; a kill leaves the file as it was before."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_suffix(".part")
        temporary.write_text(json.dumps(self.sections, indent=1))
        temporary.replace(self._path)


def measure(kept: Kept, name: str, site: Site, parts: Runs, runs: int, warm_up: str | None) -> None:
    """Measure what is missing of some repetitions, after one warm-up."""
    if all(part in kept.repetition(name, i) for i in range(runs) for part in parts):
        return
    for part in [warm_up] if warm_up else parts:
        parts[part](site)
    for i in range(runs):
        found = kept.repetition(name, i)
        for part, measured in parts.items():
            if part not in found:
                found[part] = measured(site)
                print(f"{name} {i + 1}/{runs} {part}: {found[part]['wall']:.2f} s", flush=True)
                kept.save()


def _shape(recording: TimedRecording) -> dict[str, Any]:
    return {"shape": recording.shape, "wanted": asdict(recording.wanted)}


def _facts(about: str) -> dict[str, Any]:
    """What a section was measured of, where and when."""
    versions = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return {
        "about": about, "commit": _commit(), "date": time.strftime("%Y-%m-%d"), "machine": _machine(),
        "versions": f"Python {platform.python_version()}, {versions}.",
    }  # fmt: skip


def _commit() -> str:
    """The commit, and whether the program's own files differ from it."""
    git = ["git", "-C", str(HERE.parent)]
    commit = subprocess.run([*git, "rev-parse", "--short=10", "HEAD"], capture_output=True, text=True, check=False)
    changed = subprocess.run(
        [*git, "status", "--porcelain", "--", "cicimage"], capture_output=True, text=True, check=False
    )
    return (commit.stdout.strip() or "unknown") + (" with changes" if changed.stdout.strip() else "")


def _machine() -> str:
    """Processor, cores, memory, system."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    memory = psutil.virtual_memory().total / 2**30
    model = models[0] if models else platform.processor()
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()}."


if __name__ == "__main__":
    main()
