"""The canvas: the surroundings of guest and host in one frame, with each population on a label layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QTimer

from cicimage.masks import Mask
from cicimage.review.desk import Desk
from cicimage.review.keys import Key
from cicimage.review.pictures import Box, Cut, Pictures
from cicimage.review.queue import Item
from cicimage_napari.look import CHANNEL_COLOUR, limits
from cicimage_napari.outlines import CLICKED, OWN_GUEST, OWN_HOST, Outlines
from cicimage_napari.places import canvas_box, cuts_of, masks_of, place_of
from cicimage_napari.strokes import Stroke

SHOWN_UM: Final = 60.0
"""Width that the camera shows at first, um."""
Painted = Callable[[str, Mapping[int, Mask | None], str], None]


class Stage:
    """Keeps napari's layers in step with the desk.

    Parameters
    ----------
    viewer : napari.Viewer
        Where the layers go.
    pictures : Pictures
        Cuts of the recordings.
    painted : callable
        Called after a stroke with the population, the masks after it by label (None = erased), and its kind.
    clicked : callable
        Called after a click with the population and the id of the cell, 0 where none was hit.
    """

    def __init__(self, viewer: Any, pictures: Pictures, painted: Painted, clicked: Callable[[str, int], None]) -> None:
        self.viewer, self.pictures = viewer, pictures
        self._painted, self._clicked = painted, clicked
        self._images: list[Any] = []
        self.outlines: dict[str, Outlines] = {}
        self._path: Any = None
        self._steps: npt.NDArray[np.float64] | None = None
        self._levels: dict[str, list[tuple[float, float]]] = {}
        self._desk: Desk | None = None
        self.box = Box(0, 0, 1)
        self._quiet = False
        self._brush: tuple[str, int] | None = None

    # ------------------------------------------------------------ showing

    def show_item(self, desk: Desk) -> None:
        """Centre the cut on the guest, show the desk's frame, and put the brush away."""
        self._desk = desk
        if self._brush is not None and self._brush[0] in self.outlines:
            self.tool(self._brush[0], "pan_zoom", 0)
        self.box = canvas_box(desk.corrected.base, desk.rows(), desk.current.candidate, desk.frame)
        self.show_frame()
        self._aim()

    def show_frame(self) -> None:
        """Show the desk's frame.

        Pixels are written into the layers' own arrays: new data of a layer make napari measure the whole scene again,
        which costs more than drawing it.
        """
        picture = self.block(self.desk.frame)
        if not self._images or self._images[0].data.shape != picture.shape[1:]:
            self.clear()
            self._make(picture)
        self._quiet = True
        try:
            for layer, stack, level in zip(self._images, picture, self.levels(picture), strict=True):
                layer.data[...] = stack
                if tuple(layer.contrast_limits) != level:
                    layer.contrast_limits_range = (min(level[0], 0.0), max(level[1], float(stack.max())))
                    layer.contrast_limits = level
                layer.refresh(thumbnail=False, extent=False, highlight=False)
            self.draw_labels()
        finally:
            self._quiet = False

    @property
    def desk(self) -> Desk:
        """The desk shown."""
        if self._desk is None:
            raise RuntimeError("nothing is shown yet")
        return self._desk

    def block(self, frame: int) -> npt.NDArray[Any]:
        """Pixels of a frame in the canvas's box, (C, Z, Y, X) or in 2D (C, Y, X); zeros without a recording."""
        base = self.desk.corrected.base
        found = self.pictures.get(base, Cut(frame, None, self.box))
        if found is None:
            found = np.zeros((len(base.setting.channels), 1, self.box.side, self.box.side), np.uint16)
        return found[:, 0] if found.shape[1] == 1 else found

    def levels(self, picture: npt.NDArray[Any]) -> list[tuple[float, float]]:
        """Black and white level of each channel, fixed at the first picture of a position for all its frames."""
        key = self.desk.corrected.base.position_id
        if key not in self._levels:
            self._levels[key] = [limits(stack) for stack in picture]
        return self._levels[key]

    def roles(self) -> list[str]:
        """Role of each channel: host, guest, death, effector or other."""
        setting = self.desk.corrected.base.setting
        roles = []
        for channel in setting.channels:
            uses = [use for use, c in setting.channel_of.items() if c == channel]
            named = [setting.populations[u].roles[0] for u in uses if u in setting.populations]
            roles.append((named + ["death" for u in uses if u in setting.markers] + ["other"])[0])
        return roles

    def _make(self, picture: npt.NDArray[Any]) -> None:
        """Create the layers; their names reveal nothing of the recording."""
        from napari.utils.colormaps import Colormap

        ndim = picture.ndim - 1
        for role, stack in zip(self.roles(), picture, strict=True):
            ramp = Colormap([[0, 0, 0, 1], CHANNEL_COLOUR[role]], name=f"cicimage {role}")
            layer = self.viewer.add_image(
                stack.copy(), name=f"{role} signal", colormap=ramp, blending="additive", scale=self._scale(ndim),
                units=("um",) * ndim,
            )  # fmt: skip
            layer.mouse_drag_callbacks.append(self._on_click)
            self._images.append(layer)
        base = self.desk.corrected.base
        for population, name in ((base.host, "hosts"), (base.guest, "guests")):
            if population in self.outlines:
                continue
            made = Outlines(self.viewer, name, self.box, base.setting.optics.um_per_px)
            made.layer.mouse_drag_callbacks.append(self._on_click)
            made.layer.events.paint.connect(lambda _, p=population: self._after_stroke(p))
            self.outlines[population] = made
        self._path = self.viewer.add_vectors(
            np.zeros((1, 2, 2)), name="path", edge_color="#ffffff", edge_width=0.35, opacity=0.6,
            vector_style="line", units=("um", "um"),
        )  # fmt: skip
        self.viewer.canvas.overlays.scale_bar.visible = True
        self.viewer.dims.axis_labels = ("z", "y", "x")[-self.viewer.dims.ndim :]
        self.viewer.layers.selection.active = self.outlines[base.guest].layer

    def _scale(self, ndim: int) -> list[float]:
        optics = self.desk.corrected.base.setting.optics
        return [optics.um_per_z or 1.0, optics.um_per_px, optics.um_per_px][-ndim:]

    def _aim(self) -> None:
        """Centre the camera on the guest, in the slice of its centre."""
        um = self.desk.corrected.base.setting.optics.um_per_px
        y, x, z = place_of(self.desk, self.desk.frame)
        camera = self.viewer.scene.camera
        camera.center = (0.0, y - self.box.y0 * um, x - self.box.x0 * um)
        camera.zoom = min(self._canvas_size()) / SHOWN_UM
        if self.viewer.dims.ndim > 2 and not np.isnan(z):
            self.viewer.dims.set_point(0, z)

    def prepare_for(self, item: Item) -> None:
        """Read an item's pictures and masks in the background; only where its position is in memory."""
        corrected = self.desk.session.loaded.get(item.candidate.position)
        if corrected is not None:
            self.pictures.prepare(corrected.base, cuts_of(corrected, item), masks_of(corrected, item))

    def _canvas_size(self) -> tuple[int, int]:
        size = getattr(self.viewer, "_canvas_size", (800, 600))
        return max(200, int(size[0])), max(200, int(size[1]))

    # ------------------------------------------------------------ labels

    def draw_labels(self) -> None:
        """Draw the masks as they are now: guest and host of the item bright, the cell clicked yellow."""
        desk = self.desk
        draft, frame = desk.corrected.draft, desk.frame
        guest, host = draft.base.guest, draft.base.host
        named = [(guest, desk.guest, OWN_GUEST), (host, desk.host, OWN_HOST)]
        if desk.other is not None:
            named.append((*desk.other, CLICKED))
        special: dict[Key, int] = {}
        for population, cell, number in named:
            key = draft.object_in(population, cell, frame)
            if key is not None:
                special.setdefault(key, number)
        for population, outlines in self.outlines.items():
            mine = {k.label: n for k, n in special.items() if k.population == population}
            outlines.draw(draft.masks_in(population, frame, self._window()), self.box, mine)
        self._point_brush()
        self._draw_path()

    def _window(self) -> tuple[int, int, int, int]:
        return self.box.y0, self.box.y0 + self.box.side, self.box.x0, self.box.x0 + self.box.side

    def _draw_path(self) -> None:
        """The guest's path, 12 frames to either side; vectors, since a track layer is slow to change."""
        um = self.desk.corrected.base.setting.optics.um_per_px
        rows = self.desk.rows()
        near = rows[(rows["frame"] >= self.desk.frame - 12) & (rows["frame"] <= self.desk.frame + 12)]
        places = near[["y_um", "x_um"]].to_numpy(np.float64) - np.array([self.box.y0, self.box.x0]) * um
        steps = np.stack([places[:-1], np.diff(places, axis=0)], axis=1) if len(places) > 1 else np.zeros((1, 2, 2))
        if self._steps is None or steps.shape != self._steps.shape or not np.array_equal(steps, self._steps):
            self._steps = steps
            self._path.data = steps

    def toggle_overlay(self) -> bool:
        """Hide or show outlines and path; returns whether they are visible now."""
        layers = [o.layer for o in self.outlines.values()]
        shown = not layers[0].visible if layers else True
        for layer in [*layers, self._path]:
            layer.visible = shown
        return shown

    # ------------------------------------------------------------ strokes and clicks

    def tool(self, population: str, mode: str, cell: int) -> None:
        """Set the mouse tool and the cell it works on.

        Parameters
        ----------
        population : str
            Whose label layer becomes the active one.
        mode : str
            ``paint``, ``erase``, or ``pan_zoom`` to put the brush away.
        cell : int
            Id of the cell that strokes change; in a frame where it has no object they make a new one.
        """
        layer = self.outlines[population].layer
        self.viewer.layers.selection.active = layer
        layer.brush_size = max(3, round(3.0 / self.desk.corrected.base.setting.optics.um_per_px))
        layer.mode = mode
        self._brush = (population, cell) if mode != "pan_zoom" else None
        self._point_brush()

    def _point_brush(self) -> None:
        """Keep the brush on its cell when the frame changes; without an object there it makes a new one."""
        if self._brush is None or self._brush[0] not in self.outlines:
            return
        population, cell = self._brush
        draft = self.desk.corrected.draft
        key = draft.object_in(population, cell, self.desk.frame)
        label = key.label if key is not None else draft.next_label(population, self.desk.frame)
        outlines = self.outlines[population]
        outlines.layer.selected_label = outlines.number_of(label)

    def _after_stroke(self, population: str, *, again: bool = False) -> None:
        """Read a stroke as the difference to the last drawing; the only place that reads napari's painting.

        napari announces a single dab before its pixels are written: the difference is then empty and is read once more.
        """
        if self._quiet:
            return
        new_label = self.desk.corrected.draft.next_label(population, self.desk.frame)
        stroke = self.outlines[population].strokes(new_label)
        if not stroke and not again:
            QTimer.singleShot(0, lambda: self._after_stroke(population, again=True))
            return
        for part in stroke:
            self._hand_on(population, part)
        self._quiet = True
        try:
            self.draw_labels()
        finally:
            self._quiet = False

    def _hand_on(self, population: str, part: Stroke) -> None:
        draft, frame = self.desk.corrected.draft, self.desk.frame
        key = Key(population, frame, part.label)
        before = draft.mask(key) if draft.exists(key) else None
        after = part.applied(before, (self.box.y0, self.box.x0), draft.base.masks_file.shape)
        self._painted(population, {part.label: after}, part.kind)

    def _on_click(self, layer: Any, event: Any) -> Any:
        """A click without a drag chooses the cell under the mouse, guests before hosts."""
        start = np.array(event.pos)
        yield
        while event.type == "mouse_move":
            yield
        if event.button != 1 or np.abs(np.array(event.pos) - start).max() > 3 or layer.mode not in ("pan_zoom", "pick"):
            return
        um = self.desk.corrected.base.setting.optics.um_per_px
        y, x = (round(p / um) for p in event.position[-2:])
        self._clicked(*self.cell_at(y + self.box.y0, x + self.box.x0))

    def cell_at(self, y: int, x: int) -> tuple[str, int]:
        """The cell at a pixel of the frame on the canvas.

        Parameters
        ----------
        y, x : int
            Row and column in the raw frame, px.

        Returns
        -------
        str, int
            Population and id, guests before hosts; the host population and 0 where no cell lies there.
        """
        draft, frame = self.desk.corrected.draft, self.desk.frame
        base = draft.base
        for population in dict.fromkeys((base.guest, base.host)):
            for mask in reversed(draft.masks_in(population, frame, (y, y + 1, x, x + 1))):
                h, w = mask.pixels.shape
                j, i = y - mask.y0, x - mask.x0
                if 0 <= j < h and 0 <= i < w and mask.pixels[j, i]:
                    return population, draft.cell_of(Key(population, frame, mask.label))
        return base.host, 0

    def clear(self) -> None:
        """Remove the layers."""
        for layer in [*self._images, *(o.layer for o in self.outlines.values()), self._path]:
            if layer is not None and layer in self.viewer.layers:
                self.viewer.layers.remove(layer)
        self._images, self.outlines, self._path, self._steps = [], {}, None, None
