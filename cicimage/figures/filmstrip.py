"""Filmstrip of one event: what the microscope saw before, at and after the entry, tiled from arrays."""

from __future__ import annotations

import math
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from cicimage.figures.crops import GUEST, HOST, EventCrops, Outline
from cicimage.figures.lettering import RGB, width_px, write
from cicimage.figures.style import LOCATION_COLOURS
from cicimage.figures.words import LOCATIONS

Image = npt.NDArray[np.uint8]
_COLOURS: Final[dict[str, RGB]] = {
    "host": (255, 0, 255), "guest": (0, 255, 0), "effector": (70, 140, 255), "other": (150, 150, 150),
}  # fmt: skip
_INK: Final[RGB] = (29, 39, 48)
_MUTED: Final[RGB] = (92, 104, 115)
_GUEST_LINE: Final[RGB] = (255, 230, 90)
_HOST_LINE: Final[RGB] = (255, 255, 255)
_OTHER_LINE: Final[RGB] = (190, 175, 90)
_GAP: Final = 3
_HEAD: Final = 18
_STRIP: Final = 17
_SIDE: Final = 46


def filmstrip(crops: EventCrops, *, entry_frame: int | None = None, tile_px: int = 104) -> Image:
    """Tile an event's crops into one picture.

    Rows from above: time stamps, xy, the death marker on its own, xz, yz, and the state the program gave. Guest
    outlined solid, host dotted; ticks at the edges of xy show where the axial cuts go through.

    Parameters
    ----------
    crops : EventCrops
        What was stored.
    entry_frame : int, optional
        First frame inside: its panel is marked.
    tile_px : int
        Width of one panel, pixels; heights follow the crop, axial ones to scale.

    Returns
    -------
    (H, W, 3) uint8
        RGB.
    """
    n, w = crops.xy.shape[0], crops.xy.shape[3]
    zoom = tile_px / w
    rows: list[tuple[str, list[Image]]] = [("xy", [_xy_tile(crops, i, zoom) for i in range(n)])]
    if "death" in crops.roles:
        rows.append(("death", [_death_tile(crops, i, zoom) for i in range(n)]))
    if crops.um_per_z is not None:
        rows += [
            (name, [_axial_tile(crops, cut[i], i, name, tile_px) for i in range(n)])
            for name, cut in (("xz", crops.xz), ("yz", crops.yz)) if cut is not None
        ]  # fmt: skip
    heights = [tiles[0].shape[0] for _, tiles in rows]
    total = _HEAD + sum(heights) + _GAP * len(rows) + _STRIP
    image = np.full((total, _SIDE + n * (tile_px + _GAP), 3), 255, dtype=np.uint8)
    lefts = [_SIDE + i * (tile_px + _GAP) for i in range(n)]
    top = _HEAD
    for (name, tiles), height in zip(rows, heights, strict=True):
        write(image, name, top + height // 2, _SIDE - 7, size_px=11, colour=_MUTED, anchor="right")
        for left, tile in zip(lefts, tiles, strict=True):
            image[top : top + height, left : left + tile.shape[1]] = tile
        top += height + _GAP
    _heads(image, crops, lefts, tile_px, entry_frame)
    _states(image, crops, lefts, tile_px, top)
    return image


def to_jpeg(image: Image, quality: int = 80) -> bytes:
    """Encode an RGB picture as JPEG.

    Raises
    ------
    ValueError
        The picture cannot be encoded.
    """
    done, data = cv2.imencode(
        ".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
    )
    if not done:
        raise ValueError(f"a picture of shape {image.shape} cannot be written as JPEG")
    return bytes(data)


def clock(time_h: float) -> str:
    """Hours and minutes.

    Examples
    --------
    >>> clock(3.4), clock(-0.25)
    ('3:24', '−0:15')
    """
    minutes = round(abs(time_h) * 60)
    return f"{'−' if time_h < 0 and minutes else ''}{minutes // 60}:{minutes % 60:02d}"


def filmstrip_alt(crops: EventCrops) -> str:
    """The strip in words: each panel's time and state."""
    cuts = [name for name, cut in (("xz", crops.xz), ("yz", crops.yz)) if cut is not None]
    panels = [
        f"{clock(t)} {_state(s, v)}" for t, s, v in zip(crops.time_h, crops.location, crops.viability, strict=True)
    ]
    seen = "xy" + "".join(f" and {c}" for c in cuts)
    return f"{len(panels)} pictures in {seen}, hours:minutes and state: {', '.join(panels)}."


def _state(location: str, viability: str) -> str:
    return LOCATIONS.get(location, location) + (f", {viability}" if viability in ("dying", "dead") else "")


def _limits(crops: EventCrops, channel: int) -> tuple[float, float]:
    if crops.limits is not None:
        low, high = (float(v) for v in crops.limits[channel])
    else:
        low, high = (float(v) for v in np.percentile(crops.xy[:, channel], (2, 99.7)))
    return low, high if high > low else low + 1


def _grey(plane: npt.NDArray[np.generic], limits: tuple[float, float]) -> npt.NDArray[np.float32]:
    low, high = limits
    scaled: npt.NDArray[np.float32] = np.clip((plane.astype(np.float32) - low) / (high - low), 0, 1)
    return scaled


def _composite(crops: EventCrops, planes: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
    """(C, h, w) counts to (h, w, 3) colours in 0-1; the death marker has a row of its own."""
    colour = np.zeros((*planes.shape[1:], 3), dtype=np.float32)
    for channel, role in enumerate(crops.roles):
        if role != "death":
            tint = np.asarray(_COLOURS.get(role, _COLOURS["other"]), dtype=np.float32) / 255
            colour += _grey(planes[channel], _limits(crops, channel))[..., None] * tint
    return np.minimum(colour, 1, out=colour)


def _sized(colour: npt.NDArray[np.float32], height: int, width: int) -> Image:
    how = cv2.INTER_AREA if height < colour.shape[0] else cv2.INTER_LINEAR
    return np.ascontiguousarray(cv2.resize((colour * 255 + 0.5).astype(np.uint8), (width, height), interpolation=how))


def _xy_tile(crops: EventCrops, panel: int, zoom: float) -> Image:
    h, w = crops.xy.shape[2:]
    tile = _sized(_composite(crops, crops.xy[panel]), round(h * zoom), round(w * zoom))
    _draw_outlines(tile, crops, panel, zoom)
    if crops.xz is not None:
        _cut_ticks(tile, crops, panel, zoom)
    if panel == 0:
        _scale_bar(tile, crops.um_per_px / zoom)
    return tile


def _death_tile(crops: EventCrops, panel: int, zoom: float) -> Image:
    h, w = crops.xy.shape[2:]
    channel = crops.roles.index("death")
    grey = _grey(crops.xy[panel, channel], _limits(crops, channel))
    # Half the height of xy would be squashed: the middle half of the crop is shown, where the guest is.
    quarter = h // 4
    tile = _sized(
        np.repeat(grey[quarter : h - quarter, :, None], 3, axis=2), round((h - 2 * quarter) * zoom), round(w * zoom)
    )
    _draw_outlines(tile, crops, panel, zoom, shift_y=-quarter, only=(GUEST,))
    return tile


def _axial_tile(crops: EventCrops, planes: npt.NDArray[np.generic], panel: int, name: str, tile_px: int) -> Image:
    n_slices, side = planes.shape[1:]
    um_per_tile_px = crops.um_per_px * side / tile_px
    height = int(np.clip(round(n_slices * (crops.um_per_z or 1.0) / um_per_tile_px), 16, tile_px))
    tile = _sized(_composite(crops, planes[:, ::-1]), height, tile_px)  # the highest slice comes on top
    if crops.guest_z_um is not None:
        _brackets(tile, crops, panel, name, tile_px / side, height)
    return tile


def _outline_of(crops: EventCrops, panel: int, who: int) -> list[Outline]:
    return [o for o in crops.outlines if o.panel == panel and o.who == who]


def _draw_outlines(
    tile: Image, crops: EventCrops, panel: int, zoom: float, shift_y: int = 0, only: tuple[int, ...] = (HOST, 2, GUEST)
) -> None:
    for who in only:
        for outline in _outline_of(crops, panel, who):
            points = (outline.points_px + (shift_y, 0) + 0.5) * zoom - 0.5
            if who == HOST:
                _dotted(tile, points)
            else:
                line = _GUEST_LINE if who == GUEST else _OTHER_LINE
                fixed = np.round(points[:, ::-1] * 8).astype(np.int32)
                cv2.polylines(tile, [fixed], True, line, 1, cv2.LINE_AA, shift=3)


def _dotted(tile: Image, points: npt.NDArray[np.float32], step_px: float = 4.0) -> None:
    """Dots at even distance along a closed line."""
    closed = np.vstack([points, points[:1]])
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(closed, axis=0).T))])
    at = np.arange(0.0, along[-1], step_px)
    ys, xs = (np.round(np.interp(at, along, closed[:, k])).astype(int) for k in (0, 1))
    seen = (ys >= 0) & (ys < tile.shape[0]) & (xs >= 0) & (xs < tile.shape[1])
    tile[ys[seen], xs[seen]] = _HOST_LINE


