"""First stage: frame by frame from pixels to objects, masks and evidence. The only stage that reads all pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from cicimage.containment.evidence import measure_frame
from cicimage.containment.markers import measure_markers
from cicimage.mask_store import masks_to_rows
from cicimage.masks import FloatArray, Masks
from cicimage.methods import (
    Choice,
    DriftMethod,
    GuestSegmenter,
    HostSegmenter,
    Objects,
    Scene,
    build,
)
from cicimage.pipeline.measure import measure_objects
from cicimage.pipeline.prepare import Prepared, prepare
from cicimage.pipeline.setting import Setting
from cicimage.preprocessing.quality import flag_defocus, frame_quality
from cicimage.recording import PlaneError, Recording

Progress = Callable[[str, int, int], None]

LEAST_SIGNAL: Final = 10.0
"""Signal over noise SD of a channel from which its sharpness means focus."""
LEAST_TRUST: Final = 0.25
"""Correlation of a registration below which it is noise against noise: the last good drift is kept."""


@dataclass
class Detections:
    """What the first stage found in one recording.

    Attributes
    ----------
    cells, evidence, drift, quality : pandas.DataFrame
        Objects and pairs by label (ids follow), drift and quality per frame.
    arrays : mapping
        Estimates for the report: gain per channel, bleed-through matrix.
    missing : dict
        Reason by frame that could not be decoded.
    """

    cells: pd.DataFrame
    evidence: pd.DataFrame
    drift: pd.DataFrame
    quality: pd.DataFrame
    arrays: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    missing: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Tools:
    """What every frame of a recording is segmented with."""

    setting: Setting
    prepared: Prepared
    guest: GuestSegmenter
    host: HostSegmenter

    @classmethod
    def of(cls, recording: Recording, setting: Setting, choices: Mapping[str, Choice]) -> Tools:
        """Estimate the corrections and build the segmenters."""
        prepared = prepare(recording, setting, choices)
        return cls(setting, prepared, _build("segment_guest", choices), _build("segment_host", choices))

    def noise(self, slot: int) -> float:
        """Noise SD per pixel of a channel, counts."""
        return float(self.prepared.noise_sd[slot])


def detect(
    recording: Recording,
    setting: Setting,
    choices: Mapping[str, Choice],
    save_masks: Callable[[list[dict[str, Any]]], None],
    progress: Progress,
    *,
    look_ahead: bool = True,
) -> Detections:
    """Segment every frame and measure its evidence.

    Parameters
    ----------
    recording : Recording
        Read twice: a few sampled frames for the corrections, then every frame once.
    setting : Setting
        Scale and channels.
    choices : mapping of str to Choice
        Method per step.
    save_masks : callable
        Given the mask rows of each frame in order.
    progress : callable
        Told ``("detect", frames done, frames)``.
    look_ahead : bool
        Read one frame ahead in a thread of its own, where a core is free for it; what is found is the same.
    """
    n_frames = recording.sizes["T"]
    tools = Tools.of(recording, setting, choices)
    prepared = tools.prepared
    cells: list[tuple[int, pd.DataFrame]] = []
    evidence: list[tuple[int, pd.DataFrame]] = []
    drift: list[tuple[int, float, float, float]] = []
    quality: list[tuple[int, pd.DataFrame]] = []
    missing: dict[int, str] = {}
    reader = _Reader(recording, tools, _drift(choices))
    for t, frame in enumerate(_ahead(reader, n_frames) if look_ahead else map(reader, range(n_frames))):
        drift.append((t, *frame.shift_um, frame.trust))
        if frame.image is None:
            missing[t] = frame.fault
            save_masks([])
        else:
            quality.append((t, frame.quality))
            found = _with_hosts(frame.image, tools, frame.found)
            save_masks([row for name, o in found.items() for row in masks_to_rows(t, name, o.masks)])
            cells += [(t, table) for table in _measured(found, frame.image, tools)]
            evidence.append((t, _evidence(found, frame.image, tools)))
        progress("detect", t + 1, n_frames)
    return Detections(
        cells=_stack(cells),
        evidence=_stack(evidence),
        drift=pd.DataFrame(drift, columns=["frame", "dy_um", "dx_um", "quality"]),
        quality=_with_defocus(_stack(quality)),
        arrays=prepared.arrays,
        missing=missing,
    )


@dataclass(frozen=True, eq=False)
class _Frame:
    """One corrected (C, Z, Y, X) frame and what was found in it on the way; image None where it is missing."""

    image: FloatArray | None
    quality: pd.DataFrame
    shift_um: tuple[float, float]
    trust: float
    found: dict[str, Objects] = field(default_factory=dict)
    fault: str = ""


class _Reader:
    """Decodes, corrects and registers frames and finds what is no host; asked for in order, since drift is followed."""

    def __init__(
        self, recording: Recording, tools: Tools, drift_of: Callable[[FloatArray], tuple[float, float, float]]
    ) -> None:
        self._recording, self._tools, self._drift_of = recording, tools, drift_of
        self._shift_um = (0.0, 0.0)

    def __call__(self, t: int) -> _Frame:
        setting = self._tools.setting
        try:
            raw = self._recording.frame(t, setting.channels)
        except PlaneError as error:
            return _Frame(None, pd.DataFrame(), self._shift_um, np.nan, fault=str(error))
        image = self._tools.prepared.corrections.apply(raw)
        dy, dx, trust = self._drift_of(_registration_image(image, setting))
        if not trust < LEAST_TRUST:
            self._shift_um = (dy * setting.optics.um_per_px, dx * setting.optics.um_per_px)
        found = _without_hosts(image, self._tools)
        return _Frame(image, _quality(raw, setting), self._shift_um, trust, found)


def _ahead(read: _Reader, n_frames: int) -> Iterator[_Frame]:
    """Read one frame ahead in a thread of its own: decoding, filters and compiled loops release the interpreter."""
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(read, 0)
        for t in range(n_frames):
            frame = waiting.result()
            if t + 1 < n_frames:
                waiting = pool.submit(read, t + 1)
            yield frame


def _quality(raw: npt.NDArray[Any], setting: Setting) -> pd.DataFrame:
    """Quality of the middle slice of every channel, as it came from the camera."""
    rows = [
        {"channel": name, **asdict(frame_quality(raw[c, raw.shape[1] // 2]))}
        for c, name in enumerate(setting.channel_names)
    ]
    return pd.DataFrame(rows)


def _with_defocus(quality: pd.DataFrame) -> pd.DataFrame:
    """Flag frames that are out of focus against their neighbours; channels of noise alone have no focus."""
    if not len(quality):
        return quality
    flags = quality["flag"].copy()
    for _, part in quality.groupby("channel"):
        if not float((part["signal"] / part["noise_sd"].clip(lower=1e-9)).median()) >= LEAST_SIGNAL:
            continue
        blurred = part.index[flag_defocus(part["sharpness"].to_numpy(np.float64))]
        flags.loc[[i for i in blurred if not flags.at[i]]] = "defocused"
    return quality.assign(flag=flags)


def _stack(parts: list[tuple[int, pd.DataFrame]]) -> pd.DataFrame:
    """Tables of single frames as one, the frame beside."""
    full = [p for p in parts if len(p[1])] or parts[:1]
    if not full:
        return pd.DataFrame()
    frames = np.repeat([t for t, _ in full], [len(table) for _, table in full])
    return pd.concat([table for _, table in full], ignore_index=True).assign(frame=frames)


def _build(step: str, choices: Mapping[str, Choice]) -> Any:
    return build(step, choices[step].method, choices[step].options)


def _drift(choices: Mapping[str, Choice]) -> Callable[[FloatArray], tuple[float, float, float]]:
    if choices["drift"].method == "none":
        return lambda _: (0.0, 0.0, np.nan)
    return cast(DriftMethod, _build("drift", choices)).start()


def _registration_image(image: FloatArray, setting: Setting) -> FloatArray:
    """The hosts' channel in projection: hosts fill the field and stand still compared to guests."""
    return cast(FloatArray, image[setting.slot(setting.with_role("host"))].mean(axis=0))


