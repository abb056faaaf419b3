"""Axial profiles to numbers: the host beside a guest, and how much of it lies above and below the guest.

Blur moves light but does not lose it, so thickness is read from integrals over height, not from peaks: a floor of
0.3 um under a confocal slice of 1.5 um is a peak of a fifth, yet its integral is 0.3 um. Three windows (above the
guest, at its middle, below it) are unmixed with the axial blur; where blur or the stack's end makes them alike, the
standard errors grow by themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import erf, ndtr

from cicimage.arrays import Float64Array

SIGMA_PER_FWHM: Final = 1.0 / 2.354820045
LAYER_UM: Final = 0.8
"""A layer above or below a guest is taken to be about this thick where its place in the stack is concerned."""
TEXTURE: Final = 0.04
"""Unevenness of the dye and of the model, relative to the host's plateau, besides photon noise."""
PRIOR_UM: Final = 4.0
"""Prior SD of a layer's thickness: what is left of a standard error where nothing was measured."""


@dataclass(frozen=True, eq=False)
class Side:
    """The host beside each guest; (P,) each, NaN where there is no host signal.

    Attributes
    ----------
    plateau : float64
        Signal above background of host thick enough to fill the axial slice, counts.
    thickness_um : float64
        Host thickness beside the guest.
    bottom_um, top_um : float64
        Half-maximum heights around the peak (blur left in).
    """

    plateau: Float64Array
    thickness_um: Float64Array
    bottom_um: Float64Array
    top_um: Float64Array


@dataclass(frozen=True, eq=False)
class Layers:
    """Host above (cap) and below (floor) each guest, um with standard errors; share of host at its middle (body)."""

    cap_um: Float64Array
    cap_se: Float64Array
    floor_um: Float64Array
    floor_se: Float64Array
    body: Float64Array


def measure_side(profile: Float64Array, z_um: Float64Array, noise: Float64Array, axial_fwhm_um: float) -> Side:
    """Plateau, thickness and surfaces of the host from its axial profile beside a guest.

    A slab of thickness t has the integral plateau * t and, blurred with SD s, the peak plateau * erf(t / (s
    sqrt(8))): their ratio gives t, t gives the plateau.

    Parameters
    ----------
    profile : (P, Z) float64
        Mean host signal above background, counts; NaN rows where there is none.
    z_um : (Z,) float64
        Heights, um.
    noise : (P,) float64
        Standard error of one value: a peak under three of them is no host.
    axial_fwhm_um : float
        Axial resolution, um.
    """
    n = len(profile)
    step, sigma = float(z_um[1] - z_um[0]), axial_fwhm_um * SIGMA_PER_FWHM
    filled = np.where(np.isfinite(profile), profile, 0.0)
    rows, peak_at = np.arange(n), filled.argmax(axis=1)
    peak = filled[rows, peak_at]
    real = (peak > 3.0 * noise) & (peak > 0)
    integral = np.clip(filled, 0.0, None).sum(axis=1) * step
    grid = np.concatenate((np.arange(0.2, 4.0, 0.1), np.arange(4.0, 20.0, 0.5)))
    blurred = np.hypot(sigma, 0.3 * step)
    ratio = erf(grid / (blurred * np.sqrt(8.0))) / grid
    measured = peak / np.maximum(integral, 1e-9)
    thickness = np.interp(-measured, -ratio, grid)
    plateau = peak / np.interp(thickness, grid, ratio * grid)
    bottom, top = _half_maximum(filled, z_um, peak, peak_at)
    nan = np.where(real, 1.0, np.nan)
    return Side(plateau * nan, thickness * nan, bottom * nan, top * nan)


def _half_maximum(
    filled: Float64Array, z_um: Float64Array, peak: Float64Array, peak_at: npt.NDArray[np.int64]
) -> tuple[Float64Array, Float64Array]:
    """Heights at which the profile falls to half of its peak, going down and up from it; the stack's end if never."""
    n, n_z = filled.shape
    above = filled >= 0.5 * peak[:, None]
    index = np.arange(n_z)[None, :]
    low = np.where(~above & (index < peak_at[:, None]), index, -1).max(axis=1)
    high = np.where(~above & (index > peak_at[:, None]), index, n_z).min(axis=1)

    def crossing(outer: npt.NDArray[np.int64], inner: npt.NDArray[np.int64]) -> Float64Array:
        rows = np.arange(n)
        a, b = filled[rows, outer], filled[rows, inner]
        share = (0.5 * peak - a) / np.where(np.abs(b - a) > 1e-9, b - a, 1.0)
        return z_um[outer] + np.clip(share, 0.0, 1.0) * (z_um[inner] - z_um[outer])

    bottom = np.where(low < 0, z_um[0], crossing(np.maximum(low, 0), np.minimum(np.maximum(low, 0) + 1, n_z - 1)))
    top = np.where(high >= n_z, z_um[-1], crossing(np.minimum(high, n_z - 1), np.maximum(high - 1, 0).clip(0, n_z - 1)))
    return bottom, top


