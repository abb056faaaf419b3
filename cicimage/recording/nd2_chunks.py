"""Where the frames of an ND2 file lie: its chunk map, read apart from the library, which fills gaps with zeros."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO, Final

from cicimage.errors import RecordingError
from cicimage.recording.foreign import require_short

_MAGIC: Final = 0x0ABECEDA
_LEGACY: Final = 0x0C000000
_SIGNATURE: Final = b"ND2 CHUNK MAP SIGNATURE 0000001!"
_FRAME: Final = b"ImageDataSeq|"
_TIME_BYTES: Final = 8  # before the pixels of a frame


def is_nd2(head: bytes) -> bool:
    """Whether these first bytes are those of an ND2 file, old or new."""
    return len(head) >= 4 and struct.unpack("<I", head[:4])[0] in (_MAGIC, _LEGACY)


def frame_spans(path: Path) -> dict[int, tuple[int, int]]:
    """First byte of each frame's chunk and the one after it, by its number in the file.

    Raises
    ------
    RecordingError
        Cut short, of the old kind, or the map points outside the file.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        if struct.unpack("<I", file.read(4).ljust(4, b"\0"))[0] == _LEGACY:
            raise RecordingError(f"{path.name}: is an ND2 of before 2010 (JPEG 2000); save it as TIFF in NIS-Elements")
        file.seek(max(0, size - 40))
        tail = file.read(40)
        if len(tail) < 40 or tail[:32] != _SIGNATURE:
            raise RecordingError(
                f"{path.name}: has no chunk map at its end (byte {size}): cut short or still being written; "
                "copy the file again from the microscope"
            )
        return _read_map(file, path.name, struct.unpack("<Q", tail[32:])[0], size)


def packed_frame(path: Path, span: tuple[int, int]) -> bytes:
    """Packed pixels of one frame of a losslessly compressed file.

    Parameters
    ----------
    path : Path
        The file.
    span : (int, int)
        Where the frame lies, as :func:`frame_spans` gives it.
    """
    with path.open("rb") as file:
        file.seek(span[0])
        _, name_length, data_length = struct.unpack("<IIQ", file.read(16))
        file.seek(span[0] + 16 + name_length + _TIME_BYTES)
        return file.read(max(0, min(data_length - _TIME_BYTES, span[1] - file.tell())))


def _read_map(file: BinaryIO, name: str, start: int, size: int) -> dict[int, tuple[int, int]]:
    if start + 16 > size:
        raise RecordingError(f"{name}: chunk map starts at byte {start}, file has {size}; copy the file again")
    file.seek(start)
    magic, name_length, data_length = struct.unpack("<IIQ", file.read(16))
    if magic != _MAGIC or start + 16 + name_length + data_length > size:
        raise RecordingError(f"{name}: chunk map at byte {start} is damaged; copy the file again")
    require_short(name, "its chunk map", data_length)
    file.seek(start + 16 + name_length)
    data = file.read(data_length)
    spans: dict[int, tuple[int, int]] = {}
    at = 0
    while (mark := data.find(b"!", at)) >= 0 and data[at : mark + 1] != _SIGNATURE and mark + 17 <= len(data):
        offset, length = struct.unpack("<QQ", data[mark + 1 : mark + 17])
        key = data[at:mark]
        number = key[len(_FRAME) :]
        if key.startswith(_FRAME) and number.isdigit() and len(number) < 10:
            end = offset + 16 + length
            spans[int(number)] = offset, end
            if end > size:
                raise RecordingError(
                    f"{name}: plane {int(number)} ends at byte {end}, file has {size}: cut short; "
                    "copy the file again from the microscope"
                )
        at = mark + 17
    return spans
