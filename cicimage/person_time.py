"""Person-time: the hours that a frame stands for, and the states in which they count.

A frame stands for half of the step before it and half of the step after it. The first and the last frame of a track
have only the half that was watched, so that a track's hours add up to the time between its first and last frame,
whatever the steps: irregular intervals and pauses count as they were.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from cicimage.arrays import BoolArray, Float64Array
from cicimage.states import IN_CONTACT, OUTSIDE


def share_steps(step_h: npt.ArrayLike) -> Float64Array:
    """Share the steps between consecutive rows out among the rows.

    Parameters
    ----------
    step_h : (n - 1,) array_like
        Hours between a row and the next one; 0 where the time between them counts for neither.

    Returns
    -------
    (n,) float64 array
        Half of the step before each row and half of the step after it.

    Examples
    --------
    >>> share_steps([1.0, 2.0]).tolist()
    [0.5, 1.5, 1.0]
    """
    step = np.asarray(step_h, np.float64)
    out: Float64Array = np.zeros(len(step) + 1)
    out[:-1] += 0.5 * step
    out[1:] += 0.5 * step
    return out


def credited_hours(time_h: Float64Array) -> Float64Array:
    """Compute the hours that each row of one track stands for.

    Parameters
    ----------
    time_h : (n,) float64
        Hours of the rows, in order.

    Returns
    -------
    (n,) float64 array
        Hours; their sum is the time between the first and the last row.

    Examples
    --------
    >>> credited_hours(np.array([0.0, 1.0, 3.0])).tolist()
    [0.5, 1.5, 1.0]
    """
    return share_steps(np.diff(time_h)) if len(time_h) else np.zeros(0)


def adjacent_steps(clock: pd.DataFrame) -> pd.DataFrame:
    """Add the steps before and after each frame to the clock of positions.

    Parameters
    ----------
    clock : pandas.DataFrame
        position, frame, time_h; one row a frame, in order.

    Returns
    -------
    pandas.DataFrame
        With ``before_h`` and ``after_h``, the time since the frame before and until the next one; 0 at the ends of a
        movie. Half of their sum are the hours that the frame stands for.
    """
    times = clock.groupby("position")["time_h"]
    return clock.assign(before_h=times.diff().fillna(0.0), after_h=-times.diff(-1).fillna(0.0))


def counted_in(location: npt.ArrayLike, viability: npt.ArrayLike) -> dict[str, BoolArray]:
    """Say in which hours of table ``guests`` each row of a guest counts.

    Parameters
    ----------
    location, viability : (n,) array_like of str
        States, as :mod:`cicimage.states` names them.

    Returns
    -------
    dict of str to (n,) bool array
        Rows by column of hours. A dead guest counts in none of them; a dying one no longer enters; ``unknown`` counts
        as alive, and in ``hours_unknown_viability`` besides.
    """
    where, lives = np.asarray(location, object), np.asarray(viability, object)
    living = lives != "dead"
    outside = np.isin(where, OUTSIDE)
    return {
        "hours_outside_alive": outside & living,
        "hours_contact": np.isin(where, IN_CONTACT) & living,
        "hours_inside_alive": (where == "inside") & living,
        "hours_unresolved": (where == "unresolved") & living,
        "hours_at_risk_entry": outside & living & (lives != "dying"),
        "hours_unknown_viability": lives == "unknown",
    }
