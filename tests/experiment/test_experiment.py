"""The experiment file and the layout are strict, and say what does not fit."""

import json
from pathlib import Path

import pytest

from cicimage.errors import ConfigurationError
from cicimage.experiment import json_schema, load_experiment, parse

LONG = """
schema_version = 1
[populations.tumour]
channel = "MyrPalm"
stain = "membrane"
roles = ["host", "guest"]
diameter_um = [12, 25]
[populations.t_cell]
channel = "CFSE"
roles = ["effector"]
[markers.death]
channel = "Death"
kind = "pi"
"""


def folder(tmp_path, *names, toml=None, layout=None):
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    if toml is not None:
        (tmp_path / "experiment.toml").write_text(toml, encoding="utf-8")
    if layout is not None:
        (tmp_path / "layout.csv").write_text(layout, encoding="utf-8")
    return tmp_path


# ---------------------------------------------------------------- the file


def test_the_short_form_means_a_host_and_a_guest():
    file = parse('[channels]\nhost = "Stroma"\nguest = 1\ndeath = "PI"')
    populations = file.resolved_populations()
    assert populations["host"].channel == "Stroma"
    assert populations["host"].diameter_um == (50, 150)
    assert populations["guest"].diameter_um == (6, 12)
    assert file.resolved_markers()["death"].kind == "pi"


