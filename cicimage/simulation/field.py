"""One simulated field of view: its history, its geometry per frame, and frames rendered on demand."""

from __future__ import annotations

import zlib
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from cicimage.masks import Masks
from cicimage.simulation import truth
from cicimage.simulation.camera import bleaching, bleed_matrix, expose, flicker, vignette
from cicimage.simulation.geometry import FieldGeometry
from cicimage.simulation.optics import make_psf
from cicimage.simulation.render import Renderer
from cicimage.simulation.spec import Scenario


class SimulatedField(FieldGeometry):
    """A field of view with known truth; frames are rendered on request, in any order.

    Parameters
    ----------
    scenario, seed, condition, log_effect, position
        As :class:`cicimage.simulation.geometry.FieldGeometry` takes them.
    """

    def __init__(
        self, scenario: Scenario, seed: tuple[int, ...], condition: str, log_effect: float = 0.0, position: str = ""
    ) -> None:
        super().__init__(scenario, seed, condition, log_effect, position)
        self.channels = tuple(c.name for c in scenario.channels)
        self._flicker = flicker(scenario.acquisition, scenario.nuisances, len(self.channels), self._rng(4))
        self._psf = make_psf(scenario.acquisition)

    def frame(self, frame: int) -> npt.NDArray[np.uint16]:
        """Render one frame, (C, Z, Y, X) uint16."""
        a, nuisances = self.scenario.acquisition, self.scenario.nuisances
        layers = self.layers(frame)
        renderer = Renderer(self.scenario, self._psf, self.slices_um(frame))
        light = renderer.render(layers, self.history.vacuoles, self.debris(frame))
        for channel in range(light.shape[0]):
            light[channel] *= bleaching(channel, frame, a, nuisances) * self._flicker[frame, channel]
        mixed = np.tensordot(bleed_matrix(light.shape[0], nuisances).astype(np.float32), light, axes=1)
        mixed *= vignette(a, nuisances)
        return expose(mixed, a, self._rng(3, frame))

    # ------------------------------------------------------------ truth

    def guests_in(self, frame: int) -> pd.DataFrame:
        """Truth of one frame: one row per guest in the field; see :func:`cicimage.simulation.truth.guests`."""
        return truth.guests(self, frame)

    def hosts_in(self, frame: int) -> pd.DataFrame:
        """Hosts of one frame."""
        return truth.hosts(self, frame)

    def masks_in(self, frame: int) -> dict[str, Masks]:
        """True projected masks by population; labels are cell ids."""
        return truth.masks(self, frame)

    def decoys_in(self, frame: int) -> pd.DataFrame:
        """Vacuoles, droplets, debris and effectors of one frame: objects that may be mistaken for guests."""
        return truth.decoys(self, frame)

    @cached_property
    def guests(self) -> pd.DataFrame:
        """Truth of all frames, one row per guest and frame in the field."""
        return truth.joined(self.guests_in(f) for f in range(self.n_frames))

    @cached_property
    def hosts(self) -> pd.DataFrame:
        """Hosts of all frames."""
        return truth.joined(self.hosts_in(f) for f in range(self.n_frames))

    @cached_property
    def events(self) -> pd.DataFrame:
        """Engulfments in continuous time, one row each; see :func:`cicimage.simulation.truth.events`."""
        return truth.events(self)


def simulate_field(
    scenario: Scenario, seed: int, condition: str | None = None, *, log_effect: float = 0.0, position: str = "",
    stream: tuple[int, ...] = (),
) -> SimulatedField:  # fmt: skip
    """Simulate one field of view.

    Parameters
    ----------
    scenario : Scenario
        What to simulate; see :data:`cicimage.simulation.scenarios.PRESETS`.
    seed : int
        The same seed gives the same pixels and tables.
    condition : str, optional
        Which of the scenario's conditions; the first by default.
    log_effect : float
        Random effects on the log entry rate.
    position : str
        Name for the tables.
    stream : tuple of int
        Which of several independent fields of this seed.

    Examples
    --------
    >>> from cicimage.simulation.scenarios import PRESETS
    >>> tiny = PRESETS["sample"].replace(acquisition__size_px=48, acquisition__frames=2, guests__count=3)
    >>> simulate_field(tiny, seed=1).frame(0).shape
    (3, 8, 48, 48)
    """
    name = scenario.conditions[0].name if condition is None else condition
    return SimulatedField(
        scenario, (seed, zlib.crc32(scenario.name.encode()), *stream), name, log_effect, position or f"{name}/w1_f1"
    )
