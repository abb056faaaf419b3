"""Second stage: objects of single frames become cells over time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from cicimage.masks import Masks
from cicimage.methods import Choice, Tracker, build
from cicimage.pipeline.setting import Setting
from cicimage.tables import CELLS, conform
from cicimage.tracking.gaps import fill_gaps

MasksOf = Callable[[int, str], Masks]


def link(
    detections: pd.DataFrame,
    drift: pd.DataFrame,
    setting: Setting,
    choices: Mapping[str, Choice],
    masks_of: MasksOf,
    key: str,
) -> pd.DataFrame:
    """Track every population and fill gaps.

    Parameters
    ----------
    detections : pandas.DataFrame
        ``cells`` of :class:`~cicimage.pipeline.detect.Detections`.
    drift : pandas.DataFrame
        frame, dy_um, dx_um.
    setting : Setting
        Scale, times and roles.
    choices : mapping
        Method per step.
    masks_of : callable
        Masks of (frame, population).
    key : str
        Opaque name of the position.

    Returns
    -------
    pandas.DataFrame
        Table ``cells``; ids are unique across populations.
    """
    time_h = setting.time_s / 3600.0
    linked: list[pd.DataFrame] = []
    offset = 0
    for name, population in setting.populations.items():
        own = detections[detections["population"] == name] if len(detections) else detections
        if not len(own):
            continue
        own = own.assign(time_h=time_h[own["frame"].to_numpy()]).reset_index(drop=True)
        step = "track_host" if "host" in population.roles else "track_guest"
        tracker = cast(Tracker, build(step, choices[step].method, choices[step].options))

        def masks_here(frame: int, name: str = name) -> Masks:
            return masks_of(frame, name)

        own = link_population(own, drift, time_h, tracker, masks_here, setting.optics.um_per_px)
        own["cell_id"] += offset
        own.loc[own["parent_id"] > 0, "parent_id"] += offset
        offset = int(own["cell_id"].max())
        linked.append(own)
    if not linked:
        return conform(CELLS, pd.DataFrame({c.name: [] for c in CELLS.columns}))
    cells = pd.concat(linked, ignore_index=True)
    cells["position"] = key
    return conform(CELLS, cells.sort_values(["frame", "cell_id"], kind="stable"))


def link_population(
    cells: pd.DataFrame,
    drift: pd.DataFrame,
    time_h: npt.NDArray[np.float64],
    tracker: Tracker,
    masks_of: Callable[[int], Masks],
    um_per_px: float,
) -> pd.DataFrame:
    """Track one population and fill its gaps.

    Parameters
    ----------
    cells : pandas.DataFrame
        Its objects in the raw frame, with ``time_h``.
    drift : pandas.DataFrame
        frame, dy_um, dx_um.
    time_h : (T,) float64 array
        Times of all frames, h.
    tracker : Tracker
        The method.
    masks_of : callable
        Masks of a frame.
    um_per_px : float
        Pixel size, um.

    Returns
    -------
    pandas.DataFrame
        ``cells`` with cell_id, parent_id and observed, and a row per frame of a filled gap; in the raw frame.
    """
    shift = drift.sort_values("frame")[["dy_um", "dx_um"]].to_numpy(np.float64) / um_per_px

    def shift_of(frame: int) -> tuple[float, float]:
        return float(shift[frame, 0]), float(shift[frame, 1])

    ids = tracker.track(_without_drift(cells, drift), masks_of, shift_of)
    return _filled(cells.merge(ids, on=["frame", "label"], validate="one_to_one"), drift, time_h)


def _without_drift(cells: pd.DataFrame, drift: pd.DataFrame, sign: float = -1.0) -> pd.DataFrame:
    by_frame = drift.set_index("frame")
    frames = cells["frame"].to_numpy()
    return cells.assign(
        y_um=cells["y_um"] + sign * by_frame["dy_um"].reindex(frames).to_numpy(),
        x_um=cells["x_um"] + sign * by_frame["dx_um"].reindex(frames).to_numpy(),
    )


def _filled(cells: pd.DataFrame, drift: pd.DataFrame, time_h: Any) -> pd.DataFrame:
    """Fill gaps along the drift-free path, then go back to the raw frame."""
    filled = fill_gaps(_without_drift(cells, drift), np.asarray(time_h))
    return _without_drift(filled, drift, sign=1.0)
