"""`cicimage check` and `cicimage init` say what they saw and what they could not know."""

import json

import numpy as np
import pytest

from cicimage.cli import main
from cicimage.errors import ConfigurationError
from cicimage.experiment import load_experiment
from cicimage.statistics.design import replication
from tests.conftest import draw_movie, write_movie

HOST = [(60, 60, 40)]
GUESTS = [(50, 50, 4), (75, 70, 4), (15, 100, 4)]


def call(*args):
    with pytest.raises(SystemExit) as done:
        main([str(a) for a in args])
    return done.value.code


def test_init_proposes_a_file_that_loads_with_guesses_marked(tmp_path, capfd):
    for condition in ("DMSO", "ibrutinib"):
        movie = draw_movie(HOST, GUESTS, frames=2)
        write_movie(tmp_path / condition / "A1_f1.ome.tif", movie, names=("Stroma-mCherry", "CLL CFSE", "SYTOX"))
    assert call("init", tmp_path) == 0
    text = (tmp_path / "experiment.toml").read_text()
    assert 'host = "Stroma-mCherry"  # guessed from the name' in text
    assert 'guest = "CLL CFSE"  # guessed' in text
    assert 'death = "SYTOX"  # guessed' in text
    assert 'reference = "DMSO"  # guessed' in text
    assert "# na =   # unknown" in text
    loaded = load_experiment(tmp_path)
    assert loaded.conditions == ["DMSO", "ibrutinib"]
    assert call("check", tmp_path) == 0
    said = capfd.readouterr().out
    assert "no test can be made: n of donors is unknown" in said
    assert "a run needs about" in said
    assert call("init", tmp_path) == 2
    assert "is there already and may hold your work" in capfd.readouterr().err


def test_init_on_a_folder_without_recordings_is_said(tmp_path, capfd):
    assert call("init", tmp_path) == 2
    assert "no recording found" in capfd.readouterr().err
    with pytest.raises(ConfigurationError):
        load_experiment(tmp_path)


def test_init_leaves_the_guest_open_where_there_is_one_channel(tmp_path):
    write_movie(tmp_path / "a" / "A1_f1.ome.tif", draw_movie(HOST, GUESTS, frames=2)[:, :1], names=("Brightfield",))
    assert call("init", tmp_path) == 0
    text = (tmp_path / "experiment.toml").read_text()
    assert "host = 0  # guessed" in text
    assert "# guest =   # unknown: no channel is left" in text


def test_check_names_positions_without_a_donor_where_others_have_one(tmp_path, capfd):
    for well in ("A1", "A2", "A3"):
        write_movie(tmp_path / "a" / f"{well}_f1.ome.tif", draw_movie(HOST, GUESTS, frames=2))
    (tmp_path / "layout.csv").write_text("position;donor\na/A1_f1;D1\na/A2_f1;D2\na/A3_f1;\n", encoding="utf-8")
    assert call("check", tmp_path) == 0
    said = capfd.readouterr().out
    assert "2 donors (D1, D2): the donor is n" in said
    assert "for want of a donor in layout.csv: a/A3_f1" in said


@pytest.mark.parametrize(
    ("donors", "experiments", "said"),
    [
        (
            ("D1",) * 3,
            ("mon", "tue", "wed"),
            "one donor (D1) in 3 independent experiments (mon, tue, wed): the",
        ),
        (("",) * 3, ("mon", "tue", "wed"), "3 independent experiments (mon, tue, wed): the experiment is n"),
        (("D1", "D2", "D3"), ("mon",) * 3, "3 donors (D1, D2, D3): the donor is n"),
        (("D1",) * 3, ("mon",) * 3, "no test can be made: n of donors is 1"),
    ],
)
def test_check_says_who_is_n_as_the_analysis_takes_it(tmp_path, capfd, donors, experiments, said):
    wells = [f"a/A{i}_f1" for i in (1, 2, 3)]
    for well in wells:
        write_movie(tmp_path / f"{well}.ome.tif", draw_movie(HOST, GUESTS, frames=2))
    rows = [",".join(row) for row in zip(wells, donors, experiments, ("BM7",) * 3, strict=True)]
    text = "\n".join(["position,donor,experiment,host_donor", *rows])
    (tmp_path / "layout.csv").write_text(text, encoding="utf-8")
    assert call("check", tmp_path) == 0
    lines = capfd.readouterr().out.splitlines()
    sentence = replication(load_experiment(tmp_path).layout()).sentence
    assert sentence.startswith(said)
    assert sentence in lines
    assert ("n = 1 on the host side" in sentence) == ("no test" not in said)


