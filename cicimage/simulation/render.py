"""Rendering of one moment: the columns of every stained structure through the point spread function."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Final

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter

from cicimage.arrays import Float32Array, Float64Array
from cicimage.simulation.bodies import half_height
from cicimage.simulation.cells import Vacuole
from cicimage.simulation.optics import Columns, Psf, add_columns
from cicimage.simulation.spec import Scenario, Source
from cicimage.simulation.surfaces import Body, FieldLayers, HostSheet, shared_window

FINE: Final = 3
"""Samples of a body per pixel and axis."""
NUCLEUS_DIM: Final = 0.25
"""Share by which cytosol dye is weaker in the nucleus."""
NUCLEUS_SHARE: Final = 0.4
"""Half height of a nucleus over the thickness of its host."""
MEMBRANE_UM: Final = 0.3
COARSE_FROM_PX: Final = 6.0
PAD: Final = 6
"""Columns rendered beyond the frame on every side, for the blur."""


class Renderer:
    """Renders layers into light, (C, Z, Y, X) float32, 1 = a thick bright cell.

    Parameters
    ----------
    scenario : Scenario
        Channels, marker, unevenness of dyes.
    psf : Psf
        Point spread function.
    slices_um : (Z,) float64
        Heights of the slices above the glass.
    """

    def __init__(self, scenario: Scenario, psf: Psf, slices_um: Float64Array) -> None:
        self.scenario, self.psf = scenario, psf
        self.slices = slices_um.astype(np.float32)
        self._light = np.zeros((0, 0, 0, 0, 0), np.float32)
        self._seen_by: dict[str, list[tuple[int, float]]] = {}
        for c, channel in enumerate(scenario.channels):
            for source, weight in channel.sources.items():
                self._seen_by.setdefault(source, []).append((c, weight))

    def render(self, layers: FieldLayers, vacuoles: Iterable[Vacuole], debris: Iterable[Body]) -> Float32Array:
        """Render one moment.

        Parameters
        ----------
        layers : FieldLayers
            Surfaces and guests; ``layers.grid`` reaches PAD columns beyond the frame on every side.
        vacuoles : iterable of Vacuole
            Voids in the hosts.
        debris : iterable of Body
            Particles.

        Returns
        -------
        (C, Z, Y, X) float32 array
            Light without padding, 1 = a thick bright cell.
        """
        k, z = len(self.psf.sigma_um), len(self.slices)
        self._light = np.zeros((len(self.scenario.channels), k, z, *layers.grid.shape), np.float32)
        by_host: dict[int, list[Vacuole]] = {}
        for vacuole in vacuoles:
            by_host.setdefault(vacuole.host, []).append(vacuole)
        for sheet in layers.sheets:
            self._host(layers, sheet, by_host.get(sheet.pose.host, []))
        dead_hosts = {s.pose.host for s in layers.sheets if s.pose.dead >= 1}
        for body in (*layers.bodies, *debris):
            self._guest(layers, body, dead_hosts)
        return self._blur(layers.grid.um_per_px)

    def _add(
        self,
        source: Source,
        at: tuple[int, int],
        low: Float64Array,
        high: Float64Array,
        amount: Float64Array,
        fine: int = 1,
    ) -> None:
        """Add dye of one kind between two height maps, whose first sample lies on pixel ``at``."""
        for channel, weight in self._seen_by.get(source, ()):
            columns = Columns(
                *at, low.astype(np.float32), high.astype(np.float32), (weight * amount).astype(np.float32), fine
            )
            add_columns(self._light[channel], columns, self.slices, self.psf.integral)

    def _sees(self, *sources: Source) -> bool:
        return any(s in self._seen_by for s in sources)

    # ------------------------------------------------------------ hosts

    def _host(self, layers: FieldLayers, sheet: HostSheet, vacuoles: list[Vacuole]) -> None:
        pose, at = sheet.pose, (sheet.window[0].start, sheet.window[1].start)
        y, x = layers.grid.points(sheet.window)
        # a dead cell has lost most of a dye that does not bind
        leak = 1.0 - 0.6 * pose.dead
        uneven = 1.0 + self.scenario.hosts.mottle * _mottle(pose.texture_seed, y - pose.y, x - pose.x)
        dye = leak * pose.brightness * sheet.cover * uneven
        middle, thick = 0.5 * (sheet.top + sheet.bottom), sheet.top - sheet.bottom
        r2 = ((y - pose.nucleus_y) ** 2 + (x - pose.nucleus_x) ** 2) / pose.nucleus_radius**2
        half = NUCLEUS_SHARE * thick * np.sqrt(np.clip(1 - r2, 0, None))
        self._add("host_cytosol", at, sheet.bottom, sheet.top, dye)
        self._add("host_cytosol", at, middle - half, middle + half, -NUCLEUS_DIM * dye)
        self._add("host_nucleus", at, middle - half, middle + half, pose.brightness * sheet.cover)
        if pose.dead > 0 and self.scenario.marker is not None:
            self._add("death", at, middle - half, middle + half, pose.dead * sheet.cover * (r2 < 1))
        for vacuole in vacuoles:
            vy, vx = vacuole.place(pose)
            hole = half_height(np.hypot(y - vy, x - vx) / vacuole.radius, vacuole.radius)
            hole = np.minimum(hole, 0.42 * thick)
            self._add("host_cytosol", at, middle - hole, middle + hole, -dye)
        if self._sees("host_membrane"):
            self._membrane(layers, sheet, at)
        for i in sheet.voids:
            self._void(layers, sheet, layers.bodies[i], dye)

    def _membrane(self, layers: FieldLayers, sheet: HostSheet, at: tuple[int, int]) -> None:
        """Both faces of a sheet; a steep face has more membrane per column."""
        for height in (sheet.top, sheet.bottom):
            slope_y, slope_x = np.gradient(height, layers.grid.um_per_px)
            steep = np.minimum(np.sqrt(1.0 + slope_y**2 + slope_x**2), 4.0)
            amount = sheet.pose.brightness * sheet.cover * steep
            self._add("host_membrane", at, height - MEMBRANE_UM / 2, height + MEMBRANE_UM / 2, amount)

    def _void(self, layers: FieldLayers, sheet: HostSheet, body: Body, dye: Float64Array) -> None:
        """Remove the host's dye where a guest lies in it, and line the hole with membrane."""
        shared = shared_window(body.window, sheet.window)
        if shared is None:
            return
        window, here = shared
        low, high, rho = _fine_body(layers, body, window)
        sheet_low, sheet_high, amount = (_repeat(a[here]) for a in (sheet.bottom, sheet.top, dye))
        at = (window[0].start, window[1].start)
        self._add("host_cytosol", at, np.maximum(low, sheet_low), np.minimum(high, sheet_high), -amount, FINE)
        if self._sees("host_membrane"):
            lining = np.where(rho < 1, sheet.pose.brightness, 0.0)
            above, below = lining * (sheet_high > high + 0.05), lining * (sheet_low < low - 0.05)
            self._add("host_membrane", at, high, high + MEMBRANE_UM, above, FINE)
            self._add("host_membrane", at, low - MEMBRANE_UM, low, below, FINE)

    # ------------------------------------------------------------ guests

    def _guest(self, layers: FieldLayers, body: Body, dead_hosts: set[int]) -> None:
        pose, at = body.pose, (body.window[0].start, body.window[1].start)
        low, high, rho = _fine_body(layers, body, body.window)
        y, x = _fine_points(layers, body.window)
        mottle = _mottle(7919 * (pose.guest + 2), y - pose.y, x - pose.x)
        uneven = 1.0 + self.scenario.guests.mottle * mottle
        dye = np.where(rho < 1, pose.brightness * uneven, 0.0)
        if pose.kind == "effector":
            self._add("effector", at, low, high, dye, FINE)
            return
        self._add("guest_cytosol", at, low, high, dye, FINE)
        if pose.host_dye > 0:
            self._add("host_cytosol", at, low, high, np.where(rho < 1, pose.host_dye, 0.0), FINE)
        if self._sees("guest_membrane", "guest_nucleus"):
            self._coat(body, at, rho, low, high)
        held = pose.level == "engulfed" and pose.engulfed >= 1.0 and pose.host not in dead_hosts
        marker = self.scenario.marker
        if pose.dead > 0 and marker is not None and (marker.reaches_inside or not held):
            shrink = 0.15 * (high - low)
            self._add("death", at, low + shrink, high - shrink, np.where(rho < 0.9, pose.dead, 0.0), FINE)

    def _coat(self, body: Body, at: tuple[int, int], rho: Float64Array, low: Float64Array, high: Float64Array) -> None:
        """A guest's membrane and nucleus."""
        c = body.pose.axes[2]
        inner = half_height(rho / (1.0 - MEMBRANE_UM / body.pose.radius), c - MEMBRANE_UM)
        amount = np.where(rho < 1, body.pose.brightness, 0.0)
        self._add("guest_membrane", at, low, body.z - inner, amount, FINE)
        self._add("guest_membrane", at, body.z + inner, high, amount, FINE)
        nucleus = half_height(rho / 0.68, 0.68 * c)
        self._add("guest_nucleus", at, body.z - nucleus, body.z + nucleus, amount, FINE)

    def _blur(self, um_per_px: float) -> Float32Array:
        light = self._light
        crop = (slice(PAD, light.shape[3] - PAD), slice(PAD, light.shape[4] - PAD))
        out = np.zeros((light.shape[0], light.shape[2], *light[0, 0, 0][crop].shape), np.float32)
        for k, sigma_um in enumerate(self.psf.sigma_um):
            sigma = max(float(sigma_um) / um_per_px, 0.05)
            for channel in range(light.shape[0]):
                for z in range(light.shape[2]):
                    plane = light[channel, k, z]
                    if plane.any():
                        out[channel, z] += _gaussian(plane, sigma)[crop]
        return out


