"""One population's masks as a label layer: the item's own cells bright, the one clicked yellow, others dim.

The layer holds one byte per pixel, assigned anew with every drawing, and not the masks' labels. Colours then never
change, and napari draws bytes directly, where it would map wider integers one by one and compile code for that first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cicimage.masks import Mask
from cicimage.review.pictures import Box
from cicimage_napari.look import GUEST_OUTLINE, HOST_OUTLINE, OTHER_OUTLINE, rgb
from cicimage_napari.strokes import Stroke, stroke_between

CLICKED_OUTLINE: Final = "#ffd800"
OWN_GUEST, OWN_HOST, CLICKED, FIRST_OTHER = 1, 2, 3, 4
CROWD: Final = 255
"""Value shared by all further objects once the values below it are used up."""


def colours() -> Any:
    """Colour map of the layer, one colour per value of a byte; 0 is transparent."""
    from napari.utils.colormaps import CyclicLabelColormap

    table = np.empty((256, 4), np.float32)
    table[:] = (*(c / 255 for c in rgb(OTHER_OUTLINE)), 1.0)
    for number, colour in ((OWN_GUEST, GUEST_OUTLINE), (OWN_HOST, HOST_OUTLINE), (CLICKED, CLICKED_OUTLINE)):
        table[number, :3] = [c / 255 for c in rgb(colour)]
    table[0] = 0.0
    return CyclicLabelColormap(colors=table, background_value=0)


def one_colour(colour: str) -> Any:
    """All labels in one colour."""
    from napari.utils.colormaps import CyclicLabelColormap

    table = np.array([[0, 0, 0, 0], [*(c / 255 for c in rgb(colour)), 1.0]], np.float32)
    return CyclicLabelColormap(colors=table, background_value=0)


class Outlines:
    """A label layer, and the object that each of its values stands for.

    Parameters
    ----------
    viewer : napari.Viewer
        Where the layer goes.
    name : str
        Name of the layer; it reveals nothing of the recording.
    box : Box
        Gives the side of the picture, px.
    um_per_px : float
        Pixel size, um.
    """

    def __init__(self, viewer: Any, name: str, box: Box, um_per_px: float) -> None:
        self.layer = viewer.add_labels(
            np.zeros((box.side, box.side), np.uint8), name=name, scale=(um_per_px, um_per_px), opacity=0.9,
            units=("um", "um"), colormap=colours(),
        )  # fmt: skip
        self.layer.contour = max(1, round(0.35 / um_per_px))
        self.layer.preserve_labels = True
        self._label_of: dict[int, int] = {}
        self._before = np.zeros((box.side, box.side), np.uint8)

    def draw(self, masks: Sequence[Mask], box: Box, special: Mapping[int, int]) -> None:
        """Draw masks anew.

        Parameters
        ----------
        masks : sequence of Mask
            All masks of the population that may reach into the box, in pixels of the frame.
        box : Box
            Part of the frame that the layer shows; as large as the one the layer was made for.
        special : mapping of int to int
            Label of a mask to its value in the layer (``OWN_GUEST``, ``OWN_HOST``, ``CLICKED``); other masks get the
            next free value.
        """
        image = np.zeros((box.side, box.side), np.uint8)
        self._label_of = {}
        number = FIRST_OTHER
        for mask in masks:
            value = special.get(mask.label, 0)
            if not value or value in self._label_of:
                value = min(number, CROWD)
            if put(image, mask, box, value):
                if value < CROWD:
                    self._label_of[value] = mask.label
                number += value == number
        self._before = image.copy()
        self.layer.data[...] = image
        self.layer.refresh(thumbnail=False, extent=False, highlight=False)

    def number_of(self, label: int) -> int:
        """Value of an object's pixels in the layer; an object that has no pixel yet gets a free value."""
        known = {v: k for k, v in self._label_of.items()}
        if label not in known:
            free = next(n for n in range(FIRST_OTHER, CROWD) if n not in self._label_of)
            self._label_of[free] = label
            return free
        return known[label]

    def strokes(self, new_label: int) -> list[Stroke]:
        """What was painted since the last drawing.

        A value that belongs to no object makes a new object with the label given.
        """
        found = stroke_between(self._before, np.asarray(self.layer.data))
        return [
            Stroke(self._label_of.get(s.label, new_label), s.kind, s.pixels) for s in found if s.label != CROWD
        ]  # fmt: skip


def put(image: npt.NDArray[np.uint8], mask: Mask, box: Box, value: int) -> bool:
    """Draw a mask into the picture of a box, in place.

    Parameters
    ----------
    image : (side, side) uint8
        Picture that is changed.
    mask : Mask
        In pixels of the frame; what lies outside the box is cut off.
    box : Box
        Part of the frame that the picture shows.
    value : int
        Written into the mask's pixels, 0-255.

    Returns
    -------
    bool
        False where the mask lies wholly outside the box.
    """
    h, w = mask.pixels.shape
    top, left = max(mask.y0, box.y0), max(mask.x0, box.x0)
    bottom, right = min(mask.y0 + h, box.y0 + box.side), min(mask.x0 + w, box.x0 + box.side)
    if top >= bottom or left >= right:
        return False
    part = mask.pixels[top - mask.y0 : bottom - mask.y0, left - mask.x0 : right - mask.x0]
    image[top - box.y0 : bottom - box.y0, left - box.x0 : right - box.x0][part] = value
    return True
