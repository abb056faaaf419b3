"""A death signal goes to the cell whose body it fills, not to whoever lies in front of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from cicimage.arrays import Float32Array, Float64Array
from cicimage.masks import Masks
from cicimage.methods import Objects
from cicimage.methods import noise_sd as estimate_noise

THRESHOLD_SD: Final = 5.0
BELONGS: Final = 0.6
"""Share of a stained patch that must lie within a cell (or within cells like it) to be that cell's own."""


def measure_marker(
    death_image: Float32Array,
    objects: Objects,
    *,
    noise_sd: float | None = None,
    background: float | None = None,
    um_per_z: float | None = None,
    threshold_sd: float = THRESHOLD_SD,
) -> tuple[Float64Array, Float64Array]:
    """Death signal of each cell of one population.

    Parameters
    ----------
    death_image : (Z, Y, X) float32
        The marker's channel, background left in.
    objects : Objects
        Cells.
    noise_sd, background : float, optional
        Noise SD per pixel and background level of the channel, counts; estimated where not given.
    um_per_z : float, optional
        Focus step, um: where given, only slices near the cell's height count.
    threshold_sd : float
        A pixel is stained from this many noise SD above background.

    Returns
    -------
    signal : (n,) float64
        Mean above background over the stain that is the cell's own, averaged over the body core, in noise SD.
    fill : (n,) float64
        Share of the body core that own stain covers, 0-1.
    """
    return measure_markers(
        death_image, {"cells": objects}, noise_sd=noise_sd, background=background, um_per_z=um_per_z,
        threshold_sd=threshold_sd,
    )["cells"]  # fmt: skip


def measure_markers(
    death_image: Float32Array,
    populations: Mapping[str, Objects],
    *,
    noise_sd: float | None = None,
    background: float | None = None,
    um_per_z: float | None = None,
    threshold_sd: float = THRESHOLD_SD,
    spread_from_px: Mapping[str, float] | None = None,
) -> dict[str, tuple[Float64Array, Float64Array]]:
    """Death signal of each cell of several populations; a patch goes to the smallest cells that hold it.

    A host's stained nucleus under or over a guest reaches beyond the guest, so it is the host's; a dead guest's
    stain lies within the guest although the host's mask holds it too, so it is the guest's. ``spread_from_px`` names
    populations that are host and guest at once, and the area from which on their cells are hosts in this.

    Returns
    -------
    dict of str to (signal, fill)
        As :func:`measure_marker`, by population.
    """
    if spread_from_px:
        parts = {name: _by_size(populations[name], least) for name, least in spread_from_px.items()}
        apart = {n: o for n, o in populations.items() if n not in parts}
        for name, (_, small, large) in parts.items():
            apart |= {f"{name}/small": small, f"{name}/large": large}
        found = measure_markers(
            death_image, apart, noise_sd=noise_sd, background=background, um_per_z=um_per_z, threshold_sd=threshold_sd
        )
        together = {n: found[n] for n in populations if n not in parts}
        for name, (is_large, _, _) in parts.items():
            together[name] = _merged(is_large, found[f"{name}/small"], found[f"{name}/large"])
        return {name: together[name] for name in populations}
    flat = death_image[0] if death_image.shape[0] == 1 else death_image.max(axis=0)
    level = float(np.percentile(flat[::4, ::4], 20)) if background is None else background
    noise = max(estimate_noise(death_image) if noise_sd is None else noise_sd, 1e-6)
    smooth = cv2.GaussianBlur(np.ascontiguousarray(flat, np.float32), (0, 0), 1.0)
    stained = (smooth > level + threshold_sd * noise).astype(np.uint8)
    if not stained.any():
        return {name: (np.zeros(len(o.masks)), np.zeros(len(o.masks))) for name, o in populations.items()}
    n_patches, patches, stats, _ = cv2.connectedComponentsWithStats(stained, connectivity=4)
    area = stats[:, cv2.CC_STAT_AREA].astype(np.float64)
    out = {}
    taken = np.zeros(n_patches, bool)
    taken[0] = True
    ordered = sorted(populations, key=lambda name: _typical_area(populations[name]))
    for name in ordered:
        objects = populations[name]
        held = np.zeros(n_patches)
        union = cv2.dilate(objects.masks.coverage().clip(0, 1), np.ones((3, 3), np.uint8))
        held += np.bincount(patches[union > 0], minlength=n_patches)
        # Alone in its population's union: a cluster of dead guests is one patch and belongs to all of them.
        own = (held >= BELONGS * np.maximum(area, 1.0)) & ~taken
        out[name] = _fill(death_image, objects, patches, own, level, noise, um_per_z)
        taken |= own
    return {name: out[name] for name in populations}


def _by_size(objects: Objects, least_px: float) -> tuple[npt.NDArray[np.bool_], Objects, Objects]:
    """Whether each cell is a large one; the small ones; the large ones."""
    large = np.array([m.area_px >= least_px for m in objects.masks], dtype=np.bool_)
    parts = [
        Objects(
            Masks([m for m, w in zip(objects.masks, which, strict=True) if w], objects.masks.shape),
            objects.z_um[which], objects.z_extent_um[which],
        )
        for which in (~large, large)
    ]  # fmt: skip
    return large, parts[0], parts[1]


def _merged(
    is_large: npt.NDArray[np.bool_], small: tuple[Float64Array, Float64Array], large: tuple[Float64Array, Float64Array]
) -> tuple[Float64Array, Float64Array]:
    signal, fill = np.zeros(is_large.size), np.zeros(is_large.size)
    for out, few, many in ((signal, small[0], large[0]), (fill, small[1], large[1])):
        out[~is_large], out[is_large] = few, many
    return signal, fill


def _typical_area(objects: Objects) -> float:
    return float(np.median([m.area_px for m in objects.masks])) if len(objects.masks) else 0.0


def _fill(
    image: Float32Array, objects: Objects, patches: npt.NDArray[np.int32], own: npt.NDArray[np.bool_], level: float,
    noise: float, um_per_z: float | None,
) -> tuple[Float64Array, Float64Array]:  # fmt: skip
    n = len(objects.masks)
    signal, fill = np.zeros(n), np.zeros(n)
    if not own.any():
        return signal, fill
    for i, mask in enumerate(objects.masks):
        patch = patches[mask.window]
        if not patch.any():
            continue
        core = _core(mask.pixels)
        hit = own[patch] & core
        share = int(np.count_nonzero(hit)) / max(1, int(np.count_nonzero(core)))
        fill[i] = share
        if share > 0:
            view = image[_slices(objects, i, mask.area_px, image.shape[0], um_per_z), *mask.window].max(axis=0)
            signal[i] = float((view[hit].mean() - level) / noise * share)
    return signal, fill


def _core(pixels: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The body without its rim; the whole where that leaves nothing."""
    padded = np.pad(pixels.astype(np.uint8), 1)
    core = cv2.erode(padded, np.ones((3, 3), np.uint8))[1:-1, 1:-1].astype(bool)
    return core if core.any() else pixels


def _slices(objects: Objects, i: int, area_px: int, n_z: int, um_per_z: float | None) -> slice:
    z, extent = objects.z_um[i], objects.z_extent_um[i]
    if n_z == 1 or um_per_z is None or not (np.isfinite(z) and np.isfinite(extent)):
        return slice(0, n_z)
    low = int(np.floor((z - 0.5 * extent) / um_per_z))
    high = int(np.ceil((z + 0.5 * extent) / um_per_z))
    return slice(min(max(0, low), n_z - 1), max(1, min(n_z, high + 1)))
