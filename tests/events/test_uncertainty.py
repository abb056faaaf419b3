"""What is certain varies in no draw, what is not does."""

from __future__ import annotations

import pandas as pd
import pytest
from drawn_evidence import observed

from cicimage.events.hmm import MarkovScorer
from cicimage.events.uncertainty import COLUMNS, draw_counts


def test_clear_evidence_gives_the_same_counts_in_every_draw() -> None:
    clear = observed("tttttcccc" + "i" * 15, "t" * 24, "u" * 24)
    counts = draw_counts(clear, MarkovScorer(), n=20, seed=1)
    assert list(counts.columns) == list(COLUMNS)
    assert (counts["entries"] == 1).mean() > 0.9
    total = counts["hours_outside_alive"] + counts["hours_inside_alive"]
    assert total.tolist() == pytest.approx([3 * 23 * 4 / 60] * 20)


def test_doubt_shows_as_spread() -> None:
    dim = observed("tttt~~~~" + "i" * 26, "ii~~~~" + "t" * 26)
    clear = observed("tttt" + "t" * 30, "ii" + "i" * 30)
    scorer = MarkovScorer()
    spread = [draw_counts(o, scorer, n=30, seed=2)["hours_inside_alive"].std() for o in (dim, clear)]
    assert spread[0] > 3 * spread[1]
    assert spread[0] > 0.02


def test_a_long_silence_is_neither_inside_nor_outside_in_any_draw() -> None:
    silent = observed("tttt" + "~" * 30, "iiii" + "~" * 30)
    counts = draw_counts(silent, MarkovScorer(), n=20, seed=2)
    watched = counts["hours_outside_alive"] + counts["hours_inside_alive"]
    assert (watched <= 2 * 6 * 4 / 60).all(), "four measured frames of each guest, and two to which they are carried"


def test_same_seed_same_draws() -> None:
    observations = observed("tttt" + "~" * 10)
    first, again = (draw_counts(observations, MarkovScorer(), n=5, seed=3) for _ in range(2))
    pd.testing.assert_frame_equal(first, again)
