"""Nikon ND2 by the library ``nd2`` (extra ``nd2``)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cicimage.errors import RecordingError, counted
from cicimage.recording.foreign import choose_series, faults_of, faults_of_plane, require
from cicimage.recording.nd2_chunks import frame_spans, is_nd2, packed_frame
from cicimage.recording.reader import Listing, Reader, ReadOptions
from cicimage.recording.recording import Metadata, PlaneError, Recording
from cicimage.recording.scale import UM, MetadataValidator, camera_bits, median_interval
from cicimage.recording.tiff_files import check_budget
from cicimage.recording.unpacking import OverlongError, refuse_overlong

_MODALITIES: Final[Mapping[str, str]] = {
    "laserScanConfocal": "confocal", "spinningDiskConfocal": "spinning_disk", "sweptFieldConfocalSlit": "confocal",
    "sweptFieldConfocalPinhole": "confocal", "brightfield": "brightfield", "camera": "widefield",
}  # fmt: skip
_IMMERSIONS: Final = ((1.0, "air"), (1.33, "water"), (1.47, "glycerol"), (1.515, "oil"))


class Nd2Recording(Recording):
    """One field of an ND2 file; the channels of a frame lie together and are read at once."""

    def __init__(self, path: Path, file: Any, spans: Mapping[int, tuple[int, int]], options: ReadOptions) -> None:
        self.path = path
        self._spans = spans
        self._file = file
        self._size = path.stat().st_size
        self._held: tuple[int, npt.NDArray[Any]] | None = None
        held = dict(file.sizes)
        names = field_names(file)
        field = choose_series(path, names, options.series)
        foreign = set(held) - set("TPZCYXS")
        if foreign or (held.get("S", 1) > 1 and held.get("C", 1) > 1):
            raise RecordingError(
                f"{path.name}: has axes {''.join(held)}; only T, P, Z, C, Y, X can be read: export it as OME-TIFF"
            )
        self.dtype = np.dtype(file.dtype).newbyteorder("=")
        self.sizes = {a: held.get(a, 1) for a in "TCZYX"}
        self._colours = held.get("S", 1)
        if self._colours > 1:
            self.sizes["C"] = self._colours
        check_budget(self.plane_bytes * self.sizes["C"], path.name, options.memory_budget_bytes)
        self._number = {
            (at.get("T", 0), at.get("Z", 0)): i for i, at in enumerate(file.loop_indices) if at.get("P", 0) == field
        }
        self._check_frames()
        self.metadata = _metadata(file, self.sizes, self._number, MetadataValidator(path.name, options.given))

    def _check_frames(self) -> None:
        there = self._spans
        declared = self.sizes["T"] * self.sizes["Z"]
        found = sum(1 for n in self._number.values() if n in there)
        if found < declared:
            raise RecordingError(
                f"{self.path.name}: declares {counted(declared, 'plane')} per channel, found {found}; not zero-filled: "
                "copy or export the file again"
            )

    def plane(self, t: int, c: int, z: int) -> npt.NDArray[Any]:
        """Decode one (Y, X) plane."""
        self._check_index(t, c, z)
        number = self._number[t, z]
        if self._held is None or self._held[0] != number:
            if self.path.stat().st_size != self._size:
                raise RecordingError(f"{self.path.name}: size changed while reading; wait until the microscope is done")
            self._refuse_overlong(t, c, z)
            with faults_of_plane(self.path, t, c, z):
                pixels = np.array(self._file.read_frame(number))
            n = self.sizes["C"]
            y, x = self.sizes["Y"], self.sizes["X"]
            if pixels.size != n * y * x:
                raise PlaneError(self.path, t, c, z, f"{pixels.shape} pixels, {(n, y, x)} expected")
            shaped = np.moveaxis(pixels.reshape(y, x, n), -1, 0) if self._colours > 1 else pixels.reshape(n, y, x)
            self._held = number, shaped.astype(self.dtype, copy=False)
        plane: npt.NDArray[Any] = self._held[1][c]
        return plane

    def _refuse_overlong(self, t: int, c: int, z: int) -> None:
        """Refuse a packed frame that holds more than its pixels, which the library unpacks as a whole."""
        attributes = self._file.attributes
        if getattr(attributes, "compressionType", None) != "lossless":
            return
        pixels = self.plane_bytes * self.sizes["C"]
        # rows may be padded, and never to twice their length
        most = min(max(pixels, self.sizes["Y"] * int(attributes.widthBytes or 0)), 2 * pixels)
        try:
            refuse_overlong("zlib", packed_frame(self.path, self._spans[self._number[t, z]]), most)
        except OverlongError as error:
            raise PlaneError(self.path, t, c, z, f"its frame {error}") from None

    def close(self) -> None:
        """Close the file."""
        self._held = None
        self._file.close()


class Nd2Reader(Reader):
    """Reads ND2 files; ``axes`` is not used, the file knows them."""

    name = "ND2"
    order = 30
    axes_overrule = False
    suffixes = (".nd2",)

    def recognises(self, listing: Listing, head: bytes) -> bool:
        """Whether the first bytes are those of an ND2 file, old or new."""
        return is_nd2(head)

    def series(self, path: Path) -> tuple[str, ...]:
        """Names of the fields of view."""
        nd2 = require("nd2", "nd2", path)
        with faults_of(path, "ND2"), nd2.ND2File(path) as file:
            return field_names(file)

    def open(self, path: Path, options: ReadOptions) -> Nd2Recording:
        """Open one field of view.

        Raises
        ------
        RecordingError
            The file is not sound, or holds several recordings and none was chosen.
        """
        with faults_of(path, "ND2"):
            spans = frame_spans(path)
            nd2 = require("nd2", "nd2", path)
            file = nd2.ND2File(path)
            try:
                return Nd2Recording(path, file, spans, options)
            except BaseException:
                file.close()
                raise


def field_names(file: Any) -> tuple[str, ...]:
    """Names of the fields of an open ND2 file, numbered where they have none."""
    for loop in file.experiment:
        if loop.type == "XYPosLoop":
            return tuple(p.name or f"field {i + 1}" for i, p in enumerate(loop.parameters.points))
    return tuple(f"field {i + 1}" for i in range(dict(file.sizes).get("P", 1)))


def _metadata(
    file: Any, sizes: Mapping[str, int], number: Mapping[tuple[int, int], int], validator: MetadataValidator
) -> Metadata:
    channels = list(file.metadata.channels or [])
    voxel = file.voxel_size()
    calibrated = all(c.volume.axesCalibrated[0] for c in channels) if channels else False
    step = next((e.parameters.stepUm for e in file.experiment if e.type == "ZStackLoop"), voxel.z)
    time_s = None
    if sizes["T"] > 1 and channels:
        stamps = [file.frame_metadata(number[t, 0]) for t in range(sizes["T"])]
        milliseconds = [m.channels[0].time.relativeTimeMs for m in stamps if getattr(m, "channels", None)]
        time_s = validator.times(np.asarray(milliseconds, np.float64) / 1000, sizes["T"])
    named = len(channels) == sizes["C"]
    optics = channels[0].microscope if channels else None
    flags = {_modality(c.microscope.modalityFlags) for c in channels}
    return Metadata(
        um_per_px=validator.square(
            validator.positive("um_per_px", "pixel width", voxel.x, "um", UM),
            validator.positive("um_per_px", "pixel height", voxel.y, "um", UM),
        )
        if calibrated
        else None,
        um_per_z=validator.positive("um_per_z", "z step", abs(step), "um", UM) if sizes["Z"] > 1 else None,
        frame_interval_s=median_interval(time_s),
        time_s=time_s,
        channel_names=tuple(c.channel.name for c in channels) if named else None,
        na=optics.objectiveNumericalAperture if optics else None,
        immersion=_immersion(optics.immersionRefractiveIndex) if optics else None,
        modality=flags.pop() if len(flags) == 1 else None,
        objective=optics.objectiveName if optics else None,
        significant_bits=camera_bits(getattr(file.attributes, "bitsPerComponentSignificant", None)),
        emission_um=tuple((c.channel.emissionLambdaNm or 0) / 1000 or None for c in channels) if named else None,
        notes=tuple(validator.notes),
    )


def _modality(flags: Collection[str]) -> str | None:
    return next((kind for flag, kind in _MODALITIES.items() if flag in flags), None)


def _immersion(index: float | None) -> str | None:
    if index is None:
        return None
    nearest = min(_IMMERSIONS, key=lambda known: abs(known[0] - index))
    return nearest[1] if abs(nearest[0] - index) < 0.03 else None
