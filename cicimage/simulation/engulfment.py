"""A guest drawn into a host, held, and let go; in continuous time."""

from __future__ import annotations

import numpy as np

from cicimage.simulation.behaviour import Behaviour
from cicimage.simulation.cells import NEVER, OVERCLOSE, Attempt, Guest
from cicimage.simulation.world import World


def stay_h(world: World) -> float:
    """Draw how long a guest stays once closed in: a mixture of short and long stays, h."""
    rates, rng = world.scenario.rates, world.rng
    if rng.random() < rates.short_stay_share:
        return float(rng.uniform(5, 15) / 60)
    return float(rng.exponential(rates.stay_h) / max(world.condition.escape, 1e-9))


def step(world: World, behaviour: Behaviour, i: int, guest: Guest, start_h: float, step_h: float) -> None:
    """Begin an engulfment where one is due, or continue it.

    Parameters
    ----------
    world : World
        Changed in place.
    behaviour : Behaviour
        When guests enter and how fast.
    i : int
        Index of the guest in ``world.guests``.
    guest : Guest
        The guest.
    start_h, step_h : float
        Beginning and length of the step, h.
    """
    alive = start_h < guest.dying_h
    if guest.level == "engulfed":
        _take_up_dye(world, guest, step_h)
        if guest.host not in world.poses:
            if guest.event >= 0:
                finish(world, guest, start_h, "host_lost")
            guest.route = "top"
            let_go(guest, start_h)
        elif guest.route != "fold":
            _draw(world, behaviour, guest, start_h, step_h)
        return
    host = world.reachable(i)
    if host < 0:
        guest.due_h = guest.decide_h = NEVER
        return
    _take_up_dye(world, guest, step_h)
    if alive:
        world.contact_hours += step_h
        at = behaviour.enters(i, guest, start_h, step_h)
    else:
        at = world.event_time(guest, "eaten", world.scenario.rates.eaten_per_contact_h, start_h, step_h)
    if at is not None:
        _begin(world, i, guest, host, at, alive=alive)
        guest.engulfed = guest.pace_per_h * behaviour.pace(0.0) * (start_h + step_h - at)


def _take_up_dye(world: World, guest: Guest, step_h: float) -> None:
    nuisances = world.scenario.nuisances
    left = 1.0 - guest.dye / nuisances.dye_transfer_max
    # A fast uptake would overshoot its end within one step.
    guest.dye += min(nuisances.dye_transfer * left * step_h, nuisances.dye_transfer_max * max(left, 0.0))


def _begin(world: World, i: int, guest: Guest, host: int, at: float, *, alive: bool) -> None:
    """Begin an engulfment at hour ``at``; whether it will be aborted is drawn now."""
    rates, rng = world.scenario.rates, world.rng
    guest.route = "under" if guest.level == "under" else "top"
    guest.level, guest.host = "engulfed", host
    minutes = float(np.clip(rates.entry_min * np.exp(rng.normal(0, 0.6)), 5.0, 60.0))
    guest.pace_per_h = 60.0 / minutes
    aborted = alive and rng.random() < rates.abort_share
    guest.peak = rng.uniform(0.3, 0.85) if aborted else OVERCLOSE
    guest.was_inside, guest.leave_h, guest.event = False, NEVER, len(world.attempts)
    world.attempts.append(Attempt(i, host, guest.contact_h, at))


def _draw(world: World, behaviour: Behaviour, guest: Guest, start_h: float, step_h: float) -> None:
    """The host draws the guest in, holds it, or lets it go."""
    end_h = start_h + step_h
    if guest.leave_h <= end_h and guest.pace_per_h >= 0 and start_h < guest.dying_h:
        guest.pace_per_h = -60.0 / world.rng.uniform(5, 15)
        guest.route = str(world.rng.choice(["top", "under"]))
    before = guest.engulfed
    pace = guest.pace_per_h * behaviour.pace(before)
    guest.engulfed = min(before + pace * step_h, guest.peak)
    if before < 1.0 <= guest.engulfed:
        at = start_h + (1.0 - before) / pace
        guest.was_inside = True
        if guest.event >= 0:
            world.attempts[guest.event].entry_h = at
        guest.leave_h = at + stay_h(world) if start_h < guest.dying_h else NEVER
    if guest.engulfed >= guest.peak and guest.peak < 1.0:
        guest.pace_per_h = -abs(guest.pace_per_h)
    if before >= 1.0 > guest.engulfed and guest.event >= 0:
        finish(world, guest, start_h + (before - 1.0) / -pace, "escape")
    if guest.engulfed <= 0.0 and guest.pace_per_h < 0:
        if guest.event >= 0:
            finish(world, guest, end_h, "aborted")
        let_go(guest, end_h)


def finish(world: World, guest: Guest, at: float, reason: str) -> None:
    """End a guest's running engulfment.

    Parameters
    ----------
    world : World
        Holds the engulfments.
    guest : Guest
        The guest.
    at : float
        Hour at which it ends.
    reason : str
        Reason in the table of events.
    """
    world.attempts[guest.event].end_h, world.attempts[guest.event].end_reason = at, reason
    guest.event = -1


def let_go(guest: Guest, at: float) -> None:
    """Put a guest outside again, below or on top of the host it came from.

    Parameters
    ----------
    guest : Guest
        The guest; changed in place.
    at : float
        Hour at which it leaves.
    """
    beneath = guest.route == "under"
    guest.level, guest.host = ("under", guest.host) if beneath else ("surface", -1)
    guest.engulfed, guest.pace_per_h, guest.contact_h, guest.was_inside = 0.0, 0.0, at, False
    guest.route, guest.leave_h = "top", NEVER
