"""Which part of which frame an item's pictures show."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd

from cicimage.review.base import Base
from cicimage.review.candidates import Candidate
from cicimage.review.corrected import Corrected
from cicimage.review.desk import Desk, film_of
from cicimage.review.keys import Key
from cicimage.review.pictures import Box, Cut
from cicimage.review.queue import Item
from cicimage.review.response import guest_of, host_of

VIEW_UM: Final = 110.0
"""Width of the canvas's cut: the guest, its host, and their neighbours."""
CROP_UM: Final = 32.0
"""Width of a picture of the film."""


def place_in(rows: pd.DataFrame, candidate: Candidate, frame: int) -> tuple[float, float, float]:
    """Where the guest is in a frame, else in the nearest one it is seen in: y, x, z in um."""
    if not len(rows):
        return candidate.y_um, candidate.x_um, float("nan")
    row: Any = rows.iloc[int(np.abs(rows["frame"].to_numpy() - frame).argmin())]
    return float(row["y_um"]), float(row["x_um"]), float(row["z_um"])


def place_of(desk: Desk, frame: int) -> tuple[float, float, float]:
    """The same for the item on the screen."""
    return place_in(desk.rows(), desk.current.candidate, frame)


def canvas_box(base: Base, rows: pd.DataFrame, candidate: Candidate, frame: int) -> Box:
    """The square around the guest in the item's first frame."""
    um = base.setting.optics.um_per_px
    y, x, _ = place_in(rows, candidate, frame)
    return Box.around(y / um, x / um, max(32, round(VIEW_UM / um)))


def film_cut(base: Base, rows: pd.DataFrame, candidate: Candidate, frame: int) -> Cut:
    """The slice through the guest in one frame."""
    optics = base.setting.optics
    y, x, z = place_in(rows, candidate, frame)
    at = 0 if optics.um_per_z is None or np.isnan(z) else round(z / optics.um_per_z)
    side = max(16, round(CROP_UM / optics.um_per_px))
    return Cut(frame, at, Box.around(y / optics.um_per_px, x / optics.um_per_px, side))


def cuts_of(corrected: Corrected, item: Item) -> list[Cut]:
    """Everything that will be asked for when an item comes up."""
    base, c = corrected.base, item.candidate
    rows = corrected.guest(guest_of(corrected, item)).frames.sort_values("frame", kind="stable")
    canvas = Cut(item.frame, None, canvas_box(base, rows, c, item.frame))
    return [canvas, *(film_cut(base, rows, c, frame) for frame in film_of(base, c))]


def masks_of(corrected: Corrected, item: Item) -> list[Key]:
    """Objects whose masks the film will outline, and one of the canvas's frame last, whose neighbours come along."""
    draft = corrected.draft
    pair = ((draft.base.host, host_of(corrected, item)), (draft.base.guest, guest_of(corrected, item)))
    frames = [f for f in film_of(corrected.base, item.candidate) if f != item.frame]
    by_frame = [{k.frame: k for k in draft.objects_of(population, cell)} for population, cell in pair]
    return [keys[f] for f in (*frames, item.frame) for keys in by_frame if f in keys]
