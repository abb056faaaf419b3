"""Memory of one long, large movie: 2048 x 2048 x 3 channels x 500 frames (12 GB uncompressed), at most 1.5 GB.

The movie is the speed benchmark's, tiled to 2048 x 2048 and played to and fro, written uncompressed. ``--frames``
makes it shorter; memory hardly depends on it, which the table shows by two lengths.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import tifffile
from lib.painter import FRAMES, UM, movie

TARGET_GB = 1.5


def long_movie(source: Path, path: Path, frames: int) -> None:
    """Tile the movie two by two and play it to and fro: every step is a real step of a cell."""
    with tifffile.TiffFile(source) as tif, tifffile.TiffWriter(path, bigtiff=True, ome=True) as out:

        def planes():  # type: ignore[no-untyped-def]
            for t in range(frames):
                k = t % (2 * FRAMES - 2)
                k = k if k < FRAMES else 2 * FRAMES - 2 - k
                for c in range(3):
                    yield np.tile(tif.pages[3 * k + c].asarray(), (2, 2))

        out.write(
            planes(), shape=(frames, 3, 2048, 2048), dtype=np.uint16, photometric="minisblack",
            metadata={
                "axes": "TCYX", "Channel": {"Name": ["Host", "Guest", "Death"]}, "PhysicalSizeX": UM,
                "PhysicalSizeY": UM, "TimeIncrement": 240.0, "TimeIncrementUnit": "s",
            },
        )  # fmt: skip


def measure(source: Path, frames: int, scratch: Path) -> tuple[float, float, float]:
    """Size of the movie, peak memory of its process (GB) and seconds."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        root = Path(folder)
        (root / "in" / "v").mkdir(parents=True)
        path = root / "in" / "v" / "A1_f1.ome.tif"
        long_movie(source, path, frames)
        (root / "in" / "experiment.toml").write_text('[channels]\nhost = "Host"\nguest = "Guest"\ndeath = "Death"\n')
        command = [sys.executable, "-m", "cicimage", "run", str(root / "in"), "-o", str(root / "out"), "--workers", "1"]
        subprocess.run([*command, "--no-report"], check=True, capture_output=True)
        receipt = json.loads(next(root.glob("out/positions/*/receipt.json")).read_text())
        return path.stat().st_size / 1e9, receipt["peak_memory_bytes"] / 1e9, receipt["seconds"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, nargs="+", default=[50, 500])
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "small.ome.tif"
        movie(source)
        rows = [(n, *measure(source, n, args.scratch)) for n in args.frames]
    lines = ["| frames | movie, GB | peak memory, GB | target, GB | seconds |", "|---|---|---|---|---|"]
    lines += [f"| {n} | {size:.1f} | {peak:.2f} | {TARGET_GB} | {s:.0f} |" for n, size, peak, s in rows]
    text = "\n".join(lines) + "\n"
    print(text)
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    (results / "memory.md").write_text(f"# Memory\n\n{__doc__}\n{text}")


if __name__ == "__main__":
    main()
