"""Whether counts mean the same light in every frame: frames rescaled one by one, and flicker."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from cicimage.arrays import BoolArray, Float32Array, Float64Array
from cicimage.preprocessing.glimpse import Glimpse, middle_of

FEWEST_FRAMES: Final = 6
PINNED: Final = 0.95
"""Share of frames with one lowest and one highest count, from which both are set by a rule and not by light."""
AT_TOP: Final = 2.0
"""Pixels at the highest count, up to which it is one pixel's own brightness and no saturation."""
STEADY_MEAN: Final = 1e-4
"""Range of the frames' means over the SD within a frame, under which each frame was set to one mean: cells that move
and the light of any lamp make more."""
MOST: Final = 0.8
"""Share of frames in which the highest count is reached by so few pixels."""
MOVING: Final = 0.5
"""Share of frames in which another pixel than usual reaches it."""
FEWEST_PIXELS: Final = 20
BRIGHT: Final = 95.0
"""Percentile from which pixels are taken for cells."""
DARK: Final = 5.0


@dataclass
class Steadiness:
    """Levels of one channel over time.

    Attributes
    ----------
    follows_light : bool
        Whether brightness is followed: hosts are there all the time. Guests are few and move, their brightest pixels
        are others in every frame.
    ends : list of (float, float)
        Lowest and highest count of every frame.
    at_top : list of (place, float)
        A pixel at the highest count, and how many there are; of frames with the same ends as the frame before only.
    means, spreads : list of float
        Of every frame's small picture.
    gains, levels : list of float
        Log ratio of brightness to the frame before, and log brightness of every frame.
    """

    follows_light: bool = False
    ends: list[tuple[float, float]] = field(default_factory=list)
    at_top: list[tuple[tuple[int, int, int], float]] = field(default_factory=list)
    means: list[float] = field(default_factory=list)
    spreads: list[float] = field(default_factory=list)
    gains: list[float] = field(default_factory=list)
    levels: list[float] = field(default_factory=list)
    _before: _Light | None = None

    def add(self, seen: Glimpse) -> None:
        """Take a frame of the channel."""
        ends = seen.low, seen.high
        if self.ends and self.ends[-1] == ends:
            self.at_top.append(seen.brightest())
        self.ends.append(ends)
        self.means.append(float(seen.small.mean(dtype=np.float64)))
        few = seen.small[::2, ::2].ravel()
        self.spreads.append(float(few.std()))
        if self.follows_light:
            light = _Light.of(few)
            self.levels.append(light.level())
            if self._before is not None:
                self.gains.append(light.over(self._before))
            self._before = light

    def rescaled(self) -> str:
        """Say what shows that each frame was stretched to a range of its own; empty where nothing does."""
        if len(self.ends) < FEWEST_FRAMES:
            return ""
        low, high = ([e[i] for e in self.ends] for i in (0, 1))
        if _commonest(low) >= PINNED and _commonest(high) >= PINNED and self.at_top:
            alone = float(np.mean([n <= AT_TOP for _, n in self.at_top]))
            # A hot pixel is the highest in every frame too, but always at one place.
            moving = 1.0 - _commonest([place for place, _ in self.at_top])
            if alone >= MOST and moving >= MOVING:
                return f"darkest and brightest pixel are {low[0]:g} and {high[0]:g} in nearly every frame"
        if float(np.ptp(self.means)) < STEADY_MEAN * float(np.median(self.spreads)):
            return f"the mean of every frame is {float(np.median(self.means)):.4g}"
        return ""

    def flicker(self) -> float:
        """Relative SD of the brightness of single frames against their neighbours; 0 where there are too few.

        The smaller of two measures: pixels that stay bright change where cells are fast, the brightest pixels of each
        frame where cells come and go; light changes both.
        """
        return min(_jitter(np.array(self.gains)), _jitter(np.diff(self.levels)))


def _jitter(steps: Float64Array) -> float:
    """SD of single frames from steps, which hold the deviation of two frames each; bleaching is the median step."""
    steps = steps[np.isfinite(steps)]
    if len(steps) + 1 < FEWEST_FRAMES:
        return 0.0
    return float(np.median(np.abs(steps - np.median(steps))) / 0.6745 / np.sqrt(2.0))


def _commonest(values: list[float] | list[tuple[int, int, int]]) -> float:
    """Share of the values that equal the commonest one."""
    counts: dict[object, int] = {}
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    return max(counts.values()) / len(values)


@dataclass(frozen=True, eq=False)
class _Light:
    """Pixels of one small picture, and the levels from which they are dark and bright."""

    pixels: Float32Array
    dark: float
    bright: float

    @classmethod
    def of(cls, pixels: Float32Array) -> _Light:
        ranks = [round(share / 100.0 * (len(pixels) - 1)) for share in (DARK, BRIGHT)]
        parted = np.partition(pixels, ranks)
        return cls(pixels, float(parted[ranks[0]]), float(parted[ranks[1]]))

    def is_bright(self) -> BoolArray:
        return np.asarray(self.pixels > max(self.bright, self.dark))

    def level(self) -> float:
        """Log brightness above background; NaN where nothing is bright."""
        top = self.pixels[self.is_bright()]
        return float(np.log(top.mean(dtype=np.float64) - self.dark)) if len(top) else float("nan")

    def over(self, before: _Light) -> float:
        """Log ratio of brightness above background, over pixels bright in both frames; NaN where few are."""
        both = self.is_bright() & before.is_bright()
        if np.count_nonzero(both) < FEWEST_PIXELS:
            return float("nan")
        ratio = (self.pixels[both] - self.dark) / (before.pixels[both] - before.dark)
        return float(np.log(middle_of(ratio)))
