"""A made-up but plausible experiment as tables: what figures and the report are shown in their tests.

Counts are Poisson draws around rates per condition and donor; intervals are crude. Nothing here is a result.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from cicimage.tables import TABLES, conform

DONORS = ("CLL-07", "CLL-12", "CLL-31")
DRUGS = ("vehicle", "ibrutinib", "ibrutinib + plerixafor")
FRAME_H, N_FRAMES = 0.1, 240


@dataclass(frozen=True)
class Plan:
    """What the made-up experiment looks like; ``entry``: entries per guest-hour by condition."""

    conditions: tuple[str, ...] = DRUGS
    donors: tuple[str, ...] = DONORS
    wells_per_donor: int = 2
    guests_per_well: int = 90
    entry: tuple[float, ...] = (0.012, 0.031, 0.002)
    death_outside: tuple[float, ...] = (0.008, 0.011, 0.010)
    death_inside: tuple[float, ...] = (0.004, 0.004, 0.004)
    under: tuple[float, ...] = (0.25, 0.30, 0.10)
    three_d: bool = True
    doses: bool = False
    seed: int = 7
    reference: str = ""
    donor_sd: float = 0.35
    extra: dict[str, str] = field(default_factory=dict)


def make_tables(plan: Plan | None = None) -> dict[str, pd.DataFrame]:
    """All tables of the made-up experiment."""
    plan = plan or Plan()
    rng = np.random.default_rng(plan.seed)
    wells = _wells(plan, rng)
    events = _events(wells, rng)
    guests = _guests(wells, events, rng)
    tables = {
        "events": events,
        "guests": guests,
        "hosts": _hosts(wells),
        "rates_by_replicate": _by_replicate(wells),
        "rates": _rates(wells),
        "comparisons": _comparisons(wells, plan),
        "curves": _curves(wells, plan),
        "drift": _drift(wells, rng),
        "qc": _qc(wells, rng),
        "counts": _counts(wells, rng),
    }
    if plan.doses:
        tables["dose_response"], tables["dose_fits"] = _doses(rng)
    return {name: conform(TABLES[name], rows) for name, rows in tables.items()}


def _wells(plan: Plan, rng: np.random.Generator) -> pd.DataFrame:
    effect = {d: rng.normal(0, plan.donor_sd) for d in plan.donors}
    rows = []
    for i, condition in enumerate(plan.conditions):
        for j, donor in enumerate(plan.donors):
            for k in range(plan.wells_per_donor):
                well = f"{chr(ord('B') + i)}{2 + 2 * j + k:02d}"
                n = max(plan.guests_per_well + int(rng.integers(-15, 15)), 4)
                outside = n * N_FRAMES * FRAME_H * 0.72
                rate = plan.entry[i] * np.exp(effect[donor] + rng.normal(0, 0.12))
                n_in = int(rng.poisson(rate * outside))
                inside = n_in * 6.5 + rng.uniform(0, 4)
                rows.append(
                    {
                        "condition": condition,
                        "donor": donor,
                        "replicate": well,
                        "position": f"{condition}/{well}_f1",
                        "n_guests": n,
                        "outside": outside,
                        "contact": outside * (0.35 if "plerixafor" not in condition else 0.2),
                        "inside": inside,
                        "unresolved": outside * 0.03,
                        "hosts": int(rng.integers(9, 15)),
                        "entries": n_in,
                        "brief": int(rng.poisson(0.25 * n_in + 0.3)),
                        "aborted": int(rng.poisson(0.3 * n_in + 0.5)),
                        "escapes": int(rng.binomial(n_in, 0.4)),
                        "dead_out": int(rng.poisson(plan.death_outside[i] * outside)),
                        "dead_in": int(min(rng.poisson(plan.death_inside[i] * inside), max(n_in, 0))),
                    }
                )
    return pd.DataFrame(rows)


def _events(wells: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for well in wells.to_dict("records"):
        kinds = (
            ["entry"] * well["entries"]
            + ["brief"] * well["brief"]
            + ["aborted"] * well["aborted"]
            + ["eaten"] * int(rng.poisson(0.4))
            + ["prevalent"] * int(rng.poisson(0.5))
        )
        dying = set(rng.permutation(well["entries"])[: well["dead_in"]])
        for i, kind in enumerate(kinds):
            rows.append(_event(well, i, kind, i in dying, rng))
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=[c.name for c in TABLES["events"].columns])


def _event(well: dict, i: int, kind: str, dies: bool, rng: np.random.Generator) -> dict:
    start = int(rng.integers(5, N_FRAMES - 60))
    entry = np.nan if kind == "aborted" else float(start + rng.integers(2, 6))
    stay = int(rng.integers(1, 3)) if kind == "brief" else int(rng.integers(8, 150))
    end = min(int((start if np.isnan(entry) else entry) + stay), N_FRAMES - 1)
    scored = kind in ("entry", "brief", "prevalent")
    reason = (
        "death"
        if dies
        else "movie_end"
        if end == N_FRAMES - 1
        else str(rng.choice(["escape", "track_lost"], p=[0.85, 0.15]))
    )
    return {
        "event_id": f"{well['position']}#{i + 1}",
        **{k: well[k] for k in ("position", "condition", "replicate", "donor")},
        "guest_id": 100 + i,
        "host_id": int(rng.integers(1, 12)),
        "start_frame": 0 if kind == "prevalent" else start,
        "entry_frame": 0.0 if kind == "prevalent" else entry,
        "entry_after_frame": np.nan if kind == "prevalent" else entry - 1,
        "end_frame": end,
        "end_reason": "aborted" if kind == "aborted" else reason,
        "score": ""
        if kind == "eaten"
        else "entering"
        if kind == "aborted"
        else "dying"
        if dies
        else "surviving"
        if scored
        else "",
        "excluded_reason": "dead_before_entry" if kind == "eaten" else "",
        "outcome_known": reason != "track_lost",
        "p": float(np.clip(rng.beta(9, 1.2), 0.02, 0.999)),
        "y_um": float(rng.uniform(20, 300)),
        "x_um": float(rng.uniform(20, 300)),
        "prevalent": kind == "prevalent",
        "brief": kind == "brief",
        "reviewed": bool(rng.random() < 0.1),
    }


def _guests(wells: pd.DataFrame, events: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for well in wells.to_dict("records"):
        for guest in range(well["n_guests"]):
            dead = guest < well["dead_out"]
            lost = not dead and rng.random() < 0.1
            rows.append(
                {
                    **{k: well[k] for k in ("position", "condition", "replicate", "donor")},
                    "guest_id": 100 + guest,
                    "first_frame": 0,
                    "last_frame": N_FRAMES - 1,
                    "start_reason": "movie_start",
                    "end_reason": "death" if dead else "track_lost" if lost else "movie_end",
                    "death_frame": 100.0 if dead else np.nan,
                    "death_location": "outside" if dead else "",
                    "n_events": 0,
                    "hours_outside_alive": 0.0 if guest == 3 else well["outside"] / well["n_guests"],
                    "hours_contact": 0.0 if guest == 3 else well["contact"] / well["n_guests"],
                    "hours_inside_alive": well["inside"] / well["n_guests"] if guest != 3 else 0.0,
                    "hours_unresolved": well["unresolved"] / well["n_guests"] if guest != 3 else 0.0,
                    "parent_id": 0,
                }
            )
    return pd.DataFrame(rows)


def _hosts(wells: pd.DataFrame) -> pd.DataFrame:
    rows = [
        {
            **{k: well[k] for k in ("position", "condition", "replicate", "donor")},
            "host_id": host + 1,
            "first_frame": 0,
            "last_frame": N_FRAMES - 1,
            "end_reason": "movie_end",
            "hours": N_FRAMES * FRAME_H,
            "death_frame": np.nan,
            "n_guests_max": int(host < well["entries"]),
            "n_entries": int(host < well["entries"]),
            "parent_id": 0,
        }
        for well in wells.to_dict("records")
        for host in range(well["hosts"])
    ]
    return pd.DataFrame(rows)


_RATES = {
    "entry_rate_per_guest_h": ("entries", "outside"),
    "entry_rate_incl_brief_per_guest_h": ("with_brief", "outside"),
    "entry_rate_per_contact_h": ("entries", "contact"),
    "entry_rate_per_host_h": ("entries", "host_h"),
    "escape_rate_per_h": ("escapes", "inside"),
    "death_rate_inside_per_h": ("dead_in", "inside"),
    "death_rate_outside_per_h": ("dead_out", "outside"),
}


def _counted(wells: pd.DataFrame) -> pd.DataFrame:
    return wells.assign(with_brief=wells["entries"] + wells["brief"], host_h=wells["hosts"] * N_FRAMES * FRAME_H)


def _row(of: pd.DataFrame, events: str, exposure: str) -> dict:
    n, hours = float(of[events].sum()), float(of[exposure].sum())
    rate = n / hours if hours else np.nan
    spread = np.exp(1.96 * np.sqrt(1 / max(n, 0.7) + 0.03))
    low, high = (0.0, 3.0 / hours) if n == 0 and hours else (rate / spread, rate * spread)
    return {
        "estimate": rate,
        "ci_low": low,
        "ci_high": high,
        "bound_low": rate * 0.96,
        "bound_high": rate * 1.09,
        "unit": "1/h",
        "events": n,
        "events_p": n * 0.93,
        "exposure_h": hours,
        "n_guests": int(of["n_guests"].sum()),
        "n_hosts": int(of["hosts"].sum()),
        "n_positions": of["position"].nunique(),
        "n_replicates": len(of),
        "n_donors": of.loc[of["donor"] != "", "donor"].nunique(),
        "method": "events over person-time",
        "note": "",
    }


def _by_replicate(wells: pd.DataFrame) -> pd.DataFrame:
    counted = _counted(wells)
    return pd.DataFrame(
        [
            {"estimand": estimand, "condition": c, "donor": d, "experiment": "", "replicate": r, **_row(of, *columns)}
            for estimand, columns in _RATES.items()
            for (c, d, r), of in counted.groupby(["condition", "donor", "replicate"], sort=False)
        ]
    )


def _rates(wells: pd.DataFrame) -> pd.DataFrame:
    counted = _counted(wells)
    rows = [
        {"estimand": estimand, "condition": c, **_row(of, *columns)}
        for estimand, columns in _RATES.items()
        for c, of in counted.groupby("condition", sort=False)
    ]
    for c, of in counted.groupby("condition", sort=False):
        share = float((of["entries"] > 0).mean() * 0.4)
        rows.append(
            {
                "estimand": "hosts_with_guest_fraction",
                "condition": c,
                **_row(of, "entries", "host_h"),
                "estimate": share,
                "ci_low": share * 0.7,
                "ci_high": min(share * 1.3, 1),
                "bound_low": np.nan,
                "bound_high": np.nan,
                "unit": "share",
            }
        )
    return pd.DataFrame(rows)


def _comparisons(wells: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    counted, reference = _counted(wells), plan.reference or plan.conditions[0]
    n = len([d for d in plan.donors if d])
    unit = "donor" if n > 1 else "none"
    rows = []
    for estimand in (
        "entry_rate_per_guest_h",
        "entry_rate_per_contact_h",
        "entry_rate_per_host_h",
        "escape_rate_per_h",
        "death_rate_outside_per_h",
    ):
        events, exposure = _RATES[estimand]
        per = counted.groupby("condition", sort=False)[[events, exposure]].sum()
        rates = per[events] / per[exposure]
        for condition in [c for c in plan.conditions if c != reference]:
            ratio = rates[condition] / rates[reference] if rates[reference] else np.nan
            se = np.sqrt(1 / max(per.loc[condition, events], 0.5) + 1 / max(per.loc[reference, events], 0.5) + 0.02)
            p = float(2 * (1 - _normal(abs(np.log(max(ratio, 1e-3))) / se))) if unit != "none" else np.nan
            rows.append(
                {
                    "estimand": estimand,
                    "condition": condition,
                    "reference": reference,
                    "ratio": ratio,
                    "ci_low": ratio * np.exp(-2.6 * se) if ratio else 0.0,
                    "ci_high": ratio * np.exp(2.6 * se) if ratio else 0.31,
                    "p_value": p,
                    "p_adjusted": min(1.0, 2 * p),
                    "unit_of_replication": unit,
                    "n_pairs": n if n > 1 else 0,
                    "method": "paired log ratios with t",
                    "note": "" if n > 1 else "no test: one donor",
                }
            )
    for condition, of in counted.groupby("condition", sort=False):
        inside, outside = of["dead_in"].sum(), of["dead_out"].sum()
        ratio = (
            (inside / of["inside"].sum()) / (outside / of["outside"].sum())
            if outside and of["inside"].sum()
            else np.nan
        )
        se = np.sqrt(1 / max(inside, 0.5) + 1 / max(outside, 0.5))
        rows.append(
            {
                "estimand": "death_hazard_inside_vs_outside",
                "condition": condition,
                "reference": "outside",
                "ratio": ratio,
                "ci_low": ratio * np.exp(-2.4 * se),
                "ci_high": ratio * np.exp(2.4 * se) if ratio else 1.4,
                "p_value": np.nan,
                "p_adjusted": np.nan,
                "unit_of_replication": unit,
                "n_pairs": n,
                "method": "time-dependent Cox, log HR per donor",
                "note": "",
            }
        )
    made = pd.DataFrame(rows)
    return made.assign(ci_low_simultaneous=made["ci_low"] * 0.97, ci_high_simultaneous=made["ci_high"] * 1.03)


def _normal(z: float) -> float:
    from math import erf, sqrt

    return 0.5 * (1 + erf(z / sqrt(2)))


def _curve(curve: str, condition: str, state: str, times: npt.NDArray, values: npt.NDArray, n: float) -> list[dict]:
    se = np.sqrt(np.clip(values * (1 - values), 0, None) / max(n, 1))
    return [
        {
            "curve": curve,
            "condition": condition,
            "donor": "",
            "state": state,
            "time_h": float(t),
            "estimate": float(v),
            "ci_low": float(max(v - 1.96 * s, 0)),
            "ci_high": float(min(v + 1.96 * s, 1)),
            "at_risk": float(round(n * (1 - 0.5 * t / 24))),
            "events": float(round(n * v)),
        }
        for t, v, s in zip(times, values, se, strict=True)
    ]


def _curves(wells: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    rows: list[dict] = []
    times = np.arange(0, 24.01, 0.5)
    for i, condition in enumerate(plan.conditions):
        n = float(wells.loc[wells["condition"] == condition, "n_guests"].sum())
        e, d = plan.entry[i], max(plan.death_outside[i], 1e-9)
        gone = 1 - np.exp(-(e + d) * times)
        rows += _curve("entry_cumulative_incidence", condition, "entry", times, gone * e / (e + d), n)
        rows += _curve("entry_cumulative_incidence", condition, "death_outside", times, gone * d / (e + d), n)
        inside = gone * e / (e + d) * 0.6
        dead, lost = 1 - np.exp(-d * times), 0.004 * times
        rest = 1 - inside - dead - lost
        attached = plan.under[i] * (1 - np.exp(-times)) + 0.1
        shares = {
            "inside": inside,
            "entering": 0.02 * rest,
            "attached": attached * rest,
            "unresolved": 0.04 * rest,
            "free": rest * (1 - attached - 0.06),
            "dead": dead,
            "lost": lost,
        }
        for state, values in shares.items():
            rows += _curve("occupancy", condition, state, times, values, n)
        stays = float(wells.loc[wells["condition"] == condition, "entries"].sum())
        if stays:
            since = np.arange(0, 18.01, 0.25)
            left = 0.3 * np.exp(-since / 0.3) + 0.7 * np.exp(-since / 14)
            rows += _curve("residence", condition, "inside", since, left, stays)
            rows += _curve("residence", condition, "escape", since, (1 - left) * 0.85, stays)
            rows += _curve("residence", condition, "death", since, (1 - left) * 0.15, stays)
    return pd.DataFrame(rows)


def _drift(wells: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    parts = []
    for i, position in enumerate(wells["position"].unique()):
        way = np.cumsum(rng.normal(0, 0.12, (N_FRAMES, 2)), axis=0)
        if i == 4:
            way[130:] += (9.0, -6.0)
        way -= way[0]
        parts.append(
            pd.DataFrame(
                {
                    "position": position,
                    "frame": np.arange(N_FRAMES),
                    "dy_um": way[:, 0],
                    "dx_um": way[:, 1],
                    "quality": 0.9,
                }
            )
        )
    return pd.concat(parts)


def _qc(wells: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    parts = []
    frames = np.arange(N_FRAMES)
    for i, position in enumerate(wells["position"].unique()):
        for channel, lost in (("Host", 0.18), ("Guest", 0.3), ("Death", 0.05)):
            sharp = 1 + rng.normal(0, 0.03, N_FRAMES)
            if i == 7:
                sharp[90:102] *= 0.4
                lost = min(3.1 * lost, 0.8)
            parts.append(
                pd.DataFrame(
                    {
                        "position": position,
                        "frame": frames,
                        "time_h": frames * FRAME_H,
                        "channel": channel,
                        "background": 104.0,
                        "noise_sd": 3.1,
                        "signal": 420.0,
                        "saturated_share": rng.uniform(0, 0.0004, N_FRAMES),
                        "sharpness": sharp,
                        "bleach_factor": 1 - lost * frames / N_FRAMES,
                        "flag": np.where((i == 7) & (frames >= 90) & (frames < 102), "defocused", ""),
                    }
                )
            )
    return pd.concat(parts)


def _counts(wells: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    frames = np.arange(N_FRAMES)
    parts = [
        pd.DataFrame(
            {
                "position": w["position"],
                "frame": frames,
                "time_h": frames * FRAME_H,
                "population": population,
                "n": (n * (1 - 0.1 * frames / N_FRAMES) + rng.normal(0, 0.8, N_FRAMES)).round().astype(int),
            }
        )
        for w in wells.to_dict("records")
        for population, n in (("guest", w["n_guests"]), ("host", w["hosts"]))
    ]
    return pd.concat(parts)


def _doses(rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    doses, rows = (0.0, 1.0, 10.0, 100.0, 1000.0), []
    common = {"estimand": "entry_rate_per_guest_h", "drug": "plerixafor", "dose_unit": "nM", "unit": "1/h"}
    for dose in doses:
        middle = 0.03 / (1 + (dose / 40.0) ** 1.1)
        measured = {**common, "kind": "measured", "dose": dose}
        rows += [{**measured, "donor": d, "estimate": middle * float(np.exp(rng.normal(0, 0.25)))} for d in DONORS]
        limits = {"ci_low": middle * 0.7, "ci_high": middle * 1.45}
        rows.append({**measured, "donor": "", "estimate": middle, **limits})
    rows += [
        {**common, "kind": "fit", "donor": "", "dose": dose, "estimate": 0.03 / (1 + (dose / 40.0) ** 1.1)}
        for dose in np.geomspace(0.5, 1500, 60)
    ]
    fit = {
        **common,
        "ic50": 40.0,
        "ci_low": 18.0,
        "ci_high": 90.0,
        "hill": 1.1,
        "n_doses": 5,
        "n_donors": 3,
        "method": "four-parameter logistic on log rate with donor shifts",
        "note": "",
    }
    return pd.DataFrame(rows), pd.DataFrame([fit])