def _cut_ticks(tile: Image, crops: EventCrops, panel: int, zoom: float) -> None:
    h, w = tile.shape[:2]
    y, x = (h / 2, w / 2) if crops.cut_px is None else (crops.cut_px[panel] + 0.5) * zoom
    if not (0 <= y < h and 0 <= x < w):
        return
    tile[int(y), :5] = tile[int(y), -5:] = 255
    tile[:5, int(x)] = tile[-5:, int(x)] = 255


def _brackets(tile: Image, crops: EventCrops, panel: int, name: str, zoom: float, height: int) -> None:
    """Corners of the guest's box in an axial cut: its outline's width, its height in z."""
    own = _outline_of(crops, panel, GUEST)
    z = crops.guest_z_um[panel] if crops.guest_z_um is not None else np.full(2, np.nan)
    if not own or not np.isfinite(z).all():
        return
    along = np.concatenate([o.points_px[:, 1 if name == "xz" else 0] for o in own])
    n_slices = (crops.xz if name == "xz" else crops.yz).shape[2]  # type: ignore[union-attr]
    per_um = height / (n_slices * (crops.um_per_z or 1.0))
    left, right = (int((v + 0.5) * zoom) for v in (along.min(), along.max()))
    low, high = (int(height - (v + (crops.um_per_z or 1.0) / 2) * per_um) for v in z)
    arm = 5
    for x, inward in ((left, 1), (right, -1)):
        for y, down in ((high, 1), (low, -1)):
            cv2.line(tile, (x, y), (x + inward * arm, y), _GUEST_LINE, 1)
            cv2.line(tile, (x, y), (x, y + down * arm), _GUEST_LINE, 1)


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


