"""The house's own rules: imports go one way, the core knows no GUI, code is clean, examples in docs are true."""

import json
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


GUI = ("napari", "qtpy", "PySide2", "PySide6", "PyQt5", "PyQt6", "vispy", "magicgui", "superqt", "tkinter")
IMPORT_ALL = """
import importlib, json, pkgutil, sys
def failed(name):
    raise SystemExit(f"{name} cannot be imported")
package = importlib.import_module(sys.argv[1])
done = [package.__name__]
for module in pkgutil.walk_packages(package.__path__, package.__name__ + ".", onerror=failed):
    importlib.import_module(module.name)
    done.append(module.name)
with open(sys.argv[2], "w") as file:
    json.dump({"imported": done, "loaded": sorted({m.split(".")[0] for m in sys.modules})}, file)
"""


def gui_of(package, folder, tmp_path):
    """GUI packages that are loaded once every module of a package is; fails where a module was not imported."""
    said = tmp_path / "imported.json"
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, package, said], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert said.exists(), f"an import ended the program, so nothing was tested: {done.stdout}"
    found = json.loads(said.read_text())
    files = {p.relative_to(folder).with_suffix("") for p in (folder / package).rglob("*.py")}
    names = {".".join(p.parts).removesuffix(".__init__") for p in files}
    assert set(found["imported"]) == names
    return sorted(set(GUI) & set(found["loaded"]))


def test_the_core_knows_no_gui(tmp_path):
    """Importing every module of the core loads neither napari nor Qt."""
    assert gui_of("cicimage", ROOT, tmp_path) == []


def made_up_package(folder, **modules):
    for name, text in {"napari/__init__": "", "core/__init__": "", "core/rooms/__init__": "", **modules}.items():
        path = folder / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(
    ("line", "loaded"),
    [("import napari", ["napari"]), ("from napari import *", ["napari"]), ("def show():\n    import napari", [])],
)
def test_a_gui_import_put_in_by_hand_is_found(tmp_path, line, loaded):
    made_up_package(tmp_path, **{"core/rooms/one": line, "core/__main__": "print('help')"})
    assert gui_of("core", tmp_path, tmp_path) == loaded


@pytest.mark.parametrize("line", ["raise SystemExit(0)", "import not_there_at_all", "import os; os._exit(0)"])
def test_a_module_that_ends_the_test_fails_it(tmp_path, line):
    made_up_package(tmp_path, **{"core/__main__": line, "core/rooms/one": "import napari"})
    with pytest.raises(AssertionError):
        gui_of("core", tmp_path, tmp_path)


def test_python_m_cicimage_is_the_command():
    done = run(sys.executable, "-m", "cicimage", "--version")
    assert done.returncode == 0
    assert done.stdout.startswith("cicimage, version")


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
