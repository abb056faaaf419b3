"""The page of the speed benchmark: medians and ranges of what was measured, ratios within one repetition."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

Repetition = Mapping[str, Any]
IN_COMPANY: Final = 0.05
"""Share of the machine that other processes took, from which figures are not to be quoted."""
TARGETS: Final = {
    "start to the first frame": "0.8 s", "detect": "2.4", "link and score": "0.6", "crops": "0.1",
    "steady state": "3.5", "start and report": "1.2", "whole command": "5",
}  # fmt: skip
"""Ratios to the floor, but where a unit stands."""
PROGRAM_TARGETS: Final = {"cicimage --help": "0.15", "report on nine positions": "1.5"}


def page(kept: Mapping[str, Any], about: str) -> str:
    """The whole page.

    Parameters
    ----------
    kept : mapping
        Sections by name, as ``benchmarks/speed.py`` keeps them.
    about : str
        What the page is.
    """
    lines = ["# Speed", "", about.strip(), ""]
    for name, section in kept.items():
        done = section["repetitions"]
        if not any(done):
            continue
        lines += [f"## {name}", "", section["about"], "", *_made(section), ""]
        lines += _program(done) if name == "program" else _recording(section)
    return "\n".join(lines).rstrip() + "\n"


def _made(section: Mapping[str, Any]) -> list[str]:
    """Where, when and how quietly it was measured."""
    parts = [numbers for rep in section["repetitions"] for numbers in rep.values()]
    others = float(np.average([p["others"] for p in parts], weights=[p["wall"] for p in parts]))
    load, n = [p["load"] for p in parts], len(section["repetitions"])
    lines = [
        f"Commit {section['commit']}, {section['date']}, {n} repetition{'s' if n > 1 else ''} after a warm-up. "
        f"{section['machine']} {section['versions']}",
        "",
    ]
    taken = f"other processes took {others:.0%} of the machine; load average {min(load):.1f} to {max(load):.1f}."
    if others > IN_COMPANY:
        return [*lines, f"**Measured in company, to be repeated in quiet**: {taken}"]
    return [*lines, f"Measured in quiet: {taken}"]


def _recording(section: Mapping[str, Any]) -> list[str]:
    done = [r for r in section["repetitions"] if "floor" in r and "run" in r]
    if not done:
        return ["No repetition is complete.", ""]
    return [*_found(section, done), "", *_run(done), *_cores(done), *_workers(done), *_peers(done)]


def _found(section: Mapping[str, Any], done: Sequence[Repetition]) -> list[str]:
    """What the run found, against what the recording must hold."""
    found, wanted = done[-1]["run"]["found"], section["wanted"]
    in_a_frame = ", ".join(f"{n} {k}" for k, n in found.items() if k.endswith("in a frame"))
    lines = [
        f"{section['shape']}. Found: {found['guests']} tracks of guests, {found['hosts']} of hosts, "
        f"{found['events']} events ({in_a_frame}, median)."
    ]
    have = {
        "guests": found.get("guest in a frame", 0), "hosts": found.get("host in a frame", 0), "events": found["events"],
    }  # fmt: skip
    short = [f"{have[k]} {k} of {n}" for k, n in wanted.items() if have[k] < n]
    if short:
        lines.append(f"**Less than this recording must hold: {', '.join(short)}.**")
    return lines


def _run(done: Sequence[Repetition]) -> list[str]:
    """Stages of the whole command, one worker that is free to use every core."""
    stage = {k: _of("run", "stages", k) for k in ("detect", "link", "score", "crops")}
    first, report, steady = _of("run", "first_frame"), _of("run", "report"), _of("run", "steady")
    rows: list[tuple[str, Callable[[Repetition], float]]] = [
        ("floor", _of("floor", "wall")), ("start to the first frame", first), *stage.items(),
        ("link and score", lambda r: stage["link"](r) + stage["score"](r)), ("steady state", steady),
        ("report, after the last position", report), ("start and report", lambda r: first(r) + report(r)),
        ("whole command", _of("run", "wall")),
    ]  # fmt: skip
    processor = {"floor": _of("floor", "processor"), "whole command": _of("run", "processor")}
    table = [
        (
            name, _seconds(done, value), _ratio(done, value, _of("floor", "wall")),
            _seconds(done, processor[name]) if name in processor else "", TARGETS.get(name, ""),
        )
        for name, value in rows
    ]  # fmt: skip
    peak = [f"{max(r['run'][k] for r in done) / 2**20:.0f} MiB" for k in ("position_peak", "peak")]
    head = ("part", "wall, s", "over the floor", "processor, s", "target")
    return [
        *_table(head, table),
        f"Peak memory: {peak[0]} of the position's process, {peak[1]} of the largest process of the command.", "",
    ]  # fmt: skip


def _cores(done: Sequence[Repetition]) -> list[str]:
    """One worker free to use every core against itself held to one."""
    both = [r for r in done if "one core" in r]
    if not both:
        return []
    table = [
        (
            name, _seconds(both, _of("run", key)), _seconds(both, _of("one core", key)),
            _ratio(both, _of("one core", key), _of("run", key)), target,
        )
        for name, key, target in (
            ("steady state", "steady", "1.3"), ("whole command", "wall", ""), ("processor time", "processor", ""),
        )
    ]  # fmt: skip
    return ["One position:", "", *_table(("", "free, s", "held to one core, s", "gain of being free", "target"), table)]


def _workers(done: Sequence[Repetition]) -> list[str]:
    """Two positions by one worker, by one held to one core, and by two."""
    ways = ("two positions, one worker", "two positions, one worker held to one core", "two positions, two workers")
    all_ways = [r for r in done if all(way in r for way in ways)]
    if not all_ways:
        return []
    two = _of(ways[-1], "positions")
    table = [
        (
            way.removeprefix("two positions, "), _seconds(all_ways, _of(way, "positions")),
            _seconds(all_ways, _of(way, "processor")), _ratio(all_ways, _of(way, "positions"), two),
            f"{max(r[way]['position_peak'] for r in all_ways) / 2**20:.0f}", "1.8" if "one core" in way else "",
        )
        for way in ways
    ]  # fmt: skip
    head = ("way", "wall, s", "processor, s", "over two workers", "peak of a position, MiB", "target")
    return [
        "Two positions with the same pixels, from the first one's start to the last one's end:",
        "",
        *_table(head, table),
    ]


def _peers(done: Sequence[Repetition]) -> list[str]:
    """What people would use instead, against the part of the program that does the same."""
    same = {
        "naive script": ("naive script: threshold, trackpy, overlap", "steady state", _of("run", "steady")),
        "scikit-image": ("scikit-image: Otsu, watershed, regionprops", "detect", _of("run", "stages", "detect")),
        "trackpy": ("trackpy: linking of the same objects", "link", _of("run", "stages", "link")),
    }
    table = []
    for part, (name, against, ours) in same.items():
        have = [r for r in done if part in r]
        if have:
            theirs = _of(part, "wall")
            table.append(
                (
                    name, _seconds(have, theirs), _ratio(have, theirs, _of("floor", "wall")),
                    _seconds(have, _of(part, "processor")), f"{max(r[part]['peak'] for r in have) / 2**20:.0f}",
                    against, _ratio(have, theirs, ours),
                )
            )  # fmt: skip
    if not table:
        return []
    head = ("peer", "wall, s", "over the floor", "processor, s", "peak, MiB", "does part of", "over that part")
    return ["Peers, on the same pixels and cores:", "", *_table(head, table)]


def _program(done: Sequence[Repetition]) -> list[str]:
    names = dict.fromkeys(name for rep in done for name in rep)
    table = []
    for name in names:
        have = [r for r in done if name in r]
        table.append(
            (
                name, _seconds(have, _of(name, "wall")), _seconds(have, _of(name, "processor")),
                f"{max(r[name]['peak'] for r in have) / 2**20:.0f}", PROGRAM_TARGETS.get(name, ""),
            )
        )  # fmt: skip
    return _table(("command", "wall, s", "processor, s", "peak, MiB", "target, s"), table)


def _of(*keys: str) -> Callable[[Repetition], float]:
    """What stands under these keys of a repetition."""

    def get(repetition: Repetition) -> float:
        value: Any = repetition
        for key in keys:
            value = value[key]
        return float(value)

    return get


def _seconds(done: Sequence[Repetition], value: Callable[[Repetition], float]) -> str:
    return _spread([value(r) for r in done])


def _ratio(
    done: Sequence[Repetition], over: Callable[[Repetition], float], under: Callable[[Repetition], float]
) -> str:
    return _spread([over(r) / under(r) if under(r) else float("nan") for r in done])


def _spread(values: Sequence[float]) -> str:
    """Median, and the range where there are several."""
    middle = f"{np.median(values):.2f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.2f}-{max(values):.2f})"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *("| " + " | ".join(r) + " |" for r in rows), ""]
