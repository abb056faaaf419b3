# ruff: noqa: D103, SLF001 - a script; it takes pictures of private parts of the window too
"""Take the pictures of the viewer for docs and README: ``python docs/draw_review.py RESULTS RECORDINGS``.

Needs a screen; without one: ``xvfb-run -s "-screen 0 1600x1000x24 +extension GLX" python docs/draw_review.py ...``
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import napari
from cicimage_napari.compare_panel import ComparePanel
from cicimage_napari.rates_panel import RatesPanel
from cicimage_napari.review_panel import ReviewPanel
from cicimage_napari.run_panel import RunPanel
from qtpy.QtWidgets import QApplication

from cicimage.review.desk import Desk
from cicimage.review.queue import build_queue, load_queue_tables
from cicimage.review.response import verdict_on
from cicimage.review.session import Session, position_names
from cicimage.store import Results

IMAGES = Path(__file__).resolve().parent / "images"
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


def dock(viewer: Any, panel: Any, name: str) -> None:
    viewer.window.add_dock_widget(panel, name=name, area="right")


def draw_run(recordings: Path) -> None:
    viewer = new_viewer()
    panel = RunPanel(viewer)
    dock(viewer, panel, "Run")
    panel.open_source(recordings)
    panel._frame.setValue(6)
    panel.preview()
    end = time.monotonic() + 90
    while not any(layer.name.startswith("preview") for layer in viewer.layers) and time.monotonic() < end:
        settle(0.2)
    viewer.reset_view()
    grab(viewer, "run")
    viewer.close()


def shown_event(desk: Desk) -> Any:
    """A living guest's event with its entry and surroundings in the field, as near to the queue's top as may be."""

    def lives(item: Any) -> bool:
        guests = desk.session.position(item.candidate.position).base.guests
        return bool(guests.loc[guests["guest_id"] == item.candidate.guest_id, "death_frame"].isna().all())

    return next(
        i for i in desk.queue
        if i.candidate.call == "event" and i.drawn == "doubtful" and 5 <= i.candidate.focus <= 45
        and i.candidate.last - i.candidate.first > 12 and 70 < i.candidate.y_um < 260 and 70 < i.candidate.x_um < 260
        and lives(i)
    )  # fmt: skip


def draw_review(results: Path) -> None:
    viewer = new_viewer()
    panel = ReviewPanel(viewer)
    dock(viewer, panel, "Review")
    desk = Desk.open(Results(results), "anna")
    panel.show_desk(desk, own=True)
    settle(0.5)
    for verdict in ("accept", "accept", "unsure", "accept", "reject", "accept"):
        panel.act(verdict)
    event = shown_event(desk)
    desk.go(event.id)
    desk.look_at(event.candidate.focus + 4)
    panel.say("")
    grab(viewer, "review")
    panel.leave()
    viewer.close()


def judge(results: Path, who: str, otherwise: int) -> None:
    """Judge the top of the queue; every so manieth call of an event is turned round."""
    with Session.open(Results(results), who) as session:
        ground = load_queue_tables(Results(results), position_names(Results(results)))
        for n, item in enumerate(sorted(build_queue(ground, "same for both")[:150], key=lambda i: i.id)):
            turned = item.candidate.call == "event" and n % otherwise == 0
            edit = verdict_on(session.position(item.candidate.position), item, "reject" if turned else "accept")
            session.do(edit)
        session.finish()


def draw_rates_and_compare(results: Path) -> None:
    viewer = new_viewer()
    rates = RatesPanel(viewer)
    dock(viewer, rates, "Rates")
    judge(results, "anna", 9)
    rates.open_folder(results)
    end = time.monotonic() + 90
    while not rates.tables and time.monotonic() < end:
        settle(0.2)
    settle()
    rates.setFixedSize(760, 600)
    settle()
    rates.grab().save(str(IMAGES / "rates.png"))
    judge(results, "ben", 5)
    compare = ComparePanel(viewer)
    dock(viewer, compare, "Compare")
    compare.open_folder(results)
    compare.compare()
    compare.setFixedSize(620, 560)
    settle()
    compare.grab().save(str(IMAGES / "compare.png"))
    viewer.close()


def main() -> None:
    results, recordings = (Path(a).resolve() for a in sys.argv[1:])
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)  # short paths in the pictures
        shutil.copytree(results, "results", ignore=shutil.ignore_patterns("review"))
        Path("recordings").symlink_to(recordings)
        draw_review(Path("results").resolve())
        draw_rates_and_compare(Path("results").resolve())
        draw_run(Path("recordings"))


if __name__ == "__main__":
    main()
