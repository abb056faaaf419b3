"""`cicimage check`: preflight of an experiment before it is run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import click
import psutil

from cicimage.batch.plan import check_methods, check_primary
from cicimage.batch.supervisor import usable_cores
from cicimage.errors import CicimageError, RecordingError, counted, nearest
from cicimage.experiment import Experiment, Position, load_experiment
from cicimage.experiment.design import LAYOUT_COLUMNS
from cicimage.fingerprints import fingerprint
from cicimage.pipeline.job import Job, memory_need
from cicimage.pipeline.plausible import differences, doubts
from cicimage.pipeline.setting import Setting, resolve
from cicimage.pipeline.spacing import guest_spacing
from cicimage.recording import open_recording, preflight
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


@dataclass
class _Sum:
    seconds: float = 0.0
    disk: float = FIXED_BYTES
    memory: int = 0
    faults: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    settings: dict[str, Setting] = field(default_factory=dict)


@click.command()
@click.argument("experiment", type=click.Path(path_type=Path))
@click.option("--host", metavar="CHANNEL", default=None, help="Host channel, name or 0-based index.")
@click.option("--guest", metavar="CHANNEL", default=None, help="Guest channel, name or 0-based index.")
@click.option("--death", metavar="CHANNEL", default=None, help="Death marker channel, name or 0-based index.")
@click.option("--series", type=click.IntRange(0), default=None, help="Series of files that hold several, 0-based.")
def check(experiment: Path, **options: Any) -> int:
    """Say what fits and what does not in EXPERIMENT (a file or a folder), and what a run will need."""
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
    _say_design(loaded)
    for sentence in loaded.unread:
        click.echo(f"warning: {sentence}")
    total.lines += [f"warning: {sentence}" for sentence in differences(total.settings)]
    total.lines += _copies(loaded) + _spacing(loaded)
    for line in total.lines:
        click.echo(line)
    if total.memory:
        _say_need(total)
    for fault in total.faults:
        click.echo(f"cicimage: {fault}", err=True)
    if not total.faults:
        return 0
    return 4 if len(total.faults) == len(loaded.positions) else 3


def _say_need(total: _Sum) -> None:
    click.echo(
        f"a run needs about {total.memory / 2**20:.0f} MiB of memory a worker "
        f"({psutil.virtual_memory().available / 2**20:.0f} free), {total.disk / 2**20:.0f} MiB of disk and "
        f"{(FIXED_S + total.seconds / usable_cores()) / 60:.1f} min on {counted(usable_cores(), 'core')}"
    )


def _look(experiment: Experiment, position: Position, total: _Sum) -> None:
    file = experiment.file
    try:
        preflight(position.path, **file.files.reading(position.series))
        with open_recording(position.path, **file.files.reading(position.series)) as recording:
            setting = resolve(recording, file, position.path)
            s = recording.sizes
    except (RecordingError, CicimageError) as error:
        total.faults.append(f"{position.position}: {error}")
        return
    voxels = s["T"] * len(setting.channels) * s["Z"] * s["Y"] * s["X"]
    total.seconds += POSITION_S + voxels / 1e6 * SECONDS_PER_MEGAPIXEL
    total.disk += voxels * recording.dtype.itemsize * RESULT_SHARE
    job = Job("p0000", position, file, Path())
    total.memory = max(total.memory, memory_need(job))
    sizes = " ".join(f"{k}{v}" for k, v in s.items() if v > 1)
    interval = (setting.time_s[-1] / (s["T"] - 1) / 60) if s["T"] > 1 else 0.0
    scale = f"{setting.optics.um_per_px:g} um/px" + (
        f", {setting.optics.um_per_z:g} um/z" if setting.optics.um_per_z else ", 2D"
    )
    total.lines += [f"note: {position.position}: {note}" for note in recording.metadata.notes]
    total.lines += [f"warning: {position.position}: {doubt}" for doubt in doubts(setting, s)]
    total.settings[position.position] = setting
    total.lines.append(f"{position.position}: {sizes}, {scale}, {interval:g} min, {', '.join(setting.channel_names)}")


def _copies(experiment: Experiment) -> list[str]:
    """A warning for every recording that is there twice under different names: it would count as two wells."""
    first: dict[str, str] = {}
    lines = []
    for position in experiment.positions:
        # of folders only names and sizes are known, and those are often alike; scenes of a file have it in common
        if position.series is not None or not position.path.is_file():
            continue
        content = str(fingerprint(position.path)["sha256"])
        if content in first:
            lines.append(
                f"warning: {position.position} and {first[content]} hold the same recording, which would count as two; "
                "take one of them out of the folder or the layout"
            )
        first.setdefault(content, position.position)
    return lines


def _spacing(experiment: Experiment) -> list[str]:
    """A warning where guests of the first readable recording move further in a frame than they lie apart."""
    for position in experiment.positions:
        try:
            found = guest_spacing(Job("p0000", position, experiment.file, Path()), SPACING_FRAMES)
        except CicimageError:
            continue
        if found is None or not found.ratio > 1:
            return []
        return [
            f"warning: {position.position}: guests move {found.displacement_um:.1f} um a frame and lie "
            f"{found.spacing_um:.1f} um apart; tracks will be mixed up, image more often or seed fewer guests"
        ]
    return []


def _say_design(experiment: Experiment) -> None:
    layout = experiment.layout()
    reference = experiment.file.experiment.reference
    click.echo(
        f"{counted(len(layout), 'recording')}; conditions: {', '.join(experiment.conditions)}; "
        f"reference: {reference or 'none'}"
    )
    for column in layout.columns.difference(list(LAYOUT_COLUMNS)):
        meant = nearest(str(column), LAYOUT_COLUMNS)
        if meant.startswith("did you mean"):
            click.echo(f"warning: layout.csv has a column {column!r}, taken as a factor; {meant}")
    click.echo(replication(layout, reference).sentence)
