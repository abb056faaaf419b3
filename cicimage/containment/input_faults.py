"""Faults of the input that make it impossible to recognise inside: all frames stay unresolved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from cicimage.containment.dye_in_guests import dye_in_guests
from cicimage.containment.optics import GUEST_DIAMETER_UM, LIMIT_STEP_UM
from cicimage.findings import Finding
from cicimage.methods import Optics

LEAST_HOST_SIGNAL: Final = 1.0
"""Median host signal beside the guests, noise SD, under which there is no host dye."""
MOST_CUT: Final = 0.5
"""Share of the guests over hosts whose lower end lies under the stack from which the substrate is cut off."""
LEAST_RATIO: Final = 2.0
"""Least ratio of host to guest width; below it the roles are taken to be swapped."""
PLANE_UM: Final = (1.4, 2.6)
"""Height above the glass at which one thin section tells inside from under: higher up, a host that lies over a guest
is cut around it like one that holds it."""
FEW: Final = 20
"""Objects over all frames from which sizes mean something."""


@dataclass(frozen=True)
class InputQuality:
    """Faults and signals of a recording's pixels, measured before it is scored.

    Attributes
    ----------
    findings : tuple of Finding
        Faults of frames and channels; with one of severity ``unresolved`` no state can be recognised.
    outside_signal : tuple of float
        Host signal of guests that no host is near, over that of hosts.
    """

    findings: tuple[Finding, ...] = ()
    outside_signal: tuple[float, ...] = ()


def input_faults(
    guests: pd.DataFrame,
    hosts: pd.DataFrame,
    pairs: pd.DataFrame,
    optics: Optics,
    *,
    n_slices: int | None = None,
    quality: InputQuality = InputQuality(),
    same_population: bool = False,
) -> tuple[Finding, ...]:
    """List the faults that make it impossible to recognise inside in a recording.

    Parameters
    ----------
    guests, hosts : pandas.DataFrame
        Cells of both populations: area_um2, observed.
    pairs : pandas.DataFrame
        Evidence: footprint_share, host_signal, guest_bottom_um.
    optics : Optics
        Scale.
    n_slices : int, optional
        Slices of a stack.
    quality : InputQuality
        Faults and signals of the pixels.
    same_population : bool
        Hosts and guests are one population: their sizes do not distinguish the roles.

    Returns
    -------
    tuple of Finding
        All ``unresolved``; empty where there is no such fault.

    Examples
    --------
    >>> import pandas as pd
    >>> cells = pd.DataFrame({"area_um2": [44.0] * 30, "observed": True})
    >>> none = cells.iloc[:0]
    >>> input_faults(cells, none, pd.DataFrame(), Optics(0.65))[0].code
    'no_host'
    """
    if not len(guests):
        return ()
    blocking = [f for f in quality.findings if f.severity == "unresolved"]
    if not len(hosts):
        return (
            *blocking,
            _fault(
                "no_host", "no host stands out of the background in any frame",
                "check the host dye, and that host and guest are not swapped", "channels.host",
            ),
        )  # fmt: skip
    said = [_dim(pairs), _cut(pairs), _shallow(optics, n_slices), _height(optics)]
    if not same_population:
        said += [_swapped(guests, hosts), dye_in_guests(pairs, quality.outside_signal)]
    return (*blocking, *(f for f in said if f is not None))


def _fault(code: str, value: str, remedy: str, field: str = "", where: str = "") -> Finding:
    return Finding(code, "unresolved", where, value, remedy, field)


def _over(pairs: pd.DataFrame) -> pd.DataFrame:
    return pairs[pairs["footprint_share"] > 0.5] if "footprint_share" in pairs else pairs


def _dim(pairs: pd.DataFrame) -> Finding | None:
    if "host_signal" not in pairs or len(_over(pairs)) < FEW:
        return None
    signal = float(_over(pairs)["host_signal"].median())
    if not signal < LEAST_HOST_SIGNAL:
        return None
    return _fault(
        "host_dim",
        f"hosts are {signal:.1f} noise SD above the background beside the guests, at least {LEAST_HOST_SIGNAL:g} is "
        "needed",
        "check the host dye and its channel", "channels.host",
    )  # fmt: skip


def _cut(pairs: pd.DataFrame) -> Finding | None:
    if "guest_bottom_um" not in pairs:
        return None
    bottom = _over(pairs)["guest_bottom_um"].dropna()
    share = float((bottom < -0.5).mean()) if len(bottom) else 0.0
    if len(bottom) < FEW or not share > MOST_CUT:
        return None
    return _fault(
        "stack_cut_off",
        f"the stack starts above the lower end of {100 * share:.0f} % of the guests over hosts: floors cannot be seen",
        "start the stack at the substrate",
    )


def _shallow(optics: Optics, n_slices: int | None) -> Finding | None:
    step = optics.um_per_z
    if step is None:
        return None
    if step > LIMIT_STEP_UM:
        return _fault(
            "focus_step_coarse",
            f"a focus step of {step:.1f} um skips cap and floor, at most {LIMIT_STEP_UM} um can be",
            "take finer steps", "optics.um_per_z",
        )  # fmt: skip
    if n_slices is None or (n_slices - 1) * step >= GUEST_DIAMETER_UM:
        return None
    return _fault(
        "stack_shallow",
        f"{n_slices} slices of {step:.1f} um cover {(n_slices - 1) * step:.1f} um, less than a guest of "
        f"{GUEST_DIAMETER_UM} um: cap and floor are not both seen",
        "take more slices", "optics.um_per_z",
    )  # fmt: skip


def _height(optics: Optics) -> Finding | None:
    low, high = PLANE_UM
    if optics.um_per_z is not None or not optics.sections:
        return None
    value = f"one {optics.modality} slice tells inside from under only {low:g} to {high:g} um above the glass, "
    if optics.plane_um is None:
        return _fault(
            "slice_height_unknown", value + "and its height is not known", "set optics.plane_um", "optics.plane_um"
        )
    if low <= optics.plane_um <= high:
        return None
    value += f"this one lies {optics.plane_um:g} um above it"
    return _fault("slice_height", value, "take a lower slice or a stack", "optics.plane_um")


def _swapped(guests: pd.DataFrame, hosts: pd.DataFrame) -> Finding | None:
    sizes = []
    for cells in (guests, hosts):
        area = cells.loc[cells["observed"].astype(bool), "area_um2"].to_numpy(np.float64)
        area = area[np.isfinite(area)]
        sizes.append(float(2.0 * np.sqrt(np.median(area) / np.pi)) if len(area) else np.nan)
    if min(len(guests), len(hosts)) < FEW or not sizes[1] < LEAST_RATIO * sizes[0]:
        return None
    return _fault(
        "roles_swapped",
        f"hosts are {sizes[1]:.0f} um wide and guests {sizes[0]:.0f} um, hosts should be at least {LEAST_RATIO:g} "
        "times as wide",
        "check whether the host and guest channels are swapped", "channels.host",
    )  # fmt: skip
