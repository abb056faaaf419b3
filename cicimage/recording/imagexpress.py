"""ImageXpress (MetaXpress) folders: TimePoint_1/[ZStep_1/]plate_B02_s1_w1GUID.tif."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np

from cicimage.errors import RecordingError
from cicimage.recording.foreign import choose_series
from cicimage.recording.metamorph_props import acquired_s, number, pixel_size_um, plane_properties
from cicimage.recording.multi_file import Place, PlaneFile, arrange_files
from cicimage.recording.recording import Metadata
from cicimage.recording.scale import Doorkeeper, median_interval
from cicimage.recording.tiff import TiffRecording
from cicimage.recording.tiff_files import TiffFiles

_FILE: Final = re.compile(
    r"(?P<plate>.*)_(?P<well>[A-Z]{1,2}\d{2})(?:_s(?P<site>\d+))?(?:_w(?P<wave>\d))?"
    r"(?P<thumb>_thumb)?(?P<guid>[0-9A-F]{8}(?:-[0-9A-F]{4}){3}-[0-9A-F]{12})?\.tiff?",
    re.IGNORECASE,
)
_TIME: Final = re.compile(r"TimePoint_(\d+)", re.IGNORECASE)
_STEP: Final = re.compile(r"ZStep_(\d+)", re.IGNORECASE)

_Keyed = dict[tuple[int, int, int], Path]  # (time point, wave, z step) as written


def is_imagexpress(path: Path) -> bool:
    """Whether a folder holds time points of MetaXpress."""
    return path.is_dir() and any(_TIME.fullmatch(p.name) for p in path.iterdir() if p.is_dir())


def imagexpress_series(path: Path) -> tuple[str, ...]:
    """Wells and sites, as ``C07/1``."""
    return tuple(_fields(path))


def imagexpress_files(path: Path, series: int) -> tuple[Path, ...]:
    """The planes of one site."""
    return tuple(sorted(list(_fields(path).values())[series].values()))


def open_imagexpress(
    path: Path, *, axes: str | None, series: int | None, memory_budget_bytes: int, given: Collection[str]
) -> TiffRecording:
    """Open one site of a MetaXpress folder; ``axes`` is not used, the names carry them.

    Raises
    ------
    RecordingError
        Files are missing or unsound, or several sites and none chosen.
    """
    fields = _fields(path)
    if not fields:
        raise RecordingError(f"{path.name}: its time points hold no image files; copy the whole folder again")
    chosen = list(fields)[choose_series(path, tuple(fields), series)]
    times, waves, steps = (sorted({key[k] for key in fields[chosen]}) for k in range(3))
    if 0 in steps and len(steps) > 1:  # files beside the ZStep folders: the channels of one slice
        steps = [s for s in steps if s]
    placed: dict[Place, PlaneFile] = {
        (times.index(t), waves.index(w), steps.index(s) if s in steps else 0): PlaneFile(p)
        for (t, w, s), p in fields[chosen].items()
    }
    files = TiffFiles()
    try:
        door = Doorkeeper(path.name, given)
        names, metadata = _metadata(placed, files, door)
        arrangement = arrange_files(f"{path.name} {chosen}", placed, files, metadata, names)
        return TiffRecording(path, files, arrangement, memory_budget_bytes)
    except BaseException:
        files.close()
        raise


def _fields(path: Path) -> dict[str, _Keyed]:
    """Files by well and site."""
    folders = [f for f in sorted(path.rglob("*")) if f.is_dir()] if _deep(path) else sorted(path.glob("TimePoint_*"))
    return _fields_of(path, tuple((f.name, f.stat().st_mtime_ns) for f in folders))


def _deep(path: Path) -> bool:
    return any(path.glob("TimePoint_*/ZStep_*"))


@lru_cache(maxsize=2)  # every field of a plate asks, and there are many files
def _fields_of(path: Path, _times: tuple[tuple[str, int], ...]) -> dict[str, _Keyed]:
    found: dict[str, _Keyed] = {}
    for time, step, file in _files(path):
        match = _FILE.fullmatch(file.name)
        if match is None or match["thumb"]:
            continue
        key = f"{match['well'].upper()}/{match['site'] or 1}"
        at = time, int(match["wave"] or 1), step
        twin = found.setdefault(key, {}).setdefault(at, file)
        if twin != file:
            raise RecordingError(
                f"{path.name}: {twin.name} and {file.name} are the same plane (time point {time}, w{at[1]}); "
                "keep one of them"
            )
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


def _metadata(
    placed: Mapping[Place, PlaneFile], files: TiffFiles, door: Doorkeeper
) -> tuple[tuple[str, ...], Metadata]:
    def properties(place: Place) -> Mapping[str, str]:
        file = placed.get(place)
        return {} if file is None else plane_properties(files.layout(file.path), file.path.name)

    n_t, n_c, n_z = (1 + max(p[k] for p in placed) for k in range(3))
    channels = [properties((0, c, 0)) for c in range(n_c)]
    names = tuple(p.get("_IllumSetting_") or p.get("image-name") or f"w{c + 1}" for c, p in enumerate(channels))
    first = channels[0]
    time_s = door.times(np.array([acquired_s(properties((t, 0, 0))) for t in range(n_t)]), n_t)
    heights = [number(properties((0, c, z)), "z-position") for c in range(n_c) for z in (0, 1)] if n_z > 1 else []
    steps = [abs(b - a) for a, b in zip(heights[::2], heights[1::2], strict=True) if a is not None and b is not None]
    disk = first.get("IXConfocal Module Disk", "").upper()
    emission = tuple(None if v is None else v / 1000 for v in (number(p, "wavelength") for p in channels))
    return names, Metadata(
        um_per_px=pixel_size_um(first, door),
        um_per_z=steps[0] if steps and steps[0] > 0 else None,
        frame_interval_s=median_interval(time_s),
        time_s=time_s,
        channel_names=names,
        na=number(first, "_MagNA_"),
        modality=None if not first else "spinning_disk" if disk.startswith("IN") else "widefield",
        objective=first.get("_MagSetting_"),
        emission_um=emission if any(emission) else None,
        notes=tuple(door.notes),
    )
