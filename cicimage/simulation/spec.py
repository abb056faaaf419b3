"""What a simulated experiment is made of, as frozen models with units and bounds.

The ranges and defaults are those of live cell-in-cell recordings; a preset in
:mod:`cicimage.simulation.scenarios` is one :class:`Scenario`.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from cicimage.errors import ConfigurationError, nearest


class Spec(BaseModel):
    """Frozen and strict; every field says its unit."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


Source = Literal[
    "host_cytosol", "host_membrane", "host_nucleus", "guest_cytosol", "guest_membrane", "guest_nucleus", "effector",
    "death",
]  # fmt: skip
"""What can be dyed."""


class Channel(Spec):
    """One channel of the recording and what shows in it."""

    name: str
    """Name in the metadata."""
    sources: dict[Source, float]
    """Dye per structure, 1 = a thick bright cell reaches the peak."""


HETEROTYPIC: Final = (
    Channel(name="Host", sources={"host_cytosol": 1.0}),
    Channel(name="Guest", sources={"guest_cytosol": 1.0}),
    Channel(name="Death", sources={"death": 1.2}),
)
"""Host dye, guest dye, death marker."""


class Condition(Spec):
    """One treatment: factors on the rates of the scenario, 1 = as the reference."""

    name: str
    """Name of the condition and of its folder."""
    factors: dict[str, str] = Field(default_factory=dict)
    """Factor columns of the layout, e.g. btki = 1."""
    entry: float = Field(1.0, ge=0)
    """Factor on the hazard of entering a host."""
    under: float = Field(1.0, ge=0)
    """Factor on the share of contacts that crawl under a host."""
    death: float = Field(1.0, ge=0)
    """Factor on the hazard of death, outside and inside alike."""
    killing: float = Field(1.0, ge=0)
    """Factor on the hazard of being killed by an effector."""
    host_death: float = Field(1.0, ge=0)
    """Factor on the hazard of host death."""
    escape: float = Field(1.0, ge=0)
    """Factor on the hazard of leaving a host."""
    brightness: float = Field(1.0, gt=0)
    """Factor on the guests' dye."""
    density: float = Field(1.0, gt=0)
    """Factor on the number of guests."""


class Design(Spec):
    """How the experiment is laid out, and how much its units differ."""

    donors: int = Field(3, ge=1)
    """Donors of the guests; each is in every condition."""
    wells_per_donor: int = Field(1, ge=1)
    """Wells per donor and condition."""
    fields_per_well: int = Field(1, ge=1)
    """Fields of view per well."""
    donor_sd: float = Field(0.5, ge=0)
    """SD of the donor's effect on the log entry rate."""
    donor_condition_sd: float = Field(0.3, ge=0)
    """SD of donor x condition on the log entry rate."""
    well_sd: float = Field(0.2, ge=0)
    """SD of the well's effect on the log entry rate."""


class HostSpec(Spec):
    """The host population."""

    shape: Literal["lobed", "spindle"] = "lobed"
    """Footprint: star-lobed, or elongated with tapering ends."""
    coverage: float = Field(0.75, ge=0, le=3)
    """Summed footprint area over the area of the world; overlaps count twice."""
    diameter_um: tuple[float, float] = (60.0, 110.0)
    """Range of the footprint's equivalent diameter, um."""
    lamella_um: tuple[float, float] = (1.0, 2.0)
    """Range of the lamella's thickness, um."""
    nucleus_height_um: tuple[float, float] = (3.5, 6.0)
    """Range of the thickness over the nucleus, um."""
    speed_um_per_min: float = Field(0.25, ge=0, le=0.7)
    """RMS speed of a host, um/min."""
    overlap: float = Field(0.25, ge=0, le=0.6)
    """How far two hosts may overlap: share of the mean radius."""
    vacuoles: float = Field(0.6, ge=0)
    """Vacuoles of guest-like size per host (voids without a guest)."""
    droplets: float = Field(3.0, ge=0)
    """Lipid droplets of 1-2 um per host (small voids)."""
    folds: float = Field(0.0, ge=0, le=1)
    """Share of contacts at the start that sit in a pocket of the host open to one side."""
    divisions_per_h: float = Field(0.0, ge=0)
    """Hazard of division, per h."""
    death_per_h: float = Field(0.0, ge=0)
    """Hazard of death without an effector, per h."""
    release_h: float = Field(0.75, gt=0)
    """Mean time from a host's death to the release of its guests, h."""
    mottle: float = Field(0.18, ge=0, le=0.5)
    """Unevenness of dye within a host: SD over its mean."""
    brightness_sd: float = Field(0.3, ge=0, le=1)
    """SD of the log dye concentration between hosts."""
    retraction: float = Field(0.1, ge=0, le=0.5)
    """How far a footprint breathes in and out: share of its radius."""


