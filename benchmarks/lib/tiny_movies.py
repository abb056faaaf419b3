"""Tiny recordings for benchmarks of the machinery round the pixels: a host, a few guests, milliseconds each."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import tifffile

EXPERIMENT: Final = """\
[experiment]
reference = "vehicle"
[channels]
host = "Host"
guest = "Guest"
death = "Death"
"""


def draw(seed: int, *, frames: int, size: int) -> npt.NDArray[np.uint16]:
    """A (T, C, Y, X) movie of one host and two guests that walk, one of them into the host."""
    rng = np.random.default_rng(seed)
    yy, xx = np.mgrid[:size, :size]

    def body(y: float, x: float, radius: float) -> npt.NDArray[np.float64]:
        return np.asarray(1.0 / (1.0 + np.exp(2.0 * (np.hypot(yy - y, xx - x) - radius))))

    movie = np.full((frames, 3, size, size), 10.0)
    for t in range(frames):
        near = 0.45 * size * (1 - t / max(frames - 1, 1))
        guests = [(size / 2 + near * 0.7 + 2, size / 2 + near * 0.7 + 2), (6 + rng.normal(0, 0.3), size - 8.0)]
        movie[t, 0] += 120 * body(size / 2, size / 2, size / 3.2)
        for y, x in guests:
            movie[t, 1] += 300 * body(y, x, 4)
            movie[t, 0] *= 1 - 0.7 * body(y, x, 4)
    return np.asarray((rng.poisson(movie) + 100).clip(0, 65535), np.uint16)


def write(path: Path, movie: npt.NDArray[np.uint16]) -> None:
    """Write an OME-TIFF with its scale and channel names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {
        "axes": "TCYX", "Channel": {"Name": ["Host", "Guest", "Death"]}, "PhysicalSizeX": 1.0, "PhysicalSizeY": 1.0,
        "TimeIncrement": 300.0, "TimeIncrementUnit": "s",
    }  # fmt: skip
    tifffile.imwrite(path, movie, ome=True, compression="zlib", photometric="minisblack", metadata=metadata)


def experiment(root: Path, positions: int, *, frames: tuple[int, ...] = (3,), sizes: tuple[int, ...] = (64,)) -> Path:
    """An input folder of two conditions; frames and sizes are dealt out in turn.

    Recordings that agree in seed, frames and size are drawn once.
    """
    for i in range(positions):
        condition = ("vehicle", "BTKi")[i % 2]
        movie = draw(i, frames=frames[i % len(frames)], size=sizes[i % len(sizes)])
        write(root / condition / f"A{i // 2 + 1}_f1.ome.tif", movie)
    (root / "experiment.toml").write_text(EXPERIMENT)
    return root