def test_check_warns_of_one_recording_under_two_names(tmp_path, capfd):
    movie = tmp_path / "a" / "A1_f1.ome.tif"
    write_movie(movie, draw_movie(HOST, GUESTS, frames=2))
    write_movie(tmp_path / "a" / "A2_f1.ome.tif", draw_movie(HOST, GUESTS, frames=2, seed=1))
    (tmp_path / "a" / "A3_f1.ome.tif").write_bytes(movie.read_bytes())
    assert call("check", tmp_path) == 0
    said = capfd.readouterr().out
    assert "warning: a/A3_f1 and a/A1_f1 hold the same recording" in said
    assert said.count("hold the same recording") == 1


def test_check_asks_about_a_column_that_is_nearly_one_it_knows(tmp_path, capfd):
    write_movie(tmp_path / "a" / "A1_f1.ome.tif", draw_movie(HOST, GUESTS, frames=2))
    (tmp_path / "layout.csv").write_text("position,doner,btki\na/A1_f1,D1,1\n", encoding="utf-8")
    assert call("check", tmp_path) == 0
    said = capfd.readouterr().out
    assert "warning: layout.csv has a column 'doner', taken as a factor; did you mean 'donor'?" in said
    assert "'btki'" not in said


def test_check_names_each_fault_and_its_exit_code_counts_them(tmp_path, capfd):
    write_movie(tmp_path / "a" / "A1_f1.ome.tif", draw_movie(HOST, GUESTS, frames=2))
    (tmp_path / "a" / "A2_f1.tif").write_bytes(b"")
    assert call("check", tmp_path) == 3
    assert "a/A2_f1: " in capfd.readouterr().err


def test_check_warns_where_guests_move_further_than_they_lie_apart(tmp_path, capfd):
    rng = np.random.default_rng(5)
    frames = []
    for t in range(4):
        places = [(y, x, 4) for y, x in rng.uniform(8, 112, (40, 2))]  # all anew each frame: nothing can be linked
        frames.append(draw_movie(HOST, places, frames=1, seed=t))
    write_movie(tmp_path / "a" / "A1_f1.ome.tif", np.concatenate(frames))
    assert call("check", tmp_path) == 0
    assert "tracks will be mixed up" in capfd.readouterr().out
    write_movie(tmp_path / "a" / "A1_f1.ome.tif", draw_movie(HOST, GUESTS, frames=4))
    assert call("check", tmp_path) == 0
    assert "tracks will be mixed up" not in capfd.readouterr().out


def test_a_saturated_host_channel_is_said_before_the_run(tmp_path, capsys):
    movie = draw_movie([(60, 60, 40)], [(50, 50, 4), (75, 70, 4)], frames=4)
    movie[:, 0] = ((movie[:, 0].astype(float) - 100) * 60 + 100).clip(0, 4095)
    write_movie(tmp_path / "vehicle" / "w1_f1.ome.tif", movie)
    (tmp_path / "experiment.toml").write_text('[channels]\nhost = "Host"\nguest = "Guest"\ndeath = "Death"\n')
    with pytest.raises(SystemExit):
        main(["check", str(tmp_path), "--json"])
    said = json.loads(capsys.readouterr().out)
    assert [(f["severity"], f["where"]) for f in said if f["code"] == "channel_saturated"] == [
        ("unresolved", "channel 'Host'")
    ]
