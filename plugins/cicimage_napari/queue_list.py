"""The queue as a list: blinded names, the reason for each item, and its verdict."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QAbstractListModel, QModelIndex, Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QComboBox, QLabel, QListView, QProgressBar, QVBoxLayout, QWidget

from cicimage.review.desk import Desk
from cicimage.review.walk import FILTERS
from cicimage_napari.look import VERDICT_COLOUR

SIGN = {"accept": "✓", "reject": "✗", "unsure": "?", "set": "✎", "": "·", "again": "↻"}


class QueueModel(QAbstractListModel):
    """Items under the filter chosen, as a Qt model that serves thousands of rows."""

    def __init__(self) -> None:
        super().__init__()
        self._desk: Desk | None = None
        self.items: list[Any] = []
        self._judged: dict[str, str] = {}
        self._row: dict[str, int] = {}

    def show(self, desk: Desk) -> None:
        """Read items and verdicts of the desk again."""
        listed = desk.listed()
        if desk is self._desk and listed is self.items:
            self._judged = desk.judged
            self.dataChanged.emit(self.index(0), self.index(len(listed) - 1))
            return
        self.beginResetModel()
        self._desk, self.items, self._judged = desk, listed, desk.judged
        self._row = {item.id: n for n, item in enumerate(listed)}
        self.endResetModel()

    def row_of(self, item_id: str) -> int:
        """Row of an item, -1 where it is not shown."""
        return self._row.get(item_id, -1)

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Number of rows; Qt asks."""
        return 0 if parent is not None and parent.isValid() else len(self.items)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Text, tooltip or colour of a row; Qt asks.

        Parameters
        ----------
        index : QModelIndex
            The row.
        role : int
            ``DisplayRole``, ``ToolTipRole`` or ``ForegroundRole``.

        Returns
        -------
        str, QColor or None
            None for any other role and for an invalid index.
        """
        if self._desk is None or not index.isValid():
            return None
        item = self.items[index.row()]
        said = "again" if item.id in self._desk.walk.again else self._judged.get(item.id, "")
        if role == Qt.ItemDataRole.DisplayRole:
            return f"{SIGN[said]}  {self._desk.blind.item(item.id)}  {item.reason}"
        if role == Qt.ItemDataRole.ToolTipRole:
            return item.reason
        if role == Qt.ItemDataRole.ForegroundRole:
            return QColor(VERDICT_COLOUR[said] if said else "#d5dae2")
        return None


class QueueList(QWidget):
    """Filter, progress and list."""

    chosen = Signal(str)
    filtered = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        self._filter = QComboBox()
        self._filter.addItems(list(FILTERS))
        self._filter.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._filter.currentTextChanged.connect(self.filtered)
        self._bar = QProgressBar()
        self._bar.setTextVisible(True)
        self._words = QLabel()
        self._words.setStyleSheet("color: #98a0ac; font-size: 11px;")
        self.model = QueueModel()
        self._view = QListView()
        self._view.setModel(self.model)
        self._view.setUniformItemSizes(True)
        self._view.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._view.setMinimumHeight(90)
        self._view.clicked.connect(lambda index: self.chosen.emit(self.model.items[index.row()].id))
        for widget in (self._bar, self._words, self._filter, self._view):
            column.addWidget(widget)

    def show_desk(self, desk: Desk) -> None:
        """Update progress and list from the desk."""
        judged = desk.judged
        done = desk.walk.n_judged
        self._bar.setMaximum(max(1, len(desk.queue)))
        self._bar.setValue(done)
        self._bar.setFormat(f"{done} of {len(desk.queue)} judged")
        unsure = sum(v == "unsure" for v in judged.values())
        self._words.setText(
            f"{unsure} left unsure: back at the end" if unsure else "sorted by doubt x effect on the rate"
        )
        self.model.show(desk)
        self.mark(desk)

    def mark(self, desk: Desk) -> None:
        """Select the row of the desk's current item."""
        row = self.model.row_of(desk.item.id) if desk.item is not None else -1
        if row >= 0:
            index = self.model.index(row)
            self._view.setCurrentIndex(index)
            self._view.scrollTo(index, QListView.ScrollHint.PositionAtCenter)
