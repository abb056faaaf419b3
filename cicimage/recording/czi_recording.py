"""Zeiss CZI by the library ``pylibCZIrw`` (extra ``czi``)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from xml.etree.ElementTree import Element

import numpy as np
import numpy.typing as npt

from cicimage.errors import RecordingError
from cicimage.recording.czi_directory import CziDirectory, is_czi, read_directory
from cicimage.recording.foreign import choose_series, faults_of, faults_of_plane, require
from cicimage.recording.reader import Listing, Reader, ReadOptions
from cicimage.recording.recording import Metadata, PlaneError, Recording
from cicimage.recording.scale import SECONDS, UM, MetadataValidator, camera_bits, median_interval
from cicimage.recording.tiff_files import check_budget
from cicimage.recording.xml_tree import parse_xml

_DTYPES: Final[Mapping[str, tuple[str, int]]] = {
    "Gray8": ("u1", 1), "Gray16": ("u2", 1), "Gray32Float": ("f4", 1), "Bgr24": ("u1", 3), "Bgr48": ("u2", 3),
}  # fmt: skip
_MODALITIES: Final[Mapping[str, str]] = {
    "LaserScanningConfocalMicroscopy": "confocal", "SpinningDiskConfocal": "spinning_disk", "WideField": "widefield",
}  # fmt: skip
_IMMERSIONS: Final = ("air", "water", "oil", "glycerol")


class CziRecording(Recording):
    """One scene of a CZI file."""

    def __init__(self, path: Path, file: Any, directory: CziDirectory, options: ReadOptions) -> None:
        self.path = path
        self._file = file
        self._size = path.stat().st_size
        scenes = file.scenes_bounding_rectangle
        numbers = sorted(scenes) or [0]
        chosen = choose_series(path, tuple(f"scene {s + 1}" for s in numbers), options.series)
        self._scene = numbers[chosen] if scenes else None
        area = scenes[numbers[chosen]] if scenes else file.total_bounding_rectangle
        there = directory.planes.get(numbers[chosen], set())
        self._starts = [min((p[k] for p in there), default=0) for k in range(3)]
        t, c, z = (max((p[k] for p in there), default=-1) + 1 - self._starts[k] for k in range(3))
        if not there or len(there) < t * c * z:
            raise RecordingError(
                f"{path.name}: declares {t} x {c} x {z} planes (T, C, Z), found {len(there)}; not zero-filled: "
                "copy or export the file again"
            )
        kinds = set(file.pixel_types.values())
        if len(kinds) != 1 or next(iter(kinds)) not in _DTYPES:
            raise RecordingError(
                f"{path.name}: channels are of kind {', '.join(sorted(kinds))}; all must be one of "
                f"{', '.join(_DTYPES)}: export the channels of one kind"
            )
        code, self._colours = _DTYPES[next(iter(kinds))]
        if self._colours > 1 and c > 1:
            raise RecordingError(f"{path.name}: has {c} channels of colour pixels; save them as grey channels")
        self.dtype = np.dtype(code)
        self.sizes = {"T": t, "C": c * self._colours, "Z": z, "Y": area.h, "X": area.w}
        check_budget(self.plane_bytes * self._colours, path.name, options.memory_budget_bytes)
        self._held: tuple[tuple[int, int, int], npt.NDArray[Any]] | None = None
        root = parse_xml(file.raw_metadata, path.name)
        self.metadata = _metadata(root, directory, self.sizes, MetadataValidator(path.name, options.given))

    def plane(self, t: int, c: int, z: int) -> npt.NDArray[Any]:
        """Decode one (Y, X) plane."""
        self._check_index(t, c, z)
        channel, sample = (0, c) if self._colours > 1 else (c, 0)
        at = (t, channel, z)
        if self._held is None or self._held[0] != at:
            self._held = at, self._read(t, c, z, channel)
        plane: npt.NDArray[Any] = self._held[1][..., sample]
        return plane

    def _read(self, t: int, c: int, z: int, channel: int) -> npt.NDArray[Any]:
        if self.path.stat().st_size != self._size:
            raise RecordingError(f"{self.path.name}: size changed while reading; wait until the microscope is done")
        start_t, start_c, start_z = self._starts
        with faults_of_plane(self.path, t, c, z):
            pixels = self._file.read(
                plane={"T": start_t + t, "C": start_c + channel, "Z": start_z + z}, scene=self._scene
            )
        if pixels.shape != (self.sizes["Y"], self.sizes["X"], self._colours) or pixels.dtype != self.dtype:
            raise PlaneError(self.path, t, c, z, f"{pixels.shape} {pixels.dtype}, {self.sizes} {self.dtype} expected")
        return np.asarray(pixels[..., ::-1])  # blue first in the file

    def close(self) -> None:
        """Close the file."""
        self._held = None
        self._file.close()


class CziReader(Reader):
    """Reads CZI files; ``axes`` is not used, the file knows them."""

    name = "CZI"
    order = 40
    axes_overrule = False
    suffixes = (".czi",)

    def recognises(self, listing: Listing, head: bytes) -> bool:
        """Whether the first bytes are those of a CZI file."""
        return is_czi(head)

    def series(self, path: Path) -> tuple[str, ...]:
        """Names of the scenes."""
        with faults_of(path, "CZI"):
            return tuple(f"scene {s + 1}" for s in sorted(read_directory(path).planes))

    def open(self, path: Path, options: ReadOptions) -> CziRecording:
        """Open one scene.

        Raises
        ------
        RecordingError
            The file is not sound, or holds several recordings and none was chosen.
        """
        with faults_of(path, "CZI"):
            directory = read_directory(path)
            library = require("pylibCZIrw.czi", "czi", path)
            file = library.CziReader(str(path))
            try:
                return CziRecording(path, file, directory, options)
            except BaseException:
                file.close()
                raise


def _metadata(
    root: Element, directory: CziDirectory, sizes: Mapping[str, int], validator: MetadataValidator
) -> Metadata:
    def distance(axis: str, field: str) -> float | None:
        for entry in root.iter("Distance"):
            if entry.get("Id") == axis:
                return validator.positive(field, f"Scaling {axis}", entry.findtext("Value"), "m", UM)
        return None

    def number(tag: str, field: str) -> float | None:
        found = next((e.text for e in root.iter(tag) if e.text), None)
        return validator.positive(field, tag, found, "s", SECONDS)

    time_s = None if directory.time_s is None else validator.times(directory.time_s, sizes["T"])
    interval = median_interval(time_s)
    if interval is None and sizes["T"] > 1:
        step = root.findtext(".//Dimensions/T/Positions/Interval/Increment")
        interval = validator.positive("frame_interval_s", "T Increment", step, "s", SECONDS)
    channels = root.findall(".//Information/Image/Dimensions/Channels/Channel")
    names = tuple(c.get("Name", "") for c in channels)
    modes = {_MODALITIES.get(c.findtext("AcquisitionMode") or "") for c in channels}
    immersion = (next((e.text for e in root.iter("Immersion") if e.text), None) or "").lower()
    objective = next(iter(root.iter("Objective")), None)
    return Metadata(
        um_per_px=validator.square(distance("X", "um_per_px"), distance("Y", "um_per_px")),
        um_per_z=distance("Z", "um_per_z") if sizes["Z"] > 1 else None,
        frame_interval_s=interval,
        time_s=time_s,
        channel_names=names if len(names) == sizes["C"] and all(names) else None,
        na=number("LensNA", "na"),
        immersion=immersion if immersion in _IMMERSIONS else None,
        medium_index=number("RefractiveIndex", "medium_index"),
        modality=modes.pop() if len(modes) == 1 else None,
        objective=None if objective is None else objective.get("Name"),
        significant_bits=camera_bits(*(e.text for e in root.iter("ComponentBitCount"))),
        notes=tuple(validator.notes),
    )
