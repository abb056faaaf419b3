"""Frames and their truth: in the same coordinates, in any order, always the same."""

import numpy as np
import pytest

from cicimage.simulation.field import simulate_field
from cicimage.simulation.scenarios import SAMPLE
from cicimage.simulation.spec import Marker
from cicimage.states import CONTACTS, LOCATIONS, VIABILITIES
from cicimage.tables import FRAMES

SMALL = SAMPLE.replace(
    name="small", acquisition__size_px=96, acquisition__um_per_px=1.0, acquisition__frames=4, guests__count=14,
    nuisances__drift_um=1.5, nuisances__drift_jumps=0.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def field():
    return simulate_field(SMALL, 4, "BTKi", log_effect=0.3, position="BTKi/w1_f1")


def test_frames_can_be_asked_for_in_any_order(field):
    again = simulate_field(SMALL, 4, "BTKi", log_effect=0.3)
    backwards = [again.frame(t) for t in (3, 0)]
    assert np.array_equal(field.frame(0), backwards[1])
    assert np.array_equal(field.frame(3), backwards[0])
    assert not np.array_equal(field.frame(0), simulate_field(SMALL, 5, "BTKi").frame(0))


def test_a_frame_is_what_the_acquisition_says(field):
    frame = field.frame(1)
    assert frame.shape == (3, 8, 96, 96)
    assert frame.dtype == np.uint16
    assert 95 < np.median(frame[2]) < 110


def test_truth_speaks_the_tables_language(field):
    table = field.guests
    assert len(table) > 20
    known = ["position", "frame", "time_h", "guest_id", "y_um", "x_um", "z_um", "area_um2", "location", "contact",
             "viability", "host_id"]  # fmt: skip
    assert set(known) <= set(table.columns)
    assert set(known) <= {c.name for c in FRAMES.columns}
    assert set(table["location"]) <= set(LOCATIONS) - {"unresolved"}
    assert set(table["contact"]) <= set(CONTACTS) - {"unresolved"}
    assert set(table["viability"]) <= set(VIABILITIES) - {"unknown"}
    assert not table.duplicated(["frame", "guest_id"]).any()
    touching = table["location"] != "free"
    assert (table.loc[touching, "host_id"] > 0).all()
    assert (table.loc[~touching, "host_id"] == 0).all()


def test_true_positions_are_where_the_light_is(field):
    """Guest by guest the centroid of the dye in the raw frame, drift included, is the true centre."""
    px = SMALL.acquisition.um_per_px
    off = []
    for frame in (0, 3):
        image = field.frame(frame)[1].astype(float) - 100.0
        table = field.guests_in(frame)
        bright = table[~table["touches_border"] & (table["viability"] == "alive")]
        for _, row in bright.iterrows():
            apart = np.hypot(table["y_um"] - row["y_um"], table["x_um"] - row["x_um"])
            if (apart < 12).sum() > 1:
                continue
            y, x, z = row["y_um"] / px, row["x_um"] / px, row["z_um"] / SMALL.acquisition.um_per_z
            y0, x0 = round(y) - 5, round(x) - 5
            crop = image[:, max(y0, 0) : y0 + 11, max(x0, 0) : x0 + 11]
            crop = np.where(crop > 0.4 * crop.max(), crop, 0)
            zz, yy, xx = np.indices(crop.shape)
            found = [(g * crop).sum() / crop.sum() for g in (zz, yy + max(y0, 0), xx + max(x0, 0))]
            off.append((found[0] - z, found[1] - y, found[2] - x))
    off = np.array(off)
    assert len(off) >= 5
    assert np.abs(np.median(off[:, 1:], axis=0)).max() < 0.35
    assert np.abs(off[:, 1:]).max() < 1.5
    assert abs(np.median(off[:, 0])) < 0.7
    assert np.abs(field.drift_um[3]).max() > 0.5


def test_masks_agree_with_tables(field):
    for frame in (0, 2):
        masks, table = field.masks_in(frame), field.guests_in(frame)
        by_label = {m.label: m for m in masks["guest"]}
        for _, row in table[~table["touches_border"]].iterrows():
            y, x = by_label[row["guest_id"]].centroid_px()
            assert np.hypot(y - row["y_um"], x - row["x_um"]) < 0.7
            assert by_label[row["guest_id"]].area_px == pytest.approx(row["area_um2"], rel=0.25)
        hosts = field.hosts_in(frame)
        assert set(hosts["host_id"]) == {m.label for m in masks["host"]}
        inside = table[table["location"] == "inside"]
        hosts_of = {m.label: m for m in masks["host"]}
        for _, row in inside.iterrows():
            mask = hosts_of[row["host_id"]]
            y, x = round(row["y_um"]) - mask.y0, round(row["x_um"]) - mask.x0
            h, w = mask.pixels.shape
            assert not (0 <= y < h and 0 <= x < w) or mask.pixels[y, x]


def test_decoys_are_listed(field):
    decoys = field.decoys_in(0)
    assert {"vacuole", "droplet"} <= set(decoys["kind"])
    assert decoys["x_um"].between(-0.5, 96).all()


def test_the_death_marker_lights_the_dead_and_only_where_it_reaches():
    dying = SMALL.replace(
        guests__dead_share=0.5, guests__floating_share=0.0, rates__eaten_per_contact_h=3.0, acquisition__frames=20,
        marker=Marker(kind="pi", reaches_inside=False), acquisition__interval_min=10.0, guests__count=20,
        nuisances__drift_um=0.0, rates__short_stay_share=0.0,
    )  # fmt: skip
    field = simulate_field(dying, 6)
    death = field.frame(19)[2].max(0)
    table = field.guests_in(19)
    table = table[(table["viability"] == "dead") & ~table["touches_border"]]

    def light(rows):
        return np.array([death[round(r.y_um), round(r.x_um)] for r in rows.itertuples()], float)

    inside = table["location"] == "inside"
    eaten, outside = table[inside], table[~inside]
    assert len(eaten) >= 2
    assert len(outside) >= 2
    assert np.median(light(outside)) > 115
    assert np.median(light(eaten)) < 112


def test_a_field_without_cells_is_a_field():
    empty = SMALL.replace(guests__count=0, hosts__coverage=0.0, guests__debris=0.0, acquisition__frames=2)
    field = simulate_field(empty, 1)
    assert field.frame(1).max() < 120
    assert len(field.guests) == 0
    assert len(field.events) == 0
    assert len(field.decoys_in(0)) == 0
