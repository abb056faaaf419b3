"""Methods: frozen options with one operation, found by entry points, whether built in or of other packages.

Each step has a base class here that states its contract; an implementation subclasses it, adds its options as
fields and is found by an entry point in the group ``cicimage.methods`` named ``<step>.<method>``, e.g.
``segment_guest.log = "cicimage.segmentation.guests:LogGuestSegmenter"``. The core knows the steps and no
method by name. Steps are pure functions of their inputs: no disk, no clock, no global state.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from typing import Any, ClassVar, Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError

from cicimage.arrays import Float32Array
from cicimage.errors import ConfigurationError, nearest
from cicimage.masks import Masks

USABLE: Final = "usable"
ENTRY_POINT_GROUP: Final = "cicimage.methods"


class Method(BaseModel):
    """Frozen, strict options; a subclass adds fields with units, bounds and a description each.

    ``stage_version`` rises whenever the same options give other numbers: cached stages then re-run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    step: ClassVar[str] = ""
    stage_version: ClassVar[int] = 1

    def require_files(self) -> None:
        """Read the files that options name, so that `cicimage check` says what is wrong with them.

        Raises
        ------
        ConfigurationError
            A file is missing or not what it should be.
        """


# ---------------------------------------------------------------- what the steps exchange


@dataclass(frozen=True)
class Scene:
    """One frame of one population: the input of a segmenter.

    Attributes
    ----------
    image : (Z, Y, X) float32
        The population's channel, corrected, background left in. Z = 1 for 2D recordings.
    um_per_px : float
        Pixel size, um.
    um_per_z : float or None
        True focus step, um (stage step times ``axial_scale``); None in 2D.
    diameter_um : (float, float)
        Smallest and largest expected cell diameter, um.
    stain : str
        cytosol | membrane | nucleus | none.
    nuclei : (Z, Y, X) float32 or None
        Nuclear channel of the same population, where there is one.
    inner : Masks or None
        Guests found before in this frame, where hosts are segmented: their dark holes belong to the host.
    both_roles : bool
        The population is host and guest at once: a host segmenter also finds the cells that lie in or on others.
    """

    image: Float32Array
    um_per_px: float
    um_per_z: float | None
    diameter_um: tuple[float, float]
    stain: str = "cytosol"
    nuclei: Float32Array | None = None
    inner: Masks | None = None
    both_roles: bool = False


@dataclass(frozen=True)
class Objects:
    """Result of a segmenter: masks and, per mask in the same order, position and extent in z.

    Attributes
    ----------
    masks : Masks
        Projected masks, labels 1..n.
    z_um : (n,) float64
        Centroid above the first slice, um; NaN in 2D.
    z_extent_um : (n,) float64
        Full axial width, um; NaN in 2D.
    """

    masks: Masks
    z_um: npt.NDArray[np.float64]
    z_extent_um: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Optics:
    """Optics of the recording; None where unknown.

    ``um_per_z`` is the true focus step (stage step times ``axial_scale``); ``plane_um`` the height above the glass of
    the one plane of a 2D recording.
    """

    um_per_px: float
    um_per_z: float | None = None
    na: float | None = None
    immersion: Literal["air", "water", "oil", "glycerol"] | None = None
    medium_index: float = 1.33
    modality: Literal["confocal", "spinning_disk", "widefield", "brightfield"] | None = None
    axial_scale: float = 1.0
    emission_um: float = 0.55
    plane_um: float | None = None

    @property
    def sections(self) -> bool:
        """Whether one plane is a thin optical section, rather than a projection of all depths."""
        return self.modality in ("confocal", "spinning_disk")


