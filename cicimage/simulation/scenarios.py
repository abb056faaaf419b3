"""Named experiments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cicimage.simulation.spec import Acquisition, Condition, Design, GuestSpec, HostSpec, Nuisances, Rates, Scenario

VEHICLE: Final = Condition(name="vehicle", factors={"btki": "0", "cxcr4_blockade": "0"})
BTKI: Final = Condition(name="BTKi", factors={"btki": "1", "cxcr4_blockade": "0"}, entry=3.0, death=1.5)
BTKI_BLOCKED: Final = Condition(
    name="BTKi + CXCR4 antagonist", factors={"btki": "1", "cxcr4_blockade": "1"}, entry=0.03, under=0.35, death=1.8
)

SAMPLE: Final = Scenario(
    name="sample",
    description="Small 3D confocal experiment: vehicle, BTKi, BTKi + CXCR4 antagonist, three donors, one well each.",
    conditions=(VEHICLE, BTKI, BTKI_BLOCKED),
    hosts=HostSpec(coverage=1.0, diameter_um=(55.0, 95.0)),
    guests=GuestSpec(count=32, speed_um_per_min=1.2, under_share=0.25),
    rates=Rates(entry_per_contact_h=0.15, death_per_h=0.02),
    design=Design(donor_sd=0.4, donor_condition_sd=0.2, well_sd=0.1),
    # gain, size and frames are chosen so that nine movies fit in 55 MB
    acquisition=Acquisition(
        size_px=180,
        um_per_px=1.05,
        slices=8,
        um_per_z=1.5,
        frames=20,
        interval_min=7.0,
        counts_per_electron=0.45,
        read_noise_e=1.2,
        background_e=0.6,
    ),
)

SAMPLE_2D: Final = Scenario(
    name="sample-2d",
    description="One pair of 2D widefield fields, 20x/0.45: inside and under cannot be told apart here.",
    conditions=(VEHICLE, BTKI),
    hosts=HostSpec(coverage=0.9, diameter_um=(55.0, 95.0)),
    guests=GuestSpec(count=40, speed_um_per_min=1.5),
    rates=Rates(entry_per_contact_h=0.15, death_per_h=0.02),
    design=Design(donors=1),
    acquisition=Acquisition(
        modality="widefield", na=0.45, magnification=20, size_px=384, um_per_px=0.65, slices=1, first_slice_um=3.0,
        frames=24, interval_min=6.0, peak_electrons=300,
    ),
)  # fmt: skip

CXCR4_BLOCKADE: Final = Scenario(
    name="cxcr4-blockade",
    description="The accuracy preset: 40x/0.95 confocal, 12 slices of 1 um every 4 min for 4 h, at least 200 entries.",
    conditions=(VEHICLE, BTKI, BTKI_BLOCKED),
    hosts=HostSpec(coverage=1.0, diameter_um=(60.0, 130.0)),
    guests=GuestSpec(count=70, speed_um_per_min=2.5),
    rates=Rates(entry_per_contact_h=0.12, death_per_h=0.02),
    design=Design(donors=3, wells_per_donor=1, fields_per_well=1),
    acquisition=Acquisition(
        size_px=512, um_per_px=0.65, slices=12, um_per_z=1.0, frames=60, interval_min=4.0, peak_electrons=150
    ),
    nuisances=Nuisances(),
)

PRESETS: Final[Mapping[str, Scenario]] = {s.name: s for s in (SAMPLE, SAMPLE_2D, CXCR4_BLOCKADE)}
