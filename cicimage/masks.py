"""Masks of one frame, one per object, since hosts overlap hosts and guests overlap hosts.

A label image cannot hold two objects in one pixel; a list of small crops can, takes less memory, and is
rendered to a label image where a viewer or an export wants one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import numpy.typing as npt

from cicimage.arrays import BoolArray

LabelArray = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Mask:
    """One object's projected mask.

    Attributes
    ----------
    label : int
        Number within its frame and population, 1 and up.
    y0, x0 : int
        Frame pixel of the crop's first pixel.
    pixels : (h, w) bool array
        True inside the object.
    """

    label: int
    y0: int
    x0: int
    pixels: BoolArray

    @property
    def window(self) -> tuple[slice, slice]:
        """Window of the crop in the frame, as two slices (Y, X)."""
        h, w = self.pixels.shape
        return slice(self.y0, self.y0 + h), slice(self.x0, self.x0 + w)

    @property
    def area_px(self) -> int:
        """Area, pixels."""
        return int(np.count_nonzero(self.pixels))

    def centroid_px(self) -> tuple[float, float]:
        """Centre of mass (y, x) in frame pixels."""
        rows, columns = self.pixels.sum(axis=1), self.pixels.sum(axis=0)
        total = rows.sum()
        y, x = rows @ np.arange(rows.size) / total, columns @ np.arange(columns.size) / total
        return float(y + self.y0), float(x + self.x0)

    @classmethod
    def cut(cls, label: int, y0: int, x0: int, pixels: BoolArray, shape: tuple[int, int]) -> Mask | None:
        """Cut pixels to a frame and to their bounding box.

        Parameters
        ----------
        label : int
            Label of the mask.
        y0, x0 : int
            Frame pixel of the crop's first pixel; may lie outside the frame.
        pixels : (h, w) bool array
            True inside the object.
        shape : (int, int)
            Height and width of the frame.

        Returns
        -------
        Mask or None
            None where no pixel lies in the frame.
        """
        top, left = max(0, -y0), max(0, -x0)
        pixels = pixels[top : max(0, shape[0] - y0), left : max(0, shape[1] - x0)]
        rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
        if not rows.size:
            return None
        tight = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].copy()
        return cls(label, y0 + top + int(rows[0]), x0 + left + int(columns[0]), tight)


class Masks(Sequence[Mask]):
    """All masks of one population in one frame.

    Parameters
    ----------
    masks : sequence of Mask
        In the order in which they are rendered: later ones on top.
    shape : (int, int)
        The frame's Y and X.
    """

    def __init__(self, masks: Sequence[Mask], shape: tuple[int, int]) -> None:
        self._masks = tuple(masks)
        self.shape = (int(shape[0]), int(shape[1]))

    @overload
    def __getitem__(self, index: int) -> Mask: ...
    @overload
    def __getitem__(self, index: slice) -> Masks: ...
    def __getitem__(self, index: int | slice) -> Mask | Masks:
        if isinstance(index, slice):
            return Masks(self._masks[index], self.shape)
        return self._masks[index]

    def __len__(self) -> int:
        return len(self._masks)

    def __iter__(self) -> Iterator[Mask]:
        return iter(self._masks)

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """Label of every mask, shape (n,)."""
        return np.array([m.label for m in self._masks], dtype=np.int64)

    @classmethod
    def from_labels(cls, labels: npt.ArrayLike) -> Masks:
        """Cut a (Y, X) label image (0 = background) into masks, ascending by label."""
        from scipy import ndimage

        image = np.asarray(labels)
        found = []
        for i, window in enumerate(ndimage.find_objects(image.astype(np.int32, copy=False)), start=1):
            if window is not None:
                found.append(Mask(i, int(window[0].start), int(window[1].start), image[window] == i))
        return cls(found, (image.shape[0], image.shape[1]))

    def to_labels(self) -> LabelArray:
        """Render to a (Y, X) int32 label image; where masks overlap the later one shows."""
        image = np.zeros(self.shape, dtype=np.int32)
        for mask in self._masks:
            image[mask.window][mask.pixels] = mask.label
        return image

    def coverage(self) -> npt.NDArray[np.uint8]:
        """Number of masks on each pixel, (Y, X) uint8."""
        image = np.zeros(self.shape, dtype=np.uint8)
        for mask in self._masks:
            image[mask.window] += mask.pixels
        return image


def encode_runs(pixels: BoolArray) -> bytes:
    """Run lengths of a boolean crop in row order, starting with the false run, as little-endian uint32.

    Examples
    --------
    >>> import numpy as np
    >>> decode_runs(encode_runs(np.array([[0, 1], [1, 0]], bool)), (2, 2)).astype(int).tolist()
    [[0, 1], [1, 0]]
    """
    flat = pixels.ravel()
    if not flat.size:
        return bytes(4)
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    first = int(flat[0])  # a crop that starts with a true pixel starts with a false run of length 0
    ends = np.empty(edges.size + 1 + first, dtype="<u4")
    ends[:first] = 0
    ends[first:-1] = edges + 1
    ends[-1] = flat.size
    ends[1:] -= ends[:-1].copy()
    return ends.tobytes()


def decode_runs(runs: bytes, shape: tuple[int, int]) -> BoolArray:
    """Undo :func:`encode_runs`.

    Parameters
    ----------
    runs : bytes
        Run lengths in row order, starting with the false run, little-endian uint32.
    shape : (int, int)
        Height and width of the crop.

    Returns
    -------
    (h, w) bool array
        The crop.

    Raises
    ------
    ValueError
        The runs do not add up to the crop.
    """
    lengths = np.frombuffer(runs, dtype="<u4")
    values = np.arange(lengths.size) % 2 == 1
    flat: BoolArray = np.repeat(values, lengths)
    if flat.size != shape[0] * shape[1]:
        raise ValueError(f"runs hold {flat.size} pixels, a crop of {shape} needs {shape[0] * shape[1]}")
    return flat.reshape(shape)
