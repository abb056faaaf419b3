"""Truth of a population that is host and guest at once: every cell counts as a guest, the large ones too.

A simulation lists guests and hosts separately. In a recording of one population every cell is found alike, is at risk
of entry, and contributes person-time. Therefore the hosts are listed among the guests here.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from cicimage.arrays import BoolArray, Float64Array

DECOY: Final = "host"
REACH: Final = 0.35
"""Largest error of the centroid of a spread cell, parts of which others hide: share of its diameter."""
CUT_REACH: Final = 0.6
"""The same for a cell that the border cuts: the centroid of its visible part is off by up to that."""
NUCLEUS_UM: Final = 2.0
"""Least distance of a nucleus' centre within the border for it to be visible, um."""
TOUCHING: Final = 0.9
"""Largest distance between the centres of two cells in contact, share of the sum of their radii."""
LARGER: Final = 1.25
"""Least area of a cell that can hold another, multiple of the other's area."""


def with_hosts_as_cells(guests: pd.DataFrame, hosts: pd.DataFrame, side_um: float) -> pd.DataFrame:
    """Append the hosts of one position's truth to its guests, as further cells of the same population.

    Parameters
    ----------
    guests : pandas.DataFrame
        ``guests.parquet`` of a truth folder: frame, guest_id, host_id, y_um, x_um, location, diameter_um ...
    hosts : pandas.DataFrame
        ``hosts.parquet``: frame, host_id, y_um, x_um, nucleus_y_um, nucleus_x_um, area_um2, viability, parent_id.
    side_um : float
        Side of the field, um.

    Returns
    -------
    pandas.DataFrame
        Hosts are ``free``, or ``attached`` (``lateral``) where they touch a host that is large enough to hold them;
        ``decoy`` is ``host``; ``reach_um`` says how far off their centroid may be found; ``beyond`` that it lies out
        of view, where a part of the cell may be seen and need not be. Where the nucleus, which a death marker fills,
        is not in view, viability is ``unknown``.
    """
    if not len(hosts):
        return guests
    radius = np.sqrt(hosts["area_um2"].to_numpy(np.float64) / np.pi)
    touched = _touched(hosts, radius)
    inward = _within(hosts[["y_um", "x_um"]].to_numpy(np.float64), side_um)
    cut = inward < radius
    hidden = _within(hosts[["nucleus_y_um", "nucleus_x_um"]].to_numpy(np.float64), side_um) < NUCLEUS_UM
    rows = hosts.assign(
        guest_id=hosts["host_id"], host_id=0, z_um=np.nan, diameter_um=2.0 * radius, decoy=DECOY,
        location=np.where(touched, "attached", "free"), contact=np.where(touched, "lateral", "none"),
        beyond=inward < 0.0, viability=hosts["viability"].mask(hidden, "unknown"), touches_border=cut,
        reach_um=np.where(cut, CUT_REACH, REACH) * 2.0 * radius,
    )  # fmt: skip
    shared = [c for c in guests.columns if c in rows]
    own = guests[shared].assign(reach_um=np.nan, beyond=False)
    return pd.concat([own, rows[[*shared, "reach_um", "beyond"]]], ignore_index=True)


def _within(place_um: Float64Array, side_um: float) -> Float64Array:
    """How far inside the field's border places (n, 2) lie, um; negative outside."""
    return np.asarray(np.minimum(place_um, side_um - place_um).min(axis=1), dtype=np.float64)


def _touched(hosts: pd.DataFrame, radius: Float64Array) -> BoolArray:
    """Whether each host touches another in its frame that could hold it."""
    touched = np.zeros(len(hosts), dtype=np.bool_)
    y, x = hosts["y_um"].to_numpy(np.float64), hosts["x_um"].to_numpy(np.float64)
    for rows in hosts.reset_index(drop=True).groupby("frame").indices.values():
        apart = np.hypot(y[rows, None] - y[rows], x[rows, None] - x[rows])
        near = apart < TOUCHING * (radius[rows, None] + radius[rows])
        near &= radius[rows] ** 2 >= LARGER * radius[rows, None] ** 2
        touched[rows] = near.any(axis=1)
    return touched
