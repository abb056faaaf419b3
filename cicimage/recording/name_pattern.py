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
_ENDINGS: Final = (".tif", ".tiff", ".ome.tif")
DAY_S: Final = 86400.0
PAUSE: Final = 2.5
"""The pause between the end and the beginning of a recording, within a day, over the longest one within it."""
MOST_ANY: Final = 4
"""Most placeholders ``{any}`` of a template; none adjacent: the time to match a name would grow without bound."""


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
    """Whether a path has placeholders of planes or times, in its name or in a folder that does not exist."""
    return not path.exists() and is_template(_split(path)[1])


def is_template(text: str) -> bool:
    """Whether a text has placeholders of planes or times: many files are one recording then."""
    return any(name in _PLANES or name in _CLOCK for name in _PLACEHOLDER.findall(text))


def _split(path: Path) -> tuple[Path, str]:
    """The folder above the first placeholder, and the template below it."""
    parts = path.parts
    first = next((k for k, part in enumerate(parts) if _PLACEHOLDER.search(part)), len(parts) - 1)
    return Path(*parts[:first]), "/".join(parts[first:])


def pattern_files(path: Path) -> tuple[Path, ...]:
    """All files that a path with placeholders stands for."""
    base, template = _split(path)
    return tuple(base / match.string for match in _matching(base, template))


def _matching(base: Path, template: str) -> list[re.Match[str]]:
    """Files below a folder that fit a template, as matches of their path below it, in the order of their names."""
    pattern, depth = compile_template(template), template.count("/")
    if not base.is_dir():
        return []
    files = sorted(base.iterdir() if depth == 0 else base.glob("/".join("*" * (depth + 1))))
    return [m for p in files if (m := pattern.fullmatch(p.relative_to(base).as_posix()))]


def image_files(root: Path) -> tuple[Path, ...]:
    """Files below a folder that may hold one plane each, in the order of their names."""
    return tuple(p for p in sorted(root.rglob("*")) if p.suffix.lower() in _IMAGE)


def find_fields(root: Path, template: str, files: Sequence[Path] | None = None) -> tuple[PatternedField, ...]:
    """Group the files below a folder into fields of view.

    Parameters
    ----------
    root : Path
        Folder.
    template : str
        Path below root with placeholders, e.g. ``"{condition}/{well}_{field}_t{t}_c{c}_z{z}.tif"``; without an ending
        .tif, .tiff and .ome.tif are looked for. ``{any}`` stands for text that says nothing.
    files : sequence of Path, optional
        Files below root, where they have been listed before (:func:`image_files`).

    Returns
    -------
    tuple of PatternedField
        In the order of their names.

    Raises
    ------
    RecordingError
        The template has an unknown placeholder, or too many ``{any}``.
    """
    endings = ("",) if template.lower().endswith(_IMAGE) else _ENDINGS
    listed = image_files(root) if files is None else files
    return tuple(field for ending in endings for field in _fields(root, template + ending, listed))


