"""``cicimage simulate``: recordings with known truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from cicimage.errors import CicimageError, nearest


def _list(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        from cicimage.simulation.scenarios import PRESETS

        for name, scenario in PRESETS.items():
            click.echo(f"{name:20s} {scenario.description}")
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
def simulate(
    preset: str, out: Path, seed: int, workers: int, scale: float | None, fields: int | None, frames: int | None
) -> None:
    """Write recordings with known truth: OUT as an input folder, OUT_truth beside it."""
    from cicimage.simulation.scenarios import PRESETS
    from cicimage.simulation.write import write_experiment

    if preset not in PRESETS:
        raise click.UsageError(f"preset {preset!r} is not known; {nearest(preset, PRESETS)}")
    scenario = PRESETS[preset]
    changes: dict[str, Any] = {}
    if scale is not None:
        side = max(32, round(scenario.acquisition.size_px * scale))
        changes["acquisition__size_px"] = side
        changes["guests__count"] = round(scenario.guests.count * (side / scenario.acquisition.size_px) ** 2)
    if fields is not None:
        changes["design__fields_per_well"] = fields
    if frames is not None:
        changes["acquisition__frames"] = frames
    try:
        scenario = scenario.replace(**changes)
        design = scenario.design
        positions = len(scenario.conditions) * design.donors * design.wells_per_donor * design.fields_per_well
        with tqdm(total=positions * scenario.acquisition.frames, unit="frame", desc=preset) as bar:
            seen: dict[str, int] = {}

            def progress(position: str, done: int, _frames: int) -> None:
                bar.update(done - seen.get(position, 0))
                seen[position] = done

            folder, truth = write_experiment(scenario, out, seed, workers=workers, progress=progress)
    except CicimageError as error:
        raise click.UsageError(str(error)) from None
    click.echo(f"{positions} recordings in {folder}, truth in {truth}")
