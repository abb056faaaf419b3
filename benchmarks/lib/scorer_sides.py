"""Kept fields (``scorer_fields.py``) scored by any scorer and put beside their truth, many experiments at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from lib.baselines import as_measured
from lib.scorer_data import position_folders

from cicimage.evaluation.load import load_truth
from cicimage.evaluation.sides import Measured, Truth
from cicimage.methods import Choice
from cicimage.pipeline.collect import layout_of
from cicimage.pipeline.judge import judge
from cicimage.pipeline.setting import Setting
from cicimage.statistics.rates import compute_rates
from cicimage.store import read_json, read_table
from cicimage.tables import EVENTS, FRAMES, GUESTS, HOSTS, TABLES, conform, empty

HYSTERESIS: Final = Choice("hysteresis")
MARKOV: Final = Choice("markov")
_BASE: Final = {"frames": FRAMES, "events": EVENTS, "guests": GUESTS, "hosts": HOSTS}


def load_truths(outs: Iterable[Path]) -> Truth:
    """The truth of several experiments, positions named ``<experiment>|<position>``."""
    parts = []
    for out in outs:
        truth = load_truth(out.with_name(out.name.removesuffix("_out") + "_truth"))
        name = out.name.removesuffix("_out")
        tables = {n: _named(getattr(truth, n), name) for n in ("frames", "events", "hosts", "decoys")}
        parts.append(replace(truth, **tables, clock_h={f"{name}|{p}": c for p, c in truth.clock_h.items()}))
    joined = {
        n: pd.concat([getattr(p, n) for p in parts], ignore_index=True)
        for n in ("frames", "events", "hosts", "decoys")
    }  # fmt: skip
    clock = {position: c for p in parts for position, c in p.clock_h.items()}
    return Truth(**joined, clock_h=clock, source="simulated")


def score_all(outs: Iterable[Path], score: Choice, *, oracle: bool = False) -> Measured:
    """Score several experiments with one scorer, from their own objects or from true ones."""
    prefix = "oracle_" if oracle else ""
    tables: dict[str, list[pd.DataFrame]] = {n: [] for n in _BASE}
    layouts = []
    for out in outs:
        layout = _layout(out)
        layouts.append(layout)
        for (position, place), entry in zip(position_folders(out).items(), layout.itertuples(), strict=True):
            links = pd.read_parquet(place / f"{prefix}links.parquet")
            evidence = pd.read_parquet(place / f"{prefix}evidence.parquet")
            setting = Setting.from_dict(read_json(place / "setting.json"))
            drift = read_table(place / "drift.parquet")
            found = judge(links, evidence, drift, setting, {"score": score}, 0.0, place.name)
            design = {"condition": entry.condition, "replicate": entry.replicate, "donor": entry.donor}
            for name in _BASE:
                rows = getattr(found, name)
                if len(rows):
                    more = design if name != "frames" else {}
                    tables[name].append(_with_ids(rows, name, entry.position, position).assign(**more))
    joined = {
        n: conform(t, pd.concat(tables[n], ignore_index=True)) if tables[n] else empty(t) for n, t in _BASE.items()
    }
    layout = pd.concat(layouts, ignore_index=True)
    return with_rates(joined, layout)


def with_rates(tables: dict[str, pd.DataFrame], layout: pd.DataFrame) -> Measured:
    """Tables with the rates made of them."""
    rates, by_replicate = compute_rates(tables["events"], tables["guests"], tables["hosts"], tables["frames"], layout)
    made = {**tables, "rates": rates, "rates_by_replicate": by_replicate, "comparisons": empty(TABLES["comparisons"])}
    return Measured(made, layout)


def baseline(outs: Iterable[Path], name: str, like: Measured, truth: Truth) -> Measured | None:
    """The naive or the competent way; None where it has no calls (the competent one in 2D)."""
    calls = {}
    for out in outs:
        for position, place in position_folders(out).items():
            path = place / f"calls_{name}.parquet"
            if not path.exists():
                return None
            calls[f"{out.name.removesuffix('_out')}|{position}"] = pd.read_parquet(path)
    return as_measured(calls, like, dict(truth.clock_h))


def _named(rows: pd.DataFrame, experiment: str) -> pd.DataFrame:
    return rows.assign(position=[f"{experiment}|{p}" for p in rows["position"]])


def _layout(out: Path) -> pd.DataFrame:
    run = read_json(out / "run.json")
    layout = layout_of(run, list(run["positions"]))
    name = out.name.removesuffix("_out")
    return _named(layout, name).assign(donor=name, experiment=name)


def _with_ids(rows: pd.DataFrame, name: str, position: str, _own: str) -> pd.DataFrame:
    rows = rows.assign(position=position)
    if name == "events":
        numbers: Any = rows.pop("number") if "number" in rows else range(1, len(rows) + 1)
        rows = rows.assign(event_id=[f"{position}#{n}" for n in numbers])
    return rows


# ---------------------------------------------------------------- further measures


def crawl_episodes(truth: Truth, shortest_min: float = 10.0) -> int:
    """Stretches of at least two frames and ten minutes in which a living guest lies under a host."""
    rows = truth.frames.sort_values(["position", "guest_id", "frame"], kind="stable")
    under = (rows["location"].eq("attached") & rows["contact"].eq("under") & rows["viability"].eq("alive")).to_numpy()
    key = pd.factorize(rows["position"] + "#" + rows["guest_id"].astype(str))[0]
    frame = rows["frame"].to_numpy()
    new = np.concatenate(([True], (np.diff(key) != 0) | (np.diff(frame) != 1) | (under[1:] != under[:-1])))
    stretch = np.cumsum(new)
    hours = np.array([truth.clock_h[p][f] for p, f in zip(rows["position"], frame, strict=True)])
    grouped = pd.DataFrame({"stretch": stretch[under], "hour": hours[under]}).groupby("stretch")["hour"]
    length = grouped.max() - grouped.min()
    return int((length * 60.0 >= shortest_min - 1e-6).sum())


def by_floor(states: pd.DataFrame, truth: Truth, edges_um: tuple[float, ...]) -> pd.DataFrame:
    """Recall of inside by the thickness of cytoplasm below and above the guest, whichever is thinner."""
    thin = truth.frames.assign(thin_um=truth.frames[["cap_um", "floor_um"]].min(axis=1))
    keyed = thin.set_index(["position", "frame", "guest_id"])["thin_um"]
    rows = states[states["judged"] & states["inside_true"]]
    at = pd.MultiIndex.from_frame(rows[["position", "frame", "guest_id_true"]])
    bins = pd.cut(keyed.reindex(at).to_numpy(), list(edges_um))
    table = pd.DataFrame({
        "thinner": bins, "called": rows["inside"].to_numpy(bool), "open": rows["location"].eq("unresolved").to_numpy()
    })  # fmt: skip
    return table.groupby("thinner", observed=True).agg(
        frames=("called", "size"), recall=("called", "mean"), unresolved=("open", "mean")
    ).reset_index()  # fmt: skip


def null_errors(measured: Measured, truth_by_replicate: pd.DataFrame) -> pd.DataFrame:
    """Per experiment the measured ratio of entry rates over that of the true counts, and whether bounds hold it.

    Half an event is added to every count: an experiment of two small fields may have none in one of them.
    """
    rows = []
    found, true = (
        t[t["estimand"] == "entry_rate_per_guest_h"].set_index(["donor", "condition"])
        for t in (measured.tables["rates_by_replicate"], truth_by_replicate)
    )
    for donor in dict.fromkeys(found.index.get_level_values(0)):
        pair = [found.loc[(donor, c)] for c in ("drug", "vehicle")]
        real = [true.loc[(donor, c)] for c in ("drug", "vehicle")]
        ratio, ratio_true = (_ratio(a, b) for a, b in (pair, real))
        low = _bound(pair[0], "bound_low") / max(_bound(pair[1], "bound_high"), 1e-9)
        high = _bound(pair[0], "bound_high") / max(_bound(pair[1], "bound_low"), 1e-9)
        rows.append({
            "experiment": donor, "ratio": ratio, "ratio_true": ratio_true, "error": ratio / ratio_true,
            "events": pair[0]["events"] + pair[1]["events"], "events_true": real[0]["events"] + real[1]["events"],
            "within_bounds": bool(low <= ratio_true <= high),
        })  # fmt: skip
    return pd.DataFrame(rows)


def _ratio(drug: pd.Series, vehicle: pd.Series) -> float:
    return float(((drug["events"] + 0.5) / drug["denominator"]) / ((vehicle["events"] + 0.5) / vehicle["denominator"]))


def _bound(row: pd.Series, name: str) -> float:
    value = float(row[name])
    return value if np.isfinite(value) else float(row["estimate"])


Measure = Callable[[Measured], Any]
