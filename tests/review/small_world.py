"""A results folder small enough to draw: hosts are squares, guests are discs, stories are strings.

``f`` free, ``t`` on top, ``u`` under, ``i`` inside, ``?`` nothing measured, ``.`` not seen, blank = not there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile

from cicimage.events.hmm import MarkovScorer
from cicimage.experiment import ExperimentFile
from cicimage.experiment.schema import MarkerSection, PopulationSection
from cicimage.fingerprints import fingerprint
from cicimage.mask_store import mask_writer, masks_to_rows
from cicimage.masks import Mask, Masks
from cicimage.methods import Optics
from cicimage.pipeline.judge import judge
from cicimage.pipeline.setting import Setting
from cicimage.store import Results, read_json, write_arrays, write_json, write_table
from cicimage.tables import CELLS, QC, conform, empty
from cicimage.tracking.gaps import fill_gaps

UM, SIDE, RADIUS, STEP_S = 0.5, 96, 4, 300.0
CAP_FLOOR = {"t": (0.0, 1.0), "u": (1.0, 0.0), "i": (1.0, 1.0), "?": (np.nan, np.nan)}


@dataclass(frozen=True)
class World:
    """Guests' stories by cell id with their host; hosts' ids; what else a test may vary."""

    guests: dict[int, tuple[str, int]]
    hosts: tuple[int, ...] = (1, 2)
    parents: dict[int, int] = field(default_factory=dict)
    labels_from: int = 1
    condition: str = "vehicle"
    dead_from: dict[int, int] = field(default_factory=dict)

    @property
    def n_frames(self) -> int:
        return max(len(story) for story, _ in self.guests.values())


STORIES = {
    11: ("fffttiiiiiiiifff", 1),
    12: ("ttttttuuuuuuuutt", 1),
    13: ("ff..tt????????tt", 2),
    14: ("iiiiiiiiiiiiiiii", 2),
    15: ("fffffff", 1),
    16: ("        fffttiii", 2),
}


def world(**changes) -> World:
    return World(**{"guests": STORIES, **changes})


def setting_of(n_frames: int) -> Setting:
    populations = {
        "host": PopulationSection(channel="Host", roles=("host",), diameter_um=(20.0, 60.0)),
        "guest": PopulationSection(channel="Guest", roles=("guest",), diameter_um=(3.0, 6.0)),
    }
    markers = {"death": MarkerSection(channel="Death", kind="pi", reaches_inside=True)}
    return Setting(
        Optics(UM, 1.0, na=0.95, immersion="air", modality="confocal"), np.arange(n_frames) * STEP_S, populations,
        markers, {"host": 0, "guest": 1, "death": 2}, (0, 1, 2), ("Host", "Guest", "Death"), {},
    )  # fmt: skip


def disc(label: int, y: float, x: float, radius: int = RADIUS) -> Mask:
    yy, xx = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return Mask(label, round(y) - radius, round(x) - radius, yy**2 + xx**2 <= radius**2)


def place_of(n: int, frame: int) -> tuple[int, int]:
    return 14 + 14 * (n % 6), 20 + 40 * (n // 6) + frame


def masks_of(w: World, frame: int) -> dict[str, dict[int, Mask]]:
    """Masks by population and cell; labels are numbered anew in every frame, as segmenters do."""
    hosts = {h: Mask(w.labels_from + k, 4, 4 + 44 * k, np.ones((88, 40), bool)) for k, h in enumerate(w.hosts)}
    guests, label = {}, w.labels_from + frame % 3
    for n, (g, (story, _)) in enumerate(w.guests.items()):
        if frame < len(story) and story[frame] not in ". ":
            guests[g] = disc(label, *place_of(n, frame))
            label += 1
    return {"host": hosts, "guest": guests}


def _cell(w: World, frame: int, population: str, cell: int, mask: Mask) -> dict:
    y, x = mask.centroid_px()
    dead = w.dead_from.get(cell, 10**6) <= frame
    return {
        "position": "p", "frame": frame, "time_h": frame * STEP_S / 3600, "population": population, "label": mask.label,
        "cell_id": cell, "parent_id": w.parents.get(cell, 0), "observed": True, "y_um": y * UM, "x_um": x * UM,
        "z_um": 3.0, "area_um2": mask.area_px * UM * UM, "z_extent_um": 5.0, "intensity": 100.0, "snr": 20.0,
        "death_signal": 30.0 if dead else 0.0, "death_fill": 0.9 if dead else 0.0, "touches_border": False,
    }  # fmt: skip


def _pair(frame: int, guest: Mask, host: Mask, letter: str) -> dict:
    cap, floor = CAP_FLOOR[letter]
    ring = {"i": 1.0, "u": 0.1, "t": 0.1, "?": np.nan}[letter]
    bottom, top = {"i": (1.2, 5.0), "u": (0.4, 4.6), "t": (3.2, 3.6), "?": (np.nan, np.nan)}[letter]
    se = 0.02 if letter != "?" else np.inf
    return {
        "frame": frame, "guest_label": guest.label, "host_label": host.label, "footprint_share": 1.0, "gap_um": 0.0,
        "ring_coverage": ring, "cap": cap, "cap_se": se, "floor": floor, "floor_se": se, "void": cap * floor,
        "void_se": 0.02, "z_in_host": 0.5, "host_signal": 40.0, "wall": ring, "wall_se": se,
        "body": np.nan if letter == "?" else 0.0,
        "sharpness": 0.5, "shared_share": 0.0, "cap_um": 3 * cap, "cap_um_se": se, "floor_um": 3 * floor,
        "floor_um_se": se, "beside_um": 3.0, "others_um": 0.0, "ring_lower": ring, "ring_upper": ring,
        "wall_lower": ring, "wall_upper": ring, "edge_lower": 0.8 * ring, "guest_bottom_um": bottom,
        "host_top_um": top,
    }  # fmt: skip


def detect(w: World) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Cells on the movie's clock, and evidence by label."""
    cells, pairs = [], []
    for frame in range(w.n_frames):
        masks = masks_of(w, frame)
        for population, found in masks.items():
            cells += [_cell(w, frame, population, c, m) for c, m in found.items()]
        for g, mask in masks["guest"].items():
            story, host = w.guests[g]
            if story[frame] != "f":
                pairs.append(_pair(frame, mask, masks["host"][host], story[frame]))
    filled = fill_gaps(pd.DataFrame(cells), np.arange(w.n_frames) * STEP_S / 3600)
    cells = conform(CELLS, filled.sort_values(["frame", "cell_id"], kind="stable"))
    return cells, pd.DataFrame(pairs)


