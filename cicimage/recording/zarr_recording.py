"""OME-Zarr images and plates on disk."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cicimage.errors import RecordingError
from cicimage.recording.foreign import choose_series, faults_of, faults_of_plane
from cicimage.recording.reader import Listing, Reader, ReadOptions
from cicimage.recording.recording import Metadata, PlaneError, Recording
from cicimage.recording.scale import SECONDS, UM, MetadataValidator
from cicimage.recording.tiff_files import check_budget
from cicimage.recording.unpacking import OverlongError
from cicimage.recording.zarr_metadata import Multiscale, check_codecs, images, multiscale, refuse_outside
from cicimage.regular import require_regular

_MOST_MISSING: Final = 0.05  # share of chunks; more is a copy that stopped, not a damaged plane
_DOCUMENTS: Final = frozenset(("zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata"))
_MARKS: Final = frozenset(("zarr.json", ".zattrs", ".zgroup", ".zarray"))
"""Every Zarr folder holds one of these documents."""
_Block = tuple[slice, ...]


class ZarrRecording(Recording):
    """One image of an OME-Zarr folder.

    Chunks that are not there would read as zeros: their planes are refused instead. A block of whole chunks is
    kept, so that chunks of several slices are decoded once.
    """

    def __init__(self, path: Path, image: Multiscale, budget: int, given: Collection[str]) -> None:
        self.path = path
        import zarr  # half a second that only its users pay

        check_codecs(image.array)
        with faults_of(path, "OME-Zarr"):
            from cicimage.recording.zarr_bounds import OVERHEAD, bounded

            self._array = bounded(zarr.open_array(image.array, mode="r"))
        names = "".join(a for a, _ in image.axes)
        odd = set(names) - set("TCZYX") or len(set(names)) != len(names)
        if len(names) != self._array.ndim or names[-2:] != "YX" or odd:
            raise RecordingError(
                f"{path.name}: axes {names} with {self._array.ndim} dimensions; must be of T, C, Z and end in YX"
            )
        self._names = names
        lengths = dict(zip(names, self._array.shape, strict=True))
        if not all(lengths.values()):
            raise RecordingError(f"{path.name}: declares sizes {lengths}; each must be at least 1: write it again")
        self.sizes = {a: int(lengths.get(a, 1)) for a in "TCZYX"}
        self.dtype = np.dtype(self._array.dtype).newbyteorder("=")
        if self.dtype.kind not in "uif":
            raise RecordingError(f"{path.name}: holds {self.dtype}; only whole and floating numbers can be read")
        self._stored = tuple(self._array.shards or self._array.chunks)  # one file each
        self._chunk = tuple(self._array.chunks)
        check_budget(max(self.plane_bytes, math.prod(self._chunk) * self.dtype.itemsize), path.name, budget)
        self._budget = budget
        self._folder = image.array
        # packed noise takes a little more than its pixels; a shard's index 16 bytes a chunk
        self._most_stored = 2 * math.prod(self._stored) * self.dtype.itemsize + OVERHEAD
        self._held: tuple[_Block, npt.NDArray[Any]] | None = None
        validator = MetadataValidator(path.name, given)
        self._missing = self._missing_chunks(image.array, validator)
        self.metadata = _metadata(image, self.sizes, validator)

    def _missing_chunks(self, array: Path, validator: MetadataValidator) -> frozenset[tuple[int, ...]]:
        counts = [-(-n // s) for n, s in zip(self._array.shape, self._stored, strict=True)]
        there = set(_files_below(self.path, array))
        if math.prod(counts) > max(2 * len(there), 1_000_000):
            raise RecordingError(
                f"{self.path.name}: declares {math.prod(counts)} chunks, found {len(there)}; not zero-filled: "
                "copy the whole folder again"
            )
        key = self._array.metadata.encode_chunk_key
        missing = [k for k in itertools.product(*map(range, counts)) if key(k) not in there]
        if len(missing) > _MOST_MISSING * math.prod(counts):
            raise RecordingError(
                f"{self.path.name}: declares {math.prod(counts)} chunks, found {math.prod(counts) - len(missing)} "
                f"(first missing {key(missing[0])}); not zero-filled: copy the whole folder again, or write empty "
                "chunks too"
            )
        if missing:
            validator.note(
                f"{self.path.name}: {len(missing)} of {math.prod(counts)} chunks are missing; their planes too"
            )
        return frozenset(missing)

    def plane(self, t: int, c: int, z: int) -> npt.NDArray[Any]:
        """Decode one (Y, X) plane."""
        self._check_index(t, c, z)
        wanted = {"T": t, "C": c, "Z": z}
        at = [wanted[a] for a in self._names[:-2]]
        for place in self._missing:
            if all(i // s == k for i, s, k in zip(at, self._stored, place, strict=False)):
                reason = f"chunk {self._array.metadata.encode_chunk_key(place)} is missing; not zero-filled"
                raise PlaneError(self.path, t, c, z, reason)
        block = self._block(at)
        if self._held is None or self._held[0] != block:
            try:
                with faults_of_plane(self.path, t, c, z):
                    self._refuse_long_files(block)
                    self._held = block, np.asarray(self._array[block])
            except OverlongError as error:
                raise PlaneError(self.path, t, c, z, f"a chunk of it {error}") from None
        inside = tuple(i - s.start for i, s in zip(at, block, strict=False))
        return np.asarray(self._held[1][inside]).astype(self.dtype, copy=False)

    def _refuse_long_files(self, block: _Block) -> None:
        """Refuse chunks whose files are too long for their pixels: they would be read as a whole."""
        spans = zip(block, self._stored, self._array.shape, strict=True)
        places = itertools.product(*(range((b.start or 0) // s, -(-(b.stop or n) // s)) for b, s, n in spans))
        for place in places:
            length = (self._folder / self._array.metadata.encode_chunk_key(place)).stat().st_size
            if length > self._most_stored:
                raise OverlongError(self._most_stored, length, exact=True)

    def _block(self, at: list[int]) -> _Block:
        """Whole chunks around a plane, or the plane alone where they would not fit the budget."""
        ends = zip(at, self._chunk, self._array.shape, strict=False)
        block = tuple(slice(i // s * s, min((i // s + 1) * s, n)) for i, s, n in ends)
        if math.prod(b.stop - b.start for b in block) * self.plane_bytes > self._budget:
            block = tuple(slice(i, i + 1) for i in at)
        return (*block, slice(None), slice(None))

    def close(self) -> None:
        """Forget the block held; the store keeps no file open."""
        self._held = None


class ZarrReader(Reader):
    """Reads OME-Zarr folders; ``axes`` is not used, the folder knows them."""

    name = "OME-Zarr"
    order = 60
    axes_overrule = False
    folder_suffixes = (".ome.zarr", ".zarr")

    def recognises(self, listing: Listing, head: bytes) -> bool:
        """Whether a folder is a Zarr group or array."""
        return not _MARKS.isdisjoint(listing.files)

    def series(self, path: Path) -> tuple[str, ...]:
        """Names of the images: ``well/field`` in a plate."""
        return tuple(images(path))

    def files(self, path: Path, series: int) -> tuple[Path, ...]:
        """The image's own folder."""
        return (list(images(path).values())[series],)

    def open(self, path: Path, options: ReadOptions) -> ZarrRecording:
        """Open one image.

        Raises
        ------
        RecordingError
            The file is not sound, or holds several recordings and none was chosen.
        """
        groups = images(path)
        chosen = list(groups)[choose_series(path, tuple(groups), options.series)]
        with faults_of(path, "OME-Zarr"):
            return ZarrRecording(path, multiscale(path, groups[chosen]), options.memory_budget_bytes, options.given)


