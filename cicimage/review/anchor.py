"""References from corrections to cells and objects that still resolve after another run of the pipeline.

Cell ids change with the tracking and labels with the segmentation. A correction therefore names objects by frame,
centroid and hash of their mask; the label alone is used while the detections are those it was read from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import numpy as np
from pydantic import BaseModel, ConfigDict

from cicimage.masks import Mask
from cicimage.review.draft import Draft
from cicimage.review.keys import Key, ReviewError

REACH: Final = 0.5
"""An object is still the same one if its centroid lies within this share of its radius from where it was."""


class Anchor(BaseModel):
    """One object as it was when a correction was made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    frame: int
    """0-based frame."""
    label: int
    """Label in the detections named by the cell's ``made_on``."""
    y_um: float
    """Centroid in the raw frame, um."""
    x_um: float
    """Centroid in the raw frame, um."""
    area_um2: float
    """Area of the projected mask, um2."""
    mask: str
    """Hash of the mask's pixels and place."""


class CellRef(BaseModel):
    """One cell: an object of it in one frame or several."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    population: str
    made_on: str
    """Key of the detections the labels belong to."""
    anchors: tuple[Anchor, ...]


def mask_hash(mask: Mask) -> str:
    """Hash of a mask's place and pixels, whatever its label and its crop's margins.

    Examples
    --------
    >>> a = Mask(1, 5, 5, np.array([[0, 1], [1, 1]], bool))
    >>> b = Mask(9, 5, 4, np.array([[0, 0, 1], [0, 1, 1]], bool))
    >>> mask_hash(a) == mask_hash(b)
    True
    """
    ys, xs = np.nonzero(mask.pixels)
    place = np.stack([ys + mask.y0, xs + mask.x0]).astype("<i4")
    return hashlib.sha256(place.tobytes()).hexdigest()[:16]


def anchor_of(draft: Draft, key: Key) -> Anchor:
    """Anchor of an object.

    Parameters
    ----------
    draft : Draft
        The position.
    key : Key
        An object that exists in it.

    Returns
    -------
    Anchor
        Frame, label, centroid, area and hash of the mask.
    """
    seen = draft.measures(key)
    mask = draft.mask(key)
    return Anchor(
        frame=key.frame, label=key.label, y_um=seen["y_um"], x_um=seen["x_um"], area_um2=seen["area_um2"],
        mask=mask_hash(mask),
    )  # fmt: skip


def cell_ref(draft: Draft, population: str, cell_id: int, frames: Sequence[int]) -> CellRef:
    """Reference to a cell by its objects in (or nearest to) some frames.

    Parameters
    ----------
    draft : Draft
        The position.
    population : str
        Population of the cell.
    cell_id : int
        The cell.
    frames : sequence of int
        0-based frames.

    Returns
    -------
    CellRef
        One anchor per object, ascending by frame.

    Raises
    ------
    ReviewError
        There is no such cell.
    """
    keys = draft.objects_of(population, cell_id)
    if not keys:
        raise ReviewError(f"cell {cell_id}: must be one of population {population!r}, is none; choose a cell shown")
    at = np.array([k.frame for k in keys])
    chosen = sorted({int(np.abs(at - frame).argmin()) for frame in frames})
    return CellRef(
        population=population, made_on=draft.base.detected, anchors=tuple(anchor_of(draft, keys[i]) for i in chosen)
    )


def object_now(draft: Draft, ref: CellRef, anchor: Anchor) -> Key:
    """The object an anchor means.

    While the detections are those the anchor was made on, it is the object of that label. After another run it is the
    object with the same mask near the anchor's centroid, else the only one near.

    Parameters
    ----------
    draft : Draft
        The position.
    ref : CellRef
        The reference the anchor belongs to.
    anchor : Anchor
        The anchor.

    Returns
    -------
    Key
        An object that exists.

    Raises
    ------
    ReviewError
        No object lies there any more, or several might be meant.
    """
    here = Key(ref.population, anchor.frame, anchor.label)
    if ref.made_on == draft.base.detected:
        if draft.exists(here):
            return here
        raise ReviewError(
            f"{_where(ref, anchor)}: its object was removed by an earlier edit; it does not apply any more"
        )
    near = []
    for key in draft.keys_in(ref.population, anchor.frame):
        seen = draft.measures(key)
        distance = float(np.hypot(seen["y_um"] - anchor.y_um, seen["x_um"] - anchor.x_um))
        radius = float(np.sqrt(max(seen["area_um2"], anchor.area_um2) / np.pi))
        if distance <= REACH * radius:
            near.append((distance, key))
    for _, key in near:
        if mask_hash(draft.mask(key)) == anchor.mask:
            return key
    if not near:
        raise ReviewError(f"{_where(ref, anchor)}: no object lies there after the new run; look at the place again")
    near.sort()
    if len(near) > 1 and near[1][0] < 2.0 * near[0][0] + 1e-9:
        raise ReviewError(
            f"{_where(ref, anchor)}: {len(near)} objects lie there after the new run and either may be meant; "
            "look at the place again"
        )
    return near[0][1]


def cell_now(draft: Draft, ref: CellRef) -> int:
    """The cell a reference means.

    Parameters
    ----------
    draft : Draft
        The position.
    ref : CellRef
        The reference.

    Returns
    -------
    int
        Id of the cell that all its anchors belong to.

    Raises
    ------
    ReviewError
        Its objects are gone, or belong to several cells now.
    """
    keys = [object_now(draft, ref, anchor) for anchor in ref.anchors]
    cells = [draft.cell_of(key) for key in keys]
    if 0 in cells:
        lost = ref.anchors[cells.index(0)]
        raise ReviewError(f"{_where(ref, lost)}: its cell was deleted; it does not apply any more")
    if len(set(cells)) > 1:
        raise ReviewError(
            f"{_where(ref, ref.anchors[0])}: its track is cut before frame {ref.anchors[-1].frame} now; "
            "look at the place again"
        )
    return cells[0]


def _where(ref: CellRef, anchor: Anchor) -> str:
    return f"{ref.population} at frame {anchor.frame}, y {anchor.y_um:.1f} um, x {anchor.x_um:.1f} um"
