"""One guest's scored frames as arrays that decisions alter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from cicimage.arrays import BoolArray, Float64Array

Text = npt.NDArray[np.object_]


@dataclass(eq=False)
class GuestFrames:
    """One guest's rows of table ``frames``, ascending by frame; each array has T entries and may be written to.

    Attributes
    ----------
    frame : (T,) int64
        0-based frames, ascending.
    location, contact, viability : (T,) object
        As in table ``frames``.
    host_id : (T,) int64
        Most likely host, 0 = none.
    p_inside, p_entering, p_dead : (T,) float64
        Probabilities.
    reviewed : (T,) bool
        A reviewer decided about this frame.
    excluded : (T,) object
        Why this frame does not count; empty where it does.
    """

    frame: npt.NDArray[np.int64]
    location: Text
    contact: Text
    viability: Text
    host_id: npt.NDArray[np.int64]
    p_inside: Float64Array
    p_entering: Float64Array
    p_dead: Float64Array
    reviewed: BoolArray
    excluded: Text

    @classmethod
    def of(cls, rows: pd.DataFrame) -> GuestFrames:
        """Copy one guest's rows of table ``frames``, ascending by frame."""
        n = len(rows)
        entering = rows["p_entering"] if "p_entering" in rows else (rows["location"] == "entering") * 0.6
        return cls(
            rows["frame"].to_numpy(np.int64).copy(), rows["location"].to_numpy(object).copy(),
            rows["contact"].to_numpy(object).copy(), rows["viability"].to_numpy(object).copy(),
            rows["host_id"].to_numpy(np.int64).copy(), rows["p_inside"].to_numpy(np.float64).copy(),
            np.array(entering, np.float64), rows["p_dead"].to_numpy(np.float64).copy(),
            rows["reviewed"].to_numpy(bool).copy(), np.full(n, "", object),
        )  # fmt: skip

    def between(self, first: int, last: int) -> BoolArray:
        """Select the rows of an interval.

        Parameters
        ----------
        first, last : int
            0-based frames, both included.

        Returns
        -------
        (T,) bool
            True for rows in the interval.
        """
        selected: BoolArray = (self.frame >= first) & (self.frame <= last)
        return selected

    def set_inside(self, where: BoolArray, host_id: int = 0) -> None:
        """Set rows to inside a host.

        Parameters
        ----------
        where : (T,) bool
            Which rows.
        host_id : int
            The host; 0 = the host most of these rows name.
        """
        host = host_id or self.usual_host(where)
        self.location[where], self.contact[where] = "inside", "none"
        self.p_inside[where], self.p_entering[where] = 1.0, 0.0
        if host:
            self.host_id[where] = host
        self.reviewed |= where

    def set_outside(self, where: BoolArray, location: str = "attached", contact: str = "unresolved") -> None:
        """Set rows to free, attached or entering.

        Parameters
        ----------
        where : (T,) bool
            Which rows.
        location : str
            free | attached | entering.
        contact : str
            How the guest touches the host; ``none`` is written where it is free.
        """
        self.location[where] = location
        self.contact[where] = "none" if location == "free" else contact
        self.p_inside[where] = 0.0
        self.p_entering[where] = 1.0 if location == "entering" else 0.0
        if location == "free":
            self.host_id[where] = 0
        self.reviewed |= where

    def set_unresolved(self, where: BoolArray) -> None:
        """Set rows, (T,) bool, to unresolved."""
        self.location[where], self.contact[where] = "unresolved", "unresolved"
        self.p_entering[where] = 0.0
        self.reviewed |= where

    def usual_host(self, where: BoolArray) -> int:
        """Host that most of the rows, (T,) bool, name; 0 where none does."""
        named = self.host_id[where]
        named = named[named > 0]
        if not len(named):
            return 0
        ids, counts = np.unique(named, return_counts=True)
        return int(ids[counts.argmax()])

    def written_to(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows with the values of the arrays, and column ``_excluded``."""
        return rows.assign(
            location=self.location, contact=self.contact, viability=self.viability, host_id=self.host_id,
            p_inside=self.p_inside, p_entering=self.p_entering, p_dead=self.p_dead, reviewed=self.reviewed,
            _excluded=self.excluded,
        )  # fmt: skip
