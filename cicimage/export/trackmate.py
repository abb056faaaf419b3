"""TrackMate XML, one file per population: spots, tracks and the settings needed to open it in Fiji.

References
----------
.. [1] Tinevez et al. 2017, Methods 115:80, and https://imagej.net/plugins/trackmate; the layout of version 7.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from markupsafe import escape

from cicimage.export.graph import lineages, links
from cicimage.export.tracked import Tracked
from cicimage.store import atomic

VERSION: Final = "7.10.2"
SPOT_FEATURES: Final = (
    ("QUALITY", "Quality", "QUALITY", False), ("POSITION_X", "X", "POSITION", False),
    ("POSITION_Y", "Y", "POSITION", False), ("POSITION_Z", "Z", "POSITION", False),
    ("POSITION_T", "T", "TIME", False), ("FRAME", "Frame", "NONE", True), ("RADIUS", "Radius", "LENGTH", False),
    ("VISIBILITY", "Visibility", "NONE", True), ("AREA", "Area", "AREA", False),
    ("CELL_ID", "Cell", "NONE", True),
)  # fmt: skip
GUEST_FEATURES: Final = (
    ("HOST_ID", "Host", "NONE", True), ("P_INSIDE", "Probability of being inside", "NONE", False),
)  # fmt: skip
EDGE_FEATURES: Final = (
    ("SPOT_SOURCE_ID", "Source spot ID", "NONE", True), ("SPOT_TARGET_ID", "Target spot ID", "NONE", True),
    ("LINK_COST", "Edge cost", "COST", False), ("EDGE_TIME", "Edge time", "TIME", False),
)  # fmt: skip
TRACK_FEATURES: Final = (
    ("TRACK_INDEX", "Track index", "NONE", True), ("TRACK_ID", "Track ID", "NONE", True),
    ("NUMBER_SPOTS", "Number of spots in track", "NONE", True), ("TRACK_START", "Track start", "TIME", False),
    ("TRACK_STOP", "Track stop", "TIME", False), ("TRACK_DURATION", "Duration of track", "TIME", False),
)  # fmt: skip
_FORBIDDEN: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""Characters that are not allowed in XML."""


