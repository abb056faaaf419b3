"""A results folder with corrections: base results + log -> corrected base tables, with no GUI and no recording."""

from __future__ import annotations

from collections.abc import Sequence

from cicimage.errors import ConfigurationError, ResultsError, nearest
from cicimage.pipeline.collect import NO_CORRECTIONS, Corrections
from cicimage.review.base import load_base
from cicimage.review.corrected import Corrected
from cicimage.review.edits import Edit, parse_edit
from cicimage.review.log import ADJUDICATED, History, history, log_path, read_log, reviewers
from cicimage.review.sample import reviewed_sample
from cicimage.review.session import position_names
from cicimage.store import Results

NOBODY = "none"
"""Name that stands for no corrections."""


def corrected(results: Results, whose: str | None = None) -> Corrections:
    """Lay a reviewer's corrections over the base results.

    Parameters
    ----------
    results : Results
        The folder.
    whose : str, optional
        A reviewer, ``adjudicated``, or ``none``. By default the adjudicated ones, else the only reviewer's; several
        reviewers who are not adjudicated give none, and a note says so.

    Returns
    -------
    Corrections
        Corrected base tables of the positions that were edited, what is excluded, and what does not fit.

    Raises
    ------
    ConfigurationError
        There is no such reviewer.
    ResultsError
        The log is damaged or of another version.
    """
    chosen, notes = choose(results, whose)
    if chosen == NOBODY:
        return Corrections(notes=notes) if notes else NO_CORRECTIONS
    reading = read_log(log_path(results.root, chosen))
    done = _edits(history(reading.records))
    names = position_names(results)
    tables, masks, excluded, conflicts, edited = {}, {}, {}, [], {}
    for key in sorted({edit.position for _, edit in done}):
        if key not in names:
            conflicts.append(f"position {key} has no results now; its corrections wait")
            continue
        position = Corrected.of(load_base(results, names[key]))
        mine = [(n, edit) for n, edit in done if edit.position == key]
        for n, edit in mine:
            position.replay(n, edit)
        edited[key] = position
        tables[names[key]] = position.tables()
        masks[names[key]] = {(k.population, k.frame, k.label): m for k, m in position.draft.masks.items()}
        title = {n: edit.title for n, edit in mine}
        conflicts += [f"{key}, {title[n]}: {why}" for n, why in sorted(position.conflicts.items())]
        if position.excluded:
            excluded[names[key]] = position.excluded
    sample = reviewed_sample(results, names, reading.records, edited)
    return Corrections(chosen, tables, excluded, tuple(conflicts), (*notes, *reading.notes), masks, sample)


def choose(results: Results, whose: str | None) -> tuple[str, tuple[str, ...]]:
    """Name of the log to use (``none`` for no corrections), and what is to be said of the choice."""
    known = reviewers(results.root)
    if whose is not None:
        if whose != NOBODY and whose not in known:
            raise ConfigurationError(
                f"--corrections {whose!r}: nobody of this name has reviewed {results.root}; {nearest(whose, known)}"
            )
        return whose, ()
    if ADJUDICATED in known:
        return ADJUDICATED, ()
    if len(known) > 1:
        note = (
            f"{', '.join(known)} have reviewed and are not adjudicated: the tables are without corrections; "
            "name one with --corrections, or adjudicate with `cicimage review --adjudicate`"
        )
        return NOBODY, (note,)
    return (known[0], ()) if known else (NOBODY, ())


def _edits(played: History) -> Sequence[tuple[int, Edit]]:
    return [(r.n, parse_edit(r.body["edit"])) for r in played.done]


__all__ = ["NOBODY", "ResultsError", "choose", "corrected"]