def segment_frame(image: FloatArray, tools: Tools) -> dict[str, Objects]:
    """Segment all populations of one corrected (C, Z, Y, X) frame, guests first: hosts own the holes they make."""
    return _with_hosts(image, tools, _without_hosts(image, tools))


def _without_hosts(image: FloatArray, tools: Tools) -> dict[str, Objects]:
    """Populations that are guests or further cells only."""
    populations = tools.setting.populations
    return {
        name: tools.guest.segment(_scene(name, image, tools.setting, None))
        for name, population in populations.items()
        if "host" not in population.roles
    }


def _with_hosts(image: FloatArray, tools: Tools, found: Mapping[str, Objects]) -> dict[str, Objects]:
    """What was found and the hosts."""
    guests: Masks | None = None
    populations = tools.setting.populations
    for name, objects in found.items():
        if "guest" in populations[name].roles:
            guests = objects.masks
    everything = dict(found)
    for name, population in populations.items():
        if "host" in population.roles:
            everything[name] = tools.host.segment(_scene(name, image, tools.setting, guests))
            if "guest" in population.roles:
                guests = everything[name].masks
    return everything


def _scene(name: str, image: FloatArray, setting: Setting, inner: Masks | None) -> Scene:
    population, nucleus = setting.populations[name], f"{name}/nucleus"
    return Scene(
        image=image[setting.slot(name)],
        um_per_px=setting.optics.um_per_px,
        um_per_z=setting.optics.um_per_z,
        diameter_um=cast(tuple[float, float], population.diameter_um),
        stain=population.stain,
        nuclei=image[setting.slot(nucleus)] if nucleus in setting.channel_of else None,
        inner=inner,
        both_roles={"host", "guest"} <= set(population.roles),
    )


