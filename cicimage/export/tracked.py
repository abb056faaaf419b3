"""Input of every export: one position's cells over time, with corrections applied."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pandas as pd

from cicimage.arrays import Float64Array
from cicimage.errors import ResultsError
from cicimage.mask_store import MaskFile
from cicimage.masks import Mask
from cicimage.pipeline.collect import Corrections
from cicimage.pipeline.setting import Setting, read_setting
from cicimage.receipts import done_positions, is_done
from cicimage.store import Results, read_json, read_table

STATES: Final = ("location", "contact", "viability", "host_id", "p_inside", "p_dead")
"""States of a guest in a frame."""
_MOST_NAME_BYTES: Final = 180
"""Longest start of a position's name in a file name: file systems take 255 bytes, with prefix, key and endings."""
_UNSAFE: Final = re.compile(r"[^\w.+-]+")


@dataclass(frozen=True)
class Tracked:
    """Cells of one position over time.

    Attributes
    ----------
    position, key : str
        Name of the position, and its opaque key.
    cells : pandas.DataFrame
        Table ``cells``, sorted by population, cell and frame, with the guests' states (:data:`STATES`) beside; empty
        states where a row is not a guest.
    sizes : mapping of str to int
        T, C, Z, Y, X; C as far as channels are used.
    um_per_px : float
        Size of a pixel.
    um_per_z : float or None
        True focus step; None in 2D.
    time_s : (T,) float64
        Seconds of each frame on the movie's clock.
    path : Path
        The recording.
    masks : callable
        Masks of a frame and population as they are now, ascending by label.
    """

    position: str
    key: str
    cells: pd.DataFrame
    sizes: Mapping[str, int]
    um_per_px: float
    um_per_z: float | None
    time_s: Float64Array
    path: Path
    masks: Callable[[int, str], Sequence[Mask]]

    @property
    def populations(self) -> tuple[str, ...]:
        """Populations that have cells."""
        return tuple(dict.fromkeys(self.cells["population"]))

    def of(self, population: str) -> pd.DataFrame:
        """Rows of one population."""
        return self.cells[self.cells["population"] == population].reset_index(drop=True)


def load_tracked(results: Results, position: str, corrections: Corrections) -> Tracked:
    """Read one finished position.

    Parameters
    ----------
    results : Results
        The results folder.
    position : str
        Name of the position.
    corrections : Corrections
        A reviewer's tables and masks, which take the place of the base results.

    Returns
    -------
    Tracked
        The position with corrections applied.

    Raises
    ------
    ResultsError
        It is not finished, or made by a version that kept less.
    """
    run = results.read_run()
    key = run["positions"][position]
    folder = results.position(key)
    if not is_done(folder):
        raise ResultsError(f"{position}: must be finished to be exported; run `cicimage run` again")
    corrected = corrections.tables.get(position, {})
    setting = read_setting(folder)
    cells, frames = (
        corrected[name] if name in corrected else read_table(folder.table(name)) for name in ("cells", "frames")
    )
    stored, edited = MaskFile(folder.masks), corrections.masks.get(position, {})

    def masks(frame: int, population: str) -> Sequence[Mask]:
        found = {m.label: m for m in stored.masks(frame, population)}
        for (of_population, of_frame, label), mask in edited.items():
            if (of_population, of_frame) == (population, frame):
                if mask is None:
                    found.pop(label, None)
                else:
                    found[label] = mask
        return [found[label] for label in sorted(found)]

    return Tracked(
        position=position, key=key, cells=_with_states(cells, frames),
        sizes=_sizes(stored, setting, read_json(folder.receipt)["recording"]["sizes"]),
        um_per_px=setting.optics.um_per_px, um_per_z=setting.optics.um_per_z,
        time_s=setting.time_s, path=Path(run["design"][position]["path"]),
        masks=masks,
    )  # fmt: skip


def _sizes(stored: MaskFile, setting: Setting, said: Mapping[str, int]) -> dict[str, int]:
    y, x = stored.shape
    return {"T": len(setting.time_s), "C": len(setting.channels), "Z": said.get("Z", 1), "Y": y, "X": x}


def _with_states(cells: pd.DataFrame, frames: pd.DataFrame) -> pd.DataFrame:
    states = frames.rename(columns={"guest_id": "cell_id"})[["frame", "cell_id", *STATES]]
    joined = cells.merge(states, on=["frame", "cell_id"], how="left")
    return joined.sort_values(["population", "cell_id", "frame"], kind="stable").reset_index(drop=True)


def finished_positions(results: Results, corrections: Corrections) -> list[str]:
    """List the positions that are done and not excluded by a reviewer.

    Parameters
    ----------
    results : Results
        The results folder.
    corrections : Corrections
        ``excluded``: positions that a reviewer excluded.

    Returns
    -------
    list of str
        In the experiment's order.
    """
    return [position for position in done_positions(results) if position not in corrections.excluded]


def file_names(keys: Mapping[str, str]) -> dict[str, str]:
    """Make a file name for each position, valid on every system; ones that collide or are long get their key appended.

    Parameters
    ----------
    keys : mapping of str to str
        Opaque key by position.

    Examples
    --------
    >>> file_names({"vehicle/A1_f1": "p0001", "+AMD: 1/A1": "p0002"})
    {'vehicle/A1_f1': 'vehicle_A1_f1', '+AMD: 1/A1': '+AMD_1_A1'}
    """
    whole = {p: _UNSAFE.sub("_", p).lstrip(".-") or keys[p] for p in keys}
    plain = {p: _shortened(name) for p, name in whole.items()}
    folded = Counter(name.casefold() for name in plain.values())
    return {p: f"{n}_{keys[p]}" if folded[n.casefold()] > 1 or n != whole[p] else n for p, n in plain.items()}


def _shortened(name: str) -> str:
    """The start of a name, short enough for a key and endings behind it."""
    return name.encode()[:_MOST_NAME_BYTES].decode("utf-8", "ignore")
