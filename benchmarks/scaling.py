"""Many positions: what the machinery round the pixels costs, and how it grows.

- scheduling: positions whose recording is an empty file, one worker: start of the process, lock, log, preflight,
  receipt. Wall time a position is pure overhead. The supervisor's memory is sampled all along.
- folder: the results of a few tiny positions copied under as many names: `status`, a run that finds everything done,
  and `report` (tables, rates, comparisons, curves, figures, page).
- workers: positions of some seconds (those of the sample data) by one worker, by one worker held to one core, and by
  two workers, in turn. One worker with two cores finds guests a frame ahead on the second, so that two workers cannot
  be twice as fast; the second ratio says what a second worker with a core of its own brings.

Targets: at most 150 ms a position, memory of the supervisor flat, status within 1 s and report within 60 s at 1,000
positions, two workers on two cores at least 1.8 times one.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import psutil
from lib.prose import hand_written
from lib.tiny_movies import EXPERIMENT, experiment
from lib.two_workers import workers

WORK: Final = Path(__file__).parent / "work" / "scaling"
RESULTS: Final = Path(__file__).parent / "results" / "scaling.md"
SOURCES: Final = 8


def program(*arguments: str | Path) -> tuple[float, float, float]:
    """Wall seconds, processor seconds of the program's own process, and the load of the machine before."""
    load, start = os.getloadavg()[0], time.perf_counter()
    before = psutil.Process().cpu_times()
    code = subprocess.run(
        [sys.executable, "-m", "cicimage", *map(str, arguments)], capture_output=True, check=False
    ).returncode
    after = psutil.Process().cpu_times()
    assert code in (0, 3, 4), code
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - start, spent, load


def empty_experiment(root: Path, positions: int) -> Path:
    """Recordings of no bytes: each fails at the gate."""
    for i in range(positions):
        path = root / ("vehicle", "BTKi")[i % 2] / f"A{i // 2 + 1}_f1.ome.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (root / "experiment.toml").write_text(EXPERIMENT)
    return root


def scheduling(work: Path, positions: int) -> dict[str, float]:
    """Wall time a position, and the supervisor's memory at a fifth of the way and at the end."""
    root, out = empty_experiment(work / "empty", positions), work / "empty_out"
    command = [sys.executable, "-m", "cicimage", "run", str(root), "-o", str(out), "--workers", "1", "--no-report"]
    process = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    samples: list[tuple[float, int, int]] = []
    while process.poll() is None:
        try:
            finished = len(list(out.glob("positions/*/receipt.json")))
            samples.append((time.perf_counter(), finished, process.memory_info().rss))
        except psutil.Error:
            break
        time.sleep(0.25)
    at = [s for s in samples if s[1] > 0]
    seconds = at[-1][0] - at[0][0]
    part = [s for s in at if s[1] >= positions / 5]
    slope = float(np.polyfit([s[1] for s in part], [s[2] for s in part], 1)[0])
    return {
        "positions": positions, "ms_a_position": 1000 * seconds / (at[-1][1] - at[0][1]),
        "mib_first": part[0][2] / 2**20, "mib_last": part[-1][2] / 2**20, "bytes_a_position": slope,
        "load": os.getloadavg()[0],
    }  # fmt: skip


def copies(work: Path, positions: int) -> tuple[Path, Path]:
    """An input and its finished results of so many positions, made of a few that were run."""
    few, few_out = work / "few", work / "few_out"
    if not few.exists():  # a file written anew is another file
        experiment(few, SOURCES, frames=(6,), sizes=(64,))
    if not (few_out / "report.html").exists():
        program("run", few, "-o", few_out, "--workers", "2")
    root, out = work / f"in{positions}", work / f"out{positions}"
    run = json.loads((few_out / "run.json").read_text())
    sources = list(run["positions"].items())
    keys, design = {}, {}
    for i in range(positions):
        name, key = sources[i % SOURCES]
        condition = name.split("/")[0]
        position = f"{condition}/A{i + 1}_f1"
        path = root / f"{position}.ome.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(run["design"][name]["path"], path)
        keys[position] = f"p{i + 1:04d}"
        design[position] = {**run["design"][name], "path": str(path), "replicate": f"A{i + 1}"}
        shutil.copytree(few_out / "positions" / key, out / "positions" / keys[position])
    (root / "experiment.toml").write_text(EXPERIMENT)
    (out / "run.json").write_text(json.dumps({**run, "positions": keys, "design": design}))
    return root, out


def folder(work: Path, counts: Sequence[int]) -> list[tuple[str, ...]]:
    """Seconds of status, of a run with nothing to do, and of a report, by number of positions."""
    rows = []
    for n in counts:
        root, out = copies(work, n)
        for name, arguments in (
            ("status", ("status", out)), ("run, nothing to do", ("run", root, "-o", out, "--no-report")),
            ("report", ("report", out)),
        ):  # fmt: skip
            wall, spent, load = program(*arguments)
            rows.append((name, str(n), f"{wall:.2f}", f"{spent:.2f}", f"{load:.1f}"))
            print(rows[-1], flush=True)
        rows.append(("size of report.html, MB", str(n), f"{(out / 'report.html').stat().st_size / 1e6:.1f}", "", ""))
    return rows


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *("| " + " | ".join(r) + " |" for r in rows), ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=WORK, help="Where folders are made [default: %(default)s].")
    parser.add_argument("--positions", type=int, default=1000)
    parser.add_argument("--pairs", type=int, default=12, help="Positions of the run with one and two workers.")
    parser.add_argument("--rounds", type=int, default=3, help="Rounds of the comparison of workers.")
    parser.add_argument("--only", nargs="+", default=["scheduling", "folder", "workers"])
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    kept = args.work / "scaling.json"
    found = json.loads(kept.read_text()) if kept.exists() else {}
    if "scheduling" in args.only:
        found["scheduling"] = scheduling(args.work, args.positions)
        print(found["scheduling"], flush=True)
    if "folder" in args.only:
        found["folder"] = folder(args.work, [args.positions // 10, args.positions])
    if "workers" in args.only:
        found["workers"] = workers(args.work, args.pairs, args.rounds)
        print(found["workers"], flush=True)
    kept.write_text(json.dumps(found))
    made = f"`python benchmarks/scaling.py --work FOLDER`, {time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores"
    lines = ["# Scaling", "", str(__doc__).strip(), "", f"{made}, {platform.platform()}", ""]
    if "scheduling" in found:
        s = found["scheduling"]
        rows = [
            ("overhead a position, ms", f"{s['ms_a_position']:.0f}"),
            ("supervisor at a fifth, MiB", f"{s['mib_first']:.1f}"), ("at the end, MiB", f"{s['mib_last']:.1f}"),
            ("bytes a position", f"{s['bytes_a_position']:.0f}"), ("load of the machine", f"{s['load']:.1f}"),
        ]  # fmt: skip
        lines += [f"## Scheduling, {s['positions']} positions", "", *table(("what", "value"), rows)]
    if "folder" in found:
        head = ("what", "positions", "wall, s", "processor, s", "load of the machine")
        lines += ["## Folder", "", *table(head, found["folder"])]
    if "workers" in found:
        head = ("what", "s, median", "rounds", "processor, s", "load of the machine")
        lines += ["## Workers", "", *table(head, found["workers"])]
    args.out.write_text("\n".join([*lines, hand_written("scaling")]))


if __name__ == "__main__":
    main()
