"""How fast a review is on a large field: 1024 x 1024 x 12 slices x 3 channels x 200 frames, 2,000 guests.

One simulated field is tiled in space and played to and fro in time; the recording holds four frames that stand for
all. Needs a screen: ``xvfb-run -s "-screen 0 1600x1000x24 +extension GLX" python benchmarks/review_speed.py``.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import psutil
import tifffile
from lib.review_page import measured_on, write_section

from cicimage.batch import open_batch
from cicimage.experiment import load_experiment
from cicimage.mask_store import MaskFile, mask_writer, masks_to_rows
from cicimage.masks import Mask
from cicimage.pipeline.judge import judge
from cicimage.pipeline.position import run_position
from cicimage.pipeline.setting import Setting
from cicimage.recording import open_recording
from cicimage.review import pictures
from cicimage.review.anchor import cell_ref
from cicimage.review.desk import Desk
from cicimage.review.edits import BreakTrack
from cicimage.review.response import verdict_on
from cicimage.simulation.scenarios import PRESETS
from cicimage.simulation.write import write_experiment
from cicimage.store import Results, read_json, read_table, write_json, write_table

SIDE, FRAMES, GUESTS, HELD = 1024, 200, 2000, 4
STEPS: Final = 60
MANY: Final = 1000
TARGETS: Final = {
    "open the folder": (5.0, "s"), "next item shown, median": (250.0, "ms"), "verdict stored, median": (20.0, "ms"),
    "re-scoring after a track edit, median": (300.0, "ms"), "memory": (1.5, "GB"),
}  # fmt: skip


def make(root: Path) -> Results:
    """One field, tiled."""
    preset = PRESETS["cxcr4-blockade"]
    scenario = preset.replace(
        acquisition__size_px=256, acquisition__frames=24, design__donors=1, design__wells_per_donor=1,
        design__fields_per_well=1, conditions=preset.conditions[:1], guests__count=30,
    )  # fmt: skip
    source = root / "field"
    write_experiment(scenario, source, 1)
    batch = open_batch(load_experiment(source), root / "small")
    run_position(batch.jobs[0], lambda *_: None)
    return tile(root, Results(root / "small"))


def tile(root: Path, small: Results) -> Results:
    big = Results(root / "big")
    run = read_json(small.run)
    (position, key), = run["positions"].items()  # fmt: skip
    here, there = small.position(key), big.position(key)
    setting = Setting.from_dict(read_json(here.root / "setting.json"))
    cells, evidence = read_table(here.table("links"), "cells"), read_table(here.table("evidence"))
    per_copy = cells.loc[cells["population"] == setting.with_role("guest"), "cell_id"].nunique()
    copies = -(-GUESTS // per_copy)
    side = int(np.ceil(np.sqrt(copies)))
    um = setting.optics.um_per_px
    masks = MaskFile(here.masks)
    step = (SIDE - masks.shape[0]) / max(side - 1, 1)
    offsets = [(round(step * (n // side)), round(step * (n % side))) for n in range(copies)]
    n_small = len(setting.time_s)
    order = [t % (2 * n_small - 2) for t in range(FRAMES)]
    order = [t if t < n_small else 2 * n_small - 2 - t for t in order]
    time_s = np.arange(FRAMES) * float(setting.time_s[1] - setting.time_s[0])
    setting = Setting.from_dict({**setting.as_dict(), "time_s": time_s.tolist()})
    top_label, top_id = int(cells["label"].max()), int(cells["cell_id"].max())
    cells = _tiled(cells, offsets, top_id, top_label, um, order, time_s)
    evidence = _tiled(evidence, offsets, top_id, top_label, um, order, time_s)
    drift = pd.DataFrame({"frame": range(FRAMES), "dy_um": 0.0, "dx_um": 0.0, "quality": 1.0})
    settings = load_experiment(root / "field").file
    result = judge(cells, evidence, drift, setting, settings.choices(), 0.0, key)
    for name in ("cells", "pairs", "frames", "events", "guests", "hosts"):
        write_table(there.table(name), getattr(result, name))
    write_table(there.table("drift"), drift.assign(position=key))
    with mask_writer(there.masks, (SIDE, SIDE)) as save:
        for t in order:
            rows: list[dict[str, Any]] = []
            for population in setting.populations:
                found = list(masks.masks(t, population))
                moved = [
                    Mask(m.label + n * top_label, m.y0 + dy, m.x0 + dx, m.pixels)
                    for n, (dy, dx) in enumerate(offsets) for m in found
                ]  # fmt: skip
                rows += masks_to_rows(t, population, moved)  # type: ignore[arg-type]
            save(rows)
    write_json(there.root / "optics.json", result.optics.as_dict())
    write_json(there.root / "setting.json", setting.as_dict())
    write_json(there.stages, {"detect": "d", "link": "l", "judge": "j"})
    write_json(there.receipt, {"outcome": "done", "error": ""})
    design = dict(run["design"][position]) | {"path": str(movie(root, Path(run["design"][position]["path"])))}
    write_json(big.run, {**run, "design": {position: design}})
    return big


def _tiled(
    table: pd.DataFrame, offsets: list[tuple[int, int]], top_id: int, top_label: int, um: float, order: list[int],
    time_s: np.ndarray,
) -> pd.DataFrame:  # fmt: skip
    parts = []
    for n, (dy, dx) in enumerate(offsets):
        copy = table.copy()
        for column in ("cell_id", "parent_id"):
            if column in copy:
                copy[column] = copy[column].where(copy[column] == 0, copy[column] + n * top_id)
        for column in ("label", "guest_label", "host_label"):
            if column in copy:
                copy[column] = copy[column].where(copy[column] == 0, copy[column] + n * top_label)
        if "y_um" in copy:
            copy["y_um"] += dy * um
            copy["x_um"] += dx * um
        parts.append(copy)
    whole = pd.concat(parts, ignore_index=True)
    by_frame = dict(list(whole.groupby("frame")))
    played = [by_frame[t].assign(frame=f) for f, t in enumerate(order) if t in by_frame]
    out = pd.concat(played, ignore_index=True)
    if "time_h" in out:
        out["time_h"] = time_s[out["frame"].to_numpy()] / 3600.0
    if "parent_id" in out:
        out["parent_id"] = 0  # played backwards, divisions are none
    return out


def movie(root: Path, source: Path) -> Path:
    """Four frames of the tiled field, uncompressed."""
    path = root / "movie.tif"
    with open_recording(source) as recording:
        meta, sizes = recording.metadata, recording.sizes
        tiles = -(-SIDE // sizes["Y"])
        with tifffile.TiffWriter(path, bigtiff=True, ome=True) as file:
            stack = np.stack(
                [np.tile(recording.frame(t), (1, 1, tiles, tiles))[..., :SIDE, :SIDE] for t in range(HELD)]
            )
            file.write(
                np.ascontiguousarray(stack), photometric="minisblack",
                metadata={"axes": "TCZYX", "PhysicalSizeX": meta.um_per_px, "PhysicalSizeY": meta.um_per_px,
                          "PhysicalSizeZ": meta.um_per_z, "TimeIncrement": 60.0},
            )  # fmt: skip
    return path


def stand_in(open_footage: Callable[..., Any]) -> Callable[..., Any]:
    """The four frames stand for all 200."""

    def opened(*arguments: Any, **options: Any) -> Any:
        footage = open_footage(*arguments, **options)
        plane = footage.recording.plane
        footage.recording.plane = lambda t, c, z: plane(t % HELD, c, z)
        return footage

    return opened


class Bench:
    """A window with the Review panel on the large field, and a clock."""

    def __init__(self, results: Results) -> None:
        import napari
        from cicimage_napari.review_panel import ReviewPanel
        from qtpy.QtWidgets import QApplication

        pictures.open_footage = stand_in(pictures.open_footage)  # type: ignore[attr-defined]
        self._process: Callable[[], Any] = QApplication.processEvents
        self.viewer = napari.Viewer(title="cicimage")
        self.viewer.window.resize(1600, 1000)
        self.panel = ReviewPanel(self.viewer)
        self.viewer.window.add_dock_widget(self.panel, name="Review", area="right")
        self._process()
        start = time.perf_counter()
        self.desk = Desk.open(results, f"bench{os.getpid()}")
        self.panel.show_desk(self.desk, own=True)
        self._process()
        self.opened_s = time.perf_counter() - start
        self.look(2.0)

    def look(self, seconds: float) -> None:
        """What a person does meanwhile; the next item's pictures are made in this time."""
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            self._process()
            time.sleep(0.005)

    def until_drawn(self, action: str) -> float:
        """Milliseconds from the key to the finished picture."""
        start = time.perf_counter()
        self.panel.act(action)
        self._process()
        took = time.perf_counter() - start
        self.look(0.5)
        return 1e3 * took

    def close(self) -> None:
        """Close window and log."""
        self.panel.leave()
        self.viewer.close()


