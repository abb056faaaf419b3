"""Libraries and methods that every position needs, loaded once by the forkserver, of which each position is a fork.

Otherwise every position would load them again, which takes about a second.
"""

import cv2
import numpy as np
import pandas as pd
import pyarrow.parquet
import scipy.ndimage
from numba import njit

import cicimage.pipeline.position
from cicimage.methods import STEPS, available
from cicimage.recording.reader_registry import preload_own_readers

OWN = "cicimage."
"""Methods of other packages are loaded by the position that needs them: they may start threads or fail to load."""

cv2.setNumThreads(1)
if int(pd.__version__.split(".")[0]) < 3:  # pandas 3 always does
    pd.options.mode.copy_on_write = True  # tables of long movies are large: a changed column must not copy the others
for _step in STEPS:
    for _entry in available(_step).values():
        if _entry.value.startswith(OWN):
            _entry.load()


preload_own_readers()


@njit
def _sum(values):  # type: ignore[no-untyped-def]
    return values.sum()


_sum(np.zeros(1))
"""The first compiled call loads numba's own tables, half a second."""

__all__ = ["cicimage", "pyarrow", "scipy"]
