"""An experiment file with the options chosen on the screen, so that a run can be repeated without it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from cicimage.errors import ConfigurationError
from cicimage.experiment import Experiment, parse
from cicimage.store import write_text

NAME: Final = "experiment_napari.toml"


def write_settings(experiment: Experiment, methods: Mapping[str, Mapping[str, Any]]) -> Path:
    """Write the experiment's settings with other methods beside its own file, where its layout is found too.

    Raises
    ------
    ConfigurationError
        The folder cannot be written, or an option does not fit.
    """
    source = experiment.source
    folder = source if source.is_dir() else source.parent
    settings = experiment.file.model_dump(exclude_unset=True, mode="json")
    text = as_toml({**settings, "schema_version": 1, "methods": {s: dict(m) for s, m in methods.items()}})
    parse(text, NAME)
    path = folder / NAME
    try:
        write_text(path, text)
    except OSError as error:
        raise ConfigurationError(
            f"{path}: must be writable for the options chosen ({error.strerror}); copy the folder, or ask for access"
        ) from None
    return path


def as_toml(data: Mapping[str, Any], prefix: str = "") -> str:
    """Write nested mappings of plain values as TOML; empty values (None) are left out.

    Examples
    --------
    >>> print(as_toml({"a": 1, "b": {"c": [1.5, "x"]}}))
    a = 1
    <BLANKLINE>
    [b]
    c = [1.5, "x"]
    """
    plain = {k: v for k, v in data.items() if not isinstance(v, Mapping) and v is not None}
    tables = {k: v for k, v in data.items() if isinstance(v, Mapping)}
    lines = [f"{_key(k)} = {_value(v)}" for k, v in plain.items()]
    parts = ["\n".join(lines)] if lines else []
    for key, value in tables.items():
        name = f"{prefix}{_key(key)}"
        inner = as_toml(value, f"{name}.")
        own = any(not isinstance(v, Mapping) for v in value.values())
        parts.append(f"[{name}]\n{inner}" if own or not value else inner)
    return "\n\n".join(p for p in parts if p)


def _key(name: str) -> str:
    return name if name.replace("_", "").replace("-", "").isalnum() and name.isascii() else json.dumps(name)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(v) for v in value) + "]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
