"""What a message tells the user to write is taken where the user would write it.

Every text in the program (documentation strings left out) is read for keys of the experiment file, columns of the
layout, commands and options, and each is tried.
"""

import ast
import importlib
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import tifffile

from cicimage.cli import COMMANDS
from cicimage.errors import ConfigurationError, RecordingError
from cicimage.experiment import load_experiment, parse
from cicimage.experiment.schema import (
    ChannelsSection,
    DesignSection,
    ExperimentFile,
    FilesSection,
    MarkerSection,
    OpticsSection,
    PopulationSection,
)
from cicimage.methods import STEPS
from cicimage.recording import open_recording
from cicimage.recording.axes import parse_axes

ROOT = Path(__file__).parents[2]
SECTIONS = {
    "experiment": DesignSection, "files": FilesSection, "channels": ChannelsSection, "optics": OpticsSection,
    "populations": PopulationSection, "markers": MarkerSection,
}  # fmt: skip
HOLE = "{}"
NOT_KEYS = {"optics.json", "experiment.toml", "files.parquet", "experiment.schema"}
OTHER_PROGRAMS = {"--prefix", "--no-deps"}
VALUES = {"slice": "3", "plane_um": "2.0"}
"""What stands in the holes of messages that name a key with a value."""
SET = re.compile(r"\b(experiment|files|channels|optics)\.([a-z_]+|\{\})")
GIVEN = re.compile(r"([a-z_]+|\{\}) in (?:the )?\[([a-z]+)\]")
WITH_VALUE = re.compile(
    r"\b(?:(experiment|files|channels|optics)\.)?([a-z_]+) = ('[^']+'|\"[^\"]+\"|true|\{\}|\[[^]]+\])"
)
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
COMMAND = re.compile(r"`cicimage ([a-z]+)([^`]*)`")


