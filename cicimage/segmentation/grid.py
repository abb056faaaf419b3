"""The coarse grid on which cells are detected, and its background and noise.

Cells are many pixels wide. Averaging blocks of pixels keeps their outlines, lowers the noise and saves most of the
time.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from cicimage.arrays import BoolArray, Float32Array, Float64Array
from cicimage.segmentation.kernels import fill_pits


@dataclass(frozen=True)
class Grid:
    """A (Z, Y, X) image averaged over blocks of ``factor`` x ``factor`` pixels.

    Attributes
    ----------
    volume : (Z, y, x) float32 array
        Block means; frame pixels that do not fill a last block are completed by repeating the border.
    factor : int
        Frame pixels per grid pixel and axis.
    um_per_px : float
        Width of a grid pixel, um.
    """

    volume: Float32Array
    factor: int
    um_per_px: float

    @property
    def offset_px(self) -> float:
        """Position of the centre of grid pixel 0 in frame pixels."""
        return (self.factor - 1) / 2.0

    def to_frame(self, position: Float64Array) -> Float64Array:
        """Convert grid pixels to frame pixels."""
        return position * self.factor + self.offset_px


def shrink(image: Float32Array, um_per_px: float, coarsest_um: float) -> Grid:
    """Average blocks so that a pixel is as wide as possible without exceeding ``coarsest_um``.

    Parameters
    ----------
    image : (Z, Y, X) float32 array
        Frame.
    um_per_px : float
        Pixel size of the frame, um.
    coarsest_um : float
        Largest accepted pixel size, um; below ``um_per_px`` the frame keeps its pixels.

    Returns
    -------
    Grid
        The averaged image and its scale.
    """
    factor = max(1, int(coarsest_um / um_per_px + 1e-9))
    if factor == 1:
        return Grid(np.ascontiguousarray(image, dtype=np.float32), 1, um_per_px)
    depth, height, width = image.shape
    rows, columns = -(-height // factor), -(-width // factor)
    volume = np.empty((depth, rows, columns), dtype=np.float32)
    for k in range(depth):
        plane = image[k]
        if rows * factor != height or columns * factor != width:
            plane = cv2.copyMakeBorder(
                plane, 0, rows * factor - height, 0, columns * factor - width, cv2.BORDER_REPLICATE
            )
        cv2.resize(plane, (columns, rows), dst=volume[k], interpolation=cv2.INTER_AREA)
    return Grid(volume, factor, um_per_px * factor)


def disc(radius_px: float) -> npt.NDArray[np.uint8]:
    """Kernel of a disc, at least a pixel in radius."""
    size = 2 * max(1, round(radius_px)) + 1
    kernel: npt.NDArray[np.uint8] = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    return kernel


def dilated(pixels: BoolArray, kernel: npt.NDArray[np.uint8]) -> BoolArray:
    """Dilate pixels.

    Parameters
    ----------
    pixels : (Y, X) bool array
        Pixels.
    kernel : (h, w) uint8 array
        Kernel, as from :func:`disc`.

    Returns
    -------
    (Y, X) bool array
        Pixels and those within the kernel of one.
    """
    return np.asarray(cv2.dilate(pixels.astype(np.uint8), kernel) > 0)


def finite(image: Float32Array) -> Float32Array:
    """Put the median in place of pixels that are not finite; an image without any finite pixel becomes zero."""
    if np.isfinite(image.sum()):
        return image
    good = np.isfinite(image)
    level = float(np.median(image[good])) if good.any() else 0.0
    return np.where(good, image, np.float32(level)).astype(np.float32)


def noise_of(volume: Float32Array, most: int = 20_000) -> float:
    """Estimate the noise SD per pixel from mixed differences of neighbours in evenly spaced strips.

    Parameters
    ----------
    volume : (Z, Y, X) float32 array
        Image.
    most : int
        About as many differences are used at most.

    Returns
    -------
    float
        Noise SD in the image's counts; 0 for an image less than two pixels wide or high.
    """
    depth, height, width = volume.shape
    if height < 2 or width < 2:
        return 0.0
    pairs = height // 2
    step = max(1, -(-(depth * pairs * width) // most))
    upper = volume[:, 0 : 2 * pairs : 2][:, ::step]
    lower = volume[:, 1 : 2 * pairs : 2][:, ::step]
    rows = upper - lower
    mixed = np.abs(rows[..., 1:] - rows[..., :-1])
    return float(np.median(mixed) / 0.6745 / 2.0)


def dark_level(volume: Float32Array, noise: float, most: int = 16_000) -> float:
    """Estimate the background: the level of the darkest population of pixels.

    In a confluent field the mode of all pixels belongs to cells. The lowest percent of the pixels is the lower tail of
    the background's noise, and the background's centre lies within two noise widths above it.

    Parameters
    ----------
    volume : (Z, Y, X) or (Y, X) float32 array
        Image.
    noise : float
        Noise SD per pixel, counts.
    most : int
        About as many evenly spaced pixels are used at most.

    Returns
    -------
    float
        Level of the background, counts.
    """
    values = volume.ravel()
    values = values[:: max(1, values.size // most)]
    low = float(np.percentile(values, 1.0)) + 2.33 * noise
    near = values[values <= low + 2.0 * noise]
    return float(np.median(near)) if near.size else low


def without_pits(volume: Float32Array, n_levels: int = 1024) -> Float32Array:
    """Fill dark regions enclosed by brighter ones, plane by plane, up to the lowest way out.

    The middle of a cell with a stained rim becomes as bright as the rim is at its weakest.

    Parameters
    ----------
    volume : (Z, Y, X) float32 array
        Image.
    n_levels : int
        Levels between the lowest and highest value of a plane at which filling works.

    Returns
    -------
    (Z, Y, X) float32 array
        Filled copy, nowhere below ``volume``.
    """
    out = volume.copy()
    for plane in out:
        low, high = float(plane.min()), float(plane.max())
        if high > low and min(plane.shape) > 2:
            scale = (n_levels - 1) / (high - low)
            filled = fill_pits(((plane - low) * scale).astype(np.int32), n_levels)
            np.maximum(plane, (filled / scale + low).astype(np.float32), out=plane)
    return out
