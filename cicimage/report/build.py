"""The report page: one self-contained HTML file, built from tables and metadata of the run."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cicimage.estimands import BY_NAME, DEATH_HAZARD_RATIO, DEATH_RATE_INSIDE, DEATH_RATE_OUTSIDE, names_of
from cicimage.figures import (
    Picture,
    death_inside_outside,
    dose_response,
    flow,
    forest,
    incidence,
    occupancy,
    quality,
    residence,
    superplot,
)
from cicimage.figures.source import CheckedTables, condition_order, table_of, table_or_empty
from cicimage.figures.strip_marks import STRIP_CSS
from cicimage.figures.words import printable, tight
from cicimage.report.csv_export import csv_text
from cicimage.report.data import ReportData
from cicimage.report.gallery import MOST_PER_PAGE, Gallery, make_gallery
from cicimage.report.methods_text import methods_paragraph
from cicimage.report.verdict import verdict
from cicimage.report.views import QUALITY_COLUMNS, comparisons_view, quality_rows, rates_views, watched_view
from cicimage.store import write_text

PAGE_BYTES: Final = 14_800_000  # filmstrips take what the rest of the page leaves of 15 MB
CARD_BYTES: Final = 1_300  # text around one filmstrip, names of usual length
ROW_BYTES: Final = 500
DOWNLOAD_BYTES: Final = 700_000
EVENT_ROWS: Final = 2000
_DEATH: Final = (DEATH_RATE_OUTSIDE, DEATH_RATE_INSIDE)
# Frames, cells and pairs can be large; the page does not use them.
_USED: Final = (
    "rates", "rates_by_replicate", "comparisons", "events", "guests", "hosts", "curves", "drift", "qc", "counts",
    "dose_response", "dose_fits",
)  # fmt: skip
_DOWNLOADS: Final = (
    "rates",
    "comparisons",
    "rates_by_replicate",
    "events",
    "guests",
    "hosts",
    "curves",
    "dose_response",
)


@dataclass(frozen=True)
class Download:
    """A table as a link: its whole content as a data URI, or only its name where it is too large."""

    name: str
    n_rows: int
    uri: str


class Drawn:
    """A figure for the page's template; matplotlib and the SVG writer have escaped the names in it."""

    def __init__(self, picture: Picture) -> None:
        self.key, self.title, self.alt, self.how_to_read = picture.key, picture.title, picture.alt, picture.how_to_read
        self.svg = Markup(picture.svg())  # noqa: S704


def build_report(data: ReportData, path: Path) -> list[Path]:
    """Write the report, and further pages of filmstrips beside it where one page cannot hold them all.

    Parameters
    ----------
    data : ReportData
        Content of the report.
    path : Path
        The page, such as ``OUT/report.html``.

    Returns
    -------
    list of Path
        Files written, the report first.
    """
    pages = render_report(data, path.stem)
    written = []
    for name, text in pages.items():
        target = path.with_name(name + path.suffix)
        write_text(target, text)
        written.append(target)
    return written


def render_report(data: ReportData, stem: str = "report") -> dict[str, str]:
    """Render the report as HTML.

    Parameters
    ----------
    data : ReportData
        Content of the report.
    stem : str
        File name of the page without suffix.

    Returns
    -------
    dict of str to str
        File name without suffix to page, the report first.

    Raises
    ------
    CicimageError
        A required table is missing or does not conform to its schema.
    """
    for name in ("rates", "events"):
        table_of(data.tables, name)
    data = replace(data, tables=CheckedTables({n: t for n, t in data.tables.items() if n in _USED}))
    environment = _environment()
    report, more = (environment.get_template(f"{name}.html.jinja") for name in ("report", "filmstrips"))
    content = _content(data)
    bare = report.render(**content, **_shown(Gallery(), {1: stem}))
    n_events = len(data.tables["events"])
    words = CARD_BYTES * min(n_events, MOST_PER_PAGE) + ROW_BYTES * min(n_events, EVENT_ROWS)
    gallery = make_gallery(
        data.tables,
        condition_order(data.tables),
        data.crops,
        budget_bytes=PAGE_BYTES - len(bare.encode("utf-8")) - words,
        interval_h=data.interval_h,
    )
    names = {1: stem} | {n: f"{stem}_filmstrips_{n}" for n in range(2, gallery.n_pages + 1)}
    pages = {stem: report.render(**content, **_shown(gallery, names))}
    for number in range(2, gallery.n_pages + 1):
        pages[names[number]] = more.render(data=data, number=number, **_shown(gallery, names, number), **_assets())
    return pages


