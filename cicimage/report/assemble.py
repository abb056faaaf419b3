"""From a results folder to what people read: top-level tables, CSV files and the report."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from cicimage.experiment import ExperimentFile
from cicimage.experiment.alike import alike_names
from cicimage.figures.words import plural
from cicimage.findings import Finding, findings_of
from cicimage.pipeline.collect import NO_CORRECTIONS, Collected, Corrections, collect, counted_tables
from cicimage.report.build import build_report
from cicimage.report.csv_export import write_csv
from cicimage.report.data import Answer, Estimate, Exclusion, OpticsStatement, ReportData, Setting
from cicimage.statistics.design import replication
from cicimage.store import Results, read_arrays, read_json, write_json, write_table

CSV: Final = ("events", "guests", "hosts", "rates", "comparisons")
QUESTIONS: Final = {
    "inside": "Inside a host against outside it",
    "under": "Under a host against inside it",
    "on_top": "On top of a host against inside it",
}
STEP_WORDS: Final = {"gain": "Uneven illumination", "bleed_through": "Bleed-through", "drift": "Stage drift"}


def rebuild(results: Results, *, reference: str | None = None, corrections: Corrections = NO_CORRECTIONS) -> Collected:
    """Join base tables, compute rates and comparisons, write tables, CSV files and ``report.html``.

    Parameters
    ----------
    results : Results
        The folder.
    reference : str, optional
        Condition to compare against; the experiment's if not given.
    corrections : Corrections
        What humans decided, laid over the base tables.
    """
    collected = collect(results, reference=reference, corrections=corrections)
    for name, rows in collected.tables.items():
        write_table(results.table(name), rows)
    for name in CSV:
        write_csv(collected.tables[name], results.root / f"{name}.csv")
    of_design = [finding.as_dict() for finding in _design_findings(collected)]
    write_json(
        results.run, {**collected.run, "findings": _findings_by_position(collected), "design_findings": of_design}
    )
    build_report(report_data(results, collected, reference), results.report)
    return collected


def _findings_by_position(collected: Collected) -> dict[str, list[dict[str, str]]]:
    """Findings of the receipts by position; positions without any are left out."""
    return {p: list(r["findings"]) for p, r in collected.receipts.items() if r.get("findings")}


def _design_findings(collected: Collected) -> tuple[Finding, ...]:
    """What is doubtful about the layout of the positions that finished."""
    settings = ExperimentFile.model_validate(collected.run["configuration"])
    return alike_names(collected.layout, settings.experiment.distinct)


def report_data(results: Results, collected: Collected, reference: str | None = None) -> ReportData:
    """Everything the report shows, gathered from tables, receipts and run.json."""
    run = collected.run
    settings = ExperimentFile.model_validate(run["configuration"])
    done = collected.done
    populations = settings.resolved_populations()
    guest, host = (next((n for n, p in populations.items() if r in p.roles), r) for r in ("guest", "host"))
    keys = run["positions"]
    numbers = _numbers(collected.tables["events"])

    def crops_of(event_id: str) -> Mapping[str, npt.NDArray[Any]] | None:
        position, number = numbers[event_id]
        path = results.position(keys[position]).crops / f"e{number:04d}.npz"
        return read_arrays(path) if path.exists() else None

    return ReportData(
        tables={**collected.tables, **counted_tables(collected.tables)._asdict()},
        name=settings.experiment.name or str(run["source"]),
        reference=reference or settings.experiment.reference,
        primary=settings.experiment.primary,
        n_recordings=len(keys),
        optics=_optics(results, keys, done),
        exclusions=tuple(_exclusions(collected)),
        findings=tuple(_quoted_findings(collected)),
        estimates=tuple(_estimates(results, keys, done, collected)),
        settings=tuple(_settings(run, done)),
        versions={"cicimage": run["program"]["cicimage"], "python": run["program"]["python"], **run["packages"]},
        methods_steps={step: _method(c.method, c.options) for step, c in settings.choices().items()},
        made=time.strftime("%Y-%m-%d %H:%M"),
        command=str(run.get("command", "")),
        interval_h=_interval_h(done),
        guest_population=guest,
        host_population=host,
        replication=replication(collected.layout, reference or settings.experiment.reference).sentence
        if len(collected.layout)
        else "",
        crops=crops_of,
    )


def _numbers(events: pd.DataFrame) -> dict[str, tuple[str, int]]:
    """Position and running number by event_id."""
    return {e: (p, int(e.rsplit("#", 1)[1])) for e, p in zip(events["event_id"], events["position"], strict=True)}


def _method(name: str, options: Mapping[str, Any]) -> str:
    said = ", ".join(f"{k} = {v}" for k, v in options.items())
    return f"{name} ({said})" if said else name


def _interval_h(done: Mapping[str, Mapping[str, Any]]) -> float | None:
    intervals = [r["recording"]["interval_s"] for r in done.values() if r["recording"]["interval_s"]]
    return float(np.median(intervals)) / 3600.0 if intervals else None


# ---------------------------------------------------------------- what the optics could tell


def _optics(
    results: Results, keys: Mapping[str, str], done: Mapping[str, Mapping[str, Any]]
) -> tuple[OpticsStatement, ...]:
    verdicts = [read_json(results.position(keys[p]).optics) for p in done]
    statements = []
    for state, question in QUESTIONS.items():
        told = [bool(v["separable"][state]) for v in verdicts]
        if not told:
            continue
        answer: Answer = "yes" if all(told) else "no" if not any(told) else "partly"
        common = Counter(s for v in verdicts for s in v["sentences"]).most_common(4 if state == "inside" else 0)
        sentence = " ".join(
            s if n == len(verdicts) else f"{s} ({n} of {plural(len(verdicts), 'recording')})" for s, n in common
        )
        if state != "inside":
            sentence = f"{sum(told)} of {plural(len(told), 'recording')} can tell."
        statements.append(OpticsStatement(question, answer, sentence))
    return tuple(statements)


# ---------------------------------------------------------------- what failed or was left out


def _exclusions(collected: Collected) -> list[Exclusion]:
    found = []
    for position, error in collected.failed.items():
        peak = collected.receipts[position].get("peak_memory_bytes") or 0
        why = f"{error} (peak memory {peak / 2**20:.0f} MiB)"
        remedy = "Mend the file or its settings and run `cicimage run` again with --retry-failed."
        found.append(Exclusion(position, "failed", why, remedy))
    found += [
        Exclusion(position, "excluded", "has not been run yet", "Run the same command again.")
        for position in collected.run["positions"]
        if position not in collected.receipts
    ]
    review = collected.corrections
    for position, why in review.excluded.items():
        found.append(Exclusion(position, "excluded", f"by {review.whose}: {why}", ""))
    for conflict in review.conflicts:
        found.append(Exclusion(f"correction by {review.whose}", "warning", conflict, "Look at it: `cicimage review`."))
    for position, receipt in collected.receipts.items():
        missing = receipt.get("missing_frames") or {}
        if missing and not receipt.get("findings"):
            first = next(iter(missing.items()))
            why = f"{plural(len(missing), 'frame')} could not be used, the first is {first[0]}: {first[1]}"
            found.append(Exclusion(position, "warning", why, "Time was not shifted."))
        found += [
            Exclusion(position, "warning", _said(finding), _sentence(finding.remedy))
            for finding in findings_of(receipt.get("findings"))
        ]
        found += [Exclusion(position, "warning", note) for note in receipt.get("notes") or ()]
    found += _flags(collected.tables["qc"])
    events = collected.tables["events"]
    for reason, n in events.loc[events["excluded_reason"] != "", "excluded_reason"].value_counts().items():
        found.append(Exclusion(plural(n, "event"), "excluded", f"not scored: {str(reason).replace('_', ' ')}"))
    return found


def _said(finding: Finding) -> str:
    return f"{finding.where}: {finding.value}" if finding.where else finding.value


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _quoted_findings(collected: Collected) -> list[str]:
    """Findings that can move a rate, once for all recordings that share one."""
    by_code: dict[tuple[str, str], list[tuple[str, Finding]]] = {}
    for position, receipt in collected.receipts.items():
        for finding in findings_of(receipt.get("findings")):
            if finding.severity != "note":
                by_code.setdefault((finding.code, finding.where), []).append((position, finding))
    told = [f"{_said(finding)}; {finding.remedy}." for finding in _design_findings(collected)]
    for places in by_code.values():
        position, finding = places[0]
        others = f" and {plural(len(places) - 1, 'other recording')}" if len(places) > 1 else ""
        told.append(f"{position}{others}: {_said(finding)}; {finding.remedy}.")
    return told


def _flags(quality: pd.DataFrame) -> list[Exclusion]:
    flagged = quality[quality["flag"] != ""]
    remedies = {
        "saturated": "Lower exposure or gain next time; intensities there are too low.",
        "defocused": "Looked at with caution: evidence there is blurred.",
        "constant": "Check the shutter or the channel.",
    }
    found = []
    for (position, channel, flag), rows in flagged.groupby(["position", "channel", "flag"], sort=False):
        frames = rows["frame"].tolist()
        why = f"channel {channel}: {plural(len(frames), 'frame')} {flag} (first {frames[0]})"
        found.append(Exclusion(str(position), "warning", why, remedies.get(str(flag), "")))
    return found


# ---------------------------------------------------------------- estimates and settings


def _estimates(
    results: Results, keys: Mapping[str, str], done: Mapping[str, Mapping[str, Any]], collected: Collected
) -> list[Estimate]:
    settings = ExperimentFile.model_validate(collected.run["configuration"]).choices()
    found = []
    for position in done:
        arrays = read_arrays(results.position(keys[position]).estimates)
        if "gain" in arrays:
            darkest = float(arrays["gain"].min(axis=(1, 2)).min())
            value = f"darkest corner {100 * (1 - darkest):.0f} % below the mean"
            found.append(Estimate(STEP_WORDS["gain"], value, settings["illumination"].method, position))
        if "bleed_through" in arrays:
            value = f"at most {100 * float(arrays['bleed_through'].max()):.1f} % from one channel into another"
            found.append(Estimate(STEP_WORDS["bleed_through"], value, settings["bleed_through"].method, position))
    drift = collected.tables["drift"]
    for name, rows in drift.groupby("position", sort=False):
        far = float(np.hypot(rows["dy_um"], rows["dx_um"]).max())
        jump = float(np.hypot(rows["dy_um"].diff(), rows["dx_um"].diff()).max()) if len(rows) > 1 else 0.0
        value = f"up to {far:.1f} um, largest step {jump:.1f} um"
        found.append(Estimate(STEP_WORDS["drift"], value, settings["drift"].method, str(name)))
    return found


def _settings(run: Mapping[str, Any], done: Mapping[str, Mapping[str, Any]]) -> list[Setting]:
    found = []
    for section in ("experiment", "files", "optics"):
        for key, value in run["configuration"][section].items():
            if value not in (None, ""):
                origin = run["origins"].get(f"{section}.{key}", "default")
                found.append(Setting(f"{section}.{key}", str(value), origin))
    for key in ("um_per_px", "um_per_z", "na", "immersion", "modality", "interval_s"):
        values = {str(r["recording"][key]) for r in done.values()}
        origins = {r["recording"]["origins"].get(key, "metadata") for r in done.values()}
        if values and values != {"None"}:
            found.append(Setting(f"recording.{key}", ", ".join(sorted(values)), ", ".join(sorted(origins))))
    return found
