"""A review session: every edit is checked, written to the log, applied; undo and redo survive a restart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cicimage.errors import ConfigurationError, ResultsError
from cicimage.receipts import done_positions
from cicimage.review.base import load_base
from cicimage.review.corrected import Corrected
from cicimage.review.edits import Edit, parse_edit
from cicimage.review.log import History, Record, ReviewLog, history, log_path
from cicimage.store import Results, existing_results


@dataclass(frozen=True)
class Conflict:
    """An edit that does not fit what is there (any more); it is listed, never dropped."""

    position: str
    n: int
    title: str
    reason: str


@dataclass(eq=False)
class Session:
    """One reviewer's corrections to one results folder.

    Open it with :meth:`open`; it holds the reviewer's lock until closed.

    Attributes
    ----------
    results : Results
        The folder.
    log : ReviewLog
        The open log.
    history : History
        Edits in force, and edits to redo.
    loaded : dict of str to Corrected
        Positions looked at so far, by position id.
    """

    results: Results
    log: ReviewLog
    history: History
    loaded: dict[str, Corrected] = field(default_factory=dict)
    _names: dict[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def open(cls, results: Results, reviewer: str, facts: Mapping[str, Any] | None = None) -> Session:
        """Open or begin a review.

        Parameters
        ----------
        results : Results
            The folder.
        reviewer : str
            Who reviews.
        facts : mapping, optional
            Further facts for the header of a new log.

        Returns
        -------
        Session
            It holds the reviewer's lock.

        Raises
        ------
        ResultsError
            No results, another window of this reviewer, a folder that cannot be written, or a damaged log.
        """
        names = position_names(results)
        log = ReviewLog.open(log_path(results.root, reviewer), reviewer, facts)
        try:
            session = cls(results, log, history(log.records), _names=names)
        except BaseException:
            log.close()
            raise
        return session

    @property
    def reviewer(self) -> str:
        """Who reviews."""
        return str(self.log.header["reviewer"])

    @property
    def salt(self) -> str:
        """Drawn once per reviewer and folder: ids shown are salted with it, the queue is drawn with it."""
        return str(self.log.header["salt"])

    @property
    def unblinded(self) -> bool:
        """Whether this reviewer has seen the conditions."""
        return any(r.kind == "unblind" for r in self.log.records)

    def unblind(self) -> None:
        """Let the conditions be seen; later edits are marked."""
        if not self.unblinded:
            self.log.append("unblind", {})

    @property
    def finished(self) -> bool:
        """Whether the reviewer has declared the review done."""
        return is_finished(self.log.records)

    def finish(self) -> None:
        """Declare the review done: the other reviewer's may then be compared."""
        self.log.append("finish", {})

    def show(self, item: str) -> None:
        """Note which item is on the screen, so that the next session goes on there."""
        if item != self.shown:
            self.log.append("shown", {"item": item})

    @property
    def shown(self) -> str:
        """Item that was on the screen last; empty before the first."""
        return next((str(r.body["item"]) for r in reversed(self.log.records) if r.kind == "shown"), "")

    # ------------------------------------------------------------ positions

    @property
    def position_ids(self) -> tuple[str, ...]:
        """Position ids of the finished positions."""
        return tuple(self._names)

    def position(self, position_id: str) -> Corrected:
        """A position as corrected so far; read and replayed when first asked for."""
        if position_id not in self.loaded:
            base = load_base(self.results, self._names[position_id])
            self.loaded[position_id] = Corrected.replayed(base, self.history.done)
        return self.loaded[position_id]

    # ------------------------------------------------------------ edits

    def do(self, edit: Edit) -> Record:
        """Check an edit, write it to the log, apply it.

        Raises
        ------
        ReviewError
            It does not fit; nothing was changed or written.
        DiskFullError, ResultsError
            It could not be written; nothing was changed.
        """
        if edit.position not in self._names:
            raise ConfigurationError(
                f"position {edit.position!r}: must be a finished position, known: {', '.join(self.position_ids)}"
            )
        if self.unblinded and not edit.unblinded:
            edit = edit.model_copy(update={"unblinded": True})
        position = self.position(edit.position)
        change = edit.change(position.draft)
        record = self.log.append("edit", {"edit": edit.model_dump(mode="json")})
        position.apply(record.n, edit, change)
        self.history = History((*self.history.done, record), ())
        return record

    def undo(self) -> Edit | None:
        """Take the last edit back; None where there is none."""
        if not self.history.done:
            return None
        record = self.history.done[-1]
        edit = parse_edit(record.body["edit"])
        position = self.position(edit.position)
        self.log.append("undo", {"of": record.n})
        position.undo()
        self.history = History(self.history.done[:-1], (*self.history.undone, record))
        return edit

    def redo(self) -> Edit | None:
        """Do again what was undone last; None where there is nothing."""
        if not self.history.undone:
            return None
        record = self.history.undone[-1]
        edit = parse_edit(record.body["edit"])
        position = self.position(edit.position)
        self.log.append("redo", {"of": record.n})
        position.replay(record.n, edit)
        self.history = History((*self.history.done, record), self.history.undone[:-1])
        return edit

    def edits(self) -> list[tuple[int, Edit]]:
        """Edits in force with the numbers of their records, in order."""
        return [(r.n, parse_edit(r.body["edit"])) for r in self.history.done]

    def conflicts(self) -> list[Conflict]:
        """Edits of the loaded positions that do not fit."""
        return [
            Conflict(position_id, n, corrected.steps[n].edit.title, why)
            for position_id, corrected in self.loaded.items()
            for n, why in sorted(corrected.conflicts.items())
        ]

    def close(self) -> None:
        """Release the lock."""
        self.log.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def is_finished(records: Sequence[Record]) -> bool:
    """Whether a review was declared done and not gone on with since."""
    kinds = [r.kind for r in records if r.kind in {"edit", "undo", "redo", "finish"}]
    return bool(kinds) and kinds[-1] == "finish"


def position_names(results: Results) -> dict[str, str]:
    """Names of the positions that finished, by position id.

    Raises
    ------
    ResultsError
        No results folder, or nothing in it finished.
    """
    existing_results(results.root)
    found = {position_id: position for position, position_id in done_positions(results).items()}
    if not found:
        raise ResultsError(
            f"{results.root}: no position has finished, nothing can be reviewed; run `cicimage run` again"
        )
    return dict(sorted(found.items()))
