"""Ctrl-C: one line, exit 130, no process left, and the same command goes on."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from cicimage.cli import main
from cicimage.store import Results
from tests.conftest import draw_movie, write_movie

TOML = '[channels]\nhost = "Host"\nguest = "Guest"\ndeath = "Death"\n'


def interrupted(command, ready):
    """Start the program as a terminal does, send Ctrl-C to its whole group once it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cicimage", *map(str, command)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not ready() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    return process.returncode, said.strip(), process.pid


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="a terminal's Ctrl-C is another thing there")
def test_a_run_that_is_interrupted_says_so_in_one_line_and_goes_on(tmp_path):
    root, out = tmp_path / "in", tmp_path / "out"
    for well in ("A1", "A2"):
        movie = draw_movie([(60, 60, 40)], [(50, 50, 4), (75, 70, 4)], frames=12)
        write_movie(root / "v" / f"{well}_f1.ome.tif", movie)
    (root / "experiment.toml").write_text(TOML)
    command = ["run", root, "-o", out, "--workers", "2", "--no-report"]
    code, said, group = interrupted(command, lambda: any(out.glob("positions/*/log.jsonl")))
    assert code == 130
    assert "Traceback" not in said
    assert said.splitlines()[-1] == (
        "cicimage: interrupted; finished positions are kept, run the same command again to go on"
    )
    deadline = time.monotonic() + 10
    while left(group) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left(group)
    with pytest.raises(SystemExit) as end:
        main([str(a) for a in command])
    assert end.value.code == 0
    assert len(list(Results(out).root.glob("positions/*/receipt.json"))) == 2


def left(group):
    """Processes of a group that still run."""
    found = []
    for process in psutil.process_iter(["pid", "status"]):
        try:
            if os.getpgid(process.info["pid"]) == group and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(process)
        except ProcessLookupError:
            continue
    return found


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="a terminal's Ctrl-C is another thing there")
def test_a_simulation_that_is_interrupted_does_not_wait_for_its_fields(tmp_path):
    command = ["simulate", "cxcr4-blockade", "-o", tmp_path / "sim", "--workers", "2", "--scale", "0.3"]
    since = time.monotonic()
    code, said, _ = interrupted(command, lambda: (tmp_path / "sim" / "layout.csv").exists() and time.sleep(0.5) is None)
    assert code == 130
    assert "Traceback" not in said
    assert "the folder is not complete, run the same command again" in said
    assert time.monotonic() - since < 45
    assert not (tmp_path / "sim" / "experiment.toml").exists(), "written last"


@pytest.mark.parametrize(
    ("command", "where", "said"),
    [
        (["check", "{}"], "cicimage.cli.findings.load_experiment", "cicimage: interrupted\n"),
        (["init", "{}", "--force"], "cicimage.cli.init.find_recordings", "cicimage: interrupted\n"),
        (["review", "{}"], "cicimage.cli.review.position_names", "interrupted; every decision taken is in the log"),
        (["run", "{}", "-o", "{}/out"], "cicimage.experiment.load_experiment", "run the same command again to go on"),
    ],
)
def test_every_command_ends_in_one_line(tmp_path, monkeypatch, capfd, command, where, said):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    write_movie(tmp_path / "v" / "A1_f1.ome.tif", draw_movie([], [], frames=2, size=32))
    module, name = where.rsplit(".", 1)
    __import__(module)
    monkeypatch.setattr(sys.modules[module], name, interrupt)
    with pytest.raises(SystemExit) as end:
        main([a.format(tmp_path) for a in command])
    assert end.value.code == 130
    err = capfd.readouterr().err
    assert said in err
    assert len(err.strip().splitlines()) == 1
