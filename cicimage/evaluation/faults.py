"""Faults by kind: how often each occurred, and an example of each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pandas as pd

COLUMNS: Final = ("fault", "count", "of", "position", "frame", "guest_id_true", "guest_id", "sentence")
_DECOY_WORDS: Final = {
    "under": "a guest under a host", "under_two": "a guest under two hosts", "on_top": "a guest on top of a host",
    "between": "a guest between two hosts", "fold": "a guest in a fold", "cluster": "a guest in a cluster",
    "lateral": "a guest beside a host", "free": "a free guest", "floater": "a floating guest",
    "dead_floater": "a dead floating guest", "dead_host": "a guest at a dead host",
    "dead_eaten": "a guest dead before it went in", "entering": "a guest still entering",
}  # fmt: skip
_EVENT_WORDS: Final = {
    "entry": "entry", "escape": "escape", "abort": "aborted entry", "death": "guest's death",
    "host_death": "host's death",
}  # fmt: skip


def name_faults(
    states: pd.DataFrame, switches: pd.DataFrame, matched: pd.DataFrame, person_time: pd.DataFrame, rates: pd.DataFrame
) -> pd.DataFrame:
    """List every kind of fault found.

    Parameters
    ----------
    states : pandas.DataFrame
        Frames side by side, labelled.
    switches : pandas.DataFrame
        position, frame, guest_id_true, before, after, swapped.
    matched : pandas.DataFrame
        Occurrences of all kinds, matched, with the frame nearest to each.
    person_time, rates : pandas.DataFrame
        As :mod:`~cicimage.evaluation.estimates` returns them.

    Returns
    -------
    pandas.DataFrame
        fault, count, of (denominator; empty where there is none), place of the first one, and a sentence.
    """
    found = [
        *_detection(states), *_identity(states, switches), *_locations(states), *_occurrences(matched),
        *_hours(person_time), *_rates(rates),
    ]  # fmt: skip
    return pd.DataFrame(found, columns=list(COLUMNS))


def _fault(name: str, rows: pd.DataFrame, of: float, sentence: str) -> dict[str, Any]:
    first = rows.sort_values(["position", "frame"], kind="stable").iloc[0] if len(rows) else pd.Series(dtype=object)
    return {
        "fault": name, "count": len(rows), "of": of, "position": first.get("position", ""),
        "frame": first.get("frame"), "guest_id_true": first.get("guest_id_true"), "guest_id": first.get("guest_id"),
        "sentence": sentence,
    }  # fmt: skip


def _detection(states: pd.DataFrame) -> Iterator[dict[str, Any]]:
    true = states["guest_id_true"] > 0
    missed = states[true & ~((states["guest_id"] > 0) & states["observed"]) & ~states["touches_border_true"]]
    if len(missed):
        guests = missed.groupby(["position", "guest_id_true"]).ngroups
        yield _fault(
            "missed_guest", missed, float(true.sum()), f"{guests} guests were not seen in {len(missed)} frames"
        )
    false = states[~true & states["observed"]]
    if len(false):
        yield _fault(
            "false_guest", false, float((states["guest_id"] > 0).sum()),
            f"in {len(false)} frames something was taken for a guest where none is",
        )  # fmt: skip


def _identity(states: pd.DataFrame, switches: pd.DataFrame) -> Iterator[dict[str, Any]]:
    of = float(states["both"].sum())
    swapped, broken = switches[switches["swapped"]], switches[~switches["swapped"]]
    if len(swapped):
        yield _fault(
            "swapped_track",
            swapped,
            of,
            f"{len(swapped)} times a track went on with a guest another track had followed",
        )
    if len(broken):
        yield _fault("broken_track", broken, of, f"{len(broken)} times a guest went on under a new id")


def _locations(states: pd.DataFrame) -> Iterator[dict[str, Any]]:
    judged = states[states["judged"]]
    for kind, words in _DECOY_WORDS.items():
        here = judged[judged["kind"] == kind]
        wrong = here[here["inside"]]
        if len(wrong):
            yield _fault(
                f"{kind}_called_inside", wrong, float(len(here)),
                f"{words} was called inside in {len(wrong)} of {len(here)} frames",
            )  # fmt: skip
    inside = judged[judged["inside_true"]]
    for name, rows, words in (
        ("inside_unresolved", inside[inside["location"] == "unresolved"], "left unresolved"),
        ("inside_called_outside", inside[~inside["inside"] & (inside["location"] != "unresolved")], "called outside"),
    ):
        if len(rows):
            yield _fault(
                name, rows, float(len(inside)), f"guests inside were {words} in {len(rows)} of {len(inside)} frames"
            )
    false = states[(states["guest_id_true"] == 0) & states["inside"]]
    if len(false):
        yield _fault(
            "no_guest_called_inside", false, float((states["guest_id_true"] == 0).sum()),
            f"what is no guest was called inside in {len(false)} frames",
        )  # fmt: skip


def _occurrences(matched: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for kind, rows in matched.groupby("kind", sort=False):
        words = _EVENT_WORDS[str(kind)]
        asked = float(rows["outcome"].isin(["found", "missed", "missed_shifted"]).sum())
        claimed = float(rows["outcome"].isin(["found", "false", "false_shifted"]).sum())
        shifted = rows[rows["outcome"] == "missed_shifted"]
        if len(shifted):
            by = float(shifted["error_min"].median())
            yield _fault(
                f"shifted_{kind}", shifted, asked,
                f"{len(shifted)} times the {words} was found at another time, half of them {by:+.0f} min off and more"
                if len(shifted) > 1 else f"the {words} was found {by:+.0f} min off",
            )  # fmt: skip
        missed = rows[rows["outcome"] == "missed"]
        if len(missed):
            yield _fault(f"missed_{kind}", missed, asked, f"{len(missed)} of {asked:.0f} times the {words} was missed")
        false = rows[rows["outcome"] == "false"]
        if len(false):
            reasons = ", ".join(f"{n} {r}" for r, n in false["reason"].value_counts().items())
            yield _fault(
                f"false_{kind}", false, claimed,
                f"{len(false)} of {claimed:.0f} times the {words} was false; truly: {reasons}",
            )  # fmt: skip


def _hours(person_time: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for row in person_time[person_time["biased"]].to_dict("records"):
        yield _fault(
            "wrong_denominator", person_time.iloc[:0].assign(position="", frame=0), float("nan"),
            f"{row['condition']}: hours {str(row['state']).replace('_', ' ')} are {row['hours']:.1f}, truly "
            f"{row['hours_true']:.1f} ({row['ratio'] - 1:+.0%})",
        ) | {"count": 1}  # fmt: skip


def _rates(rates: pd.DataFrame) -> Iterator[dict[str, Any]]:
    asked = rates[rates["truth"].notna() & rates["ci_low"].notna() & rates["ci_high"].notna()]
    for condition, part in asked.groupby("condition", sort=False):
        wrong = part[~part["covered"].astype(bool)]
        if not len(wrong):
            continue
        row = wrong.to_dict("records")[0]
        others = [str(e) for e in wrong["estimand"][1:]]
        yield _fault(
            "wrong_rate", rates.iloc[:0].assign(position="", frame=0), float(len(part)),
            f"{condition}: {row['estimand']} is {row['estimate']:.3g} ({row['ci_low']:.3g} to "
            f"{row['ci_high']:.3g}), truly {row['truth']:.3g}" + (f"; so too {', '.join(others)}" if others else ""),
        ) | {"count": len(wrong)}  # fmt: skip
