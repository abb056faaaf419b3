"""Other formats by the library ``bioio`` and its plugins, where they are installed: the last way to be tried."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cicimage.errors import RecordingError
from cicimage.recording.foreign import choose_series, faults_of, faults_of_plane, require
from cicimage.recording.reader import Listing, Reader, ReadOptions
from cicimage.recording.recording import Metadata, PlaneError, Recording
from cicimage.recording.scale import SECONDS, UM, MetadataValidator
from cicimage.recording.tiff_files import check_budget

_MADE_UP: Final = re.compile(r"Channel:\d+(:\d+)*")
"""What bioio calls channels that have no name."""


class BioioRecording(Recording):
    """One scene that bioio reads; whether the file is whole only its plugin knows."""

    def __init__(self, path: Path, image: Any, series: int | None, budget: int, given: Collection[str]) -> None:
        self.path = path
        self._size = path.stat().st_size
        scenes = tuple(str(s) for s in image.scenes)
        image.set_scene(choose_series(path, scenes, series))
        self._image = image
        held = {str(a): int(n) for a, n in zip(image.dims.order, image.shape, strict=True)}
        if set(held) - set("TCZYX") - {a for a, n in held.items() if n == 1}:
            raise RecordingError(
                f"{path.name}: has axes {''.join(held)}; only T, C, Z, Y, X can be read: export it as OME-TIFF"
            )
        self.sizes = {a: held.get(a, 1) for a in "TCZYX"}
        self.dtype = np.dtype(image.dtype).newbyteorder("=")
        check_budget(self.plane_bytes, path.name, budget)
        self.metadata = _metadata(image, self.sizes, MetadataValidator(path.name, given))

    def plane(self, t: int, c: int, z: int) -> npt.NDArray[Any]:
        """Decode one (Y, X) plane."""
        self._check_index(t, c, z)
        if self.path.stat().st_size != self._size:
            raise RecordingError(f"{self.path.name}: size changed while reading; wait until the microscope is done")
        with faults_of_plane(self.path, t, c, z):
            pixels = np.asarray(self._image.get_image_dask_data("YX", T=t, C=c, Z=z).compute())
        if pixels.shape != (self.sizes["Y"], self.sizes["X"]):
            raise PlaneError(self.path, t, c, z, f"{pixels.shape} pixels, {self.sizes} expected")
        return pixels.astype(self.dtype, copy=False)

    def close(self) -> None:
        """Let go of the reader; it keeps no file open between planes."""


def is_bioio() -> bool:
    """Whether bioio is installed."""
    return importlib.util.find_spec("bioio") is not None


class BioioReader(Reader):
    """Reads what a plugin of bioio reads; ``axes`` is not used, the plugin knows them."""

    name = "whatever bioio reads, if installed"
    order = 900
    axes_overrule = False
    fallback = True
    suffixes = (".dv", ".ims", ".lsm", ".oib", ".oif", ".oir", ".sld", ".sldy", ".vsi", ".zvi")

    def installed(self) -> bool:
        """Whether bioio is installed."""
        return is_bioio()

    def recognises(self, listing: Listing, head: bytes) -> bool:
        """Whether a path is a file, to be tried with bioio."""
        return listing.exists and not listing.is_folder and is_bioio()

    def series(self, path: Path) -> tuple[str, ...]:
        """Names of the scenes."""
        with _image(path) as image:
            return tuple(str(s) for s in image.scenes)

    def open(self, path: Path, options: ReadOptions) -> BioioRecording:
        """Open one scene.

        Raises
        ------
        RecordingError
            The file is not sound, or holds several recordings and none was chosen.
        """
        with _image(path) as image, faults_of(path, "bioio's"):
            return BioioRecording(path, image, options.series, options.memory_budget_bytes, options.given)


@contextmanager
def _image(path: Path) -> Iterator[Any]:
    """A file opened by whichever plugin takes it."""
    bioio = require("bioio", "bioio", path)
    refused = require("bioio_base.exceptions", "bioio", path).UnsupportedFileFormatError
    try:
        with faults_of(path, "bioio's"):
            image = bioio.BioImage(path)
    except refused:
        raise RecordingError(
            f"{path.name}: not a recording that can be read: no reader of this program takes it, nor a plugin of bioio "
            "that is installed; install the plugin for it, check that the file is whole, or export it as OME-TIFF"
        ) from None
    yield image


def _metadata(image: Any, sizes: dict[str, int], validator: MetadataValidator) -> Metadata:
    scale = image.physical_pixel_sizes
    interval: Any = getattr(image, "time_interval", None)
    seconds = interval.total_seconds() if hasattr(interval, "total_seconds") else interval
    names = tuple(str(n) for n in image.channel_names or ())
    named = len(names) == sizes["C"] and not any(_MADE_UP.fullmatch(n) or not n for n in names)

    def size(axis: str, field: str) -> float | None:
        value = getattr(scale, axis)
        if value == 1:  # what it says where the file says nothing
            validator.note(
                f"{validator.name}: bioio gives a size of 1 along {axis}, which may stand for unknown; not used"
            )
            return None
        return validator.positive(field, f"pixel size along {axis}", value, None, UM)

    validator.note(f"{validator.name}: read by bioio; whether the file is whole cannot be checked here")
    return Metadata(
        um_per_px=validator.square(size("X", "um_per_px"), size("Y", "um_per_px")),
        um_per_z=size("Z", "um_per_z") if sizes["Z"] > 1 else None,
        frame_interval_s=validator.positive("frame_interval_s", "time interval", seconds, None, SECONDS)
        if sizes["T"] > 1 and seconds
        else None,
        channel_names=names if named else None,
        notes=tuple(validator.notes),
    )
