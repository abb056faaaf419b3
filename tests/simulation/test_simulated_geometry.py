"""Where a guest is follows from the surfaces: named scenes, and what must hold for all of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from set_scene import CENTRE, guest, host, scene

from cicimage.simulation.bodies import half_height, tent
from cicimage.simulation.contact import contacts, place

FLAT = [host()]
LOW_AND_HIGH = [host(0, x=CENTRE - 8), host(1, x=CENTRE + 8)]

SCENES = {
    "alone on glass": ([], guest(), ("free", "none")),
    "beside the edge": (FLAT, guest(x=CENTRE + 25.0 + 2.0), ("attached", "lateral")),
    "far from the edge": (FLAT, guest(x=CENTRE + 25.0 + 4.9, radius=2.5), ("free", "none")),
    "on the host": (FLAT, guest(), ("attached", "on_top")),
    "floating over the host": (FLAT, guest(hover=2.0), ("free", "none")),
    "under the host": (FLAT, guest("under"), ("attached", "under")),
    "inside": (FLAT, guest("engulfed", 1.35), ("inside", "none")),
    "inside, let in from below": (FLAT, guest("engulfed", 1.35, route="under"), ("inside", "none")),
    "cup half way up": (FLAT, guest("engulfed", 0.5, entering=True), ("entering", "on_top")),
    "sheet half way down": (FLAT, guest("engulfed", 0.7, route="under", entering=True), ("entering", "under")),
    "cup half way, on its way out": (FLAT, guest("engulfed", 0.5), ("attached", "on_top")),
    "flap of a fold over one side": (FLAT, guest("engulfed", 0.6, route="fold"), ("attached", "on_top")),
    "on the lower, under the higher": (LOW_AND_HIGH, guest("under", host=1), ("attached", "between")),
    "under both": (LOW_AND_HIGH, guest("under", host=0), ("attached", "under")),
    "on both": (LOW_AND_HIGH, guest(), ("attached", "on_top")),
    "in the lower, under the higher": (LOW_AND_HIGH, guest("engulfed", 1.35, host=0), ("inside", "none")),
    "in the higher": (LOW_AND_HIGH, guest("engulfed", 1.35, host=1), ("inside", "none")),
}


@pytest.mark.parametrize("name", SCENES)
def test_place_follows_from_the_surfaces(name):
    hosts, who, expected = SCENES[name]
    layers = scene(hosts, [who])
    where = place(layers.bodies[0], layers)
    assert (where.location, where.contact) == expected


def test_the_host_that_holds_is_named_and_those_above_are_counted():
    layers = scene(LOW_AND_HIGH, [guest("engulfed", 1.35, host=0)])
    where = place(layers.bodies[0], layers)
    assert (where.host, where.hosts_above) == (0, 1)
    layers = scene(LOW_AND_HIGH, [guest("under", host=0)])
    assert place(layers.bodies[0], layers).hosts_above == 2


@given(
    radius=st.floats(3.0, 6.0), floor=st.floats(0.3, 1.6), cap=st.floats(0.3, 1.6), lamella=st.floats(1.0, 2.0),
    route=st.sampled_from(["top", "under"]),
)  # fmt: skip
@settings(max_examples=25, deadline=None)
def test_an_engulfed_guest_has_the_cytoplasm_asked_for_above_and_below(radius, floor, cap, lamella, route):
    layers = scene([host(lamella=lamella)], [guest("engulfed", 1.35, radius=radius, floor=floor, cap=cap, route=route)])
    body, sheet = layers.bodies[0], layers.sheets[0]
    middle = tuple(round(CENTRE / 0.5) - w.start for w in sheet.window)
    c = body.pose.axes[2]
    assert body.z - c - sheet.bottom[middle] == pytest.approx(floor, abs=0.05)
    assert sheet.top[middle] - (body.z + c) == pytest.approx(max(cap, lamella - 2 * c - floor), abs=0.05)
    assert contacts(body, layers)[0].encloses


@given(radius=st.floats(3.0, 6.0), lamella=st.floats(1.0, 2.0), offset=st.floats(-15, 15))
@settings(max_examples=25, deadline=None)
def test_a_guest_under_a_host_lifts_it_and_nothing_overlaps(radius, lamella, offset):
    layers = scene([host(lamella=lamella)], [guest("under", radius=radius, y=CENTRE + offset)])
    body, sheet = layers.bodies[0], layers.sheets[0]
    rho = body.pose.rho(*layers.grid.points(sheet.window))
    upper = body.z + half_height(rho, body.pose.axes[2])
    under = (rho < 1) & (sheet.cover > 0.5)
    assert (sheet.bottom[under] >= upper[under] - 1e-6).all()
    assert sheet.top.max() > 2 * body.pose.axes[2] + 0.9 * lamella
    assert body.z == pytest.approx(body.pose.axes[2])


@given(st.floats(0.0, 1.3))
@settings(max_examples=30, deadline=None)
def test_cover_rises_as_the_cup_rises(e):
    def cover(engulfed):
        layers = scene(FLAT, [guest("engulfed", engulfed, entering=True)])
        return contacts(layers.bodies[0], layers)[0].above

    assert cover(e) <= cover(min(e + 0.1, 1.35)) + 1e-9
    assert (cover(e) >= 0.97) == (e >= 1.0) or abs(e - 1.0) < 0.02


def test_a_guest_in_one_host_is_not_lifted_by_what_its_neighbours_lie_on():
    lower, upper = host(0, radius=12.0, x=CENTRE - 14, lamella=2.0), host(1)
    inside = guest("engulfed", 1.35, host=1, x=CENTRE + 10, y=CENTRE + 10, index=0)
    neighbour = guest("engulfed", 0.4, host=1, route="under", x=CENTRE - 12, index=1, entering=True)
    layers = scene([lower, upper], [inside, neighbour])
    body = next(b for b in layers.bodies if b.pose.guest == 0)
    assert place(body, layers).location == "inside"
    assert body.z == pytest.approx(body.pose.axes[2] + 0.8, abs=0.1)


@pytest.mark.parametrize("e", [0.3, 0.5, 0.7, 0.9])
def test_the_share_of_surface_held_is_the_height_of_the_cup(e):
    """Archimedes: a sphere's area up to a height goes as that height."""
    layers = scene([host(lamella=1.0)], [guest("engulfed", e, entering=True, floor=0.4)], um_per_px=0.25)
    assert place(layers.bodies[0], layers).ring == pytest.approx(e, abs=0.12)


