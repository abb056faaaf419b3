"""Curves over time per condition: incidence of first entry, where guests are, how long they stay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

import numpy as np
import pandas as pd

from cicimage.arrays import Float64Array
from cicimage.statistics.design import Unit, complete_layout, join_notes, unit_of_replication
from cicimage.statistics.first_entry import STATES as ENTRY_STATES
from cicimage.statistics.first_entry import first_entry_records
from cicimage.statistics.multistate import Occupation, aalen_johansen, band_factor, mean_over
from cicimage.statistics.quantiles import normal_quantile, t_quantile
from cicimage.statistics.residence import STATES as STAY_STATES
from cicimage.statistics.residence import stays
from cicimage.statistics.spells import in_order, spells
from cicimage.statistics.time_zero import since_time_zero
from cicimage.tables import CURVES, HOSTS, conform, empty

INCIDENCE: Final = "entry_cumulative_incidence"
_EVERYWHERE: Final[Mapping[int, float]] = MappingProxyType({})
OCCUPANCY_STATES = ("free", "attached", "entering", "inside", "unresolved", "dead")


def compute_curves(
    events: pd.DataFrame, guests: pd.DataFrame, frames: pd.DataFrame, layout: pd.DataFrame, level: float = 0.95
) -> pd.DataFrame:
    """Aalen-Johansen curves of every condition, all donors together with limits and each donor without.

    Parameters
    ----------
    events, guests, frames : pandas.DataFrame
        Tables of those names.
    layout : pandas.DataFrame
        The design.
    level : float
        Coverage.

    Returns
    -------
    pandas.DataFrame
        Table ``curves``. The incidence of a condition is the mean of its donors' curves, each donor counting once as in
        table ``rates``, to the end that all of them share; occupancy and residence are of all guests together. Limits
        are on the log(-log) scale and hold at one time; ``band_low`` and ``band_high`` hold for the whole curve. Both
        rest on the spread between donors (or experiments) by t where there are two or more, on guests where not, which
        the note says. Curves of incidence and residence have limits from when two units have moved.
    """
    layout = complete_layout(layout)
    events, guests, _, frames = since_time_zero(events, guests, empty(HOSTS), frames)
    unit = unit_of_replication(layout)
    tables = {
        INCIDENCE: (_entry_rows(events, guests, frames), ENTRY_STATES, (1.0, 0.0, 0.0)),
        "occupancy": (_occupancy_rows(frames), OCCUPANCY_STATES, None),
        "residence": (stays(events, frames), STAY_STATES, (1.0, 0.0, 0.0, 0.0)),
    }
    rows, ends = [], frames.groupby("position")["time_h"].max()
    for curve, (records, states, initial) in tables.items():
        for condition in dict.fromkeys(layout["condition"]):
            wells = layout[layout["condition"] == condition]
            mine = records[records["position"].isin(wells["position"])]
            if mine.empty:
                continue
            units = mine["position"].map(wells.set_index("position")[unit]) if unit != "none" else None
            mine = mine.assign(movie_end_h=mine["position"].map(ends))
            rows += list(_condition(curve, condition, mine, states, initial, units, unit, level))
    if not rows:
        return conform(CURVES, pd.DataFrame(columns=[c.name for c in CURVES.columns]))
    return conform(CURVES, pd.concat(rows, ignore_index=True))


def _condition(
    curve: str,
    condition: str,
    rows: pd.DataFrame,
    states: tuple[str, ...],
    initial: tuple[float, ...] | None,
    units: pd.Series | None,
    unit: Unit,
    level: float,
) -> Iterator[pd.DataFrame]:
    known = units[units != ""] if units is not None else None
    n = int(known.nunique()) if known is not None else 0
    if n >= 2 and known is not None:
        rows, cluster = rows.loc[known.index], known
        note, factor = "", t_quantile(0.5 + level / 2, n - 1) * np.sqrt(n / (n - 1))
    else:
        cluster = rows["position"].astype(str) + "/" + rows["guest_id"].astype(str)
        said = "unknown" if unit == "none" else f"{n}"
        note = f"limits hold the spread between guests only: n of {'donor' if unit == 'none' else unit}s is {said}"
        factor = float(normal_quantile(0.5 + level / 2))
    fit = _fit(rows, states, initial, cluster)
    each = {}
    if n >= 2 and known is not None and (unit == "donor" or curve == INCIDENCE):
        each = {str(u): _fit(part, states, initial, None) for u, part in rows.groupby(known)}
    if curve == INCIDENCE and each:
        fit, ended = _mean_over_units(fit, each, float(rows.groupby(known)["movie_end_h"].max().min()))
        note = join_notes(note, f"to {fit.time_h[-1]:.3g} h, the end that all {unit}s share" if ended else "")
    begins = {} if curve == "occupancy" else _band_begins(rows, cluster, len(states), min(n, 2) or 1)
    yield _long(curve, condition, "", fit, factor, note, level, begins)
    if unit == "donor":
        for donor, own in each.items():
            yield _long(curve, condition, donor, own, np.nan, "", level)


def _mean_over_units(pooled: Occupation, each: Mapping[str, Occupation], end_h: float) -> tuple[Occupation, bool]:
    """Mean of the units' curves up to the end all share, and whether times behind it were left out.

    Behind it the mean would be of fewer units and would jump where one ends.
    """
    fit = mean_over(list(each.values()), pooled)
    kept = fit.time_h <= end_h + 1e-9
    if kept.all() or fit.influence is None:
        return fit, False
    return replace(
        fit, time_h=fit.time_h[kept], estimate=fit.estimate[kept], std_error=fit.std_error[kept],
        at_risk=fit.at_risk[kept], transitions=fit.transitions[kept], influence=fit.influence[kept],
    ), True  # fmt: skip


def _band_begins(rows: pd.DataFrame, cluster: pd.Series, n_states: int, least: int) -> dict[int, float]:
    """Time from which each state's curve has limits: when ``least`` independent units have moved to it.

    One donor's first entry says nothing of the spread between donors: the limits would span nearly everything. The
    state everybody starts in (0) has limits once units have left it, for whatever reason.
    """
    moved = rows.assign(cluster=cluster)[rows["to"] >= 0]
    begins = {}
    for k in range(n_states):
        first = (moved if k == 0 else moved[moved["to"] == k]).groupby("cluster")["stop_h"].min().sort_values()
        begins[k] = float(first.iloc[least - 1]) if len(first) >= least else np.inf
    return begins


def _fit(
    rows: pd.DataFrame, states: tuple[str, ...], initial: tuple[float, ...] | None, cluster: pd.Series | None
) -> Occupation:
    subject = rows["position"].astype(str) + "/" + rows["guest_id"].astype(str)
    return aalen_johansen(
        rows["start_h"], rows["stop_h"], rows["state"], rows["to"], states, subject=subject,
        cluster=cluster, initial=initial, keep_influence=cluster is not None,
    )  # fmt: skip


def _long(
    curve: str,
    condition: str,
    donor: str,
    fit: Occupation,
    factor: float,
    note: str,
    level: float,
    begins: Mapping[int, float] = _EVERYWHERE,
) -> pd.DataFrame:
    """One block per state; curves of incidence and residence begin at their start, where nothing has happened.

    Before ``begins`` of its state a curve has no limits.
    """
    blocks = []
    for k, state in enumerate(fit.states):
        name = _NAMES.get((curve, state), state)
        if name is None:
            continue
        band = np.nan
        if np.isfinite(factor) and fit.influence is not None:
            band = factor * band_factor(fit, k, level) / float(normal_quantile(0.5 + level / 2))
        low, high = _limits(fit.estimate[:, k], fit.std_error[:, k], factor)
        band_low, band_high = _limits(fit.estimate[:, k], fit.std_error[:, k], band)
        early = fit.time_h < begins.get(k, -np.inf) - 1e-9
        low, high, band_low, band_high = (np.where(early, np.nan, v) for v in (low, high, band_low, band_high))
        block = pd.DataFrame({
            "curve": curve, "condition": condition, "donor": donor, "state": name, "time_h": fit.time_h,
            "estimate": fit.estimate[:, k], "ci_low": low, "ci_high": high,
            "at_risk": fit.at_risk[:, k if curve == "occupancy" else 0],
            "events": np.cumsum(fit.transitions[:, :, k].sum(axis=1)),
            "method": fit.method, "note": join_notes(note), "band_low": band_low, "band_high": band_high,
        })  # fmt: skip
        if curve == "residence" and state == "inside":
            block["events"] = np.cumsum(fit.transitions[:, 0, :].sum(axis=1))
        blocks.append(block)
    return pd.concat(blocks, ignore_index=True)


_NAMES = {
    (INCIDENCE, "outside"): None,
    (INCIDENCE, "entered"): "entry",
    (INCIDENCE, "dead outside"): "death_outside",
}


def _limits(p: Float64Array, se: Float64Array, factor: float) -> tuple[Float64Array, Float64Array]:
    """Limits on the log(-log(1 - p)) scale; the estimate itself where it is 0 or 1 or has no error."""
    low, high = p.copy(), p.copy()
    if not np.isfinite(factor):
        return np.full_like(p, np.nan), np.full_like(p, np.nan)
    ok = (p > 0) & (p < 1) & (se > 0)
    q = 1.0 - p[ok]
    half = factor * se[ok] / (q * np.abs(np.log(q)))
    centre = np.log(-np.log(q))
    low[ok] = -np.expm1(-np.exp(np.clip(centre - half, -50, 50)))
    high[ok] = -np.expm1(-np.exp(np.clip(centre + half, -50, 50)))
    return low, high


def _entry_rows(events: pd.DataFrame, guests: pd.DataFrame, frames: pd.DataFrame) -> pd.DataFrame:
    records = first_entry_records(events, guests, frames)
    to = records["cause"].where(records["cause"] > 0, -1).astype(np.int64)
    return records.assign(state=0, to=to)


def _occupancy_rows(frames: pd.DataFrame) -> pd.DataFrame:
    """Runs of one location as (start, stop] rows; a run ends where the next begins, a track's last run is censored."""
    columns = ["position", "guest_id", "start_h", "stop_h", "state", "to"]
    if frames.empty:
        return pd.DataFrame(columns=columns)
    runs = spells(frames)
    key = ["position", "guest_id"]
    ordered = in_order(frames)
    died = ordered[(ordered["viability"] == "dead")].drop_duplicates(key).set_index(key)["time_h"]
    same = (runs["position"] == runs["position"].shift(-1)) & (runs["guest_id"] == runs["guest_id"].shift(-1))
    following = runs["location"].shift(-1).where(same)
    death_h = died.reindex(pd.MultiIndex.from_frame(runs[key])).to_numpy(np.float64)
    dies = ~same.to_numpy() & np.isfinite(death_h)
    stop = runs["start_h"].shift(-1).where(same, runs["end_h"]).to_numpy(np.float64)
    code = {name: i for i, name in enumerate(OCCUPANCY_STATES)}
    to = following.map(code).fillna(-1).to_numpy(np.int64)
    out = pd.DataFrame({
        "position": runs["position"], "guest_id": runs["guest_id"], "start_h": runs["start_h"],
        "stop_h": np.where(dies, death_h, stop), "state": runs["location"].map(code).astype(np.int64),
        "to": np.where(dies, code["dead"], to),
    })  # fmt: skip
    return pd.concat([out, _after_death(ordered, died, code["dead"])], ignore_index=True)


def _after_death(ordered: pd.DataFrame, died: pd.Series, dead: int) -> pd.DataFrame:
    """Once dead, dead to the end of the position: a body that is lost or cleared has not come back to life."""
    end = ordered.groupby("position")["time_h"].max()
    out = died.rename("start_h").reset_index()
    return out.assign(stop_h=out["position"].map(end), state=dead, to=-1)
