"""Filmstrip of one event: images before, at and after the entry, tiled from arrays."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from cicimage.arrays import BoolArray, Float32Array, Int64Array
from cicimage.crops import GUEST, HOST, OTHER_GUEST, EventCrops, Outline
from cicimage.figures.lettering import RGB, width_px
from cicimage.figures.strip_marks import FilledBox, Image, Letters, Line, LineKind, Mark, marks_svg
from cicimage.figures.style import LOCATION_COLOURS
from cicimage.figures.words import LOCATIONS
from cicimage.methods import noise_sd

_COLOURS: Final[dict[str, RGB]] = {
    "host": (255, 0, 255), "guest": (0, 255, 0), "effector": (70, 140, 255), "other": (150, 150, 150),
}  # fmt: skip
_KINDS: Final[dict[int, LineKind]] = {HOST: "host", OTHER_GUEST: "other", GUEST: "guest"}
_INK: Final[RGB] = (29, 39, 48)
_MUTED: Final[RGB] = (92, 104, 115)
_ENTRY: Final[RGB] = (0, 114, 178)
_DEATH_NOISE: Final = 15.0  # least range of the death marker's display, noise SDs
_GAP: Final = 3
_HEAD: Final = 18
_STRIP: Final = 17
_SIDE: Final = 46


@dataclass(frozen=True, eq=False)
class Strip:
    """A filmstrip: the tiled images, and the marks drawn over them.

    Attributes
    ----------
    image : (H, W, 3) uint8
        RGB, without marks.
    marks : tuple of Mark
        Outlines, time stamps, states, scale bar.
    alt : str
        Description of the strip in words.
    """

    image: Image
    marks: tuple[Mark, ...]
    alt: str

    def overlay(self) -> str:
        """The marks as inline SVG of the picture's size."""
        return marks_svg(self.marks, *self.image.shape[:2])


