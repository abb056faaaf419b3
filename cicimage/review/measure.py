"""Measures and evidence of masks a reviewer changed, by the functions the pipeline measures with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np
import pandas as pd

from cicimage.arrays import Float32Array
from cicimage.containment.evidence import measure_frame
from cicimage.containment.markers import measure_markers
from cicimage.containment.noise import Noise
from cicimage.errors import RecordingError
from cicimage.masks import Mask, Masks
from cicimage.methods import Objects
from cicimage.pipeline.measure import measure_objects
from cicimage.pipeline.usable import missing_reason
from cicimage.review.anchor import CellRef
from cicimage.review.base import MEASURES
from cicimage.review.draft import Draft
from cicimage.review.edits import EraseMask, Evidence, MaskEdit, MergeMasks, PaintMask, Patch, SplitMask
from cicimage.review.edits.edit import plain
from cicimage.review.footage import Footage
from cicimage.review.keys import Key
from cicimage.segmentation.axial import locate

MARGIN_UM: Final = 30.0
"""Margin around the changed masks that is measured with them: side references and neighbours."""
UNMEASURED: Final = ("death_signal", "death_fill")

Kind = Literal["paint", "erase", "split_mask", "merge_masks"]
KINDS: Final[Mapping[str, type[MaskEdit]]] = {
    "paint": PaintMask, "erase": EraseMask, "split_mask": SplitMask, "merge_masks": MergeMasks,
}  # fmt: skip


def mask_edit(
    draft: Draft,
    footage: Footage | None,
    kind: Kind,
    population: str,
    frame: int,
    changed: Mapping[int, Mask | None],
    cells: Mapping[int, CellRef] | None = None,
) -> MaskEdit:
    """An edit of masks with what is measured on them.

    Parameters
    ----------
    draft : Draft
        The position before the edit.
    footage : Footage or None
        Its recording; without it only size and place are measured and evidence stays as it was.
    kind : str
        paint | erase | split_mask | merge_masks.
    population, frame
        Whose masks, and when.
    changed : mapping of int to Mask or None
        Mask after by label, None = erased; the first one stays in a merge.
    cells : mapping of int to CellRef, optional
        Cell of a new object by label; new cells where it is not given.
    """
    measured, pairs, measured_on = _measure(draft, footage, population, frame, changed)
    patches = []
    for label, after in changed.items():
        key = Key(population, frame, label)
        before = draft.mask(key) if draft.exists(key) else None
        ref = (cells or {}).get(label)
        patches.append(Patch.of(label, before, after, cell=ref, measured=measured.get(label)))
    return KINDS[kind](
        position=draft.base.position_id, population=population, frame=frame, made_on=draft.base.detected,
        patches=tuple(patches), pairs=tuple(pairs), measured_on=measured_on,
    )  # type: ignore[call-arg]  # fmt: skip


def _measure(
    draft: Draft, footage: Footage | None, population: str, frame: int, changed: Mapping[int, Mask | None]
) -> tuple[dict[int, dict[str, Any]], list[Evidence], Literal["recording", "masks"]]:
    flat = {n: _from_mask(draft, Key(population, frame, n), m) for n, m in changed.items() if m is not None}
    if footage is None:
        return flat, [], "masks"
    try:
        raw = footage.frame(frame)
    except RecordingError:  # this plane cannot be decoded: the pipeline had no evidence here either
        return flat, [], "masks"
    usable, whole = footage.prepared.correct(raw, frame)
    if missing_reason(usable, draft.base.setting, frame):
        return flat, [], "masks"
    image, objects, corner = _surroundings(draft, footage, whole, population, frame, changed)
    seen = _measured(draft, footage, image, objects, population, changed, flat, corner)
    marker = draft.base.setting.death_marker
    if marker is not None and draft.base.setting.slot(marker) in usable.faults:
        seen = {label: {**row, **dict.fromkeys(UNMEASURED, plain(np.nan))} for label, row in seen.items()}
    return seen, _evidence(draft, footage, image, objects, population, frame, changed), "recording"


def _from_mask(draft: Draft, key: Key, mask: Mask) -> dict[str, Any]:
    """Size and place from the mask alone; heights and intensities as they were."""
    um = draft.base.setting.optics.um_per_px
    y, x = mask.centroid_px()
    rows, columns = mask.window
    height, width = draft.base.masks_file.shape
    known = dict(draft.measures(key)) if draft.exists(key) else dict.fromkeys(MEASURES, np.nan)
    edge = rows.start <= 0 or columns.start <= 0 or rows.stop >= height or columns.stop >= width
    place = {"y_um": y * um, "x_um": x * um, "area_um2": mask.area_px * um * um, "touches_border": edge}
    return {**known, **place}


def _surroundings(
    draft: Draft, footage: Footage, whole: Float32Array, population: str, frame: int, changed: Mapping[int, Mask | None]
) -> tuple[Float32Array, dict[str, Objects], tuple[int, int]]:
    """Corrected cut of the frame around the changed masks, and the objects in it with the change applied."""
    base = draft.base
    before = {k.label: draft.mask(k) for n in changed if draft.exists(k := Key(population, frame, n))}
    touched = [*before.values(), *(m for m in changed.values() if m is not None)]
    margin = round(MARGIN_UM / base.setting.optics.um_per_px)
    shape = base.masks_file.shape
    y0 = max(0, min(m.y0 for m in touched) - margin)
    x0 = max(0, min(m.x0 for m in touched) - margin)
    y1 = min(shape[0], max(m.window[0].stop for m in touched) + margin)
    x1 = min(shape[1], max(m.window[1].stop for m in touched) + margin)
    image = whole[:, :, y0:y1, x0:x1]
    objects = {}
    for name in base.populations:
        masks = {m.label: m for m in draft.masks_in(name, frame)}
        if name == population:
            masks = {n: m for n, m in {**masks, **changed}.items() if m is not None}
        cut = [c for m in masks.values() if (c := _cut(m, (y0, y1, x0, x1))) is not None]
        objects[name] = _placed(draft, footage, image, name, frame, cut, set(changed) if name == population else set())
    return np.ascontiguousarray(image), objects, (y0, x0)


def _cut(mask: Mask, box: tuple[int, int, int, int]) -> Mask | None:
    y0, y1, x0, x1 = box
    rows, columns = mask.window
    top, bottom = max(rows.start, y0), min(rows.stop, y1)
    left, right = max(columns.start, x0), min(columns.stop, x1)
    if top >= bottom or left >= right:
        return None
    part = mask.pixels[top - mask.y0 : bottom - mask.y0, left - mask.x0 : right - mask.x0]
    return Mask(mask.label, top - y0, left - x0, part) if part.any() else None


def _placed(
    draft: Draft, footage: Footage, image: Float32Array, population: str, frame: int, masks: Sequence[Mask],
    changed: set[int],
) -> Objects:  # fmt: skip
    """Objects with their heights: as found, or from the profile under a changed mask."""
    step = draft.base.setting.optics.um_per_z
    z, extent = np.full(len(masks), np.nan), np.full(len(masks), np.nan)
    for i, mask in enumerate(masks):
        key = Key(population, frame, mask.label)
        if mask.label not in changed and draft.exists(key):
            seen = draft.measures(key)
            z[i], extent[i] = _number(seen["z_um"]), _number(seen["z_extent_um"])
        elif step is not None:
            stack = image[draft.base.setting.slot(population)][:, mask.window[0], mask.window[1]]
            profile = stack[:, mask.pixels].mean(axis=1).astype(np.float64)
            profile -= profile.min()
            hump = locate(profile, float(profile.argmax()), len(profile))
            width_um = 2.0 * np.sqrt(mask.area_px / np.pi) * draft.base.setting.optics.um_per_px
            cut_off = not np.isfinite(hump.low + hump.high)
            z[i], extent[i] = hump.centre * step, width_um if cut_off else (hump.high - hump.low) * step
    return Objects(Masks(masks, (image.shape[2], image.shape[3])), z, extent)


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


def _measured(
    draft: Draft, footage: Footage, image: Float32Array, objects: Mapping[str, Objects], population: str,
    changed: Mapping[int, Mask | None], flat: Mapping[int, dict[str, Any]], corner: tuple[int, int],
) -> dict[int, dict[str, Any]]:  # fmt: skip
    """Values of table ``cells`` for the changed objects, in the whole frame's coordinates."""
    setting = draft.base.setting
    um, slot = setting.optics.um_per_px, setting.slot(population)
    mine = objects[population]
    rows = measure_objects(image[slot], mine, um, float(footage.prepared.noise_sd[slot]))
    if setting.death_marker is not None:
        at = setting.slot(setting.death_marker)
        deaths = measure_markers(
            image[at], objects, noise_sd=float(footage.prepared.noise_sd[at]), um_per_z=setting.optics.um_per_z,
            spread_from_px={n: a / um**2 for n, a in setting.spread_from_um2.items()},
        )  # fmt: skip
        signal, fill = deaths.get(population, (np.nan, np.nan))
        rows = rows.assign(death_signal=signal, death_fill=fill)
    else:
        rows = rows.assign(**dict.fromkeys(UNMEASURED, np.nan))
    rows = rows.set_index("label")
    found = {}
    for label, place in flat.items():
        row = rows.loc[label]
        whole = {k: place[k] for k in ("y_um", "x_um", "area_um2", "touches_border")}
        found[label] = {**{name: plain(row[name]) for name in MEASURES}, **whole}
    return found


