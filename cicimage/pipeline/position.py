"""One position from recording to base tables, in stages that are kept and re-made only where something changed."""

from __future__ import annotations

import ctypes
import json
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import psutil
import pyarrow as pa

from cicimage.containment.input_faults import InputQuality
from cicimage.errors import CicimageError, RecordingError, ResultsError
from cicimage.findings import findings_of
from cicimage.mask_store import MaskFile, mask_writer
from cicimage.methods import BleachingMethod, Choice, build
from cicimage.pipeline.crops import save_crops
from cicimage.pipeline.detect import Detections, detect
from cicimage.pipeline.input_record import Hashing, InputRecord, observe, read_record, write_record
from cicimage.pipeline.job import STAGES, Job, members_of, stage_keys, write_failure
from cicimage.pipeline.judge import Judgement, judge, scorer_of
from cicimage.pipeline.link import link
from cicimage.pipeline.plausible import doubts
from cicimage.pipeline.same_input import same_input
from cicimage.pipeline.setting import Setting, resolve
from cicimage.receipts import read_receipt, succeeded
from cicimage.recording import Recording, is_there
from cicimage.regular import refuse_links_outside
from cicimage.store import (
    DiskFullError,
    PositionFolder,
    disk_full_as_error,
    read_arrays,
    read_json,
    read_table,
    remove_partial_files,
    write_arrays,
    write_json,
    write_table,
)
from cicimage.tables import SCHEMA_VERSION
from cicimage.version import __version__

try:
    import resource
except ImportError:  # Windows counts elsewhere
    resource = None  # type: ignore[assignment]

Progress = Callable[[str, int, int], None]


def run_position(job: Job, progress: Progress, *, look_ahead: bool = True) -> dict[str, Any]:
    """Run what is not yet done of a position and write its receipt last.

    This is the one place that catches everything: a fault is recorded with its sentence, and the other positions
    go on.

    Parameters
    ----------
    job : Job
        What is to be run.
    progress : callable
        Told of stages and frames.
    look_ahead : bool
        Whether there is a core to find guests a frame ahead.

    Returns
    -------
    dict
        The receipt: outcome ``done`` or ``failed``, error, timings, peak memory, stage keys.
    """
    try:
        refuse_links_outside(job.folder)
        return _run_logged(job, progress, look_ahead)
    except DiskFullError as error:  # nothing more can be written, not even that
        return {"outcome": "failed", "kind": "disk_full", "error": str(error)}
    except (
        ResultsError
    ) as error:  # the folder is not to be written to but for the receipt, which replaces what is there
        return write_failure(job, str(error), "configuration", 0)


def _run_logged(job: Job, progress: Progress, look_ahead: bool) -> dict[str, Any]:
    folder = PositionFolder(job.folder)
    started = time.perf_counter()
    remove_partial_files(folder.root)
    with _Log(folder.log) as log:
        try:
            known = _known_input(job, folder)
            keys = stage_keys(job, known.identity if known else None)
            done = _finished_stages(folder, keys)
            receipt = _receipt_before(folder)
            if done == list(STAGES) and succeeded(receipt):
                return receipt
            folder.receipt.unlink(missing_ok=True)
            facts = _run_stages(job, folder, keys, done, known, log, progress, look_ahead)
        except DiskFullError:
            raise
        except RecordingError as error:
            if error.__cause__ is not None:  # what a library or reader raised
                log.write("traceback", traceback.format_exc())
            return _failed(job, log, str(error), "input", started)
        except CicimageError as error:
            return _failed(job, log, str(error), "configuration", started)
        except MemoryError:
            reason = f"{job.position.path}: memory ran out at {_peak() / 2**20:.0f} MiB; use fewer --workers"
            return _failed(job, log, reason, "memory", started)
        except Exception as error:  # noqa: BLE001 - the one place: recorded, and the batch goes on
            log.write("traceback", traceback.format_exc())
            reason = f"a fault of the program: {type(error).__name__}: {error}; the log {folder.log} has the details"
            return _failed(job, log, reason, "crash", started)
        receipt = {
            "schema_version": SCHEMA_VERSION, "outcome": "done", "error": "", "key": keys["judge"], "stages": keys,
            "seconds": round(time.perf_counter() - started, 3), "peak_memory_bytes": _peak(),
            "cicimage": __version__, "input": job.input(), **facts,
        }  # fmt: skip
        write_json(folder.receipt, receipt)
        log.write("done", f"{receipt['seconds']} s")
    return receipt


