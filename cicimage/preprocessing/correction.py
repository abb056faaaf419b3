"""The estimates applied to a frame: illumination divided out, bleed-through taken away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from cicimage.arrays import Float32Array


@dataclass(frozen=True, eq=False)
class Corrections:
    """What is taken out of each frame of one position; None is off.

    A pixel is corrected to ``pedestal + (raw - pedestal) / gain``; then what other channels show above their
    ``background`` is unmixed. Background itself is left in.

    Attributes
    ----------
    gain : (C, Y, X) float32 or None
        Relative illumination, mean 1.
    bleed : (C, C) float32 or None
        bleed[i, j] = share of channel j seen in i, 0 on the diagonal.
    background : (C,) float32 or None
        Background level per channel, counts; needed with ``bleed``.
    pedestal : (C,) float32 or None
        Level without light per channel, counts; 0 where None.
    """

    gain: Float32Array | None = None
    bleed: Float32Array | None = None
    background: Float32Array | None = None
    pedestal: Float32Array | None = None

    def apply(self, frame: npt.NDArray[Any], channels: tuple[int, ...] | None = None) -> Float32Array:
        """Correct one frame.

        Parameters
        ----------
        frame : (C, Z, Y, X) array
            Raw counts.
        channels : tuple of int, optional
            Which channels of the recording these are; all in order by default.

        Returns
        -------
        (C, Z, Y, X) float32
            A new array; values may fall below 0 where noise does.

        Raises
        ------
        ValueError
            Bleed-through is on and a channel that bleeds into these was not given.
        """
        chosen = tuple(range(frame.shape[0])) if channels is None else channels
        out = frame.astype(np.float32)
        if self.gain is not None:
            for c, channel in enumerate(chosen):
                self._flatten(out[c], channel)
        if self.bleed is not None and self.bleed.any():
            self._unmix(out, chosen)
        return out

    def _flatten(self, planes: Float32Array, channel: int) -> None:
        if self.gain is None:
            return
        level = 0.0 if self.pedestal is None else float(self.pedestal[channel])
        for plane in planes:
            if level:
                cv2.subtract(plane, level, dst=plane)
            cv2.divide(plane, self.gain[channel], dst=plane)
            if level:
                cv2.add(plane, level, dst=plane)

    def _unmix(self, out: Float32Array, chosen: tuple[int, ...]) -> None:
        """Invert the mixing: what is seen above background is (1 + bleed) times what is there."""
        if self.bleed is None or self.background is None:
            raise ValueError("bleed-through is taken away above background: Corrections.background is needed")
        absent = [j for j in range(self.bleed.shape[1]) if j not in chosen and self.bleed[list(chosen), j].any()]
        if absent:
            raise ValueError(f"channels {absent} bleed into {list(chosen)} and must be in the frame")
        mixing = np.eye(len(chosen)) + self.bleed[np.ix_(chosen, chosen)]
        unmixing = np.linalg.inv(mixing)
        levels = self.background[list(chosen)].astype(np.float64)
        constant = levels - unmixing @ levels
        for z in range(out.shape[1]):
            seen = [out[c, z].copy() for c in range(len(chosen))]
            for c in range(len(chosen)):
                plane = out[c, z]
                cv2.multiply(plane, float(unmixing[c, c]), dst=plane)
                for j, other in enumerate(seen):
                    if j != c and unmixing[c, j]:
                        cv2.scaleAdd(other, float(unmixing[c, j]), plane, dst=plane)
                if constant[c]:
                    cv2.add(plane, float(constant[c]), dst=plane)


def sample_frames(n_frames: int, n: int = 16) -> npt.NDArray[np.int64]:
    """Frames spread evenly over a movie, first and last among them.

    Parameters
    ----------
    n_frames : int
        Length of the movie.
    n : int
        How many at most.

    Returns
    -------
    (min(n, n_frames),) int64
        Rising, without repeats.

    Examples
    --------
    >>> sample_frames(10, 4).tolist()
    [0, 3, 6, 9]
    """
    if n_frames <= n:
        return np.arange(n_frames, dtype=np.int64)
    return np.unique(np.linspace(0, n_frames - 1, max(n, 1)).round().astype(np.int64))
