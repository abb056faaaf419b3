"""Base results of one position as the pipeline wrote them; reviews read them and never change them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from threading import Lock
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from cicimage.arrays import Int64Array
from cicimage.errors import ResultsError
from cicimage.experiment import ExperimentFile
from cicimage.mask_store import MaskFile
from cicimage.masks import Mask, Masks
from cicimage.methods import Choice
from cicimage.pipeline.setting import Setting, read_setting
from cicimage.receipts import is_done
from cicimage.review.keys import Key
from cicimage.review.row_index import RowIndex
from cicimage.store import Results, read_json, read_table

_LABELS: Final = 1 << 20
"""More labels than one frame can hold, so that (population, frame, label) packs into one sortable number."""
KEPT_MASKS: Final = 256
"""Single masks kept: those of the film and of the frames around."""
MEASURES: Final = (
    "y_um", "x_um", "z_um", "area_um2", "z_extent_um", "intensity", "snr", "death_signal", "death_fill",
    "touches_border",
)  # fmt: skip


@dataclass(eq=False)
class Base:
    """Base results of one position.

    Attributes
    ----------
    position_id, position : str
        Opaque name of the position (p0001), and its name.
    cells, pairs, frames, events, guests, hosts, drift : pandas.DataFrame
        Base tables.
    setting : Setting
        Scale, times and roles, as they were when it was run.
    choices : mapping of str to Choice
        Method per step.
    time_h : (T,) float64
        Hours since time zero of every frame.
    separable : mapping of str to bool
        What the optics can tell.
    detected : str
        Key of the detections: labels mean the same objects while it is the same.
    masks_file : MaskFile
        Masks as the pipeline found them.
    """

    position_id: str
    position: str
    cells: pd.DataFrame
    pairs: pd.DataFrame
    frames: pd.DataFrame
    events: pd.DataFrame
    guests: pd.DataFrame
    hosts: pd.DataFrame
    drift: pd.DataFrame
    setting: Setting
    choices: Mapping[str, Choice]
    time_h: npt.NDArray[np.float64]
    separable: Mapping[str, bool]
    detected: str
    masks_file: MaskFile
    _reading: Lock = field(default_factory=Lock, init=False, repr=False)

    @property
    def guest(self) -> str:
        """Population that holds the guests."""
        return self.setting.with_role("guest")

    @property
    def host(self) -> str:
        """Population that holds the hosts; the guests' own where they are one population."""
        return self.setting.with_role("host")

    @property
    def n_frames(self) -> int:
        """Frames in the movie."""
        return len(self.time_h)

    @cached_property
    def populations(self) -> tuple[str, ...]:
        """Names of all populations."""
        return tuple(self.setting.populations)

    @cached_property
    def seen(self) -> pd.DataFrame:
        """Rows of ``cells`` that are objects, not filled gaps, by population, frame and label."""
        rows = self.cells[self.cells["observed"].to_numpy(bool)]
        code = self._codes(rows["population"], rows["frame"].to_numpy(), rows["label"].to_numpy())
        return rows.assign(code=code).sort_values("code").reset_index(drop=True)

    def _codes(self, population: pd.Series, frame: Int64Array, label: Int64Array) -> Int64Array:
        number = population.map({name: i for i, name in enumerate(self.populations)}).to_numpy(np.int64)
        return (number * self.n_frames + frame) * _LABELS + label

    @cached_property
    def _code(self) -> Int64Array:
        return self.seen["code"].to_numpy(np.int64)

    @cached_property
    def _cell(self) -> Int64Array:
        return self.seen["cell_id"].to_numpy(np.int64)

    @cached_property
    def _seen_index(self) -> RowIndex:
        return RowIndex(self._cell)

    @cached_property
    def max_id(self) -> int:
        """Highest cell id."""
        return int(self.cells["cell_id"].max()) if len(self.cells) else 0

    def code(self, key: Key) -> int:
        """Sortable number of an object."""
        return (self.populations.index(key.population) * self.n_frames + key.frame) * _LABELS + key.label

    def key_of(self, code: int) -> Key:
        """Undo :meth:`code`."""
        place, label = divmod(int(code), _LABELS)
        population, frame = divmod(place, self.n_frames)
        return Key(self.populations[population], frame, label)

    def row(self, key: Key) -> int:
        """Row of an object in ``seen``, -1 where there is none."""
        code = self.code(key)
        at = int(np.searchsorted(self._code, code))
        return at if at < len(self._code) and self._code[at] == code else -1

    def cell_of(self, key: Key) -> int:
        """Cell of an object, 0 where there is none."""
        at = self.row(key)
        return int(self._cell[at]) if at >= 0 else 0

    def objects_of(self, cell_id: int) -> list[Key]:
        """Objects of a cell in order of frame."""
        return [self.key_of(c) for c in self._code[self._seen_index.rows([cell_id])]]

    def keys_in(self, population: str, frame: int) -> list[Key]:
        """Objects of one population in one frame.

        Parameters
        ----------
        population : str
            Name of the population.
        frame : int
            0-based frame.

        Returns
        -------
        list of Key
            Ascending by label.
        """
        a, b = np.searchsorted(
            self._code, [self.code(Key(population, frame, 0)), self.code(Key(population, frame + 1, 0))]
        )
        return [self.key_of(c) for c in self._code[a:b]]

    def measures(self, key: Key) -> dict[str, Any]:
        """Measured values of an object."""
        row = self.seen.iloc[self.row(key)]
        return {name: row[name] for name in MEASURES}

    @cached_property
    def parents(self) -> dict[int, int]:
        """Parent by cell, where there is one."""
        some = self.cells.loc[self.cells["parent_id"] > 0, ["cell_id", "parent_id"]].drop_duplicates("cell_id")
        return dict(zip(some["cell_id"].tolist(), some["parent_id"].tolist(), strict=True))

    @cached_property
    def cell_index(self) -> RowIndex:
        """Rows of ``cells`` by cell."""
        return RowIndex(self.cells["cell_id"].to_numpy(np.int64))

    @cached_property
    def frame_index(self) -> RowIndex:
        """Rows of ``frames`` by guest."""
        return RowIndex(self.frames["guest_id"].to_numpy(np.int64))

    @cached_property
    def pair_index(self) -> RowIndex:
        """Rows of ``pairs`` by the guest's object."""
        return RowIndex(self._pair_codes(self.guest, "guest_label"))

    @cached_property
    def host_pair_index(self) -> RowIndex:
        """Rows of ``pairs`` by the host's object."""
        return RowIndex(self._pair_codes(self.host, "host_label"))

    def _pair_codes(self, population: str, column: str) -> Int64Array:
        first = self.populations.index(population) * self.n_frames
        codes: Int64Array = (first + self.pairs["frame"].to_numpy(np.int64)) * _LABELS + self.pairs[column].to_numpy(
            np.int64
        )
        return codes

    def masks(self, population: str, frame: int, window: tuple[int, int, int, int] | None = None) -> Masks:
        """Masks of one population in one frame.

        Parameters
        ----------
        population : str
            Name of the population.
        frame : int
            0-based frame.
        window : (int, int, int, int), optional
            y0, y1, x0, x1 in pixels: only masks that reach into it.

        Returns
        -------
        Masks
            As the pipeline found them.
        """
        with self._reading:
            return self.masks_file.masks(frame, population, window=window)

    @cached_property
    def _mask_cache(self) -> dict[Key, Mask | None]:
        return {}

    def mask(self, key: Key) -> Mask | None:
        """Mask of an object; None where there is none. Several threads may ask."""
        with self._reading:
            if key not in self._mask_cache:
                if len(self._mask_cache) >= KEPT_MASKS:
                    self._mask_cache.pop(next(iter(self._mask_cache)))
                found = list(self.masks_file.masks(key.frame, key.population, label=key.label))
                self._mask_cache[key] = found[0] if found else None
            return self._mask_cache[key]


