"""CSV whose text cells no spreadsheet runs as a formula, and its reader.

A spreadsheet evaluates text cells that begin with = + - @ or a control character. Such a cell is written with an
apostrophe in front, as a spreadsheet user would type it; a cell that already begins with apostrophes before such a
character gets one more, so that reading removes exactly what writing added and a condition named +AMD3100 keeps its
name.
"""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pandas as pd

from cicimage.errors import CicimageError
from cicimage.store import write_text
from cicimage.tables import Column, Table, conform

# The full-width twins of = + - @ are run by some spreadsheets too.
_DANGEROUS = "=+\\-@\t\r\n＝＋－＠"
# Where a list is parted by semicolons, a spreadsheet begins a new cell, or line, within one of ours.
_BEGINS = r"(?:^|(?<=[;\t\r\n]))"
_GUARD = re.compile(f"{_BEGINS}(?='*[{_DANGEROUS}])")
_UNGUARD = re.compile(f"{_BEGINS}'(?='*[{_DANGEROUS}])")


def guard(text: str) -> str:
    """Escape a text cell for writing.

    Examples
    --------
    >>> guard("+AMD3100"), guard("vehicle"), guard("'=x"), guard("x;=1")
    ("'+AMD3100", 'vehicle', "''=x", "x;'=1")
    """
    return _GUARD.sub("'", text)


def unguard(text: str) -> str:
    """Undo :func:`guard`.

    Examples
    --------
    >>> unguard("'+AMD3100"), unguard("'quoted'"), unguard("''=x")
    ('+AMD3100', "'quoted'", "'=x")
    """
    return _UNGUARD.sub("", text)


def csv_text(rows: pd.DataFrame) -> str:
    """A table as CSV: text cells and column names escaped, numbers at full precision.

    Parameters
    ----------
    rows : pandas.DataFrame
        Any table. Missing values become empty cells.
    """
    out = pd.DataFrame(
        {
            guard(str(name)): column if _is_plain(column) else column.map(_cell, na_action="ignore")
            for name, column in rows.items()
        }
    )
    buffer = io.StringIO()
    out.to_csv(buffer, index=False, lineterminator="\r\n", quoting=csv.QUOTE_MINIMAL)
    return buffer.getvalue()


def _is_plain(column: pd.Series) -> bool:
    return bool(pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column))


def _cell(value: object) -> object:
    """A cell of a column of mixed content; numbers stay numbers."""
    return value if isinstance(value, (int, float)) else guard(str(value))


def write_csv(rows: pd.DataFrame, path: Path) -> None:
    """Write a table as spreadsheet-safe CSV (UTF-8), atomically.

    Parameters
    ----------
    rows : pandas.DataFrame
        Any table, as :func:`csv_text` takes it.
    path : Path
        The file; one that exists is replaced.
    """
    write_text(path, csv_text(rows))


def read_csv(path: Path, table: Table | None = None) -> pd.DataFrame:
    """Read a table that :func:`write_csv` wrote; text is restored, and no type is inferred.

    Parameters
    ----------
    path : Path
        The file.
    table : Table, optional
        Declares the types of its columns; columns it does not declare, and all without it, are text.

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    CicimageError
        Not UTF-8 CSV, or a cell is not of the type its column declares.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False, na_filter=False)
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise CicimageError(f"{path}: must be CSV in UTF-8 ({error}); export it again") from None
    rows = pd.DataFrame({unguard(str(name)): column.map(unguard) for name, column in rows.items()})
    if table is None:
        return rows
    for column in table.columns:
        if column.name in rows and column.dtype != "string":
            rows[column.name] = _typed(path, column, rows[column.name])
    return conform(table, rows)


_TRUTH = {"true": True, "1": True, "false": False, "0": False}


def _typed(path: Path, column: Column, cells: pd.Series) -> pd.Series:
    if column.dtype == "bool":
        truth = cells.str.lower().map(_TRUTH)
        foreign = cells[truth.isna()]
        typed = truth
    else:
        typed = pd.to_numeric(cells.where(cells != "", None), errors="coerce")
        foreign = cells[typed.isna() & (cells != "")]
    if len(foreign):
        raise CicimageError(
            f"{path}: column {column.name!r} must hold {column.doc}, row {foreign.index[0] + 2} has "
            f"{foreign.iloc[0]!r}; mend that cell"
        )
    return typed
