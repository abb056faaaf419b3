"""Evidence taken away: of some frames, or some columns of all of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from cicimage.methods import Observations, Optics

FROM_MASKS = frozenset({
    "position", "frame", "time_h", "guest_id", "host_id", "guest_label", "host_label", "footprint_share", "gap_um",
    "shared_share", "guest_radius_um",
})  # fmt: skip
"""Columns of table ``pairs`` that no pixel of the host channel is needed for."""
WAYS = ("values", "errors", "frames")

#          ring  void  wall sharpness
FLAT = {"l": (0.1, np.nan, 0.8, 0.1), "t": (1.0, 0.05, 1.02, 0.05), "i": (1.0, 0.42, 1.45, 0.66)}


def covered(observations: Observations) -> pd.MultiIndex:
    """(guest_id, frame) in which a host covers a guest."""
    pairs = observations.pairs
    over = pairs.loc[pairs["footprint_share"] >= 0.5, ["guest_id", "frame"]]
    return pd.MultiIndex.from_frame(over).unique().sort_values()


def without(observations: Observations, gone: pd.MultiIndex, way: str = "values") -> Observations:
    """Take away all evidence of some (guest_id, frame).

    ``values``: all that was measured in pixels is NaN; ``errors``: values stay where they have a standard error, which
    is infinite; ``frames``: the guest is not seen in the frame.
    """
    pairs = observations.pairs.copy()
    here = pd.MultiIndex.from_frame(pairs[["guest_id", "frame"]]).isin(gone)
    if way == "frames":
        frames = observations.frames.copy()
        frames.loc[pd.MultiIndex.from_frame(frames[["guest_id", "frame"]]).isin(gone), "observed"] = False
        return replace(observations, frames=frames, pairs=pairs[~here].reset_index(drop=True))
    measured = [c for c in pairs.columns if c not in FROM_MASKS]
    with_error = {c for c in measured if c + "_se" in pairs and way == "errors"}
    pairs.loc[here, [c for c in measured if c not in with_error]] = np.nan
    pairs.loc[here, [c + "_se" for c in with_error]] = np.inf
    return replace(observations, pairs=pairs)


def without_columns(observations: Observations, columns: tuple[str, ...]) -> Observations:
    """Take some columns away in every row."""
    return replace(observations, pairs=observations.pairs.assign(**dict.fromkeys(columns, np.nan)))


def as_flat(seen: Observations, texts: tuple[str, ...], *, sections: bool = False) -> Observations:
    """The same story in 2D: evidence of projection instead of a stack's; ``u`` and ``b`` look like ``t``."""
    pairs = seen.pairs.copy()
    deep = [c for c in pairs.columns if c not in FROM_MASKS and c not in ("ring_coverage", "void", "void_se")]
    pairs[deep] = np.nan
    shown = [texts[g - 1][f].lower() for g, f in zip(pairs["guest_id"], pairs["frame"], strict=True)]
    values = np.array([FLAT[{"u": "t", "b": "t", "c": "t"}.get(c, c)] for c in shown])
    for k, name in enumerate(("ring_coverage", "void", "wall", "sharpness")):
        pairs[name] = values[:, k]
    optics = Optics(0.325, None, na=0.45, immersion="air", modality="confocal" if sections else "widefield")
    return replace(seen, pairs=pairs, optics=optics, separable=dict.fromkeys(seen.separable, False))


def resolved(frames: pd.DataFrame, among: pd.MultiIndex) -> float:
    """Share of some (guest_id, frame) that are called."""
    location = frames.set_index(["guest_id", "frame"]).loc[among, "location"]
    return float((location != "unresolved").mean())
