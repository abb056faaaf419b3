"""Guests: small round cells, crowded, bright and dim in one field, in a plane or in a stack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
from pydantic import Field

from cicimage.arrays import BoolArray, Float32Array, Float64Array
from cicimage.masks import Masks
from cicimage.methods import GuestSegmenter, Objects, Scene
from cicimage.segmentation.axial import RoundCells, along_z, axial_kernels, measure_heights
from cicimage.segmentation.contours import Contours, Starts, trace
from cicimage.segmentation.grid import Grid, dark_level, finite, noise_of, shrink, without_pits
from cicimage.segmentation.outlines import draw
from cicimage.segmentation.rays import Rules
from cicimage.segmentation.seeds import Seeds, find_seeds
from cicimage.segmentation.selection import beside, choose, dip_between, pairs_in_touch
from cicimage.segmentation.texture import local_contrast


class LogGuestSegmenter(GuestSegmenter):
    """Seeds by Laplacian of Gaussian over scales, outlines by rays to half of each cell's own height.

    One cell may have several seeds, and several cells one seed. An outline is traced for every seed; of outlines
    that cover the same place the one with the better edge and the rounder shape is kept.
    """

    stage_version: ClassVar[int] = 1

    min_snr: float = Field(default=6.0, ge=2.0, le=50.0)
    """Least response of a seed, in SD of the response to noise."""
    edge_fraction: float = Field(default=0.35, ge=0.2, le=0.8)
    """Level of the outline between background (0) and the cell's core (1)."""
    smallest: float = Field(default=0.7, ge=0.2, le=1.0)
    """Smallest accepted diameter as share of the population's lower bound; dying cells shrink, debris is smaller."""
    largest: float = Field(default=1.35, ge=1.0, le=3.0)
    """Largest accepted diameter as multiple of the population's upper bound."""
    min_axis_ratio: float = Field(default=0.4, ge=0.0, le=1.0)
    """Least short over long axis."""
    max_roughness: float = Field(default=0.2, ge=0.02, le=1.0)
    """Largest deviation of an outline from an ellipse, SD over mean radius."""
    min_contrast: float = Field(default=0.3, ge=0.0, le=5.0)
    """Least height over the surroundings, as share of the surroundings' own height over the dark background."""
    min_score: float = Field(default=0.66, ge=0.0, le=1.0)
    """Least likeness to one whole round cell (edge all around, times roundness, times smoothness) of the dimmest
    objects: under 1.5 % of the field's typical guest or twice the noise per pixel; a fifth of it from five times on."""
    min_relative: float = Field(default=0.01, ge=0.0, le=0.9)
    """Least height as share of the field's typical guest: what is dimmer is debris or another population's remains."""
    min_closed: float = Field(default=0.6, ge=0.0, le=1.0)
    """Least share of the outline along which the signal falls."""

    def segment(self, scene: Scene) -> Objects:
        """Return the guests of one frame, labels ascending by row of the centroid."""
        image = finite(scene.image)
        smallest = scene.diameter_um[0]
        seeds = self._seeds(image, scene)
        if not len(seeds):
            return _none(image)
        fine, noise = _solid(shrink(image, scene.um_per_px, smallest / 8.0), scene)
        smooth = _smooth(fine, noise, scene, blur_um=0.1 * smallest)
        y, x = (seeds.y - fine.offset_px) / fine.factor, (seeds.x - fine.offset_px) / fine.factor
        starts = Starts(seeds.z, y, x, 0.5 * seeds.diameter_um / fine.um_per_px, seeds.response)
        found = self._trace(smooth, starts, scene)
        found = found.pick(self._whole(found, smooth, scene) & self._small(found, smooth, scene))
        found = found.pick(choose(found, smooth.volume, smooth.z_step_px))
        found = self._with_neighbours(found, starts, smooth, scene)
        found = self._with_unions(found, smooth, scene)
        return self._objects(found.pick(self._bright_enough(found)), fine, scene)

    def _trace(
        self, smooth: _Smooth, starts: Starts, scene: Scene, *, climb: float = 0.06, rivals: Float64Array | None = None
    ) -> Contours:
        reach = 0.6 * self.largest * scene.diameter_um[1] / smooth.um_per_px
        rules = Rules(
            float(reach), float(smooth.z_step_px), smooth.noise, smooth.dark, float(self.edge_fraction), climb
        )
        return trace(smooth.volume, starts, rules, rivals)

    def _with_neighbours(self, found: Contours, starts: Starts, smooth: _Smooth, scene: Scene) -> Contours:
        """Trace the seeds beside found cells again, with rays that end at those cells.

        Otherwise the outline of a dim cell runs over into its bright neighbour and is dropped for covering it.
        """
        radius = np.sqrt(found.area_px / np.pi)
        known = np.column_stack([found.y, found.x, radius, found.z * smooth.z_step_px])
        far = beside(np.column_stack([starts.y, starts.x, starts.z * smooth.z_step_px]), known)
        if not far.any():
            return found
        again = self._trace(smooth, Starts(*(values[far] for values in starts)), scene, rivals=known)
        again = again.pick(self._whole(again, smooth, scene) & self._small(again, smooth, scene))
        both = found.concatenate(again)
        first = np.arange(len(both)) < len(found)
        return both.pick(choose(both, smooth.volume, smooth.z_step_px, before=first))

    def _with_unions(self, found: Contours, smooth: _Smooth, scene: Scene) -> Contours:
        """Merge the pieces of one cell: granules, or halves of an object too large to be a guest.

        Two outlines in touch become one where the outline around both, valleys between them ignored, looks more
        like one round cell than either does; without a valley between them it need only look as much so as they
        do on average. Where that one is too large for a guest, neither piece is one.
        """
        i, j = pairs_in_touch(found, smooth.z_step_px)
        if not i.size:
            return found
        area = found.area_px
        share = area[i] / (area[i] + area[j])
        z, y, x = (share * v[i] + (1.0 - share) * v[j] for v in (found.z, found.y, found.x))
        response = np.maximum(found.response[i], found.response[j])
        starts = Starts(z, y, x, np.sqrt((area[i] + area[j]) / np.pi), response)
        union = self._trace(smooth, starts, scene, climb=0.5)
        one = self._whole(union, smooth, scene) & (union.area_px >= 0.8 * (area[i] + area[j]))
        pieces = one & (union.score >= 0.45 * (found.score[i] + found.score[j]))
        pieces &= dip_between(found, i, j, smooth.volume) < 0.1
        stays = np.ones(len(found), dtype=np.bool_)
        stays[i[pieces]] = stays[j[pieces]] = False
        both = found.pick(stays).concatenate(union.pick(one & self._small(union, smooth, scene)))
        return both.pick(choose(both, smooth.volume, smooth.z_step_px))

    def _seeds(self, image: Float32Array, scene: Scene) -> Seeds:
        smallest, largest = scene.diameter_um
        scales = np.geomspace(0.8 * smallest, 0.95 * largest, 4)
        coarse, noise = _solid(shrink(image, scene.um_per_px, smallest / 4.5), scene)
        um_per_z = scene.um_per_z if image.shape[0] > 1 else None
        return find_seeds(coarse, um_per_z, scales, least=self.min_snr * noise)

    @staticmethod
    def _diameter_um(found: Contours, smooth: _Smooth) -> Float64Array:
        return np.asarray(2.0 * np.sqrt(np.maximum(found.area_px, 0.0) / np.pi) * smooth.um_per_px)

    def _small(self, found: Contours, smooth: _Smooth, scene: Scene) -> BoolArray:
        """Which outlines are not too large."""
        return np.asarray(self._diameter_um(found, smooth) <= self.largest * scene.diameter_um[1])

    def _whole(self, found: Contours, smooth: _Smooth, scene: Scene) -> BoolArray:
        """Which outlines are round, not too small, and have an edge."""
        height = found.core - found.background
        floor = np.maximum(found.background - smooth.dark, 0.0)
        # The visible part of a cell cut by the image's border need be neither round nor large.
        cut = found.cut > 0.15
        # The dimmer an object is against the others or the noise, the more it must look like a cell: haze, texture and
        # remains of another population are dim and ragged.
        dim = np.maximum(0.015 * self._typical(found), 2.0 * smooth.grain) / np.maximum(height, 1e-9)
        score = self.min_score * np.clip(dim, 0.2, 1.0)
        least = np.where(cut, 0.8, 1.0) * self.smallest * scene.diameter_um[0]
        return np.asarray(
            (self._diameter_um(found, smooth) >= least)
            & (found.axis_ratio >= np.where(cut, 0.5, 1.0) * self.min_axis_ratio)
            & (found.roughness <= np.where(cut, 1.5, 1.0) * self.max_roughness)
            & (found.score >= score)
            & (found.closed >= self.min_closed)
            & (height > np.maximum(4.0 * smooth.noise, self.min_contrast * floor))
        )

    def _bright_enough(self, found: Contours) -> BoolArray:
        return np.asarray(found.core - found.background >= self.min_relative * self._typical(found))

    @staticmethod
    def _typical(found: Contours) -> float:
        """Height of the field's typical guest: median of those with a high score, 0 where there is none."""
        sure = found.score >= 0.7
        return float(np.median((found.core - found.background)[sure])) if sure.any() else 0.0

    def _objects(self, found: Contours, fine: Grid, scene: Scene) -> Objects:
        found = found.pick(np.lexsort((found.x, found.y)))
        shape = (scene.image.shape[1], scene.image.shape[2])
        layer = found.z * scene.um_per_z if scene.um_per_z is not None else np.zeros(len(found))
        masks, kept = draw(found, layer, fine, shape)
        z_um, extent = np.full(len(found), np.nan), np.full(len(found), np.nan)
        if scene.um_per_z is not None and scene.image.shape[0] > 1:
            radius = np.sqrt(found.area_px / np.pi)
            cells = RoundCells(found.y, found.x, radius, found.z)
            z_um, extent = measure_heights(fine.volume, cells, fine.um_per_px, scene.um_per_z)
        return Objects(masks, z_um[kept], extent[kept])


