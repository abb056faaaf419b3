"""Agreement of two reviewers, and the items left to adjudicate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from cicimage.errors import ConfigurationError, ResultsError, nearest
from cicimage.review.base import load_base
from cicimage.review.corrected import Corrected
from cicimage.review.edits import Decision, Edit, Verdict, parse_edit
from cicimage.review.log import ADJUDICATED, Record, history, log_path, read_log, reviewers
from cicimage.review.queue import Item, build_queue, load_queue_tables
from cicimage.review.response import guest_of
from cicimage.review.session import Session, is_finished, position_names
from cicimage.store import Results

CATEGORIES: Final = ("inside", "entering", "outside", "unresolved", "unsure")
TRACKING: Final = ("link", "break", "split", "swap", "merge", "delete", "paint", "erase", "split_mask", "merge_masks")


@dataclass(frozen=True)
class Opinion:
    """What one reviewer makes of one item.

    Attributes
    ----------
    category : str
        inside | entering | outside | unresolved | unsure.
    entry_frame : float
        First frame inside, NaN where there is none.
    """

    category: str
    entry_frame: float = float("nan")


@dataclass(frozen=True)
class Agreement:
    """How far two reviewers agree on the items both judged.

    Attributes
    ----------
    reviewers : (str, str)
        Who.
    table : pandas.DataFrame
        Items by category of the first (rows) and of the second (columns).
    kappa, ci_low, ci_high : float
        Cohen's kappa with its 95 % interval; NaN where it is not defined.
    share : float
        Items with the same category.
    n : int
        Items both judged.
    entry_errors : (n_entries,) float64
        Second's entry frame minus the first's, where both saw one.
    tolerance_frames : int
        Entry frames that differ by no more are the same.
    disputed : tuple of Item
        Items with different categories, or entries further apart.
    """

    reviewers: tuple[str, str]
    table: pd.DataFrame
    kappa: float
    ci_low: float
    ci_high: float
    share: float
    n: int
    entry_errors: npt.NDArray[np.float64]
    tolerance_frames: int
    disputed: tuple[Item, ...]

    @property
    def entries_within(self) -> float:
        """Share of entries both saw that lie within the tolerance; NaN where there is none."""
        return float(np.mean(np.abs(self.entry_errors) <= self.tolerance_frames)) if len(self.entry_errors) else np.nan


def kappa(table: npt.ArrayLike) -> tuple[float, float, float]:
    """Cohen's kappa and its 95 % interval from a square table of counts.

    The standard error is the large-sample one (Fleiss, Cohen and Everitt, Psychological Bulletin 1969, 72:323).

    Examples
    --------
    >>> [round(x, 2) for x in kappa([[20, 5], [10, 15]])]
    [0.4, 0.15, 0.65]
    """
    counts = np.asarray(table, np.float64)
    n = counts.sum()
    if n == 0:
        return (float("nan"),) * 3
    p = counts / n
    row, column = p.sum(axis=1), p.sum(axis=0)
    seen, chance = float(np.trace(p)), float(row @ column)
    if chance >= 1.0 - 1e-12:
        return (float("nan"),) * 3
    value = (seen - chance) / (1 - chance)
    mean = row[None, :] + column[:, None]
    diagonal = sum(p[i, i] * (1 - mean[i, i] * (1 - value)) ** 2 for i in range(len(p)))
    rest = (1 - value) ** 2 * sum(
        p[i, j] * (column[i] + row[j]) ** 2 for i in range(len(p)) for j in range(len(p)) if i != j
    )
    variance = (diagonal + rest - (value - chance * (1 - value)) ** 2) / (n * (1 - chance) ** 2)
    half = 1.959964 * float(np.sqrt(max(variance, 0.0)))
    return float(value), float(max(-1.0, value - half)), float(min(1.0, value + half))


# ---------------------------------------------------------------- opinions


def compare(results: Results, first: str, second: str, *, tolerance_frames: int = 1, early: bool = False) -> Agreement:
    """Compare two reviewers on the items both judged.

    Parameters
    ----------
    results : Results
        The folder.
    first, second : str
        Reviewers.
    tolerance_frames : int
        Entry frames that differ by no more count as the same.
    early : bool
        Compare though a review is not finished.

    Raises
    ------
    ConfigurationError
        No such reviewer, or one has not finished: until both have, neither may see the other's.
    """
    records = {who: _records(results, who) for who in (first, second)}
    for who, log in records.items():
        if not early and not is_finished(log):
            raise ConfigurationError(
                f"{who} has not declared the review finished: until both have, neither is shown the other's; "
                "finish it in the Review panel"
            )
    items, opinions = _opinions(results, records)
    both = [i for i in items if i.id in opinions[first] and i.id in opinions[second]]
    table = np.zeros((len(CATEGORIES),) * 2, np.int64)
    errors, disputed = [], []
    for item in both:
        a, b = opinions[first][item.id], opinions[second][item.id]
        table[CATEGORIES.index(a.category), CATEGORIES.index(b.category)] += 1
        error = b.entry_frame - a.entry_frame
        if np.isfinite(error):
            errors.append(error)
        if a.category != b.category or abs(error) > tolerance_frames:
            disputed.append(_disputed(item, a, b))
    value, low, high = kappa(table)
    share = float(np.trace(table) / table.sum()) if table.sum() else float("nan")
    named = pd.DataFrame(table, index=pd.Index(CATEGORIES, name=first), columns=pd.Index(CATEGORIES, name=second))
    return Agreement(
        (first, second), named, value, low, high, share, len(both), np.array(errors, np.float64), tolerance_frames,
        tuple(disputed),
    )  # fmt: skip


def _disputed(item: Item, a: Opinion, b: Opinion) -> Item:
    said = f"one says {a.category}, the other {b.category}"
    if a.category == b.category:
        said = f"both say {a.category}, entries at frames {a.entry_frame:.0f} and {b.entry_frame:.0f}"
    return replace(item, drawn="disputed", reason=said)


def _records(results: Results, who: str) -> Sequence[Record]:
    known = reviewers(results.root)
    if who not in known:
        raise ConfigurationError(f"reviewer {who!r}: has no log in {results.root}; {nearest(who, known)}")
    return read_log(log_path(results.root, who)).records


def _opinions(
    results: Results, records: Mapping[str, Sequence[Record]]
) -> tuple[list[Item], dict[str, dict[str, Opinion]]]:
    """Items any of the reviewers judged, and each one's opinion of those they judged."""
    names = position_names(results)
    done = {who: history(log).done for who, log in records.items()}
    judged = {who: _verdicts(parse_edit(r.body["edit"]) for r in edits) for who, edits in done.items()}
    tables = load_queue_tables(results, names)
    items: dict[str, Item] = {}
    for log in records.values():
        items |= {i.id: i for i in build_queue(tables, str(log[0].body["salt"])) if i.drawn != "repeat"}
    wanted = {i: item for i, item in items.items() if any(i in v for v in judged.values())}
    opinions: dict[str, dict[str, Opinion]] = {who: {} for who in records}
    for position_id in sorted({item.candidate.position for item in wanted.values()}):
        base = load_base(results, names[position_id])
        for who, edits in done.items():
            corrected = Corrected.replayed(base, edits)
            for name, item in wanted.items():
                if item.candidate.position == position_id and name in judged[who]:
                    opinions[who][name] = _opinion(corrected, item, judged[who][name])
    return list(wanted.values()), opinions


