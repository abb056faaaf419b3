"""``cicimage simulate``: recordings with known truth."""

from __future__ import annotations

import sys
from pathlib import Path
from types import TracebackType
from typing import Any

import click
from tqdm import tqdm

from cicimage.cli.echo import echo
from cicimage.errors import ConfigurationError, counted, nearest


class _Progress:
    """A bar of frames in a terminal, elsewhere one line per recording; on stderr."""

    def __init__(self, positions: int, frames: int) -> None:
        self._positions, self._done, self._seen = positions, 0, dict[str, int]()
        self._bar = (
            tqdm(total=positions * frames, unit="frame", file=sys.stderr, leave=False) if sys.stderr.isatty() else None
        )

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.close()

    def __call__(self, position: str, done: int, frames: int) -> None:
        """Take one report: frames done and frames in all of a recording."""
        if self._bar is not None:
            self._bar.update(done - self._seen.get(position, 0))
        self._seen[position] = done
        if done == frames:
            self._done += 1
            if self._bar is None:
                echo(f"[{self._done}/{self._positions}] {position}", err=True)


def _list(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        from cicimage.simulation.scenarios import PRESETS

        for name, scenario in PRESETS.items():
            echo(f"{name:22s} {scenario.description}")
        context.exit(0)


@click.command()
@click.option("--list", "show", is_flag=True, is_eager=True, expose_value=False, callback=_list, help="List presets.")
@click.argument("preset")
@click.option(
    "-o", "--out", required=True, type=click.Path(path_type=Path), help="Folder; its truth goes to OUT_truth."
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Same seed, same bytes.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(min=1), help="Fields at a time.")
@click.option("--scale", type=click.FloatRange(0.05, 4.0), help="Factor on the field's side; guests per area are kept.")
@click.option("--fields", type=click.IntRange(min=1), help="Fields per well.")
@click.option("--frames", type=click.IntRange(min=1), help="Frames per movie.")
@click.option("--zarr", is_flag=True, help="Write OME-Zarr instead of OME-TIFF.")
def simulate(
    preset: str,
    out: Path,
    seed: int,
    workers: int,
    scale: float | None,
    fields: int | None,
    frames: int | None,
    zarr: bool,
) -> None:
    """Write recordings with known truth: OUT as an input folder, OUT_truth beside it.

    \f

    Parameters
    ----------
    preset : str
        A key of :data:`cicimage.simulation.scenarios.PRESETS`.
    out : Path
        Folder of the recordings.
    seed : int
        The same seed gives the same bytes.
    workers : int
        Fields simulated at a time.
    scale : float or None
        Factor on the side of a field; guests and effectors per area are kept.
    fields, frames : int or None
        Fields per well and frames per movie; None takes those of the preset.
    zarr : bool
        Write OME-Zarr instead of OME-TIFF.

    Raises
    ------
    ConfigurationError
        There is no such preset, or OUT holds other files.
    """  # noqa: D301 - the form feed ends the text of --help
    from cicimage.simulation.scenarios import PRESETS
    from cicimage.simulation.write import write_experiment

    if preset not in PRESETS:
        raise ConfigurationError(f"preset {preset!r} is not known; {nearest(preset, PRESETS)}")
    scenario = PRESETS[preset]
    changes: dict[str, Any] = {}
    if scale is not None:
        side = max(32, round(scenario.acquisition.size_px * scale))
        factor = (side / scenario.acquisition.size_px) ** 2
        changes["acquisition__size_px"] = side
        changes["guests__count"] = round(scenario.guests.count * factor)
        changes["effectors__count"] = round(scenario.effectors.count * factor)
    if fields is not None:
        changes["design__fields_per_well"] = fields
    if frames is not None:
        changes["acquisition__frames"] = frames
    scenario = scenario.replace(**changes)
    design = scenario.design
    positions = len(scenario.conditions) * design.donors * design.wells_per_donor * design.fields_per_well
    with _Progress(positions, scenario.acquisition.frames) as progress:
        folder, truth = write_experiment(
            scenario, out, seed, workers=workers, progress=progress, suffix=".ome.zarr" if zarr else ".ome.tif"
        )
    echo(f"{counted(positions, 'recording')} in {folder}, truth in {truth}")
