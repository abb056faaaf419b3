"""Continuous-time simulation of one field, advanced in steps well below the frame interval.

Every kind of event has a clock, a unit exponential that its hazard runs down; the event happens at the exact moment the
clock runs out, within the step. Frames are samples of this history.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from cicimage.simulation import engulfment, fates, walking
from cicimage.simulation.behaviour import BEHAVIOURS, Behaviour
from cicimage.simulation.bodies import HostPose
from cicimage.simulation.cells import OVERCLOSE, Attempt, FieldHistory, Guest, Moment
from cicimage.simulation.population import make_debris, place_vacuoles
from cicimage.simulation.spec import Condition, Scenario
from cicimage.simulation.world import World

STEP_MIN: Final = 0.5


def begin(world: World) -> None:
    """Set the spreading of hosts and the level of every guest at hour 0."""
    fates.update_spreading(world, 0.0)
    world.measure(0.0)
    for i, guest in enumerate(world.guests):
        if guest.kind == "guest":
            _place(world, i, guest)


def _place(world: World, i: int, guest: Guest) -> None:
    """Draw the level of a guest when the movie begins: floating, on the glass, inside, under a host or in a fold."""
    spec, rng = world.scenario.guests, world.rng
    if rng.random() < spec.dead_share:
        guest.dying_h, guest.speed = -rng.uniform(0.5, 10.0), 0.0
    floats = spec.floating_share if guest.dying_h > 0 else max(spec.floating_share, 0.4)
    if rng.random() < floats:
        guest.hover = rng.uniform(1.5, 5.0)
        return
    over = np.flatnonzero(world.depth[:, i] > 0)
    if over.size:
        guest.contact_h = -rng.exponential(2.0)
    deep = over[world.depth[over, i] > guest.radius + 1.0]
    if not deep.size or guest.dying_h < 0:
        return
    draw, host = rng.random(), int(rng.choice(deep))
    if draw < spec.inside_share:
        guest.level, guest.host, guest.engulfed, guest.was_inside = "engulfed", host, OVERCLOSE, True
        guest.leave_h, guest.event = engulfment.stay_h(world), len(world.attempts)
        world.attempts.append(Attempt(i, host, float("nan"), float("nan"), prevalent=True))
    elif draw < spec.inside_share + world.under_share():
        guest.level, guest.host = "under", host
    elif rng.random() < world.scenario.hosts.folds:
        top = world.topmost(i)
        if world.depth[top, i] > guest.radius + 1.0:
            guest.level, guest.host, guest.route, guest.engulfed = "engulfed", top, "fold", rng.uniform(0.35, 0.8)


def advance(world: World, behaviour: Behaviour, start_h: float, step_h: float) -> None:
    """Advance the world by one step.

    Parameters
    ----------
    world : World
        Changed in place.
    behaviour : Behaviour
        How guests move and when they enter.
    start_h, step_h : float
        Beginning and length of the step, h.
    """
    shifts = fates.migrate_hosts(world, step_h)
    fates.host_fates(world, start_h, step_h)
    world.measure(start_h)
    present = [i for i, g in enumerate(world.guests) if g.gone_h > start_h]
    for i in present:
        guest = world.guests[i]
        walking.carry_with_host(world, i, guest, shifts)
        if guest.kind == "guest":
            fates.guest_fates(world, i, guest, start_h, step_h)
            if guest.gone_h > start_h:
                engulfment.step(world, behaviour, i, guest, start_h, step_h)
    walking.walk(world, behaviour, present, start_h, step_h)


def moment(world: World, time_h: float) -> Moment:
    """Freeze the world as it stands.

    Parameters
    ----------
    world : World
        The world; not changed.
    time_h : float
        Hours since the movie's start.

    Returns
    -------
    Moment
        Poses of the hosts, lowest first, and of the guests that are there.
    """
    hosts = [(h.order, _pushed(world, h.pose(i, time_h))) for i, h in enumerate(world.hosts) if h.gone_h > time_h]
    guests = tuple(g.pose(i, time_h) for i, g in enumerate(world.guests) if g.gone_h > time_h)
    return Moment(time_h, tuple(pose for _, pose in sorted(hosts, key=lambda h: h[0])), guests)


def _pushed(world: World, pose: HostPose) -> HostPose:
    """A host whose nucleus is displaced by the guests in it, as far as the host has room."""
    y, x = pose.nucleus_y, pose.nucleus_x
    for guest in world.guests:
        if guest.level != "engulfed" or guest.host != pose.host or guest.route == "fold":
            continue
        away = float(np.hypot(y - guest.y, x - guest.x)) + 1e-9
        want = min(1.0, guest.engulfed) * 0.95 * (pose.nucleus_radius + guest.radius)
        if away < want:
            y, x = guest.y + (y - guest.y) * want / away, guest.x + (x - guest.x) * want / away
    off = float(np.hypot(y - pose.y, x - pose.x)) + 1e-9
    room = max(0.0, pose.radius * pose.spread * 0.75 - 0.5 * pose.nucleus_radius)
    if off > room:
        y, x = pose.y + (y - pose.y) * room / off, pose.x + (x - pose.x) * room / off
    return replace(pose, nucleus_y=float(y), nucleus_x=float(x))


def simulate_life(
    scenario: Scenario, condition: Condition, log_effect: float, rng: np.random.Generator
) -> FieldHistory:
    """Simulate one field over the movie.

    Parameters
    ----------
    scenario, condition : Scenario, Condition
        Hazards and the treatment's factors on them.
    log_effect : float
        Donor's, donor x condition's and well's effect on the log entry rate.
    rng : numpy.random.Generator
        Source of all randomness.

    Returns
    -------
    FieldHistory
        All events, in continuous time.
    """
    world = World(scenario, condition, log_effect, rng)
    behaviour = BEHAVIOURS[scenario.rates.dynamics](world)
    begin(world)
    vacuoles = place_vacuoles(scenario.hosts, world.hosts, rng)
    debris = make_debris(scenario, world.world_um, len(world.guests), rng)
    interval_h = scenario.acquisition.interval_min / 60.0
    steps = max(1, int(np.ceil(scenario.acquisition.interval_min / STEP_MIN)))
    moments = [moment(world, 0.0)]
    for frame in range(1, scenario.acquisition.frames):
        for k in range(steps):
            advance(world, behaviour, (frame - 1) * interval_h + k * interval_h / steps, interval_h / steps)
        moments.append(moment(world, frame * interval_h))
    end_h = (scenario.acquisition.frames - 1) * interval_h
    for attempt in world.attempts:
        if not attempt.end_reason:
            attempt.end_h, attempt.end_reason = end_h, "movie_end"
    return FieldHistory(
        tuple(moments), tuple(world.hosts), tuple(world.guests), tuple(world.attempts), tuple(vacuoles), debris,
        world.contact_hours,
    )  # fmt: skip
