"""One position under correction: edits go in, the tables of the guests they touch come out anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import pandas as pd

from cicimage.events.histories import host_histories
from cicimage.methods import Observations
from cicimage.pipeline.judge import observe
from cicimage.review.anchor import CellRef, ReviewError, cell_now
from cicimage.review.base import Base
from cicimage.review.draft import Change, Draft
from cicimage.review.edits import Decision, Edit, ExcludeHost, ExcludePosition
from cicimage.review.rescore import (
    Scored,
    decided_on_others,
    guests_decided,
    guests_of,
    guests_touched_by,
    score_guests,
    structurally_touched,
)
from cicimage.review.rows import cell_rows

KEPT_GUESTS: Final = 32
"""Guests without edits whose rows are kept at hand."""
SORTED_BY: Final[Mapping[str, tuple[str, ...]]] = {
    "cells": ("frame", "cell_id"), "pairs": ("frame", "guest_id", "host_id"), "frames": ("frame", "guest_id"),
    "events": ("guest_id", "start_frame"), "guests": ("guest_id",), "hosts": ("host_id",),
}  # fmt: skip


@dataclass(eq=False)
class Corrected:
    """A position's base, the edits made to it, and what they make of the guests they touch.

    Attributes
    ----------
    draft : Draft
        Base and edits.
    scored : dict of int to Scored
        Guests that differ from the base.
    conflicts : dict of int to str
        Edits that do not fit (any more), by number of their record; none is dropped.
    """

    draft: Draft
    scored: dict[int, Scored] = field(default_factory=dict)
    conflicts: dict[int, str] = field(default_factory=dict)
    _refused: dict[int, str] = field(default_factory=dict, repr=False)
    _stale: set[int] = field(default_factory=set, repr=False)
    _as_found: dict[int, Scored] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, base: Base) -> Corrected:
        """Begin without edits."""
        return cls(Draft(base))

    @property
    def base(self) -> Base:
        """Base results."""
        return self.draft.base

    # ------------------------------------------------------------ edits

    def do(self, n: int, edit: Edit) -> None:
        """Apply an edit; the guests it touches are scored anew when next asked for.

        Raises
        ------
        ReviewError
            It does not fit; nothing was changed.
        """
        change = edit.change(self.draft)
        before = self._touched(change)
        self.draft.apply(n, edit)
        self._mark(before, change, edit)

    def replay(self, n: int, edit: Edit) -> None:
        """Apply an edit of a log: one that does not fit is listed as a conflict, and the others go on."""
        try:
            self.do(n, edit)
        except ReviewError as error:
            self._refused[n] = self.conflicts[n] = str(error)

    def undo(self, n: int, edit: Edit) -> None:
        """Take the last edit back; one that was a conflict is struck from the list."""
        self.conflicts.pop(n, None)
        if self._refused.pop(n, None) is not None:
            return
        decided = guests_of(self.draft, edit) if n in self.draft.decisions else set()
        if not isinstance(edit, Decision):  # what hangs on objects near, before they change hands
            decided |= guests_decided(self.draft, decided_on_others(self.draft))
        change = self.draft.undo(n)
        # asked again as the draft stands now: the change held what stood there before
        self._mark(decided | guests_touched_by(self.draft, change), change, None)
        self._stale |= {g for g in self.scored if g not in self._differing()}

    def _mark(self, before: set[int], change: Change, edit: Edit | None) -> None:
        stale = before | self._touched(change)
        if edit is not None and change.decides:
            stale |= guests_of(self.draft, edit)
        self._stale |= stale

    def _touched(self, change: Change) -> set[int]:
        """Guests whose evidence a change alters, and those of decisions that may pass to another guest with it."""
        touched = guests_touched_by(self.draft, change)
        return touched | guests_decided(self.draft, decided_on_others(self.draft)) if change.structural else touched

    def _differing(self) -> set[int]:
        return structurally_touched(self.draft) | guests_decided(self.draft)

    def refresh(self) -> set[int]:
        """Score what is stale.

        Returns
        -------
        set of int
            Guests that were scored or fell back to the base.
        """
        if not self._stale:
            return set()
        stale, self._stale = self._stale, set()
        differing = self._differing() | (set(self.scored) & stale)
        now = stale & differing
        for guest in stale - differing:
            self.scored.pop(guest, None)
        true_now = self._differing()
        for guest in [g for g in self.scored if g not in true_now]:
            del self.scored[guest]
        scores = score_guests(self.draft, now & true_now)
        self.scored.update(scores.guests)
        self._list_conflicts(scores.conflicts)
        return stale

    def _list_conflicts(self, found: Mapping[int, str]) -> None:
        self.conflicts = {n: s for n, s in self.conflicts.items() if n in self._refused or n in self.draft.decisions}
        for n in self.draft.decisions:
            try:
                self.draft.guests_about(n)
                if n not in found:
                    self.conflicts.pop(n, None)
            except ReviewError as error:
                self.conflicts[n] = str(error)
        self.conflicts |= found

    # ------------------------------------------------------------ what comes out

    @property
    def excluded(self) -> str:
        """Why the whole position does not count; empty where it does."""
        reasons = [e.reason for e in self.draft.decisions.values() if isinstance(e, ExcludePosition)]
        return reasons[-1] if reasons else ""

    def guest(self, guest_id: int) -> Scored:
        """One guest as it is now."""
        self.refresh()
        if guest_id in self.scored:
            scored = self.scored[guest_id]
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
        if self.draft.untouched:
            return found
        out = {}
        for name in ("pairs", "frames", "events", "guests"):
            mine = {g: s for g, s in self.scored.items() if name != "pairs" or not s.as_seen}
            out[name] = _merged(found[name], "guest_id", set(mine), [getattr(s, name) for s in mine.values()], name)
        cells = self.draft.touched_cells()
        out["events"] = numbered(out["events"], base.events)
        out["cells"] = _merged(base.cells, "cell_id", cells, [cell_rows(self.draft, cells)], "cells")
        out["hosts"] = self._hosts(out["frames"], out["events"])
        return {n: out[n] for n in SORTED_BY}

    def _hosts(self, frames: pd.DataFrame, events: pd.DataFrame) -> pd.DataFrame:
        """Histories of the hosts that changed themselves or whose guests did."""
        base = self.base
        hosts = {c for c in self.draft.touched_cells() | self._parents() if self._is_host(c)}
        mine = self.scored
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
        gone = {cell_now(self.draft, e.host) for e in self._excluded_hosts()}
        merged = _merged(base.hosts, "host_id", hosts, [histories], "hosts")
        return merged[~merged["host_id"].isin(list(gone))].reset_index(drop=True)

    def _parents(self) -> set[int]:
        touched = self.draft.touched_cells()
        return {p for c in touched for p in (self.base.parents.get(c, 0), self.draft.parent_of(c)) if p}

    def _is_host(self, cell: int) -> bool:
        was = self.base.objects_of(cell)
        return bool(self.draft.objects_of(self.base.host, cell)) or (bool(was) and was[0].population == self.base.host)

    def _hosts_seen(self, hosts: set[int]) -> Observations:
        kin = {child for h in hosts for child in self.draft.children_of(h)}
        cells = cell_rows(self.draft, hosts | kin)
        return observe(cells, self.base.pairs.iloc[:0], self.base.drift, self.base.setting, self.base.time_h)

    def _excluded_hosts(self) -> list[ExcludeHost]:
        return [e for n, e in self.draft.decisions.items() if isinstance(e, ExcludeHost) and n not in self.conflicts]


def numbered(events: pd.DataFrame, base: pd.DataFrame) -> pd.DataFrame:
    """Column ``number``: the base's event of the same guest and time keeps its number, new ones come behind.

    Pictures of events are filed by this number.
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


__all__ = ["CellRef", "Corrected"]
