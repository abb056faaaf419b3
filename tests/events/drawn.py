"""Timelines drawn as strings.

``f`` free, ``a`` attached on top, ``u`` attached under, ``e`` entering, ``i`` inside, ``?`` unresolved, ``.`` a gap
that was filled (location as the row before), upper case = dead (``F A U I``), ``x`` dying outside, ``d`` dying inside.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from cicimage.methods import Observations, Optics

LOCATION = {"f": "free", "a": "attached", "u": "attached", "e": "entering", "i": "inside", "?": "unresolved"}
P_INSIDE = {"free": 0.01, "attached": 0.05, "entering": 0.3, "inside": 0.95, "unresolved": 0.5}


def rows_of(text: str, guest_id: int = 1, start: int = 0, host: int = 7) -> pd.DataFrame:
    """Scored rows of one guest; digits after the text are not allowed, hosts differ by ``host``."""
    out = []
    location = "free"
    for k, c in enumerate(text):
        dead, dying = c.isupper(), c in "xd"
        key = {"x": "f", "d": "i"}.get(c, c.lower())
        location = location if c == "." else LOCATION[key]
        out.append({
            "position": "p", "frame": start + k, "time_h": 0.0, "guest_id": guest_id, "label": 1, "observed": c != ".",
            "y_um": 10.0 + guest_id, "x_um": 20.0, "z_um": np.nan, "area_um2": 44.0, "location": location,
            "contact": "none", "viability": "dead" if dead else "dying" if dying else "alive",
            "host_id": 0 if location == "free" else host, "p_inside": P_INSIDE[location], "p_dead": 0.0,
        })  # fmt: skip
    return pd.DataFrame(out)


def watched(
    *tracks: pd.DataFrame,
    n_frames: int | None = None,
    interval_min: float = 5.0,
    border: bool = False,
    parents: dict[int, int] | None = None,
    hosts: pd.DataFrame | None = None,
) -> tuple[pd.DataFrame, Observations]:
    """Frames and the observations they would have come from."""
    frames = pd.concat(tracks, ignore_index=True)
    n = n_frames or int(frames["frame"].max()) + 1
    time_h = np.arange(n) * interval_min / 60.0
    frames["time_h"] = time_h[frames["frame"]]
    cells = frames.assign(
        touches_border=border, parent_id=frames["guest_id"].map(parents or {}).fillna(0).astype(int),
        yd_um=frames["y_um"], xd_um=frames["x_um"], snr=10.0, death_signal=0.0, death_fill=0.0,
    )  # fmt: skip
    if hosts is None:
        hosts = host_rows(7, range(n))
    observations = Observations(
        frames=cells, pairs=pd.DataFrame(columns=["frame", "guest_id", "host_id"]), hosts=hosts,
        optics=Optics(0.325, 1.0), separable={"inside": True, "under": True, "on_top": True}, n_frames=n, time_h=time_h,
        death_marker="pi",
    )  # fmt: skip
    return frames, observations


def host_rows(host_id: int, frames: range, dead_from: int | None = None, parent_id: int = 0) -> pd.DataFrame:
    """One host over the given frames."""
    f = np.array(list(frames))
    dead = np.zeros(len(f), bool) if dead_from is None else f >= dead_from
    return pd.DataFrame({
        "frame": f, "host_id": host_id, "y_um": 10.0, "x_um": 20.0, "yd_um": 10.0, "xd_um": 20.0, "area_um2": 3000.0,
        "death_signal": np.where(dead, 40.0, 0.0), "death_fill": np.where(dead, 0.3, 0.0), "touches_border": False,
        "parent_id": parent_id,
    })  # fmt: skip
