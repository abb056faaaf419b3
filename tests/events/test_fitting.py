"""Learning the tables back from evidence drawn from known classes, and correcting them from reviews."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cicimage.errors import CicimageError
from cicimage.events.emissions import CLASSES
from cicimage.events.fitting import fit_emissions, refit
from cicimage.events.parameters import load_parameters

INSIDE, UNDER, ON_TOP = (CLASSES.index(c) for c in ("inside", "under", "on_top"))
LAYERS = {INSIDE: (1.0, 1.0), UNDER: (1.5, 0.0), ON_TOP: (0.0, 2.0)}


def _sample(n: int, seed: int, se: float = 0.05) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(seed)
    label = rng.choice(list(LAYERS), n, p=[0.2, 0.3, 0.5])
    cap, floor = (np.array([LAYERS[k][i] for k in label]) + rng.normal(0, 0.25, n) for i in (0, 1))
    return pd.DataFrame({"cap_um": cap, "cap_um_se": se, "floor_um": floor, "floor_um_se": se}), label


def test_classes_are_learned_back() -> None:
    knots = {"cap_um": (-0.5, 0.0, 0.5, 1.0, 2.0), "floor_um": (-0.5, 0.0, 0.5, 1.0, 2.0)}
    model = fit_emissions(*_sample(1500, 0), knots)
    rows, label = _sample(500, 1)
    assert (model.log_likelihood(rows).argmax(axis=1) == label).mean() > 0.93
    blurred = rows.assign(cap_um_se=20.0, floor_um_se=20.0)
    p = np.exp(model.log_likelihood(blurred))[:, [INSIDE, UNDER, ON_TOP]]
    assert np.ptp(p.mean(axis=0)) < 0.15, "evidence with no weight leaves the classes even"


def _reviewed(n_guests: int, seed: int) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    rows, label = _sample(n_guests * 6, seed)
    rows = rows.assign(footprint_share=1.0, gap_um=0.0, wall_lower=np.where(label == INSIDE, 0.95, 0.15))
    return rows, label == INSIDE, np.repeat([f"g{k}" for k in range(n_guests)], 6).astype(object)


def test_tables_that_are_too_sure_are_trusted_less() -> None:
    parameters = load_parameters()
    rows, inside, guest = _reviewed(40, 2)
    flipped = inside.copy()
    flipped[::6] = ~flipped[::6]
    done = refit(parameters, "fine", rows, flipped, guest)
    assert done.accepted
    assert done.trust < 1.0
    assert done.log_loss_after < done.log_loss_before
    assert "refit_fine" in done.parameters.provenance
    untouched = next(r for r in done.parameters.regimes if r.name == "flat")
    assert untouched is next(r for r in parameters.regimes if r.name == "flat")


def test_a_correction_that_gains_nothing_is_not_made() -> None:
    parameters = load_parameters()
    rows, inside, guest = _reviewed(40, 3)
    once = refit(parameters, "fine", rows, inside, guest).parameters
    again = refit(once, "fine", rows, inside, guest)
    assert again.log_loss_after == pytest.approx(again.log_loss_before, abs=0.05)


def test_too_few_reviews_are_refused() -> None:
    rows, inside, guest = _reviewed(4, 4)
    with pytest.raises(CicimageError, match="at least 10 guests"):
        refit(load_parameters(), "fine", rows, inside, guest)
    rows, inside, guest = _reviewed(20, 5)
    with pytest.raises(CicimageError, match="inside and not inside"):
        refit(replace(load_parameters()), "fine", rows, np.ones_like(inside), guest)
