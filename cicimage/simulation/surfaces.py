"""Stacking of hosts and guests: every host becomes a sheet between two height maps.

Hosts lie in a fixed order, lowest first. A guest beneath a host rests on what is below and lifts the host; a
guest within has the host's cytoplasm around it. The location of a guest follows from these surfaces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from cicimage.arrays import Float64Array
from cicimage.simulation.bodies import GuestPose, HostPose, half_height, tent

BRIDGE_UM: Final = 1.5
"""Distance over which a host on another's edge bridges the step, um."""


@dataclass(frozen=True)
class FieldGrid:
    """Columns of the field: world position of the first one (um), spacing, and numbers in y and x."""

    y0_um: float
    x0_um: float
    um_per_px: float
    shape: tuple[int, int]

    def window(self, y: float, x: float, reach: float) -> tuple[slice, slice] | None:
        """Find the columns within reach of a point.

        Parameters
        ----------
        y, x : float
            World coordinates, um.
        reach : float
            Half the side of the square, um.

        Returns
        -------
        (slice, slice) or None
            Rows and columns; None where the field has none of them.
        """
        px = self.um_per_px
        top, left = (y - reach - self.y0_um) / px, (x - reach - self.x0_um) / px
        bottom, right = (y + reach - self.y0_um) / px, (x + reach - self.x0_um) / px
        rows = slice(max(0, int(np.ceil(top))), min(self.shape[0], int(np.floor(bottom)) + 1))
        columns = slice(max(0, int(np.ceil(left))), min(self.shape[1], int(np.floor(right)) + 1))
        if rows.stop <= rows.start or columns.stop <= columns.start:
            return None
        return rows, columns

    def points(self, window: tuple[slice, slice]) -> tuple[Float64Array, Float64Array]:
        """World y (n, 1) and x (1, m) of a window's columns."""
        y = self.y0_um + self.um_per_px * np.arange(window[0].start, window[0].stop)
        x = self.x0_um + self.um_per_px * np.arange(window[1].start, window[1].stop)
        return y[:, None], x[None, :]


def shared_window(
    window: tuple[slice, slice], sheet: tuple[slice, slice]
) -> tuple[tuple[slice, slice], tuple[slice, slice]] | None:
    """Find the columns that two windows share.

    Parameters
    ----------
    window, sheet : (slice, slice)
        Rows and columns of the field.

    Returns
    -------
    ((slice, slice), (slice, slice)) or None
        Shared rows and columns of the field, and the same within ``sheet``; None where there are none.
    """
    shared = [slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(window, sheet, strict=True)]
    if any(s.stop <= s.start for s in shared):
        return None
    local = [slice(s.start - b.start, s.stop - b.start) for s, b in zip(shared, sheet, strict=True)]
    return (shared[0], shared[1]), (local[0], local[1])


@dataclass(frozen=True, eq=False)
class HostSheet:
    """One host in the stack: ``cover`` 0-1, ``bottom`` and ``top`` over its window."""

    pose: HostPose
    window: tuple[slice, slice]
    cover: Float64Array
    bottom: Float64Array
    top: Float64Array
    voids: tuple[int, ...]
    """Positions in ``FieldLayers.bodies`` of the guests drawn into it."""


@dataclass(frozen=True, eq=False)
class Body:
    """One guest in the stack: its pose, the height of its centre, and its window."""

    pose: GuestPose
    z: float
    window: tuple[slice, slice]


@dataclass(frozen=True, eq=False)
class FieldLayers:
    """All hosts and guests in the field at one moment, stacked."""

    grid: FieldGrid
    sheets: tuple[HostSheet, ...]
    bodies: tuple[Body, ...]


def stack_layers(hosts: Sequence[HostPose], guests: Sequence[GuestPose], grid: FieldGrid) -> FieldLayers:
    """Stack hosts in the order given and solve the height of every guest.

    Parameters
    ----------
    hosts : sequence of HostPose
        Lowest first.
    guests : sequence of GuestPose
        In any order.
    grid : FieldGrid
        Columns to solve on; cells wholly outside are left out.

    Returns
    -------
    FieldLayers
        Hosts, lowest first, and guests.
    """
    ground = np.zeros(grid.shape)
    by_host: dict[int, list[GuestPose]] = {}
    for guest in guests:
        by_host.setdefault(guest.host if guest.level != "surface" else -1, []).append(guest)
    sheets: list[HostSheet] = []
    bodies: list[Body] = []
    for host in hosts:
        window = grid.window(host.y, host.x, host.reach)
        if window is None:
            continue
        sheet = _place_host(host, by_host.get(host.host, []), ground, grid, window, bodies)
        if sheet is not None:
            sheets.append(sheet)
            by_host.pop(host.host, None)
    # the remaining guests lie on top, or beneath a host of which no part is in the field
    for guest in (g for rest in by_host.values() for g in rest):
        body = _rest(guest, ground, grid)
        if body is not None:
            bodies.append(Body(guest, body.z + guest.hover, body.window))
    return FieldLayers(grid, tuple(sheets), tuple(bodies))


def _rest(guest: GuestPose, ground: Float64Array, grid: FieldGrid) -> Body | None:
    """Rest an ellipsoid on a height map without cutting into it."""
    a, _, c = guest.axes
    window = grid.window(guest.y, guest.x, a + grid.um_per_px)
    if window is None:
        return None
    rho = guest.rho(*grid.points(window))
    touching = np.where(rho < 1.0, ground[window] + half_height(rho, c), ground[window].min())
    return Body(guest, max(float(touching.max()), c + float(ground[window].min())), window)


