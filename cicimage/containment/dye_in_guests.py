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
FEWEST_GUESTS: Final = 5
"""Fewest guests, each counted once, that a share is told of."""
ONE_SIDED_95: Final = 1.645
LEVEL_EVERY_PX: Final = 3
"""Of hosts' pixels every so many along each side are read for their level."""
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
    middles = [(m.y0 + m.pixels.shape[0] // 2, m.x0 + m.pixels.shape[1] // 2) for m in guests]
    # most guests lie on hosts: the rest of the work is for the others
    bare = [(m, y, x) for m, (y, x) in zip(guests, middles, strict=True) if not covered[y, x]]
    if not bare or not covered.any():
        return np.zeros(0)
    # half the resolution suffices for a distance of many pixels
    distance = cv2.distanceTransform((~covered[::2, ::2]).astype(np.uint8), cv2.DIST_L2, 3) * (2.0 * um_per_px)
    bare = [(m, y, x) for m, y, x in bare if distance[y // 2, x // 2] > CLEAR_OF_HOSTS_UM]
    if not bare:
        return np.zeros(0)
    guest_px = guests.coverage() > 0
    few = np.s_[::LEVEL_EVERY_PX, ::LEVEL_EVERY_PX]
    alone = covered[few] & ~guest_px[few]
    level = float(np.median(host_image[:, *few].mean(axis=0)[alone])) - background if alone.any() else 0.0
    if not level > 0:
        return np.zeros(0)
    found = []
    for mask, y, x in bare:
        reach = max(mask.pixels.shape)
        box = np.s_[max(0, mask.y0 - reach) : y + 2 * reach, max(0, mask.x0 - reach) : x + 2 * reach]
        around = host_image[:, *box].mean(axis=0)[~(guest_px[box] | covered[box])]
        own = host_image[:, *mask.window].mean(axis=0)[mask.pixels]
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
    share, sure_share, ratio = _over_hosts(pairs)
    if not (sure_share > MOST_BRIGHTER or free > MOST_OUTSIDE):
        return None
    value = f"host signal at the guest is over {BRIGHTER:g} times that beside it for {100 * share:.0f} % of the guests"
    value += f" over hosts (median {ratio:.1f} times)" if np.isfinite(ratio) else " over hosts"
    if np.isfinite(free):
        value += f", and guests that no host is near carry {free:.2f} times the signal of a host"
    value += (
        ": dye in guests, or bleed-through of theirs that was not corrected, fills the void that tells inside from on "
        f"top; at most {100 * MOST_BRIGHTER:.0f} % may be so"
    )
    remedy = "use dyes that are not passed on, and filters and a bleed-through correction that keep the two apart"
    return Finding("host_dye_in_guests", "unresolved", "", value, remedy, "channels.host")


def _over_hosts(pairs: pd.DataFrame) -> tuple[float, float, float]:
    """Share of the guests over hosts that are brighter than what is beside them, its lower limit, the median ratio."""
    if not {"footprint_share", "void", "void_se"} <= set(pairs):
        return 0.0, 0.0, np.nan
    over = pairs[(pairs["footprint_share"] > 0.5) & np.isfinite(pairs["void"]) & np.isfinite(pairs["void_se"])]
    if len(over) < FEW:
        return 0.0, 0.0, np.nan
    # In a stack the void is the difference over the host's plateau: brighter by one plateau is twice as bright.
    ratio, error = 1.0 - over["void"], over["void_se"]
    brighter = (ratio > BRIGHTER) & (ratio - 1.0 > STANDARD_ERRORS * error)
    share = float(brighter.mean())
    return share, share - ONE_SIDED_95 * _standard_error(brighter, over), float(ratio.median())


def _standard_error(brighter: pd.Series, over: pd.DataFrame) -> float:
    """Standard error of the share, over guests: one guest by a thick part of a host is so in many frames."""
    guest = over["guest_id"] if "guest_id" in over else pd.Series(np.arange(len(over)), over.index)
    residual = (brighter - brighter.mean()).groupby(guest).sum().to_numpy(np.float64)
    n = len(residual)
    if n < FEWEST_GUESTS:
        return np.inf
    return float(np.sqrt(n / (n - 1) * np.sum(residual**2)) / len(over))
