"""Whether two channels show the same field at the same time: found from what changes between frames in both.

A guest that moves changes both channels at once where it is: its dye appears in its own channel, and in the hosts'
channel it leaves a void, lifts the host, or bleeds through. What stands still (texture of hosts, resting guests)
cancels in differences of consecutive frames. The differences of both channels are therefore correlated over shifts in
space, over lags in time and over mirror images; where the channels fit, the correlation stands out at no shift and no
lag.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, cast

import cv2
import numpy as np
import numpy.typing as npt
from scipy import fft

from cicimage.arrays import Float32Array
from cicimage.preprocessing.glimpse import banded, middle_of

LAGS: Final = (-2, -1, 0, 1, 2)
LEAST_Z: Final = 8.0
"""Height of a correlation over its robust SD across shifts, from which it is taken for real. Sound movies have such
peaks by chance too, but then a higher one at no shift and no lag."""
OVER_HOME: Final = 2.0
"""A peak elsewhere is at least this many times as high as anything at no shift and no lag."""
OVER_OTHERS: Final = 1.5
"""A peak is at least this many times as high as the next one."""
CLIP_SD: Final = 4.0
LEAST_SIDE_PX: Final = 48
MOST_DRIFT_PX: Final = 0.75
"""Shift of the stage between frames from which they are not compared: all that stands still changes then."""
FEWEST_PAIRS: Final = 4
_Spectrum = npt.NDArray[np.complex64]
MIRRORS: Final[Mapping[str, Callable[[_Spectrum], _Spectrum]]] = {
    "mirrored top to bottom": lambda b: _rows_reversed(b),
    "mirrored left to right": lambda b: np.conj(_rows_reversed(b)),
    "turned by 180 degrees": lambda b: np.conj(b),
}
"""Half spectrum of a real picture, mirrored about its first row, its first column, or both."""


@dataclass(frozen=True)
class Misfit:
    """How one channel lies against another.

    Attributes
    ----------
    lag : int
        Frames by which the second channel lags behind the first.
    dy_px, dx_px : float
        Shift of the second channel against the first, pixels of the small pictures.
    mirror : str
        How the second channel is turned, empty where it is not.
    z, z_home : float
        Height of the correlation there, and where the channels should fit.
    """

    lag: int
    dy_px: float
    dx_px: float
    mirror: str
    z: float
    z_home: float


class ChannelRegistration:
    """Accumulates, frame by frame, how two channels lie against each other.

    Parameters
    ----------
    guest_px : float
        Diameter of a guest in the small pictures, px.
    """

    def __init__(self, guest_px: float) -> None:
        self._guest_px = guest_px
        self._before: tuple[int, Float32Array, Float32Array] | None = None
        self._recent: list[tuple[int, _Spectrum, _Spectrum]] = []
        self._sums: dict[tuple[int, str], _Spectrum] = {}
        self._pairs: dict[tuple[int, str], int] = {}
        self._shape = (0, 0)

    def add(self, t: int, first: Float32Array, second: Float32Array) -> None:
        """Take the small pictures of both channels, (y, x) each, of frame ``t``."""
        if min(first.shape) < LEAST_SIDE_PX:
            return
        a, b = (banded(p, 0.18 * self._guest_px, 0.8 * self._guest_px) for p in (first, second))
        before, self._before, self._shape = self._before, (t, a, b), first.shape
        if before is None or before[0] != t - 1:
            return
        drift = _drift(before[1], a)
        if max(map(abs, drift)) > MOST_DRIFT_PX:
            return
        changes = _unit(_change(before[1], a, drift)), _unit(_change(before[2], b, drift))
        if changes[0] is None or changes[1] is None:
            return
        one, two = np.conj(fft.rfft2(changes[0])), fft.rfft2(changes[1])
        for name, mirrored in MIRRORS.items():
            self._sum(0, name, one, mirrored(two))
        self._recent = [r for r in self._recent if r[0] >= t + LAGS[0]] + [(t, one, two)]
        for s, earlier_one, earlier_two in self._recent:
            # The second channel at a later frame that fits the first at an earlier one lags behind it.
            self._sum(t - s, "", earlier_one, two)
            if s != t:
                self._sum(s - t, "", one, earlier_two)

    def _sum(self, lag: int, mirror: str, one: _Spectrum, two: _Spectrum) -> None:
        key = (lag, mirror)
        if key in self._sums:
            self._sums[key] += one * two
        else:
            self._sums[key] = one * two
        self._pairs[key] = self._pairs.get(key, 0) + 1

    def misfit(self) -> Misfit | None:
        """Return where the channels fit, if that is elsewhere than it should be; None where nothing shows it."""
        heights = {key: self._heights(key) for key, n in self._pairs.items() if n >= FEWEST_PAIRS}
        if (0, "") not in heights:
            return None
        reach = max(2, round(self._guest_px))
        home = _peak(heights[0, ""], reach, inside=True)[0]
        best = Misfit(0, 0.0, 0.0, "", home, home)
        for (lag, mirror), z in heights.items():
            height, dy, dx = _peak(z, reach, inside=None)
            if height > best.z:
                best = Misfit(lag, dy, dx, mirror, height, home)
        moved = best.lag != 0 or best.mirror or max(abs(best.dy_px), abs(best.dx_px)) > reach
        if not moved or best.z < LEAST_Z or best.z < OVER_HOME * home:
            return None
        others = [
            _peak(z, reach, inside=None, without=(best.dy_px, best.dx_px) if key == (best.lag, best.mirror) else None)[
                0
            ]
            for key, z in heights.items()
        ]
        return best if best.z >= OVER_OTHERS * max(others) else None

    def _heights(self, key: tuple[int, str]) -> Float32Array:
        # Pictures mirrored about their first row or column lie a pixel off those mirrored about their middle, which
        # shifts the peak by as much and moves it nowhere that matters.
        plane = fft.fftshift(fft.irfft2(self._sums[key], s=self._shape))
        spread = middle_of(np.abs(plane[::2, ::2]).ravel()) / 0.6745
        return cast(Float32Array, np.abs(plane) / max(spread, 1e-12))


def _slopes(picture: Float32Array) -> tuple[Float32Array, Float32Array]:
    """Slopes along y and x, per pixel."""
    gy, gx = (cv2.Sobel(picture, cv2.CV_32F, dx, 1 - dx, ksize=1, scale=0.5) for dx in (0, 1))
    return cast(Float32Array, gy), cast(Float32Array, gx)


def _drift(before: Float32Array, now: Float32Array) -> tuple[float, float]:
    """Shift of the whole picture, px, by one step of least squares: right for shifts of less than a pixel."""
    gy, gx = _slopes(before)
    change = before - now
    yy, yx, xx, by, bx = (float(np.einsum("ij,ij->", *pair)) for pair in (
        (gy, gy), (gy, gx), (gx, gx), (gy, change), (gx, change)
    ))  # fmt: skip
    det = yy * xx - yx * yx
    return ((xx * by - yx * bx) / det, (yy * bx - yx * by) / det) if det > 1e-9 * yy * xx else (0.0, 0.0)


def _change(before: Float32Array, now: Float32Array, drift: tuple[float, float]) -> Float32Array:
    """What changed but for the stage's drift, by which all that stands still would appear to change."""
    gy, gx = _slopes(before)
    return cast(Float32Array, now - before + np.float32(drift[0]) * gy + np.float32(drift[1]) * gx)


