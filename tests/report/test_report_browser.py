"""The page in a real browser: no request, no error, no foreign script; sorting, choosing and links work."""

from __future__ import annotations

import pytest
from browser import Browser, find_chromium
from made_up_experiment import Plan
from made_up_report import make_report_data

from cicimage.report import Exclusion, build_report

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="no chromium here (Debian: apt-get install chromium)")

PWN = "document.documentElement.setAttribute('data-pwned','1')"
HOSTILE = (
    f"<script>{PWN}</script>",
    f"\"><img src=x onerror={PWN}>",
    f"</title></style></svg></script><svg onload={PWN}>",
    f"javascript:{PWN}",
    f"'-{PWN}-'",
    "{{ 7*7 }}{% raw %}",
    "https://example.org/x.png",
)  # fmt: skip


@pytest.fixture(scope="module")
def report(tmp_path_factory, page):
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(page, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser(report):
    with Browser() as page:
        page.open(report)
        yield page


def numbers(browser):
    return browser.run("[...document.querySelectorAll('#cards article:not([hidden])')].map(a => +a.dataset.number)")


def test_nothing_is_asked_for_and_nothing_is_complained_of(browser, report):
    browser.run("scrollTo(0, document.body.scrollHeight)")
    asked = [u for u in browser.requests if not u.startswith("data:")]
    assert asked == [report.resolve().as_uri()]
    assert browser.console == []


def test_every_filmstrip_is_decoded(browser):
    decoded = "Promise.all([...document.images].map(i => (i.loading = 'eager', i.decode())))"
    assert browser.run(f"{decoded}.then(all => all.length)") > 5


def test_hostile_names_do_nothing(tmp_path):
    n = len(HOSTILE)
    plan = Plan(conditions=HOSTILE, donors=HOSTILE[:1], wells_per_donor=1, guests_per_well=9, entry=(0.02,) * n,
                death_outside=(0.01,) * n, death_inside=(0.004,) * n, under=(0.2,) * n)  # fmt: skip
    data = make_report_data(plan, name=HOSTILE[2], made=HOSTILE[0], command=HOSTILE[1], reviewers=HOSTILE,
                            exclusions=tuple(Exclusion(h, "failed", h, h) for h in HOSTILE))  # fmt: skip
    path = tmp_path / "report.html"
    build_report(data, path)
    with Browser() as page:
        page.open(path)
        page.run("for (const d of document.querySelectorAll('details')) d.open = true")
        assert page.run("document.documentElement.dataset.pwned ?? null") is None
        assert [u for u in page.requests if not u.startswith("data:")] == [path.resolve().as_uri()]
        assert page.console == []
        assert page.run("document.querySelectorAll('img[onerror], svg[onload], iframe').length") == 0
        # The name stands on the page letter by letter, also in the choice of conditions that the script fills.
        assert page.run("document.querySelector('h1').textContent") == HOSTILE[2]
        assert set(page.run("[...document.querySelectorAll('#condition option')].map(o => o.value)")) >= {HOSTILE[0]}


def test_filmstrips_are_ordered_and_chosen(browser):
    everything = numbers(browser)
    assert everything == sorted(everything)
    change = "(id, v) => {const s = document.getElementById(id); s.value = v; s.dispatchEvent(new Event('change'))}"
    browser.run(f"({change})('order', 'p')")
    doubt = browser.run("[...document.querySelectorAll('#cards article')].map(a => Math.abs(a.dataset.p - 0.5))")
    assert doubt == sorted(doubt)
    browser.run(f"({change})('condition', 'vehicle')")
    of = browser.run("[...document.querySelectorAll('#cards article:not([hidden])')].map(a => a.dataset.condition)")
    assert set(of) == {"vehicle"}
    assert browser.run("document.getElementById('shown').textContent") == f"{len(of)} of {len(everything)} shown"
    browser.run(f"({change})('condition', '')")
    browser.run(f"({change})('order', 'number')")
    assert numbers(browser) == everything


def test_outlines_can_be_switched_off(browser):
    look = "getComputedStyle(document.querySelector('.strip .lines')).display"
    assert browser.run(look) != "none"
    browser.run("document.getElementById('outlines').click()")
    assert browser.run(look) == "none"
    browser.run("document.getElementById('outlines').click()")


def test_links_lead_from_filmstrip_to_table_and_back(browser):
    browser.run("document.querySelector('#event-3 .back').click()")
    assert browser.run("document.querySelector('#event-table').closest('details').open")
    assert browser.run("document.querySelector(':target').id") == "row-3"
    browser.run("document.querySelector('#row-3 a').click()")
    assert browser.run("document.querySelector(':target').id") == "event-3"


def test_tables_sort_by_number_and_by_keyboard(browser):
    browser.run("document.querySelector('#event-table').closest('details').open = true")
    cells = "[...document.querySelectorAll('#event-table tbody tr')].map(r => +r.cells[9].textContent)"
    press = "const b = document.querySelectorAll('#event-table th button')[9]; b.focus(); b.click()"
    browser.run(f"(() => {{{press}}})()")
    assert browser.run(cells) == sorted(browser.run(cells))
    browser.run(f"(() => {{{press}}})()")
    assert browser.run(cells) == sorted(browser.run(cells), reverse=True)
    assert browser.run("document.querySelectorAll('#event-table th')[9].getAttribute('aria-sort')") == "descending"
    assert browser.run("document.activeElement.tagName") == "BUTTON"


def test_nothing_is_wider_than_the_screen(report):
    with Browser(390, 800) as phone:
        phone.open(report)
        assert phone.run("document.documentElement.scrollWidth") <= 390
