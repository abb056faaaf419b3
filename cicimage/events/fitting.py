"""Fit the scorer's evidence tables to labelled frames: whole from simulation, or a correction from reviewed events.

A laboratory reviews tens of events, not thousands of frames: from these only how far the tables are to be trusted
(one factor) and how frequent each class is (one offset each) are learned, and only so far as cross-validation over
the reviewed guests gains by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import minimize

from cicimage.arrays import Float64Array, Int64Array
from cicimage.errors import CicimageError
from cicimage.events.emissions import CLASSES, ERROR_OF, EmissionModel, EvidenceTable, derive, hat_basis
from cicimage.events.parameters import Regime, ScorerParameters

ERROR_SCALE: Final[Mapping[str, float]] = {"cap_um": 0.35, "floor_um": 0.35, "void": 0.1}
FEWEST_GUESTS: Final = 10
MOST_FRAMES: Final = 6
"""A guest's frames repeat each other: together they count as this many at most."""
INSIDE: Final = CLASSES.index("inside")


def fit_emissions(
    evidence: pd.DataFrame, label: Int64Array, knots: Mapping[str, Sequence[float]], *, ridge: float = 3.0
) -> EmissionModel:
    """Fit all tables by penalised likelihood.

    Parameters
    ----------
    evidence : pandas.DataFrame
        One row per guest and frame: columns of table ``pairs`` against the host that matters.
    label : (N,) int64
        Index into :data:`~cicimage.events.emissions.CLASSES`; rows under 0 are left out.
    knots : mapping
        Evidence to learn from, with its knots.
    ridge : float
        Weight of the penalty on bends and size of the log-odds.

    Returns
    -------
    EmissionModel
        Likelihoods: how frequent the classes were in the sample is taken out.
    """
    rows = derive(evidence)[label >= 0]
    label = label[label >= 0]
    blocks, sizes = [np.ones((len(rows), 1))], [1]
    for name, at in knots.items():
        table = EvidenceTable(name, np.array(at), np.zeros((len(at), len(CLASSES))), ERROR_SCALE.get(name, 1.0))
        value = rows[name].to_numpy(np.float64)
        error = rows[ERROR_OF[name]].to_numpy(np.float64) if name in ERROR_OF else None
        blocks.append(hat_basis(value, table.knots) * table.weight(value, error)[:, None])
        sizes.append(len(at))
    counts = np.bincount(label, minlength=len(CLASSES)).astype(np.float64)
    seen = np.sqrt(np.maximum(counts, 1.0))
    design = np.concatenate(blocks, axis=1)
    weight = (1.0 / seen)[label]
    weight *= len(weight) / weight.sum()
    design, label, weight = _with_gaps(design, label, weight, sizes)
    solved = _solve(design, label, weight, sizes, ridge)
    offset = solved[0] - np.log(seen / seen.sum())
    tables, start = [], 1
    for name, at in knots.items():
        values = solved[start : start + len(at)]
        start += len(at)
        odds = values - values.mean(axis=1, keepdims=True)
        tables.append(EvidenceTable(name, np.array(at), odds, ERROR_SCALE.get(name, 1.0)))
    return EmissionModel(offset - offset.mean(), tuple(tables))


