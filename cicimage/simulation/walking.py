"""Migration of guests and effectors: over glass and hosts, beneath them, slowly within them."""

from __future__ import annotations

from typing import Final

import numpy as np

from cicimage.arrays import BoolArray, Float64Array
from cicimage.simulation.behaviour import Behaviour
from cicimage.simulation.cells import Guest
from cicimage.simulation.world import World

UNDER_SPEED: Final = 0.6
EDGE_ROOM: Final = 1.15
"""Width of a flattened guest over that of a ball."""
TURN_BACK_SHARE: Final = 0.3
"""Share of guests that turn away when they meet a host's edge and do not go under."""


def carry_with_host(world: World, i: int, guest: Guest, shifts: Float64Array) -> None:
    """Move a guest along with the host it touches.

    Parameters
    ----------
    world : World
        The world.
    i : int
        Index of the guest in ``world.guests``.
    guest : Guest
        The guest; moved in place.
    shifts : (hosts, 2) float64 array
        Displacements from :func:`cicimage.simulation.fates.migrate_hosts`, um.
    """
    carrier = guest.host if guest.level != "surface" else world.topmost(i) if guest.hover == 0 else -1
    if 0 <= carrier < len(shifts):
        guest.y, guest.x = guest.y + shifts[carrier, 0], guest.x + shifts[carrier, 1]


def walk(world: World, behaviour: Behaviour, present: list[int], start_h: float, step_h: float) -> None:
    """Move all guests and effectors by one step, with rules at edges of hosts and between cells.

    Parameters
    ----------
    world : World
        Changed in place.
    behaviour : Behaviour
        How guests move.
    present : list of int
        Indices of those that are there.
    start_h, step_h : float
        Beginning and length of the step, h.
    """
    if not present:
        return
    minutes = step_h * 60.0
    strides = np.array([behaviour.stride(i, world.guests[i], start_h, minutes) for i in present])
    strides *= np.array([_speed_factor(world, i) for i in present])[:, None]
    now = np.array([(g.y, g.x) for g in world.guests])
    ahead = now.copy()
    ahead[present] += strides
    before, after = world.depths(now[:, 0], now[:, 1]), world.depths(ahead[:, 0], ahead[:, 1])
    crossing = (before <= 0) & (after > 0)
    crosses = np.asarray(crossing.any(axis=0))
    nearest = after.max(0, initial=-1e3)
    for i in present:
        guest = world.guests[i]
        if guest.level == "surface":
            met = _highest(world, crossing[:, i]) if crosses[i] and guest.hover == 0 else -1
            touching = guest.hover == 0 and nearest[i] > -guest.radius
            _cross(world, guest, ahead[i], met, touching=bool(touching), start_h=start_h)
        else:
            _keep(world, guest, ahead[i], before[guest.host, i], after[guest.host, i])
        if not (0 < guest.y < world.world_um and 0 < guest.x < world.world_um):
            guest.y, guest.x = (min(max(v, 0.0), world.world_um) for v in (guest.y, guest.x))
            guest.heading += np.pi
    _part(world, present)


def _speed_factor(world: World, i: int) -> float:
    guest = world.guests[i]
    if guest.kind == "effector":
        return 0.15 if world.topmost(i) >= 0 else 1.0
    return {"surface": 1.0, "under": UNDER_SPEED, "engulfed": world.scenario.guests.inside_speed}[guest.level]


def _highest(world: World, hosts: BoolArray) -> int:
    chosen = np.flatnonzero(hosts)
    return int(chosen[np.argmax(world.orders[chosen])])


def _keep(world: World, guest: Guest, ahead: Float64Array, before: float, after: float) -> None:
    """Keep a guest beneath or within its host: turn at the edge, and move inwards where the edge is too near."""
    pose = world.poses.get(guest.host)
    if pose is None or after < -guest.radius:
        # the host has left, or retracted from above a guest
        if guest.level == "under":
            guest.level, guest.host = "surface", -1
        return
    wanted = EDGE_ROOM * guest.radius + 1.0
    if after >= wanted or after >= before:
        guest.y, guest.x = float(ahead[0]), float(ahead[1])
    else:
        guest.heading = float(np.arctan2(pose.y - guest.y, pose.x - guest.x))
    if after < wanted:
        inward = np.arctan2(pose.y - guest.y, pose.x - guest.x)
        pull = min(1.0, wanted - after) * 0.8
        guest.y, guest.x = guest.y + pull * float(np.sin(inward)), guest.x + pull * float(np.cos(inward))


def _cross(world: World, guest: Guest, ahead: Float64Array, met: int, *, touching: bool, start_h: float) -> None:
    """Move a guest on the highest surface; at the edge of a host ``met`` it climbs, goes under or turns, at random."""
    if not touching:
        guest.contact_h = float("nan")
    elif np.isnan(guest.contact_h):
        guest.contact_h = start_h
    if met >= 0 and guest.kind == "guest" and guest.speed > 0:
        if world.rng.random() < world.under_share():
            guest.level, guest.host = "under", met
        elif world.rng.random() < TURN_BACK_SHARE:
            guest.heading += np.pi
            return
    guest.y, guest.x = float(ahead[0]), float(ahead[1])


def _part(world: World, present: list[int]) -> None:
    """Push apart overlapping guests on one level."""
    if len(present) < 2:
        return
    cells = [world.guests[i] for i in present]
    y, x = np.array([g.y for g in cells]), np.array([g.x for g in cells])
    r = np.array([g.radius for g in cells])
    beneath = np.array([g.level != "surface" for g in cells])
    first, second = np.nonzero(np.triu(np.abs(y[:, None] - y) + np.abs(x[:, None] - x) < 2.9 * r.max(), 1))
    dy, dx = y[first] - y[second], x[first] - x[second]
    apart, want = np.hypot(dy, dx), r[first] + r[second]
    close = (apart < want) & (apart > 0) & (beneath[first] == beneath[second])
    for a, b, d, overlap, sy, sx in zip(
        first[close], second[close], apart[close], (want - apart)[close], dy[close], dx[close], strict=True
    ):
        push = 0.3 * overlap / d
        for k, sign in ((a, 1.0), (b, -1.0)):
            cells[k].y += float(np.clip(sign * push * sy, -1, 1))
            cells[k].x += float(np.clip(sign * push * sx, -1, 1))
