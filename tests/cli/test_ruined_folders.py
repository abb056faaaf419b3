"""Folders as a new user ruins them: each gives one sentence that says what to do."""

import os
import re
import shutil
import sys

import numpy as np
import pytest
import tifffile

from cicimage.cli import main
from tests.conftest import draw_movie, write_movie

TOML = '[channels]\nhost = "Host"\nguest = "Guest"\ndeath = "Death"\n'


def movie(frames=2, size=64):
    return draw_movie([(32, 32, 20)], [(25, 25, 4), (40, 40, 4)], frames=frames, size=size)


@pytest.fixture
def root(tmp_path):
    """A sound folder with one recording."""
    write_movie(tmp_path / "in" / "v" / "A1_f1.ome.tif", movie())
    (tmp_path / "in" / "experiment.toml").write_text(TOML)
    return tmp_path / "in"


def call(*args):
    with pytest.raises(SystemExit) as done:
        main([str(a) for a in args])
    return done.value.code


def check(root, capfd):
    code = call("check", root)
    said = capfd.readouterr()
    return code, said.out + said.err


def in_millimetres(root):
    write_movie(root / "v" / "A1_f1.ome.tif", movie(), um=0.000325)


def in_nanometres(root):
    write_movie(root / "v" / "A1_f1.ome.tif", movie(), um=325.0)


def in_minutes(root):
    write_movie(root / "v" / "A1_f1.ome.tif", movie(), interval_s=0.08)


def two_experiments(root):
    write_movie(root / "v" / "A2_f1.ome.tif", movie(frames=3, size=96), um=0.65, interval_s=60)


def half_renamed(root):
    write_movie(root / "v" / "A2_f1.ome.tif", movie(), names=("Host", "guest GFP", "Death"))


def a_folder_named_like_a_file(root):
    (root / "v" / "A2_f1.tif").mkdir()


def a_pipe_named_like_a_file(root):
    os.mkfifo(root / "v" / "A2_f1.tif")


def a_link_to_nowhere(root):
    (root / "v" / "A2_f1.tif").symlink_to(root / "gone.tif")


def a_line_break_in_a_name(root):
    shutil.copy(root / "v" / "A1_f1.ome.tif", root / "v" / "A2\nB_f1.ome.tif")


def a_name_that_is_no_text(root):
    shutil.copy(root / "v" / "A1_f1.ome.tif", os.fsencode(root / "v") + b"/A\xff_f1.ome.tif")


def a_layout_with_a_huge_cell(root):
    (root / "layout.csv").write_text("position,condition\n" + "x" * 200_000)


def a_layout_that_is_a_folder(root):
    (root / "layout.csv").mkdir()


def a_layout_in_damaged_utf16(root):
    (root / "layout.csv").write_bytes("position,condition\nv/A1_f1,a".encode("utf-16")[:-1])


def huge_metadata(root):
    text = '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">{}</OME>'
    tifffile.imwrite(
        root / "v" / "A2_f1.ome.tif", np.zeros((2, 8, 8), np.uint16), metadata=None,
        description=text.format("<Annotation>" + "a" * 3_000_000 + "</Annotation>"),
    )  # fmt: skip


def a_root_with_a_nul(root):
    (root / "experiment.toml").write_text('[files]\nroot = "a\\u0000b"\n')


def a_primary_that_is_none(root):
    (root / "experiment.toml").write_text('[experiment]\nprimary = "entry_rate_per_guest"\n' + TOML)


def a_primary_that_reviewers_make(root):
    (root / "experiment.toml").write_text('[experiment]\nprimary = "entry_rate_error_corrected_per_guest_h"\n' + TOML)


def a_primary_that_compares_within_a_condition(root):
    (root / "experiment.toml").write_text('[experiment]\nprimary = "host_death_rate_with_vs_without_guest"\n' + TOML)


def an_experiment_file_that_is_a_folder(root):
    (root / "experiment.toml").unlink()
    (root / "experiment.toml").mkdir()


