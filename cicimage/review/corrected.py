"""One position under correction: edits go in, the tables of the guests they touch come out anew.

Undo replays: the changes of the edits that are left are applied to the base again. Scores are kept by guest and made
anew where the evidence or the decisions about a guest differ from those they were made of.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from cicimage.events.histories import host_histories
from cicimage.methods import Observations
from cicimage.pipeline.judge import observe
from cicimage.review.base import Base
from cicimage.review.decisions import Decisions, Resolved, resolve
from cicimage.review.draft import NO_CHANGE, Change, Draft
from cicimage.review.edits import Edit, ExcludeHost, ExcludePosition, parse_edit
from cicimage.review.keys import ReviewError
from cicimage.review.log import Record
from cicimage.review.rescore import Scored, score_guests
from cicimage.review.rows import cell_rows
from cicimage.review.touched import all_guests, guests_touched

KEPT_GUESTS: Final = 32
"""Guests without edits whose rows are kept at hand."""
SORTED_BY: Final[Mapping[str, tuple[str, ...]]] = {
    "cells": ("frame", "cell_id"), "pairs": ("frame", "guest_id", "host_id"), "frames": ("frame", "guest_id"),
    "events": ("guest_id", "start_frame"), "guests": ("guest_id",), "hosts": ("host_id",),
}  # fmt: skip


class Step(NamedTuple):
    """One edit, the change it made, and why it was refused (empty where it was applied)."""

    edit: Edit
    change: Change
    refused: str = ""


@dataclass(eq=False)
class Corrected:
    """A position's base, the edits made to it, and the scores of the guests they touch.

    Attributes
    ----------
    base : Base
        Base results.
    steps : dict of int to Step
        Edits by number of their record, in order.
    """

    base: Base
    steps: dict[int, Step] = field(default_factory=dict)
    _draft: Draft = field(init=False, repr=False)
    _structural: set[int] | None = field(default=None, repr=False)  # guests whose evidence differs, in this draft
    _resolved: Mapping[int, Resolved] = field(default_factory=dict, repr=False)  # cells of decisions, in this draft
    _decisions: Decisions | None = field(default=None, repr=False)
    _scored: dict[int, Scored] = field(default_factory=dict, repr=False)
    _as_found: dict[int, Scored] = field(default_factory=dict, repr=False)
    _fresh: bool = field(default=True, repr=False)

    def __post_init__(self) -> None:
        self._draft = Draft(self.base)

    @property
    def draft(self) -> Draft:
        """Objects and tracks as they stand."""
        return self._draft

    @classmethod
    def replayed(cls, base: Base, done: Iterable[Record]) -> Corrected:
        """A position with the edits of a log.

        Parameters
        ----------
        base : Base
            Base results of the position.
        done : iterable of Record
            Edits in force, in order; those of other positions are left out.

        Returns
        -------
        Corrected
            Edits that do not fit are among its conflicts.
        """
        corrected = cls(base)
        for record in done:
            edit = parse_edit(record.body["edit"])
            if edit.position == base.position_id:
                corrected.replay(record.n, edit)
        return corrected

    # ------------------------------------------------------------ edits

    def do(self, n: int, edit: Edit) -> None:
        """Apply an edit.

        Parameters
        ----------
        n : int
            Number of its record.
        edit : Edit
            The edit.

        Raises
        ------
        ReviewError
            It does not fit; nothing was changed.
        """
        self.apply(n, edit, edit.change(self._draft))

    def replay(self, n: int, edit: Edit) -> None:
        """Apply an edit of a log; one that does not fit becomes a conflict.

        Parameters
        ----------
        n : int
            Number of its record.
        edit : Edit
            The edit.
        """
        try:
            self.do(n, edit)
        except ReviewError as error:
            self.steps[n] = Step(edit, NO_CHANGE, str(error))

    def undo(self) -> None:
        """Take the last edit back."""
        _, step = self.steps.popitem()
        if not step.change.empty:
            self._move(Draft(self.base).changed(s.change for s in self.steps.values()), step.change)
        self._decisions, self._fresh = None, False

    def apply(self, n: int, edit: Edit, change: Change) -> None:
        """Apply an edit that was checked.

        Parameters
        ----------
        n : int
            Number of its record.
        edit : Edit
            The edit.
        change : Change
            What the edit alters in :attr:`draft`.
        """
        self.steps[n] = Step(edit, change)
        if not change.empty:
            self._move(self._draft.changed([change]), change)
        self._decisions, self._fresh = None, False

    def _move(self, draft: Draft, change: Change) -> None:
        """Go to another draft, which differs from this one by a change; scores of the guests it touches are dropped."""
        if self._scored:
            for guest in guests_touched(self._draft, change) | guests_touched(draft, change):
                self._scored.pop(guest, None)
        self._draft, self._structural, self._resolved = draft, None, {}

    @property
    def decisions(self) -> Decisions:
        """Decisions in force, with the cells they mean now."""
        if self._decisions is None:
            applied = {n: s.edit for n, s in self.steps.items() if not s.refused}
            self._decisions = resolve(self._draft, applied, self._resolved)
            self._resolved = self._decisions.resolved
        return self._decisions

    @property
    def conflicts(self) -> dict[int, str]:
        """Why edits do not fit (any more), by number of their record; none is dropped."""
        return {n: s.refused for n, s in self.steps.items() if s.refused} | self.decisions.conflicts

    def refresh(self) -> None:
        """Score the guests whose evidence or decisions are not those they were scored with."""
        if self._fresh:
            return
        decisions = self.decisions
        if self._structural is None:
            self._structural = guests_touched(self._draft, self._draft.edited)
        decided = all_guests(self._draft) if decisions.on_all else set(decisions.by_guest)
        differing = self._structural | decided
        self._scored = {
            guest: scored
            for guest, scored in self._scored.items()
            if guest in differing and scored.decisions == decisions.on_guest(guest)
        }
        wanted = differing - self._scored.keys()
        if wanted:
            self._scored |= score_guests(self._draft, wanted, self._structural, decisions)
        self._fresh = True

    # ------------------------------------------------------------ what comes out

    @property
    def excluded(self) -> str:
        """Why the whole position does not count; empty where it does."""
        reasons = [e.reason for e in self.decisions.edits.values() if isinstance(e, ExcludePosition)]
        return reasons[-1] if reasons else ""

    @property
    def untouched(self) -> bool:
        """Nothing differs from the base."""
        return self._draft.edited.empty and not self.decisions.edits

    def guest(self, guest_id: int) -> Scored:
        """One guest as it is now."""
        self.refresh()
        if guest_id in self._scored:
            scored = self._scored[guest_id]
            if not scored.as_seen:
                return scored
            cells, pairs = self._seen(guest_id)
            return replace(scored, cells=cells, pairs=pairs)
        if guest_id not in self._as_found:
            if len(self._as_found) >= KEPT_GUESTS:
                self._as_found.pop(next(iter(self._as_found)))
            self._as_found[guest_id] = self._found(guest_id)
        return self._as_found[guest_id]

    def _found(self, guest_id: int) -> Scored:
        """One guest as the pipeline found it."""
        base = self.base
        cells, pairs = self._seen(guest_id)
        return Scored(
            cells, pairs, frames=base.frames.iloc[base.frame_index.rows([guest_id])],
            events=base.events[base.events["guest_id"] == guest_id],
            guests=base.guests[base.guests["guest_id"] == guest_id],
        )  # fmt: skip

    def _seen(self, guest_id: int) -> tuple[pd.DataFrame, pd.DataFrame]:
        """One guest's cells and evidence as the pipeline found them."""
        base = self.base
        keys = [base.code(k) for k in base.objects_of(guest_id)]
        cells = base.cells.iloc[base.cell_index.rows([guest_id])]
        return cells, base.pairs.iloc[base.pair_index.rows(keys)]

    def tables(self) -> dict[str, pd.DataFrame]:
        """The position's base tables as corrected: cells, pairs, frames, events, guests, hosts, each row marked."""
        self.refresh()
        base = self.base
        found = {n: getattr(base, n) for n in SORTED_BY}
        if self.untouched:
            return found
        out = {}
        for name in ("pairs", "frames", "events", "guests"):
            mine = {g: s for g, s in self._scored.items() if name != "pairs" or not s.as_seen}
            out[name] = _merged(found[name], "guest_id", set(mine), [getattr(s, name) for s in mine.values()], name)
        cells = self.draft.edited_cells
        out["events"] = numbered(out["events"], base.events)
        out["cells"] = _merged(base.cells, "cell_id", cells, [cell_rows(self.draft, cells)], "cells")
        out["hosts"] = self._hosts(out["frames"], out["events"])
        return {n: out[n] for n in SORTED_BY}

    def _hosts(self, frames: pd.DataFrame, events: pd.DataFrame) -> pd.DataFrame:
        """Histories of the hosts that changed themselves or whose guests did."""
        base = self.base
        hosts = {c for c in self.draft.edited_cells | self._parents() if self._is_host(c)}
        mine = self._scored
        old = base.frames.iloc[base.frame_index.rows(mine)]
        for rows in (old, *(s.frames for s in mine.values())):
            hosts |= {int(h) for h in rows.loc[rows["location"] == "inside", "host_id"].unique()}
        was = base.events[base.events["guest_id"].isin(list(mine))]
        for part in (was, *(s.events for s in mine.values())):
            hosts |= {int(h) for h in part["host_id"].unique()}
        hosts -= {0}
        now = frames[frames["host_id"].isin(list(hosts))]
        histories = host_histories(now, self._hosts_seen(hosts), events[events["p"] > 0.0])
        histories = histories[histories["host_id"].isin(list(hosts))].assign(reviewed=True)
        decisions = self.decisions
        gone = {r.host for n, r in decisions.resolved.items() if r.host and isinstance(decisions.edits[n], ExcludeHost)}
        merged = _merged(base.hosts, "host_id", hosts, [histories], "hosts")
        return merged[~merged["host_id"].isin(list(gone))].reset_index(drop=True)

    def _parents(self) -> set[int]:
        touched = self.draft.edited_cells
        return {p for c in touched for p in (self.base.parents.get(c, 0), self.draft.parent_of(c)) if p}

    def _is_host(self, cell: int) -> bool:
        was = self.base.objects_of(cell)
        return bool(self.draft.objects_of(self.base.host, cell)) or (bool(was) and was[0].population == self.base.host)

    def _hosts_seen(self, hosts: set[int]) -> Observations:
        kin = {child for h in hosts for child in self.draft.children_of(h)}
        cells = cell_rows(self.draft, hosts | kin)
        return observe(cells, self.base.pairs.iloc[:0], self.base.drift, self.base.setting, self.base.time_h)


