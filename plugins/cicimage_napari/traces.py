"""The evidence over time with a cursor, event times that can be dragged, and the band of states."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from cicimage.review.desk import Desk
from cicimage_napari.look import LOCATION_COLOUR, VIABILITY_COLOUR, rgb

LINES: Final = {"entry": ("#3fbf6f", "entry"), "end": ("#e8b34c", "end"), "death": ("#d9534f", "death")}
PLOTS: Final = (
    (("frames", "p_inside", "#3fbf6f", "inside"), ("frames", "p_dead", "#d9534f", "dead")),
    (("pairs", "cap", "#5ab0ff", "cap"), ("pairs", "floor", "#ffb04c", "floor")),
    (("pairs", "ring_coverage", "#c79bff", "ring"), ("pairs", "footprint_share", "#8c96a6", "overlap")),
)
"""Curves of each plot: table, column, colour, label."""


class Band(pg.GraphicsObject):
    """States frame by frame as coloured cells, location above viability; dragging chooses frames."""

    dragged = Signal(int, int, bool)

    def __init__(self) -> None:
        super().__init__()
        self._frames = np.zeros(0, np.int64)
        self._rows: list[list[tuple[int, int, int]]] = [[], []]

    def show_states(self, frames: Any, locations: Any, viabilities: Any) -> None:
        """Set the states shown.

        Parameters
        ----------
        frames : (n,) int
            Frames in which the guest was found, rising.
        locations, viabilities : (n,) str
            Keys of ``LOCATION_COLOUR`` and ``VIABILITY_COLOUR``.
        """
        self._frames = np.asarray(frames)
        self._rows = [
            [rgb(LOCATION_COLOUR[str(x)]) for x in locations], [rgb(VIABILITY_COLOUR[str(x)]) for x in viabilities]
        ]  # fmt: skip
        self.prepareGeometryChange()
        self.update()

    def boundingRect(self) -> Any:
        """The extent; Qt asks."""
        if not len(self._frames):
            return pg.QtCore.QRectF()
        first, last = float(self._frames[0]), float(self._frames[-1])
        return pg.QtCore.QRectF(first - 0.5, 0.0, last - first + 1.0, 1.0)

    def paint(self, painter: Any, *_: Any) -> None:
        """Draw the cells; Qt asks."""
        painter.setPen(pg.mkPen(None))
        for colours, (low, high) in zip(self._rows, ((0.3, 1.0), (0.0, 0.24)), strict=True):
            for frame, colour in zip(self._frames, colours, strict=True):
                painter.setBrush(pg.mkBrush(*colour))
                painter.drawRect(pg.QtCore.QRectF(frame - 0.5, low, 1.02, high - low))

    def mouseDragEvent(self, event: Any) -> None:
        """Emit the frames dragged over; the last argument is True once the button is released."""
        if event.button() != Qt.MouseButton.LeftButton:
            event.ignore()
            return
        event.accept()
        start, here = event.buttonDownPos().x(), event.pos().x()
        self.dragged.emit(round(start), round(here), bool(event.isFinish()))

    def mouseClickEvent(self, event: Any) -> None:
        """Emit the one frame clicked."""
        event.accept()
        at = round(event.pos().x())
        self.dragged.emit(at, at, True)


class Traces(QWidget):
    """Plots over frames; the cursor and the lines can be dragged."""

    looked = Signal(int)
    moved = Signal(str, int)
    chosen = Signal(int, int, bool)

    def __init__(self) -> None:
        super().__init__()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        self._area = pg.GraphicsLayoutWidget()
        self._area.setBackground("#1b1e24")
        self._area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        column.addWidget(self._area)
        self._plots: list[Any] = []
        self._cursors: list[Any] = []
        self._curves: dict[str, Any] = {}
        self._lines: dict[str, Any] = {}
        self._quiet = False
        self._make()

    def _make(self) -> None:
        for n, curves in enumerate(PLOTS):
            plot = self._area.addPlot(row=n, col=0)
            words = "<br>".join(f"<span style='color: {c}'>{w}</span>" for _, _, c, w in curves)
            self._dress(plot, words)
            plot.setYRange(-0.05, 1.15, padding=0)
            plot.setLimits(yMin=-0.3, yMax=2.0)
            for _, name, colour, _ in curves:
                self._curves[name] = plot.plot(
                    [], [], pen=pg.mkPen(colour, width=1.6), symbol="o", symbolSize=3, symbolPen=None,
                    symbolBrush=colour, connect="finite",
                )  # fmt: skip
            if n:
                plot.setXLink(self._plots[0])
            self._plots.append(plot)
        band = self._area.addPlot(row=len(PLOTS), col=0)
        self._dress(band, "<span style='color: #b8bec8'>state</span>")
        band.setXLink(self._plots[0])
        band.setYRange(0, 1, padding=0)
        band.getAxis("left").setTicks([[]])
        band.getAxis("bottom").setStyle(showValues=True)
        band.setFixedHeight(62)
        self._band = Band()
        band.addItem(self._band)
        self._band.dragged.connect(self.chosen)
        self._span = pg.LinearRegionItem(movable=False, brush=(255, 255, 255, 36), pen=pg.mkPen("#ffffff90"))
        band.addItem(self._span)
        self._span.setAcceptedMouseButtons(Qt.MouseButton.NoButton)
        self._plots.append(band)
        for plot in self._plots:
            cursor = pg.InfiniteLine(0, angle=90, movable=True, pen=pg.mkPen("#ffffff", width=1.2))
            cursor.sigDragged.connect(self._on_cursor)
            plot.addItem(cursor, ignoreBounds=True)
            self._cursors.append(cursor)
        for name, (colour, words) in LINES.items():
            line = pg.InfiniteLine(
                0, angle=90, movable=True, pen=pg.mkPen(colour, width=2.2, style=Qt.PenStyle.DashLine), label=words,
                labelOpts={"position": 0.35, "color": colour, "movable": False, "anchors": [(0, 0.5), (1, 0.5)]},
            )  # fmt: skip
            line.sigPositionChangeFinished.connect(lambda _=None, n=name: self._on_line(n))
            self._plots[0].addItem(line, ignoreBounds=True)
            line.setVisible(False)
            self._lines[name] = line

    def _dress(self, plot: Any, title: str) -> None:
        plot.setMenuEnabled(False)
        plot.hideButtons()
        plot.setMouseEnabled(x=True, y=False)
        plot.showGrid(x=True, y=True, alpha=0.12)
        axis = plot.getAxis("left")
        axis.setWidth(66)
        axis.setLabel(title, **{"font-size": "8pt"})
        plot.getAxis("bottom").setStyle(showValues=False)

    # ------------------------------------------------------------ showing

    def show_item(self, desk: Desk, *, rescale: bool = True) -> None:
        """Show evidence, states and event times of the desk's guest.

        Parameters
        ----------
        desk : Desk
            With an item.
        rescale : bool
            Zoom the time axis to the item's frames; False keeps the axis, as after an edit.
        """
        rows, pairs = desk.rows(), desk.evidence()
        sources = {"frames": rows, "pairs": pairs}
        for curves in PLOTS:
            for source, name, _, _ in curves:
                table = sources[source]
                x = table["frame"].to_numpy(np.float64) if len(table) else np.zeros(0)
                y = table[name].to_numpy(np.float64) if len(table) else np.zeros(0)
                self._curves[name].setData(x, np.clip(y, -0.3, 2.0))
        self._band.show_states(rows["frame"].to_numpy(), rows["location"].to_numpy(), rows["viability"].to_numpy())
        self._show_lines(desk)
        self.show_frame(desk.frame)
        self.show_span(desk.span)
        if rescale and len(rows):
            c = desk.current.candidate
            margin = max(4, (c.last - c.first) // 2)
            low = max(float(rows["frame"].iloc[0]), c.first - margin)
            high = min(float(rows["frame"].iloc[-1]), c.last + margin)
            self._plots[0].setXRange(low - 0.5, max(high, low + 4) + 0.5, padding=0)

    def _show_lines(self, desk: Desk) -> None:
        there = desk.lines()
        self._quiet = True
        for name, line in self._lines.items():
            line.setVisible(name in there)
            if name in there:
                line.setValue(there[name])
        self._quiet = False

    def show_frame(self, frame: int) -> None:
        """Move the cursor to a frame."""
        self._quiet = True
        for cursor in self._cursors:
            cursor.setValue(frame)
        self._quiet = False

    def show_span(self, span: tuple[int, int]) -> None:
        """Highlight the frames chosen, first and last included."""
        self._span.setRegion((span[0] - 0.5, span[1] + 0.5))

    # ------------------------------------------------------------ dragging

    def _on_cursor(self, line: Any) -> None:
        if not self._quiet:
            self.looked.emit(round(line.value()))

    def _on_line(self, name: str) -> None:
        if not self._quiet:
            self.moved.emit(name, round(self._lines[name].value()))
