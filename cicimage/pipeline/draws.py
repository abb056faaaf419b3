"""Counts and hours of a finished position in draws from the scorer's posterior: classification doubt for the rates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from cicimage.events.uncertainty import COLUMNS, DrawingScorer, draw_counts
from cicimage.methods import Choice, build
from cicimage.pipeline.judge import observe
from cicimage.pipeline.setting import Setting
from cicimage.store import PositionFolder, read_json, read_table


def draw_position(
    folder: PositionFolder, choices: Mapping[str, Choice], time_zero_h: float = 0.0, *, n: int = 20, seed: int = 0
) -> pd.DataFrame:
    """Draw histories of one finished position and count them.

    Parameters
    ----------
    folder : PositionFolder
        A finished position; no recording is read.
    choices : mapping of str to Choice
        Method per step, as the position was run with.
    time_zero_h : float
        Drug or co-culture start on the movie's clock, hours.
    n : int
        Draws.
    seed : int
        The same gives the same draws.

    Returns
    -------
    pandas.DataFrame
        One row per draw with the columns of :func:`cicimage.events.uncertainty.draw_counts`; none where the scorer
        draws no histories (thresholds do not) or there are no guests. The spread over draws is the part of a rate's
        doubt that comes from not knowing who was inside; counting doubt comes on top.
    """
    scorer = build("score", choices["score"].method, choices["score"].options)
    cells, pairs, drift = (read_table(folder.table(name)) for name in ("cells", "pairs", "drift"))
    setting = Setting.from_dict(read_json(folder.root / "setting.json"))
    if not hasattr(scorer, "draw_locations") or not len(cells):
        return pd.DataFrame({c: pd.Series([], dtype=np.float64) for c in COLUMNS})
    seen = observe(cells, pairs, drift, setting, setting.time_s / 3600.0 - time_zero_h)
    seen = replace(seen, separable=dict(read_json(folder.root / "optics.json")["separable"]))
    drawing: DrawingScorer = scorer
    return draw_counts(seen, drawing, n=n, seed=seed)
