"""The Run panel: choose recordings and methods, preview one frame, run all recordings with progress."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any, Final

from qtpy.QtCore import QProcess, Qt
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QScrollArea,
    QSpinBox,
    QToolBox,
    QVBoxLayout,
    QWidget,
)

from cicimage.errors import CicimageError
from cicimage.experiment import Experiment, load_experiment
from cicimage.experiment.schema import SWITCHABLE
from cicimage.guard import guarded
from cicimage_napari.buttons import plain_button
from cicimage_napari.forms import MethodForm
from cicimage_napari.preview import Preview, preview
from cicimage_napari.settings_file import write_settings

TITLES: Final = {
    "segment_guest": "Find guests", "segment_host": "Find hosts", "track_guest": "Follow guests",
    "track_host": "Follow hosts", "score": "Tell inside from under and on top", "illumination": "Uneven illumination",
    "bleed_through": "Bleed-through", "drift": "Stage drift", "bleaching": "Bleaching",
}  # fmt: skip
TABS: Final = (
    "QToolBox::tab { background: #333844; border-radius: 3px; padding-left: 8px; color: #d5dae2; }"
    "QToolBox::tab:selected { background: #414a5c; font-weight: bold; }"
)
INFORMS, WARNS = "color: #b8bec8;", "color: #e8b34c;"
PROGRESS: Final = re.compile(r"\[(\d+)/(\d+)\]")


class RunPanel(QWidget):
    """Forms of the methods, a preview of one frame, progress and cancel.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The window the panel is docked in.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.experiment: Experiment | None = None
        self.forms: dict[str, MethodForm] = {}
        self._process: QProcess | None = None
        self._heard = ""
        self._worker: Any = None
        self._build()

    def _build(self) -> None:
        inner = QWidget()
        column = QVBoxLayout(inner)
        paths = QFormLayout()
        self._source, self._out = QLineEdit(), QLineEdit()
        self._source.setPlaceholderText("folder <condition>/<well>_f<field>.tif, or experiment.toml")
        self._out.setPlaceholderText("new or earlier results folder")
        self._source.editingFinished.connect(self._load)
        paths.addRow("Recordings", _with_button(self._source, self._choose_source))
        paths.addRow("Results", _with_button(self._out, self._choose_out))
        column.addLayout(paths)
        self._facts = QLabel("Choose the folder of your recordings.")
        self._facts.setWordWrap(True)
        self._facts.setStyleSheet("color: #b8bec8;")
        column.addWidget(self._facts)
        self._steps = QToolBox()
        self._steps.setStyleSheet(TABS)
        column.addWidget(self._steps, 1)
        look = QHBoxLayout()
        self._position, self._frame = QComboBox(), QSpinBox()
        self._frame.setPrefix("frame ")
        self._frame.setMaximum(100000)
        look.addWidget(self._position, 1)
        look.addWidget(self._frame)
        look.addWidget(plain_button("Preview", "Find guests and hosts in this frame with these options", self.preview))
        column.addLayout(look)
        self._bar = QProgressBar()
        self._bar.setValue(0)
        column.addWidget(self._bar)
        buttons = QHBoxLayout()
        self.run_button = plain_button("Run", "Run all recordings; goes on where it stopped", self.run)
        self.cancel_button = plain_button("Cancel", "Stop; finished recordings are kept", self.cancel)
        self.review_button = plain_button("Review", "Open the results in the Review panel", self.review)
        self.cancel_button.setEnabled(False)
        self.review_button.setEnabled(False)
        for made in (self.run_button, self.cancel_button, self.review_button):
            buttons.addWidget(made)
        column.addLayout(buttons)
        self._message = QLabel()
        self._message.setWordWrap(True)
        self._message.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        column.addWidget(self._message)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setWidget(inner)
        area.setFrameShape(QScrollArea.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(area)
        self.setMinimumWidth(430)

    # ------------------------------------------------------------ what to run

    def _choose_source(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder of the recordings")
        if folder:
            self.open_source(Path(folder))

    def _choose_out(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Results folder")
        if folder:
            self._out.setText(folder)

    def open_source(self, source: Path) -> None:
        """Read an experiment file or folder and show its methods."""
        self._source.setText(str(source))
        self._load()

    def _load(self) -> None:
        source = self._source.text().strip()
        if not source:
            return
        self.say("")
        try:
            with guarded():
                self.experiment = load_experiment(Path(source))
        except CicimageError as error:
            self.experiment = None
            self.say(str(error), fault=True)
            return
        if not self._out.text():
            self._out.setText(str(Path(source).with_suffix("").parent / f"{Path(source).with_suffix('').name}_results"))
        layout = self.experiment.layout()
        donors = len({d for d in layout["donor"] if d})
        self._facts.setText(
            f"{len(layout)} recordings, {len(self.experiment.conditions)} conditions, "
            f"{donors or 'no'} donor{'' if donors == 1 else 's'} named"
        )
        self._position.clear()
        self._position.addItems([p.position for p in self.experiment.positions])
        self._show_methods(self.experiment)

    def _show_methods(self, experiment: Experiment) -> None:
        while self._steps.count():
            self._steps.removeItem(0)
        choices = experiment.file.choices()
        self.forms = {s: MethodForm(s, choices[s], optional=s in SWITCHABLE) for s in TITLES}
        for step, form in self.forms.items():
            self._steps.addItem(form, TITLES[step])

    def settings(self) -> dict[str, dict[str, Any]]:
        """Method and options per step, as ``[methods]`` of the experiment file holds them."""
        return {s: {"method": f.choice().method, **f.choice().options} for s, f in self.forms.items()}

    # ------------------------------------------------------------ one frame

    def preview(self) -> None:
        """Segment the frame chosen in a thread and show the objects found; the window stays responsive."""
        from napari.qt.threading import create_worker

        if self.experiment is None:
            self.say("choose the recordings first", fault=True)
            return
        position = self.experiment.positions[max(0, self._position.currentIndex())]
        self.say("looking at the frame...")
        self._worker = create_worker(
            preview, self.experiment, position, self.settings(), self._frame.value(), _start_thread=False
        )
        self._worker.returned.connect(self._show_preview)
        self._worker.errored.connect(lambda error: self.say(str(error), fault=True))
        self._worker.start()

    def _show_preview(self, found: Preview) -> None:
        for name in [layer.name for layer in self.viewer.layers if layer.name.startswith("preview")]:
            self.viewer.layers.remove(name)
        for image, options in found.images:
            self.viewer.add_image(image, **options)
        for labels, options in reversed(found.labels):  # guests above the hosts they lie in
            layer = self.viewer.add_labels(labels, **options)
            layer.contour = 2
        self.viewer.dims.axis_labels = ("z", "y", "x")[-self.viewer.dims.ndim :]
        self.viewer.reset_view()
        self.say(found.words)

    # ------------------------------------------------------------ all of it

    def run(self) -> None:
        """Run in a separate process: a window that closes or crashes leaves finished recordings complete."""
        if self.experiment is None or not self._out.text().strip():
            self.say("choose the recordings and a results folder first", fault=True)
            return
        try:
            source = write_settings(self.experiment, self.settings())
        except CicimageError as error:
            self.say(str(error), fault=True)
            return
        self._process = QProcess(self)
        self._process.setProcessChannelMode(QProcess.ProcessChannelMode.MergedChannels)
        self._process.readyReadStandardOutput.connect(self._read)
        self._process.finished.connect(self._ended)
        self._heard = ""
        self.run_button.setEnabled(False)
        self.cancel_button.setEnabled(True)
        self._bar.setMaximum(len(self.experiment.positions))
        self._bar.setValue(0)
        self._process.start(
            sys.executable, ["-m", "cicimage", "run", str(source), "-o", self._out.text().strip(), "--retry-failed"]
        )

    def _read(self) -> None:
        if self._process is None:
            return
        text = bytes(self._process.readAllStandardOutput().data()).decode("utf-8", "replace")
        self._heard = (self._heard + text)[-4000:]
        found = PROGRESS.findall(self._heard)
        if found:
            self._bar.setMaximum(int(found[-1][1]))
            self._bar.setValue(int(found[-1][0]))
        lines = [line for line in self._heard.splitlines() if line.strip()]
        self.say(lines[-1] if lines else "")

    def _ended(self, code: int, *_: Any) -> None:
        self._read()
        self.run_button.setEnabled(True)
        self.cancel_button.setEnabled(False)
        finished = (Path(self._out.text()) / "run.json").exists() and code in (0, 3)
        self.review_button.setEnabled(finished)
        faults = [line for line in self._heard.splitlines() if line.startswith("cicimage:")]
        if code == 0:
            self.say("all done; look at the doubtful events now")
        elif faults:
            self.say("\n".join(faults[-4:]), fault=True)
        self._process = None

    def cancel(self) -> None:
        """Stop the run; finished recordings are kept, and the next run resumes after them."""
        if self._process is not None:
            self._process.terminate()
            if not self._process.waitForFinished(5000):
                self._process.kill()
            self.say("stopped; finished recordings are kept, Run goes on from there")

    def review(self) -> None:
        """Open the results in the Review panel."""
        _, panel = self.viewer.window.add_plugin_dock_widget("cicimage", "Review")
        panel.open_folder(Path(self._out.text()))

    def say(self, sentence: str, *, fault: bool = False) -> None:
        """Show a sentence below the buttons.

        Parameters
        ----------
        sentence : str
            Replaces the one before; empty clears it.
        fault : bool
            Show it in the colour of warnings.
        """
        self._message.setStyleSheet(WARNS if fault else INFORMS)
        self._message.setText(sentence)

    @property
    def said(self) -> str:
        """The sentence shown."""
        return str(self._message.text())

    def closeEvent(self, event: Any) -> None:
        """Stop the run when the dock is closed."""
        self.cancel()
        super().closeEvent(event)


def _with_button(line: QLineEdit, act: Any) -> QWidget:
    box = QWidget()
    row = QHBoxLayout(box)
    row.setContentsMargins(0, 0, 0, 0)
    row.addWidget(line, 1)
    row.addWidget(plain_button("...", "Choose", act))
    return box
