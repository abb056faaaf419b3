"""Out of memory, out of time, killed, out of disk: the position is named with its reason, and the others go on."""

import errno
import os
from types import SimpleNamespace

import numpy as np
import pytest

from cicimage.batch import Outcome, open_batch, run_batch
from cicimage.batch.plan import plan, state_of
from cicimage.batch.supervisor import _record_crash, folder_lock
from cicimage.cli import main
from cicimage.experiment import load_experiment
from cicimage.locks import lock
from cicimage.pipeline import position as module
from cicimage.store import Results, read_json, read_table
from tests.conftest import draw_movie, write_movie

TOML = '[channels]\nhost = "Host"\nguest = "Guest"\ndeath = "Death"\n'


def movie(frames=3):
    return draw_movie([(32, 32, 20)], [(25, 25, 4), (40, 40, 4)], frames=frames, size=64)


@pytest.fixture
def batch(tmp_path):
    write_movie(tmp_path / "in" / "v" / "A1_f1.ome.tif", movie())
    (tmp_path / "in" / "experiment.toml").write_text(TOML)
    return open_batch(load_experiment(tmp_path / "in"), tmp_path / "out")


def raising(error):
    def fail(*_, **__):
        raise error

    return fail


def test_memory_that_ran_out_is_told_with_its_peak(batch, monkeypatch):
    monkeypatch.setattr(module, "_save_detections", raising(MemoryError()))
    receipt = module.run_position(batch.jobs[0], lambda *_: None)
    assert receipt["kind"] == "memory"
    assert "memory ran out at " in receipt["error"]
    assert "use fewer --workers" in receipt["error"]
    assert receipt["peak_memory_bytes"] > 1 << 20


def test_a_position_that_takes_too_long_is_ended_and_named(batch):
    outcome = run_batch(batch, timeout_s=0.001)
    assert outcome.exit_code == 4
    assert outcome.reasons["v/A1_f1"] == "took longer than the 0.001 s allowed; raise --timeout"
    assert plan(batch).left, "it is not tried again by itself"
    assert plan(batch, retry_failed=True).todo


def test_a_killed_process_is_told_with_its_peak_memory(batch):
    job = batch.jobs[0]
    process = SimpleNamespace(exitcode=-9)
    _record_crash(SimpleNamespace(job=job, process=process, peak=50 << 20, disk_full=False))
    receipt = read_json(job.folder / "receipt.json")
    assert receipt["kind"] == "killed"
    assert "killed by signal 9 at a peak memory of 50 MiB" in receipt["error"]


def test_a_process_killed_after_its_receipt_is_done(batch):
    job = batch.jobs[0]
    module.run_position(job, lambda *_: None)
    _record_crash(SimpleNamespace(job=job, process=SimpleNamespace(exitcode=-9), peak=0, disk_full=False))
    assert state_of(job) == "done"


def test_a_full_disk_leaves_no_receipt_and_the_same_command_goes_on(batch, monkeypatch):
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with monkeypatch.context() as patch:
        patch.setattr("cicimage.store.os.fsync", raising(full))
        receipt = module.run_position(batch.jobs[0], lambda *_: None)
    assert receipt["kind"] == "disk_full"
    assert "the disk is full; finished positions are kept" in receipt["error"]
    assert state_of(batch.jobs[0]) == "waiting"
    assert module.run_position(batch.jobs[0], lambda *_: None)["outcome"] == "done"
    assert Outcome(("a",), ("b",), (), disk_full=True).exit_code == 6, "before 3"


def test_a_receipt_that_cannot_be_read_is_made_anew(batch):
    job = batch.jobs[0]
    module.run_position(job, lambda *_: None)
    assert not plan(batch).todo
    (job.folder / "receipt.json").write_text('{"outcome": "do')
    assert plan(batch).why == {"v/A1_f1": "its receipt cannot be read"}
    module.run_position(job, lambda *_: None)
    assert not plan(batch).todo


def test_what_a_killed_process_left_half_written_is_swept_away(batch):
    job = batch.jobs[0]
    (job.folder / "crops").mkdir(parents=True)
    left = [job.folder / ".masks.parquet.abc.part", job.folder / "crops" / ".e0001.npz.abc.part"]
    for path in left:
        path.write_bytes(b"half")
    module.run_position(job, lambda *_: None)
    assert not any(path.exists() for path in left)


def test_reasons_to_run_again(batch, tmp_path):
    job = batch.jobs[0]
    assert plan(batch).why == {"v/A1_f1": "new"}
    module.run_position(job, lambda *_: None)
    assert plan(batch).done == (job,)
    (tmp_path / "in" / "experiment.toml").write_text(TOML + '[methods]\nscore = { method = "hysteresis" }\n')
    changed = open_batch(load_experiment(tmp_path / "in"), tmp_path / "out")
    assert plan(changed).why == {"v/A1_f1": "settings or version of judge (bleaching, score) changed"}
    write_movie(job.position.path, movie(4))
    assert plan(batch).why == {"v/A1_f1": "the recording changed"}


@pytest.mark.slow
def test_constant_and_saturated_frames_are_flagged_in_table_and_report(tmp_path):
    made = movie(8)
    made[3:5, 1], made[6, 0] = 100, 65535
    write_movie(tmp_path / "in" / "v" / "A1_f1.ome.tif", made)
    (tmp_path / "in" / "experiment.toml").write_text(TOML)
    out = tmp_path / "out"
    with pytest.raises(SystemExit) as end:
        main(["run", str(tmp_path / "in"), "-o", str(out), "--workers", "1"])
    assert end.value.code == 0
    qc = read_table(Results(out).table("qc"))
    flags = {(int(r.frame), r.channel): r.flag for r in qc.itertuples() if r.flag}
    assert "constant" in flags[3, "Guest"]
    assert "constant" in flags[4, "Guest"]
    assert (6, "Host") in flags
    assert set(np.unique([t for t, _ in flags])) == {3, 4, 6}
    assert "constant" in (out / "report.html").read_text()


def test_a_folder_held_by_a_live_run_is_refused(batch, tmp_path, capfd):
    with lock(folder_lock(batch.results.root), "this folder"):
        with pytest.raises(SystemExit) as end:
            main(["run", str(tmp_path / "in"), "-o", str(tmp_path / "out")])
    assert end.value.code == 5
    assert "another run holds this folder" in capfd.readouterr().err
