"""Operetta and Opera Phenix exports (Harmony): Index.idx.xml or Index.xml beside one TIFF per plane."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element

from cicimage.errors import RecordingError, counted
from cicimage.recording.foreign import choose_series
from cicimage.recording.plane_index import Place, PlaneFile, PlaneIndex
from cicimage.recording.reader import Listing, Reader, ReadOptions
from cicimage.recording.recording import Metadata
from cicimage.recording.scale import SECONDS, UM, MetadataValidator, factor_of, median_interval
from cicimage.recording.tiff import TiffRecording
from cicimage.recording.tiff_files import TiffFiles
from cicimage.recording.tiff_ome import beside
from cicimage.recording.xml_tree import parse_xml
from cicimage.regular import require_regular

_MOST_INDEX_BYTES: Final = 1 << 30
_INDICES: Final = ("index.idx.xml", "index.xml", "index.ref.xml", "index.flex.xml")
_MODALITIES: Final[Mapping[str, str]] = {
    "confocal": "spinning_disk", "nonconfocal": "widefield", "twopeakconfocal": "spinning_disk",
}  # fmt: skip


class OperettaReader(Reader):
    """Reads Harmony exports; ``axes`` is not used, the index knows them."""

    name = "Operetta"
    order = 70
    axes_overrule = False
    exports = True

    def recognises(self, listing: Listing, head: bytes) -> bool:
        """Whether a path is an index, or a folder with one in it or in its folder ``Images``."""
        if not listing.is_folder:
            return listing.path.name.lower() in _INDICES
        beside_images = listing.below("Images").files if "Images" in listing.folders else ()
        return any(name.lower() in _INDICES for name in (*listing.files, *beside_images))

    def series(self, path: Path) -> tuple[str, ...]:
        """Wells and fields, as ``r03c03/1``."""
        return tuple(_fields(_index(path)))

    def files(self, path: Path, series: int) -> tuple[Path, ...]:
        """The index and the planes of one field."""
        index = _index(path)
        entries = list(_fields(index).values())[series]
        return (index, *sorted({_file(index, e).path for e in entries}))

    def open(self, path: Path, options: ReadOptions) -> TiffRecording:
        """Open one field of a well.

        Raises
        ------
        RecordingError
            The file is not sound, or holds several recordings and none was chosen.
        """
        index = _index(path)
        fields = _fields(index)
        chosen = list(fields)[choose_series(path, tuple(fields), options.series)]
        planes = _planes(index, chosen, fields[chosen])
        _check_files(index, chosen, planes)
        files = TiffFiles()
        try:
            metadata = _metadata(planes, MetadataValidator(index.name, options.given))
            arrangement = planes.arrange(lambda e: _file(index, e), files, metadata, heights_um=_heights_um(planes))
            recording = TiffRecording(path, files, arrangement, options.memory_budget_bytes)
            _compare(index, planes.planes[0, 0, 0], recording)
            return recording
        except BaseException:
            files.close()
            raise


def _planes(index: Path, field: str, entries: list[Element]) -> PlaneIndex[Element]:
    def labelled(entry: Element) -> tuple[tuple[int, int, int], Element]:
        t, c, z = (_whole(entry, tag, index) for tag in ("TimepointID", "ChannelID", "PlaneID"))
        return (t, c, z), entry

    def twins(place: Place, _first: Element, _second: Element) -> str:
        t, c, z = place
        return f"{index.name}: lists the plane t={t}, c={c}, z={z} of {field} twice; export it again"

    return PlaneIndex.of(f"{index.name} {field}", map(labelled, entries), twins)


def _file(index: Path, entry: Element) -> PlaneFile:
    return PlaneFile(beside(index, entry.findtext("URL") or ""))


def _index(path: Path) -> Path:
    """The index of an export, given the file itself, its folder, or the folder above ``Images``."""
    if path.is_file():
        return path
    for folder in (path, path / "Images"):
        found = [name for name in Listing.of(folder).files if name.lower() in _INDICES]
        if found:
            return folder / found[0]
    raise RecordingError(f"{path.name}: holds no Index.idx.xml or Index.xml; copy the whole export")


def _fields(index: Path) -> dict[str, list[Element]]:
    """Image entries by well and field."""
    found = index.stat()
    return _fields_of(index, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=2)  # a plate's index names up to a million planes, and every field of it asks
def _fields_of(index: Path, _time: int, _size: int) -> dict[str, list[Element]]:
    require_regular(index, RecordingError, most_bytes=_MOST_INDEX_BYTES)
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


def _check_files(index: Path, field: str, planes: PlaneIndex[Element]) -> None:
    files = [_file(index, entry).path for entry in planes.planes.values()]
    missing = sorted(file.name for file in files if not file.is_file())
    if missing:
        raise RecordingError(
            f"{index.name}: declares {counted(len(files), 'plane')} for {field}, "
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


def _heights_um(planes: PlaneIndex[Element]) -> list[float]:
    """Height of each slice in the first frame, um; NaN where it is not written."""
    _, n_c, n_z = planes.lengths

    def height_um(z: int) -> float:
        entry = next((planes.planes[0, c, z] for c in range(n_c) if (0, c, z) in planes.planes), None)
        found = None if entry is None else entry.find("PositionZ")
        factor = factor_of(found.get("Unit") or "m", UM) if found is not None else None
        return _float(found) * (factor or float("nan"))

    return [height_um(z) for z in range(n_z)]


def _metadata(planes: PlaneIndex[Element], validator: MetadataValidator) -> Metadata:
    _, n_c, n_z = planes.lengths
    described = planes.planes
    first = next(iter(described.values()))
    names = tuple(
        next(e for (_, c, _), e in described.items() if c == k).findtext("ChannelName") or f"channel {label}"
        for k, label in enumerate(planes.channels)
    )

    def quantity(entry: Element | None, tag: str, field: str, units: Mapping[str, float]) -> float | None:
        found = None if entry is None else entry.find(tag)
        return None if found is None else validator.positive(field, tag, found.text, found.get("Unit") or None, units)

    def seconds(entry: Element) -> float:
        found = entry.find("MeasurementTimeOffset")
        factor = factor_of(found.get("Unit") or "s", SECONDS) if found is not None else None
        return _float(found) * (factor or float("nan"))

    time_s = planes.clock(validator, seconds)
    heights = _heights_um(planes)
    step = abs(heights[-1] - heights[0]) / (n_z - 1) if n_z > 1 else None
    kinds = {
        _MODALITIES.get((e.findtext("AcquisitionType") or "").lower())
        for e in described.values()
        if (e.findtext("ChannelType") or "Fluorescence") == "Fluorescence"
    }
    emission = tuple(quantity(described.get((0, c, 0)), "MainEmissionWavelength", "emission", UM) for c in range(n_c))
    magnification = first.findtext("ObjectiveMagnification")
    return Metadata(
        um_per_px=validator.square(
            quantity(first, "ImageResolutionX", "um_per_px", UM), quantity(first, "ImageResolutionY", "um_per_px", UM)
        ),
        um_per_z=None
        if step is None or math.isnan(step)
        else validator.positive("um_per_z", "PositionZ", step, "um", UM),
        frame_interval_s=median_interval(time_s),
        time_s=time_s,
        channel_names=names,
        na=quantity(first, "ObjectiveNA", "na", {}),
        modality=kinds.pop() if len(kinds) == 1 else None,
        objective=f"{magnification}x" if magnification else None,
        emission_um=emission if any(emission) else None,
        notes=tuple(validator.notes),
    )


def _float(element: Element | None) -> float:
    """Number of an element, NaN where it holds none."""
    try:
        return float("nan" if element is None else element.text or "nan")
    except ValueError:
        return float("nan")
