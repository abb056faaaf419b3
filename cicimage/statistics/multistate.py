"""Aalen-Johansen estimator for any states: deterministic with ties, left truncation, clustered standard errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from cicimage.arrays import Float64Array, Int64Array
from cicimage.errors import CicimageError
from cicimage.statistics.quantiles import normal_quantile

DIGITS = 9
"""Times are compared after rounding to this many decimals of an hour, so that ties are the same on any machine."""


@dataclass(frozen=True)
class Occupation:
    """Probability of each state over time.

    Attributes
    ----------
    states : tuple of str
        Names of the states, k of them.
    time_h : (t,) float64
        Times of transitions and of changes of the risk sets, increasing.
    estimate, std_error : (t, k) float64
        Probability of each state from that time on, and its infinitesimal-jackknife standard error.
    at_risk : (t, k) float64
        Under observation in each state just before that time.
    transitions : (t, k, k) float64
        Transitions from state (second axis) to state (third axis) at that time.
    initial : (k,) float64
        Probabilities before the first time.
    n : int
        Subjects.
    n_clusters : int
        Independent units of the standard error.
    influence : (t, n_clusters, k) float64 or None
        Influence of each cluster where asked for; their squares sum to the squared standard error.
    method : str
        How it was estimated.
    """

    states: tuple[str, ...]
    time_h: Float64Array
    estimate: Float64Array
    std_error: Float64Array
    at_risk: Float64Array
    transitions: Float64Array
    initial: Float64Array
    n: int
    n_clusters: int
    influence: Float64Array | None
    method: str

    def at(self, time_h: float) -> tuple[Float64Array, Float64Array]:
        """Estimate and standard error of each state at a time, (k,) each."""
        i = int(np.searchsorted(self.time_h, round(time_h, DIGITS), side="right")) - 1
        if i < 0:
            return self.initial, np.zeros_like(self.initial)
        return self.estimate[i], self.std_error[i]


def aalen_johansen(
    start_h: npt.ArrayLike,
    stop_h: npt.ArrayLike,
    state: npt.ArrayLike,
    to: npt.ArrayLike,
    states: Sequence[str],
    *,
    subject: npt.ArrayLike | None = None,
    cluster: npt.ArrayLike | None = None,
    initial: npt.ArrayLike | None = None,
    keep_influence: bool = False,
) -> Occupation:
    """Estimate state occupation probabilities from (start, stop] rows.

    Parameters
    ----------
    start_h, stop_h : (n,) array_like
        Hours; a subject is under observation in (start, stop]. Rows of no length are dropped.
    state : (n,) array_like of int
        Index into ``states`` of where the subject is during the row.
    to : (n,) array_like of int
        Index of the state entered at ``stop_h``; -1 where observation merely ends or goes on in the next row.
    states : sequence of str
        Names.
    subject : (n,) array_like, optional
        Who each row belongs to; every row its own subject where not given.
    cluster : (n,) array_like, optional
        Independent unit of each row (donor, well); the subject where not given. Left-out influences are summed over it.
    initial : (k,) array_like, optional
        Known start; otherwise the shares of the states among those at risk just before the first transition.

    keep_influence : bool
        Return the influences too (for :func:`band_factor`).

    Raises
    ------
    CicimageError
        A row ends before it starts, or lengths differ.

    Notes
    -----
    Aalen OO, Johansen S (1978), Scand J Stat 5:141. At a tie all transitions share one risk set; subjects censored at
    a time are at risk at it, subjects who start at a time are not. Standard errors are the infinitesimal jackknife as
    in R's ``survival::survfit`` (Therneau, vignette "Multi-state models as a tool").
    """
    a: Float64Array = np.asarray(start_h, np.float64).round(DIGITS)
    b: Float64Array = np.asarray(stop_h, np.float64).round(DIGITS)
    where, goes = np.asarray(state, np.int64), np.asarray(to, np.int64)
    if not len(a) == len(b) == len(where) == len(goes):
        raise CicimageError("aalen_johansen: start, stop, state and to must have one length each; pass one row a spell")
    if (b < a).any():
        i = int(np.argmax(b < a))
        raise CicimageError(f"aalen_johansen: a row must end after it starts, row {i} runs {a[i]} to {b[i]}; mend it")
    who = np.arange(len(a)) if subject is None else np.unique(np.asarray(subject), return_inverse=True)[1]
    group = who if cluster is None else np.unique(np.asarray(cluster), return_inverse=True)[1]
    keep = b > a
    a, b, where, goes, who, group = a[keep], b[keep], where[keep], goes[keep], who[keep], group[keep]
    goes = np.where(goes == where, -1, goes)
    k = len(states)
    times = np.unique(b)
    risk, moves = _risk_sets(a, b, where, goes, times, k)
    first = _first_transition(moves)
    p0, infl0 = _start(a, b, where, group, times[first] if len(times) else 0.0, k, initial)
    kept = np.zeros((len(times), *infl0.shape)) if keep_influence else None
    estimate, error = _run(a, b, where, goes, group, times, risk, moves, p0, infl0, kept)
    return Occupation(
        tuple(states), times, estimate, error, risk, moves, p0, len(np.unique(who)), len(np.unique(group)), kept,
        "Aalen-Johansen, infinitesimal jackknife" + ("" if cluster is None else " clustered"),
    )  # fmt: skip


def _risk_sets(
    a: Float64Array, b: Float64Array, where: Int64Array, goes: Int64Array, times: Float64Array, k: int
) -> tuple[Float64Array, Float64Array]:
    risk = np.zeros((len(times), k))
    moves = np.zeros((len(times), k, k))
    for h in range(k):
        mine = where == h
        started = np.searchsorted(np.sort(a[mine]), times, side="left")
        gone = np.searchsorted(np.sort(b[mine]), times, side="left")
        risk[:, h] = started - gone
    moved = goes >= 0
    np.add.at(moves, (np.searchsorted(times, b[moved]), where[moved], goes[moved]), 1.0)
    return risk, moves


def _first_transition(moves: Float64Array) -> int:
    any_move = moves.sum(axis=(1, 2)) > 0
    return int(np.argmax(any_move)) if any_move.any() else 0


def _start(
    a: Float64Array,
    b: Float64Array,
    where: Int64Array,
    group: Int64Array,
    time: float,
    k: int,
    initial: npt.ArrayLike | None,
) -> tuple[Float64Array, Float64Array]:
    n_groups = int(group.max()) + 1 if len(group) else 0
    influence = np.zeros((n_groups, k))
    if initial is not None:
        return np.asarray(initial, np.float64), influence
    here = (a < time) & (b >= time)
    if not here.any():
        return np.eye(k)[0], influence
    p0 = np.bincount(where[here], minlength=k) / here.sum()
    np.add.at(influence, (group[here], where[here]), 1.0 / here.sum())
    np.add.at(influence, group[here], -p0[None, :] / here.sum())
    return p0, influence


def _run(
    a: Float64Array,
    b: Float64Array,
    where: Int64Array,
    goes: Int64Array,
    group: Int64Array,
    times: Float64Array,
    risk: Float64Array,
    moves: Float64Array,
    p0: Float64Array,
    influence: Float64Array,
    kept: Float64Array | None,
) -> tuple[Float64Array, Float64Array]:
    k = len(p0)
    p, estimate, error = p0.copy(), np.zeros((len(times), k)), np.zeros((len(times), k))
    order = np.argsort(b, kind="stable")
    ends = np.searchsorted(b[order], times, side="left"), np.searchsorted(b[order], times, side="right")
    n_groups = len(influence)
    entered, left = _by_time(a, where, group, times), _by_time(b, where, group, times)
    alive = np.zeros((n_groups, k))
    i_in = i_out = 0
    for i in range(len(times)):
        i_in, i_out = _advance(alive, entered, left, i_in, i_out, i)
        if not moves[i].any():
            estimate[i], error[i] = p, np.sqrt((influence**2).sum(axis=0))
            if kept is not None:
                kept[i] = influence
            continue
        at = np.maximum(risk[i], 1.0)
        out = moves[i].sum(axis=1)
        hazard = moves[i] / at[:, None]
        matrix = hazard + np.diag(1.0 - out / at)
        # an own share in the hazards: who moved pulls them towards the move, who was at risk dilutes them
        increment = -(alive * (p / at)[None, :]) @ (hazard - np.diag(out / at))
        movers = order[ends[0][i] : ends[1][i]]
        movers = movers[goes[movers] >= 0]
        weight = p[where[movers]] / at[where[movers]]
        np.add.at(increment, (group[movers], goes[movers]), weight)
        np.add.at(increment, (group[movers], where[movers]), -weight)
        influence = influence @ matrix + increment
        p = p @ matrix
        estimate[i], error[i] = p, np.sqrt((influence**2).sum(axis=0))
        if kept is not None:
            kept[i] = influence
    return estimate, error


def band_factor(fit: Occupation, state: int, level: float = 0.95, *, draws: int = 2000, seed: int = 0) -> float:
    """How many standard errors a band over all times needs, instead of 1.96 at one time.

    Parameters
    ----------
    fit : Occupation
        Made with ``keep_influence=True``.
    state : int
        Which state's curve.
    level : float
        Coverage of the whole curve.
    draws, seed : int
        Normal multipliers drawn.

    Notes
    -----
    Lin DY (1997), Stat Med 16:901: influences times normal multipliers have the law of the estimation error; the factor
    is the quantile of the largest standardised deviation.

    Raises
    ------
    CicimageError
        The influences were not kept.
    """
    if fit.influence is None:
        raise CicimageError("band_factor: needs the influences, none were kept; pass keep_influence=True")
    moved = fit.std_error[:, state] > 0
    if not moved.any():
        return float("nan")
    scaled = fit.influence[moved, :, state] / fit.std_error[moved, state][:, None]
    normal = np.random.default_rng(seed).standard_normal((scaled.shape[1], draws))
    one_time = float(normal_quantile(0.5 + level / 2))
    return max(one_time, float(np.quantile(np.abs(scaled @ normal).max(axis=0), level)))


def mean_over(fits: Sequence[Occupation], pooled: Occupation) -> Occupation:
    """Mean of curves, each counting once however many subjects it rests on.

    Parameters
    ----------
    fits : sequence of Occupation
        Curves of independent units, of the same states.
    pooled : Occupation
        Curve of all their subjects together: its times, risk sets and transitions are taken.

    Returns
    -------
    Occupation
        The squared standard error is the sum over units of ((own curve less mean) / number of units)^2.

    Examples
    --------
    >>> few = aalen_johansen([0, 0], [1, 2], [0, 0], [1, -1], ("out", "in"), initial=(1, 0))
    >>> many = aalen_johansen([0] * 8, [1] * 8, [0] * 8, [-1] * 8, ("out", "in"), initial=(1, 0))
    >>> both = aalen_johansen([0] * 10, [1, 2] + [1] * 8, [0] * 10, [1] + [-1] * 9, ("out", "in"), initial=(1, 0))
    >>> mean_over([few, many], both).estimate[:, 1].tolist()
    [0.25, 0.25]
    """
    each = np.stack([[fit.at(t)[0] for t in pooled.time_h] for fit in fits], axis=1)
    mean = each.mean(axis=1)
    influence = (each - mean[:, None, :]) / len(fits)
    error = np.sqrt((influence**2).sum(axis=1))
    return replace(
        pooled, estimate=mean, std_error=error, influence=influence, n_clusters=len(fits),
        method=f"Aalen-Johansen per unit, mean of {len(fits)} units",
    )  # fmt: skip


def _by_time(
    at: Float64Array, where: Int64Array, group: Int64Array, times: Float64Array
) -> tuple[Int64Array, Int64Array, Int64Array]:
    """Rows by the first index of ``times`` that lies after (entries) or behind (exits) them."""
    slot = np.searchsorted(times, at, side="right")
    order = np.argsort(slot, kind="stable")
    return slot[order], group[order], where[order]


def _advance(
    alive: Float64Array,
    entered: tuple[Int64Array, Int64Array, Int64Array],
    left: tuple[Int64Array, Int64Array, Int64Array],
    i_in: int,
    i_out: int,
    i: int,
) -> tuple[int, int]:
    """Bring the count of subjects at risk per cluster and state to just before time i."""
    stop = int(np.searchsorted(entered[0], i, side="right"))
    np.add.at(alive, (entered[1][i_in:stop], entered[2][i_in:stop]), 1.0)
    gone = int(np.searchsorted(left[0], i, side="right"))
    np.add.at(alive, (left[1][i_out:gone], left[2][i_out:gone]), -1.0)
    return stop, gone
