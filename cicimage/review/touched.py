"""Guests that a change of objects and tracks touches."""

from __future__ import annotations

from cicimage.review.draft import Change, Draft
from cicimage.review.keys import Key, PairKey


def guests_touched(draft: Draft, change: Change) -> set[int]:
    """Guests whose evidence a change alters.

    These are the guests among the cells that gain or lose objects, their relatives, and the guests near hosts among
    them.

    Parameters
    ----------
    draft : Draft
        The position before or after the change: what a change touches in full are both together.
    change : Change
        The change; ``draft.edited`` gives the guests that differ from the base.

    Returns
    -------
    set of int
        Ids of guests in the base or in the draft.
    """
    base, objects, parents = draft.base, change.objects, set(change.parents)
    cells = draft.cells_of(objects) | parents
    cells |= {p for c in cells for p in (base.parents.get(c, 0), draft.parent_of(c)) if p}
    near = {Key(base.guest, p.frame, p.guest_label) for p in change.pairs}
    hosts = {k for k in objects if k.population == base.host}
    # the children of a touched host pass it on as their parent, and so its guests stay where they are
    hosts |= {k for c in parents for k in draft.objects_of(base.host, c)}
    rows = base.pairs.iloc[base.host_pair_index.rows([base.code(k) for k in hosts])]
    near |= {Key(base.guest, f, g) for f, g in zip(rows["frame"], rows["guest_label"], strict=True)}
    near |= {Key(base.guest, p.frame, p.guest_label) for p in draft.edited.pairs if _host_of(draft, p) in objects}
    return {c for c in cells | draft.cells_of(near) if _is_guest(draft, c)}


def _host_of(draft: Draft, pair: PairKey) -> Key:
    return Key(draft.base.host, pair.frame, pair.host_label)


def _is_guest(draft: Draft, cell: int) -> bool:
    """Whether a cell is a guest, or was one in the base."""
    base = draft.base
    was = base.objects_of(cell)
    return bool(draft.objects_of(base.guest, cell)) or (bool(was) and was[0].population == base.guest)


def all_guests(draft: Draft) -> set[int]:
    """Every guest of the position, in the base or in the draft."""
    base = {int(g) for g in draft.base.guests["guest_id"]}
    edited = {draft.cell_of(k) for k in draft.edited.cells if k.population == draft.base.guest}
    return (base | edited) - {0}
