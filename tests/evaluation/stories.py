"""A gallery of tiny worlds: a guest's life is a word, a letter a frame.

f free   l beside   o on top   u under   b between   e entering   i inside   ? unresolved
x dead outside   d dead inside   E dead, eaten   . out of view
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from cicimage.evaluation.estimates import truth_tables
from cicimage.evaluation.sides import Measured, Truth
from cicimage.statistics.comparisons import compare
from cicimage.statistics.rates import compute_rates

STEP_H = 4.0 / 60.0
_LETTERS = {
    "f": ("free", "none", "alive", ""), "l": ("attached", "lateral", "alive", ""),
    "o": ("attached", "on_top", "alive", "on_top"), "u": ("attached", "under", "alive", "under"),
    "b": ("attached", "between", "alive", "between"), "e": ("entering", "none", "alive", ""),
    "i": ("inside", "none", "alive", ""), "?": ("unresolved", "unresolved", "alive", ""),
    "x": ("free", "none", "dead", ""), "d": ("inside", "none", "dead", ""),
    "E": ("inside", "none", "dead", "dead_eaten"),
}  # fmt: skip

Lives = Mapping[str, str]

ENTERS: Lives = {
    "goes in": "fffoeeiiiiiiiiiiiiii",
    "stays out": "ffffffoooooooooooooo",
    "under": "ffuuuuuuuuuuuuuuuuuu",
}
VISITS: Lives = {"in and out": "ffoeeiiiiiiiiiooffff", "aborts": "ffooeeeooooooooooooo", "dies": "fffffffffffxxxxxxxxx"}


def truth_of(positions: Mapping[str, Lives]) -> Truth:
    """Truth from lives by position: guests lie on a lattice 20 um apart and do not move."""
    frames, events, clock = [], [], {}
    for position, lives in positions.items():
        n = max(len(life) for life in lives.values())
        clock[position] = np.arange(n) * STEP_H
        for guest, life in enumerate(lives.values(), start=1):
            frames += [_frame(position, guest, f, letter) for f, letter in enumerate(life) if letter != "."]
            events += _events(position, guest, life)
    columns = ["position", "guest_id", "host_id", "start_h", "entry_h", "end_h", "end_reason", "score",
               "excluded_reason", "prevalent", "in_view"]  # fmt: skip
    hosts = pd.DataFrame(
        [
            {"position": p, "frame": f, "host_id": 100, "viability": "alive"}
            for p, c in clock.items()
            for f in range(len(c))
        ]
    )
    decoys = pd.DataFrame({"position": [], "frame": [], "kind": [], "y_um": [], "x_um": []})
    return Truth(pd.DataFrame(frames), pd.DataFrame(events, columns=columns), hosts, decoys, clock, "story")


def _frame(position: str, guest: int, frame: int, letter: str) -> dict[str, object]:
    location, contact, viability, decoy = _LETTERS[letter]
    return {
        "position": position, "frame": frame, "guest_id": guest, "y_um": 20.0 * guest, "x_um": 50.0, "z_um": 3.0,
        "area_um2": 44.0, "location": location, "contact": contact, "viability": viability,
        "host_id": 0 if location == "free" else 100, "decoy": decoy, "touches_border": False, "parent_id": 0,
    }  # fmt: skip


def _events(position: str, guest: int, life: str) -> list[dict[str, object]]:
    """One event per stretch of e, i, d, E; an entry lies midway between the frames that hold it."""
    rows, f = [], 0
    while f < len(life):
        if life[f] not in "eidE":
            f += 1
            continue
        end = f
        while end + 1 < len(life) and life[end + 1] in "eidE":
            end += 1
        stretch = life[f : end + 1]
        inside = next((k for k, c in enumerate(stretch) if c in "idE"), None)
        prevalent = inside == 0 and f == 0
        last = end + 1 == len(life)
        died = "d" in stretch
        reason = "death" if died else "movie_end" if last else "aborted" if inside is None else "escape"
        entry = np.nan if inside is None or prevalent else (f + inside - 0.5) * STEP_H
        stop = stretch.index("d") + f if died else end + (0 if last else 0.5)
        rows.append(
            {
                "position": position, "guest_id": guest, "host_id": 100, "start_h": (f - 0.25) * STEP_H,
                "entry_h": entry,
                "end_h": stop * STEP_H, "end_reason": reason,
                "score": "entering" if inside is None else "dying" if died else "surviving",
                "excluded_reason": "dead_before_entry" if "E" in stretch else "", "prevalent": prevalent,
                "in_view": True,
            }
        )  # fmt: skip
        f = end + 1
    return rows


def layout_of(positions: Mapping[str, str]) -> pd.DataFrame:
    """A design from condition by position: one donor and one well each."""
    rows = [
        {"position": p, "condition": c, "replicate": f"w{n}", "donor": f"D{n}", "host_donor": "", "experiment": f"E{n}",
         "plate": "", "time_zero_h": 0.0}
        for n, (p, c) in enumerate(positions.items(), start=1)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def perfect(truth: Truth, conditions: Mapping[str, str] | None = None) -> Measured:
    """Results without an error, under other ids than the truth's."""
    layout = layout_of(conditions or dict.fromkeys(truth.clock_h, "vehicle"))
    tables = truth_tables(truth, layout)
    for name in ("frames", "events", "guests"):
        tables[name] = tables[name].assign(guest_id=tables[name]["guest_id"] + 500)
    return with_rates(Measured(tables, layout, "results", reference=str(layout["condition"].iloc[0])))


def with_rates(measured: Measured) -> Measured:
    """The same with rates and ratios computed from its tables, as a report would."""
    t = measured.tables
    rates, by_replicate = compute_rates(t["events"], t["guests"], t["hosts"], t["frames"], measured.layout)
    comparisons = compare(by_replicate, measured.reference, measured.layout)
    made = {"rates": rates, "rates_by_replicate": by_replicate, "comparisons": comparisons}
    return replace(measured, tables={**t, **made})


def planted(measured: Measured, **changed: pd.DataFrame) -> Measured:
    """The same with some tables exchanged; rates as they were unless exchanged too."""
    return replace(measured, tables={**measured.tables, **changed})
