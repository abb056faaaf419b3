"""Recordings of one file per plane, placed by file names: Micro-Manager, Incucyte, and any template.

``img_channel{c}_position000_time{t}_z{z}.tif`` or ``{channel}_B2_1_{day}d{hour}h{minute}m.tif``: the placeholders of
planes and times are open; a path with such a name stands for all files that fit it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np

from cicimage.errors import RecordingError, nearest
from cicimage.recording.plane_index import Place, PlaneFile, PlaneIndex
from cicimage.recording.reader import Listing, Reader, ReadOptions
from cicimage.recording.recording import Metadata
from cicimage.recording.scale import MetadataValidator, median_interval
from cicimage.recording.tiff import TiffRecording
from cicimage.recording.tiff_files import TiffFiles

_PLANES: Final = {"t": r"\d+", "z": r"\d+", "c": r"\d+", "channel": r".+?"}
_CLOCK: Final = {
    "year": r"\d{4}", "month": r"\d{2}", "date": r"\d{2}", "day": r"\d+", "hour": r"\d+", "minute": r"\d+",
    "second": r"\d+",
}  # fmt: skip
_FIELDS: Final = {
    "condition": r"[^/]+", "well": r"[^/]+?", "field": r"[^/_]+", "plate": r"[^/]+?", "donor": r"[^/_]+",
    "any": r"[^/]*?",
}  # fmt: skip
_PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")
_IMAGE: Final = (".tif", ".tiff")


@dataclass(frozen=True)
class PatternedField:
    """One field of view found by a template.

    Attributes
    ----------
    path : Path
        The template with its condition, well and so on filled in; opens with ``open_recording``.
    values : mapping
        What was filled in.
    files : tuple of Path
        All its files.
    """

    path: Path
    values: Mapping[str, str]
    files: tuple[Path, ...]


def is_pattern(path: Path) -> bool:
    """Whether a path's name has placeholders of planes or times."""
    return is_template(path.name) and not path.exists()


def is_template(text: str) -> bool:
    """Whether a text has placeholders of planes or times: many files are one recording then."""
    return any(name in _PLANES or name in _CLOCK for name in _PLACEHOLDER.findall(text))


def pattern_files(path: Path) -> tuple[Path, ...]:
    """All files that a path with placeholders in its name stands for."""
    pattern = compile_template(path.name)
    if not path.parent.is_dir():
        return ()
    return tuple(sorted(p for p in path.parent.iterdir() if pattern.fullmatch(p.name)))


def find_fields(root: Path, template: str) -> tuple[PatternedField, ...]:
    """Group the files below a folder into fields of view.

    Parameters
    ----------
    root : Path
        Folder.
    template : str
        Path below root with placeholders, e.g. ``"{condition}/{well}_{field}_t{t}_c{c}_z{z}.tif"``; without an ending
        both .tif and .tiff are looked for. ``{any}`` stands for text that says nothing; a folder part may not hold
        placeholders of planes.

    Returns
    -------
    tuple of PatternedField
        In the order of their names.

    Raises
    ------
    RecordingError
        The template has an unknown placeholder or none of planes.
    """
    endings = ("",) if template.lower().endswith(_IMAGE) else _IMAGE
    return tuple(field for ending in endings for field in _fields(root, template + ending))


def _fields(root: Path, template: str) -> list[PatternedField]:
    pattern = compile_template(template)
    grouped: dict[tuple[tuple[str, str], ...], list[Path]] = {}
    for file in sorted(root.rglob("*")):
        if file.suffix.lower() not in _IMAGE:
            continue
        match = pattern.fullmatch(file.relative_to(root).as_posix())
        if match is not None:
            values = {k: v for k, v in match.groupdict().items() if k in _FIELDS and k != "any"}
            grouped.setdefault(tuple(sorted(values.items())), []).append(file)
    out = []
    for key, members in sorted(grouped.items()):
        values = dict(key)
        filled = _PLACEHOLDER.sub(lambda m, v=values: v.get(m[1], m[0]), template)  # type: ignore[misc]
        out.append(PatternedField(root / filled, values, tuple(members)))
    return out


def compile_template(template: str) -> re.Pattern[str]:
    """Regular expression of a template.

    Raises
    ------
    RecordingError
        A placeholder is not known.
    """
    known = _PLANES | _CLOCK | _FIELDS
    out, at, seen = "", 0, set[str]()
    for match in _PLACEHOLDER.finditer(template):
        name = match[1]
        if name not in known:
            raise RecordingError(f"template {template!r} has a placeholder {{{name}}}; {nearest(name, known)}")
        out += re.escape(template[at : match.start()])
        if name == "any":
            out += _FIELDS["any"]
        else:
            out += f"(?P={name})" if name in seen else f"(?P<{name}>{known[name]})"
        seen.add(name)
        at = match.end()
    return re.compile(out + re.escape(template[at:]), re.IGNORECASE)


