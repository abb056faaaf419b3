"""Named experiments. A preset is a frozen :class:`Scenario`; ``replace`` makes variants of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cicimage.simulation.spec import (
    Acquisition,
    Channel,
    Condition,
    Design,
    EffectorSpec,
    GuestSpec,
    HostSpec,
    Marker,
    Nuisances,
    Rates,
    Scenario,
)

VEHICLE: Final = Condition(name="vehicle", factors={"btki": "0", "cxcr4_blockade": "0"})
BTKI: Final = Condition(name="BTKi", factors={"btki": "1", "cxcr4_blockade": "0"}, entry=3.0, death=1.5)
BTKI_BLOCKED: Final = Condition(
    name="BTKi + CXCR4 antagonist", factors={"btki": "1", "cxcr4_blockade": "1"}, entry=0.03, under=0.35, death=1.8
)
BLOCKED: Final = Condition(
    name="CXCR4 antagonist", factors={"btki": "0", "cxcr4_blockade": "1"}, entry=0.1, under=0.35, death=1.1
)

# ---------------------------------------------------------------- the sample and the accuracy preset

SAMPLE: Final = Scenario(
    name="sample",
    description="Small 3D confocal experiment: vehicle, BTKi, BTKi + CXCR4 antagonist, three donors, one well each.",
    conditions=(VEHICLE, BTKI, BTKI_BLOCKED),
    hosts=HostSpec(coverage=1.0, diameter_um=(55.0, 95.0)),
    guests=GuestSpec(count=32, speed_um_per_min=1.2, under_share=0.25),
    rates=Rates(entry_per_contact_h=0.15, death_per_h=0.02),
    design=Design(donor_sd=0.3, donor_condition_sd=0.15, well_sd=0.1),
    # gain, size and frames are chosen so that nine movies fit in 55 MB
    acquisition=Acquisition(
        size_px=180, um_per_px=1.05, slices=8, um_per_z=1.5, frames=20, interval_min=7.0, counts_per_electron=0.4,
        read_noise_e=1.2, background_e=0.6,
    ),
)  # fmt: skip

SAMPLE_2D: Final = Scenario(
    name="sample-2d",
    description="One pair of 2D widefield fields, 20x/0.45: inside and under cannot be told apart here.",
    conditions=(VEHICLE, BTKI),
    hosts=HostSpec(coverage=0.9, diameter_um=(55.0, 95.0)),
    guests=GuestSpec(count=28, speed_um_per_min=1.5),
    rates=Rates(entry_per_contact_h=0.15, death_per_h=0.02),
    design=Design(donors=1),
    acquisition=Acquisition(
        modality="widefield", na=0.45, magnification=20, size_px=300, um_per_px=0.65, slices=1, first_slice_um=3.0,
        frames=18, interval_min=7.0, peak_electrons=300, background_e=3.0, counts_per_electron=0.4,
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
)

# ---------------------------------------------------------------- designs

IC50_NM: Final = 50.0
DOSES_NM: Final = (0.0, 10.0, 30.0, 100.0, 300.0, 1000.0)


def _dose(dose_nm: float) -> Condition:
    """CXCR4 antagonist on top of BTKi: entry falls along a four-parameter logistic with slope 1.2."""
    effect = 0.02 + 0.98 / (1.0 + (dose_nm / IC50_NM) ** 1.2)
    return Condition(
        name=f"{dose_nm:g} nM", factors={"dose": f"{dose_nm:g}", "dose_unit": "nM"}, entry=3.0 * effect,
        under=0.35 + 0.65 * effect, death=1.5,
    )  # fmt: skip


DOSE_RESPONSE: Final = CXCR4_BLOCKADE.replace(
    name="dose-response",
    description=f"CXCR4 antagonist, {len(DOSES_NM)} doses on top of BTKi, true IC50 {IC50_NM:g} nM, slope 1.2.",
    conditions=[_dose(d).model_dump() for d in DOSES_NM],
)
FACTORIAL: Final = CXCR4_BLOCKADE.replace(
    name="factorial",
    description="BTKi x CXCR4 antagonist: entry x 3, x 0.1, and x 0.03 by both (interaction 0.1).",
    conditions=[c.model_dump() for c in (VEHICLE, BTKI, BLOCKED, BTKI_BLOCKED)],
)

# ---------------------------------------------------------------- microscopes

WIDEFIELD_20X: Final = CXCR4_BLOCKADE.replace(
    name="widefield-20x-0.45",
    description="2D widefield, 20x/0.45: an axial slice of 6 um; inside, under and on top cannot be told apart.",
    acquisition__modality="widefield", acquisition__na=0.45, acquisition__magnification=20.0, acquisition__slices=1,
    acquisition__first_slice_um=3.0, acquisition__peak_electrons=400.0, acquisition__background_e=4.0,
)  # fmt: skip
CONFOCAL_20X: Final = CXCR4_BLOCKADE.replace(
    name="confocal-20x-0.8",
    description="3D confocal, 20x/0.8 dry, stage step 1 um, which moves the focus by 1.4 um.",
    acquisition__na=0.8, acquisition__magnification=20.0, acquisition__slices=10, acquisition__um_per_z=1.4,
    acquisition__axial_scale=1.4,
)  # fmt: skip
CONFOCAL_40X: Final = CXCR4_BLOCKADE.replace(
    name="confocal-40x-0.95",
    description="3D confocal, 40x/0.95 dry, stage step 0.7 um, which moves the focus by 1 um.",
    acquisition__axial_scale=1.43,
)
CONFOCAL_63X: Final = CXCR4_BLOCKADE.replace(
    name="confocal-63x-1.4",
    description="3D confocal, 63x/1.4 oil, 15 slices of 0.8 um: the best that can be had.",
    acquisition__na=1.4, acquisition__immersion="oil", acquisition__magnification=63.0, acquisition__slices=15,
    acquisition__um_per_z=0.8, acquisition__axial_blur=1.15,
)  # fmt: skip

# ---------------------------------------------------------------- mechanisms held out from tuning

HELD_OUT_PSF: Final = CXCR4_BLOCKADE.replace(
    name="held-out-psf",
    description="cxcr4-blockade through scalar diffraction with the aberration of a dry lens.",
    acquisition__psf="born_wolf",
)
HELD_OUT_SHAPE: Final = CXCR4_BLOCKADE.replace(
    name="held-out-shape", description="cxcr4-blockade with spindle-shaped hosts.", hosts__shape="spindle"
)
HELD_OUT_LABEL: Final = CXCR4_BLOCKADE.replace(
    name="held-out-label",
    description="cxcr4-blockade with a membrane label on the hosts.",
    channels=[
        Channel(name="Host", sources={"host_membrane": 5.0}).model_dump(),
        *(c.model_dump() for c in CXCR4_BLOCKADE.channels[1:]),
    ],
)
HELD_OUT_DYNAMICS: Final = CXCR4_BLOCKADE.replace(
    name="held-out-dynamics",
    description="cxcr4-blockade with runs and pauses, and entry decided at encounters.",
    rates__dynamics="encounter",
)

# ---------------------------------------------------------------- hard, and one population

HARD: Final = CXCR4_BLOCKADE.replace(
    name="hard",
    description="Crowded, dim, drifting: folds, divisions, host death, dye transfer, lost focus.",
    hosts=HostSpec(
        coverage=1.5, diameter_um=(50.0, 140.0), overlap=0.4, vacuoles=2.0, droplets=8.0, folds=0.04,
        divisions_per_h=0.01, death_per_h=0.01, mottle=0.3, brightness_sd=0.45,
    ),
    guests=GuestSpec(
        count=130, speed_um_per_min=3.5, diameter_um=(6.0, 11.0), cluster_share=0.35, dead_share=0.1, debris=0.5,
        divisions_per_h=0.01, under_share=0.4, brightness_sd=0.45, dim_share=0.08, mottle=0.2,
    ),
    acquisition__peak_electrons=45.0, acquisition__read_noise_e=2.5,
    nuisances=Nuisances(
        bleed_through=0.12, bleaching=0.5, drift_um=0.4, drift_jumps=2.0, drift_jump_um=8.0, focus_drift_um=0.4,
        vignetting=0.35, flicker=0.05, defocused_share=0.04, dye_transfer=0.08,
    ),
)  # fmt: skip

NO_T_CELLS: Final = Condition(name="no T cells", factors={"t_cells": "0"}, killing=0.0)
T_CELLS: Final = Condition(name="T cells", factors={"t_cells": "1"}, entry=4.0)
HOMOTYPIC: Final = Scenario(
    name="homotypic",
    description="One tumour population, membrane and nuclear label; T cells kill outer cells, inner ones come out.",
    conditions=(NO_T_CELLS, T_CELLS),
    homotypic=True,
    channels=(
        Channel(name="Membrane", sources={"host_membrane": 5.0, "guest_membrane": 5.0}),
        Channel(name="Nucleus", sources={"host_nucleus": 1.0, "guest_nucleus": 1.0}),
        Channel(name="T cell", sources={"effector": 1.0}),
        Channel(name="PI", sources={"death": 1.2}),
    ),
    marker=Marker(kind="pi", reaches_inside=False),
    hosts=HostSpec(
        coverage=0.5, diameter_um=(26.0, 42.0), lamella_um=(3.0, 5.0), nucleus_height_um=(9.0, 13.0), overlap=0.1,
        vacuoles=0.2, droplets=0.0, divisions_per_h=0.02, death_per_h=0.003, release_h=0.5, speed_um_per_min=0.3,
    ),
    guests=GuestSpec(
        count=22, diameter_um=(12.0, 15.0), speed_um_per_min=0.8, sessile_share=0.5, under_share=0.05,
        inside_share=0.12, cluster_share=0.2, divisions_per_h=0.02, debris=0.3, floor_um=(0.5, 2.0), cap_um=(0.5, 2.0),
    ),
    effectors=EffectorSpec(count=25),
    rates=Rates(entry_per_contact_h=0.1, abort_share=0.2, entry_min=25.0, stay_h=20.0, death_per_h=0.01),
    acquisition=Acquisition(
        na=0.8, magnification=20, size_px=400, um_per_px=0.65, slices=12, um_per_z=2.0, first_slice_um=-1.0,
        frames=60, interval_min=8.0, peak_electrons=150,
    ),
)  # fmt: skip

# ---------------------------------------------------------------- nulls: one claim each that must not be made

TREATED: Final = Condition(name="drug", factors={"drug": "1"})
UNTREATED: Final = Condition(name="vehicle", factors={"drug": "0"})


def _null(name: str, description: str, drug: Condition, **changes: object) -> Scenario:
    pair = [c.model_dump() for c in (UNTREATED, drug)]
    return CXCR4_BLOCKADE.replace(
        name=f"null-{name}", description=description, conditions=pair, rates__entry_per_contact_h=0.25, **changes
    )


_LONG: Final = {
    "acquisition__frames": 60, "acquisition__interval_min": 10.0, "acquisition__size_px": 384,
    "guests__count": 45, "guests__speed_um_per_min": 1.2, "rates__death_per_h": 0.06, "guests__inside_share": 0.15,
}  # fmt: skip

NULL_UNDER: Final = _null(
    "under",
    "The drug only cuts crawling under hosts to 0.3; entry is unchanged.",
    TREATED.model_copy(update={"under": 0.3}),
)
NULL_DEATH: Final = _null(
    "death", "The drug only kills (x 6); entry is unchanged.", TREATED.model_copy(update={"death": 6.0})
)
NULL_BRIGHTNESS: Final = _null(
    "brightness", "The drug only dims the guests' dye to 0.5.", TREATED.model_copy(update={"brightness": 0.5})
)
NULL_DENSITY: Final = _null(
    "density", "Under the drug there are only twice as many guests.", TREATED.model_copy(update={"density": 2.0}),
    guests__count=45,
)  # fmt: skip
NULL_EQUAL_HAZARDS: Final = _null(
    "equal-hazards", "Death is as likely inside as outside, with and without a drug that kills (x 2).",
    TREATED.model_copy(update={"death": 2.0}), rates__death_ratio_inside=1.0, **_LONG,
)  # fmt: skip
NULL_HEALTHY_ENTRANTS: Final = _null(
    "healthy-entrants", "Being inside protects no one, but fitter guests enter more (frailty SD 0.8).",
    TREATED.model_copy(update={"death": 2.0}), rates__death_ratio_inside=1.0, guests__frailty_sd=0.8, **_LONG,
)  # fmt: skip

PRESETS: Final[Mapping[str, Scenario]] = {
    s.name: s
    for s in (
        SAMPLE, SAMPLE_2D, CXCR4_BLOCKADE, DOSE_RESPONSE, FACTORIAL, WIDEFIELD_20X, CONFOCAL_20X, CONFOCAL_40X,
        CONFOCAL_63X, HELD_OUT_PSF, HELD_OUT_SHAPE, HELD_OUT_LABEL, HELD_OUT_DYNAMICS, HARD, HOMOTYPIC, NULL_UNDER,
        NULL_DEATH, NULL_BRIGHTNESS, NULL_DENSITY, NULL_EQUAL_HAZARDS, NULL_HEALTHY_ENTRANTS,
    )
}  # fmt: skip
"""Every preset by name."""
