"""One mask into two, two into one: the reviewer says that, the pixels follow."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from cicimage.arrays import BoolArray
from cicimage.masks import Mask
from cicimage.review.keys import ReviewError

MIDDLE: tuple[float, float] = (0.2, 0.8)
"""A neck is looked for within these shares of the length: ends are narrow by nature."""


def split(mask: Mask, new_label: int) -> tuple[Mask, Mask]:
    """Cut a mask in two: apart where it is apart already, else across its narrowest place.

    Parameters
    ----------
    mask : Mask
        What was two.
    new_label : int
        Label of the smaller part.

    Returns
    -------
    (Mask, Mask)
        The larger part under the old label, and the smaller one.

    Raises
    ------
    ReviewError
        It is too small to be two.

    Examples
    --------
    >>> dumbbell = np.array([[1, 1, 0, 0, 1], [1, 1, 1, 1, 1], [1, 1, 0, 0, 1]], bool)
    >>> [p.pixels.astype(int).tolist() for p in split(Mask(1, 0, 0, dumbbell), 2)]
    [[[1, 1, 0], [1, 1, 1], [1, 1, 0]], [[0, 1], [1, 1], [0, 1]]]
    """
    count, parts = cv2.connectedComponents(mask.pixels.astype(np.uint8), connectivity=8)
    first = parts == 1 if count > 2 else _before_neck(mask.pixels)
    rest = mask.pixels & ~first
    if not first.any() or not rest.any():
        raise ReviewError(
            f"split: the mask must be large enough to be two, has {mask.area_px} pixels; delete or paint it instead"
        )
    if first.sum() < rest.sum():
        first, rest = rest, first
    return _cut_out(mask, first, mask.label), _cut_out(mask, rest, new_label)


def join(mask: Mask, other: Mask) -> Mask:
    """Join two masks under the first one's label.

    Parameters
    ----------
    mask, other : Mask
        The masks; they may overlap.

    Returns
    -------
    Mask
        Pixels of both.

    Examples
    --------
    >>> a, b = Mask(1, 0, 0, np.ones((1, 2), bool)), Mask(2, 1, 1, np.ones((1, 2), bool))
    >>> join(a, b).pixels.astype(int).tolist()
    [[1, 1, 0], [0, 1, 1]]
    """
    y0, x0 = min(mask.y0, other.y0), min(mask.x0, other.x0)
    y1 = max(mask.window[0].stop, other.window[0].stop)
    x1 = max(mask.window[1].stop, other.window[1].stop)
    pixels = np.zeros((y1 - y0, x1 - x0), np.bool_)
    for part in (mask, other):
        h, w = part.pixels.shape
        pixels[part.y0 - y0 : part.y0 - y0 + h, part.x0 - x0 : part.x0 - x0 + w] |= part.pixels
    return Mask(mask.label, y0, x0, pixels)


def _before_neck(pixels: BoolArray) -> BoolArray:
    """Pixels on one side of the narrowest place across the long axis."""
    places = np.argwhere(pixels).astype(np.float64)
    centred = places - places.mean(axis=0)
    axis: npt.NDArray[np.float64] = np.linalg.svd(centred, full_matrices=False)[2][0]
    along = centred @ (axis if axis[np.abs(axis).argmax()] > 0 else -axis)  # either direction fits; one is chosen
    step = np.floor(along - along.min()).astype(np.int64)
    width = np.bincount(step)
    low, high = (round(share * len(width)) for share in MIDDLE)
    first = np.zeros_like(pixels)
    if high - low >= 1:
        neck = low + int(np.argmin(width[low:high]))
        # the steps as narrow as the neck and next to it are cut through their middle
        last = neck
        while last + 1 < high and width[last + 1] == width[neck]:
            last += 1
        before = places[step < (neck + last + 1) / 2].astype(np.int64)
        first[before[:, 0], before[:, 1]] = True
    return first


def _cut_out(mask: Mask, pixels: BoolArray, label: int) -> Mask:
    ys, xs = np.nonzero(pixels)
    y0, x0 = int(ys.min()), int(xs.min())
    return Mask(label, mask.y0 + y0, mask.x0 + x0, pixels[y0 : ys.max() + 1, x0 : xs.max() + 1].copy())
