"""Where the planes of a TIFF lie: its directories, walked without decoding anything.

Every number that comes from the file is held against the file's length before it is used, so that a file cut
short, looped or made up fails here with its sentence and not as zeros in a table. TIFF 6.0 and BigTIFF.
"""

from __future__ import annotations

import itertools
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from cicimage.errors import RecordingError

_TYPE_CODES: Final[Mapping[int, str]] = {
    1: "B", 2: "s", 3: "H", 4: "I", 5: "II", 6: "b", 7: "s", 8: "h", 9: "i", 10: "ii", 11: "f", 12: "d",
    13: "I", 16: "Q", 17: "q", 18: "Q",
}  # fmt: skip
_TYPE_BYTES: Final[Mapping[int, int]] = {k: 1 if v == "s" else struct.calcsize("=" + v) for k, v in _TYPE_CODES.items()}
MOST_ENTRIES: Final = 65535
"""Tags have numbers of 16 bits, and each stands once in a directory; BigTIFF counts them in 64 bits."""
MOST_TEXT_BYTES: Final = 256 << 20
"""Most bytes of a text: OME-XML of a long movie takes some of them."""
MOST_NUMBERS: Final = 4 << 20
"""Most numbers in one tag: a plane has one a strip or tile."""
_BLOCK: Final = 8192  # read ahead: a directory and its strip tables mostly lie together

Value = int | float | bytes
Tag = tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Ifd:
    """One directory: the shape of a page, how it is packed, and where its bytes lie.

    ``segments`` are strips or tiles in file order; ``offsets`` and ``byte_counts`` have one entry each.
    """

    width: int
    height: int
    bits: int
    samples: int
    sample_format: int
    compression: int
    predictor: int
    planar: int
    segment_width: int
    segment_height: int
    tiled: bool
    offsets: tuple[int, ...]
    byte_counts: tuple[int, ...]
    thumbnail: bool
    photometric: int = 1
    fill_order: int = 1
    orientation: int = 1
    palette_rises: bool = True
    """Whether the brightness of a colour map rises with the pixel's value; true without colour map."""

    @property
    def key(self) -> tuple[int, ...]:
        """What all pages of one recording must share."""
        return self.width, self.height, self.bits, self.samples, self.sample_format

    @property
    def segment_bytes(self) -> int:
        """Bytes of one decoded strip or tile."""
        return self.segment_width * self.segment_height * (1 if self.planar == 2 else self.samples) * self.bits // 8

    @property
    def end(self) -> int:
        """First byte after the page's data."""
        return max((o + n for o, n in zip(self.offsets, self.byte_counts, strict=True)), default=0)


@dataclass(frozen=True)
class TiffLayout:
    """All directories of a file, and the tags of the first one.

    Attributes
    ----------
    size : int
        The file's length, bytes.
    byte_order : str
        "<" or ">".
    pages : tuple of Ifd
        All of the chain in order, thumbnails included (OME-XML counts them).
    tags : mapping
        Values of the first page's tags that are not strip tables.
    counts : mapping
        Their counts as written (some makers put a number of planes there).
    """

    size: int
    byte_order: str
    pages: tuple[Ifd, ...]
    tags: Mapping[int, Tag]
    counts: Mapping[int, int]

    @property
    def images(self) -> tuple[Ifd, ...]:
        """The pages that are not thumbnails or masks of others."""
        return tuple(p for p in self.pages if not p.thumbnail)

    @property
    def description(self) -> str:
        """The first page's ImageDescription."""
        value = (self.tags.get(270) or (b"",))[0]
        return value.rstrip(b"\0").decode("utf-8", "replace") if isinstance(value, bytes) else ""


