"""Recordings drawn for the tests: small, seeded, made where they are used."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import settings

# The same examples on every machine and day: what fails here fails everywhere. HYPOTHESIS_PROFILE=search looks for new
# ones, each time others.
settings.register_profile("same", deadline=None, derandomize=True, database=None)
settings.register_profile("search", deadline=None, derandomize=False, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real recordings; tests that need it skip where it is not there."""
    named = os.environ.get("CICIMAGE_TEST_DATA", "")
    if not named or not Path(named).is_dir():
        pytest.skip("set CICIMAGE_TEST_DATA to the folder of real recordings to run this test")
    return Path(named)


def disc(shape, y, x, radius):
    """Soft-edged disc, peak 1."""
    yy, xx = np.mgrid[: shape[0], : shape[1]]
    return 1.0 / (1.0 + np.exp((np.hypot(yy - y, xx - x) - radius) * 2.0))


def draw_movie(hosts, guests, *, frames=6, size=120, dead=(), seed=1, um=1.0):
    """A (T, C, Y, X) uint16 movie in 2D: host, guest and death channel.

    ``hosts`` and ``guests`` list (y, x, radius) in pixels; guests whose index is in ``dead`` carry the death stain.
    """
    rng = np.random.default_rng(seed)
    movie = np.zeros((frames, 3, size, size), np.float64)
    for t in range(frames):
        for y, x, r in hosts:
            movie[t, 0] += 120 * disc((size, size), y, x, r)
        for i, (y, x, r) in enumerate(guests):
            body = disc((size, size), y + rng.normal(0, 0.4), x + rng.normal(0, 0.4), r)
            movie[t, 1] += 300 * body
            movie[t, 0] *= 1 - 0.7 * body
            if i in dead:
                movie[t, 2] += 400 * body
    return (rng.poisson(movie + 10) + rng.normal(100, 1.5, movie.shape)).clip(0, 65535).astype(np.uint16)


def write_movie(path: Path, movie, *, um=1.0, interval_s=300.0, names=("Host", "Guest", "Death"), um_z=None):
    """Write an OME-TIFF with its scale."""
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"axes": "TCYX" if movie.ndim == 4 else "TCZYX", "Channel": {"Name": list(names)}}
    if um is not None:
        metadata |= {"PhysicalSizeX": um, "PhysicalSizeY": um}
    if interval_s is not None:
        metadata |= {"TimeIncrement": interval_s, "TimeIncrementUnit": "s"}
    if um_z is not None:
        metadata |= {"PhysicalSizeZ": um_z}
    tifffile.imwrite(path, movie, ome=True, compression="zlib", photometric="minisblack", metadata=metadata)
    return path
