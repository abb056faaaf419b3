"""All cells of one field and their surroundings at one moment; :mod:`cicimage.simulation.life` advances them."""

from __future__ import annotations

import numpy as np

from cicimage.arrays import Float64Array
from cicimage.simulation.bodies import HostPose
from cicimage.simulation.cells import NEVER, Attempt, Guest, Host
from cicimage.simulation.population import (
    MARGIN_UM,
    field_side_um,
    make_effectors,
    make_guest,
    place_hosts,
    scatter_guests,
)
from cicimage.simulation.spec import Condition, Scenario


class World:
    """All cells of a field and their surroundings at one moment.

    Parameters
    ----------
    scenario, condition : Scenario, Condition
        Hazards and the treatment's factors on them.
    log_effect : float
        Donor's, donor x condition's and well's effect on the log entry rate.
    rng : numpy.random.Generator
        Source of all randomness.
    """

    def __init__(self, scenario: Scenario, condition: Condition, log_effect: float, rng: np.random.Generator) -> None:
        self.scenario, self.condition, self.rng = scenario, condition, rng
        self.entry_factor = condition.entry * float(np.exp(log_effect))
        self.world_um = field_side_um(scenario) + 2 * MARGIN_UM
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

    # ------------------------------------------------------------ where everything is

    def measure(self, time_h: float) -> None:
        """Update the poses of the hosts present, and the depth of every guest within every footprint."""
        self.poses = {i: h.pose(i, time_h) for i, h in enumerate(self.hosts) if h.gone_h > time_h}
        self.orders = np.array([h.order for h in self.hosts])
        self.depth = self.depths(np.array([g.y for g in self.guests]), np.array([g.x for g in self.guests]))
        self._top = [-1] * len(self.guests)
        if len(self.hosts) and len(self.guests):
            ranked = np.where(self.depth > 0, self.orders[:, None], -np.inf)
            self._top = np.where((self.depth > 0).any(0), ranked.argmax(0), -1).tolist()

    def depths(self, y: Float64Array, x: Float64Array) -> Float64Array:
        """Measure how deep points lie within the footprints of all hosts.

        Parameters
        ----------
        y, x : (n,) float64 arrays
            World coordinates, um.

        Returns
        -------
        (hosts, n) float64 array
            Distance from the outline, um, positive inside; -1000 for hosts out of reach or gone.
        """
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

    def event_time(self, guest: Guest, clock: str, hazard: float, start_h: float, step_h: float) -> float | None:
        """Run a guest's clock of one kind of event down by one step.

        Parameters
        ----------
        guest : Guest
            Holder of the clock, a unit exponential that the hazard runs down.
        clock : str
            Kind of event.
        hazard : float
            Hazard over this step, 1/h.
        start_h, step_h : float
            Beginning and length of the step, h.

        Returns
        -------
        float or None
            Hour at which the event happens; None where it does not in this step.
        """
        left = guest.clocks[clock]
        if hazard * step_h < left:
            guest.clocks[clock] = left - hazard * step_h
            return None
        guest.clocks[clock] = float(self.rng.exponential())
        return start_h + left / hazard
