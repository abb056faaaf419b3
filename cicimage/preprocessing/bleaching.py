"""Bleaching: a monotone decay, separated from noise and from cells that come and go."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy.optimize import nnls

from cicimage.methods import BleachingMethod

Float64 = npt.NDArray[np.float64]


class MonotoneBleaching(BleachingMethod):
    """A sum of exponential decays with weights that are not negative, fitted robustly.

    Any mixture of dyes and light doses that bleach at their own rates is such a sum; it is smooth and
    never rises, and the fit is unique. A signal that rises (cells arrive, grow, or express more) gives 1 throughout.

    Examples
    --------
    >>> MonotoneBleaching().estimate(np.array([5.0, 6.0, 7.0]), np.arange(3.0)).tolist()
    [1.0, 1.0, 1.0]
    """

    dose: Literal["exposures", "time"] = "exposures"
    """What bleaches: each exposure (frames count), or time under steady light (hours count)."""
    rates: int = Field(default=12, ge=2, le=50)
    """Decay rates offered to the fit, spread from a thirtieth of the movie to thirty movies."""
    min_factor: float = Field(default=0.02, gt=0, lt=1)
    """Lowest factor given: below it the channel is bleached to nothing (share of frame 0)."""

    def estimate(self, signal: Float64, time_h: Float64) -> Float64:
        """Estimate the share of the signal left.

        Parameters
        ----------
        signal : (T,) float64
            Level above background per frame of one channel, counts; NaN where a frame is missing.
        time_h : (T,) float64
            Hours of each frame.

        Returns
        -------
        (T,) float64
            1 at frame 0, never rising.
        """
        n = len(signal)
        ones = np.ones(n)
        known = np.isfinite(signal)
        if np.count_nonzero(known) < 3 or not np.nanmedian(signal) > 0:
            return ones
        dose = np.arange(n, dtype=np.float64) if self.dose == "exposures" else time_h - time_h[0]
        span = float(dose[-1])
        if span <= 0:
            return ones
        taus = span * np.geomspace(1 / 30, 30, self.rates)
        decays = np.column_stack([ones, np.exp(-dose[:, None] / taus)])
        scale = float(np.nanmedian(signal))
        weights = _robust_weights(decays[known], signal[known] / scale)
        curve = decays @ weights
        if curve[0] <= 0:
            return ones
        factor = np.minimum.accumulate(curve / curve[0])
        return np.clip(factor, self.min_factor, 1.0)


def _robust_weights(design: Float64, target: Float64) -> Float64:
    """Non-negative weights of the decays, with outlying frames weighed less."""
    trust = np.ones(len(target))
    found = np.zeros(design.shape[1])
    for _ in range(8):
        root = np.sqrt(trust)
        found, _ = nnls(design * root[:, None], target * root)
        residual = np.abs(target - design @ found)
        scale = max(1.4826 * float(np.median(residual)), 1e-9)
        trust = np.minimum(1.0, 2 * scale / np.maximum(residual, 1e-12))
    return np.asarray(found, np.float64)
