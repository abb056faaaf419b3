"""The errors a user can meet: one sentence with the thing, the rule, the value and the remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class CicimageError(Exception):
    """A fault of the input or of its use, said in one sentence; never a bug of the program."""

    exit_code = 2


class ConfigurationError(CicimageError):
    """Experiment file, layout, method options or command line do not fit."""


class RecordingError(CicimageError):
    """One recording cannot be read as what it says it is; the other positions go on."""

    exit_code = 3


class ResultsError(CicimageError):
    """A results folder is held, foreign, of another schema, or incomplete."""

    exit_code = 5


def counted(n: int, one: str, many: str = "") -> str:
    """A count with its noun, for messages.

    Examples
    --------
    >>> counted(1, "donor"), counted(3, "donor"), counted(2, "entry", "entries")
    ('1 donor', '3 donors', '2 entries')
    """
    return f"{n} {one if n == 1 else many or one + 's'}"


def nearest(name: str, known: Iterable[str]) -> str:
    """Half a sentence that helps after an unknown name: the nearest known one, else all of them.

    Examples
    --------
    >>> nearest("vehicel", ["vehicle", "btki"])
    "did you mean 'vehicle'?"
    >>> nearest("x", ["vehicle", "btki"])
    "known: 'btki', 'vehicle'"
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    return "known: " + (", ".join(repr(n) for n in names) or "none")
