"""Truth tables of a simulated field, from its geometry and history."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import pandas as pd

from cicimage.arrays import BoolArray
from cicimage.masks import Mask, Masks
from cicimage.simulation.bodies import GuestPose
from cicimage.simulation.cells import DYING_H
from cicimage.simulation.contact import Place, place
from cicimage.simulation.geometry import FieldGeometry
from cicimage.simulation.render import PAD

EVENT_COLUMNS: Final = (
    "guest_id", "host_id", "contact_h", "start_h", "entry_h", "end_h", "end_reason", "score", "excluded_reason",
    "prevalent", "inherited", "brief", "death_h", "dead_h", "in_view",
)  # fmt: skip
PERSISTENCE_FRAMES: Final = 2
PERSISTENCE_MIN: Final = 10.0
OUT_SHARE: Final = 0.4
"""Largest distance of a guest's centre outside the frame for the guest to be listed, share of its radius."""


def joined(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Concatenate tables, leaving empty ones out."""
    filled = [p for p in parts if len(p)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame()


def _inset(field: FieldGeometry, y: float, x: float) -> float:
    """Distance of a point from the nearest border of the frame, um, negative outside."""
    px, n = field.scenario.acquisition.um_per_px, field.scenario.acquisition.size_px
    return min(y, x, (n - 1) * px - y, (n - 1) * px - x) + 0.5 * px


def _host_id(field: FieldGeometry, index: int) -> int:
    return field.history.hosts[index].cell_id if index >= 0 else 0


def guests(field: FieldGeometry, frame: int) -> pd.DataFrame:
    """Tabulate the guests of one frame.

    Parameters
    ----------
    field : FieldGeometry
        The field.
    frame : int
        Index of the frame.

    Returns
    -------
    pandas.DataFrame
        The columns of table ``frames`` that truth knows, and ``diameter_um``; ``cap_um`` and ``floor_um``, mean
        cytoplasm of ``host_id`` above and below the guest's inner half; ``ring_coverage``, share of the guest's
        surface that this cytoplasm touches; ``hosts_above`` without the one that holds
        it; ``engulfed`` (1 = just closed); ``decoy``; ``touches_border``; ``parent_id``.
    """
    layers, rows = field.layers(frame), []
    z0 = float(field.slices_um(frame)[0])
    for body in sorted(layers.bodies, key=lambda b: b.pose.guest):
        pose = body.pose
        if pose.kind != "guest":
            continue
        y, x = field.raw_um(frame, pose.y, pose.x)
        inset = _inset(field, y, x)
        if inset < -OUT_SHARE * pose.radius:
            continue
        where, cell = place(body, layers), field.history.guests[pose.guest]
        rows.append({
            "position": field.position, "frame": frame, "time_h": field.time_h(frame), "guest_id": cell.cell_id,
            "y_um": y, "x_um": x, "z_um": body.z - z0, "area_um2": float(np.pi * pose.axes[0] * pose.axes[1]),
            "location": where.location, "contact": where.contact, "viability": viability(pose.dead),
            "host_id": _host_id(field, where.host), "diameter_um": 2 * pose.radius, "cap_um": where.cap_um,
            "floor_um": where.floor_um, "ring_coverage": where.ring, "hosts_above": where.hosts_above,
            "engulfed": pose.engulfed if pose.level == "engulfed" and pose.route != "fold" else 0.0,
            "decoy": _decoy(field, frame, pose, where), "touches_border": inset < pose.radius,
            "parent_id": cell.parent_id,
        })  # fmt: skip
    return pd.DataFrame(rows)


def viability(dead: float) -> str:
    """Name a stage of death."""
    return "alive" if dead == 0 else "dying" if dead < 1 else "dead"


def _decoy(field: FieldGeometry, frame: int, pose: GuestPose, where: Place) -> str:
    """Name the reason why a guest is easily mistaken for one that is alive inside a host.

    Reasons are dead_eaten (inside, dead before it went in), dead_floater, floater, fold, dead_host (under or over the
    stained nucleus of a host), under_two, under, on_top, between, cluster; empty where there is none.
    """
    cell = field.history.guests[pose.guest]
    if where.location == "inside":
        return "dead_eaten" if _eaten(field, pose.guest) else ""
    if pose.hover > 0:
        return "dead_floater" if pose.dead > 0 else "floater"
    if pose.route == "fold" and pose.level == "engulfed":
        return "fold"
    for host in field.history.moments[frame].hosts:
        away = np.hypot(pose.y - host.nucleus_y, pose.x - host.nucleus_x)
        if host.dead > 0 and away < host.nucleus_radius + pose.radius and pose.dead == 0:
            return "dead_host"
    if where.hosts_above >= 2:
        return "under_two"
    if where.contact in ("under", "on_top", "between"):
        return where.contact
    return "cluster" if cell.cluster else ""


def _eaten(field: FieldGeometry, guest: int) -> bool:
    """Whether it was dead before the host closed around it."""
    dying_h = field.history.guests[guest].dying_h
    own = [a for a in field.history.attempts if a.guest == guest and (np.isfinite(a.entry_h) or a.prevalent)]
    return bool(own) and not own[-1].prevalent and dying_h < own[-1].entry_h


def hosts(field: FieldGeometry, frame: int) -> pd.DataFrame:
    """Tabulate the hosts of one frame.

    Parameters
    ----------
    field : FieldGeometry
        The field.
    frame : int
        Index of the frame.

    Returns
    -------
    pandas.DataFrame
        Centre, nucleus, area in the frame, mean thickness, how far spread (1 = fully), viability and parent.
    """
    rows = []
    px = field.scenario.acquisition.um_per_px
    for sheet in field.layers(frame).sheets:
        mask = _crop(1, sheet.window, sheet.cover > 0.5, field.scenario.acquisition.size_px)
        if mask is None:
            continue
        cell, pose = field.history.hosts[sheet.pose.host], sheet.pose
        y, x = field.raw_um(frame, pose.y, pose.x)
        ny, nx = field.raw_um(frame, pose.nucleus_y, pose.nucleus_x)
        rows.append({
            "position": field.position, "frame": frame, "time_h": field.time_h(frame), "host_id": cell.cell_id,
            "y_um": y, "x_um": x, "nucleus_y_um": ny, "nucleus_x_um": nx, "area_um2": mask.area_px * px**2,
            "thickness_um": float((sheet.top - sheet.bottom)[sheet.cover > 0.5].mean()), "spread": pose.spread,
            "viability": viability(pose.dead), "parent_id": cell.parent_id,
        })  # fmt: skip
    return pd.DataFrame(rows)


def host_fates(field: FieldGeometry) -> pd.DataFrame:
    """Tabulate hosts that died or divided, or were born in a division, in continuous time.

    Hours are ``dying_h``, the beginning of death; ``dead_h``, full staining; ``release_h``, when the membranes give way
    and guests can leave; ``gone_h`` with ``gone_reason`` (death | division), the disappearance.
    """
    rows = [
        {
            "host_id": h.cell_id, "parent_id": h.parent_id, "dying_h": h.dying_h, "dead_h": h.dying_h + DYING_H,
            "release_h": h.release_h, "gone_h": h.gone_h, "gone_reason": h.gone_reason,
        }
        for h in field.history.hosts
        if h.gone_reason or h.parent_id
    ]  # fmt: skip
    return pd.DataFrame(rows)


def decoys(field: FieldGeometry, frame: int) -> pd.DataFrame:
    """Tabulate what is not a guest: vacuoles and droplets (voids in a host), debris, effectors.

    Parameters
    ----------
    field : FieldGeometry
        The field.
    frame : int
        Index of the frame.

    Returns
    -------
    pandas.DataFrame
        ``decoy_id`` is the index within its kind, for effectors the ``cell_id``; ``host_id`` is the host of a void, or
        one that an effector touches; ``contact`` is that of an effector. Rows outside the frame are left out.
    """
    layers, rows = field.layers(frame), []
    z0 = float(field.slices_um(frame)[0])
    poses = {s.pose.host: s.pose for s in layers.sheets}

    def add(kind: str, number: int, place_um: tuple[float, float], diameter_um: float, **known: Any) -> None:
        y, x = field.raw_um(frame, *place_um)
        if _inset(field, y, x) >= 0:
            rows.append({
                "position": field.position, "frame": frame, "time_h": field.time_h(frame), "kind": kind,
                "decoy_id": number, "y_um": y, "x_um": x, "z_um": float("nan"), "diameter_um": diameter_um,
                "host_id": 0, "contact": "", **known,
            })  # fmt: skip

    for n, vacuole in enumerate(field.history.vacuoles):
        pose = poses.get(vacuole.host)
        if pose is not None:
            host = _host_id(field, vacuole.host)
            add(vacuole.kind, n, vacuole.place(pose), 2 * vacuole.radius, host_id=host)
    for body in field.debris(frame):
        add("debris", -1 - body.pose.guest, (body.pose.y, body.pose.x), 2 * body.pose.radius, z_um=body.z - z0)
    for body in (b for b in layers.bodies if b.pose.kind == "effector"):
        where, cell = place(body, layers), field.history.guests[body.pose.guest]
        add(
            "effector", cell.cell_id, (body.pose.y, body.pose.x), 2 * body.pose.radius, z_um=body.z - z0,
            host_id=_host_id(field, where.host), contact=where.contact,
        )  # fmt: skip
    return pd.DataFrame(rows)


def masks(field: FieldGeometry, frame: int) -> dict[str, Masks]:
    """Project the true masks of one frame.

    Parameters
    ----------
    field : FieldGeometry
        The field.
    frame : int
        Index of the frame.

    Returns
    -------
    dict
        :class:`~cicimage.masks.Masks` by population (host, guest, effector); labels are cell ids.
    """
    n = field.scenario.acquisition.size_px
    layers, history = field.layers(frame), field.history
    found: dict[str, list[Mask | None]] = {"host": [], "guest": [], "effector": []}
    for sheet in layers.sheets:
        found["host"].append(_crop(history.hosts[sheet.pose.host].cell_id, sheet.window, sheet.cover > 0.5, n))
    for body in layers.bodies:
        inside = body.pose.rho(*layers.grid.points(body.window)) <= 1.0
        found[body.pose.kind].append(_crop(history.guests[body.pose.guest].cell_id, body.window, inside, n))
    return {
        population: Masks(sorted((m for m in listed if m is not None), key=lambda m: m.label), (n, n))
        for population, listed in found.items()
        if population != "effector" or field.scenario.effectors.count
    }


def _crop(label: int, window: tuple[slice, slice], inside: BoolArray, n: int) -> Mask | None:
    """Cut a padded window's mask to the frame and to its bounding box."""
    return Mask.cut(label, window[0].start - PAD, window[1].start - PAD, inside, (n, n))


def events(field: FieldGeometry) -> pd.DataFrame:
    """Tabulate engulfments in continuous time, hours since the movie's start.

    ``start_h`` is when the host began to engulf the guest, ``entry_h`` when it had closed around it (empty if
    never, and for ``prevalent`` ones, inside at the start or inherited in a division), ``brief`` whether it left
    again within the persistence required of an entry, ``death_h`` when the guest began to die and ``dead_h`` when it
    was fully stained; ``in_view`` whether guest and event were in the frame.
    """
    rows = []
    persistence_h = max(PERSISTENCE_FRAMES * field.scenario.acquisition.interval_min, PERSISTENCE_MIN) / 60.0
    for attempt in field.history.attempts:
        guest, host = field.history.guests[attempt.guest], field.history.hosts[attempt.host]
        entered = attempt.prevalent or np.isfinite(attempt.entry_h)
        eaten = not attempt.prevalent and guest.dying_h < (attempt.entry_h if entered else attempt.start_h)
        died = attempt.end_reason == "death"
        score = "" if eaten else "entering" if not entered else "dying" if died else "surviving"
        seen_h = attempt.entry_h if np.isfinite(attempt.entry_h) else attempt.start_h
        rows.append({
            "guest_id": guest.cell_id, "host_id": host.cell_id, "contact_h": attempt.contact_h,
            "start_h": attempt.start_h, "entry_h": attempt.entry_h, "end_h": attempt.end_h,
            "end_reason": attempt.end_reason, "score": score,
            "excluded_reason": "dead_before_entry" if eaten else "", "prevalent": attempt.prevalent,
            "inherited": attempt.inherited,
            "brief": attempt.end_reason == "escape" and attempt.end_h - attempt.entry_h < persistence_h,
            "death_h": guest.dying_h, "dead_h": guest.dying_h + DYING_H,
            "in_view": _in_view(field, attempt.guest, float(np.nan_to_num(seen_h))),
        })  # fmt: skip
    return pd.DataFrame(rows, columns=list(EVENT_COLUMNS))


def _in_view(field: FieldGeometry, guest: int, time_h: float) -> bool:
    interval = field.scenario.acquisition.interval_min / 60.0
    nearest = int(np.clip(round(max(0.0, time_h) / interval), 0, field.n_frames - 1))
    for frame in (nearest, max(nearest - 1, 0), min(nearest + 1, field.n_frames - 1)):
        for pose in field.history.moments[frame].guests:
            if pose.guest == guest:
                return _inset(field, *field.raw_um(frame, pose.y, pose.x)) >= 0
    return False
