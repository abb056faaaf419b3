"""The experiment file with the options chosen in the window, so that the run can be repeated without it."""

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
    """Write the experiment's settings with other methods to ``experiment_napari.toml`` beside its own file.

    Parameters
    ----------
    experiment : Experiment
        Gives all other settings, and the folder (where the layout is found too).
    methods : mapping of str to mapping
        Per step ``{"method": name, option: value}``.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    ConfigurationError
        The folder cannot be written, or a method or option is not allowed.
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
    """Write nested mappings as TOML.

    Parameters
    ----------
    data : mapping
        Values are text, numbers, booleans, lists of these, and mappings; entries that are None are left out.
    prefix : str
        Name of the enclosing table with a dot behind it; empty at the top.

    Returns
    -------
    str
        Keys in the order given, tables after plain values.

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
