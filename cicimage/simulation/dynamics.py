"""Continuous-time life of one field: hosts creep, guests walk, crawl under, enter, leave and die.

Walks are advanced in steps well below the frame interval; every event has a clock of its own, a unit exponential
that its hazard runs down, and its time is the exact moment the clock runs out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from cicimage.simulation.bodies import Array, GuestPose, HostPose
from cicimage.simulation.population import MARGIN_UM, HostBody, Vacuole, place_hosts, place_vacuoles, scatter_guests
from cicimage.simulation.spec import Condition, Scenario

STEP_MIN: Final = 0.5
DYING_H: Final = 0.5
"""From the first sign of death to a fully stained body, h."""
OVERCLOSE: Final = 1.35
"""Engulfment goes on past closure (1) until cap and floor have their thickness."""


@dataclass(eq=False)
class Guest:
    """One guest's traits, place and plans."""

    y: float
    x: float
    radius: float
    speed: float
    heading: float
    elongation: float
    brightness: float
    floor: float
    cap: float
    cluster: bool
    clocks: dict[str, float]
    level: str = "surface"
    host: int = -1
    route: str = "top"
    engulfed: float = 0.0
    pace_per_h: float = 0.0
    peak: float = OVERCLOSE
    hover: float = 0.0
    dying_h: float = np.inf
    leave_h: float = np.inf
    contact_h: float = np.nan
    was_inside: bool = False
    event: int = -1
    refused: int = -1

    def dead_share(self, time_h: float) -> float:
        """0 alive ... 1 dead and fully stained."""
        return float(np.clip((time_h - self.dying_h) / DYING_H, 0.0, 1.0))


@dataclass(eq=False)
class Attempt:
    """One engulfment in continuous time; hours since the movie's start."""

    guest: int
    host: int
    contact_h: float
    start_h: float
    entry_h: float = np.nan
    end_h: float = np.nan
    end_reason: str = ""
    prevalent: bool = False
    dead_before_entry: bool = False


@dataclass(frozen=True, eq=False)
class Moment:
    """The world at one frame."""

    time_h: float
    hosts: tuple[HostPose, ...]
    guests: tuple[GuestPose, ...]
    entering: npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class History:
    """A field's life: one moment per frame, all engulfments, deaths, vacuoles and debris."""

    moments: tuple[Moment, ...]
    attempts: tuple[Attempt, ...]
    dying_h: Array
    clusters: npt.NDArray[np.bool_]
    vacuoles: tuple[Vacuole, ...]
    debris: Array
    """(n, 5): y, x, radius, height above the surface, brightness."""
    world_um: float


