"""Everything runs where Python has none of the names that only POSIX has; Windows as far as Linux can stand for it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest

from cicimage.batch import supervisor
from cicimage.cli import COMMANDS
from cicimage.cli.review import login_name
from cicimage.guard import Limits
from tests.conftest import draw_movie, write_movie
from tests.house.windows_emulation import emulation_folder

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux stands for Windows here")
ROOT = Path(__file__).parents[2]
TOML = '[channels]\nhost = "Host"\nguest = "Guest"\ndeath = "Death"\n'
RUN = "import sys; from cicimage.cli import main; main(sys.argv[1:])"


@pytest.fixture
def windows(tmp_path):
    """Environment of an emulated Windows whose results lie below ``tmp_path / "out"``: a code page, no UTF-8 mode."""
    folder = emulation_folder(tmp_path / "emulation", tmp_path / "out")
    return os.environ | {
        "PYTHONPATH": str(folder), "PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0",
        "LC_ALL": "C", "PYTHONWARNDEFAULTENCODING": "1", "QT_QPA_PLATFORM": "offscreen",
    }  # fmt: skip


def python(environment, program, *arguments):
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False)


def test_the_emulation_emulates(windows):
    """What the other tests stand on: the names are gone for us, in processes that spawn starts too."""
    program = (
        "import multiprocessing\n"
        "assert multiprocessing.get_all_start_methods() == ['spawn']\n"
        "pool = multiprocessing.get_context().Pool(1)\n"
        "for run in (eval, lambda text: pool.apply(eval, (text,))):\n"
        "    assert not run(\"hasattr(__import__('multiprocessing.context').context, 'ForkServerContext')\")\n"
        "    assert run(\"__import__('os', {'__name__': 'cicimage.x'}).name\") == 'nt'\n"
        "    assert not run(\"hasattr(__import__('os', {'__name__': 'cicimage.x'}), 'fork')\")\n"
        "    assert not run(\"hasattr(__import__('signal', {'__name__': 'cicimage.x'}), 'SIGKILL')\")\n"
        "    try: run(\"__import__('fcntl', {'__name__': 'cicimage.x'})\")\n"
        "    except ModuleNotFoundError: continue\n"
        "    raise AssertionError(run)\n"
    )
    done = python(windows, program)
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize("package", ["cicimage", "cicimage_napari"])
def test_every_module_can_be_imported(windows, package):
    if package == "cicimage_napari":
        pytest.importorskip("napari")
    program = (
        "import importlib, pkgutil, sys\n"
        f"package = importlib.import_module({package!r})\n"
        "for m in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "    importlib.import_module(m.name)\n"
    )
    done = python(windows, program)
    assert done.returncode == 0, done.stderr.decode()


def test_every_command_can_be_asked_for(windows):
    program = f"from cicimage.cli import cicimage\nfor c in {list(COMMANDS)}: assert cicimage.get_command(None, c), c"
    done = python(windows, program)
    assert done.returncode == 0, done.stderr.decode()


def test_locks_hold_without_fcntl(windows, tmp_path):
    program = (
        "import subprocess, sys\n"
        "from pathlib import Path\n"
        "from cicimage.locks import lock\n"
        "path = Path(sys.argv[1])\n"
        "again = [sys.executable, '-c', "
        "'import sys; from pathlib import Path; from cicimage.locks import lock\\n'"
        "'with lock(Path(sys.argv[1]), \"this folder\"): pass', str(path)]\n"
        "with lock(path, 'this folder'):\n"
        "    other = subprocess.run(again, capture_output=True, text=True)\n"
        "    assert 'another run holds this folder' in other.stderr, other.stderr\n"
        "subprocess.run(again, check=True)\n"
    )
    done = python(windows, program, tmp_path / "out" / ".run.lock")
    assert done.returncode == 0, done.stderr.decode()


def test_a_review_log_is_what_was_written_and_is_held(windows, tmp_path):
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from cicimage.errors import ResultsError\n"
        "from cicimage.review.log import ReviewLog, log_path, read_log\n"
        "path = log_path(Path(sys.argv[1]), 'anna')\n"
        "with ReviewLog.open(path, 'anna') as log:\n"
        "    for n in range(3): log.append('note', {'n': n})\n"
        "    try: ReviewLog.open(path, 'anna')\n"
        "    except ResultsError as error: assert 'another window' in str(error), error\n"
        "    else: raise AssertionError('opened twice')\n"
        "assert [r.body.get('n') for r in read_log(path).records] == [None, 0, 1, 2]\n"
        "assert b'\\r' not in path.read_bytes()\n"
    )
    done = python(windows, program, tmp_path / "out")
    assert done.returncode == 0, done.stderr.decode()


def test_output_that_the_code_page_lacks_is_escaped(windows, tmp_path):
    """A folder named in Greek: `init` prints it into a pipe, whose encoding on Windows is the code page."""
    folder = tmp_path / "α-CD40 ≥ 5"
    write_movie(folder / "v" / "A1_f1.ome.tif", draw_movie([], [], frames=2, size=32))
    program = "import sys; from cicimage.cli import main; main(['init', ascii_to_text(sys.argv[1])])"
    program = program.replace("ascii_to_text(sys.argv[1])", "sys.argv[1].encode().decode('unicode_escape')")
    environment = windows | {"LC_ALL": "C.UTF-8"}  # the names of files are Unicode on Windows
    done = python(environment, program, str(folder).encode("unicode_escape").decode())
    assert done.returncode == 0, done.stderr.decode()
    assert rb"\u03b1-CD40 \u2265 5" in done.stdout


def test_as_many_processes_are_waited_for_as_windows_allows(monkeypatch):
    asked = []
    monkeypatch.setattr(supervisor, "MOST_WAITED_FOR", 61)
    monkeypatch.setattr(supervisor.multiprocessing.connection, "wait", lambda on, timeout: asked.append(len(on)))
    monkeypatch.setattr(supervisor, "_drain", lambda *_: None)
    monkeypatch.setattr(supervisor, "_resident", lambda _: 0)

    class Running:
        messages = object()
        peak = need = 0
        spent_s = quiet_s = 0.0

        class process:
            sentinel, pid = 7, 1
            is_alive = staticmethod(lambda: True)

    supervisor._wait([Running() for _ in range(40)], set(), lambda *_: None, None, Limits())
    assert asked == [61]


def test_a_reviewer_without_a_login_name_is_called_so(monkeypatch):
    """Python 3.11 imports ``pwd`` where no variable names the user."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(sys.modules, "pwd", None)
    assert login_name() == "reviewer"


