"""`cicimage init`: look at a folder, propose an experiment file and layout."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from cicimage.cli.echo import echo
from cicimage.cli.limits import limit_options, limits_of
from cicimage.errors import CicimageError, ConfigurationError, counted
from cicimage.experiment import ExperimentFile, Position
from cicimage.experiment.design import refuse_twins, refuse_unprintable, survey
from cicimage.experiment.discovery import WELL_FIELD, Found, endings_said, find_recordings
from cicimage.experiment.layout import LAYOUT_COLUMNS
from cicimage.experiment.schema import FilesSection
from cicimage.forks import process_context
from cicimage.guard import ask, guarded
from cicimage.recording import Preflight, preflight
from cicimage.recording.name_pattern import PatternedField, find_fields, image_files
from cicimage.recording.reader_registry import name_templates
from cicimage.store import write_text

GUESSES: Final = {
    "host": r"host|stroma|fibro|msc|bmsc|hs-?5|feeder|target",
    "guest": r"guest|cll|lymph|tumou?r|leuk|b-?cell|effector|cfse",
    "death": r"death|dead|\bpi\b|sytox|propidium|annexin|casp|7-?aad|dapi-dead",
    "host_nucleus": r"dapi|hoechst|nucle|h2b|draq",
}
PATTERNS: Final = ("{condition}/{well}_f{field}", "{condition}/{well}", "{well}_f{field}", "{well}")
PLATES: Final = ("{plate}/{well}_f{field}", "{condition}/{plate}/{well}_f{field}")
"""Tried first where a path holds several recordings that are fields of wells."""
SCENES: Final = ("{condition}/{well}/{field}", "{well}/{field}")
"""Tried first where a path holds several other recordings: scenes, stage positions, images."""
NUMBERED: Final = ("{well}_t{t}", "{well}_{t}", "{well}{t}")
"""Frames numbered at the end of their names; tried last, and where each file is one plane."""
FRAMES: Final = 3
"""Fewest files of numbered frames that are taken for a movie."""
OPENS: Final = ("cicimage.recording.opening",)
"""Modules of the process that opens the recordings, loaded while this one loads its own."""
TRIED: Final = 5
"""Recordings opened until one can be read."""


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    default=None,
    help="Where to write [default: FOLDER/experiment.toml].",
)
@click.option("--force", is_flag=True, help="Write over an experiment file that is there.")
@limit_options
def init(folder: Path, out: Path | None, force: bool, **options: Any) -> None:
    """Propose an experiment file and a layout for the recordings in FOLDER; every guess is marked in it."""
    limits = limits_of(options)
    process_context(OPENS)
    with guarded(limits):
        _propose(folder, out, force=force)


def _propose(folder: Path, out: Path | None, *, force: bool) -> None:
    out = out or folder / "experiment.toml"
    layout = out.with_name("layout.csv")
    for path in (out, layout):
        if path.exists() and not force:
            raise ConfigurationError(
                f"{path}: is there already and may hold your work; use -o or --force to write over it"
            )
    seen = _survey(folder)
    refuse_unprintable(seen.positions)
    recording, facts = _look(seen.positions)
    root = "." if out.parent.resolve() == folder.resolve() else str(folder.resolve())
    write_text(out, _toml(folder.name, root, seen, recording, facts))
    write_text(layout, _layout(seen))
    conditions = len({p.condition for p in seen.positions})
    echo(
        f"{counted(len(seen.positions), 'recording')}"
        + ("" if seen.plates else f" in {counted(conditions, 'condition')}")
    )
    for sentence in (*seen.left, *_twins(seen.positions)):
        echo(f"warning: {sentence}")
    if seen.plates:
        echo("conditions are unknown: fill in column condition of layout.csv, or set files.plate_map")
    echo(f"wrote {out} and {layout}; look for 'guessed' and 'unknown' in them, then: cicimage check {out}")


@dataclass(frozen=True)
class _Seen:
    """What lies in a folder, and how its names are read."""

    files: FilesSection
    positions: list[Position]
    left: tuple[str, ...]

    @property
    def plates(self) -> bool:
        """Whether the recordings are fields of wells, whose conditions their names do not tell."""
        return "{condition}" not in self.files.pattern


def _survey(folder: Path) -> _Seen:
    """The way of reading the names that makes most of them recordings."""
    found = find_recordings(folder, FilesSection(series="all"))
    several = [f.stem.rpartition("/")[2] for f in found if f.series is not None]
    within = () if not several else PLATES if all(WELL_FIELD.fullmatch(n) for n in several) else SCENES
    best: _Seen | None = None
    for pattern in (*within, *PATTERNS):
        files = FilesSection(pattern=pattern, series="all") if several else FilesSection(pattern=pattern)
        positions, left = survey(folder, ExperimentFile(files=files), found)
        if len(positions) > (len(best.positions) if best else 0):
            best = _Seen(files, positions, left)
    return _by_names(folder, found) or best or _nothing(folder, found)


def _by_names(folder: Path, found: list[Found]) -> _Seen | None:
    """Files of one plane each, where most files are such ones."""
    listed = image_files(folder)
    for name in (*name_templates(), *NUMBERED):
        for pattern in ("{condition}/" + name, name):
            fields = find_fields(folder, pattern, listed)
            planes = sum(len(f.files) for f in fields)
            if planes <= max(len(fields), len(found) / 2) or not _fits(name, fields):
                continue
            files = FilesSection(pattern=pattern)
            return _Seen(files, *survey(folder, ExperimentFile(files=files)))
    return None


def _fits(template: str, fields: Sequence[PatternedField]) -> bool:
    """Whether files that fit a template's text also are what it says.

    Folders are channels where they hold the same names; numbers are time points where each file is one plane.
    """
    if template.startswith("{channel}/"):
        folders: dict[str, set[str]] = {}
        for file in (file for field in fields for file in field.files):
            folders.setdefault(file.parent.name, set()).add(file.name)
        return len(folders) > 1 and all(names == next(iter(folders.values())) for names in folders.values())
    if template in NUMBERED:
        return all(len(f.files) >= FRAMES for f in fields) and _is_one_plane(fields[0].files[0])
    return True


def _is_one_plane(path: Path) -> bool:
    try:
        return all(ask(path, preflight, path).sizes[axis] == 1 for axis in "TCZ")
    except CicimageError:
        return False


def _nothing(folder: Path, found: list[Found]) -> _Seen:
    _, left = survey(folder, ExperimentFile(files=FilesSection(pattern=PATTERNS[0])), found)
    said = "".join(f"; {sentence}" for sentence in left)
    raise ConfigurationError(
        f"{folder}: no recording found with an ending of {endings_said()}; name the folder that holds them{said}"
    )


def _twins(positions: list[Position]) -> Iterator[str]:
    try:
        refuse_twins(positions)
    except ConfigurationError as error:
        yield str(error)


def _look(positions: list[Position]) -> tuple[Preflight | None, list[str]]:
    """The first recording that can be read, and what was seen."""
    facts = list[str]()
    for position in positions[:TRIED]:
        try:
            found = ask(position.path, open_series, position.path, position.series)
            return found, [*facts, *_facts(found, position)]
        except CicimageError as error:
            facts.append(f"# could not be opened: {' '.join(str(error).split())}")
    return None, facts


def open_series(path: Path, series: int | None) -> Preflight:
    """Put one recording of a path through the gate; a function of a module, so that a child process can be asked.

    Parameters
    ----------
    path : Path
        File or folder.
    series : int or None
        Which of its recordings, 0-based.

    Raises
    ------
    RecordingError
        It is not sound.
    """
    return preflight(path, series=series)


def _facts(recording: Preflight, position: Position) -> list[str]:
    sizes = ", ".join(f"{k} {v}" for k, v in recording.sizes.items())
    return [f"# seen in {position.position}: {sizes}, {recording.dtype}"]


def _toml(name: str, root: str, found: _Seen, seen: Preflight | None, facts: Iterable[str]) -> str:
    conditions = [""] if found.plates else list(dict.fromkeys(p.condition for p in found.positions))
    reference = next((c for c in conditions if re.search(r"vehicle|control|dmso|ctrl|untreated|^NO$", c, re.I)), None)
    lines = ["schema_version = 1", *facts, "", "[experiment]", f"name = {_quote(name)}"]
    lines.append(
        f"reference = {_quote(reference)}  # guessed from the name"
        if reference
        else f"# reference = {_quote(conditions[0])}  # unknown: the condition the others are compared against"
    )
    lines += ["", "[files]", f"root = {_quote(root)}", f"pattern = {_quote(found.files.pattern)}"]
    if found.files.series == "all":
        lines.append('series = "all"  # guessed: files or exports hold several recordings, each is one of its own')
    if found.plates:
        lines.append('# plate_map = "platemap.csv"  # unknown: a grid with the condition of each well')
    lines += ["", "[channels]"]
    lines += _channels(seen)
    lines += ["", "[optics]", *_optics(seen), ""]
    return "\n".join(lines)


def _quote(text: str) -> str:
    return json.dumps(text.encode("utf-8", "replace").decode(), ensure_ascii=False).replace("\x7f", "\\u007f")


def _channels(seen: Preflight | None) -> list[str]:
    names = list(seen.metadata.channel_names or []) if seen is not None else []
    count = seen.sizes["C"] if seen is not None else 0
    lines = [f"# channels: {', '.join(f'{i}: {n}' for i, n in enumerate(names))}"] if names else []
    taken: set[int] = set()
    for role, expression in GUESSES.items():
        match = next((i for i, n in enumerate(names) if i not in taken and re.search(expression, n, re.I)), None)
        if match is not None:
            taken.add(match)
            lines.append(f"{role} = {_quote(names[match])}  # guessed from the name")
        elif role in {"host", "guest"}:
            free = next((i for i in range(count) if i not in taken), None)
            if free is None and taken:
                lines.append(f"# {role} =   # unknown: no channel is left; one stain for both roles: see [populations]")
                continue
            taken.add(free or 0)
            lines.append(f"{role} = {free or 0}  # guessed: the first channel not yet used; name or 0-based index")
        else:
            lines.append(f'# {role} = ""  # unknown; leave out where there is none')
    return lines


def _optics(seen: Preflight | None) -> list[str]:
    lines = []
    for key, unit in (
        ("um_per_px", "um"), ("um_per_z", "um, stage step"), ("frame_interval_s", "s"), ("na", "numerical aperture"),
        ("immersion", "air | water | oil | glycerol"),
        ("modality", "confocal | spinning_disk | widefield | brightfield"),
    ):  # fmt: skip
        value = getattr(seen.metadata, key, None) if seen is not None else None
        if key == "um_per_z" and seen is not None and seen.sizes["Z"] == 1:
            continue
        if value is None:
            lines.append(f"# {key} =   # unknown: {unit}")
        else:
            lines.append(f"# {key} = {value if not isinstance(value, str) else _quote(value)}  # the recordings say so")
    return lines


def _layout(seen: _Seen) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(LAYOUT_COLUMNS)
    for p in {p.position: p for p in seen.positions}.values():
        condition = "" if seen.plates else p.condition
        writer.writerow([p.position, condition, p.replicate, p.donor, "", "", p.plate, ""])
    return text.getvalue()
