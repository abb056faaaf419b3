"""The methods paragraph, ready for a paper: steps that ran, versions and settings."""

from __future__ import annotations

import pandas as pd

from cicimage.figures.source import table_or_empty
from cicimage.figures.words import count, listed, plural, printable
from cicimage.report.data import ReportData

_STEPS = {
    "illumination": "uneven illumination", "bleed_through": "bleed-through between channels", "bleaching": "bleaching",
    "drift": "stage drift",
}  # fmt: skip
_VERBS = {
    "segment_guest": "Guests were segmented with the method {}.",
    "segment_host": "Hosts were segmented with the method {}.",
    "track_guest": "Guests were linked over time with the method {}.",
    "track_host": "Hosts were linked over time with the method {}.",
    "score": (
        "Where each guest was (free, attached, entering, inside) and whether it lived was scored with the method {}."
    ),
}


def methods_paragraph(data: ReportData) -> str:
    """Sentences for the methods section of a paper, derived from the steps that ran."""
    version = data.versions.get("cicimage", "?")
    told = [
        f"Cell-in-cell events were scored with cicimage {printable(version)}"
        + (f" (Python {printable(data.versions['python'])})" if "python" in data.versions else "")
        + f" in {plural(data.n_recordings - data.n_failed(), 'recording')}"
        + (f" taken every {_interval(data.interval_h)}." if data.interval_h else ".")
    ]
    told += _corrections(data) + _steps(data) + _statistics(data)
    return " ".join(told)


def _interval(interval_h: float) -> str:
    minutes = interval_h * 60
    return f"{minutes:.3g} min" if minutes >= 1 else f"{minutes * 60:.3g} s"


def _corrections(data: ReportData) -> list[str]:
    done = {s: data.methods_steps[s] for s in _STEPS if data.methods_steps.get(s, "none") != "none"}
    left = [_STEPS[s] for s in _STEPS if s in data.methods_steps and s not in done]
    told = []
    if done:
        told.append(
            "Images were corrected for " + listed([f"{_STEPS[s]} ({printable(m)})" for s, m in done.items()])
            + "; drift moved coordinates, never pixels." * ("drift" in done) + "." * ("drift" not in done)
        )  # fmt: skip
    if left:
        told.append(f"No correction was made for {listed(left)}.")
    return told


def _steps(data: ReportData) -> list[str]:
    return [
        sentence.format(printable(data.methods_steps[step]))
        for step, sentence in _VERBS.items()
        if step in data.methods_steps
    ]


def _statistics(data: ReportData) -> list[str]:
    rates, comparisons = table_or_empty(data.tables, "rates"), table_or_empty(data.tables, "comparisons")
    told = []
    primary = rates[rates["estimand"] == data.primary]
    if len(primary):
        events, hours, guests = (round(float(primary[c].sum())) for c in ("events", "exposure_h", "n_guests"))
        told.append(
            "Rates are completed events (probability at least 0.5) over the time guests were at risk: "
            f"{plural(events, 'event')} in {plural(hours, 'guest-hour')} of {plural(guests, 'guest')}; intervals are "
            f"95 % ({_distinct(primary['method'])})."
        )
    tested = comparisons[comparisons["unit_of_replication"] != "none"]
    if len(tested):
        how, units = _distinct(tested["method"]), _distinct(tested["unit_of_replication"] + "s")
        told.append(
            f"Conditions were compared by {how}, with {units} as n; wells, fields and cells were not counted as n."
        )
        if (tested["p_adjusted"] > tested["p_value"]).any():
            told.append(
                "p values and simultaneous 95 % limits were adjusted over the comparisons of each estimand "
                "(Bonferroni); differences are claimed by these."
            )
    elif len(rates):
        told.append("No test was made, since no donors or independent experiments could serve as n.")
    if data.replication:
        told.append(f"Unit of replication: {printable(data.replication)}.")
    if data.reviewers:
        events_table = table_or_empty(data.tables, "events")
        told.append(
            f"{count(float(events_table['reviewed'].sum()))} of {plural(len(events_table), 'event')} were decided by "
            f"{listed([printable(r) for r in data.reviewers])}."
        )
    return told


def _distinct(texts: pd.Series) -> str:
    """Each text once, in order of first occurrence."""
    return listed(list(dict.fromkeys(printable(t) for t in texts if t))) or "method not given"
