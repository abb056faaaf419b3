"""Signal of one channel that shows in another: the slope of the lower envelope."""

from __future__ import annotations

from typing import ClassVar, Final

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from cicimage.arrays import Float32Array
from cicimage.methods import BleedThroughMethod

Float64 = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]

_FOLDS: Final = 8


class RegressionBleedThrough(BleedThroughMethod):
    """Slope of one channel's lower envelope against the brightness of another.

    Pixels are sorted into bins of channel j. Own signal of channel i only adds, so a low quantile of i within a
    bin is background plus bleed-through, as long as some pixels as bright in j carry no dye of i; the slope over
    the bins is the share. A dye that is truly in all cells of the other channel is indistinguishable from
    bleed-through: measure single-stained wells then, or switch the method off.
    """

    stage_version: ClassVar[int] = 2

    quantile: float = Field(default=0.15, gt=0, lt=1)
    """Quantile of the receiving channel within a bin."""
    block_px: int = Field(default=2, ge=1, le=16)
    """Pixels averaged along each side before, against noise."""
    bins: int = Field(default=24, ge=5, le=200)
    """Bins over the sending channel's brightness."""
    min_bright_px: int = Field(default=400, ge=10)
    """Averaged pixels that must stand out of the sending channel's background."""
    max_share: float = Field(default=0.5, gt=0, le=1)
    """Largest share believed; a larger one is a dye in both channels and is left alone (0)."""
    sure_at: float = Field(default=3.0, ge=0)
    """Standard errors over parts of the field that a share must be clear of, else it is 0: a handful of stained cells
    that happen to lie on bright ones is no bleed-through."""
    min_share: float = Field(default=0.005, ge=0, lt=1)
    """Shares below are taken as 0."""

    def estimate(self, sample: Float32Array) -> Float32Array:
        """Estimate the shares.

        Parameters
        ----------
        sample : (N, C, Y, X) float32
            Planes sampled over the movie, illumination corrected, counts.

        Returns
        -------
        (C, C) float32
            M[i, j] = share of channel j seen in i; 0 on the diagonal.
        """
        n_channels = sample.shape[1]
        matrix = np.zeros((n_channels, n_channels), np.float64)
        if n_channels < 2:
            return matrix.astype(np.float32)
        pixels = _blocks(sample, self.block_px)
        floors = np.percentile(pixels, 10, axis=1)
        noise = np.maximum([_spread_below(p, f) for p, f in zip(pixels, floors, strict=True)], 1e-6)
        above = pixels - np.array([_level(p, f) for p, f in zip(pixels, floors, strict=True)])[:, None]
        for _ in range(3):  # bleed-through from a third channel is subtracted before the next estimate
            before = matrix.copy()
            for i in range(n_channels):
                for j in range(n_channels):
                    if i != j:
                        own = above[i] - matrix[i] @ above + matrix[i, j] * above[j]
                        matrix[i, j] = self._share(own, above[j], float(noise[j]))
            if np.allclose(before, matrix, atol=1e-3):
                break
        places = _places(sample.shape, self.block_px)
        for i, j in np.argwhere(matrix > 0).tolist():
            own = above[i] - matrix[i] @ above + matrix[i, j] * above[j]
            if not self._is_sure(float(matrix[i, j]), own, above[j], float(noise[j]), places):
                matrix[i, j] = 0.0
        return matrix.astype(np.float32)

    def _share(self, receiving: Float64, sending: Float64, noise: float) -> float:
        bright = sending > 6 * noise
        if np.count_nonzero(bright) < self.min_bright_px:
            return 0.0
        slope = self._slope(receiving[bright], sending[bright])
        return slope if self.min_share <= slope <= self.max_share else 0.0

    def _slope(self, receiving: Float64, sending: Float64) -> float:
        """Slope of the floor over bins of the sending channel; NaN where that has too few levels."""
        edges = np.unique(np.quantile(sending, np.linspace(0, 1, self.bins + 1)))
        if len(edges) < 4:
            return float("nan")
        index = np.clip(np.searchsorted(edges, sending, side="right") - 1, 0, len(edges) - 2)
        order = np.argsort(index, kind="stable")
        cuts = np.searchsorted(index[order], np.arange(1, len(edges) - 1))
        pairs = zip(np.split(sending[order], cuts), np.split(receiving[order], cuts), strict=True)
        groups = [(a, b) for a, b in pairs if a.size]
        xs = np.array([float(a.mean()) for a, _ in groups])
        ys = np.array([float(np.quantile(b, self.quantile)) for _, b in groups])
        return _median_slope(xs, ys)

    def _is_sure(self, slope: float, receiving: Float64, sending: Float64, noise: float, places: Ids) -> bool:
        """Whether the slope exceeds its standard error over places (jackknife over parts of the field)."""
        bright = sending > 6 * noise
        r, s, where = receiving[bright], sending[bright], places[bright] % _FOLDS
        without = np.array([self._slope(r[where != k], s[where != k]) for k in range(_FOLDS)])
        error = float(np.sqrt((_FOLDS - 1) / _FOLDS * np.sum((without - without.mean()) ** 2)))
        return bool(slope > self.sure_at * error)


def _places(shape: tuple[int, ...], block: int) -> Ids:
    """Part of the field (of 8 x 8) of each averaged pixel, shuffled over the folds."""
    n, _, height, width = shape
    rows, columns = max(1, height // block), max(1, width // block)
    y, x = np.arange(rows) * 8 // rows, np.arange(columns) * 8 // columns
    part = (y[:, None] * 13 + x[None] * 7).astype(np.int64)
    return np.broadcast_to(part, (n, rows, columns)).reshape(-1)


def _blocks(sample: Float32Array, block: int) -> Float64:
    """(C, pixels) block means."""
    n, c, height, width = sample.shape
    size = max(1, width // block), max(1, height // block)
    small = [
        [cv2.resize(np.ascontiguousarray(sample[k, i]), size, interpolation=cv2.INTER_AREA) for k in range(n)]
        for i in range(c)
    ]
    return np.asarray(small, np.float64).reshape(c, -1)


def _level(values: Float64, floor: float) -> float:
    """Background level: the median of the values near the floor."""
    spread = _spread_below(values, floor)
    near = values[values <= floor + 4 * spread]
    return float(np.median(near)) if near.size else floor


def _spread_below(values: Float64, floor: float) -> float:
    """SD of the background from what lies below its 10th percentile."""
    low = float(np.percentile(values, 1))
    return max((floor - low) / (2.326 - 1.282), 1e-6)


def _median_slope(x: Float64, y: Float64) -> float:
    """Theil-Sen slope."""
    i, j = np.triu_indices(len(x), 1)
    dx = x[j] - x[i]
    wide = dx > 0.1 * np.ptp(x)
    return float(np.median((y[j] - y[i])[wide] / dx[wide])) if wide.any() else 0.0
