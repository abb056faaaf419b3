"""Every figure from a made-up experiment: its words carry the numbers, its SVG is clean whatever the names are."""

from __future__ import annotations

from xml.etree.ElementTree import Element, fromstring

import numpy as np
import pandas as pd
import pytest
from made_up_experiment import Plan, make_tables

from cicimage import figures
from cicimage.errors import CicimageError
from cicimage.figures.curves import thinned, whole_hours
from cicimage.figures.flow import flow_counts
from cicimage.figures.source import colours_of, condition_order
from cicimage.figures.superplot import donor_estimates
from cicimage.tables import TABLES, conform, empty

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = (
    "</text><script>document.title='x'</script>",
    "$\\frac{1}",
    "+AMD3100",
    "a\x1bb\u202ec",
    "'\"><img src=x onerror=alert(1)>",
    "对照组",
    "x" * 300,
    "&lt;b&gt;",
    "=1+1",
)


def read(svg: str) -> Element:
    return fromstring(svg)  # noqa: S314 - written by the program itself


FIGURES = {
    "superplot": lambda t: figures.superplot(t),
    "superplot-three": lambda t: figures.superplot(
        t, ["entry_rate_per_contact_h", "entry_rate_per_host_h", "escape_rate_per_h"], key="three"
    ),
    "forest": lambda t: figures.forest(t),
    "incidence": lambda t: figures.incidence(t),
    "occupancy": lambda t: figures.occupancy(t),
    "residence": lambda t: figures.residence(t, interval_h=0.1),
    "death": lambda t: figures.death_inside_outside(t),
    "flow": lambda t: figures.flow(t, 20, {"could not be read": 2}),
    "quality": lambda t: figures.quality(t),
    "dose": lambda t: figures.dose_response(t),
}


@pytest.fixture(scope="module")
def tables():
    return make_tables(Plan(doses=True))


@pytest.mark.parametrize("name", FIGURES)
def test_svg_is_clean_and_labelled(tables, name):
    picture = FIGURES[name](tables)
    root = read(picture.svg())
    assert root.get("role") == "img"
    assert picture.title in root.get("aria-label")
    assert picture.alt[:60] in root.get("aria-label")
    ids = [node.get("id") for node in root.iter() if node.get("id")]
    assert len(ids) == len(set(ids))
    assert all(i.startswith(picture.key) for i in ids)
    assert len(picture.svg()) < 400_000


@pytest.mark.parametrize("name", FIGURES)
def test_empty_tables_give_a_figure_that_says_so(name):
    picture = FIGURES[name]({n: empty(t) for n, t in TABLES.items()})
    assert read(picture.svg()).tag == SVG + "svg"
    assert picture.alt


@pytest.fixture(scope="module")
def hostile_tables():
    """Conditions, donors and positions with names that want to be markup, mathematics or formulae."""
    n = len(HOSTILE)
    small = {"wells_per_donor": 1, "guests_per_well": 20, "donors": HOSTILE[3:6]}
    rates = {"entry": (0.02,) * n, "death_outside": (0.01,) * n, "death_inside": (0.004,) * n, "under": (0.2,) * n}
    return make_tables(Plan(conditions=HOSTILE, **small, **rates))


@pytest.mark.parametrize("name", ["superplot", "forest", "incidence", "occupancy", "residence", "death", "quality"])
def test_hostile_names_stay_text(hostile_tables, name):
    root = read(FIGURES[name](hostile_tables).svg())
    tags = {node.tag.removeprefix(SVG) for node in root.iter()}
    assert not tags & {"script", "img", "foreignObject", "a", "image"}
    assert not any(attribute.startswith("on") for node in root.iter() for attribute in node.attrib)


def test_hostile_names_are_drawn_as_they_are_written(hostile_tables):
    texts = [node.text or "" for node in read(figures.forest(hostile_tables).svg()).iter(SVG + "text")]
    for hostile in HOSTILE[1:]:
        start = hostile[:6].replace("\x1b", "�").replace("\u202e", "�")
        assert any(start in text for text in texts), hostile


def test_donors_rates_are_events_over_hours_of_their_wells():
    wells = conform(
        TABLES["rates_by_replicate"],
        pd.DataFrame(
            {
                "estimand": "entry_rate_per_guest_h",
                "condition": "a",
                "donor": ["d1", "d1", "d2", ""],
                "experiment": "",
                "replicate": ["w1", "w2", "w3", "w4"],
                "events": [1.0, 9.0, 4.0, 2.0],
                "exposure_h": [100.0, 300.0, 100.0, 50.0],
                "estimate": [0.01, 0.03, 0.04, 0.04],
                "unit": "1/h",
                "n_guests": 5,
                "n_hosts": 2,
                "n_positions": 1,
                "n_replicates": 1,
                "n_donors": 1,
                "method": "",
                "note": "",
            }
        ),
    )
    rows = donor_estimates(wells).set_index("donor")
    assert rows["estimate"].to_dict() == {"d1": pytest.approx(10 / 400), "d2": pytest.approx(0.04)}
    assert rows.loc["d1", "n_wells"] == 2


