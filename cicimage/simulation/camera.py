"""Camera and nuisances: vignetting, bleaching, flicker, bleed-through, photon and read noise, offset."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from cicimage.arrays import BoolArray, Float32Array, Float64Array
from cicimage.compiled import compiled
from cicimage.simulation.spec import Acquisition, Nuisances

MANY_ELECTRONS: Final = 30.0


def vignette(acquisition: Acquisition, nuisances: Nuisances) -> Float32Array:
    """Compute the relative illumination of the frame.

    Parameters
    ----------
    acquisition : Acquisition
        Size of the frame.
    nuisances : Nuisances
        ``vignetting``: loss in the darkest corner, 0-1.

    Returns
    -------
    (Y, X) float32 array
        Illumination, 1 at its brightest, which lies beside the centre.
    """
    n = acquisition.size_px
    y, x = np.mgrid[0:n, 0:n] / max(n - 1, 1)
    # as in real microscopes, the brightest spot is not the centre
    r2 = (y - 0.47) ** 2 + (x - 0.54) ** 2
    return np.asarray((1.0 - nuisances.vignetting * r2 / r2.max()).astype(np.float32))


def bleed_matrix(n_channels: int, nuisances: Nuisances) -> Float64Array:
    """Compute the crosstalk between neighbouring channels: in full to the one before, by half to the one after.

    Parameters
    ----------
    n_channels : int
        Number of channels, C.
    nuisances : Nuisances
        ``bleed_through``: share of a channel seen in the one before it.

    Returns
    -------
    (C, C) float64 array
        Element [i, j] is the share of channel j seen in channel i, 1 on the diagonal.
    """
    matrix = np.eye(n_channels)
    for j in range(n_channels):
        if j > 0:
            matrix[j - 1, j] = nuisances.bleed_through
        if j + 1 < n_channels:
            matrix[j + 1, j] = 0.5 * nuisances.bleed_through
    return matrix


def bleaching(channel: int, frame: int, acquisition: Acquisition, nuisances: Nuisances) -> float:
    """Compute the share of a channel's signal left at a frame.

    Parameters
    ----------
    channel, frame : int
        Index of the channel and of the frame.
    acquisition : Acquisition
        Number of frames.
    nuisances : Nuisances
        ``bleaching``: share that channel 0 loses over the movie.

    Returns
    -------
    float
        1 at frame 0, less later.
    """
    lost = nuisances.bleaching * (1.0, 0.8, 0.5)[min(channel, 2)]
    return float((1.0 - lost) ** (frame / max(acquisition.frames - 1, 1)))


def flicker(acquisition: Acquisition, nuisances: Nuisances, n_channels: int, rng: np.random.Generator) -> Float32Array:
    """Draw the relative intensity of the light source.

    Parameters
    ----------
    acquisition : Acquisition
        Number of frames, T.
    nuisances : Nuisances
        ``flicker``: SD of the log intensity.
    n_channels : int
        Number of channels, C.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    (T, C) float32 array
        Intensity, 1 in the first frame.
    """
    factors = np.exp(rng.normal(0, nuisances.flicker, (acquisition.frames, n_channels)))
    factors[0] = 1.0
    return factors.astype(np.float32)


def stage_drift(acquisition: Acquisition, nuisances: Nuisances, rng: np.random.Generator) -> Float64Array:
    """Draw the stage drift: a random walk with a trend, and jumps.

    Parameters
    ----------
    acquisition : Acquisition
        Number of frames, T.
    nuisances : Nuisances
        ``drift_um`` (SD of a step), ``drift_jumps`` (expected jumps in the movie), ``drift_jump_um`` (their size).
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    (T, 2) float64 array
        Drift (dy, dx) of every frame against frame 0, um.
    """
    frames, sd = acquisition.frames, nuisances.drift_um
    steps = rng.normal(0, sd, (frames, 2)) + rng.normal(0, 0.5 * sd, 2)
    jumps = rng.random(frames) < nuisances.drift_jumps / max(frames, 1)
    angles = rng.uniform(0, 2 * np.pi, frames)
    steps += (jumps * nuisances.drift_jump_um)[:, None] * np.column_stack([np.sin(angles), np.cos(angles)])
    steps[0] = 0
    return np.asarray(np.cumsum(steps, axis=0))


def focus_drift(
    acquisition: Acquisition, nuisances: Nuisances, rng: np.random.Generator
) -> tuple[Float64Array, BoolArray]:
    """Draw the focus offsets and the frames that lose the focus.

    Parameters
    ----------
    acquisition : Acquisition
        Number of frames, T.
    nuisances : Nuisances
        ``focus_drift_um`` (SD) and ``defocused_share`` of frames.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    offsets : (T,) float64 array
        Offset of every frame, um; 0 in the first.
    lost : (T,) bool array
        Frames that lost the focus.
    """
    offsets, keep, now = np.zeros(acquisition.frames), 0.9, 0.0
    for t in range(1, offsets.size):
        now = keep * now + rng.normal(0, nuisances.focus_drift_um * np.sqrt(1 - keep**2))
        offsets[t] = now
    lost = rng.random(offsets.size) < nuisances.defocused_share
    lost[0] = False
    by = rng.uniform(2.5, 5.0, offsets.size) * rng.choice([-1.0, 1.0], offsets.size)
    return np.where(lost, offsets + by, offsets), lost


def expose(light: Float32Array, acquisition: Acquisition, rng: np.random.Generator) -> npt.NDArray[np.uint16]:
    """Convert relative light to counts.

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
    a = acquisition
    for channel, plane in zip(counts, light, strict=True):
        mean = np.maximum(plane, 0) * np.float32(a.peak_electrons) + np.float32(a.background_e)
        many = int(np.count_nonzero(mean >= MANY_ELECTRONS))
        electrons = _photon_noise(
            mean.ravel(), rng.random(mean.size, np.float32), rng.standard_normal(many, np.float32)
        ).reshape(mean.shape)
        electrons += np.float32(a.read_noise_e) * rng.standard_normal(mean.shape, np.float32)
        electrons *= np.float32(a.counts_per_electron)
        channel[:] = np.clip(np.rint(electrons + np.float32(a.offset)), 0, 65535).astype(np.uint16)
    return counts


@compiled()
def _photon_noise(mean: Float32Array, uniform: Float32Array, normal: Float32Array) -> Float32Array:
    """Poisson counts: by inversion where few are expected, else by the Cornish-Fisher expansion of the quantile.

    ``normal`` holds one standard normal for every mean of MANY_ELECTRONS and more, in order.
    """
    out = np.empty_like(mean)
    used = 0
    for i in range(mean.size):
        m = np.float64(mean[i])
        if m >= MANY_ELECTRONS:
            z = np.float64(normal[used])
            used += 1
            out[i] = max(0.0, np.rint(m + np.sqrt(m) * z + (z * z - 1.0) / 6.0))
            continue
        term = np.exp(-m)
        total, count, u = term, 0, np.float64(uniform[i])
        while u > total and count < 200:
            count += 1
            term *= m / count
            total += term
        out[i] = count
    return out
