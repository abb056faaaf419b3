"""Recordings and results folders as napari layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from cicimage_napari.lazy import LazyStack
from cicimage_napari.look import CHANNEL_COLOUR, limits

ENDINGS: Final = (".tif", ".tiff", ".btf", ".zarr")
Layer = tuple[Any, dict[str, Any], str]


def get_reader(path: str | Sequence[str]) -> Callable[[Any], list[Layer]] | None:
    """The function that reads a path; None where this plugin cannot read it."""
    first = Path(path if isinstance(path, str) else path[0])
    if first.is_dir() and (first / "run.json").exists():
        return lambda _: read_results(first)
    if first.name.lower().endswith(ENDINGS):
        return lambda _: read_recording(first)
    return None


def read_recording(path: Path) -> list[Layer]:
    """One image layer per channel, in um; planes are decoded when they are shown.

    Raises
    ------
    RecordingError
        The file is damaged, or contradicts its own metadata.
    """
    from cicimage.pipeline.opened import try_opening
    from cicimage.recording import open_recording

    try_opening(path, {})
    return channels_of(open_recording(path))


def channels_of(recording: Any) -> list[Layer]:
    """One image layer per channel of an open recording."""
    sizes, meta = recording.sizes, recording.metadata
    names = meta.channel_names or tuple(f"channel {c}" for c in range(sizes["C"]))
    um, um_z = meta.um_per_px or 1.0, meta.um_per_z or 1.0
    layers = []
    for c, name in enumerate(names):

        def frame(t: int, c: int = c) -> Any:
            stack = recording.frame(t, [c])[0]
            return stack[0] if sizes["Z"] == 1 else stack

        deep = sizes["Z"] > 1
        shape = (sizes["T"], sizes["Z"], sizes["Y"], sizes["X"]) if deep else (sizes["T"], sizes["Y"], sizes["X"])
        scale = (1.0, um_z, um, um) if deep else (1.0, um, um)
        options = {
            "name": name, "scale": scale, "blending": "additive", "contrast_limits": limits(frame(0)),
            "colormap": _colourmap(_role(name, c)), "metadata": {"um_per_px": meta.um_per_px},
        }  # fmt: skip
        layers.append((LazyStack(shape, recording.dtype, frame), options, "image"))
    return layers


def _role(name: str, c: int) -> str:
    known = next((r for r in ("host", "guest", "death") if r in name.lower()), None)
    return known or ("host", "guest", "death", "other")[min(c, 3)]


def _colourmap(role: str) -> Any:
    from napari.utils.colormaps import Colormap

    return Colormap([[0, 0, 0, 1], CHANNEL_COLOUR[role]], name=f"cicimage {role}")


def read_results(root: Path, key: str | None = None) -> list[Layer]:
    """Masks of hosts and guests of one position, each on a layer, above its recording where that can be read.

    Parameters
    ----------
    root : Path
        Results folder.
    key : str, optional
        Opaque name of the position; the first finished one by default. No layer has a name that reveals the condition.

    Returns
    -------
    list of (array, dict, str)
        Data, options and type of each layer: one image per channel, then labels ``hosts`` and ``guests`` (one layer
        where one population has both roles).

    Raises
    ------
    CicimageError
        The folder holds no finished position, or the position's tables are damaged.
    """
    from cicimage.errors import CicimageError
    from cicimage.review.base import load_base
    from cicimage.review.footage import open_footage
    from cicimage.review.session import position_names
    from cicimage.store import Results

    results = Results(root)
    names = position_names(results)
    base = load_base(results, names[key or next(iter(names))])
    try:
        channels = enumerate(channels_of(open_footage(results, base).recording))
        layers = [(data, {**options, "name": f"signal {n}"}, kind) for n, (data, options, kind) in channels]
    except CicimageError:  # moved or damaged: the masks are shown all the same
        layers = []
    optics = base.setting.optics
    height, width = base.masks_file.shape
    depth = layers[0][0].shape[1] if layers and layers[0][0].ndim == 4 else 0
    for population, title in ((base.host, "hosts"), (base.guest, "guests")):

        def frame(t: int, population: str = population) -> Any:
            image = base.masks(population, t).to_labels()
            return np.broadcast_to(image, (depth, height, width)) if depth else image

        shape = (base.n_frames, depth, height, width) if depth else (base.n_frames, height, width)
        um = (optics.um_per_px, optics.um_per_px)
        scale = (1.0, optics.um_per_z or 1.0, *um) if depth else (1.0, *um)
        layers.append((LazyStack(shape, "int32", frame), {"name": title, "scale": scale, "opacity": 0.5}, "labels"))
        if base.host == base.guest:
            break
    return layers
