"""Separation of touching hosts: by their nuclei, otherwise by the hills of their thickness."""

from __future__ import annotations

import cv2
import numpy as np

from cicimage.arrays import BoolArray, Float32Array, Float64Array, Int32Array
from cicimage.segmentation.grid import Grid, shrink
from cicimage.segmentation.kernels import persistent_basins, spread


def by_thickness(
    signal: Float32Array, inside: BoolArray, um_per_px: float, *, scale_um: float, min_depth: float
) -> Int32Array:
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
    # The relief is smooth over many pixels, so hills are detected on an even coarser grid.
    coarser = max(1, int(scale_um / um_per_px / 2.5))
    if coarser > 1:
        small = shrink(np.stack([signal * inside, inside.astype(np.float32)]), um_per_px, coarser * um_per_px)
        share = small.volume[1]
        ground = share >= 0.5
        hills = by_thickness(
            small.volume[0] / np.maximum(share, 0.25), ground, small.um_per_px, scale_um=scale_um, min_depth=min_depth
        )
        return enlarged(hills, coarser, inside)
    sigma = scale_um / um_per_px
    smooth = smooth_within(signal, inside, sigma)
    # A cell cut by the frame's border continues beyond it.
    distance = cv2.distanceTransform(np.pad(inside, 1, mode="edge").astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    distance = cv2.GaussianBlur(np.minimum(distance, 4.0 * sigma), (0, 0), 0.5 * sigma)
    relief = np.where(inside, np.sqrt(np.maximum(smooth * distance, 0.0)), 0.0).astype(np.float32)
    return flood(relief, inside, min_depth)


def enlarged(labels: Int32Array, factor: int, inside: BoolArray) -> Int32Array:
    """Enlarge the labels of a coarser grid; a foreground pixel without a label takes the nearest one.

    Parameters
    ----------
    labels : (y, x) int32 array
        Labels of the coarser grid.
    factor : int
        Fine pixels per coarse pixel and axis.
    inside : (Y, X) bool array
        Foreground on the fine grid.

    Returns
    -------
    (Y, X) int32 array
        Labels, 0 outside the foreground.
    """
    big = np.repeat(np.repeat(labels, factor, axis=0), factor, axis=1)[: inside.shape[0], : inside.shape[1]]
    return np.where(inside, nearest(np.where(inside, big, 0)), 0).astype(np.int32)


def nearest(labels: Int32Array) -> Int32Array:
    """Give every pixel without a label that of the nearest labelled pixel."""
    known = labels > 0
    if not known.any():
        return labels
    _, index = cv2.distanceTransformWithLabels(
        (~known).astype(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
    )
    names = np.zeros(int(index.max()) + 1, dtype=np.int32)
    names[index[known]] = labels[known]
    return np.asarray(names[index])


def flood(relief: Float32Array, inside: BoolArray, min_depth: float) -> Int32Array:
    """Split a relief into basins, see :func:`cicimage.segmentation.kernels.persistent_basins`.

    Parameters
    ----------
    relief : (Y, X) float32 array
        Heights, >= 0.
    inside : (Y, X) bool array
        Pixels to split.
    min_depth : float
        Share of a hill's height by which it must rise over its saddle to be a basin of its own, 0-1.

    Returns
    -------
    (Y, X) int32 array
        Basins 1..k, 0 outside.
    """
    places = np.flatnonzero(inside)
    heights = relief.ravel()[places]
    if places.size:
        # sixteen bits allow a radix sort, ten times as fast, and resolve far below the noise
        top, span = float(heights.max()), max(float(np.ptp(heights)), 1e-12)
        heights = ((top - heights) * (65535.0 / span)).astype(np.uint16)
    order = places[np.argsort(heights, kind="stable")].astype(np.int64)
    return np.asarray(persistent_basins(relief, inside, order, min_depth))


def by_rim(signal: Float32Array, inside: BoolArray, um_per_px: float, *, min_depth: float) -> Int32Array:
    """Split cells with a stained rim at the hills of the distance to the nearest rim or edge.

    A rim is where the signal, smoothed over 1 um, exceeds its mean over 5 um by 15 %.

    Parameters
    ----------
    signal : (Y, X) float32 array
        Signal over background.
    inside : (Y, X) bool array
        Foreground.
    um_per_px : float
        Pixel size, um.
    min_depth : float
        As :func:`flood` takes it.

    Returns
    -------
    (Y, X) int32 array
        Labels 1..k, 0 outside.
    """
    if not inside.any():
        return np.zeros(inside.shape, dtype=np.int32)
    fine = cv2.GaussianBlur(signal, (0, 0), max(0.5, 1.0 / um_per_px))
    middle = inside & (fine <= 1.15 * smooth_within(signal, inside, 5.0 / um_per_px))
    distance = cv2.distanceTransform(np.pad(middle, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    relief = cv2.GaussianBlur(distance, (0, 0), max(0.5, 2.0 / um_per_px)) + np.float32(1e-3)
    return flood(np.where(inside, relief, 0.0).astype(np.float32), inside, min_depth)


def by_markers(
    signal: Float32Array, inside: BoolArray, markers: Int32Array, um_per_px: float, *, rim_stained: bool = False
) -> Int32Array:
    """Grow markers over the foreground; foreground that no marker reaches keeps a label of its own.

    A step costs more the darker a pixel is against its surroundings of 15 um, so that the fronts of two nuclei meet in
    the dark seam between their cells. With a stained rim, a step also costs more the brighter the pixel is.

    Parameters
    ----------
    signal : (Y, X) float32 array
        Signal over background.
    inside : (Y, X) bool array
        Foreground.
    markers : (Y, X) int32 array
        Seed labels, 0 elsewhere; they count as foreground.
    um_per_px : float
        Pixel size, um.
    rim_stained : bool
        Whether the dye stains the membrane.

    Returns
    -------
    (Y, X) int32 array
        Labels: those of the markers, above them one per patch without a marker, 0 outside.
    """
    ground = inside | (markers > 0)
    if not ground.any():
        return np.zeros(inside.shape, dtype=np.int32)
    around = smooth_within(signal, ground, 15.0 / um_per_px)
    fine = cv2.GaussianBlur(signal, (0, 0), max(0.5, 1.0 / um_per_px))
    share = fine / np.maximum(around, 1e-6 + 1e-3 * float(signal.max(initial=0.0)))
    dark = np.maximum(share, 0.05)
    price = 10.0 * np.maximum(dark, 1.0 / dark) ** 2 if rim_stained else 10.0 / dark**2
    cost = np.clip(price, 2.0, 250.0).astype(np.uint8)
    n, patches = cv2.connectedComponents(ground.astype(np.uint8), connectivity=8)
    marked = np.zeros(n, dtype=np.bool_)
    marked[np.unique(patches[markers > 0])] = True
    marked[0] = True
    labels = spread(cost, ground, markers)
    alone = ~marked[patches]
    labels[alone] = patches[alone] + int(markers.max(initial=0))
    return np.asarray(labels)


def around_nuclei(
    signal: Float32Array,
    inside: BoolArray,
    nuclei_px: Float64Array,
    grid: Grid,
    *,
    radius_um: float,
    least_um2: float,
) -> Int32Array:
    """Split cells whose rim is stained at known nuclei, on a grid.

    A patch without a nucleus, which may be hidden by a round cell above it, is a cell from twice ``least_um2`` on; one
    that the frame's border cuts, and with it perhaps the nucleus, from ``least_um2`` on.

    Parameters
    ----------
    signal, inside : (y, x) arrays
        Signal and foreground on the grid.
    nuclei_px : (n, 2) float64 array
        Nuclei (y, x), frame pixels.
    grid : Grid
        Scale.
    radius_um : float
        Of the disc that stands for a nucleus.
    least_um2 : float
        Ground of the smallest cell.
    """
    markers = np.zeros(inside.shape, dtype=np.int32)
    radius = max(1, round(radius_um / grid.um_per_px))
    for n, (y, x) in enumerate((nuclei_px - grid.offset_px) / grid.factor, start=1):
        cv2.circle(markers, (round(float(x)), round(float(y))), radius, n, -1)
    labels = by_markers(signal, inside, markers, grid.um_per_px, rim_stained=True)
    area = np.bincount(labels.ravel()) * grid.um_per_px**2
    at_border = np.zeros(area.size, dtype=np.bool_)
    for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        at_border[edge] = True
    alone = np.arange(area.size) > len(nuclei_px)
    lost = alone & (area < np.where(at_border, 1.0, 2.0) * least_um2)
    return np.where(lost[labels], 0, labels).astype(np.int32)


def smooth_within(signal: Float32Array, inside: BoolArray, sigma: float) -> Float32Array:
    """Take the Gaussian mean over foreground pixels alone, so that the dark outside does not lower the rim.

    Parameters
    ----------
    signal : (Y, X) float32 array
        Signal over background.
    inside : (Y, X) bool array
        Foreground.
    sigma : float
        SD of the Gaussian, pixels.

    Returns
    -------
    (Y, X) float32 array
        Smoothed signal; far outside the foreground it tends to 0.
    """
    mask = inside.astype(np.float32)
    weight = cv2.GaussianBlur(mask, (0, 0), sigma)
    return np.asarray(cv2.GaussianBlur(signal * mask, (0, 0), sigma) / np.maximum(weight, 1e-3), dtype=np.float32)
