"""Evidence of where guests lie, and what a death marker says, for one frame."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from cicimage.api.inputs import (
    Labels,
    as_masks,
    as_optics,
    as_volume,
    objects_of,
    require_step,
    without_heights,
)  # fmt: skip
from cicimage.containment.evidence import measure_frame
from cicimage.containment.markers import measure_markers
from cicimage.containment.noise import Noise
from cicimage.methods import Optics
from cicimage.pipeline.sample import background_and_noise


def measure_containment(
    host_image: npt.ArrayLike,
    guest_image: npt.ArrayLike,
    guests: Labels,
    hosts: Labels,
    optics: Optics | float,
    *,
    noise: Noise | None = None,
) -> pd.DataFrame:
    """Measure the evidence that distinguishes a guest inside a host from one under or on top of it.

    Parameters
    ----------
    host_image, guest_image : (Y, X) or (Z, Y, X) arrays
        Both channels of one frame, in counts, background left in.
    guests, hosts : (Y, X) int arrays or Masks
        Cells of both populations in this frame, from any segmentation; masks keep overlaps of hosts.
    optics : Optics or float
        Scale, and where known NA, immersion and modality, which give the axial resolution; or um per pixel alone.
    noise : Noise, optional
        Noise SD per pixel and background of the hosts' channel, counts; estimated from the frame by default. The
        background of a movie's emptiest frame is the better one where a frame is full of hosts.

    Returns
    -------
    pandas.DataFrame
        One row per guest and host within 4 um of each other: ``guest_label``, ``host_label`` and the evidence (cap,
        floor, void, ring_coverage, ... of table ``pairs``). What only a stack can show is empty in a plane.

    Raises
    ------
    ConfigurationError
        Images or labels of different shapes, or a stack without focus step.
    """
    volume, own, found = as_volume(host_image, "host_image"), as_volume(guest_image, "guest_image"), as_optics(optics)
    require_step(volume, found)
    shape = volume.shape[1:]
    guest_masks, host_masks = as_masks(guests, "guests", shape), as_masks(hosts, "hosts", shape)
    as_masks(guest_masks, "guests", own.shape[1:])
    if noise is None:
        background, sd = background_and_noise(volume)
        noise = Noise(max(sd, 1e-6), background)
    return measure_frame(
        volume, objects_of(own, guest_masks, found), without_heights(host_masks), optics=found, noise=noise,
        guest_image=own,
    )  # fmt: skip


def measure_death(
    image: npt.ArrayLike,
    guests: Labels,
    hosts: Labels,
    optics: Optics | float,
    *,
    guest_image: npt.ArrayLike | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measure a death marker at every cell; a stained patch goes to the smallest cells that hold it.

    Parameters
    ----------
    image : (Y, X) or (Z, Y, X) array
        The marker's channel of one frame, in counts.
    guests, hosts : (Y, X) int arrays or Masks
        Cells of both populations in this frame.
    optics : Optics or float
        Scale, or um per pixel alone.
    guest_image : array, optional
        The guests' channel: in stacks only the marker's slices at a guest's height then count for it.

    Returns
    -------
    guests, hosts : pandas.DataFrame
        label, ``death_signal`` (noise SD) and ``death_fill`` (share of the body stained, 0-1), to be merged into what
        :func:`~cicimage.api.tracking.track` returns by frame and label.

    Raises
    ------
    ConfigurationError
        An image or labels of different shapes.
    """
    volume, found = as_volume(image), as_optics(optics)
    shape = volume.shape[1:]
    masks = {"guest": as_masks(guests, "guests", shape), "host": as_masks(hosts, "hosts", shape)}
    objects = {name: without_heights(m) for name, m in masks.items()}
    if guest_image is not None:
        objects["guest"] = objects_of(as_volume(guest_image, "guest_image"), masks["guest"], found)
    measured = measure_markers(volume, objects, um_per_z=found.um_per_z)
    tables = [
        pd.DataFrame({"label": masks[name].labels.astype(np.int64), "death_signal": signal, "death_fill": fill})
        for name, (signal, fill) in measured.items()
    ]
    return tables[0], tables[1]
