"""Shapes of hosts and guests at one moment: footprints, thickness and ellipsoids.

Lengths in um; y and x in world coordinates (the sample's, without drift), z above the glass.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from cicimage.arrays import Float64Array
from cicimage.compiled import compiled

EDGE_RAMP_UM: Final = 4.0
EDGE_SHARE: Final = 0.3
TANGENT_RADIUS: Final = float(np.sin(np.radians(60.0)))
TANGENT_SLOPE: Final = float(np.tan(np.radians(60.0)))
FAR_UM: Final = 6.0
FAR_SLOPE: Final = 0.4


@compiled()
def _lobed_depth(
    dy: Float64Array,
    dx: Float64Array,
    radius: float,
    angle: float,
    cosines: Float64Array,
    sines: Float64Array,
    amplitudes: Float64Array,
) -> Float64Array:
    """Distance of points from a lobed outline; harmonics by recurrence, for speed."""
    turn_c, turn_s = np.cos(angle), np.sin(angle)
    out = np.empty(dy.size)
    for i in range(dy.size):
        rho = np.sqrt(dy[i] * dy[i] + dx[i] * dx[i]) + 1e-12
        c1 = (dx[i] * turn_c + dy[i] * turn_s) / rho
        s1 = (dy[i] * turn_c - dx[i] * turn_s) / rho
        c, s, outline, slope = c1, s1, 1.0, 0.0
        for k in range(amplitudes.size):
            c, s = c * c1 - s * s1, s * c1 + c * s1
            outline += amplitudes[k] * (c * cosines[k] + s * sines[k])
            slope -= amplitudes[k] * (k + 2) * (s * cosines[k] - c * sines[k])
        outline = max(outline, 0.15)
        out[i] = (radius * outline - rho) / np.sqrt(1.0 + (slope / outline) ** 2)
    return out


@dataclass(frozen=True, eq=False)
class HostPose:
    """A host at one moment.

    Attributes
    ----------
    host : int
        Index of the host; ``cell_id`` is given elsewhere.
    y, x : float
        Centre of the footprint.
    radius : float
        Equivalent radius of the footprint when spread.
    angle : float
        Orientation, rad.
    shape : str
        lobed | spindle.
    amplitudes, phases : (n,) float64
        Of the harmonics 2, 3, ... of the lobed outline; of the spindle only the first phase bends it.
    spread : float
        1 = fully spread, smaller = rounded up; volume is kept.
    lamella, nucleus_height : float
        Thickness of the lamella and over the nucleus when spread.
    nucleus_y, nucleus_x, nucleus_radius : float
        Nucleus.
    brightness : float
        Dye concentration, 1 = typical.
    texture_seed : int
        Of the mottle in its dye.
    dead : float
        0 alive ... 1 dead and stained.
    """

    host: int
    y: float
    x: float
    radius: float
    angle: float
    shape: str
    amplitudes: Float64Array
    phases: Float64Array
    spread: float
    lamella: float
    nucleus_height: float
    nucleus_y: float
    nucleus_x: float
    nucleus_radius: float
    brightness: float
    texture_seed: int
    dead: float = 0.0

    @cached_property
    def reach(self) -> float:
        """Largest distance of the footprint from the centre, um."""
        if self.shape == "spindle":
            return 2.4 * self.radius * self.spread + 2.0
        return self.radius * self.spread * (1.0 + float(np.abs(self.amplitudes).sum())) + 2.0

    def depth(self, y: npt.ArrayLike, x: npt.ArrayLike) -> Float64Array:
        """Measure the distance of points from the outline, exact at the outline and approximate elsewhere.

        Parameters
        ----------
        y, x : array_like
            World coordinates, um; broadcast against each other.

        Returns
        -------
        float64 array
            Distance, um, positive inside.
        """
        dy, dx = np.asarray(y, float) - self.y, np.asarray(x, float) - self.x
        if self.shape == "spindle":
            return self._spindle_depth(dy, dx)
        dy, dx = np.broadcast_arrays(dy, dx)
        flat = _lobed_depth(
            dy.ravel(), dx.ravel(), self.radius * self.spread, self.angle, np.cos(self.phases), np.sin(self.phases),
            self.amplitudes,
        )  # fmt: skip
        return np.asarray(flat.reshape(dy.shape))

    def _spindle_depth(self, dy: Float64Array, dx: Float64Array) -> Float64Array:
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        r = self.radius * self.spread
        u, v = dx * cos + dy * sin, dy * cos - dx * sin
        length, width = 2.4 * r, 0.8 * r
        v = v - 0.25 * np.sin(self.phases[0]) * u * u / length
        taper = width * np.clip(1.0 - (u / length) ** 2, 0.0, None)
        beyond = np.clip(np.abs(u) - length, 0.0, None)
        return np.asarray(np.where(beyond > 0, -np.hypot(beyond, v), (taper - np.abs(v)) * 0.9))

    def thickness(self, y: Float64Array, x: Float64Array, depth: Float64Array) -> Float64Array:
        """Compute the undeformed thickness at points of the footprint.

        Parameters
        ----------
        y, x : float64 arrays
            World coordinates, um.
        depth : float64 array
            Distance from the outline at these points, as from :meth:`depth`.

        Returns
        -------
        float64 array
            Thickness, um; meaningful where ``depth`` is positive.
        """
        ramp = np.clip(depth / EDGE_RAMP_UM, 0.0, 1.0)
        ramp = EDGE_SHARE + (1.0 - EDGE_SHARE) * ramp * ramp * (3.0 - 2.0 * ramp)
        d2 = (y - self.nucleus_y) ** 2 + (x - self.nucleus_x) ** 2
        sigma = self.nucleus_radius * 0.9
        bump = 0.75 * np.exp(-0.5 * d2 / sigma**2) + 0.25 * np.exp(-0.5 * d2 / (2.2 * sigma) ** 2)
        rounded = self.spread**-1.5
        return np.asarray(ramp * rounded * (self.lamella + (self.nucleus_height - self.lamella) * bump))


@dataclass(frozen=True, eq=False)
class GuestPose:
    """A guest at one moment, before its height is solved (:func:`cicimage.simulation.surfaces.stack_layers`).

    ``level`` is what covers it: ``surface`` nothing, ``under`` the host ``host`` and all above that, ``engulfed`` the
    same with the host's cytoplasm around it, to the degree ``engulfed`` (0 none, 1 just closed).
    """

    guest: int
    y: float
    x: float
    radius: float
    elongation: float
    angle: float
    level: str
    host: int
    route: str
    engulfed: float
    floor: float
    cap: float
    hover: float
    brightness: float
    dead: float = 0.0
    kind: str = "guest"
    host_dye: float = 0.0
    entering: bool = False

    @property
    def axes(self) -> tuple[float, float, float]:
        """Semi-axes (long, short, vertical), um; a guest beneath a membrane is slightly flattened."""
        c = self.radius * (0.85 if self.level == "under" else 0.93)
        lateral = np.sqrt(self.radius**3 / c)
        stretch = np.sqrt(self.elongation)
        return float(lateral * stretch), float(lateral / stretch), float(c)

    def rho(self, y: Float64Array, x: Float64Array) -> Float64Array:
        """Measure the lateral distance from the axis in units of the outline.

        Parameters
        ----------
        y, x : float64 arrays
            World coordinates, um; broadcast against each other.

        Returns
        -------
        float64 array
            0 on the axis, 1 on the outline.
        """
        a, b, _ = self.axes
        dy, dx = y - self.y, x - self.x
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        return np.asarray(np.hypot((dx * cos + dy * sin) / a, (dy * cos - dx * sin) / b))


def half_height(rho: Float64Array, c: float) -> Float64Array:
    """Compute half the vertical chord of an ellipsoid.

    Parameters
    ----------
    rho : float64 array
        Lateral distance from the axis, 1 = on the outline.
    c : float
        Vertical semi-axis, um.

    Returns
    -------
    float64 array
        Half the chord, um; 0 outside the outline.
    """
    return np.asarray(c * np.sqrt(np.clip(1.0 - rho * rho, 0.0, None)))


def tent(rho: Float64Array, z: float, c: float, radius: float) -> Float64Array:
    """Upper side of a membrane draped over an ellipsoid centred at height ``z``, um.

    It follows the body to a slope of 60 degrees (of the body scaled to a ball), leaves it along the tangent and falls
    off to the body's lower pole, as a sheet under tension does.

    Parameters
    ----------
    rho : array
        Lateral distance from the axis, 1 = on the outline.
    z, c, radius : float
        Height of the centre, vertical and lateral semi-axis, um.
    """
    lower = z - c
    on_body = z + half_height(np.minimum(rho, TANGENT_RADIUS), c)
    start = c + c * np.sqrt(1.0 - TANGENT_RADIUS**2)
    beyond = np.clip(rho - TANGENT_RADIUS, 0.0, None)
    fall = np.exp(-beyond * c * TANGENT_SLOPE / start)
    # further out the sheet descends, so that a body on another cell does not lift the whole host
    sink = FAR_SLOPE * np.clip(beyond * radius - FAR_UM, 0.0, None)
    return np.asarray(np.where(rho <= TANGENT_RADIUS, on_body, lower + start * fall - sink))
