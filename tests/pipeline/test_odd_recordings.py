"""What is odd about a recording is named where its reader looks: quality of the position, report, columns."""

import re

import numpy as np
import pandas as pd
import pytest

from cicimage.cli import main
from cicimage.statistics.tallies import death_left_out
from cicimage.store import read_table
from tests.conftest import draw_movie, write_movie
from tests.recording.tiff_maker import ome_xml, write_ome

HOST = [(60, 60, 40)]
GUESTS = [(50, 50, 4), (75, 70, 4), (15, 100, 4)]
SCALE = 'PhysicalSizeX="1" PhysicalSizeY="1" TimeIncrement="300" TimeIncrementUnit="s"'
CHANNELS = "".join(f'<Channel Name="{n}"/>' for n in ("Host", "Guest", "Death")) + "<TiffData/>"


def timed(path, movie, seconds):
    """An OME-TIFF with a time stamp for each frame."""
    stack = movie[:, :, None]
    stamps = "".join(
        f'<Plane TheT="{t}" TheC="{c}" TheZ="0" DeltaT="{s}"/>' for t, s in enumerate(seconds) for c in range(3)
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_ome(path, stack, ome_xml(stack, SCALE, CHANNELS + stamps), compression="zlib")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    root = tmp_path_factory.mktemp("odd")
    eight = draw_movie(HOST, GUESTS, frames=8, dead=(0,))
    write_movie(root / "+AMD3100" / "A1_f1.ome.tif", draw_movie([], [], frames=3))
    timed(root / "+AMD3100" / "A2_f1.ome.tif", eight, [0, 300, 600, 900, 9900, 10200, 10500, 10800])
    timed(root / "+AMD3100" / "A3_f1.ome.tif", eight, [0, 300, 600, 900, 300, 600, 900, 1200])
    fading = eight.astype(float)
    fading[:, 1] = 100 + (fading[:, 1] - 100) * np.exp(-np.arange(8) / 1.5)[:, None, None]
    write_movie(root / "+AMD3100" / "A4_f1.ome.tif", fading.clip(0).astype(np.uint16))
    (root / "experiment.toml").write_text('[channels]\nhost = "Host"\nguest = "Guest"\ndeath = "Death"\n')
    out = root / "out"
    with pytest.raises(SystemExit) as done:
        main(["run", str(root), "-o", str(out), "--workers", "1"])
    assert done.value.code == 0
    return out


def quality_row(out, position):
    text = (out / "report.html").read_text(encoding="utf-8")
    section = text[text.index('id="quality-section"') :]
    return next(row for row in re.findall(r"<tr.*?</tr>", section, re.S) if position in row)


def test_an_empty_field_is_not_called_good(finished):
    assert "no guests and no hosts were seen" in quality_row(finished, "+AMD3100/A1_f1")
    counts = read_table(finished / "counts.parquet")
    assert counts.loc[counts["position"] == "+AMD3100/A1_f1", "n"].tolist() == [0] * 6


def test_a_pause_is_counted_as_time_and_shown(finished):
    frames = read_table(finished / "frames.parquet")
    paused = np.sort(frames.loc[frames["position"] == "+AMD3100/A2_f1", "time_h"].unique())
    assert paused == pytest.approx(np.array([0, 300, 600, 900, 9900, 10200, 10500, 10800]) / 3600)
    guests = read_table(finished / "guests.parquet")
    mine = guests[(guests["position"] == "+AMD3100/A2_f1") & guests["death_frame"].isna()]
    hours = mine["hours_outside_alive"] + mine["hours_inside_alive"] + mine["hours_unresolved"]
    assert hours.tolist() == pytest.approx([3.0, 3.0])
    assert "pauses for up to 30 times its usual interval" in quality_row(finished, "+AMD3100/A2_f1")


def test_a_clock_that_runs_backwards_is_not_used_and_that_is_said(finished):
    frames = read_table(finished / "frames.parquet")
    even = np.sort(frames.loc[frames["position"] == "+AMD3100/A3_f1", "time_h"].unique())
    assert even == pytest.approx(np.arange(8) * 300 / 3600)
    assert "times of the frames do not rise from frame to frame; not used" in (finished / "report.html").read_text()


def test_a_channel_that_bleached_to_nothing_is_named(finished):
    assert "% of the signal is left at the end" in quality_row(finished, "+AMD3100/A4_f1")


def test_deaths_that_no_rate_counts_say_why(finished):
    guests = pd.read_csv(finished / "guests.csv").fillna({"death_left_out": ""})
    guests["position"] = guests["position"].str.removeprefix("'")
    mine = guests[guests["position"].isin(["+AMD3100/A2_f1", "+AMD3100/A3_f1"])]
    dead = mine["death_frame"].notna()
    assert dead.sum() == 2
    assert set(mine.loc[dead, "death_left_out"]) == {"dead_when_first_seen"}
    assert set(mine.loc[~dead, "death_left_out"]) == {""}
    rates = pd.read_csv(finished / "rates.csv").set_index("estimand")
    counted = guests["death_frame"].notna() & (guests["death_left_out"] == "")
    assert rates.loc[["death_rate_outside_per_h", "death_rate_inside_per_h"], "events"].sum() == counted.sum()


def test_each_reason_why_a_death_counts_nowhere():
    cells = pd.DataFrame(
        {
            "first_frame": [0, 0, 0, 2],
            "death_frame": [np.nan, 5, 5, 2],
            "death_location": ["", "inside", "unresolved", "outside"],
        }
    )
    assert death_left_out(cells).tolist() == ["", "", "place_unresolved", "dead_when_first_seen"]


def test_a_condition_that_looks_like_a_formula_keeps_its_name_and_is_not_run_by_a_spreadsheet(finished):
    assert set(read_table(finished / "rates.parquet")["condition"]) == {"+AMD3100"}
    assert (finished / "rates.csv").read_text(encoding="utf-8-sig").count("'+AMD3100") == len(
        read_table(finished / "rates.parquet")
    )
    assert (finished / "positions" / "p0001").is_dir()
    assert "+AMD3100" in (finished / "report.html").read_text(encoding="utf-8")
