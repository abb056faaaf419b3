"""Axial profiles to numbers: the host's local surfaces, and the layers above and below a guest.

The column through a guest's core is taken as a sum of four parts, each blurred by the axial resolution: a layer
right above the guest (cap), a layer right below (floor), a body part at the guest's own heights (dye taken up,
bleed-through left over, out-of-focus walls) and a constant haze. Weighted least squares with weak priors gives
cap and floor with their standard errors; where the blur cannot separate the parts the errors grow to the prior's
width, so the evidence vanishes by itself instead of by rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

F64 = npt.NDArray[np.float64]

SIGMA_PER_FWHM: Final = 1.0 / 2.354820045
LAYER_SD_UM: Final = 0.4
"""SD added to the blur for the layer's own unknown thickness (0.3-2 um)."""
LAYER_OFFSET_UM: Final = 0.4
"""How far the layer's middle is taken to lie beyond the guest's surface."""
PRIOR_SD: Final = (1.5, 1.5, 0.7, 0.3)
"""Prior SD of cap, floor, body and haze relative to the side reference."""


@dataclass(frozen=True, eq=False)
class Layers:
    """Cap and floor of every pair, relative to the side reference, with standard errors; shape (P,) each."""

    cap: F64
    cap_se: F64
    floor: F64
    floor_se: F64
    body: F64
    body_se: F64
    misfit: F64


@dataclass(frozen=True, eq=False)
class Surfaces:
    """The host's local bottom and top (half of the peak, um), its peak (counts) and mean height (um); (P,) each."""

    bottom_um: F64
    top_um: F64
    peak: F64
    centre_um: F64


def layer_kernel(z_um: F64, centre_um: F64, sigma_um: float) -> F64:
    """Blurred thin layer with peak 1: (P, Z) from (Z,) heights and (P,) centres."""
    return np.exp(-0.5 * ((z_um[None, :] - centre_um[:, None]) / sigma_um) ** 2)


def body_kernel(z_um: F64, low_um: F64, high_um: F64, sigma_um: float) -> F64:
    """Blurred box between two heights with plateau 1: (P, Z)."""
    z = z_um[None, :]
    return ndtr((z - low_um[:, None]) / sigma_um) - ndtr((z - high_um[:, None]) / sigma_um)


def fit_layers(
    profile: F64,
    variance: F64,
    reference: F64,
    z_um: F64,
    guest_z_um: F64,
    guest_radius_um: F64,
    axial_fwhm_um: float,
) -> Layers:
    """Fit cap, floor, body and haze to the column through each guest.

    Parameters
    ----------
    profile : (P, Z) float64
        Mean host signal above background over the guest's core, counts.
    variance : (P, Z) float64
        Its photon variance.
    reference : (P,) float64
        Host signal beside the guest (peak of the side profile), counts; cap and floor are relative to it.
    z_um : (Z,) float64
        Height of each slice, um.
    guest_z_um, guest_radius_um : (P,) float64
        Guest's centre and axial radius, um.
    axial_fwhm_um : float
        Axial resolution, um.

    Returns
    -------
    Layers
        NaN where the reference or the profile is missing; standard errors then infinite.
    """
    sigma = float(np.hypot(axial_fwhm_um * SIGMA_PER_FWHM, LAYER_SD_UM))
    top, bottom = guest_z_um + guest_radius_um, guest_z_um - guest_radius_um
    parts = np.stack(
        [
            layer_kernel(z_um, top + LAYER_OFFSET_UM, sigma),
            layer_kernel(z_um, bottom - LAYER_OFFSET_UM, sigma),
            body_kernel(z_um, bottom + sigma, top - sigma, max(sigma, 0.3)).clip(0.0),
            np.ones_like(profile),
        ],
        axis=-1,
    )
    ok = np.isfinite(profile).all(axis=1) & np.isfinite(reference) & (reference > 0) & np.isfinite(guest_z_um)
    scale = np.where(ok, reference, 1.0)
    y = np.where(ok[:, None], profile, 0.0) / scale[:, None]
    # Texture and a model that is only nearly right: 5 % of the reference, besides the photons.
    var = np.where(np.isfinite(variance), variance, 1.0) / scale[:, None] ** 2 + 0.05**2
    far = np.abs(z_um[None, :] - guest_z_um[:, None]) - guest_radius_um[:, None]
    weight = np.where(far < 3.0 * sigma + 1.0, 1.0 / var, 0.0)
    weight = np.where(ok[:, None], weight, 0.0)
    normal = np.einsum("pzk,pz,pzl->pkl", parts, weight, parts) + np.diag(1.0 / np.square(PRIOR_SD))
    covariance = np.linalg.inv(normal)
    solution = np.einsum("pkl,pzl,pz->pk", covariance, parts, weight * y)
    error = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    residual = y - np.einsum("pzk,pk->pz", parts, solution)
    misfit = np.sqrt(np.sum(weight * residual**2, axis=1) / np.maximum(1.0, np.count_nonzero(weight, axis=1)))
    solution = np.where(ok[:, None], solution, np.nan)
    error = np.where(ok[:, None], error, np.inf)
    return Layers(
        solution[:, 0], error[:, 0], solution[:, 1], error[:, 1], solution[:, 2], error[:, 2],
        np.where(ok, misfit, np.nan),
    )  # fmt: skip


