"""Objects of single frames become cells over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from cicimage.api.inputs import Labels, as_masks, as_method, as_optics, as_volume, objects_of, require_step
from cicimage.errors import ConfigurationError
from cicimage.masks import Masks
from cicimage.methods import GuestTracker, HostTracker, Optics, Tracker, noise_sd
from cicimage.pipeline.link import link_population
from cicimage.pipeline.measure import measure_objects


def track(
    labels: Sequence[Labels] | npt.NDArray[np.integer],
    optics: Optics | float,
    *,
    interval_s: float | Sequence[float],
    role: Literal["guest", "host"] = "guest",
    images: Sequence[npt.ArrayLike] | None = None,
    drift_um: npt.ArrayLike | None = None,
    method: Tracker | str | None = None,
) -> pd.DataFrame:
    """Link the cells of all frames, and fill short gaps.

    Parameters
    ----------
    labels : sequence of (Y, X) int arrays or Masks, or a (T, Y, X) int array
        Cells of every frame, from any segmentation; frames without cells included.
    optics : Optics or float
        Scale, or um per pixel alone for planes.
    interval_s : float or (T,) sequence of float
        Seconds between frames, or the time of each.
    role : {"guest", "host"}
        Guests are linked by position and features, hosts by overlap of their masks.
    images : sequence of (Y, X) or (Z, Y, X) arrays, optional
        The cells' channel of every frame: gives intensities, which linking uses, and in stacks heights. Without
        them both are empty.
    drift_um : (T, 2) array, optional
        Drift (y, x) of every frame against the first one, um; none by default.
    method : Tracker or str, optional
        The tracker, or its name; ``assignment`` for guests and ``overlap`` for hosts by default.

    Returns
    -------
    pandas.DataFrame
        One row per cell and frame: the columns of table ``cells``; ``cell_id`` is the same over time, ``parent_id`` the
        cell it divided from (0 = none), ``observed`` is false in a filled gap. Positions are those of the raw frame.

    Raises
    ------
    ConfigurationError
        No frames, numbers of frames that differ, or a role that is not known.

    Examples
    --------
    >>> import numpy as np
    >>> import cicimage as cic
    >>> movie = np.zeros((3, 40, 60), int)
    >>> for t in range(3):
    ...     movie[t, 10:18, 10 + 2 * t:18 + 2 * t] = 1
    ...     movie[t, 25:33, 40:48] = 2
    >>> cells = cic.track(movie, 1.0, interval_s=60.0)
    >>> cells.groupby("cell_id")["x_um"].agg(["first", "last"]).round(1).values.tolist()
    [[13.5, 17.5], [43.5, 43.5]]
    """
    found, n = as_optics(optics), len(labels)
    if role not in ("guest", "host"):
        raise ConfigurationError(f"role must be 'guest' or 'host', is {role!r}; give one of them")
    if not n or (images is not None and len(images) != n):
        raise ConfigurationError(
            f"labels must hold one label image per frame, and images as many, there are {n} and "
            f"{'none' if images is None else len(images)}; give every frame of the movie"
        )
    masks = [as_masks(frame, f"labels[{t}]") for t, frame in enumerate(labels)]
    contract: type[Tracker] = HostTracker if role == "host" else GuestTracker
    name = method or ("overlap" if role == "host" else "assignment")
    tracker = as_method(f"track_{role}", name, contract)
    time_h = times_s(interval_s, n) / 3600.0
    tables = [_measured(frame, None if images is None else images[t], found) for t, frame in enumerate(masks)]
    detections = pd.concat([table.assign(frame=t, time_h=time_h[t]) for t, table in enumerate(tables)])
    if detections.empty:
        return detections.assign(population=role, cell_id=0, parent_id=0, observed=True)
    drift = as_drift(drift_um, n)
    own = detections.reset_index(drop=True).assign(population=role, death_signal=np.nan, death_fill=np.nan)
    return link_population(own, drift, time_h, tracker, masks.__getitem__, found.um_per_px)


def times_s(interval_s: float | Sequence[float] | npt.NDArray[np.float64], n_frames: int) -> npt.NDArray[np.float64]:
    """Times of frames from their interval, or as given.

    Parameters
    ----------
    interval_s : float or (n_frames,) sequence
        Seconds between frames, or the time of each.
    n_frames : int
        Number of frames.

    Raises
    ------
    ConfigurationError
        Another number of times, or times that do not rise.
    """
    given = np.asarray(interval_s, np.float64)
    times: npt.NDArray[np.float64] = np.arange(n_frames, dtype=np.float64) * given if given.ndim == 0 else given
    if times.shape != (n_frames,) or not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        raise ConfigurationError(
            f"interval_s must be seconds above 0, or one rising time for each of {n_frames} frames, and is "
            f"{given.tolist() if given.size < 5 else f'{given.size} times'}; give the times of the movie"
        )
    return times


def as_drift(drift_um: npt.ArrayLike | None, n_frames: int) -> pd.DataFrame:
    """Drift of every frame as a table; zero where it is not given.

    Parameters
    ----------
    drift_um : (n_frames, 2) array or None
        Drift (y, x), um.
    n_frames : int
        Number of frames.

    Returns
    -------
    pandas.DataFrame
        frame, dy_um, dx_um.

    Raises
    ------
    ConfigurationError
        Another shape, or values that are not finite.
    """
    drift = np.zeros((n_frames, 2)) if drift_um is None else np.asarray(drift_um, np.float64)
    if drift.shape != (n_frames, 2) or not np.isfinite(drift).all():
        raise ConfigurationError(
            f"drift_um must be finite (y, x) in um for each of {n_frames} frames, and has shape {drift.shape}; "
            "leave it out where there is none"
        )
    return pd.DataFrame({"frame": np.arange(n_frames), "dy_um": drift[:, 0], "dx_um": drift[:, 1]})


def _measured(masks: Masks, image: npt.ArrayLike | None, optics: Optics) -> pd.DataFrame:
    """Place, size and, with an image, intensity and height of the cells of one frame."""
    if image is None:
        blank = np.zeros((1, *masks.shape), np.float32)
        table = measure_objects(blank, objects_of(blank, masks, optics), optics.um_per_px, 1.0)
        return table.assign(intensity=np.nan, snr=np.nan)
    volume = as_volume(image, "images")
    require_step(volume, optics)
    as_masks(masks, "labels", volume.shape[1:])
    return measure_objects(volume, objects_of(volume, masks, optics), optics.um_per_px, max(noise_sd(volume), 1e-6))
