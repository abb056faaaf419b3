"""Foreground of hosts: pixels above the background's noise, with the holes made by guests filled."""

from __future__ import annotations

import cv2
import numpy as np

from cicimage.arrays import BoolArray, Float32Array, Int32Array
from cicimage.masks import Masks
from cicimage.segmentation.grid import Grid, dark_level, dilated, disc, noise_of


def project(volume: Float32Array) -> Float32Array:
    """Maximum projection after averaging over neighbouring slices, (Y, X).

    A lamella is one or two slices thick: in a mean over the stack the noise of empty slices would hide it, in a plain
    maximum the highest values of the noise.
    """
    if volume.shape[0] < 3:
        return np.asarray(volume.max(axis=0))
    padded = np.concatenate([volume[:1], volume, volume[-1:]])
    smooth = 0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:]
    return np.asarray(smooth.max(axis=0), dtype=np.float32)


def summed(volume: Float32Array) -> Float32Array:
    """Mean over z above the background, (Y, X): thickness times dye, where hosts overlap that of both."""
    mean = volume.mean(axis=0)
    dark = dark_level(mean[None], noise_of(mean[None]))
    return np.asarray(np.maximum(mean - np.float32(dark), 0.0), dtype=np.float32)


def bridge(signal: Float32Array, inside: BoolArray, guests: Int32Array, um_per_px: float) -> Float32Array:
    """Replace the hosts' signal at guests by its surroundings: guests then make neither holes nor hills.

    Guests and 3 um about them take the Gaussian mean (SD 4 um) of the known foreground nearby.

    Parameters
    ----------
    signal : (Y, X) float32 array
        Host signal over background.
    inside : (Y, X) bool array
        Foreground of hosts.
    guests : (Y, X) int32 array
        Guest labels on the same grid, 0 where there is none.
    um_per_px : float
        Pixel size, um.

    Returns
    -------
    (Y, X) float32 array
        Signal with guests filled in.
    """
    if not guests.any():
        return signal
    hidden = dilated(guests > 0, disc(3.0 / um_per_px))
    known = (inside & ~hidden).astype(np.float32)
    sigma = 4.0 / um_per_px
    weight = cv2.GaussianBlur(known, (0, 0), sigma)
    around = cv2.GaussianBlur(signal * known, (0, 0), sigma) / np.maximum(weight, 1e-6)
    return np.where(hidden & inside & (weight > 1e-3), around, signal).astype(np.float32)


def foreground(
    projection: Float32Array,
    um_per_px: float,
    *,
    noise_factor: float,
    local_share: float,
    blur_um: float,
    reach_um: float,
) -> BoolArray:
    """Pixels above the background by noise and by a share of what is bright nearby.

    Parameters
    ----------
    projection : (Y, X) float32 array
        Projected channel.
    um_per_px : float
        Pixel size, um.
    noise_factor : float
        Least height in SD of the background.
    local_share : float
        Least height as share of the brightest host signal within ``reach_um``: haze about a bright cell stays out.
    blur_um, reach_um : float
        Smoothing before the threshold, and neighbourhood, um.

    Returns
    -------
    (Y, X) bool array
        The pixels.
    """
    sigma = max(blur_um / um_per_px, 0.5)
    smooth = cv2.GaussianBlur(projection, (0, 0), sigma)
    noise = noise_of(smooth[None])
    white = noise_of(projection[None]) / (2.0 * np.sqrt(np.pi) * sigma)
    noise = max(noise, white)
    dark = dark_level(smooth[None], noise)
    height = np.maximum(smooth - np.float32(dark), 0.0)
    below = smooth[smooth < dark]
    # The lower half of the background's histogram includes its unevenness, but no cells.
    spread = max(noise, float(np.sqrt(np.mean((below - dark) ** 2))) if below.size else noise)
    size = 2 * max(1, round(reach_um / um_per_px)) + 1
    strong = cv2.blur(cv2.dilate(height, np.ones((size, size), np.uint8)), (size, size))
    tiny = 1e-6 * float(height.max(initial=0.0))
    found = height > np.maximum(np.maximum(noise_factor * spread, local_share * strong), tiny)
    return np.asarray(found)


