"""One TIFF page decoded: strips or tiles to a (S, Y, X) array, every length checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, Final

import imagecodecs
import numpy as np
import numpy.typing as npt

from cicimage.recording.ifd import Ifd
from cicimage.recording.unpacking import OverlongError, refuse_overlong

# Decoders that fill a given buffer, and so cannot inflate past it. Deflate is libdeflate: 2.3 ms where zlib took
# 4.9 on a 1024 x 1024 uint16 plane.
_DECODERS: Final[Mapping[int, str]] = {
    5: "lzw_decode", 8: "deflate_decode", 32946: "deflate_decode", 50013: "deflate_decode",
    32773: "packbits_decode", 34925: "lzma_decode", 50000: "zstd_decode", 34926: "zstd_decode",
}  # fmt: skip
_STREAMS: Final[Mapping[str, str]] = {"deflate_decode": "zlib", "lzma_decode": "lzma", "zstd_decode": "zstd"}
"""Names in :mod:`cicimage.recording.unpacking` of those whose length can be told in little memory."""
_NAMES: Final[Mapping[int, str]] = {
    2: "CCITT", 3: "CCITT", 4: "CCITT", 6: "JPEG", 7: "JPEG", 33003: "JPEG 2000", 34712: "JPEG 2000", 50001: "WebP",
}  # fmt: skip
_KINDS: Final[Mapping[int, str]] = {1: "u", 2: "i", 3: "f"}
WHITE_IS_ZERO: Final = 0
BLACK_IS_ZERO: Final = 1
"""PhotometricInterpretation of pages that are stored inverted and of those that are not (TIFF 6.0, section 4)."""
_COLOUR_SPACES: Final[Mapping[int, str]] = {
    4: "a mask", 5: "CMYK", 6: "YCbCr", 8: "CIE Lab", 9: "ICC Lab", 10: "ITU Lab", 32803: "a colour filter array",
}  # fmt: skip
_FLIPS: Final[Mapping[int, tuple[slice, slice]]] = {
    1: (slice(None), slice(None)), 2: (slice(None), slice(None, None, -1)),
    3: (slice(None, None, -1), slice(None, None, -1)), 4: (slice(None, None, -1), slice(None)),
}  # fmt: skip
"""How rows and columns of each Orientation are read to begin at the top left; 5 to 8 turn the page."""

PACKED_OVERHEAD: Final = 64 << 10
"""Headers and checksums of a packed strip, bytes, beside at most twice its pixels."""

Bytes = npt.NDArray[np.uint8]


class UndecodableError(Exception):
    """The bytes of a page do not match its directory; the reader names the plane."""


def page_dtype(page: Ifd) -> np.dtype[Any] | None:
    """Native dtype of the page's pixels, None where they are of a kind that is not read."""
    kind = _KINDS.get(page.sample_format)
    if kind is None or page.bits not in (8, 16, 32, 64) or (kind == "f" and page.bits == 8):
        return None
    return np.dtype(f"{kind}{page.bits // 8}")


def unreadable_packing(page: Ifd) -> str | None:
    """Name what keeps this page from being read without loss of certainty, None where it can be read."""
    if page.compression != 1 and page.compression not in _DECODERS:
        name = _NAMES.get(page.compression, "unknown")
        return f"compression {page.compression} ({name})"
    if page.predictor not in (1, 2, 3):
        return f"predictor {page.predictor}"
    return None


def unreadable_meaning(page: Ifd) -> str | None:
    """Say what keeps the values of a page from being counts of its pixels in order, None where they are."""
    if page.fill_order != 1:
        return f"has bits in the order FillOrder = {page.fill_order}, must be 1"
    if page.orientation not in _FLIPS:
        return f"is turned (Orientation = {page.orientation}), must be 1 to 4"
    if page.photometric in _COLOUR_SPACES:
        return f"has values of {_COLOUR_SPACES[page.photometric]}, must be grey or RGB"
    if not page.palette_rises:
        return "has numbers of colours (a palette whose brightness does not rise), must have grey values"
    if page.photometric == WHITE_IS_ZERO and page.sample_format != 1:
        return "has white as 0 in signed or floating values, must have black as 0"
    return None


def decode_page(file: BinaryIO, page: Ifd, byte_order: str) -> npt.NDArray[Any]:
    """Decode a page.

    Parameters
    ----------
    file : binary file
        Opened unbuffered.
    page : Ifd
        A page that :func:`unreadable_packing` finds no fault with.
    byte_order : str
        "<" or ">".

    Returns
    -------
    (S, Y, X) array
        Native byte order, from the top left, black as 0.

    Raises
    ------
    UndecodableError
        A strip is cut, damaged, or not as long as its pixels need.
    """
    pixels = _stored_pixels(file, page, byte_order)
    if page.orientation != 1:
        pixels = pixels[:, *_FLIPS[page.orientation]]
    if page.photometric == WHITE_IS_ZERO:
        pixels = np.subtract(np.iinfo(pixels.dtype).max, pixels, dtype=pixels.dtype)
    return pixels


