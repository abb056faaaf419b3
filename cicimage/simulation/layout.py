"""The design of a simulated experiment: its fields, layout.csv and experiment.toml."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cicimage.simulation.spec import Scenario, Source
from cicimage.tables import SCHEMA_VERSION


@dataclass(frozen=True)
class FieldPlan:
    """One field to simulate: its position in the design and its random effects."""

    condition: str
    well: str
    field: int
    donor: str
    experiment: str
    factors: tuple[tuple[str, str], ...]
    log_effect: float
    stream: tuple[int, ...]

    @property
    def position(self) -> str:
        """``<condition>/<well>_f<field>``."""
        return f"{self.condition}/{self.well}_f{self.field}"


def plan_fields(scenario: Scenario, seed: int) -> list[FieldPlan]:
    """Plan the fields of an experiment: every donor in every condition, with donor, donor x condition and well effects.

    Parameters
    ----------
    scenario : Scenario
        Conditions, and the design with the SDs of its random effects on the log entry rate.
    seed : int
        The same seed gives the same effects.

    Returns
    -------
    list of FieldPlan
        By condition, donor, well and field.
    """
    return list(_plans(scenario, np.random.default_rng(np.random.SeedSequence((seed, 11)))))


def _plans(scenario: Scenario, rng: np.random.Generator) -> Iterator[FieldPlan]:
    design = scenario.design
    donor_effect = rng.normal(0, design.donor_sd, design.donors)
    for c, condition in enumerate(scenario.conditions):
        factors = tuple(condition.factors.items())
        for d in range(design.donors):
            interaction = rng.normal(0, design.donor_condition_sd)
            for w in range(design.wells_per_donor):
                effect = float(donor_effect[d] + interaction + rng.normal(0, design.well_sd))
                well = f"w{d * design.wells_per_donor + w + 1}"
                for f in range(design.fields_per_well):
                    yield FieldPlan(
                        condition.name, well, f + 1, f"D{d + 1}", f"E{d + 1}", factors, effect, (c, d, w, f)
                    )


def layout_csv(plans: list[FieldPlan]) -> str:
    """Make the text of layout.csv."""
    factors = list(dict.fromkeys(name for p in plans for name, _ in p.factors))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["position", "condition", "replicate", "donor", "experiment", *factors])
    for p in plans:
        values = dict(p.factors)
        writer.writerow([p.position, p.condition, p.well, p.donor, p.experiment, *(values.get(f, "") for f in factors)])
    return text.getvalue()


def _channel_of(scenario: Scenario, *sources: Source) -> str | None:
    """Name of the channel in which a structure is seen best."""
    best = max(
        (
            (weight, channel.name)
            for channel in scenario.channels
            for s, weight in channel.sources.items()
            if s in sources
        ),
        default=None,
    )
    return best[1] if best else None


def _population(
    name: str, channel: str, stain: str, roles: str, diameter_um: tuple[float, float], nucleus: str | None
) -> str:
    lines = [f"[populations.{name}]", f"channel = {json.dumps(channel)}", f'stain = "{stain}"', f"roles = [{roles}]",
             f"diameter_um = [{diameter_um[0]:g}, {diameter_um[1]:g}]"]  # fmt: skip
    if nucleus:
        lines.insert(2, f"nucleus = {json.dumps(nucleus)}")
    return "\n".join(lines) + "\n\n"


def _populations(scenario: Scenario) -> str:
    hosts, guests = scenario.hosts.diameter_um, scenario.guests.diameter_um
    body = _channel_of(scenario, "host_cytosol", "host_membrane") or "Host"
    sources = {s for c in scenario.channels if c.name == body for s in c.sources}
    stain = "membrane" if "host_membrane" in sources else "cytosol"
    nucleus = _channel_of(scenario, "host_nucleus")
    if scenario.homotypic:
        text = _population("tumour", body, stain, '"host", "guest"', (guests[0], hosts[1]), nucleus)
    else:
        text = _population("host", body, stain, '"host"', hosts, nucleus)
        seen = _channel_of(scenario, "guest_cytosol", "guest_membrane") or "Guest"
        text += _population("guest", seen, "cytosol", '"guest"', guests, None)
    effector = _channel_of(scenario, "effector")
    if effector and scenario.effectors.count:
        text += _population("t_cell", effector, "cytosol", '"effector"', scenario.effectors.diameter_um, None)
    return text


def experiment_toml(scenario: Scenario, *, objective: bool = False) -> str:
    """Make the experiment file of a scenario: settings that are not in the movies' metadata.

    Parameters
    ----------
    scenario : Scenario
        The simulated scenario.
    objective : bool
        Whether to state the objective, for a format without a field for it.

    Returns
    -------
    str
        Text of experiment.toml.
    """
    a = scenario.acquisition
    stated = f'na = {a.na!r}\nimmersion = "{a.immersion}"\nmodality = "{a.modality}"\n' if objective else ""
    if a.slices == 1 and a.modality == "confocal" and a.first_slice_um > 0:
        stated += f"plane_um = {a.first_slice_um!r}\n"
    death, marker = _channel_of(scenario, "death"), scenario.marker
    text = f"""\
schema_version = {SCHEMA_VERSION}

[experiment]
name = {json.dumps(scenario.name)}
reference = {json.dumps(scenario.conditions[0].name)}
primary = "entry_rate_per_guest_h"
time_zero_h = 0.0

{_populations(scenario)}"""
    if death and marker is not None:
        text += f"""\
[markers.death]
channel = {json.dumps(death)}
kind = "{marker.kind}"
reaches_inside = {str(marker.reaches_inside).lower()}{"  # carried by the guests" if marker.reaches_inside else ""}

"""
    return (
        text
        + f"""\
[optics]
medium_index = 1.33
axial_scale = {a.axial_scale!r}
{stated}"""
    )
