"""A results folder from somebody else writes nowhere outside of itself, counts no position twice and hangs nothing."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from cicimage import cli
from tests.conftest import draw_movie, write_movie

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pipes, links and signals are made as on POSIX")
TOML = '[channels]\nhost = "Host"\nguest = "Guest"\ndeath = "Death"\n'


def cicimage(*arguments):
    command = [sys.executable, "-m", "cicimage", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run of two positions."""
    root = tmp_path_factory.mktemp("others")
    for n in (1, 2):
        movie = draw_movie([(32, 32, 20)], [(25, 25, 4), (40, 40, 4)], frames=3, size=64, seed=n)
        write_movie(root / "in" / "v" / f"A{n}_f1.ome.tif", movie)
    (root / "in" / "experiment.toml").write_text(TOML)
    assert cicimage("run", root / "in", "-o", root / "out", "--no-report").returncode == 0
    return root


@pytest.fixture
def mailed(finished, tmp_path):
    """A copy of its results, the recordings, and a folder outside that must stay as it is."""
    shutil.copytree(finished / "out", tmp_path / "out")
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "file.txt").write_text("keep me\n")
    yield finished / "in", tmp_path / "out", tmp_path / "victim"
    assert os.listdir(tmp_path / "victim") == ["file.txt"]
    assert (tmp_path / "victim" / "file.txt").read_text() == "keep me\n"


def position(out, n=0):
    return sorted((out / "positions").iterdir())[n]


@pytest.mark.parametrize("name", [".run.lock", "run.json"])
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_pipe_or_device_is_refused_and_not_waited_for(mailed, name, kind):
    recordings, out, _ = mailed
    (out / name).unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(out / name)
    else:
        (out / name).symlink_to("/dev/zero")
    done = cicimage("run", recordings, "-o", out, "--no-report")
    assert done.returncode == 5
    assert f"{name}: must be a regular file, is a " in done.stderr
    if name == "run.json":
        assert cicimage("status", out).returncode == 5


@pytest.mark.parametrize("name", ["log.jsonl", ".lock", "crops"])
def test_a_link_out_of_a_position_fails_it_and_nothing_else(mailed, name):
    recordings, out, victim = mailed
    folder = position(out)
    (folder / "receipt.json").unlink()
    if (folder / name).is_dir():
        shutil.rmtree(folder / name)
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(victim if name == "crops" else victim / "file.txt")
    done = cicimage("run", recordings, "-o", out, "--no-report")
    assert done.returncode == 3
    assert f"{name}: must lie within" in done.stderr
    assert "is a link out of it; delete the link" in done.stderr


@pytest.mark.parametrize("which", ["one position", "all positions"])
def test_a_folder_of_positions_that_lies_elsewhere_is_refused(mailed, which):
    recordings, out, victim = mailed
    place = position(out) if which == "one position" else out / "positions"
    shutil.rmtree(place)
    place.symlink_to(victim)
    for command in (("run", recordings, "-o", out), ("report", out), ("status", out)):
        done = cicimage(*command)
        assert done.returncode == 5, command
        assert "must lie within" in done.stderr


def test_two_positions_of_one_folder_are_refused(mailed):
    recordings, out, _ = mailed
    run = json.loads((out / "run.json").read_text())
    run["positions"] = dict.fromkeys(run["positions"], position(out).name)
    (out / "run.json").write_text(json.dumps(run))
    for command in (("report", out), ("status", out), ("run", recordings, "-o", out)):
        done = cicimage(*command)
        assert done.returncode == 5, command
        assert "each position must have a folder of its own, 'v/A2_f1' and 'v/A1_f1' share" in done.stderr


