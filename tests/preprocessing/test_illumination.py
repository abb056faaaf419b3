from __future__ import annotations

import numpy as np
import pytest
import tifffile
from painted_field import camera, guests, hosts, vignette

from cicimage.preprocessing.illumination import SmoothIllumination, dark_level


def movie(rng, gain, n_hosts, light=50.0, planes=8, offset=100.0, counts_per_photon=1.0):
    standing = hosts(rng, n_hosts)
    return np.stack(
        [camera(rng, gain * (standing + guests(rng, 20) + light), offset, counts_per_photon) for _ in range(planes)]
    )


@pytest.mark.parametrize("fall", [0.1, 0.25, 0.4])
@pytest.mark.parametrize("n_hosts", [0, 5, 12])
def test_finds_a_planted_vignette_under_cells(fall, n_hosts):
    rng = np.random.default_rng(3)
    gain = vignette(256, fall)
    found = SmoothIllumination(offset_counts=100).estimate(movie(rng, gain, n_hosts), 0.5)
    assert found.mean() == pytest.approx(1, abs=1e-4)
    assert np.abs(found - gain).max() < 0.03


@pytest.mark.parametrize("n_hosts", [0, 12, 40, 120])
def test_leaves_even_light_alone_however_full_the_field(n_hosts):
    rng = np.random.default_rng(4)
    found = SmoothIllumination(offset_counts=100).estimate(movie(rng, np.ones((256, 256)), n_hosts), 0.5)
    assert np.abs(found - 1).max() < 0.02


def test_cells_on_one_side_are_no_lamp():
    rng = np.random.default_rng(5)
    half = hosts(rng, 60)
    half[:, 128:] = 0
    planes = np.stack([camera(rng, half + guests(rng, 20) + 50) for _ in range(8)])
    assert (SmoothIllumination(offset_counts=100).estimate(planes, 0.5) == 1).all()


def test_unknown_offset_corrects_too_little_never_too_much():
    rng = np.random.default_rng(6)
    gain = vignette(256, 0.4)
    planes = movie(rng, gain, 5)
    blind = SmoothIllumination(offset_counts=0).estimate(planes, 0.5)
    assert gain.min() < blind.min() < 1
    read = SmoothIllumination(offset_counts=None)
    assert np.abs(read.estimate(planes, 0.5) - gain).max() < np.abs(blind - gain).max() / 2


@pytest.mark.parametrize(("offset", "counts_per_photon"), [(100, 1.0), (100, 0.5), (500, 4.0), (0, 2.0)])
def test_offset_is_where_photon_noise_would_vanish(offset, counts_per_photon):
    rng = np.random.default_rng(7)
    planes = movie(rng, np.ones((256, 256)), 10, offset=offset, counts_per_photon=counts_per_photon)
    found = dark_level(planes)
    assert offset - 15 * max(counts_per_photon, 1) <= found <= offset + 2


def test_one_picture_cannot_tell_cells_from_lamp():
    rng = np.random.default_rng(8)
    planes = movie(rng, vignette(256, 0.4), 5, planes=1)
    assert (SmoothIllumination(offset_counts=100).estimate(planes, 0.5) == 1).all()


@pytest.mark.parametrize(
    "name", ["cancer_cell_migration/cancer_cell_migration_crop.tif", "imagej_mitosis_2ch/C1-MAX_mitosis.tif"]
)
def test_does_no_harm_to_real_movies_whose_cells_fill_the_field(real_data, name):
    planes = tifffile.imread(real_data / name)[::4].astype(np.float32)
    assert (SmoothIllumination().estimate(planes, 0.5) == 1).all()
