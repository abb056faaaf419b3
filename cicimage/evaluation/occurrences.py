"""Occurrences - entries, escapes, aborted entries and deaths of guests - of both sides in one form.

An occurrence *counts* where a perfect observer of the same frames could report it: an entry that was watched from
outside and lasted as long as a completed one must, seen at the movie's frames. All others are neutral, neither missed
nor false.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from cicimage.arrays import Float64Array
from cicimage.evaluation.sides import Measured, Truth, frame_hours
from cicimage.events.timeline import lasts

KINDS: Final = ("entry", "escape", "abort", "death", "host_death")
PERSISTENCE_H: Final = 10.0 / 60.0
COLUMNS: Final = ("position", "guest_id", "since_h", "time_h", "counts", "p", "note")


def true_occurrences(truth: Truth, kind: str, sampled: pd.DataFrame | None = None) -> pd.DataFrame:
    """List the occurrences of one kind in the truth.

    Parameters
    ----------
    truth : Truth
        Frames and events.
    kind : str
        One of :data:`KINDS`.
    sampled : pandas.DataFrame, optional
        :func:`sampled_events` of the same truth, where it is at hand.

    Returns
    -------
    pandas.DataFrame
        position, guest_id, time_h and since_h (movie's clock; a death, of a guest or of the host that holds it, takes
        from the first sign to full staining, all else has no length), counts, p (1), note (why it does not count).
    """
    if kind == "death":
        return _true_deaths(truth)
    events = sampled_events(truth) if sampled is None else sampled
    events = events[(events["excluded_reason"] == "") & events["in_view"].astype(bool)]
    if kind == "entry":
        rows = events[events["entry_h"].notna() & ~events["prevalent"].astype(bool)]
        return _rows(rows, rows["entry_h"], rows["watched"] & rows["lasting"], _why_not(rows))
    if kind == "abort":
        rows = events[(events["end_reason"] == "aborted") & events["entry_h"].isna()]
        return _rows(rows, rows["end_h"], rows["n_entering"] >= 2, "seen entering in fewer than two frames")
    rows = events[(events["end_reason"] == kind) & (events["entry_h"].notna() | events["prevalent"].astype(bool))]
    since = _host_signs(truth, rows) if kind == "host_death" else None
    counts = rows["lasting"] & rows["seen_after"]
    return _rows(rows, rows["end_h"], counts, "stay shorter than asked, or end unseen", since_h=since)


def _host_signs(truth: Truth, events: pd.DataFrame) -> Float64Array:
    """Hour at which the host of each stay was first seen dying or dead, at the latest the stay's end."""
    key = ["position", "host_id"]
    ill = truth.hosts[truth.hosts["viability"].isin(["dying", "dead"])]
    first = ill.sort_values("frame", kind="stable").drop_duplicates(key)
    hours = pd.Series(
        frame_hours(first["position"], first["frame"], truth.clock_h), pd.MultiIndex.from_frame(first[key])
    )
    seen = hours.reindex(pd.MultiIndex.from_frame(events[key])).to_numpy(np.float64)
    end: Float64Array = events["end_h"].to_numpy(np.float64)
    return np.fmin(seen, end)


def measured_occurrences(measured: Measured, clock_h: Mapping[str, Float64Array], kind: str) -> pd.DataFrame:
    """List the results' occurrences of one kind.

    Parameters
    ----------
    measured : Measured
        The run; events with p below 0.5 and excluded ones are left out.
    clock_h : mapping of str to (n_frames,) float64
        Hours of every frame by position.
    kind : str
        One of :data:`KINDS`.

    Returns
    -------
    pandas.DataFrame
        As :func:`true_occurrences` returns them; the time of an entry lies midway between the frames that hold it,
        ``p`` is that of the event.
    """
    if kind == "death":
        guests = measured.tables["guests"]
        rows = guests[guests["death_frame"].notna() & (guests["death_frame"] > guests["first_frame"])]
        at = frame_hours(rows["position"], rows["death_frame"], clock_h)
        return _rows(rows, at, True, "", p=1.0)
    events = measured.tables["events"]
    events = events[(events["p"] >= 0.5) & (events["excluded_reason"] == "")]
    brief = events["brief"].astype(bool)
    if kind == "entry":
        keep = events["entry_frame"].notna() & ~events["prevalent"].astype(bool)
        rows = events[keep]
        inside = frame_hours(rows["position"], rows["entry_frame"], clock_h)
        before = frame_hours(rows["position"], rows["entry_after_frame"], clock_h)
        at = np.where(np.isfinite(before), (inside + before) / 2, inside)
        return _rows(rows, at, ~brief[keep], "brief", p=rows["p"])
    if kind == "abort":
        rows = events[(events["end_reason"] == "aborted") & events["entry_frame"].isna()]
        return _rows(rows, frame_hours(rows["position"], rows["end_frame"], clock_h), True, "", p=rows["p"])
    rows = events[(events["end_reason"] == kind) & events["entry_frame"].notna()]
    at = frame_hours(rows["position"], rows["end_frame"], clock_h)
    return _rows(rows, at, ~rows["brief"].astype(bool), "brief", p=rows["p"])


