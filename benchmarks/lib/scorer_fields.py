"""Fields on which scorers are compared: simulated with mechanisms and parameters kept out of every fit, run and kept.

An experiment is two fields, one with and one without a drug that only cuts crawling under hosts: each is a null of
its own besides. What a scorer needs is kept (objects, tracks, evidence), so that any scorer can be asked without the
movie; beside it the same evidence measured on the true outlines and tracks (the *oracle*: what is left is the
evidence and the scorer), and the calls of the two ways of ``baselines.py``. Movies are deleted.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from lib.baselines import competent, naive
from lib.scorer_data import position_folders, run_positions

from cicimage.containment.evidence import measure_frame
from cicimage.containment.markers import measure_markers
from cicimage.containment.noise import Noise
from cicimage.experiment import load_experiment
from cicimage.masks import Mask, Masks, decode_runs
from cicimage.methods import Objects
from cicimage.pipeline.detect import Tools
from cicimage.pipeline.measure import measure_objects
from cicimage.pipeline.setting import Setting
from cicimage.recording import Recording, open_recording
from cicimage.simulation.scenarios import HELD_OUT_LABEL, NULL_UNDER
from cicimage.simulation.spec import Scenario
from cicimage.simulation.write import write_experiment
from cicimage.store import Results, read_json

MODALITIES: Final[dict[str, dict[str, Any]]] = {
    "3D 40x/0.95": {"acquisition__na": 0.95, "acquisition__um_per_z": 1.0, "acquisition__slices": 12},
    "3D 20x/0.8": {"acquisition__na": 0.8, "acquisition__um_per_z": 2.0, "acquisition__slices": 7,
                   "acquisition__magnification": 20.0},
    "2D 20x/0.45": {"acquisition__na": 0.45, "acquisition__slices": 1, "acquisition__modality": "widefield",
                    "acquisition__magnification": 20.0, "acquisition__first_slice_um": 3.0,
                    "acquisition__peak_electrons": 400.0, "acquisition__background_e": 4.0},
}  # fmt: skip
MECHANISMS: Final[dict[str, dict[str, Any]]] = {
    "psf": {"acquisition__psf": "born_wolf"},
    "shape": {"hosts__shape": "spindle"},
    "dynamics": {"rates__dynamics": "encounter"},
    "all": {"acquisition__psf": "born_wolf", "hosts__shape": "spindle", "rates__dynamics": "encounter"},
}
"""Never simulated for a fit: scalar diffraction, spindle-shaped hosts, entry decided at encounters."""
KEPT: Final = Path(tempfile.gettempdir()) / "cicimage_benchmarks"
"""Where fields are kept unless another folder is named."""
SIDE_PX: Final = 464
FRAMES: Final = 36
GUESTS: Final = 57


@dataclass(frozen=True)
class Experiment:
    """One pair of fields: its modality, the mechanism held out, the parameter region and the seed."""

    modality: str
    mechanism: str
    region: str
    seed: int
    membrane: bool = False

    @property
    def name(self) -> str:
        """Folder name."""
        label = "membrane-" if self.membrane else ""
        return f"{self.modality.replace(' ', '-').replace('/', '-')}-{label}{self.mechanism}-{self.region}-{self.seed}"


def experiments(modality: str, seeds: range, *, membrane: bool = False) -> list[Experiment]:
    """Mechanisms in turn, usual and edge parameters in turn."""
    names = list(MECHANISMS)
    return [
        Experiment(modality, names[k % len(names)], ("usual", "edge")[k // len(names) % 2], seed, membrane)
        for k, seed in enumerate(seeds)
    ]


def edge_parameters(seed: int) -> dict[str, Any]:
    """Parameters from beyond the ranges that scorers are fitted on (``scorer_data.draw_scenario``)."""
    u = np.random.default_rng((seed, 77)).uniform
    return {
        "rates__entry_min": u(27.0, 40.0), "guests__diameter_um": (u(6.6, 7.0), u(10.1, 10.8)),
        "hosts__mottle": u(0.36, 0.42), "hosts__speed_um_per_min": u(0.52, 0.65), "hosts__vacuoles": u(1.6, 2.2),
        "nuisances__bleed_through": u(0.125, 0.15), "acquisition__read_noise_e": u(3.1, 3.6),
        "nuisances__vignetting": u(0.36, 0.4),
    }  # fmt: skip


def scenario_of(experiment: Experiment) -> Scenario:
    """What is simulated."""
    changes: dict[str, Any] = {
        "name": experiment.name, "design__donors": 1, "design__donor_sd": 0.0, "design__donor_condition_sd": 0.0,
        "design__well_sd": 0.0, "acquisition__size_px": SIDE_PX, "acquisition__frames": FRAMES,
        "guests__count": GUESTS, **MODALITIES[experiment.modality], **MECHANISMS[experiment.mechanism],
    }  # fmt: skip
    if experiment.region == "edge":
        changes |= edge_parameters(experiment.seed)
    if experiment.membrane:
        changes["channels"] = [c.model_dump() for c in HELD_OUT_LABEL.channels]
    return NULL_UNDER.replace(**changes)


def make(experiment: Experiment, work: Path, scenario: Scenario | None = None, *, baselines: bool = True) -> Path:
    """Simulate, run and keep one experiment; one that is kept already is not made again. Returns its results."""
    folder = work / experiment.name
    out, done = work / f"{experiment.name}_out", work / f"{experiment.name}_out" / "kept.json"
    if done.exists():
        return out
    for stale in (folder, out, work / f"{experiment.name}_truth"):
        shutil.rmtree(stale, ignore_errors=True)
    _, truth = write_experiment(scenario or scenario_of(experiment), folder, experiment.seed)
    run_positions(folder, out)
    choices = load_experiment(folder / "experiment.toml").file.choices()
    design = read_json(Results(out).run)["design"]
    for position, place in position_folders(out).items():
        with open_recording(Path(design[position]["path"])) as recording:
            if baselines:
                keep_baselines(recording, out, position)
            cells, evidence = oracle(recording, place, truth / position, choices)
        cells.to_parquet(place / "oracle_links.parquet", index=False)
        evidence.to_parquet(place / "oracle_evidence.parquet", index=False)
        shutil.rmtree(place / "crops", ignore_errors=True)
    for movie in folder.rglob("*.tif"):
        movie.unlink()
    done.write_text(json.dumps({"experiment": experiment.__dict__}))
    return out


def keep_baselines(recording: Recording, out: Path, position: str) -> None:
    """Calls of the naive and the competent way, per frame."""
    results = Results(out)
    key = read_json(results.run)["positions"][position]
    names = list(recording.metadata.channel_names or ())
    host, guest = names.index("Host"), names.index("Guest")
    um, um_z = float(recording.metadata.um_per_px or 1), float(recording.metadata.um_per_z or 1)
    place = out / "positions" / key
    naive(recording, host, guest, um).to_parquet(place / "calls_naive.parquet", index=False)
    if recording.sizes["Z"] > 1:
        calls = competent(recording, results, key, host, um, um_z)
        calls.to_parquet(place / "calls_competent.parquet", index=False)


# ---------------------------------------------------------------- the oracle


def oracle(recording: Recording, place: Path, truth: Path, choices: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables ``cells`` and evidence measured on true outlines, heights and tracks."""
    setting = Setting.from_dict(read_json(place / "setting.json"))
    tools = Tools.of(recording, setting, choices)
    masks = pd.read_parquet(truth / "masks.parquet")
    guests = pd.read_parquet(truth / "guests.parquet")
    shape = (recording.sizes["Y"], recording.sizes["X"])
    cells, evidence = [], []
    for t in range(recording.sizes["T"]):
        image = tools.prepared.corrections.apply(recording.frame(t, setting.channels))
        here = guests[guests["frame"] == t].set_index("guest_id")
        found = _true_objects(masks[masks["frame"] == t], here, shape, flat=recording.sizes["Z"] == 1)
        deaths = _deaths(image, found, tools)
        for name, objects in found.items():
            slot = setting.slot(name)
            table = measure_objects(image[slot], objects, setting.optics.um_per_px, tools.noise(slot))
            signal, fill = deaths.get(name, (np.nan, np.nan))
            cells.append(table.assign(frame=t, population=name, death_signal=signal, death_fill=fill))
        slot = setting.slot("host")
        pairs = measure_frame(
            image[slot], found["guest"], found["host"], optics=setting.optics,
            noise=Noise(tools.noise(slot), float(tools.prepared.background[slot])),
            guest_image=image[setting.slot("guest")],
        )  # fmt: skip
        evidence.append(pairs.assign(frame=t))
    table = pd.concat(cells, ignore_index=True)
    hosts = table["population"] == "host"
    offset = int(table.loc[~hosts, "label"].max()) if (~hosts).any() else 0
    table = table.assign(
        cell_id=table["label"] + np.where(hosts, offset, 0), parent_id=0, observed=True, position=place.name,
        time_h=setting.time_s[table["frame"].to_numpy()] / 3600.0,
    )  # fmt: skip
    return table, pd.concat([e for e in evidence if len(e)], ignore_index=True)


def _true_objects(
    masks: pd.DataFrame, guests: pd.DataFrame, shape: tuple[int, int], *, flat: bool
) -> dict[str, Objects]:
    out = {}
    for name in ("guest", "host"):
        rows = masks[masks["population"] == name]
        if name == "guest":
            rows = rows[rows["label"].isin(guests.index)]
        drawn = [Mask(r.label, r.y0, r.x0, decode_runs(r.runs, (r.h, r.w))) for r in rows.itertuples()]
        nan = np.full(len(drawn), np.nan)
        labels = [m.label for m in drawn]
        deep = name == "guest" and not flat
        z = guests.loc[labels, "z_um"].to_numpy(np.float64) if deep else nan
        extent = guests.loc[labels, "diameter_um"].to_numpy(np.float64) if deep else nan
        out[name] = Objects(Masks(drawn, shape), z, extent)
    return out


def _deaths(image: np.ndarray, found: dict[str, Objects], tools: Tools) -> Any:
    marker = tools.setting.death_marker
    if marker is None:
        return {}
    slot = tools.setting.slot(marker)
    return measure_markers(image[slot], found, noise_sd=tools.noise(slot), um_per_z=tools.setting.optics.um_per_z)
