"""The queue of items to review: which, in what order, and why.

The queue holds items of three kinds. *Doubtful* items are ordered by the probability that the call is wrong times its
effect on the rates: they remove most error per item reviewed. *Random* items, one in ten, are drawn from person-time:
they find confident errors, and sensitivity and predictive value are estimated from them. *Repeats*, one in twenty,
measure the reviewer's constancy.

A verdict that reverses the program's call is asked for a second time some items later, and a third time where the two
differ; the last one counts. Most calls are right, so that without this the reviewer's own slips would cost more than
the review gains.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from cicimage.review.candidates import Candidate, candidates, stretch_around
from cicimage.review.log import Record
from cicimage.store import Results, read_json, read_table

RANDOM_EVERY: Final = 10
REPEAT_EVERY: Final = 20
REPEAT_AFTER: Final = 8
"""A repeat comes at least this many items after the first time."""

MISLED: Final = 0.3
"""Probability that a reviewer errs on a call the program left unresolved."""
AGAIN_AFTER: Final = 6
"""A verdict that reverses a call is asked for again after this many others."""
MOST_LOOKS: Final = 3

MOST_DRAWS: Final = 5
"""Draws per random item wanted, before fewer items are taken: short movies have few stretches to hit."""

Drawn = Literal["doubtful", "random", "repeat", "disputed"]


@dataclass(frozen=True)
class Item:
    """One place in the queue.

    Attributes
    ----------
    id : str
        Stays the same as long as the guest is found at the same place.
    candidate : Candidate
        What to judge.
    drawn : str
        doubtful | random | repeat | disputed (between two reviewers).
    frame : int
        Frame to show first; the frame drawn where it was drawn from person-time.
    reason : str
        Why it is in the queue, without the condition.
    draws : tuple of int
        Frames drawn from person-time that fell on it; a long stretch is hit more than once.
    """

    id: str
    candidate: Candidate
    drawn: Drawn
    frame: int
    reason: str
    draws: tuple[int, ...] = ()


@dataclass(frozen=True)
class QueueTables:
    """What the queue is drawn from.

    Attributes
    ----------
    frames, events : mapping of str to pandas.DataFrame
        Base tables by position id.
    condition : mapping of str to str
        Condition by position id.
    """

    frames: Mapping[str, pd.DataFrame]
    events: Mapping[str, pd.DataFrame]
    condition: Mapping[str, str]


def load_queue_tables(results: Results, names: Mapping[str, str]) -> QueueTables:
    """Read what the queue is drawn from.

    Parameters
    ----------
    results : Results
        The folder.
    names : mapping of str to str
        Names of the finished positions by position id.
    """
    design = read_json(results.run)["design"]
    frames = {position_id: read_table(results.position(position_id).table("frames")) for position_id in names}
    events = {position_id: read_table(results.position(position_id).table("events")) for position_id in names}
    return QueueTables(frames, events, {p: str(design[name]["condition"]) for p, name in names.items()})


def build_queue(tables: QueueTables, salt: str) -> list[Item]:
    """Order all candidates, with random items and repeats among them.

    Parameters
    ----------
    tables : QueueTables
        Base tables of the positions.
    salt : str
        The reviewer's; the same salt gives the same queue.

    Returns
    -------
    list of Item
        Doubtful items by falling priority, with random ones and repeats among them.
    """
    found = [
        c
        for position_id in sorted(tables.frames)
        for c in candidates(position_id, tables.frames[position_id], tables.events[position_id])
    ]
    prioritized = prioritize(found, tables)
    rng = np.random.default_rng(int(hashlib.sha256(salt.encode()).hexdigest()[:15], 16))
    doubtful = [_doubtful(c, size) for c, _, size in prioritized]
    drawn = _random_items(tables, found, rng, -(-len(doubtful) // (RANDOM_EVERY - 1)) + 1)
    return _interleaved(doubtful, drawn, rng)


def _doubtful(candidate: Candidate, size: str) -> Item:
    share = f"{100 * candidate.p_wrong:.0f} %" if candidate.p_wrong >= 0.005 else "less than 1 %"
    if candidate.called_inside:
        doubt = f"called an event, {share} that it is none"
    elif candidate.call == "unresolved":
        doubt = f"left open, {share} that it was inside"
    else:
        doubt = f"called {candidate.call.replace('_', ' ')}, {share} that it was inside"
    return Item(item_id(candidate), candidate, "doubtful", candidate.focus, f"{doubt}; {size} effect on the rate")


def item_id(candidate: Candidate) -> str:
    """Id from where the guest is when the stretch begins."""
    c = candidate
    text = f"{c.position}|{c.call}|{c.first}|{c.y_um:.1f}|{c.x_um:.1f}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]


# ---------------------------------------------------------------- effect on the rate


def prioritize(found: Sequence[Candidate], tables: QueueTables) -> list[tuple[Candidate, float, str]]:
    """Priorities of candidates.

    Parameters
    ----------
    found : sequence of Candidate
        The candidates of all positions.
    tables : QueueTables
        Base tables of the positions.

    Returns
    -------
    list of (Candidate, float, str)
        Candidate, priority and the size of its effect in words, by falling priority.

    Notes
    -----
    The priority is the expected gain of a review (:func:`expected_gain`) times the change of the entry rate and the
    time inside of the condition (natural log). The words compare within a condition, so that they do not reveal it.
    """
    rows = [(c, tables.condition[c.position]) for c in found]
    hours_out, hours_in, entries = _totals(tables)
    effects = np.array([_effect(c, entries[k], hours_out[k], hours_in[k]) for c, k in rows])
    words = _in_words(effects, [k for _, k in rows])
    priority = effects * np.array([expected_gain(c) for c in found]) if found else np.zeros(0)
    order = np.argsort(-priority, kind="stable")
    return [(found[i], float(priority[i]), words[i]) for i in order]


def expected_gain(candidate: Candidate) -> float:
    """Probability that a review corrects a wrong call, less the probability that it makes a right one wrong.

    Where the program left a call open the optics hardly resolve it, and reviewers err too: reviewing what was most
    likely outside does more harm than good, so it comes late.
    """
    if candidate.call != "unresolved":
        return candidate.p_wrong
    return candidate.p_wrong * (1.0 - MISLED) - (1.0 - candidate.p_wrong) * MISLED


def _totals(tables: QueueTables) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
    outside: dict[str, float] = {}
    inside: dict[str, float] = {}
    entries: dict[str, float] = {}
    for position_id, frames in tables.frames.items():
        condition = tables.condition[position_id]
        hours = frame_hours(frames)
        living = frames["viability"].to_numpy(object) != "dead"
        within = frames["location"].to_numpy(object) == "inside"
        out = living & ~within & (frames["location"].to_numpy(object) != "unresolved")
        outside[condition] = outside.get(condition, 0.0) + float(hours[out].sum())
        inside[condition] = inside.get(condition, 0.0) + float(hours[living & within].sum())
        events = tables.events[position_id]
        counted = events["entry_frame"].notna() & ~events["prevalent"].astype(bool) & ~events["brief"].astype(bool)
        counted &= (events["p"] >= 0.5) & (events["excluded_reason"] == "")
        entries[condition] = entries.get(condition, 0.0) + float(counted.sum())
    return outside, inside, entries


def frame_hours(frames: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Hours of each row: half of the steps around it in its guest's track."""
    place = np.lexsort((frames["frame"].to_numpy(), frames["guest_id"].to_numpy()))
    time, guest = frames["time_h"].to_numpy(np.float64)[place], frames["guest_id"].to_numpy()[place]
    step = np.where(guest[1:] == guest[:-1], np.diff(time), 0.0)
    half = np.zeros(len(time))
    half[:-1] += 0.5 * step
    half[1:] += 0.5 * step
    out = np.zeros(len(time))
    out[place] = half
    return out