def clean(found: BoolArray, um_per_px: float, *, min_area_um2: float, max_hole_um2: float) -> BoolArray:
    """Close gaps of a pixel, drop small patches and fill small holes.

    Parameters
    ----------
    found : (Y, X) bool array
        Foreground.
    um_per_px : float
        Pixel size, um.
    min_area_um2 : float
        Smallest patch that stays, um2.
    max_hole_um2 : float
        Largest enclosed hole that is filled, um2.

    Returns
    -------
    (Y, X) bool array
        Cleaned foreground.
    """
    kernel = disc(1.0)
    pixels = cv2.morphologyEx(found.astype(np.uint8), cv2.MORPH_CLOSE, kernel)
    pixels = cv2.morphologyEx(pixels, cv2.MORPH_OPEN, kernel)
    px2 = um_per_px**2
    whole = without_small(pixels.astype(np.bool_), min_area_um2 / px2)
    return fill_holes(whole, max_hole_um2 / px2)


def without_small(pixels: BoolArray, min_area_px: float) -> BoolArray:
    """Drop small patches, connected by edges.

    Parameters
    ----------
    pixels : (Y, X) bool array
        Foreground.
    min_area_px : float
        Smallest patch that stays, pixels.

    Returns
    -------
    (Y, X) bool array
        Remaining foreground.
    """
    n, labels, stats, _ = cv2.connectedComponentsWithStats(pixels.astype(np.uint8), connectivity=4)
    keep = np.zeros(n, dtype=np.bool_)
    keep[1:] = stats[1:, cv2.CC_STAT_AREA] >= min_area_px
    return np.asarray(keep[labels])


def fill_holes(pixels: BoolArray, max_area_px: float) -> BoolArray:
    """Fill enclosed holes; a gap that touches the frame's border is not a hole.

    Parameters
    ----------
    pixels : (Y, X) bool array
        Foreground.
    max_area_px : float
        Largest hole that is filled, pixels.

    Returns
    -------
    (Y, X) bool array
        Filled foreground.
    """
    _, labels, stats, _ = cv2.connectedComponentsWithStats((~pixels).astype(np.uint8), connectivity=4)
    height, width = pixels.shape
    left, top = stats[:, cv2.CC_STAT_LEFT], stats[:, cv2.CC_STAT_TOP]
    right, bottom = left + stats[:, cv2.CC_STAT_WIDTH], top + stats[:, cv2.CC_STAT_HEIGHT]
    hole = (stats[:, cv2.CC_STAT_AREA] <= max_area_px) & (left > 0) & (top > 0) & (right < width) & (bottom < height)
    hole[0] = False
    return np.asarray(pixels | hole[labels])


def on_grid(masks: Masks, grid: Grid) -> Int32Array:
    """Sample frame masks on a coarse grid; a grid pixel takes the label at its centre.

    Parameters
    ----------
    masks : Masks
        Masks on frame pixels.
    grid : Grid
        Grid to sample on.

    Returns
    -------
    (y, x) int32 array
        Labels 1..n in the masks' order, 0 elsewhere; later masks overwrite earlier ones.
    """
    rows, columns = grid.volume.shape[1:]
    f, middle = grid.factor, grid.factor // 2
    labels = np.zeros((rows, columns), dtype=np.int32)
    for i, mask in enumerate(masks, start=1):
        top, left = (
            -((middle - mask.y0) // f),
            -((middle - mask.x0) // f),
        )  # first grid pixels whose middle is in the crop
        inside = mask.pixels[top * f + middle - mask.y0 :: f, left * f + middle - mask.x0 :: f]
        labels[top : top + inside.shape[0], left : left + inside.shape[1]][inside] = i
    return labels


def fill_guests(pixels: BoolArray, guests: Int32Array, um_per_px: float, *, least_ring: float) -> BoolArray:
    """Add the area of a guest to the foreground where hosts surround it.

    A guest in or under a host leaves a dark hole in its dye. Where at least ``least_ring`` of the rim of 2 um about
    the guest is host, its area and rim (which its blur darkens) become host. A guest beside or half on the edge of a
    host changes nothing.

    Parameters
    ----------
    pixels : (Y, X) bool array
        Foreground of hosts.
    guests : (Y, X) int32 array
        Guest labels on the same grid, 0 where there is none.
    um_per_px : float
        Pixel size, um.
    least_ring : float
        Least share of the rim that is host, 0-1.

    Returns
    -------
    (Y, X) bool array
        Foreground with enclosed guests filled in.
    """
    if not guests.any():
        return pixels
    # Guests and holes that touch are judged together.
    ground = guests > 0
    n, patches = cv2.connectedComponents(ground.astype(np.uint8), connectivity=8)
    wide = cv2.dilate(patches.astype(np.float32), disc(2.0 / um_per_px)).astype(np.int64)
    rim = (wide > 0) & ~ground
    total = np.bincount(wide[rim], minlength=n)
    host = np.bincount(wide[rim & pixels], minlength=n)
    given = (total > 0) & (host >= least_ring * total)
    given[0] = False
    return np.asarray(pixels | given[wide])
