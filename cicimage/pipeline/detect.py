"""First stage: frame by frame from pixels to objects, masks and evidence. The only stage that reads all pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from cicimage.arrays import Float32Array
from cicimage.containment.dye_in_guests import outside_signal
from cicimage.containment.evidence import measure_frame
from cicimage.containment.markers import measure_markers
from cicimage.containment.noise import Noise
from cicimage.findings import Finding
from cicimage.mask_store import masks_to_rows
from cicimage.masks import Masks
from cicimage.methods import (
    Choice,
    DriftMethod,
    GuestSegmenter,
    HostSegmenter,
    Objects,
    Scene,
    build,
)
from cicimage.pipeline.channel_check import watch
from cicimage.pipeline.frame_findings import FrameLog, frame_findings, saturation_findings
from cicimage.pipeline.measure import measure_objects
from cicimage.pipeline.prepare import Prepared, prepare
from cicimage.pipeline.setting import Setting
from cicimage.pipeline.usable import Usable, missing_reason, on_lost_ground, without_guesses
from cicimage.preprocessing.quality import flag_defocus
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
        Reason by frame that could not be decoded or used.
    findings : tuple of Finding
        What is wrong with frames and channels.
    """

    cells: pd.DataFrame
    evidence: pd.DataFrame
    drift: pd.DataFrame
    quality: pd.DataFrame
    arrays: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    missing: dict[int, str] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


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
    log = FrameLog()
    outside: list[npt.NDArray[np.float64]] = []
    reader = _Reader(recording, tools, _drift(choices))
    for t, frame in enumerate(_ahead(reader, n_frames) if look_ahead else map(reader, range(n_frames))):
        drift.append((t, *frame.shift_um, frame.trust))
        log.note(t, frame.seen, frame.fault)
        if frame.seen is not None:
            quality.append((t, _quality(frame.seen, setting)))
        if frame.image is None:
            save_masks([])
        else:
            found = _with_hosts(frame.image, tools, frame.found, frame.seen)
            save_masks([row for name, o in found.items() for row in masks_to_rows(t, name, o.masks)])
            cells += [(t, table) for table in _measured(found, frame, tools)]
            evidence.append((t, _evidence(found, frame.image, tools)))
            outside.append(_outside_signal(found, frame.image, tools))
        progress("detect", t + 1, n_frames)
    looked_at = _with_defocus(_stack(quality))
    return Detections(
        cells=_stack(cells),
        evidence=_stack(evidence),
        drift=pd.DataFrame(drift, columns=["frame", "dy_um", "dx_um", "quality"]),
        quality=looked_at,
        arrays={**prepared.arrays, "outside_signal": np.concatenate(outside) if outside else np.zeros(0)},
        missing=log.missing,
        findings=(
            *frame_findings(log, setting, n_frames, prepared),
            *saturation_findings(looked_at, setting),
            *reader.check.findings(),
        ),
    )


@dataclass(frozen=True, eq=False)
class _Frame:
    """One corrected (C, Z, Y, X) frame and what was found in it on the way; image None where it is missing."""

    image: Float32Array | None
    seen: Usable | None
    shift_um: tuple[float, float]
    trust: float
    found: dict[str, Objects] = field(default_factory=dict)
    fault: str = ""


class _Reader:
    """Decodes, corrects and registers frames and finds what is no host; asked for in order, since drift is followed."""

    def __init__(
        self, recording: Recording, tools: Tools, drift_of: Callable[[Float32Array], tuple[float, float, float]]
    ) -> None:
        self._recording, self._tools, self._drift_of = recording, tools, drift_of
        self._shift_um = (0.0, 0.0)
        self.check = watch(tools.setting)

    def __call__(self, t: int) -> _Frame:
        setting = self._tools.setting
        try:
            raw = self._recording.frame(t, setting.channels)
        except PlaneError as error:
            return _Frame(None, None, self._shift_um, np.nan, fault=str(error))
        seen, image = self._tools.prepared.correct(raw, t)
        fault = missing_reason(seen, setting, t)
        if fault:
            return _Frame(None, seen, self._shift_um, np.nan, fault=fault)
        self.check.add(t, seen.pixels)
        dy, dx, trust = self._drift_of(_registration_image(image, setting))
        if not trust < LEAST_TRUST:
            self._shift_um = (dy * setting.optics.um_per_px, dx * setting.optics.um_per_px)
        found = _certain(_without_hosts(image, self._tools), seen, setting)
        return _Frame(image, seen, self._shift_um, trust, found)


def _ahead(read: _Reader, n_frames: int) -> Iterator[_Frame]:
    """Read one frame ahead in a thread of its own: decoding, filters and compiled loops release the interpreter."""
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(read, 0)
        for t in range(n_frames):
            frame = waiting.result()
            if t + 1 < n_frames:
                waiting = pool.submit(read, t + 1)
            yield frame


def _quality(seen: Usable, setting: Setting) -> pd.DataFrame:
    """Quality of every channel, as it came from the camera."""
    named = zip(setting.channel_names, seen.quality, strict=True)
    return pd.DataFrame([{"channel": name, **asdict(one)} for name, one in named])


