"""Open TIFF files of one recording: few handles, lengths remembered, planes decoded."""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from cicimage.errors import RecordingError
from cicimage.recording.ifd import Ifd, TiffLayout, read_layout
from cicimage.recording.tiff_page import decode_page, page_dtype, unreadable_meaning, unreadable_packing
from cicimage.regular import require_regular

_MOST_OPEN: Final = 16


def gib(n_bytes: int) -> str:
    """Bytes for people.

    Examples
    --------
    >>> gib(2 * 1024**3)
    '2 GiB'
    """
    return f"{n_bytes / 1024**3:.3g} GiB"


def check_page(page: Ifd, number: int, name: str, budget_bytes: int) -> np.dtype[Any]:
    """Dtype of a page that can be decoded within the budget.

    Parameters
    ----------
    page : Ifd
        Directory of the page.
    number : int
        Its number, for messages.
    name : str
        File name for messages.
    budget_bytes : int
        Most bytes that one plane may need.

    Raises
    ------
    RecordingError
        Its pixels are of a kind or packing that is not read, or too many.
    """
    dtype = page_dtype(page)
    if dtype is None:
        raise RecordingError(
            f"{name}: plane {number} has {page.bits} bits of sample format {page.sample_format}; 8, 16, 32 or 64 bits "
            "of unsigned, signed or float can be read: save it as 16 bit"
        )
    packing = unreadable_packing(page)
    if packing is not None:
        raise RecordingError(
            f"{name}: plane {number} is packed by {packing}; uncompressed, zlib, LZW, zstd, LZMA and PackBits can be "
            "read: save it with one of these"
        )
    meaning = unreadable_meaning(page)
    if meaning is not None:
        raise RecordingError(f"{name}: plane {number} {meaning}: save it as grey values with black as 0")
    check_budget(max(page.height * page.width * page.samples * page.bits // 8, page.segment_bytes), name, budget_bytes)
    return dtype


def check_budget(plane_bytes: int, name: str, budget_bytes: int) -> None:
    """Refuse a plane that memory does not hold, before it is allocated.

    Parameters
    ----------
    plane_bytes : int
        Bytes that a plane needs.
    name : str
        File name for the message.
    budget_bytes : int
        Most bytes that one plane may need.

    Raises
    ------
    RecordingError
        It needs more than the budget.
    """
    if plane_bytes > budget_bytes:
        raise RecordingError(
            f"{name}: a plane needs {gib(plane_bytes)}, budget {gib(budget_bytes)}; crop or tile the recording, "
            "or allow more memory"
        )


class TiffFiles:
    """Handles of the files of one recording, by path."""

    def __init__(self) -> None:
        self._open: OrderedDict[Path, BinaryIO] = OrderedDict()
        self._sizes: dict[Path, int] = {}
        self._orders: dict[Path, str] = {}

    def layout(self, path: Path) -> TiffLayout:
        """Walk a file's directories and remember its length.

        Raises
        ------
        RecordingError
            Missing, empty, or not a sound TIFF.
        """
        file = self._handle(path)
        size = os.fstat(file.fileno()).st_size
        if size == 0:
            raise RecordingError(f"{path.name}: empty (0 bytes); copy the file again from the microscope")
        layout = read_layout(file, path)
        self._sizes[path] = layout.size
        self._orders[path] = layout.byte_order
        return layout

    def decode(self, path: Path, page: Ifd) -> npt.NDArray[Any]:
        """Decode a page of a file whose layout was read, (S, Y, X).

        Parameters
        ----------
        path : Path
            File whose layout was read.
        page : Ifd
            Directory of the page.

        Raises
        ------
        RecordingError
            The file's length is another one than when its layout was read.
        UndecodableError
            The page's bytes are damaged.
        """
        file = self._handle(path)
        size = os.fstat(file.fileno()).st_size
        if size != self._sizes[path]:
            raise RecordingError(
                f"{path.name}: size changed while reading ({self._sizes[path]} to {size} bytes); "
                "wait until the microscope or the copy has finished"
            )
        return decode_page(file, page, self._orders[path])

    def close(self) -> None:
        """Close all handles."""
        while self._open:
            self._open.popitem()[1].close()

    def _handle(self, path: Path) -> BinaryIO:
        file = self._open.pop(path, None)
        if file is None:
            require_regular(path, RecordingError)
            try:
                file = path.open("rb", buffering=0)
            except OSError as error:
                raise RecordingError(
                    f"{path.name}: cannot be opened ({error.strerror}); check the path and its permissions"
                ) from None
        self._open[path] = file
        while len(self._open) > _MOST_OPEN:
            self._open.popitem(last=False)[1].close()
        return file
