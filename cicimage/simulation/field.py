"""One simulated field of view: its life, its geometry per frame, and frames on demand."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from cicimage.arrays import Float64Array
from cicimage.masks import Masks
from cicimage.simulation import truth
from cicimage.simulation.bodies import GuestPose
from cicimage.simulation.camera import bleaching, bleed_matrix, expose, flicker, focus_drift, stage_drift, vignette
from cicimage.simulation.cells import History
from cicimage.simulation.optics import make_psf
from cicimage.simulation.population import MARGIN_UM
from cicimage.simulation.render import PAD, Renderer
from cicimage.simulation.spec import Scenario
from cicimage.simulation.surfaces import Body, Grid, Layers, lay_out
from cicimage.simulation.world import live


class SimulatedField:
    """A field of view with known truth; frames are rendered when asked for, in any order.

    Parameters
    ----------
    scenario : Scenario
        What to simulate.
    seed : tuple of int
        Entropy of this field; the same gives the same pixels and tables.
    condition : str
        Name of one of the scenario's conditions.
    log_effect : float
        Random effects of donor, donor x condition and well on the log entry rate.
    position : str
        Goes into the tables.

    Attributes
    ----------
    history : History
        All that happened, in continuous time.
    drift_um : (T, 2) float64
        How far the content of each frame lies from where it lay in frame 0.
    focus_um : (T,) float64
        Focus offset of each frame.
    defocused : (T,) bool
        Frames that lost the focus.
    """

    def __init__(
        self, scenario: Scenario, seed: tuple[int, ...], condition: str, log_effect: float = 0.0, position: str = ""
    ) -> None:
        self.scenario, self.position, self.log_effect = scenario, position, log_effect
        self.condition = scenario.condition(condition)
        self._seed = seed
        acquisition, nuisances = scenario.acquisition, scenario.nuisances
        self.history: History = live(scenario, self.condition, log_effect, self._rng(0))
        self.drift_um = stage_drift(acquisition, nuisances, self._rng(1))
        self.focus_um, self.defocused = focus_drift(acquisition, nuisances, self._rng(2))
        self.channels = tuple(c.name for c in scenario.channels)
        self._flicker = flicker(acquisition, nuisances, len(self.channels), self._rng(4))
        self._psf = make_psf(acquisition)
        self._cache: tuple[int, Layers] | None = None

    def _rng(self, *stream: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence((*self._seed, *stream)))

    @property
    def n_frames(self) -> int:
        """Frames in the movie."""
        return self.scenario.acquisition.frames

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Channels, slices, rows and columns of a frame."""
        a = self.scenario.acquisition
        return len(self.channels), a.slices, a.size_px, a.size_px

    def time_h(self, frame: int) -> float:
        """Hours since the movie's start."""
        return frame * self.scenario.acquisition.interval_min / 60.0

    def slices_um(self, frame: int) -> Float64Array:
        """True heights of the focus slices above the glass in a frame."""
        a = self.scenario.acquisition
        out: Float64Array = a.first_slice_um + self.focus_um[frame] + a.um_per_z * np.arange(a.slices)
        return out

    def grid(self, frame: int) -> Grid:
        """Columns of a frame, PAD beyond it on every side."""
        a = self.scenario.acquisition
        dy, dx = self.drift_um[frame]
        origin, n = MARGIN_UM - PAD * a.um_per_px, a.size_px + 2 * PAD
        return Grid(origin - dy, origin - dx, a.um_per_px, (n, n))

    def raw_um(self, frame: int, y: float, x: float) -> tuple[float, float]:
        """World coordinates in the raw frame, um."""
        dy, dx = self.drift_um[frame]
        return y - MARGIN_UM + float(dy), x - MARGIN_UM + float(dx)

    def layers(self, frame: int) -> Layers:
        """The geometry of a frame."""
        if self._cache is None or self._cache[0] != frame:
            moment = self.history.moments[frame]
            self._cache = (frame, lay_out(moment.hosts, moment.guests, self.grid(frame)))
        return self._cache[1]

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

    def debris(self, frame: int) -> Iterator[Body]:
        """Debris particles of a frame as bodies on or above what is below them."""
        layers = self.layers(frame)
        for n, (y, x, radius, height, brightness) in enumerate(self.history.debris):
            window = layers.grid.window(y, x, radius + layers.grid.um_per_px)
            if window is None:
                continue
            ground = 0.0
            for sheet in layers.sheets:
                depth = sheet.pose.depth(y, x)
                if depth > 0:
                    ground = max(ground, float(sheet.pose.thickness(np.array(y), np.array(x), depth)))
            pose = GuestPose(
                -1 - n, y, x, radius, 1.0 + 0.3 * (n % 3), n, "surface", -1, "top", 0.0, 0.0, 0.0, height, brightness,
                kind="debris",
            )  # fmt: skip
            yield Body(pose, ground + height + pose.axes[2], window)

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
        """Vacuoles, droplets, debris and effectors of one frame: what is no guest and may be taken for one."""
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
