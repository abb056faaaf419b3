"""Interpolated rows, marked as such, for frames in which a tracked cell went unseen."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cicimage.arrays import Float64Array

_PLACES = ["y_um", "x_um", "z_um", "yd_um", "xd_um"]
_CARRIED = ["position", "population", "cell_id", "parent_id"]


def fill_gaps(cells: pd.DataFrame, time_h: Float64Array | None = None) -> pd.DataFrame:
    """Insert a row for every frame a cell missed between its first and last sighting.

    Parameters
    ----------
    cells : pandas.DataFrame
        Table ``cells`` of one position: frame, time_h, label, cell_id, y_um, x_um (drift removed, else a jump of the
        stage within a gap is spread over it) and any others.
    time_h : (n_frames,) float64, optional
        Hours of every frame; where it is not given, a frame's time is that of its other cells, or lies evenly
        between its neighbours'.

    Returns
    -------
    pandas.DataFrame
        All rows sorted by cell_id and frame. In the new ones ``observed`` is False, ``label`` 0, the place
        linear in time between the sightings around, what is the cell's own (population, parent_id) carried, and
        what would have been measured is missing.

    Examples
    --------
    >>> import pandas as pd
    >>> cells = pd.DataFrame({"frame": [0, 2], "time_h": [0.0, 0.2], "label": [5, 7], "cell_id": 1,
    ...                       "y_um": [0.0, 4.0], "x_um": [1.0, 1.0]})
    >>> fill_gaps(cells)[["frame", "label", "observed", "y_um"]].values.tolist()
    [[0, 5, True, 0.0], [1, 0, False, 2.0], [2, 7, True, 4.0]]
    """
    out = cells.sort_values(["cell_id", "frame"], kind="stable", ignore_index=True)
    if "observed" not in out:
        out["observed"] = True
    frame = out["frame"].to_numpy(dtype=np.int64)
    cell = out["cell_id"].to_numpy(dtype=np.int64)
    missed = np.zeros(len(out), dtype=np.int64)
    if len(out) > 1:
        missed[:-1] = np.where(cell[1:] == cell[:-1], np.diff(frame) - 1, 0)
    if not missed.any():
        return out
    before = np.repeat(np.arange(len(out)), missed)
    nth = np.arange(before.size) - np.repeat(np.cumsum(missed) - missed, missed) + 1
    new = pd.DataFrame({"frame": frame[before] + nth})
    hours = _hours(out, time_h)
    new["time_h"] = hours[new["frame"].to_numpy() - int(frame.min())]
    new["label"], new["observed"] = 0, False
    for name in out.columns.intersection(_CARRIED):
        new[name] = out[name].to_numpy()[before]
    if "touches_border" in out:
        new["touches_border"] = False
    start, end = out["time_h"].to_numpy()[before], out["time_h"].to_numpy()[before + 1]
    share = (new["time_h"].to_numpy() - start) / (end - start)
    for name in out.columns.intersection(_PLACES):
        place = out[name].to_numpy(dtype=np.float64)
        new[name] = place[before] + share * (place[before + 1] - place[before])
    new = new.reindex(columns=out.columns)
    whole = {n: d for n, d in out.dtypes.items() if not new[n].isna().any()}  # an int column with holes turns float
    joined = {n: pd.concat([out[n], new[n].astype(whole.get(n, new[n].dtype))]) for n in out.columns}
    return pd.DataFrame(joined).sort_values(["cell_id", "frame"], kind="stable", ignore_index=True)


def _hours(cells: pd.DataFrame, time_h: Float64Array | None) -> Float64Array:
    """Hours of every frame from the first to the last in the table."""
    first, last = int(cells["frame"].min()), int(cells["frame"].max())
    if time_h is not None:
        return np.asarray(time_h, dtype=np.float64)[first : last + 1]
    known = cells.groupby("frame")["time_h"].first()
    hours: Float64Array = np.interp(
        np.arange(first, last + 1), known.index.to_numpy(), known.to_numpy(dtype=np.float64)
    )
    return hours