def sampled_events(truth: Truth) -> pd.DataFrame:
    """Add to true events what the frames of the movie could show of them.

    Returns
    -------
    pandas.DataFrame
        ``truth.events`` and: ``first_inside``, ``last_inside`` (frames; NaN where no frame fell into the stay),
        ``n_entering``, ``watched`` (the guest was in view, outside, in the frame before), ``lasting`` (inside in
        two frames at least that stand for ten minutes, by the rule of the events), ``seen_after`` (in view after
        the end).
    """
    events = truth.events.reset_index(drop=True)
    seen = truth.frames[["position", "frame", "guest_id", "location"]].copy()
    seen["hour"] = frame_hours(seen["position"], seen["frame"], truth.clock_h)
    by_guest = {key: rows.sort_values("frame") for key, rows in seen.groupby(["position", "guest_id"])}
    columns: dict[str, list[float]] = {
        n: [] for n in ("first_inside", "last_inside", "n_entering", "watched", "lasting", "seen_after")
    }
    for event in events.itertuples():
        rows = by_guest.get((event.position, event.guest_id))
        found = _sample(event, rows) if rows is not None else (np.nan, np.nan, 0, 0, 0, 0)
        for name, value in zip(columns, found, strict=True):
            columns[name].append(float(value))
    out = events.assign(**columns)
    return out.astype({"watched": bool, "lasting": bool, "seen_after": bool})


def _sample(event: object, rows: pd.DataFrame) -> tuple[float, float, float, float, float, float]:
    hour, frame = rows["hour"].to_numpy(), rows["frame"].to_numpy()
    location = rows["location"].to_numpy(object)
    start, entry = float(getattr(event, "start_h")), float(getattr(event, "entry_h"))  # noqa: B009 - itertuples
    end = float(getattr(event, "end_h"))  # noqa: B009
    begin = entry if np.isfinite(entry) else -np.inf
    within = (hour >= begin - 1e-9) & (hour <= end + 1e-9) & (location == "inside")
    never = not np.isfinite(entry) and not bool(getattr(event, "prevalent"))  # noqa: B009
    stay = np.flatnonzero(within) if not never else np.zeros(0, np.int64)
    entering = int(((hour >= start - 1e-9) & (hour <= min(end, begin if begin > -np.inf else end) + 1e-9)
                    & (location == "entering")).sum())  # fmt: skip
    after = float((hour > end).any())
    if not stay.size:
        return np.nan, np.nan, entering, 0.0, 0.0, after
    first, last = stay[0], stay[-1]
    watched = first > 0 and frame[first - 1] == frame[first] - 1 and location[first - 1] != "inside"
    lasting = lasts(hour, int(first), int(last), PERSISTENCE_H * 60.0)
    return float(frame[first]), float(frame[last]), entering, float(watched), float(lasting), after


def _true_deaths(truth: Truth) -> pd.DataFrame:
    rows = truth.frames.sort_values(["position", "guest_id", "frame"], kind="stable").reset_index(drop=True)
    rows["hour"] = frame_hours(rows["position"], rows["frame"], truth.clock_h)
    key = ["position", "guest_id"]
    dead = rows[rows["viability"] == "dead"].drop_duplicates(key)
    signs = rows[rows["viability"] != "alive"].drop_duplicates(key).set_index(key)["hour"]
    first = rows.drop_duplicates(key).set_index(key)["frame"]
    keyed = pd.MultiIndex.from_frame(dead[key])
    seen_alive = dead["frame"].to_numpy() > first.reindex(keyed).to_numpy()
    return _rows(dead, dead["hour"], seen_alive, "dead when first seen", since_h=signs.reindex(keyed).to_numpy())


def _why_not(rows: pd.DataFrame) -> list[str]:
    pairs = zip(rows["watched"], rows["lasting"], strict=True)
    return ["" if w and k else "shorter than asked" if w else "not watched from outside" for w, k in pairs]


def _rows(
    rows: pd.DataFrame, time_h: Any, counts: Any, note: Any, *, p: Any = 1.0, since_h: Any = None
) -> pd.DataFrame:
    out = pd.DataFrame({"position": rows["position"].to_numpy(object), "guest_id": rows["guest_id"].to_numpy()})
    since = time_h if since_h is None else since_h
    for name, value in (("since_h", since), ("time_h", time_h), ("counts", counts), ("p", p), ("note", note)):
        out[name] = value.to_numpy() if isinstance(value, pd.Series) else value
    out["counts"] = out["counts"].astype(bool)
    out.loc[out["counts"], "note"] = ""
    return out[list(COLUMNS)]
