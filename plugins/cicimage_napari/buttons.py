"""Buttons that show their keys and never take the keyboard focus from the canvas."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QGroupBox, QPushButton, QWidget

from cicimage_napari.keys import DEFAULTS, KeyMap
from cicimage_napari.look import LOCATION_COLOUR, VERDICT_COLOUR, VIABILITY_COLOUR

COLOUR = {**LOCATION_COLOUR, **VIABILITY_COLOUR, **VERDICT_COLOUR}


def button(action: str, keys: KeyMap, act: Callable[[str], None], text: str = "") -> QPushButton:
    """Make the button of an action; it shows the action's key and has its meaning as a tooltip.

    Parameters
    ----------
    action : str
        A key of :data:`cicimage_napari.keys.DEFAULTS`.
    keys : KeyMap
        Keys in use.
    act : callable
        Called with the action when the button is clicked.
    text : str
        Label; the action's own name where empty.

    Returns
    -------
    QPushButton
        Named ``cicimage <action>``; actions with a colour of their own bear it at the left edge.
    """
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
    """Make a button that has no key.

    Parameters
    ----------
    text, tip : str
        Label and tooltip.
    act : callable
        Called without arguments when the button is clicked.
    checkable : bool
        The button stays pressed until it is clicked again.

    Returns
    -------
    QPushButton
    """
    made = QPushButton(text)
    made.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    made.setToolTip(tip)
    made.setCheckable(checkable)
    made.clicked.connect(lambda: act())
    return made


def group(title: str, widgets: Sequence[QWidget], columns: int) -> QGroupBox:
    """Put widgets into a titled box, row by row.

    Parameters
    ----------
    title : str
        Heading; empty for a box without one.
    widgets : sequence of QWidget
        In reading order.
    columns : int
        Widgets per row, at least 1.

    Returns
    -------
    QGroupBox
    """
    box = QGroupBox(title)
    grid = QGridLayout(box)
    grid.setContentsMargins(6, 4, 6, 6)
    grid.setSpacing(4)
    for n, widget in enumerate(widgets):
        grid.addWidget(widget, n // columns, n % columns)
    return box
