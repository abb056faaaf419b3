"""How likely the evidence is in each class: tables of log-odds, one per piece of evidence, added up.

The model is an additive logistic one. Each piece of evidence has knots and, per class, a log-odds value at every
knot, linear in between and constant beyond; the values are read, compared and re-fitted as plain tables. Evidence
with a standard error counts less the larger the error, missing evidence not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import pandas as pd

from cicimage.arrays import BoolArray, Float64Array

CLASSES: Final = (
    "free", "lateral", "on_top", "under", "between", "cup_top_shallow", "cup_top_half", "cup_top_deep",
    "cup_under_shallow", "cup_under_half", "cup_under_deep", "inside",
)  # fmt: skip
"""What one frame can show; a cup is a host closed in part around a guest that came from above (``cup_top_...``) or from
below: up to a third, two thirds, or more."""
DEPTHS: Final = ("shallow", "half", "deep")
ERROR_OF: Final[Mapping[str, str]] = {"cap_um": "cap_um_se", "floor_um": "floor_um_se", "void": "void_se"}
SPEED_FLOOR: Final = 0.02
"""Slower than this, in um/min, is no motion."""
TOLD: Final = 0.7
"""Log-odds from which a frame's evidence says something (a factor of two)."""
PLACE: Final = ("footprint_share", "gap_um")
"""Evidence from the masks alone; a frame without usable pixels has it too."""
MOTION: Final = ("log_speed", "log_relative_speed")
"""Evidence from positions in neighbouring frames."""
FULL_WEIGHT: Final = 0.2
"""Weight from which a value counts as measured: a standard error of twice the table's ``error_scale``."""
OVER_HOST: Final = np.array([c not in ("free", "lateral") for c in CLASSES])
"""Classes in which the guest shares its place with a host."""


@dataclass(frozen=True, eq=False)
class EvidenceTable:
    """Log-odds of one piece of evidence.

    Attributes
    ----------
    name : str
        Column it reads.
    knots : (B,) float64
        Values of the evidence, ascending.
    log_odds : (B, C) float64
        Per knot and class.
    error_scale : float
        Standard error at which the evidence counts half.
    repeats_min : float
        Frames nearer in time than this repeat this evidence in part, minutes (a guest that sits still sits still in
        every frame): each frame counts as its share.
    """

    name: str
    knots: Float64Array
    log_odds: Float64Array
    error_scale: float
    repeats_min: float = 5.0

    def __call__(self, value: Float64Array, error: Float64Array | None) -> Float64Array:
        """Log-odds (N, C) of values (N,) with their standard errors."""
        weight = self.weight(value, error)
        return self.basis(value) @ self.log_odds * weight[:, None]

    def fresh(self, interval_min: float | None) -> float:
        """Share of this evidence that a frame does not repeat; 1 where each row stands alone."""
        return 1.0 if interval_min is None else min(1.0, interval_min / self.repeats_min)

    @cached_property
    def reach(self) -> Float64Array:
        """Most that any value speaks for one class against another, (C, C): row = against, column = for."""
        difference = self.log_odds[:, None, :] - self.log_odds[:, :, None]
        out: Float64Array = np.maximum(difference.max(axis=0), 0.0)
        return out

    def basis(self, value: Float64Array) -> Float64Array:
        """Share of each knot in each value, (N, B)."""
        return hat_basis(value, self.knots)

    def weight(self, value: Float64Array, error: Float64Array | None) -> Float64Array:
        """How much each value counts, (N,), 0-1."""
        known = np.isfinite(value).astype(np.float64)
        if error is None:
            return known
        safe = np.where(np.isfinite(error), error, 1e9)
        out: Float64Array = known / (1.0 + np.square(safe / self.error_scale))
        return out


def hat_basis(value: Float64Array, knots: Float64Array) -> Float64Array:
    """Weights of linear interpolation between knots, (N, B), rows summing to 1; missing values get the first knot.

    Examples
    --------
    >>> hat_basis(np.array([0.25, 9.0]), np.array([0.0, 1.0, 2.0])).tolist()
    [[0.75, 0.25, 0.0], [0.0, 0.0, 1.0]]
    """
    clipped = np.clip(np.nan_to_num(value, nan=knots[0]), knots[0], knots[-1])
    place = np.clip(np.searchsorted(knots, clipped, side="right") - 1, 0, len(knots) - 2)
    share = (clipped - knots[place]) / (knots[place + 1] - knots[place])
    out = np.zeros((len(clipped), len(knots)))
    rows = np.arange(len(clipped))
    out[rows, place] = 1.0 - share
    out[rows, place + 1] = share
    return out


