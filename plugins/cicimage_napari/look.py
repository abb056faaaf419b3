"""Colours, contrast limits and outlines shared by the widgets."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

LOCATION_COLOUR: Final = {
    "free": "#8c8c8c", "attached": "#4c9be8", "entering": "#e8b34c", "inside": "#3fbf6f", "unresolved": "#b07fd8",
}  # fmt: skip
VIABILITY_COLOUR: Final = {"alive": "#cfe8d5", "dying": "#e8a0a0", "dead": "#d9534f", "unknown": "#6b6b6b"}
CHANNEL_COLOUR: Final = {
    "host": "#e05fd0",
    "guest": "#4fe07a",
    "death": "#ffd24c",
    "effector": "#59c8f0",
    "other": "#9a9a9a",
}
GUEST_OUTLINE: Final = "#ffffff"
HOST_OUTLINE: Final = "#ff9a3c"
OTHER_OUTLINE: Final = "#5f6f86"
VERDICT_COLOUR: Final = {"accept": "#3fbf6f", "reject": "#d9534f", "unsure": "#e8b34c", "set": "#4c9be8", "": "#8c8c8c",
                        "again": "#e8b34c"}  # fmt: skip


def rgb(colour: str) -> tuple[int, int, int]:
    """Red, green, blue of ``#rrggbb``.

    Examples
    --------
    >>> rgb("#0080ff")
    (0, 128, 255)
    """
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def limits(picture: npt.NDArray[np.generic]) -> tuple[float, float]:
    """Black and white level of a picture: just above its background, and its brightest 0.2 %.

    The levels lie at least eight times as far apart as the 2nd percentile and the median, so that a picture of noise
    alone stays dark. Pixels of 0, as beyond the frame's border, do not count.
    """
    seen = np.asarray(picture, np.float32)
    seen = seen[seen > 0]
    if not seen.size:
        return 0.0, 1.0
    sample = seen[:: max(1, seen.size // 200_000)]
    floor, middle, high = np.percentile(sample, [2.0, 50.0, 99.8])
    # in any channel the lower half of the pixels is background and its noise
    low = floor + 0.6 * (middle - floor)
    return float(low), float(max(high, low + 8.0 * (middle - floor), low + 1.0))


def composite(
    picture: npt.NDArray[np.generic], roles: list[str], levels: list[tuple[float, float]]
) -> npt.NDArray[np.uint8]:
    """Mix the channels of a picture, each in the colour of its role.

    Parameters
    ----------
    picture : (C, Y, X)
        Pixels of any numeric type.
    roles : list of str
        Role of each channel, a key of :data:`CHANNEL_COLOUR`.
    levels : list of (float, float)
        Black and white level of each channel, in the units of the pixels; white is above black.

    Returns
    -------
    (Y, X, 3) uint8
        Red, green, blue; colours add up and saturate at 255.
    """
    out = np.zeros((*picture.shape[1:], 3), np.float32)
    for plane, role, (low, high) in zip(picture, roles, levels, strict=True):
        share = np.clip((plane.astype(np.float32) - low) / (high - low), 0.0, 1.0)
        out += share[..., None] * np.array(rgb(CHANNEL_COLOUR[role]), np.float32)
    return np.clip(out, 0, 255).astype(np.uint8)


def outline(image: npt.NDArray[np.uint8], inside: npt.NDArray[np.bool_], colour: str) -> None:
    """Draw the boundary pixels of a mask into an image, in place.

    Parameters
    ----------
    image : (Y, X, 3) uint8
        Image that is changed.
    inside : (Y, X) bool
        The mask; its outermost pixels, by 4-connectivity, are drawn.
    colour : str
        ``#rrggbb``.
    """
    core = inside.copy()
    core[1:] &= inside[:-1]
    core[:-1] &= inside[1:]
    core[:, 1:] &= inside[:, :-1]
    core[:, :-1] &= inside[:, 1:]
    image[inside & ~core] = rgb(colour)
