"""Whether a recording's scale can be that of cells, and whether recordings of one experiment are alike."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, cast

import numpy as np

from cicimage.errors import counted
from cicimage.findings import Finding
from cicimage.pipeline.setting import Setting

_NUMBERED: Final = re.compile(r"(.*?)(\d+)(\D*)")
_AXIS: Final = re.compile(r"([TCZ])(\d+)")
FRAMES_OF_A_MOVIE: Final = 3
"""Fewest recordings of one frame, alike but for a number, that are taken for one movie."""
MOST_CHANNELS: Final = 6
"""More channels than this are rather frames."""
FEWEST_PX: Final = 3.0
"""Pixels across the smallest guest, from which on it can be told from noise."""
SMALLEST_UM: Final = 0.02
"""Pixel size below the finest sampling in use (a third of the resolution of a 1.49 NA lens is 0.06 um), um."""
LONGEST_H: Final = 6.0
"""Hours between frames from which no cell is followed: a guest crawls across a field, and enters and leaves unseen."""
SLICES_A_GUEST: Final = 1.5
"""Slices through a guest below which most of its height lies between slices."""
SLICES_OF_A_MOVIE: Final = 25
"""Slices of a recording of one frame from which it is rather a movie: adherent cells are 10 to 20 um high."""
SHORTEST_S: Final = 1.0
"""Seconds between frames below which an interval is rather one in other units: cells take minutes."""
ALIKE: Final = 0.02
"""Relative difference of scales that is rounding."""


def doubts(setting: Setting, sizes: Mapping[str, int], order: str = "") -> tuple[Finding, ...]:
    """Warnings about a scale that no recording of cells has: a wrong unit finds nothing and is no error.

    Parameters
    ----------
    setting : Setting
        Scale and populations.
    sizes : mapping of str to int
        Lengths of the recording's axes.
    order : str
        Order of its planes, as :func:`one_frame` takes it.
    """
    um, said = setting.optics.um_per_px, []
    low, high = cast(tuple[float, float], setting.populations[setting.with_role("guest")].diameter_um)
    field_um = um * min(sizes["Y"], sizes["X"])
    if high / um < FEWEST_PX:
        value = f"a guest of {low:g} to {high:g} um is at most {high / um:.2g} pixels wide at {um:g} um per pixel"
        said.append(_doubt("guest_smaller_than_pixels", value, "check the unit of the pixel size", "optics.um_per_px"))
    elif low > field_um:
        value = f"the whole field is {field_um:.3g} um wide at {um:g} um per pixel, less than one guest of {low:g} um"
        said.append(_doubt("field_smaller_than_guest", value, "check the unit of the pixel size", "optics.um_per_px"))
    elif um < SMALLEST_UM:
        value = f"pixels of {um:.3g} um are smaller than any microscope resolves"
        said.append(_doubt("pixel_size_small", value, "check the unit of the pixel size", "optics.um_per_px"))
    um_per_z = setting.optics.um_per_z
    if um_per_z is not None and um_per_z * SLICES_A_GUEST > high:
        value = f"slices lie {um_per_z:g} um apart, more than guests of {low:g} to {high:g} um can be seen in"
        said.append(_doubt("slices_far_apart", value, "check the unit of the focus step", "optics.um_per_z"))
    said += one_frame(sizes, order)
    steps = np.diff(setting.time_s)
    if len(steps) and float(np.median(steps)) < SHORTEST_S:
        value = f"{float(np.median(steps)):.3g} s lie between frames"
        said.append(_doubt("interval_short", value, "check the unit of the interval", "optics.frame_interval_s"))
    elif len(steps) and float(np.median(steps)) > 3600.0 * LONGEST_H:
        value = f"{float(np.median(steps)) / 3600.0:.3g} h lie between frames, in which cells cannot be followed"
        said.append(_doubt("interval_long", value, "check the unit of the interval", "optics.frame_interval_s"))
    return tuple(said)


def one_frame(sizes: Mapping[str, int], order: str = "") -> tuple[Finding, ...]:
    """What a recording of one frame looks like, with the line that reads it as a movie; nothing for a movie.

    Parameters
    ----------
    sizes : mapping of str to int
        Lengths of the recording's axes.
    order : str
        Order of its planes, slowest first, as :attr:`~cicimage.recording.Recording.order` gives it.
    """
    if sizes["T"] > 1:
        return ()
    axis, what = ("Z", "slices") if sizes["Z"] > 1 else ("C", "channels")
    n = sizes[axis]
    looks = n > MOST_CHANNELS if axis == "C" else n >= SLICES_OF_A_MOVIE
    if axis == "C" and not looks:
        value = "1 frame cannot show that a cell enters, survives or dies"
        remedy = "give the whole movie; numbered files are one movie by a pattern with {t} in [files]"
        return (_doubt("one_frame", value, remedy, "files.pattern"),)
    value, condition = f"1 frame of {n} {what} looks like a movie of which time was saved as {what}", "if so"
    if not looks:
        value, condition = (
            f"1 frame of {n} {what} cannot show that a cell enters, survives or dies",
            f"if the {what} are time",
        )
    line = _as_time(order, axis)
    if not line:
        remedy = f"{condition}, save it with time as its frames, in Fiji by Image > Hyperstacks > Re-order Hyperstack"
        return (_doubt("one_frame", value, remedy, ""),)
    remedy = f'{condition}, write axes = "{line}" in [files]'
    if axis == "C":
        remedy += ', or "TC2YX!" where 2 channels alternate'
    return (_doubt("one_frame", value, remedy, "files.axes"),)


def _as_time(order: str, axis: str) -> str:
    """Axes that read one axis of the planes as time, whose length is then left open; empty without an order."""
    stack = [(a, n) for a, n in _AXIS.findall(order) if a != axis]
    if not order:
        return ""
    place = [a for a, _ in _AXIS.findall(order)].index(axis)
    stack.insert(place, ("T", ""))
    return "".join(a + n for a, n in stack) + "YX!"


def one_frame_each(frames: Mapping[str, int], *, several_planes: bool) -> tuple[Finding, ...]:
    """A warning where recordings of one frame each are named like the frames of one movie.

    Parameters
    ----------
    frames : mapping of str to int
        Number of frames by position.
    several_planes : bool
        Whether each file holds more than one plane, so that no pattern of names reads them.
    """
    movies: dict[str, list[str]] = {}
    for position, n in frames.items():
        if n == 1 and (found := _NUMBERED.fullmatch(position)):
            movies.setdefault(found[1] + found[3], []).append(position)
    movies = {stem: members for stem, members in movies.items() if len(members) >= FRAMES_OF_A_MOVIE}
    if not movies:
        return ()
    members = next(iter(movies.values()))
    n_members = sum(map(len, movies.values()))
    value = (
        f"{n_members} recordings have 1 frame each and differ by a number ({members[0]} to {members[-1]}), like the "
        f"frames of {counted(len(movies), 'movie')}"
    )
    remedy = f'if so, write pattern = "{_pattern(members[0])}" in [files]'
    if several_planes:
        remedy = "if so, save each movie as one file, in Fiji by File > Import > Image Sequence"
    return (_doubt("one_frame_each", value, remedy, "files.pattern"),)


def _pattern(position: str) -> str:
    """Pattern of numbered frames named like this position: folder, well, number of the time point."""
    folder, _, name = position.rpartition("/")
    before, _, after = cast(re.Match[str], _NUMBERED.fullmatch(name)).groups()
    separator = before[len(before.rstrip("_-. ")) :]
    return ("{condition}/" if folder else "") + ("{well}" if before.strip("_-. ") else "") + separator + "{t}" + after


def _doubt(code: str, value: str, remedy: str, field: str) -> Finding:
    return Finding(code, "warning", "", value, remedy, field)


def differences(settings: Mapping[str, Setting]) -> tuple[Finding, ...]:
    """Warnings about what differs between recordings: two experiments in one folder look like this.

    Parameters
    ----------
    settings : mapping of str to Setting
        By position.
    """
    said = []
    for what, unit, field, values in (
        ("pixel size", "um", "optics.um_per_px", {p: s.optics.um_per_px for p, s in settings.items()}),
        ("focus step", "um", "optics.um_per_z", {p: s.optics.um_per_z or 0.0 for p, s in settings.items()}),
        (
            "frame interval", "s", "optics.frame_interval_s",
            {p: _interval(s) for p, s in settings.items() if len(s.time_s) > 1},
        ),
    ):  # fmt: skip
        groups = _groups(values)
        if len(groups) > 1:
            each = ", ".join(f"{v:.4g} {unit} in {counted(len(p), 'recording')} (such as {p[0]})" for v, p in groups)
            code = f"{what.replace(' ', '_')}_differs"
            value = f"recordings differ in {what}: {each}"
            said.append(_doubt(code, value, "are these two experiments?", field))
    return tuple(said)


def _interval(setting: Setting) -> float:
    return float(np.median(np.diff(setting.time_s)))


def _groups(values: Mapping[str, float]) -> Sequence[tuple[float, list[str]]]:
    """Positions by value, values that differ by rounding or the clock's jitter together."""
    groups: list[tuple[float, list[str]]] = []
    for position, value in values.items():
        near = next((p for v, p in groups if abs(v - value) <= ALIKE * max(abs(v), abs(value))), None)
        if near is None:
            groups.append((value, [position]))
        else:
            near.append(position)
    return sorted(groups, key=lambda g: -len(g[1]))
