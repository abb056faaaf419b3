"""What does not count, and why."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from cicimage.review.anchor import CellRef
from cicimage.review.draft import NO_CHANGE, Change, Draft
from cicimage.review.edits.edit import Edit, check_host, check_span
from cicimage.review.guest_frames import GuestFrames


class _Exclusion(Edit):
    decides: ClassVar[bool] = True

    reason: str = Field(min_length=1)
    """Shown in the report."""

    def change(self, draft: Draft) -> Change:
        """Alter no object."""
        return NO_CHANGE

    def guests(self, draft: Draft) -> set[int] | None:
        """All guests of the position."""
        return None


class ExcludePosition(_Exclusion):
    """A whole position does not count."""

    kind: Literal["exclude_position"] = "exclude_position"

    def guests(self, draft: Draft) -> set[int] | None:
        """None is judged anew: the position is left out as a whole."""
        return set()

    @property
    def title(self) -> str:
        """Reason."""
        return f"position excluded: {self.reason}"


class ExcludeHost(_Exclusion):
    """A host does not count, and neither does the time guests spent at it."""

    kind: Literal["exclude_host"] = "exclude_host"
    host: CellRef

    def change(self, draft: Draft) -> Change:
        """Check the host."""
        check_host(draft, self.host)
        return super().change(draft)

    @property
    def applied_host(self) -> CellRef:
        """The host."""
        return self.host

    def apply_to(self, frames: GuestFrames, host: int) -> None:
        """Frames at this host do not count."""
        frames.excluded[(frames.host_id == host) & (frames.location != "free")] = self.reason

    @property
    def title(self) -> str:
        """Reason."""
        return f"host excluded: {self.reason}"


class ExcludeFrames(_Exclusion):
    """A range of frames does not count, for all guests."""

    kind: Literal["exclude_frames"] = "exclude_frames"
    first: int
    last: int

    def change(self, draft: Draft) -> Change:
        """Check the frames."""
        check_span(draft, self.first, self.last)
        return super().change(draft)

    def apply_to(self, frames: GuestFrames, host: int) -> None:
        """Frames in the range do not count."""
        frames.excluded[frames.between(self.first, self.last)] = self.reason

    @property
    def title(self) -> str:
        """Frames and reason."""
        return f"frames {self.first}-{self.last} excluded: {self.reason}"