@dataclass(frozen=True)
class _Smooth:
    """Image on which outlines are drawn, its noise SD, the level of the empty field, pixel and focus step.

    ``grain`` is the noise SD per pixel before smoothing, ``z_step_px`` is the focus step in pixels, 0 in a plane.
    """

    volume: Float32Array
    noise: float
    grain: float
    dark: float
    um_per_px: float
    z_step_px: float


def _solid(grid: Grid, scene: Scene) -> tuple[Grid, float]:
    """Make cells bright all over that are bright at the rim only or show by their texture; return the noise SD too.

    The noise of a filled or textured image is not white: patches of it look like cells. Its SD is therefore raised
    until it yields no more false seeds than white noise does.
    """
    if scene.stain == "none":
        volume = local_contrast(grid.volume, grid.um_per_px, fine_um=0.5, window_um=0.1 * scene.diameter_um[0])
        middle = float(np.median(volume))
        below = volume[volume < middle]
        noise = 3.0 * float(np.sqrt(np.mean((below - middle) ** 2))) if below.size else 0.0
    else:
        volume, noise = grid.volume, noise_of(grid.volume)
    if scene.stain == "membrane":
        noise *= 3.0
    if scene.stain in ("membrane", "none"):
        volume = without_pits(volume)
    return Grid(volume, grid.factor, grid.um_per_px), noise


