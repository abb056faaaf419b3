from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from painted_field import camera, guests, hosts

from cicimage.preprocessing import flag_defocus, frame_quality


@pytest.mark.parametrize("light", [5.0, 50.0, 500.0])
def test_background_and_noise_of_a_painted_field(light):
    rng = np.random.default_rng(1)
    plane = camera(rng, hosts(rng, 6) + guests(rng, 10) + light).round().astype(np.uint16)
    found = frame_quality(plane)
    assert found.background == pytest.approx(100 + light, abs=1 + 0.25 * math.sqrt(light + 4))
    assert found.noise_sd == pytest.approx(math.sqrt(light + 4), rel=0.12)
    assert found.flag == ""


def test_signal_is_what_stands_above_background():
    rng = np.random.default_rng(2)
    field = np.zeros((256, 256), np.float32)
    field[:, :26] = 300
    found = frame_quality(camera(rng, field + 20).astype(np.uint16))
    assert found.signal == pytest.approx(300 + 2.3 * np.sqrt(324) * 0.6, rel=0.1)


def test_sharpness_falls_with_defocus_and_not_with_brightness():
    rng = np.random.default_rng(3)
    field = hosts(rng, 6) + guests(rng, 20)
    sharp = frame_quality(camera(rng, field + 20)).sharpness
    dim = frame_quality(camera(rng, field * 0.4 + 20)).sharpness
    blurred = frame_quality(camera(rng, cv2.GaussianBlur(field, (0, 0), 6) + 20)).sharpness
    assert blurred < 0.4 * sharp
    assert dim == pytest.approx(sharp, rel=0.35)


def test_saturated_constant_and_not_finite_are_named():
    rng = np.random.default_rng(4)
    plane = camera(rng, hosts(rng, 6) + 20).astype(np.uint16)
    burnt = plane.copy()
    burnt[:40] = 65535
    assert frame_quality(burnt).flag == "saturated"
    assert frame_quality(burnt).saturated_share == pytest.approx(40 / 256)
    assert frame_quality(np.minimum(plane, 130), full_scale=130).flag == "saturated"
    assert frame_quality(np.full((32, 32), 7, np.uint16)).flag == "constant"
    assert frame_quality(np.full((32, 32), 255, np.uint8)).flag == "saturated"
    broken = plane.astype(np.float32)
    broken[3, 3] = np.nan
    found = frame_quality(broken)
    assert found.flag == "not finite"
    assert math.isnan(found.background)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (3, 3), (40, 5)])
def test_tiny_planes_give_numbers(shape):
    plane = np.arange(math.prod(shape), dtype=np.uint16).reshape(shape)
    found = frame_quality(plane)
    assert np.isfinite([found.background, found.noise_sd, found.signal, found.sharpness]).all()


def test_defocused_frames_stand_out_against_their_neighbours():
    sharpness = np.full(20, 0.006)
    sharpness[7] = 0.001
    sharpness[12] = np.nan
    sharpness[15:] *= 0.6  # the culture changes: no flag
    assert np.flatnonzero(flag_defocus(sharpness)).tolist() == [7]
    assert not flag_defocus(np.array([1.0, 0.1, 1.0])).any()
