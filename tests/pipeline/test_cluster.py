"""The dask engine and the examples for clusters: the same tables as locally, each goes on where another stopped."""

import json
import logging
import os
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")

from cicimage.batch import open_batch, run_batch  # noqa: E402
from cicimage.batch.cluster import exposure, run_on_dask, run_task  # noqa: E402
from cicimage.batch.plan import plan  # noqa: E402
from cicimage.cli import main  # noqa: E402
from cicimage.experiment import load_experiment  # noqa: E402
from cicimage.locks import lock  # noqa: E402
from cicimage.store import read_json, read_table  # noqa: E402
from tests.conftest import draw_movie, write_movie  # noqa: E402
from tests.recording.test_readers import bring  # noqa: E402

EXAMPLES = Path(__file__).parents[2] / "examples"
TOML = '[experiment]\nreference = "vehicle"\n[channels]\nhost = "Host"\nguest = "Guest"\ndeath = "Death"\n'


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("input")
    for i, condition in enumerate(("vehicle", "BTKi")):
        movie = draw_movie([(32, 32, 20)], [(25, 25, 4), (40, 40, 4)], frames=3, size=64, seed=i)
        write_movie(root / condition / "A1_f1.ome.tif", movie)
    (root / "BTKi" / "A2_f1.tif").write_bytes(b"")
    (root / "experiment.toml").write_text(TOML)
    return root


@pytest.fixture
def few(folder, tmp_path):
    """One sound recording and one broken one, in a folder with a space in its name."""
    root = tmp_path / "two movies"
    shutil.copytree(folder, root, ignore=shutil.ignore_patterns("vehicle"))
    (root / "experiment.toml").write_text(TOML.replace("vehicle", "BTKi"))
    return root


@pytest.fixture(scope="module")
def cluster():
    """Two workers as threads of this process: nothing to start, nothing to compile again."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None, silence_logs=logging.CRITICAL
    ) as made:
        yield made


def call(*arguments):
    with pytest.raises(SystemExit) as end:
        main([str(a) for a in arguments])
    return end.value.code


def base_tables(out):
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in sorted(out.glob("positions/*/*.parquet"))}


def test_dask_and_the_local_engine_make_the_same_bytes_and_resume_each_other(folder, cluster, tmp_path, capfd):
    address = cluster.scheduler_address
    assert call("run", folder, "-o", tmp_path / "dask", "--dask", address) == 3
    said = capfd.readouterr().err
    assert "BTKi/A2_f1 failed: " in said
    assert "empty (0 bytes)" in said
    local = tmp_path / "local"
    batch = open_batch(load_experiment(folder), local)
    first = next(j.position.position for j in batch.jobs if "A1" in j.position.position)
    run_batch(batch, chosen=plan(batch, only=[first]))
    stamp = {p: p.stat().st_mtime_ns for p in local.glob("positions/*/receipt.json")}
    assert len(stamp) == 1
    outcome = run_on_dask(batch, address, chosen=plan(batch))
    assert set(outcome.done) == {"vehicle/A1_f1", "BTKi/A1_f1"}
    assert outcome.exit_code == 3
    assert all(p.stat().st_mtime_ns == t for p, t in stamp.items()), "what was done is not done again"
    assert base_tables(local) == base_tables(tmp_path / "dask")
    rates = read_table(tmp_path / "dask" / "rates.parquet")
    assert set(rates["condition"]) == {"vehicle", "BTKi"}
    assert not plan(batch).todo


def test_a_position_that_another_run_holds_is_left_to_it(folder, cluster, tmp_path, monkeypatch):
    monkeypatch.setattr("cicimage.batch.cluster.PATIENCE_S", 0.0)
    batch = open_batch(load_experiment(folder), tmp_path / "out")
    job = batch.jobs[0]
    with lock(job.folder / ".lock", "it"):
        outcome = run_on_dask(batch, cluster.scheduler_address, chosen=plan(batch, only=[job.position.position]))
    assert outcome.reasons[job.position.position].startswith("another run holds it")
    assert not (job.folder / "receipt.json").exists()


def test_a_worker_that_cannot_do_it_says_why(folder, tmp_path):
    batch = open_batch(load_experiment(folder), tmp_path / "out")
    job = batch.jobs[0]
    assert "has cicimage" in run_task(job, "0.0.0")["error"]
    (tmp_path / "out" / "run.json").unlink()
    from cicimage import __version__

    said = run_task(job, __version__)
    assert said["outcome"] == "refused"
    assert "does not see" in said["error"]
    assert "share" in said["error"]


def test_a_dead_worker_is_told_with_the_likely_cause(folder, cluster, tmp_path, monkeypatch):
    def die(*_):
        raise distributed.KilledWorker("task", SimpleNamespace(address="tcp://w:1"), 1)

    monkeypatch.setattr("cicimage.batch.cluster.run_task", die)
    batch = open_batch(load_experiment(folder), tmp_path / "out")
    outcome = run_on_dask(batch, cluster.scheduler_address)
    assert outcome.exit_code == 4
    receipt = read_json(batch.jobs[0].folder / "receipt.json")
    assert receipt["kind"] == "killed"
    assert "most likely memory ran out" in receipt["error"]


HANGS = """
from cicimage.recording import Reader

