"""History and geometry of one simulated field of view, before rendering."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cicimage.arrays import Float64Array
from cicimage.simulation.bodies import GuestPose
from cicimage.simulation.camera import focus_drift, stage_drift
from cicimage.simulation.cells import FieldHistory
from cicimage.simulation.life import simulate_life
from cicimage.simulation.population import MARGIN_UM
from cicimage.simulation.render import PAD
from cicimage.simulation.spec import Scenario
from cicimage.simulation.surfaces import Body, FieldGrid, FieldLayers, stack_layers


class FieldGeometry:
    """Positions and shapes of all cells of a field of view in every frame.

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
        Name in the tables.

    Attributes
    ----------
    history : FieldHistory
        All events, in continuous time.
    drift_um : (T, 2) float64
        Displacement of each frame's content against frame 0.
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
        self.history: FieldHistory = simulate_life(scenario, self.condition, log_effect, self._rng(0))
        self.drift_um = stage_drift(acquisition, nuisances, self._rng(1))
        self.focus_um, self.defocused = focus_drift(acquisition, nuisances, self._rng(2))
        self._cache: tuple[int, FieldLayers] | None = None

    def _rng(self, *stream: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence((*self._seed, *stream)))

    @property
    def n_frames(self) -> int:
        """Frames in the movie."""
        return self.scenario.acquisition.frames

    def time_h(self, frame: int) -> float:
        """Hours since the movie's start."""
        return frame * self.scenario.acquisition.interval_min / 60.0

    def slices_um(self, frame: int) -> Float64Array:
        """True heights of the focus slices above the glass in a frame."""
        a = self.scenario.acquisition
        return np.asarray(a.first_slice_um + self.focus_um[frame] + a.um_per_z * np.arange(a.slices))

    def grid(self, frame: int) -> FieldGrid:
        """Columns of a frame, with PAD more on every side."""
        a = self.scenario.acquisition
        dy, dx = self.drift_um[frame]
        origin, n = MARGIN_UM - PAD * a.um_per_px, a.size_px + 2 * PAD
        return FieldGrid(origin - dy, origin - dx, a.um_per_px, (n, n))

    def raw_um(self, frame: int, y: float, x: float) -> tuple[float, float]:
        """Convert world coordinates to the raw frame.

        Parameters
        ----------
        frame : int
            Index of the frame.
        y, x : float
            World coordinates, um.

        Returns
        -------
        (float, float)
            y and x in the frame, stage drift included, um.
        """
        dy, dx = self.drift_um[frame]
        return y - MARGIN_UM + float(dy), x - MARGIN_UM + float(dx)

    def layers(self, frame: int) -> FieldLayers:
        """The geometry of a frame."""
        if self._cache is None or self._cache[0] != frame:
            moment = self.history.moments[frame]
            self._cache = (frame, stack_layers(moment.hosts, moment.guests, self.grid(frame)))
        return self._cache[1]

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
