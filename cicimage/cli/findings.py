"""What `cicimage check` finds in an experiment: faults, doubts, and what a run will need."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pandas as pd
import psutil

from cicimage.batch.plan import check_methods, check_primary
from cicimage.batch.supervisor import usable_cores
from cicimage.cli.echo import echo
from cicimage.errors import CicimageError, RecordingError, counted, nearest
from cicimage.experiment import Experiment, Position, load_experiment
from cicimage.experiment.alike import alike_names
from cicimage.experiment.layout import FACTORS_KNOWN, LAYOUT_COLUMNS
from cicimage.findings import Finding
from cicimage.fingerprints import fingerprint
from cicimage.guard import ask, ask_for_pixels, require_memory
from cicimage.pipeline.channel_check import FRAMES_LOOKED_AT, look_at_channels, shared_channels
from cicimage.pipeline.job import Job
from cicimage.pipeline.opened import Opened, Unsettled, open_job
from cicimage.pipeline.plausible import differences, doubts, one_frame, one_frame_each
from cicimage.pipeline.sample import SAMPLED_FRAMES
from cicimage.pipeline.setting import Setting
from cicimage.pipeline.spacing import guest_spacing
from cicimage.statistics.design import replication

SECONDS_PER_MEGAPIXEL: Final = 0.08
"""Measured with `make bench` on one core: seconds of a run per million voxels read; a guide, not a promise."""
FIXED_S: Final = 6.0
"""Seconds that every run takes to start and to write its report."""
POSITION_S: Final = 0.5
"""Seconds that every position takes to start."""
RESULT_SHARE: Final = 0.05
"""Results on disk per byte of pixels read, measured on the sample data, rounded up."""
FIXED_BYTES: Final = 8 << 20
"""The report and the tables of the whole experiment."""


SPACING_FRAMES: Final = 4
"""Frames decoded of one recording to see how far guests move."""
MOST_VOXELS: Final = 1_500_000_000
"""Voxels decoded, of all recordings together, to hold channels against each other: about a minute at most."""


@dataclass(frozen=True)
class _Said:
    """A finding and the position it is about; empty where it is about the experiment, or names positions itself."""

    position: str
    finding: Finding

    @property
    def line(self) -> str:
        kind = "note" if self.finding.severity == "note" else "warning"
        return f"{kind}: {self.position + ': ' if self.position else ''}{self.finding.sentence}"


@dataclass
class _Sum:
    seconds: float = 0.0
    disk: float = FIXED_BYTES
    memory: int = 0
    faults: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    said: list[_Said] = field(default_factory=list)
    voxels: int = 0
    """Decoded so far."""
    settings: dict[str, Setting] = field(default_factory=dict)


def check_experiment(experiment: Path, as_json: bool, options: Mapping[str, Any]) -> int:
    """Print what fits and what does not.

    Parameters
    ----------
    experiment : Path
        Experiment file, or folder of recordings.
    as_json : bool
        Print the findings as JSON and nothing else.
    options : mapping
        Channels and series by name, as the command line gives them.

    Returns
    -------
    int
        Exit code, a key of :data:`cicimage.cli.EXIT_CODES`.
    """
    loaded = load_experiment(
        experiment,
        {
            "channels.host": options["host"], "channels.guest": options["guest"], "channels.death": options["death"],
            "files.series": options["series"],
        },
    )  # fmt: skip
    check_methods(loaded.file)
    check_primary(loaded.file)
    total = _Sum()
    for position in loaded.positions:
        _look(loaded, position, total)
    _say_of_all(loaded, total)
    if as_json:
        echo(json.dumps([{"position": s.position, **s.finding.as_dict()} for s in total.said], indent=1))
    else:
        _say_design(loaded)
        for line in total.lines:
            echo(line)
        if total.memory:
            _say_need(total)
    for fault in total.faults:
        echo(f"cicimage: {fault}", err=True)
    if not total.faults:
        return 0
    return 4 if len(total.faults) == len(loaded.positions) else 3


def _say(total: _Sum, position: str, *findings: Finding) -> None:
    """Note findings, in the order in which they are shown."""
    said = [_Said(position, finding) for finding in findings]
    total.said += said
    total.lines += [s.line for s in said]


def _say_of_all(loaded: Experiment, total: _Sum) -> None:
    """Findings about the recordings together."""
    lines, total.lines = total.lines, []
    layout = loaded.layout()
    _say(total, "", *_columns(layout), *alike_names(layout, loaded.file.experiment.distinct))
    for sentence in loaded.unread:
        _say(total, "", Finding("files_not_read", "warning", "", sentence, ""))
    total.lines += lines
    # Where none can be read, each may be one plane of one channel.
    frames = {p: len(s.time_s) for p, s in total.settings.items()} or {p.position: 1 for p in loaded.positions}
    numbered = one_frame_each(frames, several_planes=bool(total.settings))
    if numbered:  # said once of all and not of each
        each = [s for s in total.said if s.finding.code == "one_frame" and s.finding.field == "files.pattern"]
        total.said = [s for s in total.said if s not in each]
        lines = [line for line in lines if line not in {s.line for s in each}]
    _say(total, "", *numbered, *differences(total.settings), *_copies(loaded))
    for position, finding in _spacing(loaded):
        _say(total, position, finding)


def _say_need(total: _Sum) -> None:
    echo(
        f"a run needs about {total.memory / 2**20:.0f} MiB of memory a worker "
        f"({psutil.virtual_memory().available / 2**20:.0f} free), {total.disk / 2**20:.0f} MiB of disk and "
        f"{(FIXED_S + total.seconds / usable_cores()) / 60:.1f} min on {counted(usable_cores(), 'core')}"
    )


def _look(experiment: Experiment, position: Position, total: _Sum) -> None:
    job = Job("p0000", position, experiment.file, Path())
    try:
        opened = ask(position.path, open_job, job)
        if isinstance(opened, Opened):
            require_memory(position.path, opened.need)
    except CicimageError as error:
        _refuse(total, position, str(error))
        return
    if isinstance(opened, Unsettled):
        _refuse(total, position, opened.fault)
        # Numbered frames are said of all recordings together.
        shape = [f for f in one_frame(opened.sizes, opened.order) if f.field != "files.pattern"]
        _say(total, position.position, *shape)
        return
    s, setting = opened.sizes, opened.setting
    voxels = s["T"] * len(setting.channels) * s["Z"] * s["Y"] * s["X"]
    total.seconds += POSITION_S + voxels / 1e6 * SECONDS_PER_MEGAPIXEL
    total.disk += voxels * opened.itemsize * RESULT_SHARE
    total.memory = max(total.memory, opened.need)
    sizes = " ".join(f"{k}{v}" for k, v in s.items() if v > 1)
    interval = (setting.time_s[-1] / (s["T"] - 1) / 60) if s["T"] > 1 else 0.0
    scale = f"{setting.optics.um_per_px:g} um/px" + (
        f", {setting.optics.um_per_z:g} um/z" if setting.optics.um_per_z else ", 2D"
    )
    total.lines += [f"note: {position.position}: {note}" for note in opened.metadata.notes]
    total.said += [
        _Said(position.position, Finding("metadata_not_used", "note", "", note, "")) for note in opened.metadata.notes
    ]
    _say(
        total,
        position.position,
        *doubts(setting, s, opened.order),
        *shared_channels(setting),
        *_channels(job, opened.need, voxels // s["T"], total),
    )
    total.settings[position.position] = setting
    total.lines.append(f"{position.position}: {sizes}, {scale}, {interval:g} min, {', '.join(setting.channel_names)}")


def _refuse(total: _Sum, position: Position, fault: str) -> None:
    total.faults.append(f"{position.position}: {fault}")
    failed = Finding("recording_refused", "unresolved", "", fault, "mend the recording or its settings")
    total.said.append(_Said(position.position, failed))


def _channels(job: Job, need: int, voxels_a_frame: int, total: _Sum) -> tuple[Finding, ...]:
    """What a few frames show, as long as that does not take too long."""
    total.voxels += (FRAMES_LOOKED_AT + SAMPLED_FRAMES) * voxels_a_frame
    if total.voxels > MOST_VOXELS:
        return ()
    try:
        return ask_for_pixels(job.position.path, need, look_at_channels, job)
    except CicimageError as error:
        return (Finding("recording_refused", "unresolved", "", str(error), ""),)


def _copies(experiment: Experiment) -> list[Finding]:
    """A warning for every recording that is there twice under different names: it would count as two wells."""
    first: dict[str, str] = {}
    found = []
    for position in experiment.positions:
        # of folders only names and sizes are known, and those are often alike; scenes of a file have it in common
        if position.series is not None or not position.path.is_file():
            continue
        try:
            content = str(ask(position.path, fingerprint, position.path)["sha256"])
        except RecordingError:
            continue
        if content in first:
            value = f"{position.position} and {first[content]} hold the same recording, which would count as two"
            remedy = "take one of them out of the folder or the layout"
            found.append(Finding("recording_twice", "warning", "", value, remedy, "position"))
        first.setdefault(content, position.position)
    return found


def _spacing(experiment: Experiment) -> list[tuple[str, Finding]]:
    """A warning where guests of the first readable recording move further in a frame than they lie apart."""
    for position in experiment.positions:
        try:
            job = Job("p0000", position, experiment.file, Path())
            found = ask_for_pixels(position.path, 0, guest_spacing, job, SPACING_FRAMES)
        except CicimageError:
            continue
        if found is None or not found.ratio > 1 or not found.least_displacement_um > found.spacing_um:
            return []
        value = f"guests move {found.displacement_um:.1f} um a frame and lie {found.spacing_um:.1f} um apart"
        remedy = "tracks will be mixed up, image more often or seed fewer guests"
        return [(position.position, Finding("guests_move_far", "warning", "", value, remedy))]
    return []


def _columns(layout: pd.DataFrame) -> list[Finding]:
    """A warning for every column of the layout that is nearly one that is known."""
    found = []
    known = LAYOUT_COLUMNS + FACTORS_KNOWN
    for column in layout.columns.difference(list(known)):
        meant = nearest(str(column), known)
        if meant.startswith("did you mean"):
            value = f"layout.csv has a column {column!r}, taken as a factor"
            found.append(Finding("column_nearly_known", "warning", "", value, meant, str(column)))
    return found


def _say_design(experiment: Experiment) -> None:
    layout = experiment.layout()
    reference = experiment.file.experiment.reference
    echo(
        f"{counted(len(layout), 'recording')}; conditions: {', '.join(experiment.conditions)}; "
        f"reference: {reference or 'none'}"
    )
    echo(replication(layout, reference).sentence)
