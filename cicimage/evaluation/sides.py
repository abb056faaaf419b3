"""The two sides of an evaluation, truth and measurement, in the same form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from cicimage.arrays import Float64Array

EVENT_COLUMNS = (
    "position", "guest_id", "host_id", "start_h", "entry_h", "end_h", "end_reason", "score", "excluded_reason",
    "prevalent", "in_view",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Truth:
    """What is true, from a simulation or from reviewed results.

    Attributes
    ----------
    frames : pandas.DataFrame
        One row per guest and frame in view: position, frame, guest_id, host_id, y_um, x_um, location, contact,
        viability, decoy, touches_border, parent_id.
    events : pandas.DataFrame
        :data:`EVENT_COLUMNS`; hours on the movie's clock, ``entry_h`` empty where it never closed.
    hosts : pandas.DataFrame
        One row per host and frame: position, frame, host_id, viability; empty where unknown.
    decoys : pandas.DataFrame
        Objects that are not guests: position, frame, kind, y_um, x_um; empty where unknown.
    clock_h : mapping of str to (n_frames,) float64
        Hours of every frame by position.
    source : str
        Folder it was read from.
    from_time_zero : bool
        The clock counts from time zero, as that of a run does, and not from the start of the movie.
    """

    frames: pd.DataFrame
    events: pd.DataFrame
    hosts: pd.DataFrame
    decoys: pd.DataFrame
    clock_h: Mapping[str, Float64Array]
    source: str = ""
    from_time_zero: bool = False


@dataclass(frozen=True, eq=False)
class Measured:
    """Results of a run.

    Attributes
    ----------
    tables : mapping of str to pandas.DataFrame
        frames, events, guests, hosts, rates, rates_by_replicate, comparisons of the positions evaluated.
    layout : pandas.DataFrame
        The design, one row a position.
    source : str
        Folder it was read from.
    reference : str
        Condition that others are compared against; empty for none.
    about : mapping
        Program version and the like of the run.
    """

    tables: Mapping[str, pd.DataFrame]
    layout: pd.DataFrame
    source: str = ""
    reference: str = ""
    about: Mapping[str, object] = field(default_factory=dict)

    @property
    def condition_of(self) -> dict[str, str]:
        """Condition by position."""
        return dict(zip(self.layout["position"], self.layout["condition"], strict=True))


def credited_hours(frames: pd.DataFrame, clock_h: Mapping[str, Float64Array], cell: str = "guest_id") -> Float64Array:
    """Compute the hours each row stands for: half of the step before it and half of that after, within one cell's rows.

    Parameters
    ----------
    frames : pandas.DataFrame
        position, frame and the column ``cell``; one row per cell and frame.
    clock_h : mapping of str to (n_frames,) float64
        Hours of every frame by position.
    cell : str
        Column that names the cell within a position.

    Returns
    -------
    (n,) float64 array
        Hours per row, in the order of ``frames``; steps over frames without the cell count as nothing.
    """
    rows = frames.reset_index(drop=True)
    hours = frame_hours(rows["position"], rows["frame"], clock_h)
    order = np.lexsort((rows["frame"], rows[cell], rows["position"].astype("category").cat.codes))
    key = pd.MultiIndex.from_arrays([rows["position"], rows[cell]])
    codes = pd.factorize(key)[0][order]
    frame = rows["frame"].to_numpy(np.int64)[order]
    step = np.where((codes[1:] == codes[:-1]) & (np.diff(frame) == 1), np.diff(hours[order]), 0.0)
    out = np.zeros(len(rows))
    out[order[:-1]] += 0.5 * step
    out[order[1:]] += 0.5 * step
    return out


def frame_hours(positions: pd.Series, frames: pd.Series, clock_h: Mapping[str, Float64Array]) -> Float64Array:
    """Look up the hours of frames.

    Parameters
    ----------
    positions : (n,) Series of str
        Position of each row.
    frames : (n,) Series
        Frame of each row; NaN where there is none.
    clock_h : mapping of str to (n_frames,) float64
        Hours of every frame by position.

    Returns
    -------
    (n,) float64 array
        Hours; NaN where the frame is missing. A frame beyond the movie takes the hour of its last.
    """
    out = np.full(len(frames), np.nan)
    place, number = positions.to_numpy(object), frames.to_numpy(np.float64)
    for position in pd.unique(place):
        clock, here = clock_h[str(position)], (place == position) & np.isfinite(number)
        out[here] = clock[np.clip(number[here].astype(np.int64), 0, len(clock) - 1)]
    return out