def _scale_bar(tile: Image, um_per_tile_px: float) -> None:
    h, w = tile.shape[:2]
    length_um = scale_bar_um(w * um_per_tile_px)
    length = round(length_um / um_per_tile_px)
    tile[h - 7 : h - 4, 6 : 6 + length] = 255
    text = f"{length_um:g} µm"
    write(tile, text, h - 16, 6, size_px=11, colour=(0, 0, 0))
    write(tile, text, h - 17, 5, size_px=11, colour=(255, 255, 255))


def _heads(image: Image, crops: EventCrops, lefts: list[int], tile_px: int, entry_frame: int | None) -> None:
    write(image, "h:min", _HEAD // 2, _SIDE - 7, size_px=10, colour=_MUTED, anchor="right")
    for i, left in enumerate(lefts):
        text = clock(float(crops.time_h[i]))
        if entry_frame is not None and crops.frames[i] == entry_frame:
            image[_HEAD - 3 : _HEAD - 1, left : left + tile_px] = (0, 114, 178)
            text += "  entry"
        write(image, text, _HEAD // 2 - 1, left + 1, size_px=11, colour=_INK)


def _states(image: Image, crops: EventCrops, lefts: list[int], tile_px: int, top: int) -> None:
    write(image, "state", top + _STRIP // 2, _SIDE - 7, size_px=11, colour=_MUTED, anchor="right")
    for left, location, viability in zip(lefts, crops.location, crops.viability, strict=True):
        gone = viability in ("dying", "dead")
        fill = (
            _rgb(LOCATION_COLOURS["dead" if viability == "dead" else location]) if location in LOCATIONS else (255,) * 3
        )
        cell = image[top : top + _STRIP, left : left + tile_px]
        cell[:] = fill
        if location == "unresolved" and not gone:
            ys, xs = np.mgrid[0:_STRIP, 0:tile_px]
            cell[(ys + xs) % 7 == 0] = (190, 196, 201)
        dark = sum(fill) < 330
        text = _state(location, viability)
        if width_px(text) > tile_px - 4:
            text = viability if gone else location
        write(
            cell, text, _STRIP // 2, tile_px // 2, size_px=11, anchor="middle", colour=(255, 255, 255) if dark else _INK
        )


def _rgb(colour: str) -> RGB:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