def _fields(root: Path, template: str, files: Sequence[Path]) -> list[PatternedField]:
    pattern = compile_template(template)
    grouped: dict[tuple[tuple[str, str], ...], list[Path]] = {}
    for file in files:
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
        A placeholder is not known, or ``{any}`` stands too often or twice in a row.
    """
    if template.count("{any}") > MOST_ANY or "{any}{any}" in template:
        raise RecordingError(
            f"template {template!r} must have at most {MOST_ANY} {{any}} and no two in a row; write out the text "
            "that all names share"
        )
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
    axes_overrule = False
    templates = (
        # Micro-Manager 1.4 and 2, with and without a folder per position
        "img_channel{c}_position{field}_time{t}_z{z}", "Pos{any}/img_channel{c}_position{field}_time{t}_z{z}",
        "img_channel{c}_time{t}_z{z}", "img_channel{c}_time{t}", "{field}/img_{t}_{channel}_{z}",
        # Incucyte, with and without a folder per channel
        "{channel}/{any}_{well}_{field}_{year}y{month}m{date}d_{hour}h{minute}m",
        "{channel}/{any}_{well}_{field}_{day}d{hour}h{minute}m",
        "{channel}_{well}_{field}_{year}y{month}m{date}d_{hour}h{minute}m",
        "{channel}_{well}_{field}_{day}d{hour}h{minute}m",
        # Keyence, Yokogawa CV7000, ScanR and its relatives, Cellomics, Leica Matrix Screener
        "{any}xy{field}c{c}t{t}", "{any}xy{field}t{t}", "{plate}_{well}_T{t}F{field}L{any}A{any}Z{z}C{c}",
        "{well}--W{any}--P{field}--Z{z}--T{t}--{channel}", "{any}--W{well}--P{field}--T{t}--Z{z}--C{c}",
        "{any}_{well}f{field}t{t}d{c}", "{plate}/{well}/{field}/image--L{any}--T{t}--Z{z}--C{c}",
        # MetaXpress without folders of time points
        "{plate}_{well}_s{field}_w{c}{any}",
    )  # fmt: skip

    def recognises(self, listing: Listing, head: bytes) -> bool:
        """Whether a path's name has placeholders of planes or times."""
        return not listing.exists and is_pattern(listing.path)

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
    """Files that fit, as matches of their path below the first placeholder, in their order."""
    base, template = _split(path)
    if not base.is_dir():
        raise RecordingError(f"{base}: no such folder; mend the pattern in [files]")
    matches = _matching(base, template)
    if not matches:
        raise RecordingError(f"{template}: no file in {base.name!r} fits this name; mend the pattern in [files]")
    return matches


def _has_clock(match: re.Match[str]) -> bool:
    return any(match.groupdict().get(k) is not None for k in _CLOCK)


def _planes(path: Path, matches: Sequence[re.Match[str]]) -> PlaneIndex[Path]:
    base = _split(path)[0]
    seconds = _clock_s(path, matches) if _has_clock(matches[0]) else None

    def labels(match: re.Match[str]) -> tuple[float | str | None, str | None, str | None]:
        parts = match.groupdict()
        time = parts.get("t") if seconds is None else seconds[match.string]
        return time, parts.get("channel", parts.get("c")), parts.get("z")

    def twins(place: Place, first: Path, second: Path) -> str:
        t, c, z = place
        return (
            f"{first.name}: and {second.name} are the same plane by their names (t={t}, c={c}, "
            f"z={z}); make the pattern in [files] tell them apart"
        )

    return PlaneIndex.of(path.name, ((labels(m), base / m.string) for m in matches), twins)


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


def _clock_s(path: Path, matches: Sequence[re.Match[str]]) -> dict[str, float]:
    """Time of each file on the clock of its name, s; a clock without a day goes on over midnight."""
    seconds = {m.string: _seconds(path, m) for m in matches}
    placed = matches[0].groupdict()
    if any(placed.get(k) is not None for k in ("year", "month", "date", "day")) or placed.get("hour") is None:
        return seconds
    return _over_midnight(path, seconds)


def _over_midnight(path: Path, seconds: Mapping[str, float]) -> dict[str, float]:
    """Times of day in the order in which they were taken: the recording begins behind the longest pause of the day.

    Hours from 24 on are a clock that was started with the recording.
    """
    of_day = sorted(set(seconds.values()))
    if len(of_day) < 2 or of_day[-1] >= DAY_S:
        return dict(seconds)
    pauses = np.diff([*of_day, of_day[0] + DAY_S])
    longest = int(np.argmax(pauses))
    others = np.delete(pauses, longest)
    if pauses[longest] < PAUSE * others.max():
        raise RecordingError(
            f"{path.name}: names give the hour without a day, and the recording's first hour must show by a pause; the "
            f"longest pause, {pauses[longest] / 3600:.3g} h, is not {PAUSE:g} times the next one; add {{day}} to the "
            "names and to the pattern in [files], or number the files and use {{t}}"
        )
    begin = of_day[(longest + 1) % len(of_day)]
    return {name: s if s >= begin else s + DAY_S for name, s in seconds.items()}


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
    return DAY_S * days + 3600 * parts.get("hour", 0) + 60 * parts.get("minute", 0) + parts.get("second", 0)
