"""What does not count, and why."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from cicimage.review.anchor import CellRef, cell_now
from cicimage.review.draft import Change, Draft
from cicimage.review.edits.edit import Edit, check_host, check_span
from cicimage.review.sheet import Sheet


class _Exclusion(Edit):
    excludes: ClassVar[bool] = True

    reason: str = Field(min_length=1)
    """Shown in the report."""

    def change(self, draft: Draft) -> Change:
        """Alter no object: it is laid over the scores."""
        return Change(decides=True)

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

    def lay(self, draft: Draft, sheet: Sheet) -> None:
        """Frames at this host do not count."""
        host = cell_now(draft, self.host)
        sheet.excluded[(sheet.host_id == host) & (sheet.location != "free")] = self.reason

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

    def lay(self, draft: Draft, sheet: Sheet) -> None:
        """Frames in the range do not count."""
        sheet.excluded[sheet.rows(self.first, self.last)] = self.reason

    @property
    def title(self) -> str:
        """Frames and reason."""
        return f"frames {self.first}-{self.last} excluded: {self.reason}"
