"""Operetta and Opera Phenix exports (Harmony): Index.idx.xml or Index.xml beside one TIFF per plane."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element

import numpy as np

from cicimage.errors import RecordingError, counted
from cicimage.recording.foreign import choose_series
from cicimage.recording.multi_file import Place, PlaneFile, arrange_files
from cicimage.recording.recording import Metadata
from cicimage.recording.scale import SECONDS, UM, Doorkeeper, median_interval
from cicimage.recording.tiff import TiffRecording
from cicimage.recording.tiff_files import TiffFiles
from cicimage.recording.tiff_ome import beside
from cicimage.recording.xml_tree import parse_xml

_INDICES: Final = ("index.idx.xml", "index.xml", "index.ref.xml", "index.flex.xml")
_MODALITIES: Final[Mapping[str, str]] = {
    "confocal": "spinning_disk", "nonconfocal": "widefield", "twopeakconfocal": "spinning_disk",
}  # fmt: skip


def find_index(path: Path) -> Path | None:
    """The index of an export, given the file itself, its folder, or the folder above ``Images``."""
    if path.is_file():
        return path if path.name.lower() in _INDICES else None
    for folder in (path, path / "Images"):
        if folder.is_dir():
            found = [p for p in sorted(folder.iterdir()) if p.name.lower() in _INDICES]
            if found:
                return found[0]
    return None


def operetta_series(path: Path) -> tuple[str, ...]:
    """Wells and fields, as ``r03c03/1``."""
    return tuple(_fields(_index(path)))


def operetta_files(path: Path, series: int) -> tuple[Path, ...]:
    """The index and the planes of one field."""
    index = _index(path)
    entries = list(_fields(index).values())[series]
    return (index, *sorted({beside(index, e.findtext("URL") or "") for e in entries}))


def open_operetta(
    path: Path, *, axes: str | None, series: int | None, memory_budget_bytes: int, given: Collection[str]
) -> TiffRecording:
    """Open one field of an export; ``axes`` is not used, the index knows them.

    Raises
    ------
    RecordingError
        The index is not sound, files are missing, or several fields and none chosen.
    """
    index = _index(path)
    fields = _fields(index)
    chosen = list(fields)[choose_series(path, tuple(fields), series)]
    entries = fields[chosen]
    times, channels, planes = (
        sorted({_whole(e, tag, index) for e in entries}) for tag in ("TimepointID", "ChannelID", "PlaneID")
    )
    placed: dict[Place, PlaneFile] = {}
    described: dict[Place, Element] = {}
    for entry in entries:
        place = (
            times.index(_whole(entry, "TimepointID", index)),
            channels.index(_whole(entry, "ChannelID", index)),
            planes.index(_whole(entry, "PlaneID", index)),
        )
        if place in placed:
            raise RecordingError(
                f"{index.name}: lists the plane t={place[0]}, c={place[1]}, z={place[2]} of {chosen} "
                "twice; export it again"
            )
        placed[place] = PlaneFile(beside(index, entry.findtext("URL") or ""))
        described[place] = entry
    _check_files(index, chosen, placed)
    files = TiffFiles()
    try:
        door = Doorkeeper(index.name, given)
        names = tuple(
            next(d for (_, c, _), d in described.items() if c == k).findtext("ChannelName") or f"channel {channels[k]}"
            for k in range(len(channels))
        )
        placed_pages = arrange_files(f"{index.name} {chosen}", placed, files, Metadata(), names)
        arrangement = replace(placed_pages, metadata=_metadata(described, names, door))
        recording = TiffRecording(path, files, arrangement, memory_budget_bytes)
        _compare(index, described[0, 0, 0], recording)
        return recording
    except BaseException:
        files.close()
        raise


def _index(path: Path) -> Path:
    found = find_index(path)
    if found is None:
        raise RecordingError(f"{path.name}: holds no Index.idx.xml or Index.xml; copy the whole export")
    return found


def _fields(index: Path) -> dict[str, list[Element]]:
    """Image entries by well and field."""
    found = index.stat()
    return _fields_of(index, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=2)  # a plate's index names up to a million planes, and every field of it asks
def _fields_of(index: Path, _time: int, _size: int) -> dict[str, list[Element]]:
    root = parse_xml(index.read_bytes(), index.name)
    found: dict[tuple[int, int, int], list[Element]] = {}
    for entry in root.findall("Images/Image"):
        key = _whole(entry, "Row", index), _whole(entry, "Col", index), _whole(entry, "FieldID", index)
        found.setdefault(key, []).append(entry)
    if not found:
        raise RecordingError(f"{index.name}: lists no images; export again")
    return {f"r{r:02d}c{c:02d}/{f}": entries for (r, c, f), entries in sorted(found.items())}


def _whole(entry: Element, tag: str, index: Path) -> int:
    text = (entry.findtext(tag) or "").strip()
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise RecordingError(f"{index.name}: {tag} of an image is {text!r}; must be a whole number: export again")
    return int(text)


def _check_files(index: Path, field: str, placed: Mapping[Place, PlaneFile]) -> None:
    missing = sorted(p.path.name for p in placed.values() if not p.path.is_file())
    if missing:
        raise RecordingError(
            f"{index.name}: declares {counted(len(placed), 'plane')} for {field}, "
            f"{len(missing)} of their files missing (first {missing[0]}); "
            "not zero-filled: copy them into the same folder"
        )


def _compare(index: Path, entry: Element, recording: TiffRecording) -> None:
    declared = _whole(entry, "ImageSizeY", index), _whole(entry, "ImageSizeX", index)
    held = recording.sizes["Y"], recording.sizes["X"]
    if declared != held:
        raise RecordingError(
            f"{index.name}: declares planes of {declared[0]} x {declared[1]}, the files hold {held[0]} x {held[1]}; "
            "both must agree: export again"
        )


def _metadata(described: Mapping[Place, Element], names: tuple[str, ...], door: Doorkeeper) -> Metadata:
    n_t, n_c, n_z = (1 + max(p[k] for p in described) for k in range(3))
    first = described[0, 0, 0]

    def quantity(entry: Element | None, tag: str, field: str, units: Mapping[str, float]) -> float | None:
        found = None if entry is None else entry.find(tag)
        return None if found is None else door.positive(field, tag, found.text, found.get("Unit") or None, units)

    def seconds(entry: Element | None) -> float:
        found = None if entry is None else entry.find("MeasurementTimeOffset")
        factor = SECONDS.get((found.get("Unit") or "s").lower()) if found is not None else None
        return _float(found) * (factor or float("nan"))

    def height_um(z: int) -> float:
        entry = next((described[0, c, z] for c in range(n_c) if (0, c, z) in described), None)
        found = None if entry is None else entry.find("PositionZ")
        factor = UM.get((found.get("Unit") or "m").lower()) if found is not None else None
        return _float(found) * (factor or float("nan"))

    time_s = door.times(np.array([seconds(described.get((t, 0, 0))) for t in range(n_t)]), n_t)
    step = abs(height_um(n_z - 1) - height_um(0)) / (n_z - 1) if n_z > 1 else None
    kinds = {
        _MODALITIES.get((e.findtext("AcquisitionType") or "").lower())
        for e in described.values()
        if (e.findtext("ChannelType") or "Fluorescence") == "Fluorescence"
    }
    emission = tuple(quantity(described.get((0, c, 0)), "MainEmissionWavelength", "emission", UM) for c in range(n_c))
    magnification = first.findtext("ObjectiveMagnification")
    return Metadata(
        um_per_px=door.square(
            quantity(first, "ImageResolutionX", "um_per_px", UM), quantity(first, "ImageResolutionY", "um_per_px", UM)
        ),
        um_per_z=None if step is None or math.isnan(step) else door.positive("um_per_z", "PositionZ", step, "um", UM),
        frame_interval_s=median_interval(time_s),
        time_s=time_s,
        channel_names=names,
        na=quantity(first, "ObjectiveNA", "na", {}),
        modality=kinds.pop() if len(kinds) == 1 else None,
        objective=f"{magnification}x" if magnification else None,
        emission_um=emission if any(emission) else None,
        notes=tuple(door.notes),
    )


def _float(element: Element | None) -> float:
    """Number of an element, NaN where it holds none."""
    try:
        return float("nan" if element is None else element.text or "nan")
    except ValueError:
        return float("nan")
