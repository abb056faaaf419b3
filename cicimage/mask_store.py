"""Storage of masks: one Parquet file per position, a row group per frame, pixels as run lengths."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cicimage.masks import Mask, Masks, decode_runs, encode_runs
from cicimage.store import atomic, check_version, damage_as_error
from cicimage.tables import SCHEMA_VERSION


def masks_to_rows(frame: int, population: str, masks: Masks) -> list[dict[str, Any]]:
    """Convert masks to rows for :func:`mask_writer`, their pixels as run lengths.

    Parameters
    ----------
    frame : int
        Index of the frame.
    population : str
        Population of the masks.
    masks : Masks
        All its masks in this frame.

    Returns
    -------
    list of dict
        One row per mask: frame, population, label, y0, x0, h, w, runs.
    """
    return [
        {
            "frame": frame, "population": population, "label": m.label, "y0": m.y0, "x0": m.x0,
            "h": m.pixels.shape[0], "w": m.pixels.shape[1], "runs": encode_runs(m.pixels),
        }
        for m in masks
    ]  # fmt: skip


def masks_from_rows(rows: Iterable[Mapping[Any, Any]], shape: tuple[int, int]) -> Masks:
    """Undo :func:`masks_to_rows`.

    Parameters
    ----------
    rows : iterable of mapping
        Rows of one population in one frame.
    shape : (int, int)
        Height and width of the frame, pixels.
    """
    return Masks([Mask(r["label"], r["y0"], r["x0"], decode_runs(r["runs"], (r["h"], r["w"]))) for r in rows], shape)


_MASK_SCHEMA: Final = pa.schema(
    [("frame", pa.int32()), ("population", pa.string()), ("label", pa.int32()), ("y0", pa.int32()), ("x0", pa.int32()),
     ("h", pa.int32()), ("w", pa.int32()), ("runs", pa.binary())]
)  # fmt: skip


@contextmanager
def mask_writer(path: Path, shape: tuple[int, int]) -> Iterator[Callable[[list[dict[str, Any]]], None]]:
    """Open a Parquet file to which masks are appended frame by frame.

    Each frame is a row group, so that a viewer reads one frame alone. The file appears under its name once complete.

    Parameters
    ----------
    path : Path
        File to write.
    shape : (int, int)
        Height and width of the frames, pixels.

    Yields
    ------
    callable
        Takes one frame's rows, as from :func:`masks_to_rows`; frames in order, also those without masks.

    Raises
    ------
    DiskFullError
        The disk or quota is full.
    """
    schema = _MASK_SCHEMA.with_metadata(
        {"schema_version": str(SCHEMA_VERSION), "height": str(shape[0]), "width": str(shape[1])}
    )
    with (
        atomic(path) as file,
        pq.ParquetWriter(file, schema, compression="zstd", write_page_checksum=True) as writer,
    ):

        def append(rows: list[dict[str, Any]]) -> None:
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))

        yield append


class MaskFile:
    """Reads masks written by :func:`mask_writer`, one frame at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with damage_as_error(path):
            self._file = pq.ParquetFile(path, page_checksum_verification=True)
            schema = self._file.schema_arrow
            check_version(path, schema)
            self.shape = (int(schema.metadata[b"height"]), int(schema.metadata[b"width"]))
        self._cache: tuple[int, pd.DataFrame] | None = None

    def _rows(self, frame: int) -> pd.DataFrame:
        if self._cache is None or self._cache[0] != frame:
            rows = (
                self._file.read_row_group(frame).to_pandas()
                if frame < self._file.num_row_groups
                else pd.DataFrame({n: [] for n in _MASK_SCHEMA.names})
            )
            self._cache = (frame, rows)
        return self._cache[1]

    def masks(
        self,
        frame: int,
        population: str,
        *,
        label: int | None = None,
        window: tuple[int, int, int, int] | None = None,
    ) -> Masks:
        """Read the masks of one population in one frame.

        Parameters
        ----------
        frame : int
            Index of the frame; one beyond the last has no masks.
        population : str
            Population to read.
        label : int, optional
            Read the mask with this label alone.
        window : (int, int, int, int), optional
            Read only masks whose crop overlaps (y0, y1, x0, x1), frame pixels.

        Returns
        -------
        Masks
            In the order in which they were written.

        Raises
        ------
        ResultsError
            The file is damaged.
        """
        with damage_as_error(self._path):
            return self._masks(frame, population, label, window)

    def _masks(self, frame: int, population: str, label: int | None, window: tuple[int, int, int, int] | None) -> Masks:
        rows = self._rows(frame)
        rows = rows[rows["population"] == population]
        if label is not None:
            rows = rows[rows["label"] == label]
        if window is not None:
            y0, y1, x0, x1 = window
            rows = rows[(rows["y0"] < y1) & (rows["y0"] + rows["h"] > y0)]
            rows = rows[(rows["x0"] < x1) & (rows["x0"] + rows["w"] > x0)]
        return masks_from_rows(rows.to_dict("records"), self.shape)
