"""The page of the campaign of alarms: counts, every alarm with what was measured behind it, and the table of power."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

Row = Mapping[str, Any]


def _number(value: object) -> float:
    return float(value) if value not in ("", None) else float("nan")  # type: ignore[arg-type]


def _moves_far(row: Row) -> str:
    step, spacing = _number(row.get("long_step_um")), _number(row.get("spacing_um"))
    true = (
        f"the faster quarter of the guests moves {step:.0f} um or more a frame, the next guest is {spacing:.0f} um away"
    )
    return true if step > 0.5 * spacing else ""


def _schedule(row: Row) -> str:
    return "the marker is imaged in every third frame" if _number(row.get("marker_every")) == 3 else ""


def _dye(row: Row) -> str:
    left = _number(row.get("bleed_left"))
    if left > 0.05:
        return f"{100 * left:.0f} % of the guest channel is left in the hosts' after correction"
    return "guests take up dye of hosts (0.08 of a host's level an hour)" if "hard" in str(row["name"]) else ""


def _flicker(row: Row) -> str:
    return (
        "the preset loses focus in 4 % of the frames and its light differs by 5 %" if "hard" in str(row["name"]) else ""
    )


BEHIND: Final[Mapping[str, Callable[[Row], str]]] = {
    "guests_move_far": _moves_far, "marker_schedule": _schedule, "host_dye_in_guests": _dye, "flicker": _flicker,
}  # fmt: skip
"""What the simulation did that a finding is true of; empty where it did nothing of the kind."""


def _table(work: Path, part: str) -> pd.DataFrame:
    found = [pd.read_csv(p, keep_default_na=False, dtype=str) for p in sorted(work.glob(f"**/{part}.csv"))]
    return pd.concat(found, ignore_index=True).fillna("") if found else pd.DataFrame()


def codes(row: Row) -> list[str]:
    """Codes that check or run said of a recording, once each."""
    return sorted({c.split(":")[0] for c in f"{row['check']} {row['run']}".split()})


def alarms(table: pd.DataFrame) -> pd.DataFrame:
    """One row per finding on a simulated movie, with what is behind it, empty for a false one."""
    found = []
    for row in table.to_dict("records"):
        for code in codes(row):
            behind = BEHIND.get(code, lambda _: "")(row)
            said = next((s for s in str(row["said"]).split(" | ") if s.startswith(f"{code}:")), "")
            found.append({"name": row["name"], "code": code, "behind": behind, "said": said.partition(": ")[2].strip()})
    return pd.DataFrame(found, columns=["name", "code", "behind", "said"])


def _listed(found: pd.DataFrame) -> list[str]:
    lines = ["| movie | code | what was said | what is behind it |", "|---|---|---|---|"]
    lines += [
        f"| {r['name']} | `{r['code']}` | {_cell(r['said'])} | {r['behind'] or '**nothing**'} |"
        for r in found.to_dict("records")
    ]
    return lines


def _cell(text: str) -> str:
    text = text.replace("|", "/")
    return text if len(text) <= 180 else text[:177] + "..."


def _movies(work: Path, part: str, title: str) -> list[str]:
    table = _table(work, part)
    if not len(table):
        return []
    found = alarms(table)
    false = found[found["behind"] == ""]
    failed = table[table["outcome"] != "done"]
    check, run = (table[c].astype(float).sum() for c in ("check_s", "run_s"))
    lines = [
        f"## {title}", "",
        f"{len(table)} movies, {found['name'].nunique()} with a finding, **{false['name'].nunique()} with a finding "
        f"that nothing is behind**; {len(failed)} runs failed. `check` took {check:.0f} s of CPU, the runs "
        f"{run:.0f} s.",
        "",
    ]  # fmt: skip
    counts = found.groupby("code").agg(said=("name", "size"), false=("behind", lambda b: int((b == "").sum())))
    lines += ["| code | said | false |", "|---|---|---|"]
    lines += [f"| `{code}` | {r['said']} | {r['false']} |" for code, r in counts.iterrows()]
    shown = found[(found["code"] != "marker_schedule") | (found["behind"] == "")]
    return [*lines, "", *(_listed(shown) if len(shown) else []), ""]


def _power(work: Path) -> list[str]:
    table = _table(work, "power")
    if not len(table):
        return []
    for column in ("rate", "low", "high", "strength", "movies", "said", "events"):
        table[column] = pd.to_numeric(table[column], errors="coerce")
    base = table[table["fault"] == "none"].iloc[0]
    quarter = (base["high"] - base["low"]) / 4.0
    lines = [
        "## Power", "",
        "Ten movies (five donors), stacks of 6 slices, 18 frames, 158 um, with one fault of one strength in each. "
        f"Without a fault the entry rate is {base['rate']:.3f} per guest-hour ({base['low']:.3f} to "
        f"{base['high']:.3f}, {base['events']:.0f} events); a quarter of its "
        f"interval is {quarter:.3f}. *Shift* is the rate's change; "
        "`unresolved` positions give no rate. Movies with dye passed on are simulated anew, so that chance alone moves "
        "their rate too.", "",
        "| fault | strength | said in | as | rate | shift, quarters of the interval | also said |",
        "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for r in table[table["fault"] != "none"].to_dict("records"):
        known = np.isfinite(r["rate"])
        shift = f"{abs(r['rate'] - base['rate']) / quarter:.2f}" if known else "-"
        rate = f"{r['rate']:.3f}" if known else "-"
        lines.append(
            f"| {r['fault']} | {r['strength']:g} | {r['said']:.0f} of {r['movies']:.0f} | {r['severity']} | {rate} "
            f"| {shift} | {r['others']} |"
        )
    return [*lines, ""]


def _given(work: Path) -> list[str]:
    table = _table(work, "given")
    if not len(table):
        return []
    lines = ["## Sample data and real recordings", "", "| recording | outcome | said |", "|---|---|---|"]
    for r in table.to_dict("records"):
        said = str(r["said"]).replace(" | ", "; ") or str(r["error"])
        lines.append(f"| {r['name']} | {r['outcome']} | {said.replace('|', '/') or '-'} |")
    return [*lines, ""]


def page(work: Path, notes: str) -> str:
    """All of it as Markdown.

    Parameters
    ----------
    work : Path
        Folder of the CSVs, searched with its folders.
    notes : str
        What people wrote about the page.
    """
    lines = [
        "# Alarms of the input checks", "", f"`python benchmarks/input_alarms.py`, {date.today()}", "",
        *([notes, ""] if notes else []),
        *_movies(work, "sound", "Sound movies"), *_movies(work, "presets", "Presets in a small field"),
        *_power(work), *_given(work),
    ]  # fmt: skip
    return "\n".join(lines).rstrip() + "\n"