def _files_below(root: Path, array: Path, prefix: str = "") -> list[str]:
    """Names of the chunks of an array; none may be a pipe or device, or lie outside of the recording."""
    found = []
    with os.scandir(array / prefix) as entries:
        for entry in entries:
            if entry.is_symlink():
                refuse_outside(Path(entry.path), root)
            if entry.is_dir():
                found += _files_below(root, array, f"{prefix}{entry.name}/")
                continue
            if not entry.is_file(follow_symlinks=False):
                require_regular(Path(entry.path), RecordingError)
            if entry.name not in _DOCUMENTS:
                found.append(prefix + entry.name)
    return found


def _metadata(image: Multiscale, sizes: Mapping[str, int], validator: MetadataValidator) -> Metadata:
    steps = {a: (step, unit) for (a, unit), step in zip(image.axes, image.scale, strict=True)}

    def step(axis: str, field: str, units: Mapping[str, float]) -> float | None:
        size, unit = steps.get(axis, (1.0, None))
        if unit is None:
            if size != 1:
                validator.note(f"{validator.name}: scale of {axis} is {size:g} without a unit; not used")
            return None
        return validator.positive(field, f"scale of {axis}", size, unit, units)

    named = len(image.channels) == sizes["C"] and all(image.channels)
    return Metadata(
        um_per_px=validator.square(step("X", "um_per_px", UM), step("Y", "um_per_px", UM)),
        um_per_z=step("Z", "um_per_z", UM) if sizes["Z"] > 1 else None,
        frame_interval_s=step("T", "frame_interval_s", SECONDS) if sizes["T"] > 1 else None,
        channel_names=image.channels if named else None,
        notes=tuple(validator.notes),
    )
