"""Image crops stored for one event: small windows around the guest, as plain arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from cicimage.arrays import BoolArray
from cicimage.errors import CicimageError

Crop = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
GUEST, HOST, OTHER_GUEST = 0, 1, 2


@dataclass(frozen=True, eq=False)
class Outline:
    """One cell's outline in one panel.

    Attributes
    ----------
    panel : int
        Index into the crops' first axis.
    who : int
        :data:`GUEST` (the event's own), :data:`HOST` (the event's own) or :data:`OTHER_GUEST`.
    points_px : (k, 2) float32
        (y, x) in crop pixels, the centre of the crop's first pixel being 0; closed.
    """

    panel: int
    who: int
    points_px: npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class EventCrops:
    """Crops of one event at n chosen frames; stored as plain arrays by :meth:`to_arrays`.

    Attributes
    ----------
    xy : (n, C, h, w) uint8 or uint16
        The slice through the guest's centre (or the projection in 2D), same place and size in every panel.
    frames : (n,) int64
        0-based frames, ascending.
    time_h : (n,) float64
        Hours since time zero.
    roles : tuple of str
        Per channel: host | guest | death | effector | other.
    um_per_px : float
        Pixel size, um.
    location, viability : tuple of str
        Per panel, as in table ``frames``.
    xz : (n, C, Z, w) or None
        The axial cut along x through the guest, slice 0 first (the lowest).
    yz : (n, C, Z, h) or None
        The axial cut along y.
    um_per_z : float or None
        True focus step, um; None in 2D.
    limits : (C, 2) float32 or None
        Counts shown as black and as full colour; taken from the crops where None.
    guest_z_um : (n, 2) float32 or None
        Bottom and top of the guest above slice 0, um; NaN where not known.
    cut_px : (n, 2) float32 or None
        (y, x) in crop pixels through which the axial cuts go; the crop's centre where None.
    outlines : tuple of Outline
        In any order.
    """

    xy: Crop
    frames: npt.NDArray[np.int64]
    time_h: npt.NDArray[np.float64]
    roles: tuple[str, ...]
    um_per_px: float
    location: tuple[str, ...]
    viability: tuple[str, ...]
    xz: Crop | None = None
    yz: Crop | None = None
    um_per_z: float | None = None
    limits: npt.NDArray[np.float32] | None = None
    guest_z_um: npt.NDArray[np.float32] | None = None
    cut_px: npt.NDArray[np.float32] | None = None
    outlines: tuple[Outline, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.xy.ndim != 4 or not self.xy.size:
            raise CicimageError(f"event crops: xy must be (panels, channels, h, w) and not empty, is {self.xy.shape}")
        n, channels, h, w = self.xy.shape
        expected: dict[str, tuple[Any, tuple[int, ...]]] = {
            "frames": (self.frames, (n,)),
            "time_h": (self.time_h, (n,)),
            "location": (np.asarray(self.location), (n,)),
            "viability": (np.asarray(self.viability), (n,)),
            "roles": (np.asarray(self.roles), (channels,)),
            "limits": (self.limits, (channels, 2)),
            "guest_z_um": (self.guest_z_um, (n, 2)),
            "cut_px": (self.cut_px, (n, 2)),
        }
        for name, (value, shape) in expected.items():
            if value is not None and value.shape != shape:
                raise CicimageError(
                    f"event crops: {name} must be {shape} to go with xy {self.xy.shape}, is {value.shape}"
                )
        for name, cut, side in (("xz", self.xz, w), ("yz", self.yz, h)):
            if cut is not None and (cut.ndim != 4 or cut.shape[:2] != (n, channels) or cut.shape[3] != side):
                raise CicimageError(
                    f"event crops: {name} must be ({n}, {channels}, slices, {side}) to go with xy {self.xy.shape}, "
                    f"is {cut.shape}"
                )
        if (self.xz is not None or self.yz is not None) and self.um_per_z is None:
            raise CicimageError("event crops: axial cuts need um_per_z, the focus step in um; it is not given")

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Plain arrays by name, fit for an npz file without pickle."""
        arrays: dict[str, npt.NDArray[Any]] = {
            "xy": self.xy,
            "frames": self.frames,
            "time_h": self.time_h,
            "roles": np.asarray(self.roles, dtype="U16"),
            "um_per_px": np.float64(self.um_per_px) * np.ones(()),
            "location": np.asarray(self.location, dtype="U16"),
            "viability": np.asarray(self.viability, dtype="U16"),
            "outline_points": np.concatenate(
                [np.zeros((0, 2), np.float32), *(o.points_px.astype(np.float32) for o in self.outlines)]
            ),
            "outline_lengths": np.asarray([len(o.points_px) for o in self.outlines], dtype=np.int32),
            "outline_panel": np.asarray([o.panel for o in self.outlines], dtype=np.int32),
            "outline_who": np.asarray([o.who for o in self.outlines], dtype=np.int8),
        }
        for name in ("xz", "yz", "limits", "guest_z_um", "cut_px"):
            if (value := getattr(self, name)) is not None:
                arrays[name] = value
        if self.um_per_z is not None:
            arrays["um_per_z"] = np.float64(self.um_per_z) * np.ones(())
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> EventCrops:
        """Undo :meth:`to_arrays`.

        Raises
        ------
        CicimageError
            An array is missing or does not fit the others.
        """
        try:
            ends = np.cumsum(arrays["outline_lengths"])
            pieces = np.split(arrays["outline_points"], ends[:-1]) if len(ends) else []
            outlines = tuple(
                Outline(int(panel), int(who), piece)
                for panel, who, piece in zip(arrays["outline_panel"], arrays["outline_who"], pieces, strict=True)
            )
            return cls(
                xy=arrays["xy"],
                frames=arrays["frames"],
                time_h=arrays["time_h"],
                roles=tuple(str(r) for r in arrays["roles"]),
                um_per_px=float(arrays["um_per_px"]),
                location=tuple(str(s) for s in arrays["location"]),
                viability=tuple(str(s) for s in arrays["viability"]),
                xz=arrays.get("xz"),
                yz=arrays.get("yz"),
                um_per_z=float(arrays["um_per_z"]) if "um_per_z" in arrays else None,
                limits=arrays.get("limits"),
                guest_z_um=arrays.get("guest_z_um"),
                cut_px=arrays.get("cut_px"),
                outlines=outlines,
            )
        except KeyError as error:
            raise CicimageError(f"event crops: array {error} is missing; run the position again to make it") from None
        except ValueError as error:
            raise CicimageError(f"event crops: outlines do not fit ({error}); run the position again") from None


