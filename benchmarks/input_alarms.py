"""Alarms of the input checks: none on sound movies, and faults said from the strength on that moves a rate.

    python benchmarks/input_alarms.py [--parts sound presets power given] [--movies 220] [--seed 1000] [--minutes 60]

Every movie is simulated, looked at as `cicimage check` does and run as `cicimage run` does; each is one row of a CSV
in ``--work``, so that what was cut off goes on from there, and all CSVs of one kind there make one page. *sound*:
variants of the presets, slow and fast cells, 2D and 3D, 8, 12 and 16 bits, crowded and nearly empty, bleaching and
drifting. *presets*: each preset in a small field. *power*: an experiment of ten movies, again and again with one fault
in it of a given strength; how many movies say it, and how far the rate moves. *given*: the sample data and, where
``CICIMAGE_TEST_DATA`` names the folder, real recordings.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import pandas as pd
import tifffile
from lib.alarm_movies import (
    FAULTS,
    SUBFRAMES,
    Fault,
    Sound,
    exposed,
    read_movie,
    small,
    sound_movie,
    write_movie,
)
from lib.alarm_page import page
from lib.prose import hand_written
from scipy.spatial import cKDTree

from cicimage.cli.findings import check_experiment
from cicimage.errors import CicimageError
from cicimage.experiment import ExperimentFile, Position, load_experiment
from cicimage.findings import Finding
from cicimage.pipeline.channel_check import look_at_channels
from cicimage.pipeline.job import Job
from cicimage.pipeline.position import run_position
from cicimage.receipts import read_receipt
from cicimage.simulation.scenarios import PRESETS
from cicimage.simulation.write import write_experiment

HERE: Final = Path(__file__).parent
RESULTS: Final = HERE / "results" / "input_alarms.md"
ROOT: Final = HERE.parent
PARTS: Final = ("sound", "presets", "power", "given")
UNSET: Final = {"host": None, "guest": None, "death": None, "series": None}
_TWO: Final = {"channels": {"host": 0, "guest": 1}}
_BOTH: Final = {"populations": {"cells": {"channel": 0, "roles": ["host", "guest"], "diameter_um": [8, 40]}}}
REAL: Final = (
    ("imagej_mitosis_2ch", "imagej_mitosis_2ch/C*-MAX_mitosis.tif",
     {**_TWO, "files": {"axes": "TCYX"}, "optics": {"um_per_px": 0.0885, "frame_interval_s": 1.0}}),
    ("cancer_cell_migration", "cancer_cell_migration/cancer_cell_migration_crop.tif",
     {**_BOTH, "files": {"axes": "TYX"}, "optics": {"um_per_px": 0.65, "frame_interval_s": 300.0}}),
    ("usiigaci_T98G", "usiigaci_T98G_timelapse/raw/20180101ef002xy01t{t}.tif",
     {**_BOTH, "optics": {"um_per_px": 0.65, "frame_interval_s": 600.0}}),
    ("celldetective_adcc", "celldetective_adcc/adcc/images/Aligned_after_1_MMStack_7-Pos_000_001_1_0_1.tif",
     {"channels": {"host": 3, "guest": 2, "death": 1}, "files": {"axes": "CYX"},
      "optics": {"um_per_px": 0.3112, "frame_interval_s": 60.0}}),
    ("nd2 cerevisiae", "nd2_arcadia/example-cerevisiae.nd2", {**_TWO, "optics": {"frame_interval_s": 60.0}}),
    ("nd2 multichannel", "nd2_arcadia/example-multichannel.nd2",
     {"channels": {"host": "FITC BP", "guest": "DAPI"}, "optics": {"frame_interval_s": 60.0}}),
    ("nd2 pbmc", "nd2_arcadia/example-pbmc.nd2",
     {"channels": {"host": "FITC BP", "guest": "DAPI"}, "optics": {"frame_interval_s": 60.0}}),
    ("nd2 timelapse", "nd2_arcadia/example-timelapse.nd2", _BOTH),
    ("nd2 zstack", "nd2_arcadia/example-zstack.nd2", {**_BOTH, "optics": {"frame_interval_s": 60.0}}),
    ("nd2 cluster", "nd2_arcadia/pims_cluster.nd2", _TWO),
    ("metamorph nd", "metamorph_imagexpress/metamorph_nd/data/sample_3ch_2pos_mixed-z.nd",
     {**_TWO, "files": {"series": 0}, "optics": {"um_per_px": 0.2, "frame_interval_s": 60.0}}),
    ("lif xz", "lif_readlif/xz-example/xz-example.lif",
     {**_TWO, "files": {"series": 0}}),
    ("czi scenes", "czi_permissive/xyz__multiple_images.czi",
     {**_BOTH, "files": {"series": 0}, "optics": {"frame_interval_s": 60.0}}),
)  # fmt: skip
"""Real recordings: name, path in the folder of test data, settings. Roles are named at will: no truth is known."""
DONORS, WELLS = 5, 2
RATE: Final = "entry_rate_per_guest_h"


def check_and_run(folder: Path, out: Path) -> dict[str, Any]:
    """Findings of check and of a run of one recording, and the CPU seconds of both."""
    started, said = time.process_time(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()):
        check_experiment(folder, True, UNSET)
    checked = time.process_time()
    experiment = load_experiment(folder, {})
    job = Job("p0000", experiment.positions[0], experiment.file, out)
    receipt = run_position(job, lambda *_: None, look_ahead=False)
    return {
        **told(json.loads(said.getvalue()), receipt), "check_s": round(checked - started, 3),
        "run_s": round(time.process_time() - checked, 3),
    }  # fmt: skip


def told(before: list[dict[str, str]], receipt: Mapping[str, Any]) -> dict[str, str]:
    """Codes of check and run as one text each, and the sentences."""
    after = receipt.get("findings", [])
    sentences = dict.fromkeys(f"{f['code']}: {f['where']} {f['value']}" for f in (*before, *after))
    return {
        "name": "", "outcome": receipt["outcome"], "error": receipt["error"],
        "check": " ".join(sorted({f"{f['code']}:{f['severity']}" for f in before})),
        "run": " ".join(sorted({f"{f['code']}:{f['severity']}" for f in after})),
        "said": " | ".join(sentences),
    }  # fmt: skip


def true_motion(truth: Path) -> dict[str, float]:
    """True steps of guests between frames (median and upper quartile) and the distance to the next guest, um."""
    guests = pd.read_parquet(next(truth.rglob("guests.parquet")))
    if not len(guests):
        return {"step_um": float("nan"), "long_step_um": float("nan"), "spacing_um": float("nan")}
    ordered = guests.sort_values(["guest_id", "frame"])
    moved = ordered.groupby("guest_id")[["y_um", "x_um"]].diff()
    steps = np.hypot(moved["y_um"], moved["x_um"]).dropna()
    nearest = []
    for _, part in guests.groupby("frame"):
        if len(part) > 1:
            at = part[["y_um", "x_um"]].to_numpy(np.float64)
            nearest.append(cKDTree(at).query(at, k=2)[0][:, 1])
    return {
        "step_um": float(steps.median()), "long_step_um": float(steps.quantile(0.75)),
        "spacing_um": float(np.median(np.concatenate(nearest))) if nearest else float("nan"),
    }  # fmt: skip


def bleed_left(out: Path, true: float) -> float:
    """Share of the guest channel in the hosts' that the correction left there."""
    if not (out / "estimates.npz").exists():
        return float("nan")
    with np.load(out / "estimates.npz") as kept:
        return true - float(kept["bleed_through"][0, 1]) if "bleed_through" in kept else true


