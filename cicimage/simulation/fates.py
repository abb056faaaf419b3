"""Migration, breathing, division and death of hosts; death and division of guests."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from cicimage.arrays import Float64Array
from cicimage.simulation import engulfment
from cicimage.simulation.cells import DYING_H, NEVER, Attempt, Guest, Host
from cicimage.simulation.population import make_host, new_clocks
from cicimage.simulation.world import World

BREATH_H: Final = 3.0
PERSISTENCE_H: Final = 0.5
ROUNDING_H: Final = 0.5
"""A host rounds up this long before it divides."""
SPREADING_H: Final = 1.5
RETRACTION_H: Final = 1.0
ROUND_SPREAD: Final = 0.55
TOUCH_UM: Final = 0.5


def migrate_hosts(world: World, step_h: float) -> Float64Array:
    """Move hosts by a slow persistent walk and change their outline.

    Parameters
    ----------
    world : World
        Changed in place; dying hosts stay where they are.
    step_h : float
        Length of the step, h.

    Returns
    -------
    (hosts, 2) float64 array
        Displacement (dy, dx) of every host, um.
    """
    speed, rng = world.scenario.hosts.speed_um_per_min * 60.0, world.rng
    keep = float(np.exp(-step_h / PERSISTENCE_H))
    kicks = speed * np.sqrt((1 - keep**2) / 2) * rng.normal(size=(len(world.hosts), 2))
    shifts: Float64Array = np.zeros_like(kicks)
    for i, host in enumerate(world.hosts):
        if i not in world.poses or host.dying_h < NEVER:
            continue
        host.vy, host.vx = keep * host.vy + kicks[i, 0], keep * host.vx + kicks[i, 1]
        shifts[i] = host.vy * step_h, host.vx * step_h
        host.y, host.x = host.y + shifts[i, 0], host.x + shifts[i, 1]
        host.phases += host.phase_speed * step_h
    return shifts


def update_spreading(world: World, time_h: float) -> None:
    """Set how far every host is spread: breathing, rounding up to divide, spreading after, retracting when it dies.

    Parameters
    ----------
    world : World
        Its hosts change in place.
    time_h : float
        Hours since the movie's start.
    """
    depth = world.scenario.hosts.retraction
    for host in world.hosts:
        breath = 1.0 + 0.5 * depth * float(np.sin(2 * np.pi * time_h / BREATH_H + host.breath_phase))
        since = float(np.clip((time_h - host.spread_from_h) / SPREADING_H, 0.0, 1.0))
        rounding = float(np.clip(1.0 - (host.divides_h - time_h) / ROUNDING_H, 0.0, 1.0))
        dying = float(np.clip((time_h - host.dying_h) / RETRACTION_H, 0.0, 1.0))
        full = ROUND_SPREAD + (1.0 - ROUND_SPREAD) * since
        host.spread = breath * (full - (full - ROUND_SPREAD) * max(rounding, dying))


def host_fates(world: World, start_h: float, step_h: float) -> None:
    """Draw the divisions, deaths and releases of hosts in this step.

    Parameters
    ----------
    world : World
        Changed in place.
    start_h, step_h : float
        Beginning and length of the step, h.
    """
    spec = world.scenario.hosts
    for i in list(world.poses):
        host = world.hosts[i]
        if host.dying_h == NEVER and host.divides_h == NEVER:
            hazard = spec.death_per_h * world.condition.host_death + _killing(world, i)
            at = _host_event_time(world, i, "death", hazard, start_h, step_h)
            if at is not None:
                host.dying_h = at
                host.release_h = at + DYING_H + float(world.rng.exponential(spec.release_h))
                host.gone_h, host.gone_reason = host.release_h + float(world.rng.uniform(2.0, 8.0)), "death"
            elif (at := _host_event_time(world, i, "divide", spec.divisions_per_h, start_h, step_h)) is not None:
                host.divides_h = at + ROUNDING_H
        if host.divides_h <= start_h + step_h:
            _divide_host(world, i, host.divides_h)
        if host.dying_h + DYING_H <= start_h + step_h:
            _host_died(world, i, start_h)
    update_spreading(world, start_h)


def _host_event_time(world: World, i: int, kind: str, hazard: float, start_h: float, step_h: float) -> float | None:
    if hazard <= 0:
        return None
    left = world.host_clocks.setdefault((i, kind), float(world.rng.exponential()))
    world.host_clocks[i, kind] = left - hazard * step_h
    return start_h + left / hazard if hazard * step_h >= left else None


def _killing(world: World, i: int) -> float:
    """Hazard of a host from the effectors that touch it, per h."""
    spec = world.scenario.effectors
    if not world.effectors.size or world.depth.shape[0] <= i:
        return 0.0
    touching = np.count_nonzero(world.depth[i, world.effectors] > -world.effector_radius)
    return float(touching) * spec.kill_host_per_contact_h * world.condition.killing


def _host_died(world: World, i: int, start_h: float) -> None:
    """End the events in a dead host; once its membranes give way its living guests come out."""
    host = world.hosts[i]
    for guest in world.guests:
        if guest.level != "engulfed" or guest.host != i:
            continue
        if guest.event >= 0:
            engulfment.finish(world, guest, host.dying_h + DYING_H, "host_death")
        if start_h >= host.release_h and guest.pace_per_h >= 0:
            guest.pace_per_h, guest.route, guest.peak, guest.leave_h = -6.0, "top", guest.engulfed, NEVER


def _divide_host(world: World, i: int, at: float) -> None:
    mother, rng = world.hosts[i], world.rng
    mother.gone_h, mother.gone_reason = at, "division"
    axis, daughters = rng.uniform(0, 2 * np.pi), []
    for side in (1.0, -1.0):
        away = side * 0.45 * mother.radius * ROUND_SPREAD
        daughter = make_host(
            world.scenario.hosts, world.next_id, mother.y + away * np.sin(axis), mother.x + away * np.cos(axis),
            0.75 * mother.radius, rng,
        )  # fmt: skip
        daughter = replace(
            daughter, parent_id=mother.cell_id, spread_from_h=at, brightness=mother.brightness,
            order=mother.order + side * 1e-6,
        )  # fmt: skip
        world.next_id += 1
        daughters.append(len(world.hosts))
        world.hosts.append(daughter)
    del world.poses[i]
    for k in daughters:
        world.poses[k] = world.hosts[k].pose(k, at)
    for g, guest in enumerate(world.guests):
        if guest.host == i and guest.level != "surface":
            near = min(daughters, key=lambda k: _distance(world.hosts[k], guest))
            _hand_over(world, g, guest, near, at)


def _distance(host: Host, guest: Guest) -> float:
    return float(np.hypot(host.y - guest.y, host.x - guest.x))


def _hand_over(world: World, g: int, guest: Guest, host: int, at: float) -> None:
    """Move a guest of a dividing host to one of its daughters."""
    guest.host = host
    if guest.event >= 0:
        running = world.attempts[guest.event]
        engulfment.finish(world, guest, at, "host_lost")
        guest.event = len(world.attempts)
        world.attempts.append(
            Attempt(g, host, running.contact_h, at, prevalent=guest.was_inside, inherited=True)
        )  # fmt: skip


# ---------------------------------------------------------------- guests


def guest_fates(world: World, i: int, guest: Guest, start_h: float, step_h: float) -> None:
    """Draw the death and division of one guest in this step.

    Parameters
    ----------
    world : World
        Changed in place.
    i : int
        Index of the guest in ``world.guests``.
    guest : Guest
        The guest.
    start_h, step_h : float
        Beginning and length of the step, h.
    """
    if start_h >= guest.dying_h:
        return
    rates, inside = world.scenario.rates, guest.level == "engulfed" and guest.engulfed >= 1.0
    hazard = rates.death_per_h * world.condition.death * guest.frailty * (rates.death_ratio_inside if inside else 1.0)
    if guest.level == "surface":
        hazard += _attack(world, guest)
    at = world.event_time(guest, "death", hazard, start_h, step_h)
    if at is not None:
        guest.dying_h, guest.speed = at, 0.02 * guest.speed
        if guest.event >= 0 and guest.was_inside:
            engulfment.finish(world, guest, at, "death")
        return
    divisions = world.scenario.guests.divisions_per_h * (0.5 if inside else 1.0)
    if divisions and (guest.level != "engulfed" or inside):
        at = world.event_time(guest, "divide", divisions, start_h, step_h)
        if at is not None:
            _divide_guest(world, i, guest, at)


def _attack(world: World, guest: Guest) -> float:
    """Hazard from effectors that touch a guest outside, per h."""
    spec = world.scenario.effectors
    if not world.effectors.size:
        return 0.0
    cells = [world.guests[k] for k in world.effectors]
    away = np.hypot(np.array([e.y for e in cells]) - guest.y, np.array([e.x for e in cells]) - guest.x)
    touching = np.count_nonzero(away < world.effector_radius + guest.radius + TOUCH_UM)
    return float(touching) * spec.kill_guest_per_contact_h * world.condition.killing


def _divide_guest(world: World, i: int, mother: Guest, at: float) -> None:
    """Two daughters with new ids take the mother's place, level and host."""
    mother.gone_h = at
    running = world.attempts[mother.event] if mother.event >= 0 else None
    if running is not None:
        engulfment.finish(world, mother, at, "track_lost")
    for side in (1.0, -1.0):
        away = side * 0.6 * mother.radius
        daughter = replace(
            mother, cell_id=world.next_id, parent_id=mother.cell_id, radius=0.82 * mother.radius, gone_h=NEVER,
            y=mother.y + away * float(np.sin(mother.heading)), x=mother.x + away * float(np.cos(mother.heading)),
            heading=mother.heading + side * np.pi / 2, clocks=new_clocks(world.rng), event=-1,
        )  # fmt: skip
        world.next_id += 1
        if running is not None:
            daughter.event = len(world.attempts)
            world.attempts.append(
                Attempt(len(world.guests), mother.host, running.contact_h, at, prevalent=True, inherited=True)
            )
        world.guests.append(daughter)
