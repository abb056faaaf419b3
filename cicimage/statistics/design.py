"""Who is n: the donor, or the independent experiment where there are no donors; never the cell, field or well."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import pandas as pd

from cicimage.errors import CicimageError, counted

Unit = Literal["donor", "experiment", "none"]

DESIGN_COLUMNS: Final = ("condition", "replicate", "donor", "host_donor", "experiment", "plate")
_KNOWN: Final = ("position", *DESIGN_COLUMNS, "time_zero_h", "seeded_cells", "path", "dose", "dose_unit")


def complete_layout(layout: pd.DataFrame) -> pd.DataFrame:
    """Return the layout with every design column as text, missing ones empty, one row a position.

    Parameters
    ----------
    layout : pandas.DataFrame
        ``position`` and ``condition`` at least; further columns are kept.

    Raises
    ------
    CicimageError
        ``position`` or ``condition`` is missing, or a position stands twice.

    Examples
    --------
    >>> complete_layout(pd.DataFrame({"position": ["a/w1_f1"], "condition": ["a"]})).loc[0, "donor"]
    ''
    """
    for name in ("position", "condition"):
        if name not in layout:
            raise CicimageError(f"layout: column {name!r} is missing; each position needs one")
    out = layout.reset_index(drop=True).copy()
    twice = out["position"].duplicated()
    if twice.any():
        raise CicimageError(f"layout: position {out.loc[twice, 'position'].iloc[0]!r} stands twice; keep one row of it")
    for name in DESIGN_COLUMNS:
        if name in out:
            text = out[name].astype(object).where(out[name].notna(), "").astype(str)
        else:
            text = pd.Series([""] * len(out), dtype=object)
        out[name] = text.astype(object)
    return out


@dataclass(frozen=True)
class Replication:
    """The unit of replication of a layout and what to say of it.

    Attributes
    ----------
    unit : {"donor", "experiment", "none"}
        What counts as n.
    n : int
        Units named in the layout.
    left_out : tuple of str
        Positions without such a unit where others have one: no estimate over units holds them.
    sentence : str
        What ``cicimage check``, the summary of a run and the report say of it.
    """

    unit: Unit
    n: int
    left_out: tuple[str, ...]
    sentence: str


def replication(layout: pd.DataFrame, reference: str | None = None) -> Replication:
    """Decide what counts as n from the layout alone.

    The donor where two or more are named; otherwise the independent experiment where two or more are named (one donor
    in several experiments, or a cell line); otherwise whatever is named once, with n = 1 and no test.

    Parameters
    ----------
    layout : pandas.DataFrame
        One row a position.
    reference : str, optional
        Condition the others are compared with: conditions that cannot be tested against it are named.

    Examples
    --------
    >>> wells = pd.DataFrame({"position": ["p", "q", "r"], "condition": "a", "donor": "D1",
    ...                       "experiment": ["mon", "tue", "wed"]})
    >>> replication(wells).sentence.partition(", and")[0]
    'one donor (D1) in 3 independent experiments (mon, tue, wed): the experiment is n'
    """
    layout = complete_layout(layout)
    donors, experiments = (list(dict.fromkeys(v for v in layout[c] if v)) for c in ("donor", "experiment"))
    unit: Unit = "none"
    if len(donors) >= 2 or (donors and len(experiments) < 2):
        unit = "donor"
    elif experiments:
        unit = "experiment"
    n = {"donor": len(donors), "experiment": len(experiments), "none": 0}[unit]
    left_out = tuple(layout.loc[layout[unit] == "", "position"]) if unit != "none" else ()
    said = [_who_is_n(layout, unit, donors, experiments)]
    if n >= 2 and reference in set(layout["condition"]):
        said += _cannot_be_tested(layout, unit, str(reference))
    if left_out and n >= 2:
        said.append(f"left out of estimates over {unit}s, for want of {_A[unit]} in layout.csv: {_some(left_out)}")
    said.append(shared_host_note(layout))
    return Replication(unit, n, left_out, join_notes(*said))


_A: Final = {"donor": "a donor", "experiment": "an experiment"}


def _who_is_n(layout: pd.DataFrame, unit: Unit, donors: list[str], experiments: list[str]) -> str:
    if unit == "experiment" and len(experiments) >= 2:
        if donors:
            return (
                f"one donor ({donors[0]}) in {len(experiments)} independent experiments ({_some(tuple(experiments))}): "
                "the experiment is n, and what is found holds for this donor alone"
            )
        return f"{len(experiments)} independent experiments ({_some(tuple(experiments))}): the experiment is n"
    if unit == "donor" and len(donors) >= 2:
        several = (
            layout[(layout["experiment"] != "") & (layout["donor"] != "")].groupby("donor")["experiment"].nunique()
        )
        pooled = "; a donor's experiments are summed" if (several > 1).any() else ""
        return f"{len(donors)} donors ({_some(tuple(donors))}): the donor is n{pooled}"
    known = f"n of {unit}s is 1" if unit != "none" else "n of donors is unknown"
    return f"no test can be made: {known}; add a column donor (or experiment) with two or more names to layout.csv"


def _cannot_be_tested(layout: pd.DataFrame, unit: Unit, reference: str) -> list[str]:
    """Conditions that share fewer than two units with the reference while one of both has fewer than two."""
    units = {str(c): set(rows[unit]) - {""} for c, rows in layout.groupby("condition", sort=False)}
    base = units.pop(reference)
    return [
        f"no test of {c} against {reference}: {counted(len(own), unit)} against {counted(len(base), unit)}"
        for c, own in units.items()
        if min(len(own), len(base)) < 2
    ]


def _some(names: tuple[str, ...], most: int = 6) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def unit_of_replication(layout: pd.DataFrame) -> Unit:
    """Say what counts as n, as :func:`replication` decides it.

    Examples
    --------
    >>> unit_of_replication(pd.DataFrame({"position": ["p"], "condition": ["a"], "experiment": ["run 1"]}))
    'experiment'
    """
    return replication(layout).unit


def factor_columns(layout: pd.DataFrame) -> list[str]:
    """Columns of the layout that are neither identity nor design, dose or time: the experiment's factors."""
    return [str(c) for c in layout.columns if c not in _KNOWN]


def shared_host_note(layout: pd.DataFrame) -> str:
    """Say so where one host donor carries everything: that side of the experiment is n = 1."""
    hosts, donors, experiments = (
        set(layout[c].dropna()) - {""} if c in layout else set() for c in ("host_donor", "donor", "experiment")
    )
    if len(hosts) != 1:
        return ""
    for n, unit in ((len(donors), "donors"), (len(experiments), "experiments")):
        if n > 1:
            return f"all {n} {unit} met hosts of one donor ({next(iter(hosts))}): n = 1 on the host side"
    return ""


def join_notes(*notes: str) -> str:
    """Join what there is to say with semicolons, each said once."""
    return "; ".join(dict.fromkeys(n for n in notes if n))
