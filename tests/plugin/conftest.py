"""A screen for the viewer's tests: the one there is, else Xvfb started here; without either they say so and skip."""

from __future__ import annotations

import gc
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "review"))

NEEDED = ("napari", "qtpy", "PySide6", "pyqtgraph")


def why_not() -> str:
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        return f'{", ".join(missing)} not installed; pip install ".[napari]"'
    if sys.platform.startswith("linux") and not os.environ.get("DISPLAY") and shutil.which("Xvfb") is None:
        return "no DISPLAY and no Xvfb; install the packages listed in .ci/system-packages"
    return ""


@pytest.fixture(scope="session", autouse=True)
def screen(tmp_path_factory):
    reason = why_not()
    if reason:
        pytest.skip(reason)
    home = tmp_path_factory.mktemp("home")
    os.environ["NAPARI_CONFIG"] = str(home / "napari.yaml")
    os.environ["XDG_CONFIG_HOME"] = str(home)
    os.environ.setdefault("QT_API", "pyside6")
    server = None
    if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
        server, os.environ["DISPLAY"] = start_xvfb()
    yield
    if server is not None:
        close_application()
        server.terminate()
        server.wait()
        del os.environ["DISPLAY"]


def start_xvfb():
    """Xvfb on a display it chooses itself, so that several test runs do not meet."""
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "1600x1000x24", "+extension", "GLX", "-nolisten", "tcp"],
        pass_fds=(write,), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(write)
    with os.fdopen(read) as pipe:
        number = pipe.readline().strip()
    if not number:
        pytest.skip("Xvfb did not start; run it by hand to see why")
    return server, f":{number}"


def close_application():
    from qtpy.QtWidgets import QApplication

    application = QApplication.instance()
    if application is not None:
        application.closeAllWindows()
        application.processEvents()


@pytest.fixture(scope="session")
def window(screen):
    """One window for all tests: to make and close one costs more than most tests do."""
    import napari

    made = napari.Viewer(show=False)
    made.window._qt_window.resize(1500, 950)
    gc.collect()
    gc.freeze()  # napari collects garbage for every layer it takes away: what lives on need not be looked through
    yield made
    gc.unfreeze()
    made.close()
    settle()


@pytest.fixture
def viewer(window):
    """The window, left empty: no layer, dock, key or open review of one test reaches the next."""
    yield window
    from cicimage_napari.review_panel import open_panels

    for panel in open_panels():
        if panel.desk is not None:
            panel.leave()
    docked = list(window.window.dock_widgets.values())
    window.window.remove_dock_widget("all")
    for widget in docked:
        widget.close()
        widget.deleteLater()
    window.layers.clear()
    window.title = "napari"
    settle(0)
    assert not window.layers
    assert not window.window.dock_widgets


def settle(seconds: float = 0.05) -> None:
    """Let Qt do what waits."""
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + seconds
    while True:
        QApplication.processEvents()
        if time.monotonic() >= end:
            return
        time.sleep(0.005)


def wait_for(there, seconds: float = 30.0) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < end, "waited in vain"
        settle(0.02)
