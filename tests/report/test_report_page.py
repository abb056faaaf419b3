"""The page as text: order, completeness, escaping, size."""

from __future__ import annotations

import base64
import html
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from made_up_experiment import Plan
from made_up_report import make_report_data

from cicimage.errors import CicimageError
from cicimage.report import Exclusion, ReportData, build_report, render_report
from cicimage.report.gallery import make_gallery
from cicimage.tables import TABLES, empty

SECTIONS = (
    "Verdict", "Rates and comparisons", "Death inside against outside", "What the optics could tell",
    "What was counted", "Recording quality", "Events", "Methods", "What failed or was excluded, and why",
)  # fmt: skip
HOSTILE = "\"'><script>document.documentElement.dataset.pwned=1</script>"


class Reader(HTMLParser):
    """Tags with their attributes, ids and links of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [a for t, a in self.tags if t == tag]


def test_sections_in_order(page):
    assert re.findall(r"<h2[^>]*>(.*?)</h2>", page) == list(SECTIONS)


def test_verdict_comes_before_everything(page):
    assert page.index("Entry rate higher under ibrutinib") < page.index("<svg")


def test_nothing_is_fetched_and_only_our_script_may_run(page):
    reader = Reader(page)
    (policy,) = [m["content"] for m in reader.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe-eval" not in policy
    assert len(reader.all("script")) == 1
    assert "eval(" not in page
    for tag, attribute in (("img", "src"), ("link", "href"), ("script", "src"), ("image", "href")):
        for found in reader.all(tag):
            assert (found.get(attribute) or "data:").startswith("data:")
    assert not re.findall(r"url\((?!#)", page)
    assert not re.findall(r'href="https?:', page)


def test_language_and_words_for_every_picture(page):
    reader = Reader(page)
    assert reader.all("html")[0]["lang"] == "en"
    assert all(i["alt"] for i in reader.all("img"))
    for svg in reader.all("svg"):
        assert svg.get("aria-label") or svg.get("aria-hidden") == "true"


def test_ids_are_unique_and_links_lead_somewhere(page):
    reader = Reader(page)
    ids = [a["id"] for _, a in reader.tags if a.get("id")]
    assert len(ids) == len(set(ids))
    inner = [a["href"][1:] for a in reader.all("a") if (a.get("href") or "").startswith("#")]
    assert set(inner) <= set(ids)
    n = len([i for i in ids if i.startswith("row-")])
    assert n == len([i for i in inner if i.startswith("event-")]) == len([i for i in inner if i.startswith("row-")]) > 5


def test_tables_can_be_taken_along_as_csv(page, data):
    links = {a["download"]: a["href"] for a in Reader(page).all("a") if a.get("download")}
    assert {"rates.csv", "comparisons.csv", "events.csv"} <= set(links)
    text = base64.b64decode(links["rates.csv"].split(",", 1)[1]).decode()
    assert text.split("\r\n")[0].startswith("estimand,condition,estimate")
    assert text.count("\r\n") == len(data.tables["rates"]) + 1


def test_failures_are_listed_with_reason_and_remedy(page):
    assert "it was cut off while copying" in page
    assert "copy the file again" in page
    assert "1 of 10 recordings failed" in page


def test_no_word_of_protection_and_no_raw_column_names(page):
    text = re.sub(r"<(style|script)[^>]*>.*?</\1>|data:[^\"]*|<[^>]*>", " ", page, flags=re.S)
    assert "protect" not in text.lower()
    shown = text.replace("rates_by_replicate.csv", "").replace("dose_response.csv", "")
    assert not re.findall(r"\b(?:entry|death|escape)_\w+_per_\w+|ci_low|n_donors|exposure_h", shown)


def test_methods_name_version_methods_and_n(page):
    paragraph = html.unescape(re.search(r'<p class="paragraph">(.*?)</p>', page, re.S)[1]).replace("\xa0", " ")
    for part in ("cicimage 0.1.0", "every 6 min", "log (diameter 6 to 12 µm)", "with donors as n", "hysteresis"):
        assert part in paragraph


def test_hostile_names_are_escaped_everywhere():
    hostile = (f"{HOSTILE}1", f"{HOSTILE}2")
    plan = Plan(conditions=hostile, donors=(HOSTILE + "d1", "</svg>d2"), wells_per_donor=1, guests_per_well=10)
    data = make_report_data(plan)
    bad = Exclusion(HOSTILE, "failed", HOSTILE, HOSTILE)
    data = replace(
        data,
        name=HOSTILE,
        exclusions=(bad,),
        made=HOSTILE,
        command=HOSTILE,
        reviewers=(HOSTILE,),
        versions={HOSTILE: HOSTILE},
    )
    reader = Reader(render_report(data)["report"])
    assert len(reader.all("script")) == 1
    assert not any(name.startswith("on") for _, attributes in reader.tags for name in attributes)
    assert not [t for t, _ in reader.tags if t in ("iframe", "object", "embed", "form", "base")]


EMPTY_CASES = {
    "nothing was found": {n: empty(t) for n, t in TABLES.items()},
    "only rates and events": {n: empty(TABLES[n]) for n in ("rates", "events")},
}


@pytest.mark.parametrize("name", EMPTY_CASES)
def test_an_empty_experiment_is_a_page_that_says_so(name):
    page = render_report(ReportData(tables=EMPTY_CASES[name], n_recordings=3))["report"]
    assert re.findall(r"<h2[^>]*>(.*?)</h2>", page) == list(SECTIONS)
    assert "Nothing can be concluded about the entry rate" in page
    assert "No cell-in-cell event was found" in page


@pytest.mark.parametrize(
    "plan",
    [
        Plan(donors=("d1",), wells_per_donor=1, guests_per_well=10),
        Plan(conditions=("only",), donors=("",), wells_per_donor=2, guests_per_well=10),
        Plan(entry=(0.0, 0.0, 0.0), death_outside=(0.0,) * 3, wells_per_donor=1, guests_per_well=10),
    ],
)
def test_poor_experiments_are_reported(plan):
    poor = make_report_data(plan, reference=None, exclusions=())
    page = render_report(poor)["report"]
    assert re.findall(r"<h2[^>]*>(.*?)</h2>", page) == list(SECTIONS)
    assert "Nothing failed and nothing was excluded" in page
    assert "nan" not in re.sub(r"<[^>]*>|data:[^\"]*", " ", page).lower().split()


def test_a_missing_table_is_named():
    with pytest.raises(CicimageError, match="needs the table 'events'"):
        render_report(ReportData(tables={"rates": empty(TABLES["rates"])}))


def test_events_without_pictures_say_why(data):
    def crops(event_id):
        if event_id.endswith("#1"):
            raise CicimageError(f"{event_id}.npz: must hold plain arrays")
        return None if event_id.endswith("#2") else {"xy": np.zeros((1, 1, 4, 4), np.uint8)}

    why = {c.no_image for c in make_gallery(data.tables, [], crops, budget_bytes=10**6).cards}
    assert any("must hold plain arrays" in w for w in why)
    assert "No pictures were stored for this event." in why
    assert any("is missing; run the position again" in w for w in why)


def test_crops_may_come_as_plain_arrays(data):
    events = {"events": data.tables["events"].iloc[:3]}
    as_objects = make_gallery(events, [], data.crops, budget_bytes=10**6)
    as_arrays = make_gallery(events, [], lambda e: data.crops(e).to_arrays(), budget_bytes=10**6)
    assert as_arrays.cards == as_objects.cards
    assert as_objects.cards[0].image


def test_pictures_grow_smaller_where_room_is_short(data):
    events = {"events": data.tables["events"].iloc[:4]}
    roomy = make_gallery(events, [], data.crops, budget_bytes=10**6)
    short = make_gallery(events, [], data.crops, budget_bytes=130_000)
    assert short.cards[0].size < roomy.cards[0].size
    assert sum(len(c.image) + len(c.overlay) + len(c.alt) for c in short.page(1)) <= 130_000
    none = make_gallery(events, [], data.crops, budget_bytes=40_000)
    assert none.n_pages > 1
    assert sorted(c.number for n in range(1, none.n_pages + 1) for c in none.page(n)) == [1, 2, 3, 4]


def test_build_writes_the_same_page_for_the_same_data(tmp_path, data, page):
    written = build_report(data, tmp_path / "report.html")
    assert [p.name for p in written] == ["report.html"]
    assert written[0].read_text(encoding="utf-8") == page


@pytest.mark.slow
def test_five_hundred_events_fit_fifteen_megabytes_and_the_rest_lies_beside(tmp_path):
    data = make_report_data(Plan(guests_per_well=110))
    events = data.tables["events"]
    assert len(events) > 600
    written = build_report(data, tmp_path / "report.html")
    page = written[0].read_text(encoding="utf-8")
    assert written[0].stat().st_size <= 15e6
    assert page.count("<article") == 500
    assert [p.name for p in written[1:]] == ["report_filmstrips_2.html"]
    beside = written[1].read_text(encoding="utf-8")
    assert page.count("<article") + beside.count("<article") == len(events)
    shown = pd.Series(re.findall(r'<article[^>]*data-condition="([^"]*)"', page)).value_counts()
    # Rare conditions are shown whole, none is crowded out.
    assert shown["ibrutinib + plerixafor"] == (events["condition"] == "ibrutinib + plerixafor").sum()
