"""Tiny experiments drawn as pictures: one line a guest, one letter a frame.

``.`` free, ``a`` attached, ``e`` entering, ``I`` inside, ``?`` unresolved, ``x`` dead, ``X`` dead inside, ``u`` free
and not read by the death marker, space unseen.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from cicimage import tables

_LOCATION = {
    ".": "free",
    "a": "attached",
    "e": "entering",
    "I": "inside",
    "?": "unresolved",
    "x": "free",
    "X": "inside",
    "u": "free",
}


def frames_of(
    pictures: dict[str, list[str]], step_h: float = 1.0, start_h: float = 0.0, unknown_inside: bool = False
) -> pd.DataFrame:
    """Table frames from ``{position: [line of guest 1, line of guest 2, ...]}``."""
    rows = []
    for position, lines in pictures.items():
        for guest, line in enumerate(lines, start=1):
            for frame, letter in enumerate(line):
                if letter == " ":
                    continue
                location = _LOCATION[letter]
                viability = "dead" if letter in "xX" else "alive"
                if letter == "u" or (unknown_inside and letter == "I"):
                    viability = "unknown"
                rows.append({
                    "position": position, "frame": frame, "time_h": start_h + frame * step_h, "guest_id": guest,
                    "label": guest, "observed": True, "y_um": 0.0, "x_um": 0.0, "location": location,
                    "contact": "none", "viability": viability, "host_id": 0,
                    "p_inside": float(location == "inside"),
                })  # fmt: skip
    return tables.conform(tables.FRAMES, pd.DataFrame(rows)) if rows else tables.empty(tables.FRAMES)


def guests_of(frames: pd.DataFrame) -> pd.DataFrame:
    """Table guests from frames: each frame stands for half the step on either side."""
    rows = []
    for (position, guest), part in frames.groupby(["position", "guest_id"]):
        t = part["time_h"].to_numpy()
        hours = np.zeros(len(t))
        hours[:-1] += np.diff(t) / 2
        hours[1:] += np.diff(t) / 2
        location, alive = part["location"].to_numpy(), (part["viability"] != "dead").to_numpy()
        dead = np.flatnonzero(~alive)
        where = "" if not len(dead) else str(location[max(dead[0] - 1, 0)])
        rows.append({
            "position": position, "condition": "", "replicate": "", "donor": "", "guest_id": guest,
            "first_frame": part["frame"].iloc[0], "last_frame": part["frame"].iloc[-1], "start_reason": "movie_start",
            "end_reason": "death" if len(dead) else "movie_end",
            "death_frame": float(part["frame"].iloc[dead[0]]) if len(dead) else np.nan,
            "death_location": where if where in ("", "inside", "unresolved") else "outside", "n_events": 0,
            "hours_outside_alive": hours[alive & np.isin(location, ["free", "attached", "entering"])].sum(),
            "hours_contact": hours[alive & np.isin(location, ["attached", "entering", "unresolved"])].sum(),
            "hours_inside_alive": hours[alive & (location == "inside")].sum(),
            "hours_unresolved": hours[alive & (location == "unresolved")].sum(), "parent_id": 0,
        })  # fmt: skip
    return tables.conform(tables.GUESTS, pd.DataFrame(rows)) if rows else tables.empty(tables.GUESTS)


def events_of(frames: pd.DataFrame) -> pd.DataFrame:
    """Table events: one per run inside; runs from the first frame are prevalent, runs of one frame brief."""
    rows = []
    for (position, guest), part in frames.groupby(["position", "guest_id"]):
        inside = ((part["location"] == "inside") & (part["viability"] != "dead")).to_numpy()
        frame = part["frame"].to_numpy()
        edges = np.flatnonzero(np.diff(np.r_[0, inside.astype(int), 0]))
        for first, stop in zip(edges[::2], edges[1::2], strict=True):
            over = stop == len(part)
            died = not over and part["viability"].iloc[stop] == "dead"
            rows.append({
                "event_id": f"{position}#{guest}-{first}", "position": position, "condition": "", "replicate": "",
                "donor": "", "guest_id": guest, "host_id": 1, "start_frame": frame[first], "entry_frame": frame[first],
                "entry_after_frame": frame[first - 1] if first else np.nan, "end_frame": frame[stop - 1],
                "end_reason": "movie_end" if over else "death" if died else "escape",
                "score": "dying" if died else "surviving", "excluded_reason": "", "outcome_known": True, "p": 0.9,
                "y_um": 0.0, "x_um": 0.0, "prevalent": first == 0, "brief": stop - first < 2, "reviewed": False,
            })  # fmt: skip
    return tables.conform(tables.EVENTS, pd.DataFrame(rows)) if rows else tables.empty(tables.EVENTS)


def hosts_of(positions: list[str], most: list[int], hours: float) -> pd.DataFrame:
    """Table hosts: the same hosts in every position, one per entry of ``most`` (most guests at once)."""
    rows = [
        {
            "position": position, "condition": "", "replicate": "", "donor": "", "host_id": 100 + i, "first_frame": 0,
            "last_frame": 1, "end_reason": "movie_end", "hours": hours, "death_frame": np.nan, "n_guests_max": n,
            "n_entries": 0, "parent_id": 0,
        }
        for position in positions
        for i, n in enumerate(most)
    ]  # fmt: skip
    return tables.conform(tables.HOSTS, pd.DataFrame(rows)) if rows else tables.empty(tables.HOSTS)


def layout_of(design: dict[str, tuple[str, str]], **columns: list[str]) -> pd.DataFrame:
    """Layout from ``{position: (condition, donor)}``."""
    rows = [
        {"position": p, "condition": c, "replicate": p, "donor": d, "host_donor": "", "experiment": "", "plate": ""}
        for p, (c, d) in design.items()
    ]
    return pd.DataFrame(rows).assign(**columns)


def replicate_rates(
    counts: dict[str, dict[str, tuple[float, float]]], estimand: str = "entry_rate_per_guest_h"
) -> pd.DataFrame:
    """rates_by_replicate from ``{condition: {donor: (events, hours)}}``."""
    rows = [
        {
            "estimand": estimand, "condition": c, "donor": d, "experiment": "", "replicate": f"{c}{d}",
            "estimate": y / t if t else np.nan, "unit": "1/h", "events": y, "exposure_h": t, "denominator": t,
            "n_guests": 10, "n_hosts": 0, "n_positions": 1, "n_replicates": 1, "n_donors": 1, "method": "", "note": "",
        }
        for c, donors in counts.items()
        for d, (y, t) in donors.items()
    ]  # fmt: skip
    return tables.conform(tables.RATES_BY_REPLICATE, pd.DataFrame(rows))


def layout_of_rates(rates: pd.DataFrame, **columns: list[str]) -> pd.DataFrame:
    """A layout with one position per well of ``rates_by_replicate``."""
    rows = rates.drop_duplicates("replicate")
    return pd.DataFrame({
        "position": rows["replicate"], "condition": rows["condition"], "replicate": rows["replicate"],
        "donor": rows["donor"], "host_donor": "", "experiment": rows["experiment"], "plate": "",
    }).reset_index(drop=True).assign(**columns)  # fmt: skip
