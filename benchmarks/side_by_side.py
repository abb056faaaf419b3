"""Compare the tables of two results folders, row by row and column by column.

    python benchmarks/side_by_side.py OLD NEW
    python benchmarks/side_by_side.py OLD NEW --tolerance comparisons.ci_low=1e-3 --tolerance dose_fits=1e-3 --text

Rows are matched by the key that ``cicimage/tables.py`` declares. Numbers are equal when they differ by at most the
relative tolerance of their column (default 0: identical; empty equals empty). Text is listed and does not count as a
difference unless ``--text`` is given, except in key columns and in columns with a fixed vocabulary. Exit code 1 where
anything differs beyond tolerance, so that a change that must not move a number can be held against this command.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cicimage.store import read_table
from cicimage.tables import TABLES, Table


@dataclass(frozen=True)
class Difference:
    """What differs in one column of one table.

    Attributes
    ----------
    table, column : str
        Where; the column is empty where whole rows, a column or the table are on one side only.
    rows : int
        Rows that differ beyond tolerance.
    of : int
        Rows on both sides.
    largest : float
        Largest relative difference of numbers (infinite where one side is empty); NaN for text.
    example : str
        Key of the row with the largest difference, and both values.
    counts : bool
        Whether the difference counts against equality; changed text does only where asked for.
    """

    table: str
    column: str
    rows: int
    of: int
    largest: float
    example: str
    counts: bool = True

    def __str__(self) -> str:
        size = "" if np.isnan(self.largest) else f", largest relative difference {self.largest:.3g}"
        mark = "" if self.counts else " (text, not counted)"
        name = f"{self.table}.{self.column}" if self.column else self.table
        return f"{name}: {self.rows} of {self.of} rows differ{size}{mark}; {self.example}"


def differences(
    old: Mapping[str, pd.DataFrame],
    new: Mapping[str, pd.DataFrame],
    *,
    tolerance: Mapping[str, float] | None = None,
    text_counts: bool = False,
) -> list[Difference]:
    """Compare two sets of tables.

    Parameters
    ----------
    old, new : mapping of str to pandas.DataFrame
        Tables by name, as :data:`cicimage.tables.TABLES` declares them.
    tolerance : mapping of str to float, optional
        Relative tolerance by ``table.column``, ``table`` or ``column``; the most specific one holds.
    text_counts : bool
        Whether free text that changed counts as a difference.

    Returns
    -------
    list of Difference
        Empty where the tables are equal. Columns that only the new side has are not differences: tables may grow.
    """
    found: list[Difference] = []
    for name in [*old, *(n for n in new if n not in old)]:
        if name not in new or name not in old:
            side = "old" if name in old else "new"
            rows = len(old[name] if name in old else new[name])
            found.append(Difference(name, "", rows, 0, np.nan, f"only in {side}", counts=side == "old"))
            continue
        found += _compare(TABLES[name], old[name], new[name], tolerance or {}, text_counts)
    return found


def _compare(
    table: Table, old: pd.DataFrame, new: pd.DataFrame, tolerance: Mapping[str, float], text_counts: bool
) -> list[Difference]:
    key = list(table.key)
    joined = old[key].merge(new[key], how="outer", on=key, indicator=True)
    found = []
    for side, word in (("left_only", "old"), ("right_only", "new")):
        alone = joined[joined["_merge"] == side]
        if len(alone):
            example = f"only in {word}: {_key_text(alone.iloc[0][key])}"
            found.append(Difference(table.name, "", len(alone), len(joined), np.nan, example))
    both = joined.loc[joined["_merge"] == "both", key]
    left, right = (both.merge(side, on=key, how="left") for side in (old, new))
    for column in [c for c in old.columns if c not in key]:
        if column not in new:
            found.append(Difference(table.name, column, len(both), len(both), np.nan, "column only in old"))
        elif pd.api.types.is_numeric_dtype(left[column]) and pd.api.types.is_numeric_dtype(right[column]):
            found += _numbers(table, str(column), left, right, _tolerance(table.name, str(column), tolerance))
        else:
            found += _texts(table, str(column), left, right, text_counts)
    return found


def _tolerance(table: str, column: str, given: Mapping[str, float]) -> float:
    return next((given[name] for name in (f"{table}.{column}", table, column) if name in given), 0.0)


def _numbers(table: Table, column: str, left: pd.DataFrame, right: pd.DataFrame, tolerance: float) -> list[Difference]:
    a, b = left[column].to_numpy(np.float64), right[column].to_numpy(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = np.abs(a - b) / np.maximum(np.abs(a), np.abs(b))
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    relative = np.where(same, 0.0, np.where(np.isfinite(relative), relative, np.inf))
    off = relative > tolerance
    if not off.any():
        return []
    worst = int(np.argmax(relative))
    example = f"{_key_text(left.iloc[worst][list(table.key)])}: {a[worst]:.6g} -> {b[worst]:.6g}"
    return [Difference(table.name, column, int(off.sum()), len(a), float(relative[worst]), example)]


def _texts(table: Table, column: str, left: pd.DataFrame, right: pd.DataFrame, text_counts: bool) -> list[Difference]:
    a, b = (side[column].astype(object).where(side[column].notna(), "").astype(str) for side in (left, right))
    off = (a != b).to_numpy()
    if not off.any():
        return []
    first = int(np.argmax(off))
    fixed = column in table.by_name and bool(table.by_name[column].values)
    example = f"{_key_text(left.iloc[first][list(table.key)])}: {a.iloc[first]!r} -> {b.iloc[first]!r}"
    return [Difference(table.name, column, int(off.sum()), len(a), np.nan, example, counts=fixed or text_counts)]


def _key_text(row: pd.Series) -> str:
    return ", ".join(f"{name} {value}" for name, value in row.items())


def tables_of(folder: Path) -> dict[str, pd.DataFrame]:
    """Every declared table at the top of a results folder, by name."""
    return {name: read_table(folder / f"{name}.parquet") for name in TABLES if (folder / f"{name}.parquet").exists()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    about = "relative tolerance of table.column, of a table, or of a column in every table"
    parser.add_argument("--tolerance", action="append", default=[], metavar="NAME=RELATIVE", help=about)
    parser.add_argument("--text", action="store_true", help="changed text counts as a difference")
    given = parser.parse_args()
    for folder in (given.old, given.new):
        if not tables_of(folder):
            parser.error(f"{folder}: holds no tables; give two folders that `cicimage run -o` wrote")
    tolerance = {name: float(value) for name, value in (t.split("=", 1) for t in given.tolerance)}
    found = differences(tables_of(given.old), tables_of(given.new), tolerance=tolerance, text_counts=given.text)
    for one in found:
        print(one)
    counted = [one for one in found if one.counts]
    print(f"{len(counted)} differences" if counted else "all numbers are equal")
    return 1 if counted else 0


if __name__ == "__main__":
    sys.exit(main())
