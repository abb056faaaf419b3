"""The compiled loops against plain ways to say the same, and as pictures."""

import cv2
import numpy as np
import pytest
from scipy import ndimage
from skimage.morphology import reconstruction

from cicimage.segmentation.axial import locate
from cicimage.segmentation.grid import dark_level, finite, noise_of, shrink, without_pits
from cicimage.segmentation.host_foreground import fill_holes, project, without_small
from cicimage.segmentation.host_split import flood
from cicimage.segmentation.kernels import spread
from cicimage.segmentation.seeds import find_peaks


def pixels(drawing):
    return np.array([[letter == "#" for letter in row] for row in drawing.strip().split()])


def relief(drawing):
    return np.array([[float(letter) for letter in row] for row in drawing.strip().split()], dtype=np.float32)


def test_two_hills_with_a_deep_saddle_are_two_basins():
    heights = relief("1111111 1383831 1393931 1383831 1111111".replace(" ", "\n"))
    assert flood(heights, heights > 0, 0.5).max() == 2


def test_a_shallow_saddle_joins_two_hills():
    heights = relief("1111111 1387831 1398931 1387831 1111111".replace(" ", "\n"))
    assert flood(heights, heights > 0, 0.5).max() == 1


def test_a_pixel_goes_the_way_up():
    """The high hill does not run around the low one on level ground below both."""
    heights = np.zeros((41, 81), dtype=np.float32)
    yy, xx = np.mgrid[:41, :81]
    for x, top in ((20, 10.0), (60, 6.0)):
        heights = np.maximum(heights, (top - 0.25 * np.hypot(yy - 20, xx - x)).astype(np.float32))
    heights = np.maximum(heights, 0.01)
    labels = flood(heights, np.ones(heights.shape, bool), 0.1)
    assert labels.max() == 2
    assert labels[20, 20] != labels[20, 60]
    assert (labels[:, 75:] == labels[20, 60]).mean() > 0.95


def test_flooding_is_the_same_for_any_unit_of_height():
    heights = ndimage.gaussian_filter(np.random.default_rng(1).random((60, 60)), 3).astype(np.float32)
    inside = np.ones(heights.shape, bool)
    assert np.array_equal(flood(heights, inside, 0.1), flood(heights * 64, inside, 0.1))


def test_peaks_are_those_of_a_plain_search():
    volume = ndimage.gaussian_filter(np.random.default_rng(2).random((6, 40, 40)), 1.5).astype(np.float32)
    found = {tuple(p) for p in find_peaks(volume, np.full(6, 0.5, np.float32)).tolist()}
    plain = (volume == ndimage.maximum_filter(volume, size=3, mode="constant", cval=-1)) & (volume > 0.5)
    assert found == {tuple(p) for p in np.argwhere(plain).tolist()}


def test_fronts_meet_midway_on_even_ground_and_in_the_dear_seam_elsewhere():
    inside = np.ones((11, 41), dtype=np.bool_)
    markers = np.zeros(inside.shape, dtype=np.int32)
    markers[5, 2], markers[5, 38] = 1, 2
    even = spread(np.full(inside.shape, 10, np.uint8), inside, markers)
    assert abs(int((even[5] == 1).sum()) - 20) <= 1
    seam = np.full(inside.shape, 10, np.uint8)
    seam[:, 30] = 250
    assert (spread(seam, inside, markers)[5, :30] == 1).all()


def test_no_front_crosses_the_outside():
    inside = pixels("#####..### #####..### #####..###".replace(" ", "\n"))
    markers = np.zeros(inside.shape, dtype=np.int32)
    markers[1, 1] = 7
    labels = spread(np.full(inside.shape, 5, np.uint8), inside, markers)
    assert (labels[:, :5] == 7).all()
    assert not labels[:, 5:].any()


def test_pits_are_filled_as_reconstruction_fills_them():
    image = ndimage.gaussian_filter(np.random.default_rng(3).random((50, 60)), 2).astype(np.float32)
    seed = image.copy()
    seed[1:-1, 1:-1] = image.max()
    expected = reconstruction(seed, image, method="erosion")
    step = float(image.max() - image.min()) / 1023
    assert without_pits(image[None])[0] == pytest.approx(expected, abs=1.5 * step)


