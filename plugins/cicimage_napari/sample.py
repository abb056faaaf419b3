"""A small simulated recording in which guests enter hosts, generated on first use."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from cicimage_napari.reader import read_recording


def sample_recording() -> list[tuple[Any, dict[str, Any], str]]:
    """Layers of one field of the sample experiment."""
    return read_recording(sample_path())


def sample_path() -> Path:
    """A field of the sample data where they are installed, else a smaller simulated one."""
    from cicimage.cli.demo import SAMPLE

    known = sorted(SAMPLE.rglob("*.tif*"))
    return known[0] if known else simulated()


def simulated() -> Path:
    """Simulate one short field into the folder for temporary files, or return the one simulated before."""
    from cicimage.simulation.scenarios import PRESETS
    from cicimage.simulation.write import write_experiment

    folder = Path(tempfile.gettempdir()) / "cicimage_sample"
    if not list(folder.rglob("*.tif*")):
        preset = PRESETS["sample"]
        size = max(64, round(0.6 * preset.acquisition.size_px))
        scenario = preset.replace(
            acquisition__size_px=size, acquisition__frames=12, design__donors=1, design__wells_per_donor=1,
            design__fields_per_well=1, conditions=preset.conditions[:1],
            guests__count=round(preset.guests.count * (size / preset.acquisition.size_px) ** 2),
        )  # fmt: skip
        write_experiment(scenario, folder, 1)
    return min(folder.rglob("*.tif*"))
