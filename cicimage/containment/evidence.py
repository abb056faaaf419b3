"""Evidence of every guest against every host near it, for one frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from cicimage.containment import windows as win
from cicimage.containment.noise import estimate_gain, variance_of_mean
from cicimage.containment.optics import ASSUMED_AXIAL_FWHM_UM, axial_fwhm_of
from cicimage.containment.profiles import Layers, Surfaces, find_surfaces, fit_layers
from cicimage.masks import FloatArray, Masks
from cicimage.methods import Objects, Optics

F64 = npt.NDArray[np.float64]

NEAR_UM: Final = 4.0
AXIAL_SHARE: Final = 0.88
"""A guest beneath or within a host is pressed flat: axial over lateral radius."""
COLUMNS: Final = (
    "guest_label", "host_label", "footprint_share", "gap_um", "ring_coverage", "cap", "cap_se", "floor", "floor_se",
    "void", "void_se", "z_in_host", "host_signal", "wall", "wall_se", "body", "sharpness", "shared_share",
    "host_bottom_um", "host_top_um", "guest_bottom_um", "guest_top_um", "guest_radius_um", "layer_misfit",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Means:
    """Mean signal above background per pair: core, rim, near ring, reference; (P, Z) with variances."""

    core: F64
    core_var: F64
    rim: F64
    near: F64
    near_var: F64
    reference: F64
    reference_var: F64
    host_height: F64
    shared: F64


def measure_frame(
    host_image: FloatArray,
    guests: Objects,
    hosts: Objects,
    *,
    optics: Optics,
    noise_sd: float,
    background: float | npt.ArrayLike,
    axial_fwhm_um: float | None = None,
    gain: float | None = None,
    near_um: float = NEAR_UM,
    same_population: bool = False,
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
    noise_sd : float
        Noise SD per pixel at background, counts.
    background : float or (Z,) array
        Background level, counts, for all slices or each.
    axial_fwhm_um : float, optional
        Axial resolution, um, where it was measured; else from NA, else 2 um is assumed.
    gain : float, optional
        Variance per count of signal; estimated from the image where it is not given.
    near_um : float
        Pairs further apart in projection are left out, um.
    same_population : bool
        Guests and hosts are the same objects (a population with both roles): a cell is not its own host.

    Returns
    -------
    pandas.DataFrame
        One row per guest and near host with the columns of table ``pairs`` that need no ids, and: ``wall`` (host
        signal in the near ring at the guest's heights over the side reference), ``body`` (host signal at the
        guest's own place, relative), ``sharpness`` (how steeply the host's signal drops at the guest's rim),
        ``shared_share`` (share of the guest's core where further hosts lie too), local surfaces of host and guest
        in um, ``layer_misfit`` (residual of the cap and floor fit in standard errors).
        Heights, cap, floor are NaN in 2D.

    Notes
    -----
    Cap and floor are those of this host: where further hosts cover part of the guest, only the part under this
    host alone is used; where they cover all of it, the layers go to the hosts by their local heights beside the
    guest, with standard errors widened by what the heights leave open.
    """
    n_z, um_per_px, um_per_z = host_image.shape[0], optics.um_per_px, optics.um_per_z
    yxr = _centres(guests.masks)
    pairs = _near_pairs(yxr, hosts.masks, near_um / um_per_px, same_population=same_population)
    if len(pairs) == 0:
        return pd.DataFrame({c: pd.Series([], dtype="int64" if c.endswith("label") else "float64") for c in COLUMNS})
    level = np.broadcast_to(np.asarray(background, dtype=np.float64), (n_z,))
    if gain is None:
        gain = estimate_gain(host_image, float(level.mean()), noise_sd)
    # A cell that is guest and host at once would leave its own host's pixels out as another guest's.
    guest_count = np.zeros(hosts.masks.shape, np.uint8) if same_population else guests.masks.coverage()
    sums = win.sum_windows(
        np.ascontiguousarray(host_image, dtype=np.float32), win.FlatMasks.of(guests.masks), yxr,
        win.FlatMasks.of(hosts.masks), pairs, guest_count, hosts.masks.coverage(), um_per_px,
    )  # fmt: skip
    keep = sums.gap_px <= near_um / um_per_px
    area = np.array([m.area_px for m in guests.masks], dtype=np.float64)
    means = _means(sums, level, noise_sd, gain)
    radius_um = yxr[pairs[:, 0], 2] * um_per_px
    table = {
        "guest_label": guests.masks.labels[pairs[:, 0]],
        "host_label": hosts.masks.labels[pairs[:, 1]],
        "footprint_share": sums.overlap_px / area[pairs[:, 0]],
        "gap_um": sums.gap_px * um_per_px,
        "shared_share": means.shared,
        "guest_radius_um": radius_um,
    }
    if n_z == 1 or um_per_z is None:
        table |= _flat_evidence(sums, means, level, noise_sd)
    else:
        z = guests.z_um[pairs[:, 0]]
        fwhm = axial_fwhm_um or axial_fwhm_of(optics) or ASSUMED_AXIAL_FWHM_UM
        table |= _deep_evidence(sums, means, level, noise_sd, pairs, z, radius_um, np.arange(n_z) * um_per_z, fwhm)
    return pd.DataFrame(table)[list(COLUMNS)][keep].reset_index(drop=True)


