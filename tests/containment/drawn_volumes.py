"""Volumes drawn as XZ pictures, turned around the guest's axis.

One character is 1 um wide and 1 um high; the bottom row is the first slice. ``g`` guest, ``h`` host, ``H`` a second
host, ``.`` nothing. The left edge is the guest's axis: the picture is one radius of the volume.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from cicimage.arrays import Float32Array
from cicimage.masks import Masks
from cicimage.methods import Objects, Optics

UM_PER_PX = 0.5
OPTICS = Optics(UM_PER_PX, 1.0)
BACKGROUND, NOISE_SD, PLATEAU = 100.0, 2.0, 120.0

INSIDE = """
..............
hhhh..........
ggghhh........
gggghhh.......
gggghhhh......
gggghhhhh.....
gggghhhhhh....
ggghhhhhhhhhh.
hhhhhhhhhhhhh.
"""
UNDER = """
..............
hhhh..........
ggghhh........
gggg.hhh......
gggg..hhh.....
gggg...hhh....
gggg....hhhhh.
ggg......hhhh.
..............
"""
ON_TOP = """
ggg...........
gggg..........
gggg..........
gggg..........
gggg..........
ggg...........
hhhhhhhhhhhhh.
hhhhhhhhhhhhh.
..............
"""
BETWEEN = """
HHHH..........
gggHHH........
gggg.HHH......
gggg..HHH.....
gggg...HHH....
gggg....HHHHH.
ggg......HHHH.
hhhhhhhhhhhhh.
hhhhhhhhhhhhh.
"""
ENTERING = """
..............
..............
ggg...........
gggg..........
gggghh........
gggghhhh......
gggghhhhhh....
ggghhhhhhhhhh.
hhhhhhhhhhhhh.
"""
VACUOLE = """
..............
..............
hhhhhhh.......
..hhhhhhh.....
...hhhhhhh....
...hhhhhhhh...
..hhhhhhhhhhh.
hhhhhhhhhhhhh.
hhhhhhhhhhhhh.
"""
ASIDE = """
..............
..............
ggg...........
gggg..........
gggg......hhhh
gggg......hhhh
gggg......hhhh
ggg.......hhhh
..........hhhh
"""


def volume(
    picture: str, *, axial_fwhm_um: float = 1.5, seed: int = 0, host_level: float = PLATEAU, noise: bool = True,
    empty_slices: int = 3,
) -> tuple[Float32Array, Objects, Objects]:  # fmt: skip
    """Turn a picture into a host image (Z, Y, X), the guest and the hosts.

    The image holds photon noise with gain 1 and read noise; masks are the true projections. Without a guest in the
    picture (a vacuole) the void is taken for one.
    """
    rows = list(picture.strip("\n").splitlines())[::-1]
    cells = np.array([list(r) for r in rows])
    fine = 4
    half = cells.shape[1]
    n = 2 * int(half / UM_PER_PX) + 1
    axis = (np.arange(n) - n // 2) * UM_PER_PX
    rho = np.hypot(axis[:, None], axis[None, :])
    column = np.minimum(rho.astype(int), half - 1)
    inside = rho < half

    def turned(kind: str) -> np.ndarray:
        return (cells == kind)[:, column] & inside

    host = turned("h") | turned("H")
    light = np.repeat(host.astype(float), fine, axis=0)
    light = np.concatenate([light, np.zeros((empty_slices * fine, n, n))])
    if axial_fwhm_um > 0:
        light = gaussian_filter1d(light, axial_fwhm_um / 2.3548 * fine, axis=0, mode="constant")
    light = light.reshape(-1, fine, n, n).mean(axis=1) * host_level
    rng = np.random.default_rng(seed)
    image = rng.poisson(light) + rng.normal(BACKGROUND, NOISE_SD, light.shape) if noise else light + BACKGROUND
    guest = turned("g")
    if not guest.any():
        guest = turned(".") & (np.arange(len(rows))[:, None, None] < 6) & (rho < 3.5)
        guest[:2] = False
    heights = np.flatnonzero(guest.any(axis=(1, 2)))
    z = float(heights.mean())
    outline = guest.any(axis=0)
    hosts = [turned(k).any(axis=0) for k in "hH"]
    if not hosts[1].any():
        hosts = [_filled(hosts[0], outline)]
    masks = [_one(m, k) for k, m in enumerate(hosts, start=1) if m.any()]
    return (
        image.astype(np.float32),
        Objects(Masks.from_labels(outline.astype(int)), np.array([z]), np.array([float(len(heights))])),
        Objects(Masks(list(masks), (n, n)), np.full(len(masks), np.nan), np.full(len(masks), np.nan)),
    )


def _filled(host: np.ndarray, guest: np.ndarray) -> np.ndarray:
    """The hole where a guest sits belongs to the host that lies around it."""
    touches = host[guest].mean() > 0.2
    return host | guest if touches else host


def _one(mask: np.ndarray, label: int):  # type: ignore[no-untyped-def]
    cut = Masks.from_labels(mask.astype(int))[0]
    return type(cut)(label, cut.y0, cut.x0, cut.pixels)
