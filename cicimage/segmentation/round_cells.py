"""Round cells of a population that is guest and host at once: each by its nucleus and the shell of membrane around it.

Where one dye stains all cells alike, a cell in or on another is not a bright spot: it is a closed shell around
a nucleus. A spread cell has a shell over its nucleus only, which opens downwards into its sheet: the shell at and below
the height of the nucleus separates the two.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy.ndimage import map_coordinates

from cicimage.arrays import BoolArray, Float32Array, Float64Array
from cicimage.masks import Mask, Masks
from cicimage.methods import Objects, Scene
from cicimage.segmentation.contours import Contours
from cicimage.segmentation.grid import Grid, dark_level, dilated, disc, finite, noise_of, shrink
from cicimage.segmentation.guests import LogGuestSegmenter
from cicimage.segmentation.outlines import draw
from cicimage.segmentation.rays import N_RAYS

NUCLEUS_SHARE: Final = (0.55, 1.1)
"""Range of nuclear diameters, in diameters of the smallest cell."""
LEAST_NUCLEUS: Final = 0.12
"""Least height of a nucleus as share of the field's typical one, against bleed-through of other dyes."""
STEP_UM: Final = 0.6
FLANK_UM: Final = 2.0
"""Distance within and outside a shell at which its background is measured, um."""
LATITUDES: Final = np.radians([-45.0, -25.0, 0.0, 25.0, 45.0])
LOWER: Final = np.array([0, 1])
MIDDLE: Final = np.array([2])
FLATNESS: Final = 0.93
"""Height over width of a round cell on the glass."""
STANDS_OUT: Final = 0.25
"""Least contrast of the shell in one direction to be present there, share of its light."""
LEAST_SHELL: Final = 0.45
"""Least mean of that share over all directions, for a cell to be round."""
LEAST_CLOSED: Final = 0.7
"""Least share of directions at and below the nucleus in which the shell is present."""
GLOW_UM: Final = 1.0
"""Distance that a round cell's light reaches beyond its outline and its poles, um."""
BEND: Final = 0.3
"""Largest deviation of an outline from a circle, share of the radius."""


@dataclass(frozen=True, eq=False)
class RoundCells:
    """Round cells of one frame, and the nuclei of all others.

    Attributes
    ----------
    cells : Objects
        Round cells.
    spread_px : (n, 2) float64
        Nuclei (y, x) of all other cells, frame pixels.
    """

    cells: Objects
    spread_px: Float64Array


def find_round_cells(scene: Scene) -> RoundCells:
    """Find the round cells of a stack with a stain of the membrane and one of the nuclei.

    Parameters
    ----------
    scene : Scene
        With ``nuclei``; at least three slices. ``diameter_um`` spans all cells, the round ones are taken to measure
        between its lower bound and the geometric mean of both.

    Returns
    -------
    RoundCells
        Outlines follow the shell in 32 directions; heights are those of the nuclei.
    """
    if scene.nuclei is None or scene.um_per_z is None:
        raise ValueError("round cells are found by their nuclei in a stack: nuclei and um_per_z must be given")
    smallest, largest = scene.diameter_um
    nuclei = _nuclei(scene, smallest)
    shape = (scene.image.shape[1], scene.image.shape[2])
    if not len(nuclei.masks):
        return RoundCells(Objects(Masks([], shape), np.zeros(0), np.zeros(0)), np.zeros((0, 2)))
    at = np.array([m.centroid_px() for m in nuclei.masks])
    grid = shrink(finite(scene.image), scene.um_per_px, smallest / 16.0)
    radii_um = np.arange(max(0.25 * smallest, STEP_UM), 0.5 * np.sqrt(smallest * largest) + FLANK_UM + STEP_UM, STEP_UM)
    light = _shells(grid, scene.um_per_z, at, nuclei.z_um, radii_um)
    radius, is_round, outline = _fit(light, radii_um, 0.4 * smallest, 0.5 * np.sqrt(smallest * largest))
    found = _contours(at[is_round], outline[is_round], scene.um_per_px)
    z_um = nuclei.z_um[is_round]
    masks, kept = draw(found, z_um, Grid(scene.image, 1, scene.um_per_px), shape)
    cells = Objects(masks, z_um[kept], 2.0 * FLATNESS * radius[is_round][kept])
    return RoundCells(cells, at[~is_round])


