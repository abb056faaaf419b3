"""One pass over each guest's window: host signal by region and slice, for every host near the guest.

Regions, by distance rho from the guest's centre (r its radius)::

    rho:   0 ......... 0.6 r .... 0.9 r ... r ... r+0.3 um ...... r+1.5 um ........... r+5 um
           |   core    |   rim    |        edge        |   near ring   |    reference      |

Pixels of other guests are left out of every region, since a neighbour's hole is not this guest's evidence.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from cicimage.arrays import Float32Array, Float64Array, Int64Array
from cicimage.compiled import compiled
from cicimage.masks import Masks

CORE_OWN, CORE_SHARED, RIM, NEAR, REF_OWN, REF_SHARED, EDGE = range(7)
"""Regions; where further hosts lie too, a pixel of the core or the reference counts in the shared one."""
NO_REGION: Final = -1
N_REGIONS: Final = 7
N_SECTORS: Final = 16
CORE_SHARE: Final = 0.6
RIM_SHARE: Final = 0.9
NEAR_IN_UM: Final = 0.3
NEAR_OUT_UM: Final = 1.5
REFERENCE_OUT_UM: Final = 5.0


class FlatMasks(NamedTuple):
    """All masks of a population in one buffer, as a compiled loop can read them.

    ``boxes`` is (n, 4) int64 of y0, x0, h, w; mask i starts at ``offsets[i]`` of ``pixels``.
    """

    pixels: npt.NDArray[np.uint8]
    offsets: Int64Array
    boxes: Int64Array

    @classmethod
    def of(cls, masks: Masks) -> FlatMasks:
        """Flatten."""
        boxes = np.array([(m.y0, m.x0, *m.pixels.shape) for m in masks], dtype=np.int64).reshape(-1, 4)
        sizes = boxes[:, 2] * boxes[:, 3]
        offsets = np.concatenate(([0], np.cumsum(sizes)[:-1])).astype(np.int64) if len(boxes) else np.zeros(0, np.int64)
        parts = [m.pixels.ravel() for m in masks]
        pixels = np.concatenate(parts).view(np.uint8) if parts else np.zeros(0, np.uint8)
        return cls(pixels, offsets, boxes)


def centres(masks: FlatMasks) -> Float64Array:
    """Centre and equivalent radius of every mask, (n, 3) pixels; NaN and 0 of a mask without a pixel."""
    out = np.zeros((len(masks.offsets), 3))
    if len(out):
        _centres(masks, out)
    return out


class WindowSums(NamedTuple):
    """Sums of host signal, one row per pair.

    Attributes
    ----------
    sums : (P, N_REGIONS, Z) float64
        Counts summed over the region's pixels inside the host's mask.
    counts : (P, N_REGIONS) float64
        Those pixels (the same in every slice).
    sector_sums : (P, N_SECTORS, Z) float64
        The near ring by direction, host's pixels only.
    sector_host, sector_all : (P, N_SECTORS) float64
        Host's pixels and all usable pixels of each sector.
    overlap_px : (P,) float64
        Guest's pixels within the host's mask.
    gap_px : (P,) float64
        Distance from the guest's rim to the host's nearest pixel; 0 where they overlap, inf where none is near.
    """

    sums: Float64Array
    counts: Float64Array
    sector_sums: Float64Array
    sector_host: Float64Array
    sector_all: Float64Array
    overlap_px: Float64Array
    gap_px: Float64Array


class FrameData(NamedTuple):
    """What the pass reads.

    Attributes
    ----------
    image : (Z, Y, X) float32
        Host channel.
    guests, hosts : FlatMasks
        Both populations.
    guest_yxr_px : (n, 3) float64
        Centre and radius of each guest, pixels.
    guest_count, host_count : (Y, X) uint8
        How many masks of each population lie on each pixel.
    """

    image: Float32Array
    guests: FlatMasks
    hosts: FlatMasks
    guest_yxr_px: Float64Array
    guest_count: npt.NDArray[np.uint8]
    host_count: npt.NDArray[np.uint8]


class _Reach(NamedTuple):
    """Distance beyond a guest's rim at which the edge, the near ring and the reference end, pixels."""

    edge: float
    near: float
    reference: float


class _Window(NamedTuple):
    """Square around a guest: its first pixel, and the region and the sector of every pixel (-1 = none)."""

    y0: int
    x0: int
    region: npt.NDArray[np.int8]
    sector: npt.NDArray[np.int8]


def sum_windows(frame: FrameData, pairs: Int64Array, um_per_px: float) -> WindowSums:
    """Run the compiled pass.

    Parameters
    ----------
    frame : FrameData
        Image and masks of one frame.
    pairs : (P, 2) int64
        Indices (guest, host) to measure.
    um_per_px : float
        Pixel size, um.

    Returns
    -------
    WindowSums
    """
    n, n_z = len(pairs), frame.image.shape[0]
    out = WindowSums(
        sums=np.zeros((n, N_REGIONS, n_z)),
        counts=np.zeros((n, N_REGIONS)),
        sector_sums=np.zeros((n, N_SECTORS, n_z)),
        sector_host=np.zeros((n, N_SECTORS)),
        sector_all=np.zeros((n, N_SECTORS)),
        overlap_px=np.zeros(n),
        gap_px=np.full(n, np.inf),
    )
    # At coarse pixels the near ring still needs a pixel's width.
    edge = NEAR_IN_UM / um_per_px
    near = max(NEAR_OUT_UM / um_per_px, edge + 1.5)
    reference = max(REFERENCE_OUT_UM / um_per_px, near + 2.0)
    if n:
        _pass(frame, pairs, _Reach(edge, near, reference), out)
    return out


