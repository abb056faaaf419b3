"""Validation of numbers with units in files' metadata, and their conversion to um and s."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from cicimage.errors import RecordingError

UM: Final[Mapping[str, float]] = {
    "m": 1e6, "cm": 1e4, "mm": 1e3, "um": 1.0, "µm": 1.0, "μm": 1.0, "micron": 1.0, "mkm": 1.0, "micrometer": 1.0,
    "micrometre": 1.0, "\\u00b5m": 1.0, "âµm": 1.0, "âμm": 1.0, "nm": 1e-3, "nanometer": 1e-3, "nanometre": 1e-3,
    "pm": 1e-6, "å": 1e-4, "angstrom": 1e-4, "inch": 25400.0, "inche": 25400.0, "in": 25400.0, "millimeter": 1e3,
    "millimetre": 1e3, "meter": 1e6, "metre": 1e6, "centimeter": 1e4, "centimetre": 1e4,
}  # fmt: skip
"""Micrometres by unit: lower case and singular; "âµm" is UTF-8 read as Latin-1."""
SECONDS: Final[Mapping[str, float]] = {
    "s": 1.0, "sec": 1.0, "second": 1.0, "ms": 1e-3, "msec": 1e-3, "millisecond": 1e-3, "us": 1e-6, "µs": 1e-6,
    "μs": 1e-6, "min": 60.0, "minute": 60.0, "h": 3600.0, "hr": 3600.0, "hour": 3600.0, "d": 86400.0, "day": 86400.0,
}  # fmt: skip
"""Seconds by unit, lower case and singular."""
CONTRADICTS: Final = 0.2
"""Relative difference from which a nominal and a measured value are two statements rather than one and its jitter."""
NO_LENGTH: Final = frozenset(("", "pixel", "pixels", "px"))
"""Units of uncalibrated images."""


def factor_of(unit: str, units: Mapping[str, float]) -> float | None:
    """Factor of a unit as people and programs write it: any case, plural, full stop; None where it is not known.

    Parameters
    ----------
    unit : str
        As written.
    units : mapping of str to float
        Factor by name, lower case and singular.

    Examples
    --------
    >>> factor_of("Micrometers", UM), factor_of(" hrs. ", SECONDS), factor_of("Minuten", SECONDS)
    (1.0, 3600.0, None)
    """
    text = unit.strip().lower().rstrip(".")
    found = units.get(text)
    return units.get(text.removesuffix("s")) if found is None and len(text) > 2 else found


class MetadataValidator:
    """Checks the numbers in one file's metadata and converts them to um and s.

    A bad value is refused, or noted and left out where the experiment file supplies that field.

    Parameters
    ----------
    name : str
        File name for messages.
    given : collection of str
        Metadata fields that the experiment file supplies: a bad value in the file is then noted and left out.
    """

    def __init__(self, name: str, given: Collection[str] = ()) -> None:
        self.name = name
        self.given = frozenset(given)
        self.notes: list[str] = []

    def note(self, sentence: str) -> None:
        """Record a sentence on a value that is not used."""
        self.notes.append(sentence)

    def positive(
        self, field: str, label: str, value: str | float | None, unit: str | None, units: Mapping[str, float]
    ) -> float | None:
        """Turn a written number into the field's unit.

        Parameters
        ----------
        field : str
            Field of Metadata, for the remedy.
        label : str
            What the file calls it.
        value : str, float or None
            As written; None and "" mean that the file does not say.
        unit : str or None
            As written; None is the table's unit of 1.
        units : mapping
            Unit name to factor.

        Raises
        ------
        RecordingError
            Not a number, not finite or not positive, and the experiment file does not give it either.
        """
        if value is None or value == "":
            return None
        factor = 1.0 if unit is None else factor_of(unit, units)
        if factor is None:
            self.note(f"{self.name}: {label} = {value} {unit} is in a unit that is not a length or time; not used")
            return None
        try:
            number = float(value) * factor
        except ValueError:
            number = math.nan
        if math.isfinite(number) and number > 0:
            return number
        sentence = f"{self.name}: {label} = {value} must be a number above 0"
        if field not in self.given:
            raise RecordingError(f"{sentence}; give {field} in [optics] of the experiment file")
        self.note(f"{sentence}; the experiment file's {field} is used")
        return None

    def square(self, x: float | None, y: float | None) -> float | None:
        """One pixel size from two.

        Parameters
        ----------
        x : float or None
            Width of a pixel, um.
        y : float or None
            Height of a pixel, um.

        Raises
        ------
        RecordingError
            They differ by more than 1 %.
        """
        if x is None or y is None:
            return x if y is None else y
        if abs(x - y) <= 0.01 * max(x, y):
            return x
        sentence = f"{self.name}: pixels are {y:g} um high and {x:g} um wide; they must be square"
        if "um_per_px" not in self.given:
            raise RecordingError(f"{sentence}: export without stretching, or give um_per_px in [optics]")
        self.note(f"{sentence}; the experiment file's um_per_px is used")
        return None

    def compare_interval(
        self, name: str, interval_s: float | None, clock: str, time_s: npt.NDArray[np.float64] | None
    ) -> None:
        """Refuse a nominal interval that no step of the frames' own times agrees with.

        Parameters
        ----------
        name, clock : str
            What the file calls the interval and the times.
        interval_s : float or None
            The interval, s.
        time_s : (T,) float64 array or None
            The times, s.

        Raises
        ------
        RecordingError
            All steps differ from the interval by more than :data:`CONTRADICTS`, and the experiment file does not
            give it.
        """
        if interval_s is None or time_s is None:
            return
        steps = np.diff(time_s)
        if (np.abs(steps - interval_s) <= CONTRADICTS * np.maximum(steps, interval_s)).any():
            return
        sentence = (
            f"{self.name}: {name} says {interval_s:g} s between frames, {clock} says {np.median(steps):g} s; they must "
            "agree"
        )
        if "frame_interval_s" not in self.given:
            raise RecordingError(f"{sentence}: give frame_interval_s in [optics], with override_metadata = true")
        self.note(f"{sentence}; the experiment file's frame_interval_s is used")

    def times(self, seconds: npt.ArrayLike, n_frames: int) -> npt.NDArray[np.float64] | None:
        """Times of the frames from the first on, or None with a note where they cannot be clock times.

        Parameters
        ----------
        seconds : (T,) array-like
            Time of each frame on any clock, s; NaN where it is not written.
        n_frames : int
            Number of frames that the recording has.
        """
        time_s = np.asarray(seconds, np.float64)
        if n_frames < 2 or time_s.shape != (n_frames,) or np.isnan(time_s).all():
            return None
        if not np.isfinite(time_s).all() or (np.diff(time_s) <= 0).any():
            if np.nanmax(np.abs(time_s)) > 0:
                self.note(f"{self.name}: times of the frames do not rise from frame to frame; not used")
            return None
        shifted: npt.NDArray[np.float64] = time_s - time_s[0]
        return shifted


def median_interval(time_s: npt.NDArray[np.float64] | None) -> float | None:
    """Median step of the times, s."""
    return None if time_s is None else float(np.median(np.diff(time_s)))


def camera_bits(*written: object) -> int | None:
    """Bits of a pixel that the camera fills: the most that the file gives any channel, None where it gives none.

    Examples
    --------
    >>> camera_bits("12", 14, None), camera_bits("", "many", 0)
    (14, None)
    """
    found = [int(text) for text in (str(value).strip() for value in written) if text.isascii() and text.isdigit()]
    return max((bits for bits in found if 0 < bits <= 64), default=None)
