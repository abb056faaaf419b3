"""How likely the evidence is in each class: tables of log-odds, one per piece of evidence, added up.

The model is an additive logistic one. Each piece of evidence has knots and, per class, a log-odds value at every
knot, linear in between and constant beyond; the values are read, compared and re-fitted as plain tables. Evidence
with a standard error counts less the larger the error, missing evidence not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

F64 = npt.NDArray[np.float64]

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
    knots: F64
    log_odds: F64
    error_scale: float
    repeats_min: float = 5.0

    def __call__(self, value: F64, error: F64 | None) -> F64:
        """Log-odds (N, C) of values (N,) with their standard errors."""
        weight = self.weight(value, error)
        return self.basis(value) @ self.log_odds * weight[:, None]

    def basis(self, value: F64) -> F64:
        """Share of each knot in each value, (N, B)."""
        return hat_basis(value, self.knots)

    def weight(self, value: F64, error: F64 | None) -> F64:
        """How much each value counts, (N,), 0-1."""
        known = np.isfinite(value).astype(np.float64)
        if error is None:
            return known
        safe = np.where(np.isfinite(error), error, 1e9)
        out: F64 = known / (1.0 + np.square(safe / self.error_scale))
        return out


def hat_basis(value: F64, knots: F64) -> F64:
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

    offset: F64
    tables: tuple[EvidenceTable, ...]

    def log_likelihood(self, evidence: pd.DataFrame, interval_min: float | None = None) -> F64:
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
                error = ERROR_OF.get(table.name)
                se = evidence[error].to_numpy(np.float64) if error is not None and error in evidence else None
                fresh = 1.0 if interval_min is None else min(1.0, interval_min / table.repeats_min)
                total += fresh * table(evidence[table.name].to_numpy(np.float64), se)
        highest = total.max(axis=1, keepdims=True) if len(total) else total
        log_sum = highest + np.log(np.exp(total - highest).sum(axis=1, keepdims=True)) if len(total) else total
        return total - log_sum


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