def test_the_long_form_holds_a_homotypic_population():
    file = parse(LONG)
    assert file.resolved_populations()["tumour"].roles == ("host", "guest")
    assert not file.resolved_markers()["death"].reaches_inside


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[optics]\nnaa = 0.9", r"unknown key 'naa' in \[optics\]; did you mean 'na'"),
        ("[optic]\nna = 0.9", "unknown key 'optic' in the top level; did you mean 'optics'"),
        ("[populations.h]\nchanel = 1\nroles=['host']", "did you mean 'channel'"),
        ("[optics]\nna = -1", "optics.na = -1 is not allowed"),
        ("[optics]\num_per_px = nan", "um_per_px = nan is not allowed"),
        ("[optics]\num_per_px = true", "um_per_px = True is not allowed: must be a number or a text"),
        ("[channels]\nhost = true\nguest = 0", "channels.host = True is not allowed: must be a number or a text"),
        ("schema_version = 2", "schema_version must be 1, is 2"),
        ("[optics\nna = 1", "not valid TOML"),
        ("[methods.segment]\nmethod = 'x'", r"\[methods\] step 'segment' is not known; did you mean 'segment_"),
        ("[methods.score]\nmethod = 'none'", "score cannot be switched off"),
        ("[files]\naxes = 'TCXY'", "must be T, C, Z in the order of the planes"),
        (LONG.replace('"host", ', ""), "exactly one with the role 'host', found 0"),
        (LONG + "[channels]\nhost = 'x'", "short form"),
        ("[channels]\nhost = 'GFP'\nguest = 'GFP'", "host and guest must be two channels, both are 'GFP'"),
        ("[populations.h]\nchannel=1\nroles=['host']\ndiameter_um=[9,6]", "must rise"),
    ],
)
def test_what_does_not_fit_is_said_in_one_sentence(text, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        parse(text)


def test_the_published_schema_is_the_one_in_force():
    path = Path(__file__).parents[2] / "docs" / "experiment.schema.json"
    assert json.loads(path.read_text()) == json_schema()


# ---------------------------------------------------------------- folders and layouts


def test_a_plain_folder_is_an_experiment(tmp_path):
    root = folder(tmp_path, "vehicle/A1_f1.tif", "vehicle/A1_f2.ome.tif", "NO/1E5.tif", "notes.txt", ".trash/x_f1.tif")
    found = load_experiment(root)
    assert [(p.position, p.condition, p.replicate) for p in found.positions] == [
        ("NO/1E5", "NO", "1E5"), ("vehicle/A1_f1", "vehicle", "A1"), ("vehicle/A1_f2", "vehicle", "A1"),
    ]  # fmt: skip
    assert found.conditions == ["NO", "vehicle"]


def test_the_layout_brings_donors_and_factors(tmp_path):
    root = folder(
        tmp_path, "a/w1_f1.tif", "b/w2_f1.tif",
        layout="position,donor,time_zero_h,btki\na/w1_f1,D1,,0\nb/w2_f1,007,1.5,1\n",
    )  # fmt: skip
    layout = load_experiment(root).layout()
    assert layout["donor"].tolist() == ["D1", "007"]
    assert layout["time_zero_h"].tolist() == [0.0, 1.5]
    assert layout["btki"].tolist() == ["0", "1"]
    semicolons = (root / "layout.csv").read_text(encoding="utf-8").replace(",", ";")
    (root / "layout.csv").write_text(semicolons, encoding="utf-8-sig")  # as a German Excel saves it
    assert load_experiment(root).layout().equals(layout)


@pytest.mark.parametrize(
    ("layout", "sentence"),
    [
        (
            "position,donor\na/w1_f1,D1\nc/w9_f1,D2\n",
            r"rows without a recording: c/w9_f1; recordings without a row: b/w2_f1",
        ),
        ("position,donor\na/w1_f1,D1\na/w1_f1,D1\nb/w2_f1,D\n", "'a/w1_f1' stands 2 times"),
        ("well,donor\nA,D1\n", "must have a column 'position'"),
        ("position,time_zero_h\na/w1_f1,soon\nb/w2_f1,0\n", "must be a number of hours, is 'soon'"),
        ("position,donor\na/w1_f1,D1,extra\nb/w2_f1,D\n", "has a cell 'extra' in no column"),
        ("position,donor\na/w1_f1,D1\nb/w2_f1,D\0\n", "has a NUL character in line 3"),
    ],
)
def test_a_layout_that_does_not_fit_is_said(tmp_path, layout, sentence):
    root = folder(tmp_path, "a/w1_f1.tif", "b/w2_f1.tif", layout=layout)
    with pytest.raises(ConfigurationError, match=sentence):
        load_experiment(root)


def test_twins_are_refused(tmp_path):
    root = folder(tmp_path, "a/w1_f1.tif", "a/W1_f1.tif")
    with pytest.raises(ConfigurationError, match=r"two recordings are one position .*upper case"):
        load_experiment(root)


@pytest.mark.parametrize(
    ("toml", "overrides", "sentence"),
    [
        (
            "[experiment]\nreference = 'vehicel'",
            {},
            "reference condition 'vehicel' has no recordings; did you mean 'vehicle'",
        ),
        ("", {"experiment.reference": "dmso"}, "reference condition 'dmso' has no recordings"),
        ("[files]\nroot = 'gone'", {}, "files.root must be a folder"),
        ("[files]\npattern = '{cond}/{well}'", {}, "unknown field {cond}"),
        ("[files]\npattern = '{well}/{well}'", {}, "may stand once"),
        ("[files]\npattern = 'plate_{plate}/{well}'", {}, "no recording fits the pattern"),
        (
            LONG.replace('[markers.death]\nchannel = "Death"\nkind = "pi"', ""),
            {"channels.death": "2"},
            "names no marker",
        ),
    ],
)
def test_an_experiment_that_does_not_fit_is_said(tmp_path, toml, overrides, sentence):
    root = folder(tmp_path, "vehicle/w1_f1.tif", toml=toml)
    with pytest.raises(ConfigurationError, match=sentence):
        load_experiment(root, overrides)


def test_nothing_there_and_a_lone_file_are_said(tmp_path):
    with pytest.raises(ConfigurationError, match="no such file or folder"):
        load_experiment(tmp_path / "gone")
    lone = folder(tmp_path, "movie.tif") / "movie.tif"
    with pytest.raises(ConfigurationError, match="must be an experiment.toml or a folder"):
        load_experiment(lone)
    (tmp_path / "experiment.toml").write_bytes(b"name = \xff")
    with pytest.raises(ConfigurationError, match="must be UTF-8"):
        load_experiment(tmp_path)


def test_the_command_line_goes_before_the_file(tmp_path):
    root = folder(tmp_path, "vehicle/w1_f1.tif", toml='[channels]\nhost = "A"\nguest = "B"')
    loaded = load_experiment(root, {"channels.guest": "2", "channels.host": None})
    assert loaded.file.channels.guest == 2
    assert loaded.file.channels.host == "A"
    assert loaded.origins["channels.guest"] == "command line"
    long = folder(tmp_path / "long", "vehicle/w1_f1.tif", toml=LONG)
    assert load_experiment(long, {"channels.guest": "Green"}).file.populations["tumour"].channel == "Green"
