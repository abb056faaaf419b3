"""Layout of a results folder, and atomic writing: a killed process leaves no half-written file.

Every file is written under a temporary name, is flushed to the disk and renamed; tables are Parquet with page checksums
and carry ``schema_version``; a position's receipt is written last, so a position without one is not done.
"""

from __future__ import annotations

import errno
import json
import os
import re
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cicimage.errors import CicimageError, ResultsError
from cicimage.regular import refuse_foreign_folders, require_regular
from cicimage.tables import SCHEMA_VERSION, TABLES, conform

FULL: Final = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
"""Error numbers of a full disk or quota."""


DAMAGE: Final = (
    pa.ArrowException, OSError, RuntimeError, ValueError, KeyError, TypeError, EOFError, MemoryError,
    struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""Errors that the libraries of tables and arrays raise on damaged files."""


MOST_JSON_BYTES: Final = 1 << 30
"""Largest JSON file that is read: run.json of some million positions."""


class DiskFullError(CicimageError):
    """The disk holding the results is full; what was finished is kept."""

    exit_code = 6


# ---------------------------------------------------------------- atomic files


@contextmanager
def disk_full_as_error(path: Path) -> Iterator[None]:
    """Raise an error that names the remedy where the system refuses to write because the disk is full.

    Raises
    ------
    DiskFullError
        No space is left, or no quota.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise DiskFullError(
            f"{path}: the disk is full; finished positions are kept, free some space and run the same command again"
        ) from None


@contextmanager
def atomic(path: Path) -> Iterator[IO[bytes]]:
    """Open a binary file that appears under its name only once whole and flushed to the disk."""
    with disk_full_as_error(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
            _sync_folder(path.parent)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def remove_partial_files(folder: Path, *, deep: bool = True) -> None:
    """Delete files that killed processes left half-written; the caller holds the folder's lock.

    Parameters
    ----------
    folder : Path
        Where to look.
    deep : bool
        Whether to look in its subfolders too.
    """
    for path in folder.rglob(".*.part") if deep else folder.glob(".*.part"):
        path.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically.

    Parameters
    ----------
    path : Path
        File to write; missing folders are made.
    text : str
        Its content.

    Raises
    ------
    DiskFullError
        The disk or quota is full.
    """
    with atomic(path) as file:
        file.write(text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically.

    Parameters
    ----------
    path : Path
        File to write; missing folders are made.
    value : object
        What to write, keys in the order given; objects that JSON does not know are written as their ``str``.

    Raises
    ------
    ValueError
        A number is NaN or infinite.
    DiskFullError
        The disk or quota is full.
    """
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False, default=str) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON; raise ResultsError where the file is damaged or foreign."""
    require_regular(path, ResultsError, most_bytes=MOST_JSON_BYTES)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        said = _one_line(error)
        raise ResultsError(f"{path}: must be JSON written by this program ({said}); {_remedy(path)}") from None


def _one_line(text: object) -> str:
    """A system's or library's message, shortened to fit into a sentence."""
    return " ".join(str(text).split())[:200]


@contextmanager
def damage_as_error(path: Path) -> Iterator[None]:
    """Raise an error that names the remedy where a library fails on a damaged or missing file.

    Raises
    ------
    ResultsError
        The file is missing or damaged.
    """
    try:
        yield
    except FileNotFoundError:
        raise ResultsError(f"{path}: is missing; {_remedy(path)}") from None
    except DAMAGE as error:
        said = _one_line(error) or type(error).__name__
        raise ResultsError(f"{path}: is damaged ({said}); {_remedy(path)}") from None


def _remedy(path: Path) -> str:
    """Remedy for a damaged or missing file of results."""
    if path.parent.parent.name == "positions":
        return f"delete the folder {path.parent} and run the same command again"
    if path.name == "run.json":
        return "delete it and run `cicimage run` again with --force, which keeps finished positions"
    return "run `cicimage report` on the folder to make it again"


# ---------------------------------------------------------------- tables


def write_table(path: Path, rows: pd.DataFrame) -> None:
    """Write a table as checksummed Parquet with its schema version, atomically.

    Parameters
    ----------
    path : Path
        File to write; missing folders are made.
    rows : pandas.DataFrame
        The table; its index is not written.

    Raises
    ------
    DiskFullError
        The disk or quota is full.
    """
    table = pa.Table.from_pandas(rows, preserve_index=False)
    table = table.replace_schema_metadata({"schema_version": str(SCHEMA_VERSION)})
    with atomic(path) as file:
        pq.write_table(table, file, compression="zstd", write_page_checksum=True, store_schema=True)


def read_table(path: Path, name: str | None = None) -> pd.DataFrame:
    """Read a table written by :func:`write_table`, checksums verified.

    Parameters
    ----------
    path : Path
        The Parquet file.
    name : str, optional
        A table of :mod:`cicimage.tables` it must conform to.

    Raises
    ------
    ResultsError
        Damaged, or of another schema version.
    """
    require_regular(path, ResultsError)
    with damage_as_error(path):
        # not `pq.read_table`, which takes twice as long for a small file: a report reads hundreds of them
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            table = file.read()
        check_version(path, table.schema)
        rows: pd.DataFrame = table.to_pandas(self_destruct=True)
        return rows if name is None else conform(TABLES[name], rows)


def check_version(path: Path, schema: pa.Schema) -> None:
    """Check that a Parquet file has this program's schema version.

    Parameters
    ----------
    path : Path
        The file, for the message.
    schema : pyarrow.Schema
        Its schema, with metadata.

    Raises
    ------
    ResultsError
        It has another one, or none.
    """
    version = (schema.metadata or {}).get(b"schema_version", b"?").decode(errors="replace")
    if version != str(SCHEMA_VERSION):
        raise ResultsError(
            f"{path}: schema_version must be {SCHEMA_VERSION}, is {version}; re-run into a new folder with this program"
        )


# ---------------------------------------------------------------- arrays


def write_arrays(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write named arrays as compressed npz, atomically and without pickle.

    Parameters
    ----------
    path : Path
        File to write.
    arrays : mapping of str to array
        Arrays by name.

    Raises
    ------
    DiskFullError
        The disk or quota is full.
    """
    with atomic(path) as file:
        np.savez_compressed(file, **{k: np.asarray(v) for k, v in arrays.items()})  # type: ignore[arg-type]


MOST_ARRAY_BYTES: Final = 1 << 30
"""Most bytes that the arrays of one file unpack into; the film strip of a long event takes some tens of MiB."""


def read_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Read arrays written by :func:`write_arrays`; raise ResultsError on damaged or pickled ones."""
    require_regular(path, ResultsError)
    with damage_as_error(path), zipfile.ZipFile(path) as packed:
        unpacked = sum(entry.file_size for entry in packed.infolist())
    if unpacked > MOST_ARRAY_BYTES:
        raise ResultsError(
            f"{path}: holds {unpacked} bytes of arrays; at most {MOST_ARRAY_BYTES} are read: {_remedy(path)}"
        )
    with damage_as_error(path), np.load(path, allow_pickle=False) as file:
        return {k: file[k] for k in file.files}


# ---------------------------------------------------------------- folders


_KEY: Final = re.compile(r"p\d{4,9}")
"""Opaque key of a position; anything else could name a folder elsewhere."""


@dataclass(frozen=True)
class Results:
    """Paths of a results folder."""

    root: Path

    @property
    def run(self) -> Path:
        """run.json."""
        return self.root / "run.json"

    @property
    def report(self) -> Path:
        """report.html."""
        return self.root / "report.html"

    def position(self, key: str) -> PositionFolder:
        """Folder of one position by its opaque key, such as p0001."""
        return PositionFolder(self.root / "positions" / key)

    def table(self, name: str) -> Path:
        """A top-level Parquet table."""
        return self.root / f"{name}.parquet"

    def index(self) -> dict[str, str]:
        """Opaque key by position, as in run.json; empty before the first run."""
        return dict(self.read_run()["positions"]) if self.run.exists() else {}

    def read_run(self) -> dict[str, Any]:
        """run.json as a dictionary.

        Raises
        ------
        ResultsError
            Of another schema version, or no run.json of this program.
        """
        run = read_json(self.run)
        found = run.get("schema_version") if isinstance(run, dict) else None
        keys = run.get("positions") if isinstance(run, dict) else None
        named = isinstance(keys, dict) and all(isinstance(k, str) and _KEY.fullmatch(k) for k in keys.values())
        if found != SCHEMA_VERSION or not named:
            raise ResultsError(
                f"{self.run}: schema_version must be {SCHEMA_VERSION} and its positions be listed, "
                f"schema_version is {found}; re-run into a new folder with this program"
            )
        refuse_foreign_folders(self.run, run["positions"])
        return dict(run)


def existing_results(folder: Path) -> Results:
    """The results in a folder.

    Raises
    ------
    ResultsError
        No run was ever begun there.
    """
    results = Results(folder)
    if not results.run.exists():
        raise ResultsError(
            f"{folder}: must be a results folder, has no run.json; name the folder given to `cicimage run -o`"
        )
    return results


@dataclass(frozen=True)
class PositionFolder:
    """Paths of one position's base results."""

    root: Path

    @property
    def receipt(self) -> Path:
        """receipt.json, written last."""
        return self.root / "receipt.json"

    @property
    def stages(self) -> Path:
        """Keys of the inputs of each stage."""
        return self.root / "stages.json"

    @property
    def input(self) -> Path:
        """Files of the recording with size, time and hash."""
        return self.root / "input.json"

    @property
    def masks(self) -> Path:
        """Masks of all frames and populations."""
        return self.root / "masks.parquet"

    @property
    def estimates(self) -> Path:
        """Illumination gains, bleed-through matrix and other estimates."""
        return self.root / "estimates.npz"

    @property
    def setting(self) -> Path:
        """Scale, times and channels that the position was run with."""
        return self.root / "setting.json"

    @property
    def optics(self) -> Path:
        """What the optics can tell."""
        return self.root / "optics.json"

    @property
    def missing(self) -> Path:
        """Reason of each missing frame."""
        return self.root / "missing.json"

    @property
    def findings(self) -> Path:
        """Findings of the first stage."""
        return self.root / "findings.json"

    @property
    def log(self) -> Path:
        """JSON log."""
        return self.root / "log.jsonl"

    @property
    def crops(self) -> Path:
        """Folder of the events' picture crops."""
        return self.root / "crops"

    def table(self, name: str) -> Path:
        """A base table."""
        return self.root / f"{name}.parquet"
