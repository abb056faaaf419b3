"""Counts and denominators of every estimand per position: what is at risk of what.

Everything is additive, so that wells, donors and conditions are sums of positions. Each estimand has three pairs of
counts and denominators: as scored, with all unresolved person-time outside, and with all of it inside.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from cicimage.states import OUTSIDE
from cicimage.statistics.host_time import host_time
from cicimage.statistics.spells import contact_onsets, last_states, possible_entries
from cicimage.statistics.unseen_deaths import hours_in_doubt, unknown_fates

MIN_P: Final = 0.5
DOUBT: Final = 0.1
"""Events are in doubt that are more than this from certain, either way: one bound leaves them out, the other takes
them in."""

COLUMNS: Final = (
    "events", "events_p", "denominator", "events_outside", "denominator_outside", "events_inside",
    "denominator_inside", "events_sq", "n_guests", "n_hosts",
)  # fmt: skip


def counted_events(
    events: pd.DataFrame, *, brief: bool = False, prevalent: bool = False, min_p: float = MIN_P
) -> pd.DataFrame:
    """Events that count: believed (p >= 0.5), not excluded, completed; brief and prevalent ones only where asked."""
    keep = (events["p"] >= min_p) & (events["excluded_reason"].fillna("") == "") & events["entry_frame"].notna()
    if not brief:
        keep &= ~events["brief"].astype(bool)
    if not prevalent:
        keep &= ~events["prevalent"].astype(bool)
    return events[keep]


def tally(
    events: pd.DataFrame, guests: pd.DataFrame, hosts: pd.DataFrame, frames: pd.DataFrame, layout: pd.DataFrame
) -> pd.DataFrame:
    """Count every estimand but the cumulative incidence, per position.

    Parameters
    ----------
    events, guests, hosts, frames : pandas.DataFrame
        Tables of those names.
    layout : pandas.DataFrame
        Completed layout; only its positions count.

    Returns
    -------
    pandas.DataFrame
        One row per estimand and position with the columns ``events`` (as scored), ``events_p`` (sum of the events'
        probabilities; empty where they carry none), ``denominator`` (hours, or number for shares), the pairs
        ``*_outside`` and ``*_inside`` of the two bounds, ``events_sq`` (sum of squares, for the mean per host),
        ``n_guests``, ``n_hosts``.
    """
    count, tables = Counter(layout), Tables(events, guests, hosts, frames, layout)
    for add in _COUNTING:
        add(count, tables)
    return count.table()


class Tables(NamedTuple):
    """Tables that estimands are counted from; the layout is complete."""

    events: pd.DataFrame
    guests: pd.DataFrame
    hosts: pd.DataFrame
    frames: pd.DataFrame
    layout: pd.DataFrame


_COUNTING: Final[list[Callable[[Counter, Tables], None]]] = []


def counts(function: Callable[[Counter, Tables], None]) -> Callable[[Counter, Tables], None]:
    """Register a function that adds the counts of one or more estimands to a :class:`Counter` (decorator)."""
    _COUNTING.append(function)
    return function


class Counter:
    """Collects one row per estimand and position, zeros where a position has nothing."""

    def __init__(self, layout: pd.DataFrame) -> None:
        self.index = pd.Index(layout["position"].astype(object), name="position")
        self.rows: list[pd.DataFrame] = []

    def number(self, table: pd.DataFrame, weight: str | None = None) -> pd.Series:
        """Rows (or the sum of a column) per position."""
        grouped = table.groupby(table["position"].astype(object), observed=True)
        out = grouped.size() if weight is None else grouped[weight].sum()
        return out.reindex(self.index, fill_value=0).astype(np.float64)

    def add(
        self,
        name: str,
        events: pd.Series,
        denominator: pd.Series,
        *,
        events_p: pd.Series | None = None,
        outside: tuple[pd.Series, pd.Series] | None = None,
        inside: tuple[pd.Series, pd.Series] | None = None,
        events_sq: pd.Series | None = None,
        n_guests: pd.Series | None = None,
        n_hosts: pd.Series | None = None,
    ) -> None:
        """Add an estimand.

        Parameters
        ----------
        name : str
            Of the registry, :data:`cicimage.estimands.ESTIMANDS`.
        events, denominator : pandas.Series
            Numerator and denominator by position.
        events_p : pandas.Series, optional
            Sum of the events' probabilities.
        outside, inside : tuple of pandas.Series, optional
            Numerator and denominator with all unresolved time outside, and inside; the same where not given.
        events_sq : pandas.Series, optional
            Sum of squares, for a mean.
        n_guests, n_hosts : pandas.Series, optional
            Cells behind it.
        """
        low, high = outside or (events, denominator), inside or (events, denominator)
        nothing = pd.Series(0.0, index=self.index)
        columns = {
            "events": events, "events_p": nothing + np.nan if events_p is None else events_p,
            "denominator": denominator, "events_outside": low[0], "denominator_outside": low[1],
            "events_inside": high[0], "denominator_inside": high[1],
            "events_sq": events if events_sq is None else events_sq,
            "n_guests": nothing if n_guests is None else n_guests,
            "n_hosts": nothing if n_hosts is None else n_hosts,
        }  # fmt: skip
        block = pd.DataFrame(columns, index=self.index).reset_index()
        block.insert(0, "estimand", name)
        self.rows.append(block)

    def table(self) -> pd.DataFrame:
        """All rows, one per estimand and position."""
        return pd.concat(self.rows, ignore_index=True)


@counts
def _entries(count: Counter, tables: Tables) -> None:
    events, guests, hosts, frames, _ = tables
    # a dying guest no longer enters: the events step tells these hours apart from all living hours outside
    at_risk = "hours_at_risk_entry" if "hours_at_risk_entry" in guests else "hours_outside_alive"
    outside = count.number(guests, at_risk)
    contact = count.number(guests, "hours_contact")
    unresolved = count.number(guests, "hours_unresolved")
    n, least, most, p = _entry_counts(count, events, frames, brief=False)
    seen = count.number(guests[guests["hours_outside_alive"] + guests["hours_unresolved"] > 0])
    touching = count.number(guests[guests["hours_contact"] > 0])
    host_hours, n_hosts = count.number(hosts, "hours"), count.number(hosts)
    count.add(
        "entry_rate_per_guest_h", n, outside, events_p=p, n_guests=seen,
        outside=(least, outside + unresolved), inside=(most, outside),
    )  # fmt: skip
    m, least_brief, most_brief, p_brief = _entry_counts(count, events, frames, brief=True)
    count.add(
        "entry_rate_incl_brief_per_guest_h", m, outside, events_p=p_brief, n_guests=seen,
        outside=(least_brief, outside + unresolved), inside=(most_brief, outside),
    )  # fmt: skip
    count.add(
        "entry_rate_per_contact_h", n, contact, events_p=p, n_guests=touching,
        outside=(least, contact), inside=(most, contact - unresolved),
    )  # fmt: skip
    count.add(
        "entry_rate_per_host_h", n, host_hours, events_p=p, n_guests=seen, n_hosts=n_hosts,
        outside=(least, host_hours), inside=(most, host_hours),
    )  # fmt: skip
    onsets = count.number(contact_onsets(frames))
    free = (count.number(guests, "hours_outside_alive") - (contact - unresolved)).clip(lower=0)
    count.add("contact_rate_per_guest_h", onsets, free, n_guests=seen)


def _entry_counts(
    count: Counter, events: pd.DataFrame, frames: pd.DataFrame, *, brief: bool
) -> tuple[pd.Series, pd.Series, pd.Series, pd.Series]:
    """Entries per position: counted, at least, at most, and the sum of their p.

    At least those beyond doubt; at most those not ruled out, and what may hide in unresolved frames.
    """
    counted = counted_events(events, brief=brief)
    all_ = counted_events(events, brief=brief, min_p=DOUBT)
    least = count.number(counted_events(events, brief=brief, min_p=1.0 - DOUBT))
    most = count.number(all_) + count.number(possible_entries(frames, all_))
    return count.number(counted), least, most, count.number(counted, "p")


@counts
def _stays(count: Counter, tables: Tables) -> None:
    events, guests = tables.events, tables.guests
    stays = counted_events(events, brief=True, prevalent=True)
    escapes = stays[stays["end_reason"] == "escape"]
    hours, unresolved = count.number(guests, "hours_inside_alive"), count.number(guests, "hours_unresolved")
    n = count.number(escapes)
    count.add(
        "escape_rate_per_h", n, hours, events_p=count.number(escapes, "p"),
        n_guests=count.number(guests[guests["hours_inside_alive"] > 0]),
        outside=(n, hours), inside=(n, hours + unresolved),
    )  # fmt: skip


@counts
def _deaths_and_losses(count: Counter, tables: Tables) -> None:
    guests, frames = tables.guests, tables.frames
    hours_in, hours_out = count.number(guests, "hours_inside_alive"), count.number(guests, "hours_outside_alive")
    unresolved = count.number(guests, "hours_unresolved")
    dead = guests[_seen_to_die(guests)]
    lost = guests[(guests["end_reason"] == "track_lost") & guests["death_frame"].isna()]
    lost = lost.merge(last_states(frames), on=["position", "guest_id"], how="left")
    lost_at = lost["location"].fillna("free").astype(object)
    lost_at = lost_at.mask(lost_at.isin(OUTSIDE), "outside")
    in_guests = count.number(guests[guests["hours_inside_alive"] > 0])
    out_guests = count.number(guests[guests["hours_outside_alive"] > 0])
    for what, table, at in (("death", dead, dead["death_location"]), ("loss", lost, lost_at)):
        inside, outside = count.number(table[at == "inside"]), count.number(table[at == "outside"])
        unknown = count.number(table[at == "unresolved"])
        most = inside + unknown, hours_in + unresolved
        if what == "death":
            most = _most_deaths_inside(count, table[at.isin(("inside", "unresolved"))], frames, most, hours_in)
        count.add(
            f"{what}_rate_inside_per_h", inside, hours_in, n_guests=in_guests, outside=(inside, hours_in), inside=most,
        )  # fmt: skip
        count.add(
            f"{what}_rate_outside_per_h", outside, hours_out, n_guests=out_guests,
            outside=(outside + unknown, hours_out + unresolved), inside=(outside, hours_out),
        )  # fmt: skip


def _most_deaths_inside(
    count: Counter,
    counted: pd.DataFrame,
    frames: pd.DataFrame,
    most: tuple[pd.Series, pd.Series],
    hours_in: pd.Series,
) -> tuple[pd.Series, pd.Series]:
    """Deaths inside and hours had all guests of unknown fate died as early as they could; ``most`` where none is.

    Unresolved time then stays outside: over more hours the same deaths would be no upper bound.
    """
    fates = unknown_fates(frames, unresolved_inside=True)
    if fates.empty:
        return most
    key = ["position", "guest_id"]
    unseen = fates[~pd.MultiIndex.from_frame(fates[key]).isin(pd.MultiIndex.from_frame(counted[key]))]
    hours = hours_in - count.number(hours_in_doubt(frames, fates), "hours")
    return most[0] + count.number(unseen), hours.clip(lower=0.0)


def _seen_to_die(cells: pd.DataFrame) -> pd.Series:
    """Died while watched: who was dead when first seen gave no time at risk, so its death counts nowhere."""
    return cells["death_frame"].notna() & (cells["death_frame"] > cells["first_frame"])


def death_left_out(cells: pd.DataFrame, begins: pd.Series | None = None) -> pd.Series:
    """Why a death stands in a table of cells and in no rate; empty where it counts, or nobody died.

    Parameters
    ----------
    cells : pandas.DataFrame
        Table ``guests`` or ``hosts``.
    begins : pandas.Series, optional
        First frame from time zero on by position, of positions filmed before it
        (:func:`cicimage.statistics.time_zero.first_frames`).

    Returns
    -------
    pandas.Series of str
        ``dead_when_first_seen``: no time at risk; ``before_time_zero``: dead in the first frame from time zero on;
        ``place_unresolved``: neither inside nor outside, in the bounds only.
    """
    died = cells["death_frame"].notna()
    why = pd.Series("", index=cells.index, dtype=object).mask(died & ~_seen_to_die(cells), "dead_when_first_seen")
    if begins is not None:
        by_then = cells["death_frame"] <= cells["position"].map(begins)
        why = why.mask((why == "") & by_then, "before_time_zero")
    if "death_location" in cells:
        why = why.mask((why == "") & died & (cells["death_location"] == "unresolved"), "place_unresolved")
    return why


@counts
def _hosts(count: Counter, tables: Tables) -> None:
    hosts, frames = tables.hosts, tables.frames
    n = count.number(hosts)
    died = count.number(hosts[_seen_to_die(hosts)])
    count.add("host_death_rate_per_h", died, count.number(hosts, "hours"), n_hosts=n)
    split = host_time(hosts, frames)
    for side in ("with", "without"):
        deaths = count.number(split[split[f"died_{side}"]])
        count.add(f"host_death_rate_{side}_guest_per_h", deaths, count.number(split, f"hours_{side}"), n_hosts=n)
    most = hosts.assign(most_sq=hosts["n_guests_max"].astype(np.float64) ** 2)
    held = count.number(most[most["n_guests_max"] > 0])
    count.add("hosts_with_guest_fraction", held, n, n_hosts=n)
    count.add(
        "guests_per_host", count.number(most, "n_guests_max"), n, n_hosts=n, events_sq=count.number(most, "most_sq")
    )


@counts
def _releases(count: Counter, tables: Tables) -> None:
    """Guests inside when their host died, and those of them alive when last seen."""
    events, guests = tables.events, tables.guests
    stays = counted_events(events, brief=True, prevalent=True)
    freed = stays[stays["end_reason"] == "host_death"].drop_duplicates(["position", "guest_id"])
    fate = freed.merge(guests[["position", "guest_id", "death_frame"]], on=["position", "guest_id"], how="left")
    n = count.number(fate)
    count.add("survival_after_release_fraction", count.number(fate[fate["death_frame"].isna()]), n, n_guests=n)


@counts
def _occupancy(count: Counter, tables: Tables) -> None:
    """Locations of living guests in the last frame that every position still has."""
    frames, layout = tables.frames, tables.layout
    mine = frames[frames["position"].isin(layout["position"])]
    horizon = common_end_h(mine)
    early = mine[mine["time_h"] <= horizon + 1e-9]
    last = early[early["frame"] == early.groupby("position")["frame"].transform("max")]
    last = last[last["viability"] != "dead"]
    inside = count.number(last[last["location"] == "inside"])
    unresolved = count.number(last[last["location"] == "unresolved"])
    total = count.number(last)
    count.add(
        "inside_occupancy_end", inside, total - unresolved, events_p=count.number(last, "p_inside"), n_guests=total,
        outside=(inside, total), inside=(inside + unresolved, total),
    )  # fmt: skip


def common_end_h(frames: pd.DataFrame) -> float:
    """Last time that every position still shows, hours since time zero; NaN without frames."""
    if frames.empty:
        return float("nan")
    return float(frames.groupby("position")["time_h"].max().min())
