"""Detection of unstained cells by texture, in brightfield and phase contrast."""

from __future__ import annotations

import cv2
import numpy as np

from cicimage.arrays import BoolArray, Float32Array
from cicimage.segmentation.grid import disc
from cicimage.segmentation.host_foreground import fill_holes


def local_contrast(image: Float32Array, um_per_px: float, *, fine_um: float, window_um: float) -> Float32Array:
    """Local standard deviation of an image, (..., Y, X).

    Parameters
    ----------
    image : (..., Y, X) float32 array
        Brightfield or phase contrast.
    um_per_px : float
        Pixel size, um.
    fine_um : float
        Detail finer than this is noise, um.
    window_um : float
        Width (Gaussian SD) of the neighbourhood, um.
    """
    fine, window = max(fine_um / um_per_px, 0.5), max(window_um / um_per_px, 1.0)
    planes = image.reshape(-1, *image.shape[-2:])
    out = np.empty_like(planes)
    for k, plane in enumerate(planes):
        level = np.float32(np.median(plane))  # subtracted to keep precision
        smooth = cv2.GaussianBlur(plane - level, (0, 0), fine)
        mean = cv2.GaussianBlur(smooth, (0, 0), window)
        square = cv2.GaussianBlur((smooth - mean) ** 2, (0, 0), window)
        np.sqrt(np.maximum(square, 0.0), out=out[k])
    return out.reshape(image.shape)


def textured(
    contrast: Float32Array, um_per_px: float, *, window_um: float, local_share: float, max_hole_um2: float
) -> BoolArray:
    """Find cells by their texture: Otsu's threshold on the logarithm of the local contrast.

    A cell's smooth middle is filled. The window smears the contrast and the halo of a cell has some of its own, so the
    result is eroded by twice the window's width. A field whose contrast varies less than fourfold holds no cells.

    Parameters
    ----------
    contrast : (Y, X) float32 array
        Local standard deviation, as from :func:`local_contrast`.
    um_per_px : float
        Pixel size, um.
    window_um : float
        Width of the window used for ``contrast``, um.
    local_share : float
        Least contrast as share of the strongest nearby (within three windows), 0-1.
    max_hole_um2 : float
        Largest enclosed hole that is filled, um2.

    Returns
    -------
    (Y, X) bool array
        Pixels of cells.
    """
    floor = max(float(np.median(contrast)) * 1e-3, 1e-6)
    log = np.log(np.maximum(contrast, floor))
    low, high = np.percentile(log, [0.5, 99.5])
    if high - low < np.log(2.0) * 2.0:
        return np.zeros(contrast.shape, dtype=np.bool_)
    grey = np.clip((log - low) / (high - low) * 255.0, 0.0, 255.0).astype(np.uint8)
    level, _ = cv2.threshold(grey, 0, 255, cv2.THRESH_OTSU)
    kernel = disc(6.0 * window_um / um_per_px)
    strong = cv2.blur(cv2.dilate(contrast, kernel), kernel.shape)
    found = fill_holes((grey > level) & (contrast > local_share * strong), max_hole_um2 / um_per_px**2)
    worn = cv2.erode(found.astype(np.uint8), disc(2.0 * window_um / um_per_px))
    return np.asarray(worn > 0)