def write_position(results: Results, key: str, w: World, detected: str = "d1") -> None:
    folder = results.position(key)
    setting = setting_of(w.n_frames)
    cells, evidence = detect(w)
    drift = pd.DataFrame(
        {"frame": range(w.n_frames), "dy_um": 0.1 * np.arange(w.n_frames), "dx_um": 0.0, "quality": 1.0}
    )
    result = judge(cells.assign(position=key), evidence, drift, setting, MarkovScorer(), 0.0, key)
    for name in ("cells", "pairs", "frames", "events", "guests", "hosts"):
        write_table(folder.table(name), getattr(result, name))
    write_table(folder.table("drift"), drift.assign(position=key))
    write_table(folder.table("qc"), empty(QC))
    with mask_writer(folder.masks, (SIDE, SIDE)) as save:
        for frame in range(w.n_frames):
            rows = []
            for population, found in masks_of(w, frame).items():
                rows += masks_to_rows(frame, population, Masks(list(found.values()), (SIDE, SIDE)))
            save(rows)
    write_json(folder.root / "optics.json", result.optics.as_dict())
    write_json(folder.root / "setting.json", setting.as_dict())
    write_json(folder.stages, {"detect": detected, "link": "l1", "judge": "j1"})
    write_arrays(folder.estimates, {"background": np.zeros(3)})
    recording = {"sizes": {}, "um_per_px": UM, "um_per_z": 1.0, "na": 0.95, "immersion": "air", "modality": "confocal",
                 "interval_s": STEP_S, "channels": {}, "origins": {}}  # fmt: skip
    receipt = {"schema_version": 1, "outcome": "done", "error": "", "missing_frames": {}, "recording": recording}
    write_json(folder.receipt, receipt)


def write_movie(path: Path, w: World, depth: int = 5) -> None:
    """A hyperstack in which hosts are dim sheets and guests bright balls."""
    rng = np.random.default_rng(1)
    movie = rng.normal(100, 2, (w.n_frames, depth, 3, SIDE, SIDE))
    for frame in range(w.n_frames):
        masks = masks_of(w, frame)
        for mask in masks["host"].values():
            movie[frame, 1:4, 0][:, mask.window[0], mask.window[1]] += 60 * mask.pixels
        for mask in masks["guest"].values():
            movie[frame, 2, 1][mask.window] += 200 * mask.pixels
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {
        "axes": "TZCYX",
        "spacing": 1.0,
        "unit": "um",
        "finterval": STEP_S,
        "Labels": ["Host", "Guest", "Death"],
    }
    tifffile.imwrite(
        path, np.clip(movie, 0, 65535).astype(np.uint16), imagej=True, resolution=(1 / UM, 1 / UM), metadata=metadata
    )


def write_results(root: Path, worlds: dict[str, World], detected: str = "d1", *, movies: bool = False) -> Results:
    """Results of one position per world, named ``<condition>/<name>``; with recordings where they are asked for."""
    results = Results(root)
    names = {f"{w.condition}/{name}": w for name, w in worlds.items()}
    keys = {position: f"p{n:04d}" for n, position in enumerate(names, start=1)}
    for position, w in names.items():
        write_position(results, keys[position], w, detected)
    for position, w in names.items():
        if movies:
            write_movie(movie_path(root, position), w)
            folder = results.position(keys[position])
            write_json(folder.receipt, {**read_json(folder.receipt), "input": fingerprint(movie_path(root, position))})
    design = {
        position: {
            "path": str(movie_path(root, position) if movies else root / "nowhere.tif"),
            "condition": w.condition, "replicate": position.split("/")[1],
            "donor": "", "host_donor": "", "experiment": "", "plate": "", "time_zero_h": 0.0, "factors": {},
        }
        for position, w in names.items()
    }  # fmt: skip
    settings = ExperimentFile.model_validate({"experiment": {"reference": next(iter(worlds.values())).condition}})
    made = {"source": "", "program": {"cicimage": "0", "python": "3"}, "packages": {}, "origins": {}}
    run = {**made, "positions": keys, "design": design, "configuration": settings.model_dump(mode="json")}
    write_json(results.run, {"schema_version": 1, **run})
    return results


def movie_path(root: Path, position: str) -> Path:
    return root.parent / "movies" / f"{position}.tif"
