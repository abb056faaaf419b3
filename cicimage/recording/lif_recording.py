"""Leica LIF by the library ``liffile`` (extra ``lif``)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from xml.etree.ElementTree import Element

import numpy as np
import numpy.typing as npt

from cicimage.errors import RecordingError
from cicimage.recording.foreign import choose_series, faults_of, faults_of_plane, require, require_short
from cicimage.recording.reader import Listing, Reader, ReadOptions
from cicimage.recording.recording import Metadata, Recording
from cicimage.recording.scale import SECONDS, UM, MetadataValidator, camera_bits, median_interval
from cicimage.recording.tiff_files import check_budget
from cicimage.recording.xml_tree import parse_xml

_IMMERSIONS: Final[Mapping[str, str]] = {"OIL": "oil", "WATER": "water", "DRY": "air", "AIR": "air", "GLYC": "glycerol"}


class LifRecording(Recording):
    """One image of a LIF file. A scan without Y (x-z sections over time) is read with Z as Y, with a note."""

    def __init__(self, path: Path, file: Any, options: ReadOptions) -> None:
        self.path = path
        self._file = file
        self._size = path.stat().st_size
        images = list(file.images)
        chosen = choose_series(path, tuple(i.name for i in images), options.series)
        self._image = images[chosen]
        held = dict(self._image.sizes)
        frame = tuple(self._image.frames.frame_dims)
        stack = [a for a in held if a not in frame]
        spatial = [a for a in stack if a in "XYZ"]
        if len(frame) != 2 or frame[1] != "X" or frame[0] not in "YZ" or set(stack) - set("TCYZ") or len(spatial) > 1:
            raise RecordingError(
                f"{path.name}: image {self._image.name!r} has axes {''.join(held)}; only T, C, Z, Y, X can be read: "
                "export it as OME-TIFF"
            )
        self._stack_axis = spatial[0] if spatial else None
        self.dtype = np.dtype(self._image.dtype).newbyteorder("=")
        self.sizes = {
            "T": held.get("T", 1), "C": held.get("C", 1), "Z": held[spatial[0]] if spatial else 1,
            "Y": held[frame[0]], "X": held["X"],
        }  # fmt: skip
        check_budget(self.plane_bytes, path.name, options.memory_budget_bytes)
        self._check_end()
        validator = MetadataValidator(path.name, options.given)
        if frame[0] == "Z":
            validator.note(f"{path.name}: image {self._image.name!r} is made of x-z sections; Z is read as Y")
        self.metadata = _metadata(self._image, frame[0], self._stack_axis, self.sizes, validator)

    def _check_end(self) -> None:
        block = self._image.memory_block
        end = block.offset + self.frame_bytes * self.sizes["T"]
        if end > self._size or block.size < self.frame_bytes * self.sizes["T"]:
            raise RecordingError(
                f"{self.path.name}: image {self._image.name!r} ends at byte {end}, file has {self._size}: cut short; "
                "copy the file again from the microscope"
            )

    def plane(self, t: int, c: int, z: int) -> npt.NDArray[Any]:
        """Decode one (Y, X) plane."""
        self._check_index(t, c, z)
        if self.path.stat().st_size != self._size:
            raise RecordingError(f"{self.path.name}: size changed while reading; wait until the microscope is done")
        at = {"T": t, "C": c}
        if self._stack_axis is not None:
            at[self._stack_axis] = z
        with faults_of_plane(self.path, t, c, z):
            pixels = np.asarray(self._image.frame(**{a: i for a, i in at.items() if a in self._image.sizes}))
        return pixels.astype(self.dtype, copy=False)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class LifReader(Reader):
    """Reads LIF files; ``axes`` is not used, the file knows them."""

    name = "LIF"
    order = 50
    axes_overrule = False
    suffixes = (".lif",)

    def recognises(self, listing: Listing, head: bytes) -> bool:
        """Whether the first bytes are those of a LIF file."""
        return head[:4] == b"\x70\0\0\0" and head[8:9] == b"\x2a"

    def series(self, path: Path) -> tuple[str, ...]:
        """Names of the images."""
        liffile = require("liffile", "lif", path)
        _refuse_document_type(path)
        with faults_of(path, "LIF"), liffile.LifFile(path) as file:
            return tuple(i.name for i in file.images)

    def open(self, path: Path, options: ReadOptions) -> LifRecording:
        """Open one image.

        Raises
        ------
        RecordingError
            The file is not sound, or holds several recordings and none was chosen.
        """
        _refuse_document_type(path)
        liffile = require("liffile", "lif", path)
        with faults_of(path, "LIF"):
            file = liffile.LifFile(path, squeeze=True)
            try:
                return LifRecording(path, file, options)
            except BaseException:
                file.close()
                raise


def _refuse_document_type(path: Path) -> None:
    """The header is XML: parsed here once without document types before the library sees it."""
    with path.open("rb") as file:
        head = file.read(13)
        length = 2 * int.from_bytes(head[9:13], "little")
        require_short(path.name, "its header", min(length, path.stat().st_size))
        text = file.read(min(length, path.stat().st_size))
    if len(text) < length:
        raise RecordingError(
            f"{path.name}: header ends at byte {13 + length}, file has {path.stat().st_size}: cut short; copy it again"
        )
    parse_xml(text.decode("utf-16-le", "replace"), path.name)


def _metadata(
    image: Any, down: str, stack: str | None, sizes: Mapping[str, int], validator: MetadataValidator
) -> Metadata:
    def step(axis: str | None, field: str, units: Mapping[str, float], unit: str) -> float | None:
        positions = image.coords.get(axis)
        if positions is None or len(positions) < 2:
            return None
        span = abs(float(positions[-1] - positions[0])) / (len(positions) - 1)
        return validator.positive(field, f"step along {axis}", span, unit, units)

    time_s = validator.times(image.coords["T"], sizes["T"]) if "T" in image.coords else None
    tree: Element = image.xml_element
    names = tuple(_dye(c) for c in tree.iter("ChannelDescription"))
    named = len(names) == sizes["C"] and all(names) and len(set(names)) == len(names)
    setting = next(tree.iter("ATLConfocalSettingDefinition"), None)
    widefield = next(tree.iter("ATLCameraSettingDefinition"), None)
    optics = setting if setting is not None else widefield

    def number(name: str, field: str) -> float | None:
        return None if optics is None else validator.positive(field, name, optics.get(name), "s", SECONDS)

    immersion = None if optics is None else _IMMERSIONS.get((optics.get("Immersion") or "").strip().upper())
    return Metadata(
        um_per_px=validator.square(step("X", "um_per_px", UM, "m"), step(down, "um_per_px", UM, "m")),
        um_per_z=step(stack, "um_per_z", UM, "m"),
        frame_interval_s=median_interval(time_s),
        time_s=time_s,
        channel_names=names if named else None,
        na=number("NumericalAperture", "na"),
        immersion=immersion,
        modality="confocal" if setting is not None else "widefield" if widefield is not None else None,
        significant_bits=camera_bits(*(c.get("Resolution") for c in tree.iter("ChannelDescription"))),
        objective=None if optics is None else (optics.get("ObjectiveName") or "").strip() or None,
        notes=tuple(validator.notes),
    )


def _dye(channel: Element) -> str:
    for entry in channel.iter("ChannelProperty"):
        if entry.findtext("Key") == "DyeName":
            return (entry.findtext("Value") or "").strip()
    return (channel.get("LUTName") or "").strip()
