"""Host dye in guests, taken up from hosts or of a stain that marks both.

It fills the void by which inside is recognised.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from cicimage.arrays import Float32Array, Float64Array
from cicimage.findings import Finding
from cicimage.masks import Masks

BRIGHTER: Final = 2.0
"""Host signal at a guest over that beside it; above this the guest carries dye, which a thick host cannot explain."""
MOST_BRIGHTER: Final = 0.10
"""Largest accepted share of such guests among those over hosts; movies without dye transfer have up to 1 %."""
MOST_OUTSIDE: Final = 0.5
"""Host signal of guests that no host is near, over the signal of hosts, above which no state can be recognised."""
STANDARD_ERRORS: Final = 3.0
FEW: Final = 20
"""Fewest guests over all frames for a share or a median."""
CLEAR_OF_HOSTS_UM: Final = 8.0
"""Distance from every host above which a guest is certainly outside."""


def outside_signal(
    host_image: Float32Array, guests: Masks, hosts: Masks, *, background: float, um_per_px: float
) -> Float64Array:
    """Host signal at guests that no host is near.

    Parameters
    ----------
    host_image : (Z, Y, X) float32
        The hosts' channel, corrected, background left in.
    guests, hosts : Masks
        Of one frame.
    background : float
        Background level of the channel, counts.
    um_per_px : float
        Pixel size, um.

    Returns
    -------
    (n,) float64
        Signal at each such guest above that around it, over the median signal of hosts; empty where there are no
        hosts or no such guests.
    """
    covered = hosts.coverage() > 0
    guest_px = guests.coverage() > 0
    if not covered.any() or covered.all():
        return np.zeros(0)
    flat = host_image.mean(axis=0) if len(host_image) > 1 else host_image[0]
    alone = covered & ~guest_px
    level = float(np.median(flat[alone])) - background if alone.any() else 0.0
    if not level > 0:
        return np.zeros(0)
    distance = cv2.distanceTransform((~covered).astype(np.uint8), cv2.DIST_L2, 3) * um_per_px
    found = []
    for mask in guests:
        y, x = mask.y0 + mask.pixels.shape[0] // 2, mask.x0 + mask.pixels.shape[1] // 2
        if not distance[y, x] > CLEAR_OF_HOSTS_UM:
            continue
        reach = max(mask.pixels.shape)
        box = np.s_[max(0, mask.y0 - reach) : y + 2 * reach, max(0, mask.x0 - reach) : x + 2 * reach]
        around = flat[box][~(guest_px[box] | covered[box])]
        own = flat[mask.window][mask.pixels]
        if len(around) and len(own):
            found.append((float(np.mean(own)) - float(np.median(around))) / level)
    return np.array(found, dtype=np.float64)


def dye_in_guests(pairs: pd.DataFrame, outside: npt.ArrayLike = ()) -> Finding | None:
    """Check whether guests carry so much host dye that inside and on top cannot be separated.

    Parameters
    ----------
    pairs : pandas.DataFrame
        Evidence: frame, guest_label, footprint_share, void, void_se.
    outside : (n,) array_like
        What :func:`outside_signal` found, all frames together.

    Returns
    -------
    Finding or None
        ``host_dye_in_guests``, unresolved; None where guests carry little of it, or are too few to decide.
    """
    alone = np.asarray(outside, dtype=np.float64)
    free = float(np.median(alone)) if len(alone) >= FEW else np.nan
    share, ratio = _over_hosts(pairs)
    if not (share > MOST_BRIGHTER or free > MOST_OUTSIDE):
        return None
    value = f"host signal at the guest is over {BRIGHTER:g} times that beside it for {100 * share:.0f} % of the guests"
    value += f" over hosts (median {ratio:.1f} times)" if np.isfinite(ratio) else " over hosts"
    if np.isfinite(free):
        value += f", and guests that no host is near carry {free:.2f} times the signal of a host"
    value += (
        f": dye in guests fills the void that tells inside from on top; at most {100 * MOST_BRIGHTER:.0f} % may be so"
    )
    remedy = "use dyes that are not passed on, or a host marker that guests do not take up"
    return Finding("host_dye_in_guests", "unresolved", "", value, remedy, "channels.host")


def _over_hosts(pairs: pd.DataFrame) -> tuple[float, float]:
    """Share of the guests over hosts that are brighter than what is beside them, and the median ratio."""
    if not {"footprint_share", "void", "void_se"} <= set(pairs):
        return 0.0, np.nan
    over = pairs[(pairs["footprint_share"] > 0.5) & np.isfinite(pairs["void"]) & np.isfinite(pairs["void_se"])]
    if len(over) < FEW:
        return 0.0, np.nan
    # In a stack the void is the difference over the host's plateau: brighter by one plateau is twice as bright.
    ratio, error = 1.0 - over["void"], over["void_se"]
    return float(((ratio > BRIGHTER) & (ratio - 1.0 > STANDARD_ERRORS * error)).mean()), float(ratio.median())