class FileNameReader(Reader):
    """Reads files of one plane each; the path's name has placeholders where the names of the files differ."""

    name = "files by name pattern"
    order = 10
    templates = (
        "img_channel{c}_position{field}_time{t}_z{z}", "{field}/img_{t}_{channel}_{z}",
        "{channel}_{well}_{field}_{year}y{month}m{date}d_{hour}h{minute}m",
        "{channel}_{well}_{field}_{day}d{hour}h{minute}m", "{any}xy{field}c{c}t{t}", "{any}xy{field}t{t}",
    )  # fmt: skip

    def recognises(self, listing: Listing, head: bytes) -> bool:
        """Whether a path's name has placeholders of planes or times."""
        return not listing.exists and is_template(listing.path.name)

    def files(self, path: Path, series: int) -> tuple[Path, ...]:
        """All files that fit the name."""
        return pattern_files(path)

    def open(self, path: Path, options: ReadOptions) -> TiffRecording:
        """Open the field of view that the name stands for; ``axes`` is not used, the names carry them.

        Raises
        ------
        RecordingError
            The file is not sound, or holds several recordings and none was chosen.
        """
        if options.series not in (None, 0):
            raise RecordingError(
                f"{path.name}: holds one series (0), --series {options.series} was asked for; leave it out"
            )
        matches = _matches(path)
        planes = _planes(path, matches)
        files = TiffFiles()
        try:
            metadata = _metadata(planes, matches[0], MetadataValidator(path.name, options.given))
            _refuse_stacks(files, planes)
            arrangement = planes.arrange(PlaneFile, files, metadata)
            return TiffRecording(path, files, arrangement, options.memory_budget_bytes)
        except BaseException:
            files.close()
            raise


def _matches(path: Path) -> list[re.Match[str]]:
    """Names of the files that fit, in their order."""
    pattern = compile_template(path.name)
    if not path.parent.is_dir():
        raise RecordingError(f"{path.parent}: no such folder; mend the pattern in [files]")
    matches = [m for p in sorted(path.parent.iterdir()) if (m := pattern.fullmatch(p.name))]
    if not matches:
        raise RecordingError(
            f"{path.name}: no file in {path.parent.name!r} fits this name; mend the pattern in [files]"
        )
    return matches


def _has_clock(match: re.Match[str]) -> bool:
    return any(match.groupdict().get(k) is not None for k in _CLOCK)


def _planes(path: Path, matches: Sequence[re.Match[str]]) -> PlaneIndex[Path]:
    def labels(match: re.Match[str]) -> tuple[float | str | None, str | None, str | None]:
        parts = match.groupdict()
        time = _seconds(path, match) if _has_clock(match) else parts.get("t")
        return time, parts.get("channel", parts.get("c")), parts.get("z")

    def twins(place: Place, first: Path, second: Path) -> str:
        t, c, z = place
        return (
            f"{first.name}: and {second.name} are the same plane by their names (t={t}, c={c}, "
            f"z={z}); make the pattern in [files] tell them apart"
        )

    return PlaneIndex.of(path.name, ((labels(m), path.parent / m.string) for m in matches), twins)


def _metadata(planes: PlaneIndex[Path], first: re.Match[str], validator: MetadataValidator) -> Metadata:
    """Times of a clock and names of channels, where the names of the files carry them."""
    time_s = validator.times(np.array(planes.times, float), len(planes.times)) if _has_clock(first) else None
    return Metadata(
        time_s=time_s,
        frame_interval_s=median_interval(time_s),
        channel_names=tuple(map(str, planes.channels)) if "channel" in first.groupdict() else None,
        notes=tuple(validator.notes),
    )


def _refuse_stacks(files: TiffFiles, planes: PlaneIndex[Path]) -> None:
    first = planes.planes[min(planes.planes)]
    n = len(files.layout(first).images)
    if n > 1:
        raise RecordingError(f"{first.name}: holds {n} planes, one per file was expected; open the file by itself")


def _seconds(path: Path, match: re.Match[str]) -> float:
    parts = {k: int(v) for k, v in match.groupdict().items() if k in _CLOCK and v is not None}
    days = float(parts.get("day", 0))
    if "year" in parts:
        try:
            days += datetime(parts["year"], parts.get("month", 1), parts.get("date", 1)).toordinal()
        except ValueError:
            raise RecordingError(
                f"{match.string}: {parts} is no date; mend the pattern in [files], {path.name!r}"
            ) from None
    return 86400 * days + 3600 * parts.get("hour", 0) + 60 * parts.get("minute", 0) + parts.get("second", 0)
