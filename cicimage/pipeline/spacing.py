"""How far guests move between frames against how far they lie apart, from a few frames."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, cast

import pandas as pd

from cicimage.methods import GuestSegmenter, HostSegmenter, Scene, build
from cicimage.pipeline.job import Job
from cicimage.pipeline.setting import resolve
from cicimage.pipeline.usable import use
from cicimage.preprocessing.frame_faults import Usual
from cicimage.recording import open_recording
from cicimage.tracking.spacing import Spacing, compare_spacing

ANY: Final = Usual(blank=1.0)
"""A channel of which nothing is known from other frames."""


def guest_spacing(job: Job, n_frames: int) -> Spacing | None:
    """Displacement per frame against spacing in the first frames; None where there are too few guests to tell.

    Parameters
    ----------
    job : Job
        The recording.
    n_frames : int
        Frames to decode.

    Raises
    ------
    CicimageError
        It cannot be read, or does not fit the experiment file.
    """
    file, path = job.file, job.position.path
    with open_recording(path, **job.reading()) as recording:
        setting = resolve(recording, file, path)
        name = setting.with_role("guest")
        population, um = setting.populations[name], setting.optics.um_per_px
        both = "host" in population.roles
        step = "segment_host" if both else "segment_guest"
        choice = file.choices()[step]
        segmenter = cast(GuestSegmenter | HostSegmenter, build(step, choice.method, choice.options))
        channels = [setting.channel_of[n] for n in (name, f"{name}/nucleus") if n in setting.channel_of]
        rows = []
        for t in range(min(n_frames, recording.sizes["T"])):
            seen = use(recording.frame(t, channels), [ANY] * len(channels), t)
            if seen.faults:
                continue
            image = seen.pixels.astype("float32")
            diameter = cast(tuple[float, float], population.diameter_um)
            scene = Scene(image[0], um, setting.optics.um_per_z, diameter, population.stain)
            if both:  # as the run finds them
                scene = replace(scene, nuclei=image[1] if len(channels) > 1 else None, both_roles=True)
            found = segmenter.segment(scene)
            rows += [(t, y * um, x * um) for y, x in (m.centroid_px() for m in found.masks)]
    cells = pd.DataFrame(rows, columns=["frame", "y_um", "x_um"])
    return compare_spacing(cells) if cells["frame"].nunique() > 1 else None
