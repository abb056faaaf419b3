"""Who is n: the donor, or the independent experiment where there are no donors; never the cell, field or well."""

from __future__ import annotations

from typing import Final, Literal

import pandas as pd

from cicimage.errors import CicimageError

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


def unit_of_replication(layout: pd.DataFrame) -> Unit:
    """Say what counts as n.

    The donor where any donor is named, else the independent experiment where any is named, else nothing.

    Examples
    --------
    >>> unit_of_replication(pd.DataFrame({"position": ["p"], "condition": ["a"], "experiment": ["run 1"]}))
    'experiment'
    """
    for unit in ("donor", "experiment"):
        if unit in layout and (layout[unit].notna() & (layout[unit].astype(str) != "")).any():
            return "donor" if unit == "donor" else "experiment"
    return "none"


def factor_columns(layout: pd.DataFrame) -> list[str]:
    """Columns of the layout that are neither identity nor design, dose or time: the experiment's factors."""
    return [str(c) for c in layout.columns if c not in _KNOWN]


def shared_host_note(layout: pd.DataFrame) -> str:
    """Say so where one host donor carries all guest donors: that side of the experiment is n = 1."""
    hosts = set(layout["host_donor"]) - {""} if "host_donor" in layout else set()
    donors = set(layout["donor"]) - {""} if "donor" in layout else set()
    if len(hosts) == 1 and len(donors) > 1:
        return f"all {len(donors)} donors met hosts of one donor ({next(iter(hosts))}): n = 1 on the host side"
    return ""


def join_notes(*notes: str) -> str:
    """Join what there is to say with semicolons, each said once."""
    return "; ".join(dict.fromkeys(n for n in notes if n))
