"""Results in the format of the Cell Tracking Challenge: label images and ``res_track.txt``, per population.

References
----------
.. [1] https://celltrackingchallenge.net, "Naming and file content conventions".
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import tifffile

from cicimage.errors import ResultsError
from cicimage.export.tracked import Tracked
from cicimage.masks import Mask
from cicimage.store import atomic, write_text

MOST_TRACKS: Final = 65535
"""Labels are 16 bit."""


@dataclass(frozen=True)
class Track:
    """A cell seen in every frame from ``begin`` to ``end``; a cell that was out of sight for a while has several."""

    number: int
    cell_id: int
    begin: int
    end: int
    parent: int


def write_ctc(tracked: Tracked, path: Path) -> list[Path]:
    """Write one position as ``path_<population>/01_RES``.

    The format has one label per pixel: where masks overlap the smaller one shows, and an object of which nothing
    shows is left out of that frame. A track has no gaps: a cell that was out of sight continues as a track whose parent
    is the one before. ``cells.csv`` beside the images gives the cell of each track.

    Parameters
    ----------
    tracked : Tracked
        The position.
    path : Path
        Stem of the folders to write.

    Returns
    -------
    list of Path
        Folders written, one per population.

    Raises
    ------
    ResultsError
        There are more tracks than 16 bit can number.
    """
    return [_write(tracked, population, path) for population in tracked.populations]


def _write(tracked: Tracked, population: str, path: Path) -> Path:
    rows = tracked.of(population)
    rows = rows[rows["label"] > 0]
    place = {
        (int(f), int(label)): int(c)
        for f, label, c in zip(rows["frame"], rows["label"], rows["cell_id"], strict=True)
    }  # fmt: skip
    frames, shape = tracked.sizes["T"], (tracked.sizes["Y"], tracked.sizes["X"])
    seen: dict[int, list[int]] = {}
    for t in range(frames):
        ids = [m for m in tracked.masks(t, population) if (t, m.label) in place]
        for cell in np.unique(paint(ids, [place[t, m.label] for m in ids], shape, np.dtype(np.int64))):
            if cell:
                seen.setdefault(int(cell), []).append(t)
    tracks = number_tracks(seen, _parents(rows))
    if len(tracks) > MOST_TRACKS:
        raise ResultsError(
            f"{tracked.position}: the format numbers at most {MOST_TRACKS} tracks, {population} has {len(tracks)}; "
            "export as geff"
        )
    folder = path.with_name(f"{path.name}_{population}")
    results = folder / "01_RES"
    results.mkdir(parents=True, exist_ok=True)
    number = {(k.cell_id, t): k.number for k in tracks for t in range(k.begin, k.end + 1)}
    digits = max(3, len(str(frames - 1)))
    for t in range(frames):
        ids = [m for m in tracked.masks(t, population) if (place.get((t, m.label)), t) in number]
        image = paint(ids, [number[place[t, m.label], t] for m in ids], shape, np.dtype(np.uint16))
        picture = io.BytesIO()
        tifffile.imwrite(picture, image, compression="zlib", photometric="minisblack")
        with atomic(results / f"mask{t:0{digits}d}.tif") as file:
            file.write(picture.getvalue())
    write_text(results / "res_track.txt", "".join(f"{k.number} {k.begin} {k.end} {k.parent}\n" for k in tracks))
    lines = [f"{k.number},{k.cell_id},{k.begin},{k.end}\n" for k in tracks]
    write_text(folder / "cells.csv", "label,cell_id,first_frame,last_frame\n" + "".join(lines))
    return folder


def paint(
    masks: Sequence[Mask], numbers: Sequence[int], shape: tuple[int, int], dtype: np.dtype[np.integer]
) -> npt.NDArray[np.integer]:
    """Render masks to a label image; the smaller of two that overlap shows.

    Parameters
    ----------
    masks : sequence of Mask
        Masks of one frame.
    numbers : sequence of int
        Number to paint for each mask.
    shape : (int, int)
        Height and width of the frame.
    dtype : numpy.dtype
        Integer type that holds the numbers.

    Returns
    -------
    (Y, X) array of ``dtype``
        Numbers, 0 for background.
    """
    image = np.zeros(shape, dtype)
    for i in sorted(range(len(masks)), key=lambda i: -masks[i].area_px):
        image[masks[i].window][masks[i].pixels] = numbers[i]
    return image


def number_tracks(seen: dict[int, list[int]], parents: dict[int, int]) -> list[Track]:
    """Cut cells into tracks without gaps and number them from 1, in the order of their first frame.

    Parameters
    ----------
    seen : dict of int to list of int
        Ascending frames by cell.
    parents : dict of int to int
        Parent by cell, where there is one.
    """
    pieces = [
        (int(run[0]), cell, int(run[-1]))
        for cell, frames in seen.items()
        for run in np.split(np.array(frames), np.flatnonzero(np.diff(frames) > 1) + 1)
    ]
    tracks: list[Track] = []
    for number, (begin, cell, end) in enumerate(sorted(pieces), start=1):
        earlier = [k for k in tracks if k.cell_id == cell] or [
            k for k in tracks if k.cell_id == parents.get(cell) and k.end < begin
        ]
        tracks.append(Track(number, cell, begin, end, earlier[-1].number if earlier else 0))
    return tracks


def _parents(rows: pd.DataFrame) -> dict[int, int]:
    some = rows.loc[rows["parent_id"] > 0, ["cell_id", "parent_id"]].drop_duplicates("cell_id")
    return {int(c): int(p) for c, p in zip(some["cell_id"], some["parent_id"], strict=True)}