def filmstrip(crops: EventCrops, *, entry_frame: int | None = None, tile_px: int = 104) -> Strip:
    """Tile an event's crops.

    Rows from above: time stamps, xy, the death marker on its own, xz, yz, and the state given by the program. Guest
    outlined solid, host dotted; ticks at the edges of xy show where the axial cuts go through, corners in the cuts
    where the guest's height was measured.

    Parameters
    ----------
    crops : EventCrops
        Stored crops of the event.
    entry_frame : int, optional
        First frame inside: its panel is marked.
    tile_px : int
        Width of one panel, pixels; heights follow the crop, axial ones to scale.
    """
    n, w = crops.xy.shape[0], crops.xy.shape[3]
    rows = _rows(crops, tile_px)
    heights = [tiles[0].shape[0] for _, tiles in rows]
    total = _HEAD + sum(heights) + _GAP * len(rows) + _STRIP
    image = np.full((total, _SIDE + n * (tile_px + _GAP), 3), 255, dtype=np.uint8)
    lefts = [_SIDE + i * (tile_px + _GAP) for i in range(n)]
    marks = _heads(crops, lefts, tile_px, entry_frame)
    top = _HEAD
    for (name, tiles), height in zip(rows, heights, strict=True):
        marks.append(Letters(name, top + height // 2, _SIDE - 7, 11, _MUTED, "right"))
        for panel, (left, tile) in enumerate(zip(lefts, tiles, strict=True)):
            image[top : top + height, left : left + tile.shape[1]] = tile
            marks += _tile_marks(crops, name, panel, tile_px / w, (top, left), (height, tile_px))
        top += height + _GAP
    marks += _states(crops, lefts, tile_px, top)
    return Strip(image, tuple(marks), filmstrip_alt(crops))


def to_jpeg(image: Image, quality: int = 80) -> bytes:
    """Encode an RGB picture as JPEG.

    Parameters
    ----------
    image : (Y, X, 3) uint8 array
        The picture.
    quality : int
        JPEG quality, 0-100.

    Returns
    -------
    bytes
        Content of the file.

    Raises
    ------
    ValueError
        The picture cannot be encoded.
    """
    how = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
    done, data = cv2.imencode(".jpg", image[..., ::-1], how)
    if not done:
        raise ValueError(f"a picture of shape {image.shape} cannot be written as JPEG")
    return bytes(data)


def clock(time_h: float) -> str:
    """Format a time as hours and minutes.

    Examples
    --------
    >>> clock(3.4), clock(-0.25)
    ('3:24', '−0:15')
    """
    minutes = round(abs(time_h) * 60)
    return f"{'−' if time_h < 0 and minutes else ''}{minutes // 60}:{minutes % 60:02d}"


def filmstrip_alt(crops: EventCrops) -> str:
    """Describe the strip in words: time and state of each panel."""
    seen = "xy" + "".join(f" and {n}" for n, cut in (("xz", crops.xz), ("yz", crops.yz)) if cut is not None)
    panels = [
        f"{clock(t)} {_state(s, v)}" for t, s, v in zip(crops.time_h, crops.location, crops.viability, strict=True)
    ]
    return f"{len(panels)} pictures in {seen}, hours:minutes and state: {', '.join(panels)}."


def _state(location: str, viability: str) -> str:
    return LOCATIONS.get(location, location) + (f", {viability}" if viability in ("dying", "dead") else "")


# ---------------------------------------------------------------- pictures


def _rows(crops: EventCrops, tile_px: int) -> list[tuple[str, list[Image]]]:
    """Tiles per row: name and one tile per panel."""
    channels, h, w = crops.xy.shape[1:]
    zoom = tile_px / w
    limits = [_limits(crops, c) for c in range(channels)]
    size = (round(h * zoom), tile_px)
    rows = [("xy", [_sized(c, size) for c in _composites(crops, crops.xy, limits)])]
    if "death" in crops.roles:
        c = crops.roles.index("death")
        band = _death_band(h)
        grey = (_grey(crops.xy[:, c, band], limits[c]) * 255 + 0.5).astype(np.uint8)
        size = (round(grey.shape[1] * zoom), tile_px)
        rows.append(("death", [_sized(g, size)[..., None].repeat(3, axis=2) for g in grey]))
    for name, cut in (("xz", crops.xz), ("yz", crops.yz)):
        if cut is not None:
            # The highest slice comes on top.
            size = (axial_height_px(crops, cut, tile_px), tile_px)
            rows.append((name, [_sized(c, size) for c in _composites(crops, cut[:, :, ::-1], limits)]))
    return rows


def _death_band(h: int) -> slice:
    """Rows of the middle half of the crop, where the guest is."""
    return slice(h // 4, h - h // 4)


def axial_height_px(crops: EventCrops, cut: npt.NDArray[np.generic], tile_px: int) -> int:
    """Compute the height of an axial tile, to scale with its width.

    Parameters
    ----------
    crops : EventCrops
        Pixel size and focus step.
    cut : (..., Z, side) array
        Axial cuts, with two leading axes.
    tile_px : int
        Width of the tile, pixels of the picture.

    Returns
    -------
    int
        Height, pixels of the picture: at least 16 and at most ``tile_px``.
    """
    n_slices, side = cut.shape[2:]
    um_per_tile_px = crops.um_per_px * side / tile_px
    return int(np.clip(round(n_slices * (crops.um_per_z or 1.0) / um_per_tile_px), 16, tile_px))


def _limits(crops: EventCrops, channel: int) -> tuple[float, float]:
    if crops.limits is not None:
        low, high = (float(v) for v in crops.limits[channel])
    else:
        # Pixels beyond the frame's border are zero.
        seen = crops.xy[:, channel][crops.xy[:, channel] > 0]
        low, high = (float(v) for v in np.percentile(seen, (2, 99.7))) if seen.size else (0.0, 1.0)
    if crops.roles[channel] == "death":
        # Without a dead cell the brightest pixels are noise, which must not look like a signal.
        high = max(high, low + _DEATH_NOISE * noise_sd(crops.xy[:, channel]))
    return low, high if high > low else low + 1


def _grey(plane: npt.NDArray[np.generic], limits: tuple[float, float]) -> Float32Array:
    low, high = limits
    scaled: Float32Array = np.clip((plane.astype(np.float32) - low) / (high - low), 0, 1)
    return scaled


def _composites(crops: EventCrops, planes: npt.NDArray[np.generic], limits: list[tuple[float, float]]) -> Image:
    """(N, C, h, w) counts to (N, h, w, 3) colours; the death marker has a row of its own."""
    n, _, h, w = planes.shape
    colour = np.zeros((n, h, w, 3), dtype=np.float32)
    for channel, role in enumerate(crops.roles):
        if role != "death":
            grey = _grey(planes[:, channel], limits[channel])
            for k, part in enumerate(_COLOURS.get(role, _COLOURS["other"])):
                if part:
                    colour[..., k] += grey * (part / 255)
    return (np.minimum(colour, 1, out=colour) * 255 + 0.5).astype(np.uint8)


def _sized(picture: Image, size: tuple[int, int]) -> Image:
    height, width = size
    how = cv2.INTER_AREA if height < picture.shape[0] else cv2.INTER_LINEAR
    return np.ascontiguousarray(cv2.resize(picture, (width, height), interpolation=how))


# ---------------------------------------------------------------- marks


def _tile_marks(
    crops: EventCrops, name: str, panel: int, zoom: float, corner: tuple[int, int], size: tuple[int, int]
) -> list[Mark]:
    shift = np.asarray(corner, dtype=np.float32)
    if name == "xy":
        marks: list[Mark] = [m for who in _KINDS for m in _lines(crops, panel, who, zoom, shift, 0, size[0])]
        if crops.xz is not None:
            marks += _cut_ticks(crops, panel, zoom, shift, size)
        return marks + (_scale_bar(crops.um_per_px / zoom, shift, size) if panel == 0 else [])
    if name == "death":
        return list(_lines(crops, panel, GUEST, zoom, shift, _death_band(crops.xy.shape[2]).start, size[0]))
    return list(_brackets(crops, panel, name, zoom, shift, size))


def _outlines(crops: EventCrops, panel: int, who: int) -> list[Outline]:
    return [o for o in crops.outlines if o.panel == panel and o.who == who]


def _lines(
    crops: EventCrops, panel: int, who: int, zoom: float, shift: Float32Array, from_y: int, height: int
) -> list[Line]:
    lines = []
    last = np.asarray(crops.xy.shape[2:], np.float32) - 1
    for outline in _outlines(crops, panel, who):
        points = (outline.points_px - np.asarray([from_y, 0], np.float32) + 0.5) * zoom - 0.5
        points[:, 0] = np.clip(points[:, 0], 0, height - 1)
        points = (points + shift).astype(np.float32)
        pieces = _off_border(outline.points_px, last)
        if pieces is None:
            lines.append(Line(points, _KINDS[who], closed=True))
        else:
            lines += [Line(points[piece], _KINDS[who]) for piece in pieces]
    return lines


def _off_border(points: Float32Array, last: Float32Array) -> list[Int64Array] | None:
    """Pieces of a closed outline that do not run along the crop's border, as point numbers; None for all of it.

    Where a mask is cut by the crop its outline follows the border, which is not the edge of the cell.
    """
    if points.min() > 0 and not (points >= last).any():
        return None
    following = np.roll(points, -1, axis=0)
    along = ((points <= 0) & (following <= 0)) | ((points >= last) & (following >= last))
    cut: BoolArray = np.logical_or(along[:, 0], along[:, 1])
    if not cut.any():
        return None
    n = len(points)
    start = int(np.flatnonzero(cut)[-1]) + 1
    pieces: list[list[int]] = [[start % n]]
    for k in (int(v) % n for v in range(start, start + n)):
        if cut[k]:
            pieces.append([(k + 1) % n])
        else:
            pieces[-1].append((k + 1) % n)
    return [np.asarray(p) for p in pieces if len(p) > 1]


def _cut_ticks(crops: EventCrops, panel: int, zoom: float, shift: Float32Array, size: tuple[int, int]) -> list[Line]:
    h, w = size
    y, x = (h / 2, w / 2) if crops.cut_px is None else (crops.cut_px[panel] + 0.5) * zoom
    if not (0 <= y < h and 0 <= x < w):
        return []
    ends = (((y, 0), (y, 5)), ((y, w - 6), (y, w - 1)), ((0, x), (5, x)), ((h - 6, x), (h - 1, x)))
    return [Line(points, "tick") for points in np.asarray(ends, np.float32) + shift]


def _brackets(
    crops: EventCrops, panel: int, name: str, zoom: float, shift: Float32Array, size: tuple[int, int]
) -> list[Line]:
    """Corners of the guest's box in an axial cut: its outline's width, its measured height in z."""
    own, cut = _outlines(crops, panel, GUEST), crops.xz if name == "xz" else crops.yz
    if crops.guest_z_um is None or cut is None or not own or not np.isfinite(crops.guest_z_um[panel]).all():
        return []
    step = crops.um_per_z or 1.0
    along = np.concatenate([o.points_px[:, 1 if name == "xz" else 0] for o in own])
    left, right = ((float(v) + 0.5) * zoom for v in (along.min(), along.max()))
    per_um = size[0] / (cut.shape[2] * step)
    low, high = (float(np.clip(size[0] - (v + step / 2) * per_um, 0, size[0] - 1)) for v in crops.guest_z_um[panel])
    arm = 5.0
    corners = [
        (y, x, down, inward) for y, down in ((high, arm), (low, -arm)) for x, inward in ((left, arm), (right, -arm))
    ]
    lines = np.asarray([[(y + down, x), (y, x), (y, x + inward)] for y, x, down, inward in corners], np.float32)
    return [Line(points, "bracket") for points in lines + shift]


def scale_bar_um(width_um: float) -> float:
    """A round length of about a third of the picture's width.

    Examples
    --------
    >>> scale_bar_um(31.0), scale_bar_um(120.0)
    (10.0, 50.0)
    """
    room = max(width_um * 0.45, 1e-6)
    power = 10.0 ** math.floor(math.log10(room))
    return max(f * power for f in (1.0, 2.0, 5.0) if f * power <= room)


def _scale_bar(um_per_tile_px: float, shift: Float32Array, size: tuple[int, int]) -> list[Mark]:
    h, w = size
    length_um = scale_bar_um(w * um_per_tile_px)
    top, left = float(shift[0]), float(shift[1])
    white: RGB = (255, 255, 255)
    return [
        FilledBox(top + h - 7, left + 6, 3, length_um / um_per_tile_px, white),
        Letters(f"{length_um:g} µm", top + h - 16, left + 5, 11, white, shadow=True),
    ]


def _heads(crops: EventCrops, lefts: list[int], tile_px: int, entry_frame: int | None) -> list[Mark]:
    marks: list[Mark] = [Letters("h:min", _HEAD // 2, _SIDE - 7, 11, _MUTED, "right")]
    for i, left in enumerate(lefts):
        entered = entry_frame is not None and int(crops.frames[i]) == entry_frame
        if entered:
            marks.append(FilledBox(_HEAD - 3, left, 2, tile_px, _ENTRY))
        text = clock(float(crops.time_h[i])) + ("  entry" if entered else "")
        marks.append(Letters(text, _HEAD // 2 - 1, left + 1, 11, _ENTRY if entered else _INK))
    return marks


def _states(crops: EventCrops, lefts: list[int], tile_px: int, top: int) -> list[Mark]:
    marks: list[Mark] = [Letters("state", top + _STRIP // 2, _SIDE - 7, 11, _MUTED, "right")]
    for left, location, viability in zip(lefts, crops.location, crops.viability, strict=True):
        shown = "dead" if viability == "dead" else location
        fill = _rgb(LOCATION_COLOURS.get(shown, "#ffffff"))
        marks.append(FilledBox(top, left, _STRIP, tile_px, fill, hatch=shown == "unresolved"))
        text = _state(location, viability)
        if width_px(text) > tile_px - 4:
            text = viability if viability in ("dying", "dead") else location
        colour: RGB = (255, 255, 255) if sum(fill) < 330 else _INK
        marks.append(Letters(text, top + _STRIP // 2, left + tile_px // 2, 11, colour, "middle"))
    return marks


def _rgb(colour: str) -> RGB:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
