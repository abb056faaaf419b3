"""Everything that can be run below benchmarks/ is listed by run_all.py, and finds what it imports."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
STARTED_BY_OTHERS = {BENCHMARKS / "lib" / "launcher.py"}
"""A process of its own, which lib/processes.py starts and nobody else."""


@pytest.fixture(scope="module")
def listed():
    spec = importlib.util.spec_from_file_location("run_all", BENCHMARKS / "run_all.py")
    module = sys.modules["run_all"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield {b.script for b in module.ORDER}
    del sys.modules["run_all"]


def test_what_can_be_run_is_listed(listed):
    runnable = {
        path
        for path in BENCHMARKS.rglob("*.py")
        if "work" not in path.relative_to(BENCHMARKS).parts and "\nif __name__ ==" in path.read_text(encoding="utf-8")
    }
    assert runnable - STARTED_BY_OTHERS - {BENCHMARKS / "run_all.py"} == listed


@pytest.mark.slow
def test_what_is_listed_finds_its_imports(listed):
    """Without running them: each in its own folder's place on the path, as Python puts it there."""
    program = (
        "import runpy, sys\n"
        "from pathlib import Path\n"
        "for path in sys.argv[1:]:\n"
        "    before = list(sys.path)\n"
        "    sys.path.insert(0, str(Path(path).parent))\n"
        "    runpy.run_path(path, run_name='imported')\n"
        "    sys.path[:] = before\n"
    )
    command = [sys.executable, "-c", program, *map(str, sorted(listed))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
