"""Touching hosts apart: by their nuclei, else by the hills of their thickness."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from cicimage.masks import BoolArray, FloatArray
from cicimage.segmentation.kernels import persistent_basins

Labels = npt.NDArray[np.int32]


def by_thickness(
    signal: FloatArray, inside: BoolArray, um_per_px: float, *, scale_um: float, min_depth: float
) -> Labels:
    """One label per hill of thickness.

    The dye is brighter where a cell is thicker, at its nucleus, and a cell is narrow where two only touch: the
    relief is the geometric mean of the smoothed signal and of the distance to the foreground's edge. Hills that
    stand out over their saddle by less than ``min_depth`` of their height belong to one cell.

    Parameters
    ----------
    signal : (Y, X) float32 array
        Signal over background, guests' holes filled in.
    inside : (Y, X) bool array
        Foreground.
    um_per_px, scale_um : float
        Pixel size and width of smoothing, about the radius of a nucleus, um.
    min_depth : float
        0 splits at every bump, 1 never.
    """
    if not inside.any():
        return np.zeros(inside.shape, dtype=np.int32)
    sigma = scale_um / um_per_px
    weight = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), sigma)
    smooth = cv2.GaussianBlur(np.where(inside, signal, np.float32(0.0)), (0, 0), sigma) / np.maximum(weight, 1e-6)
    distance = cv2.distanceTransform(np.pad(inside, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    distance = cv2.GaussianBlur(np.minimum(distance, 4.0 * sigma), (0, 0), 0.5 * sigma)
    relief = np.where(inside, np.sqrt(np.maximum(smooth * distance, 0.0)), 0.0).astype(np.float32)
    return flood(relief, inside, min_depth)


def flood(relief: FloatArray, inside: BoolArray, min_depth: float) -> Labels:
    """Basins of a relief, see :func:`cicimage.segmentation.kernels.persistent_basins`."""
    places = np.flatnonzero(inside)
    order = places[np.argsort(-relief.ravel()[places], kind="stable")].astype(np.int64)
    return np.asarray(persistent_basins(relief, inside, order, min_depth))


def by_markers(signal: FloatArray, inside: BoolArray, markers: Labels) -> Labels:
    """Watershed of the inverted signal from markers; foreground that no marker reaches keeps a label of its own."""
    if not inside.any():
        return np.zeros(inside.shape, dtype=np.int32)
    ground = inside | (markers > 0)
    n, patches = cv2.connectedComponents(ground.astype(np.uint8), connectivity=8)
    marked = np.zeros(n, dtype=np.bool_)
    marked[np.unique(patches[markers > 0])] = True
    labels = markers.astype(np.int32).copy()
    extra = int(labels.max(initial=0))
    for patch in np.flatnonzero(~marked[1:]) + 1:
        extra += 1
        labels[patches == patch] = extra
    top = float(np.percentile(signal[inside], 99.5))
    grey = np.clip(255.0 * (1.0 - signal / max(top, 1e-9)), 0.0, 255.0).astype(np.uint8)
    seeded = labels.copy()
    outside = int(labels.max(initial=0)) + 1
    seeded[~ground] = outside
    cv2.watershed(cv2.merge([grey, grey, grey]), seeded)
    # cv2 leaves lines of -1 between basins and along the border: each such pixel goes to its nearest basin.
    seeded[(seeded == outside) | ~ground] = 0
    return nearest_label(seeded, ground)


def nearest_label(labels: Labels, ground: BoolArray) -> Labels:
    """Give every pixel of ``ground`` without a label (<= 0) that of the nearest labelled one."""
    open_pixels = ground & (labels <= 0)
    known = labels > 0
    if not open_pixels.any() or not known.any():
        return np.where(ground, np.maximum(labels, 0), 0).astype(np.int32)
    _, index = cv2.distanceTransformWithLabels(
        (~known).astype(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
    )
    names = np.zeros(int(index.max()) + 1, dtype=np.int32)
    names[index[known]] = labels[known]
    return np.where(ground, np.where(known, labels, names[index]), 0).astype(np.int32)
