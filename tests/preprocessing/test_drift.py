from __future__ import annotations

import cv2
import numpy as np
import pytest
import tifffile
from scipy import ndimage

from cicimage.methods import build
from cicimage.preprocessing.drift import PhaseDrift

SIZE = 512


def ground(rng, size=1600):
    """Standing hosts with texture, larger than the field, as the coefficients of a spline: shifts are then exact."""
    field = np.zeros((size, size), np.float32)
    for _ in range(200):
        centre = int(rng.uniform(0, size)), int(rng.uniform(0, size))
        axes = int(rng.uniform(30, 90)), int(rng.uniform(15, 45))
        cv2.ellipse(field, centre, axes, float(rng.uniform(0, 180)), 0, 360, float(rng.uniform(60, 150)), -1)
    texture = cv2.GaussianBlur(rng.normal(size=(size, size)).astype(np.float32), (0, 0), 4)
    seen = cv2.GaussianBlur(field, (0, 0), 3) * (1 + 2 * texture)
    return ndimage.spline_filter(seen, order=3, output=np.float32)


def look(rng, standing, shift, cells=(), light=1.0, blur=1.2):
    """The field when the content lies (dy, dx) down and right of where it lay at shift 0."""
    dy, dx = shift
    corner = (standing.shape[0] - SIZE) / 2
    seen = ndimage.affine_transform(
        standing, [1, 1], (corner - dy, corner - dx), (SIZE, SIZE), np.float32, order=3, prefilter=False
    )
    for y, x in cells:
        cv2.circle(seen, (round((x + dx) * 16), round((y + dy) * 16)), 7 * 16, 120.0, -1, cv2.LINE_8, 4)
    seen = cv2.GaussianBlur(seen, (0, 0), blur)
    y, x = np.meshgrid(np.linspace(-1, 1, SIZE), np.linspace(-1, 1, SIZE), indexing="ij")
    lit = light * seen * (1 - 0.15 * (y**2 + x**2)) + 20
    return (rng.poisson(np.maximum(lit, 0)) + 100 + rng.normal(0, 2, lit.shape)).astype(np.float32)


def follow(shifts, *, cells=0, seed=1, light=None, blur=None, **options):
    rng = np.random.default_rng(seed)
    standing = ground(rng)
    where = rng.uniform(-100, SIZE + 100, (cells, 2))
    step = PhaseDrift(**options).start()
    found = []
    for t, shift in enumerate(shifts):
        image = look(
            rng, standing, shift, where, 1.0 if light is None else light[t], 1.2 if blur is None else blur.get(t, 1.2)
        )
        where = where + rng.normal(0, 6, where.shape)
        found.append(step(image))
    return np.array(found)


def wander(n, sd, seed=9):
    steps = np.random.default_rng(seed).normal(0, sd, (n, 2)).cumsum(axis=0)
    return steps - steps[0]


@pytest.mark.parametrize("cells", [0, 80])
def test_subpixel_drift_within_a_fifth_of_a_pixel(cells):
    true = wander(12, 1.3)
    found = follow(true, cells=cells)
    assert np.abs(found[:, :2] - true).max() < 0.2
    assert found[0].tolist() == [0, 0, 1]


@pytest.mark.parametrize("jump", [(150.3, -90.7), (-260.4, 40.2), (10.5, 300.25), (-200, -200)])
def test_jumps_of_half_the_field(jump):
    true = wander(6, 0.8)
    true[3:] += jump
    found = follow(true, cells=40)
    assert np.abs(found[:, :2] - true).max() < 0.2


def test_errors_do_not_add_up_over_key_frames():
    """The field leaves its first view altogether: several key frames, still within half a pixel."""
    true = np.outer(np.arange(30), [12.3, -9.1])
    found = follow(true, cells=40)
    assert np.abs(found[:, :2] - true).max() < 0.5


def crawling(rng, frames, jump_at, jump):
    """Hosts that each go their own way, and a stage that jumps once."""
    where, way = rng.uniform(0, SIZE, (14, 2)), rng.normal(0, 1.0, (14, 2))
    shapes = [(int(rng.uniform(40, 70)), int(rng.uniform(20, 40)), float(rng.uniform(0, 180))) for _ in where]
    for t in range(frames):
        way = 0.8 * way + rng.normal(0, 0.6, way.shape)
        where = where + way
        dy, dx = jump if t >= jump_at else (0, 0)
        field = np.zeros((SIZE, SIZE), np.float32)
        for (y, x), (a, b, angle) in zip(where, shapes, strict=True):
            centre = round((x + dx) * 16), round((y + dy) * 16)
            cv2.ellipse(field, centre, (a * 16, b * 16), angle, 0, 360, 100.0, -1, cv2.LINE_8, 4)
        lit = cv2.GaussianBlur(field, (0, 0), 3) + 20
        yield (rng.poisson(lit) + 100).astype(np.float32)


