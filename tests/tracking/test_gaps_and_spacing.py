"""Rows put into gaps, and the number that says whether guests can be followed at all."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cicimage.tables import CELLS, conform
from cicimage.tracking.gaps import fill_gaps
from cicimage.tracking.spacing import compare_spacing


def cells(frames: list[int], time_h: list[float], cell_id: int = 1) -> pd.DataFrame:
    rows = pd.DataFrame({"frame": frames, "time_h": time_h, "label": 9, "cell_id": cell_id, "parent_id": 0})
    return rows.assign(
        position="p", population="guest", observed=True, y_um=10.0 * rows["time_h"], x_um=3.0, z_um=np.nan,
        area_um2=44.0, intensity=100.0, touches_border=True,
    )  # fmt: skip


def test_gap_is_filled_and_marked():
    out = conform(CELLS, fill_gaps(cells([0, 1, 4], [0.0, 0.1, 0.4])))
    assert out["frame"].tolist() == [0, 1, 2, 3, 4]
    assert out["observed"].tolist() == [True, True, False, False, True]
    assert out["label"].tolist() == [9, 9, 0, 0, 9]
    assert out["y_um"].tolist() == pytest.approx([0, 1, 2, 3, 4])
    assert out["intensity"].isna().tolist() == [False, False, True, True, False]
    assert not out.loc[2:3, "touches_border"].any()
    assert out["population"].eq("guest").all()


def test_place_is_linear_in_time_not_frames():
    long_pause = np.array([0.0, 2.0, 2.1])
    out = fill_gaps(cells([0, 2], [0.0, 2.1]), long_pause)
    assert out["time_h"].tolist() == pytest.approx(long_pause)
    assert out["y_um"].tolist() == pytest.approx([0.0, 20.0, 21.0])


def test_time_of_a_gap_comes_from_other_cells():
    both = pd.concat([cells([0, 2], [0.0, 2.1]), cells([0, 1, 2], [0.0, 2.0, 2.1], cell_id=2)])
    assert fill_gaps(both).query("cell_id == 1")["time_h"].tolist() == pytest.approx([0.0, 2.0, 2.1])


def test_no_gap_no_change():
    whole = cells([3, 4, 5], [0.3, 0.4, 0.5])
    pd.testing.assert_frame_equal(fill_gaps(whole), whole)
    assert fill_gaps(whole.iloc[:0]).empty


def test_first_and_last_sighting_are_not_extended():
    out = fill_gaps(pd.concat([cells([5, 7], [0.5, 0.7]), cells([0, 9], [0.0, 0.9], cell_id=2)]))
    assert out.query("cell_id == 1")["frame"].tolist() == [5, 6, 7]
    assert out.query("cell_id == 2")["frame"].tolist() == list(range(10))


def field(step_um: float, seed: int = 0, n: int = 400, frames: int = 12, lost: float = 0.0) -> pd.DataFrame:
    """Guests whose nearest neighbour is about 10 um off, stepping ``step_um`` in a random direction."""
    rng = np.random.default_rng(seed)
    place = rng.uniform(0, 20.0 * np.sqrt(n), (n, 2))
    rows = []
    for f in range(frames):
        seen = rng.random(n) >= lost
        rows.append(pd.DataFrame({"frame": f, "y_um": place[seen, 0], "x_um": place[seen, 1]}))
        angle = rng.uniform(0, 2 * np.pi, n)
        place = place + step_um * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    return pd.concat(rows)


@pytest.mark.parametrize("step_um", [2.0, 5.0, 10.0, 20.0])
@pytest.mark.parametrize("lost", [0.0, 0.1])
def test_displacement_is_measured_without_links(step_um: float, lost: float):
    found = compare_spacing(field(step_um, lost=lost))
    assert found.spacing_um == pytest.approx(10.0, rel=0.15)
    assert found.displacement_um == pytest.approx(step_um, rel=0.25)


def test_ratio_tells_what_can_be_followed():
    assert compare_spacing(field(3.0)).ratio < 0.5
    assert compare_spacing(field(25.0)).ratio > 1.0


def test_a_large_step_is_sure_only_where_there_are_guests_enough():
    many, few = compare_spacing(field(25.0)), compare_spacing(field(25.0, frames=3).groupby("frame").head(4))
    assert many.least_displacement_um > many.spacing_um
    assert not few.least_displacement_um > few.spacing_um


@pytest.mark.parametrize("frames", [0, 1])
def test_too_little_to_tell(frames: int):
    few = field(3.0, frames=1).iloc[: 50 * frames]
    assert np.isnan(compare_spacing(few).ratio)
