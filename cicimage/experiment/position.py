"""One recording and its place in the design."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Position:
    """One recording and its place in the design; text is empty where a value is not known.

    Attributes
    ----------
    position : str
        Name, unique in the experiment.
    path : Path
        A file, a folder, or a name with placeholders that stands for many files.
    condition : str
        Treatment.
    replicate : str
        Well.
    series : int or None
        0-based number of the recording within ``path``; None where it holds one, or the experiment file says which.
    donor, host_donor, experiment, plate : str
        Donor of the guests, donor of the hosts, independent experiment, plate.
    time_zero_h : float
        Drug or co-culture start on the movie's clock, hours.
    factors : mapping of str to str
        Further columns of the layout.
    """

    position: str
    path: Path
    condition: str
    replicate: str
    series: int | None = None
    donor: str = ""
    host_donor: str = ""
    experiment: str = ""
    plate: str = ""
    time_zero_h: float = 0.0
    factors: Mapping[str, str] = field(default_factory=dict)
