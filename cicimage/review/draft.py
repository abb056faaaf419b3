"""The objects and tracks of one position with edits applied: a sparse overlay on the base results.

A draft never changes. Applying a change gives another draft; undo applies the changes that are left to the base
again. The draft knows changes only, not the edits they come from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from cicimage.masks import Mask
from cicimage.review.base import Base
from cicimage.review.keys import Key, PairKey, ReviewError

NO_CELL: Final = 0
"""Cell of an object that belongs to none."""


@dataclass(frozen=True)
class Change:
    """What an edit alters: new values by object, cell and pair.

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
    """

    cells: Mapping[Key, int] = field(default_factory=dict)
    parents: Mapping[int, int] = field(default_factory=dict)
    masks: Mapping[Key, Mask | None] = field(default_factory=dict)
    measured: Mapping[Key, Mapping[str, Any]] = field(default_factory=dict)
    pairs: Mapping[PairKey, Mapping[str, Any] | None] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Nothing is altered."""
        return not (self.cells or self.parents or self.masks or self.measured or self.pairs)

    @property
    def objects(self) -> set[Key]:
        """Objects whose cell, mask or measures are altered."""
        return {*self.cells, *self.masks, *self.measured}


NO_CHANGE: Final = Change()


@dataclass(frozen=True, eq=False)
class Draft:
    """One position's base results with changes applied.

    Attributes
    ----------
    base : Base
        Base results.
    edited : Change
        Where the draft differs from the base. Cells and parents equal to the base's are left out.
    """

    base: Base
    edited: Change = NO_CHANGE

    def changed(self, changes: Iterable[Change]) -> Draft:
        """The draft after further changes, later ones over earlier ones."""
        cells, parents, masks, measured, pairs = (dict(part) for part in _parts(self.edited))
        for change in changes:
            for over, part in zip((cells, parents, masks, measured, pairs), _parts(change), strict=True):
                over.update(part)
        for key in [k for k, c in cells.items() if k not in self.edited.cells and c == self.base.cell_of(k)]:
            del cells[key]
        return Draft(self.base, Change(cells, parents, masks, measured, pairs))

    # ------------------------------------------------------------ objects and tracks now

    def exists(self, key: Key) -> bool:
        """Whether there is such an object."""
        if key in self.edited.masks:
            return self.edited.masks[key] is not None
        return key.population in self.base.populations and self.base.row(key) >= 0

    def cell_of(self, key: Key) -> int:
        """Cell of an object, 0 where it has none."""
        return self.edited.cells[key] if key in self.edited.cells else self.base.cell_of(key)

    def parent_of(self, cell_id: int) -> int:
        """Parent of a cell, 0 where it has none."""
        parents = self.edited.parents
        return parents[cell_id] if cell_id in parents else self.base.parents.get(cell_id, 0)

    @cached_property
    def _edited_objects(self) -> dict[int, list[Key]]:
        """Objects given to another cell, by that cell."""
        found: dict[int, list[Key]] = {}
        for key, cell in self.edited.cells.items():
            found.setdefault(cell, []).append(key)
        return found

    def objects_of(self, population: str, cell_id: int) -> list[Key]:
        """Objects of a cell, ascending by frame.

        Parameters
        ----------
        population : str
            Population of the cell.
        cell_id : int
            The cell.

        Returns
        -------
        list of Key
            Empty where there is no such cell.
        """
        keys = [k for k in self.base.objects_of(cell_id) if self.exists(k) and self.cell_of(k) == cell_id]
        held = set(keys)
        keys += [k for k in self._edited_objects.get(cell_id, ()) if k not in held and self.exists(k)]
        return sorted((k for k in keys if k.population == population), key=lambda k: k.frame)

    def keys_in(self, population: str, frame: int) -> list[Key]:
        """Objects of one population in one frame, ascending by label.

        Parameters
        ----------
        population : str
            Name of the population.
        frame : int
            0-based frame.

        Returns
        -------
        list of Key
            Erased objects are left out, new ones are among them.
        """
        keys = [k for k in self.base.keys_in(population, frame) if self.exists(k)]
        held = set(keys)
        masks = self.edited.masks
        added = (k for k, m in masks.items() if m is not None and (k.population, k.frame) == (population, frame))
        return sorted(keys + [k for k in added if k not in held])

    def mask(self, key: Key) -> Mask:
        """Mask of an object.

        Raises
        ------
        ReviewError
            There is no such object.
        """
        mask = self.edited.masks[key] if key in self.edited.masks else self.base.mask(key)
        if mask is None:
            raise ReviewError(
                f"{key.population} {key.label} in frame {key.frame}: must be an object, is none; choose one shown"
            )
        return mask

    def object_in(self, population: str, cell_id: int, frame: int) -> Key | None:
        """Object of a cell in a frame.

        Parameters
        ----------
        population : str
            Population of the cell.
        cell_id : int
            The cell, 0 = none.
        frame : int
            0-based frame.

        Returns
        -------
        Key or None
            None where the cell has no object in the frame.
        """
        if not cell_id:
            return None
        return next((k for k in self.objects_of(population, cell_id) if k.frame == frame), None)

    def masks_in(self, population: str, frame: int, window: tuple[int, int, int, int] | None = None) -> list[Mask]:
        """Masks of one population in one frame, ascending by label.

        Parameters
        ----------
        population : str
            Name of the population.
        frame : int
            0-based frame.
        window : (int, int, int, int), optional
            y0, y1, x0, x1 in pixels; masks that lie wholly outside may be left out.

        Returns
        -------
        list of Mask
            Masks with the edits applied.
        """
        masks = {m.label: m for m in self.base.masks(population, frame, window)}
        for key, mask in self.edited.masks.items():
            if (key.population, key.frame) == (population, frame):
                if mask is None:
                    masks.pop(key.label, None)
                else:
                    masks[key.label] = mask
        return [masks[label] for label in sorted(masks)]

    def measures(self, key: Key) -> Mapping[str, Any]:
        """Measured values of an object."""
        return self.edited.measured[key] if key in self.edited.measured else self.base.measures(key)

    def next_id(self) -> int:
        """A cell id that no cell has."""
        return max([self.base.max_id, *self.edited.cells.values()]) + 1

    def next_label(self, population: str, frame: int) -> int:
        """A label that no object of one population and frame ever held.

        Parameters
        ----------
        population : str
            Name of the population.
        frame : int
            0-based frame.

        Returns
        -------
        int
            Above the labels of erased objects too.
        """
        ever = [k.label for k in self.base.keys_in(population, frame)]
        ever += [m.label for m in self.base.masks(population, frame)]
        ever += [k.label for k in self.edited.masks if (k.population, k.frame) == (population, frame)]
        return max(ever, default=0) + 1

    def children_of(self, cell_id: int) -> list[int]:
        """Cells whose parent is this one, ascending."""
        edited = self.edited.parents
        born = {c for c, p in self.base.parents.items() if p == cell_id and c not in edited}
        return sorted(born | {c for c, p in edited.items() if p == cell_id})

    def first_frame(self, cell_id: int) -> int:
        """First frame a cell is seen in; -1 where it is seen in none."""
        frames = [keys[0].frame for p in self.base.populations if (keys := self.objects_of(p, cell_id))]
        return min(frames, default=-1)

    # ------------------------------------------------------------ differences from the base

    @cached_property
    def edited_cells(self) -> set[int]:
        """Cells whose objects, measures or parents differ from the base: those in the base and those now."""
        return self.cells_of(self.edited.objects) | set(self.edited.parents)

    def cells_of(self, keys: Iterable[Key]) -> set[int]:
        """Cells of objects in the base and now."""
        found: set[int] = set()
        for key in keys:
            found |= {self.base.cell_of(key), self.cell_of(key)}
        return found - {NO_CELL}


def _parts(change: Change) -> tuple[dict[Any, Any], ...]:
    return tuple(getattr(change, name) for name in ("cells", "parents", "masks", "measured", "pairs"))
