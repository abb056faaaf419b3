"""GEFF, the graph exchange file format: cells as nodes, tracks as edges, in a Zarr group.

References
----------
.. [1] https://liveimagetrackingtools.org/geff, specification 1.0, written as Zarr 2, which all its readers support.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import zarr

from cicimage.arrays import BoolArray
from cicimage.export.graph import lineages, links, tracklets
from cicimage.export.tracked import Tracked
from cicimage.version import __version__

SPECIFICATION: Final = "1.0"
UNITS: Final = {
    "y": "micrometer", "x": "micrometer", "z": "micrometer", "time_h": "hour", "area_um2": "micrometer^2",
    "z_extent_um": "micrometer",
}  # fmt: skip
COLUMNS: Final = (
    "cell_id", "label", "population", "observed", "time_h", "area_um2", "z_extent_um", "intensity", "snr",
    "death_signal", "touches_border", "location", "contact", "viability", "host_id", "p_inside", "p_dead",
)  # fmt: skip


def write_geff(tracked: Tracked, path: Path) -> Path:
    """Write one position as ``path.geff``.

    Axes are ``t`` (frame), ``y``, ``x`` and in 3D ``z`` (micrometres in the raw frame). Node properties carry the
    columns of ``cells`` and the guests' states; ``tracklet`` and ``lineage`` are numbers from 1.

    Parameters
    ----------
    tracked : Tracked
        The position.
    path : Path
        Stem of the group to write.

    Returns
    -------
    Path
        The group written.
    """
    target = path.with_name(path.name + ".geff")
    cells = tracked.cells
    edges = links(cells)
    is_3d = tracked.um_per_z is not None and bool(cells["z_um"].notna().all())
    axes = {"t": cells["frame"].to_numpy(np.int64)}
    axes |= {n: cells[f"{n}_um"].to_numpy(np.float64) for n in (("z", "y", "x") if is_3d else ("y", "x"))}
    properties: dict[str, npt.NDArray[Any]] = {
        **axes, "tracklet": tracklets(len(cells), edges), "lineage": lineages(len(cells), edges)
    }  # fmt: skip
    missing: dict[str, BoolArray] = {}
    for name in COLUMNS:
        empty = cells[name].isna().to_numpy(bool)
        if not empty.all() or name in ("population", "observed"):
            properties[name] = _plain(cells[name].to_numpy(), empty)
            if empty.any():
                missing[name] = empty
    group = zarr.create_group(target, zarr_format=2, overwrite=True)
    group.attrs["geff"] = _metadata(tracked, axes, properties)
    nodes = group.create_group("nodes")
    nodes.create_array("ids", data=np.arange(1, len(cells) + 1, dtype=np.uint64))
    place = nodes.create_group("props")
    for name, values in properties.items():
        one = place.create_group(name)
        one.create_array("values", data=values)
        if name in missing:
            one.create_array("missing", data=missing[name])
    ties = group.create_group("edges")
    ties.create_array("ids", data=(edges + 1).astype(np.uint64))
    ties.create_group("props")
    return target


def _plain(values: npt.NDArray[Any], empty: BoolArray) -> npt.NDArray[Any]:
    """Values as a plain array of numbers, booleans or text, with 0 or nothing where they are missing."""
    kept = values[~empty]
    if kept.dtype == object and all(isinstance(v, str) for v in kept):
        return np.array(["" if e else str(v) for v, e in zip(values, empty, strict=True)], dtype=np.str_)
    if kept.dtype == object:
        kept = kept.astype(np.bool_ if all(isinstance(v, bool | np.bool_) for v in kept) else np.float64)
    plain = np.zeros(len(values), kept.dtype)
    plain[~empty] = kept
    return plain


def _metadata(
    tracked: Tracked, axes: dict[str, npt.NDArray[Any]], properties: dict[str, npt.NDArray[Any]]
) -> dict[str, Any]:
    described = []
    for name, values in axes.items():
        axis: dict[str, Any] = {"name": name, "type": "time" if name == "t" else "space"}
        axis["unit"] = "frame" if name == "t" else "micrometer"
        if len(values):
            axis |= {"min": float(values.min()), "max": float(values.max())}
        described.append(axis)
    return {
        "geff_version": SPECIFICATION,
        "directed": True,
        "axes": described,
        "node_props_metadata": {
            name: {
                "identifier": name, "dtype": "str" if values.dtype.kind == "U" else values.dtype.name,
                **({"unit": UNITS[name]} if name in UNITS else {}),
            }
            for name, values in properties.items()
        },
        "edge_props_metadata": {},
        "track_node_props": {"tracklet": "tracklet", "lineage": "lineage"},
        "extra": {
            "cicimage": {
                "version": __version__, "position": tracked.position, "um_per_px": tracked.um_per_px,
                "um_per_z": tracked.um_per_z, "time_s": tracked.time_s.tolist(),
            }
        },
    }  # fmt: skip
