"""Continuous-time life of one field, advanced in steps well below the frame interval.

Every event has a clock of its own, a unit exponential that its hazard runs down; its time is the exact moment the
clock runs out, within the step. Frames are samples of this life.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from cicimage.arrays import Float64Array
from cicimage.simulation import engulfment, fates, walking
from cicimage.simulation.behaviour import BEHAVIOURS, Behaviour
from cicimage.simulation.bodies import HostPose
from cicimage.simulation.cells import NEVER, OVERCLOSE, Attempt, Guest, History, Host, Moment
from cicimage.simulation.population import (
    MARGIN_UM,
    field_side_um,
    make_debris,
    make_effectors,
    make_guest,
    place_hosts,
    place_vacuoles,
    scatter_guests,
)
from cicimage.simulation.spec import Condition, Scenario

STEP_MIN: Final = 0.5


class World:
    """All cells of a field and their surroundings at one moment.

    Parameters
    ----------
    scenario, condition : Scenario, Condition
        Hazards and the treatment's factors on them.
    log_effect : float
        Donor's, donor x condition's and well's effect on the log entry rate.
    rng : numpy.random.Generator
        The only source of chance.
    """

    def __init__(self, scenario: Scenario, condition: Condition, log_effect: float, rng: np.random.Generator) -> None:
        self.scenario, self.condition, self.rng = scenario, condition, rng
        self.entry_factor = condition.entry * float(np.exp(log_effect))
        self.world_um = field_side_um(scenario) + 2 * MARGIN_UM
        self.behaviour: Behaviour = BEHAVIOURS[scenario.rates.dynamics](self)
        self.hosts: list[Host] = place_hosts(scenario.hosts, self.world_um, rng)
        places = scatter_guests(scenario, condition, self.world_um, rng)
        first = len(self.hosts) + 1
        self.guests: list[Guest] = [
            make_guest(scenario, condition, first + i, place, rng) for i, place in enumerate(places)
        ]
        self.guests += make_effectors(scenario, self.world_um, first + len(self.guests), rng)
        self.effectors = np.array([i for i, g in enumerate(self.guests) if g.kind == "effector"], dtype=int)
        self.effector_radius: Float64Array = np.array([self.guests[i].radius for i in self.effectors])
        self.next_id = first + len(self.guests)
        self.host_clocks: dict[tuple[int, str], float] = {}
        self.attempts: list[Attempt] = []
        self.contact_hours = 0.0
        self.poses: dict[int, HostPose] = {}
        self.depth: Float64Array = np.zeros((0, 0))
        self.orders: Float64Array = np.zeros(0)
        self._top: list[int] = []
        fates.spread_out(self, 0.0)
        self.measure(0.0)
        for i, guest in enumerate(self.guests):
            if guest.kind == "guest":
                self._start(i, guest)

    # ------------------------------------------------------------ where everything is

    def measure(self, time_h: float) -> None:
        """Poses of the hosts that are there, and how deep every guest lies within every footprint."""
        self.poses = {i: h.pose(i, time_h) for i, h in enumerate(self.hosts) if h.gone_h > time_h}
        self.orders = np.array([h.order for h in self.hosts])
        self.depth = self.depths(np.array([g.y for g in self.guests]), np.array([g.x for g in self.guests]))
        self._top = [-1] * len(self.guests)
        if len(self.hosts) and len(self.guests):
            ranked = np.where(self.depth > 0, self.orders[:, None], -np.inf)
            self._top = np.where((self.depth > 0).any(0), ranked.argmax(0), -1).tolist()

    def depths(self, y: Float64Array, x: Float64Array) -> Float64Array:
        """Depth (hosts, guests) of points within footprints, um; far below zero for hosts out of reach or gone."""
        out = np.full((len(self.hosts), len(y)), -1e3)
        for i, pose in self.poses.items():
            near = np.flatnonzero((np.abs(y - pose.y) < pose.reach + 12.0) & (np.abs(x - pose.x) < pose.reach + 12.0))
            if near.size:
                out[i, near] = pose.depth(y[near], x[near])
        return out

    def topmost(self, guest: int) -> int:
        """The highest host over whose footprint a guest's centre lay when last measured, -1 = none."""
        return self._top[guest]

    def reachable(self, i: int) -> int:
        """The host a guest could enter from where it is, -1 = none."""
        guest = self.guests[i]
        if guest.hover > 0:
            return -1
        host = guest.host if guest.level == "under" else self.topmost(i)
        fit = host >= 0 and self.depth[host, i] > 0 and self.hosts[host].dying_h == NEVER
        return host if fit else -1

    def under_share(self) -> float:
        """Share of contacts that go under a host."""
        return min(1.0, self.scenario.guests.under_share * self.condition.under)

    def rings(self, guest: Guest, clock: str, hazard: float, start_h: float, step_h: float) -> float | None:
        """Run a guest's clock down; the hour at which it ran out in this step, or None."""
        left = guest.clocks[clock]
        if hazard * step_h < left:
            guest.clocks[clock] = left - hazard * step_h
            return None
        guest.clocks[clock] = float(self.rng.exponential())
        return start_h + left / hazard

    # ------------------------------------------------------------ the start

    def _start(self, i: int, guest: Guest) -> None:
        spec, rng = self.scenario.guests, self.rng
        if rng.random() < spec.dead_share:
            guest.dying_h, guest.speed = -rng.uniform(0.5, 10.0), 0.0
        floats = spec.floating_share if guest.dying_h > 0 else max(spec.floating_share, 0.4)
        if rng.random() < floats:
            guest.hover = rng.uniform(1.5, 5.0)
            return
        over = np.flatnonzero(self.depth[:, i] > 0)
        if over.size:
            guest.contact_h = -rng.exponential(2.0)
        deep = over[self.depth[over, i] > guest.radius + 1.0]
        if not deep.size or guest.dying_h < 0:
            return
        draw, host = rng.random(), int(rng.choice(deep))
        if draw < spec.inside_share:
            guest.level, guest.host, guest.engulfed, guest.was_inside = "engulfed", host, OVERCLOSE, True
            guest.leave_h, guest.event = engulfment.stay_h(self), len(self.attempts)
            self.attempts.append(Attempt(i, host, float("nan"), float("nan"), prevalent=True))
        elif draw < spec.inside_share + self.under_share():
            guest.level, guest.host = "under", host
        elif rng.random() < self.scenario.hosts.folds:
            top = self.topmost(i)
            if self.depth[top, i] > guest.radius + 1.0:
                guest.level, guest.host, guest.route, guest.engulfed = "engulfed", top, "fold", rng.uniform(0.35, 0.8)

    # ------------------------------------------------------------ one step

    def advance(self, start_h: float, step_h: float) -> None:
        """Move everything on by one step that begins at ``start_h``."""
        shifts = fates.creep(self, step_h)
        fates.host_fates(self, start_h, step_h)
        self.measure(start_h)
        present = [i for i, g in enumerate(self.guests) if g.gone_h > start_h]
        for i in present:
            guest = self.guests[i]
            walking.ride(self, i, guest, shifts)
            if guest.kind == "guest":
                fates.guest_fates(self, i, guest, start_h, step_h)
                if guest.gone_h > start_h:
                    engulfment.step(self, i, guest, start_h, step_h)
        walking.walk(self, present, start_h, step_h)

    def moment(self, time_h: float) -> Moment:
        """The world as it stands."""
        hosts = [(h.order, self._pushed(h.pose(i, time_h))) for i, h in enumerate(self.hosts) if h.gone_h > time_h]
        guests = tuple(g.pose(i, time_h) for i, g in enumerate(self.guests) if g.gone_h > time_h)
        return Moment(time_h, tuple(pose for _, pose in sorted(hosts, key=lambda h: h[0])), guests)

    def _pushed(self, pose: HostPose) -> HostPose:
        """A host whose nucleus has given way to the guests in it, as far as the host has room."""
        y, x = pose.nucleus_y, pose.nucleus_x
        for guest in self.guests:
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


def live(scenario: Scenario, condition: Condition, log_effect: float, rng: np.random.Generator) -> History:
    """Let one field live through the movie; parameters as :class:`World`."""
    world = World(scenario, condition, log_effect, rng)
    vacuoles = place_vacuoles(scenario.hosts, world.hosts, rng)
    debris = make_debris(scenario, world.world_um, len(world.guests), rng)
    interval_h = scenario.acquisition.interval_min / 60.0
    steps = max(1, int(np.ceil(scenario.acquisition.interval_min / STEP_MIN)))
    moments = [world.moment(0.0)]
    for frame in range(1, scenario.acquisition.frames):
        for k in range(steps):
            world.advance((frame - 1) * interval_h + k * interval_h / steps, interval_h / steps)
        moments.append(world.moment(frame * interval_h))
    end_h = (scenario.acquisition.frames - 1) * interval_h
    for attempt in world.attempts:
        if not attempt.end_reason:
            attempt.end_h, attempt.end_reason = end_h, "movie_end"
    return History(
        tuple(moments), tuple(world.hosts), tuple(world.guests), tuple(world.attempts), tuple(vacuoles), debris,
        world.world_um, world.contact_hours,
    )  # fmt: skip