def _rows_reversed(spectrum: _Spectrum) -> _Spectrum:
    """The same at the negative frequencies of the first axis."""
    return np.concatenate([spectrum[:1], spectrum[:0:-1]])


def _unit(change: Float32Array) -> Float32Array | None:
    """A change with its largest values cut, of sum 0 and norm 1; None where nothing changed."""
    spread = middle_of(np.abs(change[::3, ::3]).ravel()) / 0.6745
    if not spread > 0:
        return None
    cut = np.clip(change, -CLIP_SD * spread, CLIP_SD * spread)
    cut = cut - cut.mean()
    return cast(Float32Array, cut / np.float32(np.sqrt(np.einsum("ij,ij->", cut, cut))))


def _peak(
    heights: Float32Array, reach: int, *, inside: bool | None, without: tuple[float, float] | None = None
) -> tuple[float, float, float]:
    """Highest value with its shift (dy, dx); ``inside``: only within ``reach`` of no shift."""
    y, x = (np.arange(n) - n // 2 for n in heights.shape)
    allowed = np.ones(heights.shape, np.bool_)
    if inside:
        allowed &= (np.abs(y) <= reach)[:, None] & (np.abs(x) <= reach)[None, :]
    if without is not None:
        allowed &= (np.abs(y - without[0]) > reach)[:, None] | (np.abs(x - without[1]) > reach)[None, :]
    at = np.unravel_index(int(np.argmax(np.where(allowed, heights, -1.0))), heights.shape)
    return float(heights[at]), float(y[at[0]]), float(x[at[1]])
