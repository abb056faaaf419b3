"""A plate map: a grid of wells, as in a spreadsheet, whose cells hold the conditions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cicimage.errors import ConfigurationError
from cicimage.experiment.position import Position
from cicimage.experiment.spreadsheet import read_cells
from cicimage.regular import require_regular


def apply_plate_map(positions: Sequence[Position], path: Path) -> list[Position]:
    """Give each position the condition that the plate map states for its well.

    Parameters
    ----------
    positions : sequence of Position
        Their replicate is the well, written ``B2``, ``B02`` or ``b02``.
    path : Path
        Table as :func:`~cicimage.experiment.spreadsheet.read_cells` reads it: column numbers in the first row, row
        letters in the first column, conditions in the cells.

    Returns
    -------
    list of Position
        In the same order.

    Raises
    ------
    ConfigurationError
        The file is no plate map, or a well with recordings has no condition in it.
    """
    wells = read_plate_map(path)
    bare = sorted({p.replicate for p in positions if _well(p.replicate) not in wells})
    if bare:
        more = f" and {len(bare) - 5} more" if len(bare) > 5 else ""
        raise ConfigurationError(
            f"{path}: must name a condition for every well with recordings, has none for {', '.join(bare[:5])}{more}; "
            "fill in the cells, or take the recordings out of the folder"
        )
    return [replace(p, condition=wells[_well(p.replicate)]) for p in positions]


def read_plate_map(path: Path) -> dict[str, str]:
    """Read the condition of each well, such as ``B02``; empty cells are left out.

    Raises
    ------
    ConfigurationError
        The file cannot be read, or is not a grid of rows A, B, ... and columns 1, 2, ...
    """
    require_regular(path, ConfigurationError)
    if not path.is_file():
        raise ConfigurationError(f"{path}: cannot be read (no such file); mend files.plate_map")
    rows = read_cells(path)
    columns = _without_blank_end(rows[0][1:]) if rows else []
    if not columns or not all(c.isascii() and c.isdigit() for c in columns):
        raise ConfigurationError(
            f"{path}: must have the plate's columns 1, 2, ... in its first row, has "
            f"{', '.join(columns[:4]) or 'nothing'}; write a grid with rows A, B, ... below them"
        )
    wells: dict[str, str] = {}
    for row in rows[1:]:
        letter, row = row[0].upper(), _without_blank_end(row)
        if not re.fullmatch(r"[A-Z]{1,2}", letter) or len(row) > len(columns) + 1:
            raise ConfigurationError(
                f"{path}: each row must start with its letter and have a cell for each of {len(columns)} columns, "
                f"one starts with {row[0]!r} and has {len(row) - 1}; mend that row"
            )
        for column, cell in zip(columns, row[1:], strict=False):
            well = _well(letter + column)
            if cell and well in wells:
                raise ConfigurationError(
                    f"{path}: well {well} must stand once, has {wells[well]!r} and {cell!r}; keep one grid and one cell"
                )
            if cell:
                wells[well] = cell
    return wells


def _without_blank_end(cells: list[str]) -> list[str]:
    """Cells up to the last that holds text."""
    return cells[: max((n for n, cell in enumerate(cells, 1) if cell), default=0)]


def _well(name: str) -> str:
    """A well's name in its canonical form, ``B02``; other names unchanged."""
    match = re.fullmatch(r"([A-Za-z]{1,2})0*(\d{1,2})", name)
    return f"{match[1].upper()}{int(match[2]):02d}" if match else name
