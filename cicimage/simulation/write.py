"""Writes a simulated experiment as an input folder, and its truth beside it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from cicimage.errors import ConfigurationError
from cicimage.forks import MOST_WAITED_FOR, children_ignore_interrupts, ignore_interrupts
from cicimage.masks import encode_runs
from cicimage.simulation.field import SimulatedField, simulate_field
from cicimage.simulation.layout import FieldPlan, experiment_toml, layout_csv, plan_fields
from cicimage.simulation.ome import write_ome_tiff
from cicimage.simulation.ome_zarr import write_ome_zarr
from cicimage.simulation.spec import Scenario
from cicimage.simulation.truth import host_fates, joined
from cicimage.tables import DRIFT, SCHEMA_VERSION, conform

FrameProgress = Callable[[str, int, int], None]
"""Called with the position, frames done and frames in all."""

TRUTH_SUFFIX: Final = "_truth"
WRITERS: Final[Mapping[str, Callable[..., None]]] = {".ome.tif": write_ome_tiff, ".ome.zarr": write_ome_zarr}
"""Writer of a movie by the suffix of its name."""


def write_experiment(
    scenario: Scenario,
    out_folder: str | Path,
    seed: int = 0,
    *,
    workers: int = 1,
    progress: FrameProgress | None = None,
    suffix: str = ".ome.tif",
) -> tuple[Path, Path]:
    """Simulate an experiment and write it.

    Parameters
    ----------
    scenario : Scenario
        What to simulate.
    out_folder : path
        Gets experiment.toml, layout.csv and one OME-TIFF per field; ``<out_folder>_truth`` gets the truth.
    seed : int
        The same seed gives the same bytes.
    workers : int
        Fields simulated at a time, each in a process of its own.
    progress : callable, optional
        Called with (position, frames done, frames) after every frame; with several workers after every field.
    suffix : str
        Format of the movies, one of :data:`WRITERS`.

    Returns
    -------
    (pathlib.Path, pathlib.Path)
        The experiment's folder and the truth's.

    Raises
    ------
    ConfigurationError
        The folder holds files that this simulation would not write.
    """
    out = Path(out_folder)
    truth = out.with_name(out.name + TRUTH_SUFFIX)
    plans = plan_fields(scenario, seed)
    _refuse_foreign(out, truth, plans, suffix)
    out.mkdir(parents=True, exist_ok=True)
    truth.mkdir(parents=True, exist_ok=True)
    (out / "layout.csv").write_text(layout_csv(plans), encoding="utf-8", newline="\n")
    realised = {}
    for plan, counts in _run(scenario, out, truth, seed, plans, workers, progress, suffix):
        realised[plan.position] = counts
    summary = {
        "schema_version": SCHEMA_VERSION, "seed": seed, "scenario": scenario.model_dump(mode="json"),
        "positions": {p.position: realised[p.position] for p in plans}, "conditions": _by_condition(plans, realised),
    }  # fmt: skip
    _write_json(truth / "scenario.json", summary)
    # last: a folder with an experiment file is complete
    experiment = experiment_toml(scenario, objective=suffix == ".ome.zarr")
    (out / "experiment.toml").write_text(experiment, encoding="utf-8", newline="\n")
    return out, truth


def _refuse_foreign(out: Path, truth: Path, plans: list[FieldPlan], suffix: str) -> None:
    """Refuse a folder that holds files this simulation would not write."""
    own = {out / "experiment.toml", out / "layout.csv", *(out / f"{p.position}{suffix}" for p in plans)}
    foreign = sorted(p for p in out.rglob("*") if p.is_file() and own.isdisjoint((p, *p.parents)))
    if not foreign and (out / "experiment.toml").exists() and not (truth / "scenario.json").exists():
        foreign = [out / "experiment.toml"]
    if foreign:
        raise ConfigurationError(
            f"{out}: a simulation is written into a folder of its own, this one holds {foreign[0].relative_to(out)}; "
            "name another folder"
        )


def _run(
    scenario: Scenario, out: Path, truth: Path, seed: int, plans: list[FieldPlan], workers: int,
    progress: FrameProgress | None, suffix: str,
) -> Iterator[tuple[FieldPlan, dict[str, Any]]]:  # fmt: skip
    if workers <= 1:
        for plan in plans:
            yield plan, write_field(scenario, plan, out, truth, seed, progress, suffix)
        return
    with children_ignore_interrupts():
        pool = ProcessPoolExecutor(
            min(workers, MOST_WAITED_FOR or workers), mp_context=get_context("spawn"), initializer=ignore_interrupts
        )
        futures = [pool.submit(write_field, scenario, plan, out, truth, seed, None, suffix) for plan in plans]
    try:
        for plan, future in zip(plans, futures, strict=True):
            counts = future.result()
            if progress is not None:
                progress(plan.position, scenario.acquisition.frames, scenario.acquisition.frames)
            yield plan, counts
    except BaseException:  # a field takes minutes, and an interrupt must not wait for it
        pool.shutdown(wait=False, cancel_futures=True)
        for process in active_children():
            process.terminate()
        raise
    pool.shutdown()


def write_field(
    scenario: Scenario,
    plan: FieldPlan,
    out: Path,
    truth: Path,
    seed: int,
    progress: FrameProgress | None = None,
    suffix: str = ".ome.tif",
) -> dict[str, Any]:
    """Simulate one field and write its movie and truth.

    Parameters
    ----------
    scenario : Scenario
        What to simulate.
    plan : FieldPlan
        Condition, names and random effects of the field.
    out, truth : pathlib.Path
        Folder of the experiment and of its truth.
    seed : int
        Seed of the experiment.
    progress : callable, optional
        Called with (position, frames done, frames) after every frame.
    suffix : str
        Format of the movie, one of :data:`WRITERS`.

    Returns
    -------
    dict
        Counts of :func:`realised_counts`.
    """
    cv2.setNumThreads(1)
    field = simulate_field(
        scenario, seed, plan.condition, log_effect=plan.log_effect, position=plan.position, stream=plan.stream
    )
    movie, folder = out / f"{plan.position}{suffix}", truth / plan.position
    movie.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    parts: dict[str, list[pd.DataFrame]] = {"guests": [], "hosts": [], "decoys": []}
    masks: list[dict[str, Any]] = []

    def frames() -> Iterator[npt.NDArray[np.uint16]]:
        for t in range(field.n_frames):
            yield field.frame(t)
            parts["guests"].append(field.guests_in(t))
            parts["hosts"].append(field.hosts_in(t))
            parts["decoys"].append(field.decoys_in(t))
            masks.extend(_mask_rows(field, t))
            if progress is not None:
                progress(plan.position, t + 1, field.n_frames)

    WRITERS[suffix](movie, plan.position, frames(), scenario.acquisition, field.channels)
    tables = {name: joined(listed) for name, listed in parts.items()}
    for name, table in {**tables, "masks": pd.DataFrame(masks), "drift": _drift_table(field)}.items():
        table.to_parquet(folder / f"{name}.parquet", index=False, compression="zstd")
    fates = host_fates(field)
    if len(fates):
        fates.to_csv(folder / "hosts.csv", index=False, lineterminator="\n", float_format="%.6f")
    events = field.events
    for name, value in (("donor", plan.donor), ("replicate", plan.well), ("condition", plan.condition),
                        ("position", plan.position)):  # fmt: skip
        events.insert(0, name, value)
    events.to_csv(folder / "events.csv", index=False, lineterminator="\n", float_format="%.6f")
    counts = realised_counts(tables["guests"], events, field)
    _write_json(folder / "scenario.json", {"schema_version": SCHEMA_VERSION, "seed": seed, **counts})
    return counts


def realised_counts(guests: pd.DataFrame, events: pd.DataFrame, field: SimulatedField) -> dict[str, Any]:
    """Count the person-time by location and the events in view of one field.

    Parameters
    ----------
    guests : pandas.DataFrame
        Guests of all frames, as :func:`cicimage.simulation.truth.guests` makes them.
    events : pandas.DataFrame
        The field's table of events.
    field : SimulatedField
        The field.

    Returns
    -------
    dict
        Hours of guests that are not dead (h), by location and by kind of contact, counts of events, and the true entry
        rate per contact-hour.
    """
    interval_h = field.scenario.acquisition.interval_min / 60.0
    hours, how = _hours(guests, "location", interval_h), {}
    if len(guests):
        how = _hours(guests[guests["location"] == "attached"], "contact", interval_h)
    seen = events[events["in_view"] & (events["excluded_reason"] == "")]
    return {
        "condition": field.condition.name,
        "log_effect": field.log_effect,
        "true_entry_rate_per_contact_h": field.scenario.rates.entry_per_contact_h
        * field.condition.entry * float(np.exp(field.log_effect)),
        "hours_alive": hours,
        "hours_attached": how,
        "entries": int((seen["entry_h"].notna()).sum()),
        "entries_brief": int(seen["brief"].sum()),
        "aborted": int((seen["end_reason"] == "aborted").sum()),
        "escapes": int((seen["end_reason"] == "escape").sum()),
        "prevalent": int(seen["prevalent"].sum()),
        "deaths_inside": int((seen["end_reason"] == "death").sum()),
        "guests": int(guests["guest_id"].nunique()) if len(guests) else 0,
    }  # fmt: skip


def _hours(guests: pd.DataFrame, by: str, interval_h: float) -> dict[str, float]:
    """Hours of guests that are not dead, by the values of a column."""
    if not len(guests):
        return {}
    alive = guests[guests["viability"] != "dead"]
    return {str(k): round(float(n) * interval_h, 6) for k, n in alive[by].value_counts().sort_index().items()}


def _by_condition(plans: list[FieldPlan], realised: dict[str, dict[str, Any]]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for plan in plans:
        counts = realised[plan.position]
        total = out.setdefault(plan.condition, {"entries": 0, "hours_outside_alive": 0.0, "hours_inside_alive": 0.0})
        total["entries"] += counts["entries"]
        for location, hours in counts["hours_alive"].items():
            total["hours_inside_alive" if location == "inside" else "hours_outside_alive"] += hours
    for total in out.values():
        total["entry_rate_per_guest_h"] = total["entries"] / max(total["hours_outside_alive"], 1e-9)
    return out


def _mask_rows(field: SimulatedField, frame: int) -> Iterator[dict[str, Any]]:
    for population, masks in field.masks_in(frame).items():
        for mask in masks:
            h, w = mask.pixels.shape
            yield {
                "frame": frame, "population": population, "label": mask.label, "y0": mask.y0, "x0": mask.x0,
                "h": h, "w": w, "runs": encode_runs(mask.pixels),
            }  # fmt: skip


def _drift_table(field: SimulatedField) -> pd.DataFrame:
    return conform(DRIFT, pd.DataFrame({
        "position": field.position, "frame": np.arange(field.n_frames), "dy_um": field.drift_um[:, 0],
        "dx_um": field.drift_um[:, 1], "quality": 1.0, "dz_um": field.focus_um, "defocused": field.defocused,
    }))  # fmt: skip


def _write_json(path: Path, data: dict[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=1, sort_keys=False) + "\n", encoding="utf-8", newline="\n")
