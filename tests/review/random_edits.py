"""Random edits a reviewer might make to a small world; many of them do not fit, as in life."""

from __future__ import annotations

import random

import numpy as np

from cicimage.masks import Mask
from cicimage.review.anchor import cell_ref
from cicimage.review.draft import Draft
from cicimage.review.edits import (
    AddEvent,
    BreakTrack,
    DeleteTrack,
    Edit,
    EraseMask,
    Evidence,
    ExcludeFrames,
    ExcludeHost,
    ExcludePosition,
    LinkTracks,
    MergeMasks,
    MergeTracks,
    Note,
    PaintMask,
    Patch,
    SetDeath,
    SetEnd,
    SetEntry,
    SetLocation,
    SetViability,
    SplitMask,
    SplitTrack,
    SwapTracks,
    Verdict,
)
from cicimage.review.keys import ReviewError


def random_edit(draft: Draft, seed: int) -> Edit:
    """Any edit; raises ReviewError where not even its parts can be named."""
    rng = random.Random(seed)  # noqa: S311
    return rng.choice([_decision, _decision, _track, _track, _mask, _exclusion])(draft, rng)


def _cells(draft: Draft, population: str) -> list[int]:
    keys = [k for f in range(draft.base.n_frames) for k in draft.keys_in(population, f)]
    return sorted({draft.cell_of(k) for k in keys} - {0})


def _pick(draft: Draft, rng: random.Random, population: str) -> int:
    cells = _cells(draft, population)
    if not cells:
        raise ReviewError("no cell is left")
    return rng.choice(cells)


def _span(draft: Draft, rng: random.Random) -> tuple[int, int]:
    a, b = sorted(rng.sample(range(draft.base.n_frames), 2))
    return a, b


def _decision(draft: Draft, rng: random.Random) -> Edit:
    guest, (first, last) = _pick(draft, rng, "guest"), _span(draft, rng)
    ref = cell_ref(draft, "guest", guest, [first, last])
    host = cell_ref(draft, "host", _pick(draft, rng, "host"), [first])
    common = {"position": draft.base.position_id, "guest": ref, "first": first, "last": last}
    frame = rng.randrange(draft.base.n_frames)
    kind = rng.randrange(8)
    if kind == 0:
        was = {"guest_id": guest, "host_id": 1, "start_frame": first, "entry_frame": None, "end_frame": last,
               "end_reason": "escape", "outcome_known": True, "y_um": 1.0, "x_um": 1.0, "prevalent": False,
               "brief": False, "onset": "watched", "divided": False, "entry_after_frame": None}  # fmt: skip
        return Verdict(
            **common, call=rng.choice(["event", "under", "unresolved", "inside"]), was=was, item=rng.choice("abc"),
            verdict=rng.choice(["accept", "reject", "unsure"]), host=rng.choice([None, host]),
        )  # fmt: skip
    if kind == 1:
        return AddEvent(**common, host=host, entry_frame=rng.choice([None, first, last]))
    if kind == 2:
        return SetEntry(**common, frame=frame)
    if kind == 3:
        return SetEnd(**common, frame=frame)
    if kind == 4:
        return SetDeath(**common, frame=rng.choice([None, frame]))
    if kind == 5:
        location = rng.choice(["free", "attached", "entering", "inside", "unresolved"])
        return SetLocation(**common, location=location, contact="under", host=rng.choice([None, host]))
    if kind == 6:
        return SetViability(**common, viability=rng.choice(["alive", "dead", "unknown"]))
    return Note(position=draft.base.position_id, text="look", frame=frame)


