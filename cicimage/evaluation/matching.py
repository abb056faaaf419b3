"""Matching of guests in the results to guests of the truth, frame by frame."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from cicimage.arrays import Float64Array
from cicimage.tracking.matching import assign

MAX_DISTANCE_UM: Final = 5.0
_Z_WEIGHT: Final = 0.25
_CARRIED: Final = (
    "guest_id", "host_id", "y_um", "x_um", "location", "contact", "viability", "decoy", "touches_border", "observed",
    "p_inside", "p_dead", "parent_id", "beyond",
)  # fmt: skip


def match_guests(
    frames_result: pd.DataFrame, frames_truth: pd.DataFrame, max_distance_um: float = MAX_DISTANCE_UM
) -> pd.DataFrame:
    """Pair guests of the results with guests of the truth.

    Matching is one to one and per frame: as many pairs as possible within ``max_distance_um`` in projection, and among
    those sets the one with the smallest distances. Where both sides have z, a quarter of its difference is added to the
    distance, which separates guests stacked above each other. The pairs of a frame do not depend on other frames, so
    that swapped tracks remain visible.

    Parameters
    ----------
    frames_result, frames_truth : pandas.DataFrame
        position, frame, y_um, x_um, z_um where known, one row per guest and frame. Cells of the truth with a
        ``reach_um`` of their own (large ones) take what the others leave within that reach.
    max_distance_um : float
        Largest distance between two centroids of one guest, um (about a small guest's radius and the error of both).

    Returns
    -------
    pandas.DataFrame
        position, frame, row_result, row_truth (positional row numbers of the two tables), distance_um.

    Examples
    --------
    >>> import pandas as pd
    >>> truth = pd.DataFrame({"position": "p", "frame": [0, 0], "y_um": [0.0, 9.0], "x_um": 0.0})
    >>> result = pd.DataFrame({"position": "p", "frame": [0], "y_um": [8.0], "x_um": 0.0})
    >>> match_guests(result, truth)[["row_result", "row_truth", "distance_um"]].values.tolist()
    [[0.0, 1.0, 1.0]]
    """
    result = dict(_by_frame(frames_result))
    place_result, place_truth = _places(frames_result), _places(frames_truth)
    large = (
        frames_truth["reach_um"].notna().to_numpy() if "reach_um" in frames_truth else np.zeros(len(frames_truth), bool)
    )
    limit = np.full(len(frames_truth), float(max_distance_um))
    limit[large] = frames_truth.loc[large, "reach_um"].to_numpy(np.float64) if large.any() else 0.0
    rows: list[tuple[Any, ...]] = []
    for key, truth_rows in _by_frame(frames_truth):
        if key not in result:
            continue
        left = result[key]
        for part in (truth_rows[~large[truth_rows]], truth_rows[large[truth_rows]]):
            if not len(part) or not len(left):
                continue
            here = _match_frame(place_result[left], place_truth[part], limit[part])
            rows.extend((*key, int(left[i]), int(part[j]), d) for i, j, d in here)
            left = np.delete(left, [i for i, _, _ in here])
    return pd.DataFrame(rows, columns=["position", "frame", "row_result", "row_truth", "distance_um"])


def _by_frame(frames: pd.DataFrame) -> list[tuple[tuple[str, int], np.ndarray[Any, np.dtype[np.int64]]]]:
    grouped: dict[Any, Any] = frames.reset_index(drop=True).groupby(["position", "frame"], sort=True).indices
    return [((str(p), int(f)), np.asarray(rows, np.int64)) for (p, f), rows in grouped.items()]


def _places(frames: pd.DataFrame) -> Float64Array:
    """(n, 3) y, x, z in um; z is NaN where unknown."""
    z = frames["z_um"].to_numpy(np.float64) if "z_um" in frames else np.full(len(frames), np.nan)
    return np.column_stack([frames[["y_um", "x_um"]].to_numpy(np.float64), z])


def _match_frame(a: Float64Array, b: Float64Array, max_um: Float64Array) -> list[tuple[int, int, float]]:
    """Most pairs, then the closest, of places no further apart than each of ``b`` allows."""
    near: Any = cKDTree(b[:, :2]).query_ball_point(a[:, :2], float(max_um.max()), return_sorted=True)
    rows = np.repeat(np.arange(len(a)), [len(n) for n in near])
    cols = np.concatenate([np.asarray(n, np.int64) for n in near])
    apart = a[rows] - b[cols]
    within = np.hypot(apart[:, 0], apart[:, 1]) <= max_um[cols]
    cols, apart, counts = cols[within], apart[within], np.bincount(rows[within], minlength=len(a))
    closeness = np.hypot(np.hypot(apart[:, 0], apart[:, 1]), np.nan_to_num(apart[:, 2]) * _Z_WEIGHT)
    # A pair is worth more than any gain in closeness, so that pairs are most and then closest.
    gains = 10.0 * (1.0 + len(a)) - closeness / max_um[cols]
    chosen = assign(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), cols, gains, len(b))
    return [(i, int(j), float(np.hypot(*(a[i, :2] - b[j, :2])))) for i, j in enumerate(chosen) if j >= 0]


def compare_frames(
    frames_result: pd.DataFrame, frames_truth: pd.DataFrame, max_distance_um: float = MAX_DISTANCE_UM
) -> pd.DataFrame:
    """Lay results and truth side by side: one row per guest and frame seen in either.

    Parameters
    ----------
    frames_result : pandas.DataFrame
        Table ``frames``.
    frames_truth : pandas.DataFrame
        The same columns as far as truth knows them, and ``decoy``, ``touches_border``, ``condition``.
    max_distance_um : float
        As in :func:`match_guests`.

    Returns
    -------
    pandas.DataFrame
        position, frame, ``distance_um``, and each column twice: with ``_true`` from the truth, without from the
        results. ``guest_id`` or ``guest_id_true`` is 0 where the other side has a guest that this one has not.
    """
    pairs = match_guests(frames_result, frames_truth, max_distance_um)
    result, truth = _slim(frames_result), _slim(frames_truth)
    both = _joined(result.iloc[pairs["row_result"]], truth.iloc[pairs["row_truth"]])
    both["distance_um"] = pairs["distance_um"].to_numpy()
    only_result = _joined(result[~result.index.isin(pairs["row_result"])], truth.iloc[:0])
    only_truth = _joined(result.iloc[:0], truth[~truth.index.isin(pairs["row_truth"])])
    parts = [p for p in (both, only_result, only_truth) if len(p)]
    table = pd.concat(parts, ignore_index=True) if parts else both
    for name in ("guest_id", "guest_id_true", "host_id", "host_id_true", "parent_id", "parent_id_true"):
        table[name] = table[name].fillna(0).astype(np.int64)
    for name in ("touches_border", "touches_border_true", "observed", "observed_true", "beyond_true"):
        table[name] = table[name].notna() & (table[name] == True)  # noqa: E712 - object column with holes
    for name in ("location", "contact", "viability", "decoy"):
        for column in (name, f"{name}_true"):
            table[column] = table[column].astype(object).where(table[column].notna(), "")
    return table.sort_values(["position", "frame", "guest_id_true", "guest_id"], ignore_index=True)


def _slim(frames: pd.DataFrame) -> pd.DataFrame:
    """Columns that are compared, in a fresh index; what one side does not know is missing."""
    out = frames.reset_index(drop=True)[["position", "frame"]].copy()
    for name in _CARRIED:
        out[name] = frames[name].to_numpy() if name in frames else (True if name == "observed" else np.nan)
    return out


def _joined(result: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """Columns of both side by side; where one is empty its columns are missing."""
    base = result if len(result) else truth
    columns = {"position": base["position"].to_numpy(), "frame": base["frame"].to_numpy(), "distance_um": np.nan}
    for name in _CARRIED:
        columns[name] = result[name].to_numpy() if len(result) else np.nan
        columns[f"{name}_true"] = truth[name].to_numpy() if len(truth) else np.nan
    return pd.DataFrame(columns, index=range(len(base)))
