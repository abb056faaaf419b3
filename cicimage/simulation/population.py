"""Initial state of a field: hosts, guests, effectors, debris and vacuoles, and their traits."""

from __future__ import annotations

from typing import Final

import numpy as np

from cicimage.arrays import Float64Array
from cicimage.simulation.cells import Guest, Host, Vacuole
from cicimage.simulation.spec import Condition, HostSpec, Scenario

MARGIN_UM: Final = 35.0
"""Width of the world beyond the field, from and to which cells enter and leave it, um."""
MAX_TRIES: Final = 4000
HARMONICS: Final = np.array([0.17, 0.13, 0.09, 0.06, 0.045, 0.035, 0.03, 0.02, 0.02])
"""Typical amplitudes of the outline's harmonics 2..10: lobes first, ruffles last."""


def field_side_um(scenario: Scenario) -> float:
    """Side of the field of view, um."""
    return scenario.acquisition.size_px * scenario.acquisition.um_per_px


def place_hosts(spec: HostSpec, world_um: float, rng: np.random.Generator) -> list[Host]:
    """Fill a square world with hosts up to the wanted coverage, overlapping as far as allowed.

    Parameters
    ----------
    spec : HostSpec
        Coverage, overlap and traits.
    world_um : float
        Side of the world, um.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    list of Host
        Cell ids from 1.
    """
    hosts: list[Host] = []
    area, target = 0.0, spec.coverage * world_um**2
    for tries in range(MAX_TRIES):
        if area >= target:
            break
        radius = 0.5 * rng.uniform(*spec.diameter_um)
        y, x = rng.uniform(0, world_um, 2)
        # the spacing shrinks while nothing fits
        closeness = max(0.3, 1.0 - spec.overlap - 0.6 * tries / MAX_TRIES)
        if any(np.hypot(y - h.y, x - h.x) < closeness * (radius + h.radius) for h in hosts):
            continue
        hosts.append(make_host(spec, len(hosts) + 1, y, x, radius, rng))
        area += np.pi * radius**2
    return hosts


def make_host(spec: HostSpec, cell_id: int, y: float, x: float, radius: float, rng: np.random.Generator) -> Host:
    """Draw a host's traits.

    Parameters
    ----------
    spec : HostSpec
        Distributions of the traits.
    cell_id : int
        Id in the tables.
    y, x, radius : float
        Centre and radius when spread, um.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    Host
        Alive and spread.
    """
    direction, offset = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.2) * radius
    return Host(
        cell_id=cell_id, y=float(y), x=float(x), radius=radius, angle=rng.uniform(0, 2 * np.pi),
        amplitudes=HARMONICS * rng.uniform(0.4, 1.3, HARMONICS.size), phases=rng.uniform(0, 2 * np.pi, HARMONICS.size),
        phase_speed=rng.normal(0, 0.15, HARMONICS.size), lamella=rng.uniform(*spec.lamella_um),
        nucleus_height=rng.uniform(*spec.nucleus_height_um),
        nucleus_offset=(offset * np.sin(direction), offset * np.cos(direction)),
        nucleus_radius=float(np.clip(radius * 0.22, 4.5, 11.0)),
        brightness=float(np.exp(rng.normal(0, spec.brightness_sd))),
        texture_seed=int(rng.integers(2**31)), order=float(rng.random()), shape=spec.shape,
        breath_phase=rng.uniform(0, 2 * np.pi),
    )  # fmt: skip


def place_vacuoles(spec: HostSpec, hosts: list[Host], rng: np.random.Generator) -> list[Vacuole]:
    """Place vacuoles of guest-like size and lipid droplets around the nuclei.

    Parameters
    ----------
    spec : HostSpec
        Mean numbers per host.
    hosts : list of Host
        Their holders.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    list of Vacuole
        By host.
    """
    found = []
    for i, host in enumerate(hosts):
        for kind, mean, sizes in (("vacuole", spec.vacuoles, (1.5, 3.5)), ("droplet", spec.droplets, (0.5, 1.0))):
            for _ in range(rng.poisson(mean)):
                distance = min(0.75, host.nucleus_radius / host.radius + rng.uniform(0.05, 0.4))
                found.append(Vacuole(i, rng.uniform(0, 2 * np.pi), distance, rng.uniform(*sizes), kind))
    return found