def test_names_and_reasons_move_no_terminal(mailed):
    _, out, _ = mailed
    run = json.loads((out / "run.json").read_text())
    first = next(iter(run["positions"]))
    run["positions"]["\x1b]0;owned\x07\u202e" + first] = run["positions"].pop(first)
    (out / "run.json").write_text(json.dumps(run))
    for folder in (out / "positions").iterdir():
        receipt = json.loads((folder / "receipt.json").read_text())
        receipt |= {"outcome": "failed", "kind": "input", "error": "\x9b31mred\x1b[2J"}
        (folder / "receipt.json").write_text(json.dumps(receipt))
    said = cicimage("status", out).stdout
    assert "owned" in said
    assert not set("\x1b\x07\x9b\u202e") & set(said)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_the_end_of_a_session_is_an_interrupt(tmp_path, name):
    root, out = tmp_path / "in", tmp_path / "out"
    write_movie(root / "v" / "A1_f1.ome.tif", draw_movie([(60, 60, 40)], [(50, 50, 4), (75, 70, 4)], frames=12))
    (root / "experiment.toml").write_text(TOML)
    command = [sys.executable, "-m", "cicimage", "run", str(root), "-o", str(out), "--no-report"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not any(out.glob("positions/*/log.jsonl")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(getattr(signal, name))
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.splitlines()[-1].startswith("cicimage: interrupted; finished positions are kept")
    assert not list(out.glob("positions/*/receipt.json"))


def test_arrays_that_unpack_into_gigabytes_are_refused(mailed):
    _, out, _ = mailed
    path = position(out) / "estimates.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        with packed.open("outside_signal.npy", "w", force_zip64=True) as entry:
            np.lib.format.write_array_header_1_0(entry, {"descr": "|u1", "fortran_order": False, "shape": (3 << 30,)})
            for _ in range(3 << 10):
                entry.write(bytes(1 << 20))
    done = cicimage("report", out)
    assert done.returncode == 5
    assert "estimates.npz: holds 3221225" in done.stderr
    assert "bytes of arrays; at most 1073741824 are read" in done.stderr


@pytest.mark.parametrize("command", ["check", "dry run"])
def test_names_of_the_layout_move_no_terminal(finished, tmp_path, command):
    root = tmp_path / "in"
    shutil.copytree(finished / "in", root)
    (root / "layout.csv").write_text("position,condition,donor\nv/A1_f1,\x1b]0;owned\x07v,D\x9b1\nv/A2_f1,w,D2\n")
    done = cicimage("check", root) if command == "check" else cicimage("run", root, "-o", tmp_path / "o", "--dry-run")
    assert done.returncode == 0
    assert not set(done.stdout + done.stderr) & {"\x1b", "\x07", "\x9b"}
    if command == "check":
        assert "\\x1b]0;owned\\x07v" in done.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("command", ["status", "check"])
def test_output_that_goes_to_a_full_disk_is_said(finished, command):
    folder = finished / ("out" if command == "status" else "in")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "cicimage", command, str(folder)],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60,
        )  # fmt: skip
    assert done.returncode == 6
    assert done.stderr == "cicimage: the disk is full; free some space and run the same command again\n"


@pytest.mark.parametrize("text", [None, "root:x:0:0", "schema_version = 1\n"])
def test_a_parameter_file_is_looked_at_before_anything_runs(finished, tmp_path, text):
    root = tmp_path / "in"
    shutil.copytree(finished / "in", root)
    if text is not None:
        (root / "mine.toml").write_text(text)
    with (root / "experiment.toml").open("a") as file:
        file.write('[methods]\nscore = { method = "markov", parameters = "mine.toml" }\n')
    for command in (("check", root), ("run", root, "-o", tmp_path / "out")):
        done = cicimage(*command)
        assert done.returncode == 2, done.stderr
        assert "mine.toml: " in done.stderr
        assert "scorer parameters" in done.stderr
    assert not (tmp_path / "out").exists()


def test_commands_print_by_one_function():
    """One that escapes what moves a terminal."""
    folder = Path(cli.__file__).parent
    for path in folder.glob("*.py"):
        if path.name not in ("echo.py", "__init__.py"):
            assert not re.search(r"click\.s?echo\(|\bprint\(", path.read_text(encoding="utf-8")), path.name