def write_trackmate(tracked: Tracked, path: Path) -> list[Path]:
    """Write ``path_<population>.xml`` for each population.

    Positions are micrometres in the raw frame, times seconds on the movie's clock; spots carry ``CELL_ID`` and, for
    guests, ``HOST_ID`` and ``P_INSIDE``. The radius is that of a disc of the mask's area.

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
        target = path.with_name(f"{path.name}_{population}.xml")
        with atomic(target) as file:
            for line in _document(tracked, tracked.of(population)):
                file.write(f"{line}\n".encode())
        written.append(target)
    return written


def _tag(name: str, attributes: Mapping[str, Any], *, close: bool = True) -> str:
    inner = "".join(f' {k}="{escape(_FORBIDDEN.sub("?", _text(v)))}"' for k, v in attributes.items())
    return f"<{name}{inner}{' /' if close else ''}>"


def _text(value: Any) -> str:
    return repr(float(value)) if isinstance(value, float | np.floating) else str(value)


def _document(tracked: Tracked, rows: pd.DataFrame) -> Iterator[str]:
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield _tag("TrackMate", {"version": VERSION}, close=False)
    yield _tag("Model", {"spatialunits": "micron", "timeunits": "sec"}, close=False)
    yield from _declarations(guests=bool(rows["p_inside"].notna().any()))
    yield from _spots(tracked, rows)
    yield from _tracks(tracked, rows, links(rows))
    yield "</Model>"
    yield from _settings(tracked)
    yield _tag("GUIState", {"state": "ConfigureViews"})
    yield "</TrackMate>"


def _declarations(*, guests: bool) -> Iterator[str]:
    spots = SPOT_FEATURES + (GUEST_FEATURES if guests else ())
    yield "<FeatureDeclarations>"
    for group, features in (
        ("SpotFeatures", spots), ("EdgeFeatures", EDGE_FEATURES), ("TrackFeatures", TRACK_FEATURES)
    ):  # fmt: skip
        yield f"<{group}>"
        for feature, name, dimension, whole in features:
            yield _tag(
                "Feature",
                {"feature": feature, "name": name, "shortname": name, "dimension": dimension, "isint": _bool(whole)},
            )
        yield f"</{group}>"
    yield "</FeatureDeclarations>"


def _bool(value: bool) -> str:
    return "true" if value else "false"


def _spots(tracked: Tracked, rows: pd.DataFrame) -> Iterator[str]:
    yield _tag("AllSpots", {"nspots": len(rows)}, close=False)
    guests = bool(rows["p_inside"].notna().any())
    for frame, part in rows.groupby("frame", sort=True):
        yield _tag("SpotsInFrame", {"frame": frame}, close=False)
        for number, row in zip(part.index, part.to_dict("records"), strict=True):
            yield _tag("Spot", _spot(int(number) + 1, row, tracked, guests=guests))
        yield "</SpotsInFrame>"
    yield "</AllSpots>"


def _spot(number: int, row: Mapping[Any, Any], tracked: Tracked, *, guests: bool) -> dict[str, Any]:
    area = 0.0 if pd.isna(row["area_um2"]) else float(row["area_um2"])
    spot = {
        "ID": number, "name": f"cell {int(row['cell_id'])}", "QUALITY": 1.0 if row["observed"] else 0.0,
        "POSITION_X": float(row["x_um"]), "POSITION_Y": float(row["y_um"]),
        "POSITION_Z": 0.0 if pd.isna(row["z_um"]) else float(row["z_um"]),
        "POSITION_T": float(tracked.time_s[int(row["frame"])]), "FRAME": int(row["frame"]),
        "RADIUS": max(float(np.sqrt(area / np.pi)), tracked.um_per_px), "VISIBILITY": 1, "AREA": area,
        "CELL_ID": int(row["cell_id"]),
    }  # fmt: skip
    if guests:
        known = not pd.isna(row["p_inside"])
        spot |= {"HOST_ID": int(row["host_id"]) if known else 0, "P_INSIDE": row["p_inside"] if known else "NaN"}
    return spot


def _tracks(tracked: Tracked, rows: pd.DataFrame, edges: Any) -> Iterator[str]:
    family = lineages(len(rows), edges)
    of_edge = family[edges[:, 0]] if len(edges) else np.empty(0, np.int64)
    times = tracked.time_s[rows["frame"].to_numpy(np.int64)]
    shown = np.unique(of_edge)
    yield "<AllTracks>"
    for index, number in enumerate(shown):
        start, stop = float(times[family == number].min()), float(times[family == number].max())
        yield _tag(
            "Track",
            {
                "name": f"Track_{number}", "TRACK_INDEX": index, "TRACK_ID": number,
                "NUMBER_SPOTS": int((family == number).sum()), "TRACK_START": start, "TRACK_STOP": stop,
                "TRACK_DURATION": stop - start,
            },
            close=False,
        )  # fmt: skip
        for source, target in edges[of_edge == number]:
            middle = float(times[source] + times[target]) / 2
            ends = {"SPOT_SOURCE_ID": source + 1, "SPOT_TARGET_ID": target + 1}
            yield _tag("Edge", {**ends, "LINK_COST": 0.0, "EDGE_TIME": middle})
        yield "</Track>"
    yield "</AllTracks>"
    yield "<FilteredTracks>"
    yield from (_tag("TrackID", {"TRACK_ID": number}) for number in shown)
    yield "</FilteredTracks>"


def _settings(tracked: Tracked) -> Iterator[str]:
    sizes, steps = tracked.sizes, np.diff(tracked.time_s)
    yield "<Settings>"
    yield _tag(
        "ImageData",
        {
            "filename": tracked.path.name, "folder": f"{tracked.path.parent}/", "width": sizes["X"],
            "height": sizes["Y"], "nslices": sizes["Z"], "nframes": sizes["T"], "pixelwidth": tracked.um_per_px,
            "pixelheight": tracked.um_per_px, "voxeldepth": tracked.um_per_z or 1.0,
            "timeinterval": float(np.median(steps)) if len(steps) else 1.0,
        },
    )  # fmt: skip
    yield _tag(
        "BasicSettings",
        {
            "xstart": 0, "xend": sizes["X"] - 1, "ystart": 0, "yend": sizes["Y"] - 1, "zstart": 0,
            "zend": sizes["Z"] - 1, "tstart": 0, "tend": sizes["T"] - 1,
        },
    )  # fmt: skip
    yield "</Settings>"
