"""One slice of a stack, read as a recording with a single focal plane."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy.typing as npt

from cicimage.errors import RecordingError
from cicimage.recording.recording import Recording


class OneSlice(Recording):
    """A stack of which one slice is read, for stacks whose slices are too thick or too few to be more than that.

    Parameters
    ----------
    stack : Recording
        Closed with this one.
    z : int
        Which slice, 0-based.

    Raises
    ------
    RecordingError
        There is no such slice.
    """

    def __init__(self, stack: Recording, z: int) -> None:
        depth = stack.sizes["Z"]
        if not 0 <= z < depth:
            stack.close()
            raise RecordingError(
                f"{stack.path.name}: slice must be one of the stack's, 0 to {depth - 1}, and is {z}; set files.slice"
            )
        self._stack, self._z = stack, z
        self.path, self.dtype = stack.path, stack.dtype
        self.sizes = {**stack.sizes, "Z": 1}
        self.metadata = replace(stack.metadata, um_per_z=None)

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file or folder that pixels are read from."""
        return self._stack.files

    def plane(self, t: int, c: int, z: int) -> npt.NDArray[Any]:
        """Decode one (Y, X) plane."""
        self._check_index(t, c, z)
        return self._stack.plane(t, c, self._z)

    def close(self) -> None:
        """Release the file."""
        self._stack.close()
