"""Short hashes of inputs and settings, by which changes and swapped files are recognised."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def digest(value: Any) -> str:
    """Short hash of a JSON-like value, the same for the same content."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def fingerprint(path: Path, files: Sequence[Path] = ()) -> dict[str, Any]:
    """Size and hash of an input: whole for small files, head, middle and tail of large ones.

    A movie of 12 GB is not read twice for its hash; its size and three blocks identify it. Of a recording of many
    files, all names and sizes are hashed, and the content of the first, the middle and the last file.

    Parameters
    ----------
    path : Path
        File or folder.
    files : sequence of Path, optional
        The files it consists of, where these are several.

    Returns
    -------
    dict
        ``size``, bytes, and ``sha256``.
    """
    if len(files) > 1:
        sizes = [(os.path.relpath(p, path.parent).replace(os.sep, "/"), p.stat().st_size) for p in files]
        ends = [fingerprint(files[i])["sha256"] for i in (0, len(files) // 2, -1)]
        return {"size": sum(s for _, s in sizes), "sha256": digest([sizes, ends])}
    path = files[0] if files else path
    if path.is_dir():
        names = sorted(p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file())
        sizes = [(n, (path / n).stat().st_size) for n in names]
        return {"size": sum(s for _, s in sizes), "sha256": digest(sizes)}
    size, block = path.stat().st_size, 1 << 20
    h = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        starts = range(0, size, block) if size <= 8 * block else (0, size // 2, size - block)
        for start in starts:
            file.seek(start)
            h.update(file.read(block))
    return {"size": size, "sha256": h.hexdigest()}
