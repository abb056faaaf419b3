"""Rows of tables ``cells`` and ``pairs`` as the edits of a draft make them, for the cells that are asked for."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import numpy as np
import pandas as pd

from cicimage.review.draft import NO_CELL, Draft
from cicimage.review.keys import Key, PairKey
from cicimage.tables import CELLS, PAIRS, conform
from cicimage.tracking.gaps import fill_gaps


def cell_rows(draft: Draft, cells: Iterable[int]) -> pd.DataFrame:
    """Rows of some cells, gaps filled anew where their objects changed.

    Parameters
    ----------
    draft : Draft
        The position.
    cells : iterable of int
        Cell ids; ids that no cell has any more give no rows.

    Returns
    -------
    pandas.DataFrame
        Columns of the base's ``cells``, by frame and cell.
    """
    wanted, touched = set(cells), draft.edited_cells
    as_found = draft.base.cells.iloc[draft.base.cell_index.rows(sorted(wanted - touched))]
    edited = _edited_rows(draft, sorted(wanted & touched))
    if not len(edited):
        return as_found
    both = pd.concat([as_found, edited], ignore_index=True) if len(as_found) else edited
    return both.sort_values(["frame", "cell_id"], kind="stable", ignore_index=True)


def _edited_rows(draft: Draft, cells: list[int]) -> pd.DataFrame:
    base = draft.base
    held = [(k, c) for c in cells for p in base.populations for k in draft.objects_of(p, c)]
    if not held:
        return base.cells.iloc[:0]
    at = np.array([base.row(k) for k, _ in held])
    known = [pair for pair, i in zip(held, at, strict=True) if i >= 0]
    rows = base.seen.iloc[at[at >= 0]].drop(columns="code").reset_index(drop=True)
    parent = {c: draft.parent_of(c) for c in cells}
    rows["cell_id"] = np.array([c for _, c in known], np.int64)
    rows["parent_id"] = np.array([parent[c] for _, c in known], np.int64)
    rows["reviewed"] = np.array([k in draft.edited.cells or k in draft.edited.measured for k, _ in known], np.bool_)
    for n, (key, _) in enumerate(known):
        if key in draft.edited.measured:
            for name, value in _values(draft, key).items():
                rows.loc[n, name] = value
    new = [_new_row(draft, k, c) for (k, c), i in zip(held, at, strict=True) if i < 0]
    if new:
        extra = conform(CELLS, pd.DataFrame(new))
        rows = pd.concat([rows, extra], ignore_index=True) if len(rows) else extra
    return _without_gaps(draft, rows)


def _values(draft: Draft, key: Key) -> dict[str, Any]:
    values = dict(draft.edited.measured[key])
    border = bool(values.pop("touches_border"))
    return {**{k: np.nan if v is None else float(v) for k, v in values.items()}, "touches_border": border}


def _new_row(draft: Draft, key: Key, cell: int) -> dict[str, Any]:
    return {
        "position": draft.base.position_id, "frame": key.frame, "time_h": float(draft.base.time_h[key.frame]),
        "population": key.population, "label": key.label, "cell_id": cell, "parent_id": draft.parent_of(cell),
        "observed": True, "reviewed": True, **_values(draft, key),
    }  # fmt: skip


def _without_gaps(draft: Draft, rows: pd.DataFrame) -> pd.DataFrame:
    """Fill gaps along the drift-free path, then go back to the raw frame."""
    drift = draft.base.drift.set_index("frame")[["dy_um", "dx_um"]]

    def moved(table: pd.DataFrame, sign: float) -> pd.DataFrame:
        by = drift.reindex(table["frame"].to_numpy())
        return table.assign(
            y_um=table["y_um"] + sign * by["dy_um"].to_numpy(), x_um=table["x_um"] + sign * by["dx_um"].to_numpy()
        )

    filled = fill_gaps(moved(rows, -1.0), draft.base.time_h)
    filled["reviewed"] = filled["reviewed"].eq(True)  # filled rows hold nothing
    return moved(filled, 1.0)


def pair_rows(draft: Draft, guests: Collection[int]) -> pd.DataFrame:
    """Evidence of some guests against their hosts, with the ids the edits gave them.

    Parameters
    ----------
    draft : Draft
        The position.
    guests : collection of int
        Ids of the guests.

    Returns
    -------
    pandas.DataFrame
        Columns of the base's ``pairs``, by frame, guest and host.
    """
    base = draft.base
    keys = [k for g in sorted(guests) for k in draft.objects_of(base.guest, g)]
    guest_of = {(k.frame, k.label): draft.cell_of(k) for k in keys}
    rows = base.pairs.iloc[base.pair_index.rows([base.code(k) for k in keys])]
    if len(rows):
        places = list(zip(rows["frame"], rows["guest_label"], rows["host_label"], strict=True))
        changed = _hosts_changed(draft)
        host = [changed.get((f, h), old) for (f, _, h), old in zip(places, rows["host_id"].tolist(), strict=True)]
        rows = rows.assign(guest_id=[guest_of[f, g] for f, g, _ in places], host_id=host)
        stays = [PairKey(*p) not in draft.edited.pairs for p in places]
        rows = rows[np.array(stays, np.bool_)]
    rows = pd.concat([rows, extra], ignore_index=True) if len(extra := _measured_pairs(draft, guest_of)) else rows
    rows = rows[(rows["host_id"] != NO_CELL) & (rows["host_id"] != rows["guest_id"])]
    # one host may hold two objects of a merged frame: the nearer evidence stands
    rows = rows.sort_values(["frame", "guest_id", "host_id", "gap_um"], kind="stable")
    return rows.drop_duplicates(["frame", "guest_id", "host_id"], ignore_index=True)


def _hosts_changed(draft: Draft) -> dict[tuple[int, int], int]:
    """Cell by frame and label of the host objects that edits touched; 0 where there is none any more."""
    keys = (k for k in {*draft.edited.cells, *draft.edited.masks} if k.population == draft.base.host)
    return {(k.frame, k.label): draft.cell_of(k) if draft.exists(k) else NO_CELL for k in keys}


def _measured_pairs(draft: Draft, guest_of: dict[tuple[int, int], int]) -> pd.DataFrame:
    rows = []
    for pair, values in draft.edited.pairs.items():
        guest = guest_of.get((pair.frame, pair.guest_label), NO_CELL)
        host = Key(draft.base.host, pair.frame, pair.host_label)
        if values is None or guest == NO_CELL or not draft.exists(host):
            continue
        rows.append({
            "position": draft.base.position_id, "frame": pair.frame, "time_h": float(draft.base.time_h[pair.frame]),
            "guest_id": guest, "host_id": draft.cell_of(host), "guest_label": pair.guest_label,
            "host_label": pair.host_label, **{k: np.nan if v is None else v for k, v in values.items()},
        })  # fmt: skip
    return conform(PAIRS, pd.DataFrame(rows)) if rows else draft.base.pairs.iloc[:0]
