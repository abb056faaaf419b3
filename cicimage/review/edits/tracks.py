"""Which objects are the same cell: link, break, split, swap, merge, delete."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from cicimage.review.anchor import CellRef, cell_now
from cicimage.review.draft import NO_CELL, Change, Draft
from cicimage.review.edits.edit import Edit, check_span
from cicimage.review.keys import Key, ReviewError


class LinkTracks(Edit):
    """A track goes on as another one, which then is the same cell."""

    kind: Literal["link"] = "link"
    first: CellRef
    """The track that ends, anchored at its end."""
    second: CellRef
    """The track that begins later, anchored at its start."""

    def change(self, draft: Draft) -> Change:
        """Give the later track's objects to the earlier cell."""
        first, second, a, b = _two(draft, self.first, self.second)
        if b[0].frame <= a[-1].frame:
            raise ReviewError(
                f"link: the second track must begin after frame {a[-1].frame} where the first ends, begins at "
                f"{b[0].frame}; break one of them (B) or merge them (M)"
            )
        return Change(cells=dict.fromkeys(b, first), parents=_handed_over(draft, second, first))

    @property
    def title(self) -> str:
        """Where."""
        return f"tracks linked after frame {self.first.anchors[-1].frame}"


class BreakTrack(Edit):
    """A track is two cells: from a frame on it is another one."""

    kind: Literal["break"] = "break"
    cell: CellRef
    frame: int
    """First frame of the new cell."""

    def change(self, draft: Draft) -> Change:
        """Give the later objects to a new cell."""
        _, new, later, children = _cut(draft, self.cell, self.frame, "break")
        return Change(cells=dict.fromkeys(later, new), parents=children)

    @property
    def title(self) -> str:
        """Where."""
        return f"track broken at frame {self.frame}"


class SplitTrack(Edit):
    """A cell divided: from a frame on the track is its daughter."""

    kind: Literal["split"] = "split"
    cell: CellRef
    frame: int
    """First frame of the daughter."""

    def change(self, draft: Draft) -> Change:
        """Give the later objects to a new cell whose parent is the old one."""
        cell, new, later, children = _cut(draft, self.cell, self.frame, "split")
        return Change(cells=dict.fromkeys(later, new), parents={**children, new: cell})

    @property
    def title(self) -> str:
        """Where."""
        return f"division at frame {self.frame}"


class SwapTracks(Edit):
    """Two tracks were confused: from a frame on each is the other."""

    kind: Literal["swap"] = "swap"
    first: CellRef
    second: CellRef
    frame: int
    """First frame exchanged."""

    def change(self, draft: Draft) -> Change:
        """Exchange the objects from the frame on."""
        check_span(draft, self.frame, self.frame)
        first, second, a, b = _two(draft, self.first, self.second)
        a, b = _from(a, self.frame), _from(b, self.frame)
        if not a and not b:
            raise ReviewError(
                f"swap: one of the two tracks must reach frame {self.frame}, both end before; choose an earlier frame"
            )
        parents = _handed_over(draft, first, second, self.frame) | _handed_over(draft, second, first, self.frame)
        return Change(cells={**dict.fromkeys(a, second), **dict.fromkeys(b, first)}, parents=parents)

    @property
    def title(self) -> str:
        """Where."""
        return f"tracks swapped at frame {self.frame}"


class MergeTracks(Edit):
    """Two tracks are one cell; where both have an object, the first one's stays and the other belongs to none."""

    kind: Literal["merge"] = "merge"
    first: CellRef
    second: CellRef

    def change(self, draft: Draft) -> Change:
        """Give the second track's objects to the first cell."""
        first, second, a, b = _two(draft, self.first, self.second)
        held = {k.frame for k in a}
        cells = {k: NO_CELL if k.frame in held else first for k in b}
        return Change(cells=cells, parents=_handed_over(draft, second, first))

    @property
    def title(self) -> str:
        """Where."""
        return f"tracks merged at frame {self.first.anchors[0].frame}"


class DeleteTrack(Edit):
    """What was tracked is no cell, or not in these frames."""

    kind: Literal["delete"] = "delete"
    cell: CellRef
    first: int
    last: int
    """Frames in which it is none."""

    def change(self, draft: Draft) -> Change:
        """Take the objects from the cell."""
        check_span(draft, self.first, self.last)
        cell = cell_now(draft, self.cell)
        keys = draft.objects_of(self.cell.population, cell)
        gone = [k for k in keys if self.first <= k.frame <= self.last]
        if not gone:
            raise ReviewError(
                f"delete: the track must have an object in frames {self.first} to {self.last}, has none; choose others"
            )
        orphans = dict.fromkeys(draft.children_of(cell), 0) if len(gone) == len(keys) else {}
        return Change(cells=dict.fromkeys(gone, NO_CELL), parents=orphans)

    @property
    def title(self) -> str:
        """Frames."""
        return f"track deleted, frames {self.first}-{self.last}"


def _two(draft: Draft, first: CellRef, second: CellRef) -> tuple[int, int, list[Key], list[Key]]:
    """Ids and objects of two different cells of one population."""
    if first.population != second.population:
        raise ReviewError(
            f"tracks of {first.population!r} and {second.population!r}: must be of one population; choose two of it"
        )
    a, b = cell_now(draft, first), cell_now(draft, second)
    if a == b:
        raise ReviewError(f"track {a} twice: two different tracks are needed; click the other one")
    return a, b, draft.objects_of(first.population, a), draft.objects_of(first.population, b)


def _cut(draft: Draft, ref: CellRef, frame: int, what: str) -> tuple[int, int, list[Key], dict[int, int]]:
    """Id of a cell, a new id, the objects from a frame on, and the children that go with them."""
    check_span(draft, frame, frame)
    cell = cell_now(draft, ref)
    keys = draft.objects_of(ref.population, cell)
    later = _from(keys, frame)
    if not later or len(later) == len(keys):
        raise ReviewError(
            f"{what}: frame {frame} must lie behind the track's first frame {keys[0].frame} and up to its last "
            f"{keys[-1].frame}; choose a frame between"
        )
    new = draft.next_id()
    return cell, new, later, _handed_over(draft, cell, new, frame)


def _from(keys: Sequence[Key], frame: int) -> list[Key]:
    return [k for k in keys if k.frame >= frame]


def _handed_over(draft: Draft, old: int, new: int, since: int = 0) -> dict[int, int]:
    """Children of a cell born at a frame or later get another parent."""
    return {child: new for child in draft.children_of(old) if draft.first_frame(child) >= since and child != new}
