"""Displacement per frame against spacing: guests that move further than they lie apart cannot be linked by position."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from cicimage.arrays import Float64Array

_PAIRS_OF_FRAMES = 30
_RADII = 48
_STANDARD_ERRORS = 1.0
_T = TypeVar("_T")


@dataclass(frozen=True)
class Spacing:
    """Displacement of guests per frame, and their spacing.

    Attributes
    ----------
    displacement_um : float
        Distance within which three quarters of the guests stay from one frame to the next, um; NaN where there
        are too few.
    spacing_um : float
        Median distance to the nearest other guest of the same frame, um; NaN where guests are alone.
    least_displacement_um : float
        Lower limit of the displacement, um: what chance neighbours of few guests in few frames leave of it.
    """

    displacement_um: float
    spacing_um: float
    least_displacement_um: float = float("nan")

    @property
    def ratio(self) -> float:
        """Displacement over spacing: above 1 links are guesses, above 0.5 they need features; NaN where unknown."""
        return self.displacement_um / self.spacing_um if self.spacing_um > 0 else float("nan")


def compare_spacing(cells: pd.DataFrame) -> Spacing:
    """Measure displacement per frame against spacing, without linking anything.

    Wrong links underestimate displacements, since the nearest neighbour is always near. Therefore pairs are counted:
    around a guest of one frame, the next frame holds as many other guests as its own frame does, and the guest itself.
    The excess within a radius is the share of guests that went no further.

    Parameters
    ----------
    cells : pandas.DataFrame
        frame, y_um, x_um (drift removed) of one population.

    Examples
    --------
    >>> import pandas as pd
    >>> still = pd.DataFrame({"frame": [0, 0, 1, 1], "y_um": [0.0, 30, 0, 30], "x_um": 0.0})
    >>> compare_spacing(still).spacing_um
    30.0
    """
    by_frame: dict[int, Float64Array] = {}
    for _, rows in cells.groupby("frame"):
        if len(rows) > 1:
            by_frame[int(rows["frame"].iloc[0])] = rows[["y_um", "x_um"]].to_numpy(dtype=np.float64)
    nearest = [np.asarray(cKDTree(p).query(p, k=2)[0])[:, 1] for p in _spread_over(list(by_frame.values()))]
    if not nearest:
        return Spacing(float("nan"), float("nan"))
    spacing = float(np.median(np.concatenate(nearest)))
    pairs = [(by_frame[f], by_frame[f + 1]) for f in sorted(by_frame) if f + 1 in by_frame]
    if not pairs:
        return Spacing(float("nan"), spacing)
    radii = spacing * np.linspace(0.0, 4.0, _RADII + 1)[1:]
    excess, variance, guests = np.zeros(_RADII), np.zeros(_RADII), 0.0
    for a, b in _spread_over(pairs):
        tree_a, tree_b = cKDTree(a), cKDTree(b)
        others = (tree_a.count_neighbors(tree_a, radii) - len(a) + tree_b.count_neighbors(tree_b, radii) - len(b)) / 2
        found = tree_a.count_neighbors(tree_b, radii)
        excess += found - others
        variance += found + others
        guests += (len(a) + len(b)) / 2
    stayed = np.maximum.accumulate(excess / guests)
    # New and lost guests keep the excess below 1; its plateau is the share of guests seen in both frames.
    both = min(1.0, float(stayed[-1]))
    at_most = np.maximum.accumulate((excess + _STANDARD_ERRORS * np.sqrt(variance)) / guests)
    at_least = float(np.interp(0.75 * max(both, 0.2), at_most, radii))
    if both < 0.2:
        return Spacing(float("inf"), spacing, at_least)
    return Spacing(float(np.interp(0.75 * both, stayed, radii)), spacing, at_least)


def _spread_over(items: list[_T]) -> list[_T]:
    """At most ``_PAIRS_OF_FRAMES`` of them, evenly over the movie."""
    if len(items) <= _PAIRS_OF_FRAMES:
        return items
    return [items[i] for i in np.linspace(0, len(items) - 1, _PAIRS_OF_FRAMES).astype(int)]
