"""Recordings and their design: condition, well and donor of each."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import pandas as pd

from cicimage.errors import ConfigurationError, RecordingError, nearest
from cicimage.experiment.discovery import Found, endings_said, find_recordings, unread
from cicimage.experiment.layout import LAYOUT_COLUMNS, apply_layout
from cicimage.experiment.plate_map import apply_plate_map
from cicimage.experiment.position import Position
from cicimage.experiment.schema import ChannelsSection, ExperimentFile, parse, validated
from cicimage.experiment.spreadsheet import MOST_TEXT_BYTES
from cicimage.methods import STEPS, available
from cicimage.recording.name_pattern import find_fields, is_template
from cicimage.regular import require_regular


@dataclass(frozen=True)
class Experiment:
    """A set of recordings with a design.

    Attributes
    ----------
    file : ExperimentFile
        Settings, resolved as command line > file > default; metadata of each recording fill the gaps later.
    positions : tuple of Position
        In the order of their names.
    source : Path
        Experiment file, or the folder where there is none.
    origins : mapping of str to str
        Dotted name of each setting that is no default to where it came from: ``command line`` or ``file``.
    unread : tuple of str
        Files in the folder that are not read, one sentence per reason.
    """

    file: ExperimentFile
    positions: tuple[Position, ...]
    source: Path
    origins: Mapping[str, str] = field(default_factory=dict)
    unread: tuple[str, ...] = ()

    def layout(self) -> pd.DataFrame:
        """The design as a table, one row per position; factors are further columns."""
        rows = [
            {
                "position": p.position, "condition": p.condition, "replicate": p.replicate, "donor": p.donor,
                "host_donor": p.host_donor, "experiment": p.experiment, "plate": p.plate, "time_zero_h": p.time_zero_h,
                **p.factors,
            }
            for p in self.positions
        ]  # fmt: skip
        return pd.DataFrame(rows, columns=None if rows else list(LAYOUT_COLUMNS))

    @property
    def conditions(self) -> list[str]:
        """Conditions in order of first position."""
        return list(dict.fromkeys(p.condition for p in self.positions))


def load_experiment(source: Path, overrides: Mapping[str, Any] | None = None) -> Experiment:
    """Read an experiment file (with its layout.csv) or a plain folder of recordings.

    Parameters
    ----------
    source : Path
        experiment.toml, a folder that holds one, or a folder ``<condition>/<well>_f<field>.<ext>``.
    overrides : mapping, optional
        Settings of the command line by dotted name, e.g. ``{"experiment.reference": "vehicle"}``; None leaves a setting
        as it is.

    Returns
    -------
    Experiment
        With at least one position.

    Raises
    ------
    ConfigurationError
        The source does not exist, no recording is found, or file, layout and recordings contradict each other.
    """
    source = Path(source)
    if not source.exists():
        raise ConfigurationError(f"{source}: no such file or folder; name an experiment.toml or a folder of recordings")
    toml = source if source.is_file() else source / "experiment.toml"
    if source.is_file() and source.suffix != ".toml":
        raise ConfigurationError(
            f"{source}: must be an experiment.toml or a folder; "
            "put the recording into <folder>/<condition>/ and name <folder>"
        )
    if toml.exists():
        file, base = parse(_read_text(toml), str(toml)), toml.parent
        origins = dict.fromkeys(_set_fields(file), "file")
    else:
        file, base, origins = ExperimentFile(), source, {}
    file, applied = override(_with_paths(file, base), overrides or {})
    origins |= applied
    root = (base / file.files.root).resolve()
    if not root.is_dir():
        raise ConfigurationError(f"{toml}: files.root must be a folder, {root} is none; mend files.root")
    positions, left = survey(root, file)
    if file.files.plate_map:
        positions = apply_plate_map(positions, base / file.files.plate_map)
    layout = base / "layout.csv"
    if layout.exists():
        positions = apply_layout(positions, layout)
    if not positions:
        raise ConfigurationError(
            f"{root}: no recording fits the pattern {file.files.pattern!r} with an ending of {endings_said()}; "
            "sort them as <condition>/<well>_f<field>.tif or set files.pattern (`cicimage init` proposes one)"
            + "".join(f"; {sentence}" for sentence in left)
        )
    refuse_unprintable(positions)
    refuse_twins(positions)
    reference = file.experiment.reference
    conditions = {p.condition for p in positions}
    if reference is not None and reference not in conditions:
        raise ConfigurationError(
            f"reference condition {reference!r} has no recordings; {nearest(reference, conditions)}"
        )
    return Experiment(file, tuple(positions), toml if toml.exists() else source, origins, left)


def _with_paths(file: ExperimentFile, base: Path) -> ExperimentFile:
    """Make full paths of options of methods that name files, which are relative to the experiment file."""
    methods = {}
    for step, table in file.methods.items():
        entry = available(step).get(str(table.get("method"))) if step in STEPS else None
        fields = entry.load().model_fields if entry is not None and len(table) > 1 else {}
        named = {k for k in table if k in fields and Path in (fields[k].annotation, *get_args(fields[k].annotation))}
        methods[step] = {k: str((base / v).resolve()) if k in named and v else v for k, v in table.items()}
    return file.model_copy(update={"methods": methods})


def _read_text(path: Path) -> str:
    require_regular(path, ConfigurationError, most_bytes=MOST_TEXT_BYTES)
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: must be UTF-8 text, byte {error.start} is not; save it as UTF-8") from None
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read ({error.strerror}); it must be a text file") from None


def _set_fields(file: ExperimentFile) -> list[str]:
    names = []
    for section in file.model_fields_set:
        value = getattr(file, section)
        inner = getattr(value, "model_fields_set", None)
        names += [f"{section}.{f}" for f in sorted(inner)] if inner is not None else [section]
    return names


def override(file: ExperimentFile, overrides: Mapping[str, Any]) -> tuple[ExperimentFile, dict[str, str]]:
    """Apply values of the command line to the settings of the file.

    ``channels.host`` and the like also apply to a long-form file, where they set the channel of the role.

    Parameters
    ----------
    file : ExperimentFile
        Settings of the file.
    overrides : mapping of str to object
        Values by dotted name, ``section.key``; None leaves a setting as it is.

    Returns
    -------
    file : ExperimentFile
        New settings.
    origins : dict of str to str
        ``command line`` by dotted name of each setting that was applied.

    Raises
    ------
    ConfigurationError
        A channel is given for a role or marker that the long-form file does not declare, or a value does not conform to
        the schema.
    """
    origins: dict[str, str] = {}
    data = file.model_dump(exclude_unset=True)
    for name, value in overrides.items():
        if value is None:
            continue
        section, key = name.split(".", 1)
        if section == "channels" and file.populations:
            target = _long_form(file, key)
            data[target[0]][target[1]]["channel"] = _channel(value)
        else:
            part = data.setdefault(section, {})
            if section == "channels" and file.channels is None:
                part = data[section] = ChannelsSection().model_dump(exclude_none=True) | part
            part[key] = _channel(value) if section == "channels" else value
        origins[name] = "command line"
    return validated(data, "command line"), origins


def _channel(value: str) -> str | int:
    return int(value) if isinstance(value, str) and value.isdigit() else value


def _long_form(file: ExperimentFile, role: str) -> tuple[str, str]:
    if role == "death":
        for name in file.markers:
            return "markers", name
        raise ConfigurationError("--death: the experiment file names no marker; add [markers.death] to it")
    for name, population in file.populations.items():
        if role in population.roles:
            return "populations", name
    raise ConfigurationError(f"--{role}: no population has the role {role!r}; add it to [populations]")


# ---------------------------------------------------------------- files


def survey(
    root: Path, file: ExperimentFile, found: list[Found] | None = None
) -> tuple[list[Position], tuple[str, ...]]:
    """Find the recordings below a folder whose path fits ``files.pattern``, and list what else lies there.

    Parameters
    ----------
    root : Path
        Folder.
    file : ExperimentFile
        Its section ``[files]`` applies, and ``experiment.time_zero_h``.
    found : list of Found, optional
        Recordings below ``root``, where they have been found before.

    Returns
    -------
    positions : list of Position
        In the order of their names; donor and plate as far as the path has them.
    unread : tuple of str
        Files that are not read, one sentence per reason.

    Raises
    ------
    ConfigurationError
        The pattern has an unknown or repeated placeholder.
    """
    if is_template(file.files.pattern):
        return _patterned(root, file), ()
    pattern = _compile(file.files.pattern)
    found = find_recordings(root, file.files) if found is None else found
    positions = []
    for one in found:
        match = pattern.fullmatch(one.stem)
        if match is not None:
            positions.append(_placed(one, match.groupdict(), file))
    left = unread(root, file.files, found, {f.stem for f in found if pattern.fullmatch(f.stem)})
    return positions, left


def _placed(found: Found, parts: Mapping[str, str | None], file: ExperimentFile) -> Position:
    stem = found.stem
    condition = parts.get("condition") or (Path(stem).parts[0] if "/" in stem else "all")
    whole = found.series is not None or "condition" not in parts  # wells of two plates may have one name
    return Position(
        position=stem if whole else f"{condition}/{Path(stem).name}",
        path=found.path,
        condition=condition,
        replicate=parts.get("well") or Path(stem).name,
        series=found.series,
        donor=parts.get("donor") or "",
        plate=parts.get("plate") or "",
        time_zero_h=file.experiment.time_zero_h,
    )


def _patterned(root: Path, file: ExperimentFile) -> list[Position]:
    """Recordings made of many files, each a plane that its name identifies."""
    try:
        fields = find_fields(root, file.files.pattern)
    except RecordingError as error:
        raise ConfigurationError(f"files.pattern: {error}") from None
    positions = []
    for one in fields:
        v = one.values
        first = one.path.relative_to(root).parts[0]
        condition = v.get("condition") or ("all" if one.path.parent == root else first)
        names = [v[k] for k in ("plate", "donor", "well") if k in v]
        names += [f"f{v['field']}"] if "field" in v else []
        positions.append(Position(
            position=f"{condition}/{'_'.join(names) or one.path.parent.name}", path=one.path, condition=condition,
            replicate=v.get("well") or v.get("field") or one.path.parent.name, donor=v.get("donor", ""),
            plate=v.get("plate", ""), time_zero_h=file.experiment.time_zero_h,
        ))  # fmt: skip
    return positions


def _compile(pattern: str) -> re.Pattern[str]:
    allowed = {"condition": r"[^/]+", "well": r"[^/]+?", "field": r"[^/_]+", "plate": r"[^/]+", "donor": r"[^/_]+"}
    out, seen = "", set()
    for literal, name in re.findall(r"([^{}]*)(?:\{(\w+)\})?", pattern):
        out += re.escape(literal)
        if not name:
            continue
        if name not in allowed:
            raise ConfigurationError(
                f"files.pattern: unknown field {{{name}}} in {pattern!r}; {nearest(name, allowed)}"
            )
        if name in seen:
            raise ConfigurationError(
                f"files.pattern: field {{{name}}} may stand once, {pattern!r} has it twice; drop one"
            )
        seen.add(name)
        out += f"(?P<{name}>{allowed[name]})"
    # a recording named by its well alone is its field 1
    if out.endswith(f"_f(?P<field>{allowed['field']})"):
        out = out.removesuffix(f"_f(?P<field>{allowed['field']})") + f"(?:_f(?P<field>{allowed['field']}))?"
    return re.compile(out)


def refuse_unprintable(positions: list[Position]) -> None:
    """Raise ConfigurationError where a name would break the lines and tables it is written into."""
    for p in positions:
        if any(ord(c) < 32 or ord(c) == 127 or 0xD800 <= ord(c) < 0xE000 for c in p.position):
            raise ConfigurationError(
                f"{p.position!a}: names of folders and files must be plain text, this one has a line break, a tab "
                "or bytes that are no UTF-8; rename it"
            )


def refuse_twins(positions: list[Position]) -> None:
    """Raise ConfigurationError where names of positions differ only in case, accents or file endings."""

    def fold(name: str) -> str:
        return unicodedata.normalize("NFC", name).casefold()

    counts = Counter(fold(p.position) for p in positions)
    twins = [p for p in positions if counts[fold(p.position)] > 1]
    if twins:
        same = [p for p in twins if fold(p.position) == fold(twins[0].position)]
        raise ConfigurationError(
            f"two recordings are one position {same[0].position!r}: {same[0].path} and {same[1].path}; "
            "each position needs a name of its own (upper case, accents and endings do not tell them apart)"
        )
