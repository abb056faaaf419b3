"""Location of a guest from the surfaces: how much of it lies below, above and within each host."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cicimage.arrays import Float64Array
from cicimage.simulation.bodies import half_height
from cicimage.simulation.surfaces import Body, FieldLayers, HostSheet, shared_window

FILM_UM = 0.03
"""Least thickness of cytoplasm that counts as cover, um."""
TOUCH_UM = 0.6
"""Largest distance of surfaces in contact, um."""
CLOSED = 0.97
"""Least share of the footprint with cytoplasm on one side for that side to be closed."""
BEGUN = 0.2
"""Least share of the guest's surface in touch with cytoplasm for an engulfment to have begun."""
SKIN_UM = 0.2
"""Largest distance of cytoplasm in touch with the guest's surface, um."""


@dataclass(frozen=True)
class Contact:
    """A guest against one host.

    Attributes
    ----------
    sheet : int
        Position of the host's sheet in ``FieldLayers.sheets``.
    above, below : float
        Share of the guest's footprint with this host's cytoplasm above and below it.
    cap_um, floor_um : float
        Mean thickness of that cytoplasm over the inner half of the footprint.
    ring : float
        Share of the guest's surface that this host's cytoplasm touches.
    share : float
        Share of the footprint over or under this host.
    gap_um : float
        Least distance between guest and host, vertical where they overlap.
    """

    sheet: int
    above: float
    below: float
    cap_um: float
    floor_um: float
    ring: float
    share: float
    gap_um: float

    @property
    def encloses(self) -> bool:
        """Whether the guest lies within this host."""
        return self.above >= CLOSED and self.below >= CLOSED


@dataclass(frozen=True)
class Place:
    """Location and contact of a guest as the tables name them, and the host."""

    location: str
    contact: str
    host: int
    cap_um: float
    floor_um: float
    ring: float
    hosts_above: int
    """Hosts that lie over it without holding it."""


def contacts(body: Body, layers: FieldLayers) -> list[Contact]:
    """Measure a guest against every host near it.

    Parameters
    ----------
    body : Body
        The guest.
    layers : FieldLayers
        Everything in the field at the same moment.

    Returns
    -------
    list of Contact
        One per host within reach, lowest host first.
    """
    measured = (_against(body, sheet, layers, i) for i, sheet in enumerate(layers.sheets))
    return [contact for contact in measured if contact is not None]


def _against(body: Body, sheet: HostSheet, layers: FieldLayers, index: int) -> Contact | None:
    guest, host = body.pose, sheet.pose
    a, _, c = guest.axes
    if np.hypot(guest.y - host.y, guest.x - host.x) > host.reach + a + 1.5:
        return None
    lateral = float(host.depth(guest.y, guest.x))
    if lateral < -(a + 1.5):
        return None
    shared = shared_window(body.window, sheet.window)
    if shared is None:
        return None
    window, here = shared
    rho = guest.rho(*layers.grid.points(body.window))
    n_all, n_core = int((rho < 1.0).sum()), max(1, int((rho < 0.5).sum()))
    rho = guest.rho(*layers.grid.points(window))
    covered = sheet.cover[here] > 0.5
    disk, core = (rho < 1.0) & covered, (rho < 0.5) & covered
    half = half_height(rho, c)
    low, high = body.z - half, body.z + half
    bottom, top = sheet.bottom[here], sheet.top[here]
    above, below = np.clip(top - np.maximum(high, bottom), 0.0, None), np.clip(np.minimum(low, top) - bottom, 0.0, None)
    if not disk.any():
        return Contact(index, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, max(0.0, -lateral - a) + guest.hover)
    return Contact(
        index,
        float((above > FILM_UM)[disk].sum()) / max(1, n_all),
        float((below > FILM_UM)[disk].sum()) / max(1, n_all),
        float(above[core].sum()) / n_core,
        float(below[core].sum()) / n_core,
        _ring(body, sheet, layers),
        float(disk.sum()) / max(1, n_all),
        max(0.0, float(np.maximum(bottom - high, low - top)[disk].min())),
    )


def _ring(body: Body, sheet: HostSheet, layers: FieldLayers) -> float:
    """Share of points just outside an ellipsoid's surface that lie in a host's cytoplasm."""
    a, b, c = (axis + SKIN_UM for axis in body.pose.axes)
    cos, sin = np.cos(body.pose.angle), np.sin(body.pose.angle)
    u, v, w = a * SPHERE[:, 0], b * SPHERE[:, 1], c * SPHERE[:, 2]
    grid, window = layers.grid, sheet.window
    rows = np.rint((body.pose.y + u * sin + v * cos - grid.y0_um) / grid.um_per_px).astype(int) - window[0].start
    cols = np.rint((body.pose.x + u * cos - v * sin - grid.x0_um) / grid.um_per_px).astype(int) - window[1].start
    height, width = sheet.cover.shape
    near = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
    rows, cols, z = rows[near], cols[near], body.z + w[near]
    held = (sheet.cover[rows, cols] > 0.5) & (z > sheet.bottom[rows, cols]) & (z < sheet.top[rows, cols])
    return float(held.sum()) / len(SPHERE)


def _sphere(n: int) -> Float64Array:
    """``n`` points spread evenly over the unit sphere, (n, 3)."""
    z = 1.0 - 2.0 * (np.arange(n) + 0.5) / n
    turn = np.pi * (3.0 - np.sqrt(5.0)) * np.arange(n)
    r = np.sqrt(1.0 - z * z)
    return np.column_stack([r * np.cos(turn), r * np.sin(turn), z])


SPHERE = _sphere(128)


def place(body: Body, layers: FieldLayers) -> Place:
    """Classify the location and contact of a guest from the surfaces around it.

    A guest partly held is ``entering`` on its way in and ``attached`` on its way out and in a fold: the only
    distinction that the surfaces of one moment do not show.

    Parameters
    ----------
    body : Body
        The guest.
    layers : FieldLayers
        Everything in the field at the same moment.

    Returns
    -------
    Place
        Location, contact and host.
    """
    measured = contacts(body, layers)
    for contact in measured:
        if contact.encloses:
            over = sum(1 for c in measured if c is not contact and c.above >= 0.5)
            return _named("inside", "none", contact, layers, over)
    held = [c for c in measured if layers.sheets[c.sheet].pose.host == body.pose.host and c.ring >= BEGUN]
    if held and body.pose.level == "engulfed":
        side = "on_top" if body.pose.route != "under" else "under"
        return _named("entering" if body.pose.entering else "attached", side, held[0], layers, 0)
    return _attached(measured, layers)


def _attached(measured: list[Contact], layers: FieldLayers) -> Place:
    touching = [c for c in measured if c.gap_um <= TOUCH_UM]
    caps = [c for c in touching if c.above >= 0.5]
    floors = [c for c in touching if c.below >= 0.5 and c not in caps]
    over = sum(1 for c in measured if c.above >= 0.5)
    if caps and floors:
        return _named("attached", "between", caps[0], layers, over)
    if caps:
        return _named("attached", "under", caps[0], layers, over)
    if floors:
        return _named("attached", "on_top", max(floors, key=lambda c: c.sheet), layers, over)
    if touching:
        return _named("attached", "lateral", max(touching, key=lambda c: c.share), layers, over)
    return Place("free", "none", -1, 0.0, 0.0, 0.0, over)


def _named(location: str, how: str, contact: Contact, layers: FieldLayers, over: int) -> Place:
    host = layers.sheets[contact.sheet].pose.host
    return Place(location, how, host, contact.cap_um, contact.floor_um, contact.ring, over)
