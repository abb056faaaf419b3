"""The edits that a reviewer's responses to an item make."""

from __future__ import annotations

from typing import Any, Literal

from cicimage.review.anchor import CellRef, cell_ref
from cicimage.review.corrected import Corrected
from cicimage.review.edits import SetDeath, SetEnd, SetEntry, SetLocation, SetViability, Verdict
from cicimage.review.edits.edit import plain
from cicimage.review.edits.states import Contact, Location, Viability
from cicimage.review.keys import ReviewError
from cicimage.review.queue import Item


def guest_of(corrected: Corrected, item: Item) -> int:
    """The guest an item is about, as the edits so far have it.

    Tracks may have been linked or broken since the queue was made: the guest is the cell that has the object now.

    Parameters
    ----------
    corrected : Corrected
        The item's position.
    item : Item
        The item.

    Returns
    -------
    int
        Id of the cell, 0 where it was deleted.
    """
    c, draft = item.candidate, corrected.draft
    keys = draft.base.objects_of(c.guest_id)
    later = [k for k in keys if k.frame >= c.first] or keys
    return next((cell for k in later if draft.exists(k) and (cell := draft.cell_of(k))), 0)


def host_of(corrected: Corrected, item: Item) -> int:
    """The host an item is about, as the edits so far have it.

    Parameters
    ----------
    corrected : Corrected
        The item's position.
    item : Item
        The item.

    Returns
    -------
    int
        Id of the cell, 0 where there is none.
    """
    c, draft = item.candidate, corrected.draft
    if not c.host_id:
        return 0
    keys = draft.base.objects_of(c.host_id)
    near = sorted(keys, key=lambda k: abs(k.frame - c.focus))[:1]
    return draft.cell_of(near[0]) if near and draft.exists(near[0]) else 0


def refer(corrected: Corrected, guest: int, first: int, last: int) -> CellRef:
    """Reference to a guest, anchored at both ends of an interval.

    Parameters
    ----------
    corrected : Corrected
        The position.
    guest : int
        Id of the cell.
    first, last : int
        0-based frames.

    Returns
    -------
    CellRef
        As it stands in the log.

    Raises
    ------
    ReviewError
        There is no such guest.
    """
    return cell_ref(corrected.draft, corrected.base.guest, guest, [first, last])


def refer_host(corrected: Corrected, host: int, frame: int) -> CellRef:
    """Reference to a host, anchored near a frame.

    Parameters
    ----------
    corrected : Corrected
        The position.
    host : int
        Id of the cell.
    frame : int
        0-based frame.

    Returns
    -------
    CellRef
        As it stands in the log.

    Raises
    ------
    ReviewError
        There is no such host.
    """
    return cell_ref(corrected.draft, corrected.base.host, host, [frame])


def verdict_on(corrected: Corrected, item: Item, verdict: Literal["accept", "reject", "unsure"]) -> Verdict:
    """The verdict on an item.

    Parameters
    ----------
    corrected : Corrected
        The item's position.
    item : Item
        The item.
    verdict : str
        accept | reject | unsure.

    Returns
    -------
    Verdict
        With the event's row as the pipeline found it.

    Raises
    ------
    ReviewError
        Its guest was deleted.
    """
    c = item.candidate
    guest, host = guest_of(corrected, item), host_of(corrected, item)
    if not guest:
        raise ReviewError("the guest of this item was deleted; go on with the next item (J)")
    was: dict[str, Any] = {}
    if c.event:
        row = corrected.base.events.iloc[c.event - 1]
        was = {str(name): plain(value) for name, value in row.items()}
    return Verdict(
        position=c.position, guest=refer(corrected, guest, c.first, c.last), first=c.first, last=c.last, call=c.call,
        verdict=verdict, host=refer_host(corrected, host, c.focus) if host else None, was=was,
        item=item.id, repeat=item.drawn == "repeat",
    )  # fmt: skip


def entry_at(corrected: Corrected, item: Item, span: tuple[int, int], frame: int) -> SetEntry:
    """The entry into a stay happened at another frame.

    Parameters
    ----------
    corrected : Corrected
        The item's position.
    item : Item
        The item.
    span : (int, int)
        First and last frame of the stay as it stands.
    frame : int
        First frame inside.

    Returns
    -------
    SetEntry
        The edit.
    """
    return SetEntry(**_about(corrected, item, span), frame=frame)


def end_at(corrected: Corrected, item: Item, span: tuple[int, int], frame: int) -> SetEnd:
    """A stay ended with another frame.

    Parameters
    ----------
    corrected : Corrected
        The item's position.
    item : Item
        The item.
    span : (int, int)
        First and last frame of the stay as it stands.
    frame : int
        Last frame inside.

    Returns
    -------
    SetEnd
        The edit.
    """
    return SetEnd(**_about(corrected, item, span), frame=frame)


def death_at(corrected: Corrected, item: Item, span: tuple[int, int], frame: int | None) -> SetDeath:
    """The guest died at a frame, or not at all.

    Parameters
    ----------
    corrected : Corrected
        The item's position.
    item : Item
        The item.
    span : (int, int)
        First and last frame of the interval reviewed.
    frame : int or None
        First dead frame; None = it did not die.

    Returns
    -------
    SetDeath
        The edit.
    """
    return SetDeath(**_about(corrected, item, span), frame=frame)


def located(
    corrected: Corrected, item: Item, span: tuple[int, int], location: Location, contact: Contact = "unresolved",
    host: int = 0,
) -> SetLocation:  # fmt: skip
    """Location of the guest in an interval.

    Parameters
    ----------
    corrected : Corrected
        The item's position.
    item : Item
        The item.
    span : (int, int)
        First and last frame of the interval.
    location : str
        free | attached | entering | inside | unresolved.
    contact : str
        How it touched the host, where it was attached.
    host : int
        Id of the host; 0 keeps the most likely one.

    Returns
    -------
    SetLocation
        The edit.
    """
    ref = refer_host(corrected, host, span[0]) if host else None
    return SetLocation(**_about(corrected, item, span), location=location, contact=contact, host=ref)


def living(corrected: Corrected, item: Item, span: tuple[int, int], viability: Viability) -> SetViability:
    """Viability of the guest in an interval.

    Parameters
    ----------
    corrected : Corrected
        The item's position.
    item : Item
        The item.
    span : (int, int)
        First and last frame of the interval.
    viability : str
        alive | dead | unknown.

    Returns
    -------
    SetViability
        The edit.
    """
    return SetViability(**_about(corrected, item, span), viability=viability)


def _about(corrected: Corrected, item: Item, span: tuple[int, int]) -> dict[str, Any]:
    guest = guest_of(corrected, item)
    if not guest:
        raise ReviewError("the guest of this item was deleted; go on with the next item (J)")
    return {
        "position": item.candidate.position, "guest": refer(corrected, guest, *span), "first": span[0], "last": span[1],
        "item": item.id,
    }  # fmt: skip
