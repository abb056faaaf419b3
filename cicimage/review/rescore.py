"""Scores, events and histories of the guests that edits touched, by the very functions the pipeline uses."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
import pandas as pd

from cicimage.events.episodes import find_events
from cicimage.events.histories import guest_histories
from cicimage.methods import Observations, Scorer, build
from cicimage.pipeline.judge import observe
from cicimage.review.anchor import CellRef, Key, ReviewError, cell_now
from cicimage.review.draft import Change, Draft, PairKey, cells_of
from cicimage.review.edits import CALLED_INSIDE, Decision, Edit, Verdict
from cicimage.review.rows import cell_rows, pair_rows
from cicimage.review.sheet import Sheet
from cicimage.tables import FRAMES, conform


@dataclass(frozen=True, eq=False)
class Scored:
    """One guest as edits make it: its rows of the tables of those names; empty ones where there is no such guest.

    Where only decisions were made, ``as_seen`` is True: cells and pairs are the base's, and are not held here.
    """

    cells: pd.DataFrame
    pairs: pd.DataFrame
    frames: pd.DataFrame
    events: pd.DataFrame
    guests: pd.DataFrame
    as_seen: bool = False


@dataclass(frozen=True)
class Scores:
    """Guests scored anew, and decisions that no longer fit.

    Attributes
    ----------
    guests : dict of int to Scored
        By guest.
    conflicts : dict of int to str
        What does not fit by number of the record.
    """

    guests: dict[int, Scored]
    conflicts: dict[int, str] = field(default_factory=dict)


# ---------------------------------------------------------------- which guests


def guests_touched_by(draft: Draft, change: Change) -> set[int]:
    """Guests whose evidence a change alters, as the draft stands: ask before and after it is applied."""
    objects = {*change.cells, *change.masks, *change.measured}
    return _with_relatives(draft, objects, change.parents, change.pairs)


def structurally_touched(draft: Draft) -> set[int]:
    """Guests whose evidence differs from the base."""
    return _with_relatives(draft, draft.touched_objects(), draft.parents, draft.pairs)


def _with_relatives(draft: Draft, objects: Iterable[Key], parents: Iterable[int], pairs: Iterable[PairKey]) -> set[int]:
    """Cells of objects, cells divided from or into, and the guests near hosts among them."""
    objects = set(objects)
    cells = cells_of(draft, objects) | set(parents)
    cells |= {p for c in cells for p in (draft.base.parents.get(c, 0), draft.parent_of(c)) if p}
    near = {Key(draft.base.guest, p.frame, p.guest_label) for p in pairs}
    hosts = [k for k in objects if k.population == draft.base.host]
    # the children of a touched host pass it on as their parent, and so its guests stay where they are
    hosts += [k for c in set(parents) for k in draft.objects_of(draft.base.host, c)]
    rows = draft.base.pairs.iloc[draft.base.host_pair_index.rows([draft.base.code(k) for k in set(hosts)])]
    near |= {Key(draft.base.guest, f, g) for f, g in zip(rows["frame"], rows["guest_label"], strict=True)}
    near |= {Key(draft.base.guest, p.frame, p.guest_label) for p in draft.pairs if _host_key(draft, p) in objects}
    return {c for c in cells | cells_of(draft, near) if _is_guest(draft, c)}


def _host_key(draft: Draft, pair: PairKey) -> Key:
    return Key(draft.base.host, pair.frame, pair.host_label)


def _is_guest(draft: Draft, cell: int) -> bool:
    """Whether a cell is a guest, or was one in the base."""
    base = draft.base
    was = base.objects_of(cell)
    return bool(draft.objects_of(base.guest, cell)) or (bool(was) and was[0].population == base.guest)


def guests_decided(draft: Draft, among: Iterable[int] | None = None) -> set[int]:
    """Guests that decisions (all, or those of some records) are about.

    Decisions that no longer fit are left to :func:`score_guests` to list.
    """
    found: set[int] = set()
    for n in draft.decisions if among is None else among:
        try:
            guests = draft.guests_about(n)
        except ReviewError:
            continue
        found |= all_guests(draft) if guests is None else guests
    return found


def decided_on_others(draft: Draft) -> list[int]:
    """Records of decisions made on other detections: which object they mean hangs on all objects near.

    Those made on these very detections name objects, and follow them from cell to cell.
    """
    return [n for n, e in draft.decisions.items() if isinstance(e, Decision) and e.guest.made_on != draft.base.detected]


def guests_of(draft: Draft, edit: Edit) -> set[int]:
    """Guests one decision is about; none where it no longer fits."""
    try:
        guests = edit.guests(draft)
    except ReviewError:
        return set()
    return all_guests(draft) if guests is None else guests


def all_guests(draft: Draft) -> set[int]:
    """Every guest of the position."""
    base = {int(g) for g in draft.base.guests["guest_id"]}
    edited = {draft.cell_of(k) for k in draft.cells if k.population == draft.base.guest}
    return (base | edited) - {0}


# ---------------------------------------------------------------- scoring


def score_guests(draft: Draft, guests: Collection[int]) -> Scores:
    """Score some guests as the draft has them.

    Parameters
    ----------
    draft : Draft
        The position.
    guests : collection of int
        Guests to score; ids nobody holds any more get empty tables, which take the base's rows away.

    Returns
    -------
    Scores
        Tables by guest, and the decisions that no longer fit.
    """
    wanted = sorted(set(guests))
    structural = structurally_touched(draft) & set(wanted)
    seen, cells = observed(draft, wanted, structural)
    frames = _scored_frames(draft, wanted, structural, seen)
    frames, rejected, conflicts = _with_decisions(draft, frames)
    events = _events(frames, seen, rejected)
    counted = frames.assign(location=frames["location"].mask(frames["_excluded"] != "", "excluded"))
    histories = guest_histories(counted, seen, events)
    decided = set(frames.loc[frames["reviewed"], "guest_id"]) | structural
    histories = histories.assign(reviewed=histories["guest_id"].isin(decided).astype(bool))
    kept = frames[frames["_excluded"] == ""].drop(columns="_excluded")
    tables = {"cells": cells[cells["cell_id"].isin(wanted)], "pairs": seen.pairs, "frames": kept,
              "events": events, "guests": histories}  # fmt: skip
    return Scores({g: _of_guest(tables, g, as_seen=g not in structural) for g in wanted}, conflicts)


def _of_guest(tables: Mapping[str, pd.DataFrame], guest: int, *, as_seen: bool) -> Scored:
    parts = {}
    for name, rows in tables.items():
        held = not (as_seen and name in ("cells", "pairs"))
        parts[name] = (
            rows[rows["cell_id" if name == "cells" else "guest_id"] == guest] if held else rows.iloc[:0].copy()
        )
    return Scored(**parts, as_seen=as_seen)


def observed(draft: Draft, guests: Collection[int], structural: Collection[int]) -> tuple[Observations, pd.DataFrame]:
    """What the scorer sees of some guests: they, the hosts near them, the children of both; and all their cells' rows.

    Children are needed for the fates: whether a track ended by division.
    """
    base = draft.base
    found = base.pairs.iloc[base.pair_index.rows(_codes(draft, set(guests) - set(structural)))]
    edited = pair_rows(draft, structural)
    pairs = pd.concat([found, edited], ignore_index=True) if len(edited) else found.reset_index(drop=True)
    kin = {child for g in guests for child in draft.children_of(g)}
    hosts = {int(h) for h in pairs["host_id"].unique()}
    hosts |= {child for h in hosts for child in draft.children_of(h)}
    cells = cell_rows(draft, {*guests, *kin, *hosts})
    whole = observe(cells, pairs, base.drift, base.setting, base.time_h)
    seen = replace(
        whole,
        frames=whole.frames[whole.frames["guest_id"].isin({*guests, *kin})].reset_index(drop=True),
        hosts=whole.hosts[whole.hosts["host_id"].isin(hosts)].reset_index(drop=True),
        separable=base.separable,
    )
    return seen, cells


def _codes(draft: Draft, guests: Iterable[int]) -> list[int]:
    return [draft.base.code(k) for g in sorted(guests) for k in draft.objects_of(draft.base.guest, g)]


def _scored_frames(
    draft: Draft, wanted: Collection[int], structural: Collection[int], seen: Observations
) -> pd.DataFrame:
    """Scored rows before decisions: the base's own where the evidence is the base's."""
    base = draft.base
    as_found = base.frames.iloc[base.frame_index.rows(set(wanted) - set(structural))]
    mine = seen.frames[seen.frames["guest_id"].isin(list(structural))].reset_index(drop=True)
    if not len(mine):
        return as_found.reset_index(drop=True)
    scorer = cast(Scorer, build("score", base.choices["score"].method, base.choices["score"].options))
    pairs = seen.pairs[seen.pairs["guest_id"].isin(list(structural))].reset_index(drop=True)
    scored = conform(FRAMES, scorer.score(replace(seen, frames=mine, pairs=pairs)))
    both = pd.concat([as_found, scored], ignore_index=True) if len(as_found) else scored
    return both.sort_values(["frame", "guest_id"], kind="stable", ignore_index=True)


# ---------------------------------------------------------------- decisions


def _with_decisions(
    draft: Draft, frames: pd.DataFrame
) -> tuple[pd.DataFrame, list[tuple[int, Verdict]], dict[int, str]]:
    """Lay the decisions over the scores; returns the frames, the rejected events and what no longer fits."""
    about, conflicts = _decisions_by_guest(draft)
    rejected: list[tuple[int, Verdict]] = []
    parts = []
    for guest, rows in frames.sort_values(["guest_id", "frame"], kind="stable").groupby("guest_id"):
        sheet = Sheet.of(int(str(guest)), rows)
        sheet.reviewed |= rows["reviewed"].to_numpy(bool)
        for n in (*about.get(sheet.guest_id, ()), *about.get(None, ())):
            edit = draft.decisions[n]
            try:
                edit.lay(draft, sheet)
            except ReviewError as error:
                conflicts[n] = str(error)
                continue
            if isinstance(edit, Verdict) and _keeps_row(edit):
                rejected.append((sheet.guest_id, edit))
        parts.append(sheet.laid_over(rows))
    if not parts:
        return frames.assign(_excluded=""), rejected, conflicts
    laid = pd.concat(parts, ignore_index=True)
    return laid.sort_values(["frame", "guest_id"], kind="stable", ignore_index=True), rejected, conflicts


def _keeps_row(edit: Verdict) -> bool:
    return edit.verdict == "reject" and edit.call in CALLED_INSIDE and bool(edit.was) and not edit.repeat


def _decisions_by_guest(draft: Draft) -> tuple[dict[int | None, list[int]], dict[int, str]]:
    """Numbers of the decisions by guest (None = all), exclusions last; and those that no longer fit."""
    about: dict[int | None, list[int]] = {}
    conflicts: dict[int, str] = {}
    superseded = _superseded(draft)
    for last in (False, True):
        for n, edit in draft.decisions.items():
            if edit.excludes is not last or n in superseded:
                continue
            try:
                guests = draft.guests_about(n)
            except ReviewError as error:
                conflicts[n] = str(error)
                continue
            for guest in {None} if guests is None else guests:
                about.setdefault(guest, []).append(n)
    return about, conflicts


def _superseded(draft: Draft) -> set[int]:
    """Verdicts on an item that was judged again later: the last one counts."""
    last: dict[str, int] = {}
    old: set[int] = set()
    for n, edit in draft.decisions.items():
        if isinstance(edit, Verdict) and edit.item and not edit.repeat:
            if edit.item in last:
                old.add(last[edit.item])
            last[edit.item] = n
    return old


# ---------------------------------------------------------------- events


def _events(frames: pd.DataFrame, seen: Observations, rejected: Iterable[tuple[int, Verdict]]) -> pd.DataFrame:
    """Events of the laid frames, marked where a human decided, and rejected ones kept with p = 0."""
    events = find_events(frames, seen)
    lines = {int(str(g)): rows for g, rows in frames.groupby("guest_id")}
    reviewed, excluded = [], []
    for event in events.itertuples():
        rows = lines[int(event.guest_id)]  # type: ignore[arg-type]
        rows = rows[(rows["frame"] >= event.start_frame) & (rows["frame"] <= event.end_frame)]
        reviewed.append(bool((rows["reviewed"] & rows["location"].isin(["inside", "entering"])).any()))
        why = rows.loc[rows["_excluded"] != "", "_excluded"]
        excluded.append(f"excluded: {why.iloc[0]}" if len(why) else str(event.excluded_reason))
    events = events.assign(reviewed=np.array(reviewed, bool), excluded_reason=np.array(excluded, object))
    events["score"] = events["score"].where(~events["excluded_reason"].str.startswith("excluded: "), "")
    gone = [row for guest, edit in rejected if (row := _rejected_row(guest, edit, events)) is not None]
    if gone:
        extra = pd.DataFrame(gone).reindex(columns=events.columns)
        extra = extra.astype({c: events[c].dtype for c in events.columns if c in extra and len(events)})
        events = pd.concat([events, extra], ignore_index=True) if len(events) else extra
    return events.sort_values(["guest_id", "start_frame"], kind="stable", ignore_index=True)


def _rejected_row(guest: int, edit: Verdict, events: pd.DataFrame) -> dict[str, object] | None:
    """The row of a rejected event; None where a later edit put an event there again."""
    same = events[(events["guest_id"] == guest) & (events["start_frame"] <= edit.last)]
    if len(same[same["end_frame"] > edit.first]):
        return None
    row = {k: np.nan if v is None else v for k, v in edit.was.items()}
    return {**row, "guest_id": guest, "p": 0.0, "score": "", "excluded_reason": "rejected", "reviewed": True}


__all__ = [
    "CellRef", "Scored", "Scores", "all_guests", "cell_now", "decided_on_others", "guests_decided", "guests_of",
    "guests_touched_by", "observed", "score_guests", "structurally_touched",
]  # fmt: skip
