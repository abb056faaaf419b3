"""A quickly drawn 2D movie for benchmarks of speed and memory, where what is found does not matter."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import tifffile

SIZE: Final = 1024
FRAMES: Final = 60
UM: Final = 0.65
CHANNELS: Final = ("Host", "Guest", "Death")
EXPERIMENT: Final = 'schema_version = 1\n[channels]\nhost = "Host"\nguest = "Guest"\ndeath = "Death"\n'
_GUESTS_PER_PX: Final = 300 / 1024**2
_HOSTS_PER_PX: Final = 40 / 1024**2
_SEED: Final = 1


def movie(path: Path, *, frames: int = FRAMES, size: int = SIZE) -> None:
    """Write spread hosts that hardly move and round guests that walk, with photon and read noise, as OME-TIFF."""
    rng = np.random.default_rng(_SEED)
    metadata = {
        "axes": "TCYX", "Channel": {"Name": list(CHANNELS)}, "PhysicalSizeX": UM, "PhysicalSizeY": UM,
        "TimeIncrement": 240.0, "TimeIncrementUnit": "s",
    }  # fmt: skip
    tifffile.imwrite(
        path, _planes(rng, _hosts(rng, size), frames, size), shape=(frames, len(CHANNELS), size, size),
        dtype=np.uint16, ome=True, compression="zlib", photometric="minisblack", metadata=metadata,
    )  # fmt: skip


def _hosts(rng: np.random.Generator, size: int) -> npt.NDArray[np.float32]:
    yy, xx = np.mgrid[:size, :size].astype(np.float32)
    hosts = np.zeros((size, size), np.float32)
    for y, x in rng.uniform(0, size, (max(2, round(_HOSTS_PER_PX * size**2)), 2)):
        a, b, turn = rng.uniform(60, 110), rng.uniform(30, 60), rng.uniform(0, np.pi)
        u = (yy - y) * np.cos(turn) + (xx - x) * np.sin(turn)
        v = -(yy - y) * np.sin(turn) + (xx - x) * np.cos(turn)
        hosts = np.maximum(hosts, 250 * np.exp(-(((u / a) ** 2 + (v / b) ** 2) ** 2)))
    return hosts


def _planes(
    rng: np.random.Generator, hosts: npt.NDArray[np.float32], frames: int, size: int
) -> Iterator[npt.NDArray[np.uint16]]:
    n = max(4, round(_GUESTS_PER_PX * size**2))
    place, bright, radius = rng.uniform(0, size, (n, 2)), rng.uniform(150, 900, n), rng.uniform(5, 7, n)
    by, bx = np.meshgrid(*[np.arange(-12, 13, dtype=np.float32)] * 2, indexing="ij")
    for _ in range(frames):
        guests = np.zeros((size + 24, size + 24), np.float32)
        for (y, x), level, r in zip(place, bright, radius, strict=True):
            iy, ix = int(y), int(x)
            d = np.hypot(by - (y - iy), bx - (x - ix))
            guests[iy : iy + 25, ix : ix + 25] += level / (1 + np.exp((d - r) * 2))
        place = np.clip(place + rng.normal(0, 3, place.shape), 0, size - 1)
        for clean in (hosts, guests[12:-12, 12:-12], np.zeros_like(hosts)):
            noisy = rng.poisson(clean + 20) + rng.normal(100, 2, clean.shape)
            yield np.clip(noisy, 0, 65535).astype(np.uint16)