def _effect(candidate: Candidate, entries: float, hours_out: float, hours_in: float) -> float:
    """How far the log of the entry rate and of the time inside move if the call is wrong."""
    sign = -1.0 if candidate.called_inside else 1.0
    counted = 1.0 if candidate.counts else 0.0
    n = max(entries + sign * counted, 0.0)
    out = max(hours_out - sign * candidate.hours, 0.05 * hours_out)
    inside = max(hours_in + sign * candidate.hours, 0.0)
    rate = abs(np.log((n + 0.5) / (entries + 0.5)) - np.log((out + 0.1) / (hours_out + 0.1)))
    return float(rate + 0.5 * abs(np.log((inside + 0.5) / (hours_in + 0.5))))


def _in_words(effects: npt.NDArray[np.float64], conditions: Sequence[str]) -> list[str]:
    words = [""] * len(effects)
    for condition in set(conditions):
        mine = np.array([c == condition for c in conditions])
        low, high = np.quantile(effects[mine], [1 / 3, 2 / 3])
        for i in np.flatnonzero(mine):
            words[i] = "large" if effects[i] > high else "small" if effects[i] <= low else "medium"
    return words


# ---------------------------------------------------------------- random ones and repeats


def _random_items(tables: QueueTables, found: Sequence[Candidate], rng: np.random.Generator, n: int) -> list[Item]:
    """Draw from living person-time, each condition alike; a draw within a candidate shows that candidate."""
    by_condition: dict[str, list[str]] = {}
    for position_id in sorted(tables.frames):
        by_condition.setdefault(tables.condition[position_id], []).append(position_id)
    pools = []
    for keys in by_condition.values():
        rows = [tables.frames[k].assign(_key=k, _hours=frame_hours(tables.frames[k])) for k in keys]
        pool = pd.concat(rows, ignore_index=True)
        pool = pool.loc[(pool["viability"] != "dead") & (pool["_hours"] > 0), ["_key", "_hours", "guest_id", "frame"]]
        if len(pool):
            pools.append((pool, np.cumsum(pool["_hours"].to_numpy())))
    if not pools:
        return []
    near: dict[tuple[str, int], list[Candidate]] = {}
    for c in found:
        near.setdefault((c.position, c.guest_id), []).append(c)
    hit: dict[str, Item] = {}
    for i in range(MOST_DRAWS * n):
        if len(hit) >= n:
            break
        pool, until = pools[i % len(pools)]
        row = pool.iloc[int(np.searchsorted(until, rng.random() * until[-1], side="right"))]
        position_id, guest, frame = str(row["_key"]), int(row["guest_id"]), int(row["frame"])
        held = [c for c in near.get((position_id, guest), ()) if c.first <= frame <= c.last]
        if not held:
            held = [stretch_around(position_id, tables.frames[position_id], guest, frame)]
            near.setdefault((position_id, guest), []).append(held[0])
        name = item_id(held[0])
        before = hit.get(name, Item(name, held[0], "random", frame, "drawn at random from all hours watched"))
        hit[name] = replace(before, draws=(*before.draws, frame))
    return list(hit.values())


