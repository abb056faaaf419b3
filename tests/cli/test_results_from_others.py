"""A results folder from somebody else writes nowhere outside of itself, counts no position twice and hangs nothing."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

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
