"""What every format is read into: lazy planes over T, C, Z with units."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from cicimage.errors import RecordingError

DEFAULT_BUDGET_BYTES: Final = 2 * 1024**3


class PlaneError(RecordingError):
    """One plane of a recording cannot be decoded; the planes beside it stand and time is not shifted.

    Attributes
    ----------
    t, c, z : int
        Which plane, 0-based.
    reason : str
        Why, as part of a sentence.
    """

    def __init__(self, path: Path, t: int, c: int, z: int, reason: str) -> None:
        super().__init__(
            f"{path.name}: plane t={t}, c={c}, z={z} cannot be decoded ({reason}); copy the file again, "
            "or go on with this frame marked missing"
        )
        self.t, self.c, self.z, self.reason = t, c, z, reason
        self._arguments = (path, t, c, z, reason)

    def __reduce__(self) -> tuple[type[PlaneError], tuple[Path, int, int, int, str]]:
        return type(self), self._arguments


@dataclass(frozen=True, eq=False)
class Metadata:
    """Metadata of the file; None where the file gives no value.

    Attributes
    ----------
    um_per_px : float or None
        Pixel size, um.
    um_per_z : float or None
        Stage step between slices, um (as written: not yet corrected for refraction).
    frame_interval_s : float or None
        Time between frames, s; the median where the file gives a time per frame.
    time_s : (T,) float64 array or None
        Time of each frame after the first, s, where the file gives them.
    channel_names : tuple of str or None
        One name per channel.
    na, immersion, medium_index, modality, objective
        Numerical aperture, immersion (air | water | oil | glycerol), refractive index of the medium,
        modality (confocal | spinning_disk | widefield | brightfield), objective as written.
    emission_um : tuple of (float or None), or None
        Emission wavelength per channel, um.
    significant_bits : int or None
        Bits of a pixel that the camera fills, such as 12 in a uint16.
    notes : tuple of str
        What the reader saw and did not use, one sentence each.
    """

    um_per_px: float | None = None
    um_per_z: float | None = None
    frame_interval_s: float | None = None
    time_s: npt.NDArray[np.float64] | None = None
    channel_names: tuple[str, ...] | None = None
    na: float | None = None
    immersion: str | None = None
    medium_index: float | None = None
    modality: str | None = None
    objective: str | None = None
    emission_um: tuple[float | None, ...] | None = None
    significant_bits: int | None = None
    notes: tuple[str, ...] = ()


class Recording(ABC):
    """One field of view over time, read plane by plane; a context manager.

    Attributes
    ----------
    path : Path
        The file (or the file that names the others).
    sizes : mapping
        Lengths of T, C, Z, Y, X; 1 where the file has no such axis.
    dtype : numpy.dtype
        Native byte order.
    metadata : Metadata
        Units and names as the file says them.
    order : str
        Axes longer than 1 in the order of the planes in the file, slowest first, each with its length ("C2Z28"), where
        ``axes`` can give the planes another meaning; empty where it cannot.
    """

    path: Path
    sizes: Mapping[str, int]
    dtype: np.dtype[Any]
    metadata: Metadata
    order: str = ""

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file or folder that pixels are read from."""
        return (self.path,)

    @abstractmethod
    def plane(self, t: int, c: int, z: int) -> npt.NDArray[Any]:
        """Decode one (Y, X) plane.

        Parameters
        ----------
        t : int
            Frame, 0-based.
        c : int
            Channel, 0-based.
        z : int
            Slice, 0-based.

        Raises
        ------
        PlaneError
            This plane cannot be decoded.
        RecordingError
            The file changed while it was read.
        """

    def frame(self, t: int, channels: Sequence[int] | None = None) -> npt.NDArray[Any]:
        """Decode one (C, Z, Y, X) frame.

        Parameters
        ----------
        t : int
            Frame, 0-based.
        channels : sequence of int, optional
            Which channels, in this order; all by default.

        Raises
        ------
        PlaneError
            One of its planes cannot be decoded.
        """
        wanted = range(self.sizes["C"]) if channels is None else channels
        out = np.empty((len(wanted), self.sizes["Z"], self.sizes["Y"], self.sizes["X"]), self.dtype)
        for i, c in enumerate(wanted):
            for z in range(self.sizes["Z"]):
                out[i, z] = self.plane(t, c, z)
        return out

    @property
    def plane_bytes(self) -> int:
        """Bytes of one decoded plane."""
        return self.sizes["Y"] * self.sizes["X"] * self.dtype.itemsize

    @property
    def frame_bytes(self) -> int:
        """Bytes of one decoded frame with all channels and slices."""
        return self.plane_bytes * self.sizes["C"] * self.sizes["Z"]

    @abstractmethod
    def close(self) -> None:
        """Release the file; nothing can be read afterwards."""

    def _check_index(self, t: int, c: int, z: int) -> None:
        for axis, value in (("T", t), ("C", c), ("Z", z)):
            if not 0 <= value < self.sizes[axis]:
                raise IndexError(f"{axis.lower()}={value} is outside 0..{self.sizes[axis] - 1} of {self.path.name}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
