"""The house's own rules: imports go one way, the core knows no GUI, code is clean, examples in docs are true."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*command):
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def tool(name):
    return str(Path(sys.executable).with_name(name))


def test_imports_go_one_way():
    done = run(tool("lint-imports"), "--no-cache")
    assert done.returncode == 0, done.stdout


def test_ruff_is_clean():
    done = run(tool("ruff"), "check", ".")
    assert done.returncode == 0, done.stdout
    done = run(tool("ruff"), "format", "--check", ".")
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_mypy_is_clean():
    done = run(tool("mypy"))
    assert done.returncode == 0, done.stdout


def test_the_core_knows_no_gui():
    """Importing every module of the core loads neither napari nor Qt."""
    program = (
        "import pkgutil, importlib, sys, cicimage\n"
        "for m in pkgutil.walk_packages(cicimage.__path__, 'cicimage.'):\n"
        "    importlib.import_module(m.name)\n"
        "gui = {'napari', 'qtpy', 'PySide6', 'PyQt6', 'PyQt5', 'vispy'}\n"
        "bad = [m for m in sys.modules if m.split('.')[0] in gui]\n"
        "print(bad); sys.exit(bool(bad))"
    )
    done = run(sys.executable, "-c", program)
    assert done.returncode == 0, done.stdout + done.stderr


def test_help_is_quick_to_import():
    """`cicimage --help` loads no image library."""
    program = "import sys, cicimage.cli; sys.exit(any(m in sys.modules for m in ('numpy', 'cv2', 'pandas')))"
    assert run(sys.executable, "-c", program).returncode == 0


def test_every_built_in_method_loads_and_describes_its_options():
    from cicimage.experiment.schema import DEFAULT_METHODS
    from cicimage.methods import STEPS, available, build

    for step in STEPS:
        assert DEFAULT_METHODS[step].method in available(step)
        for name in available(step):
            method = build(step, name)
            undescribed = [n for n, f in type(method).model_fields.items() if not f.description]
            assert not undescribed, (step, name, undescribed)


def test_docstring_examples_are_true():
    files = [str(p) for p in (ROOT / "cicimage").rglob("*.py") if ">>> " in p.read_text(encoding="utf-8")]
    assert files
    done = run(sys.executable, "-m", "pytest", "-q", "--doctest-modules", "-p", "no:cacheprovider", *files)
    assert done.returncode == 0, done.stdout[-3000:]


def test_nothing_is_unpickled():
    """Arrays, weights and tables come from files that hold data only."""
    doors = (
        "import pickle",
        "from pickle",
        "cPickle",
        "import joblib",
        "read_pickle",
        "allow_pickle=True",
        "torch.load",
    )
    found = [
        f"{path.name}: {door}"
        for folder in ("cicimage", "plugins")
        for path in (ROOT / folder).rglob("*.py")
        for door in doors
        if door in path.read_text(encoding="utf-8")
    ]
    assert not found


def test_files_stay_short():
    long = {
        str(p.relative_to(ROOT)): n
        for p in (ROOT / "cicimage").rglob("*.py")
        if (n := len(p.read_text(encoding="utf-8").splitlines())) > 450
    }
    assert not long
