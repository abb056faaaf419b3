"""Columns, units and keys of every table, and their check.

A table is a :class:`pandas.DataFrame` whose columns are declared here once. What a step returns goes through
:func:`conform`, which orders columns, sets dtypes and refuses what does not fit; more columns than declared
are kept behind the declared ones (evidence, factors).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import pandas as pd

from cicimage.errors import CicimageError

SCHEMA_VERSION: Final = 1

Dtype = Literal["int64", "float64", "string", "bool"]

LOCATIONS: Final = ("free", "attached", "entering", "inside", "unresolved")
CONTACTS: Final = ("none", "on_top", "under", "lateral", "between", "unresolved")
VIABILITIES: Final = ("alive", "dying", "dead", "unknown")
END_REASONS: Final = (
    "death", "escape", "aborted", "host_death", "host_lost", "edge", "track_lost", "movie_end",
)  # fmt: skip
SCORES: Final = ("entering", "surviving", "dying", "")


@dataclass(frozen=True)
class Column:
    """One column: its name, dtype, whether it may be empty, and what it holds (with the unit)."""

    name: str
    dtype: Dtype
    doc: str
    nullable: bool = False
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """A table's name, columns and key."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    by_name: Mapping[str, Column] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {c.name: c for c in self.columns})


def _i(name: str, doc: str) -> Column:
    return Column(name, "int64", doc)


def _f(name: str, doc: str, *, nullable: bool = True) -> Column:
    return Column(name, "float64", doc, nullable)


def _s(name: str, doc: str, values: Iterable[str] = (), *, nullable: bool = False) -> Column:
    return Column(name, "string", doc, nullable, tuple(values))


def _b(name: str, doc: str) -> Column:
    return Column(name, "bool", doc)


_POSITION = _s("position", "field of view, unique in the experiment")
_DESIGN = (
    _POSITION,
    _s("condition", "treatment as named by folder or layout"),
    _s("replicate", "well, unique within its condition"),
    _s("donor", "donor of the guests, the unit of replication; empty where unknown"),
)
_WHEN = (_i("frame", "0-based frame"), _f("time_h", "hours since time zero", nullable=False))
_WHERE = (
    _f("y_um", "centroid in the raw frame, um; centre of pixel (0, 0) is 0", nullable=False),
    _f("x_um", "centroid in the raw frame, um", nullable=False),
    _f("z_um", "centroid above the first slice, um; empty in 2D"),
)
_REVIEWED = Column("reviewed", "bool", "a human decided about this row", nullable=True)

CELLS = Table(
    "cells",
    (
        _POSITION, *_WHEN,
        _s("population", "population the cell was segmented as"),
        _i("label", "object number within this frame and population; 0 in a filled gap"),
        _i("cell_id", "the same cell over time, unique in the position across populations"),
        _i("parent_id", "cell it divided from, 0 = none"),
        _b("observed", "false in a filled gap"),
        *_WHERE,
        _f("area_um2", "area of the projected mask, um2"),
        _f("z_extent_um", "axial extent (full width), um; empty in 2D"),
        _f("intensity", "own channel's mean over the mask above background, counts"),
        _f("snr", "the same over the channel's noise SD per pixel"),
        _f("death_signal", "death marker's mean over the body above background, in noise SD; empty without marker"),
        _f("death_fill", "share of the body over the marker's threshold, 0-1"),
        _b("touches_border", "mask touches the frame's border"),
        _REVIEWED,
    ),
    ("position", "frame", "cell_id"),
)  # fmt: skip

PAIRS = Table(
    "pairs",
    (
        _POSITION, *_WHEN,
        _i("guest_id", "cell_id of the guest"),
        _i("host_id", "cell_id of the host"),
        _i("guest_label", "label of the guest in this frame"),
        _i("host_label", "label of the host in this frame"),
        _f("footprint_share", "share of the guest's footprint within the host's mask, 0-1"),
        _f("gap_um", "edge-to-edge distance in projection, um; 0 where they overlap"),
        _f("ring_coverage", "share of the ring around the guest that carries this host's signal, 0-1"),
        _f("cap", "host signal in the shell above the guest over its side reference, 0 = none, 1 = as beside"),
        _f("cap_se", "standard error of cap from photon noise"),
        _f("floor", "the same below the guest"),
        _f("floor_se", "standard error of floor"),
        _f("void", "relative drop of host signal at the guest against its ring, 0 = none, 1 = empty"),
        _f("void_se", "standard error of void"),
        _f("z_in_host", "guest centre between the host's local bottom (0) and top (1)"),
        _f("host_signal", "host signal beside the guest over its noise SD"),
    ),
    ("position", "frame", "guest_id", "host_id"),
)  # fmt: skip

