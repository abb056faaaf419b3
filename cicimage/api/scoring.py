"""Evidence over time becomes states, events and rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from cicimage.api.inputs import as_method, as_optics
from cicimage.api.tracking import as_drift, times_s
from cicimage.containment.evidence import COLUMNS as EVIDENCE
from cicimage.errors import ConfigurationError, nearest
from cicimage.estimands import ENTRY_RATE
from cicimage.experiment.schema import MarkerSection, PopulationSection, Stain
from cicimage.methods import Optics, Scorer
from cicimage.pipeline.collect import CLOCKED, answers, with_design
from cicimage.pipeline.judge import Judgement, judge
from cicimage.pipeline.setting import Setting
from cicimage.statistics.design import complete_layout
from cicimage.tables import CELLS, TABLES, conform, empty

DeathMarker = Literal["pi", "sytox", "annexin_v", "caspase", "other"]
_TRACKED: Final = ("frame", "time_h", "label", "cell_id", "parent_id", "observed", "y_um", "x_um", "area_um2")


class Scored(Protocol):
    """Base tables of one position, as :func:`score` and :func:`~cicimage.api.whole.run` return them."""

    @property
    def events(self) -> pd.DataFrame:
        """Cell-in-cell events."""

    @property
    def guests(self) -> pd.DataFrame:
        """One row per guest."""

    @property
    def hosts(self) -> pd.DataFrame:
        """One row per host."""

    @property
    def frames(self) -> pd.DataFrame:
        """One row per guest and frame."""

    @property
    def cells(self) -> pd.DataFrame:
        """One row per cell and frame."""


def score(
    evidence: pd.DataFrame | Sequence[pd.DataFrame],
    guests: pd.DataFrame,
    hosts: pd.DataFrame,
    optics: Optics | float,
    *,
    interval_s: float | Sequence[float] | npt.NDArray[np.float64],
    death_marker: DeathMarker | None = None,
    host_stain: Stain = "cytosol",
    method: Scorer | str = "markov",
) -> Judgement:
    """Infer where every guest is in every frame, and the cell-in-cell events.

    Parameters
    ----------
    evidence : DataFrame with column ``frame``, or a sequence of DataFrames, one per frame
        As from :func:`~cicimage.api.containment.measure_containment`.
    guests, hosts : pandas.DataFrame
        Cells over time, as from :func:`~cicimage.api.tracking.track`: frame, label, cell_id, y_um, x_um, area_um2 at
        least. Ids of guests and hosts may be the same numbers.
    optics : Optics or float
        As in :func:`~cicimage.api.containment.measure_containment`.
    interval_s : float or (T,) sequence of float
        Seconds between frames, or the time of each; with one number the movie ends with the last frame that holds a
        cell.
    death_marker : str, optional
        Kind of the marker behind ``death_signal`` and ``death_fill``, where the tables have them.
    host_stain : {"cytosol", "membrane", "nucleus", "none"}
        What of the hosts their channel shows.
    method : Scorer or str
        The scorer, or its name.

    Returns
    -------
    Judgement
        Tables ``frames`` (location, viability and probability of every guest and frame), ``events``, ``guests``,
        ``hosts``, ``pairs``, ``cells``, and ``optics``: which states the optics can separate. Column ``position`` is
        empty. Hosts keep their order; their ids follow those of the guests.

    Raises
    ------
    ConfigurationError
        Missing columns, or evidence that names a frame which is not there.
    """
    found = as_optics(optics)
    seen = evidence if isinstance(evidence, pd.DataFrame) else _stacked(evidence)
    _require(seen, ("frame", *EVIDENCE), "evidence", "measure_containment")
    for name, table in (("guests", guests), ("hosts", hosts)):
        _require(table, tuple(c for c in _TRACKED if c not in ("time_h", "parent_id", "observed")), name, "track")
    single = np.ndim(interval_s) == 0
    n_frames = 1 + int(max((t["frame"].max() for t in (seen, guests, hosts) if len(t)), default=0))
    time_s = times_s(interval_s, n_frames if single else len(np.asarray(interval_s)))
    if n_frames > len(time_s):
        raise ConfigurationError(
            f"frame {n_frames - 1} must have a time, interval_s gives {len(time_s)}; give the time of every frame"
        )
    setting = _setting(found, time_s, death_marker, host_stain)
    cells = _together(guests, hosts, time_s / 3600.0)
    scorer: Scorer = as_method("score", method, Scorer)  # type: ignore[type-abstract]
    return judge(cells, seen, as_drift(None, len(time_s)), setting, scorer, 0.0, "")


def rates(
    scored: Mapping[str, Scored], design: pd.DataFrame, *, reference: str | None = None, primary: str = ENTRY_RATE
) -> dict[str, pd.DataFrame]:
    """Compute rates and shares per condition, and their comparison with a reference; the donor is n.

    Parameters
    ----------
    scored : mapping of str to Judgement or Analysis
        Scored movies by name of their position.
    design : pandas.DataFrame
        One row per position: ``position`` and ``condition`` at least; ``donor``, ``replicate``, ``experiment`` where
        known; ``dose`` and ``dose_unit``.
    reference : str, optional
        Condition to compare the others with; no comparison without.
    primary : str
        Estimand that was named before the data were looked at.

    Returns
    -------
    dict of str to pandas.DataFrame
        ``rates``, ``rates_by_replicate``, ``comparisons``, ``curves``, ``dose_response``, ``dose_fits``.

    Raises
    ------
    ConfigurationError
        A position without design or design without position, or a reference that is no condition.
    """
    layout = complete_layout(design)
    unknown = sorted(set(scored) ^ set(layout["position"]))
    if unknown or not scored:
        raise ConfigurationError(
            f"design must have one row for every scored position, {unknown[0] if unknown else 'none'!r} is in one of "
            "the two alone; name the positions alike"
        )
    if reference is not None and reference not in set(layout["condition"]):
        raise ConfigurationError(
            f"reference {reference!r} must be a condition of the design; {nearest(reference, set(layout['condition']))}"
        )
    by_position = layout.set_index("position")
    base = {"qc": empty(TABLES["qc"])}
    for name in ("events", "guests", "hosts", *(c for c in CLOCKED if c != "qc")):
        parts = [
            with_design(name, position, table, by_position)
            for position, one in scored.items()
            if len(table := getattr(one, name))
        ]
        base[name] = conform(TABLES[name], pd.concat(parts, ignore_index=True)) if parts else empty(TABLES[name])
    return answers(base, layout, reference, primary)


def _stacked(evidence: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """One table of the frames' evidence, the frame beside."""
    if not len(evidence):
        return pd.DataFrame(columns=["frame", *EVIDENCE])
    return pd.concat([table.assign(frame=t) for t, table in enumerate(evidence)], ignore_index=True)


