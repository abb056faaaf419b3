"""Content of the report: tables and metadata of the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy.typing as npt
import pandas as pd

from cicimage.crops import EventCrops
from cicimage.estimands import ENTRY_RATE

Answer = Literal["yes", "partly", "no", "unknown"]
CropsOf = Callable[[str], EventCrops | Mapping[str, npt.NDArray[Any]] | None]


def no_crops(_event_id: str) -> None:
    """Crops of a run that stored none."""


@dataclass(frozen=True)
class OpticsStatement:
    """What the optics can distinguish, as one question and its answer.

    Attributes
    ----------
    question : str
        Such as "Inside against under a host".
    answer : str
        yes | partly | no | unknown.
    sentence : str
        The reason, with the numbers it follows from.
    """

    question: str
    answer: Answer
    sentence: str


@dataclass(frozen=True)
class Exclusion:
    """A recording or part of one that failed, was excluded, or needs a warning.

    Attributes
    ----------
    what : str
        Position, file, channel, range of frames.
    kind : str
        failed | excluded | warning.
    why : str
        One sentence with the rule and the value.
    remedy : str
        What to do about it; empty where nothing can be done.
    """

    what: str
    kind: Literal["failed", "excluded", "warning"]
    why: str
    remedy: str = ""


@dataclass(frozen=True)
class Estimate:
    """A correction that was estimated from the recordings, for the quality section.

    Attributes
    ----------
    step : str
        Such as "Uneven illumination", "Bleed-through".
    value : str
        The estimate in words with its unit, such as "corners 22 % darker than the centre".
    method : str
        Name of the method; "off" where it was switched off.
    position : str
        Name of the position; empty for all together.
    """

    step: str
    value: str
    method: str
    position: str = ""


@dataclass(frozen=True)
class Setting:
    """One resolved setting and the origin of its value (command line, file, metadata, default)."""

    name: str
    value: str
    origin: str = ""


@dataclass(frozen=True, eq=False)
class ReportData:
    """Everything the report shows.

    Attributes
    ----------
    tables : mapping of str to DataFrame
        By the names of :data:`cicimage.tables.TABLES`. Required: rates, events. Optional:
        rates_by_replicate, comparisons, guests, hosts, curves, drift, qc, counts, dose_response, dose_fits.
    name : str
        Name of the experiment.
    reference : str or None
        Condition the others are compared against.
    primary : str
        Estimand named before the data were looked at.
    n_recordings : int
        Recordings found, the failed ones included.
    optics : tuple of OpticsStatement
        What the optics can distinguish.
    exclusions : tuple of Exclusion
        Failures, exclusions and warnings.
    findings : tuple of str
        Faults of the input that can change a rate, one sentence each.
    estimates : tuple of Estimate
        Corrections estimated from the recordings.
    settings : tuple of Setting
        Resolved settings with their origins.
    versions : mapping of str to str
        Package to version; ``cicimage`` and ``python`` among them.
    methods_steps : mapping of str to str
        Step to the method that ran and its options in words, such as ``{"segment_guest": "log (...)"}``.
    made : str
        Date and time of the report, as shown.
    command : str
        Command line that made the results.
    interval_h : float or None
        Time between frames, hours.
    guest_population, host_population : str
        Populations of guests and of hosts in table ``counts``.
    replication : str
        Unit of replication in words, from :class:`cicimage.statistics.design.Replication`.
    reviewers : tuple of str
        Reviewers whose corrections the tables hold.
    crops : callable
        event_id to its crops (or the arrays of :meth:`EventCrops.to_arrays`), None where there are none.
    """

    tables: Mapping[str, pd.DataFrame]
    name: str = ""
    reference: str | None = None
    primary: str = ENTRY_RATE
    n_recordings: int = 0
    optics: tuple[OpticsStatement, ...] = ()
    exclusions: tuple[Exclusion, ...] = ()
    findings: tuple[str, ...] = ()
    estimates: tuple[Estimate, ...] = ()
    settings: tuple[Setting, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    methods_steps: Mapping[str, str] = field(default_factory=dict)
    made: str = ""
    command: str = ""
    interval_h: float | None = None
    guest_population: str = "guest"
    host_population: str = "host"
    replication: str = ""
    reviewers: tuple[str, ...] = ()
    crops: CropsOf = no_crops

    def n_failed(self) -> int:
        """Number of recordings that failed."""
        return sum(e.kind == "failed" for e in self.exclusions)
