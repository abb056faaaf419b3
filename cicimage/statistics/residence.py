"""How long guests stay once they have entered, how stays end, and whether there are two kinds of stay."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cicimage.arrays import Float64Array
from cicimage.statistics.spells import MIN_FRAMES, MIN_HOURS
from cicimage.statistics.tallies import counted_events

STATES = ("inside", "escape", "death", "host_death")


def stays(events: pd.DataFrame, frames: pd.DataFrame) -> pd.DataFrame:
    """Completed, watched stays as rows of a competing-risks analysis on the clock of the stay.

    Parameters
    ----------
    events, frames : pandas.DataFrame
        Tables of those names.

    Returns
    -------
    pandas.DataFrame
        position, guest_id, start_h (0), stop_h (hours from entry to end), state (0), to (1 escape, 2 death, 3 host
        death; -1 where it was lost or the movie ended), persistence_h (no completed stay is shorter: what follows holds
        for stays that lasted so long). Entry and escape lie between two frames: the middle is taken.
    """
    columns = ["position", "guest_id", "start_h", "stop_h", "state", "to", "persistence_h"]
    kept = counted_events(events)
    if kept.empty or frames.empty:
        return pd.DataFrame({c: pd.Series([], dtype=object if c == "position" else np.float64) for c in columns})
    clock = frames[["position", "frame", "time_h"]].drop_duplicates(["position", "frame"])
    clock = clock.sort_values(["position", "frame"], kind="stable")
    times = clock.set_index(["position", "frame"])["time_h"]
    following = clock.assign(next_h=clock.groupby("position")["time_h"].shift(-1)).set_index(["position", "frame"])
    entry = _at(times, kept, "entry_frame")
    before = _at(times, kept, "entry_after_frame")
    end, after = _at(times, kept, "end_frame"), _at(following["next_h"], kept, "end_frame")
    begun = np.where(np.isfinite(before), (entry + before) / 2, entry)
    left = np.where(np.isfinite(after), (end + after) / 2, end)
    code = kept["end_reason"].map({"escape": 1, "death": 2, "host_death": 3}).fillna(-1).astype(np.int64).to_numpy()
    step = clock.groupby("position")["time_h"].diff().groupby(clock["position"]).median()
    persistence = np.maximum(MIN_HOURS, (MIN_FRAMES - 1) * kept["position"].map(step).fillna(0.0).to_numpy(np.float64))
    stop = np.where(code == 1, left, end) - begun
    out = pd.DataFrame({
        "position": kept["position"].to_numpy(), "guest_id": kept["guest_id"].to_numpy(),
        "start_h": 0.0, "stop_h": stop, "state": 0, "to": code, "persistence_h": persistence,
    })  # fmt: skip
    return out[out["stop_h"] > 0].reset_index(drop=True)


def _at(times: pd.Series, events: pd.DataFrame, column: str) -> Float64Array:
    frame = events[column].astype(np.float64).fillna(-1).astype(np.int64)
    index = pd.MultiIndex.from_arrays([events["position"], frame])
    return times.reindex(index).to_numpy(np.float64)


@dataclass(frozen=True)
class StayMixture:
    """One or two kinds of stay.

    Attributes
    ----------
    n, ended : int
        Stays, and those whose end was seen.
    mean_h : float
        Mean stay if they are of one kind (exponential).
    short_h, long_h : float
        Means of two kinds.
    share_short : float
        Share of the short kind among stays that outlast the persistence.
    bic_gain : float
        BIC of one kind less BIC of two; above 6 speaks strongly for two (Kass & Raftery 1995, JASA 90:773).
    two_kinds : bool
        ``bic_gain`` above 6.
    """

    n: int
    ended: int
    mean_h: float
    short_h: float
    long_h: float
    share_short: float
    bic_gain: float
    two_kinds: bool


def stay_mixture(rows: pd.DataFrame, *, iterations: int = 500) -> StayMixture:
    """Compare one exponential with two, censored stays and the persistence allowed for.

    Parameters
    ----------
    rows : pandas.DataFrame
        From :func:`stays`; any observed end (escape, death, host death) ends a stay.
    iterations : int
        Steps of the EM algorithm (McLachlan & Peel 2000, Finite Mixture Models, section 10.2).
    """
    t = (rows["stop_h"] - rows["persistence_h"]).clip(lower=0).to_numpy(np.float64)
    ended = (rows["to"] >= 0).to_numpy(np.float64)
    n, d = len(t), float(ended.sum())
    if d < 2 or t.sum() <= 0:
        mean = float(t.sum() / d) if d else np.nan
        return StayMixture(n, int(d), mean, np.nan, np.nan, np.nan, np.nan, False)
    rate = d / t.sum()
    one = d * np.log(rate) - rate * t.sum()
    rates, share = np.array([4 * rate, rate / 4]), 0.5
    for _ in range(iterations):
        logs = np.log([share, 1 - share]) + ended[:, None] * np.log(rates) - t[:, None] * rates
        weight = np.exp(logs - np.logaddexp(logs[:, 0], logs[:, 1])[:, None])
        rates = np.clip((weight * ended[:, None]).sum(0), 1e-9, None) / np.clip(
            (weight * t[:, None]).sum(0), 1e-12, None
        )
        share = float(np.clip(weight[:, 0].mean(), 1e-6, 1 - 1e-6))
    logs = np.log([share, 1 - share]) + ended[:, None] * np.log(rates) - t[:, None] * rates
    two = float(np.logaddexp(logs[:, 0], logs[:, 1]).sum())
    gain = 2 * (two - float(one)) - 2 * np.log(d)
    order = np.argsort(rates)[::-1]
    short = share if order[0] == 0 else 1 - share
    return StayMixture(
        n, int(d), float(1 / rate), float(1 / rates[order[0]]), float(1 / rates[order[1]]), short, float(gain),
        bool(gain > 6),
    )  # fmt: skip
