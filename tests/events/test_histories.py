"""Hours by state, against the table of who is at risk of what."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from drawn import rows_of, watched
from hypothesis import given, settings
from hypothesis import strategies as st

from cicimage.events.episodes import find_events
from cicimage.events.histories import guest_histories, host_histories
from cicimage.person_time import credited_hours


def _histories(text: str, interval_min: float = 60.0, **kwargs: object) -> pd.Series:
    frames, observations = watched(rows_of(text), interval_min=interval_min, **kwargs)  # type: ignore[arg-type]
    return guest_histories(frames, observations, find_events(frames, observations)).iloc[0]


# hours: outside alive, contact, inside alive, unresolved, at risk of entry
@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("fffff", (4.0, 0.0, 0.0, 0.0, 4.0)),
        ("ffaaf", (4.0, 2.0, 0.0, 0.0, 4.0)),
        ("ffeei", (3.5, 2.0, 0.5, 0.0, 3.5)),
        ("ff??i", (1.5, 2.0, 0.5, 2.0, 1.5)),
        ("ffFFF", (1.5, 0.0, 0.0, 0.0, 1.5)),
        ("ffxxF", (3.5, 0.0, 0.0, 0.0, 1.5)),
        ("iidII", (0.0, 0.0, 2.5, 0.0, 0.0)),
        ("f", (0.0, 0.0, 0.0, 0.0, 0.0)),
    ],
)
def test_hours_by_state(text: str, hours: tuple[float, ...]) -> None:
    row = _histories(text)
    seen = (
        row.hours_outside_alive, row.hours_contact, row.hours_inside_alive, row.hours_unresolved,
        row.hours_at_risk_entry,
    )  # fmt: skip
    assert seen == pytest.approx(hours)


@pytest.mark.parametrize(
    ("text", "where"),
    [("ffFF", "outside"), ("iiII", "inside"), ("ii?II", "unresolved"), ("ffff", ""), ("FF", "outside")],
)
def test_death_location(text: str, where: str) -> None:
    assert _histories(text).death_location == where


def test_loss_and_entry_from_the_side() -> None:
    row = _histories("ffff", n_frames=10)
    assert (row.start_reason, row.end_reason) == ("movie_start", "track_lost")


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(0.01, 5.0), min_size=1, max_size=30))
def test_credited_hours_add_up_to_the_time_watched(steps: list[float]) -> None:
    time_h = np.concatenate(([0.0], np.cumsum(steps)))
    assert credited_hours(time_h).sum() == pytest.approx(time_h[-1])


@settings(deadline=None, max_examples=40)
@given(st.text(alphabet="faei?", min_size=1, max_size=25))
def test_living_hours_fall_into_exactly_one_place(text: str) -> None:
    row = _histories(text)
    total = row.hours_outside_alive + row.hours_inside_alive + row.hours_unresolved
    assert total == pytest.approx(len(text) - 1)


def test_hosts_count_guests_and_entries() -> None:
    frames, observations = watched(
        rows_of("ffiiiiff", 1), rows_of("ffffiiii", 2), rows_of("iiiiiiii", 3), rows_of("ffiaaaaa", 4)
    )
    hosts = host_histories(frames, observations, find_events(frames, observations))
    assert hosts[["host_id", "n_guests_max", "n_entries"]].to_numpy().tolist() == [[7, 3, 2]]
    assert hosts["hours"].item() == pytest.approx(7 * 5 / 60)