def _track(draft: Draft, rng: random.Random) -> Edit:
    population = rng.choice(["guest", "guest", "host"])
    a, b = (_pick(draft, rng, population) for _ in range(2))
    frame, key = rng.randrange(draft.base.n_frames), draft.base.position_id
    first, second = (cell_ref(draft, population, c, [frame]) for c in (a, b))
    kind = rng.randrange(6)
    if kind == 0:
        return LinkTracks(position=key, first=first, second=second)
    if kind == 1:
        return BreakTrack(position=key, cell=first, frame=frame)
    if kind == 2:
        return SplitTrack(position=key, cell=first, frame=frame)
    if kind == 3:
        return SwapTracks(position=key, first=first, second=second, frame=frame)
    if kind == 4:
        return MergeTracks(position=key, first=first, second=second)
    span = _span(draft, rng)
    return DeleteTrack(position=key, cell=first, first=span[0], last=span[1])


def _mask(draft: Draft, rng: random.Random) -> Edit:
    frame = rng.randrange(draft.base.n_frames)
    keys = draft.keys_in("guest", frame)
    if not keys:
        raise ReviewError("no object is left")
    key = rng.choice(keys)
    before = draft.mask(key)
    common = {"position": draft.base.position_id, "population": "guest", "frame": frame, "made_on": draft.base.detected}
    measured = {**draft.measures(key), "area_um2": float(rng.randrange(5, 50))}
    grown = Mask(key.label, before.y0 - 1, before.x0, np.pad(before.pixels, ((1, 0), (0, 0)), mode="edge"))
    kind = rng.randrange(5)
    if kind == 0:
        cap, floor = rng.random(), rng.random()
        values = {"cap": cap, "floor": floor, "cap_se": 0.02, "floor_se": 0.02, "gap_um": 0.0, "footprint_share": 1.0,
                  "ring_coverage": 1.0, "wall": 1.0, "wall_se": 0.02, "void": 0.9, "void_se": 0.02}  # fmt: skip
        evidence = Evidence(guest_label=key.label, host_label=1, values=rng.choice([None, values]))
        return PaintMask(**common, patches=(Patch.of(key.label, before, grown, measured=measured),), pairs=(evidence,))
    new = draft.next_label("guest", frame)
    if kind == 1:
        cell = rng.choice([None, cell_ref(draft, "guest", _pick(draft, rng, "guest"), [frame])])
        return PaintMask(**common, patches=(Patch.of(new, None, grown, cell=cell, measured=measured),))
    if kind == 2:
        return EraseMask(**common, patches=(Patch.of(key.label, before, None),))
    half = before.pixels.copy()
    half[:, half.shape[1] // 2 :] = False
    left, right = (Mask(n, before.y0, before.x0, p) for n, p in ((key.label, half), (new, before.pixels & ~half)))
    if kind == 3:
        patches = (Patch.of(key.label, before, left, measured=measured), Patch.of(new, None, right, measured=measured))
        return SplitMask(**common, patches=patches)
    other = rng.choice(keys)
    return MergeMasks(
        **common, patches=(Patch.of(key.label, before, _union(before, draft.mask(other)), measured=measured),
                           Patch.of(other.label, draft.mask(other), None)),
    )  # fmt: skip


def _union(a: Mask, b: Mask) -> Mask:
    y0, x0 = min(a.y0, b.y0), min(a.x0, b.x0)
    pixels = np.zeros((max(m.window[0].stop for m in (a, b)) - y0, max(m.window[1].stop for m in (a, b)) - x0), bool)
    for m in (a, b):
        h, w = m.pixels.shape
        pixels[m.y0 - y0 : m.y0 - y0 + h, m.x0 - x0 : m.x0 - x0 + w] |= m.pixels
    return Mask(a.label, y0, x0, pixels)


def _exclusion(draft: Draft, rng: random.Random) -> Edit:
    kind, key = rng.randrange(3), draft.base.position_id
    if kind == 0:
        return ExcludePosition(position=key, reason="bubble")
    if kind == 1:
        host = cell_ref(draft, "host", _pick(draft, rng, "host"), [0])
        return ExcludeHost(position=key, host=host, reason="dividing")
    first, last = _span(draft, rng)
    return ExcludeFrames(position=key, first=first, last=last, reason="defocus")
