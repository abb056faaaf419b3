"""Axial blur measured from the recording itself: guests are small balls of known kind.

The column through a ball's middle is a box as long as the ball is high, blurred along the axis. The softness of its two
ends is the axial resolution.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.special import ndtr

from cicimage.arrays import Float32Array, Float64Array
from cicimage.methods import Objects

CORE: Final = 0.4
"""Share of the radius averaged over: there a ball's height varies by less than a tenth."""
MEAN_CHORD: Final = 0.96
"""Mean height of a ball over that core, of its diameter."""
FEWEST: Final = 5
FWHM_GRID_UM: Final = np.geomspace(0.6, 12.0, 21)
HEIGHT_GRID: Final = np.linspace(0.6, 1.2, 9)
HEIGHT_SD: Final = 0.12
FWHM_PER_SIGMA: Final = 2.354820045


def measure_axial_blur(
    guest_image: Float32Array, guests: Objects, um_per_px: float, um_per_z: float, *, most: int = 8
) -> float:
    """Measure the axial blur from one frame's guests.

    Parameters
    ----------
    guest_image : (Z, Y, X) float32
        The guests' channel.
    guests : Objects
        Guests with heights.
    um_per_px, um_per_z : float
        Pixel size and true focus step, um.
    most : int
        Of more guests than about this, only every so many-th is measured.

    Returns
    -------
    float
        Median full width at half maximum, um; NaN with fewer than five measurable guests.

    Notes
    -----
    Of each guest the column's profile is fitted by a blurred box over a grid of blur and height, with a prior of
    12 % on height over width; guests cut by the stack's ends are left out.
    """
    n_z = guest_image.shape[0]
    if n_z < 4 or len(guests.masks) == 0:
        return np.nan
    z_um: Float64Array = np.arange(n_z, dtype=np.float64) * um_per_z
    step = max(1, len(guests.masks) // most)
    found = []
    for mask, z in list(zip(guests.masks, guests.z_um, strict=True))[::step]:
        radius_um = float(np.sqrt(mask.area_px / np.pi)) * um_per_px
        whole = z_um[0] + radius_um <= z <= z_um[-1] - radius_um
        if not np.isfinite(z) or not whole:
            continue
        y, x = mask.centroid_px()
        profile = _column(guest_image, y, x, CORE * radius_um / um_per_px, 1.6 * radius_um / um_per_px)
        found.append(_fit(profile, z_um, float(z), radius_um, um_per_z))
    return float(np.median(found)) if len(found) >= FEWEST else np.nan


def _column(image: Float32Array, y: float, x: float, core_px: float, reach_px: float) -> Float64Array:
    """Mean over the core, less the lowest tenth of the surroundings, slice by slice."""
    n_y, n_x = image.shape[1:]
    reach = int(np.ceil(reach_px))
    rows = np.arange(max(0, int(y) - reach), min(n_y, int(y) + reach + 2))
    columns = np.arange(max(0, int(x) - reach), min(n_x, int(x) + reach + 2))
    rho = np.hypot(rows[:, None] - y, columns[None, :] - x)
    core = rho <= max(core_px, 0.8)
    window = image[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.float64)
    low = np.percentile(window.reshape(len(window), -1), 10, axis=1)
    return np.asarray(window[:, core].mean(axis=1) - low)


def _fit(profile: Float64Array, z_um: Float64Array, centre_um: float, radius_um: float, step_um: float) -> float:
    """Blur (FWHM, um) of the best fit over blur, height and shift."""
    heights = HEIGHT_GRID * 2.0 * radius_um * MEAN_CHORD
    sigma = np.hypot(FWHM_GRID_UM / FWHM_PER_SIGMA, 0.02 * step_um)
    shift = np.array([-0.4, 0.0, 0.4])
    z = z_um - centre_um - shift[:, None, None, None]
    s, h = sigma[None, :, None, None], 0.5 * heights[None, None, :, None]
    model = ndtr((z + h) / s) - ndtr((z - h) / s)
    mean = model.mean(axis=-1, keepdims=True)
    centred, level = model - mean, profile - profile.mean()
    amplitude = np.clip((centred @ level) / np.maximum((centred**2).sum(axis=-1), 1e-9), 0.0, None)
    misfit = ((level - amplitude[..., None] * centred) ** 2).sum(axis=-1)
    # Noise of a few percent of the height, so that a prior on the height can speak where the blur hides it.
    noise = np.square(0.03 * (profile.max() - profile.min()) + 1e-9)
    penalty = misfit / noise + np.square((HEIGHT_GRID - 0.93) / HEIGHT_SD)[None, None, :]
    best = np.unravel_index(int(np.argmin(penalty)), penalty.shape)
    return float(FWHM_GRID_UM[best[1]])
