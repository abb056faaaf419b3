"""Motion of guests and times of entry: two independent families of dynamics with one contract."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Final

import numpy as np

from cicimage.simulation.cells import NEVER, Guest
from cicimage.simulation.world import World

RENEWAL_H: Final = 2.0
"""Encounter dynamics: interval between two decisions of a guest in contact, h."""
DELAY_H: Final = 0.4
"""Encounter dynamics: mean delay between decision and entry, h."""
PAUSE_MIN: Final = 3.0


class Behaviour(ABC):
    """A family of dynamics."""

    def __init__(self, world: World) -> None:
        self.world = world

    @abstractmethod
    def stride(self, i: int, guest: Guest, start_h: float, minutes: float) -> tuple[float, float]:
        """Move a free guest for one step at full speed and turn its heading.

        Parameters
        ----------
        i : int
            Index of the guest in ``world.guests``.
        guest : Guest
            The guest; its heading (and for some families its rest) changes in place.
        start_h, minutes : float
            Beginning of the step, h, and its length, min.

        Returns
        -------
        (float, float)
            Displacement (dy, dx), um.
        """

    @abstractmethod
    def enters(self, i: int, guest: Guest, start_h: float, step_h: float) -> float | None:
        """Decide whether a living guest in contact begins to enter within this step.

        Parameters
        ----------
        i : int
            Index of the guest in ``world.guests``.
        guest : Guest
            The guest; its clocks change in place.
        start_h, step_h : float
            Beginning and length of the step, h.

        Returns
        -------
        float or None
            Hour at which the entry begins; None where it does not begin in this step.
        """

    @abstractmethod
    def pace(self, engulfed: float) -> float:
        """Factor on the speed of engulfment at a degree of engulfment; its mean over 0-1 is about 1."""

    def entry_hazard(self, guest: Guest) -> float:
        """Hazard of beginning an entry, per contact-hour, aborted ones included."""
        rates = self.world.scenario.rates
        return rates.entry_per_contact_h / (1.0 - rates.abort_share) * self.world.entry_factor / guest.frailty


def _ahead(guest: Guest, distance: float) -> tuple[float, float]:
    """Displacement (dy, dx) along a guest's heading."""
    return distance * float(np.sin(guest.heading)), distance * float(np.cos(guest.heading))


class HazardBehaviour(Behaviour):
    """Persistent random walk; in contact a constant hazard of entry; engulfment at a constant speed."""

    def stride(self, i: int, guest: Guest, start_h: float, minutes: float) -> tuple[float, float]:
        """Turn by angular diffusion and step."""
        persistence = self.world.scenario.guests.persistence_min
        guest.heading += self.world.rng.normal(0, np.sqrt(2 * minutes / persistence))
        return _ahead(guest, guest.speed * minutes)

    def enters(self, i: int, guest: Guest, start_h: float, step_h: float) -> float | None:
        """Run the entry clock down by the constant hazard."""
        return self.world.event_time(guest, "enter", self.entry_hazard(guest), start_h, step_h)

    def pace(self, engulfed: float) -> float:
        """Constant."""
        return 1.0


class EncounterBehaviour(Behaviour):
    """Runs and pauses biased towards hosts; at an encounter a guest decides, and enters after a gamma delay.

    A lasting contact brings a new decision every two hours; a contact that ends before the delay is over brings no
    entry. The membrane closes slowly at first and fast at the end.
    """

    def stride(self, i: int, guest: Guest, start_h: float, minutes: float) -> tuple[float, float]:
        """Run straight, pause, and choose a new heading biased to the nearest host where none lies below."""
        rng, run_min = self.world.rng, 2.0 * self.world.scenario.guests.persistence_min
        if start_h < guest.resting_until_h:
            return 0.0, 0.0
        if rng.random() < minutes / run_min:
            guest.resting_until_h = start_h + rng.exponential(PAUSE_MIN) / 60.0
            guest.heading = rng.uniform(0, 2 * np.pi)
            column = self.world.depth[:, i]
            if self.world.poses and column.max() < 0 and rng.random() < 0.6:
                nearest = self.world.poses[min(self.world.poses, key=lambda h: -column[h])]
                guest.heading = float(np.arctan2(nearest.y - guest.y, nearest.x - guest.x)) + rng.normal(0, 0.4)
        # runs are faster than the mean, to make up for pauses
        speed = guest.speed * (run_min + PAUSE_MIN) / run_min
        return _ahead(guest, speed * minutes)

    def enters(self, i: int, guest: Guest, start_h: float, step_h: float) -> float | None:
        """Decide where a decision is due; report an entry whose delay has run out."""
        rng, end_h = self.world.rng, start_h + step_h
        if guest.decide_h == NEVER:
            # a contact present at the movie's start is somewhere between two decisions
            guest.decide_h = rng.uniform(0, RENEWAL_H) if start_h == 0 else start_h + rng.uniform(0, step_h)
        if guest.decide_h <= end_h and guest.due_h == NEVER:
            chance = 1.0 - np.exp(-self.entry_hazard(guest) * RENEWAL_H)
            if rng.random() < chance:
                guest.due_h = guest.decide_h + rng.gamma(3.0, DELAY_H / 3.0)
            guest.decide_h += RENEWAL_H
        if guest.due_h > end_h:
            return None
        due, guest.due_h, guest.decide_h = max(guest.due_h, start_h), NEVER, NEVER
        return due

    def pace(self, engulfed: float) -> float:
        """Slow, then fast: the mean of 1 / pace over 0-1 is 1."""
        return 0.582 + min(max(engulfed, 0.0), 1.0)


BEHAVIOURS: Final[Mapping[str, type[Behaviour]]] = {"hazard": HazardBehaviour, "encounter": EncounterBehaviour}