def without_round_cells(scene: Scene, cells: Objects) -> Scene:
    """Remove round cells from a stack, so that spread cells alone are left.

    A round cell is painted dark in its own slices only: the sheet of a spread cell below it stays.

    Parameters
    ----------
    scene : Scene
        Frame to clear; not changed.
    cells : Objects
        Round cells, as from :func:`find_round_cells`.

    Returns
    -------
    Scene
        Copy without the round cells' light, with their enlarged masks as ``inner``.
    """
    dark = np.percentile(scene.image[:, ::4, ::4], 2.0)
    image = scene.image.copy()
    reach = max(1, round(GLOW_UM / scene.um_per_px))
    heights = np.arange(len(image)) * (scene.um_per_z or 0.0)
    grown = []
    for mask, z, extent in zip(cells.masks, cells.z_um, cells.z_extent_um, strict=True):
        wide = dilated(np.pad(mask.pixels, reach), disc(reach))
        larger = Mask.cut(mask.label, mask.y0 - reach, mask.x0 - reach, wide, cells.masks.shape) or mask
        own = np.abs(heights - z) <= 0.5 * extent + GLOW_UM
        image[(own, *larger.window)] = np.where(larger.pixels, dark, image[(own, *larger.window)])
        grown.append(larger)
    return replace(scene, image=image, inner=Masks(grown, cells.masks.shape))


def _nuclei(scene: Scene, smallest_um: float) -> Objects:
    """Nuclei of all cells as solid bodies in the stack."""
    assert scene.nuclei is not None  # noqa: S101 - the caller made sure
    low, high = NUCLEUS_SHARE
    stained = Scene(scene.nuclei, scene.um_per_px, scene.um_per_z, (low * smallest_um, high * smallest_um), "nucleus")
    return LogGuestSegmenter(min_relative=LEAST_NUCLEUS).segment(stained)


def _shells(
    grid: Grid, um_per_z: float, at_px: Float64Array, z_um: Float64Array, radii_um: Float64Array
) -> Float32Array:
    """Light over the background on shells around each nucleus, (n, radii, latitudes, rays)."""
    angles = 2.0 * np.pi * np.arange(N_RAYS) / N_RAYS
    r, latitude = radii_um[:, None, None], LATITUDES[None, :, None]
    flat = r * np.cos(latitude) / grid.um_per_px
    middle = (at_px - grid.offset_px) / grid.factor
    z = z_um[:, None, None, None] / um_per_z + FLATNESS * r * np.sin(latitude) / um_per_z + 0.0 * angles
    y = middle[:, 0, None, None, None] + flat * np.sin(angles)
    x = middle[:, 1, None, None, None] + flat * np.cos(angles)
    dark = np.float32(dark_level(grid.volume, noise_of(grid.volume)))
    light = map_coordinates(grid.volume, [z, y, x], order=1, mode="nearest", output=np.float32)
    return np.asarray(np.maximum(light - dark, 0.0), dtype=np.float32)


def _fit(
    light: Float32Array, radii_um: Float64Array, least_um: float, most_um: float
) -> tuple[Float64Array, BoolArray, Float64Array]:
    """Radius of the best shell, whether it is that of a round cell, and the shell's radius along every ray, um."""
    flank = max(1, round(FLANK_UM / STEP_UM))
    out = np.zeros_like(light)
    core = light[:, flank:-flank]
    out[:, flank:-flank] = core - 0.5 * (light[:, : -2 * flank] + light[:, 2 * flank :])
    share = np.clip(out / np.maximum(light, 1e-6), 0.0, 1.0)
    asked = (radii_um >= least_um) & (radii_um <= most_um)
    strength = share.mean(axis=(2, 3)) * asked
    best = strength.argmax(axis=1)
    rows = np.arange(len(light))
    there = share[rows, best] > STANDS_OUT
    closed = 0.5 * (there[:, LOWER].mean(axis=(1, 2)) + there[:, MIDDLE].mean(axis=(1, 2)))
    is_round = (strength[rows, best] >= LEAST_SHELL) & (closed >= LEAST_CLOSED)
    radius = radii_um[best]
    near = np.abs(radii_um[None, :] - radius[:, None]) <= BEND * radius[:, None]
    equator = np.where(near[:, :, None], share[:, :, 1:4].mean(axis=2), 0.0)
    along = _smooth(radii_um[equator.argmax(axis=1)])
    none = equator.max(axis=1) <= STANDS_OUT
    return radius, is_round, np.where(none, radius[:, None], along)


def _smooth(radii: Float64Array) -> Float64Array:
    """Median and mean over neighbouring rays, round the cell."""
    shifted = np.stack([np.roll(radii, k, axis=1) for k in (-2, -1, 0, 1, 2)])
    middle = np.median(shifted, axis=0)
    return np.asarray((np.roll(middle, 1, axis=1) + 2.0 * middle + np.roll(middle, -1, axis=1)) / 4.0)


def _contours(at_px: Float64Array, outline_um: Float64Array, um_per_px: float) -> Contours:
    """Convert radii to outlines; half a step is added, since the membrane lies within the outline."""
    n = len(at_px)
    one, nothing = np.ones(n), np.zeros(n)
    radii = (outline_um + 0.5 * STEP_UM) / um_per_px
    return Contours(at_px[:, 0], at_px[:, 1], nothing, radii, one, nothing, one, one, one, nothing, nothing, one)