def numbered(events: pd.DataFrame, base: pd.DataFrame) -> pd.DataFrame:
    """Number events so that pictures of events, which are filed by number, still belong to them.

    Parameters
    ----------
    events : pandas.DataFrame
        Events as corrected.
    base : pandas.DataFrame
        Events in the base; the n-th row has number n.

    Returns
    -------
    pandas.DataFrame
        ``events`` with column ``number``: that of the base's event of the same guest and time, new ones above.
    """
    free: dict[int, list[tuple[int, int, int]]] = {}
    columns = (base[c].tolist() for c in ("guest_id", "start_frame", "end_frame"))
    for n, (guest, start, end) in enumerate(zip(*columns, strict=True), start=1):
        free.setdefault(int(guest), []).append((n, int(start), int(end)))
    numbers, more = [], len(base)
    columns = (events[c].tolist() for c in ("guest_id", "start_frame", "end_frame"))
    for guest, start, end in zip(*columns, strict=True):
        same = [e for e in free.get(int(guest), ()) if e[1] <= end and e[2] >= start]
        if same:
            free[int(guest)].remove(same[0])
        else:
            more += 1
        numbers.append(same[0][0] if same else more)
    return events.assign(number=np.array(numbers, np.int64))


def _merged(base: pd.DataFrame, column: str, gone: set[int], parts: list[pd.DataFrame], name: str) -> pd.DataFrame:
    """The base without some rows, with others in their place, in the base's order."""
    kept = base[~base[column].isin(list(gone))]
    full = [p for p in (kept, *parts) if len(p)]
    if not full:
        return base.iloc[:0]
    rows = pd.concat(full, ignore_index=True) if len(full) > 1 else full[0]
    rows = rows.assign(reviewed=rows["reviewed"].eq(True))
    return rows.sort_values(list(SORTED_BY[name]), kind="stable", ignore_index=True)
