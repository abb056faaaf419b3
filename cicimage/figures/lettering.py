"""Small text as pixels, for pictures that are tiled from arrays."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

RGB = tuple[int, int, int]


@lru_cache(maxsize=8)
def _font(size_px: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), size_px)


@lru_cache(maxsize=4096)
def _ink(text: str, size_px: int) -> npt.NDArray[np.float32]:
    """Coverage of each pixel by the text, (h, w) in 0-1; the height is the same for every text of a size."""
    font = _font(size_px)
    ascent, descent = font.getmetrics()
    width = max(1, int(np.ceil(font.getlength(text))) + 1)
    image = Image.new("L", (width, ascent + descent), 0)
    ImageDraw.Draw(image).text((0, 0), text, fill=255, font=font)
    return np.asarray(image, dtype=np.float32) / np.float32(255)


def write(
    image: npt.NDArray[np.uint8],
    text: str,
    y: int,
    x: int,
    *,
    size_px: int = 11,
    colour: RGB = (0, 0, 0),
    anchor: str = "left",
) -> None:
    """Write text into an (H, W, 3) image in place, vertically centred on y; what lies outside is cut off.

    Parameters
    ----------
    image : (H, W, 3) uint8
        Changed in place.
    text : str
        One line.
    y, x : int
        Vertical centre, and the left, middle or right end as ``anchor`` says, in pixels.
    size_px : int
        Font size.
    colour : (int, int, int)
        RGB.
    anchor : str
        left | middle | right.
    """
    ink = _ink(text, size_px)
    h, w = ink.shape
    top = y - h // 2
    left = x - {"left": 0, "middle": w // 2, "right": w}[anchor]
    y0, y1 = max(top, 0), min(top + h, image.shape[0])
    x0, x1 = max(left, 0), min(left + w, image.shape[1])
    if y0 >= y1 or x0 >= x1:
        return
    cover = ink[y0 - top : y1 - top, x0 - left : x1 - left, None]
    patch = image[y0:y1, x0:x1]
    patch[:] = (patch * (1 - cover) + np.asarray(colour, np.float32) * cover + 0.5).astype(np.uint8)


def width_px(text: str, size_px: int = 11) -> int:
    """How wide the text comes out."""
    return int(_ink(text, size_px).shape[1])