class ToyReader(Reader):
    name = "Toy"
    suffixes = (".toy",)

    def recognises(self, listing, head):
        return head.startswith(b"TOY")

    def open(self, path, options):
        import os, time
        os.abort() if b"aborts" in path.read_bytes() else time.sleep(600)
"""


def test_a_recording_that_hangs_or_ends_its_process_leaves_the_worker_alone(folder, tmp_path):
    """A worker with a nanny, as `dask worker` starts it: such a process may have no children by itself."""
    root = tmp_path / "in"
    shutil.copytree(folder / "vehicle", root / "vehicle")
    (root / "vehicle" / "B1_f1.toy").write_text("TOY sleeps")
    (root / "vehicle" / "B2_f1.toy").write_text("TOY aborts")
    (root / "experiment.toml").write_text(TOML)
    environment = os.environ | {"PYTHONPATH": str(bring(tmp_path / "package", HANGS))}
    scheduler = str(tmp_path / "scheduler.json")
    options = {
        "scheduler": ["--host", "127.0.0.1", "--port", "0", "--no-dashboard"],
        "worker": ["--nworkers", "1", "--nthreads", "1", "--no-dashboard", "--local-directory", str(tmp_path)],
    }
    with ExitStack() as ended:
        for name, more in options.items():
            command = [sys.executable, "-m", f"distributed.cli.dask_{name}", "--scheduler-file", scheduler, *more]
            log = ended.enter_context((tmp_path / name).open("w"))
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
            ended.callback(process.wait)
            ended.callback(process.terminate)
        client = ended.enter_context(_client(scheduler))
        client.wait_for_workers(1, timeout=60)
        before = client.run(os.getpid)
        command = [sys.executable, "-m", "cicimage", "run", str(root), "-o", str(tmp_path / "out"), "--no-report"]
        command += ["--dask", scheduler, "--opening-timeout", "3"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=200)
        assert client.run(os.getpid) == before, "the worker lives"
    assert done.returncode == 3, done.stderr
    assert "vehicle/B1_f1 failed: B1_f1.toy: reading it took longer than the 3 s allowed" in done.stderr
    assert "vehicle/B2_f1 failed: B2_f1.toy: the process that read it was killed by signal 6" in done.stderr
    states = [read_json(p)["outcome"] for p in (tmp_path / "out").glob("positions/*/receipt.json")]
    assert sorted(states) == ["done", "failed", "failed"]


def _client(scheduler_file):
    until = time.monotonic() + 60
    while not Path(scheduler_file).exists() and time.monotonic() < until:
        time.sleep(0.1)
    return distributed.Client(scheduler_file=scheduler_file, timeout=60, set_as_default=False)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """An authority of the test's own, and a certificate for 127.0.0.1 that it signed."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not there to make certificates with")
    root = tmp_path_factory.mktemp("tls")
    (root / "names").write_text("subjectAltName=IP:127.0.0.1\n")

    def call_openssl(*arguments):
        subprocess.run([openssl, *arguments], cwd=root, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    for name in ("ca", "other"):
        call_openssl("req", "-x509", *key, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}")
    call_openssl("req", *key, "-keyout", "node.key", "-out", "node.csr", "-subj", "/CN=node")
    call_openssl(
        "x509", "-req", "-in", "node.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", "node.pem",
        "-extfile", "names",
    )  # fmt: skip
    return root


COMM = "distributed.comm"


def tls(root, ca="ca.pem"):
    """Settings of dask as `docs/cluster.md` has them."""
    pairs = {f"{COMM}.tls.{part}.cert": str(root / "node.pem") for part in ("scheduler", "worker", "client")}
    keys = {name.replace("cert", "key"): str(root / "node.key") for name in pairs}
    return {f"{COMM}.require-encryption": True, f"{COMM}.tls.ca-file": str(root / ca), **pairs, **keys}


@pytest.fixture
def secured(certificates):
    with (
        dask.config.set(tls(certificates)),
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None, protocol="tls://",
            security=distributed.Security(), silence_logs=logging.CRITICAL,
        ) as made,
    ):  # fmt: skip
        assert made.scheduler_address.startswith("tls://")
        yield made