def timed(do: Callable[[], Any]) -> float:
    """Milliseconds."""
    start = time.perf_counter()
    do()
    return 1e3 * (time.perf_counter() - start)


def verdicts(desk: Desk, n: int) -> list[float]:
    """Store some verdicts without a window."""
    took = []
    for _ in range(n):
        edit = verdict_on(desk.corrected, desk.current, "accept")
        took.append(timed(lambda edit=edit: desk.session.do(edit)))
        following = desk.following
        if following is not None:
            desk.item = following
    return took


def track_edits(desk: Desk, n: int) -> list[float]:
    """Break tracks in their middle, and score both halves."""
    took = []
    for _ in range(n):
        desk.next()
        guest, corrected = desk.guest, desk.corrected
        keys = corrected.draft.objects_of(corrected.base.guest, guest)
        frame = keys[len(keys) // 2].frame
        cell = cell_ref(corrected.draft, corrected.base.guest, guest, [frame])
        edit = BreakTrack(position=corrected.base.position_id, frame=frame, cell=cell)
        corrected.refresh()
        took.append(timed(lambda edit=edit, guest=guest: (desk.session.do(edit), desk.corrected.guest(guest))))
    return took


def undos(desk: Desk, n: int) -> list[float]:
    """Undo some edits, and score the guest on the screen."""
    return [timed(lambda: (desk.undo(), desk.rows())) for _ in range(n)]


def measure(results: Results) -> dict[str, tuple[float, str]]:
    bench = Bench(results)
    desk = bench.desk
    found: dict[str, tuple[float, str]] = {"open the folder": (bench.opened_s, "s")}

    def note(name: str, took: list[float]) -> None:
        found[f"{name}, median"] = (statistics.median(took), "ms")
        found[f"{name}, 90th percentile"] = (float(np.percentile(took, 90)), "ms")

    note("next item shown", [bench.until_drawn("next") for _ in range(STEPS)])
    note("verdict given and next item shown", [bench.until_drawn("accept") for _ in range(STEPS // 2)])
    note("next frame shown", [bench.until_drawn("forward") for _ in range(STEPS // 2)])
    note("verdict stored", verdicts(desk, 20))
    note("re-scoring after a track edit", track_edits(desk, 20))
    note("undo of a track edit", undos(desk, 10))
    verdicts(desk, MANY)
    note(f"verdict stored, with {MANY} stored", verdicts(desk, 20))
    note(f"re-scoring after a track edit, with {MANY} verdicts", track_edits(desk, 20))
    note(f"undo of a track edit, with {MANY} verdicts", undos(desk, 10))
    found["memory"] = (psutil.Process().memory_info().rss / 1e9, "GB")
    found["guests"] = (len(desk.corrected.base.guests), "")
    found["items in the queue"] = (len(desk.queue), "")
    bench.close()
    return found


def page(found: dict[str, tuple[float, str]]) -> str:
    """The section of the results page."""
    lines = [
        f"One simulated field tiled to {SIDE} x {SIDE} pixels x 12 slices x 3 channels x {FRAMES} frames with "
        f"{found['guests'][0]:.0f} guests ({found['items in the queue'][0]:.0f} items in the queue). The recording "
        f"holds {HELD} of the frames, uncompressed, which stand for all: it is read from the system's cache. A person "
        "looks for half a second at each item, while the next one's pictures are made. Software OpenGL under Xvfb.",
        "",
        '    xvfb-run -s "-screen 0 1600x1000x24 +extension GLX" python benchmarks/review_speed.py',
        "",
        f"{measured_on()}, {os.cpu_count()} cores shared with other work, this process ahead of it.",
        "",
        "| figure | measured | target |", "|---|---|---|",
    ]  # fmt: skip
    for name, (value, unit) in found.items():
        if not unit:
            continue
        target = TARGETS.get(name)
        lines.append(f"| {name} | {value:.3g} {unit} | {f'<= {target[0]:g} {target[1]}' if target else ''} |")
    return "\n".join(lines)


def main() -> None:
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp())
    results = Results(root / "big")
    if not results.run.exists():
        root.mkdir(parents=True, exist_ok=True)
        make(root)
    text = page(measure(results))
    print(text)
    write_section("Speed", text)


if __name__ == "__main__":
    main()
