"""Painted, erased, split and merged masks, kept as patches with what was measured on them.

The measures stand in the record, so that a replay needs no recording and gives the very numbers the reviewer saw.
"""

from __future__ import annotations

import base64
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Final, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from cicimage.arrays import BoolArray
from cicimage.masks import Mask, decode_runs, encode_runs
from cicimage.review.anchor import CellRef, cell_now, mask_hash
from cicimage.review.base import MEASURES
from cicimage.review.draft import Change, Draft
from cicimage.review.edits.edit import Edit, check_span, plain
from cicimage.review.keys import Key, PairKey, ReviewError

NEW: Final = ""
"""Hash of a mask that was not there."""


class Patch(BaseModel):
    """One object's mask before (its hash) and after (its pixels)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: int = Field(ge=1)
    before: str
    """Hash of the mask as it was; empty for a new object."""
    y0: int = 0
    x0: int = 0
    h: int = 0
    w: int = 0
    runs: str | None = None
    """Pixels after, run lengths in base64; None = erased."""
    cell: CellRef | None = None
    """Cell a new object belongs to; None = a new cell."""
    measured: dict[str, Any] = Field(default_factory=dict)
    """Values of table ``cells`` measured on the mask after."""

    @classmethod
    def of(
        cls, label: int, before: Mask | None, after: Mask | None, *, cell: CellRef | None = None,
        measured: Mapping[str, Any] | None = None,
    ) -> Patch:  # fmt: skip
        """Make a patch from masks.

        Parameters
        ----------
        label : int
            Label of the object.
        before, after : Mask or None
            Its mask before and after; None = there is none.
        cell : CellRef, optional
            Cell of a new object.
        measured : mapping, optional
            Values of table ``cells`` measured on the mask after.

        Returns
        -------
        Patch
            As it stands in the log.
        """
        code = mask_hash(before) if before is not None else NEW
        values = {k: plain(v) for k, v in (measured or {}).items()}
        if after is None:
            return cls(label=label, before=code)
        h, w = after.pixels.shape
        runs = base64.b64encode(encode_runs(after.pixels)).decode()
        return cls(label=label, before=code, y0=after.y0, x0=after.x0, h=h, w=w, runs=runs, cell=cell, measured=values)

    def mask(self, label: int) -> Mask | None:
        """The mask after, under a label."""
        if self.runs is None:
            return None
        pixels = decode_runs(base64.b64decode(self.runs), (self.h, self.w))
        return Mask(label, self.y0, self.x0, pixels)


class Evidence(BaseModel):
    """Evidence of one pair of objects as measured on the masks after; None values = not near any more."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    guest_label: int
    host_label: int
    values: dict[str, Any] | None


class MaskEdit(Edit):
    """Masks of one frame and population changed."""

    population: str
    frame: int
    made_on: str
    """Key of the detections the labels belong to."""
    patches: tuple[Patch, ...] = Field(min_length=1)
    pairs: tuple[Evidence, ...] = ()
    measured_on: Literal["recording", "masks"] = "recording"
    """``masks``: the recording was not at hand, only size and place were measured; evidence is as before."""

    @abstractmethod
    def fits(self, before: list[BoolArray], after: list[BoolArray]) -> str:
        """Check that patches are of this kind.

        Parameters
        ----------
        before, after : list of (h, w) bool
            Masks before and after as pictures of one window, one per patch.

        Returns
        -------
        str
            What is wrong, empty where nothing is.
        """

    def change(self, draft: Draft) -> Change:
        """Check everything, then say which masks, cells and measures change."""
        check_span(draft, self.frame, self.frame)
        if self.population not in draft.base.populations:
            raise ReviewError(f"population {self.population!r}: must be one of {', '.join(draft.base.populations)}")
        keys = [self._key(draft, patch) for patch in self.patches]
        befores = [draft.mask(k) if p.before else None for k, p in zip(keys, self.patches, strict=True)]
        afters = [p.mask(k.label) for k, p in zip(keys, self.patches, strict=True)]
        for mask in afters:
            self._check_place(mask, draft.base.masks_file.shape)
        wrong = self.fits(*_pictures(befores, afters))
        if wrong:
            raise ReviewError(f"{self.kind}: {wrong}; nothing was changed")
        return self._changes(draft, keys, afters)

    def _key(self, draft: Draft, patch: Patch) -> Key:
        """The object a patch is about, in the present detections."""
        key = Key(self.population, self.frame, patch.label)
        same = self.made_on == draft.base.detected
        if not patch.before:
            if not same:
                return Key(self.population, self.frame, draft.next_label(self.population, self.frame))
            if draft.exists(key):
                raise ReviewError(f"label {patch.label}: must be free for a new object, is taken; paint again")
            return key
        candidates = [key] if same else draft.keys_in(self.population, self.frame)
        for candidate in candidates:
            if draft.exists(candidate) and mask_hash(draft.mask(candidate)) == patch.before:
                return candidate
        raise ReviewError(
            f"{self.population} {patch.label} in frame {self.frame}: its mask is not what it was when it was edited; "
            "look at the place again"
        )

    def _check_place(self, mask: Mask | None, shape: tuple[int, int]) -> None:
        if mask is None:
            return
        if not mask.pixels.any():
            raise ReviewError(f"{self.kind}: a mask must hold a pixel, holds none; erase the object instead (D)")
        ys, xs = mask.window
        if mask.y0 < 0 or mask.x0 < 0 or ys.stop > shape[0] or xs.stop > shape[1]:
            raise ReviewError(f"{self.kind}: a mask must lie within the frame of {shape[0]} x {shape[1]} pixels")

    def _changes(self, draft: Draft, keys: list[Key], afters: list[Mask | None]) -> Change:
        cells: dict[Key, int] = {}
        measured: dict[Key, Mapping[str, Any]] = {}
        new_id = draft.next_id()
        for key, patch, mask in zip(keys, self.patches, afters, strict=True):
            if mask is None:
                cells[key] = 0
                continue
            measured[key] = {name: patch.measured.get(name) for name in MEASURES}
            if not patch.before:
                cells[key] = new_id if patch.cell is None else self._cell(draft, patch.cell, keys)
                new_id += patch.cell is None
        pairs: dict[PairKey, Mapping[str, Any] | None] = {}
        if self.made_on == draft.base.detected:
            pairs = {PairKey(self.frame, e.guest_label, e.host_label): e.values for e in self.pairs}
        return Change(cells=cells, masks=dict(zip(keys, afters, strict=True)), measured=measured, pairs=pairs)

    def _cell(self, draft: Draft, ref: CellRef, keys: list[Key]) -> int:
        cell = cell_now(draft, ref)
        taken = [k for k in draft.objects_of(self.population, cell) if k.frame == self.frame and k not in keys]
        if taken:
            raise ReviewError(
                f"cell {cell}: has an object in frame {self.frame} already, label {taken[0].label}; paint on that one"
            )
        return cell

    @property
    def title(self) -> str:
        """Kind, population and frame."""
        return f"{self.kind.replace('_', ' ')}, {self.population}, frame {self.frame}"


