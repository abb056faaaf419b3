"""Nuclei as markers: one spot per nucleus, to separate touching hosts."""

from __future__ import annotations

import cv2
import numpy as np

from cicimage.arrays import BoolArray, Float32Array, Int32Array
from cicimage.segmentation.grid import Grid, dark_level, noise_of
from cicimage.segmentation.seeds import Seeds, find_seeds
from cicimage.segmentation.selection import End, dip_on_line


def nucleus_markers(
    image: Float32Array,
    um_per_px: float,
    diameter_um: tuple[float, float],
    guests: Int32Array,
    *,
    min_share: float = 0.25,
) -> Int32Array:
    """Mark nuclei by discs of half a small nucleus' width, labels 1..n.

    Chromatin is granular, so the filter has the scale of a whole nucleus. A long nucleus that responds twice, with no
    valley between, is one. The response of a nucleus is at least ``min_share`` of the field's strong ones; cytoplasm
    that shows in the channel responds less.

    Parameters
    ----------
    image : (Y, X) float32 array
        Nuclear channel, projected, on the hosts' grid.
    um_per_px : float
        Pixel size of that grid, um.
    diameter_um : (float, float)
        Smallest and largest nucleus, um.
    guests : (Y, X) int32 array
        Guest labels on the grid: their nuclei are not those of hosts.
    min_share : float
        Least response as share of the 90th percentile of all responses.

    Returns
    -------
    (Y, X) int32 array
        Markers 1..n, 0 elsewhere.
    """
    smallest, largest = diameter_um
    middle = float(np.sqrt(smallest * largest))
    grid = Grid(image[None], 1, um_per_px)
    seeds = find_seeds(grid, None, np.array([middle]), 6.0 * noise_of(grid.volume))
    markers = np.zeros(image.shape, dtype=np.int32)
    if not len(seeds):
        return markers
    strong = seeds.response >= min_share * np.percentile(seeds.response, 90.0)
    rows, columns = np.rint(seeds.y).astype(np.int64), np.rint(seeds.x).astype(np.int64)
    own = strong & (guests[rows, columns] == 0)
    own &= _parted(grid, seeds, own, middle / um_per_px)
    radius = max(1, round(0.25 * smallest / um_per_px))
    for n, k in enumerate(np.flatnonzero(own), start=1):
        cv2.circle(markers, (int(columns[k]), int(rows[k])), radius, n, -1)
    markers[guests > 0] = 0
    return markers


def _parted(grid: Grid, seeds: Seeds, own: BoolArray, reach_px: float) -> BoolArray:
    """Which seeds are separated from every stronger one within reach by a valley of 15 % of their height."""
    smooth = cv2.GaussianBlur(grid.volume[0], (0, 0), max(0.5, 1.5 / grid.um_per_px))[None]
    dark = dark_level(smooth, noise_of(grid.volume))
    parted = np.ones(len(seeds), dtype=np.bool_)
    kept: list[int] = []
    for k in np.argsort(-seeds.response, kind="stable"):
        if not own[k]:
            continue
        for m in kept:
            if np.hypot(seeds.y[k] - seeds.y[m], seeds.x[k] - seeds.x[m]) < 1.2 * reach_px:
                dip = dip_on_line(smooth, *(End(float(seeds.y[n]), float(seeds.x[n]), 0.0, dark) for n in (k, m)))
                parted[k] &= dip >= 0.15
        if parted[k]:
            kept.append(int(k))
    return parted
