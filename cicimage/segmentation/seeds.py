"""Seeds of round cells: peaks of the Laplacian of Gaussian over scales, in a plane or in a stack."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from cicimage.arrays import Float32Array, Float64Array, Int64Array
from cicimage.segmentation.axial import along_z, axial_kernels
from cicimage.segmentation.grid import Grid
from cicimage.segmentation.kernels import strongest


@dataclass(frozen=True)
class Seeds:
    """Candidates, several per cell where several scales respond at different places.

    Attributes
    ----------
    z : (n,) float64
        Slice index, subslice.
    y, x : (n,) float64
        Frame pixels.
    diameter_um : (n,) float64
        Diameter of the ball whose scale responded.
    response : (n,) float64
        Scale-normalised response, counts.
    """

    z: Float64Array
    y: Float64Array
    x: Float64Array
    diameter_um: Float64Array
    response: Float64Array

    def __len__(self) -> int:
        return int(self.y.size)


def find_seeds(grid: Grid, um_per_z: float | None, diameters_um: Float64Array, least: float) -> Seeds:
    """Return the peaks of the scale-normalised response over all scales.

    Where neighbouring scales respond at the same place, only the strongest response is kept.

    Parameters
    ----------
    grid : Grid
        The image, a pixel no wider than about a tenth of the largest diameter.
    um_per_z : float or None
        Focus step, um; None or a single slice: a plane.
    diameters_um : (k,) float64 array
        Diameters looked for; a disc of diameter d responds most at sigma = d / sqrt(8).
    least : float
        Least response, as a multiple of the response to white noise of SD 1 in ``grid`` (a multiple of the noise SD
        makes it a signal-to-noise ratio).
    """
    found: list[Float64Array] = []
    for diameter in diameters_um:
        sigma = diameter / np.sqrt(8.0) / grid.um_per_px
        response, gain = _response(grid.volume, float(sigma), grid.um_per_px, um_per_z)
        floor = least * gain
        tiny = 1e-6 * float(np.abs(response).max(initial=0.0))  # rounding of an image without noise
        peaks = find_peaks(response, np.maximum(floor, tiny))
        if peaks.size:
            z, y, x = peaks.T.astype(np.float64)
            z = _between_slices(response, peaks) if response.shape[0] > 2 else z
            height = response[peaks[:, 0], peaks[:, 1], peaks[:, 2]].astype(np.float64)
            found.append(np.stack([z, grid.to_frame(y), grid.to_frame(x), np.full(z.size, diameter), height]))
    if not found:
        return Seeds(*np.zeros((5, 0)))
    z, y, x, diameter, height = np.concatenate(found, axis=1)
    size = diameter / grid.um_per_px * grid.factor
    best = strongest(np.argsort(-height, kind="stable").astype(np.int64), z, y, x, size, 0.08)
    return Seeds(z[best], y[best], x[best], diameter[best], height[best])


def _response(
    volume: Float32Array, sigma: float, um_per_px: float, um_per_z: float | None
) -> tuple[Float32Array, Float32Array]:
    """Scale-normalised LoG of a volume, and the SD, (Z,), it makes of white noise of SD 1 in each slice."""
    depth = volume.shape[0]
    smooth = np.empty_like(volume)
    bend = np.empty_like(volume)
    size = 2 * int(np.ceil(3.5 * sigma)) + 1
    for k in range(depth):
        cv2.GaussianBlur(volume[k], (size, size), sigma, dst=smooth[k], borderType=cv2.BORDER_REFLECT_101)
        cv2.Laplacian(smooth[k], cv2.CV_32F, dst=bend[k], ksize=1, scale=-(sigma**2), borderType=cv2.BORDER_REFLECT_101)
    # White noise of SD 1 leaves a smoothed plane with SD 1 / (sqrt(4 pi) sigma);
    # sigma^2 times the Laplacian of it has sqrt(2) times as much.
    per_plane = 1.0 / (np.sqrt(4.0 * np.pi) * sigma)
    if depth == 1 or um_per_z is None:
        return bend, np.full(depth, np.sqrt(2.0) * per_plane, dtype=np.float32)
    along = max(sigma * um_per_px / um_per_z, 0.7)
    gauss, curve = axial_kernels(depth, along)
    response = along_z(gauss, bend)
    response += along_z(curve, smooth)
    # The two terms share their noise: <sigma^2 Laplacian G, G> is -1 in units of the plane's own. At the stack's ends
    # a slice stands for those beyond it as well, and its noise with it.
    share = 2.0 * (gauss**2).sum(axis=1) + (curve**2).sum(axis=1) + 2.0 * (gauss * curve).sum(axis=1)
    return response, (per_plane * np.sqrt(share)).astype(np.float32)


def find_peaks(response: Float32Array, threshold: Float32Array) -> Int64Array:
    """Find voxels above their slice's threshold that none of their 26 neighbours exceeds.

    Parameters
    ----------
    response : (Z, Y, X) float32 array
        Filter response.
    threshold : (Z,) float32 array
        Least response in every slice.

    Returns
    -------
    (n, 3) int64 array
        Indices z, y, x of the peaks.
    """
    square = np.ones((3, 3), dtype=np.uint8)
    around = np.empty_like(response)
    for k, plane in enumerate(response):
        cv2.dilate(plane, square, dst=around[k])
    last = response.shape[0] - 1
    z, y, x = np.nonzero(response > threshold[:, None, None])
    height = response[z, y, x]
    peak = height >= around[z, y, x]
    if last > 0:
        peak &= (height >= around[np.maximum(z - 1, 0), y, x]) & (height >= around[np.minimum(z + 1, last), y, x])
    return np.stack([z[peak], y[peak], x[peak]], axis=1)


def _between_slices(response: Float32Array, peaks: Int64Array) -> Float64Array:
    """Slice index of each peak from a parabola through its neighbours above and below."""
    z, y, x = peaks.T
    last = response.shape[0] - 1
    here = response[z, y, x].astype(np.float64)
    below = response[np.maximum(z - 1, 0), y, x]
    above = response[np.minimum(z + 1, last), y, x]
    bend = below - 2.0 * here + above
    shift = np.where(bend < 0, 0.5 * (below - above) / np.where(bend < 0, bend, -1.0), 0.0)
    shift[(z == 0) | (z == last)] = 0.0
    return np.asarray(z + np.clip(shift, -0.5, 0.5))
