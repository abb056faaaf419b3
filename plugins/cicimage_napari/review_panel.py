"""The Review panel: shows the state of the desk and passes keys and clicks on to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from weakref import WeakSet

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import (
    QApplication,
    QDockWidget,
    QFileDialog,
    QHBoxLayout,
    QInputDialog,
    QLabel,
    QMainWindow,
    QMessageBox,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from cicimage.errors import CicimageError
from cicimage.masks import Mask
from cicimage.review.desk import Desk
from cicimage.review.measure import mask_edit
from cicimage.review.pictures import Pictures
from cicimage.store import Results
from cicimage_napari.buttons import button, group, plain_button
from cicimage_napari.film import FilmStrip
from cicimage_napari.keys import KeyFilter, KeyMap
from cicimage_napari.look import VERDICT_COLOUR
from cicimage_napari.queue_list import QueueList
from cicimage_napari.sections import Sections
from cicimage_napari.stage import Stage
from cicimage_napari.traces import Traces
from cicimage_napari.tracks import TrackTools

PLAY_MS: Final = 140
PANEL_PX: Final = 400
BELOW_PX: Final = 430
LOCATIONS: Final = ("free", "attached", "entering", "inside", "unresolved")
VIABILITIES: Final = ("alive", "dead", "unknown")


_PANELS: Final[WeakSet[ReviewPanel]] = WeakSet()


def open_panels() -> list[ReviewPanel]:
    """Review panels that are open, for panels that follow them."""
    return list(_PANELS)


class ReviewPanel(QWidget):
    """Queue, verdicts and states at the side; film strip, side views and evidence below the canvas.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The window the panel is docked in.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.keys = KeyMap.load()
        self.desk: Desk | None = None
        self.stage: Stage | None = None
        self.pictures: Pictures | None = None
        self._below: Any = None
        self._filter: KeyFilter | None = None
        self._owns_desk = False
        self._play = QTimer(self)
        self._play.setInterval(PLAY_MS)
        self._play.timeout.connect(lambda: self.act("forward"))
        self._brush = ""
        self._asked: set[str] = set()
        self._build()
        _PANELS.add(self)

    # ------------------------------------------------------------ building

    def _build(self) -> None:
        self._title, self._call, self._reason, self._message = (QLabel() for _ in range(4))
        self._title.setStyleSheet("color: #98a0ac; font-size: 11px;")
        self._call.setStyleSheet("font-size: 15px; font-weight: bold;")
        self._reason.setStyleSheet("color: #b8bec8;")
        self._message.setStyleSheet("color: #e8b34c;")
        for label in (self._title, self._call, self._reason, self._message):
            label.setWordWrap(True)
        self.queue = QueueList()
        self.queue.chosen.connect(lambda item: self.attempt(lambda: self._desk.go(item)))
        self.queue.filtered.connect(self._refilter)
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(6, 2, 6, 2)
        column.setSpacing(2)
        self._open_button = plain_button("Open results folder...", "Choose what `cicimage run -o` wrote", self._choose)
        column.addWidget(self._open_button)
        for widget in (self._title, self._call, self._reason):
            column.addWidget(widget)
        column.addWidget(group("Is the call right?", self._row("accept", "reject", "unsure", "note"), 2))
        places = [self._state_button(name) for name in LOCATIONS]
        column.addWidget(group("Where was the guest, in the chosen frames?", places, 3))
        column.addWidget(group("Did it live?", self._row(*VIABILITIES), 3))
        when = [button("entry", self.keys, self.act, "Entry here"), button("end", self.keys, self.act, "End here"),
                button("death", self.keys, self.act, "Death here")]  # fmt: skip
        column.addWidget(group("When?", when, 3))
        column.addWidget(group("Tracks: click the other cell first", self._row(
            "merge", "split", "swap", "delete", "link", "break"), 3))  # fmt: skip
        self.tools = TrackTools(self)
        column.addWidget(group("Masks and exclusions", self.tools.buttons(), 3))
        column.addWidget(group("", self._row("undo", "redo", "help"), 3))
        column.addWidget(self._message)
        column.addWidget(self.queue, 1)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setWidget(inner)
        area.setFrameShape(QScrollArea.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(area)
        self.setMinimumWidth(390)

    def _row(self, *actions: str) -> list[QWidget]:
        return [button(action, self.keys, self.act) for action in actions]

    def _state_button(self, name: str) -> QWidget:
        made = button(name, self.keys, self.act)
        made.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        made.customContextMenuRequested.connect(lambda _: self._take_brush(name))
        made.setToolTip(f"{made.toolTip()}; right-click: a brush for the band")
        return made

    def _take_brush(self, name: str) -> None:
        self._brush = "" if self._brush == name else name
        self.say(f"the band paints {name}; right-click again to lay the brush down" if self._brush else "")

    # ------------------------------------------------------------ opening

    def _choose(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Results folder")
        if folder:
            self.open_folder(Path(folder))

    def open_folder(self, folder: Path, reviewer: str | None = None) -> None:
        """Open the review of a results folder; the panel shows why where it cannot be opened.

        Parameters
        ----------
        folder : Path
            Results folder.
        reviewer : str, optional
            Whose log is written; the login name by default.
        """
        from cicimage.cli.review import login_name

        try:
            desk = Desk.open(Results(folder), reviewer or login_name())
        except CicimageError as error:
            self.say(str(error))
            return
        self.show_desk(desk, own=True)

    def show_desk(self, desk: Desk, *, own: bool = False) -> None:
        """Show an open desk in place of the one before.

        Parameters
        ----------
        desk : Desk
            Its queue may be empty.
        own : bool
            The panel closes the desk when the review ends; otherwise the caller does.
        """
        self.leave()
        self.desk, self._owns_desk = desk, own
        self.pictures = Pictures(desk.session.results)
        self.stage = Stage(self.viewer, self.pictures, self._on_stroke, self._on_click)
        self._make_below(self.pictures)
        desk.listeners.append(self.hear)
        self._filter = KeyFilter(self.keys, self.act, self.window())
        QApplication.instance().installEventFilter(self._filter)
        self._open_button.hide()
        self.viewer.title = "cicimage review"
        if desk.item is None:
            self.say("the queue is empty: nothing was called and no guest was near a host")
            return
        self.hear("item")
        if desk.session.log.notes:
            self.say(desk.session.log.notes[0])

    def _make_below(self, pictures: Pictures) -> None:
        self.film, self.sections, self.traces = FilmStrip(pictures), Sections(), Traces()
        self.film.chosen.connect(lambda frame: self.attempt(lambda: self._desk.look_at(frame)))
        self.traces.looked.connect(lambda frame: self.attempt(lambda: self._desk.look_at(frame)))
        self.traces.moved.connect(self._on_line)
        self.traces.chosen.connect(self._on_band)
        below = QWidget()
        rows = QVBoxLayout(below)
        rows.setContentsMargins(2, 2, 2, 2)
        rows.setSpacing(2)
        rows.addWidget(self.film)
        beside = QHBoxLayout()
        beside.addWidget(self.traces, 1)
        beside.addWidget(self.sections)
        rows.addLayout(beside, 1)
        self._below = self.viewer.window.add_dock_widget(below, name="Evidence", area="bottom", tabify=False)
        self._make_room(hide=True)

    def _make_room(self, *, hide: bool) -> None:
        """Dock the panel over the window's full height and, with ``hide``, hide the layer controls."""
        window = self.window()
        if isinstance(window, QMainWindow):
            right = Qt.DockWidgetArea.RightDockWidgetArea
            window.setCorner(Qt.Corner.BottomRightCorner, right if hide else Qt.DockWidgetArea.BottomDockWidgetArea)
            for dock in window.findChildren(QDockWidget):
                if dock.objectName() in ("layer controls", "layer list"):
                    dock.setVisible(not hide)
            own = next((d for d in window.findChildren(QDockWidget) if d.isAncestorOf(self)), None)
            if own is not None:
                window.resizeDocks([own], [PANEL_PX], Qt.Orientation.Horizontal)
            if self._below is not None:
                window.resizeDocks([self._below], [BELOW_PX], Qt.Orientation.Vertical)

    def leave(self) -> None:
        """End the review: remove layers, docks and the key filter, and close the desk if it is the panel's own."""
        self._play.stop()
        if self._filter is not None:
            QApplication.instance().removeEventFilter(self._filter)
            self._filter = None
        if self.desk is not None:
            self.desk.listeners.remove(self.hear)
            if self._owns_desk:
                self.desk.close()
            self.desk = None
        if self.stage is not None:
            self.stage.clear()
            self.stage = None
        if self.pictures is not None:
            self.pictures.close()
            self.pictures = None
        if self._below is not None:
            self.viewer.window.remove_dock_widget(self._below)
            self._below = None
            self._make_room(hide=False)

    def closeEvent(self, event: Any) -> None:
        """End the review when the dock is closed; every edit is on disk already."""
        self.leave()
        super().closeEvent(event)

    # ------------------------------------------------------------ keys

    @property
    def _desk(self) -> Desk:
        if self.desk is None:
            raise CicimageError("no results are open; open a results folder first")
        return self.desk

    def act(self, action: str) -> None:
        """Run the action of a key or button."""
        self.attempt(lambda: self._acts()[action]())

    def _acts(self) -> Mapping[str, Callable[[], Any]]:
        desk = self._desk
        acts: dict[str, Callable[[], Any]] = {
            "accept": lambda: desk.judge("accept"), "reject": lambda: desk.judge("reject"),
            "unsure": lambda: desk.judge("unsure"), "note": self._note,
            "entry": desk.enter_here, "end": desk.end_here, "death": desk.die_here,
            "next": desk.next, "previous": desk.previous,
            "back": lambda: desk.look_at(desk.frame - 1), "forward": self._forward,
            "play": self._toggle_play, "overlay": self._overlay, "help": self._help,
            "undo": lambda: self.say(desk.undo() or "nothing to undo"),
            "redo": lambda: self.say(desk.redo() or "nothing to do again"),
        }  # fmt: skip
        for name in LOCATIONS:
            acts[name] = lambda name=name: desk.locate(name)
        for name in VIABILITIES:
            acts[name] = lambda name=name: desk.live(name)
        return {**acts, **self.tools.acts(desk)}

    def attempt(self, do: Callable[[], Any]) -> None:
        """Run an action; an error of the input becomes a sentence on the panel, here and nowhere else."""
        self.say("")
        try:
            do()
        except CicimageError as error:
            self.say(str(error))

    def say(self, sentence: str) -> None:
        """Show a sentence under the buttons."""
        self._message.setText(sentence)

    @property
    def said(self) -> str:
        """The sentence shown."""
        return str(self._message.text())

    def _forward(self) -> None:
        desk = self._desk
        if self._play.isActive() and desk.frame >= desk.corrected.base.n_frames - 1:
            desk.look_at(max(0, desk.current.candidate.first - 3))
        else:
            desk.look_at(desk.frame + 1)

    def _toggle_play(self) -> None:
        self._play.stop() if self._play.isActive() else self._play.start()

    def _overlay(self) -> None:
        if self.stage is not None:
            self.stage.toggle_overlay()

    def _note(self) -> None:
        text, ok = QInputDialog.getText(self, "Note", "What should be remembered of this item?")
        if ok and text.strip():
            self._desk.note(text.strip())
            self.say("noted")

    def _help(self) -> None:
        box = QMessageBox(self)
        box.setWindowTitle("Keys")
        box.setTextFormat(Qt.TextFormat.RichText)
        box.setText(self.keys.as_html())
        box.open()

    # ------------------------------------------------------------ what comes from the canvas and the plots

    def _on_click(self, population: str, cell: int) -> None:
        self.attempt(lambda: self._desk.click(population, cell))

    def _on_line(self, name: str, frame: int) -> None:
        desk = self._desk
        move = {"entry": desk.enter_here, "end": desk.end_here, "death": desk.die_here}[name]
        self.attempt(lambda: move(frame))
        self.traces.show_item(desk, rescale=False)

    def _on_band(self, first: int, last: int, done: bool) -> None:
        desk = self._desk
        desk.select(first, last)
        if done and self._brush:
            self.attempt(lambda: desk.locate(self._brush))  # type: ignore[arg-type]

    def _on_stroke(self, population: str, changed: Mapping[int, Mask | None], kind: str) -> None:
        self.attempt(lambda: self.paint(population, changed, kind))

    def paint(self, population: str, changed: Mapping[int, Mask | None], kind: str) -> None:
        """Change masks in the desk's frame and measure them again, as one edit.

        Parameters
        ----------
        population : str
            Whose masks.
        changed : mapping of int to Mask or None
            Mask after the change by label, in pixels of the frame; None where the object is gone.
        kind : str
            paint | erase | split_mask | merge_masks.

        Raises
        ------
        ReviewError
            The change does not fit the masks as they are.
        """
        desk = self._desk
        draft = desk.corrected.draft
        footage = self.pictures.footage(desk.corrected.base) if self.pictures is not None else None
        cells = self.tools.cells_of_new(desk, population, changed)
        desk.do(mask_edit(draft, footage, kind, population, desk.frame, changed, cells))  # type: ignore[arg-type]
        if footage is None:
            self.say("the recording is not at hand: size and place were measured, the evidence is as before")

    # ------------------------------------------------------------ showing

    def _refilter(self, name: str) -> None:
        if self.desk is not None:
            self.desk.walk.shown = name  # type: ignore[assignment]
            self.queue.show_desk(self.desk)

    def hear(self, what: str) -> None:
        """Update the screen after a change of the desk; ``Desk.heard`` lists the kinds of change."""
        desk, stage = self._desk, self.stage
        if stage is None:
            return
        if what == "item":
            stage.show_item(desk)
            self._show_words()
            self._show_evidence(rescale=True)
            self.queue.show_desk(desk) if not self.queue.model.items else self.queue.mark(desk)
            self._ask_for_moved()
            self._prepare()
        elif what == "frame":
            stage.show_frame()
            self.traces.show_frame(desk.frame)
            self.film.mark(desk.frame)
            self._show_sections()
        elif what == "verdict":
            self.queue.show_desk(desk)
        elif what == "span":
            self.traces.show_span(desk.span)
        elif what == "other":
            stage.draw_labels()
            self.traces.show_item(desk, rescale=False)
        elif what == "edit":
            stage.draw_labels()
            self._show_words()
            self._show_evidence(rescale=False)
            self.queue.show_desk(desk)
            self._say_conflicts()

    def _show_words(self) -> None:
        desk = self._desk
        verdict = desk.verdict()
        self._title.setText(desk.title)
        self._call.setText(f"Called: {desk.called}")
        mark = f"<span style='color:{VERDICT_COLOUR[verdict]}'>{verdict or 'open'}</span>"
        notes = "".join(f"<br>✎ {note}" for note in desk.notes())
        self._reason.setText(f"{desk.reason}  ·  {mark}{notes}")

    def _show_evidence(self, *, rescale: bool) -> None:
        desk, stage = self._desk, self.stage
        if stage is not None:
            levels = stage.levels(stage.block(desk.frame))
            self.film.show_item(desk, stage.roles(), levels)
            self._show_sections()
        self.traces.show_item(desk, rescale=rescale)

    def _show_sections(self) -> None:
        desk, stage = self._desk, self.stage
        if stage is not None:
            block = stage.block(desk.frame)
            self.sections.show_frame(desk, block, stage.box, stage.roles(), stage.levels(block))

    def _say_conflicts(self) -> None:
        found = self._desk.session.conflicts()
        if found:
            self.say(
                f"{found[0].title}: {found[0].reason}" + (f" (and {len(found) - 1} more)" if len(found) > 1 else "")
            )

    def _prepare(self) -> None:
        """Read the next item's pictures in the background."""
        following = self._desk.following
        if self.stage is not None and following is not None:
            self.stage.prepare_for(following)

    def _ask_for_moved(self) -> None:
        """Explain once per field why it has no pictures; without the path, which may reveal the condition."""
        pictures, base = self.pictures, self._desk.corrected.base
        if pictures is None or base.position_id not in pictures.missing or base.position_id in self._asked:
            return
        self._asked.add(base.position_id)
        if base.position_id in pictures.moved:
            self.say("the recording of this field is not where it was; 'Find recording' tells where it is")
        else:
            self.say(
                "the recording of this field cannot be read, masks and evidence are shown without it; put back a copy"
            )
