"""Picture crops of every event, cut while the recording is at hand, so that report and review need it no more."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from cicimage.crops import GUEST, HOST, OTHER_GUEST, EventCrops, Outline, choose_frames, outlines_of
from cicimage.mask_store import MaskFile
from cicimage.masks import Masks
from cicimage.pipeline.judge import Judgement
from cicimage.pipeline.setting import Setting
from cicimage.recording import PlaneError, Recording
from cicimage.store import PositionFolder, write_arrays

SIDE_UM: Final = 36.0
"""Width of a crop: a guest, and enough of its host to see cap, floor and ring."""
MOST_EVENTS: Final = 500
"""Events of one position that get a filmstrip; the likeliest ones go first."""

Progress = Callable[[str, int, int], None]


@dataclass
class _Strip:
    """One event's panels as they come in, frame by frame."""

    name: str
    guest_id: int
    host_id: int
    frames: list[int]
    panels: dict[int, dict[str, Any]] = field(default_factory=dict)


def save_crops(
    folder: PositionFolder, recording: Recording, setting: Setting, result: Judgement, progress: Progress
) -> None:
    """Cut and store the crops of all events; every frame needed is read once.

    Crop ``e0001.npz`` belongs to the first row of the position's table ``events``, and so on.
    """
    if folder.crops.exists():
        shutil.rmtree(folder.crops)
    strips = _plan(result.events, recording.sizes["T"])
    by_frame: dict[int, list[_Strip]] = defaultdict(list)
    for strip in strips:
        for frame in strip.frames:
            by_frame[frame].append(strip)
    masks = MaskFile(folder.masks)
    rows = result.frames.set_index(["guest_id", "frame"]).sort_index()
    labels = _host_labels(result.pairs)
    for n, frame in enumerate(sorted(by_frame)):
        progress("crops", n, len(by_frame))
        try:
            raw = recording.frame(frame, setting.channels)
        except PlaneError:
            continue
        guests = masks.masks(frame, setting.with_role("guest"))
        hosts = masks.masks(frame, setting.with_role("host"))
        for strip in by_frame[frame]:
            key = (strip.guest_id, frame)
            if key in rows.index:
                host_label = labels.get((frame, strip.host_id), 0)
                strip.panels[frame] = _panel(raw, rows.loc[key], host_label, guests, hosts, setting)
    for strip in strips:
        if strip.panels:
            write_arrays(folder.crops / f"{strip.name}.npz", _crops(strip, setting).to_arrays())


def _plan(events: pd.DataFrame, n_frames: int) -> list[_Strip]:
    if not len(events):
        return []
    numbered = events.assign(_name=[f"e{n:04d}" for n in range(1, len(events) + 1)])
    strips = []
    for event in numbered.nlargest(MOST_EVENTS, "p", keep="first").to_dict("records"):
        anchors = [event[n] for n in ("start_frame", "entry_after_frame", "entry_frame", "end_frame")]
        strips.append(
            _Strip(event["_name"], int(event["guest_id"]), int(event["host_id"]), choose_frames(anchors, n_frames))
        )
    return strips


def _host_labels(pairs: pd.DataFrame) -> dict[tuple[int, int], int]:
    unique = pairs.drop_duplicates(["frame", "host_id"])
    keys = zip(unique["frame"].tolist(), unique["host_id"].tolist(), strict=True)
    return dict(zip(keys, unique["host_label"].tolist(), strict=True))


