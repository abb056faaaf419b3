"""Whether a recording's scale can be that of cells, and whether recordings of one experiment are alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, cast

import numpy as np

from cicimage.errors import counted
from cicimage.findings import Finding
from cicimage.pipeline.setting import Setting

FEWEST_PX: Final = 3.0
"""Pixels across the smallest guest, from which on it can be told from noise."""
SHORTEST_S: Final = 1.0
"""Seconds between frames below which an interval is rather one in other units: cells take minutes."""
ALIKE: Final = 0.02
"""Relative difference of scales that is rounding."""


def doubts(setting: Setting, sizes: Mapping[str, int]) -> tuple[Finding, ...]:
    """Warnings about a scale that no recording of cells has: a wrong unit finds nothing and is no error.

    Parameters
    ----------
    setting : Setting
        Scale and populations.
    sizes : mapping of str to int
        Lengths of the recording's axes.
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
    steps = np.diff(setting.time_s)
    if len(steps) and float(np.median(steps)) < SHORTEST_S:
        value = f"{float(np.median(steps)):.3g} s lie between frames"
        said.append(_doubt("interval_short", value, "check the unit of the interval", "optics.frame_interval_s"))
    return tuple(said)


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