def test_a_share_is_averaged_and_not_divided_by_hours(tables):
    wells = tables["rates_by_replicate"].query("estimand == 'entry_rate_per_guest_h' and donor == 'CLL-07'").copy()
    wells["estimate"] = 0.5
    assert set(donor_estimates(wells)["estimate"]) == {0.5}


def test_words_carry_the_numbers(tables):
    rate = tables["rates"].set_index(["estimand", "condition"]).loc[("entry_rate_per_guest_h", "ibrutinib")]
    alt = figures.superplot(tables).alt
    assert f"ibrutinib {rate['estimate'] * 100:.1f}" in alt
    assert f"{rate['events']:.0f} entries" in alt
    assert "3 donors" in alt
    ratio = (
        tables["comparisons"]
        .query("estimand == 'entry_rate_per_guest_h' and condition == 'ibrutinib'")["ratio"]
        .iloc[0]
    )
    assert f"Entry rate, ibrutinib against vehicle: {ratio:.1f}" in figures.forest(tables).alt


def test_reference_comes_first_and_is_grey_in_every_figure(tables):
    shuffled = dict(tables)
    shuffled["rates"] = tables["rates"].iloc[::-1]
    assert condition_order(shuffled)[0] == "vehicle"
    assert colours_of(shuffled, ["ibrutinib"])["vehicle"] == "#6b7580"
    assert condition_order(shuffled, ["ibrutinib"]) == ["ibrutinib"]


def test_missing_table_says_which():
    with pytest.raises(CicimageError, match="needs the table 'rates'"):
        figures.superplot({})


def test_one_donor_zero_events_and_unknown_donors_are_drawn():
    for donors in (("d1",), ("",)):
        plan = Plan(
            conditions=("a", "b"),
            donors=donors,
            entry=(0.02, 0.0),
            death_outside=(0.0, 0.0),
            death_inside=(0.0, 0.0),
            under=(0.2, 0.2),
        )
        tables = make_tables(plan)
        for name in ("superplot", "forest", "death", "incidence", "residence"):
            read(FIGURES[name](tables).svg())
    assert "donors unknown" in figures.superplot(tables).alt


def test_flow_counts_add_up(tables):
    steps = flow_counts(tables, 20, {"could not be read": 2}).set_index("step")
    assert steps.loc["Recordings analysed", "n"] == 18
    assert (
        steps.loc["Guests followed", "n"] - sum(n for n, _ in steps.loc["Guests followed", "out"])
        == (steps.loc["Guests that gave time at risk", "n"])
    )
    fallen = sum(n for n, _ in steps.loc["Candidate cell-in-cell events", "out"])
    assert steps.loc["Completed entries counted", "n"] + fallen == len(tables["events"])
    events = tables["events"]
    counted = events.query("excluded_reason == '' and p >= 0.5 and not prevalent and not brief").dropna(
        subset=["entry_frame"]
    )
    assert steps.loc["Completed entries counted", "n"] == len(counted)


@pytest.mark.parametrize("n", [1, 5, 240, 241, 5000])
def test_thinned_curves_keep_both_ends(n):
    rows = pd.DataFrame(
        {"time_h": np.sort(np.random.default_rng(n).uniform(0, 48, n)), "estimate": np.linspace(0, 1, n)}
    )
    few = thinned(rows)
    assert len(few) <= 241
    assert few.iloc[[0, -1]].equals(rows.iloc[[0, -1]])


@pytest.mark.parametrize("end_h", [0.0, 0.4, 3.0, 24.0, 71.9, 500.0])
def test_ticks_are_few_and_within(end_h):
    ticks = whole_hours(end_h)
    assert 1 <= len(ticks) <= 7
    assert ticks[0] == 0
    assert ticks[-1] <= end_h + 1e-9


def test_figures_take_whatever_gives_tables_by_name(tables):
    class Results:
        def __getitem__(self, name):
            return tables[name]

    assert figures.superplot(Results()).alt == figures.superplot(tables).alt


def test_a_notebook_shows_a_picture_with_its_words(tables):
    html = figures.forest(tables)._repr_html_()
    assert html.count("<svg") == 1
    assert "never of cells" in html
