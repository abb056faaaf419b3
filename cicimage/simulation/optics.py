"""Point spread functions as sums of round Gaussians whose weights depend on defocus.

The light of a column of dye between two heights in a slice is then a difference of tabulated integrals, exact in z
however thin the column is: without supersampling, a floor of 0.3 um has its right intensity.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from cicimage.arrays import Float32Array, Float64Array
from cicimage.compiled import compiled
from cicimage.simulation.diffraction import gaussian_ladder
from cicimage.simulation.spec import Acquisition

EMISSION_UM: Final = 0.52
IMMERSION_INDEX: Final = {"air": 1.0, "water": 1.33, "oil": 1.515}
REACH_UM: Final = 60.0
STEP_UM: Final = 0.05
THICK_UM: Final = 6.0
"""Thickness of a cell that has intensity 1 when focused in its middle, um."""


@dataclass(frozen=True, eq=False)
class Psf:
    """A point spread function.

    Attributes
    ----------
    sigma_um : (K,) float64
        Lateral SD of each component.
    integral : (K, n) float32
        Integral over defocus, from -REACH_UM in steps of STEP_UM, of each component's weight.
    """

    sigma_um: Float64Array
    integral: Float32Array


def axial_fwhm_um(acquisition: Acquisition) -> float:
    """Axial full width at half maximum of a confocal with a pinhole of one Airy unit, um.

    Wilhelm et al., Confocal Laser Scanning Microscopy (Zeiss): geometric and wave-optical parts in quadrature;
    widened by ``axial_blur`` where the refractive index of the medium does not match the lens.
    """
    n = IMMERSION_INDEX[acquisition.immersion]
    cone = n - np.sqrt(max(n * n - acquisition.na**2, 0.0))
    airy = 1.22 * EMISSION_UM / acquisition.na
    fwhm = np.hypot(0.88 * EMISSION_UM / cone, np.sqrt(2) * n * airy / acquisition.na)
    return float(fwhm * acquisition.axial_blur)


def make_psf(acquisition: Acquisition) -> Psf:
    """Return the microscope's point spread function."""
    z = np.arange(-REACH_UM, REACH_UM + STEP_UM / 2, STEP_UM)
    sigma = 0.217 * EMISSION_UM / acquisition.na
    if acquisition.psf == "born_wolf":
        sigmas, weights = _diffracted(z, acquisition)
    elif acquisition.modality == "confocal":
        sigmas = np.array([sigma])
        weights = np.exp(-0.5 * (z / (axial_fwhm_um(acquisition) / 2.3548)) ** 2)[None]
    else:
        sigmas, weights = _cone(z, sigma, acquisition)
    sigmas, weights = _merge_narrow(sigmas, weights, 0.3 * acquisition.um_per_px)
    # trapezoidal rule: half of the last sample, to avoid an offset of half a step
    integral = (np.cumsum(weights, axis=1) - 0.5 * weights) * STEP_UM
    middle = np.abs(z) <= THICK_UM / 2
    integral /= weights[:, middle].sum() * STEP_UM
    return Psf(sigmas, integral.astype(np.float32))


def _merge_narrow(sigmas: Float64Array, weights: Float64Array, limit_um: float) -> tuple[Float64Array, Float64Array]:
    """Merge components too narrow for the pixels to resolve."""
    narrow = sigmas < limit_um
    if narrow.sum() < 2:
        return sigmas, weights
    share = weights[narrow].sum(1)
    one = np.sqrt((share * sigmas[narrow] ** 2).sum() / share.sum())
    return np.concatenate([[one], sigmas[~narrow]]), np.vstack([weights[narrow].sum(0), weights[~narrow]])


def _diffracted(z: Float64Array, acquisition: Acquisition) -> tuple[Float64Array, Float64Array]:
    sigmas, at, weights = gaussian_ladder(
        acquisition.na, IMMERSION_INDEX[acquisition.immersion], EMISSION_UM, confocal=acquisition.modality == "confocal"
    )
    beyond = 0.0 if acquisition.modality == "confocal" else None
    return np.array(sigmas), np.array([np.interp(z, at, w, left=beyond, right=beyond) for w in weights])


def _cone(z: Float64Array, sigma: float, acquisition: Acquisition) -> tuple[Float64Array, Float64Array]:
    """Widefield: all light of a plane is detected, spread over the section of the cone at its defocus."""
    tangent = np.tan(np.arcsin(min(acquisition.na / 1.33, 0.98)))
    wanted = np.log(np.hypot(sigma, 0.5 * np.abs(z) * tangent))
    rungs = np.log(sigma) + np.log(2.0) * np.arange(int(np.ceil((wanted.max() - np.log(sigma)) / np.log(2.0))) + 1)
    place = np.clip((wanted - rungs[0]) / np.log(2.0), 0, rungs.size - 1 - 1e-9)
    lower = place.astype(int)
    weights = np.zeros((rungs.size, z.size))
    weights[lower, np.arange(z.size)] = 1.0 - (place - lower)
    weights[lower + 1, np.arange(z.size)] = place - lower
    return np.exp(rungs), weights


class Columns(NamedTuple):
    """Columns of dye between two heights.

    Attributes
    ----------
    y0, x0 : int
        Pixel of the first sample; may lie outside the image.
    low, high : (h, w) float32
        Lower and upper end of each column, um; where ``high <= low`` there is no dye.
    amount : (h, w) float32
        Dye concentration; negative removes light.
    fine : int
        Samples per pixel and axis.
    """

    y0: int
    x0: int
    low: Float32Array
    high: Float32Array
    amount: Float32Array
    fine: int


@compiled()
def add_columns(image: Float32Array, columns: Columns, slices: Float32Array, integral: Float32Array) -> None:
    """Add the light of columns of dye to an image.

    Parameters
    ----------
    image : (K, Z, Y, X) float32 array
        Light per component of the point spread function; changed in place.
    columns : Columns
        The dye.
    slices : (Z,) float32 array
        Heights of the slices, um.
    integral : (K, n) float32 array
        :attr:`Psf.integral`.
    """
    y0, x0, low, high, amount, fine = columns
    n_k, n_z, n_y, n_x = image.shape
    last = integral.shape[1] - 2
    share = np.float32(1.0 / (fine * fine))
    for i in range(low.shape[0]):
        y = y0 + i // fine
        if y < 0 or y >= n_y:
            continue
        for j in range(low.shape[1]):
            x = x0 + j // fine
            if x < 0 or x >= n_x or amount[i, j] == 0 or high[i, j] <= low[i, j]:
                continue
            weight = amount[i, j] * share
            for s in range(n_z):
                a = min(max((low[i, j] - slices[s] + REACH_UM) / STEP_UM, 0.0), np.float64(last))
                b = min(max((high[i, j] - slices[s] + REACH_UM) / STEP_UM, 0.0), np.float64(last))
                ia, ib = int(a), int(b)
                fa, fb = np.float32(a - ia), np.float32(b - ib)
                for k in range(n_k):
                    top = integral[k, ib] + fb * (integral[k, ib + 1] - integral[k, ib])
                    bottom = integral[k, ia] + fa * (integral[k, ia + 1] - integral[k, ia])
                    image[k, s, y, x] += weight * (top - bottom)
