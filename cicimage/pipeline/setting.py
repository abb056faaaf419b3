"""What one recording is, once file, command line and metadata have been brought together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from cicimage.errors import RecordingError, nearest
from cicimage.experiment import ExperimentFile
from cicimage.experiment.schema import Channel, MarkerSection, PopulationSection
from cicimage.methods import Optics
from cicimage.recording import Recording
from cicimage.store import PositionFolder, read_json

SAME_WITHIN = 0.02
"""Relative difference up to which two statements of one scale count as the same (files round them)."""

SCALES: Final[Mapping[str, tuple[float, float]]] = {
    "um_per_px": (1e-5, 1e4), "um_per_z": (1e-5, 1e4), "frame_interval_s": (1e-5, 1e7),
}  # fmt: skip
"""Smallest and largest that a microscope can have, and some more; beyond them numbers of pixels and frames overflow."""
SMALLEST_SIDE_PX: Final = 8
"""Fewest pixels along a side of a plane: fewer show no cell, and filters have no room."""


class _Settle(Protocol):
    def __call__(
        self, name: str, stated: float | None, found: float | None, unit: str, needed: bool = True
    ) -> float | None: ...


@dataclass(frozen=True)
class Setting:
    """Scale, time and channels of one recording, each known.

    Attributes
    ----------
    optics : Optics
        With the true focus step.
    time_s : (T,) float64
        Seconds of each frame on the movie's clock.
    populations : mapping of str to PopulationSection
        Roles, stains, diameters.
    markers : mapping of str to MarkerSection
        Death markers and the like.
    channel_of : mapping
        Index of the file's channel by population (``host``), population nucleus (``host/nucleus``) and marker.
    channels : tuple of int
        The channels to be read, ascending.
    channel_names : tuple of str
        A name for each of ``channels``.
    origins : mapping
        Where each value came from; ``channels``: the section of the experiment file that names them.
    n_slices : int
        Slices of the stack; 0 = not known.
    """

    optics: Optics
    time_s: npt.NDArray[np.float64]
    populations: Mapping[str, PopulationSection]
    markers: Mapping[str, MarkerSection]
    channel_of: Mapping[str, int]
    channels: tuple[int, ...]
    channel_names: tuple[str, ...]
    origins: Mapping[str, str]
    n_slices: int = 0

    def slot(self, use: str) -> int:
        """Index among the channels read of a population, ``NAME/nucleus`` or marker."""
        return self.channels.index(self.channel_of[use])

    def channel_title(self, slot: int) -> str:
        """A channel read as sentences name it: by its name, by its number where it has none."""
        name = self.channel_names[slot]
        return name if name == f"channel {self.channels[slot]}" else f"channel {name!r}"

    def with_role(self, role: str) -> str:
        """Name of the population that holds a role."""
        return next(n for n, p in self.populations.items() if role in p.roles)

    @property
    def spread_from_um2(self) -> dict[str, float]:
        """Area from which a cell counts as spread, for populations that are host and guest at once, um2."""
        both = {n: p for n, p in self.populations.items() if {"host", "guest"} <= set(p.roles)}
        return {n: float(np.pi / 4.0 * p.diameter_um[0] * p.diameter_um[1]) for n, p in both.items() if p.diameter_um}

    @property
    def death_marker(self) -> str | None:
        """Name of the death marker, where there is one."""
        return next(iter(self.markers), None)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON: what is judged anew after a correction needs no recording."""
        return {
            "optics": asdict(self.optics), "time_s": self.time_s.tolist(),
            "populations": {n: p.model_dump(mode="json") for n, p in self.populations.items()},
            "markers": {n: m.model_dump(mode="json") for n, m in self.markers.items()},
            "channel_of": dict(self.channel_of), "channels": list(self.channels),
            "channel_names": list(self.channel_names), "origins": dict(self.origins), "n_slices": self.n_slices,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> Setting:
        """Undo :meth:`as_dict`."""
        return cls(
            Optics(**kept["optics"]), np.asarray(kept["time_s"], np.float64),
            {n: PopulationSection.model_validate(p) for n, p in kept["populations"].items()},
            {n: MarkerSection.model_validate(m) for n, m in kept["markers"].items()},
            dict(kept["channel_of"]), tuple(kept["channels"]), tuple(kept["channel_names"]), dict(kept["origins"]),
            int(kept.get("n_slices", 0)),
        )  # fmt: skip


def read_setting(folder: PositionFolder) -> Setting:
    """Setting that a position was run with.

    Raises
    ------
    ResultsError
        The file is missing or damaged.
    """
    return Setting.from_dict(read_json(folder.setting))


def resolve(recording: Recording, file: ExperimentFile, path: Path) -> Setting:
    """Bring experiment file and metadata together.

    Raises
    ------
    RecordingError
        A value is missing from both, or the two differ; a channel is not in the recording.
    """
    meta, said = recording.metadata, file.optics
    _refuse_slivers(recording, path)
    origins: dict[str, str] = {}

    def settle(name: str, stated: float | None, found: float | None, unit: str, needed: bool = True) -> float | None:
        return _settle(path, name, stated, found, unit, origins, needed=needed, override=said.override_metadata)

    um_per_px = settle("um_per_px", said.um_per_px, meta.um_per_px, "um")
    um_per_z = None
    if recording.sizes["Z"] > 1:
        um_per_z = settle("um_per_z", said.um_per_z, meta.um_per_z, "um")
    time_s = _times(recording, said.frame_interval_s, settle)
    na = settle("na", said.na, meta.na, "", False)
    populations, markers = file.resolved_populations(), file.resolved_markers()
    origins["channels"] = "populations" if file.populations else "channels"
    wanted: dict[str, Channel] = {}
    for name, population in populations.items():
        wanted[name] = population.channel
        if population.nucleus is not None:
            wanted[f"{name}/nucleus"] = population.nucleus
    wanted |= {name: marker.channel for name, marker in markers.items()}
    names = tuple(meta.channel_names or (f"channel {i}" for i in range(recording.sizes["C"])))
    channel_of = {use: _channel(path, use, channel, names) for use, channel in wanted.items()}
    channels = tuple(sorted(set(channel_of.values())))
    assert um_per_px is not None  # noqa: S101 - settle raised otherwise
    optics = Optics(
        um_per_px=um_per_px,
        um_per_z=None if um_per_z is None else um_per_z * said.axial_scale,
        na=na,
        immersion=said.immersion or _known(meta.immersion, ("air", "water", "oil", "glycerol")),
        medium_index=said.medium_index,
        modality=said.modality or _known(meta.modality, ("confocal", "spinning_disk", "widefield", "brightfield")),
        axial_scale=said.axial_scale,
        plane_um=said.plane_um,
    )
    return Setting(
        optics,
        time_s,
        populations,
        markers,
        channel_of,
        channels,
        tuple(names[c] for c in channels),
        origins,
        recording.sizes["Z"],
    )


def _refuse_slivers(recording: Recording, path: Path) -> None:
    """Refuse planes too small to show a cell."""
    down, across = recording.sizes["Y"], recording.sizes["X"]
    if min(down, across) < SMALLEST_SIDE_PX:
        raise RecordingError(
            f"{path}: planes must have at least {SMALLEST_SIDE_PX} pixels along each side, they are {down} x {across}; "
            "check the order of axes, or export the recording again"
        )


def _settle(
    path: Path, name: str, stated: float | None, found: float | None, unit: str, origins: dict[str, str],
    *, needed: bool, override: bool,
) -> float | None:  # fmt: skip
    if stated is not None and found is not None and not override and abs(stated - found) > SAME_WITHIN * abs(found):
        raise RecordingError(
            f"{path}: {name} must be one value, the experiment file says {stated:g} {unit} and the recording "
            f"{found:g} {unit}; drop optics.{name}, or set optics.override_metadata = true to use the experiment file's"
        )
    for value, where in ((stated, "the experiment file"), (found, "the recording")):
        low, high = SCALES.get(name, (0.0, math.inf))
        if value is not None and not low <= value <= high and not (where == "the recording" and override):
            raise RecordingError(
                f"{path}: {name} must lie between {low:g} and {high:g} {unit}, {where} says {value:g} {unit}; "
                f"check its unit, or set optics.{name} and optics.override_metadata = true"
            )
    origins[name] = "file" if stated is not None else "metadata" if found is not None else "unknown"
    value = stated if stated is not None else found
    if value is None and needed:
        raise RecordingError(
            f"{path}: {name} must be known, neither the recording nor the experiment file says it; set optics.{name}"
        )
    return value


def _times(recording: Recording, stated: float | None, settle: _Settle) -> npt.NDArray[np.float64]:
    n = recording.sizes["T"]
    if n == 1:
        return np.zeros(1)
    measured = recording.metadata.time_s
    if measured is not None and len(measured) == n:
        times = np.asarray(measured, dtype=np.float64)
        if np.isfinite(times).all() and (np.diff(times) > 0).all():
            median = float(np.median(np.diff(times)))
            settle("frame_interval_s", stated, median, "s")
            if stated is None or abs(stated - median) <= SAME_WITHIN * median:
                return np.asarray(times - times[0], dtype=np.float64)
            return np.arange(n, dtype=np.float64) * stated  # overridden
    interval = settle("frame_interval_s", stated, recording.metadata.frame_interval_s, "s")
    return np.arange(n, dtype=np.float64) * float(interval or 0.0)


def _channel(path: Path, use: str, channel: Channel, names: tuple[str, ...]) -> int:
    shown = ", ".join(f"{i}: {n}" for i, n in enumerate(names))
    if isinstance(channel, int):
        if channel < len(names):
            return channel
        raise RecordingError(
            f"{path}: channel {channel} for {use} is not there, the recording has {len(names)} ({shown}); "
            f"set it in the experiment file or with --host, --guest, --death"
        )
    for i, name in enumerate(names):
        if name.strip().casefold() == channel.strip().casefold():
            return i
    raise RecordingError(
        f"{path}: channel {channel!r} for {use} is not there, the recording has {shown}; set it in the "
        f"experiment file or with --host, --guest, --death; {nearest(channel, names)}"
    )


def _known(value: Any, allowed: tuple[str, ...]) -> Any:
    text = str(value).lower().replace(" ", "_") if value else ""
    return text if text in allowed else None
