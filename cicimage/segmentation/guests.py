"""Guests: small round cells, crowded, bright and dim in one field, in a plane or in a stack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from cicimage.masks import FloatArray, Mask, Masks
from cicimage.methods import GuestSegmenter, Objects, Scene
from cicimage.segmentation.axial import axial_profiles, locate, slabs
from cicimage.segmentation.contours import Contours, trace
from cicimage.segmentation.grid import Grid, dark_level, finite, noise_of, shrink
from cicimage.segmentation.outlines import draw
from cicimage.segmentation.seeds import Seeds, find_seeds
from cicimage.segmentation.selection import choose

Float = npt.NDArray[np.float64]


class LogGuestSegmenter(GuestSegmenter):
    """Seeds by Laplacian of Gaussian over scales, outlines by rays to half of each cell's own height.

    Several seeds may answer to one cell and one seed to several cells. Each gets its outline; of outlines that
    claim the same place the one with the better edge and the rounder shape stays.
    """

    stage_version: ClassVar[int] = 1

    min_snr: float = Field(default=6.0, ge=2.0, le=50.0)
    """Least response of a seed, in SD of the response to noise."""
    edge_fraction: float = Field(default=0.5, ge=0.2, le=0.8)
    """Level of the outline between background (0) and the cell's core (1)."""
    smallest: float = Field(default=0.6, ge=0.2, le=1.0)
    """Smallest accepted diameter as share of the population's lower bound; dying cells shrink, debris is smaller."""
    largest: float = Field(default=1.35, ge=1.0, le=3.0)
    """Largest accepted diameter as multiple of the population's upper bound."""
    min_axis_ratio: float = Field(default=0.4, ge=0.0, le=1.0)
    """Least short over long axis."""
    max_roughness: float = Field(default=0.2, ge=0.02, le=1.0)
    """Largest deviation of an outline from an ellipse, SD over mean radius."""
    min_contrast: float = Field(default=0.3, ge=0.0, le=5.0)
    """Least height over the surroundings, as share of the surroundings' own height over the dark background."""
    min_relative: float = Field(default=0.05, ge=0.0, le=0.9)
    """Least height as share of the field's typical guest: what is dimmer is debris or another population's remains."""
    min_closed: float = Field(default=0.6, ge=0.0, le=1.0)
    """Least share of the outline along which the signal falls."""

    def segment(self, scene: Scene) -> Objects:
        """Return the guests of one frame, labels ascending by row of the centroid."""
        image = finite(scene.image)
        smallest, largest = scene.diameter_um
        seeds = self._seeds(image, scene)
        if not len(seeds):
            return _none(image)
        fine = shrink(image, scene.um_per_px, smallest / 8.0)
        smooth = _smooth(fine, scene, blur_um=0.1 * smallest)
        z = np.clip(np.rint(seeds.z), 0, image.shape[0] - 1).astype(np.int64)
        found = trace(
            smooth.volume, z,
            (seeds.y - fine.offset_px) / fine.factor, (seeds.x - fine.offset_px) / fine.factor,
            0.5 * seeds.diameter_um / fine.um_per_px,
            reach_px=self.largest * largest * 0.6 / fine.um_per_px, noise=smooth.noise,
            edge_fraction=self.edge_fraction, hollow=scene.stain == "membrane",
        )  # fmt: skip
        fit = self._fit(found, fine.um_per_px, scene, smooth)
        found, z_slice = found.pick(fit), seeds.z[fit]
        chosen = choose(found, z_slice, smooth.volume, fine.um_per_px, scene.um_per_z)
        found, z_slice = found.pick(chosen), z_slice[chosen]
        bright = self._bright_enough(found)
        found, z_slice = found.pick(bright), z_slice[bright]
        return self._objects(found, z_slice, fine, scene)

    def _seeds(self, image: FloatArray, scene: Scene) -> Seeds:
        smallest, largest = scene.diameter_um
        scales = np.geomspace(0.8 * smallest, 0.95 * largest, 4)
        coarse = shrink(image, scene.um_per_px, smallest / 6.0)
        return find_seeds(coarse, scene.um_per_z if image.shape[0] > 1 else None, scales, self.min_snr)

    def _fit(self, found: Contours, um_per_px: float, scene: Scene, smooth: _Smooth) -> npt.NDArray[np.bool_]:
        """Which outlines are round, of a guest's size, and have an edge."""
        diameter = 2.0 * np.sqrt(np.maximum(found.area_px, 0.0) / np.pi) * um_per_px
        height = found.core - found.background
        floor = np.maximum(found.background - smooth.dark, 0.0)
        return (
            (diameter >= self.smallest * scene.diameter_um[0])
            & (diameter <= self.largest * scene.diameter_um[1])
            & (found.axis_ratio >= self.min_axis_ratio)
            & (found.roughness <= self.max_roughness)
            & (found.closed >= self.min_closed)
            & (height > np.maximum(4.0 * smooth.noise, self.min_contrast * floor))
        )

    def _bright_enough(self, found: Contours) -> npt.NDArray[np.bool_]:
        height = found.core - found.background
        if height.size == 0:
            return np.zeros(0, dtype=np.bool_)
        typical = float(np.median(height[height >= np.median(height)]))
        return np.asarray(height >= self.min_relative * typical)

    def _objects(self, found: Contours, z_slice: Float, fine: Grid, scene: Scene) -> Objects:
        order = np.lexsort((found.x, found.y))
        found, z_slice = found.pick(order), z_slice[order]
        shape = (scene.image.shape[1], scene.image.shape[2])
        layer = z_slice * scene.um_per_z if scene.um_per_z is not None else np.zeros(len(found))
        masks, kept = draw(found, layer, fine, shape)
        z_um, extent = np.full(len(found), np.nan), np.full(len(found), np.nan)
        if scene.um_per_z is not None and scene.image.shape[0] > 1:
            z_um, extent = _heights(found, z_slice, fine, scene.um_per_z)
        return Objects(masks, z_um[kept], extent[kept])