FRAMES = Table(
    "frames",
    (
        _POSITION, *_WHEN,
        _i("guest_id", "cell_id of the guest"),
        _i("label", "label of the guest in this frame; 0 in a filled gap"),
        _b("observed", "false in a filled gap"),
        *_WHERE,
        _f("area_um2", "projected area, um2"),
        _s("location", "where the guest is", LOCATIONS),
        _s("contact", "how it touches a host", CONTACTS),
        _s("viability", "alive, dying, dead, or unknown where no marker could tell", VIABILITIES),
        _i("host_id", "the most likely host, 0 = none"),
        _f("p_inside", "probability that it is inside a host", nullable=False),
        _f("p_dead", "probability that it is dead; empty where no marker could tell"),
        _REVIEWED,
    ),
    ("position", "frame", "guest_id"),
)  # fmt: skip

EVENTS = Table(
    "events",
    (
        _s("event_id", "position and running number"),
        *_DESIGN,
        _i("guest_id", "cell_id of the guest"),
        _i("host_id", "cell_id of the host"),
        _i("start_frame", "first frame entering"),
        Column("entry_frame", "float64", "first frame inside; empty if never", nullable=True),
        Column("entry_after_frame", "float64", "last frame not inside: entry lies between", nullable=True),
        _i("end_frame", "last frame of the event"),
        _s("end_reason", "why it ended", END_REASONS),
        _s("score", "entering (begun, not completed), surviving, dying; empty if excluded", SCORES),
        _s("excluded_reason", "why it is not scored, e.g. dead_before_entry"),
        _b("outcome_known", "false where the guest was lost"),
        _f("p", "probability that this event is real", nullable=False),
        _f("y_um", "guest at entry_frame, else start_frame, um", nullable=False),
        _f("x_um", "guest at entry_frame, else start_frame, um", nullable=False),
        _b("prevalent", "inside when first seen at the movie's start: no entry was watched"),
        _b("brief", "inside for less than the persistence asked of an entry"),
        _b("reviewed", "a human decided"),
    ),
    ("event_id",),
)  # fmt: skip

GUESTS = Table(
    "guests",
    (
        *_DESIGN,
        _i("guest_id", "cell_id"),
        _i("first_frame", "first frame seen"),
        _i("last_frame", "last frame seen"),
        _s("start_reason", "movie_start | edge | division | appeared"),
        _s("end_reason", "movie_end | edge | division | track_lost | death"),
        Column("death_frame", "float64", "first frame dead; empty if alive", nullable=True),
        _s("death_location", "inside | outside | unresolved; empty if alive"),
        _s(
            "death_left_out",
            "why no rate has its death: dead_when_first_seen, before_time_zero, place_unresolved (in bounds only)",
            nullable=True,
        ),
        _i("n_events", "cell-in-cell events of this guest"),
        _f("hours_outside_alive", "free, attached or entering and not dead", nullable=False),
        _f("hours_contact", "attached, entering or unresolved and not dead", nullable=False),
        _f("hours_inside_alive", "inside and not dead", nullable=False),
        _f("hours_unresolved", "unresolved and not dead", nullable=False),
        _i("parent_id", "cell it divided from, 0 = none"),
        _REVIEWED,
    ),
    ("position", "guest_id"),
)  # fmt: skip

HOSTS = Table(
    "hosts",
    (
        *_DESIGN,
        _i("host_id", "cell_id"),
        _i("first_frame", "first frame seen"),
        _i("last_frame", "last frame seen"),
        _s("end_reason", "movie_end | edge | division | track_lost | death"),
        _f("hours", "hours watched", nullable=False),
        Column("death_frame", "float64", "first frame dead; empty if alive", nullable=True),
        _s("death_left_out", "why its death is in no rate: dead_when_first_seen, before_time_zero", nullable=True),
        _i("n_guests_max", "most guests inside at once"),
        _i("n_entries", "completed entries"),
        _i("parent_id", "cell it divided from, 0 = none"),
        _REVIEWED,
    ),
    ("position", "host_id"),
)  # fmt: skip

DRIFT = Table(
    "drift",
    (
        _POSITION, _i("frame", "0-based frame"),
        _f("dy_um", "content of this frame lies this much further down than in frame 0, um", nullable=False),
        _f("dx_um", "the same to the right, um", nullable=False),
        _f("quality", "correlation of the registration, 0-1"),
    ),
    ("position", "frame"),
)  # fmt: skip