def outlines_of(pixels: BoolArray, panel: int, who: int, offset_px: tuple[int, int] = (0, 0)) -> list[Outline]:
    """Trace the outlines of a mask, one per connected piece.

    Parameters
    ----------
    pixels : (h, w) bool
        The mask.
    panel, who : int
        As in :class:`Outline`.
    offset_px : (int, int)
        Where the mask's first pixel lies in the crop, (y, x).
    """
    found, _ = cv2.findContours(pixels.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    shift = np.asarray(offset_px, dtype=np.float32)
    return [Outline(panel, who, c.reshape(-1, 2)[:, ::-1].astype(np.float32) + shift) for c in found if len(c) > 2]


def choose_frames(anchors: Iterable[float | None], n_frames: int, n_panels: int = 8) -> list[int]:
    """Choose the frames to show of an event: its turning points, two frames before and after, and even steps between.

    Parameters
    ----------
    anchors : iterable of float or None
        Turning points such as start_frame, entry_after_frame, entry_frame, end_frame; None and NaN are left out.
    n_frames : int
        Frames in the recording.
    n_panels : int
        Largest number of frames.

    Returns
    -------
    list of int
        Ascending, without repeats.

    Examples
    --------
    >>> choose_frames([10, 12, 13, 40], 60)
    [8, 10, 12, 13, 26, 33, 40, 42]
    """
    points = sorted({int(a) for a in anchors if a is not None and a == a})
    if not points or n_frames < 1:
        return []
    chosen = {min(max(f, 0), n_frames - 1) for f in (points[0] - 2, *points, points[-1] + 2)}
    ordered = sorted(chosen)
    while len(ordered) > n_panels:
        ordered.pop(_least_informative(ordered, points))
    while len(ordered) < n_panels:
        gaps = [b - a for a, b in pairwise(ordered)]
        if not gaps or max(gaps) < 2:
            break
        i = gaps.index(max(gaps))
        ordered.insert(i + 1, ordered[i] + gaps[i] // 2)
    return ordered


def _least_informative(ordered: Sequence[int], points: Sequence[int]) -> int:
    """Index to drop: a frame that is no turning point, else the one nearest to its neighbour."""
    for i in (len(ordered) - 1, 0):
        if ordered[i] not in points:
            return i
    gaps = [b - a for a, b in pairwise(ordered)]
    return gaps.index(min(gaps)) + 1
