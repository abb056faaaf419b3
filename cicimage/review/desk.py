"""A review session without a window: the item and frame shown, and what each action does.

A viewer shows this state and calls these methods; it decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
import pandas as pd

from cicimage.review.base import Base
from cicimage.review.blinding import Blind
from cicimage.review.candidates import Candidate
from cicimage.review.corrected import Corrected
from cicimage.review.edits import Decision, Edit, Note
from cicimage.review.edits.states import Contact, Location, Viability
from cicimage.review.keys import ReviewError
from cicimage.review.queue import Item, Progress, build_queue, load_queue_tables, progress
from cicimage.review.response import (
    death_at,
    end_at,
    entry_at,
    guest_of,
    host_of,
    living,
    located,
    refer_host,
    verdict_on,
)
from cicimage.review.session import Session, position_names
from cicimage.review.walk import Walk
from cicimage.store import Results

FILM_FRAMES: Final = 9
KEPT_POSITIONS: Final = 6
"""Positions held in memory; others are read again when an item leads there."""


@dataclass(eq=False)
class Desk:
    """A session, its queue, and the item and frame shown.

    Attributes
    ----------
    session : Session
        The open log.
    queue : list of Item
        In order.
    item : Item or None
        The item shown; None when the queue is empty.
    frame : int
        Frame on the screen.
    span : (int, int)
        First and last frame that location and viability apply to.
    other : (str, int) or None
        Population and id of the cell clicked last: partner of merge, swap and link, or the host meant.
    listeners : list of callable
        Called after each change with ``"item"``, ``"frame"``, ``"edit"``, ``"other"`` or ``"span"``; with
        ``"verdict"`` where the next item comes up at once.
    """

    session: Session
    queue: list[Item]
    item: Item | None = None
    frame: int = 0
    span: tuple[int, int] = (0, 0)
    other: tuple[str, int] | None = None
    listeners: list[Callable[[str], None]] = field(default_factory=list)
    _walk: Walk = field(default_factory=lambda: Walk(()), repr=False)
    _recent: list[str] = field(default_factory=list, repr=False)

    @classmethod
    def open(cls, results: Results, reviewer: str) -> Desk:
        """Begin or continue a review.

        Parameters
        ----------
        results : Results
            The folder.
        reviewer : str
            Who reviews.

        Returns
        -------
        Desk
            At the item to go on with.

        Raises
        ------
        ResultsError
            See :meth:`Session.open`.
        """
        session = Session.open(results, reviewer)
        try:
            queue = build_queue(load_queue_tables(results, position_names(results)), session.salt)
        except BaseException:
            session.close()
            raise
        return cls.over(session, queue)

    @classmethod
    def over(cls, session: Session, queue: Sequence[Item]) -> Desk:
        """A desk with a given queue, such as the disputed items of two reviewers.

        Parameters
        ----------
        session : Session
            The open session.
        queue : sequence of Item
            In order.

        Returns
        -------
        Desk
            At the item to go on with.
        """
        desk = cls(session, list(queue), _walk=Walk(queue))
        start = desk.progress.next or (queue[0].id if queue else "")
        if start:
            desk.go(start)
        return desk

    # ------------------------------------------------------------ where one is

    @property
    def blind(self) -> Blind:
        """Shown names."""
        return Blind(self.session.salt)

    @property
    def progress(self) -> Progress:
        """What is judged and what comes next."""
        return progress(self.queue, self.session.history.done, self.session.shown)

    @property
    def walk(self) -> Walk:
        """The way through the queue, as far as it was gone."""
        return self._walk.read(self.session.history.done)

    @property
    def judged(self) -> dict[str, str]:
        """Last verdict by item."""
        return self.walk.judged

    @property
    def current(self) -> Item:
        """The item that is up.

        Raises
        ------
        ReviewError
            The queue is empty.
        """
        if self.item is None:
            raise ReviewError("the queue is empty: nothing was called and no guest was near a host")
        return self.item

    @property
    def corrected(self) -> Corrected:
        """The position on the screen."""
        return self._position(self.current.candidate.position)

    def _position(self, position_id: str) -> Corrected:
        found = self.session.position(position_id)
        self._recent = [*(p for p in self._recent if p != position_id), position_id]
        while len(self._recent) > KEPT_POSITIONS:
            self.session.loaded.pop(self._recent.pop(0), None)
        return found

    @property
    def guest(self) -> int:
        """The guest on the screen, 0 where it was deleted."""
        return guest_of(self.corrected, self.current)

    @property
    def host(self) -> int:
        """The host on the screen: the one clicked, else the likely one; 0 where there is none."""
        if self.other is not None and self.other[0] == self.corrected.base.host != self.corrected.base.guest:
            return self.other[1]
        return host_of(self.corrected, self.current)

    @property
    def title(self) -> str:
        """The item shown, its number and its blinded names."""
        c = self.current.candidate
        number = self._walk.place[self.current.id] + 1
        return (
            f"{self.blind.item(self.current.id)}  ·  {number} of {len(self.queue)}  ·  {self.blind.field(c.position)}"
            f"  ·  {self.blind.guest(c.position, c.guest_id)}"
        )

    @property
    def reason(self) -> str:
        """Why this item is shown, without the condition or an earlier verdict."""
        return "shown once more" if self.current.id in self.walk.again else self.current.reason

    @property
    def called(self) -> str:
        """What the program says of the item, in words."""
        c = self.current.candidate
        if c.call == "event":
            row = self.corrected.base.events.iloc[c.event - 1]
            if not np.isnan(row["entry_frame"]):
                how = "since it was first seen" if row["prevalent"] else f"entry at frame {int(row['entry_frame'])}"
                return f"inside, {how}, until frame {c.last}"
            return f"entry begun at frame {c.first}, not completed"
        where = f"frames {c.first} to {c.last}"
        words = {"unresolved": "cannot tell", "on_top": "on top of a host", "under": "under a host",
                 "between": "between two hosts", "attached": "attached", "free": "free", "inside": "inside",
                 "entering": "entering"}  # fmt: skip
        return f"{words[c.call]}, {where}"

    def go(self, item_id: str) -> None:
        """Show an item."""
        self.item = self._walk.by_id[item_id]
        c = self.item.candidate
        self.frame, self.span, self.other = self.item.frame, (c.first, c.last), None
        self._notify("item")
        self.session.show(item_id)  # last: on a full disk the item is shown all the same

    def next(self) -> None:
        """Go on to the next item that is shown and open; the next shown one where all are judged."""
        self._step(1)

    def previous(self) -> None:
        """Go back to the item before."""
        self._step(-1)

    def _step(self, by: int) -> None:
        item = self.walk.beside(self.item, by) if self.item is not None else None
        if item is not None:
            self.go(item.id)

    @property
    def following(self) -> Item | None:
        """The item :meth:`next` will show."""
        return self.walk.beside(self.item, 1) if self.item is not None else None

    def listed(self) -> list[Item]:
        """Items under the filter chosen."""
        return self.walk.listed()

    def look_at(self, frame: int) -> None:
        """Show another frame."""
        self.frame = int(np.clip(frame, 0, self.corrected.base.n_frames - 1))
        self._notify("frame")

    def select(self, first: int, last: int) -> None:
        """Choose the frames that location and viability apply to.

        Parameters
        ----------
        first, last : int
            0-based frames in either order; they are cut to the movie.
        """
        low, high = sorted((first, last))
        self.span = (max(0, low), min(self.corrected.base.n_frames - 1, high))
        self._notify("span")

    def click(self, population: str, cell_id: int) -> None:
        """Choose another cell: partner of a track edit, or the host meant.

        Parameters
        ----------
        population : str
            Population of the cell.
        cell_id : int
            The cell; 0 = none.
        """
        self.other = (population, cell_id) if cell_id else None
        self._notify("other")

    # ------------------------------------------------------------ what is on the screen

    def film(self) -> list[int]:
        """Frames of the filmstrip."""
        return film_of(self.corrected.base, self.current.candidate)

    def rows(self) -> pd.DataFrame:
        """The guest's frames as they stand, in order."""
        return self.corrected.guest(self.guest).frames.sort_values("frame", kind="stable")

    def evidence(self) -> pd.DataFrame:
        """Evidence of the guest against the host on the screen, in order."""
        pairs = self.corrected.guest(self.guest).pairs
        return pairs[pairs["host_id"] == self.host].sort_values("frame", kind="stable")

    def stay(self) -> tuple[int, int]:
        """First and last frame of the stay, or of the item, that entry and end apply to."""
        rows = self.rows()
        c = self.current.candidate
        within = rows[(rows["location"] == "inside") & (rows["frame"] >= c.first) & (rows["frame"] <= c.last)]
        if not len(within):
            return c.first, c.last
        inside = rows["location"].to_numpy(object) == "inside"
        frame = rows["frame"].to_numpy()
        at = int(np.searchsorted(frame, within["frame"].iloc[0]))
        last = at
        while last + 1 < len(frame) and inside[last + 1]:
            last += 1
        while at > 0 and inside[at - 1]:
            at -= 1
        return int(frame[at]), int(frame[last])

    def lines(self) -> dict[str, int]:
        """Frames of entry, end and death as they stand; those there are not are left out."""
        scored = self.corrected.guest(self.guest)
        first, last = self.stay()
        rows = self.rows()
        inside = (rows["location"] == "inside") & (rows["frame"] >= first) & (rows["frame"] <= last)
        found = {"entry": first, "end": last} if inside.any() else {}
        death = scored.guests["death_frame"]
        if len(death) and not np.isnan(death.iloc[0]):
            found["death"] = int(death.iloc[0])
        return found

    # ------------------------------------------------------------ what is done

    def do(self, edit: Edit) -> None:
        """Carry out an edit on the position on the screen."""
        self.session.do(edit)
        self._notify("edit")

    def judge(self, verdict: Literal["accept", "reject", "unsure"]) -> None:
        """Give a verdict and go on to the next item."""
        edit = verdict_on(self.corrected, self.current, verdict)
        if self.other is not None and verdict == "reject" and self.other[0] == self.corrected.base.host:
            edit = edit.model_copy(update={"host": refer_host(self.corrected, self.other[1], self.current.frame)})
        self.session.do(edit)
        following = self.following
        if following is None or following is self.item:
            self._notify("edit")
            return
        self._notify("verdict")
        self.go(following.id)

    def locate(self, location: Location, contact: Contact = "unresolved") -> None:
        """Set the guest's location in the chosen frames.

        Parameters
        ----------
        location : str
            free | attached | entering | inside | unresolved.
        contact : str
            How it touched the host, where it was attached.
        """
        host = self.host if location != "free" else 0
        self.do(located(self.corrected, self.current, self.span, location, contact, host))

    def live(self, viability: Viability) -> None:
        """Set the guest's viability in the chosen frames."""
        self.do(living(self.corrected, self.current, self.span, viability))

    def enter_here(self, frame: int | None = None) -> None:
        """Set the entry to a frame, by default the one shown."""
        self.do(entry_at(self.corrected, self.current, self.stay(), self.frame if frame is None else frame))

    def end_here(self, frame: int | None = None) -> None:
        """Set the last frame inside, by default the one shown."""
        self.do(end_at(self.corrected, self.current, self.stay(), self.frame if frame is None else frame))

    def die_here(self, frame: int | None = None) -> None:
        """Set the first dead frame, by default the one shown."""
        self.do(death_at(self.corrected, self.current, self.span, self.frame if frame is None else frame))

    def note(self, text: str) -> None:
        """Keep a remark on the item."""
        c = self.current
        self.do(Note(position=c.candidate.position, text=text, frame=self.frame, item=c.id))

    def notes(self) -> list[str]:
        """Remarks on the item."""
        return [e.text for _, e in self.session.edits() if isinstance(e, Note) and e.item == self.current.id]

    def undo(self) -> str:
        """Take the last edit back and go where it was; returns what it was, empty where there was none."""
        return self._back(self.session.undo(), "undone")

    def redo(self) -> str:
        """Do again what was undone last; returns what it was."""
        return self._back(self.session.redo(), "done again")

    def _back(self, edit: Edit | None, what: str) -> str:
        if edit is None:
            return ""
        item = edit.item if isinstance(edit, Decision | Note) else ""
        if item in self._walk.by_id and (self.item is None or item != self.item.id):
            self.go(item)
        self._notify("edit")
        return f"{what}: {edit.title}"

    def verdict(self) -> str:
        """Verdict on the item on the screen, empty where there is none or it is asked for once more."""
        return "" if self.current.id in self.walk.again else self.judged.get(self.current.id, "")

    def close(self) -> None:
        """Release the lock; all is written already."""
        self.session.close()

    def _notify(self, what: str) -> None:
        for listener in list(self.listeners):
            listener(what)


def film_of(base: Base, candidate: Candidate) -> list[int]:
    """Frames of the filmstrip: a candidate's interval and what came before and after it, the focus among them.

    Parameters
    ----------
    base : Base
        The candidate's position.
    candidate : Candidate
        The candidate.

    Returns
    -------
    list of int
        Up to ``FILM_FRAMES`` 0-based frames, ascending.
    """
    n = base.n_frames
    before = max(2, (candidate.last - candidate.first) // 6)
    low, high = max(0, min(candidate.first, candidate.focus) - before), min(n - 1, candidate.last + before)
    frames = {round(x) for x in np.linspace(low, high, FILM_FRAMES - 1)} | {candidate.focus}
    spare = [f for f in range(max(0, low - FILM_FRAMES), min(n, high + FILM_FRAMES + 1)) if f not in frames]
    spare.sort(key=lambda f: abs(f - candidate.focus))
    return sorted([*frames, *spare[: max(0, FILM_FRAMES - len(frames))]])[:FILM_FRAMES]