@pytest.mark.slow
def test_the_sample_data_give_the_same_tables(windows, tmp_path):
    """`btki_2d` whole, two workers: report and tables as with a forkserver; resumed and reported again as well."""
    command = ["run", ROOT / "sample_data" / "btki_2d", "--workers", "2", "-o"]
    done = python(windows, RUN, *command, tmp_path / "out")
    assert done.returncode == 0, done.stderr.decode()
    assert b"2 of 2 positions done" in done.stdout
    assert (tmp_path / "out" / "report.html").stat().st_size > 100_000
    usual = python(os.environ, RUN, *command, tmp_path / "usual")
    assert usual.returncode == 0, usual.stderr.decode()
    names = sorted(p.relative_to(tmp_path / "usual") for p in (tmp_path / "usual").rglob("*.parquet"))
    assert len(names) > 30
    for name in names:
        frames = (pd.read_parquet(tmp_path / out / name) for out in ("out", "usual"))
        pd.testing.assert_frame_equal(*frames, check_exact=True, obj=str(name))
    for path in (tmp_path / "usual").glob("*.csv"):
        assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes(), path.name
    for again in (["report", tmp_path / "out"], [*command, tmp_path / "out"]):
        done = python(windows, RUN, *again)
        assert done.returncode == 0, done.stderr.decode()


@pytest.mark.slow
def test_ctrl_c_is_left_to_the_process_that_spawned_them(windows, tmp_path):
    """A terminal sends Ctrl-C to every process of a run; a position must not end by itself, between two writes."""
    root, out = tmp_path / "in", tmp_path / "out"
    for well in ("A1", "A2"):
        movie = draw_movie([(60, 60, 40)], [(50, 50, 4), (75, 70, 4)], frames=40)
        write_movie(root / "v" / f"{well}_f1.ome.tif", movie)
    (root / "experiment.toml").write_text(TOML)
    command = [sys.executable, "-c", RUN, "run", str(root), "-o", str(out), "--workers", "2", "--no-report"]
    run = subprocess.Popen(command, cwd=ROOT, env=windows, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while len(list(out.glob("positions/*/log.jsonl"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    for process in psutil.Process(run.pid).children():
        process.send_signal(signal.SIGINT)
    _, said = run.communicate(timeout=300)
    assert run.returncode == 0, said.decode()
    assert "Traceback" not in said.decode()
    assert len(list(out.glob("positions/*/receipt.json"))) == 2
