"""Labelled evidence for the Markov scorer: scenarios drawn from the ranges of life, run through the whole pipeline.

Nothing is taken from the simulator but truth: objects are segmented and tracked, evidence is measured, and each
guest found gets the state of the true guest nearest to it.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from cicimage.batch.plan import open_batch
from cicimage.events.timeline import timelines
from cicimage.experiment import load_experiment
from cicimage.methods import Observations
from cicimage.pipeline.judge import observe
from cicimage.pipeline.position import run_position
from cicimage.pipeline.setting import Setting
from cicimage.simulation.scenarios import CXCR4_BLOCKADE
from cicimage.simulation.spec import Channel, Condition, Scenario
from cicimage.simulation.write import write_experiment

REGIMES: Final = ("fine", "coarse", "flat", "plane", "membrane")
FIRST_SEED: Final = 1000
"""Seeds under this one are for accuracy reports and never fitted on."""
NEAR_UM: Final = 3.0


def draw_scenario(regime: str, seed: int) -> Scenario:
    """One scenario of a regime, its parameters drawn from the ranges of live recordings."""
    rng = np.random.default_rng((seed, zlib.crc32(regime.encode())))
    u = rng.uniform
    host = u(50, 80)
    changes: dict[str, Any] = {
        "name": f"fit-{regime}-{seed}", "conditions": [Condition(name="a").model_dump()],
        "design__donors": 1, "design__donor_sd": 0.0, "design__donor_condition_sd": 0.0, "design__well_sd": 0.0,
        "hosts__coverage": u(0.5, 1.3), "hosts__diameter_um": (host, host * u(1.3, 1.9)), "hosts__overlap": u(0.1, 0.4),
        "hosts__lamella_um": (u(0.8, 1.2), u(1.5, 2.2)), "hosts__nucleus_height_um": (u(3.0, 4.0), u(5.0, 6.5)),
        "hosts__vacuoles": u(0.2, 1.5), "hosts__speed_um_per_min": u(0.1, 0.5), "hosts__folds": u(0.0, 0.02),
        "guests__count": int(u(25, 60)), "guests__diameter_um": (u(5.8, 6.5), u(8.0, 10.0)),
        "guests__speed_um_per_min": float(np.exp(u(np.log(1.0), np.log(5.0)))), "guests__sessile_share": u(0.3, 0.6),
        "guests__inside_share": 0.15, "guests__under_share": u(0.15, 0.4), "guests__cluster_share": u(0.0, 0.3),
        "guests__debris": u(0.05, 0.3), "rates__entry_per_contact_h": 0.8, "rates__abort_share": u(0.1, 0.5),
        "rates__entry_min": u(10.0, 25.0), "rates__death_per_h": 0.02,
        "acquisition__size_px": 320, "acquisition__frames": 18,
        "acquisition__interval_min": float(np.exp(u(np.log(2.5), np.log(10.0)))),
        "acquisition__peak_electrons": float(np.exp(u(np.log(50), np.log(600)))),
        "acquisition__read_noise_e": u(1.0, 3.0), "acquisition__axial_blur": u(1.1, 1.5),
        "nuisances__bleed_through": u(0.01, 0.12), "nuisances__bleaching": u(0.0, 0.3),
        "nuisances__drift_um": u(0.0, 0.3),
        "nuisances__vignetting": u(0.05, 0.35), "guests__mottle": u(0.05, 0.25), "hosts__mottle": u(0.1, 0.35),
        "nuisances__focus_drift_um": u(0.05, 0.3),
    }  # fmt: skip
    changes |= _optics(regime, rng)
    if regime == "membrane":
        host = Channel(name="Host", sources={"host_membrane": 5.0})
        changes["channels"] = [host.model_dump(), *(c.model_dump() for c in CXCR4_BLOCKADE.channels[1:])]
    return CXCR4_BLOCKADE.replace(**changes)


def _optics(regime: str, rng: np.random.Generator) -> dict[str, Any]:
    u = rng.uniform
    if regime in ("fine", "membrane"):
        oil = rng.random() < 0.25
        step = u(0.8, 1.3)
        return {
            "acquisition__na": 1.3 if oil else u(0.9, 0.95), "acquisition__immersion": "oil" if oil else "air",
            "acquisition__um_per_z": step, "acquisition__slices": int(np.ceil(u(11.0, 14.0) / step)),
            "acquisition__um_per_px": u(0.4, 0.7), "acquisition__first_slice_um": u(-1.5, -0.5),
        }  # fmt: skip
    if regime == "coarse":
        step = u(1.4, 2.2)
        return {
            "acquisition__na": u(0.75, 0.85), "acquisition__um_per_z": step,
            "acquisition__slices": int(np.ceil(u(11.0, 15.0) / step)), "acquisition__um_per_px": u(0.5, 0.8),
            "acquisition__first_slice_um": u(-2.0, -0.5),
        }  # fmt: skip
    if regime == "plane":
        return {
            "acquisition__na": u(0.45, 0.95), "acquisition__slices": 1, "acquisition__um_per_px": u(0.4, 0.8),
            "acquisition__first_slice_um": u(1.0, 3.0), "acquisition__size_px": 420,
        }  # fmt: skip
    return {
        "acquisition__modality": "widefield", "acquisition__na": u(0.4, 0.55), "acquisition__slices": 1,
        "acquisition__um_per_px": u(0.5, 0.8), "acquisition__first_slice_um": u(1.5, 4.5),
        "acquisition__background_e": u(1.0, 6.0), "acquisition__size_px": 420,
    }  # fmt: skip


def collect(scenario: Scenario, seed: int, work: Path) -> pd.DataFrame:
    """Simulate, run and label one scenario; kept in ``work`` so that a second call reads it."""
    kept = work / f"{scenario.name}_{seed}.parquet"
    if not kept.exists():
        folder, out = work / scenario.name, work / f"{scenario.name}_out"
        _, truth = write_experiment(scenario, folder, seed)
        run_positions(folder, out)
        label_run(out, truth).to_parquet(kept, index=False)
    return pd.read_parquet(kept)


def run_positions(folder: Path, out: Path) -> None:
    """Run every position of a folder in this process; tables across positions are not made."""
    for job in open_batch(load_experiment(folder / "experiment.toml"), out).jobs:
        receipt = run_position(job, lambda *_: None)
        if receipt["outcome"] != "done":
            raise RuntimeError(f"{job.position.position}: {receipt['error']}")


def position_folders(out: Path) -> dict[str, Path]:
    """Folder of every position of a run by its name."""
    index = json.loads((out / "run.json").read_text(encoding="utf-8"))["positions"]
    return {name: out / "positions" / key for name, key in index.items()}


def observations_of(folder: Path) -> Observations:
    """What the scorer of a finished position saw."""
    cells, pairs, drift = (pd.read_parquet(folder / f"{t}.parquet") for t in ("cells", "pairs", "drift"))
    setting = Setting.from_dict(json.loads((folder / "setting.json").read_text(encoding="utf-8")))
    return observe(cells, pairs, drift, setting, setting.time_s / 3600.0)


def label_run(out: Path, truth: Path) -> pd.DataFrame:
    """Evidence of every pair of a run with the truth of its guest (columns ``t_...``)."""
    parts = []
    for name, folder in position_folders(out).items():
        seen = observations_of(folder)
        labels = match_guests(seen.frames, pd.read_parquet(truth / name / "guests.parquet"))
        speeds = pd.concat([
            pd.DataFrame({"frame": line.frame, "guest_id": line.guest_id, "speed_um_per_min": line.speed_um_per_min})
            for line in timelines(seen)
        ])  # fmt: skip
        pairs = seen.pairs.merge(speeds, on=["frame", "guest_id"])
        parts.append(pairs.merge(labels, on=["frame", "guest_id"]).assign(movie=name))
    return pd.concat(parts, ignore_index=True)


def match_guests(frames: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """Give each guest found the truth (``t_...``) of the true guest nearest to it, frame by frame."""
    rows = []
    truth = truth.reset_index(drop=True)
    by_frame = dict(list(truth.groupby("frame")))
    for frame, found in frames[frames["observed"]].groupby("frame"):
        true = by_frame.get(frame)
        if true is None:
            continue
        apart = np.hypot(
            found["y_um"].to_numpy()[:, None] - true["y_um"].to_numpy(),
            found["x_um"].to_numpy()[:, None] - true["x_um"].to_numpy(),
        )
        if found["z_um"].notna().any():
            apart = np.hypot(apart, 0.5 * np.nan_to_num(found["z_um"].to_numpy()[:, None] - true["z_um"].to_numpy()))
        i, j = linear_sum_assignment(np.minimum(apart, 50.0))
        ok = apart[i, j] <= NEAR_UM
        rows.append(pd.DataFrame({"frame": frame, "guest_id": found["guest_id"].to_numpy()[i[ok]],
                                  "row": true.index.to_numpy()[j[ok]]}))  # fmt: skip
    matched = pd.concat(rows, ignore_index=True)
    return pd.concat([matched, truth.loc[matched["row"]].reset_index(drop=True).add_prefix("t_")], axis=1)
