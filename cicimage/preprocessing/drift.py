"""Stage drift: registration of each frame to a key frame, not to the one before."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final

from pydantic import Field

from cicimage.arrays import Float32Array
from cicimage.methods import DriftMethod
from cicimage.preprocessing.registration import Pyramid, Shift, disagreement, prepare, search, settle

_SURE: Final = 0.5  # least correlation at which jumps are not searched
_MARGIN: Final = 0.1  # least gain in correlation for a jump


class PhaseDrift(DriftMethod):
    """Registers each frame to a key frame, which is replaced only when it no longer fits.

    Errors add up from key frame to key frame only, not from frame to frame. Drift is the displacement shared by all
    parts of the field: cells move on their own, and the mean motion of crawling hosts is not drift. Therefore each
    part of the field is registered alone, and a shift within the differences between parts is not applied: a jump of
    the stage is found, and the migration of a dozen hosts is not taken for one.
    """

    stage_version: ClassVar[int] = 2

    max_side_px: int = Field(default=512, ge=64, le=4096)
    """Frames are averaged down until the longer side has at most this many pixels."""
    structure_px: float = Field(default=12.0, gt=1)
    """Structures larger than this, in pixels of the averaged frame, are illumination and left out."""
    brightest_percentile: float = Field(default=97.0, gt=50, le=100)
    """Pixels above this percentile are cut to it (%)."""
    rekey_below: float = Field(default=0.8, ge=0, le=1)
    """Share of the correlation right after a key frame below which the last good frame becomes the key frame."""
    sure_at: float = Field(default=30.0, ge=0, le=100)
    """Change of the shift, in standard errors between parts of the field, that is taken whole; up to half of it
    nothing is taken. Neighbouring parts show the same hosts, so they agree more than they know: 12 to 50 were tried on
    simulated hosts that crawl, 30 to 40 came nearest to their true drift. 0 takes all."""
    lost_below: float = Field(default=0.1, ge=0, le=1)
    """Correlation below which a frame is not believed; it keeps the last good shift."""
    min_overlap: float = Field(default=0.5, gt=0, le=1)
    """Share of the key frame still in view below which a new key frame is taken."""

    def start(self) -> Callable[[Float32Array], tuple[float, float, float]]:
        """Begin a movie.

        Returns
        -------
        callable
            Fed one (Y, X) float32 frame after the other, returns (dy_px, dx_px, quality): how far the content lies
            down and right of where it lay in the first frame, and the correlation at that shift, 0-1.
        """
        return _Follower(self)


@dataclass(frozen=True, eq=False)
class _Key:
    frame: Pyramid
    shift: Shift


class _Follower:
    """State of the registration of one movie: key frame and last good frame."""

    def __init__(self, options: PhaseDrift) -> None:
        self._options = options
        self._key: _Key | None = None
        self._last: _Key | None = None
        self._usual = 1.0
        self._fresh = 1.0  # correlation of the first frame after the key frame
        self._factors = (1.0, 1.0)

    def __call__(self, image: Float32Array) -> tuple[float, float, float]:
        options = self._options
        frame, self._factors = prepare(image, options.max_side_px, options.structure_px, options.brightest_percentile)
        if self._key is None or self._last is None:
            if frame.empty:
                return 0.0, 0.0, 0.0
            self._key = self._last = _Key(frame, (0.0, 0.0))
            return 0.0, 0.0, 1.0
        shift, quality = self._follow(frame, self._key, self._last)
        if quality < options.lost_below:
            return *self._in_pixels(self._last.shift), quality
        shift = self._what_is_sure(frame, self._key, self._last, shift)
        self._last = _Key(frame, shift)
        self._usual = quality
        if _overlap(frame.levels[1].shape, self._key.shift, shift) < options.min_overlap:
            self._key = self._last
        return *self._in_pixels(shift), quality

    def _follow(self, frame: Pyramid, key: _Key, last: _Key) -> tuple[Shift, float]:
        """Shift against the movie's start and its quality; makes the last good frame the key where that fits better."""
        if frame.empty:
            return last.shift, 0.0
        shift, quality = _near(key, frame, last.shift)
        if last is key:
            self._fresh = quality
        elif quality < self._options.rekey_below * self._fresh:
            again = _near(last, frame, last.shift)
            if again[1] > quality:
                (shift, quality), self._key = again, last
                self._fresh = quality
        # In a crowded field all correlations are low: a jump is a drop against the usual correlation.
        if quality < min(_SURE, max(0.75 * self._usual, 0.2)):
            for candidate in (key, last) if last is not key else (key,):
                found, believed = search(candidate.frame, frame)
                if believed > quality + _MARGIN:
                    shift, quality = _plus(candidate.shift, found), believed
                    self._key, self._fresh = candidate, believed
        return shift, max(quality, 0.0)

    def _what_is_sure(self, frame: Pyramid, key: _Key, last: _Key, shift: Shift) -> Shift:
        """Move the last shift towards this one as far as the parts of the field agree."""
        sure_at = self._options.sure_at * disagreement(key.frame, frame, _minus(shift, key.shift))
        step = _minus(shift, last.shift)
        size = math.hypot(*step)
        share = 1.0 if size >= sure_at else max(0.0, 2 * size / sure_at - 1)
        return last.shift[0] + share * step[0], last.shift[1] + share * step[1]

    def _in_pixels(self, shift: Shift) -> Shift:
        return shift[0] * self._factors[0], shift[1] * self._factors[1]


def _near(key: _Key, frame: Pyramid, guess: Shift) -> tuple[Shift, float]:
    """Shift near a guess, both against the movie's start."""
    found, quality = settle(key.frame, frame, _minus(guess, key.shift))
    return _plus(key.shift, found), quality


def _plus(a: Shift, b: Shift) -> Shift:
    return a[0] + b[0], a[1] + b[1]


def _minus(a: Shift, b: Shift) -> Shift:
    return a[0] - b[0], a[1] - b[1]


def _overlap(shape: tuple[int, ...], key: Shift, shift: Shift) -> float:
    """Share of the key frame that is still in view."""
    share = [max(0.0, 1 - abs(s - k) / n) for n, k, s in zip(shape, key, shift, strict=True)]
    return share[0] * share[1]
