"""Sources of tables for figures: a dict of data frames, or opened results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import pandas as pd

from cicimage.errors import CicimageError
from cicimage.figures.style import condition_colours
from cicimage.tables import TABLES, conform, empty


class Source(Protocol):
    """Anything that gives a table by its name: ``{"rates": rates}`` or opened results."""

    def __getitem__(self, name: str, /) -> pd.DataFrame:
        """Return the table; KeyError where there is none."""


class CheckedTables(Mapping[str, pd.DataFrame]):
    """Tables that were checked once, for drawing many figures from them.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        By name; those that are not of :data:`cicimage.tables.TABLES` are left out.
    """

    def __init__(self, tables: Mapping[str, pd.DataFrame]) -> None:
        self._tables = {name: conform(TABLES[name], rows) for name, rows in tables.items() if name in TABLES}

    def __getitem__(self, name: str, /) -> pd.DataFrame:
        return self._tables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tables)

    def __len__(self) -> int:
        return len(self._tables)


def table_of(source: Source, name: str) -> pd.DataFrame:
    """Get a table that a figure requires, checked.

    Parameters
    ----------
    source : Source
        Tables by name.
    name : str
        One of :data:`cicimage.tables.TABLES`.

    Returns
    -------
    pandas.DataFrame
        The table.

    Raises
    ------
    CicimageError
        It is not there or does not conform.
    """
    try:
        rows = source[name]
    except KeyError:
        raise CicimageError(
            f'figure: needs the table {name!r}, which was not given; pass {{"{name}": rows}} or opened results'
        ) from None
    return rows if isinstance(source, CheckedTables) else conform(TABLES[name], rows)


def table_or_empty(source: Source, name: str) -> pd.DataFrame:
    """Get an optional table, checked.

    Parameters
    ----------
    source, name
        As :func:`table_of` takes them.

    Returns
    -------
    pandas.DataFrame
        The table; empty where it is not there.

    Raises
    ------
    CicimageError
        It does not conform.
    """
    try:
        rows = source[name]
    except KeyError:
        return empty(TABLES[name])
    return rows if isinstance(source, CheckedTables) else conform(TABLES[name], rows)


def records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as dicts, for the few rows of a figure or a page."""
    return [{str(k): v for k, v in row.items()} for row in rows.to_dict("records")]


def colours_of(source: Source, conditions: Sequence[str]) -> dict[str, str]:
    """Assign a colour to each condition, the same in every figure of an experiment.

    Parameters
    ----------
    source : Source
        Tables ``comparisons`` and ``rates``, which give the order of the conditions.
    conditions : sequence of str
        Conditions to draw; those not in the rates come last.

    Returns
    -------
    dict
        Colour by condition.
    """
    known = condition_order(source)
    return condition_colours([*known, *(c for c in conditions if c not in known)])


def condition_order(source: Source, seen: Sequence[str] | pd.Series | None = None) -> list[str]:
    """Conditions as figures show them: the reference first, the others as they come.

    Parameters
    ----------
    source : Source
        Tables ``comparisons`` (names the reference) and ``rates``.
    seen : sequence of str, optional
        Keep only these, and add those that the rates do not know.
    """
    comparisons, rates = table_or_empty(source, "comparisons"), table_or_empty(source, "rates")
    references = [r for r in comparisons["reference"].unique() if r in set(rates["condition"])]
    names = list(dict.fromkeys([*references[:1], *rates["condition"], *(() if seen is None else seen)]))
    keep = set(names) if seen is None else set(seen)
    return [n for n in names if n in keep]
