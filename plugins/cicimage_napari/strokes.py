"""A stroke of the brush, derived from the label image before and after it, independent of napari's paint events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from cicimage.masks import Mask


@dataclass(frozen=True, eq=False)
class Stroke:
    """Pixels that one object gained or lost.

    Attributes
    ----------
    label : int
        The object.
    kind : str
        paint | erase.
    pixels : (n, 2) int64
        Rows and columns of the label image.
    """

    label: int
    kind: Literal["paint", "erase"]
    pixels: npt.NDArray[np.int64]

    def applied(self, before: Mask | None, corner: tuple[int, int], shape: tuple[int, int]) -> Mask | None:
        """The object's mask after the stroke.

        Parameters
        ----------
        before : Mask or None
            Its mask in the frame's pixels, which may reach beyond the label image; None for a new object.
        corner : (int, int)
            Row and column, in the frame, of the label image's first pixel.
        shape : (int, int)
            The frame's Y and X; strokes beyond the border are cut off.

        Returns
        -------
        Mask or None
            None where no pixel is left.
        """
        places = self.pixels + np.array(corner)
        within = (places >= 0).all(axis=1) & (places[:, 0] < shape[0]) & (places[:, 1] < shape[1])
        places = places[within]
        if before is not None:
            ys, xs = np.nonzero(before.pixels)
            had = np.stack([ys + before.y0, xs + before.x0], axis=1)
        else:
            had = np.zeros((0, 2), np.int64)
        if self.kind == "paint":
            now = np.unique(np.concatenate([had, places]), axis=0)
        else:
            gone = {(int(y), int(x)) for y, x in places}
            now = np.array([p for p in had.tolist() if tuple(p) not in gone], np.int64).reshape(-1, 2)
        if not len(now):
            return None
        (y0, x0), (y1, x1) = now.min(axis=0), now.max(axis=0)
        pixels = np.zeros((y1 - y0 + 1, x1 - x0 + 1), np.bool_)
        pixels[now[:, 0] - y0, now[:, 1] - x0] = True
        return Mask(self.label, int(y0), int(x0), pixels)


def stroke_between(before: npt.NDArray[np.int32], after: npt.NDArray[np.int32]) -> list[Stroke]:
    """Find the pixels each object lost and gained between two label images.

    Parameters
    ----------
    before, after : (Y, X) int
        Labels, 0 = background.

    Returns
    -------
    list of Stroke
        Losses first: a brush over a neighbour takes its pixels before it gives them to another object.

    Examples
    --------
    >>> import numpy as np
    >>> a, b = np.array([[1, 1, 0]], np.int32), np.array([[1, 2, 2]], np.int32)
    >>> [(s.label, s.kind, s.pixels.tolist()) for s in stroke_between(a, b)]
    [(1, 'erase', [[0, 1]]), (2, 'paint', [[0, 1], [0, 2]])]
    """
    where = np.argwhere(before != after)
    if not len(where):
        return []
    old, new = before[tuple(where.T)], after[tuple(where.T)]
    lost = [Stroke(int(v), "erase", where[old == v]) for v in np.unique(old) if v]
    won = [Stroke(int(v), "paint", where[new == v]) for v in np.unique(new) if v]
    return lost + won