def find_surfaces(profile: F64, z_um: F64, noise: F64) -> Surfaces:
    """Local bottom and top of the host from the side profile.

    Parameters
    ----------
    profile : (P, Z) float64
        Mean host signal above background in the reference ring, counts; NaN rows where there is none.
    z_um : (Z,) float64
        Heights, um.
    noise : (P,) float64
        Standard error of one value of the profile: a peak under three of them is no host.

    Returns
    -------
    Surfaces
        NaN where there is no host signal. Bottom and top are the half-maximum crossings around the peak; where
        the host runs out of the stack, the stack's end.
    """
    n, n_z = profile.shape
    filled = np.where(np.isfinite(profile), profile, 0.0)
    peak_at = filled.argmax(axis=1) if n else np.zeros(0, np.int64)
    rows = np.arange(n)
    peak = filled[rows, peak_at] if n else np.zeros(0)
    real = (peak > 3.0 * noise) & (peak > 0)
    half = 0.5 * peak
    bottom, top = np.full(n, z_um[0]), np.full(n, z_um[-1])
    open_low, open_high = np.ones(n, bool), np.ones(n, bool)
    for k in range(n_z - 1):
        # Going down from the peak: the first slice below half ends the host.
        i = peak_at - 1 - k
        here = open_low & (i >= 0)
        low = here & (filled[rows, np.maximum(i, 0)] < half)
        bottom[low] = _crossing(filled, z_um, rows[low], i[low], i[low] + 1, half[low])
        open_low &= ~low
        j = peak_at + 1 + k
        here = open_high & (j < n_z)
        high = here & (filled[rows, np.minimum(j, n_z - 1)] < half)
        top[high] = _crossing(filled, z_um, rows[high], j[high], j[high] - 1, half[high])
        open_high &= ~high
    near_peak = filled * (filled > half[:, None])
    with np.errstate(invalid="ignore", divide="ignore"):
        centre = (near_peak @ z_um) / near_peak.sum(axis=1)
    nan = np.where(real, 1.0, np.nan)
    return Surfaces(bottom * nan, top * nan, peak * nan, centre * nan)


def _crossing(filled: F64, z_um: F64, rows: npt.NDArray[np.int64], low: npt.NDArray[np.int64],
              high: npt.NDArray[np.int64], half: F64) -> F64:  # fmt: skip
    """Height at which the profile crosses half between a slice below and its neighbour above."""
    below, above = filled[rows, low], filled[rows, high]
    share = (half - below) / np.maximum(above - below, 1e-9)
    return z_um[low] + share * (z_um[high] - z_um[low])
