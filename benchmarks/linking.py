"""Linking guests: cicimage's assignment against trackpy, speed and edge F1 in one run.

Guests walk with a persistence of some minutes, two fifths of them sit still at a time, some leave, arrive, or go
unseen in a frame. trackpy is run over several search ranges with and without memory and is shown at the one
that gave it the best F1 (the fastest within 0.002 of it), so that it is beaten, where it is, at its best.
Processor time, so that what else runs on the machine counts less.

    python benchmarks/linking.py [--guests 2000] [--frames 100] [--step-min 2] [--field-um 1331]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import pandas as pd

from cicimage.tracking.assignment import AssignmentTracker


def walk(guests: int, frames: int, step_min: float, field_um: float, seed: int, miss: float = 0.02) -> pd.DataFrame:
    """Objects with a true ``cell``: persistent walks with pauses, arrivals and losses, missed detections.

    Returns
    -------
    pandas.DataFrame
        frame, time_h, label, y_um, x_um, z_um, area_um2, intensity, cell.
    """
    rng = np.random.default_rng(seed)
    n = int(guests * (1 + 0.003 * frames))  # later ones arrive as earlier ones are lost
    born = np.where(np.arange(n) < guests, 0, rng.integers(1, frames, n))
    died = born + rng.geometric(0.003, n)
    position = rng.uniform(0, field_um, (n, 2))
    heading = rng.uniform(0, 2 * np.pi, n)
    speed = np.exp(rng.normal(np.log(4.0), 0.5, n))  # um/min
    moving = rng.random(n) > 0.4
    diameter = np.clip(rng.normal(7.5, 0.7, n), 6, 12)
    brightness = np.exp(rng.normal(6.5, 0.4, n))
    height = rng.uniform(2, 10, n)
    rows = []
    substeps = max(int(np.ceil(step_min)), 1)
    for frame in range(frames):
        seen = (born <= frame) & (frame < died) & np.all((position >= 0) & (position < field_um), axis=1)
        seen &= rng.random(n) >= miss
        k = int(seen.sum())
        rows.append(
            pd.DataFrame(
                {
                    "frame": frame,
                    "time_h": frame * step_min / 60,
                    "label": rng.permutation(k) + 1,
                    "y_um": position[seen, 0] + rng.normal(0, 0.25, k),
                    "x_um": position[seen, 1] + rng.normal(0, 0.25, k),
                    "z_um": height[seen] + rng.normal(0, 0.7, k),
                    "area_um2": np.pi / 4 * diameter[seen] ** 2 * np.exp(rng.normal(0, 0.1, k)),
                    "intensity": brightness[seen] * np.exp(rng.normal(0, 0.1, k)),
                    "cell": np.flatnonzero(seen) + 1,
                }
            )
        )
        for _ in range(substeps):
            dt = step_min / substeps
            heading += rng.normal(0, np.sqrt(2 * dt / 5.0), n)  # persistence 5 min
            switch = rng.random(n) < dt / 20.0
            moving = np.where(switch, rng.random(n) > 0.4, moving)
            step = np.where(moving, speed, 0.3) * dt
            position += np.stack([np.sin(heading), np.cos(heading)], 1) * step[:, None]
    return pd.concat(rows, ignore_index=True)


def edges(frame: np.ndarray, cell: np.ndarray) -> set[tuple[int, int]]:
    """Links as pairs of row numbers: each cell's consecutive sightings."""
    order = np.lexsort((frame, cell))
    same = cell[order][1:] == cell[order][:-1]
    return set(zip(order[:-1][same].tolist(), order[1:][same].tolist(), strict=True))


def edge_f1(truth: set[tuple[int, int]], found: set[tuple[int, int]]) -> float:
    return 2 * len(truth & found) / (len(truth) + len(found))


def run(track: Callable[[pd.DataFrame], np.ndarray], cells: pd.DataFrame, repeats: int) -> tuple[float, np.ndarray]:
    """Least processor time of some runs, in seconds, and the cell of each row."""
    times = []
    for _ in range(repeats):
        began = time.process_time()
        cell = track(cells)
        times.append(time.process_time() - began)
    return min(times), cell


def trackpy_with(search_um: float, memory: int) -> Callable[[pd.DataFrame], np.ndarray]:
    import trackpy

    trackpy.quiet()

    def track(cells: pd.DataFrame) -> np.ndarray:
        table = cells[["frame", "y_um", "x_um"]]
        linked = trackpy.link(table, search_um, memory=memory, pos_columns=["y_um", "x_um"])
        return linked.sort_index()["particle"].to_numpy()

    return track


def assignment_with(**options: float) -> Callable[[pd.DataFrame], np.ndarray]:
    tracker = AssignmentTracker(**options)
    return lambda cells: tracker.track(cells)["cell_id"].to_numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--guests", type=int, default=2000)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--step-min", type=float, default=2.0)
    parser.add_argument("--field-um", type=float, default=1331.0)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    cells = walk(args.guests, args.frames, args.step_min, args.field_um, args.seed)
    truth = edges(cells["frame"].to_numpy(), cells["cell"].to_numpy())
    given = cells.drop(columns="cell")
    assignment_with()(given[given["frame"] < 8])  # compiles, or loads what was compiled before
    print(f"{len(cells)} objects, {len(truth)} true links, {args.guests} guests x {args.frames} frames")
    print(f"{'method':<40}{'CPU s':>8}{'objects/s':>12}{'edge F1':>9}")

    def row(name: str, track: Callable[[pd.DataFrame], np.ndarray], repeats: int) -> tuple[float, float]:
        seconds, cell = run(track, given, repeats)
        f1 = edge_f1(truth, edges(given["frame"].to_numpy(), cell))
        print(f"{name:<40}{seconds:>8.3f}{len(cells) / seconds:>12.0f}{f1:>9.4f}", flush=True)
        return seconds, f1

    ours = row("assignment", assignment_with(), 5)
    row("assignment, by place alone", assignment_with(looks_weight=0.0), 3)
    theirs = []
    for search_um in (8.0, 12.0, 16.0, 20.0):
        for memory in (0, 2):
            name = f"trackpy search_range={search_um:g} memory={memory}"
            try:
                theirs.append(row(name, trackpy_with(search_um, memory), 1))
            except Exception as error:  # noqa: BLE001 - the table shows what trackpy says
                print(f"{name:<40}{type(error).__name__:>29}", flush=True)
    if theirs:
        best = max(f1 for _, f1 in theirs)
        seconds = min(s for s, f1 in theirs if f1 > best - 0.002)
        print(f"assignment: {seconds / ours[0]:.1f} times trackpy's speed at its best F1; F1 {ours[1] - best:+.4f}")


if __name__ == "__main__":
    main()
