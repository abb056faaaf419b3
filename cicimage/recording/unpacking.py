"""Compressed bytes are unpacked into no more than what the file declares: some kilobytes can hold gigabytes."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Generator, Iterator
from typing import Any, Final

import imagecodecs
import numpy as np
import pyarrow as pa

from cicimage.errors import counted

LZMA_MEMORY: Final = 256 << 20
"""Most memory for the dictionary of an LZMA stream, bytes; the largest preset of xz needs 65 MiB."""
_PIECE: Final = 1 << 20
ZSTD: Final = b"\x28\xb5\x2f\xfd"
"""First bytes of a zstd frame."""


class OverlongError(Exception):
    """Packed bytes hold more than the file declares; the reader names the plane.

    Attributes
    ----------
    declared : int
        Bytes that the file declares.
    found : int
        Bytes that were found.
    exact : bool
        Whether that is all; else unpacking stopped there.
    """

    def __init__(self, declared: int, found: int, *, exact: bool = False) -> None:
        super().__init__(f"holds {'' if exact else 'at least '}{counted(found, 'byte')} where {declared} are declared")
        self.declared, self.found, self.exact = declared, found, exact


def _zlib_stream(wbits: int) -> Callable[[], Any]:
    return lambda: zlib.decompressobj(wbits)


_STREAMS: Final[dict[str, Callable[[], Any]]] = {
    "zlib": _zlib_stream(15),
    "gzip": _zlib_stream(31),
    "bz2": bz2.BZ2Decompressor,
    "lzma": lambda: lzma.LZMADecompressor(memlimit=LZMA_MEMORY),
}


def unpack(codec: str, data: bytes, most: int) -> bytes:
    """Unpack a stream, and stop where it holds more than declared.

    Parameters
    ----------
    codec : str
        ``"zlib"``, ``"gzip"``, ``"bz2"``, ``"lzma"`` (.xz and .lzma) or ``"zstd"``.
    data : bytes
        The packed stream, or several of them one after another.
    most : int
        Bytes that the file declares.

    Returns
    -------
    bytes
        At most as many; a stream that holds fewer is left to the reader.

    Raises
    ------
    OverlongError
        It holds more.
    ValueError, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError
        It is damaged or cut short.

    Examples
    --------
    >>> unpack("zlib", zlib.compress(b"abc"), 3)
    b'abc'
    >>> unpack("zlib", zlib.compress(bytes(1000)), 3)
    Traceback (most recent call last):
    cicimage.recording.unpacking.OverlongError: holds at least 4 bytes where 3 are declared
    """
    if codec == "zstd":
        return _unpack_zstd(data, most)
    pieces = list(_pieces(codec, data, most, most + 1))
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def refuse_overlong(codec: str, data: bytes, most: int) -> None:
    """Refuse a stream that holds more than declared, in little memory; what is damaged is left to its decoder.

    Parameters
    ----------
    codec : str
        One of those of :func:`unpack`.
    data : bytes
        The packed stream.
    most : int
        Bytes that the file declares.

    Raises
    ------
    OverlongError
        It holds more.
    """
    if codec == "zstd" and (said := zstd_length(data) or 0) > most:
        raise OverlongError(most, said, exact=True)
    try:
        for _ in _pieces(codec, data, most, _PIECE):
            pass
    except (ValueError, zlib.error, lzma.LZMAError, EOFError, OSError):
        return


def _pieces(codec: str, data: bytes, most: int, longest: int) -> Iterator[bytes]:
    """Unpacked pieces of one stream after another, up to one byte more than declared, which is refused."""
    length = 0
    read = _zstd_pieces(data) if codec == "zstd" else _stream_pieces(codec, data)
    next(read)
    while length <= most:
        try:
            piece = read.send(min(longest, most + 1 - length))
        except StopIteration:
            return
        length += len(piece)
        yield piece
    raise OverlongError(most, length)


def _stream_pieces(codec: str, data: bytes) -> Generator[bytes, int, None]:
    """Pieces no longer than what is sent for each."""
    room = yield b""
    while data:
        stream = _STREAMS[codec]()
        packed = data
        while not stream.eof:
            piece = stream.decompress(packed, room)
            # zlib hands back what it did not take, bz2 and lzma keep it
            packed = getattr(stream, "unconsumed_tail", b"")
            if piece:
                room = yield piece
            elif not packed and not stream.eof:
                raise EOFError("the packed data end before their end is marked")
        # zlib ends with its stream; padding may stand between those of the others
        data = b"" if codec == "zlib" else stream.unused_data.lstrip(b"\0")


def _zstd_pieces(data: bytes) -> Generator[bytes, int, None]:
    room = yield b""
    with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
        while piece := stream.read(room):
            room = yield piece


def _unpack_zstd(data: bytes, most: int) -> bytes:
    out: Any = np.empty(most, np.uint8)
    try:
        return np.asarray(imagecodecs.zstd_decode(data, out=out)).tobytes()
    except RuntimeError:
        refuse_overlong("zstd", data, most)
        raise


def zstd_length(data: bytes) -> int | None:
    """Unpacked bytes of the first frame of a zstd stream as its header gives them; None where it does not.

    Parameters
    ----------
    data : bytes
        The packed stream (RFC 8878, section 3.1.1.1).
    """
    if data[:4] != ZSTD or len(data) < 5:
        return None
    flags = data[4]
    single = bool(flags & 0x20)
    at = 5 + (not single) + (0, 1, 2, 4)[flags & 3]
    width = (int(single), 2, 4, 8)[flags >> 6]
    if not width or len(data) < at + width:
        return None
    return int.from_bytes(data[at : at + width], "little") + (256 if width == 2 else 0)