def test_the_crawl_of_hosts_is_no_drift_and_a_jump_is():
    jump = (9.0, -14.0)
    true = np.array([(0, 0) if t < 8 else jump for t in range(16)])
    naive, sober = PhaseDrift(sure_at=0).start(), PhaseDrift().start()
    images = list(crawling(np.random.default_rng(5), 16, 8, jump))
    off_naive = np.abs(np.array([naive(i)[:2] for i in images]) - true)
    off_sober = np.abs(np.array([sober(i)[:2] for i in images]) - true)
    assert off_sober.max() < 2.0
    assert off_sober.mean() < 0.6 * off_naive.mean()


def test_noise_is_no_drift():
    rng = np.random.default_rng(6)
    step = PhaseDrift().start()
    found = np.array([step(rng.normal(100, 5, (180, 180)).astype(np.float32)) for _ in range(12)])
    assert not found[:, :2].any()
    assert found[1:, 2].max() < 0.25


def test_bleaching_and_flicker_are_no_drift():
    true = wander(8, 1.0)
    found = follow(true, light=[1, 0.5, 1.2, 0.4, 0.9, 0.6, 0.4, 0.3])
    assert np.abs(found[:, :2] - true).max() < 0.6
    found = follow(true, light=[1, 0.5, 1.2, 0.4, 0.9, 0.6, 0.4, 0.3], sure_at=0)
    assert np.abs(found[:, :2] - true).max() < 0.25


def test_a_defocused_frame_says_so_and_harms_no_other():
    true = wander(8, 1.0)
    found = follow(true, blur={4: 25.0})
    assert found[4, 2] < 0.5 * found[[1, 2, 3, 5, 6, 7], 2].min()
    assert np.abs(np.delete(found[:, :2] - true, 4, axis=0)).max() < 0.2


def test_coarse_registration_keeps_its_unit():
    true = wander(5, 3.0)
    found = follow(true, max_side_px=256)
    assert np.abs(found[:, :2] - true).max() < 0.35


@pytest.mark.parametrize("value", [0.0, 7.0, np.nan])
def test_empty_frames_stay_where_the_last_one_was(value):
    rng = np.random.default_rng(3)
    standing = ground(rng)
    step = PhaseDrift().start()
    step(look(rng, standing, (0, 0)))
    before = step(look(rng, standing, (5, 3)))
    dy, dx, quality = step(np.full((SIZE, SIZE), value, np.float32))
    assert (dy, dx) == before[:2]
    assert quality < 0.1
    after = step(look(rng, standing, (6, 3)))
    assert np.allclose(after[:2], (6, 3), atol=0.2)


def test_a_movie_that_starts_empty_begins_with_its_first_picture():
    rng = np.random.default_rng(3)
    standing = ground(rng)
    step = PhaseDrift().start()
    assert step(np.zeros((SIZE, SIZE), np.float32)) == (0, 0, 0)
    assert step(look(rng, standing, (0, 0)))[:2] == (0, 0)


def test_two_movies_do_not_share_state():
    method = build("drift", "phase")
    rng = np.random.default_rng(3)
    standing = ground(rng)
    one, other = method.start(), method.start()
    one(look(rng, standing, (0, 0)))
    assert other(look(rng, standing, (40, 40)))[:2] == (0, 0)


@pytest.mark.parametrize(
    "name", ["cancer_cell_migration/cancer_cell_migration_crop.tif", "imagej_mitosis_2ch/C1-MAX_mitosis.tif"]
)
def test_real_movies_shifted_by_hand_show_the_shift(real_data, name):
    """The movie's own drift is unknown; a crop that wanders over it adds a known one."""
    movie = tifffile.imread(real_data / name)[:20].astype(np.float32)
    height, width = movie.shape[1:]
    walk = np.random.default_rng(4).integers(-8, 9, (len(movie), 2))
    walk[0] = 0
    still, moved = PhaseDrift(sure_at=0).start(), PhaseDrift(sure_at=0).start()
    own, both = [], []
    for image, (dy, dx) in zip(movie, walk, strict=True):
        own.append(still(image[8 : height - 8, 8 : width - 8])[:2])
        both.append(moved(image[8 - dy : height - 8 - dy, 8 - dx : width - 8 - dx])[:2])
    apart = np.linalg.norm(np.array(both) - np.array(own) - walk, axis=1)
    assert np.median(apart) < 1.0  # all that is seen moves on its own here: two crops see it a little differently
    assert apart.max() < 5.0
