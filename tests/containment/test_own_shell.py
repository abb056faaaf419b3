"""A guest in the stain of its host: its own membrane is taken off what lies above and below it."""

import numpy as np
import pytest

from cicimage.containment.noise import Noise
from cicimage.containment.own_shell import layers_of_pairs, measure_faces
from tests.segmentation.drawn_shells import UM_PER_PX, UM_PER_Z, Ball, picture

STATES = {"free": (0, 0), "on top": (0, 2), "under": (2, 0), "inside": (2, 2), "one membrane more above": (1, 0)}


def faces_of(balls, blur_um=(1.0, 0.3), seed=0):
    membrane, _ = picture(balls, blur_um=blur_um, seed=seed)
    at = np.array([(b.y / UM_PER_PX, b.x / UM_PER_PX, b.diameter / 2 / UM_PER_PX) for b in balls])
    return measure_faces(
        membrane, at, np.array([b.z for b in balls]), um_per_px=UM_PER_PX, um_per_z=UM_PER_Z,
        noise=Noise(2.0, 100.0, 0.25),
    )  # fmt: skip


@pytest.mark.parametrize("blur_um", [(1.0, 0.3), (1.3, 0.5)], ids=["sharp", "blurred"])
@pytest.mark.parametrize(("above", "below"), STATES.values(), ids=STATES.keys())
def test_membranes_beyond_its_own_are_counted_whatever_the_blur(above, below, blur_um):
    found = faces_of([Ball(12.0, 35.0, 35.0, above=above, below=below)], blur_um)
    for value, more in ((found.top[0], above), (found.bottom[0], below)):
        if more:
            assert value == pytest.approx(more, rel=0.4)
        else:
            assert value == pytest.approx(0.0, abs=0.2)


def test_a_face_that_the_stack_cuts_off_is_not_told():
    found = faces_of([Ball(5.0, 35.0, 35.0), Ball(25.0, 20.0, 20.0)])
    assert np.isnan(found.bottom[0])
    assert np.isfinite(found.top[0])
    assert np.isnan(found.top[1])


def test_no_cells_no_faces():
    empty = measure_faces(
        np.zeros((5, 9, 9), np.float32), np.zeros((0, 3)), np.zeros(0), um_per_px=1.0, um_per_z=1.0,
        noise=Noise(1.0, 0.0, 1.0),
    )  # fmt: skip
    assert empty.top.shape == (0,)


def test_a_cell_no_larger_than_its_guest_cannot_hold_it():
    faces = faces_of([Ball(12.0, 35.0, 35.0, above=2, below=2)])
    pairs = np.array([[0, 0], [0, 1]])
    layers = layers_of_pairs(faces, pairs, np.array([300.0]), np.array([310.0, 2000.0]))
    assert layers["cap_um"][0] == 0.0
    assert layers["floor"][0] == 0.0
    assert layers["cap_um"][1] == faces.top[0]
    assert layers["cap_se"][1] == faces.top_se[0]
