"""Frames and pixels that hold no measurement are left out and said, and never read as guests that lie outside."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cicimage.batch import open_batch
from cicimage.cli import main
from cicimage.errors import RecordingError
from cicimage.experiment import ExperimentFile, load_experiment
from cicimage.pipeline.frame_findings import sampled_findings
from cicimage.pipeline.position import run_position
from cicimage.pipeline.setting import resolve
from cicimage.recording import open_recording
from cicimage.store import read_arrays, read_table
from tests.conftest import draw_movie, write_movie

HOSTS = [(60, 60, 40)]
COVERED, OUTSIDE = [(50, 50, 4), (75, 70, 4)], (15, 100, 4)
FRAMES, SAMPLED, BETWEEN = 14, 4, 5
TOML = (
    '[channels]\nhost = "Host"\nguest = "Guest"\ndeath = "Death"\n'
    '[optics]\nmodality = "widefield"\nna = 0.45\n[methods]\nbleed_through = { method = "regression" }\n'
)
HOST, GUEST, DEATH = 0, 1, 2


@dataclass
class Done:
    receipt: dict[str, Any]
    frames: pd.DataFrame
    cells: pd.DataFrame
    estimates: dict[str, Any]

    @property
    def missing(self):
        return [int(t) for t in self.receipt["missing_frames"]]

    @property
    def findings(self):
        return {(f["code"], f["severity"], f["where"].partition("'")[2].rstrip("'")) for f in self.receipt["findings"]}

    def places(self, without=()):
        """Location by guest (nearest whole place) and frame."""
        rows = self.frames[~self.frames["frame"].isin(list(without)) & self.frames["observed"]]
        where = [guest_at(y, x) for y, x in zip(rows["y_um"], rows["x_um"], strict=True)]
        return dict(zip(zip(where, rows["frame"], strict=True), rows["location"], strict=True))


def guest_at(y, x):
    return int(np.argmin([np.hypot(y - a, x - b) for a, b, _ in (*COVERED, OUTSIDE)]))


def clean_movie(dtype=np.uint16):
    movie = draw_movie(HOSTS, [*COVERED, OUTSIDE], frames=FRAMES, dead=(2,))
    return movie.clip(0, 255).astype(dtype) if dtype == np.uint8 else movie.astype(dtype)


def analysed(folder, movie, **more):
    write_movie(folder / "in" / "v" / "A1_f1.ome.tif", movie, **more)
    (folder / "in" / "experiment.toml").write_text(TOML)
    job = open_batch(load_experiment(folder / "in"), folder / "out").jobs[0]
    receipt = run_position(job, lambda *_: None, look_ahead=False)
    if receipt["outcome"] != "done":
        return Done(receipt, pd.DataFrame(), pd.DataFrame(), {})
    return Done(
        receipt, read_table(job.folder / "frames.parquet"), read_table(job.folder / "cells.parquet"),
        read_arrays(job.folder / "estimates.npz"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    return analysed(tmp_path_factory.mktemp("clean"), clean_movie())


def covered_never_free(done):
    return not any(place in ("free", "attached") for (guest, _), place in done.places().items() if guest < 2)


def test_a_sound_recording_has_no_finding(clean):
    assert clean.receipt["findings"] == []
    assert clean.missing == []
    assert covered_never_free(clean)
    assert set(clean.frames.loc[clean.frames["viability"] == "dead", "guest_id"]) == {2}


def lamp_off(movie, t, c):
    movie[t, c] = (100 + np.random.default_rng(t).normal(0, 2, movie.shape[2:])).clip(0)


WHOLE = {"nan": np.nan, "inf": np.inf, "zero": 0, "grey": 117, "full": 65535}


@pytest.mark.parametrize("t", [SAMPLED, BETWEEN], ids=["sampled", "between"])
@pytest.mark.parametrize(
    ("c", "fault"), [(HOST, "nan"), (GUEST, "nan"), (HOST, "zero"), (GUEST, "full"), (HOST, "dark"), (GUEST, "grey")]
)
def test_a_frame_of_hosts_or_guests_that_shows_nothing_is_missing(tmp_path, clean, c, fault, t):
    movie = clean_movie(np.float32 if fault in ("nan", "inf") else np.uint16)
    if fault == "dark":
        lamp_off(movie, t, c)
    else:
        movie[t, c] = WHOLE[fault]
    done = analysed(tmp_path, movie)
    assert done.missing == [t]
    assert done.receipt["missing_frames"][str(t)].startswith(f"frame {t} cannot be used and is left out (channel ")
    assert done.findings == {("frame_missing_pixels", "warning", ("Host", "Guest")[c])}
    assert not done.frames.loc[done.frames["frame"] == t, "observed"].any()
    assert done.places() == clean.places(without=[t])
    for name in ("background", "noise_sd"):
        assert done.estimates[name] == pytest.approx(clean.estimates[name], rel=0.05)
    assert done.estimates["bleed_through"] == pytest.approx(clean.estimates["bleed_through"], abs=0.01)


def test_guests_that_leave_the_field_leave_no_frame_without_light(tmp_path):
    """Three guests make up 1.5 % of the field, one is under the percentile that tells the signal of a frame."""
    movie = draw_movie(HOSTS, [*COVERED, OUTSIDE], frames=FRAMES)
    movie[-1] = draw_movie(HOSTS, COVERED[:1], frames=FRAMES, seed=2)[-1]
    done = analysed(tmp_path, movie)
    assert done.missing == []
    assert done.findings == set()


@pytest.mark.parametrize("fault", ["nan", "zero", "full"])
def test_every_channel_at_once(tmp_path, clean, fault):
    movie = clean_movie(np.float32 if fault == "nan" else np.uint16)
    movie[[0, 7, 13]] = WHOLE[fault]
    done = analysed(tmp_path, movie)
    assert done.missing == [0, 7, 13]
    assert done.places() == clean.places(without=[0, 7, 13])


def test_a_black_frame_leaves_the_bleed_through_of_the_movie_alone(tmp_path):
    movie = clean_movie().astype(float)
    movie[:, HOST] += 0.15 * (movie[:, GUEST] - 110).clip(0)
    movie = movie.astype(np.uint16)
    whole = analysed(tmp_path / "whole", movie)
    assert whole.estimates["bleed_through"].max() > 0.05
    movie[[0, SAMPLED], HOST] = 0
    movie[7, DEATH] = 0
    done = analysed(tmp_path / "black", movie)
    assert done.estimates["bleed_through"] == pytest.approx(whole.estimates["bleed_through"], abs=0.02)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("t", [SAMPLED, BETWEEN], ids=["sampled", "between"])
def test_a_frame_without_its_marker_is_no_missing_frame_and_nobody_is_alive_in_it(tmp_path, clean, dtype, t):
    movie = clean_movie(dtype)
    movie[t, DEATH] = np.nan if dtype is np.float32 else 0
    movie[FRAMES - 1, DEATH] = 0
    done = analysed(tmp_path, movie)
    assert done.missing == []
    assert {code for code, _, _ in done.findings} == {"marker_frames_unreadable"}
    at = done.cells["frame"].isin([t, FRAMES - 1])
    assert done.cells.loc[at, ["death_signal", "death_fill"]].isna().all(axis=None)
    assert done.cells.loc[~at & (done.cells["population"] == "guest"), "death_signal"].notna().all()
    last = done.frames[done.frames["frame"] == FRAMES - 1]
    assert set(last["viability"]) == {"unknown", "dead"}, "the dead stay dead, of the others nobody knows"
    if dtype is not np.uint8:
        assert done.places() == clean.places()


def test_a_marker_on_a_schedule_is_a_note_and_the_dead_are_still_dead(tmp_path, clean):
    movie = clean_movie()
    movie[np.arange(FRAMES) % 4 != 2, DEATH] = 0
    done = analysed(tmp_path, movie)
    assert done.findings == {("marker_schedule", "note", "Death")}
    assert done.receipt["findings"][0]["value"] == "is imaged in every 4th frame only, in 3 of 14"
    states = done.frames.set_index(["guest_id", "frame"])["viability"]
    outside = int(done.frames.loc[done.frames["location"] == "free", "guest_id"].iloc[0])
    assert set(states[outside]) <= {"dead", "unknown"}
    assert (states[outside].loc[2:] == "dead").all()
    others = done.frames[(done.frames["guest_id"] != outside) & (done.frames["frame"] > 10)]
    assert set(others["viability"]) == {"unknown"}
    assert done.places() == clean.places()


def test_a_marker_found_in_few_frames_is_looked_for_beside_the_sampled_ones(tmp_path):
    movie = clean_movie()
    movie[[t for t in range(FRAMES) if t not in (5, 8)], DEATH] = 0  # frames that are not sampled
    done = analysed(tmp_path, movie)
    assert {code for code, _, _ in done.findings} == {"marker_frames_unreadable"}
    dead = done.frames[done.frames["viability"] == "dead"]
    assert dead["guest_id"].nunique() == 1
    assert dead["frame"].min() == 5


def test_a_marker_that_is_constant_throughout_is_said_once_and_nobody_is_alive(tmp_path, clean):
    movie = clean_movie()
    movie[:, DEATH] = 100
    done = analysed(tmp_path, movie)
    assert done.findings == {("channel_constant", "warning", "Death")}
    assert done.receipt["findings"][0]["field"] == "markers.death.channel"
    assert set(done.frames["viability"]) == {"unknown"}
    assert done.places() == clean.places()


@pytest.mark.parametrize(("c", "name"), [(HOST, "'Host' of host"), (GUEST, "'Guest' of guest")])
def test_a_channel_of_cells_that_is_constant_throughout_is_refused(tmp_path, c, name):
    movie = clean_movie()
    movie[:, c] = 7
    done = analysed(tmp_path, movie)
    assert done.receipt["kind"] == "input"
    assert f"channel {name} must show cells, it cannot be used in any of " in done.receipt["error"]
    assert "(all pixels are 7); name another channel" in done.receipt["error"]


def test_host_and_guest_that_are_never_usable_together_are_refused(tmp_path):
    movie = clean_movie()
    movie[::2, HOST], movie[1::2, GUEST] = 0, 0
    assert "must be usable in the same frames" in analysed(tmp_path, movie).receipt["error"]


@pytest.mark.parametrize("share", [1e-4, 0.02, 0.1, 0.18, 0.3])
def test_a_growing_share_of_absent_pixels_moves_nobody_until_the_frames_are_missing(tmp_path, clean, share):
    rng, movie = np.random.default_rng(1), clean_movie(np.float32)
    movie[rng.random(movie.shape) < share] = np.nan
    done = analysed(tmp_path, movie)
    if share > 0.2:
        assert "it cannot be used in any of" in done.receipt["error"]
        return
    assert done.missing == []
    assert covered_never_free(done)
    agree = [place == done.places().get(key) for key, place in clean.places().items()]
    assert np.mean(agree) > 0.95


def spoiled(movie, how):
    rng = np.random.default_rng(2)
    y, x = rng.integers(0, 120, (2, 15))
    match how:
        case "one NaN pixel":
            movie[SAMPLED, HOST, 0, 0] = np.nan
        case "infinite pixels":
            movie[SAMPLED, GUEST, 100:103, 30], movie[BETWEEN, HOST, 5, 5] = -np.inf, np.inf
        case "a code for no value":
            movie[:, :, 110:, :10] = -1e30
        case "negative values":
            movie -= 130
        case "dead rows":
            movie[::3, HOST, 52:58] = 0
        case "hot pixels":
            movie[:, :2, y, x] = 65535
        case "cosmic rays":
            for t in range(FRAMES):
                movie[t, :, (7 * t) % 120, (31 * t) % 120] = 30_000
    return movie


@pytest.mark.parametrize(
    "how",
    [
        "one NaN pixel", "infinite pixels", "a code for no value", "negative values", "dead rows", "hot pixels",
        "cosmic rays",
    ],
)  # fmt: skip
def test_a_few_pixels_without_a_measurement_are_no_evidence(tmp_path, clean, how):
    done = analysed(tmp_path, spoiled(clean_movie(np.float32), how))
    assert done.missing == []
    assert covered_never_free(done)
    agree = [place == done.places().get(key, place) for key, place in clean.places().items()]
    assert np.mean(agree) > 0.95
    assert len(done.places()) > 0.85 * len(clean.places())


def test_guests_in_a_hole_of_the_hosts_channel_are_not_seen_there(tmp_path, clean):
    movie = clean_movie(np.float32)
    movie[BETWEEN, HOST, 40:70, 30:70] = np.nan
    done = analysed(tmp_path, movie)
    assert done.missing == []
    assert (0, BETWEEN) not in done.places()
    assert {k: v for k, v in clean.places().items() if k != (0, BETWEEN)} == done.places()
    assert done.findings == {("pixels_masked", "note", "Host")}


def test_a_slice_that_was_never_taken_is_said_and_tells_no_noise(tmp_path):
    flat = clean_movie().astype(float)
    stack = np.stack([100 + (flat - 100) * share for share in (0.3, 1.0, 0.6, 0.0)], axis=2).clip(0).astype(np.uint16)
    done = analysed(tmp_path, stack, um_z=2.0)
    assert {("slice_constant", "warning", name) for name in ("Host", "Guest", "Death")} <= done.findings
    assert done.estimates["noise_sd"].min() > 0.5
    assert (done.frames["viability"] == "dead").any()


def test_what_the_sampled_frames_show_is_known_before_a_run(tmp_path):
    movie = clean_movie()
    movie[:, DEATH] = 0
    movie[:, HOST] = ((movie[:, HOST].astype(float) - 100) * 33 + 60).clip(0, 4095)
    path = write_movie(tmp_path / "A1.ome.tif", movie)
    file = ExperimentFile.model_validate({"channels": {"host": "Host", "guest": "Guest", "death": "Death"}})
    with open_recording(path) as recording:
        found = sampled_findings(recording, resolve(recording, file, path))
    assert [(f.code, f.severity, f.where) for f in found] == [
        ("channel_constant", "warning", "channel 'Death'"), ("channel_saturated", "unresolved", "channel 'Host'"),
    ]  # fmt: skip
    movie[:, GUEST] = 0
    path = write_movie(tmp_path / "A2.ome.tif", movie)
    with open_recording(path) as recording, pytest.raises(RecordingError, match="'Guest' of guest must show cells"):
        sampled_findings(recording, resolve(recording, file, path))


def test_a_torn_readout_is_a_missing_frame(tmp_path, clean):
    movie = clean_movie()
    movie[BETWEEN, :, 60:] = 0
    done = analysed(tmp_path, movie)
    assert done.missing == [BETWEEN]
    assert done.places() == clean.places(without=[BETWEEN])


@pytest.mark.parametrize(
    ("top", "dtype"), [(4095, np.uint16), (16383, np.uint16), (65535, np.uint16), (1.0, np.float32)]
)
def test_hosts_that_clip_leave_all_guests_unresolved_whatever_the_pixel_type(tmp_path, top, dtype):
    movie = clean_movie().astype(np.float64)
    rng = np.random.default_rng(0)
    light = (movie[:, HOST] + rng.uniform(-0.5, 0.5, movie[:, HOST].shape) - 100) / 125
    movie[:, HOST] = (light * top).clip(0, top)
    done = analysed(tmp_path, movie.astype(dtype))
    assert done.findings == {("channel_saturated", "unresolved", "Host")}
    assert set(done.frames["location"]) == {"unresolved"}


@pytest.mark.slow
def test_findings_reach_run_json_and_the_report(tmp_path):
    movie = clean_movie()
    movie[BETWEEN, HOST], movie[:, DEATH] = 0, 100
    write_movie(tmp_path / "in" / "v" / "A1_f1.ome.tif", movie)
    (tmp_path / "in" / "experiment.toml").write_text(TOML)
    out = tmp_path / "out"
    with pytest.raises(SystemExit) as end:
        main(["run", str(tmp_path / "in"), "-o", str(out), "--workers", "1"])
    assert end.value.code == 0
    found = json.loads((out / "run.json").read_text())["findings"]["v/A1_f1"]
    assert [f["code"] for f in found] == ["frame_missing_pixels", "channel_constant"]
    page = (out / "report.html").read_text(encoding="utf-8")
    before = page[page.index("Before you quote this") :]
    before = before[: before.index("</ul>")]
    assert "1 of 14 frames (first 5) cannot be used and are left out: all pixels are 0" in before
    assert "whether cells are alive is unknown throughout" in before
    counts = read_table(out / "counts.parquet")
    assert BETWEEN not in set(counts["frame"])


def entries_of(root, movies):
    """Entries and locations of two recordings analysed by the command line."""
    (root / "in" / "v").mkdir(parents=True)
    for name, (path, movie) in movies.items():
        write_movie(root / "in" / "v" / f"{name}_f1.ome.tif", movie, um=path[0], interval_s=path[1])
    (root / "in" / "experiment.toml").write_text(TOML)
    with pytest.raises(SystemExit) as end:
        main(["run", str(root / "in"), "-o", str(root / "out"), "--workers", "1"])
    assert end.value.code == 0
    return read_table(root / "out" / "frames.parquet"), read_table(root / "out" / "events.parquet")


@pytest.mark.slow
def test_entries_of_a_simulated_movie_survive_what_a_file_brings(tmp_path):
    with pytest.raises(SystemExit):
        main(["simulate", "sample-2d", "-o", str(tmp_path / "made"), "--scale", "0.9", "--frames", "18"])
    source = next((tmp_path / "made" / "BTKi").glob("*.tif"))
    with open_recording(source) as recording:
        movie = np.stack([recording.frame(t)[:, 0] for t in range(recording.sizes["T"])]).astype(np.float32)
        scale = recording.metadata.um_per_px, recording.metadata.frame_interval_s
    spoiled_movie = movie.copy()
    spoiled_movie[4, HOST, 0, 0], spoiled_movie[9, GUEST, :4, :60] = np.nan, np.inf
    spoiled_movie[6, HOST], spoiled_movie[11, DEATH], spoiled_movie[13, :, 150:] = 0, np.nan, 0
    frames, events = entries_of(tmp_path, {"A1": (scale, movie), "A2": (scale, spoiled_movie)})
    entries = events[events["entry_frame"].notna()].groupby("position").size()
    assert entries["v/A1_f1"] >= 5
    assert abs(entries["v/A2_f1"] - entries["v/A1_f1"]) <= 2
    seen = frames[frames["observed"] & ~frames["frame"].isin([6, 13])]
    shares = seen.groupby("position")["location"].value_counts(normalize=True).unstack(fill_value=0)
    assert (shares.loc["v/A1_f1"] - shares.loc["v/A2_f1"]).abs().max() < 0.03
    missing = frames[(frames["position"] == "v/A2_f1") & frames["frame"].isin([6, 13])]
    assert not missing["observed"].any()