def one_sound(movie: Sound) -> dict[str, Any]:
    """Simulate, check and run one movie."""
    with tempfile.TemporaryDirectory() as work:
        folder, out = Path(work) / "in", Path(work) / "out"
        _, truth = write_experiment(movie.scenario, folder, movie.seed)
        (path,) = folder.rglob("*.ome.tif")
        if movie.bits != 16 or movie.marker_every > 1:
            pixels, text = read_movie(path)
            write_movie(path, exposed(pixels, movie.bits, movie.marker_every), text)
        motion = true_motion(truth)
        found = check_and_run(folder, out)
        left = bleed_left(out, movie.scenario.nuisances.bleed_through)
    return {"name": "", "seed": movie.seed, **movie.facts, **motion, "bleed_left": left, **found}


class Rows:
    """A CSV that grows by one row at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def table(self) -> pd.DataFrame:
        """All rows so far."""
        return pd.read_csv(self.path, keep_default_na=False) if self.path.exists() else pd.DataFrame()

    def names(self) -> set[str]:
        """Names of the rows so far."""
        table = self.table()
        return set(table["name"]) if len(table) else set()

    def add(self, row: dict[str, Any]) -> None:
        """Append a row."""
        pd.DataFrame([row]).to_csv(self.path, mode="a", header=not self.path.exists(), index=False)


# ---------------------------------------------------------------- power


def power_scenario() -> Any:
    """Ten movies of one condition: five donors, two wells each, in time steps fine enough for a late channel."""
    base = small("sample", 22)
    return base.replace(
        design__donors=DONORS, design__wells_per_donor=WELLS, acquisition__size_px=150, acquisition__slices=6,
        acquisition__um_per_z=2.0, guests__count=18, rates__entry_per_contact_h=0.3,
    )  # fmt: skip


def base_movies(work: Path, seed: int) -> Path:
    """Simulate the ten movies in fine steps once."""
    folder = work / "power"
    if not (folder / "experiment.toml").exists():
        shutil.rmtree(folder, ignore_errors=True)
        scenario = power_scenario()
        a = scenario.acquisition
        fine = scenario.replace(
            acquisition__frames=SUBFRAMES * a.frames, acquisition__interval_min=a.interval_min / SUBFRAMES
        )
        write_experiment(fine, folder, seed)
    return folder


def power_runs(seed: int) -> Iterator[tuple[str, Fault | None, float]]:
    """Runs of the campaign by name: without a fault first."""
    yield f"none #{seed}", None, 0.0
    for fault in FAULTS:
        for strength in fault.strengths:
            yield f"{fault.name} {strength:g} #{seed}", fault, strength


def one_power(work: Path, seed: int, fault: Fault | None, strength: float) -> dict[str, Any]:
    """Run the ten movies with a fault and read the rate."""
    with tempfile.TemporaryDirectory() as kept:
        folder, out = Path(kept) / "in", Path(kept) / "out"
        if fault is not None and fault.make is None:
            scenario = power_scenario().replace(nuisances__dye_transfer=10.0, nuisances__dye_transfer_max=strength)
            write_experiment(scenario, folder, seed)
        else:
            _spoil(base_movies(work, seed), folder, fault, strength, seed)
        command = [sys.executable, "-m", "cicimage", "run", str(folder), "-o", str(out), "--workers",
                   "1"]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True)
        receipts = [read_receipt(p) for p in sorted(out.rglob("receipt.json"))]
        rates = pd.read_parquet(out / "rates.parquet")
    wanted = rates[rates["estimand"] == RATE]
    row = wanted.iloc[0] if len(wanted) else pd.Series(dtype=float)
    codes = [{f["code"]: f["severity"] for f in r.get("findings", [])} for r in receipts]
    said = [c for c in codes if fault is not None and set(fault.codes) & set(c)]
    return {
        "name": "", "fault": fault.name if fault else "none", "strength": strength,
        "movies": len(receipts), "said": len(said),
        "severity": " ".join(sorted({c[k] for c in said for k in c if k in fault.codes})) if fault else "",
        "others": " ".join(sorted({k for c in codes for k in c if fault is None or k not in fault.codes})),
        "rate": row.get("estimate", np.nan), "low": row.get("ci_low", np.nan), "high": row.get("ci_high", np.nan),
        "events": row.get("events", np.nan), "exposure_h": row.get("exposure_h", np.nan),
    }  # fmt: skip


def _spoil(base: Path, folder: Path, fault: Fault | None, strength: float, seed: int) -> None:
    """The movies in their own time steps, with a fault in each."""
    shutil.copytree(base, folder, ignore=shutil.ignore_patterns("*.ome.tif"))
    interval = power_scenario().acquisition.interval_min * 60.0
    for i, path in enumerate(sorted(base.rglob("*.ome.tif"))):
        fine, text = read_movie(path)
        steps = text.split('TimeIncrement="')[1].split('"')[0]
        text = text.replace(f'TimeIncrement="{steps}"', f'TimeIncrement="{interval:g}"')
        rng = np.random.default_rng([seed, i])
        usual = fine[SUBFRAMES * np.arange(len(fine) // SUBFRAMES - 2)]
        if fault is None or fault.make is None:
            spoilt = usual
        else:
            spoilt = fault.make(fine if fault.name == "guest channel late" else usual, strength, rng)
        target = folder / path.relative_to(base)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_movie(target, spoilt, text)


# ---------------------------------------------------------------- recordings that are given


def one_given(position: Position, file: ExperimentFile) -> dict[str, Any]:
    """Look at a recording and run it; it is read where it lies."""
    with tempfile.TemporaryDirectory() as work:
        if "*" in position.path.name:
            position = replace(position, path=_stacked(position.path, Path(work) / "stacked.tif"))
        job = Job("p0000", position, file, Path(work) / "out")
        try:
            before = [f.as_dict() for f in look_at_channels(job)]
        except CicimageError as error:
            before = [Finding("recording_refused", "unresolved", "", str(error), "").as_dict()]
        return told(before, run_position(job, lambda *_: None, look_ahead=False))


def _stacked(pattern: Path, path: Path) -> Path:
    """Movies with one channel each as one file of (T, C, Y, X)."""
    movies = [tifffile.imread(p) for p in sorted(pattern.parent.glob(pattern.name))]
    tifffile.imwrite(path, np.stack(movies, axis=1), photometric="minisblack")
    return path


def given() -> Iterator[tuple[str, Position, ExperimentFile]]:
    """Recordings of the sample data, then real ones."""
    for folder in ("cxcr4_blockade", "btki_2d"):
        experiment = load_experiment(ROOT / "sample_data" / folder, {})
        for position in experiment.positions:
            yield f"sample_data/{folder}/{position.position}", position, experiment.file
    real = os.environ.get("CICIMAGE_TEST_DATA", "")
    if not real:
        return
    for name, path, settings in REAL:
        yield name, Position(name, Path(real) / path, "", ""), ExperimentFile.model_validate(settings)


# ---------------------------------------------------------------- what is to be done


Made = Callable[[], dict[str, Any]]


def asked_for(part: str, movies: int, seed: int, work: Path) -> Iterator[tuple[str, Made]]:
    """Rows of a part by name, each with what makes it."""
    if part == "sound":
        for index in range(movies):
            movie = sound_movie(index, seed)
            yield f"{movie.name} {seed}", partial(one_sound, movie)
    elif part == "presets":
        for preset in PRESETS:
            yield f"{preset} {seed}", partial(one_sound, Sound(preset, small(preset), seed))
    elif part == "power":
        for name, fault, strength in power_runs(seed):
            yield name, partial(one_power, work, seed, fault, strength)
    elif part == "given":
        for name, position, file in given():
            yield name, partial(one_given, position, file)


def campaign(parts: list[str], movies: int, seed: int, work: Path, until: float) -> None:
    """Do what is not yet done, as long as time is left."""
    for part in parts:
        rows = Rows(work / f"{part}.csv")
        done = rows.names()
        for name, made in asked_for(part, movies, seed, work):
            if name not in done and time.monotonic() < until:
                rows.add({**made(), "name": name})


def main() -> None:
    """Run the campaign and write its page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="*", default=list(PARTS))
    parser.add_argument("--movies", type=int, default=220)
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--work", type=Path, default=HERE / "work" / "input_alarms")
    chosen = parser.parse_args()
    cv2.setNumThreads(1)
    campaign(chosen.parts, chosen.movies, chosen.seed, chosen.work, time.monotonic() + 60.0 * chosen.minutes)
    chosen.out.write_text(page(chosen.work, hand_written("input_alarms")), encoding="utf-8")


if __name__ == "__main__":
    main()
