"""Axial blur from balls of known size."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from cicimage.containment.blur import measure_axial_blur
from cicimage.masks import Masks
from cicimage.methods import Objects

PX = 0.5


def _balls(fwhm_um: float, um_per_z: float) -> tuple[np.ndarray, Objects]:
    fine, n, depth = 0.1, 40, 16.0
    rng = np.random.default_rng(0)
    z = np.arange(0, depth, fine)
    image = np.zeros((len(z), n, 6 * n), np.float32)
    labels = np.zeros((n, 6 * n), int)
    heights = []
    for k in range(6):
        r, centre = 3.4 + 0.15 * k, 7.5 + 0.2 * k
        rho = np.hypot(*np.meshgrid((np.arange(n) - n / 2) * PX, (np.arange(n) - n / 2) * PX, indexing="ij"))
        ball = (rho[None] / r) ** 2 + ((z[:, None, None] - centre) / r) ** 2 <= 1
        image[:, :, k * n : (k + 1) * n] += 100.0 * ball
        labels[:, k * n : (k + 1) * n][rho <= r] = k + 1
        heights.append(centre)
    image = gaussian_filter1d(image, fwhm_um / 2.3548 / fine, axis=0)[:: round(um_per_z / fine)]
    image += rng.normal(100, 3, image.shape).astype(np.float32)
    return image, Objects(Masks.from_labels(labels), np.array(heights), np.full(6, 7.0))


@pytest.mark.parametrize(("fwhm_um", "um_per_z"), [(1.5, 1.0), (2.4, 1.0), (3.5, 1.5), (6.0, 1.5)])
def test_blur_is_recovered(fwhm_um: float, um_per_z: float) -> None:
    image, guests = _balls(fwhm_um, um_per_z)
    assert measure_axial_blur(image, guests, PX, um_per_z) == pytest.approx(fwhm_um, rel=0.3)


def test_too_few_guests_or_slices_tell_nothing() -> None:
    image, guests = _balls(1.5, 1.0)
    assert np.isnan(measure_axial_blur(image[:3], guests, PX, 1.0))
    one = Objects(guests.masks[:2], guests.z_um[:2], guests.z_extent_um[:2])
    assert np.isnan(measure_axial_blur(image, one, PX, 1.0))
