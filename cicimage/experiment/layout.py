"""layout.csv: the design of each position, as a spreadsheet program saves it."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from cicimage.errors import ConfigurationError
from cicimage.experiment.position import Position
from cicimage.experiment.spreadsheet import has_decimal_comma, number_of, read_cells

LAYOUT_COLUMNS: Final = (
    "position", "condition", "replicate", "donor", "host_donor", "experiment", "plate", "time_zero_h",
)  # fmt: skip
FACTORS_KNOWN: Final = ("dose", "dose_unit", "drug", "seeded_cells")
"""Factors that the statistics read by their name."""
NUMBERS: Final = {"time_zero_h": "a number of hours", "dose": "a number, its unit in the column dose_unit",
                  "seeded_cells": "a number of cells"}  # fmt: skip
"""Columns of numbers, and what a cell of each must be."""


def apply_layout(positions: Sequence[Position], path: Path) -> list[Position]:
    """Give each position the design that layout.csv states for it.

    Parameters
    ----------
    positions : sequence of Position
        Recordings found.
    path : Path
        Table as :func:`~cicimage.experiment.spreadsheet.read_cells` reads it, one row per position. Empty cells leave
        a value as it is; columns other than :data:`LAYOUT_COLUMNS` become factors. Known columns are found in any case
        and with blanks or hyphens for underscores.

    Returns
    -------
    list of Position
        In the order of the rows.

    Raises
    ------
    ConfigurationError
        The file is no such table, its rows and the recordings do not match one to one, a cell of a column of numbers
        is none, or a condition has two doses or a drug two units.
    """
    rows = _rows(path)
    by_name = {unicodedata.normalize("NFC", p.position): p for p in positions}
    named = [unicodedata.normalize("NFC", row["position"]) for row in rows]
    twice = [n for n, count in Counter(named).items() if count > 1]
    if twice:
        raise ConfigurationError(f"{path}: position {twice[0]!r} stands {named.count(twice[0])} times; keep one row")
    no_file, no_row = sorted(set(named) - set(by_name)), sorted(set(by_name) - set(named))
    if no_file or no_row:
        raise ConfigurationError(
            f"{path}: rows and recordings must match; rows without a recording: {_few(no_file)}; "
            f"recordings without a row: {_few(no_row)}; mend the layout or the folder"
        )
    placed = [_with_row(by_name[name], row) for name, row in zip(named, _with_numbers(rows, path), strict=True)]
    _check_doses(placed, path)
    return placed


def _rows(path: Path) -> list[dict[str, str]]:
    """Rows by column, known columns by their exact name."""
    cells = read_cells(path)
    heading = [_column(name) for name in cells[0]] if cells else []
    if len(cells) < 2 or "position" not in heading:
        raise ConfigurationError(f"{path}: must have a column 'position' and a row per recording; add them")
    twice = [name for name, count in Counter(n for n in heading if n).items() if count > 1]
    if twice:
        raise ConfigurationError(f"{path}: column {twice[0]!r} must stand once, stands {heading.count(twice[0])} times")
    rows = []
    for row in cells[1:]:
        values = dict(zip(heading, row, strict=False))
        beyond = [text for name, text in zip([*heading, *[""] * len(row)], row, strict=False) if text and not name]
        if beyond:
            raise ConfigurationError(
                f"{path}: row {values['position']!r} has a cell {beyond[0]!r} in no column; name the column, or quote "
                "cells that hold a separator"
            )
        rows.append({name: values.get(name, "") for name in heading if name})
    return rows


def _column(name: str) -> str:
    """A known column's name as the program spells it; other names unchanged."""
    plain = re.sub(r"[\s_-]+", "_", unicodedata.normalize("NFKC", name)).casefold()
    return plain if plain in LAYOUT_COLUMNS + FACTORS_KNOWN else name


def _few(names: list[str]) -> str:
    return (", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")) or "none"


def _with_numbers(rows: list[dict[str, str]], path: Path) -> list[dict[str, str]]:
    """Rows whose cells in columns of numbers are numbers with a decimal point, or empty."""
    comma = has_decimal_comma(row[name] for row in rows for name in NUMBERS if name in row)
    return [
        row | {name: _number(row[name], name, row["position"], path, comma) for name in NUMBERS if row.get(name)}
        for row in rows
    ]


def _number(text: str, column: str, position: str, path: Path, comma: bool) -> str:
    value = number_of(text, decimal_comma=comma)
    if value is None:
        either = "; a separator before three digits may be a decimal sign or part thousands" if "," in text else ""
        raise ConfigurationError(
            f"{path}: {column} of {position!r} must be {NUMBERS[column]}, is {text!r}{either}; write it with a decimal "
            "point and without thousands separators, or leave the cell empty"
        )
    try:
        return text if float(text) == value else repr(value)
    except ValueError:
        return repr(value)


def _with_row(position: Position, row: Mapping[str, str]) -> Position:
    known: dict[str, Any] = {
        k: row[k] for k in ("condition", "replicate", "donor", "host_donor", "experiment", "plate") if row.get(k)
    }
    if row.get("time_zero_h"):
        known["time_zero_h"] = float(row["time_zero_h"])
    factors = {k: v for k, v in row.items() if k not in LAYOUT_COLUMNS}
    return replace(position, factors=factors, **known)


def _check_doses(positions: Sequence[Position], path: Path) -> None:
    """Refuse a condition with two doses, and a drug with doses in two units: a curve would take the first of them."""
    doses: dict[str, str] = {}
    units: dict[str, str] = {}
    for p in positions:
        dose, drug = p.factors.get("dose", ""), p.factors.get("drug", "")
        unit = unicodedata.normalize("NFKC", p.factors.get("dose_unit", "")).replace("\u03bc", "u")
        if dose == "":
            continue
        other = doses.setdefault(p.condition, dose)
        if float(other) != float(dose):
            raise ConfigurationError(
                f"{path}: condition {p.condition!r} must have one dose, has {other} and {dose}; name each dose"
            )
        if float(dose) > 0 and units.setdefault(drug, unit) != unit:
            raise ConfigurationError(
                f"{path}: doses {f'of {drug!r} ' if drug else ''}must have one dose_unit, have {units[drug]!r} and "
                f"{unit!r}; convert them to one unit"
            )