@dataclass(frozen=True)
class _Smooth:
    """Image on which outlines are drawn, its noise SD and the level of the empty field."""

    volume: FloatArray
    noise: float
    dark: float


def _smooth(fine: Grid, scene: Scene, blur_um: float) -> _Smooth:
    volume = fine.volume
    if scene.um_per_z is not None and volume.shape[0] > 1:
        volume = slabs(volume, 0.15 * float(np.mean(scene.diameter_um)) / scene.um_per_z)
    sigma = max(blur_um / fine.um_per_px, 0.5)
    if scene.stain == "membrane":
        sigma *= 1.5
    blurred = np.stack([cv2.GaussianBlur(plane, (0, 0), sigma) for plane in volume])
    # White noise of SD 1 per pixel keeps 1 / (2 sqrt(pi) sigma) after the blur.
    noise = noise_of(volume) / (2.0 * np.sqrt(np.pi) * sigma)
    return _Smooth(blurred, noise, dark_level(blurred, noise))


def _heights(found: Contours, z_slice: Float, fine: Grid, um_per_z: float) -> tuple[Float, Float]:
    """Centroid and thickness along z of every guest, um."""
    radius = np.sqrt(found.area_px / np.pi)
    taken = np.zeros(fine.volume.shape[1:], dtype=np.uint8)
    for y, x, r in zip(found.y, found.x, radius, strict=True):
        cv2.circle(taken, (round(x), round(y)), round(r), 1, -1)
    profiles = axial_profiles(fine.volume, found.y, found.x, radius, taken.astype(np.bool_))
    where = np.array([locate(p, k) for p, k in zip(profiles, z_slice, strict=True)]).reshape(-1, 2)
    return where[:, 0] * um_per_z, where[:, 1] * um_per_z


def _none(image: FloatArray) -> Objects:
    empty: list[Mask] = []
    return Objects(Masks(empty, (image.shape[1], image.shape[2])), np.zeros(0), np.zeros(0))