def _evidence(
    draft: Draft, footage: Footage, image: Float32Array, objects: Mapping[str, Objects], population: str, frame: int,
    changed: Mapping[int, Mask | None],
) -> list[Evidence]:  # fmt: skip
    """Evidence of every pair a changed object takes part in."""
    base = draft.base
    slot = base.setting.slot(base.host)
    pairs = measure_frame(
        image[slot], objects[base.guest], objects[base.host], optics=base.setting.optics,
        noise=Noise(float(footage.prepared.noise_sd[slot]), float(footage.prepared.background[slot])),
        shared_stain=base.setting.populations[base.host].stain if base.guest == base.host else None,
    )  # fmt: skip
    concerned = pd.Series(False, index=pairs.index)
    if population == base.guest:
        concerned |= pairs["guest_label"].isin(list(changed))
    if population == base.host:
        concerned |= pairs["host_label"].isin(list(changed))
    found: dict[tuple[int, int], dict[str, Any] | None] = dict.fromkeys(
        _paired_before(draft, population, frame, changed)
    )
    for row in pairs[concerned].to_dict("records"):
        values = {str(k): plain(v) for k, v in row.items() if k not in ("guest_label", "host_label", "frame")}
        finite = {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in values.items()}
        found[int(row["guest_label"]), int(row["host_label"])] = finite
    return [Evidence(guest_label=g, host_label=h, values=v) for (g, h), v in found.items()]


def _paired_before(
    draft: Draft, population: str, frame: int, changed: Mapping[int, Mask | None]
) -> list[tuple[int, int]]:
    """Pairs of the changed objects that had evidence before."""
    base = draft.base
    rows = base.pairs[base.pairs["frame"] == frame]
    places = set(zip(rows["guest_label"].tolist(), rows["host_label"].tolist(), strict=True))
    places |= {(p.guest_label, p.host_label) for p in draft.edited.pairs if p.frame == frame}
    mine = {(g, h) for g, h in places if population == base.guest and g in changed}
    mine |= {(g, h) for g, h in places if population == base.host and h in changed}
    return sorted(mine)
