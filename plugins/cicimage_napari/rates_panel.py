"""The Rates panel: rates per condition during a review; empty while the reviewer is blind to the conditions."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyqtgraph as pg
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from cicimage.errors import CicimageError
from cicimage.estimands import estimand_of, names_of
from cicimage.pipeline.collect import Corrections, collect
from cicimage.review.accuracy import accuracy_of
from cicimage.review.log import ADJUDICATED
from cicimage.review.results import corrected
from cicimage.store import Results
from cicimage_napari.buttons import plain_button
from cicimage_napari.review_panel import open_panels

WAIT_MS: Final = 1200
"""Time after the last verdict until the rates are computed again, ms."""
COLOURS: Final = ("#5ab0ff", "#ffb04c", "#4fe07a", "#e05fd0", "#ffd24c", "#9a9a9a", "#59c8f0", "#ff7a7a")
BEYOND: Final = 3.0
"""Upper end of the axis at most, in multiples of the highest estimate or well; the table has the full interval."""
BLIND: Final = (
    "You review blind to the condition: rates are shown once you have finished, or chosen to see the conditions "
    "(Finish... in the Review panel). It is logged, and later verdicts are marked."
)


def _title(name: str) -> str:
    """Label of an estimand, with a capital."""
    label = estimand_of(name).label
    return label[:1].upper() + label[1:]


class RatesPanel(QWidget):
    """Estimate and interval per condition and a dot per well, with and without corrections.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The window the panel is docked in.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.results: Results | None = None
        self.tables: dict[str, dict[str, pd.DataFrame]] = {}
        self._worker: Any = None
        self._heard: Any = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(WAIT_MS)
        self._timer.timeout.connect(self.compute)
        self._build()
        self.follow()

    def _build(self) -> None:
        column = QVBoxLayout(self)
        row = QHBoxLayout()
        self._estimand = QComboBox()
        for name in names_of("panel"):
            self._estimand.addItem(_title(name), name)
        self._estimand.currentTextChanged.connect(lambda _: self.draw())
        row.addWidget(self._estimand, 1)
        row.addWidget(plain_button("Open...", "Results folder", self._choose))
        row.addWidget(plain_button("Refresh", "Compute anew", self.follow))
        column.addLayout(row)
        self._plot = pg.PlotWidget()
        self._plot.setBackground("#1b1e24")
        self._plot.showGrid(y=True, alpha=0.15)
        self._plot.setMenuEnabled(False)
        self._plot.setMinimumHeight(240)
        column.addWidget(self._plot, 1)
        self._table = QTableWidget()
        self._table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self._table.verticalHeader().hide()
        column.addWidget(self._table)
        self._words = QLabel()
        self._words.setWordWrap(True)
        self._words.setStyleSheet("color: #b8bec8;")
        column.addWidget(self._words)
        self.setMinimumWidth(420)

    def _choose(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Results folder")
        if folder:
            self.open_folder(Path(folder))

    def open_folder(self, folder: Path) -> None:
        """Show the rates of a results folder."""
        self.results = Results(folder)
        self.compute()

    def follow(self) -> None:
        """Take the results of the review that is open in this window, if any, and update after its edits."""
        panel = next((p for p in open_panels() if p.viewer is self.viewer and p.desk is not None), None)
        if panel is not None:
            self.results = panel.desk.session.results
            if self._heard is not panel.desk:
                self._heard = panel.desk
                panel.desk.listeners.append(self._on_edit)
        self.compute()

    def _on_edit(self, what: str) -> None:
        if what in ("edit", "verdict"):
            self._timer.start()

    @property
    def blinded(self) -> bool:
        """Whether a blind review of these results is open."""
        for panel in open_panels():
            if panel.desk is not None and self.results is not None:
                session = panel.desk.session
                if session.results.root.resolve() == self.results.root.resolve():
                    return not (session.unblinded or session.finished)
        return False

    def compute(self) -> None:
        """Compute the rates in a thread; a blind review clears them instead."""
        from napari.qt.threading import create_worker

        if self.results is None:
            self._words.setText("Open a results folder, or a review.")
            return
        if self.blinded:
            self.tables = {}
            self.draw()
            self._words.setText(BLIND)
            return
        self._words.setText("computing...")
        reviewer = self._heard.session.reviewer if self._heard is not None else None
        self._worker = create_worker(rates_of, self.results, reviewer, _start_thread=False)
        self._worker.returned.connect(self._show)
        self._worker.errored.connect(lambda error: self._words.setText(str(error)))
        self._worker.start()

    def _show(self, tables: dict[str, dict[str, pd.DataFrame]]) -> None:
        self.tables = {} if self.blinded else tables
        self.draw()
        reviewed = "corrected" in tables
        whose = "with your corrections; hollow: as the program found them" if reviewed else "without corrections"
        words = [f"Points and 95 % intervals {whose}; small dots are wells."]
        if "accuracy" in tables:
            words.append(_accuracy_in_words(tables["accuracy"]["all"]))
        self._words.setText("<br>".join(words))

    def draw(self) -> None:
        """Draw the estimand chosen."""
        self._plot.clear()
        self._table.setRowCount(0)
        if not self.tables:
            return
        name = str(self._estimand.currentData())
        kind = "corrected" if "corrected" in self.tables else "base"
        rates = self.tables[kind]["rates"]
        part = rates[rates["estimand"] == name].reset_index(drop=True)
        if "base" in self.tables and kind == "corrected":
            base = self.tables["base"]["rates"]
            self._points(base[base["estimand"] == name].reset_index(drop=True), -0.16, hollow=True)
        self._points(part, 0.0, hollow=False)
        wells = self.tables[kind]["rates_by_replicate"]
        self._wells(wells[wells["estimand"] == name], part["condition"].tolist())
        self._plot.getAxis("bottom").setTicks([list(enumerate(part["condition"]))])
        unit = part["unit"].iloc[0] if len(part) else ""
        self._plot.setLabel("left", f"{_title(name)}  [{unit}]")
        self._plot.setYRange(0.0, _top(part, wells[wells["estimand"] == name]), padding=0.03)
        self._plot.setXRange(-0.6, max(1, len(part)) - 0.4)
        self._fill(part)

    def _points(self, part: pd.DataFrame, shift: float, *, hollow: bool) -> None:
        for n, row in part.iterrows():
            colour = COLOURS[int(str(n)) % len(COLOURS)]
            x = float(str(n)) + shift
            low, high, y = (float(row[c]) for c in ("ci_low", "ci_high", "estimate"))
            if not np.isfinite(y):
                continue
            pen = pg.mkPen(colour, width=1.2 if hollow else 2.4)
            if np.isfinite(low) and np.isfinite(high):
                self._plot.plot([x, x], [low, high], pen=pen)
            brush = pg.mkBrush("#1b1e24" if hollow else colour)
            self._plot.plot([x], [y], symbol="o", symbolSize=9 if hollow else 12, symbolBrush=brush, symbolPen=pen)

    def _wells(self, wells: pd.DataFrame, conditions: list[str]) -> None:
        for n, condition in enumerate(conditions):
            values = wells.loc[wells["condition"] == condition, "estimate"].to_numpy(np.float64)
            values = values[np.isfinite(values)]
            x = n + 0.18 + 0.05 * np.linspace(-1, 1, len(values)) if len(values) else np.zeros(0)
            self._plot.plot(x, values, pen=None, symbol="o", symbolSize=5, symbolBrush="#c8ccd4a0", symbolPen=None)

    def _fill(self, part: pd.DataFrame) -> None:
        heads = ("condition", "estimate", "95 %", "events", "hours", "wells", "donors")
        self._table.setColumnCount(len(heads))
        self._table.setHorizontalHeaderLabels(heads)
        self._table.setRowCount(len(part))
        for i, row in enumerate(part.to_dict("records")):
            values = (
                row["condition"], f"{row['estimate']:.3g}", f"{row['ci_low']:.3g} to {row['ci_high']:.3g}",
                f"{row['events']:.0f}", f"{row['exposure_h']:.1f}", str(row["n_replicates"]),
                str(row["n_donors"] or "unknown"),
            )  # fmt: skip
            for j, value in enumerate(values):
                cell = QTableWidgetItem(str(value))
                cell.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
                self._table.setItem(i, j, cell)
        self._table.resizeColumnsToContents()
        rows = sum(self._table.rowHeight(i) for i in range(len(part)))
        self._table.setMaximumHeight(rows + self._table.horizontalHeader().height() + 6)

    def closeEvent(self, event: Any) -> None:
        """Stop following the review."""
        if self._heard is not None and self._on_edit in self._heard.listeners:
            self._heard.listeners.remove(self._on_edit)
        super().closeEvent(event)


def _top(rates: pd.DataFrame, wells: pd.DataFrame) -> float:
    """Upper end of the axis: all intervals, up to ``BEYOND`` times the highest estimate or well."""
    seen = np.concatenate([rates["estimate"].to_numpy(np.float64), wells["estimate"].to_numpy(np.float64)])
    highest = float(np.nanmax(seen)) if np.isfinite(seen).any() else 0.0
    ends = rates["ci_high"].to_numpy(np.float64)
    widest = float(np.nanmax(ends)) if np.isfinite(ends).any() else highest
    return max(min(widest, BEYOND * highest) if highest else widest, 1e-6)


def rates_of(results: Results, reviewer: str | None) -> dict[str, dict[str, pd.DataFrame]]:
    """Rates as the program found them, and with a reviewer's corrections where there are any.

    Parameters
    ----------
    results : Results
        A finished folder.
    reviewer : str or None
        Whose corrections; None takes the adjudicated ones, else those of the only reviewer.

    Returns
    -------
    dict of str to dict of str to DataFrame
        ``base`` and, with corrections, ``corrected``: tables ``rates`` and ``rates_by_replicate``. ``accuracy``: under
        ``all`` the accuracy of the program's calls by this reviewer's random items.

    Raises
    ------
    CicimageError
        The reviewer named has no usable log. Without a name, corrections that cannot be read are left out.
    """
    found = {"base": _rates(results, Corrections())}
    try:
        laid = corrected(results, reviewer)
    except CicimageError:
        if reviewer is not None:
            raise
        return found
    if laid.tables or laid.excluded:
        found["corrected"] = _rates(results, laid)
    if laid.whose and laid.whose != ADJUDICATED:
        found["accuracy"] = {"all": accuracy_of(results, laid.whose)}
    return found


def _accuracy_in_words(table: pd.DataFrame) -> str:
    """Sensitivity and predictive value of the call "inside", over all conditions and for each."""
    parts = []
    for estimand in ("sensitivity_inside", "ppv_inside"):
        rows = table[(table["estimand"] == estimand) & (table["n"] > 0)]
        said = [
            f"{r['condition'] or 'all'} {r['estimate']:.2f} ({r['ci_low']:.2f} to {r['ci_high']:.2f}, n {r['n']})"
            for r in rows.to_dict("records")
        ]
        name = estimand.removesuffix("_inside").replace("ppv", "predictive value")
        parts.append(f"{name} of <i>inside</i>: " + ("; ".join(said) or "no random item reviewed yet"))
    return "<br>".join(parts)


def _rates(results: Results, laid: Corrections) -> dict[str, pd.DataFrame]:
    tables = collect(results, corrections=laid).tables
    return {name: tables[name] for name in ("rates", "rates_by_replicate")}
