"""Faults of a recording that only frames and channels held against each other show.

One :class:`ConsistencyCheck` is given every frame once, keeps small pictures of it, and says at the end what it found.
What each finding means, and what pixels cannot show, is in ``docs/input-checks.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cicimage.errors import counted
from cicimage.findings import Finding, Severity
from cicimage.preprocessing.channel_registration import ChannelRegistration, Misfit
from cicimage.preprocessing.frame_order import Orientation, Repeats
from cicimage.preprocessing.glimpse import Glimpse, correlation, glimpse, shrinks_by
from cicimage.preprocessing.steadiness import Steadiness

ONE_EXPOSURE: Final = 0.95
"""Correlation of the noise of two channels from which they are one exposure, whatever they show."""
SHARED_NOISE: Final = 0.5
"""Correlation of noise from which channels are one exposure if they also show the same structures."""
SAME_STRUCTURE: Final = 0.9
"""Correlation of structures that goes with it; channels of sound movies stay under 0.35."""
NEARLY_ALL: Final = 0.98
"""Correlation of structures from which two channels show the same dye, also through two detectors."""
WEAK_COPY: Final = 0.2
"""Strength of those structures in one channel over the other up to which it is bleed-through into an empty channel."""
RARE: Final = 0.05
"""Share of frames up to which repeats are worth a note only."""
MOST_REPEATED: Final = 0.5
"""Share of repeated frames from which nothing can be told."""
MOST_ALIKE: Final = 0.2
"""Share of frames with channels alike from which nothing can be told."""
LOOK_EVERY: Final = 4
"""Frames from one comparison of structures to the next where noise shows nothing, and of the marker to the next."""
MOST_FLICKER: Final = 0.25
"""Relative SD of brightness from frame to frame from which flicker is said."""
FEWEST: Final = 3
"""Frames in which two channels must be alike at the least, or all there are."""


@dataclass(frozen=True)
class Watched:
    """One channel that is watched.

    Attributes
    ----------
    name : str
        Name in the recording.
    slot : int
        Index among the channels of the frames given.
    field : str
        Key of the experiment file that chooses it.
    """

    name: str
    slot: int
    field: str

    @property
    def where(self) -> str:
        """The channel as it is named in findings."""
        return f"channel {self.name!r}"


class ConsistencyCheck:
    """Compares frames and channels of one recording.

    Parameters
    ----------
    host : Watched
        Channel of the hosts.
    guest : Watched or None
        Channel of the guests; None where one population holds both roles, or both were given one channel on purpose.
    marker : Watched or None
        Channel of the death marker, where it has one of its own.
    guest_um : float
        Diameter of a guest, um.
    um_per_px : float
        Pixel size, um.
    """

    def __init__(
        self, host: Watched, guest: Watched | None, marker: Watched | None, *, guest_um: float, um_per_px: float
    ) -> None:
        self._host, self._guest, self._marker = host, guest, marker
        self._guest_um, self._um_per_px = guest_um, um_per_px
        self._scale = 1.0
        self._watched = (host,) if guest is None else (host, guest)
        self._repeats = {w.slot: Repeats() for w in self._watched}
        self._steadiness = {w.slot: Steadiness(follows_light=w is host) for w in self._watched}
        self._orientation = Orientation()
        self._registration: ChannelRegistration | None = None
        self._alike: dict[tuple[int, int], list[bool]] = {}
        self._same_dye: dict[tuple[int, int], list[bool]] = {}
        self._structure: dict[tuple[int, int], tuple[float, bool]] = {}
        self._n_frames = 0
        self._marker_at = -LOOK_EVERY

    def add(self, t: int, raw: npt.NDArray[Any]) -> None:
        """Take the raw (C, Z, Y, X) frame ``t``; frames come in order, missing ones are left out.

        A channel that is constant or not finite in a frame is not compared there.
        """
        seen = {w: g for w in (*self._watched, *self._marker_now(t)) if (g := glimpse(raw[w.slot])).usable}
        self._n_frames = max(self._n_frames, t + 1)
        self._scale = float(shrinks_by(raw.shape[2:]))
        for w in self._watched:
            if w in seen:
                self._repeats[w.slot].add(t, seen[w])
                self._steadiness[w.slot].add(seen[w])
        if self._host in seen:
            self._orientation.add(t, seen[self._host])
        if self._guest is not None:
            self._compare(seen, self._host, self._guest)
            self._register(t, seen, self._guest)
        if self._marker is not None and self._marker in seen:
            self._marker_at = t
            for w in self._watched:
                self._compare(seen, w, self._marker)

    def _marker_now(self, t: int) -> tuple[Watched, ...]:
        """The death marker, where some frames have passed since it was looked at: what it is a copy of stays."""
        return (self._marker,) if self._marker and t - self._marker_at >= LOOK_EVERY else ()

    def _compare(self, seen: Mapping[Watched, Glimpse], one: Watched, other: Watched) -> None:
        if one not in seen or other not in seen:
            return
        key = (one.slot, other.slot)
        a, b = seen[one], seen[other]
        noise = abs(float(np.einsum("ij,ij->", a.noise, b.noise)))
        # A marker may well show what it marks: only one exposure is a fault there.
        may_show_it = other is self._marker
        # Structures cost time and stay: they are compared where noise asks for it, else now and then.
        now_and_then = not may_show_it and len(self._alike.get(key, ())) % LOOK_EVERY == 0
        if noise > SHARED_NOISE or now_and_then:
            structure = abs(correlation(a.bands, b.bands))  # without sign, an inverse is a copy
            strengths = sorted(float(picture.bands.std()) for picture in (a, b))
            self._structure[key] = structure, strengths[0] > WEAK_COPY * strengths[1]
        structure, strong = self._structure.get(key, (0.0, False))
        told = a.resolves_noise and b.resolves_noise
        alike = noise > ONE_EXPOSURE or (told and noise > SHARED_NOISE and structure > SAME_STRUCTURE)
        self._alike.setdefault(key, []).append(alike)
        self._same_dye.setdefault(key, []).append(structure > NEARLY_ALL and strong and not may_show_it)

    def _register(self, t: int, seen: Mapping[Watched, Glimpse], guest: Watched) -> None:
        if self._host not in seen or guest not in seen:
            return
        if self._registration is None:
            self._registration = ChannelRegistration(self._guest_um / (self._um_per_px * self._scale))
        self._registration.add(t, seen[self._host].small, seen[guest].small)

    # ------------------------------------------------------------ what was found

    def findings(self) -> tuple[Finding, ...]:
        """Return what was found, those that leave nothing to be told first."""
        alike = self._alike_findings()
        found = [*alike, *self._repeat_findings(), *self._orientation_findings(), *self._steadiness_findings()]
        if not any(f.code == "channels_alike" for f in alike) and self._registration is not None and self._guest:
            misfit = self._registration.misfit()
            if misfit is not None:
                found.append(_misfit_finding(misfit, self._guest, self._host, self._scale))
        order = ("unresolved", "warning", "note")
        return tuple(sorted(found, key=lambda f: order.index(f.severity)))

    def _alike_findings(self) -> list[Finding]:
        found = []
        by_slot = {w.slot: w for w in (*self._watched, *((self._marker,) if self._marker else ()))}
        for (one, other), told in self._alike.items():
            # A dye is in all frames or in none; where few cells are left, bleed-through is all there is in single ones.
            dye = self._same_dye[one, other]
            n, of = sum(dye if 2 * sum(dye) > len(dye) else told), len(told)
            if n < min(FEWEST, of) or not n:
                continue
            a, b = by_slot[one], by_slot[other]
            marker = b is self._marker
            severity: Severity = "unresolved" if n > MOST_ALIKE * of and not marker else "warning"
            value = f"shows the same picture as {a.where} in {n} of {counted(of, 'frame')}, up to a factor"
            remedy = (
                f"name two different channels ({a.field}, {b.field}), or export the recording with its channels apart"
            )
            code = "marker_channel_alike" if marker else "channels_alike"
            found.append(Finding(code, severity, b.where, value, remedy, b.field))
        return found

    def _repeat_findings(self) -> list[Finding]:
        found = []
        for w in self._watched:
            repeats = self._repeats[w.slot]
            n, of = len(repeats.frames), repeats.seen
            if not n:
                continue
            t, source = next(iter(repeats.frames.items()))
            severity: Severity = "unresolved" if n >= MOST_REPEATED * of else "warning" if n > RARE * of else "note"
            value = (
                f"{n} of {counted(of, 'frame')} repeat an earlier exposure, noise and all (frame {t} is frame {source})"
            )
            remedy = "export the recording anew from the microscope's own file, or take the repeated frames out"
            found.append(Finding("frames_repeated", severity, w.where, value, remedy))
        return found

    def _orientation_findings(self) -> list[Finding]:
        found = []
        if self._orientation.turns:
            t, how = self._orientation.turns[0]
            share = self._orientation.turned_share(self._n_frames)
            found.append(
                Finding(
                    "frames_turned", "unresolved" if share > RARE else "warning", self._host.where,
                    f"frame {t} is {how} against the frame before, {100 * share:.0f} % of the frames are so",
                    "export all frames in one orientation of the camera",
                )
            )  # fmt: skip
        return found

    def _steadiness_findings(self) -> list[Finding]:
        found = []
        for w in self._watched:
            steadiness = self._steadiness[w.slot]
            rescaled = steadiness.rescaled()
            if rescaled:
                found.append(
                    Finding(
                        "frames_rescaled", "warning", w.where,
                        f"{rescaled}: each frame was stretched to a range of its own (auto-contrast), so counts of "
                        "different frames cannot be compared",
                        "export raw counts without auto-contrast or normalisation",
                    )
                )  # fmt: skip
                continue
            flicker = steadiness.flicker()
            if flicker > MOST_FLICKER:
                found.append(
                    Finding(
                        "flicker", "note", w.where,
                        f"brightness differs by {100 * flicker:.0f} % from frame to frame, at most "
                        f"{100 * MOST_FLICKER:.0f} % may be",
                        "check focus, lamp, laser and shutter; keep exposure the same in all frames",
                    )
                )  # fmt: skip
        return found


def _misfit_finding(misfit: Misfit, guest: Watched, host: Watched, scale: float) -> Finding:
    """A guest channel that does not lie where the host channel shows its guests, or when."""
    dy, dx = misfit.dy_px * scale, misfit.dx_px * scale
    aside = f"{abs(dx):.0f} px to the {'right' if dx > 0 else 'left'} and {abs(dy):.0f} px {'down' if dy > 0 else 'up'}"
    evidence = f"(what changes in both fits {misfit.z / max(misfit.z_home, 1.0):.1f} times as well so)"
    if misfit.mirror:
        value = f"is {misfit.mirror} against {host.where} {evidence}"
        return Finding(
            "channel_mirrored",
            "unresolved",
            guest.where,
            value,
            "turn one channel before the two are merged",
            guest.field,
        )
    if misfit.lag:
        late = "late" if misfit.lag > 0 else "early"
        value = f"is {counted(abs(misfit.lag), 'frame')} {late} against {host.where} {evidence}"
        remedy = "export the recording anew with the frames of both channels in step"
        return Finding("channel_lag", "unresolved", guest.where, value, remedy, guest.field)
    value = f"lies {aside} of {host.where} {evidence}"
    return Finding("channel_offset", "unresolved", guest.where, value, "align the channels", guest.field)
