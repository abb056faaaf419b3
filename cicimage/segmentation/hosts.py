"""Segmentation of hosts: large spread cells that touch and overlap, with dark holes at guests."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import cv2
import numpy as np
from pydantic import Field

from cicimage.arrays import BoolArray, Float32Array, Float64Array, Int32Array
from cicimage.masks import Mask, Masks
from cicimage.methods import HostSegmenter, Objects, Scene
from cicimage.segmentation.axial import locate
from cicimage.segmentation.grid import Grid, finite, shrink
from cicimage.segmentation.host_foreground import bridge, clean, fill_guests, foreground, on_grid, project, summed
from cicimage.segmentation.host_split import around_nuclei, by_markers, by_rim, by_thickness
from cicimage.segmentation.nuclei import nucleus_markers
from cicimage.segmentation.overlap import Piece, shared_ground, without_lenses
from cicimage.segmentation.round_cells import find_round_cells, without_round_cells
from cicimage.segmentation.texture import local_contrast, textured


class ThresholdHostSegmenter(HostSegmenter):
    """Thresholds the foreground, splits it at nuclei or between hills of thickness, and gives overlaps to both hosts.

    Stains: *cytosol* by level; *membrane* by level with the dark middle filled, split along bright rims;
    *nucleus* by growing each nucleus over ``nucleus_rim_um``; *none* (brightfield, phase contrast) by texture.

    Cells of a population that is guest as well, stained at their membrane and nuclei and seen in a stack, are found
    in two kinds: round ones by their nucleus and shell, wherever they lie, and spread ones as hosts are.
    """

    stage_version: ClassVar[int] = 1

    noise_factor: float = Field(default=5.0, ge=1.0, le=50.0)
    """Least height of the foreground over the background, in SD of the smoothed background."""
    local_share: float = Field(default=0.1, ge=0.0, le=0.9)
    """Least height as share of the brightest signal within a quarter of the smallest diameter: haze stays out."""
    blur_um: float = Field(default=1.0, ge=0.0, le=10.0)
    """Smoothing before the threshold, um."""
    grid_um: float = Field(default=1.3, ge=0.2, le=5.0)
    """Coarsest pixel hosts are segmented on, um."""
    min_area_share: float = Field(default=0.15, ge=0.0, le=1.0)
    """Smallest accepted area as share of the disc of the population's smallest diameter."""
    max_hole_um2: float = Field(default=150.0, ge=0.0)
    """Largest enclosed hole that is filled, um2: a guest's ground, not the gap between cells."""
    guest_ring: float = Field(default=0.85, ge=0.0, le=1.0)
    """Share of a guest's surroundings that must be host for its ground to be host."""
    hill_share: float = Field(default=0.14, gt=0.0, le=1.0)
    """Without nuclei: width of smoothing as share of the smallest diameter; about the radius of a thick middle."""
    min_depth: float = Field(default=0.05, ge=0.0, le=1.0)
    """Without nuclei: share of its height by which a hill must stand over its saddle to be a cell of its own."""
    min_rim_depth: float = Field(default=0.3, ge=0.0, le=1.0)
    """The same for a stain of the membrane, where hills are distances to the nearest rim."""
    nucleus_um: tuple[float, float] = Field(default=(8.0, 24.0))
    """Smallest and largest diameter of a nucleus, um."""
    nucleus_rim_um: float = Field(default=5.0, ge=0.0, le=50.0)
    """Stain of the nucleus alone: width of cell body taken around it, um."""
    overlap_um: float = Field(default=20.0, ge=0.0, le=100.0)
    """Farthest that the ground shared by two hosts reaches from the border between them, um; 0 shares none."""
    overlap_added: float = Field(default=0.3, ge=0.1, le=2.0)
    """What shared ground has over the brighter host's lamella, as share of the dimmer one's."""
    overlap_sharpness: float = Field(default=0.2, ge=0.0, le=2.0)
    """How steeply it falls at its rim: share of the dimmer lamella within 2.6 um."""

    def segment(self, scene: Scene) -> Objects:
        """Return the hosts of one frame, labels ascending by row of the centroid."""
        nested = scene.both_roles and scene.stain == "membrane" and scene.nuclei is not None and len(scene.image) > 2
        if nested and scene.um_per_z is not None:
            return self._both_roles(scene)
        return self._hosts(scene)

    def _both_roles(self, scene: Scene) -> Objects:
        """Round cells and spread ones; round ones come last, to be drawn over the cells that hold them."""
        found = find_round_cells(scene)
        spread = self._hosts(without_round_cells(scene, found.cells), found.spread_px)
        masks = [*spread.masks, *found.cells.masks]
        return Objects(
            Masks([replace(m, label=i) for i, m in enumerate(masks, start=1)], spread.masks.shape),
            np.concatenate([spread.z_um, found.cells.z_um]),
            np.concatenate([spread.z_extent_um, found.cells.z_extent_um]),
        )

    def _hosts(self, scene: Scene, nuclei_px: Float64Array | None = None) -> Objects:
        """Hosts; with ``nuclei_px`` those around these nuclei and what the frame's border cuts from its own."""
        grid = shrink(finite(scene.image), scene.um_per_px, self.grid_um)
        guests = on_grid(scene.inner, grid) if scene.inner is not None else np.zeros(grid.volume.shape[1:], np.int32)
        inside, signal = self._ground(scene, grid, guests)
        if nuclei_px is None:
            labels = self._split(scene, grid, guests, inside, signal)
        else:
            labels = around_nuclei(
                signal, inside, nuclei_px, grid, radius_um=0.25 * self.nucleus_um[0],
                least_um2=np.pi / 4.0 * scene.diameter_um[0] ** 2,
            )  # fmt: skip
        least_px = self.min_area_share * np.pi / 4.0 * scene.diameter_um[0] ** 2 / grid.um_per_px**2
        sharing = self.overlap_um > 0 and scene.stain == "cytosol"
        if sharing and scene.nuclei is None:
            labels = without_lenses(labels, signal, grid.um_per_px, reach_um=self.overlap_um)
        labels = _only_large(labels, least_px)
        extra: dict[int, list[Piece]] = {}
        if sharing:
            extra = shared_ground(
                labels, signal, grid.um_per_px, reach_um=self.overlap_um, added=self.overlap_added,
                sharpness=self.overlap_sharpness,
            )  # fmt: skip
        return _objects(labels, extra, grid, scene)

    def _ground(self, scene: Scene, grid: Grid, guests: Int32Array) -> tuple[BoolArray, Float32Array]:
        """Foreground with holes filled, and the signal summed over z with the holes bridged."""
        um = grid.um_per_px
        if scene.stain == "none":
            signal = local_contrast(grid.volume, um, fine_um=0.5, window_um=1.0).max(axis=0)
            found = textured(signal, um, window_um=1.0, local_share=0.2, max_hole_um2=self.max_hole_um2)
        else:
            signal = summed(grid.volume)
            # A bright rim's own edge lies where it has fallen to about half; a lamella's far below its cell's middle.
            share = max(self.local_share, 0.4) if scene.stain == "membrane" else self.local_share
            found = foreground(
                project(grid.volume), um, noise_factor=self.noise_factor, local_share=share,
                blur_um=self.blur_um, reach_um=0.25 * scene.diameter_um[0],
            )  # fmt: skip
        least = 0.5 * self.min_area_share * np.pi / 4.0 * scene.diameter_um[0] ** 2
        hole = self.max_hole_um2
        if scene.stain == "membrane":  # the middle of a cell whose rim alone is stained is no gap
            hole = max(hole, np.pi / 4.0 * scene.diameter_um[0] ** 2)
        inside = clean(found, um, min_area_um2=least, max_hole_um2=hole)
        inside = fill_guests(inside, guests, um, least_ring=self.guest_ring)
        return inside, bridge(signal, inside, guests, um)

    def _split(
        self, scene: Scene, grid: Grid, guests: Int32Array, inside: BoolArray, signal: Float32Array
    ) -> Int32Array:
        um = grid.um_per_px
        if scene.stain == "nucleus" or scene.nuclei is not None:
            image = project(grid.volume)
            if scene.nuclei is not None:
                image = project(shrink(finite(scene.nuclei), scene.um_per_px, self.grid_um).volume)
            markers = nucleus_markers(image, um, self.nucleus_um, guests)
            if scene.stain == "nucleus":
                inside = _grown(inside, self.nucleus_rim_um / um)
                return by_markers(np.ones_like(signal), inside, markers, um)
            return by_markers(signal, inside, markers, um, rim_stained=scene.stain == "membrane")
        if scene.stain == "membrane":
            return by_rim(signal, inside, um, min_depth=self.min_rim_depth)
        flat = scene.stain == "none"  # texture is no thickness: shape alone splits
        relief = np.ones_like(signal) if flat else signal
        return by_thickness(
            relief, inside, um, scale_um=self.hill_share * scene.diameter_um[0], min_depth=self.min_depth
        )


