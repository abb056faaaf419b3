"""Doubt of classification carried into counts and person-time: whole histories drawn from the posterior."""

from __future__ import annotations

from typing import Final, Protocol

import pandas as pd

from cicimage.events.episodes import find_events
from cicimage.events.histories import guest_histories
from cicimage.methods import Observations

COLUMNS: Final = (
    "draw", "entries", "entries_incl_brief", "escapes", "deaths_inside", "deaths_outside", "hours_outside_alive",
    "hours_contact", "hours_inside_alive", "hours_at_risk_entry",
)  # fmt: skip


class DrawingScorer(Protocol):
    """A scorer that can draw whole histories, as the Markov scorer does."""

    def draw_locations(self, observations: Observations, n: int, seed: int) -> list[pd.DataFrame]:
        """Return ``n`` tables ``frames``."""
        ...


def draw_counts(observations: Observations, scorer: DrawingScorer, *, n: int = 50, seed: int = 0) -> pd.DataFrame:
    """Counts and hours of one position in draws from the posterior.

    Parameters
    ----------
    observations : Observations
        What the scorer sees.
    scorer : DrawingScorer
        Such as :class:`cicimage.events.hmm.MarkovScorer`.
    n : int
        Draws.
    seed : int
        The same gives the same draws.

    Returns
    -------
    pandas.DataFrame
        One row per draw: the counts by which rates are made (completed entries that were watched, not brief, of
        guests alive; escapes; deaths by place) and the hours they are divided by. The spread over draws is the
        part of a rate's doubt that comes from not knowing who was inside; counting doubt comes on top.
    """
    rows = []
    for k, frames in enumerate(scorer.draw_locations(observations, n, seed)):
        events = find_events(frames, observations)
        guests = guest_histories(frames, observations, events)
        watched = events[(events["excluded_reason"] == "") & ~events["prevalent"].astype(bool)]
        entered = watched[watched["entry_frame"].notna()]
        rows.append({
            "draw": k, "entries": int((~entered["brief"].astype(bool)).sum()), "entries_incl_brief": len(entered),
            "escapes": int((events["end_reason"] == "escape").sum()),
            "deaths_inside": int((guests["death_location"] == "inside").sum()),
            "deaths_outside": int((guests["death_location"] == "outside").sum()),
            **{name: float(guests[name].sum()) for name in COLUMNS[6:]},
        })  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))
