"""Names of donors and conditions that look like one name typed in two ways."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Collection, Iterator
from itertools import combinations
from typing import Final

import pandas as pd

from cicimage.errors import ConfigurationError
from cicimage.findings import Finding

NAMED: Final = ("condition", "donor", "host_donor", "experiment", "plate", "drug", "dose_unit")
"""Columns of the layout whose names decide what is counted together."""
LETTERS: Final = 5
"""Fewest letters of two names that may be one name with a typing error."""
_INVISIBLE: Final = re.compile(r"[\s\u00ad\u200b-\u200f\u2060\ufeff_.]+|(?<=\w)-(?=\w)")


def alike_names(layout: pd.DataFrame, distinct: Collection[str] = ()) -> tuple[Finding, ...]:
    """Find names in the design that differ as typing errors do, and ask whether they are one.

    Two names are alike where they differ only by case, blanks, hyphens, the width of characters or invisible
    characters; or, with at least :data:`LETTERS` letters each and the same digits, by one letter added, left out,
    changed or swapped. A letter that stands alone, as in ``donor A`` and ``donor B``, is a name of its own.

    Parameters
    ----------
    layout : pandas.DataFrame
        The design, one row a position; columns other than :data:`NAMED` are not looked at.
    distinct : collection of str
        Names that the user states to be different (``experiment.distinct``); a pair of two of them is not asked about.

    Returns
    -------
    tuple of Finding
        One per pair, with the code ``names_alike``.
    """
    found = []
    for column in NAMED:
        names = sorted({str(v) for v in layout[column] if isinstance(v, str) and v}) if column in layout else []
        for one, other in combinations(names, 2):
            if are_alike(one, other) and not {one, other} <= set(distinct):
                found.append(_asked(column, one, other))
    return tuple(found)


def refuse_alike_names(layout: pd.DataFrame, distinct: Collection[str] = ()) -> None:
    """Refuse a design with names that look like one name typed in two ways.

    Parameters
    ----------
    layout : pandas.DataFrame
        The design, one row a position.
    distinct : collection of str
        Names that the user states to be different.

    Raises
    ------
    ConfigurationError
        There is such a pair; the message holds all of them.
    """
    found = alike_names(layout, distinct)
    if found:
        raise ConfigurationError(". ".join(finding.sentence for finding in found))


def _asked(column: str, one: str, other: str) -> Finding:
    counts = "two donors, and n with them" if column == "donor" else f"two names of a {column.replace('_', ' ')}"
    return Finding(
        "names_alike", "warning", "layout",
        f"{column} {one!a} and {column} {other!a} are almost the same name and count as {counts}",
        f"if they are one, write one name; if they are two, set distinct = [{_quoted(one)}, {_quoted(other)}] in "
        "[experiment] of experiment.toml",
        column,
    )  # fmt: skip


def _quoted(name: str) -> str:
    """A name as a string of TOML."""
    return json.dumps(name)


def are_alike(one: str, other: str) -> bool:
    """Whether two names look like one name typed in two ways, as :func:`alike_names` describes it.

    Parameters
    ----------
    one, other : str
        Names as they are written.

    Examples
    --------
    >>> are_alike("D1", "d 1"), are_alike("D1", "D2"), are_alike("vehicle", "vehcile"), are_alike("donor A", "donor B")
    (True, False, True, False)
    """
    if one == other:
        return False
    first, second = (_INVISIBLE.sub("", unicodedata.normalize("NFKC", n)).casefold() for n in (one, other))
    if first == second:
        return True
    letters = [re.sub(r"[\W\d_]", "", n) for n in (first, second)]
    signs = [re.sub(r"[^\W\d_]", "", n) for n in (first, second)]
    if signs[0] != signs[1] or min(map(len, letters)) < LETTERS:
        return False
    return letters[1] in set(_one_step(letters[0], letters[1])) and not _by_a_letter_alone(one, other)


def _one_step(one: str, other: str) -> Iterator[str]:
    """What one typing error at the first difference makes of a word on its way to another one."""
    n = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    yield one[:n] + other[n : n + 1] + one[n:]
    yield one[:n] + one[n + 1 :]
    yield one[:n] + other[n : n + 1] + one[n + 1 :]
    yield one[:n] + one[n + 1 : n + 2] + one[n : n + 1] + one[n + 2 :]


def _by_a_letter_alone(one: str, other: str) -> bool:
    """Whether the names differ in a letter that is a word of its own, as in ``donorA`` and ``donorB``."""
    words = [re.findall(r"\d+|[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+", n) for n in (one, other)]
    differing = [w for w in words[0] if w not in words[1]] + [w for w in words[1] if w not in words[0]]
    return bool(differing) and all(len(w) == 1 for w in differing)