def test_a_scheduler_with_tls_runs_with_certificates(secured, few, tmp_path, capfd):
    assert call("run", few, "-o", tmp_path / "out", "--dask", secured.scheduler_address) == 3
    said = capfd.readouterr().err
    assert "has no TLS" not in said
    assert [p["state"] for p in _states(tmp_path / "out", capfd)] == ["done", "failed"]


def _states(out, capfd):
    call("status", out, "--json")
    return [p for _, p in sorted(json.loads(capfd.readouterr().out)["positions"].items())]


@pytest.mark.parametrize("how", ["without certificates", "of another authority", "missing files", "plain address"])
def test_a_scheduler_with_tls_refuses_others(secured, certificates, few, tmp_path, capfd, monkeypatch, how):
    monkeypatch.setattr("cicimage.batch.cluster.SCHEDULER_TIMEOUT_S", 3)
    address = secured.scheduler_address
    settings = {
        "without certificates": dict.fromkeys(tls(certificates)),
        "of another authority": tls(certificates, "other.pem"),
        "missing files": tls(certificates, "nowhere.pem"),
        "plain address": tls(certificates),
    }[how]
    if how == "plain address":
        address = address.replace("tls://", "tcp://")
    with dask.config.set(settings):
        assert call("run", few, "-o", tmp_path / "out", "--dask", address) == 2
    said = capfd.readouterr().err
    assert f"--dask '{address}'" in said
    assert "docs/cluster.md" in said
    if how == "without certificates":
        assert "none answered (dask names no certificates)" in said


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--dask", "tcp://127.0.0.1:9"], "must be the address of a running scheduler, none answered"),
        (["--dask", "tcp://127.0.0.1:9", "--workers", "2"], "--dask goes without --workers"),
        (["--dask", "tcp://127.0.0.1:9", "--task-index", "0"], "--dask goes without --task-index"),
        (["--dask", "tcp://127.0.0.1:9", "--timeout", "5"], "--dask goes without --timeout"),
    ],
)
def test_wrong_use_is_exit_2(folder, tmp_path, capfd, monkeypatch, arguments, sentence):
    monkeypatch.setattr("cicimage.batch.cluster.SCHEDULER_TIMEOUT_S", 0.5)
    assert call("run", folder, "-o", tmp_path / "out", *arguments) == 2
    assert sentence in capfd.readouterr().err


def test_without_dask_it_says_what_to_install(folder, tmp_path, capfd, monkeypatch):

    monkeypatch.setitem(sys.modules, "distributed", None)
    assert call("run", folder, "-o", tmp_path / "out", "--dask", "tcp://x:1") == 2
    assert 'pip install "cicimage[dask]"' in capfd.readouterr().err


def test_a_run_that_is_refused_changes_nothing(folder, tmp_path, capfd):
    """The folder is held: run.json, which the live run reads at its end, stays as it was."""
    out = tmp_path / "out"
    open_batch(load_experiment(folder), out)
    before = (out / "run.json").read_bytes()
    with lock(out / ".run.lock", "this folder"):
        assert call("run", folder, "-o", out, "--reference", "BTKi") == 5
    assert "another run holds this folder" in capfd.readouterr().err
    assert (out / "run.json").read_bytes() == before
    assert json.loads(before)["configuration"]["experiment"]["reference"] == "vehicle"


def test_a_dry_run_writes_nothing(folder, tmp_path, capfd):
    assert call("run", folder, "-o", tmp_path / "out", "--dry-run") == 0
    assert "would be run: new" in capfd.readouterr().out
    assert not (tmp_path / "out").exists()


def test_a_task_of_an_array_answers_for_its_own_position_only(folder, tmp_path):
    """Position 1 cannot be read; the tasks of the others are no failures for that."""
    names = sorted(p.position for p in load_experiment(folder).positions)
    bad = names.index("BTKi/A2_f1")
    assert bad == 1
    out = tmp_path / "out"
    assert call("run", folder, "-o", out, "--task-index", bad) == 4
    assert call("run", folder, "-o", out, "--task-index", bad) == 4, "it failed before"
    batch = open_batch(load_experiment(folder), out, write=False)
    other = run_batch(batch, chosen=plan(batch, task_index=0))
    assert (other.exit_code, other.done) == (0, ("BTKi/A1_f1",))


