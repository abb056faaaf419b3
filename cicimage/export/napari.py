"""Tracks for napari's Tracks layer: a table of vertices and the graph of parents."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pandas as pd

from cicimage.export.tracked import Tracked
from cicimage.store import atomic, write_json

PROPERTIES: Final = ("observed", "time_h", "area_um2", "location", "viability", "host_id", "p_inside")


def write_napari(tracked: Tracked, path: Path) -> list[Path]:
    """Write ``path_<population>_tracks.csv`` and ``path_<population>_graph.json``.

    Columns ``track_id, t, (z,) y, x`` are the layer's data, in frames, slices and pixels of the recording; the others
    are properties. The graph has the parent by child.

    Parameters
    ----------
    tracked : Tracked
        The position.
    path : Path
        Stem of the files to write.

    Returns
    -------
    list of Path
        Files written.
    """
    written = []
    for population in tracked.populations:
        rows = tracked.of(population)
        table = pd.DataFrame({"track_id": rows["cell_id"], "t": rows["frame"]})
        if tracked.um_per_z is not None and rows["z_um"].notna().all():
            table["z"] = rows["z_um"] / tracked.um_per_z
        for axis in ("y", "x"):
            table[axis] = rows[f"{axis}_um"] / tracked.um_per_px
        for name in PROPERTIES:
            if rows[name].notna().any():
                table[name] = rows[name]
        known = set(rows["cell_id"])
        born = rows.loc[rows["parent_id"].isin(known), ["cell_id", "parent_id"]].drop_duplicates("cell_id")
        stem = f"{path.name}_{population}"
        written += [path.with_name(f"{stem}_tracks.csv"), path.with_name(f"{stem}_graph.json")]
        with atomic(written[-2]) as file:
            table.to_csv(file, index=False, lineterminator="\n")
        write_json(written[-1], {str(c): [int(p)] for c, p in zip(born["cell_id"], born["parent_id"], strict=True)})
    return written