@dataclass(frozen=True, eq=False)
class EmissionModel:
    """All tables of one kind of optics; ``offset`` (C,) is the log-odds of a class before any evidence."""

    offset: Float64Array
    tables: tuple[EvidenceTable, ...]

    def log_likelihood(self, evidence: pd.DataFrame, interval_min: float | None = None) -> Float64Array:
        """Log-likelihood of each class, up to a constant per row, classes taken as equally likely before.

        Parameters
        ----------
        evidence : pandas.DataFrame
            N rows as :func:`derive` returns them.
        interval_min : float, optional
            Time between frames, minutes: what frames repeat is taken off. Without it each row stands alone.

        Returns
        -------
        (N, C) float64
        """
        total = np.tile(self.offset, (len(evidence), 1))
        for table in self.tables:
            if table.name in evidence:
                total += table.fresh(interval_min) * table(*_columns(evidence, table.name))
        return _normalised(total)

    def read_covered(self, evidence: pd.DataFrame, interval_min: float | None = None) -> tuple[Float64Array, BoolArray]:
        """Log-likelihood of each class for guests that share their place with a host, evidence missing or not.

        A missing piece of pixel evidence counts as the average of what it might have said, which is nothing. Where
        the pieces that are missing could together have turned the answer of the others, the row is not measured: it
        says only whether a host is there at all, not on which side of inside the guest is.

        Parameters
        ----------
        evidence : pandas.DataFrame
            N rows as :func:`derive` returns them.
        interval_min : float, optional
            As in :meth:`log_likelihood`.

        Returns
        -------
        log_likelihood : (N, C) float64
            Up to a constant per row.
        measured : (N,) bool
            Rows with all of the pixel evidence, or whose answer no missing piece could have turned.
        """
        shape = (len(evidence), len(CLASSES))
        alone, spoken = np.tile(self.offset, (len(evidence), 1)), np.tile(self.offset, (len(evidence), 1))
        place = np.zeros(shape)
        missing: list[tuple[EvidenceTable, Float64Array]] = []
        for table in self.tables:
            value, error = _columns(evidence, table.name)
            says = table(value, error)
            spoken += table.fresh(interval_min) * says
            if table.name in PLACE:
                place += table.fresh(interval_min) * says
            elif table.name not in MOTION:
                alone += says
                missing.append((table, 1.0 - np.minimum(table.weight(value, error) / FULL_WEIGHT, 1.0)))
        measured = np.abs(for_inside(alone)) >= _could_turn(alone, missing)
        place[:, OVER_HOST] = place[:, OVER_HOST].mean(axis=1, keepdims=True)
        silent = np.all([absent == 1.0 for _, absent in missing], axis=0)
        return _normalised(np.where(silent[:, None], place, spoken)), measured & ~silent


def for_inside(log_class: Float64Array) -> Float64Array:
    """Log-odds of the evidence for inside against the classes it is not, (...,) from (..., C)."""
    inside = CLASSES.index("inside")
    others = np.delete(log_class, inside, axis=-1)
    out: Float64Array = log_class[..., inside] - np.logaddexp.reduce(others, axis=-1) + np.log(others.shape[-1])
    return out


def _could_turn(log_class: Float64Array, missing: list[tuple[EvidenceTable, Float64Array]]) -> Float64Array:
    """Log-odds that missing pieces could have set against the answer of the others, (N,); 0 where none is missing."""
    inside = CLASSES.index("inside")
    rest = np.delete(np.arange(len(CLASSES)), inside)
    best = rest[log_class[:, rest].argmax(axis=1)] if len(log_class) else np.zeros(0, np.int64)
    for_it, against = np.zeros(len(log_class)), np.zeros_like(log_class)
    for table, absent in missing:
        for_it += absent * table.reach[best, inside]
        against += absent[:, None] * table.reach[inside]
    out: Float64Array = np.where(for_inside(log_class) > 0, against.max(axis=1), for_it)
    return out


def _columns(evidence: pd.DataFrame, name: str) -> tuple[Float64Array, Float64Array | None]:
    """Values (N,) of one piece of evidence and their standard errors; a column that is not there is missing."""
    if name not in evidence:
        return np.full(len(evidence), np.nan), None
    error = ERROR_OF.get(name)
    se = evidence[error].to_numpy(np.float64) if error is not None and error in evidence else None
    return evidence[name].to_numpy(np.float64), se


def _normalised(total: Float64Array) -> Float64Array:
    if not len(total):
        return total
    highest = total.max(axis=1, keepdims=True)
    out: Float64Array = total - highest - np.log(np.exp(total - highest).sum(axis=1, keepdims=True))
    return out


def derive(pairs: pd.DataFrame) -> pd.DataFrame:
    """Evidence of table ``pairs`` as the tables read it: with clearance, lining and the logarithm of speed."""
    out = pairs.copy()
    if "guest_bottom_um" in pairs and "host_top_um" in pairs:
        out["clearance_um"] = pairs["guest_bottom_um"] - pairs["host_top_um"]
    if "edge_lower" in pairs and "wall_lower" in pairs:
        # A membrane label lines the pocket a guest sits in; a sheet hung over a guest stands off its lower half.
        out["lining"] = pairs["edge_lower"] - pairs["wall_lower"]
    for name in ("speed_um_per_min", "relative_speed_um_per_min"):
        if name in pairs:
            out["log_" + name.removesuffix("_um_per_min")] = np.log10(pairs[name] + SPEED_FLOOR)
    return out
