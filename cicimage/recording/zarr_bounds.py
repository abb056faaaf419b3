"""Zarr arrays whose chunks unpack into no more bytes than the array declares for them."""

from __future__ import annotations

import asyncio
import math
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, Final, cast

import numpy as np
import zarr
from numcodecs.abc import Codec as Numcodec  # type: ignore[import-untyped]
from zarr.abc.codec import BytesBytesCodec, Codec
from zarr.codecs import BloscCodec, GzipCodec, ShardingCodec, ZstdCodec
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import Buffer
from zarr.core.metadata import ArrayV2Metadata, ArrayV3Metadata

from cicimage.recording.unpacking import OverlongError, unpack

_OWN: Final = frozenset(("zlib", "gzip", "bz2", "lzma", "zstd"))
"""Compressors that are unpacked here: in their libraries nothing bounds what comes out."""
_LENGTH_AT: Final = {"blosc": 4, "lz4": 0}
"""Where the headers of the others say what comes out, which their libraries hold themselves to."""
_NATIVE: Final = ((GzipCodec, "gzip"), (ZstdCodec, "zstd"), (BloscCodec, "blosc"))
_BLOSC_HEADER: Final = 16
FILTERED: Final = 8
"""Filters may store a pixel in up to eight times its bytes, as ``delta`` of uint8 in int64 does."""
OVERHEAD: Final = 64 << 10
"""Checksums, an index, and the headers of compressors that are packed again."""


def bounded(array: zarr.Array[Any]) -> zarr.Array[Any]:
    """The same array, whose chunks are refused where they hold more than it declares.

    Parameters
    ----------
    array : zarr.Array
        An array opened for reading.
    """
    metadata: Any = copy(array.metadata)
    changed = dict[str, Any]()
    if isinstance(metadata, ArrayV2Metadata):
        filters, compressor = metadata.filters or (), metadata.compressor
        most = math.prod(array.chunks) * array.dtype.itemsize
        most = FILTERED * most + OVERHEAD if filters else most
        changed = {"filters": tuple(_Bounded2(f, most) for f in filters) or None}
        changed["compressor"] = None if compressor is None else _Bounded2(compressor, most)
    elif isinstance(metadata, ArrayV3Metadata):
        changed = {"codecs": _bounded3(metadata.codecs)}
    for field, value in changed.items():  # its constructor takes none but registered codecs, and reads them anew
        object.__setattr__(metadata, field, value)
    inner = array.async_array
    return zarr.Array(type(inner)(metadata=metadata, store_path=inner.store_path, config=inner.config))


class _Bounded2(Numcodec):  # type: ignore[misc]
    """A codec of Zarr 2 that unpacks into so many bytes at most."""

    def __init__(self, inner: Any, most: int) -> None:
        self.codec_id = inner.codec_id
        self._inner, self._most = inner, most

    def encode(self, buf: Any) -> Any:
        """Pack, as the codec itself does."""
        return self._inner.encode(buf)

    def decode(self, buf: Any, out: Any = None) -> Any:
        """Unpack."""
        if self.codec_id == "lzma" and self._inner.filters is not None:
            raise ValueError("LZMA with filters of its own is not read; write it with blosc, gzip, zstd or lz4")
        unpacked = _unpacked(self.codec_id, np.asarray(buf).tobytes(), self._most)
        return self._inner.decode(buf) if unpacked is None else unpacked

    def get_config(self) -> dict[str, Any]:
        """Configuration of the codec itself."""
        return dict(self._inner.get_config())


def _unpacked(name: str, packed: bytes, most: int) -> bytes | None:
    """What a compressor packed; None where its own library may go on, since its header declares no more."""
    if name in _OWN:
        return unpack(name, packed, most)
    if name in _LENGTH_AT:
        at = _LENGTH_AT[name]
        length = int.from_bytes(packed[at : at + 4], "little")
        if length > most:
            raise OverlongError(most, length, exact=True)
        if name == "blosc":
            _check_blosc(packed)
    return None


def _check_blosc(packed: bytes) -> None:
    """Refuse a Blosc chunk whose header states another length: its library reads beyond the end of one cut short.

    Source: header of c-blosc 1, README_CHUNK_FORMAT: 4 bytes of versions and flags, then bytes unpacked, bytes of a
    block, bytes packed.
    """
    stated = int.from_bytes(packed[12:16], "little")
    if len(packed) < _BLOSC_HEADER or stated != len(packed):
        raise ValueError(f"Blosc chunk of {len(packed)} bytes where its header states {stated}")


def _bounded3(codecs: tuple[Codec, ...]) -> tuple[Codec, ...]:
    found, before = list[Codec](), False
    for codec in codecs:
        if isinstance(codec, ShardingCodec):
            codec = replace(codec, codecs=_bounded3(codec.codecs), index_codecs=_bounded3(codec.index_codecs))
        name = _name(codec)
        if name and isinstance(codec, BytesBytesCodec):
            codec = _Bounded3(codec, name, before)
        before |= isinstance(codec, BytesBytesCodec)
        found.append(codec)
    return tuple(found)


def _name(codec: Codec) -> str:
    """Name of a compressor; empty for codecs that cannot inflate."""
    native = next((name for kind, name in _NATIVE if isinstance(codec, kind)), "")
    name = native or str(getattr(codec, "codec_name", "")).removeprefix("numcodecs.")
    return name if name in _OWN or name in _LENGTH_AT else ""


@dataclass(frozen=True)
class _Bounded3(BytesBytesCodec):
    """A compressor of Zarr 3 that unpacks into the declared bytes of a chunk, some more where another comes before."""

    inner: BytesBytesCodec
    name: str
    packed_before: bool
    is_fixed_size = False

    def to_dict(self) -> Any:
        return self.inner.to_dict()

    def evolve_from_array_spec(self, array_spec: ArraySpec) -> _Bounded3:
        return replace(self, inner=self.inner.evolve_from_array_spec(array_spec))

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        return self.inner.compute_encoded_size(input_byte_length, chunk_spec)

    async def _decode_single(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> Buffer:
        item = chunk_spec.dtype.to_native_dtype().itemsize
        most = math.prod(chunk_spec.shape) * item
        if self.packed_before:
            most = 2 * most + OVERHEAD
        unpacked = await asyncio.to_thread(_unpacked, self.name, chunk_data.to_bytes(), most)
        if unpacked is None:
            (decoded,) = await self.inner.decode([(chunk_data, chunk_spec)])
            return cast(Buffer, decoded)
        return chunk_spec.prototype.buffer.from_bytes(unpacked)
