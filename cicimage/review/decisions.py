"""Decisions on guests, hosts and frames, and the guests each of them applies to in a draft."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from cicimage.review.anchor import cell_now
from cicimage.review.draft import Draft
from cicimage.review.edits import Edit, Verdict
from cicimage.review.keys import ReviewError


class Resolved(NamedTuple):
    """The cells one decision means in a draft.

    ``guests`` is None where the decision applies to all guests, ``host`` is 0 where it names none, and ``conflict``
    says why the decision does not fit; it is empty where it does.
    """

    guests: frozenset[int] | None
    host: int = 0
    conflict: str = ""


class Applied(NamedTuple):
    """A decision that applies to a guest: number of its record, and the host it names (0 = none)."""

    n: int
    host: int


@dataclass(frozen=True, eq=False)
class Decisions:
    """Decisions of one position, resolved in one draft.

    Attributes
    ----------
    edits : mapping of int to Edit
        Decisions in force by number of their record, in order.
    resolved : mapping of int to Resolved
        The cells each of them means.
    """

    edits: Mapping[int, Edit] = field(default_factory=dict)
    resolved: Mapping[int, Resolved] = field(default_factory=dict)

    @cached_property
    def conflicts(self) -> dict[int, str]:
        """Why decisions do not fit, by number of their record."""
        return {n: found.conflict for n, found in self.resolved.items() if found.conflict}

    @cached_property
    def by_guest(self) -> dict[int, list[Applied]]:
        """Decisions that apply to single guests, by guest."""
        found: dict[int, list[Applied]] = {}
        for n, (guests, host, conflict) in self.resolved.items():
            for guest in () if conflict else guests or ():
                found.setdefault(guest, []).append(Applied(n, host))
        return found

    @cached_property
    def on_all(self) -> list[Applied]:
        """Decisions that apply to all guests: exclusions of hosts and frames."""
        return [Applied(n, r.host) for n, r in self.resolved.items() if r.guests is None and not r.conflict]

    def on_guest(self, guest: int) -> tuple[Applied, ...]:
        """Decisions that apply to a guest in the order they are applied: exclusions last."""
        return (*self.by_guest.get(guest, ()), *self.on_all)


def resolve(draft: Draft, edits: Mapping[int, Edit], known: Mapping[int, Resolved]) -> Decisions:
    """Find the cells that decisions mean in a draft.

    Parameters
    ----------
    draft : Draft
        The position.
    edits : mapping of int to Edit
        Edits by number of their record, in order; those that are no decisions are left out.
    known : mapping of int to Resolved
        What was resolved in this very draft before.

    Returns
    -------
    Decisions
        Without the verdicts on items that were judged again later: the last verdict counts.
    """
    replaced = _replaced(edits)
    decisions = {n: edit for n, edit in edits.items() if edit.decides and n not in replaced}
    return Decisions(decisions, {n: known.get(n) or _resolved(draft, edit) for n, edit in decisions.items()})


def _resolved(draft: Draft, edit: Edit) -> Resolved:
    try:
        guests = edit.guests(draft)
        host = edit.applied_host
        named = cell_now(draft, host) if host is not None else 0
    except ReviewError as error:
        return Resolved(frozenset(), conflict=str(error))
    return Resolved(guests if guests is None else frozenset(guests), named)


def _replaced(edits: Mapping[int, Edit]) -> set[int]:
    """Verdicts on an item that was judged again later."""
    last: dict[str, int] = {}
    old: set[int] = set()
    for n, edit in edits.items():
        if isinstance(edit, Verdict) and edit.item and not edit.repeat:
            if edit.item in last:
                old.add(last[edit.item])
            last[edit.item] = n
    return old
