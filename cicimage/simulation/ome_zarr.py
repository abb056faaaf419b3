"""OME-Zarr of a movie, written frame by frame, with checksums.

References
----------
.. [1] NGFF 0.5, https://ngff.openmicroscopy.org/0.5: multiscales of one level, axes TCZYX.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec

from cicimage.simulation.spec import Acquisition


def write_ome_zarr(
    path: Path, name: str, frames: Iterable[npt.NDArray[np.uint16]], acquisition: Acquisition, channels: Sequence[str]
) -> None:
    """Write frames of (C, Z, Y, X) one after another, a chunk per plane.

    Empty chunks are written too, so that a missing chunk indicates an interrupted copy.

    Parameters
    ----------
    path : pathlib.Path
        Folder to write.
    name : str
        Image name.
    frames : iterable of (C, Z, Y, X) uint16
        As many as the acquisition has.
    acquisition : Acquisition
        Scale and interval; the objective has no place in this format.
    channels : sequence of str
        Channel names.
    """
    a = acquisition
    shape = (a.frames, len(channels), a.slices, a.size_px, a.size_px)
    group = zarr.create_group(path, zarr_format=3, overwrite=True)
    array = group.create_array(
        "0", shape=shape, chunks=(1, 1, 1, a.size_px, a.size_px), dtype="uint16",
        compressors=[ZstdCodec(level=3, checksum=True), Crc32cCodec()], config={"write_empty_chunks": True},
        dimension_names=("t", "c", "z", "y", "x"),
    )  # fmt: skip
    space = [{"name": n, "type": "space", "unit": "micrometer"} for n in "zyx"]
    scale = [a.interval_min * 60.0, 1.0, a.um_per_z / a.axial_scale, a.um_per_px, a.um_per_px]
    group.attrs["ome"] = {
        "version": "0.5",
        "multiscales": [
            {
                "name": name,
                "axes": [{"name": "t", "type": "time", "unit": "second"}, {"name": "c", "type": "channel"}, *space],
                "datasets": [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": scale}]}],
            }
        ],
        "omero": {"channels": [{"label": c} for c in channels]},
    }
    for t, frame in enumerate(frames):
        array[t] = frame