CASES = [
    (in_millimetres, 0, "the whole field is 0.0208 um wide .* check the unit of the pixel size"),
    (in_nanometres, 0, "a guest of 6 to 12 um is at most 0.037 pixels wide at 325 um per pixel; check the unit"),
    (in_minutes, 0, "0.08 s lie between frames; check the unit of the interval"),
    (two_experiments, 0, "recordings differ in pixel size: 1 um in 1 recording .* are these two experiments"),
    (two_experiments, 0, "recordings differ in frame interval: 300 s in 1 recording .such as v/A1_f1., 60 s in 1"),
    (half_renamed, 3, "v/A2_f1: .*channel 'Guest' for guest is not there, the recording has 0: Host, 1: guest GFP"),
    (a_folder_named_like_a_file, 0, "not read: 1 file or folder of a kind that is no recording .v/A2_f1.tif/"),
    (a_pipe_named_like_a_file, 0, "not read: 1 file or folder of a kind that is no recording .v/A2_f1.tif"),
    (a_link_to_nowhere, 3, r"v/A2_f1: A2_f1\.tif: cannot be opened .No such file or directory.; check the path"),
    (a_line_break_in_a_name, 2, r"'v/A2\\nB_f1': names of folders and files must be plain text"),
    (a_name_that_is_no_text, 2, r"'v/A\\udcff_f1': names of folders and files must be plain text"),
    (a_layout_with_a_huge_cell, 2, r"layout\.csv: cannot be read as a table .*save it as CSV"),
    (a_layout_that_is_a_folder, 2, r"layout\.csv: cannot be read .Is a directory."),
    (a_layout_in_damaged_utf16, 2, r"layout\.csv: must be text, its UTF-16 is damaged; save it as UTF-8"),
    (huge_metadata, 3, r"v/A2_f1: .*its OME-XML holds no image"),
    (a_root_with_a_nul, 2, "must not hold a NUL character"),
    (a_primary_that_is_none, 2, "no estimand 'entry_rate_per_guest'; did you mean 'entry_rate_per_guest_h'"),
    (a_primary_that_reviewers_make, 2, "no estimand 'entry_rate_error_corrected_per_guest_h'; did you mean"),
    (
        a_primary_that_compares_within_a_condition,
        2,
        "no estimand 'host_death_rate_with_vs_without_guest'; did",
    ),
    (an_experiment_file_that_is_a_folder, 2, r"experiment\.toml: cannot be read .Is a directory."),
]


@pytest.mark.skipif(sys.platform != "linux", reason="names of bytes and pipes are made as on Linux")
@pytest.mark.parametrize(("ruin", "code", "sentence"), CASES, ids=[c[0].__name__ for c in CASES])
def test_check_says_what_to_do(root, capfd, ruin, code, sentence):
    ruin(root)
    found, said = check(root, capfd)
    assert re.search(sentence, said), said
    assert "Traceback" not in said
    assert found == code


def test_a_folder_that_cannot_be_made_is_said(root, tmp_path, capfd):
    (tmp_path / "thesis.doc").touch()
    assert call("run", root, "-o", tmp_path / "thesis.doc" / "out") == 2
    assert "cannot be used (Not a directory); check the path" in capfd.readouterr().err


def test_results_within_the_input_are_not_taken_for_recordings(root, capfd):
    assert call("run", root, "-o", root / "results", "--workers", "1") == 0
    capfd.readouterr()
    assert check(root, capfd)[1].startswith("1 recording; ")
    assert call("run", root, "-o", root / "v") == 5
    assert "must be empty or hold results" in capfd.readouterr().err


def test_what_makes_damaged_results_whole_is_what_is_said(root, tmp_path, capfd):
    out = tmp_path / "out"
    assert call("run", root, "-o", out, "--workers", "1") == 0
    before = (out / "guests.parquet").read_bytes()
    (out / "positions" / "p0001" / "cells.parquet").write_bytes(b"xx")
    capfd.readouterr()
    assert call("run", root, "-o", out, "--workers", "1") == 5
    assert f"delete the folder {out / 'positions' / 'p0001'} and run the same command again" in capfd.readouterr().err
    shutil.rmtree(out / "positions" / "p0001")
    assert call("run", root, "-o", out, "--workers", "1") == 0
    assert (out / "guests.parquet").read_bytes() == before
    receipt = (out / "positions" / "p0001" / "receipt.json").read_bytes()
    (out / "run.json").write_text("")
    capfd.readouterr()
    assert call("run", root, "-o", out) == 5
    assert (
        "delete it and run `cicimage run` again with --force, which keeps finished positions" in capfd.readouterr().err
    )
    (out / "run.json").unlink()
    assert call("run", root, "-o", out, "--force", "--workers", "1") == 0
    assert (out / "positions" / "p0001" / "receipt.json").read_bytes() == receipt
    assert (out / "guests.parquet").read_bytes() == before