@pytest.mark.slow
def test_the_script_for_slurm_runs(few, tmp_path):
    """Its steps one after the other; the failed position is named in the report."""
    out = tmp_path / "out"
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", str(EXAMPLES / "slurm.sh"), str(few), str(out), "--local"],
        env=environment,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert "1 of 2 positions done" in done.stdout.decode()
    assert "BTKi/A2_f1" in (out / "report.html").read_text()


def test_the_script_submits_an_array_and_a_report_after_it(folder, tmp_path):
    """A stand-in for sbatch writes down how it was called."""

    sbatch = tmp_path / "sbatch"
    sbatch.write_text(
        f'#!/usr/bin/env bash\nprintf "%s " "$@" >> {tmp_path}/calls\necho >> {tmp_path}/calls\necho 77\n'
    )
    sbatch.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{Path(sys.executable).parent}:{os.environ['PATH']}"}
    subprocess.run(
        ["bash", str(EXAMPLES / "slurm.sh"), str(folder), str(tmp_path / "out")], env=environment, check=True
    )
    array, report = (tmp_path / "calls").read_text().splitlines()
    assert "--array=0-2%50" in array
    assert "--task-index $SLURM_ARRAY_TASK_ID" in array
    assert "--dependency=afterany:77" in report
    assert f"cicimage report '{tmp_path / 'out'}'" in report


SBATCH = """#!/usr/bin/env bash
# Runs what it is given at once: each task of an array with its index, as SLURM sets it.
array=0
for argument in "$@"; do
  case "$argument" in
    --array=*) array="${argument#--array=}"; array="${array%%%*}";;
    --wrap=*) command="${argument#--wrap=}";;
  esac
done
for index in $(seq "${array%-*}" "${array#*-}"); do
  SLURM_ARRAY_TASK_ID="$index" bash -c "$command" >> "$LOG" 2>&1
done
echo 77
"""


@pytest.mark.slow
def test_the_array_runs_each_position_by_the_index_that_slurm_gives(few, tmp_path):
    sbatch = tmp_path / "sbatch"
    sbatch.write_text(SBATCH)
    sbatch.chmod(0o755)
    path = f"{tmp_path}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    out = tmp_path / "results of a run"
    subprocess.run(
        ["bash", str(EXAMPLES / "slurm.sh"), str(few), str(out)], check=True, capture_output=True,
        env={**os.environ, "PATH": path, "LOG": str(tmp_path / "log")},
    )  # fmt: skip
    said = (tmp_path / "log").read_text()
    assert "BTKi/A2_f1 failed" in said
    assert "1 of 2 positions done" in said
    assert "BTKi/A2_f1" in (out / "report.html").read_text()


@pytest.mark.slow
def test_snakemake_runs_the_positions_and_the_report(few, tmp_path):
    snakemake = shutil.which("snakemake")
    if snakemake is None:
        pytest.skip("snakemake is not installed; pip install snakemake to run examples/Snakefile")
    out = tmp_path / "results of a run"
    done = subprocess.run(
        [snakemake, "-s", str(EXAMPLES / "Snakefile"), "--cores", "1", "--config", f"experiment={few}", f"out={out}"],
        env={"PATH": f"{Path(sys.executable).parent}:{Path(snakemake).parent}:/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 of 2 positions done" in done.stdout + done.stderr
    assert (out / "report.html").exists()


@pytest.mark.parametrize(
    ("address", "warned"),
    [
        ("tcp://node17:8786", True), ("node17:8786", True), ("tcp://10.0.0.4:8786", True),
        ("tcp://[fe80::1]:8786", True), ("tcp://0.0.0.0:8786", True),
        ("tls://node17:8786", False), ("tcp://127.0.0.1:8786", False),
        ("tcp://[::1]:8786", False), ("localhost:8786", False), ("inproc://10.0.0.4/1/1", False),
    ],
)  # fmt: skip
def test_a_scheduler_that_others_may_reach_without_tls_is_warned_about(tmp_path, address, warned):
    file = tmp_path / "scheduler.json"
    file.write_text(json.dumps({"address": address}))
    for given in (address, str(file)):
        assert ("can run code as you" in exposure(given)) == warned