@dataclass(eq=False)
class World:
    """Advances a field; :func:`live` drives it."""

    scenario: Scenario
    condition: Condition
    log_effect: float
    rng: np.random.Generator
    world_um: float = 0.0
    hosts: list[HostBody] = field(default_factory=list)
    guests: list[Guest] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    depth: Array = field(default_factory=lambda: np.zeros((0, 0)))
    poses: list[HostPose] = field(default_factory=list)

    def __post_init__(self) -> None:
        acquisition = self.scenario.acquisition
        self.world_um = acquisition.size_px * acquisition.um_per_px + 2 * MARGIN_UM
        self.hosts = place_hosts(self.scenario.hosts, self.world_um, self.rng)
        places, clusters = scatter_guests(self.scenario, self.condition, self.world_um, self.rng)
        self.guests = [self._guest(y, x, bool(c >= 0)) for (y, x), c in zip(places, clusters, strict=True)]
        self._measure()
        for i, guest in enumerate(self.guests):
            self._start(i, guest)

    def _guest(self, y: float, x: float, cluster: bool) -> Guest:
        spec, rng = self.scenario.guests, self.rng
        sessile = cluster or rng.random() < spec.sessile_share
        speed = spec.speed_um_per_min * float(np.exp(rng.normal(0, 0.5))) * (0.1 if sessile else 1.0)
        return Guest(
            y=y, x=x, radius=0.5 * rng.uniform(*spec.diameter_um), speed=speed, heading=rng.uniform(0, 2 * np.pi),
            elongation=1.0 + (0.05 if sessile else 0.25) * rng.random(),
            brightness=float(np.exp(rng.normal(0, 0.3))) * self.condition.brightness,
            floor=rng.uniform(*spec.floor_um), cap=rng.uniform(*spec.cap_um), cluster=cluster,
            clocks={k: float(rng.exponential()) for k in ("enter", "death", "eaten")},
        )  # fmt: skip

    def _start(self, i: int, guest: Guest) -> None:
        spec, rng = self.scenario.guests, self.rng
        if rng.random() < spec.dead_share:
            guest.dying_h, guest.speed = -rng.uniform(0.5, 10.0), 0.0
        floats = spec.floating_share if guest.dying_h > 0 else max(spec.floating_share, 0.4)
        if rng.random() < floats:
            guest.hover = rng.uniform(1.5, 5.0)
            return
        over = np.flatnonzero(self.depth[:, i] > 0) if self.hosts else np.array([], int)
        if over.size:
            guest.contact_h = -rng.exponential(2.0)
        deep = over[self.depth[over, i] > guest.radius + 1.0]
        if not deep.size or guest.dying_h < 0:
            return
        draw = rng.random()
        if draw < spec.inside_share:
            guest.level, guest.host, guest.engulfed, guest.was_inside = (
                "engulfed",
                int(rng.choice(deep)),
                OVERCLOSE,
                True,
            )
            guest.leave_h, guest.event = self._stay_h(), len(self.attempts)
            self.attempts.append(Attempt(i, guest.host, np.nan, np.nan, np.nan, prevalent=True))
        elif draw < spec.inside_share + self._under_share():
            guest.level, guest.host = "under", int(rng.choice(deep))

    def _under_share(self) -> float:
        return min(1.0, self.scenario.guests.under_share * self.condition.under)

    def _stay_h(self) -> float:
        rates, rng = self.scenario.rates, self.rng
        if rng.random() < rates.short_stay_share:
            return float(rng.uniform(5, 15) / 60)
        return float(rng.exponential(rates.stay_h) / max(self.condition.escape, 1e-9))

    def _measure(self) -> None:
        shape = self.scenario.hosts.shape
        self.poses = [h.pose(i, shape) for i, h in enumerate(self.hosts)]
        y = np.array([g.y for g in self.guests])
        x = np.array([g.x for g in self.guests])
        self.depth = np.array([p.depth(y, x) for p in self.poses]).reshape(len(self.poses), len(self.guests))

    def advance(self, start_h: float, step_h: float) -> None:
        """Move everything on by one step that begins at ``start_h``."""
        shifts = self._creep(step_h)
        self._measure()
        for i, guest in enumerate(self.guests):
            self._ride(i, guest, shifts)
            self._events(i, guest, start_h, step_h)
            self._walk(i, guest, step_h)
        self._part()

    def _creep(self, step_h: float) -> Array:
        """Hosts drift slowly with persistence and change their outline; returns their shifts, (n, 2)."""
        speed, rng = self.scenario.hosts.speed_um_per_min * 60.0, self.rng
        keep = float(np.exp(-step_h / 0.5))
        shifts = np.zeros((len(self.hosts), 2))
        for i, host in enumerate(self.hosts):
            kick = speed * np.sqrt((1 - keep**2) / 2) * rng.normal(size=2)
            host.vy, host.vx = keep * host.vy + kick[0], keep * host.vx + kick[1]
            shifts[i] = host.vy * step_h, host.vx * step_h
            host.y, host.x = host.y + shifts[i, 0], host.x + shifts[i, 1]
            host.phases += host.phase_speed * step_h
        return shifts

    def _ride(self, i: int, guest: Guest, shifts: Array) -> None:
        """A guest in touch with a host goes along with it."""
        carrier = guest.host
        if guest.level == "surface" and guest.hover == 0 and self.hosts:
            over = np.flatnonzero(self.depth[:, i] > 0)
            carrier = int(over[-1]) if over.size else -1
        if carrier >= 0:
            guest.y, guest.x = guest.y + shifts[carrier, 0], guest.x + shifts[carrier, 1]

    def _events(self, i: int, guest: Guest, start_h: float, step_h: float) -> None:
        rates, alive = self.scenario.rates, start_h < guest.dying_h
        inside = guest.level == "engulfed" and guest.engulfed >= 1.0
        if alive:
            hazard = rates.death_per_h * self.condition.death * (rates.death_ratio_inside if inside else 1.0)
            at = self._rings(guest, "death", hazard, start_h, step_h)
            if at is not None:
                guest.dying_h, guest.speed = at, 0.02 * guest.speed
                if guest.event >= 0 and guest.was_inside:
                    self._finish(guest, at, "death")
        if guest.level == "engulfed":
            self._draw(guest, start_h, step_h)
            return
        host = self._reachable(i, guest)
        if host < 0:
            return
        if alive:
            hazard = (
                rates.entry_per_contact_h / (1 - rates.abort_share) * self.condition.entry * np.exp(self.log_effect)
            )
        else:
            hazard = rates.eaten_per_contact_h if guest.hover == 0 else 0.0
        at = self._rings(guest, "enter" if alive else "eaten", hazard, start_h, step_h)
        if at is not None:
            self._begin(i, guest, host, at, alive)

    def _rings(self, guest: Guest, clock: str, hazard: float, start_h: float, step_h: float) -> float | None:
        """Run a clock down; the hour at which it ran out in this step, or None."""
        left = guest.clocks[clock]
        if hazard * step_h < left:
            guest.clocks[clock] = left - hazard * step_h
            return None
        guest.clocks[clock] = float(self.rng.exponential())
        return start_h + left / hazard

    def _reachable(self, i: int, guest: Guest) -> int:
        """The host a guest could enter from where it is, -1 = none."""
        if guest.hover > 0 or not self.hosts:
            return -1
        if guest.level == "under":
            return guest.host if self.depth[guest.host, i] > 0 else -1
        over = np.flatnonzero(self.depth[:, i] > 0)
        return int(over[-1]) if over.size else -1

    def _begin(self, i: int, guest: Guest, host: int, at: float, alive: bool) -> None:
        rates, rng = self.scenario.rates, self.rng
        guest.route = "under" if guest.level == "under" else "top"
        guest.level, guest.host, guest.engulfed = "engulfed", host, 0.0
        minutes = float(np.clip(rates.entry_min * np.exp(rng.normal(0, 0.6)), 5.0, 60.0))
        guest.pace_per_h = 60.0 / minutes
        aborted = alive and rng.random() < rates.abort_share
        guest.peak = rng.uniform(0.3, 0.85) if aborted else OVERCLOSE
        guest.was_inside, guest.leave_h, guest.event = False, np.inf, len(self.attempts)
        self.attempts.append(Attempt(i, host, guest.contact_h, at, dead_before_entry=not alive))

    def _draw(self, guest: Guest, start_h: float, step_h: float) -> None:
        """The host draws the guest in, holds it, or lets it go."""
        end_h = start_h + step_h
        if guest.leave_h <= end_h and guest.pace_per_h >= 0 and start_h < guest.dying_h:
            guest.pace_per_h, guest.route = -60.0 / self.rng.uniform(5, 15), self.rng.choice(["top", "under"])
        before = guest.engulfed
        guest.engulfed = min(before + guest.pace_per_h * step_h, guest.peak)
        if before < 1.0 <= guest.engulfed:
            at = start_h + (1.0 - before) / guest.pace_per_h
            self.attempts[guest.event].entry_h, guest.was_inside = at, True
            guest.leave_h = at + self._stay_h() if start_h < guest.dying_h else np.inf
        if guest.engulfed >= guest.peak and guest.peak < 1.0:
            guest.pace_per_h = -abs(guest.pace_per_h)
        if before >= 1.0 > guest.engulfed and guest.event >= 0:
            self._finish(guest, start_h + (before - 1.0) / -guest.pace_per_h, "escape")
        if guest.engulfed <= 0.0 and guest.pace_per_h < 0:
            if guest.event >= 0:
                self._finish(guest, end_h, "aborted")
            guest.level = "under" if guest.route == "under" else "surface"
            guest.host = guest.host if guest.level == "under" else -1
            guest.engulfed, guest.pace_per_h, guest.contact_h, guest.was_inside = 0.0, 0.0, end_h, False

    def _finish(self, guest: Guest, at: float, reason: str) -> None:
        self.attempts[guest.event].end_h, self.attempts[guest.event].end_reason = at, reason
        guest.event = -1

    def _walk(self, i: int, guest: Guest, step_h: float) -> None:
        """A persistent walk in the plane that minds the edges of the host it is in or under."""
        minutes = step_h * 60.0
        guest.heading += self.rng.normal(0, np.sqrt(2 * minutes / self.scenario.guests.persistence_min))
        speed = guest.speed * {"surface": 1.0, "under": 0.6, "engulfed": self.scenario.guests.inside_speed}[guest.level]
        y = guest.y + speed * minutes * np.sin(guest.heading)
        x = guest.x + speed * minutes * np.cos(guest.heading)
        held = guest.host if guest.level != "surface" else -1
        if held >= 0:
            self._keep(i, guest, y, x)
        else:
            self._cross(i, guest, y, x)
        for axis in ("y", "x"):
            if not 0 < getattr(guest, axis) < self.world_um:
                setattr(guest, axis, float(np.clip(getattr(guest, axis), 0, self.world_um)))
                guest.heading += np.pi

    def _keep(self, i: int, guest: Guest, y: float, x: float) -> None:
        """Stay beneath or within the host: turn at its edge, and seek depth where the edge is too near."""
        pose, wanted = self.poses[guest.host], guest.radius + 1.0
        depth = float(pose.depth(y, x))
        if depth >= wanted or depth >= self.depth[guest.host, i]:
            guest.y, guest.x = y, x
        else:
            guest.heading = float(np.arctan2(pose.y - guest.y, pose.x - guest.x))
        if depth < wanted:
            inward = np.arctan2(pose.y - guest.y, pose.x - guest.x)
            pull = min(1.0, wanted - depth) * 0.8
            guest.y, guest.x = guest.y + pull * np.sin(inward), guest.x + pull * np.cos(inward)

    def _cross(self, i: int, guest: Guest, y: float, x: float) -> None:
        """Walk on what is highest; at the edge of a host decide to climb, crawl under or turn away."""
        met = -1
        if guest.hover == 0:
            for h, pose in enumerate(self.poses):
                if self.depth[h, i] > 0 or np.hypot(y - pose.y, x - pose.x) > pose.reach:
                    continue
                if float(pose.depth(y, x)) > 0:
                    met = h
        if met < 0:
            guest.y, guest.x = y, x
            if not (self.depth[:, i] > -guest.radius).any():
                guest.contact_h = np.nan
            return
        if self.rng.random() < self._under_share():
            guest.level, guest.host = "under", met
        elif self.rng.random() < 0.3:
            guest.heading += np.pi
            return
        guest.y, guest.x = y, x

    def _part(self) -> None:
        """Guests on one level push each other apart."""
        n = len(self.guests)
        if n < 2:
            return
        y, x = np.array([g.y for g in self.guests]), np.array([g.x for g in self.guests])
        r = np.array([g.radius for g in self.guests])
        beneath = np.array([g.level != "surface" for g in self.guests])
        dy, dx = y[:, None] - y, x[:, None] - x
        apart = np.hypot(dy, dx)
        want = 1.0 * (r[:, None] + r)
        push = np.where((apart < want) & (apart > 0) & (beneath[:, None] == beneath), 0.3 * (want - apart), 0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            my, mx = np.where(push > 0, push * dy / apart, 0).sum(1), np.where(push > 0, push * dx / apart, 0).sum(1)
        for i in np.flatnonzero((my != 0) | (mx != 0)):
            self.guests[i].y += float(np.clip(my[i], -1, 1))
            self.guests[i].x += float(np.clip(mx[i], -1, 1))

    def moment(self, time_h: float) -> Moment:
        """The world as it stands."""
        guests, entering = [], []
        for i, g in enumerate(self.guests):
            dead = g.dead_share(time_h)
            guests.append(GuestPose(
                i, g.y, g.x, g.radius * (1.0 - 0.2 * dead), g.elongation, g.heading, g.level, g.host, g.route,
                g.engulfed, g.floor, g.cap, g.hover, g.brightness * (1.0 - 0.3 * dead), dead,
            ))  # fmt: skip
            entering.append(g.level == "engulfed" and not g.was_inside)
        shape = self.scenario.hosts.shape
        hosts = tuple(h.pose(k, shape) for k, h in enumerate(self.hosts))
        return Moment(time_h, hosts, tuple(guests), np.array(entering, bool))


def live(scenario: Scenario, condition: Condition, log_effect: float, rng: np.random.Generator) -> History:
    """Let one field live through the movie.

    Parameters
    ----------
    scenario, condition : Scenario, Condition
        Hazards and the treatment's factors on them.
    log_effect : float
        Donor's, donor x condition's and well's effect on the log entry rate.
    rng : numpy.random.Generator
        The only source of chance.
    """
    world = World(scenario, condition, log_effect, rng)
    vacuoles = place_vacuoles(scenario.hosts, world.hosts, rng)
    n_debris = int(rng.poisson(scenario.guests.debris * len(world.guests)))
    debris = np.column_stack([
        rng.uniform(0, world.world_um, n_debris), rng.uniform(0, world.world_um, n_debris),
        rng.uniform(0.75, 2.0, n_debris), rng.uniform(0, 3.0, n_debris), np.exp(rng.normal(-0.3, 0.4, n_debris)),
    ])  # fmt: skip
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
        tuple(moments), tuple(world.attempts), np.array([g.dying_h for g in world.guests]),
        np.array([g.cluster for g in world.guests], bool), tuple(vacuoles), debris, world.world_um,
    )  # fmt: skip
