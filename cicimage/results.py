"""Results opened in a notebook: ``result = cic.open_results("OUT"); result.rates``."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cicimage.errors import counted
from cicimage.mask_store import MaskFile
from cicimage.store import existing_results, read_arrays, read_table
from cicimage.tables import TABLES


class OpenResults:
    """A results folder; every table of the contract is an attribute, read at first access.

    Parameters
    ----------
    folder : path
        Folder given to ``cicimage run -o``.

    Raises
    ------
    ResultsError
        The folder holds no finished results.
    """

    def __init__(self, folder: str | Path) -> None:
        self._results = existing_results(Path(folder))
        self._tables: dict[str, pd.DataFrame] = {}

    def __getitem__(self, name: str) -> pd.DataFrame:
        """A table by name; KeyError where the results have none of that name."""
        if name not in self._tables:
            path = self._results.table(name)
            if name not in TABLES or not path.exists():
                raise KeyError(name)
            self._tables[name] = read_table(path, name)
        return self._tables[name]

    def __getattr__(self, name: str) -> pd.DataFrame:
        if name.startswith("_") or name not in TABLES:
            raise AttributeError(f"results have no table {name!r}; there are: {', '.join(TABLES)}")
        return self[name]

    def __repr__(self) -> str:
        return f"<cicimage results in {self._results.root}: {counted(len(self.positions), 'position')}>"

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *TABLES]

    @cached_property
    def run(self) -> dict[str, Any]:
        """run.json: configuration with origins, versions, positions."""
        return self._results.read_run()

    @property
    def positions(self) -> list[str]:
        """Names of the recordings."""
        return list(self.run["positions"])

    def masks(self, position: str, frame: int, population: str) -> npt.NDArray[np.int32]:
        """Read the label image of one population in one frame.

        Parameters
        ----------
        position : str
            Name of the recording, one of :attr:`positions`.
        frame : int
            Index of the frame.
        population : str
            Name of the population.

        Returns
        -------
        (Y, X) int32 array
            Labels, 0 for background; where masks overlap the later one shows.

        Raises
        ------
        KeyError
            There is no such position.
        ResultsError
            The masks are missing or damaged.
        """
        folder = self._results.position(self.run["positions"][position])
        return MaskFile(folder.masks).masks(frame, population).to_labels()

    def crops(self, event_id: str) -> dict[str, npt.NDArray[Any]]:
        """Stored pictures of one event, as :meth:`cicimage.crops.EventCrops.from_arrays` takes them."""
        position, _, number = event_id.rpartition("#")
        folder = self._results.position(self.run["positions"][position])
        return read_arrays(folder.crops / f"e{int(number):04d}.npz")


def open_results(folder: str | Path) -> OpenResults:
    """Open a results folder written by ``cicimage run``.

    Parameters
    ----------
    folder : path
        The results folder.

    Returns
    -------
    OpenResults
        Its tables, masks and crops.

    Raises
    ------
    ResultsError
        The folder holds no results.
    """
    return OpenResults(folder)