def _verdicts(edits: Any) -> dict[str, str]:
    """Last verdict by item; ``set`` where states were set by hand since."""
    found: dict[str, str] = {}
    for e in edits:
        if isinstance(e, Decision) and e.item and not getattr(e, "repeat", False):
            found[e.item] = e.verdict if isinstance(e, Verdict) else "set"
    return found


def _opinion(corrected: Corrected, item: Item, verdict: str) -> Opinion:
    """What the corrected tables say of an item's frames."""
    if verdict == "unsure":
        return Opinion("unsure")
    guest = guest_of(corrected, item)
    scored = corrected.guest(guest)
    c = item.candidate
    rows = scored.frames[(scored.frames["frame"] >= c.first) & (scored.frames["frame"] <= c.last)]
    events = scored.events[(scored.events["p"] >= 0.5) & (scored.events["excluded_reason"] == "")]
    events = events[(events["start_frame"] <= c.last) & (events["end_frame"] >= c.first)]
    entered = events[events["entry_frame"].notna()]
    entered = entered[entered["entry_frame"] <= c.last]
    if len(entered) and (rows["location"] == "inside").any():
        return Opinion("inside", float(entered["entry_frame"].iloc[0]))
    if (rows["location"] == "entering").any():
        return Opinion("entering")
    return Opinion("unresolved" if (rows["location"] == "unresolved").mean() > 0.5 else "outside")