class _Reader:
    """Bytes of a file with a small read-ahead; refuses to read past the end."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self.name = name
        self.size = os.fstat(file.fileno()).st_size
        self._start = 0
        self._block = b""

    def at(self, offset: int, n: int, what: str) -> bytes:
        if offset + n > self.size:
            raise RecordingError(
                f"{self.name}: {what} ends at byte {offset + n}, file has {self.size}: cut short or damaged; "
                "copy the file again from the microscope"
            )
        inside = offset - self._start
        if not 0 <= inside <= len(self._block) - n:
            self._file.seek(offset)
            self._block = self._file.read(max(n, _BLOCK))
            self._start, inside = offset, 0
        return self._block[inside : inside + n]


def is_tiff(head: bytes) -> bool:
    """Whether these first bytes are those of a TIFF or BigTIFF."""
    return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read_layout(file: BinaryIO, path: Path) -> TiffLayout:
    """Walk all directories of an open TIFF.

    Parameters
    ----------
    file : binary file
        Opened unbuffered for reading.
    path : Path
        For messages.

    Raises
    ------
    RecordingError
        Not a TIFF, cut short, looped, or a directory without what a page needs.
    """
    reader = _Reader(file, path.name)
    head = reader.at(0, min(16, reader.size), "header")
    if not is_tiff(head):
        raise RecordingError(f"{path.name}: not a TIFF file (starts with {head[:4]!r}); give it its true extension")
    order = "<" if head[:2] == b"II" else ">"
    big = head[2:4] in (b"+\0", b"\0+")
    if len(head) < (16 if big else 8):
        raise RecordingError(
            f"{path.name}: header ends at byte {16 if big else 8}, file has {reader.size}; copy it again"
        )
    offset = struct.unpack(order + ("Q" if big else "I"), head[8:16] if big else head[4:8])[0]
    pages: list[Ifd] = []
    first: dict[int, Tag] | None = None
    counts: dict[int, int] = {}
    seen: set[int] = set()
    while offset:
        if offset in seen:
            raise RecordingError(
                f"{path.name}: the page after page {len(seen) - 1} leads back to byte {offset}, which was read before; "
                "pages must form a chain with an end: save the file again"
            )
        seen.add(offset)
        number = len(seen) - 1
        entries, offset = _entries(reader, order, big, offset, number)
        page = _page(reader, order, entries, number, path.name)
        if first is None:
            counts = {t: e[1] for t, e in entries.items()}
            first = {t: _value(reader, order, e, f"tag {t}") for t, e in entries.items() if t not in _TABLES}
        pages.append(page)
    if first is None or all(p.thumbnail for p in pages):
        raise RecordingError(f"{path.name}: holds no image (0 pages); it was never finished: copy or export it again")
    return TiffLayout(reader.size, order, tuple(pages), first, counts)


_TABLES: Final = frozenset((273, 279, 324, 325))
_NEEDED: Final = frozenset(
    (254, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 284, 317, 320, 322, 323, 324, 325, 339)
)
_PALETTE: Final = 3
_Entry = tuple[int, int, bytes]


def _entries(reader: _Reader, order: str, big: bool, offset: int, number: int) -> tuple[dict[int, _Entry], int]:
    """Read one directory: its entries (type, count, value field) by tag, and the offset of the next one."""
    head, width, pointer = (8, 20, 8) if big else (2, 12, 4)
    what = f"directory of page {number}"
    n = struct.unpack(order + ("Q" if big else "H"), reader.at(offset, head, what))[0]
    if n > MOST_ENTRIES:
        raise RecordingError(
            f"{reader.name}: {what} declares {n} entries; at most {MOST_ENTRIES} can be there: copy the file again"
        )
    body = reader.at(offset + head, n * width + pointer, what)
    unpack = struct.Struct(order + ("HHQ8s" if big else "HHI4s")).iter_unpack
    entries = {tag: (kind, count, field) for tag, kind, count, field in unpack(body[: n * width])}
    (following,) = struct.unpack(order + ("Q" if big else "I"), body[n * width :])
    return entries, following


def _value(reader: _Reader, order: str, entry: _Entry, what: str) -> Tag:
    kind, count, field = entry
    code = _TYPE_CODES.get(kind)
    if code is None:
        return ()
    n_bytes = _TYPE_BYTES[kind] * count
    most, unit = (MOST_TEXT_BYTES, "bytes of text") if code == "s" else (MOST_NUMBERS, "numbers")
    if count > most:
        raise RecordingError(
            f"{reader.name}: {what} declares {count} {unit}; at most {most} are read: export the file again"
        )
    if n_bytes > len(field):
        (offset,) = struct.unpack(order + ("Q" if len(field) == 8 else "I"), field)
        field = reader.at(offset, n_bytes, what)
    if code == "s":
        return (field[:n_bytes],)
    return struct.unpack(f"{order}{count * len(code)}{code[0]}", field[:n_bytes])


def _page(reader: _Reader, order: str, entries: Mapping[int, _Entry], number: int, name: str) -> Ifd:
    values = {
        t: tuple(int(v) for v in _value(reader, order, e, f"page {number}") if not isinstance(v, bytes))
        for t, e in entries.items()
        if t in _NEEDED
    }

    def one(tag: int, default: int = 0) -> int:
        found = values.get(tag)
        return found[0] if found else default

    tiled = 324 in values
    width, height = one(256), one(257)
    offsets, counts = values.get(324 if tiled else 273, ()), values.get(325 if tiled else 279, ())
    samples = one(277, 1)
    if not (width and height and offsets) or samples < 1:
        raise RecordingError(
            f"{name}: page {number} is {height} x {width} pixels in {len(offsets)} strips; "
            "each must be at least 1: export the file again"
        )
    page = Ifd(
        width=width,
        height=height,
        bits=one(258, 1),
        samples=samples,
        sample_format=one(339, 1),
        compression=one(259, 1),
        predictor=one(317, 1),
        planar=one(284, 1),
        segment_width=one(322) if tiled else width,
        segment_height=one(323) if tiled else min(one(278, height) or height, height),
        tiled=tiled,
        offsets=offsets,
        byte_counts=counts,
        thumbnail=bool(one(254) & 0b101),
        photometric=one(262, 1),
        fill_order=one(266, 1),
        orientation=one(274, 1),
        palette_rises=one(262, 1) != _PALETTE or _rises(values.get(320, ())),
    )
    _check_segments(page, number, reader.size, name)
    return page


def _rises(colour_map: tuple[int, ...]) -> bool:
    """Whether red + green + blue never falls from one entry of a colour map to the next."""
    third = len(colour_map) // 3
    total = [sum(colour_map[i::third]) for i in range(third)] if third else []
    return bool(total) and all(a <= b for a, b in itertools.pairwise(total)) and total[-1] > total[0]


def _check_segments(page: Ifd, number: int, size: int, name: str) -> None:
    if page.tiled and not (page.segment_width and page.segment_height):
        raise RecordingError(f"{name}: page {number} has tiles of no size; each must be at least 1: export it again")
    across = -(-page.width // page.segment_width)
    expected = across * -(-page.height // page.segment_height) * (page.samples if page.planar == 2 else 1)
    if len(page.byte_counts) != len(page.offsets) or len(page.offsets) != expected:
        raise RecordingError(
            f"{name}: page {number} needs {expected} strips or tiles, found {len(page.offsets)} offsets and "
            f"{len(page.byte_counts)} lengths; export the file again"
        )
    if page.end > size:
        raise RecordingError(
            f"{name}: plane {number} ends at byte {page.end}, file has {size}: cut short; "
            "copy the file again from the microscope"
        )
    if not all(page.byte_counts) or not all(page.offsets):
        raise RecordingError(
            f"{name}: plane {number} has no data for one of its strips (not zero-filled); export the file again"
        )