def texts(source):
    """Texts of a module, holes for what is filled in; no documentation strings."""
    tree = ast.parse(source)
    bare = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
    inner = {id(v) for n in ast.walk(tree) if isinstance(n, ast.JoinedStr) for v in n.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(v.value) if isinstance(v, ast.Constant) else HOLE for v in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and not {id(node)} & (bare | inner):
            yield node.value


@cache
def messages():
    found = []
    for path in sorted((ROOT / "cicimage").rglob("*.py")):
        found += [(path.relative_to(ROOT).as_posix(), t) for t in texts(path.read_text(encoding="utf-8")) if " " in t]
    return found


@cache
def options_of(command):
    click_command = getattr(importlib.import_module(f"cicimage.cli.{command}"), command)
    return {o for p in click_command.params for o in (*p.opts, *p.secondary_opts)} | {"--help"}


def faults(where, text):
    """What a text tells the user to write that would be refused."""
    out = []
    keys = [(s, k) for s, k in SET.findall(text) if f"{s}.{k}" not in NOT_KEYS]
    keys += [(s, k) for k, s in GIVEN.findall(text) if s in SECTIONS]
    for section, key in keys:
        if key != HOLE and key not in SECTIONS[section].model_fields:
            out.append(f"no key {key} in [{section}]")
    for section, key, value in WITH_VALUE.findall(text):
        homes = [section] if section else [s for s, m in SECTIONS.items() if key in m.model_fields]
        written = value if HOLE not in value else VALUES.get(key)
        if written is not None and homes and not any(accepted(s, key, written) for s in homes):
            out.append(f"{key} = {value} is refused")
    named = COMMAND.findall(text)
    out += [f"no command {c}" for c, _ in named if c not in COMMANDS]
    for option in set(OPTION.findall(text)) - OTHER_PROGRAMS:
        own = [c for c, rest in named if option in rest]
        stem = Path(where).stem
        asked = own or ([stem] if where.startswith("cicimage/cli/") and stem in COMMANDS else list(COMMANDS))
        if not any(option in options_of(c) for c in asked if c in COMMANDS):
            out.append(f"no option {option} of {', '.join(asked)}")
    return out


def accepted(section, key, value):
    table = {"populations": "[populations.one]\nchannel = 0", "markers": "[markers.one]\nchannel = 0"}
    head = table.get(section, f"[{section}]")
    roles = '\nroles = ["host", "guest"]' if section == "populations" and key != "roles" else ""
    try:
        parse(f"{head}{roles}\n{key} = {value}")
    except ConfigurationError:
        return False
    return True


def test_every_remedy_of_every_message_is_taken():
    found = {f"{where}: {text[:90]!r}": bad for where, text in messages() if (bad := faults(where, text))}
    assert not found


def test_the_messages_that_are_read_are_those_that_name_remedies():
    """The patterns catch what they are for: so many of each kind are there."""
    read = [t for _, t in messages()]
    for pattern, least in ((SET, 8), (GIVEN, 8), (WITH_VALUE, 6), (OPTION, 30), (COMMAND, 20)):
        assert sum(bool(pattern.search(t)) for t in read) >= least, pattern


@pytest.mark.parametrize(
    "text",
    [
        "set files.sclice", "give um_per_pixel in [optics]", "write axes = 'TQYX' in [files]", "raise --time-out",
        "run `cicimage rum`", "rebuild with `cicimage report --workers`", "set files.slice = 'three'",
        "optics.override_metadata = 'perhaps'",
    ],
)  # fmt: skip
def test_a_remedy_that_would_be_refused_is_found(text):
    assert faults("cicimage/recording/made_up.py", text)


def test_steps_and_columns_that_messages_name_are_there():
    for where, text in messages():
        for step in re.findall(r"\[methods\.?\] step '([a-z_]+)'", text):
            assert step in STEPS, where
        for column in re.findall(r"column ([a-z_]+)[^.]* (?:of|to) layout\.csv", text):
            assert column in ("condition", "donor"), where


# ---------------------------------------------------------------- remedies about axes, followed to the end


def write(path, n=12, ome=False, imagej=None, colour=False):
    movie = np.random.default_rng(1).integers(0, 900, (n, 8, 9, *((3,) if colour else ())), np.uint16)
    kind = {"photometric": "rgb" if colour else "minisblack"}
    if ome:
        tifffile.imwrite(path, movie, ome=True, metadata={"axes": "ZYX"}, **kind)
    elif imagej:
        tifffile.imwrite(path, movie, imagej=True, metadata={"axes": imagej}, **kind)
    else:
        with tifffile.TiffWriter(path) as file:
            for page in movie:
                file.write(page, metadata=None, contiguous=False, **kind)
    return path


def opened(folder, path, axes):
    """Sizes of a recording with axes in the experiment file, by the file's own door."""
    toml = folder / "experiment.toml"
    toml.write_text("schema_version = 1\n[files]\n" + (f"axes = {axes}\n" if axes else ""))
    reading = load_experiment(folder).file.files.reading()
    with open_recording(path, **reading) as recording:
        return {k: v for k, v in recording.sizes.items() if k in "TCZ"}


def remedy(folder, path, axes):
    with pytest.raises(RecordingError) as caught:
        opened(folder, path, axes)
    return re.search(r"(?:e\.g\. (?:axes = )?|or write )('[^']+')", str(caught.value))[1]


@pytest.mark.parametrize("kind", ["plain", "ome", "imagej"])
@pytest.mark.parametrize("axes", ["TYX", "TCYX", "CTYX", "TZCYX"])
def test_axes_that_a_message_proposes_open_the_recording(tmp_path, kind, axes):
    """From no axes, or from axes that do not fit, each message's own words lead to a recording that opens."""
    (tmp_path / "v").mkdir()
    path = write(tmp_path / "v" / "A1_f1.tif", ome=kind == "ome", imagej="ZYX" if kind == "imagej" else None)
    if kind == "plain":
        assert opened(tmp_path, path, remedy(tmp_path, path, None)) == {"T": 12, "C": 1, "Z": 1}
    said = f"'{axes}'"
    for _ in range(4):
        try:
            sizes = opened(tmp_path, path, said)
            break
        except RecordingError:
            said = remedy(tmp_path, path, said)
    assert np.prod(list(sizes.values())) == 12


def test_colour_pixels_are_opened_as_written(tmp_path):
    (tmp_path / "v").mkdir()
    path = write(tmp_path / "v" / "A1_f1.tif", n=4, colour=True)
    assert opened(tmp_path, path, "'TYXS'") == opened(tmp_path, path, "'TYX'") == {"T": 4, "C": 3, "Z": 1}


@pytest.mark.parametrize(
    "axes", ["TC2YX", "TCYX!", "TYXS", "T2C2Z2YX!", "TCYX", "tcyx", "TQYX", "XY", "", "T0YX", "YX2"]
)
def test_the_experiment_file_takes_what_the_readers_take(axes):
    def refused(take, *expected):
        try:
            take()
        except expected:
            return True
        return False

    by_file = refused(lambda: parse(f"[files]\naxes = '{axes}'"), ConfigurationError)
    assert by_file == refused(lambda: parse_axes(axes), RecordingError)
    assert by_file == (axes in ("TQYX", "XY", "", "T0YX", "YX2"))


def test_the_sections_read_here_are_the_schema_s_own():
    assert set(SECTIONS) == set(ExperimentFile.model_fields) - {"schema_version", "methods"}
