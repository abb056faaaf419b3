"""Colours and widths of small text in pictures tiled from arrays."""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path

import matplotlib as mpl
from PIL import ImageFont

RGB = tuple[int, int, int]


@lru_cache(maxsize=8)
def _font(size_px: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), size_px)


@lru_cache(maxsize=4096)
def width_px(text: str, size_px: int = 11) -> int:
    """Measure the width of a text.

    Parameters
    ----------
    text : str
        One line.
    size_px : int
        Size of the font, pixels.

    Returns
    -------
    int
        Width, pixels.
    """
    return max(1, math.ceil(_font(size_px).getlength(text)) + 1)
