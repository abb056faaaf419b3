"""One card per event with its filmstrip, within the page's limit of bytes; the rest goes to further pages."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pandas as pd
from markupsafe import Markup

from cicimage.crops import EventCrops
from cicimage.errors import CicimageError
from cicimage.figures.filmstrip import clock, filmstrip, to_jpeg
from cicimage.figures.source import Source, records, table_or_empty
from cicimage.figures.words import ENDS, SCORES, listed, plural, printable
from cicimage.report.data import CropsOf

MOST_PER_PAGE: Final = 500
# Tile width in pixels and JPEG quality, from the preferred one to the smallest, at which 500 noisy strips fit a page.
_LADDER: Final = ((104, 78), (104, 64), (96, 52), (88, 44), (80, 36), (72, 32), (64, 28))


NOTHING: Final = Markup("")


@dataclass(frozen=True)
class Card:
    """One event as the page shows it; all text is plain and unescaped."""

    number: int
    event_id: str
    condition: str
    donor: str
    position: str
    guest: str
    entered: str
    stay: str
    ended: str
    story: str
    score: str
    p: float
    reviewed: bool
    remarks: str
    image: str = ""
    overlay: Markup = NOTHING
    size: tuple[int, int] = (0, 0)
    share: float = 100.0
    alt: str = ""
    no_image: str = ""
    page: int = 1


@dataclass
class Gallery:
    """All events, in the order of the table, each with the page that shows it."""

    cards: list[Card] = field(default_factory=list)

    def page(self, number: int) -> list[Card]:
        """Cards shown on one page."""
        return [c for c in self.cards if c.page == number]

    @property
    def n_pages(self) -> int:
        """Number of pages, the report itself included."""
        return max((c.page for c in self.cards), default=1)


def make_gallery(
    source: Source, conditions: list[str], crops_of: CropsOf, *, budget_bytes: int, interval_h: float | None = None
) -> Gallery:
    """Make a card per event and distribute them over pages with at most ``budget_bytes`` of pictures each.

    Parameters
    ----------
    source : Source
        Tables ``events``, optionally ``qc`` or ``counts`` (times of the frames).
    conditions : list of str
        In the order they are shown.
    crops_of : callable
        Returns an event's crops, None where there are none.
    budget_bytes : int
        Largest size of one page's pictures as encoded in the page (base64).
    interval_h : float, optional
        Time between frames, hours, where no table holds the times.

    Returns
    -------
    Gallery
        Where one page cannot hold all events, the first one shows conditions and scores in equal shares.
    """
    events = table_or_empty(source, "events")
    rank = {c: i for i, c in enumerate(conditions)}
    events = events.assign(_rank=events["condition"].map(rank).fillna(len(rank)))
    events = events.sort_values(["_rank", "position", "start_frame"], kind="stable").reset_index(drop=True)
    time_of = frame_times(source, interval_h)
    facts = {i: _facts(i + 1, row, time_of) for i, row in enumerate(records(events))}
    level, page, used, on_page = 0, 1, 0, 0
    cards: dict[int, Card] = {}
    for i in _in_turn(events):
        if on_page == MOST_PER_PAGE:
            page, used, on_page = page + 1, 0, 0
        entry = events["entry_frame"].iloc[i]
        room = (budget_bytes - used) / max(min(len(events) - len(cards), MOST_PER_PAGE - on_page), 1)
        made = _picture(crops_of, str(events["event_id"].iloc[i]), entry, room, level)
        level = max(made.level - (made.n_bytes < 0.7 * room), 0)
        if used + made.n_bytes > budget_bytes:
            page, used, on_page = page + 1, 0, 0
        used, on_page = used + made.n_bytes, on_page + 1
        cards[i] = Card(
            **facts[i],
            image=made.image,
            overlay=made.overlay,
            size=made.size,
            share=made.share,
            alt=made.alt,
            no_image=made.missing,
            page=page,
        )
    return Gallery([cards[i] for i in sorted(cards)])


def _in_turn(events: pd.DataFrame) -> Iterable[int]:
    """Row numbers, alternating between conditions and scores."""
    turn = events.groupby(["condition", "score"]).cumcount().to_numpy()
    return (int(i) for i in np.argsort(turn, kind="stable"))


@dataclass(frozen=True)
class _Made:
    image: str = ""
    overlay: Markup = NOTHING
    alt: str = ""
    size: tuple[int, int] = (0, 0)
    missing: str = ""
    level: int = 0

    @property
    def share(self) -> float:
        """Width relative to that of eight panels, per cent, so that all panels have the same size."""
        return min(100.0, 100.0 * self.size[0] / (46 + 8 * (_LADDER[self.level][0] + 3)))

    @property
    def n_bytes(self) -> int:
        return len(self.image) + len(self.overlay) + len(self.alt)


def _picture(crops_of: CropsOf, event_id: str, entry_frame: float, room: float, level: int) -> _Made:
    try:
        given = crops_of(event_id)
        if given is None:
            return _Made(missing="No pictures were stored for this event.", level=level)
        crops = given if isinstance(given, EventCrops) else EventCrops.from_arrays(given)
    except CicimageError as error:
        return _Made(missing=f"The pictures of this event cannot be shown: {error}.", level=level)
    entry = None if pd.isna(entry_frame) else int(entry_frame)
    made = _encoded(crops, entry, level)
    while made.n_bytes > room and made.level + 1 < len(_LADDER):
        made = _encoded(crops, entry, made.level + 1)
    return made


def _encoded(crops: EventCrops, entry_frame: int | None, level: int) -> _Made:
    tile_px, quality = _LADDER[level]
    strip = filmstrip(crops, entry_frame=entry_frame, tile_px=tile_px)
    image = base64.b64encode(to_jpeg(strip.image, quality)).decode("ascii")
    # The overlay is markup of our own, whose text is escaped where it is written.
    overlay = Markup(strip.overlay())  # noqa: S704
    return _Made(image, overlay, strip.alt, (strip.image.shape[1], strip.image.shape[0]), "", level)


def frame_times(source: Source, interval_h: float | None) -> Callable[[str, float], float]:
    """Make a function that gives the time of a frame.

    Parameters
    ----------
    source : Source
        Tables ``qc`` or ``counts``, the first one that has rows; both may be missing.
    interval_h : float or None
        Time between frames, hours, for frames that no table holds; time zero is then frame 0.

    Returns
    -------
    callable
        Position and frame to hours since time zero; NaN for a missing frame and where no time is known.
    """
    times: dict[tuple[str, int], float] = {}
    for name in ("qc", "counts"):
        rows = table_or_empty(source, name)
        if len(rows):
            first = rows.drop_duplicates(["position", "frame"])
            times = dict(zip(zip(first["position"], first["frame"], strict=True), first["time_h"], strict=True))
            break

    def time_h(position: str, frame: float) -> float:
        if pd.isna(frame):
            return float("nan")
        return times.get((position, int(frame)), float("nan") if interval_h is None else frame * interval_h)

    return time_h


def _facts(number: int, row: Mapping[str, Any], time_of: Callable[[str, float], float]) -> dict[str, Any]:
    position = str(row["position"])
    entered, ended = time_of(position, row["entry_frame"]), time_of(position, row["end_frame"])
    when = _at(entered, row["entry_frame"])
    stay = clock(ended - entered) if not np.isnan(ended - entered) else "–"
    end = ENDS.get(str(row["end_reason"]), str(row["end_reason"]))
    score = str(row["score"])
    return {
        "number": number,
        "event_id": row["event_id"],
        "condition": row["condition"],
        "donor": row["donor"],
        "position": position,
        "guest": f"{row['guest_id']} in {row['host_id']}",
        "entered": when,
        "stay": stay,
        "ended": end,
        "story": _story(when, stay, end),
        "score": SCORES.get(score, score),
        "p": float(row["p"]),
        "reviewed": bool(row["reviewed"]),
        "remarks": _remarks(row),
    }


def _story(entered: str, stay: str, ended: str) -> str:
    """The event in one sentence."""
    if entered == "–":
        return f"Began to enter and did not complete it; {ended}"
    return (
        f"Entered at {entered}, stayed for {stay} (h:min); {ended}" if stay != "–" else f"Entered at {entered}; {ended}"
    )


def _at(time_h: float, frame: float) -> str:
    if pd.isna(frame):
        return "–"
    return clock(time_h) if not np.isnan(time_h) else f"frame {int(frame)}"


def _remarks(row: Mapping[str, Any]) -> str:
    told = []
    if row["excluded_reason"]:
        told.append(printable(row["excluded_reason"]).replace("_", " "))
    if row["prevalent"]:
        told.append("inside when first seen")
    if row["brief"]:
        told.append("brief stay")
    if not row["outcome_known"]:
        told.append("outcome not known")
    return listed(told)


def summary(gallery: Gallery) -> str:
    """Number of events, and of those that a reviewer decided."""
    reviewed = sum(c.reviewed for c in gallery.cards)
    return f"{plural(len(gallery.cards), 'event')}, {reviewed} decided by a person"
