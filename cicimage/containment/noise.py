"""Photon noise of an image: variance as a line over the mean, estimated from the image itself."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cicimage.arrays import Float32Array, Float64Array


class Noise(NamedTuple):
    """Noise and background of a channel.

    Attributes
    ----------
    sd : float
        Noise SD per pixel at background, counts.
    background : float or (Z,) array
        Level without signal, counts, of all slices or each.
    gain : float, optional
        Variance per count of signal; estimated from the image where it is not given.
    """

    sd: float
    background: float | Float64Array
    gain: float | None = None


def estimate_gain(image: Float32Array, background: float, noise_sd: float, *, sample: int = 120_000) -> float:
    """Estimate the slope of variance over mean (counts per photo-electron for an ideal camera).

    Differences of diagonal neighbours cancel smooth structure; per brightness class the median of their squares
    is robust to the edges that remain.

    Parameters
    ----------
    image : (..., Y, X) float32
        Raw or corrected counts.
    background : float
        Level without signal, counts.
    noise_sd : float
        Noise SD per pixel at background, counts.
    sample : int
        About this many pixels are looked at, in whole rows spread over the image.

    Returns
    -------
    float
        Gain in counts; 0 where the image holds no signal to learn it from.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> ramp = np.broadcast_to(np.linspace(20, 400, 128), (128, 128))
    >>> image = (rng.poisson(ramp / 2) * 2.0 + rng.normal(0, 3, ramp.shape)).astype(np.float32)
    >>> 1.5 < estimate_gain(image, 0.0, 3.0) < 2.5
    True
    """
    view = image[..., :: max(1, image.size // sample), :]
    even = view.shape[-1] // 2 * 2
    left, right = view[..., 0:even:2], view[..., 1:even:2]
    # Pairs along x, then the difference of neighbouring pairs: a second difference that ignores gradients.
    half = left.shape[-1] // 2 * 2
    d = (left - right)[..., 0:half:2] - (left - right)[..., 1:half:2]
    mean = (left + right)[..., 0:half:2] + (left + right)[..., 1:half:2]
    level = mean.ravel() / 4.0 - background
    squared = np.square(d.ravel()) / 4.0
    usable = level > 3.0 * noise_sd
    if np.count_nonzero(usable) < 200:
        return 0.0
    level, squared = level[usable], squared[usable]
    edges = np.quantile(level, np.linspace(0.0, 1.0, 9))
    which = np.clip(np.searchsorted(edges, level, side="right") - 1, 0, 7)
    slopes, weights = [], []
    for k in range(8):
        inside = which == k
        if np.count_nonzero(inside) >= 20:
            # The median of a chi-square with one degree of freedom is 0.4549 of its mean.
            variance = float(np.median(squared[inside])) / 0.4549
            centre = float(np.mean(level[inside]))
            slopes.append(max(0.0, variance - noise_sd**2) / centre)
            weights.append(1.0)
    return float(np.median(slopes)) if slopes else 0.0


def variance_of_mean(
    mean_above: npt.NDArray[np.float64], n: npt.NDArray[np.float64], noise_sd: float, gain: float
) -> npt.NDArray[np.float64]:
    """Variance of a mean over n pixels at a level above background; infinite where n = 0.

    Parameters
    ----------
    mean_above : float64 array
        Mean above background, counts.
    n : float64 array
        Pixels averaged, same shape (or broadcast).
    noise_sd, gain : float
        Noise at background (counts) and variance per count of signal.
    """
    per_pixel = noise_sd**2 + gain * np.maximum(mean_above, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(n > 0, per_pixel / np.maximum(n, 1e-9), np.inf)
