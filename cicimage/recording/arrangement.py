"""Which page of which file holds which plane."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cicimage.recording.axes import where_planes_lie
from cicimage.recording.ifd import Ifd
from cicimage.recording.recording import Metadata


@dataclass(frozen=True, eq=False)
class Arrangement:
    """Which page holds which plane.

    Attributes
    ----------
    pages : tuple of (Path, Ifd)
        Pages of all files.
    where : (T, C, Z) int array
        Index into ``pages``.
    samples : (C,) int array
        Which sample of the page's pixels is the channel; 0 for grey pages.
    metadata : Metadata
        Units and names.
    """

    pages: tuple[tuple[Path, Ifd], ...]
    where: npt.NDArray[np.int64]
    samples: npt.NDArray[np.int64]
    metadata: Metadata

    def order(self) -> str:
        """Axes longer than 1 in the order of the pages, slowest first, each with its length; empty where none fits.

        None fits where the pages lie in several files, hold several samples, or are not all used in a regular order.
        """
        lengths = dict(zip("TCZ", self.where.shape, strict=True))
        alone = len({path for path, _ in self.pages}) == 1 and all(page.samples == 1 for _, page in self.pages)
        if not alone or self.where.size != len(self.pages):
            return ""
        for axes in itertools.permutations("TCZ"):
            if np.array_equal(self.where, where_planes_lie({axis: lengths[axis] for axis in axes})):
                return "".join(f"{axis}{lengths[axis]}" for axis in axes if lengths[axis] > 1)
        return ""