def _interleaved(doubtful: Sequence[Item], drawn: Sequence[Item], rng: np.random.Generator) -> list[Item]:
    """One item in ten random, one in twenty a repeat; each item occurs once, and once more as a repeat."""
    queue: list[Item] = []
    chosen = {i.id for i in drawn}
    waiting, chance = deque(i for i in doubtful if i.id not in chosen), deque(drawn)
    while waiting or chance:
        slot = len(queue)
        if slot % REPEAT_EVERY == REPEAT_EVERY - 3:
            queue.append(_repeat(queue, float(rng.random())))
        elif chance and (slot % RANDOM_EVERY == RANDOM_EVERY // 2 or not waiting):
            queue.append(chance.popleft())
        else:
            queue.append(waiting.popleft())
    return queue


def _repeat(queue: Sequence[Item], chance: float) -> Item:
    """An item some way back shown again; one stretch back each time, so that none is asked a third time."""
    first = max(0, len(queue) - REPEAT_AFTER - REPEAT_EVERY)
    early = [i for i in queue[first : len(queue) - REPEAT_AFTER] if i.drawn != "repeat"]
    item = early[int(chance * len(early))]
    reason = "shown a second time to measure constancy"
    return replace(item, id=f"{item.id}/2", drawn="repeat", reason=reason, draws=())


# ---------------------------------------------------------------- progress


@dataclass(frozen=True)
class Progress:
    """How far a reviewer is.

    Attributes
    ----------
    judged : dict of str to str
        Last verdict by item: accept | reject | unsure; ``set`` where entry, end or states were set by hand since.
    next : str
        Item to go on with; empty when all is done.
    """

    judged: dict[str, str]
    next: str


def progress(queue: Sequence[Item], done: Sequence[Record], shown: str = "") -> Progress:
    """What is judged, and the item to go on with.

    Parameters
    ----------
    queue : sequence of Item
        The reviewer's queue.
    done : sequence of Record
        Edits in force.
    shown : str
        Item shown last.

    Returns
    -------
    Progress
        The next item is the one shown last if it is open, else the first open one behind it; unsure ones come last.
    """
    judged = judged_items(done)
    ids = [i.id for i in queue]
    start = ids.index(shown) if shown in ids else 0
    ring = ids[start:] + ids[:start]
    open_ones = [i for i in ring if i not in judged]
    again = asked_again(done)
    open_ones += [i for i in again if i in set(ids)]
    unsure = [i for i in ring if judged.get(i) == "unsure" and i != shown]
    unsure += [i for i in ring if judged.get(i) == "unsure" and i == shown]
    return Progress(judged, (open_ones + unsure + [""])[0])


def judged_items(done: Sequence[Record]) -> dict[str, str]:
    """Last verdict by item from the edits in force; ``set`` where states were set by hand since."""
    judged: dict[str, str] = {}
    for record in done:
        edit = record.body["edit"]
        if edit.get("item") and edit["kind"] != "note":
            judged[edit["item"]] = edit.get("verdict", "set")
    return judged


def asked_again(done: Sequence[Record]) -> dict[str, int]:
    """Items to be looked at once more, with the number of verdicts given since: those waiting longest first."""
    answers: dict[str, list[str]] = {}
    since: dict[str, int] = {}
    n = 0
    for record in done:
        edit = record.body["edit"]
        item = edit.get("item", "")
        if not item or edit["kind"] == "note":
            continue
        answers.setdefault(item, []).append("" if edit.get("repeat") else edit.get("verdict", "set"))
        n += edit["kind"] == "verdict"
        since[item] = n
    waiting = {i: n - since[i] for i, verdicts in answers.items() if needs_another_look(verdicts)}
    return dict(sorted(waiting.items(), key=lambda pair: -pair[1]))


def needs_another_look(verdicts: Sequence[str]) -> bool:
    """Whether an item is shown once more, given the verdicts on it so far.

    Items whose states or entries were set by hand were examined more closely than by any verdict and do not come back.

    Examples
    --------
    >>> [needs_another_look(v) for v in (["accept"], ["reject"], ["reject", "reject"], ["reject", "accept"])]
    [False, True, False, True]
    """
    if not set(verdicts) <= {"accept", "reject"} or verdicts[0] != "reject" or len(verdicts) >= MOST_LOOKS:
        return False
    return len(verdicts) == 1 or verdicts[-1] != verdicts[-2]
