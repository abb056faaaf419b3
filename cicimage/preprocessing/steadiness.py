"""Whether counts mean the same light in every frame: frames rescaled one by one, and flicker."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from cicimage.arrays import Float32Array, Float64Array
from cicimage.preprocessing.glimpse import Extremes

FEWEST_FRAMES: Final = 6
PINNED: Final = 0.95
"""Share of frames with one lowest and one highest count, from which both are set by a rule and not by light."""
AT_TOP: Final = 2.0
"""Pixels at the highest count, up to which it is one pixel's own brightness and no saturation."""
STEADY_MEAN: Final = 1e-4
"""Range of the frames' means over the SD within a frame, under which each frame was set to one mean: cells that move
and the light of any lamp make more."""
BRIGHT: Final = 95.0
"""Percentile from which pixels are taken for cells."""
DARK: Final = 5.0


@dataclass
class Steadiness:
    """Levels of one channel over time."""

    extremes: list[Extremes] = field(default_factory=list)
    means: list[float] = field(default_factory=list)
    spreads: list[float] = field(default_factory=list)
    gains: list[float] = field(default_factory=list)
    levels: list[float] = field(default_factory=list)
    _before: Float32Array | None = None

    def add(self, small: Float32Array, extremes: Extremes) -> None:
        """Take a frame's small picture, (y, x), and its extreme counts."""
        self.extremes.append(extremes)
        self.means.append(float(small.mean(dtype=np.float64)))
        self.spreads.append(float(small.std(dtype=np.float64)))
        dark, bright = np.percentile(small[::2, ::2], [DARK, BRIGHT])
        top = small[small > max(bright, dark)]
        self.levels.append(float(np.log(top.mean(dtype=np.float64) - dark)) if len(top) else float("nan"))
        if self._before is not None:
            self.gains.append(_gain(self._before, small))
        self._before = small

    def rescaled(self) -> str:
        """Say what shows that each frame was stretched to a range of its own; empty where nothing does."""
        if len(self.extremes) < FEWEST_FRAMES:
            return ""
        low, high = ([getattr(e, end) for e in self.extremes] for end in ("low", "high"))
        places = [e.place for e in self.extremes]
        alone = float(np.mean([e.at_high <= AT_TOP for e in self.extremes]))
        # A hot pixel is the highest in every frame too, but always at one place.
        moving = 1.0 - _commonest(places)
        if _commonest(low) >= PINNED and _commonest(high) >= PINNED and alone >= 0.8 and moving >= 0.5:
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


def _gain(before: Float32Array, now: Float32Array) -> float:
    """Log ratio of brightness above background, over pixels that are bright in both frames; NaN where none are."""
    (dark_a, bright_a), (dark_b, bright_b) = (np.percentile(p[::2, ::2], [DARK, BRIGHT]) for p in (before, now))
    both = (before > max(bright_a, dark_a)) & (now > max(bright_b, dark_b))
    if np.count_nonzero(both) < 20:
        return float("nan")
    return float(np.log(np.median((now[both] - dark_b) / (before[both] - dark_a))))
