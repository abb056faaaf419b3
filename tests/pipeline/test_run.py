"""One whole run, what a second run does, and that coordinates are those of the raw frames."""

import json
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from cicimage.batch import open_batch, run_batch
from cicimage.cli import main
from cicimage.experiment import load_experiment
from cicimage.locks import lock
from cicimage.mask_store import MaskFile
from cicimage.pipeline.collect import collect
from cicimage.report.assemble import report_data
from cicimage.store import Results, read_json, read_table
from tests.conftest import draw_movie, write_movie

HOSTS = [(60, 60, 40), (30, 105, 14)]
GUESTS = [(50, 50, 4), (75, 70, 4), (15, 60, 4)]
TOML = '[experiment]\nreference = "vehicle"\n[channels]\nhost = "Host"\nguest = "Guest"\ndeath = "Death"\n'
TABLES = ("cells", "pairs", "frames", "events", "guests", "hosts", "rates", "comparisons")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("input")
    for i, condition in enumerate(("vehicle", "BTKi")):
        write_movie(root / condition / "A1_f1.ome.tif", draw_movie(HOSTS, GUESTS, seed=i))
    (root / "experiment.toml").write_text(TOML)
    return root


@pytest.fixture(scope="module")
def finished(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("results") / "out"
    assert run(folder, "-o", out, "--workers", 2) == 0
    return out


def run(*args):
    with pytest.raises(SystemExit) as done:
        main(["run", *map(str, args)])
    return done.value.code


def tables(out):
    return {n: read_table(out / f"{n}.parquet") for n in TABLES}


def same(a, b):
    for name in TABLES:
        pd.testing.assert_frame_equal(a[name], b[name], obj=name)


@pytest.mark.slow
def test_a_run_leaves_what_the_contract_names(finished):
    names = {p.name for p in finished.iterdir()}
    assert {"run.json", "events.csv", "guests.csv", "hosts.csv", "rates.csv", "comparisons.csv", "report.html"} <= names
    found = tables(finished)
    assert set(found["guests"]["condition"]) == {"vehicle", "BTKi"}
    assert len(found["guests"]) == 6
    assert (found["comparisons"]["p_value"].isna()).all(), "no donor is known: no test"
    run_json = read_json(finished / "run.json")
    assert run_json["origins"]["channels.host"] == "file"
    assert set(run_json["positions"]) == {"vehicle/A1_f1", "BTKi/A1_f1"}


@pytest.mark.slow
def test_nothing_in_a_position_folder_tells_the_condition(finished):
    for path in (finished / "positions").rglob("*"):
        assert "vehicle" not in path.name
        assert "BTKi" not in path.name
        if path.suffix == ".parquet" and path.name != "masks.parquet":
            rows = pd.read_parquet(path)
            text = rows.select_dtypes("object").astype(str)
            assert not text.isin(["vehicle", "BTKi", "vehicle/A1_f1", "BTKi/A1_f1"]).any().any(), path


@pytest.mark.slow
def test_ids_are_unique_across_populations_and_masks_belong_to_rows(finished):
    results = Results(finished)
    for key in results.index().values():
        folder = results.position(key)
        cells = read_table(folder.table("cells"), "cells")
        assert (cells.groupby("cell_id")["population"].nunique() == 1).all()
        masks = MaskFile(folder.masks)
        seen = cells[cells["observed"] & (cells["frame"] == 2)]
        for population, rows in seen.groupby("population"):
            assert sorted(rows["label"]) == sorted(masks.masks(2, population).labels)


@pytest.mark.slow
def test_a_second_run_does_nothing_and_a_changed_option_only_what_it_touches(folder, finished, tmp_path):
    before = tables(finished)
    stamps = {p: p.stat().st_mtime_ns for p in finished.glob("positions/*/*.parquet")}
    start = time.perf_counter()
    assert run(folder, "-o", finished) == 0
    assert {p: p.stat().st_mtime_ns for p in finished.glob("positions/*/*.parquet")} == stamps
    same(before, tables(finished))
    assert time.perf_counter() - start < 60
    changed = tmp_path / "experiment.toml"
    changed.write_text(
        f'{TOML}[files]\nroot = "{folder}"\n[methods]\nscore = {{ method = "hysteresis", persistence_min = 60 }}\n'
    )
    out = tmp_path / "out"
    batch = open_batch(load_experiment(folder), out)
    run_batch(batch)
    made = {p.name: p.stat().st_mtime_ns for p in out.glob("positions/p0001/*.parquet")}
    run_batch(open_batch(load_experiment(changed), out))
    again = {p.name: p.stat().st_mtime_ns for p in out.glob("positions/p0001/*.parquet")}
    assert {n for n in made if made[n] != again[n]} >= {"frames.parquet", "events.parquet"}
    assert made["detections.parquet"] == again["detections.parquet"]
    assert made["links.parquet"] == again["links.parquet"]


@pytest.mark.slow
def test_tables_do_not_depend_on_the_number_of_workers(folder, finished, tmp_path):
    assert run(folder, "-o", tmp_path / "one", "--workers", 1) == 0
    same(tables(finished), tables(tmp_path / "one"))


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_tables(folder, finished, tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "cicimage", "run", str(folder), "-o", str(out), "--workers", "1"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(out.glob("positions/*/receipt.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert run(folder, "-o", out) == 0
    same(finished_tables := tables(finished), tables(out))
    assert len(finished_tables["guests"])


@pytest.mark.slow
def test_processes_of_a_killed_run_end_and_let_go_of_their_positions(folder, tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "cicimage", "run", str(folder), "-o", str(out), "--workers", "2"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(out.glob("positions/*/.lock")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    for held in out.glob("positions/*/.lock"):
        with lock(held, "the position", patience_s=10):
            pass


@pytest.mark.slow
def test_a_position_that_another_run_holds_is_left_to_it(folder, tmp_path, capfd):
    out = tmp_path / "out"
    batch = open_batch(load_experiment(folder), out)
    held = next(j for j in batch.jobs if j.position.position == "vehicle/A1_f1")
    with lock(held.folder / ".lock", "the position"):
        assert run(folder, "-o", out) == 3
    assert "vehicle/A1_f1 failed: another run holds it; wait for that one to end" in capfd.readouterr().err
    assert not (held.folder / "receipt.json").exists()
    assert run(folder, "-o", out) == 0


@pytest.mark.slow
def test_status_says_what_is_done(finished, capfd):
    with pytest.raises(SystemExit) as done:
        main(["status", str(finished), "--json"])
    assert done.value.code == 0
    assert json.loads(capfd.readouterr().out)["counts"] == {"done": 2, "failed": 0, "waiting": 0}
    with pytest.raises(SystemExit) as done:
        main(["status", str(finished.parent)])
    assert done.value.code == 5
    assert "must be a results folder" in capfd.readouterr().err


@pytest.mark.slow
def test_coordinates_are_those_of_the_raw_frames_and_drift_is_a_table(tmp_path):
    """The whole field shifts by (6, -4) um at frame 3: cells move in the raw frame, and stand still without drift."""
    still = draw_movie([(60, 60, 35), (25, 25, 12), (95, 30, 10)], [(50, 50, 4), (75, 70, 4), (30, 95, 4)], frames=6)
    moved = still.copy()
    moved[3:] = np.roll(still[3:], (6, -4), axis=(2, 3))
    write_movie(tmp_path / "in" / "v" / "A1_f1.ome.tif", moved)
    assert run(tmp_path / "in", "-o", tmp_path / "out", "--death", "Death") == 0
    drift = read_table(tmp_path / "out" / "drift.parquet").set_index("frame")
    assert drift.loc[5, "dy_um"] - drift.loc[0, "dy_um"] == pytest.approx(6, abs=0.5)
    assert drift.loc[5, "dx_um"] - drift.loc[0, "dx_um"] == pytest.approx(-4, abs=0.5)
    frames = read_table(tmp_path / "out" / "frames.parquet")
    assert frames["guest_id"].nunique() == 3
    one = frames[frames["guest_id"] == frames["guest_id"].min()].set_index("frame")
    assert one.loc[4, "y_um"] - one.loc[1, "y_um"] == pytest.approx(6, abs=1.0)
    assert one.loc[4, "x_um"] - one.loc[1, "x_um"] == pytest.approx(-4, abs=1.0)


@pytest.mark.slow
def test_time_zero_moves_the_clock_only(folder, finished, tmp_path):
    later = tmp_path / "experiment.toml"
    later.write_text(
        f'{TOML.replace("[channels]", "time_zero_h = 0.25" + chr(10) + "[channels]")}[files]\nroot = "{folder}"\n'
    )
    assert run(later, "-o", tmp_path / "out") == 0
    a, b = tables(finished)["frames"], tables(tmp_path / "out")["frames"]
    assert np.allclose(a["time_h"] - 0.25, b["time_h"])
    assert (a["location"] == b["location"]).all()
    after = tables(tmp_path / "out")
    hosts = read_table(tmp_path / "out" / "hosts.parquet")
    hours = read_table(tmp_path / "out" / "qc.parquet").drop_duplicates("frame").set_index("frame")["time_h"]
    begin = hours.index[hours >= 0].min()
    last = hosts["death_frame"].fillna(hosts["last_frame"]).clip(lower=begin)
    watched = hours.loc[last].to_numpy() - hours.loc[hosts["first_frame"].clip(lower=begin)].to_numpy()
    rates = after["rates"]
    found = rates.loc[rates["estimand"] == "entry_rate_per_host_h", "exposure_h"].sum()
    assert found == pytest.approx(watched.sum())
    assert found < hosts["hours"].sum()
    results = Results(tmp_path / "out")
    shown = report_data(results, collect(results)).tables["guests"]
    at_risk = rates.loc[rates["estimand"] == "entry_rate_per_guest_h", "exposure_h"].sum()
    assert shown["hours_at_risk_entry"].sum() == pytest.approx(at_risk)
    assert at_risk < after["guests"]["hours_at_risk_entry"].sum()


def test_settings_put_back_after_a_kill_do_not_meet_half_of_the_other_ones(folder, tmp_path, monkeypatch):
    """A run with other settings is killed while it writes; back with the old settings the old tables come out."""
    from cicimage.pipeline import position as module

    out = tmp_path / "out"
    before = load_experiment(folder)
    changed = tmp_path / "experiment.toml"
    changed.write_text(
        f'{TOML}[files]\nroot = "{folder}"\n[methods]\nscore = {{ method = "hysteresis", enter_p = 0.999 }}\n'
    )
    job = open_batch(before, out).jobs[0]
    module.run_position(job, lambda *_: None)
    tables = {p.name: p.read_bytes() for p in job.folder.glob("*.parquet")}

    def killed(*_):
        raise KeyboardInterrupt

    other = next(j for j in open_batch(load_experiment(changed), out).jobs if j.key == job.key)
    with monkeypatch.context() as patch:
        patch.setattr(module, "_save_quality", killed)
        with pytest.raises(KeyboardInterrupt):
            module.run_position(other, lambda *_: None)
    module.run_position(job, lambda *_: None)
    assert {p.name: p.read_bytes() for p in job.folder.glob("*.parquet")} == tables