def _gaussian(plane: Float32Array, sigma_px: float) -> Float32Array:
    """Gaussian blur; very wide ones on a coarser grid, without loss."""
    if sigma_px <= COARSE_FROM_PX:
        return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma_px, borderType=cv2.BORDER_REPLICATE))
    height, width = plane.shape
    factor = min(2 ** int(np.log2(sigma_px / COARSE_FROM_PX) + 1), max(1, min(height, width) // 8))
    small = cv2.resize(plane, (-(-width // factor), -(-height // factor)), interpolation=cv2.INTER_AREA)
    # beyond the field's own size a Gaussian is flat
    blurred = cv2.GaussianBlur(
        small, (0, 0), min(sigma_px / factor, float(max(small.shape))), borderType=cv2.BORDER_REPLICATE
    )
    return np.asarray(cv2.resize(blurred, (width, height), interpolation=cv2.INTER_LINEAR))


def _fine_points(layers: FieldLayers, window: tuple[slice, slice]) -> tuple[Float64Array, Float64Array]:
    """World y (n, 1) and x (1, m) of a window's fine samples."""
    px, sub = layers.grid.um_per_px, (np.arange(FINE) + 0.5) / FINE - 0.5
    y, x = layers.grid.points(window)
    return (y[:, :1] + px * sub).reshape(-1, 1), (x.reshape(-1, 1) + px * sub).reshape(1, -1)


def _fine_body(
    layers: FieldLayers, body: Body, window: tuple[slice, slice]
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Lower and upper side of a guest and its lateral coordinate on the fine samples of a window."""
    rho = body.pose.rho(*_fine_points(layers, window))
    half = half_height(rho, body.pose.axes[2])
    return body.z - half, body.z + half, rho


def _repeat(values: Float64Array) -> Float64Array:
    return np.asarray(np.repeat(np.repeat(values, FINE, axis=0), FINE, axis=1))


@cache
def _pattern() -> Float32Array:
    """Smooth random tile of mean 0 and SD 1, on three scales: organelles, clusters of them, thick and thin parts."""
    rng = np.random.default_rng(7)
    layers = [gaussian_filter(rng.normal(size=(512, 512)), scale, mode="wrap") for scale in (1.4, 4.0, 14.0)]
    total = sum(layer / layer.std() for layer in layers)
    return np.asarray(np.clip(total / np.std(total), -3, 3).astype(np.float32))


def _mottle(seed: int, dy: Float64Array, dx: Float64Array) -> Float64Array:
    """Mottle of one cell at offsets from its centre, um (samples of 0.5 um)."""
    tile = _pattern()
    rows = (np.rint(dy / 0.5).astype(int) + seed) % tile.shape[0]
    columns = (np.rint(dx / 0.5).astype(int) + seed // 512) % tile.shape[1]
    return np.asarray(tile[rows, columns].astype(np.float64))
