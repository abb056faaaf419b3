"""Hosts: large spread cells that touch and overlap, with the dark holes where guests sit."""

from __future__ import annotations

from typing import ClassVar

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from cicimage.masks import FloatArray, Mask, Masks
from cicimage.methods import HostSegmenter, Objects, Scene
from cicimage.segmentation.grid import Grid, finite, shrink
from cicimage.segmentation.host_foreground import clean, fill_guests, foreground, on_grid, project
from cicimage.segmentation.host_split import by_markers, by_thickness
from cicimage.segmentation.nuclei import nucleus_markers

Labels = npt.NDArray[np.int32]


class ThresholdHostSegmenter(HostSegmenter):
    """Foreground over the background's noise, split at nuclei or between hills of thickness."""

    stage_version: ClassVar[int] = 1

    noise_factor: float = Field(default=5.0, ge=1.0, le=50.0)
    """Least height of the foreground over the background, in SD of the smoothed background."""
    local_share: float = Field(default=0.1, ge=0.0, le=0.9)
    """Least height as share of the brightest signal within a quarter of the smallest diameter."""
    blur_um: float = Field(default=1.0, ge=0.0, le=10.0)
    """Smoothing before the threshold, um."""
    grid_um: float = Field(default=1.3, ge=0.2, le=5.0)
    """Coarsest pixel hosts are segmented on, um."""
    min_area_share: float = Field(default=0.15, ge=0.0, le=1.0)
    """Smallest accepted area as share of the disc of the population's smallest diameter."""
    max_hole_um2: float = Field(default=150.0, ge=0.0)
    """Largest enclosed hole that is filled, um2: a guest's ground, not the gap between cells."""
    min_depth: float = Field(default=0.25, ge=0.0, le=1.0)
    """Without nuclei: share of its height by which a hill must stand over its saddle to be a cell of its own."""
    nucleus_um: tuple[float, float] = Field(default=(8.0, 24.0))
    """Smallest and largest diameter of a nucleus, um."""

    def segment(self, scene: Scene) -> Objects:
        """Return the hosts of one frame, labels ascending by row of the centroid."""
        grid = shrink(finite(scene.image), scene.um_per_px, self.grid_um)
        px2 = grid.um_per_px**2
        found, signal = foreground(
            project(grid.volume), grid.um_per_px, noise_factor=self.noise_factor, local_share=self.local_share,
            blur_um=self.blur_um, reach_um=0.25 * scene.diameter_um[0],
        )  # fmt: skip
        least = self.min_area_share * np.pi / 4.0 * scene.diameter_um[0] ** 2
        inside = clean(found, grid.um_per_px, min_area_um2=0.5 * least, max_hole_um2=self.max_hole_um2)
        guests = on_grid(scene.inner, grid) if scene.inner is not None else np.zeros(inside.shape, dtype=np.int32)
        if guests.any():
            inside = fill_guests(inside, guests, grid.um_per_px, least_ring=0.7)
            signal = _bridge(signal, inside, guests > 0, grid.um_per_px)
        if scene.nuclei is not None:
            nuclei = project(shrink(finite(scene.nuclei), scene.um_per_px, self.grid_um).volume)
            markers = nucleus_markers(nuclei, grid.um_per_px, self.nucleus_um, guests)
            labels = by_markers(signal, inside, markers, grid.um_per_px, rim_stained=scene.stain == "membrane")
        else:
            labels = by_thickness(signal, inside, grid.um_per_px, scale_um=5.0, min_depth=self.min_depth)
        return _objects(labels, least / px2, grid, scene)


def _bridge(
    signal: FloatArray, inside: npt.NDArray[np.bool_], hole: npt.NDArray[np.bool_], um_per_px: float
) -> FloatArray:
    """Carry the host's signal over the holes of guests, so that no hole looks like a valley between two hosts."""
    known = (inside & ~hole).astype(np.float32)
    sigma = 3.0 / um_per_px
    weight = cv2.GaussianBlur(known, (0, 0), sigma)
    around = cv2.GaussianBlur(signal * known, (0, 0), sigma) / np.maximum(weight, 1e-3)
    return np.where(hole & inside, np.maximum(signal, around), signal).astype(np.float32)


def _objects(labels: Labels, min_area_px: float, grid: Grid, scene: Scene) -> Objects:
    shape = (scene.image.shape[1], scene.image.shape[2])
    found: list[Mask] = []
    for mask in Masks.from_labels(labels):
        if mask.area_px >= min_area_px:
            whole = _to_frame(mask, grid, shape)
            if whole is not None:
                found.append(whole)
    found.sort(key=lambda m: m.centroid_px())
    masks = Masks([Mask(i, m.y0, m.x0, m.pixels) for i, m in enumerate(found, start=1)], shape)
    z_um, extent = np.full(len(masks), np.nan), np.full(len(masks), np.nan)
    return Objects(masks, z_um, extent)


def _to_frame(mask: Mask, grid: Grid, shape: tuple[int, int]) -> Mask | None:
    """A grid mask on the frame's pixels, its outline smoothed over a grid pixel."""
    f = grid.factor
    if f == 1:
        return mask
    soft = cv2.resize(np.pad(mask.pixels, 1).astype(np.float32), None, fx=f, fy=f, interpolation=cv2.INTER_LINEAR)
    pixels = soft > 0.5
    y0, x0 = (mask.y0 - 1) * f, (mask.x0 - 1) * f
    top, left = max(0, -y0), max(0, -x0)
    pixels = pixels[top : shape[0] - y0, left : shape[1] - x0]
    if not pixels.any():
        return None
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    cut = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].copy()
    return Mask(mask.label, int(y0 + top + rows[0]), int(x0 + left + columns[0]), cut)
