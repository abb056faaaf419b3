"""Order of review: which items are still open, which comes next, which a filter shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal

from cicimage.review.log import Record
from cicimage.review.queue import AGAIN_AFTER, Item, asked_again, judged_items

Shown = Literal["all", "open", "unsure", "events", "near misses", "random"]
FILTERS: Final[tuple[Shown, ...]] = ("all", "open", "unsure", "events", "near misses", "random")


class Walk:
    """A queue and the verdicts on its items so far.

    Parameters
    ----------
    queue : sequence of Item
        In order.
    """

    def __init__(self, queue: Sequence[Item]) -> None:
        self.queue = list(queue)
        self.by_id = {item.id: item for item in self.queue}
        self.place = {item.id: n for n, item in enumerate(self.queue)}
        self.shown: Shown = "all"
        self.judged: dict[str, str] = {}
        self.again: dict[str, int] = {}
        self._done: Sequence[Record] | None = None
        self._listed: tuple[Shown, list[Item]] | None = None

    def read(self, done: Sequence[Record]) -> Walk:
        """Take note of the edits in force; cheap where they are the very ones read last, as at most key presses."""
        if done is not self._done:
            self._done = done
            self.judged = judged_items(done)
            self.again = {i: n for i, n in asked_again(done).items() if i in self.by_id}
        return self

    @property
    def n_judged(self) -> int:
        """Items of the queue that have been judged."""
        return sum(i in self.by_id for i in self.judged)

    def listed(self) -> list[Item]:
        """Items under the filter chosen; the same list as before where verdicts do not alter it."""
        if self.shown in ("open", "unsure") or self._listed is None or self._listed[0] != self.shown:
            keep = self._keep()
            self._listed = (self.shown, [i for i in self.queue if keep(i)])
        return self._listed[1]

    def beside(self, item: Item, by: int) -> Item | None:
        """The nearest item under the filter; the queue is a ring.

        Parameters
        ----------
        item : Item
            Where one is.
        by : int
            1 = forward, -1 = backward.

        Returns
        -------
        Item or None
            Forward: one due to be looked at once more, else the nearest open one, else the nearest. None where the
            filter shows none.
        """
        at, n, keep, is_open = self.place[item.id], len(self.queue), self._keep(), self._open()
        again = [i for i in self.again if i != item.id and keep(self.by_id[i])]
        if by > 0 and again and (self.again[again[0]] >= AGAIN_AFTER or self.n_judged == n):
            return self.by_id[again[0]]
        nearest = None
        for k in range(1, n + 1):
            candidate = self.queue[(at + by * k) % n]
            if not keep(candidate):
                continue
            if by < 0 or (k < n and is_open(candidate)):
                return candidate
            nearest = nearest or candidate
        return nearest

    def _open(self) -> Callable[[Item], bool]:
        """Whether an item is still to be judged; where all are, whether it was left unsure."""
        judged = self.judged
        if self.n_judged < len(self.queue):
            return lambda i: i.id not in judged
        return lambda i: judged.get(i.id) == "unsure"

    def _keep(self) -> Callable[[Item], bool]:
        judged = self.judged
        keep: dict[Shown, Callable[[Item], bool]] = {
            "all": lambda i: True,
            "open": lambda i: i.id not in judged,
            "unsure": lambda i: judged.get(i.id) == "unsure",
            "events": lambda i: i.candidate.call == "event",
            "near misses": lambda i: i.candidate.call in ("under", "on_top", "between", "unresolved"),
            "random": lambda i: i.drawn == "random",
        }
        return keep[self.shown]
