"""Input from which inside cannot be told at all, said in one sentence each: then frames stay unresolved."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from cicimage.containment.optics import GUEST_DIAMETER_UM, LIMIT_STEP_UM
from cicimage.methods import Optics

F64 = npt.NDArray[np.float64]

LEAST_HOST_SIGNAL: Final = 1.0
"""Median host signal beside the guests, noise SD, under which there is no host dye."""
MOST_SATURATED: Final = 0.05
"""Share of the host channel's pixels at full scale from which cap, floor and void are lost."""
MOST_CUT: Final = 0.5
"""Share of the guests over hosts whose lower end lies under the stack from which the substrate is cut off."""
LEAST_RATIO: Final = 2.0
"""Hosts are at least this many times as wide as guests, or the roles are swapped."""
PLANE_UM: Final = (1.4, 2.6)
"""Height above the glass at which one thin section tells inside from under: higher up, a host that lies over a guest
is cut around it like one that holds it."""
FEW: Final = 20
"""Objects over all frames from which sizes mean something."""


def input_faults(
    guests: pd.DataFrame,
    hosts: pd.DataFrame,
    pairs: pd.DataFrame,
    optics: Optics,
    *,
    n_slices: int | None = None,
    saturated_share: float = 0.0,
    same_population: bool = False,
) -> tuple[str, ...]:
    """Say what makes it impossible to tell inside in a recording.

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
    saturated_share : float
        Share of the host channel's pixels at full scale, median over frames.
    same_population : bool
        Hosts and guests are one population: their sizes say nothing of roles.

    Returns
    -------
    tuple of str
        One sentence each; empty where nothing stands against it.

    Examples
    --------
    >>> import pandas as pd
    >>> cells = pd.DataFrame({"area_um2": [44.0] * 30, "observed": True})
    >>> none = cells.iloc[:0]
    >>> input_faults(cells, none, pd.DataFrame(), Optics(0.65))[0]
    'No host stands out of the background in any frame: check the host dye, and that host and guest are not swapped.'
    """
    if not len(guests):
        return ()
    if not len(hosts):
        return (
            "No host stands out of the background in any frame: check the host dye, and that host and guest are not "
            "swapped.",
        )
    said = [_dim(pairs), _saturated(saturated_share), _cut(pairs), _shallow(optics, n_slices), _height(optics)]
    if not same_population:
        said.append(_swapped(guests, hosts))
    return tuple(s for s in said if s)


def _over(pairs: pd.DataFrame) -> pd.DataFrame:
    return pairs[pairs["footprint_share"] > 0.5] if "footprint_share" in pairs else pairs


def _dim(pairs: pd.DataFrame) -> str:
    if "host_signal" not in pairs or len(_over(pairs)) < FEW:
        return ""
    signal = float(_over(pairs)["host_signal"].median())
    if not signal < LEAST_HOST_SIGNAL:
        return ""
    return (
        f"Hosts are {signal:.1f} noise SD above the background beside the guests, at least {LEAST_HOST_SIGNAL:g} is "
        "needed: check the host dye and its channel."
    )


def _saturated(share: float) -> str:
    if not share > MOST_SATURATED:
        return ""
    return (
        f"{100 * share:.0f} % of the host channel's pixels are saturated, at most {100 * MOST_SATURATED:.0f} % can be: "
        "cap, floor and void are lost; lower exposure or gain."
    )


def _cut(pairs: pd.DataFrame) -> str:
    if "guest_bottom_um" not in pairs:
        return ""
    bottom = _over(pairs)["guest_bottom_um"].dropna()
    share = float((bottom < -0.5).mean()) if len(bottom) else 0.0
    if len(bottom) < FEW or not share > MOST_CUT:
        return ""
    return (
        f"The stack starts above the lower end of {100 * share:.0f} % of the guests over hosts: floors cannot be seen; "
        "start the stack at the substrate."
    )


def _shallow(optics: Optics, n_slices: int | None) -> str:
    step = optics.um_per_z
    if step is None:
        return ""
    if step > LIMIT_STEP_UM:
        return (
            f"A focus step of {step:.1f} um skips cap and floor, at most {LIMIT_STEP_UM} um can be: take finer steps."
        )
    if n_slices is None or (n_slices - 1) * step >= GUEST_DIAMETER_UM:
        return ""
    return (
        f"{n_slices} slices of {step:.1f} um cover {(n_slices - 1) * step:.1f} um, less than a guest of "
        f"{GUEST_DIAMETER_UM} um: cap and floor are not both seen; take more slices."
    )


def _height(optics: Optics) -> str:
    low, high = PLANE_UM
    if optics.um_per_z is not None or not optics.sections:
        return ""
    if optics.plane_um is None:
        return (
            f"One {optics.modality} slice tells inside from under only {low:g} to {high:g} um above the glass, and its "
            "height is not known: set optics.plane_um."
        )
    if low <= optics.plane_um <= high:
        return ""
    return (
        f"One {optics.modality} slice tells inside from under only {low:g} to {high:g} um above the glass, this one "
        f"lies {optics.plane_um:g} um above it: take a lower slice or a stack."
    )


def _swapped(guests: pd.DataFrame, hosts: pd.DataFrame) -> str:
    sizes = []
    for cells in (guests, hosts):
        area = cells.loc[cells["observed"].astype(bool), "area_um2"].to_numpy(np.float64)
        area = area[np.isfinite(area)]
        sizes.append(float(2.0 * np.sqrt(np.median(area) / np.pi)) if len(area) else np.nan)
    if min(len(guests), len(hosts)) < FEW or not sizes[1] < LEAST_RATIO * sizes[0]:
        return ""
    return (
        f"Hosts are {sizes[1]:.0f} um wide and guests {sizes[0]:.0f} um, hosts should be at least {LEAST_RATIO:g} "
        "times as wide: are the host and guest channels swapped?"
    )
