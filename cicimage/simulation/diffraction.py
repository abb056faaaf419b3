"""Scalar diffraction: the second model of the point spread function, independent of the Gaussian one.

The Debye integral over the cone of a high-aperture lens, with the phase that a plane interface between immersion
and medium adds at depth (Hell, Reiner, Cremer and Stelzer, J. Microsc. 169:391, 1993); confocal detection through
a pinhole of one Airy unit. Each defocus is then written as a sum of round Gaussians.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls
from scipy.signal import fftconvolve
from scipy.special import j0

from cicimage.arrays import Float64Array

EXCITATION_UM: Final = 0.488
MEDIUM_INDEX: Final = 1.33
DEPTH_UM: Final = 5.0
"""Depth of focus above the cover glass at which the aberration is taken."""
PINHOLE_STEP_UM: Final = 0.05
PINHOLE_HALF_UM: Final = 3.0
LADDER: Final = 1.6
NEGLIGIBLE: Final = 2e-3


def debye_intensity(
    r: Float64Array,
    z: Float64Array,
    *,
    na: float,
    immersion_index: float,
    wavelength_um: float,
    depth_um: float = DEPTH_UM,
) -> Float64Array:
    """Intensity (z, r) of a point source around the focus, peak 1 at z = 0.

    Parameters
    ----------
    r, z : (n,) and (m,) float64
        Distance from the axis and defocus in the medium, um.
    na, immersion_index, wavelength_um : float
        Lens and light.
    depth_um : float
        Nominal depth in the medium, for the aberration at the interface; it vanishes for matched indices.
    """
    limit = min(na, 0.999 * min(immersion_index, MEDIUM_INDEX))
    sine = (np.arange(240) + 0.5) / 240 * limit  # n sin(theta), the same on both sides of the interface
    k = 2 * np.pi / wavelength_um
    cos_medium = np.sqrt(1 - (sine / MEDIUM_INDEX) ** 2)
    cos_lens = np.sqrt(1 - (sine / immersion_index) ** 2)
    weight = np.sqrt(cos_lens) * sine / cos_lens
    interface = k * depth_um * (MEDIUM_INDEX * cos_medium - immersion_index * cos_lens)
    radial = j0(k * np.outer(r, sine))

    def field_at(defocus: Float64Array) -> npt.NDArray[np.complex128]:
        phase = np.exp(1j * (k * MEDIUM_INDEX * np.outer(defocus, cos_medium) + interface))
        return np.asarray(phase * weight)

    # the interface shifts the focus; z counts from the brightest plane
    search = np.linspace(-2 * depth_um, 2 * depth_um, 801) if immersion_index != MEDIUM_INDEX else np.zeros(1)
    focus = float(search[np.argmax(np.abs(field_at(search).sum(1)))])
    intensity: Float64Array = np.abs(field_at(z + focus) @ radial.T) ** 2
    return np.asarray(intensity / intensity.max())


def _pinhole(r: Float64Array, emission: Float64Array, airy_um: float) -> Float64Array:
    """Convolve each defocus of a radial emission profile (z, r) with a disk of one Airy unit."""
    side = np.arange(-PINHOLE_HALF_UM, PINHOLE_HALF_UM + PINHOLE_STEP_UM / 2, PINHOLE_STEP_UM)
    distance = np.hypot(side[:, None], side)
    disk = (distance <= airy_um / 2).astype(float)
    out = np.empty_like(emission)
    middle = side.size // 2
    for i, profile in enumerate(emission):
        plane = np.interp(distance, r, profile)
        row = fftconvolve(plane, disk, mode="same")[middle, middle:]
        out[i] = np.interp(r, side[middle:], row)
    return out


@lru_cache(maxsize=8)
def gaussian_ladder(
    na: float, immersion_index: float, emission_um: float, *, confocal: bool
) -> tuple[tuple[float, ...], Float64Array, Float64Array]:
    """Write the point spread function as Gaussians whose weights depend on defocus.

    Parameters
    ----------
    na, immersion_index : float
        Numerical aperture of the lens and refractive index of its immersion.
    emission_um : float
        Emission wavelength, um.
    confocal : bool
        Whether light passes a pinhole of one Airy unit; otherwise widefield.

    Returns
    -------
    sigma_um : tuple of float
        Lateral SDs.
    z_um : (m,) float64
        Defocus.
    weights : (K, m) float64
        Weight of each; in widefield they sum to 1 at every defocus.
    """
    reach = (12.0 if confocal else 25.0) * max(1.0, (0.8 / na) ** 2)
    z = np.linspace(-reach, reach, 241)
    spread = reach * np.tan(np.arcsin(min(na / MEDIUM_INDEX, 0.95)))
    # samples dense at the axis, where the light is
    r = (PINHOLE_HALF_UM if confocal else 1.3 * spread) * np.linspace(0, 1, 400) ** 2
    emitted = debye_intensity(r, z, na=na, immersion_index=immersion_index, wavelength_um=emission_um)
    if confocal:
        lit = debye_intensity(r, z, na=na, immersion_index=immersion_index, wavelength_um=EXCITATION_UM)
        intensity = lit * _pinhole(r, emitted, 1.22 * emission_um / na)
    else:
        intensity = emitted
    narrow = 0.15 * emission_um / na
    rungs = int(np.ceil(np.log((1.5 if confocal else 0.5 * spread) / narrow) / np.log(LADDER)))
    sigmas = narrow * LADDER ** np.arange(rungs + 1)
    ring = np.sqrt((r + r[1] / 4) * np.gradient(r))  # area weights, halved at both sides of the least squares
    gaussians = np.exp(-0.5 * (r[:, None] / sigmas) ** 2) / (2 * np.pi * sigmas**2)
    weights = np.array([nnls(gaussians * ring[:, None], profile * ring)[0] for profile in intensity]).T
    if not confocal:
        weights /= weights.sum(0)
    keep = weights.sum(1) > NEGLIGIBLE * weights.sum()
    return tuple(float(s) for s in sigmas[keep]), z, weights[keep]
