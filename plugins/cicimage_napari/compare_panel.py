"""The Compare panel: agreement of two reviewers, and the items they dispute."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QSpinBox,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from cicimage.errors import CicimageError
from cicimage.review.agreement import Agreement, compare
from cicimage.review.blinding import Blind
from cicimage.review.log import ADJUDICATED, reviewers
from cicimage.store import Results
from cicimage_napari.buttons import plain_button
from cicimage_napari.launch import desk_of
from cicimage_napari.review_panel import ReviewPanel, open_panels


class ComparePanel(QWidget):
    """Cohen's kappa, agreement of entry frames, the table of categories, and the disputed items.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The window the panel is docked in.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.results: Results | None = None
        self.agreement: Agreement | None = None
        self._build()
        panel = next((p for p in open_panels() if p.viewer is napari_viewer and p.desk is not None), None)
        if panel is not None:
            self.open_folder(panel.desk.session.results.root)

    def _build(self) -> None:
        column = QVBoxLayout(self)
        row = QHBoxLayout()
        self._first, self._second, self._tolerance = QComboBox(), QComboBox(), QSpinBox()
        self._tolerance.setPrefix("± ")
        self._tolerance.setSuffix(" frames")
        self._tolerance.setValue(1)
        self._tolerance.setToolTip("Entry frames that differ by no more are the same")
        row.addWidget(plain_button("Open...", "Results folder", self._choose))
        for widget in (self._first, self._second, self._tolerance):
            row.addWidget(widget)
        row.addWidget(plain_button("Compare", "Both must have finished", self.compare))
        column.addLayout(row)
        self._words = QLabel("Open a results folder that two people have reviewed.")
        self._words.setWordWrap(True)
        column.addWidget(self._words)
        self._table = QTableWidget()
        self._table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        column.addWidget(self._table)
        self._list = QListWidget()
        column.addWidget(self._list, 1)
        self.settle_button = plain_button("Settle the disputed ones", "Opens them in the Review panel", self.settle)
        self.settle_button.setEnabled(False)
        column.addWidget(self.settle_button)
        self.setMinimumWidth(420)

    def _choose(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Results folder")
        if folder:
            self.open_folder(Path(folder))

    def open_folder(self, folder: Path) -> None:
        """List the reviewers of a results folder."""
        self.results = Results(folder)
        names = [n for n in reviewers(folder) if n != ADJUDICATED]
        for n, box in enumerate((self._first, self._second)):
            box.clear()
            box.addItems(names)
            box.setCurrentIndex(min(n, len(names) - 1))
        self.say(f"{len(names)} reviewers" if len(names) != 1 else "one reviewer: two are needed to compare")

    def compare(self) -> None:
        """Compare the two reviewers chosen."""
        if self.results is None or not self._first.currentText():
            self.say("open a results folder that two people have reviewed")
            return
        self.agreement = None
        self.settle_button.setEnabled(False)
        try:
            self.agreement = compare(
                self.results, self._first.currentText(), self._second.currentText(),
                tolerance_frames=self._tolerance.value(),
            )  # fmt: skip
        except CicimageError as error:
            self.say(str(error))
            return
        self._show(self.agreement)

    def _show(self, found: Agreement) -> None:
        entries = ""
        if len(found.entry_errors):
            entries = (
                f"<br>Entry frames within {found.tolerance_frames}: {100 * found.entries_within:.0f} % "
                f"of {len(found.entry_errors)}"
            )
        self.say(
            f"<b>Cohen's kappa {found.kappa:.2f}</b> ({found.ci_low:.2f} to {found.ci_high:.2f}); "
            f"{100 * found.share:.0f} % of {found.n} items alike{entries}<br>{len(found.disputed)} disputed; "
            f"rows: {found.reviewers[0]}, columns: {found.reviewers[1]}"
        )
        names = list(found.table.columns)
        self._table.setRowCount(len(names))
        self._table.setColumnCount(len(names))
        self._table.setHorizontalHeaderLabels(names)
        self._table.setVerticalHeaderLabels(names)
        for i, a in enumerate(names):
            for j, b in enumerate(names):
                self._table.setItem(i, j, QTableWidgetItem(str(found.table.at[a, b])))
        self._table.resizeColumnsToContents()
        blind = Blind("".join(found.reviewers))
        self._list.clear()
        self._list.addItems([f"{blind.item(i.id)}  {i.reason}" for i in found.disputed])
        self.settle_button.setEnabled(bool(found.disputed))

    def settle(self) -> None:
        """Open the disputed items in the Review panel.

        The adjudicated log starts with the items on which both reviewers agree.
        """
        if self.results is None or self.agreement is None:
            return
        try:
            desk = desk_of(
                self.results, reviewer="", adjudicate=self.agreement.reviewers,
                tolerance_frames=self.agreement.tolerance_frames,
            )  # fmt: skip
        except CicimageError as error:
            self.say(str(error))
            return
        panel = ReviewPanel(self.viewer)
        self.viewer.window.add_dock_widget(panel, name="Review", area="right")
        panel.show_desk(desk, own=True)

    def say(self, sentence: str) -> None:
        """Show a sentence."""
        self._words.setText(sentence)

    @property
    def said(self) -> str:
        """The sentence shown."""
        return str(self._words.text())
