"""A movie as an array whose frames are decoded when they are indexed, for napari's layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt


class LazyStack:
    """Behaves like an array (T, ...) whose frames are read on access.

    Parameters
    ----------
    shape : tuple of int
        Number of frames first.
    dtype : numpy.dtype
        Type of the pixels.
    read : callable
        Returns the array of a frame, given its 0-based number.
    """

    def __init__(self, shape: tuple[int, ...], dtype: Any, read: Callable[[int], npt.NDArray[Any]]) -> None:
        self.shape, self.dtype, self._read = shape, np.dtype(dtype), read

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of pixels."""
        return int(np.prod(self.shape))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> npt.NDArray[Any]:
        first, rest = (index[0], index[1:]) if isinstance(index, tuple) else (index, ())
        if first is Ellipsis:
            first, rest = slice(None), (Ellipsis, *rest)
        if isinstance(first, int | np.integer):
            return np.asarray(self._read(int(first)))[rest]
        frames = range(*first.indices(self.shape[0])) if isinstance(first, slice) else np.atleast_1d(first)
        found = [np.asarray(self._read(int(t)))[rest] for t in frames]
        return np.stack(found) if found else np.empty((0, *self.shape[1:]), self.dtype)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.asarray(self[:], dtype=dtype)
