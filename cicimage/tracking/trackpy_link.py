"""Guests linked by trackpy, as an alternative to the built-in tracker."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pandas as pd
from pydantic import Field

from cicimage.arrays import Int64Array
from cicimage.errors import CicimageError
from cicimage.masks import Masks
from cicimage.methods import GuestTracker
from cicimage.tracking.motion import Limits, measure
from cicimage.tracking.sightings import Sightings, arrange, labelled


class TrackpyTracker(GuestTracker):
    """Links guests with ``trackpy.link``: nearest neighbours within a search range, by position alone.

    For comparison with published analyses. It finds no divisions, and stops where more than about
    thirty guests compete for each other.
    """

    search_um: float | None = Field(default=None, gt=0)
    """Furthest a guest goes from one frame to the next, um; none: four times the displacement measured."""
    memory_frames: int = Field(default=2, ge=0)
    """For how many frames a guest may go unseen."""
    adaptive: bool = False
    """Shrink the search range where too many guests compete, down to a quarter of it."""

    def track(
        self,
        cells: pd.DataFrame,
        masks_of: Callable[[int], Masks] | None = None,
        shift_px: Callable[[int], tuple[float, float]] | None = None,
    ) -> pd.DataFrame:
        """Link guests over time with trackpy.

        Parameters
        ----------
        cells, masks_of, shift_px
            As :meth:`cicimage.methods.Tracker.track` takes them; masks and drift are not used.

        Returns
        -------
        pandas.DataFrame
            frame, label, cell_id, parent_id (always 0), one row per object.

        Raises
        ------
        CicimageError
            Too many guests compete within the search range.
        """
        if cells.empty:
            return labelled(cells, np.zeros(0, np.int64), np.zeros(0, np.int64))
        seen = arrange(cells)
        search_um = self.search_um or 4.0 * measure(seen, Limits(weight=0.0)).scale_um
        particle = self._link(seen, search_um)
        cell_id = np.empty(seen.size, np.int64)
        cell_id[seen.row] = pd.factorize(particle)[0] + 1  # in the order of first sightings
        return labelled(cells, cell_id, np.zeros(seen.size, np.int64))

    def _link(self, seen: Sightings, search_um: float) -> Int64Array:
        import trackpy

        trackpy.quiet()
        table = pd.DataFrame({"frame": seen.frame, "y": seen.y, "x": seen.x})
        options = {"adaptive_stop": search_um / 4, "adaptive_step": 0.9} if self.adaptive else {}
        try:
            linked = trackpy.link(table, search_um, memory=self.memory_frames, pos_columns=["y", "x"], **options)
        except trackpy.SubnetOversizeException as error:
            size = re.search(r"\d+", str(error))
            raise CicimageError(
                f"trackpy links at most {trackpy.linking.Linker.MAX_SUB_NET_SIZE} guests that compete for each other, "
                f"within search_um = {search_um:.3g} there are {size.group() if size else 'more'}; "
                'lower search_um, set adaptive = true, or take method = "assignment", which has no such limit'
            ) from None
        return np.asarray(linked.sort_index()["particle"].to_numpy(dtype=np.int64))
