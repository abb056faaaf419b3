"""Simulated movies for the campaign of alarms: sound ones of many kinds, and faults of graded strength in them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import tifffile

from cicimage.simulation.scenarios import PRESETS
from cicimage.simulation.spec import Scenario

FRAMES: Final = 30
SIDE_2D_PX: Final = 300
SIDE_3D_PX: Final = 190
Movie = npt.NDArray[Any]
"""One recording, (T, C, Z, Y, X)."""
SIMPLE: Final = ("sample", "sample-2d", "cxcr4-blockade", "widefield-20x-0.45", "confocal-20x-0.8", "confocal-63x-1.4",
                 "held-out-shape", "held-out-label", "held-out-dynamics")  # fmt: skip
"""Presets that hold no fault of their own, of which the grid's movies are variants."""


@dataclass(frozen=True)
class Sound:
    """One movie without a fault.

    Attributes
    ----------
    name : str
        Says how it was made.
    scenario : Scenario
        What is simulated.
    seed : int
        Of the simulation.
    bits : int
        Counts are written as by a camera of 16 or 12 bits, or as an export of 8 bits with one stretch for all frames.
    marker_every : int
        Frames from one picture of the death marker to the next; between them its channel is black.
    """

    name: str
    scenario: Scenario
    seed: int
    bits: int = 16
    marker_every: int = 1
    facts: Mapping[str, Any] = field(default_factory=dict)


def small(preset: str, frames: int = FRAMES) -> Scenario:
    """A preset in one small field of its first condition, cells per area kept."""
    scenario = PRESETS[preset]
    a = scenario.acquisition
    side = min(a.size_px, SIDE_2D_PX if a.slices == 1 else round(SIDE_3D_PX * 1.05 / a.um_per_px))
    share = (side / a.size_px) ** 2
    return scenario.replace(
        conditions=[scenario.conditions[0].model_dump()], design__donors=1, design__wells_per_donor=1,
        acquisition__size_px=side, acquisition__frames=min(frames, a.frames),
        guests__count=round(scenario.guests.count * share), effectors__count=round(scenario.effectors.count * share),
    )  # fmt: skip


def sound_movie(index: int, seed: int) -> Sound:
    """Movie ``index`` of the grid: a preset by turns, everything else drawn.

    Speeds, intervals, optics, camera and nuisances are drawn independently of each other, from slow cells in time lapse
    of seconds to fast ones every twenty minutes.
    """
    rng = np.random.default_rng([seed, index])
    preset = SIMPLE[index % len(SIMPLE)]
    way = ("as preset", "widefield", "one slice", "stack")[int(rng.integers(4))]
    facts = {
        "preset": preset, "way": way,
        "guest_speed": float(rng.choice([0.1, 0.5, 1.5, 4.0, 8.0])), "host_speed": float(rng.choice([0.03, 0.25, 0.7])),
        "interval_min": float(rng.choice([0.25, 1.0, 3.0, 6.0, 12.0, 20.0])),
        "guests_in_100_um": float(rng.choice([0.5, 2.0, 6.0, 15.0])),
        "coverage": float(rng.choice([0.3, 0.75, 1.0, 1.6])),
        "bits": int(rng.choice([8, 12, 16])), "electrons": float(rng.choice([40.0, 120.0, 400.0, 2000.0])),
        "bleaching": float(rng.choice([0.0, 0.2, 0.6])), "drift_um": float(rng.choice([0.0, 0.15, 0.5])),
        "jumps": float(rng.choice([0.0, 0.5, 2.0])), "flicker": float(rng.choice([0.0, 0.01, 0.05, 0.1])),
        "bleed": float(rng.choice([0.0, 0.03, 0.15])), "vignetting": float(rng.choice([0.0, 0.15, 0.4])),
        "offset": float(rng.choice([20.0, 100.0, 500.0])), "death_per_h": float(rng.choice([0.0, 0.0075, 0.1])),
        "marker_every": int(rng.choice([1, 1, 3])),
    }  # fmt: skip
    optics: dict[str, Any] = {}
    if way == "widefield":
        optics = {"modality": "widefield", "na": 0.45, "slices": 1, "first_slice_um": 3.0, "um_per_px": 0.65}
    elif way == "one slice":
        optics = {"modality": "confocal", "na": 0.95, "slices": 1, "first_slice_um": 2.0, "um_per_px": 0.65}
    elif way == "stack":
        optics = {
            "modality": "confocal",
            "na": 0.95,
            "slices": 9,
            "um_per_z": 1.2,
            "first_slice_um": -1.0,
            "um_per_px": 1.05,
        }
    scenario = PRESETS[preset].replace(**{f"acquisition__{k}": v for k, v in optics.items()})
    a = scenario.acquisition
    side = round((SIDE_2D_PX * 0.65 if a.slices == 1 else SIDE_3D_PX * 1.05) / a.um_per_px)
    area = (side * a.um_per_px / 100.0) ** 2
    scenario = scenario.replace(
        conditions=[scenario.conditions[0].model_dump()], design__donors=1, acquisition__size_px=side,
        acquisition__frames=FRAMES, acquisition__interval_min=facts["interval_min"],
        acquisition__peak_electrons=facts["electrons"], acquisition__offset=facts["offset"],
        # a camera's gain is set so that the picture fits
        acquisition__counts_per_electron=min(1.0, 6000.0 / facts["electrons"] / 10.0),
        guests__count=max(1, round(facts["guests_in_100_um"] * area)), guests__speed_um_per_min=facts["guest_speed"],
        guests__dead_share=0.0 if facts["death_per_h"] == 0 else 0.04, hosts__speed_um_per_min=facts["host_speed"],
        hosts__coverage=facts["coverage"], rates__death_per_h=facts["death_per_h"],
        nuisances__bleaching=facts["bleaching"], nuisances__drift_um=facts["drift_um"],
        nuisances__drift_jumps=facts["jumps"], nuisances__flicker=facts["flicker"],
        nuisances__bleed_through=facts["bleed"], nuisances__vignetting=facts["vignetting"],
        nuisances__dye_transfer=0.0, nuisances__defocused_share=0.0,
    )  # fmt: skip
    return Sound(f"{preset} {way} #{index}", scenario, seed + index, facts["bits"], facts["marker_every"], facts)