QC = Table(
    "qc",
    (
        _POSITION, *_WHEN,
        _s("channel", "channel name"),
        _f("background", "background level, counts"),
        _f("noise_sd", "noise SD per pixel at background, counts"),
        _f("signal", "99th percentile above background, counts"),
        _f("saturated_share", "share of pixels at the dtype's or camera's maximum, 0-1"),
        _f("sharpness", "normalised gradient energy; falls with defocus"),
        _f("bleach_factor", "signal left against frame 0 as estimated, 1 = none lost"),
        _s("flag", "empty, or what is wrong with this frame (constant, saturated, not finite, missing, defocused)"),
    ),
    ("position", "frame", "channel"),
)  # fmt: skip

_RATE_BODY = (
    _f("estimate", "the estimate in `unit`"),
    _f("ci_low", "lower 95 % limit"),
    _f("ci_high", "upper 95 % limit"),
    _f("bound_low", "estimate with all unresolved person-time outside, of events only those beyond doubt"),
    _f("bound_high", "estimate with unresolved time inside, all events not ruled out, all of unknown fate inside dead"),
    _s("unit", "unit of the estimate"),
    _f("events", "events counted (p >= 0.5)"),
    _f("events_p", "sum of the events' probabilities"),
    _f("exposure_h", "person-time in hours"),
    _i("n_guests", "guests contributing"),
    _i("n_hosts", "hosts contributing"),
    _i("n_positions", "positions contributing"),
    _i("n_replicates", "wells contributing"),
    _i("n_donors", "donors contributing; 0 = unknown"),
    _s("method", "how it was estimated"),
    _s("note", "what a reader must know; empty if nothing"),
)
RATES = Table(
    "rates",
    (
        _s("estimand", "what was estimated"), _s("condition", "treatment"), *_RATE_BODY,
        _f("doubt_low", "lower 95 % limit with the doubt about single events; entry rates only"),
        _f("doubt_high", "upper 95 % limit with the doubt about single events; entry rates only"),
        _f("pooled_estimate", "the same of all cells pooled: donors weigh by their cells or hours, not alike"),
    ),
    ("estimand", "condition"),
)  # fmt: skip
RATES_BY_REPLICATE = Table(
    "rates_by_replicate",
    (
        _s("estimand", "what was estimated"), _s("condition", "treatment"),
        _s("donor", "donor; empty where unknown"), _s("experiment", "independent experiment; empty where unknown"),
        _s("replicate", "well"), *_RATE_BODY,
    ),
    ("estimand", "condition", "donor", "experiment", "replicate"),
)  # fmt: skip
COMPARISONS = Table(
    "comparisons",
    (
        _s("estimand", "what was compared"),
        _s("condition", "treatment"),
        _s("reference", "against what"),
        _f("ratio", "estimate over reference"),
        _f("ci_low", "lower 95 % limit"),
        _f("ci_high", "upper 95 % limit"),
        _f("p_value", "two-sided; empty where no test can be made"),
        _f("p_adjusted", "adjusted over the comparisons of the estimand (Bonferroni)"),
        _s("unit_of_replication", "donor | experiment | none"),
        _i("n_pairs", "pairs (or units) that carried the comparison"),
        _s("method", "how it was compared"),
        _s("note", "what a reader must know; empty if nothing"),
        _f("ci_low_simultaneous", "lower limit that holds, at 95 %, for all comparisons of the estimand at once"),
        _f("ci_high_simultaneous", "upper limit of the same; a difference is claimed where both lie on one side of 1"),
    ),
    ("estimand", "condition"),
)  # fmt: skip

CURVES = Table(
    "curves",
    (
        _s("curve", "entry_cumulative_incidence | occupancy | residence"),
        _s("condition", "treatment"),
        _s("donor", "donor; empty for all donors together", nullable=True),
        _s("state", "what the probability is of: entry, death_outside; a location; inside, escape, death"),
        _f("time_h", "hours since time zero; since the completed entry for residence", nullable=False),
        _f("estimate", "probability from this time on, 0-1 (a step function)", nullable=False),
        _f("ci_low", "lower 95 % limit"),
        _f("ci_high", "upper 95 % limit"),
        _f("at_risk", "guests (or stays) under observation just before this time"),
        _f("events", "events of this state up to and including this time"),
        _s("method", "how it was estimated", nullable=True),
        _s("note", "what a reader must know; empty if nothing", nullable=True),
    ),
    ("curve", "condition", "donor", "state", "time_h"),
)  # fmt: skip
COUNTS = Table(
    "counts",
    (
        _POSITION, *_WHEN,
        _s("population", "population of the cells"),
        _i("n", "cells seen in this frame"),
    ),
    ("position", "frame", "population"),
)  # fmt: skip
DOSE_RESPONSE = Table(
    "dose_response",
    (
        _s("estimand", "what was estimated"),
        _s("drug", "what the dose is of"),
        _s("kind", "measured, or a point of the fitted curve", ("measured", "fit")),
        _s("donor", "donor; empty for all donors together", nullable=True),
        _f("dose", "dose in `dose_unit`; 0 = none", nullable=False),
        _s("dose_unit", "unit of the dose"),
        _f("estimate", "the estimate in `unit`"),
        _f("ci_low", "lower 95 % limit"),
        _f("ci_high", "upper 95 % limit"),
        _s("unit", "unit of the estimate"),
    ),
    ("estimand", "drug", "kind", "donor", "dose"),
)  # fmt: skip
DOSE_FITS = Table(
    "dose_fits",
    (
        _s("estimand", "what was estimated"),
        _s("drug", "what the dose is of"),
        _s("dose_unit", "unit of the dose"),
        _f("ic50", "dose of half the effect; empty where it lies outside the doses tried"),
        _f("ci_low", "lower 95 % limit"),
        _f("ci_high", "upper 95 % limit"),
        _f("hill", "slope"),
        _i("n_doses", "doses that carried the fit"),
        _i("n_donors", "donors contributing; 0 = unknown"),
        _s("method", "how it was fitted"),
        _s("note", "what a reader must know; empty if nothing"),
    ),
    ("estimand", "drug"),
)  # fmt: skip

