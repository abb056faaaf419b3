"""Speed of the whole job as a ratio to the least any program must do: decode every plane and blur it once.

A zlib OME-TIFF of 1024 x 1024 x 3 channels x 60 frames with about 300 guests. The floor is decoding every plane and
one OpenCV Gaussian (sigma 2) per plane on one thread, measured in the same run on the same machine. Beside it: the
whole command, the steady state (its stages, without start-up and report), and every stage.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
import cv2
import numpy as np
import tifffile

SIZE, FRAMES, GUESTS, HOSTS = 1024, 60, 300, 40
UM = 0.65


def movie(path: Path, seed: int = 1, frames: int = FRAMES) -> None:
    """Spread hosts that hardly move, round guests that walk, photon and read noise; not for accuracy."""
    rng = np.random.default_rng(seed)
    yy, xx = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    hosts = np.zeros((SIZE, SIZE), np.float32)
    for y, x in rng.uniform(0, SIZE, (HOSTS, 2)):
        a, b, turn = rng.uniform(60, 110), rng.uniform(30, 60), rng.uniform(0, np.pi)
        u = (yy - y) * np.cos(turn) + (xx - x) * np.sin(turn)
        v = -(yy - y) * np.sin(turn) + (xx - x) * np.cos(turn)
        hosts = np.maximum(hosts, 250 * np.exp(-(((u / a) ** 2 + (v / b) ** 2) ** 2)))
    place = rng.uniform(0, SIZE, (GUESTS, 2))
    bright = rng.uniform(150, 900, GUESTS)
    radius = rng.uniform(5, 7, GUESTS)
    box = np.arange(-12, 13, dtype=np.float32)
    by, bx = np.meshgrid(box, box, indexing="ij")
    with tifffile.TiffWriter(path, ome=True) as tif:

        def planes():  # type: ignore[no-untyped-def]
            nonlocal place
            for _ in range(frames):
                guests = np.zeros((SIZE + 24, SIZE + 24), np.float32)
                for (y, x), level, r in zip(place, bright, radius, strict=True):
                    iy, ix = int(y), int(x)
                    d = np.hypot(by - (y - iy), bx - (x - ix))
                    guests[iy : iy + 25, ix : ix + 25] += level / (1 + np.exp((d - r) * 2))
                place = np.clip(place + rng.normal(0, 3, place.shape), 0, SIZE - 1)
                for clean in (hosts, guests[12:-12, 12:-12], np.zeros_like(hosts)):
                    noisy = rng.poisson(clean + 20) + rng.normal(100, 2, clean.shape)
                    yield np.clip(noisy, 0, 65535).astype(np.uint16)

        tif.write(
            planes(), shape=(frames, 3, SIZE, SIZE), dtype=np.uint16, compression="zlib", photometric="minisblack",
            metadata={
                "axes": "TCYX", "Channel": {"Name": ["Host", "Guest", "Death"]}, "PhysicalSizeX": UM,
                "PhysicalSizeY": UM, "TimeIncrement": 240.0, "TimeIncrementUnit": "s",
            },
        )  # fmt: skip


def floor(path: Path) -> float:
    """Seconds to decode every plane and blur it once, one thread."""
    cv2.setNumThreads(1)
    start = time.perf_counter()
    with tifffile.TiffFile(path) as tif:
        for page in tif.pages:
            cv2.GaussianBlur(page.asarray(maxworkers=1).astype(np.float32), (0, 0), 2)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "in" / "vehicle").mkdir(parents=True)
        movie(root / "in" / "vehicle" / "A1_f1.ome.tif")
        (root / "in" / "experiment.toml").write_text(
            'schema_version = 1\n[channels]\nhost = "Host"\nguest = "Guest"\ndeath = "Death"\n'
        )
        rows = [measure(root, i) for i in range(runs + 1)][1:]
    write(rows)


def measure(root: Path, i: int) -> dict[str, float]:
    """One pair: the floor and the command, one after the other."""
    least = floor(root / "in" / "vehicle" / "A1_f1.ome.tif")
    out = root / f"out{i}"
    start = time.perf_counter()
    command = [sys.executable, "-m", "cicimage", "run", str(root / "in"), "-o", str(out), "--workers", "1"]
    subprocess.run(command, check=True, capture_output=True)
    whole = time.perf_counter() - start
    receipt = json.loads(next(out.glob("positions/*/receipt.json")).read_text())
    stages = receipt["stage_seconds"]
    steady = stages["detect"] + stages["link"] + stages["judge"]
    return {"floor": least, "whole command": whole, "steady state": steady, **stages}


def write(rows: list[dict[str, float]]) -> None:
    """Print and keep the table, medians over the runs."""
    lines = ["| part | seconds | over the floor | target |", "|---|---|---|---|"]
    target = {"whole command": "10", "steady state": "6"}
    for part in rows[0]:
        seconds = float(np.median([r[part] for r in rows]))
        ratio = float(np.median([r[part] / r["floor"] for r in rows]))
        lines.append(f"| {part} | {seconds:.2f} | {ratio:.2f} | {target.get(part, '')} |")
    text = "\n".join(lines) + "\n"
    print(text)
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    (results / "speed.md").write_text(f"# Speed\n\n{__doc__}\nMedian of {len(rows)} runs after one warm-up.\n\n{text}")


if __name__ == "__main__":
    main()
