"""What the chosen methods find in one frame, as layers; runs in a thread of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from cicimage.experiment import Experiment, ExperimentFile, Position
from cicimage.pipeline.detect import Tools, segment_frame
from cicimage.pipeline.opened import try_opening
from cicimage.pipeline.setting import resolve
from cicimage.recording import open_recording
from cicimage_napari.look import CHANNEL_COLOUR, GUEST_OUTLINE, HOST_OUTLINE, OTHER_OUTLINE, limits
from cicimage_napari.outlines import one_colour

OUTLINES: Final = {"guest": GUEST_OUTLINE, "host": HOST_OUTLINE}


@dataclass
class Preview:
    """Layers of a preview.

    Attributes
    ----------
    images, labels : list of (array, dict)
        Data and options of each image and label layer.
    words : str
        Sentence with the number of objects per population.
    """

    images: list[tuple[Any, dict[str, Any]]] = field(default_factory=list)
    labels: list[tuple[Any, dict[str, Any]]] = field(default_factory=list)
    words: str = ""


def preview(
    experiment: Experiment, position: Position, methods: Mapping[str, Mapping[str, Any]], frame: int
) -> Preview:
    """Segment one frame with the methods and options chosen.

    Parameters
    ----------
    experiment : Experiment
        Settings other than the methods.
    position : Position
        Which recording.
    methods : mapping of str to mapping
        Per step ``{"method": name, option: value}``, as ``[methods]`` of the experiment file holds them.
    frame : int
        0-based; beyond the end of the recording the last frame is taken.

    Returns
    -------
    Preview
        The corrected images of guests and hosts, and the objects found.

    Raises
    ------
    CicimageError
        The recording cannot be read, or a method or an option does not exist.
    """
    from napari.utils.colormaps import Colormap

    settings = experiment.file.model_dump(exclude_unset=True)
    file = ExperimentFile.model_validate({**settings, "methods": dict(methods)})
    reading = file.reading(position.series)
    try_opening(position.path, reading)
    with open_recording(position.path, **reading) as recording:
        setting = resolve(recording, file, position.path)
        frame = min(frame, recording.sizes["T"] - 1)
        tools = Tools.of(recording, setting, file.choices())
        image = tools.prepared.corrections.apply(recording.frame(frame, setting.channels))
    found = segment_frame(image, tools)
    um, um_z = setting.optics.um_per_px, setting.optics.um_per_z
    out = Preview()
    for name, population in setting.populations.items():
        stack = image[setting.slot(name)]
        role = population.roles[0]
        flat = stack[0] if um_z is None else stack
        out.images.append((flat, {
            "name": f"preview {name}", "blending": "additive", "contrast_limits": limits(flat),
            "scale": (um, um) if um_z is None else (um_z, um, um), "units": ("um",) * flat.ndim,
            "colormap": Colormap([[0, 0, 0, 1], CHANNEL_COLOUR[role]], name=f"cicimage {role}"),
        }))  # fmt: skip
    for name, objects in found.items():
        labels = objects.masks.to_labels().astype(np.int32)
        role = setting.populations[name].roles[0]
        options = {
            "name": f"preview found {name}", "scale": (um, um), "opacity": 0.9, "units": ("um", "um"),
            "colormap": one_colour(OUTLINES.get(role, OTHER_OUTLINE)),
        }  # fmt: skip
        out.labels.append((labels, options))
    counts = ", ".join(f"{len(objects.masks)} {name}s" for name, objects in found.items())
    out.words = f"frame {frame}: {counts}"
    return out
