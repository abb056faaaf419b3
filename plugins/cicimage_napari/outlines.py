"""One population's masks as a label layer: the item's own cells bright, the one clicked yellow, others dim.

Pixels hold small numbers given anew with every drawing, not the masks' labels: colours then never change, and napari
draws bytes as they are, where it would map wider numbers one by one and compile the code for that first.
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
"""Objects beyond the 250th are drawn alike; no field shown is crowded like this."""


def colours() -> Any:
    """One colour per number a byte can hold; 0 is transparent."""
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
    """A label layer and what its pixels mean.

    Parameters
    ----------
    viewer : napari.Viewer
        Where the layer goes.
    name : str
        Its name, which tells nothing of the recording.
    box : Box
        Side of the picture.
    um_per_px : float
        Scale.
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
        """Draw masks; ``special`` gives the number of those that have one of their own, by label."""
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
        """The pixels' number of an object; a free one for an object that has no pixel yet."""
        known = {v: k for k, v in self._label_of.items()}
        if label not in known:
            free = next(n for n in range(FIRST_OTHER, CROWD) if n not in self._label_of)
            self._label_of[free] = label
            return free
        return known[label]

    def strokes(self, new_label: int) -> list[Stroke]:
        """What was painted since the last drawing; a number nobody has is a new object of that label."""
        found = stroke_between(self._before, np.asarray(self.layer.data))
        return [
            Stroke(self._label_of.get(s.label, new_label), s.kind, s.pixels) for s in found if s.label != CROWD
        ]  # fmt: skip


def put(image: npt.NDArray[np.uint8], mask: Mask, box: Box, value: int) -> bool:
    """Draw a mask into the box's picture; False where it lies outside."""
    h, w = mask.pixels.shape
    top, left = max(mask.y0, box.y0), max(mask.x0, box.x0)
    bottom, right = min(mask.y0 + h, box.y0 + box.side), min(mask.x0 + w, box.x0 + box.side)
    if top >= bottom or left >= right:
        return False
    part = mask.pixels[top - mask.y0 : bottom - mask.y0, left - mask.x0 : right - mask.x0]
    image[top - box.y0 : bottom - box.y0, left - box.x0 : right - box.x0][part] = value
    return True