@compiled()
def _centres(masks: FlatMasks, out: Float64Array) -> None:
    for i in range(len(masks.offsets)):
        y0, x0, h, w = masks.boxes[i]
        count, total_y, total_x = 0, 0, 0
        for y in range(h):
            for x in range(w):
                if masks.pixels[masks.offsets[i] + y * w + x]:
                    count += 1
                    total_y += y
                    total_x += x
        if count > 0:
            out[i, 0], out[i, 1] = y0 + total_y / count, x0 + total_x / count
        else:
            out[i, 0], out[i, 1] = np.nan, np.nan
        out[i, 2] = np.sqrt(count / np.pi)


@compiled()
def _crop(masks: FlatMasks, i: int) -> npt.NDArray[np.uint8]:
    h, w = masks.boxes[i, 2], masks.boxes[i, 3]
    return masks.pixels[masks.offsets[i] : masks.offsets[i] + h * w].reshape(h, w)


@compiled()
def _at(crop: npt.NDArray[np.uint8], y: int, x: int) -> int:
    """Value of a crop's pixel, 0 outside."""
    if y >= 0 and x >= 0 and y < crop.shape[0] and x < crop.shape[1]:
        return int(crop[y, x])
    return 0


@compiled()
def _region_of(rho: float, radius: float, reach: _Reach) -> int:
    if rho <= CORE_SHARE * radius:
        return CORE_OWN
    if rho <= RIM_SHARE * radius:
        return RIM
    if rho < radius + reach.edge:
        return EDGE
    if rho <= radius + reach.near:
        return NEAR
    if rho <= radius + reach.reference:
        return REF_OWN
    return NO_REGION


@compiled()
def _sector_of(dy: float, dx: float) -> int:
    turn = (np.arctan2(dy, dx) / (2.0 * np.pi)) % 1.0
    return min(N_SECTORS - 1, int(turn * N_SECTORS))


@compiled()
def _classify(frame: FrameData, g: int, h: int, reach: _Reach, window: _Window, out: WindowSums, p: int) -> None:
    """Give every pixel of the window its region and sector, and count the pair's pixels."""
    cy, cx, radius = frame.guest_yxr_px[g]
    guest, host = _crop(frame.guests, g), _crop(frame.hosts, h)
    guest_y, guest_x = frame.guests.boxes[g, 0], frame.guests.boxes[g, 1]
    host_y, host_x = frame.hosts.boxes[h, 0], frame.hosts.boxes[h, 1]
    # Fields of a tuple are read before the loop: numba counts references on every access.
    y0, x0, regions, sectors = window
    height, width = regions.shape
    guest_count = frame.guest_count[y0 : y0 + height, x0 : x0 + width]
    host_count = frame.host_count[y0 : y0 + height, x0 : x0 + width]
    counts, sector_host, sector_all = out.counts[p], out.sector_host[p], out.sector_all[p]
    overlap, gap = 0.0, np.inf
    for i in range(height):
        for j in range(width):
            y, x = y0 + i, x0 + j
            own = _at(guest, y - guest_y, x - guest_x)
            in_host = _at(host, y - host_y, x - host_x)
            rho = np.sqrt((y - cy) ** 2 + (x - cx) ** 2)
            if in_host and own:
                overlap, gap = overlap + 1.0, 0.0
            elif in_host:
                gap = min(gap, max(0.0, rho - radius))
            if guest_count[i, j] > own:
                continue
            region = _region_of(rho, radius, reach)
            if region == NEAR:
                sector = _sector_of(y - cy, x - cx)
                sectors[i, j] = sector
                sector_all[sector] += 1.0
                sector_host[sector] += in_host
            if region == NO_REGION or not in_host:
                continue
            if host_count[i, j] > 1:
                region = CORE_SHARED if region == CORE_OWN else REF_SHARED if region == REF_OWN else region
            regions[i, j] = region
            counts[region] += 1.0
    out.overlap_px[p], out.gap_px[p] = overlap, gap


@compiled()
def _add_up(image: Float32Array, window: _Window, sums: Float64Array, sector_sums: Float64Array) -> None:
    """Sum the signal of one pair's regions (N_REGIONS, Z) and sectors (N_SECTORS, Z)."""
    y0, x0, regions, sectors = window
    height, width = regions.shape
    for z in range(image.shape[0]):
        signal = image[z, y0 : y0 + height, x0 : x0 + width]
        for i in range(height):
            for j in range(width):
                region = regions[i, j]
                if region >= 0:
                    value = signal[i, j]
                    sums[region, z] += value
                    if region == NEAR:
                        sector_sums[sectors[i, j], z] += value


@compiled()
def _pass(frame: FrameData, pairs: Int64Array, reach: _Reach, out: WindowSums) -> None:
    _, n_y, n_x = frame.image.shape
    for p in range(pairs.shape[0]):
        g, h = pairs[p]
        cy, cx, radius = frame.guest_yxr_px[g]
        half = int(np.ceil(radius + reach.reference)) + 1
        y0, y1 = max(0, int(cy) - half), min(n_y, int(cy) + half + 2)
        x0, x1 = max(0, int(cx) - half), min(n_x, int(cx) + half + 2)
        shape = (max(0, y1 - y0), max(0, x1 - x0))
        window = _Window(y0, x0, np.full(shape, NO_REGION, np.int8), np.full(shape, NO_REGION, np.int8))
        _classify(frame, g, h, reach, window, out, p)
        _add_up(frame.image, window, out.sums[p], out.sector_sums[p])
