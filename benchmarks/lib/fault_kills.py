"""Part of the fault campaign: processes killed with SIGKILL at random moments, local engine and dask."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil
from lib.tiny_movies import experiment

from cicimage.batch import open_batch
from cicimage.experiment import load_experiment
from cicimage.review.log import log_path
from cicimage.review.queue import build_queue, load_queue_tables
from cicimage.review.response import verdict_on
from cicimage.review.session import Session, position_names
from cicimage.store import Results

POSITIONS: Final = 12
FRAMES: Final = (2, 3, 6, 16)
SIZES: Final = (48, 64, 96)
RESUMES_AT_MOST: Final = 60
TABLES: Final = ("*.parquet", "*.csv", "positions/*/*.parquet", "positions/*/estimates.npz", "positions/*/crops/*.npz")
REVIEWER: Final = "anna"


@dataclass
class Campaign:
    """What a campaign did and found."""

    engine: str
    kills: int = 0
    runs: int = 0
    victims: Counter[str] = field(default_factory=Counter)
    moments: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return vars(self) | {"victims": dict(self.victims), "moments": dict(self.moments)}


def command(root: Path, out: Path, *more: str) -> list[str]:
    """One run of the program."""
    return [sys.executable, "-m", "cicimage", "run", str(root), "-o", str(out), "--retry-failed", *more]


def snapshot(out: Path) -> dict[str, str]:
    """Hash by name of every table, base and top level."""
    files = [p for pattern in TABLES for p in out.glob(pattern)]
    return {p.relative_to(out).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(files)}


def half_written(out: Path) -> list[str]:
    """Temporary files that a killed process left."""
    return [p.relative_to(out).as_posix() for p in out.rglob("*.part")]


def moment(out: Path, before: dict[str, float]) -> str:
    """How far the run was when it was hit."""
    receipts = len(list(out.glob("positions/*/receipt.json")))
    if not list(out.glob("positions/*/.lock")):
        return "before the first position"
    if receipts >= POSITIONS:
        return "tables and report"
    fresh = [p for p in out.glob("positions/*/stages.json") if p.stat().st_mtime != before.get(str(p))]
    return "within positions, some stages written" if fresh else "within positions"


def victims_of(process: subprocess.Popen[bytes], kind: str, rng: np.random.Generator) -> list[psutil.Process]:
    """Whom to kill: the supervisor, one of the positions' processes, or all that belongs to the run."""
    try:
        main = psutil.Process(process.pid)
        family = main.children(recursive=True)
        if kind == "everything at once":
            return [main, *family]
        if kind == "one position's process":
            deep = [p for p in family if p.parent() is not None and p.parent().pid != main.pid]
            return [deep[rng.integers(len(deep))]] if deep else [main]
    except psutil.Error:
        return []
    return [main]


def kill(victims: list[psutil.Process]) -> int:
    """SIGKILL them; how many were alive."""
    alive = 0
    for p in victims:
        with contextlib.suppress(psutil.NoSuchProcess):
            p.kill()
            alive += 1
    return alive


