"""Part of the fault campaign: results on a disk that runs full, a small file system in memory."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from lib.tiny_movies import experiment

from cicimage.store import Results, read_json

POSITIONS: Final = 8
SIZES_KIB: Final = (16, 64, 130, 200, 400, 700, 1000)


@dataclass
class Found:
    """What the runs on small disks did."""

    rows: list[tuple[str, ...]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def run(root: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """One run of the program."""
    command = [sys.executable, "-m", "cicimage", "run", str(root), "-o", str(out), "--workers", "2"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def done(out: Path) -> int:
    """Positions whose receipt says so."""
    if not (out / "run.json").exists():
        return 0
    receipts = (Results(out).position(key).receipt for key in Results(out).index().values())
    return sum(r.exists() and read_json(r)["outcome"] == "done" for r in receipts)


def hashes(out: Path) -> dict[str, str]:
    """Hash of every table by name."""
    files = [p for pattern in ("*.parquet", "positions/*/*.parquet") for p in out.glob(pattern)]
    return {p.relative_to(out).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(files)}


def campaign(work: Path) -> Found:
    """Runs on disks of several sizes; the disk is then made larger and the same command goes on."""
    found = Found()
    root, calm, disk = work / "in", work / "calm", work / "disk"
    shutil.rmtree(work, ignore_errors=True)
    experiment(root, POSITIONS)
    run(root, calm)
    expected = hashes(calm)
    disk.mkdir()
    for size in SIZES_KIB:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(disk)], check=True)
        try:
            one(root, disk, size, expected, found)
        finally:
            subprocess.run(["umount", str(disk)], check=True)
    return found


def one(root: Path, disk: Path, size: int, expected: dict[str, str], found: Found) -> None:
    """One size: full, then larger."""
    out = disk / "out"
    first = run(root, out)
    kept = done(out)
    said = first.stderr.strip().splitlines()[-1] if first.stderr.strip() else ""
    if first.returncode != 6 or "Traceback" in first.stderr or "disk is full" not in first.stderr:
        found.faults.append(f"{size} KiB: exit {first.returncode}: {first.stderr[-400:]}")
    if left := [p.name for p in out.rglob("*.part")]:
        found.faults.append(f"{size} KiB: left {left[:3]}")
    stamps = {p: p.stat().st_mtime_ns for p in out.glob("positions/*/receipt.json")}
    finished = {p for p in stamps if read_json(p)["outcome"] == "done"}
    subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
    second = run(root, out)
    again = sum(p.stat().st_mtime_ns != stamps[p] for p in finished)
    same = hashes(out) == expected
    if second.returncode != 0 or again or not same:
        found.faults.append(
            f"{size} KiB: then exit {second.returncode}, {again} done again, same tables: {same}: "
            f"{second.stderr[-300:]}"
        )
    found.rows.append((f"{size} KiB", str(first.returncode), str(kept), str(second.returncode), str(same), said[:140]))