def test_holes_are_filled_up_to_a_size_and_bays_are_not():
    drawn = pixels(
        """
        .########.
        .#..##...#
        .#..##.#.#
        .#####...#
        .####.####
        .####.####
        """
    )
    filled = fill_holes(drawn, 4)
    assert filled[1:3, 2:4].all()
    assert not filled[1:4, 6].any()
    assert not filled[4:, 5].any()


def test_small_patches_go():
    drawn = pixels("##... ##... ....# .....".replace(" ", "\n"))
    assert without_small(drawn, 2).sum() == 4


@pytest.mark.parametrize("shape", [(40, 60), (41, 63), (3, 5)])
def test_a_coarse_grid_keeps_places(shape):
    image = np.zeros((1, *shape), np.float32)
    y, x = shape[0] // 2, shape[1] // 2
    image[0, y, x] = 16.0
    grid = shrink(cv2.GaussianBlur(image[0], (0, 0), 2.0)[None], 0.25, 1.0)
    assert grid.factor == 4
    centre = ndimage.center_of_mass(grid.volume[0])
    if min(shape) > 20:
        assert grid.to_frame(np.array(centre)) == pytest.approx([y, x], abs=0.4)


def test_noise_and_background_are_told_from_cells():
    rng = np.random.default_rng(4)
    volume = rng.normal(100, 5, (1, 200, 200))
    volume[0, 50:150, 20:190] += 200
    assert noise_of(volume.astype(np.float32)) == pytest.approx(5, rel=0.1)
    assert dark_level(volume.astype(np.float32), 5.0) == pytest.approx(100, abs=2)


def test_what_is_not_finite_becomes_the_median():
    image = np.array([[[1.0, np.nan], [3.0, np.inf]]], np.float32)
    assert finite(image).ravel().tolist() == [1.0, 2.0, 3.0, 2.0]


def test_projection_of_a_thin_stack():
    volume = np.random.default_rng(5).random((2, 4, 4)).astype(np.float32)
    assert np.array_equal(project(volume), volume.max(axis=0))


def test_the_height_of_a_hump_is_subslice_and_keeps_off_its_neighbour():
    z = np.arange(20)
    hump = np.exp(-0.5 * ((z - 6.3) / 1.5) ** 2)
    assert locate(hump, 6, 2).centre == pytest.approx(6.3, abs=0.05)
    two = hump + 0.7 * np.exp(-0.5 * ((z - 13.0) / 1.5) ** 2)
    assert locate(two, 6, 2).centre == pytest.approx(6.3, abs=0.15)
    assert locate(two, 13, 2).centre == pytest.approx(13.0, abs=0.15)
    shoulder = locate(hump, 12, 2)  # on the hump's foot, far from its top
    assert shoulder.centre == 12
    assert np.isnan([shoulder.low, shoulder.high]).all()
    assert np.diff(locate(hump, 6, 2)[1:]) == pytest.approx(2.355 * 1.5, rel=0.05)


def test_an_uneven_dye_does_not_cut_a_hump_short():
    plateau = np.array([0, 10, 55, 91, 95, 90, 95, 98, 79, 30, 3, 0.0])
    hump = locate(plateau, 5, 3)
    assert hump.centre == pytest.approx(5.4, abs=0.3)
    assert hump.high - hump.low == pytest.approx(6.7, abs=0.3)


def test_a_hump_cut_by_the_stacks_end_says_so():
    rising = np.array([0, 0, 1, 20, 80, 100.0])
    hump = locate(rising, 5, 2)
    assert np.isnan(hump.high)
    assert hump.low == pytest.approx(3.5, abs=0.1)


def test_an_empty_profile_has_no_width():
    hump = locate(np.zeros(5), 2, 1)
    assert hump.centre == 2
    assert np.isnan([hump.low, hump.high]).all()