def _certain(found: dict[str, Objects], seen: Usable, setting: Setting) -> dict[str, Objects]:
    """What was found without guests that lie on ground of which too many pixels are absent."""
    if not seen.lost:
        return found
    certain = {}
    for name, objects in found.items():
        told_by = {setting.slot(use) for use in setting.channel_of if use.split("/")[0] == name}
        if "guest" in setting.populations[name].roles:
            told_by.add(setting.slot(setting.with_role("host")))
        certain[name] = without_guesses(objects, [seen.lost[c] for c in sorted(told_by & set(seen.lost))])
    return certain


def _with_defocus(quality: pd.DataFrame) -> pd.DataFrame:
    """Flag frames that are out of focus against their neighbours; channels of noise alone have no focus."""
    if not len(quality):
        return quality
    flags = quality["flag"].copy()
    for _, part in quality.groupby("channel"):
        over_noise = (part["signal"] / part["noise_sd"].clip(lower=1e-9)).dropna()
        if not len(over_noise) or float(over_noise.median()) < LEAST_SIGNAL:
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


def _drift(choices: Mapping[str, Choice]) -> Callable[[Float32Array], tuple[float, float, float]]:
    if choices["drift"].method == "none":
        return lambda _: (0.0, 0.0, np.nan)
    return cast(DriftMethod, _build("drift", choices)).start()


def _registration_image(image: Float32Array, setting: Setting) -> Float32Array:
    """The hosts' channel in projection: hosts fill the field and stand still compared to guests."""
    return cast(Float32Array, image[setting.slot(setting.with_role("host"))].mean(axis=0))


def segment_frame(image: Float32Array, tools: Tools) -> dict[str, Objects]:
    """Segment all populations of one corrected (C, Z, Y, X) frame, guests first: hosts own the holes they make."""
    return _with_hosts(image, tools, _without_hosts(image, tools))


def _without_hosts(image: Float32Array, tools: Tools) -> dict[str, Objects]:
    """Populations that are guests or further cells only."""
    populations = tools.setting.populations
    return {
        name: tools.guest.segment(_scene(name, image, tools.setting, None))
        for name, population in populations.items()
        if "host" not in population.roles
    }


def _with_hosts(
    image: Float32Array, tools: Tools, found: Mapping[str, Objects], seen: Usable | None = None
) -> dict[str, Objects]:
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
                if seen is not None:
                    everything |= _certain({name: everything[name]}, seen, tools.setting)
                guests = everything[name].masks
    return everything


def _scene(name: str, image: Float32Array, setting: Setting, inner: Masks | None) -> Scene:
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


def _measured(found: Mapping[str, Objects], frame: _Frame, tools: Tools) -> list[pd.DataFrame]:
    """Cells of every population in one frame."""
    image = cast(Float32Array, frame.image)
    deaths = _deaths(found, image, tools, frame.seen)
    tables = []
    for name, objects in found.items():
        signal, fill = deaths.get(name, (np.nan, np.nan))
        slot = tools.setting.slot(name)
        measured = measure_objects(image[slot], objects, tools.setting.optics.um_per_px, tools.noise(slot))
        measured["population"], measured["death_signal"], measured["death_fill"] = name, signal, fill
        tables.append(measured)
    return tables


def _deaths(
    found: Mapping[str, Objects], image: Float32Array, tools: Tools, seen: Usable | None
) -> Mapping[str, tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
    """Death signal and fill per population, NaN where the marker's pixels are absent; empty without a marker."""
    setting = tools.setting
    if setting.death_marker is None:
        return {}
    slot = setting.slot(setting.death_marker)
    if seen is not None and slot in seen.faults:
        return {}
    per_px = setting.optics.um_per_px**2
    deaths = measure_markers(
        image[slot], found, noise_sd=tools.noise(slot), um_per_z=setting.optics.um_per_z,
        spread_from_px={n: a / per_px for n, a in setting.spread_from_um2.items()},
    )  # fmt: skip
    if seen is not None and slot in seen.lost:
        for name, (signal, fill) in deaths.items():
            unread = on_lost_ground(found[name].masks, seen.lost[slot])
            signal[unread], fill[unread] = np.nan, np.nan
    return deaths


def _outside_signal(found: Mapping[str, Objects], image: Float32Array, tools: Tools) -> npt.NDArray[np.float64]:
    """Host signal of guests that no host is near; none where one population holds both roles."""
    setting = tools.setting
    guest, host = setting.with_role("guest"), setting.with_role("host")
    slot = setting.slot(host)
    if guest == host:
        return np.zeros(0)
    return outside_signal(
        image[slot], found[guest].masks, found[host].masks, background=float(tools.prepared.background[slot]),
        um_per_px=setting.optics.um_per_px,
    )  # fmt: skip


def _evidence(found: Mapping[str, Objects], image: Float32Array, tools: Tools) -> pd.DataFrame:
    setting = tools.setting
    guest, host = setting.with_role("guest"), setting.with_role("host")
    slot = setting.slot(host)
    return measure_frame(
        image[slot],
        found[guest],
        found[host],
        optics=setting.optics,
        noise=Noise(tools.noise(slot), float(tools.prepared.background[slot])),
        guest_image=image[setting.slot(guest)],
        shared_stain=setting.populations[host].stain if guest == host else None,
    )
