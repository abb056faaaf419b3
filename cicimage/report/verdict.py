"""The first paragraph: what differs, by how much, how sure, from how many donors, or why nothing can be concluded.

Written from the numbers by fixed rules, so that two people with the same tables read the same sentences. What is
claimed follows the simultaneous limits and never says a cause.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from cicimage.estimands import DEATH_HAZARD_RATIO, NO_INTERACTION, estimand_of
from cicimage.figures.decision import limits_in_words, simultaneous, strength
from cicimage.figures.source import Source, records, table_or_empty
from cicimage.figures.words import interval, listed, number, p_value, plural, printable
from cicimage.statistics.comparisons import disagreeing_denominators


@dataclass(frozen=True)
class Finding:
    """One sentence with how firmly it stands."""

    sentence: str
    strength: Literal["differs", "open", "untested", "none"]


@dataclass(frozen=True)
class Verdict:
    """The paragraph.

    Attributes
    ----------
    headline : str
        One line.
    findings : tuple of Finding
        One per condition compared, on the primary estimand.
    cautions : tuple of str
        What a reader must know before quoting any of it.
    """

    headline: str
    findings: tuple[Finding, ...]
    cautions: tuple[str, ...]


def verdict(
    source: Source,
    primary: str,
    *,
    reference: str | None = None,
    n_failed: int = 0,
    n_recordings: int = 0,
    optics: Iterable[str] = (),
    input_faults: Iterable[str] = (),
) -> Verdict:
    """Write the verdict.

    Parameters
    ----------
    source : Source
        Tables ``rates``, ``comparisons``, ``guests`` and ``events``; each may be empty.
    primary : str
        Estimand the verdict is about.
    reference : str, optional
        Named reference; the comparisons' own where None.
    n_failed, n_recordings : int
        Recordings that failed, and all that were found.
    optics : iterable of str
        Whether the optics could tell each thing asked of them: yes, partly, no or unknown.
    input_faults : iterable of str
        What is wrong with the input and can move a rate, one sentence each.
    """
    rates, comparisons = table_or_empty(source, "rates"), table_or_empty(source, "comparisons")
    of = comparisons[comparisons["estimand"] == primary]
    together = of[of["reference"] == NO_INTERACTION]
    of = of[of["reference"] != NO_INTERACTION]
    findings = tuple(_finding(row) for row in records(of))
    if not findings:
        findings = (_nothing(rates[rates["estimand"] == primary], primary, reference),)
    cautions = [
        *_optics(optics), *map(printable, input_faults),
        *_units(of), *_disagreement(comparisons), *_bounds(rates[rates["estimand"] == primary], of),
        *_notes(of), *_doubt(of), *_deaths(comparisons), *_failures(n_failed, n_recordings),
        *_reviewed(table_or_empty(source, "events")),
    ]  # fmt: skip
    headline = _headline(findings, of, primary)
    findings += tuple(_dose(row) for row in records(table_or_empty(source, "dose_fits")) if row["estimand"] == primary)
    return Verdict(headline, findings + tuple(_interaction(row) for row in records(together)), tuple(cautions))


def _interaction(row: dict[str, Any]) -> Finding:
    """One sentence on whether two factors together do what their separate effects multiplied would do."""
    title = estimand_of(row["estimand"]).title.lower()
    pair = printable(row["condition"]).replace(" x ", " and ")
    ratio, low, high = row["ratio"], row["ci_low"], row["ci_high"]
    if np.isnan(low) and np.isnan(high):
        why = printable(row["note"]) or "no estimate"
        return Finding(f"Whether {pair} act on each other cannot be tested ({why}).", "none")
    span = f"ratio of ratios {number(ratio)}, {limits_in_words(row)}; "
    span += plural(row["n_pairs"], row["unit_of_replication"]) + _p_said(row)
    firm = strength(row)
    if firm == "differs":
        lower = "lower" if ratio < 1 else "higher"
        return Finding(
            f"Together, {pair} gave a {lower} {title} than their separate effects multiplied ({span}).", firm
        )
    return Finding(
        f"Together, {pair} cannot be told from their separate effects on the {title} multiplied ({span}).", firm
    )


def _p_said(row: dict[str, Any]) -> str:
    """The p that agrees with the decision, behind a semicolon; empty where there is none."""
    p = row["p_adjusted"] if not np.isnan(row["p_adjusted"]) else row["p_value"]
    adjusted = "adjusted " if not np.isnan(row["p_adjusted"]) and row["p_adjusted"] != row["p_value"] else ""
    return f"; {adjusted}{p_value(p)}" if not np.isnan(p) else ""


def _dose(row: dict[str, Any]) -> Finding:
    """One sentence on the dose of half the effect."""
    title, drug = estimand_of(row["estimand"]).title.lower(), printable(row["drug"])
    low, high = row["ci_low"], row["ci_high"]
    if np.isnan(row["ic50"]):
        why = printable(row["note"]) or "it lies outside the doses tried"
        return Finding(f"No dose of half the effect can be given for {drug} on the {title} ({why}).", "none")
    unit = printable(row["dose_unit"])
    span = interval(low if low > 0 else np.nan, high)
    n = f"; {plural(row['n_doses'], 'dose')}, {plural(row['n_donors'], 'donor')}" if row["n_donors"] else ""
    return Finding(
        f"Half of the effect of {drug} on the {title} is reached at {number(row['ic50'])} {unit} (IC50; 95 % interval "
        f"{span}{n}).", "open",
    )  # fmt: skip


def _finding(row: dict[str, Any]) -> Finding:
    words = estimand_of(row["estimand"])
    condition, reference = printable(row["condition"]), printable(row["reference"])
    ratio, firm = row["ratio"], strength(row)
    low, high = simultaneous(row)
    title = words.title[:1].lower() + words.title[1:]
    if np.isnan(ratio) and np.isnan(high):
        return Finding(f"{condition} could not be compared with {reference}: {row['note'] or 'no estimate'}.", "none")
    if ratio == 0 and np.isnan(high):
        amount = f"No {words.plural} were seen under {condition}, some under {reference}"
    elif ratio == 0:
        amount = (
            f"No {words.plural} were seen under {condition}; its {title} is at most {number(high)} times that of "
            f"{reference}"
        )
    else:
        amount = f"Under {condition} the {title} was {number(ratio)} times that of {reference}"
    if firm == "untested":
        counted = "no interval" if np.isnan(low) and np.isnan(high) else f"{limits_in_words(row)}, from counts alone"
        return Finding(
            f"{amount} ({counted}); no test can be made, so this describes these cultures only.",
            firm,
        )
    bound = "simultaneous 95 % bound" if high != row["ci_high"] else "95 % bound"
    span = bound if ratio == 0 else limits_in_words(row)
    lower = f"{number((1 - ratio) * 100)} % lower; " if firm == "differs" and 0 < ratio < 1 else ""
    evidence = f"({lower}{span}; {plural(row['n_pairs'], row['unit_of_replication'])}{_p_said(row)})"
    if firm == "differs":
        return Finding(f"{amount} {evidence}.", firm)
    return Finding(f"{amount} {evidence}: no difference can be claimed, and {_still_possible(low, high)}.", firm)


def _still_possible(low: float, high: float) -> str:
    down = f"a fall to {number(low * 100)} %" if low > 0 and np.isfinite(low) else "any fall"
    up = f"a rise to {number(high)} times" if np.isfinite(high) else "any rise"
    return f"the data still allow {down} as well as {up}"


def _nothing(rates: pd.DataFrame, primary: str, reference: str | None) -> Finding:
    title = estimand_of(primary).title.lower()
    if rates["estimate"].notna().sum() == 0:
        events = rates["events"].sum() if len(rates) else 0
        why = "nobody was at risk" if len(rates) and not rates["exposure_h"].sum() else "it could not be estimated"
        return Finding(f"Nothing can be concluded about the {title}: {why} ({plural(events, 'event')}).", "none")
    told = listed([f"{printable(r['condition'])} {_rate(r)}" for r in records(rates.dropna(subset=["estimate"]))])
    if rates["condition"].nunique() < 2:
        why = "there is one condition only"
    elif reference is None:
        why = "no reference condition was named (--reference, or reference in the experiment file)"
    else:
        why = f"the reference {printable(reference)} has no estimate to compare with"
    return Finding(f"No comparison can be made: {why}. The {title} was {told}.", "none")


def _rate(row: dict[str, Any]) -> str:
    words = estimand_of(row["estimand"], row["unit"])
    low, high = row["ci_low"] * words.scale, row["ci_high"] * words.scale
    return f"{number(row['estimate'] * words.scale)} {words.shown_unit} (95 % interval {interval(low, high)})"


def _headline(findings: tuple[Finding, ...], of: pd.DataFrame, primary: str) -> str:
    title = estimand_of(primary).title
    rows = records(of)
    differing = [r for r, f in zip(rows, findings, strict=False) if f.strength == "differs"]
    if differing:
        up = [printable(r["condition"]) for r in differing if r["ratio"] > 1]
        down = [printable(r["condition"]) for r in differing if not r["ratio"] > 1]
        parts = [f"higher under {listed(up)}"] * bool(up) + [f"lower under {listed(down)}"] * bool(down)
        return f"{title} {' and '.join(parts)} than in {printable(rows[0]['reference'])}"
    if any(f.strength == "open" for f in findings):
        return f"{title}: no difference can be claimed"
    if any(f.strength == "untested" for f in findings):
        return f"{title}: estimates only, no test can be made"
    return f"{title}: nothing can be concluded"


def _units(of: pd.DataFrame) -> list[str]:
    if len(of) and (of["unit_of_replication"] == "none").all():
        return [
            "No test was made: tests need two or more donors (or independent experiments), named in layout.csv. Wells, "
            "fields and cells of one donor are not independent of each other."
        ]
    bounded = of[["ci_low", "ci_high"]].notna().any(axis=1)
    few = of[(of["unit_of_replication"] != "none") & (of["n_pairs"] < 3) & bounded]
    if len(few):
        row = records(few)[0]
        n = plural(row["n_pairs"], row["unit_of_replication"])
        return [f"Only {n} carried a comparison: its interval is wide for that reason."]
    return []


def _disagreement(comparisons: pd.DataFrame) -> list[str]:
    """Ratios over different denominators that do not agree."""
    return [
        f"For {printable(condition)} the ratio depends on what entries are counted over: "
        f"{listed([f'{number(ratio)} per {unit}' for unit, ratio in ratios.items()])}. A drug can change how many "
        "guests stay in view or touch a host; say which rate is meant."
        for condition, ratios in disagreeing_denominators(comparisons).items()
    ]


def _bounds(rates: pd.DataFrame, of: pd.DataFrame) -> list[str]:
    """Unresolved time and doubtful events that could move an estimate by more than a fifth."""
    wide = rates[(rates["bound_high"] > 1.2 * rates["estimate"]) | (rates["bound_low"] < 0.8 * rates["estimate"])]
    if wide.empty:
        return []
    words = estimand_of(str(wide["estimand"].iloc[0]), str(wide["unit"].iloc[0]))
    each = [
        f"{printable(r['condition'])} {interval(r['bound_low'] * words.scale, r['bound_high'] * words.scale)}"
        for r in records(wide)
    ]
    return [
        f"The optics left part open. With open time and doubtful events taken all one way or all the other, the "
        f"{words.title.lower()} would lie within ({words.shown_unit}): {listed(each)}."
    ]


def _notes(of: pd.DataFrame) -> list[str]:
    """Notes of the comparisons; one that not all share is said with its condition."""
    # Where no unit is named the units' own sentence says why no test was made.
    rows = [r for r in records(of) if r["note"] and r["unit_of_replication"] != "none"]
    shared = len(rows) == len(of) and len({r["note"] for r in rows}) == 1
    if shared:
        note = printable(rows[0]["note"])
        return [f"{note[:1].upper()}{note[1:]}".removesuffix(".") + "."]
    return [f"{printable(r['condition'])}: {printable(r['note'])}".removesuffix(".") + "." for r in rows]


def _doubt(of: pd.DataFrame) -> list[str]:
    """Where the scorer's doubt about single events takes away what the counts alone would let one say."""
    if "doubt_low" not in of:
        return []
    told = []
    for row in records(of):
        if strength(row) == "differs" and row["doubt_low"] <= 1 <= row["doubt_high"]:
            span = interval(row["doubt_low"], row["doubt_high"])
            told.append(
                f"{printable(row['condition'])}: with the program's doubt about single events carried through, the "
                f"interval is {span} and holds 1; review the doubtful events first."
            )
    return told


