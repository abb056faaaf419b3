"""Forms generated from the fields of the methods, the only place where options are declared."""

from __future__ import annotations

from typing import Any, Final, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QFormLayout, QLabel, QLineEdit, QSpinBox, QWidget

from cicimage.methods import Choice, Method, available

WIDE: Final = 1e9
FIELD_PX: Final = 130
"""Maximum width of a number field, px; Qt sizes a field by its longest allowed number."""


class Number(QDoubleSpinBox):
    """A number without trailing zeros."""

    def textFromValue(self, value: float) -> str:
        """A value as text; Qt asks."""
        return f"{value:.6g}"


class MethodForm(QWidget):
    """Form of one step: its method, and the method's options with bounds and meaning.

    Parameters
    ----------
    step : str
        Name of the step in the experiment file, e.g. ``segment_guest``.
    choice : Choice
        Method and options shown at first.
    optional : bool
        The step can be switched off.
    """

    changed = Signal()

    def __init__(self, step: str, choice: Choice, *, optional: bool) -> None:
        super().__init__()
        self.step = step
        self._fields: dict[str, QWidget] = {}
        self._defaults: dict[str, Any] = {}
        self._rows = QFormLayout(self)
        self._rows.setContentsMargins(4, 2, 4, 2)
        self._method = QComboBox()
        self._method.addItems([*available(step), *(["none"] if optional else [])])
        self._method.setCurrentText(choice.method)
        self._method.currentTextChanged.connect(lambda _: self._show({}))
        self._rows.addRow("method", self._method)
        self._show(dict(choice.options))

    def _show(self, options: dict[str, Any]) -> None:
        while self._rows.rowCount() > 1:
            self._rows.removeRow(1)
        self._fields, self._defaults = {}, {}
        entry = available(self.step).get(self._method.currentText())
        if entry is None:
            self.changed.emit()
            return
        method: type[Method] = entry.load()
        for name, field in method.model_fields.items():
            value = options.get(name, field.get_default(call_default_factory=True))
            self._defaults[name] = field.get_default(call_default_factory=True)
            widget = _widget(field, value)
            widget.setToolTip(field.description or "")
            for signal in ("valueChanged", "currentTextChanged", "stateChanged", "editingFinished"):
                if hasattr(widget, signal):
                    getattr(widget, signal).connect(lambda *_: self.changed.emit())
            self._fields[name] = widget
            label = QLabel(name.replace("_", " "))
            label.setToolTip(field.description or "")
            self._rows.addRow(label, widget)
        self.changed.emit()

    def choice(self) -> Choice:
        """The method chosen, with the options that differ from their defaults."""
        said = {name: _value(widget) for name, widget in self._fields.items()}
        kept = {n: v for n, v in said.items() if v is not None and not _same(v, self._defaults[n])}
        return Choice(self._method.currentText(), kept)


def _widget(field: Any, value: Any) -> QWidget:
    kind = field.annotation
    if get_origin(kind) is Literal:
        box = QComboBox()
        box.addItems([str(v) for v in get_args(kind)])
        box.setCurrentText(str(value))
        return box
    if kind is bool:
        check = QCheckBox()
        check.setChecked(bool(value))
        return check
    low, high = _bounds(field.metadata)
    if kind is int:
        whole = QSpinBox()
        whole.setRange(int(max(low, -(2**31))), int(min(high, 2**31 - 1)))
        whole.setValue(int(value))
        whole.setMaximumWidth(FIELD_PX)
        return whole
    if kind is float:
        number = Number()
        number.setDecimals(4)
        number.setRange(low, high)
        number.setSingleStep(max(abs(float(value)) / 10, 0.01))
        number.setValue(float(value))
        number.setMaximumWidth(FIELD_PX)
        return number
    return QLineEdit("" if value is None else str(value))


def _bounds(metadata: list[Any]) -> tuple[float, float]:
    low, high = -WIDE, WIDE
    for rule in metadata:
        if isinstance(rule, Ge):
            low = float(rule.ge)  # type: ignore[arg-type]
        elif isinstance(rule, Gt):
            low = float(rule.gt) + 1e-4  # type: ignore[arg-type]
        elif isinstance(rule, Le):
            high = float(rule.le)  # type: ignore[arg-type]
        elif isinstance(rule, Lt):
            high = float(rule.lt) - 1e-4  # type: ignore[arg-type]
    return low, high


def _value(widget: QWidget) -> Any:
    if isinstance(widget, QComboBox):
        return widget.currentText()
    if isinstance(widget, QCheckBox):
        return widget.isChecked()
    if isinstance(widget, QSpinBox | QDoubleSpinBox):
        return widget.value()
    return widget.text() or None  # type: ignore[attr-defined]


def _same(value: Any, default: Any) -> bool:
    if isinstance(default, float):
        return abs(float(value) - default) < 1e-4 * max(1.0, abs(default))
    return bool(value == default) or str(value) == str(default)