def _failed(job: Job, log: _Log, reason: str, kind: str, started: float) -> dict[str, Any]:
    log.write("failed", reason)
    return write_failure(job, reason, kind, _peak(), time.perf_counter() - started)


def _known_input(job: Job, folder: PositionFolder) -> InputRecord | None:
    """Record of the input where it is the same as before; results of another input are taken away first."""
    if not is_there(job.position.path):  # it fails, and is what it was once it is back
        return None
    known = None if job.input_changed else same_input(job, read_record(folder))
    if known is None and (job.input_changed or folder.input.exists()):
        for outdated in (folder.receipt, folder.stages, folder.input):
            outdated.unlink(missing_ok=True)
    return known


def _receipt_before(folder: PositionFolder) -> dict[str, Any]:
    """What a run before wrote; nothing where that cannot be read: the position is then made anew."""
    try:
        return read_receipt(folder.receipt) if folder.receipt.exists() else {}
    except ResultsError:
        return {}


def _finished_stages(folder: PositionFolder, keys: Mapping[str, str]) -> list[str]:
    try:
        recorded = read_json(folder.stages) if folder.stages.exists() else {}
    except ResultsError:
        return []
    if not isinstance(recorded, dict):
        return []
    done: list[str] = []
    for stage in STAGES:
        if recorded.get(stage) != keys[stage]:
            break
        done.append(stage)
    return done


def _run_stages(
    job: Job,
    folder: PositionFolder,
    keys: Mapping[str, str],
    done: list[str],
    known: InputRecord | None,
    log: _Log,
    progress: Progress,
    look_ahead: bool,
) -> dict[str, Any]:
    choices = job.file.choices()
    finished = {stage: keys[stage] for stage in done}
    # What is made anew is not to be taken for what it was, should this run be killed and the settings be put back.
    write_json(folder.stages, finished)
    seconds: dict[str, float] = {}

    def finish(stage: str, since: float) -> None:
        _give_back()
        finished[stage] = keys[stage]
        write_json(folder.stages, finished)
        seconds[stage] = round(time.perf_counter() - since, 3)
        log.write(stage, f"{seconds[stage]} s")

    path = job.position.path
    if not is_there(path):
        raise RecordingError(f"{path}: the recording is gone; put it back or take its row out of the layout")
    with job.open() as recording:
        listed = known or observe(path, members_of(job, recording), job.input())
        write_record(folder, listed)
        hashing = Hashing(listed, path)
        setting = resolve(recording, job.file, path)
        write_json(folder.setting, setting.as_dict())
        if "detect" not in done:
            since = time.perf_counter()
            _save_detections(folder, recording, setting, choices, progress, look_ahead=look_ahead)
            finish("detect", since)
        drift = read_table(folder.table("drift"))
        if "link" not in done:
            since = time.perf_counter()
            progress("link", 0, 1)
            _save_links(folder, drift, setting, choices, job.key)
            finish("link", since)
        if "judge" not in done:
            since = time.perf_counter()
            progress("judge", 0, 1)
            result = judge(
                read_table(folder.table("links"), "cells"), read_table(folder.table("evidence")), drift, setting,
                scorer_of(choices), job.position.time_zero_h, job.key, _quality(folder, setting),
            )  # fmt: skip
            _save_judgement(folder, result)
            _save_quality(folder, setting, choices["bleaching"], job)
            seconds["score"] = round(time.perf_counter() - since, 3)
            cut = time.perf_counter()
            save_crops(folder, recording, setting, result, progress)
            seconds["crops"] = round(time.perf_counter() - cut, 3)
            finish("judge", since)
        write_record(folder, hashing.finish(progress))
        return _facts(folder, recording, setting, seconds)


def _save_detections(
    folder: PositionFolder,
    recording: Recording,
    setting: Setting,
    choices: Mapping[str, Choice],
    progress: Progress,
    *,
    look_ahead: bool,
) -> None:
    shape = (recording.sizes["Y"], recording.sizes["X"])
    with mask_writer(folder.masks, shape) as save_masks:
        found: Detections = detect(recording, setting, choices, save_masks, progress, look_ahead=look_ahead)
    key = folder.root.name
    write_table(folder.table("detections"), found.cells)
    write_table(folder.table("evidence"), found.evidence)
    write_table(folder.table("drift"), found.drift.assign(position=key))
    write_table(folder.table("quality"), found.quality)
    write_arrays(folder.estimates, found.arrays)
    write_json(folder.missing, {str(t): reason for t, reason in found.missing.items()})
    write_json(folder.findings, [finding.as_dict() for finding in found.findings])