def soft_window(z_um: Float64Array, low_um: Float64Array, high_um: Float64Array, ramp_um: float) -> Float64Array:
    """Compute weights of a window whose edges ramp over one focus step: their sum times the step is its length.

    Parameters
    ----------
    z_um : (Z,) float64
        Height of each slice, um.
    low_um, high_um : (P,) float64
        Ends of each window, um.
    ramp_um : float
        Focus step, um.

    Returns
    -------
    (P, Z) float64
        Weights, 0-1.
    """
    z = z_um[None, :]
    rise = np.clip((z - low_um[:, None]) / ramp_um + 0.5, 0.0, 1.0)
    fall = np.clip((high_um[:, None] - z) / ramp_um + 0.5, 0.0, 1.0)
    return np.asarray(np.minimum(rise, fall))


def _blurred_box(z_um: Float64Array, low_um: Float64Array, high_um: Float64Array, sigma_um: float) -> Float64Array:
    z = z_um[None, :]
    return np.asarray(ndtr((z - low_um[:, None]) / sigma_um) - ndtr((z - high_um[:, None]) / sigma_um))


def measure_layers(
    profile: Float64Array,
    variance: Float64Array,
    plateau: Float64Array,
    z_um: Float64Array,
    guest_z_um: Float64Array,
    guest_half_um: Float64Array,
    axial_fwhm_um: float,
) -> Layers:
    """Host above, within and below each guest from the column through its core.

    Parameters
    ----------
    profile, variance : (P, Z) float64
        Mean host signal above background over the guest's core, counts, and its photon variance.
    plateau : (P,) float64
        Signal of host that fills the axial slice, counts.
    z_um : (Z,) float64
        Height of each slice, um.
    guest_z_um, guest_half_um : (P,) float64
        Guest's centre and half its height, um.
    axial_fwhm_um : float
        Axial resolution, um.

    Returns
    -------
    Layers
        Thickness in um of host (not clipped at 0, so that noise stays even); NaN with infinite error where profile,
        plateau or guest height is missing.
    """
    step = float(z_um[1] - z_um[0])
    sigma = max(float(np.hypot(axial_fwhm_um * SIGMA_PER_FWHM, 0.3 * step)), 1e-3)
    top, bottom = guest_z_um + guest_half_um, guest_z_um - guest_half_um
    reach = LAYER_UM + 2.0 * sigma + 0.5 * step
    windows = np.stack([
        soft_window(z_um, guest_z_um + 0.5 * guest_half_um, top + reach, step),
        soft_window(z_um, guest_z_um - 0.5 * guest_half_um, guest_z_um + 0.5 * guest_half_um, step),
        soft_window(z_um, bottom - reach - 2.0, guest_z_um - 0.5 * guest_half_um, step),
    ], axis=1)  # fmt: skip
    kernels = np.stack([
        _blurred_box(z_um, top, top + LAYER_UM, sigma) / LAYER_UM,
        _blurred_box(z_um, bottom, top, sigma) / (2.0 * guest_half_um)[:, None],
        _blurred_box(z_um, bottom - LAYER_UM, bottom, sigma) / LAYER_UM,
    ], axis=1)  # fmt: skip
    ok = np.isfinite(profile).all(axis=1) & np.isfinite(plateau) & (plateau > 0) & np.isfinite(guest_z_um)
    windows, kernels = (np.where(ok[:, None, None], a, 0.0) for a in (windows, kernels))
    scale = np.where(ok, plateau, 1.0)[:, None]
    y = np.where(ok[:, None], profile, 0.0) / scale
    var = np.where(ok[:, None] & np.isfinite(variance), variance, 1.0) / scale**2 + TEXTURE**2 * np.clip(y, 0.1, 1.0)
    measured = np.einsum("pkz,pz->pk", windows, y) * step
    mix = np.einsum("pkz,pjz->pkj", windows, kernels) * step
    noise = np.einsum("pkz,pz,plz->pkl", windows, var, windows) * step**2 + 1e-8 * np.eye(3)
    weight = np.linalg.inv(noise)
    normal = np.einsum("pki,pkl,plj->pij", mix, weight, mix) + np.eye(3) / PRIOR_UM**2
    covariance = np.linalg.inv(normal)
    found = np.einsum("pij,pkj,pkl,pl->pi", covariance, mix, weight, measured)
    error = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    found, error = np.where(ok[:, None], found, np.nan), np.where(ok[:, None], error, np.inf)
    return Layers(found[:, 0], error[:, 0], found[:, 2], error[:, 2], found[:, 1] / (2.0 * guest_half_um))
