"""All objects of a movie in one fixed order, as arrays: the input of linking."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cicimage.arrays import Float64Array, Int64Array
from cicimage.errors import CicimageError

_ORDER = ("y_um", "x_um", "z_um", "area_um2", "intensity")


@dataclass(frozen=True, eq=False)
class Sightings:
    """Objects sorted by frame, then by position and features, never by label.

    Attributes
    ----------
    row : (n,) int64
        Row of the table given.
    frame : (n,) int64
        Frame of each object.
    offsets : (n_frames + 1,) int64
        Objects of the f-th frame that has any are ``offsets[f]:offsets[f + 1]``.
    frames : (n_frames,) int64
        Number of that frame.
    t_min : (n_frames,) float64
        Its time, minutes.
    y, x : (n,) float64
        Centroids, um, drift removed.
    features : (n, 3) float64
        z in um, log area, log intensity; NaN where unknown.
    area_um2 : (n,) float64
        NaN where unknown.
    """

    row: Int64Array
    frame: Int64Array
    offsets: Int64Array
    frames: Int64Array
    t_min: Float64Array
    y: Float64Array
    x: Float64Array
    features: Float64Array
    area_um2: Float64Array

    @property
    def size(self) -> int:
        """Number of objects."""
        return int(self.y.size)

    @property
    def time_min(self) -> Float64Array:
        """Time of each object, minutes."""
        return np.repeat(self.t_min, np.diff(self.offsets))

    @property
    def skipped(self) -> Int64Array:
        """1 per frame where the frame number before it had no objects."""
        return np.concatenate([[0], (np.diff(self.frames) > 1).astype(np.int64)]).astype(np.int64)[: self.frames.size]

    @property
    def step_min(self) -> float:
        """Median time between frames, minutes; 1 where there is only one frame."""
        return float(np.median(np.diff(self.t_min) / np.diff(self.frames))) if self.frames.size > 1 else 1.0

    @property
    def diameter_um(self) -> float:
        """Median diameter of a disc of the objects' area, um; a tenth of the spacing where areas are unknown."""
        known = self.area_um2[self.area_um2 > 0]
        if known.size:
            return float(2 * np.sqrt(np.median(known) / np.pi))
        return max(0.1 * self.spacing_um, 1e-6)

    @property
    def field_um2(self) -> float:
        """Area the objects are spread over, um2."""
        return float(max(np.ptp(self.y), 1e-6) * max(np.ptp(self.x), 1e-6)) if self.size else 0.0

    @property
    def spacing_um(self) -> float:
        """One over the square root of the objects' density in a frame, um."""
        return float(np.sqrt(self.field_um2 / max(self.size / max(self.frames.size, 1), 1.0)))


def arrange(cells: pd.DataFrame) -> Sightings:
    """Sort a table of objects into :class:`Sightings`.

    Parameters
    ----------
    cells : pandas.DataFrame
        frame, time_h, label, y_um, x_um (drift removed); z_um, area_um2, intensity where known.

    Raises
    ------
    CicimageError
        A column is missing, a coordinate is not finite, a label occurs twice in a frame, or time does not rise
        from frame to frame.
    """
    for name in ("frame", "time_h", "label", "y_um", "x_um"):
        if name not in cells:
            raise CicimageError(f"tracking needs the column {name!r}, the table has {', '.join(cells.columns)}; add it")
    frame = cells["frame"].to_numpy(dtype=np.int64)
    label = cells["label"].to_numpy(dtype=np.int64)
    time_h, y, x, z, area, intensity = (_column(cells, name) for name in ("time_h", *_ORDER))
    bad = ~(np.isfinite(y) & np.isfinite(x) & np.isfinite(time_h))
    if bad.any():
        i = int(np.flatnonzero(bad)[0])
        raise CicimageError(
            f"tracking needs finite y_um, x_um and time_h; frame {frame[i]}, label {label[i]} has "
            f"({y[i]}, {x[i]}, {time_h[i]}); drop that object"
        )
    repeated = np.flatnonzero(cells.duplicated(["frame", "label"]))
    if repeated.size:
        i = int(repeated[0])
        raise CicimageError(
            f"tracking needs each label once per frame; frame {frame[i]} has label {label[i]} twice; "
            "track one population at a time"
        )
    order = np.argsort(y)
    order = order[np.argsort(frame[order], kind="stable")]
    tied = (np.diff(frame[order]) == 0) & (np.diff(y[order]) == 0)
    if tied.any():  # rare; sorting by everything always would take longer than the linking
        order = np.lexsort((label, intensity, area, z, x, y, frame))
    frame = frame[order]
    frames, first = np.unique(frame, return_index=True)
    t_min = time_h[order][first] * 60.0
    if (np.diff(t_min) <= 0).any():
        at = int(np.flatnonzero(np.diff(t_min) <= 0)[0])
        raise CicimageError(
            f"time must rise from frame to frame; frame {frames[at]} is at {t_min[at]:g} min and frame "
            f"{frames[at + 1]} at {t_min[at + 1]:g} min; mend the timestamps or give frame_interval_s"
        )
    with np.errstate(divide="ignore", invalid="ignore"):
        features = np.stack([z, np.log(area), np.log(intensity)], axis=1)[order]
    features[~np.isfinite(features)] = np.nan
    return Sightings(
        row=order.astype(np.int64),
        frame=frame,
        offsets=np.append(first, frame.size).astype(np.int64),
        frames=frames,
        t_min=t_min,
        y=y[order],
        x=x[order],
        features=features,
        area_um2=area[order],
    )


def _column(cells: pd.DataFrame, name: str) -> Float64Array:
    return cells[name].to_numpy(dtype=np.float64) if name in cells else np.full(len(cells), np.nan)


def labelled(cells: pd.DataFrame, cell_id: Int64Array, parent_id: Int64Array) -> pd.DataFrame:
    """Assemble the result of a tracker.

    Parameters
    ----------
    cells : pandas.DataFrame
        The tracker's input.
    cell_id, parent_id : (n,) int64 arrays
        Cell of each row, and the cell it divided from (0 = none).

    Returns
    -------
    pandas.DataFrame
        frame, label, cell_id, parent_id, in the order of ``cells``.
    """
    return pd.DataFrame(
        {
            "frame": cells["frame"].to_numpy(dtype=np.int64),
            "label": cells["label"].to_numpy(dtype=np.int64),
            "cell_id": cell_id,
            "parent_id": parent_id,
        }
    )
