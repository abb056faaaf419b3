"""The recordings whose processing is timed: made once, seeded, and kept below ``benchmarks/work``."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import tifffile
from lib import painter

from cicimage.simulation.ome import write_ome_tiff
from cicimage.simulation.scenarios import CXCR4_BLOCKADE, WIDEFIELD_20X
from cicimage.simulation.spec import Condition, Scenario
from cicimage.simulation.write import write_experiment

SEED: Final = 1
NAME: Final = "w1_f1.ome.tif"
"""The same in every folder: an OME-TIFF names its own file."""


@dataclass(frozen=True)
class Wanted:
    """Least numbers that a run must find for the recording to be the one that was asked for."""

    guests: int = 0
    hosts: int = 0
    events: int = 0


@dataclass(frozen=True)
class TimedRecording:
    """One recording.

    Attributes
    ----------
    name, about : str
        Its name on the command line, and one sentence.
    scenario : Scenario or None
        What is simulated; None for the quickly drawn movie.
    size_px, slices, frames : int
        Of the finished recording; all have three channels.
    tiles : int
        Fields side by side in each direction: time to simulate grows faster than a field's area.
    wanted : Wanted
        What a run must find.
    """

    name: str
    about: str
    scenario: Scenario | None
    size_px: int
    slices: int
    frames: int
    tiles: int = 1
    wanted: Wanted = Wanted()

    @property
    def shape(self) -> str:
        """Height x width x slices x channels x frames."""
        depth = f"{self.slices} slices x " if self.slices > 1 else ""
        return f"{self.size_px} x {self.size_px} x {depth}3 channels x {self.frames} frames"


_BUSY: Final = WIDEFIELD_20X.replace(
    name="many",
    design__donors=1, conditions=[Condition(name="vehicle").model_dump()], guests__count=400, guests__inside_share=0.2,
    hosts__coverage=1.0, hosts__diameter_um=(50.0, 80.0), rates__entry_per_contact_h=0.5, rates__stay_h=3.0,
    acquisition__size_px=1024, acquisition__frames=60,
)  # fmt: skip
_STILL: Final = {
    "nuisances__drift_um": 0.0, "nuisances__drift_jumps": 0.0, "nuisances__vignetting": 0.0, "nuisances__flicker": 0.0,
}  # fmt: skip
"""Of fields that are laid side by side: one stage and one lamp."""
RECORDINGS: Final = {
    r.name: r
    for r in (
        TimedRecording(
            "plain", "Drawn: about 300 guests that walk over 40 hosts; hardly any event.", None, 1024, 1, 60
        ),
        TimedRecording(
            "many", "Simulated, 2D widefield: many hosts, and many guests that enter and leave.",
            _BUSY, 1024, 1, 60, wanted=Wanted(300, 80, 250),
        ),
        TimedRecording(
            "deep", "Simulated, 3D confocal, 12 slices of 1 um.",
            CXCR4_BLOCKADE.replace(
                design__donors=1, conditions=[Condition(name="vehicle").model_dump()], guests__count=100,
                rates__entry_per_contact_h=0.5,
            ),
            512, 12, 60,
        ),
        TimedRecording(
            "big", "Simulated, 2D widefield: four fields of 1024 x 1024 side by side.",
            _BUSY.replace(guests__count=520, acquisition__frames=100, design__fields_per_well=4, **_STILL),
            2048, 1, 100, tiles=2, wanted=Wanted(guests=2000),
        ),
    )
}  # fmt: skip


def reduced(recording: TimedRecording) -> TimedRecording:
    """A miniature of a recording: a few frames of a small field, as dense, to see that all of it goes through."""
    frames, side = 6, 160 * recording.tiles
    scenario = recording.scenario
    if scenario is not None:
        a = scenario.acquisition
        count = max(4, round(scenario.guests.count * (160 / a.size_px) ** 2))
        scenario = scenario.replace(acquisition__size_px=160, acquisition__frames=frames, guests__count=count)
    return replace(
        recording, scenario=scenario, size_px=side, frames=frames, wanted=Wanted(), about=f"Reduced. {recording.about}"
    )


def make(recording: TimedRecording, folder: Path) -> tuple[Path, Path]:
    """Make a recording, or find it made before.

    Parameters
    ----------
    recording : TimedRecording
        Which one.
    folder : pathlib.Path
        Where recordings are kept; it gets a folder of its own there.

    Returns
    -------
    (pathlib.Path, pathlib.Path)
        An input folder of one position, and one of two positions with the same pixels.
    """
    recipe = f"{SEED} {recording.size_px} {recording.slices} {recording.frames} {recording.scenario}"
    home = folder / f"{recording.name}_{hashlib.sha256(recipe.encode()).hexdigest()[:10]}"
    one, two = home / "one", home / "two"
    if not (home / "made").exists():
        shutil.rmtree(home, ignore_errors=True)
        movie = one / "vehicle" / NAME
        movie.parent.mkdir(parents=True)
        experiment = _draw(movie, recording) if recording.scenario is None else _simulate(movie, recording, home)
        for root, condition in ((one, "vehicle"), (two, "vehicle"), (two, "drug")):
            (root / "experiment.toml").parent.mkdir(parents=True, exist_ok=True)
            (root / "experiment.toml").write_text(experiment, encoding="utf-8")
            (root / condition).mkdir(exist_ok=True)
            if not (root / condition / NAME).exists():
                os.link(movie, root / condition / NAME)
        (home / "made").touch()
    return one, two


def _draw(movie: Path, recording: TimedRecording) -> str:
    painter.movie(movie, frames=recording.frames, size=recording.size_px)
    return painter.EXPERIMENT


def _simulate(movie: Path, recording: TimedRecording, home: Path) -> str:
    scenario = recording.scenario
    assert scenario is not None
    workers = min(recording.tiles**2, os.cpu_count() or 1)
    made, truth = write_experiment(scenario, home / "simulated", SEED, workers=workers)
    fields = sorted(made.rglob("*.ome.tif"))
    assert len(fields) == recording.tiles**2, fields
    if len(fields) == 1:
        fields[0].replace(movie)
    else:
        acquisition = scenario.replace(acquisition__size_px=recording.size_px).acquisition
        write_ome_tiff(movie, "big", _side_by_side(fields, recording.tiles), acquisition, painter.CHANNELS)
    experiment = (made / "experiment.toml").read_text(encoding="utf-8")
    for folder in (made, truth):
        shutil.rmtree(folder)
    return experiment


def _side_by_side(fields: list[Path], tiles: int) -> Iterator[npt.NDArray[np.uint16]]:
    """Frames of (C, 1, Y, X) in which the fields lie in rows."""
    files = [tifffile.TiffFile(path) for path in fields]
    channels = len(painter.CHANNELS)
    for start in range(0, len(files[0].pages), channels):
        frame = []
        for c in range(channels):
            planes = [f.pages[start + c].asarray() for f in files]
            frame.append(np.block([planes[r * tiles : (r + 1) * tiles] for r in range(tiles)]))
        yield np.stack(frame)[:, None]
    for f in files:
        f.close()
