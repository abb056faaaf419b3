"""How good the program's calls are, from what was drawn at random and reviewed: sensitivity and predictive value.

Only random items count: the doubtful ones are looked at *because* they are likely wrong, and so are no sample.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import pandas as pd

from cicimage.review.base import load_base
from cicimage.review.corrected import Corrected
from cicimage.review.log import history, log_path, read_log
from cicimage.review.queue import Item, build_queue, load_queue_tables, progress
from cicimage.review.response import guest_of
from cicimage.review.sample import SETTLED
from cicimage.review.session import position_names
from cicimage.statistics.intervals import binomial_interval
from cicimage.store import Results

COLUMNS: Final = ("estimand", "condition", "estimate", "ci_low", "ci_high", "n", "note")
ESTIMANDS: Final = ("sensitivity_inside", "specificity_inside", "ppv_inside")


def call_accuracy(
    queue: Sequence[Item], judged: Mapping[str, str], corrected: Mapping[str, Corrected], condition: Mapping[str, str]
) -> pd.DataFrame:
    """Accuracy of "inside", frame by frame, from reviewed random person-time.

    Parameters
    ----------
    queue : sequence of Item
        The reviewer's queue.
    judged : mapping of str to str
        Last verdict by item.
    corrected : mapping of str to Corrected
        Corrected positions by position id.
    condition : mapping of str to str
        Condition by position id.

    Returns
    -------
    pandas.DataFrame
        estimand (sensitivity_inside, specificity_inside, ppv_inside), condition (empty = all), estimate, ci_low,
        ci_high (exact binomial), n (frames it rests on), note. Each drawn frame counts once: was the guest inside,
        and did the program say so.
    """
    rows = []
    for item in queue:
        if item.drawn != "random" or judged.get(item.id) not in SETTLED:
            continue
        c = item.candidate
        now = corrected[c.position].guest(guest_of(corrected[c.position], item)).frames
        base = corrected[c.position].base
        found = base.frames.iloc[base.frame_index.rows([c.guest_id])]
        for frame in item.draws:
            truth, called = _inside(now, frame), _inside(found, frame)
            if truth is not None and called is not None:
                rows.append({"condition": condition[c.position], "truth": truth, "called": called})
    seen = pd.DataFrame(rows, columns=["condition", "truth", "called"])
    parts = [("", seen), *((str(name), part) for name, part in seen.groupby("condition"))]
    return pd.DataFrame([_row(e, name, part) for e in ESTIMANDS for name, part in parts], columns=list(COLUMNS))


def _inside(frames: pd.DataFrame, frame: int) -> bool | None:
    row = frames[frames["frame"] == frame]
    if not len(row) or row["location"].iloc[0] == "unresolved":
        return None
    return bool(row["location"].iloc[0] == "inside")


def _row(estimand: str, condition: str, seen: pd.DataFrame) -> dict[str, object]:
    truth, called = seen["truth"].to_numpy(bool), seen["called"].to_numpy(bool)
    given, hit = {
        "sensitivity_inside": (truth, called), "specificity_inside": (~truth, ~called), "ppv_inside": (called, truth),
    }[estimand]  # fmt: skip
    n = int(given.sum())
    if not n:
        row = {"estimate": np.nan, "ci_low": np.nan, "ci_high": np.nan, "note": "no such frame was drawn yet"}
    else:
        found = binomial_interval(int((given & hit).sum()), n)
        row = {"estimate": found.estimate, "ci_low": found.low, "ci_high": found.high, "note": ""}
    return {"estimand": estimand, "condition": condition, "n": n, **row}


def accuracy_of(results: Results, reviewer: str) -> pd.DataFrame:
    """Accuracy of "inside" from a reviewer's log.

    Parameters
    ----------
    results : Results
        The folder.
    reviewer : str
        Who has a log in it.

    Returns
    -------
    pandas.DataFrame
        As :func:`call_accuracy` gives it.
    """
    names = position_names(results)
    tables = load_queue_tables(results, names)
    records = read_log(log_path(results.root, reviewer)).records
    done = history(records).done
    queue = build_queue(tables, str(records[0].body["salt"]))
    judged = progress(queue, done).judged
    seen = {i.candidate.position for i in queue if i.drawn == "random" and i.id in judged}
    positions = {p: Corrected.replayed(load_base(results, names[p]), done) for p in seen}
    return call_accuracy(queue, judged, positions, tables.condition)
