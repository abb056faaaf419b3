"""Light of one moment: every body's columns through the point spread function, channel by channel."""

from __future__ import annotations

from functools import cache
from typing import Final

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter

from cicimage.simulation.bodies import Array, half_height
from cicimage.simulation.optics import REACH_UM, STEP_UM, Float32, Psf, add_columns
from cicimage.simulation.population import Vacuole
from cicimage.simulation.surfaces import Body, Layers, Sheet

HOST, GUEST, DEATH = 0, 1, 2
FINE: Final = 3
"""Bodies are sampled this much finer than pixels."""
NUCLEUS_DIM: Final = 0.25
"""Share by which host dye is weaker in the nucleus."""
PAD: Final = 6
"""Columns rendered beyond the frame, so that blur has something to take from."""


class Renderer:
    """Renders layers into light, (C, Z, Y, X) float32, 1 = a thick bright cell.

    Parameters
    ----------
    psf : Psf
        Point spread function.
    slices_um : (Z,) float64
        Heights of the slices above the glass.
    um_per_px : float
        Pixel size.
    n_channels : int
        Host, guest and, with 3, death.
    """

    def __init__(self, psf: Psf, slices_um: Array, um_per_px: float, n_channels: int = 3) -> None:
        self.psf = psf
        self.slices = slices_um.astype(np.float32)
        self.um_per_px = um_per_px
        self.n_channels = n_channels

    def render(self, layers: Layers, vacuoles: tuple[Vacuole, ...], debris: tuple[Body, ...]) -> Float32:
        """Render one moment; ``layers.grid`` reaches PAD columns beyond the frame on every side."""
        k, z = len(self.psf.sigma_um), len(self.slices)
        light = np.zeros((self.n_channels, k, z, *layers.grid.shape), np.float32)
        for sheet in layers.sheets:
            self._host(light, layers, sheet, [v for v in vacuoles if v.host == sheet.pose.host])
        for body in (*layers.bodies, *debris):
            self._guest(light, layers, body)
        return self._blur(light)

    def _columns(self, image: Float32, y0: int, x0: int, low: Array, high: Array, amount: Array, fine: int = 1) -> None:
        add_columns(
            image, y0, x0, low.astype(np.float32), high.astype(np.float32), amount.astype(np.float32), fine,
            self.slices, self.psf.integral, REACH_UM, STEP_UM,
        )  # fmt: skip

    def _host(self, light: Float32, layers: Layers, sheet: Sheet, vacuoles: list[Vacuole]) -> None:
        pose, window = sheet.pose, sheet.window
        y0, x0 = window[0].start, window[1].start
        y, x = layers.grid.points(window)
        dye = pose.brightness * sheet.cover * _mottle(pose.texture_seed, y - pose.y, x - pose.x)
        self._columns(light[HOST], y0, x0, sheet.bottom, sheet.top, dye)
        for i in sheet.voids:
            self._void(light, layers, sheet, layers.bodies[i], dye)
        r2 = ((y - pose.nucleus_y) ** 2 + (x - pose.nucleus_x) ** 2) / pose.nucleus_radius**2
        thick = sheet.top - sheet.bottom
        middle, half = 0.5 * (sheet.top + sheet.bottom), 0.4 * thick * np.sqrt(np.clip(1 - r2, 0, None))
        self._columns(light[HOST], y0, x0, middle - half, middle + half, -NUCLEUS_DIM * dye)
        if pose.dead > 0 and self.n_channels > DEATH:
            self._columns(light[DEATH], y0, x0, middle - half, middle + half, 1.2 * pose.dead * (r2 < 1) * sheet.cover)
        for vacuole in vacuoles:
            angle, distance = vacuole.angle + pose.angle, vacuole.distance * pose.radius * pose.spread
            vy, vx = pose.y + distance * np.sin(angle), pose.x + distance * np.cos(angle)
            r = np.hypot(y - vy, x - vx) / vacuole.radius
            half = np.minimum(half_height(r, vacuole.radius), 0.42 * thick)
            self._columns(light[HOST], y0, x0, middle - half, middle + half, -dye)

    def _void(self, light: Float32, layers: Layers, sheet: Sheet, body: Body, dye: Array) -> None:
        """Take the host's dye out of where a guest sits in it."""
        rows, columns = body.window
        top, left = max(rows.start, sheet.window[0].start), max(columns.start, sheet.window[1].start)
        bottom, right = min(rows.stop, sheet.window[0].stop), min(columns.stop, sheet.window[1].stop)
        if bottom <= top or right <= left:
            return
        here = (
            slice(top - sheet.window[0].start, bottom - sheet.window[0].start),
            slice(left - sheet.window[1].start, right - sheet.window[1].start),
        )
        low, high, _ = _fine_body(layers, body, (slice(top, bottom), slice(left, right)))
        sheet_low, sheet_high, amount = (_repeat(a[here]) for a in (sheet.bottom, sheet.top, dye))
        self._columns(light[HOST], top, left, np.maximum(low, sheet_low), np.minimum(high, sheet_high), -amount, FINE)

    def _guest(self, light: Float32, layers: Layers, body: Body) -> None:
        low, high, rho = _fine_body(layers, body, body.window)
        y0, x0 = body.window[0].start, body.window[1].start
        amount = np.where(rho < 1, body.pose.brightness, 0.0)
        self._columns(light[GUEST], y0, x0, low, high, amount, FINE)
        if body.pose.dead > 0 and self.n_channels > DEATH:
            shrink = 0.15 * (high - low)
            stain = np.where(rho < 0.9, 1.2 * body.pose.dead, 0.0)
            self._columns(light[DEATH], y0, x0, low + shrink, high - shrink, stain, FINE)

    def _blur(self, light: Float32) -> Float32:
        crop = (slice(PAD, light.shape[3] - PAD), slice(PAD, light.shape[4] - PAD))
        out = np.zeros((light.shape[0], light.shape[2], *light[0, 0, 0][crop].shape), np.float32)
        for k, sigma_um in enumerate(self.psf.sigma_um):
            sigma = max(sigma_um / self.um_per_px, 0.05)
            for channel in range(light.shape[0]):
                for z in range(light.shape[2]):
                    plane = light[channel, k, z]
                    if plane.any():
                        blurred = cv2.GaussianBlur(plane, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
                        out[channel, z] += blurred[crop]
        return out


def _fine_body(layers: Layers, body: Body, window: tuple[slice, slice]) -> tuple[Array, Array, Array]:
    """Lower and upper side of a guest and its lateral coordinate on the fine samples of a window."""
    px = layers.grid.um_per_px
    sub = (np.arange(FINE) + 0.5) / FINE - 0.5
    y, x = layers.grid.points(window)
    fine_y = (y[:, :1] + px * sub).reshape(-1, 1)
    fine_x = (x.reshape(-1, 1) + px * sub).reshape(1, -1)
    rho = body.pose.rho(fine_y, fine_x)
    half = half_height(rho, body.pose.axes[2])
    return body.z - half, body.z + half, rho


def _repeat(values: Array) -> Array:
    out: Array = np.repeat(np.repeat(values, FINE, axis=0), FINE, axis=1)
    return out


@cache
def _pattern() -> Float32:
    """A smooth random tile, mean 1: the mottle of a cytosol dye."""
    rng = np.random.default_rng(7)
    noise = rng.normal(size=(512, 512))
    smooth, coarse = gaussian_filter(noise, 3.0, mode="wrap"), gaussian_filter(noise, 14.0, mode="wrap")
    tile: Float32 = np.clip(1.0 + 0.10 * smooth / smooth.std() + 0.10 * coarse / coarse.std(), 0.3, None).astype(
        np.float32
    )
    return tile


def _mottle(seed: int, dy: Array, dx: Array) -> Array:
    """The mottle of one host at offsets from its centre, um (tile of 0.5 um)."""
    tile = _pattern()
    rows = (np.rint(dy / 0.5).astype(int) + seed) % tile.shape[0]
    columns = (np.rint(dx / 0.5).astype(int) + seed // 512) % tile.shape[1]
    out: Array = tile[rows, columns].astype(np.float64)
    return out