@dataclass(eq=False)
class _OpenSheet:
    """A host while its guests are placed: its columns, and its faces so far.

    ``ground`` is the height map of the whole field below it, ``plain`` the host's thickness without guests.
    """

    grid: FieldGrid
    window: tuple[slice, slice]
    ground: Float64Array
    cover: Float64Array
    plain: Float64Array
    bottom: Float64Array
    top: Float64Array
    bodies: list[Body]

    def lift(self, guests: Sequence[GuestPose]) -> None:
        """Place guests beneath the host."""
        y, x = self.grid.points(self.window)
        below = self.bottom
        for guest in guests:
            body = _rest(guest, self.ground, self.grid)
            if body is not None:
                lifted = np.maximum(below, tent(guest.rho(y, x), body.z, guest.axes[2], guest.radius))
                self._raise(lifted, lifted + self.plain)
                self.bodies.append(body)

    def enclose(self, guests: Sequence[GuestPose]) -> None:
        """Place guests within the host."""
        if not guests:
            return
        y, x = self.grid.points(self.window)
        floor = self.bottom
        low, high = self._on_ground(floor), self._on_ground(floor + self.plain)
        for guest in guests:
            body = _draw_in(guest, _rest(guest, low, self.grid), _rest(guest, high, self.grid))
            if body is None:
                continue
            lower, upper = _cup(guest, body.z, guest.rho(y, x), floor, self.plain)
            if guest.route == "fold":
                upper = np.where(_behind(guest, y, x), upper, floor + self.plain)
            self._raise(lower, upper)
            self.bodies.append(body)

    def _raise(self, bottom: Float64Array, top: Float64Array) -> None:
        self.bottom, self.top = np.maximum(self.bottom, bottom), np.maximum(self.top, top)

    def _on_ground(self, surface: Float64Array) -> Float64Array:
        """Height map of the field with a surface in place of the ground where the host covers it."""
        raised = self.ground.copy()
        raised[self.window] = np.where(self.cover > 0.5, surface, self.ground[self.window])
        return raised


def _place_host(
    host: HostPose, guests: Sequence[GuestPose], ground: Float64Array, grid: FieldGrid, window: tuple[slice, slice],
    bodies: list[Body],
) -> HostSheet | None:  # fmt: skip
    """Place a host and the guests under and within it on the ground, which rises by them; None where it covers none."""
    y, x = grid.points(window)
    depth = host.depth(y, x)
    cover = np.clip(depth / grid.um_per_px + 0.5, 0.0, 1.0)
    if not cover.any():
        return None
    below, plain = _drape(ground[window], grid.um_per_px), host.thickness(y, x, depth)
    sheet = _OpenSheet(grid, window, ground, cover, plain, below, below + plain, bodies)
    sheet.lift([g for g in guests if g.level == "under"])
    first = len(bodies)
    engulfed = [g for g in guests if g.level == "engulfed"]
    # guests not yet enclosed from below still lift the host's bottom, the others lie above it
    lifting = [g for g in engulfed if g.route == "under" and g.engulfed < 1.0]
    sheet.enclose(lifting)
    sheet.enclose([g for g in engulfed if g not in lifting])
    ground[window] = np.where(cover > 0.5, np.maximum(ground[window], sheet.top), ground[window])
    return HostSheet(host, window, cover, sheet.bottom, sheet.top, tuple(range(first, len(bodies))))


def _drape(ground: Float64Array, um_per_px: float) -> Float64Array:
    """Surface that a sheet on a height map rests on: it bridges steps instead of following them."""
    smooth = cv2.GaussianBlur(ground, (0, 0), BRIDGE_UM / um_per_px, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(np.maximum(ground, smooth))


def _behind(guest: GuestPose, y: Float64Array, x: Float64Array) -> Float64Array:
    """Columns that the flap of a fold covers: from one side up to ``engulfed`` of the guest's width."""
    side = 2.4 * guest.guest  # an arbitrary direction, constant for the guest
    along = ((y - guest.y) * np.sin(side) + (x - guest.x) * np.cos(side)) / guest.radius
    return np.asarray(along < 2.0 * guest.engulfed - 1.0)


def _draw_in(guest: GuestPose, low: Body | None, high: Body | None) -> Body | None:
    """Height of a guest on its way in: sinking from the host's top, or lifted off the ground once closed."""
    if low is None or high is None:
        return None
    e, c = guest.engulfed, guest.axes[2]
    if guest.route == "fold":
        return high
    if guest.route == "top":
        return Body(guest, high.z + (low.z + guest.floor - high.z) * min(e, 1.0), low.window)
    return Body(guest, low.z + min(guest.floor, max(0.0, (e - 1.0) * 2.0 * c)), low.window)


def _cup(
    guest: GuestPose, z: float, rho: Float64Array, below: Float64Array, plain: Float64Array
) -> tuple[Float64Array, Float64Array]:
    """Bottom and top of the host around a guest engulfed to the degree ``engulfed``.

    From the top a cup rises from the guest's lower pole and closes over the upper one; from below the sheet that
    hangs over the guest grows down its sides and closes under it.
    """
    e, c = guest.engulfed, guest.axes[2]
    drape = tent(rho, z, c, guest.radius)
    closed = np.maximum(below + plain, drape + guest.cap)
    if guest.route == "fold":
        return below, closed
    if guest.route == "top":
        rim = z - c + 2.0 * c * e
        return below, np.maximum(below + plain, np.minimum(drape + guest.cap, rim))
    rim = z + c - 2.0 * c * e
    hanging = np.maximum(below, drape)
    share = min(e, 1.0)
    # once enclosed, the guest no longer lifts the sheet
    lower = below if e >= 1.0 else np.maximum(below, np.minimum(drape, rim))
    return lower, (1.0 - share) * (hanging + plain) + share * closed
