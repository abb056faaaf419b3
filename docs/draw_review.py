# ruff: noqa: D103, SLF001 - a script; it takes pictures of private parts of the window too
"""Take the pictures of the viewer for docs and README: ``python docs/draw_review.py RESULTS EXPERIMENT``.

Needs a screen; without one: ``xvfb-run -s "-screen 0 1600x1000x24 +extension GLX" python docs/draw_review.py ...``
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import napari
from cicimage_napari.rates_panel import RatesPanel
from cicimage_napari.review_panel import ReviewPanel
from cicimage_napari.run_panel import RunPanel
from qtpy.QtWidgets import QApplication

from cicimage.review.desk import Desk
from cicimage.store import Results

IMAGES = Path(__file__).parent / "images"
SIZE = (1600, 1000)


def settle(seconds: float = 1.0) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.01)


def grab(viewer: Any, name: str) -> None:
    settle()
    IMAGES.mkdir(exist_ok=True)
    viewer.window._qt_window.grab().save(str(IMAGES / f"{name}.png"))


def new_viewer() -> Any:
    viewer = napari.Viewer(title="cicimage")
    viewer.window._qt_window.resize(*SIZE)
    settle(0.5)
    return viewer


def draw_run(experiment: Path) -> None:
    viewer = new_viewer()
    panel = RunPanel(viewer)
    viewer.window.add_dock_widget(panel, name="Run", area="right")
    panel.open_source(experiment)
    panel._frame.setValue(6)
    panel.preview()
    end = time.monotonic() + 60
    while not any(layer.name.startswith("preview") for layer in viewer.layers) and time.monotonic() < end:
        settle(0.2)
    viewer.reset_view()
    grab(viewer, "run")
    viewer.close()


def draw_review(results: Path) -> None:
    viewer = new_viewer()
    panel = ReviewPanel(viewer)
    viewer.window.add_dock_widget(panel, name="Review", area="right")
    desk = Desk.open(Results(results), "anna")
    panel.show_desk(desk, own=True)
    settle(0.5)
    for verdict in ("accept", "accept", "unsure", "accept", "reject"):
        panel.act(verdict)
    event = max(
        (i for i in desk.queue if i.candidate.call == "event" and i.candidate.counts and i.drawn == "doubtful"),
        key=lambda i: (
            5 <= i.candidate.first <= 15,
            25 < i.candidate.y_um < 100,
            25 < i.candidate.x_um < 100,
            i.candidate.last - i.candidate.first,
        ),
    )
    desk.go(event.id)
    desk.look_at(event.candidate.focus)
    panel.say("")
    grab(viewer, "review")
    rates = RatesPanel(viewer)
    desk.session.unblind()
    viewer.window.add_dock_widget(rates, name="Rates", area="right")
    panel.leave()
    rates.open_folder(results)
    end = time.monotonic() + 60
    while not rates.tables and time.monotonic() < end:
        settle(0.2)
    settle()
    rates.setMinimumSize(760, 620)
    rates.grab().save(str(IMAGES / "rates.png"))
    viewer.close()


def main() -> None:
    results, experiment = Path(sys.argv[1]), Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "results"
        shutil.copytree(results, copy, ignore=shutil.ignore_patterns("review"))
        draw_review(copy)
    draw_run(experiment)


if __name__ == "__main__":
    main()