class GuestSpec(Spec):
    """The guest population."""

    count: int = Field(30, ge=0)
    """Guests per field of view on average."""
    diameter_um: tuple[float, float] = (6.0, 9.0)
    """Range of diameters, um."""
    speed_um_per_min: float = Field(2.0, ge=0)
    """Median speed of a motile guest outside, um/min (log-normal, log SD 0.5)."""
    persistence_min: float = Field(1.5, gt=0)
    """Persistence time of the walk, min."""
    sessile_share: float = Field(0.5, ge=0, le=1)
    """Share of guests that hardly move."""
    inside_speed: float = Field(0.25, ge=0)
    """Speed inside a host over the speed outside."""
    under_share: float = Field(0.3, ge=0, le=1)
    """Share of contacts that go under the host, at the start and when an edge is met."""
    inside_share: float = Field(0.04, ge=0, le=1)
    """Share of contacts inside when the movie starts (prevalent)."""
    cluster_share: float = Field(0.1, ge=0, le=1)
    """Share of guests that start in clusters of 2-10."""
    dead_share: float = Field(0.04, ge=0, le=1)
    """Share dead when the movie starts."""
    floating_share: float = Field(0.03, ge=0, le=1)
    """Share floating above the layer when the movie starts; dead ones float more often."""
    floor_um: tuple[float, float] = (0.3, 1.6)
    """Range of cytoplasm below an engulfed guest, um."""
    cap_um: tuple[float, float] = (0.3, 1.6)
    """Range of cytoplasm above an engulfed guest, um."""
    brightness_sd: float = Field(0.3, ge=0, le=1)
    """SD of the log dye concentration between guests."""
    dim_share: float = Field(0.0, ge=0, le=0.5)
    """Share of guests that took up little dye: a tenth of the others."""
    mottle: float = Field(0.12, ge=0, le=0.5)
    """Unevenness of dye within a guest: SD over its mean."""
    debris: float = Field(0.15, ge=0)
    """Debris particles of 1.5-4 um with guest dye per guest."""
    divisions_per_h: float = Field(0.0, ge=0)
    """Hazard of division of a guest that is not inside, per h; inside it is half of that."""
    frailty_sd: float = Field(0.0, ge=0)
    """SD of the log frailty: it multiplies the hazard of death and divides that of entry (healthy entrants)."""


class EffectorSpec(Spec):
    """A third population: killer T cells. They look like guests and are told apart by their label."""

    count: int = Field(0, ge=0)
    """Effectors per field of view on average."""
    diameter_um: tuple[float, float] = (7.0, 10.0)
    """Range of diameters, um."""
    speed_um_per_min: float = Field(3.0, ge=0)
    """Median speed, um/min."""
    kill_host_per_contact_h: float = Field(0.3, ge=0)
    """Hazard that a host touched by an effector dies, per contact-hour."""
    kill_guest_per_contact_h: float = Field(0.3, ge=0)
    """The same for a guest touched outside a host; one inside cannot be touched."""


class Rates(Spec):
    """Hazards of the reference condition, per hour."""

    dynamics: Literal["hazard", "encounter"] = "hazard"
    """Entry as a constant hazard of contact, or decided at each encounter and carried out after a delay."""
    entry_per_contact_h: float = Field(0.2, ge=0)
    """Completed entries per hour over or under a host."""
    abort_share: float = Field(0.25, ge=0, lt=1)
    """Share of begun entries that are aborted."""
    entry_min: float = Field(15.0, gt=0)
    """Median time from begin to closure, min (5-60)."""
    short_stay_share: float = Field(0.3, ge=0, le=1)
    """Share of stays that are short (5-15 min)."""
    stay_h: float = Field(10.0, gt=0)
    """Mean of the long stays, h."""
    death_per_h: float = Field(0.0075, ge=0)
    """Hazard of death outside, per h."""
    death_ratio_inside: float = Field(0.5, ge=0)
    """Hazard of death inside over outside."""
    eaten_per_contact_h: float = Field(0.05, ge=0)
    """Hazard that a dead guest in contact is taken up, per h."""