@dataclass(frozen=True)
class Observations:
    """Input of the scorer of one position.

    Attributes
    ----------
    frames : pandas.DataFrame
        One row per guest and frame, gaps filled (``observed`` false): position, frame, time_h, guest_id, label,
        observed, y_um, x_um, z_um (raw frame), yd_um, xd_um (drift removed), area_um2, snr, touches_border,
        parent_id, death_signal, death_fill.
    pairs : pandas.DataFrame
        Table ``pairs`` (guest x host x frame wherever they are near).
    hosts : pandas.DataFrame
        One row per host and frame: frame, host_id, y_um, x_um, yd_um, xd_um, area_um2, death_signal,
        death_fill, touches_border.
    optics : Optics
        Optics of the recording.
    separable : mapping
        ``under``, ``on_top``, ``inside``: True where the optics separate that state from the others;
        :data:`USABLE` is False where the input is not sufficient (no host dye, saturation, a truncated stack).
    n_frames : int
        Frames in the movie, whether or not any guest is in them.
    time_h : (n_frames,) float64
        Hours since time zero of each frame.
    death_marker : str or None
        Kind of death marker (pi, sytox, annexin_v, caspase, other) or None.
    death_reaches_inside : bool
        Whether the marker can stain a guest inside a living host.
    host_stain : str
        cytosol | membrane | nucleus | none: what of the hosts their channel shows.
    """

    frames: pd.DataFrame
    pairs: pd.DataFrame
    hosts: pd.DataFrame
    optics: Optics
    separable: Mapping[str, bool]
    n_frames: int
    time_h: npt.NDArray[np.float64]
    death_marker: str | None = None
    death_reaches_inside: bool = False
    host_stain: str = "cytosol"


# ---------------------------------------------------------------- contracts, one per step


class IlluminationMethod(Method):
    """Uneven illumination of one channel."""

    step: ClassVar[str] = "illumination"

    @abstractmethod
    def estimate(self, sample: Float32Array, um_per_px: float) -> Float32Array:
        """Estimate the relative gain over the frame.

        Parameters
        ----------
        sample : (N, Y, X) float32 array
            Planes of one channel sampled over the movie.
        um_per_px : float
            Pixel size, um.

        Returns
        -------
        (Y, X) float32 array
            Relative gain, mean 1.
        """

    def pedestal(self, sample: Float32Array) -> float:
        """Return the level without light (counts), to which the gain does not apply."""
        return 0.0


class BleedThroughMethod(Method):
    """Bleed-through: signal of one channel that shows in another."""

    step: ClassVar[str] = "bleed_through"

    @abstractmethod
    def estimate(self, sample: Float32Array) -> Float32Array:
        """Return the (C, C) matrix M from (N, C, Y, X) planes.

        M[i, j] is the share of channel j that is seen in channel i; the diagonal is 0.
        """


class DriftMethod(Method):
    """Stage drift, which is removed from coordinates; pixels are never resampled."""

    step: ClassVar[str] = "drift"

    @abstractmethod
    def start(self) -> Callable[[Float32Array], tuple[float, float, float]]:
        """Return a function fed one (Y, X) registration image per frame in order.

        It returns (dy_px, dx_px, quality): displacement of the content against frame 0, and quality 0-1.
        """


