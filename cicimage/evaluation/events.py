"""Matching of occurrences in the results to true ones of the same guest, within a time tolerance."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd

from cicimage.evaluation.states import precision_recall
from cicimage.tracking.matching import assign

TOLERANCE_H: Final = 12.0 / 60.0
COLUMNS: Final = (
    "kind", "position", "condition", "outcome", "guest_id_true", "guest_id", "time_true_h", "time_h", "error_min", "p",
    "reason",
)  # fmt: skip
_SHIFTED_WITHIN_H: Final = 6.0


def match_occurrences(
    truth: pd.DataFrame, result: pd.DataFrame, states: pd.DataFrame, *, kind: str, tolerance_h: float = TOLERANCE_H
) -> pd.DataFrame:
    """Decide which occurrences were found, missed, false, shifted or neutral.

    Two match where their times differ by no more than the tolerance (the duration of a death does not count) and the
    two guests were matched in some frame of that time. Matching is one to one: as many as possible, and among those
    sets the one with the smallest differences in time.

    Parameters
    ----------
    truth, result : pandas.DataFrame
        As :mod:`~cicimage.evaluation.occurrences` makes them.
    states : pandas.DataFrame
        Frames side by side (:func:`~cicimage.evaluation.states.label_states`) with ``hour`` and ``condition``.
    kind : str
        Name for the table.
    tolerance_h : float
        Hours.

    Returns
    -------
    pandas.DataFrame
        One row per occurrence or match. ``outcome``: found; missed; false; missed_shifted and false_shifted (the
        same guest's, but too far off in time: each is also a miss or a false one); neutral (one side does not
        count). ``reason`` is what the guest really was, or why it does not count.
    """
    together = _together(states)
    links = _candidates(truth, result, together, tolerance_h)
    chosen = _choose(links, len(truth), len(result), tolerance_h)
    condition = states.drop_duplicates("position").set_index("position")["condition"].to_dict()
    rows: list[dict[str, Any]] = []
    lost: list[int] = []
    for i, true in enumerate(_records(truth)):
        j = chosen[i]
        if j < 0:
            lost.append(i)
            continue
        measured = result.iloc[j]
        outcome = "found" if true["counts"] and measured["counts"] else "neutral"
        if true["counts"] and not measured["counts"]:
            outcome = "missed"
        rows.append(_row(true, measured, outcome, str(true["note"] or measured["note"])))
    extra = sorted(set(range(len(result))) - {j for j in chosen if j >= 0})
    shifted = _shifted(truth, result, together, lost, extra)
    for i in lost:
        unmatched, other = truth.iloc[i], shifted.get(i)
        if other is not None:
            rows.append(_row(unmatched, result.iloc[other], "missed_shifted", "same guest, other time"))
        else:
            rows.append(_row(unmatched, None, "missed" if unmatched["counts"] else "neutral", str(unmatched["note"])))
    taken = set(shifted.values())
    for j in extra:
        measured = result.iloc[j]
        outcome = "neutral" if not measured["counts"] else "false_shifted" if j in taken else "false"
        rows.append(_row(None, measured, outcome, _what_it_was(measured, states) if measured["counts"] else "brief"))
    out = pd.DataFrame(rows, columns=[c for c in COLUMNS if c not in ("kind", "condition")])
    out.insert(0, "kind", kind)
    out["condition"] = out["position"].map(condition).fillna("")
    return out[list(COLUMNS)]


def event_scores(matched: pd.DataFrame) -> dict[str, float]:
    """Precision, recall, F1 and time error (median, and 90th percentile of its size, minutes) of one kind."""
    outcome = matched["outcome"]
    found = float((outcome == "found").sum())
    missed = float(outcome.isin(["missed", "missed_shifted"]).sum())
    false = float(outcome.isin(["false", "false_shifted"]).sum())
    error = matched.loc[outcome == "found", "error_min"].to_numpy(np.float64)
    return {
        **precision_recall(found, false, missed), "found": found, "missed": missed, "false": false,
        "error_median_min": float(np.median(error)) if error.size else float("nan"),
        "error_p90_min": float(np.quantile(np.abs(error), 0.9)) if error.size else float("nan"),
    }  # fmt: skip


def ppv_at_rate(scores: dict[str, float], exposure_h: float, rates_per_h: tuple[float, ...]) -> pd.DataFrame:
    """Compute the precision of events at other true rates, with recall and false events per guest-hour unchanged.

    Parameters
    ----------
    scores : dict
        As :func:`event_scores` returns them.
    exposure_h : float
        True hours at risk of the event.
    rates_per_h : tuple of float
        True rates, per guest-hour.

    Returns
    -------
    pandas.DataFrame
        rate_per_h, recall, false_per_h, ppv.
    """
    false = scores["false"] / exposure_h if exposure_h else float("nan")
    rows = [
        {
            "rate_per_h": r,
            "recall": scores["recall"],
            "false_per_h": false,
            "ppv": scores["recall"] * r / d if d else np.nan,
        }
        for r in rates_per_h
        for d in [scores["recall"] * r + false]
    ]
    return pd.DataFrame(rows, columns=["rate_per_h", "recall", "false_per_h", "ppv"])


Together = dict[tuple[str, int], pd.DataFrame]


def _together(states: pd.DataFrame) -> Together:
    """Frames in which a true guest was matched, by (position, true guest)."""
    both = states.loc[states["both"], ["position", "guest_id_true", "guest_id", "hour"]]
    keyed: Any = both.groupby(["position", "guest_id_true"])
    return {(str(k[0]), int(k[1])): rows for k, rows in keyed}


def _candidates(
    truth: pd.DataFrame, result: pd.DataFrame, together: Together, tolerance_h: float
) -> list[tuple[int, int, float]]:
    links = []
    for i, true in enumerate(_records(truth)):
        rows = together.get((true["position"], true["guest_id"]))
        if rows is None:
            continue
        for j, found in enumerate(_records(result)):
            away = _away(true, found)
            if found["position"] != true["position"] or away > tolerance_h + 1e-9:
                continue
            low = min(true["since_h"], found["time_h"]) - tolerance_h
            high = max(true["time_h"], found["time_h"]) + tolerance_h
            if ((rows["guest_id"] == found["guest_id"]) & rows["hour"].between(low, high)).any():
                links.append((i, j, away))
    return links


def _records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    records: list[Any] = rows.to_dict("records")
    return records


def _away(true: Any, found: Any) -> float:
    """Hours between a true occurrence and one of the results; 0 within its length."""
    return max(float(true["since_h"] - found["time_h"]), float(found["time_h"] - true["time_h"]), 0.0)


def _choose(links: list[tuple[int, int, float]], n: int, m: int, tolerance_h: float) -> list[int]:
    rows = np.array([i for i, _, _ in links], np.int64)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n))]).astype(np.int64)
    gains = np.array([n + 1.0 - d / max(tolerance_h, 1e-9) for _, _, d in links], np.float64)
    return [int(j) for j in assign(indptr, np.array([j for _, j, _ in links], np.int64), gains, m)]


def _shifted(
    truth: pd.DataFrame, result: pd.DataFrame, together: Together, lost: list[int], extra: list[int]
) -> dict[int, int]:
    """Pair missed and false occurrences of the same guest, by number, the nearest in time first."""
    options = []
    for i in lost:
        true = truth.iloc[i]
        rows = together.get((str(true["position"]), int(true["guest_id"])))
        if rows is None or not true["counts"]:
            continue
        guests = set(rows["guest_id"])
        for j in extra:
            other = result.iloc[j]
            away = _away(true, other)
            same = other["position"] == true["position"] and other["guest_id"] in guests and other["counts"]
            if same and away <= _SHIFTED_WITHIN_H:
                options.append((away, i, j))
    pairs: dict[int, int] = {}
    for _, i, j in sorted(options):
        if i not in pairs and j not in pairs.values():
            pairs[i] = j
    return pairs


def _what_it_was(measured: pd.Series, states: pd.DataFrame) -> str:
    """What the guest truly was in the first frame after a false occurrence, else in its last."""
    rows = states[(states["position"] == measured["position"]) & (states["guest_id"] == measured["guest_id"])]
    if not len(rows):
        return "guest without frames"
    rows = rows.sort_values("hour", kind="stable")
    after = rows[rows["hour"] >= measured["time_h"] - 1e-9]
    then = after.iloc[0] if len(after) else rows.iloc[-1]
    return str(then["kind"]) if then["guest_id_true"] > 0 else "no guest there"


def _row(true: Any, measured: Any, outcome: str, reason: str) -> dict[str, Any]:
    either = true if true is not None else measured
    time_true = float(true["time_h"]) if true is not None else np.nan
    time_found = float(measured["time_h"]) if measured is not None else np.nan
    if true is not None:
        time_true = float(np.clip(time_found, true["since_h"], true["time_h"])) if measured is not None else time_true
    return {
        "position": either["position"], "outcome": outcome,
        "guest_id_true": int(true["guest_id"]) if true is not None else 0,
        "guest_id": int(measured["guest_id"]) if measured is not None else 0,
        "time_true_h": time_true, "time_h": time_found, "error_min": (time_found - time_true) * 60.0,
        "p": float(measured["p"]) if measured is not None else np.nan, "reason": reason,
    }  # fmt: skip