TABLES: Final[Mapping[str, Table]] = {
    t.name: t
    for t in (
        CELLS, PAIRS, FRAMES, EVENTS, GUESTS, HOSTS, DRIFT, QC, RATES, RATES_BY_REPLICATE, COMPARISONS,
        CURVES, COUNTS, DOSE_RESPONSE, DOSE_FITS,
    )
}  # fmt: skip


def empty(table: Table) -> pd.DataFrame:
    """Return the table without rows, every column in its dtype.

    Examples
    --------
    >>> list(empty(DRIFT).columns)
    ['position', 'frame', 'dy_um', 'dx_um', 'quality']
    """
    return pd.DataFrame({c.name: pd.Series([], dtype=_pandas_dtype(c)) for c in table.columns})


def conform(table: Table, rows: pd.DataFrame) -> pd.DataFrame:
    """Order the columns, set their dtypes and check values and key.

    Parameters
    ----------
    table : Table
        The declaration.
    rows : pandas.DataFrame
        Rows with at least the columns that may not be empty. Missing nullable columns are filled with
        missing values; columns that are not declared are kept behind the declared ones.

    Returns
    -------
    pandas.DataFrame
        A new frame with a fresh index.

    Raises
    ------
    CicimageError
        A column is missing, holds missing or foreign values, or the key repeats.
    """
    columns: dict[str, pd.Series] = {}
    for column in table.columns:
        if column.name in rows:
            columns[column.name] = _cast(table, column, rows[column.name]).reset_index(drop=True)
        elif column.nullable:
            columns[column.name] = pd.Series([None] * len(rows), dtype=_pandas_dtype(column))
        else:
            raise CicimageError(f"table {table.name}: column {column.name!r} is missing; it must hold {column.doc}")
    for name in rows.columns:
        if name not in columns:
            columns[str(name)] = rows[name].reset_index(drop=True)
    out = pd.DataFrame(columns)
    if table.key and out.duplicated(list(table.key)).any():
        twice = out.loc[out.duplicated(list(table.key)), list(table.key)].iloc[0].to_dict()
        raise CicimageError(f"table {table.name}: key {twice} occurs twice; each key may occur once")
    return out


def _pandas_dtype(column: Column) -> str:
    return "object" if column.dtype == "string" else column.dtype


def _cast(table: Table, column: Column, values: pd.Series) -> pd.Series:
    if column.dtype == "string":
        cast = values.astype(object)
        if pd.api.types.infer_dtype(cast, skipna=False) not in ("string", "empty"):
            cast = cast.where(values.notna(), "").astype(str).astype(object)
        if column.values:
            foreign = set(cast.unique()) - set(column.values)
            if foreign:
                raise CicimageError(
                    f"table {table.name}: column {column.name!r} holds {sorted(foreign)[0]!r}; "
                    f"allowed are {', '.join(column.values)}"
                )
        return cast
    if column.dtype == "bool" and column.nullable:
        return values.eq(True).astype("bool")  # an empty mark is no mark
    if column.dtype != "float64" and values.isna().any():
        raise CicimageError(f"table {table.name}: column {column.name!r} has missing values; it must hold {column.doc}")
    cast = values.astype(column.dtype)
    if column.dtype == "float64" and not column.nullable and cast.isna().any():
        raise CicimageError(f"table {table.name}: column {column.name!r} has missing values; it must hold {column.doc}")
    return cast
