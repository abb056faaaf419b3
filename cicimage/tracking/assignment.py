"""Guests linked by sparse assignment: frame to frame first, then across gaps, then divisions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from pydantic import Field

from cicimage.arrays import Int64Array
from cicimage.masks import Masks
from cicimage.methods import GuestTracker
from cicimage.tracking.divisions import find_divisions
from cicimage.tracking.motion import Limits, link, measure
from cicimage.tracking.segments import close_gaps, number, relink_dimmed
from cicimage.tracking.sightings import Sightings, arrange, labelled


class AssignmentTracker(GuestTracker):
    """Links guests by the likeliest set of links, for groups of competing guests of any size.

    The value of a link is measured from the recording: displacement per frame, persistence of velocity, steadiness
    of z, size and brightness, probability of loss. Links from frame to frame come first, then gaps, then tracks that
    broke where a guest dimmed inside its host, then divisions. The result is deterministic and does not depend on
    labels; times are in minutes, not frames.
    """

    max_speed_um_per_min: float = Field(default=25.0, gt=0)
    """Hard limit of a guest's speed, um/min; within it what the recording shows decides."""
    max_gap_min: float | None = Field(default=None, ge=0)
    """Longest time a guest may go unseen, minutes; none: 15 min, or three frames where they are further apart."""
    looks_weight: float = Field(default=0.5, ge=0, le=1)
    """How much z, size and brightness count beside the place, 0-1."""
    relink_min: float = Field(default=90.0, ge=0)
    """Longest time unseen of a guest that dimmed, as inside a host, minutes; 0 joins none."""
    relink_um: float | None = Field(default=None, gt=0)
    """Furthest such a guest may have gone meanwhile, um; none: one and a half guest diameters."""
    dimmed: float = Field(default=0.7, gt=0, lt=1)
    """A track's end is dim below this share of the track's median intensity, 0-1."""
    divisions: bool = True
    """Look for divisions (conservatively: guests seldom divide, and doublets part often)."""

    def track(
        self,
        cells: pd.DataFrame,
        masks_of: Callable[[int], Masks] | None = None,
        shift_px: Callable[[int], tuple[float, float]] | None = None,
    ) -> pd.DataFrame:
        """Link guests over time.

        Parameters
        ----------
        cells : pandas.DataFrame
            One row per object: frame, time_h, label, y_um, x_um (drift removed), and where known z_um, area_um2,
            intensity.
        masks_of, shift_px : callable, optional
            Not needed: positions and features suffice.

        Returns
        -------
        pandas.DataFrame
            frame, label, cell_id, parent_id in the order of the rows given.

        Examples
        --------
        >>> import pandas as pd
        >>> cells = pd.DataFrame(
        ...     {"frame": [0, 0, 1, 1], "time_h": [0, 0, 0.1, 0.1], "label": [1, 2, 1, 2],
        ...      "y_um": [10.0, 90.0, 91.0, 11.0], "x_um": [10.0, 90.0, 90.0, 10.0], "area_um2": 40.0}
        ... )
        >>> AssignmentTracker().track(cells)["cell_id"].tolist()
        [1, 2, 2, 1]
        """
        if cells.empty:
            return labelled(cells, np.zeros(0, np.int64), np.zeros(0, np.int64))
        seen = arrange(cells)
        previous = self._link(seen)
        mother = np.full(seen.size, -1, np.int64)
        if self.divisions:
            previous, mother = find_divisions(seen, previous, watch_min=max(60.0, 3 * seen.step_min))
        cell = number(previous)
        parent = np.zeros(int(cell.max()) + 1, np.int64)
        born = mother >= 0
        parent[cell[born]] = cell[mother[born]]
        cell_id, parent_id = np.empty_like(cell), np.empty_like(cell)
        cell_id[seen.row], parent_id[seen.row] = cell, parent[cell]
        return labelled(cells, cell_id, parent_id)

    def _link(self, seen: Sightings) -> Int64Array:
        gap = self.max_gap_min if self.max_gap_min is not None else max(15.0, 3.01 * seen.step_min)
        limits = Limits(self.looks_weight, self.max_speed_um_per_min, gap)
        motion = measure(seen, limits)
        previous, _ = link(seen, motion, limits)
        if gap > 0:
            previous = close_gaps(seen, previous, motion, limits)
        if self.relink_min > 0:
            previous = relink_dimmed(
                seen, previous, motion, max_gap_min=self.relink_min,
                max_um=self.relink_um or 1.5 * seen.diameter_um, dimmed=self.dimmed,
            )  # fmt: skip
        return previous