def exposed(movie: Movie, bits: int, marker_every: int) -> Movie:
    """Write a movie as its camera or export would: of 16, 12 or 8 bits, the marker in every nth frame only."""
    if bits == 12:
        movie = np.minimum(movie, 4095)
    elif bits == 8:
        low = movie.min(axis=(0, 2, 3, 4), keepdims=True).astype(np.float64)
        high = movie.max(axis=(0, 2, 3, 4), keepdims=True).astype(np.float64)
        movie = np.rint((movie - low) / np.maximum(high - low, 1.0) * 250.0 + 2.0).astype(np.uint8)
    if marker_every > 1:
        movie = movie.copy()
        movie[[t for t in range(len(movie)) if t % marker_every], -1] = 0
    return movie


def read_movie(path: Path) -> tuple[Movie, str]:
    """Pixels of an OME-TIFF of the simulator, and its description."""
    with tifffile.TiffFile(path) as file:
        text, series = str(file.ome_metadata), file.series[0]
        pixels = series.asarray()
        axes = series.axes
    for at, axis in enumerate("TCZYX"):
        if axis not in axes:
            pixels, axes = np.expand_dims(pixels, at), axes[:at] + axis + axes[at:]
    return pixels, text


def write_movie(path: Path, movie: Movie, text: str) -> None:
    """Write other pixels under the description of a movie; fewer frames are said there."""
    n = len(movie)
    for said in ("uint8", "uint16"):
        text = text.replace(f'Type="{said}"', f'Type="{movie.dtype}"')
    before = int(text.split('SizeT="')[1].split('"')[0])
    text = text.replace(f'SizeT="{before}"', f'SizeT="{n}"')
    planes = [plane for frame in movie for channel in frame for plane in channel]
    text = re.sub(r'PlaneCount="\d+"', f'PlaneCount="{len(planes)}"', text)
    with tifffile.TiffWriter(path) as file:
        for i, plane in enumerate(planes):
            file.write(
                plane, description=text.encode() if i == 0 else None, metadata=None, photometric="minisblack",
                contiguous=False,
            )  # fmt: skip


# ---------------------------------------------------------------- faults


@dataclass(frozen=True)
class Fault:
    """One fault, with what it does to a movie at each strength.

    Attributes
    ----------
    name : str
        What is wrong.
    strengths : tuple of float
        Weak to strong.
    unit : str
        Of the strength.
    make : callable
        (movie, strength, random generator) to the spoilt movie; None where the fault is simulated.
    codes : tuple of str
        Findings that say it.
    """

    name: str
    strengths: tuple[float, ...]
    unit: str
    make: Callable[[Movie, float, np.random.Generator], Movie] | None
    codes: tuple[str, ...]


