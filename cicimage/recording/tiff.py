"""TIFF recordings: OME-TIFF, ImageJ hyperstacks, and plain stacks whose axes the experiment file gives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cicimage.errors import RecordingError
from cicimage.recording.arrangement import Arrangement
from cicimage.recording.axes import Axes, parse_axes
from cicimage.recording.ifd import Ifd, is_tiff
from cicimage.recording.reader import Listing, Reader, ReadOptions
from cicimage.recording.recording import DEFAULT_BUDGET_BYTES, PlaneError, Recording
from cicimage.recording.tiff_files import TiffFiles, check_page
from cicimage.recording.tiff_ome import arrange_ome, is_ome, ome_series
from cicimage.recording.tiff_page import WHITE_IS_ZERO, UndecodableError
from cicimage.recording.tiff_stack import arrange_stack


class TiffRecording(Recording):
    """Planes of TIFF pages.

    Parameters
    ----------
    path : Path
        The file that was asked for.
    files : TiffFiles
        Open files.
    arrangement : Arrangement
        Which page holds which plane.
    memory_budget_bytes : int
        Most bytes that one plane may need.

    Raises
    ------
    RecordingError
        Pages differ in shape or dtype, cannot be read, or are too large.
    """

    def __init__(
        self,
        path: Path,
        files: TiffFiles,
        arrangement: Arrangement,
        memory_budget_bytes: int = DEFAULT_BUDGET_BYTES,
    ) -> None:
        self.path = path
        self.metadata = arrangement.metadata
        self._files = files
        self._pages = arrangement.pages
        self._where = arrangement.where
        self._samples = arrangement.samples
        self._held: tuple[int, npt.NDArray[Any]] | None = None
        first_path, first = self._pages[int(self._where[0, 0, 0])]
        self.dtype = check_page(first, 0, first_path.name, memory_budget_bytes)
        used = [n for n in np.unique(self._where).tolist() if n >= 0]
        for number in used:
            page_path, page = self._pages[number]
            if page.key != first.key:
                raise RecordingError(
                    f"{page_path.name}: plane {number} is {_shape(page)}, the first one {_shape(first)}; all planes of "
                    "a recording must agree: export the series alone, or choose one with --series"
                )
            check_page(page, number, page_path.name, memory_budget_bytes)
        t, c, z = self._where.shape
        self.sizes = {"T": t, "C": c, "Z": z, "Y": first.height, "X": first.width}
        if any(self._pages[n][1].photometric == WHITE_IS_ZERO for n in used):
            note = f"{path.name}: is stored with white as 0; read inverted, with black as 0"
            self.metadata = replace(self.metadata, notes=(*self.metadata.notes, note))

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that pixels are read from."""
        return tuple(dict.fromkeys(path for path, _ in self._pages))

    def plane(self, t: int, c: int, z: int) -> npt.NDArray[Any]:
        """Decode one (Y, X) plane."""
        self._check_index(t, c, z)
        number = int(self._where[t, c, z])
        if number < 0 and (self._where[t] < 0).all():
            raise PlaneError(self.path, t, c, z, "no file for this time point")
        if number < 0:
            raise RecordingError(
                f"{self.path.name}: channel {c} has one slice, slice {z} was asked for; use a channel that has all "
                f"{self.sizes['Z']} slices"
            )
        path, page = self._pages[number]
        if self._held is not None and self._held[0] == number:
            pixels = self._held[1]
            return self._sample(pixels, c)
        try:
            pixels = self._files.decode(path, page)
        except (UndecodableError, OSError) as error:
            raise PlaneError(path, t, c, z, str(error)) from None
        if page.samples > 1:  # the next channel is in the same page
            self._held = number, pixels
        return self._sample(pixels, c)

    def _sample(self, pixels: npt.NDArray[Any], c: int) -> npt.NDArray[Any]:
        plane: npt.NDArray[Any] = pixels[int(self._samples[c])]
        return plane

    def close(self) -> None:
        """Close the files."""
        self._files.close()


class TiffReader(Reader):
    """Reads TIFF files after their directories and metadata have passed the gate."""

    name = "TIFF"
    order = 20
    suffixes = (".ome.tiff", ".ome.tif", ".tiff", ".tif", ".btf", ".tf8")

    def recognises(self, listing: Listing, head: bytes) -> bool:
        """Whether the first bytes are those of a TIFF file."""
        return is_tiff(head)

    def series(self, path: Path) -> tuple[str, ...]:
        """Names of the images of an OME-TIFF; the file's own name for others."""
        files = TiffFiles()
        try:
            layout = files.layout(path)
            return ome_series(path, layout) if is_ome(layout) else (path.name,)
        finally:
            files.close()

    def open(self, path: Path, options: ReadOptions) -> TiffRecording:
        """Open one image.

        Raises
        ------
        RecordingError
            The file is not sound, or holds several recordings and none was chosen.
        """
        wanted: Axes | None = None if options.axes is None else parse_axes(options.axes)
        files = TiffFiles()
        try:
            layout = files.layout(path)
            if is_ome(layout) and not (wanted is not None and wanted.overrules):
                arrangement = arrange_ome(path, layout, files, wanted, options.series, options.given)
            else:
                arrangement = arrange_stack(path, layout, wanted, options.series, options.given)
            recording = TiffRecording(path, files, arrangement, options.memory_budget_bytes)
            recording.order = arrangement.order()
            return recording
        except BaseException:
            files.close()
            raise


def _shape(page: Ifd) -> str:
    kind = {1: "uint", 2: "int", 3: "float"}.get(page.sample_format, "sample format ")
    colour = f" x {page.samples} samples" if page.samples > 1 else ""
    return f"{page.height} x {page.width}{colour} of {kind}{page.bits}"