# ---------------------------------------------------------------- settling


def adjudicate(results: Results, first: str, second: str, *, tolerance_frames: int = 1) -> tuple[Session, list[Item]]:
    """Open the adjudication: a log of its own that begins with what both agree on.

    The first reviewer's edits are taken over, but for verdicts on disputed items; the second's tracks and masks are
    taken over in positions where the first changed none. Verdicts on the disputed items are then given anew.

    Parameters
    ----------
    results : Results
        The folder.
    first, second : str
        Reviewers.
    tolerance_frames : int
        Entry frames that differ by no more count as the same.

    Returns
    -------
    (Session, list of Item)
        The open session, and the disputed items still to be settled.
    """
    agreement = compare(results, first, second, tolerance_frames=tolerance_frames)
    session = Session.open(results, ADJUDICATED, {"of": [first, second]})
    try:
        if list(session.log.header.get("of", [])) != [first, second]:
            raise ResultsError(
                f"{session.log.path}: settles {' and '.join(session.log.header.get('of', []))}, not {first} and "
                f"{second}; move it aside to begin anew"
            )
        if len(session.log.records) == 1:
            _take_over(session, results, agreement)
    except BaseException:
        session.close()
        raise
    settled = {i for i, v in _verdicts(e for _, e in session.edits()).items() if v != "unsure"}
    return session, [i for i in agreement.disputed if i.id not in settled]


def _take_over(session: Session, results: Results, agreement: Agreement) -> None:
    disputed = {i.id for i in agreement.disputed}
    places = [(i.candidate.position, i.candidate.first, i.candidate.last) for i in agreement.disputed]
    mine, theirs = ([e for _, e in _done(results, who)] for who in agreement.reviewers)
    tracked = {e.position for e in mine if e.kind in TRACKING}
    for edit in mine:
        if getattr(edit, "item", "") not in disputed and not _touches(edit, places):
            session.do(edit)
    for edit in theirs:
        if edit.kind in TRACKING and edit.position not in tracked:
            session.do(edit)


def _touches(edit: Edit, places: Sequence[tuple[str, int, int]]) -> bool:
    """Whether an entry, end, death or location lies where something is disputed."""
    if edit.kind not in {"entry", "end", "death", "location", "viability", "add_event"}:
        return False
    first, last = getattr(edit, "first", 0), getattr(edit, "last", 0)
    return any(edit.position == p and first <= b and last >= a for p, a, b in places)


def _done(results: Results, who: str) -> list[tuple[int, Edit]]:
    return [(r.n, parse_edit(r.body["edit"])) for r in history(_records(results, who)).done]


def constancy(records: Sequence[Record]) -> tuple[int, int]:
    """How often a reviewer said the same when shown an item a second time: same, asked."""
    first: dict[str, str] = {}
    again: dict[str, str] = {}
    for record in history(records).done:
        edit = parse_edit(record.body["edit"])
        if isinstance(edit, Verdict) and edit.item:
            (again if edit.repeat else first)[edit.item.removesuffix("/2")] = edit.verdict
    asked = [i for i in again if i in first]
    return sum(first[i] == again[i] for i in asked), len(asked)
