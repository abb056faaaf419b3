"""What every kind of edit has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict

from cicimage.review.anchor import CellRef, ReviewError, cell_now
from cicimage.review.draft import Change, Draft

if TYPE_CHECKING:
    from cicimage.review.sheet import Sheet


class Edit(BaseModel, ABC):
    """One thing a reviewer did to one position.

    A kind states in :meth:`change` what it alters, and raises there before anything is altered; the draft returns
    the inverse. A kind that decides (a verdict, a state, an exclusion) also says in :meth:`lay` what becomes of a
    guest's scored frames.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    excludes: ClassVar[bool] = False
    """Laid after all other decisions."""

    kind: str
    position: str
    """Opaque name of the position, such as p0001."""
    unblinded: bool = False
    """Made after the reviewer had seen the conditions."""

    @abstractmethod
    def change(self, draft: Draft) -> Change:
        """What it alters in a draft.

        Raises
        ------
        ReviewError
            It does not fit what is there.
        """

    def check(self, draft: Draft) -> None:
        """Raise where it does not fit a draft; alters nothing."""
        self.change(draft)

    def guests(self, draft: Draft) -> set[int] | None:
        """Guests a decision is about, None = all of the position."""
        return set()

    def lay(self, draft: Draft, sheet: Sheet) -> None:
        """Lay a decision over one guest's scored frames."""

    @property
    @abstractmethod
    def title(self) -> str:
        """A few words for the list of what was done."""


class Decision(Edit):
    """An edit on one guest's frames ``first..last``."""

    guest: CellRef
    """The guest, anchored at both ends of the interval."""
    first: int
    """First frame it speaks about."""
    last: int
    """Last frame it speaks about."""
    item: str = ""
    """The queue's item it was made on."""

    def change(self, draft: Draft) -> Change:
        """Alter no object: the edit itself is laid over the scores."""
        check_span(draft, self.first, self.last)
        check_guest(draft, self.guest)
        return Change(decides=True)

    def guests(self, draft: Draft) -> set[int]:
        """The guest."""
        return {cell_now(draft, self.guest)}


def check_span(draft: Draft, first: int, last: int) -> None:
    """Raise where frames are not in the movie or not in order."""
    if not 0 <= first <= last < draft.base.n_frames:
        raise ReviewError(
            f"frames {first} to {last}: must rise and lie in 0..{draft.base.n_frames - 1}; choose frames of the movie"
        )


def check_guest(draft: Draft, ref: CellRef) -> int:
    """The guest a reference means; raise where it is none."""
    if ref.population != draft.base.guest:
        raise ReviewError(f"population {ref.population!r}: must be the guests', {draft.base.guest!r}; choose a guest")
    return cell_now(draft, ref)


def check_host(draft: Draft, ref: CellRef) -> int:
    """The host a reference means; raise where it is none."""
    if ref.population != draft.base.host:
        raise ReviewError(f"population {ref.population!r}: must be the hosts', {draft.base.host!r}; choose a host")
    return cell_now(draft, ref)


def plain(value: Any) -> Any:
    """A value JSON can hold: NaN becomes None."""
    if isinstance(value, float) and value != value:
        return None
    return value.item() if hasattr(value, "item") else value