class Acquisition(Spec):
    """Microscope, camera and movie."""

    modality: Literal["confocal", "widefield"] = "confocal"
    """How it sections."""
    na: float = Field(0.95, gt=0, lt=1.5)
    """Numerical aperture."""
    immersion: Literal["air", "water", "oil"] = "air"
    """Immersion."""
    magnification: float = Field(40.0, gt=0)
    """Nominal magnification, for the metadata."""
    size_px: int = Field(256, ge=16)
    """Height and width of a frame, px."""
    um_per_px: float = Field(1.0, gt=0)
    """Pixel size, um."""
    slices: int = Field(8, ge=1)
    """Focus slices; 1 = 2D."""
    um_per_z: float = Field(1.5, gt=0)
    """True focus step, um."""
    first_slice_um: float = -1.0
    """Height of the first slice above the glass, um."""
    axial_scale: float = Field(1.0, gt=0)
    """Focus shift per stage step; the metadata hold the stage step."""
    axial_blur: float = Field(1.3, ge=1)
    """Axial PSF width over that of a perfect lens (refractive mismatch)."""
    frames: int = Field(24, ge=1)
    """Frames."""
    interval_min: float = Field(6.0, gt=0)
    """Time between frames, min."""
    psf: Literal["gaussian", "born_wolf"] = "gaussian"
    """Model of the point spread function: a Gaussian (widefield: a cone), or scalar diffraction."""
    peak_electrons: float = Field(120.0, gt=0)
    """Electrons per pixel of a thick, bright cell at the first frame."""
    counts_per_electron: float = Field(1.0, gt=0)
    """Camera gain."""
    read_noise_e: float = Field(1.5, ge=0)
    """Read noise SD, electrons."""
    background_e: float = Field(1.0, ge=0)
    """Background, electrons."""
    offset: float = 100.0
    """Camera offset, counts."""


class Nuisances(Spec):
    """What the microscope and the sample do besides."""

    bleed_through: float = Field(0.03, ge=0, le=0.5)
    """Share of the guest channel seen in the host channel; half of it the other way."""
    bleaching: float = Field(0.2, ge=0, lt=1)
    """Share of signal lost over the movie."""
    drift_um: float = Field(0.15, ge=0)
    """SD of the stage's step per frame, um."""
    drift_jump_um: float = Field(4.0, ge=0)
    """Size of a stage jump, um."""
    drift_jumps: float = Field(0.5, ge=0)
    """Stage jumps per movie."""
    focus_drift_um: float = Field(0.1, ge=0)
    """SD of the focus offset, um (mean-reverting)."""
    vignetting: float = Field(0.15, ge=0, lt=1)
    """Loss of light in the corners."""
    flicker: float = Field(0.01, ge=0, le=0.3)
    """SD of the lamp's or laser's log intensity from frame to frame."""
    defocused_share: float = Field(0.0, ge=0, le=0.5)
    """Share of frames in which the focus is lost by 2.5-5 um."""
    dye_transfer: float = Field(0.0, ge=0, le=10.0)
    """Host dye that a guest takes up per hour of contact, 1 = the host's own concentration per hour at first."""
    dye_transfer_max: float = Field(0.4, gt=0, le=2.5)
    """Host dye in a guest at which uptake ends, 1 = the host's own concentration."""


class Marker(Spec):
    """The death marker."""

    kind: Literal["pi", "sytox", "annexin_v", "caspase", "other"] = "other"
    """What it is."""
    reaches_inside: bool = True
    """Whether it stains a guest inside a living host; True for a reporter that the guests carry."""


class Scenario(Spec):
    """One simulated experiment."""

    name: str
    """Preset name."""
    description: str
    """What it is for, in a sentence."""
    conditions: tuple[Condition, ...] = (Condition(name="vehicle"),)
    """Treatments; the first is the reference."""
    design: Design = Design()
    """Donors, wells, fields."""
    hosts: HostSpec = HostSpec()
    """Hosts."""
    guests: GuestSpec = GuestSpec()
    """Guests."""
    rates: Rates = Rates()
    """Hazards of the reference."""
    effectors: EffectorSpec = EffectorSpec()
    """Killer T cells."""
    homotypic: bool = False
    """Hosts and guests are one population, seen in one channel."""
    channels: tuple[Channel, ...] = HETEROTYPIC
    """Channels in the order of the recording."""
    marker: Marker | None = Marker()
    """Death marker, None = none."""
    acquisition: Acquisition = Acquisition()
    """Microscope, camera, movie."""
    nuisances: Nuisances = Nuisances()
    """Bleaching, drift and the like."""

    def replace(self, **changes: Any) -> Scenario:
        """Return a copy with fields changed; ``guests__count=10`` reaches into a part.

        Raises
        ------
        ConfigurationError
            There is no such field.

        Examples
        --------
        >>> Scenario(name="x", description="").replace(guests__count=5).guests.count
        5
        """
        data = self.model_dump()
        for key, value in changes.items():
            *parents, last = key.split("__")
            place = data
            for name in parents:
                place = place.get(name, {})
            if last not in place:
                raise ConfigurationError(f"scenario has no field {key!r}; {nearest(last, place)}")
            place[last] = value.model_dump() if isinstance(value, BaseModel) else value
        return Scenario.model_validate(data)

    def condition(self, name: str) -> Condition:
        """Return the condition of that name."""
        for condition in self.conditions:
            if condition.name == name:
                return condition
        raise ConfigurationError(
            f"scenario {self.name!r} has no condition {name!r}; {nearest(name, [c.name for c in self.conditions])}"
        )
