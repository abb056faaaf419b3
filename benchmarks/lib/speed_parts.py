"""The parts of the speed benchmark: each measures one thing once and returns numbers to keep."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lib import peers
from lib.processes import Spent, cicimage, in_process

from cicimage.receipts import read_receipt
from cicimage.store import PositionFolder, read_table

SAMPLE: Final = Path(__file__).parents[2] / "sample_data" / "cxcr4_blockade"
FIRST_FRAME: Final = " detect"
"""What the progress bar shows when the first frame is found."""

Numbers = dict[str, Any]
Runs = Mapping[str, Callable[["Site"], Numbers]]


@dataclass(frozen=True)
class Site:
    """Where a recording lies, and where its results go.

    Attributes
    ----------
    one, two : pathlib.Path
        Input folders of one position and of two.
    movie : pathlib.Path
        The recording.
    out : pathlib.Path
        Folder for results; the part ``run`` leaves those of the position in ``out/run``.
    """

    one: Path
    two: Path
    movie: Path
    out: Path


def _cost(spent: Spent) -> Numbers:
    return {
        "wall": spent.wall_s, "processor": spent.processor_s, "peak": spent.peak_bytes, "others": spent.others,
        "load": spent.load,
    }  # fmt: skip


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    return folder


def _receipts(out: Path) -> list[Numbers]:
    return [read_receipt(path) for path in sorted(out.glob("positions/*/receipt.json"))]


def the_floor(site: Site) -> Numbers:
    """Decode and one blur, on one core."""
    planes, spent = in_process(peers.floor, site.movie, held_to=1)
    return {**_cost(spent), "planes": planes}


def whole_run(site: Site) -> Numbers:
    """The whole command as a user gives it, one worker, free to use every core."""
    out = _fresh(site.out / "run")
    spent = cicimage("run", site.one, "-o", out, "--workers", "1", awaited=FIRST_FRAME)
    return {**_cost(spent), "first_frame": spent.first_s, **_stages(out, spent), "found": counts(out)}


def whole_run_on_one_core(site: Site) -> Numbers:
    """The same, held to one core."""
    out = _fresh(site.out / "one_core")
    spent = cicimage("run", site.one, "-o", out, "--workers", "1", held_to=1, awaited=FIRST_FRAME)
    return {**_cost(spent), "first_frame": spent.first_s, **_stages(out, spent)}


def _stages(out: Path, spent: Spent) -> Numbers:
    """Seconds of every stage, of what comes after the last position, and the memory of the position's process."""
    receipt = _receipts(out)[0]
    stages = receipt["stage_seconds"]
    last = max(p.stat().st_mtime for p in out.glob("positions/*/receipt.json"))
    steady = stages["detect"] + stages["link"] + stages["judge"]
    return {
        "stages": stages, "steady": steady, "report": spent.ended - last, "position_peak": receipt["peak_memory_bytes"],
    }  # fmt: skip


def counts(out: Path) -> Numbers:
    """Tracked guests and hosts, events, and the objects of the median frame."""
    position = _position(out)
    cells = read_table(position.table("cells"))
    seen = cells[cells["observed"]].groupby(["population", "frame"]).size().groupby("population").median()
    found: Numbers = {f"{name} in a frame": int(n) for name, n in seen.items()}
    return found | {name: len(read_table(position.table(name))) for name in ("guests", "hosts", "events")}


def _position(out: Path) -> PositionFolder:
    return PositionFolder(next(out.glob("positions/*")))


def _two_positions(site: Site, workers: int, held_to: int | None) -> Numbers:
    """Two positions with the same pixels, from the first one's start to the last one's end."""
    out = _fresh(site.out / "two")
    spent = cicimage(
        "run", site.two, "-o", out, "--workers", str(workers), "--no-report", held_to=held_to, awaited=FIRST_FRAME
    )
    begun = min(p.stat().st_mtime for p in out.glob("positions/*/.lock"))
    ended = max(p.stat().st_mtime for p in out.glob("positions/*/receipt.json"))
    peaks = [r["peak_memory_bytes"] for r in _receipts(out)]
    return {**_cost(spent), "positions": ended - begun, "position_peak": max(peaks)}


def naive_script(site: Site) -> Numbers:
    """The script most begin with."""
    return _cost(in_process(peers.naive_script, site.movie)[1])


def scikit_image(site: Site) -> Numbers:
    """Masks and measurements by scikit-image."""
    return _cost(in_process(peers.scikit_image, site.movie)[1])


def trackpy_linking(site: Site) -> Numbers:
    """Linking of what the part ``run`` found, by trackpy."""
    position = _position(site.out / "run")
    um = float(read_receipt(position.receipt)["recording"]["um_per_px"])
    return _cost(in_process(peers.trackpy_linking, position.table("detections"), um)[1])


OF_A_RECORDING: Final[Runs] = {
    "floor": the_floor,
    "run": whole_run,
    "one core": whole_run_on_one_core,
    "naive script": naive_script,
    "scikit-image": scikit_image,
    "trackpy": trackpy_linking,
    "two positions, one worker": lambda site: _two_positions(site, 1, None),
    "two positions, one worker held to one core": lambda site: _two_positions(site, 1, 1),
    "two positions, two workers": lambda site: _two_positions(site, 2, None),
}
"""Measured in this order in every repetition, so that each ratio is of one repetition."""


def _on_nine(*arguments: str, awaited: str = "") -> Callable[[Site], Numbers]:
    """A command on the results of nine positions, which a first run leaves there."""

    def measure(site: Site) -> Numbers:
        out = site.out / "nine"
        if not (out / "report.html").exists():
            cicimage("run", SAMPLE, "-o", _fresh(out))
        named = {"OUT": str(out), "IN": str(SAMPLE)}
        return _cost(cicimage(*(named.get(a, a) for a in arguments)))

    return measure


OF_THE_PROGRAM: Final[Runs] = {
    "cicimage --help": lambda _: _cost(cicimage("--help")),
    "status of nine positions": _on_nine("status", "OUT"),
    "report on nine positions": _on_nine("report", "OUT"),
    "run with nothing to do, nine positions, tables and report": _on_nine("run", "IN", "-o", "OUT"),
    "run with nothing to do, nine positions, --no-report": _on_nine("run", "IN", "-o", "OUT", "--no-report"),
}
"""What does not depend on a recording's pixels."""
