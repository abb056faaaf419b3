"""Where each object is, how large and how bright: one pass over all masks of a population."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from cicimage.arrays import Float32Array
from cicimage.compiled import compiled
from cicimage.containment.windows import FlatMasks
from cicimage.methods import Objects


@compiled()
def _sums(
    flat: npt.NDArray[np.float32],
    pixels: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    boxes: npt.NDArray[np.int64],
) -> npt.NDArray[np.float64]:
    """Pixels, sums of y, x and signal of every mask; (n, 4)."""
    out = np.zeros((len(offsets), 4))
    for i in range(len(offsets)):
        y0, x0, h, w = boxes[i]
        at = offsets[i]
        for y in range(h):
            for x in range(w):
                if pixels[at + y * w + x]:
                    out[i, 0] += 1.0
                    out[i, 1] += y0 + y
                    out[i, 2] += x0 + x
                    out[i, 3] += flat[y0 + y, x0 + x]
    return out


def measure_objects(image: Float32Array, objects: Objects, um_per_px: float, noise_sd: float) -> pd.DataFrame:
    """Measure all objects of one population in one frame.

    Parameters
    ----------
    image : (Z, Y, X) float32
        The population's channel, corrected.
    objects : Objects
        What was segmented.
    um_per_px : float
        Pixel size, um.
    noise_sd : float
        Noise SD per pixel, counts.

    Returns
    -------
    pandas.DataFrame
        label, y_um, x_um, z_um, area_um2, z_extent_um, intensity (maximum projection above background, counts), snr,
        touches_border.
    """
    masks = objects.masks
    flat = np.ascontiguousarray(image[0] if image.shape[0] == 1 else image.max(axis=0), dtype=np.float32)
    packed = FlatMasks.of(masks)
    sums = _sums(flat, packed.pixels, packed.offsets, packed.boxes)
    area = np.maximum(sums[:, 0], 1.0)
    background = float(np.percentile(flat[::8, ::8], 5)) if len(masks) else 0.0
    level = sums[:, 3] / area - background
    y0, x0, h, w = packed.boxes.T
    height, width = masks.shape
    return pd.DataFrame(
        {
            "label": masks.labels,
            "y_um": sums[:, 1] / area * um_per_px,
            "x_um": sums[:, 2] / area * um_per_px,
            "z_um": objects.z_um,
            "area_um2": sums[:, 0] * um_per_px**2,
            "z_extent_um": objects.z_extent_um,
            "intensity": level,
            "snr": level / noise_sd,
            "touches_border": (y0 == 0) | (x0 == 0) | (y0 + h == height) | (x0 + w == width),
        }
    )
