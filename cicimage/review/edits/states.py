"""Where a guest was and whether it lived: entry, end and death frames, states over an interval."""

from __future__ import annotations

from typing import Literal

import numpy as np

from cicimage.review.anchor import CellRef, ReviewError, cell_now
from cicimage.review.draft import Change, Draft
from cicimage.review.edits.edit import Decision, check_host, check_span
from cicimage.review.sheet import Sheet

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

    def lay(self, draft: Draft, sheet: Sheet) -> None:
        """Inside from the frame on; what was called inside before was still entering."""
        host = sheet.usual_host(sheet.rows(self.first, self.last))
        early = sheet.rows(self.first, self.frame - 1) & (sheet.location == "inside")
        sheet.put_outside(early, "entering", "lateral")
        sheet.put_inside(sheet.rows(self.frame, self.last), host)

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

    def lay(self, draft: Draft, sheet: Sheet) -> None:
        """Outside after the frame, as it was after the old end; inside up to it."""
        host = sheet.usual_host(sheet.rows(self.first, self.last))
        later = sheet.rows(self.frame + 1, self.last) & np.isin(sheet.location, ["inside", "entering", "unresolved"])
        if later.any():
            after = np.flatnonzero(sheet.frame > self.last)
            free = bool(len(after)) and sheet.location[after[0]] == "free"
            sheet.put_outside(later, "free" if free else "attached")
        if self.frame > self.last:
            sheet.put_inside(sheet.rows(self.last + 1, self.frame), host)
        sheet.reviewed |= sheet.rows(self.frame, self.frame)

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

    def lay(self, draft: Draft, sheet: Sheet) -> None:
        """Dead from the frame on: death is absorbing; who was called dead before was alive."""
        stop = np.iinfo(np.int64).max if self.frame is None else self.frame
        before = sheet.frame < stop
        wrong = before & np.isin(sheet.viability, ["dead", "dying"])
        sheet.viability[wrong], sheet.p_dead[wrong] = "alive", 0.0
        sheet.viability[~before], sheet.p_dead[~before] = "dead", 1.0
        sheet.reviewed |= wrong | ~before

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

    def lay(self, draft: Draft, sheet: Sheet) -> None:
        """Write the location."""
        where = sheet.rows(self.first, self.last)
        host = cell_now(draft, self.host) if self.host is not None else 0
        if self.location == "inside":
            sheet.put_inside(where, host)
        elif self.location == "unresolved":
            sheet.put_unresolved(where)
        else:
            sheet.put_outside(where, self.location, self.contact)
        if host and self.location != "free":
            sheet.host_id[where] = host

    @property
    def title(self) -> str:
        """Location and frames."""
        return f"{self.location}, frames {self.first}-{self.last}"


class SetViability(Decision):
    """Whether the guest lived over an interval; dead holds from its first frame to the end."""

    kind: Literal["viability"] = "viability"
    viability: Viability

    def lay(self, draft: Draft, sheet: Sheet) -> None:
        """Write the viability."""
        last = int(sheet.frame[-1]) if self.viability == "dead" and len(sheet.frame) else self.last
        where = sheet.rows(self.first, last)
        sheet.viability[where] = self.viability
        sheet.p_dead[where] = {"alive": 0.0, "dead": 1.0, "unknown": np.nan}[self.viability]
        if self.viability == "alive":
            # who is alive now was alive before
            wrong = (sheet.frame < self.first) & np.isin(sheet.viability, ["dead", "dying"])
            sheet.viability[wrong], sheet.p_dead[wrong] = "alive", 0.0
            where = where | wrong
        sheet.reviewed |= where

    @property
    def title(self) -> str:
        """Viability and frames."""
        return f"{self.viability}, frames {self.first}-{self.last}"
