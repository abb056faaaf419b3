"""One movie in memory through all steps, as `cicimage run` takes a file through them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from cicimage.api.inputs import plain
from cicimage.containment.input_faults import InputQuality
from cicimage.containment.optics import OpticsVerdict
from cicimage.errors import ConfigurationError
from cicimage.experiment.schema import ExperimentFile, validated
from cicimage.findings import Finding
from cicimage.mask_store import masks_from_rows
from cicimage.masks import LabelArray, Masks
from cicimage.pipeline.detect import detect
from cicimage.pipeline.judge import judge, scorer_of
from cicimage.pipeline.link import link
from cicimage.pipeline.plausible import doubts
from cicimage.pipeline.setting import Setting, resolve
from cicimage.recording import Metadata, Recording

_NAME: Final = "array"
_SECTIONS: Final = tuple(n for n in ExperimentFile.model_fields if n not in ("schema_version", "files", "experiment"))


@dataclass(frozen=True, eq=False)
class Analysis:
    """What one movie holds.

    Attributes
    ----------
    frames, events, guests, hosts, pairs, cells : pandas.DataFrame
        Tables of :mod:`cicimage.tables`; column ``position`` is empty.
    masks : mapping of str to tuple of Masks
        Masks of every frame by population.
    drift : pandas.DataFrame
        frame, dy_um, dx_um, quality.
    optics : OpticsVerdict
        Which states the optics can separate.
    findings : tuple of Finding
        What is wrong or doubtful about the movie.
    missing : mapping of int to str
        Reason by frame that could not be used.
    """

    frames: pd.DataFrame
    events: pd.DataFrame
    guests: pd.DataFrame
    hosts: pd.DataFrame
    pairs: pd.DataFrame
    cells: pd.DataFrame
    masks: Mapping[str, tuple[Masks, ...]]
    drift: pd.DataFrame
    optics: OpticsVerdict
    findings: tuple[Finding, ...]
    missing: Mapping[int, str]

    def labels(self, population: str) -> LabelArray:
        """Label images of all frames of a population, (T, Y, X) int32; where cells overlap the later one shows."""
        return np.stack([masks.to_labels() for masks in self.masks[population]])


def run(
    movie: npt.ArrayLike,
    axes: str,
    *,
    progress: Callable[[str, int, int], None] | None = None,
    **sections: Mapping[str, Any],
) -> Analysis:
    """Find hosts and guests in one movie, track them and score every guest and event.

    Parameters
    ----------
    movie : array
        All channels, in counts: a numpy array, or one that is read when indexed (dask, zarr, h5py).
    axes : str
        Its axes in order, of T, C, Z, Y, X, Y and X last: ``"TCYX"``, ``"TZCYX"``.
    progress : callable, optional
        Told of stages and frames: ``("detect", frames done, frames)``.
    **sections
        Sections of ``experiment.toml`` with its keys: ``channels={"host": 0, "guest": 1, "death": 2}`` or
        ``populations`` and ``markers``, ``optics={"um_per_px": 0.65, "frame_interval_s": 300, ...}``, ``methods``.

    Returns
    -------
    Analysis
        Tables, masks and findings.

    Raises
    ------
    ConfigurationError
        Axes that do not fit the array, or an unknown key or value of a section.
    RecordingError
        A value that is needed is missing, such as the pixel size; a channel that shows nothing.

    Examples
    --------
    >>> import cicimage as cic
    >>> import tifffile
    >>> movie = tifffile.imread("vehicle/w1_f1.ome.tif")  # doctest: +SKIP
    >>> result = cic.run(
    ...     movie, "TCYX", channels={"host": 0, "guest": 1, "death": 2},
    ...     optics={"um_per_px": 0.65, "frame_interval_s": 600, "modality": "widefield", "na": 0.8},
    ... )  # doctest: +SKIP
    >>> result.frames[["frame", "guest_id", "location", "p_inside", "viability"]]  # doctest: +SKIP
    """
    unknown = [name for name in sections if name not in _SECTIONS]
    if unknown:
        raise ConfigurationError(
            f"{unknown[0]!r} is no section of experiment.toml that a movie in memory has; give {', '.join(_SECTIONS)}"
        )
    file = validated(sections, "cic.run")
    channels = [c for p in file.resolved_populations().values() for c in (p.channel, p.nucleus) if c is not None]
    channels += [m.channel for m in file.resolved_markers().values()]
    named = next((c for c in channels if isinstance(c, str)), None)
    if named is not None:
        raise ConfigurationError(
            f"channel {named!r}: channels of an array have numbers, not names; give e.g. "
            'channels={"host": 0, "guest": 1}'
        )
    tell = progress or (lambda *_: None)
    recording = _ArrayRecording(movie, axes)
    setting = resolve(recording, file, recording.path)
    choices = file.choices()
    stored: list[list[dict[str, Any]]] = []
    found = detect(recording, setting, choices, stored.append, tell)
    shape = (recording.sizes["Y"], recording.sizes["X"])
    masks = {
        name: tuple(masks_from_rows((r for r in rows if r["population"] == name), shape) for rows in stored)
        for name in setting.populations
    }
    tell("link", 0, 1)
    cells = link(found.cells, found.drift, setting, choices, lambda t, name: masks[name][t], "")
    tell("judge", 0, 1)
    quality = InputQuality(found.findings, tuple(found.arrays["outside_signal"].tolist()))
    judged = judge(cells, found.evidence, found.drift, setting, scorer_of(choices), 0.0, "", quality)
    return Analysis(
        judged.frames, judged.events, judged.guests, judged.hosts, judged.pairs, judged.cells, masks, found.drift,
        judged.optics, _findings(judged.optics, found.findings, setting, recording), found.missing,
    )  # fmt: skip


def _findings(
    optics: OpticsVerdict, found: tuple[Finding, ...], setting: Setting, recording: Recording
) -> tuple[Finding, ...]:
    return tuple(dict.fromkeys((*optics.findings, *found, *doubts(setting, recording.sizes))))


class _ArrayRecording(Recording):
    """An array as a recording, read plane by plane."""

    def __init__(self, movie: Any, axes: str) -> None:
        array = movie if hasattr(movie, "shape") and hasattr(movie, "dtype") else np.asarray(movie)
        order = axes.strip().upper()
        if (
            len(order) != len(array.shape) or set(order) - set("TCZYX") or len(set(order)) != len(order)
            or not order.endswith("YX") or 0 in array.shape
        ):  # fmt: skip
            raise ConfigurationError(
                f"axes must name each axis of the array once, of T, C, Z, Y, X with Y and X last, and are {axes!r} for "
                f'shape {tuple(array.shape)}; write e.g. "TCYX", and move the axes with numpy.moveaxis'
            )
        if np.dtype(array.dtype).kind not in "uif":
            raise ConfigurationError(
                f"movie must hold counts as integers or floats, and holds {array.dtype}; convert it first"
            )
        self._array, self._order = array, order
        self.path = Path(_NAME)
        self.sizes = {a: int(array.shape[order.index(a)]) if a in order else 1 for a in "TCZYX"}
        self.dtype = np.dtype(array.dtype).newbyteorder("=")
        self.metadata = Metadata()

    def plane(self, t: int, c: int, z: int) -> npt.NDArray[Any]:
        at = {"T": t, "C": c, "Z": z}
        index = tuple(at[a] for a in self._order[:-2])
        return plain(self._array[index]).astype(self.dtype, copy=False)

    def close(self) -> None:
        """Leave the array to its owner."""
