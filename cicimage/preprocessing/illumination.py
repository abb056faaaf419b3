"""Uneven illumination seen from the movie itself: the background's smooth shape."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from cicimage.masks import FloatArray
from cicimage.methods import IlluminationMethod

Float64 = npt.NDArray[np.float64]


class SmoothIllumination(IlluminationMethod):
    """A low-order surface through the background, cells left out as outliers above it.

    Each sampled plane is averaged over blocks; each block's low percentile over time is background wherever a
    block was free of cells in some frames. A polynomial is fitted with weights that fall off above it only, since
    cells are brighter than background. No harm is done where that cannot work: where too few blocks lie on the
    surface, or the surface explains little of how the blocks differ (cells fill the field), the gain is 1.

    Examples
    --------
    >>> flat = np.full((3, 64, 64), 500, np.float32)
    >>> float(SmoothIllumination().estimate(flat, 0.5).mean())
    1.0
    """

    order: int = Field(default=4, ge=1, le=6)
    """Order of the polynomial in y and x."""
    percentile: float = Field(default=20.0, ge=0, le=50)
    """Percentile of each block over the sampled planes, taken as its background (%)."""
    blocks: int = Field(default=64, ge=8, le=256)
    """Blocks along the longer side of the frame."""
    offset_counts: float = Field(default=0.0, ge=0)
    """Level that the camera gives without light (counts): it is not part of the illumination. Too low a value
    corrects too little, never too much."""
    min_background_share: float = Field(default=0.3, ge=0, le=1)
    """Share of blocks that must lie on the surface, else the gain is 1."""
    min_explained: float = Field(default=0.5, ge=0, le=1)
    """Share of the variance between blocks that the surface must explain, else the gain is 1."""

    def estimate(self, sample: FloatArray, um_per_px: float) -> FloatArray:
        """Estimate the relative gain.

        Parameters
        ----------
        sample : (N, Y, X) float32
            Planes sampled over the movie, counts.
        um_per_px : float
            Pixel size, um; not used, the field sets the scale here.

        Returns
        -------
        (Y, X) float32
            Gain with mean 1.
        """
        height, width = sample.shape[1:]
        flat = np.ones((height, width), np.float32)
        background = self._background(sample)
        surface, on_it, explained = _fit_below(background, self.order)
        if on_it < self.min_background_share or explained < self.min_explained or surface.min() <= 0.2 * surface.mean():
            return flat
        gain = cv2.resize(surface.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
        return np.asarray(gain / gain.mean(), np.float32)

    def pedestal(self, sample: FloatArray) -> float:
        """Level below which there is no light, counts: the camera's offset as given."""
        return self.offset_counts

    def _background(self, sample: FloatArray) -> Float64:
        height, width = sample.shape[1:]
        shrink = max(height, width) / min(self.blocks, max(height, width))
        size = max(2, round(width / shrink)), max(2, round(height / shrink))
        small = np.stack([cv2.resize(np.ascontiguousarray(p), size, interpolation=cv2.INTER_AREA) for p in sample])
        return np.asarray(np.percentile(small, self.percentile, axis=0) - self.offset_counts, np.float64)


def _fit_below(values: Float64, order: int) -> tuple[Float64, float, float]:
    """Fit a polynomial to the floor of a (h, w) map.

    Returns
    -------
    surface : (h, w) float64
        The fit.
    share : float
        Share of the map that lies on it, 0-1.
    explained : float
        Share of the variance between those that it explains, 0-1.
    """
    h, w = values.shape
    y, x = np.meshgrid(np.linspace(-1, 1, h), np.linspace(-1, 1, w), indexing="ij")
    terms = [np.polynomial.legendre.legval(y, _unit(i)) * np.polynomial.legendre.legval(x, _unit(j))
             for i in range(order + 1) for j in range(order + 1 - i)]  # fmt: skip
    design = np.stack([t.ravel() for t in terms], axis=1)
    target = values.ravel()
    weights = np.where(target <= np.percentile(target, 60), 1.0, 0.1)
    scale = max(float(np.ptp(target)), 1e-6)
    fit = target
    for _ in range(30):
        # A little ridge keeps high orders from swinging where cells hide the background.
        ridge = 1e-3 * weights.sum() * np.eye(design.shape[1])
        ridge[0, 0] = 0
        gram = design.T @ (design * weights[:, None]) + ridge
        fit = design @ np.linalg.solve(gram, design.T @ (target * weights))
        residual = target - fit
        below = -residual[residual < 0]
        scale = max(1.4826 * float(np.median(below)) if below.size else 0.0, 1e-6 * max(abs(float(fit.mean())), 1e-6))
        weights = np.where(residual <= scale, 1.0, (scale / np.maximum(residual, scale)) ** 2)
        weights[residual < -4 * scale] = 0.25
    on_it = np.abs(target - fit) <= 3 * scale
    spread = float(np.var(target[on_it])) if on_it.any() else 0.0
    left = float(np.var((target - fit)[on_it])) if on_it.any() else 0.0
    return fit.reshape(h, w), float(on_it.mean()), 1 - left / spread if spread > 0 else 0.0


def _unit(i: int) -> list[float]:
    return [0.0] * i + [1.0]
