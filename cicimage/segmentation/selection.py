"""Which of many overlapping outlines are cells."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cicimage.masks import FloatArray
from cicimage.segmentation.contours import Contours
from cicimage.segmentation.kernels import compiled

Float = npt.NDArray[np.float64]


def choose(
    found: Contours, z_slice: Float, volume: FloatArray, um_per_px: float, um_per_z: float | None,
    *, most_overlap: float = 0.4, least_dip: float = 0.15,
) -> npt.NDArray[np.int64]:  # fmt: skip
    """Keep the best outline of every cell.

    From the best score down, an outline is taken unless it shares more than ``most_overlap`` of the smaller of
    two discs with one taken before. Two that lie over one another in projection are both taken where their
    centres are at least 0.6 of their mean diameter apart in z and the signal between them dips by at least
    ``least_dip`` of the lower one's height.

    Returns
    -------
    (k,) int64 array
        Indices of those kept.
    """
    if not len(found):
        return np.zeros(0, dtype=np.int64)
    score = found.drop * found.axis_ratio * np.maximum(1.0 - 2.0 * found.roughness, 0.0)
    order = np.argsort(-score, kind="stable").astype(np.int64)
    radius = np.sqrt(np.maximum(found.area_px, 1e-9) / np.pi)
    apart = um_per_z / um_per_px if um_per_z is not None and volume.shape[0] > 1 else 0.0
    return np.asarray(
        _choose(order, found.y, found.x, z_slice, radius, found.background, volume, apart, most_overlap, least_dip)
    )


@compiled
def _shared(a: float, b: float, d: float) -> float:
    """Share of the smaller of two discs of radii a, b at distance d that lies in the other."""
    small, large = min(a, b), max(a, b)
    if d >= a + b:
        return 0.0
    if d <= large - small:
        return 1.0
    u = (d * d + small * small - large * large) / (2.0 * d * small)
    v = (d * d + large * large - small * small) / (2.0 * d * large)
    u, v = min(max(u, -1.0), 1.0), min(max(v, -1.0), 1.0)
    w = (-d + small + large) * (d + small - large) * (d - small + large) * (d + small + large)
    area = small * small * np.arccos(u) + large * large * np.arccos(v) - 0.5 * np.sqrt(max(w, 0.0))
    return float(area / (np.pi * small * small))


@compiled
def _dips(
    volume: npt.NDArray[np.float32], ya: float, xa: float, za: float, fa: float, yb: float, xb: float, zb: float,
    fb: float, least: float,
) -> bool:  # fmt: skip
    """Whether the signal on the straight line between two centres dips below both ends."""
    depth, height, width = volume.shape
    n = 16
    first, second, low = 0.0, 0.0, np.inf
    for s in range(n + 1):
        t = s / n
        z, y, x = za + t * (zb - za), ya + t * (yb - ya), xa + t * (xb - xa)
        k = min(max(int(z), 0), depth - 1)
        k1 = min(k + 1, depth - 1)
        i, j = min(max(int(y + 0.5), 0), height - 1), min(max(int(x + 0.5), 0), width - 1)
        value = volume[k, i, j] * (1.0 - (z - k)) + volume[k1, i, j] * (z - k)
        if s == 0:
            first = value
        if s == n:
            second = value
        low = min(low, value)
    weaker = min(first - fa, second - fb)
    return min(first, second) - low >= least * weaker


@compiled
def _choose(
    order: npt.NDArray[np.int64], y: npt.NDArray[np.float64], x: npt.NDArray[np.float64],
    z: npt.NDArray[np.float64], radius: npt.NDArray[np.float64], background: npt.NDArray[np.float64],
    volume: npt.NDArray[np.float32], apart: float, most_overlap: float, least_dip: float,
) -> npt.NDArray[np.int64]:  # fmt: skip
    kept = np.empty(order.size, dtype=np.int64)
    n = 0
    for a in order:
        good = True
        for c in range(n):
            b = kept[c]
            dy, dx = y[a] - y[b], x[a] - x[b]
            reach = radius[a] + radius[b]
            flat = dy * dy + dx * dx
            if flat >= reach * reach:
                continue
            if _shared(radius[a], radius[b], np.sqrt(flat)) <= most_overlap:
                continue
            over = abs(z[a] - z[b]) * apart
            if (
                apart > 0.0
                and over >= 0.6 * reach
                and _dips(volume, y[a], x[a], z[a], background[a], y[b], x[b], z[b], background[b], least_dip)
            ):
                continue
            good = False
            break
        if good:
            kept[n] = a
            n += 1
    return kept[:n].copy()
