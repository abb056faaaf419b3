"""The made-up experiment as report data."""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import Any

from made_up_crops import make_crops
from made_up_experiment import FRAME_H, Plan, make_tables

from cicimage.report.data import Estimate, Exclusion, OpticsStatement, ReportData, Setting


def make_report_data(plan: Plan | None = None, **changes: Any) -> ReportData:
    """Report data of a made-up experiment; ``changes`` replace fields."""
    plan = plan or Plan()
    tables = make_tables(plan)
    events = {r["event_id"]: r for r in tables["events"].to_dict("records")}
    # A few crops serve all events: they are asked for by hundreds.
    made: dict[tuple[Any, ...], Any] = {}

    def crops(event_id: str):
        event = events[event_id]
        kind = (event["score"], event["end_reason"], zlib.crc32(event_id.encode()) % 3)
        if kind not in made:
            made[kind] = make_crops(event, seed=len(made), three_d=plan.three_d, px=72)
        return made[kind]

    n = tables["qc"]["position"].nunique()
    data = ReportData(
        tables=tables,
        name="CXCR4 blockade, three donors",
        reference=plan.reference or plan.conditions[0],
        n_recordings=n + 1,
        optics=(
            OpticsStatement(
                "Inside against beside",
                "yes",
                "Pixels of 0.36 µm and slices of 1.0 µm are finer than a guest of 7.5 µm.",
            ),
            OpticsStatement(
                "Inside against under a host",
                "yes",
                "Water or air, NA 0.95: an optical slice of 1.7 µm is thinner than the floor "
                "of host beneath an inside guest wherever that is 0.6 µm or more.",
            ),
            OpticsStatement(
                "Inside where the floor is thin",
                "partly",
                "A floor under 0.3 µm cannot be seen with any lens; such guests are left open.",
            ),
        ),
        exclusions=(
            Exclusion(
                "ibrutinib/C07_f2.tif",
                "failed",
                "plane 18 ends at byte 9,437,184, the file has 9,001,472: it was cut off while copying",
                "copy the file again and run the same command",
            ),
            Exclusion(
                "ibrutinib/C03_f1",
                "warning",
                "12 of 240 frames are out of focus; guests in them were followed across the gap",
            ),
        ),
        estimates=(
            Estimate("Uneven illumination", "corners 18 % darker than the centre (Host), 12 % (Guest)", "smooth"),
            Estimate("Bleed-through", "3.1 % of Guest seen in Host; 0.4 % of Host in Guest", "regression"),
            Estimate("Drift", "largest way 11.8 µm, one jump of 11.0 µm at frame 130", "phase", "vehicle/B06_f1"),
        ),
        settings=(
            Setting("experiment.reference", "vehicle", "experiment.toml"),
            Setting("optics.na", "0.95", "experiment.toml"),
            Setting("optics.um_per_px", "0.36", "metadata"),
            Setting("methods.score.min_inside_min", "10", "default"),
        ),
        versions={"cicimage": "0.1.0", "python": "3.11.2", "numpy": "2.1.0", "scipy": "1.14.1"},
        methods_steps={
            "illumination": "smooth",
            "bleed_through": "regression",
            "bleaching": "monotone",
            "drift": "phase",
            "segment_guest": "log (diameter 6 to 12 µm)",
            "segment_host": "threshold (diameter 50 to 150 µm)",
            "track_guest": "assignment",
            "track_host": "overlap",
            "score": "hysteresis (inside for 2 frames and 10 min)",
        },
        made="2026-01-15 10:24",
        command="cicimage run experiment.toml -o results --reference vehicle",
        interval_h=FRAME_H,
        reviewers=("reader A",),
        crops=crops,
    )
    return replace(data, **changes)