def one_run(root: Path, out: Path, rng: np.random.Generator, campaign: Campaign, kills: int, workers: int) -> None:
    """Kill one run so many times, then let it end."""
    before: dict[str, float] = {}
    done = 0
    for _ in range(RESUMES_AT_MOST):
        if done >= kills:
            break
        kind = str(rng.choice(["the supervisor", "one position's process", "everything at once"], p=[0.4, 0.3, 0.3]))
        early = rng.random() < 0.2
        before = {str(p): p.stat().st_mtime for p in out.glob("positions/*/stages.json")}
        locks = {p: p.stat().st_mtime for p in out.glob("positions/*/.lock")}
        process = subprocess.Popen(
            command(root, out, "--workers", str(workers)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        if early:
            time.sleep(float(rng.uniform(0.3, 4.0)))
        else:
            wait_for_work(process, out, locks)
            time.sleep(float(rng.exponential(0.25)))
        hit = victims_of(process, kind, rng) if process.poll() is None else []
        when = moment(out, before)
        if len(hit) == 1:  # between two positions there is nobody but the supervisor
            kind = "the supervisor" if hit[0].pid == process.pid else "one position's process"
        if hit and kill(hit):
            done += 1
            campaign.kills += 1
            campaign.victims[kind] += 1
            campaign.moments[when] += 1
        process.wait(timeout=3600)
        if kind == "one position's process" and hit and process.returncode not in (0, 3):
            campaign.faults.append(f"a killed position ended the run with exit code {process.returncode}")
        if process.returncode in (0, 3) and not hit:
            shutil.rmtree(out / "positions", ignore_errors=True)  # it was quicker than the kill: begin again
    end = subprocess.run(command(root, out, "--workers", str(workers)), capture_output=True, check=False)
    if end.returncode != 0:
        campaign.faults.append(f"the last run ended with {end.returncode}: {end.stderr.decode()[-300:]}")


def wait_for_work(process: subprocess.Popen[bytes], out: Path, locks: dict[Path, float]) -> None:
    """Until a process opened a position, or the run ended."""
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if psutil.pid_exists(process.pid) and worked(out, locks):
            return
        time.sleep(0.01)


def worked(out: Path, locks: dict[Path, float]) -> bool:
    """Whether a position's folder changed since."""
    return any(p not in locks or p.stat().st_mtime != locks[p] for p in out.glob("positions/*/.lock")) or any(
        (p.parent / "log.jsonl").exists() and (p.parent / "log.jsonl").stat().st_mtime > max(locks.values(), default=0)
        for p in out.glob("positions/*/.lock")
    )


def review(out: Path) -> bytes:
    """Judge everything in the queue, rejecting every third item; returns the log."""
    results = Results(out)
    with Session.open(results, REVIEWER) as session:
        queue = build_queue(load_queue_tables(results, position_names(results)), session.salt)
        for n, item in enumerate(queue):
            said = "reject" if n % 3 == 0 and item.candidate.call == "event" else "accept"
            session.do(verdict_on(session.position(item.candidate.position), item, said))
    return log_path(out, REVIEWER).read_bytes()


def undisturbed(work: Path, *more: str) -> tuple[Path, dict[str, str], bytes]:
    """The input, the hashes of a calm and reviewed run's tables, and its review log."""
    root, calm = work / "in", work / "calm"
    if not root.exists():
        experiment(root, POSITIONS, frames=FRAMES, sizes=SIZES)
    if not log_path(calm, REVIEWER).exists():
        subprocess.run(command(root, calm, "--workers", "1", *more), check=True, capture_output=True)
        review(calm)
        subprocess.run(command(root, calm, "--workers", "1", *more), check=True, capture_output=True)
    return root, snapshot(calm), log_path(calm, REVIEWER).read_bytes()


def kept(work: Path, engine: str) -> Campaign:
    """A campaign that was begun before, or a new one."""
    path = work / f"{engine}.json"
    if not path.exists():
        return Campaign(engine)
    found = json.loads(path.read_text())
    counters = {name: Counter(found.pop(name)) for name in ("victims", "moments")}
    return Campaign(**found, **counters)


def local(work: Path, kills: int, per_run: int, seed: int, minutes: float) -> Campaign:
    """Kill runs of the local engine; every one must end with the tables of an undisturbed run."""
    root, expected, log = undisturbed(work)
    campaign, begun = kept(work, "local"), time.perf_counter()
    while campaign.kills < kills and time.perf_counter() - begun < 60 * minutes:
        start, rng, out = time.perf_counter(), np.random.default_rng([seed, campaign.runs]), work / "out"
        begin(root, out, log)
        one_run(root, out, rng, campaign, min(per_run, kills - campaign.kills), workers=1 + int(rng.integers(2)))
        check(out, campaign, expected, log)
        keep(work, campaign, start)
    return campaign


def keep(work: Path, campaign: Campaign, start: float) -> None:
    """Write down how far the campaign is."""
    campaign.seconds += time.perf_counter() - start
    (work / f"{campaign.engine}.json").write_text(json.dumps(campaign.as_dict()))
    print(f"{campaign.engine}: {campaign.kills} kills, {campaign.runs} runs, {len(campaign.faults)} faults", flush=True)


def dask(work: Path, kills: int, per_run: int, seed: int, minutes: float) -> Campaign:
    """Kill workers of a dask cluster while they run positions; the nannies bring new ones."""
    from dask import config
    from distributed import LocalCluster

    config.set({"distributed.scheduler.allowed-failures": 1, "distributed.scheduler.worker-saturation": 1.0})
    root, expected, log = undisturbed(work)
    campaign, begun = kept(work, "dask"), time.perf_counter()
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        while campaign.kills < kills and time.perf_counter() - begun < 60 * minutes:
            start, rng, out = time.perf_counter(), np.random.default_rng([seed, campaign.runs]), work / "out_dask"
            begin(root, out, log)
            one_dask_run(root, out, cluster, rng, campaign, min(per_run, kills - campaign.kills))
            check(out, campaign, expected, log)
            keep(work, campaign, start)
    return campaign


def one_dask_run(root: Path, out: Path, cluster: Any, rng: np.random.Generator, campaign: Campaign, kills: int) -> None:
    """Kill workers so many times in one run, which goes on meanwhile; what failed is then taken up again."""
    address, done = cluster.scheduler_address, 0
    for _ in range(RESUMES_AT_MOST):
        if done >= kills:
            break
        process = subprocess.Popen(
            command(root, out, "--dask", address), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        locks = {p: p.stat().st_mtime for p in out.glob("positions/*/.lock")}
        wait_for_work(process, out, locks)
        while process.poll() is None and done < kills:
            time.sleep(float(rng.exponential(1.0)))
            pids = [n.process.pid for n in cluster.workers.values() if n.process is not None and n.process.pid]
            when = moment(out, {})
            if process.poll() is None and pids and kill([psutil.Process(int(rng.choice(pids)))]):
                done += 1
                campaign.kills += 1
                campaign.victims["a worker"] += 1
                campaign.moments[when] += 1
        if process.wait(timeout=3600) not in (0, 3, 4):
            campaign.faults.append(f"a killed worker ended the run with exit code {process.returncode}")
        if done < kills and process.returncode == 0:
            shutil.rmtree(out / "positions", ignore_errors=True)  # it was quicker than the kills: begin again
    end = subprocess.run(command(root, out, "--dask", address), capture_output=True, check=False)
    if end.returncode != 0:
        campaign.faults.append(f"the last run ended with {end.returncode}: {end.stderr.decode()[-300:]}")


def begin(root: Path, out: Path, log: bytes) -> None:
    """A new results folder that already holds the reviewer's corrections."""
    shutil.rmtree(out, ignore_errors=True)
    open_batch(load_experiment(root), out)
    log_path(out, REVIEWER).parent.mkdir()
    log_path(out, REVIEWER).write_bytes(log)


def check(out: Path, campaign: Campaign, expected: dict[str, str], log: bytes) -> None:
    """Everything a run left, held against the undisturbed one."""
    campaign.runs += 1
    found = snapshot(out)
    if found != expected:
        wrong = sorted(n for n in expected.keys() | found.keys() if expected.get(n) != found.get(n))
        campaign.faults.append(f"run {campaign.runs}: {len(wrong)} tables differ, such as {wrong[:4]}")
    if left := half_written(out):
        campaign.faults.append(f"run {campaign.runs}: left {left[:3]}")
    if log_path(out, REVIEWER).read_bytes() != log:
        campaign.faults.append(f"run {campaign.runs}: a review was touched")
