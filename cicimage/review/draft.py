"""One position as a reviewer has left it: only what differs from the base results is held.

Every part is a sparse mapping over the base, so that an edit is a handful of entries, its inverse are the entries
that stood there before, and a draft without edits *is* the base.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from cicimage.masks import Mask
from cicimage.review.anchor import Key, ReviewError
from cicimage.review.base import Base

if TYPE_CHECKING:
    from cicimage.review.edits import Edit


class _Same(Enum):
    AS_BASE = "as in the base results"


AS_BASE: Final = _Same.AS_BASE
AsBase = Literal[_Same.AS_BASE]
NO_CELL: Final = 0
"""Cell of an object that belongs to none."""


class PairKey(NamedTuple):
    """Evidence of one guest object against one host object."""

    frame: int
    guest_label: int
    host_label: int


@dataclass(frozen=True)
class Change:
    """What an edit alters, each entry the new value or ``AS_BASE``.

    Attributes
    ----------
    cells : mapping of Key to int
        Cell of an object, 0 = none.
    parents : mapping of int to int
        Parent by cell, 0 = none.
    masks : mapping of Key to Mask or None
        Mask of an object, None = erased.
    measured : mapping of Key to dict
        Measured values of an object.
    pairs : mapping of PairKey to dict or None
        Evidence, None = not near any more.
    decides : bool
        The edit itself is a decision on guests, hosts or frames, to be laid over the scores.
    """

    cells: Mapping[Key, int | AsBase] = field(default_factory=dict)
    parents: Mapping[int, int | AsBase] = field(default_factory=dict)
    masks: Mapping[Key, Mask | AsBase | None] = field(default_factory=dict)
    measured: Mapping[Key, Mapping[str, Any] | AsBase] = field(default_factory=dict)
    pairs: Mapping[PairKey, Mapping[str, Any] | AsBase | None] = field(default_factory=dict)
    decides: bool = False

    @property
    def structural(self) -> bool:
        """Objects, masks or tracks change, not only what is said of them."""
        return bool(self.cells or self.parents or self.masks or self.measured or self.pairs)


def _lay(over: dict[Any, Any], new: Mapping[Any, Any]) -> dict[Any, Any]:
    """Lay entries over a sparse mapping; returns those that stood there before."""
    before = {key: over.get(key, AS_BASE) for key in new}
    for key, value in new.items():
        if value is AS_BASE:
            over.pop(key, None)
        else:
            over[key] = value
    return before


@dataclass(eq=False)
class Draft:
    """One position's base results and what edits made of them.

    Attributes
    ----------
    base : Base
        Never changed.
    cells, parents, masks, measured, pairs : dict
        As in :class:`Change`, only where they differ from the base.
    decisions : dict of int to Edit
        Edits that speak about guests, hosts or frames, by the number of their record, in order.
    """

    base: Base
    cells: dict[Key, int] = field(default_factory=dict)
    parents: dict[int, int] = field(default_factory=dict)
    masks: dict[Key, Mask | None] = field(default_factory=dict)
    measured: dict[Key, Mapping[str, Any]] = field(default_factory=dict)
    pairs: dict[PairKey, Mapping[str, Any] | None] = field(default_factory=dict)
    decisions: dict[int, Edit] = field(default_factory=dict)
    _inverses: dict[int, Change] = field(default_factory=dict, repr=False)
    _about: dict[int, set[int] | ReviewError | None] = field(default_factory=dict, repr=False)

    # ------------------------------------------------------------ edits

    def apply(self, n: int, edit: Edit) -> Change:
        """Do an edit; raises before anything changed where it does not fit.

        Parameters
        ----------
        n : int
            Number of its record.
        edit : Edit
            What to do.

        Returns
        -------
        Change
            What was changed.

        Raises
        ------
        ReviewError
            The edit does not fit what is there.
        """
        change = edit.change(self)
        self._inverses[n] = self._put(self._tidy(change))
        if change.decides:
            self.decisions[n] = edit
        return change

    def undo(self, n: int) -> Change:
        """Take the last edit back.

        Returns
        -------
        Change
            What was put back.
        """
        inverse = self._inverses.pop(n)
        decided = self.decisions.pop(n, None)
        self._about.pop(n, None)
        self._put(inverse)
        return Change(
            inverse.cells, inverse.parents, inverse.masks, inverse.measured, inverse.pairs, decides=decided is not None
        )

    def guests_about(self, n: int) -> set[int] | None:
        """Guests the decision of a record is about, None = all; found anew only after objects changed.

        Raises
        ------
        ReviewError
            It does not fit any more.
        """
        if n not in self._about:
            try:
                self._about[n] = self.decisions[n].guests(self)
            except ReviewError as error:
                self._about[n] = error
        found = self._about[n]
        if isinstance(found, ReviewError):
            raise ReviewError(str(found))
        return found

    def applied(self, n: int) -> bool:
        """Whether the edit of a record is in force here."""
        return n in self._inverses

    def _put(self, change: Change) -> Change:
        if change.structural:
            self._about.clear()  # decisions stick to objects, and these changed hands
        return Change(
            _lay(self.cells, change.cells), _lay(self.parents, change.parents), _lay(self.masks, change.masks),
            _lay(self.measured, change.measured), _lay(self.pairs, change.pairs),
        )  # fmt: skip

    def _tidy(self, change: Change) -> Change:
        """Entries equal to the base are said as such: the draft holds differences only."""
        cells = {k: AS_BASE if v == self.base.cell_of(k) else v for k, v in change.cells.items()}
        parents = {c: AS_BASE if v == self.base.parents.get(c, 0) else v for c, v in change.parents.items()}
        return Change(cells, parents, change.masks, change.measured, change.pairs, change.decides)

    @property
    def untouched(self) -> bool:
        """Nothing differs from the base."""
        return not (self.cells or self.parents or self.masks or self.measured or self.pairs or self.decisions)

    # ------------------------------------------------------------ what is there now

    def exists(self, key: Key) -> bool:
        """Whether there is such an object."""
        if key in self.masks:
            return self.masks[key] is not None
        return key.population in self.base.populations and self.base.row(key) >= 0

    def cell_of(self, key: Key) -> int:
        """Cell of an object, 0 where it has none."""
        return self.cells[key] if key in self.cells else self.base.cell_of(key)

    def parent_of(self, cell_id: int) -> int:
        """Parent of a cell, 0 where it has none."""
        return self.parents[cell_id] if cell_id in self.parents else self.base.parents.get(cell_id, 0)

    def objects_of(self, population: str, cell_id: int) -> list[Key]:
        """Objects of a cell in order of frame; empty where there is no such cell."""
        keys = [k for k in self.base.objects_of(cell_id) if self.exists(k) and self.cell_of(k) == cell_id]
        held = set(keys)
        keys += [k for k, c in self.cells.items() if c == cell_id and k not in held and self.exists(k)]
        return sorted((k for k in keys if k.population == population), key=lambda k: k.frame)

    def keys_in(self, population: str, frame: int) -> list[Key]:
        """Objects of one population in one frame, ascending by label."""
        keys = [k for k in self.base.keys_in(population, frame) if self.exists(k)]
        held = set(keys)
        added = (k for k, m in self.masks.items() if m is not None and (k.population, k.frame) == (population, frame))
        return sorted(keys + [k for k in added if k not in held])

    def mask(self, key: Key) -> Mask:
        """Mask of an object.

        Raises
        ------
        ReviewError
            There is no such object.
        """
        mask = self.masks[key] if key in self.masks else self.base.mask(key)
        if mask is None:
            raise ReviewError(
                f"{key.population} {key.label} in frame {key.frame}: must be an object, is none; choose one shown"
            )
        return mask

    def object_in(self, population: str, cell_id: int, frame: int) -> Key | None:
        """Object of a cell in a frame; None where it has none there."""
        if not cell_id:
            return None
        return next((k for k in self.objects_of(population, cell_id) if k.frame == frame), None)

    def masks_in(self, population: str, frame: int, window: tuple[int, int, int, int] | None = None) -> list[Mask]:
        """Masks of one population in one frame as they are now, ascending by label.

        With a ``window`` (y0, y1, x0, x1) those that lie wholly beyond it may be left out.
        """
        masks = {m.label: m for m in self.base.masks(population, frame, window)}
        for key, mask in self.masks.items():
            if (key.population, key.frame) == (population, frame):
                if mask is None:
                    masks.pop(key.label, None)
                else:
                    masks[key.label] = mask
        return [masks[label] for label in sorted(masks)]

    def measures(self, key: Key) -> Mapping[str, Any]:
        """Measured values of an object."""
        return self.measured[key] if key in self.measured else self.base.measures(key)

    def next_id(self) -> int:
        """A cell id nobody holds."""
        return max([self.base.max_id, *self.cells.values()]) + 1

    def next_label(self, population: str, frame: int) -> int:
        """A label no object of this population and frame ever held."""
        ever = [k.label for k in self.base.keys_in(population, frame)]
        ever += [m.label for m in self.base.masks(population, frame)]
        ever += [k.label for k in self.masks if (k.population, k.frame) == (population, frame)]
        return max(ever, default=0) + 1

    def children_of(self, cell_id: int) -> list[int]:
        """Cells whose parent is this one, ascending."""
        born = {c for c, p in self.base.parents.items() if p == cell_id and c not in self.parents}
        return sorted(born | {c for c, p in self.parents.items() if p == cell_id})

    def first_frame(self, cell_id: int) -> int:
        """First frame a cell is seen in; -1 where it is seen in none."""
        frames = [keys[0].frame for p in self.base.populations if (keys := self.objects_of(p, cell_id))]
        return min(frames, default=-1)

    def population_of(self, cell_id: int) -> str:
        """Population of a cell.

        Raises
        ------
        ReviewError
            There is no such cell.
        """
        for population in self.base.populations:
            if self.objects_of(population, cell_id):
                return population
        raise ReviewError(f"cell {cell_id}: must be a cell of this position, is none; choose a cell shown")

    # ------------------------------------------------------------ what differs

    def touched_cells(self) -> set[int]:
        """Cells whose objects, measures or parents differ from the base, those they were and those they are."""
        keys = {*self.cells, *self.masks, *self.measured}
        return cells_of(self, keys) | set(self.parents)

    def touched_objects(self) -> set[Key]:
        """Objects that differ from the base in cell, mask or measures."""
        return {*self.cells, *self.masks, *self.measured}


def cells_of(draft: Draft, keys: Iterable[Key]) -> set[int]:
    """Cells of objects, before and after the edits."""
    found: set[int] = set()
    for key in keys:
        found |= {draft.base.cell_of(key), draft.cell_of(key)}
    return found - {NO_CELL}
