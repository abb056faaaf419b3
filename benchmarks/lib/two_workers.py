"""Part of the scaling benchmark: what a second worker brings, on positions of some seconds."""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from lib.painter import movie

SAMPLE: Final = Path(__file__).parents[2] / "sample_data" / "cxcr4_blockade"
LARGE_FRAMES: Final = 10
SUBREAPER: Final = 36
"""Of prctl: orphans below this process become its children, so that the server of the positions is counted too."""


@dataclass(frozen=True)
class Way:
    """How the same positions are run."""

    name: str
    workers: int
    cores: int


WAYS: Final = (
    Way("one worker", 1, 2), Way("one worker held to one core", 1, 1), Way("two workers", 2, 2),
)  # fmt: skip


@dataclass(frozen=True)
class Taken:
    """Seconds from the first position's start to the last one's end, processor seconds of all, load before."""

    seconds: float
    processor: float
    load: float


SMALL: Final = "small frames (180 x 180, 8 slices, 20 frames)"
LARGE: Final = f"large frames (1024 x 1024, {LARGE_FRAMES} frames, 300 guests)"


def copies(root: Path, positions: int, kind: str) -> Path:
    """The sample data's movies, or a large one, under as many names."""
    movies = sorted(SAMPLE.glob("*/*.ome.tif"))
    if kind == LARGE:
        root.mkdir(parents=True, exist_ok=True)
        movies = [root / "movie.ome.tif"]
        if not movies[0].exists():
            movie(movies[0], frames=LARGE_FRAMES)
    for i in range(positions):
        condition = ("vehicle", "BTKi")[i % 2]
        path = root / condition / f"A{i // 2 + 1}_f1.ome.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            shutil.copyfile(movies[i % len(movies)], path)
    return root


def run(root: Path, out: Path, way: Way) -> Taken:
    """Run all positions one way, without tables and report."""
    shutil.rmtree(out, ignore_errors=True)
    load, before = os.getloadavg()[0], resource.getrusage(resource.RUSAGE_CHILDREN)
    cores = sorted(os.sched_getaffinity(0))[: way.cores]
    command = [sys.executable, "-m", "cicimage", "run", str(root), "-o", str(out), "--workers", str(way.workers)]
    process = subprocess.Popen(
        [*command, "--no-report"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )  # fmt: skip
    assert process.wait() == 0, process.returncode
    with suppress(ChildProcessError):
        while True:
            os.wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = min(p.stat().st_mtime for p in out.glob("positions/*/.lock"))
    ended = max(p.stat().st_mtime for p in out.glob("positions/*/receipt.json"))
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Taken(ended - begun, spent, load)


def workers(work: Path, positions: int, rounds: int) -> list[tuple[str, ...]]:
    """Medians of each way in rounds, and the two ratios."""
    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    out = []
    for n, kind in enumerate((SMALL, LARGE)):
        root = copies(work / f"two{positions}_{n}", positions, kind)
        taken: dict[str, list[Taken]] = {way.name: [] for way in WAYS}
        for _ in range(rounds):
            for way in WAYS:
                taken[way.name].append(run(root, work / "two_out", way))
                print(kind, way.name, taken[way.name][-1], flush=True)
        out += rows(taken, f"{positions} positions of {kind}")
    return out


def rows(taken: Mapping[str, Sequence[Taken]], what: str) -> list[tuple[str, ...]]:
    """The table: one row a way, then what two workers are against each."""
    out, median = [(what, "", "", "", "")], dict[str, float]()
    for name, found in taken.items():
        median[name] = float(np.median([t.seconds for t in found]))
        each = ", ".join(f"{t.seconds:.1f}" for t in found)
        spent, load = (float(np.median([getattr(t, k) for t in found])) for k in ("processor", "load"))
        out.append((name, f"{median[name]:.1f}", each, f"{spent:.1f}", f"{load:.1f}"))
    two = median["two workers"]
    for name in list(median)[:2]:
        ratios = [a.seconds / b.seconds for a, b in zip(taken[name], taken["two workers"], strict=True)]
        each = ", ".join(f"{r:.2f}" for r in ratios)
        out.append((f"two workers over {name}", f"{median[name] / two:.2f}", each, "", ""))
    return out