def _with_gaps(
    design: Float64Array, label: Int64Array, weight: Float64Array, sizes: Sequence[int]
) -> tuple[Float64Array, Int64Array, Float64Array]:
    """Add copies of the rows with evidence taken away at random, and some with none left.

    The model then knows what to make of missing evidence, and leans on no piece of it alone.
    """
    rng = np.random.default_rng(0)
    block = np.repeat(np.arange(len(sizes)), sizes)
    kept = rng.random((len(label), len(sizes))) < 0.6
    kept[: len(label) // 5] = False
    kept = rng.permutation(kept, axis=0)
    kept[:, 0] = True
    return (
        np.concatenate([design, design * kept[:, block]]),
        np.concatenate([label, label]),
        np.concatenate([weight, 0.5 * weight]),
    )


def _solve(
    design: Float64Array, label: Int64Array, weight: Float64Array, sizes: Sequence[int], ridge: float
) -> Float64Array:
    """Weighted multinomial logistic regression with a penalty on second differences within each block."""
    n_k, n_b = len(CLASSES), design.shape[1]
    truth = np.zeros((len(label), n_k))
    truth[np.arange(len(label)), label] = 1.0
    penalty = np.zeros((n_b, n_b))
    start = 0
    for size in sizes:
        if size > 2:
            second = np.diff(np.eye(size), 2, axis=0)
            block = slice(start, start + size)
            penalty[block, block] = 2.0 * second.T @ second + 0.1 * np.eye(size)
        start += size

    def cost(flat: Float64Array) -> tuple[float, Float64Array]:
        w = flat.reshape(n_b, n_k)
        log_p = _log_softmax(design @ w)
        smooth = penalty @ w
        loss = -float(weight @ log_p[np.arange(len(label)), label]) + 0.5 * ridge * float(np.sum(w * smooth))
        gradient = design.T @ ((np.exp(log_p) - truth) * weight[:, None]) + ridge * smooth
        return loss, gradient.ravel()

    found = minimize(cost, np.zeros(n_b * n_k), jac=True, method="L-BFGS-B", options={"maxiter": 600})
    out: Float64Array = found.x.reshape(n_b, n_k)
    return out


def _log_softmax(logit: Float64Array) -> Float64Array:
    shifted = logit - logit.max(axis=1, keepdims=True)
    out: Float64Array = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return out


@dataclass(frozen=True)
class Refit:
    """What a re-fit gained.

    Attributes
    ----------
    parameters : ScorerParameters
        The corrected ones; the old ones where nothing was gained.
    accepted : bool
        Whether cross-validation was better with the correction.
    log_loss_before, log_loss_after : float
        Mean loss per reviewed frame on guests left out, of inside against not inside.
    n_frames, n_guests : int
        What it was learned from.
    trust : float
        Factor on all log-odds; under 1 the tables were too sure for these recordings.
    """

    parameters: ScorerParameters
    accepted: bool
    log_loss_before: float
    log_loss_after: float
    n_frames: int
    n_guests: int
    trust: float


def refit(
    parameters: ScorerParameters,
    regime: str,
    evidence: pd.DataFrame,
    inside: npt.NDArray[np.bool_],
    guest: npt.NDArray[np.object_],
    *,
    folds: int = 5,
) -> Refit:
    """Correct one regime's tables from reviewed frames.

    Parameters
    ----------
    parameters : ScorerParameters
        Where to start from.
    regime : str
        Name of the regime the recordings fall under.
    evidence : pandas.DataFrame
        Evidence of each reviewed frame (columns of table ``pairs`` and speed_um_per_min).
    inside : (N,) bool
        What the reviewer said.
    guest : (N,) object
        Whose frame it is; guests are left out whole.
    folds : int
        Parts of the cross-validation.

    Raises
    ------
    CicimageError
        Fewer than ten guests, or only one answer was given.
    """
    names, which, count = np.unique(guest, return_inverse=True, return_counts=True)
    if len(names) < FEWEST_GUESTS or inside.all() or not inside.any():
        raise CicimageError(
            f"re-fit: needs reviewed frames of at least {FEWEST_GUESTS} guests, inside and not inside, has "
            f"{len(names)} guests and {int(inside.sum())} of {len(inside)} frames inside; review more first"
        )
    old = next(r for r in parameters.regimes if r.name == regime)
    sample = _Sample(
        old.emissions.log_likelihood(derive(evidence)), inside, _weights(inside, (1.0 / count)[which] * np.minimum(
            count, MOST_FRAMES)[which]),
    )  # fmt: skip
    fold = which % folds
    after = np.zeros(len(inside))
    for k in range(folds):
        trust, offset = _correction(sample.part(fold != k))
        after[fold == k] = _p_inside(sample.logit[fold == k], trust, offset)
    before = _p_inside(sample.logit, 1.0, 0.0)
    loss_before, loss_after = (_log_loss(p, inside, sample.weight) for p in (before, after))
    if loss_after >= loss_before:
        return Refit(parameters, False, loss_before, loss_after, len(inside), len(names), 1.0)
    trust, offset = _correction(sample)
    regimes = tuple(_corrected(r, trust, offset) if r.name == regime else r for r in parameters.regimes)
    provenance = {
        **parameters.provenance,
        f"refit_{regime}": f"{len(inside)} reviewed frames of {len(names)} guests; trust {trust:.2f}, "
        f"log loss {loss_before:.3f} -> {loss_after:.3f} on guests left out",
    }
    changed = replace(parameters, regimes=regimes, provenance=provenance)
    return Refit(changed, True, loss_before, loss_after, len(inside), len(names), trust)


@dataclass(frozen=True)
class _Sample:
    """Reviewed frames: log-odds of the classes (N, C), the answer (N,) and what each frame counts (N,)."""

    logit: Float64Array
    inside: npt.NDArray[np.bool_]
    weight: Float64Array

    def part(self, rows: npt.NDArray[np.bool_]) -> _Sample:
        return _Sample(self.logit[rows], self.inside[rows], _weights(self.inside[rows], self.weight[rows]))


def _weights(inside: npt.NDArray[np.bool_], weight: Float64Array) -> Float64Array:
    """Weights in which inside counts as the likelihoods have it, one class of all.

    What is reviewed is no sample of all frames: how often reviewers saw "inside" says nothing of how likely it is.
    """
    share = 1.0 / len(CLASSES)
    yes, no = float(weight[inside].sum()), float(weight[~inside].sum())
    if yes == 0 or no == 0:
        return weight
    total = yes + no
    out: Float64Array = weight * np.where(inside, share * total / yes, (1.0 - share) * total / no)
    return out


def _p_inside(logit: Float64Array, trust: float, offset: float) -> Float64Array:
    scaled = logit * trust
    scaled = scaled.copy()
    scaled[:, INSIDE] += offset
    out: Float64Array = np.exp(_log_softmax(scaled))[:, INSIDE]
    return out


def _log_loss(p: Float64Array, inside: npt.NDArray[np.bool_], weight: Float64Array) -> float:
    right = np.clip(np.where(inside, p, 1.0 - p), 1e-4, 1.0)
    return -float(np.average(np.log(right), weights=weight))


def _correction(sample: _Sample) -> tuple[float, float]:
    """Trust and offset of least loss, drawn weakly towards 1 and 0."""

    def cost(x: Float64Array) -> float:
        trust, offset = float(np.exp(x[0])), float(x[1])
        loss = _log_loss(_p_inside(sample.logit, trust, offset), sample.inside, sample.weight)
        return loss * float(sample.weight.sum()) + 2.0 * float(x[0]) ** 2 + 0.2 * offset**2

    found = minimize(cost, np.zeros(2), method="Nelder-Mead", options={"maxiter": 300, "xatol": 1e-3, "fatol": 1e-3})
    return float(np.exp(found.x[0])), float(found.x[1])


def _corrected(regime: Regime, trust: float, offset: float) -> Regime:
    model = regime.emissions
    start = model.offset * trust
    start[INSIDE] += offset
    tables = tuple(replace(t, log_odds=t.log_odds * trust) for t in model.tables)
    return replace(regime, emissions=EmissionModel(start, tables))
