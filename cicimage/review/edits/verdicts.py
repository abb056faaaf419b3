"""Verdicts on what the program called, events it missed, notes."""

from __future__ import annotations

from typing import Any, Final, Literal

import numpy as np
from pydantic import Field

from cicimage.review.anchor import CellRef
from cicimage.review.draft import NO_CHANGE, Change, Draft
from cicimage.review.edits.edit import Decision, Edit, check_host, check_span
from cicimage.review.guest_frames import GuestFrames
from cicimage.review.keys import ReviewError

Call = Literal["event", "under", "on_top", "between", "attached", "unresolved", "free", "inside", "entering"]
"""What the program said of an interval: an event, or how the guest lay."""
CALLED_INSIDE: Final = ("event", "inside", "entering")


class Verdict(Decision):
    """Whether the program's call over an interval is right."""

    kind: Literal["verdict"] = "verdict"
    call: Call
    """What the program called."""
    verdict: Literal["accept", "reject", "unsure"]
    host: CellRef | None = None
    """The host, where there is one."""
    was: dict[str, Any] = Field(default_factory=dict)
    """The event's row when it was judged; a rejected event is kept with it."""
    repeat: bool = False
    """Asked a second time to measure the reviewer's own constancy: changes nothing."""

    def change(self, draft: Draft) -> Change:
        """Check that the verdict can be carried out."""
        change = super().change(draft)
        if self.verdict == "reject" and self.call == "unresolved":
            raise ReviewError("unresolved: rejecting it leaves open what it is; say it with 1 to 5 (location)")
        if self.verdict == "reject" and self.call not in CALLED_INSIDE and self.host is None:
            raise ReviewError(
                f"rejecting {self.call!r} makes the guest inside, but no host is near; click the host first"
            )
        if self.host is not None:
            check_host(draft, self.host)
        return change

    @property
    def changes_nothing(self) -> bool:
        """An unsure verdict, or one asked for a second time to measure constancy."""
        return self.verdict == "unsure" or self.repeat

    @property
    def applied_host(self) -> CellRef | None:
        """The host, where rejecting the call puts the guest inside."""
        turned_inside = self.verdict == "reject" and self.call not in CALLED_INSIDE and not self.repeat
        return self.host if turned_inside else None

    def apply_to(self, frames: GuestFrames, host: int) -> None:
        """Accepting settles the call, rejecting turns it round, unsure changes nothing."""
        if self.changes_nothing:
            return
        where = frames.between(self.first, self.last)
        if self.verdict == "accept":
            frames.p_inside[where & (frames.location == "inside")] = 1.0
            frames.p_inside[where & ~np.isin(frames.location, ["inside", "unresolved"])] = 0.0
            frames.p_entering[where & (frames.location == "entering")] = 1.0
            frames.reviewed |= where
        elif self.call in CALLED_INSIDE:
            frames.set_outside(where & np.isin(frames.location, ["inside", "entering"]))
            frames.reviewed |= where
        else:
            frames.set_inside(where, host)

    @property
    def title(self) -> str:
        """Verdict, call and frames."""
        return f"{self.verdict} {self.call}, frames {self.first}-{self.last}"


class AddEvent(Decision):
    """An event the program missed."""

    kind: Literal["add_event"] = "add_event"
    host: CellRef
    """The host it went into."""
    entry_frame: int | None
    """First frame inside; None where it never got in."""

    def change(self, draft: Draft) -> Change:
        """Check host and entry."""
        change = super().change(draft)
        check_host(draft, self.host)
        if self.entry_frame is not None and not self.first <= self.entry_frame <= self.last:
            raise ReviewError(
                f"entry at frame {self.entry_frame}: must lie in the event's frames {self.first} to {self.last}; "
                "move the entry or the end"
            )
        return change

    @property
    def applied_host(self) -> CellRef:
        """The host it went into."""
        return self.host

    def apply_to(self, frames: GuestFrames, host: int) -> None:
        """Entering until the entry, inside from then on."""
        entry = self.last + 1 if self.entry_frame is None else self.entry_frame
        begun = frames.between(self.first, entry - 1)
        frames.set_outside(begun, "entering", "lateral")
        frames.host_id[begun] = host
        if self.entry_frame is not None:
            frames.set_inside(frames.between(entry, self.last), host)

    @property
    def title(self) -> str:
        """Frames."""
        return f"event added, frames {self.first}-{self.last}"


class Note(Edit):
    """A remark; changes nothing."""

    kind: Literal["note"] = "note"
    text: str = Field(min_length=1)
    frame: int
    item: str = ""

    def change(self, draft: Draft) -> Change:
        """Nothing but a check of the frame."""
        check_span(draft, self.frame, self.frame)
        return NO_CHANGE

    @property
    def title(self) -> str:
        """The text."""
        return f"note: {self.text}"
