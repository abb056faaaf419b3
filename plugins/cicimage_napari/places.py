"""Which part of which frame the pictures of an item show."""

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
"""Width of the canvas's cut, um: the guest, its host, and their neighbours."""
CROP_UM: Final = 32.0
"""Width of a picture of the film strip, um."""


def place_in(rows: pd.DataFrame, candidate: Candidate, frame: int) -> tuple[float, float, float]:
    """Position of the guest in a frame, or in the nearest frame in which it was found.

    Parameters
    ----------
    rows : DataFrame
        The guest's rows of table ``frames``; may be empty.
    candidate : Candidate
        Gives y and x where there are no rows.
    frame : int
        Frame of the recording.

    Returns
    -------
    y, x, z : float
        um in the raw frame, drift not taken off; z is NaN in 2D and where there are no rows.
    """
    if not len(rows):
        return candidate.y_um, candidate.x_um, float("nan")
    row: Any = rows.iloc[int(np.abs(rows["frame"].to_numpy() - frame).argmin())]
    return float(row["y_um"]), float(row["x_um"]), float(row["z_um"])


def place_of(desk: Desk, frame: int) -> tuple[float, float, float]:
    """Position of the guest of the desk's item in a frame.

    Parameters
    ----------
    desk : Desk
        With an item.
    frame : int
        Frame of the recording.

    Returns
    -------
    y, x, z : float
        As :func:`place_in` returns them.
    """
    return place_in(desk.rows(), desk.current.candidate, frame)


def canvas_box(base: Base, rows: pd.DataFrame, candidate: Candidate, frame: int) -> Box:
    """The square of the canvas, ``VIEW_UM`` wide, centred on the guest.

    Parameters
    ----------
    base : Base
        The position's results; gives the pixel size.
    rows, candidate, frame
        As :func:`place_in` takes them; the frame is the item's first.

    Returns
    -------
    Box
        At least 32 px wide; it may reach beyond the frame's border.
    """
    um = base.setting.optics.um_per_px
    y, x, _ = place_in(rows, candidate, frame)
    return Box.around(y / um, x / um, max(32, round(VIEW_UM / um)))


def film_cut(base: Base, rows: pd.DataFrame, candidate: Candidate, frame: int) -> Cut:
    """The cut of one picture of the film strip: the slice through the guest's centre, ``CROP_UM`` wide.

    Parameters
    ----------
    base, rows, candidate, frame
        As :func:`canvas_box` takes them.

    Returns
    -------
    Cut
        Slice 0 where the guest's height is not known.
    """
    optics = base.setting.optics
    y, x, z = place_in(rows, candidate, frame)
    at = 0 if optics.um_per_z is None or np.isnan(z) else round(z / optics.um_per_z)
    side = max(16, round(CROP_UM / optics.um_per_px))
    return Cut(frame, at, Box.around(y / optics.um_per_px, x / optics.um_per_px, side))


def cuts_of(corrected: Corrected, item: Item) -> list[Cut]:
    """All cuts that the screen asks for when an item comes up: the canvas first, then the film strip.

    Parameters
    ----------
    corrected : Corrected
        The position, with the edits made so far.
    item : Item
        An item of this position.

    Returns
    -------
    list of Cut
    """
    base, c = corrected.base, item.candidate
    rows = corrected.guest(guest_of(corrected, item)).frames.sort_values("frame", kind="stable")
    canvas = Cut(item.frame, None, canvas_box(base, rows, c, item.frame))
    return [canvas, *(film_cut(base, rows, c, frame) for frame in film_of(base, c))]


def masks_of(corrected: Corrected, item: Item) -> list[Key]:
    """Objects whose masks the film strip outlines, for reading them ahead.

    Parameters
    ----------
    corrected, item
        As :func:`cuts_of` takes them.

    Returns
    -------
    list of Key
        Those of the canvas's frame come last: reading one also loads its neighbours, which the canvas shows.
    """
    draft = corrected.draft
    pair = ((draft.base.host, host_of(corrected, item)), (draft.base.guest, guest_of(corrected, item)))
    frames = [f for f in film_of(corrected.base, item.candidate) if f != item.frame]
    by_frame = [{k.frame: k for k in draft.objects_of(population, cell)} for population, cell in pair]
    return [keys[f] for f in (*frames, item.frame) for keys in by_frame if f in keys]
