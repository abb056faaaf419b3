"""Which planes a CZI file holds: its directory, read apart from the library, which fills gaps with zeros."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
import numpy.typing as npt

from cicimage.errors import RecordingError
from cicimage.recording.foreign import require_short
from cicimage.recording.unpacking import ZSTD, OverlongError, zstd_length

_HEADER_BYTES: Final = 32
_ZSTD_KINDS: Final = (5, 6)
_PIXEL_BYTES: Final = {0: 1, 1: 2, 2: 4, 3: 3, 4: 6, 8: 12, 9: 4, 12: 4, 13: 8}
_MOST_PIXEL_BYTES: Final = 24  # three colours of complex numbers
_MOST_ENTRIES: Final = 50_000_000


def is_czi(head: bytes) -> bool:
    """Whether these first bytes are those of a CZI file."""
    return head[:10] == b"ZISRAWFILE"


@dataclass(frozen=True, eq=False)
class CziDirectory:
    """Planes by scene, and the times of the frames.

    Attributes
    ----------
    planes : mapping of int to set of (t, c, z)
        Full-resolution planes per scene (0 where the file has no scenes), by the file's own indices.
    time_s : (T,) float64 or None
        Time stamps as written, s.
    """

    planes: dict[int, set[tuple[int, int, int]]]
    time_s: npt.NDArray[np.float64] | None


def read_directory(path: Path) -> CziDirectory:
    """Read the directory of a CZI file and hold every block against the file's length.

    Raises
    ------
    RecordingError
        Cut short, unfinished or damaged.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        header = _segment(file, path, 0, b"ZISRAWFILE", size)
        file_part, directory, _, pending, attachments = struct.unpack("<iqqiq", header[48:80])
        if pending or directory <= 0:
            raise RecordingError(f"{path.name}: was not finished by the microscope; copy or export it again")
        if file_part:
            raise RecordingError(f"{path.name}: is part {file_part} of a split file; open the first part")
        planes = _planes(file, path, _segment(file, path, directory, b"ZISRAWDIRECTORY", size), size)
        return CziDirectory(planes, _times(file, path, attachments, size))


def _segment(file: BinaryIO, path: Path, at: int, name: bytes, size: int) -> bytes:
    """Body of the segment that starts at a byte."""
    if not 0 <= at <= size - _HEADER_BYTES:
        raise RecordingError(f"{path.name}: a block starts at byte {at}, file has {size}: cut short; copy it again")
    file.seek(at)
    found, allocated, used = struct.unpack("<16sqq", file.read(_HEADER_BYTES))
    length = used or allocated
    if found.rstrip(b"\0") != name or length < 0:
        raise RecordingError(f"{path.name}: the block at byte {at} is no {name.decode()}; copy the file again")
    end = at + _HEADER_BYTES + length
    if end > size:
        raise RecordingError(f"{path.name}: a block ends at byte {end}, file has {size}: cut short; copy it again")
    require_short(path.name, f"the {name.decode()} at byte {at}", length)
    return file.read(length)


def _planes(file: BinaryIO, path: Path, body: bytes, size: int) -> dict[int, set[tuple[int, int, int]]]:
    (count,) = struct.unpack("<i", body[:4])
    planes: dict[int, set[tuple[int, int, int]]] = {}
    at = 128
    for number in range(min(count, _MOST_ENTRIES)):
        if at + 32 > len(body):
            raise RecordingError(f"{path.name}: declares {count} blocks, its directory lists {number}; copy it again")
        (position,) = struct.unpack("<q", body[at + 6 : at + 14])
        (n_dimensions,) = struct.unpack("<i", body[at + 28 : at + 32])
        if not 0 <= n_dimensions <= 64:
            raise RecordingError(f"{path.name}: block {number} has {n_dimensions} dimensions; copy the file again")
        index = {"T": 0, "C": 0, "Z": 0, "S": 0}
        full, pixels = True, 1
        for d in range(n_dimensions):
            name, start, extent, _, stored = struct.unpack("<4siifi", body[at + 32 + 20 * d : at + 52 + 20 * d])
            letter = name[:1].decode("ascii", "replace")
            index[letter] = start
            full &= letter not in "XY" or stored in (0, extent)
            pixels *= max(stored, extent) if letter in "XY" else 1
        kind, compression = (struct.unpack("<i", body[at + k : at + k + 4])[0] for k in (2, 18))
        at += 32 + 20 * n_dimensions
        _check_block(file, path, position, number, size)
        if compression in _ZSTD_KINDS:
            _check_packed(file, path, position, number, pixels * _PIXEL_BYTES.get(kind, _MOST_PIXEL_BYTES))
        if full:
            planes.setdefault(index["S"], set()).add((index["T"], index["C"], index["Z"]))
    return planes


def _check_block(file: BinaryIO, path: Path, at: int, number: int, size: int) -> None:
    end = at + _HEADER_BYTES
    if at >= 0 and end <= size:
        file.seek(at)
        name, allocated, _ = struct.unpack("<16sqq", file.read(_HEADER_BYTES))
        if name.rstrip(b"\0") != b"ZISRAWSUBBLOCK":
            raise RecordingError(f"{path.name}: plane {number} is not where the directory says; copy the file again")
        end += allocated
    if at < 0 or end > size:
        raise RecordingError(
            f"{path.name}: plane {number} ends at byte {end}, file has {size}: cut short; copy the file again"
        )


def _check_packed(file: BinaryIO, path: Path, at: int, number: int, declared: int) -> None:
    """Refuse a plane whose zstd frame holds more than its pixels: the library makes room for what the frame says."""
    file.seek(at + _HEADER_BYTES)
    n_metadata, _, _ = struct.unpack("<iiq", file.read(16))
    (n_dimensions,) = struct.unpack("<i", file.read(32)[28:])
    file.seek(at + _HEADER_BYTES + max(256, 48 + 20 * n_dimensions) + n_metadata)
    head = file.read(32)
    # the newer of the two kinds begins with a header of one or three bytes, the first of which is its length
    length = zstd_length(head[max(head.find(ZSTD), 0) :])
    if length is not None and length > declared:
        raise RecordingError(
            f"{path.name}: plane {number} {OverlongError(declared, length, exact=True)}; copy the file again"
        )


def _times(file: BinaryIO, path: Path, at: int, size: int) -> npt.NDArray[np.float64] | None:
    """Time stamps that the microscope attached, where it did."""
    if at <= 0:
        return None
    body = _segment(file, path, at, b"ZISRAWATTDIR", size)
    (count,) = struct.unpack("<i", body[:4])
    for k in range(min(count, (len(body) - 256) // 128)):
        entry = body[256 + 128 * k : 384 + 128 * k]
        if entry[48:128].rstrip(b"\0") == b"TimeStamps":
            (position,) = struct.unpack("<q", entry[12:20])
            data = _segment(file, path, position, b"ZISRAWATTACH", size)[256:]
            (n,) = struct.unpack("<i", data[4:8])
            if 0 < n <= (len(data) - 8) // 8:
                return np.frombuffer(data[8 : 8 + 8 * n], "<f8").astype(np.float64)
    return None
