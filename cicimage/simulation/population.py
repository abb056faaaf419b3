"""How a field starts: hosts laid out in the world, guests on, under and in them, debris and vacuoles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from cicimage.simulation.bodies import Array, HostPose
from cicimage.simulation.spec import Condition, HostSpec, Scenario

MARGIN_UM: Final = 35.0
"""The world reaches this far beyond the field, so that cells enter and leave it."""


@dataclass(frozen=True, eq=False)
class Vacuole:
    """A void in a host's cytoplasm: polar place relative to the host's radius and angle, radius um."""

    host: int
    angle: float
    distance: float
    radius: float
    kind: str


@dataclass(eq=False)
class HostBody:
    """A host's lasting traits and its present place; ``pose`` gives its geometry."""

    y: float
    x: float
    radius: float
    angle: float
    amplitudes: Array
    phases: Array
    phase_speed: Array
    lamella: float
    nucleus_height: float
    nucleus_offset: tuple[float, float]
    nucleus_radius: float
    brightness: float
    texture_seed: int
    vy: float = 0.0
    vx: float = 0.0
    spread: float = 1.0
    dead: float = 0.0

    def pose(self, host: int, shape: str) -> HostPose:
        """Geometry at this moment."""
        return HostPose(
            host, self.y, self.x, self.radius, self.angle, shape, self.amplitudes, self.phases.copy(), self.spread,
            self.lamella, self.nucleus_height, self.y + self.nucleus_offset[0] * self.spread,
            self.x + self.nucleus_offset[1] * self.spread, self.nucleus_radius, self.brightness, self.texture_seed,
            self.dead,
        )  # fmt: skip


def place_hosts(spec: HostSpec, world_um: float, rng: np.random.Generator) -> list[HostBody]:
    """Fill a square world with hosts up to the coverage asked for, overlapping as far as allowed."""
    hosts: list[HostBody] = []
    area, target, tries = 0.0, spec.coverage * world_um**2, 0
    while area < target and tries < 4000:
        radius = 0.5 * rng.uniform(*spec.diameter_um)
        y, x = rng.uniform(0, world_um, 2)
        tries += 1
        # the longer nothing fits, the closer they may come
        closeness = max(0.3, 1.0 - spec.overlap - tries / 6000)
        if any(np.hypot(y - h.y, x - h.x) < closeness * (radius + h.radius) for h in hosts):
            continue
        hosts.append(_host(spec, y, x, radius, rng))
        area += np.pi * radius**2
    order = rng.permutation(len(hosts))
    return [hosts[i] for i in order]


def _host(spec: HostSpec, y: float, x: float, radius: float, rng: np.random.Generator) -> HostBody:
    amplitudes = np.array([0.16, 0.13, 0.09, 0.06, 0.04]) * rng.uniform(0.4, 1.3, 5)
    direction = rng.uniform(0, 2 * np.pi)
    offset = rng.uniform(0, 0.2) * radius
    return HostBody(
        y=y, x=x, radius=radius, angle=rng.uniform(0, 2 * np.pi), amplitudes=amplitudes,
        phases=rng.uniform(0, 2 * np.pi, 5), phase_speed=rng.normal(0, 0.15, 5),
        lamella=rng.uniform(*spec.lamella_um), nucleus_height=rng.uniform(*spec.nucleus_height_um),
        nucleus_offset=(offset * np.sin(direction), offset * np.cos(direction)),
        nucleus_radius=float(np.clip(radius * 0.22, 5.5, 11.0)), brightness=float(np.exp(rng.normal(0, 0.3))),
        texture_seed=int(rng.integers(2**31)),
    )  # fmt: skip


def place_vacuoles(spec: HostSpec, hosts: list[HostBody], rng: np.random.Generator) -> list[Vacuole]:
    """Vacuoles of guest-like size and lipid droplets around the nuclei."""
    found = []
    for i, host in enumerate(hosts):
        for kind, mean, sizes in (("vacuole", spec.vacuoles, (1.5, 3.5)), ("droplet", spec.droplets, (0.5, 1.0))):
            for _ in range(rng.poisson(mean)):
                distance = min(0.75, host.nucleus_radius / host.radius + rng.uniform(0.05, 0.4))
                found.append(Vacuole(i, rng.uniform(0, 2 * np.pi), distance, rng.uniform(*sizes), kind))
    return found


def scatter_guests(
    scenario: Scenario, condition: Condition, world_um: float, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Places of guests in the world, (n, 2), and the number of the cluster each belongs to (-1 = none), (n,)."""
    field = scenario.acquisition.size_px * scenario.acquisition.um_per_px
    mean = scenario.guests.count * condition.density * (world_um / field) ** 2
    n = int(rng.poisson(mean))
    size = float(np.mean(scenario.guests.diameter_um))
    places: list[tuple[float, float]] = []
    cluster: list[int] = []
    while len(places) < n:
        y, x = rng.uniform(0, world_um, 2)
        members = int(rng.integers(2, 11)) if rng.random() < scenario.guests.cluster_share / 5.0 else 1
        near = any(np.hypot(y - py, x - px) < 1.5 * size for py, px in places)
        if near and members == 1 and rng.random() < 0.9:
            continue
        number = max(cluster, default=-1) + 1 if members > 1 else -1
        for k in range(min(members, n - len(places))):
            turn, out = 2.4 * k, 0.62 * size * np.sqrt(k)
            places.append((y + out * np.sin(turn), x + out * np.cos(turn)))
            cluster.append(number)
    return np.array(places, float).reshape(-1, 2), np.array(cluster, float)