def _grown(pixels: BoolArray, radius_px: float) -> BoolArray:
    if not pixels.any():
        return pixels
    away = cv2.distanceTransform((~pixels).astype(np.uint8), cv2.DIST_L2, 5)
    return np.asarray(away <= radius_px)


def _only_large(labels: Int32Array, least_px: float) -> Int32Array:
    """Drop small labels and number the others 1..n."""
    area = np.bincount(labels.ravel())
    keep = area >= least_px
    keep[0] = False
    names = np.where(keep, np.cumsum(keep), 0).astype(np.int32)
    return np.asarray(names[labels])


def _objects(labels: Int32Array, extra: dict[int, list[Piece]], grid: Grid, scene: Scene) -> Objects:
    """Grid labels, and the ground shared with neighbours, as masks on the frame."""
    shape = (scene.image.shape[1], scene.image.shape[2])
    found: list[tuple[Mask, float, float]] = []
    profiles = _profiles(labels, grid.volume) if scene.um_per_z is not None and grid.volume.shape[0] > 1 else None
    for mask in Masks.from_labels(labels):
        z, extent = np.nan, np.nan
        if profiles is not None and scene.um_per_z is not None:
            profile = profiles[mask.label]
            hump = locate(profile, float(np.argmax(profile)), 1.0)
            low = 0.0 if np.isnan(hump.low) else hump.low
            high = profile.size - 1.0 if np.isnan(hump.high) else hump.high
            z, extent = scene.um_per_z * hump.centre, scene.um_per_z * (high - low)
        whole = _to_frame(_with_extra(mask, extra.get(mask.label, [])), grid, shape)
        if whole is not None:
            found.append((whole, z, extent))
    found.sort(key=lambda f: f[0].centroid_px())
    masks = Masks([Mask(i, m.y0, m.x0, m.pixels) for i, (m, _, _) in enumerate(found, start=1)], shape)
    return Objects(masks, np.array([f[1] for f in found], float), np.array([f[2] for f in found], float))


