"""One simulated field of view: frames on demand, and its truth."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from cicimage.masks import Mask, Masks
from cicimage.simulation.bodies import Array, GuestPose
from cicimage.simulation.camera import bleaching, bleed_matrix, expose, vignette
from cicimage.simulation.contact import Place, place
from cicimage.simulation.dynamics import DYING_H, History, Moment, live
from cicimage.simulation.optics import make_psf
from cicimage.simulation.population import MARGIN_UM
from cicimage.simulation.render import PAD, Renderer
from cicimage.simulation.spec import Scenario
from cicimage.simulation.surfaces import Body, Grid, Layers, lay_out

CHANNELS: Final = ("Host", "Guest", "Death")


class SimulatedField:
    """A field of view with known truth; frames are rendered when asked for, in any order.

    Parameters
    ----------
    scenario : Scenario
        What to simulate.
    seed : sequence of int
        Entropy of this field; the same gives the same pixels and tables.
    condition : str
        Name of one of the scenario's conditions.
    log_effect : float
        Random effects of donor, donor x condition and well on the log entry rate.
    position : str
        Goes into the tables.
    """

    def __init__(
        self, scenario: Scenario, seed: tuple[int, ...], condition: str, log_effect: float = 0.0, position: str = ""
    ) -> None:
        self.scenario, self.position, self.log_effect = scenario, position, log_effect
        self.condition = scenario.condition(condition)
        self._seed = seed
        self.history: History = live(scenario, self.condition, log_effect, self._rng(0))
        acquisition = scenario.acquisition
        self.drift_um = _drift(scenario, self._rng(1))
        self.focus_um = _focus(scenario, self._rng(2))
        self.shape = (len(CHANNELS), acquisition.slices, acquisition.size_px, acquisition.size_px)
        self._psf = make_psf(acquisition)
        self._cache: tuple[int, Layers] | None = None

    def _rng(self, *stream: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence((*self._seed, *stream)))

    @property
    def n_frames(self) -> int:
        """Frames in the movie."""
        return self.scenario.acquisition.frames

    @property
    def n_hosts(self) -> int:
        """Hosts in the world; ids 1..n are hosts', higher ones guests'."""
        return len(self.history.moments[0].hosts)

    def guest_id(self, guest: int) -> int:
        """``cell_id`` of a guest by its index."""
        return self.n_hosts + 1 + guest

    def time_h(self, frame: int) -> float:
        """Hours since the movie's start."""
        return frame * self.scenario.acquisition.interval_min / 60.0

    def slices_um(self, frame: int) -> Array:
        """True heights of the focus slices above the glass in a frame."""
        a = self.scenario.acquisition
        return a.first_slice_um + self.focus_um[frame] + a.um_per_z * np.arange(a.slices)

    def grid(self, frame: int) -> Grid:
        """Columns of a frame, PAD beyond it on every side."""
        a = self.scenario.acquisition
        dy, dx = self.drift_um[frame]
        origin = MARGIN_UM - PAD * a.um_per_px
        n = a.size_px + 2 * PAD
        return Grid(origin - dy, origin - dx, a.um_per_px, (n, n))

    def layers(self, frame: int) -> Layers:
        """The geometry of a frame."""
        if self._cache is None or self._cache[0] != frame:
            moment: Moment = self.history.moments[frame]
            self._cache = (frame, lay_out(moment.hosts, moment.guests, self.grid(frame)))
        return self._cache[1]

    def frame(self, frame: int) -> npt.NDArray[np.uint16]:
        """Render one frame, (C, Z, Y, X) uint16."""
        a, nuisances = self.scenario.acquisition, self.scenario.nuisances
        layers = self.layers(frame)
        renderer = Renderer(self._psf, self.slices_um(frame), a.um_per_px, len(CHANNELS))
        light = renderer.render(layers, self.history.vacuoles, tuple(self._debris(frame, layers)))
        for channel in range(light.shape[0]):
            light[channel] *= bleaching(channel, frame, a, nuisances)
        mixed = np.tensordot(bleed_matrix(light.shape[0], nuisances).astype(np.float32), light, axes=1)
        mixed *= vignette(a, nuisances)
        return expose(mixed, a, self._rng(3, frame))

    def _debris(self, frame: int, layers: Layers) -> Iterator[Body]:
        for n, (y, x, radius, height, brightness) in enumerate(self.history.debris):
            window = layers.grid.window(y, x, radius + layers.grid.um_per_px)
            if window is None:
                continue
            ground = max(
                (float(s.pose.thickness(np.array(y), np.array(x), d)) for s in layers.sheets
                 if (d := s.pose.depth(y, x)) > 0), default=0.0,
            )  # fmt: skip
            pose = GuestPose(
                -1 - n, y, x, radius, 1.0 + 0.3 * (n % 3), n, "surface", -1, "top", 0, 0, 0, height, brightness
            )
            yield Body(pose, ground + height + pose.axes[2], window)

    # ------------------------------------------------------------ truth

    def _pixel_um(self, frame: int, y: float, x: float) -> tuple[float, float]:
        dy, dx = self.drift_um[frame]
        return y - MARGIN_UM + dy, x - MARGIN_UM + dx

    def places(self, frame: int) -> list[tuple[Body, Place]]:
        """Every guest in the field with its place, read off the geometry."""
        layers, moment = self.layers(frame), self.history.moments[frame]
        return [(b, place(b, layers, entering=bool(moment.entering[b.pose.guest]))) for b in layers.bodies]

    def guests_in(self, frame: int) -> pd.DataFrame:
        """Truth of one frame: one row per guest of which at least a quarter is in the field."""
        a = self.scenario.acquisition
        side, rows = a.size_px * a.um_per_px, []
        z0 = self.slices_um(frame)[0]
        for body, where in sorted(self.places(frame), key=lambda p: p[0].pose.guest):
            guest = body.pose
            y, x = self._pixel_um(frame, guest.y, guest.x)
            inset = min(y, x, side - a.um_per_px - y, side - a.um_per_px - x)
            if inset < -0.4 * guest.radius:
                continue
            dead = guest.dead
            rows.append({
                "position": self.position, "frame": frame, "time_h": self.time_h(frame),
                "guest_id": self.guest_id(guest.guest), "y_um": y, "x_um": x, "z_um": body.z - z0,
                "area_um2": float(np.pi * guest.axes[0] * guest.axes[1]),
                "location": where.location, "contact": where.contact,
                "viability": "alive" if dead == 0 else "dying" if dead < 1 else "dead",
                "host_id": where.host + 1, "diameter_um": 2 * guest.radius, "cap_um": where.cap_um,
                "floor_um": where.floor_um, "hosts_above": where.hosts_above, "engulfed": guest.engulfed,
                "decoy": self._decoy(guest, where), "touches_border": inset < guest.radius,
            })  # fmt: skip
        return pd.DataFrame(rows)

    def _decoy(self, guest: GuestPose, where: Place) -> str:
        """What makes a guest easy to take for one inside a host."""
        if where.location == "inside":
            eaten = any(a.guest == guest.guest and a.dead_before_entry for a in self.history.attempts)
            return "dead_eaten" if eaten else ""
        if guest.hover > 0:
            return "dead_floater" if guest.dead > 0 else "floater"
        if where.hosts_above >= 2:
            return "under_two"
        if where.contact in ("under", "on_top", "between"):
            return where.contact
        return "cluster" if self.history.clusters[guest.guest] else ""

    @cached_property
    def guests(self) -> pd.DataFrame:
        """Truth of all frames, one row per guest and frame in the field."""
        parts = [p for f in range(self.n_frames) if len(p := self.guests_in(f))]
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()

    def hosts_in(self, frame: int) -> pd.DataFrame:
        """Hosts of one frame: position, centre, area in the field, thickness, death."""
        rows = []
        for sheet in self.layers(frame).sheets:
            cover = sheet.cover > 0.5
            if not cover.any():
                continue
            y, x = self._pixel_um(frame, sheet.pose.y, sheet.pose.x)
            rows.append({
                "position": self.position, "frame": frame, "time_h": self.time_h(frame),
                "host_id": sheet.pose.host + 1, "y_um": y, "x_um": x,
                "area_um2": float(cover.sum()) * self.scenario.acquisition.um_per_px**2,
                "thickness_um": float((sheet.top - sheet.bottom)[cover].mean()),
                "viability": "alive" if sheet.pose.dead == 0 else "dead",
            })  # fmt: skip
        return pd.DataFrame(rows)

    @cached_property
    def hosts(self) -> pd.DataFrame:
        """Hosts of all frames."""
        return pd.concat([self.hosts_in(f) for f in range(self.n_frames)], ignore_index=True)

    def masks_in(self, frame: int) -> dict[str, Masks]:
        """True projected masks by population; labels are cell ids."""
        n = self.scenario.acquisition.size_px
        layers = self.layers(frame)
        hosts = [_crop(s.pose.host + 1, s.window, s.cover > 0.5, n) for s in layers.sheets]
        guests = []
        for body in layers.bodies:
            inside = body.pose.rho(*layers.grid.points(body.window)) <= 1.0
            guests.append(_crop(self.guest_id(body.pose.guest), body.window, inside, n))
        return {
            "host": Masks([m for m in hosts if m is not None], (n, n)),
            "guest": Masks(sorted((m for m in guests if m is not None), key=lambda m: m.label), (n, n)),
        }

    @cached_property
    def events(self) -> pd.DataFrame:
        """Engulfments in continuous time, one row each."""
        rows = []
        for attempt in self.history.attempts:
            death_h = float(self.history.dying_h[attempt.guest])
            eaten = attempt.dead_before_entry or (death_h < attempt.entry_h)
            entered = attempt.prevalent or np.isfinite(attempt.entry_h)
            score = (
                ""
                if eaten
                else "entering"
                if not entered
                else "dying"
                if attempt.end_reason == "death"
                else "surviving"
            )
            seen_h = attempt.entry_h if np.isfinite(attempt.entry_h) else attempt.start_h
            rows.append({
                "guest_id": self.guest_id(attempt.guest), "host_id": attempt.host + 1, "contact_h": attempt.contact_h,
                "start_h": attempt.start_h, "entry_h": attempt.entry_h, "end_h": attempt.end_h,
                "end_reason": attempt.end_reason, "score": score,
                "excluded_reason": "dead_before_entry" if eaten else "", "prevalent": attempt.prevalent,
                "death_h": death_h, "dead_h": death_h + DYING_H,
                "in_view": self._in_view(attempt.guest, seen_h),
            })  # fmt: skip
        columns = [
            "guest_id", "host_id", "contact_h", "start_h", "entry_h", "end_h", "end_reason", "score", "excluded_reason",
            "prevalent", "death_h", "dead_h", "in_view",
        ]  # fmt: skip
        return pd.DataFrame(rows, columns=columns)

    def _in_view(self, guest: int, time_h: float) -> bool:
        interval = self.scenario.acquisition.interval_min / 60.0
        frame = int(np.clip(round(max(0.0, np.nan_to_num(time_h)) / interval), 0, self.n_frames - 1))
        pose = self.history.moments[frame].guests[guest]
        y, x = self._pixel_um(frame, pose.y, pose.x)
        side = self.scenario.acquisition.size_px * self.scenario.acquisition.um_per_px
        return bool(0 <= y < side and 0 <= x < side)