def _require(table: pd.DataFrame, columns: Sequence[str], name: str, source: str) -> None:
    missing = [c for c in columns if c not in table]
    if missing:
        raise ConfigurationError(
            f"{name} must have the column {missing[0]!r}, it has {', '.join(map(str, table.columns)) or 'none'}; "
            f"cic.{source} returns such a table"
        )


def _setting(
    optics: Optics, time_s: npt.NDArray[np.float64], death_marker: DeathMarker | None, host_stain: Stain
) -> Setting:
    populations = {
        "host": PopulationSection(channel=0, roles=("host",), stain=host_stain, diameter_um=(50.0, 150.0)),
        "guest": PopulationSection(channel=1, roles=("guest",), diameter_um=(6.0, 12.0)),
    }
    markers = {} if death_marker is None else {"death": MarkerSection(channel=2, kind=death_marker)}
    channel_of = {"host": 0, "guest": 1} | dict.fromkeys(markers, 2)
    channels = tuple(channel_of.values())
    names = tuple(channel_of)
    return Setting(optics, time_s, populations, markers, channel_of, channels, names, {})


def _together(guests: pd.DataFrame, hosts: pd.DataFrame, time_h: npt.NDArray[np.float64]) -> pd.DataFrame:
    """Cells of both populations in one table, hosts numbered after the guests; what is not known is empty."""
    offset = int(guests["cell_id"].max()) if len(guests) else 0
    later = hosts["cell_id"].to_numpy() + offset
    parents = hosts["parent_id"] if "parent_id" in hosts else pd.Series(0, index=hosts.index)
    parts = (
        guests.assign(population="guest"),
        hosts.assign(population="host", cell_id=later, parent_id=parents.where(parents == 0, parents + offset)),
    )
    cells = pd.concat([p for p in parts if len(p)] or parts, ignore_index=True)
    cells = cells.assign(position="", time_h=time_h[cells["frame"].to_numpy(np.int64)])
    for name, column in CELLS.by_name.items():
        if name not in cells:
            missing = {"observed": True, "touches_border": False, "parent_id": 0}.get(name, np.nan)
            cells[name] = missing if column.dtype != "bool" or not column.nullable else None
    cells["observed"] = cells["observed"].fillna(True).astype(bool)
    cells["parent_id"] = cells["parent_id"].fillna(0)
    return conform(CELLS, cells.sort_values(["frame", "cell_id"], kind="stable"))
