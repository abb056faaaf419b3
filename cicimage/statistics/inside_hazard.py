"""Death inside against outside: a time-dependent Cox model with the donor as n, and its checks.

The words are chosen: the ratio is an association. Guests that enter may be fitter than those that do not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from cicimage.states import OUTSIDE
from cicimage.statistics.design import Unit, join_notes
from cicimage.statistics.refused_covariates import check_covariate
from cicimage.statistics.risk_tables import (
    RiskTables,
    efron_log_ratio,
    firth_log_ratio,
    hazard_over_units,
    limits_within,
)
from cicimage.statistics.spells import in_order
from cicimage.statistics.unseen_deaths import had_all_died, had_none_died, unknown_fates

MAX_UNKNOWN_SHARE = 0.1
_SIDES: tuple[Literal["outside"], Literal["inside"]] = ("outside", "inside")


@dataclass(frozen=True)
class HazardRatio:
    """Hazard of death inside over outside.

    Attributes
    ----------
    ratio, low, high, p_value : float
        NaN where none can be given.
    n_units : int
        Donors (or experiments) that carried it.
    deaths_inside, deaths_outside : int
        Deaths counted.
    firth : float
        Donor-stratified estimate under Firth's penalty where one state has no death, finite there; NaN elsewhere.
    bound_low, bound_high : float
        Stratified estimate with unresolved time outside, and inside; where guests' fates inside are unknown, the least
        and the most of these and of the estimates had none, and all, of them died. Where the marker tells nothing
        inside: the lower limit had none died, and the upper had all, which holds the truth as often as any limits do.
    lost_low, lost_high : float
        Stratified estimate had every guest lost outside, or every guest lost inside, died: loss is informative, dying
        cells detach before they stain.
    landmark : float
        Ratio of death rates after the middle of the movie by where the guests were then.
    method, note : str
        How, and what a reader must know.
    """

    ratio: float
    low: float
    high: float
    p_value: float
    n_units: int
    deaths_inside: int
    deaths_outside: int
    firth: float
    bound_low: float
    bound_high: float
    lost_low: float
    lost_high: float
    landmark: float
    method: str
    note: str


def death_rows(
    frames: pd.DataFrame, *, unresolved: Literal["left_out", "outside", "inside"] = "left_out"
) -> pd.DataFrame:
    """Turn frames into (start, stop] rows with the covariate ``inside`` as it changes.

    Parameters
    ----------
    frames : pandas.DataFrame
        Table ``frames``.
    unresolved : {"left_out", "outside", "inside"}
        Where unresolved person-time goes.

    Returns
    -------
    pandas.DataFrame
        position, guest_id, start_h, stop_h, inside (0, 1), died (bool). A guest seen later than others enters late; a
        death belongs to the state before it; nothing follows it.
    """
    rows = in_order(frames)
    following = rows.groupby(["position", "guest_id"], sort=False)
    rows = rows.assign(stop_h=following["time_h"].shift(-1), next_viability=following["viability"].shift(-1))
    rows = rows[(rows["viability"] != "dead") & rows["stop_h"].notna()]
    inside = (rows["location"] == "inside").astype(np.int64)
    vague = rows["location"] == "unresolved"
    if unresolved == "left_out":
        rows, inside = rows[~vague], inside[~vague]
    elif unresolved == "inside":
        inside = inside.mask(vague, 1)
    rows = rows.assign(inside=inside, died=rows["next_viability"] == "dead")
    same = (rows["position"] == rows["position"].shift()) & (rows["guest_id"] == rows["guest_id"].shift())
    same &= (rows["inside"] == rows["inside"].shift()) & (rows["time_h"] == rows["stop_h"].shift())
    merged = rows.groupby((~same).cumsum(), sort=True).agg(
        position=("position", "first"), guest_id=("guest_id", "first"), start_h=("time_h", "first"),
        stop_h=("stop_h", "last"), inside=("inside", "first"), died=("died", "last"),
    )  # fmt: skip
    return merged.reset_index(drop=True)


def death_tables(rows: pd.DataFrame) -> RiskTables:
    """Who was at risk at each death time of each unit.

    Parameters
    ----------
    rows : pandas.DataFrame
        From :func:`death_rows` with a column ``unit``.
    """
    columns: list[list[npt.NDArray[np.float64]]] = [[] for _ in range(5)]
    for number, (_, part) in enumerate(rows.groupby("unit", sort=True)):
        start, stop = (part[c].to_numpy(np.float64).round(9) for c in ("start_h", "stop_h"))
        inside, died = part["inside"].to_numpy(bool), part["died"].to_numpy(bool)
        times = np.unique(stop[died])
        columns[0].append(np.full(len(times), float(number)))
        for k, who in ((1, inside), (2, ~inside)):
            begun = np.searchsorted(np.sort(start[who]), times, side="left")
            columns[k].append((begun - np.searchsorted(np.sort(stop[who]), times, side="left")).astype(np.float64))
        for k, ends in ((3, np.sort(stop[died & inside])), (4, np.sort(stop[died]))):
            last = np.searchsorted(ends, times, side="right")
            columns[k].append((last - np.searchsorted(ends, times, side="left")).astype(np.float64))
    code, n_in, n_out, d_in, d = (np.concatenate(c) if c else np.array([]) for c in columns)
    return RiskTables(code.astype(np.int64), n_in, n_out, d_in, d)


def inside_hazard(
    frames: pd.DataFrame,
    unit_of: pd.Series,
    unit: Unit,
    *,
    covariate: str = "inside",
    level: float = 0.95,
) -> HazardRatio:
    """Hazard ratio of one condition.

    Parameters
    ----------
    frames : pandas.DataFrame
        Table ``frames`` of the condition's positions.
    unit_of : pandas.Series
        Donor (or experiment) by position; empty text where unknown.
    unit : {"donor", "experiment", "none"}
        What counts as n.
    covariate : str
        Only ``inside``; ``ever_inside`` is refused.
    level : float
        Coverage of the limits.

    Returns
    -------
    HazardRatio
        No ratio but bounds where the death marker tells nothing inside; otherwise by the rule of
        :func:`cicimage.statistics.risk_tables.hazard_over_units`; with fewer than two units the stratified estimate and
        no test.

    Raises
    ------
    CicimageError
        The covariate is ``ever_inside`` or ``protected``.
    """
    check_covariate(covariate)
    mine = _with_unit(death_rows(frames), unit_of)
    if unknown_share(frames, "inside") > MAX_UNKNOWN_SHARE:
        return _marker_blind(mine, frames, unit_of, unit, level)
    base = _stratified(mine, frames, unit_of)
    if base.deaths_inside + base.deaths_outside == 0:
        return replace(base, ratio=np.nan, method="none", note="no deaths")
    found = hazard_over_units(death_tables(mine[mine["unit"] != ""]), unit, level)
    if unit == "none" or found.n_units < 2:
        of = (
            "donors is unknown" if unit == "none" else f"{unit}s with deaths and both states at risk is {found.n_units}"
        )
        return replace(base, n_units=found.n_units, note=join_notes(f"no test: n of {of}", base.note))
    counted = f"deaths: {base.deaths_inside} inside, {base.deaths_outside} outside"
    return replace(
        base, ratio=found.ratio, low=found.low, high=found.high, p_value=found.p_value, n_units=found.n_units,
        method=found.method, note=join_notes(counted, found.note, base.note),
    )  # fmt: skip


def _with_unit(rows: pd.DataFrame, unit_of: pd.Series) -> pd.DataFrame:
    return rows.assign(unit=rows["position"].map(unit_of).fillna("").astype(object))


def _stratified(rows: pd.DataFrame, frames: pd.DataFrame, unit_of: pd.Series) -> HazardRatio:
    """Donor-stratified estimates: plain, penalised, with unresolved time on either side, and the landmark."""
    died = rows["died"].to_numpy(bool)
    inside = int((died & (rows["inside"] == 1)).sum())
    outside = int(died.sum()) - inside
    plain = _estimate(rows)
    bounds = [_estimate(_with_unit(death_rows(frames, unresolved=side), unit_of)) for side in _SIDES]
    at_h, landmark = landmark_ratio(rows)
    said = f"landmark at {at_h:.3g} h: {landmark:.2g}" if np.isfinite(landmark) else ""
    vague = ""
    if np.isfinite(bounds).all() and min(bounds) > 0 and not 0.8 < bounds[1] / bounds[0] < 1.25:
        vague = f"unresolved time outside {bounds[0]:.2g}, inside {bounds[1]:.2g}"
    if n_unknown := len(unknown_fates(frames)):
        none, all_ = (_estimate(_with_unit(death_rows(f(frames)), unit_of)) for f in (had_none_died, had_all_died))
        known = [b for b in (*bounds, none, all_) if not np.isnan(b)]
        bounds = [min(known, default=np.nan), max(known, default=np.nan)]
        if np.isfinite([none, all_]).all():
            vague = join_notes(
                vague, f"{n_unknown} of unknown fate inside: {none:.2g} had none died, {all_:.2g} had all"
            )
    firth = _firth(rows) if plain in (0.0, np.inf) else np.nan
    if inside == 0 and np.isfinite(firth):
        said = join_notes(f"no death inside; Firth's estimate {firth:.2g}", said)
    (low, n_out), (high, n_in) = (_had_lost_died(rows, frames, side) for side in (0, 1))
    if n_in + n_out:
        text = f"had all {n_out} lost outside died {low:.2g}, had all {n_in} lost inside died {high:.2g}"
        said = join_notes(said, text)
    return HazardRatio(
        plain, np.nan, np.nan, np.nan, 0, inside, outside, firth, bounds[0], bounds[1], low, high, landmark,
        "time-dependent Cox stratified by unit", join_notes(vague, said),
    )  # fmt: skip


def _estimate(rows: pd.DataFrame) -> float:
    """Stratified hazard ratio (Efron); 0 or infinite where one state has no death, NaN where nothing can be said."""
    table = death_tables(rows).informative()
    inside, total = int(table.d_inside.sum()), int(table.d.sum())
    if total == 0:
        return np.nan
    if inside in (0, total):
        return 0.0 if inside == 0 else np.inf
    return float(np.exp(efron_log_ratio(table.n_inside, table.n_outside, table.d_inside, table.d)))


def _firth(rows: pd.DataFrame) -> float:
    table = death_tables(rows).informative()
    return float(np.exp(firth_log_ratio(table.n_inside, table.n_outside, table.d_inside, table.d)))


def landmark_ratio(rows: pd.DataFrame, at_h: float | None = None) -> tuple[float, float]:
    """Death-rate ratio after a landmark by where guests were at it (Anderson 1983, J Clin Oncol 1:710).

    Parameters
    ----------
    rows : pandas.DataFrame
        From :func:`death_rows`.
    at_h : float, optional
        Landmark; the middle of the time watched where not given.

    Returns
    -------
    at_h, ratio : float
        Guests that move later stay in their group, so the ratio is drawn towards 1.
    """
    if rows.empty:
        return np.nan, np.nan
    at = float((rows["start_h"].min() + rows["stop_h"].max()) / 2) if at_h is None else at_h
    present = rows[(rows["start_h"] <= at) & (rows["stop_h"] > at)]
    group = present.drop_duplicates(["position", "guest_id"]).set_index(["position", "guest_id"])["inside"]
    later = rows[rows["stop_h"] > at].set_index(["position", "guest_id"])
    later = later[later.index.isin(group.index)]
    where = group.reindex(later.index).to_numpy(np.int64)
    hours = (later["stop_h"] - later["start_h"].clip(lower=at)).to_numpy(np.float64)
    died = later["died"].to_numpy(np.float64)
    deaths, exposure = (np.bincount(where, v, minlength=2) for v in (died, hours))
    if exposure.min() <= 0 or deaths[0] == 0:
        return at, np.nan
    return at, float((deaths[1] / exposure[1]) / (deaths[0] / exposure[0]))


def unknown_share(frames: pd.DataFrame, place: Literal["inside", "outside"]) -> float:
    """Share of frames inside, or outside, in which no marker could tell alive from dead."""
    here = frames[(frames["location"] == "inside") if place == "inside" else frames["location"].isin(OUTSIDE)]
    return float((here["viability"] == "unknown").mean()) if len(here) else 0.0


def _had_lost_died(rows: pd.DataFrame, frames: pd.DataFrame, inside: int) -> tuple[float, int]:
    """Hazard ratio had every guest lost inside (1) or outside (0) died when it was lost, and how many were lost there.

    Lost is who was last seen alive before its position's movie ended: tracks lost, and guests that left the field.
    """
    key = ["position", "guest_id"]
    last = frames.sort_values("frame", kind="stable").drop_duplicates(key, keep="last")
    ended = last["time_h"] < last["position"].map(frames.groupby("position")["time_h"].max()) - 1e-9
    gone = pd.MultiIndex.from_frame(last.loc[ended & (last["viability"] != "dead"), key])
    final = rows.sort_values("stop_h", kind="stable").drop_duplicates(key, keep="last")
    lost = final.index[pd.MultiIndex.from_frame(final[key]).isin(gone) & (final["inside"] == inside).to_numpy()]
    return _estimate(rows.assign(died=rows["died"].astype(bool) | rows.index.isin(lost))), len(lost)


def _marker_blind(
    rows: pd.DataFrame, frames: pd.DataFrame, unit_of: pd.Series, unit: Unit, level: float
) -> HazardRatio:
    """Deaths inside unseen: no ratio, but limits from the case that none of unknown fate died to that all did."""
    unknown = unknown_share(frames, "inside")
    note = f"refused: the death marker cannot tell in {unknown:.0%} of guest frames inside, so deaths there are unseen"
    inside = int((rows["died"] & (rows["inside"] == 1)).sum())
    nan = np.nan
    refused = HazardRatio(
        nan, nan, nan, nan, 0, inside, int(rows["died"].sum()) - inside, nan, nan, nan, nan, nan, nan, "refused", note
    )
    outside = unknown_share(frames, "outside")
    if outside > MAX_UNKNOWN_SHARE:
        why = f"no bounds: nor can it tell in {outside:.0%} of guest frames outside"
        return replace(refused, note=join_notes(note, why))
    n = len(unknown_fates(frames, unresolved_inside=True))
    none, all_ = (_with_unit(death_rows(f(frames)), unit_of) for f in (had_none_died, had_all_died))
    low, high, of = _outer_limits(none, all_, unit, level)
    if low <= 0 and not np.isfinite(high):
        why = "no bounds: deaths seen outside are too few to bound the ratio"
        return replace(refused, note=join_notes(note, why))
    said = f"between {low:.2g} (none of the {n} of unknown fate died) and {high:.2g} (all did, as early as they could)"
    return replace(refused, bound_low=low, bound_high=high, note=join_notes(note, f"{said}, limits that hold {of}"))


def _outer_limits(none: pd.DataFrame, all_: pd.DataFrame, unit: Unit, level: float) -> tuple[float, float, str]:
    """Lower limit of one case and upper limit of the other, over units where two carry it, and what they hold."""
    tables = [death_tables(rows[rows["unit"] != ""] if unit != "none" else rows) for rows in (none, all_)]
    if unit != "none":
        found = [hazard_over_units(t, unit, level) for t in tables]
        if found[1].n_units >= 2:
            low = found[0].low if found[0].n_units >= 2 else 0.0
            return low, found[1].high, f"the spread between {found[1].n_units} {unit}s"
    each = [limits_within(t, level) for t in tables]
    return each[0][0], each[1][1], "counting error only"


def units_by_position(layout: pd.DataFrame, unit: Unit) -> pd.Series:
    """Unit of each position, empty text where unknown."""
    values: npt.NDArray[np.object_] = (
        np.full(len(layout), "", dtype=object) if unit == "none" else layout[unit].to_numpy(object)
    )
    return pd.Series(values, index=layout["position"])
