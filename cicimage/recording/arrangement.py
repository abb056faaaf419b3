"""Which page of which file holds which plane."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

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
