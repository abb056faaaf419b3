"""Where round cells may lie: peaks of the Laplacian of Gaussian over scales, in a plane or in a stack."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from cicimage.masks import FloatArray
from cicimage.segmentation.grid import Grid, noise_of
from cicimage.segmentation.kernels import strongest


@dataclass(frozen=True)
class Seeds:
    """Candidates, several per cell where several scales answer at different places.

    Attributes
    ----------
    z : (n,) float64
        Slice index, subslice.
    y, x : (n,) float64
        Frame pixels.
    diameter_um : (n,) float64
        Diameter of the ball whose scale answered.
    answer : (n,) float64
        Scale-normalised response, counts.
    """

    z: npt.NDArray[np.float64]
    y: npt.NDArray[np.float64]
    x: npt.NDArray[np.float64]
    diameter_um: npt.NDArray[np.float64]
    answer: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return int(self.y.size)


def find_seeds(grid: Grid, um_per_z: float | None, diameters_um: npt.NDArray[np.float64], min_snr: float) -> Seeds:
    """Return the peaks of the scale-normalised response over all scales.

    Where neighbouring scales answer at the same place, the strongest speaks for all.

    Parameters
    ----------
    grid : Grid
        The image, a pixel no wider than about a tenth of the largest diameter.
    um_per_z : float or None
        Focus step, um; None or a single slice: a plane.
    diameters_um : (k,) float64 array
        Diameters looked for; a disc of diameter d answers most at sigma = d / sqrt(8).
    min_snr : float
        Least response, in SD of the response to the image's noise.
    """
    noise = noise_of(grid.volume)
    found: list[npt.NDArray[np.float64]] = []
    for diameter in diameters_um:
        sigma = diameter / np.sqrt(8.0) / grid.um_per_px
        response, gain = _response(grid.volume, float(sigma), grid.um_per_px, um_per_z)
        floor = min_snr * noise * gain
        tiny = 1e-6 * float(np.abs(response).max(initial=0.0))  # rounding of an image without noise
        peaks = find_peaks(response, max(floor, tiny))
        if peaks.size:
            z, y, x = peaks.T.astype(np.float64)
            z = _between_slices(response, peaks) if response.shape[0] > 2 else z
            answer = response[peaks[:, 0], peaks[:, 1], peaks[:, 2]].astype(np.float64)
            found.append(np.stack([z, grid.to_frame(y), grid.to_frame(x), np.full(z.size, diameter), answer]))
    if not found:
        return Seeds(*np.zeros((5, 0)))
    z, y, x, diameter, answer = np.concatenate(found, axis=1)
    size = diameter / grid.um_per_px * grid.factor
    best = strongest(np.argsort(-answer, kind="stable").astype(np.int64), z, y, x, size, 0.08)
    return Seeds(z[best], y[best], x[best], diameter[best], answer[best])


def axial_kernels(depth: int, sigma_slices: float) -> tuple[FloatArray, FloatArray]:
    """Gaussian smoothing and negative scale-normalised second derivative along z as two (Z, Z) matrices.

    The stack goes on beyond its ends as its end slices do, so that a cell cut by an end keeps its peak there.
    """
    reach = int(np.ceil(4 * sigma_slices)) + 1
    t = np.arange(-reach, reach + 1)
    gauss = np.exp(-0.5 * (t / sigma_slices) ** 2)
    gauss /= gauss.sum()
    curve = (1.0 - (t / sigma_slices) ** 2) * gauss
    curve -= gauss * curve.sum()
    smooth, bend = np.zeros((2, depth, depth), dtype=np.float64)
    for k in range(depth):
        at = np.clip(k + t, 0, depth - 1)
        np.add.at(smooth[k], at, gauss)
        np.add.at(bend[k], at, curve)
    return smooth.astype(np.float32), bend.astype(np.float32)


def along_z(matrix: FloatArray, volume: FloatArray) -> FloatArray:
    """Apply a (Z, Z) matrix along the first axis of a (Z, Y, X) volume."""
    depth = volume.shape[0]
    out: FloatArray = (matrix @ volume.reshape(depth, -1)).reshape(volume.shape)
    return out


def _response(volume: FloatArray, sigma: float, um_per_px: float, um_per_z: float | None) -> tuple[FloatArray, float]:
    """Scale-normalised LoG of a volume, and the SD it makes of white noise of SD 1."""
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
        return bend, float(np.sqrt(2.0) * per_plane)
    along = max(sigma * um_per_px / um_per_z, 0.7)
    gauss, curve = axial_kernels(depth, along)
    response = along_z(gauss, bend)
    response += along_z(curve, smooth)
    middle = depth // 2
    share = 2.0 * float(np.sum(gauss[middle] ** 2)) + float(np.sum(curve[middle] ** 2))
    share += 2.0 * float(
        np.sum(gauss[middle] * curve[middle])
    )  # the two terms share their noise: <LoG, G> = 1 in units of per_plane^2
    return response, float(per_plane * np.sqrt(share))


def find_peaks(response: FloatArray, threshold: float) -> npt.NDArray[np.int64]:
    """Voxels of a (Z, Y, X) response above ``threshold`` and not below any of their 26 neighbours, (n, 3) z, y, x."""
    around = np.stack([cv2.dilate(plane, np.ones((3, 3), dtype=np.uint8)) for plane in response])
    peak = (response >= around) & (response > threshold)
    if response.shape[0] > 1:
        peak[1:] &= response[1:] >= around[:-1]
        peak[:-1] &= response[:-1] >= around[1:]
    return np.argwhere(peak)


def _between_slices(response: FloatArray, peaks: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
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
