"""Limits of the optics: axial resolution, focus step, depth range, and which states they separate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from cicimage.findings import Finding
from cicimage.methods import Optics

IMMERSION_INDEX: Final = {"air": 1.0, "water": 1.33, "glycerol": 1.47, "oil": 1.515}
ASSUMED_AXIAL_FWHM_UM: Final = 2.0
STOKES_UM: Final = 0.03
"""Confocal resolution is governed by a wavelength between excitation and emission: about this below emission."""
GUEST_DIAMETER_UM: Final = 7.5
THIN_FLOOR_UM: Final = 0.3
LIMIT_FWHM_UM: Final = 3.0
LIMIT_STEP_UM: Final = 2.5
WIDEFIELD: Final = ("widefield", "brightfield")


@dataclass(frozen=True)
class OpticsVerdict:
    """States that can be separated in a recording, and why.

    Attributes
    ----------
    axial_fwhm_um : float or None
        Axial resolution used, um; None in 2D.
    source : str
        Where it comes from: ``na`` | ``measured`` | ``assumed`` | ``none``.
    separable : mapping of str to bool
        ``inside``, ``under``, ``on_top``: whether that state can be separated from the others.
    step_is_fine : bool
        The focus step samples the resolution or at least the guest.
    range_um : float or None
        Depth covered, um, where known.
    min_host_signal : float or None
        Host signal (over the noise SD per pixel) from which a floor of 0.3 um is seen at three standard errors.
    sentences : tuple of str
        The same in words, for the report.
    findings : tuple of Finding
        Faults of the input that leave no state separable.
    """

    axial_fwhm_um: float | None
    source: str
    separable: Mapping[str, bool]
    step_is_fine: bool
    range_um: float | None
    min_host_signal: float | None
    sentences: tuple[str, ...]
    findings: tuple[Finding, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            **asdict(self), "separable": dict(self.separable), "sentences": list(self.sentences),
            "findings": [f.as_dict() for f in self.findings],
        }  # fmt: skip


def confocal_fwhm_um(na: float, immersion_index: float, wavelength_um: float = 0.52) -> float:
    """Axial full width at half maximum of a point at a pinhole of one Airy unit, um.

    Wave-optical and geometric part in quadrature (Wilhelm et al., Confocal Laser Scanning Microscopy, Zeiss 2003).

    Parameters
    ----------
    na : float
        Numerical aperture.
    immersion_index : float
        Refractive index of the immersion medium, at least ``na``.
    wavelength_um : float
        Wavelength in vacuum, um.

    Examples
    --------
    >>> round(confocal_fwhm_um(0.8, 1.0), 1)
    1.8
    """
    cone = immersion_index - np.sqrt(max(immersion_index**2 - na**2, 0.0))
    airy_um = 1.22 * wavelength_um / na
    return float(np.hypot(0.88 * wavelength_um / cone, np.sqrt(2.0) * immersion_index * airy_um / na))


def widefield_fwhm_um(na: float, medium_index: float, patch_radius_um: float = GUEST_DIAMETER_UM / 4) -> float:
    """Defocus range over which a patch of membrane keeps half its intensity in widefield, um.

    A whole sheet is not sectioned at all; a patch as wide as a guest's core fades as its light spreads over the
    cone: half is left where the cone has widened the patch's area to twice.

    Parameters
    ----------
    na : float
        Numerical aperture.
    medium_index : float
        Refractive index of the sample.
    patch_radius_um : float
        Radius of the patch, um.
    """
    tangent = np.tan(np.arcsin(min(na / medium_index, 0.98)))
    return float(2.0 * (np.sqrt(2.0) - 1.0) * 2.0 * patch_radius_um / tangent)


def axial_fwhm_of(optics: Optics) -> float | None:
    """Axial resolution from NA, immersion and modality, um; None where NA or modality is not known, or in 2D."""
    if optics.um_per_z is None or optics.na is None or optics.na <= 0:
        return None
    immersion = optics.immersion or ("air" if optics.na < 1.0 else "oil")
    if optics.modality in WIDEFIELD:
        return widefield_fwhm_um(optics.na, optics.medium_index)
    index = max(IMMERSION_INDEX[immersion], optics.na * 1.0001)
    fwhm = confocal_fwhm_um(optics.na, index, optics.emission_um - STOKES_UM)
    # A dry or oil lens looking into medium is off its design: in practice a quarter to a half wider.
    return fwhm * (1.3 if abs(index - optics.medium_index) > 0.1 else 1.1)


def judge_optics(
    optics: Optics,
    pairs: pd.DataFrame | None = None,
    *,
    axial_fwhm_um: float | None = None,
    n_slices: int | None = None,
) -> OpticsVerdict:
    """Judge which states can be separated in a recording.

    Parameters
    ----------
    optics : Optics
        How it was taken, as far as known.
    pairs : pandas.DataFrame, optional
        Evidence measured in it (``host_signal``, ``guest_bottom_um``); adds what the signal carries.
    axial_fwhm_um : float, optional
        Axial resolution measured from the guests, um; used where NA is not known or allows better. Taken from
        ``pairs`` where it is not given.
    n_slices : int, optional
        Slices in a stack; gives the depth range.

    Examples
    --------
    >>> dict(judge_optics(Optics(0.325, 1.0, na=0.95, immersion="air", modality="confocal")).separable)
    {'inside': True, 'under': True, 'on_top': True}
    >>> judge_optics(Optics(0.65)).separable["inside"]
    False
    """
    if optics.um_per_z is None:
        return _flat_verdict()
    fwhm, source, of_na = _resolution(optics, _measured(pairs) if axial_fwhm_um is None else axial_fwhm_um)
    step, widefield = optics.um_per_z, optics.modality in WIDEFIELD
    fine = step <= LIMIT_STEP_UM
    # Cap and floor of a guest lie a diameter apart: both must stand apart from each other and from the walls.
    apart = fwhm < LIMIT_FWHM_UM
    range_um = None if n_slices is None else (n_slices - 1) * step
    deep = range_um is None or range_um >= GUEST_DIAMETER_UM
    separable = apart and fine and deep and not widefield
    needed = _min_host_signal(optics, fwhm) if separable else None
    limits = (
        (widefield, f"{optics.modality} hardly sections a sheet: inside and under cannot be told for certain."),
        (
            not widefield and not apart,
            f"An axial slice of {fwhm:.1f} um is too thick to see cap and floor of a {GUEST_DIAMETER_UM:.1f} um guest "
            f"apart (limit {LIMIT_FWHM_UM:.0f} um): inside, under and on top stay unresolved where signal is shared.",
        ),
        (not fine, f"A focus step of {step:.1f} um skips the layers (limit {LIMIT_STEP_UM} um)."),
        (not deep, f"The stack covers {range_um or 0.0:.1f} um, less than a guest of {GUEST_DIAMETER_UM:.1f} um."),
        (
            separable,
            f"Inside, under and on top can be told; a floor of {THIN_FLOOR_UM} um needs a host signal of at least "
            f"{needed or 0.0:.1f} noise SD.",
        ),
    )
    sentences = [
        _source_sentence(optics, fwhm, source, of_na), *(text for holds, text in limits if holds),
        *_signal_sentences(pairs, needed),
    ]  # fmt: skip
    states = dict.fromkeys(("inside", "under", "on_top"), separable)
    return OpticsVerdict(fwhm, source, states, fine, range_um, needed, tuple(sentences))


def _resolution(optics: Optics, measured_um: float | None) -> tuple[float, str, float | None]:
    """Axial resolution, um, its source, and what NA allows; measured where NA is unknown or allows better."""
    of_na = axial_fwhm_of(optics)
    if of_na is not None and (measured_um is None or not measured_um > of_na):
        return of_na, "na", of_na
    if measured_um is not None and np.isfinite(measured_um):
        return float(measured_um), "measured", of_na
    return ASSUMED_AXIAL_FWHM_UM, "assumed", of_na


def _source_sentence(optics: Optics, fwhm: float, source: str, of_na: float | None) -> str:
    if source == "na":
        return f"Axial resolution {fwhm:.1f} um from NA {optics.na} ({optics.immersion or 'immersion assumed'})."
    if source == "assumed":
        return f"NA is not known; an axial resolution of {fwhm:.1f} um is assumed: give optics.na."
    reason = "NA is not known." if of_na is None else f"NA {optics.na} would allow {of_na:.1f} um (aberration?)."
    return f"Axial resolution {fwhm:.1f} um was measured from the guests, taken as balls; {reason}"


def _flat_verdict() -> OpticsVerdict:
    return OpticsVerdict(
        None, "none", {"inside": False, "under": False, "on_top": False}, False, None, None,
        ("One focal plane: inside, under and on top are told only as far as ring, void and co-motion carry it; "
         "probabilities are given and rates come with bounds.",),
    )  # fmt: skip


def _min_host_signal(optics: Optics, fwhm: float) -> float:
    """Host signal in noise SD per pixel at which a thin floor has three standard errors."""
    contrast = min(1.0, THIN_FLOOR_UM / fwhm)
    pixels = np.pi * (0.3 * GUEST_DIAMETER_UM / optics.um_per_px) ** 2 * max(1.0, fwhm / float(optics.um_per_z or 1.0))
    return float(3.0 / (contrast * np.sqrt(max(pixels, 1.0))))


def _measured(pairs: pd.DataFrame | None) -> float | None:
    """Axial resolution that the guests showed, median over the pairs; None where most frames kept to NA."""
    if pairs is None or "axial_measured" not in pairs or not (pairs["axial_measured"] > 0).mean() > 0.5:
        return None
    return float(pairs.loc[pairs["axial_measured"] > 0, "axial_fwhm_um"].median())


def _signal_sentences(pairs: pd.DataFrame | None, needed: float | None) -> list[str]:
    if pairs is None or not len(pairs) or "host_signal" not in pairs:
        return []
    over = pairs.loc[pairs["footprint_share"] > 0.5] if "footprint_share" in pairs else pairs
    signal = over["host_signal"].dropna()
    said = []
    if not len(signal):
        said.append("No host signal above background beside any guest: nothing can be called inside here.")
    elif needed is not None and float(signal.median()) < needed:
        said.append(f"Median host signal beside the guests is {signal.median():.1f} noise SD, below that.")
    if "guest_bottom_um" in over and len(over):
        cut = float((over["guest_bottom_um"] < -0.5).mean())
        if cut > 0.2:
            said.append(f"The stack starts above the floor of {100 * cut:.0f} % of the guests over hosts.")
    return said