def _quality(folder: PositionFolder, setting: Setting) -> InputQuality:
    """Faults of frames and channels, and the host signal of guests outside, as the first stage found them."""
    outside = read_arrays(folder.estimates)["outside_signal"]
    found = findings_of(read_json(folder.findings))
    return InputQuality(found, tuple(outside.tolist()))


def _save_links(
    folder: PositionFolder, drift: pd.DataFrame, setting: Setting, choices: Mapping[str, Choice], key: str
) -> None:
    masks = MaskFile(folder.masks)
    cells = link(read_table(folder.table("detections")), drift, setting, choices, masks.masks, key)
    write_table(folder.table("links"), cells)


def _save_judgement(folder: PositionFolder, result: Judgement) -> None:
    for name in ("cells", "pairs", "frames", "events", "guests", "hosts"):
        write_table(folder.table(name), getattr(result, name))
    write_json(folder.optics, result.optics.as_dict())


def _save_quality(folder: PositionFolder, setting: Setting, bleaching: Choice, job: Job) -> None:
    quality = read_table(folder.table("quality"))
    if not len(quality):
        write_table(folder.table("qc"), quality)
        return
    time_h = setting.time_s / 3600.0 - job.position.time_zero_h
    quality = quality.assign(position=job.key, time_h=time_h[quality["frame"].to_numpy()])
    quality["bleach_factor"] = np.nan
    if bleaching.method != "none":
        method = cast(BleachingMethod, build("bleaching", bleaching.method, bleaching.options))
        for _, part in quality.groupby("channel"):
            signal, hours = part["signal"].to_numpy(np.float64), part["time_h"].to_numpy(np.float64)
            quality.loc[part.index, "bleach_factor"] = method.estimate(signal, hours)
    write_table(folder.table("qc"), quality)


def _facts(
    folder: PositionFolder, recording: Recording, setting: Setting, seconds: Mapping[str, float]
) -> dict[str, Any]:
    optics = setting.optics
    return {
        "stage_seconds": dict(seconds),
        "missing_frames": read_json(folder.missing),
        "findings": _findings(folder, recording, setting),
        "notes": list(recording.metadata.notes),
        "recording": {
            "sizes": dict(recording.sizes), "dtype": str(recording.dtype), "um_per_px": optics.um_per_px,
            "um_per_z": optics.um_per_z, "na": optics.na, "immersion": optics.immersion, "modality": optics.modality,
            "interval_s": float(pd.Series(setting.time_s).diff().median()) if len(setting.time_s) > 1 else None,
            "channels": _channel_names(setting),
            "origins": dict(setting.origins),
        },
    }  # fmt: skip


def _findings(folder: PositionFolder, recording: Recording, setting: Setting) -> list[dict[str, str]]:
    """What is wrong with the recording, each fault once: what leaves nothing to be told, then what was seen besides."""
    found = (
        *findings_of(read_json(folder.optics)["findings"]),
        *findings_of(read_json(folder.findings)),
        *doubts(setting, recording.sizes, recording.order),
    )
    return [finding.as_dict() for finding in dict.fromkeys(found)]


def _channel_names(setting: Setting) -> dict[str, str]:
    return {use: setting.channel_names[setting.slot(use)] for use in setting.channel_of}


def _give_back() -> None:
    """Hand freed memory back to the system: what one stage needed the next one cannot reuse in its pieces."""
    pa.default_memory_pool().release_unused()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # not in every C library
        if trim is not None:
            trim(0)


def _peak() -> int:
    """Most memory this process held, bytes."""
    if resource is None:
        return int(psutil.Process().memory_info().peak_wset)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)


class _Log:
    """JSON lines of one position, appended; also what went wrong before stays."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> _Log:
        with disk_full_as_error(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("ab", buffering=0)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, event: str, text: str) -> None:
        line = {"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "event": event, "text": text}
        with disk_full_as_error(self._path):
            self._file.write((json.dumps(line, ensure_ascii=False) + "\n").encode())