class BleachingMethod(Method):
    """Bleaching: loss of signal over the movie that is due to the dye, not the cells."""

    step: ClassVar[str] = "bleaching"

    @abstractmethod
    def estimate(self, signal: npt.NDArray[np.float64], time_h: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Estimate the share of the signal left per frame.

        Parameters
        ----------
        signal : (T,) float64 array
            Signal level of one channel per frame, counts.
        time_h : (T,) float64 array
            Times of the frames, h.

        Returns
        -------
        (T,) float64 array
            Factor left, 1 at frame 0.
        """


class GuestSegmenter(Method):
    """Finds guests: small round cells, crowded, bright and dim in one field."""

    step: ClassVar[str] = "segment_guest"

    @abstractmethod
    def segment(self, scene: Scene) -> Objects:
        """Return the guests of one frame."""


class HostSegmenter(Method):
    """Finds hosts: large spread cells that touch and overlap."""

    step: ClassVar[str] = "segment_host"

    @abstractmethod
    def segment(self, scene: Scene) -> Objects:
        """Return the hosts of one frame; masks may overlap."""


class Tracker(Method):
    """Links objects over time."""

    @abstractmethod
    def track(
        self,
        cells: pd.DataFrame,
        masks_of: Callable[[int], Masks] | None = None,
        shift_px: Callable[[int], tuple[float, float]] | None = None,
    ) -> pd.DataFrame:
        """Link the objects of all frames into cells.

        Parameters
        ----------
        cells : pandas.DataFrame
            One row per object: frame, time_h, label, y_um, x_um (drift removed), z_um (NaN in 2D), area_um2, intensity.
        masks_of : callable, optional
            Gives a frame's masks, for methods that link by overlap.
        shift_px : callable, optional
            Gives a frame's drift (dy, dx), pixels, for the same methods.

        Returns
        -------
        pandas.DataFrame
            ``cells[["frame", "label"]]`` with ``cell_id`` (1 and up, unique in this population) and ``parent_id`` (cell
            it divided from, 0 = none), one row per object.
        """


class GuestTracker(Tracker):
    """Links guests."""

    step: ClassVar[str] = "track_guest"


class HostTracker(Tracker):
    """Links hosts."""

    step: ClassVar[str] = "track_host"


class Scorer(Method):
    """Infers locations and viability from evidence over time."""

    step: ClassVar[str] = "score"

    @abstractmethod
    def score(self, observations: Observations) -> pd.DataFrame:
        """Return table ``frames``: one row per guest and frame."""


STEPS: Final[Mapping[str, type[Method]]] = {
    c.step: c
    for c in (
        IlluminationMethod, BleedThroughMethod, BleachingMethod, DriftMethod,
        GuestSegmenter, HostSegmenter, GuestTracker, HostTracker, Scorer,
    )
}  # fmt: skip


# ---------------------------------------------------------------- finding them


@dataclass(frozen=True)
class Choice:
    """A method chosen by name with its options, as in the experiment file; ``method = "none"`` switches a step off."""

    method: str
    options: Mapping[str, Any] = field(default_factory=dict)


@cache
def available(step: str) -> Mapping[str, Any]:
    """Entry points of one step by method name.

    Raises
    ------
    ConfigurationError
        There is no such step.
    """
    if step not in STEPS:
        raise ConfigurationError(f"[methods] step {step!r} is not known; {nearest(step, STEPS)}")
    prefix = step + "."
    return {e.name.removeprefix(prefix): e for e in entry_points(group=ENTRY_POINT_GROUP) if e.name.startswith(prefix)}


def build(step: str, method: str, options: Mapping[str, Any] | None = None) -> Method:
    """Load a method and validate its options.

    Parameters
    ----------
    step : str
        One of :data:`STEPS`.
    method : str
        Name of its entry point without the step.
    options : mapping, optional
        The method's fields.

    Raises
    ------
    ConfigurationError
        Unknown step, method or option, or a value out of bounds.
    """
    found = available(step)
    if method not in found:
        raise ConfigurationError(f"[methods.{step}] method {method!r} is not installed; {nearest(method, found)}")
    cls = found[method].load()
    if not issubclass(cls, STEPS[step]):
        raise ConfigurationError(
            f"[methods.{step}] method {method!r} must subclass {STEPS[step].__name__}, {cls.__name__} does not; "
            "mend the package that brings it"
        )
    try:
        built: Method = cls(**dict(options or {}))
    except ValidationError as error:
        raise ConfigurationError(_first_complaint(step, method, cls, error)) from None
    return built


def _first_complaint(step: str, method: str, cls: type[Method], error: ValidationError) -> str:
    first = error.errors()[0]
    name = ".".join(str(p) for p in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"[methods.{step}] {method} has no option {name!r}; {nearest(name, cls.model_fields)}"
    return (
        f"[methods.{step}] option {name!r} = {first['input']!r}: {first['msg']}; see `cicimage methods` for its bounds"
    )


def noise_sd(image: npt.NDArray[Any]) -> float:
    """Noise SD per pixel of a (..., Y, X) image from differences of diagonal neighbours, robust to structure.

    0 where there are no such neighbours.
    """
    if min(image.shape[-2:]) < 2:
        return 0.0
    d = image[..., 1:, 1:].astype(np.float32) - image[..., :-1, 1:] - image[..., 1:, :-1] + image[..., :-1, :-1]
    return float(np.median(np.abs(d)) / 0.6745 / 2.0)
