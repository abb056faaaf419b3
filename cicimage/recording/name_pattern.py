"""Files that say by their names which plane they are: Micro-Manager, Incucyte, and whatever a template describes.

``img_channel{c}_position000_time{t}_z{z}.tif`` or ``{channel}_B2_1_{day}d{hour}h{minute}m.tif``: the placeholders of
planes and times are open; a path with such a name stands for all files that fit it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from cicimage.errors import RecordingError, nearest
from cicimage.recording.multi_file import Place, PlaneFile, arrange_files
from cicimage.recording.recording import Metadata
from cicimage.recording.scale import Doorkeeper, median_interval
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
        Path below root with placeholders, e.g. ``"{condition}/{well}_{field}_t{t}_c{c}_z{z}.tif"``. ``{any}`` stands
        for text that says nothing; a folder part may not hold placeholders of planes.

    Returns
    -------
    tuple of PatternedField
        In the order of their names.

    Raises
    ------
    RecordingError
        The template has an unknown placeholder or none of planes.
    """
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
    return tuple(out)


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


def open_pattern(
    path: Path, *, axes: str | None, series: int | None, memory_budget_bytes: int, given: Collection[str]
) -> TiffRecording:
    """Open the field of view that a path with placeholders in its name stands for.

    Raises
    ------
    RecordingError
        No file fits, two are the same plane, or some are missing.
    """
    if series not in (None, 0):
        raise RecordingError(f"{path.name}: holds one series (0), --series {series} was asked for; leave it out")
    pattern = compile_template(path.name)
    if not path.parent.is_dir():
        raise RecordingError(f"{path.parent}: no such folder; mend the pattern in [files]")
    matches = [m for p in sorted(path.parent.iterdir()) if (m := pattern.fullmatch(p.name))]
    if not matches:
        raise RecordingError(
            f"{path.name}: no file in {path.parent.name!r} fits this name; mend the pattern in [files]"
        )
    times, time_s = _times(path, matches)
    channels = _ordered(matches, "channel" if "channel" in pattern.groupindex else "c")
    slices = _ordered(matches, "z")
    placed: dict[Place, PlaneFile] = {}
    for match, time in zip(matches, times, strict=True):
        parts = match.groupdict()
        place = time, channels.index(parts.get("channel", parts.get("c"))), slices.index(parts.get("z"))
        twin = placed.setdefault(place, PlaneFile(path.parent / match.string))
        if twin.path.name != match.string:
            raise RecordingError(
                f"{twin.path.name}: and {match.string} are the same plane by their names (t={place[0]}, c={place[1]}, "
                f"z={place[2]}); make the pattern in [files] tell them apart"
            )
    files = TiffFiles()
    try:
        door = Doorkeeper(path.name, given)
        names = tuple(c if c is not None else "channel 0" for c in channels)
        if "channel" not in pattern.groupindex:
            names = tuple(f"channel {n}" for n in names)
        clock = None if time_s is None else door.times(time_s, len(time_s))
        metadata = Metadata(
            time_s=clock,
            frame_interval_s=median_interval(clock),
            channel_names=names if "channel" in pattern.groupindex else None,
            notes=tuple(door.notes),
        )
        _refuse_stacks(files, placed)
        return TiffRecording(path, files, arrange_files(path.name, placed, files, metadata, names), memory_budget_bytes)
    except BaseException:
        files.close()
        raise


def _refuse_stacks(files: TiffFiles, placed: Mapping[Place, PlaneFile]) -> None:
    first = placed[min(placed)].path
    n = len(files.layout(first).images)
    if n > 1:
        raise RecordingError(f"{first.name}: holds {n} planes, one per file was expected; open the file by itself")


def _ordered(matches: Sequence[re.Match[str]], group: str) -> list[str | None]:
    """Values of a placeholder in order, as numbers where they are."""
    found = {m.groupdict().get(group) for m in matches}
    return sorted(found, key=lambda v: (int(v) if v is not None and v.isdigit() else -1, v or ""))


def _times(path: Path, matches: Sequence[re.Match[str]]) -> tuple[list[int], npt.NDArray[np.float64] | None]:
    """Frame of each file, and seconds per frame where the names carry a clock."""
    if not any(m.groupdict().get(k) is not None for m in matches for k in _CLOCK):
        order = _ordered(matches, "t")
        return [order.index(m.groupdict().get("t")) for m in matches], None
    clock = [_seconds(path, m) for m in matches]
    order_s = sorted(set(clock))
    return [order_s.index(s) for s in clock], np.array(order_s)


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
