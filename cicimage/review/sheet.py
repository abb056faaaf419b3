"""One guest's scored frames as plain arrays, for decisions to be laid over."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

Text = npt.NDArray[np.object_]
F64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]


@dataclass(eq=False)
class Sheet:
    """One guest's rows of table ``frames`` in order of time; every array has its T rows and may be written to.

    Attributes
    ----------
    guest_id : int
        The guest.
    frame : (T,) int64
        Frames, ascending.
    location, contact, viability : (T,) object
        As in table ``frames``.
    host_id : (T,) int64
        Most likely host, 0 = none.
    p_inside, p_entering, p_dead : (T,) float64
        Probabilities.
    reviewed : (T,) bool
        A human decided about this frame.
    excluded : (T,) object
        Why this frame does not count; empty where it does.
    """

    guest_id: int
    frame: npt.NDArray[np.int64]
    location: Text
    contact: Text
    viability: Text
    host_id: npt.NDArray[np.int64]
    p_inside: F64
    p_entering: F64
    p_dead: F64
    reviewed: Bool
    excluded: Text

    @classmethod
    def of(cls, guest_id: int, rows: pd.DataFrame) -> Sheet:
        """Copy one guest's rows."""
        n = len(rows)
        entering = rows["p_entering"] if "p_entering" in rows else (rows["location"] == "entering") * 0.6
        return cls(
            guest_id, rows["frame"].to_numpy(np.int64).copy(), rows["location"].to_numpy(object).copy(),
            rows["contact"].to_numpy(object).copy(), rows["viability"].to_numpy(object).copy(),
            rows["host_id"].to_numpy(np.int64).copy(), rows["p_inside"].to_numpy(np.float64).copy(),
            np.array(entering, np.float64), rows["p_dead"].to_numpy(np.float64).copy(),
            np.zeros(n, np.bool_), np.full(n, "", object),
        )  # fmt: skip

    def rows(self, first: int, last: int) -> Bool:
        """Which rows lie in frames first..last."""
        at: Bool = (self.frame >= first) & (self.frame <= last)
        return at

    def put_inside(self, where: Bool, host_id: int = 0) -> None:
        """Make rows inside a host; the host named, else the one most of these rows name."""
        host = host_id or self.usual_host(where)
        self.location[where], self.contact[where] = "inside", "none"
        self.p_inside[where], self.p_entering[where] = 1.0, 0.0
        if host:
            self.host_id[where] = host
        self.reviewed |= where

    def put_outside(self, where: Bool, location: str = "attached", contact: str = "unresolved") -> None:
        """Make rows free, attached or entering."""
        self.location[where] = location
        self.contact[where] = "none" if location == "free" else contact
        self.p_inside[where] = 0.0
        self.p_entering[where] = 1.0 if location == "entering" else 0.0
        if location == "free":
            self.host_id[where] = 0
        self.reviewed |= where

    def put_unresolved(self, where: Bool) -> None:
        """Make rows unresolved."""
        self.location[where], self.contact[where] = "unresolved", "unresolved"
        self.p_entering[where] = 0.0
        self.reviewed |= where

    def usual_host(self, where: Bool) -> int:
        """Host most of some rows name, 0 where none does."""
        named = self.host_id[where]
        named = named[named > 0]
        if not len(named):
            return 0
        ids, counts = np.unique(named, return_counts=True)
        return int(ids[counts.argmax()])

    def laid_over(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows with these values."""
        return rows.assign(
            location=self.location, contact=self.contact, viability=self.viability, host_id=self.host_id,
            p_inside=self.p_inside, p_entering=self.p_entering, p_dead=self.p_dead, reviewed=self.reviewed,
            _excluded=self.excluded,
        )  # fmt: skip