SUBFRAMES: Final = 4
"""Frames simulated per frame of the movie, so that a channel can be late by part of the interval."""


def late(fine: Movie, strength: float, _: np.random.Generator) -> Movie:
    """The guest channel taken ``strength`` frames later; ``fine`` has all subframes."""
    n = len(fine) // SUBFRAMES - 2
    at = SUBFRAMES * np.arange(n)
    movie = fine[at].copy()
    movie[:, 1] = fine[at + round(strength * SUBFRAMES), 1]
    return movie


def aside(movie: Movie, strength: float, _: np.random.Generator) -> Movie:
    """The guest channel ``strength`` pixels to the right."""
    movie = movie.copy()
    movie[:, 1] = np.roll(movie[:, 1], round(strength), axis=-1)
    return movie


def mirrored_part(movie: Movie, strength: float, _: np.random.Generator) -> Movie:
    """All channels mirrored in the last ``strength`` of the frames."""
    movie, n = movie.copy(), round(strength * len(movie))
    movie[len(movie) - n :] = movie[len(movie) - n :, ..., ::-1]
    return movie


def mirrored_channel(movie: Movie, _: float, __: np.random.Generator) -> Movie:
    """The guest channel mirrored throughout."""
    movie = movie.copy()
    movie[:, 1] = movie[:, 1, ..., ::-1]
    return movie


def frozen(movie: Movie, strength: float, _: np.random.Generator) -> Movie:
    """``strength`` of the frames repeat the frame before them."""
    movie, n = movie.copy(), round(strength * len(movie))
    movie[2 : 2 + n] = movie[1]
    return movie


def stretched(movie: Movie, strength: float, _: np.random.Generator) -> Movie:
    """Every frame and channel stretched from its darkest to its brightest pixel, mixed with the raw counts."""
    low = movie.min(axis=(2, 3, 4), keepdims=True).astype(np.float64)
    high = movie.max(axis=(2, 3, 4), keepdims=True).astype(np.float64)
    usual = high.max(axis=0, keepdims=True)
    full = (movie - low) / np.maximum(high - low, 1.0) * usual
    return np.rint((1.0 - strength) * movie + strength * full).astype(movie.dtype)


def flickering(movie: Movie, strength: float, rng: np.random.Generator) -> Movie:
    """Light above the camera's offset times a factor of its own in every frame; ``strength`` is the SD of its log."""
    low = float(np.percentile(movie[:, 0], 1))
    factors = np.exp(rng.normal(0.0, strength, len(movie)))[:, None, None, None]
    movie = movie.copy()
    for c in (0, 1):
        movie[:, c] = np.clip(np.rint((movie[:, c] - low) * factors + low), 0, 65535)
    return movie


def doubled(movie: Movie, strength: float, _: np.random.Generator) -> Movie:
    """The guest channel mixed with that of the hosts, exposure by exposure; at 1 the hosts' channel alone."""
    movie = movie.copy()
    movie[:, 1] = np.rint((1.0 - strength) * movie[:, 1] + strength * movie[:, 0])
    return movie


FAULTS: Final = (
    Fault("guest channel late", (0.25, 0.5, 1.0, 2.0), "frames", late, ("channel_lag",)),
    Fault("guest channel aside", (1.0, 3.0, 6.0, 10.0, 20.0), "px", aside, ("channel_offset",)),
    Fault("part of the movie mirrored", (0.05, 0.2, 0.5), "of the frames", mirrored_part, ("frames_turned",)),
    Fault("guest channel mirrored", (1.0,), "", mirrored_channel, ("channel_mirrored",)),
    Fault("repeated frames", (0.05, 0.1, 0.25, 0.5), "of the frames", frozen, ("frames_repeated",)),
    Fault("contrast stretched per frame", (0.5, 1.0), "of the stretch", stretched, ("frames_rescaled",)),
    Fault("flicker", (0.05, 0.1, 0.2, 0.4, 0.8), "SD of log light", flickering, ("flicker",)),
    Fault("hosts' channel in the guests'", (0.25, 0.5, 0.8, 1.0), "of the counts", doubled, ("channels_alike",)),
    Fault("dye passed on to guests", (0.1, 0.2, 0.4, 1.0, 2.5), "of a host's level", None, ("host_dye_in_guests",)),
)  # fmt: skip
