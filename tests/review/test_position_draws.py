"""Classification doubt of a finished position, without its recording."""

import pandas as pd
from small_world import world, write_results

from cicimage.methods import Choice
from cicimage.pipeline.draws import draw_position
from cicimage.store import read_table


def test_draws_of_a_position_scatter_around_its_events(tmp_path):
    folder = write_results(tmp_path / "out", {"a": world()}).position("p0001")
    markov = {"score": Choice("markov")}
    draws = draw_position(folder, markov, n=10, seed=3)
    assert len(draws) == 10
    pd.testing.assert_frame_equal(draws, draw_position(folder, markov, n=10, seed=3))
    events = read_table(folder.table("events"))
    watched = events[events["entry_frame"].notna() & ~events["prevalent"]]
    assert abs(draws["entries_incl_brief"].mean() - len(watched)) <= 1.5
    assert (draws["hours_outside_alive"] > 0).all()
    assert len(draw_position(folder, {"score": Choice("hysteresis")})) == 0, "thresholds draw nothing"
