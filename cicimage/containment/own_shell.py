"""What lies on a cell besides its own membrane, where guest and host wear the same stain.

In one channel a guest's own shell hides what a host adds. But a shell is the same all around: the light along its
equator, integrated across it, says how much one face of it gives, whatever the blur. What the column above or below the
guest's middle has over that is another cell's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.ndimage import map_coordinates

from cicimage.arrays import Float32Array, Float64Array
from cicimage.containment.noise import Noise

N_RAYS: Final = 32
FLATNESS: Final = 0.93
"""Height over width of a round cell."""
CORE: Final = 0.45
"""Radius of the middle over which the faces are measured, share of the cell's."""
WITHIN_UM: Final = 2.4
BEYOND_UM: Final = 1.8
"""Band across the shell, inwards and outwards of the outline."""
STEP_UM: Final = 0.3
FACE_UM: Final = 3.5
"""How far beyond a pole light is taken to be that of its face."""
SLOPE: Final = 1.06
"""Membrane per area of the middle, which is curved, over that of a flat face."""
UNEVEN: Final = 0.1
"""Unevenness of a cell's own membrane, SD relative to one face."""
LARGER: Final = 1.25
"""A host must have this many times its guest's ground to hold it."""


@dataclass(frozen=True, eq=False)
class Faces:
    """Light above and below each cell over that of one face of its own, less that face; (n,) each.

    ``top`` and ``bottom`` are 0 for a bare cell and about 1 for one more membrane like its own; NaN where the stack
    ends before the face does, or no shell is seen. ``*_se`` are standard errors.
    """

    top: Float64Array
    top_se: Float64Array
    bottom: Float64Array
    bottom_se: Float64Array


def measure_faces(
    image: Float32Array,
    yxr_px: Float64Array,
    z_um: Float64Array,
    *,
    um_per_px: float,
    um_per_z: float,
    noise: Noise,
) -> Faces:
    """Measure the faces of round cells.

    Parameters
    ----------
    image : (Z, Y, X) float32
        Channel of the stain, background left in.
    yxr_px : (n, 3) float64
        Centre y, x and radius of each cell, pixels.
    z_um : (n,) float64
        Height of its centre above the first slice.
    um_per_px, um_per_z : float
        Pixel size and focus step, um.
    noise : Noise
        Noise, gain and background of the channel.
    """
    if len(yxr_px) == 0:
        return Faces(*np.zeros((4, 0)))
    level = np.broadcast_to(np.asarray(noise.background, dtype=np.float32), (len(image),))
    light = np.asarray(image - level[:, None, None], dtype=np.float32)
    radius_um = yxr_px[:, 2] * um_per_px
    half = FLATNESS * radius_um
    shell = _shell(light, yxr_px, z_um, um_per_px, um_per_z)
    profile = _column(light, yxr_px)
    heights: Float64Array = np.arange(len(image), dtype=np.float64) * um_per_z
    pixels = np.maximum(np.pi * (CORE * yxr_px[:, 2]) ** 2, 1.0)
    gain = noise.gain or 0.0
    out = []
    for sign in (1.0, -1.0):
        towards = sign * (heights[None, :] - z_um[:, None])
        window = np.clip((towards - 0.5 * half[:, None]) / um_per_z + 0.5, 0.0, 1.0)
        window *= np.clip((half[:, None] + FACE_UM - towards) / um_per_z + 0.5, 0.0, 1.0)
        seen = (heights[-1] - z_um if sign > 0 else z_um) >= half
        face = (window * profile).sum(axis=1) * um_per_z
        variance = (window**2 * (noise.sd**2 + gain * np.maximum(profile, 0.0))).sum(axis=1) * um_per_z**2 / pixels
        own = np.where(seen & (shell > 0), SLOPE * shell, np.nan)
        out += [face / own - 1.0, np.sqrt(variance / own**2 + (UNEVEN * np.maximum(face / own, 1.0)) ** 2)]
    return Faces(*out)


def layers_of_pairs(
    faces: Faces, pairs: npt.NDArray[np.int64], guest_px: Float64Array, host_px: Float64Array
) -> dict[str, Float64Array]:
    """Cap and floor of every pair in faces of the guest's own membrane; none where the host is too small to hold it.

    Parameters
    ----------
    faces : Faces
        Of every guest.
    pairs : (P, 2) int64
        Index of guest and host.
    guest_px, host_px : float64
        Ground of every guest and host, pixels.

    Returns
    -------
    dict
        cap, cap_se, floor, floor_se, and the same in ``cap_um`` ...: a face counts as one um.
    """
    guest, host = pairs.T
    small = host_px[host] < LARGER * guest_px[guest]
    out: dict[str, Float64Array] = {}
    for name, value, error in (("cap", faces.top, faces.top_se), ("floor", faces.bottom, faces.bottom_se)):
        out[name] = out[f"{name}_um"] = np.where(small, 0.0, value[guest])
        out[f"{name}_se"] = out[f"{name}_um_se"] = np.where(small, UNEVEN, error[guest])
    return out


def _shell(
    light: Float32Array, yxr_px: Float64Array, z_um: Float64Array, um_per_px: float, um_per_z: float
) -> Float64Array:
    """Light of the cell's shell along its equator, integrated across it, counts um; median over directions."""
    angles = 2.0 * np.pi * np.arange(N_RAYS) / N_RAYS
    across = np.arange(-WITHIN_UM, BEYOND_UM + 0.5 * STEP_UM, STEP_UM)
    r = yxr_px[:, 2, None, None] + across[None, :, None] / um_per_px
    total = np.zeros((len(yxr_px), len(across), N_RAYS))
    for lift in (-0.2, 0.0, 0.2):
        z = (z_um + lift * FLATNESS * yxr_px[:, 2] * um_per_px)[:, None, None] / um_per_z + 0.0 * r + 0.0 * angles
        flat = np.sqrt(1.0 - lift**2) * r
        y = yxr_px[:, 0, None, None] + flat * np.sin(angles)
        x = yxr_px[:, 1, None, None] + flat * np.cos(angles)
        total += map_coordinates(light, [z, y, x], order=1, mode="nearest") / 3.0
    share = np.linspace(0.0, 1.0, len(across))[None, :, None]
    level = (1.0 - share) * total[:, :1] + share * total[:, -1:]
    return np.asarray(np.median((total - level).sum(axis=1) * STEP_UM, axis=1))


def _column(light: Float32Array, yxr_px: Float64Array) -> Float64Array:
    """Mean light over each cell's middle in every slice, (n, Z)."""
    rings = np.sqrt((np.arange(4) + 0.5) / 4.0) * CORE
    angles = 2.0 * np.pi * np.arange(12) / 12
    dy, dx = (np.outer(rings, f(angles)).ravel() for f in (np.sin, np.cos))
    y = (yxr_px[:, 0, None] + yxr_px[:, 2, None] * dy)[:, None, :]
    x = (yxr_px[:, 1, None] + yxr_px[:, 2, None] * dx)[:, None, :]
    z = np.arange(len(light), dtype=np.float64)[None, :, None]
    y, x, z = np.broadcast_arrays(y, x, z)
    return np.asarray(map_coordinates(light, [z, y, x], order=1, mode="nearest").mean(axis=2), dtype=np.float64)
