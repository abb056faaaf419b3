"""One pass over each guest's window: host signal by region and slice, for every host near the guest.

Regions, by distance rho from the guest's centre (r its radius)::

    rho:   0 ......... 0.6 r .... 0.9 r ... r ... r+0.3 um ...... r+1.5 um ........... r+5 um
           |   core    |   rim    |        edge        |   near ring   |    reference      |

Pixels of other guests are left out of every region, since a neighbour's hole is not this guest's evidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cicimage.arrays import Float32Array, Float64Array, Int64Array
from cicimage.compiled import compiled
from cicimage.masks import Masks

CORE_OWN, CORE_SHARED, RIM, NEAR, REF_OWN, REF_SHARED, EDGE = range(7)
N_REGIONS: Final = 7
N_SECTORS: Final = 16
CORE_SHARE: Final = 0.6
RIM_SHARE: Final = 0.9
NEAR_IN_UM: Final = 0.3
NEAR_OUT_UM: Final = 1.5
REFERENCE_OUT_UM: Final = 5.0


@dataclass(frozen=True, eq=False)
class FlatMasks:
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
        _centres(masks.pixels, masks.offsets, masks.boxes, out)
    return out


@dataclass(frozen=True, eq=False)
class WindowSums:
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


def sum_windows(
    image: Float32Array,
    guests: FlatMasks,
    guest_yxr_px: Float64Array,
    hosts: FlatMasks,
    pairs: npt.NDArray[np.int64],
    guest_count: npt.NDArray[np.uint8],
    host_count: npt.NDArray[np.uint8],
    um_per_px: float,
) -> WindowSums:
    """Run the compiled pass.

    Parameters
    ----------
    image : (Z, Y, X) float32
        Host channel.
    guests, hosts : FlatMasks
        Both populations.
    guest_yxr_px : (n, 3) float64
        Centre and radius of each guest, pixels.
    pairs : (P, 2) int64
        Indices (guest, host) to measure.
    guest_count, host_count : (Y, X) uint8
        How many masks of each population lie on each pixel.
    um_per_px : float
        Pixel size, um.
    """
    n = len(pairs)
    out = WindowSums(
        np.zeros((n, N_REGIONS, image.shape[0])),
        np.zeros((n, N_REGIONS)),
        np.zeros((n, N_SECTORS, image.shape[0])),
        np.zeros((n, N_SECTORS)),
        np.zeros((n, N_SECTORS)),
        np.zeros(n),
        np.full(n, np.inf),
    )
    reach_px = np.array([NEAR_IN_UM, NEAR_OUT_UM, REFERENCE_OUT_UM]) / um_per_px
    # At coarse pixels the near ring still needs a pixel's width.
    reach_px[1] = max(reach_px[1], reach_px[0] + 1.5)
    reach_px[2] = max(reach_px[2], reach_px[1] + 2.0)
    if n:
        _pass(
            image, guests.pixels, guests.offsets, guests.boxes, guest_yxr_px, hosts.pixels, hosts.offsets, hosts.boxes,
            pairs, guest_count, host_count, reach_px, out.sums, out.counts, out.sector_sums, out.sector_host,
            out.sector_all, out.overlap_px, out.gap_px,
        )  # fmt: skip
    return out


@compiled()
def _centres(pixels: npt.NDArray[np.uint8], offsets: Int64Array, boxes: Int64Array, out: Float64Array) -> None:
    for i in range(len(offsets)):
        y0, x0, h, w = boxes[i]
        count, total_y, total_x = 0, 0, 0
        for y in range(h):
            for x in range(w):
                if pixels[offsets[i] + y * w + x]:
                    count += 1
                    total_y += y
                    total_x += x
        if count > 0:
            out[i, 0], out[i, 1] = y0 + total_y / count, x0 + total_x / count
        else:
            out[i, 0], out[i, 1] = np.nan, np.nan
        out[i, 2] = np.sqrt(count / np.pi)


@compiled()
def _region_of(rho: float, radius: float, reach: Any) -> int:
    if rho <= CORE_SHARE * radius:
        return 0
    if rho <= RIM_SHARE * radius:
        return 2
    if rho < radius + reach[0]:
        return 6
    if rho <= radius + reach[1]:
        return 3
    if rho <= radius + reach[2]:
        return 4
    return -1


@compiled()
def _pass(  # noqa: C901 - one compiled loop; calls inside it would cost more than they explain
    image: Any, g_pixels: Any, g_offsets: Any, g_boxes: Any, g_yxr: Any, h_pixels: Any, h_offsets: Any, h_boxes: Any,
    pairs: Any, g_count: Any, h_count: Any, reach: Any, sums: Any, counts: Any, sector_sums: Any, sector_host: Any,
    sector_all: Any, overlap: Any, gap: Any,
) -> None:  # fmt: skip
    n_z, n_y, n_x = image.shape
    for p in range(pairs.shape[0]):
        g, h = pairs[p, 0], pairs[p, 1]
        cy, cx, radius = g_yxr[g, 0], g_yxr[g, 1], g_yxr[g, 2]
        half = int(np.ceil(radius + reach[2])) + 1
        y_lo, y_hi = max(0, int(cy) - half), min(n_y, int(cy) + half + 2)
        x_lo, x_hi = max(0, int(cx) - half), min(n_x, int(cx) + half + 2)
        region = np.full((max(0, y_hi - y_lo), max(0, x_hi - x_lo)), -1, np.int8)
        sector = np.full(region.shape, -1, np.int8)
        for y in range(y_lo, y_hi):
            for x in range(x_lo, x_hi):
                gy, gx = y - g_boxes[g, 0], x - g_boxes[g, 1]
                own = 0
                if 0 <= gy < g_boxes[g, 2] and 0 <= gx < g_boxes[g, 3]:
                    own = g_pixels[g_offsets[g] + gy * g_boxes[g, 3] + gx]
                hy, hx = y - h_boxes[h, 0], x - h_boxes[h, 1]
                in_host = 0
                if 0 <= hy < h_boxes[h, 2] and 0 <= hx < h_boxes[h, 3]:
                    in_host = h_pixels[h_offsets[h] + hy * h_boxes[h, 3] + hx]
                rho = np.sqrt((y - cy) ** 2 + (x - cx) ** 2)
                if in_host:
                    if own:
                        overlap[p] += 1.0
                        gap[p] = 0.0
                    else:
                        gap[p] = min(gap[p], max(0.0, rho - radius))
                if g_count[y, x] > own:
                    continue
                where = _region_of(rho, radius, reach)
                if where < 0:
                    continue
                if where == 3:
                    turn = (np.arctan2(y - cy, x - cx) / (2.0 * np.pi)) % 1.0
                    sector[y - y_lo, x - x_lo] = min(15, int(turn * 16.0))
                    sector_all[p, sector[y - y_lo, x - x_lo]] += 1.0
                if not in_host:
                    continue
                if where in (0, 4) and h_count[y, x] > 1:
                    where += 1
                region[y - y_lo, x - x_lo] = where
                counts[p, where] += 1.0
                if where == 3:
                    sector_host[p, sector[y - y_lo, x - x_lo]] += 1.0
        for z in range(n_z):
            for y in range(y_lo, y_hi):
                for x in range(x_lo, x_hi):
                    where = region[y - y_lo, x - x_lo]
                    if where >= 0:
                        value = image[z, y, x]
                        sums[p, where, z] += value
                        if where == 3:
                            sector_sums[p, sector[y - y_lo, x - x_lo], z] += value
