"""The reviewed random sample as the statistics take it: which calls were real, and what was missed between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import pandas as pd

from cicimage.review.corrected import Corrected
from cicimage.review.log import Record, history
from cicimage.review.queue import Item, build_queue, load_queue_tables, progress
from cicimage.statistics.tallies import counted_events
from cicimage.store import Results

COLUMNS: Final = ("condition", "sample", "is_entry", "hours")
SETTLED: Final = ("accept", "reject", "set")


def sample_of(
    queue: Sequence[Item], judged: Mapping[str, str], corrected: Mapping[str, Corrected], condition: Mapping[str, str]
) -> pd.DataFrame:
    """One row per random item that a reviewer settled.

    Parameters
    ----------
    queue : sequence of Item
        The reviewer's queue; only what was drawn at random counts, the doubtful items are no sample.
    judged : mapping of str to str
        Last verdict by item.
    corrected : mapping of str to Corrected
        Corrected positions by position id.
    condition : mapping of str to str
        Condition by position id.

    Returns
    -------
    pandas.DataFrame
        condition; sample: ``event`` where the program counts an entry there, ``other`` elsewhere; is_entry: whether
        the corrected results count one; hours: length of the stretch. Drawn from hours, so that long stays are drawn
        more often than short ones.
    """
    rows = []
    entries = {position_id: counted_events(c.tables()["events"]) for position_id, c in corrected.items()}
    called = {position_id: counted_events(c.base.events) for position_id, c in corrected.items()}
    for item in queue:
        c = item.candidate
        if item.drawn != "random" or judged.get(item.id) not in SETTLED or c.position not in corrected:
            continue
        rows.append({
            "condition": condition[c.position],
            "sample": "event" if _enters(called[c.position], c.guest_id, c.first, c.last) else "other",
            "is_entry": _enters(entries[c.position], c.guest_id, c.first, c.last), "hours": c.hours,
        })  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _enters(events: pd.DataFrame, guest: int, first: int, last: int) -> bool:
    mine = events[events["guest_id"] == guest]
    return bool(mine["entry_frame"].between(first, last).any())


def reviewed_sample(
    results: Results, names: Mapping[str, str], records: Sequence[Record], corrected: Mapping[str, Corrected]
) -> pd.DataFrame:
    """The random sample of one reviewer's log; empty where nothing random was settled.

    Parameters
    ----------
    results : Results
        The folder.
    names : mapping of str to str
        Names of the finished positions by position id.
    records : sequence of Record
        The log.
    corrected : mapping of str to Corrected
        Positions that were edited, as corrected; the others are as found.
    """
    if not records:
        return pd.DataFrame(columns=list(COLUMNS))
    tables = load_queue_tables(results, names)
    queue = build_queue(tables, str(records[0].body["salt"]))
    done = history(records).done
    judged = progress(queue, done).judged
    return sample_of(queue, judged, corrected, tables.condition)