def _panel(
    raw: npt.NDArray[Any], row: Any, host_label: int, guests: Masks, hosts: Masks, setting: Setting
) -> dict[str, Any]:
    """One panel: the slice through the guest and the two axial cuts, centred on the guest."""
    um, step = setting.optics.um_per_px, setting.optics.um_per_z
    side = max(16, round(SIDE_UM / um))
    cy, cx = round(float(row["y_um"]) / um), round(float(row["x_um"]) / um)
    y0, x0 = cy - side // 2, cx - side // 2
    z = 0
    if step is not None and not np.isnan(row["z_um"]):
        z = int(np.clip(round(float(row["z_um"]) / step), 0, raw.shape[1] - 1))
    block = _window(raw, y0, x0, side)
    half = float(np.sqrt(row["area_um2"] / np.pi)) if not np.isnan(row["area_um2"]) else np.nan
    return {
        "xy": block[:, z],
        "xz": block[:, :, side // 2],
        "yz": block[:, :, :, side // 2],
        "time_h": float(row["time_h"]),
        "location": str(row["location"]),
        "viability": str(row["viability"]),
        "guest_z_um": (float(row["z_um"]) - half, float(row["z_um"]) + half),
        "outlines": _outlines(guests, hosts, int(row["label"]), host_label, (y0, x0), side),
    }


def _window(raw: npt.NDArray[Any], y0: int, x0: int, side: int) -> npt.NDArray[Any]:
    """A (C, Z, side, side) cut; zeros beyond the frame's border."""
    block = np.zeros((*raw.shape[:2], side, side), raw.dtype)
    top, left = max(y0, 0), max(x0, 0)
    bottom, right = min(y0 + side, raw.shape[2]), min(x0 + side, raw.shape[3])
    block[:, :, top - y0 : bottom - y0, left - x0 : right - x0] = raw[:, :, top:bottom, left:right]
    return block


def _outlines(
    guests: Masks, hosts: Masks, guest_label: int, host_label: int, corner: tuple[int, int], side: int
) -> list[tuple[int, npt.NDArray[np.float32]]]:
    found: list[tuple[int, npt.NDArray[np.float32]]] = []
    y0, x0 = corner
    for masks, own, who in ((hosts, host_label, HOST), (guests, guest_label, GUEST)):
        for mask in masks:
            if who == HOST and mask.label != own:
                continue
            h, w = mask.pixels.shape
            top, left = max(mask.y0, y0), max(mask.x0, x0)
            bottom, right = min(mask.y0 + h, y0 + side), min(mask.x0 + w, x0 + side)
            if top >= bottom or left >= right:
                continue
            part = mask.pixels[top - mask.y0 : bottom - mask.y0, left - mask.x0 : right - mask.x0]
            kind = who if mask.label == own else OTHER_GUEST
            found += [(kind, o.points_px) for o in outlines_of(part, 0, kind, (top - y0, left - x0))]
    return found


def _crops(strip: _Strip, setting: Setting) -> EventCrops:
    frames = sorted(strip.panels)
    panels = [strip.panels[f] for f in frames]
    deep = setting.optics.um_per_z is not None and panels[0]["xz"].shape[1] > 1

    def stack(name: str) -> npt.NDArray[Any]:
        arrays = np.stack([p[name] for p in panels])
        if arrays.dtype in (np.uint8, np.uint16):
            return arrays
        return np.asarray(np.nan_to_num(np.clip(arrays, 0, 65535)), np.uint16)  # a pixel without a value is black

    return EventCrops(
        xy=stack("xy"),
        frames=np.array(frames, dtype=np.int64),
        time_h=np.array([p["time_h"] for p in panels]),
        roles=_roles(setting),
        um_per_px=setting.optics.um_per_px,
        location=tuple(p["location"] for p in panels),
        viability=tuple(p["viability"] for p in panels),
        xz=stack("xz") if deep else None,
        yz=stack("yz") if deep else None,
        um_per_z=setting.optics.um_per_z if deep else None,
        guest_z_um=np.array([p["guest_z_um"] for p in panels], dtype=np.float32) if deep else None,
        outlines=tuple(Outline(i, who, points) for i, p in enumerate(panels) for who, points in p["outlines"]),
    )


def _roles(setting: Setting) -> tuple[str, ...]:
    """What each channel read shows; a channel with several uses shows the first of them."""
    roles = []
    for channel in setting.channels:
        uses = [use for use, c in setting.channel_of.items() if c == channel]
        role = "other"
        for use in uses:
            if use in setting.populations:
                role = setting.populations[use].roles[0]
            elif use in setting.markers:
                role = "death"
        roles.append(role)
    return tuple(roles)