def _shown(gallery: Gallery, names: dict[int, str], page: int = 1) -> dict[str, Any]:
    """The part of the gallery that a page shows."""
    return {"gallery": gallery, "cards": gallery.page(page), "rows": gallery.cards[:EVENT_ROWS], "names": names}


def _content(data: ReportData) -> dict[str, Any]:
    """All content but the gallery; figures are drawn here, once."""
    tables = data.tables
    shown = [name for name in BY_NAME if name not in (data.primary, DEATH_HAZARD_RATIO, *_DEATH)]
    rates = set(table_of(tables, "rates")["estimand"])
    others = [n for n in (*shown, *sorted(rates - set(BY_NAME))) if n in rates]
    return {
        "data": data,
        "verdict": verdict(
            tables,
            data.primary,
            reference=data.reference,
            n_failed=data.n_failed(),
            n_recordings=data.n_recordings,
            optics=[statement.answer for statement in data.optics],
            input_faults=data.findings,
        ),
        "rates_pictures": [Drawn(p) for p in _rates_pictures(data, others)],
        "death_picture": _death_picture(tables),
        "flow_picture": Drawn(flow(tables, data.n_recordings, _left_out(data))),
        "quality_picture": Drawn(quality(tables, guests=data.guest_population, hosts=data.host_population)),
        "primary_view": rates_views(tables, [data.primary]),
        "other_views": rates_views(tables, others),
        "death_views": [*rates_views(tables, list(_DEATH)), comparisons_view(tables, hazards=True)],
        "comparisons": comparisons_view(tables),
        "watched": watched_view(tables),
        "quality_columns": QUALITY_COLUMNS,
        "quality": quality_rows(tables, data.guest_population, data.host_population),
        "methods": methods_paragraph(data),
        "downloads": _downloads(tables),
        **_assets(),
    }


def _rates_pictures(data: ReportData, others: list[str]) -> list[Picture]:
    tables = data.tables
    of = [n for n in others if n in ("entry_rate_per_contact_h", "entry_rate_per_host_h", "escape_rate_per_h")]
    pictures = [superplot(tables, data.primary)]
    compared = table_or_empty(tables, "comparisons")["estimand"]
    if len(compared):
        order = [data.primary, *(e for e in names_of("forest") if e != data.primary)]
        if not set(order) & set(compared):
            order = list(dict.fromkeys(compared))
        pictures.append(forest(tables, order))
    if of:
        pictures.append(superplot(tables, of, key="superplot-others"))
    curves = set(table_or_empty(tables, "curves")["curve"])
    if "entry_cumulative_incidence" in curves:
        pictures.append(incidence(tables))
    if "occupancy" in curves:
        pictures.append(occupancy(tables))
    if "residence" in curves:
        pictures.append(residence(tables, interval_h=data.interval_h))
    if len(table_or_empty(tables, "dose_response")):
        pictures.append(dose_response(tables))
    return pictures


def _death_picture(tables: Mapping[str, pd.DataFrame]) -> Drawn | None:
    rates = table_of(tables, "rates")
    known = rates[rates["estimand"].isin(_DEATH)]["estimate"].notna().any()
    return Drawn(death_inside_outside(tables)) if known else None


def _left_out(data: ReportData) -> dict[str, int]:
    failed = data.n_failed()
    return {"failed (the last section says why)": failed} if failed else {}


def _downloads(tables: Mapping[str, pd.DataFrame]) -> list[Download]:
    links = []
    for name in _DOWNLOADS:
        rows = table_or_empty(tables, name)
        if len(rows):
            text = csv_text(rows).encode("utf-8")
            fits = len(text) <= DOWNLOAD_BYTES
            uri = "data:text/csv;charset=utf-8;base64," + base64.b64encode(text).decode("ascii") if fits else ""
            links.append(Download(name, len(rows), uri))
    return links


def _assets() -> dict[str, Any]:
    """Style and script, with the hash that allows this script and no other to run."""
    folder = files("cicimage.report") / "templates"
    style = (folder / "report.css").read_text(encoding="utf-8")
    script = (folder / "report.js").read_text(encoding="utf-8")
    fingerprint = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    return {"style": Markup(style + STRIP_CSS), "script": Markup(script), "script_hash": fingerprint}  # noqa: S704 - our own files


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("cicimage.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printable,
    )
    environment.filters["tight"] = tight
    return environment


def _printable(value: object) -> object:
    """Text without control characters; markup of our own unchanged."""
    return value if isinstance(value, Markup) or not isinstance(value, str) else printable(value)