def _centres(masks: Masks) -> F64:
    """Centre and equivalent radius of every mask, (n, 3) pixels."""
    rows = [(*m.centroid_px(), np.sqrt(m.area_px / np.pi)) for m in masks]
    return np.array(rows, dtype=np.float64).reshape(-1, 3)


def _near_pairs(yxr: F64, hosts: Masks, near_px: float, *, same_population: bool) -> npt.NDArray[np.int64]:
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


def _means(sums: win.WindowSums, level: F64, noise_sd: float, gain: float) -> _Means:
    def mean(*regions: int) -> tuple[F64, F64]:
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
    near, near_var = mean(win.NEAR)
    # The reference is the host alone; where it is never alone, with others; where there is none, the near ring.
    ref_own, ref_all = mean(win.REF_OWN), mean(win.REF_OWN, win.REF_SHARED)
    n_own, n_all = sums.counts[:, win.REF_OWN], sums.counts[:, [win.REF_OWN, win.REF_SHARED]].sum(axis=1)
    pick_own, pick_all = (n_own >= 12)[:, None], (n_all >= 12)[:, None]
    reference = np.where(pick_own, ref_own[0], np.where(pick_all, ref_all[0], near))
    reference_var = np.where(pick_own, ref_own[1], np.where(pick_all, ref_all[1], near_var))
    height = np.where(pick_own, ref_own[0], np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(use_own, 0.0, shared / (own + shared))
    return _Means(core, core_var, rim, near, near_var, reference, reference_var, height, np.nan_to_num(share))


def _sector_coverage(signal: F64, usable: F64, threshold: F64) -> F64:
    """Share of the usable sectors over the threshold, (P,) from (P, S)."""
    have = usable > 0
    hit = have & (signal > threshold[:, None])
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(have.any(axis=1), hit.sum(axis=1) / have.sum(axis=1), np.nan)


def _ratio(a: F64, b: F64) -> F64:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(b > 0, a / b, np.nan)


def _flat_evidence(sums: win.WindowSums, means: _Means, level: F64, noise_sd: float) -> dict[str, F64]:
    """What projection tells: void, ring, sharpness."""
    core, near, rim, ref = means.core[:, 0], means.near[:, 0], means.rim[:, 0], means.reference[:, 0]
    void = 1.0 - _ratio(core, ref)
    relative = _ratio(means.core_var[:, 0], ref**2) + _ratio(core**2 * means.reference_var[:, 0], ref**4)
    sector = (sums.sector_sums[:, :, 0] - level[0] * sums.sector_host) / np.maximum(sums.sector_all, 1.0)
    nan = np.full(len(core), np.nan)
    return {
        "ring_coverage": _sector_coverage(sector, sums.sector_all, 0.5 * np.nan_to_num(ref, nan=np.inf)),
        "cap": nan, "cap_se": nan, "floor": nan, "floor_se": nan,
        "void": void, "void_se": np.sqrt(relative), "z_in_host": nan, "host_signal": ref / max(noise_sd, 1e-9),
        "wall": _ratio(near, ref), "wall_se": np.sqrt(_ratio(means.near_var[:, 0], ref**2)),
        "body": _ratio(core, ref), "sharpness": _ratio(near - rim, ref),
        "host_bottom_um": nan, "host_top_um": nan, "guest_bottom_um": nan, "guest_top_um": nan, "layer_misfit": nan,
    }  # fmt: skip


def _deep_evidence(
    sums: win.WindowSums, means: _Means, level: F64, noise_sd: float, pairs: npt.NDArray[np.int64],
    guest_z: F64, radius_um: F64, z_um: F64, fwhm: float,
) -> dict[str, F64]:  # fmt: skip
    """What the stack tells: cap, floor, walls and heights."""
    error = np.sqrt(np.nan_to_num(means.reference_var.mean(axis=1), nan=np.inf))
    side = find_surfaces(means.reference, z_um, error)
    near = find_surfaces(means.near, z_um, np.sqrt(np.nan_to_num(means.near_var.mean(axis=1), nan=np.inf)))
    peak = np.fmax(side.peak, near.peak)
    layers = fit_layers(means.core, means.core_var, peak, z_um, guest_z, AXIAL_SHARE * radius_um, fwhm)
    alone = find_surfaces(means.host_height, z_um, error)
    layers = _attribute(layers, alone, pairs, means.shared)
    middle = np.abs(z_um[None, :] - guest_z[:, None]) <= np.maximum(0.5 * radius_um, 0.6 * (z_um[1] - z_um[0]))[:, None]
    weight = middle / np.maximum(1, middle.sum(axis=1))[:, None]

    def at_guest(profile: F64) -> F64:
        return np.where(middle.any(axis=1), np.sum(np.nan_to_num(profile) * weight, axis=1), np.nan)

    sector = (sums.sector_sums - level * sums.sector_host[:, :, None]) / np.maximum(sums.sector_all, 1.0)[:, :, None]
    sector_mid = np.einsum("psz,pz->ps", sector, weight)
    core, near_mid, rim = at_guest(means.core), at_guest(means.near), at_guest(means.rim)
    core_var = np.sum(np.where(np.isfinite(means.core_var), means.core_var, 0.0) * weight**2, axis=1)
    near_var = np.sum(np.where(np.isfinite(means.near_var), means.near_var, 0.0) * weight**2, axis=1)
    return {
        "ring_coverage": _sector_coverage(sector_mid, sums.sector_all, 0.4 * np.nan_to_num(peak, nan=np.inf)),
        "cap": layers.cap, "cap_se": layers.cap_se, "floor": layers.floor, "floor_se": layers.floor_se,
        "void": _ratio(near_mid - core, peak), "void_se": np.sqrt(_ratio(core_var + near_var, peak**2)),
        "z_in_host": _ratio(guest_z - side.bottom_um, np.maximum(side.top_um - side.bottom_um, 0.1)),
        "host_signal": peak / max(noise_sd, 1e-9),
        "wall": _ratio(near_mid, peak), "wall_se": np.sqrt(_ratio(near_var, peak**2)),
        "body": layers.body, "sharpness": _ratio(near_mid - rim, peak),
        "host_bottom_um": side.bottom_um, "host_top_um": side.top_um,
        "guest_bottom_um": guest_z - AXIAL_SHARE * radius_um, "guest_top_um": guest_z + AXIAL_SHARE * radius_um,
         "layer_misfit": layers.misfit,
    }  # fmt: skip


def _attribute(layers: Layers, alone: Surfaces, pairs: npt.NDArray[np.int64], shared: F64) -> Layers:
    """Give shared layers to the hosts by their local heights.

    Where two hosts cover a guest wholly, the higher one owns the cap and the lower one the floor; the other
    host's layer is set to what its height makes likely, with an error as wide as the doubt.
    """
    cap, cap_se = layers.cap.copy(), layers.cap_se.copy()
    floor, floor_se = layers.floor.copy(), layers.floor_se.copy()
    rows = np.flatnonzero(shared > 0)
    for i in rows:
        others = rows[(pairs[rows, 0] == pairs[i, 0]) & (rows != i)]
        if len(others) == 0:
            continue
        mine, theirs = alone.centre_um[i], alone.centre_um[others]
        known = theirs[np.isfinite(theirs)]
        if not np.isfinite(mine) or len(known) == 0:
            cap_se[i], floor_se[i] = np.hypot(cap_se[i], 0.5), np.hypot(floor_se[i], 0.5)
            continue
        # 0.5 um is how well a mean height beside the guest tells the order above and below it.
        order = (mine - known) / 0.5
        on_top = float(np.clip(0.5 + 0.5 * order.min(), 0.0, 1.0))
        beneath = float(np.clip(0.5 - 0.5 * order.max(), 0.0, 1.0))
        doubt_cap, doubt_floor = 0.5 * np.sqrt(on_top * (1 - on_top)), 0.5 * np.sqrt(beneath * (1 - beneath))
        cap[i], cap_se[i] = cap[i] * on_top, np.hypot(cap_se[i], doubt_cap)
        floor[i], floor_se[i] = floor[i] * beneath, np.hypot(floor_se[i], doubt_floor)
    return Layers(cap, cap_se, floor, floor_se, layers.body, layers.body_se, layers.misfit)
