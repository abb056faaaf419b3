"""A death signal goes to the cell whose body it fills, not to whoever lies in front of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import cv2
import numpy as np

from cicimage.arrays import BoolArray, Float32Array, Float64Array, Int32Array
from cicimage.masks import Masks
from cicimage.methods import Objects
from cicimage.methods import noise_sd as estimate_noise

THRESHOLD_SD: Final = 5.0
BELONGS: Final = 0.6
"""Share of a stained patch that must lie within a cell (or within cells like it) to be that cell's own."""


class _Stain(NamedTuple):
    """Stained patches of one frame: their labels (Y, X), area per label, and the channel they were found in."""

    image: Float32Array
    level: float
    noise: float
    patches: Int32Array
    area: Float64Array


def measure_markers(
    death_image: Float32Array,
    populations: Mapping[str, Objects],
    *,
    noise_sd: float | None = None,
    background: float | None = None,
    um_per_z: float | None = None,
    spread_from_px: Mapping[str, float] | None = None,
) -> dict[str, tuple[Float64Array, Float64Array]]:
    """Death signal of each cell of several populations; a patch goes to the smallest cells that hold it.

    A host's stained nucleus under or over a guest reaches beyond the guest, so it is the host's; a dead guest's
    stain lies within the guest although the host's mask holds it too, so it is the guest's.

    Parameters
    ----------
    death_image : (Z, Y, X) float32
        The marker's channel, background left in.
    populations : mapping of str to Objects
        Cells by population.
    noise_sd, background : float, optional
        Noise SD per pixel and background level of the channel, counts; estimated where not given.
    um_per_z : float, optional
        Focus step, um: where given, only slices near the cell's height count.
    spread_from_px : mapping of str to float, optional
        Populations that are host and guest at once, and the area, pixels, from which on their cells are hosts here.

    Returns
    -------
    dict of str to (signal, fill)
        By population, (n,) float64 each: mean above background over the stain that is the cell's own, averaged over
        the body core, in noise SD; share of the body core that own stain covers, 0-1.
    """
    stain = _stained(death_image, noise_sd, background)
    if stain is None:
        return {name: (np.zeros(len(o.masks)), np.zeros(len(o.masks))) for name, o in populations.items()}
    groups = [
        (name, which, part)
        for name, objects in populations.items()
        for which, part in _by_size(objects, (spread_from_px or {}).get(name))
    ]
    out = {name: (np.zeros(len(o.masks)), np.zeros(len(o.masks))) for name, o in populations.items()}
    taken = np.zeros(len(stain.area), bool)
    taken[0] = True
    # Ties of the typical area go to populations with one role.
    groups.sort(key=lambda group: (_typical_area(group[2]), group[0] in (spread_from_px or {})))
    for name, which, part in groups:
        union = cv2.dilate(part.masks.coverage().clip(0, 1), np.ones((3, 3), np.uint8))
        held = np.bincount(stain.patches[union > 0], minlength=len(stain.area))
        # In the union of its population: a cluster of dead guests is one patch and belongs to all of them.
        own = (held >= BELONGS * np.maximum(stain.area, 1.0)) & ~taken
        out[name][0][which], out[name][1][which] = _fill(stain, part, own, um_per_z)
        taken |= own
    return out


def _stained(image: Float32Array, noise_sd: float | None, background: float | None) -> _Stain | None:
    """Find stained patches; None where no pixel is stained."""
    flat = image[0] if image.shape[0] == 1 else image.max(axis=0)
    level = float(np.percentile(flat[::4, ::4], 20)) if background is None else background
    noise = max(estimate_noise(image) if noise_sd is None else noise_sd, 1e-6)
    smooth = cv2.GaussianBlur(np.ascontiguousarray(flat, np.float32), (0, 0), 1.0)
    stained = (smooth > level + THRESHOLD_SD * noise).astype(np.uint8)
    if not stained.any():
        return None
    _, patches, stats, _ = cv2.connectedComponentsWithStats(stained, connectivity=4)
    return _Stain(image, level, noise, patches, stats[:, cv2.CC_STAT_AREA].astype(np.float64))


def _by_size(objects: Objects, least_px: float | None) -> list[tuple[BoolArray, Objects]]:
    """Cells in one group, or, with a least area of spread cells, smaller and spread ones apart."""
    areas = np.array([m.area_px for m in objects.masks], dtype=np.float64)
    small = np.ones(areas.size, dtype=np.bool_) if least_px is None else areas < least_px
    if least_px is None:
        return [(small, objects)]
    return [
        (which, Objects(
            Masks([m for m, w in zip(objects.masks, which, strict=True) if w], objects.masks.shape),
            objects.z_um[which], objects.z_extent_um[which],
        ))
        for which in (small, ~small)
    ]  # fmt: skip


def _typical_area(objects: Objects) -> float:
    return float(np.median([m.area_px for m in objects.masks])) if len(objects.masks) else 0.0


def _fill(stain: _Stain, objects: Objects, own: BoolArray, um_per_z: float | None) -> tuple[Float64Array, Float64Array]:
    """Signal and fill of every cell from the patches that are its population's own."""
    n = len(objects.masks)
    signal, fill = np.zeros(n), np.zeros(n)
    if not own.any():
        return signal, fill
    for i, mask in enumerate(objects.masks):
        patch = stain.patches[mask.window]
        if not patch.any():
            continue
        core = _core(mask.pixels)
        hit = own[patch] & core
        share = int(np.count_nonzero(hit)) / max(1, int(np.count_nonzero(core)))
        fill[i] = share
        if share > 0:
            view = stain.image[_slices(objects, i, stain.image.shape[0], um_per_z), *mask.window].max(axis=0)
            signal[i] = float((view[hit].mean() - stain.level) / stain.noise * share)
    return signal, fill


def _core(pixels: BoolArray) -> BoolArray:
    """The body without its rim; the whole where that leaves nothing."""
    padded = np.pad(pixels.astype(np.uint8), 1)
    core = cv2.erode(padded, np.ones((3, 3), np.uint8))[1:-1, 1:-1].astype(bool)
    return core if core.any() else pixels


def _slices(objects: Objects, i: int, n_z: int, um_per_z: float | None) -> slice:
    z, extent = objects.z_um[i], objects.z_extent_um[i]
    if n_z == 1 or um_per_z is None or not (np.isfinite(z) and np.isfinite(extent)):
        return slice(0, n_z)
    low = int(np.floor((z - 0.5 * extent) / um_per_z))
    high = int(np.ceil((z + 0.5 * extent) / um_per_z))
    return slice(min(max(0, low), n_z - 1), max(1, min(n_z, high + 1)))
