"""The experiment file's schema: strict, in terms of the assay, with units in every field's description."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypedDict, Union

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from cicimage.errors import ConfigurationError, RecordingError, nearest
from cicimage.estimands import ENTRY_RATE
from cicimage.methods import STEPS, Choice

SCHEMA_VERSION: Final = 1

Channel = Union[str, Annotated[int, Field(ge=0)]]  # noqa: UP007 - pydantic shows a clearer schema
Role = Literal["host", "guest", "effector"]
Stain = Literal["cytosol", "membrane", "nucleus", "none"]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse true and false, which pass for 1 and 0, where a number or a text is meant."""
        given = value if isinstance(value, list | tuple) else [value]
        wants_truth = cls.model_fields[info.field_name or ""].annotation is bool
        if not wants_truth and any(isinstance(v, bool) for v in given):
            raise ValueError("must be a number or a text, true and false are neither")
        return value


class DesignSection(_Section):
    """`[experiment]`: name, reference condition, primary estimand."""

    name: str = ""
    """Shown in the report's title."""
    reference: str | None = None
    """Condition the others are compared against."""
    primary: str = ENTRY_RATE
    """Estimand the verdict is about, named before the data are looked at."""
    time_zero_h: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    """Drug or co-culture start on the movie's clock, hours; the layout's column of this name takes precedence."""
    distinct: tuple[str, ...] = ()
    """Names of donors or conditions that differ on purpose though they look like one name typed in two ways."""


class _Reading(TypedDict):
    axes: str | None
    series: int | None
    z_slice: int | None


class FilesSection(_Section):
    """`[files]`: where the recordings are and what their names mean."""

    root: str = "."
    """Folder of the recordings, relative to the experiment file."""
    pattern: str = "{condition}/{well}_f{field}"
    """Path below root without its extensions; {condition}, {well}, {field}, {plate}, {donor} are read from it.

    With {t}, {z}, {c}, {channel} or a clock ({year}, {month}, {date}, {day}, {hour}, {minute}, {second}) many files are
    one recording; {any} matches any text.
    """
    axes: str | None = None
    """Axes, slowest first, of files that do not state them, e.g. TCYX; TC2YX gives a length, TCYX! overrides a file."""
    series: Annotated[int, Field(ge=0)] | Literal["all"] | None = None
    """Which series of a file or export that holds several, 0-based; "all": each field, scene or image is a position."""
    plate_map: str | None = None
    """CSV with the grid of a plate and each well's condition in its cell; path relative to the experiment file."""
    slice: Annotated[int, Field(ge=0)] | None = None
    """Read only this slice of a stack, 0-based, as one focal plane: for stacks that do not resolve depth."""

    @field_validator("root", "pattern", "plate_map")
    @classmethod
    def _a_path(cls, value: str | None) -> str | None:
        if value is not None and "\0" in value:
            raise ValueError("must not hold a NUL character")
        return value

    @field_validator("axes")
    @classmethod
    def _known_axes(cls, value: str | None) -> str | None:
        from cicimage.recording.axes import parse_axes  # the readers' own rule; they load image libraries

        try:
            if value is not None:
                parse_axes(value)
        except RecordingError as error:
            raise ValueError(str(error)) from None
        return value

    def reading(self, series: int | None = None) -> _Reading:
        """Options of the reader, as keywords of :func:`cicimage.recording.open_recording`.

        Parameters
        ----------
        series : int, optional
            The position's own series, which overrides that of the experiment file.
        """
        said = None if self.series == "all" else self.series
        return {"axes": self.axes, "series": said if series is None else series, "z_slice": self.slice}


class ChannelsSection(_Section):
    """`[channels]`: the short form of populations and markers; names or 0-based indices."""

    host: Channel = "Host"
    """Channel of the host dye."""
    guest: Channel = "Guest"
    """Channel of the guest dye."""
    death: Channel | None = None
    """Channel of the death marker, where there is one."""
    host_nucleus: Channel | None = None
    """Channel of a nuclear stain of the hosts: splits hosts that touch."""

    @model_validator(mode="after")
    def _apart(self) -> ChannelsSection:
        if self.host == self.guest:
            raise ValueError(
                f"host and guest must be two channels, both are {self.host!r}; one stain for both roles is written "
                '[populations.NAME] with roles = ["host", "guest"]'
            )
        return self


