"""Uneven illumination, estimated from the smooth shape of the movie's background."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from cicimage.arrays import Float32Array
from cicimage.methods import IlluminationMethod, noise_sd

Float64 = npt.NDArray[np.float64]


class SmoothIllumination(IlluminationMethod):
    """Fits a low-order surface to the background, with cells as outliers above it.

    Each sampled plane is averaged over blocks; each block's low percentile over time is background wherever a
    block was free of cells in some frames. A polynomial is fitted with weights that fall off above it only, since
    cells are brighter than background. Where too few blocks lie on the surface, or the surface explains little of the
    variance between blocks (cells fill the field), the gain is 1.

    Examples
    --------
    >>> flat = np.full((5, 64, 64), 500, np.float32)
    >>> float(SmoothIllumination().estimate(flat, 0.5).mean())
    1.0
    """

    order: int = Field(default=4, ge=1, le=6)
    """Order of the polynomial in y and x."""
    percentile: float = Field(default=20.0, ge=0, le=50)
    """Percentile of each block over the sampled planes, taken as its background (%)."""
    blocks: int = Field(default=64, ge=8, le=256)
    """Blocks along the longer side of the frame."""
    offset_counts: float | None = Field(default=0.0, ge=0)
    """Level that the camera gives without light (counts), which is not part of the illumination; None reads it off
    the photon noise. Too low a value corrects too little, never too much."""
    min_planes: int = Field(default=4, ge=1)
    """Sampled planes below which the gain is 1: in a single picture cells and lamp cannot be told apart."""
    min_background_share: float = Field(default=0.3, ge=0, le=1)
    """Share of blocks that must lie on the surface, else the gain is 1."""
    min_explained: float = Field(default=0.95, ge=0, le=1)
    """Share of the variance between blocks, noise apart, that the surface must explain, else the gain is 1: lamps
    and lenses do (0.98 and more), fields full of cells do not (0.3 to 0.9 on real ones)."""
    darkest: float = Field(default=0.4, gt=0, le=1)
    """Darkest place over brightest that a lens is believed to make; beyond, the gain is 1."""

    def estimate(self, sample: Float32Array, um_per_px: float) -> Float32Array:
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
        if sample.shape[0] < self.min_planes:
            return flat
        background = self._background(sample)
        surface, on_it, explained = _fit_below(background, self.order, _block_noise(sample, background.shape))
        if (
            on_it < self.min_background_share
            or explained < self.min_explained
            or surface.min() < self.darkest * surface.max()
        ):
            return flat
        gain = cv2.resize(surface.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
        return np.asarray(gain / gain.mean(), np.float32)

    def pedestal(self, sample: Float32Array) -> float:
        """Level without light, counts: as given, else where the photon noise of these planes would vanish."""
        return dark_level(sample) if self.offset_counts is None else self.offset_counts

    def _background(self, sample: Float32Array) -> Float64:
        height, width = sample.shape[1:]
        shrink = max(height, width) / min(self.blocks, max(height, width))
        size = max(2, round(width / shrink)), max(2, round(height / shrink))
        small = np.stack([cv2.resize(np.ascontiguousarray(p), size, interpolation=cv2.INTER_AREA) for p in sample])
        return np.asarray(np.percentile(small, self.percentile, axis=0) - self.pedestal(sample), np.float64)


def _fit_below(values: Float64, order: int, noise: float = 0.0) -> tuple[Float64, float, float]:
    """Fit a polynomial to the floor of a (h, w) map whose values have that noise variance.

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
    if np.count_nonzero(on_it) < 2:
        return fit.reshape(h, w), 0.0, 0.0
    spread = float(np.var(target[on_it])) - noise
    left = max(float(np.var((target - fit)[on_it])) - noise, 0.0)
    # Where the blocks differ by no more than noise there is nothing to explain.
    explained = 1 - left / spread if spread > 0.5 * noise else 0.0
    return fit.reshape(h, w), float(on_it.mean()), explained


def _block_noise(sample: Float32Array, blocks: tuple[int, ...]) -> float:
    """Variance that pixel noise alone leaves in a block's low percentile over the sampled planes."""
    n, height, width = sample.shape
    pixels = height * width / (blocks[0] * blocks[1])
    sd = noise_sd(sample)
    return float(2 * sd * sd / (pixels * n))


def _unit(i: int) -> list[float]:
    return [0.0] * i + [1.0]


def dark_level(sample: Float32Array, block_px: int = 16) -> float:
    """Counts at which photon noise would vanish: the camera's offset, a little less with its read noise.

    The variance of photon noise rises in proportion to light. Blocks of all brightnesses give level and variance;
    the lower envelope of the variance (structure only adds) is a line that meets zero at the offset.

    Parameters
    ----------
    sample : (N, Y, X) float32
        Planes sampled over the movie, counts.
    block_px : int
        Side of a block, pixels.

    Returns
    -------
    float
        0 where no line is seen (denoised, scaled or too evenly lit pictures).
    """
    levels, variances = _level_and_variance(sample, block_px)
    edges = np.unique(np.quantile(levels, np.linspace(0, 1, 13)))
    if len(edges) < 5 or levels.min() <= 0:
        return 0.0
    index = np.clip(np.searchsorted(edges, levels, side="right") - 1, 0, len(edges) - 2)
    groups = [index == k for k in range(len(edges) - 1)]
    groups = [g for g in groups if np.count_nonzero(g) >= 8]
    x = np.array([float(levels[g].mean()) for g in groups])
    y = np.array([float(np.quantile(variances[g], 0.3)) for g in groups])
    if len(x) < 4 or np.ptp(x) < 0.1 * x.min() or not (y > 0).all():
        return 0.0
    slope, intercept = np.polyfit(x, y, 1, w=1 / y)
    scatter = float(np.sqrt(np.mean(((slope * x + intercept) / y - 1) ** 2)))
    if slope <= 0 or scatter > 0.25:
        return 0.0
    lowest = float(np.percentile(levels, 0.5))
    return float(np.clip(-intercept / slope, 0.0, 0.98 * lowest))


def _level_and_variance(sample: Float32Array, block: int) -> tuple[Float64, Float64]:
    """Mean and noise variance of every block of every plane."""
    levels, variances = [], []
    for plane in sample:
        height, width = (n - n % block for n in plane.shape)
        if not height or not width:
            continue
        p = np.ascontiguousarray(plane[:height, :width], np.float32)
        size = width // block, height // block
        diagonal = np.zeros_like(p)
        diagonal[:-1, :-1] = p[1:, 1:] - p[:-1, 1:] - p[1:, :-1] + p[:-1, :-1]
        levels.append(cv2.resize(p, size, interpolation=cv2.INTER_AREA).ravel())
        variances.append(cv2.resize(cv2.multiply(diagonal, diagonal), size, interpolation=cv2.INTER_AREA).ravel() / 4)
    if not levels:
        return np.zeros(1), np.zeros(1)
    return np.concatenate(levels).astype(np.float64), np.concatenate(variances).astype(np.float64)