def _profiles(labels: Int32Array, volume: Float32Array) -> Float64Array:
    """Mean of every slice over each label less that over the background, (n + 1, Z)."""
    count = np.maximum(np.bincount(labels.ravel()), 1)
    means = np.stack([np.bincount(labels.ravel(), weights=plane.ravel()) / count for plane in volume], axis=1)
    return np.asarray(np.maximum(means - means[0], 0.0))


def _with_extra(mask: Mask, pieces: list[Piece]) -> Mask:
    """Add pieces to a mask."""
    if not pieces:
        return mask
    boxes = [(*mask.window, mask.pixels), *pieces]
    y0, x0 = min(b[0].start for b in boxes), min(b[1].start for b in boxes)
    y1 = max(b[0].start + b[2].shape[0] for b in boxes)
    x1 = max(b[1].start + b[2].shape[1] for b in boxes)
    pixels = np.zeros((y1 - y0, x1 - x0), dtype=np.bool_)
    for rows, columns, piece in boxes:
        top, left = rows.start - y0, columns.start - x0
        pixels[top : top + piece.shape[0], left : left + piece.shape[1]] |= piece
    return Mask(mask.label, y0, x0, pixels)


def _to_frame(mask: Mask, grid: Grid, shape: tuple[int, int]) -> Mask | None:
    """A grid mask on the frame's pixels, its outline smoothed over a grid pixel."""
    f = grid.factor
    if f == 1:
        return mask
    soft = cv2.resize(np.pad(mask.pixels, 1).astype(np.float32), None, fx=f, fy=f, interpolation=cv2.INTER_LINEAR)
    return Mask.cut(mask.label, (mask.y0 - 1) * f, (mask.x0 - 1) * f, soft > 0.5, shape)
