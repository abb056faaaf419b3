"""`cicimage init`: look at a folder, propose an experiment file and layout."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import click

from cicimage.errors import CicimageError, ConfigurationError
from cicimage.experiment import ExperimentFile, Position
from cicimage.experiment.design import LAYOUT_COLUMNS, SUFFIXES, discover
from cicimage.recording import Recording, open_recording
from cicimage.store import write_text

GUESSES: Final = {
    "host": r"host|stroma|fibro|msc|bmsc|hs-?5|feeder|target",
    "guest": r"guest|cll|lymph|tumou?r|leuk|b-?cell|effector|cfse",
    "death": r"death|dead|\bpi\b|sytox|propidium|annexin|casp|7-?aad|dapi-dead",
    "host_nucleus": r"dapi|hoechst|nucle|h2b|draq",
}
PATTERNS: Final = ("{condition}/{well}_f{field}", "{condition}/{well}", "{well}_f{field}")


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
def init(folder: Path, out: Path | None, force: bool) -> None:
    """Propose an experiment file and a layout for the recordings in FOLDER; every guess is marked in it."""
    out = out or folder / "experiment.toml"
    layout = out.with_name("layout.csv")
    for path in (out, layout):
        if path.exists() and not force:
            raise ConfigurationError(
                f"{path}: is there already and may hold your work; use -o or --force to write over it"
            )
    pattern, positions = _positions(folder)
    seen, metadata_lines = _look(positions[0])
    root = "." if out.parent.resolve() == folder.resolve() else str(folder.resolve())
    write_text(out, _toml(folder.name, root, pattern, positions, seen, metadata_lines))
    write_text(layout, _layout(positions))
    click.echo(f"{len(positions)} recordings in {len({p.condition for p in positions})} conditions")
    click.echo(f"wrote {out} and {layout}; look for 'guessed' and 'unknown' in them, then: cicimage check {out}")


def _positions(folder: Path) -> tuple[str, list[Position]]:
    best: tuple[str, list[Position]] = ("", [])
    for pattern in PATTERNS:
        found = discover(folder, ExperimentFile.model_validate({"files": {"pattern": pattern}}))
        if len(found) > len(best[1]):
            best = (pattern, found)
    if not best[1]:
        raise ConfigurationError(
            f"{folder}: no recording found with an ending of {', '.join(SUFFIXES)}; name the folder that holds them"
        )
    return best


def _look(position: Position) -> tuple[Recording | None, list[str]]:
    try:
        with open_recording(position.path) as recording:
            return recording, _facts(recording, position)
    except CicimageError as error:
        return None, [f"# the first recording could not be opened: {error}"]


def _facts(recording: Recording, position: Position) -> list[str]:
    sizes = ", ".join(f"{k} {v}" for k, v in recording.sizes.items())
    return [f"# seen in {position.position}: {sizes}, {recording.dtype}"]


def _toml(
    name: str, root: str, pattern: str, positions: list[Position], seen: Recording | None, facts: Iterable[str]
) -> str:
    conditions = list(dict.fromkeys(p.condition for p in positions))
    reference = next((c for c in conditions if re.search(r"vehicle|control|dmso|ctrl|untreated|^NO$", c, re.I)), None)
    lines = ["schema_version = 1", *facts, "", "[experiment]", f"name = {_quote(name)}"]
    lines.append(
        f"reference = {_quote(reference)}  # guessed from the name"
        if reference
        else f"# reference = {_quote(conditions[0])}  # unknown: the condition the others are compared against"
    )
    lines += ["", "[files]", f"root = {_quote(root)}", f"pattern = {_quote(pattern)}", "", "[channels]"]
    lines += _channels(seen)
    lines += ["", "[optics]", *_optics(seen), ""]
    return "\n".join(lines)


def _quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _channels(seen: Recording | None) -> list[str]:
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


def _optics(seen: Recording | None) -> list[str]:
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


def _layout(positions: list[Position]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(LAYOUT_COLUMNS)
    for p in positions:
        writer.writerow([p.position, p.condition, p.replicate, p.donor, "", "", p.plate, ""])
    return text.getvalue()
