"""A results folder with corrections: base results + log -> corrected base tables, with no GUI and no recording."""

from __future__ import annotations

from cicimage.errors import ConfigurationError, nearest
from cicimage.pipeline.collect import NO_CORRECTIONS, Corrections
from cicimage.review.base import load_base
from cicimage.review.corrected import Corrected
from cicimage.review.edits import parse_edit
from cicimage.review.log import ADJUDICATED, history, log_path, read_log, reviewers
from cicimage.review.sample import reviewed_sample
from cicimage.review.session import position_names
from cicimage.store import Results

NOBODY = "none"
"""Name given for no corrections."""


def corrected(results: Results, whose: str | None = None) -> Corrections:
    """Apply a reviewer's corrections to the base results.

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
    done = history(reading.records).done
    names = position_names(results)
    tables, masks, excluded, conflicts, edited = {}, {}, {}, [], {}
    for position_id in sorted({parse_edit(record.body["edit"]).position for record in done}):
        if position_id not in names:
            conflicts.append(f"position {position_id} has no results now; its corrections wait")
            continue
        name = names[position_id]
        position = edited[position_id] = Corrected.replayed(load_base(results, name), done)
        tables[name] = position.tables()
        masks[name] = {(k.population, k.frame, k.label): m for k, m in position.draft.edited.masks.items()}
        conflicts += [
            f"{position_id}, {position.steps[n].edit.title}: {why}" for n, why in sorted(position.conflicts.items())
        ]
        if position.excluded:
            excluded[name] = position.excluded
    sample = reviewed_sample(results, names, reading.records, edited)
    return Corrections(chosen, tables, excluded, tuple(conflicts), (*notes, *reading.notes), masks, sample)


def choose(results: Results, whose: str | None) -> tuple[str, tuple[str, ...]]:
    """Choose the log whose corrections are used.

    Parameters
    ----------
    results : Results
        The folder.
    whose : str or None
        As in :func:`corrected`.

    Returns
    -------
    (str, tuple of str)
        Name of the log (``none`` for no corrections), and notes on the choice.

    Raises
    ------
    ConfigurationError
        There is no such reviewer.
    """
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
