"""Evidence of every guest against every host near it, for one frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from cicimage.arrays import Float32Array, Float64Array, Int64Array
from cicimage.containment import windows as win
from cicimage.containment.blur import measure_axial_blur
from cicimage.containment.noise import Noise, estimate_gain, variance_of_mean
from cicimage.containment.optics import ASSUMED_AXIAL_FWHM_UM, axial_fwhm_of
from cicimage.containment.own_shell import layers_of_pairs, measure_faces
from cicimage.containment.profiles import measure_layers, measure_side, soft_window
from cicimage.masks import Masks
from cicimage.methods import Objects, Optics

NEAR_UM: Final = 4.0
AGREES: Final = 1.2
"""Up to this ratio, blur measured from guests is taken to agree with what NA says."""
AXIAL_SHARE: Final = 0.88
"""A guest beneath or within a host is pressed flat: axial over lateral radius."""
COLUMNS: Final = (
    "guest_label", "host_label", "footprint_share", "gap_um", "ring_coverage", "cap", "cap_se", "floor", "floor_se",
    "void", "void_se", "z_in_host", "host_signal", "wall", "wall_se", "body", "sharpness", "shared_share",
    "host_bottom_um", "host_top_um", "guest_bottom_um", "guest_top_um", "guest_radius_um",
    "cap_um", "cap_um_se", "floor_um", "floor_um_se", "beside_um", "ring_lower", "ring_upper",
    "wall_lower", "wall_upper", "edge_lower", "edge_upper", "others_um", "axial_fwhm_um", "axial_measured",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Means:
    """Mean signal above background per pair: core, rim, edge, near ring, reference; (P, Z) with variances."""

    core: Float64Array
    core_var: Float64Array
    rim: Float64Array
    edge: Float64Array
    near: Float64Array
    near_var: Float64Array
    reference: Float64Array
    reference_var: Float64Array
    shared: Float64Array


class _Axis(NamedTuple):
    """Heights of a stack and of its pairs' guests.

    ``z_um`` (Z,) of the slices; ``guest_z_um`` and ``half_um`` (P,), centre and half the height of each pair's guest;
    ``fwhm_um``, the axial resolution.
    """

    z_um: Float64Array
    guest_z_um: Float64Array
    half_um: Float64Array
    fwhm_um: float


def measure_frame(
    host_image: Float32Array,
    guests: Objects,
    hosts: Objects,
    *,
    optics: Optics,
    noise: Noise,
    axial_fwhm_um: float | None = None,
    guest_image: Float32Array | None = None,
    shared_stain: str | None = None,
) -> pd.DataFrame:
    """Measure one frame.

    Parameters
    ----------
    host_image : (Z, Y, X) float32
        The hosts' channel, corrected, background left in; Z = 1 in 2D.
    guests, hosts : Objects
        Masks and heights of both populations.
    optics : Optics
        Scale and, where known, NA, immersion and modality: they give the axial resolution.
    noise : Noise
        Noise and background of the hosts' channel.
    axial_fwhm_um : float, optional
        Axial resolution, um, where it is known better than from NA and modality.
    guest_image : (Z, Y, X) float32, optional
        The guests' channel: the axial resolution is measured from the guests in it, and used where NA is not known
        or the guests are clearly more blurred than NA allows (aberration). Without both, 2 um is assumed.
    shared_stain : str, optional
        Stain of the population where guests and hosts are the same objects (one population with both roles): a cell
        is then not its own host. Where it is "membrane", a guest's own shell is subtracted from cap and floor, which
        are then in faces of that shell (one face as one um), see :mod:`cicimage.containment.own_shell`; in stacks.

    Returns
    -------
    pandas.DataFrame
        One row per guest and near host with the columns of table ``pairs`` that need no ids, and: ``wall`` (host
        signal in the near ring at the guest's heights over the side reference), ``body`` (host signal at the
        guest's own place, relative), ``sharpness`` (how steeply the host's signal drops at the guest's rim),
        ``shared_share`` (share of the guest's core where further hosts lie too), local surfaces of host and guest
        in um. Heights, cap, floor are NaN in 2D.

    Notes
    -----
    Cap and floor are those of this host: where further hosts cover part of the guest, only the part under this
    host alone is used. Where they cover all of it, ``shared_share`` is over 0 and cap and floor are those of all of
    them together, ``others_um`` of which may be another's. Whether one host holds the guest then shows beside it:
    ``wall_lower`` is high where one host fills the pocket beside the guest, low where a host merely hangs over it.
    """
    n_z, um_per_px, um_per_z = host_image.shape[0], optics.um_per_px, optics.um_per_z
    same_population = shared_stain is not None
    flat = win.FlatMasks.of(guests.masks)
    yxr = win.centres(flat)
    pairs = _near_pairs(yxr, hosts.masks, NEAR_UM / um_per_px, same_population=same_population)
    if len(pairs) == 0:
        return pd.DataFrame({c: pd.Series([], dtype="int64" if c.endswith("label") else "float64") for c in COLUMNS})
    level = np.broadcast_to(np.asarray(noise.background, dtype=np.float64), (n_z,))
    gain = estimate_gain(host_image, float(level.mean()), noise.sd) if noise.gain is None else noise.gain
    noise = Noise(noise.sd, level, gain)
    # A cell that is guest and host at once would leave its own host's pixels out as another guest's.
    guest_count = np.zeros(hosts.masks.shape, np.uint8) if same_population else guests.masks.coverage()
    image = np.ascontiguousarray(host_image, dtype=np.float32)
    frame = win.FrameData(image, flat, win.FlatMasks.of(hosts.masks), yxr, guest_count, hosts.masks.coverage())
    sums = win.sum_windows(frame, pairs, um_per_px)
    keep = sums.gap_px <= NEAR_UM / um_per_px
    means = _means(sums, level, noise.sd, gain)
    radius_um = yxr[pairs[:, 0], 2] * um_per_px
    table = {
        "guest_label": guests.masks.labels[pairs[:, 0]],
        "host_label": hosts.masks.labels[pairs[:, 1]],
        "footprint_share": sums.overlap_px / np.rint(np.pi * yxr[pairs[:, 0], 2] ** 2),
        "gap_um": sums.gap_px * um_per_px,
        "shared_share": means.shared,
        "guest_radius_um": radius_um,
    }
    if n_z == 1 or um_per_z is None:
        table = _flat_evidence(sums, means, noise) | table
    else:
        fwhm, measured = _resolution(optics, axial_fwhm_um, guest_image, guests)
        z_um: Float64Array = np.arange(n_z, dtype=np.float64) * um_per_z
        axis = _Axis(z_um, guests.z_um[pairs[:, 0]], AXIAL_SHARE * radius_um, fwhm)
        table |= _deep_evidence(sums, means, noise, axis)
        table["others_um"] = _others(table["beside_um"], pairs, means.shared)
        table["axial_measured"] = np.full(len(pairs), float(measured))
        if shared_stain == "membrane":
            faces = measure_faces(host_image, yxr, guests.z_um, um_per_px=um_per_px, um_per_z=um_per_z, noise=noise)
            areas = (np.array([float(m.area_px) for m in found.masks]) for found in (guests, hosts))
            table |= layers_of_pairs(faces, pairs, *areas)
    return pd.DataFrame({name: table[name][keep] for name in COLUMNS})


def _resolution(
    optics: Optics, given: float | None, guest_image: Float32Array | None, guests: Objects
) -> tuple[float, bool]:
    """Axial resolution, um, and whether it was measured from the guests."""
    if given is not None:
        return given, False
    known = axial_fwhm_of(optics)
    if guest_image is not None and optics.um_per_z is not None:
        measured = measure_axial_blur(guest_image, guests, optics.um_per_px, optics.um_per_z)
        # A lens is never better than its NA allows; aberrations make it worse, and the guests show it.
        if np.isfinite(measured) and (known is None or measured > AGREES * known):
            return measured, True
    return (known, False) if known is not None else (ASSUMED_AXIAL_FWHM_UM, False)


def _near_pairs(yxr: Float64Array, hosts: Masks, near_px: float, *, same_population: bool) -> Int64Array:
    """Indices (guest, host) whose boxes come near, (P, 2)."""
    boxes = np.array([(m.y0, m.x0, *m.pixels.shape) for m in hosts], dtype=np.float64).reshape(-1, 4)
    if len(boxes) == 0 or len(yxr) == 0:
        return np.zeros((0, 2), np.int64)
    reach = (yxr[:, 2] + near_px)[:, None]
    y, x = yxr[:, 0:1], yxr[:, 1:2]
    near = (
        (y + reach >= boxes[:, 0]) & (y - reach <= boxes[:, 0] + boxes[:, 2])
        & (x + reach >= boxes[:, 1]) & (x - reach <= boxes[:, 1] + boxes[:, 3])
    )  # fmt: skip
    if same_population:
        np.fill_diagonal(near, val=False)
    return np.argwhere(near).astype(np.int64)


def _means(sums: win.WindowSums, level: Float64Array, noise_sd: float, gain: float) -> _Means:
    def mean(*regions: int) -> tuple[Float64Array, Float64Array]:
        total = sums.sums[:, list(regions)].sum(axis=1)
        count = sums.counts[:, list(regions)].sum(axis=1)[:, None]
        with np.errstate(invalid="ignore", divide="ignore"):
            value = np.where(count > 0, total / np.maximum(count, 1.0), np.nan) - level
        return value, variance_of_mean(np.nan_to_num(value), count, noise_sd, gain)

    own, shared = sums.counts[:, win.CORE_OWN], sums.counts[:, win.CORE_SHARED]
    use_own = (own >= 0.25 * (own + shared)) & (own >= 4)
    core_own, core_all = mean(win.CORE_OWN), mean(win.CORE_OWN, win.CORE_SHARED)
    core, core_var = (np.where(use_own[:, None], a, b) for a, b in zip(core_own, core_all, strict=True))
    rim, _ = mean(win.RIM)
    edge, _ = mean(win.EDGE)
    near, near_var = mean(win.NEAR)
    # The reference is the host alone; where it is never alone, with others; where there is none, the near ring.
    ref_own, ref_all = mean(win.REF_OWN), mean(win.REF_OWN, win.REF_SHARED)
    n_own, n_all = sums.counts[:, win.REF_OWN], sums.counts[:, [win.REF_OWN, win.REF_SHARED]].sum(axis=1)
    pick_own, pick_all = (n_own >= 12)[:, None], (n_all >= 12)[:, None]
    reference = np.where(pick_own, ref_own[0], np.where(pick_all, ref_all[0], near))
    reference_var = np.where(pick_own, ref_own[1], np.where(pick_all, ref_all[1], near_var))
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(use_own, 0.0, shared / (own + shared))
    return _Means(core, core_var, rim, edge, near, near_var, reference, reference_var, np.nan_to_num(share))


def _sector_coverage(signal: Float64Array, usable: Float64Array, threshold: Float64Array) -> Float64Array:
    """Share of the usable sectors over the threshold, (P,) from (P, S)."""
    have = usable > 0
    hit = have & (signal > threshold[:, None])
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(have.any(axis=1), hit.sum(axis=1) / have.sum(axis=1), np.nan)


def _ratio(a: Float64Array, b: Float64Array) -> Float64Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(b > 0, a / b, np.nan)


def _flat_evidence(sums: win.WindowSums, means: _Means, noise: Noise) -> dict[str, Float64Array]:
    """Evidence of a single plane: void, ring, sharpness."""
    level = np.atleast_1d(noise.background)
    core, near, rim, ref = means.core[:, 0], means.near[:, 0], means.rim[:, 0], means.reference[:, 0]
    void = 1.0 - _ratio(core, ref)
    relative = _ratio(means.core_var[:, 0], ref**2) + _ratio(core**2 * means.reference_var[:, 0], ref**4)
    sector = (sums.sector_sums[:, :, 0] - level[0] * sums.sector_host) / np.maximum(sums.sector_all, 1.0)
    return {
        **dict.fromkeys(COLUMNS, np.full(len(core), np.nan)),
        "ring_coverage": _sector_coverage(sector, sums.sector_all, 0.5 * np.nan_to_num(ref, nan=np.inf)),
        "void": void, "void_se": np.sqrt(relative), "host_signal": ref / max(noise.sd, 1e-9),
        "wall": _ratio(near, ref), "wall_se": np.sqrt(_ratio(means.near_var[:, 0], ref**2)),
        "body": _ratio(core, ref), "sharpness": _ratio(near - rim, ref),
    }  # fmt: skip


def _deep_evidence(sums: win.WindowSums, means: _Means, noise: Noise, axis: _Axis) -> dict[str, Float64Array]:
    """Evidence of a stack: cap, floor, walls and heights."""
    z_um, guest_z, half, fwhm = axis
    error = np.sqrt(np.nan_to_num(means.reference_var.mean(axis=1), nan=np.inf))
    side = measure_side(means.reference, z_um, error, fwhm)
    near = measure_side(means.near, z_um, np.sqrt(np.nan_to_num(means.near_var.mean(axis=1), nan=np.inf)), fwhm)
    plateau = np.fmax(side.plateau, near.plateau)
    beside = np.where(np.isfinite(side.thickness_um), side.thickness_um, near.thickness_um)
    layers = measure_layers(means.core, means.core_var, plateau, z_um, guest_z, half, fwhm)
    step = z_um[1] - z_um[0]
    middle = _to_mean(soft_window(z_um, guest_z - 0.5 * half, guest_z + 0.5 * half, step))
    lower = _to_mean(soft_window(z_um, guest_z - 0.9 * half, guest_z - 0.1 * half, step))
    upper = _to_mean(soft_window(z_um, guest_z + 0.1 * half, guest_z + 0.9 * half, step))
    core, near_mid, rim = (_at(profile, middle) for profile in (means.core, means.near, means.rim))
    core_var, near_var = _at(means.core_var, middle**2), _at(means.near_var, middle**2)
    sector = (sums.sector_sums - noise.background * sums.sector_host[:, :, None]) / np.maximum(sums.sector_all, 1.0)[
        :, :, None
    ]
    covered = [np.einsum("psz,pz->ps", sector, w) for w in (middle, lower, upper)]
    threshold = 0.4 * np.nan_to_num(plateau, nan=np.inf)
    return {
        "ring_coverage": _sector_coverage(covered[0], sums.sector_all, threshold),
        "ring_lower": _sector_coverage(covered[1], sums.sector_all, threshold),
        "ring_upper": _sector_coverage(covered[2], sums.sector_all, threshold),
        "cap": _ratio(layers.cap_um, beside), "cap_se": _ratio(layers.cap_se, beside),
        "floor": _ratio(layers.floor_um, beside), "floor_se": _ratio(layers.floor_se, beside),
        "cap_um": layers.cap_um, "cap_um_se": layers.cap_se, "floor_um": layers.floor_um,
        "floor_um_se": layers.floor_se, "body": layers.body, "beside_um": beside,
        "void": _ratio(near_mid - core, plateau), "void_se": np.sqrt(_ratio(core_var + near_var, plateau**2)),
        "z_in_host": _ratio(guest_z - side.bottom_um, np.maximum(side.top_um - side.bottom_um, 0.1)),
        "host_signal": plateau / max(noise.sd, 1e-9),
        "wall": _ratio(near_mid, plateau), "wall_se": np.sqrt(_ratio(near_var, plateau**2)),
        "wall_lower": _ratio(_at(means.near, lower), plateau), "wall_upper": _ratio(_at(means.near, upper), plateau),
        "edge_lower": _ratio(_at(means.edge, lower), plateau), "edge_upper": _ratio(_at(means.edge, upper), plateau),
        "sharpness": _ratio(near_mid - rim, plateau),
        "host_bottom_um": side.bottom_um, "host_top_um": side.top_um,
        "guest_bottom_um": guest_z - half, "guest_top_um": guest_z + half,
        "axial_fwhm_um": np.full(len(half), fwhm),
    }  # fmt: skip


def _to_mean(weights: Float64Array) -> Float64Array:
    """Scale window weights to sum 1; NaN where the window lies outside the stack."""
    total = weights.sum(axis=1, keepdims=True)
    return np.where(total > 0.2, weights / np.maximum(total, 1e-9), np.nan)


def _at(profile: Float64Array, weight: Float64Array) -> Float64Array:
    """Weighted mean of a profile (P, Z); NaN where profile or window is missing."""
    return np.asarray(np.einsum("pz,pz->p", profile, weight))


def _others(beside: Float64Array, pairs: Int64Array, shared: Float64Array) -> Float64Array:
    """Thickness of the further hosts over the same guest, as far as they share its core, um.

    Which of two hosts lies higher cannot be read from their heights beside the overlap, where each rests on the
    ground; so cap and floor are left whole and a scorer is told how much of them may be another host's.
    """
    guest, thick = pairs[:, 0], np.where(shared > 0, np.nan_to_num(beside), 0.0)
    together = np.bincount(guest, weights=thick, minlength=int(guest.max(initial=0)) + 1)
    return np.asarray((together[guest] - thick) * shared)
