"""Errors a user can meet; each message is one sentence with the object, the rule, the value and the remedy."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable


class CicimageError(Exception):
    """A fault of the input or of its use, described in one sentence; never a bug of the program."""

    exit_code = 2

    def __str__(self) -> str:
        """The sentence as one line: names and values in it may come from files that hold anything."""
        return printable(super().__str__()).replace("\n", "\\n").replace("\t", "\\t")


class ConfigurationError(CicimageError):
    """Experiment file, layout, method options or command line do not fit."""


class RecordingError(CicimageError):
    """A recording is damaged or contradicts its metadata; the other positions are still run."""

    exit_code = 3


class ResultsError(CicimageError):
    """A results folder is locked, belongs to another experiment, has another schema version, or is incomplete."""

    exit_code = 5


def printable(text: str) -> str:
    """A text that a terminal shows as it is: control characters and marks of direction are escaped.

    Parameters
    ----------
    text : str
        Perhaps from a file that somebody else made.

    Returns
    -------
    str

    Examples
    --------
    >>> printable("80 µm"), printable("red" + chr(27)) == "red" + chr(92) + "x1b"
    ('80 µm', True)
    """
    if text.isprintable():
        return text
    return "".join(
        c if c in "\n\t " or unicodedata.category(c) not in ("Cc", "Cf") else c.encode("unicode_escape").decode()
        for c in text
    )


def counted(n: int, one: str, many: str = "") -> str:
    """A count with its noun, for messages.

    Parameters
    ----------
    n : int
        The count.
    one, many : str
        Singular and plural; an empty plural is the singular with an s.

    Returns
    -------
    str

    Examples
    --------
    >>> counted(1, "donor"), counted(3, "donor"), counted(2, "entry", "entries")
    ('1 donor', '3 donors', '2 entries')
    """
    return f"{n} {one if n == 1 else many or one + 's'}"


def nearest(name: str, known: Iterable[str]) -> str:
    """Remedy for an unknown name: the most similar known one, else all known ones.

    Parameters
    ----------
    name : str
        As the user wrote it.
    known : iterable of str
        Names that are allowed.

    Returns
    -------
    str
        End of a sentence, to follow a semicolon.

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