def _smooth(fine: Grid, noise: float, scene: Scene, blur_um: float) -> _Smooth:
    volume, z_step_px, grain = fine.volume, 0.0, noise
    if scene.um_per_z is not None and volume.shape[0] > 1:
        z_step_px = scene.um_per_z / fine.um_per_px
        sigma_z = max(0.15 * float(np.mean(scene.diameter_um)) / scene.um_per_z, 0.3)
        smooth_z, _ = axial_kernels(volume.shape[0], sigma_z)
        volume = along_z(smooth_z, volume)
        noise *= float(np.sqrt(np.sum(smooth_z[volume.shape[0] // 2] ** 2)))
    sigma = max(blur_um / fine.um_per_px, 0.5)
    blurred = np.stack([cv2.GaussianBlur(plane, (0, 0), sigma) for plane in volume])
    # White noise of SD 1 per pixel keeps 1 / (2 sqrt(pi) sigma) after the blur.
    noise /= max(2.0 * np.sqrt(np.pi) * sigma, 1.0)
    return _Smooth(blurred, noise, grain, dark_level(blurred, noise), fine.um_per_px, z_step_px)


def _none(image: Float32Array) -> Objects:
    return Objects(Masks([], (image.shape[1], image.shape[2])), np.zeros(0), np.zeros(0))
