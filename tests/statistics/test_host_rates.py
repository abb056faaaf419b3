import numpy as np
import pytest
from experiments_drawn import events_of, frames_of, guests_of, hosts_of, layout_of

from cicimage.errors import CicimageError
from cicimage.statistics.comparisons import compare
from cicimage.statistics.homotypic import visible_share
from cicimage.statistics.host_time import host_time
from cicimage.statistics.rates import compute_rates

PICTURE = ["...IIIIIII", ".........."]


def _host(death_frame=np.nan, hours=9.0):
    frames = frames_of({"p": PICTURE})
    frames["host_id"] = (frames["location"] == "inside") * 100
    hosts = hosts_of(["p"], [1, 0], hours)
    hosts.loc[hosts["host_id"] == 100, "death_frame"] = death_frame
    return frames, hosts


def test_hours_with_a_guest_and_without():
    split = host_time(*_host()[::-1]).set_index("host_id")
    assert split.loc[100, ["hours_with", "hours_without"]].tolist() == [6.5, 2.5]
    assert split.loc[101, ["hours_with", "hours_without"]].tolist() == [0.0, 9.0]


@pytest.mark.parametrize(("death_frame", "with_guest"), [(6, True), (2, False)])
def test_a_host_dies_with_a_guest_or_without(death_frame, with_guest):
    frames, hosts = _host(death_frame, hours=float(death_frame))
    split = host_time(hosts, frames).set_index("host_id").loc[100]
    assert (split["died_with"], split["died_without"]) == (with_guest, not with_guest)
    assert split["hours_with"] == (3.0 if with_guest else 0.0)  # frames 3, 4, 5 before the death


def test_rates_and_their_ratio():
    frames, hosts = _host(6, hours=6.0)
    layout = layout_of({"p": ("v", "")})
    rates, wells = compute_rates(events_of(frames), guests_of(frames), hosts, frames, layout)
    by_name = rates.set_index("estimand")
    assert by_name.loc["host_death_rate_with_guest_per_h", "estimate"] == pytest.approx(1 / 3)
    assert by_name.loc["host_death_rate_without_guest_per_h", "events"] == 0
    found = compare(wells, "v", layout).set_index("estimand")
    assert "host_death_rate_with_vs_without_guest" in found.index
    assert "no test" in found.loc["host_death_rate_with_vs_without_guest", "note"]


def test_guests_let_go_by_a_dead_host():
    frames = frames_of({"p": ["..III....", "..III.xxx", "..III...."]})
    events = events_of(frames)
    events["end_reason"] = ["host_death", "host_death", "escape"]
    rates, _ = compute_rates(events, guests_of(frames), hosts_of(["p"], [1], 8.0), frames, layout_of({"p": ("v", "")}))
    row = rates.set_index("estimand").loc["survival_after_release_fraction"]
    assert (row["events"], row["estimate"]) == (1, 0.5)


def test_two_colours_show_half_of_the_pairs_at_best():
    assert visible_share(0.5) == 0.5
    with pytest.raises(CicimageError, match="count both colours"):
        visible_share(1.0)
