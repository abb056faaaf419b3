"""Keys of the review: their defaults, a user's changes, and an event filter that receives them before napari does."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QKeyEvent, QKeySequence
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDockWidget,
    QLineEdit,
    QPlainTextEdit,
    QTextEdit,
    QWidget,
)

from cicimage.errors import ConfigurationError, nearest

DEFAULTS: Final[Mapping[str, tuple[str, str, str]]] = {
    "accept": ("A", "Verdict", "the call is right; go on"),
    "reject": ("R", "Verdict", "the call is wrong; go on"),
    "unsure": ("U", "Verdict", "cannot say; comes back at the end"),
    "note": ("N", "Verdict", "write a note"),
    "free": ("1", "Where the guest was", "free in the chosen frames"),
    "attached": ("2", "Where the guest was", "attached"),
    "entering": ("3", "Where the guest was", "entering"),
    "inside": ("4", "Where the guest was", "inside"),
    "unresolved": ("5", "Where the guest was", "cannot tell"),
    "alive": ("6", "Whether it lived", "alive in the chosen frames"),
    "dead": ("7", "Whether it lived", "dead from there on"),
    "unknown": ("8", "Whether it lived", "no marker can tell"),
    "entry": ("T", "When", "entry at this frame"),
    "end": ("Y", "When", "last frame inside is this one"),
    "death": ("K", "When", "dead from this frame on"),
    "next": ("J", "Going about", "next item"),
    "previous": ("I", "Going about", "item before"),
    "back": (",", "Going about", "frame before"),
    "forward": (".", "Going about", "next frame"),
    "play": ("Space", "Going about", "play and stop"),
    "overlay": ("G", "Going about", "hide and show outlines"),
    "merge": ("M", "Tracks", "this guest and the one clicked are one"),
    "split": ("S", "Tracks", "divides at this frame"),
    "swap": ("X", "Tracks", "swap with the one clicked from this frame on"),
    "delete": ("D", "Tracks", "this is no cell"),
    "link": ("L", "Tracks", "goes on as the one clicked"),
    "break": ("B", "Tracks", "another cell from this frame on"),
    "undo": ("Ctrl+Z", "Undo", "take the last edit back"),
    "redo": ("Ctrl+Shift+Z", "Undo", "do it again"),
    "help": ("?", "Undo", "show the keys"),
}
TEXT_FIELDS: Final = (QLineEdit, QTextEdit, QPlainTextEdit, QAbstractSpinBox)


@dataclass(frozen=True)
class KeyMap:
    """Keys in use, by action.

    Attributes
    ----------
    keys : mapping of str to str
        Action to key sequence in Qt's notation, e.g. ``Ctrl+Z``.
    """

    keys: Mapping[str, str]

    @classmethod
    def load(cls, path: Path | None = None) -> KeyMap:
        """Read the user's keys; actions the file does not name keep their defaults.

        Parameters
        ----------
        path : Path, optional
            TOML file with a table ``[keys]``; :func:`keys_path` by default. Without a file all keys are the defaults.

        Raises
        ------
        ConfigurationError
            The file is not TOML, names an unknown action, or assigns one key twice.
        """
        path = path or keys_path()
        keys = {action: key for action, (key, _, _) in DEFAULTS.items()}
        if path.exists():
            try:
                said = tomllib.loads(path.read_text(encoding="utf-8")).get("keys", {})
            except tomllib.TOMLDecodeError as error:
                raise ConfigurationError(f"{path}: not valid TOML ({error}); mend that line") from None
            for action, key in said.items():
                if action not in keys:
                    raise ConfigurationError(f"{path}: no action {action!r}; {nearest(action, keys)}")
                keys[action] = str(key)
        taken: dict[str, str] = {}
        for action, key in keys.items():
            plain = QKeySequence(key).toString()
            if plain in taken:
                raise ConfigurationError(
                    f"{path}: key {key!r} must do one thing, does {taken[plain]} and {action}; choose another for one"
                )
            taken[plain] = action
        return cls(keys)

    def action_of(self, event: QKeyEvent) -> str:
        """The action of a key press; empty where the key has none."""
        pressed = _written(event)
        return next((a for a, key in self.keys.items() if QKeySequence(key).toString() == pressed), "")

    def label(self, action: str) -> str:
        """The key as shown on a button."""
        return self.keys[action]

    def as_html(self) -> str:
        """A table of all keys, for the help window."""
        parts, group = [], ""
        for action, (_, section, what) in DEFAULTS.items():
            if section != group:
                parts.append(f"<tr><td colspan=2 style='padding-top:8px'><b>{section}</b></td></tr>")
                group = section
            parts.append(f"<tr><td align=right><code>{self.keys[action]}</code>&nbsp;&nbsp;</td><td>{what}</td></tr>")
        return f"<table cellspacing=1>{''.join(parts)}</table><p>Change them in <code>{keys_path()}</code></p>"


def keys_path() -> Path:
    """The user's own key file."""
    home = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(home) / "cicimage" / "keys.toml"


def _written(event: QKeyEvent) -> str:
    key = event.key()
    modifiers = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
    if event.text() == "?":  # needs Shift on some keyboards and none on others
        return "?"
    return QKeySequence(int(getattr(modifiers, "value", modifiers)) | int(key)).toString()


class KeyFilter(QObject):
    """Receives the review's keys before any layer, menu or shortcut of napari does.

    Text fields keep all their keys; while ``active`` is False no key is intercepted.
    """

    def __init__(self, keys: KeyMap, act: Callable[[str], None], window: QWidget) -> None:
        super().__init__(window)
        self._keys, self._act, self._window = keys, act, window
        self.active = True

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Run the action of a key press in the review's window; Qt calls this for every event of the application.

        Parameters
        ----------
        watched : QObject
            Receiver of the event.
        event : QEvent
            Any event; key presses and shortcut overrides are looked at.

        Returns
        -------
        bool
            True where the event was handled here and goes no further.
        """
        kind = event.type()
        if kind not in (QEvent.Type.KeyPress, QEvent.Type.ShortcutOverride) or not self.active or self._typing():
            return False
        action = self._keys.action_of(event) if self._is_ours(watched) else ""
        if not action:
            return False
        if kind == QEvent.Type.ShortcutOverride:
            event.accept()  # no shortcut of a menu takes it; the key press follows
            return True
        self._act(action)
        return True

    def _is_ours(self, watched: QObject) -> bool:
        """Whether a widget belongs to our window or to a dock that floats beside it; dialogs keep their keys."""
        if not isinstance(watched, QWidget):
            return False
        window = watched.window()
        return window is self._window or (isinstance(window, QDockWidget) and window.parent() is self._window)

    def _typing(self) -> bool:
        focus = QApplication.focusWidget()
        return isinstance(focus, TEXT_FIELDS) or (isinstance(focus, QComboBox) and focus.isEditable())