class PopulationSection(_Section):
    """`[populations.NAME]`: one population of cells."""

    channel: Channel
    """Channel the population is seen in."""
    nucleus: Channel | None = None
    """Channel of its nuclear stain, where there is one."""
    stain: Stain = "cytosol"
    """What the channel stains; none = brightfield or phase contrast."""
    roles: tuple[Role, ...] = Field(min_length=1)
    """host, guest, effector; a homotypic population holds both host and guest."""
    diameter_um: tuple[Positive, Positive] | None = None
    """Smallest and largest cell diameter, um; default [6, 12] for guests and effectors, [50, 150] for hosts."""

    @model_validator(mode="after")
    def _ordered(self) -> PopulationSection:
        if self.diameter_um is not None and self.diameter_um[0] >= self.diameter_um[1]:
            raise ValueError(f"diameter_um must rise, e.g. [6, 12], and is {list(self.diameter_um)}")
        return self


class MarkerSection(_Section):
    """`[markers.NAME]`: a channel that reports a state, such as death."""

    channel: Channel
    """Channel of the marker."""
    kind: Literal["pi", "sytox", "annexin_v", "caspase", "other"] = "pi"
    """Kind of marker."""
    reaches_inside: bool = False
    """Whether it can stain a guest inside a living host; PI, SYTOX and Annexin V cannot."""


class OpticsSection(_Section):
    """`[optics]`: how the recordings were acquired, where the files do not state it."""

    na: Annotated[float, Field(gt=0, lt=1.7)] | None = None
    """Numerical aperture."""
    immersion: Literal["air", "water", "oil", "glycerol"] | None = None
    """What is between objective and cover glass."""
    medium_index: Annotated[float, Field(ge=1, lt=1.7)] = 1.33
    """Refractive index of the cells' medium."""
    modality: Literal["confocal", "spinning_disk", "widefield", "brightfield"] | None = None
    """Kind of microscope."""
    um_per_px: Positive | None = None
    """Pixel size, um."""
    um_per_z: Positive | None = None
    """Stage step between slices, um."""
    axial_scale: Positive = 1.0
    """Focus shift per stage step (refractive mismatch); 1 = none."""
    plane_um: Positive | None = None
    """Height above the glass of the one plane of a 2D recording, um; confocal slices need it."""
    frame_interval_s: Positive | None = None
    """Seconds between frames."""
    override_metadata: bool = False
    """Use these values where the recordings' metadata differ; otherwise a difference is an error."""


class ExperimentFile(_Section):
    """The whole of experiment.toml."""

    schema_version: Literal[1] = 1
    """Version of this schema."""
    experiment: DesignSection = DesignSection()
    files: FilesSection = FilesSection()
    channels: ChannelsSection | None = None
    optics: OpticsSection = OpticsSection()
    populations: dict[str, PopulationSection] = {}
    markers: dict[str, MarkerSection] = {}
    methods: dict[str, dict[str, Any]] = {}
    """Per step: {method = "name", option = value}; method = "none" switches a preprocessing step off."""

    @model_validator(mode="after")
    def _one_form(self) -> ExperimentFile:
        if self.channels is not None and self.populations:
            raise ValueError("[channels] is the short form of [populations]; keep one of the two")
        if self.populations:
            roles = [r for p in self.populations.values() for r in p.roles]
            for role in ("host", "guest"):
                if roles.count(role) != 1:
                    raise ValueError(
                        f"[populations] need exactly one with the role {role!r}, found {roles.count(role)}; "
                        "give it to one population (a homotypic one holds host and guest)"
                    )
        return self

    def reading(self, series: int | None = None) -> dict[str, Any]:
        """Options of the reader, as keywords of :func:`cicimage.recording.open_recording`.

        Parameters
        ----------
        series : int, optional
            The position's own series, which overrides that of the file.

        Returns
        -------
        dict
            What of a path is read, and ``given``: metadata that the experiment file supplies, of which a bad value in a
            recording is noted instead of refused.
        """
        given = tuple(sorted(n for n in self.optics.model_fields_set if getattr(self.optics, n) is not None))
        return {**self.files.reading(series), "given": given}

    def resolved_populations(self) -> dict[str, PopulationSection]:
        """Populations of the short or the long form, with default diameters filled in."""
        short = self.channels or ChannelsSection()
        populations = self.populations or {
            "host": PopulationSection(channel=short.host, nucleus=short.host_nucleus, roles=("host",)),
            "guest": PopulationSection(channel=short.guest, roles=("guest",)),
        }
        return {
            name: p if p.diameter_um else p.model_copy(update={"diameter_um": _usual_diameter(p.roles)})
            for name, p in populations.items()
        }

    def resolved_markers(self) -> dict[str, MarkerSection]:
        """Markers of the short or the long form."""
        if self.markers or self.channels is None or self.channels.death is None:
            return self.markers
        return {"death": MarkerSection(channel=self.channels.death)}

    def choices(self) -> dict[str, Choice]:
        """Method and options per step, with defaults for steps the file does not name."""
        chosen = dict(DEFAULT_METHODS)
        for step, table in self.methods.items():
            options = {k: v for k, v in table.items() if k != "method"}
            chosen[step] = Choice(str(table.get("method", chosen[step].method)), options)
        return chosen