def load_base(results: Results, position: str) -> Base:
    """Read the base results of a finished position.

    Parameters
    ----------
    results : Results
        The folder.
    position : str
        Name of the position.

    Returns
    -------
    Base
        Tables, setting and masks.

    Raises
    ------
    ResultsError
        The position is not finished, or was made by a version that kept less.
    """
    run = read_json(results.run)
    position_id = run["positions"][position]
    folder = results.position(position_id)
    if not is_done(folder):
        raise ResultsError(f"{folder.root}: must be finished before it is reviewed; run `cicimage run` again")
    if not folder.setting.exists():
        raise ResultsError(
            f"{folder.setting}: is missing, the results were made by a version before reviews; run `cicimage run` again"
        )
    setting = read_setting(folder)
    names = ("cells", "pairs", "frames", "events", "guests", "hosts")
    tables = {name: _with_mark(read_table(folder.table(name))) for name in names}
    return Base(
        position_id=position_id, position=position, drift=read_table(folder.table("drift")), setting=setting,
        choices=ExperimentFile.model_validate(run["configuration"]).choices(),
        time_h=setting.time_s / 3600.0 - float(run["design"][position]["time_zero_h"]),
        separable=dict(read_json(folder.optics)["separable"]),
        detected=str(read_json(folder.stages)["detect"]), masks_file=MaskFile(folder.masks), **tables,
    )  # fmt: skip


def _with_mark(rows: pd.DataFrame) -> pd.DataFrame:
    return rows if "reviewed" in rows else rows.assign(reviewed=False)
