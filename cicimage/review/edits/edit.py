"""What every kind of edit has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from cicimage.review.anchor import CellRef, cell_now
from cicimage.review.draft import NO_CHANGE, Change, Draft
from cicimage.review.guest_frames import GuestFrames
from cicimage.review.keys import ReviewError


class Edit(BaseModel, ABC):
    """One thing a reviewer did to one position.

    :meth:`change` says which objects and tracks an edit alters, and raises where the edit does not fit. An edit that
    decides (a verdict, a state, an exclusion) names its guests, and :meth:`apply_to` alters their scored frames.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    decides: ClassVar[bool] = False
    """Applies to the scored frames of guests."""

    kind: str
    position: str
    """Position id, such as p0001."""
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

    def guests(self, draft: Draft) -> set[int] | None:
        """Guests a decision applies to, None = all of the position.

        Raises
        ------
        ReviewError
            A guest it names is there no more.
        """
        return set()

    @property
    def applied_host(self) -> CellRef | None:
        """The host a decision puts into scored frames, None where it puts none."""
        return None

    def apply_to(self, frames: GuestFrames, host: int) -> None:
        """Alter one guest's scored frames by a decision.

        Parameters
        ----------
        frames : GuestFrames
            The guest's frames, altered in place.
        host : int
            The cell :attr:`applied_host` means, 0 where it is None.
        """

    @property
    @abstractmethod
    def title(self) -> str:
        """A few words for the list of what was done."""


class Decision(Edit):
    """An edit on one guest's frames ``first..last``."""

    decides: ClassVar[bool] = True

    guest: CellRef
    """The guest, anchored at both ends of the interval."""
    first: int
    """First frame it speaks about."""
    last: int
    """Last frame it speaks about."""
    item: str = ""
    """The queue's item it was made on."""

    def change(self, draft: Draft) -> Change:
        """Alter no object; check frames and guest."""
        check_span(draft, self.first, self.last)
        check_guest(draft, self.guest)
        return NO_CHANGE

    def guests(self, draft: Draft) -> set[int]:
        """The guest."""
        return {cell_now(draft, self.guest)}


def check_span(draft: Draft, first: int, last: int) -> None:
    """Check that frames lie in the movie and in order.

    Parameters
    ----------
    draft : Draft
        The position.
    first, last : int
        0-based frames.

    Raises
    ------
    ReviewError
        They do not.
    """
    if not 0 <= first <= last < draft.base.n_frames:
        raise ReviewError(
            f"frames {first} to {last}: must rise and lie in 0..{draft.base.n_frames - 1}; choose frames of the movie"
        )


def check_guest(draft: Draft, ref: CellRef) -> None:
    """Check that a reference means a guest.

    Parameters
    ----------
    draft : Draft
        The position.
    ref : CellRef
        The cell.

    Raises
    ------
    ReviewError
        The cell is of another population, or there no more.
    """
    if ref.population != draft.base.guest:
        raise ReviewError(f"population {ref.population!r}: must be the guests', {draft.base.guest!r}; choose a guest")
    cell_now(draft, ref)


def check_host(draft: Draft, ref: CellRef) -> None:
    """Check that a reference means a host.

    Parameters
    ----------
    draft : Draft
        The position.
    ref : CellRef
        The cell.

    Raises
    ------
    ReviewError
        The cell is of another population, or there no more.
    """
    if ref.population != draft.base.host:
        raise ReviewError(f"population {ref.population!r}: must be the hosts', {draft.base.host!r}; choose a host")
    cell_now(draft, ref)


def plain(value: Any) -> Any:
    """A value JSON can hold: NaN becomes None."""
    if isinstance(value, float) and value != value:
        return None
    return value.item() if hasattr(value, "item") else value
