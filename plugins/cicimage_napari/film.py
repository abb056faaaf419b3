"""The film strip: nine small pictures around the event; a click on one shows its frame on the canvas."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QImage, QMouseEvent, QPixmap
from qtpy.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from cicimage.masks import Mask
from cicimage.review.desk import FILM_FRAMES, Desk
from cicimage.review.keys import Key
from cicimage.review.pictures import Box, Pictures
from cicimage_napari.look import GUEST_OUTLINE, HOST_OUTLINE, LOCATION_COLOUR, composite, outline
from cicimage_napari.places import film_cut

SIDE_PX: Final = 116


def pixmap(image: npt.NDArray[np.uint8], height: int, width: int | None = None) -> QPixmap:
    """Turn an image into a Qt pixmap of a given size.

    Parameters
    ----------
    image : (Y, X, 3) uint8
        Red, green, blue.
    height : int
        Height on the screen, px.
    width : int, optional
        Width on the screen, px; the height by default. The aspect ratio of the image is not kept.

    Returns
    -------
    QPixmap
        Interpolated smoothly; an image whose pixels should stay sharp is enlarged before.
    """
    plain = np.ascontiguousarray(image)
    picture = QImage(plain.data, plain.shape[1], plain.shape[0], 3 * plain.shape[1], QImage.Format.Format_RGB888)
    scaled = QPixmap.fromImage(picture.copy())
    mode = Qt.TransformationMode.SmoothTransformation
    return scaled.scaled(width or height, height, Qt.AspectRatioMode.IgnoreAspectRatio, mode)


class Thumb(QLabel):
    """One picture of the strip."""

    clicked = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.frame = 0
        self.setFixedSize(SIDE_PX + 6, SIDE_PX + 6)
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Emit ``clicked`` with the frame of this picture."""
        self.clicked.emit(self.frame)


class FilmStrip(QWidget):
    """The strip; the border of each picture has the colour of the guest's location in that frame.

    Parameters
    ----------
    pictures : Pictures
        Cuts of the recordings.
    """

    chosen = Signal(int)

    def __init__(self, pictures: Pictures) -> None:
        super().__init__()
        self.pictures = pictures
        self._thumbs = [Thumb() for _ in range(FILM_FRAMES)]
        self._words = [QLabel() for _ in range(FILM_FRAMES)]
        row = QHBoxLayout(self)
        row.setContentsMargins(4, 2, 4, 2)
        row.setSpacing(4)
        for thumb, words in zip(self._thumbs, self._words, strict=True):
            column = QVBoxLayout()
            column.setSpacing(1)
            words.setAlignment(Qt.AlignmentFlag.AlignCenter)
            words.setStyleSheet("font-size: 10px; color: #b8bec8;")
            column.addWidget(thumb)
            column.addWidget(words)
            row.addLayout(column)
            thumb.clicked.connect(self.chosen)
        row.addStretch(1)

    def show_item(self, desk: Desk, roles: list[str], levels: list[tuple[float, float]]) -> None:
        """Show the strip of the desk's item.

        Parameters
        ----------
        desk : Desk
            With an item.
        roles : list of str
            Role of each channel, a key of :data:`cicimage_napari.look.CHANNEL_COLOUR`.
        levels : list of (float, float)
            Black and white level of each channel, in the units of the recording's pixels.
        """
        rows = desk.rows()
        by_frame = rows.set_index("frame")
        frames, found = desk.film(), objects_of(desk)
        for n, (thumb, words) in enumerate(zip(self._thumbs, self._words, strict=True)):
            visible = n < len(frames)
            thumb.setVisible(visible)
            words.setVisible(visible)
            if not visible:
                continue
            thumb.frame = frames[n]
            row = by_frame.loc[frames[n]] if frames[n] in by_frame.index else None
            image = self._picture(desk, rows, frames[n], roles, levels, own_masks(desk, found, frames[n]))
            thumb.setPixmap(pixmap(image, SIDE_PX))
            time_h = desk.corrected.base.time_h[frames[n]]
            words.setText(f"{frames[n]}  ·  {time_h:.1f} h" + ("" if row is None else f"\n{row['location']}"))
            colour = LOCATION_COLOUR[str(row["location"])] if row is not None else "#3a3f4a"
            thumb.setStyleSheet(f"border: 2px solid {colour}; background: #101216;")
        self.mark(desk.frame)

    def mark(self, frame: int) -> None:
        """Highlight the label of the frame that is on the canvas."""
        for thumb, words in zip(self._thumbs, self._words, strict=True):
            here = thumb.frame == frame
            words.setStyleSheet(f"font-size: 10px; color: {'#ffffff' if here else '#98a0ac'};"
                                + ("font-weight: bold;" if here else ""))  # fmt: skip

    def _picture(
        self, desk: Desk, rows: pd.DataFrame, frame: int, roles: list[str], levels: list[tuple[float, float]],
        masks: list[tuple[Mask, str]],
    ) -> npt.NDArray[np.uint8]:  # fmt: skip
        cut = film_cut(desk.corrected.base, rows, desk.current.candidate, frame)
        found = self.pictures.get(desk.corrected.base, cut)
        if found is None:
            image = np.zeros((cut.box.side, cut.box.side, 3), np.uint8)
        else:
            image = composite(found, roles, levels)
        zoom = max(1, SIDE_PX // cut.box.side)
        image = np.repeat(np.repeat(image, zoom, axis=0), zoom, axis=1)
        for mask, colour in masks:
            outline(image, np.repeat(np.repeat(_within(mask, cut.box), zoom, axis=0), zoom, axis=1), colour)
        return image


def objects_of(desk: Desk) -> list[tuple[str, dict[int, Key]]]:
    """Outline colour and objects by frame: of the item's host, then of its guest.

    A cell that the item does not have is left out.
    """
    draft = desk.corrected.draft
    pair = ((draft.base.host, desk.host, HOST_OUTLINE), (draft.base.guest, desk.guest, GUEST_OUTLINE))
    return [(colour, {k.frame: k for k in draft.objects_of(p, cell)}) for p, cell, colour in pair if cell]


def own_masks(desk: Desk, found: list[tuple[str, dict[int, Key]]], frame: int) -> list[tuple[Mask, str]]:
    """Masks of the item's host and guest in a frame, each with its outline colour.

    Parameters
    ----------
    desk : Desk
        With an item.
    found : list of (str, dict)
        As :func:`objects_of` returns them.
    frame : int
        Frame of the recording.

    Returns
    -------
    list of (Mask, str)
        Empty where neither cell was found in this frame.
    """
    draft = desk.corrected.draft
    return [(draft.mask(keys[frame]), colour) for colour, keys in found if frame in keys]


def _within(mask: Mask, box: Box) -> npt.NDArray[np.bool_]:
    image = np.zeros((box.side, box.side), np.bool_)
    h, w = mask.pixels.shape
    top, left = max(mask.y0, box.y0), max(mask.x0, box.x0)
    bottom, right = min(mask.y0 + h, box.y0 + box.side), min(mask.x0 + w, box.x0 + box.side)
    if top < bottom and left < right:
        image[top - box.y0 : bottom - box.y0, left - box.x0 : right - box.x0] = mask.pixels[
            top - mask.y0 : bottom - mask.y0, left - mask.x0 : right - mask.x0
        ]
    return image
