"""The largest count a channel can hold: from the file, from the pixels themselves, else from the pixel type."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

PLATEAU_SHARE: Final = 1e-3
"""Share of a channel's pixels at one top value from which that value may be where the camera clips."""
PLATEAU_TIMES: Final = 10.0
"""Pixels at the top value over pixels at a value just below it: a tail that ends by itself thins out."""
CAMERA_TIMES: Final = 3.0
"""The same where the top value is one less than a power of 2: cameras clip there."""
PLATEAU_LEVELS: Final = 8
"""Values that the upper quarter of the range must hold: with fewer, many pixels share each of them anyway."""
_FEWEST: Final = 20


def full_scale(values: npt.NDArray[Any], dtype: np.dtype[Any], significant_bits: int | None = None) -> float | None:
    """Count at which a channel clips.

    Parameters
    ----------
    values : (N,) array
        Finite pixels of the channel, spread over its frames and slices.
    dtype : numpy.dtype
        Pixel type of the recording.
    significant_bits : int, optional
        Bits that the camera fills, as the file says; not used where pixels are brighter than that.

    Returns
    -------
    float or None
        A plateau at the top value; without one the camera's, else the pixel type's largest value; None for floats
        that clip nowhere.

    Examples
    --------
    >>> full_scale(np.arange(1000, dtype=np.uint16), np.dtype("uint16"), 12)
    4095.0
    >>> full_scale(np.minimum(np.arange(1000, dtype=np.uint16), 900), np.dtype("uint16"))
    900.0
    """
    top = plateau(values)
    if top is not None:
        return top
    if dtype.kind not in "iu":
        return None
    limit = float(np.iinfo(dtype).max)
    if significant_bits is not None and significant_bits > 0:
        camera = float(2**significant_bits - 1)
        if camera < limit and not (values.size and float(values.max()) > camera):
            return camera
    return limit


def plateau(values: npt.NDArray[Any]) -> float | None:
    """Top value that far more pixels hold than any value below it; None where the brightest pixels thin out.

    Parameters
    ----------
    values : (N,) array
        Finite pixels of one channel.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> light = rng.normal(1000, 200, 50_000).round()
    >>> plateau(light) is None, plateau(np.minimum(light, 1200))
    (True, 1200.0)
    """
    if not values.size:
        return None
    high = float(values.max())
    at_top = int(np.count_nonzero(values == values.max()))
    if at_top < max(_FEWEST, PLATEAU_SHARE * values.size):
        return None
    low = float(values.min())
    near = values[(values >= high - 0.25 * (high - low)) & (values < values.max())]
    levels = np.unique(near).size
    of_camera = high >= 255 and float(np.log2(high + 1)).is_integer()
    times = CAMERA_TIMES if of_camera else PLATEAU_TIMES
    if levels < PLATEAU_LEVELS or at_top <= times * near.size / levels:
        return None
    return high