def test_a_second_host_bridges_the_edge_of_the_first():
    layers = scene([host(0, x=CENTRE - 15), host(1, x=CENTRE + 5)], [])
    first, second = layers.sheets
    row = int(CENTRE / 0.5) - second.window[0].start
    bottom = second.bottom[row]
    assert bottom.min() < 0.05
    assert bottom.max() >= first.top.max() - 0.05
    assert np.abs(np.diff(bottom)).max() < 0.8


def test_where_everything_lies_does_not_depend_on_where_the_world_begins():
    near = scene(FLAT, [guest("engulfed", 1.35, x=CENTRE + 7)])
    moved = scene([host(x=CENTRE + 3)], [guest("engulfed", 1.35, x=CENTRE + 10)])
    assert near.bodies[0].z == pytest.approx(moved.bodies[0].z, abs=1e-6)
    assert place(near.bodies[0], near).floor_um == pytest.approx(place(moved.bodies[0], moved).floor_um, abs=1e-6)


def test_depth_is_the_distance_from_the_outline():
    round_host = host(radius=20.0)
    assert round_host.depth(CENTRE, CENTRE) == pytest.approx(20.0)
    assert round_host.depth(CENTRE, CENTRE + 25.0) == pytest.approx(-5.0)
    lobed = host(amplitudes=np.array([0.2, 0.1, 0.1, 0.05, 0.05]), phases=np.arange(5.0))
    assert (lobed.depth(*np.meshgrid(np.linspace(-60, 120, 50), np.linspace(-60, 120, 50))) < lobed.reach).all()
    spindle = host(shape="spindle")
    assert spindle.depth(CENTRE, CENTRE) > 0 > spindle.depth(CENTRE + spindle.reach, CENTRE)


def test_a_rounded_host_keeps_its_volume():
    def volume(spread):
        layers = scene([host(radius=18.0, spread=spread)], [])
        sheet = layers.sheets[0]
        return float(((sheet.top - sheet.bottom) * sheet.cover).sum())

    # the rim's share of a smaller footprint is larger, so not exactly
    assert volume(0.6) == pytest.approx(volume(1.0), rel=0.35)


def test_a_tent_touches_the_body_and_falls_to_the_ground():
    rho = np.linspace(0, 6, 200)
    drape = tent(rho, 3.0, 3.0, 3.0)
    assert drape[0] == pytest.approx(6.0)
    assert (drape >= 3.0 + half_height(rho, 3.0) - 1e-9)[rho < 1].all()
    assert (np.diff(drape) <= 1e-9).all()
    assert drape[-1] < 0.1
