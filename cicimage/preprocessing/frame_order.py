"""Whether frames are new exposures of one field in one orientation: repeats and mirror images."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy import fft

from cicimage.arrays import Float32Array
from cicimage.preprocessing.glimpse import Glimpse, correlation

SAME_NOISE: Final = 0.97
"""Correlation of the noise of two frames from which they may be one exposure: fixed patterns of a camera reach 0.6."""
SAME_BUT_FOR: Final = 1e-4
"""Share of the variance that copies may differ by besides rounding: two exposures of bright, still cells correlate over
0.97 too, but each has photon noise of its own."""
ROUNDING: Final = 2.0
"""Variance by which copies of whole numbers may differ, over that of rounding both to whole numbers."""
LEAST_ALIKE: Final = 0.5
"""Correlation with the turned frame before, from which a frame is that frame turned; sound movies reach 0.44."""
CLEARLY: Final = 0.2
"""By this much a frame fits the turned frame before better than the frame before as it is."""
LOOK_BELOW: Final = 0.75
"""Correlation with the frame before under which turned ones are tried."""
LEAST_SIDE_PX: Final = 32
MOST_SHIFT: Final = 0.25
"""Largest stage shift between frames, share of the field."""
_TURNS: Final[Mapping[str, Callable[[Float32Array], Float32Array]]] = {
    "mirrored top to bottom": lambda a: a[::-1],
    "mirrored left to right": lambda a: a[:, ::-1],
    "turned by 180 degrees": lambda a: a[::-1, ::-1],
    "turned by 90 degrees": lambda a: np.rot90(a),
    "turned by 270 degrees": lambda a: np.rot90(a, 3),
    "mirrored and turned by 90 degrees": lambda a: a.T,
    "mirrored and turned by 270 degrees": lambda a: a[::-1, ::-1].T,
}


@dataclass
class Repeats:
    """Frames of one channel that are not exposures of their own.

    Attributes
    ----------
    frames : dict of int to int
        The frame that each repeated frame is a copy of.
    seen : int
        Frames compared.
    """

    frames: dict[int, int] = field(default_factory=dict)
    seen: int = 0
    _known: dict[bytes, int] = field(default_factory=dict)
    _before: tuple[int, Float32Array, Float32Array] | None = None

    def add(self, t: int, seen: Glimpse) -> None:
        """Take frame ``t`` of the channel."""
        self.seen += 1
        mark = hashlib.blake2b(np.ascontiguousarray(seen.small[::3, ::3]).tobytes(), digest_size=16).digest()
        if mark in self._known:
            self.frames[t] = self._known[mark]
        elif self._before is not None and _is_copy(seen, *self._before[1:]):
            self.frames[t] = self.frames.get(self._before[0], self._before[0])
        self._known.setdefault(mark, t)
        self._before = (t, seen.noise, seen.grain)


def _is_copy(now: Glimpse, noise: Float32Array, grain: Float32Array) -> bool:
    """Whether the noise of an exposure is that of an earlier one times a factor, but for rounding."""
    if now.noise.shape != noise.shape or not np.einsum("ij,ij->", now.noise, noise) > SAME_NOISE:
        return False
    power = float(np.mean(np.square(grain)))
    factor = float(np.mean(now.grain * grain)) / power
    differs = float(np.mean(np.square(now.grain - factor * grain)))
    whole = bool((now.window == np.rint(now.window)).all())
    rounding = 4.0 / 12.0 * (1.0 + factor**2) if whole else 0.0
    return differs <= SAME_BUT_FOR * float(np.mean(np.square(now.grain))) + ROUNDING * rounding


@dataclass
class Orientation:
    """Whether the field stays as it is from frame to frame.

    Attributes
    ----------
    turns : list of (int, str)
        Frames from which on the field is turned against the frame before, and how.
    """

    turns: list[tuple[int, str]] = field(default_factory=list)
    _before: Float32Array | None = None

    def add(self, t: int, seen: Glimpse) -> None:
        """Take frame ``t`` of the hosts' channel."""
        if min(seen.small.shape) < LEAST_SIDE_PX:
            return
        now = seen.bands
        before, self._before = self._before, now
        if before is None or correlation(before, now) > LOOK_BELOW:
            return
        fit = _fit(before, now)
        if fit > LOOK_BELOW:
            return
        turned = {n: _fit(f(before), now) for n, f in _TURNS.items() if f(before).shape == now.shape}
        name = max(turned, key=lambda n: turned[n])
        if turned[name] > max(LEAST_ALIKE, fit + CLEARLY):
            self.turns.append((t, name))

    def turned_share(self, n_frames: int) -> float:
        """Share of the frames that are not in the orientation of most frames."""
        starts = [0, *(t for t, _ in self.turns), n_frames]
        odd = sum(b - a for a, b in zip(starts[1::2], starts[2::2], strict=False))
        return min(odd, n_frames - odd) / max(n_frames, 1)


def _fit(a: Float32Array, b: Float32Array) -> float:
    """Highest correlation of two pictures over shifts of up to a quarter of the field."""
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt(np.sum(a * a, dtype=np.float64) * np.sum(b * b, dtype=np.float64)))
    if not size > 0:
        return 0.0
    spectrum = fft.rfft2(np.ascontiguousarray(a)) * np.conj(fft.rfft2(b))
    plane: npt.NDArray[Any] = fft.fftshift(fft.irfft2(spectrum, s=a.shape))
    (cy, cx), (ry, rx) = (n // 2 for n in a.shape), (int(MOST_SHIFT * n) for n in a.shape)
    return float(plane[cy - ry : cy + ry + 1, cx - rx : cx + rx + 1].max()) / size