class PaintMask(MaskEdit):
    """A mask grew, or an object was painted where none was."""

    kind: Literal["paint"] = "paint"

    def fits(self, before: list[BoolArray], after: list[BoolArray]) -> str:
        """Pixels are added and none is lost."""
        if any((b & ~a).any() for b, a in zip(before, after, strict=True)):
            return "painting must not take pixels away"
        return "" if any((a & ~b).any() for b, a in zip(before, after, strict=True)) else "no pixel was added"


class EraseMask(MaskEdit):
    """A mask shrank or vanished."""

    kind: Literal["erase"] = "erase"

    def fits(self, before: list[BoolArray], after: list[BoolArray]) -> str:
        """Pixels are lost and none is added."""
        if any((a & ~b).any() for b, a in zip(before, after, strict=True)):
            return "erasing must not add pixels"
        return "" if any((b & ~a).any() for b, a in zip(before, after, strict=True)) else "no pixel was taken away"


class SplitMask(MaskEdit):
    """One object was two or more."""

    kind: Literal["split_mask"] = "split_mask"

    def fits(self, before: list[BoolArray], after: list[BoolArray]) -> str:
        """One mask becomes several that lie within it and do not overlap."""
        if len(after) < 2 or sum(bool(b.any()) for b in before) != 1:
            return "one object must become two or more"
        if not all(a.any() for a in after):
            return "every part must hold a pixel"
        return _partition(before, after)


class MergeMasks(MaskEdit):
    """Several objects are one; the first one's label stays."""

    kind: Literal["merge_masks"] = "merge_masks"

    def fits(self, before: list[BoolArray], after: list[BoolArray]) -> str:
        """Several masks become the first one, which covers them."""
        if len(before) < 2 or not all(b.any() for b in before):
            return "two objects or more must be merged"
        if not after[0].any() or any(a.any() for a in after[1:]):
            return "only the first object must stay"
        whole = np.logical_or.reduce(before)
        return "" if not (whole & ~after[0]).any() else "the merged object must cover both"


def _partition(before: list[BoolArray], after: list[BoolArray]) -> str:
    whole = np.logical_or.reduce(before)
    if np.sum(after, axis=0).max() > 1:
        return "the parts must not overlap"
    return "the parts must lie within the object" if (np.logical_or.reduce(after) & ~whole).any() else ""


def _pictures(befores: list[Mask | None], afters: list[Mask | None]) -> tuple[list[BoolArray], list[BoolArray]]:
    """Masks as pictures of the one window that holds them all."""
    there = [m for m in (*befores, *afters) if m is not None]
    y0, x0 = min(m.y0 for m in there), min(m.x0 for m in there)
    y1, x1 = max(m.window[0].stop for m in there), max(m.window[1].stop for m in there)

    def picture(mask: Mask | None) -> BoolArray:
        image = np.zeros((y1 - y0, x1 - x0), np.bool_)
        if mask is not None:
            h, w = mask.pixels.shape
            image[mask.y0 - y0 : mask.y0 - y0 + h, mask.x0 - x0 : mask.x0 - x0 + w] = mask.pixels
        return image

    return [picture(m) for m in befores], [picture(m) for m in afters]
