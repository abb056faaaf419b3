"""Cells of a simulated field: traits, position and scheduled events, and their record per frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from cicimage.arrays import Float64Array
from cicimage.simulation.bodies import GuestPose, HostPose

DYING_H: Final = 0.5
"""Time from the first sign of death to a fully stained body, h."""
OVERCLOSE: Final = 1.35
"""Engulfment continues past closure (1) until cap and floor have their thickness."""
NEVER: Final = float("inf")


@dataclass(eq=False)
class Host:
    """A host; ``pose`` gives its geometry. Lengths um, angles rad."""

    cell_id: int
    y: float
    x: float
    radius: float
    angle: float
    amplitudes: Float64Array
    phases: Float64Array
    phase_speed: Float64Array
    lamella: float
    nucleus_height: float
    nucleus_offset: tuple[float, float]
    nucleus_radius: float
    brightness: float
    texture_seed: int
    order: float
    shape: str = "lobed"
    parent_id: int = 0
    vy: float = 0.0
    vx: float = 0.0
    spread: float = 1.0
    breath_phase: float = 0.0
    spread_from_h: float = -NEVER
    """Hour since which it has been spreading (after a division)."""
    divides_h: float = NEVER
    dying_h: float = NEVER
    release_h: float = NEVER
    gone_h: float = NEVER
    gone_reason: str = ""

    def dead_share(self, time_h: float) -> float:
        """0 alive ... 1 dead and fully stained."""
        return float(np.clip((time_h - self.dying_h) / DYING_H, 0.0, 1.0))

    def pose(self, index: int, time_h: float) -> HostPose:
        """Freeze the geometry at this moment.

        Parameters
        ----------
        index : int
            Index of the host in ``world.hosts``.
        time_h : float
            Hours since the movie's start.

        Returns
        -------
        HostPose
            A copy that later moments do not change.
        """
        return HostPose(
            index, self.y, self.x, self.radius, self.angle, self.shape, self.amplitudes, self.phases.copy(),
            self.spread, self.lamella, self.nucleus_height, self.y + self.nucleus_offset[0] * self.spread,
            self.x + self.nucleus_offset[1] * self.spread, self.nucleus_radius, self.brightness, self.texture_seed,
            self.dead_share(time_h),
        )  # fmt: skip


@dataclass(eq=False)
class Guest:
    """A guest, or an effector (``kind``)."""

    cell_id: int
    y: float
    x: float
    radius: float
    speed: float
    heading: float
    elongation: float
    brightness: float
    floor: float
    cap: float
    kind: str = "guest"
    cluster: bool = False
    frailty: float = 1.0
    clocks: dict[str, float] = field(default_factory=dict)
    parent_id: int = 0
    level: str = "surface"
    host: int = -1
    route: str = "top"
    engulfed: float = 0.0
    pace_per_h: float = 0.0
    peak: float = OVERCLOSE
    hover: float = 0.0
    dying_h: float = NEVER
    leave_h: float = NEVER
    contact_h: float = float("nan")
    resting_until_h: float = 0.0
    due_h: float = NEVER
    """Encounter dynamics: hour at which it begins to enter the host in contact."""
    decide_h: float = NEVER
    """Encounter dynamics: hour of the next decision."""
    was_inside: bool = False
    event: int = -1
    dye: float = 0.0
    """Host dye taken up."""
    gone_h: float = NEVER

    def dead_share(self, time_h: float) -> float:
        """0 alive ... 1 dead and fully stained."""
        return float(np.clip((time_h - self.dying_h) / DYING_H, 0.0, 1.0))

    @property
    def entering(self) -> bool:
        """Whether it is being engulfed, also in an attempt that fails; False once it has been inside, and in a fold."""
        return self.level == "engulfed" and not self.was_inside and self.route != "fold"

    def pose(self, index: int, time_h: float) -> GuestPose:
        """Freeze the geometry at this moment; a dying guest shrinks and loses some dye.

        Parameters
        ----------
        index : int
            Index of the guest in ``world.guests``.
        time_h : float
            Hours since the movie's start.

        Returns
        -------
        GuestPose
            A copy that later moments do not change.
        """
        dead = self.dead_share(time_h)
        return GuestPose(
            index, self.y, self.x, self.radius * (1.0 - 0.2 * dead), self.elongation, self.heading, self.level,
            self.host, self.route, self.engulfed, self.floor, self.cap, self.hover,
            self.brightness * (1.0 - 0.3 * dead), dead, self.kind, self.dye, self.entering,
        )  # fmt: skip


@dataclass(eq=False)
class Attempt:
    """One engulfment in continuous time, hours since the movie's start; indices of guest and host."""

    guest: int
    host: int
    contact_h: float
    start_h: float
    entry_h: float = float("nan")
    end_h: float = float("nan")
    end_reason: str = ""
    prevalent: bool = False
    inherited: bool = False
    """Continues the engulfment of a mother or in a daughter host."""


@dataclass(frozen=True, eq=False)
class Vacuole:
    """A void in a host's cytoplasm: place relative to the host's radius and angle, radius um."""

    host: int
    angle: float
    distance: float
    radius: float
    kind: str

    def place(self, pose: HostPose) -> tuple[float, float]:
        """World position (y, x) in a host with this pose, um."""
        angle, distance = self.angle + pose.angle, self.distance * pose.radius * pose.spread
        return pose.y + distance * float(np.sin(angle)), pose.x + distance * float(np.cos(angle))


@dataclass(frozen=True, eq=False)
class Moment:
    """The world at one frame: hosts, lowest first, and the guests and effectors present."""

    time_h: float
    hosts: tuple[HostPose, ...]
    guests: tuple[GuestPose, ...]


@dataclass(frozen=True, eq=False)
class FieldHistory:
    """History of a field: one moment per frame, and all events in continuous time.

    ``debris`` is (n, 5): y, x, radius, height above what is below, brightness.
    """

    moments: tuple[Moment, ...]
    hosts: tuple[Host, ...]
    guests: tuple[Guest, ...]
    attempts: tuple[Attempt, ...]
    vacuoles: tuple[Vacuole, ...]
    debris: Float64Array
    contact_hours: float
    """Hours in which a living guest could have begun to enter, over the whole world."""
