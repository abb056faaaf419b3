"""RO-Crate: the results folder copied with a description that repositories and workflow tools read.

References
----------
.. [1] RO-Crate 1.1, https://w3id.org/ro/crate/1.1, and its profile for one run of a program, Process Run Crate 0.5.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.parse import quote

from cicimage.errors import ResultsError
from cicimage.pipeline.input_record import read_record
from cicimage.store import Results, read_json, write_json

METADATA: Final = "ro-crate-metadata.json"
PROFILE: Final = "https://w3id.org/ro/wfrun/process/0.5"
ENDINGS: Final = {
    ".csv": "text/csv", ".html": "text/html", ".json": "application/json", ".jsonl": "application/x-ndjson",
    ".parquet": "application/vnd.apache.parquet", ".npz": "application/zip",
}  # fmt: skip


def write_ro_crate(results: Results, path: Path) -> Path:
    """Copy a results folder and describe it: files with sizes and hashes, recordings, program, settings.

    Review logs are included under the names their reviewers gave.

    Parameters
    ----------
    results : Results
        The results folder.
    path : Path
        Folder to write.

    Returns
    -------
    Path
        ``ro-crate-metadata.json``.

    Raises
    ------
    ResultsError
        There are no tables yet.
    """
    if not results.table("rates").exists():
        raise ResultsError(f"{results.root}: must hold tables, has none; run `cicimage report {results.root}` first")
    run = results.read_run()
    files = [_copied(results.root, path, name) for name in _kept(results.root)]
    recordings = list(_recordings(results, run))
    write_json(path / METADATA, {"@context": "https://w3id.org/ro/crate/1.1/context", "@graph": [
        _descriptor(), _root(results, run, files), *files, *recordings, *_program(run), _action(run, files, recordings),
        {"@id": PROFILE, "@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"},
    ]})  # fmt: skip
    return path / METADATA


def _kept(root: Path) -> list[PurePosixPath]:
    """Files of the results, without locks, logs and half-written files."""
    names = (PurePosixPath(p.relative_to(root).as_posix()) for p in root.rglob("*") if p.is_file())
    return sorted(n for n in names if not any(part.startswith(".") for part in n.parts) and n.name != "log.jsonl")


def _copied(root: Path, path: Path, name: PurePosixPath) -> dict[str, Any]:
    target = path / name
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(root / name, target)
    with target.open("rb") as file:
        code = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "@id": quote(str(name)), "@type": "File", "name": str(name), "contentSize": str(target.stat().st_size),
        "sha256": code, "encodingFormat": ENDINGS.get(name.suffix, "application/octet-stream"),
    }  # fmt: skip


def _descriptor() -> dict[str, Any]:
    return {
        "@id": METADATA, "@type": "CreativeWork", "about": {"@id": "./"},
        "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
    }  # fmt: skip


def _root(results: Results, run: Mapping[str, Any], files: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    name = run["configuration"]["experiment"]["name"] or results.root.resolve().name
    return {
        "@id": "./", "@type": "Dataset", "name": f"Cell-in-cell events of {name}",
        "description": "Cells, tracks, cell-in-cell events and rates per condition from live-cell recordings; "
        "report.html shows them, run.json holds versions and settings.",
        "datePublished": datetime.now(UTC).date().isoformat(), "license": "not stated: add one before publishing",
        "conformsTo": {"@id": PROFILE}, "hasPart": [{"@id": f["@id"]} for f in files], "mentions": {"@id": "#run"},
    }  # fmt: skip


def _recordings(results: Results, run: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """Describe the input by name and hash: it is not copied, and its location is private."""
    for position, key in run["positions"].items():
        receipt, record = results.position(key).receipt, read_record(results.position(key))
        seen = read_json(receipt).get("input", {}) if receipt.exists() else {}
        yield {
            "@id": f"#recording-{key}", "@type": "CreativeWork", "name": position,
            "identifier": (record.content if record else "") or seen.get("sha256", ""),
            "size": str(seen.get("size", "")),
            "keywords": [str(run["design"][position]["condition"])],
        }  # fmt: skip


def _program(run: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    yield {
        "@id": "#cicimage", "@type": "SoftwareApplication", "name": "cicimage",
        "version": run["program"]["cicimage"],
        "softwareRequirements": [f"{name} {version}" for name, version in run["packages"].items()],
    }  # fmt: skip


def _action(
    run: Mapping[str, Any], files: Iterable[Mapping[str, Any]], recordings: Iterable[Mapping[str, Any]]
) -> dict[str, Any]:
    return {
        "@id": "#run", "@type": "CreateAction", "name": "cicimage run", "instrument": {"@id": "#cicimage"},
        "object": [{"@id": r["@id"]} for r in recordings], "result": [{"@id": f["@id"]} for f in files],
        "description": f"settings in run.json, their hash is {run['configuration_hash']}",
    }  # fmt: skip
