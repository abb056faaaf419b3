"""The floor, and what people would use instead, on the same pixels: run each in a process of its own.

Peers are timed without their imports and after a first call on a small part, which compiles what is compiled; the
program itself is timed with both.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
import tifffile

os.environ.setdefault("OMP_NUM_THREADS", "1")

Timer = Callable[[], AbstractContextManager[None]]
GUEST_UM: Final = 8.0
HOST_UM: Final = 60.0
SEARCH_UM: Final = 15.0


def floor(path: Path, *, timer: Timer) -> int:
    """Decode every plane and blur it once (one OpenCV Gaussian, sigma 2), on one thread; returns the planes."""
    cv2.setNumThreads(1)
    with timer(), tifffile.TiffFile(path) as tif:
        for page in tif.pages:
            cv2.GaussianBlur(page.asarray(maxworkers=1).astype(np.float32), (0, 0), 2)
    return len(tif.pages)


def naive_script(path: Path, *, timer: Timer) -> int:
    """Threshold, locate and link by trackpy, overlap with the host mask (``baselines.naive``); returns its spots."""
    from lib.baselines import naive

    from cicimage.recording import open_recording

    with open_recording(path) as recording:
        um = float(recording.metadata.um_per_px or 1)
        naive(_FewFrames(recording, 2), 0, 1, um)
        with timer():
            found = naive(recording, 0, 1, um)
    return len(found)


class _FewFrames:
    """The first frames of a recording."""

    def __init__(self, recording: object, frames: int) -> None:
        self._recording = recording
        self.sizes = dict(recording.sizes) | {"T": min(frames, recording.sizes["T"])}  # type: ignore[attr-defined]

    def frame(self, t: int, channels: list[int]) -> npt.NDArray[np.uint16]:
        return self._recording.frame(t, channels)  # type: ignore[attr-defined, no-any-return]


def scikit_image(path: Path, *, timer: Timer) -> int:
    """Masks and measurements of guests and hosts of every frame, scikit-image's usual way; returns the objects."""
    from cicimage.recording import open_recording

    with open_recording(path) as recording:
        um, channels = float(recording.metadata.um_per_px or 1), [0, 1, 2]
        _regions(recording.frame(0, channels).max(axis=1)[:, :128, :128], um)
        with timer():
            n = 0
            for t in range(recording.sizes["T"]):
                n += _regions(recording.frame(t, channels).max(axis=1), um)
    return n


def _regions(frame: npt.NDArray[np.uint16], um_per_px: float) -> int:
    """Gaussian, Otsu, distance watershed and ``regionprops_table`` of a projected (C, Y, X) frame."""
    from scipy import ndimage
    from skimage.feature import peak_local_max
    from skimage.filters import gaussian, threshold_otsu
    from skimage.measure import regionprops_table
    from skimage.segmentation import watershed

    found = 0
    for channel, diameter_um in ((0, HOST_UM), (1, GUEST_UM)):
        plane = gaussian(frame[channel].astype(np.float32), 0.1 * diameter_um / um_per_px)
        mask = plane > threshold_otsu(plane)
        distance = ndimage.distance_transform_edt(mask)
        apart = max(1, int(0.4 * diameter_um / um_per_px))
        peaks = peak_local_max(distance, min_distance=apart, labels=ndimage.label(mask)[0])
        markers = np.zeros(mask.shape, np.int32)
        markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
        labels = watershed(-distance, markers, mask=mask)
        table = regionprops_table(
            labels, np.moveaxis(frame, 0, -1), properties=("label", "centroid", "area", "intensity_mean")
        )
        found += len(table["label"])
    return found


def trackpy_linking(detections: Path, um_per_px: float, *, timer: Timer) -> int:
    """Link the guests and the hosts that the program found, by place, with memory; returns the tracks."""
    import trackpy
    from lib.baselines import link_spots

    trackpy.quiet()  # its lines on the screen cost time
    cells = pd.read_parquet(detections)
    tables = [
        t.assign(y=t["y_um"] / um_per_px, x=t["x_um"] / um_per_px)[["frame", "y", "x"]].reset_index(drop=True)
        for _, t in cells.groupby("population")
    ]
    for table in tables:
        link_spots(table[table["frame"] < 3], SEARCH_UM / um_per_px)
    with timer():
        return int(sum(link_spots(t, SEARCH_UM / um_per_px)["particle"].nunique() for t in tables))