DEFAULT_METHODS: Final[Mapping[str, Choice]] = {
    "illumination": Choice("smooth"),
    "bleed_through": Choice("regression"),
    "bleaching": Choice("monotone"),
    "drift": Choice("phase"),
    "segment_guest": Choice("log"),
    "segment_host": Choice("threshold"),
    "track_guest": Choice("assignment"),
    "track_host": Choice("overlap"),
    "score": Choice("markov"),
}
SWITCHABLE: Final = ("illumination", "bleed_through", "bleaching", "drift")


def _usual_diameter(roles: tuple[Role, ...]) -> tuple[float, float]:
    if "host" in roles and "guest" in roles:
        return (12.0, 25.0)
    return (50.0, 150.0) if "host" in roles else (6.0, 12.0)


def parse(text: str, name: str = "experiment.toml") -> ExperimentFile:
    r"""Parse and validate the text of an experiment file.

    Parameters
    ----------
    text : str
        TOML.
    name : str
        Name of the file in messages.

    Returns
    -------
    ExperimentFile

    Raises
    ------
    ConfigurationError
        Not TOML, another schema version, an unknown key (the nearest known one is named) or a bad value.

    Examples
    --------
    >>> parse('schema_version = 1\n[optics]\nna = 0.95').optics.na
    0.95
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{name}: not valid TOML ({error}); mend that line") from None
    version = data.get("schema_version", SCHEMA_VERSION)
    if version != SCHEMA_VERSION:
        raise ConfigurationError(
            f"{name}: schema_version must be {SCHEMA_VERSION}, is {version!r}; this program reads no other, "
            "run `cicimage init` on the folder to write a new file"
        )
    model = validated(data, name)
    for step, table in model.methods.items():
        if step not in STEPS:
            raise ConfigurationError(f"{name}: [methods] step {step!r} is not known; {nearest(step, STEPS)}")
        if table.get("method") == "none" and step not in SWITCHABLE:
            raise ConfigurationError(
                f'{name}: [methods] {step} cannot be switched off; only {", ".join(SWITCHABLE)} take method = "none"'
            )
    return model


def validated(data: Mapping[str, Any], name: str) -> ExperimentFile:
    """Validate settings against the schema.

    Parameters
    ----------
    data : mapping
        Settings by section.
    name : str
        Where they come from, for messages.

    Raises
    ------
    ConfigurationError
        An unknown key (the nearest known one is named) or a bad value.
    """
    try:
        return ExperimentFile.model_validate(data)
    except ValidationError as error:
        raise ConfigurationError(f"{name}: {_complaint(error)}") from None


def _complaint(error: ValidationError) -> str:
    # a mistyped key also leaves a required field empty: report the key
    first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    where = [str(p) for p in first["loc"]]
    if first["type"] == "extra_forbidden":
        fields = _fields_at(where[:-1])
        section = f"[{'.'.join(where[:-1])}]" if len(where) > 1 else "the top level"
        return f"unknown key {where[-1]!r} in {section}; {nearest(where[-1], fields)}"
    message = first["msg"].removeprefix("Value error, ")
    if not where:
        return message
    return f"{'.'.join(where)} = {first['input']!r} is not allowed: {message}"


def _fields_at(path: list[str]) -> list[str]:
    model: Any = ExperimentFile
    for i, part in enumerate(path):
        if path[0] in {"populations", "markers"} and i == 1:
            continue
        sections = {
            "experiment": DesignSection, "files": FilesSection, "channels": ChannelsSection, "optics": OpticsSection,
            "populations": PopulationSection, "markers": MarkerSection,
        }  # fmt: skip
        model = sections.get(part, model)
    return list(model.model_fields)


def json_schema() -> dict[str, Any]:
    """The experiment file's JSON schema, as published in ``docs/experiment.schema.json``."""
    schema = ExperimentFile.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "cicimage experiment.toml"
    return schema