def _measured(found: Mapping[str, Objects], image: FloatArray, tools: Tools) -> list[pd.DataFrame]:
    """Cells of every population in one frame."""
    deaths = _deaths(found, image, tools)
    tables = []
    for name, objects in found.items():
        signal, fill = deaths.get(name, (np.nan, np.nan))
        slot = tools.setting.slot(name)
        measured = measure_objects(image[slot], objects, tools.setting.optics.um_per_px, tools.noise(slot))
        measured["population"], measured["death_signal"], measured["death_fill"] = name, signal, fill
        tables.append(measured)
    return tables


def _deaths(
    found: Mapping[str, Objects], image: FloatArray, tools: Tools
) -> Mapping[str, tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
    """Death signal and fill per population; empty without a marker."""
    setting = tools.setting
    if setting.death_marker is None:
        return {}
    slot = setting.slot(setting.death_marker)
    per_px = setting.optics.um_per_px**2
    return measure_markers(
        image[slot], found, noise_sd=tools.noise(slot), um_per_z=setting.optics.um_per_z,
        spread_from_px={n: a / per_px for n, a in setting.spread_from_um2.items()},
    )  # fmt: skip


def _evidence(found: Mapping[str, Objects], image: FloatArray, tools: Tools) -> pd.DataFrame:
    setting = tools.setting
    guest, host = setting.with_role("guest"), setting.with_role("host")
    slot = setting.slot(host)
    return measure_frame(
        image[slot],
        found[guest],
        found[host],
        optics=setting.optics,
        noise_sd=tools.noise(slot),
        background=float(tools.prepared.background[slot]),
        guest_image=image[setting.slot(guest)],
        same_population=guest == host,
        own_shells=guest == host and setting.populations[host].stain == "membrane",
    )