def scatter_guests(
    scenario: Scenario, condition: Condition, world_um: float, rng: np.random.Generator
) -> list[tuple[float, float, bool]]:
    """Draw the places of guests in the world.

    Parameters
    ----------
    scenario : Scenario
        Number of guests in the field, their size and the share in clusters.
    condition : Condition
        ``density``: factor on the number.
    world_um : float
        Side of the world, um.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    list of (float, float, bool)
        y and x, um, and whether the guest belongs to a cluster of 2-10.
    """
    mean = scenario.guests.count * condition.density * (world_um / field_side_um(scenario)) ** 2
    n = int(rng.poisson(mean))
    size = float(np.mean(scenario.guests.diameter_um))
    places: list[tuple[float, float, bool]] = []
    while len(places) < n:
        y, x = rng.uniform(0, world_um, 2)
        members = int(rng.integers(2, 11)) if rng.random() < scenario.guests.cluster_share / 5.0 else 1
        near = any(np.hypot(y - py, x - px) < 1.5 * size for py, px, _ in places)
        if near and members == 1 and rng.random() < 0.9:
            continue
        for k in range(min(members, n - len(places))):
            turn, out = 2.4 * k, 0.62 * size * np.sqrt(k)  # phyllotactic packing
            places.append((float(y + out * np.sin(turn)), float(x + out * np.cos(turn)), members > 1))
    return places


def make_guest(
    scenario: Scenario, condition: Condition, cell_id: int, place: tuple[float, float, bool], rng: np.random.Generator
) -> Guest:
    """Draw a guest's traits.

    Parameters
    ----------
    scenario : Scenario
        Distributions of the traits.
    condition : Condition
        ``brightness``: factor on the dye.
    cell_id : int
        Id in the tables.
    place : (float, float, bool)
        One entry of :func:`scatter_guests`.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    Guest
        On the surface, alive.
    """
    spec, (y, x, cluster) = scenario.guests, place
    sessile = cluster or rng.random() < spec.sessile_share
    dim = 0.1 if rng.random() < spec.dim_share else 1.0
    speed = spec.speed_um_per_min * float(np.exp(rng.normal(0, 0.5))) * (0.1 if sessile else 1.0)
    return Guest(
        cell_id=cell_id, y=y, x=x, radius=0.5 * rng.uniform(*spec.diameter_um), speed=speed,
        heading=rng.uniform(0, 2 * np.pi), elongation=1.0 + (0.05 if sessile else 0.25) * rng.random(),
        brightness=float(np.exp(rng.normal(0, spec.brightness_sd))) * condition.brightness * dim,
        floor=rng.uniform(*spec.floor_um), cap=rng.uniform(*spec.cap_um), cluster=cluster,
        frailty=float(np.exp(rng.normal(0, spec.frailty_sd))) if spec.frailty_sd else 1.0,
        clocks=new_clocks(rng),
    )  # fmt: skip


def new_clocks(rng: np.random.Generator) -> dict[str, float]:
    """Unit exponentials that hazards run down, one per kind of event."""
    return {kind: float(rng.exponential()) for kind in ("enter", "death", "eaten", "divide")}


def make_effectors(scenario: Scenario, world_um: float, first_id: int, rng: np.random.Generator) -> list[Guest]:
    """Draw killer T cells, scattered over the world.

    Parameters
    ----------
    scenario : Scenario
        Number of effectors in the field and their traits.
    world_um : float
        Side of the world, um.
    first_id : int
        Cell id of the first.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    list of Guest
        Of kind ``effector``.
    """
    spec = scenario.effectors
    mean = spec.count * (world_um / field_side_um(scenario)) ** 2
    out = []
    for k in range(int(rng.poisson(mean)) if mean else 0):
        y, x = rng.uniform(0, world_um, 2)
        out.append(Guest(
            cell_id=first_id + k, y=float(y), x=float(x), radius=0.5 * rng.uniform(*spec.diameter_um),
            speed=spec.speed_um_per_min * float(np.exp(rng.normal(0, 0.4))), heading=rng.uniform(0, 2 * np.pi),
            elongation=1.0 + 0.25 * rng.random(), brightness=float(np.exp(rng.normal(0, 0.25))), floor=0.5, cap=0.5,
            kind="effector",
        ))  # fmt: skip
    return out


def make_debris(scenario: Scenario, world_um: float, n_guests: int, rng: np.random.Generator) -> Float64Array:
    """Draw particles that carry guest dye.

    Parameters
    ----------
    scenario : Scenario
        ``guests.debris``: mean number per guest.
    world_um : float
        Side of the world, um.
    n_guests : int
        Guests in the world.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    (n, 5) float64 array
        y, x, radius and height above what is below, um, and brightness (1 = a typical guest).
    """
    n = int(rng.poisson(scenario.guests.debris * n_guests))
    return np.column_stack([
        rng.uniform(0, world_um, n), rng.uniform(0, world_um, n), rng.uniform(0.75, 2.0, n),
        rng.uniform(0, 3.0, n), np.exp(rng.normal(-0.3, 0.4, n)),
    ])  # fmt: skip
