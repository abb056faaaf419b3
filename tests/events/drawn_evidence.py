"""Evidence drawn as strings: what a 3D recording shows of a guest in each frame.

``f`` no host near, ``l`` beside a host, ``t`` on top, ``u`` under, ``b`` between two sheets, ``c`` in a cup open
above, ``i`` inside, ``~`` near a host but too dim to tell, ``.`` a filled gap. Upper case: the same, stained dead.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from cicimage.methods import Observations, Optics

#            share gap  ring  cap_um floor_um wall_lower wall_upper void  bottom top-of-host edge_lower
SHOWS = {
    "l": (0.05, 0.2, 0.1, np.nan, np.nan, 0.15, 0.02, 0.0, 0.5, 2.0, 0.10),
    "t": (1.0, 0.0, 0.0, 0.02, 2.2, 0.10, 0.03, 0.0, 2.0, 2.2, 0.10),
    "u": (1.0, 0.0, 1.0, 2.8, 0.02, 0.15, 0.60, 0.5, 0.4, 4.6, 0.12),
    "b": (1.0, 0.0, 0.8, 1.8, 1.8, 0.20, 0.55, 0.5, 2.0, 3.5, 0.20),
    "c": (1.0, 0.0, 1.0, 0.03, 1.4, 0.95, 0.25, 0.7, 1.4, 3.0, 0.66),
    "i": (1.0, 0.0, 1.0, 0.9, 1.1, 0.96, 0.35, 0.7, 1.2, 3.5, 0.77),
}
HOST = 50


def observed(
    *texts: str,
    interval_min: float = 4.0,
    marker: str | None = "other",
    reaches_inside: bool = True,
    noise: float = 0.0,
    seed: int = 0,
    hosts: tuple[int, ...] = (),
) -> Observations:
    """Observations of one guest per text, all starting in frame 0; ``hosts`` names each guest's host."""
    rng = np.random.default_rng(seed)
    rows, pairs = [], []
    n = max(len(t) for t in texts)
    time_h = np.arange(n) * interval_min / 60.0
    for g, text in enumerate(texts, start=1):
        host = hosts[g - 1] if hosts else HOST
        for k, c in enumerate(text):
            dead, shown = c.isupper(), c.lower()
            rows.append({
                "position": "p", "frame": k, "time_h": time_h[k], "guest_id": g, "label": g, "observed": c != ".",
                "y_um": 30.0 * g, "x_um": 20.0 + 0.1 * (k % 2), "z_um": 5.0, "yd_um": 30.0 * g,
                "xd_um": 20.0 + 0.1 * (k % 2), "area_um2": 44.0, "snr": 20.0, "touches_border": False, "parent_id": 0,
                "death_signal": 40.0 if dead else 0.0, "death_fill": 0.9 if dead else 0.0,
            })  # fmt: skip
            if shown in SHOWS or shown == "~":
                pairs.append(_pair(k, time_h[k], g, host, shown, noise, rng))
    frames = pd.DataFrame(rows)
    ids = sorted({p["host_id"] for p in pairs}) or [HOST]
    host_rows = pd.DataFrame([
        {"frame": k, "host_id": h, "y_um": 0.0, "x_um": 0.0, "yd_um": 0.0, "xd_um": 0.0, "area_um2": 3000.0,
         "death_signal": 0.0, "death_fill": 0.0, "touches_border": False, "parent_id": 0}
        for h in ids for k in range(n)
    ])  # fmt: skip
    return Observations(
        frames=frames, pairs=pd.DataFrame(pairs) if pairs else pd.DataFrame(columns=["frame", "guest_id", "host_id"]),
        hosts=host_rows, optics=Optics(0.325, 1.0, na=0.95, immersion="air", modality="confocal"),
        separable={"inside": True, "under": True, "on_top": True}, n_frames=n, time_h=time_h, death_marker=marker,
        death_reaches_inside=reaches_inside,
    )  # fmt: skip


def _pair(k: int, time_h: float, g: int, host: int, shown: str, noise: float, rng: np.random.Generator) -> dict:
    dim = shown == "~"
    share, gap, ring, cap, floor, low, up, void, bottom, top, edge = SHOWS["i" if dim else shown]
    se = 3.0 if dim else max(0.05, noise)
    jitter = rng.normal(0, noise, 2) if noise else np.zeros(2)
    nan = np.nan
    return {
        "position": "p", "frame": k, "time_h": time_h, "guest_id": g, "host_id": host, "guest_label": g,
        "host_label": 1, "footprint_share": share, "gap_um": gap, "ring_coverage": nan if dim else ring,
        "cap_um": nan if dim else cap + jitter[0], "cap_um_se": se, "floor_um": nan if dim else floor + jitter[1],
        "floor_um_se": se, "cap": cap / 2, "cap_se": se, "floor": floor / 2, "floor_se": se,
        "wall_lower": nan if dim else low, "wall_upper": nan if dim else up, "edge_lower": nan if dim else edge,
        "void": nan if dim else void,
        "void_se": 0.02, "z_in_host": nan if dim else (bottom + 3.3) / top, "host_signal": nan if dim else 50.0,
        "guest_bottom_um": bottom, "host_top_um": nan if dim else top, "body": nan if dim else 0.02,
        "shared_share": 0.0, "axial_fwhm_um": 1.6,
    }  # fmt: skip


def letters(frames: pd.DataFrame, guest_id: int = 1) -> str:
    """Scored rows of one guest as a string: f a e i ?"""
    short = {"free": "f", "attached": "a", "entering": "e", "inside": "i", "unresolved": "?"}
    one = frames[frames["guest_id"] == guest_id].sort_values("frame")
    return "".join(short[v] for v in one["location"])


def contacts(frames: pd.DataFrame, guest_id: int = 1) -> list[str]:
    """Contacts of one guest in order of time."""
    return frames[frames["guest_id"] == guest_id].sort_values("frame")["contact"].tolist()
