"""Rows of buttons that show their keys and never take the focus from the canvas."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QGroupBox, QPushButton, QWidget

from cicimage_napari.keys import DEFAULTS, KeyMap
from cicimage_napari.look import LOCATION_COLOUR, VERDICT_COLOUR, VIABILITY_COLOUR

COLOUR = {**LOCATION_COLOUR, **VIABILITY_COLOUR, **VERDICT_COLOUR}


def button(action: str, keys: KeyMap, act: Callable[[str], None], text: str = "") -> QPushButton:
    """A button of an action, its key behind its name and its meaning as a tip."""
    made = QPushButton(f"{text or action.capitalize()}  ({keys.label(action)})")
    made.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    made.setToolTip(DEFAULTS[action][2])
    made.clicked.connect(lambda: act(action))
    made.setObjectName(f"cicimage {action}")
    if action in COLOUR:
        made.setStyleSheet(
            f"QPushButton {{ border-left: 4px solid {COLOUR[action]}; padding: 4px 6px; text-align: left; }}"
        )
    return made


def plain_button(text: str, tip: str, act: Callable[[], None], *, checkable: bool = False) -> QPushButton:
    """A button without a key."""
    made = QPushButton(text)
    made.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    made.setToolTip(tip)
    made.setCheckable(checkable)
    made.clicked.connect(lambda: act())
    return made


def group(title: str, widgets: Sequence[QWidget], columns: int) -> QGroupBox:
    """A titled box of widgets in rows."""
    box = QGroupBox(title)
    grid = QGridLayout(box)
    grid.setContentsMargins(6, 4, 6, 6)
    grid.setSpacing(4)
    for n, widget in enumerate(widgets):
        grid.addWidget(widget, n // columns, n % columns)
    return box
