"""Estimands: what is counted over what, in which unit, how it is named to a reader, and where it is shown.

Every room reads this registry: the counts (:mod:`cicimage.statistics.tallies`), rates and comparisons, the report, the
summary of a run, the viewer and the planning of experiments. An estimand is one entry here and one function that counts
it (*Your first estimand* in ``CONTRIBUTING.md``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from cicimage.errors import CicimageError

Kind = Literal["rate", "share", "mean", "incidence", "ratio"]
"""``ratio``: compares two groups within a condition and stands in ``comparisons`` alone."""
Use = Literal["forest", "panel", "summary", "evaluation", "dose", "drawn"]
"""Where an estimand is shown or taken: the report's forest plot, the viewer's rates panel, the summary of a run, the
figure of `cicimage evaluate`, dose-response fits where it is the primary
one, limits over draws of doubtful events."""
ENTRY_RATE: Final = "entry_rate_per_guest_h"
"""The primary estimand where the experiment file names none."""
DEATH_RATE_INSIDE: Final = "death_rate_inside_per_h"
DEATH_RATE_OUTSIDE: Final = "death_rate_outside_per_h"
DEATH_HAZARD_RATIO: Final = "death_hazard_inside_vs_outside"
NO_INTERACTION: Final = "no interaction"
"""What an interaction of two factors is compared with, in column ``reference`` of table ``comparisons``."""


@dataclass(frozen=True)
class Estimand:
    """One quantity.

    Attributes
    ----------
    name : str
        As it stands in column ``estimand``.
    unit : str
        Unit in the tables, ``1/h`` or ``1``.
    kind : {"rate", "share", "mean", "incidence", "ratio"}
        How it is estimated.
    counted : str
        Numerator and denominator.
    title : str
        Name on axes and in headings.
    shown_unit : str
        Unit of the number as it is shown.
    scale : float
        Table value times this is the number shown.
    plural : str
        What is counted, for sentences such as "34 entries".
    exposure : str
        What the denominator is, for sentences such as "2,800 guest-hours".
    meaning : str
        One sentence for somebody who meets the estimand for the first time.
    label : str
        Numerator per unit of the denominator in the table's own unit, for the summary and the viewer.
    per : str
        Unit of the denominator, of entry rates that are held against each other; else empty.
    with_brief_stays : bool
        Whether stays too short to be completed entries count.
    primary : bool
        Whether an experiment may name it as its primary endpoint.
    uses : frozenset of str
        Where it is shown or taken, see :data:`Use`.
    """

    name: str
    unit: str
    kind: Kind
    counted: str
    title: str
    shown_unit: str
    scale: float = 1.0
    plural: str = "events"
    exposure: str = "hours"
    meaning: str = ""
    label: str = ""
    per: str = ""
    with_brief_stays: bool = False
    primary: bool = True
    uses: frozenset[Use] = frozenset()


ESTIMANDS: Final[tuple[Estimand, ...]] = (
    Estimand(
        "entry_rate_per_guest_h", "1/h", "rate",
        counted="completed entries per hour of a living guest outside",
        title="Entry rate", shown_unit="entries per 100 guest-hours", scale=100,
        plural="entries", exposure="guest-hours outside and alive",
        meaning="Completed entries into a host over the time guests spent outside and alive.",
        label="entries per guest-hour", per="guest-hour",
        uses=frozenset({"forest", "panel", "summary", "evaluation", "dose", "drawn"}),
    ),
    Estimand(
        "entry_rate_incl_brief_per_guest_h", "1/h", "rate",
        counted="the same with brief stays",
        title="Entry rate, brief stays included", shown_unit="entries per 100 guest-hours", scale=100,
        plural="entries", exposure="guest-hours outside and alive",
        meaning="The same with stays too short to count as a completed entry.",
        with_brief_stays=True,
        uses=frozenset({"drawn"}),
    ),
    Estimand(
        "first_entry_rate_per_guest_h", "1/h", "rate",
        counted="first completed entries per hour outside before them",
        title="First-entry rate", shown_unit="first entries per 100 guest-hours", scale=100,
        plural="first entries", exposure="guest-hours outside and alive",
        meaning="First completed entries over the time guests spent outside before it.",
    ),
    Estimand(
        "entry_rate_per_contact_h", "1/h", "rate",
        counted="completed entries per hour of contact with a host",
        title="Entry rate while in contact", shown_unit="entries per 100 contact-hours", scale=100,
        plural="entries", exposure="hours of contact",
        meaning="Entries over the time guests touched a host: the step after contact, since contact itself may "
        "change.",
        label="entries per contact-hour", per="hour of contact",
        uses=frozenset({"forest", "panel", "evaluation", "dose", "drawn"}),
    ),
    Estimand(
        "entry_rate_per_host_h", "1/h", "rate",
        counted="completed entries per hour of a living host",
        title="Entries per host", shown_unit="entries per 100 host-hours", scale=100,
        plural="entries", exposure="host-hours",
        meaning="Entries over the time hosts were watched: unaffected by how many guests float away.",
        label="entries per host-hour", per="host-hour",
        uses=frozenset({"forest", "panel", "dose", "drawn"}),
    ),
    Estimand(
        "entry_rate_error_corrected_per_guest_h", "1/h", "rate",
        primary=False, counted="the entry rate without the program's error, by a reviewed random sample",
        title="Entry rate, corrected for error", shown_unit="entries per 100 guest-hours", scale=100,
        plural="entries", exposure="guest-hours outside and alive",
        meaning="The entry rate with false calls taken out and missed entries put in, by a reviewed random sample.",
    ),
    Estimand(
        "entries_per_seeded_cell", "1", "rate",
        counted="completed entries per guest seeded, where the layout knows it",
        title="Entries per seeded guest", shown_unit="entries per 100 guests seeded", scale=100,
        plural="entries", exposure="guests seeded",
        meaning="Entries over the number of guests put into the well.",
        per="guest seeded",
        uses=frozenset({"forest"}),
    ),
    Estimand(
        "contact_rate_per_guest_h", "1/h", "rate",
        counted="contacts begun per hour of a living free guest",
        title="Contact rate", shown_unit="contacts per 100 guest-hours", scale=100,
        plural="contacts", exposure="guest-hours free and alive",
        meaning="New contacts with a host over the time guests were free.",
        uses=frozenset({"forest", "dose"}),
    ),
    Estimand(
        "escape_rate_per_h", "1/h", "rate",
        counted="escapes per hour inside alive, brief stays counted with their hours",
        title="Escape rate", shown_unit="escapes per 100 hours inside", scale=100,
        plural="escapes", exposure="hours inside and alive",
        meaning="Guests that came out again over the time guests spent inside.",
        label="escapes per hour inside",
        uses=frozenset({"forest", "panel", "summary", "evaluation", "dose"}),
    ),
    Estimand(
        "death_rate_inside_per_h", "1/h", "rate",
        counted="deaths per hour inside alive",
        title="Death rate inside", shown_unit="deaths per 100 hours inside", scale=100,
        plural="deaths", exposure="hours inside and alive",
        meaning="Deaths inside a host over the time guests spent inside.",
        label="deaths per hour inside",
        uses=frozenset({"panel", "summary", "dose"}),
    ),
    Estimand(
        "death_rate_outside_per_h", "1/h", "rate",
        counted="deaths per hour outside alive",
        title="Death rate outside", shown_unit="deaths per 100 hours outside", scale=100,
        plural="deaths", exposure="hours outside and alive",
        meaning="Deaths outside over the time guests spent outside.",
        label="deaths per hour outside",
        uses=frozenset({"forest", "panel", "summary", "evaluation", "dose"}),
    ),
    Estimand(
        "loss_rate_inside_per_h", "1/h", "rate",
        counted="tracks lost per hour inside alive",
        title="Loss rate inside", shown_unit="losses per 100 hours inside", scale=100,
        plural="losses", exposure="hours inside and alive",
        meaning="Guests lost from view while inside: a lysed guest may be counted here.",
    ),
    Estimand(
        "loss_rate_outside_per_h", "1/h", "rate",
        counted="tracks lost per hour outside alive",
        title="Loss rate outside", shown_unit="losses per 100 hours outside", scale=100,
        plural="losses", exposure="hours outside and alive",
        meaning="Guests lost from view while outside: dying guests often detach before they stain.",
    ),
    Estimand(
        "host_death_rate_per_h", "1/h", "rate",
        counted="host deaths per hour of a living host",
        title="Host death rate", shown_unit="host deaths per 100 host-hours", scale=100,
        plural="host deaths", exposure="host-hours",
        meaning="Hosts that died over the time hosts were watched.",
    ),
    Estimand(
        "host_death_rate_with_guest_per_h", "1/h", "rate",
        counted="host deaths per hour of a living host holding a guest",
        title="Host death rate, guest inside", shown_unit="host deaths per 100 host-hours", scale=100,
        plural="host deaths", exposure="host-hours with a guest",
        meaning="Deaths of hosts over the time they held a guest.",
    ),
    Estimand(
        "host_death_rate_without_guest_per_h", "1/h", "rate",
        counted="host deaths per hour of a living empty host",
        title="Host death rate, no guest inside", shown_unit="host deaths per 100 host-hours", scale=100,
        plural="host deaths", exposure="host-hours empty",
        meaning="Deaths of hosts over the time they held none.",
    ),
    Estimand(
        "host_death_rate_with_vs_without_guest", "1", "ratio",
        primary=False, counted="host death rate with over without a guest",
        title="Host death with against without a guest", shown_unit="rate ratio", scale=1,
        plural="host deaths", exposure="host-hours",
        meaning="How often hosts die while they hold a guest against while they hold none.",
        uses=frozenset({"forest"}),
    ),
    Estimand(
        "survival_after_release_fraction", "1", "share",
        counted="guests let go by their host's death, alive when last seen",
        title="Guests alive after their host died", shown_unit="% of guests released", scale=100,
        plural="guests alive", exposure="guests released",
        meaning="Share of guests let go by their host's death that were alive when last seen: mean over donors.",
        uses=frozenset({"forest"}),
    ),
    Estimand(
        "entry_cumulative_incidence", "1", "incidence",
        counted="share entered by the end, death competing; mean over donors",
        title="Guests that entered by the end", shown_unit="% of guests", scale=100,
        plural="first entries", exposure="hours",
        meaning="Share of guests that entered at least once, death outside competing: mean over donors, each "
        "counting once.",
    ),
    Estimand(
        "inside_occupancy_end", "1", "share",
        counted="living guests inside at the end over all living then; mean over donors",
        title="Guests inside at the end", shown_unit="% of guests", scale=100,
        plural="guests inside", exposure="hours",
        meaning="Share of guests inside a host at the end, mean over donors: a balance of entry, escape and "
        "death, not a rate.",
        label="share of guests inside at the end",
        uses=frozenset({"forest", "panel"}),
    ),
    Estimand(
        "hosts_with_guest_fraction", "1", "share",
        counted="hosts that ever held a guest; mean over donors",
        title="Hosts that held a guest", shown_unit="% of hosts", scale=100,
        plural="hosts with a guest", exposure="host-hours",
        meaning="Share of hosts that held at least one guest at some time: mean over donors, each counting once.",
        label="share of hosts with a guest",
        uses=frozenset({"panel"}),
    ),
    Estimand(
        "guests_per_host", "1", "mean",
        counted="most guests held at once, mean over hosts",
        title="Guests per host", shown_unit="guests per host", scale=1,
        plural="guests inside", exposure="hosts",
        meaning="Most guests inside one host at once, averaged over hosts.",
    ),
    Estimand(
        "death_hazard_inside_vs_outside", "1", "ratio",
        counted="hazard of death inside over outside, time-dependent",
        title="Death inside against outside", shown_unit="hazard ratio", scale=1,
        plural="deaths", exposure="hours",
        meaning="How often guests die while inside against while outside, with time inside counted as it passes.",
    ),

)  # fmt: skip
"""In the order of the report."""
BY_NAME: Final = {estimand.name: estimand for estimand in ESTIMANDS}


def check_estimands(estimands: tuple[Estimand, ...]) -> None:
    """Refuse entries that would be drawn blank or stand for each other.

    Raises
    ------
    CicimageError
        An entry shown by its label has none, or two have one denominator.
    """
    per = [e.per for e in estimands if e.per]
    for e in estimands:
        if e.uses & {"panel", "summary"} and not e.label:
            raise CicimageError(
                f"estimand {e.name}: must have a label, it is shown by {', '.join(sorted(e.uses))}; add it"
            )
        if e.per and per.count(e.per) > 1:
            raise CicimageError(f"estimand {e.name}: per must differ from the others', is {e.per!r} again; change it")


check_estimands(ESTIMANDS)


def names_of(use: Use) -> tuple[str, ...]:
    """Names of the estimands with a use, in the order of :data:`ESTIMANDS`.

    Examples
    --------
    >>> names_of("summary")[:2]
    ('entry_rate_per_guest_h', 'escape_rate_per_h')
    """
    return tuple(estimand.name for estimand in ESTIMANDS if use in estimand.uses)


def per_denominator() -> dict[str, str]:
    """Unit of the denominator of each entry rate that is held against the others, by name of the estimand."""
    return {estimand.name: estimand.per for estimand in ESTIMANDS if estimand.per}


def estimand_of(name: str, unit: str = "") -> Estimand:
    """The estimand of a name; one that is not registered keeps its own name and unit.

    Parameters
    ----------
    name : str
        As it stands in column ``estimand``.
    unit : str
        Unit in the table, for one that is not registered.

    Examples
    --------
    >>> estimand_of("entry_rate_per_guest_h").shown_unit
    'entries per 100 guest-hours'
    >>> estimand_of("t_cell_contacts_per_host_h", "1/h").title
    'T cell contacts per host h'
    """
    plain = name.replace("_", " ").strip()
    return BY_NAME.get(name) or Estimand(name, unit, "rate", "", plain[:1].upper() + plain[1:], unit)