def _stored_pixels(file: BinaryIO, page: Ifd, byte_order: str) -> npt.NDArray[Any]:
    """Decode to (S, Y, X) in native byte order, as stored."""
    dtype = page_dtype(page)
    if dtype is None:
        raise UndecodableError(f"{page.bits} bits of sample format {page.sample_format}")
    stored = dtype.newbyteorder(">" if byte_order == ">" else "<")
    planes, inner = (page.samples, 1) if page.planar == 2 else (1, page.samples)
    if not page.tiled and page.compression == 1 and _contiguous(page):
        n = page.height * page.width * page.samples * dtype.itemsize
        raw = np.frombuffer(_read(file, page.offsets[0], n), stored)
        return _samples_first(raw.reshape(planes, page.height, page.width, inner), dtype)
    out = np.empty((planes, page.height, page.width, inner), dtype)
    across = -(-page.width // page.segment_width)
    down = -(-page.height // page.segment_height)
    for number, (offset, count) in enumerate(zip(page.offsets, page.byte_counts, strict=True)):
        plane, place = divmod(number, across * down)
        y = place // across * page.segment_height
        x = place % across * page.segment_width
        rows = page.segment_height if page.tiled else min(page.segment_height, page.height - y)
        part = _segment(file, page, offset, count, (rows, page.segment_width, inner), stored, number)
        target = out[plane, y : y + rows, x : x + page.segment_width]
        target[...] = part[: target.shape[0], : target.shape[1]]
    return _samples_first(out, dtype)


def _contiguous(page: Ifd) -> bool:
    ends = [o + n for o, n in zip(page.offsets, page.byte_counts, strict=True)]
    full = page.height * page.width * page.samples * page.bits // 8
    return list(page.offsets[1:]) == ends[:-1] and sum(page.byte_counts) == full


def _samples_first(pixels: npt.NDArray[Any], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """(P, Y, X, S) with P or S one, to (S, Y, X) in native byte order."""
    moved = pixels[..., 0] if pixels.shape[-1] == 1 else np.moveaxis(pixels[0], -1, 0)
    return moved.astype(dtype, copy=False)


def _read(file: BinaryIO, offset: int, n: int) -> bytes:
    file.seek(offset)
    data = file.read(n)
    if len(data) != n:
        raise UndecodableError(f"{n} bytes wanted at byte {offset}, {len(data)} found")
    return data


def _segment(
    file: BinaryIO,
    page: Ifd,
    offset: int,
    count: int,
    shape: tuple[int, int, int],
    stored: np.dtype[Any],
    number: int,
) -> npt.NDArray[Any]:
    rows, width, inner = shape
    wanted = rows * width * inner * stored.itemsize
    # A last strip may be packed at full height: room for it, and only its first rows are used.
    room = max(wanted, page.segment_height * width * inner * stored.itemsize)
    if page.compression == 1:
        raw = np.frombuffer(_read(file, offset, min(count, room)), np.uint8)
    else:
        if count > 2 * room + PACKED_OVERHEAD:
            raise _overlong(number, room, count, exact=True)
        raw = _unpack(page.compression, _read(file, offset, count), room, width * inner * stored.itemsize, number)
    if raw.size < wanted:
        raise UndecodableError(f"strip {number} holds {raw.size} bytes, {wanted} expected")
    if page.predictor == 3:
        return _float_predictor(raw[:wanted], shape, stored)
    pixels = raw[:wanted].view(stored).reshape(shape)
    if page.predictor == 2:
        native = pixels.astype(stored.newbyteorder("="), copy=page.compression == 1)
        imagecodecs.delta_decode(native, axis=1, out=native)
        return native
    return pixels


def _unpack(compression: int, data: bytes, room: int, row: int, number: int) -> Bytes:
    """Unpack a strip into at most one row more than it declares, since some are padded."""
    name = _DECODERS[compression]
    decoder: Callable[..., Bytes] = getattr(imagecodecs, name)
    try:
        found = decoder(data, out=np.empty(room + row, np.uint8))
    except RuntimeError as error:  # every codec error of imagecodecs is one
        said = str(error)
    else:
        if found.size >= room + row:
            raise _overlong(number, room, found.size, exact=False)
        return found
    # Raised out here, else the codec's error would travel along between processes, and that cannot be unpickled.
    try:
        if name in _STREAMS:
            refuse_overlong(_STREAMS[name], data, room + row - 1)
    except OverlongError as overlong:
        raise _overlong(number, room, overlong.found, exact=overlong.exact) from None
    raise UndecodableError(f"strip {number} does not unpack into the {room} bytes that are declared: {said}")


def _overlong(number: int, declared: int, found: int, *, exact: bool) -> UndecodableError:
    return UndecodableError(f"strip {number} {OverlongError(declared, found, exact=exact)}")


def _float_predictor(raw: Bytes, shape: tuple[int, int, int], stored: np.dtype[Any]) -> npt.NDArray[Any]:
    pixels = raw.view(stored).reshape(shape)
    return np.asarray(imagecodecs.floatpred_decode(pixels, axis=-2, out=np.empty(shape, stored)))
