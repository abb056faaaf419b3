"""One position to be run: what it is made of, and by what it is known that something of it changed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cicimage.errors import CicimageError, RecordingError
from cicimage.experiment import ExperimentFile, Position
from cicimage.fingerprints import digest, fingerprint
from cicimage.methods import Choice, available
from cicimage.recording import Recording, is_there, open_recording, recording_files
from cicimage.regular import special_kind
from cicimage.store import PositionFolder, write_json
from cicimage.tables import SCHEMA_VERSION
from cicimage.version import __version__

STAGES: Final[Mapping[str, tuple[str, ...]]] = {
    "detect": ("illumination", "bleed_through", "drift", "segment_guest", "segment_host"),
    "link": ("track_guest", "track_host"),
    "judge": ("bleaching", "score"),
}
"""Steps of each stage; a stage is re-made when one of its steps, or a stage before it, changed."""

BASE_BYTES: Final = 450 << 20
"""Memory of the libraries and tables of a position."""
STAGE_VERSION: Final = {"detect": 5, "link": 1, "judge": 4}
"""Raised with every change of what a stage finds, so that results made before are not mixed with it."""


@dataclass(frozen=True)
class Job:
    """One position to be run into its folder.

    Attributes
    ----------
    key : str
        Opaque name of the position.
    position : Position
        Recording and design.
    file : ExperimentFile
        Settings.
    folder : Path
        Where its results lie.
    input_changed : bool
        The recording is another one than that of the results: nothing of them is kept.
    """

    key: str
    position: Position
    file: ExperimentFile
    folder: Path
    input_changed: bool = False

    def reading(self) -> dict[str, Any]:
        """What of its path is read, as keywords of :func:`cicimage.recording.open_recording`."""
        return self.file.reading(self.position.series)

    def input(self) -> dict[str, Any] | None:
        """Fingerprint of the files it is read from; None where they are gone."""
        return input_fingerprint(self.position.path, self.reading()["series"])

    def open(self) -> Recording:
        """Open its recording as the experiment file says."""
        return open_recording(self.position.path, **self.reading())


def settings_key(job: Job) -> str:
    """Hash of the input and all settings: another key means that something is to be re-made."""
    return stage_keys(job)["judge"]


def stage_keys(job: Job, identity: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Hash of everything each stage depends on, the stage before it included.

    Parameters
    ----------
    job : Job
        The position.
    identity : mapping, optional
        Fingerprint of its input where that is known; the recording is opened otherwise.
    """
    settings = job.file.model_dump(mode="json", include={"channels", "populations", "markers", "optics"})
    settings |= job.file.files.reading(job.position.series)
    upstream = digest([SCHEMA_VERSION, settings, identity or job.input() or "missing"])
    keys = {}
    for stage, steps in STAGES.items():
        methods = [_method_key(step, job.file.choices()[step]) for step in steps]
        own = job.position.time_zero_h if stage == "judge" else None
        upstream = keys[stage] = digest([upstream, stage, STAGE_VERSION[stage], methods, own])
    return keys


def members_of(job: Job, recording: Recording) -> tuple[Path, ...]:
    """Files and folders that a position's recording is read from, those that name others included.

    Parameters
    ----------
    job : Job
        The position.
    recording : Recording
        Its recording, opened.
    """
    named = recording_files(job.position.path, job.reading()["series"])
    return tuple(dict.fromkeys((*named, *(f for f in recording.files if not f.is_dir()))))


def input_fingerprint(path: Path, series: int | None) -> dict[str, Any] | None:
    """Fingerprint of what a recording is read from, of a plate one field only; None where it is gone."""
    if not is_there(path) or special_kind(path):
        return None
    try:
        files = recording_files(path, series)
        return fingerprint(path, () if any(map(special_kind, files)) else files)
    except RecordingError:  # it will fail at the gate, with its sentence; until it is mended it is the same
        return fingerprint(path)


def _method_key(step: str, choice: Choice) -> list[Any]:
    if choice.method == "none":
        return [step, "none"]
    entry = available(step).get(choice.method)
    version = entry.load().stage_version if entry is not None else None
    read = [hashlib.sha256(path.read_bytes()).hexdigest() for path in _files_named(choice.options)]
    return [step, choice.method, dict(choice.options), version, *read]


def _files_named(options: Mapping[str, Any]) -> list[Path]:
    """Files that options name: what is in them counts, not what they are called."""
    return [p for p in (Path(v) for v in options.values() if isinstance(v, str) and v) if p.is_file()]


def memory_need(job: Job) -> int:
    """Bytes a position needs at its peak: the libraries, and a few copies of one frame."""
    try:
        with job.open() as recording:
            return need_of(recording.sizes)
    except (CicimageError, OSError):
        return BASE_BYTES


def need_of(sizes: Mapping[str, int]) -> int:
    """Bytes that a position of a recording needs at its peak.

    Parameters
    ----------
    sizes : mapping of str to int
        Lengths of its axes.
    """
    return BASE_BYTES + sizes["C"] * sizes["Z"] * sizes["Y"] * sizes["X"] * 4 * 6


def write_failure(
    job: Job, reason: str, kind: str, peak: int, seconds: float = 0.0, key: str | None = None
) -> dict[str, Any]:
    """Write the receipt of a failed position.

    Parameters
    ----------
    job : Job
        The position.
    reason, kind : str
        Why it failed, in one sentence, and the kind of failure.
    peak : int
        Most memory that it held, bytes.
    seconds : float
        How long it ran, s.
    key : str, optional
        Key of its settings and input; worked out where not given, which opens the recording.

    Raises
    ------
    DiskFullError
        The disk is full.
    """
    receipt = {
        "schema_version": SCHEMA_VERSION, "outcome": "failed", "kind": kind, "error": reason,
        "key": settings_key(job) if key is None else key,
        "seconds": round(seconds, 3), "peak_memory_bytes": peak, "cicimage": __version__,
    }  # fmt: skip
    write_json(PositionFolder(job.folder).receipt, receipt)
    return receipt
