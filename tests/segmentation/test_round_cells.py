"""Cells of a population that is guest and host at once: round ones by their shells, wherever they lie."""

import numpy as np
import pytest

from cicimage.methods import Scene
from cicimage.segmentation.hosts import ThresholdHostSegmenter
from cicimage.segmentation.round_cells import find_round_cells
from tests.segmentation.drawn_shells import UM_PER_PX, UM_PER_Z, Ball, Sheet, picture

HOST = Sheet(35.0, 35.0)
CASES = {
    "free beside the sheet": [Ball(8.5, 8.0, 8.0)],
    "inside, floor and cap about it": [Ball(9.5, 35.0, 49.0, above=2, below=2)],
    "on top": [Ball(13.0, 46.0, 40.0)],
    "two on top of each other's shoulder": [Ball(13.0, 46.0, 40.0), Ball(13.0, 46.0, 53.5)],
    "none": [],
}


def scene(things, **more):
    membrane, nuclei = picture(things)
    return Scene(membrane, UM_PER_PX, UM_PER_Z, (12.0, 42.0), "membrane", nuclei=nuclei, **more)


def places(masks):
    return np.array([m.centroid_px() for m in masks]).reshape(-1, 2) * UM_PER_PX


@pytest.mark.parametrize("balls", CASES.values(), ids=CASES.keys())
def test_round_cells_are_found_and_the_sheet_is_none(balls):
    found = find_round_cells(scene([HOST, *balls]))
    assert len(found.cells.masks) == len(balls)
    assert len(found.spread_px) == 1
    for ball in balls:
        apart = np.hypot(*(places(found.cells.masks) - [ball.y, ball.x]).T)
        k = int(apart.argmin())
        assert apart[k] < 1.0
        assert found.cells.z_um[k] == pytest.approx(ball.z, abs=1.0)
        assert 2 * np.sqrt(found.cells.masks[k].area_px / np.pi) * UM_PER_PX == pytest.approx(13.0, abs=1.5)


def test_a_cell_within_a_cell_lies_in_the_mask_of_what_holds_it():
    inner = Ball(9.5, 35.0, 49.0, above=2, below=2)
    objects = ThresholdHostSegmenter().segment(scene([HOST, inner], both_roles=True))
    host, guest = objects.masks
    assert (host.label, guest.label) == (1, 2)
    canvas = np.zeros((2, *objects.masks.shape), bool)
    for layer, mask in zip(canvas, objects.masks, strict=True):
        layer[mask.window] = mask.pixels
    assert (canvas[0] & canvas[1]).sum() > 0.9 * guest.area_px
    assert np.isfinite(objects.z_um).all()


def test_a_round_cell_alone_is_one_object_not_two():
    objects = ThresholdHostSegmenter().segment(scene([Ball(8.5, 35.0, 35.0)], both_roles=True))
    assert len(objects.masks) == 1


def test_hosts_whose_guests_wear_another_dye_are_found_as_before():
    things = [HOST, Ball(9.5, 35.0, 49.0, above=2, below=2)]
    plain = ThresholdHostSegmenter().segment(scene(things))
    assert len(plain.masks) == 2  # by its nuclei, which in a population of hosts alone are hosts'
    assert (plain.masks.coverage() <= 1).all()


def test_without_nuclei_or_a_stack_nobody_can_ask():
    with pytest.raises(ValueError, match="by their nuclei in a stack"):
        find_round_cells(Scene(np.zeros((5, 9, 9), np.float32), 1.0, 1.0, (12.0, 42.0), "membrane"))
    empty = Scene(np.full((5, 64, 64), 100, np.float32), 0.65, 1.5, (12.0, 42.0), "membrane")
    with_nuclei = Scene(empty.image, 0.65, 1.5, (12.0, 42.0), "membrane", nuclei=empty.image, both_roles=True)
    assert len(ThresholdHostSegmenter().segment(with_nuclei).masks) == 0
