"""Fault campaign: processes killed at random moments, bad input, a disk that runs full.

Every killed run is started again until it ends; its tables, base and top level, must then have the bytes of an
undisturbed run, no half-written file may be left, and the corrections of a reviewer, made before, must stand in them.
``--minutes`` does a part and goes on with it the next time; ``--work`` is where it stands; ``--parts`` with nothing
behind it writes the page anew from what is there.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # benchmarks/, where lib lies

import argparse
import json
import platform
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

from lib import fault_disk, fault_inputs, fault_kills

WORK: Final = Path(__file__).parents[1] / "work" / "faults"
RESULTS: Final = Path(__file__).parents[1] / "results" / "faults.md"
PARTS: Final = ("local", "dask", "inputs", "disk")


def run_part(part: str, args: argparse.Namespace) -> None:
    work: Path = args.work
    if part == "local":
        fault_kills.local(work, args.kills, args.per_run, args.seed, args.minutes)
    elif part == "dask":
        fault_kills.dask(work, args.worker_kills, args.per_run, args.seed, args.minutes)
    elif part == "inputs":
        (work / "inputs.json").write_text(json.dumps(vars(fault_inputs.campaign(work / "inputs"))))
    else:
        (work / "disk.json").write_text(json.dumps(vars(fault_disk.campaign(work / "disk"))))


def table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> list[str]:
    names = list(head)
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    return [*lines, *("| " + " | ".join(str(c).replace("|", "\\|") for c in row) + " |" for row in rows), ""]


def page(work: Path, wanted: Mapping[str, int]) -> str:
    """The page of results; a part that is not done, or not begun, says so.

    Parameters
    ----------
    work : Path
        Where the campaign stands.
    wanted : mapping of str to int
        Kills asked for, by engine.
    """
    found = {p: json.loads((work / f"{p}.json").read_text()) for p in PARTS if (work / f"{p}.json").exists()}
    lines = [
        "# Faults",
        "",
        __doc__.strip(),
        "",
        f"`python benchmarks/campaigns/faults.py`, {time.strftime('%Y-%m-%d')}, {platform.platform()}",
        "",
    ]
    for engine, asked in wanted.items():
        lines += kills(engine, found[engine], asked) if engine in found else not_done(f"Killed, {engine} engine")
    if "disk" not in found:
        lines += not_done("A disk that runs full")
    else:
        lines += [
            "## A disk that runs full",
            "",
            "A tmpfs of a given size; then made larger, and the same command again.",
        ]
        head = ("size", "exit code", "positions kept", "then", "tables as undisturbed", "what was said")
        lines += ["", *table(head, found["disk"]["rows"]), *faults(found["disk"])]
    if "inputs" not in found:
        lines += not_done("Bad input")
    else:
        one = found["inputs"]
        lines += [
            "## Bad input",
            "",
            f"{one['kinds']} kinds; two sound recordings beside them have the tables they have alone.",
        ]
        rows = [(n, o, t.replace(str(work), "").split("inputs/")[-1][:150]) for n, o, t in one["rows"]]
        lines += ["", *faults(one), *table(("kind", "outcome", "what was said"), rows)]
    return "\n".join(lines)


def not_done(title: str) -> list[str]:
    return [f"## {title}", "", "Not done yet.", ""]


def kills(engine: str, one: dict[str, Any], asked: int) -> list[str]:
    lines = [f"## Killed, {engine} engine", ""]
    part = "" if one["kills"] >= asked else f" A part of the {asked} asked for; the same command goes on with it."
    done = f"{one['kills']} kills in {one['runs']} runs of {fault_kills.POSITIONS} positions, {one['seconds']:.0f} s."
    lines += [done + part]
    lines += [
        "",
        *table(("killed", "times"), one["victims"].items()),
        *table(("when", "times"), one["moments"].items()),
    ]
    return [*lines, *faults(one)]


def faults(one: dict[str, Any]) -> list[str]:
    return ["Faults: " + ("; ".join(one["faults"]) if one["faults"] else "none") + ".", ""]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=WORK, help="Where a campaign stands [default: %(default)s].")
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--worker-kills", type=int, default=50)
    parser.add_argument("--per-run", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=1e9)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    for part in args.parts:
        run_part(part, args)
    args.out.write_text(page(args.work, {"local": args.kills, "dask": args.worker_kills}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