def _crop(label: int, window: tuple[slice, slice], inside: npt.NDArray[np.bool_], n: int) -> Mask | None:
    """Cut a padded window's mask to the frame and to its bounding box."""
    y0, x0 = window[0].start - PAD, window[1].start - PAD
    cut = inside[max(0, -y0) : max(0, n - y0), max(0, -x0) : max(0, n - x0)]
    y0, x0 = max(0, y0), max(0, x0)
    if not cut.any():
        return None
    rows, columns = np.flatnonzero(cut.any(1)), np.flatnonzero(cut.any(0))
    tight = cut[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Mask(label, y0 + int(rows[0]), x0 + int(columns[0]), tight)


def _drift(scenario: Scenario, rng: np.random.Generator) -> Array:
    """Stage drift per frame against frame 0, (T, 2) um."""
    frames, n = scenario.acquisition.frames, scenario.nuisances
    steps = rng.normal(0, n.drift_um, (frames, 2)) + rng.normal(0, 0.5 * n.drift_um, 2)
    jumps = rng.random(frames) < n.drift_jumps / max(frames, 1)
    angles = rng.uniform(0, 2 * np.pi, frames)
    steps += (jumps * n.drift_jump_um)[:, None] * np.column_stack([np.sin(angles), np.cos(angles)])
    steps[0] = 0
    out: Array = np.cumsum(steps, axis=0)
    return out


def _focus(scenario: Scenario, rng: np.random.Generator) -> Array:
    """Focus offset per frame, (T,) um."""
    offsets, now = np.zeros(scenario.acquisition.frames), 0.0
    for t in range(1, offsets.size):
        now = 0.9 * now + rng.normal(0, scenario.nuisances.focus_drift_um * np.sqrt(1 - 0.81))
        offsets[t] = now
    return offsets


def simulate_field(
    scenario: Scenario, seed: int, condition: str | None = None, *, log_effect: float = 0.0, position: str = "",
    stream: tuple[int, ...] = (),
) -> SimulatedField:  # fmt: skip
    """Simulate one field of view.

    Parameters
    ----------
    scenario : Scenario
        What to simulate; see :data:`cicimage.simulation.scenarios.PRESETS`.
    seed : int
        The same seed gives the same pixels and tables.
    condition : str, optional
        Which of the scenario's conditions; the first by default.
    log_effect : float
        Random effects on the log entry rate.
    position : str
        Name for the tables.
    stream : tuple of int
        Which of several independent fields of this seed.
    """
    name = scenario.conditions[0].name if condition is None else condition
    return SimulatedField(
        scenario, (seed, zlib.crc32(scenario.name.encode()), *stream), name, log_effect, position or f"{name}/w1_f1"
    )
