"""ImageXpress (MetaXpress) folders: TimePoint_1/[ZStep_1/]plate_B02_s1_w1GUID.tif."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np

from cicimage.errors import RecordingError
from cicimage.recording.foreign import choose_series
from cicimage.recording.metamorph_props import acquired_s, number, pixel_size_um, plane_properties
from cicimage.recording.plane_index import Place, PlaneFile, PlaneIndex
from cicimage.recording.reader import Listing, Reader, ReadOptions
from cicimage.recording.recording import Metadata
from cicimage.recording.scale import MetadataValidator, median_interval
from cicimage.recording.tiff import TiffRecording
from cicimage.recording.tiff_files import TiffFiles

_FILE: Final = re.compile(
    r"(?P<plate>.*)_(?P<well>[A-Z]{1,2}\d{2})(?:_s(?P<site>\d+))?(?:_w(?P<wave>\d))?"
    r"(?P<thumb>_thumb)?(?P<guid>[0-9A-F]{8}(?:-[0-9A-F]{4}){3}-[0-9A-F]{12})?\.tiff?",
    re.IGNORECASE,
)
_TIME: Final = re.compile(r"TimePoint_(\d+)", re.IGNORECASE)
_STEP: Final = re.compile(r"ZStep_(\d+)", re.IGNORECASE)

_Labelled = tuple[tuple[int, int, int], Path]  # ((time point, wave, z step), file)


class ImageXpressReader(Reader):
    """Reads folders of MetaXpress; ``axes`` is not used, the names carry them."""

    name = "ImageXpress"
    order = 90
    axes_overrule = False
    exports = True

    def recognises(self, listing: Listing, head: bytes) -> bool:
        """Whether a folder holds time points."""
        return any(_TIME.fullmatch(name) for name in listing.folders)

    def series(self, path: Path) -> tuple[str, ...]:
        """Wells and sites, as ``C07/1``."""
        return tuple(_fields(path))

    def files(self, path: Path, series: int) -> tuple[Path, ...]:
        """The planes of one site."""
        return tuple(sorted(file for _, file in list(_fields(path).values())[series]))

    def open(self, path: Path, options: ReadOptions) -> TiffRecording:
        """Open one site of a well.

        Raises
        ------
        RecordingError
            The file is not sound, or holds several recordings and none was chosen.
        """
        fields = _fields(path)
        if not fields:
            raise RecordingError(f"{path.name}: its time points hold no image files; copy the whole folder again")
        chosen = list(fields)[choose_series(path, tuple(fields), options.series)]
        planes = _planes(path, chosen, fields[chosen])
        files = TiffFiles()
        try:
            heights = _heights_um(planes, files)
            metadata = _metadata(planes, files, heights, MetadataValidator(path.name, options.given))
            arrangement = planes.arrange(PlaneFile, files, metadata, heights_um=heights)
            return TiffRecording(path, files, arrangement, options.memory_budget_bytes)
        except BaseException:
            files.close()
            raise


def _planes(path: Path, field: str, labelled: Sequence[_Labelled]) -> PlaneIndex[Path]:
    """Planes of one site; a file beside the ZStep folders is the only slice of its channel."""
    lowest = min((step for (_, _, step), _ in labelled if step), default=0)
    labels = {file: (time, wave, step or lowest) for (time, wave, step), file in labelled}

    def twins(_place: Place, first: Path, second: Path) -> str:
        time, wave, _ = labels[second]
        return (
            f"{path.name}: {first.name} and {second.name} are the same plane (time point {time}, w{wave}); "
            "keep one of them"
        )

    return PlaneIndex.of(f"{path.name} {field}", ((at, file) for file, at in labels.items()), twins)


def _fields(path: Path) -> dict[str, list[_Labelled]]:
    """Files by well and site."""
    folders = [f for f in sorted(path.rglob("*")) if f.is_dir()] if _deep(path) else sorted(path.glob("TimePoint_*"))
    return _fields_of(path, tuple((f.name, f.stat().st_mtime_ns) for f in folders))


def _deep(path: Path) -> bool:
    return any(path.glob("TimePoint_*/ZStep_*"))


@lru_cache(maxsize=2)  # every field of a plate asks, and there are many files
def _fields_of(path: Path, _times: tuple[tuple[str, int], ...]) -> dict[str, list[_Labelled]]:
    found: dict[str, list[_Labelled]] = {}
    for time, step, file in _files(path):
        match = _FILE.fullmatch(file.name)
        if match is not None and not match["thumb"]:
            site = f"{match['well'].upper()}/{match['site'] or 1}"
            found.setdefault(site, []).append(((time, int(match["wave"] or 1), step), file))
    return dict(sorted(found.items()))


def _files(path: Path) -> Iterator[tuple[int, int, Path]]:
    for folder in sorted(path.iterdir()):
        time = _TIME.fullmatch(folder.name)
        if time is None or not folder.is_dir():
            continue
        for entry in sorted(os.scandir(folder), key=lambda e: e.name):
            step = _STEP.fullmatch(entry.name)
            if step and entry.is_dir():
                yield from ((int(time[1]), int(step[1]), p) for p in sorted(Path(entry.path).iterdir()))
            elif entry.is_file():
                yield int(time[1]), 0, Path(entry.path)


def _properties(files: TiffFiles, file: Path | None) -> Mapping[str, str]:
    return {} if file is None else plane_properties(files.layout(file), file.name)


def _heights_um(planes: PlaneIndex[Path], files: TiffFiles) -> list[float]:
    """Height of each slice in the first frame, um; NaN where it is not written."""
    _, n_c, n_z = planes.lengths
    files_of = ([planes.planes.get((0, c, z)) for c in range(n_c)] for z in range(n_z))
    first = [next((f for f in held if f is not None), None) for held in files_of]
    heights = [number(_properties(files, f), "z-position") for f in first]
    return [math.nan if h is None else h for h in heights]


def _metadata(
    planes: PlaneIndex[Path], files: TiffFiles, heights_um: Sequence[float], validator: MetadataValidator
) -> Metadata:
    _, n_c, _ = planes.lengths
    channels = [_properties(files, planes.planes.get((0, c, 0))) for c in range(n_c)]
    names = tuple(p.get("_IllumSetting_") or p.get("image-name") or f"w{c + 1}" for c, p in enumerate(channels))
    first = channels[0]
    time_s = planes.clock(validator, lambda file: acquired_s(_properties(files, file)))
    steps = [s for s in np.abs(np.diff(heights_um)).tolist() if s > 0]
    disk = first.get("IXConfocal Module Disk", "").upper()
    emission = tuple(None if v is None else v / 1000 for v in (number(p, "wavelength") for p in channels))
    return Metadata(
        um_per_px=pixel_size_um(first, validator),
        um_per_z=float(np.median(steps)) if steps else None,
        frame_interval_s=median_interval(time_s),
        time_s=time_s,
        channel_names=names,
        na=number(first, "_MagNA_"),
        modality=None if not first else "spinning_disk" if disk.startswith("IN") else "widefield",
        objective=first.get("_MagSetting_"),
        emission_um=emission if any(emission) else None,
        notes=tuple(validator.notes),
    )
