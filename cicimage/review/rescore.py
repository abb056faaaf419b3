"""Scores, events and histories of the guests that edits touched, by the very functions the pipeline uses."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import pandas as pd

from cicimage.events.episodes import find_events
from cicimage.events.histories import guest_histories
from cicimage.methods import Observations, Scorer, build
from cicimage.pipeline.judge import observe
from cicimage.review.decisions import Applied, Decisions
from cicimage.review.draft import Draft
from cicimage.review.edits import CALLED_INSIDE, Verdict
from cicimage.review.guest_frames import GuestFrames
from cicimage.review.rows import cell_rows, pair_rows
from cicimage.tables import FRAMES, conform


@dataclass(frozen=True, eq=False)
class Scored:
    """One guest as edits make it: its rows of the tables of those names; empty ones where there is no such guest.

    ``decisions`` were applied to it. Where nothing but decisions was made, ``as_seen`` is True: cells and pairs are the
    base's, and are not held here.
    """

    cells: pd.DataFrame
    pairs: pd.DataFrame
    frames: pd.DataFrame
    events: pd.DataFrame
    guests: pd.DataFrame
    decisions: tuple[Applied, ...] = ()
    as_seen: bool = False


def score_guests(
    draft: Draft, guests: Collection[int], structural: Collection[int], decisions: Decisions
) -> dict[int, Scored]:
    """Score some guests as the draft has them.

    Parameters
    ----------
    draft : Draft
        The position.
    guests : collection of int
        Guests to score; ids that no cell has any more get empty tables, which replace the base's rows.
    structural : collection of int
        Those of them whose evidence differs from the base; the others keep the base's scores.
    decisions : Decisions
        Applied to the scores.

    Returns
    -------
    dict of int to Scored
        Tables by guest.
    """
    wanted, structural = sorted(set(guests)), set(structural) & set(guests)
    seen, cells = observed(draft, wanted, structural)
    frames = _scored_frames(draft, wanted, structural, seen)
    frames, rejected = _with_decisions(decisions, frames)
    events = _events(frames, seen, rejected)
    counted = frames.assign(location=frames["location"].mask(frames["_excluded"] != "", "excluded"))
    histories = guest_histories(counted, seen, events)
    decided = set(frames.loc[frames["reviewed"], "guest_id"]) | structural
    histories = histories.assign(reviewed=histories["guest_id"].isin(decided).astype(bool))
    kept = frames[frames["_excluded"] == ""].drop(columns="_excluded")
    tables = {"cells": cells[cells["cell_id"].isin(wanted)], "pairs": seen.pairs, "frames": kept,
              "events": events, "guests": histories}  # fmt: skip
    return {g: _of_guest(tables, g, decisions.on_guest(g), as_seen=g not in structural) for g in wanted}


def _of_guest(
    tables: Mapping[str, pd.DataFrame], guest: int, decisions: tuple[Applied, ...], *, as_seen: bool
) -> Scored:
    parts = {}
    for name, rows in tables.items():
        held = not (as_seen and name in ("cells", "pairs"))
        parts[name] = (
            rows[rows["cell_id" if name == "cells" else "guest_id"] == guest] if held else rows.iloc[:0].copy()
        )
    return Scored(**parts, decisions=decisions, as_seen=as_seen)


def observed(draft: Draft, guests: Collection[int], structural: Collection[int]) -> tuple[Observations, pd.DataFrame]:
    """What the scorer sees of some guests: they, the hosts near them, and the children of both.

    Children are needed for the fates: whether a track ended by division.

    Parameters
    ----------
    draft : Draft
        The position.
    guests : collection of int
        Ids of the guests.
    structural : collection of int
        Those of them whose evidence differs from the base.

    Returns
    -------
    (Observations, pandas.DataFrame)
        The observations, and the rows of table ``cells`` of all these cells.
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


def _with_decisions(decisions: Decisions, frames: pd.DataFrame) -> tuple[pd.DataFrame, list[tuple[int, Verdict]]]:
    """Apply the decisions to the scores; returns the frames and the rejected events by guest."""
    rejected: list[tuple[int, Verdict]] = []
    parts = []
    for label, rows in frames.sort_values(["guest_id", "frame"], kind="stable").groupby("guest_id"):
        guest, altered = int(str(label)), GuestFrames.of(rows)
        for n, host in decisions.on_guest(guest):
            edit = decisions.edits[n]
            edit.apply_to(altered, host)
            if isinstance(edit, Verdict) and _keeps_row(edit):
                rejected.append((guest, edit))
        parts.append(altered.written_to(rows))
    if not parts:
        return frames.assign(_excluded=""), rejected
    decided = pd.concat(parts, ignore_index=True)
    return decided.sort_values(["frame", "guest_id"], kind="stable", ignore_index=True), rejected


def _keeps_row(edit: Verdict) -> bool:
    return edit.verdict == "reject" and edit.call in CALLED_INSIDE and bool(edit.was) and not edit.repeat


# ---------------------------------------------------------------- events


def _events(frames: pd.DataFrame, seen: Observations, rejected: Iterable[tuple[int, Verdict]]) -> pd.DataFrame:
    """Events of the decided frames, marked where a reviewer decided, and rejected ones kept with p = 0."""
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
