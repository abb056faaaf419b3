"""Exports of many small files: one TIFF per plane or per stack, placed at (t, c, z) by their names or an index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cicimage.errors import RecordingError, counted
from cicimage.recording.arrangement import Arrangement
from cicimage.recording.ifd import Ifd
from cicimage.recording.recording import Metadata
from cicimage.recording.tiff_files import TiffFiles

Place = tuple[int, int, int]


@dataclass(frozen=True)
class PlaneFile:
    """Where one plane lies: a file, and which of its pages."""

    path: Path
    page: int = 0


def arrange_files(
    name: str,
    placed: Mapping[Place, PlaneFile],
    files: TiffFiles,
    metadata: Metadata,
    channel_names: tuple[str, ...],
    pages_of: Mapping[Path, tuple[Ifd, ...]] | None = None,
) -> Arrangement:
    """Place planes, and refuse gaps.

    Parameters
    ----------
    name : str
        Recording for messages.
    placed : mapping of (t, c, z) to PlaneFile
        Indices from 0. A channel of one slice beside channels of many is allowed; reading its other slices raises.
    files : TiffFiles
        Reads the layouts.
    metadata : Metadata
        Units and names.
    channel_names : tuple of str
        For messages.
    pages_of : mapping, optional
        Pages of files whose layout was read before.

    Raises
    ------
    RecordingError
        A plane is missing, or a file is not sound.
    """
    n_t, n_c, n_z = (1 + max(p[k] for p in placed) for k in range(3))
    if n_t * n_c * n_z > 4 * len(placed) * n_z:
        raise RecordingError(_too_few(name, n_t * n_c * n_z, placed, (0, 0, 0)))
    deep = [1 + max((z for _, c, z in placed if c == channel), default=-1) for channel in range(n_c)]
    where = np.full((n_t, n_c, n_z), -1, np.int64)
    pages: list[tuple[Path, Ifd]] = []
    starts: dict[Path, tuple[int, int]] = {}
    for place, plane in sorted(placed.items()):
        if plane.path not in starts:
            held = pages_of[plane.path] if pages_of and plane.path in pages_of else files.layout(plane.path).images
            starts[plane.path] = len(pages), len(held)
            pages.extend((plane.path, page) for page in held)
        start, count = starts[plane.path]
        if plane.page >= count:
            raise RecordingError(
                f"{plane.path.name}: declares at least {plane.page + 1} planes, found {count}; not zero-filled: "
                "copy or export the file again"
            )
        where[place] = start + plane.page
    for channel in range(n_c):
        if deep[channel] not in (1, n_z):
            raise RecordingError(
                f"{name}: channel {channel_names[channel]!r} has {deep[channel]} slices, others {n_z}; each must have "
                "all slices or one: export them alike"
            )
        gaps = np.argwhere(where[:, channel, : deep[channel]] < 0)
        if len(gaps):
            first = int(gaps[0][0]), channel, int(gaps[0][1])
            raise RecordingError(_too_few(name, n_t * sum(deep), placed, first))
    return Arrangement(tuple(pages), where, np.zeros(n_c, np.int64), metadata)


def _too_few(name: str, declared: int, placed: Mapping[Place, PlaneFile], first: Place) -> str:
    t, c, z = first
    return (
        f"{name}: declares {counted(declared, 'plane')}, found {len(placed)} (first missing t={t}, c={c}, z={z}); not "
        "zero-filled: copy the missing files, or take the unfinished last time point away"
    )
