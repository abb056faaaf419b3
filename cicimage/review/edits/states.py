"""Where a guest was and whether it lived: entry, end and death frames, states over an interval."""

from __future__ import annotations

from typing import Literal

import numpy as np

from cicimage.review.anchor import CellRef
from cicimage.review.draft import Change, Draft
from cicimage.review.edits.edit import Decision, check_host, check_span
from cicimage.review.guest_frames import GuestFrames
from cicimage.review.keys import ReviewError

Location = Literal["free", "attached", "entering", "inside", "unresolved"]
Contact = Literal["none", "on_top", "under", "lateral", "between", "unresolved"]
Viability = Literal["alive", "dead", "unknown"]


class SetEntry(Decision):
    """The entry into the event of frames ``first..last`` happened elsewhere."""

    kind: Literal["entry"] = "entry"
    frame: int
    """First frame inside."""

    def change(self, draft: Draft) -> Change:
        """Check the frame."""
        check_span(draft, self.frame, self.frame)
        if self.frame > self.last:
            raise ReviewError(
                f"entry at frame {self.frame}: must not lie after the event's end at frame {self.last}; "
                "move the end first (Y)"
            )
        return super().change(draft)

    def apply_to(self, frames: GuestFrames, host: int) -> None:
        """Inside from the frame on; what was called inside before was still entering."""
        usual = frames.usual_host(frames.between(self.first, self.last))
        early = frames.between(self.first, self.frame - 1) & (frames.location == "inside")
        frames.set_outside(early, "entering", "lateral")
        frames.set_inside(frames.between(self.frame, self.last), usual)

    @property
    def title(self) -> str:
        """Frame."""
        return f"entry at frame {self.frame}"


class SetEnd(Decision):
    """The stay of the event of frames ``first..last`` ended elsewhere."""

    kind: Literal["end"] = "end"
    frame: int
    """Last frame inside."""

    def change(self, draft: Draft) -> Change:
        """Check the frame."""
        check_span(draft, self.frame, self.frame)
        if self.frame < self.first:
            raise ReviewError(
                f"end at frame {self.frame}: must not lie before the event's start at frame {self.first}; "
                "move the entry first (T) or reject the event (R)"
            )
        return super().change(draft)

    def apply_to(self, frames: GuestFrames, host: int) -> None:
        """Outside after the frame, as it was after the old end; inside up to it."""
        usual = frames.usual_host(frames.between(self.first, self.last))
        later = frames.between(self.frame + 1, self.last) & np.isin(
            frames.location, ["inside", "entering", "unresolved"]
        )
        if later.any():
            after = np.flatnonzero(frames.frame > self.last)
            free = bool(len(after)) and frames.location[after[0]] == "free"
            frames.set_outside(later, "free" if free else "attached")
        if self.frame > self.last:
            frames.set_inside(frames.between(self.last + 1, self.frame), usual)
        frames.reviewed |= frames.between(self.frame, self.frame)

    @property
    def title(self) -> str:
        """Frame."""
        return f"end at frame {self.frame}"


class SetDeath(Decision):
    """The guest died at a frame, or did not die at all."""

    kind: Literal["death"] = "death"
    frame: int | None
    """First dead frame; None = it did not die."""

    def change(self, draft: Draft) -> Change:
        """Check the frame."""
        if self.frame is not None:
            check_span(draft, self.frame, self.frame)
        return super().change(draft)

    def apply_to(self, frames: GuestFrames, host: int) -> None:
        """Dead from the frame on: death is absorbing; who was called dead before was alive."""
        stop = np.iinfo(np.int64).max if self.frame is None else self.frame
        before = frames.frame < stop
        wrong = before & np.isin(frames.viability, ["dead", "dying"])
        frames.viability[wrong], frames.p_dead[wrong] = "alive", 0.0
        frames.viability[~before], frames.p_dead[~before] = "dead", 1.0
        frames.reviewed |= wrong | ~before

    @property
    def title(self) -> str:
        """Frame."""
        return "not dead" if self.frame is None else f"death at frame {self.frame}"


class SetLocation(Decision):
    """Where the guest was over an interval."""

    kind: Literal["location"] = "location"
    location: Location
    contact: Contact = "unresolved"
    """How it touched the host, where it was attached."""
    host: CellRef | None = None
    """The host; None keeps the most likely one."""

    def change(self, draft: Draft) -> Change:
        """Check the host."""
        if self.host is not None:
            check_host(draft, self.host)
        return super().change(draft)

    @property
    def applied_host(self) -> CellRef | None:
        """The host named."""
        return self.host

    def apply_to(self, frames: GuestFrames, host: int) -> None:
        """Write the location."""
        where = frames.between(self.first, self.last)
        if self.location == "inside":
            frames.set_inside(where, host)
        elif self.location == "unresolved":
            frames.set_unresolved(where)
        else:
            frames.set_outside(where, self.location, self.contact)
        if host and self.location != "free":
            frames.host_id[where] = host

    @property
    def title(self) -> str:
        """Location and frames."""
        return f"{self.location}, frames {self.first}-{self.last}"


class SetViability(Decision):
    """Whether the guest lived over an interval; dead holds from its first frame to the end."""

    kind: Literal["viability"] = "viability"
    viability: Viability

    def apply_to(self, frames: GuestFrames, host: int) -> None:
        """Write the viability."""
        last = int(frames.frame[-1]) if self.viability == "dead" and len(frames.frame) else self.last
        where = frames.between(self.first, last)
        frames.viability[where] = self.viability
        frames.p_dead[where] = {"alive": 0.0, "dead": 1.0, "unknown": np.nan}[self.viability]
        if self.viability == "alive":
            # who is alive now was alive before
            wrong = (frames.frame < self.first) & np.isin(frames.viability, ["dead", "dying"])
            frames.viability[wrong], frames.p_dead[wrong] = "alive", 0.0
            where = where | wrong
        frames.reviewed |= where

    @property
    def title(self) -> str:
        """Viability and frames."""
        return f"{self.viability}, frames {self.first}-{self.last}"
