"""Side views through the guest, the only view in which inside, on top and under look different."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from cicimage.review.desk import Desk
from cicimage.review.pictures import Box
from cicimage_napari.film import pixmap
from cicimage_napari.look import GUEST_OUTLINE, composite, rgb
from cicimage_napari.places import place_of

WIDTH_UM: Final = 36.0
WIDTH_PX: Final = 252


class Sections(QWidget):
    """The XZ and the YZ section through the guest's centre, z to scale."""

    def __init__(self) -> None:
        super().__init__()
        self._views = {name: QLabel() for name in ("xz", "yz")}
        self._words = {name: QLabel() for name in ("xz", "yz")}
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 2, 4, 2)
        column.setSpacing(2)
        for name in ("xz", "yz"):
            self._words[name].setStyleSheet("font-size: 10px; color: #b8bec8;")
            self._views[name].setAlignment(Qt.AlignmentFlag.AlignCenter)
            self._views[name].setStyleSheet("background: #101216;")
            self._views[name].setMinimumSize(WIDTH_PX, 40)
            column.addWidget(self._words[name])
            column.addWidget(self._views[name])
        column.addStretch(1)

    def show_frame(
        self, desk: Desk, block: npt.NDArray[Any], box: Box, roles: list[str], levels: list[tuple[float, float]]
    ) -> None:
        """Show the sections of the desk's frame; a 2D recording gets a sentence instead.

        Parameters
        ----------
        desk : Desk
            With an item; gives the guest's position and the pixel size.
        block : (C, Z, Y, X) or (C, Y, X)
            Pixels of the canvas; without z in 2D.
        box : Box
            Part of the frame that the block covers, px.
        roles : list of str
            Role of each channel, a key of :data:`cicimage_napari.look.CHANNEL_COLOUR`.
        levels : list of (float, float)
            Black and white level of each channel, in the units of the block's pixels.
        """
        optics = desk.corrected.base.setting.optics
        if block.ndim == 3 or optics.um_per_z is None:
            self._words["xz"].setText("side views")
            self._views["xz"].setText("One focal plane:\nprojection only.\nInside, under and on top look alike.")
            self._views["xz"].setStyleSheet("background: #101216; color: #e8b34c;")
            self._words["yz"].setText("")
            self._views["yz"].clear()
            return
        y, x, z = place_of(desk, desk.frame)
        row, column = (round(p / optics.um_per_px) - c for p, c in ((y, box.y0), (x, box.x0)))
        half = round(WIDTH_UM / optics.um_per_px / 2)
        size = block.shape[-1]
        row, column = int(np.clip(row, 0, size - 1)), int(np.clip(column, 0, size - 1))
        cuts = {
            "xz": block[:, ::-1, row, max(0, column - half) : column + half + 1],
            "yz": block[:, ::-1, max(0, row - half) : row + half + 1, column],
        }
        extent = _extent(desk)
        for name, cut in cuts.items():
            image = composite(cut, roles, levels)
            height = round(WIDTH_PX * cut.shape[1] * optics.um_per_z / (cut.shape[2] * optics.um_per_px))
            picture = _enlarged(image, max(height, 40))
            _mark(picture, cut.shape[1], z / optics.um_per_z, extent / optics.um_per_z)
            self._views[name].setPixmap(pixmap(picture, picture.shape[0], WIDTH_PX))
            self._words[name].setText(f"{name.upper()} through the guest, top of the stack above")


def _enlarged(image: npt.NDArray[np.uint8], height: int) -> npt.NDArray[np.uint8]:
    rows = np.minimum((np.arange(height) * image.shape[0] / height).astype(int), image.shape[0] - 1)
    columns = np.minimum((np.arange(WIDTH_PX) * image.shape[1] / WIDTH_PX).astype(int), image.shape[1] - 1)
    return image[rows][:, columns].copy()


def _mark(image: npt.NDArray[np.uint8], slices: int, z: float, extent: float) -> None:
    """Ticks at both sides, at the top and the bottom of the guest; none where its height is not known."""
    if np.isnan(z):
        return
    per_slice = image.shape[0] / slices
    for edge in (z - extent / 2, z + extent / 2):
        at = int(np.clip(image.shape[0] - (edge + 0.5) * per_slice, 0, image.shape[0] - 1))
        image[at, :8] = image[at, -8:] = rgb(GUEST_OUTLINE)


def _extent(desk: Desk) -> float:
    """The guest's axial extent in the desk's frame, um; the diameter of its mask where it was not measured."""
    cells = desk.corrected.guest(desk.guest).cells
    row = cells[cells["frame"] == desk.frame]
    if len(row) and not np.isnan(row["z_extent_um"].iloc[0]):
        return float(row["z_extent_um"].iloc[0])
    draft = desk.corrected.draft
    key = draft.object_in(draft.base.guest, desk.guest, desk.frame)
    area = draft.mask(key).area_px if key is not None else 0
    return float(2 * np.sqrt(area / np.pi) * desk.corrected.base.setting.optics.um_per_px)
