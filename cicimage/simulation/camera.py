"""From light to counts: vignetting, bleaching, bleed-through, photon and read noise, offset."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cicimage.simulation.optics import Float32
from cicimage.simulation.spec import Acquisition, Nuisances


def vignette(acquisition: Acquisition, nuisances: Nuisances) -> Float32:
    """Relative illumination of the frame, (Y, X), 1 at its brightest."""
    n = acquisition.size_px
    y, x = np.mgrid[0:n, 0:n] / max(n - 1, 1)
    # the brightest spot is seldom the centre
    r2 = (y - 0.47) ** 2 + (x - 0.54) ** 2
    out: Float32 = (1.0 - nuisances.vignetting * r2 / r2.max()).astype(np.float32)
    return out


def bleed_matrix(n_channels: int, nuisances: Nuisances) -> npt.NDArray[np.float64]:
    """(C, C) share of channel j seen in i, 1 on the diagonal; host 0, guest 1, death 2."""
    matrix = np.eye(n_channels)
    if n_channels >= 2:
        matrix[0, 1], matrix[1, 0] = nuisances.bleed_through, 0.5 * nuisances.bleed_through
    if n_channels >= 3:
        matrix[2, 1] = 0.3 * nuisances.bleed_through
    return matrix


def bleaching(channel: int, frame: int, acquisition: Acquisition, nuisances: Nuisances) -> float:
    """Share of a channel's signal left at a frame."""
    lost = nuisances.bleaching * (1.0, 0.8, 0.5)[min(channel, 2)]
    return float((1.0 - lost) ** (frame / max(acquisition.frames - 1, 1)))


def expose(light: Float32, acquisition: Acquisition, rng: np.random.Generator) -> npt.NDArray[np.uint16]:
    """Turn relative light into counts.

    Parameters
    ----------
    light : (C, Z, Y, X) float32
        1 = a thick bright cell, before noise.
    acquisition : Acquisition
        Peak electrons, background, gain, read noise, offset.
    rng : numpy.random.Generator
        Noise.
    """
    counts = np.empty(light.shape, np.uint16)
    for channel, plane in zip(counts, light, strict=True):
        mean = np.maximum(plane, 0) * np.float32(acquisition.peak_electrons) + np.float32(acquisition.background_e)
        electrons = rng.poisson(mean).astype(np.float32)
        electrons += np.float32(acquisition.read_noise_e) * rng.standard_normal(mean.shape, np.float32)
        electrons *= np.float32(acquisition.counts_per_electron)
        channel[:] = np.clip(np.rint(electrons + np.float32(acquisition.offset)), 0, 65535).astype(np.uint16)
    return counts