def _optics(answers: Iterable[str]) -> list[str]:
    """What the estimate and its bounds do not hold: calls made although the optics show no difference."""
    doubtful = {"no", "partly"} & set(answers)
    if not doubtful:
        return []
    which = "These recordings" if "no" in doubtful else "Some of these recordings"
    return [
        f"{which} cannot show a guest inside a host apart from one under it or on top of it by their optics alone; "
        "neither interval nor bounds hold the error of such calls: look at a sample of them, or stain what tells."
    ]


def _deaths(comparisons: pd.DataFrame) -> list[str]:
    rows = comparisons[comparisons["estimand"] == DEATH_HAZARD_RATIO]
    told = []
    for row in records(rows):
        if strength(row) == "differs":
            fewer = "rarer" if row["ratio"] < 1 else "more frequent"
            told.append(
                f"{printable(row['condition'])}: death was {fewer} inside than outside (hazard ratio "
                f"{number(row['ratio'])}, {limits_in_words(row)}{_p_said(row)}); an association, since healthier "
                "guests may be the ones that enter."
            )
    return told


def _failures(n_failed: int, n_recordings: int) -> list[str]:
    if not n_failed:
        return []
    return [
        f"{n_failed} of {plural(n_recordings, 'recording')} failed and are not in these numbers; the last section "
        "says why."
    ]


def _reviewed(events: pd.DataFrame) -> list[str]:
    if events.empty:
        return []
    reviewed = int(events["reviewed"].sum())
    if reviewed == 0:
        return ["No event has been looked at by a person yet; the filmstrips below are there for that."]
    return [f"{reviewed} of {plural(len(events), 'event')} were decided by a person, the others by the program."]
